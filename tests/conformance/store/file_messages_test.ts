/** stores.md 12, invariants 13 to 31: messages, slices, holes, removal. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sliceLimits } from "../../../src/store/file/options.ts";
import { APPEND_FAILED, APPEND_KNOWN, LOOKUP_FOUND, LOOKUP_NONE } from "../../../src/store/types.ts";
import { readStore, realFiles } from "../../helpers/store_validator.ts";
import {
  channelOf,
  EPOCH_NS,
  fill,
  find,
  inDirectory,
  put,
  readAll,
  stateOf,
  type StoreDirectory,
  texts,
} from "./file_support.ts";

/** How many messages each slice has on disk. */
function slicesOf(directory: StoreDirectory, channel: string): number[] {
  const counts = new Map<number, number>();
  for (
    const { slice } of readStore(realFiles, directory.dir, { isOpen: true }).channels.get(channel)!.messages.values()
  ) {
    counts.set(slice, (counts.get(slice) ?? 0) + 1);
  }
  return [...counts].sort(([a], [b]) => a - b).map(([, count]) => count);
}

function stampAt(ms: number): [number, number] {
  const ns = EPOCH_NS + BigInt(ms) * 1_000_000n;
  return [Number(ns >> 32n), Number(ns & 0xffff_ffffn)];
}

test("stores 12.13: a sequence that is not above the last changes nothing", () =>
  inDirectory(async (directory) => {
    const { messages } = (await directory.open()).store.createChannel("foo");
    fill(messages, 1, 3);
    const before = stateOf(messages);
    assert.equal(put(messages, 3, "again"), APPEND_KNOWN);
    assert.equal(put(messages, 1, "again"), APPEND_KNOWN);
    assert.deepEqual(stateOf(messages), before);
    assert.deepEqual(await readAll(messages), texts(1, 3));
  }));

test("stores 12.14: first and last of a new, an expired and an emptied channel", () =>
  inDirectory(async (directory) => {
    const { messages } = (await directory.open({}, { maxAgeMs: 1000 })).store.createChannel("foo");
    assert.deepEqual(stateOf(messages), [0, 0, 0, 0]);
    fill(messages, 1, 3);
    await messages.flush();
    assert.equal(messages.expire(...stampAt(5000)), 0);
    assert.deepEqual(stateOf(messages), [4, 3, 0, 0]);
    messages.empty();
    assert.deepEqual(stateOf(messages), [0, 0, 0, 0]);
  }));

test("stores 12.15: bytes are the encoded messages and 40 for each", () =>
  inDirectory(async (directory) => {
    const { messages } = (await directory.open()).store.createChannel("foo");
    let sum = 0;
    for (let i = 1; i <= 5; i++) sum += put(messages, i, "x".repeat(i * 100)) + 40;
    assert.equal(messages.byteCount, sum);
  }));

test("stores 12.16, 12.17: with a limit of 1 exactly one message is kept, however large", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open({}, { maxBytes: 1 });
    const { messages } = store.createChannel("foo");
    put(messages, 1, "x".repeat(10_000));
    assert.equal(messages.messageCount, 1);
    put(messages, 2, "y".repeat(20_000));
    assert.deepEqual(stateOf(messages).slice(0, 3), [2, 2, 1]);
    await messages.flush();
    await store.close();
    const again = await directory.open({}, { maxMessages: 1 });
    assert.deepEqual(stateOf(channelOf(again, "foo").messages).slice(0, 3), [2, 2, 1]);
  }));

test("stores 12.18: sequence by time, over slices and after a restart", () =>
  inDirectory(async (directory) => {
    const first = await directory.open({ sliceMaxMessages: 3 });
    const { messages } = first.store.createChannel("foo");
    assert.equal(messages.sequenceAtOrAfter(...stampAt(0)), 0);
    for (let i = 1; i <= 10; i++) put(messages, i, "x", i * 10);
    await messages.flush();
    const check = (log: typeof messages) => {
      assert.equal(log.sequenceAtOrAfter(...stampAt(0)), 1);
      for (let i = 1; i <= 10; i++) {
        assert.equal(log.sequenceAtOrAfter(...stampAt(i * 10)), i, "equal");
        assert.equal(log.sequenceAtOrAfter(...stampAt(i * 10 + 1)), i + 1, "between, and after all");
      }
    };
    check(messages);
    await first.store.close();
    check(channelOf(await directory.open(), "foo").messages);
  }));

