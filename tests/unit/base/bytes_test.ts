import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytesOf,
  byteString,
  byteStringOfText,
  copyRange,
  displayText,
  equalRanges,
  equalsRange,
  equalViews,
  writeDecimal,
} from "../../../src/base/bytes.ts";
import { SeededRandom } from "../../conformance/store/random.ts";

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

test("ranges are equal by length and content", () => {
  const a = bytesOf("abcdef");
  const b = bytesOf("xxabcdefyy");
  assert.ok(equalsRange(a, b, 2, 8));
  assert.ok(!equalsRange(a, b, 2, 7));
  assert.ok(!equalsRange(a, b, 1, 7));
});

/** What floating point numbers do not tell apart, or not even from themselves: zeros of both signs, and what is no number. */
const STRANGE = [
  "0000000000000000",
  "8000000000000000",
  "7ff8000000000000",
  "7ff8000000000001",
  "7ff0000000000001",
  "7ff0000000000000",
  "fff0000000000000",
  "fff8000000000000",
  "ffffffffffffffff",
  "0000000000000001",
].flatMap((hex) => {
  const bytes = Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16)); // Not empty.
  // In both orders of bytes.
  return [bytes, bytes.toReversed()];
});

test("views are equal exactly where ranges are: every length and offset, and bytes that are strange as numbers", () => {
  const random = new SeededRandom(11);
  const ROOM = 64;
  const memory = [new Uint8Array(ROOM + 3), new Uint8Array(ROOM + 3)] as const;
  // Not where their memory begins.
  const [a, b] = [memory[0].subarray(3), memory[1].subarray(3)];
  const [viewA, viewB] = [new DataView(memory[0].buffer, 3), new DataView(memory[1].buffer, 3)];
  let equalCount = 0;
  const check = (aStart: number, length: number, bStart: number, bLength = length) => {
    const isEqual = equalRanges(a, aStart, aStart + length, b, bStart, bStart + bLength);
    if (isEqual) equalCount++;
    const what = () => `${a.subarray(aStart, aStart + length)} and ${b.subarray(bStart, bStart + bLength)}`;
    if (equalViews(viewA, aStart, aStart + length, viewB, bStart, bStart + bLength) !== isEqual) assert.fail(what());
    if (equalViews(viewB, bStart, bStart + bLength, viewA, aStart, aStart + length) !== isEqual) assert.fail(what());
    return isEqual;
  };
  const fill = (bytes: Uint8Array) => {
    const kind = random.below(3);
    for (let i = 0; i < bytes.length; i++) bytes[i] = kind === 0 ? random.below(256) : kind === 1 ? 0 : 128;
    const at = random.below(8);
    for (let i = at; i + 8 <= bytes.length && kind > 0; i += 8) {
      bytes.set(STRANGE[random.below(STRANGE.length)]!, i); // Below the length.
    }
  };
  for (let length = 0; length <= 40; length++) {
    for (let aStart = 0; aStart < 9; aStart++) {
      for (let bStart = 0; bStart < 9; bStart++) {
        fill(a);
        fill(b);
        check(aStart, length, bStart);
        b.set(a.subarray(aStart, aStart + length), bStart);
        assert.ok(check(aStart, length, bStart));
        assert.ok(!check(aStart, length, bStart, length + 1), "longer");
        if (length > 0) assert.ok(!check(aStart, length - 1, bStart, length), "shorter");
        for (let i = 0; i < length; i++) {
          const flip = random.below(2) === 0 ? 0x80 : 1 << random.below(8);
          b[bStart + i]! ^= flip;
          assert.ok(!check(aStart, length, bStart), `byte ${i} of ${length}`);
          b[bStart + i]! ^= flip;
        }
        // Eight bytes in place of eight others, where numbers may say that they are the same.
        for (let i = 0; i + 8 <= length; i++) {
          const kept = b.slice(bStart + i, bStart + i + 8);
          a.set(STRANGE[random.below(STRANGE.length)]!, aStart + i); // Below the length.
          b.set(STRANGE[random.below(STRANGE.length)]!, bStart + i); // Below the length.
          check(aStart, length, bStart);
          b.set(kept, bStart + i);
          a.set(kept, aStart + i);
        }
      }
    }
  }
  assert.ok(equalCount > 41 * 81, String(equalCount));
  for (const one of STRANGE) {
    for (const other of STRANGE) {
      for (let length = 8; length <= 24; length++) {
        for (let at = 0; at + 8 <= length; at++) {
          a.fill(65);
          b.fill(65);
          a.set(one, at);
          b.set(other, at);
          assert.equal(check(0, length, 0), equalRanges(one, 0, 8, other, 0, 8));
        }
      }
    }
  }
});
