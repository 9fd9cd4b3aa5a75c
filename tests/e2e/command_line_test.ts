/** The program as an operator meets it: arguments, files, signals, exit status and log lines. */
import { connect } from "@nats-io/transport-node";
import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync, statSync } from "node:fs";
import * as net from "node:net";
import process from "node:process";
import { describe, it } from "node:test";
import {
  PROCESS_TEST_MS_MAX,
  runTarget,
  startServerProcess,
  targetCommand,
  TARGETS,
  TestFolder,
  TestProcess,
} from "../helpers/server_process.ts";

const timeout = PROCESS_TEST_MS_MAX;

/** Log lines without process id and time; both are checked on the way. */
function logTexts(log: string): string[] {
  return log.trimEnd().split("\n").map((line) => {
    const match = /^\[\d+\] \d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d\.\d{6} (\[[A-Z]{3}\] .*)$/.exec(line);
    assert.ok(match, `not a log line: ${line}`);
    return match[1] ?? "";
  });
}

/** The log of a start, a stop, and nothing between, operations.md 3.2 with the differences of this product. */
const LIFE: readonly RegExp[] = [
  /^\[INF\] STREAM: Starting nats-streaming-server\[test-cluster\] version 0\.25\.6-stanchion\.\d+\.\d+\.\d+$/,
  /^\[INF\] STREAM: ServerID: \w{22}$/,
  // The reference: `Go version: ...`.
  /^\[INF\] STREAM: Runtime: (deno|bun)\d+\.\d+\.\d+$/,
  /^\[INF\] STREAM: Git commit: (\[not set\]|[0-9a-f]+(-dirty)?)$/,
  /^\[INF\] Starting nats-server$/,
  /^\[INF\] {3}Version: {2}2\.9\.24$/,
  /^\[INF\] {3}Git: {6}(\[not set\]|[0-9a-f]+(-dirty)?)$/,
  /^\[INF\] {3}Name: {5}N[A-Z2-7]{55}$/,
  /^\[INF\] {3}ID: {7}N[A-Z2-7]{55}$/,
  // The reference listens first and recovers then; here nobody gets in before streaming is ready.
  /^\[INF\] STREAM: Recovering the state\.\.\.$/,
  /^\[INF\] STREAM: No recovered state$/,
  /^\[INF\] STREAM: Message store is MEMORY$/,
  /^\[INF\] STREAM: -{10} Store Limits -{10}$/,
  /^\[INF\] STREAM: Channels: {18}100 \*$/,
  /^\[INF\] STREAM: -{9} Channels Limits -{8}$/,
  /^\[INF\] STREAM: {3}Subscriptions: {10}1000 \*$/,
  /^\[INF\] STREAM: {3}Messages {5}: {7}1000000 \*$/,
  /^\[INF\] STREAM: {3}Bytes {8}: {5}976\.56 MB \*$/,
  /^\[INF\] STREAM: {3}Age {10}: {5}unlimited \*$/,
  /^\[INF\] STREAM: {3}Inactivity {3}: {5}unlimited \*$/,
  /^\[INF\] STREAM: -{34}$/,
  /^\[INF\] Listening for client connections on 127\.0\.0\.1:\d+$/,
  /^\[INF\] Server is ready$/,
  /^\[INF\] STREAM: Streaming Server is ready$/,
  /^\[INF\] STREAM: Shutting down\.$/,
  /^\[INF\] Initiating Shutdown\.\.\.$/,
  /^\[INF\] Server Exiting\.\.$/,
];

