/**
 * The secret half of an NKey: base32 of `| prefix 0x90 and type, 2 bytes | Ed25519 seed, 32 bytes | CRC-16, LE |`, which
 * begins with `SU` for a user. The public half is what servers know (src/nats/auth/nkey.ts).
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SEED_LENGTH = 58;
const SEED_BYTES = 36;
const PREFIX_SEED = 0x90;
const PREFIX_USER = 0xa0;
/** PrivateKeyInfo of an Ed25519 key, up to the seed itself (RFC 8410). */
const PKCS8_HEAD = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const PUBLIC_KEY_BYTES = 32;

/** A key to sign with, and its public text. */
export interface NkeySeed {
  readonly publicKey: string;
  readonly key: KeyObject;
}

/** Reads the text of a file with a user's seed, with or without the frame lines that tools put around it. */
export function parseNkeySeed(text: string): NkeySeed | undefined {
  const line = text.split(/\r?\n/).map((part) => part.trim()).find((part) => part.startsWith("SU"));
  if (line === undefined || line.length !== SEED_LENGTH) return undefined;
  const bytes = decodeBase32(line);
  if (bytes === undefined || bytes.length !== SEED_BYTES) return undefined;
  const [first = 0, second = 0] = bytes;
  const isUser = (first & 0xf8) === PREFIX_SEED && (((first & 7) << 5) | (second >> 3)) === PREFIX_USER;
  const body = SEED_BYTES - 2;
  if (!isUser || crc16(bytes.subarray(0, body)) !== ((bytes[body] ?? 0) | ((bytes[body + 1] ?? 0) << 8))) {
    return undefined;
  }
  const der = Buffer.from([...PKCS8_HEAD, ...bytes.subarray(2, body)]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  const raw = Uint8Array.from([PREFIX_USER, ...spki.subarray(spki.length - PUBLIC_KEY_BYTES)]);
  const crc = crc16(raw);
  return { publicKey: encodeBase32(Uint8Array.from([...raw, crc & 0xff, crc >> 8])), key };
}

/** The signature of a server's nonce, as CONNECT carries it. */
export function signNonce({ key }: NkeySeed, nonce: string): string {
  return Buffer.from(sign(null, Buffer.from(nonce), key)).toString("base64url");
}

function decodeBase32(text: string): Uint8Array | undefined {
  const out: number[] = [];
  let bits = 0;
  let count = 0;
  for (const character of text) {
    const value = ALPHABET.indexOf(character);
    if (value < 0) return undefined;
    bits = ((bits << 5) | value) & 0xfff;
    count += 5;
    if (count < 8) continue;
    count -= 8;
    out.push((bits >> count) & 0xff);
  }
  return Uint8Array.from(out);
}

function encodeBase32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let count = 0;
  for (const byte of bytes) {
    bits = ((bits << 8) | byte) & 0xfff;
    count += 8;
    while (count >= 5) {
      count -= 5;
      text += ALPHABET.charAt((bits >> count) & 31);
    }
  }
  return count === 0 ? text : text + ALPHABET.charAt((bits << (5 - count)) & 31);
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
