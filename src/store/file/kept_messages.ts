/**
 * Which messages of one channel count: from where to where, how many they are, and which of them limits and age take away
 * (stores.md 2.4). In memory only; what follows from it for the files is the business of the message log.
 */
import { isAtOrBefore, MaxAge } from "../stamp.ts";
import type { ChannelLimits } from "../types.ts";
import { MESSAGE_OVERHEAD_BYTES } from "./format.ts";
import type { IndexReader } from "./index_reader.ts";
import type { FileStoreShared } from "./shared.ts";
import type { Slice } from "./slice.ts";
import type { ChannelSlices } from "./slices.ts";

/** When an expiry is asked for again that could not read when it is due. */
const EXPIRY_RETRY_MS = 5000;

/** For the message log, which tells it what was stored and what was taken back. */
export class KeptMessages {
  readonly #shared: FileStoreShared;
  readonly #slices: ChannelSlices;
  readonly #index: IndexReader;
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #maxAge: MaxAge | undefined;

  first = 0;
  last = 0;
  count = 0;
  /** Encoded messages and 40 bytes for each. */
  bytes = 0;
  /** Count and bytes could not be read. */
  needsMeasure = false;

  constructor(shared: FileStoreShared, slices: ChannelSlices, index: IndexReader, limits: ChannelLimits) {
    this.#shared = shared;
    this.#slices = slices;
    this.#index = index;
    this.#maxMessages = limits.maxMessages;
    this.#maxBytes = limits.maxBytes;
    this.#maxAge = MaxAge.ofMs(limits.maxAgeMs);
  }

  holds(sequence: number): boolean {
    return this.count > 0 && sequence >= this.first && sequence <= this.last;
  }

  /** All that the slices have. */
  takeAll(): void {
    const slices = this.#slices.list;
    this.first = slices[0]?.firstSequence ?? 0;
    this.last = slices[slices.length - 1]?.lastSequence ?? 0;
    this.count = 0;
    this.bytes = 0;
    for (const slice of slices) {
      this.count += slice.recordCount;
      this.bytes += slice.bytes;
    }
  }

  /** A message behind the last one. */
  add(sequence: number, size: number): void {
    if (this.count === 0) this.first = sequence;
    this.last = sequence;
    this.count++;
    this.bytes += size + MESSAGE_OVERHEAD_BYTES;
  }

  /** What is before `first` does not count. */
  beginAt(first: number): void {
    this.first = first;
    this.measure();
  }

  /** Count and bytes from `first` on, from what the slices have. False: the disk does not say. */
  measure(): boolean {
    this.needsMeasure = false;
    this.count = 0;
    this.bytes = 0;
    for (const slice of this.#slices.list) {
      if (slice.lastSequence < this.first) continue;
      this.count += slice.recordCount;
      this.bytes += slice.bytes;
      const kept = slice.recordAt(this.first);
      for (let record = 0; record < kept; record++) {
        if (this.#index.readInOrder(slice, record)) this.#subtract();
        else this.needsMeasure = true;
      }
    }
    return !this.needsMeasure;
  }

  /** The message whose index record was read last. */
  #subtract(): void {
    this.count--;
    this.bytes -= this.#index.record.payloadSize + MESSAGE_OVERHEAD_BYTES;
  }

  /** The first sequence at or behind `sequence` that has a record; `last + 1` when there is none. */
  existingFrom(sequence: number): number {
    const slice = this.#slices.at(sequence);
    if (slice === undefined || slice.recordCount === 0) return this.last + 1;
    return slice.sequenceOf(slice.recordAt(sequence));
  }

  /** The sequence of record `record` of `slice`, or of the first one behind it; `last + 1` when there is none. */
  #nextExisting(slice: Slice, record: number): number {
    if (record < slice.recordCount) return slice.sequenceOf(record);
    return this.existingFrom(slice.lastSequence + 1);
  }

  /** There is something to remove: the newest message always stays. */
  get isOverLimits(): boolean {
    return this.count > 1 &&
      ((this.#maxMessages > 0 && this.count > this.#maxMessages) ||
        (this.#maxBytes > 0 && this.bytes > this.#maxBytes));
  }

  /** False: its size cannot be read now. */
  removeFirst(): boolean {
    const slice = this.#slices.at(this.first);
    if (slice === undefined) return false;
    const record = slice.recordAt(this.first);
    if (!this.#index.readInOrder(slice, record)) {
      this.#shared.log.error(`Unable to remove first message: ${slice.index.path} cannot be read`);
      return false;
    }
    this.#subtract();
    this.first = this.#nextExisting(slice, record + 1);
    return true;
  }

  /** Removes what is too old at this time. False: nothing can be. */
  removeExpired(stampHigh: number, stampLow: number): boolean {
    if (this.count === 0) return false;
    const old = this.#maxAge?.lastTooOld(stampHigh, stampLow);
    if (old === undefined) return false;
    this.#removeUntil(old.high, old.low);
    return true;
  }

  #removeUntil(stampHigh: number, stampLow: number): void {
    while (this.count > 0) {
      const slice = this.#slices.at(this.first)!; // A message that counts has a slice.
      const record = slice.recordAt(this.first);
      if (record === 0 && isAtOrBefore(slice.lastStampHigh, slice.lastStampLow, stampHigh, stampLow)) {
        // Over as a whole: nothing has to be read.
        this.count -= slice.recordCount;
        this.bytes -= slice.bytes;
        this.first = this.#nextExisting(slice, slice.recordCount);
        continue;
      }
      if (!this.#index.readInOrder(slice, record)) return;
      if (!isAtOrBefore(this.#index.record.stampHigh, this.#index.record.stampLow, stampHigh, stampLow)) return;
      this.#subtract();
      this.first = this.#nextExisting(slice, record + 1);
    }
  }

  /** When the first one is too old, in ms; 0: none ever is. The stamp is the time of now. */
  expiresAtMs(stampHigh: number, stampLow: number): number {
    if (this.count === 0 || this.#maxAge === undefined) return 0;
    const slice = this.#slices.at(this.first)!; // A message that counts has a slice.
    if (!this.#index.readInOrder(slice, slice.recordAt(this.first))) {
      return (stampHigh * 4_294_967_296 + stampLow) / 1e6 + EXPIRY_RETRY_MS;
    }
    return this.#maxAge.endOfMs(this.#index.record.stampHigh, this.#index.record.stampLow);
  }

  /** Nothing is there, and sequences begin again. */
  empty(): void {
    this.first = 0;
    this.last = 0;
    this.count = 0;
    this.bytes = 0;
  }
}
