/**
 * Base-128 varints as protobuf writes them: seven bits per byte, lowest first, at most ten bytes. Values are numbers or
 * pairs of unsigned 32-bit halves, never bigint (runtime.md 3: a bigint shift loop is 20 times slower).
 *
 * Reading is two steps without state: `varintEnd` finds the end, and `varintNumber`, `varintLow`, `varintHigh` take what
 * is wanted from the range. So nothing is allocated to return a value and a position together.
 */

/** Longest varint that counts as one. */
export const VARINT_SIZE_MAX = 10;

/** Position behind the varint at `position`; -1 when it runs past `end` or is longer than ten bytes. */
export function varintEnd(buffer: Uint8Array, position: number, end: number): number {
  const limit = end - position > VARINT_SIZE_MAX ? position + VARINT_SIZE_MAX : end;
  for (let i = position; i < limit; i++) if (buffer[i]! < 0x80) return i + 1;
  return -1;
}

/**
 * Value of the varint `buffer[start, end)` as an unsigned number: exact up to 2^53, rounded above, so that a value that is
 * not a safe integer never comes out as one. Bits above the 64th are dropped, as in the reference.
 */
export function varintNumber(buffer: Uint8Array, start: number, end: number): number {
  const size = end - start;
  if (size <= 4) {
    let small = 0;
    for (let i = size - 1; i >= 0; i--) small = (small << 7) | (buffer[start + i]! & 0x7f);
    return small;
  }
  return varintHigh(buffer, start, end) * 0x1_0000_0000 + varintLow(buffer, start, end);
}

/** Bits 0 to 31 of the varint `buffer[start, end)`, unsigned. */
export function varintLow(buffer: Uint8Array, start: number, end: number): number {
  const size = end - start;
  let low = 0;
  for (let i = 0, shift = 0; i < size && shift < 32; i++, shift += 7) low |= (buffer[start + i]! & 0x7f) << shift;
  return low >>> 0;
}

/** Bits 32 to 63 of the varint `buffer[start, end)`, unsigned. */
export function varintHigh(buffer: Uint8Array, start: number, end: number): number {
  const size = end - start;
  if (size < 5) return 0;
  // The fifth byte carries bits 28 to 34: its upper three belong here.
  let high = (buffer[start + 4]! & 0x7f) >>> 4;
  for (let i = 5, shift = 3; i < size && shift < 32; i++, shift += 7) high |= (buffer[start + i]! & 0x7f) << shift;
  return high >>> 0;
}

/** Bytes that `value`, a safe unsigned integer, takes. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  if (value < 0x8_0000_0000) return 5;
  if (value < 0x400_0000_0000) return 6;
  if (value < 0x2_0000_0000_0000) return 7;
  return 8;
}

/** Bytes that the 64-bit value of two unsigned halves takes. */
export function varintSize64(high: number, low: number): number {
  if (high === 0) return varintSize(low);
  if (high < 0x8) return 5;
  if (high < 0x400) return 6;
  if (high < 0x2_0000) return 7;
  if (high < 0x100_0000) return 8;
  if (high < 0x8000_0000) return 9;
  return 10;
}

/** Writes `value`, a safe unsigned integer, at `position`; returns the position behind it. */
export function writeVarint(out: Uint8Array, position: number, value: number): number {
  while (value > 0x7fff_ffff) {
    const rest = Math.floor(value / 128);
    out[position++] = (value - rest * 128) | 0x80;
    value = rest;
  }
  while (value > 0x7f) {
    out[position++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  out[position] = value;
  return position + 1;
}

/** Writes the 64-bit value of two unsigned halves at `position`; returns the position behind it. */
export function writeVarint64(out: Uint8Array, position: number, high: number, low: number): number {
  // Signed 32-bit work throughout: an unsigned half above 2^31 would be a double in both engines.
  let upper = high | 0;
  let lower = low | 0;
  while (upper !== 0) {
    out[position++] = (lower & 0x7f) | 0x80;
    lower = (lower >>> 7) | (upper << 25);
    upper >>>= 7;
  }
  while ((lower & ~0x7f) !== 0) {
    out[position++] = (lower & 0x7f) | 0x80;
    lower >>>= 7;
  }
  out[position] = lower;
  return position + 1;
}
