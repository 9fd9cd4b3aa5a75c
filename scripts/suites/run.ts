/**
 * Runs official client suites against the executable. The suites are fetched with their language's own tools, never kept;
 * their servers are replaced by what stands first on PATH under the name they start.
 *
 *   deno run -A scripts/suites/run.ts [SUITE...]
 *
 * --filter REGEX   only tests with such a name
 * --servers DIR    a folder with other executables named nats-server and nats-streaming-server: with the reference
 *                  there, a run shows what an exception owes to the bridge
 * --list           names of the suites
 *
 * Exit status 1 if a test failed without a reason in exceptions.json, or a reason is no longer needed.
 */
import { dirname, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { ensureExecutable } from "../executable.ts";
import { GO_SUITES, runGoSuite } from "./go_suites.ts";
import { describeVerdict, type Exceptions, judgeOutcomes, readExceptions, type TestOutcome } from "./report.ts";
import { runRustSuite, RUST_SUITES } from "./rust_suites.ts";

/** A suite with the way it is run. */
interface RunnableSuite {
  readonly name: string;
  readonly run: (servers: string, filter: RegExp, exceptions: Exceptions) => Promise<TestOutcome[]>;
}

const SUITES: readonly RunnableSuite[] = [
  ...GO_SUITES.map((suite): RunnableSuite => ({
    name: suite.name,
    run: (servers, filter, exceptions) => runGoSuite(suite, servers, filter, exceptions),
  })),
  ...RUST_SUITES.map((suite): RunnableSuite => ({
    name: suite.name,
    run: (servers, filter, exceptions) => runRustSuite(suite, servers, filter, exceptions),
  })),
];

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { filter: { type: "string" }, servers: { type: "string" }, list: { type: "boolean" } },
  });
  const known = SUITES.map((suite) => suite.name);
  if (values.list === true) return console.log(known.join("\n"));
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`Unknown suite ${unknown.join(", ")}. Suites: ${known.join(", ")}`);

  const servers = values.servers === undefined ? dirname(await ensureExecutable()) : resolve(values.servers);
  const totals: string[] = [];
  for (const suite of SUITES.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
    const exceptions = readExceptions(suite.name);
    const outcomes = await suite.run(servers, new RegExp(values.filter ?? ""), exceptions);
    const verdict = judgeOutcomes(outcomes, exceptions, values.filter === undefined);
    const lines = describeVerdict(suite.name, verdict, exceptions);
    for (const line of lines) console.log(line);
    totals.push(lines.at(-1) ?? "");
    // Silence is never success.
    if (outcomes.length === 0 || verdict.failed.length + verdict.stale.length > 0) process.exitCode = 1;
  }
  if (totals.length > 1) console.log(totals.join("\n"));
}

await main();
