/**
 * Reload of the configuration: operations.md 2.8 and nats-server.md 3.13, over real files and sockets.
 * `NATS_ORACLE=/usr/sbin/nats-server` runs it against the reference, except for what is said to be ours only.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import type * as net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import * as tls from "node:tls";
import { makeCertificate, type TestCertificate } from "../../helpers/certificates.ts";
import { type ConfiguredServer, withConfig } from "../../helpers/configured_server.ts";
import { msg, ORACLE, pub, type RawClient } from "../../helpers/nats_server.ts";
import { dialSecurePeer } from "../../helpers/sockets.ts";

const isOracle = ORACLE !== undefined && ORACLE !== "";
/** Told at every reload. */
const ALWAYS = ["[INF] Reloaded: authorization users", "[INF] Reloaded: accounts"];
const DONE = "[INF] Reloaded server configuration";
const VIOLATION = "-ERR 'Authorization Violation'\r\n";
const QUIET = {};

/** What the reference does otherwise, or cannot do at all; docs/differences.md has the reasons. */
function ours(name: string, work: () => Promise<void>): void {
  test(name, { skip: isOracle }, work);
}

function users(...entries: string[]): string {
  return `authorization { users: [ ${entries.join(", ")} ] }\n`;
}

function failed(reason: string): string[] {
  return [`[ERR] Failed to reload server configuration: ${reason}`];
}

/** The server goes on as if nothing had been asked. */
async function isUnharmed(server: ConfiguredServer): Promise<void> {
  const client = await server.client(QUIET);
  await client.answers("SUB foo 1\r\n" + pub("foo", "x".repeat(100)), msg("foo", 1, "x".repeat(100)));
}

test("operations 2.8: nothing changed: users and accounts are told all the same", () =>
  withConfig("", async (server) => {
    assert.deepEqual(await server.reload(""), [...ALWAYS, DONE]);
  }));

test("operations 2.8: every option that can be reloaded has its line, in the reference's order", () =>
  withConfig("", async (server) => {
    const lines = await server.reload(`
      client_advertise: "1.2.3.4:5", trace: false, debug: true, max_connections: 50, ping_interval: "5s", ping_max: 7
      authorization { timeout: 1.5 }
      max_control_line: 500, max_payload: 100, pid_file: "FOLDER/pid", write_deadline: "3s", max_traced_msg_len: 9
    `);
    assert.deepEqual(lines, [
      "[INF] Reload: client_advertise = 1.2.3.4:5",
      "[INF] Reloaded: debug = true",
      "[INF] Reloaded: max_connections = 50",
      ...ALWAYS,
      "[INF] Reloaded: ping_interval = 5s",
      "[INF] Reloaded: ping_max = 7",
      "[INF] Reloaded: authorization timeout = 1.5",
      "[INF] Reloaded: max_control_line = 500",
      "[INF] Reloaded: max_payload = 100",
      `[INF] Reloaded: pid_file = ${join(server.folder, "pid")}`,
      "[INF] Reloaded: write_deadline = 3s",
      "[INF] Reloaded: max_traced_msg_len = 9",
      DONE,
    ]);
    assert.match(readFileSync(join(server.folder, "pid"), "utf8"), /^\d+$/);
    const { info } = await server.client();
    assert.equal(info.host, "1.2.3.4");
    assert.equal(info.port, 5);
    assert.equal(info.max_payload, 100);
  }));

for (
  const [change, reason] of [
    ["server_name: x", "config reload not supported for ServerName: old=, new=x"],
    ["max_pending: 70000000", "config reload not supported for MaxPending: old=67108864, new=70000000"],
    ["max_subscriptions: 5", "config reload not supported for MaxSubs: old=0, new=5"],
    ["max_sub_tokens: 5", "config reload not supported for MaxSubTokens: old=0, new=5"],
    ["logfile_size_limit: 3000", "config reload not supported for LogSizeLimit: old=0, new=3000"],
    ["http_port: 8333", "config reload not supported for HTTPPort: old=0, new=8333"],
    [
      users("{user: a, password: b}") + "no_auth_user: a",
      "config reload not supported for NoAuthUser: old=, new=a",
    ],
    ["max_payload: 70000000", "max_payload (70000000) cannot be higher than max_pending (67108864)"],
  ] as const
) {
  test(`operations 2.8: all or nothing: ${change.replace(/\n/g, " ")}`, () =>
    withConfig("", async (server) => {
      assert.deepEqual(await server.reload(`max_connections: 1, max_payload: 10\n${change}\n`), failed(reason));
      const client = await server.client(QUIET);
      await isUnharmed(server);
      await client.quiet();
    }));
}

