import assert from "node:assert/strict";
import { test } from "node:test";
import { compactJson, goJson, nanoseconds, rfc3339, roundTripText, uptimeText } from "../../../src/monitor/json.ts";

function stamp(ns: bigint): { high: number; low: number } {
  return { high: Number(ns >> 32n), low: Number(ns & 0xffff_ffffn) };
}

test("operations.md 5.1: JSON has two blanks, one field per line, and Go's escapes", () => {
  assert.equal(goJson({ a: "<&>", b: [] }), '{\n  "a": "\\u003c\\u0026\\u003e",\n  "b": []\n}');
  assert.equal(
    goJson({ a: [1, { b: null }], c: {}, d: true }),
    '{\n  "a": [\n    1,\n    {\n      "b": null\n    }\n  ],\n  "c": {},\n  "d": true\n}',
  );
  assert.equal(goJson({ q: { pending: 1 } }, "   "), '{\n   "q": {\n      "pending": 1\n   }\n}');
  assert.equal(compactJson({ status: "error", error: "x" }), '{"status":"error","error":"x"}');
});

test("operations.md 5.1: control characters and backslashes are escaped as Go escapes them", () => {
  const cases: [string, string][] = [
    ["\b\f\n\r\t", "\\u0008\\u000c\\n\\r\\t"],
    ["\u0001\u2028", "\\u0001\\u2028"],
    // A backslash before a letter is no escape of that letter.
    ["\\b\\f<", "\\\\b\\\\f\\u003c"],
    ['"\\"', '\\"\\\\\\"'],
    ["grün", "grün"],
  ];
  for (const [text, expected] of cases) assert.equal(goJson(text), `"${expected}"`);
});

test("operations.md 14.29: integers beyond 2^53 are exact, absent fields are left out, names keep their order", () => {
  assert.equal(
    goJson({ large: 18_446_744_073_709_551_615n, age: nanoseconds(720_000_000_001), absent: undefined }),
    '{\n  "large": 18446744073709551615,\n  "age": 720000000001000000\n}',
  );
  // An object would put the number first.
  assert.equal(compactJson(new Map([["b", 1], ["7", 2]])), '{"b":1,"7":2}');
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

test("operations.md 5.1: a round trip time is a Go duration, whole microseconds below a millisecond", () => {
  const cases: [number, string][] = [[0, "0s"], [0.5173, "517µs"], [0.0004, "400ns"], [1.25, "1.25ms"], [2000, "2s"]];
  for (const [ms, text] of cases) assert.equal(roundTripText(ms), text);
});
