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
import { encodeMsgProto } from "../../wire/stan_hot.ts";
import { isAtOrBefore } from "../stamp.ts";
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
import type { Block } from "./block.ts";
import { BlockLoader, type LoadOwner } from "./block_load.ts";
import { ChannelBlocks } from "./channel_blocks.ts";
import type { SyncedDirectory } from "./directory.ts";
import { MESSAGE_ENVELOPE_BYTES_MAX, RECORD_HEADER_BYTES, writeIndexWords, writeRecordHeader } from "./format.ts";
import { IndexReader } from "./index_reader.ts";
import { KeptMessages } from "./kept_messages.ts";
import { type SliceLimits, sliceLimits } from "./options.ts";
import { Purge } from "./purge.ts";
import type { PurgeMark } from "./purge_mark.ts";
import { clientTextOf, type FileStoreShared, messageOf, STAGED_BYTES_MAX, toStoreError } from "./shared.ts";
import type { Slice } from "./slice.ts";
import { ChannelSlices } from "./slices.ts";

/** Sequences that a hole may be filled with at once: a jump beyond it is a defect of the caller, not a hole. */
const HOLE_MAX = 1_000_000;

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

export class FileMessageLog implements MessageStore, LoadOwner {
  readonly #shared: FileStoreShared;
  readonly #name: string;
  readonly #channel: Uint8Array;
  readonly #directory: SyncedDirectory;
  readonly #sliceLimits: SliceLimits;
  readonly #archive: ((data: string, index: string) => void) | undefined;

