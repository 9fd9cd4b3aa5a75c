/** What the console of a running server shows and asks for, put together from the parts that know it. */
import type { Options } from "../config/options.ts";
import { streamingVersion } from "../config/version.ts";
import type { Logger } from "../log/logger.ts";
import type { ConsoleView, ProcessFigures } from "../monitor/console/view.ts";
import { rfc3339 } from "../monitor/json.ts";
import type { NatsServer } from "../nats/nats_server.ts";
import { type Runtime, RuntimeError } from "../runtime/types.ts";
import type { Store } from "../store/types.ts";
import type { StreamingCore } from "../streaming/core.ts";
import type { Driver } from "./driver.ts";

/** The loop is looked at with a timer of this length, each time somebody asks. */
const DELAY_SAMPLE_MS = 10;
/** Processor time over less than this says nothing. */
const CPU_SPAN_MIN_MS = 250;

/** The server behind a console. */
export interface ConsoleServer {
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly nats: NatsServer;
  readonly core: StreamingCore;
  readonly driver: Driver;
  readonly store: Store;
  readonly serverId: string;
  /** Those in force. */
  readonly options: () => Options;
  readonly state: () => "starting" | "ready" | "stopping" | "stopped" | "failed";
}

const STATE_TEXT = {
  starting: "RECOVERING",
  ready: "STANDALONE",
  stopping: "SHUTDOWN",
  stopped: "SHUTDOWN",
  failed: "FAILED",
} as const;

/** The view of `server`. Nothing runs because of it while nobody looks. */
export function createConsoleView(server: ConsoleServer): ConsoleView {
  const { runtime, log, nats, core, driver, store, serverId, options, state } = server;
  const { clock, scheduler, process } = runtime;
  const wall = { high: 0, low: 0 };
  const nowText = () => {
    clock.wallNs(wall);
    return rfc3339(wall, process.zoneOffsetMinutes((wall.high * 4_294_967_296 + wall.low) / 1e6));
  };
  const startedMs = clock.monotonicMs();
  const figures = processFigures(server);
  return {
    core,
    clusterId: options().clusterId,
    serverId,
    version: streamingVersion(),
    storeName: store.name,
    startTime: nowText(),
    recent: log.recent,
    state: () => STATE_TEXT[state()],
    isReady: () => state() === "ready" && !nats.isLameDuck,
    readOnly: () => {
      for (const { messages } of core.channels.all) if (messages.refusal !== "") return messages.refusal;
      return "";
    },
    access: () => options().console,
    nowText,
    wallNs: (out) => clock.wallNs(out),
    nowMs: () => clock.monotonicMs(),
    uptimeMs: () => clock.monotonicMs() - startedMs,
    connectionCount: () => nats.connections.size,
    slowConsumerCount: () => nats.router.statistics.slowConsumers,
    process: figures,
    administer: (request) => driver.administer(request),
    browse: (request) => driver.browse(request),
    audit: (text) => log.streaming.warn(text),
    after: (delayMs, work) => scheduler.after(delayMs, work),
  };
}

/** Figures of the process; rates are those since the question before. */
function processFigures({ runtime, store, options }: ConsoleServer): () => ProcessFigures {
  const { clock, scheduler, process, disk } = runtime;
  let cpuMs = process.cpuTimeMs();
  let cpuAtMs = clock.monotonicMs();
  let cpuPercent = 0;
  let loopDelayMs = 0;
  let isSampling = false;
  const freeBytes = (): number | null => {
    const { dir } = options().file;
    if (store.name !== "FILE" || dir === "") return null;
    try {
      return disk.freeBytes(dir);
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      return null;
    }
  };
  return () => {
    const nowMs = clock.monotonicMs();
    if (nowMs - cpuAtMs >= CPU_SPAN_MIN_MS) {
      const usedMs = process.cpuTimeMs();
      cpuPercent = Math.round((usedMs - cpuMs) / (nowMs - cpuAtMs) * 1000) / 10;
      cpuMs = usedMs;
      cpuAtMs = nowMs;
    }
    if (!isSampling) {
      isSampling = true;
      scheduler.after(DELAY_SAMPLE_MS, () => {
        isSampling = false;
        loopDelayMs = Math.round(Math.max(0, clock.monotonicMs() - nowMs - DELAY_SAMPLE_MS) * 100) / 100;
      });
    }
    return { cpuPercent, residentBytes: process.residentBytes(), loopDelayMs, diskFreeBytes: freeBytes() };
  };
}
