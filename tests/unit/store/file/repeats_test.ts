/**
 * Sequences that come twice within one data file, as the reference leaves it that was killed between messages and their index
 * and was started again (stores.md 6.5): those that come later were acknowledged.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { rmSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { bytesOf } from "../../../../src/base/bytes.ts";
import { statusOf } from "../../../../src/server/tools/store_finding.ts";
import { Crc32 } from "../../../../src/store/file/crc.ts";
import {
  RECORD_HEADER_BYTES,
  versionBytes,
  writeIndexRecord,
  writeRecordHeader,
} from "../../../../src/store/file/format.ts";
import { MessageOrder, type OrderOptions } from "../../../../src/store/file/repeats.ts";
import { encodeMsgProto, MsgProtoView } from "../../../../src/wire/stan_hot.ts";
import {
  channelOf,
  inDirectory,
  readAll,
  stateOf,
  type StoreDirectory,
  texts,
} from "../../../conformance/store/file_support.ts";
import { exported, figuresOf, inspect, repair } from "../../../helpers/store_tools.ts";
import { readStore, realFiles } from "../../../helpers/store_validator.ts";

const crc = new Crc32();

describe("the order of sequences", () => {
  /** What becomes of messages of 10 bytes each: `+` counts, `-` does not, `x` is refused. Stamps go up unless told. */
  function fates(
    sequences: readonly number[],
    options: Partial<OrderOptions> & { searches?: boolean; stamps?: readonly number[]; gapBefore?: number } = {},
  ): { readonly fate: string; readonly order: MessageOrder } {
    const { searches = false, stamps, gapBefore, ...rest } = options;
    const pass = (order: MessageOrder) => {
      let position = 4;
      return sequences.map((sequence, i) => {
        if (i === gapBefore) position += 3;
        const at = position;
        position += 10;
        const message = Object.assign(new MsgProtoView(), { sequence, stampHigh: 1, stampLow: stamps?.[i] ?? i + 1 });
        if (!order.accepts(message, at)) return "x";
        return order.takes(message, at, position) ? "+" : "-";
      }).join("");
    };
    const search = new MessageOrder({ last: 0, ...rest }, undefined);
    pass(search);
    const order = searches
      ? new MessageOrder({ last: 0, ...rest }, search.restarts)
      : new MessageOrder({ last: 0, ...rest }, []);
    return { fate: pass(order), order };
  }

  it("stores 4.7: sequences that ascend all count", () => {
    const { fate, order } = fates([1, 2, 5, 6]);
    assert.deepEqual([fate, order.isRepeated, order.last], ["++++", false, 6]);
  });

  it("stores 6.5: who does not know where they begin again is told that they do", () => {
    const { fate, order } = fates([1, 2, 3, 4, 3, 4, 5]);
    assert.deepEqual([fate, order.isRepeated], ["++++xx+", true]);
  });

  it("stores 6.5: the later ones count, however often they begin again", () => {
    assert.equal(fates([1, 2, 3, 4, 3, 4, 5], { searches: true }).fate, "++--+++");
    assert.equal(fates([1, 2, 3, 4, 3, 4, 3, 4], { searches: true }).fate, "++----++");
    assert.equal(fates([1, 2, 3, 4, 4, 5, 3, 4], { searches: true }).fate, "++----++");
  });

  it("stores 6.5: only one that is later, and stands right behind a whole message, is no copy and no rest of something", () => {
    assert.equal(fates([1, 2, 3, 2, 3], { searches: true, stamps: [1, 2, 3, 3, 4] }).fate, "+++xx");
    assert.equal(fates([1, 2, 3, 2, 3], { searches: true, stamps: [1, 2, 3, 2, 3] }).fate, "+++xx");
    assert.equal(fates([1, 2, 3, 2], { searches: true, gapBefore: 3 }).fate, "+++x");
  });

  it("decision 15: nothing in front of what is read goes, nor the first message, unless others are in front of it", () => {
    assert.equal(fates([4, 5, 4, 5], { searches: true }).fate, "++xx");
    assert.equal(fates([4, 5, 3, 6], { last: 3, hasOthers: true, searches: true }).fate, "++x+");
    assert.equal(fates([4, 5, 4, 5], { last: 3, hasOthers: true, searches: true }).fate, "--++");
  });

  it("nothing from the end on counts", () => {
    assert.equal(fates([1, 2, 3, 4, 2, 3], { end: 3, searches: true }).fate, "++xxxx");
  });
});

interface Written {
  readonly sequence: number;
  readonly text: string;
  readonly ms: number;
  /** The index knows it. */
  readonly isIndexed: boolean;
}

/** 1 to 3, then 4 and 5 that were never acknowledged, then 4 to 6 that were. */
const TWICE: readonly Written[] = [
  ...[1, 2, 3].map((sequence) => ({ sequence, text: `m-${sequence}`, ms: sequence, isIndexed: true })),
  ...[4, 5].map((sequence) => ({ sequence, text: `old-${sequence}`, ms: sequence, isIndexed: false })),
  ...[4, 5, 6].map((sequence) => ({ sequence, text: `m-${sequence}`, ms: sequence * 10, isIndexed: true })),
];
/** The same, and killed once more. */
const THRICE: readonly Written[] = [
  ...TWICE.slice(0, 5),
  ...[4, 5, 6].map((sequence) => ({ sequence, text: `mid-${sequence}`, ms: sequence + 10, isIndexed: false })),
  ...TWICE.slice(5),
];

