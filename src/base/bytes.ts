/**
 * Small work on byte ranges. Names and subjects are bytes on the wire and are not checked for UTF-8 by the protocol, so
 * inside the program they are *byte strings*: one UTF-16 unit per byte. They compare exactly, work as map keys, and turn
 * into real text only for people (`displayText`).
 */

/** True when `a` as a whole equals `bytes[start, end)`. */
export function equalsRange(a: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (a.length !== length) return false;
  // A loop of its own, without a return in it: for a client looked up by connection ID 15 ns instead of 22 on Deno; by way of
  // `equalRanges` a lookup in a BytesMap takes 23 ns instead of 16 on Bun (2026-11).
  let i = 0;
  while (i < length && a[i] === bytes[start + i]) i++;
  return i === length;
}

/** True when `a[aStart, aEnd)` equals `b[bStart, bEnd)`; `a` and `b` may be the same. */
export function equalRanges(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): boolean {
  const length = aEnd - aStart;
  if (bEnd - bStart !== length) return false;
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}

/** The same of views, eight bytes at a time: a third of the time from two dozen bytes on (tests/bench/compare.ts). */
export function equalViews(
  a: DataView,
  aStart: number,
  aEnd: number,
  b: DataView,
  bStart: number,
  bEnd: number,
): boolean {
  const length = aEnd - aStart;
  if (bEnd - bStart !== length) return false;
  if (length < 8) {
    for (let i = 0; i < length; i++) if (a.getUint8(aStart + i) !== b.getUint8(bStart + i)) return false;
    return true;
  }
  // The end first: names of one kind differ there. Little-endian, as the machine is: any order would do, and turning costs.
  const last = length - 8;
  let number = a.getFloat64(aStart + last, true);
  if (number !== b.getFloat64(bStart + last, true) || number === 0) return equalWords(a, aStart, b, bStart, length);
  for (let i = 0; i < last; i += 8) {
    number = a.getFloat64(aStart + i, true);
    if (number !== b.getFloat64(bStart + i, true) || number === 0) return equalWords(a, aStart, b, bStart, length);
  }
  return true;
}

/** The same of eight bytes or more where numbers do not tell: zeros of two signs are equal, what is none equals nothing. */
function equalWords(a: DataView, aStart: number, b: DataView, bStart: number, length: number): boolean {
  const last = length - 4;
  if (a.getInt32(aStart + last) !== b.getInt32(bStart + last)) return false;
  for (let i = 0; i < last; i += 4) if (a.getInt32(aStart + i) !== b.getInt32(bStart + i)) return false;
  return true;
}

/** Arguments one call takes without risking the engine's stack. */
const APPLY_COUNT_MAX = 8192;

/** Makes the byte string of `bytes[start, end)`. */
export type RangeText = (bytes: Uint8Array, start: number, end: number) => string;

/** What every engine has. */
export const rangeTextByUnits: RangeText = (bytes, start, end) => {
  // One flat string: adding up units makes a rope that costs hundreds of bytes per character until somebody flattens it.
  if (end - start <= APPLY_COUNT_MAX) return flatString(bytes, start, end);
  const parts: string[] = [];
  for (let at = start; at < end; at += APPLY_COUNT_MAX) {
    parts.push(flatString(bytes, at, Math.min(end, at + APPLY_COUNT_MAX)));
  }
  return parts.join("");
};

let rangeText: RangeText = rangeTextByUnits;

/** Set once by the platform adapter, before any traffic. */
export function installRangeText(make: RangeText): void {
  rangeText = make;
}

/** Byte string of `bytes[start, end)`. */
export function byteString(bytes: Uint8Array, start = 0, end = bytes.length): string {
  return start === end ? "" : rangeText(bytes, start, end);
}

function flatString(bytes: Uint8Array, start: number, end: number): string {
  // The signature asks for an array; every engine takes a typed one.
  return String.fromCharCode.apply(null, bytes.subarray(start, end) as unknown as number[]);
}

