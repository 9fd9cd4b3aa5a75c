/** The parser of client connections (nats-server.md 3.1, 3.2, 3.5, 3.6). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../../../src/base/bytes.ts";
import {
  NatsParser,
  PARSE_CONTROL_LINE,
  PARSE_MAX_PAYLOAD,
  PARSE_SILENT,
  PARSE_UNKNOWN_OPERATION,
} from "../../../src/wire/nats_parser.ts";
import { foresightOf, LIMITS, OperationRecorder, parsePieces, parsePlainly } from "./nats_support.ts";

/** The calls for `input` as one chunk, which the plain parser must confirm, whatever is expected. */
function parse(input: string, limits = LIMITS): string[] {
  const { recorder } = parsePieces([bytesOf(input)], limits);
  assert.deepEqual(recorder.calls, parsePlainly(input, limits));
  for (let way = 0; way < 7; way++) {
    const foresight = foresightOf(recorder.calls, (index) => index + way);
    const foreseen = parsePieces([bytesOf(input)], limits, true, foresight).recorder;
    assert.deepEqual(foreseen.calls, recorder.calls);
    assert.ok(foreseen.canonicalCount >= recorder.canonicalCount, "what is expected makes no line go the slow way");
  }
  return recorder.calls;
}

/** Every split of `input` into two pieces, and all single bytes, give the same calls, with all kinds of expectations. */
function everySplit(input: string, limits = LIMITS): void {
  const bytes = bytesOf(input);
  const expected = parsePlainly(input, limits);
  for (let at = 0; at <= bytes.length; at++) {
    for (const foresight of [null, foresightOf(expected, (index) => index * 3 + at), foresightOf(expected, () => 0)]) {
      const { recorder } = parsePieces([bytes.subarray(0, at), bytes.subarray(at)], limits, true, foresight);
      assert.deepEqual(recorder.calls, expected, `split at ${at}`);
    }
  }
  for (let limit = 1; limit <= bytes.length; limit++) {
    const recorder = new OperationRecorder(limit % 3 === 0 ? null : foresightOf(expected, (index) => index + limit));
    const parser = new NatsParser(recorder, limits);
    parser.headersAllowed = true;
    recorder.expectNext(parser);
    for (let at = 0, next = 0; at < bytes.length; at = next) {
      next = parser.feed(bytes, at, limit);
      assert.ok(next >= Math.min(bytes.length, at + limit), `limit ${limit}: stopped at ${next}, began at ${at}`);
    }
    assert.deepEqual(recorder.calls, expected, `${limit} bytes at a time`);
  }
  const singles = [...bytes].map((byte) => new Uint8Array([byte]));
  for (const foresight of [null, foresightOf(expected, () => 0)]) {
    assert.deepEqual(parsePieces(singles, limits, true, foresight).recorder.calls, expected, "byte by byte");
  }
}

const OPERATIONS = [
  'CONNECT {"verbose":false}\r\n',
  "CONNECT{}\r\n",
  "connect \t {} \t \n",
  "PUB foo 5\r\nhello\r\n",
  "PUB foo bar 5\r\nhello\r\n",
  "PUB foo 0\r\n\r\n",
  "PUB foo 005\r\nhello\r\n",
  "PUB  foo\t bar \t 5 \r\nhello\r\n",
  "pub foo 2\nhi\r\n",
  "PUB foo 12\r\nPING\r\nPONG\r\n\r\n",
  "HPUB foo 12 17\r\nNATS/1.0\r\n\r\nhello\r\n",
  "HPUB foo bar 012 17\r\nNATS/1.0\r\n\r\nhello\r\n",
  "hpub foo 0 2\r\nhi\r\n",
  "SUB foo 1\r\n",
  "SUB foo q 1\r\n",
  "sub \t foo \t 1 \n",
  "UNSUB 1\r\n",
  "UNSUB 1 7\r\n",
  "unsub 1 x\n",
  "PING\r\n",
  "PINGxyz \rabc\r\n",
  "pong\n",
  "+OK\r\n",
  "INFO {}\r\n",
  "INFO{}\r\n",
];

