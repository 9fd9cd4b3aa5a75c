/**
 * Where the messages of a channel are in the log: chunks of entries, without an object per message. Chunks are parts of pages:
 * ten thousand channels have a few hundred arrays, and what a publish has to follow to its entry is in the cache.
 */

/** Words per message: its place in the log, and the size of its MsgProto. */
export const ENTRY_WORDS = 2;
/** Entries of the smallest chunk, one or two lines of the cache: what a channel with one message costs. */
export const CHUNK_ENTRIES_MIN = 16;
export const CHUNK_ENTRIES_MAX = 8192;
/** Of a page that several chunks share. A chunk that lives keeps the whole page. */
export const PAGE_ENTRIES = 8192;
/** Entries in pages without a used chunk that are kept for re-use. */
export const POOL_ENTRIES_MAX = 16 * PAGE_ENTRIES;

/** One piece of memory, cut into chunks of one size. */
class IndexPage {
  readonly words: Int32Array;
  /** Those that nobody uses. */
  readonly free: IndexChunk[] = [];
  readonly chunkCount: number;
  /** In the pool's list of pages with a free chunk of that size, -1: it has none. */
  place = -1;

  constructor(buffer: ArrayBuffer, chunkEntries: number) {
    this.words = new Int32Array(buffer);
    const chunkWords = chunkEntries * ENTRY_WORDS;
    // Backwards, so that the first one is on top. By addition: a quotient would be no small integer to the engine.
    for (let end = this.words.length | 0; end > 0; end = (end - chunkWords) | 0) {
      this.free.push(new IndexChunk(this, (end - chunkWords) | 0, end));
    }
    this.chunkCount = this.free.length;
  }
}

/** Entries of consecutive sequences of one channel: `words[start, end)`. */
export class IndexChunk {
  readonly page: IndexPage;
  /** Of the whole page. */
  readonly words: Int32Array;
  readonly start: number;
  readonly end: number;
  firstSequence = 0;

  constructor(page: IndexPage, start: number, end: number) {
    this.page = page;
    this.words = page.words;
    this.start = start;
    this.end = end;
  }

  /** The last one that it has room for. */
  get lastSequence(): number {
    return this.firstSequence + (this.end - this.start) / ENTRY_WORDS - 1;
  }

  /** Where the entry of `sequence` is in `words`; it must be one of the chunk's. */
  entryOf(sequence: number): number {
    return this.start + (sequence - this.firstSequence) * ENTRY_WORDS;
  }
}

/** Makes chunks and keeps a bounded amount of given-up memory, by size. One per store. */
export class IndexPool {
  readonly #allocate: (size: number) => ArrayBuffer;
  /** Pages with a free chunk, by the binary logarithm of the chunk's entries. */
  readonly #pages: IndexPage[][] = [];
  /** In pages without a used chunk. */
  #pooledEntries = 0;

  constructor(allocate: (size: number) => ArrayBuffer) {
    this.#allocate = allocate;
    for (let i = 0; i <= Math.log2(CHUNK_ENTRIES_MAX); i++) this.#pages.push([]);
  }

  /**
   * An empty chunk for a channel that keeps `count` messages: a quarter to a half of that, within bounds. Throws a RangeError
   * when there is no memory.
   */
  take(count: number): IndexChunk {
    const entries = nextPowerOfTwo(Math.min(Math.max(count / 4, CHUNK_ENTRIES_MIN), CHUNK_ENTRIES_MAX));
    const pages = this.#pagesOf(entries);
    let page = pages[pages.length - 1];
    if (page === undefined) {
      page = new IndexPage(this.#allocate(PAGE_ENTRIES * ENTRY_WORDS * 4), entries);
      page.place = pages.push(page) - 1;
    } else if (page.free.length === page.chunkCount) this.#pooledEntries -= PAGE_ENTRIES;
    const chunk = page.free.pop()!; // It is listed because it has one.
    if (page.free.length === 0) this.#unlist(page, pages);
    return chunk;
  }

  /** Takes back a chunk that nobody uses any more. */
  give(chunk: IndexChunk): void {
    const { page } = chunk;
    page.free.push(chunk);
    const pages = this.#pagesOf((chunk.end - chunk.start) / ENTRY_WORDS);
    if (page.free.length === page.chunkCount) {
      if (this.#pooledEntries + PAGE_ENTRIES > POOL_ENTRIES_MAX) {
        if (page.place >= 0) this.#unlist(page, pages);
        return;
      }
      this.#pooledEntries += PAGE_ENTRIES;
    }
    if (page.place < 0) page.place = pages.push(page) - 1;
  }

  /** Lets go of what is pooled. */
  clear(): void {
    for (const pages of this.#pages) pages.length = 0;
    this.#pooledEntries = 0;
  }

  #pagesOf(entries: number): IndexPage[] {
    return this.#pages[31 - Math.clz32(entries)]!;
  }

  /** The last one takes its place. */
  #unlist(page: IndexPage, pages: IndexPage[]): void {
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
