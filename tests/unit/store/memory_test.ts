import { test } from "node:test";
import assert from "node:assert/strict";
import { MemoryStore } from "../../../src/store/memory/memory_store.ts";
import {
  CHUNK_ENTRIES_MIN,
  ENTRY_WORDS,
  PAGE_ENTRIES,
  POOL_ENTRIES_MAX,
} from "../../../src/store/memory/index_pool.ts";
import {
  type Allocator,
  HOLES_KEPT_BYTES,
  OWN_KEPT_BYTES,
  POOL_COUNT_MAX,
  RECORD_HEADER_BYTES,
  RECORD_OVERHEAD_MAX,
  SHARED_BYTES_MAX,
  SLAB_BYTES,
} from "../../../src/store/memory/shared_log.ts";
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
  /** Gives or throws in its place. */
  instead: Allocator | undefined = undefined;

  readonly allocate: Allocator = (size) => {
    if (this.instead !== undefined) return this.instead(size);
    if (this.refuses) throw new RangeError("Array buffer allocation failed");
    this.bytes += size;
    this.largest = Math.max(this.largest, size);
    return new ArrayBuffer(size);
  };
}

const ENTRY_BYTES = ENTRY_WORDS * 4;
const PAGE_BYTES = PAGE_ENTRIES * ENTRY_BYTES;
const MESSAGE = new MsgProtoView();
const SOURCE = new Uint8Array(3 * SLAB_BYTES).map((_, i) => i % 251);

function append(messages: MessageStore, length: number, stampLow = 1): number {
  return messages.append(messages.lastSequence + 1, 411_000_000, stampLow, SOURCE, 0, 0, 0, length);
}

function assertLast(messages: MessageStore, length: number): void {
  const view: MessageView = { buffer: SOURCE, start: 0, end: 0 };
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
  assert.ok(stored >= CHUNK_ENTRIES_MIN && stored < 10_000, "what is left of a slab and of a page");
  assert.equal(messages.lastSequence, 5 + stored);
  assert.equal(messages.messageCount, 5 + stored);
  assertLast(messages, 100);
  allocator.refuses = false;
  assert.ok(append(messages, 100) > 100);
  assert.equal(messages.lastSequence, 6 + stored);
  assertLast(messages, 100);
});

test("3: nothing is left behind by an append that finds room for the message and none for its index entry", () => {
  const allocator = new CountingAllocator();
  const store = new MemoryStore(testLimits(), allocator.allocate);
  const length = SHARED_BYTES_MAX + 1;
  const channels = Array.from({ length: 2 * PAGE_ENTRIES / CHUNK_ENTRIES_MIN }, (_, i) => store.createChannel(`c${i}`));
  append(channels[0]!.messages, 100);
  // The page of the smallest chunks is full when so many channels have one.
  let failed = 0;
  for (const { messages } of channels.slice(1)) {
    allocator.refuses = allocator.bytes >= SLAB_BYTES + PAGE_BYTES && messages.messageCount === 0;
    if (append(messages, 1) === APPEND_FAILED) failed++;
  }
  assert.equal(failed, channels.length - PAGE_ENTRIES / CHUNK_ENTRIES_MIN);
  // Memory for a message of its own is there, for another page it is not; however often, it is given back.
  allocator.refuses = false;
  for (let i = 0; i < 9; i++) append(channels[0]!.messages, 100_000);
  const { messages } = channels.at(-1)!;
  let asked = 0;
  let largeCount = 0;
  allocator.instead = (size) => {
    if (size === PAGE_BYTES) {
      asked++;
      throw new RangeError("Array buffer allocation failed");
    }
    largeCount++;
    return new ArrayBuffer(8); // Nobody writes to it.
  };
  const times = 40_000; // More than there are numbers of slabs.
  for (let i = 0; i < times; i++) assert.equal(append(messages, length), APPEND_FAILED);
  assert.deepEqual([asked, largeCount], [times, times]);
  allocator.instead = undefined;
  assert.ok(append(messages, length) > length);
  assertLast(messages, length);
  assert.ok(append(messages, 100) > 100);
  assertLast(messages, 100);
  assert.deepEqual([messages.firstSequence, messages.lastSequence], [1, 2]);
});

test("a channel that is deleted leaves nothing in the log, not even its number", () => {
  const store = new MemoryStore(testLimits());
  const numbers = new Set<number>();
  for (let i = 0; i < 100; i++) {
    const { messages } = store.createChannel("foo");
    append(messages, 10);
    const view: MessageView = { buffer: SOURCE, start: 0, end: 0 };
    assert.equal(messages.lookup(1, view), LOOKUP_FOUND);
    numbers.add(new DataView(view.buffer.buffer).getInt32(view.start - RECORD_HEADER_BYTES, true));
    store.deleteChannel("foo");
  }
  assert.equal(numbers.size, 1);
});

