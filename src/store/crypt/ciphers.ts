/**
 * The two ciphers, one shape: AES-256-GCM from the platform, ChaCha20-Poly1305 from the platform where it has it and from
 * `@noble/ciphers` where it has not (Bun 1.4.5 answers "Unknown cipher"). No cipher is written here.
 *
 * On Bun 1.4.5 CHACHA costs six times what AES costs up to 1 KB and thirty times at 16 KB; on Deno 2.9.6 the same at 128 B,
 * and a tenth at 16 KB, where AES is the slow one (tests/bench/ciphers.ts, 2026-11).
 */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { type CipherGCMTypes, createCipheriv, createDecipheriv } from "node:crypto";
import { copyRange } from "../../base/bytes.ts";
import { CODE_AES, CODE_CHACHA, KEY_BYTES, NONCE_BYTES, TAG_BYTES } from "./sealed.ts";

/** A cipher that authenticates what it encrypts. Without associated data, as the format has none. */
export interface Aead {
  /** What marks its payloads. */
  readonly code: number;
  /** For the log: `AES-256-GCM`, `ChaCha20-Poly1305`. */
  readonly name: string;
  /**
   * Writes ciphertext and tag of `source[start, end)` to `out` at `position`; returns the position behind them. The caller
   * gives a nonce that was never used with this key.
   */
  seal(
    key: Uint8Array,
    nonce: Uint8Array,
    source: Uint8Array,
    start: number,
    end: number,
    out: Uint8Array,
    position: number,
  ): number;
  /**
   * Writes the plain bytes of ciphertext and tag `source[start, end)` to `out` at `position`. False: they were not sealed
   * with this key and nonce, or were changed since; nothing was written then. The range is at least as long as a tag.
   */
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    source: Uint8Array,
    start: number,
    end: number,
    out: Uint8Array,
    position: number,
  ): boolean;
}

const CHACHA_ALGORITHM = "chacha20-poly1305";

/**
 * A cipher of `node:crypto`. Its length of tags is not passed: sixteen bytes are what it makes and what it is given, and
 * reading options costs a fifth of sealing 128 B on Bun 1.4.5 (2026-11).
 */
class PlatformAead implements Aead {
  readonly code: number;
  readonly name: string;
  /** The types know each algorithm under a name of its own; both are called in the same way. */
  readonly #algorithm: CipherGCMTypes;

  constructor(code: number, name: string, algorithm: string) {
    this.code = code;
    this.name = name;
    this.#algorithm = algorithm as CipherGCMTypes;
  }

  seal(
    key: Uint8Array,
    nonce: Uint8Array,
    source: Uint8Array,
    start: number,
    end: number,
    out: Uint8Array,
    position: number,
  ): number {
    const cipher = createCipheriv(this.#algorithm, key, nonce);
    const bytes = cipher.update(source.subarray(start, end));
    cipher.final();
    position = copyRange(out, position, bytes, 0, bytes.length);
    return copyRange(out, position, cipher.getAuthTag(), 0, TAG_BYTES);
  }

  open(
    key: Uint8Array,
    nonce: Uint8Array,
    source: Uint8Array,
    start: number,
    end: number,
    out: Uint8Array,
    position: number,
  ): boolean {
    const decipher = createDecipheriv(this.#algorithm, key, nonce);
    decipher.setAuthTag(source.subarray(end - TAG_BYTES, end));
    const bytes = decipher.update(source.subarray(start, end - TAG_BYTES));
    try {
      decipher.final();
    } catch {
      // The one thing `final` can find: the tag is not the one of these bytes. Each runtime words it in its own way.
      return false;
    }
    copyRange(out, position, bytes, 0, bytes.length);
    return true;
  }
}

/** ChaCha20-Poly1305 of the package. */
class PackagedChaCha implements Aead {
  readonly code = CODE_CHACHA;
  readonly name = "ChaCha20-Poly1305";

  seal(
    key: Uint8Array,
    nonce: Uint8Array,
    source: Uint8Array,
    start: number,
    end: number,
    out: Uint8Array,
    position: number,
  ): number {
    const behind = position + (end - start) + TAG_BYTES;
    chacha20poly1305(key, nonce).encrypt(source.subarray(start, end), out.subarray(position, behind));
    return behind;
  }

  open(
    key: Uint8Array,
    nonce: Uint8Array,
    source: Uint8Array,
    start: number,
    end: number,
    out: Uint8Array,
    position: number,
  ): boolean {
    const behind = position + (end - start) - TAG_BYTES;
    try {
      chacha20poly1305(key, nonce).decrypt(source.subarray(start, end), out.subarray(position, behind));
    } catch {
      // Lengths are right by contract, so it is the tag, which is compared before the first byte is written.
      return false;
    }
    return true;
  }
}

/** AES-256-GCM. */
export function createAes(): Aead {
  return new PlatformAead(CODE_AES, "AES-256-GCM", "aes-256-gcm");
}

/** ChaCha20-Poly1305 of the package: what {@link createChaCha} falls back to, and the oracle of the platform's. */
export function createPackagedChaCha(): Aead {
  return new PackagedChaCha();
}

/** ChaCha20-Poly1305, the platform's if it has one. */
export function createChaCha(): Aead {
  return platformHas(CHACHA_ALGORITHM)
    ? new PlatformAead(CODE_CHACHA, "ChaCha20-Poly1305", CHACHA_ALGORITHM)
    : createPackagedChaCha();
}

/** Tried instead of looked up: a name in the platform's list says nothing about the key and nonce it takes. */
function platformHas(algorithm: string): boolean {
  try {
    createCipheriv(algorithm as CipherGCMTypes, new Uint8Array(KEY_BYTES), new Uint8Array(NONCE_BYTES));
    return true;
  } catch {
    // "Unknown cipher", in the words of the runtime. Nothing else can go wrong with these arguments.
    return false;
  }
}
