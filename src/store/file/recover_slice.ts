/**
 * One slice, from the bytes of its two files to what counts of it, and to files that agree (stores.md 6.2, 6.5). What it is
 * beside the other slices of its channel is decided in `recover_messages.ts`.
 */
import type { DiskFile } from "../../runtime/types.ts";
import { MsgProtoView } from "../../wire/stan_hot.ts";
import type { Finding, FindingLevel } from "./findings.ts";
import {
  checksumText,
  FILE_VERSION,
  INDEX_RECORD_BYTES,
  INDEX_RECORD_WORDS,
  IndexRecord,
  readU32,
  RECORD_HEADER_BYTES,
  sliceNames,
  VERSION_BYTES,
  versionBytes,
  writeIndexRecord,
} from "./format.ts";
import { LogFile } from "./log_file.ts";
import { messageRules } from "./message_rules.ts";
import { type FirstMessage, firstMessageUpTo, type Overlap, overlapText } from "./overlap.ts";
import { isMarked, type PurgeMark } from "./purge_mark.ts";
import {
  asideName,
  keepAside,
  LOST_VERSION,
  LOST_VERSION_MENDED,
  readVersion,
  type RecoverContext,
  refuseOtherPolynomial,
  sourceOf,
} from "./recover.ts";
import { findRestarts, MessageOrder, type OrderOptions, repeatText, type Restart } from "./repeats.ts";
import { type ByteSource, type RecordRules, scanRecords, type ScanResult } from "./scan.ts";
import { Slice } from "./slice.ts";
import { TailCheck } from "./tail_check.ts";

/** Index records written at once while an index is built. */
const INDEX_CHUNK_BYTES = 256 * 1024;
/** Index records read at once. */
const INDEX_READ_BYTES = 512 * 1024;
/** Why an index is believed no further where the messages of the next slice count instead; the data file is where it is told. */
const OVERLAPPED = "the next slice has others";

/** Two halves as one number; -1 when it is no safe integer. */
function safeNumber(high: number, low: number): number {
  return high >>> 0 > 0x1f_ffff ? -1 : high * 4_294_967_296 + (low >>> 0);
}

/** Which slice, and whether what was written last may be here: a power cut may have kept half of that. */
export interface SlicePlace {
  readonly channel: string;
  readonly directory: string;
  readonly number: number;
  /** Purges of the channel, the newest first. */
  readonly marks: readonly PurgeMark[];
  readonly isLate: boolean;
}

/** Messages one behind the other that do not count. */
interface Repeated {
  readonly position: number;
  readonly first: number;
  last: number;
}

/** What became of it. */
export interface RecoveredSlice {
  readonly place: SlicePlace;
  readonly lastBefore: number;
  readonly slice: Slice;
  readonly damaged: readonly number[];
  readonly wasCut: boolean;
}

/**
 * One slice. The index is believed as far as it is intact and the data file reaches; everything behind that is read from
 * the data file, and the index goes on from there. So a missing, short, torn or damaged index is the same case.
 */
export class SliceRecovery {
  readonly #context: RecoverContext;
  readonly #place: SlicePlace;
  readonly #slice: Slice;
  readonly #dataPath: string;
  readonly #indexPath: string;
  readonly #lastBefore: number;
  readonly #overlap: Overlap | undefined;
  /** Messages from here on do not count. */
  readonly #end: number;
  readonly #view = new MsgProtoView();
  readonly #damaged: number[] = [];
  #wasCut = false;
  /** Index records read from data and not written yet. */
  #chunk = new Uint8Array(0);
  #chunkUsed = 0;
  #indexSize = VERSION_BYTES;
  #added = 0;
  /** The last message of the index so far, and where it ends in the data file. */
  #indexed: number;
  #indexedEnd = VERSION_BYTES;
  #isNewIndex = false;
  /** Where the index has the first message that is believed; 0: it has none. */
  #firstOffset = 0;
  /** What there is to say about an index as long as it is open which messages it is to be compared with. */
  #held: Finding[] | undefined;
  /** A message up to here is damaged and known by its index record: its bytes stay, even at the end of the file. */
  #keptEnd = 0;

  constructor(context: RecoverContext, place: SlicePlace, lastBefore: number, overlap?: Overlap) {
    const { directory, number } = place;
    this.#context = context;
    this.#place = place;
    this.#lastBefore = this.#indexed = lastBefore;
    this.#overlap = overlap;
    this.#end = overlap?.from ?? Infinity;
    const names = sliceNames(number);
    this.#dataPath = `${directory}/${names.data}`;
    this.#indexPath = `${directory}/${names.index}`;
    const { pool } = context;
    this.#slice = new Slice(number, new LogFile(pool, this.#dataPath, 0), new LogFile(pool, this.#indexPath, 0));
  }

