/** Server ids have the form of a public server key: 56 characters of base32 that start with `N` (nats-server.md 3.3, 6.3). */
import type { FillRandom } from "../base/nuid.ts";

/** Base32 of RFC 4648, as all keys of NATS are written in. */
export const BASE32_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SERVER_PREFIX = 0x68;

export function createServerId(fill: FillRandom): string {
  const bytes = new Uint8Array(35);
  fill(bytes.subarray(1, 33));
  bytes[0] = SERVER_PREFIX;
  const crc = crc16(bytes, 33);
  bytes[33] = crc & 255;
  bytes[34] = crc >>> 8;
  let text = "";
  let bits = 0;
  let count = 0;
  for (const byte of bytes) {
    bits = (bits << 8) | byte;
    count += 8;
    while (count >= 5) {
      count -= 5;
      text += BASE32_ALPHABET[(bits >>> count) & 31]!;
    }
    bits &= (1 << count) - 1;
  }
  return text;
}

/** CRC-16/XMODEM of the first `length` bytes. */
export function crc16(bytes: Uint8Array, length: number): number {
  let crc = 0;
  for (let i = 0; i < length; i++) {
    crc ^= bytes[i]! << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc & 0x8000) !== 0 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
}
