/**
 * Holds the files under deploy/ to what they are for, with the programs that read them where those are installed: a rule that
 * Prometheus refuses is found here and not by whoever copies it. A program that is not there is said so, and nothing fails.
 *
 *   deno run -A scripts/check_deploy.ts
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { basename, join } from "node:path";
import { tmpdir } from "node:os";
import process from "node:process";
import { draftOptions, freezeOptions } from "../src/config/option_types.ts";
import { openLog } from "../src/log/open_log.ts";
import { METRICS } from "../src/monitor/metrics/metric_table.ts";
import { pickRuntime } from "../src/runtime/pick.ts";
import { StreamingServer } from "../src/server/streaming_server.ts";
import { ROOT } from "./project.ts";
import { runProcess } from "./run_process.ts";

/** What a check found. "skipped" says which program is missing. */
type Outcome = { readonly kind: "ok" } | { readonly kind: "skipped" | "failed"; readonly text: string };

interface Check {
  readonly name: string;
  readonly run: () => Promise<Outcome>;
}

const OK: Outcome = { kind: "ok" };

/** In deploy/, read by Prometheus or by Grafana. */
export const ALERTS_FILE = "deploy/prometheus/alerts.yml";
export const PROMETHEUS_FILE = "deploy/prometheus/prometheus.yml";
export const DASHBOARD_FILE = "deploy/grafana/stanchion.json";

/** Read by systemd, by logrotate, by kubectl, and by shells. */
export const UNIT_FILE = "deploy/systemd/stanchion.service";
export const SYSUSERS_FILE = "deploy/systemd/stanchion.sysusers";
export const LOGROTATE_FILE = "deploy/systemd/stanchion.logrotate";
export const KUSTOMIZE_FOLDER = "deploy/kubernetes";
export const SHELL_FILES: readonly string[] = ["deploy/docker/docker-entrypoint.sh", "deploy/docker/make_rootfs.sh"];

const CHECKS: readonly Check[] = [
  { name: "shell scripts", run: checkShell },
  { name: "systemd unit", run: checkUnit },
  { name: "sysusers", run: () => runTool("systemd-sysusers", ["--dry-run", join(ROOT, SYSUSERS_FILE)]) },
  { name: "logrotate", run: () => runTool("logrotate", ["--debug", join(ROOT, LOGROTATE_FILE)], /^error:/m) },
  { name: "kustomize", run: () => runTool("kubectl", ["kustomize", join(ROOT, KUSTOMIZE_FOLDER)]) },
  { name: "metric names", run: () => Promise.resolve(unknownNames()) },
  { name: "alert rules", run: () => runTool("promtool", ["check", "rules", join(ROOT, ALERTS_FILE)]) },
  { name: "prometheus.yml", run: () => runTool("promtool", ["check", "config", join(ROOT, PROMETHEUS_FILE)]) },
  { name: "/metrics", run: checkMetricsPage },
];

/** Metrics that a text names, without the endings of histograms. */
export function metricNamesIn(text: string): string[] {
  const histograms = new Set(METRICS.filter(({ type }) => type === "histogram").map(({ name }) => name));
  const found = new Set<string>();
  for (const [name] of text.matchAll(/\b(?:stanchion|nss|gnatsd)_[a-z0-9_]+\b/g)) {
    const base = name.replace(/_(?:bucket|sum|count)$/, "");
    found.add(histograms.has(base) ? base : name);
  }
  return [...found].sort();
}

function unknownNames(): Outcome {
  const known = new Set(METRICS.map(({ name }) => name));
  const unknown = [ALERTS_FILE, DASHBOARD_FILE].flatMap((file) =>
    metricNamesIn(readFileSync(join(ROOT, file), "utf8")).filter((name) => !known.has(name)).map((name) =>
      `${file}: ${name} is no metric of the server`
    )
  );
  return unknown.length === 0 ? OK : { kind: "failed", text: unknown.join("\n") };
}

/** The program's own judgement; `complaint` is for one that complains and ends with 0. */
async function runTool(program: string, args: readonly string[], complaint?: RegExp): Promise<Outcome> {
  const result = await runProcess(program, args, { cwd: ROOT });
  if (result.trouble.includes("ENOENT")) return { kind: "skipped", text: `${program} is not installed` };
  const isGood = result.code === 0 && complaint?.test(result.output) !== true;
  return isGood ? OK : { kind: "failed", text: result.trouble + result.output };
}

/** Every shell that is here reads the scripts, and shellcheck if it is installed. */
async function checkShell(): Promise<Outcome> {
  for (const file of SHELL_FILES) {
    for (const shell of ["sh", "dash"]) {
      const outcome = await runTool(shell, ["-n", join(ROOT, file)]);
      if (outcome.kind === "failed") return outcome;
    }
  }
  return await runTool("shellcheck", SHELL_FILES.map((file) => join(ROOT, file)));
}

/**
 * `systemd-analyze verify` reads the unit as systemd would, and wants the programs that it names. They are not installed
 * where a build runs, so it reads a copy that names one which is.
 */
async function checkUnit(): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "stanchion-unit-"));
  try {
    const text = readFileSync(join(ROOT, UNIT_FILE), "utf8").replaceAll("/usr/local/bin/stanchion", "/bin/sh");
    const copy = join(folder, basename(UNIT_FILE));
    writeFileSync(copy, text);
    // What it does not know it only warns of, and ends with 0. Units of this machine may get warnings of their own.
    return await runTool("systemd-analyze", ["verify", "--man=no", copy], /stanchion\.service/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * The page of a server that runs, against promtool's taste as well as its grammar. The names of the old exporter are left out:
 * they break rules that are younger than they are.
 */
async function checkMetricsPage(): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "stanchion-deploy-"));
  const draft = draftOptions("stanchion");
  Object.assign(draft, { host: "127.0.0.1", port: -1, httpPort: -1, store: "FILE" });
  draft.file.dir = folder;
  const runtime = await pickRuntime();
  const server = new StreamingServer(freezeOptions(draft), runtime, openLog(draft.log, runtime, "silent"));
  try {
    await server.start();
    const page = await (await fetch(`http://127.0.0.1:${server.monitorPort}/metrics`)).text();
    return await lint(`${page.split("\n").filter((line) => /^(?:# \w+ )?stanchion_/.test(line)).join("\n")}\n`);
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function lint(text: string): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const child = spawn("promtool", ["check", "metrics"], { stdio: ["pipe", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (part) => output += part);
  child.once("error", () => resolve({ kind: "skipped", text: "promtool is not installed" }));
  child.once("close", (code) => resolve(code === 0 ? OK : { kind: "failed", text: output }));
  // A program that is not there takes no input.
  child.stdin.on("error", () => {});
  child.stdin.end(text);
  return promise;
}

async function main(): Promise<void> {
  for (const { name, run } of CHECKS) {
    const outcome = await run();
    console.log(`${name}: ${outcome.kind}${outcome.kind === "skipped" ? `, ${outcome.text}` : ""}`);
    if (outcome.kind !== "failed") continue;
    console.log(outcome.text);
    process.exitCode = 1;
  }
}

if (import.meta.main) await main();
