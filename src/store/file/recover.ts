/**
 * From bytes to state: what is in the files of a store, what is wrong with them, and what would put it right (stores.md 6).
 * With `apply` false nothing is changed: that is what `check` runs.
 */
import { displayText } from "../../base/bytes.ts";
import { SequenceSet } from "../../base/sequence_set.ts";
import { varintEnd, varintNumber } from "../../base/varint.ts";
import { decodeMsgProto, MsgProtoView } from "../../wire/stan_hot.ts";
import {
  decodeClientDelete,
  decodeClientInfo,
  decodeServerInfo,
  decodeSubState,
  decodeSubStateDelete,
  decodeSubStateUpdate,
} from "../../wire/stan_server.ts";
import type { Disk, DiskFile } from "../../runtime/types.ts";
import { type ServerRecord, StoreError } from "../types.ts";
import type { ClientReplay } from "./client_log.ts";
import type { Crc32 } from "./crc.ts";
import type { Finding, FindingLevel } from "./findings.ts";
import {
  CLIENT_RECORD,
  FILE_VERSION,
  INDEX_RECORD_BYTES,
  IndexRecord,
  isZero,
  readU32,
  RECORD_HEADER_BYTES,
  sliceNames,
  sliceNumber,
  SUBSCRIPTION_RECORD,
  VERSION_BYTES,
  versionBytes,
  writeIndexRecord,
} from "./format.ts";
import { type DescriptorPool, LogFile } from "./log_file.ts";
import { PURGE_FILE, type PurgeMark, purgeMarkPath, readPurgeMarks, writePurgeMarks } from "./purge_mark.ts";
import { messageOf } from "./shared.ts";
import { type ByteSource, countUnchecked, type RecordRules, scanRecords, type ScanResult, Window } from "./scan.ts";
import { Slice } from "./slice.ts";
import type { SubscriptionReplay } from "./subscription_log.ts";

/** Index records written at once while an index is built. */
const INDEX_CHUNK_BYTES = 256 * 1024;
/** Index records read at once. */
const INDEX_READ_BYTES = 512 * 1024;
const INDEX_WORDS = INDEX_RECORD_BYTES / 4;
/** What is looked at of their end, in data and in index records: more than a turn writes, little beside a slice. */
const TAIL_BYTES_MAX = 1024 * 1024;
const TAIL_RECORDS_MAX = 8192;
/** A file with more bytes to keep aside than this is cut all the same; a copy of so much would hinder the start. */
const ASIDE_BYTES_MAX = 64 * 1024 * 1024;

/** What recovery works with. */
export interface RecoverContext {
  readonly disk: Disk;
  readonly pool: DescriptorPool;
  readonly crc: Crc32;
  readonly checkCrc: boolean;
  /** False: look only. */
  readonly apply: boolean;
  report(finding: Finding): void;
}

/** One channel's messages. */
export interface RecoveredLog {
  readonly slices: Slice[];
  readonly damaged: number[];
  /** Records were cut: positions behind the last message must be put back (stores.md 6.7). */
  readonly wasCut: boolean;
  /** An operator removed everything up to there. */
  readonly mark: PurgeMark | undefined;
}

function sourceOf(file: DiskFile): ByteSource {
  const size = file.sizeBytes();
  return { size, read: (into, start, end, position) => file.read(into, start, end, position) };
}

/**
 * The version of an open file: right; none yet (empty, or zeros only); lost, with something behind it, as a power cut leaves
 * a file whose first bytes never arrived; or an error with the reference's text.
 */
function readVersion(file: DiskFile, size: number, path: string): "right" | "none" | "lost" {
  if (size === 0) return "none";
  const head = new Uint8Array(Math.min(size, 64));
  file.read(head, 0, head.length, 0);
  if (size < VERSION_BYTES) {
    // What a crash between creating a file and writing to it leaves: nothing was in it.
    return "none";
  }
  const version = readU32(head, 0);
  if (version === FILE_VERSION) return "right";
  if (version === 0) return isAllZero(sourceOf(file)) ? "none" : "lost";
  throw new StoreError(
    "STORE_DAMAGED",
    `unsupported file version: ${version} (supports [${FILE_VERSION}..${FILE_VERSION}]) in "${path}". Nothing was changed`,
  );
}

