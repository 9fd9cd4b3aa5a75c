/** The table of cases: what runs, against which store, and what is read from the result besides rate and CPU. */

import type { CaseKind, Job, RunResult } from "./run.ts";

/** How the server under test is to be set up. "core" cases run against a plain NATS server too. */
export type Store = "core" | "memory" | "file" | "file-nosync" | "file-aes";

/** One row of the benchmark table. */
export interface BenchCase {
  readonly name: string;
  readonly store: Store;
  readonly job: Pick<Job, "kind" | "messages"> & Partial<Omit<Job, "port" | "kind" | "messages">>;
  /** Further arguments for the streaming server. */
  readonly args?: readonly string[];
  /** One-at-a-time figures: keep the cores awake beside it if asked to. */
  readonly latency?: boolean;
  /** A figure of its own. `afterRestart`: seconds to the first answer of the server started again on the same store. */
  readonly value?: { readonly label: string; readonly of: (result: RunResult) => number } | {
    readonly label: string;
    readonly afterRestart: true;
  };
  /** Part of the default run; the others must be named, or all asked for. */
  readonly byDefault?: boolean;
}

const KB = 1024;

/** Samples that p99.9 wants: ten of them lie beyond it. */
const SAMPLES_WANTED = 10_000;

/**
 * Kinds in which something travels from one end to the other with others beside it. Not among them: those that time every
 * message because it travels alone, core-void (nobody receives) and replays (nobody publishes while the clock runs).
 */
const SAMPLED_KINDS: readonly CaseKind[] = [
  "core-pubsub",
  "core-slow",
  "core-connect",
  "stan-publish",
  "stan-live",
  "stan-clients",
  "stan-subscriptions",
  "stan-channels",
];

/** Every how many-th message of a case is timed: as few as give the samples wanted. */
function sampleEveryOf(kind: CaseKind, messages: number): number {
  if (!SAMPLED_KINDS.includes(kind)) return 0;
  let every = 1;
  while (messages / (every * 2) >= SAMPLES_WANTED) every *= 2;
  return every;
}

function core(name: string, kind: CaseKind, messages: number, more: Partial<Job> = {}): BenchCase {
  const warmup = kind === "core-request" ? 3000 : Math.round(messages / 10);
  const sampleEvery = sampleEveryOf(kind, messages);
  return {
    name,
    store: "core",
    job: { kind, messages, warmup, sampleEvery, ...more },
    latency: kind === "core-request",
  };
}

function stan(name: string, store: Store, kind: CaseKind, messages: number, more: Partial<Job> = {}): BenchCase {
  const warmup = Math.round(messages / 5);
  const latency = kind === "stan-sync" || kind === "stan-receipt";
  const sampleEvery = sampleEveryOf(kind, messages);
  return { name, store, job: { kind, messages, warmup, sampleEvery, ...more }, latency };
}

function residentAfter(result: RunResult): number {
  return result.residentBytesAfter ?? NaN;
}

function grownBytes(result: RunResult): number {
  return result.grownBytes ?? NaN;
}

/** Long enough for a collection to run, short of the limit on standing still. */
const REST_MS = 5000;
/** The engine collects what requests have left when nothing was to do for some ten seconds. */
const LONG_REST_MS = 14_000;