for (const operation of OPERATIONS) {
  test(`nats 3.1: split at every byte: ${JSON.stringify(operation)}`, () => {
    everySplit(operation);
    everySplit("PING\r\n" + operation + operation + "SUB x 2\r\n");
  });
}

const FAILURES = [
  "\r\n",
  "\n",
  "\r",
  " PING\r\n",
  "FOO\r\n",
  "PUB\r\n",
  "PUBX foo 2\r\n",
  "PU\r\nB",
  "PUB foo\r\n",
  "PUB \r\n",
  "PUB a b c 2\r\n",
  "PUB foo x\r\n",
  "PUB foo -1\r\n",
  "PUB foo +5\r\n",
  "PUB foo 1234567890\r\n",
  "PUB foo 999999999\r\n",
  "PUB foo 2\r\nhix\r\n",
  "PUB foo 2\r\nhi\n",
  "PUB foo 2\r\nhi\r\r\n",
  "PUB f\roo 2\r\nhi\r\n",
  "PUB foo 2\r\r\nhi\r\n",
  "HPUB foo 2\r\n",
  "HPUB foo 5 4\r\nabcd\r\n",
  "HPUB foo x 4\r\n",
  "HPUB foo a b 1 2\r\n",
  "SUB foo\r\n",
  "SUB a b c d\r\n",
  "SUB a b c d e f g h\r\n",
  "UNSUB 1 2 3\r\n",
  "UNSUB\r\n",
  "-ERR 'x'\r\n",
  "-ERR\r\n",
  "MSG foo 1 2\r\n",
  "RS+ $G foo\r\n",
  "+NO\r\n",
];

for (const input of FAILURES) {
  test(`nats 3.9: a failure is the same wherever the stream is split: ${JSON.stringify(input)}`, () => {
    const text = "SUB a 1\r\nPUB foo 2\r\nhi\r\n" + input + "PING\r\n";
    everySplit(text);
    const calls = parse(text);
    assert.equal(calls.length, 3);
    assert.match(calls[2]!, /^FAILED [14]|^FAILED 3/); // Three calls.
  });
}

test("nats 3.5: a repeated control line takes the fast path with the same result", () => {
  for (const [first, second] of [["PUB foo 2\r\n", "hi"], ["PUB foo bar.baz 11\r\n", "hello\r\nabcd"]]) {
    const frame = `${first}${second}\r\n`;
    const { recorder } = parsePieces([bytesOf(frame.repeat(5))]);
    assert.equal(recorder.sameLineCount, 4);
    assert.equal(recorder.canonicalCount, 5);
    assert.deepEqual(recorder.calls, parsePlainly(frame.repeat(5)));
    // Odd separators go the slow way, and the line behind them is not "the same".
    const odd = frame.replace("PUB ", "PUB  ");
    const mixed = frame + odd + frame + frame + odd.toLowerCase() + frame;
    const other = parsePieces([bytesOf(mixed)]).recorder;
    assert.equal(other.sameLineCount, 1);
    assert.deepEqual(other.calls, parsePlainly(mixed));
  }
});

