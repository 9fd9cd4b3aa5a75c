/**
 * Many of everything: what 5,000 clients with heartbeats, 10,000 subscriptions and 10,000 channels cost in memory, in time to
 * make them, and in CPU while nothing happens; with the FILE store the restart as well. Prints one table, each figure with its
 * bound and the ratio to it.
 *
 *     bun tests/bench/many.ts                      the executable where it is built, else the source
 *     bun tests/bench/many.ts --server "bun src/main.ts -p {port}" --rounds 3 --only clients,channels
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { runGenerator } from "./generator_process.ts";
import { type LongRun, runLongBench, type Settings } from "./long_bench.ts";
import { awaitPong, freePort, residentBytesOf, splitCommand, startProcess } from "./processes.ts";
import { figure } from "./report.ts";
import { HOST } from "./server_command.ts";
import type { Job, RunResult } from "./run.ts";
import { median } from "./statistics.ts";
import { REFERENCE_MACHINE } from "./targets.ts";

/**
 * Silence in whose second half CPU is measured: long enough for heartbeats of several rounds, and for the engine to have
 * collected in the first half what the making has left.
 */
const REST_MS = 50_000;
/** Debian's; without it the bounds of rates are not scaled and not judged. */
const NATS_SERVER = "/usr/sbin/nats-server";

/** One thing to have many of. */
interface Many {
  readonly name: string;
  readonly what: string;
  readonly store: "memory" | "file";
  readonly args?: readonly string[];
  readonly job: Partial<Job> & Pick<Job, "kind" | "messages">;
  readonly restarts?: boolean;
  /** Bounds: bytes of each, rate on the machine of the original's figures, share of a core while idle, restart seconds. */
  readonly kilobytesMax?: number;
  readonly rateMin?: number;
  readonly idleShareMax?: number;
  readonly restartSecondsMax?: number;
}

const MANY: readonly Many[] = [
  {
    name: "clients",
    what: "clients, a heartbeat every 5 s",
    store: "memory",
    // Six times as often as by default, so that they show in a short time; the bound is six times as high.
    args: ["-hbi", "5s"],
    job: { kind: "stan-clients", messages: 5000, window: 32 },
    kilobytesMax: 20,
    rateMin: 8000,
    idleShareMax: 6 * 0.02,
  },
  {
    name: "subscriptions",
    what: "subscriptions",
    store: "memory",
    job: { kind: "stan-subscriptions", messages: 10_000, window: 256, publishers: 10 },
    kilobytesMax: 2.5,
    rateMin: 30_000,
    idleShareMax: 0.02,
  },
  {
    name: "channels",
    what: "channels of one message",
    store: "memory",
    job: { kind: "stan-channels", messages: 10_000, window: 256 },
    idleShareMax: 0.02,
  },
  {
    name: "file-durables",
    what: "durables",
    store: "file",
    job: { kind: "stan-subscriptions", messages: 10_000, window: 256, publishers: 10, durable: true },
    rateMin: 10_000,
    idleShareMax: 0.02,
    restarts: true,
  },
  {
    name: "file-channels",
    what: "channels of one message",
    store: "file",
    job: { kind: "stan-channels", messages: 10_000, window: 256 },
    rateMin: 5000,
    idleShareMax: 0.01,
    restarts: true,
    restartSecondsMax: 5,
  },
];

interface Measured {
  readonly kilobytes: number;
  readonly rate: number;
  readonly cpuMicros: number;
  readonly idleShare: number;
  readonly restartSeconds: number;
  readonly restartMegabytes: number;
}

async function measure(settings: Settings, many: Many): Promise<Measured> {
  const dir = mkdtempSync(path.join(rootOf(settings), `${many.name}-`));
  const port = await freePort();
  const store = many.store === "file" ? ["-store", "file", "-dir", dir] : [];
  const command = [
    ...splitCommand(settings.command.replaceAll("{port}", String(port))),
    ...["-mc", "0", "-msu", "0"],
    ...(many.args ?? []),
    ...store,
  ];
  let server = startProcess(command);
  try {
    await awaitPong(server, HOST, port);
    const job = { ...many.job, host: HOST, port, pid: server.pid, warmup: 0, restMs: REST_MS, stallMs: REST_MS * 3 };
    const result = await runGenerator(job);
    if (many.restarts !== true) return measuredOf(result, NaN, NaN);
    await server.stop(30_000);
    const startedAt = performance.now();
    server = startProcess(command);
    await awaitPong(server, HOST, port, 300_000);
    const seconds = (performance.now() - startedAt) / 1000;
    return measuredOf(result, seconds, (residentBytesOf(server.pid) ?? NaN) / 1e6);
  } finally {
    await server.stop();
  }
}

