/**
 * Clients that mean harm or are broken. Nothing they send may end the process, make it grow without bound, or keep an
 * honest client from being served. One server takes all of it, so that what one test leaves behind meets the next.
 */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import assert from "node:assert/strict";
import * as net from "node:net";
import { after, afterEach, before, describe, it } from "node:test";
import { dialPeer, patternBytes, type Peer } from "../helpers/sockets.ts";
import {
  PROCESS_TEST_MS_MAX,
  type ServerProcess,
  SMALL_MACHINE,
  startServerProcess,
  type TargetName,
  TARGETS,
} from "../helpers/server_process.ts";
import { publish, subscribe, withStan } from "../interop/stan_client.ts";

const timeout = PROCESS_TEST_MS_MAX;

/**
 * Far above what these tests need, far below what any of them would take from a server without bounds. V8 collects later
 * than JavaScriptCore, which is told that the machine is small (`SMALL_MACHINE`): at most 376 MB were seen on Deno 2.9.6,
 * 267 MB on Bun 1.4.5 (2026-11).
 */
const RESIDENT_BYTES_MAX: Readonly<Record<TargetName, number>> = {
  deno: 600 * 1024 * 1024,
  bun: 400 * 1024 * 1024,
  executable: 400 * 1024 * 1024,
};

const MEGABYTE = 1024 * 1024;

/** What a client sends, and how the server must take it: closing with this text, silently (""), or staying (undefined). */
const GARBAGE: readonly [name: string, bytes: string | Uint8Array, close: string | undefined][] = [
  ["a request of another protocol", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "Unknown Protocol Operation"],
  ["a TLS handshake", Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3), "Unknown Protocol Operation"],
  ["zeros", new Uint8Array(5000), "Unknown Protocol Operation"],
  ["noise", patternBytes(100_000, 7), "Unknown Protocol Operation"],
  ["a line without end", `PUB ${"a".repeat(1_000_000)}`, "maximum control line exceeded"],
  ["a subject longer than a line may be", `SUB ${"a".repeat(5000)} 1\r\n`, "maximum control line exceeded"],
  ["a size above every number", "PUB a 99999999999999999999\r\n", ""],
  ["a size of 2 GB", "PUB a 2147483648\r\n", ""],
  ["a size of 1 GB", "PUB a 999999999\r\n", "Maximum Payload Violation"],
  ["a size one above the limit", "PUB a 1048577\r\nxx", "Maximum Payload Violation"],
  ["a negative size", "PUB a -1\r\n", ""],
  ["a size that is no number", "PUB a x\r\n", ""],
  ["a publish without arguments", "PUB\r\n", "Unknown Protocol Operation"],
  ["a payload longer than announced", "PUB a 5\r\nhelloXX\r\n", "Unknown Protocol Operation"],
  ["headers longer than the message", 'CONNECT {"headers":true}\r\nHPUB a 10 5\r\nhello\r\n', ""],
  ["options that are no JSON", "CONNECT {bad\r\n", ""],
  ["options nested 3000 deep", `CONNECT ${"[".repeat(3000)}\r\n`, ""],
  ["options of wrong types", 'CONNECT {"verbose":5,"protocol":"x","user":{},"headers":[]}\r\n', ""],
  ["a protocol of the future", 'CONNECT {"protocol":99}\r\n', "invalid client protocol"],
  ["what only servers say", "MSG a 1 2\r\nxx\r\n", "Unknown Protocol Operation"],
  ["what only routes say", "RS+ a b\r\n", "Unknown Protocol Operation"],
  ["a subject with an empty token", "SUB a..b 1\r\nPING\r\n", undefined],
  ["an unsubscribe of nothing", "UNSUB nope\r\nPING\r\n", undefined],
  ["empty lines", "\r\n".repeat(1000), "Unknown Protocol Operation"],
  ["a hundred thousand pongs nobody asked for", "PONG\r\n".repeat(100_000) + "PING\r\n", undefined],
];

/** A protobuf field with a text or a number, for messages no library would write. */
function field(number: number, value: string | number): Uint8Array {
  if (typeof value === "number") return Uint8Array.of(number << 3, value);
  const text = new TextEncoder().encode(value);
  assert.ok(text.length < 128 && number < 16);
  return Uint8Array.of(number << 3 | 2, text.length, ...text);
}

function message(...fields: [number: number, value: string | number][]): Uint8Array {
  return Buffer.concat(fields.map(([number, value]) => field(number, value)));
}

/** A broken message: field 1 announces more bytes than there are. */
const BROKEN = Uint8Array.of(0x0a, 0x7f, 0x61);

