/**
 * The end of a server that its clients should hardly notice (nats-server.md 3.12): they are told, get time to find another
 * server, and are then closed one by one, spread over minutes, so that they do not all come to the other servers at once.
 */
import type { TimerHandle } from "../runtime/types.ts";
import type { CloseReason } from "./close_reason.ts";

/** Longest time between two clients: few of them need not be spread over minutes. */
const GAP_MS_MAX = 1000;
/** Time for the closing when the grace period leaves none. */
const CLOSING_MS_MIN = 1000;
/** What a timer can measure; with more clients than such steps several go at once. */
const GAP_MS_MIN = 1;

/** A client that will have to go. */
export interface LameDuckClient {
  readonly isClosed: boolean;
  close(reason: CloseReason): void;
}

/** The server that ends. */
export interface LameDuckServer {
  readonly log: { info(text: string): void };
  readonly options: { readonly lameDuckDurationMs: number; readonly lameDuckGraceMs: number };
  readonly connections: ReadonlyMap<number, LameDuckClient>;
  after(delayMs: number, work: () => void): TimerHandle;
}

/** One end. */
export class LameDuck {
  readonly #server: LameDuckServer;
  readonly #beforeLast: () => Promise<void>;
  #isStopped = false;
  #isLastReady = false;
  #timer: TimerHandle | undefined;
  #wake: (() => void) | undefined;

  /** `beforeLast` is waited for before the last client is closed. */
  constructor(server: LameDuckServer, beforeLast: () => Promise<void>) {
    this.#server = server;
    this.#beforeLast = beforeLast;
  }

  /** Resolves when no client is left, or after `stop`. Call it once. */
  async run(): Promise<void> {
    const server = this.#server;
    const { lameDuckDurationMs, lameDuckGraceMs } = server.options;
    // Servers that are told to end together: their clients must not go from one to the other.
    if (server.connections.size > 0) await this.#pause(lameDuckGraceMs);
    const clients = shuffled([...server.connections.values()]);
    if (clients.length > 0 && !this.#isStopped) {
      server.log.info("Closing existing clients");
      const closingMs = lameDuckDurationMs - lameDuckGraceMs;
      await this.#closeAll(clients, closingMs > 0 ? closingMs : CLOSING_MS_MIN);
    }
    await this.#readyForLast();
  }

  async #readyForLast(): Promise<void> {
    if (this.#isStopped || this.#isLastReady) return;
    this.#isLastReady = true;
    await this.#beforeLast();
  }

  async #closeAll(clients: readonly LameDuckClient[], closingMs: number): Promise<void> {
    const gapMs = Math.min(GAP_MS_MAX, closingMs / clients.length);
    const batch = Math.max(1, Math.ceil(GAP_MS_MIN / gapMs));
    let closed = 0;
    for (const [index, client] of clients.entries()) {
      if (client.isClosed) continue;
      const isLast = index === clients.length - 1;
      if (isLast) await this.#readyForLast();
      if (this.#isStopped) return;
      client.close("Server Shutdown");
      if (isLast || ++closed % batch > 0) continue;
      // Between the half and the whole of it.
      await this.#pause(Math.max(GAP_MS_MIN, gapMs * (0.5 + Math.random() / 2)));
      if (this.#isStopped) return;
    }
  }

  /** The last client has left: there is nothing to wait for. */
  empty(): void {
    this.#resume();
  }

  /** Ends it at once; the clients that are left stay as they are. */
  stop(): void {
    this.#isStopped = true;
    this.#resume();
  }

  #resume(): void {
    this.#timer?.stop();
    this.#wake?.();
  }

  #pause(ms: number): Promise<void> {
    if (this.#isStopped || this.#server.connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = this.#server.after(ms, resolve);
    });
  }
}

/** In random order. */
export function shuffled<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const other = Math.floor(Math.random() * (i + 1));
    const item = items[i]!; // i < length.
    items[i] = items[other]!; // other <= i.
    items[other] = item;
  }
  return items;
}
