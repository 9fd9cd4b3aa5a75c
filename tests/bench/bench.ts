/**
 * The benchmark: runs the cases against the servers in turn (A B A B …), each run with a fresh server and a generator in
 * a process of its own, and writes a Markdown table and JSON to bench-results/.
 *
 *     bun tests/bench/bench.ts --quick
 *     bun tests/bench/bench.ts --case memory-async-128-w1024,core-1x1-128 --rounds 6
 *     bun tests/bench/bench.ts --server "bun=bun src/main.ts -p {port}" --server "exe=dist/stanchion -p {port}"
 *     bun tests/bench/bench.ts --prove
 */

import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type BenchCase, CASES, QUICK_CASES, type Store, UNIT_CASES } from "./cases.ts";
import { writeSection } from "./document.ts";
import { generatorCommand, runGenerator } from "./generator_process.ts";
import {
  awaitPong,
  freePort,
  killStarted,
  pause,
  residentBytesOf,
  type Running,
  splitCommand,
  startProcess,
} from "./processes.ts";
import {
  figure,
  judge,
  LATENCY_LEGEND,
  markdownTable,
  proofTable,
  type Row,
  rowOf,
  type Sample,
  type Spread,
  spreadOf,
  type Units,
  unitsNear,
} from "./report.ts";
import { JOB_DEFAULTS } from "./run.ts";
import { median } from "./statistics.ts";
import { EXECUTABLE_BYTES_MAX, IDLE_RESIDENT_BYTES_MAX, TARGETS } from "./targets.ts";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const ROOT = path.resolve(HERE, "../..");
const HOST = "127.0.0.1";
const NATS_SERVER = "nats-server";
const NULL_SERVER = "null";
const STARTUP = "startup";
/** Starts per startup measurement. */
const STARTUP_COUNT = 10;
/** What `--quick` divides message counts by, and the fewest it leaves. */
const QUICK_DIVISOR = 8;
const QUICK_MESSAGES_MIN = 500;
const FDATASYNC_COUNT = 200;
/** C is taken again before a case when it is older: a shared machine is another one after a minute. */
const UNIT_AGE_MS_MAX = 20_000;

const HELP = `usage: bench.ts [options]
  --server "[name=]command with {port}"  server under test; repeatable. {dir}: data folder, {store}: where store
                                         arguments go (default: at the end, for FILE cases only)
  --case name[,name]   cases to run; a trailing * matches the rest of the name ("all": also the long ones)
  --rounds N           alternating rounds (default 3; claims below 10 % of CPU or 15 % of rate need more than six)
  --quick              few small cases, one round, under 20 s: does it work at all
  --prove              also run against a null server: the generator's own ceiling per case
  --awake              keep the cores awake with lowest-priority busy loops during latency cases
  --nats-server PATH   nats-server to compare with (default: found in PATH or /usr/sbin); --no-nats to leave it out
  --cluster-id ID      cluster ID of the streaming servers (default ${JOB_DEFAULTS.clusterId})
  --generator PATH     runtime that runs the generator (default: bun where it is found, else this one)
  --data-dir DIR       parent of the data folders of FILE cases (default bench-results); a real disk, not tmpfs
  --out DIR            where the results go (default bench-results)
  --write FILE         put the table into the section "bench" of this document as well
  --list               print the names of the cases
`;

interface Server {
  readonly name: string;
  readonly command: string;
  readonly streaming: boolean;
}

interface Settings {
  readonly generator: readonly string[];
  readonly clusterId: string;
  readonly dataDir: string;
  readonly awake: boolean;
  readonly quick: boolean;
}

function runtimeCommand(program: string): string[] {
  return path.basename(program).startsWith("deno") ? [program, "run", "-A", "--quiet"] : [program];
}

function findInPath(name: string): string | undefined {
  for (const folder of `${process.env.PATH ?? ""}:/usr/sbin:/usr/local/bin`.split(":")) {
    const file = path.join(folder, name);
    if (folder !== "" && existsSync(file)) return file;
  }
  return undefined;
}

/** The executable where it is built, else the source on the runtime that runs this program. */
function defaultServer(): Server {
  const executable = path.join(ROOT, "dist/stanchion");
  const program = existsSync(executable)
    ? `"${executable}"`
    : [...runtimeCommand(process.execPath), path.join(ROOT, "src/main.ts")].map((part) => `"${part}"`).join(" ");
  return { name: "stanchion", command: `${program} -a ${HOST} -p {port} {store}`, streaming: true };
}

