/**
 * Messages of one channel on disk. Appending encodes a message once, straight into the block that is written from and that
 * serves deliveries; the file gets one write and one sync per turn (stores.md 5.2, 10). Nothing here waits: what is not in
 * memory is answered with LOOKUP_LATER and read off the event loop.
 *
 *   append -> tail block, staged index record      visible to lookup at once
 *   flush  -> write data, write index, sync both   the flush's promise: safe as promised
 *   error  -> roll back to the last safe message, refuse appends until the store can write again
 */
import { assert } from "../../base/assert.ts";
import { displayText } from "../../base/bytes.ts";
import { decodeMsgProto, encodeMsgProto, MsgProtoView } from "../../wire/stan_hot.ts";
import { isAtOrBefore, stampOfMs, stampToMsCeil } from "../stamp.ts";
import {
  APPEND_FAILED,
  APPEND_KNOWN,
  type ChannelLimits,
  LOOKUP_FAILED,
  LOOKUP_FOUND,
  LOOKUP_LATER,
  LOOKUP_NONE,
  type LookupResult,
  type MessageStore,
  type MessageView,
  StoreError,
} from "../types.ts";
import { Block, BLOCK_INDEX_STRIDE, type BlockOwner } from "./block.ts";
import type { SyncedDirectory } from "./directory.ts";
import {
  INDEX_RECORD_BYTES,
  IndexRecord,
  MESSAGE_OVERHEAD_BYTES,
  readU32,
  RECORD_HEADER_BYTES,
  sliceNames,
  VERSION_BYTES,
  writeIndexRecord,
  writeRecordHeader,
} from "./format.ts";
import { LogFile } from "./log_file.ts";
import { type SliceLimits, sliceLimits } from "./options.ts";
import { type PurgeMark, purgeMarkPath, writePurgeMarks } from "./purge_mark.ts";
import {
  clientTextOf,
  type FileStoreShared,
  messageOf,
  STAGED_BYTES_MAX,
  type Ticked,
  toStoreError,
} from "./shared.ts";
import { Slice } from "./slice.ts";

/** What an encoded MsgProto has at most besides channel, reply and data. */
const ENVELOPE_BYTES_MAX = 5 + 3 * 5 + 2 * 10;
/** Sizes of the blocks that take appends: a channel that gets little must not hold much. */
const TAIL_BYTES_MIN = 1024;
const TAIL_BYTES_MAX = 256 * 1024;
/** One read of messages, and of index records in front of it. */
const READ_BYTES_MAX = 512 * 1024;
const READ_RECORDS_MAX = 8192;
/** Index records read at once where limits remove message after message. */
const FRONT_RECORDS = 512;
/** After a failed read the same message is not asked for again for this long. */
const FAILED_RETRY_MS = 1000;
/** Sequences that a hole may be filled with at once: a jump beyond it is a defect of the caller, not a hole. */
const HOLE_MAX = 1_000_000;

/** What {@link FileMessageLog.empty} removes (stores.md 5.15). */
const SLICE_FILE = /^msgs\..*\..*$/;

const NOTHING = new Uint8Array(0);

/** The state that is safe: what a failed flush goes back to. */
interface Safe {
  first: number;
  last: number;
  sliceNumber: number;
  recordCount: number;
  sliceBytes: number;
  lastStampHigh: number;
  lastStampLow: number;
  dataSize: number;
  indexSize: number;
  mark: PurgeMark | undefined;
}

/** A read of a block under way. */
interface Load {
  readonly firstSequence: number;
  readonly countMax: number;
  wanted: boolean;
}

export class FileMessageLog implements MessageStore, Ticked, BlockOwner {
  readonly #shared: FileStoreShared;
  readonly #name: string;
  readonly #channel: Uint8Array;
  readonly #directory: SyncedDirectory;
  readonly #limits: ChannelLimits;
  readonly #sliceLimits: SliceLimits;
  readonly #maxAgeHigh: number;
  readonly #maxAgeLow: number;
  readonly #archive: ((data: string, index: string) => void) | undefined;

  /** Ascending; the last one takes appends. */
  #slices: Slice[] = [];
  #first = 0;
  #last = 0;
  #count = 0;
  #bytes = 0;
  #limitReached = false;

  /** In memory, ascending by sequence. */
  #blocks: Block[] = [];
  #found: Block | undefined;
  #tail: Block | undefined;
  #tailBytes = TAIL_BYTES_MIN;
  /** Blocks with bytes that are not as safe as promised. */
  #pinned: Block[] = [];
  readonly #loads: Load[] = [];
  /** Messages that cannot be read; reported once each. */
  readonly #damaged = new Set<number>();
  #failedSequence = 0;
  #failedUntilMs = 0;

  /** Slices with something to write or to sync. */
  #dirty: Slice[] = [];
  #safe: Safe;
  /**
   * What was recovered may be what a killed process left in the system's memory. Until a flush has made it safe nothing older
   * is removed on account of it.
   */
  #unproven = false;
  #wantsFlush = false;
  #flushSerial = 0;
  #flushesUnderWay = 0;
  /** Ends with the last of them: a flush is good only if all before it were. */
  #flushes: Promise<unknown> | undefined;
  /** Serial of the first flush that failed and was not rolled back yet; Infinity = none. */
  #failedSerial = Infinity;
  #failure: unknown;
  #afterSettled: (() => void)[] = [];
  /** Last sequence that a flush was asked for. */
  #flushedTo = 0;
  /** Messages were taken back before anybody asked for their flush: it must fail when it comes. */
  #owed: unknown;
  /** Why nothing can be stored; empty while it can. */
  #refusal = "";
  #retired = false;
  /** The files may be longer than what counts. */
  #needsCut = false;
  /** A power cut may bring back what was taken back. */
  #mayReturn = false;
  /** Count and bytes could not be read back after a failure. */
  #needsMeasure = false;
  /** The one that was written last; in force when it is the safe one. */
  #mark: PurgeMark | undefined;
  /** The last one that a flush was asked for. */
  #flushedMark: PurgeMark | undefined;
  /** A mark that was taken back may still be on the disk. */
  #needsMark = false;
  /** The next flush makes it safe, and the slices before it go. */
  #markerIsStaged = false;
  /** Files of slices that were taken back and could not be removed. */
  #leftovers: string[] = [];
  /** Files of slices that hold nothing any more. */
  #dead: string[] = [];
  #lastError = "";
  #lastSyncMs: number;

  /** Front of the log for limits: index records `[from, from + count)` of a slice. */
  #front: Uint8Array = NOTHING;
  #frontSlice: Slice | undefined;
  #frontFrom = 0;
  #frontCount = 0;
  readonly #record = new IndexRecord();
  readonly #view = new MsgProtoView();

  onReadable: (() => void) | undefined = undefined;
  onLimitReached: (() => void) | undefined = undefined;

