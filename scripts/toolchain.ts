/**
 * Finds the two runtimes and puts the packages in place. The pinned versions stand once, under "toolchain" in
 * package.json, where compile.sh reads them too.
 */
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { readPackageManifest, ROOT } from "./project.ts";
import { lastLines, runProcess } from "./run_process.ts";

/** The runtimes we test on; the names are those of their commands and npm packages. */
export type RuntimeName = "deno" | "bun";

/** Both, in the order tests run on them. */
export const RUNTIMES: readonly RuntimeName[] = ["deno", "bun"];

/** A runtime that was found. */
export interface Tool {
  readonly name: RuntimeName;
  /** Path of the executable. */
  readonly path: string;
  readonly version: string;
  /** Where it comes from, for people. */
  readonly origin: string;
}

/** A runtime could not be had; the message says what to do. */
export class ToolchainError extends Error {
  override readonly name = "ToolchainError";
}

/** True if a version is at least the wanted one: "2.10.0" is newer than "2.9.6". */
export function isVersionAtLeast(version: string, wanted: string): boolean {
  const have = version.split(".").map(Number);
  const want = wanted.split(".").map(Number);
  for (let index = 0; index < want.length; index++) {
    const difference = (have[index] ?? 0) - (want[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** The version this repository is tested with. */
export function pinnedVersion(name: RuntimeName): string {
  const version = readPackageManifest().toolchain[name];
  if (version === undefined) throw new ToolchainError(`package.json has no "toolchain" version of ${name}`);
  return version;
}

/**
 * Finds a runtime: the one that runs this script, else the one on PATH if it is not older than the pinned version,
 * else the pinned one through npx, which keeps it in npm's cache.
 */
export async function findTool(name: RuntimeName): Promise<Tool> {
  const running = (process.versions as Record<string, string | undefined>)[name];
  if (running !== undefined) return { name, path: process.execPath, version: running, origin: "runs this script" };

  const wanted = pinnedVersion(name);
  let reason = "not on PATH";
  const onPath = searchPath(name);
  if (onPath !== undefined) {
    const { output } = await runProcess(onPath, ["--version"]);
    const version = /\d+\.\d+\.\d+/.exec(output)?.[0] ?? "0.0.0";
    if (isVersionAtLeast(version, wanted)) return { name, path: onPath, version, origin: "on PATH" };
    reason = `${version} on PATH, older than ${wanted}`;
  }

  console.log(`${name}: ${reason}; getting ${name}@${wanted} with npx (npm keeps it in its cache)`);
  // The real file instead of "npx ..." in front of every command: signals reach it, and npx costs a second each time.
  const script = name === "bun" ? ["-e", "console.log(process.execPath)"] : ["eval", "console.log(Deno.execPath())"];
  const found = await runProcess("npx", ["-y", `${name}@${wanted}`, ...script], { cwd: ROOT });
  const path = lastLines(found.output, 1);
  if (found.code !== 0 || !existsSync(path)) {
    throw new ToolchainError(
      `Cannot get ${name}@${wanted} with npx: ${found.trouble || lastLines(found.output, 3)}. ` +
        `Install ${name} ${wanted} or newer and put it on PATH, or make npx able to reach a package registry`,
    );
  }
  return { name, path, version: wanted, origin: "from npx" };
}

/**
 * Puts the packages of package.json into node_modules if one is missing or has an other version. Both runtimes read
 * the same folder; neither repairs it by itself in all cases (Bun stops installing on the fly once the folder exists).
 */
export async function ensurePackages(tool: Tool): Promise<void> {
  const { dependencies, devDependencies } = readPackageManifest();
  const wrong: string[] = [];
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    if (installedVersion(name) !== version) wrong.push(`${name}@${version}`);
  }
  if (wrong.length === 0) return;
  console.log(`installing packages (missing: ${wrong.join(", ")})`);
  const args = tool.name === "bun" ? ["install", "--frozen-lockfile"] : ["install", "--frozen"];
  const result = await runProcess(tool.path, args, { cwd: ROOT });
  if (result.code !== 0) {
    throw new ToolchainError(
      `"${tool.name} ${args.join(" ")}" failed: ${result.trouble || lastLines(result.output, 5)}. ` +
        `If package.json changed on purpose, run "deno install" and "bun install --lockfile-only" and commit both locks`,
    );
  }
}

function installedVersion(name: string): string | undefined {
  const path = join(ROOT, "node_modules", name, "package.json");
  if (!existsSync(path)) return undefined;
  return (JSON.parse(readFileSync(path, "utf8")) as { version?: string }).version;
}

function searchPath(name: string): string | undefined {
  const ends = process.platform === "win32" ? [".exe", ".cmd"] : [""];
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    for (const end of ends) {
      const path = join(folder, name + end);
      if (folder !== "" && existsSync(path)) return path;
    }
  }
  return undefined;
}