function namedServer(text: string, index: number): Server {
  const match = /^([A-Za-z0-9_.-]+)=(.+)$/s.exec(text);
  // `NAME=value program` would be an environment setting; a name of ours has no slash and its command has a space.
  if (match !== null && match[2]?.includes(" ")) {
    return { name: match[1] as string, command: match[2], streaming: true };
  }
  return { name: index === 0 ? "stanchion" : `stanchion-${index + 1}`, command: text, streaming: true };
}

function storeArguments(store: Store, dir: string): string[] {
  if (store === "core" || store === "memory") return [];
  const args = ["-store", "file", "-dir", dir];
  if (store === "file-nosync") args.push("-file_sync=false");
  if (store === "file-aes") args.push("-encrypt", "-encryption_cipher", "AES", "-encryption_key", "bench-key");
  return args;
}

function commandOf(server: Server, port: number, store: readonly string[], dir: string): string[] {
  const parts = splitCommand(server.command.replaceAll("{port}", String(port)).replaceAll("{dir}", dir));
  const at = parts.indexOf("{store}");
  if (at < 0) return [...parts, ...store];
  parts.splice(at, 1, ...store);
  return parts;
}

/** Lowest-priority busy loops, one per core: a virtual machine at rest would be measured waking up. */
function keepAwake(): Running[] {
  return Array.from(
    { length: availableParallelism() },
    () => startProcess(["nice", "-n", "19", "sh", "-c", "while :; do :; done"]),
  );
}