test("stores 12.19: 23 messages at 5 per slice are 5, 5, 5, 5, 3", () =>
  inDirectory(async (directory) => {
    const { messages } = (await directory.open({ sliceMaxMessages: 5 })).store.createChannel("foo");
    fill(messages, 1, 23);
    await messages.flush();
    assert.deepEqual(slicesOf(directory, "foo"), [5, 5, 5, 5, 3]);
  }));

test("stores 12.20: a slice is left when its messages with 40 bytes each have reached the limit", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open({ sliceMaxBytes: 1 });
    const probe = store.createChannel("probe").messages;
    const size = put(probe, 1, "xxxx") + 40;
    for (const [limit, expected] of [[size * 2, [2, 2]], [size * 2 + 1, [3, 1]], [size * 2 - 1, [2, 2]]] as const) {
      await inDirectory(async (other) => {
        const { messages } = (await other.open({ sliceMaxBytes: limit })).store.createChannel("probe");
        for (let i = 1; i <= 4; i++) put(messages, i, "xxxx");
        await messages.flush();
        assert.deepEqual(slicesOf(other, "probe"), expected, `limit ${limit}`);
      });
    }
  }));

test("stores 12.21: without slice options the limits of the channel divided by four", () => {
  const none = { sliceMaxMessages: 0, sliceMaxBytes: 0, sliceMaxAgeMs: 0 };
  const of = (maxMessages: number, maxBytes: number, maxAgeMs: number) =>
    Object.values(sliceLimits(none, { maxMessages, maxBytes, maxAgeMs }));
  assert.deepEqual(of(100, 100, 20_000), [25, 25, 5000]);
  assert.deepEqual(of(3, 3, 3000), [1, 1, 1000]);
  assert.deepEqual(of(0, 0, 0), [0, 0, 0]);
  assert.deepEqual(
    Object.values(sliceLimits({ ...none, sliceMaxAgeMs: 7 }, { maxMessages: 100, maxBytes: 0, maxAgeMs: 0 })),
    [
      0,
      0,
      7,
    ],
  );
});

test("stores 12.22: the newest slice outlives its messages, and the sequence goes on after a restart", () =>
  inDirectory(async (directory) => {
    const first = await directory.open({ sliceMaxMessages: 2 }, { maxAgeMs: 1000 });
    const { messages } = first.store.createChannel("foo");
    fill(messages, 1, 6);
    await messages.flush();
    messages.expire(...stampAt(10_000));
    assert.deepEqual(directory.names("foo"), ["msgs.3.dat", "msgs.3.idx", "subs.dat"]);
    await first.store.close();
    const again = channelOf(await directory.open({ sliceMaxMessages: 2 }, { maxAgeMs: 1000 }), "foo").messages;
    again.expire(...stampAt(10_000));
    assert.deepEqual(stateOf(again), [7, 6, 0, 0]);
    assert.ok(put(again, 7, "m-7", 10_000) > 0);
    assert.deepEqual(await readAll(again), ["7=m-7"]);
  }));

test("stores 12.23: an only slice that holds nothing goes when the next one is begun and safe", () =>
  inDirectory(async (directory) => {
    const { messages } = (await directory.open({ sliceMaxMessages: 2 }, { maxAgeMs: 1000 })).store.createChannel("foo");
    fill(messages, 1, 2);
    await messages.flush();
    messages.expire(...stampAt(10_000));
    assert.deepEqual(directory.names("foo"), ["msgs.1.dat", "msgs.1.idx", "subs.dat"]);
    put(messages, 3, "m-3", 10_000);
    await messages.flush();
    assert.deepEqual(directory.names("foo"), ["msgs.2.dat", "msgs.2.idx", "subs.dat"]);
  }));

