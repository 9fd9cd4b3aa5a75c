/**
 * Mutated streams against the NATS parser: in any pieces, and whatever is expected, it must hand out what the plain parser
 * makes of the whole, keep no more than the limits allow, and throw nothing. `FUZZ_COUNT` inputs from `FUZZ_SEED`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, byteString } from "../../src/base/bytes.ts";
import { NatsParser } from "../../src/wire/nats_parser.ts";
import { SeededRandom } from "../conformance/store/random.ts";
import { foresightOf, OperationRecorder, parsePlainly } from "../unit/wire/nats_support.ts";
import { COUNT, readCorpus, reportFind, SEED } from "./corpus.ts";

/** Small, so that random inputs meet them. */
const LIMITS = { maxControlLine: 40, maxPayload: 60 };

/** Frames that random streams are made of. */
const FRAMES = [
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
  if (random.below(4) === 0) text = byteString(KEPT[random.below(KEPT.length)]!.bytes); // Below the length.
  for (let i = random.below(6); i >= 0; i--) text += FRAMES[random.below(FRAMES.length)];
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

/**
 * Feeds the pieces and holds what comes out against the plain parser; tells how that ended. `pick` says what is expected of
 * each message (see `foresightOf`); null: nothing is.
 */
function check(
  pieces: readonly Uint8Array[],
  headersAllowed: boolean,
  poison: number,
  pick: ((index: number) => number) | null,
): string | undefined {
  const expected = parsePlainly(byteString(Buffer.concat(pieces)), LIMITS, headersAllowed);
  const recorder = new OperationRecorder(pick === null ? null : foresightOf(expected, pick));
  const parser = new NatsParser(recorder, LIMITS);
  parser.headersAllowed = headersAllowed;
  recorder.expectNext(parser);
  for (const piece of pieces) {
    // In the middle of poison: looking outside of the range gives other answers.
    const around = new Uint8Array(piece.length + 64).fill(poison);
    around.set(piece, 32);
    parser.feed(around.subarray(32, 32 + piece.length));
    around.fill(0x20);
    // A line with its name, or a whole message with its line.
    assert.ok(parser.pendingBytes <= LIMITS.maxControlLine + 10 + LIMITS.maxPayload + 2 + 100);
  }
  // Comparing texts first: it is much faster, and nearly always enough.
  if (JSON.stringify(recorder.calls) !== JSON.stringify(expected)) assert.deepEqual(recorder.calls, expected);
  return expected.at(-1);
}

const KEPT = readCorpus("nats");

test("nats 16: 129. every kept stream, whole, byte by byte, and cut at each place", () => {
  const ends = new Set<string>();
  for (const { name, bytes } of KEPT) {
    const cuts = [[bytes], Array.from(bytes, (byte) => Uint8Array.of(byte))];
    for (let at = 1; at < bytes.length; at++) cuts.push([bytes.subarray(0, at), bytes.subarray(at)]);
    for (const pieces of cuts) {
      for (const headersAllowed of [true, false]) {
        try {
          ends.add(check(pieces, headersAllowed, 0x0a, null)?.split(" ").slice(0, 2).join(" ") ?? "nothing");
          check(pieces, headersAllowed, 0x0a, () => 0);
          check(pieces, headersAllowed, 0x20, (index) => index + pieces.length);
        } catch (error) {
          reportFind("nats", name, bytes, error);
        }
      }
    }
  }
  // Kept for the different ends they come to: every failure, every operation, and nothing at all.
  const failures = [...ends].filter((end) => end.startsWith("FAILED"));
  assert.equal(failures.length, 4, [...ends].join());
  assert.ok(ends.has("nothing") && ends.has("PING"));
});

test(`nats 16: 129. ${COUNT} mutated streams parse as the plain parser says`, () => {
  const random = new SeededRandom(SEED);
  let failures = 0;
  for (let run = 0; run < COUNT; run++) {
    const bytes = bytesOf(makeInput(random));
    const pieces = cut(bytes, random);
    try {
      const headersAllowed = random.below(4) > 0;
      const poison = random.below(2) === 0 ? 0x0a : 0x39;
      const end = check(pieces, headersAllowed, poison, null);
      check(pieces, headersAllowed, poison, () => random.below(7));
      if (end?.startsWith("FAILED")) failures++;
    } catch (error) {
      reportFind("nats", `seed ${SEED} run ${run} cut ${pieces.map((piece) => piece.length).join(" ")}`, bytes, error);
    }
  }
  // The frames must be worth something: neither all broken nor all well.
  assert.ok(COUNT < 1000 || (failures > COUNT / 10 && failures < COUNT * 0.9), `${failures} of ${COUNT} failed`);
});
