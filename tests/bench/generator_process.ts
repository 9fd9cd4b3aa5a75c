/** Runs the load generator as a process of its own: what it costs must not be measured as the server's. */
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { startProcess } from "./processes.ts";
import { type Job, JOB_DEFAULTS, type RunResult } from "./run.ts";

/** Time the generator gets beyond its own limit before it is ended from outside. */
const GRACE_MS = 15_000;

/** The fastest runtime at hand; the same for both servers of a comparison. */
export function generatorCommand(chosen?: string): string[] {
  const program = chosen ?? (process.versions["bun"] !== undefined ? process.execPath : findBun() ?? process.execPath);
  return path.basename(program).startsWith("deno") ? [program, "run", "-A", "--quiet"] : [program];
}

function findBun(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => path.join(folder, "bun")).find((file) => existsSync(file));
}

/** One job to its end. Rejects with the generator's own words. */
export async function runGenerator(
  job: Partial<Job>,
  command: readonly string[] = generatorCommand(),
): Promise<RunResult> {
  const file = path.join(path.dirname(fileURLToPath(import.meta.url)), "generator.ts");
  const generator = startProcess([...command, file, JSON.stringify(job)]);
  const limitMs = job.limitMs ?? JOB_DEFAULTS.limitMs;
  const timer = setTimeout(() => generator.child.kill("SIGKILL"), limitMs + GRACE_MS);
  await new Promise<void>((resolve) => {
    generator.child.once("close", () => resolve());
    generator.child.once("error", () => resolve());
  });
  clearTimeout(timer);
  const line = generator.tail().trim().split("\n").findLast((text) => text.startsWith("{"));
  if (line === undefined) throw new Error(`generator gave no result: ${generator.tail().slice(-300) || "no output"}`);
  const answer = JSON.parse(line) as RunResult & { error?: string };
  if (answer.error !== undefined) throw new Error(answer.error);
  return answer;
}
