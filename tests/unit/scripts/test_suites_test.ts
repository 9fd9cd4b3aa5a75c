import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, parseBunCounts, parseDenoCounts } from "../../../scripts/test_suites.ts";
import { parseSelection, totalLine, UsageError } from "../../../scripts/test.ts";
import { isVersionAtLeast } from "../../../scripts/toolchain.ts";

const ended = (output: string, code: number | null = 0, trouble = "") => ({ output, code, trouble, durationMs: 1 });

test("style 7: counts of Deno's summary", () => {
  assert.deepEqual(parseDenoCounts("ok | 5 passed | 0 failed (12ms)\n"), { passed: 5, failed: 0, skipped: 0 });
  assert.deepEqual(
    parseDenoCounts("x\n\nFAILED | 61 passed (28 steps) | 2 failed (1 step) | 3 ignored (2s)\n\nerror: Test failed"),
    {
      passed: 61,
      failed: 2,
      skipped: 3,
    },
  );
  assert.equal(parseDenoCounts("error: Module not found"), undefined);
  assert.equal(parseDenoCounts("a test says: 3 passed"), undefined);
});

test("style 7: counts of Bun's summary", () => {
  assert.deepEqual(parseBunCounts(" 12 pass\n 0 fail\n 30 expect() calls\nRan 12 tests across 2 files."), {
    passed: 12,
    failed: 0,
    skipped: 0,
  });
  assert.deepEqual(parseBunCounts(" 1 pass\n 2 skip\n 1 todo\n 3 fail\n 1 error\n"), {
    passed: 1,
    failed: 4,
    skipped: 3,
  });
  assert.equal(parseBunCounts("error: Cannot find module"), undefined);
});

test("style 7: a runner that crashes, hangs or runs nothing is a failure", () => {
  const failed = (runtime: "deno" | "bun", ...result: Parameters<typeof ended>) =>
    judge(runtime, ended(...result), [], false).counts.failed;
  assert.equal(failed("deno", "", 0), 1);
  assert.equal(failed("deno", "error: Uncaught", 1), 1);
  assert.equal(failed("deno", "ok | 5 passed | 0 failed (1ms)", 0), 0);
  assert.equal(failed("deno", "ok | 5 passed | 0 failed (1ms)", 1), 1);
  assert.equal(failed("deno", "ok | 5 passed | 0 failed (1ms)", null, "ended by SIGSEGV"), 1);
  assert.equal(failed("deno", "ok | 0 passed | 0 failed (0ms)", 0), 1);
  assert.equal(failed("bun", " 5 pass\n 0 fail\n", 0), 0);
  assert.equal(failed("bun", " 5 pass\n 0 fail\n", 1), 1);
  assert.equal(failed("bun", " 0 pass\n 0 fail\n", 0), 1);
  assert.equal(failed("bun", "panic: out of memory", null, "ended by SIGTRAP"), 1);
});

test("style 7: a file of which no test ran is a failure", () => {
  const summary = "\n\nok | 1 passed | 0 failed (1ms)";
  const failed = (output: string, files: readonly string[]) => judge("deno", ended(output + summary), files, false);
  assert.equal(failed("./tests/a_test.ts => 1: x ... ok (1ms)", ["tests/a_test.ts"]).counts.failed, 0);
  assert.equal(failed("running 1 test from ./tests/a_test.ts", ["tests/a_test.ts"]).counts.failed, 0);
  assert.deepEqual(
    failed("running 0 tests from ./tests/a_test.ts\nrunning 12 tests from ./tests/b_test.ts", [
      "tests/a_test.ts",
      "tests/b_test.ts",
    ]).complaints,
    ["no test of tests/a_test.ts ran: it has none, or it ended the process"],
  );
  assert.equal(
    failed("./tests/b_test.ts => 1: x ... ok (1ms)", ["tests/a_test.ts", "tests/b_test.ts"]).counts.failed,
    1,
  );
});

test("a filter that fits nothing in one suite is no failure of that suite", () => {
  const nothing = { passed: 0, failed: 0, skipped: 0 };
  assert.deepEqual(judge("deno", ended("ok | 0 passed | 0 failed | 4 filtered out (7ms)"), [], true).counts, nothing);
  assert.deepEqual(
    judge("bun", ended('error: regex "x" matched 0 tests. Searched 1 file', 1), [], true).counts,
    nothing,
  );
  assert.equal(judge("bun", ended("error: Cannot find module", 1), [], true).counts.failed, 1);
});

test("options of the test command", () => {
  const selection = parseSelection(["--only", "unit,e2e", "--runtime", "bun", "--filter", "5.2"]);
  assert.deepEqual(selection.suites.map((suite) => suite.name), ["unit", "e2e"]);
  assert.deepEqual(selection.runtimes, ["bun"]);
  assert.equal(selection.filter, "5.2");
  assert.deepEqual(parseSelection(["--only", "unit"]).runtimes, ["deno", "bun"]);
  for (const args of [["--only", "units"], ["--runtime", "node"], ["--fast"], ["unit"]]) {
    assert.throws(() => parseSelection(args), UsageError, args.join(" "));
  }
});

test("the result line has one fixed shape", () => {
  assert.equal(totalLine({ passed: 12, failed: 0, skipped: 3 }), "12 passed, 0 failed");
});

test("versions are compared by number, not by letter", () => {
  assert.equal(isVersionAtLeast("2.10.0", "2.9.6"), true);
  assert.equal(isVersionAtLeast("2.9.6", "2.9.6"), true);
  assert.equal(isVersionAtLeast("2.9.5", "2.9.6"), false);
  assert.equal(isVersionAtLeast("1.99.99", "2.9.6"), false);
});
