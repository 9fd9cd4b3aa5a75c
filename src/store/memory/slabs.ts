/**
 * Memory of the MEMORY store: messages lie encoded in slabs, each with its index, and a slab is given up whole when its last
 * message is removed. Against one object per message this takes a fifth of the memory, and the collector has nothing to walk
 * through (runtime.md 12). Small slabs are parts of pages: with ten thousand channels, what a publish has to follow to its
 * memory is then in the cache.
 */

/** Largest slab for more than one message. */
export const SLAB_SIZE_MAX = 1024 * 1024;
/** Smallest slab: what a channel with one small message costs. */
export const SLAB_SIZE_MIN = 1024;
/** Memory without messages that is kept for re-use, over all channels of a store. */
export const POOL_SIZE_MAX = 8 * 1024 * 1024;

/** Of a page that several slabs share. A slab that lives keeps the whole page, so this is not larger. */
const PAGE_SIZE = 64 * 1024;
/** Larger slabs are pages of their own. */
const SHARED_SIZE_MAX = PAGE_SIZE / 8;

/** Index words per message: offset in the page, then the two halves of the stamp. The end is the next one's offset. */
export const INDEX_STRIDE = 3;
/** The same in bytes. */
export const INDEX_BYTES = INDEX_STRIDE * 4;

/** Gives zeroed memory or throws a RangeError. A seam: tests let it fail. */
export type PageAllocator = (size: number) => ArrayBuffer;

/** Memory from the runtime. */
export const allocatePage: PageAllocator = (size) => new ArrayBuffer(size);

/** One piece of memory, cut into slabs of one size. */
class Page {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  /** Those that nobody uses. */
  readonly free: Slab[] = [];
  readonly slabCount: number;
  /** In the pool's list of pages with a free slab of that size, -1: it has none. */
  place = -1;

  constructor(buffer: ArrayBuffer, slabSize: number) {
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    const size = buffer.byteLength;
    // By addition, backwards, so that the first one is on top. A quotient would be no small integer to the engine, and none of
    // the positions that are derived from it: every copy then takes twice as long.
    for (let end = size | 0; end > 0; end = (end - slabSize) | 0) {
      this.free.push(new Slab(this, (end - slabSize) | 0, end));
    }
    this.slabCount = this.free.length;
  }
}

/**
 * One piece of a channel: messages of consecutive sequences. They grow from the front, their index from the end.
 *
 * bytes : start | MsgProto | MsgProto | ... usedEnd | free | ... | entry 1 | entry 0 | end
 * entry : offset, stamp high, stamp low
 */
export class Slab {
  readonly page: Page;
  /** Of the whole page. */
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly start: number;
  readonly end: number;
  firstSequence = 0;
  /** Entries, removed messages included. */
  count = 0;
  usedEnd: number;

  constructor(page: Page, start: number, end: number) {
    this.page = page;
    this.bytes = page.bytes;
    this.words = page.words;
    this.start = start;
    this.end = end;
    this.usedEnd = start;
  }

  /** Where entry `i` is in `words`. */
  entryOf(i: number): number {
    return (this.end >>> 2) - (i + 1) * INDEX_STRIDE;
  }

  /** Start of message `i` in `bytes`. */
  startOf(i: number): number {
    return this.words[this.entryOf(i)]!;
  }

  /** End of message `i` in `bytes`. */
  endOf(i: number): number {
    return i + 1 < this.count ? this.words[this.entryOf(i + 1)]! : this.usedEnd;
  }
}

/** Makes slabs and keeps a bounded amount of given-up memory, by size. One per store. */
export class SlabPool {
  readonly #allocate: PageAllocator;
  /** Pages with a free slab, by the binary logarithm of the slab's size. */
  readonly #pages: Page[][] = [];
  /** In pages without a used slab. */
  #pooledBytes = 0;

  constructor(allocate: PageAllocator) {
    this.#allocate = allocate;
    for (let i = 0; i <= Math.log2(SLAB_SIZE_MAX); i++) this.#pages.push([]);
  }

  /**
   * An empty slab with room for a message of `messageBytes` in a channel that keeps `keptBytes`. Slabs are a quarter to a
   * half of what is kept, within bounds: so ten thousand channels with small limits do not hold a megabyte each, and of a
   * channel at its limit the slab that dies and the one that is filled are little beside the rest. Throws a RangeError when
   * there is no memory.
   */
  take(messageBytes: number, keptBytes: number): Slab {
    const wanted = Math.max(Math.min(keptBytes / 4, SLAB_SIZE_MAX), messageBytes + INDEX_BYTES, SLAB_SIZE_MIN);
    if (wanted > SLAB_SIZE_MAX) {
      // The index stands at a multiple of four.
      const exact = Math.ceil(wanted / 4) * 4;
      return new Page(this.#allocate(exact), exact).free.pop()!;
    }
    const size = nextPowerOfTwo(wanted);
    const pages = this.#pagesOf(size);
    let page = pages[pages.length - 1];
    if (page === undefined) {
      page = new Page(this.#allocate(size <= SHARED_SIZE_MAX ? PAGE_SIZE : size), size);
      page.place = pages.push(page) - 1;
    } else if (page.free.length === page.slabCount) this.#pooledBytes -= page.bytes.length;
    const slab = page.free.pop()!; // It is listed because it has one.
    if (page.free.length === 0) this.#unlist(page, pages);
    return slab;
  }

  /** Takes back a slab that nobody uses any more. */
  give(slab: Slab): void {
    const size = slab.end - slab.start;
    if (size > SLAB_SIZE_MAX) return;
    slab.count = 0;
    slab.usedEnd = slab.start;
    const { page } = slab;
    page.free.push(slab);
    const pages = this.#pagesOf(size);
    if (page.free.length === page.slabCount) {
      if (this.#pooledBytes + page.bytes.length > POOL_SIZE_MAX) {
        if (page.place >= 0) this.#unlist(page, pages);
        return;
      }
      this.#pooledBytes += page.bytes.length;
    }
    if (page.place < 0) page.place = pages.push(page) - 1;
  }

  /** Lets go of what is pooled. */
  clear(): void {
    for (const pages of this.#pages) pages.length = 0;
    this.#pooledBytes = 0;
  }

  #pagesOf(size: number): Page[] {
    return this.#pages[31 - Math.clz32(size)]!;
  }

  /** The last one takes its place. */
  #unlist(page: Page, pages: Page[]): void {
    const last = pages.pop()!; // `page` is in it.
    if (last !== page) {
      pages[page.place] = last;
      last.place = page.place;
    }
    page.place = -1;
  }
}

function nextPowerOfTwo(size: number): number {
  return size <= 1 ? 1 : 1 << (32 - Math.clz32(Math.ceil(size) - 1));
}
