/** The monitoring port of a running server, with one registration and one subscription made by raw requests. */
import assert from "node:assert/strict";
import { get } from "node:http";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { draftOptions, freezeOptions } from "../../../src/config/option_types.ts";
import { openLog } from "../../../src/log/open_log.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { StreamingServer } from "../../../src/server/streaming_server.ts";
import { encodeConnectRequest, encodeSubscriptionRequest } from "../../../src/wire/stan_control.ts";

let server: StreamingServer;

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

before(async () => {
  const draft = draftOptions("stanchion");
  draft.host = "127.0.0.1";
  draft.port = -1;
  draft.httpPort = -1;
  draft.clusterId = "seen";
  const runtime = await pickRuntime();
  server = new StreamingServer(freezeOptions(draft), runtime, openLog(draft.log, runtime, "silent"));
  await server.start();
  await requests(server.nats.port, [
    ["_STAN.discover.seen", encodeConnectRequest({ clientId: "c1", heartbeatInbox: "beat" })],
    [
      "_STAN.sub.seen",
      encodeSubscriptionRequest({
        clientId: "c1",
        channel: "foo.bar",
        inbox: "in",
        maxInFlight: 7,
        ackWaitSecs: 30,
        durableName: "dur",
      }),
    ],
  ]);
});

after(() => server.stop());

/** By `node:http`, because `fetch` cleans paths on one of the runtimes before it sends them. */
function page(path: string): Promise<{ status: number; type: string; text: string }> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port: server.monitorPort, path }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part: string) => text += part);
      answer.on("end", () => {
        resolve({ status: answer.statusCode ?? 0, type: answer.headers["content-type"] ?? "", text });
      });
    }).on("error", reject);
  });
}

test("operations.md 5.3: serverz has the reference's fields in its order", async () => {
  const { status, type, text } = await page("/streaming/serverz");
  assert.equal(status, 200);
  assert.equal(type, "application/json");
  const value = JSON.parse(text);
  assert.deepEqual(Object.keys(value), [
    "cluster_id",
    "server_id",
    "version",
    "go",
    "state",
    "now",
    "start_time",
    "uptime",
    "clients",
    "subscriptions",
    "channels",
    "total_msgs",
    "total_bytes",
    "in_msgs",
    "in_bytes",
    "out_msgs",
    "out_bytes",
  ]);
  assert.equal(value.cluster_id, "seen");
  assert.equal(value.state, "STANDALONE");
  assert.deepEqual([value.clients, value.subscriptions, value.channels], [1, 1, 1]);
  assert.match(text, /^ {2}"clients": 1,$/m);
});

test("operations.md 5.5: clientsz pages, filters and shows subscriptions", async () => {
  const list = JSON.parse((await page("/streaming/clientsz?limit=x&offset=-3")).text);
  assert.deepEqual([list.offset, list.limit, list.count, list.total], [0, 1024, 1, 1]);
  assert.deepEqual(list.clients, [{ id: "c1", hb_inbox: "beat", subs_count: 1 }]);
  const one = JSON.parse((await page("/streaming/clientsz?client=c1&subs=1")).text);
  assert.equal(one.subscriptions["foo.bar"][0].durable_name, "dur");
  const none = await page("/streaming/clientsz?client=nope");
  assert.deepEqual([none.status, none.text], [404, "Client nope not found\n"]);
  const beyond = JSON.parse((await page("/streaming/clientsz?offset=5")).text);
  assert.deepEqual(beyond.clients, []);
});

test("operations.md 5.6: channelsz lists names, objects with subs=1, and one channel", async () => {
  assert.deepEqual(JSON.parse((await page("/streaming/channelsz")).text).names, ["foo.bar"]);
  const { channels } = JSON.parse((await page("/streaming/channelsz?subs=1")).text);
  const { ack_inbox: ackInbox, ...shown } = channels[0].subscriptions[0];
  assert.match(ackInbox, /^_INBOX\.[0-9A-Za-z]{22}$/);
  assert.deepEqual(shown, {
    client_id: "c1",
    inbox: "in",
    durable_name: "dur",
    is_durable: true,
    is_offline: false,
    max_inflight: 7,
    ack_wait: 30,
    last_sent: 0,
    pending_count: 0,
    is_stalled: false,
  });
  const one = JSON.parse((await page("/streaming/channelsz?channel=foo.bar")).text);
  assert.deepEqual(one, { name: "foo.bar", msgs: 0, bytes: 0, first_seq: 0, last_seq: 0, subs_count: 1 });
  assert.equal((await page("/streaming/channelsz?channel=nope")).status, 404);
});

test("operations.md 5.4: storez shows type and limits, ages in nanoseconds", async () => {
  const value = JSON.parse((await page("/streaming/storez")).text);
  assert.equal(value.type, "MEMORY");
  assert.deepEqual(value.limits, {
    max_channels: 100,
    max_msgs: 1_000_000,
    max_bytes: 1_024_000_000,
    max_age: 0,
    max_subscriptions: 1000,
    max_inactivity: 0,
  });
});

test("operations.md 5.1: JSONP with a checked name, cleaned paths by redirect, exact paths", async () => {
  const padded = await page("/streaming/serverz?callback=show");
  assert.equal(padded.type, "application/javascript");
  assert.match(padded.text, /^show\(\{\n/);
  assert.equal((await page("/streaming/serverz?callback=alert(1)//")).type, "application/json");
  assert.equal((await page("//streaming/serverz")).status, 301);
  assert.equal((await page("/streaming/serverz/")).status, 404);
  assert.equal((await page("/STREAMING/serverz")).status, 404);
  assert.equal((await page("/streaming/isFTActive")).status, 204);
  assert.equal((await page("/")).status, 200);
});

test("decisions 12: healthz and readyz tell whether clients are served", async () => {
  assert.deepEqual(await page("/healthz"), { status: 200, type: "application/json", text: '{"status":"ok"}' });
  assert.equal((await page("/readyz")).status, 200);
});
