/** The difference between two configurations, as a reload sees it (operations.md 2.8). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Options } from "../../../src/config/options.ts";
import { planReload, type ReloadContext, type ReloadPlan } from "../../../src/config/reload.ts";
import { optionsOf } from "./config_support.ts";

const CONTEXT: ReloadContext = { boundPort: 4222, isTlsRenewed: false };
const ALWAYS = ["Reloaded: authorization users", "Reloaded: accounts"];
const TLS = 'cert_file: "cert.pem", key_file: "key.pem"';

function plan(before: string, after: string, context: Partial<ReloadContext> = {}): ReloadPlan {
  const outcome = planReload(optionsOf(before), optionsOf(after), { ...CONTEXT, ...context });
  if (!outcome.ok) throw new Error(outcome.reason);
  return outcome;
}

/** The lines besides those that always come. */
function linesOf(before: string, after: string, context: Partial<ReloadContext> = {}): string[] {
  return plan(before, after, context).changes.map(({ text }) => text).filter((text) => !ALWAYS.includes(text));
}

function reason(before: string, after: string, context: Partial<ReloadContext> = {}): string | undefined {
  const outcome = planReload(optionsOf(before), optionsOf(after), { ...CONTEXT, ...context });
  return outcome.ok ? undefined : outcome.reason;
}

test("operations 2.8: no difference, no line but those that always come", () => {
  const { changes, keptNames } = plan("max_payload: 5", "max_payload: 5");
  assert.deepEqual(changes.map(({ text }) => text), ALWAYS);
  assert.deepEqual(keptNames, []);
});

for (
  const [change, ...lines] of [
    ["client_advertise: x", "Reload: client_advertise = x"],
    ["trace: true", "Reloaded: trace = true"],
    ["debug: true", "Reloaded: debug = true"],
    ["logtime: false", "Reloaded: logtime = false"],
    ["max_connections: 3", "Reloaded: max_connections = 3"],
    ["max_connections: 0"],
    ["authorization { user: u, password: p }", "Reloaded: authorization username", "Reloaded: authorization password"],
    ["authorization { token: t }", "Reloaded: authorization token"],
    ["authorization { timeout: 1.5 }", "Reloaded: authorization timeout = 1.5"],
    [
      "authorization { users: [ { nkey: UCARKS2E3KVB7YORL2DG34XLT7PUCOL2SVM7YXV6ETHLW6Z46UUJ2VZ3 } ] }",
      "Reloaded: authorization nkey users",
    ],
    ["authorization { users: [ { user: a, password: b }, { user: c, password: d } ] }"],
    ['ping_interval: "5s"', "Reloaded: ping_interval = 5s"],
    ["ping_max: 9", "Reloaded: ping_max = 9"],
    ["max_control_line: 100", "Reloaded: max_control_line = 100"],
    ["max_payload: 100", "Reloaded: max_payload = 100"],
    ["pid_file: x", "Reloaded: pid_file = x"],
    ["trace_verbose: true", "Reloaded: trace = true"],
    ["logtime_utc: true", "Reloaded: logtime_utc = true"],
    ["ports_file_dir: x", "Reloaded: ports_file_dir = x"],
    ["log_file: x", "Reloaded: log_file = x"],
    ["syslog: true", "Reloaded: syslog = true"],
    ["remote_syslog: 'udp://h:1'", "Reloaded: remote_syslog = udp://h:1"],
    [
      "remote_syslog: 'udp://h:1', log_file: x, syslog: true, ports_file_dir: d, pid_file: p",
      "Reloaded: pid_file = p",
      "Reloaded: ports_file_dir = d",
      "Reloaded: log_file = x",
      "Reloaded: syslog = true",
      "Reloaded: remote_syslog = udp://h:1",
    ],
    ['write_deadline: "3s"', "Reloaded: write_deadline = 3s"],
    ['lame_duck_duration: "40s"', "Reloaded: lame_duck_duration = 40s"],
    ['lame_duck_grace_period: "1s"', "Reloaded: lame_duck_grace_period = 1s"],
    ["max_traced_msg_len: 7", "Reloaded: max_traced_msg_len = 7"],
    [`tls { ${TLS} }`, "Reloaded: authorization timeout = 3", "Reloaded: tls = enabled"],
  ] as const
) {
  test(`operations 2.8: ${change}: ${lines.join(" | ") || "no line of its own"}`, () => {
    assert.deepEqual(linesOf("", change), [...lines]);
  });
}

