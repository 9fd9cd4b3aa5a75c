/**
 * How late the event loop is, and how busy the processor: a timer that knows when it should have fired. The platforms' own
 * monitors of the loop sample every 10 ms and differ between them; ten times per second finds every stall that a client
 * would notice, and an idle server stays idle.
 */
import type { Clock, Scheduler, TimerHandle } from "../runtime/types.ts";
import { DELAY_SECONDS, Histogram } from "./histogram.ts";

const SAMPLE_MS = 100;
/** Processor time is compared over this many samples. */
const CPU_SAMPLES = 10;

/** What it needs of the platform. */
export interface LoopDelaySource {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly scheduler: Pick<Scheduler, "after">;
  /** Of this process so far. */
  cpuTimeMs(): number;
}

export class LoopDelay {
  readonly seconds = new Histogram(DELAY_SECONDS);
  readonly #source: LoopDelaySource;
  #timer: TimerHandle | undefined;
  #dueMs = 0;
  #samples = 0;
  #cpuMs = 0;
  #cpuAtMs = 0;
  #cpuPercent = 0;

  constructor(source: LoopDelaySource) {
    this.#source = source;
  }

  /** Of one core, over the last second; one digit behind the point, as the reference shows it. */
  get cpuPercent(): number {
    return this.#cpuPercent;
  }

  start(): void {
    this.#cpuMs = this.#source.cpuTimeMs();
    this.#cpuAtMs = this.#source.clock.monotonicMs();
    this.#arm();
  }

  stop(): void {
    this.#timer?.stop();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#dueMs = this.#source.clock.monotonicMs() + SAMPLE_MS;
    this.#timer = this.#source.scheduler.after(SAMPLE_MS, () => this.#fired());
  }

  #fired(): void {
    const nowMs = this.#source.clock.monotonicMs();
    // A timer may be a fraction of a millisecond early by this clock.
    this.seconds.add(Math.max(0, nowMs - this.#dueMs) / 1000);
    if (++this.#samples % CPU_SAMPLES === 0) this.#readCpu(nowMs);
    this.#arm();
  }

  #readCpu(nowMs: number): void {
    const cpuMs = this.#source.cpuTimeMs();
    const elapsedMs = nowMs - this.#cpuAtMs;
    if (elapsedMs > 0) this.#cpuPercent = Math.round((cpuMs - this.#cpuMs) * 1000 / elapsedMs) / 10;
    this.#cpuMs = cpuMs;
    this.#cpuAtMs = nowMs;
  }
}
