/** What an operator relies on, by the numbers of operations.md 13, on the program itself. */
import assert from "node:assert/strict";
import * as dgram from "node:dgram";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as net from "node:net";
import { describe, it } from "node:test";
import { closeStan, connectStan, publish } from "../interop/stan_client.ts";
import { makeCertificate } from "../helpers/certificates.ts";
import {
  PROCESS_TEST_MS_MAX,
  runTarget,
  startServerProcess,
  targetCommand,
  TARGETS,
  TestFolder,
  TestProcess,
} from "../helpers/server_process.ts";
import { Waiter } from "../helpers/sockets.ts";

const timeout = PROCESS_TEST_MS_MAX;

/** Lines of a log without process id and time. */
function texts(log: string): string[] {
  return log.trimEnd().split("\n").map((line) => line.replace(/^\[\d+\] \d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d\.\d{6} /, ""));
}

/** The program ended with `status`, said nothing on stdout, and its last line on stderr is `line`. */
function endedWith(program: TestProcess, status: number, line: RegExp): void {
  assert.equal(program.exitStatus, status, program.stderr);
  assert.equal(program.stdout, "");
  assert.match(texts(program.stderr).at(-1) ?? "", line);
}

/** Packets that arrive on a UDP port. */
class Packets extends Waiter {
  readonly all: string[] = [];
  readonly #socket = dgram.createSocket("udp4");

