import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultOptions, parseCommandLine, unsupportedFeatures } from "../../../src/config/options.ts";
import { accepted, memorySources, optionsOf, refusal } from "./config_support.ts";

/** The first line of a refusal, without its place. */
function reason(text: string): string {
  return (refusal(text)[0] ?? "").replace(/^f\.conf:\d+:\d+: /, "");
}

test("operations 2.5: every plain key reaches its field, under all its names", () => {
  const cases: readonly (readonly [string, (options: ReturnType<typeof optionsOf>) => unknown, unknown])[] = [
    ["host: h", (o) => o.host, "h"],
    ["net: h", (o) => o.host, "h"],
    ["port: 5", (o) => o.port, 5],
    ["PORT: 0x", (o) => o.port, undefined],
    ["listen: 'h:5'", (o) => [o.host, o.port], ["h", 5]],
    ["listen: '[::1]:5'", (o) => [o.host, o.port], ["::1", 5]],
    ["listen: 5", (o) => [o.host, o.port], ["0.0.0.0", 5]],
    ["listen: :5", (o) => [o.host, o.port], ["0.0.0.0", 5]],
    ["server_name: n", (o) => o.nats.serverName, "n"],
    ["client_advertise: a", (o) => o.nats.clientAdvertise, "a"],
    ["http: h:5", (o) => [o.httpHost, o.httpPort], ["h", 5]],
    ["http: 5", (o) => [o.httpHost, o.httpPort], ["", 5]],
    ["http_port: 5", (o) => o.httpPort, 5],
    ["monitor_port: -1", (o) => o.httpPort, -1],
    ["https: h:5, tls { cert_file: cert.pem, key_file: key.pem }", (o) => [o.httpHost, o.httpsPort], ["h", 5]],
    ["https_port: -1, tls { cert_file: cert.pem, key_file: key.pem }", (o) => o.httpsPort, -1],
    ["http_base_path: '/nats/'", (o) => o.httpBasePath, "/nats"],
    ["http_base_path: nats/a", (o) => o.httpBasePath, "/nats/a"],
    ["http_base_path: '/a/../b//./c'", (o) => o.httpBasePath, "/b/c"],
    ["http_base_path: ''", (o) => o.httpBasePath, "/"],
    ["trace_verbose: true", (o) => o.log.trace, true],
    ["logtime_utc: true", (o) => o.log.utc, true],
    ["syslog: true", (o) => o.log.syslog, true],
    ["remote_syslog: 'udp://h:5'", (o) => o.log.remoteSyslog, "udp://h:5"],
    ["ports_file_dir: d", (o) => o.portsFileDir, "d"],
    ["debug: true", (o) => o.log.debug, true],
    ["trace: on", (o) => o.log.trace, true],
    ["logtime: no", (o) => o.log.time, false],
    ["log_file: f", (o) => o.log.file, "f"],
    ["logfile: f", (o) => o.log.file, "f"],
    ["logfile_size_limit: 1k", (o) => o.log.sizeLimitBytes, 1000],
    ["log_size_limit: 1kb", (o) => o.log.sizeLimitBytes, 1024],
    ["max_traced_msg_len: 9", (o) => o.log.maxTracedMessageBytes, 9],
    ["pid_file: f", (o) => o.pidFile, "f"],
    ["pidfile: f", (o) => o.pidFile, "f"],
    ["max_connections: 9", (o) => o.nats.maxConnections, 9],
    ["max_conn: 0", (o) => o.nats.maxConnections, 65_536],
    ["max_conn: -1", (o) => o.nats.maxConnections, Number.MAX_SAFE_INTEGER],
    ["max_subscriptions: 9", (o) => o.nats.maxSubscriptions, 9],
    ["max_subs: -1", (o) => o.nats.maxSubscriptions, 0],
    ["max_payload: 1MB", (o) => o.nats.maxPayload, 1_048_576],
    ["max_pending: 2MB", (o) => o.nats.maxPendingBytes, 2_097_152],
    ["max_control_line: 2kb", (o) => o.nats.maxControlLine, 2048],
    ["max_sub_tokens: 5", (o) => o.nats.maxSubscriptionTokens, 5],
    ["max_subscription_tokens: 255", (o) => o.nats.maxSubscriptionTokens, 255],
    ["ping_interval: '5s'", (o) => o.nats.pingIntervalMs, 5_000],
    ["ping_max: 3", (o) => o.nats.pingMax, 3],
    ["write_deadline: 3s", (o) => o.nats.writeDeadlineMs, 3_000],
    ["write_deadline: '0s'", (o) => o.nats.writeDeadlineMs, 10_000],
  ];
  for (const [text, read, value] of cases) {
    if (value === undefined) assert.match(reason(text), /is string, not int64/);
    else assert.deepEqual(read(optionsOf(text)), value, text);
  }
});

