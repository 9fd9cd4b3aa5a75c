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
    for (; at < end; at++) crc = (crc >>> 8) ^ tables[(crc ^ bytes[at]!) & 0xff]!;
    return ~crc >>> 0;
  }
}
