/** The test suites: which files they have, how each runtime runs them, and what its output says about the result. */
import { availableParallelism } from "node:os";
import process from "node:process";
import { listFiles, ROOT } from "./project.ts";
import { lastLines, type ProcessResult, runProcess } from "./run_process.ts";
import type { RuntimeName, Tool } from "./toolchain.ts";

/** One folder under tests/. */
export interface Suite {
  readonly name: string;
  /** Files side by side. Suites that start servers and measure nothing else than behaviour run one by one. */
  readonly isParallel: boolean;
  /** Tests start the built executable, named by STANCHION_EXECUTABLE. */
  readonly needsExecutable: boolean;
}

/** In the order they run: the fastest to tell first. */
export const SUITES: readonly Suite[] = [
  { name: "unit", isParallel: true, needsExecutable: false },
  { name: "conformance", isParallel: true, needsExecutable: false },
  { name: "simulation", isParallel: true, needsExecutable: false },
  { name: "fuzz", isParallel: true, needsExecutable: false },
  { name: "interop", isParallel: false, needsExecutable: true },
  { name: "e2e", isParallel: false, needsExecutable: true },
];

/** The suites of `deno task ok`: no process but the runner. */
export const FAST_SUITES: readonly string[] = ["unit", "conformance", "simulation", "fuzz"];

