/** Texts of the protocol (nats-server.md 3.9). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { byteString, byteStringOfText } from "../../../src/base/bytes.ts";
import { errorLine, NO_RESPONDERS_HEADER, publishViolation, quoted } from "../../../src/wire/nats_text.ts";

test("nats 3.9: quoted parts are escaped as Go's %q does", () => {
  const cases: [string, string][] = [
    ["foo.bar-*>", '"foo.bar-*>"'],
    ['a"b\\c', '"a\\"b\\\\c"'],
    ["\x00\x07\x08\x0b\x0c\x1f\x7f", '"\\x00\\a\\b\\v\\f\\x1f\\x7f"'],
    [byteStringOfText("größe 日本 😀"), `"${byteStringOfText("größe 日本 😀")}"`],
    // Bytes that are no UTF-8: alone, overlong, a half of a pair, cut off, beyond Unicode.
    ["\xff\x80", '"\\xff\\x80"'],
    ["\xc0\xaf", '"\\xc0\\xaf"'],
    ["\xed\xa0\x80", '"\\xed\\xa0\\x80"'],
    ["a\xe2\x82", '"a\\xe2\\x82"'],
    ["\xf4\x90\x80\x80", '"\\xf4\\x90\\x80\\x80"'],
    ["\xf8\x88\x80\x80\x80", '"\\xf8\\x88\\x80\\x80\\x80"'],
    // Characters that are not printable.
    [byteStringOfText("\u00a0\u2028\u{e0001}\ufeff"), '"\\u00a0\\u2028\\U000e0001\\ufeff"'],
  ];
  for (const [text, expected] of cases) assert.equal(quoted(text), expected);
});

test("nats 3.9: an error line has its quotes and CRLF", () => {
  assert.equal(byteString(errorLine(publishViolation("a"))), `-ERR 'Permissions Violation for Publish to "a"'\r\n`);
});

test("nats 3.8: the status header has 16 bytes", () => {
  assert.equal(NO_RESPONDERS_HEADER.length, 16);
});
