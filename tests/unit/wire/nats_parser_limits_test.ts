/** Limits of the parser that change while a connection lives (nats-server.md 3.13). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { NatsParser, PARSE_CONTROL_LINE, PARSE_MAX_PAYLOAD } from "../../../src/wire/nats_parser.ts";
import { type Foresight, LIMITS, OperationRecorder } from "./nats_support.ts";

const SMALL = { maxControlLine: 20, maxPayload: 3 };
const FRAME = "PUB foo 5\r\nhello\r\n";
const TOO_LARGE = `FAILED ${PARSE_MAX_PAYLOAD}`;
const TOO_LONG = `FAILED ${PARSE_CONTROL_LINE}`;
const CALL = "PUB <foo> <> <> <5> <hello>";

function makeParser(
  foresight: Foresight | null = null,
): { parser: NatsParser; recorder: OperationRecorder; feed(text: string): void } {
  const recorder = new OperationRecorder(foresight);
  const parser = new NatsParser(recorder, LIMITS);
  recorder.expectNext(parser);
  return { parser, recorder, feed: (text) => parser.feed(new TextEncoder().encode(text)) };
}

test("nats 16: 64. a remembered line is forgotten, so that the new limit is asked", () => {
  const { parser, recorder, feed } = makeParser();
  feed(FRAME + FRAME);
  assert.equal(recorder.sameLineCount, 1);
  parser.adoptLimits(SMALL);
  feed(FRAME);
  assert.deepEqual(recorder.calls, [CALL, CALL, TOO_LARGE]);
});

test("nats 3.13: a tail that was accepted under the old limit is read anew", () => {
  const { parser, recorder, feed } = makeParser();
  feed(FRAME + FRAME.replace("foo", "bar"));
  assert.equal(recorder.sameReplyCount, 1);
  parser.adoptLimits(SMALL);
  feed(FRAME.replace("foo", "baz"));
  assert.deepEqual(recorder.calls, [CALL, CALL.replace("foo", "bar"), TOO_LARGE]);
});

test("nats 3.13: a subject that is expected is no way around a new limit", () => {
  const subjects = ["foo", "bar", "foo", "bar", "foo", "a.subject.of.20.bytes"];
  const foresight: Foresight = (index) => subjects[index]!; // There are no more messages.
  for (const [limits, failure] of [[SMALL, TOO_LARGE], [{ ...LIMITS, maxControlLine: 4 }, TOO_LONG]] as const) {
    const { parser, recorder, feed } = makeParser(foresight);
    for (const subject of subjects.slice(0, 4)) feed(FRAME.replace("foo", subject));
    assert.equal(recorder.expectedCount, 4);
    parser.adoptLimits(limits);
    feed(FRAME);
    assert.equal(recorder.calls.at(-1), failure);
  }
  // Neither is one that makes the line longer than the one whose end is known.
  const { parser, recorder, feed } = makeParser(foresight);
  parser.adoptLimits({ ...LIMITS, maxControlLine: 22 });
  for (const subject of subjects.slice(0, 5)) feed(FRAME.replace("foo", subject));
  feed(FRAME.replace("foo", subjects[5]!)); // Six of them.
  assert.equal(recorder.calls.length, 6);
  assert.equal(recorder.calls.at(-1), TOO_LONG);
});

test("nats 3.13: the same line under new limits that allow it is a new line, then the same again", () => {
  const { parser, recorder, feed } = makeParser();
  feed(FRAME);
  parser.adoptLimits({ ...LIMITS, maxPayload: 5 });
  feed(FRAME + FRAME);
  assert.deepEqual(recorder.calls, [CALL, CALL, CALL]);
  assert.equal(recorder.sameLineCount, 1);
});

test("nats 3.13: a message whose line was accepted is completed, wherever it is cut; the next one is not", () => {
  const lineEnd = FRAME.indexOf("\n") + 1;
  for (let cut = 1; cut < FRAME.length; cut++) {
    const { parser, recorder, feed } = makeParser();
    feed(FRAME.slice(0, cut));
    parser.adoptLimits(SMALL);
    feed(FRAME.slice(cut));
    const isAccepted = cut >= lineEnd;
    assert.deepEqual(recorder.calls, [isAccepted ? CALL : TOO_LARGE], `cut at ${cut}`);
    if (!isAccepted) continue;
    assert.equal(parser.limits, SMALL);
    feed(FRAME);
    assert.deepEqual(recorder.calls, [CALL, TOO_LARGE], `cut at ${cut}`);
  }
});

test("nats 3.13: the rest of the chunk that completes a message is parsed under the new limits", () => {
  const { parser, recorder, feed } = makeParser();
  feed(FRAME + FRAME.slice(0, 13));
  parser.adoptLimits(SMALL);
  feed(FRAME.slice(13) + FRAME);
  assert.deepEqual(recorder.calls, [CALL, CALL, TOO_LARGE]);
});

test("nats 3.13: of two changes during one message the later one holds", () => {
  const { parser, recorder, feed } = makeParser();
  feed(FRAME.slice(0, 13));
  parser.adoptLimits(SMALL);
  parser.adoptLimits(LIMITS);
  feed(FRAME.slice(13) + FRAME);
  assert.deepEqual(recorder.calls, [CALL, CALL]);
});

test("nats 3.13: a shorter control line holds for a line that is not complete", () => {
  const { parser, recorder, feed } = makeParser();
  feed("SUB aaaaaaaaaaaaaaaaaaaaaaaa");
  parser.adoptLimits(SMALL);
  feed("a 1\r\n");
  assert.deepEqual(recorder.calls, [TOO_LONG]);
});