async function runOnce(settings: Settings, benchCase: BenchCase, server: Server, round: number): Promise<Sample> {
  const identity = { caseName: benchCase.name, server: server.name, round, atMs: performance.now() };
  const dir = path.join(settings.dataDir, `data-${process.pid}`);
  const store = server.streaming ? [...storeArguments(benchCase.store, dir), ...(benchCase.args ?? [])] : [];
  rmSync(dir, { recursive: true, force: true });
  const awake = settings.awake && benchCase.latency === true ? keepAwake() : [];
  let running: Running | undefined;
  try {
    const port = await freePort();
    running = startProcess(commandOf(server, port, store, dir));
    await awaitPong(running, HOST, port);
    const scale = settings.quick ? QUICK_DIVISOR : 1;
    const scaled = (count: number): number =>
      count === 0 || scale === 1 ? count : Math.max(Math.min(count, QUICK_MESSAGES_MIN), Math.round(count / scale));
    const job = {
      ...benchCase.job,
      messages: scaled(benchCase.job.messages),
      warmup: scaled(benchCase.job.warmup ?? 0),
      host: HOST,
      port,
      pid: running.pid,
      clusterId: settings.clusterId,
    };
    const result = await runGenerator(job, settings.generator);
    const value = benchCase.value;
    if (value === undefined || server.name === NULL_SERVER) return { ...identity, result };
    if ("of" in value) return { ...identity, result, value: value.of(result) };
    await running.stop();
    const startedAt = performance.now();
    running = startProcess(commandOf(server, port, store, dir));
    await awaitPong(running, HOST, port, JOB_DEFAULTS.limitMs);
    return { ...identity, result, value: (performance.now() - startedAt) / 1000 };
  } catch (error) {
    const said = running?.tail().trim().split("\n").slice(-3).join("\n") ?? "";
    const message = error instanceof Error ? error.message : String(error);
    return { ...identity, error: said === "" ? message : `${message}\n${said}` };
  } finally {
    await running?.stop();
    for (const loop of awake) await loop.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Startup {
  readonly server: string;
  /** Milliseconds from spawn to the first PONG. */
  readonly millis: readonly number[];
  readonly idleResidentBytes?: number;
  /** Size of the program file, where it is an executable of its own. */
  readonly programBytes?: number;
  readonly program: string;
}

async function measureStartup(server: Server): Promise<Startup> {
  const millis: number[] = [];
  let resident: number | undefined;
  let program = "";
  for (let index = 0; index < STARTUP_COUNT; index++) {
    const port = await freePort();
    const command = commandOf(server, port, [], "");
    program = command[0] ?? "";
    const startedAt = performance.now();
    const running = startProcess(command);
    try {
      await awaitPong(running, HOST, port);
      millis.push(performance.now() - startedAt);
      if (index < STARTUP_COUNT - 1) continue;
      await pause(1000);
      resident = residentBytesOf(running.pid);
    } finally {
      await running.stop();
    }
  }
  const file = program.includes("/") ? program : findInPath(program);
  // Where source is run the program file is the runtime, and its size says nothing about ours.
  const isExecutable = /^(stanchion|nats-)/.test(path.basename(program));
  return {
    server: server.name,
    millis,
    program,
    ...(resident === undefined ? {} : { idleResidentBytes: resident }),
    ...(file === undefined || !isExecutable ? {} : { programBytes: statSync(realpathSync(file)).size }),
  };
}

/**
 * p50 of syncing a small append, the floor of a synchronous publish on this disk; microseconds. Disks have moods: it is
 * taken in every round right before the case that is judged by it.
 */
function measureFdatasync(dir: string): number {
  const file = path.join(dir, `fdatasync-${process.pid}`);
  const handle = openSync(file, "w");
  const block = new Uint8Array(256).fill(1);
  const millis: number[] = [];
  try {
    for (let index = 0; index < FDATASYNC_COUNT; index++) {
      writeSync(handle, block);
      const startedAt = performance.now();
      fdatasyncSync(handle);
      millis.push(performance.now() - startedAt);
    }
  } finally {
    closeSync(handle);
    rmSync(file, { force: true });
  }
  return median(millis) * 1000;
}

/** The same with the two files of a store, written one after the other and synced at once off the event loop. */
async function measureStoreSync(dir: string): Promise<number> {
  const files = ["data", "index"].map((name) => path.join(dir, `fdatasync-${process.pid}-${name}`));
  const handles = files.map((file) => openSync(file, "w"));
  const block = new Uint8Array(256).fill(1);
  const millis: number[] = [];
  const sync = (handle: number) =>
    new Promise<void>((resolve, reject) => fdatasync(handle, (error) => error ? reject(error) : resolve()));
  try {
    for (let index = 0; index < FDATASYNC_COUNT; index++) {
      const startedAt = performance.now();
      for (const handle of handles) writeSync(handle, block);
      await Promise.all(handles.map(sync));
      millis.push(performance.now() - startedAt);
    }
  } finally {
    for (const handle of handles) closeSync(handle);
    for (const file of files) rmSync(file, { force: true });
  }
  return median(millis) * 1000;
}

function chooseCases(named: string | undefined, quick: boolean): { cases: BenchCase[]; startup: boolean } {
  if (named === undefined) {
    if (quick) {
      return { cases: CASES.filter((one) => (QUICK_CASES as readonly string[]).includes(one.name)), startup: false };
    }
    return { cases: CASES.filter((one) => one.byDefault !== false), startup: true };
  }
  const wanted = named.split(",").map((name) => name.trim()).filter((name) => name !== "");
  const chosen = new Set<BenchCase>();
  for (const name of wanted) {
    const hits = CASES.filter((one) =>
      name === "all" || one.name === name || (name.endsWith("*") && one.name.startsWith(name.slice(0, -1)))
    );
    if (hits.length === 0 && name !== STARTUP) throw new Error(`no case is called "${name}"; --list names them`);
    for (const hit of hits) chosen.add(hit);
  }
  return {
    cases: CASES.filter((one) => chosen.has(one)),
    startup: wanted.includes(STARTUP) || wanted.includes("all"),
  };
}

function unitsOf(samples: readonly Sample[], fdatasyncMicros: number | undefined): Units {
  const own = rowOf(samples, UNIT_CASES.cpu, NATS_SERVER);
  const request = rowOf(samples, UNIT_CASES.request, NATS_SERVER);
  return {
    ...(own.cpuMicros === undefined ? {} : { cpuMicros: own.cpuMicros.median }),
    ...(own.rate === undefined ? {} : { coreRate: own.rate.median }),
    ...(request.p50Micros === undefined ? {} : { requestP50Micros: request.p50Micros.median }),
    ...(fdatasyncMicros === undefined ? {} : { fdatasyncP50Micros: fdatasyncMicros }),
  };
}

function rowsOf(samples: readonly Sample[], units: Units): Row[] {
  const rows: Row[] = [];
  const ofUnit = samples.filter((one) => one.caseName === UNIT_CASES.cpu && one.server === NATS_SERVER);
  for (const benchCase of CASES) {
    const servers = new Set(samples.filter((one) => one.caseName === benchCase.name).map((one) => one.server));
    const baseline = servers.has(NATS_SERVER) ? rowOf(samples, benchCase.name, NATS_SERVER) : undefined;
    for (const server of servers) {
      const row = rowOf(samples, benchCase.name, server);
      const ownSamples = samples.filter((one) => one.caseName === benchCase.name && one.server === server);
      const isOurs = server !== NATS_SERVER && server !== NULL_SERVER;
      rows.push(
        judge(
          row,
          isOurs ? TARGETS[benchCase.name] : undefined,
          unitsNear(units, ofUnit, ownSamples),
          isOurs ? baseline : undefined,
        ),
      );
    }
  }
  return rows;
}

function startupTable(startups: readonly Startup[]): string {
  const lines = [
    "| server | start to first PONG ms | idle resident MB | program MB | bounds |",
    "|---|---|---|---|---|",
  ];
  for (const one of startups) {
    const spread = spreadOf(one.millis);
    if (spread === undefined) continue;
    const bound = TARGETS[STARTUP]?.valueBound ?? Infinity;
    const resident = one.idleResidentBytes ?? NaN;
    const verdict = (what: string, met: boolean) => `${met ? "met" : "**missed**"}: ${what}`;
    const verdicts = one.server === NATS_SERVER ? [] : [
      verdict(`start <= ${bound} ms`, spread.median <= bound),
      ...(Number.isNaN(resident)
        ? []
        : [verdict(`resident <= ${IDLE_RESIDENT_BYTES_MAX / 1e6} MB`, resident <= IDLE_RESIDENT_BYTES_MAX)]),
      ...(one.programBytes !== undefined
        ? [verdict(`size <= ${EXECUTABLE_BYTES_MAX / 1e6} MB`, one.programBytes <= EXECUTABLE_BYTES_MAX)]
        : []),
    ];
    lines.push(
      `| ${one.server} | ${figure(spread.median)} (${figure(spread.min)}-${figure(spread.max)}) | ` +
        `${Number.isNaN(resident) ? "not available" : figure(resident / 1e6)} | ` +
        `${one.programBytes === undefined ? "" : figure(one.programBytes / 1e6)} | ${verdicts.join("; ")} |`,
    );
  }
  return lines.join("\n");
}

function unitLine(units: Units, ofUnit: Spread | undefined): string {
  const parts = [
    ofUnit === undefined
      ? undefined
      : `C = ${figure(ofUnit.median)} us (${figure(ofUnit.min)}-${figure(ofUnit.max)}; nats-server, core 1x1, 128 B, ` +
        "taken again and again: each row is judged by what was taken beside it)",
    units.requestP50Micros === undefined ? undefined : `R = ${figure(units.requestP50Micros)} us (request/reply p50)`,
    units.fdatasyncP50Micros === undefined ? undefined : `F = ${figure(units.fdatasyncP50Micros)} us (fdatasync p50)`,
    units.storeSyncP50Micros === undefined
      ? undefined
      : `F2 = ${figure(units.storeSyncP50Micros)} us (two files written and synced at once, p50)`,
  ];
  const known = parts.filter((part) => part !== undefined).join(", ");
  return known === "" ? "No nats-server: no units, no verdicts on CPU." : `Units of this run: ${known}.`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: {
      server: { type: "string", multiple: true },
      case: { type: "string" },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      prove: { type: "boolean", default: false },
      awake: { type: "boolean", default: false },
      "nats-server": { type: "string" },
      "no-nats": { type: "boolean", default: false },
      "cluster-id": { type: "string", default: JOB_DEFAULTS.clusterId },
      generator: { type: "string" },
      "data-dir": { type: "string" },
      out: { type: "string" },
      write: { type: "string" },
      list: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values.list) {
    console.log([...CASES.map((one) => one.name), STARTUP].join("\n"));
    return 0;
  }
  const rounds = Number(values.rounds ?? (values.quick || values.prove ? 1 : 3));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds wants a whole number from 1 on");
  const outDir = path.resolve(values.out ?? path.join(ROOT, "bench-results"));
  const dataDir = path.resolve(values["data-dir"] ?? outDir);
  mkdirSync(outDir, { recursive: true });
  mkdirSync(dataDir, { recursive: true });
  const settings: Settings = {
    generator: generatorCommand(values.generator),
    clusterId: values["cluster-id"],
    dataDir,
    awake: values.awake,
    quick: values.quick,
  };

  const own = values.server === undefined ? [defaultServer()] : values.server.map(namedServer);
  const nats = values["no-nats"] ? undefined : values["nats-server"] ?? findInPath(NATS_SERVER);
  if (nats === undefined && !values["no-nats"]) {
    console.error("nats-server is not installed: no comparison, no units. On Debian: apt-get install nats-server");
  }
  const natsServer: Server[] = nats === undefined
    ? []
    : [{ name: NATS_SERVER, command: `"${nats}" -a ${HOST} -p {port}`, streaming: false }];
  const nullServer: Server[] = !values.prove ? [] : [{
    name: NULL_SERVER,
    command: [...settings.generator, path.join(HERE, "null_server.ts"), "{port}"].map((part) => `"${part}"`).join(" "),
    streaming: false,
  }];

  const { cases, startup } = chooseCases(values.case, values.quick);
  const needsUnits = cases.length > 0;
  const units = needsUnits && natsServer.length > 0 ? Object.values(UNIT_CASES) as string[] : [];
  const samples: Sample[] = [];
  const fdatasyncMicros: number[] = [];
  const storeSyncMicros: number[] = [];
  const run = async (benchCase: BenchCase, server: Server, round: number): Promise<void> => {
    const sample = await runOnce(settings, benchCase, server, round);
    samples.push(sample);
    const said = sample.error === undefined
      ? `${figure(sample.result?.rate ?? NaN)}/s, ${figure(sample.result?.cpuMicrosPerMessage ?? NaN)} us`
      : `failed: ${sample.error}`;
    console.error(`round ${round}/${rounds}  ${benchCase.name}  ${server.name}  ${said}`);
  };
  const unitCase = CASES.find(({ name }) => name === UNIT_CASES.cpu)!;
  let unitAtMs = performance.now();
  for (let round = 1; round <= rounds; round++) {
    for (const benchCase of CASES) {
      const chosen = cases.includes(benchCase);
      if (chosen && TARGETS[benchCase.name]?.latencyUnit === "F") {
        fdatasyncMicros.push(measureFdatasync(dataDir));
        storeSyncMicros.push(await measureStoreSync(dataDir));
      }
      const servers = [
        ...(chosen ? own : []),
        ...(benchCase.store === "core" && (chosen || units.includes(benchCase.name)) ? natsServer : []),
        ...(chosen ? nullServer : []),
      ];
      if (servers.length > 0 && benchCase !== unitCase && performance.now() - unitAtMs > UNIT_AGE_MS_MAX) {
        for (const server of natsServer) await run(unitCase, server, round);
        unitAtMs = performance.now();
      }
      for (const server of servers) await run(benchCase, server, round);
      if (benchCase === unitCase) unitAtMs = performance.now();
    }
  }
  const startups: Startup[] = [];
  if (startup) {
    for (const server of [...own, ...natsServer]) {
      try {
        startups.push(await measureStartup(server));
      } catch (error) {
        console.error(`startup  ${server.name}  failed: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }

  const measured = {
    ...unitsOf(samples, fdatasyncMicros.length === 0 ? undefined : median(fdatasyncMicros)),
    ...(storeSyncMicros.length === 0 ? {} : { storeSyncP50Micros: median(storeSyncMicros) }),
  };
  const rows = rowsOf(samples, measured);
  const labels = new Map(CASES.flatMap((one) => one.value === undefined ? [] : [[one.name, one.value.label] as const]));
  const text = [
    unitLine(measured, rowOf(samples, UNIT_CASES.cpu, NATS_SERVER).cpuMicros),
    `${rounds} rounds, medians (smallest-largest). CPU = user and system time of the server per message; ` +
    "~ marks a comparison with the original's rate scaled by nats-server's.",
    ...(settings.quick ? ["Quick run: too short to judge by, it shows only that all parts work."] : []),
    "",
    markdownTable(rows.filter((row) => row.server !== NULL_SERVER), labels),
    "",
    LATENCY_LEGEND,
    ...(startups.length === 0 ? [] : ["", startupTable(startups)]),
    ...(nullServer.length === 0 ? [] : ["", proofTable(rows, NULL_SERVER)]),
    "",
  ].join("\n");
  console.log(text);
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, "-");
  const file = path.join(outDir, `bench-${stamp}`);
  writeFileSync(`${file}.md`, text);
  writeFileSync(
    `${file}.json`,
    JSON.stringify({ at: stamp, servers: own, units: measured, rows, startups, samples }, null, 1),
  );
  console.error(`written to ${file}.md and .json`);
  if (values.write !== undefined) writeSection(values.write, "bench", text);
  return samples.some((sample) => sample.error !== undefined) ? 1 : 0;
}

if (import.meta.main) {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      killStarted();
      process.exit(130);
    });
  }
  try {
    process.exit(await main());
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(2);
  }
}
