/**
 * What the two files of a slice hold, byte by byte: runs of good records, bytes that are none, and messages that only the
 * index knows. Reads everything and changes nothing; what follows from it is decided in `plan.ts`. A start of the server
 * believes an index that is intact (stores.md 6.2); this does not, so it finds what lies in the middle.
 */
import type { Disk, DiskFile } from "../../runtime/types.ts";
import type { Crc32 } from "../../store/file/crc.ts";
import {
  FILE_VERSION,
  INDEX_RECORD_BYTES,
  IndexRecord,
  isIndexRecordIntact,
  isZero,
  readU32,
  RECORD_HEADER_BYTES,
  sliceNames,
  VERSION_BYTES,
} from "../../store/file/format.ts";
import { messageRules } from "../../store/file/message_rules.ts";
import { firstMessageUpTo, type Overlap, overlapFrom, overlapText } from "../../store/file/overlap.ts";
import { isMarked, lastBeforeSlice, markInForce, type PurgeMark } from "../../store/file/purge_mark.ts";
import { foreignRecordCount } from "../../store/file/recover.ts";
import { findRestarts, MessageOrder, repeatText, type Restart } from "../../store/file/repeats.ts";
import { type BadRange, type ByteSource, type RecordRules, scanRecords, Window } from "../../store/file/scan.ts";
import type { Stamp } from "../../store/stamp.ts";
import { MsgProtoView } from "../../wire/stan_hot.ts";
import type { SequenceRange } from "./tool_arguments.ts";

const ZERO_CHUNK_BYTES = 64 * 1024;

/** What reading needs. */
export interface InspectContext {
  readonly disk: Disk;
  readonly crc: Crc32;
  /** Told of all bytes that were read. */
  readonly readBytes: (count: number) => void;
}

/** Good records one behind the other, with consecutive sequences. */
export interface Segment {
  readonly start: number;
  end: number;
  readonly firstSequence: number;
  lastSequence: number;
  readonly firstStamp: Stamp;
  lastStamp: Stamp;
  /** Of all its records, without their headers. */
  payloadBytes: number;
}

/** A message of the index that no good record answers to. */
export interface IndexedOnly {
  readonly sequence: number;
  readonly stamp: Stamp;
  readonly offset: number;
  readonly end: number;
  /** The data file has bytes of it; else they never got there. */
  readonly hasArrived: boolean;
  /**
   * A start that finds it last keeps its sequence: its size is there and right, and something behind it; or a purge speaks of it,
   * and its bytes are there. And the index is whole up to its record: a start believes it no further.
   */
  readonly isKeptAtStart: boolean;
}

export interface SliceInspection {
  readonly number: number;
  readonly dataPath: string;
  readonly indexPath: string;
  readonly sizeBytes: number;
  /** Of the data file. */
  readonly version: FileVersion;
  readonly segments: readonly Segment[];
  readonly bad: readonly BadRange[];
  /** Ascending. */
  readonly indexedOnly: readonly IndexedOnly[];
  readonly indexFault: { readonly offset: number; readonly text: string } | undefined;
  /** Of whole records where no checksum is right and no index knows better: a start refuses the file. Else 0. */
  readonly foreignCount: number;
  readonly recordCount: number;
  /** Stamps of the good messages in the range that was asked for. */
  readonly stamps: ReadonlyMap<number, Stamp>;
}

/** How to read slices. */
export interface SliceOptions {
  /** Segments end at the borders of this range, and its stamps are kept. */
  readonly drop: SequenceRange | undefined;
  /** Segments end behind what they speak of. */
  readonly marks: readonly PurgeMark[];
}

/**
 * The mark that counts for the messages of these slices, as {@link markInForce} decides it. Where the last message of all is
 * damaged a start may take it for one that never came, and its mark for one of other messages: `atStart` asks for that.
 */
export function inspectedMark(
  marks: readonly PurgeMark[],
  slices: readonly SliceInspection[],
  atStart = false,
): PurgeMark | undefined {
  const marked = slices.map((slice) => ({ slice, lastSequence: lastSequenceOf(slice, atStart) }));
  return markInForce(marks, marked, ({ slice }, sequence) => {
    // Segments end behind every mark, so its message is the last one of its segment.
    const segment = slice.segments.find(({ lastSequence }) => lastSequence === sequence);
    return segment?.lastStamp ?? slice.indexedOnly.find((entry) => entry.sequence === sequence)?.stamp;
  });
}

