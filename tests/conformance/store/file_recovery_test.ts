/** stores.md 12, invariants 32 to 54: what recovery makes of files in any state. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { CRC_POLYNOMIAL_IEEE } from "../../../src/store/file/crc.ts";
import { APPEND_FAILED, LOOKUP_NONE, StoreError, type StoreErrorCode } from "../../../src/store/types.ts";
import { subscription } from "../../helpers/store_records.ts";
import { readStore, realFiles } from "../../helpers/store_validator.ts";
import {
  channelOf,
  fill,
  find,
  inDirectory,
  put,
  readAll,
  stateOf,
  StoreDirectory,
  subscriptionsOf,
  texts,
} from "./file_support.ts";
import { TEST_SERVER, testLimits } from "./suite.ts";

const DATA = "foo/msgs.1.dat";
const INDEX = "foo/msgs.1.idx";

/** A closed store with `count` messages in channel foo and a durable that has all of them. */
async function write(directory: StoreDirectory, count = 6, options = {}): Promise<void> {
  const { store } = await directory.open(options);
  const channel = store.createChannel("foo");
  fill(channel.messages, 1, count);
  const id = channel.subscriptions.create(subscription("me", { durableName: "d", isDurable: true }));
  for (let sequence = 1; sequence <= count; sequence++) channel.subscriptions.addPending(id, sequence);
  channel.subscriptions.ackPending(id, 1);
  await store.close();
}

function change(directory: StoreDirectory, file: string, work: (bytes: Uint8Array) => Uint8Array | void): void {
  const bytes = directory.bytes(file);
  writeFileSync(directory.path(file), work(bytes) ?? bytes);
}

function cut(directory: StoreDirectory, file: string, bytes: number): void {
  truncateSync(directory.path(file), directory.bytes(file).length - bytes);
}

const padded = (bytes: Uint8Array, count: number) => new Uint8Array([...bytes, ...new Uint8Array(count)]);

function refuses(directory: StoreDirectory, code: StoreErrorCode, text: string | RegExp): Promise<void> {
  return assert.rejects(directory.open(), (error: unknown) => {
    assert.ok(error instanceof StoreError, String(error));
    assert.equal(error.code, code);
    if (typeof text === "string") assert.ok(error.message.includes(text), error.message);
    else assert.match(error.message, text);
    return true;
  });
}

test("stores 12.32, 12.33, 12.34: an index that is missing, cut anywhere, flipped or empty becomes the very bytes it had", () =>
  inDirectory(async (original) => {
    await write(original);
    const whole = original.bytes(INDEX);
    const damages: ((directory: StoreDirectory) => void)[] = [(directory) => rmSync(directory.path(INDEX))];
    for (let size = 0; size < whole.length; size += 7) {
      damages.push((directory) => truncateSync(directory.path(INDEX), size));
    }
    for (let at = 0; at < whole.length; at += 11) {
      damages.push((directory) => change(directory, INDEX, (bytes) => void (bytes[at]! ^= 0x10)));
    }
    damages.push((directory) => change(directory, INDEX, (bytes) => void bytes.fill(0, 68, 100)));
    for (const [i, damage] of damages.entries()) {
      const directory = original.crashed();
      damage(directory);
      const { store, log } = await directory.open();
      assert.deepEqual(
        await readAll(channelOf({ store, state: undefined, log }, "foo").messages),
        texts(1, 6),
        `damage ${i}`,
      );
      assert.ok(log.lines.some((line) => line.includes("msgs.1.idx")), `damage ${i} is told`);
      await store.close();
      assert.deepEqual(directory.bytes(INDEX), whole, `damage ${i}`);
      await directory.end();
    }
  }));

