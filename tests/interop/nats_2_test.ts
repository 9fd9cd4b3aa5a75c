/**
 * The npm client nats 2.x, which most programs in JavaScript still use, unmodified, on the core part of the server: the
 * same calls in clear and through TLS, and each way to prove who one is. What its successor does is in core_nats_test.ts.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import {
  connect,
  type ConnectionOptions,
  createInbox,
  Empty,
  ErrorCode,
  Events,
  headers,
  JSONCodec,
  type Msg,
  type NatsConnection,
  type NatsError,
  nkeyAuthenticator,
  nkeys,
  RequestStrategy,
  StringCodec,
} from "nats";
import { makeCertificate } from "../helpers/certificates.ts";
import {
  PROCESS_TEST_MS_MAX,
  type ServerProcess,
  startServerProcess,
  TARGETS,
  TestFolder,
} from "../helpers/server_process.ts";
import { patternBytes, sameBytes } from "../helpers/sockets.ts";

const timeout = PROCESS_TEST_MS_MAX;
/** Longer than anything takes here: a request that waits for it fails the test. */
const LONG_MS = 60_000;
const text = StringCodec();

const authority = makeCertificate({ commonName: "Stanchion test authority", isAuthority: true });
const own = makeCertificate({
  commonName: "localhost",
  issuer: authority,
  dnsNames: ["localhost"],
  ipAddresses: ["127.0.0.1"],
});
const device = makeCertificate({ commonName: "device", issuer: authority });
const machine = nkeys.createUser();

/** The part of the client's inside that the test of a lost connection needs. */
interface NatsInside {
  readonly protocol: { readonly transport: { readonly socket: { destroy(): void } } };
}

/** How a client of one column of the table below gets in. */
interface Way {
  readonly name: string;
  readonly server: (folder: TestFolder) => string;
  readonly client: ConnectionOptions;
  /** The same client, but not quite. */
  readonly wrong?: ConnectionOptions;
}

const tlsOf = (folder: TestFolder): string =>
  `cert_file: ${JSON.stringify(folder.file("cert.pem"))}, key_file: ${JSON.stringify(folder.file("key.pem"))}, ` +
  `ca_file: ${JSON.stringify(folder.file("ca.pem"))}`;
const users = `users [ { user: app, password: secret }, { nkey: ${machine.getPublicKey()} } ]`;
const trusting = { ca: authority.certificate };

const WAYS: readonly Way[] = [
  { name: "in clear", server: () => "", client: {} },
  { name: "TLS", server: (folder) => `tls { ${tlsOf(folder)} }`, client: { tls: trusting } },
  {
    name: "TLS with certificates on both sides",
    server: (folder) => `tls { ${tlsOf(folder)}, verify: true }`,
    client: { tls: { ...trusting, cert: device.certificate, key: device.key } },
  },
  {
    name: "token",
    server: () => `authorization { token: "t0ken" }`,
    client: { token: "t0ken" },
    wrong: { token: "other" },
  },
  {
    name: "user and password through TLS",
    server: (folder) => `tls { ${tlsOf(folder)} }\nauthorization { timeout: 10, ${users} }`,
    client: { tls: trusting, user: "app", pass: "secret" },
    wrong: { tls: trusting, user: "app", pass: "secreT" },
  },
  {
    name: "nkey",
    server: () => `authorization { timeout: 10, ${users} }`,
    client: { authenticator: nkeyAuthenticator(machine.getSeed()) },
    wrong: { authenticator: nkeyAuthenticator(nkeys.createUser().getSeed()) },
  },
];

async function take(nc: NatsConnection, subject: string, count: number): Promise<Msg[]> {
  const messages: Msg[] = [];
  for await (const message of nc.subscribe(subject, { max: count })) messages.push(message);
  return messages;
}

/** Answers every request of a subject. */
function serve(nc: NatsConnection, subject: string, answer: (message: Msg) => void, queue?: string): void {
  nc.subscribe(subject, {
    ...queue === undefined ? {} : { queue },
    callback: (error, message) => {
      assert.equal(error, null);
      answer(message);
    },
  });
}

