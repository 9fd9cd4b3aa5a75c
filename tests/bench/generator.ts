/**
 * The load generator: runs one case, given as one JSON argument, against a server in another process, and prints one
 * JSON line: the result, or `{"error": …}` with exit status 1.
 *
 *     bun tests/bench/generator.ts '{"kind":"core-pubsub","port":4222,"pid":1234,"messages":1000000}'
 */

import { runConnections, runSlowConsumer } from "./cases_connections.ts";
import { runCorePing, runCorePubSub, runCoreRequest } from "./cases_core.ts";
import { runBeside } from "./cases_scale.ts";
import {
  runChannels,
  runClients,
  runLive,
  runPublish,
  runReceipt,
  runReplay,
  runSubscriptions,
  runSync,
} from "./cases_stan.ts";
import { type CaseKind, type Job, JOB_DEFAULTS, Run, type RunResult } from "./run.ts";

const RUNNERS: Readonly<Record<CaseKind, (run: Run) => Promise<void>>> = {
  "core-void": runCorePubSub,
  "core-pubsub": runCorePubSub,
  "core-request": runCoreRequest,
  "core-slow": runSlowConsumer,
  "core-connect": runConnections,
  "stan-publish": runPublish,
  "stan-sync": runSync,
  "stan-replay": runReplay,
  "stan-live": runLive,
  "stan-receipt": runReceipt,
  "stan-clients": runClients,
  "stan-subscriptions": runSubscriptions,
  "stan-channels": runChannels,
  "stan-beside": runBeside,
  "core-ping": runCorePing,
};

/** Reads a job: kind and port are required, the rest has defaults; unknown keys and wrong types are refused. */
export function parseJob(text: string): Job {
  const given = JSON.parse(text) as Record<string, unknown>;
  if (typeof given.kind !== "string" || !(given.kind in RUNNERS)) {
    throw new Error(`kind is ${JSON.stringify(given.kind)}, known are ${Object.keys(RUNNERS).join(", ")}`);
  }
  if (typeof given.port !== "number") throw new Error("port is missing");
  for (const [key, value] of Object.entries(given)) {
    if (key === "kind" || key === "port") continue;
    const example = (JOB_DEFAULTS as Record<string, unknown>)[key];
    if (example === undefined || typeof example !== typeof value) {
      throw new Error(`"${key}" is unknown or of the wrong type`);
    }
  }
  return { ...JOB_DEFAULTS, ...given } as Job;
}

/** Runs one job to its end. */
export async function runJob(job: Job): Promise<RunResult> {
  const run = new Run(job);
  try {
    await RUNNERS[job.kind](run);
    return run.finish();
  } finally {
    run.abandon();
  }
}

if (import.meta.main) {
  try {
    console.log(JSON.stringify(await runJob(parseJob(process.argv[2] ?? "{}"))));
    process.exit(0);
  } catch (error) {
    console.log(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
    process.exit(1);
  }
}
