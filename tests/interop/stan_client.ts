/**
 * The unmodified npm client node-nats-streaming with promises around it. Nothing of it is patched: what the tests see is
 * what a program of a user sees.
 */
import assert from "node:assert/strict";
import { connect as connectStreaming } from "node-nats-streaming";
import { Waiter } from "../helpers/sockets.ts";

/** The client; the package exports its types under no name. */
export type Stan = ReturnType<typeof connectStreaming>;
/** Options of a connection, as the package takes them. */
export type StanOptions = NonNullable<Parameters<typeof connectStreaming>[2]>;
/** The package's subscription, and its options. */
export type Subscription = ReturnType<Stan["subscribe"]>;
export type SubscriptionOptions = ReturnType<Stan["subscriptionOptions"]>;

/** A message as the package hands it out; `getRedeliveryCount` exists and is missing in the package's own types. */
export interface Message {
  getSequence(): number;
  getSubject(): string;
  getRawData(): Uint8Array;
  getData(): string | Uint8Array;
  getTimestamp(): Date;
  isRedelivered(): boolean;
  getRedeliveryCount(): number;
  ack(): void;
}

export const CLUSTER_ID = "test-cluster";

/** Connects; rejects with the text of the server or of the library. */
export function connectStan(
  url: string,
  clientId: string,
  options: StanOptions = {},
  clusterId = CLUSTER_ID,
): Promise<Stan> {
  return new Promise((resolve, reject) => {
    const client = connectStreaming(clusterId, clientId, { url, reconnect: false, ...options });
    client.once("connect", () => resolve(client));
    client.once("error", (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))));
  });
}

/** Closes; resolves when the server has answered. */
export function closeStan(client: Stan): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once("close", (error: Error | null | undefined) => error ? reject(error) : resolve());
    client.close();
  });
}

/** Connects, does the work, and closes in every case. */
export async function withStan<T>(
  url: string,
  clientId: string,
  work: (client: Stan) => Promise<T>,
  options: StanOptions = {},
): Promise<T> {
  const client = await connectStan(url, clientId, options);
  try {
    return await work(client);
  } finally {
    await closeStan(client);
  }
}

/** Publishes and waits for the server's word that the message is stored. */
export function publish(client: Stan, channel: string, data: string | Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    client.publish(channel, data, (error, guid) => {
      if (error) reject(error instanceof Error ? error : new Error(String(error)));
      else resolve(guid);
    });
  });
}

/** Publishes `count` messages `from`, `from + 1`, ... one after another. */
export async function publishNumbers(client: Stan, channel: string, count: number, from = 1): Promise<void> {
  for (let number = from; number < from + count; number++) await publish(client, channel, String(number));
}

/** A message as a test compares it. */
export interface Received {
  readonly sequence: number;
  readonly data: string;
  readonly redelivered: boolean;
  readonly count: number;
}

/** A subscription that keeps what it is given. */
export class Collector extends Waiter {
  readonly messages: Message[] = [];
  readonly received: Received[] = [];
  readonly subscription: Subscription;

  constructor(subscription: Subscription, onMessage?: (message: Message) => void) {
    super();
    this.subscription = subscription;
    subscription.on("message", (message: Message) => {
      this.messages.push(message);
      this.received.push({
        sequence: message.getSequence(),
        data: String(message.getData()),
        redelivered: message.isRedelivered(),
        count: message.getRedeliveryCount(),
      });
      onMessage?.(message);
      this.notify();
    });
  }

  get sequences(): number[] {
    return this.received.map((message) => message.sequence);
  }

  /** Waits for that many deliveries. */
  async count(count: number): Promise<void> {
    await this.until(() => this.received.length >= count);
  }

  /** Acks by hand everything that came so far. */
  ackAll(): void {
    for (const message of this.messages) message.ack();
  }

  /** `close` keeps a durable's position, `unsubscribe` forgets it. Resolves when the server has answered. */
  end(how: "close" | "unsubscribe"): Promise<void> {
    return new Promise((resolve, reject) => {
      this.subscription.once(how === "close" ? "closed" : "unsubscribed", () => resolve());
      this.subscription.once("error", reject);
      this.subscription.once("timeout", reject);
      this.subscription[how]();
    });
  }
}

/** How to subscribe. */
export interface SubscribeOptions {
  readonly group?: string;
  /** Fills in the package's options. */
  readonly with?: (options: SubscriptionOptions) => SubscriptionOptions;
  readonly onMessage?: (message: Message) => void;
}

/** Subscribes; resolves when the server has accepted it, rejects with its text. */
export function subscribe(client: Stan, channel: string, options: SubscribeOptions = {}): Promise<Collector> {
  const settings = options.with?.(client.subscriptionOptions()) ?? client.subscriptionOptions();
  const subscription = options.group === undefined
    ? client.subscribe(channel, settings)
    : client.subscribe(channel, options.group, settings);
  const collector = new Collector(subscription, options.onMessage);
  return new Promise((resolve, reject) => {
    subscription.once("ready", () => resolve(collector));
    subscription.once("error", reject);
    subscription.once("timeout", reject);
  });
}

/**
 * Waits until everything is here that the server sent before now: publishes to `channel` and waits for the ack, which
 * leaves behind the deliveries of its turn (streaming-protocol.md 11.7). A test sees so what does *not* come, unslept.
 */
export async function fence(client: Stan, channel: string): Promise<void> {
  await publish(client, channel, "fence");
}

/** Checks that the sequences are `from`, `from + 1`, ..., without printing thousands of numbers when they are not. */
export function assertConsecutive(sequences: readonly number[], count: number, from = 1): void {
  assert.equal(sequences.length, count);
  const wrong = sequences.findIndex((sequence, index) => sequence !== from + index);
  assert.equal(wrong, -1, `delivery ${wrong} is sequence ${sequences[wrong]}`);
}

/** The numbers from `from` to `to`, both included. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
