/** Dashboard and alerts name metrics that the page has, and the manual has the whole table. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ALERTS_FILE, DASHBOARD_FILE, metricNamesIn } from "../../../scripts/check_deploy.ts";
import { ROOT } from "../../../scripts/project.ts";
import { METRICS } from "../../../src/monitor/metrics/metric_table.ts";

const read = (file: string) => readFileSync(join(ROOT, file), "utf8");

test("every metric that the dashboard and the alerts name is one of the page's", () => {
  const known = METRICS.map(({ name }) => name);
  for (const [file, atLeast] of [[ALERTS_FILE, 14], [DASHBOARD_FILE, 25]] as const) {
    const names = metricNamesIn(read(file));
    assert.ok(names.length >= atLeast, `${file} names ${names.length}`);
    assert.deepEqual(names.filter((name) => !known.includes(name)), [], file);
  }
});

test("the dashboard is a dashboard: panels with queries, none on top of another", () => {
  const { panels, templating } = JSON.parse(read(DASHBOARD_FILE));
  const taken = new Set<string>();
  for (const { title, targets, gridPos: { x, y, w, h } } of panels) {
    assert.ok(targets.length > 0 && targets.every(({ expr }: { expr: string }) => expr.includes("stanchion_")), title);
    assert.ok(x + w <= 24, title);
    for (let column = x; column < x + w; column++) {
      for (let row = y; row < y + h; row++) {
        const cell = `${column},${row}`;
        assert.equal(taken.has(cell), false, `${title} lies on another panel`);
        taken.add(cell);
      }
    }
  }
  assert.deepEqual(templating.list.map(({ name }: { name: string }) => name), ["datasource", "instance", "channel"]);
});

test("the table of metrics in docs/monitor.md is that of the code", () => {
  const manual = read("docs/monitor.md");
  // The formatter pads cells; what they say counts.
  const rows = manual.split("\n").filter((line) => /^\| `(?:stanchion|nss|gnatsd)_/.test(line))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  const expected = METRICS.map(({ name, type, labels, help }) => [
    `\`${name}\``,
    type,
    labels.join(", "),
    help,
  ]);
  assert.deepEqual(rows, expected);
});
