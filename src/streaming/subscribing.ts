/** Subscriptions come, are resumed, and go (streaming-protocol.md 12, 14, 18, 19, 20). */
import { bytesOf, displayText } from "../base/bytes.ts";
import { StoreError, type SubscriptionRecord } from "../store/types.ts";
import {
  decodeSubscriptionRequest,
  decodeUnsubscribeRequest,
  encodeSubscriptionResponse,
  START_POSITION,
  type SubscriptionRequest,
} from "../wire/stan_control.ts";
import { STAN_ERROR } from "../wire/stan_errors.ts";
import { isChannelNameValid } from "../wire/stan_subjects.ts";
import { type Channel, durableKey } from "./channel.ts";
import type { Client } from "./client.ts";
import type { CoreContext } from "./context.ts";
import type { Delivery } from "./delivery.ts";
import { QueueGroup } from "./queue_group.ts";
import { isStartPosition, lastSentFor } from "./start_position.ts";
import { StanSubscription } from "./subscription.ts";
import type { Address } from "./world.ts";

const NOTHING = new Uint8Array(0);

/** How a subscription ends; the columns of the matrix in 20.4. */
export type EndKind = "unsubscribe" | "close" | "client";

/** What channels do for this part. */
export interface ChannelSource {
  /** The channel, created if need be; or the text of the refusal. */
  obtain(name: Uint8Array, start: number, end: number): Channel | string;
  find(name: string): Channel | undefined;
  /** The last active subscription may have gone. */
  checkInactivity(channel: Channel): void;
  /** A subscription request arrived: the inactivity timer stops until it is finished. */
  holdInactivity(channel: Channel): void;
}

export class Subscribing {
  readonly #context: CoreContext;
  readonly #delivery: Delivery;
  readonly #channels: ChannelSource;
  /** One for all subscriptions. */
  readonly #expire = (due: StanSubscription): void => this.#delivery.expire(due);

  constructor(context: CoreContext, delivery: Delivery, channels: ChannelSource) {
    this.#context = context;
    this.#delivery = delivery;
    this.#channels = channels;
  }

  // Subscribe ----------------------------------------------------------------------------------------------------------

  /** 12.2 */
  subscribe(buffer: Uint8Array, start: number, end: number, reply: Address | undefined): void {
    const request = decodeSubscriptionRequest(buffer, start, end);
    if (request === undefined) return this.#refuse(reply, STAN_ERROR.INVALID_SUBSCRIPTION_REQUEST, "?");
    const invalid = this.#validate(request);
    if (invalid !== undefined) return this.#refuse(reply, invalid, request.clientId);
    const client = this.#context.clients.byId.get(request.clientId);
    if (client === undefined) return this.#refuse(reply, STAN_ERROR.UNKNOWN_CLIENT_ID, request.clientId);
    const name = bytesOf(request.channel);
    const channel = this.#channels.obtain(name, 0, name.length);
    if (typeof channel === "string") return this.#refuse(reply, channel, request.clientId);
    this.#channels.holdInactivity(channel);
    const error = this.#create(request, client, channel, reply);
    if (error !== undefined) {
      this.#refuse(reply, error, request.clientId);
      this.#channels.checkInactivity(channel);
    }
  }