test("stores 12.35, 12.36, decision 15: a data file cut at every byte of its last record heals, keeps what it cut, and the sequence goes on", () =>
  inDirectory(async (original) => {
    await write(original);
    const whole = original.bytes(DATA);
    const lastStart = 4 + (whole.length - 4) / 6 * 5;
    for (let size = lastStart; size < whole.length; size++) {
      const directory = original.crashed();
      truncateSync(directory.path(DATA), size);
      const opened = await directory.open();
      const { messages } = channelOf(opened, "foo");
      assert.deepEqual(await readAll(messages), texts(1, 5), `cut at ${size}`);
      assert.deepEqual(subscriptionsOf(opened, "foo"), [[1, "me", 5, [2, 3, 4, 5]]], "6.7: positions are put back");
      const aside = `foo/.msgs.1.dat.cut-${lastStart}`;
      if (size > lastStart) {
        assert.deepEqual(directory.bytes(aside), whole.subarray(lastStart, size));
        assert.ok(
          opened.log.lines.some((line) =>
            line.startsWith("[WRN]") && line.includes('"foo"') && line.includes(`byte ${lastStart}`) &&
            line.includes("behind 5")
          ),
          opened.log.lines.join("\n"),
        );
      } else assert.ok(!existsSync(directory.path(aside)));
      assert.ok(put(messages, 6, "new") > 0);
      await messages.flush();
      await opened.store.close();
      assert.deepEqual(readStore(realFiles, directory.dir).problems, []);
      await directory.end();
    }
  }));

test("stores 12.37: the truncate option twice in a row is refused; once without it, and it is allowed again", () =>
  inDirectory(async (directory) => {
    await write(directory);
    const first = await directory.open({ truncateBadEnd: true });
    await first.store.close();
    assert.ok(existsSync(directory.path(".truncate.lck")));
    await assert.rejects(directory.open({ truncateBadEnd: true }), (error: unknown) =>
      error instanceof StoreError &&
      error.message.includes(
        "file store should not be opened consecutively with the TruncateUnexpectedEOF option set to true",
      ));
    await (await directory.open()).store.close();
    assert.ok(!existsSync(directory.path(".truncate.lck")));
    await (await directory.open({ truncateBadEnd: true })).store.close();
  }));

test("stores 12.38, decision 15: damage in data that is read without an index hides nothing behind it, and the gap is named", () =>
  inDirectory(async (directory) => {
    await write(directory);
    rmSync(directory.path(INDEX));
    const recordSize = (directory.bytes(DATA).length - 4) / 6;
    change(directory, DATA, (bytes) => void (bytes[4 + recordSize * 2 + 20]! ^= 1));
    const opened = await directory.open();
    const { messages } = channelOf(opened, "foo");
    assert.deepEqual(await readAll(messages), texts(1, 6).filter((text) => !text.startsWith("3=")));
    assert.deepEqual(stateOf(messages).slice(0, 3), [1, 6, 5]);
    assert.ok(opened.log.lines.some((line) => line.startsWith("[ERR]") && line.includes("message 3 is missing")));
  }));

test("stores 12.39, 6.5: a flipped bit in the middle or in the last message: it is reported, its neighbours are read, its sequence is not given again", async () => {
  for (const damaged of [3, 6]) {
    await inDirectory(async (directory) => {
      await write(directory);
      const recordSize = (directory.bytes(DATA).length - 4) / 6;
      change(directory, DATA, (bytes) => void (bytes[4 + recordSize * (damaged - 1) + 20]! ^= 1));
      const opened = await directory.open();
      const { messages } = channelOf(opened, "foo");
      assert.deepEqual(await readAll(messages), texts(1, 6).filter((text) => !text.startsWith(`${damaged}=`)));
      assert.equal((await find(messages, damaged)).result, LOOKUP_NONE);
      assert.ok(opened.log.lines.some((line) => line.startsWith("[ERR]") && line.includes(String(damaged))));
      assert.equal(messages.lastSequence, 6);
      assert.ok(put(messages, 7, "m-7") > 0);
      await messages.flush();
      await opened.store.close();
      const again = await directory.open();
      assert.equal(channelOf(again, "foo").messages.lastSequence, 7);
    });
  }
});

