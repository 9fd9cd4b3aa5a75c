import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../../../src/base/bytes.ts";
import { BytesMap } from "../../../src/base/bytes_map.ts";

test("a bytes map answers as a map of texts, through growth, replacement and deletion", () => {
  let seed = 7;
  const random = (limit: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return Math.floor((seed / 0x8000_0000) * limit);
  };
  const map = new BytesMap<number>(42);
  const model = new Map<string, number>();
  for (let step = 0; step < 30_000; step++) {
    const key = `key-${random(2000)}`;
    const kind = random(3);
    if (kind === 0) {
      map.set(bytesOf(key), step);
      model.set(key, step);
    } else if (kind === 1) {
      assert.equal(map.delete(bytesOf(key)), model.delete(key));
    }
    const framed = bytesOf(`<${key}>`);
    assert.equal(map.get(framed, 1, framed.length - 1), model.get(key));
    assert.equal(map.size, model.size);
  }
});

test("keys that share a bucket are told apart", () => {
  // 64 buckets at first: with 63 keys there are collisions, whatever the seed.
  const map = new BytesMap<string>(0);
  for (let i = 0; i < 63; i++) map.set(bytesOf(`k${i}`), `v${i}`);
  for (let i = 0; i < 63; i++) assert.equal(map.get(bytesOf(`k${i}`)), `v${i}`);
  assert.equal(map.get(bytesOf("k63")), undefined);
  assert.equal(map.get(bytesOf("")), undefined);
});
