import { test } from "node:test";
import assert from "node:assert/strict";
import { MemoryStore } from "../../../src/store/memory/memory_store.ts";
import {
  INDEX_BYTES,
  type PageAllocator,
  POOL_SIZE_MAX,
  SLAB_SIZE_MAX,
  SLAB_SIZE_MIN,
} from "../../../src/store/memory/slabs.ts";
import { isAtOrBefore, stampOfMs, stampToMsCeil } from "../../../src/store/stamp.ts";
import { APPEND_FAILED, LOOKUP_FOUND, type MessageStore, type MessageView } from "../../../src/store/types.ts";
import { byteString, equalsRange } from "../../../src/base/bytes.ts";
import { decodeMsgProto, MsgProtoView } from "../../../src/wire/stan_hot.ts";
import { SeededRandom } from "../../conformance/store/random.ts";
import { testLimits } from "../../conformance/store/suite.ts";

/** Counts what is asked for, and refuses while it is told to. */
class CountingAllocator {
  bytes = 0;
  largest = 0;
  refuses = false;

  readonly allocate: PageAllocator = (size) => {
    if (this.refuses) throw new RangeError("Array buffer allocation failed");
    this.bytes += size;
    this.largest = Math.max(this.largest, size);
    return new ArrayBuffer(size);
  };
}

const MESSAGE = new MsgProtoView();
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
  const messages = new MemoryStore(testLimits(), allocator.allocate).createChannel("foo").messages;
  allocator.refuses = true;
  assert.equal(append(messages, 100), APPEND_FAILED);
  assert.equal(messages.lastError, "not enough memory to store the message");
  assert.equal(messages.lastSequence, 0);
  allocator.refuses = false;
  for (let i = 0; i < 5; i++) assert.ok(append(messages, 100) > 100);
  allocator.refuses = true;
  let stored = 0;
  while (append(messages, 100) !== APPEND_FAILED) stored++;
  assert.ok(stored < 500, "what is left of a page");
  assert.equal(messages.lastSequence, 5 + stored);
  assert.equal(messages.messageCount, 5 + stored);
  assertLast(messages, 100);
  allocator.refuses = false;
  assert.ok(append(messages, 100) > 100);
  assert.equal(messages.lastSequence, 6 + stored);
  assertLast(messages, 100);
});

test("an error that is not about memory is a defect and is thrown on", () => {
  const allocate = () => {
    throw new TypeError("defect");
  };
  const messages = new MemoryStore(testLimits(), allocate).createChannel("foo").messages;
  assert.throws(() => append(messages, 1), TypeError);
});

test("a channel without messages holds no memory, one with a small message a kilobyte", () => {
  const allocator = new CountingAllocator();
  const store = new MemoryStore(testLimits(), allocator.allocate);
  const channels = Array.from({ length: 10_000 }, (_, i) => store.createChannel(`channel.${i}`));
  assert.equal(allocator.bytes, 0);
  for (const { messages } of channels) append(messages, 100);
  assert.ok(allocator.bytes >= 10_000 * SLAB_SIZE_MIN && allocator.bytes <= 10_100 * SLAB_SIZE_MIN);
});

test("slabs grow with what is kept, up to their largest size", () => {
  const allocator = new CountingAllocator();
  const messages = new MemoryStore(testLimits(), allocator.allocate).createChannel("foo").messages;
  let bytes = 0;
  for (let i = 0; i < 60_000; i++) {
    bytes += append(messages, 128) + INDEX_BYTES;
    // Slabs up to 8 KB come in pages of 64 KB, of each size one.
    assert.ok(allocator.bytes <= 1.5 * bytes + 4 * 65_536, "at most half as much again as is kept");
  }
  assert.equal(allocator.largest, SLAB_SIZE_MAX);
});

test("a channel that keeps ten messages never takes a large slab, and re-uses its slabs", () => {
  const allocator = new CountingAllocator();
  const messages = new MemoryStore(testLimits({ maxMessages: 10 }), allocator.allocate).createChannel("foo").messages;
  for (let i = 0; i < 100_000; i++) append(messages, 128);
  assert.ok(allocator.bytes <= 64 * SLAB_SIZE_MIN, "one page");
});