test("operations 2.8, 13.53: a changed port is refused by its numbers", () =>
  withConfig("", async (server) => {
    const lines = await server.reload("port: 4999\n");
    assert.deepEqual(lines, failed(`config reload not supported for Port: old=${server.port}, new=4999`));
    await isUnharmed(server);
    // The one that is bound is no change.
    assert.deepEqual(await server.reload(`port: ${server.port}\n`), [...ALWAYS, DONE]);
  }));

test("operations 2.8: a file with errors is refused, and the next good one is taken", () =>
  withConfig("", async (server) => {
    const [line = "", ...more] = await server.reload("authorization {\n");
    assert.match(line, /^\[ERR\] Failed to reload server configuration: /);
    assert.deepEqual(more, []);
    await isUnharmed(server);
    assert.deepEqual(await server.reload("ping_max: 3\n"), [...ALWAYS, "[INF] Reloaded: ping_max = 3", DONE]);
  }));

ours(
  "operations 2.8: a key with an unknown name or a part that is not there is refused",
  () =>
    withConfig("", async (server) => {
      for (const config of ["mqtt { port: 1883 }", "accounts { A { imports: [ { stream: { account: B } } ] } }"]) {
        const lines = await server.reload(`max_payload: 10\n${config}\n`);
        assert.equal(lines.length, 1);
        assert.match(lines[0] ?? "", /^\[ERR\] Failed to reload server configuration: .*(mqtt|imports)/);
      }
      await isUnharmed(server);
    }),
);

ours("operations 13.55: without a file there is nothing to reload", async () => {
  // The command line of the helper always names a file, so the rule is asked directly.
  const { reloadFiles } = await import("../../../src/server/reload.ts");
  const { defaultOptions } = await import("../../../src/config/options.ts");
  const { openLog } = await import("../../../src/log/open_log.ts");
  const { pickRuntime } = await import("../../../src/runtime/pick.ts");
  for (
    const [name, line] of [
      ["nats-server", "[ERR] Failed to reload server configuration: "],
      ["stanchion", "[ERR] STREAM: Reload: "],
    ] as const
  ) {
    const runtime = await pickRuntime();
    let said = "";
    const process = {
      pid: 1,
      programName: name,
      errIsTerminal: false,
      writeErr: (text: string) => said += text,
      zoneOffsetMinutes: () => 0,
    };
    const { clock, files, openSyslog } = runtime;
    const log = openLog(defaultOptions().log, { clock, files, openSyslog, process });
    const server = { options: defaultOptions(name), reload: () => assert.fail("nothing to reload") };
    reloadFiles(server, log, () => assert.fail("nothing to read"));
    assert.ok(said.endsWith(`${line}can only reload config when a file is provided using -c or --config\n`), said);
  }
});

test("decision 7: the command line goes on to win over the file", () =>
  withConfig("", async (server) => {
    assert.deepEqual(await server.reload("debug: false\n"), [...ALWAYS, DONE]);
  }, { args: ["-D"] }));

test("nats 16: 64. a lower max_payload holds on a live connection at once, without INFO", () =>
  withConfig("", async (server) => {
    const same = await server.client({ protocol: 1 });
    const other = await server.client({ protocol: 1 });
    const frame = pub("foo", "x".repeat(200));
    await same.answers(frame, "");
    await server.reload("max_payload: 100\n");
    await same.quiet();
    // The very same line as before.
    same.write(frame);
    await same.closesWith("-ERR 'Maximum Payload Violation'\r\n");
    await other.answers(pub("foo", "x".repeat(100)), "");
    other.write(pub("foo", "x".repeat(101)));
    await other.closesWith("-ERR 'Maximum Payload Violation'\r\n");
  }));

