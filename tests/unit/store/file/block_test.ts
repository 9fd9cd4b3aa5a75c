// The cache of message blocks (stores.md 10: memory is flat, messages stay on disk).
import assert from "node:assert/strict";
import { test } from "node:test";
import { Block, BlockCache, type BlockOwner } from "../../../../src/store/file/block.ts";
import { Slice } from "../../../../src/store/file/slice.ts";

const KB = 1024;

interface Setup {
  readonly cache: BlockCache;
  readonly evicted: Block[];
  readonly endTurn: () => void;
  add(size: number, messageCount?: number): Block;
}

function setup(maxBytes: number): Setup {
  const waiting: (() => void)[] = [];
  const cache = new BlockCache(maxBytes, (work) => waiting.push(work));
  const evicted: Block[] = [];
  const owner: BlockOwner = { evicted: (block) => void evicted.push(block) };
  // Only carried along: the cache never looks at it.
  const slice: Slice = Object.create(Slice.prototype);
  let sequence = 1;
  return {
    cache,
    evicted,
    endTurn: () => {
      for (const work of waiting.splice(0)) work();
    },
    add(size, messageCount = 0) {
      const block = new Block(owner, slice, sequence, 0, cache.buffer(size), 1);
      cache.add(block);
      for (let i = 0; i < messageCount; i++) block.add(i * 10 + 8, i * 10 + 10);
      cache.completed(block);
      sequence += messageCount;
      return block;
    },
  };
}

test("stores 10: blocks whose index grows after they were added do not lift the bound", () => {
  const { cache, add } = setup(1024 * KB);
  const blocks: Block[] = [];
  for (let i = 0; i < 500; i++) blocks.push(add(100 * KB, 2000));
  const kept = blocks.filter(({ cached }) => cached);
  const bytes = kept.reduce((sum, block) => sum + block.costBytes, 0);
  assert.ok(kept.length > 3);
  assert.ok(bytes <= 1024 * KB, `${bytes} bytes`);
  assert.equal(cache.bytes, bytes);
});

test("stores 10: the buffer of a block that was given up is used again after the turn, not within it", () => {
  const { cache, evicted, add, endTurn } = setup(600 * KB);
  add(200 * KB);
  add(200 * KB);
  add(200 * KB);
  assert.equal(evicted.length, 1);
  const { bytes } = evicted[0]!;
  assert.notEqual(cache.buffer(200 * KB), bytes);
  endTurn();
  assert.equal(cache.buffer(200 * KB), bytes);
  assert.notEqual(cache.buffer(200 * KB), bytes);
});

test("stores 10: a buffer is never smaller than asked for, and few are kept", () => {
  const { cache, evicted, add, endTurn } = setup(1);
  for (const size of [1, 128 * KB - 1, 128 * KB, 256 * KB, 256 * KB + 1, 512 * KB, 512 * KB + 1, 3000 * KB]) {
    assert.ok(cache.buffer(size).length >= size, String(size));
  }
  for (let i = 0; i < 100; i++) add(500 * KB);
  endTurn();
  const known = new Set(evicted.map(({ bytes }) => bytes));
  let again = 0;
  for (let i = 0; i < 100; i++) if (known.has(cache.buffer(500 * KB))) again++;
  assert.equal(again, 8);
});
