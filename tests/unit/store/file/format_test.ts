/** The bytes of the FILE store against libraries and published vectors (stores.md 4). */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { test } from "node:test";
import { Crc32 } from "../../../../src/store/file/crc.ts";
import {
  IndexRecord,
  POSITION_RECORD_BYTES_MAX,
  readSafeU64,
  readU32,
  sliceNames,
  sliceNumber,
  SUBSCRIPTION_RECORD,
  writeIndexRecord,
  writePositionRecord,
  writeU32,
} from "../../../../src/store/file/format.ts";
import { encodeSubStateUpdate } from "../../../../src/wire/stan_server.ts";
import { SeededRandom } from "../../../conformance/store/random.ts";

const bytes = new Uint8Array(70_000).map((_, i) => (i * 167 + (i >> 8)) & 0xff);

test("stores 4.3: checksums of every length and place are those of zlib", () => {
  const crc = new Crc32();
  for (let length = 0; length < 600; length++) {
    for (const start of [0, 1, 2, 3, 5]) {
      assert.equal(crc.of(bytes, start, start + length), crc32(bytes.subarray(start, start + length)), `${length}`);
    }
  }
  assert.equal(crc.of(bytes, 3, 70_000), crc32(bytes.subarray(3)));
});

test("stores 4.3: other polynomials have their published check values", () => {
  const check = new TextEncoder().encode("123456789");
  for (const [polynomial, expected] of [[0xedb88320, 0xcbf43926], [0x82f63b78, 0xe3069283], [0xeb31d82e, 0x2d3dd0ae]]) {
    assert.equal(new Crc32(polynomial).of(check, 0, 9), expected, polynomial!.toString(16));
  }
});

test("stores 4.3: with another polynomial long ranges are the same as byte by byte", () => {
  const polynomial = 0x82f63b78;
  const crc = new Crc32(polynomial);
  const slow = (start: number, end: number): number => {
    let value = 0xffff_ffff;
    for (let at = start; at < end; at++) {
      value ^= bytes[at]!;
      for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? (value >>> 1) ^ polynomial : value >>> 1;
    }
    return (value ^ 0xffff_ffff) >>> 0;
  };
  for (const length of [0, 1, 15, 16, 17, 95, 160, 161, 1000]) {
    assert.equal(crc.of(bytes, 7, 7 + length), slow(7, 7 + length));
  }
});

test("stores 4.8: records that end in their own checksum are right together exactly when each is", () => {
  const random = new SeededRandom(48);
  const crc = new Crc32();
  for (const count of [0, 1, 2, 3, 500, 2048, 2049, 5000]) {
    const right = random.bytes(4 + count * 32);
    for (let at = 4; at < right.length; at += 32) writeU32(right, at + 28, crc.of(right, at, at + 28));
    assert.ok(crc.areRecordsRight(right, 4, count), `${count} right ones`);
    // One wrong bit, or several: often the same bit of two records, which must not make up for each other.
    for (let i = 0; i < (count === 0 ? 0 : 40); i++) {
      const rows = right.slice();
      const bit = 1 << random.below(8);
      const place = random.below(32);
      const wrong = new Set(Array.from({ length: 1 + i % 3 }, () => random.below(count)));
      for (const record of wrong) rows[4 + record * 32 + place]! ^= bit;
      assert.equal(crc.areRecordsRight(rows, 4, count), false, `${count}, wrong: ${[...wrong].join()}`);
    }
  }
  const other = new Crc32(0x82f63b78);
  const rows = random.bytes(64);
  for (const at of [0, 32]) writeU32(rows, at + 28, other.of(rows, at, at + 28));
  assert.equal(other.areRecordsRight(rows, 0, 2), false, "another polynomial is not looked at");
});

