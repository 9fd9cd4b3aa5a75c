/**
 * Slices that have messages of the same sequences (stores.md 6.2, 6.5, 10): a start, `check`, `repair` and `export` keep those of
 * the later slice, which may have been acknowledged, and keep the bytes of the others aside.
 */
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { bytesOf } from "../../../../src/base/bytes.ts";
import { statusOf } from "../../../../src/server/tools/store_finding.ts";
import { Crc32 } from "../../../../src/store/file/crc.ts";
import { RECORD_HEADER_BYTES, VERSION_BYTES, writeRecordHeader } from "../../../../src/store/file/format.ts";
import { type FirstMessage, firstMessageUpTo, overlapFrom } from "../../../../src/store/file/overlap.ts";
import type { ByteSource } from "../../../../src/store/file/scan.ts";
import { encodeMsgProto } from "../../../../src/wire/stan_hot.ts";
import {
  channelOf,
  find,
  inDirectory,
  put,
  readAll,
  stateOf,
  type StoreDirectory,
  texts,
} from "../../../conformance/store/file_support.ts";
import { exported, figuresOf, inspect, repair } from "../../../helpers/store_tools.ts";
import { readStore, realFiles } from "../../../helpers/store_validator.ts";

const crc = new Crc32();

/** A data file that begins with this message. */
function fileWith(sequence: number, payloadSize = 10): Uint8Array {
  const bytes = new Uint8Array(VERSION_BYTES + payloadSize + 100);
  const start = VERSION_BYTES + RECORD_HEADER_BYTES;
  const payload = new Uint8Array(payloadSize).fill(0x41);
  const end = encodeMsgProto(bytes, start, sequence, bytesOf("foo"), 0, 3, payload, 0, 0, 0, payloadSize, 7, 9);
  writeRecordHeader(bytes, VERSION_BYTES, 0, end - start, crc);
  return bytes.subarray(0, end);
}

interface CountedSource extends ByteSource {
  bytesRead: number;
}

function sourceOf(content: Uint8Array): CountedSource {
  return {
    size: content.length,
    bytesRead: 0,
    read(into, start, end, position) {
      const part = content.subarray(position, position + end - start);
      into.set(part, start);
      this.bytesRead += part.length;
      return part.length;
    },
  };
}

describe("the first message of a slice", () => {
  it("stores 4.7: is found when it does not come behind the last one", () => {
    for (const sequence of [1, 127, 128, 300, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER]) {
      const expected = { sequence, stamp: { high: 7, low: 9 } };
      assert.deepEqual(firstMessageUpTo(sequence, sourceOf(fileWith(sequence)), crc), expected, `${sequence}`);
      assert.equal(firstMessageUpTo(sequence - 1, sourceOf(fileWith(sequence)), crc), undefined, `${sequence}`);
    }
  });

  it("stores 6: one that comes behind the last one costs a start no more than its head, however long it is", () => {
    const source = sourceOf(fileWith(14, 1_000_000));
    assert.equal(firstMessageUpTo(13, source, crc), undefined);
    assert.ok(source.bytesRead < 32, `${source.bytesRead}`);
  });

  it("stores 6.2: is no evidence with any bit flipped, cut anywhere, or announcing more than is there", () => {
    const whole = fileWith(13);
    for (let bit = VERSION_BYTES * 8; bit < whole.length * 8; bit++) {
      const flipped = whole.slice();
      flipped[bit >>> 3]! ^= 1 << (bit & 7);
      assert.equal(firstMessageUpTo(1000, sourceOf(flipped), crc), undefined, `bit ${bit}`);
    }
    for (let size = 0; size < whole.length; size++) {
      assert.equal(firstMessageUpTo(1000, sourceOf(whole.subarray(0, size)), crc), undefined, `${size} bytes`);
    }
  });
});

