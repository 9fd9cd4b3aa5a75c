/**
 * The check before a commit: format, lint, types, import rules, texts, then the fast suites on both runtimes. With
 * --checks it stops before the tests, for a build that runs all tests anyway. Exit status 1 if anything failed.
 */
import process from "node:process";
import { describeTools, runChecks } from "./checks.ts";
import { FAST_SUITES, SUITES } from "./test_suites.ts";
import { runTests, totalLine, withTests } from "./test.ts";
import { ensurePackages, findTool, RUNTIMES, type Tool } from "./toolchain.ts";

async function main(): Promise<void> {
  const isChecksOnly = process.argv.slice(2).includes("--checks");
  const tools: Tool[] = [await findTool("deno")];
  if (!isChecksOnly) tools.push(await findTool("bun"));
  console.log(`runtimes: ${describeTools(tools)}`);
  const [deno] = tools as [Tool];
  await ensurePackages(process.versions["bun"] === undefined ? deno : tools[1] ?? deno);

  const failedChecks = await runChecks(deno);
  if (!isChecksOnly) {
    const suites = withTests(SUITES.filter((suite) => FAST_SUITES.includes(suite.name)));
    const counts = await runTests({ suites, runtimes: RUNTIMES }, tools);
    if (counts.failed > 0) process.exitCode = 1;
    console.log(totalLine(counts));
  }
  if (failedChecks > 0) {
    console.log(`${failedChecks} checks failed`);
    process.exitCode = 1;
  } else if (isChecksOnly) {
    console.log("all checks passed");
  }
}

await main();
