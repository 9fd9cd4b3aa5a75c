/**
 * Messages of one channel in memory. Appending is the hottest path of the whole product: no allocation per message, no
 * closures, one copy from the network buffer into the slab, where the message lies in the form in which it is delivered.
 */
import { assert } from "../../base/assert.ts";
import { encodeMsgProto, msgProtoSize } from "../../wire/stan_hot.ts";
import {
  APPEND_FAILED,
  type ChannelLimits,
  LOOKUP_FOUND,
  LOOKUP_NONE,
  type LookupResult,
  type MessageStore,
  type MessageView,
} from "../types.ts";
import { INDEX_STRIDE, type Slab, type SlabPool } from "./slabs.ts";
import { isAtOrBefore, stampOfMs, stampToMsCeil } from "../stamp.ts";

/** Given-up entries at the front of the slab list before it is cut: cutting each time would move the list each time. */
const HEAD_WASTE_MAX = 32;

/**
 * What an encoded MsgProto has at most besides channel, reply and data: five tags, three lengths of up to five bytes,
 * sequence and stamp of up to ten.
 */
const OVERHEAD_MAX = 5 + 3 * 5 + 2 * 10;

/** The MEMORY implementation of {@link MessageStore}. */
export class MemoryMessageStore implements MessageStore {
  // What a publish touches stands together: with thousands of channels each line of the cache counts.
  readonly #channel: Uint8Array;
  #tail: Slab | undefined = undefined;
  #first = 0;
  #last = 0;
  #count = 0;
  #bytes = 0;
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  /** Where the last lookup was: deliveries go through a slab message by message. */
  #found: Slab | undefined = undefined;

  readonly #maxAgeHigh: number;
  readonly #maxAgeLow: number;
  readonly #pool: SlabPool;
  /** Slabs in order of sequence, from `#head` on; the last one takes the next message. */
  #slabs: Slab[] = [];
  #head = 0;
  #limitReached = false;
  /** Why nothing can be stored any more; empty while it can. */
  #retired = "";
  #lastError = "";

  onReadable: (() => void) | undefined = undefined;
  onLimitReached: (() => void) | undefined = undefined;

  constructor(channel: Uint8Array, limits: ChannelLimits, pool: SlabPool) {
    this.#channel = channel;
    this.#pool = pool;
    this.#maxMessages = limits.maxMessages;
    this.#maxBytes = limits.maxBytes;
    const maxAge = stampOfMs(limits.maxAgeMs);
    this.#maxAgeHigh = maxAge.high;
    this.#maxAgeLow = maxAge.low;
  }

  get firstSequence(): number {
    return this.#first;
  }

  get lastSequence(): number {
    return this.#last;
  }

  get messageCount(): number {
    return this.#count;
  }

  /** Encoded MsgProto bytes (stores.md 2.4: MEMORY counts no overhead). */
  get byteCount(): number {
    return this.#bytes;
  }

  get lastError(): string {
    return this.#lastError;
  }

  get refusal(): string {
    return this.#retired;
  }

