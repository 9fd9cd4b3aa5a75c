import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSize, int64ToNumber, isInt64, parseSize } from "../../../src/base/size.ts";

test("operations 1.1: sizes in powers of 1000 and 1024", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["0", 0],
    ["1024", 1024],
    ["007", 7],
    ["10k", 10_000],
    ["10K", 10_000],
    ["10KB", 10_240],
    ["10Ki", 10_240],
    ["10kib", 10_240],
    ["10mb", 10_485_760],
    ["10Mi", 10_485_760],
    ["256GB", 256 * 1024 ** 3],
    ["1t", 1e12],
    ["1tb", 1024 ** 4],
    ["1p", 1e15],
    ["1PB", 1024 ** 5],
    ["1e", 1e18],
    ["7EB", 7 * 1024 ** 6],
    ["-5", -5],
    ["-1k", -1000],
  ];
  for (const [text, bytes] of cases) assert.deepEqual(parseSize(text), { ok: true, bytes }, text);
});

test("operations 1.1: blanks, fractions and foreign units are no sizes", () => {
  for (const text of ["", "10 MB", "1.5GB", ".5", "10XB", "abc", "-", "+5", "10kbi", "10bb", "0x10", "1_000", "k"]) {
    assert.equal(parseSize(text).ok, false, text);
  }
  for (const text of ["8EB", "10e", "9223372036854775808", "9".repeat(100_000)]) {
    assert.deepEqual(parseSize(text), { ok: false, error: "out of the range of 64 bits" }, text.slice(0, 20));
  }
});

test("64-bit integers become numbers that still are 64-bit integers", () => {
  assert.equal(int64ToNumber(5n), 5);
  const greatest = int64ToNumber((1n << 63n) - 1n);
  assert.equal(isInt64(BigInt(greatest)), true);
  assert.deepEqual(parseSize("9223372036854775807"), { ok: true, bytes: greatest });
  assert.equal(isInt64(1n << 63n), false);
  assert.equal(isInt64(-(1n << 63n)), true);
});

test("operations 3.3: sizes are shown with two decimals in powers of 1024", () => {
  const cases: readonly (readonly [number, string])[] = [
    [1, "1 B"],
    [1023, "1023 B"],
    [1024, "1.00 KB"],
    [1152, "1.12 KB"],
    [1408, "1.38 KB"],
    [1_048_576, "1.00 MB"],
    [1_024_000_000, "976.56 MB"],
    [256 * 1024 ** 3, "256.00 GB"],
    [1024 ** 4, "1.00 TB"],
    [1024 ** 5, "1.00 PB"],
    [2 * 1024 ** 6, "2.00 EB"],
  ];
  for (const [bytes, text] of cases) assert.equal(formatSize(bytes), text);
});
