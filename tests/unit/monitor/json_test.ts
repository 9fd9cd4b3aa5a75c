import assert from "node:assert/strict";
import { test } from "node:test";
import { goJson, rfc3339, uptimeText } from "../../../src/monitor/json.ts";

function stamp(ns: bigint): { high: number; low: number } {
  return { high: Number(ns >> 32n), low: Number(ns & 0xffff_ffffn) };
}

test("operations.md 5.1: JSON has two blanks, one field per line, and Go's escapes", () => {
  assert.equal(goJson({ a: "<&>", b: [] }), '{\n  "a": "\\u003c\\u0026\\u003e",\n  "b": []\n}');
});

test("operations.md 5.1: times carry up to nine digits, trailing zeros cut, and the local offset", () => {
  assert.equal(rfc3339(stamp(1_795_186_632_182_660_697n), 0), "2026-11-20T14:57:12.182660697Z");
  assert.equal(rfc3339(stamp(1_795_186_632_500_000_000n), 540), "2026-11-20T23:57:12.5+09:00");
  assert.equal(rfc3339(stamp(1_795_186_632_000_000_000n), -150), "2026-11-20T12:27:12-02:30");
});

test("operations.md 5.1: uptime shows every unit below the largest one that counts", () => {
  const cases: [number, string][] = [
    [0, "0s"],
    [9, "9s"],
    [69, "1m9s"],
    [3609, "1h0m9s"],
    [86_409, "1d0h0m9s"],
    [365 * 86_400 + 9, "1y0d0h0m9s"],
  ];
  for (const [seconds, text] of cases) assert.equal(uptimeText(seconds * 1000 + 999), text);
});
