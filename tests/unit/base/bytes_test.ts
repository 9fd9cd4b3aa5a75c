import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytesOf,
  byteString,
  byteStringOfText,
  copyRange,
  displayText,
  equalsRange,
  hashRange,
  hashText,
  writeDecimal,
} from "../../../src/base/bytes.ts";

test("byte strings hold every byte and come back the same, whatever their length", () => {
  for (const length of [0, 1, 255, 256, 8191, 8192, 8193, 20_000]) {
    for (const mask of [255, 127]) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 7) & mask);
      const text = byteString(bytes);
      assert.equal(text.length, length);
      assert.deepEqual(bytesOf(text), bytes);
    }
  }
  assert.equal(byteString(new Uint8Array([65, 66, 67, 68]), 1, 3), "BC");
});

test("people read byte strings as UTF-8, and give them so", () => {
  assert.equal(displayText(byteStringOfText("grün.λ")), "grün.λ");
  assert.equal(displayText("plain"), "plain");
  assert.equal(displayText("\u00ff"), "\ufffd");
});

test("decimals of every length are written as the language prints them", () => {
  const out = new Uint8Array(32);
  const values = [65_535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
  for (let value = 0; value < 12_000; value++) values.push(value);
  for (const value of values) {
    const end = writeDecimal(out, 3, value);
    assert.equal(byteString(out, 3, end), String(value));
  }
});

test("copies of every length reach the right place and touch nothing beside it", () => {
  const source = Uint8Array.from({ length: 300 }, (_, i) => i & 255);
  for (let length = 0; length <= 200; length++) {
    const target = new Uint8Array(300).fill(0xee);
    assert.equal(copyRange(target, 50, source, 7, 7 + length), 50 + length);
    for (let i = 0; i < 300; i++) {
      const inside = i >= 50 && i < 50 + length;
      assert.equal(target[i], inside ? source[7 + i - 50] : 0xee, `length ${length} at ${i}`);
    }
  }
});

test("a byte string has the hash of its bytes", () => {
  const text = "_INBOX.\u00ff\u0080.x*>";
  for (let length = 0; length <= text.length; length++) {
    const bytes = bytesOf(text.slice(0, length));
    assert.equal(hashText(text.slice(0, length), 99), hashRange(bytes, 0, length, 99), `${length} bytes`);
  }
});

test("ranges are equal by length and content, and hash alike when they are", () => {
  const a = bytesOf("abcdef");
  const b = bytesOf("xxabcdefyy");
  assert.ok(equalsRange(a, b, 2, 8));
  assert.ok(!equalsRange(a, b, 2, 7));
  assert.ok(!equalsRange(a, b, 1, 7));
  assert.equal(hashRange(a, 0, 6, 99), hashRange(b, 2, 8, 99));
  assert.notEqual(hashRange(a, 0, 6, 99), hashRange(a, 0, 6, 100));
  // Whatever is left behind the steps of four: every byte counts.
  for (let length = 1; length <= 13; length++) {
    const bytes = new Uint8Array(length).fill(7);
    const before = hashRange(bytes, 0, length, 99);
    for (let i = 0; i < length; i++) {
      bytes[i] = 8;
      assert.notEqual(hashRange(bytes, 0, length, 99), before, `byte ${i} of ${length}`);
      bytes[i] = 7;
    }
  }
});