test("operations 2.3: a wrong type is told as the reference tells it, and all errors of the file at once", () => {
  const lines = refusal(
    "port: x\nhost: 5\n debug: 1\nmax_payload: 1.5\nping_max: []\ntls: 5\nauthorization: {}\naccounts: 1",
  );
  assert.deepEqual(lines, [
    "f.conf:8:1: Expected map entries for accounts, got int64",
    "f.conf:1:0: interface conversion: interface {} is string, not int64",
    "f.conf:2:1: interface conversion: interface {} is int64, not string",
    "f.conf:3:2: interface conversion: interface {} is int64, not bool",
    "f.conf:4:1: interface conversion: interface {} is float64, not int64",
    "f.conf:5:1: interface conversion: interface {} is []interface {}, not int64",
    "f.conf:6:1: interface conversion: interface {} is int64, not map[string]interface {}",
    "",
  ]);
});

test("operations 2.3, 2.5: values out of range", () => {
  assert.equal(reason("max_payload: 2147483648"), "max_payload value is too big");
  assert.equal(reason("max_control_line: 2147483648"), "max_control_line value is too big");
  assert.equal(reason("max_sub_tokens: 256"), "max_sub_tokens value is too big");
  assert.equal(reason("max_sub_tokens: 0"), "max_sub_tokens value can not be negative");
  assert.equal(reason("listen: x"), 'could not parse address string "x"');
  assert.equal(reason("listen: 'h:x'"), 'could not parse port "x"');
  assert.equal(reason("http: true"), "expected port or host:port, got bool");
  assert.equal(reason("ping_interval: '5x'"), 'error parsing ping_interval: time: unknown unit "x" in duration "5x"');
  assert.equal(reason("lame_duck_duration: '5s'"), "invalid lame_duck_duration of 5s, minimum is 30 seconds");
  assert.equal(reason("lame_duck_grace_period: '-1s'"), "invalid lame_duck_grace_period, needs to be positive");
  assert.equal(
    reason("max_payload: 2MB, max_pending: 1MB"),
    "max_payload (2097152) cannot be higher than max_pending (1048576)",
  );
  assert.equal(reason("max_payload: -1"), "max_payload cannot be negative (-1)");
});

test("operations 13.30: an unknown key inside a NATS block is an error with its place", () => {
  assert.deepEqual(refusal('cluster { node_id: "a" }'), ['f.conf:1:10: unknown field "node_id"', ""]);
  assert.deepEqual(refusal("authorization {\n foo: 1\n}"), ['f.conf:2:2: unknown field "foo"', ""]);
  assert.equal(reason("websocket { foo: 1 }"), 'unknown field "foo"');
  // A key that a variable refers to is known.
  assert.equal(optionsOf("authorization { T: abc, token: $T }").auth.token, "abc");
});

test("operations 13.29, 2.6: an unknown top-level key does not stop the server, but is told with the nearest name", () => {
  const { notes, warnings } = accepted("foo_bar_baz: 1\nmax_payloads: 5\nstreaming {}");
  assert.deepEqual(warnings, []);
  assert.deepEqual(notes, [
    { level: "warning", text: 'f.conf:1:0: unknown key "foo_bar_baz" at the top level is ignored' },
    {
      level: "warning",
      text: 'f.conf:2:1: unknown key "max_payloads" at the top level is ignored (did you mean max_payload?)',
    },
  ]);
  assert.deepEqual(accepted("X: 1\nport: $X\nstreaming {}").notes, []);
});

test("operations 13.40, 13.39: warnings are told on stderr with -c and end the server with -sc", () => {
  const text = "write_deadline: 5\nping_interval: 7";
  const { options, warnings } = accepted(text);
  assert.deepEqual([options.nats.writeDeadlineMs, options.nats.pingIntervalMs], [5_000, 7_000]);
  const lines = [
    'f.conf:1:0: invalid use of field "write_deadline": write_deadline should be converted to a duration',
    'f.conf:2:1: invalid use of field "ping_interval": ping_interval should be converted to a duration',
  ];
  assert.deepEqual(warnings, lines);
  const sources = memorySources({ "f.conf": text, "empty.conf": "# nothing" });
  const fatal = parseCommandLine(["-sc", "f.conf"], "stanchion", sources);
  assert.deepEqual(fatal, {
    kind: "error",
    messages: [...lines, ""],
    exitCode: 1,
    startFailure: false,
    log: defaultOptions().log,
  });
  const empty = parseCommandLine(["-c", "empty.conf"], "stanchion", sources);
  assert.deepEqual(empty.kind === "run" && empty.warnings, ["empty.conf: config has no values or is empty"]);
  assert.equal(parseCommandLine(["-sc", "empty.conf"], "stanchion", sources).kind, "error");
});

