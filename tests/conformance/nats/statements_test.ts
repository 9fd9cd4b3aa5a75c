/**
 * Which of the numbered statements about the core server have a test that carries their number. The tests themselves are
 * where the number says; this one fails when a statement has none and no reason stands below, and when a reason is no
 * longer needed.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { listFiles, ROOT } from "../../../scripts/project.ts";

/** Client protocol, delivery, authentication, TLS and WebSocket; performance, suites and robustness. */
const RANGES: readonly (readonly [first: number, last: number])[] = [[1, 98], [119, 132]];

const MEASURED =
  "a figure of one machine: tests/bench compares with the reference, docs/performance.md holds the result";
const SUITES = "scripts/suites runs what of it can be had, with its exceptions and their reasons";

/** Statements without a test of their own. */
const LEFT_OUT: Readonly<Record<number, string>> = {
  65: "connect_urls of other servers come with routes, which are not there",
  119: MEASURED,
  120: MEASURED,
  121: MEASURED,
  122: MEASURED,
  123: MEASURED,
  124: MEASURED,
  125: MEASURED,
  126: "the suite is not to be had from a package registry; its client is run in tests/interop instead",
  127: "the suite is not to be had from a package registry",
  128: SUITES,
};

/** Numbers at the beginning of a name: "45. wildcards", "95, 98. masking"; not "3.4. a section". */
const NUMBERS = /^(\d+(?:, ?\d+)*)\. /;

/** Names of tests that say `nats 16: N.`, in one way or the other. */
function namesOf(path: string, text: string): string[] {
  const names = [...text.matchAll(/["`]nats 16: ([^"`]*)["`]/g)].map((match) => match[1] as string);
  // Files whose tests need a server each have a function that puts the section in front of the name.
  if (!names.includes("${name}")) return names;
  const numbered = [...text.matchAll(/^ *statement\(\s*["`]([^"`]*)["`]/gm)].map((match) => match[1] as string);
  assert.ok(numbered.length > 0, `${path} names no statement`);
  return [...names, ...numbered];
}

function numbersWithTests(): Set<number> {
  const numbers = new Set<number>();
  for (const path of listFiles("tests", "_test.ts")) {
    for (const name of namesOf(path, readFileSync(join(ROOT, path), "utf8"))) {
      const list = NUMBERS.exec(name)?.[1];
      for (const number of list?.split(",") ?? []) numbers.add(Number(number));
    }
  }
  return numbers;
}

test("nats 16: every statement has a test with its number, or a reason why not", () => {
  const all = RANGES.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, index) => first + index));
  const tested = numbersWithTests();
  const missing = all.filter((number) => !tested.has(number) && !(number in LEFT_OUT));
  assert.deepEqual(missing, [], "statements without a test");
  const stale = Object.keys(LEFT_OUT).map(Number).filter((number) => tested.has(number));
  assert.deepEqual(stale, [], "statements that have a test and are listed as left out");
  const beyond = [...tested].filter((number) => number < 1 || number > 132);
  assert.deepEqual(beyond, [], "numbers that no statement has");
});

test("nats 16: the names are read as they are written", () => {
  // The quotes are put in here, so that these names are not counted as tests of this file.
  const quoted = (text: string) => text.replaceAll("'", '"');
  const section = ["nats", "16:"].join(" ");
  assert.deepEqual(namesOf("a_test.ts", quoted(`test('${section} 45. x', f); // '46. y'`)), ["45. x"]);
  const wrapped = quoted(`test(\`${section} \${name}\`, f);\nstatement('1. a', f);\nstatement(\n  '2, 3. b',\n);`);
  assert.deepEqual(namesOf("b_test.ts", wrapped), ["${name}", "1. a", "2, 3. b"]);
  assert.throws(() => namesOf("c_test.ts", `test(\`${section} \${name}\`, f);`), /names no statement/);
  assert.equal(NUMBERS.exec("3.4. a section"), null);
  assert.equal(NUMBERS.exec("95, 98. masking")?.[1], "95, 98");
});
