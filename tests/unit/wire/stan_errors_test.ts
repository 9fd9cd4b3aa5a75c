import { test } from "node:test";
import assert from "node:assert/strict";
import { byteString, byteStringOfText } from "../../../src/base/bytes.ts";
import { STORE_ERROR_TEXT } from "../../../src/store/types.ts";
import {
  quoteGo,
  rejectingCaseText,
  STAN_ERROR,
  stanErrorBytes,
  type StanErrorName,
} from "../../../src/wire/stan_errors.ts";

/** Letter by letter from streaming-protocol.md 27. */
const CATALOGUE = `
stan: invalid connection request
stan: invalid clientID: only alphanumeric and \`-\` or \`_\` characters allowed
stan: clientID already registered
client has been replaced or is no longer registered
stan: invalid publish request
too many channels
stan: channel is being deleted
stan: invalid subscription request
stan: clientID missing
stan: invalid ack wait time, should be >= 1s
stan: invalid MaxInflight, should be >= 1
stan: invalid start position
stan: invalid subject
stan: durable name of a durable queue subscriber can't contain the character ':'
stan: duplicate durable registration
too many subscriptions per channel
stan: unknown clientID
stan: invalid unsubscribe request
stan: unknown channel
stan: invalid subscription
stan: invalid close request
`.trim().split("\n");

test("trap 15 (27): the texts are exact", () => {
  assert.deepEqual(Object.values(STAN_ERROR), CATALOGUE);
  assert.ok(Object.isFrozen(STAN_ERROR));
});

test("27: the bytes are those of the texts", () => {
  for (const name of Object.keys(STAN_ERROR) as StanErrorName[]) {
    assert.equal(byteString(stanErrorBytes(name)), STAN_ERROR[name]);
    assert.equal(stanErrorBytes(name), stanErrorBytes(name));
  }
});

test("10.4, 21.1: the texts of limits are those of the stores", () => {
  assert.equal(STAN_ERROR.TOO_MANY_CHANNELS, STORE_ERROR_TEXT.STORE_TOO_MANY_CHANNELS);
  assert.equal(STAN_ERROR.TOO_MANY_SUBSCRIPTIONS, STORE_ERROR_TEXT.STORE_TOO_MANY_SUBSCRIPTIONS);
});

test("10.3: the refusal of another letter case, misspelling included", () => {
  assert.equal(
    rejectingCaseText("FOO", "foo"),
    'rejecting channel "FOO" because channel "foo" alreay exists (different cases not allowed)',
  );
});

test("27: names are quoted as Go's %q does", () => {
  const cases: readonly (readonly [string, string])[] = [
    ['a"b\\c', '"a\\"b\\\\c"'],
    ["\u0007\b\t\n\v\f\r", '"\\a\\b\\t\\n\\v\\f\\r"'],
    ["\u0000\u001f\u007f", '"\\x00\\x1f\\x7f"'],
    ["a b", '"a b"'],
    [byteStringOfText("é日\u{1f600}"), `"${byteStringOfText("é日\u{1f600}")}"`],
    [byteStringOfText("\u00a0\u200b\u{e0001}"), '"\\u00a0\\u200b\\U000e0001"'],
    ["\u00ff\u0080", '"\\xff\\x80"'],
    ["\u00c0\u0080", '"\\xc0\\x80"'],
    ["\u00ed\u00a0\u0080", '"\\xed\\xa0\\x80"'],
    ["\u00e6\u0097", '"\\xe6\\x97"'],
    ["\u00f4\u0090\u0080\u0080", '"\\xf4\\x90\\x80\\x80"'],
    [byteStringOfText("\ufffd"), `"${byteStringOfText("\ufffd")}"`],
  ];
  for (const [text, quoted] of cases) assert.equal(quoteGo(text), quoted);
});