/** Streaming requests that must be refused: subject, payload, number of the field with the error, its text. */
const REFUSED: readonly [section: string, subject: string, payload: Uint8Array, field: number, text: string][] = [
  ["7.1", "_STAN.discover.test-cluster", BROKEN, 5, "stan: invalid connection request"],
  ["7.1", "_STAN.discover.test-cluster", new Uint8Array(0), 5, "stan: invalid connection request"],
  ["7.1", "_STAN.discover.test-cluster", message([1, "me"]), 5, "stan: invalid connection request"],
  [
    "7.1",
    "_STAN.discover.test-cluster",
    message([1, "a b"], [2, "hb"]),
    5,
    "stan: invalid clientID: only alphanumeric and `-` or `_` characters allowed",
  ],
  [
    "11.1",
    "_STAN.pub.test-cluster.foo",
    message([1, "nobody"], [2, ""], [3, "foo"]),
    2,
    "stan: invalid publish request",
  ],
  ["12.2", "_STAN.sub.test-cluster", BROKEN, 3, "stan: invalid subscription request"],
  ["12.2", "_STAN.sub.test-cluster", message([2, "foo"]), 3, "stan: clientID missing"],
  ["12.2", "_STAN.sub.test-cluster", message([1, "x"]), 3, "stan: invalid ack wait time, should be >= 1s"],
  ["12.2", "_STAN.sub.test-cluster", message([1, "x"], [6, 1]), 3, "stan: invalid MaxInflight, should be >= 1"],
  [
    "12.2",
    "_STAN.sub.test-cluster",
    message([1, "x"], [5, 1], [6, 1], [10, 9]),
    3,
    "stan: invalid start position",
  ],
  ["12.2", "_STAN.sub.test-cluster", message([1, "x"], [2, "a..b"], [5, 1], [6, 1]), 3, "stan: invalid subject"],
  [
    "12.2",
    "_STAN.sub.test-cluster",
    message([1, "x"], [2, "a"], [4, "in"], [5, 1], [6, 1]),
    3,
    "stan: unknown clientID",
  ],
  // The reference accepts it and sends the messages nowhere.
  [
    "12.2",
    "_STAN.sub.test-cluster",
    message([1, "x"], [2, "a"], [5, 1], [6, 1]),
    3,
    "stan: invalid subscription request",
  ],
  ["20.1", "_STAN.unsub.test-cluster", BROKEN, 3, "stan: invalid unsubscribe request"],
  ["20.1", "_STAN.subclose.test-cluster", BROKEN, 3, "stan: invalid unsubscribe request"],
  ["20.1", "_STAN.unsub.test-cluster", message([1, "x"], [2, "nowhere"]), 3, "stan: unknown channel"],
  ["20.5", "_STAN.close.test-cluster", BROKEN, 1, "stan: invalid close request"],
  ["20.5", "_STAN.close.test-cluster", message([1, "nobody"]), 1, "stan: unknown clientID"],
  [
    "9.2",
    "_STAN.discover.test-cluster.pings",
    message([1, "nobody"]),
    1,
    "client has been replaced or is no longer registered",
  ],
];

