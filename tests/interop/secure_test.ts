/**
 * Unmodified clients on a server that keeps others out: the configuration file of an operator with TLS, users, permissions,
 * and nkeys, and the same by flags.
 */
import { connect, type ConnectionOptions, nkeyAuthenticator } from "@nats-io/transport-node";
import { nkeys } from "@nats-io/nats-core/internal";
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { makeCertificate } from "../helpers/certificates.ts";
import {
  PROCESS_TEST_MS_MAX,
  type ServerProcess,
  startServerProcess,
  TARGETS,
  TestFolder,
} from "../helpers/server_process.ts";
import { connectStan, publish, type StanOptions, subscribe, withStan } from "./stan_client.ts";

const timeout = PROCESS_TEST_MS_MAX;
const authority = makeCertificate({ commonName: "Stanchion test authority", isAuthority: true });
const own = makeCertificate({
  commonName: "localhost",
  issuer: authority,
  dnsNames: ["localhost"],
  ipAddresses: ["127.0.0.1"],
});
const device = makeCertificate({ commonName: "device", issuer: authority });
const machine = nkeys.createUser();

// bcrypt of "hashed-secret", cost 4.
const HASH = "$2b$04$dIs6PrpgoJ9lnJQ1zCrGUe3VpY2CVPXOc0kVSo.Q2H3SBiwt2/MYe";

/** One way for a streaming client to get in. */
interface StreamingWay {
  readonly name: string;
  readonly config: () => string;
  readonly options: StanOptions;
  readonly wrong: StanOptions;
}

/** Options with which the streaming client's NATS client proves that it has the key. */
function signedBy(key: ReturnType<typeof nkeys.createUser>): StanOptions {
  return { nkey: key.getPublicKey(), nonceSigner: (nonce: Uint8Array) => Buffer.from(key.sign(nonce)) };
}

function tlsBlock(folder: TestFolder, more: string): string {
  const file = (name: string) => JSON.stringify(folder.file(name));
  return `tls { cert_file: ${file("cert.pem")}, key_file: ${file("key.pem")}, ca_file: ${file("ca.pem")}, ${more} }`;
}

function configuration(folder: TestFolder): string {
  writeFileSync(folder.file("cert.pem"), own.certificate);
  writeFileSync(folder.file("key.pem"), own.key);
  writeFileSync(folder.file("ca.pem"), authority.certificate);
  const path = folder.file("server.conf");
  writeFileSync(
    path,
    `
    tls { cert_file: ${JSON.stringify(folder.file("cert.pem"))}, key_file: ${JSON.stringify(folder.file("key.pem"))} }
    authorization {
      timeout: 10
      users [
        { user: app, password: "plain-secret" }
        { user: reader, password: "reader-secret", permissions { publish: "ask.>", subscribe: ["_INBOX.>", "news.*"] } }
        { nkey: ${machine.getPublicKey()} }
      ]
    }
    streaming { cluster_id: "test-cluster" }
    `,
  );
  return path;
}

