/**
 * From which size on zlib's CRC-32 is faster than the tables: prints ns per call of both, and their ratio. Then what it takes to
 * look at index records one by one and all at once, as a start does, and at messages, as a replay does.
 *
 *     bun tests/bench/crc.ts
 */

import { crc32 } from "node:zlib";
import { Crc32 } from "../../src/store/file/crc.ts";
import { readU32, writeRecordHeader } from "../../src/store/file/format.ts";

const ROUNDS = 5;
/** The tables alone: with another polynomial no size goes to zlib, and the work is the same. */
const tables = new Crc32(0x82f63b78);
const block = new Uint8Array(1 << 20).map((_, i) => i * 31);

function measure(size: number, one: (at: number) => number): number {
  const count = Math.floor(40_000_000 / (size + 200));
  let best = Infinity;
  let sink = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now();
    for (let i = 0; i < count; i++) sink ^= one((i * 4093) % (block.length - size));
    best = Math.min(best, (performance.now() - startedAt) * 1e6 / count);
  }
  if (sink === 0.5) throw new Error("never");
  return best;
}

console.log("bytes  tables ns  zlib ns  tables/zlib");
for (const size of [8, 28, 64, 128, 160, 256, 384, 512, 1024, 4096]) {
  const own = measure(size, (at) => tables.of(block, at, at + size));
  const zlib = measure(size, (at) => crc32(block.subarray(at, at + size)));
  console.log(
    `${String(size).padStart(5)}  ${own.toFixed(0).padStart(9)}  ${zlib.toFixed(0).padStart(7)}  ${
      (own / zlib).toFixed(2)
    }`,
  );
}

const RECORDS = 16_384;
const records = new Int32Array(RECORDS * 8);
const recordBytes = new Uint8Array(records.buffer);
const usual = new Crc32();
for (let at = 0; at < records.length; at += 8) {
  records[at] = at;
  records[at + 7] = usual.ofSevenWords(records, at);
}
const oneByOne = measure(RECORDS * 32, () => {
  let wrong = 0;
  for (let at = 0; at < records.length; at += 8) {
    if (usual.ofSevenWords(records, at) !== records[at + 7]! >>> 0) wrong++;
  }
  return wrong;
});
const atOnce = measure(RECORDS * 32, () => usual.areRecordsRight(recordBytes, 0, RECORDS) ? 0 : 1);
console.log(
  `\nindex records, ns each: one by one ${(oneByOne / RECORDS).toFixed(1)}, at once ${
    (atOnce / RECORDS).toFixed(1)
  }, ` +
    `ratio ${(atOnce / oneByOne).toFixed(2)}`,
);

const MESSAGE_BYTES = 178;
const messages = new Uint8Array(RECORDS / 8 * MESSAGE_BYTES);
for (let at = 0; at < messages.length; at += MESSAGE_BYTES) {
  messages.fill(at, at + 8, at + MESSAGE_BYTES);
  writeRecordHeader(messages, at, 0, MESSAGE_BYTES - 8, usual);
}
const messageCount = messages.length / MESSAGE_BYTES;
const eachMessage = measure(messages.length, () => {
  let wrong = 0;
  for (let at = 0; at < messages.length; at += MESSAGE_BYTES) {
    if (usual.of(messages, at + 8, at + MESSAGE_BYTES) !== readU32(messages, at + 4)) wrong++;
  }
  return wrong;
});
const allMessages = measure(messages.length, () => usual.areMessagesRight(messages, 0, messages.length) ? 0 : 1);
console.log(
  `messages of ${MESSAGE_BYTES} bytes, ns each: one by one ${(eachMessage / messageCount).toFixed(1)}, ` +
    `at once ${(allMessages / messageCount).toFixed(1)}, ratio ${(allMessages / eachMessage).toFixed(2)}`,
);