test("nats 3.5: a line is the same only as the one before it, however the lines change", () => {
  const lines = [
    ...["PUB a.b r.1 2\r\n", "PUB a.c r.1 2\r\n", "PUB a.bc r.1 2\r\n", "PUB  a.b r.1 2\r\n", "PING\r\n"],
    ...["PUB a.c r.2 2\r\n", "PUB a.b 2\r\n", "PUB a.b r.1 02\r\n", "PUB a r.11 2\r\n", "PUB a.\x01b r.1 2\r\n"],
  ];
  let state = 1;
  const pick = (
    below: number,
  ) => (state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff, (state >>> 12) % below);
  let sameLineCount = 0;
  let sameReplyCount = 0;
  let expectedCount = 0;
  for (let round = 0; round < 200; round++) {
    // Streaks of one line, and streaks of changing ones that are longer than what is remembered.
    const chosen: string[] = [];
    while (chosen.length < 60) {
      const streak = 1 + pick(20);
      const steady = pick(2) === 0 ? lines[pick(lines.length)]! : undefined;
      for (let i = 0; i < streak; i++) chosen.push(steady ?? lines[pick(lines.length)]!);
    }
    const input = chosen.map((line) => line.startsWith("PUB") ? `${line}xy\r\n` : line).join("");
    const expected = parsePlainly(input);
    const { recorder } = parsePieces([bytesOf(input)]);
    assert.deepEqual(recorder.calls, expected);
    // The recorder refuses a "same line" that is another one, a "same reply" and what is not expected as well.
    sameLineCount += recorder.sameLineCount;
    sameReplyCount += recorder.sameReplyCount;
    for (const isMostlyRight of [true, false]) {
      const foresight = foresightOf(expected, () => isMostlyRight && pick(10) > 0 ? 0 : pick(7));
      // With a view and without one.
      const pieces = piecesOf(bytesOf(input), round % 2 === 0 ? 700 : 10_000);
      const foreseen = parsePieces(pieces, LIMITS, true, foresight).recorder;
      assert.deepEqual(foreseen.calls, expected);
      expectedCount += foreseen.expectedCount;
    }
  }
  assert.ok(sameLineCount > 2000, String(sameLineCount));
  assert.ok(sameReplyCount > sameLineCount + 200, String(sameReplyCount));
  assert.ok(expectedCount > 5000, String(expectedCount));
});