for (const target of TARGETS) {
  describe(`command line of ${target}`, () => {
    const refusals: [section: string, args: string[], status: number, error: RegExp][] = [
      ["1.5 unknown flag", ["--bogus"], 2, /^flag provided but not defined: -bogus\n/],
      [
        "1.5 unknown flag, nearest named",
        ["-prot", "5"],
        2,
        /^flag provided but not defined: -prot \(did you mean -port\?\)\n/,
      ],
      ["1.5 bad integer", ["-p", "abc"], 2, /^invalid value "abc" for flag -p: parse error\n/],
      ["1.5 bad boolean", ["-SD=maybe"], 2, /^invalid boolean value "maybe" for -SD: parse error\n/],
      ["1.5 bad duration", ["-hbi", "10"], 2, /^invalid value "10" for flag -hbi: parse error\n/],
      ["1.5 missing value", ["-p"], 2, /^flag needs an argument: -p\n/],
      ["1.5 bad syntax", ["---x"], 2, /^bad flag syntax: ---x\n/],
      ["1.5 stray word", ["foo"], 1, /^unrecognized command: "foo"\n/],
      ["1.5 bad size", ["-mb", "10XB"], 1, /^mb should be a size, got '10XB'\n/],
    ];
    for (const [section, args, status, error] of refusals) {
      it(`${section}: "${args.join(" ")}" is one line and a hint, status ${status}`, { timeout }, async () => {
        const program = await runTarget(target, args);
        assert.equal(program.exitStatus, status);
        assert.equal(program.stdout, "");
        assert.match(program.stderr, error);
        const lines = program.stderr.trimEnd().split("\n");
        assert.equal(lines.length, 2, program.stderr);
        assert.match(lines[1] ?? "", /^(Run "\S+ --help" to see the options\.|The value .*\.)$/);
      });
    }

    it("1.5: a value that makes no sense is a failed start in the log", { timeout }, async () => {
      for (
        const [args, reason] of [
          [["-mc", "-1"], "max channels limit cannot be negative (-1)"],
          [["-st", "FOO"], "unsupported store type: FOO"],
        ] as const
      ) {
        const program = await runTarget(target, args);
        assert.equal(program.exitStatus, 1);
        assert.deepEqual(logTexts(program.stderr), [`[FTL] STREAM: Failed to start: ${reason}`]);
      }
    });

    it("1.5: what is not in this product is refused by name", { timeout }, async () => {
      const program = await runTarget(target, ["-js"]);
      assert.equal(program.exitStatus, 2);
      assert.match(
        program.stderr,
        /^flag -js is not available .*: JetStream is not part of this product; run a nats-server/,
      );
    });

    it("1.5: a busy port is one line that names it and says what to do, status 1", { timeout }, async () => {
      const holder = net.createServer().listen(0, "127.0.0.1");
      await new Promise((resolve) => holder.once("listening", resolve));
      const { port } = holder.address() as net.AddressInfo;
      const program = await runTarget(target, ["-a", "127.0.0.1", "-p", String(port)]);
      await new Promise((resolve) => holder.close(resolve));
      assert.equal(program.exitStatus, 1, program.stderr);
      const trouble = logTexts(program.stderr).filter((line) => !line.startsWith("[INF]"));
      assert.deepEqual(trouble, [
        `[FTL] Cannot listen on 127.0.0.1:${port}: the address is in use by another program. ` +
        "Stop that program or choose another port",
      ]);
    });

    it("3.5: a log file that cannot be opened is one dated line on stderr, status 1", { timeout }, async () => {
      using folder = new TestFolder();
      const path = folder.file("missing/server.log");
      const program = await runTarget(target, ["-p", "-1", "-l", path]);
      assert.equal(program.exitStatus, 1);
      const lines = program.stderr.trimEnd().split("\n");
      assert.equal(lines.length, 1, program.stderr);
      assert.match(
        lines[0] ?? "",
        /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d error opening file: open .*missing\/server\.log: /,
      );
      assert.match(lines[0] ?? "", /Name a file that can be written, or leave -l out$/);
    });

    it("4.3: a pid file that cannot be written ends the start, status 1", { timeout }, async () => {
      using folder = new TestFolder();
      const program = await runTarget(target, ["-a", "127.0.0.1", "-p", "-1", "-P", folder.file("missing/pid")]);
      assert.equal(program.exitStatus, 1);
      assert.match(
        logTexts(program.stderr).at(-1) ?? "",
        /^\[FTL\] Could not write pidfile: .*missing\/pid.* leave -P out$/,
      );
    });

    it("1.6: --help and -h go to stdout, status 0", { timeout }, async () => {
      for (const flag of ["--help", "-h", "help"]) {
        const program = await runTarget(target, [flag]);
        assert.equal(program.exitStatus, 0);
        assert.equal(program.stderr, "");
        assert.match(program.stdout, /^\nUsage: stanchion \[options\]\n\nStreaming Server Options:\n/);
        assert.match(program.stdout, /--port/);
        assert.match(program.stdout, /\n\n$/);
      }
    });

    it("1.6: --version is one line under the own name", { timeout }, async () => {
      for (const flag of ["--version", "-v", "version"]) {
        const program = await runTarget(target, [flag]);
        assert.equal(program.exitStatus, 0);
        assert.equal(program.stderr, "");
        assert.match(program.stdout, /^stanchion version \d+\.\d+\.\d+ \(NATS Streaming 0\.25\.6, NATS 2\.9\.24\)\n$/);
      }
    });

    it("3.2, 4.1: the log of a life; SIGTERM ends it gracefully with 143", { timeout }, async () => {
      const server = await startServerProcess(target);
      assert.equal(await server.stop("SIGTERM"), 143);
      const texts = logTexts(server.log);
      LIFE.forEach((line, index) => assert.match(texts[index] ?? "(no line)", line));
      assert.equal(texts.length, LIFE.length, server.log);
      assert.ok(server.log.startsWith(`[${server.pid}] `));
    });

    it("4.1: SIGINT ends it gracefully with 0, also with clients", { timeout }, async () => {
      const server = await startServerProcess(target);
      const nc = await connect({ servers: `127.0.0.1:${server.port}`, reconnect: false });
      const closed = nc.closed();
      assert.equal(await server.stop("SIGINT"), 0);
      assert.match(server.log, /Server Exiting\.\.\n$/);
      await closed;
    });

    it("3.5, 4.1, 4.3: log file, SIGUSR1 and pid file", { timeout }, async () => {
      using folder = new TestFolder();
      const [log, pid, moved] = [folder.file("server.log"), folder.file("server.pid"), folder.file("moved.log")];
      const command = [...await targetCommand(target), "-a", "127.0.0.1", "-p", "-1", "-l", log, "-P", pid];
      const program = new TestProcess(command);
      await program.untilFileSays(log, "Streaming Server is ready");
      // Decimal, no line end, not for everybody.
      assert.equal(await program.untilFileSays(pid, ""), readFileSync(pid, "utf8"));
      renameSync(log, moved);
      program.signal("SIGUSR1");
      assert.match(await program.untilFileSays(log, "\n"), /File log re-opened/);
      assert.equal(readFileSync(pid, "utf8"), String(program.pid));
      for (const path of [log, pid]) assert.equal(statSync(path).mode & 0o007, 0, path);
      assert.equal(await program.stop(), 143);
      assert.equal(program.stdout + program.stderr, "");
      assert.equal(logTexts(readFileSync(moved, "utf8")).length, LIFE.length - 3);
      assert.match(readFileSync(log, "utf8"), /Server Exiting\.\.\n$/);
      // Left behind, as the reference does.
      assert.ok(existsSync(pid));
    });

    it("3.4: -SD adds debug lines of streaming only", { timeout }, async () => {
      const server = await startServerProcess(target, { args: ["-SD"] });
      await server.stop();
      const debug = logTexts(server.log).filter((line) => line.startsWith("[DBG]"));
      for (
        const line of [
          "[DBG] STREAM: Discover subject:           _STAN.discover.test-cluster",
          "[DBG] STREAM: Publish subject:            _STAN.pub.test-cluster.>",
          "[DBG] STREAM: Subscribe subject:          _STAN.sub.test-cluster",
          "[DBG] STREAM: Subscription Close subject: _STAN.subclose.test-cluster",
          "[DBG] STREAM: Unsubscribe subject:        _STAN.unsub.test-cluster",
          "[DBG] STREAM: Close subject:              _STAN.close.test-cluster",
        ]
      ) assert.ok(debug.includes(line), line);
      assert.ok(debug.every((line) => line.startsWith("[DBG] STREAM: ")), debug.join("\n"));
      assert.doesNotMatch(server.log, /\[TRC\]/);
    });

    it("3.4: -DV shows protocol lines of the core only, and never a password", { timeout }, async () => {
      const server = await startServerProcess(target, { args: ["-DV"] });
      const nc = await connect({ servers: `127.0.0.1:${server.port}`, user: "me", pass: "s3cret-pass" });
      nc.publish("seen", "hello");
      await nc.flush();
      await nc.close();
      await server.stop();
      const traces = logTexts(server.log).filter((line) => /^\[(TRC|DBG)\]/.test(line));
      assert.ok(traces.some((line) => /^\[TRC\] 127\.0\.0\.1:\d+ - cid:\d+ - <<- \[PING\]$/.test(line)), server.log);
      assert.ok(traces.some((line) => /<<- \[PUB seen 5\]/.test(line)), server.log);
      assert.ok(traces.every((line) => !line.includes("STREAM: ")), server.log);
      assert.match(server.log, /REDACTED/);
      assert.doesNotMatch(server.log, /s3cret-pass/);
    });

    it("1.4: -T=false leaves the time out; -cid names the cluster", { timeout }, async () => {
      const server = await startServerProcess(target, { args: ["-T=false", "-cid", "my-cluster"] });
      await server.stop();
      assert.ok(
        server.log.startsWith(`[${server.pid}] [INF] STREAM: Starting nats-streaming-server[my-cluster] version`),
      );
    });
  });
}

