import { test } from "node:test";
import assert from "node:assert/strict";
import {
  figure,
  judge,
  LATENCY_LEGEND,
  markdownTable,
  rowOf,
  type Sample,
  spreadOf,
  unitsNear,
} from "../../bench/report.ts";
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
    atMs: round * 1000,
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

test("targets: each sample is judged by the C that was taken nearest to it", () => {
  const ofUnit = [[1, 0.5], [2, 1], [3, 4]].map(([round, cpu]) => sample("nats-server", round!, 1e6 * round!, cpu!));
  const failed: Sample = { caseName: "core-1x1-128", server: "nats-server", round: 2, atMs: 2100, error: "stalled" };
  const near = (...atMs: number[]) =>
    unitsNear({ cpuMicros: 9, requestP50Micros: 7 }, [...ofUnit, failed], atMs.map((at) => ({ ...failed, atMs: at })));
  assert.deepEqual(near(900), { cpuMicros: 0.5, coreRate: 1e6, requestP50Micros: 7 });
  assert.equal(near(2100).cpuMicros, 1);
  assert.equal(near(900, 2600, 9000).cpuMicros, 4);
  assert.deepEqual(unitsNear({ cpuMicros: 9 }, [failed], ofUnit), { cpuMicros: 9 });
});

test("a failed round withdraws the verdict and shows in the table", () => {
  const failed: Sample = { caseName: "core-1x1-128", server: "a", round: 1, atMs: 0, error: "stalled: nothing moved" };
  const row = judge(rowOf([failed], "core-1x1-128", "a"), TARGETS["core-1x1-128"], {}, undefined);
  assert.equal(row.verdicts.length, 0);
  assert.match(markdownTable([row], new Map()), /failed 1\/1/);
});

/** Cases in which nothing travels that could be timed. */
const WITHOUT_LATENCY: readonly RegExp[] = [/^core-void-/, /-replay-/, /-footprint$/, /^file-restart-/];
const ONE_AT_A_TIME: readonly RegExp[] = [/-sync-/, /-receipt$/, /^core-request$/];

test("every case is timed from end to end, but for those that the legend excuses", () => {
  const matches = (patterns: readonly RegExp[], name: string) => patterns.some((pattern) => pattern.test(name));
  for (const { name, job } of CASES) {
    const every = job.sampleEvery ?? 0;
    if (matches(WITHOUT_LATENCY, name) || matches(ONE_AT_A_TIME, name)) {
      assert.equal(every, 0, name);
      continue;
    }
    assert.ok(every >= 1, name);
    const samples = job.messages / every;
    assert.ok(every === 1 ? samples < 20_000 : samples >= 10_000 && samples < 20_000, `${name}: ${samples} samples`);
  }
  for (const word of ["core-void", "replays", "footprint", "restart"]) assert.ok(LATENCY_LEGEND.includes(word), word);
});

function timed(round: number, latency: { p50: number; p99: number; p999: number }, dropped: number): Sample {
  const one = sample("a", round, 1e6, 1);
  assert.ok(one.result !== undefined);
  const latencyMicros = { ...latency, max: latency.p999, count: 100 - dropped, dropped };
  return { ...one, result: { ...one.result, latencyMicros } };
}

/** The cell of the first row under the heading `heading`. */
function cell(table: string, heading: string): string | undefined {
  const [head, , row] = table.split("\n").map((line) => line.split(" | "));
  return row?.[head?.indexOf(heading) ?? -1];
}

test("targets: a case under load shows its three latencies and is not judged by them", () => {
  const samples = [
    timed(1, { p50: 1000, p99: 2000, p999: 3000 }, 0),
    timed(2, { p50: 1500, p99: 2500, p999: 30_000 }, 0),
    timed(3, { p50: 1200, p99: 2200, p999: 3200 }, 0),
  ];
  const target = TARGETS["memory-async-128-w1024"];
  const units = { cpuMicros: 1, requestP50Micros: 30 };
  const row = judge(rowOf(samples, "memory-async-128-w1024", "a"), target, units, undefined);
  assert.deepEqual(row.verdicts.map((one) => one.what), ["CPU"]);
  const table = markdownTable([row], new Map());
  assert.equal(cell(table, "p50 us"), "1200 (1000-1500)");
  assert.equal(cell(table, "p99 us"), "2200 (2000-2500)");
  assert.equal(cell(table, "p99.9 us"), "3200 (3000-30k)");
});

test("lost samples are owned up to in the table, and a case without latency has empty cells", () => {
  const latency = { p50: 1, p99: 2, p999: 3 };
  const lost = rowOf([timed(1, latency, 0), timed(2, latency, 25)], "memory-async-128-w1024", "a");
  assert.equal(cell(markdownTable([lost], new Map()), "p99.9 us"), "3, up to 25 % of the samples lost");
  const none = rowOf([sample("a", 1, 1e6, 1)], "memory-async-128-w1024", "a");
  for (const heading of ["p50 us", "p99 us", "p99.9 us"]) {
    assert.equal(cell(markdownTable([none], new Map()), heading), "", heading);
  }
});

test("only one-at-a-time cases have bounds on latency", () => {
  for (const [name, target] of Object.entries(TARGETS)) {
    const isJudged = target.p50Factor !== undefined || target.p99Factor !== undefined;
    if (isJudged) assert.ok(ONE_AT_A_TIME.some((pattern) => pattern.test(name)), name);
  }
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
