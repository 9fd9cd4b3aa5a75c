/** The commands of the executable as people and scripts call them: against a running server, and against directories. */
import { nkeys } from "@nats-io/nats-core";
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ROOT } from "../../scripts/project.ts";
import { bashScript, fishScript, zshScript } from "../../src/cli/completions.ts";
import { COMMAND_TABLE } from "../../src/cli/command_table.ts";
import { runCommandOn } from "../../src/cli/run_command.ts";
import { pickRuntime } from "../../src/runtime/pick.ts";
import type { Disk } from "../../src/runtime/types.ts";
import { makeCertificate } from "../helpers/certificates.ts";
import {
  PROCESS_TEST_MS_MAX,
  runTarget,
  type ServerProcess,
  startServerProcess,
  targetCommand,
  type TargetName,
  TARGETS,
  TestFolder,
  TestProcess,
} from "../helpers/server_process.ts";
import { FakeHost } from "../unit/cli/cli_support.ts";

const timeout = PROCESS_TEST_MS_MAX;
const GOLDEN = join(ROOT, "tests/golden/filestore");
const TOKEN = "the-token-of-the-console";

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}

/** A server with a FILE store, and how commands are run against it. */
class Bench implements AsyncDisposable {
  private constructor(
    readonly target: TargetName,
    readonly command: readonly string[],
    readonly server: ServerProcess,
    readonly folder: TestFolder,
    readonly env: Readonly<Record<string, string>>,
  ) {}

  static async open(target: TargetName, args: readonly string[] = []): Promise<Bench> {
    const folder = new TestFolder();
    const server = await startServerProcess(target, {
      args: ["-m", "-1", "-store", "FILE", "-dir", folder.file("store"), ...args],
      env: { STANCHION_CONSOLE_TOKEN: TOKEN },
    });
    const monitor = /Starting http monitor on (?:\S+:)(\d+)/.exec(server.log);
    assert.ok(monitor, server.log);
    return new Bench(target, await targetCommand(target), server, folder, {
      STANCHION_URL: server.url,
      STANCHION_MONITOR: `http://127.0.0.1:${monitor[1]}`,
      STANCHION_CONSOLE_TOKEN: TOKEN,
    });
  }

  /** Runs one command to its end. */
  run(...args: readonly string[]): Promise<TestProcess> {
    return runTarget(this.target, args, { env: this.env });
  }

  /** Runs a line of a shell in which `stanchion` is the target. */
  async shell(line: string, cwd = this.folder.path): Promise<TestProcess> {
    const script = `stanchion() { ${quoted(this.command)} "$@"; }\n${line}`;
    const child = new TestProcess(["bash", "-c", script], { cwd, env: this.env });
    await child.exit;
    return child;
  }

  /** Starts one that goes on until it is told to end. */
  start(...args: readonly string[]): TestProcess {
    return new TestProcess([...this.command, ...args], { env: this.env });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
    this.folder[Symbol.dispose]();
  }
}

/** With the files of this machine, or what a test puts before them. */
class DiskHost extends FakeHost {
  constructor(override readonly disk: Disk) {
    super();
  }
}

/** In this process, with a clock that goes. */
class ClockedHost extends FakeHost {
  constructor(env: Readonly<Record<string, string>>) {
    super({ env });
  }

  override readonly clock = {
    monotonicMs: () => performance.now(),
    wallNs: (out: { high: number; low: number }) => {
      const ns = BigInt(Date.now()) * 1_000_000n;
      out.high = Number(ns >> 32n);
      out.low = Number(ns & 0xffff_ffffn);
    },
  };
}

function good(process: TestProcess): string {
  assert.equal(process.exitStatus, 0, `${process.stdout}\n${process.stderr}`);
  return process.stdout;
}