  /**
   * `takesOver` is asked where this slice begins with a message at or before the last one of the slice before it. Undefined: it
   * does, so nothing was done here, and it is to be recovered behind what is left there.
   */
  run(takesOver?: (first: FirstMessage) => boolean): RecoveredSlice | undefined {
    const { disk, apply } = this.#context;
    const data = disk.open(this.#dataPath, apply ? "update" : "read");
    let index: DiskFile | undefined;
    try {
      const size = data.sizeBytes();
      const version = readVersion(data, size, this.#dataPath);
      if (version === "none") {
        this.#startEmpty(size);
        return this.#recovered();
      }
      if (version === "lost") {
        this.#report("healed", this.#dataPath, 0, `${LOST_VERSION}; ${LOST_VERSION_MENDED}`);
        if (apply) {
          data.write(versionBytes(), 0, VERSION_BYTES, 0);
          data.syncNow();
        }
      }
      index = this.#openIndex();
      const source = sourceOf(data);
      this.#held = [];
      const from = index === undefined ? VERSION_BYTES : this.#readIndex(index, source);
      // An index that is believed from its first record on has the first message, and that one comes behind the last one.
      if (takesOver !== undefined && this.#firstOffset !== VERSION_BYTES) {
        const first = firstMessageUpTo(this.#lastBefore, source, this.#context.crc);
        if (first !== undefined && takesOver(first)) return undefined;
      }
      this.#tell();
      const result = this.#scan(source, from, index);
      this.#finish(data, index, size, result);
    } finally {
      data.close();
      index?.close();
    }
    return this.#recovered();
  }

  #recovered(): RecoveredSlice {
    return {
      place: this.#place,
      lastBefore: this.#lastBefore,
      slice: this.#slice,
      damaged: this.#damaged,
      wasCut: this.#wasCut,
    };
  }

  #report(level: FindingLevel, path: string, offset: number, text: string): void {
    const finding = { level, channel: this.#place.channel, path, offset, text };
    if (this.#held === undefined) this.#context.report(finding);
    else this.#held.push(finding);
  }

  #tell(): void {
    for (const finding of this.#held ?? []) this.#context.report(finding);
    this.#held = undefined;
  }

  /** What is left of a slice that was being made; it goes. */
  #startEmpty(size: number): void {
    if (size > 0) this.#report("healed", this.#dataPath, 0, "the file has no version and no messages; it is removed");
    this.#slice.data.size = this.#slice.data.syncedSize = VERSION_BYTES;
    this.#slice.index.size = this.#slice.index.syncedSize = VERSION_BYTES;
  }

  /** Undefined: look only, and there is none. */
  #openIndex(): DiskFile | undefined {
    const { disk, apply } = this.#context;
    if (disk.stat(this.#indexPath) === undefined) {
      this.#report("healed", this.#indexPath, -1, "the index is missing; it is built from the data file");
      return apply ? this.#newIndex(disk.open(this.#indexPath, "replace")) : undefined;
    }
    const index = disk.open(this.#indexPath, apply ? "update" : "read");
    const size = index.sizeBytes();
    const head = new Uint8Array(VERSION_BYTES);
    const isRight = size >= VERSION_BYTES && index.read(head, 0, VERSION_BYTES, 0) === VERSION_BYTES &&
      readU32(head, 0) === FILE_VERSION;
    if (isRight) return index;
    this.#report("healed", this.#indexPath, 0, "the index has no valid version; it is built from the data file");
    if (!apply) {
      index.close();
      return undefined;
    }
    index.truncate(0);
    return this.#newIndex(index);
  }

  #newIndex(index: DiskFile): DiskFile {
    this.#isNewIndex = true;
    index.write(versionBytes(), 0, VERSION_BYTES, 0);
    return index;
  }

  /** Takes the intact beginning of the index; returns where in the data file to go on. */
  #readIndex(index: DiskFile, data: ByteSource): number {
    const { crc, checkCrc } = this.#context;
    const slice = this.#slice;
    const size = index.sizeBytes();
    const bytes = new Uint8Array(Math.min(INDEX_READ_BYTES, Math.max(INDEX_RECORD_BYTES, size)));
    // Words, because this loop runs once per stored message; every platform we run on is little-endian.
    const words = new Int32Array(bytes.buffer, 0, bytes.length >>> 2);
    let why = "";
    let position = VERSION_BYTES;
    while (position < size && why === "") {
      const count = index.read(bytes, 0, Math.min(words.length * 4, size - position), position) >>> 5;
      if (count === 0) {
        why = "it ends in the middle of a record";
        break;
      }
      const areRight = !checkCrc || crc.areRecordsRight(bytes, 0, count);
      const to = count * INDEX_RECORD_WORDS;
      let at = 0;
      while (at < to) {
        if (areRight) at = this.#takeRow(words, at, to, data.size);
        if (at === to) break;
        why = this.#takeOne(words, at, data.size, areRight);
        if (why !== "") break;
        at += INDEX_RECORD_WORDS;
      }
      position += at * 4;
    }
    this.#indexSize = position;
    if (why !== "" && why !== OVERLAPPED) {
      this.#report("healed", this.#indexPath, position, `${why}; the rest of the index is built from the data file`);
    }
    const tail = new TailCheck(crc, slice, index, data, this.#lastBefore);
    // Without checksums nobody knows which of the two is right.
    if (this.#place.isLate && checkCrc) this.#verifyTail(tail, index);
    return this.#verifyLast(tail, index);
  }

  /**
   * Takes the right records `words[from, to)` as far as each is the next one, as nearly all are; returns where the first is that
   * has to be looked at more closely.
   */
  #takeRow(words: Int32Array, from: number, to: number, dataSize: number): number {
    const end = this.#end;
    let sequence = this.#indexed + 1;
    let dataEnd = this.#indexedEnd;
    let payloadBytes = 0;
    let at = from;
    for (; at < to; at += INDEX_RECORD_WORDS, sequence++) {
      // Their upper halves: sequences and offsets from 2^32 on are rare.
      if ((words[at + 1]! | words[at + 3]!) !== 0 || words[at]! >>> 0 !== sequence || sequence >= end) break;
      const offset = words[at + 2]! >>> 0;
      const payloadSize = words[at + 6]! >>> 0;
      const messageEnd = offset + RECORD_HEADER_BYTES + payloadSize;
      if (offset < dataEnd || messageEnd > dataSize) break;
      dataEnd = messageEnd;
      payloadBytes += payloadSize;
    }
    if (at === from) return from;
    if (this.#slice.recordCount === 0) this.#firstOffset = words[from + 2]! >>> 0;
    this.#slice.addRow(words, from, at, payloadBytes);
    this.#indexed = sequence - 1;
    this.#indexedEnd = dataEnd;
    return at;
  }

  /** Takes the record at `words[at]` if it can be believed; otherwise says why not. */
  #takeOne(words: Int32Array, at: number, dataSize: number, isRight: boolean): string {
    const { crc } = this.#context;
    const sequence = safeNumber(words[at + 1]!, words[at]!);
    const offset = safeNumber(words[at + 3]!, words[at + 2]!);
    const payloadSize = words[at + 6]! >>> 0;
    const end = offset + RECORD_HEADER_BYTES + payloadSize;
    if (sequence === 0 && words.subarray(at, at + 7).every((word) => word === 0)) return "zeros";
    if (!isRight && crc.ofSevenWords(words, at) !== words[at + 7]! >>> 0) return "a record has a wrong checksum";
    if (sequence <= this.#indexed || offset < this.#indexedEnd) return "a record is out of order";
    if (sequence >= this.#end) return OVERLAPPED;
    if (end > dataSize) {
      this.#wasCut = true;
      return `the data file ends before message ${sequence}`;
    }
    if (this.#slice.recordCount === 0) this.#firstOffset = offset;
    this.#slice.add(sequence, payloadSize, words[at + 5]! >>> 0, words[at + 4]! >>> 0);
    this.#indexed = sequence;
    this.#indexedEnd = end;
    return "";
  }

  /** The last records of the index must be of the messages that are there. */
  #verifyTail(tail: TailCheck, index: DiskFile): void {
    const kept = tail.firstOfAnother();
    if (kept < 0) return;
    this.#report(
      "healed",
      this.#indexPath,
      Slice.indexPosition(kept),
      `from message ${tail.record.sequence} on it is the index of other messages; its rest is built from the data file`,
    );
    this.#wasCut = true;
    this.#forgetIndexFrom(kept, index);
  }

  /** The last indexed message must be what the data file says; returns where its record ends. */
  #verifyLast(tail: TailCheck, index: DiskFile): number {
    const slice = this.#slice;
    const { record } = tail;
    while (slice.recordCount > 0) {
      const found = tail.lookAtLast();
      if (found === "right") return record.dataEnd;
      if (found === "unproven" && !this.#context.checkCrc) {
        // Another polynomial, or damage that nobody wants to hear of: every message is looked at.
        this.#forgetIndexFrom(0, index);
        this.#report("healed", this.#indexPath, -1, "the last message has a wrong checksum; the index is built anew");
        return VERSION_BYTES;
      }
      if (found !== "absent" || !tail.isBlank && isMarked(this.#place.marks, record)) {
        this.#damaged.push(record.sequence);
        const why = found === "absent"
          ? "its size is wrong, or nothing is behind it"
          : `expected crc to be ${checksumText(tail.storedCrc)}, got ${checksumText(tail.actualCrc)}`;
        this.#report(
          "damaged",
          this.#dataPath,
          record.offset,
          `message ${record.sequence} is damaged (${why}); it is left out, its sequence is not given again`,
        );
        // Its end may be wrong, too: what comes next is searched for.
        this.#keptEnd = record.dataEnd;
        return record.offset;
      }
      // It was indexed, but its bytes never arrived: never synced, so never acknowledged.
      this.#report(
        "healed",
        this.#indexPath,
        Slice.indexPosition(slice.recordCount - 1),
        `message ${record.sequence} is indexed but not in the data file; the index is cut`,
      );
      this.#wasCut = true;
      this.#forgetIndexFrom(slice.recordCount - 1, index);
    }
    return VERSION_BYTES;
  }

  /** Counts only the first `recordCount` records of the index. */
  #forgetIndexFrom(recordCount: number, index: DiskFile): void {
    const slice = this.#slice;
    const entry = new Uint8Array(INDEX_RECORD_BYTES);
    const record = new IndexRecord();
    let bytes = recordCount === 0 ? 0 : slice.bytes;
    let stampHigh = 0;
    let stampLow = 0;
    if (recordCount > 0) {
      for (let i = slice.recordCount - 1; i >= recordCount; i--) {
        index.read(entry, 0, INDEX_RECORD_BYTES, Slice.indexPosition(i));
        record.read(entry, 0);
        bytes -= record.payloadSize + RECORD_HEADER_BYTES + INDEX_RECORD_BYTES;
      }
      index.read(entry, 0, INDEX_RECORD_BYTES, Slice.indexPosition(recordCount - 1));
      record.read(entry, 0);
      stampHigh = record.stampHigh;
      stampLow = record.stampLow;
    }
    slice.cutTo(recordCount, bytes, stampHigh, stampLow);
    if (recordCount === 0) this.#firstOffset = 0;
    this.#indexSize = Slice.indexPosition(recordCount);
  }