test("decisions 9: parts that are not there are refused one by one, with advice", () => {
  const text =
    "jetstream {}\nmqtt { port: 1 }\ngateway {}\noperator: x\nresolver: MEMORY\nleafnodes {}\nmappings {}\n" +
    "cluster { port: 6222 }\nno_header_support: true\nstreaming {}";
  const lines = refusal(text);
  assert.equal(lines.length, 10);
  for (const line of lines.slice(0, -1)) {
    assert.match(line, /^f\.conf:\d+:\d: "\w+" is not available in this version of stanchion: .+/);
  }
  assert.match(lines[1] ?? "", /"mqtt" .*it is not part of this product; run a nats-server beside it and use -ns$/);
});

test("decisions 9: what asks for nothing is not refused", () => {
  const text = "jetstream: false, syslog: false, https_port: 0, no_header_support: false, trace_verbose: off\n" +
    "remote_syslog: '', ocsp: false, cluster {}, system_account: $SYSTEM, http_base_path: '/', logtime_utc: false\n" +
    "disable_sublist_cache: true, connect_error_reports: 5, lame_duck_duration: '1m', streaming {}\nprof_port: 1";
  const { notes } = accepted(`SYSTEM: '$SYS'\n${text}`);
  assert.deepEqual(notes, [{
    level: "warning",
    text:
      'f.conf:5:1: "prof_port" has no effect: there is no profiling port; the monitoring port (-m) shows what the server does',
  }]);
});

test("operations 6.1: the tls block", () => {
  const { tls, auth } = optionsOf(
    "tls { cert_file: cert.pem, key_file: key.pem, ca_file: ca.pem, verify_and_map: true, timeout: 1.5,\n" +
      `pinned_certs: [${"AB".repeat(32)} ]\n handshake_first: auto, min_version: 1.3\n` +
      "cipher_suites: [TLS_AES_128_GCM_SHA256], curve_preferences: [X25519, CurveP256], connection_rate_limit: 9 }\n" +
      "allow_non_tls: true",
  );
  assert.deepEqual(tls, {
    certFile: "cert.pem",
    keyFile: "key.pem",
    caFile: "ca.pem",
    verify: true,
    verifyAndMap: true,
    timeoutMs: 1_500,
    handshakeFirst: 50,
    allowNonTls: true,
    pinnedCerts: ["ab".repeat(32)],
    minVersion: "TLSv1.3",
    cipherSuites: ["TLS_AES_128_GCM_SHA256"],
    curvePreferences: ["X25519", "CurveP256"],
    connectionRateLimit: 9,
  });
  assert.equal(auth.timeoutMs, 2_500);
  const plain = optionsOf("tls { cert_file: cert.pem, key_file: key.pem, handshake_first: '300ms' }").tls;
  assert.deepEqual([plain?.handshakeFirst, plain?.timeoutMs, plain?.allowNonTls], [300, 2_000, false]);
});

test("operations 6.1: errors of the tls block", () => {
  const cases = [
    ["cert_file: cert.pem", "missing 'key_file' in TLS configuration"],
    ["key_file: key.pem", "missing 'cert_file' in TLS configuration"],
    [
      "cert_file: no.pem, key_file: key.pem",
      "error parsing X509 certificate/key pair: open no.pem: no such file or directory",
    ],
    ["cert_file: cert.pem, key_file: key.pem, ca_file: no.pem", "open no.pem: no such file or directory"],
    ["hello: world", 'error parsing tls config, unknown field ["hello"]'],
    ["cert_file: 5", "error parsing tls config, expected 'cert_file' to be filename"],
    ["verify: x", "error parsing tls config, expected 'verify' to be a boolean"],
    ["cipher_suites: [FOO]", "unrecognized cipher FOO"],
    ["cipher_suites: []", "error parsing tls config, 'cipher_suites' cannot be empty"],
    ["curve_preferences: [FOO]", "unrecognized curve preference FOO"],
    ["timeout: []", "error parsing tls config, 'timeout' wrong type"],
    ["timeout: '5'", "error parsing tls config, 'timeout' time: missing unit in duration \"5\""],
    ["connection_rate_limit: x", "error parsing tls config, 'connection_rate_limit' wrong type"],
    [
      "pinned_certs: x",
      "error parsing tls config, expected 'pinned_certs' to be a list of hex-encoded sha256 of DER encoded SubjectPublicKeyInfo",
    ],
    [
      "pinned_certs: [ab]",
      "error parsing tls config, 'pinned_certs' key ab does not look like hex-encoded sha256 of DER encoded SubjectPublicKeyInfo",
    ],
    ["verify_cert_and_check_known_urls: true", "verify_cert_and_check_known_urls not supported in this context"],
  ];
  for (const [block, text] of cases) assert.equal(reason(`tls { ${block} }`), text);
  assert.match(reason("tls { min_version: '1.1' }"), /unsupported version/);
  assert.match(reason("tls { ocsp_peer: true }"), /not available/);
});

