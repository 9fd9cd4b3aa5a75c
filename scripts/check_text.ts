/**
 * Fails on texts that must not be in the repository: paths of one machine, and addresses in lock files, which would send
 * everybody's install to one mirror.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "./project.ts";

/** A text that must not occur, and why. */
interface BannedText {
  readonly pattern: RegExp;
  readonly reason: string;
}

// Preceded by nothing that could make it a part of a longer path: "docs/home/x" is fine.
const MACHINE_PATH = /(?:(?<![\w./~$}-])|file:\/\/)\/(?:home\/\w|root\/|Users\/\w)/;

const BANNED: readonly BannedText[] = [
  { pattern: MACHINE_PATH, reason: "a path of one machine" },
];

/** Lock files hold names, versions and hashes. Any address in one is a registry's. */
const LOCK_ADDRESS: BannedText = { pattern: /https?:\/\//, reason: "an address in a lock file" };
const LOCK_FILES: readonly string[] = ["bun.lock", "deno.lock", "package-lock.json"];

/** This check and its test have to write what they look for. */
const EXEMPT: readonly string[] = ["scripts/check_text.ts", "tests/unit/scripts/check_text_test.ts"];

/** Findings in one file as `path:line: reason: text`. */
export function checkText(path: string, text: string): string[] {
  if (EXEMPT.includes(path)) return [];
  const banned = LOCK_FILES.includes(path) ? [...BANNED, LOCK_ADDRESS] : BANNED;
  const found: string[] = [];
  text.split("\n").forEach((line, index) => {
    for (const { pattern, reason } of banned) {
      const hit = pattern.exec(line);
      if (hit !== null) found.push(`${path}:${index + 1}: ${reason}: ${line.slice(hit.index, hit.index + 40)}`);
    }
  });
  return found;
}

function main(): void {
  // New files too, before they are added; but nothing that is ignored.
  const list = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: ROOT });
  const paths = list.toString("utf8").split("\0").filter((path) => path !== "");
  let fileCount = 0;
  const found: string[] = [];
  for (const path of paths) {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(join(ROOT, path));
    } catch (error) {
      // Deleted but not yet committed.
      if ((error as { code?: unknown }).code === "ENOENT") continue;
      throw error;
    }
    // Golden data is what the reference wrote, byte for byte.
    if (path.startsWith("tests/golden/") || bytes.includes(0)) continue;
    fileCount++;
    found.push(...checkText(path, new TextDecoder().decode(bytes)));
  }
  for (const line of found) console.log(line);
  console.log(`texts of ${fileCount} files: ${found.length === 0 ? "ok" : `${found.length} findings`}`);
  if (found.length > 0 || fileCount === 0) process.exitCode = 1;
}

if (import.meta.main) main();
