import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type ConfigSources, defaultOptions, parseCommandLine } from "../../../src/config/options.ts";
import { accepted, memorySources, optionsOf, refusal } from "./config_support.ts";

const GOLDEN = join(import.meta.dirname ?? "", "../../golden/config");

function streaming(text: string) {
  return optionsOf(`streaming { ${text} }`);
}

/** The first line of a refusal: the reference's, without a place. */
function reason(text: string): string {
  return refusal(`streaming { ${text} }`)[0] ?? "";
}

test("operations 13.28, 2.4: every key sets its option, under every alias", () => {
  const cases: readonly (readonly [string, string, (options: ReturnType<typeof optionsOf>) => unknown, unknown])[] = [
    ["cluster_id id cid CID", ": x", (o) => o.clusterId, "x"],
    ["discover_prefix", ": x.y", (o) => o.discoverPrefix, "x.y"],
    ["store st store_type storetype", ": Memory", (o) => o.store, "MEMORY"],
    ["sd stan_debug", ": on", (o) => o.log.streamingDebug, true],
    ["sv stan_trace", ": true", (o) => o.log.streamingTrace, true],
    ["username user", ": x", (o) => o.login.user, "x"],
    ["password pass", ": x", (o) => o.login.password, "x"],
    ["token", ": x", (o) => o.login.token, "x"],
    ["nkey_seed_file", ": x", (o) => o.login.nkeySeedFile, "x"],
    ["credentials", ": x", (o) => o.login.credentialsFile, "x"],
    ["hb_interval hbi server_to_client_hb_interval", ": 7s", (o) => o.heartbeat.intervalMs, 7_000],
    ["hb_timeout hbt server_to_client_hb_timeout", ": '8s'", (o) => o.heartbeat.timeoutMs, 8_000],
    ["hb_fail_count hbf server_to_client_hb_fail_count", ": 9", (o) => o.heartbeat.failCount, 9],
    [
      "replace_durable replace_durables replace_duplicate_durable replace_duplicate_durables",
      ": yes",
      (o) => o.replaceDurable,
      true,
    ],
    ["store_limits limits storelimits", " { mc: 5 }", (o) => o.limits.maxChannels, 5],
  ];
  for (const [names, value, read, expected] of cases) {
    for (const name of names.split(" ")) assert.equal(read(streaming(name + value)), expected, name);
  }
});

test("operations 2.4: limits under all their names, for all channels and for one", () => {
  const cases: readonly (readonly [string, string, string, number])[] = [
    ["max_subs msu max_subscriptions maxsubscriptions", "5", "maxSubscriptions", 5],
    ["max_msgs mm maxmsgs max_count maxcount", "6", "maxMessages", 6],
    ["max_bytes mb maxbytes", "7kb", "maxBytes", 7168],
    ["max_age ma maxage", "1h", "maxAgeMs", 3_600_000],
    ["max_inactivity mi maxinactivity", "'2h'", "maxInactivityMs", 7_200_000],
  ];
  for (const [names, value, field, expected] of cases) {
    for (const name of names.split(" ")) {
      const limits = streaming(`limits { ${name}: ${value} }`).limits;
      assert.equal(Reflect.get(limits, field), expected, name);
      const [channel] = streaming(`limits { channels { a.* { ${name.toUpperCase()}: ${value} } } }`).limits.perChannel;
      assert.deepEqual(channel, { pattern: "a.*", [field]: expected }, name);
    }
  }
  for (const name of ["max_channels", "mc", "maxchannels"]) {
    assert.equal(streaming(`limits { ${name}: 5 }`).limits.maxChannels, 5);
  }
  for (const name of ["channels", "channels_limits", "channelslimits", "per_channel", "per_channel_limits"]) {
    assert.equal(streaming(`limits { ${name} { a {} } }`).limits.perChannel.length, 1);
  }
});

test("stores 12.61; operations 13.37, 2.4: zero in a channel means unlimited, an omitted limit is inherited", () => {
  const { limits } = streaming("limits { channels { a { max_msgs: 0, max_age: '0s' }, 'b.>' {} } }");
  assert.deepEqual(limits.perChannel, [{ pattern: "a", maxMessages: 0, maxAgeMs: 0 }, { pattern: "b.>" }]);
});