  readonly #slices: ChannelSlices;
  readonly #blocks: ChannelBlocks;
  readonly #purge: Purge;
  readonly #loader: BlockLoader;
  readonly #index: IndexReader;
  readonly #kept: KeptMessages;
  #limitReached = false;

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
  #lastError = "";
  #lastSyncMs: number;

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
    this.#slices = new ChannelSlices(shared, name, directory, this);
    this.#blocks = new ChannelBlocks(shared);
    this.#purge = new Purge(shared, name, channel, this.#slices);
    this.#loader = new BlockLoader(shared, name, this.#blocks, this);
    this.#index = new IndexReader(shared);
    this.#kept = new KeptMessages(shared, this.#slices, this.#index, limits);
    this.#sliceLimits = sliceLimits(shared.options, limits);
    this.#archive = archive;
    this.#lastSyncMs = shared.nowMs();
    this.#safe = this.#snapshot();
  }

  get firstSequence(): number {
    return this.#kept.first;
  }

  get lastSequence(): number {
    return this.#kept.last;
  }

  get messageCount(): number {
    return this.#kept.count;
  }

  /** Encoded messages and 40 bytes for each (stores.md 2.4). */
  get byteCount(): number {
    return this.#kept.bytes;
  }

  get lastError(): string {
    return this.#lastError;
  }

  /** The slices, for views and tests. */
  get slices(): readonly Slice[] {
    return this.#slices.list;
  }

  /** Files that hold nothing any more and are still there, the oldest first. */
  get deadFiles(): readonly string[] {
    return this.#slices.deadFiles;
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
    this.#slices.adopt(slices);
    for (const sequence of damaged) this.#loader.addDamaged(sequence);
    const kept = this.#kept;
    kept.takeAll();
    this.#purge.adopt(mark, mark !== undefined && damaged.includes(mark.sequence));
    if (mark !== undefined && mark.sequence >= kept.first) this.#beginAt(kept.existingFrom(mark.sequence + 1));
    this.#safe = this.#snapshot();
    this.#flushedTo = kept.last;
    if (this.#shared.options.sync) {
      this.#unproven = true;
      this.#slices.distrust();
    }
    this.#enforceLimits();
    this.#safe.first = kept.first;
    this.#removeDeadSlices();
    // A purge that was interrupted is finished.
    if (mark !== undefined && mark.sequence === kept.last) this.#shared.wantsTick(this);
  }

  /** A flush is wanted though nobody has asked for one: something is to go behind it. */
  get wantsFlush(): boolean {
    return this.#wantsFlush;
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
    nameStart = -1,
  ): number {
    if (this.#refusal !== "") {
      this.#lastError = this.#refusal;
      return APPEND_FAILED;
    }
    if (sequence <= this.#kept.last) return APPEND_KNOWN;
    if (this.#kept.last > 0 && sequence > this.#kept.last + 1 && !this.#fillHole(sequence, stampHigh, stampLow)) {
      return APPEND_FAILED;
    }
    let slice = this.#slices.newest;
    if (slice === undefined || slice.isFull(this.#sliceLimits, stampHigh, stampLow)) {
      slice = this.#roll();
      if (slice === undefined) return APPEND_FAILED;
    }
    return this.#put(slice, sequence, stampHigh, stampLow, source, replyStart, replyEnd, dataStart, dataEnd, nameStart);
  }

  /** stores.md 5.5: what is missing becomes empty messages, in the current slice even if it is full. */
  #fillHole(sequence: number, stampHigh: number, stampLow: number): boolean {
    assert(sequence - this.#kept.last <= HOLE_MAX, "a hole in the sequences is small");
    const slice = this.#slices.newest ?? this.#roll();
    if (slice === undefined) return false;
    while (this.#kept.last + 1 < sequence) {
      if (this.#put(slice, this.#kept.last + 1, stampHigh, stampLow, NOTHING, 0, 0, 0, 0, -1) < 0) return false;
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
    nameStart: number,
  ): number {
    const shared = this.#shared;
    const channel = this.#channel;
    const sizeBound = RECORD_HEADER_BYTES + channel.length + (replyEnd - replyStart) + (dataEnd - dataStart) +
      MESSAGE_ENVELOPE_BYTES_MAX;
    const blocks = this.#blocks;
    let block = blocks.tail;
    if (block === undefined || block.slice !== slice || block.bytes.length - block.usedBytes < sizeBound) {
      if (shared.stagedBytes > STAGED_BYTES_MAX) {
        this.#lastError = "stan: not stored: the disk of the store is too slow for what is published, try again later";
        return APPEND_FAILED;
      }
      block = blocks.newTail(slice, sequence, sizeBound);
    }
    const at = block.usedBytes;
    const payloadStart = at + RECORD_HEADER_BYTES;
    const names = nameStart < 0 ? channel : source;
    const nameAt = nameStart < 0 ? 0 : nameStart;
    const payloadEnd = encodeMsgProto(
      block.bytes,
      payloadStart,
      sequence,
      names,
      nameAt,
      nameAt + channel.length,
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
    writeIndexWords(
      slice.stagedWords,
      indexAt,
      sequence,
      block.fileOffset + at,
      stampHigh,
      stampLow,
      size,
      shared.crc,
    );
    if (indexAt === 0) this.#slices.markDirty(slice);
    block.add(payloadStart, payloadEnd);
    blocks.pin(block);
    slice.add(sequence, size, stampHigh, stampLow);
    shared.stagedBytes += size;
    const kept = this.#kept;
    kept.add(sequence, size);
    if (kept.isOverLimits) this.#enforceLimits();
    return size;
  }

  /** Opens the next slice. Undefined: the disk refuses, `lastError` says so. */
  #roll(): Slice | undefined {
    try {
      return this.#slices.roll();
    } catch (error) {
      this.#refuse(error);
      this.#lastError = this.#refusal;
      return undefined;
    }
  }

  // Flushing -----------------------------------------------------------------------------------------------------------

  flush(): Promise<void> | undefined {
    if (this.#retired) return undefined;
    const isPurging = this.#purge.mark !== this.#safe.mark;
    const isStaged = this.#slices.isDirty || isPurging || !this.#directory.isSafe && this.#shared.options.sync;
    // Staged in the same turn as what failed: it goes the same way.
    if (this.#failedSerial !== Infinity) {
      this.#flushedTo = this.#kept.last;
      this.#purge.flushAsked();
      return isStaged || this.#kept.last > this.#safe.last ? this.#failed(this.#flushSerial, this.#failure) : undefined;
    }
    if (!isStaged && this.#flushes === undefined && this.#owed === undefined) return undefined;
    const serial = ++this.#flushSerial;
    this.#flushedTo = this.#kept.last;
    this.#purge.flushAsked();
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
    if (!this.#shared.options.sync && !isPurging && !this.#purge.markerIsStaged) {
      this.#slices.skipSync();
      this.#becameSafe(snapshot);
      return undefined;
    }
    const waits: Promise<unknown>[] = [];
    this.#slices.sync(waits);
    if (this.#flushes !== undefined) waits.push(this.#flushes);
    this.#flushesUnderWay++;
    const all = Promise.all(waits);
    this.#flushes = all;
    return all.then(() => this.#flushEnded(serial, snapshot), (error) => this.#flushBroke(serial, error));
  }

  /** Data first, then the index: it never knows more than the data file has (stores.md 5.2). */
  #write(): void {
    this.#blocks.write();
    this.#slices.writeIndexes();
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
    const slice = this.#slices.newest;
    return {
      first: this.#kept.first,
      last: this.#kept.last,
      sliceNumber: slice?.number ?? 0,
      recordCount: slice?.recordCount ?? 0,
      sliceBytes: slice?.bytes ?? 0,
      lastStampHigh: slice?.lastStampHigh ?? 0,
      lastStampLow: slice?.lastStampLow ?? 0,
      dataSize: slice?.data.size ?? 0,
      indexSize: slice?.index.size ?? 0,
      mark: this.#purge.mark,
    };
  }

  #becameSafe(safe: Safe): void {
    // What expired meanwhile stays so.
    if (this.#safe.first > safe.first) safe.first = Math.min(this.#safe.first, safe.last + 1);
    if (safe.mark !== undefined && safe.mark.sequence >= safe.first) {
      const first = this.#kept.existingFrom(safe.mark.sequence + 1);
      safe.first = Math.min(first, safe.last + 1);
      if (first > this.#kept.first) this.#beginAt(first);
    }
    this.#safe = safe;
    this.#unproven = false;
    this.#wantsFlush = false;
    this.#purge.flushDone();
    this.#blocks.becameSafe(safe.last);
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
    this.#slices.takeBack(safe.sliceNumber);
    const slice = this.#slices.newest;
    if (slice !== undefined) {
      slice.cutTo(safe.recordCount, safe.sliceBytes, safe.lastStampHigh, safe.lastStampLow);
      slice.index.forgetFrom(Math.min(slice.index.size, safe.indexSize));
      slice.data.forgetFrom(Math.min(slice.data.size, safe.dataSize));
      this.#needsCut = true;
    }
    this.#blocks.cutTo(safe.last);
    this.#slices.markUnsynced();
    this.#index.release();
    if (this.#kept.last > this.#flushedTo || this.#purge.isUnflushed) this.#owed = this.#failure;
    this.#flushedTo = safe.last;
    this.#purge.takeBack(safe.mark);
    this.#kept.last = safe.last;
    this.#kept.beginAt(Math.min(safe.first, safe.last + (safe.last > 0 ? 1 : 0)));
    this.#mayReturn = true;
    if (this.#needsCut) this.#tryCut();
    if (this.#purge.needsMark) this.#purge.tryMark();
  }

  /** Cuts off what was written and does not count. Until it succeeds the next write lies over it. */
  #tryCut(): boolean {
    try {
      this.#slices.cut();
      this.#needsCut = false;
      return true;
    } catch (error) {
      this.#shared.log.debug(`Channel "${displayText(this.#name)}": ${messageOf(error)}`);
      return false;
    }
  }

  /** From the store, when the disk may take writes again. */
  tryResume(): void {
    if (this.#refusal === "" || this.#retired || this.#failedSerial !== Infinity || this.#flushesUnderWay > 0) return;
    if (this.#needsCut && !this.#tryCut()) return;
    if (this.#purge.needsMark && !this.#purge.tryMark()) return;
    // The next slice will take that name, or a start find messages there that were taken back.
    this.#slices.removeLeftovers();
    if (this.#slices.hasLeftovers) return;
    if (this.#kept.needsMeasure && !this.#kept.measure()) return;
    // A message stored now could stand beside others of its own sequence, in files that each seem whole.
    if (this.#mayReturn && !this.#isGoneForGood()) return;
    this.#refusal = "";
    this.#shared.log.info(`Channel "${displayText(this.#name)}" takes messages again`);
  }

  /** False: what was taken back still has to be synced away; comes back to `tryResume` when that is done. */
  #isGoneForGood(): boolean {
    const isSafe = !this.#shared.options.sync || !this.#slices.isDirty && this.#directory.isSafe;
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
    if (!this.#kept.holds(sequence)) return LOOKUP_NONE;
    let block = this.#blocks.found;
    if (block === undefined || !block.holds(sequence)) {
      block = this.#enter(sequence);
      if (block === undefined) return this.#miss(sequence);
    }
    const i = sequence - block.firstSequence;
    into.buffer = block.bytes;
    into.start = block.index[i]!;
    into.end = block.payloadEnd(i);
    return LOOKUP_FOUND;
  }

  /** The block of `sequence`, if it is in memory; reads ahead when a reader goes through block after block. */
  #enter(sequence: number): Block | undefined {
    const blocks = this.#blocks;
    const before = blocks.found;
    const block = blocks.find(sequence);
    if (block === undefined || before === undefined || this.#shared.options.readBufferBytes === 0) return block;
    const next = block.endSequence;
    if (before.endSequence === block.firstSequence && next <= this.#kept.last && !blocks.has(next)) {
      this.#startLoad(next, false);
    }
    return block;
  }

  #miss(sequence: number): LookupResult {
    if (this.#loader.isDamaged(sequence) || this.#slices.holding(sequence) === undefined) return LOOKUP_NONE;
    if (this.#loader.isRefused(sequence)) return LOOKUP_FAILED;
    this.#startLoad(sequence, true);
    return LOOKUP_LATER;
  }

  #startLoad(sequence: number, wanted: boolean): void {
    if (this.#loader.join(sequence, wanted)) return;
    const slice = this.#slices.holding(sequence);
    if (slice !== undefined) this.#loader.start(slice, sequence, wanted);
  }

  /** Whoever waits for a message asks again. */
  loadEnded(): void {
    this.onReadable?.();
  }

  stampOf(sequence: number, into: { stampHigh: number; stampLow: number }): boolean {
    if (!this.#kept.holds(sequence)) return false;
    const slice = this.#slices.holding(sequence);
    if (slice === undefined || !this.#index.read(slice, slice.recordAt(sequence))) return false;
    into.stampHigh = this.#index.record.stampHigh;
    into.stampLow = this.#index.record.stampLow;
    return true;
  }

  sequenceAtOrAfter(stampHigh: number, stampLow: number): number {
    const { first, last } = this.#kept;
    if (last === 0) return 0;
    const slices = this.#slices.list;
    for (let i = this.#slices.placeOf(first); i < slices.length; i++) {
      const slice = slices[i]!;
      if (!isAtOrBefore(stampHigh, stampLow, slice.lastStampHigh, slice.lastStampLow)) continue;
      let low = slice.recordAt(first);
      let high = slice.recordCount - 1;
      while (low < high) {
        const middle = (low + high) >>> 1;
        // A record that cannot be read counts as too old: the ones behind it are looked at instead.
        if (
          this.#index.read(slice, middle) &&
          isAtOrBefore(stampHigh, stampLow, this.#index.record.stampHigh, this.#index.record.stampLow)
        ) high = middle;
        else low = middle + 1;
      }
      if (low < slice.recordCount) return slice.sequenceOf(low);
    }
    return last + 1;
  }

  // Removing -----------------------------------------------------------------------------------------------------------

  #enforceLimits(): void {
    const kept = this.#kept;
    while (kept.isOverLimits && kept.removeFirst()) {
      if (!this.#limitReached) {
        this.#limitReached = true;
        this.onLimitReached?.();
      }
    }
  }

  /** What is before `first` does not count any more. */
  #beginAt(first: number): void {
    this.#kept.beginAt(first);
    if (this.#kept.needsMeasure) this.#shared.wantsTick(this);
  }

  /** Its steps, and what a crash between them leaves, are told in `purge.ts`. */
  purge(upTo: number): void {
    assert(upTo <= this.#kept.last, "what was never stored cannot be purged");
    if (this.#retired) throw new StoreError("STORE_CLOSED", "the channel's store is closed");
    // One that only lacks space is not refused: this is how an operator makes some.
    if (this.#isUnsettled) throw new StoreError("STORE_IO", clientTextOf(this.#failure));
    if (upTo <= (this.#purge.mark?.sequence ?? 0)) return;
    const stamp = { stampHigh: 0, stampLow: 0 };
    const slice = this.#slices.holding(upTo);
    if (slice !== undefined && this.#index.read(slice, slice.recordAt(upTo))) {
      stamp.stampHigh = this.#index.record.stampHigh;
      stamp.stampLow = this.#index.record.stampLow;
    }
    const mark: PurgeMark = { sequence: upTo, ...stamp };
    const isRolled = upTo === this.#kept.last && this.#purge.newestHoldsMessages;
    if (isRolled && this.#roll() === undefined) throw new StoreError("STORE_IO", this.#lastError);
    try {
      this.#purge.write(mark, this.#safe.mark);
    } catch (error) {
      if (isRolled) this.#unroll();
      throw toStoreError(error);
    }
  }

  /** Something that failed has not been put right on the disk. */
  get #isUnsettled(): boolean {
    return this.#failedSerial !== Infinity || this.#needsCut || this.#purge.needsMark || this.#kept.needsMeasure ||
      this.#slices.hasLeftovers;
  }

  /** Where everything was purged: a marker, in a slice of its own. */
  #leaveMarker(): void {
    const { mark, last } = this.#safe;
    if (mark === undefined || this.#kept.last !== last || !this.#purge.lacksMarker(mark, last)) return;
    if (this.#isUnsettled || this.#retired) return;
    const { newest } = this.#slices;
    const slice = newest?.recordCount === 0 ? newest : this.#roll();
    if (slice === undefined) return;
    try {
      this.#purge.stageMarker(slice, mark);
    } catch (error) {
      this.#needsCut = true;
      this.#refuse(error);
      return;
    }
    this.#wantsFlush = true;
  }

  /** The newest slice, which has no message yet, as if it had never been made. */
  #unroll(): void {
    const { data } = this.#slices.newest!; // It was made a moment ago.
    this.#slices.unroll();
    if (this.#slices.hasLeftovers) this.#refuse(new Error(`${data.path} cannot be removed`));
  }

  expire(stampHigh: number, stampLow: number): number {
    const kept = this.#kept;
    if (kept.removeExpired(stampHigh, stampLow)) {
      // For good, also if a flush fails.
      if (this.#safe.first < kept.first) this.#safe.first = Math.min(kept.first, this.#safe.last + 1);
      this.#removeDeadSlices();
    }
    return kept.expiresAtMs(stampHigh, stampLow);
  }

  /**
   * Removes the files of slices that hold nothing any more. Never the newest, which carries the last sequence; and never
   * before what came after them is safe: else a crash could leave neither the old messages nor the new ones.
   */
  #removeDeadSlices(): void {
    const slices = this.#slices.list;
    const safe = this.#safe;
    while (
      slices.length > 1 && slices[0]!.lastSequence < safe.first && slices[0]!.lastSequence < this.#kept.first &&
      slices[0]!.number < safe.sliceNumber && (safe.recordCount > 0 || slices[0]!.lastSequence < safe.last)
    ) {
      if (this.#unproven) {
        this.#wantsFlush = true;
        this.#shared.wantsTick(this);
        return;
      }
      const slice = this.#slices.retireOldest();
      this.#forgetSlice(slice);
      if (this.#archive !== undefined) this.#archive(slice.data.path, slice.index.path);
      else this.#slices.bury(slice);
    }
    if (!this.#slices.removeDead()) this.#shared.wantsTick(this);
  }

  /** Nothing of it is kept in memory. */
  #forgetSlice(slice: Slice): void {
    this.#index.forget(slice);
    this.#blocks.forget(slice);
    this.#loader.forgetUpTo(slice.lastSequence);
  }

  empty(): void {
    this.#drop();
    this.#slices.empty();
    this.#kept.empty();
    this.#limitReached = false;
    this.#purge.forget();
    this.#loader.forgetUpTo(Infinity);
    // Names that went must not come back beside those that follow.
    this.#directory.changed();
    this.#safe = this.#snapshot();
  }

  /** Lets go of what is in memory. */
  #drop(): void {
    this.#blocks.drop();
    this.#index.release();
  }

  // Background and end -------------------------------------------------------------------------------------------------

  tick(nowMs: number): boolean {
    if (this.#retired) return false;
    this.#leaveMarker();
    if (this.#refusal !== "" && !this.#purge.markerIsStaged) return true;
    if (this.#kept.needsMeasure) this.#kept.measure();
    // Not while somebody has a flush of his own to come: this one would take along his messages, or the error he is owed.
    if (this.#wantsFlush && this.#kept.last === this.#safe.last && this.#owed === undefined) {
      this.flush()?.catch(() => undefined);
    }
    if (this.#refusal !== "") return true;
    const awaitsRetry = this.#loader.tick(nowMs);
    const { autoSyncMs, sync } = this.#shared.options;
    if (!sync && autoSyncMs > 0 && nowMs - this.#lastSyncMs >= autoSyncMs) {
      this.#lastSyncMs = nowMs;
      this.#slices.autoSync();
    }
    this.#index.release();
    const isClean = this.#slices.removeDead() && this.#slices.isSynced && !this.#slices.isDirty;
    return !isClean || awaitsRetry || this.#kept.needsMeasure;
  }

  /** Writes and syncs what is left, blocking, and closes. For the end of the store. */
  close(): void {
    if (this.#retired) return;
    try {
      if (this.#failedSerial === Infinity) this.#write();
      if (this.#needsCut) this.#tryCut();
      if (this.#purge.needsMark) this.#purge.tryMark();
      this.#slices.removeLast();
      this.#slices.syncNow();
    } catch (error) {
      this.#shared.log.error(`Closing channel "${displayText(this.#name)}": ${messageOf(error)}`);
    }
    this.retire("the store is closed");
  }

  /** Gives everything up without another write: the channel is deleted, or closed above. */
  retire(reason: string): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#loader.retire();
    this.#refusal = reason;
    this.#drop();
    this.#slices.retire();
    this.#kept.count = 0;
  }
}
