/** The text form of public keys (nats-server.md 6.3), as far as a configuration file needs it: is this one at all? */

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/** One prefix byte, the key, two bytes of checksum. */
const KEY_LENGTH = 35;
const TEXT_LENGTH = 56;

/** First byte of a public key by whom it is for. */
const PREFIX_BYTES = Object.freeze({ user: 0xa0, account: 0x00 });

function decodeBase32(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(KEY_LENGTH);
  let bits = 0;
  let bitCount = 0;
  let length = 0;
  for (const char of text) {
    const digit = ALPHABET.indexOf(char);
    if (digit < 0) return undefined;
    bits = ((bits << 5) | digit) & 0xfff;
    bitCount += 5;
    if (bitCount < 8) continue;
    bitCount -= 8;
    bytes[length++] = bits >> bitCount;
  }
  return bytes;
}

/** CRC-16/XMODEM. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : crc << 1;
  }
  return crc;
}

/** True for a well-formed public key of that kind. */
export function isPublicKey(text: string, kind: keyof typeof PREFIX_BYTES): boolean {
  if (text.length !== TEXT_LENGTH) return false;
  const bytes = decodeBase32(text);
  if (bytes === undefined || bytes[0] !== PREFIX_BYTES[kind]) return false;
  const checksum = (bytes[KEY_LENGTH - 2] ?? 0) | ((bytes[KEY_LENGTH - 1] ?? 0) << 8);
  return crc16(bytes.subarray(0, KEY_LENGTH - 2)) === checksum;
}
