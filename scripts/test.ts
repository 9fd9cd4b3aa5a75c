/**
 * The test command: all suites on Deno, then on Bun. The last line is always `N passed, M failed`, both runtimes
 * added; the exit status is 1 if anything failed, crashed or did not run, and 2 for a wrong call.
 *
 * --only unit,e2e   these suites
 * --runtime bun     only this runtime
 * --filter TEXT     only tests whose name contains TEXT
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { checkTypes, describeTools } from "./checks.ts";
import { ensureExecutable } from "./executable.ts";
import { type Counts, runSuite, type Suite, suiteFiles, SUITES } from "./test_suites.ts";
import { ensurePackages, findTool, type RuntimeName, RUNTIMES, type Tool } from "./toolchain.ts";

/** Which tests to run. */
export interface TestSelection {
  readonly suites: readonly Suite[];
  readonly runtimes: readonly RuntimeName[];
  readonly filter?: string;
}

/** A wrong option; the message lists what exists. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Reads the command line. A suite that is asked for by name must have tests; without names, empty ones are left out. */
export function parseSelection(args: readonly string[]): TestSelection {
  let values: { only?: string; runtime?: string; filter?: string };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: { only: { type: "string" }, runtime: { type: "string" }, filter: { type: "string" } },
    }));
  } catch (error) {
    throw new UsageError(`${(error as Error).message}. Options: --only SUITES, --runtime deno|bun, --filter TEXT`);
  }
  const { only, runtime, filter } = values;
  const suites = only === undefined ? SUITES : only.split(",").map((name) => {
    const suite = SUITES.find((suite) => suite.name === name.trim());
    if (suite !== undefined) return suite;
    throw new UsageError(`Unknown suite "${name}". Suites: ${SUITES.map((suite) => suite.name).join(", ")}`);
  });
  const runtimes = RUNTIMES.filter((name) => runtime === undefined || name === runtime);
  if (runtimes.length === 0) throw new UsageError(`Unknown runtime "${runtime}". Runtimes: ${RUNTIMES.join(", ")}`);
  return {
    suites: only === undefined ? withTests(suites) : suites,
    runtimes,
    ...filter === undefined ? {} : { filter },
  };
}

/** Leaves out suites that have no test files yet, and says so. */
export function withTests(suites: readonly Suite[]): Suite[] {
  return suites.filter((suite) => {
    const hasTests = suiteFiles(suite).length > 0;
    if (!hasTests) console.log(`${suite.name}: no test files, left out`);
    return hasTests;
  });
}

/**
 * Servers that the test process of a runtime starts, unless STANCHION_TARGETS says otherwise: each of the three once, because
 * the process beside them is only their client. The Node clients run on both all the same.
 */
const TARGETS_OF: Readonly<Record<RuntimeName, string>> = { deno: "deno", bun: "bun,executable" };

/** Runs the selected tests with tools that were found before; never throws for a failing test. */
export async function runTests(selection: TestSelection, tools: readonly Tool[]): Promise<Counts> {
  const total: Counts = { passed: 0, failed: 0, skipped: 0 };
  const env: Record<string, string> = {};
  // Tests that start the other runtime need its path: it may be neither on PATH nor the one that runs them.
  for (const tool of tools) env[`STANCHION_${tool.name.toUpperCase()}`] = tool.path;
  if (selection.suites.some((suite) => suite.needsExecutable)) {
    env["STANCHION_EXECUTABLE"] = await ensureExecutable(env["STANCHION_BUN"]);
  }
  for (const runtime of selection.runtimes) {
    const tool = tools.find((tool) => tool.name === runtime);
    if (tool === undefined) continue;
    env["STANCHION_TARGETS"] = process.env["STANCHION_TARGETS"] || TARGETS_OF[runtime];
    for (const suite of selection.suites) {
      const { filter } = selection;
      const counts = await runSuite({ suite, tool, env, ...filter === undefined ? {} : { filter } });
      total.passed += counts.passed;
      total.failed += counts.failed;
      total.skipped += counts.skipped;
    }
  }
  if (total.passed + total.failed === 0) {
    console.log("no test ran");
    total.failed++;
  }
  return total;
}

/** The line that other tools read. */
export function totalLine(counts: Counts): string {
  return `${counts.passed} passed, ${counts.failed} failed`;
}

async function main(): Promise<void> {
  const total: Counts = { passed: 0, failed: 0, skipped: 0 };
  try {
    const selection = parseSelection(process.argv.slice(2));
    const tools = [await findTool("deno"), await findTool("bun")];
    console.log(`runtimes: ${describeTools(tools)}`);
    const [deno, bun] = tools as [Tool, Tool];
    await ensurePackages(process.versions["bun"] === undefined ? deno : bun);
    if (!await checkTypes(deno)) total.failed++;
    const counts = await runTests(selection, tools);
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
  } catch (error) {
    // Whoever reads the last line must find it after a broken set-up too.
    console.log(error instanceof UsageError ? error.message : String(error));
    total.failed++;
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
  if (total.failed > 0) process.exitCode ??= 1;
  if (total.skipped > 0) console.log(`${total.skipped} skipped`);
  console.log(totalLine(total));
}

if (import.meta.main) await main();
