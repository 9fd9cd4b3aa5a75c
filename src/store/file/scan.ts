/**
 * Reading files of records from the front, whatever state they are in: a torn tail, zeros that a crashed file system left,
 * or damage with good records behind it. Decides nothing and changes nothing; whoever asked acts on the outcome.
 */
import type { Crc32 } from "./crc.ts";
import { checksumText, isZero, readU32, RECORD_HEADER_BYTES, VERSION_BYTES } from "./format.ts";

/** Bytes of a file by position: fewer than asked only at its end. */
export interface ByteSource {
  readonly size: number;
  read(into: Uint8Array, start: number, end: number, position: number): number;
}

const WINDOW_BYTES = 1024 * 1024;

/** A moving window over a source, so that a file of any size needs little memory. */
export class Window {
  readonly #source: ByteSource;
  bytes = new Uint8Array(0);
  /** Position of `bytes[0]` in the file. */
  position = 0;
  #length = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  get size(): number {
    return this.#source.size;
  }

  /** Makes `[position, position + count)` available; returns its place in `bytes`, -1 when the file ends before. */
  at(position: number, count: number): number {
    if (position + count > this.#source.size) return -1;
    if (position < this.position || position + count > this.position + this.#length) {
      const length = Math.min(Math.max(WINDOW_BYTES, count), this.#source.size - position);
      if (this.bytes.length < length) this.bytes = new Uint8Array(length);
      this.position = position;
      this.#length = this.#source.read(this.bytes, 0, length, position);
      if (this.#length < count) return -1;
    }
    return position - this.position;
  }
}

/** What a file of records expects of one. */
export interface RecordRules {
  /** Typed files: the type is in the high byte of the first word. */
  readonly typed: boolean;
  readonly checkCrc: boolean;
  /** True: this is a record that can stand at `position`. Called with the type and the range of the payload. */
  accept(type: number, bytes: Uint8Array, start: number, end: number, position: number): boolean;
  /**
   * Asked after `accept`, while searching behind damage only: a payload may hold the copy of a record of another place.
   */
  isOurs?(bytes: Uint8Array): boolean;
  /** Could a record of this type begin with this payload byte? A quick no while searching behind damage. */
  mayBegin(type: number, firstByte: number): boolean;
}

/** Bytes that no record accounts for. */
export interface BadRange {
  readonly start: number;
  readonly end: number;
  readonly why: string;
  /** `repeated`: a message that does not count (`repeats.ts`); a scan knows of none. */
  readonly kind: "torn" | "zeros" | "damage" | "repeated";
}

export interface ScanResult {
  /** Where the last good record ends. */
  readonly end: number;
  /** Ranges between or behind good records, ascending. Only the last one can be `torn` or `zeros`. */
  readonly bad: readonly BadRange[];
}

/** Told of each good record: its header's position, its type, and where its payload is. */
export type RecordFound = (position: number, type: number, bytes: Uint8Array, start: number, end: number) => void;

/** Scans `[from, size)`; a file that is damaged in the middle is followed by a search for the next good record. */
export function scanRecords(
  source: ByteSource,
  from: number,
  rules: RecordRules,
  crc: Crc32,
  found: RecordFound,
): ScanResult {
  const window = new Window(source);
  const bad: BadRange[] = [];
  let position = Math.max(from, VERSION_BYTES);
  let end = position;
  while (position < source.size) {
    const why = tryRecord(window, position, rules, crc, found);
    if (why === "") {
      position = recordEnd(window, position, rules);
      end = position;
      continue;
    }
    if (isZeroFrom(window, position)) {
      bad.push({ start: position, end: source.size, why: "zeros", kind: "zeros" });
      break;
    }
    const next = findNext(window, position + 1, rules, crc);
    if (next < 0) {
      bad.push({ start: position, end: source.size, why, kind: "torn" });
      break;
    }
    bad.push({ start: position, end: next, why, kind: "damage" });
    position = next;
  }
  return { end, bad };
}

/**
 * Records from `from` on that are whole one behind the other when nobody looks at checksums. Where none of them has the right
 * one and there are several, the checksums are of another polynomial, and cutting would destroy a sound file.
 */
export function countUnchecked(source: ByteSource, from: number, rules: RecordRules, crc: Crc32): number {
  let count = 0;
  const window = new Window(source);
  const unchecked = { ...rules, checkCrc: false };
  let position = Math.max(from, VERSION_BYTES);
  while (position < source.size && tryRecord(window, position, unchecked, crc) === "") {
    position = recordEnd(window, position, rules);
    count++;
  }
  return count;
}

/** What is wrong with the record at `position`, or "" after it was handed out. */
function tryRecord(window: Window, position: number, rules: RecordRules, crc: Crc32, found?: RecordFound): string {
  const at = window.at(position, RECORD_HEADER_BYTES);
  if (at < 0) return `unexpected EOF: record header expected to be 8 bytes, only ${window.size - position} are there`;
  const word = readU32(window.bytes, at);
  const storedCrc = readU32(window.bytes, at + 4);
  if (word === 0 && (storedCrc === 0 || !rules.typed)) return "a record of no size";
  const type = rules.typed ? word >>> 24 : 0;
  const size = rules.typed ? word & 0xff_ffff : word;
  // Before the size is believed: a flipped bit can announce gigabytes (trap 38).
  const rest = window.size - position - RECORD_HEADER_BYTES;
  if (size > rest) return `unexpected EOF: record payload expected to be ${size} bytes, only ${rest} are there`;
  const start = window.at(position, RECORD_HEADER_BYTES + size) + RECORD_HEADER_BYTES;
  const { bytes } = window;
  if (rules.checkCrc) {
    const actual = crc.of(bytes, start, start + size);
    if (actual !== storedCrc) {
      return `corrupted data, expected crc to be ${checksumText(storedCrc)}, got ${checksumText(actual)}`;
    }
  }
  if (!rules.accept(type, bytes, start, start + size, position)) return "the record cannot be decoded";
  found?.(position, type, bytes, start, start + size);
  return "";
}

function recordEnd(window: Window, position: number, rules: RecordRules): number {
  const word = readU32(window.bytes, window.at(position, RECORD_HEADER_BYTES));
  return position + RECORD_HEADER_BYTES + (rules.typed ? word & 0xff_ffff : word);
}

/** True when everything from `position` on is zero; less than a record header of zeros is a partial record (trap 37). */
function isZeroFrom(window: Window, position: number): boolean {
  if (window.size - position < RECORD_HEADER_BYTES) return false;
  for (let at = position; at < window.size;) {
    const count = Math.min(WINDOW_BYTES, window.size - at);
    const start = window.at(at, count);
    if (start < 0 || !isZero(window.bytes, start, start + count)) return false;
    at += count;
  }
  return true;
}

/** Position of the next good record at or behind `position`; -1 = none. Its checksum is verified whatever the rules say. */
function findNext(window: Window, position: number, rules: RecordRules, crc: Crc32): number {
  const strict = { ...rules, checkCrc: true };
  for (let at = position; at + RECORD_HEADER_BYTES < window.size; at++) {
    const start = window.at(at, RECORD_HEADER_BYTES + 1);
    if (start < 0) return -1;
    const word = readU32(window.bytes, start);
    const size = rules.typed ? word & 0xff_ffff : word;
    if (size === 0 || size > window.size - at - RECORD_HEADER_BYTES) continue;
    if (!rules.mayBegin(rules.typed ? word >>> 24 : 0, window.bytes[start + RECORD_HEADER_BYTES]!)) continue;
    if (tryRecord(window, at, strict, crc) === "" && rules.isOurs?.(window.bytes) !== false) return at;
  }
  return -1;
}
