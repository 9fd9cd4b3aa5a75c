/**
 * Publishers that wait for a receiver which lags (nats-server.md 3.10): they are not read for 5 ms at most. A receiver that
 * has not drained by then counts as frozen and slows nobody any more; it runs into its own pending limit.
 */
import type { TimerHandle } from "../runtime/types.ts";
import { CONGESTION_LOW_BYTES } from "./router.ts";

/** Longest pause of a publisher. */
const PUBLISHER_PAUSE_MS = 5;

/** A connection that reads or is not read. */
export interface PausablePublisher {
  hold(): void;
  release(): void;
}

/** The receiver, as far as its publishers go. */
export interface LaggingReceiver {
  readonly isClosed: boolean;
  readonly output: { readonly pendingBytes: number };
  after(delayMs: number, work: () => void): TimerHandle;
}

/** What waits for one receiver. */
export class Congestion {
  /** Ignored by congestion control until it has drained. */
  isFrozen = false;
  readonly #receiver: LaggingReceiver;
  #waiting: PausablePublisher[] | null = null;

  constructor(receiver: LaggingReceiver) {
    this.#receiver = receiver;
  }

  /** Stops reading `publisher` until the receiver has caught up. */
  pause(publisher: PausablePublisher): void {
    const receiver = this.#receiver;
    if (receiver.isClosed || receiver.output.pendingBytes <= CONGESTION_LOW_BYTES) return;
    (this.#waiting ??= []).push(publisher);
    publisher.hold();
    receiver.after(PUBLISHER_PAUSE_MS, () => {
      if (this.#waiting === null) return;
      this.isFrozen = receiver.output.pendingBytes > CONGESTION_LOW_BYTES;
      this.end();
    });
  }

  /** Lets all of them go on. */
  end(): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    this.#waiting = null;
    for (const publisher of waiting) publisher.release();
  }
}
