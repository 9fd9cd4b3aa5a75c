import assert from "node:assert/strict";
import { test } from "node:test";
import { oneLine, quote } from "../../../src/base/quote.ts";

test("operations 1.5: quoted text in messages is escaped as %q does", () => {
  assert.equal(quote("abc"), '"abc"');
  assert.equal(quote(""), '""');
  assert.equal(quote('a"b\\c'), '"a\\"b\\\\c"');
  assert.equal(quote("a\nb\tc\u0000\u007f"), '"a\\nb\\tc\\x00\\x7f"');
  assert.equal(quote("\u00e9\u{1f600}"), '"\u00e9\u{1f600}"');
});

test("a text becomes one line, clean text stays as it is", () => {
  assert.equal(oneLine('plain "text"\twith \\ tab'), 'plain "text"\twith \\ tab');
  assert.equal(oneLine("a\r\n[1] [INF] forged\u001b[31m"), "a\\r\\n[1] [INF] forged\\x1b[31m");
  assert.equal(oneLine("a\u2028b\u0085"), "a\\u2028b\\u0085");
});