test("operations 13.26, 2.4: type errors, in the reference's words on the first line and with the place below", () => {
  assert.deepEqual(refusal("streaming {\n limits { max_age: 5m }\n}"), [
    'parameter "max_age" value is expected to be string, got int64',
    "The value stands at f.conf:2:11.",
  ]);
  const cases = [
    ["cid: 5", 'parameter "cid" value is expected to be string, got int64'],
    ["ID: [a]", 'parameter "ID" value is expected to be string, got slice'],
    ["sd: x", 'parameter "sd" value is expected to be bool, got string'],
    ["hbf: 1.5", 'parameter "hbf" value is expected to be int64, got float64'],
    ["hbi: {}", 'parameter "hbi" value is expected to be string, got map'],
    ["token: true", 'parameter "token" value is expected to be string, got bool'],
    ["partitioning: 1", 'parameter "partitioning" value is expected to be bool, got int64'],
    ["sql { DRIVER: 5 }", 'parameter "driver" value is expected to be string, got int64'],
    ["sql { max_conns: x }", 'parameter "max_conns" value is expected to be int64, got string'],
    ["file { Buffer_Size: x }", 'parameter "Buffer_Size" value is expected to be int64, got string'],
    ["file { auto_sync: 5 }", 'parameter "auto_sync" value is expected to be string, got int64'],
    ["tls { insecure: x }", 'parameter "insecure" value is expected to be bool, got string'],
    ["cluster { peers: x }", 'parameter "peers" value is expected to be slice, got string'],
    ["cluster { peers: [1 ] }", 'parameter "peers" value is expected to be string, got int64'],
    ["cluster { raft_lease_timeout: 5 }", 'parameter "raft_lease_timeout" value is expected to be string, got int64'],
    ["hbi: '10x'", 'time: unknown unit "x" in duration "10x"'],
    ["hbi: '10'", 'time: missing unit in duration "10"'],
    ["st: foo", "unknown store type: foo"],
    ["limits: 5", "expected store limits to be a map/struct, got 5"],
    ["limits { channels: x }", "expected per channel limits to be a map/struct, got x"],
    ["limits { channels { a: 5 } }", "expected channel limits to be a map/struct, got 5"],
    ["limits { channels { 'a b>': {} } }", 'invalid channel name "a b>"'],
    ["limits { channels { a..b: {} } }", 'invalid channel name "a..b"'],
    ["file_options: 5", "expected file options to be a map/struct, got 5"],
    ["sql_options: 5", "expected SQL options to be a map/struct, got 5"],
    ["tls: true", "expected TLS to be a map/struct, got true"],
    ["cluster: 5", "expected cluster to be a map/struct, got 5"],
  ];
  for (const [text, expected] of cases) assert.equal(reason(text ?? ""), expected);
  assert.equal(refusal("streaming: 5")[0], "expected streaming section to be a map/struct, got 5");
});

test("operations 1.5, 13.41: what only the whole configuration shows is a start failure", () => {
  const parsed = parseCommandLine(
    ["-c", "f.conf"],
    "stanchion",
    memorySources({ "f.conf": "streaming { limits { mc: 1, channels { a {}, b {}, 'c.>' {} } } }" }),
  );
  assert.deepEqual(parsed, {
    kind: "error",
    messages: ["too many channels defined (2). The max channels limit is set to 1"],
    exitCode: 1,
    startFailure: "streaming",
    log: defaultOptions().log,
  });
  assert.equal(reason("limits { mm: -1 }"), "max messages limit cannot be negative (-1)");
  assert.match(reason("cid: ''"), /^could not subscribe to discover subject/);
  assert.match(reason("discover_prefix: 'a b'"), /^could not subscribe to discover subject/);
});

test("decisions 8: an unknown key is ignored with one warning that names the nearest key", () => {
  const { notes } = accepted(
    "streaming {\n cluser_id: x\n limits { max_msg: 5, channels { a { max_agee: 5 } } }\n file { buffersize: 5, cache: true }\n}",
  );
  assert.deepEqual(notes, [
    {
      level: "warning",
      text: 'f.conf:2:2: unknown key "cluser_id" in streaming {} is ignored (did you mean cluster_id?)',
    },
    {
      level: "warning",
      text: 'f.conf:3:11: unknown key "max_msg" in store_limits {} is ignored (did you mean max_msgs?)',
    },
    {
      level: "warning",
      text: 'f.conf:3:38: unknown key "max_agee" in the limits of channel "a" is ignored (did you mean max_age?)',
    },
    {
      level: "warning",
      text: 'f.conf:4:9: unknown key "buffersize" in file_options {} is ignored (did you mean buffer_size?)',
    },
  ]);
  assert.deepEqual(accepted("streaming { NAME: x, cid: $NAME }").notes, []);
});

