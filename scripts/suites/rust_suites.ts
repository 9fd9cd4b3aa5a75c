/**
 * Official suites in Rust: the tests that a published crate carries, compiled against our own helper in place of the
 * unpublished one that starts their servers.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { lastLines, runProcess } from "../run_process.ts";
import { CACHE } from "./go_module.ts";
import type { Exceptions, TestOutcome } from "./report.ts";

/** A suite as it is compiled. */
export interface RustSuite {
  readonly name: string;
  readonly crate: string;
  readonly version: string;
  /** Test files that run; all others are about parts that the product does not have. */
  readonly files: readonly string[];
  /** Packages that only files need that do not run. */
  readonly withoutPackages: readonly string[];
}

/** All of them. */
export const RUST_SUITES: readonly RustSuite[] = [
  {
    name: "async-nats",
    crate: "async-nats",
    version: "0.33.0",
    files: ["client_tests.rs", "nkey_tests.rs", "tls_tests.rs"],
    withoutPackages: ["criterion", "reqwest", "jsonschema"],
  },
];

const BUILD_TIME_MS_MAX = 20 * 60_000;
const TEST_TIME_MS_MAX = 60_000;

async function cargo(args: readonly string[], cwd: string): Promise<string> {
  // The helper finds the tests' files by this name; cargo passes it on to the compiler.
  const env = { SUITE_FOLDER: cwd };
  const result = await runProcess("cargo", args, { cwd, env, timeMsMax: BUILD_TIME_MS_MAX });
  if (result.code === 0) return result.output;
  throw new Error(`cargo ${args.join(" ")}: ${result.trouble}${lastLines(result.output, 30)}`);
}

/** Where cargo has put the sources of a crate. */
async function fetchCrate(suite: RustSuite): Promise<string> {
  const folder = join(CACHE, "rust_fetch");
  mkdirSync(join(folder, "src"), { recursive: true });
  const dependency = `[dependencies]\n"${suite.crate}" = "=${suite.version}"\n`;
  const manifest = `[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n${dependency}`;
  writeFileSync(join(folder, "Cargo.toml"), manifest);
  writeFileSync(join(folder, "src", "lib.rs"), "");
  const output = await cargo(["metadata", "--format-version=1", "--quiet"], folder);
  const metadata = JSON.parse(output.slice(output.indexOf("{"))) as {
    packages: { name: string; version: string; manifest_path: string }[];
  };
  const found = metadata.packages.find(({ name, version }) => name === suite.crate && version === suite.version);
  if (found === undefined) throw new Error(`cargo did not fetch ${suite.crate} ${suite.version}`);
  return dirname(found.manifest_path);
}

/** Test executables, by the file they are made from. */
async function build(suite: RustSuite): Promise<{ cwd: string; executables: string[] }> {
  const source = await fetchCrate(suite);
  const cwd = join(CACHE, suite.name);
  // The compiled packages stay: they take minutes.
  for (const name of ["src", "tests"]) {
    rmSync(join(cwd, name), { recursive: true, force: true });
    cpSync(join(source, name), join(cwd, name), { recursive: true });
  }
  for (const file of readdirSync(join(cwd, "tests")).filter((file) => file.endsWith(".rs"))) {
    if (!suite.files.includes(file)) rmSync(join(cwd, "tests", file));
  }
  const manifest = readFileSync(join(source, "Cargo.toml.orig"), "utf8")
    .split("\n").filter((line) => !suite.withoutPackages.some((name) => line.startsWith(`${name} =`))).join("\n")
    .replace(/^\[\[bench\]\][^[]*/m, "")
    .replace(/^readme = .*$/m, "");
  writeFileSync(join(cwd, "Cargo.toml"), `${manifest}\n[workspace]\n`);
  const helper = join(CACHE, "nats-server");
  mkdirSync(join(helper, "src"), { recursive: true });
  writeFileSync(join(helper, "Cargo.toml"), `[package]\nname = "nats-server"\nversion = "0.0.0"\nedition = "2021"\n`);
  cpSync(join(import.meta.dirname ?? "", "rust", "nats_server.rs"), join(helper, "src", "lib.rs"));
  const output = await cargo(["test", "--no-run", "--tests", "--message-format=json", "--quiet"], cwd);
  const executables = [...output.matchAll(/^\{.*"reason":"compiler-artifact".*"executable":"([^"]+)".*$/gm)]
    .filter((match) => match[0].includes('"kind":["test"]')).map((match) => match[1] as string);
  if (executables.length === 0) throw new Error(`${suite.name}: no test was compiled`);
  return { cwd, executables };
}

/** Runs a suite against the executables of a folder, each test in a process of its own; needs `cargo` on PATH. */
export async function runRustSuite(
  suite: RustSuite,
  serverFolder: string,
  filter: RegExp,
  exceptions: Exceptions,
): Promise<TestOutcome[]> {
  const { cwd, executables } = await build(suite);
  const env = { PATH: `${serverFolder}${delimiter}${process.env["PATH"] ?? ""}` };
  const outcomes: TestOutcome[] = [];
  for (const executable of executables) {
    const list = await runProcess(executable, ["--list"], { cwd });
    const names = [...list.output.matchAll(/^(\S+): test$/gm)].map((match) => match[1] as string);
    for (const name of names.filter((name) => filter.test(name))) {
      const attempt = async (): Promise<TestOutcome> => {
        const run = await runProcess(executable, ["--exact", name, "--nocapture"], {
          cwd,
          env,
          timeMsMax: TEST_TIME_MS_MAX,
        });
        const counts = /test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/.exec(run.output);
        const result = run.code !== 0 || counts === null
          ? "failed"
          : counts[1] === "1"
          ? "passed"
          : counts[3] === "1"
          ? "skipped"
          : "failed";
        console.log(`${suite.name}: ${result}: ${name} in ${(run.durationMs / 1000).toFixed(1)} s`);
        return { name, result, output: `${run.trouble}${run.output}` };
      };
      const first = await attempt();
      const isWorthAnother = first.result === "failed" && !Object.hasOwn(exceptions, name);
      outcomes.push(isWorthAnother ? await attempt() : first);
    }
  }
  return outcomes;
}