test("operations 2.8: only max_connections needs something done before its line", () => {
  const { changes } = plan("", "max_connections: 3, ping_max: 9");
  assert.deepEqual(changes.filter(({ option }) => option !== "other").map(({ text }) => text), [
    "Reloaded: max_connections = 3",
  ]);
});

test("operations 2.8: passwords and tokens are in no line", () => {
  const changes = linesOf("authorization { user: u, password: hidden }", "authorization { token: secret }");
  assert.deepEqual(changes, [
    "Reloaded: authorization username",
    "Reloaded: authorization password",
    "Reloaded: authorization token",
  ]);
});

for (
  const [before, after, text] of [
    ["", "server_name: x", "ServerName: old=, new=x"],
    ["host: 127.0.0.1", "host: 0.0.0.0", "Host: old=127.0.0.1, new=0.0.0.0"],
    ["port: 4222", "port: 4333", "Port: old=4222, new=4333"],
    ["", "max_subscriptions: 5", "MaxSubs: old=0, new=5"],
    ["", "max_sub_tokens: 5", "MaxSubTokens: old=0, new=5"],
    ["", 'http: "127.0.0.1:8222"', "HTTPHost: old=0.0.0.0, new=127.0.0.1"],
    ["", "http_port: 8222", "HTTPPort: old=0, new=8222"],
    ["", "http_base_path: x", "HTTPBasePath: old=/, new=/x"],
    [`tls { ${TLS} }`, `tls { ${TLS} }\nhttps_port: 8222`, "HTTPSPort: old=0, new=8222"],
    ["", "max_pending: 70000000", "MaxPending: old=67108864, new=70000000"],
    ["", "logfile_size_limit: 9", "LogSizeLimit: old=0, new=9"],
    [`tls { ${TLS} }`, `tls { ${TLS}, ca_file: ca.pem, verify_and_map: true }`, "TLSMap: old=false, new=true"],
    [`tls { ${TLS} }`, `tls { ${TLS}, connection_rate_limit: 5 }`, "TLSRateLimit: old=0, new=5"],
    [`tls { ${TLS} }`, `allow_non_tls: true\ntls { ${TLS} }`, "AllowNonTLS: old=false, new=true"],
  ] as const
) {
  test(`operations 2.8: ${after.replaceAll("\n", " ")} cannot be reloaded`, () => {
    assert.equal(reason(before, after), `config reload not supported for ${text}`);
  });
}

test("operations 2.8: a refusal of websocket shows no secret", () => {
  const websocket = (password: string) =>
    `websocket { port: 8080, no_tls: true, authorization { user: u, password: ${password} } }`;
  assert.equal(reason(websocket("hidden"), websocket("secret")), "config reload not supported for Websocket");
  assert.equal(reason(websocket("hidden"), websocket("hidden")), undefined);
});

test("operations 2.8: of several refusals the first in the reference's order is told", () => {
  assert.match(reason("", "max_pending: 70000000, server_name: x, max_payload: 9") ?? "", /ServerName/);
});

test("operations 2.8: port -1 takes the port that is bound, and a file may name that one", () => {
  assert.equal(reason("port: -1", "port: -1", { boundPort: 41_217 }), undefined);
  assert.equal(reason("port: -1", "port: 41217", { boundPort: 41_217 }), undefined);
  assert.equal(reason("port: 41217", "port: -1", { boundPort: 41_217 }), undefined);
  const text = "config reload not supported for Port: old=41217, new=4333";
  assert.equal(reason("port: -1", "port: 4333", { boundPort: 41_217 }), text);
});

test("operations 2.8: no_auth_user goes only with its user", () => {
  const users = (name: string) =>
    `authorization { users: [ { user: ${name}, password: x }, { user: z, password: x } ] }`;
  const named = `${users("a")}\nno_auth_user: a`;
  assert.equal(reason(named, users("b")), undefined);
  assert.equal(reason(named, users("a")), "config reload not supported for NoAuthUser: old=a, new=");
  assert.equal(reason(users("a"), named), "config reload not supported for NoAuthUser: old=, new=a");
  const other = "config reload not supported for NoAuthUser: old=a, new=z";
  assert.equal(reason(named, `${users("a")}\nno_auth_user: z`), other);
});