/** A message whose bytes are there and wrong keeps its sequence. 0: there is none. */
export function lastSequenceOf({ segments, indexedOnly }: SliceInspection, atStart = false): number {
  const indexed = indexedOnly.findLast((entry) => atStart ? entry.isKeptAtStart : entry.hasArrived)?.sequence ?? 0;
  return Math.max(segments.at(-1)?.lastSequence ?? 0, indexed);
}

/** A file as bytes by position, counted. */
export function sourceOf(file: DiskFile, context: InspectContext, end = file.sizeBytes()): ByteSource {
  return {
    size: end,
    read: (into, start, stop, position) => {
      const count = file.read(into, start, stop, position);
      context.readBytes(count);
      return count;
    },
  };
}

/** What stands in front of a file: `none` is what a crash right after its creation leaves, `lost` has records behind it. */
export type FileVersion = "right" | "none" | "lost" | number;

/** Reads it. */
export function versionOf(source: ByteSource): FileVersion {
  if (source.size < VERSION_BYTES) return "none";
  const head = new Uint8Array(VERSION_BYTES);
  source.read(head, 0, head.length, 0);
  const version = readU32(head, 0);
  if (version === FILE_VERSION) return "right";
  if (version !== 0) return version;
  const window = new Window(source);
  for (let at = 0; at < source.size; at += ZERO_CHUNK_BYTES) {
    const count = Math.min(ZERO_CHUNK_BYTES, source.size - at);
    const start = window.at(at, count);
    if (start < 0 || !isZero(window.bytes, start, start + count)) return "lost";
  }
  return "none";
}

/** Reads slices, given by their numbers in ascending order, one when the next is asked for. */
export function* inspectSlices(
  context: InspectContext,
  directory: string,
  numbers: readonly number[],
  options: SliceOptions,
): Generator<SliceInspection> {
  let last = 0;
  /** The last slice with messages and all behind it: what counts of that one is known when the next one with messages is met. */
  let held: SliceInspection[] = [];
  let lastBeforeHeld = 0;
  for (const number of numbers) {
    const [before] = held;
    const from = before === undefined
      ? undefined
      : overlapWith(context, directory, before, lastBeforeHeld, number, options.marks);
    if (from !== undefined) {
      const overlap = { from, next: sliceNames(number).data };
      held[0] = inspectSlice(context, directory, before!.number, lastBeforeHeld, options, overlap); // There is one.
      last = held[0].segments.at(-1)?.lastSequence ?? last;
    }
    const lastBefore = lastBeforeSlice(options.marks, last);
    const slice = inspectSlice(context, directory, number, lastBefore, options);
    if (lastSequenceOf(slice, true) > 0) {
      yield* held;
      held = [];
      lastBeforeHeld = lastBefore;
    }
    held.push(slice);
    last = slice.segments.at(-1)?.lastSequence ?? last;
  }
  yield* held;
}

/** What a start finds where it looks whether slice `number` takes the place of messages of the slice before it. */
function overlapWith(
  context: InspectContext,
  directory: string,
  before: SliceInspection,
  lastBefore: number,
  number: number,
  marks: readonly PurgeMark[],
): number | undefined {
  const firstSequence = before.segments[0]?.firstSequence ?? before.indexedOnly[0]?.sequence ?? 0;
  const lastSequence = lastSequenceOf(before, true);
  const data = context.disk.open(`${directory}/${sliceNames(number).data}`, "read");
  let first;
  try {
    // What is read here is read again: it is no progress.
    first = firstMessageUpTo(
      lastBeforeSlice(marks, lastSequence),
      sourceOf(data, { ...context, readBytes: () => {} }),
      context.crc,
    );
  } finally {
    data.close();
  }
  if (first === undefined) return undefined;
  return overlapFrom({ firstSequence, lastSequence }, first, (sequence) => {
    const indexed = before.indexedOnly.find((entry) => entry.sequence === sequence);
    if (indexed !== undefined) return indexed.stamp;
    const drop = { first: sequence, last: sequence };
    return inspectSlice(context, directory, before.number, lastBefore, { drop, marks: [] }).stamps.get(sequence);
  });
}

