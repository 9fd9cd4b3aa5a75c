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
  append(sequence: number, size = SIZE, open = this.#log.tail): number {
    const slab = this.#log.room(open, size);
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
    const slab = log.room(log.tail, SHARED_BYTES_MAX + 1);
    places.push(slab.commit(0, 1));
    assert.equal(log.slabOf(places[i]!), slab);
    assert.equal(startOf(places[i]!), RECORD_HEADER_BYTES);
  }
  assert.equal(new Set(places).size, count);
  assert.ok(places.some((place) => place < 0));
  assert.throws(() => log.room(log.tail, SHARED_BYTES_MAX + 1), RangeError);
  // One that is free again can be given again.
  log.release(places[20_000]!, 1);
  assert.equal(log.room(log.tail, SHARED_BYTES_MAX + 1).commit(0, 1), places[20_000]);
  assert.throws(() => log.room(log.tail, SHARED_BYTES_MAX + 1), RangeError);
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

test("3: a record that is as long as a slab is none", () => {
  const log = new SharedLog((size) => new ArrayBuffer(size));
  const owner = new Owner(log);
  const size = SLAB_BYTES - RECORD_HEADER_BYTES;
  owner.append(1);
  for (let i = 0; i < 100; i++) {
    owner.append(2, size);
    owner.remove(2, size);
  }
  const count = 20 * SLAB_BYTES / 1000 | 0;
  for (let sequence = 2; sequence <= count; sequence++) owner.append(sequence);
  const isFirst = (sequence: number) => sequence < count / 5 && sequence % 5 > 1;
  for (let sequence = 2; sequence <= count; sequence++) if (isFirst(sequence)) owner.remove(sequence);
  for (let sequence = count + 1; sequence <= 2 * count; sequence++) owner.append(sequence);
  assert.equal(owner.moved, 0, "holes are an eighth of what there is");
  for (let sequence = 2; sequence <= count; sequence++) if (!isFirst(sequence)) owner.remove(sequence);
  for (let sequence = 2 * count + 1; sequence <= 4 * count; sequence++) {
    owner.append(sequence);
    if (sequence % 8 > 0) owner.remove(sequence);
  }
  assert.ok(owner.moved > 0);
});

test("3: what is left in slabs that were one owner's moves into those of all, and they are free again", () => {
  const log = new SharedLog((size) => new ArrayBuffer(size));
  const owners = Array.from({ length: 50 }, () => {
    const owner = new Owner(log);
    const open = log.open();
    for (let sequence = 1; sequence <= 1000; sequence++) owner.append(sequence, SIZE, open);
    for (let sequence = 1; sequence <= 900; sequence++) owner.remove(sequence);
    log.seal(open);
    return owner;
  });
  const other = new Owner(log);
  const numberOf = (slab: { readonly base: number }) => slab.base >>> 17;
  assert.equal(numberOf(log.open()), 50);
  for (let sequence = 1; sequence <= 30 * SLAB_BYTES / 1000; sequence++) other.append(sequence);
  const moved = owners.reduce((sum, owner) => sum + owner.moved, 0);
  // Until holes are no more than what is kept.
  assert.ok(moved >= 30 * 100, String(moved));
  const free = new Set<number>();
  for (let i = 0; i < 40; i++) free.add(numberOf(log.open()));
  assert.ok(Math.max(...free) < 100, "numbers are given again");
  for (const owner of owners) assert.equal(owner.places.size, 100);
});

test("3: an open slab is never given up, whatever is removed from it, and a sealed one at once when nothing is left", () => {
  const log = new SharedLog((size) => new ArrayBuffer(size));
  const owner = new Owner(log);
  const open = log.open();
  for (let round = 0; round < 5; round++) {
    const place = owner.append(round, SIZE, open);
    owner.remove(round);
    assert.equal(log.slabOf(place), open);
  }
  const next = log.open();
  assert.notEqual(next, open);
  log.seal(open);
  assert.equal(log.open(), open, "from the pool");
});

test("3: where no memory is given for what has to move, holes stay and the message is stored", () => {
  let isRefused = false;
  const log = new SharedLog((size) => {
    if (isRefused) throw new RangeError("Array buffer allocation failed");
    return new ArrayBuffer(size);
  });
  const keeper = new Owner(log);
  const count = 20 * SLAB_BYTES / 1000 | 0;
  for (let sequence = 1; sequence <= count; sequence++) keeper.append(sequence);
  // The slab of all is nearly full, and one of an owner's is replaced from what was asked for before.
  const open = log.open();
  const owner = new Owner(log);
  while (log.tail.end - log.tail.used > 20_000) keeper.append(keeper.places.size + 100_000);
  for (let sequence = 1; open.end - open.used >= 1000; sequence++) owner.append(sequence, SIZE, open);
  for (let sequence = 1; sequence <= count; sequence++) if (sequence % 3 > 0) keeper.remove(sequence);
  log.seal(log.open()); // Into the pool.
  const { moved } = keeper;
  isRefused = true;
  const place = owner.append(1_000_000, SIZE, open); // It takes what is in the pool.
  assert.notEqual(log.slabOf(place), open);
  assert.equal(keeper.moved, moved);
  isRefused = false;
  const next = log.slabOf(place);
  while (next.end - next.used >= 1000) owner.append(owner.places.size + 2_000_000, SIZE, next);
  owner.append(3_000_000, SIZE, next);
  assert.ok(keeper.moved > moved, "with memory they are closed");
  for (const [sequence, at] of keeper.places) {
    const { bytes } = log.slabOf(at);
    const expected = new Uint8Array(5);
    const end = writeVarint(expected, 0, sequence);
    assert.deepEqual(bytes.slice(startOf(at) + 1, startOf(at) + 1 + end), expected.slice(0, end));
  }
  // Nothing is left over: all slabs but two open ones are free.
  const last = Math.max(...[keeper, owner].flatMap(({ places }) => [...places.values()].map((at) => at >>> 17)));
  for (const one of [keeper, owner]) for (const sequence of [...one.places.keys()]) one.remove(sequence);
  const numbers = Array.from({ length: last + 1 - 2 }, () => log.open().base >>> 17);
  assert.ok(Math.max(...numbers) <= last, String(numbers));
});
