/** Starts other programs for the scripts of this folder: output is passed on or kept, and every run has an end. */
import { spawn } from "node:child_process";
import process from "node:process";

/** How one run of a program ended. */
export interface ProcessResult {
  /** Exit status; null if the program was ended by a signal or could not be started. */
  readonly code: number | null;
  /** Standard output and standard error in the order they came. */
  readonly output: string;
  /** Why there is no exit status, else empty. */
  readonly trouble: string;
  readonly durationMs: number;
}

/** What one run needs besides the command. */
export interface ProcessOptions {
  readonly cwd?: string;
  /** Variables on top of ours. */
  readonly env?: Readonly<Record<string, string>>;
  /** Pass the output on while it comes; it is kept in the result all the same. */
  readonly echo?: boolean;
  /** The program is killed after this time: a hanging test must not hold a build for hours. */
  readonly timeMsMax?: number;
}

/** Bound of one run if the caller names none. */
export const PROCESS_TIME_MS_MAX = 5 * 60_000;

/** Runs a program to its end. Never rejects: a program that cannot be started is a result like any other. */
export function runProcess(
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<ProcessResult> {
  const { promise, resolve } = Promise.withResolvers<ProcessResult>();
  const startMs = performance.now();
  const timeMsMax = options.timeMsMax ?? PROCESS_TIME_MS_MAX;
  const chunks: string[] = [];
  const child = spawn(command, [...args], {
    cwd: options.cwd ?? process.cwd(),
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let trouble = "";
  const finish = (code: number | null): void => {
    clearTimeout(timer);
    resolve({ code, output: chunks.join(""), trouble, durationMs: performance.now() - startMs });
  };
  const timer = setTimeout(() => {
    trouble = `killed after ${timeMsMax / 1000} s`;
    child.kill("SIGKILL");
    // A grandchild may still hold the pipes, so "close" could stay out for ever.
    child.stdout.destroy();
    child.stderr.destroy();
    child.once("exit", () => finish(null));
  }, timeMsMax);
  for (const [stream, out] of [[child.stdout, process.stdout], [child.stderr, process.stderr]] as const) {
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      chunks.push(chunk);
      if (options.echo === true) out.write(chunk);
    });
  }
  child.once("error", (error) => {
    trouble = `cannot start ${command}: ${error.message}`;
    finish(null);
  });
  child.once("close", (code, signal) => {
    if (signal !== null && trouble === "") trouble = `ended by ${signal}`;
    finish(code);
  });
  return promise;
}

/** The last lines of a text, for reports that must stay short. */
export function lastLines(text: string, count: number): string {
  return text.trimEnd().split("\n").slice(-count).join("\n");
}
