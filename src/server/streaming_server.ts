/**
 * The composition: the embedded NATS server, the store, the streaming core and its driver, started in the order in which they
 * can be used and stopped in the order in which nothing is lost. The only place that knows everyone.
 */
import { byteStringOfText, displayText } from "../base/bytes.ts";
import { Nuid } from "../base/nuid.ts";
import { DEFAULT_LIMITS, type Options, resolveChannelLimits, type ResolvedChannelLimits } from "../config/options.ts";
import { COMMIT, NATS_VERSION, streamingVersion } from "../config/version.ts";
import { limitsBanner } from "../log/banner.ts";
import type { Logger } from "../log/logger.ts";
import { Console } from "../monitor/console/console.ts";
import { NatsServer, type NatsServerOptions } from "../nats/nats_server.ts";
import { type HttpAnswer, type HttpRequest, type Runtime, RuntimeError } from "../runtime/types.ts";
import { SHARE_OF_SYNCED_MS } from "../nats/fair_share.ts";
import { type RecoveredState, type ServerRecord, type Store, StoreError } from "../store/types.ts";
import { StreamingCore } from "../streaming/core.ts";
import type { CoreOptions } from "../streaming/world.ts";
import { pingsSubject, publishWildcard, stanSubjects } from "../wire/stan_subjects.ts";
import { createConsoleView } from "./console_view.ts";
import { Driver } from "./driver.ts";
import { Monitoring, wantsMonitoring } from "./monitoring.ts";
import { natsAuthOf, natsOptionsOf } from "./nats_options.ts";
import { openStore } from "./open_store.ts";
import { applyReload, ReloadError } from "./reload.ts";
import { readTlsFiles, TlsFileError } from "./tls_files.ts";
import { webSocketOptionsOf } from "./websocket_options.ts";

/** Life of a server: it moves to the right only. */
export type ServerState = "starting" | "ready" | "stopping" | "stopped" | "failed";