test("nats 3.13: a higher max_payload holds on a live connection, too", () =>
  withConfig("max_payload: 100\n", async (server) => {
    const client = await server.client(QUIET);
    await client.answers(pub("foo", "x".repeat(100)), "");
    await server.reload("max_payload: 300\n");
    await client.answers("SUB foo 1\r\n" + pub("foo", "x".repeat(300)), msg("foo", 1, "x".repeat(300)));
  }));

test("nats 3.13: max_control_line holds on live connections", () =>
  withConfig("", async (server) => {
    const client = await server.client(QUIET);
    const line = `SUB ${"a".repeat(60)} 1\r\n`;
    await client.answers(line, "");
    await server.reload("max_control_line: 50\n");
    client.write(line);
    await client.closesWith("-ERR 'maximum control line exceeded'\r\n");
  }));

test("nats 3.13: max_connections closes as many as are too many, with the text", () =>
  withConfig("", async (server) => {
    const clients: RawClient[] = [];
    for (let i = 0; i < 5; i++) clients.push(await server.client(QUIET));
    const lines = await server.reload("max_connections: 2\n");
    assert.equal(lines.filter((line) => /^\[ERR\] .* - maximum connections exceeded$/.test(line)).length, 3);
    assert.deepEqual(lines.slice(3, 5), [
      "[INF] Closed 3 connections to fall within max_connections",
      "[INF] Reloaded: max_connections = 2",
    ]);
    let openCount = 0;
    for (const client of clients) {
      // A closed one ends; an open one answers.
      client.write("PING\r\n");
      if (await client.takeUntil("\r\n") === "PONG\r\n") openCount++;
    }
    assert.equal(openCount, 2);
    const late = await server.client();
    await late.closesWith("-ERR 'maximum connections exceeded'\r\n");
  }));

test("nats 3.13: with users, those who may not be here are closed with the text, the others stay", () =>
  withConfig("", async (server) => {
    const silent = await server.client();
    const nameless = await server.client(QUIET);
    const right = await server.client({ user: "a", pass: "x" });
    const wrong = await server.client({ user: "a", pass: "y" });
    const unknown = await server.client({ user: "zz", pass: "x" });
    const lines = await server.reload(users("{user: a, password: x}"));
    for (const client of [silent, nameless, wrong]) await client.closesWith(VIOLATION);
    // 2.9.10: who names a user that is not in the list is closed without a text.
    await unknown.closesWith("");
    await right.answers(pub("foo", "x"), "");
    assert.deepEqual(
      lines.filter((line) => line.startsWith("[ERR]")).map((line) => line.replace(/^.* - auth/, "auth")).sort(),
      [
        'authentication error - User ""',
        'authentication error - User ""',
        'authentication error - User "a"',
      ],
    );
    assert.equal((await server.client()).info.auth_required, true);
  }));

test("nats 3.13: a changed password is a violation, a removed user is closed silently", () =>
  withConfig(users("{user: a, password: x}", "{user: b, password: x}", "{user: c, password: x}"), async (server) => {
    const [a, b, c] = [
      await server.client({ user: "a", pass: "x" }),
      await server.client({ user: "b", pass: "x" }),
      await server.client({ user: "c", pass: "x" }),
    ];
    await server.reload(users("{user: a, password: new}", "{user: c, password: x}"));
    await a.closesWith(VIOLATION);
    await b.closesWith("");
    await c.quiet();
    await (await server.client({ user: "a", pass: "new" })).quiet();
  }));

test("nats 3.13: a changed token is a violation, the same one is not", () =>
  withConfig("authorization { token: t }\n", async (server) => {
    const client = await server.client({ auth_token: "t" });
    await server.reload("authorization { token: t }\n");
    await client.quiet();
    const lines = await server.reload("authorization { token: other }\n");
    await client.closesWith(VIOLATION);
    assert.ok(lines.includes("[INF] Reloaded: authorization token"));
    assert.ok(!lines.join("\n").includes("other"));
  }));