  append(
    sequence: number,
    stampHigh: number,
    stampLow: number,
    source: Uint8Array,
    replyStart: number,
    replyEnd: number,
    dataStart: number,
    dataEnd: number,
  ): number {
    // After `empty`, and in a new channel, any first sequence is accepted: a follower starts where its snapshot ends.
    assert(
      sequence === this.#last + 1 || (this.#last === 0 && sequence > 0),
      "a message is stored with the sequence behind the last one",
    );
    const channel = this.#channel;
    // The exact size is asked for only where the roughly largest does not fit: 10 to 20 ns saved per message.
    const sizeBound = channel.length + (replyEnd - replyStart) + (dataEnd - dataStart) + OVERHEAD_MAX;
    let slab = this.#tail;
    if (
      slab === undefined || slab.bytes.length - slab.usedBytes < sizeBound ||
      (slab.count + 1) * INDEX_STRIDE > slab.index.length
    ) {
      slab = this.#makeRoom(
        sequence,
        msgProtoSize(sequence, channel.length, replyEnd - replyStart, dataEnd - dataStart, stampHigh, stampLow),
      );
      if (slab === undefined) return APPEND_FAILED;
    }
    const position = slab.usedBytes;
    const entry = slab.count * INDEX_STRIDE;
    const index = slab.index;
    index[entry] = position;
    index[entry + 1] = stampHigh;
    index[entry + 2] = stampLow;
    const end = encodeMsgProto(
      slab.bytes,
      position,
      sequence,
      channel,
      source,
      replyStart,
      replyEnd,
      dataStart,
      dataEnd,
      stampHigh,
      stampLow,
    );
    const size = end - position;
    slab.usedBytes = end;
    slab.count++;
    if (this.#count === 0) this.#first = sequence;
    this.#last = sequence;
    this.#count++;
    this.#bytes += size;
    if (
      (this.#maxMessages > 0 && this.#count > this.#maxMessages) || (this.#maxBytes > 0 && this.#bytes > this.#maxBytes)
    ) this.#enforceLimits();
    return size;
  }

  lookup(sequence: number, into: MessageView): LookupResult {
    if (this.#count === 0 || sequence < this.#first || sequence > this.#last) return LOOKUP_NONE;
    const slab = this.#slabOf(sequence);
    const i = sequence - slab.firstSequence;
    const entry = i * INDEX_STRIDE;
    into.buffer = slab.bytes;
    into.start = slab.index[entry]!;
    into.end = slab.endOf(i);
    into.stampHigh = slab.index[entry + 1]!;
    into.stampLow = slab.index[entry + 2]!;
    return LOOKUP_FOUND;
  }

  sequenceAtOrAfter(stampHigh: number, stampLow: number): number {
    if (this.#last === 0) return 0;
    let low = this.#first;
    let high = this.#last + 1;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      const slab = this.#slabOf(middle);
      const entry = (middle - slab.firstSequence) * INDEX_STRIDE;
      if (isAtOrBefore(stampHigh, stampLow, slab.index[entry + 1]!, slab.index[entry + 2]!)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  stampOf(sequence: number, into: { stampHigh: number; stampLow: number }): boolean {
    if (this.#count === 0 || sequence < this.#first || sequence > this.#last) return false;
    const slab = this.#slabOf(sequence);
    const entry = (sequence - slab.firstSequence) * INDEX_STRIDE;
    into.stampHigh = slab.index[entry + 1]!;
    into.stampLow = slab.index[entry + 2]!;
    return true;
  }

  expire(stampHigh: number, stampLow: number): number {
    if (this.#count === 0 || (this.#maxAgeHigh === 0 && this.#maxAgeLow === 0)) return 0;
    if (isAtOrBefore(this.#maxAgeHigh, this.#maxAgeLow, stampHigh, stampLow)) {
      const borrow = stampLow < this.#maxAgeLow ? 1 : 0;
      this.#removeUntil(stampHigh - this.#maxAgeHigh - borrow, (stampLow - this.#maxAgeLow) >>> 0);
      if (this.#count === 0) return 0;
    }
    const slab = this.#slabs[this.#head]!;
    const entry = (this.#first - slab.firstSequence) * INDEX_STRIDE;
    const low = slab.index[entry + 2]! + this.#maxAgeLow;
    const carry = low > 0xffff_ffff ? 1 : 0;
    return stampToMsCeil(slab.index[entry + 1]! + this.#maxAgeHigh + carry, low >>> 0);
  }

  empty(): void {
    while (this.#head < this.#slabs.length) this.#releaseHead();
    this.#first = 0;
    this.#last = 0;
    this.#count = 0;
    this.#bytes = 0;
    this.#limitReached = false;
  }

  /** At once: what has nothing to wait for needs no flush. */
  purge(upTo: number): void {
    while (this.#count > 0 && this.#first <= upTo) {
      const slab = this.#slabs[this.#head]!;
      const i = this.#first - slab.firstSequence;
      const end = Math.min(slab.count, upTo + 1 - slab.firstSequence);
      this.#bytes -= slab.endOf(end - 1) - slab.startOf(i);
      this.#count -= end - i;
      this.#first += end - i;
      if (end === slab.count) this.#releaseHead();
    }
  }

  flush(): undefined {
    return undefined;
  }

  /** Gives up all memory; from here on nothing is found and nothing stored, with `reason` as the text. For the owner. */
  retire(reason: string): void {
    if (this.#retired !== "") return;
    this.empty();
    this.#retired = reason;
  }

  /** Room for a message of `size`: what is free, a longer index, or a new slab. Undefined: there is none, `lastError` says why. */
  #makeRoom(sequence: number, size: number): Slab | undefined {
    if (this.#retired !== "") {
      this.#lastError = this.#retired;
      return undefined;
    }
    const tail = this.#tail;
    try {
      if (tail !== undefined && tail.bytes.length - tail.usedBytes >= size) {
        if ((tail.count + 1) * INDEX_STRIDE > tail.index.length) this.#pool.growIndex(tail);
        return tail;
      }
      const slab = this.#pool.take(size, this.#bytes, this.#count);
      slab.firstSequence = sequence;
      this.#slabs.push(slab);
      this.#tail = slab;
      return slab;
    } catch (error) {
      // Both runtimes report memory that they cannot give as a RangeError. Everything else is a defect.
      if (!(error instanceof RangeError)) throw error;
      this.#lastError = "not enough memory to store the message";
      return undefined;
    }
  }

  /** Called over a limit. Reference 0.25.6: the newest message always stays, whatever its size (stores.md 2.4). */
  #enforceLimits(): void {
    if (this.#count <= 1) return;
    while (
      this.#count > 1 &&
      ((this.#maxMessages > 0 && this.#count > this.#maxMessages) ||
        (this.#maxBytes > 0 && this.#bytes > this.#maxBytes))
    ) {
      const slab = this.#slabs[this.#head]!;
      const i = this.#first - slab.firstSequence;
      this.#bytes -= slab.endOf(i) - slab.startOf(i);
      this.#first++;
      this.#count--;
      if (i + 1 === slab.count) this.#releaseHead();
    }
    if (!this.#limitReached) {
      this.#limitReached = true;
      this.onLimitReached?.();
    }
  }

  /** Removes from the front what has a stamp at or before the given one. */
  #removeUntil(stampHigh: number, stampLow: number): void {
    while (this.#count > 0) {
      const slab = this.#slabs[this.#head]!;
      let i = this.#first - slab.firstSequence;
      // A slab that is over as a whole goes in one step: a million messages may end in the same millisecond.
      const lastEntry = (slab.count - 1) * INDEX_STRIDE;
      if (isAtOrBefore(slab.index[lastEntry + 1]!, slab.index[lastEntry + 2]!, stampHigh, stampLow)) {
        this.#bytes -= slab.usedBytes - slab.startOf(i);
        this.#count -= slab.count - i;
        this.#first += slab.count - i;
        this.#releaseHead();
        continue;
      }
      const start = slab.startOf(i);
      for (;; i++) {
        const entry = i * INDEX_STRIDE;
        if (!isAtOrBefore(slab.index[entry + 1]!, slab.index[entry + 2]!, stampHigh, stampLow)) break;
        this.#first++;
        this.#count--;
      }
      this.#bytes -= slab.startOf(i) - start;
      return;
    }
  }

  #releaseHead(): void {
    const slab = this.#slabs[this.#head]!;
    if (this.#found === slab) this.#found = undefined;
    if (this.#tail === slab) this.#tail = undefined;
    this.#pool.give(slab);
    this.#head++;
    if (this.#head === this.#slabs.length || this.#head > HEAD_WASTE_MAX) {
      this.#slabs.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** The slab of a kept sequence. */
  #slabOf(sequence: number): Slab {
    const found = this.#found;
    if (
      found !== undefined && sequence >= found.firstSequence && sequence < found.firstSequence + found.count
    ) return found;
    const slabs = this.#slabs;
    let low = this.#head;
    let high = slabs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (slabs[middle]!.firstSequence <= sequence) low = middle;
      else high = middle - 1;
    }
    const slab = slabs[low]!;
    this.#found = slab;
    return slab;
  }
}
