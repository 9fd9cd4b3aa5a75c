/**
 * A core server that reads a configuration file and can be told to read it again: ours in this process, or the reference
 * when `NATS_ORACLE` names its executable. The file is a real one, and everything between it and the socket is ours.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseCommandLine, type ParsedCommandLine } from "../../src/config/options.ts";
import { freezeOptions } from "../../src/config/option_types.ts";
import { Logger } from "../../src/log/logger.ts";
import type { LogSink } from "../../src/log/sinks.ts";
import { pickRuntime } from "../../src/runtime/pick.ts";
import { reloadFiles } from "../../src/server/reload.ts";
import { StreamingServer } from "../../src/server/streaming_server.ts";
import { connect, ORACLE, RawClient } from "./nats_server.ts";
import { Waiter } from "./sockets.ts";

/** First lines of every file: nothing is shared with other tests. */
const BASE = "host: 127.0.0.1\nport: -1\n";
const RELOAD_END = /Reloaded server configuration|Failed to reload|STREAM: Reload: /;

/** Log lines as `[INF] text`. */
class Lines extends Waiter {
  readonly all: string[] = [];

  add(line: string): void {
    const at = line.indexOf("] ");
    // What stands before the level differs with every line.
    this.all.push(line.slice(at + 2).replace(/^\d\S+ \S+ /, ""));
    this.notify();
  }
}

/** A server under test. */
export interface ConfiguredServer {
  readonly port: number;
  /** Where files for the configuration can be put. */
  readonly folder: string;
  /** Everything logged so far. */
  readonly lines: readonly string[];
  /** Undefined when the reference runs. */
  readonly server: StreamingServer | undefined;
  /** Replaces the file and has it read; the lines that were logged about it. */
  reload(config: string): Promise<string[]>;
  /** Lame duck mode; resolves when the server is gone. */
  lameDuck(): Promise<void>;
  /** Resolves when a line holds `text`. */
  untilLogged(text: string): Promise<void>;
  /** With CONNECT unless `options` are undefined. */
  client(options?: Record<string, unknown>): Promise<RawClient>;
}

export interface ConfiguredOptions {
  /** More of the command line. */
  readonly args?: readonly string[];
  /** Ours only. */
  readonly programName?: string;
  /** Puts files where the configuration finds them, before the start. */
  readonly prepare?: (folder: string) => void;
}

/** Runs `work` with a server that was started on `config`; its address comes first in the file. */
export async function withConfig(
  config: string,
  work: (server: ConfiguredServer) => Promise<void>,
  options: ConfiguredOptions = {},
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "stanchion-config-"));
  const path = join(folder, "server.conf");
  const write = (text: string) => writeFileSync(path, BASE + text.replaceAll("FOLDER", folder));
  options.prepare?.(folder);
  write(config);
  const args = ["-c", path, ...options.args ?? []];
  const isOracle = ORACLE !== undefined && ORACLE !== "";
  const lines = new Lines();
  const running = isOracle ? await startOracle(args, lines) : await startOurs(args, lines, options);
  const clients: RawClient[] = [];
  try {
    await work({
      port: running.port,
      folder,
      lines: lines.all,
      server: running.server,
      async reload(text) {
        write(text);
        const before = lines.all.length;
        const isEnd = (line: string) => RELOAD_END.test(line);
        running.reload();
        await lines.until(() => lines.all.slice(before).some(isEnd));
        return lines.all.slice(before).filter((line) => !line.startsWith("[DBG]"));
      },
      lameDuck: () => running.lameDuck(),
      untilLogged: (text) => lines.until(() => lines.all.some((line) => line.includes(text))),
      async client(connectOptions) {
        const client = await connect(running, connectOptions);
        clients.push(client);
        return client;
      },
    });
  } finally {
    for (const client of clients) client.destroy();
    await running.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Running {
  readonly port: number;
  readonly server: StreamingServer | undefined;
  reload(): void;
  lameDuck(): Promise<void>;
  close(): Promise<void>;
}

async function startOurs(args: readonly string[], lines: Lines, options: ConfiguredOptions): Promise<Running> {
  const runtime = await pickRuntime();
  const parse = (): ParsedCommandLine =>
    parseCommandLine(args, options.programName ?? "nats-server", {
      readFile(path) {
        try {
          return { ok: true, text: readFileSync(path, "utf8") };
        } catch (error) {
          if ((error as { code?: string }).code !== "ENOENT") throw error;
          return { ok: false, reason: "no such file or directory" };
        }
      },
      env: () => undefined,
    });
  const command = parse();
  if (command.kind !== "run") throw new Error(`The configuration of the test is wrong: ${JSON.stringify(command)}`);
  const { log: settings } = command.options;
  const sink: LogSink = {
    write: (text) => lines.add(text.trimEnd()),
    reopen: () => "noFile",
    close() {},
  };
  const log = new Logger({
    sink,
    style: { pid: runtime.process.pid, time: false, colours: false },
    wallNs: (out) => runtime.clock.wallNs(out),
    zoneOffsetMinutes: () => 0,
    core: { debug: settings.debug, trace: settings.trace },
    streaming: { debug: settings.streamingDebug, trace: settings.streamingTrace },
  });
  // A PING in the middle of an expected answer is of no use here.
  const nats = { ...command.options.nats, disableShortFirstPing: true };
  const server = new StreamingServer(freezeOptions({ ...command.options, nats }), runtime, log);
  await server.start();
  return {
    port: server.nats.port,
    server,
    reload: () => reloadFiles(server, log, parse),
    lameDuck: () => server.lameDuck(),
    close: () => server.stop(),
  };
}

async function startOracle(args: readonly string[], lines: Lines): Promise<Running> {
  const child: ChildProcess = spawn(ORACLE ?? "", args, { stdio: ["ignore", "ignore", "pipe"] });
  let rest = "";
  child.stderr?.on("data", (bytes: Uint8Array) => {
    const parts = (rest + Buffer.from(bytes).toString("utf8")).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) lines.add(line);
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await lines.until(() => lines.all.some((line) => line.includes("Server is ready")));
  const listening = /Listening for client connections on 127\.0\.0\.1:(\d+)/;
  const line = lines.all.find((candidate) => listening.test(candidate)) ?? "";
  return {
    port: Number(listening.exec(line)?.[1]),
    server: undefined,
    reload: () => void child.kill("SIGHUP"),
    async lameDuck() {
      child.kill("SIGUSR2");
      await exited;
    },
    async close() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}