const RULES = '{user: b, password: x, permissions: {publish: "foo", subscribe: ["foo", "q work", "all.>"]}}';

test("nats 3.13: permissions change under a client: publishing, subscribing, and what it had", () =>
  withConfig("", async (server) => {
    const client = await server.client({ user: "b", pass: "x" });
    await client.answers("SUB foo 1\r\nSUB baz 2\r\nSUB q work 3\r\nSUB q other 4\r\nSUB q 5\r\n", "");
    // The line is remembered as allowed.
    await client.answers(pub("baz", "x"), msg("baz", 2, "x"));
    const lines = await server.reload(users(RULES));
    // The reference takes them back in any order.
    const removed = [["baz", 2], ["q", 4], ["q", 5]] as const;
    const errors = [];
    for (let i = 0; i < removed.length; i++) errors.push(await client.takeUntil("\r\n"));
    assert.deepEqual(
      errors.sort(),
      removed.map(([subject, sid]) =>
        `-ERR 'Permissions Violation for Subscription to "${subject}" (sid "${sid}")'\r\n`
      ),
    );
    assert.deepEqual(
      lines.filter((line) => line.includes("Removed sub")).sort(),
      removed.map(([subject, sid]) => `[INF] Removed sub "${subject}" (sid "${sid}") for User "b" - not authorized`),
    );
    await client.answers(pub("baz", "x"), `-ERR 'Permissions Violation for Publish to "baz"'\r\n`);
    await client.answers("SUB baz 9\r\n", `-ERR 'Permissions Violation for Subscription to "baz"'\r\n`);
    await client.answers(pub("foo", "hi"), msg("foo", 1, "hi"));
    await server.reload("");
  }));

test("nats 3.13, 6.2: a deny that comes filters the deliveries of a subscription that stays, and goes again", () => {
  const open = users("{user: a, password: x}", "{user: p, password: x}");
  const denied = users(
    '{user: a, password: x, permissions: {subscribe: {deny: "all.secret"}}}',
    "{user: p, password: x}",
  );
  return withConfig(open, async (server) => {
    const receiver = await server.client({ user: "a", pass: "x" });
    const publisher = await server.client({ user: "p", pass: "x" });
    await receiver.answers("SUB all.> 1\r\n", "");
    const both = pub("all.secret", "s") + pub("all.open", "o");
    const seen = async (expected: string) => {
      await publisher.answers(both, "");
      await receiver.answers("", expected);
    };
    await seen(msg("all.secret", 1, "s") + msg("all.open", 1, "o"));
    await server.reload(denied);
    await seen(msg("all.open", 1, "o"));
    await server.reload(open);
    await seen(msg("all.secret", 1, "s") + msg("all.open", 1, "o"));
  });
});

test("nats 2, 3.13: a client whose user moves to another account is closed silently, an account that is gone too", () => {
  const config = (a: string, b: string) => `accounts { A { users: [ ${a} ] }, B { users: [ ${b} ] } }\n`;
  const user = "{user: a, password: x}";
  return withConfig(config(user, ""), async (server) => {
    const moved = await server.client({ user: "a", pass: "x" });
    await server.reload(config("", user));
    await moved.closesWith("");
    const again = await server.client({ user: "a", pass: "x" });
    await server.reload(`accounts { C { users: [ ${user} ] } }\n`);
    await again.closesWith("");
    await (await server.client({ user: "a", pass: "x" })).answers(
      "SUB foo 1\r\n" + pub("foo", "c"),
      msg("foo", 1, "c"),
    );
  });
});

ours(
  "nats 3.13: without users everybody who is in $G stays, and all may be done",
  () =>
    withConfig(users('{user: a, password: x, permissions: {publish: "foo"}}'), async (server) => {
      const client = await server.client({ user: "a", pass: "x" });
      const denied = `-ERR 'Permissions Violation for Publish to "bar"'\r\n`;
      await client.answers("SUB bar 1\r\n" + pub("bar", "x"), denied);
      await server.reload("");
      await client.answers(pub("bar", "x"), msg("bar", 1, "x"));
      await (await server.client(QUIET)).quiet();
      // What it said is still known.
      await server.reload(users('{user: a, password: x, permissions: {publish: "foo"}}'));
      await client.answers(pub("bar", "x"), denied);
    }),
);

