/**
 * Holds src/ to the map of the code: which folder may import which, types or values; where the runtimes' globals and
 * the system may be touched; no cycles; packages only as pinned. A build fails on the first finding, so every message
 * names file, line and rule.
 */
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join, posix } from "node:path";
import process from "node:process";
import { listFiles, type PackageManifest, readDenoImports, readPackageManifest, ROOT } from "./project.ts";
import { findImports, scanTokens, type Token } from "./scan_source.ts";

/** A file to check; the path is from the root of the repository, with "/". */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** The package tables the imports are checked against. */
export interface Manifests {
  readonly denoImports: Readonly<Record<string, string>>;
  readonly packages: Pick<PackageManifest, "dependencies" | "devDependencies">;
}

/** One finding. */
export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
}

/** What a folder may use. Its own files always. */
interface FolderRule {
  /** Folders of which values may be imported (types as well). */
  readonly values: readonly string[];
  /** Folders of which only types may be imported. */
  readonly types: readonly string[];
  /** Single files of which values may be imported although their folder is not listed, each for a reason. */
  readonly valueFiles?: readonly string[];
  /** none: no module of the system at all; pure: those that compute (crypto, zlib); all: everything. */
  readonly system: "none" | "pure" | "all";
}

const ALL_FOLDERS = [
  "base",
  "wire",
  "config",
  "log",
  "streaming",
  "runtime",
  "nats",
  "store",
  "cluster",
  "monitor",
  "cli",
  "server",
] as const;
type Folder = typeof ALL_FOLDERS[number];

/** The map. A folder that is not here cannot exist. */
const RULES: Readonly<Record<Folder, FolderRule>> = {
  base: { values: [], types: [], system: "none" },
  wire: { values: ["base"], types: [], system: "none" },
  config: { values: ["base"], types: [], system: "none" },
  // Sinks write through the runtime's file interface.
  log: { values: ["base"], types: ["runtime"], system: "none" },
  streaming: {
    values: ["base", "wire"],
    types: ["store", "config"],
    // The contract's error class and texts: the core must tell a refused write from a broken invariant.
    valueFiles: ["src/store/types.ts"],
    system: "none",
  },
  runtime: { values: ["base"], types: [], system: "all" },
  nats: {
    values: ["base", "wire", "config", "log"],
    types: ["runtime"],
    // A WebSocket is a socket inside of a socket: it has output of its own.
    valueFiles: ["src/runtime/output_queue.ts"],
    system: "pure",
  },
  store: { values: ["base", "wire", "config", "log"], types: ["runtime"], system: "pure" },
  cluster: {
    values: ["base", "wire", "config", "log"],
    types: ["store", "streaming", "nats", "runtime"],
    system: "pure",
  },
  monitor: { values: ["base", "log"], types: ALL_FOLDERS, system: "pure" },
  // Programs of their own in the same executable: they talk to servers over sockets, terminals and files.
  cli: {
    values: ["base", "wire", "config", "log", "store"],
    // What a server's monitor answers is read here.
    types: ["runtime", "server", "monitor"],
    valueFiles: [
      // The error class: what the platform refuses is told to the user.
      "src/runtime/types.ts",
      // Commands look into directories as `check` does, and show its options in help.
      "src/server/encryption.ts",
      "src/server/tools/inspect_slice.ts",
      "src/server/tools/inspect_store.ts",
      "src/server/tools/progress.ts",
      "src/server/tools/store_finding.ts",
      "src/server/tools/tool_arguments.ts",
    ],
    system: "all",
  },
  server: { values: ALL_FOLDERS, types: ALL_FOLDERS, system: "all" },
};

/** Modules of the system that only compute; all others do I/O or reach the process. */
const PURE_MODULES = new Set(["buffer", "crypto", "path", "querystring", "string_decoder", "url", "util", "zlib"]);

/** Files outside the folders; they may import everything, and only mod.ts is for others to import. */
const ENTRY_FILES: readonly string[] = ["src/main.ts", "mod.ts"];

/** Names of the runtimes' globals, and the folders that may say them. */
const GLOBALS = ["Deno", "Bun"];
const GLOBAL_FOLDERS = ["src/runtime/deno/", "src/runtime/bun/"];

