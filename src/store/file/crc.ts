/**
 * CRC-32 as the FILE store writes it (stores.md 4.3): reflected, with any polynomial. Short records go through tables here,
 * longer ones of the usual polynomial through zlib, which is vectorised but costs a view and a native call.
 */
import { crc32 } from "node:zlib";

/** IEEE 802.3, reversed: the default of `file_crc_poly`. */
export const CRC_POLYNOMIAL_IEEE = 0xedb88320;

/** zlib wins above this: a call and its view cost as much as that many bytes in the tables (tests/bench/crc.ts, 2026-11). */
const TABLE_BYTES_MAX = 160;

/** Computes checksums with one polynomial. */
export class Crc32 {
  readonly polynomial: number;
  /** Sixteen tables of 256 entries: slicing by 16. Signed, so that every intermediate value is a small integer. */
  readonly #tables = new Int32Array(16 * 256);

  /** `polynomial` is in the reversed form, 1 to 2^32 - 1. */
  constructor(polynomial: number = CRC_POLYNOMIAL_IEEE) {
    this.polynomial = polynomial >>> 0;
    const tables = this.#tables;
    for (let i = 0; i < 256; i++) {
      let value = i;
      for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? (value >>> 1) ^ this.polynomial : value >>> 1;
      tables[i] = value;
    }
    for (let i = 256; i < tables.length; i++) {
      const before = tables[i - 256]!;
      tables[i] = (before >>> 8) ^ tables[before & 0xff]!;
    }
  }

  /** Checksum of `bytes[start, end)`. */
  of(bytes: Uint8Array, start: number, end: number): number {
    if (end - start > TABLE_BYTES_MAX && this.polynomial === CRC_POLYNOMIAL_IEEE) {
      return crc32(bytes.subarray(start, end));
    }
    const tables = this.#tables;
    let crc = -1;
    let at = start;
    for (; at + 16 <= end; at += 16) {
      crc = tables[3840 + ((crc ^ bytes[at]!) & 0xff)]! ^
        tables[3584 + (((crc >>> 8) ^ bytes[at + 1]!) & 0xff)]! ^
        tables[3328 + (((crc >>> 16) ^ bytes[at + 2]!) & 0xff)]! ^
        tables[3072 + ((crc >>> 24) ^ bytes[at + 3]!)]! ^
        tables[2816 + bytes[at + 4]!]! ^
        tables[2560 + bytes[at + 5]!]! ^
        tables[2304 + bytes[at + 6]!]! ^
        tables[2048 + bytes[at + 7]!]! ^
        tables[1792 + bytes[at + 8]!]! ^
        tables[1536 + bytes[at + 9]!]! ^
        tables[1280 + bytes[at + 10]!]! ^
        tables[1024 + bytes[at + 11]!]! ^
        tables[768 + bytes[at + 12]!]! ^
        tables[512 + bytes[at + 13]!]! ^
        tables[256 + bytes[at + 14]!]! ^
        tables[bytes[at + 15]!]!;
    }
    for (; at + 4 <= end; at += 4) {
      crc = tables[768 + ((crc ^ bytes[at]!) & 0xff)]! ^
        tables[512 + (((crc >>> 8) ^ bytes[at + 1]!) & 0xff)]! ^
        tables[256 + (((crc >>> 16) ^ bytes[at + 2]!) & 0xff)]! ^
        tables[(crc >>> 24) ^ bytes[at + 3]!]!;
    }
    for (; at < end; at++) crc = (crc >>> 8) ^ tables[(crc ^ bytes[at]!) & 0xff]!;
    return ~crc >>> 0;
  }

  /**
   * Checksum of the 28 bytes that begin at `words[at]`, on a little-endian machine: an index record in front of its checksum.
   * Four times as fast as reading bytes, and recovery does it once per stored message.
   */
  ofSevenWords(words: Int32Array, at: number): number {
    const tables = this.#tables;
    const a = ~words[at]!;
    const b = words[at + 1]!;
    const c = words[at + 2]!;
    const d = words[at + 3]!;
    const e = words[at + 4]! ^ tables[3840 + (a & 0xff)]! ^ tables[3584 + ((a >>> 8) & 0xff)]! ^
      tables[3328 + ((a >>> 16) & 0xff)]! ^ tables[3072 + (a >>> 24)]! ^
      tables[2816 + (b & 0xff)]! ^ tables[2560 + ((b >>> 8) & 0xff)]! ^
      tables[2304 + ((b >>> 16) & 0xff)]! ^ tables[2048 + (b >>> 24)]! ^
      tables[1792 + (c & 0xff)]! ^ tables[1536 + ((c >>> 8) & 0xff)]! ^
      tables[1280 + ((c >>> 16) & 0xff)]! ^ tables[1024 + (c >>> 24)]! ^
      tables[768 + (d & 0xff)]! ^ tables[512 + ((d >>> 8) & 0xff)]! ^
      tables[256 + ((d >>> 16) & 0xff)]! ^ tables[d >>> 24]!;
    const f = words[at + 5]!;
    const g = words[at + 6]!;
    const crc = tables[2816 + (e & 0xff)]! ^ tables[2560 + ((e >>> 8) & 0xff)]! ^
      tables[2304 + ((e >>> 16) & 0xff)]! ^ tables[2048 + (e >>> 24)]! ^
      tables[1792 + (f & 0xff)]! ^ tables[1536 + ((f >>> 8) & 0xff)]! ^
      tables[1280 + ((f >>> 16) & 0xff)]! ^ tables[1024 + (f >>> 24)]! ^
      tables[768 + (g & 0xff)]! ^ tables[512 + ((g >>> 8) & 0xff)]! ^
      tables[256 + ((g >>> 16) & 0xff)]! ^ tables[g >>> 24]!;
    return ~crc >>> 0;
  }
}
