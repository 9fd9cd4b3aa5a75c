/**
 * One measured run of the generator: its job, its bounds and its clock. A run ends by reaching its count, by the first
 * failure, by standing still, or at its time limit; never otherwise.
 */

import { anonymousBytesOf, cpuMicrosOf, residentBytesOf } from "./processes.ts";
import { LatencySampler } from "./latency_sampler.ts";
import { type Latency, LatencyRecorder } from "./statistics.ts";

/** What the generator can do. */
export type CaseKind =
  | "core-void"
  | "core-pubsub"
  | "core-request"
  | "core-slow"
  | "core-connect"
  | "stan-publish"
  | "stan-sync"
  | "stan-replay"
  | "stan-live"
  | "stan-receipt"
  | "stan-clients"
  | "stan-subscriptions"
  | "stan-channels"
  | "stan-beside"
  | "core-ping";

/** One job: everything the generator process is told, as one JSON argument. */
export interface Job {
  readonly kind: CaseKind;
  readonly host: string;
  readonly port: number;
  /** Process whose CPU and memory are read; 0 = none. */
  readonly pid: number;
  readonly clusterId: string;
  /** Measured messages (publishes; for pub/sub and replay cases each subscriber gets all of them). */
  readonly messages: number;
  /** Messages of an unmeasured run before, so that a server which compiles while it runs has done so. */
  readonly warmup: number;
  readonly sizeBytes: number;
  readonly publishers: number;
  readonly subscribers: number;
  /** Publishes in flight per publisher. */
  readonly window: number;
  readonly maxInFlight: number;
  /** Core: each publisher has its own subject and subscriber. */
  readonly pairs: boolean;
  /** Core: subjects that each publisher goes round; the subscriber has a wildcard. */
  readonly subjects: number;
  /** Subscribers form one queue group. */
  readonly queue: boolean;
  /** Channels that a publisher goes round. */
  readonly channels: number;
  /** It takes them at random instead, the same ones in every run. */
  readonly shuffled: boolean;
  /** What there is beside the measured publisher: subscriptions to other channels, registered clients, messages in the channel. */
  readonly otherSubscriptions: number;
  readonly otherClients: number;
  readonly storedMessages: number;
  /** Subscriptions are durable. */
  readonly durable: boolean;
  /** Every how many-th message is timed from one end to the other, a power of two; 0: none. One-at-a-time cases time each. */
  readonly sampleEvery: number;
  /** Milliseconds to wait before memory is read at the end: what waits for collection is not what is held. */
  readonly restMs: number;
  /** Milliseconds without any progress after which the run fails. */
  readonly stallMs: number;
  /** Milliseconds after which the run fails in any case. */
  readonly limitMs: number;
}

/** Values of a {@link Job} that a case need not name. */
export const JOB_DEFAULTS = {
  host: "127.0.0.1",
  pid: 0,
  clusterId: "test-cluster",
  messages: 100_000,
  warmup: 0,
  sizeBytes: 128,
  publishers: 1,
  subscribers: 1,
  window: 1024,
  maxInFlight: 1024,
  pairs: false,
  subjects: 1,
  queue: false,
  channels: 1,
  shuffled: false,
  otherSubscriptions: 0,
  otherClients: 0,
  storedMessages: 0,
  durable: false,
  sampleEvery: 0,
  restMs: 0,
  stallMs: 10_000,
  limitMs: 120_000,
} as const satisfies Omit<Job, "kind" | "port">;

/** What one run measured: the generator prints it as one JSON line. */
export interface RunResult {
  readonly kind: CaseKind;
  /** Messages the rate and the CPU are divided by: deliveries where there are subscribers, else publishes. */
  readonly messages: number;
  readonly seconds: number;
  readonly rate: number;
  /** Payload bytes of those messages. */
  readonly bytes: number;
  readonly latencyMicros?: Latency;
  readonly serverCpuMicros?: number;
  readonly cpuMicrosPerMessage?: number;
  /** Resident memory of the server at the end. */
  readonly residentBytesAfter?: number;
  /** What it has for itself by then, beside the start of the measured part; parts of the program that were read in do not count. */
  readonly grownBytes?: number;
  /** Share of one core that the server used while everything stood still, in the second half of that time, see {@link Run.rest}. */
  readonly restingCpuShare?: number;
  /** Rate of the measured part divided by that of an earlier part, where a case compares two. */
  readonly rateRatio?: number;
  /** The generator's own CPU share of the wall time: near 1 means that it, not the server, set the rate. */
  readonly generatorBusy: number;
}

/** See the module comment. */
export class Run {
  /** Anything that moves counts: the watch only compares it. */
  progress = 0;
  readonly job: Job;
  readonly #failed: Promise<never>;
  #reject: (error: Error) => void = () => {};
  #watch: ReturnType<typeof setInterval> | undefined;
  #startedAt = 0;
  #cpuAt: number | undefined;
  #ownCpuAt = 0;
  #anonymousAt: number | undefined;
  #result: RunResult | undefined;
  #latency: LatencyRecorder | undefined;

