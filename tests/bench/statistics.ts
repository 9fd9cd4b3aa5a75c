/** Medians and percentiles of a bench run. */

/** Middle value; the mean of the two middle ones for an even count. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle] as number;
  return ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

/** Spread of latencies in microseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly count: number;
  /** Samples that were lost: their departure was overwritten, or there was no room for them. */
  readonly dropped: number;
}

/** Collects latencies without allocating while the clock runs. */
export class LatencyRecorder {
  readonly #millis: Float64Array;
  #count = 0;
  #dropped = 0;

  constructor(capacity: number) {
    this.#millis = new Float64Array(capacity);
  }

  /** Adds one measurement in milliseconds; beyond the capacity it is dropped and counted. */
  add(millis: number): void {
    if (this.#count < this.#millis.length) this.#millis[this.#count++] = millis;
    else this.#dropped++;
  }

  /** Counts a sample that could not be measured. */
  drop(): void {
    this.#dropped++;
  }

  /** Nearest-rank percentiles in microseconds. */
  summary(): Latency {
    const sorted = this.#millis.slice(0, this.#count).sort();
    const at = (share: number): number => {
      const rank = Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1));
      return (sorted[rank] ?? NaN) * 1000;
    };
    return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1), count: this.#count, dropped: this.#dropped };
  }
}