test("an error that is not about memory is a defect and is thrown on", () => {
  const allocate = () => {
    throw new TypeError("defect");
  };
  const messages = new MemoryStore(testLimits(), allocate).createChannel("foo").messages;
  assert.throws(() => append(messages, 1), TypeError);
});

test("a channel without messages holds no memory, one with a small message 16 entries beside it", () => {
  const allocator = new CountingAllocator();
  const store = new MemoryStore(testLimits(), allocator.allocate);
  const channels = Array.from({ length: 10_000 }, (_, i) => store.createChannel(`channel.${i}`));
  assert.equal(allocator.bytes, 0);
  let bytes = 0;
  for (const { messages } of channels) bytes += append(messages, 100) + RECORD_OVERHEAD_MAX;
  const indexBytes = 10_000 * CHUNK_ENTRIES_MIN * ENTRY_BYTES;
  assert.ok(allocator.bytes <= bytes + SLAB_BYTES + indexBytes + PAGE_BYTES, String(allocator.bytes));
});

test("chunks of the index grow with what is kept", () => {
  const allocator = new CountingAllocator();
  const messages = new MemoryStore(testLimits(), allocator.allocate).createChannel("foo").messages;
  let bytes = 0;
  for (let i = 0; i < 60_000; i++) {
    bytes += append(messages, 128) + RECORD_OVERHEAD_MAX;
    // A page of each size of chunks may be used in part.
    const indexBytes = 1.5 * i * ENTRY_BYTES + 10 * PAGE_BYTES;
    assert.ok(allocator.bytes <= bytes + 2 * SLAB_BYTES + indexBytes, "at most half as much again as is kept");
  }
  assert.equal(allocator.largest, SLAB_BYTES);
});

test("a channel that keeps ten messages uses two slabs in turn", () => {
  const allocator = new CountingAllocator();
  const messages = new MemoryStore(testLimits({ maxMessages: 10 }), allocator.allocate).createChannel("foo").messages;
  for (let i = 0; i < 100_000; i++) append(messages, 128);
  assert.equal(allocator.bytes, 2 * SLAB_BYTES + PAGE_BYTES);
});

test("a channel whose messages all go before the slab is full needs no other one", () => {
  const allocator = new CountingAllocator();
  const messages = new MemoryStore(testLimits(), allocator.allocate).createChannel("foo").messages;
  for (let i = 0; i < 100_000; i++) {
    append(messages, 128);
    messages.purge(messages.lastSequence);
  }
  assert.equal(allocator.bytes, SLAB_BYTES + PAGE_BYTES);
});

test("a large message that has no room gets memory of its own, and the slab takes the ones behind it", () => {
  for (const length of [SHARED_BYTES_MAX + 1, SLAB_BYTES - 8 - 20, SLAB_BYTES + 1]) {
    const allocator = new CountingAllocator();
    const messages = new MemoryStore(testLimits(), allocator.allocate).createChannel("foo").messages;
    for (let i = 0; i < 9; i++) append(messages, 100_000);
    append(messages, 10);
    const before = allocator.bytes;
    for (let i = 0; i < 4; i++) {
      const size = append(messages, length);
      assert.ok(allocator.bytes >= before + (i + 1) * size);
      // And once the slab of its own that a channel gets that keeps much.
      assert.ok(allocator.bytes <= before + (i + 1) * (size + RECORD_OVERHEAD_MAX) + SLAB_BYTES);
      assertLast(messages, length);
      append(messages, 10);
      assertLast(messages, 10);
    }
    assert.ok(allocator.largest <= Math.max(SLAB_BYTES, length + 100));
    messages.purge(17);
    assertLast(messages, 10);
  }
});

test("what is pooled is bounded", () => {
  const allocator = new CountingAllocator();
  const store = new MemoryStore(testLimits(), allocator.allocate);
  const messages = store.createChannel("foo").messages;
  const fill = () => {
    while (messages.byteCount < 4 * POOL_COUNT_MAX * SLAB_BYTES) append(messages, 100_000);
  };
  fill();
  const first = allocator.bytes;
  messages.empty();
  fill();
  const reused = 2 * first - allocator.bytes;
  // The last slab is not given up, it begins again.
  const bound = (POOL_COUNT_MAX + 1) * SLAB_BYTES + POOL_ENTRIES_MAX * ENTRY_BYTES;
  assert.ok(reused >= POOL_COUNT_MAX * SLAB_BYTES && reused <= bound, `${reused} bytes were used twice`);
});

interface KeptRange {
  readonly start: number;
  readonly end: number;
  readonly stampLow: number;
}