for (const target of TARGETS) {
  describe(`hostile clients against ${target}`, () => {
    let server: ServerProcess;
    const core = (): Promise<NatsConnection> => connect({ servers: `127.0.0.1:${server.port}`, reconnect: false });

    /** An honest client gets through: connect, publish, receive. */
    const serveHonestly = () =>
      withStan(server.url, "honest", async (client) => {
        const last = await subscribe(client, "honest", { with: (options) => options.setStartWithLastReceived() });
        const text = String(Math.random());
        await publish(client, "honest", text);
        await last.until(() => last.received.some((received) => received.data === text));
      });

    /** Sends all bytes; resolves when the server has closed, or when it answered the last PING. */
    const attack = async (bytes: string | Uint8Array, untilPong: boolean): Promise<Peer> => {
      const peer = await dialPeer(server.port);
      peer.stream.write(bytes);
      await peer.until(() => peer.hasEnded || peer.hasClosed || untilPong && peer.text().includes("PONG\r\n"));
      return peer;
    };

    before(async () => {
      server = await startServerProcess(target, { env: SMALL_MACHINE });
    }, { timeout });
    afterEach(async () => {
      if (server === undefined) return;
      assert.ok(server.process.isRunning, server.log);
      await serveHonestly();
      const bytes = server.process.residentBytes();
      assert.ok(
        bytes === undefined || bytes < RESIDENT_BYTES_MAX[target],
        `${Math.round((bytes ?? 0) / MEGABYTE)} MB resident`,
      );
    }, { timeout });
    after(async () => {
      if (server === undefined) return;
      assert.equal(await server.stop(), 143, server.log);
      assert.doesNotMatch(server.log, /\[FTL\]|Internal error/);
    }, { timeout });

    it("garbage ends the connection that sent it, with the reference's words", { timeout }, async () => {
      for (const [name, bytes, close] of GARBAGE) {
        const peer = await attack(bytes, close === undefined);
        // The INFO line comes first; noise may get a connection reset, which loses the words.
        const text = peer.text().replace(/^INFO .*\r\n/, "");
        const ended = peer.hasEnded || peer.hasClosed;
        if (close === undefined) assert.ok(!ended && text.endsWith("PONG\r\n"), `${name}: ${text}`);
        else assert.ok(ended, `${name}: not closed, ${text}`);
        if (close !== undefined && peer.error === undefined) {
          const words = close === "" ? /^(\+OK\r\n)?$/ : new RegExp(`^(\\+OK\\r\\n)?-ERR '${close}'\\r\\n$`);
          assert.match(text, words, name);
        }
        peer.stream.destroy();
      }
    });

    it("every cut of a conversation leaves the others alone", { timeout }, async () => {
      const conversation =
        'CONNECT {"verbose":false,"headers":true}\r\nSUB cut.> 7\r\nPUB cut.a _INBOX.x 5\r\nhello\r\n' +
        "HPUB cut.b 12 14\r\nNATS/1.0\r\n\r\nhi\r\nUNSUB 7 3\r\nPING\r\n";
      const peers: Peer[] = [];
      for (let length = 1; length < conversation.length; length++) {
        const peer = await dialPeer(server.port);
        peer.stream.write(conversation.slice(0, length));
        // Half of them go, half of them stay in the middle of their frame.
        if (length % 2 === 0) peer.stream.destroy();
        else peers.push(peer);
      }
      await serveHonestly();
      for (const peer of peers) peer.stream.destroy();
    });

    it("a conversation in single bytes is understood", { timeout }, async () => {
      const peer = await dialPeer(server.port);
      peer.stream.setNoDelay(true);
      for (const byte of Buffer.from('CONNECT {"verbose":false}\r\nSUB s 1\r\nPUB s 2\r\nhi\r\nPING\r\n')) {
        await new Promise((resolve) => peer.stream.write(Uint8Array.of(byte), resolve));
      }
      await peer.until(() => peer.text().endsWith("PONG\r\n"));
      assert.ok(peer.text().endsWith("MSG s 1 2\r\nhi\r\nPONG\r\n"), peer.text());
      peer.stream.destroy();
    });

    it("one that never reads is cut off, and delays nobody", { timeout }, async () => {
      const deaf = net.connect({ port: server.port, host: "127.0.0.1" });
      deaf.on("error", () => undefined);
      deaf.pause();
      deaf.write('CONNECT {"verbose":false}\r\nSUB flood 1\r\n');
      const [publisher, listener] = [await core(), await core()];
      let heard = 0;
      listener.subscribe("flood", { callback: () => void heard++ });
      await listener.flush();
      const payload = patternBytes(MEGABYTE);
      for (let number = 0; number < 200; number++) {
        publisher.publish("flood", payload);
        await publisher.flush();
      }
      await server.process.untilSaid(/Slow Consumer/);
      await listener.flush();
      assert.equal(heard, 200);
      await Promise.all([publisher.close(), listener.close()]);
      deaf.destroy();
    });

    it("one that publishes to itself fifty times over and never reads is cut off", { timeout }, async () => {
      const cutCount = () => server.log.split("Slow Consumer").length - 1;
      const cutBefore = cutCount();
      const deaf = net.connect({ port: server.port, host: "127.0.0.1" });
      let gone = false;
      deaf.on("error", () => gone = true);
      deaf.on("close", () => gone = true);
      deaf.pause();
      deaf.write('CONNECT {"verbose":false}\r\n' + Array.from({ length: 50 }, (_, sid) => `SUB e ${sid}\r\n`).join(""));
      const frame = Buffer.concat([Buffer.from("PUB e 65536\r\n"), Buffer.alloc(65_536, 120), Buffer.from("\r\n")]);
      for (let number = 0; number < 200 && !gone; number++) deaf.write(frame);
      await server.process.until(() => cutCount() > cutBefore || !server.process.isRunning);
      deaf.destroy();
    });

    it("2000 connections at once are served, and forgotten when they go", { timeout }, async () => {
      const peers: Peer[] = [];
      // In portions: the system's own queue of connections that wait for accept is shorter.
      for (let portion = 0; portion < 20; portion++) {
        peers.push(...await Promise.all(Array.from({ length: 100 }, () => dialPeer(server.port))));
      }
      for (const peer of peers) peer.stream.write('CONNECT {"verbose":false}\r\nSUB crowd 1\r\nPING\r\n');
      await Promise.all(peers.map((peer) => peer.until(() => peer.text().endsWith("PONG\r\n"))));
      const [first] = peers as [Peer];
      first.stream.write("PUB crowd 2\r\nhi\r\n");
      await Promise.all(peers.map((peer) => peer.until(() => peer.text().endsWith("MSG crowd 1 2\r\nhi\r\n"))));
      for (const peer of peers) peer.stream.destroy();
    });

    it("2000 connections that go without a word", { timeout }, async () => {
      for (let portion = 0; portion < 20; portion++) {
        const peers = await Promise.all(Array.from({ length: 100 }, () => dialPeer(server.port)));
        for (const peer of peers) peer.stream.destroy();
      }
    });

    it("20,000 subscriptions of one connection go with it, ten times over", { timeout }, async () => {
      for (let round = 0; round < 10; round++) {
        const peer = await dialPeer(server.port);
        peer.stream.write('CONNECT {"verbose":false}\r\n');
        for (let block = 0; block < 20; block++) {
          const lines = Array.from(
            { length: 1000 },
            (_, index) => `SUB flood.${round}.${block}.${index} ${block * 1000 + index}\r\n`,
          );
          await new Promise((resolve) => peer.stream.write(lines.join(""), resolve));
        }
        peer.stream.write("PING\r\n");
        await peer.until(() => peer.text().endsWith("PONG\r\n"));
        peer.stream.destroy();
      }
    });

    it("malformed streaming requests get the reference's texts", { timeout }, async () => {
      const nc = await core();
      for (const [section, subject, payload, number, text] of REFUSED) {
        const answer = await nc.request(subject, payload, { timeout: 10_000 });
        assert.deepEqual(
          Uint8Array.from(answer.data),
          field(number, text),
          `${section} ${subject}: ${answer.string()}`,
        );
      }
      await nc.close();
    });

    it("streaming requests of noise are answered or ignored", { timeout }, async () => {
      const nc = await core();
      const subjects = ["discover", "pub", "sub", "unsub", "subclose", "close"].map((name) =>
        `_STAN.${name}.test-cluster`
      );
      subjects.push("_STAN.discover.test-cluster.pings", "_STAN.pub.test-cluster.foo", "_STAN.ack.test-cluster.foo");
      for (let seed = 1; seed <= 300; seed++) {
        const payload = patternBytes(seed % 97, seed);
        for (const subject of subjects) nc.publish(subject, payload, { reply: "_INBOX.noise" });
        // And without anybody to answer to.
        for (const subject of subjects) nc.publish(subject, payload);
      }
      await nc.flush();
      await nc.close();
    });

    it(
      "21: channels and subscriptions end at their limits",
      { timeout },
      () =>
        withStan(server.url, "greedy", async (client) => {
          const channels = Array.from({ length: 150 }, (_, index) => publish(client, `greedy.${index}`, "x"));
          const refused = (await Promise.allSettled(channels)).filter((result) => result.status === "rejected");
          assert.ok(refused.length >= 50, `${refused.length} refused`);
          for (const { reason } of refused) assert.equal((reason as Error).message, "too many channels");

          const wanted = Array.from({ length: 1010 }, () => subscribe(client, "greedy.0"));
          const unwanted = (await Promise.allSettled(wanted)).filter((result) => result.status === "rejected");
          assert.equal(unwanted.length, 10);
          for (const { reason } of unwanted) {
            assert.equal((reason as Error).message, "too many subscriptions per channel");
          }
        }),
    );
  });

  describe(`memory of ${target}`, () => {
    it("21: a channel keeps no more than its limit, however much is published", { timeout }, async () => {
      const server = await startServerProcess(target, { args: ["-mb", "20MB", "-mm", "100000"] });
      await withStan(server.url, "heavy", async (client) => {
        const payload = patternBytes(100_000);
        for (let round = 0; round < 50; round++) {
          await Promise.all(Array.from({ length: 100 }, () => publish(client, "heavy", payload)));
        }
        const bytes = server.process.residentBytes();
        assert.ok(
          bytes === undefined || bytes < RESIDENT_BYTES_MAX[target],
          `${Math.round((bytes ?? 0) / MEGABYTE)} MB resident`,
        );
        const first = await subscribe(client, "heavy", { with: (options) => options.setDeliverAllAvailable() });
        await first.count(1);
        // 500 MB went through, the last 20 MB are there.
        assert.ok((first.sequences[0] ?? 0) > 4700, `first is ${first.sequences[0]}`);
      });
      assert.equal(await server.stop(), 143, server.log);
    });
  });
}
