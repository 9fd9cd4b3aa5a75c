import assert from "node:assert/strict";
import { test } from "node:test";
import { writeVarint } from "../../../src/base/varint.ts";
import {
  HOLES_KEPT_BYTES,
  type LogOwner,
  RECORD_HEADER_BYTES,
  SHARED_BYTES_MAX,
  SharedLog,
  SLAB_BYTES,
  startOf,
} from "../../../src/store/memory/shared_log.ts";

const SIZE = 992;

/** Keeps the places of its messages as a channel's index does. */
class Owner implements LogOwner {
  readonly places = new Map<number, number>();
  readonly #log: SharedLog;
  readonly number: number;
  moved = 0;

  constructor(log: SharedLog) {
    this.#log = log;
    this.number = log.addOwner(this);
  }

  /** A record with nothing in it but its sequence; returns its place. */
  append(sequence: number, size = SIZE): number {
    const slab = this.#log.room(size);
    const start = slab.used + RECORD_HEADER_BYTES;
    slab.bytes[start] = 0x08;
    writeVarint(slab.bytes, start + 1, sequence);
    const place = slab.commit(this.number, size);
    this.places.set(sequence, place);
    return place;
  }

  remove(sequence: number, size = SIZE): void {
    this.#log.release(this.places.get(sequence)!, size);
    this.places.delete(sequence);
  }

  relocate(sequence: number, from: number, to: number): boolean {
    if (this.places.get(sequence) !== from) return false;
    this.places.set(sequence, to);
    this.moved++;
    return true;
  }
}

test("3: a place names its slab and its position in it, also where it is no positive integer", () => {
  // Nothing is written into such memory, so it can be smaller than what was asked for.
  const log = new SharedLog(() => new ArrayBuffer(16));
  const places: number[] = [];
  const count = 1 << 15;
  for (let i = 0; i < count; i++) {
    const slab = log.room(SHARED_BYTES_MAX + 1);
    places.push(slab.commit(0, 1));
    assert.equal(log.slabOf(places[i]!), slab);
    assert.equal(startOf(places[i]!), RECORD_HEADER_BYTES);
  }
  assert.equal(new Set(places).size, count);
  assert.ok(places.some((place) => place < 0));
  assert.throws(() => log.room(SHARED_BYTES_MAX + 1), RangeError);
  // One that is free again can be given again.
  log.release(places[20_000]!, 1);
  assert.equal(log.room(SHARED_BYTES_MAX + 1).commit(0, 1), places[20_000]);
  assert.throws(() => log.room(SHARED_BYTES_MAX + 1), RangeError);
});

test("3: whoever stores a message never waits for more than half a slab to move", () => {
  const log = new SharedLog((size) => new ArrayBuffer(size));
  const owner = new Owner(log);
  const count = 60 * SLAB_BYTES / 1000 | 0;
  for (let sequence = 1; sequence <= count; sequence++) owner.append(sequence);
  // Three of four go, everywhere: much more than half a slab has to move.
  for (let sequence = 1; sequence <= count; sequence++) if (sequence % 4 > 0) owner.remove(sequence);
  let moved = owner.moved;
  let moves = 0;
  for (let sequence = count + 1; sequence <= 3 * count; sequence++) {
    owner.append(sequence);
    const bytes = (owner.moved - moved) * (SIZE + RECORD_HEADER_BYTES);
    assert.ok(bytes <= SLAB_BYTES / 2, String(bytes));
    if (bytes > 0) moves++;
    moved = owner.moved;
  }
  assert.ok(moves > 10 && moved <= count / 4, `${moved} in ${moves} moves`);
});

test("3: a record whose owner is gone does not move, also when another has its number", () => {
  const log = new SharedLog((size) => new ArrayBuffer(size));
  const kept = new Owner(log);
  const gone = new Owner(log);
  const count = 4 * HOLES_KEPT_BYTES / 1000 | 0;
  for (let sequence = 1; sequence <= count; sequence++) {
    gone.append(sequence);
    if (sequence % 10 === 0) kept.append(sequence);
  }
  for (const sequence of [...gone.places.keys()]) gone.remove(sequence);
  log.removeOwner(gone.number);
  const next = new Owner(log);
  assert.equal(next.number, gone.number);
  // It has messages of the same sequences, elsewhere.
  for (let sequence = 1; sequence <= count; sequence++) next.append(sequence);
  assert.ok(kept.moved > 0);
  assert.deepEqual([gone.moved, next.moved], [0, 0]);
  for (const owner of [kept, next]) {
    for (const [sequence, place] of owner.places) {
      const { bytes, words } = log.slabOf(place);
      const start = startOf(place);
      assert.deepEqual([words[(start >>> 2) - 2], words[(start >>> 2) - 1]], [owner.number, SIZE]);
      const expected = new Uint8Array(5);
      const end = writeVarint(expected, 0, sequence);
      assert.deepEqual(bytes.slice(start + 1, start + 1 + end), expected.slice(0, end));
    }
  }
});

test("3: a reader of what was found is not disturbed by removals: only a message that is stored moves others", () => {
  const log = new SharedLog((size) => new ArrayBuffer(size));
  const owner = new Owner(log);
  const count = 20 * SLAB_BYTES / 1000 | 0;
  for (let sequence = 1; sequence <= count; sequence++) owner.append(sequence);
  const place = owner.places.get(8)!;
  const slab = log.slabOf(place);
  const before = slab.bytes.slice();
  for (let sequence = 1; sequence <= count; sequence++) if (sequence % 8 > 0) owner.remove(sequence);
  assert.equal(owner.moved, 0);
  assert.equal(owner.places.get(8), place);
  assert.deepEqual(slab.bytes, before);
});
