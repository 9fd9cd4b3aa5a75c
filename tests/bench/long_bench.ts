/** What the long benches share: their options, which of their parts run, and where the result goes. */
import { mkdirSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { writeSection } from "./document.ts";
import { killStarted } from "./processes.ts";
import { defaultCommand, ROOT } from "./server_command.ts";

export interface Settings {
  /** Command line of the server, with `{port}` in it. */
  readonly command: string;
  /** Parent of the data folders; a real disk. */
  readonly dataDir: string;
}

/** One call of a long bench. */
export interface LongRun<Part> {
  readonly settings: Settings;
  readonly rounds: number;
  readonly chosen: readonly Part[];
  /** Folder for charts, where the bench draws any and is asked to. */
  readonly charts: string | undefined;
  /** A line of the result. */
  print(line: string): void;
}

/**
 * Reads the command line, lets `work` measure those of `parts` that are asked for, and puts what it printed into the section
 * `name` of the document behind `--write`. Ends the process; servers that it started go with it.
 */
export async function runLongBench<Part extends { readonly name: string }>(
  name: string,
  parts: readonly Part[],
  work: (run: LongRun<Part>) => Promise<void>,
  options: { readonly hasCharts?: boolean } = {},
): Promise<never> {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      killStarted();
      process.exit(130);
    });
  }
  const { values } = parseArgs({
    args: process.argv.slice(2),
    options: {
      server: { type: "string" },
      rounds: { type: "string", default: "1" },
      only: { type: "string" },
      charts: { type: "string" },
      write: { type: "string" },
      "data-dir": { type: "string" },
    },
  });
  if (values.charts !== undefined && options.hasCharts !== true) throw new Error("Unknown option '--charts'");
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds wants a whole number from 1 on");
  const wanted = values.only?.split(",") ?? parts.map((part) => part.name);
  const chosen = parts.filter((part) => wanted.includes(part.name));
  if (chosen.length !== wanted.length) throw new Error(`--only takes ${parts.map((part) => part.name).join(", ")}`);
  const dataDir = path.resolve(values["data-dir"] ?? path.join(ROOT, "bench-results"));
  mkdirSync(dataDir, { recursive: true });
  const lines: string[] = [];
  await work({
    settings: { command: values.server ?? defaultCommand(), dataDir },
    rounds,
    chosen,
    charts: values.charts,
    print: (line) => {
      lines.push(line);
      console.log(line);
    },
  });
  if (values.write !== undefined) writeSection(values.write, name, lines.join("\n"));
  process.exit(0);
}