for (const target of TARGETS) {
  for (const way of WAYS) {
    describe(`nats 2.x, ${way.name}, against ${target}`, () => {
      let server: ServerProcess;
      let folder: TestFolder;
      const open: NatsConnection[] = [];
      const options = (more: ConnectionOptions = {}): ConnectionOptions => ({
        servers: `127.0.0.1:${server.port}`,
        reconnect: false,
        timeout: 10_000,
        ...way.client,
        ...more,
      });
      const connection = async (more: ConnectionOptions = {}): Promise<NatsConnection> => {
        const nc = await connect(options(more));
        open.push(nc);
        return nc;
      };
      before(async () => {
        folder = new TestFolder();
        writeFileSync(folder.file("cert.pem"), own.certificate);
        writeFileSync(folder.file("key.pem"), own.key);
        writeFileSync(folder.file("ca.pem"), authority.certificate);
        const path = folder.file("server.conf");
        writeFileSync(path, `${way.server(folder)}\nstreaming { cluster_id: "test-cluster" }\n`);
        server = await startServerProcess(target, { args: ["-c", path] });
      }, { timeout });
      after(async () => {
        await Promise.all(open.map((nc) => nc.close()));
        folder?.[Symbol.dispose]();
        // Undefined when it could not start, which has been reported.
        if (server !== undefined) assert.equal(await server.stop(), 143, server.log);
      }, { timeout });

      it("3.3: INFO says what the port demands", { timeout }, async () => {
        const info = (await connection()).info;
        assert.equal(info?.version, "2.9.24");
        assert.equal(info?.headers, true);
        assert.equal(info?.tls_required ?? false, way.client.tls !== undefined && way.client.tls !== null);
        assert.equal(
          info?.auth_required ?? false,
          way.client.token !== undefined || way.client.user !== undefined || way.client.authenticator !== undefined,
        );
      });

      const { wrong } = way;
      if (wrong !== undefined) {
        it("6.1: what is not quite right is refused", { timeout }, async () => {
          const bare = way.client.tls === undefined ? {} : { tls: way.client.tls };
          for (const more of [wrong, bare]) {
            const attempt = connect({
              servers: `127.0.0.1:${server.port}`,
              reconnect: false,
              timeout: 10_000,
              ...more,
            });
            await assert.rejects(attempt, (error: NatsError) => {
              assert.equal(error.code, ErrorCode.AuthorizationViolation);
              return true;
            });
          }
        });
      }

      it("5: messages come in order, by wildcards too, with headers and any bytes", { timeout }, async () => {
        const [publisher, subscriber] = [await connection(), await connection()];
        const all = take(subscriber, "orders.>", 502);
        const some = take(subscriber, "orders.*.new", 501);
        await subscriber.flush();
        for (let number = 0; number < 500; number++) publisher.publish("orders.eu.new", text.encode(String(number)));
        const sent = headers();
        sent.append("Trace", "a");
        sent.append("Trace", "b");
        publisher.publish("orders.us.new", Empty, { headers: sent, reply: "back.here" });
        const bytes = patternBytes(300_000);
        publisher.publish("orders.us.new.deep", bytes);
        const expected = Array.from({ length: 500 }, (_, number) => String(number));
        assert.deepEqual((await some).slice(0, 500).map((message) => text.decode(message.data)), expected);
        const [withHeaders, withBytes] = (await all).slice(500) as [Msg, Msg];
        assert.deepEqual(withHeaders.headers?.values("Trace"), ["a", "b"]);
        assert.equal(withHeaders.reply, "back.here");
        assert.equal(withHeaders.data.length, 0);
        assert.equal(withBytes.subject, "orders.us.new.deep");
        assert.ok(sameBytes(withBytes.data, bytes));
      });

      it("3.8: a request is answered, and one that nobody hears fails at once", { timeout }, async () => {
        const [asker, answerer] = [await connection(), await connection()];
        const json = JSONCodec<{ value: number }>();
        serve(answerer, "double", (message) => {
          message.respond(json.encode({ value: json.decode(message.data).value * 2 }));
        });
        await answerer.flush();
        for (const noMux of [false, true]) {
          const ask = (value: number) => asker.request("double", json.encode({ value }), { timeout: LONG_MS, noMux });
          const answers = await Promise.all(Array.from({ length: 50 }, (_, number) => ask(number)));
          assert.deepEqual(answers.map((m) => json.decode(m.data).value), Array.from({ length: 50 }, (_, n) => n * 2));
          await assert.rejects(asker.request("nobody", Empty, { timeout: LONG_MS, noMux }), (error: NatsError) => {
            assert.equal(error.code, ErrorCode.NoResponders);
            return true;
          });
        }
      });

      it("3.8: one request gathers the answers of many", { timeout }, async () => {
        const asker = await connection();
        for (const name of ["a", "b", "c"]) {
          const member = await connection();
          serve(member, "who", (message) => {
            message.respond(text.encode(name));
          });
          await member.flush();
        }
        const gather = async (strategy: RequestStrategy, maxMessages?: number): Promise<string[]> => {
          const answers = await asker.requestMany("who", Empty, {
            strategy,
            maxWait: LONG_MS,
            ...maxMessages === undefined ? {} : { maxMessages },
          });
          const names: string[] = [];
          for await (const answer of answers) names.push(text.decode((answer as Msg).data));
          return names.sort();
        };
        assert.deepEqual(await gather(RequestStrategy.Count, 3), ["a", "b", "c"]);
        const sentinel = await connection();
        serve(sentinel, "list", (message) => {
          for (const name of ["x", "y", ""]) message.respond(text.encode(name));
        });
        await sentinel.flush();
        const answers = await asker.requestMany("list", Empty, {
          strategy: RequestStrategy.SentinelMsg,
          maxWait: LONG_MS,
        });
        const names: string[] = [];
        for await (const answer of answers) names.push(text.decode((answer as Msg).data));
        // Without the empty one that ends the list.
        assert.deepEqual(names.filter((name) => name !== ""), ["x", "y"]);
      });

      it("5: members of a queue share, each message goes to one", { timeout }, async () => {
        const asker = await connection();
        const counts = new Map<string, number>();
        for (const name of ["a", "b", "c"]) {
          const member = await connection();
          serve(member, "jobs", (message) => {
            counts.set(name, (counts.get(name) ?? 0) + 1);
            message.respond(message.data);
          }, "workers");
          await member.flush();
        }
        const numbers = Array.from({ length: 300 }, (_, number) => String(number));
        const answers = await Promise.all(
          numbers.map((number) => asker.request("jobs", text.encode(number), { timeout: LONG_MS })),
        );
        assert.deepEqual(answers.map((answer) => text.decode(answer.data)), numbers);
        assert.equal([...counts.values()].reduce((sum, count) => sum + count, 0), 300);
        assert.equal(counts.size, 3);
      });

      it("3.6: unsubscribing after a number ends by itself", { timeout }, async () => {
        const nc = await connection();
        const inbox = createInbox();
        const subscription = nc.subscribe(inbox, { max: 3, callback: () => {} });
        for (let number = 0; number < 10; number++) nc.publish(inbox);
        await subscription.closed;
        assert.equal(subscription.getReceived(), 3);
        await nc.flush();
        assert.equal(subscription.getReceived(), 3);
      });

      it("3.6: draining hands out what was on its way, then ends", { timeout }, async () => {
        const [publisher, subscriber] = [await connection(), await connection()];
        let count = 0;
        serve(subscriber, "drained", () => void count++);
        await subscriber.flush();
        for (let number = 0; number < 1000; number++) publisher.publish("drained");
        await publisher.flush();
        await subscriber.drain();
        assert.equal(count, 1000);
        assert.ok(subscriber.isClosed());
      });

      it("2: a client that was cut comes back with its subscriptions", { timeout }, async () => {
        const other = await connection();
        const nc = await connection({ reconnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 20 });
        const seen: string[] = [];
        const back = (async () => {
          // The client does not end this by itself when it is closed.
          for await (const status of nc.status()) {
            seen.push(status.type);
            if (status.type === Events.Reconnect) return;
          }
        })();
        serve(nc, "still.there", (message) => {
          message.respond(text.encode("yes"));
        });
        await nc.flush();
        const firstId = nc.info?.client_id ?? 0;
        // The socket below the connection; nothing of the client is told.
        (nc as unknown as NatsInside).protocol.transport.socket.destroy();
        await back;
        await nc.flush();
        assert.ok((nc.info?.client_id ?? 0) > firstId);
        assert.equal(
          text.decode((await other.request("still.there", Empty, { timeout: LONG_MS })).data),
          "yes",
        );
        assert.ok(seen.includes(Events.Disconnect), seen.join());
      });
    });
  }
}
