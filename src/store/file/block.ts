/**
 * Messages in memory: blocks of neighbouring records in the form in which they lie in the data file. The newest block takes
 * appends and is written from; others were read. A block never changes where it is filled, so a delivery may refer to it
 * until it was sent: deliveries leave with the turn that made them, and what the cache gives up is used again after it.
 */
import { type RecencyLinks, RecencyList } from "../../base/recency_list.ts";
import { RECORD_HEADER_BYTES } from "./format.ts";
import type { Slice } from "./slice.ts";

/** Buffers of blocks that were given up are kept for new ones in these sizes. */
const BUFFER_SIZES = [256 * 1024, 512 * 1024] as const;
/** A smaller block gets a buffer of its own size. */
const BUFFER_SIZE_MIN = 128 * 1024;
/** What is kept for new blocks, all sizes together. */
const FREE_BYTES_MAX = 4 * 1024 * 1024;

/** Told when the cache gives a block up. */
export interface BlockOwner {
  evicted(block: Block): void;
}

export class Block implements RecencyLinks<Block> {
  readonly owner: BlockOwner;
  readonly slice: Slice;
  readonly firstSequence: number;
  /** Position of `bytes[0]` in the data file. */
  readonly fileOffset: number;
  /** | header | payload | header | payload | ... usedBytes | free | */
  readonly bytes: Uint8Array;
  /** Start of each payload in `bytes`. */
  index: Uint32Array;
  count = 0;
  usedBytes = 0;
  /** Everything before it was handed to the system. */
  writtenBytes = 0;
  /** The first entry that is not as safe as promised; `count` when all are. */
  firstStaged = 0;
  /** Kept whatever the cache's bound says: it holds bytes that are nowhere else. */
  pinned = false;
  // Of the cache.
  older: Block | undefined = undefined;
  newer: Block | undefined = undefined;
  cached = false;
  /** What it counts in the cache: its index may have grown meanwhile. */
  chargedBytes = 0;

  constructor(
    owner: BlockOwner,
    slice: Slice,
    firstSequence: number,
    fileOffset: number,
    bytes: Uint8Array,
    countExpected: number,
  ) {
    this.owner = owner;
    this.slice = slice;
    this.firstSequence = firstSequence;
    this.fileOffset = fileOffset;
    this.bytes = bytes;
    this.index = new Uint32Array(Math.max(1, countExpected));
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
  add(payloadStart: number, payloadEnd: number): void {
    if (this.count === this.index.length) {
      const longer = new Uint32Array(this.index.length * 2);
      longer.set(this.index);
      this.index = longer;
    }
    this.index[this.count] = payloadStart;
    this.count++;
    this.usedBytes = payloadEnd;
  }

  /** Where the payload of entry `i` ends. */
  payloadEnd(i: number): number {
    return i + 1 < this.count ? this.index[i + 1]! - RECORD_HEADER_BYTES : this.usedBytes;
  }

  /** Payload bytes of the entries that are not as safe as promised. */
  get stagedBytes(): number {
    const { count, firstStaged } = this;
    if (firstStaged >= count) return 0;
    return this.usedBytes - this.index[firstStaged]! -
      (count - firstStaged - 1) * RECORD_HEADER_BYTES;
  }

  /** Takes the entries from `count` on back: nobody has seen them. */
  cutTo(count: number): void {
    if (count >= this.count) return;
    this.usedBytes = count === 0 ? 0 : this.index[count]! - RECORD_HEADER_BYTES;
    this.count = count;
    if (this.writtenBytes > this.usedBytes) this.writtenBytes = this.usedBytes;
    if (this.firstStaged > count) this.firstStaged = count;
  }
}

/**
 * Buffers for blocks, used again. A channel that is published to at full speed fills 300 blocks a second: left to the
 * collector they were 150 MB beside the cache (Bun 1.4.5, `file-footprint` of tests/bench, 2026-11).
 */
class BlockBuffers {
  readonly #afterTurn: (work: () => void) => void;
  readonly #free: Uint8Array[][] = BUFFER_SIZES.map(() => []);
  #freeBytes = 0;
  /** Given up in this turn: its deliveries may refer to them. */
  #resting: Uint8Array[] = [];
  #restingBytes = 0;

  constructor(afterTurn: (work: () => void) => void) {
    this.#afterTurn = afterTurn;
  }

  /** At least `size` bytes, with anything in them. */
  take(size: number): Uint8Array {
    if (size < BUFFER_SIZE_MIN) return new Uint8Array(size);
    const kind = BUFFER_SIZES.findIndex((one) => size <= one);
    if (kind < 0) return new Uint8Array(size);
    const found = this.#free[kind]!.pop();
    if (found === undefined) return new Uint8Array(BUFFER_SIZES[kind]!);
    this.#freeBytes -= found.length;
    return found;
  }

  /** Nobody reads from it when this turn has ended. */
  give(bytes: Uint8Array): void {
    if (!BUFFER_SIZES.some((size) => size === bytes.length)) return;
    if (this.#freeBytes + this.#restingBytes + bytes.length > FREE_BYTES_MAX) return;
    if (this.#resting.length === 0) this.#afterTurn(this.#turnEnded);
    this.#resting.push(bytes);
    this.#restingBytes += bytes.length;
  }

  readonly #turnEnded = (): void => {
    for (const bytes of this.#resting) this.#free[BUFFER_SIZES.findIndex((size) => size === bytes.length)]!.push(bytes);
    this.#freeBytes += this.#restingBytes;
    this.#resting = [];
    this.#restingBytes = 0;
  };
}

/** Bounds the blocks of all channels of a store. */
export class BlockCache {
  readonly #buffers: BlockBuffers;
  readonly #maxBytes: number;
  #bytes = 0;
  readonly #blocks = new RecencyList<Block>();

  /** `afterTurn` runs its argument when every delivery that was made before has been sent. */
  constructor(maxBytes: number, afterTurn: (work: () => void) => void) {
    this.#maxBytes = maxBytes;
    this.#buffers = new BlockBuffers(afterTurn);
  }

  /** Bytes for a new block: at least so many, with anything in them. */
  buffer(size: number): Uint8Array {
    return this.#buffers.take(size);
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(block: Block): void {
    block.cached = true;
    block.chargedBytes = block.costBytes;
    this.#bytes += block.chargedBytes;
    this.#blocks.add(block);
    this.trim();
  }

  /** The block is full: from here on its size is known. */
  completed(block: Block): void {
    if (!block.cached) return;
    this.#bytes += block.costBytes - block.chargedBytes;
    block.chargedBytes = block.costBytes;
  }

  /** The block was used: it goes last. Called when a reader enters a block, not per message. */
  touch(block: Block): void {
    if (block.cached) this.#blocks.renew(block);
  }

  remove(block: Block): void {
    if (!block.cached) return;
    block.cached = false;
    this.#bytes -= block.chargedBytes;
    this.#blocks.remove(block);
  }

  /** Gives up what is too much, the least recently used first. */
  trim(): void {
    let block = this.#blocks.oldest;
    // The newest one stays: somebody asked for it a moment ago.
    while (this.#bytes > this.#maxBytes && block !== undefined && block !== this.#blocks.newest) {
      const next = block.newer;
      if (!block.pinned) {
        this.remove(block);
        block.owner.evicted(block);
        this.#buffers.give(block.bytes);
      }
      block = next;
    }
  }
}
