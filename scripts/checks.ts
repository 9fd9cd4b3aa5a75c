/** Everything that is found without running the product: format, lint, types, import rules, texts. */
import { ROOT } from "./project.ts";
import { runProcess } from "./run_process.ts";
import { RUNTIMES, type Tool } from "./toolchain.ts";

/** A check is a command of Deno: its formatter, linter and type checker serve the whole repository. */
interface Check {
  readonly name: string;
  readonly args: readonly string[];
}

const TYPE_CHECK: Check = { name: "types", args: ["check", "--quiet", "mod.ts", "src", "tests", "scripts"] };

const CHECKS: readonly Check[] = [
  { name: "format", args: ["fmt", "--check"] },
  { name: "lint", args: ["lint"] },
  TYPE_CHECK,
  { name: "imports", args: ["run", "-A", "scripts/check_imports.ts"] },
  { name: "texts", args: ["run", "-A", "scripts/check_text.ts"] },
];

/** Runs all checks, also after one failed, and returns how many failed. */
export async function runChecks(deno: Tool): Promise<number> {
  let failedCount = 0;
  for (const check of CHECKS) if (!await runCheck(deno, check)) failedCount++;
  return failedCount;
}

/** Only the types: tests run without type check on either runtime, so it is done once. */
export function checkTypes(deno: Tool): Promise<boolean> {
  return runCheck(deno, TYPE_CHECK);
}

/** One line that says which runtimes are used and where they come from. */
export function describeTools(tools: readonly Tool[]): string {
  return RUNTIMES.flatMap((name) => tools.filter((tool) => tool.name === name))
    .map((tool) => `${tool.name} ${tool.version} (${tool.origin})`).join(", ");
}

async function runCheck(deno: Tool, check: Check): Promise<boolean> {
  const result = await runProcess(deno.path, check.args, { cwd: ROOT, env: { NO_COLOR: "1" } });
  const isGood = result.code === 0;
  if (!isGood) console.log(`---- deno ${check.args.join(" ")}\n${result.trouble}${result.output.trimEnd()}\n----`);
  console.log(`${check.name}: ${isGood ? "ok" : "FAILED"} in ${(result.durationMs / 1000).toFixed(1)} s`);
  return isGood;
}
