/**
 * What one client feels of another (targets.md, tail): the latency of a synchronous publisher alone, and beside a publisher at
 * full speed on another channel; that of a PING alone, and while 100 subscribers replay at once, with heartbeats so strict that
 * one answer more than half a second late ends the run. The same noise is made at a second server, too, while the probe asks
 * the first one: what the probe feels of that is the machine's (cores, disk), and no server can be below it. The probe has a
 * processor as soon as it wants one (`chrt -f`, where the system allows it): with three busy processes on two cores the answer
 * is there long before the kernel lets its reader run, which says nothing about the server.
 *
 *     bun tests/bench/tail.ts --rounds 3
 */
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { generatorCommand, runGenerator } from "./generator_process.ts";
import { type LongRun, runLongBench, type Settings } from "./long_bench.ts";
import { awaitPong, freePort, type Running, splitCommand, startProcess } from "./processes.ts";
import { figure } from "./report.ts";
import type { Job, RunResult } from "./run.ts";
import { HOST } from "./server_command.ts";
import { type Latency, median } from "./statistics.ts";

/** One pair: a probe, and what runs beside it. */
interface Tail {
  readonly name: string;
  readonly what: string;
  readonly store: "memory" | "file";
  readonly args: readonly string[];
  readonly probe: Partial<Job> & Pick<Job, "kind" | "messages">;
  /** Long enough to cover the probe; it is measured while this runs. */
  readonly noise: Partial<Job> & Pick<Job, "kind" | "messages">;
  /** p99 beside the noise against p99 alone. */
  readonly bound: number | undefined;
}

const TAILS: readonly Tail[] = [
  {
    name: "memory-publish",
    what: "synchronous publish, beside a publisher at full speed on another channel",
    store: "memory",
    args: [],
    probe: { kind: "stan-sync", messages: 8000 },
    noise: { kind: "stan-publish", messages: 20_000_000 },
    bound: 3,
  },
  {
    name: "file-publish",
    what: "the same",
    store: "file",
    args: [],
    probe: { kind: "stan-sync", messages: 1000 },
    noise: { kind: "stan-publish", messages: 8_000_000 },
    bound: 3,
  },
  {
    name: "memory-replays",
    what: "PING, beside 100 subscribers that replay at once",
    store: "memory",
    args: ["-hbi", "1s", "-hbt", "500ms", "-hbf", "0"],
    probe: { kind: "core-ping", messages: 1500 },
    noise: { kind: "stan-replay", messages: 200_000, subscribers: 100 },
    bound: undefined,
  },
  {
    name: "file-replays",
    what: "the same",
    store: "file",
    args: ["-hbi", "1s", "-hbt", "500ms", "-hbf", "0"],
    probe: { kind: "core-ping", messages: 1500 },
    noise: { kind: "stan-replay", messages: 200_000, subscribers: 100 },
    bound: undefined,
  },
];
/** Silence after the noise has begun: connections and, for a replay, the messages that it replays. */
const NOISE_LEAD_MS = 1500;
const LIMIT_MS = 120_000;
const FIRST_IN_LINE = ["chrt", "-f", "1"];

async function withServer<T>(
  settings: Settings,
  tail: Tail,
  work: (port: number, server: Running) => Promise<T>,
): Promise<T> {
  const port = await freePort();
  const dir = path.join(settings.dataDir, `tail-${process.pid}-${port}`);
  rmSync(dir, { recursive: true, force: true });
  const store = tail.store === "file" ? ["-store", "file", "-dir", dir] : [];
  const limits = ["-mm", "0", "-mb", "0", "-msu", "0"];
  const server = startProcess([
    ...splitCommand(settings.command.replaceAll("{port}", String(port))),
    ...limits,
    ...tail.args,
    ...store,
  ]);
  try {
    await awaitPong(server, HOST, port);
    return await work(port, server);
  } finally {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Of the probe's process. */
function probeCommand(): readonly string[] {
  const isAllowed = spawnSync(FIRST_IN_LINE[0]!, [...FIRST_IN_LINE.slice(1), "true"]).status === 0;
  if (!isAllowed) console.error("no right to real-time scheduling: the probe waits for processors, too");
  return [...(isAllowed ? FIRST_IN_LINE : []), ...generatorCommand()];
}

const PROBE_COMMAND = probeCommand();

function latencyOf(result: RunResult): Latency {
  if (result.latencyMicros === undefined) throw new Error("the probe measured no latency");
  return result.latencyMicros;
}

interface Measured {
  readonly alone: Latency;
  /** The noise is made at another server. */
  readonly elsewhere: Latency;
  readonly beside: Latency;
}

/** The latency of the probe at one port while the noise is made at another, or at the same. */
async function besideNoise(tail: Tail, port: number, noisePort: number): Promise<Latency> {
  let isOver = false;
  const noise = runGenerator({ ...tail.noise, host: HOST, port: noisePort, limitMs: LIMIT_MS })
    .finally(() => isOver = true);
  await new Promise<void>((resolve) => setTimeout(resolve, NOISE_LEAD_MS));
  const result = await runGenerator({ ...tail.probe, host: HOST, port, limitMs: LIMIT_MS, warmup: 0 }, PROBE_COMMAND);
  if (isOver) throw new Error(`${tail.name}: the noise was over before the probe; it must have more messages`);
  await noise;
  return latencyOf(result);
}

async function measure(settings: Settings, tail: Tail): Promise<Measured> {
  const alone = await withServer(
    settings,
    tail,
    async (port) =>
      latencyOf(
        await runGenerator(
          { ...tail.probe, host: HOST, port, limitMs: LIMIT_MS, warmup: tail.probe.messages },
          PROBE_COMMAND,
        ),
      ),
  );
  const elsewhere = await withServer(
    settings,
    tail,
    (port) => withServer(settings, tail, (noisePort) => besideNoise(tail, port, noisePort)),
  );
  const beside = await withServer(settings, tail, (port) => besideNoise(tail, port, port));
  return { alone, elsewhere, beside };
}

async function main({ settings, rounds, chosen, print }: LongRun<Tail>): Promise<void> {
  print(
    "| probe | store | alone p50 / p99 / p99.9 us | beside it at another server | beside it at this server | " +
      "p99 against alone | and against another server |",
  );
  print("|---|---|---|---|---|---|---|");
  for (const tail of chosen) {
    const samples: Measured[] = [];
    for (let round = 0; round < rounds; round++) samples.push(await measure(settings, tail));
    const of = (pick: (one: Measured) => number) => median(samples.map(pick));
    const shown = (pick: (one: Measured) => Latency) =>
      [of((one) => pick(one).p50), of((one) => pick(one).p99), of((one) => pick(one).p999)].map(figure).join(" / ");
    const ratio = of(({ alone, beside }) => beside.p99 / alone.p99);
    const ofMachine = of(({ elsewhere, beside }) => beside.p99 / elsewhere.p99);
    const verdict = tail.bound === undefined
      ? `${figure(ratio)}x`
      : `${ratio <= tail.bound ? "" : "**missed**: "}${figure(ratio)}x (at most ${tail.bound})`;
    print(
      `| ${tail.what} | ${tail.store.toUpperCase()} | ${shown(({ alone }) => alone)} | ` +
        `${shown(({ elsewhere }) => elsewhere)} | ${shown(({ beside }) => beside)} | ${verdict} | ${
          figure(ofMachine)
        }x |`,
    );
  }
}

await runLongBench("tail", TAILS, main);
