/** stores.md 12, invariants 1 to 12: the bytes. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { Crc32 } from "../../../src/store/file/crc.ts";
import {
  encodeRecord,
  INDEX_RECORD_BYTES,
  isIndexRecordIntact,
  readU32,
  RECORD_HEADER_BYTES,
  VERSION_BYTES,
  writeIndexRecord,
} from "../../../src/store/file/format.ts";
import { StoreError } from "../../../src/store/types.ts";
import { encodeSubState } from "../../../src/wire/stan_server.ts";
import { subscription } from "../../helpers/store_records.ts";
import { readStore, realFiles } from "../../helpers/store_validator.ts";
import { EPOCH_NS, fill, find, inDirectory, put, readAll, StoreDirectory } from "./file_support.ts";
import { TEST_SERVER } from "./suite.ts";

const crc = new Crc32();

/** Something of every kind of record. */
async function writeSomething(directory: StoreDirectory, options = {}): Promise<void> {
  const { store } = await directory.open({ sliceMaxMessages: 3, ...options });
  const channel = store.createChannel("foo");
  fill(channel.messages, 1, 7);
  const id = channel.subscriptions.create(subscription("me", { durableName: "d", isDurable: true }));
  channel.subscriptions.addPending(id, 1);
  channel.subscriptions.ackPending(id, 1);
  channel.subscriptions.update(subscription("me", { id, durableName: "d", isDurable: true, isClosed: true }));
  channel.subscriptions.delete(channel.subscriptions.create(subscription("you")));
  store.addClient({
    id: "me",
    heartbeatInbox: "_INBOX.h",
    connectionId: "c",
    protocol: 1,
    pingIntervalSecs: 5,
    pingMaxOut: 3,
  });
  store.deleteClient("me");
  await channel.messages.flush();
  await channel.subscriptions.flush();
  await store.close();
}

test("stores 12.1: every .dat and .idx begins with version 1", () =>
  inDirectory(async (directory) => {
    await writeSomething(directory);
    const files = [...directory.names("foo").map((name) => `foo/${name}`), "server.dat", "clients.dat"];
    assert.deepEqual(directory.names("foo").length, 7);
    for (const file of files) assert.deepEqual([...directory.bytes(file).subarray(0, 4)], [1, 0, 0, 0], file);
  }));

test("stores 12.2: version 2 is refused with the reference's text, whatever the file", async () => {
  for (const file of ["server.dat", "clients.dat", "foo/subs.dat", "foo/msgs.1.dat"]) {
    await inDirectory(async (directory) => {
      await writeSomething(directory);
      const bytes = directory.bytes(file);
      bytes[0] = 2;
      writeFileSync(directory.path(file), bytes);
      await assert.rejects(
        directory.open(),
        (error: unknown) =>
          error instanceof StoreError && error.code === "STORE_DAMAGED" &&
          error.message.includes("unsupported file version: 2 (supports [1..1])"),
        file,
      );
      assert.deepEqual(directory.bytes(file), bytes, "nothing was changed");
    });
  }
});

test("stores 12.2, decision 15: a file that a crash left empty or full of zeros is begun anew, and said so", async () => {
  for (const file of ["clients.dat", "foo/subs.dat"]) {
    for (const size of [0, 3, 4, 64]) {
      await inDirectory(async (directory) => {
        await writeSomething(directory);
        writeFileSync(directory.path(file), new Uint8Array(size));
        const { store, log } = await directory.open();
        assert.ok(log.lines.some((line) => line.startsWith("[WRN]") && line.includes(file)), `${file} of ${size}`);
        await store.close();
        assert.deepEqual([...directory.bytes(file)], [1, 0, 0, 0]);
      });
    }
  }
});

test("stores 12.3: what we write has no mismatch between data and index, read by code of its own", () =>
  inDirectory(async (directory) => {
    await writeSomething(directory);
    const { problems, channels } = readStore(realFiles, directory.dir);
    assert.deepEqual(problems, []);
    assert.equal(channels.get("foo")?.messages.size, 7);
    assert.equal(channels.get("foo")?.indexed.size, 7);
  }));

test("stores 12.4, 12.10: the type is in the highest byte of the first word, and the checksum does not cover it", () => {
  const payload = encodeSubState(subscription("me"));
  const one = encodeRecord(1, payload, crc);
  const two = encodeRecord(2, payload, crc);
  assert.deepEqual([one[3], two[3]], [1, 2]);
  assert.equal(readU32(one, 0), 0x100_0000 + payload.length);
  assert.deepEqual(one.subarray(4), two.subarray(4));
  assert.equal(readU32(one, 4), crc.of(payload, 0, payload.length));
});

