/** Where things are in this repository, and the two manifests, for the scripts of this folder. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Root of the repository. Scripts may be called from anywhere. */
export const ROOT: string = fileURLToPath(new URL("..", import.meta.url)).replace(/[\\/]$/, "");

/** The part of package.json that scripts read. */
export interface PackageManifest {
  readonly toolchain: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** package.json, with empty tables where it has none. */
export function readPackageManifest(): PackageManifest {
  const json = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as Partial<PackageManifest>;
  return {
    toolchain: json.toolchain ?? {},
    dependencies: json.dependencies ?? {},
    devDependencies: json.devDependencies ?? {},
  };
}

/** The import map of deno.json. */
export function readDenoImports(): Readonly<Record<string, string>> {
  const json = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8")) as { imports?: Record<string, string> };
  return json.imports ?? {};
}

/** Files below a folder of the repository whose name ends so; paths from the root with "/", sorted. */
export function listFiles(folder: string, nameEnd: string): string[] {
  let entries;
  try {
    entries = readdirSync(join(ROOT, folder), { withFileTypes: true });
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return [];
    throw error;
  }
  const found: string[] = [];
  for (const entry of entries) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) found.push(...listFiles(path, nameEnd));
    else if (entry.name.endsWith(nameEnd)) found.push(path);
  }
  return found.sort();
}