describe("what a slice has that the next one has, too", () => {
  const slice = { firstSequence: 11, lastSequence: 15 };
  const old = { high: 1, low: 5 };
  const from = (sequence: number, stamp = { high: 1, low: 6 }) =>
    overlapFrom(slice, { sequence, stamp } satisfies FirstMessage, (asked) => asked === 14 ? undefined : old);

  it("stores 6.5: does not count from the first message of the next one on", () => {
    assert.deepEqual([12, 13, 15, 16].map((sequence) => from(sequence)), [12, 13, 15, undefined]);
  });

  it("stores 6.5: nor does what stands behind a gap there", () => {
    assert.equal(from(14), 14);
  });

  it("stores 5.6: counts where both have the same message", () => {
    assert.equal(from(13, old), undefined);
  });

  it("decision 15: no whole slice goes on account of one message", () => {
    assert.deepEqual([1, 10, 11].map((sequence) => from(sequence)), [undefined, undefined, undefined]);
  });
});

/**
 * Slice 1 with 1 to 5, of which 4 and 5 were taken back; slice 2 with other messages 4 and 5, and with 6. The index of slice 1
 * knows `indexedTo`; 0: there is none.
 */
async function inOverlap(indexedTo: number, work: (directory: StoreDirectory) => Promise<void>): Promise<void> {
  await inDirectory((old) =>
    inDirectory(async (directory) => {
      const opened = await old.open();
      const { messages } = opened.store.createChannel("foo");
      for (let sequence = 1; sequence <= 5; sequence++) {
        put(messages, sequence, sequence < 4 ? `m-${sequence}` : `old-${sequence}`);
      }
      await opened.store.close();
      const { store } = await directory.open({ sliceMaxMessages: 3 });
      const log = store.createChannel("foo").messages;
      // Those that stayed are the same ones; the others came later.
      for (let sequence = 1; sequence <= 6; sequence++) {
        put(log, sequence, `m-${sequence}`, sequence * (sequence < 4 ? 1 : 10));
      }
      await store.close();
      writeFileSync(directory.path("foo/msgs.1.dat"), old.bytes("foo/msgs.1.dat"));
      const index = old.bytes("foo/msgs.1.idx");
      if (indexedTo > 0) writeFileSync(directory.path("foo/msgs.1.idx"), index.subarray(0, 4 + 32 * indexedTo));
      else rmSync(directory.path("foo/msgs.1.idx"));
      await work(directory);
    })
  );
}

const CUT_TEXT =
  "what is here from message 4 on does not count: msgs.2.dat, which is later, begins with another message 4";

/** What the directory must be after a start or a repair, for us and for everybody else. */
async function isInOrder(directory: StoreDirectory, data: Uint8Array): Promise<void> {
  const { problems, channels } = readStore(realFiles, directory.dir);
  assert.deepEqual(problems, []);
  const { messages } = channels.get("foo")!;
  assert.deepEqual([...messages.keys()], [1, 2, 3, 4, 5, 6]);
  assert.deepEqual([...messages.values()].map(({ slice }) => slice), [1, 1, 1, 2, 2, 2]);
  const end = messages.get(3)!.offset + 8 + messages.get(3)!.size;
  assert.deepEqual(directory.bytes("foo/msgs.1.dat"), data.subarray(0, end));
  assert.deepEqual(directory.bytes(`foo/.msgs.1.dat.cut-${end}`), data.subarray(end));
  assert.equal(statusOf(inspect(directory.dir).report.findings), 0);
  const opened = await directory.open();
  assert.deepEqual(await readAll(channelOf(opened, "foo").messages), texts(1, 6));
  assert.deepEqual(opened.log.warnings, []);
  await opened.store.close();
}

