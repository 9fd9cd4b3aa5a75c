/** What signals do to a running server: reload, lame duck mode, and death at any moment (operations.md 2.8, 4.1). */
import { connect } from "@nats-io/transport-node";
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import * as net from "node:net";
import { describe, it } from "node:test";
import { tryDial, Waiter } from "../helpers/sockets.ts";
import {
  PROCESS_TEST_MS_MAX,
  runTarget,
  type ServerProcess,
  startServerProcess,
  targetCommand,
  TARGETS,
  TestFolder,
  TestProcess,
} from "../helpers/server_process.ts";

const timeout = PROCESS_TEST_MS_MAX;

/** A client with its connection. */
class Client extends Waiter {
  text = "";
  isClosed = false;
  readonly closed: Promise<void>;

  constructor(readonly stream: net.Socket) {
    super();
    stream.on("data", (bytes) => {
      this.text += String(bytes);
      this.notify();
    });
    stream.on("error", () => {});
    stream.once("close", () => {
      this.isClosed = true;
      this.notify();
    });
    this.closed = this.until(() => this.isClosed);
  }

  /** Resolves when `mark` has come. */
  async got(mark: string): Promise<void> {
    await this.until(() => this.isClosed || this.text.includes(mark));
    assert.ok(this.text.includes(mark), `closed after ${this.text}`);
  }
}

/** A connection that is told of changes and has got its PONG. */
async function openClient(port: number): Promise<Client> {
  const client = new Client(net.connect({ port, host: "127.0.0.1" }));
  client.stream.write('CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n');
  await client.got("PONG\r\n");
  return client;
}

/** The server answers. */
async function serves(server: ServerProcess): Promise<void> {
  const nc = await connect({ servers: `127.0.0.1:${server.port}`, reconnect: false });
  await nc.flush();
  await nc.close();
}

for (const target of TARGETS) {
  describe(`signals to ${target}`, () => {
    it(
      "operations 13.53: SIGHUP reads the file again; what cannot change is refused and named",
      { timeout },
      async () => {
        using folder = new TestFolder();
        const file = folder.file("server.conf");
        writeFileSync(file, "max_payload: 1000\n");
        const server = await startServerProcess(target, { args: ["-c", file] });
        const reload = async (config: string, answer: string) => {
          writeFileSync(file, config);
          server.process.signal("SIGHUP");
          await server.process.untilSaid(answer);
        };
        await reload("max_payload: 100\n", "[INF] Reloaded: max_payload = 100");
        await reload(
          "max_payload: 10, max_pending: 5000000\n",
          "[ERR] STREAM: Reload: config reload not supported for MaxPending",
        );
        await reload("max_payload {\n", "Parse error on line 2");
        await reload("debug: true, max_payload: 100\n", "[INF] Reloaded: debug = true");
        const nc = await connect({ servers: `127.0.0.1:${server.port}`, reconnect: false });
        assert.equal(nc.info?.max_payload, 100);
        await nc.close();
        assert.equal(await server.stop(), 143);
        assert.equal(server.log.split("Reloaded server configuration\n").length - 1, 2);
      },
    );

    it("operations 13.51, 13.55: without a file SIGHUP is refused, SIGUSR2 changes nothing", { timeout }, async () => {
      const server = await startServerProcess(target);
      server.process.signal("SIGHUP");
      await server.process.untilSaid(
        "[ERR] STREAM: Reload: can only reload config when a file is provided using -c or --config",
      );
      server.process.signal("SIGUSR2");
      await server.process.untilSaid("[INF] STREAM: Lame duck mode ignored");
      await serves(server);
      assert.equal(await server.stop(), 143);
    });

    it(
      "nats 16: 132. killed with clients it leaves no listener behind, and a restart binds at once",
      { timeout },
      async () => {
        let server = await startServerProcess(target);
        const { port } = server;
        for (let round = 0; round < 2; round++) {
          // The closed connections of both sides stay in the kernel for a while; they must not keep the port.
          const clients = [await openClient(port), await openClient(port)];
          clients[0]?.stream.write("SUB foo 1\r\nPUB foo 5\r\nhel");
          assert.equal(await server.stop("SIGKILL"), 137);
          for (const { closed } of clients) await closed;
          assert.equal(await tryDial(port), "ECONNREFUSED");
          server = await startServerProcess(target, { args: ["-p", String(port)] });
          assert.equal(server.port, port);
        }
        await serves(server);
        await server.stop("SIGKILL");
      },
    );
  });
}

/** The core server alone, whose lame duck mode is the reference's. */
async function startCore(folder: TestFolder, config: string): Promise<ServerProcess> {
  const file = folder.file("core.conf");
  writeFileSync(file, config);
  const [program = ""] = await targetCommand("executable");
  const command = [folder.link("nats-server", program)];
  return await startServerProcess("executable", { command, coreOnly: true, args: ["-c", file] });
}