function piecesOf(bytes: Uint8Array, size: number): Uint8Array[] {
  const count = Math.ceil(bytes.length / size);
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

test("nats 3.5: what follows the subject is compared, not read, while a publisher goes round its subjects", () => {
  const subjects = Array.from({ length: 30 }, (_, i) => `some.subject.${i % 9}`);
  const input = subjects.map((subject) => `PUB ${subject} _INBOX.reply 12\r\nhello\r\nhello\r\n`).join("");
  const { recorder } = parsePieces([bytesOf(input)]);
  assert.equal(recorder.sameReplyCount, 29);
  assert.deepEqual(recorder.calls, parsePlainly(input));
  everySplit(input.slice(0, 200));
});

test("nats 3.5: the reply is known to be the same also where the size differs, and only where it is", () => {
  const sizes = [1, 12, 3, 12, 120, 0, 12, 7, 7, 12];
  const input = (reply: string) =>
    sizes.map((size, i) => `PUB subject.${i % 4} ${reply}${size}\r\n${"x".repeat(size)}\r\n`).join("").repeat(4);
  const steady = bytesOf(input("_INBOX.reply "));
  // One that the other begins with, one that is as long, and none at all.
  const others = ["_INBOX.reply ", "_INBOX.repl ", "_INBOX.reply ", "_INBOX.replx ", "_INBOX.reply ", ""];
  const mixed = others.map(input).join("");
  const calls = parse(mixed);
  // With a view and without one.
  for (const size of [10_000, 500]) {
    assert.equal(parsePieces(piecesOf(steady, size)).recorder.sameReplyCount, sizes.length * 4 - 1);
    const { recorder } = parsePieces(piecesOf(bytesOf(mixed), size));
    assert.deepEqual(recorder.calls, calls);
    // Of lines that change all the time one in eight is remembered, so another reply is known a little later.
    assert.ok(recorder.sameReplyCount >= 5 * (sizes.length * 4 - 9), String(recorder.sameReplyCount));
  }
  everySplit(input("re ").slice(0, 150));
  // Behind a line of another path nothing is known; its reply may be another one.
  const frame = "PUB a re 1\r\nx\r\n";
  const odd = parsePieces([bytesOf(frame + "PUB  a other 1\r\nx\r\n" + frame + "PUB b re 2\r\nxx\r\n")]).recorder;
  assert.equal(odd.sameReplyCount, 1);
});

test("nats 3.5: a subject that is expected is not looked for, and its line is not remembered", () => {
  const subjects = Array.from({ length: 40 }, (_, i) => `some.subject.${i % 8}.gr\xfcn`);
  const input = subjects.map((subject) => `PUB ${subject} re 5\r\nhello\r\n`).join("");
  const calls = parsePlainly(input);
  for (const size of [10_000, 500, 1]) {
    const { recorder } = parsePieces(piecesOf(bytesOf(input), size), LIMITS, true, foresightOf(calls, () => 0));
    assert.deepEqual(recorder.calls, calls);
    assert.equal(recorder.expectedCount, 40);
    assert.equal(recorder.sameReplyCount, 39);
  }
  // Twice each: the second one is not the same line, for the first one was foreseen and not remembered.
  const twice = subjects.flatMap((subject) => [subject, subject]).map((subject) => `PUB ${subject} 1\r\nx\r\n`).join(
    "",
  );
  const first = foresightOf(parsePlainly(twice), () => 0);
  const { recorder } = parsePieces([bytesOf(twice)], LIMITS, true, first);
  assert.equal(recorder.expectedCount + recorder.sameLineCount, 80);
  assert.ok(recorder.sameLineCount <= 1, String(recorder.sameLineCount));
});

test("nats 3.5: an expected subject with bytes that end no subject, zeros of both signs among them, is told apart", () => {
  const zero = "\x00".repeat(8);
  const other = "\x00".repeat(7) + "\x80";
  const texts = [zero, other, zero.repeat(2), zero + other, other + zero, `a\x0b${zero}`, "\xff".repeat(9), "a\x01"];
  const subjects = texts.flatMap((text) => Array.from({ length: 9 }, (_, i) => "x".repeat(i) + text));
  const frames = subjects.flatMap((subject) => [`PUB ${subject} re 2\r\nhi\r\n`, `PUB ${subject} re 3\r\nhey\r\n`]);
  for (let step = 1; step < 40; step += 2) {
    const input = frames.map((_, i) => frames[(i * step) % frames.length]!).join("");
    parse(input);
    const recorded = foresightOf(parsePlainly(input), (index) => index % 3 === 0 ? 5 : 0);
    const { recorder } = parsePieces([bytesOf(input)], LIMITS, true, recorded);
    assert.deepEqual(recorder.calls, parsePlainly(input));
    assert.ok(recorder.expectedCount > frames.length / 2, String(recorder.expectedCount));
  }
});

test("nats 3.5: in a large chunk, where eight bytes are compared at a time, one other byte is another line", () => {
  const line = "PUB _STAN.pub.cluster.orders.new _INBOX.0123456789abcdefghij 4\r\n";
  // A zero, one with the other sign, and what is no number: bytes that floating point numbers would not tell apart.
  const strange = ["\x80", "\x00", "\xff", "\x7f", "\xf0", "!"];
  let input = "";
  for (let at = 4; at < line.length - 5; at++) {
    for (const byte of strange) {
      if (byte === "\x00" && line[at] === " ") continue;
      input += `${line}abcd\r\n${line}abcd\r\n${line.slice(0, at)}${byte}${line.slice(at + 1)}abcd\r\n`;
    }
  }
  for (const text of ["\x7f\xf8\x00".padEnd(40, "\x00"), "\xff".repeat(40), "\x80".repeat(40)]) {
    input += `PUB ${text.replaceAll("\x00", "\x01")} 1\r\na\r\n`.repeat(3);
  }
  const { recorder } = parsePieces([bytesOf(input)]);
  assert.deepEqual(recorder.calls, parsePlainly(input));
  parse(input);
  assert.ok(recorder.sameLineCount > recorder.calls.length / 4, String(recorder.sameLineCount));
});

test("nats 3.5: in a large chunk a subject ends where it ends, however much of another one it begins with", () => {
  const whole = "_STAN.pub.0123456789abcdefghijkl.orders.of.today";
  // A separator, or a byte that ends nothing, in place of each byte; shorter ones, and longer ones.
  const others = Array.from({ length: whole.length }, (_, at) => {
    const replaced = [" ", "\t", "\x00", "x"].map((byte) => whole.slice(0, at) + byte + whole.slice(at + 1));
    return [whole.slice(0, at), ...replaced, `${whole.slice(0, at)}longer${whole.slice(at)}`];
  }).flat().filter((subject) => subject.trim() !== "");
  const frame = (subject: string) => `PUB ${subject} _INBOX.reply 4\r\nabcd\r\n`;
  const input = others.map((subject) => frame(whole) + frame(subject)).join("");
  for (const text of [input, others.map(frame).join("")]) {
    const { recorder } = parsePieces([bytesOf(text)]);
    assert.deepEqual(recorder.calls, parsePlainly(text));
    // The whole one is expected wherever another one comes, and the other way round.
    const subjects = [whole, ...others.filter((subject) => !/[ \t]/.test(subject))];
    const wrong = parsePieces([bytesOf(text)], LIMITS, true, (index) => subjects[index % subjects.length]!).recorder;
    assert.deepEqual(wrong.calls, recorder.calls);
    parse(text);
  }
  // What fails ends the connection: one at a time, behind enough to make the chunk large.
  for (const end of ["\r\n", "\n", "\r"]) {
    for (let at = 0; at < whole.length; at++) {
      const text = frame(whole).repeat(15) + `PUB ${whole.slice(0, at)}${end}${whole.slice(at)} 4\r\nabcd\r\n`;
      assert.deepEqual(parsePieces([bytesOf(text)]).recorder.calls, parsePlainly(text), JSON.stringify([at, end]));
    }
  }
});

test("nats 3.5: lines that share a beginning are told apart", () => {
  const frames = [
    "PUB a 1\r\nx\r\n",
    "PUB a 11\r\n12345678901\r\n",
    "PUB a b 1\r\ny\r\n",
    "PUB aa 1\r\nz\r\n",
    "PUB a 1\r\nw\r\n",
  ];
  const input = frames.join("") + frames.toReversed().join("");
  everySplit(input);
});

test("nats 3.1: the limit of a control line counts the arguments, to the byte", () => {
  for (const name of ["SUB ", "SUB  \t ", "PUB ", "CONNECT ", "CONNECT", "UNSUB ", "INFO ", "-ERR "]) {
    for (const size of [4095, 4096, 4097, 5000]) {
      const tail = name.startsWith("PUB") ? " 0" : name.startsWith("SUB") ? " 1" : "";
      const body = name.startsWith("CONNECT") || name.startsWith("INFO")
        ? "{" + "x".repeat(size - 1)
        : "x".repeat(size - tail.length);
      for (const end of ["\r\n", "\n"]) {
        const input = `${name}${body}${tail}${end}`;
        const calls = parse(input);
        const expected = size > 4096;
        assert.equal(calls[0] === `FAILED ${PARSE_CONTROL_LINE}`, expected, `${name} ${size}`);
        for (const at of [1, name.length, 100, 4090, 4095, 4096, 4097, 4100, 4101, 4102, 4103]) {
          const bytes = bytesOf(input);
          const pieces = [bytes.subarray(0, at), bytes.subarray(at)];
          assert.deepEqual(parsePieces(pieces).recorder.calls, calls, `${name} ${size} at ${at}`);
        }
      }
    }
  }
});

test("nats 16: 34. a line without LF fails as soon as more than the limit is there", () => {
  assert.deepEqual(parse(`SUB ${"a".repeat(4096)}`), []);
  assert.deepEqual(parse(`SUB ${"a".repeat(4096)}\r`), []);
  assert.deepEqual(parse(`SUB ${"a".repeat(4097)}`), [`FAILED ${PARSE_CONTROL_LINE}`]);
});

test("nats 3.1: what stands before the arguments, or is ignored, is not limited and not kept", () => {
  const spaces = bytesOf(" \t".repeat(5000));
  const { recorder, parser } = parsePieces([
    bytesOf("SUB "),
    spaces,
    spaces,
    bytesOf("foo"),
    spaces.subarray(0, 9),
    bytesOf("1"),
  ]);
  assert.ok(parser.pendingBytes <= 20, String(parser.pendingBytes));
  parser.feed(bytesOf("\r\n"));
  assert.deepEqual(recorder.calls, ["SUB <foo> <> <1>"]);
  const ignored = parsePieces([bytesOf("PING"), ...new Array<Uint8Array>(100).fill(bytesOf("x".repeat(1000)))]);
  assert.equal(ignored.parser.pendingBytes, 4);
  ignored.parser.feed(bytesOf("\nPONG\r\n"));
  assert.deepEqual(ignored.recorder.calls, ["PING", "PONG"]);
});

test("nats 16: 27. max_payload passes, one more fails at the control line", () => {
  const limits = { maxControlLine: 4096, maxPayload: 10 };
  assert.equal(parse("PUB foo 10\r\n0123456789\r\n", limits).length, 1);
  for (const line of ["PUB foo 11\r\n", "pub foo 11\n", "HPUB foo 1 11\r\n", "PUB foo 999999999\r\n"]) {
    assert.deepEqual(parse(line, limits), [`FAILED ${PARSE_MAX_PAYLOAD}`]);
  }
});

test("nats 16: 52. without headers a HPUB fails at its control line", () => {
  for (const line of ["HPUB foo 2 4\r\n", "HPUB foo 2 99999999\r\n", "HPUB foo\r\n"]) {
    const { recorder } = parsePieces([bytesOf(line)], LIMITS, false);
    assert.deepEqual(recorder.calls, [`FAILED ${PARSE_SILENT}`]);
  }
});

test("nats 16: 17. a wrong byte behind a payload fails at once, not when the next one comes", () => {
  for (
    const pieces of [["PUB foo 2\r\nhi\n"], ["PUB foo 2\r\nhi", "\n"], ["PUB foo 2\r\nh", "ix"], [
      "pub foo 2\n",
      "hi\n",
    ]]
  ) {
    const { recorder } = parsePieces(pieces.map((piece) => bytesOf(piece)));
    assert.deepEqual(recorder.calls, [`FAILED ${PARSE_UNKNOWN_OPERATION}`]);
  }
  const warm = parsePieces([bytesOf("PUB foo 2\r\nhi\r\nPUB foo 2\r\nhi\n")]).recorder;
  assert.equal(warm.calls[1], `FAILED ${PARSE_UNKNOWN_OPERATION}`);
});

test("nats 3.1: a payload in many pieces", () => {
  for (const size of [0, 1, 511, 512, 513, 65_535, 65_536, 65_537, 300_000, 1_048_576]) {
    const payload = "payload\r\n".repeat(Math.ceil(size / 9)).slice(0, size);
    const input = bytesOf(`PUB foo bar ${size}\r\n${payload}\r\nPING\r\n`);
    for (const step of [1000, 65_536, input.length]) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < input.length; at += step) pieces.push(input.subarray(at, at + step));
      const { recorder, parser } = parsePieces(pieces);
      assert.equal(recorder.calls.length, 2);
      assert.equal(recorder.calls[0], `PUB <foo> <bar> <> <${size}> <${payload}>`);
      assert.equal(parser.pendingBytes, 0);
    }
  }
});