  /** Reads what no index record speaks of. */
  #scan(data: ByteSource, from: number, index: DiskFile | undefined): ScanResult {
    const { recordCount, bytes, lastStampHigh, lastStampLow } = this.#slice;
    const indexSize = this.#indexSize;
    this.#held = [];
    let result = this.#tryScan(data, from, index);
    if (result === undefined) {
      this.#slice.cutTo(recordCount, bytes, lastStampHigh, lastStampLow);
      this.#chunkUsed = this.#added = 0;
      this.#indexSize = indexSize;
      this.#held = [];
      const restarts = findRestarts(
        data,
        from,
        this.#context.crc,
        this.#view,
        this.#order,
        (order) => this.#rules(order),
      );
      result = this.#tryScan(data, from, index, restarts)!; // It was asked to go on.
    }
    this.#tell();
    return result;
  }

  get #order(): OrderOptions {
    const { lastSequence, recordCount } = this.#slice;
    return { last: Math.max(lastSequence, this.#lastBefore), end: this.#end, hasOthers: recordCount > 0 };
  }

  #rules(order: MessageOrder): RecordRules {
    return {
      ...messageRules(this.#view, (position) => order.accepts(this.#view, position)),
      checkCrc: this.#context.checkCrc,
      isOurs: (bytes) => this.#isOurs(bytes),
    };
  }

  /** Undefined: sequences begin again somewhere, and it is not said where. */
  #tryScan(
    data: ByteSource,
    from: number,
    index: DiskFile | undefined,
    restarts?: readonly Restart[],
  ): ScanResult | undefined {
    const { crc } = this.#context;
    const view = this.#view;
    const slice = this.#slice;
    const order = new MessageOrder(this.#order, restarts ?? []);
    const rules = this.#rules(order);
    let repeated: Repeated | undefined;
    const result = scanRecords(data, from, rules, crc, (position, _type, _bytes, start, end) => {
      const { sequence } = view;
      const { last } = order;
      if (!order.takes(view, position, position + RECORD_HEADER_BYTES + end - start)) {
        repeated ??= { position, first: sequence, last: sequence };
        repeated.last = sequence;
        return;
      }
      if (repeated !== undefined) this.#repeated(repeated);
      repeated = undefined;
      if (sequence > last + 1 && last > this.#lastBefore) this.#missing(last + 1, sequence - 1, position);
      slice.add(sequence, end - start, view.stampHigh, view.stampLow);
      this.#addToIndex(index, position, end - start);
    });
    if (order.isRepeated && restarts === undefined) return undefined;
    if (slice.recordCount === 0) refuseOtherPolynomial(this.#context, data, rules, result, this.#dataPath);
    return result;
  }

  #repeated({ position, first, last }: Repeated): void {
    this.#report("healed", this.#dataPath, position, `${repeatText(first, last)}; the file keeps them`);
  }

  #isOurs(bytes: Uint8Array): boolean {
    const name = this.#place.channel;
    const { subjectStart, subjectEnd } = this.#view;
    if (subjectEnd - subjectStart !== name.length) return false;
    for (let i = 0; i < name.length; i++) if (bytes[subjectStart + i] !== name.charCodeAt(i)) return false;
    return true;
  }

  #missing(first: number, last: number, position: number): void {
    const what = first === last ? `message ${first} is` : `messages ${first} to ${last} are`;
    this.#report("damaged", this.#dataPath, position, `${what} missing; those behind are served`);
  }

  #addToIndex(index: DiskFile | undefined, offset: number, size: number): void {
    this.#added++;
    if (index === undefined || !this.#context.apply) return;
    if (this.#chunk.length === 0) this.#chunk = new Uint8Array(INDEX_CHUNK_BYTES);
    const { sequence, stampHigh, stampLow } = this.#view;
    writeIndexRecord(this.#chunk, this.#chunkUsed, sequence, offset, stampHigh, stampLow, size, this.#context.crc);
    this.#chunkUsed += INDEX_RECORD_BYTES;
    if (this.#chunkUsed === this.#chunk.length) this.#writeChunk(index);
  }

  #writeChunk(index: DiskFile): void {
    index.write(this.#chunk, 0, this.#chunkUsed, this.#indexSize);
    this.#indexSize += this.#chunkUsed;
    this.#chunkUsed = 0;
  }

  #finish(data: DiskFile, index: DiskFile | undefined, size: number, result: ScanResult): void {
    const { apply } = this.#context;
    const slice = this.#slice;
    let end = size;
    for (const range of result.bad) {
      const { start, why, kind } = range;
      if (kind === "damage") {
        this.#report(
          "damaged",
          this.#dataPath,
          start,
          `${range.end - start} bytes are no message (${why}); the messages behind them are served`,
        );
        continue;
      }
      if (start < this.#keptEnd) {
        end = this.#keptEnd;
        continue;
      }
      end = start;
      if (kind === "zeros") {
        this.#report("healed", this.#dataPath, start, `${size - start} zero bytes at the end are cut off`);
      } else {
        this.#wasCut = true;
        const text = this.#overlap === undefined
          ? `the file ends in an incomplete message behind ${slice.lastSequence} (${why})`
          : overlapText(this.#overlap);
        const aside = asideName(this.#dataPath, start);
        this.#report(
          "healed",
          this.#dataPath,
          start,
          `${text}; ${size - start} bytes are cut off and kept in ${aside}`,
        );
        if (apply) keepAside(this.#context, this.#place.channel, data, this.#dataPath, start, size);
      }
    }
    if (apply) {
      // Where both are whole the index goes first: the reference does not start where it says more than the data file has.
      if (this.#overlap !== undefined) this.#finishIndex(index);
      if (end < size) {
        data.truncate(end);
        data.syncNow();
      }
      if (this.#overlap === undefined) this.#finishIndex(index);
    }
    slice.data.size = slice.data.syncedSize = end;
    slice.index.size = slice.index.syncedSize = Slice.indexPosition(slice.recordCount);
  }

  #finishIndex(index: DiskFile | undefined): void {
    if (index === undefined) return;
    if (this.#chunkUsed > 0) this.#writeChunk(index);
    if (index.sizeBytes() !== this.#indexSize) {
      index.truncate(this.#indexSize);
      index.syncNow();
    } else if (this.#added > 0 || this.#isNewIndex) index.syncNow();
  }
}
