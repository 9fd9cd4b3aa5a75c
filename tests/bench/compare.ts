/**
 * Ways to tell whether a control line equals the one before it, in nanoseconds per line on the runtime that runs this; the
 * evidence behind `equalViews` in src/base/bytes.ts, and so behind `#isRemembered` in src/wire/nats_parser.ts. Run with both
 * runtimes. As numbers eight bytes are compared in the machine's order; what that does not tell exactly is looked at again.
 */
import { Buffer } from "node:buffer";
import { bytesOf, equalRanges, equalViews } from "../../src/base/bytes.ts";

const line = bytesOf("PUB _STAN.pub.0123456789abcdefghijkl.orders.new _INBOX.0123456789abcdefghijkl.1 199\r\n");
const { length } = line;
const FRAME = length + 201;
const chunk = new Uint8Array(1024 * 1024);
const COUNT = Math.floor(chunk.length / FRAME);
for (let i = 0; i < COUNT; i++) chunk.set(line, i * FRAME);

const lineView = new DataView(line.buffer);
const view = new DataView(chunk.buffer);
const lineBuffer = Buffer.from(line.buffer);

const ways: Record<string, (at: number) => boolean> = {
  "one byte (equalRanges)": (at) => equalRanges(line, 0, length, chunk, at, at + length),
  "four bytes (getInt32)": (at) => {
    const last = length - 4;
    if (view.getInt32(at + last, true) !== lineView.getInt32(last, true)) return false;
    for (let i = 0; i < last; i += 4) if (view.getInt32(at + i, true) !== lineView.getInt32(i, true)) return false;
    return true;
  },
  "eight bytes, other order": (at) => {
    const last = length - 8;
    if (view.getFloat64(at + last) !== lineView.getFloat64(last)) return false;
    for (let i = 0; i < last; i += 8) if (view.getFloat64(at + i) !== lineView.getFloat64(i)) return false;
    return true;
  },
  "eight bytes, not exact": (at) => {
    const last = length - 8;
    if (view.getFloat64(at + last, true) !== lineView.getFloat64(last, true)) return false;
    for (let i = 0; i < last; i += 8) if (view.getFloat64(at + i, true) !== lineView.getFloat64(i, true)) return false;
    return true;
  },
  "eight bytes (equalViews)": (at) => equalViews(lineView, 0, length, view, at, at + length),
  "Buffer.compare": (at) => lineBuffer.compare(chunk, at, at + length) === 0,
};

const ROUNDS = 8;
const PASSES = 50;
const figures: { name: string; best: number }[] = [];
for (const [name, isEqual] of Object.entries(ways)) {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const begin = performance.now();
    for (let pass = 0; pass < PASSES; pass++) {
      for (let i = 0; i < COUNT; i++) if (!isEqual(i * FRAME)) throw new Error(`${name} is wrong`);
    }
    best = Math.min(best, performance.now() - begin);
  }
  figures.push({ name, best: (best * 1e6) / (PASSES * COUNT) });
}
for (const { name, best } of figures) {
  console.log(`${name.padEnd(26)} ${best.toFixed(0).padStart(4)} ns  ${(best / figures[0]!.best).toFixed(2)}x`);
}
