/** What the driver measures while somebody looks: once per turn or flush, never per message. */
import { Histogram, LATENCY_SECONDS, TURN_COUNTS } from "./histogram.ts";

const MS_PER_SECOND = 1000;

/** Times of turns. The driver has none of it while monitoring is off. */
export class TurnFigures {
  /** From the arrival of the first event of a turn to the answers of its publishes. */
  readonly publishSeconds = new Histogram(LATENCY_SECONDS);
  /** Of flushes that had to wait for a disk. */
  readonly flushSeconds = new Histogram(LATENCY_SECONDS);
  /** Requests, publishes and acknowledgements that were handled together. */
  readonly turnRequests = new Histogram(TURN_COUNTS);

  /** The answers of `publishCount` publishes have left. */
  answered(publishCount: number, durationMs: number): void {
    this.publishSeconds.add(durationMs / MS_PER_SECOND, publishCount);
  }

  flushed(durationMs: number): void {
    this.flushSeconds.add(durationMs / MS_PER_SECOND);
  }

  turn(requestCount: number): void {
    this.turnRequests.add(requestCount);
  }
}
