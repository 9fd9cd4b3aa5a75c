/** Prometheus text format 0.0.4. Families come out in the order of the table, each with its help and type once. */
import { assert } from "../../base/assert.ts";
import type { Histogram } from "../histogram.ts";
import type { Metric } from "./metric_table.ts";

/** What the format calls itself. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

interface Family {
  readonly metric: Metric;
  readonly lines: string[];
}

/** One page in the making. */
export class MetricsText {
  readonly #families = new Map<string, Family>();

  constructor(metrics: readonly Metric[]) {
    for (const metric of metrics) this.#families.set(metric.name, { metric, lines: [] });
  }

  /** Adds a sample; `labels` are the values in the order of the table. */
  add(name: string, value: number, ...labels: readonly string[]): void {
    const { metric, lines } = this.#family(name);
    lines.push(`${name}${labelText(metric.labels, labels)} ${valueText(value)}`);
  }

  /** The same where the values of the labels were made text before, by {@link labelsOf}: many families share them. */
  addLabelled(name: string, value: number, labels: string): void {
    this.#family(name).lines.push(`${name}${labels} ${valueText(value)}`);
  }

  /** The labels of a family as text. */
  labelsOf(name: string, ...labels: readonly string[]): string {
    return labelText(this.#family(name).metric.labels, labels);
  }

  addHistogram(name: string, { bounds, counts, sum, count }: Histogram): void {
    const { lines } = this.#family(name);
    let total = 0;
    for (let i = 0; i < bounds.length; i++) {
      total += counts[i]!;
      lines.push(`${name}_bucket{le="${bounds[i]!}"} ${valueText(total)}`);
    }
    lines.push(`${name}_bucket{le="+Inf"} ${valueText(count)}`, `${name}_sum ${valueText(sum)}`);
    lines.push(`${name}_count ${valueText(count)}`);
  }

  toString(): string {
    const parts: string[] = [];
    for (const { metric, lines } of this.#families.values()) {
      if (lines.length === 0) continue;
      parts.push(`# HELP ${metric.name} ${escapeHelp(metric.help)}`, `# TYPE ${metric.name} ${metric.type}`);
      parts.push(lines.join("\n"));
    }
    return `${parts.join("\n")}\n`;
  }

  #family(name: string): Family {
    const family = this.#families.get(name);
    assert(family !== undefined, `the metric ${name} stands in the table`);
    return family;
  }
}

function labelText(names: readonly string[], values: readonly string[]): string {
  assert(names.length === values.length, "every label has a value");
  if (names.length === 0) return "";
  return `{${names.map((name, index) => `${name}="${escapeLabel(values[index] ?? "")}"`).join(",")}}`;
}

function escapeLabel(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function valueText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}