function inspectSlice(
  context: InspectContext,
  directory: string,
  number: number,
  lastBefore: number,
  options: SliceOptions,
  overlap?: Overlap,
): SliceInspection {
  const { disk } = context;
  const names = sliceNames(number);
  const dataPath = `${directory}/${names.data}`;
  const indexPath = `${directory}/${names.index}`;
  const data = disk.open(dataPath, "read");
  try {
    const source = sourceOf(data, context);
    const hasIndex = disk.stat(indexPath) !== undefined;
    const index = hasIndex ? disk.open(indexPath, "read") : undefined;
    try {
      const read = (restarts?: readonly Restart[]) => {
        const known = index === undefined ? undefined : sourceOf(index, context);
        const reader = new IndexReader(known, context.crc, overlap?.from ?? Infinity);
        return readSlice(context, source, reader, lastBefore, options, overlap, restarts);
      };
      const order = { last: lastBefore, end: overlap?.from ?? Infinity };
      const view = new MsgProtoView();
      const found = read() ??
        read(findRestarts(source, VERSION_BYTES, context.crc, view, order, (order) => rulesOf(order, view)))!; // It goes on.
      return { number, dataPath, indexPath, ...found };
    } finally {
      index?.close();
    }
  } finally {
    data.close();
  }
}

function rulesOf(order: MessageOrder, view: MsgProtoView): RecordRules {
  return messageRules(view, (position) => order.accepts(view, position));
}

/** Undefined: sequences begin again somewhere, it is not said where, and the index is not of those that come first. */
function readSlice(
  context: InspectContext,
  source: ByteSource,
  index: IndexReader,
  lastBefore: number,
  { drop, marks }: SliceOptions,
  overlap: Overlap | undefined,
  restarts?: readonly Restart[],
): Omit<SliceInspection, "number" | "dataPath" | "indexPath"> | undefined {
  const version = versionOf(source);
  const segments: Segment[] = [];
  const stamps = new Map<number, Stamp>();
  const view = new MsgProtoView();
  const order = new MessageOrder({ last: lastBefore, end: overlap?.from ?? Infinity }, restarts ?? []);
  const repeats: BadRange[] = [];
  const purged = marks.map(({ sequence }) => sequence);
  let recordCount = 0;
  const found = (position: number, _type: number, _bytes: Uint8Array, start: number, end: number) => {
    const { sequence } = view;
    const stamp = { high: view.stampHigh, low: view.stampLow };
    const recordEnd = position + RECORD_HEADER_BYTES + end - start;
    if (!order.takes(view, position, recordEnd)) {
      repeats.push({ start: position, end: recordEnd, why: repeatText(sequence, sequence), kind: "repeated" });
      return;
    }
    recordCount++;
    index.expect(sequence, position, end - start, stamp);
    const isInDrop = drop !== undefined && sequence >= drop.first && sequence <= drop.last;
    if (isInDrop) stamps.set(sequence, stamp);
    const segment = segments.at(-1);
    const goesOn = segment !== undefined && segment.end === position && segment.lastSequence + 1 === sequence &&
      sequence !== drop?.first && sequence - 1 !== drop?.last && !purged.includes(sequence - 1);
    if (goesOn) {
      segment.end = recordEnd;
      segment.lastSequence = sequence;
      segment.lastStamp = stamp;
      segment.payloadBytes += end - start;
      return;
    }
    segments.push({
      start: position,
      end: recordEnd,
      firstSequence: sequence,
      lastSequence: sequence,
      firstStamp: stamp,
      lastStamp: stamp,
      payloadBytes: end - start,
    });
  };
  // A file with a wrong version is read all the same: perhaps only the version is wrong.
  const rules = rulesOf(order, view);
  const result = version === "none" ? undefined : scanRecords(source, VERSION_BYTES, rules, context.crc, found);
  const bad = (result?.bad ?? []).map((range) =>
    // Where a start cuts it off, and says this.
    overlap === undefined || range.kind !== "torn" ? range : { ...range, why: overlapText(overlap) }
  );
  bad.push(...repeats);
  index.end(version !== "none");
  if (order.isRepeated && restarts === undefined && index.fault !== undefined) return undefined;
  const isForeign = result !== undefined && recordCount === 0 && index.unanswered.length === 0;
  return {
    sizeBytes: source.size,
    version,
    segments,
    bad,
    foreignCount: isForeign ? foreignRecordCount(source, rules, result, context.crc) : 0,
    indexedOnly: index.unanswered.filter(({ sequence }) => sequence > lastBefore).map((entry) => ({
      ...entry,
      ...whatArrived(source, entry, marks),
    })),
    indexFault: index.fault,
    recordCount,
    stamps,
  };
}

