/**
 * The long fuzz run: the tests of tests/fuzz with many more inputs, on Deno and Bun in turn, a new seed for each round.
 *
 *   deno task fuzz [NAME...]      nats_parser, config, ...; all without names
 *
 * FUZZ_COUNT=N   inputs in all; 10,000,000 by default
 * FUZZ_SEED=N    the first seed; by default one that nobody has used
 *
 * What breaks something is kept in tests/fuzz/corpus, where every normal test run finds it from then on. The run goes on
 * after a find, for there may be more of them. Exit status 1 if there was one.
 */
import process from "node:process";
import { listFiles, ROOT } from "./project.ts";
import { lastLines, runProcess } from "./run_process.ts";
import { ensurePackages, findTool, type Tool } from "./toolchain.ts";

/** Few enough that progress shows and a process stays small, and so many that its start does not count. */
const ROUND_COUNT = 250_000;
const ROUND_TIME_MS_MAX = 30 * 60_000;

function numberFrom(name: string, normal: number): number {
  const text = process.env[name] ?? "";
  const value = text === "" ? normal : Number(text);
  if (!Number.isSafeInteger(value) || value <= 0) throw new Error(`${name}="${text}" is not a positive number`);
  return value;
}

function fuzzFiles(names: readonly string[]): string[] {
  const files = listFiles("tests/fuzz", "_test.ts");
  const known = files.map((file) => file.replace(/^.*\/|_test\.ts$/g, ""));
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`Unknown fuzz test ${unknown.join(", ")}. There are ${known.join(", ")}`);
  return files.filter((_, index) => names.length === 0 || names.includes(known[index] ?? ""));
}

async function runRound(tool: Tool, file: string, count: number, seed: number): Promise<boolean> {
  const args = tool.name === "deno"
    ? ["test", "-A", "--no-check", file]
    : ["test", `--timeout=${ROUND_TIME_MS_MAX}`, `./${file}`];
  const env = { FUZZ_COUNT: String(count), FUZZ_SEED: String(seed), FUZZ_SAVE: "1", NO_COLOR: "1" };
  const result = await runProcess(tool.path, args, { cwd: ROOT, env, timeMsMax: ROUND_TIME_MS_MAX });
  const seconds = (result.durationMs / 1000).toFixed(1);
  const name = `${file} on ${tool.name}, ${count} inputs of seed ${seed}`;
  if (result.code === 0) {
    console.log(`${name}: nothing found in ${seconds} s`);
    return true;
  }
  console.log(`${name}: FAILED after ${seconds} s: ${result.trouble}\n${lastLines(result.output, 60)}`);
  return false;
}

async function main(): Promise<void> {
  const startMs = performance.now();
  const files = fuzzFiles(process.argv.slice(2));
  const tools = [await findTool("deno"), await findTool("bun")];
  await ensurePackages(tools[process.versions["bun"] === undefined ? 0 : 1] as Tool);
  const total = numberFrom("FUZZ_COUNT", 10_000_000);
  let seed = numberFrom("FUZZ_SEED", 1 + Date.now() % 1_000_000_000);
  console.log(`fuzz: ${total} inputs from FUZZ_SEED=${seed} on`);
  let done = 0;
  let failedCount = 0;
  while (done < total) {
    for (const file of files) {
      for (const tool of tools) {
        if (done >= total) break;
        const count = Math.min(ROUND_COUNT, total - done);
        // Two apart: a test may use the number behind its seed for a second series.
        if (!await runRound(tool, file, count, seed)) failedCount++;
        seed += 2;
        done += count;
      }
    }
  }
  const minutes = ((performance.now() - startMs) / 60_000).toFixed(1);
  console.log(`fuzz: ${done} inputs in ${minutes} minutes, ${failedCount} rounds failed`);
  if (failedCount > 0) process.exitCode = 1;
}

await main();
