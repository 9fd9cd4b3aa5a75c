/**
 * The last connections that ended, for the monitor (operations.md 5.8, `/connz?state=closed`). Only what the page shows is
 * kept: the connection itself, with its buffers, can be collected.
 */
import type { TlsInfo } from "../runtime/types.ts";
import type { CloseReason } from "./close_reason.ts";
import type { Connection } from "./connection.ts";

/** As many as the reference keeps. */
export const CLOSED_CONNECTIONS_MAX = 10_000;
/**
 * Subscriptions that are kept of one connection, and of all of them. The reference keeps all: ten thousand clients with as many
 * subscriptions each would be gigabytes of what nobody reads.
 */
export const CLOSED_SUBSCRIPTIONS_MAX = 128;
const CLOSED_SUBSCRIPTIONS_TOTAL_MAX = 100_000;

/** A subscription as the pages show it. Byte strings. */
export interface SubscriptionRecord {
  readonly subject: string;
  readonly queue: string;
  readonly sid: string;
  readonly delivered: number;
  readonly max: number;
}

/** A connection that is gone. Instants are monotonic milliseconds. */
export interface ClosedConnection {
  readonly id: number;
  readonly isWebSocket: boolean;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly startedMs: number;
  readonly lastActivityMs: number;
  readonly stoppedMs: number;
  readonly reason: CloseReason;
  readonly rttMs: number;
  readonly pendingBytes: number;
  readonly inMessages: number;
  readonly inBytes: number;
  readonly outMessages: number;
  readonly outBytes: number;
  readonly name: string;
  readonly lang: string;
  readonly version: string;
  readonly tls: TlsInfo | undefined;
  readonly shownUser: string;
  readonly account: string;
  readonly subscriptionCount: number;
  /** The first ones. */
  readonly subscriptions: readonly SubscriptionRecord[];
}

const NONE: readonly SubscriptionRecord[] = [];

/** A ring: the oldest one makes room for the newest. */
export class ClosedConnections {
  readonly #nowMs: () => number;
  readonly #countMax: number;
  readonly #ring: ClosedConnection[] = [];
  /** Where the next one goes once the ring is full: the place of the oldest. */
  #next = 0;
  #subscriptionTotal = 0;

  constructor(nowMs: () => number, countMax: number = CLOSED_CONNECTIONS_MAX) {
    this.#nowMs = nowMs;
    this.#countMax = countMax;
  }

  /** Oldest first. */
  all(): readonly ClosedConnection[] {
    return [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
  }

  /** Called by a connection that ends, while it still has its subscriptions. */
  add(connection: Connection, reason: CloseReason, pendingBytes: number): void {
    const closed = this.#record(connection, reason, pendingBytes);
    this.#subscriptionTotal += closed.subscriptions.length;
    if (this.#ring.length < this.#countMax) {
      this.#ring.push(closed);
      return;
    }
    this.#subscriptionTotal -= this.#ring[this.#next]?.subscriptions.length ?? 0;
    this.#ring[this.#next] = closed;
    this.#next = (this.#next + 1) % this.#countMax;
  }

  #record(connection: Connection, reason: CloseReason, pendingBytes: number): ClosedConnection {
    const { tls } = connection;
    return {
      id: connection.id,
      isWebSocket: connection.connectionType === "WEBSOCKET",
      remoteAddress: connection.remoteAddress,
      remotePort: connection.remotePort,
      startedMs: connection.startedMs,
      lastActivityMs: connection.lastActivityMs,
      stoppedMs: this.#nowMs(),
      reason,
      rttMs: connection.rttMs,
      pendingBytes,
      inMessages: connection.inMessages,
      inBytes: connection.inBytes,
      outMessages: connection.outMessages,
      outBytes: connection.outBytes,
      name: connection.name,
      lang: connection.lang,
      version: connection.version,
      // Without the certificate of the client: nobody is shown it any more.
      tls: tls === undefined ? undefined : { protocol: tls.protocol, cipher: tls.cipher },
      shownUser: connection.shownUser,
      account: connection.account,
      subscriptionCount: connection.subscriptions.size,
      subscriptions: this.#subscriptionsOf(connection),
    };
  }

  #subscriptionsOf({ subscriptions }: Connection): readonly SubscriptionRecord[] {
    const room = Math.min(CLOSED_SUBSCRIPTIONS_MAX, CLOSED_SUBSCRIPTIONS_TOTAL_MAX - this.#subscriptionTotal);
    if (subscriptions.size === 0 || room <= 0) return NONE;
    const records: SubscriptionRecord[] = [];
    for (const { subject, queue, sid, delivered, max } of subscriptions.values()) {
      if (records.length === room) break;
      records.push({ subject, queue, sid, delivered, max });
    }
    return records;
  }
}
