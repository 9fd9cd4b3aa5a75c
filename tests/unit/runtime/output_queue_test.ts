/** The queue of bytes between a connection and its socket adapter (runtime.md 1.5, 15). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHUNK_SIZE_BYTES, OutputQueue } from "../../../src/runtime/output_queue.ts";
import { patternBytes, sameBytes } from "../../helpers/sockets.ts";

/** Takes bytes from the front as an adapter does, at most `step` at a time. */
function takeAll(queue: OutputQueue, step = Infinity): Uint8Array {
  queue.seal();
  const parts: Uint8Array[] = [];
  while (queue.chunks.length > 0) {
    const chunk = queue.chunks[0];
    assert.ok(chunk !== undefined);
    const count = Math.min(step, chunk.end - chunk.start);
    parts.push(chunk.buffer.slice(chunk.start, chunk.start + count));
    queue.consumed(count);
  }
  assert.equal(queue.pendingBytes, 0);
  return Buffer.concat(parts);
}

const EDGES = [0, 1, 2, CHUNK_SIZE_BYTES - 1, CHUNK_SIZE_BYTES, CHUNK_SIZE_BYTES + 1, 3 * CHUNK_SIZE_BYTES];

for (const first of EDGES) {
  for (const second of EDGES) {
    test(`runtime 1.5: ${first} + ${second} bytes come out as they went in`, () => {
      const queue = new OutputQueue();
      const left = patternBytes(first, 1);
      const right = patternBytes(second, 2);
      queue.append(left);
      queue.append(right);
      assert.equal(queue.pendingBytes, first + second);
      assert.ok(sameBytes(takeAll(queue), Buffer.concat([left, right])));
    });
  }
}

test("runtime 1.5: appends of every small size slide across the border of a chunk", () => {
  for (let rest = 0; rest <= 64; rest++) {
    for (const size of [1, 31, 32, 33, 64]) {
      const queue = new OutputQueue();
      const filler = patternBytes(CHUNK_SIZE_BYTES - rest, 3);
      const piece = patternBytes(size, 4);
      queue.append(filler);
      queue.append(piece);
      assert.ok(sameBytes(takeAll(queue, 40_000), Buffer.concat([filler, piece])), `${rest} left, ${size} more`);
      queue.release();
    }
  }
});

test("runtime 15: append takes a range", () => {
  const queue = new OutputQueue();
  const bytes = patternBytes(100);
  queue.append(bytes, 10, 20);
  queue.append(bytes, 0, 0);
  queue.append(bytes, 99);
  assert.ok(sameBytes(takeAll(queue), Buffer.concat([bytes.subarray(10, 20), bytes.subarray(99)])));
});

test("runtime 15: reserve gives contiguous room and never moves what is there", () => {
  const queue = new OutputQueue();
  queue.reserve(10);
  queue.buffer[0] = 65;
  queue.length += 1;
  queue.reserve(CHUNK_SIZE_BYTES);
  assert.ok(queue.buffer.length - queue.length >= CHUNK_SIZE_BYTES);
  assert.equal(queue.pendingBytes, 1);
  queue.buffer.fill(66, queue.length, queue.length + 5);
  queue.length += 5;
  queue.reserve(5 * CHUNK_SIZE_BYTES);
  assert.ok(queue.buffer.length >= 5 * CHUNK_SIZE_BYTES);
  assert.equal(Buffer.from(takeAll(queue)).toString(), "ABBBBB");
});

test("runtime 15: consumed counts across chunks, whatever the steps", () => {
  for (const step of [1000, CHUNK_SIZE_BYTES - 1, CHUNK_SIZE_BYTES, CHUNK_SIZE_BYTES + 1, 200_000]) {
    const queue = new OutputQueue();
    const sent = patternBytes(4 * CHUNK_SIZE_BYTES + 100, 5);
    for (let at = 0; at < sent.length; at += 777) queue.append(sent, at, Math.min(at + 777, sent.length));
    queue.seal();
    let left = queue.pendingBytes;
    assert.equal(left, sent.length);
    let at = 0;
    while (left > 0) {
      const front = queue.chunks[0];
      assert.ok(front !== undefined);
      assert.equal(front.buffer[front.start], sent[at], `byte ${at}`);
      const count = Math.min(step, left);
      queue.consumed(count);
      left -= count;
      at += count;
      assert.equal(queue.pendingBytes, left);
    }
    assert.equal(queue.chunks.length, 0);
  }
});

test("runtime 15: consumed of exactly one chunk leaves the next one untouched", () => {
  const queue = new OutputQueue();
  queue.append(patternBytes(10, 6));
  queue.seal();
  queue.append(patternBytes(10, 7));
  queue.seal();
  queue.consumed(10);
  assert.equal(queue.chunks.length, 1);
  assert.equal(queue.chunks[0]?.start, 0);
  assert.ok(sameBytes(takeAll(queue), patternBytes(10, 7)));
});

test("runtime 15: a chunk written in place is used again", () => {
  const queue = new OutputQueue();
  queue.append(patternBytes(10));
  const { buffer } = queue;
  queue.consumedInPlace();
  assert.equal(queue.pendingBytes, 0);
  queue.append(patternBytes(20));
  assert.equal(queue.buffer, buffer);
  assert.equal(queue.length, 20);
});

test("runtime 1.5: two queues never share a chunk that is in use", () => {
  const queues = Array.from({ length: 20 }, () => new OutputQueue());
  for (let round = 0; round < 50; round++) {
    const sizes = queues.map((_, index) => (index * 7919 + round * 104_729) % (2 * CHUNK_SIZE_BYTES + 3));
    queues.forEach((queue, index) => queue.append(patternBytes(sizes[index] ?? 0, index + 1)));
    // Some let go of theirs early, so that the pool goes round.
    queues.forEach((queue, index) => {
      if ((index + round) % 3 !== 0) return;
      assert.ok(sameBytes(takeAll(queue, 50_000), patternBytes(sizes[index] ?? 0, index + 1)));
      queue.release();
      queue.append(patternBytes(sizes[index] ?? 0, index + 1));
    });
    const inUse = new Set<Uint8Array>();
    for (const queue of queues) {
      const own = [...queue.chunks.map((chunk) => chunk.buffer), ...(queue.length > 0 ? [queue.buffer] : [])];
      for (const buffer of own) {
        assert.ok(!inUse.has(buffer));
        inUse.add(buffer);
      }
    }
    queues.forEach((queue, index) => {
      assert.ok(sameBytes(takeAll(queue), patternBytes(sizes[index] ?? 0, index + 1)), `queue ${index}`);
      if (index % 2 === 0) queue.release();
    });
  }
});

test("runtime 1.5: release gives an idle chunk away and keeps a used one; clear drops everything", () => {
  const queue = new OutputQueue();
  queue.append(patternBytes(10));
  queue.release();
  assert.equal(queue.pendingBytes, 10);
  assert.ok(sameBytes(takeAll(queue), patternBytes(10)));
  queue.release();
  assert.equal(queue.buffer.length, 0);
  queue.release();
  queue.append(patternBytes(3 * CHUNK_SIZE_BYTES));
  queue.append(patternBytes(10));
  queue.clear();
  assert.equal(queue.pendingBytes, 0);
  assert.equal(queue.chunks.length, 0);
  assert.equal(queue.buffer.length, 0);
});
