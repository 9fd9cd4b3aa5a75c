import assert from "node:assert/strict";
import { test } from "node:test";
import { durationToNs, formatDuration, parseDuration } from "../../../src/base/duration.ts";

test("operations 1.1: durations are read as Go reads them", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["0", 0],
    ["-0", 0],
    ["+0", 0],
    ["0s", 0],
    ["5s", 5_000],
    ["1h2m", 3_720_000],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["5.s", 5_000],
    ["-1m", -60_000],
    ["+1m", 60_000],
    ["100ms", 100],
    ["1us", 0.001],
    ["1\u00b5s", 0.001],
    ["1\u03bcs", 0.001],
    ["1ns", 0.000001],
    ["2h45m30.25s", 9_930_250],
    ["1m1m", 120_000],
    ["0000000000000000000000001s", 1_000],
    ["0.123456789012345678901234567890s", 123.456789],
    ["2562047h47m16.854775807s", 9_223_372_036_854.775],
  ];
  for (const [text, ms] of cases) assert.deepEqual(parseDuration(text), { ok: true, ms }, text);
});

test("operations 2.4: what Go refuses is refused with Go's text", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["10", 'time: missing unit in duration "10"'],
    ["1.5", 'time: missing unit in duration "1.5"'],
    ["10x", 'time: unknown unit "x" in duration "10x"'],
    ["1d", 'time: unknown unit "d" in duration "1d"'],
    ["1 s", 'time: unknown unit " s" in duration "1 s"'],
    ["1S", 'time: unknown unit "S" in duration "1S"'],
    ["", 'time: invalid duration ""'],
    ["-", 'time: invalid duration "-"'],
    ["s", 'time: invalid duration "s"'],
    [".s", 'time: invalid duration ".s"'],
    ["--1s", 'time: invalid duration "--1s"'],
    ["1e3s", 'time: unknown unit "e" in duration "1e3s"'],
    ["9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'],
    ["2562048h", 'time: invalid duration "2562048h"'],
    ["5\u00e9", 'time: unknown unit "\\xc3\\xa9" in duration "5\\xc3\\xa9"'],
  ];
  for (const [text, error] of cases) assert.deepEqual(parseDuration(text), { ok: false, error }, text);
  assert.equal(parseDuration("-9223372036854775808ns").ok, true);
  assert.equal(parseDuration(`${"9".repeat(100_000)}h`).ok, false);
});

test("operations 3.3: durations are printed in Go's form", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0s"],
    [86_400_000, "24h0m0s"],
    [5_400_000, "1h30m0s"],
    [172_800_000, "48h0m0s"],
    [60_000, "1m0s"],
    [1_500, "1.5s"],
    [100, "100ms"],
    [1.5, "1.5ms"],
    [0.001, "1\u00b5s"],
    [0.0015, "1.5\u00b5s"],
    [0.000001, "1ns"],
    [-1_500, "-1.5s"],
    [3_600_000 + 0.000001, "1h0m0.000000001s"],
  ];
  for (const [ms, text] of cases) assert.equal(formatDuration(ms), text);
  assert.equal(durationToNs(86_400_000), 86_400_000_000_000n);
});

test("what is printed reads back as the same duration", () => {
  for (const ms of [1, 999, 1_000, 59_999, 3_599_999.5, 8_640_000_000, 0.25, 123_456_789]) {
    assert.deepEqual(parseDuration(formatDuration(ms)), { ok: true, ms });
  }
});
