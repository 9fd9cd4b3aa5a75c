/**
 * The last records of a slice's index beside the messages they speak of. The rest of an index is believed when it is intact; its
 * end may be from another moment than the end of the data file, because the two are synced one by one. Only looks: what
 * follows from it is decided in `recover_slice.ts`.
 */
import type { DiskFile } from "../../runtime/types.ts";
import { decodeMsgProto, MsgProtoView } from "../../wire/stan_hot.ts";
import type { Crc32 } from "./crc.ts";
import { INDEX_RECORD_BYTES, IndexRecord, isZero, readU32, RECORD_HEADER_BYTES } from "./format.ts";
import type { ByteSource } from "./scan.ts";
import { Slice } from "./slice.ts";

/** What is looked at of their end, in data and in index records: more than a turn writes, little beside a slice. */
export const TAIL_BYTES_MAX = 1024 * 1024;
const TAIL_RECORDS_MAX = 8192;

/**
 * What the data file has where the index says that its last message is: that message; that message with a wrong checksum;
 * something that was it; nothing, because its bytes never arrived.
 */
export type LastMessage = "right" | "unproven" | "damaged" | "absent";

/** For the recovery of one slice. */
export class TailCheck {
  readonly #crc: Crc32;
  readonly #slice: Slice;
  readonly #index: Pick<DiskFile, "read">;
  readonly #data: ByteSource;
  readonly #lastBefore: number;
  readonly #view = new MsgProtoView();
  /** The index record that the last answer is about. */
  readonly record = new IndexRecord();
  /** Checksum of its message, as the file has it and as it would be right; of the last `lookAtLast`, unless absent. */
  storedCrc = 0;
  actualCrc = 0;
  /** Nothing but zeros is where the last `lookAtLast` looked. */
  isBlank = false;

  /** `slice` counts what is believed of the index; `lastBefore`: the last sequence of the slice before it. */
  constructor(crc: Crc32, slice: Slice, index: Pick<DiskFile, "read">, data: ByteSource, lastBefore: number) {
    this.#crc = crc;
    this.#slice = slice;
    this.#index = index;
    this.#data = data;
    this.#lastBefore = lastBefore;
  }

  /**
   * Number of the first of the last index records that is of another message than the one that is there; -1: none is. After a
   * failed flush other messages take the place of those that were taken back; a power cut in that moment may keep the new data
   * and the old index, both intact.
   */
  firstOfAnother(): number {
    const slice = this.#slice;
    const record = this.record;
    const count = Math.min(slice.recordCount, TAIL_RECORDS_MAX);
    const first = slice.recordCount - count;
    const entries = new Uint8Array(count * INDEX_RECORD_BYTES);
    this.#index.read(entries, 0, entries.length, Slice.indexPosition(first));
    if (count === 0) return -1;
    record.read(entries, entries.length - INDEX_RECORD_BYTES);
    const end = record.dataEnd;
    let at = entries.length;
    while (at > 0) {
      record.read(entries, at - INDEX_RECORD_BYTES);
      if (end - record.offset > TAIL_BYTES_MAX) break;
      at -= INDEX_RECORD_BYTES;
    }
    if (at === entries.length) return -1;
    record.read(entries, at);
    const start = record.offset;
    const bytes = new Uint8Array(end - start);
    this.#data.read(bytes, 0, bytes.length, start);
    for (; at < entries.length; at += INDEX_RECORD_BYTES) {
      record.read(entries, at);
      if (this.#isAnother(bytes, record.offset - start)) return first + at / INDEX_RECORD_BYTES;
    }
    return -1;
  }

  /** True when an intact message that is not the one of `record` stands at `at`. One that is damaged is no evidence. */
  #isAnother(bytes: Uint8Array, at: number): boolean {
    const record = this.record;
    const size = readU32(bytes, at);
    const start = at + RECORD_HEADER_BYTES;
    const end = start + size;
    if (size === 0 || end > bytes.length) return false;
    if (readU32(bytes, at + 4) !== this.#crc.of(bytes, start, end)) return false;
    const view = this.#view;
    if (!decodeMsgProto(bytes, start, end, view) || view.sequence <= this.#lastBefore) return false;
    return size !== record.payloadSize || view.sequence !== record.sequence || view.stampHigh !== record.stampHigh ||
      view.stampLow !== record.stampLow;
  }

  /** Of the last message that the slice counts. */
  lookAtLast(): LastMessage {
    const record = this.record;
    const entry = new Uint8Array(INDEX_RECORD_BYTES);
    this.#index.read(entry, 0, INDEX_RECORD_BYTES, Slice.indexPosition(this.#slice.recordCount - 1));
    record.read(entry, 0);
    const bytes = new Uint8Array(RECORD_HEADER_BYTES + record.payloadSize);
    this.#data.read(bytes, 0, bytes.length, record.offset);
    const start = RECORD_HEADER_BYTES;
    const end = bytes.length;
    this.isBlank = isZero(bytes, 0, end);
    if (readU32(bytes, 0) !== record.payloadSize || isZero(bytes, start, end)) return "absent";
    this.storedCrc = readU32(bytes, 4);
    this.actualCrc = this.#crc.of(bytes, start, end);
    const view = this.#view;
    if (!decodeMsgProto(bytes, start, end, view) || view.sequence !== record.sequence) return "damaged";
    return this.storedCrc === this.actualCrc ? "right" : "unproven";
  }
}
