/**
 * Decrypted messages that are likely to be asked for again: those that were just stored, for the subscribers who wait for
 * them, and those that were just decrypted, for the next subscriber. One per store; bounded.
 *
 * Messages are written one behind the other into chunks. A chunk is never written twice and never used again: a delivery
 * may refer to it for as long as it likes, and the collector takes it when nobody does. What the bound gives up is the
 * cache's own reference.
 */
import type { MessageView } from "../types.ts";

/** Chunk of many messages. */
const CHUNK_BYTES = 256 * 1024;
/** Larger messages get a chunk of their own, so that they do not leave a shared one half empty. */
const SHARED_BYTES_MAX = 64 * 1024;
/** Larger messages are not kept at all: one of them would push out everything else. */
const KEPT_BYTES_MAX = 2 * 1024 * 1024;
/** Chunks that are kept, in bytes. */
export const PLAIN_CACHE_BYTES_MAX = 8 * 1024 * 1024;
/** Entries, a power of two. More small messages than fit into the chunks; 28 bytes each. */
const SLOT_COUNT = 32 * 1024;
const SLOT_MASK = SLOT_COUNT - 1;
/** Odd: channels begin at places that are far apart, so that two busy ones do not push out each other. */
const CHANNEL_STRIDE = 0x9e37_79b1;

const NOTHING = new Uint8Array(0);

/** Where a message is written: ask with `reserve`, write at `buffer[at]`, then `keep`. What is not kept is overwritten. */
export class PlainCache {
  buffer: Uint8Array = NOTHING;
  at = 0;

  /** The chunk that takes small messages, and how much of it is taken. */
  #shared: Uint8Array = NOTHING;
  #sharedUsed = 0;
  #sharedSerial = -1;
  /** Chunks that are kept, in the order they were begun: `#chunks[i]` has the serial `#firstSerial + i`. */
  readonly #chunks: Uint8Array[] = [];
  #firstSerial = 0;
  #keptBytes = 0;
  #idCount = 0;

  /**
   * Entries by column. The place of an entry is that of its sequence, from a start of its channel: a message has one place,
   * and what comes there later replaces it. 0 in `#ids` is a free place.
   */
  readonly #ids = new Uint32Array(SLOT_COUNT);
  readonly #sequences = new Float64Array(SLOT_COUNT);
  readonly #serials = new Float64Array(SLOT_COUNT);
  readonly #starts = new Uint32Array(SLOT_COUNT);
  readonly #ends = new Uint32Array(SLOT_COUNT);

  /** An id under which nothing is kept. A channel that takes a new one has forgotten everything. */
  newId(): number {
    return ++this.#idCount;
  }

  /** Bytes of chunks that are kept. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** True when a message of this size is worth writing for the cache alone. */
  takes(sizeBytes: number): boolean {
    return sizeBytes <= KEPT_BYTES_MAX;
  }

  /** Room for `sizeBytes` at `buffer[at]`, until the next call of any method. Never written before. */
  reserve(sizeBytes: number): void {
    if (sizeBytes > SHARED_BYTES_MAX) {
      this.buffer = new Uint8Array(sizeBytes);
      this.at = 0;
      return;
    }
    if (this.#shared.length - this.#sharedUsed < sizeBytes) {
      this.#shared = new Uint8Array(CHUNK_BYTES);
      this.#sharedUsed = 0;
      this.#sharedSerial = this.#hold(this.#shared);
    }
    this.buffer = this.#shared;
    this.at = this.#sharedUsed;
  }

  /** What was written at `buffer[at, end)` is this message. */
  keep(id: number, sequence: number, end: number): void {
    const { buffer } = this;
    let serial = this.#sharedSerial;
    if (buffer === this.#shared) this.#sharedUsed = end;
    else if (buffer.length <= KEPT_BYTES_MAX) serial = this.#hold(buffer);
    else return this.forget(id, sequence);
    const slot = slotOf(id, sequence);
    this.#ids[slot] = id;
    this.#sequences[slot] = sequence;
    this.#serials[slot] = serial;
    this.#starts[slot] = this.at;
    this.#ends[slot] = end;
  }

  /** Points `into` at the message. False: it is not here. */
  find(id: number, sequence: number, into: MessageView): boolean {
    const slot = slotOf(id, sequence);
    if (this.#ids[slot] !== id || this.#sequences[slot] !== sequence) return false;
    const i = this.#serials[slot]! - this.#firstSerial;
    if (i < 0) return false;
    into.buffer = this.#chunks[i]!; // Serials are given in the order of the chunks, without gaps.
    into.start = this.#starts[slot]!;
    into.end = this.#ends[slot]!;
    return true;
  }

  /** The message is another one from here on. */
  forget(id: number, sequence: number): void {
    const slot = slotOf(id, sequence);
    if (this.#ids[slot] === id && this.#sequences[slot] === sequence) this.#ids[slot] = 0;
  }

  /** Lets go of everything. */
  clear(): void {
    this.#firstSerial += this.#chunks.length;
    this.#chunks.length = 0;
    this.#keptBytes = 0;
    this.#shared = NOTHING;
    this.#sharedUsed = 0;
    this.buffer = NOTHING;
    this.#ids.fill(0);
  }

  /** Keeps a chunk and gives up the oldest ones beyond the bound; returns its serial. */
  #hold(chunk: Uint8Array): number {
    this.#chunks.push(chunk);
    this.#keptBytes += chunk.length;
    while (this.#keptBytes > PLAIN_CACHE_BYTES_MAX) {
      const oldest = this.#chunks.shift()!; // Never the new one, which is far below the bound alone.
      this.#firstSerial++;
      this.#keptBytes -= oldest.length;
      if (oldest === this.#shared) this.#shared = NOTHING;
    }
    return this.#firstSerial + this.#chunks.length - 1;
  }
}

function slotOf(id: number, sequence: number): number {
  return ((sequence & SLOT_MASK) + Math.imul(id, CHANNEL_STRIDE)) & SLOT_MASK;
}