test("decisions 9: parts that are not there are refused; what cannot be felt is noted", () => {
  for (
    const text of [
      "ft_group: g",
      "ft_group_name: g",
      "ns: 'nats://h:1'",
      "partitioning: true",
      "cluster {}",
      "cluster { node_id: a, peers: [b, c] }",
    ]
  ) {
    assert.match(reason(text), /^"\w+" is not available in this version of stanchion: /, text);
  }
  assert.match(reason("store: sql"), /^store type SQL is not available in this version of stanchion: /);
  const { notes } = accepted(
    "streaming { dir: d, file { compact: false, crc: true }, sql { source: s }, secure: true\n" +
      "tls { client_ca: c, insecure: true, timeout: 5 }, syslog_name: n\n" +
      "ft_group: '', partitioning: false, ns: '' }",
  );
  assert.deepEqual(notes.map((note) => note.text.replace(/^f\.conf:\d+:\d+: /, "")), [
    '"source" has no effect: the store in use has no use for it',
    '"secure" has no effect: the streaming server reaches its embedded NATS server without a connection',
    '"client_ca" has no effect: the streaming server reaches its embedded NATS server without a connection',
    '"insecure" has no effect: the streaming server reaches its embedded NATS server without a connection',
    '"syslog_name" has no effect: it names the source of Windows events, and lines go to stderr, a file or a syslog',
  ]);
});

test("operations 2.1: without a streaming block all top-level keys are offered to the streaming half", () => {
  const { options, notes } = accepted("port: 5\ncid: x\nlimits { mm: 7 }\ndebug: true\nhb_fail: 5");
  assert.deepEqual([options.port, options.clusterId, options.limits.maxMessages], [5, "x", 7]);
  // Told once, although both halves read the file.
  assert.deepEqual(notes.map((note) => note.text), [
    'f.conf:5:1: unknown key "hb_fail" at the top level is ignored',
  ]);
  // The server's own tls block is not one of the streaming half's.
  const tls = accepted("tls { cert_file: cert.pem, key_file: key.pem }");
  assert.deepEqual(tls.notes, []);
});

test("operations 13.27, 13.33, 2.1: the block is found in any case; of two only the later one counts", () => {
  assert.equal(optionsOf("STREAMING { CLUSTER_ID: up }").clusterId, "up");
  const options = optionsOf("streaming { cid: a, hbf: 3 }\nport: 5\nStreaming { cid: b }");
  assert.deepEqual([options.clusterId, options.heartbeat.failCount, options.port], ["b", 10, 5]);
  assert.equal(optionsOf("cid: top\nstreaming { }").clusterId, "test-cluster");
});

test("operations 13.23, 13.24: one file by -c or -sc, or a file for each half", () => {
  const one = "port: 5\nstreaming { cid: x }";
  assert.deepEqual(accepted(one, ["-sc", "f.conf"]).options, {
    ...optionsOf(one),
    configFiles: { nats: "", streaming: "f.conf" },
  });
  const sources = memorySources({
    "n.conf": "port: 5\nstreaming { cid: ignored, bad: [1 ] }",
    "s.conf": "cid: s\nport: 6",
  });
  const parsed = parseCommandLine(["-c", "n.conf", "-sc", "s.conf"], "stanchion", sources);
  assert.equal(parsed.kind, "run");
  if (parsed.kind !== "run") return;
  assert.deepEqual([parsed.options.port, parsed.options.clusterId], [5, "s"]);
  assert.deepEqual(parsed.notes, [
    { level: "warning", text: 's.conf:2:1: unknown key "port" at the top level is ignored' },
  ]);
});

test("operations 1.5: a missing file, and one with a mistake in its grammar", () => {
  const missing = parseCommandLine(["-c", "no.conf"], "stanchion", memorySources());
  assert.deepEqual(missing, {
    kind: "error",
    messages: ["open no.conf: no such file or directory"],
    exitCode: 1,
    startFailure: false,
    log: defaultOptions().log,
  });
  assert.deepEqual(refusal("port: 1\nstreaming { a: [1,2] }"), [
    'f.conf:2:23: Parse error on line 2: \'Expected an array value terminator "," or an array terminator "]", ' +
    "but got '}' instead.'",
  ]);
  const both = memorySources({ "n.conf": "port: 1", "s.conf": "a" });
  const parsed = parseCommandLine(["-c", "n.conf", "-sc", "s.conf"], "stanchion", both);
  assert.deepEqual(parsed.kind === "error" && parsed.messages, ["config is invalid (s.conf:1:1)"]);
  assert.equal(parseCommandLine(["-c", "f.conf"], "stanchion").kind, "error");
});