test("stores 5.9, 6.5: whichever byte of a message is wrong, it is left out and told, and those around it are read", async () => {
  for (const crcPolynomial of [CRC_POLYNOMIAL_IEEE, 0x82f63b78]) {
    for (const isChecked of [true, false]) {
      await inDirectory(async (directory) => {
        const { store } = await directory.open({ crcPolynomial });
        const { messages } = store.createChannel("foo");
        fill(messages, 1, 6);
        await messages.flush();
        await store.close();
        const right = directory.bytes(DATA);
        const recordSize = (right.length - 4) / 6;
        const third = 4 + recordSize * 2;
        let unnoticed = 0;
        for (let at = third; at < third + recordSize; at++) {
          change(directory, DATA, (bytes) => void (bytes[at]! ^= 1));
          const opened = await directory.open({ crcPolynomial, crc: isChecked });
          const read = await readAll(channelOf(opened, "foo").messages);
          const others = texts(1, 6).filter((text) => !text.startsWith("3="));
          // Of the payload and the stamp only the checksum knows better.
          if (isChecked) assert.deepEqual(read, others, `byte ${at - third}`);
          else if (read.length === 6) unnoticed++;
          assert.equal(opened.log.lines.some((line) => line.includes("foo:3 (")), read.length === 5);
          await opened.store.close();
          writeFileSync(directory.path(DATA), right);
        }
        assert.equal(unnoticed > 0, !isChecked);
      });
    }
  }
});

test("stores 12.40, 6.6: zero padding behind every file costs nothing and is gone afterwards", async () => {
  for (const count of [8, 64, 5000]) {
    await inDirectory(async (directory) => {
      await write(directory);
      const { store } = await directory.open();
      store.addClient({
        id: "me",
        heartbeatInbox: "h",
        connectionId: "c",
        protocol: 1,
        pingIntervalSecs: 5,
        pingMaxOut: 3,
      });
      await store.close();
      const files = [DATA, INDEX, "foo/subs.dat", "clients.dat"];
      const before = files.map((file) => directory.bytes(file));
      for (const file of files) change(directory, file, (bytes) => padded(bytes, Math.ceil(count / 32) * 32));
      const opened = await directory.open();
      assert.deepEqual(await readAll(channelOf(opened, "foo").messages), texts(1, 6));
      assert.deepEqual(opened.state?.clients.map(({ id }) => id), ["me"]);
      assert.deepEqual(subscriptionsOf(opened, "foo"), [[1, "me", 6, [2, 3, 4, 5, 6]]]);
      await opened.store.close();
      for (const [i, file] of files.entries()) assert.deepEqual(directory.bytes(file), before[i], file);
    });
  }
});

test("stores 12.41: padding, a new message, and a lost index: nothing is lost", () =>
  inDirectory(async (directory) => {
    await write(directory);
    change(directory, DATA, (bytes) => padded(bytes, 64));
    const { store, state, log } = await directory.open();
    const { messages } = channelOf({ store, state, log }, "foo");
    fill(messages, 7, 7);
    await messages.flush();
    await store.close();
    rmSync(directory.path(INDEX));
    assert.deepEqual(await readAll(channelOf(await directory.open(), "foo").messages), texts(1, 7));
  }));

test("stores 12.42: an index two records behind the data: six messages, and the next sequence is 7", () =>
  inDirectory(async (directory) => {
    await write(directory);
    cut(directory, INDEX, 64);
    const { messages } = channelOf(await directory.open(), "foo");
    assert.deepEqual(await readAll(messages), texts(1, 6));
    assert.ok(put(messages, 7, "m-7") > 0);
  }));

test("stores 12.43: a missing middle slice: the count excludes it, reading skips it, limits go over it", () =>
  inDirectory(async (directory) => {
    await write(directory, 9, { sliceMaxMessages: 3 });
    rmSync(directory.path("foo/msgs.2.dat"));
    const opened = await directory.open();
    const { messages } = channelOf(opened, "foo");
    assert.deepEqual(stateOf(messages).slice(0, 3), [1, 9, 6]);
    assert.deepEqual(await readAll(messages), [...texts(1, 3), ...texts(7, 9)]);
    assert.ok(
      opened.log.lines.some((line) => line.startsWith("[ERR]") && line.includes("messages 4 to 6 are missing")),
    );
    assert.equal(messages.sequenceAtOrAfter(0, 0), 1);
    await opened.store.close();
    const limited = channelOf(await directory.open({}, { maxMessages: 4 }), "foo").messages;
    assert.deepEqual(await readAll(limited), ["3=m-3", ...texts(7, 9)]);
    assert.equal(limited.stampOf(5, { stampHigh: 0, stampLow: 0 }), false);
  }));