  constructor(job: Job) {
    this.job = job;
    this.#failed = new Promise<never>((_resolve, reject) => {
      this.#reject = reject;
    });
    // A failure between two waits must reach the next wait, not the runtime's unhandled rejection.
    this.#failed.catch(() => {});
    const limitAt = performance.now() + job.limitMs;
    let seen = -1;
    let seenAt = performance.now();
    this.#watch = setInterval(() => {
      const now = performance.now();
      if (this.progress !== seen) {
        seen = this.progress;
        seenAt = now;
      }
      if (now - seenAt > job.stallMs) this.fail(new Error(`stalled: nothing moved for ${job.stallMs} ms`));
      if (now > limitAt) this.fail(new Error(`not done after ${job.limitMs} ms`));
    }, 250);
  }

  /** Ends the run with an error; the first one counts. */
  fail(error: Error): void {
    this.#reject(error);
  }

  /** Runs a socket callback so that what it throws fails the run instead of vanishing in the runtime. */
  guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** `promise`, or the failure of the run if that comes first. */
  race<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#failed]);
  }

  /** Starts the clock. */
  start(latencyCapacity = 0): void {
    if (latencyCapacity > 0) this.#latency = new LatencyRecorder(latencyCapacity);
    this.#anonymousAt = this.job.pid === 0 ? undefined : anonymousBytesOf(this.job.pid);
    this.#cpuAt = this.job.pid === 0 ? undefined : cpuMicrosOf(this.job.pid);
    this.#ownCpuAt = ownCpuMicros();
    this.#startedAt = performance.now();
  }

  /** Where latencies of the measured part go; undefined while warming up. */
  get latency(): LatencyRecorder | undefined {
    return this.#latency;
  }

  /** Times one publisher's messages, of which at most `inFlightMax` are under way; undefined where the job samples none. */
  sampler(inFlightMax: number): LatencySampler | undefined {
    const { sampleEvery } = this.job;
    return sampleEvery === 0 ? undefined : new LatencySampler(this, sampleEvery, inFlightMax);
  }

  /** Most samples that `messages` messages of one publisher can give: the capacity that {@link start} is told. */
  samplesOf(messages: number): number {
    const { sampleEvery } = this.job;
    return sampleEvery === 0 ? 0 : Math.ceil(messages / sampleEvery);
  }

  /** Stops the clock. The first call counts, so that a case can stop it inside a callback, at the last message. */
  stop(messages: number): void {
    if (this.#result !== undefined) return;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const { pid, kind, sizeBytes } = this.job;
    const cpu = pid === 0 ? undefined : cpuMicrosOf(pid);
    const ownCpu = ownCpuMicros() - this.#ownCpuAt;
    const serverCpu = cpu === undefined || this.#cpuAt === undefined ? undefined : cpu - this.#cpuAt;
    this.#result = {
      kind,
      messages,
      seconds,
      rate: messages / seconds,
      bytes: messages * sizeBytes,
      ...(this.#latency === undefined ? {} : { latencyMicros: this.#latency.summary() }),
      ...(serverCpu === undefined ? {} : { serverCpuMicros: serverCpu, cpuMicrosPerMessage: serverCpu / messages }),
      ...this.#memory(),
      generatorBusy: ownCpu / 1e6 / seconds,
    };
  }

  /** Reads the memory again after `restMs`. Call after {@link stop}, with the connections still open. */
  async rest(): Promise<void> {
    const { restMs, pid } = this.job;
    if (restMs === 0 || this.#result === undefined) return;
    // The first half belongs to what the work before has left to collect and to compile.
    await this.#sleep(restMs / 2);
    const cpuBefore = pid === 0 ? undefined : cpuMicrosOf(pid);
    const startedAt = performance.now();
    await this.#sleep(restMs / 2);
    const micros = (performance.now() - startedAt) * 1000;
    const cpu = pid === 0 ? undefined : cpuMicrosOf(pid);
    this.#result = { ...this.#result, ...this.#memory() };
    if (cpu !== undefined && cpuBefore !== undefined) {
      this.#result = { ...this.#result, restingCpuShare: (cpu - cpuBefore) / micros };
    }
  }

  #memory(): Pick<RunResult, "residentBytesAfter" | "grownBytes"> {
    const { pid } = this.job;
    const resident = pid === 0 ? undefined : residentBytesOf(pid);
    const anonymous = pid === 0 ? undefined : anonymousBytesOf(pid);
    return {
      ...(resident === undefined ? {} : { residentBytesAfter: resident }),
      ...(anonymous === undefined || this.#anonymousAt === undefined
        ? {}
        : { grownBytes: anonymous - this.#anonymousAt }),
    };
  }

  async #sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => setTimeout(resolve, ms));
    this.progress++;
  }

  /** Notes how the measured part compares with an earlier one. Call after {@link stop}. */
  compare(earlierRate: number): void {
    if (this.#result !== undefined) this.#result = { ...this.#result, rateRatio: this.#result.rate / earlierRate };
  }

  /** The result, after {@link stop}. Ends the watch. */
  finish(): RunResult {
    this.abandon();
    if (this.#result === undefined) throw new Error("the case ended without stopping its clock");
    return this.#result;
  }

  /** Ends the watch without a result. */
  abandon(): void {
    clearInterval(this.#watch);
  }
}

function ownCpuMicros(): number {
  const usage = process.cpuUsage();
  return usage.user + usage.system;
}

/** A promise with its settling function, for callbacks that end a phase. */
export function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
