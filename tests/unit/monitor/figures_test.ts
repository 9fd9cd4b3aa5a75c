/** What is counted for `/metrics`, and how it is printed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { suiteName } from "../../../src/monitor/connz.ts";
import { Histogram } from "../../../src/monitor/histogram.ts";
import { LoopDelay } from "../../../src/monitor/loop_delay.ts";
import { groupNames } from "../../../src/monitor/metrics/lag.ts";
import { MetricsText } from "../../../src/monitor/metrics/metrics_text.ts";
import { cleanPath } from "../../../src/monitor/answers.ts";
import { CLOSED_SUBSCRIPTIONS_MAX, ClosedConnections } from "../../../src/nats/closed_connections.ts";
import type { Connection } from "../../../src/nats/connection.ts";
import { parsePrometheusText, valueOf } from "../../helpers/prometheus_text.ts";

test("a histogram puts a value into the first range whose upper end it does not pass", () => {
  const histogram = new Histogram([1, 2, 5]);
  for (const value of [0, 1, 1.5, 2, 5, 5.1, 1000]) histogram.add(value);
  histogram.add(3, 10);
  assert.deepEqual([...histogram.counts], [2, 2, 11, 2]);
  assert.equal(histogram.count, 17);
  assert.equal(histogram.sum, 0 + 1 + 1.5 + 2 + 5 + 5.1 + 1000 + 30);
});

test("the text format: escapes in labels and help, histograms add up, families without samples are left out", () => {
  const text = new MetricsText([
    { name: "a", type: "gauge", labels: ["x", "y"], help: "back\\slash\nfeed" },
    { name: "b", type: "counter", labels: [], help: "never given" },
    { name: "c", type: "histogram", labels: [], help: "times" },
  ]);
  text.add("a", 1.5, 'q"uo\\te', "line\nfeed");
  text.add("a", Infinity, "", "");
  const histogram = new Histogram([0.1, 1]);
  histogram.add(0.05);
  histogram.add(7);
  text.addHistogram("c", histogram);
  const families = parsePrometheusText(text.toString());
  assert.deepEqual([...families.keys()], ["a", "c"]);
  assert.equal(families.get("a")?.help, "back\\\\slash\\nfeed");
  assert.equal(valueOf(families, "a", { x: 'q"uo\\te', y: "line\nfeed" }), 1.5);
  assert.equal(valueOf(families, "a", { x: "", y: "" }), Infinity);
  const samples = families.get("c")?.samples.map(({ name, labels, value }) => [name, labels.get("le"), value]);
  assert.deepEqual(samples, [
    ["c_bucket", "0.1", 1],
    ["c_bucket", "1", 1],
    ["c_bucket", "+Inf", 2],
    ["c_sum", undefined, 7.05],
    ["c_count", undefined, 2],
  ]);
  assert.throws(() => text.add("a", 1, "one label too few"), /every label has a value/);
  assert.throws(() => text.add("unknown", 1), /stands in the table/);
});

test("the strict reader refuses what a scraper would refuse", () => {
  const good = "# HELP a x\n# TYPE a gauge\na 1\n";
  parsePrometheusText(good);
  const bad = [
    "# HELP a x\n# TYPE a gauge\na 1",
    "a 1\n",
    "# TYPE a gauge\na 1\n",
    "# HELP a x\n# TYPE a gauge\na 1\na 2\n",
    "# HELP a x\n# TYPE a gauge\nb 1\n",
    "# HELP a x\n# TYPE a gauge\n",
    '# HELP a x\n# TYPE a gauge\na{b="1",b="2"} 1\n',
    '# HELP a x\n# TYPE a gauge\na{b="\\x"} 1\n',
    '# HELP a x\n# TYPE a gauge\na{b="1",} 1\n',
    "# HELP a x\n# TYPE a gauge\na one\n",
    `${good}${good}`,
    '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
    '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n',
  ];
  for (const text of bad) assert.throws(() => parsePrometheusText(text), Error, text);
});

test("the loop's delay is what a timer is late, the processor's share what it used since the last look", () => {
  let nowMs = 1000;
  let cpuMs = 50;
  let fire = () => {};
  const delay = new LoopDelay({
    clock: { monotonicMs: () => nowMs },
    scheduler: {
      after(_, work) {
        fire = work;
        return { stop: () => fire = () => {} };
      },
    },
    cpuTimeMs: () => cpuMs,
  });
  delay.start();
  const pass = (ms: number) => {
    nowMs += ms;
    fire();
  };
  pass(100);
  pass(140);
  assert.deepEqual([delay.seconds.count, Math.round(delay.seconds.sum * 1000)], [2, 40]);
  for (let i = 0; i < 7; i++) pass(100);
  cpuMs += 520;
  pass(100);
  // 520 of 1040 milliseconds.
  assert.equal(delay.cpuPercent, 50);
  delay.stop();
  pass(100);
  assert.equal(delay.seconds.count, 10);
});

test("operations.md 5.8: the last connections that are gone, oldest first, with the first of their subscriptions", () => {
  let nowMs = 0;
  const closed = new ClosedConnections(() => nowMs, 3);
  const subscriptions = new Map<string, unknown>();
  for (let i = 0; i < CLOSED_SUBSCRIPTIONS_MAX + 5; i++) {
    subscriptions.set(`${i}`, { subject: `s.${i}`, queue: "", sid: `${i}`, delivered: i, max: 0 });
  }
  for (let id = 1; id <= 5; id++) {
    nowMs = id * 10;
    closed.add({ id, subscriptions, name: `c${id}` } as unknown as Connection, "Stale Connection", 7);
  }
  const all = closed.all();
  assert.deepEqual(all.map(({ id, stoppedMs, name }) => [id, stoppedMs, name]), [[3, 30, "c3"], [4, 40, "c4"], [
    5,
    50,
    "c5",
  ]]);
  assert.equal(all[0]?.subscriptionCount, CLOSED_SUBSCRIPTIONS_MAX + 5);
  assert.equal(all[0]?.subscriptions.length, CLOSED_SUBSCRIPTIONS_MAX);
  assert.deepEqual(all[0]?.subscriptions[1], { subject: "s.1", queue: "", sid: "1", delivered: 1, max: 0 });
  assert.deepEqual([all[0]?.reason, all[0]?.pendingBytes], ["Stale Connection", 7]);
});

test("operations.md 12.3: the name of a durable group is split at its first colon", () => {
  assert.deepEqual(groupNames("dur:grp", true), { durable: "dur", queue: "grp" });
  assert.deepEqual(groupNames("dur:a:b", true), { durable: "dur", queue: "a:b" });
  assert.deepEqual(groupNames("a:b", false), { durable: "", queue: "a:b" });
});

test("operations.md 5.8: cipher suites are named as the standard names them", () => {
  const cases: [string, string][] = [
    ["TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"],
    ["ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
    ["ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"],
    ["ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"],
    ["ECDHE-RSA-AES128-SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"],
    ["AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"],
  ];
  for (const [cipher, name] of cases) assert.equal(suiteName(cipher), name);
});

test("operations.md 5.1: paths with empty and dotted parts are cleaned, others are left alone", () => {
  const cases: [string, string][] = [
    ["//streaming/serverz", "/streaming/serverz"],
    ["/./varz", "/varz"],
    ["/varz/.", "/varz"],
    ["/a/../../varz", "/varz"],
    ["/a//b/", "/a/b/"],
    ["//", "/"],
    ["/.hidden", "/.hidden"],
    ["/varz/", "/varz/"],
    ["/", "/"],
  ];
  for (const [path, cleaned] of cases) assert.equal(cleanPath(path), cleaned);
});