test("a message larger than a slab gets its own of its size and that of its index", () => {
  const allocator = new CountingAllocator();
  const messages = new MemoryStore(testLimits(), allocator.allocate).createChannel("foo").messages;
  append(messages, 10);
  const size = append(messages, SLAB_SIZE_MAX + 1);
  assert.ok(allocator.largest >= size + INDEX_BYTES && allocator.largest < size + INDEX_BYTES + 4);
  assertLast(messages, SLAB_SIZE_MAX + 1);
  append(messages, 10);
  assertLast(messages, 10);
});

test("what is pooled is bounded", () => {
  const allocator = new CountingAllocator();
  const store = new MemoryStore(testLimits(), allocator.allocate);
  const messages = store.createChannel("foo").messages;
  const fill = () => {
    while (messages.byteCount < 4 * POOL_SIZE_MAX) append(messages, 100_000);
  };
  fill();
  const first = allocator.bytes;
  messages.empty();
  fill();
  const reused = 2 * first - allocator.bytes;
  assert.ok(reused > POOL_SIZE_MAX / 2 && reused <= POOL_SIZE_MAX, `${reused} bytes were used twice`);
});

test("3: channels that share pages keep their messages apart, whatever their sizes are", () => {
  const random = new SeededRandom(11);
  const allocator = new CountingAllocator();
  const store = new MemoryStore(testLimits({ maxMessages: 40 }), allocator.allocate);
  const channels = Array.from({ length: 50 }, (_, i) => store.createChannel(`channel.${i}`).messages);
  const kept = channels.map((): { start: number; end: number }[] => []);
  const view: MessageView = { buffer: SOURCE, start: 0, end: 0, stampHigh: 0, stampLow: 0 };
  for (let i = 0; i < 40_000; i++) {
    const at = random.below(channels.length);
    const messages = channels[at]!;
    const start = random.below(1000);
    // Mostly none at all, so that the index is what fills a slab.
    const end = start + (random.below(4) > 0 ? random.below(3) : random.below(3000));
    messages.append(messages.lastSequence + 1, 411_000_000, i, SOURCE, 0, 0, start, end);
    kept[at]!.push({ start, end });
    if (random.below(50) === 0) messages.purge(messages.firstSequence + random.below(30));
    if (i % 500 > 0) continue;
    for (const [c, one] of channels.entries()) {
      for (let sequence = one.firstSequence; sequence <= one.lastSequence && sequence > 0; sequence++) {
        assert.equal(one.lookup(sequence, view), LOOKUP_FOUND);
        assert.ok(decodeMsgProto(view.buffer, view.start, view.end, MESSAGE));
        const expected = kept[c]![sequence - 1]!;
        assert.equal(MESSAGE.sequence, sequence);
        assert.equal(MESSAGE.stampLow, view.stampLow);
        assert.equal(byteString(view.buffer, MESSAGE.subjectStart, MESSAGE.subjectEnd), `channel.${c}`);
        assert.ok(
          equalsRange(SOURCE.subarray(expected.start, expected.end), view.buffer, MESSAGE.dataStart, MESSAGE.dataEnd),
        );
      }
    }
  }
  assert.ok(allocator.bytes < 40 * 65_536, "what was given up is used again");
});

test("3: pages without a message go back, those with one stay whole", () => {
  const allocator = new CountingAllocator();
  const store = new MemoryStore(testLimits(), allocator.allocate);
  const many = Array.from({ length: 20_000 }, (_, i) => store.createChannel(`channel.${i}`).messages);
  for (const messages of many) append(messages, 100);
  const first = allocator.bytes;
  for (const messages of many) messages.empty();
  for (const messages of many) append(messages, 100);
  const again = allocator.bytes - first;
  assert.ok(again > 0 && again >= first - POOL_SIZE_MAX && again <= first - POOL_SIZE_MAX / 2, `${again} of ${first}`);
  for (const messages of many) assertLast(messages, 100);
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
