/**
 * A core NATS server for raw protocol tests: ours, built directly in this process, or the reference when `NATS_ORACLE`
 * names its executable. So the expected values of a test can be held against a real server at any time.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { formatDuration } from "../../src/base/duration.ts";
import type { LogView } from "../../src/log/types.ts";
import { NatsServer, type NatsServerOptions } from "../../src/nats/nats_server.ts";
import { pickRuntime } from "../../src/runtime/pick.ts";
import type { Runtime } from "../../src/runtime/types.ts";
import type { WebSocketListenerOptions } from "../../src/nats/websocket/websocket_listener.ts";
import { authConfig } from "./auth_config.ts";
import { Waiter } from "./sockets.ts";

/** Path of the reference's executable; undefined: our server is tested. */
export const ORACLE = process.env.NATS_ORACLE;

/** After this time a condition counts as never met. Far above what a busy machine needs; no test measures it. */
const GIVE_UP_MS = 30_000;

/** The defaults of the command line, except for the port, which the system chooses, and the early first PING. */
export const NATS_DEFAULTS: NatsServerOptions = Object.freeze({
  host: "127.0.0.1",
  port: 0,
  serverName: "",
  clientAdvertise: "",
  maxPayload: 1_048_576,
  maxControlLine: 4096,
  maxConnections: 65_536,
  maxPendingBytes: 67_108_864,
  maxSubscriptions: 0,
  maxSubscriptionTokens: 0,
  pingIntervalMs: 120_000,
  pingMax: 2,
  writeDeadlineMs: 10_000,
  maxTracedMessageBytes: 0,
  // A PING in the middle of an expected answer is of no use to tests of anything but PINGs.
  disableShortFirstPing: true,
  lameDuckDurationMs: 120_000,
  lameDuckGraceMs: 10_000,
  version: "2.9.24",
  gitCommit: "",
});

/** A log that keeps its lines. */
export class RecordedLog extends Waiter implements LogView {
  readonly debugEnabled: boolean = false;
  readonly traceEnabled: boolean = false;
  readonly lines: string[] = [];

  info(text: string): void {
    this.lines.push(text);
    this.notify();
  }
  warn(text: string): void {
    this.info(text);
  }
  error(text: string): void {
    this.info(text);
  }
  fatal(text: string): void {
    this.info(text);
  }
  debug(text: string): void {
    this.info(text);
  }
  trace(text: string): void {
    this.info(text);
  }
}

/** A server under test. */
export interface TestServer {
  readonly port: number;
  /** 0 without a WebSocket port. */
  readonly webSocketPort: number;
  readonly log: RecordedLog;
  /** Undefined when the reference runs. */
  readonly nats: NatsServer | undefined;
  close(): Promise<void>;
}

/** Builds a server of ours that does not listen yet. */
export function createNats(
  runtime: Runtime,
  options: Partial<NatsServerOptions> = {},
  log: LogView = new RecordedLog(),
): NatsServer {
  return new NatsServer(runtime, { ...NATS_DEFAULTS, ...options }, log);
}

/** Starts a server on a port of the system's choice. */
export async function startNats(options: Partial<NatsServerOptions> = {}): Promise<TestServer> {
  if (ORACLE !== undefined && ORACLE !== "") return await startOracle(ORACLE, options);
  const log = new RecordedLog();
  const nats = createNats(await pickRuntime(), options, log);
  await nats.listen();
  return { port: nats.port, webSocketPort: nats.webSocketPort, log, nats, close: () => nats.close() };
}

/** Runs `work` with a server and closes it afterwards. */
export async function withNats(
  options: Partial<NatsServerOptions>,
  work: (server: TestServer) => Promise<void>,
): Promise<void> {
  const server = await startNats(options);
  const opened = openClients.length;
  try {
    await work(server);
  } finally {
    for (const client of openClients.splice(opened)) client.destroy();
    await server.close();
  }
}