/** Counts of one or more runs. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** What a run is asked to do. */
export interface SuiteRun {
  readonly suite: Suite;
  readonly tool: Tool;
  /** Only tests whose name contains this. */
  readonly filter?: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The longest a single test may take on Bun; its default of 5 s is too short for a test that starts servers. */
const TEST_TIME_MS_MAX = 120_000;

/** Test files of a suite, from the root of the repository. */
export function suiteFiles(suite: Suite): string[] {
  return listFiles(`tests/${suite.name}`, "_test.ts");
}

/**
 * Runs one suite on one runtime and prints its result. A runner that crashes, hangs or finds nothing to run counts as
 * one failure: silence is never success.
 */
export async function runSuite(run: SuiteRun): Promise<Counts> {
  const files = suiteFiles(run.suite);
  const label = `${run.suite.name} on ${run.tool.name}`;
  if (files.length === 0) {
    console.log(`${label}: no test files in tests/${run.suite.name}`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const args = run.tool.name === "deno" ? denoArgs(run, files) : bunArgs(run, files);
  const env = { ...run.env, NO_COLOR: "1", DENO_JOBS: String(jobCount()), DENO_NO_UPDATE_CHECK: "1" };
  const result = await runProcess(run.tool.path, args, { cwd: ROOT, env });
  const verdict = judge(run.tool.name, result, files, run.filter !== undefined);
  const { counts } = verdict;
  const seconds = (result.durationMs / 1000).toFixed(1);
  const skipped = counts.skipped === 0 ? "" : `, ${counts.skipped} skipped`;
  // Hundreds of "ok" lines hide the one that matters, so the runner's own output is shown on failure only.
  if (counts.failed > 0) console.log(`---- output of ${label}\n${result.output.trimEnd()}\n----`);
  console.log(`${label}: ${counts.passed} passed, ${counts.failed} failed${skipped} in ${seconds} s`);
  for (const complaint of verdict.complaints) console.log(`  ${label}: ${complaint}`);
  return counts;
}

/** What one runner's end means: the counts, with crash and emptiness counted as failures, and why. */
export function judge(
  runtime: RuntimeName,
  result: ProcessResult,
  files: readonly string[],
  isFiltered: boolean,
): { counts: Counts; complaints: string[] } {
  const complaints: string[] = [];
  // A filter that fits nothing in this suite is no crash; whether it fits anywhere is for the caller to see.
  if (isFiltered && runtime === "bun" && /error: regex .* matched 0 tests/.test(result.output)) {
    return { counts: { passed: 0, failed: 0, skipped: 0 }, complaints };
  }
  const counts = runtime === "deno" ? parseDenoCounts(result.output) : parseBunCounts(result.output);
  if (counts === undefined) {
    const why = result.trouble || `exit status ${result.code}`;
    complaints.push(`the runner gave no result (${why}): ${lastLines(result.output, 3)}`);
    return { counts: { passed: 0, failed: 1, skipped: 0 }, complaints };
  }
  if (result.code !== 0 && counts.failed === 0) {
    complaints.push(`no test failed, but the runner did (${result.trouble || `exit status ${result.code}`})`);
    counts.failed++;
  }
  if (!isFiltered) {
    // Bun does not tell in every mode which files it ran; what one runtime finds is found.
    const silent = runtime === "deno" && counts.failed === 0 ? silentFiles(result.output, files) : [];
    for (const file of silent) {
      complaints.push(`no test of ${file} ran: it has none, or it ended the process`);
      counts.failed++;
    }
    if (counts.passed + counts.failed === 0) {
      complaints.push("no test ran");
      counts.failed++;
    }
  }
  return { counts, complaints };
}

/** Files of which Deno's output names no test, in either of its two forms: side by side or one by one. */
function silentFiles(output: string, files: readonly string[]): string[] {
  const heard = new Set<string>();
  for (const match of output.matchAll(/^\.\/(\S+) => |^running [1-9]\d* tests? from \.\/(\S+)$/gm)) {
    heard.add((match[1] ?? match[2]) as string);
  }
  return files.filter((file) => !heard.has(file));
}

/** Reads `ok | 5 passed (3 steps) | 0 failed | 2 ignored (12ms)`; undefined if there is no such line. */
export function parseDenoCounts(output: string): Counts | undefined {
  let line: string | undefined;
  for (const match of output.matchAll(/^(?:ok|FAILED) \| .*\d+ passed.*$/gm)) line = match[0];
  if (line === undefined) return undefined;
  const count = (word: string): number => Number(new RegExp(`(\\d+) ${word}`).exec(line)?.[1] ?? 0);
  return { passed: count("passed"), failed: count("failed"), skipped: count("ignored") };
}

/** Reads the block ` 12 pass`, ` 1 skip`, ` 0 fail`, ` 1 error`; undefined if there is none. */
export function parseBunCounts(output: string): Counts | undefined {
  const count = (word: string): number | undefined => {
    let last: string | undefined;
    for (const match of output.matchAll(new RegExp(`^ *(\\d+) ${word}s?$`, "gm"))) last = match[1];
    return last === undefined ? undefined : Number(last);
  };
  const passed = count("pass");
  const failed = count("fail");
  if (passed === undefined || failed === undefined) return undefined;
  // A file that cannot be loaded is an "error" besides the counted tests.
  return { passed, failed: failed + (count("error") ?? 0), skipped: (count("skip") ?? 0) + (count("todo") ?? 0) };
}

function denoArgs(run: SuiteRun, files: readonly string[]): string[] {
  const args = ["test", "-A", "--no-check"];
  if (run.suite.isParallel) args.push("--parallel");
  if (run.filter !== undefined) args.push(`--filter=${run.filter}`);
  return [...args, ...files];
}

function bunArgs(run: SuiteRun, files: readonly string[]): string[] {
  const args = ["test", `--timeout=${TEST_TIME_MS_MAX}`];
  // One process per file, as on Deno: a leftover of one file must not reach the next.
  args.push(run.suite.isParallel ? `--parallel=${jobCount()}` : "--isolate");
  // A plain text on Deno, a pattern on Bun.
  if (run.filter !== undefined) args.push("-t", run.filter.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"));
  // "./" makes it a path; without it Bun searches for files whose name contains the text.
  return [...args, ...files.map((file) => `./${file}`)];
}

function jobCount(): number {
  const wanted = Number(process.env["STANCHION_TEST_JOBS"]);
  return Number.isInteger(wanted) && wanted > 0 ? wanted : availableParallelism();
}
