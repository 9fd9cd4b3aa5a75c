/** Reading files in any state (stores.md 6.4, 6.6; decision 15). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Crc32 } from "../../../../src/store/file/crc.ts";
import { encodeRecord, versionBytes } from "../../../../src/store/file/format.ts";
import { type RecordRules, scanRecords } from "../../../../src/store/file/scan.ts";

const crc = new Crc32();

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Payload `0x55 i ...` of `length` bytes. */
function record(i: number, length = 20): Uint8Array {
  const payload = new Uint8Array(length).fill(i);
  payload[0] = 0x55;
  return encodeRecord(0, payload, crc);
}

const rules: RecordRules = {
  typed: false,
  checkCrc: true,
  accept: (_type, bytes, start, end) => end > start && bytes[start] === 0x55,
  mayBegin: (_type, firstByte) => firstByte === 0x55,
};

function scan(content: Uint8Array, change: Partial<RecordRules> = {}) {
  const found: number[] = [];
  const source = {
    size: content.length,
    read: (into: Uint8Array, start: number, end: number, position: number) => {
      const part = content.subarray(position, position + end - start);
      into.set(part, start);
      return part.length;
    },
  };
  const result = scanRecords(source, 0, { ...rules, ...change }, crc, (_position, _type, bytes, start) => {
    found.push(bytes[start + 1]!);
  });
  return { found, end: result.end, bad: result.bad.map(({ start, end, kind }) => [kind, start, end]) };
}

const whole = joined(versionBytes(), record(1), record(2), record(3));

test("a sound file has every record and nothing bad", () => {
  assert.deepEqual(scan(whole), { found: [1, 2, 3], end: 88, bad: [] });
  assert.deepEqual(scan(versionBytes()), { found: [], end: 4, bad: [] });
});

test("cut at every byte, the records before are there and the rest is torn", () => {
  for (let size = 5; size < whole.length; size++) {
    const records = Math.floor((size - 4) / 28);
    const end = 4 + records * 28;
    assert.deepEqual(scan(whole.subarray(0, size)), {
      found: [1, 2, 3].slice(0, records),
      end,
      bad: size === end ? [] : [["torn", end, size]],
    }, `cut at ${size}`);
  }
});

test("6.6: zeros behind the records are padding from eight bytes on, fewer are a torn record (trap 37)", () => {
  for (let count = 1; count < 40; count++) {
    assert.deepEqual(scan(joined(whole, new Uint8Array(count))).bad, [[count < 8 ? "torn" : "zeros", 88, 88 + count]]);
  }
});

test("every flipped bit of the middle record is damage, and the record behind it is found", () => {
  for (let at = 32; at < 60; at++) {
    const content = whole.slice();
    content[at]! ^= 0x40;
    assert.deepEqual(scan(content), { found: [1, 3], end: 88, bad: [["damage", 32, 60]] }, `byte ${at}`);
  }
});

test("zeros with something behind them are damage, not an end", () => {
  const content = joined(versionBytes(), record(1), new Uint8Array(100), record(3));
  assert.deepEqual(scan(content), { found: [1, 3], end: 160, bad: [["damage", 32, 132]] });
});

test("a size that the file cannot hold is not believed", () => {
  const content = whole.slice();
  content.set([0xff, 0xff, 0xff, 0xff], 32);
  assert.deepEqual(scan(content).found, [1, 3]);
});

test("without checking checksums a flipped payload is read, but the search behind damage stays strict", () => {
  const flipped = whole.slice();
  flipped[45]! ^= 1;
  assert.deepEqual(scan(flipped, { checkCrc: false }).found, [1, 2, 3]);
  const broken = whole.slice();
  broken[40] = 0;
  broken[73]! ^= 1;
  assert.deepEqual(scan(broken, { checkCrc: false }), { found: [1], end: 32, bad: [["torn", 32, 88]] });
});

test("typed files: the type counts, size 0 is a record, all zeros are not (traps 39 and 37)", () => {
  const typed: Partial<RecordRules> = {
    typed: true,
    accept: (type) => type > 0 && type < 6,
    mayBegin: (type) => type > 0 && type < 6,
  };
  const empty = encodeRecord(3, new Uint8Array(0), crc);
  const { end, bad, found } = scan(joined(versionBytes(), empty, empty), typed);
  assert.deepEqual([end, bad, found.length], [20, [], 2]);
  const wrongType = encodeRecord(9, new Uint8Array([1, 2]), crc);
  assert.deepEqual(scan(joined(versionBytes(), wrongType, empty), typed).bad, [["torn", 4, 22]]);
});

test("files larger than the window are read whole", () => {
  const parts = Array.from({ length: 300 }, (_, i) => record(i & 0x7f, 10_000 + i));
  const { found, bad } = scan(joined(versionBytes(), ...parts));
  assert.deepEqual([found.length, bad.length], [300, 0]);
  const damaged = joined(versionBytes(), ...parts);
  damaged[1_500_000]! ^= 1;
  assert.equal(scan(damaged).found.length, 299);
});
