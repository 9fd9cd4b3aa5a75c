/**
 * What the soak knows to be true, and the promises it checks against it. Every channel has a witness, a plain subscription
 * that is never ended and never interrupted: what it is given, in order and without gaps, is the truth.
 */

/** A payload is known by the number that its publish got in the order of sending. */
export interface TruthMessage {
  readonly number: number;
}

const FIRST_MAX = 20;

/** Collects what went wrong, and tells it. The first ones tell the story, so the rest is only counted. */
export class Violations {
  readonly first: string[] = [];
  count = 0;
  readonly #tell: (text: string) => void;

  constructor(tell: (text: string) => void = () => {}) {
    this.#tell = tell;
  }

  add(text: string): void {
    this.count++;
    if (this.first.length >= FIRST_MAX) return;
    this.first.push(text);
    this.#tell(text);
  }
}

/** The messages of one channel as its witness got them. */
export class ChannelTruth {
  /** Publish number by sequence. */
  readonly numbers: number[] = [0];
  /** Publishes with a success ack. */
  readonly acked = new Set<number>();
  readonly #sequences = new Map<number, number>();

  constructor(readonly name: string, readonly violations: Violations) {}

  get last(): number {
    return this.numbers.length - 1;
  }

  /** The witness got a message for the first time. */
  witness(sequence: number, number: number): void {
    if (sequence !== this.last + 1) {
      this.violations.add(`${this.name}: the witness got ${sequence} behind ${this.last}`);
      return;
    }
    if (this.#sequences.has(number)) this.violations.add(`${this.name}: publish ${number} was stored twice`);
    this.#sequences.set(number, sequence);
    this.numbers.push(number);
  }

  /** Every publish that was acked is there, once. */
  checkAcked(): void {
    for (const number of this.acked) {
      if (!this.#sequences.has(number)) {
        this.violations.add(`${this.name}: publish ${number} was acked and is not there`);
      }
    }
  }
}

/** Messages a channel keeps. Few are ever as far behind as that: what is dropped before they get it is not their due. */
export const CHANNEL_MESSAGES = 1000;
/** The server may be ahead of the witness by that much when it drops a message. */
const WITNESS_LAG = 50;

/** Who is entitled to all messages from some point on: a subscription, a durable, or a group. */
export class Claim {
  /** 1 = came as a first delivery, 2 = came flagged as redelivered only, 3 = was dropped by the channel before it came. */
  #seen = new Uint8Array(256);
  #lowest = Infinity;
  /** What is sent from here on is its due; Infinity until the server has said so. */
  entitledFrom = Infinity;
  count = 0;
  dropped = 0;
  /** Everything up to here came, or was dropped. */
  #settledTo = 0;

  constructor(readonly name: string, readonly channel: ChannelTruth) {}

  /** It was accepted: publishes that leave from now on are its due. */
  accepted(nextNumber: number): void {
    this.entitledFrom = Math.min(this.entitledFrom, nextNumber);
  }

  deliver(sequence: number, isRedelivered: boolean): void {
    if (sequence >= this.#seen.length) {
      const grown = new Uint8Array(sequence * 2);
      grown.set(this.#seen);
      this.#seen = grown;
    }
    const before = this.#seen[sequence]!;
    if (!isRedelivered && before === 1) {
      this.channel.violations.add(`${this.name}: message ${sequence} came twice as a first delivery`);
    }
    if (before === 0 || before === 3) this.count++;
    if (before !== 1) this.#seen[sequence] = isRedelivered ? 2 : 1;
    if (sequence < this.#lowest) this.#lowest = sequence;
    // 21.3: a subscription whose next message is gone goes on with the first that is there.
    const goneTo = Math.min(sequence - 1, this.channel.last - CHANNEL_MESSAGES + WITNESS_LAG);
    while (this.#settledTo < goneTo) {
      this.#settledTo++;
      if (this.#seen[this.#settledTo] !== 0) continue;
      this.#seen[this.#settledTo] = 3;
      if (this.#settledTo > this.#lowest) this.dropped++;
    }
  }

  /** The first sequence that it should have and has not; 0 if it has everything. */
  get missing(): number {
    const { numbers, last } = this.channel;
    for (let sequence = 1; sequence <= last; sequence++) {
      if (this.#seen[sequence] !== undefined && this.#seen[sequence] !== 0) continue;
      if (sequence >= this.#lowest || numbers[sequence]! >= this.entitledFrom) return sequence;
    }
    return 0;
  }

  /** What is around a missing message, for people. */
  describe(missing: number): string {
    const around = Array.from(this.#seen.subarray(Math.max(0, missing - 6), missing + 6)).join("");
    return ` (lowest ${this.#lowest}, entitled from publish ${this.entitledFrom}, this is ${
      this.channel.numbers[missing]
    }, around it ${around})`;
  }

  /** A first delivery with a gap before it, or behind an older one; 0 if there is none among those that came. */
  get hole(): number {
    let isIn = false;
    for (let sequence = Math.min(this.#seen.length, this.channel.last + 1) - 1; sequence >= this.#lowest; sequence--) {
      if (this.#seen[sequence] !== 0) isIn = true;
      else if (isIn) return sequence;
    }
    return 0;
  }
}
