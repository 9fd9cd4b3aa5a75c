/**
 * The npm client node-nats-streaming against a server started the way that client's own suite starts it: the executable,
 * found on PATH as `nats-streaming-server`, on a fixed port, logging to a file, stopped by SIGTERM and started again under
 * clients that stay (streaming-protocol.md 29.3). The server speaks to nobody but its log file, so readiness is what the
 * suite takes for it: the port accepts.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { delimiter, dirname } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { connect as connectNats } from "@nats-io/transport-node";
import { connect as connectStreaming } from "node-nats-streaming";
import { ensureExecutable } from "../../scripts/executable.ts";
import { decodeMessage } from "../../src/wire/stan_codec.ts";
import { freePort } from "../bench/processes.ts";
import { PROCESS_TEST_MS_MAX, TestFolder, TestProcess } from "../helpers/server_process.ts";
import { tryDial } from "../helpers/sockets.ts";
import {
  closeStan,
  CLUSTER_ID,
  connectStan,
  fence,
  publish,
  publishNumbers,
  range,
  type Stan,
  subscribe,
  withStan,
} from "./stan_client.ts";

const timeout = PROCESS_TEST_MS_MAX;
/** How often the suite looks whether the port accepts. */
const POLL_MS = 50;
const START_POLLS_MAX = 600;
/** SIGTERM as a shell shows it. The suite takes status 1 for a server that failed to start. */
const STATUS_TERMINATED = 143;

const STORES = {
  MEMORY: (_folder: TestFolder): string[] => ["--store", "MEMORY"],
  FILE: (folder: TestFolder): string[] => ["--store", "FILE", "--dir", folder.file("data")],
} as const;
type StoreName = keyof typeof STORES;

/** A server as the suite runs it: the same command line every time. */
class SuiteServer {
  readonly #folder: TestFolder;
  readonly #args: readonly string[];
  readonly #path: string;
  readonly #logFile: string;
  readonly port: number;
  #process: TestProcess | undefined;

  private constructor(folder: TestFolder, port: number, link: string, args: readonly string[]) {
    this.#folder = folder;
    this.port = port;
    this.#path = `${dirname(link)}${delimiter}${process.env["PATH"] ?? ""}`;
    // The suite joins folder and name without a separator.
    this.#logFile = `${folder.file("log")}nss.log`;
    this.#args = ["-p", String(port), "-SDV", "-log", this.#logFile, ...args];
  }

