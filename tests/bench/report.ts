/** From samples to rows, verdicts and a Markdown table. No I/O. */

import type { RunResult } from "./run.ts";
import { median } from "./statistics.ts";
import { type LatencyUnit, REFERENCE_MACHINE, type Target } from "./targets.ts";

/** One run of one case against one server in one round. */
export interface Sample {
  readonly caseName: string;
  readonly server: string;
  readonly round: number;
  /** When it began, in milliseconds of any clock. */
  readonly atMs: number;
  readonly result?: RunResult;
  /** The case's own figure, see BenchCase.value. */
  readonly value?: number;
  readonly error?: string;
}

/** A figure over all rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What a row is measured in, all from the same run. Absent where it could not be measured. */
export interface Units {
  /** C: CPU per message of nats-server, core one to one, 128 B, and its rate. */
  readonly cpuMicros?: number;
  readonly coreRate?: number;
  /** R: p50 of core request/reply through nats-server. */
  readonly requestP50Micros?: number;
  /** F: p50 of a bare fdatasync. */
  readonly fdatasyncP50Micros?: number;
  /** F2: p50 of two files written and synced at once off the loop, as a store must: what no synchronous publish can be below. */
  readonly storeSyncP50Micros?: number;
}

/** One bound and how we stand. */
export interface Verdict {
  readonly what: string;
  readonly met: boolean;
  /** Compared through an estimate of what the original would do on this machine. */
  readonly estimated: boolean;
  readonly text: string;
}

/** One line of the table. */
export interface Row {
  readonly caseName: string;
  readonly server: string;
  readonly rounds: number;
  readonly errors: readonly string[];
  readonly rate?: Spread;
  readonly cpuMicros?: Spread;
  readonly p50Micros?: Spread;
  readonly p99Micros?: Spread;
  readonly p999Micros?: Spread;
  /** Share of the latency samples that were lost, where any were. */
  readonly samplesLost?: Spread;
  /** Of the server, at the end of the measured part. */
  readonly residentBytes?: Spread;
  readonly value?: Spread;
  readonly generatorBusy?: Spread;
  /** CPU in C, and the original's CPU in C divided by it: above 1 we are cheaper. */
  readonly cpuC?: number;
  readonly originalCpuRatio?: number;
  /** Against nats-server in the same run, core cases only. */
  readonly rateRatio?: number;
  readonly cpuRatio?: number;
  readonly verdicts: readonly Verdict[];
}

/** Median, smallest and largest; undefined when there is no finite value. */
export function spreadOf(values: readonly (number | undefined)[]): Spread | undefined {
  const known = values.filter((value): value is number => value !== undefined && Number.isFinite(value));
  if (known.length === 0) return undefined;
  return { median: median(known), min: Math.min(...known), max: Math.max(...known) };
}

/** The row of one server and case, without units and verdicts. */
export function rowOf(samples: readonly Sample[], caseName: string, server: string): Row {
  const own = samples.filter((sample) => sample.caseName === caseName && sample.server === server);
  const of = (pick: (result: RunResult) => number | undefined) =>
    spreadOf(own.map((sample) => sample.result === undefined ? undefined : pick(sample.result)));
  return {
    caseName,
    server,
    rounds: own.length,
    errors: own.flatMap((sample) => sample.error === undefined ? [] : [sample.error]),
    verdicts: [],
    ...optional("rate", of((result) => result.rate)),
    ...optional("cpuMicros", of((result) => result.cpuMicrosPerMessage)),
    ...optional("p50Micros", of((result) => result.latencyMicros?.p50)),
    ...optional("p99Micros", of((result) => result.latencyMicros?.p99)),
    ...optional("p999Micros", of((result) => result.latencyMicros?.p999)),
    ...optional("samplesLost", of((result) => lostShare(result))),
    ...optional("residentBytes", of((result) => result.residentBytesAfter)),
    ...optional("value", spreadOf(own.map((sample) => sample.value))),
    ...optional("generatorBusy", of((result) => result.generatorBusy)),
  };
}

function lostShare({ latencyMicros }: RunResult): number | undefined {
  if (latencyMicros === undefined || latencyMicros.dropped === 0) return undefined;
  return latencyMicros.dropped / (latencyMicros.dropped + latencyMicros.count);
}

function optional<K extends string, V>(key: K, value: V | undefined): { [key in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [key in K]?: V };
}

/**
 * `units` as they were when `own` was measured: machines change while a run goes on, so C is taken again and again
 * (`ofUnit`), and of these the one nearest in time counts for each sample.
 */