ours(
  "nats 3.13: a single user stays when nothing about it changes",
  () =>
    withConfig("authorization { user: u, password: p }\n", async (server) => {
      const client = await server.client({ user: "u", pass: "p" });
      await server.reload("authorization { user: u, password: p }\nping_max: 3\n");
      await client.quiet();
      const lines = await server.reload("authorization { user: u, password: p2 }\n");
      assert.ok(lines.includes("[INF] Reloaded: authorization password"));
      assert.ok(!lines.includes("[INF] Reloaded: authorization username"));
      assert.ok(!lines.join("\n").includes("p2"));
      await client.remainder();
    }),
);

test("operations 2.8: no_auth_user can go together with its user only", () => {
  const a = "{user: a, password: x}";
  return withConfig(users(a) + "no_auth_user: a\n", async (server) => {
    const anonymous = await server.client(QUIET);
    assert.deepEqual(
      await server.reload(users(a)),
      failed("config reload not supported for NoAuthUser: old=a, new="),
    );
    await anonymous.quiet();
    await server.reload(users("{user: b, password: y}"));
    // It was that user, who is gone.
    await anonymous.closesWith("");
  });
});

// TLS -----------------------------------------------------------------------------------------------------------------

const first = makeCertificate({ commonName: "first", ipAddresses: ["127.0.0.1"] });
const second = makeCertificate({ commonName: "second", ipAddresses: ["127.0.0.1"] });
const TLS = 'tls { cert_file: "FOLDER/cert.pem", key_file: "FOLDER/key.pem", timeout: 5 }\n';

function install(server: Pick<ConfiguredServer, "folder">, { certificate, key }: TestCertificate): void {
  writeFileSync(join(server.folder, "cert.pem"), certificate);
  writeFileSync(join(server.folder, "key.pem"), key);
}

const dialSecure = (port: number) => dialSecurePeer(port, { rejectUnauthorized: false });

/** Who the server said it was. */
function serverName(stream: net.Socket): string {
  assert.ok(stream instanceof tls.TLSSocket);
  return String(stream.getPeerCertificate().subject.CN);
}

test("nats 7, operations 2.8: new certificate files serve new connections, old ones keep theirs", () =>
  withConfig("", async (server) => {
    install(server, first);
    const on = await server.reload(TLS);
    assert.ok(on.includes("[INF] Reloaded: tls = enabled"), on.join("\n"));
    assert.equal((await server.client()).info.tls_required, true);
    const early = await dialSecure(server.port);
    assert.equal(serverName(early.stream), "first");
    // The same files: no change. (The reference tells one as soon as there was a handshake.)
    const unchanged = await server.reload(TLS);
    if (!isOracle) assert.deepEqual(unchanged, [...ALWAYS, DONE]);

    install(server, second);
    const renewed = await server.reload(TLS);
    assert.deepEqual(renewed, [...ALWAYS, "[INF] Reloaded: tls = enabled", DONE]);
    const late = await dialSecure(server.port);
    assert.equal(serverName(late.stream), "second");
    await early.ping();

    writeFileSync(join(server.folder, "key.pem"), first.key);
    const [line = ""] = await server.reload(TLS);
    assert.match(line, /^\[ERR\] Failed to reload server configuration: /);
    const still = await dialSecure(server.port);
    assert.equal(serverName(still.stream), "second");

    const off = await server.reload("");
    assert.ok(off.includes("[INF] Reloaded: tls = disabled"), off.join("\n"));
    await isUnharmed(server);
    for (const { stream } of [early, late, still]) stream.destroy();
  }));