describe("a directory in which two slices have messages of the same sequences", () => {
  for (
    const [name, indexedTo] of [
      ["the reference was killed between messages and index", 3],
      ["a power cut brought back what was taken back, with its index", 5],
      ["a power cut brought back half of the index", 4],
      ["the index is lost", 0],
    ] as const
  ) {
    it(`stores 6.5, 10: ${name}: a start serves those of the later slice, and says what it cuts off`, async () => {
      await inOverlap(indexedTo, async (directory) => {
        const size = directory.bytes("foo/msgs.1.dat").length;
        const opened = await directory.open();
        const { messages } = channelOf(opened, "foo");
        assert.deepEqual(await readAll(messages), texts(1, 6));
        assert.deepEqual(stateOf(messages).slice(0, 3), [1, 6, 6]);
        const bytes = messages.byteCount;
        const told = opened.log.warnings.filter((line) => line.includes("msgs.1.dat"));
        assert.equal(told.length, 1, told.join("\n"));
        assert.ok(told[0]!.startsWith("[WRN] ") && told[0]!.includes(`: ${CUT_TEXT}; `), told.join());
        // What comes is behind all of them.
        put(messages, 7, "m-7", 100);
        assert.deepEqual((await find(messages, 7)).text, "m-7");
        await opened.store.close();
        const again = await directory.open();
        const { messages: second } = channelOf(again, "foo");
        assert.deepEqual(await readAll(second), texts(1, 7));
        assert.deepEqual(again.log.warnings, []);
        assert.ok(second.byteCount > bytes);
        await again.store.close();
        assert.ok(directory.bytes("foo/msgs.1.dat").length < size);
      });
    });

    it(`stores 6.5, 10: ${name}: check has the figures of a start and says what it will do`, async () => {
      await inOverlap(indexedTo, async (directory) => {
        const before = directory.bytes("foo/msgs.1.dat");
        const { report } = inspect(directory.dir);
        assert.equal(statusOf(report.findings), 1, JSON.stringify(report.findings));
        assert.equal(report.findings.filter(({ text }) => text.startsWith(CUT_TEXT)).length, 1);
        assert.deepEqual(directory.bytes("foo/msgs.1.dat"), before);
        const figures = figuresOf(directory.dir);
        const opened = await directory.open();
        const { messages } = channelOf(opened, "foo");
        assert.deepEqual(figures, stateOf(messages));
        await opened.store.close();
        await isInOrder(directory, before);
      });
    });

    it(`stores 6.5, 10: ${name}: repair leaves what a start leaves, and export gives what a start serves`, async () => {
      await inOverlap(indexedTo, async (directory) => {
        const before = directory.bytes("foo/msgs.1.dat");
        assert.deepEqual(await exported(directory.dir), { messages: texts(1, 6), damage: [] });
        await repair(directory.dir);
        await isInOrder(directory, before);
      });
    });
  }

  it("stores 6.2: a later slice whose first message is damaged proves nothing: what is there is served", async () => {
    await inOverlap(5, async (directory) => {
      const path = directory.path("foo/msgs.2.dat");
      const bytes = readFileSync(path);
      const { messages } = readStore(realFiles, directory.dir, { isOpen: true }).channels.get("foo")!;
      assert.equal(messages.get(4)?.slice, 2);
      bytes[messages.get(4)!.offset + 8 + messages.get(4)!.size - 1]! ^= 1;
      writeFileSync(path, bytes);
      const before = directory.bytes("foo/msgs.1.dat");
      const opened = await directory.open();
      const served = await readAll(channelOf(opened, "foo").messages);
      assert.deepEqual(served, [...texts(1, 3), "4=old-4", "5=old-5", "6=m-6"]);
      assert.deepEqual(directory.bytes("foo/msgs.1.dat"), before);
      await opened.store.close();
    });
  });

  it("stores 6.2: a copy of a slice under a later number takes nothing away", async () => {
    await inOverlap(5, async (directory) => {
      for (const kind of ["dat", "idx"]) rmSync(directory.path(`foo/msgs.2.${kind}`));
      const data = directory.bytes("foo/msgs.1.dat");
      writeFileSync(directory.path("foo/msgs.2.dat"), data);
      const opened = await directory.open();
      assert.deepEqual(await readAll(channelOf(opened, "foo").messages), [...texts(1, 3), "4=old-4", "5=old-5"]);
      assert.deepEqual(directory.bytes("foo/msgs.1.dat"), data);
      await opened.store.close();
    });
  });
});
