import { test } from "node:test";
import assert from "node:assert/strict";
import { MemoryStore } from "../../../src/store/memory/memory_store.ts";
import { POOL_SIZE_MAX, SLAB_SIZE_MAX, SLAB_SIZE_MIN, type SlabAllocator } from "../../../src/store/memory/slabs.ts";
import { isAtOrBefore, stampOfMs, stampToMsCeil } from "../../../src/store/stamp.ts";
import { APPEND_FAILED, LOOKUP_FOUND, type MessageStore, type MessageView } from "../../../src/store/types.ts";
import { SeededRandom } from "../../conformance/store/random.ts";
import { testLimits } from "../../conformance/store/suite.ts";

/** Counts what is asked for, and refuses while it is told to. */
class CountingAllocator implements SlabAllocator {
  slabBytes = 0;
  indexBytes = 0;
  slabCount = 0;
  slabBytesLargest = 0;
  refuses = false;

  bytes(size: number): Uint8Array {
    this.#refuse();
    this.slabBytes += size;
    this.slabCount++;
    this.slabBytesLargest = Math.max(this.slabBytesLargest, size);
    return new Uint8Array(size);
  }

  words(count: number): Uint32Array {
    this.#refuse();
    this.indexBytes += count * 4;
    return new Uint32Array(count);
  }

  #refuse(): void {
    if (this.refuses) throw new RangeError("Array buffer allocation failed");
  }
}

const SOURCE = new Uint8Array(3 * SLAB_SIZE_MAX).map((_, i) => i % 251);

function append(messages: MessageStore, length: number, stampLow = 1): number {
  return messages.append(messages.lastSequence + 1, 411_000_000, stampLow, SOURCE, 0, 0, 0, length);
}

function assertLast(messages: MessageStore, length: number): void {
  const view: MessageView = { buffer: SOURCE, start: 0, end: 0, stampHigh: 0, stampLow: 0 };
  assert.equal(messages.lookup(messages.lastSequence, view), LOOKUP_FOUND);
  assert.ok(view.end - view.start > length);
}

test("3: memory that the runtime refuses fails that append only, and the store stays usable", () => {
  const allocator = new CountingAllocator();
  const messages = new MemoryStore(testLimits(), allocator).createChannel("foo").messages;
  allocator.refuses = true;
  assert.equal(append(messages, 100), APPEND_FAILED);
  assert.equal(messages.lastError, "not enough memory to store the message");
  assert.equal(messages.lastSequence, 0);
  allocator.refuses = false;
  for (let i = 0; i < 5; i++) assert.ok(append(messages, 100) > 100);
  allocator.refuses = true;
  let stored = 0;
  while (append(messages, 100) !== APPEND_FAILED) stored++;
  assert.ok(stored < 20);
  assert.equal(messages.lastSequence, 5 + stored);
  assert.equal(messages.messageCount, 5 + stored);
  assertLast(messages, 100);
  allocator.refuses = false;
  assert.ok(append(messages, 100) > 100);
  assert.equal(messages.lastSequence, 6 + stored);
  assertLast(messages, 100);
});

test("3: an index that cannot grow fails the append and loses nothing", () => {
  const allocator = new CountingAllocator();
  const messages = new MemoryStore(testLimits(), allocator).createChannel("foo").messages;
  // A large first message makes the index of its slab short.
  append(messages, 700);
  let sequence = 1;
  allocator.refuses = true;
  while (append(messages, 1) !== APPEND_FAILED) sequence++;
  assert.equal(messages.lastSequence, sequence);
  allocator.refuses = false;
  const before = allocator.slabCount;
  assert.ok(append(messages, 1) > 0);
  assert.equal(allocator.slabCount, before, "the index grew, the slab stayed");
  assert.equal(messages.lastSequence, sequence + 1);
});

test("an error that is not about memory is a defect and is thrown on", () => {
  const allocator: SlabAllocator = {
    bytes: () => {
      throw new TypeError("defect");
    },
    words: (count) => new Uint32Array(count),
  };
  const messages = new MemoryStore(testLimits(), allocator).createChannel("foo").messages;
  assert.throws(() => append(messages, 1), TypeError);
});

test("a channel without messages holds no memory, one with a small message a kilobyte", () => {
  const allocator = new CountingAllocator();
  const store = new MemoryStore(testLimits(), allocator);
  const channels = Array.from({ length: 10_000 }, (_, i) => store.createChannel(`channel.${i}`));
  assert.equal(allocator.slabBytes + allocator.indexBytes, 0);
  for (const { messages } of channels) append(messages, 100);
  assert.equal(allocator.slabBytes, 10_000 * SLAB_SIZE_MIN);
  assert.ok(allocator.indexBytes < 10_000 * 256);
});