test("operations 2.8: TLS: what handshakes are made of, time-out, pins, and files with new content", () => {
  const tls = (more: string) => `tls { ${TLS}${more} }`;
  assert.deepEqual(linesOf(tls(""), tls("")), []);
  assert.deepEqual(linesOf(tls(""), tls(""), { isTlsRenewed: true }), ["Reloaded: tls = enabled"]);
  assert.deepEqual(linesOf(tls(""), tls(", timeout: 5")), [
    "Reloaded: authorization timeout = 6",
    "Reloaded: tls timeout = 5",
  ]);
  const pin = "a".repeat(64);
  assert.deepEqual(linesOf(tls(""), tls(`, pinned_certs: [ "${pin}" ]`)), ["Reloaded: 1 pinned_certs"]);
  assert.deepEqual(linesOf(tls(`, pinned_certs: [ "${pin}" ]`), tls("")), ["Reloaded: 0 pinned_certs"]);
  assert.deepEqual(linesOf(tls(""), tls(", verify: true, ca_file: ca.pem")), ["Reloaded: tls = enabled"]);
  assert.deepEqual(linesOf(tls(""), tls(', min_version: "1.3"')), ["Reloaded: tls = enabled"]);
  assert.deepEqual(linesOf(tls(""), tls(", handshake_first: true")), ["Reloaded: Client TLS handshake first: true"]);
  assert.deepEqual(linesOf(tls(""), ""), ["Reloaded: authorization timeout = 2", "Reloaded: tls = disabled"]);
});

test("operations 13.54: the streaming half stays, and what differs is named as in the file", () => {
  const before = "max_payload: 5\nstreaming { id: one, sd: false }";
  const after = "max_payload: 7, debug: true\n" +
    "streaming { id: two, sd: true, sv: true, hb_interval: '7s', replace_durable: true, store_limits { max_msgs: 9, " +
    "channels { foo { max_msgs: 1 } } } }";
  const { options, keptNames } = plan(before, after);
  assert.deepEqual(keptNames, [
    "cluster_id",
    "store_limits.max_msgs",
    "limits.perChannel",
    "hb_interval",
    "replace_durable",
    "sd",
    "sv",
  ]);
  const expected: Options = optionsOf("max_payload: 7, debug: true\nstreaming { id: one }");
  assert.deepEqual(options, expected);
});

test("operations 2.8: users and TLS that say the same keep their objects, so that nobody is asked again", () => {
  const config = `authorization { users: [ { user: a, password: b } ] }\ntls { ${TLS} }\n`;
  const current = optionsOf(config);
  const same = planReload(current, optionsOf(config + "ping_max: 7"), CONTEXT);
  assert.ok(same.ok && same.options.auth === current.auth && same.options.tls === current.tls);
  const other = planReload(current, optionsOf(config.replace("user: a", "user: c")), CONTEXT);
  assert.ok(other.ok && other.options.auth !== current.auth && Object.isFrozen(other.options));
});

/** Every leaf of the options, so that a new one is not forgotten here. */
test("operations 2.8: every option of the NATS half is applied, refused or kept on purpose", () => {
  const base = optionsOf(`tls { ${TLS} }`);
  const silent = [
    // Follows auth.timeoutMs.
    "nats.authTimeoutMs",
    // Test seams, on the command line only.
    "nats.disableShortFirstPing",
    "nats.testNegativeAckWaitMs",
    // Parts of `users`, which are told at every reload.
    "auth.defaultPermissions",
    "auth.accounts",
    "auth.users",
  ];
  for (const part of ["nats", "log", "auth", "tls"] as const) {
    const values = base[part] as unknown as Record<string, unknown>;
    for (const [name, value] of Object.entries(values)) {
      const path = `${part}.${name}`;
      const changed = { ...base, [part]: { ...values, [name]: otherThan(value) } };
      const outcome = planReload(base, changed, CONTEXT);
      const isTold = !outcome.ok || outcome.changes.length > ALWAYS.length || outcome.keptNames.length > 0;
      assert.equal(isTold, !silent.includes(path), path);
    }
  }
});

function otherThan(value: unknown): unknown {
  switch (typeof value) {
    case "number":
      return value + 1;
    case "boolean":
      return !value;
    case "string":
      return `${value}x`;
    default:
      return Array.isArray(value) ? [...value, {}] : {};
  }
}
