/**
 * A purge of one channel: its mark, from the moment it is written until nothing can take it back, and the marker, an empty
 * message that stands for all that went (the file of the mark is in `purge_mark.ts`).
 *
 *   purge -> a new slice, if nothing is to be left: what is stored from here on is not among what goes
 *            the mark, which is on the disk when this returns
 *   flush -> the mark is safe, so it is in force: what is before it does not count any more
 *            nothing was stored meanwhile? a marker in the new slice, and another flush
 *         -> slices that hold nothing else go, as they go behind limits
 *
 * A flush that fails takes back mark and slice; should the disk not even take that, and the process end before it does, the
 * next start carries the purge out.
 */
import { displayText } from "../../base/bytes.ts";
import { encodeMsgProto } from "../../wire/stan_hot.ts";
import {
  MESSAGE_ENVELOPE_BYTES_MAX,
  MESSAGE_OVERHEAD_BYTES,
  RECORD_HEADER_BYTES,
  writeIndexWords,
  writeRecordHeader,
} from "./format.ts";
import { type PurgeMark, purgeMarkPath, writePurgeMarks } from "./purge_mark.ts";
import { type FileStoreShared, messageOf, removeFiles } from "./shared.ts";
import type { Slice } from "./slice.ts";
import type { ChannelSlices } from "./slices.ts";

const NOTHING = new Uint8Array(0);

/** For the message log, which tells it what becomes of each flush. */
export class Purge {
  readonly #shared: FileStoreShared;
  readonly #name: string;
  readonly #channel: Uint8Array;
  readonly #slices: ChannelSlices;
  #mark: PurgeMark | undefined;
  /** The last one that a flush was asked for. */
  #flushedMark: PurgeMark | undefined;
  /** A mark that was taken back may still be on the disk. */
  #needsMark = false;
  /** The next flush makes it safe, and the slices before it go. */
  #markerIsStaged = false;
  /** The one that is there cannot be read, and the reference does not start on it. */
  #isMarkerDamaged = false;

  constructor(shared: FileStoreShared, name: string, channel: Uint8Array, slices: ChannelSlices) {
    this.#shared = shared;
    this.#name = name;
    this.#channel = channel;
    this.#slices = slices;
  }

  // Mark ---------------------------------------------------------------------------------------------------------------

  /** The one that was written last; in force when it is the safe one. */
  get mark(): PurgeMark | undefined {
    return this.#mark;
  }

  /** No flush was asked for since the mark was written. */
  get isUnflushed(): boolean {
    return this.#mark !== this.#flushedMark;
  }

  /** The disk may have another mark than the one that counts. */
  get needsMark(): boolean {
    return this.#needsMark;
  }

  /** What recovery has found; `isDamaged`: the message that `mark` speaks of is. */
  adopt(mark: PurgeMark | undefined, isDamaged: boolean): void {
    this.#mark = this.#flushedMark = mark;
    this.#isMarkerDamaged = isDamaged;
  }

  /** Writes `mark`; `safe` stands behind it until it is safe itself. Throws what the disk refuses. */
  write(mark: PurgeMark, safe: PurgeMark | undefined): void {
    writePurgeMarks(this.#shared.disk, this.#slices.directory.path, safe === undefined ? [mark] : [mark, safe]);
    this.#mark = mark;
    this.#slices.directory.changed();
  }

  /** Whoever asked for a flush hears what becomes of the mark. */
  flushAsked(): void {
    this.#flushedMark = this.#mark;
  }

  /** It was good, and took the marker along. */
  flushDone(): void {
    if (this.#markerIsStaged) this.#isMarkerDamaged = false;
    this.#markerIsStaged = false;
  }

  /** It failed: `safe` is the mark that counts. */
  takeBack(safe: PurgeMark | undefined): void {
    if (this.#mark !== safe) {
      this.#mark = safe;
      this.#needsMark = true;
    }
    this.#flushedMark = safe;
    this.#markerIsStaged = false;
  }

  /** Puts the mark that counts on the disk again; false: the disk refuses. */
  tryMark(): boolean {
    const { disk, log } = this.#shared;
    const { directory } = this.#slices;
    try {
      writePurgeMarks(disk, directory.path, this.#mark === undefined ? [] : [this.#mark]);
      directory.changed();
      this.#needsMark = false;
      return true;
    } catch (error) {
      log.debug(`Channel "${displayText(this.#name)}": ${messageOf(error)}`);
      return false;
    }
  }

  /** The channel is emptied: no mark speaks of what comes. */
  forget(): void {
    if (this.#mark === undefined && !this.#needsMark) return;
    this.#mark = this.#flushedMark = undefined;
    this.#needsMark = removeFiles(this.#shared, this.#name, [purgeMarkPath(this.#slices.directory.path)]).length > 0;
  }

  // Marker -------------------------------------------------------------------------------------------------------------

  get markerIsStaged(): boolean {
    return this.#markerIsStaged;
  }

  /** The newest slice has something besides a marker. A single message without a payload is as good as one. */
  get newestHoldsMessages(): boolean {
    const { newest } = this.#slices;
    if (newest === undefined || newest.recordCount === 0) return false;
    const markerBytes = MESSAGE_OVERHEAD_BYTES + this.#channel.length + MESSAGE_ENVELOPE_BYTES_MAX;
    return newest.recordCount > 1 || newest.bytes > markerBytes;
  }

  /**
   * Everything up to the last sequence was purged, and no slice says yet what it was. `safe`: the mark that is safe; before it
   * is, a marker would be taken for a message.
   */
  lacksMarker(safe: PurgeMark | undefined, last: number): boolean {
    if (safe === undefined || safe !== this.#mark || safe.sequence !== last || this.#markerIsStaged) return false;
    const { newest } = this.#slices;
    return newest === undefined || newest.recordCount === 0 || this.newestHoldsMessages || this.#isMarkerDamaged;
  }

  /**
   * An empty message of the last sequence in `slice`, which has nothing else, so that the others can go and the reference
   * still knows what the last sequence was. Throws what the disk refuses; the file may be longer then.
   */
  stageMarker(slice: Slice, { sequence, stampHigh, stampLow }: PurgeMark): void {
    const { crc } = this.#shared;
    const channel = this.#channel;
    const { length } = channel;
    const bytes = new Uint8Array(RECORD_HEADER_BYTES + length + MESSAGE_ENVELOPE_BYTES_MAX);
    const start = RECORD_HEADER_BYTES;
    const end = encodeMsgProto(bytes, start, sequence, channel, 0, length, NOTHING, 0, 0, 0, 0, stampHigh, stampLow);
    const size = end - start;
    writeRecordHeader(bytes, 0, 0, size, crc);
    const offset = slice.data.size;
    // Not by way of a block: those are looked into for messages, and this is none.
    slice.data.write(bytes, 0, end);
    const indexAt = slice.reserveIndex();
    writeIndexWords(slice.stagedWords, indexAt, sequence, offset, stampHigh, stampLow, size, crc);
    slice.add(sequence, size, stampHigh, stampLow);
    this.#slices.markDirty(slice);
    this.#markerIsStaged = true;
  }
}