/** Checks files of src/ and mod.ts. Pure: the caller reads the files. */
export function checkImports(files: readonly SourceFile[], manifests: Manifests): Violation[] {
  const violations: Violation[] = [];
  const loads = new Map<string, Map<string, number>>();
  for (const file of files) {
    const report = (line: number, rule: string, message: string): void =>
      void violations.push({ path: file.path, line, rule, message });
    const tokens = scanTokens(file.text);
    checkGlobals(file.path, tokens, report);

    const folder = folderOf(file.path);
    if (folder === undefined && !ENTRY_FILES.includes(file.path)) {
      report(1, "map", `a file of src/ belongs into one of ${ALL_FOLDERS.join(", ")}; only src/main.ts stands beside`);
      continue;
    }
    const loaded = new Map<string, number>();
    loads.set(file.path, loaded);
    for (const edge of findImports(tokens)) {
      const { specifier, line } = edge;
      if (specifier === undefined) {
        if (folder !== "runtime") {
          report(line, "dynamic", "import() of a computed name cannot be checked; only src/runtime/ may do it");
        }
      } else if (specifier.startsWith(".")) {
        const target = posix.join(posix.dirname(file.path), specifier);
        checkOwnFile(file.path, target, edge.isTypeOnly, (rule, message) => report(line, rule, message));
        if (!edge.isTypeOnly && !edge.isDynamic && !loaded.has(target)) loaded.set(target, line);
      } else if (specifier.startsWith("node:")) {
        checkSystem(folder, specifier.slice("node:".length), (message) => report(line, "system", message));
      } else {
        checkPackage(specifier, folder, manifests, (rule, message) => report(line, rule, message));
      }
    }
  }
  violations.push(...findCycles(loads));
  return violations;
}

/** Checks that the two manifests name the same packages in the same versions, and nothing but exact versions. */
export function checkManifests(manifests: Manifests): Violation[] {
  const violations: Violation[] = [];
  const report = (path: string, message: string): void =>
    void violations.push({ path, line: 1, rule: "pins", message });
  const { dependencies, devDependencies } = manifests.packages;
  const pinned = new Map<string, string>();
  for (const [key, target] of Object.entries(manifests.denoImports)) {
    // A file inside a package, `NAME/FILE`, stands beside the package and has the same version.
    const inside = key.split("/").slice(key.startsWith("@") ? 2 : 1).join("/");
    const whole = inside === "" ? target : target.replace(new RegExp(`/${inside.replaceAll(".", "\\.")}$`), "");
    const parts = /^npm:((?:@[^/@]+\/)?[^/@]+)@(\d+\.\d+\.\d+[^/]*)$/.exec(whole);
    if (parts === null) {
      report("deno.json", `import "${key}": "${target}" is not pinned as npm:NAME@X.Y.Z`);
      continue;
    }
    const [, name, version] = parts as unknown as [string, string, string];
    // Bun knows no import map: a key that is not the package's name is found on one runtime only.
    const keyOfPackage = inside === "" ? key : key.slice(0, -inside.length - 1);
    if (name !== keyOfPackage) report("deno.json", `import "${key}" must have the name of its package, "${name}"`);
    pinned.set(name, version);
    const other = dependencies[name] ?? devDependencies[name];
    if (other === undefined) report("package.json", `"${name}" is in deno.json but not here`);
    else if (other !== version) report("package.json", `"${name}" is ${other} here and ${version} in deno.json`);
  }
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    if (!/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version)) report("package.json", `"${name}": "${version}" is not exact`);
    if (Object.hasOwn(dependencies, name) && !pinned.has(name)) {
      report("deno.json", `dependency "${name}" of package.json is not here`);
    }
  }
  return violations;
}

/** One line for people and editors: path:line, rule, message. */
export function formatViolation(violation: Violation): string {
  return `${violation.path}:${violation.line}: [${violation.rule}] ${violation.message}`;
}

function folderOf(path: string): Folder | undefined {
  const name = /^src\/([^/]+)\//.exec(path)?.[1];
  return ALL_FOLDERS.find((folder) => folder === name);
}