test("operations 13.38, decisions 7: the command line wins, and one line says so", () => {
  const text =
    "listen: 'h:5'\ndebug: true\nhttp: 'm:6'\nstreaming { cid: a, limits { mm: 5, mb: 5, ma: 5s }, sd: true }";
  const args = "-cid b -mm 6 -mb 1k -ma 6s -p 7 -m 8 -DV=false -SD".split(" ");
  const { options, notes } = accepted(text, ["-c", "f.conf", ...args]);
  assert.deepEqual(
    [options.clusterId, options.limits.maxMessages, options.limits.maxBytes, options.limits.maxAgeMs, options.port],
    ["b", 6, 1000, 6_000, 7],
  );
  // Only the port changes: the host stays the file's (operations.md 2.7).
  assert.deepEqual([options.host, options.httpHost, options.httpPort], ["h", "m", 8]);
  assert.deepEqual([options.log.debug, options.log.streamingDebug], [false, true]);
  assert.deepEqual(notes.map((note) => note.text), [
    '-cid "b" on the command line overrides "a" of f.conf:4:13',
    "-mm 6 on the command line overrides 5 of f.conf:4:30",
    "-mb 1000 on the command line overrides 5 of f.conf:4:37",
    "-ma 6000 on the command line overrides 5000 of f.conf:4:44",
    "-p 7 on the command line overrides 5 of f.conf:1:0",
    "-m 8 on the command line overrides 6 of f.conf:3:1",
    "-DV false on the command line overrides true of f.conf:2:1",
  ]);
  const store = accepted("streaming { store: file }", ["-c", "f.conf", "-st", "memory"]);
  assert.deepEqual(store.notes.map((note) => note.text), [
    "-store memory on the command line overrides FILE of f.conf:1:12",
  ]);
});

test("operations 7.1, decisions 7: -user, -pass and -auth", () => {
  const auth = (text: string, ...args: string[]) => optionsOf(text, ...args).auth;
  assert.deepEqual(auth("", "-user", "u", "-pass", "p").users, [{ user: "u", password: "p" }]);
  assert.equal(auth("", "-auth", "t").token, "t");
  assert.deepEqual(refusal("", "-user", "u", "-auth", "t"), ["Cannot have a user/pass and token"]);
  assert.deepEqual(refusal("", "-pass", "p"), ["-pass needs a user: give -user too"]);
  const single = "authorization { user: a, password: b }";
  assert.deepEqual(auth(single, "-pass", "p").users, [{ user: "a", password: "p" }]);
  assert.deepEqual([auth(single, "-auth", "t").users, auth(single, "-auth", "t").token], [[], "t"]);
  assert.deepEqual([auth("authorization { token: t }", "-user", "u").token], [""]);
  const { notes } = accepted(single, ["-c", "f.conf", "-user", "u", "-pass", "s3cret"]);
  assert.deepEqual(notes.map((note) => note.text), [
    "-pass on the command line can be read by everybody who may list the processes of this machine. " +
    "Put it into the authorization block of a configuration file",
    "-user or -pass on the command line overrides the authorization block of f.conf",
  ]);
  // With a list of users they only say who the streaming server is.
  const list = optionsOf("authorization { users: [ {user: a, password: b} ] }", "-user", "a", "-pass", "b");
  assert.deepEqual(list.auth.users, [{ user: "a", password: "b" }]);
  assert.deepEqual([list.login.user, list.login.password], ["a", "b"]);
});

test("operations 13.14, 6.1: -tls flags replace the tls block as a whole", () => {
  assert.deepEqual(refusal("", "-tls"), ["TLS Server certificate must be present and valid"]);
  assert.deepEqual(refusal("", "-tls", "-tlscert", "cert.pem"), [
    "TLS Server private key must be present and valid",
  ]);
  assert.deepEqual(refusal("", "-tlscert", "no.pem", "-tlskey", "key.pem"), [
    "error parsing X509 certificate/key pair: open no.pem: no such file or directory",
  ]);
  const text = "tls { cert_file: cert.pem, key_file: key.pem, timeout: 9, verify: true }";
  const { options, notes } = accepted(text, ["-c", "f.conf", "-tlscert", "cert.pem", "-tlskey", "key.pem"]);
  assert.deepEqual([options.tls?.verify, options.tls?.timeoutMs, options.auth.timeoutMs], [false, 2_000, 3_000]);
  assert.deepEqual(notes.map((note) => note.text), ["-tls… on the command line overrides the tls block of f.conf"]);
  assert.equal(optionsOf(text, "-tls=false").tls, undefined);
  const verify = optionsOf("", "-tlscert", "cert.pem", "-tlskey", "key.pem", "-tlscacert", "ca.pem", "-tlsverify");
  assert.deepEqual([verify.tls?.caFile, verify.tls?.verify], ["ca.pem", true]);
});