/** The block of the WebSocket port; certificates go into files of `folder`. */
function webSocketConfig(options: WebSocketListenerOptions, folder: string): string[] {
  const { tls, auth } = options;
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return JSON.stringify(path);
  };
  const lines = ["host: 127.0.0.1", "port: -1", `same_origin: ${options.sameOrigin}`];
  lines.push(`compression: ${options.compression}`, `allowed_origins: ${JSON.stringify(options.allowedOrigins)}`);
  if (options.handshakeTimeoutMs > 0) {
    lines.push(`handshake_timeout: ${JSON.stringify(formatDuration(options.handshakeTimeoutMs))}`);
  }
  if (tls === undefined) lines.push("no_tls: true");
  else {
    const { certificate, key, authorities, verifyClient } = tls.server;
    const ca = authorities === undefined ? "" : `, ca_file: ${file("ws-ca.pem", authorities)}`;
    lines.push(
      `tls { cert_file: ${file("ws-cert.pem", certificate)}, key_file: ${file("ws-key.pem", key)}${ca}, ` +
        `verify: ${verifyClient === true} }`,
    );
  }
  if (auth?.user !== undefined || (auth?.token ?? "") !== "") {
    const login = auth?.user ?? { token: auth?.token };
    lines.push(`authorization ${JSON.stringify({ ...login, timeout: (auth?.timeoutMs ?? 0) / 1000 })}`);
  }
  if ((auth?.noAuthUser ?? "") !== "") lines.push(`no_auth_user: ${JSON.stringify(auth?.noAuthUser)}`);
  return ["websocket {", ...lines, "}"];
}

function oracleConfig(options: Partial<NatsServerOptions>, folder: string): string {
  const lines = ["host: 127.0.0.1", "port: -1"];
  const add = (key: string, value: string | number | undefined) => {
    if (value !== undefined) lines.push(`${key}: ${value}`);
  };
  const duration = (ms: number | undefined) => (ms === undefined ? undefined : JSON.stringify(formatDuration(ms)));
  add("max_payload", options.maxPayload);
  add("max_control_line", options.maxControlLine);
  add("max_connections", options.maxConnections);
  add("max_pending", options.maxPendingBytes);
  add("max_subscriptions", options.maxSubscriptions);
  add("max_subscription_tokens", options.maxSubscriptionTokens);
  add("ping_interval", duration(options.pingIntervalMs));
  add("ping_max", options.pingMax);
  add("write_deadline", duration(options.writeDeadlineMs));
  add("client_advertise", options.clientAdvertise === undefined ? undefined : JSON.stringify(options.clientAdvertise));
  if (options.auth !== undefined) lines.push(...authConfig(options.auth));
  if (options.webSocket !== undefined) lines.push(...webSocketConfig(options.webSocket, folder));
  return lines.join("\n") + "\n";
}

async function startOracle(executable: string, options: Partial<NatsServerOptions>): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), "nats-oracle-"));
  const config = join(folder, "nats.conf");
  writeFileSync(config, oracleConfig(options, folder));
  const log = new RecordedLog();
  const child: ChildProcess = spawn(executable, ["-c", config], { stdio: ["ignore", "ignore", "pipe"] });
  let rest = "";
  child.stderr?.on("data", (bytes: Uint8Array) => {
    const lines = (rest + Buffer.from(bytes).toString("utf8")).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) log.info(line.replace(/^\[\d+\] \S+ \S+ \[\w+\] /, ""));
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const listening = /Listening for client connections on 127\.0\.0\.1:(\d+)/;
  await log.until(() => log.lines.some((line) => listening.test(line)));
  const port = Number(listening.exec(log.lines.find((line) => listening.test(line))!)![1]); // `until` has seen it.
  await log.until(() => log.lines.some((line) => line.includes("Server is ready")));
  const webSocket = /Listening for websocket clients on wss?:\/\/127\.0\.0\.1:(\d+)/.exec(log.lines.join("\n"));
  return {
    port,
    webSocketPort: Number(webSocket?.[1] ?? 0),
    log,
    nats: undefined,
    async close() {
      child.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true });
    },
  };
}

const openClients: RawClient[] = [];

/** A client that speaks bytes. Text is latin1: one character is one byte. */
export class RawClient {
  readonly stream: net.Socket;
  readonly #waiter = new Waiter();
  #received = "";
  #taken = 0;
  #ended = false;
  #closed = false;
  /** The server's INFO. */
  info: Record<string, unknown> = {};
  infoLine = "";

  constructor(stream: net.Socket) {
    this.stream = stream;
    stream.on("data", (bytes: Uint8Array) => {
      this.#received += Buffer.from(bytes).toString("latin1");
      this.#waiter.notify();
    });
    stream.on("end", () => {
      this.#ended = true;
      this.#waiter.notify();
    });
    stream.on("error", () => {});
    stream.on("close", () => {
      this.#closed = true;
      this.#waiter.notify();
    });
    openClients.push(this);
  }