export function unitsNear(units: Units, ofUnit: readonly Sample[], own: readonly Sample[]): Units {
  const known = ofUnit.filter(({ result }) => result !== undefined);
  if (known.length === 0) return units;
  const nearest = own.map(({ atMs }) =>
    known.reduce((best, one) => Math.abs(one.atMs - atMs) < Math.abs(best.atMs - atMs) ? one : best)
  );
  const cpu = spreadOf(nearest.map(({ result }) => result?.cpuMicrosPerMessage));
  const rate = spreadOf(nearest.map(({ result }) => result?.rate));
  return {
    ...units,
    ...(cpu === undefined ? {} : { cpuMicros: cpu.median }),
    ...(rate === undefined ? {} : { coreRate: rate.median }),
  };
}

/** Adds units, ratios and verdicts. `baseline` is the row of nats-server for the same case. */
export function judge(row: Row, target: Target | undefined, units: Units, baseline: Row | undefined): Row {
  const cpuC = row.cpuMicros !== undefined && units.cpuMicros !== undefined
    ? row.cpuMicros.median / units.cpuMicros
    : undefined;
  const rateRatio = ratio(row.rate, baseline?.rate);
  return {
    ...row,
    ...optional("cpuC", cpuC),
    ...optional("originalCpuRatio", cpuC !== undefined && target?.originalC ? target.originalC / cpuC : undefined),
    ...optional("rateRatio", rateRatio),
    ...optional("cpuRatio", ratio(row.cpuMicros, baseline?.cpuMicros)),
    verdicts: target === undefined || row.errors.length > 0 ? [] : verdictsOf(row, target, units, cpuC, rateRatio),
  };
}

function ratio(ours: Spread | undefined, theirs: Spread | undefined): number | undefined {
  return ours === undefined || theirs === undefined ? undefined : ours.median / theirs.median;
}

function verdictsOf(
  row: Row,
  target: Target,
  units: Units,
  cpuC: number | undefined,
  rateRatio: number | undefined,
): Verdict[] {
  const verdicts: Verdict[] = [];
  const add = (what: string, met: boolean, estimated: boolean, text: string): void => {
    verdicts.push({ what, met, estimated, text: `${what} ${text}` });
  };
  if (target.cpuBoundC !== undefined && cpuC !== undefined) {
    const aim = target.cpuAimC === undefined
      ? ""
      : cpuC <= target.cpuAimC
      ? ", aim reached"
      : `, aim ${target.cpuAimC}`;
    add("CPU", cpuC <= target.cpuBoundC, false, `${figure(cpuC)} C (at most ${target.cpuBoundC}${aim})`);
  }
  if (target.rateFactor !== undefined && row.rate !== undefined) {
    const factor = rateRatio ?? scaledRate(row.rate.median, target.originalRate, units);
    if (factor !== undefined) {
      const estimated = rateRatio === undefined;
      const aim = target.rateAim !== undefined && factor >= target.rateAim ? ", aim reached" : "";
      add(
        "rate",
        factor >= target.rateFactor,
        estimated,
        `${estimated ? "~" : ""}${figure(factor)}x (at least ${target.rateFactor}${aim})`,
      );
    }
  }
  if (target.rateBound !== undefined && row.rate !== undefined) {
    const scale = units.coreRate === undefined ? 1 : units.coreRate / REFERENCE_MACHINE.coreRate;
    const bound = target.rateBound * scale;
    add("rate", row.rate.median >= bound, true, `${figure(row.rate.median)}/s (at least ~${figure(bound)} here)`);
  }
  latency(row.p50Micros, target.originalP50Micros, target.p50Factor, "p50");
  latency(row.p99Micros, target.originalP99Micros, target.p99Factor, "p99");
  if (target.valueBound !== undefined && row.value !== undefined) {
    add(
      "value",
      row.value.median <= target.valueBound,
      false,
      `${figure(row.value.median)} (at most ${figure(target.valueBound)})`,
    );
  }
  return verdicts;

  function latency(ours: Spread | undefined, original?: number, factor?: number, what = ""): void {
    if (ours === undefined || original === undefined || factor === undefined || target.latencyUnit === undefined) {
      return;
    }
    const unit = target.latencyUnit === "R" ? units.requestP50Micros : units.fdatasyncP50Micros;
    if (unit === undefined) return;
    const bound = original * factor / unitThen(target.latencyUnit);
    const value = ours.median / unit;
    const floor = target.latencyUnit === "F" && units.storeSyncP50Micros !== undefined
      ? ` = ${figure(ours.median / units.storeSyncP50Micros)} F2`
      : "";
    add(what, value <= bound, false, `${figure(value)} ${target.latencyUnit}${floor} (at most ${figure(bound)})`);
  }
}

function unitThen(unit: LatencyUnit): number {
  return unit === "R" ? REFERENCE_MACHINE.requestP50Micros : REFERENCE_MACHINE.fdatasyncP50Micros;
}

/** Our rate as a multiple of the original's, scaled by how fast nats-server is here. */
function scaledRate(rate: number, originalRate: number | undefined, units: Units): number | undefined {
  if (originalRate === undefined || units.coreRate === undefined) return undefined;
  return rate / (originalRate * units.coreRate / REFERENCE_MACHINE.coreRate);
}

