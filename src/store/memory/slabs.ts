/**
 * Memory of the MEMORY store: messages lie encoded in slabs, each with an index of its own, and a slab is given up whole
 * when its last message is removed. Against one object per message this takes a fifth of the memory, and the collector has
 * nothing to walk through (runtime.md 12).
 */

/** Largest slab for more than one message. */
export const SLAB_SIZE_MAX = 1024 * 1024;
/** Smallest slab: what a channel with one small message costs. */
export const SLAB_SIZE_MIN = 1024;
/** Memory of given-up slabs that is kept for re-use, over all channels of a store. */
export const POOL_SIZE_MAX = 8 * 1024 * 1024;

/** Index words per message: offset in the slab, then the two halves of the stamp. The end is the next one's offset. */
export const INDEX_STRIDE = 3;

/** Gives zeroed memory or throws a RangeError. A seam: tests let it fail. */
export interface SlabAllocator {
  bytes(size: number): Uint8Array;
  words(count: number): Uint32Array;
}

/** Memory from the runtime. */
export const RUNTIME_ALLOCATOR: SlabAllocator = Object.freeze({
  bytes: (size: number) => new Uint8Array(size),
  words: (count: number) => new Uint32Array(count),
});

/**
 * One piece of a channel: messages of consecutive sequences.
 *
 * bytes : | MsgProto | MsgProto | ... usedBytes | free |
 * index : | offset, stamp high, stamp low | ... count entries, removed messages included | free |
 */
export class Slab {
  bytes: Uint8Array;
  index: Uint32Array;
  firstSequence = 0;
  count = 0;
  usedBytes = 0;

  constructor(bytes: Uint8Array, index: Uint32Array) {
    this.bytes = bytes;
    this.index = index;
  }

  /** Start of entry `i` in `bytes`. */
  startOf(i: number): number {
    return this.index[i * INDEX_STRIDE]!;
  }

  /** End of entry `i` in `bytes`. */
  endOf(i: number): number {
    return i + 1 < this.count ? this.index[(i + 1) * INDEX_STRIDE]! : this.usedBytes;
  }
}

/** Makes slabs and keeps a bounded number of given-up ones, by size. One per store. */
export class SlabPool {
  readonly #allocator: SlabAllocator;
  /** Free slabs by the binary logarithm of their size. */
  readonly #free: Slab[][] = [];
  #pooledBytes = 0;

  constructor(allocator: SlabAllocator) {
    this.#allocator = allocator;
    for (let i = 0; i <= Math.log2(SLAB_SIZE_MAX); i++) this.#free.push([]);
  }

  /**
   * An empty slab for a message of `messageBytes` in a channel that keeps `keptBytes` in `keptCount` messages. Slabs are
   * a quarter to a half of what is kept, within bounds: so ten thousand channels with small limits do not hold a megabyte
   * each, and of a channel at its limit the slab that dies and the one that is filled are little beside the rest. Throws a
   * RangeError when there is no memory.
   */
  take(messageBytes: number, keptBytes: number, keptCount: number): Slab {
    const wanted = Math.max(Math.min(keptBytes / 4, SLAB_SIZE_MAX), messageBytes, SLAB_SIZE_MIN);
    const size = wanted > SLAB_SIZE_MAX ? wanted : nextPowerOfTwo(wanted);
    if (size <= SLAB_SIZE_MAX) {
      const slab = this.#free[31 - Math.clz32(size)]!.pop();
      if (slab !== undefined) {
        this.#pooledBytes -= costOf(slab);
        return slab;
      }
    }
    const messageBytesMean = keptCount === 0 ? messageBytes : keptBytes / keptCount;
    // An eighth more than the mean says: an index that is one entry short would double.
    const countExpected = Math.floor(size / messageBytesMean * 1.125) + 1;
    return new Slab(this.#allocator.bytes(size), this.#allocator.words(countExpected * INDEX_STRIDE));
  }

  /** Takes back a slab that nobody uses any more. */
  give(slab: Slab): void {
    const size = slab.bytes.length;
    const cost = costOf(slab);
    if (size > SLAB_SIZE_MAX || this.#pooledBytes + cost > POOL_SIZE_MAX) return;
    slab.count = 0;
    slab.usedBytes = 0;
    this.#pooledBytes += cost;
    this.#free[31 - Math.clz32(size)]!.push(slab);
  }

  /** Doubles the index of a slab. Throws a RangeError when there is no memory; the slab is then as it was. */
  growIndex(slab: Slab): void {
    const index = this.#allocator.words(slab.index.length * 2);
    index.set(slab.index);
    slab.index = index;
  }

  /** Lets go of what is pooled. */
  clear(): void {
    for (const slabs of this.#free) slabs.length = 0;
    this.#pooledBytes = 0;
  }
}

function costOf(slab: Slab): number {
  return slab.bytes.byteLength + slab.index.byteLength;
}

function nextPowerOfTwo(size: number): number {
  return size <= 1 ? 1 : 2 ** (32 - Math.clz32(size - 1));
}
