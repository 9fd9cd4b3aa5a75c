/**
 * Defects planted on purpose, one per rule family: the simulation must find each of them, or it is worth nothing. A plant
 * replaces a method of a part of the core for the time of a run.
 */
import { TimerWheel } from "../../src/base/timer_wheel.ts";
import type { AdminRequest } from "../../src/streaming/admin.ts";
import { Channel, ChannelTable } from "../../src/streaming/channel.ts";
import { CoreContext } from "../../src/streaming/context.ts";
import { StreamingCore } from "../../src/streaming/core.ts";
import { Delivery } from "../../src/streaming/delivery.ts";
import { Flights } from "../../src/streaming/flights.ts";
import { PendingTable } from "../../src/streaming/pending.ts";
import { QueueGroup } from "../../src/streaming/queue_group.ts";
import { Sessions } from "../../src/streaming/sessions.ts";
import { Subscribing } from "../../src/streaming/subscribing.ts";
import { HOLD_REWIND, StanSubscription } from "../../src/streaming/subscription.ts";
import { type TurnGroup, TurnGroups } from "../../src/streaming/turn_groups.ts";
import { type Client, ClientRegistry } from "../../src/streaming/client.ts";
import { CoreDriver } from "../helpers/core_driver.ts";
import type { Defects } from "./world.ts";

/** A defect and what reports it. */
export interface Plant {
  readonly name: string;
  readonly defects?: Defects;
  /** Plants it; returns how to pull it out. */
  readonly plant?: () => () => void;
}

// deno-lint-ignore ban-types -- any method of any class.
type Method = Function;

/** Replaces `name` of `holder` by what `make` makes of the original. */
function replace<Holder extends object>(
  holder: Holder,
  name: keyof Holder & string,
  make: (original: Method) => Method,
): () => void {
  const original = Object.getOwnPropertyDescriptor(holder, name)!;
  Object.defineProperty(holder, name, { ...original, value: make(original.value as Method) });
  return () => Object.defineProperty(holder, name, original);
}