test("stores 4.7: messages are right together exactly when each is", () => {
  const random = new SeededRandom(47);
  const crc = new Crc32();
  for (
    const sizes of [[], [0], [1], [170], [0, 0, 3], [128, 129, 5000, 1], Array<number>(700).fill(171), [300_000, 12]]
  ) {
    const records = sizes.map((size) => {
      const record = random.bytes(8 + size);
      writeU32(record, 0, size);
      writeU32(record, 4, crc.of(record, 8, 8 + size));
      return record;
    });
    const right = Buffer.concat([random.bytes(5), ...records, random.bytes(5)]);
    const end = right.length - 5;
    assert.ok(crc.areMessagesRight(right, 5, end), sizes.join());
    assert.equal(crc.areMessagesRight(right, 5, end + 1), false, "a byte behind them");
    assert.equal(new Crc32(0x82f63b78).areMessagesRight(right, 5, end), false, "another polynomial is not looked at");
    if (sizes.length === 0) continue;
    assert.equal(crc.areMessagesRight(right, 5, end - 1), false, "a byte less");
    for (let i = 0; i < 100; i++) {
      // The first bytes are sizes and checksums, the last ones often of a record without a payload.
      const at = 5 + random.below(i % 3 === 0 ? 8 : end - 5);
      const bit = 1 << random.below(8);
      right[at]! ^= bit;
      assert.equal(crc.areMessagesRight(right, 5, end), false, `${sizes.join()}: byte ${at}`);
      right[at]! ^= bit;
    }
  }
});

test("stores 4.6: position records written by hand are those of the library", () => {
  const crc = new Crc32();
  const buffer = new Uint8Array(POSITION_RECORD_BYTES_MAX + 8);
  for (const id of [1, 127, 128, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
    for (const sequence of [1, 127, 128, 16_383, 16_384, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      const end = writePositionRecord(buffer, 3, SUBSCRIPTION_RECORD.ack, id, sequence, crc);
      const payload = encodeSubStateUpdate({ id, sequence });
      assert.deepEqual(buffer.slice(11, end), payload);
      assert.equal(readU32(buffer, 3), 4 * 0x100_0000 + payload.length);
      assert.equal(readU32(buffer, 7), crc.of(payload, 0, payload.length));
      assert.ok(end - 3 <= POSITION_RECORD_BYTES_MAX);
    }
  }
});

test("stores 4.8: index records of sequences and offsets beyond 32 bits come back as they were", () => {
  const crc = new Crc32();
  const buffer = new Uint8Array(40);
  const record = new IndexRecord();
  for (const [sequence, offset] of [[1, 4], [2 ** 32 + 5, 2 ** 33 + 7], [Number.MAX_SAFE_INTEGER, 2 ** 40]] as const) {
    writeIndexRecord(buffer, 8, sequence, offset, 0x18e9dc96, 0xf4b69b2b, 0xffff_fff0, crc);
    record.read(buffer, 8);
    assert.deepEqual(
      [record.sequence, record.offset, record.stampHigh, record.stampLow, record.payloadSize, record.dataEnd],
      [sequence, offset, 0x18e9dc96, 0xf4b69b2b, 0xffff_fff0, offset + 8 + 0xffff_fff0],
    );
  }
  buffer.fill(0xff);
  assert.equal(readSafeU64(buffer, 0), -1, "no safe integer");
  writeU32(buffer, 0, 0xfffe_fdfc);
  assert.equal(readU32(buffer, 0), 0xfffe_fdfc);
});

test("stores 4.7, 6.2: names of slices, and what only looks like one", () => {
  assert.deepEqual(sliceNames(12), { data: "msgs.12.dat", index: "msgs.12.idx" });
  assert.equal(sliceNumber("msgs.12.dat"), 12);
  for (const name of ["msgs.12.idx", "msgs.1.dat.bak", "subs.dat", ".msgs.1.dat.cut-4", "notes"]) {
    assert.equal(sliceNumber(name), undefined, name);
  }
  for (const name of ["msgs.x.dat", "msgs.01.dat", "msgs.-1.dat", "msgs.+1.dat", "msgs.0.dat", "msgs.1.5.dat"]) {
    assert.ok(Number.isNaN(sliceNumber(name)), name);
  }
});
