/** The bytes of the FILE store against libraries and published vectors (stores.md 4). */
import assert from "node:assert/strict";
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
