/** Wall and monotonic time over the two clocks every runtime has. */
import type { Clock, MonotonicMs } from "../types.ts";

const NS_PER_MS = 1_000_000;
const NS_PER_S = 1_000_000_000;
const U32 = 4_294_967_296;
const U16 = 65_536;

/** Where time comes from; tests move it by hand. */
export interface ClockSource {
  /** Milliseconds since 1970. */
  wallMs(): number;
  /** Milliseconds that never go back. */
  monotonicMs(): number;
}

const SYSTEM_SOURCE: ClockSource = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/** How often the wall clock of the system is compared with ours; a reading costs as much as our whole answer. */
const COMPARE_INTERVAL_MS = 20;
/** A larger difference means that somebody set the clock: follow it. A smaller one is the coarseness of the source. */
export const DRIFT_MS_MAX = 10;
/** The base moves up at least this often, so that elapsed nanoseconds stay far below 2^53. */
const ELAPSED_MS_MAX = 3_600_000;

/**
 * Nanoseconds since 1970 = a base taken at start + the monotonic difference, so that two readings within one millisecond
 * differ; re-based when the system's wall clock has moved away from it (runtime.md 3).
 */
export class SystemClock implements Clock {
  readonly #source: ClockSource;
  #baseSeconds = 0;
  /** May exceed one second between two comparisons; always a safe integer. */
  #baseNs = 0;
  #baseMonotonicMs = 0;
  #comparedMs = 0;

  constructor(source: ClockSource = SYSTEM_SOURCE) {
    this.#source = source;
    this.#rebase(source.wallMs(), source.monotonicMs());
  }

  monotonicMs(): MonotonicMs {
    return this.#source.monotonicMs();
  }

  wallNs(out: { high: number; low: number }): void {
    const nowMs = this.#source.monotonicMs();
    if (nowMs - this.#comparedMs >= COMPARE_INTERVAL_MS) this.#compare(nowMs);
    const totalNs = this.#baseNs + Math.floor((nowMs - this.#baseMonotonicMs) * NS_PER_MS);
    const carry = Math.floor(totalNs / NS_PER_S);
    const seconds = this.#baseSeconds + carry;
    const ns = totalNs - carry * NS_PER_S;
    // seconds * 1e9 + ns needs 61 bits: upper * 2^16 + lower, both below 2^53, then cut at bit 32 without a bigint.
    const secondsHigh = Math.floor(seconds / U16);
    const upper = secondsHigh * NS_PER_S;
    const lower = (seconds - secondsHigh * U16) * NS_PER_S + ns;
    const upperHigh = Math.floor(upper / U16);
    const sum = (upper - upperHigh * U16) * U16 + lower;
    const carryHigh = Math.floor(sum / U32);
    out.high = upperHigh + carryHigh;
    out.low = sum - carryHigh * U32;
  }

  #compare(nowMs: number): void {
    this.#comparedMs = nowMs;
    const wallMs = this.#source.wallMs();
    const elapsedMs = nowMs - this.#baseMonotonicMs;
    const oursMs = this.#baseSeconds * 1000 + this.#baseNs / NS_PER_MS + elapsedMs;
    if (Math.abs(wallMs - oursMs) > DRIFT_MS_MAX) {
      this.#rebase(wallMs, nowMs);
    } else if (elapsedMs > ELAPSED_MS_MAX) {
      const totalNs = this.#baseNs + Math.floor(elapsedMs * NS_PER_MS);
      const carry = Math.floor(totalNs / NS_PER_S);
      this.#baseSeconds += carry;
      this.#baseNs = totalNs - carry * NS_PER_S;
      this.#baseMonotonicMs = nowMs;
    }
  }

  #rebase(wallMs: number, nowMs: number): void {
    this.#baseSeconds = Math.floor(wallMs / 1000);
    this.#baseNs = Math.floor((wallMs - this.#baseSeconds * 1000) * NS_PER_MS);
    this.#baseMonotonicMs = nowMs;
    this.#comparedMs = nowMs;
  }
}
