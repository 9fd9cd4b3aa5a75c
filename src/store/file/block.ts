/**
 * Messages in memory: blocks of neighbouring records in the form in which they lie in the data file. The newest block takes
 * appends and is written from; others were read. A block never changes where it is filled, so a delivery may refer to it
 * until it was sent, whatever the cache does meanwhile.
 */
import { RECORD_HEADER_BYTES } from "./format.ts";
import type { Slice } from "./slice.ts";

/** Words per message: start of the payload in `bytes`, then the two halves of the stamp. */
export const BLOCK_INDEX_STRIDE = 3;

/** Told when the cache gives a block up. */
export interface BlockOwner {
  evicted(block: Block): void;
}

export class Block {
  readonly owner: BlockOwner;
  readonly slice: Slice;
  readonly firstSequence: number;
  /** Position of `bytes[0]` in the data file. */
  readonly fileOffset: number;
  /** | header | payload | header | payload | ... usedBytes | free | */
  readonly bytes: Uint8Array;
  index: Uint32Array;
  count = 0;
  usedBytes = 0;
  /** Everything before it was handed to the system. */
  writtenBytes = 0;
  /** The first entry that is not as safe as promised; `count` when all are. */
  firstStaged = 0;
  /** Kept whatever the cache's bound says: it holds bytes that are nowhere else. */
  pinned = false;
  /** Chain of the cache, least recently used first. */
  older: Block | undefined = undefined;
  newer: Block | undefined = undefined;
  cached = false;

  constructor(
    owner: BlockOwner,
    slice: Slice,
    firstSequence: number,
    fileOffset: number,
    size: number,
    countExpected: number,
  ) {
    this.owner = owner;
    this.slice = slice;
    this.firstSequence = firstSequence;
    this.fileOffset = fileOffset;
    this.bytes = new Uint8Array(size);
    this.index = new Uint32Array(Math.max(1, countExpected) * BLOCK_INDEX_STRIDE);
  }

  get endSequence(): number {
    return this.firstSequence + this.count;
  }

  get costBytes(): number {
    return this.bytes.byteLength + this.index.byteLength + 128;
  }

  holds(sequence: number): boolean {
    return sequence >= this.firstSequence && sequence < this.firstSequence + this.count;
  }

  /** Adds the record whose payload stands at `[payloadStart, payloadEnd)`. */
  add(payloadStart: number, payloadEnd: number, stampHigh: number, stampLow: number): void {
    const entry = this.count * BLOCK_INDEX_STRIDE;
    if (entry + BLOCK_INDEX_STRIDE > this.index.length) {
      const longer = new Uint32Array(this.index.length * 2);
      longer.set(this.index);
      this.index = longer;
    }
    const index = this.index;
    index[entry] = payloadStart;
    index[entry + 1] = stampHigh;
    index[entry + 2] = stampLow;
    this.count++;
    this.usedBytes = payloadEnd;
  }

  /** Where the payload of entry `i` ends. */
  payloadEnd(i: number): number {
    return i + 1 < this.count ? this.index[(i + 1) * BLOCK_INDEX_STRIDE]! - RECORD_HEADER_BYTES : this.usedBytes;
  }

  /** Takes the entries from `count` on back: nobody has seen them. */
  cutTo(count: number): void {
    if (count >= this.count) return;
    this.usedBytes = count === 0 ? 0 : this.index[count * BLOCK_INDEX_STRIDE]! - RECORD_HEADER_BYTES;
    this.count = count;
    if (this.writtenBytes > this.usedBytes) this.writtenBytes = this.usedBytes;
    if (this.firstStaged > count) this.firstStaged = count;
  }
}

/** Bounds the blocks of all channels of a store. */
export class BlockCache {
  readonly #maxBytes: number;
  #bytes = 0;
  #oldest: Block | undefined;
  #newest: Block | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(block: Block): void {
    block.cached = true;
    this.#bytes += block.costBytes;
    this.#append(block);
    this.trim();
  }

  /** The block was used: it goes last. Called when a reader enters a block, not per message. */
  touch(block: Block): void {
    if (!block.cached || block === this.#newest) return;
    this.#unlink(block);
    this.#append(block);
  }

  remove(block: Block): void {
    if (!block.cached) return;
    block.cached = false;
    this.#bytes -= block.costBytes;
    this.#unlink(block);
  }

  /** Gives up what is too much, the least recently used first. */
  trim(): void {
    let block = this.#oldest;
    // The newest one stays: somebody asked for it a moment ago.
    while (this.#bytes > this.#maxBytes && block !== undefined && block !== this.#newest) {
      const next = block.newer;
      if (!block.pinned) {
        this.remove(block);
        block.owner.evicted(block);
      }
      block = next;
    }
  }

  #append(block: Block): void {
    block.older = this.#newest;
    block.newer = undefined;
    if (this.#newest !== undefined) this.#newest.newer = block;
    else this.#oldest = block;
    this.#newest = block;
  }

  #unlink(block: Block): void {
    if (block.older !== undefined) block.older.newer = block.newer;
    else this.#oldest = block.newer;
    if (block.newer !== undefined) block.newer.older = block.older;
    else this.#newest = block.older;
    block.older = undefined;
    block.newer = undefined;
  }
}
