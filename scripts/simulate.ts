/**
 * The long simulation of the streaming core: many seeds of tests/simulation, in several processes, on Deno and Bun in turn.
 * Every tenth portion runs on both, and its traces must be the same.
 *
 *   deno task simulate
 *
 * SIMULATION_SEEDS=N       seeds in all; 100,000 by default
 * SIMULATION_FROM=N        the first seed; 1 by default
 * SIMULATION_PROCESSES=N   how many at a time; by default one for each core
 *
 * Stops at the first violation, tells the seed and how to replay it, and ends with status 1.
 */
import { availableParallelism } from "node:os";
import process from "node:process";
import type { PortionResult } from "../tests/simulation/portion.ts";
import { ROOT } from "./project.ts";
import { runProcess } from "./run_process.ts";
import { ensurePackages, findTool, type Tool } from "./toolchain.ts";

/** So many that the start of a process does not count, and so few that progress shows. */
const PORTION_COUNT = 500;
const PORTION_TIME_MS_MAX = 30 * 60_000;
/** Of so many portions one runs on both runtimes. */
const COMPARED_EVERY = 10;

interface Totals {
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

async function runPortion(tool: Tool, first: number, count: number): Promise<PortionResult | undefined> {
  const file = "tests/simulation/portion.ts";
  const args = [...(tool.name === "deno" ? ["run", "-A", "--no-check"] : []), file, String(first), String(count)];
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
    console.log(`  SIMULATION_SEED=${violatedBy} deno test -A tests/simulation/simulation_test.ts`);
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
    const result = await runPortion(own, first, count);
    if (result === undefined) {
      totals.failed = true;
      return;
    }
    totals.done += count;
    if (index % COMPARED_EVERY !== 0) continue;
    for (const tool of tools) {
      if (tool === own || totals.failed) continue;
      const other = await runPortion(tool, first, count);
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

async function main(): Promise<void> {
  const startMs = performance.now();
  const tools = [await findTool("bun"), await findTool("deno")];
  await ensurePackages(tools[process.versions["bun"] === undefined ? 1 : 0] as Tool);
  const count = numberFrom("SIMULATION_SEEDS", 100_000);
  const from = numberFrom("SIMULATION_FROM", 1);
  const processes = Math.min(
    numberFrom("SIMULATION_PROCESSES", availableParallelism()),
    Math.ceil(count / PORTION_COUNT),
  );
  const totals: Totals = { nextSeed: from, portions: 0, done: 0, compared: 0, failed: false };
  const tell = () => {
    const seconds = (performance.now() - startMs) / 1000;
    const { done, compared } = totals;
    console.log(
      `simulate: ${done} of ${count} seeds from ${from} on in ${seconds.toFixed(0)} s (${
        (done / seconds).toFixed(1)
      }/s), ` +
        `${compared} of them with the same trace on both runtimes`,
    );
  };
  const timer = setInterval(tell, 60_000);
  await Promise.all(Array.from({ length: processes }, () => work(tools, from + count, totals)));
  clearInterval(timer);
  tell();
  if (totals.failed) process.exitCode = 1;
  else console.log("simulate: no violation");
}

await main();
