import assert from "node:assert/strict";
import { test } from "node:test";
import { SequenceSet } from "../../../src/base/sequence_set.ts";

test("a random history agrees with a set of the language", () => {
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (const spread of [1, 7, 4096, 2 ** 33]) {
    const set = new SequenceSet();
    const model = new Set<number>();
    for (let step = 0; step < 5000; step++) {
      const sequence = 1 + random(200) * spread;
      if (random(5) < 3) assert.equal(set.add(sequence), !model.has(sequence) && !!model.add(sequence));
      else assert.equal(set.delete(sequence), model.delete(sequence));
      assert.equal(set.size, model.size);
      assert.equal(set.has(sequence), model.has(sequence));
    }
    assert.deepEqual(set.sorted(), [...model].sort((a, b) => a - b));
    for (const sequence of model) assert.ok(set.has(sequence));
    set.clear();
    assert.deepEqual([set.size, set.sorted()], [0, []]);
  }
});

test("sequence 0, which no message has, is never there", () => {
  const set = new SequenceSet();
  assert.deepEqual([set.has(0), set.delete(0)], [false, false]);
  set.add(1);
  assert.deepEqual([set.has(0), set.delete(0), set.size], [false, false, 1]);
});

test("a set that was emptied takes entries again, also after a burst", () => {
  const set = new SequenceSet();
  for (let round = 0; round < 3; round++) {
    for (let sequence = 1; sequence <= 1000; sequence++) assert.ok(set.add(sequence));
    for (let sequence = 1; sequence <= 1000; sequence++) assert.ok(set.delete(sequence));
    assert.equal(set.size, 0);
  }
});
