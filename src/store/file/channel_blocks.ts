/**
 * The messages of one channel that are in memory: the block that takes appends, and those that were read. No message is in two
 * of them. Blocks whose bytes are not as safe as promised are pinned: they are nowhere else.
 */
import { Block, type BlockOwner } from "./block.ts";
import type { FileStoreShared } from "./shared.ts";
import type { Slice } from "./slice.ts";

/** Sizes of the blocks that take appends: a channel that gets little must not hold much. */
const TAIL_BYTES_MIN = 1024;
const TAIL_BYTES_MAX = 256 * 1024;

export class ChannelBlocks implements BlockOwner {
  readonly #shared: FileStoreShared;
  /** Ascending by sequence. */
  #blocks: Block[] = [];
  #pinned: Block[] = [];
  #tailBytes = TAIL_BYTES_MIN;
  /** Where the last lookup was: readers go through a block message by message. */
  found: Block | undefined;
  /** Takes appends while it has room. */
  tail: Block | undefined;

  constructor(shared: FileStoreShared) {
    this.#shared = shared;
  }

  // Reading ------------------------------------------------------------------------------------------------------------

  /** The block of `sequence`, which is `found` from here on; undefined: it is not in memory. */
  find(sequence: number): Block | undefined {
    const block = this.#blocks[this.#placeBefore(sequence)];
    if (block === undefined || !block.holds(sequence)) return undefined;
    this.found = block;
    this.#shared.cache.touch(block);
    return block;
  }

  /** `sequence` is in memory. */
  has(sequence: number): boolean {
    return this.#blocks[this.#placeBefore(sequence)]?.holds(sequence) === true;
  }

  /** Behind `sequence`, which is not in memory, the first that is; Infinity: none is. */
  nextBehind(sequence: number): number {
    return this.#blocks[this.#placeBefore(sequence) + 1]?.firstSequence ?? Infinity;
  }

  /** Takes a block that was read, unless its messages came in another way meanwhile. */
  put(block: Block): void {
    const before = this.#placeBefore(block.firstSequence);
    if (this.#blocks[before]?.holds(block.firstSequence) === true) return;
    this.#blocks.splice(before + 1, 0, block);
    this.#shared.cache.add(block);
  }

  /** The cache gave a block up. */
  evicted(block: Block): void {
    const at = this.#blocks.indexOf(block);
    if (at >= 0) this.#blocks.splice(at, 1);
    if (this.found === block) this.found = undefined;
    if (this.tail === block) this.tail = undefined;
  }

  /** Index of the last block that begins at or before `sequence`; -1 = none. */
  #placeBefore(sequence: number): number {
    const blocks = this.#blocks;
    let low = 0;
    let high = blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (blocks[middle]!.firstSequence <= sequence) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  // Writing ------------------------------------------------------------------------------------------------------------

  /** A new tail for messages of `slice` from `sequence` on; the first one takes `sizeBound` bytes at most. */
  newTail(slice: Slice, sequence: number, sizeBound: number): Block {
    const { cache, options } = this.#shared;
    const bufferBytes = Math.min(TAIL_BYTES_MAX, Math.max(TAIL_BYTES_MIN, options.bufferBytes));
    const size = Math.max(Math.min(this.#tailBytes, bufferBytes), sizeBound);
    this.#tailBytes = Math.min(bufferBytes, this.#tailBytes * 2);
    const before = this.tail;
    if (before !== undefined) cache.completed(before);
    const fileOffset = before !== undefined && before.slice === slice
      ? before.fileOffset + before.usedBytes
      : slice.data.size;
    const bytes = cache.buffer(size);
    // By the records of the block before, and one in 8 more, as sizes vary: an index that grows on its way is made twice. But
    // where large messages begin behind small ones, not for small ones.
    const sizeExpected = before === undefined || before.count === 0
      ? sizeBound
      : Math.max(before.usedBytes / before.count, sizeBound / 4);
    const countExpected = Math.ceil(bytes.length / sizeExpected * 9 / 8) + 1;
    const block = new Block(this, slice, sequence, fileOffset, bytes, countExpected);
    this.tail = block;
    this.#blocks.push(block);
    this.pin(block);
    cache.add(block);
    return block;
  }

  /** `block` has bytes that are not as safe as promised. */
  pin(block: Block): void {
    if (block.pinned) return;
    block.pinned = true;
    this.#pinned.push(block);
  }

  /**
   * Hands what was appended to the system. Throws what it refuses. One write per block, also for the seven small ones of a new
   * channel's first burst: 127 KB take 90 us so and 185 us copied together first, on both runtimes, whose files know no write
   * of several buffers at a place (Deno 2.9.6, Bun 1.4.5, 2026-11).
   */
  write(): void {
    for (const block of this.#pinned) {
      if (block.writtenBytes === block.usedBytes) continue;
      block.slice.data.write(block.bytes, block.writtenBytes, block.usedBytes);
      block.writtenBytes = block.usedBytes;
    }
  }

  /** Messages up to `last` are as safe as promised. */
  becameSafe(last: number): void {
    let kept = 0;
    for (const block of this.#pinned) {
      if (block.endSequence - 1 <= last && block.writtenBytes === block.usedBytes) this.#unpin(block);
      else this.#pinned[kept++] = block;
    }
    this.#pinned.length = kept;
    this.#shared.cache.trim();
  }

  /** What is behind `last` was never there. */
  cutTo(last: number): void {
    for (const block of this.#pinned) this.#unpin(block);
    this.#pinned = [];
    for (const block of this.#blocks) {
      if (block.firstSequence > last) {
        block.cutTo(0);
        this.#shared.cache.remove(block);
      } else if (block.endSequence > last + 1) {
        block.cutTo(last + 1 - block.firstSequence);
      }
    }
    this.#blocks = this.#blocks.filter((block) => block.count > 0);
    this.tail = undefined;
    this.found = undefined;
  }

  #unpin(block: Block): void {
    this.#shared.stagedBytes -= block.stagedBytes;
    block.firstStaged = block.count;
    block.pinned = false;
  }

  // End ----------------------------------------------------------------------------------------------------------------

  /** Nothing of `slice` is kept. */
  forget(slice: Slice): void {
    this.#blocks = this.#blocks.filter((block) => {
      if (block.slice !== slice) return true;
      this.#shared.cache.remove(block);
      if (this.found === block) this.found = undefined;
      return false;
    });
  }

  /** Nothing at all is kept, also of what was not written. */
  drop(): void {
    for (const block of this.#blocks) this.#shared.cache.remove(block);
    for (const block of this.#pinned) this.#shared.stagedBytes -= block.stagedBytes;
    this.#blocks = [];
    this.#pinned = [];
    this.found = undefined;
    this.tail = undefined;
  }
}