  constructor(
    shared: FileStoreShared,
    name: string,
    channel: Uint8Array,
    directory: SyncedDirectory,
    limits: ChannelLimits,
    archive: ((data: string, index: string) => void) | undefined,
  ) {
    this.#shared = shared;
    this.#name = name;
    this.#channel = channel;
    this.#directory = directory;
    this.#limits = limits;
    this.#sliceLimits = sliceLimits(shared.options, limits);
    const maxAge = stampOfMs(limits.maxAgeMs);
    this.#maxAgeHigh = maxAge.high;
    this.#maxAgeLow = maxAge.low;
    this.#archive = archive;
    this.#lastSyncMs = shared.nowMs();
    this.#safe = this.#snapshot();
  }

  get firstSequence(): number {
    return this.#first;
  }

  get lastSequence(): number {
    return this.#last;
  }

  get messageCount(): number {
    return this.#count;
  }

  /** Encoded messages and 40 bytes for each (stores.md 2.4). */
  get byteCount(): number {
    return this.#bytes;
  }

  get lastError(): string {
    return this.#lastError;
  }

  /** The slices, for views and tests. */
  get slices(): readonly Slice[] {
    return this.#slices;
  }

  /** Files that hold nothing any more and are still there, the oldest first. */
  get deadFiles(): readonly string[] {
    return [...this.#dead];
  }

  /** Why the log does not take messages now; empty while it does. */
  get refusal(): string {
    return this.#refusal;
  }

  // Recovery -----------------------------------------------------------------------------------------------------------

  /**
   * Takes over what was found on disk, ascending, and enforces the limits. Damaged messages are gaps with a name. `mark`:
   * what counts begins behind it.
   */
  adopt(slices: Slice[], damaged: readonly number[], mark: PurgeMark | undefined): void {
    this.#slices = slices;
    for (const sequence of damaged) this.#damaged.add(sequence);
    this.#first = slices[0]?.firstSequence ?? 0;
    this.#last = slices[slices.length - 1]?.lastSequence ?? 0;
    for (const slice of slices) {
      this.#count += slice.recordCount;
      this.#bytes += slice.bytes;
    }
    this.#mark = this.#flushedMark = mark;
    if (mark !== undefined && mark.sequence >= this.#first) this.#beginAt(this.#existingFrom(mark.sequence + 1));
    this.#safe = this.#snapshot();
    this.#flushedTo = this.#last;
    if (this.#shared.options.sync) this.#distrust();
    this.#enforceLimits();
    this.#safe.first = this.#first;
    this.#removeDeadSlices();
    // A purge that was interrupted is finished.
    if (mark !== undefined && mark.sequence === this.#last) this.#shared.wantsTick(this);
  }

  /** A flush is wanted though nobody has asked for one: something is to go behind it. */
  get wantsFlush(): boolean {
    return this.#wantsFlush;
  }

  /** What was not synced when the process before this one ended is at the end, and no more than may be staged. */
  #distrust(): void {
    this.#unproven = true;
    let bytes = 0;
    for (let i = this.#slices.length - 1; i >= 0 && bytes <= STAGED_BYTES_MAX; i--) {
      const slice = this.#slices[i]!;
      slice.data.distrust();
      slice.index.distrust();
      this.#dirty.push(slice);
      bytes += slice.bytes;
    }
  }

  // Writing ------------------------------------------------------------------------------------------------------------

  append(
    sequence: number,
    stampHigh: number,
    stampLow: number,
    source: Uint8Array,
    replyStart: number,
    replyEnd: number,
    dataStart: number,
    dataEnd: number,
  ): number {
    if (this.#refusal !== "") {
      this.#lastError = this.#refusal;
      return APPEND_FAILED;
    }
    if (sequence <= this.#last) return APPEND_KNOWN;
    if (this.#last > 0 && sequence > this.#last + 1 && !this.#fillHole(sequence, stampHigh, stampLow)) {
      return APPEND_FAILED;
    }
    let slice = this.#slices[this.#slices.length - 1];
    if (slice === undefined || this.#isFull(slice, stampHigh, stampLow)) {
      slice = this.#roll();
      if (slice === undefined) return APPEND_FAILED;
    }
    return this.#put(slice, sequence, stampHigh, stampLow, source, replyStart, replyEnd, dataStart, dataEnd);
  }

  /** stores.md 5.5: what is missing becomes empty messages, in the current slice even if it is full. */
  #fillHole(sequence: number, stampHigh: number, stampLow: number): boolean {
    assert(sequence - this.#last <= HOLE_MAX, "a hole in the sequences is small");
    const slice = this.#slices[this.#slices.length - 1] ?? this.#roll();
    if (slice === undefined) return false;
    while (this.#last + 1 < sequence) {
      if (this.#put(slice, this.#last + 1, stampHigh, stampLow, NOTHING, 0, 0, 0, 0) < 0) return false;
    }
    return true;
  }

  /** The hot path: no allocation but a new block now and then. */
  #put(
    slice: Slice,
    sequence: number,
    stampHigh: number,
    stampLow: number,
    source: Uint8Array,
    replyStart: number,
    replyEnd: number,
    dataStart: number,
    dataEnd: number,
  ): number {
    const shared = this.#shared;
    const channel = this.#channel;
    const sizeBound = RECORD_HEADER_BYTES + channel.length + (replyEnd - replyStart) + (dataEnd - dataStart) +
      ENVELOPE_BYTES_MAX;
    let block = this.#tail;
    if (block === undefined || block.slice !== slice || block.bytes.length - block.usedBytes < sizeBound) {
      if (shared.stagedBytes > STAGED_BYTES_MAX) {
        this.#lastError = "stan: not stored: the disk of the store is too slow for what is published, try again later";
        return APPEND_FAILED;
      }
      block = this.#newTail(slice, sequence, sizeBound);
    }
    const at = block.usedBytes;
    const payloadStart = at + RECORD_HEADER_BYTES;
    const payloadEnd = encodeMsgProto(
      block.bytes,
      payloadStart,
      sequence,
      channel,
      source,
      replyStart,
      replyEnd,
      dataStart,
      dataEnd,
      stampHigh,
      stampLow,
    );
    const size = payloadEnd - payloadStart;
    writeRecordHeader(block.bytes, at, 0, size, shared.crc);
    const indexAt = slice.reserveIndex();
    writeIndexRecord(
      slice.stagedIndex,
      indexAt,
      sequence,
      block.fileOffset + at,
      stampHigh,
      stampLow,
      size,
      shared.crc,
    );
    if (indexAt === 0) this.#markDirty(slice);
    block.add(payloadStart, payloadEnd, stampHigh, stampLow);
    if (!block.pinned) {
      block.pinned = true;
      this.#pinned.push(block);
    }
    slice.add(sequence, size, stampHigh, stampLow);
    shared.stagedBytes += size;
    if (this.#count === 0) this.#first = sequence;
    this.#last = sequence;
    this.#count++;
    this.#bytes += size + MESSAGE_OVERHEAD_BYTES;
    const { maxMessages, maxBytes } = this.#limits;
    if ((maxMessages > 0 && this.#count > maxMessages) || (maxBytes > 0 && this.#bytes > maxBytes)) {
      this.#enforceLimits();
    }
    return size;
  }

  #markDirty(slice: Slice): void {
    if (!this.#dirty.includes(slice)) this.#dirty.push(slice);
    this.#shared.wantsTick(this);
  }

  #newTail(slice: Slice, sequence: number, sizeBound: number): Block {
    const bufferBytes = Math.min(TAIL_BYTES_MAX, Math.max(TAIL_BYTES_MIN, this.#shared.options.bufferBytes));
    const size = Math.max(Math.min(this.#tailBytes, bufferBytes), sizeBound);
    this.#tailBytes = Math.min(bufferBytes, this.#tailBytes * 2);
    const before = this.#tail;
    if (before !== undefined) this.#shared.cache.completed(before);
    const fileOffset = before !== undefined && before.slice === slice
      ? before.fileOffset + before.usedBytes
      : slice.data.size;
    const bytes = this.#shared.cache.buffer(size);
    const countExpected = Math.ceil(bytes.length / (sizeBound + 24)) + 1;
    const block = new Block(this, slice, sequence, fileOffset, bytes, countExpected);
    this.#tail = block;
    this.#blocks.push(block);
    block.pinned = true;
    this.#pinned.push(block);
    this.#shared.cache.add(block);
    return block;
  }

  /** stores.md 5.4; the stamp of the message is the time of now. */
  #isFull(slice: Slice, stampHigh: number, stampLow: number): boolean {
    const { maxMessages, maxBytes, maxAgeMs } = this.#sliceLimits;
    if (maxBytes > 0 && slice.bytes >= maxBytes) return true;
    if (maxMessages > 0 && slice.recordCount >= maxMessages) return true;
    if (maxAgeMs === 0 || slice.recordCount === 0) return false;
    const ageNs = (stampHigh - slice.firstStampHigh) * 4_294_967_296 + (stampLow - slice.firstStampLow);
    return ageNs >= maxAgeMs * 1e6;
  }

  /** Opens the next slice. Undefined: the disk refuses, `lastError` says so. */
  #roll(): Slice | undefined {
    const { pool } = this.#shared;
    const number = (this.#slices[this.#slices.length - 1]?.number ?? 0) + 1;
    const names = sliceNames(number);
    const dataPath = `${this.#directory.path}/${names.data}`;
    const indexPath = `${this.#directory.path}/${names.index}`;
    let index: LogFile | undefined;
    try {
      // What lies there under these names has no messages that count (traps 6 and 35). An index without its data is emptied
      // first: it must never say more than the data.
      index = LogFile.create(pool, indexPath);
      const data = LogFile.create(pool, dataPath);
      const slice = new Slice(number, data, index);
      this.#slices.push(slice);
      this.#leftovers = this.#leftovers.filter((path) => path !== dataPath && path !== indexPath);
      this.#directory.changed();
      this.#markDirty(slice);
      return slice;
    } catch (error) {
      index?.retire();
      // A file without a version would stop a start of the reference.
      this.#leftovers.push(indexPath, dataPath);
      this.#leftovers = this.#removeFiles(this.#leftovers);
      this.#refuse(error);
      this.#lastError = this.#refusal;
      return undefined;
    }
  }

  // Flushing -----------------------------------------------------------------------------------------------------------

  flush(): Promise<void> | undefined {
    if (this.#retired) return undefined;
    const isPurging = this.#mark !== this.#safe.mark;
    const isStaged = this.#dirty.length > 0 || isPurging || !this.#directory.isSafe && this.#shared.options.sync;
    // Staged in the same turn as what failed: it goes the same way.
    if (this.#failedSerial !== Infinity) {
      this.#flushedTo = this.#last;
      this.#flushedMark = this.#mark;
      return isStaged || this.#last > this.#safe.last ? this.#failed(this.#flushSerial, this.#failure) : undefined;
    }
    if (!isStaged && this.#flushes === undefined && this.#owed === undefined) return undefined;
    const serial = ++this.#flushSerial;
    this.#flushedTo = this.#last;
    this.#flushedMark = this.#mark;
    if (this.#owed !== undefined) {
      const error = this.#owed;
      this.#owed = undefined;
      return this.#failed(serial, error);
    }
    try {
      this.#write();
    } catch (error) {
      return this.#failed(serial, error);
    }
    const snapshot = this.#snapshot();
    // A purge is synced in any case: what it leaves is little, and without it the sequences would begin again.
    if (!this.#shared.options.sync && !isPurging && !this.#markerIsStaged) {
      this.#dirty.length = 0;
      this.#becameSafe(snapshot);
      return undefined;
    }
    const waits: Promise<unknown>[] = [];
    for (const slice of this.#dirty) {
      const data = slice.data.sync();
      const index = slice.index.sync();
      if (data !== undefined) waits.push(data);
      if (index !== undefined) waits.push(index);
    }
    this.#dirty.length = 0;
    const names = this.#directory.sync();
    if (names !== undefined) waits.push(names);
    if (this.#flushes !== undefined) waits.push(this.#flushes);
    this.#flushesUnderWay++;
    const all = Promise.all(waits);
    this.#flushes = all;
    return all.then(() => this.#flushEnded(serial, snapshot), (error) => this.#flushBroke(serial, error));
  }

  /** Data first, then the index: it never knows more than the data file has (stores.md 5.2). */
  #write(): void {
    for (const block of this.#pinned) {
      if (block.writtenBytes === block.usedBytes) continue;
      block.slice.data.write(block.bytes, block.writtenBytes, block.usedBytes);
      block.writtenBytes = block.usedBytes;
    }
    for (const slice of this.#dirty) slice.writeIndex();
  }

  #flushEnded(serial: number, snapshot: Safe): Promise<void> | undefined {
    if (--this.#flushesUnderWay === 0) this.#flushes = undefined;
    if (this.#retired) return this.#settled();
    // A sync behind a failed one says nothing about what the failed one should have kept.
    if (serial >= this.#failedSerial) return this.#failed(serial, this.#failure);
    this.#becameSafe(snapshot);
    this.#settled();
    return undefined;
  }

  #flushBroke(serial: number, error: unknown): Promise<void> | undefined {
    if (--this.#flushesUnderWay === 0) this.#flushes = undefined;
    // The channel was deleted meanwhile: there is nothing to keep.
    if (this.#retired) return this.#settled();
    return this.#failed(serial, error);
  }

  #snapshot(): Safe {
    const slice = this.#slices[this.#slices.length - 1];
    return {
      first: this.#first,
      last: this.#last,
      sliceNumber: slice?.number ?? 0,
      recordCount: slice?.recordCount ?? 0,
      sliceBytes: slice?.bytes ?? 0,
      lastStampHigh: slice?.lastStampHigh ?? 0,
      lastStampLow: slice?.lastStampLow ?? 0,
      dataSize: slice?.data.size ?? 0,
      indexSize: slice?.index.size ?? 0,
      mark: this.#mark,
    };
  }

  #becameSafe(safe: Safe): void {
    // What expired meanwhile stays so.
    if (this.#safe.first > safe.first) safe.first = Math.min(this.#safe.first, safe.last + 1);
    if (safe.mark !== undefined && safe.mark.sequence >= safe.first) {
      const first = this.#existingFrom(safe.mark.sequence + 1);
      safe.first = Math.min(first, safe.last + 1);
      if (first > this.#first) this.#beginAt(first);
    }
    this.#safe = safe;
    this.#unproven = false;
    this.#wantsFlush = false;
    this.#markerIsStaged = false;
    let kept = 0;
    for (const block of this.#pinned) {
      const isSafe = block.endSequence - 1 <= safe.last && block.writtenBytes === block.usedBytes;
      if (!isSafe) {
        this.#pinned[kept++] = block;
        continue;
      }
      block.pinned = false;
      this.#shared.stagedBytes -= payloadBytes(block, block.firstStaged);
      block.firstStaged = block.count;
    }
    this.#pinned.length = kept;
    this.#shared.cache.trim();
    this.#removeDeadSlices();
    this.#leaveMarker();
  }

  // Failure ------------------------------------------------------------------------------------------------------------

  /** Refuses appends; rejects when every flush that was under way has ended and what is not safe was taken back. */
  #failed(serial: number, error: unknown): Promise<void> {
    if (this.#failedSerial === Infinity) {
      this.#failure = error;
      if (!this.#retired) this.#refuse(error);
    }
    this.#failedSerial = Math.min(this.#failedSerial, serial);
    const result = new Promise<void>((_, reject) => this.#afterSettled.push(() => reject(toStoreError(error))));
    this.#settled();
    return result;
  }

  #refuse(error: unknown): void {
    this.#refusal = clientTextOf(error);
    this.#shared.log.error(
      `Channel "${displayText(this.#name)}" does not take messages: ${messageOf(error)}. ` +
        `Nothing acknowledged is lost; deliveries go on. It is tried again every second`,
    );
    this.#shared.wantsTick(this);
  }

  #settled(): undefined {
    if (this.#failedSerial === Infinity || this.#flushesUnderWay > 0) return;
    // The files of a channel that is gone may belong to its successor.
    if (!this.#retired) this.#rollBack();
    this.#failedSerial = Infinity;
    this.#failure = undefined;
    const waiting = this.#afterSettled;
    this.#afterSettled = [];
    for (const tell of waiting) tell();
  }

  /** As if nothing had been appended since the last safe flush. Nobody was told of it, nobody was sent it. */
  #rollBack(): void {
    const safe = this.#safe;
    const slices = this.#slices;
    while (slices.length > 0 && slices[slices.length - 1]!.number > safe.sliceNumber) {
      const slice = slices.pop()!;
      slice.data.retire();
      slice.index.retire();
      this.#leftovers.push(slice.index.path, slice.data.path);
    }
    this.#removeLeftovers();
    const slice = slices[slices.length - 1];
    if (slice !== undefined) {
      slice.cutTo(safe.recordCount, safe.sliceBytes, safe.lastStampHigh, safe.lastStampLow);
      slice.index.forgetFrom(Math.min(slice.index.size, safe.indexSize));
      slice.data.forgetFrom(Math.min(slice.data.size, safe.dataSize));
      this.#needsCut = true;
    }
    for (const block of this.#pinned) {
      this.#shared.stagedBytes -= payloadBytes(block, block.firstStaged);
      block.firstStaged = block.count;
      block.pinned = false;
    }
    this.#pinned = [];
    for (const block of this.#blocks) {
      if (block.firstSequence > safe.last) {
        block.cutTo(0);
        this.#shared.cache.remove(block);
      } else if (block.endSequence > safe.last + 1) {
        block.cutTo(safe.last + 1 - block.firstSequence);
      }
    }
    this.#blocks = this.#blocks.filter((block) => block.count > 0);
    // What was safe before and what a failed sync was to keep: the next flush has to see to all of it.
    this.#dirty = slices.filter(({ data, index }) => !data.isSynced || !index.isSynced);
    this.#frontSlice = undefined;
    this.#tail = undefined;
    this.#found = undefined;
    if (this.#last > this.#flushedTo || this.#mark !== this.#flushedMark) this.#owed = this.#failure;
    this.#flushedTo = safe.last;
    if (this.#mark !== safe.mark) {
      this.#mark = safe.mark;
      this.#needsMark = true;
    }
    this.#flushedMark = safe.mark;
    this.#markerIsStaged = false;
    this.#last = safe.last;
    this.#first = Math.min(safe.first, safe.last + (safe.last > 0 ? 1 : 0));
    this.#needsMeasure = !this.#measure();
    this.#mayReturn = true;
    if (this.#needsCut) this.#tryCut();
    if (this.#needsMark) this.#tryMark();
  }

  /** The mark that counts is on the disk again. */
  #tryMark(): boolean {
    try {
      writePurgeMarks(this.#shared.disk, this.#directory.path, this.#mark === undefined ? [] : [this.#mark]);
      this.#directory.changed();
      this.#needsMark = false;
      return true;
    } catch (error) {
      this.#shared.log.debug(`Channel "${displayText(this.#name)}": ${messageOf(error)}`);
      return false;
    }
  }

  /**
   * Removes files that count for nothing, in this order; returns those that are left. It ends at the first that cannot be
   * removed now: a hole between slices would look like lost messages after a restart.
   */
  #removeFiles(paths: readonly string[]): string[] {
    const { disk, log } = this.#shared;
    for (const [i, path] of paths.entries()) {
      try {
        if (disk.stat(path) !== undefined) disk.remove(path);
      } catch (error) {
        log.debug(`Channel "${displayText(this.#name)}": ${messageOf(error)}`);
        return paths.slice(i);
      }
    }
    return [];
  }

  /** Files of slices that were taken back. Their names must not come back beside those that follow. */
  #removeLeftovers(): void {
    if (this.#leftovers.length === 0) return;
    this.#leftovers = this.#removeFiles(this.#leftovers);
    this.#directory.changed();
  }

  /** Cuts off what was written and does not count. Until it succeeds the next write lies over it. */
  #tryCut(): boolean {
    const slice = this.#slices[this.#slices.length - 1];
    try {
      slice?.index.truncate(slice.index.size);
      slice?.data.truncate(slice.data.size);
      this.#needsCut = false;
      // Also if nothing is ever written to this slice again: what was cut off must not come back in front of the next one.
      if (slice !== undefined) this.#markDirty(slice);
      return true;
    } catch (error) {
      this.#shared.log.debug(`Channel "${displayText(this.#name)}": ${messageOf(error)}`);
      return false;
    }
  }

  /** Count and bytes from `#first` on, from what the slices have. False: the disk does not say. */
  #measure(): boolean {
    let isRead = true;
    this.#count = 0;
    this.#bytes = 0;
    for (const slice of this.#slices) {
      if (slice.lastSequence < this.#first) continue;
      this.#count += slice.recordCount;
      this.#bytes += slice.bytes;
      const kept = slice.recordAt(this.#first);
      for (let record = 0; record < kept; record++) {
        if (!this.#readFront(slice, record)) {
          isRead = false;
          continue;
        }
        this.#count--;
        this.#bytes -= this.#record.payloadSize + MESSAGE_OVERHEAD_BYTES;
      }
    }
    return isRead;
  }

  /** From the store, when the disk may take writes again. */
  tryResume(): void {
    if (this.#refusal === "" || this.#retired || this.#failedSerial !== Infinity || this.#flushesUnderWay > 0) return;
    if (this.#needsCut && !this.#tryCut()) return;
    if (this.#needsMark && !this.#tryMark()) return;
    // The next slice will take that name, or a start find messages there that were taken back.
    this.#removeLeftovers();
    if (this.#leftovers.length > 0) return;
    if (this.#needsMeasure && !this.#measure()) return;
    this.#needsMeasure = false;
    // A message stored now could stand beside others of its own sequence, in files that each seem whole.
    if (this.#mayReturn && !this.#isGoneForGood()) return;
    this.#refusal = "";
    this.#shared.log.info(`Channel "${displayText(this.#name)}" takes messages again`);
  }

  /** False: what was taken back still has to be synced away; comes back to `tryResume` when that is done. */
  #isGoneForGood(): boolean {
    const isSafe = !this.#shared.options.sync || this.#dirty.length === 0 && this.#directory.isSafe;
    this.#mayReturn = !isSafe;
    // Who is owed an error gets it with his own flush.
    if (!isSafe && this.#owed === undefined) this.flush()?.then(() => this.tryResume(), () => undefined);
    return isSafe;
  }

  /** From the store: there is less space left than the reserve. */
  pause(reason: string): void {
    if (this.#refusal === "") this.#refusal = reason;
    this.#shared.wantsTick(this);
  }

  // Reading ------------------------------------------------------------------------------------------------------------

  lookup(sequence: number, into: MessageView): LookupResult {
    if (this.#count === 0 || sequence < this.#first || sequence > this.#last) return LOOKUP_NONE;
    let block = this.#found;
    if (block === undefined || !block.holds(sequence)) {
      block = this.#enter(sequence);
      if (block === undefined) return this.#miss(sequence);
    }
    const i = sequence - block.firstSequence;
    const entry = i * BLOCK_INDEX_STRIDE;
    into.buffer = block.bytes;
    into.start = block.index[entry]!;
    into.end = block.payloadEnd(i);
    into.stampHigh = block.index[entry + 1]!;
    into.stampLow = block.index[entry + 2]!;
    return LOOKUP_FOUND;
  }

  /** The block of `sequence`, if it is in memory; reads ahead when a reader goes through block after block. */
  #enter(sequence: number): Block | undefined {
    const at = this.#blockBefore(sequence);
    const block = this.#blocks[at];
    if (block === undefined || !block.holds(sequence)) return undefined;
    const before = this.#found;
    this.#found = block;
    this.#shared.cache.touch(block);
    const next = block.endSequence;
    if (
      before !== undefined && before.endSequence === block.firstSequence && next <= this.#last &&
      this.#blocks[at + 1]?.holds(next) !== true && this.#shared.options.readBufferBytes > 0
    ) this.#startLoad(next, false);
    return block;
  }

  /** Index of the last block that begins at or before `sequence`; -1 = none. */
  #blockBefore(sequence: number): number {
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

  #miss(sequence: number): LookupResult {
    if (this.#damaged.has(sequence) || this.#sliceOf(sequence) === undefined) return LOOKUP_NONE;
    if (sequence === this.#failedSequence && this.#shared.nowMs() < this.#failedUntilMs) return LOOKUP_FAILED;
    this.#startLoad(sequence, true);
    return LOOKUP_LATER;
  }

  /** The slice that has a record of `sequence`; undefined: it is in a gap. */
  #sliceOf(sequence: number): Slice | undefined {
    const slice = this.#slices[this.#sliceAt(sequence)];
    const run = slice?.runAt(sequence);
    return run !== undefined && run.firstSequence <= sequence ? slice : undefined;
  }

  /** Index of the first slice whose last sequence is at or above `sequence`. */
  #sliceAt(sequence: number): number {
    const slices = this.#slices;
    let low = 0;
    let high = slices.length;
    // One that has nothing yet is behind all others.
    if (high > 0 && slices[high - 1]!.recordCount === 0) high--;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (slices[middle]!.lastSequence < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #startLoad(sequence: number, wanted: boolean): void {
    for (const load of this.#loads) {
      if (sequence < load.firstSequence || sequence >= load.firstSequence + load.countMax) continue;
      load.wanted ||= wanted;
      return;
    }
    const slice = this.#sliceOf(sequence);
    if (slice === undefined) return;
    const run = slice.runAt(sequence)!;
    const record = run.firstRecord + sequence - run.firstSequence;
    const next = this.#blocks[this.#blockBefore(sequence) + 1];
    let countMax = Math.min(run.firstRecord + run.count, slice.indexedCount) - record;
    if (next !== undefined) countMax = Math.min(countMax, next.firstSequence - sequence);
    countMax = this.#shared.options.readBufferBytes === 0 ? 1 : Math.min(countMax, READ_RECORDS_MAX);
    assert(countMax > 0, "what is not written yet is in memory");
    const load: Load = { firstSequence: sequence, countMax, wanted };
    this.#loads.push(load);
    this.#shared.loads.run(() => this.#loadIndex(load, slice, record));
  }

  #loadIndex(load: Load, slice: Slice, record: number): void {
    if (this.#retired) return this.#loadEnded(load, undefined);
    const length = load.countMax * INDEX_RECORD_BYTES;
    const entries = new Uint8Array(length);
    try {
      slice.index.readLater(entries, 0, length, Slice.indexPosition(record), (error, count) => {
        if (error !== undefined) return this.#loadEnded(load, error);
        this.#loadData(load, slice, entries, Math.floor(count / INDEX_RECORD_BYTES));
      });
    } catch (error) {
      this.#loadEnded(load, error);
    }
  }

  #loadData(load: Load, slice: Slice, entries: Uint8Array, entryCount: number): void {
    if (this.#retired) return this.#loadEnded(load, undefined);
    const { crc } = this.#shared;
    const record = this.#record;
    const readMax = Math.max(1, Math.min(READ_BYTES_MAX, this.#shared.options.readBufferBytes));
    let start = 0;
    let end = 0;
    let count = 0;
    for (; count < entryCount; count++) {
      const at = count * INDEX_RECORD_BYTES;
      record.read(entries, at);
      const isRight = record.sequence === load.firstSequence + count && record.offset >= Math.max(VERSION_BYTES, end) &&
        record.dataEnd <= slice.data.size && readU32(entries, at + 28) === crc.of(entries, at, at + 28);
      if (!isRight) break;
      if (count === 0) start = record.offset;
      // Bytes that belong to no record end a block: its records lie one behind the other.
      else if (record.offset !== end || record.dataEnd - start > readMax) break;
      end = record.dataEnd;
    }
    if (count === 0) {
      return this.#loadEnded(
        load,
        new Error(`the index record of ${load.firstSequence} in ${slice.index.path} is damaged`),
      );
    }
    const block = new Block(this, slice, load.firstSequence, start, this.#shared.cache.buffer(end - start), count);
    try {
      slice.data.readLater(block.bytes, 0, end - start, start, (error, length) => {
        if (error !== undefined) return this.#loadEnded(load, error);
        this.#loaded(load, block, entries, count, length);
      });
    } catch (error) {
      this.#loadEnded(load, error);
    }
  }

  #loaded(load: Load, block: Block, entries: Uint8Array, count: number, length: number): void {
    if (this.#retired) return this.#loadEnded(load, undefined);
    const record = this.#record;
    let at = 0;
    for (let i = 0; i < count; i++) {
      record.read(entries, i * INDEX_RECORD_BYTES);
      const end = at + RECORD_HEADER_BYTES + record.payloadSize;
      const wrong = end > length ? "the file ends before it" : this.#wrongRecord(block.bytes, at, record);
      if (wrong !== "") {
        this.#damaged.add(record.sequence);
        this.#shared.log.error(
          `Error looking up message ${displayText(this.#name)}:${record.sequence} (${wrong}, ` +
            `${block.slice.data.path} at byte ${record.offset}). It is left out; the messages around it are served`,
        );
        break;
      }
      block.add(at + RECORD_HEADER_BYTES, end, record.stampHigh, record.stampLow);
      at = end;
    }
    block.writtenBytes = block.usedBytes;
    block.firstStaged = block.count;
    if (block.count > 0) this.#insert(block);
    this.#loadEnded(load, undefined);
  }

  /** What is wrong with the record at `at`, or "". */
  #wrongRecord(bytes: Uint8Array, at: number, record: IndexRecord): string {
    const size = readU32(bytes, at);
    if (size !== record.payloadSize) return `its size is ${size}, not ${record.payloadSize}`;
    const start = at + RECORD_HEADER_BYTES;
    const { crc, options } = this.#shared;
    if (options.crc) {
      const stored = readU32(bytes, at + 4);
      const found = crc.of(bytes, start, start + size);
      if (stored !== found) return `corrupted data, expected crc to be ${hex(stored)}, got ${hex(found)}`;
    }
    if (!decodeMsgProto(bytes, start, start + size, this.#view)) return "it cannot be decoded";
    return this.#view.sequence === record.sequence ? "" : `it has the sequence ${this.#view.sequence}`;
  }

  /** Puts a block that was read among the others, unless one with these messages came first. */
  #insert(block: Block): void {
    const at = this.#blockBefore(block.firstSequence);
    if (this.#blocks[at]?.holds(block.firstSequence) === true) return;
    this.#blocks.splice(at + 1, 0, block);
    this.#shared.cache.add(block);
  }

  #loadEnded(load: Load, error: unknown): void {
    this.#loads.splice(this.#loads.indexOf(load), 1);
    this.#shared.loads.finished();
    if (this.#retired) return;
    if (error !== undefined) {
      this.#failedSequence = load.firstSequence;
      this.#failedUntilMs = this.#shared.nowMs() + FAILED_RETRY_MS;
      this.#shared.log.error(
        `Error looking up message ${displayText(this.#name)}:${load.firstSequence} (${messageOf(error)})`,
      );
      this.#shared.wantsTick(this);
    }
    if (load.wanted) this.onReadable?.();
  }

  /** The cache gave a block up. */
  evicted(block: Block): void {
    const at = this.#blocks.indexOf(block);
    if (at >= 0) this.#blocks.splice(at, 1);
    if (this.#found === block) this.#found = undefined;
    if (this.#tail === block) this.#tail = undefined;
  }

  stampOf(sequence: number, into: { stampHigh: number; stampLow: number }): boolean {
    if (this.#count === 0 || sequence < this.#first || sequence > this.#last) return false;
    const slice = this.#sliceOf(sequence);
    if (slice === undefined || !this.#readOne(slice, slice.recordAt(sequence))) return false;
    into.stampHigh = this.#record.stampHigh;
    into.stampLow = this.#record.stampLow;
    return true;
  }

  sequenceAtOrAfter(stampHigh: number, stampLow: number): number {
    if (this.#last === 0) return 0;
    for (let i = this.#sliceAt(this.#first); i < this.#slices.length; i++) {
      const slice = this.#slices[i]!;
      if (!isAtOrBefore(stampHigh, stampLow, slice.lastStampHigh, slice.lastStampLow)) continue;
      let low = slice.recordAt(this.#first);
      let high = slice.recordCount - 1;
      while (low < high) {
        const middle = (low + high) >>> 1;
        // A record that cannot be read counts as too old: the ones behind it are looked at instead.
        if (
          this.#readOne(slice, middle) &&
          isAtOrBefore(stampHigh, stampLow, this.#record.stampHigh, this.#record.stampLow)
        ) high = middle;
        else low = middle + 1;
      }
      if (low < slice.recordCount) return slice.sequenceOf(low);
    }
    return this.#last + 1;
  }

  /** Reads index record `record` into `#record`; false when it cannot be had. */
  #readOne(slice: Slice, record: number): boolean {
    const staged = record - slice.indexedCount;
    if (staged >= 0) {
      this.#record.read(slice.stagedIndex, staged * INDEX_RECORD_BYTES);
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
    this.#record.read(bytes, 0);
    return true;
  }

  /** The same for one record after the other: many are read at once. */
  #readFront(slice: Slice, record: number): boolean {
    if (record >= slice.indexedCount) return this.#readOne(slice, record);
    if (slice !== this.#frontSlice || record < this.#frontFrom || record >= this.#frontFrom + this.#frontCount) {
      const count = Math.min(FRONT_RECORDS, slice.indexedCount - record);
      if (this.#front.length < count * INDEX_RECORD_BYTES) this.#front = new Uint8Array(count * INDEX_RECORD_BYTES);
      this.#frontSlice = slice;
      this.#frontFrom = record;
      this.#frontCount = 0;
      try {
        const read = slice.index.file.read(
          this.#front,
          0,
          count * INDEX_RECORD_BYTES,
          Slice.indexPosition(record),
        );
        this.#frontCount = Math.floor(read / INDEX_RECORD_BYTES);
      } catch (error) {
        this.#shared.log.error(`Error reading ${slice.index.path} (${messageOf(error)})`);
      }
      if (this.#frontCount === 0) return false;
    }
    this.#record.read(this.#front, (record - this.#frontFrom) * INDEX_RECORD_BYTES);
    return true;
  }

  // Removing -----------------------------------------------------------------------------------------------------------

  /** stores.md 2.4: the newest message always stays. */
  #enforceLimits(): void {
    const { maxMessages, maxBytes } = this.#limits;
    while (
      this.#count > 1 && ((maxMessages > 0 && this.#count > maxMessages) || (maxBytes > 0 && this.#bytes > maxBytes))
    ) {
      if (!this.#removeFirst()) break;
      if (!this.#limitReached) {
        this.#limitReached = true;
        this.onLimitReached?.();
      }
    }
  }

  /** False: its size cannot be read now. */
  #removeFirst(): boolean {
    const slice = this.#slices[this.#sliceAt(this.#first)];
    if (slice === undefined) return false;
    const record = slice.recordAt(this.#first);
    if (!this.#readFront(slice, record)) {
      this.#shared.log.error(`Unable to remove first message: ${slice.index.path} cannot be read`);
      return false;
    }
    this.#count--;
    this.#bytes -= this.#record.payloadSize + MESSAGE_OVERHEAD_BYTES;
    this.#first = this.#nextExisting(slice, record + 1);
    return true;
  }

  /** The sequence of record `record` of `slice`, or of the first one behind it; `last + 1` when there is none. */
  #nextExisting(slice: Slice, record: number): number {
    if (record < slice.recordCount) return slice.sequenceOf(record);
    return this.#existingFrom(slice.lastSequence + 1);
  }

  /** The first sequence at or behind `sequence` that has a record; `last + 1` when there is none. */
  #existingFrom(sequence: number): number {
    const slice = this.#slices[this.#sliceAt(sequence)];
    if (slice === undefined || slice.recordCount === 0) return this.#last + 1;
    return slice.sequenceOf(slice.recordAt(sequence));
  }

  /** What is before `first` does not count any more. */
  #beginAt(first: number): void {
    this.#first = first;
    this.#needsMeasure = !this.#measure();
    if (this.#needsMeasure) this.#shared.wantsTick(this);
  }

  /**
   *   purge -> a new slice, if nothing is to be left: what is stored from here on is not among what goes
   *            the mark, which is on the disk when this returns
   *   flush -> the mark is safe, so it is in force: what is before it does not count any more
   *            nothing was stored meanwhile? a marker in the new slice (`#leaveMarker`), and another flush
   *         -> slices that hold nothing else go, as they go behind limits
   *
   * A flush that fails takes back mark and slice; should the disk not even take that, and the process end before it does, the
   * next start carries the purge out.
   */
  purge(upTo: number): void {
    assert(upTo <= this.#last, "what was never stored cannot be purged");
    if (this.#retired) throw new StoreError("STORE_CLOSED", "the channel's store is closed");
    // One that only lacks space is not refused: this is how an operator makes some.
    if (this.#isUnsettled) throw new StoreError("STORE_IO", clientTextOf(this.#failure));
    if (upTo <= (this.#mark?.sequence ?? 0)) return;
    const stamp = { stampHigh: 0, stampLow: 0 };
    const slice = this.#sliceOf(upTo);
    if (slice !== undefined && this.#readOne(slice, slice.recordAt(upTo))) {
      stamp.stampHigh = this.#record.stampHigh;
      stamp.stampLow = this.#record.stampLow;
    }
    const mark: PurgeMark = { sequence: upTo, ...stamp };
    const isRolled = upTo === this.#last && this.#newestHoldsMessages;
    if (isRolled && this.#roll() === undefined) throw new StoreError("STORE_IO", this.#lastError);
    try {
      const before = this.#safe.mark;
      writePurgeMarks(this.#shared.disk, this.#directory.path, before === undefined ? [mark] : [mark, before]);
    } catch (error) {
      if (isRolled) this.#unroll();
      throw toStoreError(error);
    }
    this.#mark = mark;
    this.#directory.changed();
  }

  /** Something that failed has not been put right on the disk. */
  get #isUnsettled(): boolean {
    return this.#failedSerial !== Infinity || this.#needsCut || this.#needsMark || this.#needsMeasure ||
      this.#leftovers.length > 0;
  }

  /** Something besides a marker. A single message without a payload is as good as one. */
  get #newestHoldsMessages(): boolean {
    const slice = this.#slices[this.#slices.length - 1];
    if (slice === undefined || slice.recordCount === 0) return false;
    const markerBytes = MESSAGE_OVERHEAD_BYTES + this.#channel.length + ENVELOPE_BYTES_MAX;
    return slice.recordCount > 1 || slice.bytes > markerBytes;
  }

  /**
   * Where everything was purged: an empty message of the last sequence in a slice of its own, so that the others can go and
   * the reference still knows what the last sequence was. Only behind a mark that is safe: else it would be taken for a message.
   */
  #leaveMarker(): void {
    const mark = this.#safe.mark;
    if (mark === undefined || mark !== this.#mark || mark.sequence !== this.#last || this.#last !== this.#safe.last) {
      return;
    }
    if (this.#isUnsettled || this.#retired || this.#markerIsStaged) return;
    const newest = this.#slices[this.#slices.length - 1];
    if (newest !== undefined && newest.recordCount > 0 && !this.#newestHoldsMessages) return;
    const slice = newest?.recordCount === 0 ? newest : this.#roll();
    if (slice === undefined) return;
    const { crc } = this.#shared;
    const bytes = new Uint8Array(RECORD_HEADER_BYTES + this.#channel.length + ENVELOPE_BYTES_MAX);
    const { sequence, stampHigh, stampLow } = mark;
    const end = encodeMsgProto(
      bytes,
      RECORD_HEADER_BYTES,
      sequence,
      this.#channel,
      NOTHING,
      0,
      0,
      0,
      0,
      stampHigh,
      stampLow,
    );
    const size = end - RECORD_HEADER_BYTES;
    writeRecordHeader(bytes, 0, 0, size, crc);
    const offset = slice.data.size;
    try {
      // Not by way of a block: those are looked into for messages, and this is none.
      slice.data.write(bytes, 0, end);
    } catch (error) {
      this.#needsCut = true;
      this.#refuse(error);
      return;
    }
    const indexAt = slice.reserveIndex();
    writeIndexRecord(slice.stagedIndex, indexAt, sequence, offset, stampHigh, stampLow, size, crc);
    slice.add(sequence, size, stampHigh, stampLow);
    this.#markDirty(slice);
    this.#markerIsStaged = true;
    this.#wantsFlush = true;
  }

  /** The newest slice, which has no message yet, as if it had never been made. */
  #unroll(): void {
    const slice = this.#slices.pop()!; // It was made a moment ago.
    this.#dirty = this.#dirty.filter((other) => other !== slice);
    slice.data.retire();
    slice.index.retire();
    this.#leftovers.push(slice.index.path, slice.data.path);
    this.#leftovers = this.#removeFiles(this.#leftovers);
    // Until they are gone nothing may be stored: the next slice takes that name.
    if (this.#leftovers.length > 0) this.#refuse(new Error(`${slice.data.path} cannot be removed`));
  }

  expire(stampHigh: number, stampLow: number): number {
    if (this.#count === 0 || (this.#maxAgeHigh === 0 && this.#maxAgeLow === 0)) return 0;
    if (isAtOrBefore(this.#maxAgeHigh, this.#maxAgeLow, stampHigh, stampLow)) {
      const borrow = stampLow < this.#maxAgeLow ? 1 : 0;
      this.#removeUntil(stampHigh - this.#maxAgeHigh - borrow, (stampLow - this.#maxAgeLow) >>> 0);
      // For good, also if a flush fails.
      if (this.#safe.first < this.#first) this.#safe.first = Math.min(this.#first, this.#safe.last + 1);
      this.#removeDeadSlices();
      if (this.#count === 0) return 0;
    }
    const slice = this.#slices[this.#sliceAt(this.#first)]!;
    if (!this.#readFront(slice, slice.recordAt(this.#first))) {
      return (stampHigh * 4_294_967_296 + stampLow) / 1e6 + 5000;
    }
    const low = this.#record.stampLow + this.#maxAgeLow;
    const carry = low > 0xffff_ffff ? 1 : 0;
    return stampToMsCeil(this.#record.stampHigh + this.#maxAgeHigh + carry, low >>> 0);
  }

  #removeUntil(stampHigh: number, stampLow: number): void {
    while (this.#count > 0) {
      const slice = this.#slices[this.#sliceAt(this.#first)]!;
      const record = slice.recordAt(this.#first);
      if (record === 0 && isAtOrBefore(slice.lastStampHigh, slice.lastStampLow, stampHigh, stampLow)) {
        // Over as a whole: nothing has to be read.
        this.#count -= slice.recordCount;
        this.#bytes -= slice.bytes;
        this.#first = this.#nextExisting(slice, slice.recordCount);
        continue;
      }
      if (!this.#readFront(slice, record)) return;
      if (!isAtOrBefore(this.#record.stampHigh, this.#record.stampLow, stampHigh, stampLow)) return;
      this.#count--;
      this.#bytes -= this.#record.payloadSize + MESSAGE_OVERHEAD_BYTES;
      this.#first = this.#nextExisting(slice, record + 1);
    }
  }

  /**
   * Removes the files of slices that hold nothing any more. Never the newest, which carries the last sequence; and never
   * before what came after them is safe: else a crash could leave neither the old messages nor the new ones.
   */
  #removeDeadSlices(): void {
    const slices = this.#slices;
    const safe = this.#safe;
    while (
      slices.length > 1 && slices[0]!.lastSequence < safe.first && slices[0]!.lastSequence < this.#first &&
      slices[0]!.number < safe.sliceNumber && (safe.recordCount > 0 || slices[0]!.lastSequence < safe.last)
    ) {
      if (this.#unproven) {
        this.#wantsFlush = true;
        this.#shared.wantsTick(this);
        return;
      }
      const slice = slices.shift()!; // length > 1.
      this.#forgetSlice(slice);
      if (this.#archive !== undefined) this.#archive(slice.data.path, slice.index.path);
      else {
        // The index first: a data file without one is rebuilt, an index without data would be a riddle.
        this.#dead.push(slice.index.path, slice.data.path);
      }
    }
    if (this.#dead.length === 0) return;
    this.#dead = this.#removeFiles(this.#dead);
    if (this.#dead.length > 0) this.#shared.wantsTick(this);
  }

  #forgetSlice(slice: Slice): void {
    slice.data.retire();
    slice.index.retire();
    if (this.#frontSlice === slice) this.#frontSlice = undefined;
    this.#dirty = this.#dirty.filter((other) => other !== slice);
    this.#blocks = this.#blocks.filter((block) => {
      if (block.slice !== slice) return true;
      this.#shared.cache.remove(block);
      if (this.#found === block) this.#found = undefined;
      return false;
    });
    for (const sequence of this.#damaged) if (sequence <= slice.lastSequence) this.#damaged.delete(sequence);
  }

  empty(): void {
    this.#drop();
    for (const slice of this.#slices) {
      slice.data.retire();
      slice.index.retire();
    }
    const { disk } = this.#shared;
    const names = disk.list(this.#directory.path).filter(({ name, kind }) => kind === "file" && SLICE_FILE.test(name));
    for (const path of this.#removeFiles(names.map(({ name }) => `${this.#directory.path}/${name}`))) {
      this.#shared.log.error(`${path} holds messages that were removed and cannot be removed itself`);
    }
    this.#leftovers = [];
    this.#dead = [];
    this.#slices = [];
    this.#first = 0;
    this.#last = 0;
    this.#count = 0;
    this.#bytes = 0;
    this.#limitReached = false;
    if (this.#mark !== undefined || this.#needsMark) {
      this.#mark = this.#flushedMark = undefined;
      this.#needsMark = this.#removeFiles([purgeMarkPath(this.#directory.path)]).length > 0;
    }
    this.#damaged.clear();
    // Names that went must not come back beside those that follow.
    this.#directory.changed();
    this.#safe = this.#snapshot();
  }

  /** Lets go of what is in memory. */
  #drop(): void {
    for (const block of this.#blocks) this.#shared.cache.remove(block);
    for (const block of this.#pinned) this.#shared.stagedBytes -= payloadBytes(block, block.firstStaged);
    this.#blocks = [];
    this.#pinned = [];
    this.#found = undefined;
    this.#tail = undefined;
    this.#dirty = [];
    this.#frontSlice = undefined;
    this.#front = NOTHING;
  }

  // Background and end -------------------------------------------------------------------------------------------------

  tick(nowMs: number): boolean {
    if (this.#retired) return false;
    this.#leaveMarker();
    if (this.#refusal !== "" && !this.#markerIsStaged) return true;
    if (this.#needsMeasure) this.#needsMeasure = !this.#measure();
    // Not while somebody has a flush of his own to come: this one would take along his messages, or the error he is owed.
    if (this.#wantsFlush && this.#last === this.#safe.last && this.#owed === undefined) {
      this.flush()?.catch(() => undefined);
    }
    if (this.#refusal !== "") return true;
    if (this.#failedSequence !== 0 && nowMs >= this.#failedUntilMs) {
      // Whoever waits for that message may try again.
      this.#failedSequence = 0;
      this.onReadable?.();
    }
    const { autoSyncMs, sync } = this.#shared.options;
    if (!sync && autoSyncMs > 0 && nowMs - this.#lastSyncMs >= autoSyncMs) {
      this.#lastSyncMs = nowMs;
      for (const slice of this.#slices) this.#autoSync(slice);
    }
    this.#front = NOTHING;
    this.#frontSlice = undefined;
    this.#dead = this.#removeFiles(this.#dead);
    const unsynced = this.#dead.length > 0 || this.#slices.some(({ data, index }) => !data.isSynced || !index.isSynced);
    return unsynced || this.#dirty.length > 0 || this.#failedSequence !== 0 || this.#needsMeasure;
  }

  #autoSync(slice: Slice): void {
    for (const file of [slice.data, slice.index]) {
      file.sync()?.catch((error) => this.#shared.log.error(`Automatic sync failed: ${messageOf(error)}`));
    }
  }

  /** Writes and syncs what is left, blocking, and closes. For the end of the store. */
  close(): void {
    if (this.#retired) return;
    try {
      if (this.#failedSerial === Infinity) this.#write();
      if (this.#needsCut) this.#tryCut();
      if (this.#needsMark) this.#tryMark();
      this.#removeFiles(this.#leftovers);
      this.#removeFiles(this.#dead);
      for (const slice of this.#slices) {
        slice.data.syncNow();
        slice.index.syncNow();
      }
    } catch (error) {
      this.#shared.log.error(`Closing channel "${displayText(this.#name)}": ${messageOf(error)}`);
    }
    this.retire("the store is closed");
  }

  /** Gives everything up without another write: the channel is deleted, or closed above. */
  retire(reason: string): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#refusal = reason;
    this.#drop();
    for (const slice of this.#slices) {
      slice.data.retire();
      slice.index.retire();
    }
    this.#slices = [];
    this.#count = 0;
  }
}

/** Payload bytes of the entries of a block from `from` on. */
function payloadBytes(block: Block, from: number): number {
  let bytes = 0;
  if (from >= block.count) return 0;
  bytes = block.usedBytes - block.index[from * BLOCK_INDEX_STRIDE]! -
    (block.count - from - 1) * RECORD_HEADER_BYTES;
  return bytes;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}