test("stores 12.5, 4.8: an index record has the bytes of the specification's example", () => {
  const bytes = new Uint8Array(INDEX_RECORD_BYTES);
  writeIndexRecord(bytes, 0, 1, 4, 0x18e9dc96, 0x14b69b2b, 29, crc);
  assert.equal(
    Buffer.from(bytes).toString("hex"),
    "01000000000000000400000000000000" + "2b9bb61496dce9181d000000" + "444d5d68",
  );
  for (let i = 0; i < 28; i++) {
    assert.ok(isIndexRecordIntact(bytes, 0, crc));
    bytes[i]! ^= 1;
    assert.ok(!isIndexRecordIntact(bytes, 0, crc), `byte ${i}`);
    bytes[i]! ^= 1;
  }
});

test("stores 12.6: with file_crc off the written checksums are right all the same", () =>
  inDirectory(async (directory) => {
    await writeSomething(directory, { crc: false });
    assert.deepEqual(readStore(realFiles, directory.dir).problems, []);
  }));

test("stores 12.9: a server.dat with one byte too many is refused with the reference's text", () =>
  inDirectory(async (directory) => {
    await writeSomething(directory);
    const bytes = directory.bytes("server.dat");
    writeFileSync(directory.path("server.dat"), new Uint8Array([...bytes, 0]));
    await assert.rejects(directory.open(), (error: unknown) =>
      error instanceof StoreError &&
      error.message.includes(`incorrect file size, expected ${bytes.length} bytes, got ${bytes.length + 1} bytes`));
  }));

test("stores 12.11: the same content is the same bytes as the reference wrote", () =>
  inDirectory(async (golden) => {
    golden.copyGolden("plain");
    const { state } = await golden.open();
    assert.ok(state !== undefined);
    await inDirectory(async (copy) => {
      const { store } = await copy.open();
      store.init(state.server);
      for (const { store: channel } of state.channels) {
        const target = store.createChannel(channel.name);
        const read = readStore(realFiles, golden.dir).channels.get(channel.name)!;
        for (const [sequence, message] of [...read.messages].sort(([a], [b]) => a - b)) {
          const ms = Number((message.stampNs - EPOCH_NS) / 1_000_000n);
          assert.ok(ms > 0);
          const reply = new TextEncoder().encode(message.reply);
          const source = new Uint8Array([...reply, ...message.data]);
          target.messages.append(
            sequence,
            Number(message.stampNs >> 32n),
            Number(message.stampNs & 0xffff_ffffn),
            source,
            0,
            reply.length,
            reply.length,
            source.length,
          );
        }
        await target.messages.flush();
        assert.deepEqual(copy.bytes(`${channel.name}/msgs.1.dat`), golden.bytes(`${channel.name}/msgs.1.dat`));
        assert.deepEqual(copy.bytes(`${channel.name}/msgs.1.idx`), golden.bytes(`${channel.name}/msgs.1.idx`));
      }
      assert.deepEqual(copy.bytes("server.dat"), golden.bytes("server.dat"));
    });
  }));

test("stores 12.11, 4.4: server.dat of the tests' server has one record and its checksum", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open();
    store.init({ ...TEST_SERVER, nodeId: "n1" });
    const bytes = directory.bytes("server.dat");
    const size = readU32(bytes, VERSION_BYTES);
    assert.equal(bytes.length, VERSION_BYTES + RECORD_HEADER_BYTES + size);
    assert.equal(readU32(bytes, 8), crc.of(bytes, 12, bytes.length));
    await store.close();
    assert.equal((await directory.open()).state?.server.nodeId, "n1");
  }));

test("stores 12.12: an empty payload has no field 4 on disk, and is delivered empty", () =>
  inDirectory(async (directory) => {
    const { store } = await directory.open();
    const { messages } = store.createChannel("foo");
    put(messages, 1, "");
    await messages.flush();
    // | sequence 2 bytes | subject 5 bytes | stamp 10 bytes |
    const bytes = directory.bytes("foo/msgs.1.dat");
    assert.equal(readU32(bytes, 4), bytes.length - 12);
    assert.ok(!bytes.subarray(12).includes(0x22), "no field 4");
    assert.equal((await find(messages, 1)).text, "");
    await store.close();
    assert.deepEqual(await readAll((await directory.open()).state!.channels[0]!.store.messages), ["1="]);
  }));