// The source cannot be started under another name.
describe("the names of the executable", () => {
  const linked = async (
    folder: TestFolder,
    name: string,
  ) => [folder.link(name, (await targetCommand("executable"))[0] ?? "")];

  it("decision 2: --version under each name", { timeout }, async () => {
    using folder = new TestFolder();
    for (
      const [name, line] of [
        ["stanchion", /^stanchion version (\d+\.\d+\.\d+) \(NATS Streaming 0\.25\.6, NATS 2\.9\.24\)\n$/],
        [
          "nats-streaming-server",
          /^nats-streaming-server version 0\.25\.6-stanchion\.\d+\.\d+\.\d+, nats-server: v2\.9\.24\n$/,
        ],
        ["nats-server", /^nats-server: v2\.9\.24\n$/],
      ] as const
    ) {
      const program = await runTarget("executable", ["--version"], { command: await linked(folder, name) });
      assert.equal(program.exitStatus, 0);
      assert.match(program.stdout, line);
      const help = await runTarget("executable", ["--help"], { command: [folder.file(name)] });
      assert.ok(help.stdout.startsWith(`\nUsage: ${name} [options]\n`), help.stdout);
    }
  });

  it("decision 1: nats-streaming-server found on PATH serves streaming", { timeout }, async () => {
    using folder = new TestFolder();
    await linked(folder, "nats-streaming-server");
    const server = await startServerProcess("executable", {
      command: ["nats-streaming-server"],
      env: { PATH: `${folder.path}:${process.env["PATH"]}` },
    });
    assert.equal(await server.stop(), 143);
    assert.match(server.log, /Starting nats-streaming-server\[test-cluster\]/);
  });

  it("decision 1: as nats-server it is the core server alone", { timeout }, async () => {
    using folder = new TestFolder();
    const command = await linked(folder, "nats-server");
    const server = await startServerProcess("executable", { command, coreOnly: true });
    const nc = await connect({ servers: `127.0.0.1:${server.port}` });
    nc.subscribe("echo", { callback: (_error, message) => void message.respond(message.data) });
    assert.equal((await nc.request("echo", "hello")).string(), "hello");
    await assert.rejects(nc.request("_STAN.discover.test-cluster", ""), /no responders/i);
    await nc.close();
    assert.equal(await server.stop(), 143);
    assert.doesNotMatch(server.log, /STREAM/);
    const flag = await runTarget("executable", ["-cid", "x"], { command });
    assert.equal(flag.exitStatus, 2, "a flag of the streaming part is unknown to the core server");
  });
});