function assertKept(messages: MessageStore, channel: string, kept: readonly KeptRange[]): void {
  const view: MessageView = { buffer: SOURCE, start: 0, end: 0 };
  let bytes = 0;
  for (let sequence = messages.firstSequence; sequence <= messages.lastSequence && sequence > 0; sequence++) {
    assert.equal(messages.lookup(sequence, view), LOOKUP_FOUND);
    assert.ok(decodeMsgProto(view.buffer, view.start, view.end, MESSAGE));
    const expected = kept[sequence - 1]!;
    assert.equal(MESSAGE.sequence, sequence);
    assert.equal(MESSAGE.stampLow, expected.stampLow);
    assert.equal(byteString(view.buffer, MESSAGE.subjectStart, MESSAGE.subjectEnd), channel);
    assert.ok(
      equalsRange(SOURCE.subarray(expected.start, expected.end), view.buffer, MESSAGE.dataStart, MESSAGE.dataEnd),
    );
    bytes += view.end - view.start;
  }
  assert.equal(messages.byteCount, bytes);
}

test("3: channels that share the log keep their messages apart, whatever is removed, deleted and made anew", () => {
  const random = new SeededRandom(11);
  const allocator = new CountingAllocator();
  const store = new MemoryStore(testLimits({ maxMessages: 400 }), allocator.allocate);
  const channels = Array.from({ length: 50 }, (_, i) => {
    return { name: `channel.${i}`, messages: store.createChannel(`channel.${i}`).messages, kept: [] as KeptRange[] };
  });
  for (let i = 0; i < 60_000; i++) {
    // The first channels are published to a hundred times as often as the last ones, whose messages stay between theirs.
    const channel = channels[random.below(random.below(random.below(channels.length) + 1) + 1)]!;
    const start = random.below(1000);
    const end = start + (random.below(400) === 0 ? random.below(2 * SHARED_BYTES_MAX) : random.below(1500));
    channel.messages.append(channel.messages.lastSequence + 1, 411_000_000, i, SOURCE, 0, 0, start, end);
    channel.kept.push({ start, end, stampLow: i });
    if (random.below(200) === 0) {
      channel.messages.purge(
        Math.min(channel.messages.lastSequence, channel.messages.firstSequence + random.below(300)),
      );
    }
    if (random.below(2000) === 0) {
      store.deleteChannel(channel.name);
      channel.messages = store.createChannel(channel.name).messages;
      channel.kept = [];
    }
    if (random.below(2000) === 0) {
      channel.messages.empty();
      channel.kept = [];
    }
    if (i % 1000 === 999) { for (const { messages, name, kept } of channels) assertKept(messages, name, kept); }
  }
});

test("3: holes are closed: a channel that keeps its messages between those of one that does not costs twice that at most", () => {
  const allocator = new CountingAllocator();
  const store = new MemoryStore(testLimits(), allocator.allocate);
  const quick = store.createChannel("quick").messages;
  const slow = store.createChannel("slow").messages;
  const kept: KeptRange[] = [];
  let bytes = 0;
  for (let i = 0; i < 400_000; i++) {
    bytes += append(quick, 500);
    if (i % 20 === 0) {
      kept.push({ start: 0, end: i % 300, stampLow: i });
      slow.append(slow.lastSequence + 1, 411_000_000, i, SOURCE, 0, 0, 0, i % 300);
    }
    if (i % 1000 === 0) quick.purge(quick.lastSequence);
  }
  assertKept(slow, "slow", kept);
  const keptBytes = slow.byteCount + slow.messageCount * RECORD_OVERHEAD_MAX + quick.byteCount;
  const indexBytes = 1.5 * slow.messageCount * ENTRY_BYTES + 20 * PAGE_BYTES;
  const bound = 2 * keptBytes + HOLES_KEPT_BYTES + (POOL_COUNT_MAX + 2) * SLAB_BYTES + indexBytes;
  assert.ok(allocator.bytes <= bound, `${allocator.bytes} of at most ${bound}`);
  assert.ok(bytes > 8 * bound, "many more were stored");
});