test("nats 16: 130. half a line and an announced payload cost what was sent, not what was announced", () => {
  const half = parsePieces([bytesOf("PUB " + "a".repeat(3000))]).parser;
  assert.equal(half.pendingBytes, 3004);
  const announced = parsePieces([bytesOf("PUB foo 1000000\r\nabc")]).parser;
  assert.equal(announced.pendingBytes, 20);
});

test("nats 2: nothing is handed out after close, not even from the rest of a chunk", () => {
  const recorder = new OperationRecorder();
  class Closing extends OperationRecorder {
    override ping(): void {
      recorder.ping();
      parser.close();
    }
    override publish(from: NatsParser): void {
      recorder.publish(from);
      parser.close();
    }
  }
  let parser = new NatsParser(new Closing(), LIMITS);
  parser.feed(bytesOf("PING\r\nPING\r\nFOO"));
  parser.feed(bytesOf("PING\r\n"));
  assert.deepEqual(recorder.calls, ["PING"]);
  for (
    const pieces of [["PUB a 1\r\nx\r\nPUB a 1\r\nx\r\n"], ["PUB a 1\r\nx", "\r\nPUB a 1\r\nx\r\n"], [
      "pub a 1\r\nx\r\npub a 1\r\nx\r\n",
    ]]
  ) {
    parser = new NatsParser(new Closing(), LIMITS);
    for (const piece of pieces) parser.feed(bytesOf(piece));
    assert.equal(parser.pendingBytes, 0);
  }
  assert.equal(recorder.calls.length, 4);
});
