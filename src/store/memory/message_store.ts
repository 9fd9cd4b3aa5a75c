/**
 * Messages of one channel in memory. Appending is the hottest path of the whole product: no allocation per message, no
 * closures, one copy from the network buffer into the log, where the message lies in the form in which it is delivered.
 */
import { assert } from "../../base/assert.ts";
import { decodeMsgProto, encodeMsgProto, msgProtoSize, MsgProtoView } from "../../wire/stan_hot.ts";
import {
  APPEND_FAILED,
  type ChannelLimits,
  LOOKUP_FOUND,
  LOOKUP_NONE,
  type LookupResult,
  type MessageStore,
  type MessageView,
} from "../types.ts";
import { ENTRY_WORDS, type IndexChunk, type IndexPool } from "./index_pool.ts";
import {
  type LogOwner,
  OWN_KEPT_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_OVERHEAD_MAX,
  type SharedLog,
  type Slab,
  startOf,
} from "./shared_log.ts";
import { isAtOrBefore, MaxAge } from "../stamp.ts";

/** Given-up entries at the front of the chunk list before it is cut: cutting each time would move the list each time. */
const HEAD_WASTE_MAX = 32;

/**
 * What a record has at most besides channel, reply and data: its own, and of the MsgProto five tags, three lengths of up to
 * five bytes, sequence and stamp of up to ten.
 */
const OVERHEAD_MAX = RECORD_OVERHEAD_MAX + 5 + 3 * 5 + 2 * 10;

/** Messages that are looked at together, and what of each. */
const TOUCHED_AHEAD = 16;
const TOUCHED_BYTES_MAX = 512;

const NO_WORDS = new Int32Array(0);

/** What was decoded last, and where it was. */
const shown: MessageView = { buffer: new Uint8Array(0), start: 0, end: 0 };
const decoded = new MsgProtoView();

/** The MEMORY implementation of {@link MessageStore}. */
export class MemoryMessageStore implements MessageStore, LogOwner {
  // What a publish touches stands together: with thousands of channels each line of the cache counts.
  readonly #nameLength: number;
  /** Of this channel, in the log. */
  readonly #number: number;
  readonly #log: SharedLog;
  /** Of the last chunk; none when there is no chunk that takes an entry. */
  #words: Int32Array = NO_WORDS;
  /** Takes its messages while it keeps much; else that is the log's last slab. */
  #own: Slab | undefined = undefined;
  /** Where the next entry goes in `#words`, and where there is no room for it any more. */
  #entry = 0;
  #entryEnd = 0;
  #last = 0;
  /** Behind `#last` when nothing is kept. */
  #first = 1;
  #keptBytes = 0;
  readonly #maxMessages: number;
  readonly #maxBytes: number;

  readonly #channel: Uint8Array;
  /** Where the last lookup was: deliveries go through a chunk message by message. */
  #found: IndexChunk | undefined = undefined;
  /** Behind what was looked at ahead of its reader. */
  #touchedEnd = 0;
  readonly #maxAge: MaxAge | undefined;
  readonly #pool: IndexPool;
  /** Chunks in order of sequence, from `#head` on; all but the last one are full. */
  #chunks: IndexChunk[] = [];
  #head = 0;
  #limitReached = false;
  /** Why nothing can be stored any more; empty while it can. */
  #retired = "";
  #lastError = "";

  onReadable: (() => void) | undefined = undefined;
  onLimitReached: (() => void) | undefined = undefined;

