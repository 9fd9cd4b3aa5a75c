/**
 * Every numbered statement of streaming-protocol.md, the invariants of section 30, the traps of section 31 and the defects of
 * section 32, is either in the name of a test or stands here with the reason why not. A number in no place fails.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const INVARIANT_COUNT = 145;
const TRAP_COUNT = 58;
/** The defects that decisions.md 17 speaks of; D13 is for administration, not for the protocol. */
const DEFECTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 18];

const PERSISTENT = "needs a store that survives the process: section 23";
const PARTITIONS = "needs partitioning: section 24";
const CLUSTER = "needs clustering: section 25";

/**
 * Proved as far as they speak of one run: the rest (a resume after a restart, a message after kill -9, SQL) comes with the
 * stores, whose tests carry these numbers as well.
 */
const INVARIANTS_PROVED_IN_PART = [50, 119, 127, 128];

/** Reasons are for people; the numbers must not be in the name of a test as well. */
const INVARIANTS_WITHOUT_TEST: Readonly<Record<number, string>> = {
  48: PERSISTENT,
  139: "needs a store that survives and a NATS network shared by two servers: sections 2.6 and 23.3",
  141: PARTITIONS,
  142: PARTITIONS,
  143: PARTITIONS,
  144: CLUSTER,
  145: CLUSTER,
};

const TRAPS_WITHOUT_TEST: Readonly<Record<number, string>> = {
  53: "the exit status after SIGTERM is proved on the executable: tests/e2e/command_line_test.ts, operations.md 4.1",
  54: PARTITIONS,
  55: CLUSTER,
};

const DEFECTS_WITHOUT_TEST: Readonly<Record<number, string>> = {
  3: PARTITIONS,
  6: PARTITIONS,
  9: CLUSTER,
  11: CLUSTER,
};

const tests = fileURLToPath(new URL("../../", import.meta.url));
/** Where the streaming protocol is tested; other specifications have numbered traps of their own. */
const FOLDERS = ["unit/streaming/", "unit/wire/", "conformance/streaming/", "simulation/"];

/** The first argument of every `test(`, as it stands in the source: parts that are filled in later stay names. */
function namesIn(source: string): string[] {
  return [...source.matchAll(/\btest\(\s*(["`])((?:\\.|(?!\1)[^\\])*)\1/g)].map((match) => match[2] ?? "");
}

function allNames(): string[] {
  return FOLDERS.flatMap((folder) => {
    const files = readdirSync(tests + folder).filter((name) => name.endsWith("_test.ts"));
    return files.flatMap((name) => namesIn(readFileSync(tests + folder + name, "utf8")));
  });
}

/** Numbers after `word` or its plural: `invariant 7`, `traps 1, 2`. */
function numbersAfter(names: readonly string[], word: string): Set<number> {
  const found = new Set<number>();
  const pattern = new RegExp(`\\b${word}s? (\\d+(?:, \\d+)*)`, "g");
  for (const name of names) {
    for (const match of name.matchAll(pattern)) for (const number of match[1]!.split(", ")) found.add(Number(number));
  }
  return found;
}

function check(
  what: string,
  all: readonly number[],
  found: Set<number>,
  without: Readonly<Record<number, string>>,
): void {
  const excused = new Set(Object.keys(without).map(Number));
  const missing = all.filter((number) => !found.has(number) && !excused.has(number));
  assert.deepEqual(missing, [], `${what} without a test and without a reason`);
  const both = [...excused].filter((number) => found.has(number));
  assert.deepEqual(both, [], `${what} with a test: take them off the list`);
  const unknown = [...found, ...excused].filter((number) => !all.includes(number));
  assert.deepEqual(unknown, [], `${what} that do not exist`);
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const names = allNames();

test("30: every invariant has a test that quotes its number, or a reason", () => {
  const found = numbersAfter(names, "invariant");
  check("invariants", upTo(INVARIANT_COUNT), found, INVARIANTS_WITHOUT_TEST);
  for (const number of INVARIANTS_PROVED_IN_PART) assert.ok(found.has(number), `invariant ${number}`);
});

test("31: every trap has a test that quotes its number, or a reason", () => {
  check("traps", upTo(TRAP_COUNT), numbersAfter(names, "trap"), TRAPS_WITHOUT_TEST);
});

test("32: every defect of the reference that is mended, or kept on purpose, has a test, or a reason", () => {
  const found = new Set(names.flatMap((name) => [...name.matchAll(/\bD(\d+)\b/g)].map((match) => Number(match[1]))));
  check("defects", DEFECTS, found, DEFECTS_WITHOUT_TEST);
});

test("30: the check finds names in both forms, lists of numbers, and what is missing", () => {
  const source = 'test("invariant 1 (2): a \\"b\\"", () => {});\n  test(\n    `invariants 2, 30, trap 4: ${x}`,\n  x);';
  const found = namesIn(source);
  assert.deepEqual(found, ['invariant 1 (2): a \\"b\\"', "invariants 2, 30, trap 4: ${x}"]);
  assert.deepEqual([...numbersAfter(found, "invariant")], [1, 2, 30]);
  assert.deepEqual([...numbersAfter(found, "trap")], [4]);
  assert.throws(() => check("x", [1, 2], new Set([1]), {}), /without a test/);
  assert.throws(() => check("x", [1], new Set([1]), { 1: "why" }), /take them off/);
  assert.throws(() => check("x", [1], new Set([1, 7]), {}), /do not exist/);
});
