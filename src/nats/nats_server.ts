/**
 * The embedded core NATS server: listens, owns the connections, and turns the loop. One turn is: all reads that are ready,
 * then once the streaming layer's work (`onTurn`), then one flush of every connection that has output (runtime.md 1.4).
 */
import { formatDuration } from "../base/duration.ts";
import { TimerWheel } from "../base/timer_wheel.ts";
import type { LogView } from "../log/types.ts";
import type { Listener, Runtime, Socket, TimerHandle } from "../runtime/types.ts";
import type { ParserLimits } from "../wire/nats_parser.ts";
import { NATS_ERROR } from "../wire/nats_text.ts";
import { Accounts } from "./auth/accounts.ts";
import { Authenticator, needsAuthentication } from "./auth/authenticator.ts";
import type { AuthOptions } from "./auth/types.ts";
import type { ClosedConnections } from "./closed_connections.ts";
import type { CloseReason } from "./close_reason.ts";
import { Connection } from "./connection.ts";
import { FairShare } from "./fair_share.ts";
import { InfoLine } from "./info_line.ts";
import { LameDuck, shuffled } from "./lame_duck.ts";
import { RateLimit } from "./rate_limit.ts";
import { Router } from "./router.ts";
import type { NatsTlsOptions } from "./tls_entry.ts";
import { createServerId } from "./server_id.ts";
import type { WebSocketListenerOptions } from "./websocket/websocket_listener.ts";
import { type PortInfo, type WebSocketEnd, WebSocketPort } from "./websocket/websocket_port.ts";

/** What this part needs to know; see operations.md 1.4 and 2.5 for the options behind it. */
export interface NatsServerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Empty: the server id. */
  readonly serverName: string;
  /** `host:port` or `host` to announce instead of the address bound; empty for none. */
  readonly clientAdvertise: string;
  readonly maxPayload: number;
  readonly maxControlLine: number;
  readonly maxConnections: number;
  readonly maxPendingBytes: number;
  /** Per connection; 0 = unlimited. */
  readonly maxSubscriptions: number;
  /** 0 = off. */
  readonly maxSubscriptionTokens: number;
  readonly pingIntervalMs: number;
  readonly pingMax: number;
  readonly writeDeadlineMs: number;
  readonly maxTracedMessageBytes: number;
  /** For test harnesses: the first PING after CONNECT waits a whole interval. */
  readonly disableShortFirstPing: boolean;
  /** Lame duck mode: the whole of it, and its beginning in which nobody is closed. */
  readonly lameDuckDurationMs: number;
  readonly lameDuckGraceMs: number;
  /** Compatibility level announced in INFO (nats-server.md 1). */
  readonly version: string;
  readonly gitCommit: string;
  /** Absent: everybody may enter and do everything. */
  readonly auth?: AuthOptions;
  /** Absent: no TLS. */
  readonly tls?: NatsTlsOptions | undefined;
  /** Absent: no WebSocket port. */
  readonly webSocket?: WebSocketListenerOptions | undefined;
}

/** Connections closed per turn at shutdown, so that nothing waits behind a very long loop. */
const CLOSE_BATCH = 256;
/** How long `close` waits for the last words to reach the system, and how often it looks. */
const LAST_WORDS_MS_MAX = 500;
const LAST_WORDS_STEP_MS = 5;
/** 15 characters in base64url. */
const NONCE_BYTES = 11;

/** Options that were checked and can replace those of a server. Made by {@link NatsServer.prepare}. */
export interface PreparedOptions {
  readonly options: NatsServerOptions;
  readonly authenticator: Authenticator | null;
  readonly webSocketAuthenticator: Authenticator | null;
}

export class NatsServer {
  #options: NatsServerOptions;
  readonly log: LogView;
  readonly id: string;
  readonly name: string;
  /** Of the account `$G`: the one the streaming layer meets. */
  readonly router: Router;
  readonly accounts: Accounts;
  readonly wheel: TimerWheel;
  #authenticator: Authenticator | null;
  #parserLimits: ParserLimits;
  readonly connections = new Map<number, Connection>();
  /** Monotonic time of the current batch: one clock reading serves it. */
  nowMs: number;
  /** Those that are gone, for the monitor; absent while nobody looks. */
  closedConnections: ClosedConnections | undefined = undefined;
  /** Work of the streaming layer, run once per turn before output is flushed. */
  onTurn: (() => void) | undefined = undefined;
  readonly share = new FairShare(() => this.requestTurn());

