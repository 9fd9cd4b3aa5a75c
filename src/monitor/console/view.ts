/** What the console sees of the server, and may ask of it. Made by the composition; nothing here is changed by looking. */
import type { RecentLines } from "../../log/recent.ts";
import type { AdminOutcome, AdminRequest } from "../../streaming/admin.ts";
import type { BrowseRequest, BrowseResult } from "../../streaming/browse.ts";
import type { StreamingCore } from "../../streaming/core.ts";

/** Options of the console, as they are in force. A reload may change them. */
export interface ConsoleAccess {
  readonly enabled: boolean;
  /** Empty: nothing that needs one is answered. */
  readonly token: string;
  /** Messages and log need none. */
  readonly browse: boolean;
}

/** The process, at the time of the call. */
export interface ProcessFigures {
  readonly cpuPercent: number;
  readonly residentBytes: number;
  readonly loopDelayMs: number;
  /** Null: nothing is stored on a disk, or it does not say. */
  readonly diskFreeBytes: number | null;
}

export interface ConsoleView {
  readonly core: StreamingCore;
  readonly clusterId: string;
  readonly serverId: string;
  readonly version: string;
  readonly storeName: string;
  /** RFC 3339. */
  readonly startTime: string;
  readonly recent: RecentLines;
  /** As `/streaming/serverz` has it. */
  state(): string;
  /** Channels and clients are complete, actions are taken. */
  isReady(): boolean;
  /** Why publishes are refused; empty while they are not. */
  readOnly(): string;
  access(): ConsoleAccess;
  /** RFC 3339. */
  nowText(): string;
  wallNs(out: { high: number; low: number }): void;
  /** Monotonic. */
  nowMs(): number;
  uptimeMs(): number;
  connectionCount(): number;
  slowConsumerCount(): number;
  process(): ProcessFigures;
  administer(request: AdminRequest): Promise<AdminOutcome>;
  browse(request: BrowseRequest): Promise<BrowseResult>;
  /** One line of the log, at level WRN. */
  audit(text: string): void;
  /** Runs `work` later unless the handle is stopped. */
  after(delayMs: number, work: () => void): { stop(): void };
}