  constructor(channel: Uint8Array, limits: ChannelLimits, log: SharedLog, pool: IndexPool) {
    this.#nameLength = channel.length;
    this.#channel = channel;
    this.#log = log;
    this.#number = log.addOwner(this);
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
    let slab = this.#own;
    if (slab === undefined) slab = this.#log.tail;
    if (slab.used + sizeBound > slab.end || this.#entry === this.#entryEnd) {
      const size = msgProtoSize(
        sequence,
        nameLength,
        replyEnd - replyStart,
        dataEnd - dataStart,
        stampHigh,
        stampLow,
      );
      slab = this.#makeRoom(sequence, size);
      if (slab === undefined) return APPEND_FAILED;
    }
    const start = slab.used + RECORD_HEADER_BYTES;
    const names = nameStart < 0 ? this.#channel : source;
    const nameAt = nameStart < 0 ? 0 : nameStart;
    const end = encodeMsgProto(
      slab.bytes,
      start,
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
    const size = end - start;
    const entry = this.#entry;
    const words = this.#words;
    words[entry] = slab.commit(this.#number, size);
    words[entry + 1] = size;
    this.#entry = entry + ENTRY_WORDS;
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
    const chunk = this.#chunkOf(sequence);
    if (sequence >= this.#touchedEnd || sequence < this.#touchedEnd - TOUCHED_AHEAD) this.#touch(chunk, sequence);
    this.#show(chunk, sequence, into);
    return LOOKUP_FOUND;
  }

  sequenceAtOrAfter(stampHigh: number, stampLow: number): number {
    if (this.#last === 0) return 0;
    let low = this.#first;
    let high = this.#last + 1;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      const stamp = this.#stampAt(middle);
      if (isAtOrBefore(stampHigh, stampLow, stamp.stampHigh, stamp.stampLow)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  stampOf(sequence: number, into: { stampHigh: number; stampLow: number }): boolean {
    if (!this.#isKept(sequence)) return false;
    const { stampHigh, stampLow } = this.#stampAt(sequence);
    into.stampHigh = stampHigh;
    into.stampLow = stampLow;
    return true;
  }

  expire(stampHigh: number, stampLow: number): number {
    const maxAge = this.#maxAge;
    if (this.#isEmpty || maxAge === undefined) return 0;
    const old = maxAge.lastTooOld(stampHigh, stampLow);
    if (old !== undefined) {
      const isLowMax = old.low === 0xffff_ffff;
      this.#removeBelow(this.sequenceAtOrAfter(isLowMax ? old.high + 1 : old.high, isLowMax ? 0 : old.low + 1));
      if (this.#isEmpty) return 0;
    }
    const first = this.#stampAt(this.#first);
    return maxAge.endOfMs(first.stampHigh, first.stampLow);
  }

  empty(): void {
    this.#removeBelow(this.#last + 1);
    this.#first = 1;
    this.#last = 0;
    this.#limitReached = false;
  }

  /** At once: what has nothing to wait for needs no flush. */
  purge(upTo: number): void {
    this.#removeBelow(upTo + 1);
  }

  relocate(sequence: number, from: number, to: number): boolean {
    if (!this.#isKept(sequence)) return false;
    const chunk = this.#chunkOf(sequence);
    const entry = chunk.entryOf(sequence);
    if (chunk.words[entry] !== from) return false;
    chunk.words[entry] = to;
    return true;
  }

  flush(): undefined {
    return undefined;
  }

  /** Gives up all memory; from here on nothing is found and nothing stored, with `reason` as the text. For the owner. */
  retire(reason: string): void {
    if (this.#retired !== "") return;
    this.empty();
    this.#log.removeOwner(this.#number);
    this.#retired = reason;
  }

  get #isEmpty(): boolean {
    return this.#first > this.#last;
  }

  #isKept(sequence: number): boolean {
    return sequence >= this.#first && sequence <= this.#last;
  }

  /**
   * Looks at a few messages from `sequence` on, all at once: the messages of other channels stand between them, and memory that
   * is far away comes in the time of one where it is asked for together.
   */
  #touch(chunk: IndexChunk, sequence: number): void {
    const end = Math.min(sequence + TOUCHED_AHEAD, chunk.lastSequence + 1, this.#last + 1);
    this.#touchedEnd = end;
    if (this.#own !== undefined) return;
    const { words } = chunk;
    const entryEnd = chunk.entryOf(end);
    let sum = 0;
    for (let entry = chunk.entryOf(sequence); entry < entryEnd; entry += ENTRY_WORDS) {
      const place = words[entry]!;
      const { bytes } = this.#log.slabOf(place);
      const start = startOf(place);
      const stop = start + Math.min(words[entry + 1]!, TOUCHED_BYTES_MAX);
      for (let at = start; at < stop; at += 64) sum += bytes[at]!;
    }
    // It never is; but the engine may not leave out a look that something depends on.
    if (sum < 0) this.#touchedEnd = 0;
  }

  /** Of a kept sequence; valid until the next call. */
  #stampAt(sequence: number): MsgProtoView {
    this.#show(this.#chunkOf(sequence), sequence, shown);
    assert(decodeMsgProto(shown.buffer, shown.start, shown.end, decoded), "what was stored can be decoded");
    return decoded;
  }

  /** Where a kept sequence is, which `chunk` has. */
  #show(chunk: IndexChunk, sequence: number, into: MessageView): void {
    const entry = chunk.entryOf(sequence);
    const place = chunk.words[entry]!;
    const start = startOf(place);
    into.buffer = this.#log.slabOf(place).bytes;
    into.start = start;
    into.end = start + chunk.words[entry + 1]!;
  }

  /** Room for a message of `size` and for its entry. Undefined: there is none, `lastError` says why. */
  #makeRoom(sequence: number, size: number): Slab | undefined {
    if (this.#retired !== "") {
      this.#lastError = this.#retired;
      return undefined;
    }
    let slab: Slab | undefined;
    try {
      slab = this.#roomFor(size);
      if (this.#entry === this.#entryEnd) this.#addChunk(this.#pool.take(this.messageCount), sequence);
      return slab;
    } catch (error) {
      // Both runtimes report memory that they cannot give as a RangeError. Everything else is a defect.
      if (!(error instanceof RangeError)) throw error;
      if (slab !== undefined) this.#log.takeBack(slab);
      this.#lastError = "not enough memory to store the message";
      return undefined;
    }
  }

  #roomFor(size: number): Slab {
    const log = this.#log;
    const own = this.#own;
    if (own === undefined) {
      if (this.#keptBytes < OWN_KEPT_BYTES) return log.room(log.tail, size);
      return log.room(this.#own = log.open(), size);
    }
    const slab = log.room(own, size);
    if (slab.isOpen) this.#own = slab;
    return slab;
  }

  #addChunk(chunk: IndexChunk, sequence: number): void {
    chunk.firstSequence = sequence;
    this.#chunks.push(chunk);
    this.#words = chunk.words;
    this.#entry = chunk.start;
    this.#entryEnd = chunk.end;
  }

  /** Called over a limit. Reference 0.25.6: the newest message always stays, whatever its size (stores.md 2.4). */
  #enforceLimits(): void {
    if (this.#first >= this.#last) return;
    while (
      this.#first < this.#last &&
      ((this.#maxMessages > 0 && this.#last - this.#first >= this.#maxMessages) ||
        (this.#maxBytes > 0 && this.#keptBytes > this.#maxBytes))
    ) this.#removeBelow(this.#first + 1);
    if (!this.#limitReached) {
      this.#limitReached = true;
      this.onLimitReached?.();
    }
  }

  /** Removes from the front what has a lower sequence. */
  #removeBelow(sequence: number): void {
    while (this.#first < sequence && !this.#isEmpty) {
      const chunk = this.#chunks[this.#head]!; // Nothing is kept without an entry.
      const { words } = chunk;
      const behind = Math.min(chunk.lastSequence, this.#last) + 1;
      const stop = Math.min(sequence, behind);
      const end = chunk.entryOf(stop);
      for (let entry = chunk.entryOf(this.#first); entry < end; entry += ENTRY_WORDS) {
        const size = words[entry + 1]!;
        this.#keptBytes -= size;
        this.#log.release(words[entry]!, size);
      }
      this.#first = stop;
      if (stop === behind) this.#giveUpHead();
    }
    if (this.#own !== undefined && this.#keptBytes < OWN_KEPT_BYTES / 2) {
      this.#log.seal(this.#own);
      this.#own = undefined;
    }
  }

  /** The last one, too, although it has room: a channel without a message holds no memory. */
  #giveUpHead(): void {
    const chunk = this.#chunks[this.#head]!; // Its last entry was just removed.
    if (this.#found === chunk) this.#found = undefined;
    this.#pool.give(chunk);
    this.#head++;
    if (this.#head === this.#chunks.length) {
      this.#words = NO_WORDS;
      this.#entry = this.#entryEnd = 0;
    } else if (this.#head <= HEAD_WASTE_MAX) return;
    this.#chunks.splice(0, this.#head);
    this.#head = 0;
  }

  /** The chunk of a kept sequence. */
  #chunkOf(sequence: number): IndexChunk {
    const found = this.#found;
    if (found !== undefined && sequence >= found.firstSequence && sequence <= found.lastSequence) return found;
    const chunks = this.#chunks;
    let low = this.#head;
    let high = chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (chunks[middle]!.firstSequence <= sequence) low = middle;
      else high = middle - 1;
    }
    const chunk = chunks[low]!; // A kept sequence has an entry.
    this.#found = chunk;
    return chunk;
  }
}
