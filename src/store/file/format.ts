/**
 * The bytes of the FILE store (stores.md 4): records to bytes and back, without a decision and without I/O. All integers are
 * little-endian.
 *
 *   every file    : | version u32 = 1 | ...
 *   record        : | payload size u32 | crc32 of the payload u32 | payload |
 *   typed record  : | type << 24 + payload size u32 | crc32 of the payload u32 | payload |     clients.dat, subs.dat
 *   index record  : | sequence u64 | offset i64 | stamp i64 | payload size u32 | crc32 of these 28 bytes u32 |
 */
import { writeVarint } from "../../base/varint.ts";
import type { Crc32 } from "./crc.ts";

/** The only version there is. */
export const FILE_VERSION = 1;
export const VERSION_BYTES = 4;
export const RECORD_HEADER_BYTES = 8;
export const INDEX_RECORD_BYTES = 32;
/** The same in words of four bytes. */
export const INDEX_RECORD_WORDS = INDEX_RECORD_BYTES / 4;
/** What limits and slices count for a message besides its payload: record header and index record (stores.md 2.4). */
export const MESSAGE_OVERHEAD_BYTES = RECORD_HEADER_BYTES + INDEX_RECORD_BYTES;
/** What an encoded message has at most besides channel, reply and data. */
export const MESSAGE_ENVELOPE_BYTES_MAX = 5 + 3 * 5 + 2 * 10;
/** Largest payload of a typed record. */
export const TYPED_PAYLOAD_BYTES_MAX = 0xff_ffff;

/** Types of clients.dat. */
export const CLIENT_RECORD = Object.freeze({ add: 1, delete: 2 });
/** Types of subs.dat. Mind the order of the last two (trap 1). */
export const SUBSCRIPTION_RECORD = Object.freeze({ create: 1, update: 2, delete: 3, ack: 4, pending: 5 });

const TWO_32 = 4_294_967_296;

/** The first bytes of every file. */
export function versionBytes(): Uint8Array {
  return new Uint8Array([FILE_VERSION, 0, 0, 0]);
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** Reads a u64 that must be a safe integer; -1 when it is not. */
export function readSafeU64(bytes: Uint8Array, at: number): number {
  const high = readU32(bytes, at + 4);
  return high > 0x1f_ffff ? -1 : high * TWO_32 + readU32(bytes, at);
}

/** Writes the header in front of a payload that stands at `at + 8` already. `type` is 0 in untyped files. */
export function writeRecordHeader(bytes: Uint8Array, at: number, type: number, payloadSize: number, crc: Crc32): void {
  writeU32(bytes, at, type * 0x100_0000 + payloadSize);
  const start = at + RECORD_HEADER_BYTES;
  writeU32(bytes, at + 4, crc.of(bytes, start, start + payloadSize));
}

/** A whole record as bytes of its own, for what is written rarely. */
export function encodeRecord(type: number, payload: Uint8Array, crc: Crc32): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + payload.length);
  bytes.set(payload, RECORD_HEADER_BYTES);
  writeRecordHeader(bytes, 0, type, payload.length, crc);
  return bytes;
}

/** Largest size of a record that says "sent" or "acknowledged". */
export const POSITION_RECORD_BYTES_MAX = RECORD_HEADER_BYTES + 1 + 8 + 1 + 8;

/**
 * Writes a pending or ack record at `at` and returns its end: SubStateUpdate by hand, because there are two per delivered
 * message (oracle: tests/unit/store/file/format_test.ts).
 */
export function writePositionRecord(
  bytes: Uint8Array,
  at: number,
  type: number,
  id: number,
  sequence: number,
  crc: Crc32,
): number {
  let end = at + RECORD_HEADER_BYTES;
  if (id !== 0) {
    bytes[end] = 0x08;
    end = writeVarint(bytes, end + 1, id);
  }
  if (sequence !== 0) {
    bytes[end] = 0x10;
    end = writeVarint(bytes, end + 1, sequence);
  }
  writeRecordHeader(bytes, at, type, end - at - RECORD_HEADER_BYTES, crc);
  return end;
}

/** Writes one index record at `words[at]`; every platform we run on is little-endian. */
export function writeIndexWords(
  words: Int32Array,
  at: number,
  sequence: number,
  offset: number,
  stampHigh: number,
  stampLow: number,
  payloadSize: number,
  crc: Crc32,
): void {
  words[at] = sequence;
  words[at + 1] = sequence < TWO_32 ? 0 : sequence / TWO_32;
  words[at + 2] = offset;
  words[at + 3] = offset < TWO_32 ? 0 : offset / TWO_32;
  words[at + 4] = stampLow;
  words[at + 5] = stampHigh;
  words[at + 6] = payloadSize;
  words[at + 7] = crc.ofSevenWords(words, at);
}

const RECORD_WORDS = new Int32Array(INDEX_RECORD_WORDS);
const RECORD_BYTES = new Uint8Array(RECORD_WORDS.buffer);

/** Writes one index record at `bytes[at]`, which need not be at a multiple of four. */
export function writeIndexRecord(
  bytes: Uint8Array,
  at: number,
  sequence: number,
  offset: number,
  stampHigh: number,
  stampLow: number,
  payloadSize: number,
  crc: Crc32,
): void {
  writeIndexWords(RECORD_WORDS, 0, sequence, offset, stampHigh, stampLow, payloadSize, crc);
  bytes.set(RECORD_BYTES, at);
}

/** One index record, read into the same object again and again. */
export class IndexRecord {
  /** -1: no safe integer. */
  sequence = 0;
  /** Of the record header in the data file; -1: no safe integer. */
  offset = 0;
  stampHigh = 0;
  stampLow = 0;
  payloadSize = 0;

  /** Where the record ends in the data file. */
  get dataEnd(): number {
    return this.offset + RECORD_HEADER_BYTES + this.payloadSize;
  }

  read(bytes: Uint8Array, at: number): void {
    this.sequence = readSafeU64(bytes, at);
    this.offset = readSafeU64(bytes, at + 8);
    this.stampLow = readU32(bytes, at + 16);
    this.stampHigh = readU32(bytes, at + 20);
    this.payloadSize = readU32(bytes, at + 24);
  }
}

/** True when the checksum of the index record at `at` is right. */
export function isIndexRecordIntact(bytes: Uint8Array, at: number, crc: Crc32): boolean {
  return readU32(bytes, at + 28) === crc.of(bytes, at, at + 28);
}

/** True when `bytes[start, end)` is all zeros. */
export function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] !== 0) return false;
  return true;
}

/** A checksum as the reference prints it. */
export function checksumText(checksum: number): string {
  return `0x${checksum.toString(16).padStart(8, "0")}`;
}

/** Names of the files of slice `number` in its channel's directory. */
export function sliceNames(number: number): { readonly data: string; readonly index: string } {
  return { data: `msgs.${number}.dat`, index: `msgs.${number}.idx` };
}

/** The number of a slice's data file; undefined for other names; throws nothing. NaN: looks like one but is misnamed. */
export function sliceNumber(name: string): number | undefined {
  if (!name.startsWith("msgs.") || !name.endsWith(".dat")) return undefined;
  const digits = name.slice("msgs.".length, -".dat".length);
  return /^[1-9]\d{0,14}$/.test(digits) ? Number(digits) : NaN;
}