  #validate(request: SubscriptionRequest): string | undefined {
    if (request.clientId === "") return STAN_ERROR.CLIENT_ID_MISSING;
    const milliseconds = this.#context.options.testNegativeAckWaitMs && request.ackWaitSecs < 0;
    if (request.ackWaitSecs <= 0 && !milliseconds) return STAN_ERROR.INVALID_ACK_WAIT;
    if (request.maxInFlight <= 0) return STAN_ERROR.INVALID_MAX_IN_FLIGHT;
    if (!isStartPosition(request.startPosition)) return STAN_ERROR.INVALID_START_POSITION;
    const name = bytesOf(request.channel);
    if (!isChannelNameValid(name, 0, name.length)) return STAN_ERROR.INVALID_SUBJECT;
    // D14, mended: nothing could ever be delivered to an empty inbox, and its first message would be retried for ever.
    if (request.inbox === "") return STAN_ERROR.INVALID_SUBSCRIPTION_REQUEST;
    return undefined;
  }

  /** Creates or resumes; returns the text of the refusal. */
  #create(
    request: SubscriptionRequest,
    client: Client,
    channel: Channel,
    reply: Address | undefined,
  ): string | undefined {
    const isQueue = request.queueGroup !== "";
    const isDurable = request.durableName !== "";
    if (isQueue && isDurable && request.durableName.includes(":")) return STAN_ERROR.INVALID_DURABLE_NAME;
    try {
      if (isQueue) return this.#join(request, client, channel, reply);
      const key = durableKey(client.id, request.durableName);
      const durable = isDurable ? channel.durables.get(key) : undefined;
      if (durable === undefined) {
        const created = this.#newSubscription(request, client, channel, "", this.#startOf(request, channel));
        if (isDurable) channel.durables.set(key, created);
        this.#attach(created, client, request, reply, false);
        return undefined;
      }
      if (durable.online) {
        if (!this.#context.options.replaceDurable) {
          this.#context.journal.error(`[Client:${client.id}] Duplicate durable subscription registration`);
          return STAN_ERROR.DUPLICATE_DURABLE;
        }
        this.end(durable, "close");
      }
      this.#resume(durable, client, request, reply);
      return undefined;
    } catch (error) {
      if (error instanceof StoreError) return error.message;
      throw error;
    }
  }

  /** 18.1, 18.9 */
  #join(
    request: SubscriptionRequest,
    client: Client,
    channel: Channel,
    reply: Address | undefined,
  ): undefined {
    const isDurable = request.durableName !== "";
    const name = isDurable ? `${request.durableName}:${request.queueGroup}` : request.queueGroup;
    const existing = channel.groups.get(name);
    if (existing?.shadow !== undefined) {
      const shadow = existing.shadow;
      existing.shadow = undefined;
      existing.members.push(shadow);
      shadow.lastSent = existing.lastSent;
      this.#resume(shadow, client, request, reply);
      return;
    }
    const group = existing ?? new QueueGroup(channel, name, isDurable);
    const position = existing === undefined ? this.#startOf(request, channel) : group.lastSent;
    const member = this.#newSubscription(request, client, channel, name, position);
    member.group = group;
    if (existing === undefined) {
      group.lastSent = position;
      channel.addGroup(group);
    }
    group.isDurable ||= isDurable;
    group.members.push(member);
    this.#attach(member, client, request, reply, false);
  }

  #startOf(request: SubscriptionRequest, channel: Channel): number {
    return lastSentFor(request, channel.messages, this.#context.stampHigh, this.#context.stampLow);
  }

  #newSubscription(
    request: SubscriptionRequest,
    client: Client,
    channel: Channel,
    storedGroup: string,
    lastSent: number,
  ): StanSubscription {
    const isQueue = storedGroup !== "";
    const record: SubscriptionRecord = {
      id: 0,
      clientId: client.id,
      queueGroup: storedGroup,
      inbox: request.inbox,
      ackInbox: this.#newAckInbox(),
      maxInFlight: request.maxInFlight,
      ackWaitSecs: request.ackWaitSecs,
      // Durable queue members are known by their compound group name (trap 39).
      durableName: isQueue ? "" : request.durableName,
      lastSent,
      isDurable: request.durableName !== "",
      isClosed: false,
    };
    record.id = channel.store.subscriptions.create(record);
    return this.adopt(channel, record);
  }

  /** A subscription object for a stored record; not attached to a client. */
  adopt(channel: Channel, record: SubscriptionRecord): StanSubscription {
    return new StanSubscription(channel, record, ackWaitMsOf(record.ackWaitSecs), this.#expire);
  }

  /** 19.3: takes over the new request's inbox, limits and client; keeps position, pending and counts. */
  #resume(
    subscription: StanSubscription,
    client: Client,
    request: SubscriptionRequest,
    reply: Address | undefined,
  ): void {
    const { record } = subscription;
    const before = { ...record };
    subscription.asksDurable = request.durableName !== "";
    record.clientId = client.id;
    record.inbox = request.inbox;
    record.ackInbox = this.#newAckInbox();
    record.maxInFlight = request.maxInFlight;
    record.ackWaitSecs = request.ackWaitSecs;
    record.lastSent = Math.max(record.lastSent, subscription.lastSent);
    record.isClosed = false;
    try {
      subscription.channel.store.subscriptions.update(record);
    } catch (error) {
      // A failed resume leaves the durable as it was: offline and resumable (12.5).
      Object.assign(record, before);
      const group = subscription.group;
      if (group !== undefined) {
        group.removeMember(subscription);
        group.shadow = subscription;
      }
      throw error;
    }
    subscription.maxInFlight = request.maxInFlight;
    subscription.ackWaitMs = ackWaitMsOf(request.ackWaitSecs);
    subscription.stalled = false;
    subscription.failedHeartbeat = false;
    subscription.newOnHold = subscription.pending.count > 0;
    if (subscription.group !== undefined) {
      subscription.group.stalledCount = 0;
      subscription.group.newOnHold = subscription.newOnHold;
    }
    this.#attach(subscription, client, request, reply, true);
    if (subscription.pending.count > 0) {
      this.#context.wheel.arm(subscription, this.#context.nowMs + subscription.ackWaitMs);
    }
  }

  #attach(
    subscription: StanSubscription,
    client: Client,
    request: SubscriptionRequest,
    reply: Address | undefined,
    resumed: boolean,
  ): void {
    const context = this.#context;
    const { channel, record } = subscription;
    this.bringOnline(subscription, client);
    context.touch(channel);
    context.effects.listen.push(subscription);
    const group = context.groups.whole();
    if (reply !== undefined) group.held.addBytes(reply, encodeSubscriptionResponse({ ackInbox: record.ackInbox }));
    group.starts.push(subscription);
    group.startIncarnations.push(subscription.incarnation);
    group.startAnswers.push(reply === undefined ? -1 : group.held.count - 1);
    group.startResumed.push(resumed);
    if (context.journal.debugEnabled) this.#logStart(subscription, request, resumed);
  }

  /** Puts a subscription into the tables of its channel and client. It delivers once `start` was called. */
  bringOnline(subscription: StanSubscription, client: Client): void {
    const { channel, record } = subscription;
    subscription.client = client;
    subscription.initialized = false;
    subscription.everAcked = false;
    client.subscriptions.set(record.ackInbox, subscription);
    if (subscription.group === undefined) channel.addSubscription(subscription);
  }

  /** The response is out: redeliver what a resumed durable has pending, then let new messages flow (12.6, 19.4). */
  start(subscription: StanSubscription, incarnation: number): void {
    if (!subscription.online || subscription.initialized || subscription.incarnation !== incarnation) return;
    subscription.initialized = true;
    if (subscription.newOnHold) this.#delivery.beginResume(subscription);
    else this.#delivery.markReady(subscription);
  }

  /** It could not be made safe: its client is told so, and it is as if it had not been asked for. */
  abandon(subscription: StanSubscription, incarnation: number, resumed: boolean): void {
    if (!subscription.online || subscription.initialized || subscription.incarnation !== incarnation) return;
    this.end(subscription, resumed ? "close" : "unsubscribe");
  }

  #newAckInbox(): string {
    return `_INBOX.${this.#context.world.uniqueName()}`;
  }

  #refuse(reply: Address | undefined, error: string, clientId: string): void {
    this.#context.counters.refused++;
    if (this.#context.journal.debugEnabled) {
      this.#context.journal.debug(
        `[Client:${displayText(clientId)}] Subscription request refused; ${displayText(error)}`,
      );
    }
    if (reply !== undefined) this.#context.now.addBytes(reply, encodeSubscriptionResponse({ error }));
  }

  // Unsubscribe and close ----------------------------------------------------------------------------------------------

  /** 20.1 */
  leave(
    kind: "unsubscribe" | "close",
    buffer: Uint8Array,
    start: number,
    end: number,
    reply: Address | undefined,
  ): void {
    const request = decodeUnsubscribeRequest(buffer, start, end);
    if (request === undefined) return this.#refuse(reply, STAN_ERROR.INVALID_UNSUBSCRIBE_REQUEST, "?");
    const channel = this.#channels.find(request.channel);
    if (channel === undefined) return this.#refuse(reply, STAN_ERROR.UNKNOWN_CHANNEL, request.clientId);
    const client = this.#context.clients.byId.get(request.clientId);
    const subscription = this.#findByInbox(channel, request.inbox, client);
    if (subscription === undefined) return this.#refuse(reply, STAN_ERROR.INVALID_SUBSCRIPTION, request.clientId);
    if (client === undefined || subscription.client !== client) {
      return this.#refuse(reply, STAN_ERROR.UNKNOWN_CLIENT_ID, request.clientId);
    }
    this.end(subscription, kind);
    if (reply !== undefined) this.#context.groups.whole().held.addBytes(reply, NOTHING);
  }

  /**
   * By ack inbox first, then by delivery inbox: a client whose subscribe timed out knows only the latter (20.2). Nearly always
   * who asks is whose it is; others, who are refused, do not merit a table for each channel.
   */
  #findByInbox(channel: Channel, inbox: string, client: Client | undefined): StanSubscription | undefined {
    const own = client?.subscriptions.get(inbox);
    if (own !== undefined && own.channel === channel) return own;
    let delivered: StanSubscription | undefined;
    for (const subscription of channel.online()) {
      if (subscription.record.ackInbox === inbox) return subscription;
      if (subscription.record.inbox === inbox) delivered ??= subscription;
    }
    return delivered;
  }

  /** Ends every subscription of a registration that is gone; one after the other (18.11). */
  endAll(client: Client): void {
    for (const subscription of [...client.subscriptions.values()]) this.end(subscription, "client");
  }

  /** Ends an online subscription as the matrix of 20.4 says. */
  end(subscription: StanSubscription, kind: EndKind): void {
    const context = this.#context;
    const { channel, record, group } = subscription;
    const client = subscription.client;
    if (client === undefined || subscription.closed) return;
    client.subscriptions.delete(record.ackInbox);
    context.stopListening(subscription);
    context.wheel.disarm(subscription);
    subscription.client = undefined;
    subscription.initialized = false;
    subscription.resumeLeft = undefined;
    if (subscription.address !== undefined) context.world.release(subscription.address);
    subscription.address = undefined;
    // Its next life begins at another inbox, which nobody waits for.
    subscription.waitsForDrain = false;
    context.touch(channel);
    if (group !== undefined) {
      this.#leaveGroup(subscription, group, kind);
    } else {
      channel.removeSubscription(subscription);
      if (record.isDurable && kind !== "unsubscribe") {
        record.isClosed = true;
        record.lastSent = subscription.lastSent;
        this.#guarded(() => channel.store.subscriptions.update(record));
      } else {
        if (record.isDurable) channel.durables.delete(durableKey(record.clientId, record.durableName));
        this.#forget(subscription);
      }
    }
    if (context.journal.debugEnabled) {
      const verb = kind === "unsubscribe" ? "Unsubscribed" : "Closed subscription";
      context.journal.debug(
        `[Client:${displayText(record.clientId)}] ${verb}, subject=${displayText(channel.name)}, subid=${record.id}`,
      );
    }
    this.#channels.checkInactivity(channel);
  }

  #leaveGroup(member: StanSubscription, group: QueueGroup, kind: EndKind): void {
    const { channel, record } = member;
    group.removeMember(member);
    if (member.stalled && group.stalledCount > 0) group.stalledCount--;
    // It held the group back until its pending messages were redelivered, or while its receiver was congested: the others
    // must not wait for what will never come (trap 43).
    if (member.newOnHold) group.newOnHold = false;
    group.waitsForDrain = false;
    if (group.members.length > 0) {
      this.#delivery.deal(member, group);
      this.#forget(member);
      // One member fewer: the others may be all that is needed to go on.
      this.#delivery.markGroupReady(group);
      return;
    }
    // D15, mended: a member that joined by the literal name does not take the durable group with it.
    const keep = group.isDurable && (kind !== "unsubscribe" || !member.asksDurable);
    if (!keep) {
      channel.removeGroup(group);
      this.#forget(member);
      return;
    }
    group.shadow = member;
    group.stalledCount = 0;
    member.stalled = false;
    record.clientId = "";
    record.isDurable = true;
    record.lastSent = group.lastSent;
    this.#guarded(() => channel.store.subscriptions.update(record));
  }

  #forget(subscription: StanSubscription): void {
    subscription.closed = true;
    this.#guarded(() => subscription.channel.store.subscriptions.delete(subscription.record.id));
  }

  /** A failure to write the end of a subscription is for the operator; the client sees success (20.1). */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#context.journal.error(`Error updating subscription: ${error.message}`);
    }
  }

  #logStart(subscription: StanSubscription, request: SubscriptionRequest, resumed: boolean): void {
    const { record, group, channel } = subscription;
    const kind = group !== undefined
      ? (group.isDurable ? "durable queue " : "queue ")
      : record.isDurable
      ? "durable "
      : "";
    const name = group !== undefined
      ? `, queue=${displayText(request.queueGroup)}`
      : record.isDurable
      ? `, durable=${displayText(record.durableName)}`
      : "";
    this.#context.journal.debug(
      `[Client:${displayText(record.clientId)}] ${resumed ? "Resumed" : "Started new"} ${kind}subscription, ` +
        `subject=${displayText(channel.name)}, inbox=${displayText(record.inbox)}${name}, subid=${record.id}, ` +
        `sending ${(resumed ? undefined : START_WORDS[request.startPosition]) ?? "from sequence"}, ` +
        `seq=${subscription.lastSent + 1}`,
    );
  }
}

/** What a subscription asked for, in the reference's words as far as they are known. */
const START_WORDS: Readonly<Record<number, string>> = Object.freeze({
  [START_POSITION.NEW_ONLY]: "new-only",
  [START_POSITION.LAST_RECEIVED]: "last message",
  [START_POSITION.TIME_DELTA_START]: "from time",
  [START_POSITION.FIRST]: "from beginning",
});

/** Seconds on the wire; negative ones are milliseconds in test mode and refused otherwise. */
function ackWaitMsOf(ackWaitSecs: number): number {
  return ackWaitSecs < 0 ? -ackWaitSecs : ackWaitSecs * 1000;
}
