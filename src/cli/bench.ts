/** `stanchion bench`: how fast messages pass between clients of this process and a server. */
import { formatSize } from "../base/size.ts";
import { Nuid } from "../base/nuid.ts";
import type { Arguments } from "./arguments.ts";
import { channelOf, connectStan } from "./connection.ts";
import { type CliHost, CommandError } from "./host.ts";
import { Meter } from "./meter.ts";
import type { StanClient } from "./stan_client.ts";
import { millisText, percentile } from "./texts.ts";

const MESSAGES_DEFAULT = 10_000;
const SIZE_DEFAULT = 128;
const IN_FLIGHT_DEFAULT = 256;
/** A payload of this size holds the time of its sending. */
const STAMP_BYTES = 8;
const CLIENTS_MAX = 1000;
const MESSAGES_MAX = 100_000_000;
/** Latencies that are kept; of more messages every n-th. */
const SAMPLES_MAX = 1_000_000;
const SUBSCRIBER_IN_FLIGHT = 4096;
const ACK_WAIT_SECS = 120;

/** What is asked for. */
export interface BenchPlan {
  readonly channel: string;
  readonly publishers: number;
  readonly subscribers: number;
  readonly messages: number;
  readonly sizeBytes: number;
  readonly inFlight: number;
  readonly storeHint: string;
}

/** Latencies of one kind. */
export class Latencies {
  readonly #every: number;
  readonly #samples: Float64Array;
  #seen = 0;
  #kept = 0;

  constructor(expected: number) {
    this.#every = Math.max(1, Math.ceil(expected / SAMPLES_MAX));
    this.#samples = new Float64Array(Math.ceil(expected / this.#every) + 1);
  }

  add(ms: number): void {
    if (this.#seen++ % this.#every === 0 && this.#kept < this.#samples.length) this.#samples[this.#kept++] = ms;
  }

  /** Median, 99 of 100, and the longest. */
  summary(): { readonly p50: number; readonly p99: number; readonly max: number } {
    const sorted = this.#samples.slice(0, this.#kept).sort();
    return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), max: sorted.at(-1) ?? 0 };
  }
}

/** One direction of a run. */
export interface BenchFigures {
  readonly messages: number;
  readonly tookMs: number;
  readonly latencies: ReturnType<Latencies["summary"]>;
}

