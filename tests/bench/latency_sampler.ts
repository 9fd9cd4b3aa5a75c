/**
 * How long single messages take while many are under way, without a trace in what is measured: every 2^n-th message is
 * timed, its departure kept by its number in a ring made beforehand, the clock read once per write and once per arrival.
 */

import type { LatencyRecorder } from "./statistics.ts";

/** Owner of the recorder; while there is none (warming up, filling a channel) nothing is timed. */
export interface LatencySink {
  readonly latency: LatencyRecorder | undefined;
}

/** Times the sampled messages of one publisher, whose messages are numbered from 0. */
export class LatencySampler {
  readonly #sink: LatencySink;
  readonly #now: () => number;
  readonly #every: number;
  /** Bits of a number that are 0 in a sampled one, and how many they are. */
  readonly #mask: number;
  readonly #shift: number;
  readonly #slotMask: number;
  /** The message of each slot, and when it left. */
  readonly #numbers: Int32Array;
  readonly #departedAt: Float64Array;

  /**
   * `every` is a power of two. With no more than `inFlightMax` messages between departure and last arrival no sample is
   * ever lost; one that is overwritten all the same is dropped and counted.
   */
  constructor(sink: LatencySink, every: number, inFlightMax: number, now: () => number = () => performance.now()) {
    if (every < 1 || (every & (every - 1)) !== 0) throw new RangeError(`every is ${every}, not a power of two`);
    this.#sink = sink;
    this.#now = now;
    this.#every = every;
    this.#mask = every - 1;
    this.#shift = 31 - Math.clz32(every);
    let slots = 1;
    while (slots < Math.ceil(inFlightMax / every)) slots *= 2;
    this.#slotMask = slots - 1;
    this.#numbers = new Int32Array(slots).fill(-1);
    this.#departedAt = new Float64Array(slots);
  }

  /**
   * The bytes `from` to `to` of a stream of frames are about to be handed to the socket: the messages that begin in them
   * depart. Announced again, because the socket did not take them, they depart again: the last time counts.
   */
  departBytes(from: number, to: number, frameBytes: number): void {
    this.depart(Math.ceil(from / frameBytes), Math.ceil(to / frameBytes));
  }

  /** The messages from `first` to before `end` depart together. */
  depart(first: number, end: number): void {
    let number = (first + this.#mask) & ~this.#mask;
    if (number >= end || this.#sink.latency === undefined) return;
    const now = this.#now();
    for (; number < end; number += this.#every) {
      const slot = (number >>> this.#shift) & this.#slotMask;
      this.#numbers[slot] = number;
      this.#departedAt[slot] = now;
    }
  }

  /** Message `number` arrived. */
  arrive(number: number): void {
    if ((number & this.#mask) === 0) this.arriveAll(number, number + 1);
  }

  /** The messages from `first` to before `end` arrived together. A message may arrive several times, at several receivers. */
  arriveAll(first: number, end: number): void {
    let number = (first + this.#mask) & ~this.#mask;
    const latency = this.#sink.latency;
    if (number >= end || latency === undefined) return;
    const now = this.#now();
    for (; number < end; number += this.#every) {
      const slot = (number >>> this.#shift) & this.#slotMask;
      if (this.#numbers[slot] === number) latency.add(now - (this.#departedAt[slot] as number));
      else latency.drop();
    }
  }
}