for (const target of TARGETS) {
  describe(`TLS and authorization against ${target}`, () => {
    let server: ServerProcess;
    let folder: TestFolder;
    const options = (more: ConnectionOptions): ConnectionOptions => ({
      servers: `localhost:${server.port}`,
      reconnect: false,
      timeout: 10_000,
      tls: { ca: authority.certificate },
      ...more,
    });
    before(async () => {
      folder = new TestFolder();
      server = await startServerProcess(target, { args: ["-c", configuration(folder)] });
    }, { timeout });
    after(async () => {
      folder[Symbol.dispose]();
      if (server !== undefined) assert.equal(await server.stop(), 143, server.log);
    }, { timeout });

    it("7: the log says what the port demands, and that a password stands in clear", { timeout }, () => {
      assert.match(server.log, /\[INF\] Using configuration file: .*server\.conf/);
      assert.match(server.log, /\[WRN\] Plaintext passwords detected, use nkeys or bcrypt/);
      assert.match(server.log, /\[INF\] TLS required for client connections/);
      assert.ok(!server.log.includes("plain-secret"));
    });

    it("6.1: a user with the right password is served, with a wrong one refused", { timeout }, async () => {
      const nc = await connect(options({ user: "app", pass: "plain-secret" }));
      assert.equal(nc.info?.tls_required, true);
      const answer = nc.subscribe("echo", { callback: (_, message) => void message.respond(message.data) });
      assert.equal((await nc.request("echo", "hello")).string(), "hello");
      answer.unsubscribe();
      await nc.close();
      await assert.rejects(connect(options({ user: "app", pass: "wrong" })), /Authorization Violation/i);
      await assert.rejects(connect(options({})), /Authorization Violation/i);
      assert.ok(!server.log.includes("wrong"));
    });

    it("6.2: permissions refuse what they do not name and leave the connection open", { timeout }, async () => {
      const nc = await connect(options({ user: "reader", pass: "reader-secret" }));
      const problems: string[] = [];
      const watching = (async () => {
        for await (const status of nc.status()) if (status.type === "error") problems.push(String(status.error));
      })();
      nc.publish("forbidden", "x");
      await nc.flush();
      await nc.flush();
      assert.equal(nc.isClosed(), false);
      await nc.close();
      await watching;
      assert.equal(problems.length, 1);
      assert.match(problems[0]!, /Permissions Violation for Publish to "forbidden"/);
    });

    it("6.3: an nkey signs its way in, another one does not", { timeout }, async () => {
      const nc = await connect(options({ authenticator: nkeyAuthenticator(machine.getSeed()) }));
      await nc.flush();
      await nc.close();
      const stranger = nkeys.createUser();
      await assert.rejects(
        connect(options({ authenticator: nkeyAuthenticator(stranger.getSeed()) })),
        /Authorization Violation/i,
      );
    });

    // Each on a server of its own: what one demands of all clients is what these tests are about.
    const STREAMING: readonly StreamingWay[] = [
      {
        name: "user and password through TLS",
        config: () => `${tlsBlock(folder, "")}\nauthorization { timeout: 10, user: app, password: secret }`,
        options: { tls: { ca: [authority.certificate] }, user: "app", pass: "secret" },
        wrong: { tls: { ca: [authority.certificate] }, user: "app", pass: "Secret" },
      },
      {
        name: "certificates on both sides",
        config: () => tlsBlock(folder, "verify: true"),
        options: { tls: { ca: [authority.certificate], cert: device.certificate, key: device.key } },
        wrong: { tls: { ca: [authority.certificate] } },
      },
      {
        name: "token",
        config: () => `authorization { token: "t0ken" }`,
        options: { token: "t0ken" },
        wrong: { token: "other" },
      },
      {
        name: "nkey",
        config: () => `authorization { timeout: 10, users [ { nkey: ${machine.getPublicKey()} } ] }`,
        options: signedBy(machine),
        wrong: { ...signedBy(nkeys.createUser()), nkey: machine.getPublicKey() },
      },
      {
        name: "permissions for the streaming subjects only",
        config: () =>
          `authorization { timeout: 10, users [ { user: app, password: secret, permissions {
             publish: ["_STAN.>", "_INBOX.>"], subscribe: ["_INBOX.>", "_STAN.acks.>"] } } ] }`,
        options: { user: "app", pass: "secret" },
        wrong: { user: "app" },
      },
    ];
    for (const way of STREAMING) {
      it(`6, 7: a streaming client publishes and gets its message with ${way.name}`, { timeout }, async () => {
        const path = folder.file("streaming.conf");
        writeFileSync(path, `${way.config()}\nstreaming { cluster_id: "test-cluster" }\n`);
        const secure = await startServerProcess(target, { args: ["-c", path] });
        const url = `nats://localhost:${secure.port}`;
        await withStan(url, "secure", async (client) => {
          assert.notEqual(await publish(client, "orders", "one"), "");
          const all = await subscribe(client, "orders", { with: (options) => options.setDeliverAllAvailable() });
          await all.count(1);
          assert.equal(all.received[0]?.data, "one");
        }, way.options);
        await assert.rejects(connectStan(url, "wrong", way.wrong));
        // The server goes on for whoever has the right to.
        await withStan(url, "secure", (client) => publish(client, "orders", "two"), way.options);
        assert.equal(await secure.stop(), 143, secure.log);
      });
    }

    it("operations.md 1.4: user and token come from the command line as well", { timeout }, async () => {
      const byUser = await startServerProcess(target, { args: ["-user", "u", "-pass", HASH] });
      const plain = (more: ConnectionOptions) => ({ servers: `127.0.0.1:${byUser.port}`, reconnect: false, ...more });
      await (await connect(plain({ user: "u", pass: "hashed-secret" }))).close();
      await assert.rejects(connect(plain({ user: "u", pass: HASH })), /Authorization Violation/i);
      assert.equal(await byUser.stop(), 143);
      const byToken = await startServerProcess(target, { args: ["-auth", "t0ken"] });
      const servers = `127.0.0.1:${byToken.port}`;
      await (await connect({ servers, reconnect: false, token: "t0ken" })).close();
      await assert.rejects(connect({ servers, reconnect: false, token: "other" }), /Authorization Violation/i);
      assert.equal(await byToken.stop(), 143);
    });
  });
}