export const PLANTS: readonly Plant[] = [
  {
    name: "16.5: an ack is cumulative",
    plant: () =>
      replace(
        Delivery.prototype,
        "ack",
        (original) =>
          function (this: Delivery, subscription: StanSubscription, sequence: number, fromClient: boolean) {
            if (fromClient) {
              for (const other of subscription.pending.sorted()) {
                if (other < sequence) original.call(this, subscription, other, true);
              }
            }
            original.call(this, subscription, sequence, fromClient);
          },
      ),
  },
  {
    name: "17.2: the expiry of a redelivery is now plus ack wait",
    plant: () => {
      let nowMs = 0;
      const timeBack = replace(
        StreamingCore.prototype,
        "setTime",
        (original) =>
          function (this: StreamingCore, ms: number, high: number, low: number) {
            nowMs = ms;
            original.call(this, ms, high, low);
          },
      );
      const setBack = replace(
        PendingTable.prototype,
        "set",
        (original) =>
          function (this: PendingTable, sequence: number, expiryMs: number) {
            const before = this.get(sequence);
            original.call(this, sequence, before === -1 ? expiryMs : nowMs + expiryMs - before);
          },
      );
      return () => {
        setBack();
        timeBack();
      };
    },
  },
  {
    name: "17.3: redelivery before the ack wait is over",
    plant: () =>
      replace(Delivery.prototype, "expire", (original) =>
        function (this: Delivery, subscription: StanSubscription) {
          const { pending } = subscription;
          for (const sequence of pending.sorted()) pending.set(sequence, pending.get(sequence) - 60);
          original.call(this, subscription);
        }),
  },
  {
    name: "15.7: one message more than max in flight",
    plant: () =>
      replace(
        Subscribing.prototype,
        "bringOnline",
        (original) =>
          function (this: Subscribing, subscription: StanSubscription, client: unknown) {
            original.call(this, subscription, client);
            subscription.maxInFlight++;
          },
      ),
  },
  {
    name: "18.2: a message goes to two members of a group",
    plant: () =>
      replace(Delivery.prototype, "markGroupReady", (original) => {
        let calls = 0;
        return function (this: Delivery, group: QueueGroup) {
          if (++calls % 7 === 0 && group.lastSent > 0 && group.members.length > 1) group.lastSent--;
          original.call(this, group);
        };
      }),
  },
  {
    name: "18.4: every message goes to the last member",
    plant: () =>
      replace(QueueGroup.prototype, "pick", () =>
        function (this: QueueGroup) {
          return this.members[this.members.length - 1];
        }),
  },
  {
    name: "19.4: pending messages are not redelivered first on resume",
    plant: () =>
      replace(
        Subscribing.prototype,
        "bringOnline",
        (original) =>
          function (this: Subscribing, subscription: StanSubscription, client: unknown) {
            subscription.newOnHold = false;
            if (subscription.group !== undefined) subscription.group.newOnHold = false;
            original.call(this, subscription, client);
          },
      ),
  },
  {
    name: "11.5: answers do not wait for the flush",
    plant: () =>
      replace(StreamingCore.prototype, "endTurn", (original) =>
        function (this: StreamingCore) {
          for (const group of original.call(this) as readonly TurnGroup[]) this.finish(group);
          return [];
        }),
  },
  {
    name: "11.7: what a client sent later is answered earlier when its flush ends earlier",
    plant: () =>
      replace(Flights.prototype, "begin", (original) =>
        function (this: Flights, group: TurnGroup) {
          original.call(this, group);
          for (const client of group.clients) client.inFlight = undefined;
        }),
  },
  {
    name: "11.7: what a client sends to two channels of one turn is answered in two orders",
    plant: () =>
      replace(
        TurnGroups.prototype,
        "forPublish",
        (original) =>
          function (this: TurnGroups, channel: Channel, client: Client) {
            client.stagedIn = 0;
            return original.call(this, channel, client);
          },
      ),
  },
  {
    name: "11.7: acks leave in front of the deliveries of their batch",
    plant: () =>
      replace(CoreContext.prototype, "releaseGroup", (original) =>
        function (this: CoreContext, group: TurnGroup) {
          const { segments } = this.effects;
          const before = segments.length;
          original.call(this, group);
          if (segments.length > before) segments.unshift(segments.pop()!);
        }),
  },
  {
    name: "18.6: a message of a leaving member is lost",
    plant: () =>
      replace(
        Delivery.prototype,
        "deal",
        (original) =>
          function (this: Delivery, leaver: StanSubscription, group: QueueGroup) {
            const [first] = leaver.pending.sorted();
            if (first !== undefined) leaver.pending.delete(first);
            original.call(this, leaver, group);
          },
      ),
  },
  {
    name: "13: the start position is off by one",
    plant: () =>
      replace(
        Subscribing.prototype,
        "adopt",
        (original) =>
          function (this: Subscribing, channel: unknown, record: { lastSent: number }) {
            const subscription = original.call(this, channel, record) as StanSubscription;
            subscription.lastSent++;
            return subscription;
          },
      ),
  },
  {
    name: "11.7: what a store has safe at once is delivered to nobody who waits",
    plant: () =>
      replace(
        TurnGroups.prototype,
        "touch",
        (original) =>
          function (this: TurnGroups, group: TurnGroup, channel: Channel) {
            if (this.splits) original.call(this, group, channel);
          },
      ),
  },
  { name: "10.7: a refused message takes a sequence", defects: { consumesRefused: true } },
  {
    name: "17.5: the redelivery count stays at 1",
    plant: () => replace(StanSubscription.prototype, "countRedelivery", () => () => 1),
  },
  {
    name: "7.6: a taken client ID is replaced without asking",
    plant: () =>
      replace(Sessions.prototype, "requestAnswered", (original) =>
        function (this: Sessions, serial: number) {
          this.requestUnanswerable(serial);
          original.call(this, serial);
        }),
  },
  {
    name: "8.3: a client is closed one failed heartbeat too early",
    plant: () =>
      replace(Sessions.prototype, "restore", (original) =>
        function (this: Sessions, record: unknown) {
          const client = original.call(this, record) as { failedHeartbeats: number };
          client.failedHeartbeats = 1;
          return client;
        }),
  },
  {
    name: "17.7: redelivery goes on while the client misses heartbeats",
    plant: () =>
      replace(Delivery.prototype, "expire", (original) =>
        function (this: Delivery, subscription: StanSubscription) {
          subscription.failedHeartbeat = false;
          original.call(this, subscription);
        }),
  },
  {
    name: "11.2: the connection ID of a replaced client still counts",
    plant: () =>
      replace(ClientRegistry.prototype, "byConnection", (original) => {
        const seen = new Set<string>();
        return function (this: ClientRegistry, bytes: Uint8Array, start: number, end: number) {
          const found = original.call(this, bytes, start, end);
          const id = String(bytes.subarray(start, end));
          if (found !== undefined) seen.add(id);
          else if (seen.has(id)) return this.byId.values().next().value;
          return found;
        };
      }),
  },
  {
    name: "12.1: messages go out before the response of their subscription",
    plant: () =>
      replace(
        Subscribing.prototype,
        "bringOnline",
        (original) =>
          function (this: Subscribing, subscription: StanSubscription, client: unknown) {
            original.call(this, subscription, client);
            this.start(subscription, subscription.incarnation);
          },
      ),
  },
  {
    name: "15.6: an ack that makes room starts nothing",
    plant: () => {
      let isAcking = false;
      const ackBack = replace(Delivery.prototype, "ack", (original) =>
        function (this: Delivery, ...args: unknown[]) {
          isAcking = true;
          original.apply(this, args);
          isAcking = false;
        });
      const readyBack = replace(
        Delivery.prototype,
        "markReady",
        (original) =>
          function (this: Delivery, subscription: StanSubscription) {
            if (!isAcking) original.call(this, subscription);
          },
      );
      return () => {
        readyBack();
        ackBack();
      };
    },
  },
  {
    name: "15.6: a receiver that caught up is not served again",
    plant: () => replace(Delivery.prototype, "drained", () => () => {}),
  },
  {
    name: "19.3: a start that was queued for an earlier life counts for the next one",
    plant: () =>
      replace(
        Subscribing.prototype,
        "start",
        (original) =>
          function (this: Subscribing, subscription: StanSubscription) {
            original.call(this, subscription, subscription.incarnation);
          },
      ),
  },
  {
    name: "trap 20: acks to the ack inbox of an earlier life count",
    plant: () => replace(CoreContext.prototype, "stopListening", () => () => {}),
  },
  {
    name: "20: a subscription that ended goes on",
    plant: () =>
      replace(Subscribing.prototype, "end", (original) => {
        let calls = 0;
        return function (this: Subscribing, subscription: StanSubscription, kind: unknown) {
          if (++calls % 5 !== 0) original.call(this, subscription, kind);
        };
      }),
  },
  { name: "8.2: heartbeats come later than the interval says", defects: { core: { heartbeatIntervalMs: 800 } } },
  { name: "8.4: a heartbeat is given up too early", defects: { core: { heartbeatTimeoutMs: 150 } } },
  {
    name: "8.6: a ping of a client that misses heartbeats brings no heartbeat forward",
    plant: () => {
      let isPing = false;
      const pingBack = replace(Sessions.prototype, "ping", (original) =>
        function (this: Sessions, ...args: unknown[]) {
          isPing = true;
          original.apply(this, args);
          isPing = false;
        });
      const armBack = replace(
        TimerWheel.prototype,
        "arm",
        (original) =>
          function (this: TimerWheel, ...args: unknown[]) {
            if (!isPing) original.apply(this, args);
          },
      );
      return () => {
        armBack();
        pingBack();
      };
    },
  },
  {
    name: "10.3: letter case tells two channels apart",
    plant: () => replace(ChannelTable.prototype, "otherSpelling", () => () => undefined),
  },
  {
    name: "10.8: stamps follow a clock that is set back",
    plant: () =>
      replace(
        StreamingCore.prototype,
        "setTime",
        (original) =>
          function (this: StreamingCore, ms: number, high: number, low: number) {
            for (const channel of this.channels.all) channel.stampHigh = 0;
            original.call(this, ms, high, low);
          },
      ),
  },
  {
    name: "15.2: nobody is told that a message was read from the disk",
    defects: { readsSilently: true },
  },
  {
    name: "18.8: the last member that closes takes the durable group with it",
    plant: () =>
      replace(
        QueueGroup.prototype,
        "removeMember",
        (original) =>
          function (this: QueueGroup, member: StanSubscription) {
            this.isDurable = false;
            return original.call(this, member);
          },
      ),
  },
  {
    name: "19.2: an active durable is replaced without being asked to",
    defects: { core: { replaceDurable: true } },
  },
  {
    name: "19.2: an active durable is not replaced although asked to",
    defects: { core: { replaceDurable: false } },
  },
  {
    name: "20.4: a durable is gone when its client closes",
    plant: () =>
      replace(
        Subscribing.prototype,
        "end",
        (original) =>
          function (this: Subscribing, subscription: StanSubscription, kind: unknown) {
            original.call(this, subscription, kind === "client" ? "unsubscribe" : kind);
          },
      ),
  },
  { name: "21.1: one subscription more than allowed", defects: { extraSubscriptions: 1 } },
  { name: "21.1: messages outlive their age", defects: { keepsOld: true } },
  {
    name: "22.2: a channel is deleted under its subscriptions",
    plant: () => {
      const original = Object.getOwnPropertyDescriptor(Channel.prototype, "hasActiveSubscription")!;
      Object.defineProperty(Channel.prototype, "hasActiveSubscription", { ...original, get: () => false });
      return () => Object.defineProperty(Channel.prototype, "hasActiveSubscription", original);
    },
  },
  {
    name: "22.4: an inactive channel stays",
    plant: () => replace(StreamingCore.prototype, "checkInactivity", () => () => {}),
  },
  {
    name: "26.3: a request overtakes the acks before it",
    plant: () => {
      const late: (() => void)[] = [];
      const ackBack = replace(
        CoreDriver.prototype,
        "ack",
        (original) =>
          function (this: CoreDriver, ...args: unknown[]) {
            late.push(() => original.apply(this, args));
            return true;
          },
      );
      const turnBack = replace(CoreDriver.prototype, "turn", (original) =>
        function (this: CoreDriver) {
          for (const ack of late.splice(0)) ack();
          original.call(this);
        });
      return () => {
        turnBack();
        ackBack();
      };
    },
  },
  {
    name: "admin: a paused subscription gets redeliveries",
    plant: () =>
      replace(Delivery.prototype, "expire", (original) =>
        function (this: Delivery, subscription: StanSubscription) {
          const holder = subscription.group ?? subscription;
          const { holds } = holder;
          holder.holds = 0;
          original.call(this, subscription);
          holder.holds = holds;
        }),
  },
  {
    name: "admin: what became due during a pause is forgotten",
    plant: () =>
      replace(
        Delivery.prototype,
        "released",
        () =>
          function (this: Delivery, item: StanSubscription | QueueGroup) {
            if (item instanceof QueueGroup) this.markGroupReady(item);
            else this.markReady(item);
          },
      ),
  },
  {
    name: "admin: nobody is told that a pause is over",
    plant: () => replace(Delivery.prototype, "released", () => () => {}),
  },
  {
    name: "admin: a rewound subscription keeps what it had pending",
    plant: () => replace(PendingTable.prototype, "clear", () => () => {}),
  },
  {
    name: "admin: deliveries do not wait until the new position is safe",
    plant: () =>
      replace(TurnGroups.prototype, "take", (original) =>
        function (this: TurnGroups) {
          const taken = original.call(this) as readonly TurnGroup[];
          for (const { durables, groups } of taken.flatMap(({ channels }) => channels)) {
            for (const durable of durables.values()) durable.holds &= ~HOLD_REWIND;
            for (const one of groups.values()) one.holds &= ~HOLD_REWIND;
          }
          return taken;
        }),
  },
  {
    name: "admin: a channel is deleted under its subscriptions",
    plant: () =>
      replace(
        StreamingCore.prototype,
        "administer",
        (original) =>
          function (this: StreamingCore, request: AdminRequest, finish: unknown) {
            original.call(this, request.kind === "deleteChannel" ? { ...request, force: true } : request, finish);
          },
      ),
  },
  { name: "admin: a purge takes one message too many", defects: { purgesTooMuch: true } },
];
