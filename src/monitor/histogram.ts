/** Counts of values in fixed ranges, for `/metrics`. Adding is a short search and two additions; nothing is allocated. */

/** A histogram as Prometheus understands it. */
export class Histogram {
  /** Upper ends of the ranges, ascending; the last range has none. */
  readonly bounds: Float64Array;
  /** Per range, not added up; one more than there are bounds. */
  readonly counts: Float64Array;
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = Float64Array.from(bounds);
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** Adds `weight` times the same value. */
  add(value: number, weight = 1): void {
    const { bounds } = this;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value <= bounds[middle]!) high = middle;
      else low = middle + 1;
    }
    this.counts[low]! += weight;
    this.sum += value * weight;
    this.count += weight;
  }
}

/** Seconds from 50 microseconds to 10 seconds: a memory store answers within the first, a stuck disk within the last. */
export const LATENCY_SECONDS = Object.freeze(
  [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
);
/** Seconds by which a timer may be late. */
export const DELAY_SECONDS = Object.freeze([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]);
/** Requests of one turn. */
export const TURN_COUNTS = Object.freeze([1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000]);