test("slabs grow with what is kept, up to their largest size", () => {
  const allocator = new CountingAllocator();
  const messages = new MemoryStore(testLimits(), allocator).createChannel("foo").messages;
  let bytes = 0;
  for (let i = 0; i < 60_000; i++) {
    bytes += append(messages, 128);
    assert.ok(allocator.slabBytes <= 1.5 * bytes + 2 * SLAB_SIZE_MIN, "at most half as much again as is kept");
  }
  assert.equal(allocator.slabBytesLargest, SLAB_SIZE_MAX);
  assert.ok(allocator.indexBytes <= 24 * 60_000, "at most 24 bytes of index per message");
});

test("a channel that keeps ten messages never takes a large slab, and re-uses its slabs", () => {
  const allocator = new CountingAllocator();
  const messages = new MemoryStore(testLimits({ maxMessages: 10 }), allocator).createChannel("foo").messages;
  for (let i = 0; i < 100_000; i++) append(messages, 128);
  assert.ok(allocator.slabBytesLargest <= 4 * SLAB_SIZE_MIN);
  assert.ok(allocator.slabBytes + allocator.indexBytes < 64 * SLAB_SIZE_MIN);
});

test("a message larger than a slab gets its own of exactly its size", () => {
  const allocator = new CountingAllocator();
  const messages = new MemoryStore(testLimits(), allocator).createChannel("foo").messages;
  append(messages, 10);
  const size = append(messages, SLAB_SIZE_MAX + 1);
  assert.equal(allocator.slabBytesLargest, size);
  assertLast(messages, SLAB_SIZE_MAX + 1);
  append(messages, 10);
  assertLast(messages, 10);
});

test("what is pooled is bounded", () => {
  const allocator = new CountingAllocator();
  const store = new MemoryStore(testLimits(), allocator);
  const messages = store.createChannel("foo").messages;
  const fill = () => {
    while (messages.byteCount < 4 * POOL_SIZE_MAX) append(messages, 100_000);
  };
  fill();
  const first = allocator.slabBytes;
  messages.empty();
  fill();
  const reused = 2 * first - allocator.slabBytes;
  assert.ok(reused > POOL_SIZE_MAX / 2 && reused <= POOL_SIZE_MAX, `${reused} bytes were used twice`);
});

test("2.4: a million messages of one age go slab by slab", () => {
  const store = new MemoryStore(testLimits({ maxAgeMs: 1 }));
  const messages = store.createChannel("foo").messages;
  for (let i = 0; i < 50_000; i++) append(messages, 16, i < 49_999 ? 1 : 3_000_000_000);
  const again = messages.expire(411_000_000, 3_000_000_000);
  assert.equal(messages.firstSequence, 50_000);
  assert.equal(messages.messageCount, 1);
  assert.ok(again > 0);
});

test("appending with another sequence than the next is a broken invariant", () => {
  const messages = new MemoryStore(testLimits()).createChannel("foo").messages;
  append(messages, 1);
  for (const sequence of [1, 3, 0, -1]) {
    assert.throws(() => messages.append(sequence, 1, 1, SOURCE, 0, 0, 0, 1), /behind the last one/);
  }
});

test("stamps: milliseconds to halves and back are exact", () => {
  const random = new SeededRandom(5);
  for (let i = 0; i < 2000; i++) {
    const ns = ((BigInt(random.below(2 ** 32)) << 32n) | BigInt(random.below(2 ** 32))) >> BigInt(random.below(40));
    const ms = stampToMsCeil(Number(ns >> 32n), Number(ns & 0xffff_ffffn));
    assert.equal(BigInt(ms), (ns + 999_999n) / 1_000_000n);
  }
  assert.deepEqual(stampOfMs(0), { high: 0, low: 0 });
  assert.deepEqual(stampOfMs(1.5), { high: 0, low: 1_500_000 });
  const year = 365 * 86_400_000;
  const { high, low } = stampOfMs(100 * year);
  assert.equal((BigInt(high) << 32n) | BigInt(low), BigInt(100 * year) * 1_000_000n);
  assert.equal(isAtOrBefore(1, 0, 0, 5), false);
  assert.equal(isAtOrBefore(1, 5, 1, 5), true);
  assert.equal(isAtOrBefore(0, 6, 1, 5), true);
});