/** Whether the bytes of an indexed message are in the file, right or wrong. */
function whatArrived(
  source: ByteSource,
  { sequence, stamp, offset, end, isBelieved }: Unanswered,
  marks: readonly PurgeMark[],
): Pick<IndexedOnly, "hasArrived" | "isKeptAtStart"> {
  if (end > source.size || offset < VERSION_BYTES) return { hasArrived: false, isKeptAtStart: false };
  const bytes = new Uint8Array(end - offset);
  source.read(bytes, 0, bytes.length, offset);
  const payloadSize = bytes.length - RECORD_HEADER_BYTES;
  const hasArrived = !isZero(bytes, 0, bytes.length);
  const isWhole = readU32(bytes, 0) === payloadSize && !isZero(bytes, RECORD_HEADER_BYTES, bytes.length);
  const isPurged = isMarked(marks, { sequence, stampHigh: stamp.high, stampLow: stamp.low });
  return { hasArrived, isKeptAtStart: isBelieved && (isWhole || isPurged && hasArrived) };
}

/** A record of the index that no good record answers to. `isBelieved`: all index records before it are good. */
type Unanswered = Omit<IndexedOnly, "hasArrived" | "isKeptAtStart"> & { readonly isBelieved: boolean };

/** Goes through an index beside the data file and keeps what the two do not agree on. */
class IndexReader {
  readonly unanswered: Unanswered[] = [];
  fault: { readonly offset: number; readonly text: string } | undefined;
  readonly #window: Window | undefined;
  readonly #size: number;
  readonly #crc: Crc32;
  readonly #end: number;
  readonly #record = new IndexRecord();
  #position = VERSION_BYTES;
  #isWhole = true;
  /** Of the good records and the index records so far; an index goes upward or it is wrong. */
  #last = 0;

  /** Records from the sequence `end` on are as if they were not there. */
  constructor(source: ByteSource | undefined, crc: Crc32, end: number) {
    this.#crc = crc;
    this.#end = end;
    this.#size = source?.size ?? 0;
    if (source === undefined) {
      this.#blame(-1, "the index is missing");
      return;
    }
    if (versionOf(source) !== "right") {
      this.#blame(0, "the index has no valid version");
      this.#size = 0;
      return;
    }
    this.#window = new Window(source);
  }

  #blame(offset: number, text: string): void {
    this.fault ??= { offset, text };
  }

  /** The next record of the data file. */
  expect(sequence: number, offset: number, size: number, stamp: Stamp): void {
    const record = this.#record;
    while (this.#read()) {
      if (record.sequence < sequence) {
        this.#keep();
        continue;
      }
      if (record.sequence > sequence) {
        this.#blame(this.#position, `message ${sequence} is not in the index`);
        return;
      }
      const isRight = record.offset === offset && record.payloadSize === size && record.stampHigh === stamp.high &&
        record.stampLow === stamp.low;
      if (!isRight) this.#blame(this.#position, `message ${sequence} is described wrongly`);
      this.#position += INDEX_RECORD_BYTES;
      this.#last = sequence;
      return;
    }
    this.#blame(this.#position, `the index ends before message ${sequence}`);
  }

  /** The data file has no more good records. */
  end(hasVersion: boolean): void {
    while (this.#read()) this.#keep();
    // An empty slice needs no index.
    if (!hasVersion && this.unanswered.length === 0) this.fault = undefined;
  }

  #keep(): void {
    const { sequence, stampHigh, stampLow, offset, dataEnd } = this.#record;
    const stamp = { high: stampHigh, low: stampLow };
    this.unanswered.push({ sequence, stamp, offset, end: dataEnd, isBelieved: this.#isWhole });
    this.#blame(this.#position, `message ${sequence} is in the index and not in the data file`);
    this.#position += INDEX_RECORD_BYTES;
    this.#last = sequence;
  }

  /** Reads the index record at the position; records that are wrong in themselves are passed over. */
  #read(): boolean {
    const record = this.#record;
    for (;;) {
      const position = this.#position;
      if (this.#window === undefined || position >= this.#size) return false;
      const at = this.#window.at(position, INDEX_RECORD_BYTES);
      if (at < 0) {
        this.#blame(position, "the index ends in the middle of a record");
        this.#position = this.#size;
        return false;
      }
      const { bytes } = this.#window;
      if (isZero(bytes, at, at + INDEX_RECORD_BYTES)) this.#blame(position, "a record of the index is all zeros");
      else if (!isIndexRecordIntact(bytes, at, this.#crc)) {
        this.#blame(position, "a record of the index has a wrong checksum");
      } else {
        record.read(bytes, at);
        if (record.sequence >= this.#end) return false;
        if (record.sequence > this.#last && record.offset >= VERSION_BYTES) return true;
        this.#blame(position, "a record of the index is out of order");
      }
      this.#isWhole = false;
      this.#position += INDEX_RECORD_BYTES;
    }
  }
}
