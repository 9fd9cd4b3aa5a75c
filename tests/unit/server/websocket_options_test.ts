import assert from "node:assert/strict";
import { test } from "node:test";
import type { Files } from "../../../src/runtime/types.ts";
import { webSocketAuthOf, webSocketOptionsOf } from "../../../src/server/websocket_options.ts";
import { optionsOf } from "../config/config_support.ts";

const NO_FILES = {} as Files;

test("nats 8, operations 2.5: without a port there is no listener, whatever else the block says", () => {
  assert.equal(webSocketOptionsOf(optionsOf("port: 1"), NO_FILES), undefined);
  const closed = optionsOf("websocket { no_tls: true, authorization { user: u, password: p } }");
  assert.equal(webSocketOptionsOf(closed, NO_FILES), undefined);
  assert.equal(webSocketAuthOf(closed), undefined);
});

test("nats 8, operations 2.5: the host is the client port's unless it is named; -1 leaves the port to the system", () => {
  const given = optionsOf("host: h\nwebsocket { port: -1, no_tls: true, compression: true, origin: 'http://a' }");
  const { host, port, tls, auth, compression, allowedOrigins } = webSocketOptionsOf(given, NO_FILES) ?? {};
  assert.deepEqual([host, port, tls, auth, compression, allowedOrigins], ["h", 0, undefined, undefined, true, [
    "http://a",
  ]]);
  const own = webSocketOptionsOf(optionsOf("websocket { listen: 'w:80', no_tls: true }"), NO_FILES);
  assert.deepEqual([own?.host, own?.port], ["w", 80]);
});

test("nats 8: who may enter by the WebSocket port is asked there only where the block says something about it", () => {
  const of = (block: string, rest = "") =>
    webSocketAuthOf(optionsOf(`websocket { port: 1, no_tls: true\n${block} }\n${rest}`));
  const users = "authorization { timeout: 3, users: [{ user: a, password: p }] }";
  assert.equal(of("", users), undefined);
  const single = of("authorization { user: w, password: p }", "authorization { user: a, password: q }");
  assert.deepEqual([single?.user, single?.users, single?.token], [{ user: "w", password: "p" }, [], ""]);
  const token = of("authorization { token: t, timeout: 7 }");
  assert.deepEqual([token?.user, token?.token, token?.timeoutMs], [undefined, "t", 7_000]);
  const anonymous = of("no_auth_user: a", users);
  assert.deepEqual([anonymous?.noAuthUser, anonymous?.users.length, anonymous?.timeoutMs], ["a", 1, 3_000]);
  const patient = of("authorization { timeout: 9 }", users);
  assert.deepEqual([patient?.users.length, patient?.timeoutMs], [1, 9_000]);
});

test("nats 6.4, 8: certificates say who somebody is by the TLS of each port", () => {
  const files = "cert_file: cert.pem, key_file: key.pem, ca_file: ca.pem";
  const of = (webSocket: string, client: string) =>
    webSocketAuthOf(optionsOf(`websocket { port: 1, ${webSocket} }\n${client}`))?.tlsMap;
  const mapped = `tls { ${files}, verify_and_map: true }`;
  assert.equal(of(mapped, ""), true);
  assert.equal(of("no_tls: true", mapped), false);
  assert.equal(of(mapped, mapped), undefined, "both alike");
});
