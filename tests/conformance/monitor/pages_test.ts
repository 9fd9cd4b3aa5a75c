/** The pages of a running server that need no comparison with the reference's core: streaming, health, recovery, HTTP. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { draftOptions, freezeOptions, type OptionsDraft } from "../../../src/config/option_types.ts";
import { openLog } from "../../../src/log/open_log.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { StreamingServer } from "../../../src/server/streaming_server.ts";
import { encodeConnectRequest, encodeSubscriptionRequest } from "../../../src/wire/stan_control.ts";
import { ask, askJson } from "../../helpers/monitor_client.ts";

/** Sends requests one after the other, each when the answer to the previous one is there. */
function requests(port: number, list: readonly (readonly [string, Uint8Array])[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let sent = 0;
    const next = () => {
      const request = list[sent++];
      if (request === undefined) {
        socket.end();
        return resolve();
      }
      socket.write(`PUB ${request[0]} answers ${request[1].length}\r\n`);
      socket.write(request[1]);
      socket.write("\r\n");
    };
    socket.on("error", reject);
    socket.on("data", (bytes) => {
      if (String(bytes).includes("MSG answers")) next();
    });
    socket.write('CONNECT {"verbose":false}\r\nSUB answers 1\r\nSUB beat 2\r\n');
    next();
  });
}

async function makeServer(change: (draft: OptionsDraft) => void = () => {}): Promise<StreamingServer> {
  const draft = draftOptions("stanchion");
  draft.host = "127.0.0.1";
  draft.port = -1;
  draft.httpPort = -1;
  draft.clusterId = "seen";
  change(draft);
  const runtime = await pickRuntime();
  return new StreamingServer(freezeOptions(draft), runtime, openLog(draft.log, runtime, "silent"));
}

