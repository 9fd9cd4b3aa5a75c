import assert from "node:assert/strict";
import { test } from "node:test";
import { PLAIN_CACHE_BYTES_MAX, PlainCache } from "../../../../src/store/crypt/plain_cache.ts";
import type { MessageView } from "../../../../src/store/types.ts";

function put(cache: PlainCache, id: number, sequence: number, bytes: Uint8Array): void {
  cache.reserve(bytes.length);
  cache.buffer.set(bytes, cache.at);
  cache.keep(id, sequence, cache.at + bytes.length);
}

function newView(): MessageView {
  return { buffer: new Uint8Array(0), start: 0, end: 0 };
}

function found(cache: PlainCache, id: number, sequence: number): Uint8Array | undefined {
  const view = newView();
  if (!cache.find(id, sequence, view)) return undefined;
  return view.buffer.slice(view.start, view.end);
}

/** Bytes that tell which message they are, of one of many sizes. */
function bytesFor(id: number, sequence: number): Uint8Array {
  const size = 1 + (sequence * 977 + id * 331) % (sequence % 50 === 0 ? 300_000 : 3000);
  return new Uint8Array(size).fill((sequence * 7 + id) & 255);
}

test("what is found is what was kept under that id and sequence; never more memory than the bound", () => {
  const cache = new PlainCache();
  const ids = [cache.newId(), cache.newId(), cache.newId()];
  let hits = 0;
  for (let sequence = 1; sequence <= 5000; sequence++) {
    for (const id of ids) {
      put(cache, id, sequence, bytesFor(id, sequence));
      assert.ok(cache.keptBytes <= PLAIN_CACHE_BYTES_MAX);
      assert.deepEqual(found(cache, id, sequence), bytesFor(id, sequence));
      const other = 1 + (sequence * 7919) % sequence;
      const older = found(cache, id, other);
      if (older === undefined) continue;
      hits++;
      assert.deepEqual(older, bytesFor(id, other));
    }
    // A few thousand bytes per round: the last hundred rounds are far below the bound.
    const recent = Math.max(1, sequence - 100);
    for (const id of ids) assert.deepEqual(found(cache, id, recent), bytesFor(id, recent));
  }
  assert.ok(hits > 100, String(hits));
  assert.equal(found(cache, ids[0]!, 1), undefined);
});

test("bytes that were handed out never change, however much is kept afterwards", () => {
  const cache = new PlainCache();
  const id = cache.newId();
  const views: [MessageView, Uint8Array][] = [];
  for (let sequence = 1; sequence <= 4000; sequence++) {
    const bytes = bytesFor(id, sequence);
    put(cache, id, sequence, bytes);
    const view = newView();
    assert.ok(cache.find(id, sequence, view));
    if (sequence % 10 === 0) views.push([view, bytes]);
    // Written and not kept: the next one is written over it, not over what was kept.
    cache.reserve(500);
    cache.buffer.fill(0xff, cache.at, cache.at + 500);
  }
  for (const [{ buffer, start, end }, bytes] of views) assert.deepEqual(buffer.slice(start, end), bytes);
});

test("a large message does not leave a shared chunk half empty, and the largest are not kept", () => {
  const cache = new PlainCache();
  const id = cache.newId();
  for (let sequence = 1; sequence <= 40; sequence++) {
    put(cache, id, sequence, new Uint8Array(sequence % 2 ? 100 : 70_000));
  }
  assert.equal(cache.keptBytes, 256 * 1024 + 20 * 70_000);
  assert.equal(found(cache, id, 1)?.length, 100);
  const before = cache.keptBytes;
  assert.equal(cache.takes(3_000_000), false);
  put(cache, id, 41, new Uint8Array(3_000_000));
  assert.equal(cache.keptBytes, before);
  assert.equal(found(cache, id, 41), undefined);
});

test("what is forgotten is not found: one message, a channel with a new id, everything", () => {
  const cache = new PlainCache();
  const id = cache.newId();
  const other = cache.newId();
  assert.notEqual(id, other);
  put(cache, id, 1, Uint8Array.of(1));
  put(cache, id, 2, Uint8Array.of(2));
  cache.forget(id, 1);
  cache.forget(other, 2);
  assert.equal(found(cache, id, 1), undefined);
  assert.deepEqual(found(cache, id, 2), Uint8Array.of(2));
  assert.equal(found(cache, other, 2), undefined);
  // A message that is too large takes the place of the one that had its sequence before.
  put(cache, id, 2, new Uint8Array(3_000_000));
  assert.equal(found(cache, id, 2), undefined);
  put(cache, id, 3, Uint8Array.of(3));
  cache.clear();
  assert.equal(found(cache, id, 3), undefined);
  assert.equal(cache.keptBytes, 0);
  put(cache, id, 4, Uint8Array.of(4));
  assert.deepEqual(found(cache, id, 4), Uint8Array.of(4));
});