  async open(): Promise<number> {
    this.#socket.on("message", (bytes) => {
      this.all.push(bytes.toString("utf8"));
      this.notify();
    });
    await new Promise<void>((resolve) => this.#socket.bind(0, "127.0.0.1", resolve));
    return this.#socket.address().port;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}

for (const target of TARGETS) {
  describe(`operations of ${target}`, () => {
    it(
      "operations 13.2, 13.3, 13.7: flags that are not understood: the reference's text, status 2",
      { timeout },
      async () => {
        for (
          const [args, line] of [
            [["-bogus"], /^flag provided but not defined: -bogus\n/],
            [["-mm", "abc"], /^invalid value "abc" for flag -mm: parse error\n/],
            [["-ma", "10"], /^invalid value "10" for flag -ma: parse error\n/],
          ] as const
        ) {
          const program = await runTarget(target, args);
          assert.equal(program.exitStatus, 2);
          assert.match(program.stderr, line);
        }
      },
    );

    it("operations 13.10: --help_tls lists 24 cipher names and 4 curves on stdout, status 0", { timeout }, async () => {
      const program = await runTarget(target, ["--help_tls"]);
      assert.deepEqual([program.exitStatus, program.stderr], [0, ""]);
      assert.match(program.stdout, /tls \{\n +cert_file: /);
      assert.equal(program.stdout.match(/^ +TLS_[A-Z0-9_]+$/gm)?.length, 24);
      assert.equal(program.stdout.match(/^ +(X25519|CurveP\d+)$/gm)?.length, 4);
    });

    it("operations 13.14, 13.16, 13.71: what cannot start says so in one line, status 1", { timeout }, async () => {
      using folder = new TestFolder();
      const { certificate, key } = makeCertificate({ commonName: "localhost" });
      writeFileSync(folder.file("cert.pem"), certificate);
      writeFileSync(folder.file("key.pem"), key);
      const tls = ["-tls", "-tlscert", folder.file("cert.pem"), "-tlskey", folder.file("key.pem")];
      for (
        const [args, line] of [
          [["-tls"], /^TLS Server certificate must be present and valid$/],
          [["-st", "file"], /^\[FTL\] STREAM: Failed to start: for FILE stores, root directory must be specified$/],
          [["-ms", "1"], /^\[FTL\] Can't start monitoring: TLS cert and key required for HTTPS$/],
          [
            ["-m", "1", "-ms", "2", ...tls],
            /^\[FTL\] Can't start monitoring: can't specify both HTTP \(1\) and HTTPs \(2\) ports$/,
          ],
          [["-tls", "-tlscert", "no.pem", "-tlskey", "no.pem"], /no\.pem/],
        ] as const
      ) {
        endedWith(await runTarget(target, args), 1, line);
      }
    });

    it("operations 1.5: a start that fails says so where the log goes", { timeout }, async () => {
      using folder = new TestFolder();
      const log = folder.file("server.log");
      const program = await runTarget(target, ["-l", log, "-mc", "-1"]);
      assert.deepEqual([program.exitStatus, program.stderr, program.stdout], [1, "", ""]);
      const reason = "max channels limit cannot be negative (-1)";
      assert.deepEqual(texts(readFileSync(log, "utf8")), [`[FTL] STREAM: Failed to start: ${reason}`]);
    });

    it("operations 13.20: -sl with what cannot be sent: the reference's texts, status 1", { timeout }, async () => {
      endedWith(await runTarget(target, ["-sl", "stop=abc"]), 1, /^invalid pid: abc$/);
      endedWith(await runTarget(target, ["-sl", "stop=1=2"]), 1, /^invalid signal parameters: \[2\]$/);
      const bogus = await runTarget(target, ["--signal", "bogus=1"]);
      assert.equal(bogus.exitStatus, 1);
      assert.match(bogus.stderr, /^unknown signal "bogus"\n/);
    });

    it("operations 13.21, 13.52: -sl by the pid file, which has no line end and survives", { timeout }, async () => {
      using folder = new TestFolder();
      const pid = folder.file("server.pid");
      const server = await startServerProcess(target, { args: ["-P", pid] });
      assert.equal(readFileSync(pid, "utf8"), String(server.pid));
      const reopen = await runTarget(target, ["-sl", `reopen=${server.pid}`]);
      assert.deepEqual([reopen.exitStatus, reopen.stdout, reopen.stderr], [0, "", ""]);
      await server.process.untilSaid("File log re-open ignored, not a file logger");
      const quit = await runTarget(target, ["-sl", `quit=${pid}`]);
      assert.deepEqual([quit.exitStatus, quit.stdout, quit.stderr], [0, "", ""]);
      assert.equal(await server.process.exit, 0);
      assert.ok(existsSync(pid));
      endedWith(await runTarget(target, ["-sl", `quit=${pid}`]), 1, /^no such process$/);
    });

    it("operations 4.3: the ports file lists what is open, and goes with the server", { timeout }, async () => {
      using folder = new TestFolder();
      const args = ["-ports_file_dir", folder.path, "-m", "-1"];
      const server = await startServerProcess(target, { args });
      const path = folder.file(`stanchion_${server.pid}.ports`);
      // Written right after the last line of the start.
      server.process.signal("SIGUSR1");
      await server.process.untilSaid("File log re-open ignored");
      const { nats, monitoring, ...rest } = JSON.parse(readFileSync(path, "utf8")) as Record<string, string[]>;
      assert.deepEqual([nats, rest], [[server.url], {}]);
      const answer = await fetch(`${monitoring?.[0]}/healthz`);
      assert.equal(answer.status, 200);
      await answer.body?.cancel();
      await server.stop();
      assert.deepEqual(readdirSync(folder.path), []);
    });

    it(
      "operations 13.45: Store location is told if and only if dir is set, whatever the store",
      { timeout },
      async () => {
        using folder = new TestFolder();
        const dir = folder.file("store");
        for (
          const [args, store, isTold] of [
            [[], "MEMORY", false],
            [["-dir", dir], "MEMORY", true],
            [["-dir", dir, "-st", "file"], "FILE", true],
          ] as const
        ) {
          const server = await startServerProcess(target, { args });
          await server.stop();
          const lines = texts(server.log);
          const at = lines.indexOf(`[INF] STREAM: Message store is ${store}`);
          assert.ok(at > 0, server.log);
          assert.equal(lines[at + 1] === `[INF] STREAM: Store location: ${dir}`, isTold, server.log);
        }
      },
    );

    it("operations 13.50: -r sends packets of the reference's form, the last line included", { timeout }, async () => {
      const packets = new Packets();
      const port = await packets.open();
      const url = `udp://127.0.0.1:${port}`;
      const program = new TestProcess([...await targetCommand(target), "-a", "127.0.0.1", "-p", "-1", "-r", url]);
      await packets.until(() => packets.all.some((text) => text.includes("Streaming Server is ready")));
      assert.equal(await program.stop("SIGINT"), 0);
      await packets.until(() => packets.all.some((text) => text.includes("Server Exiting..")));
      assert.deepEqual([program.stdout, program.stderr], ["", ""]);
      for (const text of packets.all) {
        const [, pid] =
          /^<[0-7]>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d) \S+ stanchion\[(\d+)\]: [^\n]+\n$/.exec(text) ??
            [];
        assert.equal(pid, String(program.pid), text);
      }
      const down = packets.all.find((text) => text.endsWith("]: STREAM: Shutting down.\n"));
      assert.ok(down?.startsWith("<5>"), packets.all.join(""));
      await packets.close();
    });

    it(
      "operations 3.6, 1.5: syslogs that cannot be, and a start that fails beside one that can",
      { timeout },
      async () => {
        endedWith(await runTarget(target, ["-r", "foo://h:1"]), 1, /error invalid network type: "foo"/);
        const closed = net.createServer().listen(0, "127.0.0.1");
        await new Promise((resolve) => closed.once("listening", resolve));
        const { port } = closed.address() as net.AddressInfo;
        await new Promise((resolve) => closed.close(resolve));
        const refused = await runTarget(target, ["-r", `tcp://127.0.0.1:${port}`]);
        assert.equal(refused.exitStatus, 1);
        assert.match(refused.stderr, /^\S+ \S+ error connecting to syslog: "[^\n]*"\n$/);

        using folder = new TestFolder();
        const packets = new Packets();
        const url = `udp://127.0.0.1:${await packets.open()}`;
        const program = await runTarget(target, ["-r", url, "-P", folder.file("missing/pid"), "-p", "-1"]);
        await packets.until(() => packets.all.some((text) => text.includes("Could not write pidfile")));
        const critical = packets.all.find((text) => text.includes("Could not write pidfile"));
        assert.match(critical ?? "", /^<2>/);
        assert.equal(program.exitStatus, 1);
        assert.match(program.stdout, /^Could not write pidfile: /);
        await packets.close();
      },
    );

    it("operations 2.8, 3.6: a reload moves the log to a syslog and back", { timeout }, async () => {
      using folder = new TestFolder();
      const packets = new Packets();
      const url = `udp://127.0.0.1:${await packets.open()}`;
      const file = folder.file("log.conf");
      writeFileSync(file, "debug: false\n");
      const server = await startServerProcess(target, { args: ["-c", file] });
      writeFileSync(file, `remote_syslog: "${url}"\n`);
      server.process.signal("SIGHUP");
      await packets.until(() => packets.all.some((text) => text.endsWith(": Reloaded server configuration\n")));
      assert.ok(texts(server.log).includes(`[INF] Reloaded: remote_syslog = ${url}`), server.log);
      writeFileSync(file, "debug: false\n");
      server.process.signal("SIGHUP");
      await server.process.untilSaid("Reloaded server configuration");
      writeFileSync(file, 'remote_syslog: "ftp://x"\n');
      server.process.signal("SIGHUP");
      await server.process.untilSaid('[ERR] STREAM: Reload: error invalid network type: "ftp"');
      assert.equal(await server.stop(), 143);
      await packets.close();
    });

    it(
      "operations 4.1: a second signal ends a stop that does not get on, and says what was left",
      { timeout },
      async () => {
        using folder = new TestFolder();
        const script = folder.file("archive.sh");
        const running = folder.file("running");
        const hold = folder.file("hold");
        writeFileSync(hold, "");
        // Any number of them may run; all end when the folder goes.
        const text = `#!/bin/sh\n: > "${running}"\nwhile [ -e "${hold}" ]; do sleep 0.1; done\n`;
        writeFileSync(script, text, { mode: 0o755 });
        const store = ["-st", "file", "-dir", folder.file("store"), "-mm", "1", "-file_slice_max_msgs", "1"];
        const server = await startServerProcess(target, { args: [...store, "-file_slice_archive_script", script] });
        const stan = await connectStan(server.url, "publisher");
        // Each message pushes out the slice of the one before; the script for it does not end.
        for (let i = 0; !existsSync(running); i++) {
          assert.ok(i < 10_000, server.log);
          await publish(stan, "foo", "x");
        }
        await closeStan(stan);
        server.process.signal("SIGTERM");
        await server.process.untilSaid("Initiating Shutdown...");
        // Close behind the first one it is taken for the same.
        const again = setInterval(() => server.process.signal("SIGTERM"), 100);
        assert.equal(await server.process.exit.finally(() => clearInterval(again)), 1);
        const last = texts(server.log).at(-1) ?? "";
        assert.match(last, /^\[WRN\] Stopped at once, because a second signal came\. Not finished: .* clos/);
      },
    );

    it("operations 14.37: logtime_utc", { timeout }, async () => {
      const server = await startServerProcess(target, { args: ["-logtime_utc"], env: { TZ: "Asia/Tokyo" } });
      await server.stop();
      const [, day = "", time = ""] = server.log.split(/[ \n]/);
      const at = Date.parse(`${day.replaceAll("/", "-")}T${time}Z`);
      // Tokyo is nine hours off.
      assert.ok(Math.abs(Date.now() - at) < 3_600_000, `${day} ${time}`);
    });

    it(
      "operations 13.73: users in a list do not shut the streaming server out: it needs no login",
      { timeout },
      async () => {
        using folder = new TestFolder();
        const file = folder.file("users.conf");
        writeFileSync(file, "authorization { users: [ { user: a, password: b } ] }\n");
        const server = await startServerProcess(target, { args: ["-c", file] });
        assert.match(server.log, /\[WRN\] Plaintext passwords detected, use nkeys or bcrypt\n/);
        assert.equal(await server.stop(), 143);
      },
    );

    it(
      "operations 13.74, 13.75: neither a private authority nor client certificates concern the streaming server",
      { timeout },
      async () => {
        using folder = new TestFolder();
        const authority = makeCertificate({ commonName: "authority", isAuthority: true });
        const { certificate, key } = makeCertificate({ commonName: "localhost", issuer: authority });
        for (const [name, text] of [["cert", certificate], ["key", key], ["ca", authority.certificate]] as const) {
          writeFileSync(folder.file(`${name}.pem`), text);
        }
        const file = folder.file("tls.conf");
        const names = ["cert", "key", "ca"].map((name) => `${name}_file: "${folder.file(`${name}.pem`)}"`).join(", ");
        writeFileSync(file, `tls { ${names}, verify: true }\nstreaming { tls { insecure: true } }\n`);
        const server = await startServerProcess(target, { args: ["-c", file] });
        assert.match(server.log, /\[INF\] TLS required for client connections\n/);
        assert.match(server.log, /"insecure" has no effect: the streaming server reaches its embedded NATS server/);
        assert.equal(await server.stop(), 143);
      },
    );

    it("operations 13.87: the documented config map starts, and prints its limits", { timeout }, async () => {
      using folder = new TestFolder();
      const golden = readFileSync(new URL("../golden/config/kubernetes.conf", import.meta.url), "utf8");
      const file = folder.file("stan.conf");
      const text = golden.replace("/var/run/nats/stan.pid", folder.file("stan.pid"))
        .replace("/data/stan/store", folder.file("store")).replace("8222", "-1");
      writeFileSync(file, text);
      const server = await startServerProcess(target, { args: ["-sc", file], env: { POD_NAME: "stan-0" } });
      const lines = texts(server.log);
      assert.ok(lines.includes("[INF]   Name:     stan-0"), server.log);
      const at = lines.indexOf("[INF] STREAM: ---------- Store Limits ----------");
      assert.deepEqual(lines.slice(at, at + 14), [
        "[INF] STREAM: ---------- Store Limits ----------",
        "[INF] STREAM: Channels:                  100 *",
        "[INF] STREAM: --------- Channels Limits --------",
        "[INF] STREAM:   Subscriptions:           128",
        "[INF] STREAM:   Messages     :     unlimited",
        "[INF] STREAM:   Bytes        :     256.00 GB",
        "[INF] STREAM:   Age          :        1h0m0s",
        "[INF] STREAM:   Inactivity   :     unlimited *",
        "[INF] STREAM: -------- List of Channels --------",
        "[INF] STREAM: orders.>",
        "[INF] STREAM:  |-> Bytes                32.00 MB",
        "[INF] STREAM:  |-> Age                   24h0m0s",
        "[INF] STREAM:  orders.eu",
        "[INF] STREAM: ----------------------------------",
      ]);
      assert.equal(readFileSync(folder.file("stan.pid"), "utf8"), String(server.pid));
      assert.equal(await server.stop(), 143);
    });

    it(
      "operations 4.1, 14.16: SIGTERM during recovery is graceful, and nothing is missing afterwards",
      { timeout },
      async () => {
        using folder = new TestFolder();
        const dir = folder.file("store");
        const args = ["-store", "FILE", "-dir", dir, "-mc", "0", "-a", "127.0.0.1", "-p", "-1"];
        await (await startServerProcess(target, { args })).stop();
        // Every directory is a channel.
        const count = 1500;
        for (let i = 0; i < count; i++) mkdirSync(`${dir}/channel-${i}`);
        const program = new TestProcess([...await targetCommand(target), ...args]);
        await program.untilSaid("Recovering the state...");
        assert.equal(await program.stop("SIGTERM"), 143);
        assert.deepEqual(texts(program.stderr).slice(-3), [
          "[INF] STREAM: Shutting down.",
          "[INF] Initiating Shutdown...",
          "[INF] Server Exiting..",
        ]);
        const next = await startServerProcess(target, { args });
        assert.ok(texts(next.log).includes(`[INF] STREAM: Recovered ${count} channel(s)`), next.log);
        await next.stop();
      },
    );

    it("operations 1.4: -t checks all of it, starts nothing, and leaves nothing behind", { timeout }, async () => {
      using folder = new TestFolder();
      const file = folder.file("t.conf");
      const check = async (text: string, ...args: string[]) => {
        writeFileSync(file, text);
        return await runTarget(target, ["-t", "-c", file, ...args]);
      };
      const dir = folder.file("store");
      const good = await check(`streaming { store: file, dir: "${dir}", file_options { crc: off } }`);
      assert.equal(good.exitStatus, 0, good.stderr);
      assert.match(good.stderr, /^file_crc is off: [^\n]+\nstanchion: configuration file .*t\.conf is valid\n$/);
      assert.equal(existsSync(dir), false);

      writeFileSync(folder.file("broken.pem"), "no certificate");
      const broken = `"${folder.file("broken.pem")}"`;
      mkdirSync(dir);
      writeFileSync(folder.file("plain"), "");
      for (
        const [text, reasons] of [
          [`tls { cert_file: ${broken}, key_file: ${broken} }`, [/broken\.pem/]],
          [`streaming { store: file, dir: "${folder.file("plain")}" }`, [/^dir: .*plain is not a directory$/]],
          ["streaming { encrypt: true }", [/^encryption key required$/]],
          ["pid_file: '/nowhere/at/all/pid', log_file: '/nowhere/log'", [
            /^log_file: there is no directory/,
            /^pid_file/,
          ]],
          ["remote_syslog: 'ftp://x'", [/^error invalid network type: "ftp"/]],
          ["streaming { store_limits { max_msgs: -1 } }", [/Failed to start: max messages limit cannot be negative/]],
          ["port: x\nhttp: y", [/:1:\d+: .*string, not int64$/, /:2:\d+: could not parse address/]],
        ] as const
      ) {
        const program = await check(text);
        assert.equal(program.exitStatus, 1, text);
        const lines = texts(program.stderr).filter((line) => line !== "");
        for (const reason of reasons) assert.ok(lines.some((line) => reason.test(line)), `${text}\n${program.stderr}`);
        assert.doesNotMatch(program.stderr, /is valid/);
      }
    });

    it(
      "decisions 7, 8: overridden values and unknown keys are one line each, with their place",
      { timeout },
      async () => {
        using folder = new TestFolder();
        const file = folder.file("known.conf");
        writeFileSync(
          file,
          "max_payload: 1000\nstreaming {\n  cluser_id: x\n  store_limits { max_mgs: 5 }\n  sd: false\n}\n",
        );
        const server = await startServerProcess(target, { args: ["-c", file, "-SD"] });
        await server.stop();
        const lines = texts(server.log).map((line) => line.replaceAll(file, "known.conf"));
        for (
          const line of [
            '[WRN] known.conf:3:3: unknown key "cluser_id" in streaming {} is ignored (did you mean cluster_id?)',
            '[WRN] known.conf:4:18: unknown key "max_mgs" in store_limits {} is ignored (did you mean max_msgs?)',
            "[INF] -SD true on the command line overrides false of known.conf:5:3",
          ]
        ) {
          assert.equal(lines.filter((found) => found === line).length, 1, `${line}\n${server.log}`);
        }
      },
    );
  });
}
