/** One slice of a channel's message log: what is in its two files, and where (stores.md 4.7, 4.8, 5.4). */
import { INDEX_RECORD_BYTES, MESSAGE_OVERHEAD_BYTES, VERSION_BYTES } from "./format.ts";
import type { LogFile } from "./log_file.ts";
import type { SliceLimits } from "./options.ts";

/** Records of consecutive sequences. A slice has more than one only where records were damaged or are missing. */
export interface Run {
  readonly firstSequence: number;
  count: number;
  /** Number of the first record in the index file, from 0. */
  readonly firstRecord: number;
}

const NO_BYTES = new Uint8Array(0);
const NO_WORDS = new Int32Array(0);
/** First size of the buffer of staged index records, and the size above which it is given back after a write. */
const INDEX_FIRST_BYTES = 4 * INDEX_RECORD_BYTES;
const INDEX_KEPT_BYTES = 64 * 1024;

export class Slice {
  readonly number: number;
  readonly data: LogFile;
  readonly index: LogFile;
  /** Ascending. */
  readonly runs: Run[] = [];
  /** Records, whether or not limits have removed them. */
  recordCount = 0;
  /** Of all records: payload and overhead. */
  bytes = 0;
  /** Stamps of the first and the last record. */
  firstStampHigh = 0;
  firstStampLow = 0;
  lastStampHigh = 0;
  lastStampLow = 0;
  /** Index records that were not written yet. */
  stagedIndex: Uint8Array = NO_BYTES;
  /** The same bytes. */
  stagedWords: Int32Array = NO_WORDS;
  stagedIndexBytes = 0;

  constructor(number: number, data: LogFile, index: LogFile) {
    this.number = number;
    this.data = data;
    this.index = index;
  }

  get firstSequence(): number {
    return this.runs[0]?.firstSequence ?? 0;
  }

  get lastSequence(): number {
    const run = this.runs[this.runs.length - 1];
    return run === undefined ? 0 : run.firstSequence + run.count - 1;
  }

  /** stores.md 5.4: the next message belongs into another slice; its stamp is the time of now. */
  isFull({ maxMessages, maxBytes, maxAgeMs }: SliceLimits, stampHigh: number, stampLow: number): boolean {
    if (maxBytes > 0 && this.bytes >= maxBytes) return true;
    if (maxMessages > 0 && this.recordCount >= maxMessages) return true;
    if (maxAgeMs === 0 || this.recordCount === 0) return false;
    const ageNs = (stampHigh - this.firstStampHigh) * 4_294_967_296 + (stampLow - this.firstStampLow);
    return ageNs >= maxAgeMs * 1e6;
  }

  /** Counts a record behind all others. */
  add(sequence: number, payloadSize: number, stampHigh: number, stampLow: number): void {
    const run = this.runs[this.runs.length - 1];
    if (run === undefined) {
      this.firstStampHigh = stampHigh;
      this.firstStampLow = stampLow;
    }
    if (run !== undefined && run.firstSequence + run.count === sequence) run.count++;
    else this.runs.push({ firstSequence: sequence, count: 1, firstRecord: this.recordCount });
    this.recordCount++;
    this.bytes += payloadSize + MESSAGE_OVERHEAD_BYTES;
    this.lastStampHigh = stampHigh;
    this.lastStampLow = stampLow;
  }

  /** The same for the index records `words[from, to)`, whose sequences follow each other; their payloads have `payloadBytes`. */
  addRow(words: Int32Array, from: number, to: number, payloadBytes: number): void {
    const more = ((to - from) >>> 3) - 1;
    this.add(words[from]! >>> 0, payloadBytes, words[from + 5]! >>> 0, words[from + 4]! >>> 0);
    this.runs[this.runs.length - 1]!.count += more;
    this.recordCount += more;
    this.bytes += more * MESSAGE_OVERHEAD_BYTES;
    this.lastStampHigh = words[to - 3]! >>> 0;
    this.lastStampLow = words[to - 4]! >>> 0;
  }

  /** The run that holds `sequence`, or the first one behind it; undefined: all end before it. */
  runAt(sequence: number): Run | undefined {
    const { runs } = this;
    if (runs.length === 1) return sequence < runs[0]!.firstSequence + runs[0]!.count ? runs[0] : undefined;
    let low = 0;
    let high = runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const run = runs[middle]!;
      if (run.firstSequence + run.count <= sequence) low = middle + 1;
      else high = middle;
    }
    return runs[low];
  }

  /** The sequence of record `record`, counted from 0. */
  sequenceOf(record: number): number {
    const { runs } = this;
    let low = 0;
    let high = runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (runs[middle]!.firstRecord <= record) low = middle;
      else high = middle - 1;
    }
    const run = runs[low]!;
    return run.firstSequence + record - run.firstRecord;
  }

  /** Number of the first record at or behind `sequence`; `recordCount` when all are before it. */
  recordAt(sequence: number): number {
    const run = this.runAt(sequence);
    if (run === undefined) return this.recordCount;
    return run.firstRecord + Math.max(0, sequence - run.firstSequence);
  }

  /** Takes records from the end back, as if they had never come. */
  cutTo(recordCount: number, bytes: number, lastStampHigh: number, lastStampLow: number): void {
    const { runs } = this;
    while (runs.length > 0 && runs[runs.length - 1]!.firstRecord >= recordCount) runs.pop();
    const run = runs[runs.length - 1];
    if (run !== undefined) run.count = recordCount - run.firstRecord;
    this.recordCount = recordCount;
    this.bytes = bytes;
    this.lastStampHigh = lastStampHigh;
    this.lastStampLow = lastStampLow;
    this.stagedIndexBytes = 0;
  }

  /** Takes an index record that waits for its write; returns its place in `stagedWords`. */
  reserveIndex(): number {
    const at = this.stagedIndexBytes;
    if (at + INDEX_RECORD_BYTES > this.stagedIndex.length) {
      const longer = new Uint8Array(Math.max(INDEX_FIRST_BYTES, this.stagedIndex.length * 2));
      longer.set(this.stagedIndex);
      this.stagedIndex = longer;
      this.stagedWords = new Int32Array(longer.buffer);
    }
    this.stagedIndexBytes = at + INDEX_RECORD_BYTES;
    return at >>> 2;
  }

  /** Writes the staged index records behind the others. */
  writeIndex(): void {
    if (this.stagedIndexBytes === 0) return;
    this.index.write(this.stagedIndex, 0, this.stagedIndexBytes);
    this.stagedIndexBytes = 0;
    if (this.stagedIndex.length > INDEX_KEPT_BYTES) {
      this.stagedIndex = NO_BYTES;
      this.stagedWords = NO_WORDS;
    }
  }

  /** Index records that are in the file. */
  get indexedCount(): number {
    return this.recordCount - this.stagedIndexBytes / INDEX_RECORD_BYTES;
  }

  /** Position of record `record` in the index file. */
  static indexPosition(record: number): number {
    return VERSION_BYTES + record * INDEX_RECORD_BYTES;
  }
}