  readonly #runtime: Runtime;
  /** For accounts to come. */
  readonly #routerOptions: { maxPayload: number };
  #listener: Listener | undefined;
  readonly #webSocket: WebSocketPort | undefined;
  #nextId = 1;
  #turnRequested = false;
  #dirty: Connection[] = [];
  #flushing: Connection[] = [];
  readonly #writeWatch = new Set<Connection>();
  #writeTimer: TimerHandle | undefined;
  #wheelTimer: TimerHandle | undefined;
  #wheelDueMs = Infinity;
  #stopping = false;
  #lameDuck: LameDuck | undefined;
  readonly #tlsRate: RateLimit;
  #infoHost: string;
  #infoPort: number;
  /** Of the client port; undefined: what it says has changed. */
  #infoLine: InfoLine | undefined = undefined;

  constructor(runtime: Runtime, options: NatsServerOptions, log: LogView) {
    this.#runtime = runtime;
    this.#options = options;
    this.log = log;
    this.id = createServerId((bytes) => runtime.random(bytes));
    this.name = options.serverName === "" ? this.id : options.serverName;
    const seed = new Uint8Array(4);
    runtime.random(seed);
    const routerOptions = {
      seed: new DataView(seed.buffer).getInt32(0),
      maxPayload: options.maxPayload,
      requestTurn: () => this.requestTurn(),
    };
    this.#routerOptions = routerOptions;
    const router = new Router(routerOptions);
    this.router = router;
    const { auth } = options;
    this.accounts = new Accounts(
      auth?.accounts ?? [],
      router,
      () => new Router({ ...routerOptions, statistics: router.statistics }),
    );
    this.#authenticator = this.#createAuthenticator(auth, null);
    this.nowMs = runtime.clock.monotonicMs();
    this.wheel = new TimerWheel(this.nowMs);
    this.#parserLimits = parserLimitsOf(options);
    this.#infoHost = options.host;
    this.#infoPort = options.port;
    this.#webSocket = options.webSocket === undefined ? undefined : new WebSocketPort(this, options.webSocket, runtime);
    this.#tlsRate = new RateLimit({
      after: (delayMs, work) => this.after(delayMs, work),
      nowMs: () => this.nowMs,
      rejected: (count) => log.warn(`Rejected ${count} connections due to TLS rate limiting`),
    });
  }

  /** Replaced whole by a reload: nobody keeps it. */
  get options(): NatsServerOptions {
    return this.#options;
  }

  /** Null: nobody is asked who it is. */
  get authenticator(): Authenticator | null {
    return this.#authenticator;
  }

  /** For parsers; replaced by a reload, which tells every connection. */
  get parserLimits(): ParserLimits {
    return this.#parserLimits;
  }

  get host(): string {
    return this.#listener?.host ?? this.options.host;
  }

  /** The port that is bound; 0 before `listen`. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** The port for WebSockets that is bound; 0 before `listen`, and without one. */
  get webSocketPort(): number {
    return this.#webSocket?.port ?? 0;
  }

  /** Opens the client port, and the one for WebSockets. Rejects with RuntimeError when the address cannot be had. */
  async listen(): Promise<void> {
    const { options } = this;
    if (this.authenticator?.hasPlainSecrets === true) {
      this.log.warn("Plaintext passwords detected, use nkeys or bcrypt");
    }
    await this.#webSocket?.listen();
    try {
      this.#listener = await this.#runtime.network.listen(
        { host: options.host, port: options.port, maxSockets: this.#runtime.network.socketCountMax },
        (socket) => this.#accept(socket, null),
      );
    } catch (error) {
      await this.#webSocket?.close();
      throw error;
    }
    this.#advertise();
  }

  /** What INFO says about the address. */
  #advertise(): void {
    const { clientAdvertise } = this.#options;
    this.#infoLine = undefined;
    this.#infoHost = this.host;
    this.#infoPort = this.port;
    if (clientAdvertise === "") return;
    const at = clientAdvertise.lastIndexOf(":");
    const host = at > 0 ? clientAdvertise.slice(0, at) : clientAdvertise;
    this.#infoHost = host.replace(/^\[(.*)\]$/, "$1");
    if (at > 0) this.#infoPort = Number(clientAdvertise.slice(at + 1));
  }

  /**
   * Closes the port, then every connection. Resolves when the port is free and what was queued has reached the system: the
   * process may end right afterwards. A client that does not read holds it up for half a second at most.
   */
  async close(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#lameDuck?.stop();
    this.#tlsRate.stop();
    await this.#listener?.close();
    await this.#webSocket?.close();
    // Last words of the streaming layer go out before the connections end.
    this.#turn();
    let count = 0;
    let ending = [...this.connections.values()];
    for (const connection of ending) {
      connection.close("Server Shutdown");
      if (++count % CLOSE_BATCH === 0) await new Promise<void>((resume) => this.#runtime.scheduler.endOfTurn(resume));
    }
    this.#wheelTimer?.stop();
    this.#writeTimer?.stop();
    const untilMs = this.clockMs() + LAST_WORDS_MS_MAX;
    while (true) {
      ending = ending.filter((connection) => connection.output.pendingBytes > 0);
      if (ending.length === 0 || this.clockMs() >= untilMs) return;
      await new Promise<void>((resume) => void this.after(LAST_WORDS_STEP_MS, resume));
    }
  }

  // Reload -------------------------------------------------------------------------------------------------------------

  /** Checks options that are to replace the present ones, and changes nothing. Throws `AuthOptionsError`. */
  prepare(options: NatsServerOptions): PreparedOptions {
    const { auth } = options;
    // Who keeps the very same object keeps its users: nobody is asked again.
    const isSame = auth === this.#options.auth;
    const authenticator = isSame ? this.#authenticator : this.#createAuthenticator(auth, this.#authenticator);
    const webSocketAuthenticator = this.#webSocket?.prepare(options.webSocket?.auth) ?? null;
    return { options, authenticator, webSocketAuthenticator };
  }

  /**
   * Puts prepared options in force, for the connections there are as well (nats-server.md 3.13). The address and the name of
   * the server stay. {@link closeSurplus} and {@link recheckClients} are to follow.
   */
  adopt({ options, authenticator, webSocketAuthenticator }: PreparedOptions): void {
    this.#options = options;
    this.#authenticator = authenticator;
    this.#infoLine = undefined;
    if (options.webSocket !== undefined) this.#webSocket?.adopt(options.webSocket, webSocketAuthenticator);
    this.#parserLimits = parserLimitsOf(options);
    this.accounts.define(options.auth?.accounts ?? []);
    this.#routerOptions.maxPayload = options.maxPayload;
    for (const router of this.accounts.all()) router.maxPayload = options.maxPayload;
    if (this.#listener !== undefined) this.#advertise();
    for (const connection of this.connections.values()) connection.adoptLimits(this.#parserLimits);
  }

  /** Closes connections above the limit, whichever they are. The streaming layer has none, so it cannot be hit. */
  closeSurplus(): void {
    const surplus = this.connections.size - this.#options.maxConnections;
    if (surplus <= 0) return;
    const victims = shuffled([...this.connections.values()]).slice(0, surplus);
    for (const connection of victims) {
      this.log.error(`${connection.describe()} - ${NATS_ERROR.maxConnections}`);
      connection.close("Maximum Connections Exceeded", NATS_ERROR.maxConnections);
    }
    this.log.info(`Closed ${victims.length} connections to fall within max_connections`);
  }

  /** Asks everybody again who it is. Those who may not be here any more are closed. */
  recheckClients(): void {
    for (const connection of [...this.connections.values()]) connection.usersChanged();
    // What the remaining ones may receive has changed with their rules.
    for (const router of this.accounts.all()) router.generation++;
  }

  #createAuthenticator(auth: AuthOptions | undefined, predecessor: Authenticator | null): Authenticator | null {
    if (auth === undefined || !needsAuthentication(auth)) return null;
    const runtime = this.#runtime;
    return new Authenticator(auth, (bytes) => runtime.random(bytes), runtime.bcryptMatches, predecessor);
  }

  // Lame duck mode -----------------------------------------------------------------------------------------------------

  /** True from the beginning of lame duck mode on. */
  get isLameDuck(): boolean {
    return this.#lameDuck !== undefined;
  }

  /**
   * Lets nobody in any more and sends the clients away one by one (nats-server.md 3.12). `beforeLast` is waited for before
   * the last of them goes. Resolves when all are gone, or when `close` is called; the caller closes the server then.
   */
  async enterLameDuck(beforeLast: () => Promise<void>): Promise<void> {
    if (this.#stopping || this.#lameDuck !== undefined) return;
    this.log.info("Entering lame duck mode, stop accepting new clients");
    const lameDuck = new LameDuck(this, beforeLast);
    this.#lameDuck = lameDuck;
    this.#infoLine = undefined;
    await this.#listener?.close();
    await this.#webSocket?.close();
    for (const connection of this.connections.values()) {
      if (connection.protocol >= 1 && connection.isRegistered) connection.announce();
    }
    await lameDuck.run();
  }

  // The turn -----------------------------------------------------------------------------------------------------------

  /** Asks for the end-of-turn work to run after the events that are ready now. */
  requestTurn(): void {
    if (this.#turnRequested) return;
    this.#turnRequested = true;
    this.#runtime.scheduler.endOfTurn(this.#turn);
  }

  markDirty(connection: Connection): void {
    connection.dirty = true;
    this.#dirty.push(connection);
    this.requestTurn();
  }

  readonly #turn = (): void => {
    this.#turnRequested = false;
    this.nowMs = this.#runtime.clock.monotonicMs();
    for (const router of this.accounts.all()) router.runQueue();
    this.onTurn?.();
    const batch = this.#dirty;
    if (batch.length > 0) {
      this.#dirty = this.#flushing;
      this.#flushing = batch;
      for (let i = 0; i < batch.length; i++) batch[i]!.flush(this.nowMs);
      batch.length = 0;
    }
    // Behind the output: who asked for little has its answer first.
    this.share.goOn();
  };

  // Time ---------------------------------------------------------------------------------------------------------------

  clockMs(): number {
    return this.nowMs = this.#runtime.clock.monotonicMs();
  }

  after(delayMs: number, work: () => void): TimerHandle {
    return this.#runtime.scheduler.after(delayMs, work);
  }

  /** Makes sure the wheel is turned when its next timer is due. */
  wake(): void {
    const due = this.wheel.nextDueMs();
    if (due >= this.#wheelDueMs) return;
    this.#wheelTimer?.stop();
    this.#wheelDueMs = due;
    this.#wheelTimer = this.#runtime.scheduler.after(due - this.clockMs(), this.#wheelFired);
  }

  readonly #wheelFired = (): void => {
    this.#wheelDueMs = Infinity;
    if (this.#stopping) return;
    this.wheel.advance(this.clockMs());
    this.wake();
  };

  /** Watches a connection whose socket refuses output: a flush may take `writeDeadlineMs` (nats-server.md 3.10). */
  watchWrites(connection: Connection): void {
    this.#writeWatch.add(connection);
    this.#writeTimer ??= this.#runtime.scheduler.after(
      Math.max(10, this.options.writeDeadlineMs / 4),
      this.#checkWrites,
    );
  }

  readonly #checkWrites = (): void => {
    this.#writeTimer = undefined;
    if (this.#stopping) return;
    const nowMs = this.clockMs();
    for (const connection of this.#writeWatch) {
      const stuckMs = connection.stuckForMs(nowMs);
      if (connection.isClosed || stuckMs === 0) {
        this.#writeWatch.delete(connection);
      } else if (stuckMs > this.options.writeDeadlineMs) {
        this.#writeWatch.delete(connection);
        const { chunks, length, pendingBytes } = connection.output;
        const count = chunks.length + (length > 0 ? 1 : 0);
        const deadline = formatDuration(this.options.writeDeadlineMs);
        this.slowConsumer(
          connection,
          "Slow Consumer (Write Deadline)",
          `Slow Consumer Detected: WriteDeadline of ${deadline} exceeded with ${count} chunks of ${pendingBytes} total bytes.`,
        );
      }
    }
    if (this.#writeWatch.size > 0) {
      this.#writeTimer = this.#runtime.scheduler.after(
        Math.max(10, this.options.writeDeadlineMs / 4),
        this.#checkWrites,
      );
    }
  };

  // Connections --------------------------------------------------------------------------------------------------------

  /** Cuts a client that does not read. No text: clients would give up for good on it (nats-server.md 3.9). */
  slowConsumer(connection: Connection, reason: CloseReason, text: string): void {
    this.router.statistics.slowConsumers++;
    connection.router.departed.slowConsumers++;
    this.log.info(`${connection.describe()} - ${text}`);
    connection.abort(reason);
  }

  forget(connection: Connection, reason: CloseReason): void {
    this.connections.delete(connection.id);
    this.#writeWatch.delete(connection);
    if (this.log.debugEnabled) this.log.debug(`${connection.describe()} - Client connection closed: ${reason}`);
    if (this.connections.size === 0) this.#lameDuck?.empty();
  }

  /** An ID that no connection gets: what is shown as a connection, and is none, needs one, too. */
  takeConnectionId(): number {
    this.router.statistics.totalConnections++;
    return this.#nextId++;
  }

  acceptWebSocket(socket: Socket, end: WebSocketEnd): Connection {
    return this.#accept(socket, end);
  }

  /** `end`: null on the client port. */
  #accept(socket: Socket, end: WebSocketEnd | null): Connection {
    const id = this.#nextId++;
    this.router.statistics.totalConnections++;
    const { authenticator } = end?.access ?? this;
    const connection = new Connection(this, socket, id, this.clockMs(), this.#createNonce(authenticator), end);
    if (this.log.debugEnabled) this.log.debug(`${connection.describe()} - Client connection created`);
    this.connections.set(id, connection);
    const { maxConnections, tls } = this.#options;
    if (this.#stopping || this.#lameDuck !== undefined) {
      connection.announce();
      connection.close("Server Shutdown");
    } else if (this.connections.size > maxConnections) {
      // After the INFO: clients parse that first (trap 5).
      connection.announce();
      connection.close("Maximum Connections Exceeded", NATS_ERROR.maxConnections);
    } else if (end === null && tls !== undefined && !this.#tlsRate.admits(tls.connectionRateLimit ?? 0)) {
      // Where nothing is ever said in clear nothing is said.
      if (tls.handshakeFirst === false) connection.announce();
      connection.close(
        "Maximum Connections Exceeded",
        tls.handshakeFirst === false ? NATS_ERROR.throttled : undefined,
      );
    } else {
      connection.begin();
      connection.startTimers();
    }
    return connection;
  }

  /** 15 characters that this connection's client has to sign; empty when no client can. */
  #createNonce(authenticator: Authenticator | null): string {
    if (authenticator?.offersNonce !== true) return "";
    const bytes = new Uint8Array(NONCE_BYTES);
    this.#runtime.random(bytes);
    return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  }

  /** The client port, as INFO describes it. */
  #portInfo(): PortInfo {
    const { tls } = this.options;
    return {
      host: this.#infoHost,
      port: this.#infoPort,
      auth_required: this.authenticator === null || this.authenticator.hasAnonymous ? undefined : true,
      tls_available: tls?.allowNonTls === true ? true : undefined,
      tls_required: tls?.allowNonTls === false ? true : undefined,
      tls_verify: tls?.server.verifyClient === true ? true : undefined,
    };
  }

  /** The INFO line of the client port, or of the WebSocket port. */
  infoLine(isWebSocket: boolean): InfoLine {
    const webSocket = isWebSocket ? this.#webSocket : undefined;
    return webSocket === undefined
      ? this.#infoLine ??= this.#describe(this.#portInfo())
      : this.#describe(webSocket.info());
  }

  #describe(port: PortInfo): InfoLine {
    const { options } = this;
    const fields = {
      server_id: this.id,
      server_name: this.name,
      version: options.version,
      proto: 1,
      git_commit: options.gitCommit === "" ? undefined : options.gitCommit,
      go: this.#runtime.version,
      host: port.host,
      port: port.port,
      headers: true,
      auth_required: port.auth_required,
      tls_available: port.tls_available,
      tls_required: port.tls_required,
      tls_verify: port.tls_verify,
      max_payload: options.maxPayload,
    };
    return new InfoLine(fields, this.#lameDuck !== undefined);
  }
}

function parserLimitsOf({ maxControlLine, maxPayload }: NatsServerOptions): ParserLimits {
  return { maxControlLine, maxPayload };
}
