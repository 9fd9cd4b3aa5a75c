/**
 * Every numbered statement of operations.md 13 is in the name of a test, as `operations 13.N`, or stands here with the reason
 * why not. A number in no place fails, and so does one in both.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const STATEMENT_COUNT = 87;

const ROUTES = "needs routes between NATS servers";
const CLUSTER = "needs clustering: operations.md 9";
const FAULT_TOLERANCE = "needs fault tolerance: operations.md 8";
const PARTITIONS = "needs partitioning: operations.md 10";
const EXTERNAL = "needs an external NATS server: operations.md 6.3";

/** Reasons are for people. */
const WITHOUT_TEST: Readonly<Record<number, string>> = {
  13: `${ROUTES}; refused by name until then, as operations 13.22 proves`,
  19: CLUSTER,
  31: CLUSTER,
  32: ROUTES,
  64: FAULT_TOLERANCE,
  76: FAULT_TOLERANCE,
  77: FAULT_TOLERANCE,
  78: CLUSTER,
  79: CLUSTER,
  80: CLUSTER,
  81: CLUSTER,
  82: "the text is proved by the stores' own tests (stores.md 1.6) in tests/e2e/store_start_test.ts",
  83: EXTERNAL,
  84: PARTITIONS,
  85: PARTITIONS,
  86: EXTERNAL,
};

/** Proved as far as they go here: what is left needs a part that is named in `WITHOUT_TEST`. */
const PROVED_IN_PART = [64];

/** Its tests are called by the numbers alone. */
const MONITORING = "e2e/monitor_statements_test.ts";

const tests = fileURLToPath(new URL("../", import.meta.url));

function testFiles(): string[] {
  return readdirSync(tests, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith("_test.ts"))
    .map((name) => name.replaceAll("\\", "/"));
}

/** The numbers in the names of tests, with the files that prove them. */
function provedNumbers(): ReadonlyMap<number, readonly string[]> {
  const proved = new Map<number, string[]>();
  for (const file of testFiles()) {
    const source = readFileSync(tests + file, "utf8");
    for (const match of source.matchAll(/\b(?:test|it)\(\s*(["`])((?:\\.|(?!\1)[^\\])*)\1/g)) {
      const name = match[2] ?? "";
      const own = file === MONITORING ? name.matchAll(/^(\d+): /g) : [];
      const quoted = /\boperations(\.md)? /.test(name) ? name.matchAll(/\b13\.(\d+)/g) : [];
      for (const number of [...own, ...quoted]) {
        const files = proved.get(Number(number[1])) ?? [];
        files.push(file);
        proved.set(Number(number[1]), files);
      }
    }
  }
  return proved;
}

test("operations 13: every statement has a test or a reason, and none has both", () => {
  const proved = provedNumbers();
  const missing: number[] = [];
  const both: number[] = [];
  for (let number = 1; number <= STATEMENT_COUNT; number++) {
    const isProved = proved.has(number);
    const isExcused = WITHOUT_TEST[number] !== undefined;
    if (!isProved && !isExcused) missing.push(number);
    if (isProved && isExcused && !PROVED_IN_PART.includes(number)) both.push(number);
  }
  assert.deepEqual({ missing, both }, { missing: [], both: [] });
  for (const number of proved.keys()) assert.ok(number >= 1 && number <= STATEMENT_COUNT, `there is no 13.${number}`);
});