test("stores 12.44: a message file with an impossible number is refused by its name", async () => {
  for (const name of ["msgs.x.dat", "msgs.dat", "msgs.01.dat", "msgs.-1.dat", "msgs.0.dat"]) {
    await inDirectory(async (directory) => {
      await write(directory);
      writeFileSync(directory.path(`foo/${name}`), new Uint8Array([1, 0, 0, 0]));
      await refuses(directory, "STORE_DAMAGED", `message log has an invalid name: ${name}`);
    });
  }
});

test("stores 12.45, 4.1: every directory is a channel, other names are nobody's, links are told", () =>
  inDirectory(async (directory) => {
    await write(directory);
    mkdirSync(directory.path("lost+found"));
    mkdirSync(directory.path("foo/inner"));
    writeFileSync(directory.path("notes.txt"), "x");
    writeFileSync(directory.path("foo/notes.txt"), "x");
    writeFileSync(directory.path("subs12345"), "x");
    writeFileSync(directory.path("foo/msgs.7.idx"), new Uint8Array(50));
    const elsewhere = new StoreDirectory();
    mkdirSync(elsewhere.dir);
    symlinkSync(elsewhere.dir, directory.path("linked"));
    const { state, log } = await directory.open();
    assert.deepEqual(state?.channels.map(({ store }) => store.name).sort(), ["foo", "lost+found"]);
    assert.deepEqual(directory.names("lost+found"), ["subs.dat"]);
    assert.ok(
      log.lines.some((line) => line.startsWith("[WRN]") && line.includes("linked") && line.includes("symbolic link")),
    );
    await elsewhere.end();
  }));

test("stores 12.46: without server information, but with channels, init and a second recovery put it right", async () => {
  for (const content of [undefined, new Uint8Array([1, 0, 0, 0])]) {
    await inDirectory(async (directory) => {
      await write(directory);
      if (content === undefined) rmSync(directory.path("server.dat"));
      else writeFileSync(directory.path("server.dat"), content);
      await refuses(directory, "STORE_NO_SERVER_INFO", "no server state recovered but channels present");
      await directory.end();
    });
    await inDirectory(async (directory) => {
      await write(directory);
      rmSync(directory.path("server.dat"));
      const other = new StoreDirectory();
      renameSync(directory.dir, other.dir);
      const { FileStore } = await import("../../../src/store/file/file_store.ts");
      const { FILE_STORE_DEFAULTS } = await import("../../../src/store/file/options.ts");
      const { fileStoreWorld } = await import("../../helpers/file_store.ts");
      const store = new FileStore(testLimits(), { ...FILE_STORE_DEFAULTS, dir: other.dir }, await fileStoreWorld());
      await assert.rejects(store.recover());
      store.init(TEST_SERVER);
      const state = await store.recover();
      assert.deepEqual(await readAll(state!.channels[0]!.store.messages), texts(1, 6));
      await store.close();
      await other.end();
    });
  }
});

test("stores 12.47: a server.dat of 0 bytes is refused, and says what to do", () =>
  inDirectory(async (directory) => {
    await write(directory);
    truncateSync(directory.path("server.dat"), 0);
    await refuses(directory, "STORE_DAMAGED", /unable to verify file version: EOF.*Nothing was changed.*move it away/);
  }));

test("stores 12.49: however many channels may be recovered at a time, the state is the same", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open();
    for (let i = 0; i < 50; i++) fill(store.createChannel(`c${i}`).messages, 1, 1 + i % 7);
    await store.close();
    const { state } = await directory.open();
    assert.deepEqual(
      state?.channels.map(({ store: channel }) => [channel.name, channel.messages.messageCount]).sort(),
      Array.from({ length: 50 }, (_, i) => [`c${i}`, 1 + i % 7]).sort(),
    );
  }));

