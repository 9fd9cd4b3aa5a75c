/**
 * From which size on zlib's CRC-32 is faster than the tables: prints ns per call of both, and their ratio.
 *
 *     bun tests/bench/crc.ts
 */

import { crc32 } from "node:zlib";
import { Crc32 } from "../../src/store/file/crc.ts";

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
