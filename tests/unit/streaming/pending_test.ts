import { test } from "node:test";
import assert from "node:assert/strict";
import { PendingTable } from "../../../src/streaming/pending.ts";
import { SeededRandom } from "../../conformance/store/random.ts";

/** Compares a table with a map after random operations on sequences made by `next`. */
function compare(seed: number, next: (random: SeededRandom) => number, steps: number): void {
  const random = new SeededRandom(seed);
  const table = new PendingTable();
  const model = new Map<number, number>();
  for (let step = 0; step < steps; step++) {
    const sequence = next(random);
    const dice = random.below(10);
    if (dice < 5) {
      const expiry = random.below(1000);
      table.set(sequence, expiry);
      model.set(sequence, expiry);
    } else if (dice < 7) {
      assert.equal(table.delete(sequence), model.delete(sequence));
    } else if (dice < 9) {
      assert.equal(table.take(sequence), model.get(sequence) ?? -1);
      model.delete(sequence);
    } else {
      assert.equal(table.get(sequence), model.get(sequence) ?? -1);
      assert.equal(table.has(sequence), model.has(sequence));
    }
    assert.equal(table.count, model.size);
    if (step % 64 === 0) {
      for (const [kept, expiry] of model) assert.equal(table.get(kept), expiry);
      assert.equal(table.earliestExpiryMs(), Math.min(Infinity, ...model.values()));
      const after = random.below(1000);
      const later = [...model.values()].filter((expiry) => expiry > after);
      assert.equal(table.earliestExpiryMs(after), Math.min(Infinity, ...later));
      assert.deepEqual(table.sorted().sort((a, b) => a - b), [...model.keys()].sort((a, b) => a - b));
    }
    if (step % 500 === 499) {
      for (const kept of [...model.keys()]) {
        assert.ok(table.delete(kept));
        model.delete(kept);
      }
      table.shrink();
    }
  }
}

test("pending: a table does what a map does: neighbours", () => {
  compare(1, (random) => 1 + random.below(60), 6000);
});

test("pending: a table does what a map does: sequences that fall into the same slots", () => {
  compare(2, (random) => 1 + random.below(40) * 2 ** 16, 6000);
  compare(3, (random) => 1 + random.below(40) * 2 ** 32, 6000);
});

test("pending: a table does what a map does: sequences up to 2^53", () => {
  compare(
    4,
    (random) => random.below(2) === 0 ? Number.MAX_SAFE_INTEGER - random.below(50) : 1 + random.below(50),
    6000,
  );
});

test("pending: a window that moves on leaves nothing behind", () => {
  const table = new PendingTable();
  for (let sequence = 1; sequence <= 20_000; sequence++) {
    table.set(sequence, sequence);
    if (sequence > 100) assert.equal(table.take(sequence - 100), sequence - 100);
  }
  assert.equal(table.count, 100);
  assert.equal(table.earliestExpiryMs(), 19_901);
});

test("16.5: sequence 0 is never pending, in an empty table neither", () => {
  const table = new PendingTable();
  assert.equal(table.has(0), false);
  assert.equal(table.delete(0), false);
  table.set(1, 5);
  assert.equal(table.has(0), false);
  assert.equal(table.has(-1), false);
  table.delete(1);
  assert.equal(table.has(0), false);
  assert.equal(table.count, 0);
});

test("17.1 step 5: sorted by expiry, then by sequence, and by sequence alone where an expiry is not known", () => {
  const table = new PendingTable();
  for (const [sequence, expiry] of [[5, 100], [3, 200], [9, 100], [1, 300]]) table.set(sequence!, expiry!);
  assert.deepEqual(table.sorted(), [5, 9, 3, 1]);
  const unknown = new PendingTable();
  for (const sequence of [4, 2, 3]) unknown.set(sequence, 0);
  assert.deepEqual(unknown.sorted(), [2, 3, 4]);
});