test("stores 12.51, 12.57, 5.10: a compaction keeps record, position and pending, and comes when it is worth it and not again within the interval", () =>
  inDirectory(async (directory) => {
    let nowMs = 0;
    const clock = { monotonicMs: () => nowMs, wallNs: () => undefined };
    const opened = await directory.open({ compactMinBytes: 0, compactFragmentation: 50, compactIntervalMs: 1000 }, {}, {
      clock,
    });
    const { store } = opened;
    const { messages, subscriptions } = store.createChannel("foo");
    // A position behind the last message would be put back at the next start.
    fill(messages, 1, 9);
    const ids = Array.from({ length: 6 }, (_, i) => subscriptions.create(subscription(`c${i}`)));
    subscriptions.addPending(ids[5]!, 7);
    subscriptions.addPending(ids[5]!, 9);
    subscriptions.addPending(ids[4]!, 5);
    subscriptions.ackPending(ids[4]!, 5);
    await subscriptions.flush();
    // 9 records count, 1 is superseded; each delete adds one: the fourth reaches half.
    const size = () => directory.bytes("foo/subs.dat").length;
    /** Time for one that comes: until it is there, however slow the disk. For one that must not come: a moment. */
    const compacted = async (isThere?: () => boolean): Promise<void> => {
      const turnsMax = isThere === undefined ? 50 : 20_000;
      for (let i = 0; i < turnsMax && isThere?.() !== true; i++) await new Promise((resolve) => setTimeout(resolve, 1));
      await subscriptions.flush();
    };
    for (const id of ids.slice(0, 2)) subscriptions.delete(id);
    await subscriptions.flush();
    const before = size();
    await compacted();
    assert.equal(size(), before, "not worth it yet");
    subscriptions.delete(ids[2]!);
    subscriptions.delete(ids[3]!);
    await compacted(() => size() < before);
    assert.ok(size() < before, "rewritten");
    const small = size();
    for (let i = 0; i < 20; i++) subscriptions.delete(subscriptions.create(subscription("x")));
    await compacted();
    assert.ok(size() > small, "not again within the interval");
    nowMs = 2000;
    subscriptions.delete(subscriptions.create(subscription("x")));
    await compacted(() => size() <= small + 100);
    assert.ok(size() <= small + 100, "again afterwards");
    await store.close();
    const again = await directory.open();
    assert.deepEqual(subscriptionsOf(again, "foo"), [[ids[4]!, "c4", 5, []], [ids[5]!, "c5", 9, [7, 9]]]);
    assert.deepEqual(directory.names().filter((name) => name.startsWith("subs")), [], "no leftover");
  }));

test("stores 12.52: positions of unknown ids are ignored, an update of an unknown id creates it", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open();
    const { messages, subscriptions } = store.createChannel("foo");
    fill(messages, 1, 3);
    subscriptions.addPending(77, 3);
    subscriptions.ackPending(78, 3);
    subscriptions.update(subscription("old", { id: 5, lastSent: 3 }));
    subscriptions.delete(99);
    await store.close();
    assert.deepEqual(subscriptionsOf(await directory.open(), "foo"), [[5, "old", 3, []]]);
  }));

test("stores 12.53: the next id after a restart is above every id in the file, deleted ones included", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open();
    const { subscriptions } = store.createChannel("foo");
    for (let i = 0; i < 3; i++) subscriptions.create(subscription("me"));
    subscriptions.delete(3);
    await store.close();
    const again = channelOf(await directory.open(), "foo").subscriptions;
    assert.equal(again.create(subscription("me")), 4);
  }));

test("stores 12.54: limits on channels and subscriptions drop nothing that was recovered, but refuse new ones", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open();
    for (const name of ["a", "b", "c"]) {
      const { subscriptions } = store.createChannel(name);
      for (let i = 0; i < 3; i++) subscriptions.create(subscription(`c${i}`));
    }
    await store.close();
    const opened = await directory.open({}, testLimits({ maxSubscriptions: 1 }, 1));
    assert.equal(opened.store.channelCount, 3);
    assert.equal(subscriptionsOf(opened, "b").length, 3);
    assert.throws(() => opened.store.createChannel("d"), { message: "too many channels" });
    assert.throws(() => channelOf(opened, "a").subscriptions.create(subscription("x")), {
      message: "too many subscriptions per channel",
    });
  }));