test("stores 12.24: a hole is filled with empty messages of the later stamp, also on disk", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open();
    const { messages } = store.createChannel("foo");
    fill(messages, 1, 2);
    assert.ok(put(messages, 5, "m-5", 77) > 0);
    assert.equal(messages.messageCount, 5);
    for (const sequence of [3, 4]) {
      const { text, stampNs } = await find(messages, sequence);
      assert.deepEqual([text, stampNs], ["", EPOCH_NS + 77_000_000n]);
    }
    await messages.flush();
    await store.close();
    assert.deepEqual(await readAll(channelOf(await directory.open(), "foo").messages), [
      "1=m-1",
      "2=m-2",
      "3=",
      "4=",
      "5=m-5",
    ]);
    assert.deepEqual(readStore(realFiles, directory.dir, { isOpen: true }).problems, []);
  }));

test("stores 12.25: filled messages go to the current slice even if it is full", () =>
  inDirectory(async (directory) => {
    const { messages } = (await directory.open({ sliceMaxMessages: 3 })).store.createChannel("foo");
    fill(messages, 1, 3);
    put(messages, 5, "m-5");
    fill(messages, 6, 8);
    await messages.flush();
    assert.deepEqual(slicesOf(directory, "foo"), [4, 3, 1]);
  }));

test("stores 12.26: removed messages come back without the limits, and do not with them", () =>
  inDirectory(async (directory) => {
    const limited = await directory.open({ sliceMaxMessages: 4 }, { maxMessages: 10 });
    const { messages } = limited.store.createChannel("foo");
    fill(messages, 1, 25);
    await messages.flush();
    assert.deepEqual(await readAll(messages), texts(16, 25));
    await limited.store.close();
    const unlimited = await directory.crashed().open({ sliceMaxMessages: 4 });
    assert.deepEqual(await readAll(channelOf(unlimited, "foo").messages), texts(13, 25));
    await unlimited.store.close();
    const again = await directory.open({ sliceMaxMessages: 4 }, { maxMessages: 10 });
    assert.deepEqual(await readAll(channelOf(again, "foo").messages), texts(16, 25));
  }));

test("stores 12.27: removed, expired, future and zero sequences are nothing, not an error", () =>
  inDirectory(async (directory) => {
    const { messages } = (await directory.open({}, { maxMessages: 3 })).store.createChannel("foo");
    fill(messages, 1, 5);
    await messages.flush();
    for (const sequence of [0, 1, 2, 6, 1e9]) assert.equal((await find(messages, sequence)).result, LOOKUP_NONE);
    assert.equal(messages.stampOf(2, { stampHigh: 0, stampLow: 0 }), false);
  }));

test("stores 12.28: what was stored and not flushed is found", () =>
  inDirectory(async (directory) => {
    const { messages } = (await directory.open()).store.createChannel("foo");
    fill(messages, 1, 3);
    assert.deepEqual(await readAll(messages), texts(1, 3));
  }));

test("stores 12.29: messages read from disk are not marked redelivered", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open();
    fill(store.createChannel("foo").messages, 1, 3);
    await store.close();
    const { messages } = channelOf(await directory.open(), "foo");
    for (let i = 1; i <= 3; i++) assert.deepEqual((await find(messages, i)).redelivered, false);
  }));

test("stores 12.30: empty removes every msgs.*.* file, and the next slice is 1", () =>
  inDirectory(async (directory) => {
    const { messages } = (await directory.open({ sliceMaxMessages: 2 })).store.createChannel("foo");
    fill(messages, 1, 5);
    await messages.flush();
    messages.empty();
    assert.deepEqual(directory.names("foo"), ["subs.dat"]);
    assert.ok(put(messages, 100, "m-100") > 0);
    await messages.flush();
    assert.deepEqual(directory.names("foo"), ["msgs.1.dat", "msgs.1.idx", "subs.dat"]);
    assert.deepEqual(await readAll(messages), ["100=m-100"]);
  }));

test("stores 12.31: a deleted channel is gone from the disk, and a new one of its name starts at 1", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open({ sliceMaxMessages: 2 });
    const old = store.createChannel("foo");
    fill(old.messages, 1, 5);
    await old.messages.flush();
    store.deleteChannel("foo");
    assert.deepEqual(directory.names().includes("foo"), false);
    assert.equal(put(old.messages, 6, "late"), APPEND_FAILED);
    await store.flush();
    await store.close();
    const again = await directory.open();
    assert.deepEqual(again.state?.channels, []);
    const { messages } = again.store.createChannel("foo");
    assert.ok(put(messages, 1, "m-1") > 0);
    assert.equal((await find(messages, 1)).result, LOOKUP_FOUND);
  }));