/** Two halves as one number; -1 when it is no safe integer. */
function safeNumber(high: number, low: number): number {
  return high >>> 0 > 0x1f_ffff ? -1 : high * 4_294_967_296 + (low >>> 0);
}

function isAllZero(source: ByteSource): boolean {
  const window = new Window(source);
  for (let at = 0; at < source.size;) {
    const count = Math.min(64 * 1024, source.size - at);
    const start = window.at(at, count);
    if (start < 0 || !isZero(window.bytes, start, start + count)) return false;
    at += count;
  }
  return true;
}

const LOST_VERSION = "the version is missing in front of records; it is put back";

// Messages --------------------------------------------------------------------------------------------------------------

/** The first slice that may hold what was written last: so much, and no more, is looked at twice. */
function firstLate({ disk }: RecoverContext, directory: string, numbers: readonly number[]): number {
  let bytes = 0;
  let i = numbers.length - 1;
  for (; i > 0 && bytes <= TAIL_BYTES_MAX; i--) {
    bytes += disk.stat(`${directory}/${sliceNames(numbers[i]!).data}`)?.sizeBytes ?? 0;
  }
  return numbers[i] ?? 0;
}

/** Recovers the message log in `directory`. Throws {@link StoreError} where the start must stop. */
export function recoverMessages(context: RecoverContext, channel: string, directory: string): RecoveredLog {
  const numbers: number[] = [];
  let isMarked = false;
  for (const { name, kind } of context.disk.list(directory)) {
    if (kind !== "file") continue;
    isMarked ||= name === PURGE_FILE;
    const number = name === "msgs.dat" ? NaN : sliceNumber(name);
    if (number === undefined) continue;
    if (Number.isNaN(number)) {
      throw new StoreError(
        "STORE_DAMAGED",
        `unable to recover message store for [${displayText(channel)}]: message log has an invalid name: ${name}`,
      );
    }
    numbers.push(number);
  }
  numbers.sort((a, b) => a - b);
  const lateNumber = firstLate(context, directory, numbers);
  const slices: Slice[] = [];
  const damaged: number[] = [];
  const marks = isMarked ? readPurgeMarks(context.disk, directory) : [];
  let wasCut = false;
  let last = 0;
  for (const number of numbers) {
    // A purge that was interrupted: the slice that shall keep the last sequence is there, and those before it still are.
    const isKept = last > 0 && marks.some(({ sequence }) => sequence === last);
    const lastBefore = isKept ? last - 1 : last;
    const recovered = new SliceRecovery(context, channel, directory, number, lastBefore, number >= lateNumber).run();
    wasCut ||= recovered.wasCut;
    damaged.push(...recovered.damaged);
    const { slice } = recovered;
    if (slice.recordCount === 0) {
      slice.data.retire();
      slice.index.retire();
      if (context.apply) removeSlice(context, channel, slice);
      continue;
    }
    if (last > 0 && slice.firstSequence > last + 1) {
      context.report({
        level: "damaged",
        channel,
        path: slice.data.path,
        offset: VERSION_BYTES,
        text: `messages ${last + 1} to ${
          slice.firstSequence - 1
        } are missing between two slices; all others are served`,
      });
    }
    slices.push(slice);
    last = slice.lastSequence;
  }
  const mark = marks.find((one) => isOfThisLog(context, one, slices));
  if (mark !== marks[0]) keepMark(context, channel, directory, mark);
  return { slices, damaged, wasCut, mark };
}

/**
 * Whether `mark` speaks of these messages. The reference, which does not know it, may have emptied the log and begun anew
 * (stores.md 5.15): then nothing of what is there was purged.
 */
