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
import { isAtOrBefore, MaxAge } from "../stamp.ts";

/** Given-up entries at the front of the slab list before it is cut: cutting each time would move the list each time. */
const HEAD_WASTE_MAX = 32;

/**
 * What an encoded MsgProto has at most besides channel, reply and data: five tags, three lengths of up to five bytes,
 * sequence and stamp of up to ten.
 */
const OVERHEAD_MAX = 5 + 3 * 5 + 2 * 10;

const NO_BYTES = new Uint8Array(0);
const NO_WORDS = new Uint32Array(0);

/** The MEMORY implementation of {@link MessageStore}. */
export class MemoryMessageStore implements MessageStore {
  // What a publish touches stands together: with thousands of channels each line of the cache counts. So the end of the last
  // slab is here, and the slab learns of it when somebody reads (`#settle`).
  readonly #nameLength: number;
  /** Of the last slab; none when there is no slab that takes a message. */
  #bytes: Uint8Array = NO_BYTES;
  #words: Uint32Array = NO_WORDS;
  /** Where the next message goes in `#bytes`. */
  #at = 0;
  /** Where its entry goes in `#words`. */
  #entry = 0;
  #last = 0;
  /** Behind `#last` when nothing is kept. */
  #first = 1;
  #keptBytes = 0;
  readonly #maxMessages: number;
  readonly #maxBytes: number;

  readonly #channel: Uint8Array;
  /** Where the last lookup was: deliveries go through a slab message by message. */
  #found: Slab | undefined = undefined;
  readonly #maxAge: MaxAge | undefined;
  readonly #pool: SlabPool;
  /** Slabs in order of sequence, from `#head` on; the last one takes the next message. */
  #slabs: Slab[] = [];
  #head = 0;
  #tail: Slab | undefined = undefined;
  #limitReached = false;
  /** Why nothing can be stored any more; empty while it can. */
  #retired = "";
  #lastError = "";

  onReadable: (() => void) | undefined = undefined;
  onLimitReached: (() => void) | undefined = undefined;

  constructor(channel: Uint8Array, limits: ChannelLimits, pool: SlabPool) {
    this.#nameLength = channel.length;
    this.#channel = channel;
    this.#pool = pool;
    this.#maxMessages = limits.maxMessages;
    this.#maxBytes = limits.maxBytes;
    this.#maxAge = MaxAge.ofMs(limits.maxAgeMs);
  }

  get firstSequence(): number {
    return this.#last === 0 ? 0 : this.#first;
  }

  get lastSequence(): number {
    return this.#last;
  }

  get messageCount(): number {
    return this.#last - this.#first + 1;
  }