/** JSON lines. */
function jsonLines(text: string): Record<string, unknown>[] {
  return text.trimEnd().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

for (const target of TARGETS) {
  describe(`commands of ${target}`, () => {
    let bench: Bench;
    before(async () => {
      bench = await Bench.open(target);
    }, { timeout });
    after(() => bench[Symbol.asyncDispose](), { timeout });

    it("protocol 11: pub stores an argument, standard input, a file, and lines", { timeout }, async () => {
      const first = good(await bench.run("pub", "pubs", "from an argument"));
      assert.match(first, /^1 message \(16 B\) stored in channel "pubs" after .*, guid \w{22}\n$/);
      good(await bench.shell("printf 'from\\ninput' | stanchion pub pubs -"));
      writeFileSync(bench.folder.file("lines.txt"), "one\r\ntwo\n\nfour");
      good(await bench.run("pub", "pubs", "--file", bench.folder.file("lines.txt")));
      good(await bench.run("pub", "pubs", "--lines", "--file", bench.folder.file("lines.txt")));
      const lines = jsonLines(good(await bench.run("pub", "pubs", "again", "--count", "3", "--json")));
      assert.deepEqual(lines.map(({ channel, bytes }) => [channel, bytes]), [["pubs", 5], ["pubs", 5], ["pubs", 5]]);
      assert.equal(new Set(lines.map(({ guid }) => guid)).size, 3);
      const stored = jsonLines(good(await bench.run("sub", "pubs", "--all", "--count", "10", "--json")));
      assert.deepEqual(stored.map(({ data }) => data), [
        "from an argument",
        "from\ninput",
        "one\r\ntwo\n\nfour",
        ...["one", "two", "", "four"],
        ...["again", "again", "again"],
      ]);
      assert.deepEqual(stored.map(({ sequence }) => sequence), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    });

    it("protocol 13: sub begins where it is told to, and prints as it is told to", { timeout }, async () => {
      good(await bench.shell("printf 'a\\nb\\nc' | stanchion pub subs - --lines"));
      const raw = async (...args: string[]) => good(await bench.run("sub", "subs", "--raw", ...args));
      assert.equal(await raw("--all", "--count", "3"), "a\nb\nc\n");
      assert.equal(await raw("--last", "--count", "1"), "c\n");
      assert.equal(await raw("--from", "2", "--count", "2"), "b\nc\n");
      assert.equal(await raw("--since", "1h", "--count", "1"), "a\n");
      assert.equal(await raw("--idle", "100ms"), "", "new messages only, and there are none");
      assert.match(good(await bench.run("sub", "subs", "--last", "-n", "1")), /^3 {2}20\d\d-\S+Z {2}c\n$/);
      assert.match(good(await bench.run("sub", "subs", "--last", "-n", "1", "--hex")), / 63 +\|c\|\n$/);
    });

    it(
      "protocol 19: a durable goes on where it was, Ctrl-C keeps it, --unsubscribe removes it",
      { timeout },
      async () => {
        good(await bench.run("pub", "durs", "x", "--count", "4"));
        const args = ["sub", "durs", "--all", "--durable", "d", "--client-id", "me", "--json"];
        const sequences = (text: string) => jsonLines(text).map(({ sequence }) => sequence);
        assert.deepEqual(sequences(good(await bench.run(...args, "--max-inflight", "1", "--count", "2"))).slice(0, 2), [
          1,
          2,
        ]);
        const child = bench.start(...args);
        await child.untilSaid(/"sequence":4/);
        assert.equal(await child.stop("SIGINT"), 0, child.stderr);
        const durables = JSON.parse(good(await bench.run("durables", "--search", "durs", "--json"))).durables;
        assert.deepEqual(
          durables.map((row: Record<string, unknown>) => [row["durable_name"], row["client_id"], row["is_offline"]]),
          [
            ["d", "me", true],
          ],
        );
        assert.deepEqual(sequences(good(await bench.run(...args, "--idle", "200ms", "--unsubscribe"))), []);
        assert.equal(good(await bench.run("durables", "--search", "durs")), "No durables\n");
        assert.deepEqual(sequences(good(await bench.run(...args, "--count", "4"))), [1, 2, 3, 4], "it begins anew");
      },
    );

    it("protocol 16: what --no-ack has shown comes again", { timeout }, async () => {
      good(await bench.run("pub", "noack", "x"));
      const args = ["sub", "noack", "--all", "--durable", "d", "--client-id", "noack", "--count", "1", "--json"];
      assert.equal(jsonLines(good(await bench.run(...args, "--no-ack")))[0]?.["redelivered"], undefined);
      assert.equal(jsonLines(good(await bench.run(...args)))[0]?.["redelivered"], true);
      assert.equal(good(await bench.run(...args, "--idle", "200ms")), "");
    });

    it("the reader of the output may leave early", { timeout }, async () => {
      good(await bench.run("pub", "head", "line", "--count", "2000"));
      const { exitStatus, stdout, stderr } = await bench.shell(
        "set -o pipefail; stanchion sub head --all --raw | head -2",
      );
      assert.deepEqual([exitStatus, stdout, stderr], [0, "line\nline\n", ""]);
    });

    it("bench counts every message, both ways", { timeout }, async () => {
      const args = [
        "bench",
        "speed",
        "--pub",
        "2",
        "--sub",
        "2",
        "--msgs",
        "301",
        "--size",
        "64",
        "--store-hint",
        "test",
      ];
      const report = JSON.parse(good(await bench.run(...args, "--json")));
      assert.deepEqual([report.publish.msgs, report.receive.msgs, report.store_hint], [301, 602, "test"]);
      const { p50, p99, max } = report.receive.latency_ms;
      assert.ok(p50 > 0 && p50 <= p99 && p99 <= max, JSON.stringify(report));
      const channel = JSON.parse(good(await bench.run("channels", "speed", "--json")));
      assert.deepEqual([channel.msgs, channel.subscriptions], [301, []]);
      assert.match(good(await bench.run("bench", "speed", "--msgs", "10")), /^Channel speed.*\nPublished +\d+ msgs\/s/);
    });

    it("channels, clients and durables show what is there; a name shows more", { timeout }, async () => {
      good(await bench.run("pub", "shown", "x", "--count", "3"));
      const child = bench.start("sub", "shown", "--all", "--client-id", "watcher", "--no-ack", "--max-inflight", "2");
      await child.untilSaid(/^2 {2}20/m);
      assert.match(
        good(await bench.run("channels", "--search", "SHOWN")),
        /^shown +3 +\d+ B +1 +3 +1 +2 +1 +stalled$/m,
      );
      const one = good(await bench.run("channels", "shown"));
      assert.match(one, /^plain +- +- +watcher +2 +1 +\S+(?: \S+)? +2\/2 +stalled$/m);
      assert.equal(JSON.parse(good(await bench.run("channels", "shown", "--json"))).stalled, true);
      assert.match(good(await bench.run("clients")), /^watcher +1 /m);
      assert.match(good(await bench.run("clients", "watcher")), /^shown +plain +- +- +watcher +2 +1 /m);
      const missing = await bench.run("channels", "nothing");
      assert.deepEqual([missing.exitStatus, missing.stderr], [1, 'There is no channel "nothing"\n']);
      assert.equal(await child.stop("SIGINT"), 0);
      assert.equal((await bench.run("clients", "watcher")).exitStatus, 1);
    });

    it("actions go through the console: what they do, and what is refused", { timeout }, async () => {
      good(await bench.run("pub", "acted", "x", "--count", "5"));
      good(await bench.run("sub", "acted", "--all", "--durable", "d", "--client-id", "actor", "--count", "1"));
      writeFileSync(bench.folder.file("token"), `${TOKEN}\n`);
      const last = async () => JSON.parse(good(await bench.run("durables", "--search", "acted", "--json"))).durables[0];
      good(await bench.run("durables", "rewind", "acted", "d", "--client", "actor", "--to", "4", "--yes"));
      assert.equal((await last()).last_sent, 3);
      assert.match(
        good(await bench.run("durables", "pause", "acted", "d", "--client", "actor", "--yes")),
        /^Channel "acted", durable "d": paused/,
      );
      assert.equal((await last()).is_paused, true);
      good(await bench.run("durables", "resume", "acted", "d", "--client", "actor"));
      assert.equal((await last()).is_paused, false);
      good(
        await bench.run(
          "channels",
          "purge",
          "acted",
          "--up-to",
          "2",
          "--yes",
          "--token-file",
          bench.folder.file("token"),
        ),
      );
      assert.equal(JSON.parse(good(await bench.run("channels", "acted", "--json"))).first_seq, 3);
      const refused = await bench.run("channels", "delete", "acted", "--yes");
      assert.deepEqual([refused.exitStatus, refused.stdout], [1, ""], "it has a durable");
      const unasked = await bench.run("channels", "delete", "acted", "--force");
      assert.equal(unasked.exitStatus, 2);
      assert.match(unasked.stderr, /give -yes if that is meant/);
      good(await bench.run("durables", "delete", "acted", "d", "--client", "actor", "--yes"));
      good(await bench.run("channels", "delete", "acted", "--yes"));
      assert.equal((await bench.run("channels", "acted")).exitStatus, 1);
      writeFileSync(bench.folder.file("wrong"), "not-the-token");
      const wrong = await bench.run("channels", "purge", "subs", "--yes", "--token-file", bench.folder.file("wrong"));
      assert.equal(wrong.exitStatus, 1);
      assert.match(wrong.stderr, /token/);
    });

    it("protocol 8: a client that waits answers heartbeats, and stays", { timeout }, async () => {
      await using other = await Bench.open(target, ["-hbi", "50ms", "-hbt", "10s", "-hbf", "1"]);
      // Whose heartbeats they are is told by the connect.
      const trace = other.start("trace", "--client", "alive", "--json");
      await trace.untilSaid("Tracing cluster");
      const sub = other.start("sub", "beats", "--all", "--client-id", "alive");
      await trace.untilSaid(/("answers":"heartbeat"[^]*){3}/);
      assert.equal(await trace.stop("SIGINT"), 0);
      good(await other.run("pub", "beats", "one"));
      good(await other.run("pub", "beats", "two"));
      await sub.untilSaid(/^2 {2}/m);
      assert.equal(await sub.stop("SIGINT"), 0);
    });

    it(
      "protocol 11: a message whose ack does not come is a failure, and its fate is not known",
      { timeout },
      async () => {
        await using other = await Bench.open(target);
        const host = new ClockedHost(other.env);
        host.input = async function* () {
          await Promise.resolve();
          // The client is connected when it asks for its input.
          other.server.process.signal("SIGSTOP");
          yield new TextEncoder().encode("lost?");
        };
        const args = ["lost", "-", "--ack-timeout", "100ms", "--timeout", "2s"];
        assert.equal(await runCommandOn("pub", args, host), 1);
        other.server.process.signal("SIGCONT");
        assert.equal(
          host.stderr,
          "Message 1 was not stored: no ack within 100 ms: whether the message is stored is not known\n" +
            "0 messages of 1 sent were stored\n",
        );
      },
    );

    it("protocol 4: trace shows a publish, a delivery and their answers", { timeout }, async () => {
      const child = bench.start("trace", "--channel", "traced", "--json", "--payload");
      await child.untilSaid("Tracing cluster");
      good(await bench.run("pub", "traced", "seen"));
      good(await bench.run("sub", "traced", "--all", "--count", "1", "--client-id", "reader"));
      await child.untilSaid(/"answers":"sub close"/);
      assert.equal(await child.stop("SIGINT"), 0);
      const events = jsonLines(child.stdout);
      assert.deepEqual(events.map(({ kind }) => kind), [
        ...["publish", "stored", "subscribe", "subscribed", "deliver", "ack", "sub close", "done"],
      ]);
      assert.deepEqual([events[0]?.["data"], events[4]?.["data"], events[4]?.["client"]], ["seen", "seen", "reader"]);
      for (const { kind, round_trip_ms } of events) {
        assert.equal(
          typeof round_trip_ms === "number",
          ["stored", "subscribed", "ack", "done"].includes(String(kind)),
          `${kind}`,
        );
      }
    });

    it("export from the server and from its directory write the same", { timeout }, async () => {
      good(await bench.shell("printf 'a\\nb\\nc\\nd\\n\\377' | stanchion pub exported - --lines"));
      const file = (name: string) => bench.folder.file(name);
      const store = file("store");
      assert.match(
        good(await bench.run("export", "--channel", "exported", "--out", file("online"))),
        /^5 messages of channel "exported", 1 to 5, written to /,
      );
      good(await bench.run("export", "--dir", store, "--channel", "exported", "--out", file("offline")));
      assert.equal(readFileSync(file("online"), "utf8"), readFileSync(file("offline"), "utf8"));
      assert.ok(!existsSync(file("online.part")));
      const all = jsonLines(readFileSync(file("offline"), "utf8"));
      assert.deepEqual(all.map(({ data, data_base64 }) => data ?? data_base64), ["a", "b", "c", "d", "/w=="]);
      for (const source of [["--dir", store], []]) {
        const range = good(await bench.run("export", ...source, "--channel", "exported", "--from", "2", "--to", "3"));
        assert.deepEqual(jsonLines(range), all.slice(1, 3));
        const times = ["--from", String(all[1]?.["time"]), "--to", String(all[3]?.["time"])];
        const timed = jsonLines(good(await bench.run("export", ...source, "--channel", "exported", ...times)));
        assert.ok(timed.every(({ time }) => String(time) >= String(times[1]) && String(time) <= String(times[3])));
        assert.ok(timed.some(({ sequence }) => sequence === 2) && timed.some(({ sequence }) => sequence === 4));
      }
      good(await bench.run("export", "--dir", store, "--channel", "exported", "--format", "raw", "--out", file("raw")));
      assert.deepEqual(readdirSync(file("raw")).sort(), [1, 2, 3, 4, 5].map((i) => String(i).padStart(16, "0")));
      assert.deepEqual([...readFileSync(file("raw/0000000000000005"))], [0xff]);
      assert.equal(good(await bench.run("export", "--channel", "exported", "--from", "9")), "");
    });

    it("what was purged is not exported from a directory, although its bytes may be there", { timeout }, async () => {
      good(await bench.run("pub", "purged", "x", "--count", "4"));
      good(await bench.run("channels", "purge", "purged", "--up-to", "2", "--yes"));
      const dir = bench.folder.file("store");
      const left = async () =>
        jsonLines(good(await bench.run("export", "--dir", dir, "--channel", "purged"))).map(({ sequence }) => sequence);
      assert.deepEqual(await left(), [3, 4]);
      good(await bench.run("channels", "purge", "purged", "--yes"));
      assert.deepEqual(await left(), []);
    });

    it("a part of an export is gone on with, and only where it ends", { timeout }, async () => {
      good(await bench.run("pub", "parts", "x", "--count", "4"));
      const dir = bench.folder.file("store");
      const out = bench.folder.file("parts");
      const line = (sequence: number) => `{"sequence":${sequence},"kept":true}\n`;
      const args = ["export", "--dir", dir, "--channel", "parts", "--out", out];
      writeFileSync(`${out}.part`, `${line(1)}${line(2)}{"sequ`);
      good(await bench.run(...args, "--from", "3"));
      const lines = jsonLines(readFileSync(out, "utf8"));
      assert.deepEqual(lines.map(({ sequence, kept }) => [sequence, kept === true]), [
        ...[[1, true], [2, true], [3, false], [4, false]],
      ]);
      writeFileSync(`${out}.part`, line(1));
      good(await bench.run(...args, "--from", "3"));
      assert.deepEqual(
        jsonLines(readFileSync(out, "utf8")).map(({ sequence }) => sequence),
        [3, 4],
        "not its own part",
      );
    });

    it(
      "stores 8: an encrypted directory is exported in clear with the key, and not with a wrong one",
      { timeout },
      async () => {
        for (const golden of ["enc-aes", "enc-chacha"]) {
          const run = (env: Record<string, string>) =>
            runTarget(target, ["export", "--dir", join(GOLDEN, golden), "--channel", "secret"], { env });
          const right = await run({ NATS_STREAMING_ENCRYPTION_KEY: "fixture-key" });
          const texts = jsonLines(good(right)).map(({ data }) => data);
          const [first, second, third, fourth, fifth] = texts;
          assert.deepEqual([first, second, third, fifth], ["secret-1", "", "\u0001\u0002\u0003", "ключ"]);
          assert.match(String(fourth), /^S+$/);
          const wrong = await run({ NATS_STREAMING_ENCRYPTION_KEY: "wrong" });
          assert.equal(wrong.exitStatus, 1);
          assert.match(wrong.stderr, /^Message 1 cannot be decrypted with the key in NATS_STREAMING_ENCRYPTION_KEY/);
          const none = await run({ NATS_STREAMING_ENCRYPTION_KEY: "" });
          assert.equal(none.exitStatus, 1);
          assert.match(none.stderr, /^All payloads look encrypted/);
        }
      },
    );

    it("a directory is looked at without a server, and nothing is written", { timeout }, async () => {
      const dir = join(GOLDEN, "plain");
      const files = () => readdirSync(dir, { recursive: true }).sort();
      const before = files();
      const channels = good(await runTarget(target, ["channels", "--dir", dir]));
      assert.match(channels, /^orders +12 +\S+ \S+ +1 +12 /m);
      const one = JSON.parse(good(await runTarget(target, ["channels", "orders", "--dir", dir, "--json"])));
      assert.equal(one.channels.length, 1);
      assert.ok(one.subscriptions.length > 0);
      const missing = await runTarget(target, ["channels", "--dir", join(dir, "none")]);
      assert.deepEqual([missing.exitStatus, missing.stdout], [1, ""]);
      const near = await runTarget(target, ["export", "--dir", dir, "--channel", "order"]);
      assert.match(near.stderr, /there is no such channel \(did you mean "orders"\?\)\n$/);
      const damaged = await runTarget(target, ["channels", "--dir", join(GOLDEN, "gap")]);
      assert.match(damaged.stderr, /finding.* in this directory: "\S+ check --dir .*gap" tells them\n$/);
      assert.deepEqual(files(), before);
    });

    it("what cannot be done is one line that says what to do, status 1", { timeout }, async () => {
      writeFileSync(bench.folder.file("large"), "y".repeat(1_048_577));
      const cases: readonly (readonly [args: readonly string[], text: RegExp])[] = [
        [["pub", "x", "y", "--server", "127.0.0.1:1"], /^Cannot connect to 127\.0\.0\.1:1: nobody listens there\. /],
        [["pub", "x", "y", "--cluster", "other"], /^No streaming server with cluster ID "other" at /],
        [["clients", "--monitor", "127.0.0.1:1"], /^Cannot ask the monitoring port at 127\.0\.0\.1:1: nobody listens/],
        [
          ["pub", "x", "--file", "/nothing/there"],
          /^Cannot read \/nothing\/there: there is no such file or directory\n$/,
        ],
        [["pub", "x", "--file", bench.folder.file("large")], /^Message 1 was not stored: 1048577 bytes are too large/],
        [["sub", "x", "--ca", "/nothing/there"], /^Cannot read \/nothing\/there/],
      ];
      for (const [args, text] of cases) {
        const { exitStatus, stdout, stderr } = await bench.run(...args);
        assert.equal(exitStatus, 1, args.slice(0, 2).join(" ") + stderr);
        assert.match(stderr, text);
        assert.equal(stdout, "");
      }
      const typo = await bench.run("sub", "x", "--durabel", "y");
      assert.equal(typo.exitStatus, 2);
      assert.match(typo.stderr, /^flag provided but not defined: -durabel \(did you mean -durable\?\)\nRun "/);
      const command = await bench.run("bensh");
      assert.deepEqual([command.exitStatus, command.stderr.split("\n")[0]], [
        1,
        'unrecognized command: "bensh" (did you mean "bench"?)',
      ]);
    });

    it("protocol 7: two with one client ID, and a name that the server refuses", { timeout }, async () => {
      const child = bench.start("sub", "ids", "--client-id", "single", "--all");
      good(await bench.run("pub", "ids", "x"));
      await child.untilSaid(/^1 {2}/m);
      const { exitStatus, stderr } = await bench.run("pub", "ids", "x", "--client-id", "single");
      assert.equal(exitStatus, 1);
      assert.equal(stderr, 'The server refused client "single": stan: clientID already registered\n');
      assert.equal(await child.stop("SIGTERM"), 0);
    });

    it("a server that goes away ends sub and trace with status 1", { timeout }, async () => {
      await using other = await Bench.open(target);
      good(await other.run("pub", "c", "x"));
      const sub = other.start("sub", "c", "--all");
      const trace = other.start("trace");
      await Promise.all([sub.untilSaid(/^1 {2}/m), trace.untilSaid("Tracing")]);
      await other.server.stop("SIGKILL");
      assert.deepEqual(await Promise.all([sub.exit, trace.exit]), [1, 1]);
      assert.match(sub.stderr, /^Lost the connection to 127\.0\.0\.1:\d+: the server closed the connection\n$/m);
    });

    it("the examples of docs/command_line.md work as they stand", { timeout }, async () => {
      const work = bench.folder.file("examples");
      mkdirSync(work);
      cpSync(join(GOLDEN, "plain"), join(work, "data"), { recursive: true });
      writeFileSync(join(work, "orders.txt"), "one\ntwo\n");
      const examples = COMMAND_TABLE.flatMap((row) => row.examples);
      for (const { command } of examples) {
        const { exitStatus, stdout, stderr } = await bench.shell(command, work);
        // An answer on standard error alone would be a complaint; trace says there that it listens.
        assert.equal(exitStatus, 0, `${command}\n${stdout}${stderr}`);
      }
      assert.ok(readFileSync(join(work, "orders.jsonl"), "utf8").startsWith('{"sequence":1,'));
      assert.equal(readdirSync(join(work, "orders.d")).length, 12);
    });

    it("completions bash: what bash itself offers", { timeout }, async () => {
      const complete = async (line: string) => {
        const words = line.split(" ");
        const script = `eval "$(stanchion completions bash)"
          COMP_WORDS=(${quoted(words)}); COMP_CWORD=${words.length - 1}
          complete() { :; }; compopt() { :; }; _stanchion; printf '%s\\n' "\${COMPREPLY[@]}"`;
        return good(await bench.shell(script)).trimEnd().split("\n");
      };
      mkdirSync(bench.folder.file("a-directory"), { recursive: true });
      assert.deepEqual(await complete("stanchion ch"), ["channels", "check"]);
      assert.deepEqual(await complete("stanchion durables re"), ["rewind", "resume"]);
      assert.deepEqual(await complete("stanchion sub c --dura"), ["--durable"]);
      assert.deepEqual(await complete("stanchion export --format "), ["jsonl", "raw"]);
      assert.deepEqual(await complete("stanchion export --dir a-dir"), ["a-directory"]);
      assert.deepEqual(await complete("stanchion completions z"), ["zsh"]);
      assert.deepEqual(await complete("stanchion sub c --count "), [""]);
    });
  });

  describe(`commands of ${target} at a server that keeps others out`, () => {
    const authority = makeCertificate({ commonName: "Stanchion test authority", isAuthority: true });
    const own = makeCertificate({ commonName: "localhost", issuer: authority, ipAddresses: ["127.0.0.1"] });
    const machine = nkeys.createUser();
    let folder: TestFolder;
    let server: ServerProcess;
    before(async () => {
      folder = new TestFolder();
      const write = (name: string, text: string) => {
        writeFileSync(folder.file(name), text);
        return JSON.stringify(folder.file(name));
      };
      write("ca.pem", authority.certificate);
      write("seed", `${new TextDecoder().decode(machine.getSeed())}\n`);
      write("password", "plain-secret\n");
      write(
        "server.conf",
        `tls { cert_file: ${write("cert.pem", own.certificate)}, key_file: ${write("key.pem", own.key)} }
        authorization { timeout: 10, users [
          { user: app, password: "plain-secret" }
          { nkey: ${machine.getPublicKey()} }
          { user: limited, password: "plain-secret", permissions { subscribe: ["_INBOX.>", "_STAN.acks.>"] } }
        ] }`,
      );
      server = await startServerProcess(target, { args: ["-c", folder.file("server.conf")] });
    }, { timeout });
    after(async () => {
      await server.stop();
      folder[Symbol.dispose]();
    }, { timeout });
    const run = (args: readonly string[], env: Record<string, string> = {}) =>
      runTarget(target, args, { env: { STANCHION_URL: server.url, ...env } });

    it("nats-server 6, 7: TLS with a password from file or environment, and an NKey", { timeout }, async () => {
      const ca = ["--ca", folder.file("ca.pem")];
      good(await run(["pub", "c", "x", ...ca, "--user", "app", "--password-file", folder.file("password")]));
      good(await run(["pub", "c", "x", ...ca, "--user", "app"], { STANCHION_PASSWORD: "plain-secret" }));
      good(await run(["pub", "c", "x", ...ca, "--nkey", folder.file("seed")]));
      const url = `tls://app:plain-secret@127.0.0.1:${server.port}`;
      assert.equal(
        good(await run(["sub", "c", "--all", "--raw", "-n", "3", ...ca], { STANCHION_URL: url })),
        "x\nx\nx\n",
      );
    });

    it("nats-server 6, 7: who is not let in is told why, and what to give", { timeout }, async () => {
      const untrusted = await run(["pub", "c", "x", "--user", "app"], { STANCHION_PASSWORD: "plain-secret" });
      assert.equal(untrusted.exitStatus, 1);
      assert.match(untrusted.stderr, /^Cannot connect to \S+: the certificate of the server is not trusted .* --ca\n$/);
      const stranger = await run(["pub", "c", "x", "--ca", folder.file("ca.pem"), "--user", "app"], {
        STANCHION_PASSWORD: "wrong-secret",
      });
      assert.equal(stranger.exitStatus, 1);
      assert.match(stranger.stderr, /^Cannot connect to \S+: Authorization Violation\. Give --user/);
      assert.ok(!stranger.stderr.includes("secret"));
    });

    it("nats-server 6.5: trace says which permissions it needs", { timeout }, async () => {
      const { exitStatus, stderr } = await run(["trace", "--ca", folder.file("ca.pem"), "--user", "limited"], {
        STANCHION_PASSWORD: "plain-secret",
      });
      assert.equal(exitStatus, 1);
      assert.match(
        stderr,
        /Permissions Violation .* A trace needs the permission to subscribe to "_STAN\.\*\.test-cluster"/,
      );
    });
  });
}

describe("commands and servers that are none of ours", () => {
  /** A monitoring port that answers from a table of paths. */
  async function withMonitor(
    answers: Readonly<Record<string, unknown>>,
    work: (env: Record<string, string>, requests: string[]) => Promise<void>,
  ): Promise<void> {
    const requests: string[] = [];
    const server = http.createServer((request, response) => {
      const path = (request.url ?? "").split("?")[0] ?? "";
      requests.push(`${request.method} ${request.url}`);
      const answer = answers[path];
      response.writeHead(answer === undefined ? 404 : 200, { "Content-Type": "application/json" });
      response.end(
        answer === undefined ? "404 page not found" : typeof answer === "string" ? answer : JSON.stringify(answer),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as net.AddressInfo;
    try {
      await work({ STANCHION_MONITOR: `http://127.0.0.1:${port}`, STANCHION_CONSOLE_TOKEN: "t" }, requests);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  const member = (client: string, lastSent: number) => ({
    client_id: client,
    queue_name: "d:g",
    is_durable: true,
    is_offline: false,
    max_inflight: 10,
    ack_wait: 30,
    last_sent: lastSent,
    pending_count: 1,
    is_stalled: false,
  });
  const streaming = {
    "/streaming/channelsz": {
      total: 1,
      channels: [{
        name: "orders",
        msgs: 9,
        bytes: 90,
        first_seq: 1,
        last_seq: 9,
        subscriptions: [member("a", 4), member("b", 7)],
      }],
    },
    "/streaming/clientsz": { total: 1, clients: [{ id: "a", subs_count: 1 }] },
  };

  it("operations 5.5 to 5.7: without a console the /streaming pages are read; members of a group are one row", async () => {
    await withMonitor(streaming, async (env) => {
      const host = new FakeHost({ env });
      assert.equal(await runCommandOn("durables", ["--json"], host), 0, host.stderr);
      const [row] = JSON.parse(host.stdout).durables;
      assert.deepEqual([row.kind, row.members, row.last_sent, row.lag, row.pending_count, row.lag_seconds], [
        "durable_group",
        ["a", "b"],
        7,
        2,
        2,
        null,
      ]);
      const channels = new FakeHost({ env });
      assert.equal(await runCommandOn("channels", [], channels), 0);
      assert.match(channels.stdout, /^orders +9 +90 B +1 +9 +2 +2 +2 +-$/m);
      const clients = new FakeHost({ env });
      assert.equal(await runCommandOn("clients", [], clients), 0);
      assert.match(clients.stdout, /^a +1 +- +-$/m);
    });
  });

  it("a list longer than a page is read to its end", async () => {
    const all = Array.from({ length: 2500 }, (_, i) => ({ id: `c${i}`, subs_count: 0 }));
    const server = http.createServer((request, response) => {
      const url = new URL(request.url ?? "", "http://x");
      if (url.pathname !== "/streaming/clientsz") return void response.writeHead(404).end();
      const offset = Number(url.searchParams.get("offset"));
      const limit = Math.min(1024, Number(url.searchParams.get("limit")));
      response.end(JSON.stringify({ total: all.length, clients: all.slice(offset, offset + limit) }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const host = new FakeHost({
      env: { STANCHION_MONITOR: `127.0.0.1:${(server.address() as net.AddressInfo).port}` },
    });
    assert.equal(await runCommandOn("clients", ["--json"], host), 0, host.stderr);
    assert.equal(JSON.parse(host.stdout).clients.length, 2500);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it("a server without a console refuses actions in words, and something else is told from a server", async () => {
    await withMonitor(streaming, async (env, requests) => {
      const host = new FakeHost({ env });
      assert.equal(await runCommandOn("channels", ["delete", "orders", "--yes"], host), 1);
      assert.match(host.stderr, /^The server at \S+ has no console, through which this is done\n$/);
      assert.deepEqual(requests, ["POST /console/api/actions/delete-channel"]);
    });
    await withMonitor({ "/streaming/clientsz": "<html>" }, async (env) => {
      const host = new FakeHost({ env });
      assert.equal(await runCommandOn("clients", [], host), 1);
      assert.match(host.stderr, /answered 200 and no JSON: is that a streaming server\?\n$/);
    });
  });

  it("operations 5, 6: a monitoring port with TLS is asked with its authority, and not without", async () => {
    const authority = makeCertificate({ commonName: "Stanchion test authority", isAuthority: true });
    const own = makeCertificate({ commonName: "localhost", issuer: authority, ipAddresses: ["127.0.0.1"] });
    using folder = new TestFolder();
    writeFileSync(folder.file("ca.pem"), authority.certificate);
    const server = https.createServer({ cert: own.certificate, key: own.key }, (request, response) => {
      if (!request.url?.startsWith("/streaming/clientsz")) response.writeHead(404);
      response.end(JSON.stringify(streaming["/streaming/clientsz"]));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const monitor = ["--monitor", `https://127.0.0.1:${(server.address() as net.AddressInfo).port}`];
    const trusting = new FakeHost();
    assert.equal(
      await runCommandOn("clients", [...monitor, "--ca", folder.file("ca.pem")], trusting),
      0,
      trusting.stderr,
    );
    assert.match(trusting.stdout, /^a +1 /m);
    const careful = new FakeHost();
    assert.equal(await runCommandOn("clients", monitor, careful), 1);
    assert.match(careful.stderr, /^Cannot ask the monitoring port at 127\.0\.0\.1:\d+: .*certificate.*--ca\n$/);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it("an export that is interrupted leaves its part and not its file, and goes on as it says", async () => {
    using folder = new TestFolder();
    const out = folder.file("sliced.jsonl");
    const args = ["--dir", join(GOLDEN, "slices"), "--channel", "sliced", "--out", out];
    const { disk } = await pickRuntime();
    const whole = new DiskHost(disk);
    assert.equal(await runCommandOn("export", ["--dir", join(GOLDEN, "slices"), "--channel", "sliced"], whole), 0);
    const host: DiskHost = new DiskHost({
      ...disk,
      open(path, mode) {
        // Ctrl-C in the middle of the channel.
        if (path.endsWith("/msgs.3.dat")) host.interrupt();
        return disk.open(path, mode);
      },
    });
    assert.equal(await runCommandOn("export", args, host), 1);
    const [, last, next] =
      /^Stopped behind message (\d+)\n.*sliced\.jsonl\.part holds .* -from (\d+) /.exec(host.stderr) ?? [];
    assert.ok(Number(last) > 1, host.stderr);
    assert.equal(Number(next), Number(last) + 1);
    assert.deepEqual([existsSync(out), existsSync(`${out}.part`)], [false, true]);
    const again = new DiskHost(disk);
    assert.equal(await runCommandOn("export", [...args, "--from", String(next)], again), 0, again.stderr);
    assert.equal(readFileSync(out, "utf8"), whole.stdout);
    assert.ok(!existsSync(`${out}.part`));
  });

  it("an export that has nothing to write leaves no part", async () => {
    using folder = new TestFolder();
    const host = new FakeHost();
    const out = folder.file("x.jsonl");
    assert.equal(await runCommandOn("export", ["--server", "127.0.0.1:1", "--channel", "x", "--out", out], host), 1);
    assert.deepEqual(readdirSync(folder.path), []);
  });

  it("what answers on the port and speaks no NATS is told so", async () => {
    const server = net.createServer((socket) => {
      // The client hangs up in the middle, which is what is wanted.
      socket.on("error", () => {});
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as net.AddressInfo;
    const host = new FakeHost();
    assert.equal(await runCommandOn("pub", ["c", "x", "--server", `127.0.0.1:${port}`], host), 1);
    assert.match(
      host.stderr,
      /^Cannot connect to \S+: not a frame of NATS: "HTTP\/1\.1 400 Bad Request"\. Is that the port/,
    );
    await new Promise((resolve) => server.close(resolve));
  });

  it(
    "completions zsh and fish are scripts that these shells can read, where they are installed",
    { timeout },
    async () => {
      using folder = new TestFolder();
      let tried = 0;
      for (const [shell, script] of [["bash", bashScript], ["zsh", zshScript], ["fish", fishScript]] as const) {
        writeFileSync(folder.file(shell), script("stanchion"));
        const child = new TestProcess([shell, "-n", folder.file(shell)]);
        const status = await child.exit;
        if (status === 127) continue;
        tried++;
        assert.equal(status, 0, child.stderr);
      }
      assert.ok(tried > 0, "bash at least is here");
    },
  );
});