function isOfThisLog({ disk }: RecoverContext, mark: PurgeMark, slices: readonly Slice[]): boolean {
  const slice = slices.find(({ lastSequence }) => lastSequence >= mark.sequence);
  if (slice === undefined) return false;
  const run = slice.runAt(mark.sequence);
  if (run === undefined || run.firstSequence > mark.sequence || (mark.stampHigh === 0 && mark.stampLow === 0)) {
    return true;
  }
  if (disk.stat(slice.index.path) === undefined) return true;
  const entry = new Uint8Array(INDEX_RECORD_BYTES);
  const index = disk.open(slice.index.path, "read");
  try {
    const position = Slice.indexPosition(slice.recordAt(mark.sequence));
    if (index.read(entry, 0, INDEX_RECORD_BYTES, position) < INDEX_RECORD_BYTES) return true;
  } finally {
    index.close();
  }
  const record = new IndexRecord();
  record.read(entry, 0);
  return record.stampHigh === mark.stampHigh && record.stampLow === mark.stampLow;
}

/** What the newest mark speaks of never became safe, or is gone: `mark` is the one that counts. */
function keepMark(
  { disk, apply, report }: RecoverContext,
  channel: string,
  directory: string,
  mark: PurgeMark | undefined,
): void {
  if (mark === undefined) {
    report({
      level: "healed",
      channel,
      path: purgeMarkPath(directory),
      offset: -1,
      text:
        "it says that messages were purged that are not those of this channel; it is dropped, all messages are served",
    });
  }
  if (apply) writePurgeMarks(disk, directory, mark === undefined ? [] : [mark]);
}

/** One without messages is forgotten (stores.md 6.2). Its files are no help, and half of them would stop the reference. */
function removeSlice({ disk, report }: RecoverContext, channel: string, { data, index }: Slice): void {
  for (const { path } of [index, data]) {
    try {
      if (disk.stat(path) !== undefined) disk.remove(path);
    } catch (error) {
      report({
        level: "healed",
        channel,
        path,
        offset: -1,
        text: `a file without messages stays: ${messageOf(error)}`,
      });
    }
  }
}

/**
 * One slice. The index is believed as far as it is intact and the data file reaches; everything behind that is read from
 * the data file, and the index goes on from there. So a missing, short, torn or damaged index is the same case.
 */
class SliceRecovery {
  readonly #context: RecoverContext;
  readonly #channel: string;
  readonly #slice: Slice;
  readonly #dataPath: string;
  readonly #indexPath: string;
  readonly #lastBefore: number;
  readonly #isLate: boolean;
  readonly #record = new IndexRecord();
  readonly #view = new MsgProtoView();
  readonly #channelBytes: string;
  readonly #damaged: number[] = [];
  #wasCut = false;
  /** Index records read from data and not written yet. */
  #chunk = new Uint8Array(0);
  #chunkUsed = 0;
  #indexSize = VERSION_BYTES;
  #added = 0;
  #isNewIndex = false;
  /** A message up to here is damaged and known by its index record: its bytes stay, even at the end of the file. */
  #keptEnd = 0;

  /** `isLate`: what was written last may be here, and a power cut may have kept half of it. */
  constructor(
    context: RecoverContext,
    channel: string,
    directory: string,
    number: number,
    lastBefore: number,
    isLate: boolean,
  ) {
    this.#isLate = isLate;
    this.#context = context;
    this.#channel = channel;
    this.#channelBytes = channel;
    this.#lastBefore = lastBefore;
    const names = sliceNames(number);
    this.#dataPath = `${directory}/${names.data}`;
    this.#indexPath = `${directory}/${names.index}`;
    const { pool } = context;
    this.#slice = new Slice(number, new LogFile(pool, this.#dataPath, 0), new LogFile(pool, this.#indexPath, 0));
  }

