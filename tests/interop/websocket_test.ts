/** The maintained NATS client over WebSockets, unmodified, as a browser would use it: in clear, and over TLS. */
import { headers, type Msg, type NatsConnection, wsconnect, type WsConnectionOptions } from "@nats-io/nats-core";
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
import { patternBytes, sameBytes } from "../helpers/sockets.ts";

const timeout = PROCESS_TEST_MS_MAX;
const PAYLOAD_MAX = 1_048_576;
const authority = makeCertificate({ commonName: "Stanchion test authority", isAuthority: true });
const own = makeCertificate({
  commonName: "localhost",
  issuer: authority,
  dnsNames: ["localhost"],
  ipAddresses: ["127.0.0.1"],
});

/** How either runtime is told of an authority; the standard constructor knows nothing like it. */
function secureSocket(url: string): WebSocket {
  const platform = globalThis as {
    Deno?: { createHttpClient(options: { caCerts: string[] }): unknown };
  };
  const options = platform.Deno === undefined
    ? { tls: { ca: authority.certificate } }
    : { client: platform.Deno.createHttpClient({ caCerts: [authority.certificate] }) };
  return new (WebSocket as unknown as new (url: string, options: object) => WebSocket)(url, options);
}

/** The port that the log names. */
function webSocketUrl(server: ServerProcess): string {
  const found = /Listening for websocket clients on (wss?):\/\/127\.0\.0\.1:(\d+)$/m.exec(server.log);
  assert.ok(found !== null, server.log);
  return `${found[1]}://${found[1] === "wss" ? "localhost" : "127.0.0.1"}:${found[2]}`;
}

async function take(nc: NatsConnection, subject: string, count: number): Promise<Msg[]> {
  const messages: Msg[] = [];
  for await (const message of nc.subscribe(subject, { max: count })) messages.push(message);
  return messages;
}

const PORTS: readonly (readonly [string, (folder: TestFolder) => string, Partial<WsConnectionOptions>])[] = [
  ["in clear", () => "no_tls: true", {}],
  ["in clear, compression on", () => "no_tls: true, compression: true", {}],
  [
    "over TLS",
    (folder) => {
      writeFileSync(folder.file("cert.pem"), own.certificate);
      writeFileSync(folder.file("key.pem"), own.key);
      const [cert, key] = [folder.file("cert.pem"), folder.file("key.pem")].map((path) => JSON.stringify(path));
      return `tls { cert_file: ${cert}, key_file: ${key} }`;
    },
    { wsFactory: (url) => Promise.resolve({ socket: secureSocket(url), encrypted: true }) },
  ],
];

for (const target of TARGETS) {
  for (const [kind, block, more] of PORTS) {
    describe(`WebSockets ${kind} against ${target}`, () => {
      let server: ServerProcess;
      let folder: TestFolder;
      const open: NatsConnection[] = [];
      const connection = async (options: Partial<WsConnectionOptions> = {}): Promise<NatsConnection> => {
        const nc = await wsconnect({
          servers: webSocketUrl(server),
          reconnect: false,
          timeout: 10_000,
          ...more,
          ...options,
        });
        open.push(nc);
        return nc;
      };
      before(async () => {
        folder = new TestFolder();
        const file = folder.file("server.conf");
        writeFileSync(
          file,
          `websocket { host: 127.0.0.1, port: -1, ${block(folder)} }
          authorization { users: [
            { user: app, password: secret }
            { user: plain, password: secret, allowed_connection_types: [STANDARD] }
          ] }
          no_auth_user: app
          streaming { cluster_id: test-cluster }
          `,
        );
        server = await startServerProcess(target, { args: ["-c", file] });
      }, { timeout });
      after(async () => {
        folder[Symbol.dispose]();
        // Undefined when it could not start, which has been reported.
        if (server === undefined) return;
        await Promise.all(open.map((nc) => nc.close()));
        assert.equal(await server.stop(), 143, server.log);
      }, { timeout });

      it("8: the log names the port, and warns where it is in clear", { timeout }, () => {
        assert.equal(/Websocket not configured with TLS/.test(server.log), kind !== "over TLS", server.log);
      });

      it("38: INFO describes the WebSocket port", { timeout }, async () => {
        const nc = await connection();
        assert.equal(nc.info?.port, Number(new URL(webSocketUrl(server)).port));
        assert.equal(nc.info?.tls_required, kind === "over TLS" ? true : undefined);
      });

      it("publish, subscribe, request, headers", { timeout }, async () => {
        const [one, two] = [await connection(), await connection()];
        const taken = take(two, "orders.*", 100);
        two.subscribe("double", {
          callback: (_, message) => void message.respond(String(2 * Number(message.string()))),
        });
        await two.flush();
        for (let i = 0; i < 100; i++) one.publish(`orders.${i}`, String(i));
        assert.deepEqual(
          (await taken).map((message) => message.string()),
          Array.from({ length: 100 }, (_, i) => `${i}`),
        );
        const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => one.request("double", String(i))));
        assert.deepEqual(
          answers.map((answer) => Number(answer.string())),
          Array.from({ length: 100 }, (_, i) => 2 * i),
        );
        const trace = headers();
        trace.append("Trace", "a");
        const withHeaders = take(two, "with.headers", 1);
        await two.flush();
        one.publish("with.headers", "body", { headers: trace });
        assert.equal((await withHeaders)[0]?.headers?.get("Trace"), "a");
      });

      it("payloads of every size, up to the largest", { timeout }, async () => {
        const [one, two] = [await connection(), await connection()];
        const sizes = [0, 1, 125, 126, 4096, 65_535, 65_536, PAYLOAD_MAX, PAYLOAD_MAX, PAYLOAD_MAX];
        const taken = take(two, "big", sizes.length);
        await two.flush();
        for (const size of sizes) one.publish("big", patternBytes(size, size + 1));
        (await taken).forEach((message, index) => {
          const size = sizes[index] ?? 0;
          assert.ok(sameBytes(message.data, patternBytes(size, size + 1)), `payload of ${size} bytes`);
        });
      });

      it("6.5: a user of the other port is refused", { timeout }, async () => {
        await (await connection({ user: "app", pass: "secret" })).flush();
        await assert.rejects(connection({ user: "plain", pass: "secret" }), /Authorization Violation/i);
      });
    });
  }
}