/** The server could not start, or had to stop. `message` is what an operator needs to read. */
export class ServerError extends Error {
  override readonly name = "ServerError";
  constructor(
    readonly code: "SERVER_START_FAILED" | "SERVER_STORE_FAILED" | "SERVER_STOPPED",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export class StreamingServer {
  readonly serverId: string;
  readonly nats: NatsServer;
  /** Undefined when only the core NATS server runs. */
  readonly core: StreamingCore | undefined;
  readonly store: Store;
  /** Called once when the server had to stop by itself. */
  onFailed: ((error: ServerError) => void) | undefined = undefined;

  readonly #runtime: Runtime;
  readonly #log: Logger;
  readonly #driver: Driver | undefined;
  /** Of the streaming core, which reads the payload limit from it. */
  readonly #coreOptions: { -readonly [K in keyof CoreOptions]: CoreOptions[K] };
  #options: Options;
  #state: ServerState = "starting";
  #monitor: Monitoring | undefined;
  #unfinished = "";

  /** Builds everything; nothing is opened before `start`. Throws {@link ServerError} for TLS files that cannot be used. */
  /** `encryptionKey`: for options that switch encryption on; only what is derived from it is kept. */
  constructor(options: Options, runtime: Runtime, log: Logger, encryptionKey = "") {
    if (options.encryption.enabled && !options.coreOnly && encryptionKey === "") {
      throw new ServerError("SERVER_START_FAILED", "encryption key required");
    }
    this.#options = options;
    this.#runtime = runtime;
    this.#log = log;
    const nuid = new Nuid((bytes) => runtime.random(bytes));
    this.serverId = nuid.next();
    const { tls, webSocket } = this.#readPorts();
    const { socketCountMax } = runtime.network;
    this.nats = new NatsServer(
      runtime,
      natsOptionsOf(options, natsAuthOf(options), tls, socketCountMax, webSocket),
      log.core,
    );

    const seed = new Uint8Array(4);
    runtime.random(seed);
    this.#coreOptions = {
      heartbeatIntervalMs: options.heartbeat.intervalMs,
      heartbeatTimeoutMs: options.heartbeat.timeoutMs,
      heartbeatFailCount: options.heartbeat.failCount,
      replaceDurable: options.replaceDurable,
      maxPayload: options.nats.maxPayload,
      testNegativeAckWaitMs: options.nats.testNegativeAckWaitMs,
      seed: new DataView(seed.buffer).getInt32(0),
    };
    const limits = resolveChannelLimits(options.limits);
    this.store = this.#buildStore(limits, encryptionKey);
    if (this.store.isInstant !== true) this.nats.share.shortShareMs = SHARE_OF_SYNCED_MS;
    if (options.coreOnly) return;

    const server = stanSubjects(byteStringOfText(options.clusterId), byteStringOfText(options.discoverPrefix));
    const { router } = this.nats;
    this.core = new StreamingCore({
      core: this.#coreOptions,
      world: {
        address: (subject) => router.destination(subject),
        release: (address) => router.release(address),
        isCongested: (address) => router.isCongested(address),
        isHeard: (address) => router.isHeard(address),
        isAwaited: () => this.nats.share.isAwaited(this.nats.nowMs),
        uniqueName: () => nuid.next(),
        wake: () => this.nats.requestTurn(),
      },
      store: this.store,
      limits,
      journal: log.streaming,
      server,
      nowMs: runtime.clock.monotonicMs(),
    });
    this.#driver = new Driver({
      core: this.core,
      bus: router,
      store: this.store,
      clock: runtime.clock,
      scheduler: runtime.scheduler,
      replyName: nuid.next(),
      requestTurn: () => this.nats.requestTurn(),
      failed: (error) => this.#storeFailed(error),
    });
    this.nats.onTurn = () => this.#driver!.turn();
  }

  #buildStore(limits: ResolvedChannelLimits, encryptionKey: string): Store {
    try {
      return openStore(this.#options, limits, this.#runtime, this.#log.streaming, encryptionKey);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      throw new ServerError("SERVER_START_FAILED", error.message, { cause: error });
    }
  }

  /** The parts of the options that stand in files. */
  #readPorts(): Pick<NatsServerOptions, "tls" | "webSocket"> {
    const { tls } = this.#options;
    const { files } = this.#runtime;
    try {
      return {
        tls: tls === undefined ? undefined : readTlsFiles(tls, files),
        webSocket: webSocketOptionsOf(this.#options, files),
      };
    } catch (error) {
      if (!(error instanceof TlsFileError)) throw error;
      throw new ServerError("SERVER_START_FAILED", error.message, { cause: error });
    }
  }

  /** Those in force: a reload replaces them. */
  get options(): Options {
    return this.#options;
  }

  get state(): ServerState {
    return this.#state;
  }

  /** `nats://host:port` for a client on this machine. */
  get clientUrl(): string {
    const { host, port } = this.nats;
    const reachable = host === "0.0.0.0"
      ? "127.0.0.1"
      : host === "::"
      ? "[::1]"
      : host.includes(":")
      ? `[${host}]`
      : host;
    return `nats://${reachable}:${port}`;
  }

  /** Recovers, then opens the client port: a client that gets in is served. Rejects with {@link ServerError}. */
  async start(): Promise<void> {
    const { options } = this;
    const streaming = this.#log.streaming;
    const core = this.#log.core;
    if (!options.coreOnly) {
      streaming.info(`Starting nats-streaming-server[${options.clusterId}] version ${streamingVersion()}`);
      streaming.info(`ServerID: ${this.serverId}`);
      streaming.info(`Runtime: ${this.#runtime.version}`);
      streaming.info(`Git commit: ${COMMIT}`);
    }
    core.info("Starting nats-server");
    core.info(`  Version:  ${NATS_VERSION}`);
    core.info(`  Git:      ${COMMIT}`);
    core.info(`  Name:     ${this.nats.name}`);
    core.info(`  ID:       ${this.nats.id}`);
    if (options.configFiles.nats !== "") core.info(`Using configuration file: ${options.configFiles.nats}`);
    // Those of the client port are told when it opens.
    if (this.nats.authenticator?.hasPlainSecrets !== true && hasPlainWebSocketSecret(options)) {
      core.warn("Plaintext passwords detected, use nkeys or bcrypt");
    }
    try {
      if (wantsMonitoring(options)) await this.#startMonitor();
      if (this.core !== undefined) await this.#recover();
      await this.nats.listen();
      this.#mustBeStarting();
    } catch (error) {
      if (error instanceof ServerError) {
        // Whoever stops the server does not wait for this, so it is tidied up here.
        await this.nats.close();
        await this.store.close();
        throw error;
      }
      if (!(error instanceof RuntimeError || error instanceof StoreError)) throw error;
      this.#state = "failed";
      await this.#monitor?.close();
      await this.store.close();
      throw new ServerError("SERVER_START_FAILED", error.message, { cause: error });
    }
    const { host, port } = this.nats;
    core.info(`Listening for client connections on ${host.includes(":") ? `[${host}]` : host}:${port}`);
    if (options.tls !== undefined && !options.tls.allowNonTls) core.info("TLS required for client connections");
    core.info("Server is ready");
    if (this.core !== undefined) streaming.info("Streaming Server is ready");
    this.#state = "ready";
  }

  /** Opens the monitoring port; it answers while the state is being recovered, too. */
  async #startMonitor(): Promise<void> {
    const monitoring = new Monitoring({
      runtime: this.#runtime,
      log: this.#log,
      nats: this.nats,
      serverId: this.serverId,
      options: () => this.#options,
      state: () => this.#state,
      streaming: this.core === undefined || this.#driver === undefined ? undefined : {
        core: this.core,
        driver: this.#driver,
        store: this.store,
        limits: resolveChannelLimits(this.#options.limits),
      },
      console: this.#buildConsole(),
    });
    this.#monitor = monitoring;
    await monitoring.open();
  }

  /** Undefined: there is nothing to administer. */
  #buildConsole(): ((request: HttpRequest) => Promise<HttpAnswer>) | undefined {
    const { core } = this;
    const driver = this.#driver;
    if (core === undefined || driver === undefined) return undefined;
    const console = new Console(createConsoleView({
      runtime: this.#runtime,
      log: this.#log,
      nats: this.nats,
      core,
      driver,
      store: this.store,
      serverId: this.serverId,
      options: () => this.#options,
      state: () => this.#state,
    }));
    return (request) => console.answer(request);
  }

  /** Port of the monitor; 0 when it is off. */
  get monitorPort(): number {
    return this.#monitor?.port ?? 0;
  }

  async #recover(): Promise<void> {
    const { options, store } = this;
    const log = this.#log.streaming;
    const computed = stanSubjects(byteStringOfText(options.clusterId), byteStringOfText(options.discoverPrefix));
    log.info("Recovering the state...");
    const state = await this.#recoverStore(computed);
    this.#mustBeStarting();
    const server = state?.server ?? computed;
    if (state === undefined) {
      log.info("No recovered state");
      store.init(computed);
    } else {
      log.info(`Recovered ${state.channels.length} channel(s)`);
    }
    await store.flush();
    log.info(`Message store is ${store.name}`);
    if (options.file.dir !== "") log.info(`Store location: ${options.file.dir}`);
    const limits = resolveChannelLimits(options.limits);
    const banner = limitsBanner({
      maxChannels: limits.maxChannels,
      global: limits.global,
      defaults: DEFAULT_LIMITS,
      channels: limits.entries,
    });
    for (const line of banner) log.info(line);
    if (log.debugEnabled) {
      log.debug(`Discover subject:           ${server.discovery}`);
      log.debug(`Publish subject:            ${publishWildcard(server.publish)}`);
      log.debug(`Subscribe subject:          ${server.subscribe}`);
      log.debug(`Subscription Close subject: ${server.subClose}`);
      log.debug(`Unsubscribe subject:        ${server.unsubscribe}`);
      log.debug(`Close subject:              ${server.close}`);
      log.debug(`Ping subject:               ${pingsSubject(server.discovery)}`);
    }
    this.#driver!.start(server, state);
  }

  /** What the store has, with the subjects that its clients know; undefined: nothing. */
  async #recoverStore(computed: ServerRecord): Promise<RecoveredState | undefined> {
    const { options, store } = this;
    let state: RecoveredState | undefined;
    try {
      state = await store.recover();
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== "STORE_NO_SERVER_INFO") throw error;
      this.#log.streaming.warn(
        "Server information was not recovered, however channels are present. Will initialize server and restart recovery!",
      );
      store.init(computed);
      state = await store.recover();
    }
    if (state === undefined) return undefined;
    const recovered = displayText(state.server.clusterId);
    if (recovered !== options.clusterId) {
      throw new StoreError(
        "STORE_WRONG_CLUSTER",
        `cluster ID "${options.clusterId}" does not match recovered value of "${recovered}"`,
      );
    }
    if (state.server.subClose !== "") return state;
    // Stores of very old servers (stores.md 1.6).
    const server = { ...state.server, subClose: computed.subClose };
    store.init(server);
    return { ...state, server };
  }

  /**
   * Puts those of `options` in force that can be changed while clients are served (operations.md 2.8); one that cannot, and
   * nothing changes. Options of the streaming half keep their values, and a line of the log names them. Throws
   * {@link ReloadError}.
   */
  reload(options: Options): void {
    if (this.#state !== "ready") {
      throw new ReloadError(`the server is ${this.#state}: options change while it is ready`);
    }
    const { nats } = this;
    this.#options = applyReload({ runtime: this.#runtime, log: this.#log, nats, options: this.#options }, options);
    this.#coreOptions.maxPayload = nats.options.maxPayload;
    this.#monitor?.reloaded();
  }

  /**
   * Ends the server so that its clients hardly notice (nats-server.md 3.12): nobody gets in any more, clients are told and
   * then closed one by one. Streaming goes on until the last of them; before that one goes, what was accepted is finished
   * and stored. Resolves when the server has stopped. `stop` cuts it short.
   */
  async lameDuck(): Promise<void> {
    if (this.#state === "ready") await this.nats.enterLameDuck(() => this.#driver?.stop() ?? Promise.resolve());
    await this.stop();
  }

  /** Stops gracefully: what was accepted is finished and answered, then ports and stores close. A second call waits, too. */
  stop(): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  #stopping: Promise<void> | undefined;

  /** What `stop` still has to do, for a line of the log. */
  get unfinished(): string {
    return this.#unfinished;
  }

  async #stop(): Promise<void> {
    const before = this.#state;
    this.#state = "stopping";
    if (this.core !== undefined) this.#log.streaming.info("Shutting down.");
    // Recovery cannot be hurried, and loses nothing when the process ends in the middle of it: the next one begins anew.
    if (before === "starting") return this.#stopStarting();
    this.#unfinished = "requests that were accepted are being answered and stored";
    if (before !== "failed") await this.#driver?.stop();
    this.#log.core.info("Initiating Shutdown...");
    this.#unfinished = "the connections of clients are being closed, everything is stored";
    await this.nats.close();
    this.#unfinished = "the monitoring port is being closed, everything is stored";
    await this.#monitor?.close();
    this.#unfinished = "the store is being closed";
    await this.store.close();
    this.#log.core.info("Server Exiting..");
    this.#unfinished = "";
    this.#state = before === "failed" ? "failed" : "stopped";
  }

  async #stopStarting(): Promise<void> {
    this.#unfinished = "the monitoring port is being closed, nobody was served yet";
    this.#log.core.info("Initiating Shutdown...");
    await this.#monitor?.close();
    this.#log.core.info("Server Exiting..");
    this.#unfinished = "";
    this.#state = "stopped";
  }

  /** Between two steps of the start. */
  #mustBeStarting(): void {
    if (this.#state === "starting") return;
    throw new ServerError("SERVER_STOPPED", "the server was stopped before it was ready");
  }

  /** A flush failed: what was not acknowledged stays so, and the process must not go on trusting that store. */
  #storeFailed(error: unknown): void {
    if (this.#state === "failed") return;
    this.#state = "failed";
    const reason = error instanceof Error ? error.message : String(error);
    this.onFailed?.(new ServerError("SERVER_STORE_FAILED", `unable to flush the store: ${reason}`, { cause: error }));
  }
}

/** Of the WebSocket port, which may have a password or token of its own. */
function hasPlainWebSocketSecret({ websocket }: Options): boolean {
  const isPlain = (secret: string) => secret !== "" && !/^\$2[abxy]\$\d\d\$/.test(secret);
  return isPlain(websocket?.password ?? "") || isPlain(websocket?.token ?? "");
}