/** A directory in which slice 1 of "foo" holds these. */
async function inStore(
  messages: readonly Written[],
  work: (directory: StoreDirectory) => Promise<void>,
): Promise<void> {
  await inDirectory(async (directory) => {
    const { store } = await directory.open();
    store.createChannel("foo");
    store.createChannel("goo").messages.append(1, 1, 1, bytesOf("x"), 0, 0, 0, 1);
    await store.close();
    const data: Uint8Array[] = [versionBytes()];
    const index: Uint8Array[] = [versionBytes()];
    let at = 4;
    for (const { sequence, text, ms, isIndexed } of messages) {
      const record = new Uint8Array(100);
      const payload = bytesOf(text);
      const start = RECORD_HEADER_BYTES;
      const end = encodeMsgProto(
        record,
        start,
        sequence,
        bytesOf("foo"),
        0,
        3,
        payload,
        0,
        0,
        0,
        payload.length,
        1,
        ms,
      );
      writeRecordHeader(record, 0, 0, end - start, crc);
      const entry = new Uint8Array(32);
      writeIndexRecord(entry, 0, sequence, at, 1, ms, end - start, crc);
      if (isIndexed) index.push(entry);
      data.push(record.subarray(0, end));
      at += end;
    }
    writeFileSync(directory.path("foo/msgs.1.dat"), Buffer.concat(data));
    writeFileSync(directory.path("foo/msgs.1.idx"), Buffer.concat(index));
    await work(directory);
  });
}

async function startedOn(directory: StoreDirectory) {
  const copy = directory.crashed();
  try {
    const opened = await copy.open();
    const { messages } = channelOf(opened, "foo");
    const served = await readAll(messages);
    const state = stateOf(messages);
    await opened.store.close();
    const again = await copy.open();
    assert.deepEqual(await readAll(channelOf(again, "foo").messages), served);
    assert.deepEqual(again.log.warnings, []);
    return { served, state, lines: opened.log.warnings };
  } finally {
    await copy.end();
  }
}

/** The index, whole or as damage leaves it. */
const INDEXES: readonly { readonly name: string; readonly spoil: (directory: StoreDirectory) => void }[] = [
  { name: "with its index", spoil: () => {} },
  { name: "without an index", spoil: (directory) => rmSync(directory.path("foo/msgs.1.idx")) },
  {
    name: "with an index that ends before them",
    spoil: (directory) =>
      writeFileSync(directory.path("foo/msgs.1.idx"), directory.bytes("foo/msgs.1.idx").subarray(0, 4 + 3 * 32)),
  },
];

describe("a data file in which sequences come twice", () => {
  for (const [times, written] of [["twice", TWICE], ["three times", THRICE]] as const) {
    for (const { name, spoil } of INDEXES) {
      it(`stores 6.5: ${times}, ${name}: a start serves the later ones, and check has its figures`, async () => {
        await inStore(written, async (directory) => {
          spoil(directory);
          const { served, state, lines } = await startedOn(directory);
          assert.deepEqual(served, texts(1, 6));
          assert.equal(statusOf(inspect(directory.dir).report.findings), 1);
          assert.deepEqual(figuresOf(directory.dir), state);
          assert.equal(lines.some((line) => line.startsWith("[ERR]")), false, lines.join("\n"));
          if (name === "with its index") assert.deepEqual(lines, []);
          else {assert.ok(
              lines.some((line) => line.includes("others of these sequences stand behind")),
              lines.join("\n"),
            );}
        });
      });

      it(`stores 6.5, 11: ${times}, ${name}: repair keeps those that count and the bytes of the others, export gives them`, async () => {
        await inStore(written, async (directory) => {
          spoil(directory);
          assert.deepEqual(await exported(directory.dir), { messages: texts(1, 6), damage: [] });
          await repair(directory.dir);
          const decoder = new TextDecoder();
          const { problems, channels } = readStore(realFiles, directory.dir);
          assert.deepEqual(problems, []);
          assert.deepEqual([...channels.get("foo")!.messages.values()].map(({ data }) => decoder.decode(data)), [
            ...[1, 2, 3, 4, 5, 6].map((sequence) => `m-${sequence}`),
          ]);
          const aside = directory.names("foo").filter((file) => file.includes(".cut-"));
          const kept = aside.map((file) => Buffer.from(directory.bytes(`foo/${file}`)).toString("latin1")).join();
          for (const { text } of written.filter(({ isIndexed }) => !isIndexed)) assert.ok(kept.includes(text), text);
          assert.deepEqual((await startedOn(directory)).lines, []);
        });
      });
    }
  }

  it("stores 6.2: where the index is of those that come first, they count, and what is behind them is no message", async () => {
    const written = TWICE.map((message, i) => ({ ...message, isIndexed: i < 5 })).slice(0, 7);
    await inStore(written, async (directory) => {
      const { served, state } = await startedOn(directory);
      assert.deepEqual(served, [...texts(1, 3), "4=old-4", "5=old-5"]);
      assert.deepEqual(figuresOf(directory.dir), state);
      await repair(directory.dir);
      assert.deepEqual((await startedOn(directory)).served, served);
    });
  });
});