test("operations 2.5: websocket is read, and needs TLS or an explicit no_tls", () => {
  const { websocket } = optionsOf(
    "ws { listen: 'h:80', no_tls: true, same_origin: true, origin: a, handshake_timeout: 3, compress: true\n" +
      "authorization { user: u, pass: p, timeout: 2 }, jwt_cookie: j, advertise: x }",
  );
  assert.deepEqual(websocket, {
    host: "h",
    port: 80,
    advertise: "x",
    noTls: true,
    tls: undefined,
    sameOrigin: true,
    allowedOrigins: ["a"],
    handshakeTimeoutMs: 3_000,
    compression: true,
    user: "u",
    password: "p",
    token: "",
    authTimeoutMs: 2_000,
    jwtCookie: "j",
    noAuthUser: "",
  });
  assert.deepEqual(refusal("websocket { port: 80 }"), ["websocket requires TLS configuration"]);
  const refused = (block: string, more = "") => refusal(`websocket { port: 80, no_tls: true, ${block} }\n${more}`);
  const users = "authorization { users: [{user: a, password: b}] }";
  const single = "authorization { user: a, password: b }";
  assert.deepEqual(refusal("websocket { port: 65536, no_tls: true }"), [
    "websocket port 65536 is outside of 1 to 65535 (-1 picks a free one)",
  ]);
  assert.deepEqual(refused("authorization { user: u, password: p }", users), [
    "websocket authentication username not compatible with presence of users/nkeys",
  ]);
  assert.deepEqual(refused("authorization { token: t }", users), [
    "websocket authentication token not compatible with presence of users/nkeys",
  ]);
  assert.deepEqual(refused("no_auth_user: a"), [`no_auth_user: "a" present, but users/nkeys are not defined`]);
  assert.deepEqual(refused("no_auth_user: a", single), [`no_auth_user: "a" present, but users/nkeys are not defined`]);
  assert.deepEqual(refused("no_auth_user: x", users), [
    `no_auth_user: "x" not present as user or nkey in authorization block or account configuration`,
  ]);
  assert.equal(optionsOf(`websocket { port: 80, no_tls: true, no_auth_user: a }\n${users}`).websocket?.noAuthUser, "a");
  assert.equal(
    optionsOf(`websocket { port: 80, no_tls: true, authorization { user: u, password: p } }\n${single}`).websocket
      ?.user,
    "u",
  );
  assert.equal(reason("websocket: 5"), "Expected websocket to be a map, got int64");
  assert.equal(reason("websocket { origins: [1 ] }"), "error parsing allowed origins: unsupported type in array int64");
});

test("features that the server does not have yet are listed, so that nothing is silently open", () => {
  const list = (text: string) => unsupportedFeatures(optionsOf(text)).map((line) => line.replace(/:.*/, ""));
  assert.deepEqual(list("port: 1"), []);
  assert.deepEqual(list("authorization { user: a, password: b }"), []);
  assert.deepEqual(list("tls { cert_file: cert.pem, key_file: key.pem }"), []);
  assert.deepEqual(list("websocket { port: 1, no_tls: true, compression: true, same_origin: true }"), []);
  const cookie = "jwt_cookie of the WebSocket port, which needs JWTs";
  assert.deepEqual(list("websocket { port: 1, no_tls: true, jwt_cookie: c }"), [cookie]);
  assert.deepEqual(list("websocket { no_tls: true, jwt_cookie: c }"), [], "the port is not open");
  const secure = "cert_file: cert.pem, key_file: key.pem";
  assert.deepEqual(list(`websocket { port: 1, tls { ${secure} } }`), []);
  const more = "cipher_suites: [TLS_AES_128_GCM_SHA256], curve_preferences: [X25519], connection_rate_limit: 5";
  assert.deepEqual(list(`websocket { port: 1, tls { ${secure}, ${more} } }`), [
    "a choice of TLS cipher suites for WebSockets",
    "a choice of TLS curves for WebSockets",
    "a limit on the rate of TLS connections for WebSockets",
  ]);
});
