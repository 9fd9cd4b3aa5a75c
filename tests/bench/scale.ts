/**
 * Cost per message against the size of the world: from 1 to 10,000 channels, in turn and at random, from 1 to 1,000
 * subscriptions on other channels, from 1 to 1,000 clients that do nothing, from 10,000 to 10,000,000 messages in the
 * channel. Prints one table per axis, and with `--charts FOLDER` draws each as an SVG.
 *
 *     bun tests/bench/scale.ts --rounds 3 --charts docs/images
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { lineChart } from "./chart.ts";
import { runGenerator } from "./generator_process.ts";
import { type LongRun, runLongBench, type Settings } from "./long_bench.ts";
import { awaitPong, freePort, splitCommand, startProcess } from "./processes.ts";
import { figure } from "./report.ts";
import type { Job } from "./run.ts";
import { HOST } from "./server_command.ts";
import { median } from "./statistics.ts";

/** One axis: what grows, and the rest of the job. */
interface Axis {
  readonly name: string;
  readonly what: string;
  readonly key: "channels" | "otherSubscriptions" | "otherClients" | "storedMessages";
  readonly values: readonly number[];
  readonly store: "memory" | "file";
  readonly messages: number;
  readonly shuffled?: boolean;
}

const AXES: readonly Axis[] = [
  {
    name: "channels",
    what: "channels, published to in turn",
    key: "channels",
    values: [1, 10, 100, 1000, 10_000],
    store: "memory",
    messages: 500_000,
  },
  {
    name: "channels-at-random",
    what: "channels, published to at random",
    key: "channels",
    values: [1, 10, 100, 1000, 10_000],
    store: "memory",
    messages: 500_000,
    shuffled: true,
  },
  {
    name: "subscriptions",
    what: "subscriptions on other channels",
    key: "otherSubscriptions",
    values: [1, 10, 100, 1000],
    store: "memory",
    messages: 500_000,
  },
  {
    name: "clients",
    what: "other clients, connected and idle",
    key: "otherClients",
    values: [1, 10, 100, 1000],
    store: "memory",
    messages: 500_000,
  },
  {
    name: "stored",
    what: "messages in the channel before, FILE store",
    key: "storedMessages",
    values: [10_000, 100_000, 1_000_000, 10_000_000],
    store: "file",
    messages: 300_000,
  },
];
/** Run before the measured part at every point, so that all points are equally warm. */
const WARM_UP = 200_000;
/** Share by which the cost may move over an axis. */
const FLAT_WITHIN = 0.2;
const LIMIT_MS = 300_000;

/** CPU of the server per message, in microseconds. */
async function measure(settings: Settings, axis: Axis, value: number): Promise<number> {
  const dir = path.join(settings.dataDir, `scale-${process.pid}`);
  rmSync(dir, { recursive: true, force: true });
  const port = await freePort();
  const store = axis.store === "file" ? ["-store", "file", "-dir", dir] : [];
  const server = startProcess([
    ...splitCommand(settings.command.replaceAll("{port}", String(port))),
    ...["-mc", "0", "-msu", "0", "-mm", "0", "-mb", "0"],
    ...store,
  ]);
  try {
    await awaitPong(server, HOST, port);
    const job: Partial<Job> = {
      kind: "stan-beside",
      messages: axis.messages,
      [axis.key]: value,
      shuffled: axis.shuffled ?? false,
      warmup: WARM_UP,
      host: HOST,
      port,
      pid: server.pid,
      limitMs: LIMIT_MS,
    };
    return (await runGenerator(job)).cpuMicrosPerMessage ?? NaN;
  } finally {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function main({ settings, rounds, chosen, charts, print }: LongRun<Axis>): Promise<void> {
  for (const axis of chosen) {
    const samples = axis.values.map((): number[] => []);
    // Round after round over the whole axis: what else the machine does falls on all points alike.
    for (let round = 0; round < rounds; round++) {
      for (const [i, value] of axis.values.entries()) {
        samples[i]!.push(await measure(settings, axis, value));
        console.error(`${axis.name} ${value}, round ${round + 1}/${rounds}: ${figure(samples[i]!.at(-1)!)} us`);
      }
    }
    const costs = samples.map(median);
    const base = costs[0]!;
    print(`\n| ${axis.what} | CPU us/message (smallest-largest) | beside the first |\n|---|---|---|`);
    for (const [i, value] of axis.values.entries()) {
      const ratio = costs[i]! / base;
      const shown = `${figure(ratio)}x`;
      print(
        `| ${value.toLocaleString("en")} | ${figure(costs[i]!)} (${figure(Math.min(...samples[i]!))}-${
          figure(Math.max(...samples[i]!))
        }) | ${ratio > 1 + FLAT_WITHIN ? `**${shown}**` : shown} |`,
      );
    }
    if (charts === undefined) continue;
    mkdirSync(charts, { recursive: true });
    const file = path.join(charts, `scale-${axis.name}.svg`);
    writeFileSync(
      file,
      lineChart({
        title: `CPU per message, ${axis.store.toUpperCase()} store, 128 B`,
        xLabel: axis.what,
        yLabel: "us/message",
        points: axis.values.map((value, i) => ({ x: value, y: costs[i]! })),
        band: [base * (1 - FLAT_WITHIN), base * (1 + FLAT_WITHIN)],
      }),
    );
    console.error(`written: ${file}`);
  }
}

await runLongBench("scale", AXES, main, { hasCharts: true });
