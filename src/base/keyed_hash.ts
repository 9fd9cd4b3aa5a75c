/**
 * A hash of names that strangers choose, for tables whose buckets they should not be able to fill. The names are summed up as
 * products of two halves of a word, each with a secret added (NH of UMAC, RFC 4418, with halves of 16 bits): whoever does not
 * know the secrets finds no two names that collide more often than one time in 65,536.
 */

/** Secrets: as many as a control line of 4 KB needs; behind that they are used again. */
const SECRET_COUNT = 2048;
const SECRET_MASK = SECRET_COUNT - 1;

export class KeyedHash {
  readonly #secrets = new Int32Array(SECRET_COUNT);
  /** Odd. */
  readonly #factor: number;

  /** Tables with the same seed hash alike. */
  constructor(seed: number) {
    const random = generator(seed);
    for (let i = 0; i < SECRET_COUNT; i++) this.#secrets[i] = random() >>> 16;
    this.#factor = random() | 1;
  }

  /** Of `bytes[start, end)`; 32 bits, signed. */
  ofRange(bytes: Uint8Array, start: number, end: number): number {
    let sum = end - start;
    let secret = 0;
    let i = start;
    for (; i + 4 <= end; i += 4) {
      const low = bytes[i]! | (bytes[i + 1]! << 8);
      const high = bytes[i + 2]! | (bytes[i + 3]! << 8);
      sum = (sum + this.#product(low, high, secret)) | 0;
      secret = (secret + 2) & SECRET_MASK;
    }
    if (i < end) {
      const low = bytes[i]! | (i + 1 < end ? bytes[i + 1]! << 8 : 0);
      const high = i + 2 < end ? bytes[i + 2]! : 0;
      sum = (sum + this.#product(low, high, secret)) | 0;
    }
    return this.#mixed(sum);
  }

  /** Of the bytes behind a byte string, without making them. */
  ofText(text: string): number {
    let sum = text.length;
    for (let i = 0; i < text.length; i += 4) {
      const low = text.charCodeAt(i) | (text.charCodeAt(i + 1) << 8);
      const high = text.charCodeAt(i + 2) | (text.charCodeAt(i + 3) << 8);
      sum = (sum + this.#product(low, high, (i >>> 1) & SECRET_MASK)) | 0;
    }
    return this.#mixed(sum);
  }

  #product(low: number, high: number, secret: number): number {
    const secrets = this.#secrets;
    return Math.imul((low + secrets[secret]!) & 0xffff, (high + secrets[secret + 1]!) & 0xffff);
  }

  /** Buckets are chosen by some bits only. */
  #mixed(sum: number): number {
    return Math.imul(sum ^ (sum >>> 16), this.#factor);
  }
}

/** Numbers of 32 bits from a seed (SplitMix32). */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e37_79b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0_aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}
