/** A set of sequences (safe integers from 1) in one typed array: an open hash table, 8 bytes a slot. */

import { smallInteger } from "./small_integer.ts";

const CAPACITY_FIRST = 8;
/** What an empty set has: one free slot for all of them. */
const NO_SLOTS = new Float64Array(1);
/** 2^32 divided by the golden ratio: neighbours land far apart, so that closing the hole of a deletion is short. */
const SPREAD = 0x9e3779b1;

export class SequenceSet {
  /** 0 = free. */
  #slots: Float64Array = NO_SLOTS;
  #mask = 0;
  #shift = 31;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(sequence: number): boolean {
    const slots = this.#slots;
    let at = (Math.imul(sequence, SPREAD) >>> this.#shift) & this.#mask;
    for (;;) {
      const found = slots[at]!;
      // First: sequence 0, which no message has, must not match a free slot.
      if (found === 0) return false;
      if (found === sequence) return true;
      at = (at + 1) & this.#mask;
    }
  }

  /** False: it was there. */
  add(sequence: number): boolean {
    if ((this.#size + 1) * 2 > this.#mask + 1) this.#resize(Math.max(CAPACITY_FIRST, (this.#mask + 1) * 2));
    const slots = this.#slots;
    let at = (Math.imul(sequence, SPREAD) >>> this.#shift) & this.#mask;
    for (;;) {
      const found = slots[at]!;
      if (found === sequence) return false;
      if (found === 0) break;
      at = (at + 1) & this.#mask;
    }
    slots[at] = sequence;
    this.#size++;
    return true;
  }

  /** False: it was not there. */
  delete(sequence: number): boolean {
    const slots = this.#slots;
    const mask = this.#mask;
    const shift = this.#shift;
    let at = (Math.imul(sequence, SPREAD) >>> shift) & mask;
    for (;;) {
      const found = slots[at]!;
      if (found === 0) return false;
      if (found === sequence) break;
      at = (at + 1) & mask;
    }
    this.#size--;
    let hole = at;
    for (;;) {
      at = (at + 1) & mask;
      const moved = slots[at]!;
      if (moved === 0) break;
      const home = (Math.imul(moved, SPREAD) >>> shift) & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        slots[hole] = moved;
        hole = at;
      }
    }
    slots[hole] = 0;
    // Memory of a past burst goes back when nothing is left of it.
    if (this.#size === 0 && mask + 1 > CAPACITY_FIRST) this.clear();
    return true;
  }

  clear(): void {
    this.#slots = NO_SLOTS;
    this.#mask = 0;
    this.#shift = 31;
    this.#size = 0;
  }

  /** All of them, ascending. */
  sorted(): number[] {
    const sequences: number[] = [];
    for (const sequence of this.#slots) if (sequence !== 0) sequences.push(smallInteger(sequence));
    return sequences.sort((a, b) => a - b);
  }

  #resize(capacity: number): void {
    const old = this.#slots;
    this.#slots = new Float64Array(capacity);
    this.#mask = capacity - 1;
    this.#shift = Math.clz32(capacity) + 1;
    this.#size = 0;
    for (const sequence of old) if (sequence !== 0) this.add(sequence);
  }
}
