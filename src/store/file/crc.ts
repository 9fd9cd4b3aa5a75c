/**
 * CRC-32 as the FILE store writes it (stores.md 4.3): reflected, with any polynomial. Short records go through tables here,
 * longer ones of the usual polynomial through zlib, which is vectorised but costs a view and a native call.
 */
import { crc32 } from "node:zlib";

/** IEEE 802.3, reversed: the default of `file_crc_poly`. */
export const CRC_POLYNOMIAL_IEEE = 0xedb88320;

/** Of a record that ends in the checksum of what is before it: an index record. */
const CHECKED_RECORD_BYTES = 32;
/** Records checked at once: with as many right ones, which are kept, they are compared. */
const CHECKED_RECORDS_MAX = 2048;

/** zlib wins above this: a call and its view cost as much as that many bytes in the tables (tests/bench/crc.ts, 2026-11). */
const TABLE_BYTES_MAX = 160;

/** Computes checksums with one polynomial. */
export class Crc32 {
  readonly polynomial: number;
  /** Sixteen tables of 256 entries: slicing by 16. Signed, so that every intermediate value is a small integer. */
  readonly #tables = new Int32Array(16 * 256);
  /** By the binary logarithm of a number of zeros: see `#behindZeros`. */
  readonly #zeros: Int32Array[] = [];
  /** Records that end in their own checksum, and the checksum of `#rightCount` of them. */
  #right = new Uint8Array(0);
  #rightCount = 0;
  #rightSum = 0;

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

  /**
   * True when each of `count` records of 32 bytes from `bytes[start]` on ends in the checksum of the 28 bytes before it. After
   * such a record the register is what it was moved on by, whatever the record says; so all rows of as many right ones have one
   * checksum, and zlib takes it in a tenth of the time of a look at each. False says nothing: a record may be wrong, or the
   * polynomial is not the usual one. A single wrong one is always noticed, several with the same odds as by a checksum over all.
   */
  areRecordsRight(bytes: Uint8Array, start: number, count: number): boolean {
    if (this.polynomial !== CRC_POLYNOMIAL_IEEE) return false;
    for (let done = 0; done < count; done += CHECKED_RECORDS_MAX) {
      const from = start + done * CHECKED_RECORD_BYTES;
      const portion = Math.min(count - done, CHECKED_RECORDS_MAX);
      const sum = crc32(bytes.subarray(from, from + portion * CHECKED_RECORD_BYTES));
      if (sum !== this.#sumOfRight(portion)) return false;
    }
    return true;
  }

  /**
   * True when `bytes[start, end)` is nothing but whole records of the data files (their size, the checksum of what follows, so many
   * bytes) and each checksum is right, which is then cheaper to say of all than of each: from a stored checksum follows
   * what the record makes of the register, and zlib says what it did. False says nothing: a record may be wrong, or the
   * polynomial is not the usual one. A single wrong one is always noticed.
   */
  areMessagesRight(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.polynomial !== CRC_POLYNOMIAL_IEEE) return false;
    const tables = this.#tables;
    let register = -1;
    let at = start;
    while (at + 8 <= end) {
      const a = bytes[at]!;
      const b = bytes[at + 1]!;
      const c = bytes[at + 2]!;
      const d = bytes[at + 3]!;
      const e = bytes[at + 4]!;
      const f = bytes[at + 5]!;
      const g = bytes[at + 6]!;
      const h = bytes[at + 7]!;
      register = tables[1792 + ((register ^ a) & 0xff)]! ^ tables[1536 + (((register >>> 8) ^ b) & 0xff)]! ^
        tables[1280 + (((register >>> 16) ^ c) & 0xff)]! ^ tables[1024 + ((register >>> 24) ^ d)]! ^
        tables[768 + e]! ^ tables[512 + f]! ^ tables[256 + g]! ^ tables[h]!;
      const size = a | (b << 8) | (c << 16) | (d << 24);
      if (size < 0 || size > end - at - 8) return false;
      register = this.#behindZeros(~register, size) ^ ~(e | (f << 8) | (g << 16) | (h << 24));
      at += 8 + size;
    }
    return at === end && (~register >>> 0) === crc32(bytes.subarray(start, end));
  }

  /** What the register is after `count` zeros. */
  #behindZeros(register: number, count: number): number {
    const powers = this.#zeros;
    let value = register;
    for (let power = 0, left = count; left > 0; power++, left >>>= 1) {
      if ((left & 1) === 0) continue;
      const table = powers[power] ?? this.#makeZeros(power);
      value = table[value & 0xff]! ^ table[256 + ((value >>> 8) & 0xff)]! ^ table[512 + ((value >>> 16) & 0xff)]! ^
        table[768 + (value >>> 24)]!;
    }
    return value;
  }

  /** For 2^power zeros: what becomes of each byte of the register. */
  #makeZeros(power: number): Int32Array {
    const table = new Int32Array(4 * 256);
    const half = power === 0 ? 0 : 1 << (power - 1);
    for (let i = 0; i < table.length; i++) {
      const before = (i & 0xff) << ((i >>> 8) * 8);
      table[i] = power === 0
        ? (before >>> 8) ^ this.#tables[before & 0xff]!
        : this.#behindZeros(this.#behindZeros(before, half), half);
    }
    return this.#zeros[power] = table;
  }

  #sumOfRight(count: number): number {
    if (count === this.#rightCount) return this.#rightSum;
    const length = count * CHECKED_RECORD_BYTES;
    if (this.#right.length < length) {
      const right = this.#right = new Uint8Array(length);
      const sum = this.of(right, 0, CHECKED_RECORD_BYTES - 4);
      const words = new DataView(right.buffer);
      for (let end = CHECKED_RECORD_BYTES - 4; end < length; end += CHECKED_RECORD_BYTES) {
        words.setUint32(end, sum, true);
      }
    }
    this.#rightCount = count;
    return this.#rightSum = crc32(this.#right.subarray(0, length));
  }
}
