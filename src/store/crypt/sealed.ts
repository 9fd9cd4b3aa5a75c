/**
 * The form of an encrypted payload and the keys it is encrypted with (stores.md 8.2, 8.3): the reference's, byte for byte.
 *
 * payload : | cipher u8: 1 AES, 2 CHACHA | nonce, 12 bytes | ciphertext, as long as the plain payload | tag, 16 bytes |
 *
 * Nothing but the payload is encrypted, and an empty payload stays empty: it has no field in its record either way.
 */
import { createHash } from "node:crypto";
import { assert } from "../../base/assert.ts";

/** Names that `encryption_cipher` has for the two ciphers. */
export type CipherName = "AES" | "CHACHA";

/** First byte of an encrypted payload. Any other one means a payload that was stored in clear. */
export const CODE_AES = 1;
export const CODE_CHACHA = 2;

export const KEY_BYTES = 32;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
/** What stands before the ciphertext: the code and the nonce. */
export const SEAL_HEAD_BYTES = 1 + NONCE_BYTES;
/** What an encrypted payload is longer than the plain one. */
export const SEAL_BYTES = SEAL_HEAD_BYTES + TAG_BYTES;

const DOT = 0x2e;

/** The master key of a key as somebody typed it. The text is the caller's to forget; no copy of its bytes stays behind. */
export function masterKeyOf(key: string): Uint8Array {
  assert(key !== "", "nothing is encrypted with an empty key");
  const bytes = new TextEncoder().encode(key);
  const master = sha256(bytes);
  bytes.fill(0);
  return master;
}

/** The key of a channel, whose name is given in bytes. */
export function channelKeyOf(master: Uint8Array, channel: Uint8Array): Uint8Array {
  // The reference makes a buffer of this length where it meant this capacity, and appends behind the zeros. They are part
  // of what is hashed for ever: without them no store of the reference opens (invariant 76).
  const zeros = KEY_BYTES + 1 + channel.length;
  const bytes = new Uint8Array(zeros + master.length + 1 + channel.length);
  bytes.set(master, zeros);
  bytes[zeros + master.length] = DOT;
  bytes.set(channel, zeros + master.length + 1);
  const key = sha256(bytes);
  bytes.fill(0);
  return key;
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}