/** A number for people: three significant digits, k and M for large ones. */
export function figure(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

function spread(value: Spread | undefined): string {
  if (value === undefined) return "";
  if (value.min === value.max) return figure(value.median);
  return `${figure(value.median)} (${figure(value.min)}-${figure(value.max)})`;
}

/** The table of all rows. `valueLabels` names the unit of the figure of its own that some cases have. */
export function markdownTable(rows: readonly Row[], valueLabels: ReadonlyMap<string, string>): string {
  const lines = [
    "| case | server | rate /s | CPU us/msg | CPU in C | original/ours CPU | vs nats-server rate, CPU | p50 us | p99 us | p99.9 us | resident MB | figure | bounds |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
  ];
  for (const row of rows) {
    const cells = [
      row.caseName,
      row.server,
      spread(row.rate),
      row.rate !== undefined && row.cpuMicros === undefined ? "not available" : spread(row.cpuMicros),
      row.cpuC === undefined ? "" : figure(row.cpuC),
      row.originalCpuRatio === undefined ? "" : `${figure(row.originalCpuRatio)}x`,
      row.rateRatio === undefined ? "" : `${figure(row.rateRatio)}x, ${figure(row.cpuRatio ?? NaN)}x`,
      spread(row.p50Micros),
      spread(row.p99Micros),
      spread(row.p999Micros) +
      (row.samplesLost === undefined ? "" : `, up to ${figure(row.samplesLost.max * 100)} % of the samples lost`),
      row.residentBytes === undefined ? "" : figure(row.residentBytes.median / 1e6),
      row.value === undefined ? "" : `${spread(row.value)} ${valueLabels.get(row.caseName) ?? ""}`,
      row.errors.length > 0
        ? `**failed ${row.errors.length}/${row.rounds}**: ${(row.errors[0] ?? "").split("\n")[0]?.slice(0, 160)}`
        : row.verdicts.map((verdict) => `${verdict.met ? "met" : "**missed**"}: ${verdict.text}`).join("; "),
    ];
    lines.push(`| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`);
  }
  return lines.join("\n");
}

/** What the latency columns of the table say, and why some of their cells are empty. */
export const LATENCY_LEGEND = [
  "Latency is the time of one message from one end to the other:",
  "",
  "- core publish and subscribe: from handing the PUB to the socket until the subscriber reads the MSG;",
  "- async: from handing the publish to the socket until its PubAck is read; live and queue: until a subscriber reads " +
  "the delivery;",
  "- idle-clients, subscriptions, durables, channels: from a request (to connect, to subscribe, the first message of a " +
  "channel) to its answer; core-storm and core-idle: from opening the connection to its first PONG;",
  "- sync, receipt, core-request: the same with one message at a time, the server otherwise at rest. Bounds on latency " +
  "judge these alone.",
  "",
  "All but the last are taken under full load, with the window full: how long one message takes while many are under " +
  "way. Most of it is the queue in front of the server (a window of 1,024 at 500,000 messages a second is 2 ms, whoever " +
  "serves it; core has no window, its publishers fill the buffers of the sockets), and as both ends are one process, " +
  "its own turns are in it. Timed are 10,000 to 20,000 messages of each run, or all where there are fewer; of fewer " +
  "than 1,000, p99.9 is the slowest. No latency: core-void (nobody receives), replays (a replay has no moment of " +
  "publishing), footprint and restart (they measure memory and recovery).",
].join("\n");

/** The proof that the generator is not what is measured: its ceiling against a null server beside each server's rate. */
export function proofTable(rows: readonly Row[], nullServer: string): string {
  const lines = [
    "| case | generator ceiling /s | fastest server | its rate /s | ceiling / rate | generator busy there |",
    "|---|---|---|---|---|---|",
  ];
  for (const ceiling of rows.filter((row) => row.server === nullServer)) {
    let best: Row | undefined;
    for (const row of rows) {
      if (row.caseName !== ceiling.caseName || row.server === nullServer) continue;
      if (row.rate !== undefined && row.rate.median > (best?.rate?.median ?? 0)) best = row;
    }
    const rate = best?.rate?.median;
    const cells = [
      ceiling.caseName,
      ceiling.rate === undefined ? `failed: ${ceiling.errors[0] ?? ""}` : figure(ceiling.rate.median),
      best?.server ?? "",
      rate === undefined ? "" : figure(rate),
      rate === undefined || ceiling.rate === undefined ? "" : `${figure(ceiling.rate.median / rate)}x`,
      best?.generatorBusy === undefined ? "" : `${Math.round(best.generatorBusy.median * 100)} %`,
    ];
    lines.push(`| ${cells.join(" | ")} |`);
  }
  return lines.join("\n");
}
