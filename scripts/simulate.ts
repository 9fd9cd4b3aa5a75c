/**
 * The long simulation: many seeds of tests/simulation, first of the streaming core and then of the FILE store, in several
 * processes, on Deno and Bun in turn. Every tenth portion runs on both, and its traces must be the same.
 *
 *   deno task simulate
 *
 * SIMULATION_OF=NAME       "streaming" or "store"; both by default
 * SIMULATION_SEEDS=N       seeds of each; 100,000 by default
 * SIMULATION_FROM=N        the first seed; 1 by default
 * SIMULATION_PROCESSES=N   how many at a time; by default one for each core
 *
 * Stops at the first violation, tells the seed and how to replay it, and ends with status 1.
 */
import { availableParallelism } from "node:os";
import process from "node:process";
import { type PortionResult, type Subject, SUBJECTS } from "../tests/simulation/portion.ts";
import { ROOT } from "./project.ts";
import { runProcess } from "./run_process.ts";
import { ensurePackages, findTool, type Tool } from "./toolchain.ts";

/** So many that the start of a process does not count, and so few that progress shows. */
const PORTION_COUNT = 500;
const PORTION_TIME_MS_MAX = 30 * 60_000;
/** Of so many portions one runs on both runtimes. */
const COMPARED_EVERY = 10;

/** The test that replays one seed with its trace. */
const REPLAYED_BY: Readonly<Record<Subject, string>> = {
  streaming: "tests/simulation/simulation_test.ts",
  store: "tests/simulation/file_store_test.ts",
};

interface Totals {
  readonly subject: Subject;
  nextSeed: number;
  portions: number;
  done: number;
  compared: number;
  failed: boolean;
}

function numberFrom(name: string, normal: number): number {
  const text = process.env[name] ?? "";
  const value = text === "" ? normal : Number(text);
  if (!Number.isSafeInteger(value) || value <= 0) throw new Error(`${name}="${text}" is not a positive number`);
  return value;
}

async function runPortion(
  subject: Subject,
  tool: Tool,
  first: number,
  count: number,
): Promise<PortionResult | undefined> {
  const file = "tests/simulation/portion.ts";
  const args = [
    ...(tool.name === "deno" ? ["run", "-A", "--no-check"] : []),
    file,
    subject,
    String(first),
    String(count),
  ];
  const result = await runProcess(tool.path, args, {
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    timeMsMax: PORTION_TIME_MS_MAX,
  });
  const lines = result.output.trimEnd().split("\n");
  const last = lines.pop() ?? "";
  if (result.code === 0 && last.startsWith("{")) return JSON.parse(last) as PortionResult;
  console.log(lines.join("\n"));
  if (result.code === 1 && last.startsWith("{")) {
    const { violatedBy } = JSON.parse(last) as PortionResult;
    console.log(`simulate: seed ${violatedBy} breaks a promise on ${tool.name}. Replay it with its whole trace:`);
    console.log(`  SIMULATION_SEED=${violatedBy} deno test -A ${REPLAYED_BY[subject]}`);
  } else {
    const why = result.trouble || `exit status ${result.code}`;
    console.log(`simulate: the seeds from ${first} on gave no result on ${tool.name} (${why}): ${last}`);
  }
  return undefined;
}

/** Takes portions until there are none, or somebody found something. */
async function work(tools: readonly Tool[], endSeed: number, totals: Totals): Promise<void> {
  while (totals.nextSeed < endSeed && !totals.failed) {
    const first = totals.nextSeed;
    const count = Math.min(PORTION_COUNT, endSeed - first);
    const index = totals.portions++;
    totals.nextSeed += count;
    const own = tools[index % tools.length] as Tool;
    const result = await runPortion(totals.subject, own, first, count);
    if (result === undefined) {
      totals.failed = true;
      return;
    }
    totals.done += count;
    if (index % COMPARED_EVERY !== 0) continue;
    for (const tool of tools) {
      if (tool === own || totals.failed) continue;
      const other = await runPortion(totals.subject, tool, first, count);
      if (other?.digest === result.digest) {
        totals.compared += count;
        continue;
      }
      totals.failed = true;
      if (other === undefined) return;
      console.log(
        `simulate: the seeds ${first} to ${first + count - 1} live differently on ${own.name} and ${tool.name}`,
      );
    }
  }
}

/** All seeds of one subject; false when one of them found something. */
async function simulateAll(subject: Subject, tools: readonly Tool[], from: number, count: number): Promise<boolean> {
  const startMs = performance.now();
  const processes = Math.min(
    numberFrom("SIMULATION_PROCESSES", availableParallelism()),
    Math.ceil(count / PORTION_COUNT),
  );
  const totals: Totals = { subject, nextSeed: from, portions: 0, done: 0, compared: 0, failed: false };
  const tell = () => {
    const seconds = (performance.now() - startMs) / 1000;
    const { done, compared } = totals;
    console.log(
      `simulate: ${subject}: ${done} of ${count} seeds from ${from} on in ${seconds.toFixed(0)} s ` +
        `(${(done / seconds).toFixed(1)}/s), ${compared} of them with the same trace on both runtimes`,
    );
  };
  const timer = setInterval(tell, 60_000);
  await Promise.all(Array.from({ length: processes }, () => work(tools, from + count, totals)));
  clearInterval(timer);
  tell();
  return !totals.failed;
}

async function main(): Promise<void> {
  const tools = [await findTool("bun"), await findTool("deno")];
  await ensurePackages(tools[process.versions["bun"] === undefined ? 1 : 0] as Tool);
  const wanted = process.env["SIMULATION_OF"] ?? "";
  const subjects = SUBJECTS.filter((one) => wanted === "" || one === wanted);
  if (subjects.length === 0) throw new Error(`SIMULATION_OF="${wanted}" is none of ${SUBJECTS.join(", ")}`);
  const count = numberFrom("SIMULATION_SEEDS", 100_000);
  const from = numberFrom("SIMULATION_FROM", 1);
  for (const subject of subjects) {
    if (await simulateAll(subject, tools, from, count)) continue;
    process.exitCode = 1;
    return;
  }
  console.log("simulate: no violation");
}

await main();