  /** Encoded MsgProto bytes (stores.md 2.4: MEMORY counts no overhead). */
  get byteCount(): number {
    return this.#keptBytes;
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
    nameStart = -1,
  ): number {
    // After `empty`, and in a new channel, any first sequence is accepted: a follower starts where its snapshot ends.
    assert(
      sequence === this.#last + 1 || (this.#last === 0 && sequence > 0),
      "a message is stored with the sequence behind the last one",
    );
    const nameLength = this.#nameLength;
    // The exact size is asked for only where the roughly largest does not fit: 10 to 20 ns saved per message.
    const sizeBound = nameLength + (replyEnd - replyStart) + (dataEnd - dataStart) + OVERHEAD_MAX;
    if (this.#at + sizeBound > this.#entry * 4) {
      const size = msgProtoSize(
        sequence,
        nameLength,
        replyEnd - replyStart,
        dataEnd - dataStart,
        stampHigh,
        stampLow,
      );
      if (!this.#makeRoom(sequence, size)) return APPEND_FAILED;
    }
    const position = this.#at;
    const entry = this.#entry;
    const words = this.#words;
    words[entry] = position;
    words[entry + 1] = stampHigh;
    words[entry + 2] = stampLow;
    const names = nameStart < 0 ? this.#channel : source;
    const nameAt = nameStart < 0 ? 0 : nameStart;
    const end = encodeMsgProto(
      this.#bytes,
      position,
      sequence,
      names,
      nameAt,
      nameAt + nameLength,
      source,
      replyStart,
      replyEnd,
      dataStart,
      dataEnd,
      stampHigh,
      stampLow,
    );
    const size = end - position;
    this.#at = end;
    this.#entry = entry - INDEX_STRIDE;
    if (this.#last === 0) this.#first = sequence;
    this.#last = sequence;
    this.#keptBytes += size;
    if (
      (this.#maxMessages > 0 && sequence - this.#first >= this.#maxMessages) ||
      (this.#maxBytes > 0 && this.#keptBytes > this.#maxBytes)
    ) this.#enforceLimits();
    return size;
  }

  lookup(sequence: number, into: MessageView): LookupResult {
    if (!this.#isKept(sequence)) return LOOKUP_NONE;
    const slab = this.#slabOf(sequence);
    const i = sequence - slab.firstSequence;
    const entry = slab.entryOf(i);
    into.buffer = slab.bytes;
    into.start = slab.words[entry]!;
    into.end = slab.endOf(i);
    into.stampHigh = slab.words[entry + 1]!;
    into.stampLow = slab.words[entry + 2]!;
    return LOOKUP_FOUND;
  }

  sequenceAtOrAfter(stampHigh: number, stampLow: number): number {
    if (this.#last === 0) return 0;
    let low = this.#first;
    let high = this.#last + 1;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      const slab = this.#slabOf(middle);
      const entry = slab.entryOf(middle - slab.firstSequence);
      if (isAtOrBefore(stampHigh, stampLow, slab.words[entry + 1]!, slab.words[entry + 2]!)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  stampOf(sequence: number, into: { stampHigh: number; stampLow: number }): boolean {
    if (!this.#isKept(sequence)) return false;
    const slab = this.#slabOf(sequence);
    const entry = slab.entryOf(sequence - slab.firstSequence);
    into.stampHigh = slab.words[entry + 1]!;
    into.stampLow = slab.words[entry + 2]!;
    return true;
  }

  expire(stampHigh: number, stampLow: number): number {
    const maxAge = this.#maxAge;
    if (this.#isEmpty || maxAge === undefined) return 0;
    const old = maxAge.lastTooOld(stampHigh, stampLow);
    if (old !== undefined) {
      this.#removeUntil(old.high, old.low);
      if (this.#isEmpty) return 0;
    }
    const slab = this.#slabs[this.#head]!;
    const entry = slab.entryOf(this.#first - slab.firstSequence);
    return maxAge.endOfMs(slab.words[entry + 1]!, slab.words[entry + 2]!);
  }

  empty(): void {
    while (this.#head < this.#slabs.length) this.#releaseHead();
    this.#first = 1;
    this.#last = 0;
    this.#keptBytes = 0;
    this.#limitReached = false;
  }

  /** At once: what has nothing to wait for needs no flush. */
  purge(upTo: number): void {
    this.#settle();
    while (!this.#isEmpty && this.#first <= upTo) {
      const slab = this.#slabs[this.#head]!;
      const i = this.#first - slab.firstSequence;
      const end = Math.min(slab.count, upTo + 1 - slab.firstSequence);
      this.#keptBytes -= slab.endOf(end - 1) - slab.startOf(i);
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

  get #isEmpty(): boolean {
    return this.#first > this.#last;
  }

  #isKept(sequence: number): boolean {
    return sequence >= this.#first && sequence <= this.#last;
  }

  /** Tells the last slab what it holds. */
  #settle(): void {
    const tail = this.#tail;
    if (tail === undefined) return;
    tail.count = this.#last - tail.firstSequence + 1;
    tail.usedEnd = this.#at;
  }

  /** Room for a message of `size`: what is free, or a new slab. False: there is none, `lastError` says why. */
  #makeRoom(sequence: number, size: number): boolean {
    if (this.#at + size <= this.#entry * 4) return true;
    if (this.#retired !== "") {
      this.#lastError = this.#retired;
      return false;
    }
    try {
      const slab = this.#pool.take(size, this.#keptBytes);
      this.#settle();
      slab.firstSequence = sequence;
      this.#slabs.push(slab);
      this.#tail = slab;
      this.#bytes = slab.bytes;
      this.#words = slab.words;
      this.#at = slab.start;
      this.#entry = slab.entryOf(0);
      return true;
    } catch (error) {
      // Both runtimes report memory that they cannot give as a RangeError. Everything else is a defect.
      if (!(error instanceof RangeError)) throw error;
      this.#lastError = "not enough memory to store the message";
      return false;
    }
  }

  /** Called over a limit. Reference 0.25.6: the newest message always stays, whatever its size (stores.md 2.4). */
  #enforceLimits(): void {
    if (this.#first >= this.#last) return;
    this.#settle();
    while (
      this.#first < this.#last &&
      ((this.#maxMessages > 0 && this.#last - this.#first >= this.#maxMessages) ||
        (this.#maxBytes > 0 && this.#keptBytes > this.#maxBytes))
    ) {
      const slab = this.#slabs[this.#head]!;
      const i = this.#first - slab.firstSequence;
      this.#keptBytes -= slab.endOf(i) - slab.startOf(i);
      this.#first++;
      if (i + 1 === slab.count) this.#releaseHead();
    }
    if (!this.#limitReached) {
      this.#limitReached = true;
      this.onLimitReached?.();
    }
  }

  /** Removes from the front what has a stamp at or before the given one. */
  #removeUntil(stampHigh: number, stampLow: number): void {
    this.#settle();
    while (!this.#isEmpty) {
      const slab = this.#slabs[this.#head]!;
      let i = this.#first - slab.firstSequence;
      // A slab that is over as a whole goes in one step: a million messages may end in the same millisecond.
      const lastEntry = slab.entryOf(slab.count - 1);
      if (isAtOrBefore(slab.words[lastEntry + 1]!, slab.words[lastEntry + 2]!, stampHigh, stampLow)) {
        this.#keptBytes -= slab.usedEnd - slab.startOf(i);
        this.#first += slab.count - i;
        this.#releaseHead();
        continue;
      }
      const start = slab.startOf(i);
      for (;; i++) {
        const entry = slab.entryOf(i);
        if (!isAtOrBefore(slab.words[entry + 1]!, slab.words[entry + 2]!, stampHigh, stampLow)) break;
        this.#first++;
      }
      this.#keptBytes -= slab.startOf(i) - start;
      return;
    }
  }

  #releaseHead(): void {
    const slab = this.#slabs[this.#head]!;
    if (this.#found === slab) this.#found = undefined;
    if (this.#tail === slab) {
      this.#tail = undefined;
      this.#bytes = NO_BYTES;
      this.#words = NO_WORDS;
      this.#at = 0;
      this.#entry = 0;
    }
    this.#pool.give(slab);
    this.#head++;
    if (this.#head === this.#slabs.length || this.#head > HEAD_WASTE_MAX) {
      this.#slabs.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** The slab of a kept sequence, settled. */
  #slabOf(sequence: number): Slab {
    this.#settle();
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