/** Runs the command; resolves with the exit status. */
export async function runBench(args: Arguments, host: CliHost): Promise<number> {
  const [name] = args.wordsAs(["CHANNEL"], 1);
  const names = new Nuid(host.random);
  const plan: BenchPlan = {
    channel: channelOf(name ?? `bench.${names.next()}`),
    publishers: atMost("pub", args.number("pub", 1), CLIENTS_MAX),
    subscribers: atMost("sub", args.number("sub", 0, 0), CLIENTS_MAX),
    messages: atMost("msgs", args.number("msgs", MESSAGES_DEFAULT), MESSAGES_MAX),
    sizeBytes: args.size("size", SIZE_DEFAULT),
    inFlight: args.number("inflight", IN_FLIGHT_DEFAULT),
    storeHint: args.text("store-hint") ?? "",
  };
  const clients: StanClient[] = [];
  const run = names.next();
  const open = async (role: string, i: number) => {
    const client = await connectStan(args, host, `bench-${run}-${role}${i}`);
    clients.push(client);
    return client;
  };
  try {
    const failed = Promise.withResolvers<never>();
    // Nobody may be listening when it fails.
    failed.promise.catch(() => {});
    host.onEnd(() => failed.reject(new CommandError("CLI_LOST", "Stopped")));
    const publishers: StanClient[] = [];
    const subscribers: StanClient[] = [];
    for (let i = 0; i < plan.subscribers; i++) subscribers.push(await open("s", i + 1));
    for (let i = 0; i < plan.publishers; i++) publishers.push(await open("p", i + 1));
    for (const client of clients) client.onLost = (error) => failed.reject(error);
    const figures = await measure(plan, host, publishers, subscribers, failed);
    host.out(args.flag("json") ? benchJson(plan, figures) : benchText(plan, figures));
    return 0;
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
}

function atMost(name: string, value: number, max: number): number {
  if (value > max) throw new CommandError("CLI_REFUSED", `-${name} can be ${max} at most`);
  return value;
}

/** Publishing and, if there are subscribers, receiving. */
export interface BenchResult {
  readonly publish: BenchFigures;
  readonly receive: BenchFigures | undefined;
}

async function measure(
  plan: BenchPlan,
  host: CliHost,
  publishers: readonly StanClient[],
  subscribers: readonly StanClient[],
  failed: { readonly promise: Promise<never>; reject: (error: Error) => void },
): Promise<BenchResult> {
  const { channel, messages, sizeBytes, inFlight } = plan;
  const now = () => host.clock.monotonicMs();
  const expected = messages * subscribers.length;
  const meter = new Meter(host, messages + expected, "messages");
  const acks = new Latencies(messages);
  const deliveries = new Latencies(Math.max(1, expected));
  const received = Promise.withResolvers<void>();
  let receivedCount = 0;
  let lastMs = 0;
  for (const client of subscribers) {
    const options = { start: { kind: "new" as const }, maxInFlight: SUBSCRIBER_IN_FLIGHT, ackWaitSecs: ACK_WAIT_SECS };
    await Promise.race([
      client.subscribe(channel, options, (message, subscription) => {
        client.ack(subscription, message.sequence);
        if (message.isRedelivered) return;
        lastMs = now();
        if (message.data.length >= STAMP_BYTES) {
          const { buffer, byteOffset } = message.data;
          deliveries.add(lastMs - new DataView(buffer, byteOffset).getFloat64(0));
        }
        meter.add(1);
        if (++receivedCount === expected) received.resolve();
      }),
      failed.promise,
    ]);
  }
  const startedMs = now();
  const publishAll = async (client: StanClient, count: number) => {
    // One buffer: the client copies it into the frame before the next message is stamped.
    const payload = new Uint8Array(sizeBytes);
    const view = new DataView(payload.buffer);
    for (let i = 0; i < count; i++) {
      await client.room(inFlight);
      if (sizeBytes >= STAMP_BYTES) view.setFloat64(0, now());
      client.publish(channel, payload, (error, _guid, durationMs) => {
        if (error !== undefined) failed.reject(new CommandError("CLI_REFUSED", `A message was not stored: ${error}`));
        acks.add(durationMs);
        meter.add(1);
      });
    }
    await client.allAcked();
  };
  const share = (i: number) => Math.floor(messages / publishers.length) + (i < messages % publishers.length ? 1 : 0);
  try {
    await Promise.race([Promise.all(publishers.map((client, i) => publishAll(client, share(i)))), failed.promise]);
    const publish = { messages, tookMs: now() - startedMs, latencies: acks.summary() };
    if (expected === 0) return { publish, receive: undefined };
    await Promise.race([received.promise, failed.promise]);
    return { publish, receive: { messages: expected, tookMs: lastMs - startedMs, latencies: deliveries.summary() } };
  } finally {
    meter.end();
  }
}

function rates({ messages, tookMs }: BenchFigures, sizeBytes: number): { rate: number; mbPerSecond: number } {
  const rate = tookMs > 0 ? messages / tookMs * 1000 : 0;
  return { rate: Math.round(rate), mbPerSecond: Math.round(rate * sizeBytes / 10_000) / 100 };
}

/** The report for people. */
export function benchText(plan: BenchPlan, { publish, receive }: BenchResult): string {
  const line = (what: string, figures: BenchFigures, clients: number, latency: string) => {
    const { rate, mbPerSecond } = rates(figures, plan.sizeBytes);
    const { p50, p99, max } = figures.latencies;
    return `${what.padEnd(10)}${String(rate).padStart(8)} msgs/s ${mbPerSecond.toFixed(2).padStart(9)} MB/s  ` +
      `${figures.messages} messages, ${clients} client${clients === 1 ? "" : "s"}, ${millisText(figures.tookMs)}\n` +
      `${" ".repeat(10)}${latency}: p50 ${millisText(p50)}, p99 ${millisText(p99)}, longest ${millisText(max)}\n`;
  };
  const store = plan.storeHint === "" ? "" : `, store: ${plan.storeHint}`;
  return `Channel ${plan.channel}, messages of ${formatSize(plan.sizeBytes)}, ${plan.inFlight} in flight${store}\n` +
    line("Published", publish, plan.publishers, "publish to ack") +
    (receive === undefined ? "" : line(
      "Received",
      receive,
      plan.subscribers,
      plan.sizeBytes < STAMP_BYTES ? "no latency, too small" : "publish to receipt",
    )) +
    "Server and clients together: all clients share one processor of this process, which may be the limit\n";
}

/** The report for programs. */
export function benchJson(plan: BenchPlan, { publish, receive }: BenchResult): string {
  const part = (figures: BenchFigures) => {
    const { rate, mbPerSecond } = rates(figures, plan.sizeBytes);
    const { p50, p99, max } = figures.latencies;
    const rounded = (ms: number) => Math.round(ms * 1000) / 1000;
    return {
      msgs: figures.messages,
      seconds: rounded(figures.tookMs) / 1000,
      msgs_per_second: rate,
      mb_per_second: mbPerSecond,
      latency_ms: { p50: rounded(p50), p99: rounded(p99), max: rounded(max) },
    };
  };
  const json = {
    channel: plan.channel,
    publishers: plan.publishers,
    subscribers: plan.subscribers,
    size: plan.sizeBytes,
    inflight: plan.inFlight,
    store_hint: plan.storeHint,
    measures: "server and clients together",
    publish: part(publish),
    receive: receive === undefined ? null : part(receive),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}
