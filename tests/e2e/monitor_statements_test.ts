/**
 * Monitoring as tools meet it: statements 56 to 72 of operations.md 13, each by its number. Number 70, which needs a recovery
 * that waits, and the active half of 64 are proved in tests/conformance/monitor.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { makeCertificate } from "../helpers/certificates.ts";
import { ask, askJson, monitorPortOf } from "../helpers/monitor_client.ts";
import {
  PROCESS_TEST_MS_MAX,
  runTarget,
  type ServerProcess,
  startServerProcess,
  TARGETS,
  TestFolder,
} from "../helpers/server_process.ts";
import { closeStan, connectStan, publish, type Stan, subscribe } from "../interop/stan_client.ts";

const timeout = PROCESS_TEST_MS_MAX;

const SERVERZ_FIELDS = [
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
  "open_fds",
  "max_fds",
];
const SUBSZ_FIELDS = [
  "num_subscriptions",
  "num_cache",
  "num_inserts",
  "num_removes",
  "num_matches",
  "cache_hit_rate",
  "max_fanout",
  "avg_fanout",
];

type Value = Readonly<Record<string, unknown>>;

/** Subscriptions of a channel as its page shows them. */
async function subscriptionsOf(port: number, channel: string): Promise<readonly Value[]> {
  const { subscriptions } = await askJson(port, `/streaming/channelsz?subs=1&channel=${channel}`);
  return (subscriptions ?? []) as readonly Value[];
}

