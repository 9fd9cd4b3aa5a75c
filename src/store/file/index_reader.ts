/**
 * Index records of one channel, read where an answer is wanted at once: the stamp of a message, the size of one that limits
 * remove. Records that are staged come from memory. A record that cannot be read is a no, and a line in the log.
 */
import { INDEX_RECORD_BYTES, IndexRecord } from "./format.ts";
import { type FileStoreShared, messageOf } from "./shared.ts";
import { Slice } from "./slice.ts";

/** Records read at once where one is wanted after the other. */
const FRONT_RECORDS = 512;

const NOTHING = new Uint8Array(0);

/** Reads for one message log; blocks, and keeps what it has read ahead until `release`. */
export class IndexReader {
  readonly #shared: FileStoreShared;
  /** What the last call that returned true has read. */
  readonly record = new IndexRecord();
  /** Records `[from, from + count)` of a slice. */
  #front: Uint8Array = NOTHING;
  #frontSlice: Slice | undefined;
  #frontFrom = 0;
  #frontCount = 0;

  constructor(shared: FileStoreShared) {
    this.#shared = shared;
  }

  /** Reads record `record` of `slice`; false when it cannot be had. */
  read(slice: Slice, record: number): boolean {
    const staged = record - slice.indexedCount;
    if (staged >= 0) {
      this.record.read(slice.stagedIndex, staged * INDEX_RECORD_BYTES);
      return true;
    }
    const bytes = new Uint8Array(INDEX_RECORD_BYTES);
    try {
      const position = Slice.indexPosition(record);
      if (slice.index.file.read(bytes, 0, INDEX_RECORD_BYTES, position) < INDEX_RECORD_BYTES) return false;
    } catch (error) {
      this.#shared.log.error(`Error reading ${slice.index.path} (${messageOf(error)})`);
      return false;
    }
    this.record.read(bytes, 0);
    return true;
  }

  /** The same for one record after the other: many are read at once. */
  readInOrder(slice: Slice, record: number): boolean {
    if (record >= slice.indexedCount) return this.read(slice, record);
    if (slice !== this.#frontSlice || record < this.#frontFrom || record >= this.#frontFrom + this.#frontCount) {
      this.#readFront(slice, record);
      if (this.#frontCount === 0) return false;
    }
    this.record.read(this.#front, (record - this.#frontFrom) * INDEX_RECORD_BYTES);
    return true;
  }

  #readFront(slice: Slice, record: number): void {
    const count = Math.min(FRONT_RECORDS, slice.indexedCount - record);
    if (this.#front.length < count * INDEX_RECORD_BYTES) this.#front = new Uint8Array(count * INDEX_RECORD_BYTES);
    this.#frontSlice = slice;
    this.#frontFrom = record;
    this.#frontCount = 0;
    try {
      const read = slice.index.file.read(this.#front, 0, count * INDEX_RECORD_BYTES, Slice.indexPosition(record));
      this.#frontCount = Math.floor(read / INDEX_RECORD_BYTES);
    } catch (error) {
      this.#shared.log.error(`Error reading ${slice.index.path} (${messageOf(error)})`);
    }
  }

  /** The slice is gone. */
  forget(slice: Slice): void {
    if (this.#frontSlice === slice) this.#frontSlice = undefined;
  }

  /** Gives back the memory; what was read ahead does not count any more. */
  release(): void {
    this.#front = NOTHING;
    this.#frontSlice = undefined;
  }
}