  run(): { readonly slice: Slice; readonly damaged: readonly number[]; readonly wasCut: boolean } {
    const { disk, apply } = this.#context;
    const slice = this.#slice;
    const data = disk.open(this.#dataPath, apply ? "update" : "read");
    let index: DiskFile | undefined;
    try {
      const size = data.sizeBytes();
      const version = readVersion(data, size, this.#dataPath);
      if (version === "none") {
        this.#startEmpty(size);
        return { slice, damaged: [], wasCut: false };
      }
      if (version === "lost") {
        this.#report("healed", this.#dataPath, 0, LOST_VERSION);
        if (apply) {
          data.write(versionBytes(), 0, VERSION_BYTES, 0);
          data.syncNow();
        }
      }
      index = this.#openIndex();
      const source = sourceOf(data);
      const from = index === undefined ? VERSION_BYTES : this.#readIndex(index, source);
      const result = this.#scan(source, from, index);
      this.#finish(data, index, size, result);
    } finally {
      data.close();
      index?.close();
    }
    return { slice, damaged: this.#damaged, wasCut: this.#wasCut };
  }

  #report(level: FindingLevel, path: string, offset: number, text: string): void {
    this.#context.report({ level, channel: this.#channel, path, offset, text });
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
    const dataSize = data.size;
    const bytes = new Uint8Array(Math.min(INDEX_READ_BYTES, Math.max(INDEX_RECORD_BYTES, size)));
    // Words, because this loop runs once per stored message; every platform we run on is little-endian.
    const words = new Int32Array(bytes.buffer, 0, bytes.length >>> 2);
    let dataEnd = VERSION_BYTES;
    let last = this.#lastBefore;
    let why = "";
    let position = VERSION_BYTES;
    while (position < size && why === "") {
      const count = index.read(bytes, 0, Math.min(words.length * 4, size - position), position) >>> 5;
      if (count === 0) {
        why = "it ends in the middle of a record";
        break;
      }
      for (let at = 0; at < count * INDEX_WORDS; at += INDEX_WORDS) {
        const sequence = safeNumber(words[at + 1]!, words[at]!);
        const offset = safeNumber(words[at + 3]!, words[at + 2]!);
        const payloadSize = words[at + 6]! >>> 0;
        const end = offset + RECORD_HEADER_BYTES + payloadSize;
        if (sequence === 0 && isZero(bytes, at * 4, at * 4 + INDEX_RECORD_BYTES)) why = "zeros";
        else if (checkCrc && crc.ofSevenWords(words, at) !== words[at + 7]! >>> 0) {
          why = "a record has a wrong checksum";
        } else if (sequence <= last || offset < dataEnd) why = "a record is out of order";
        else if (end > dataSize) {
          why = `the data file ends before message ${sequence}`;
          this.#wasCut = true;
        }
        if (why !== "") break;
        slice.add(sequence, payloadSize, words[at + 5]! >>> 0, words[at + 4]! >>> 0);
        last = sequence;
        dataEnd = end;
        position += INDEX_RECORD_BYTES;
      }
    }
    this.#indexSize = position;
    if (why !== "") {
      this.#report("healed", this.#indexPath, position, `${why}; the rest of the index is built from the data file`);
    }
    // Without checksums nobody knows which of the two is right.
    if (this.#isLate && checkCrc) this.#verifyTail(index, data);
    return this.#verifyLast(index, data);
  }

  /**
   * The last records of the index must be of the messages that are there. After a failed flush other messages take the place
   * of those that were taken back; a power cut in that moment may keep the new data and the old index, both intact.
   */
  #verifyTail(index: DiskFile, data: ByteSource): void {
    const slice = this.#slice;
    const record = this.#record;
    const count = Math.min(slice.recordCount, TAIL_RECORDS_MAX);
    const first = slice.recordCount - count;
    const entries = new Uint8Array(count * INDEX_RECORD_BYTES);
    index.read(entries, 0, entries.length, Slice.indexPosition(first));
    if (count === 0) return;
    record.read(entries, entries.length - INDEX_RECORD_BYTES);
    const end = record.dataEnd;
    let at = entries.length;
    while (at > 0) {
      record.read(entries, at - INDEX_RECORD_BYTES);
      if (end - record.offset > TAIL_BYTES_MAX) break;
      at -= INDEX_RECORD_BYTES;
    }
    if (at === entries.length) return;
    record.read(entries, at);
    const start = record.offset;
    const bytes = new Uint8Array(end - start);
    data.read(bytes, 0, bytes.length, start);
    for (; at < entries.length; at += INDEX_RECORD_BYTES) {
      record.read(entries, at);
      if (!this.#isAnother(bytes, record.offset - start, record)) continue;
      const kept = first + at / INDEX_RECORD_BYTES;
      this.#report(
        "healed",
        this.#indexPath,
        Slice.indexPosition(kept),
        `from message ${record.sequence} on it is the index of other messages; its rest is built from the data file`,
      );
      this.#wasCut = true;
      this.#forgetIndexFrom(kept, index);
      return;
    }
  }

  /** True when an intact message that is not the one of `record` stands at `at`. One that is damaged is no evidence. */
  #isAnother(bytes: Uint8Array, at: number, record: IndexRecord): boolean {
    const size = readU32(bytes, at);
    const start = at + RECORD_HEADER_BYTES;
    const end = start + size;
    if (size === 0 || end > bytes.length) return false;
    if (readU32(bytes, at + 4) !== this.#context.crc.of(bytes, start, end)) return false;
    const view = this.#view;
    if (!decodeMsgProto(bytes, start, end, view) || view.sequence <= this.#lastBefore) return false;
    return size !== record.payloadSize || view.sequence !== record.sequence || view.stampHigh !== record.stampHigh ||
      view.stampLow !== record.stampLow;
  }

  /** The last indexed message must be what the data file says; returns where its record ends. */
  #verifyLast(index: DiskFile, data: ByteSource): number {
    const { crc, checkCrc } = this.#context;
    const slice = this.#slice;
    const record = this.#record;
    const entry = new Uint8Array(INDEX_RECORD_BYTES);
    while (slice.recordCount > 0) {
      index.read(entry, 0, INDEX_RECORD_BYTES, Slice.indexPosition(slice.recordCount - 1));
      record.read(entry, 0);
      const bytes = new Uint8Array(RECORD_HEADER_BYTES + record.payloadSize);
      data.read(bytes, 0, bytes.length, record.offset);
      const end = bytes.length;
      const isThere = readU32(bytes, 0) === record.payloadSize && !isZero(bytes, RECORD_HEADER_BYTES, end);
      if (isThere) {
        const stored = readU32(bytes, 4);
        const actual = crc.of(bytes, RECORD_HEADER_BYTES, end);
        const decodes = decodeMsgProto(bytes, RECORD_HEADER_BYTES, end, this.#view) &&
          this.#view.sequence === record.sequence;
        if (stored === actual && decodes) return record.dataEnd;
        if (!checkCrc && decodes) {
          // Another polynomial, or damage that nobody wants to hear of: every message is looked at.
          this.#forgetIndexFrom(0, index);
          this.#report("healed", this.#indexPath, -1, "the last message has a wrong checksum; the index is built anew");
          return VERSION_BYTES;
        }
        this.#damaged.push(record.sequence);
        this.#report(
          "damaged",
          this.#dataPath,
          record.offset,
          `message ${record.sequence} is damaged (expected crc to be ${hex(stored)}, got ${hex(actual)}); ` +
            `it is left out, its sequence is not given again`,
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
    this.#indexSize = Slice.indexPosition(recordCount);
  }

  /** Reads what no index record speaks of. */
  #scan(data: ByteSource, from: number, index: DiskFile | undefined): ScanResult {
    const { crc, checkCrc } = this.#context;
    const view = this.#view;
    const slice = this.#slice;
    let last = Math.max(slice.lastSequence, this.#lastBefore);
    const rules: RecordRules = {
      typed: false,
      checkCrc,
      accept: (_type, bytes, start, end) => decodeMsgProto(bytes, start, end, view) && view.sequence > last,
      isOurs: (bytes) => this.#isOurs(bytes),
      // Field 1, the sequence, comes first in every message.
      mayBegin: (_type, firstByte) => firstByte === 0x08,
    };
    const result = scanRecords(data, from, rules, crc, (position, _type, _bytes, start, end) => {
      if (view.sequence > last + 1 && last > this.#lastBefore) this.#missing(last + 1, view.sequence - 1, position);
      last = view.sequence;
      slice.add(last, end - start, view.stampHigh, view.stampLow);
      this.#addToIndex(index, position, end - start);
    });
    if (slice.recordCount === 0) refuseOtherPolynomial(this.#context, data, rules, result, this.#dataPath);
    return result;
  }

  #isOurs(bytes: Uint8Array): boolean {
    const name = this.#channelBytes;
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
        this.#report(
          "healed",
          this.#dataPath,
          start,
          `the file ends in an incomplete message behind ${slice.lastSequence} (${why}); ${
            size - start
          } bytes are cut off ` +
            `and kept in ${asideName(this.#dataPath, start)}`,
        );
        if (apply) keepAside(this.#context, this.#channel, data, this.#dataPath, start, size);
      }
    }
    if (apply) {
      if (end < size) {
        data.truncate(end);
        data.syncNow();
      }
      if (index !== undefined) {
        if (this.#chunkUsed > 0) this.#writeChunk(index);
        if (index.sizeBytes() !== this.#indexSize) {
          index.truncate(this.#indexSize);
          index.syncNow();
        } else if (this.#added > 0 || this.#isNewIndex) index.syncNow();
      }
    }
    slice.data.size = slice.data.syncedSize = end;
    slice.index.size = slice.index.syncedSize = Slice.indexPosition(slice.recordCount);
  }
}

/** Name of the file that keeps what was cut off `path` at `offset`: plain, with a dot, so that no server reads it. */
export function asideName(path: string, offset: number): string {
  const at = path.lastIndexOf("/") + 1;
  return `${path.slice(0, at)}.${path.slice(at)}.cut-${offset}`;
}

/** A copy for people. Without it the start goes on: a full disk must not keep the server from serving. */
function keepAside(
  { disk, report }: RecoverContext,
  channel: string,
  file: DiskFile,
  path: string,
  start: number,
  end: number,
): void {
  try {
    const bytes = new Uint8Array(Math.min(end - start, ASIDE_BYTES_MAX));
    file.read(bytes, 0, bytes.length, start);
    const aside = disk.open(asideName(path, start), "replace");
    try {
      aside.write(bytes, 0, bytes.length, 0);
      aside.syncNow();
    } finally {
      aside.close();
    }
  } catch (error) {
    const text = `the bytes that are cut off cannot be kept (${messageOf(error)})`;
    report({ level: "damaged", channel, path, offset: start, text });
  }
}

/**
 * Called for a file without one right record. Whole records in a row whose checksums are all wrong were written with another
 * polynomial: what would be cut off as a torn tail is the whole file, so the start is refused. A single one may be torn.
 */
function refuseOtherPolynomial(
  { crc, checkCrc }: RecoverContext,
  source: ByteSource,
  rules: RecordRules,
  { bad }: ScanResult,
  path: string,
): void {
  if (!checkCrc || bad[0]?.kind !== "torn" || bad[0].start !== VERSION_BYTES) return;
  const count = countUnchecked(source, VERSION_BYTES, rules, crc);
  if (count < 2) return;
  throw new StoreError(
    "STORE_DAMAGED",
    `no checksum in "${path}" is right, although ${count} records are whole: the store was written with another ` +
      `file_crc_poly than ${crc.polynomial}. Start with that one. Nothing was changed`,
  );
}

// Typed files -----------------------------------------------------------------------------------------------------------

/**
 * Reads clients.dat or subs.dat and heals its end. Missing: created. Returns the file, ready for appending, and whether
 * records were cut or left out.
 */
function recoverTyped(
  context: RecoverContext,
  channel: string,
  path: string,
  types: readonly number[],
  replay: (type: number, bytes: Uint8Array, start: number, end: number) => boolean,
  decodes: (type: number, bytes: Uint8Array, start: number, end: number) => boolean,
  damaged: () => void,
): LogFile {
  const { disk, pool, apply, crc, checkCrc } = context;
  const report = (level: FindingLevel, offset: number, text: string) =>
    context.report({ level, channel, path, offset, text });
  if (disk.stat(path) === undefined) {
    report("healed", -1, "the file is missing; it is created");
    if (!apply) return new LogFile(pool, path, VERSION_BYTES);
    return LogFile.create(pool, path);
  }
  const file = disk.open(path, apply ? "update" : "read");
  try {
    const source = sourceOf(file);
    const version = readVersion(file, source.size, path);
    if (version === "none") {
      report("healed", 0, "the file has no version and no records; it is begun anew");
      if (apply) {
        file.truncate(0);
        file.write(versionBytes(), 0, VERSION_BYTES, 0);
        file.syncNow();
      }
      return found(pool, path, VERSION_BYTES);
    }
    if (version === "lost") {
      report("healed", 0, LOST_VERSION);
      if (apply) {
        file.write(versionBytes(), 0, VERSION_BYTES, 0);
        file.syncNow();
      }
    }
    const rules: RecordRules = {
      typed: true,
      checkCrc,
      // Decoding is the replay, so a record that does not decode changes nothing and is reported.
      accept: (type, bytes, start, end) => types.includes(type) && replay(type, bytes, start, end),
      mayBegin: (type) => types.includes(type),
    };
    let isEmpty = true;
    const result = scanRecords(source, VERSION_BYTES, rules, crc, () => isEmpty = false);
    // Looked at only: what has a wrong checksum must not be replayed.
    const looked = { ...rules, accept: decodes };
    if (isEmpty) refuseOtherPolynomial(context, source, looked, result, path);
    const { bad } = result;
    let end = source.size;
    for (const { start, why, kind, end: badEnd } of bad) {
      if (kind === "damage") {
        report("damaged", start, `${badEnd - start} bytes are no record (${why}); the records behind them count`);
        damaged();
        continue;
      }
      end = start;
      if (kind === "zeros") {
        report("healed", start, `${source.size - start} zero bytes at the end are cut off`);
      } else {
        report(
          "healed",
          start,
          `the file ends in an incomplete record (${why}); ${source.size - start} bytes are cut off and kept in ` +
            asideName(path, start),
        );
        if (apply) keepAside(context, channel, file, path, start, source.size);
      }
    }
    if (apply && end < source.size) {
      file.truncate(end);
      file.syncNow();
    }
    return found(pool, path, end);
  } finally {
    file.close();
  }
}

/** The next flush syncs it: its bytes may be what a killed process left in the system's memory. */
function found(pool: DescriptorPool, path: string, size: number): LogFile {
  const file = new LogFile(pool, path, size);
  file.distrust();
  return file;
}

/** Replays subs.dat of one channel. */
export function recoverSubscriptions(
  context: RecoverContext,
  channel: string,
  path: string,
): { readonly file: LogFile; readonly replay: SubscriptionReplay } {
  const replay: SubscriptionReplay = { states: new Map(), idMax: 0, superseded: 0, total: 0, isDamaged: false };
  const types = Object.values(SUBSCRIPTION_RECORD);
  const file = recoverTyped(
    context,
    channel,
    path,
    types,
    (type, bytes, start, end) => replaySubscription(replay, type, bytes, start, end),
    (type, bytes, start, end) => {
      const nowhere: SubscriptionReplay = { states: new Map(), idMax: 0, superseded: 0, total: 0, isDamaged: false };
      return types.includes(type as typeof types[number]) && replaySubscription(nowhere, type, bytes, start, end);
    },
    () => replay.isDamaged = true,
  );
  return { file, replay };
}

/** One record of subs.dat (stores.md 4.6); false: it does not decode. */
function replaySubscription(
  replay: SubscriptionReplay,
  type: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean {
  const { states } = replay;
  switch (type) {
    case SUBSCRIPTION_RECORD.create:
    case SUBSCRIPTION_RECORD.update: {
      const record = decodeSubState(bytes, start, end);
      if (record === undefined) return false;
      const known = states.get(record.id);
      if (type === SUBSCRIPTION_RECORD.update && known !== undefined) {
        // What was sent is never unsaid: a compaction may have written the position before the update (invariant 51).
        record.lastSent = Math.max(record.lastSent, known.record.lastSent);
        states.set(record.id, { record, pending: known.pending });
        replay.superseded++;
      } else {
        states.set(record.id, { record, pending: new SequenceSet() });
      }
      replay.total++;
      if (record.id > replay.idMax) replay.idMax = record.id;
      return true;
    }
    case SUBSCRIPTION_RECORD.delete: {
      const record = decodeSubStateDelete(bytes, start, end);
      if (record === undefined) return false;
      const known = states.get(record.id);
      if (known !== undefined) {
        states.delete(record.id);
        replay.superseded += 1 + known.pending.size;
      }
      if (record.id > replay.idMax) replay.idMax = record.id;
      return true;
    }
    default: {
      // Two of these per delivered message: in their usual form they are read by hand.
      const idEnd = bytes[start] === 0x08 ? varintEnd(bytes, start + 1, end) : -1;
      const isUsual = idEnd > 0 && bytes[idEnd] === 0x10 && varintEnd(bytes, idEnd + 1, end) === end;
      if (isUsual) {
        const id = varintNumber(bytes, start + 1, idEnd);
        replayPosition(replay, type, id, varintNumber(bytes, idEnd + 1, end));
        return true;
      }
      const record = decodeSubStateUpdate(bytes, start, end);
      if (record === undefined) return false;
      replayPosition(replay, type, record.id, record.sequence);
      return true;
    }
  }
}

function replayPosition(replay: SubscriptionReplay, type: number, id: number, sequence: number): void {
  const known = replay.states.get(id);
  // Of a subscription that is gone (invariant 52), or of no message.
  if (known === undefined || sequence <= 0) return;
  if (type === SUBSCRIPTION_RECORD.ack) {
    known.pending.delete(sequence);
    replay.superseded++;
    return;
  }
  known.pending.add(sequence);
  if (sequence > known.record.lastSent) known.record.lastSent = sequence;
  replay.total++;
}

/** Replays clients.dat. */
export function recoverClients(
  context: RecoverContext,
  path: string,
): { readonly file: LogFile; readonly replay: ClientReplay } {
  const replay: ClientReplay = { clients: new Map(), deletions: 0, isDamaged: false };
  const types = Object.values(CLIENT_RECORD);
  const file = recoverTyped(context, "", path, types, (type, bytes, start, end) => {
    if (type === CLIENT_RECORD.add) {
      const record = decodeClientInfo(bytes, start, end);
      if (record === undefined) return false;
      replay.clients.set(record.id, record);
      return true;
    }
    const record = decodeClientDelete(bytes, start, end);
    if (record === undefined) return false;
    if (replay.clients.delete(record.id)) replay.deletions++;
    return true;
  }, (type, bytes, start, end) => {
    if (type === CLIENT_RECORD.add) return decodeClientInfo(bytes, start, end) !== undefined;
    return type === CLIENT_RECORD.delete && decodeClientDelete(bytes, start, end) !== undefined;
  }, () => replay.isDamaged = true);
  return { file, replay };
}

// Server ----------------------------------------------------------------------------------------------------------------

/** server.dat: undefined = there is no information yet. Everything else that is wrong stops the start (stores.md 6.1). */
export function recoverServer(context: RecoverContext, path: string): ServerRecord | undefined {
  const { disk, crc, checkCrc } = context;
  if (disk.stat(path) === undefined) return undefined;
  const file = disk.open(path, "read");
  try {
    const size = file.sizeBytes();
    const bytes = new Uint8Array(size);
    file.read(bytes, 0, size, 0);
    const fail = (why: string): never => {
      throw new StoreError(
        "STORE_DAMAGED",
        `unable to recover server file "${path}": ${why}. Nothing was changed. ` +
          `If the file cannot be had from a backup, move it away: it is made anew and the channels are kept`,
      );
    };
    if (size < VERSION_BYTES) fail("unable to verify file version: EOF");
    const version = readU32(bytes, 0);
    if (version !== FILE_VERSION) fail(`unsupported file version: ${version} (supports [1..1])`);
    if (size === VERSION_BYTES) return undefined;
    const start = VERSION_BYTES + RECORD_HEADER_BYTES;
    if (size < start) fail("unexpected EOF");
    const payload = readU32(bytes, VERSION_BYTES);
    if (payload === 0) fail("end of file padded with zeros");
    if (start + payload > size) fail("unexpected EOF");
    const stored = readU32(bytes, VERSION_BYTES + 4);
    const actual = crc.of(bytes, start, start + payload);
    if (checkCrc && stored !== actual) {
      fail(`corrupted data, expected crc to be ${hex(stored)}, got ${hex(actual)}`);
    }
    if (start + payload !== size) fail(`incorrect file size, expected ${start + payload} bytes, got ${size} bytes`);
    const record = decodeServerInfo(bytes, start, size);
    return record ?? fail("the record cannot be decoded");
  } finally {
    file.close();
  }
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}