  static async start(folder: TestFolder, args: readonly string[] = []): Promise<SuiteServer> {
    const link = folder.link("nats-streaming-server", await ensureExecutable());
    const server = new SuiteServer(folder, await freePort(), link, args);
    await server.start();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  get log(): string {
    return readFileSync(this.#logFile, "utf8");
  }

  async start(): Promise<void> {
    const command = ["nats-streaming-server", ...this.#args];
    const started = new TestProcess(command, { cwd: this.#folder.path, env: { PATH: this.#path } });
    this.#process = started;
    for (let polls = 0; await tryDial(this.port) !== "connected"; polls++) {
      assert.ok(started.isRunning && polls < START_POLLS_MAX, `it does not accept: ${started.stdout}${started.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async stop(): Promise<void> {
    assert.equal(await this.#process?.stop(), STATUS_TERMINATED, this.log);
  }
}

async function withServer(args: (folder: TestFolder) => string[], work: (server: SuiteServer) => Promise<void>) {
  using folder = new TestFolder();
  const server = await SuiteServer.start(folder, args(folder));
  try {
    await work(server);
  } finally {
    await server.stop();
  }
}

/** Resolves with what the event brings. */
function next(emitter: Stan, event: string): Promise<unknown> {
  return new Promise((resolve) => emitter.once(event, resolve));
}

/** A client that comes back by itself; `error` events of the time in between are not its end. */
async function connectSteady(url: string, clientId: string, options = {}): Promise<Stan> {
  const client = await connectStan(url, clientId, {
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 20,
    ...options,
  });
  client.on("error", () => {});
  return client;
}

/** Its end cannot be answered, because the server does not know it any more or is not there. */
function drop(client: Stan): void {
  client.on("error", () => {});
  const { nc, pingTimer } = client as unknown as { nc?: { close(): void }; pingTimer?: ReturnType<typeof setTimeout> };
  // Its next ping would throw in the middle of whatever test runs then.
  clearTimeout(pingTimer);
  nc?.close();
}

describe("node-nats-streaming as its own suite runs it", () => {
  it(
    "29.3: a port that accepts is served, other cluster IDs too, and SIGTERM ends with 143",
    { timeout },
    () =>
      withServer(() => ["-cid", "other-cluster"], async (server) => {
        const client = connectStreaming("other-cluster", "me", { url: server.url, reconnect: false });
        await next(client, "connect");
        await publish(client, "c", "x");
        await closeStan(client);
        assert.match(server.log, /\[DBG\] STREAM: \[Client:me\] Connected/);
        assert.match(server.log, /\[TRC\] .*publisher/);
        // Of another cluster nobody answers; the library gives up by its own timer.
        await assert.rejects(connectStan(server.url, "me", { connectTimeout: 100 }), /stan: connect request timeout/);
      }),
  );

  it(
    "4: what a third party sees of a publish names the client and its connection",
    { timeout },
    () =>
      withServer(STORES.MEMORY, async (server) => {
        const witness = await connectNats({ servers: server.url });
        const heard = new Promise<Uint8Array>((resolve) => {
          witness.subscribe("_STAN.pub.test-cluster.>", { callback: (_error, message) => resolve(message.data) });
        });
        await witness.flush();
        await withStan(server.url, "author", (client) => publish(client, "letters", "dear"));
        const bytes = await heard;
        const message = decodeMessage("PubMsg", bytes, 0, bytes.length) as Record<string, unknown>;
        assert.equal(message["clientId"], "author");
        assert.equal(String(message["connectionId"]).length, 22);
        await witness.close();
      }),
  );

  it(
    "2: a connection of the application's own serves the client, and outlives it",
    { timeout },
    () =>
      withServer(STORES.MEMORY, async (server) => {
        const first = await connectStan(server.url, "lender", { reconnect: false });
        const { nc } = first as unknown as { nc: { closed?: boolean } };
        const borrower = await connectStan(server.url, "borrower", { nc: nc as never });
        const heard = await subscribe(borrower, "shared");
        await publish(borrower, "shared", "x");
        await heard.count(1);
        await closeStan(borrower);
        assert.notEqual(nc.closed, true);
        await publish(first, "shared", "y");
        await closeStan(first);
      }),
  );

  it("11: the library's bounds: publishes in flight, encodings, empty payloads, errors without a handler", {
    timeout,
  }, () =>
    withServer(STORES.MEMORY, (server) =>
      withStan(server.url, "bounds", async (client) => {
        const all = await subscribe(client, "bounds", { with: (options) => options.setDeliverAllAvailable() });
        const results = await Promise.allSettled(
          range(1, 40).map((number) => publish(client, "bounds", String(number))),
        );
        const refused = results.filter((result) => result.status === "rejected");
        assert.ok(refused.length > 0);
        for (const { reason } of refused) assert.match(String(reason), /stan: max in flight reached/);
        await publish(client, "bounds", "");
        // The library sends what it has called refused all the same: 40 and one are stored.
        await all.count(41);
        const last = all.messages.at(-1)!;
        assert.equal(String(last.getData()), "");
        assert.equal(last.getRawData().length, 0);
      }, { maxPubAcksInflight: 10 })));

  it(
    "20.4: a durable whose client closes within its handler gets that message again",
    { timeout },
    () =>
      withServer(STORES.MEMORY, async (server) => {
        const durable = (options: ReturnType<Stan["subscriptionOptions"]>) =>
          options.setDeliverAllAvailable().setDurableName("d");
        await withStan(server.url, "feeder", (client) => publishNumbers(client, "closing", 100));
        const first = await connectStan(server.url, "closing");
        let closed: Promise<void> | undefined;
        const before = await subscribe(first, "closing", {
          with: durable,
          onMessage: (message) => {
            // The library acks behind the handler, when there is no subscription at the server any more.
            if (message.getSequence() === 10) closed = closeStan(first);
          },
        });
        await before.until(() => closed !== undefined);
        await closed;
        await withStan(server.url, "closing", async (client) => {
          const resumed = await subscribe(client, "closing", { with: durable });
          await resumed.until(() => resumed.sequences.includes(100));
          assert.equal(resumed.received[0]?.sequence, 10);
          assert.equal(resumed.received[0]?.redelivered, true);
          assert.deepEqual([...new Set(resumed.sequences)].toSorted((a, b) => a - b), range(10, 100));
        });
      }),
  );

  it(
    "20: what a client says to something closed is answered by an error, not by silence",
    { timeout },
    () =>
      withServer(STORES.MEMORY, async (server) => {
        const client = await connectStan(server.url, "closed");
        const subscription = await subscribe(client, "closed");
        await subscription.end("unsubscribe");
        await assert.rejects(subscription.end("unsubscribe"), /stan: invalid subscription/);
        await assert.rejects(subscribe(client, "", {}), /stan: subject must be supplied/);
        await assert.rejects(
          subscribe(client, "closed", { group: "g", with: (options) => options.setDurableName("a:b") }),
          /^Error: stan: durable name of a durable queue subscriber can't contain the character ':'$/,
        );
        await closeStan(client);
        await assert.rejects(publish(client, "closed", "x"), /stan: Connection closed/);
        await assert.rejects(subscribe(client, "closed"), /stan: Connection closed/);
      }),
  );

  it(
    "23.1: with the MEMORY store a client that comes back is told that it is unknown",
    { timeout },
    () =>
      withServer(STORES.MEMORY, async (server) => {
        const client = await connectSteady(server.url, "forgotten", { stanPingInterval: 1000 });
        await publishNumbers(client, "forgotten", 3);
        const back = next(client, "reconnect");
        const lost = next(client, "connection_lost");
        await server.stop();
        await server.start();
        await back;
        await assert.rejects(publish(client, "forgotten", "x"), /stan: invalid publish request/);
        assert.equal(String(await lost), "client has been replaced or is no longer registered");
        await withStan(server.url, "forgotten", async (fresh) => {
          const all = await subscribe(fresh, "forgotten", { with: (options) => options.setDeliverAllAvailable() });
          await fence(fresh, "forgotten");
          await all.count(1);
          assert.deepEqual(all.received.map((message) => message.data), ["fence"]);
        });
        drop(client);
      }),
  );

  it(
    "23.2: with the FILE store clients that come back go on as if nothing had happened",
    { timeout },
    () =>
      withServer(STORES.FILE, async (server) => {
        const client = await connectSteady(server.url, "steady", { stanPingInterval: 1000 });
        const lost: unknown[] = [];
        client.on("connection_lost", (error) => lost.push(error));
        const closing = await connectStan(server.url, "away");
        await publishNumbers(client, "steady", 5);
        const manual = (options: ReturnType<Stan["subscriptionOptions"]>) =>
          options.setDeliverAllAvailable().setManualAckMode(true).setAckWait(1000);
        const live = await subscribe(client, "steady", { with: (options) => manual(options).setDurableName("live") });
        const member = await subscribe(client, "steady", { group: "g", with: manual });
        const away = await subscribe(closing, "steady", { with: (options) => manual(options).setDurableName("away") });
        await Promise.all([live.count(5), member.count(5), away.count(5)]);
        for (const { messages } of [live, member, away]) for (const message of messages.slice(0, 3)) message.ack();
        await closeStan(closing);
        await fence(client, "other");

        for (let restart = 1; restart <= 2; restart++) {
          const back = next(client, "reconnect");
          await server.stop();
          await server.start();
          await back;
          await publishNumbers(client, "steady", 1, 5 + restart);
          for (const collector of [live, member]) {
            const since = collector.received.length;
            await collector.until(() => collector.sequences.includes(5 + restart));
            // 23.5: what was pending comes again at its own time, which the restart does not move.
            const again = () => collector.received.slice(since - 1).filter((message) => message.redelivered);
            await collector.until(() => [4, 5].every((sequence) => again().some((one) => one.sequence === sequence)));
            // Nothing that was acked comes again.
            assert.ok(collector.received.filter((one) => one.redelivered).every(({ sequence }) => sequence > 3));
          }
        }
        live.ackAll();
        member.ackAll();

        await withStan(server.url, "away", async (resumed) => {
          const durable = await subscribe(resumed, "steady", {
            with: (options) => manual(options).setDurableName("away"),
          });
          await durable.count(4);
          assert.deepEqual(durable.received.map(({ sequence, redelivered }) => [sequence, redelivered]), [
            [4, true],
            [5, true],
            [6, false],
            [7, false],
          ]);
          durable.ackAll();
          const all = await subscribe(resumed, "steady", { with: (options) => options.setDeliverAllAvailable() });
          await all.count(7);
          assert.deepEqual(all.received.map((message) => message.data), range(1, 7).map(String));
        });
        assert.deepEqual(lost, [], "its pings were answered all the time");
        await closeStan(client);
      }),
  );

  for (const store of Object.keys(STORES) as StoreName[]) {
    it(`11, 12: with the ${store} store and the server gone the library's timers speak, and nothing hangs`, {
      timeout,
    }, async () => {
      using folder = new TestFolder();
      const server = await SuiteServer.start(folder, STORES[store](folder));
      const client = await connectSteady(server.url, `gone-${store}`, { ackTimeout: 100, connectTimeout: 100 });
      const live = await subscribe(client, "gone");
      const away = next(client, "disconnect");
      await server.stop();
      await away;
      await assert.rejects(publish(client, "gone", "x"), /stan: publish ack timeout/);
      await assert.rejects(subscribe(client, "gone"), /stan: subscribe request timeout/);
      await assert.rejects(live.end("close"), /stan: close request timeout/);
      drop(client);
      await server.start();
      await withStan(server.url, "next", (fresh) => publish(fresh, "gone", "served again"));
      await server.stop();
    });
  }

  it(
    `7: ${CLUSTER_ID} is what a server without -cid answers to`,
    { timeout },
    () =>
      withServer(
        () => [],
        (server) => withStan(server.url, "default", (client) => publish(client, "c", "x").then(() => {})),
      ),
  );
});