test("3: what keeps much has its messages one behind the other, what keeps little shares, and each may become the other", () => {
  const store = new MemoryStore(testLimits());
  const large = store.createChannel("large").messages;
  const other = store.createChannel("other").messages;
  const small = Array.from({ length: 20 }, (_, i) => store.createChannel(`small.${i}`).messages);
  const view: MessageView = { buffer: SOURCE, start: 0, end: 0 };
  const publish = (times: number) => {
    for (let i = 0; i < times; i++) for (const messages of [large, other, ...small]) append(messages, 100);
  };
  const bufferOf = (messages: MessageStore) => {
    assert.equal(messages.lookup(messages.lastSequence, view), LOOKUP_FOUND);
    return view.buffer;
  };
  /** Of the newest hundred: those right behind the one before them. */
  const neighbours = (messages: MessageStore) => {
    let count = 0;
    let end = -1;
    let buffer: Uint8Array = SOURCE;
    for (let i = 100; i >= 0; i--) {
      assert.equal(messages.lookup(messages.lastSequence - i, view), LOOKUP_FOUND);
      if (view.buffer === buffer && view.start - end <= RECORD_OVERHEAD_MAX) count++;
      ({ buffer, end } = view);
    }
    return count;
  };
  while (large.byteCount < OWN_KEPT_BYTES - 10_000) for (const messages of [large, other]) append(messages, 100);
  publish(10);
  assert.equal(neighbours(large), 0);
  assert.equal(bufferOf(large), bufferOf(small[0]!));
  while (large.byteCount < OWN_KEPT_BYTES + SLAB_BYTES) for (const messages of [large, other]) append(messages, 100);
  publish(10);
  for (const messages of [large, other]) assert.ok(neighbours(messages) >= 99);
  assert.notEqual(bufferOf(large), bufferOf(other));
  assert.notEqual(bufferOf(large), bufferOf(small[0]!));
  const first = { count: large.messageCount, bytes: large.byteCount };
  large.purge(large.lastSequence - 10);
  other.empty();
  publish(1);
  assert.equal(bufferOf(large), bufferOf(small[0]!));
  assert.equal(bufferOf(other), bufferOf(small[0]!));
  assert.equal(large.messageCount, 11);
  publish(100);
  assert.equal(neighbours(large), 0);
  assert.equal(other.lastSequence, 101);
  assert.ok(large.byteCount < first.bytes / 10);
  for (let sequence = large.firstSequence; sequence <= large.lastSequence; sequence++) {
    assert.equal(large.lookup(sequence, view), LOOKUP_FOUND);
    assert.ok(decodeMsgProto(view.buffer, view.start, view.end, MESSAGE));
    assert.equal(MESSAGE.sequence, sequence);
  }
});

test("3: slabs of its own come back from a channel that keeps little again, large messages between its small ones or not", () => {
  let slabs = 0;
  const store = new MemoryStore(testLimits(), (size) => {
    if (size === SLAB_BYTES) slabs++;
    return new ArrayBuffer(size);
  });
  const { messages } = store.createChannel("foo");
  for (let cycle = 0; cycle < 60; cycle++) {
    while (messages.byteCount < OWN_KEPT_BYTES + 2 * SLAB_BYTES) {
      for (const length of [50_000, SHARED_BYTES_MAX + 50_000, 100_000]) append(messages, length);
    }
    messages.purge(messages.lastSequence - 3);
    assertLast(messages, 100_000);
  }
  assert.ok(slabs <= POOL_COUNT_MAX + 4, String(slabs));
});

test("3: memory without a message goes back, and a channel that is emptied holds none", () => {
  const allocator = new CountingAllocator();
  const store = new MemoryStore(testLimits(), allocator.allocate);
  const many = Array.from({ length: 40_000 }, (_, i) => store.createChannel(`channel.${i}`).messages);
  for (const messages of many) append(messages, 500);
  const first = allocator.bytes;
  for (const messages of many) messages.empty();
  for (const messages of many) append(messages, 500);
  const again = allocator.bytes - first;
  const pooled = POOL_COUNT_MAX * SLAB_BYTES + POOL_ENTRIES_MAX * ENTRY_BYTES;
  assert.ok(again > 0 && again >= first - pooled - SLAB_BYTES && again <= first - pooled / 2, `${again} of ${first}`);
  for (const messages of many) assertLast(messages, 500);
});

test("2.4: many messages of one age go at once", () => {
  const store = new MemoryStore(testLimits({ maxAgeMs: 1 }));
  const messages = store.createChannel("foo").messages;
  for (let i = 0; i < 50_000; i++) append(messages, 16, i < 49_999 ? 1 : 3_000_000_000);
  const again = messages.expire(411_000_000, 3_000_000_000);
  assert.equal(messages.firstSequence, 50_000);
  assert.equal(messages.messageCount, 1);
  assert.ok(again > 0);
});

test("2.4: what ends with the last nanosecond of a half ends, and nothing behind it", () => {
  const store = new MemoryStore(testLimits({ maxAgeMs: 1 }));
  const messages = store.createChannel("foo").messages;
  const stamps: [number, number][] = [[411, 0xffff_fffe], [411, 0xffff_ffff], [412, 0], [412, 1]];
  for (const [i, [high, low]] of stamps.entries()) messages.append(i + 1, high, low, SOURCE, 0, 0, 0, 5);
  messages.expire(412, 999_999 - 1);
  assert.equal(messages.firstSequence, 2);
  messages.expire(412, 999_999);
  assert.equal(messages.firstSequence, 3);
  messages.expire(412, 1_000_000);
  assert.equal(messages.firstSequence, 4);
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
