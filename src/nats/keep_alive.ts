/**
 * PINGs to one client (nats-server.md 3.7): they find peers that are gone and measure the round trip time. A busy client
 * is not asked again once that time is known.
 */
import { TICK_MS, TimerNode, type TimerWheel } from "../base/timer_wheel.ts";

const FIRST_PING_MS = 2000;
const PING_JITTER = 0.2;
const RTT_RENEWAL_MS = 3_600_000;

/** What the keep-alive asks of its connection. */
export interface KeepAliveHost {
  readonly isClosed: boolean;
  readonly lastActivityMs: number;
  /** Sends a PING. */
  probe(): void;
  /** The client has not answered as many PINGs as it may. */
  stale(): void;
}

/** What it asks of the server. */
export interface KeepAliveClock {
  readonly options: { readonly pingIntervalMs: number; readonly pingMax: number };
  readonly wheel: TimerWheel;
  clockMs(): number;
  wake(): void;
}

/** A timer of the server's wheel. */
export class KeepAlive extends TimerNode {
  /** 0: not known yet. */
  rttMs = 0;
  readonly #host: KeepAliveHost;
  readonly #server: KeepAliveClock;
  #pingsOut = 0;
  #pingSentMs = 0;
  #rttAtMs = 0;

  constructor(host: KeepAliveHost, server: KeepAliveClock) {
    super();
    this.#host = host;
    this.#server = server;
  }

  /** Begins with a connection that was accepted. */
  start(): void {
    this.#schedule(this.#server.options.pingIntervalMs);
  }

  /** The first PING comes soon although the client may be busy: clients and monitors rely on a round trip time (trap 13). */
  connected(): void {
    this.#schedule(Math.min(FIRST_PING_MS, this.#server.options.pingIntervalMs));
  }

  /** The interval has changed: nobody waits longer for a PING than a new connection would. */
  intervalChanged(): void {
    const { pingIntervalMs } = this.#server.options;
    const remainingMs = this.dueTick * TICK_MS - this.#server.clockMs();
    if (this.armed && remainingMs > pingIntervalMs * (1 + PING_JITTER)) this.#schedule(pingIntervalMs);
  }

  pong(): void {
    this.#pingsOut = 0;
    if (this.#pingSentMs === 0) return;
    this.#rttAtMs = this.#server.clockMs();
    this.rttMs = this.#rttAtMs - this.#pingSentMs;
    this.#pingSentMs = 0;
  }

  stop(): void {
    this.#server.wheel.disarm(this);
  }

  #schedule(periodMs: number): void {
    const server = this.#server;
    const nowMs = server.clockMs();
    // An idle wheel stands still; brought up to date while it is empty it skips the idle time instead of walking through it.
    if (server.wheel.count === 0) server.wheel.advance(nowMs);
    // Jitter: after a mass reconnect all clients would be pinged in step (trap 47).
    server.wheel.arm(this, nowMs + periodMs * (1 + Math.random() * PING_JITTER));
    server.wake();
  }

  override fire(): void {
    const host = this.#host;
    if (host.isClosed) return;
    const { pingIntervalMs, pingMax } = this.#server.options;
    const nowMs = this.#server.clockMs();
    const quietMs = nowMs - host.lastActivityMs;
    // A busy connection needs no probe; but the very first one gives the round trip time, and it is renewed once an hour.
    const rttKnown = this.rttMs > 0 && nowMs - this.#rttAtMs < RTT_RENEWAL_MS;
    if (rttKnown && this.#pingsOut === 0 && quietMs < pingIntervalMs) return this.#schedule(pingIntervalMs - quietMs);
    if (this.#pingsOut + 1 > pingMax) return host.stale();
    this.#pingsOut++;
    this.#pingSentMs = nowMs;
    host.probe();
    this.#server.wheel.arm(this, nowMs + pingIntervalMs);
  }
}
