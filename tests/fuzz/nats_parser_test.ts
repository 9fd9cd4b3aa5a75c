/**
 * Mutated streams against the NATS parser: in any pieces it must hand out what the plain parser makes of the whole, keep no
 * more than the limits allow, and throw nothing. `FUZZ_COUNT` inputs from `FUZZ_SEED`.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { bytesOf, byteString } from "../../src/base/bytes.ts";
import { NatsParser } from "../../src/wire/nats_parser.ts";
import { SeededRandom } from "../conformance/store/random.ts";
import { OperationRecorder, parsePlainly } from "../unit/wire/nats_support.ts";

const COUNT = Number(process.env.FUZZ_COUNT ?? "20000");
const SEED = Number(process.env.FUZZ_SEED ?? "1");
/** Small, so that random inputs meet them. */
const LIMITS = { maxControlLine: 40, maxPayload: 60 };

const CORPUS = [
  "PUB foo 5\r\nhello\r\n",
  "PUB foo 5\r\nhello\r\n",
  "PUB foo bar 3\r\nabc\r\n",
  "PUB foo.bar.baz 0\r\n\r\n",
  "PUB a 02\nhi\r\n",
  "PUB foo 14\r\nPUB foo 1\r\nx\r\n\r\n",
  "PUB big 60\r\n" + "0123456789".repeat(6) + "\r\n",
  "PUB big 61\r\n",
  "HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
  "HPUB foo re 2 2\r\nab\r\n",
  "SUB foo 1\r\n",
  "SUB foo.* queue 22\n",
  "UNSUB 1\r\n",
  "UNSUB 1 5\r\n",
  'CONNECT {"verbose":false}\r\n',
  "CONNECT{}\n",
  "PING\r\n",
  "PONG\r\n",
  "+OK\r\n",
  "INFO {}\r\n",
  "-ERR 'x'\r\n",
  "SUB " + "a".repeat(38) + " 1\r\n",
  "SUB " + "a".repeat(39) + " 1\r\n",
];
const PIECES = ["\r", "\n", "\r\n", " ", "\t", "\0", "\xff", "9", "0", "-", "{", "PUB ", "H", "p", "PING", "999999999"];

function mutate(text: string, random: SeededRandom): string {
  const at = random.below(text.length + 1);
  const piece = PIECES[random.below(PIECES.length)]!; // Below the length.
  switch (random.below(6)) {
    case 0:
      return text.slice(0, at) + piece + text.slice(at);
    case 1:
      return text.slice(0, at) + text.slice(at + 1);
    case 2:
      return text.slice(0, at) + piece + text.slice(at + piece.length);
    case 3:
      return text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1);
    case 4:
      return text.slice(0, at) + text.slice(at).toLowerCase();
    default: {
      const from = random.below(text.length + 1);
      return text.slice(0, at) + text.slice(from);
    }
  }
}

function makeInput(random: SeededRandom): string {
  let text = "";
  for (let i = random.below(6); i >= 0; i--) text += CORPUS[random.below(CORPUS.length)];
  for (let i = random.below(4); i > 0; i--) text = mutate(text, random);
  return text;
}

function cut(bytes: Uint8Array, random: SeededRandom): Uint8Array[] {
  const mean = [1, 3, 10, 50, 1000][random.below(5)]!; // Below the length.
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random.below(mean * 2);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

test(`nats 16: 129. ${COUNT} mutated streams parse as the plain parser says`, () => {
  const random = new SeededRandom(SEED);
  let failures = 0;
  for (let run = 0; run < COUNT; run++) {
    const input = makeInput(random);
    const headersAllowed = random.below(4) > 0;
    const expected = parsePlainly(input, LIMITS, headersAllowed);
    const pieces = cut(bytesOf(input), random);
    const recorder = new OperationRecorder();
    const parser = new NatsParser(recorder, LIMITS);
    parser.headersAllowed = headersAllowed;
    const context = () => `run ${run} of seed ${SEED}: ${JSON.stringify(pieces.map((piece) => byteString(piece)))}`;
    try {
      for (const piece of pieces) {
        // In the middle of poison: looking outside of the range gives other answers.
        const around = new Uint8Array(piece.length + 64).fill(random.below(2) === 0 ? 0x0a : 0x39);
        around.set(piece, 32);
        parser.feed(around.subarray(32, 32 + piece.length));
        around.fill(0x20);
        // A line with its name, or a whole message with its line.
        assert.ok(parser.pendingBytes <= LIMITS.maxControlLine + 10 + LIMITS.maxPayload + 2 + 100);
      }
    } catch (error) {
      throw new Error(context(), { cause: error });
    }
    if (JSON.stringify(recorder.calls) !== JSON.stringify(expected)) {
      assert.deepEqual(recorder.calls, expected, context());
    }
    if (expected.at(-1)?.startsWith("FAILED")) failures++;
  }
  // The corpus must be worth something: neither all broken nor all well.
  assert.ok(COUNT < 1000 || (failures > COUNT / 10 && failures < COUNT * 0.9), `${failures} of ${COUNT} failed`);
});