/** All cases, in the order of the report. */
export const CASES: readonly BenchCase[] = [
  core("core-void-16", "core-void", 8_000_000, { sizeBytes: 16 }),
  core("core-void-128", "core-void", 4_000_000),
  core("core-1x1-16", "core-pubsub", 3_000_000, { sizeBytes: 16 }),
  core("core-1x1-128", "core-pubsub", 2_000_000),
  core("core-1x1-1k", "core-pubsub", 500_000, { sizeBytes: KB }),
  core("core-1x1-16k", "core-pubsub", 60_000, { sizeBytes: 16 * KB }),
  core("core-1x1-128-subjects-1k", "core-pubsub", 1_000_000, { subjects: 1000 }),
  core("core-1x4-128", "core-pubsub", 500_000, { subscribers: 4 }),
  core("core-1x10-128", "core-pubsub", 300_000, { subscribers: 10 }),
  core("core-10x10-128", "core-pubsub", 2_000_000, { publishers: 10, pairs: true }),
  core("core-request", "core-request", 30_000, { sizeBytes: 16 }),
  {
    ...core("core-slow-consumer", "core-slow", 4_000_000, { sizeBytes: 128 }),
    value: { label: "of the rate without it", of: (result) => result.rateRatio ?? NaN },
  },
  {
    ...core("core-storm-5k", "core-connect", 5000, { warmup: 0, window: 5000 }),
    value: { label: "s", of: (result) => result.seconds },
  },
  {
    ...core("core-idle-10k", "core-connect", 10_000, { warmup: 0, window: 64, restMs: REST_MS }),
    value: { label: "KB/connection", of: (result) => grownBytes(result) / result.messages / 1000 },
  },

  stan("memory-async-128-w1024", "memory", "stan-publish", 600_000),
  stan("memory-async-128-w256", "memory", "stan-publish", 500_000, { window: 256 }),
  stan("memory-async-128-w1024-p10", "memory", "stan-publish", 600_000, { publishers: 10 }),
  stan("memory-async-16-w1024", "memory", "stan-publish", 600_000, { sizeBytes: 16 }),
  stan("memory-async-1k-w1024", "memory", "stan-publish", 300_000, { sizeBytes: KB }),
  stan("memory-async-16k-w1024", "memory", "stan-publish", 30_000, { sizeBytes: 16 * KB }),
  stan("memory-async-1m-w16", "memory", "stan-publish", 400, { sizeBytes: 1_000_000, window: 16, warmup: 40 }),
  stan("memory-sync-128", "memory", "stan-sync", 30_000),
  stan("memory-replay-128-s1", "memory", "stan-replay", 600_000),
  stan("memory-replay-128-s10", "memory", "stan-replay", 100_000, { subscribers: 10 }),
  stan("memory-replay-1k-s1", "memory", "stan-replay", 200_000, { sizeBytes: KB }),
  stan("memory-live-128-s1", "memory", "stan-live", 300_000),
  stan("memory-live-128-s10", "memory", "stan-live", 80_000, { subscribers: 10 }),
  stan("memory-queue-128-m10", "memory", "stan-live", 300_000, { subscribers: 10, queue: true }),
  stan("memory-queue-replay-m10", "memory", "stan-replay", 300_000, { subscribers: 10, queue: true }),
  stan("memory-receipt", "memory", "stan-receipt", 20_000),

  stan("file-async-128-w1024", "file", "stan-publish", 400_000),
  stan("file-async-128-w256-p10", "file", "stan-publish", 400_000, { window: 256, publishers: 10 }),
  stan("file-async-128-w256", "file", "stan-publish", 200_000, { window: 256 }),
  stan("file-async-1k-w1024", "file", "stan-publish", 150_000, { sizeBytes: KB }),
  stan("file-async-16k-w1024", "file", "stan-publish", 10_000, { sizeBytes: 16 * KB }),
  stan("file-sync-128", "file", "stan-sync", 3000),
  stan("file-nosync-async-128-w1024", "file-nosync", "stan-publish", 500_000),
  stan("file-aes-async-128-w1024", "file-aes", "stan-publish", 300_000),
  stan("file-replay-128-s1", "file", "stan-replay", 400_000),
  stan("file-replay-1k-s1", "file", "stan-replay", 150_000, { sizeBytes: KB }),
  stan("file-live-128-s1", "file", "stan-live", 200_000),
  stan("file-receipt", "file", "stan-receipt", 3000),

  {
    // What the messages add: the program itself is in the startup row.
    ...stan("memory-footprint", "memory", "stan-publish", 1_000_000, { warmup: 0, restMs: REST_MS, sampleEvery: 0 }),
    value: { label: "B/message", of: (result) => grownBytes(result) / result.messages },
  },
  {
    ...stan("file-footprint", "file", "stan-publish", 1_000_000, { warmup: 0, sampleEvery: 0 }),
    value: { label: "MB", of: (result) => residentAfter(result) / 1e6 },
  },
  {
    ...stan("idle-clients", "memory", "stan-clients", 3000, { warmup: 0, window: 32, restMs: REST_MS }),
    value: { label: "KB/client", of: (result) => grownBytes(result) / result.messages / 1000 },
  },
  {
    ...stan("subscriptions-10k", "memory", "stan-subscriptions", 10_000, {
      warmup: 0,
      window: 256,
      publishers: 10,
      restMs: LONG_REST_MS,
    }),
    value: { label: "KB/subscription", of: (result) => grownBytes(result) / result.messages / 1000 },
  },
  stan("file-durables-10k", "file", "stan-subscriptions", 10_000, {
    warmup: 0,
    window: 256,
    publishers: 10,
    durable: true,
  }),
  {
    ...stan("file-channels-10k", "file", "stan-channels", 10_000, { warmup: 0, window: 256 }),
    args: ["-mc", "0"],
    value: { label: "s to restart", afterRestart: true },
    byDefault: false,
  },
  {
    ...stan("file-restart-1m", "file", "stan-publish", 1_000_000, { warmup: 0, sampleEvery: 0 }),
    value: { label: "s to restart", afterRestart: true },
  },
];

/** The cases that give C and R: they run against nats-server whenever another row needs the unit. */
export const UNIT_CASES = { cpu: "core-1x1-128", request: "core-request" } as const;

/** What `--quick` runs when no case is named. */
export const QUICK_CASES = [
  "core-1x1-128",
  "core-request",
  "memory-async-128-w1024",
  "memory-sync-128",
  "memory-replay-128-s1",
  "memory-live-128-s1",
] as const;
