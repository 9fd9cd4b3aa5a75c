/** The figures of the last quarter of an hour, made of counters that the server has since its start. Pure. */
import type { Overview } from "./api.ts";

/** How far back the charts look. */
export const WINDOW_S = 15 * 60;
/** Without an answer for so long the line is broken: nobody looked, and a mean would hide what happened. */
export const GAP_S = 15;

/** Names of the series. Rates are per second. */
export const SERIES = ["in", "out", "inBytes", "outBytes", "redelivered", "acked", "pending"] as const;
export type SeriesName = typeof SERIES[number];

/** One point of time; null where nothing is known. */
export type Sample = Readonly<Record<SeriesName, number | null>>;

const UNKNOWN: Sample = {
  in: null,
  out: null,
  inBytes: null,
  outBytes: null,
  redelivered: null,
  acked: null,
  pending: null,
};

export class History {
  /** Seconds since 1970, ascending. */
  readonly times: number[] = [];
  readonly samples: Sample[] = [];
  #last: { readonly atS: number; readonly overview: Overview } | undefined;

  /** What the server said at `atS`. */
  add(atS: number, overview: Overview): void {
    const last = this.#last;
    // A clock that was set back would fold the line over itself.
    if (last !== undefined && atS <= last.atS) {
      if (last.atS - atS < GAP_S) return;
      this.times.length = this.samples.length = 0;
      this.#last = undefined;
      return this.add(atS, overview);
    }
    const { totals, server } = overview;
    const isGap = last !== undefined && atS - last.atS > GAP_S;
    if (isGap) this.#push(last.atS + 1, UNKNOWN);
    // Counters begin anew with the server.
    const before = last === undefined || isGap || last.overview.server.start_time !== server.start_time
      ? undefined
      : last.overview.totals;
    const perSecond = (now: number, then: number | undefined) =>
      last === undefined || then === undefined ? null : Math.max(0, (now - then) / (atS - last.atS));
    this.#push(atS, {
      in: perSecond(totals.in_msgs, before?.in_msgs),
      out: perSecond(totals.out_msgs, before?.out_msgs),
      inBytes: perSecond(totals.in_bytes, before?.in_bytes),
      outBytes: perSecond(totals.out_bytes, before?.out_bytes),
      redelivered: perSecond(totals.redelivered_msgs, before?.redelivered_msgs),
      acked: perSecond(totals.acked_msgs, before?.acked_msgs),
      pending: totals.pending,
    });
    this.#last = { atS, overview };
    let old = 0;
    while (this.times[old]! < atS - WINDOW_S) old++;
    this.times.splice(0, old);
    this.samples.splice(0, old);
  }

  #push(atS: number, sample: Sample): void {
    this.times.push(atS);
    this.samples.push(sample);
  }

  /** The newest sample; all unknown when there is none. */
  get latest(): Sample {
    return this.samples[this.samples.length - 1] ?? UNKNOWN;
  }

  /** All values of one series, in the order of `times`. */
  valuesOf(name: SeriesName): (number | null)[] {
    return this.samples.map((sample) => sample[name]);
  }

  /** Least, mean and largest known value; undefined: none is known. */
  summaryOf(name: SeriesName): { readonly min: number; readonly mean: number; readonly max: number } | undefined {
    const known = this.valuesOf(name).filter((value) => value !== null);
    if (known.length === 0) return undefined;
    return {
      min: Math.min(...known),
      mean: known.reduce((sum, value) => sum + value, 0) / known.length,
      max: Math.max(...known),
    };
  }

  /** Means of whole minutes, newest first: the chart as a table. */
  minutes(names: readonly SeriesName[]): { readonly atS: number; readonly means: readonly (number | null)[] }[] {
    const rows = new Map<number, Sample[]>();
    this.times.forEach((time, index) => {
      const minute = Math.floor(time / 60) * 60;
      const samples = rows.get(minute) ?? [];
      samples.push(this.samples[index]!);
      rows.set(minute, samples);
    });
    return [...rows].reverse().map(([atS, samples]) => ({
      atS,
      means: names.map((name) => {
        const known = samples.map((sample) => sample[name]).filter((value) => value !== null);
        return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
      }),
    }));
  }
}
