/** The server that a bench starts when it is not told another one: the executable where it is built, else the source. */
import { existsSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const HOST = "127.0.0.1";

/** A command line with `{port}` in it. */
export function defaultCommand(): string {
  const executable = path.join(ROOT, "dist/stanchion");
  const isDeno = process.versions["deno"] !== undefined;
  const source = [process.execPath, ...(isDeno ? ["run", "-A"] : []), path.join(ROOT, "src/main.ts")];
  const program = existsSync(executable) ? [executable] : source;
  return `${program.map((part) => `"${part}"`).join(" ")} -a ${HOST} -p {port}`;
}
