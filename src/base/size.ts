/**
 * Sizes in bytes as operators write them (operations.md 1.1, 2.2 rule 7) and as the banner shows them (3.3).
 */

/** Outcome of {@link parseSize}. `error` completes a sentence that names the option. */
export type SizeParse = { readonly ok: true; readonly bytes: number } | { readonly ok: false; readonly error: string };

/** The greatest double that still is a signed 64-bit integer. */
const INT64_MAX_AS_NUMBER = 9_223_372_036_854_774_784;
const INT64_MIN = -(1n << 63n);
const INT64_MAX = (1n << 63n) - 1n;

/**
 * A 64-bit integer as a number. Above 2^53 it is the nearest double, and never one above 2^63 - 1: limits of that
 * height mean "no limit", and monitoring clients decode what we print into 64 signed bits.
 */
export function int64ToNumber(value: bigint): number {
  return Math.min(Number(value), INT64_MAX_AS_NUMBER);
}

/** True when the value fits into 64 signed bits. */
export function isInt64(value: bigint): boolean {
  return value >= INT64_MIN && value <= INT64_MAX;
}

const UNIT_LETTERS = "kmgtpe";

/**
 * Reads `1024`, `10k` (10 000), `10KB` = `10Ki` = `10kib` (10 240), up to `e`. Letters in any case. Refuses blanks,
 * fractions and a plus sign, as the config language does. The result may be negative: limits are checked elsewhere.
 */
export function parseSize(text: string): SizeParse {
  const match = /^(-?)([0-9]+)(?:([kmgtpe])(b|ib|i)?)?$/i.exec(text);
  if (match === null) return { ok: false, error: "not a whole number with an optional unit such as KB, MB or GB" };
  const digits = (match[2] ?? "").replace(/^0+(?=.)/, "");
  // 2^63 has 19 digits; refusing here keeps the conversion small whatever the input.
  if (digits.length > 19) return { ok: false, error: "out of the range of 64 bits" };
  const power = match[3] === undefined ? 0 : UNIT_LETTERS.indexOf(match[3].toLowerCase()) + 1;
  const base = match[4] === undefined ? 1000n : 1024n;
  const value = BigInt(digits) * base ** BigInt(power) * (match[1] === "-" ? -1n : 1n);
  if (!isInt64(value)) return { ok: false, error: "out of the range of 64 bits" };
  return { ok: true, bytes: int64ToNumber(value) };
}

/** Two decimals, ties to the even digit as Go prints them (`toFixed` takes the greater one: 1152 B is `1.12 KB`). */
function twoDecimals(value: number): string {
  // A binary fraction lies exactly between two hundredths only when it is an odd number of eighths.
  if (Math.abs((value * 8) % 2) !== 1) return value.toFixed(2);
  const below = Math.floor(value * 100);
  return ((below % 2 === 0 ? below : below + 1) / 100).toFixed(2);
}

/** `512 B`, `1.00 KB`, `976.56 MB`, ... in powers of 1024. */
export function formatSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  let value = bytes;
  let power = 0;
  while (value >= 1024 && power < UNIT_LETTERS.length) {
    value /= 1024;
    power++;
  }
  return `${twoDecimals(value)} ${UNIT_LETTERS.charAt(power - 1).toUpperCase()}B`;
}