const utf8 = new TextDecoder();
const utf8Encoder = new TextEncoder();
/** Longer texts are handed to the engine. */
const ENCODED_MIN = 32;

/** Bytes of a byte string; units above 255 are a defect of the caller and lose their high byte. */
export function bytesOf(text: string): Uint8Array {
  if (text.length > ENCODED_MIN) {
    const encoded = utf8Encoder.encode(text);
    // As long as the text: it is ASCII.
    if (encoded.length === text.length) return encoded;
  }
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A byte string as people read it: UTF-8, with replacement characters where it is none. */
export function displayText(text: string): string {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 126) return utf8.decode(bytesOf(text));
  return text;
}

/** The byte string of a text given by a person (a command line, a configuration file). */
export function byteStringOfText(text: string): string {
  return byteString(utf8Encoder.encode(text));
}

/** Writes `value` (an unsigned integer below 2^53) in decimal at `position`; returns the position behind it. */
export function writeDecimal(out: Uint8Array, position: number, value: number): number {
  if (value < 10) {
    out[position] = 48 + value;
    return position + 1;
  }
  if (value < 100) {
    const tens = (value / 10) | 0;
    out[position] = 48 + tens;
    out[position + 1] = 48 + (value - tens * 10);
    return position + 2;
  }
  if (value < 1000) {
    const hundreds = (value / 100) | 0;
    const rest = value - hundreds * 100;
    const tens = (rest / 10) | 0;
    out[position] = 48 + hundreds;
    out[position + 1] = 48 + tens;
    out[position + 2] = 48 + (rest - tens * 10);
    return position + 3;
  }
  let digits = 4;
  let limit = 10_000;
  while (value >= limit) {
    digits++;
    limit *= 10;
  }
  for (let i = position + digits - 1; i >= position; i--) {
    const rest = value <= 0x7fff_ffff ? (value / 10) | 0 : Math.floor(value / 10);
    out[i] = 48 + (value - rest * 10);
    value = rest;
  }
  return position + digits;
}

/** Copies `source[start, end)` to `target[position...]`. */
export type BulkCopy = (
  target: Uint8Array,
  position: number,
  source: Uint8Array,
  start: number,
  end: number,
) => void;

const copyBySet: BulkCopy = (target, position, source, start, end) => {
  target.set(source.subarray(start, end), position);
};

/** Runs up to this length are copied by a loop: a call into the engine costs more than it saves. */
let loopLengthMax = 96;
let bulkCopy: BulkCopy = copyBySet;

/**
 * Set once by the platform adapter, before any traffic: the fastest copy is not the same on both engines. `set(subarray)` wins
 * on Deno; on Bun `Buffer.copy` takes a third of its time at 128 B and, making no view, leaves nothing to collect
 * (tests/bench/copy.ts, 2026-11).
 */
export function installBulkCopy(copy: BulkCopy, loopMax: number): void {
  bulkCopy = copy;
  loopLengthMax = loopMax;
}

/** Copies `source[start, end)` to `target[position...]`; returns the position behind it. */
export function copyRange(
  target: Uint8Array,
  position: number,
  source: Uint8Array,
  start: number,
  end: number,
): number {
  const length = end - start;
  if (length > loopLengthMax) {
    bulkCopy(target, position, source, start, end);
    return position + length;
  }
  // Eight at a time: half the time of a plain loop at 48 B, on both engines (tests/bench/copy.ts, 2026-11).
  let from = start;
  let to = position;
  for (const last = end - 8; from <= last; from += 8, to += 8) {
    target[to] = source[from]!;
    target[to + 1] = source[from + 1]!;
    target[to + 2] = source[from + 2]!;
    target[to + 3] = source[from + 3]!;
    target[to + 4] = source[from + 4]!;
    target[to + 5] = source[from + 5]!;
    target[to + 6] = source[from + 6]!;
    target[to + 7] = source[from + 7]!;
  }
  while (from < end) target[to++] = source[from++]!;
  return to;
}