const LAME = 'lame_duck_duration: "60s"\nlame_duck_grace_period: "30s"\n';

describe("lame duck mode of the executable as nats-server", () => {
  it("nats 16: 63. SIGUSR2: told, closed, status 0", { timeout }, async () => {
    using folder = new TestFolder();
    const server = await startCore(folder, 'lame_duck_duration: "30s"\nlame_duck_grace_period: "1ms"\n');
    const client = await openClient(server.port);
    server.process.signal("SIGUSR2");
    await client.closed;
    assert.match(client.text, /PONG\r\nINFO \{.*"ldm":true\} \r\n$/);
    assert.equal(await server.process.exit, 0);
    const lines = server.log.trimEnd().split("\n").slice(-4).map((line) => line.replace(/^.* (\[INF\])/, "$1"));
    assert.deepEqual(lines, [
      "[INF] Entering lame duck mode, stop accepting new clients",
      "[INF] Closing existing clients",
      "[INF] Initiating Shutdown...",
      "[INF] Server Exiting..",
    ]);
  });

  for (
    const [signal, status] of [["SIGUSR2", 0], ["SIGINT", 0], ["SIGTERM", 143]] as const
  ) {
    it(`nats 3.12: ${signal} in the grace period ends it at once, status ${status}`, { timeout }, async () => {
      using folder = new TestFolder();
      const server = await startCore(folder, LAME);
      const client = await openClient(server.port);
      server.process.signal("SIGUSR2");
      // Clients are told when the port is closed.
      await client.got('"ldm":true');
      assert.equal(await tryDial(server.port), "ECONNREFUSED");
      server.process.signal(signal);
      assert.equal(await server.process.exit, status);
      await client.closed;
      assert.ok(!server.log.includes("Closing existing clients"), server.log);
    });
  }

  it("nats 16: 132. killed in lame duck mode it leaves nothing that keeps the port", { timeout }, async () => {
    using folder = new TestFolder();
    const server = await startCore(folder, LAME);
    const client = await openClient(server.port);
    server.process.signal("SIGUSR2");
    await server.process.untilSaid("Entering lame duck mode");
    await server.stop("SIGKILL");
    await client.closed;
    const again = await startServerProcess("executable", { args: ["-p", String(server.port)] });
    await again.stop("SIGKILL");
  });

  it("operations 2.8: a refused reload has the words of nats-server", { timeout }, async () => {
    using folder = new TestFolder();
    const server = await startCore(folder, "");
    writeFileSync(folder.file("core.conf"), "max_pending: 5000000\n");
    server.process.signal("SIGHUP");
    await server.process.untilSaid(
      "[ERR] Failed to reload server configuration: config reload not supported for MaxPending: old=67108864, new=5000000",
    );
    await serves(server);
    assert.equal(await server.stop(), 143);
  });
});

describe("death at any moment", () => {
  it(
    "nats 16: 132. killed while it starts, at several moments, the next start binds the port",
    { timeout },
    async () => {
      const first = await startServerProcess("executable");
      const { port } = first;
      await first.stop("SIGKILL");
      const command = [...await targetCommand("executable"), "-a", "127.0.0.1", "-p", String(port)];
      for (let lines = 0; lines <= 4; lines++) {
        const program = new TestProcess(command);
        // A moment is how much of its log is written, because times differ from machine to machine.
        if (lines > 0) await program.untilSaid(new RegExp(`(.*\\n){${lines * 4}}`));
        await program.stop("SIGKILL");
        assert.equal(await tryDial(port), "ECONNREFUSED");
      }
      const last = await startServerProcess("executable", { args: ["-p", String(port)] });
      await last.stop("SIGKILL");
    },
  );

  it("nats 16: 132. killed in the middle of a graceful end, the next start binds the port", { timeout }, async () => {
    const server = await startServerProcess("executable");
    const client = await openClient(server.port);
    server.process.signal("SIGTERM");
    await server.process.untilSaid("Shutting down.");
    await server.stop("SIGKILL");
    await client.closed;
    const again = await startServerProcess("executable", { args: ["-p", String(server.port)] });
    await again.stop("SIGKILL");
  });

  it("nats 16: 88. a feature of accounts that is not there ends the start, status 1", { timeout }, async () => {
    using folder = new TestFolder();
    const file = folder.file("accounts.conf");
    writeFileSync(file, 'accounts { A { exports: [ { stream: "a.>" } ] } }\n');
    const program = await runTarget("executable", ["-a", "127.0.0.1", "-p", "-1", "-c", file]);
    assert.equal(program.exitStatus, 1);
    assert.match(
      program.stderr,
      /accounts\.conf:1:\d+: "exports" is not available in this version of stanchion: .*-ns\n/,
    );
    assert.doesNotMatch(program.stderr, /Listening/);
  });
});