test("stores 12.56: a client that is added twice is there once, with the later record, after a restart", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open();
    const record = {
      id: "me",
      heartbeatInbox: "a",
      connectionId: "c",
      protocol: 1,
      pingIntervalSecs: 5,
      pingMaxOut: 3,
    };
    store.addClient(record);
    store.addClient({ ...record, heartbeatInbox: "b" });
    store.addClient({ ...record, id: "gone" });
    store.deleteClient("gone");
    await store.flush();
    const crashed = directory.crashed();
    assert.deepEqual((await crashed.open()).state?.clients, [{ ...record, heartbeatInbox: "b" }]);
    await crashed.end();
  }));

test("stores 12.59: what the caller changes later does not change the store", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open();
    const { subscriptions } = store.createChannel("foo");
    const record = subscription("me");
    subscriptions.create(record);
    record.clientId = "changed";
    record.lastSent = 99;
    await store.close();
    assert.deepEqual(subscriptionsOf(await directory.open(), "foo"), [[1, "me", 0, []]]);
  }));

test("stores 13, trap 11: channels whose name is a file of the store, or too long for the disk, are refused without a path", () =>
  inDirectory(async (directory) => {
    const { store, log } = await directory.open();
    await store.flush();
    for (const name of ["server.dat", "clients.dat", "x".repeat(300)]) {
      assert.throws(
        () => store.createChannel(name),
        (error: unknown) =>
          error instanceof StoreError && !error.message.includes(directory.dir) && !error.message.includes("/"),
      );
    }
    assert.equal(log.lines.filter((line) => line.startsWith("[ERR] Cannot create channel")).length, 3);
    assert.equal(store.channelCount, 0);
  }));

test("stores 13, trap 6: an index without its data is nobody's, and the next slice of that number is begun anew", () =>
  inDirectory(async (directory) => {
    await write(directory, 2, { sliceMaxMessages: 2 });
    writeFileSync(directory.path("foo/msgs.2.idx"), directory.bytes(INDEX));
    const opened = await directory.open({ sliceMaxMessages: 2 });
    const { messages } = channelOf(opened, "foo");
    fill(messages, 3, 3);
    await messages.flush();
    await opened.store.close();
    assert.deepEqual(readStore(realFiles, directory.dir).problems, []);
    assert.deepEqual(stateOf(channelOf(await directory.open(), "foo").messages).slice(0, 3), [1, 3, 3]);
  }));

test("stores 13, trap 38: a record that announces gigabytes is not believed", () =>
  inDirectory(async (directory) => {
    await write(directory, 1);
    change(directory, DATA, (bytes) => void bytes.set([0xff, 0xff, 0xff, 0x7f], 4));
    rmSync(directory.path(INDEX));
    const opened = await directory.open();
    assert.deepEqual(stateOf(channelOf(opened, "foo").messages), [0, 0, 0, 0]);
    assert.ok(opened.log.lines.some((line) => line.includes("2147483647 bytes")));
  }));

test("5.11, decision 10: a second store on the same directory is refused while the first one is open", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open();
    await refuses(directory, "STORE_LOCKED", "is in use by another server");
    await store.close();
    await (await directory.open()).store.close();
  }));