for (const target of TARGETS) {
  describe(`monitoring of ${target}`, () => {
    const folder = new TestFolder();
    let server: ServerProcess;
    let port = 0;
    let client: Stan;

    before(async () => {
      writeFileSync(
        folder.file("server.conf"),
        'http: "127.0.0.1:-1"\nhttp_base_path: "/nats"\n' +
          'streaming { id: "seen", store_limits { channels { "foo.>": { max_msgs: 400, max_age: "200000h0m0.001s" } } } }\n',
      );
      server = await startServerProcess(target, {
        args: ["-c", folder.file("server.conf")],
        env: { TZ: "Asia/Tokyo" },
      });
      port = monitorPortOf(server.log);
      client = await connectStan(server.url, "watcher", {}, "seen");
      await publish(client, "foo.bar", "one");
      await publish(client, "zed", "two");
      const all = await subscribe(client, "foo.bar", {
        with: (options) => options.setDeliverAllAvailable().setDurableName("dur"),
      });
      await all.count(1);
      await subscribe(client, "foo.bar", { group: "grp", with: (options) => options.setDurableName("dur") });
    }, { timeout });

    after(async () => {
      await closeStan(client);
      await server.stop();
      folder[Symbol.dispose]();
    }, { timeout });

    it("56: serverz has exactly the reference's fields in its order, role and node_id not among them", async () => {
      const value = await askJson(port, "/streaming/serverz");
      assert.deepEqual(Object.keys(value), SERVERZ_FIELDS);
      assert.equal(value["cluster_id"], "seen");
      assert.equal(value["state"], "STANDALONE");
      assert.deepEqual([value["clients"], value["subscriptions"], value["channels"]], [1, 2, 2]);
      assert.equal(value["total_msgs"], 2);
    });

    it("57: two blanks, one field per line, no final line feed, CORS header, JSON content type", async () => {
      const { status, headers, text } = await ask(port, "/streaming/serverz");
      assert.equal(status, 200);
      assert.equal(headers["content-type"], "application/json");
      assert.equal(headers["access-control-allow-origin"], "*");
      assert.equal(headers["content-length"], String(Buffer.byteLength(text)));
      const lines = text.split("\n");
      assert.deepEqual([lines[0], lines.at(-1)], ["{", "}"]);
      assert.equal(lines.length, SERVERZ_FIELDS.length + 2);
      for (const line of lines.slice(1, -1)) assert.match(line, /^ {2}"\w+": ("[^"]*"|\d+),?$/);
    });

    it("58: a callback makes a script of it", async () => {
      for (const path of ["/streaming/serverz", "/streaming/channelsz", "/nats/varz"]) {
        const { headers, text } = await ask(port, `${path}?callback=cb`);
        assert.equal(headers["content-type"], "application/javascript");
        assert.equal(headers["access-control-allow-origin"], undefined);
        assert.match(text, /^cb\(\{\n[^]*\n\}\)$/);
      }
    });

    it("59: names without subs, channels with subs=1, and subs=true is as without", async () => {
      for (const query of ["", "?subs=true", "?subs=0"]) {
        const value = await askJson(port, `/streaming/channelsz${query}`);
        assert.deepEqual(value["names"], ["foo.bar", "zed"]);
        assert.equal("channels" in value, false);
      }
      const value = await askJson(port, "/streaming/channelsz?subs=1");
      assert.equal("names" in value, false);
      assert.deepEqual((value["channels"] as Value[]).map(({ name }) => name), ["foo.bar", "zed"]);
    });

    it("60: an unknown channel, and an unknown client, are 404", async () => {
      const channel = await ask(port, "/streaming/channelsz?channel=nope");
      assert.deepEqual([channel.status, channel.text], [404, "Channel nope not found\n"]);
      const noClient = await ask(port, "/streaming/clientsz?client=nope");
      assert.deepEqual([noClient.status, noClient.text], [404, "Client nope not found\n"]);
    });

    it("61: numbers that are none are not errors here, but are on connz", async () => {
      const value = await askJson(port, "/streaming/clientsz?limit=abc&offset=-4");
      assert.deepEqual([value["limit"], value["offset"], value["count"]], [1024, 0, 1]);
      assert.equal((await ask(port, "/nats/connz?limit=abc&offset=-4")).status, 400);
    });

    it("62: a durable queue subscriber shows dur:grp and no durable name", async () => {
      const member = (await subscriptionsOf(port, "foo.bar")).find((one) => "queue_name" in one);
      assert.equal(member?.["queue_name"], "dur:grp");
      assert.equal(member?.["is_durable"], true);
      assert.equal("durable_name" in (member ?? {}), false);
    });

    it("63: a durable whose client has left is offline, with its client ID", async () => {
      const leaver = await connectStan(server.url, "leaver", {}, "seen");
      await subscribe(leaver, "left", { with: (options) => options.setDurableName("stays") });
      assert.equal((await subscriptionsOf(port, "left"))[0]?.["is_offline"], false);
      await closeStan(leaver);
      const [durable, ...others] = await subscriptionsOf(port, "left");
      assert.equal(others.length, 0);
      assert.deepEqual(
        [durable?.["client_id"], durable?.["durable_name"], durable?.["is_offline"]],
        ["leaver", "stays", true],
      );
    });

    it("64: isFTActive is 204 with an empty body on a server of its own", async () => {
      const { status, text } = await ask(port, "/streaming/isFTActive?callback=f");
      assert.deepEqual([status, text], [204, ""]);
    });

    it("65: a doubled slash is sent on", async () => {
      const { status, headers } = await ask(port, "//streaming/serverz");
      assert.deepEqual([status, headers["location"]], [301, "/streaming/serverz"]);
    });

    it("66: storez escapes the pattern as Go does, and prints nanoseconds beyond 2^53 exactly", async () => {
      const { text } = await ask(port, "/streaming/storez");
      assert.match(text, /^ {6}"foo\.\\u003e": \{$/m);
      assert.match(text, /^ {8}"max_age": 720000000001000000,$/m);
      // Inherited values are shown resolved (statement 37).
      assert.match(text, /^ {8}"max_bytes": 1024000000,$/m);
    });

    it("67: streaming times are local, core times are UTC", async () => {
      const shape = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?/;
      const streaming = await askJson(port, "/streaming/serverz");
      for (const field of ["now", "start_time"]) {
        assert.match(String(streaming[field]), new RegExp(`${shape.source}\\+09:00$`));
      }
      const core = await askJson(port, "/nats/varz");
      for (const field of ["now", "start", "config_load_time"]) {
        assert.match(String(core[field]), new RegExp(`${shape.source}Z$`));
      }
      const difference = Date.parse(String(streaming["start_time"])) - Date.parse(String(core["start"]));
      assert.equal(difference, 0, "both are the same instant");
    });

    it("68: leaf nodes are null, routes an empty list", async () => {
      assert.match((await ask(port, "/nats/leafz")).text, /\n {2}"leafs": null\n\}$/);
      assert.match((await ask(port, "/nats/routez")).text, /\n {2}"routes": \[\]\n\}$/);
    });

    it("69: subsz without subs=1 has eight fields only", async () => {
      assert.deepEqual(Object.keys(await askJson(port, "/nats/subsz")), SUBSZ_FIELDS);
      const value = await askJson(port, "/nats/subsz?subs=1");
      assert.deepEqual(Object.keys(value), [
        "server_id",
        "now",
        ...SUBSZ_FIELDS,
        "total",
        "offset",
        "limit",
        "subscriptions_list",
      ]);
    });

    it("72: the base path moves the core pages and nothing else", async () => {
      assert.equal((await ask(port, "/nats/varz")).status, 200);
      assert.equal((await ask(port, "/varz")).status, 404);
      assert.equal((await ask(port, "/streaming/serverz")).status, 200);
      assert.equal((await ask(port, "/nats/streaming/serverz")).status, 404);
      assert.equal((await ask(port, "/metrics")).status, 200);
      assert.equal((await askJson(port, "/nats/varz"))["http_base_path"], "/nats");
    });

    it("5.1: any method is answered like GET", async () => {
      for (const method of ["POST", "DELETE", "PUT"]) {
        const { status, text } = await ask(port, "/streaming/isFTActive", { method, body: "x=y" });
        assert.deepEqual([method, status, text], [method, 204, ""]);
        assert.match((await ask(port, "/nats/leafz", { method, body: "x=y" })).text, /"leafs": null/);
      }
      const head = await ask(port, "/nats/leafz", { method: "HEAD" });
      assert.deepEqual([head.status, head.text], [200, ""]);
      assert.ok(Number(head.headers["content-length"]) > 100);
    });

    it("5.8: the streaming server's own connections are there under the names operators know", async () => {
      const { connections } = await askJson(port, "/nats/connz?subs=1") as { connections: Value[] };
      const names = connections.map(({ name }) => name).slice(0, 4);
      assert.deepEqual(names, ["send", "general", "acks", "hb"].map((part) => `_NSS-seen-${part}`));
      const [send, general, acks] = connections;
      const listed = general?.["subscriptions_list"] as string[];
      assert.match(listed[7] ?? "", /^_INBOX\.\w{22}\.\*$/);
      assert.deepEqual(listed.slice(0, 7), [
        "_STAN.discover.seen",
        listed[1],
        "_STAN.sub.seen",
        "_STAN.unsub.seen",
        "_STAN.subclose.seen",
        "_STAN.close.seen",
        "_STAN.discover.seen.pings",
      ]);
      // Acks of one delivery, and the inboxes of two subscriptions.
      assert.equal(acks?.["subscriptions"], 2);
      assert.ok(Number(send?.["in_msgs"]) >= 5 && Number(general?.["out_msgs"]) >= 5, JSON.stringify(connections));
    });
  });

  describe(`monitoring over TLS by ${target}`, () => {
    it(
      "71: both ports, and HTTPS without certificate, are refused with the reference's texts",
      { timeout },
      async () => {
        const both = await runTarget(target, ["-m", "21051", "-ms", "21052"]);
        assert.equal(both.exitStatus, 1);
        assert.match(
          both.stderr,
          /\[FTL\] Can't start monitoring: can't specify both HTTP \(21051\) and HTTPs \(21052\) ports/,
        );
        const noTls = await runTarget(target, ["-ms", "21052"]);
        assert.equal(noTls.exitStatus, 1);
        assert.match(noTls.stderr, /\[FTL\] Can't start monitoring: TLS cert and key required for HTTPS/);
      },
    );

    it("5.1: HTTPS shows the client port's certificate, and the new one after a reload", { timeout }, async () => {
      using folder = new TestFolder();
      const authority = makeCertificate({ commonName: "Test Authority", isAuthority: true });
      const write = (issuer: typeof authority) => {
        const leaf = makeCertificate({
          commonName: "localhost",
          issuer,
          dnsNames: ["localhost"],
          ipAddresses: ["127.0.0.1"],
        });
        writeFileSync(folder.file("cert.pem"), leaf.certificate);
        writeFileSync(folder.file("key.pem"), leaf.key);
      };
      write(authority);
      writeFileSync(
        folder.file("server.conf"),
        `https: "127.0.0.1:-1"\ntls { cert_file: "${folder.file("cert.pem")}", key_file: "${
          folder.file("key.pem")
        }" }\n`,
      );
      const server = await startServerProcess(target, { args: ["-c", folder.file("server.conf")] });
      assert.match(server.log, /\[INF\] Starting https monitor on 127\.0\.0\.1:\d+/);
      const port = monitorPortOf(server.log);
      const varz = await ask(port, "/varz", { authority: authority.certificate });
      assert.equal(varz.status, 200);
      const value = JSON.parse(varz.text) as Value;
      assert.deepEqual([value["http_port"], value["https_port"], value["tls_required"]], [0, port, true]);
      const other = makeCertificate({ commonName: "Other Authority", isAuthority: true });
      await assert.rejects(ask(port, "/varz", { authority: other.certificate }));

      write(other);
      server.process.signal("SIGHUP");
      await server.process.untilSaid("Reloaded server configuration");
      // The port is opened anew: until then it shows the old certificate, or nobody answers.
      for (;;) {
        const answer = await ask(port, "/varz", { authority: other.certificate }).catch(() => undefined);
        if (answer?.status === 200) break;
        assert.ok(server.process.isRunning, server.log);
      }
      await assert.rejects(ask(port, "/varz", { authority: authority.certificate }));
      await server.stop();
    });
  });
}
