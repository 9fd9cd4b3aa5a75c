/**
 * A strict reader of the Prometheus text format 0.0.4: it takes what the format allows and nothing else, so that a page it
 * reads is read by every scraper.
 */

/** One series with its value. */
export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/** A metric with all of its series. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: readonly Sample[];
}

interface OpenFamily extends MetricFamily {
  readonly samples: Sample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const TYPES = ["counter", "gauge", "histogram", "summary", "untyped"];
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|NaN|[+-]?Inf)$/;

/** Families by name. Throws with the line that is wrong. */
export function parsePrometheusText(text: string): Map<string, MetricFamily> {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const families = new Map<string, MetricFamily>();
  let help: { name: string; text: string } | undefined;
  let family: OpenFamily | undefined;
  const finish = () => {
    if (family === undefined) return;
    if (family.samples.length === 0) throw new Error(`${family.name} has no sample`);
    if (family.type === "histogram") checkHistogram(family);
  };
  for (const line of text.slice(0, -1).split("\n")) {
    const fail = (reason: string): never => {
      throw new Error(`${reason}: ${line}`);
    };
    const helpMatch = /^# HELP (\S+) (.+)$/.exec(line);
    const typeMatch = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (helpMatch !== null) {
      finish();
      family = undefined;
      help = { name: helpMatch[1] ?? "", text: helpMatch[2] ?? "" };
    } else if (typeMatch !== null) {
      const [, name = "", type = ""] = typeMatch;
      if (help?.name !== name) fail("a type without its help before it");
      if (!NAME.test(name)) fail("not a name");
      if (!TYPES.includes(type)) fail("not a type");
      if (families.has(name)) fail("a family that is there twice");
      family = { name, type, help: help?.text ?? "", samples: [] };
      families.set(name, family);
    } else {
      const sample = parseSample(line);
      if (family === undefined || baseName(sample.name, family) !== family.name) {
        return fail("a sample of no open family");
      }
      if (family.samples.some((other) => seriesKey(other) === seriesKey(sample))) fail("a series that is there twice");
      family.samples.push(sample);
    }
  }
  finish();
  return families;
}

/** The value of the series with exactly these labels. */
export function valueOf(
  families: ReadonlyMap<string, MetricFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const wanted = seriesKey({ name, labels: new Map(Object.entries(labels)), value: 0 });
  const sample = families.get(name)?.samples.find((one) => seriesKey(one) === wanted);
  if (sample === undefined) throw new Error(`no series ${wanted}`);
  return sample.value;
}

function seriesKey({ name, labels }: Sample): string {
  return JSON.stringify([name, [...labels].sort(([a], [b]) => a < b ? -1 : 1)]);
}

function baseName(name: string, { type, name: family }: MetricFamily): string {
  if (type !== "histogram") return name;
  return /^(?:_bucket|_sum|_count)$/.test(name.slice(family.length)) ? family : "";
}

function parseSample(line: string): Sample {
  const match = /^([^{ ]+)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) throw new Error(`not a sample: ${line}`);
  const [, name = "", labelText, value = ""] = match;
  if (!NAME.test(name)) throw new Error(`not a name: ${line}`);
  if (!NUMBER.test(value)) throw new Error(`not a number: ${line}`);
  const labels = new Map<string, string>();
  // Go's parser takes nothing between the pairs but a comma.
  let rest = labelText ?? "";
  while (rest !== "") {
    const pair = /^([^=]+)="((?:[^"\\\n]|\\[\\"n])*)"(?:,(?=.)|$)/.exec(rest);
    if (pair === null) throw new Error(`not a label at ${rest}: ${line}`);
    const [whole, label = "", text = ""] = pair;
    if (!LABEL_NAME.test(label) || label.startsWith("__")) throw new Error(`not a label name ${label}: ${line}`);
    if (labels.has(label)) throw new Error(`the label ${label} is there twice: ${line}`);
    labels.set(label, text.replace(/\\(.)/g, (_, unit: string) => unit === "n" ? "\n" : unit));
    rest = rest.slice(whole.length);
  }
  return {
    name,
    labels,
    value: value.endsWith("Inf") ? (value.startsWith("-") ? -Infinity : Infinity) : Number(value),
  };
}

/** Buckets ascend and add up, the last one is all, and sum and count are there. */
function checkHistogram({ name, samples }: MetricFamily): void {
  const series = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = JSON.stringify([...sample.labels].filter(([label]) => label !== "le"));
    series.set(key, [...series.get(key) ?? [], sample]);
  }
  for (const parts of series.values()) {
    const buckets = parts.filter((part) => part.name === `${name}_bucket`);
    const only = (suffix: string) => {
      const found = parts.filter((part) => part.name === name + suffix);
      if (found.length !== 1) throw new Error(`${name} has ${found.length} of ${suffix}`);
      return found[0]!.value; // There is one.
    };
    const bounds = buckets.map((bucket) => {
      const bound = bucket.labels.get("le") ?? "";
      return bound === "+Inf" ? Infinity : Number(bound);
    });
    for (let i = 0; i < buckets.length; i++) {
      if (i > 0 && (bounds[i]! <= bounds[i - 1]! || buckets[i]!.value < buckets[i - 1]!.value)) {
        throw new Error(`the buckets of ${name} do not ascend`);
      }
    }
    if (bounds.at(-1) !== Infinity || buckets.at(-1)?.value !== only("_count")) {
      throw new Error(`${name} does not add up`);
    }
    if (!Number.isFinite(only("_sum"))) throw new Error(`the sum of ${name} is no number`);
  }
}
