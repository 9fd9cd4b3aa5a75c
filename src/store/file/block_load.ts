/**
 * Reading messages of one channel that are not in memory, off the event loop (stores.md 5.9): the index records of as many as
 * one block may have, then their bytes in one read. What cannot be read is remembered: a message that is damaged for good,
 * one that the disk refused for a while. When one is wanted is the business of the message log.
 */
import { assert } from "../../base/assert.ts";
import { displayText } from "../../base/bytes.ts";
import { decodeMsgProto, MsgProtoView } from "../../wire/stan_hot.ts";
import { Block } from "./block.ts";
import type { ChannelBlocks } from "./channel_blocks.ts";
import {
  checksumText,
  INDEX_RECORD_BYTES,
  IndexRecord,
  isIndexRecordIntact,
  readU32,
  RECORD_HEADER_BYTES,
  VERSION_BYTES,
} from "./format.ts";
import { type FileStoreShared, messageOf, type Ticked } from "./shared.ts";
import { Slice } from "./slice.ts";

/** One read of messages, and of index records in front of it. */
const READ_BYTES_MAX = 512 * 1024;
const READ_RECORDS_MAX = 8192;
/** After a failed read the same message is not asked for again for this long. */
const FAILED_RETRY_MS = 1000;

/** As many index records as the messages of one read are likely to have, going by what `slice` has. */
function recordsOfOneRead({ bytes, recordCount }: Slice): number {
  const messageBytes = bytes / recordCount - INDEX_RECORD_BYTES;
  return Math.min(READ_RECORDS_MAX, Math.ceil(READ_BYTES_MAX / messageBytes));
}

/** Whom blocks are read for. Not called any more when the loader is retired. */
export interface LoadOwner extends Ticked {
  /** A message that somebody waits for was read, or may be asked for again. */
  loadEnded(): void;
}

/** A read of a block under way. */
interface Load {
  readonly firstSequence: number;
  readonly countMax: number;
  wanted: boolean;
}

/** Reads blocks for one message log, as many at a time as the store allows. */
export class BlockLoader {
  readonly #shared: FileStoreShared;
  readonly #name: string;
  readonly #blocks: ChannelBlocks;
  readonly #owner: LoadOwner;
  readonly #loads: Load[] = [];
  /** Messages that cannot be read; reported once each. */
  readonly #damaged = new Set<number>();
  #failedSequence = 0;
  #failedUntilMs = 0;
  #isRetired = false;

  constructor(shared: FileStoreShared, name: string, blocks: ChannelBlocks, owner: LoadOwner) {
    this.#shared = shared;
    this.#name = name;
    this.#blocks = blocks;
    this.#owner = owner;
  }

  // What cannot be read ------------------------------------------------------------------------------------------------

  /** For good: the message is left out. */
  isDamaged(sequence: number): boolean {
    return this.#damaged.has(sequence);
  }

  /** Recovery has found and reported that it is. */
  addDamaged(sequence: number): void {
    this.#damaged.add(sequence);
  }

