import assert from "node:assert/strict";
import { test } from "node:test";
import {
  levelOf,
  RECENT_CHARACTERS_MAX,
  RECENT_LINES_MAX,
  RecentLines,
  type RecentQuery,
} from "../../../src/log/recent.ts";

const ALL: RecentQuery = { after: 0, limit: 10_000, level: undefined, search: "" };

function texts(lines: RecentLines, query: Partial<RecentQuery> = {}): string[] {
  return lines.find({ ...ALL, ...query }).map(({ text }) => text);
}

test("the last lines are kept, oldest first, with ids that go on", () => {
  const lines = new RecentLines();
  for (let i = 1; i <= 3 * RECENT_LINES_MAX + 5; i++) lines.add("INF", "core", `line ${i}`, 0, i);
  assert.equal(lines.count, RECENT_LINES_MAX);
  assert.equal(lines.lastId, 3 * RECENT_LINES_MAX + 5);
  const all = lines.find(ALL);
  assert.equal(all.length, RECENT_LINES_MAX);
  assert.deepEqual(all[0], {
    id: 2 * RECENT_LINES_MAX + 6,
    stampHigh: 0,
    stampLow: 2 * RECENT_LINES_MAX + 6,
    level: "INF",
    source: "core",
    text: `line ${2 * RECENT_LINES_MAX + 6}`,
  });
  assert.equal(all.at(-1)!.id, lines.lastId);
});

test("size is bounded, too: long lines push more of the others out, and are cut themselves", () => {
  const lines = new RecentLines();
  for (let i = 0; i < 100; i++) lines.add("INF", "core", "x".repeat(100_000), 0, 0);
  assert.ok(lines.characters <= RECENT_CHARACTERS_MAX);
  assert.equal(lines.count, RECENT_CHARACTERS_MAX / 8192);
  assert.equal(texts(lines)[0]!.length, 8192);
  for (let i = 0; i < RECENT_LINES_MAX; i++) lines.add("INF", "core", "y", 0, 0);
  assert.equal(lines.characters, RECENT_LINES_MAX);
});

test("a query names what it has, how much it wants, how grave it is and what stands in it", () => {
  const lines = new RecentLines();
  for (const level of ["TRC", "DBG", "INF", "WRN", "ERR", "FTL"] as const) {
    lines.add(level, "streaming", `a ${level}`, 0, 0);
  }
  assert.deepEqual(texts(lines, { after: 4 }), ["a ERR", "a FTL"]);
  assert.deepEqual(texts(lines, { after: 6 }), []);
  assert.deepEqual(texts(lines, { limit: 2 }), ["a ERR", "a FTL"]);
  assert.deepEqual(texts(lines, { level: "WRN" }), ["a WRN", "a ERR", "a FTL"]);
  assert.deepEqual(texts(lines, { level: "WRN", limit: 1, search: "wr" }), ["a WRN"]);
  assert.deepEqual(texts(lines, { search: "nowhere" }), []);
  assert.equal(levelOf("err"), "ERR");
  assert.equal(levelOf("loud"), undefined);
});

test("a line stays one line", () => {
  const lines = new RecentLines();
  lines.add("INF", "core", "one\ntwo\x1b[31m", 0, 0);
  assert.deepEqual(texts(lines), ["one\\ntwo\\x1b[31m"]);
});
