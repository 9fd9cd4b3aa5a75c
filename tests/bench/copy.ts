/**
 * Ways to copy a range of bytes, in nanoseconds per copy on the runtime that runs this; the evidence behind
 * `installBulkCopy` in src/base/bytes.ts. Run with both runtimes.
 */
import { Buffer } from "node:buffer";
import { copyRange, installBulkCopy } from "../../src/base/bytes.ts";

const source = new Uint8Array(65_536);
const target = new Uint8Array(65_536);
const bufferCopy = Buffer.prototype.copy;

// Never the bulk copy: this shows the loop.
installBulkCopy(() => {}, Infinity);

const ways: Record<string, (length: number, at: number) => void> = {
  "set(subarray)": (length, at) => target.set(source.subarray(at, at + length), at + 7),
  "Buffer.copy": (length, at) => void bufferCopy.call(source as Buffer, target, at + 7, at, at + length),
  "copyRange's loop": (length, at) => void copyRange(target, at + 7, source, at, at + length),
  "plain loop": (length, at) => {
    for (let i = 0; i < length; i++) target[at + 7 + i] = source[at + i]!;
  },
};

const ROUNDS = 8;
const COUNT = 500_000;

for (const length of [8, 16, 24, 32, 40, 64, 128, 256, 1024]) {
  const figures: string[] = [];
  for (const [name, copy] of Object.entries(ways)) {
    let best = Infinity;
    for (let round = 0; round < ROUNDS; round++) {
      const begin = performance.now();
      for (let i = 0, at = 0; i < COUNT; i++, at = (at + length) & 0x7fff) copy(length, at);
      best = Math.min(best, performance.now() - begin);
    }
    figures.push(`${name} ${((best * 1e6) / COUNT).toFixed(0)}`);
  }
  console.log(`${String(length).padStart(5)} B  ${figures.join("  ")}`);
}
