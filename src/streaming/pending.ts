/**
 * Messages sent to a subscription and not acknowledged: sequence to expiry. An open hash table in one typed array: pending
 * sequences are mostly one window of neighbours, so a slot is nearly always free at the first look, and an entry costs 16 bytes.
 * A `Map` costs more than 200 ns for adding and removing (runtime.md 12).
 */

const CAPACITY_FIRST = 8;

export class PendingTable {
  /** `sequence, expiry` pairs; sequence 0 = free. */
  #slots: Float64Array = new Float64Array(CAPACITY_FIRST * 2);
  #mask = CAPACITY_FIRST - 1;
  count = 0;

  /** Expiry of `sequence`, or -1 when it is not pending. 0 = recovered, not computed yet. */
  get(sequence: number): number {
    const slots = this.#slots;
    let at = sequence & this.#mask;
    for (;;) {
      const found = slots[at * 2]!;
      if (found === sequence) return slots[at * 2 + 1]!;
      if (found === 0) return -1;
      at = (at + 1) & this.#mask;
    }
  }

  has(sequence: number): boolean {
    return this.get(sequence) !== -1;
  }

  set(sequence: number, expiryMs: number): void {
    if ((this.count + 1) * 2 > this.#mask + 1) this.#resize((this.#mask + 1) * 2);
    const slots = this.#slots;
    let at = sequence & this.#mask;
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

  delete(sequence: number): boolean {
    const slots = this.#slots;
    const mask = this.#mask;
    let at = sequence & mask;
    for (;;) {
      const found = slots[at * 2]!;
      if (found === 0) return false;
      if (found === sequence) break;
      at = (at + 1) & mask;
    }
    this.count--;
    // Close the hole: move back every follower that would not be found across it.
    let hole = at;
    for (;;) {
      at = (at + 1) & mask;
      const moved = slots[at * 2]!;
      if (moved === 0) break;
      const home = moved & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        slots[hole * 2] = moved;
        slots[hole * 2 + 1] = slots[at * 2 + 1]!;
        hole = at;
      }
    }
    slots[hole * 2] = 0;
    return true;
  }

  /** All sequences in the order redelivery wants them: by expiry, then by sequence; by sequence alone if either is 0. */
  sorted(): number[] {
    const sequences: number[] = [];
    const slots = this.#slots;
    for (let at = 0; at <= this.#mask; at++) if (slots[at * 2] !== 0) sequences.push(slots[at * 2]!);
    return sequences.sort((a, b) => {
      const first = this.get(a);
      const second = this.get(b);
      if (first === second || first === 0 || second === 0) return a - b;
      return first - second;
    });
  }

  /** Smallest expiry, Infinity when nothing is pending. */
  earliestExpiryMs(): number {
    let earliest = Infinity;
    const slots = this.#slots;
    for (let at = 0; at <= this.#mask; at++) {
      if (slots[at * 2] !== 0 && slots[at * 2 + 1]! < earliest) earliest = slots[at * 2 + 1]!;
    }
    return earliest;
  }

  /** Gives memory of a past burst back. */
  shrink(): void {
    if (this.count === 0 && this.#mask >= CAPACITY_FIRST * 8) this.#resize(CAPACITY_FIRST);
  }

  #resize(capacity: number): void {
    const old = this.#slots;
    this.#slots = new Float64Array(capacity * 2);
    this.#mask = capacity - 1;
    const slots = this.#slots;
    for (let i = 0; i < old.length; i += 2) {
      const sequence = old[i]!;
      if (sequence === 0) continue;
      let at = sequence & this.#mask;
      while (slots[at * 2] !== 0) at = (at + 1) & this.#mask;
      slots[at * 2] = sequence;
      slots[at * 2 + 1] = old[i + 1]!;
    }
  }
}