test("5.8: the archive script gets the channel and both files of the slice, renamed", () =>
  inDirectory(async (directory) => {
    const calls: (readonly string[])[] = [];
    const { store, log } = await directory.open({ sliceMaxMessages: 2, sliceArchiveScript: "/bin/archive" }, {
      maxMessages: 2,
    }, {
      runProgram: (path, args, done) => {
        calls.push([path, ...args]);
        done("kept", undefined);
      },
    });
    const { messages } = store.createChannel("foo");
    fill(messages, 1, 5);
    await messages.flush();
    const base = `${directory.dir}/foo/msgs.1`;
    assert.deepEqual(calls, [["/bin/archive", "foo", `${base}.dat.bak`, `${base}.idx.bak`]]);
    assert.deepEqual(directory.names("foo").filter((name) => name.startsWith("msgs.1.")), [
      "msgs.1.dat.bak",
      "msgs.1.idx.bak",
    ]);
    assert.ok(log.lines.includes(`[INF] Output of archive script for foo (${base}.dat.bak and ${base}.idx.bak): kept`));
  }));

test("5.12: with a limit on descriptors everything works, one file at a time if need be", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open({ descriptorsMax: 2, sliceMaxMessages: 3 });
    const channels = ["a", "b", "c"].map((name) => store.createChannel(name));
    for (let round = 0; round < 3; round++) {
      for (const { messages } of channels) fill(messages, round * 4 + 1, round * 4 + 4);
      await Promise.all(channels.map(({ messages }) => messages.flush()));
    }
    for (const { messages } of channels) assert.deepEqual(await readAll(messages), texts(1, 12));
    assert.equal(put(channels[0]!.messages, 13, "x") === APPEND_FAILED, false);
  }));

test("stores 12.7, 12.46: without server.dat and with the wrong polynomial nothing is cut, whichever file shows it", async () => {
  for (const lost of [[], ["foo/msgs.1.idx"], ["foo/msgs.1.idx", "foo/msgs.1.dat"]]) {
    await inDirectory(async (directory) => {
      await write(directory, 6, { crcPolynomial: 0x82f63b78 });
      for (const file of ["server.dat", ...lost]) rmSync(directory.path(file));
      const files = directory.names("foo").map((name) => `foo/${name}`);
      const before = files.map((file) => directory.bytes(file));
      // As the server does: what is missing is made anew, then it recovers a second time.
      await assert.rejects(directory.open());
      const other = new StoreDirectory();
      const donor = await other.open();
      await donor.store.close();
      writeFileSync(directory.path("server.dat"), other.bytes("server.dat"));
      await other.end();
      await refuses(
        directory,
        "STORE_DAMAGED",
        /: no checksum is right, although \d+ records are whole.*file_crc_poly.*repair/,
      );
      assert.deepEqual(files.map((file) => directory.bytes(file)), before);
    });
  }
});

test("stores 6.2: a channel directory that was renamed keeps its messages, with and without an index", async () => {
  for (const hasIndex of [true, false]) {
    await inDirectory(async (directory) => {
      await write(directory);
      renameSync(directory.path("foo"), directory.path("bar"));
      if (!hasIndex) rmSync(directory.path("bar/msgs.1.idx"));
      const { messages } = channelOf(await directory.open(), "bar");
      assert.deepEqual(await readAll(messages), texts(1, 6));
    });
  }
});

test("decision 15: the copy of a record inside a payload is not taken for a message behind damage", () =>
  inDirectory(async (directory) => {
    const other = new StoreDirectory();
    const { store: donor } = await other.open();
    const channel = donor.createChannel("elsewhere");
    channel.messages.append(1, 1, 1, new Uint8Array(0), 0, 0, 0, 0);
    for (let sequence = 2; sequence <= 60; sequence++) put(channel.messages, sequence, "x");
    await channel.messages.flush();
    const copy = other.bytes("elsewhere/msgs.1.dat");
    await donor.close();
    await other.end();
    const { store } = await directory.open();
    const { messages } = store.createChannel("foo");
    fill(messages, 1, 2);
    put(messages, 3, copy);
    fill(messages, 4, 5);
    await messages.flush();
    await store.close();
    rmSync(directory.path(INDEX));
    const size = directory.bytes(DATA).length;
    change(directory, DATA, (bytes) => void (bytes[4 + 2 * ((size - copy.length) / 5 | 0)]! ^= 1));
    const again = channelOf(await directory.open(), "foo").messages;
    assert.equal(again.lastSequence, 5);
    assert.ok((await readAll(again)).includes("5=m-5"));
  }));