test("operations 1.5: -t checks and starts nothing", () => {
  const sources = memorySources({ "f.conf": "port: 5" });
  const checked = parseCommandLine(["-t", "-c", "f.conf"], "stanchion", sources);
  assert.equal(checked.kind, "checked");
  assert.equal(parseCommandLine(["-t", "-sc", "f.conf"], "stanchion", sources).kind, "checked");
  assert.deepEqual(parseCommandLine(["-t"], "stanchion", sources), {
    kind: "error",
    messages: ["must specify [-c, --config] option to check configuration file syntax"],
    exitCode: 1,
    startFailure: false,
    log: defaultOptions().log,
  });
  assert.equal(parseCommandLine(["-t", "-c", "no.conf"], "stanchion", sources).kind, "error");
});

test("decisions 1: started as nats-server the file has one half", () => {
  const text = "port: 5\ncid: x\nstreaming { st: foo }";
  const parsed = parseCommandLine(["-c", "f.conf"], "nats-server", memorySources({ "f.conf": text }));
  assert.equal(parsed.kind, "run");
  if (parsed.kind !== "run") return;
  assert.deepEqual([parsed.options.port, parsed.options.clusterId], [5, "test-cluster"]);
  assert.deepEqual(parsed.notes.map((note) => note.text), [
    'f.conf:2:1: unknown key "cid" at the top level is ignored',
  ]);
});

test("operations 2.1: the golden server file", () => {
  const sources: ConfigSources = {
    readFile: (path) => ({ ok: true, text: readFileSync(path, "utf8") }),
    env: (name) => name === "DEBUG_CORE" ? "yes" : undefined,
  };
  const file = join(GOLDEN, "server.conf");
  const parsed = parseCommandLine(["-c", file], "stanchion", sources);
  assert.equal(parsed.kind, "run");
  if (parsed.kind !== "run") return;
  const expected = defaultOptions();
  assert.deepEqual(parsed.options, {
    ...expected,
    host: "127.0.0.1",
    port: 4333,
    httpPort: 8333,
    clusterId: "up",
    heartbeat: { ...expected.heartbeat, intervalMs: 5_000 },
    nats: { ...expected.nats, maxPayload: 2_097_152, maxPendingBytes: 8_388_608, pingIntervalMs: 20_000 },
    log: { ...expected.log, debug: true, streamingDebug: true },
    limits: {
      ...expected.limits,
      maxChannels: 10,
      maxMessages: 0,
      perChannel: [{ pattern: "foo.>", maxMessages: 5, maxAgeMs: 3_600_000 }, { pattern: "foo.bar", maxMessages: 0 }],
    },
    configFiles: { nats: file, streaming: "" },
  });
  assert.deepEqual([parsed.notes, parsed.warnings], [[], []]);
});

test("decisions 16: the space that publishes leave free is a key of the file block", () => {
  assert.equal(
    accepted("streaming { store: file, dir: d, file { free_space_reserve: 64MB } }").options.file.reserveBytes,
    67_108_864,
  );
  assert.equal(accepted("streaming { store: file, dir: d }").options.file.reserveBytes, 0);
});

test("the console: its keys, their types, and a token that cannot travel in a header", () => {
  const of = (text: string) => accepted(`streaming { console ${text} }`).options.console;
  assert.deepEqual(of("{}"), { enabled: true, token: "", browse: false });
  assert.deepEqual(of("{ enabled: off, token: ab }"), {
    enabled: false,
    token: "ab",
    browse: false,
  });
  assert.deepEqual(of("{ TOKEN: x, browse: yes }"), { enabled: true, token: "x", browse: true });
  assert.match(refusal("streaming { console: 5 }")[0] ?? "", /^expected console to be a map\/struct, got 5$/);
  assert.match(
    refusal("streaming { console { token: 5 } }")[0] ?? "",
    /^parameter "token" value is expected to be string/,
  );
  for (const token of ["two words", "täg", "line\\nend"]) {
    const [reason = ""] = refusal(`streaming { console { token: "${token}" } }`);
    assert.match(reason, /^console token may hold visible ASCII characters only/);
    assert.ok(!reason.includes(token));
  }
  const { notes } = accepted("streaming { console { tokn: x } }");
  assert.match(notes[0]?.text ?? "", /unknown key "tokn" in console \{\} is ignored \(did you mean token\?\)$/);
});
