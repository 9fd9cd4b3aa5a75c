import assert from "node:assert/strict";
import { test } from "node:test";
import { GO_SUITES } from "../../../scripts/suites/go_suites.ts";
import { RUST_SUITES } from "../../../scripts/suites/rust_suites.ts";
import {
  describeVerdict,
  judgeOutcomes,
  readAllExceptions,
  readExceptions,
  type TestOutcome,
} from "../../../scripts/suites/report.ts";

const outcome = (name: string, result: TestOutcome["result"]): TestOutcome => ({
  name,
  result,
  output: `said ${name}`,
});
const NOT_YET = { reason: "not there yet", isSometimes: false };
const EXCEPTIONS = { b: NOT_YET, gone: NOT_YET };

test("nats 15: a failure counts unless it is explained, and an explanation that nothing needs is told", () => {
  const outcomes = [outcome("a", "passed"), outcome("b", "failed"), outcome("c", "failed"), outcome("d", "skipped")];
  const verdict = judgeOutcomes(outcomes, EXCEPTIONS, true);
  assert.equal(verdict.passed, 1);
  assert.equal(verdict.skipped, 1);
  assert.deepEqual(verdict.known, ["b"]);
  assert.deepEqual(verdict.failed.map((one) => one.name), ["c"]);
  assert.deepEqual(verdict.stale, ["gone"]);
  // Names that every object has are no explanations.
  assert.equal(judgeOutcomes([outcome("constructor", "failed")], EXCEPTIONS, true).failed.length, 1);
});

test("nats 15: a run of some tests says nothing about the others' explanations", () => {
  assert.deepEqual(judgeOutcomes([outcome("a", "passed")], EXCEPTIONS, false).stale, []);
  assert.deepEqual(judgeOutcomes([outcome("b", "passed")], EXCEPTIONS, false).stale, ["b"]);
  assert.deepEqual(judgeOutcomes([outcome("b", "skipped")], EXCEPTIONS, false).stale, ["b"]);
});

test("nats 15: what fails at times is explained when it fails, and no finding when it passes", () => {
  const exceptions = { b: { reason: "measures 100 ms", isSometimes: true } };
  assert.deepEqual(judgeOutcomes([outcome("b", "passed")], exceptions, true).stale, []);
  assert.deepEqual(judgeOutcomes([outcome("b", "failed")], exceptions, true).known, ["b"]);
  assert.deepEqual(judgeOutcomes([], exceptions, true).stale, ["b"]);
});

test("nats 15: the report shows the words of what failed, the reasons of the rest, and the counts last", () => {
  const outcomes = [outcome("a", "passed"), outcome("b", "failed"), outcome("c", "failed")];
  assert.deepEqual(describeVerdict("s", judgeOutcomes(outcomes, EXCEPTIONS, true), EXCEPTIONS), [
    "---- s: c\nsaid c",
    "s: known: not there yet: b",
    "s: gone is listed as an exception and does not fail",
    "s: FAILED: c",
    "s: 1 passed, 1 failed, 1 failed as known",
  ]);
});

test("nats 15: exceptions are of suites that exist, and each has a reason", () => {
  const names = [...GO_SUITES, ...RUST_SUITES].map((suite) => suite.name);
  for (const [suite, exceptions] of Object.entries(readAllExceptions())) {
    assert.ok(names.includes(suite), suite);
    assert.deepEqual(readExceptions(suite), exceptions);
    for (const [name, { reason }] of Object.entries(exceptions)) {
      assert.match(name, /^[\w:]+$/);
      assert.ok(reason.length > 10, name);
    }
  }
  assert.deepEqual(readExceptions("no such suite"), {});
});