describe("streaming pages", () => {
  let server: StreamingServer;
  const page = (path: string) => ask(server.monitorPort, path);
  const json = (path: string) => askJson(server.monitorPort, path);

  before(async () => {
    server = await makeServer();
    await server.start();
    const subscription = (channel: string, durableName = "", queueGroup = "") =>
      encodeSubscriptionRequest({
        clientId: "c1",
        channel,
        inbox: "in",
        maxInFlight: 7,
        ackWaitSecs: 30,
        durableName,
        queueGroup,
      });
    await requests(server.nats.port, [
      ["_STAN.discover.seen", encodeConnectRequest({ clientId: "c1", heartbeatInbox: "beat" })],
      ["_STAN.sub.seen", subscription("foo.bar", "dur")],
      ["_STAN.sub.seen", subscription("10")],
      ["_STAN.sub.seen", subscription("9")],
      ["_STAN.sub.seen", subscription("foo.bar", "", "group")],
      ["_STAN.sub.seen", subscription("foo.bar")],
    ]);
  });

  after(() => server.stop());

  it("operations.md 5.5: clientsz pages, filters and shows subscriptions by channel, bytewise sorted", async () => {
    const list = await json("/streaming/clientsz?limit=x&offset=-3");
    assert.deepEqual([list["offset"], list["limit"], list["count"], list["total"]], [0, 1024, 1, 1]);
    assert.deepEqual(list["clients"], [{ id: "c1", hb_inbox: "beat", subs_count: 5 }]);
    const one = await page("/streaming/clientsz?client=c1&subs=1");
    // A JSON parser would sort names that look like numbers: the text counts.
    assert.deepEqual(one.text.match(/^ {4}"[\w.]+": \[$/gm), ['    "10": [', '    "9": [', '    "foo.bar": [']);
    assert.equal(JSON.parse(one.text).subscriptions["foo.bar"][0].durable_name, "dur");
    const beyond = await json("/streaming/clientsz?offset=5");
    assert.deepEqual(beyond["clients"], []);
  });

  it("operations.md 5.6: channelsz lists names, objects with subs=1, and one channel", async () => {
    assert.deepEqual((await json("/streaming/channelsz"))["names"], ["10", "9", "foo.bar"]);
    assert.deepEqual((await json("/streaming/channelsz?offset=1&limit=1"))["names"], ["9"]);
    const beyond = await json("/streaming/channelsz?offset=3");
    assert.deepEqual([beyond["count"], "names" in beyond], [0, false]);
    const { channels } = await json("/streaming/channelsz?subs=1") as { channels: { subscriptions: object[] }[] };
    const { ack_inbox: ackInbox, ...shown } = channels[2]?.subscriptions[0] as Record<string, unknown>;
    assert.match(String(ackInbox), /^_INBOX\.[0-9A-Za-z]{22}$/);
    assert.deepEqual(Object.entries(shown), [
      ["client_id", "c1"],
      ["inbox", "in"],
      ["durable_name", "dur"],
      ["is_durable", true],
      ["is_offline", false],
      ["max_inflight", 7],
      ["ack_wait", 30],
      ["last_sent", 0],
      ["pending_count", 0],
      ["is_stalled", false],
    ]);
    const one = await json("/streaming/channelsz?channel=foo.bar");
    assert.deepEqual(Object.entries(one), [
      ["name", "foo.bar"],
      ["msgs", 0],
      ["bytes", 0],
      ["first_seq", 0],
      ["last_seq", 0],
      ["subs_count", 3],
    ]);
  });

  it("operations.md 5.6: plain subscriptions in the order of creation come before queue members", async () => {
    const { subscriptions } = await json("/streaming/channelsz?subs=1&channel=foo.bar") as {
      subscriptions: { queue_name?: string; durable_name?: string }[];
    };
    assert.deepEqual(subscriptions.map((one) => one.queue_name ?? one.durable_name ?? "plain"), [
      "dur",
      "plain",
      "group",
    ]);
  });

  it("operations.md 5.4: storez shows type and limits, channels only where some are configured", async () => {
    const value = await json("/streaming/storez");
    assert.deepEqual(Object.keys(value), [
      "cluster_id",
      "server_id",
      "now",
      "type",
      "limits",
      "total_msgs",
      "total_bytes",
    ]);
    assert.equal(value["type"], "MEMORY");
    assert.deepEqual(Object.entries(value["limits"] as object), [
      ["max_channels", 100],
      ["max_msgs", 1_000_000],
      ["max_bytes", 1_024_000_000],
      ["max_age", 0],
      ["max_subscriptions", 1000],
      ["max_inactivity", 0],
    ]);
  });

  it("operations.md 5.1: a callback is a name and nothing else", async () => {
    const padded = await page("/streaming/serverz?callback=show.it");
    assert.equal(padded.headers["content-type"], "application/javascript");
    assert.match(padded.text, /^show\.it\(\{\n/);
    const attack = await page("/streaming/serverz?callback=alert(1)//");
    assert.equal(attack.headers["content-type"], "application/json");
  });

  it("operations.md 5.1: paths are exact, long bodies are sent in chunks", async () => {
    for (
      const path of ["/streaming/", "/streaming/serverz/", "/STREAMING/serverz", "/streaming/serverz2", "/metrics/"]
    ) {
      const { status, text, headers } = await page(path);
      assert.deepEqual([path, status, text], [path, 404, "404 page not found\n"]);
      assert.equal(headers["x-content-type-options"], "nosniff");
    }
    const long = await page("/connz?subs=1");
    assert.ok(long.text.length > 2048);
    assert.equal(long.headers["content-length"], undefined);
  });

  it("operations.md 5.2, 5.8: the root pages link to every page, and fetch nothing from elsewhere", async () => {
    const root = await page("/");
    assert.equal(root.headers["content-type"], "text/html; charset=utf-8");
    for (const [, href = ""] of root.text.matchAll(/href="([^"]+)"/g)) {
      assert.match(href, /^\.\//);
      assert.equal((await page(href.slice(1))).status, 200, href);
    }
    assert.ok((root.text.match(/href=/g) ?? []).length >= 13);
    const streaming = await page("/streaming");
    for (const name of ["server", "store", "clients", "channels"]) {
      assert.ok(streaming.text.includes(`<a href="./streaming/${name}z">${name}</a>`), name);
    }
    assert.doesNotMatch(root.text + streaming.text, /<(?:img|script|link)|@import|url\(/);
  });

  it("decisions 12: healthz and readyz say that clients are served", async () => {
    const health = await page("/healthz");
    assert.deepEqual([health.status, health.text], [200, '{"status":"ok"}']);
    const readiness = await page("/readyz");
    assert.deepEqual([readiness.status, readiness.text], [200, "ready\n"]);
  });
});

describe("a page with a defect", () => {
  it("is a 500 without the reason, and the server goes on", async () => {
    const server = await makeServer();
    await server.start();
    const channels = server.core?.channels;
    assert.ok(channels);
    Object.defineProperty(channels, "all", {
      get() {
        throw new Error("a secret of the code");
      },
    });
    const { status, text } = await ask(server.monitorPort, "/streaming/serverz");
    assert.deepEqual([status, text], [500, "This page cannot be made. The log of the server says why\n"]);
    assert.equal((await ask(server.monitorPort, "/varz")).status, 200);
    await server.stop();
  });
});

describe("a server that does not serve", () => {
  it("operations.md 13.70: while it recovers no streaming page is 200, varz answers, and probes are told the truth", async () => {
    const server = await makeServer();
    const gate = Promise.withResolvers<void>();
    const recover = server.store.recover.bind(server.store);
    const isRecovering = Promise.withResolvers<void>();
    server.store.recover = async () => {
      isRecovering.resolve();
      await gate.promise;
      return await recover();
    };
    const started = server.start();
    await isRecovering.promise;
    const page = (path: string) => ask(server.monitorPort, path);
    for (const name of ["serverz", "storez", "clientsz", "channelsz", "channelsz?channel=nope"]) {
      assert.equal((await page(`/streaming/${name}`)).status, 503, name);
    }
    assert.equal((await page("/streaming/isFTActive")).status, 204);
    assert.equal((await page("/streaming/nope")).status, 404);
    const health = await page("/healthz");
    assert.deepEqual(
      [health.status, health.text],
      [503, '{"status":"error","error":"the streaming state is being recovered"}'],
    );
    const readiness = await page("/readyz");
    assert.deepEqual([readiness.status, readiness.text], [503, "not ready: the streaming state is being recovered\n"]);
    // A liveness probe on the root page must not end a recovery.
    for (const path of ["/", "/varz", "/connz"]) assert.equal((await page(path)).status, 200, path);
    const metrics = await page("/metrics");
    assert.match(metrics.text, /^stanchion_ready 0$/m);
    assert.doesNotMatch(metrics.text, /^stanchion_channels /m);

    gate.resolve();
    await started;
    assert.equal((await page("/streaming/serverz")).status, 200);
    assert.equal((await page("/healthz")).status, 200);
    assert.match((await page("/metrics")).text, /^stanchion_ready 1$/m);
    await server.stop();
  });

  it("decisions 12: in lame duck mode probes send nobody here, and the pages go on", async () => {
    const server = await makeServer((draft) => {
      draft.nats.lameDuckDurationMs = 60_000;
      draft.nats.lameDuckGraceMs = 30_000;
    });
    await server.start();
    // One client, so that it is not over at once.
    const socket = connect(server.nats.port, "127.0.0.1");
    await new Promise((resolve) => socket.once("data", resolve));
    const gone = server.lameDuck();
    for (const path of ["/healthz", "/readyz"]) {
      const { status, text } = await ask(server.monitorPort, path);
      assert.equal(status, 503);
      assert.match(text, /lame duck mode/);
    }
    assert.equal((await ask(server.monitorPort, "/streaming/serverz")).status, 200);
    socket.destroy();
    await Promise.all([gone, server.stop()]);
  });

  it("operations.md 5.1: a port that is taken ends the start with the reference's words", async () => {
    const first = await makeServer();
    await first.start();
    const second = await makeServer((draft) => draft.httpPort = first.monitorPort);
    await assert.rejects(second.start(), /^ServerError: Can't start monitoring: /);
    await first.stop();
  });
});
