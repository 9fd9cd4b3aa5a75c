/** The monitoring port of a running server: opens it, gives its pages what they show, and keeps its certificate current. */
import type { Options, ResolvedChannelLimits } from "../config/options.ts";
import { NATS_VERSION, streamingVersion } from "../config/version.ts";
import type { Logger } from "../log/logger.ts";
import { errorAnswer } from "../monitor/answers.ts";
import { LoopDelay } from "../monitor/loop_delay.ts";
import { type Health, Monitor } from "../monitor/monitor.ts";
import type { NatsView, ProcessView } from "../monitor/nats_view.ts";
import { OwnConnections } from "../monitor/own_connections.ts";
import type { StreamingState, StreamingView } from "../monitor/streaming_pages.ts";
import { MonitorTime } from "../monitor/time.ts";
import { TurnFigures } from "../monitor/turn_figures.ts";
import { readCertificateNames, subjectText } from "../nats/auth/certificate_names.ts";
import { ClosedConnections } from "../nats/closed_connections.ts";
import type { NatsServer } from "../nats/nats_server.ts";
import {
  type HttpAnswer,
  type HttpRequest,
  type HttpTls,
  type Listener,
  type Runtime,
  RuntimeError,
} from "../runtime/types.ts";
import type { Store } from "../store/types.ts";
import type { StreamingCore } from "../streaming/core.ts";
import type { Driver } from "./driver.ts";
import { createProcessView } from "./process_figures.ts";

/** Where a server is in its life, as the pages see it. */
export type MonitoredState = "starting" | "ready" | "stopping" | "stopped" | "failed";

/** The server that is shown. */
export interface MonitoredServer {
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly nats: NatsServer;
  readonly serverId: string;
  /** Those in force. */
  readonly options: () => Options;
  readonly state: () => MonitoredState;
  /** Undefined when only the core NATS server runs. */
  readonly streaming: {
    readonly core: StreamingCore;
    readonly driver: Driver;
    readonly store: Store;
    readonly limits: ResolvedChannelLimits;
    /** Where it differs from that of a server on its own (fault tolerance, clustering). */
    readonly mode?: () => StreamingState;
  } | undefined;
  /** Pages below `/console`. */
  readonly console?: ((request: HttpRequest) => HttpAnswer | Promise<HttpAnswer> | undefined) | undefined;
}

/** True when the options ask for a monitoring port. */
export function wantsMonitoring({ httpPort, httpsPort }: Options): boolean {
  return httpPort !== 0 || httpsPort !== 0;
}

export class Monitoring {
  readonly #server: MonitoredServer;
  readonly #time: MonitorTime;
  readonly #loopDelay: LoopDelay;
  readonly #monitor: Monitor;
  readonly #isSecure: boolean;
  #listener: Listener | undefined;
  /** The certificate that the port shows. */
  #tls: HttpTls | undefined;
  #optionsReadMs: number;
  /** A certificate is being changed. */
  #renewing: Promise<void> | undefined;
  #closed = false;

