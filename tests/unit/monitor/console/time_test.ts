import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTime } from "../../../../src/monitor/console/time.ts";

function ns(text: string): bigint | undefined {
  const stamp = parseTime(text);
  return stamp === undefined ? undefined : (BigInt(stamp.high) << 32n) | BigInt(stamp.low);
}

test("RFC 3339: fractions to the nanosecond, zones", () => {
  assert.equal(ns("1970-01-01T00:00:00Z"), 0n);
  assert.equal(ns("2026-01-01T00:00:00Z"), 1_767_225_600_000_000_000n);
  assert.equal(ns("2026-01-01t00:00:00.000000001z"), 1_767_225_600_000_000_001n);
  assert.equal(ns("2026-01-01 00:00:00.5Z"), 1_767_225_600_500_000_000n);
  assert.equal(ns("2026-01-01T01:30:00+01:30"), 1_767_225_600_000_000_000n);
  assert.equal(ns("2025-12-31T23:00:00-01:00"), 1_767_225_600_000_000_000n);
  assert.equal(ns("2024-02-29T12:00:00Z"), 1_709_208_000_000_000_000n);
});

test("what is no time, or none that can be stored", () => {
  for (
    const text of [
      "",
      "now",
      "2026-01-01",
      "2026-01-01T00:00:00",
      "2026-02-29T00:00:00Z",
      "2026-13-01T00:00:00Z",
      "2026-00-01T00:00:00Z",
      "2026-01-01T24:00:00Z",
      "2026-01-01T00:60:00Z",
      "2026-01-01T00:00:61Z",
      "2026-01-01T00:00:00.0000000001Z",
      "2026-01-01T00:00:00+24:00",
      "1969-12-31T23:59:59Z",
      "1970-01-01T00:00:00+00:01",
      " 2026-01-01T00:00:00Z",
    ]
  ) assert.equal(ns(text), undefined, text);
});
