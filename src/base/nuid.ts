/**
 * Names that are unique without coordination: 22 characters of 0-9A-Za-z, the form inboxes and server ids have in the
 * NATS world (streaming-protocol.md 6.1). A random prefix plus a counter with random steps: unguessable enough for inbox names
 * and free of system calls per name.
 */

import { bytesOf, byteString } from "./bytes.ts";

const DIGITS = bytesOf("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
const PREFIX_LENGTH = 12;
/** Of these ten digits the first two are always 0. */
const COUNTER_LENGTH = 10;
const COUNTER_LIMIT = 62 ** 8;
/** Half of the counter is a small integer. */
const HALF_LENGTH = COUNTER_LENGTH / 2;
const HALF_LIMIT = 62 ** HALF_LENGTH;
const STEP_MIN = 33;
const STEP_RANGE = 300;

/** Fills an array from a secure (or, in a simulation, a seeded) source. */
export type FillRandom = (bytes: Uint8Array) => void;

export class Nuid {
  readonly #fill: FillRandom;
  /** The last name; its prefix is that of the next one. */
  readonly #name = new Uint8Array(PREFIX_LENGTH + COUNTER_LENGTH);
  #counter = 0;
  #step = STEP_MIN;

  constructor(fill: FillRandom) {
    this.#fill = fill;
    this.#renew();
  }

  /** The next name. */
  next(): string {
    this.#counter += this.#step;
    if (this.#counter >= COUNTER_LIMIT) this.#renew();
    const high = Math.floor(this.#counter / HALF_LIMIT);
    this.#write(PREFIX_LENGTH, high);
    this.#write(PREFIX_LENGTH + HALF_LENGTH, this.#counter - high * HALF_LIMIT);
    return byteString(this.#name);
  }

  #write(position: number, half: number): void {
    let rest = half;
    for (let i = position + HALF_LENGTH - 1; i >= position; i--) {
      const left = (rest / 62) | 0;
      this.#name[i] = DIGITS[rest - left * 62]!;
      rest = left;
    }
  }

  #renew(): void {
    const bytes = new Uint8Array(PREFIX_LENGTH + 8);
    this.#fill(bytes);
    // 256 is not a multiple of 62: the slight bias costs a fraction of a bit of 71.
    for (let i = 0; i < PREFIX_LENGTH; i++) this.#name[i] = DIGITS[bytes[i]! % 62]!;
    let counter = 0;
    for (let i = 0; i < 5; i++) counter = counter * 256 + bytes[PREFIX_LENGTH + i]!;
    this.#counter = counter % COUNTER_LIMIT;
    this.#step = STEP_MIN + ((bytes[PREFIX_LENGTH + 5]! * 256 + bytes[PREFIX_LENGTH + 6]!) % STEP_RANGE);
  }
}