  /** Messages up to there are gone. */
  forgetUpTo(sequence: number): void {
    for (const damaged of this.#damaged) if (damaged <= sequence) this.#damaged.delete(damaged);
  }

  /** The disk has refused it a moment ago. */
  isRefused(sequence: number): boolean {
    return sequence === this.#failedSequence && this.#shared.nowMs() < this.#failedUntilMs;
  }

  /** Lets whoever waits for a refused message try again when it is time; true: it is not time yet. */
  tick(nowMs: number): boolean {
    if (this.#failedSequence === 0) return false;
    if (nowMs < this.#failedUntilMs) return true;
    this.#failedSequence = 0;
    this.#owner.loadEnded();
    return this.#failedSequence !== 0;
  }

  // Reading ------------------------------------------------------------------------------------------------------------

  /** True when a read that may bring `sequence` is under way. `wanted`: somebody waits for it. */
  join(sequence: number, wanted: boolean): boolean {
    for (const load of this.#loads) {
      if (sequence < load.firstSequence || sequence >= load.firstSequence + load.countMax) continue;
      load.wanted ||= wanted;
      return true;
    }
    return false;
  }

  /**
   * Reads messages of `slice` from `sequence` on, which it has, up to the first that is in memory: so is all that is not safe
   * yet, and that must not be read. A flush that fails would take it back while the read is under way, and the read would put it
   * beside the messages that get those sequences then. What another read will bring is not read again: no message is in two
   * blocks.
   */
  start(slice: Slice, sequence: number, wanted: boolean): void {
    const run = slice.runAt(sequence)!; // The slice has it.
    const record = run.firstRecord + sequence - run.firstSequence;
    let end = this.#blocks.nextBehind(sequence);
    for (const { firstSequence } of this.#loads) if (firstSequence > sequence) end = Math.min(end, firstSequence);
    let countMax = Math.min(run.firstRecord + run.count - record, end - sequence);
    assert(countMax > 0 && record + countMax <= slice.indexedCount, "what is not written yet is in memory");
    countMax = this.#shared.options.readBufferBytes === 0 ? 1 : Math.min(countMax, recordsOfOneRead(slice));
    const load: Load = { firstSequence: sequence, countMax, wanted };
    this.#loads.push(load);
    this.#shared.loads.run(() => this.#loadIndex(load, slice, record));
  }

  /** What is under way ends without a word. */
  retire(): void {
    this.#isRetired = true;
  }

  #loadIndex(load: Load, slice: Slice, record: number): void {
    if (this.#isRetired) return this.#ended(load, undefined);
    const length = load.countMax * INDEX_RECORD_BYTES;
    const entries = new Uint8Array(length);
    try {
      slice.index.readLater(entries, 0, length, Slice.indexPosition(record), (error, count) => {
        if (error !== undefined) return this.#ended(load, error);
        this.#loadData(load, slice, entries, Math.floor(count / INDEX_RECORD_BYTES));
      });
    } catch (error) {
      this.#ended(load, error);
    }
  }

  #loadData(load: Load, slice: Slice, entries: Uint8Array, entryCount: number): void {
    if (this.#isRetired) return this.#ended(load, undefined);
    const { crc, cache, options } = this.#shared;
    const record = new IndexRecord();
    const readMax = Math.max(1, Math.min(READ_BYTES_MAX, options.readBufferBytes));
    const isChecked = crc.areRecordsRight(entries, 0, entryCount);
    let start = 0;
    let end = 0;
    let count = 0;
    for (; count < entryCount; count++) {
      const at = count * INDEX_RECORD_BYTES;
      record.read(entries, at);
      const isRight = record.sequence === load.firstSequence + count && record.offset >= Math.max(VERSION_BYTES, end) &&
        record.dataEnd <= slice.data.size && (isChecked || isIndexRecordIntact(entries, at, crc));
      if (!isRight) break;
      if (count === 0) start = record.offset;
      // Bytes that belong to no record end a block: its records lie one behind the other.
      else if (record.offset !== end || record.dataEnd - start > readMax) break;
      end = record.dataEnd;
    }
    if (count === 0) {
      return this.#ended(
        load,
        new Error(`the index record of ${load.firstSequence} in ${slice.index.path} is damaged`),
      );
    }
    const block = new Block(this.#blocks, slice, load.firstSequence, start, cache.buffer(end - start), count);
    try {
      slice.data.readLater(block.bytes, 0, end - start, start, (error, length) => {
        if (error !== undefined) return this.#ended(load, error);
        this.#loaded(load, block, entries, count, length);
      });
    } catch (error) {
      this.#ended(load, error);
    }
  }

  #loaded(load: Load, block: Block, entries: Uint8Array, count: number, length: number): void {
    if (this.#isRetired) return this.#ended(load, undefined);
    const record = new IndexRecord();
    const view = new MsgProtoView();
    const { crc, options } = this.#shared;
    const isChecked = !options.crc || crc.areMessagesRight(block.bytes, 0, length);
    let at = 0;
    for (let i = 0; i < count; i++) {
      record.read(entries, i * INDEX_RECORD_BYTES);
      const end = at + RECORD_HEADER_BYTES + record.payloadSize;
      const wrong = end > length
        ? "the file ends before it"
        : this.#wrongRecord(block.bytes, at, record, isChecked, view);
      if (wrong !== "") {
        this.#damaged.add(record.sequence);
        this.#shared.log.error(
          `Error looking up message ${displayText(this.#name)}:${record.sequence} (${wrong}, ` +
            `${block.slice.data.path} at byte ${record.offset}). It is left out; the messages around it are served`,
        );
        break;
      }
      block.add(at + RECORD_HEADER_BYTES, end);
      at = end;
    }
    block.writtenBytes = block.usedBytes;
    block.firstStaged = block.count;
    if (block.count > 0) this.#blocks.put(block);
    this.#ended(load, undefined);
  }

  /** What is wrong with the record at `at`, or "". `isChecked`: its checksum is known to be right. */
  #wrongRecord(bytes: Uint8Array, at: number, record: IndexRecord, isChecked: boolean, view: MsgProtoView): string {
    const size = readU32(bytes, at);
    if (size !== record.payloadSize) return `its size is ${size}, not ${record.payloadSize}`;
    const start = at + RECORD_HEADER_BYTES;
    if (!isChecked) {
      const { crc } = this.#shared;
      const stored = readU32(bytes, at + 4);
      const found = crc.of(bytes, start, start + size);
      if (stored !== found) {
        return `corrupted data, expected crc to be ${checksumText(stored)}, got ${checksumText(found)}`;
      }
    }
    if (!decodeMsgProto(bytes, start, start + size, view)) return "it cannot be decoded";
    return view.sequence === record.sequence ? "" : `it has the sequence ${view.sequence}`;
  }

  #ended(load: Load, error: unknown): void {
    this.#loads.splice(this.#loads.indexOf(load), 1);
    this.#shared.loads.finished();
    if (this.#isRetired) return;
    if (error !== undefined) {
      this.#failedSequence = load.firstSequence;
      this.#failedUntilMs = this.#shared.nowMs() + FAILED_RETRY_MS;
      this.#shared.log.error(
        `Error looking up message ${displayText(this.#name)}:${load.firstSequence} (${messageOf(error)})`,
      );
      this.#shared.wantsTick(this.#owner);
    }
    if (load.wanted) this.#owner.loadEnded();
  }
}