  /** Takes connection IDs, so it comes before the first client. Nothing is opened yet. */
  constructor(server: MonitoredServer) {
    this.#server = server;
    const { runtime, nats, streaming } = server;
    const options = server.options();
    this.#isSecure = options.httpsPort !== 0;
    this.#time = new MonitorTime({
      clock: runtime.clock,
      zoneOffsetMinutes: (unixMs) => runtime.process.zoneOffsetMinutes(unixMs),
    });
    this.#optionsReadMs = this.#time.startedMs;
    this.#loopDelay = new LoopDelay({
      clock: runtime.clock,
      scheduler: runtime.scheduler,
      cpuTimeMs: () => runtime.process.cpuTimeMs(),
    });
    nats.closedConnections = new ClosedConnections(() => runtime.clock.monotonicMs());
    const figures = new TurnFigures();
    if (streaming !== undefined) streaming.driver.figures = figures;
    const process = createProcessView(runtime, this.#loopDelay);
    this.#monitor = new Monitor({
      title: streaming === undefined ? `NATS ${NATS_VERSION}` : `Stanchion ${streamingVersion()}`,
      nats: this.#natsView(process),
      streaming: this.#streamingView(process),
      health: () => this.#health(),
      basePath: options.httpBasePath === "/" ? "" : options.httpBasePath,
      figures,
      loopDelay: this.#loopDelay,
      storeFreeBytes: () => this.#storeFreeBytes(),
      console: server.console,
    });
  }

  /** The port that is bound; 0 before `open`. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** Opens the port. Rejects with RuntimeError when the address cannot be had. */
  async open(): Promise<void> {
    const { log, nats } = this.#server;
    const options = this.#server.options();
    const wanted = this.#isSecure ? options.httpsPort : options.httpPort;
    this.#tls = this.#isSecure ? tlsOf(nats) : undefined;
    try {
      await this.#listen(wanted === -1 ? 0 : wanted);
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      throw new RuntimeError(error.code, `Can't start monitoring: ${error.message}`, { cause: error });
    }
    this.#loopDelay.start();
    const shown = this.#host.includes(":") ? `[${this.#host}]` : this.#host;
    log.core.info(`Starting ${this.#isSecure ? "https" : "http"} monitor on ${shown}:${this.port}`);
  }

  /** Other options are in force. A new certificate is shown from here on; requests that are being answered are cut for it. */
  reloaded(): void {
    this.#optionsReadMs = this.#time.nowMs();
    if (!this.#isSecure) return;
    const tls = tlsOf(this.#server.nats);
    if (tls === undefined || (tls.cert === this.#tls?.cert && tls.key === this.#tls.key)) return;
    this.#tls = tls;
    this.#renewing = (this.#renewing ?? Promise.resolve()).then(() => this.#renew());
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#loopDelay.stop();
    await this.#renewing;
    await this.#listener?.close();
    this.#listener = undefined;
  }

  get #host(): string {
    const { httpHost, host } = this.#server.options();
    return httpHost === "" ? host : httpHost;
  }

  async #listen(port: number): Promise<void> {
    this.#listener = await this.#server.runtime.http.listen(
      { host: this.#host, port, tls: this.#tls },
      (request) => this.#answer(request),
    );
  }

  /** A defect of a page must not end a server that serves: whoever asked is told, and the log has it. */
  #answer(request: HttpRequest): HttpAnswer | Promise<HttpAnswer> {
    const failed = (error: unknown): HttpAnswer => {
      const reason = error instanceof Error ? error.stack ?? error.message : String(error);
      this.#server.log.core.error(`Cannot make the page ${request.path}: ${reason}`);
      return errorAnswer(500, "This page cannot be made. The log of the server says why");
    };
    try {
      const answer = this.#monitor.answer(request);
      return answer instanceof Promise ? answer.catch(failed) : answer;
    } catch (error) {
      return failed(error);
    }
  }

  /** The platform's port keeps its certificate, so it is opened anew under the same number. */
  async #renew(): Promise<void> {
    if (this.#closed) return;
    const { port } = this;
    try {
      await this.#listener?.close();
      await this.#listen(port);
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      this.#listener = undefined;
      this.#server.log.core.error(
        `Cannot open the monitoring port ${port} again for its new certificate: ${error.message}`,
      );
    }
  }

  #natsView(process: ProcessView): NatsView {
    const { nats, streaming, options, runtime } = this.#server;
    return {
      server: nats,
      options,
      time: this.#time,
      process,
      own: streaming === undefined ? undefined : new OwnConnections({
        clusterId: options().clusterId,
        router: nats.router,
        user: streaming.driver,
        takeId: () => nats.takeConnectionId(),
      }),
      runtimeVersion: runtime.version,
      certificateSubject: (der) => subjectText(readCertificateNames(der)?.subject ?? []),
      httpPort: () => this.#isSecure ? 0 : this.port,
      httpsPort: () => this.#isSecure ? this.port : 0,
      optionsReadMs: () => this.#optionsReadMs,
    };
  }

  #streamingView(process: ProcessView): StreamingView | undefined {
    const { streaming, serverId, options, runtime } = this.#server;
    if (streaming === undefined) return undefined;
    return {
      core: streaming.core,
      store: streaming.store,
      limits: streaming.limits,
      options: options(),
      serverId,
      version: streamingVersion(),
      runtimeVersion: runtime.version,
      time: this.#time,
      process,
      state: () => this.#streamingState(),
    };
  }

  #streamingState(): StreamingState {
    switch (this.#server.state()) {
      case "failed":
        return "FAILED";
      case "stopping":
      case "stopped":
        return "SHUTDOWN";
    }
    return this.#server.streaming?.mode?.() ?? "STANDALONE";
  }

  #health(): Health {
    const state = this.#server.state();
    const isRecovering = state === "starting";
    const reason = this.#whyNotReady(state);
    return { isReady: reason === "", isRecovering, reason };
  }

  /** A probe must not send clients to a server that lets nobody in. */
  #whyNotReady(state: MonitoredState): string {
    switch (state) {
      case "starting":
        return this.#server.streaming === undefined
          ? "the server is starting"
          : "the streaming state is being recovered";
      case "ready":
        return this.#server.nats.isLameDuck ? "lame duck mode: no new clients are taken" : "";
      case "stopping":
      case "stopped":
        return "the server is shutting down";
      case "failed":
        return "the server has failed and is stopping";
    }
  }

  #storeFreeBytes(): number | undefined {
    const { runtime, options, streaming } = this.#server;
    const { store, file } = options();
    if (streaming === undefined || store !== "FILE") return undefined;
    try {
      return runtime.disk.freeBytes(file.dir);
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      return undefined;
    }
  }
}

/** That of the client port; the monitor never asks for the certificate of who looks. */
function tlsOf(nats: NatsServer): HttpTls | undefined {
  const tls = nats.options.tls?.server;
  return tls === undefined ? undefined : { cert: tls.certificate, key: tls.key };
}
