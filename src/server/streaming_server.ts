/**
 * The composition: the embedded NATS server, the store, the streaming core and its driver, started in the order in which they
 * can be used and stopped in the order in which nothing is lost. The only place that knows everyone.
 */
import { byteStringOfText } from "../base/bytes.ts";
import { Nuid } from "../base/nuid.ts";
import { DEFAULT_LIMITS, type Options, resolveChannelLimits } from "../config/options.ts";
import { COMMIT, NATS_VERSION, streamingVersion } from "../config/version.ts";
import { limitsBanner } from "../log/banner.ts";
import type { Logger } from "../log/logger.ts";
import { rfc3339 } from "../monitor/json.ts";
import { answerMonitor } from "../monitor/monitor.ts";
import type { StreamingView } from "../monitor/streaming_pages.ts";
import { NatsServer } from "../nats/nats_server.ts";
import type { NatsTlsOptions } from "../nats/tls_entry.ts";
import { type Listener, type Runtime, RuntimeError } from "../runtime/types.ts";
import { MemoryStore } from "../store/memory/memory_store.ts";
import type { Store } from "../store/types.ts";
import { StreamingCore } from "../streaming/core.ts";
import { pingsSubject, publishWildcard, stanSubjects } from "../wire/stan_subjects.ts";
import { Driver } from "./driver.ts";
import { readTlsFiles, TlsFileError } from "./tls_files.ts";

const IO_BATCH_SIZE_DEFAULT = 1024;

/** Life of a server: it moves to the right only. */
export type ServerState = "starting" | "ready" | "stopping" | "stopped" | "failed";

