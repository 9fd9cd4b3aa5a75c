/**
 * The soak: 200 clients and 50 channels at the executable for minutes, in every kind of trouble, and a model that knows what
 * must have come (tests/e2e/soak). Ends with status 1 if anything was lost, stuck, counted wrongly, leaked or complained about.
 *
 *   deno task soak
 *
 * SOAK_MINUTES=N      10 by default
 * SOAK_CLIENTS=N      200 by default
 * SOAK_STORE=file     MEMORY by default
 * SOAK_SEED=N         what clients do; when they do it depends on the machine
 * SOAK_TARGET=bun     from source on that runtime instead of the executable
 */
import process from "node:process";
import type { TargetName } from "../tests/helpers/server_process.ts";
import { runSoak } from "../tests/e2e/soak/soak.ts";

/**
 * Until every channel is full and has replaced all it kept, and everything has run often enough to be compiled. With files
 * it takes longer: what lies in memory besides messages (blocks, indexes, buffers of reads) has its level after six minutes.
 */
const WARM_UP_MS = { memory: 240_000, file: 480_000 };
const GROWTH_MAX = 0.1;

function numberFrom(name: string, normal: number): number {
  const text = process.env[name] ?? "";
  const value = text === "" ? normal : Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`${name}="${text}" is not a positive number`);
  return value;
}

const TARGET_NAMES: readonly TargetName[] = ["executable", "bun", "deno"];

const minutes = numberFrom("SOAK_MINUTES", 10);
const target = TARGET_NAMES.find((name) => name === (process.env["SOAK_TARGET"] ?? "executable"));
if (target === undefined) throw new Error(`SOAK_TARGET is one of ${TARGET_NAMES.join(", ")}`);
const store = process.env["SOAK_STORE"]?.toLowerCase() === "file" ? "file" : "memory";
const stormMs = minutes * 60_000;
// A run that is too short for the whole of it cannot tell growth from warming up.
const judgesMemory = stormMs >= WARM_UP_MS[store];
if (!judgesMemory) console.log(`memory is not judged: that takes SOAK_MINUTES=${WARM_UP_MS[store] / 60_000} or more`);
const report = await runSoak({
  stormMs,
  warmUpMs: judgesMemory ? WARM_UP_MS[store] : stormMs / 2,
  clients: numberFrom("SOAK_CLIENTS", 200),
  channels: 50,
  store,
  seed: numberFrom("SOAK_SEED", 1),
  target,
  growthMax: judgesMemory ? GROWTH_MAX : undefined,
  tell: (text) => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`),
});
const [before, after] = report.residentBytes;
console.log(JSON.stringify(report.counters));
console.log(
  `soak: ${minutes} minutes, resident ${(before / 1e6).toFixed(1)} -> ${(after / 1e6).toFixed(1)} MB, ` +
    `${report.cpuSeconds.toFixed(1)} s of CPU, ${report.violationCount} violations`,
);
for (const violation of report.violations) console.log(`  ${violation}`);
process.exit(report.violationCount > 0 ? 1 : 0);
