/** What a store recovered becomes the state of the core again (streaming-protocol.md 23). */
import { displayText } from "../base/bytes.ts";
import type { ChannelStore, ClientRecord, RecoveredState, RecoveredSubscription } from "../store/types.ts";
import { type Channel, durableKey } from "./channel.ts";
import type { Client } from "./client.ts";
import type { CoreContext } from "./context.ts";
import type { Delivery } from "./delivery.ts";
import { QueueGroup } from "./queue_group.ts";
import type { Subscribing } from "./subscribing.ts";
import type { StanSubscription } from "./subscription.ts";

/** What recovery needs of the core around it. */
export interface RecoveryHost {
  restoreClient(record: ClientRecord): Client;
  /** Puts a channel that a store holds already into the tables. */
  adoptChannel(store: ChannelStore): Channel;
}

export class Recovery {
  readonly #context: CoreContext;
  readonly #delivery: Delivery;
  readonly #subscribing: Subscribing;
  readonly #host: RecoveryHost;
  /** Active again; they start when clients are served. */
  readonly #active: StanSubscription[] = [];
  readonly #clients: Client[] = [];

  constructor(context: CoreContext, delivery: Delivery, subscribing: Subscribing, host: RecoveryHost) {
    this.#context = context;
    this.#delivery = delivery;
    this.#subscribing = subscribing;
    this.#host = host;
  }

  /** 23.5, up to the point where clients can be served: tables, positions, pending messages, ack inboxes. */
  restore(state: RecoveredState): void {
    for (const record of state.clients) this.#clients.push(this.#host.restoreClient(record));
    for (const { store, subscriptions } of state.channels) {
      const channel = this.#host.adoptChannel(store);
      for (const recovered of subscriptions) this.#restoreSubscription(channel, recovered);
      for (const group of channel.groups.values()) this.#restoreGroup(group);
    }
  }

  /** 23.4 */
  #restoreSubscription(channel: Channel, { record: stored, pending }: RecoveredSubscription): void {
    const record = { ...stored };
    // Stores of very old servers: a durable name without the mark (23.4).
    if (record.durableName !== "" && record.queueGroup === "") record.isDurable = true;
    const client = record.clientId === "" ? undefined : this.#context.clients.byId.get(record.clientId);
    const isQueue = record.queueGroup !== "";
    if (isQueue && record.clientId === "") return this.#restoreShadow(channel, this.#adopt(channel, record, pending));
    if (client === undefined && (isQueue || !record.isDurable)) {
      if (isQueue && record.isDurable) {
        this.#context.journal.warn(
          `Not recovering ghost durable queue subscriber: [${displayText(record.clientId)}]:[${
            displayText(record.queueGroup)
          }] subject=${displayText(channel.name)} inbox=${displayText(record.inbox)}`,
        );
      }
      // Nobody can ever come back to it.
      channel.store.subscriptions.delete(record.id);
      return;
    }
    const subscription = this.#adopt(channel, record, pending);
    if (record.isDurable && !isQueue) {
      channel.durables.set(durableKey(record.clientId, record.durableName), subscription);
    }
    if (client === undefined || record.isClosed) return;
    if (isQueue) {
      const group = this.#groupOf(channel, record.queueGroup, record.isDurable);
      subscription.group = group;
      group.members.push(subscription);
      group.lastSent = Math.max(group.lastSent, subscription.lastSent);
    }
    this.#subscribing.bringOnline(subscription, client);
    this.#context.effects.listen.push(subscription);
    this.#active.push(subscription);
  }

  #adopt(channel: Channel, record: RecoveredSubscription["record"], pending: readonly number[]): StanSubscription {
    const subscription = this.#subscribing.adopt(channel, record);
    for (const sequence of pending) {
      // Expiry 0: computed from the stamp of the message when it is looked at (23.5).
      subscription.pending.set(sequence, 0);
      if (sequence > subscription.lastSent) subscription.lastSent = sequence;
    }
    record.lastSent = subscription.lastSent;
    subscription.stalled = subscription.pending.count >= subscription.maxInFlight;
    // Until its start-up is over, also without pending messages: its client may not be back yet (D12).
    subscription.newOnHold = true;
    return subscription;
  }

  #groupOf(channel: Channel, name: string, isDurable: boolean): QueueGroup {
    let group = channel.groups.get(name);
    if (group === undefined) {
      group = new QueueGroup(channel, name, isDurable);
      channel.addGroup(group);
    }
    group.isDurable ||= isDurable;
    return group;
  }

  /** The record that keeps a durable group without members; of several the one that got furthest. */
  #restoreShadow(channel: Channel, shadow: StanSubscription): void {
    const group = this.#groupOf(channel, shadow.record.queueGroup, true);
    shadow.group = group;
    group.lastSent = Math.max(group.lastSent, shadow.lastSent);
    const other = group.shadow;
    const kept = other === undefined || shadow.lastSent > other.lastSent ? shadow : other;
    const dropped = kept === shadow ? other : shadow;
    group.shadow = kept;
    if (dropped === undefined) return;
    dropped.closed = true;
    channel.store.subscriptions.delete(dropped.record.id);
  }

  /** Members were counted one by one; a group that has some needs no shadow. */
  #restoreGroup(group: QueueGroup): void {
    if (group.members.length > 0 && group.shadow !== undefined) {
      const { shadow } = group;
      group.shadow = undefined;
      shadow.closed = true;
      // What it had pending goes to the first member: it was promised to the group.
      this.#inherit(shadow, group);
      group.channel.store.subscriptions.delete(shadow.record.id);
    }
    group.stalledCount = group.members.filter((member) => member.stalled).length;
    group.newOnHold = group.members.some((member) => member.newOnHold);
  }

  #inherit(shadow: StanSubscription, group: QueueGroup): void {
    const heir = group.members[0]!;
    for (const sequence of shadow.pending.sorted()) {
      group.channel.store.subscriptions.addPending(heir.record.id, sequence);
      heir.pending.set(sequence, 0);
      heir.newOnHold = true;
    }
    heir.stalled = heir.pending.count >= heir.maxInFlight;
  }

  /** 23.5: clients are served from here on. Heartbeats begin one interval later, pending messages go out as they are due. */
  begin(): void {
    const { wheel, nowMs, options } = this.#context;
    for (const client of this.#clients) if (!client.closed) wheel.arm(client, nowMs + options.heartbeatIntervalMs);
    for (const subscription of this.#active) {
      if (!subscription.online) continue;
      subscription.initialized = true;
      this.#delivery.beginStartUp(subscription);
    }
    this.#clients.length = 0;
    this.#active.length = 0;
  }
}