function checkOwnFile(
  path: string,
  target: string,
  isTypeOnly: boolean,
  report: (rule: string, message: string) => void,
): void {
  if (ENTRY_FILES.includes(target)) return report("upward", `nothing may import ${target}`);
  const to = folderOf(target);
  if (to === undefined) return report("upward", `${target} is outside the folders of src/`);
  const from = folderOf(path);
  if (from === undefined || from === to) return;
  const rule = RULES[from];
  if (rule.values.includes(to)) return;
  if (rule.types.includes(to)) {
    if (isTypeOnly || rule.valueFiles?.includes(target)) return;
    return report("map", `${from}/ may import only types of ${to}/, this import of ${target} loads values`);
  }
  const allowed = [...rule.values, ...rule.types.map((name) => `types of ${name}`)].join(", ");
  report("map", `${from}/ may not import ${to}/ (${target}); allowed: ${allowed || "nothing but itself"}`);
}

function checkSystem(folder: Folder | undefined, module: string, report: (message: string) => void): void {
  const system = folder === undefined ? "all" : RULES[folder].system;
  if (system === "all") return;
  if (system === "none") return report(`${folder}/ may not import node:${module}: it has no I/O and no system`);
  if (!PURE_MODULES.has(module)) {
    report(`${folder}/ may not import node:${module}: it reaches the system through the interfaces of runtime/ only`);
  }
}

function checkPackage(
  specifier: string,
  folder: Folder | undefined,
  manifests: Manifests,
  report: (rule: string, message: string) => void,
): void {
  if (/^[a-z]+:/.test(specifier)) {
    // Modules of a runtime itself, such as a foreign function interface.
    if (folder === "runtime" && /^bun:/.test(specifier)) return;
    return report("packages", `"${specifier}": import packages by their bare name, pinned in deno.json`);
  }
  const name = specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
  if (Object.hasOwn(manifests.denoImports, name)) return;
  if (builtinModules.includes(specifier)) return report("system", `write "node:${specifier}"`);
  report("packages", `"${name}" is not pinned in the imports of deno.json`);
}

function checkGlobals(
  path: string,
  tokens: readonly Token[],
  report: (line: number, rule: string, message: string) => void,
): void {
  if (GLOBAL_FOLDERS.some((folder) => path.startsWith(folder))) return;
  tokens.forEach((token, index) => {
    if (!GLOBALS.includes(token.text)) return;
    // globalThis["Bun"] is the same in other words; a mere text, as in `"Bun" in globalThis`, is not.
    const isMember = token.kind === "text" && tokens[index - 1]?.text === "[" &&
      tokens[index - 2]?.text === "globalThis";
    if (token.kind !== "word" && !isMember) return;
    report(token.line, "globals", `"${token.text}" may be used only below ${GLOBAL_FOLDERS.join(" and ")}`);
  });
}

/** Finds files that load each other. Each cycle is told once, at the import that closes it. */
function findCycles(loads: ReadonlyMap<string, ReadonlyMap<string, number>>): Violation[] {
  const violations: Violation[] = [];
  const done = new Set<string>();
  const stack: string[] = [];
  const visit = (path: string): void => {
    stack.push(path);
    for (const [target, line] of loads.get(path) ?? []) {
      const start = stack.indexOf(target);
      if (start >= 0) {
        const cycle = [...stack.slice(start), target].join(" -> ");
        violations.push({ path, line, rule: "cycle", message: `files load each other: ${cycle}` });
      } else if (!done.has(target)) {
        visit(target);
      }
    }
    stack.pop();
    done.add(path);
  };
  for (const path of loads.keys()) if (!done.has(path)) visit(path);
  return violations;
}

function main(): void {
  const paths = ["mod.ts", ...listFiles("src", ".ts")];
  const files = paths.map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }));
  const manifests = { denoImports: readDenoImports(), packages: readPackageManifest() };
  const violations = [...checkManifests(manifests), ...checkImports(files, manifests)];
  for (const violation of violations) console.log(formatViolation(violation));
  console.log(
    `imports of ${files.length} files: ${violations.length === 0 ? "ok" : `${violations.length} violations`}`,
  );
  // A check of nothing is no check.
  if (violations.length > 0 || files.length < 2) process.exitCode = 1;
}

if (import.meta.main) main();
