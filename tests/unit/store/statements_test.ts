/**
 * Every numbered invariant of stores.md 12 is in the name of a test, or stands here with the reason why not. A number in
 * no place fails.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const COUNT = 85;
const SQL = "needs the SQL store: stores.md 7";
const RAFT = "needs clustering: stores.md 9";

/** Reasons are for people; the numbers must not be in the name of a test as well. */
const WITHOUT_TEST: Readonly<Record<number, string>> = {
  63: SQL,
  64: SQL,
  65: SQL,
  66: SQL,
  67: SQL,
  68: SQL,
  69: SQL,
  70: SQL,
  71: SQL,
  72: SQL,
  73: SQL,
  74: SQL,
  83: RAFT,
};

const tests = fileURLToPath(new URL("../../", import.meta.url));
const FOLDERS = ["unit", "conformance", "simulation", "e2e", "interop", "fuzz"];

/** The first argument of every test, and the section that a table of cases gives to each. */
const NAMES = /(?:\b(?:test|it)\(|\bsection:)\s*(["`])((?:\\.|(?!\1)[^\\])*)\1/g;

/** What follows `stores 12.` or `, 12.` in the names of the tests of these folders. */
function numbers(): Set<number> {
  const found = new Set<number>();
  for (const folder of FOLDERS) {
    for (const file of readdirSync(`${tests}${folder}`, { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts")) continue;
      const source = readFileSync(`${tests}${folder}/${file}`, "utf8");
      for (const [, , name = ""] of source.matchAll(NAMES)) {
        if (!/\bstores\b/.test(name) && !file.includes("store")) continue;
        for (const [, number = ""] of name.matchAll(/\b12\.(\d+)\b/g)) found.add(Number(number));
      }
    }
  }
  return found;
}

test("stores 12: every invariant has a test that quotes its number, or a reason", () => {
  const found = numbers();
  const missing: number[] = [];
  const twice: number[] = [];
  for (let number = 1; number <= COUNT; number++) {
    const excused = number in WITHOUT_TEST;
    if (!found.has(number) && !excused) missing.push(number);
    if (found.has(number) && excused) twice.push(number);
  }
  assert.deepEqual({ missing, twice }, { missing: [], twice: [] });
  assert.deepEqual([...found].filter((number) => number < 1 || number > COUNT), []);
});
