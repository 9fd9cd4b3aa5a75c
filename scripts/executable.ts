/** Keeps dist/stanchion as new as its sources, for the tests that start it. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "./project.ts";
import { lastLines, runProcess } from "./run_process.ts";
import { findTool } from "./toolchain.ts";

/** What the executable is made from. */
const INPUTS = ["src", "proto", "package.json", "bun.lock", "compile.sh"];

/**
 * Path of an executable built from the sources as they are. STANCHION_EXECUTABLE names another one to test, a
 * downloaded release for example; it is taken as it is. A caller that has found Bun already passes its path.
 */
export async function ensureExecutable(bunPath?: string): Promise<string> {
  const given = process.env["STANCHION_EXECUTABLE"];
  if (given !== undefined && given !== "") return given;
  const path = join(ROOT, "dist", process.platform === "win32" ? "stanchion.exe" : "stanchion");
  const newest = Math.max(...INPUTS.map((input) => newestChangeMs(join(ROOT, input))));
  if (newest < changeMs(path)) return path;

  const compiler = bunPath ?? (await findTool("bun")).path;
  console.log("building dist/stanchion");
  const result = await runProcess("sh", [join(ROOT, "compile.sh")], { cwd: ROOT, env: { STANCHION_BUN: compiler } });
  if (result.code !== 0) throw new Error(`compile.sh failed:\n${result.trouble || lastLines(result.output, 20)}`);
  return path;
}

/** Folders count too: their time moves when a file is added, removed or renamed. */
function newestChangeMs(path: string): number {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return 0;
  if (!status.isDirectory()) return status.mtimeMs;
  return Math.max(status.mtimeMs, ...readdirSync(path).map((name) => newestChangeMs(join(path, name))));
}

function changeMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
