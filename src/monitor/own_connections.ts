/**
 * The reference's streaming server is a client of its own NATS server, and operators know its connections by their names
 * (operations.md 5.8). Ours calls the router directly; the monitor shows what would have gone through those connections.
 */
import type { Router } from "../nats/router.ts";
import type { Subscription } from "../nats/subscription.ts";
import type { BusTraffic } from "../server/driver.ts";

/** The driver of the streaming half, as far as the monitor looks at it. */
export interface BusUser {
  readonly traffic: Readonly<BusTraffic>;
  /** In the order of the reference's list. */
  readonly subscriptions: readonly unknown[];
  readonly lastTurnMs: number;
}

/** Ends of the names, in the order in which the reference connects. */
const PARTS = ["send", "general", "acks", "hb"] as const;
type Part = typeof PARTS[number];

/** One of them. */
export interface OwnConnection {
  readonly id: number;
  readonly name: string;
  readonly lastActivityMs: number;
  /** From the streaming server to the NATS server. */
  readonly inMessages: number;
  readonly inBytes: number;
  readonly outMessages: number;
  readonly outBytes: number;
  readonly subscriptions: readonly Subscription[];
}

/** Messages and bytes that go into the NATS server and out of it. */
export interface Traffic {
  readonly inMessages: number;
  readonly inBytes: number;
  readonly outMessages: number;
  readonly outBytes: number;
}

const INBOX = "_INBOX.";

/** All of them. */
export class OwnConnections {
  readonly #ids: ReadonlyMap<Part, number>;
  readonly #clusterId: string;
  readonly #router: Router;
  readonly #user: BusUser;

  /** `takeId` gives the connection IDs: they are taken here, before any client gets one. */
  constructor(options: { clusterId: string; router: Router; user: BusUser; takeId: () => number }) {
    this.#clusterId = options.clusterId;
    this.#router = options.router;
    this.#user = options.user;
    this.#ids = new Map(PARTS.map((part) => [part, options.takeId()]));
  }

  get count(): number {
    return PARTS.length;
  }

  /** Of all of them together. */
  total(): Traffic {
    const sum = { inMessages: 0, inBytes: 0, outMessages: 0, outBytes: 0 };
    for (const part of PARTS) {
      const traffic = this.#trafficOf(part);
      sum.inMessages += traffic.inMessages;
      sum.inBytes += traffic.inBytes;
      sum.outMessages += traffic.outMessages;
      sum.outBytes += traffic.outBytes;
    }
    return sum;
  }

  /** With their subscriptions: looks at all of the account's. */
  list(): OwnConnection[] {
    const byPart = this.#subscriptionsByPart();
    return PARTS.map((part) => ({
      id: this.#ids.get(part) ?? 0,
      name: `_NSS-${this.#clusterId}-${part}`,
      lastActivityMs: this.#user.lastTurnMs,
      ...this.#trafficOf(part),
      subscriptions: byPart.get(part) ?? [],
    }));
  }

  #trafficOf(part: Part): Traffic {
    const { traffic } = this.#user;
    switch (part) {
      case "send":
        return { inMessages: traffic.sent, inBytes: traffic.sentBytes, outMessages: 0, outBytes: 0 };
      case "general": {
        const outMessages = traffic.publishes + traffic.requests;
        return { inMessages: 0, inBytes: 0, outMessages, outBytes: traffic.requestBytes };
      }
      case "acks":
        return { inMessages: 0, inBytes: 0, outMessages: traffic.acks, outBytes: traffic.ackBytes };
      case "hb":
        // Both are empty.
        return { inMessages: traffic.heartbeats, inBytes: 0, outMessages: traffic.heartbeatAnswers, outBytes: 0 };
    }
  }

  #subscriptionsByPart(): Map<Part, Subscription[]> {
    const order = new Map(this.#user.subscriptions.map((subscription, index) => [subscription, index]));
    const general: Subscription[] = [];
    const acks: Subscription[] = [];
    for (const subscription of this.#router.sublist.all()) {
      // One that only looks on is none of the reference's.
      if (subscription.connection !== null || subscription.passive) continue;
      if (order.has(subscription) || !subscription.subject.startsWith(INBOX)) general.push(subscription);
      else acks.push(subscription);
    }
    general.sort((a, b) => (order.get(a) ?? Infinity) - (order.get(b) ?? Infinity));
    return new Map([["general", general], ["acks", acks]]);
  }
}