/**
 * Data of the whole run, removed at its end: for minutes ext4 steps over every inode that was removed, and whoever makes
 * ten thousand channels right after others have removed theirs takes up to three times as long.
 */
function rootOf(settings: Settings): string {
  return path.join(settings.dataDir, `many-${process.pid}`);
}

function measuredOf(result: RunResult, restartSeconds: number, restartMegabytes: number): Measured {
  return {
    kilobytes: (result.grownBytes ?? NaN) / result.messages / 1000,
    rate: result.rate,
    cpuMicros: result.cpuMicrosPerMessage ?? NaN,
    idleShare: result.restingCpuShare ?? NaN,
    restartSeconds,
    restartMegabytes,
  };
}

/** How fast core publish and subscribe of nats-server is here, beside the machine on which the bounds were measured. */
async function machineFactor(): Promise<number> {
  if (!existsSync(NATS_SERVER)) return NaN;
  const port = await freePort();
  const server = startProcess([NATS_SERVER, "-a", HOST, "-p", String(port)]);
  try {
    await awaitPong(server, HOST, port);
    const job = { kind: "core-pubsub", messages: 1_000_000, host: HOST, port, pid: server.pid } as const;
    return (await runGenerator(job)).rate / REFERENCE_MACHINE.coreRate;
  } finally {
    await server.stop();
  }
}

/** A figure with its bound: `4.1 (164 % of 2.5)`; a bound that is missed stands out. */
function judged(value: number, bound: number | undefined, isLeast: boolean, unit: (value: number) => string): string {
  if (Number.isNaN(value)) return "";
  if (bound === undefined || Number.isNaN(bound)) return unit(value);
  const isMet = isLeast ? value >= bound : value <= bound;
  const text = `${unit(value)} (${Math.round(100 * value / bound)} % of ${unit(bound)})`;
  return isMet ? text : `**${text}**`;
}

const asIs = (value: number): string => figure(value);
const asPercent = (value: number): string => `${(value * 100).toFixed(1)} %`;

function row(many: Many, samples: readonly Measured[], factor: number): string {
  const of = (pick: (one: Measured) => number): number => median(samples.map(pick));
  const cells = [
    `${many.job.messages} ${many.what}`,
    many.store.toUpperCase(),
    judged(of((one) => one.kilobytes), many.kilobytesMax, false, asIs),
    judged(of((one) => one.rate), many.rateMin === undefined ? undefined : many.rateMin * factor, true, asIs),
    asIs(of((one) => one.cpuMicros)),
    judged(of((one) => one.idleShare), many.idleShareMax, false, asPercent),
    judged(of((one) => one.restartSeconds), many.restartSecondsMax, false, asIs),
    Number.isNaN(of((one) => one.restartMegabytes)) ? "" : asIs(of((one) => one.restartMegabytes)),
  ];
  return `| ${cells.join(" | ")} |`;
}

async function main({ settings, rounds, chosen, print }: LongRun<Many>): Promise<void> {
  const factors: number[] = [];
  const samples = new Map<Many, Measured[]>(chosen.map((many) => [many, []]));
  const root = rootOf(settings);
  mkdirSync(root, { recursive: true });
  try {
    for (let round = 0; round < rounds; round++) {
      factors.push(await machineFactor());
      for (const many of chosen) {
        samples.get(many)!.push(await measure(settings, many));
        console.error(`round ${round + 1}/${rounds}  ${many.name}`);
      }
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  const factor = median(factors);
  print(
    `Bounds of rates are scaled by ${figure(factor)}: what nats-server does here, beside the bounds' machine.\n`,
  );
  print(
    `KB each is what the process has for itself beside the start, ${REST_MS / 1000} s after the last one was made.\n`,
  );
  print("| what | store | KB each | made per second | CPU µs each | CPU idle | restart s | MB after it |");
  print("|---|---|---|---|---|---|---|---|");
  for (const many of chosen) print(row(many, samples.get(many)!, factor));
}

await runLongBench("many", MANY, main);
