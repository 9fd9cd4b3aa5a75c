/**
 * Messages sent to a subscription and not acknowledged: sequence to expiry. An open hash table in one typed array, 16 bytes an
 * entry; a `Map` costs more than 200 ns for adding and removing (runtime.md 12).
 *
 * Pending sequences are mostly one window of neighbours. Slots are spread by multiplication all the same: with neighbours in
 * neighbouring slots the table is one long run, and closing the hole of a deletion walks all of it.
 */

import { smallInteger } from "../base/small_integer.ts";

const CAPACITY_FIRST = 8;
/** What a table without entries has: one free slot for all of them, so that an idle subscription holds no array of its own. */
const NO_SLOTS = new Float64Array(2);
/** 2^32 divided by the golden ratio: neighbours land far apart and evenly. */
const SPREAD = 0x9e3779b1;

export class PendingTable {
  /** `sequence, expiry` pairs; sequence 0 = free. */
  #slots: Float64Array = NO_SLOTS;
  #mask = 0;
  #shift = 31;
  count = 0;

  /** Expiry of `sequence`, or -1 when it is not pending. 0 = recovered, not computed yet. */
  get(sequence: number): number {
    const slots = this.#slots;
    let at = (Math.imul(sequence, SPREAD) >>> this.#shift) & this.#mask;
    for (;;) {
      const found = slots[at * 2]!;
      // First: sequence 0, which no message has, comes in acks and must not match a free slot.
      if (found === 0) return -1;
      if (found === sequence) return slots[at * 2 + 1]!;
      at = (at + 1) & this.#mask;
    }
  }

  has(sequence: number): boolean {
    return this.get(sequence) !== -1;
  }

  set(sequence: number, expiryMs: number): void {
    if ((this.count + 1) * 2 > this.#mask + 1) this.#resize(Math.max(CAPACITY_FIRST, (this.#mask + 1) * 2));
    const slots = this.#slots;
    let at = (Math.imul(sequence, SPREAD) >>> this.#shift) & this.#mask;
    for (;;) {
      const found = slots[at * 2]!;
      if (found === sequence) break;
      if (found === 0) {
        slots[at * 2] = sequence;
        this.count++;
        break;
      }
      at = (at + 1) & this.#mask;
    }
    slots[at * 2 + 1] = expiryMs;
  }

  /** Removes `sequence`; false when it was not pending. */
  delete(sequence: number): boolean {
    return this.take(sequence) !== -1;
  }

  /** Removes `sequence` and returns its expiry, -1 when it was not pending. */
  take(sequence: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    const shift = this.#shift;
    let at = (Math.imul(sequence, SPREAD) >>> shift) & mask;
    for (;;) {
      const found = slots[at * 2]!;
      if (found === 0) return -1;
      if (found === sequence) break;
      at = (at + 1) & mask;
    }
    const expiryMs = slots[at * 2 + 1]!;
    this.count--;
    // Close the hole: move back every follower that would not be found across it.
    let hole = at;
    for (;;) {
      at = (at + 1) & mask;
      const moved = slots[at * 2]!;
      if (moved === 0) break;
      const home = Math.imul(moved, SPREAD) >>> shift;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        slots[hole * 2] = moved;
        slots[hole * 2 + 1] = slots[at * 2 + 1]!;
        hole = at;
      }
    }
    slots[hole * 2] = 0;
    return expiryMs;
  }

  /** All sequences in the order redelivery wants them: by expiry, then by sequence; by sequence alone if either is 0. */
  sorted(): number[] {
    const sequences: number[] = [];
    const slots = this.#slots;
    for (let at = 0; at <= this.#mask; at++) if (slots[at * 2] !== 0) sequences.push(smallInteger(slots[at * 2]!));
    return sequences.sort((a, b) => {
      const first = this.get(a);
      const second = this.get(b);
      if (first === second || first === 0 || second === 0) return a - b;
      return first - second;
    });
  }

  /** Smallest expiry above `afterMs`, Infinity when there is none. */
  earliestExpiryMs(afterMs = -1): number {
    let earliest = Infinity;
    const slots = this.#slots;
    for (let at = 0; at <= this.#mask; at++) {
      const expiry = slots[at * 2 + 1]!;
      if (slots[at * 2] !== 0 && expiry < earliest && expiry > afterMs) earliest = expiry;
    }
    return earliest;
  }

  /** The lowest sequence, 0 when nothing is pending. Looks at every slot: for the monitor. */
  lowest(): number {
    let lowest = 0;
    const slots = this.#slots;
    for (let at = 0; at <= this.#mask; at++) {
      const found = slots[at * 2]!;
      if (found !== 0 && (lowest === 0 || found < lowest)) lowest = found;
    }
    return smallInteger(lowest);
  }

  /** True when something lower than `sequence` is pending. */
  hasBelow(sequence: number): boolean {
    const slots = this.#slots;
    for (let at = 0; at <= this.#mask; at++) {
      const found = slots[at * 2]!;
      if (found !== 0 && found < sequence) return true;
    }
    return false;
  }

  /** Nothing is pending any more. */
  clear(): void {
    this.count = 0;
    this.shrink();
  }

  /** Gives memory of a past burst back. */
  shrink(): void {
    if (this.count > 0) return;
    this.#slots = NO_SLOTS;
    this.#mask = 0;
    this.#shift = 31;
  }

  #resize(capacity: number): void {
    const old = this.#slots;
    this.#slots = new Float64Array(capacity * 2);
    this.#mask = capacity - 1;
    this.#shift = Math.clz32(capacity) + 1;
    const slots = this.#slots;
    for (let i = 0; i < old.length; i += 2) {
      const sequence = old[i]!;
      if (sequence === 0) continue;
      let at = (Math.imul(sequence, SPREAD) >>> this.#shift) & this.#mask;
      while (slots[at * 2] !== 0) at = (at + 1) & this.#mask;
      slots[at * 2] = sequence;
      slots[at * 2 + 1] = old[i + 1]!;
    }
  }
}
