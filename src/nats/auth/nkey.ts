/**
 * Public user keys and signatures (nats-server.md 6.3). A key is base32 of
 * `| prefix 0xA0 | Ed25519 public key, 32 bytes | CRC-16/XMODEM of these 33 bytes, LE |`: 56 characters that begin with `U`.
 */
import { Buffer } from "node:buffer";
import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { BASE32_ALPHABET, crc16 } from "../server_id.ts";

const KEY_LENGTH = 56;
const DECODED_BYTES = 35;
const PREFIX_USER = 0xa0;
const SIGNATURE_BYTES = 64;
/** Longest text that can be a signature: standard base64 with its padding. */
const SIGNATURE_TEXT_MAX = 88;
/** SubjectPublicKeyInfo of an Ed25519 key, up to the key itself (RFC 8410). */
const SPKI_HEAD = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/** The Ed25519 public key in a public user key; undefined when it is none. */
export function decodeUserKey(text: string): Uint8Array | undefined {
  if (text.length !== KEY_LENGTH) return undefined;
  const bytes = new Uint8Array(DECODED_BYTES);
  let bits = 0;
  let count = 0;
  let length = 0;
  for (const character of text) {
    const value = BASE32_ALPHABET.indexOf(character);
    if (value < 0) return undefined;
    bits = (bits << 5) | value;
    count += 5;
    if (count >= 8) {
      count -= 8;
      bytes[length++] = bits >>> count;
      bits &= (1 << count) - 1;
    }
  }
  if (bytes[0] !== PREFIX_USER) return undefined;
  if ((bytes[33]! | (bytes[34]! << 8)) !== crc16(bytes, 33)) return undefined; // DECODED_BYTES of them are there.
  return bytes.subarray(1, 33);
}

/** What `verifyNonce` needs of a key, made once. */
export type VerifyKey = KeyObject;

/** Undefined when the text is no public user key. */
export function importUserKey(text: string): VerifyKey | undefined {
  const key = decodeUserKey(text);
  if (key === undefined) return undefined;
  const spki = new Uint8Array(SPKI_HEAD.length + key.length);
  spki.set(SPKI_HEAD);
  spki.set(key, SPKI_HEAD.length);
  // The platform's Ed25519: the same on both runtimes and in the executable.
  return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
}

/** Is `signature` (base64url without padding, or standard base64) the key owner's over the bytes of `nonce`? */
export function verifyNonce(key: VerifyKey, nonce: string, signature: string): boolean {
  const bytes = decodeSignature(signature);
  return bytes !== undefined && verify(null, new TextEncoder().encode(nonce), key, bytes);
}

function decodeSignature(text: string): Uint8Array | undefined {
  if (text.length > SIGNATURE_TEXT_MAX || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return undefined;
  const standard = text.replaceAll("-", "+").replaceAll("_", "/").replace(/=+$/, "");
  if (standard.length % 4 === 1) return undefined;
  const bytes = Uint8Array.from(atob(standard), (character) => character.charCodeAt(0));
  return bytes.length === SIGNATURE_BYTES ? bytes : undefined;
}