ours("nats 7, 8: renewed certificate files serve new WebSocket connections, too", () => {
  const websocket = `websocket { host: 127.0.0.1, port: -1, ${TLS.replace("timeout: 5", "")} }\n`;
  return withConfig(websocket, async (server) => {
    const nameOf = async () => {
      const port = server.server?.nats.webSocketPort ?? 0;
      const stream = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
      await new Promise<void>((resolve, reject) => {
        stream.once("secureConnect", () => resolve());
        stream.once("error", reject);
      });
      const name = serverName(stream);
      stream.destroy();
      return name;
    };
    assert.equal(await nameOf(), "first");
    install(server, second);
    assert.deepEqual(await server.reload(websocket), [...ALWAYS, DONE]);
    assert.equal(await nameOf(), "second");
    writeFileSync(join(server.folder, "cert.pem"), "no certificate");
    assert.match((await server.reload(websocket)).join(), /Failed to reload server configuration: .*cert\.pem/);
    assert.equal(await nameOf(), "second");
  }, { prepare: (folder) => install({ folder }, first) });
});

test("operations 2.8: TLS options that cannot change are refused by name", () =>
  withConfig("", async (server) => {
    install(server, first);
    await server.reload(TLS);
    for (
      const [key, name] of [["verify_and_map: true", "TLSMap: old=false, new=true"], [
        "connection_rate_limit: 5",
        "TLSRateLimit: old=0, new=5",
      ]]
    ) {
      const config = TLS.replace("timeout: 5", `${key}, ca_file: "FOLDER/cert.pem"`);
      assert.deepEqual(await server.reload(config), failed(`config reload not supported for ${name}`));
    }
    assert.deepEqual(
      await server.reload("allow_non_tls: true\n" + TLS),
      failed("config reload not supported for AllowNonTLS: old=false, new=true"),
    );
  }));

// Ours alone ------------------------------------------------------------------------------------------------------------

ours("differences: lame duck times can be reloaded", () =>
  withConfig("", async (server) => {
    const lines = await server.reload('lame_duck_duration: "40s"\nlame_duck_grace_period: "5s"\n');
    assert.deepEqual(lines, [
      ...ALWAYS,
      "[INF] Reloaded: lame_duck_duration = 40s",
      "[INF] Reloaded: lame_duck_grace_period = 5s",
      DONE,
    ]);
    assert.equal(server.server?.nats.options.lameDuckDurationMs, 40_000);
    assert.equal(server.server?.nats.options.lameDuckGraceMs, 5_000);
  }));

ours(
  "operations 3.5: the log goes to its new file from the last line on; one that cannot be opened changes nothing",
  () =>
    withConfig("", async (server) => {
      const [refused = ""] = await server.reload('log_file: "FOLDER/none/x.log"\nmax_payload: 10\n');
      assert.match(refused, /^\[ERR\] Failed to reload server configuration: error opening file: /);
      await isUnharmed(server);
      const path = join(server.folder, "new.log");
      void server.reload('log_file: "FOLDER/new.log"\nlogtime: false\n');
      await server.untilLogged("Reloaded: log_file");
      assert.equal(server.lines.at(-1), `[INF] Reloaded: log_file = ${path}`);
      assert.match(readFileSync(path, "utf8"), /^\[\d+\] \[INF\] Reloaded server configuration\n$/);
    }),
);

ours(
  "operations 13.54: streaming options keep their values, and the log names those that would change",
  () =>
    withConfig("streaming { id: one }\n", async (server) => {
      const lines = await server.reload(
        "streaming { id: two, sd: true, store_limits { max_channels: 3 } }\nping_max: 3\n",
      );
      assert.deepEqual(lines, [
        ...ALWAYS,
        "[INF] Reloaded: ping_max = 3",
        "[WRN] STREAM: Reload: these options are read at start only and keep their values: " +
        "cluster_id, store_limits.max_channels, sd",
        DONE,
      ]);
      const options = server.server?.options;
      assert.deepEqual([options?.clusterId, options?.limits.maxChannels, options?.nats.pingMax], ["one", 100, 3]);
    }, { programName: "stanchion" }),
);

ours("operations 2.8: in the streaming server a refusal has its own words", () =>
  withConfig("", async (server) => {
    const lines = await server.reload("max_pending: 70000000\n");
    assert.deepEqual(lines, [
      "[ERR] STREAM: Reload: config reload not supported for MaxPending: old=67108864, new=70000000",
    ]);
  }, { programName: "stanchion" }));