  /** What came and was not taken yet. */
  get rest(): string {
    return this.#received.slice(this.#taken);
  }

  get ended(): boolean {
    return this.#ended || this.#closed;
  }

  write(text: string): this {
    this.stream.write(Buffer.from(text, "latin1"));
    return this;
  }

  /** Resolves when `condition` holds, or the server has closed the connection, or nothing came for a very long time. */
  async #until(condition: () => boolean): Promise<boolean> {
    const giveUp = Promise.withResolvers<void>();
    const timer = setTimeout(giveUp.resolve, GIVE_UP_MS);
    await Promise.race([this.#waiter.until(() => condition() || this.ended), giveUp.promise]);
    clearTimeout(timer);
    return condition();
  }

  /** Waits for exactly `text` as the next bytes. */
  async expect(text: string): Promise<this> {
    await this.#until(() => this.#received.length - this.#taken >= text.length || !text.startsWith(this.rest));
    const got = this.#received.slice(this.#taken, this.#taken + text.length);
    assert.equal(shorten(got), shorten(text));
    assert.equal(got, text);
    this.#taken += text.length;
    return this;
  }

  /** Takes everything up to and including `mark`. */
  async takeUntil(mark: string): Promise<string> {
    let from = this.#taken;
    let at = -1;
    const found = await this.#until(() => {
      at = this.#received.indexOf(mark, from);
      if (at < 0) from = Math.max(from, this.#received.length - mark.length);
      return at >= 0;
    });
    assert.ok(found, `${JSON.stringify(mark)} did not come, but ${JSON.stringify(shorten(this.rest))}`);
    const text = this.#received.slice(this.#taken, at + mark.length);
    this.#taken = at + mark.length;
    return text;
  }

  /** Writes, then asks for a PONG: the answers of `text` are `expected`, and the connection is still usable. */
  async answers(text: string, expected: string): Promise<this> {
    this.write(text + "PING\r\n");
    await this.expect(expected + "PONG\r\n");
    return this;
  }

  /** Everything the server has sent so far was taken. */
  async quiet(): Promise<void> {
    await this.answers("", "");
  }

  /** Waits until the server closes; what came before that. */
  async remainder(): Promise<string> {
    assert.ok(await this.#until(() => this.ended), `still open; received ${JSON.stringify(shorten(this.rest))}`);
    return this.rest;
  }

  /** The server closes; before that exactly `text` comes. */
  async closesWith(text: string): Promise<void> {
    assert.equal(await this.remainder(), text);
    this.#taken += text.length;
  }

  end(): void {
    this.stream.end();
  }

  destroy(): void {
    this.stream.destroy();
  }

  async start(): Promise<this> {
    const line = await this.takeUntil("\r\n");
    this.infoLine = line;
    assert.ok(line.startsWith("INFO {"), line);
    this.info = JSON.parse(line.slice(5)) as Record<string, unknown>;
    return this;
  }
}

function shorten(text: string): string {
  return text.length > 400 ? `${text.slice(0, 200)}...${text.slice(-100)} (${text.length} bytes)` : text;
}

/** Connects and takes the INFO; with `options`, also sends CONNECT, quiet unless they say otherwise. */
export async function connect(server: Pick<TestServer, "port">, options?: Record<string, unknown>): Promise<RawClient> {
  const stream = net.connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
  const client = new RawClient(stream);
  await client.start();
  if (options !== undefined) {
    const connectOptions = { verbose: false, pedantic: false, ...options };
    client.write(`CONNECT ${JSON.stringify(connectOptions)}\r\n`);
    await client.answers("", connectOptions.verbose ? "+OK\r\n" : "");
  }
  return client;
}

/** A PUB frame. */
export function pub(subject: string, payload: string, reply = ""): string {
  return `PUB ${subject} ${reply === "" ? "" : reply + " "}${payload.length}\r\n${payload}\r\n`;
}

/** The MSG frame for it. */
export function msg(subject: string, sid: string | number, payload: string, reply = ""): string {
  return `MSG ${subject} ${sid} ${reply === "" ? "" : reply + " "}${payload.length}\r\n${payload}\r\n`;
}
