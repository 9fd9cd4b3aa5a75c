/**
 * Names that are unique without coordination: 22 characters of 0-9A-Za-z, the form inboxes and server ids have in the
 * NATS world (streaming-protocol.md 6.1). A random prefix plus a counter with random steps: unguessable enough for inbox names
 * and free of system calls per name.
 */

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX_LENGTH = 12;
const COUNTER_LENGTH = 10;
const COUNTER_LIMIT = 62 ** 8;
const STEP_MIN = 33;
const STEP_RANGE = 300;

/** Fills an array from a secure (or, in a simulation, a seeded) source. */
export type FillRandom = (bytes: Uint8Array) => void;

export class Nuid {
  readonly #fill: FillRandom;
  #prefix = "";
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
    let rest = this.#counter;
    let tail = "";
    for (let i = 0; i < COUNTER_LENGTH; i++) {
      tail = DIGITS[rest % 62]! + tail;
      rest = Math.floor(rest / 62);
    }
    return this.#prefix + tail;
  }

  #renew(): void {
    const bytes = new Uint8Array(PREFIX_LENGTH + 8);
    this.#fill(bytes);
    let prefix = "";
    // 256 is not a multiple of 62: the slight bias costs a fraction of a bit of 71.
    for (let i = 0; i < PREFIX_LENGTH; i++) prefix += DIGITS[bytes[i]! % 62]!;
    this.#prefix = prefix;
    let counter = 0;
    for (let i = 0; i < 5; i++) counter = counter * 256 + bytes[PREFIX_LENGTH + i]!;
    this.#counter = counter % COUNTER_LIMIT;
    this.#step = STEP_MIN + ((bytes[PREFIX_LENGTH + 5]! * 256 + bytes[PREFIX_LENGTH + 6]!) % STEP_RANGE);
  }
}
