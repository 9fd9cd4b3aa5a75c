import { test } from "node:test";
import assert from "node:assert/strict";
import { figure, judge, markdownTable, rowOf, type Sample, spreadOf } from "../../bench/report.ts";
import { LatencyRecorder, median } from "../../bench/statistics.ts";
import { CASES } from "../../bench/cases.ts";
import { TARGETS } from "../../bench/targets.ts";
import { parseJob } from "../../bench/generator.ts";
import { splitCommand } from "../../bench/processes.ts";

function sample(server: string, round: number, rate: number, cpu: number): Sample {
  return {
    caseName: "memory-async-128-w1024",
    server,
    round,
    result: {
      kind: "stan-publish",
      messages: 1,
      seconds: 1,
      rate,
      bytes: 1,
      cpuMicrosPerMessage: cpu,
      generatorBusy: 0.5,
    },
  };
}

test("medians and percentiles are nearest-rank", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  const recorder = new LatencyRecorder(1000);
  for (let index = 1; index <= 1000; index++) recorder.add(index / 1000);
  const { p50, p99, p999, max, count } = recorder.summary();
  assert.deepEqual([p50, p99, p999, max].map(Math.round), [500, 990, 999, 1000]);
  assert.equal(count, 1000);
  assert.equal(spreadOf([undefined, NaN]), undefined);
});

test("targets: CPU is judged in C, the rate by the original's rate scaled to this machine", () => {
  const samples = [sample("a", 1, 1e6, 1.0), sample("a", 2, 9e5, 1.2), sample("a", 3, 1.1e6, 1.1)];
  const row = rowOf(samples, "memory-async-128-w1024", "a");
  const judged = judge(row, TARGETS["memory-async-128-w1024"], { cpuMicros: 0.55, coreRate: 1_780_000 }, undefined);
  assert.equal(judged.cpuC, 2);
  assert.equal(judged.originalCpuRatio, 8.1 / 2);
  assert.deepEqual(judged.verdicts.map((one) => [one.what, one.met, one.estimated]), [
    ["CPU", false, false],
    ["rate", true, true],
  ]);
  const table = markdownTable([judged], new Map());
  assert.match(table, /1M \(900k-1\.1M\)/);
});

test("a failed round withdraws the verdict and shows in the table", () => {
  const failed: Sample = { caseName: "core-1x1-128", server: "a", round: 1, error: "stalled: nothing moved" };
  const row = judge(rowOf([failed], "core-1x1-128", "a"), TARGETS["core-1x1-128"], {}, undefined);
  assert.equal(row.verdicts.length, 0);
  assert.match(markdownTable([row], new Map()), /failed 1\/1/);
});

test("every target names a case, and case names are unique", () => {
  const names = CASES.map((one) => one.name);
  assert.equal(new Set(names).size, names.length);
  for (const name of Object.keys(TARGETS)) assert.ok(name === "startup" || names.includes(name), name);
});

test("a job with an unknown key, kind or type is refused", () => {
  assert.equal(parseJob('{"kind":"core-void","port":1}').window, 1024);
  assert.throws(() => parseJob('{"kind":"core-void"}'), /port/);
  assert.throws(() => parseJob('{"kind":"nothing","port":1}'), /known are/);
  assert.throws(() => parseJob('{"kind":"core-void","port":1,"widnow":3}'), /widnow/);
  assert.throws(() => parseJob('{"kind":"core-void","port":1,"window":"3"}'), /window/);
});

test("command lines split at spaces outside quotes", () => {
  assert.deepEqual(splitCommand(`"/a b/c" -p {port} 'd e' ""`), ["/a b/c", "-p", "{port}", "d e", ""]);
});

test("figures have three digits", () => {
  assert.deepEqual([0.12345, 123.45, 9999, 12_345, 1_234_567].map(figure), ["0.123", "123", "10000", "12.3k", "1.23M"]);
});