/** The server could not start, or had to stop. `message` is what an operator needs to read. */
export class ServerError extends Error {
  override readonly name = "ServerError";
  constructor(readonly code: "SERVER_START_FAILED" | "SERVER_STORE_FAILED", message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

export class StreamingServer {
  readonly options: Options;
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
  #state: ServerState = "starting";
  #monitor: Listener | undefined;
  readonly #startedMs: number;

  /** Builds everything; nothing is opened before `start`. Throws {@link ServerError} for TLS files that cannot be used. */
  constructor(options: Options, runtime: Runtime, log: Logger) {
    this.options = options;
    this.#runtime = runtime;
    this.#log = log;
    const nuid = new Nuid((bytes) => runtime.random(bytes));
    this.serverId = nuid.next();
    this.#startedMs = runtime.clock.monotonicMs();
    const { nats } = options;
    this.nats = new NatsServer(runtime, {
      host: options.host,
      port: options.port === -1 ? 0 : options.port,
      serverName: nats.serverName,
      clientAdvertise: nats.clientAdvertise,
      maxPayload: nats.maxPayload,
      maxControlLine: nats.maxControlLine,
      maxConnections: Math.min(nats.maxConnections, runtime.network.socketCountMax),
      maxPendingBytes: nats.maxPendingBytes,
      maxSubscriptions: nats.maxSubscriptions,
      maxSubscriptionTokens: nats.maxSubscriptionTokens,
      pingIntervalMs: nats.pingIntervalMs,
      pingMax: nats.pingMax,
      writeDeadlineMs: nats.writeDeadlineMs,
      maxTracedMessageBytes: options.log.maxTracedMessageBytes,
      disableShortFirstPing: nats.disableShortFirstPing,
      version: NATS_VERSION,
      gitCommit: COMMIT === "[not set]" ? "" : COMMIT,
      auth: { ...options.auth, tlsMap: options.tls?.verifyAndMap ?? false },
      tls: this.#readTls(),
    }, log.core);

    const limits = resolveChannelLimits(options.limits);
    this.store = new MemoryStore(limits);
    if (options.coreOnly) return;

    const server = stanSubjects(byteStringOfText(options.clusterId), byteStringOfText(options.discoverPrefix));
    const { router } = this.nats;
    const seed = new Uint8Array(4);
    runtime.random(seed);
    this.core = new StreamingCore({
      core: {
        heartbeatIntervalMs: options.heartbeat.intervalMs,
        heartbeatTimeoutMs: options.heartbeat.timeoutMs,
        heartbeatFailCount: options.heartbeat.failCount,
        replaceDurable: options.replaceDurable,
        maxPayload: nats.maxPayload,
        testNegativeAckWaitMs: nats.testNegativeAckWaitMs,
        seed: new DataView(seed.buffer).getInt32(0),
      },
      world: {
        address: (subject) => router.destination(subject),
        release: (address) => router.release(address),
        isCongested: (address) => router.isCongested(address),
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

  #readTls(): NatsTlsOptions | undefined {
    const { tls } = this.options;
    if (tls === undefined) return undefined;
    try {
      return readTlsFiles(tls, this.#runtime.files);
    } catch (error) {
      if (!(error instanceof TlsFileError)) throw error;
      throw new ServerError("SERVER_START_FAILED", error.message, { cause: error });
    }
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
      if (options.ioBatchSize !== IO_BATCH_SIZE_DEFAULT || options.ioSleepTimeUs !== 0) {
        streaming.warn(
          "io_batch_size and io_sleep_time have no effect: a batch is what one turn of the event loop brings",
        );
      }
    }
    core.info("Starting nats-server");
    core.info(`  Version:  ${NATS_VERSION}`);
    core.info(`  Git:      ${COMMIT}`);
    core.info(`  Name:     ${this.nats.name}`);
    core.info(`  ID:       ${this.nats.id}`);
    if (options.configFiles.nats !== "") core.info(`Using configuration file: ${options.configFiles.nats}`);
    if (hasPlainPassword(options)) core.warn("Plaintext passwords detected, use nkeys or bcrypt");
    try {
      if (options.httpPort !== 0) await this.#startMonitor();
      if (this.core !== undefined) await this.#recover();
      await this.nats.listen();
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
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
    const { options } = this;
    const runtime = this.#runtime;
    const now = { high: 0, low: 0 };
    const nowText = () => {
      runtime.clock.wallNs(now);
      return rfc3339(now, runtime.process.zoneOffsetMinutes((now.high * 4_294_967_296 + now.low) / 1e6));
    };
    const streaming: StreamingView | undefined = this.core === undefined ? undefined : {
      core: this.core,
      store: this.store,
      limits: resolveChannelLimits(options.limits),
      options,
      serverId: this.serverId,
      version: streamingVersion(),
      runtimeVersion: runtime.version,
      startTime: nowText(),
      state: () => this.#state === "failed" ? "FAILED" : this.#state === "stopping" ? "SHUTDOWN" : "STANDALONE",
      nowText,
      uptimeMs: () => runtime.clock.monotonicMs() - this.#startedMs,
    };
    const view = {
      streaming,
      isReady: () => this.#state === "ready",
      title: this.core === undefined ? `NATS ${NATS_VERSION}` : `Stanchion ${streamingVersion()}`,
    };
    const host = options.httpHost === "" ? options.host : options.httpHost;
    this.#monitor = await runtime.http.listen(
      { host, port: options.httpPort === -1 ? 0 : options.httpPort },
      (request) => answerMonitor(view, request),
    );
    this.#log.core.info(`Starting http monitor on ${host}:${this.#monitor.port}`);
  }

  /** Port of the monitor; 0 when it is off. */
  get monitorPort(): number {
    return this.#monitor?.port ?? 0;
  }

  async #recover(): Promise<void> {
    const { options, store } = this;
    const log = this.#log.streaming;
    const server = stanSubjects(byteStringOfText(options.clusterId), byteStringOfText(options.discoverPrefix));
    log.info("Recovering the state...");
    const state = await store.recover();
    if (state === undefined) {
      log.info("No recovered state");
      store.init(server);
    }
    log.info(`Message store is ${store.name}`);
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
    this.#driver!.start(server);
  }

  /** Stops gracefully: what was accepted is finished and answered, then ports and stores close. A second call waits, too. */
  stop(): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  #stopping: Promise<void> | undefined;

  async #stop(): Promise<void> {
    const failed = this.#state === "failed";
    this.#state = "stopping";
    if (this.core !== undefined) this.#log.streaming.info("Shutting down.");
    if (!failed) await this.#driver?.stop();
    this.#log.core.info("Initiating Shutdown...");
    await this.nats.close();
    await this.#monitor?.close();
    await this.store.close();
    this.#log.core.info("Server Exiting..");
    this.#state = failed ? "failed" : "stopped";
  }

  /** A flush failed: what was not acknowledged stays so, and the process must not go on trusting that store. */
  #storeFailed(error: unknown): void {
    if (this.#state === "failed") return;
    this.#state = "failed";
    const reason = error instanceof Error ? error.message : String(error);
    this.onFailed?.(new ServerError("SERVER_STORE_FAILED", `unable to flush the store: ${reason}`, { cause: error }));
  }
}

/** Passwords and tokens that stand in clear in the configuration. */
function hasPlainPassword({ auth }: Options): boolean {
  const isPlain = (secret: string) => secret !== "" && !/^\$2[abxy]\$\d\d\$/.test(secret);
  return isPlain(auth.token) || auth.users.some(({ password }) => isPlain(password));
}
