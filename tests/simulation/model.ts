/**
 * What the streaming core may and must do, written from the behaviour specification and as slow and plain as it can be. The
 * world tells it every event before the core sees it, everything the core stages, writes to its store and sends, and the
 * model throws at the first thing that the specification does not allow. Section numbers are those of the specification.
 *
 * It knows nothing of the core's structures. Where the specification leaves a choice (which member of a group inherits which
 * message, the order of groups) it follows what it sees and checks that the choice was allowed.
 */
import { byteString } from "../../src/base/bytes.ts";
import type {
  ChannelLimits,
  ChannelStore,
  ClientRecord,
  MessageStore,
  SubscriptionRecord,
} from "../../src/store/types.ts";
import {
  type CloseRequest,
  type ConnectRequest,
  decodeCloseResponse,
  decodeConnectResponse,
  decodePingResponse,
  decodeSubscriptionResponse,
  START_POSITION,
  type SubscriptionRequest,
  type UnsubscribeRequest,
} from "../../src/wire/stan_control.ts";
import { decodeMsgProto, MsgProtoView } from "../../src/wire/stan_hot.ts";
import { decodeMessage } from "../../src/wire/stan_codec.ts";
import type { AdminOutcome, AdminRefusal, AdminRequest, AdminTarget } from "../../src/streaming/admin.ts";
import type { RequestKind } from "../helpers/core_driver.ts";
import { REFUSED_TEXT, type StoreObserver } from "./observed_store.ts";

/** Something happened that the specification does not allow. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** A publish as a client meant it. */
export interface PublishRequest {
  clientId: string;
  guid: string;
  channel: string;
  reply: string;
  data: Uint8Array;
  connectionId: string;
}

export interface ModelOptions {
  readonly heartbeatIntervalMs: number;
  readonly heartbeatTimeoutMs: number;
  readonly heartbeatFailCount: number;
  readonly replaceDurable: boolean;
  readonly maxChannels: number;
  readonly limits: ChannelLimits;
  readonly maxPayload: number;
}

/** What the model asks of the world. */
export interface ModelView {
  /** Time of the core. */
  readonly nowMs: number;
  readonly wallNs: bigint;
  /** The inbox is congested now, or was less than `ms` ago. */
  congestedWithin(inbox: string, ms: number): boolean;
  /** Older messages of the channel are being fetched from the disk, or were until just now. */
  isReading(channel: string): boolean;
}

/** Timers have a resolution of 10 ms, and a batch is up to 3 ms older than the clock. */
const LATE_MS = 40;
const SLACK_MS = 15;
const PROBE_MS = 500;
const TRANSFER_MS = 100;
/** More than the turns of a long backlog take, and than one slow flush that holds up the groups behind it. */
const WAITING_MAX_MS = 500;

const TEXT = {
  connect: "stan: invalid connection request",
  clientId: "stan: invalid clientID: only alphanumeric and `-` or `_` characters allowed",
  duplicate: "stan: clientID already registered",
  replaced: "client has been replaced or is no longer registered",
  publish: "stan: invalid publish request",
  channels: "too many channels",
  subscription: "stan: invalid subscription request",
  idMissing: "stan: clientID missing",
  ackWait: "stan: invalid ack wait time, should be >= 1s",
  maxInFlight: "stan: invalid MaxInflight, should be >= 1",
  start: "stan: invalid start position",
  subject: "stan: invalid subject",
  durableName: "stan: durable name of a durable queue subscriber can't contain the character ':'",
  durable: "stan: duplicate durable registration",
  subscriptions: "too many subscriptions per channel",
  unknownClient: "stan: unknown clientID",
  unsubscribe: "stan: invalid unsubscribe request",
  unknownChannel: "stan: unknown channel",
  invalidSubscription: "stan: invalid subscription",
  close: "stan: invalid close request",
} as const;

interface Message {
  readonly text: string;
  readonly reply: string;
  readonly stamp: bigint;
}

class ModelChannel {
  readonly log = new Map<number, Message>();
  last = 0;
  /** Flushed up to here. */
  safe = 0;
  /** Highest sequence that an operator wanted to be removed. */
  purgeAsked = 0;
  stamp = 0n;
  activeMs: number;
  readonly online = new Set<ModelSubscription>();
  readonly durables = new Map<string, ModelSubscription>();
  readonly groups = new Map<string, ModelGroup>();
  readonly byId = new Map<number, ModelSubscription>();

  constructor(readonly name: string, readonly store: ChannelStore, nowMs: number) {
    this.activeMs = nowMs;
  }

  get first(): number {
    return this.store.messages.firstSequence;
  }

  exists(sequence: number): boolean {
    return sequence >= this.first && sequence <= this.store.messages.lastSequence;
  }

  /** Positions before messages that are gone are all the same: the first one that exists comes next (15.2). */
  isSamePosition(a: number, b: number): boolean {
    return a === b || Math.max(a + 1, this.first) === Math.max(b + 1, this.first);
  }

  get hasActive(): boolean {
    return this.online.size > 0;
  }
}

interface Pending {
  expiryMs: number;
  /** When it was inherited from a member that left; -1 otherwise. */
  dealtAtMs: number;
}

/** The next message of a position, and since when it waits although somebody could take it; 0 = none does. */
interface Waiting {
  next: number;
  sinceMs: number;
}

class ModelGroup {
  readonly waiting: Waiting = { next: 0, sinceMs: 0 };
  isPaused = false;
  isBeingRewound = false;
  rewoundTurn = 0;
  readonly members = new Set<ModelSubscription>();
  lastSent: number;
  isDurable: boolean;
  shadow: ModelSubscription | undefined = undefined;
  readonly counts = new Map<number, number>();

  constructor(readonly channel: ModelChannel, readonly name: string, isDurable: boolean, lastSent: number) {
    this.isDurable = isDurable;
    this.lastSent = lastSent;
  }
}

/** One life of a subscription: from a request to its end. A resumed durable begins another one with the same subscription. */
class Life {
  answered = false;
  answeredTurn = 0;
  over = false;
  readonly staged: { sequence: number; count: number }[] = [];
  /** Highest sequence that left. */
  emittedLast = 0;
  constructor(readonly subscription: ModelSubscription, readonly inbox: string, readonly ackInbox: string) {}
}

class ModelSubscription {
  readonly waiting: Waiting = { next: 0, sinceMs: 0 };
  isPaused = false;
  isBeingRewound = false;
  /** In which turn that was over: what it gets comes with the next one, behind the acks of this one. */
  rewoundTurn = 0;
  id = 0;
  client: ModelClient | undefined = undefined;
  group: ModelGroup | undefined = undefined;
  key = "";
  isDurable = false;
  /** The request of this life named a durable. */
  asksDurable = false;
  maxInFlight = 0;
  ackWaitMs = 0;
  lastSent = 0;
  readonly pending = new Map<number, Pending>();
  readonly counts = new Map<number, number>();
  life: Life | undefined = undefined;
  /** Pending sequences that a resume must send before anything new. */
  resume: number[] = [];
  /** Pending sequences that were just sent to another member. */
  readonly handedOver = new Set<number>();
  /** Its client misses heartbeats, since. */
  failedSinceMs = Infinity;
  maybeFailed = false;
  begunMs = 0;
  /** Redeliveries may be late until then. */
  lateUntilMs = 0;

  constructor(readonly channel: ModelChannel) {}

  get online(): boolean {
    return this.client !== undefined;
  }

  /** By an operator: nothing may be sent to it. */
  get isHeld(): boolean {
    const { isPaused, isBeingRewound } = this.group ?? this;
    return isPaused || isBeingRewound;
  }

  get redeliveries(): Map<number, number> {
    return this.group?.counts ?? this.counts;
  }
}

class ModelClient {
  failures = 0;
  outSerial = 0;
  /** The one before it, if a ping made the server ask again. */
  outBefore = 0;
  /** Of the last heartbeat, answered or not. */
  serial = 0;
  outSinceMs = 0;
  /** A heartbeat is due from here on. */
  dueMs: number;
  /** Turn of the last ping that hurried a heartbeat. */
  hurriedTurn = 0;
  hurriedUntilMs = 0;
  answeredTurn = 0;
  readonly subscriptions = new Set<ModelSubscription>();
  constructor(readonly id: string, readonly inbox: string, readonly connectionId: string, dueMs: number) {
    this.dueMs = dueMs;
  }
}

interface Probe {
  readonly request: ConnectRequest;
  readonly reply: string;
  readonly sinceMs: number;
  readonly inbox: string;
  serial: number;
  unanswerable: boolean;
  deleted: boolean;
}

interface Expectation {
  readonly kind: RequestKind;
  readonly error: string;
  readonly turn: number;
  readonly guid?: string;
  /** Of a publish that was stored. */
  readonly channel?: ModelChannel;
  readonly sequence?: number;
  readonly publisher?: string;
  readonly life?: Life;
  /** Nothing is delivered there after this response. */
  readonly ends?: readonly Life[];
  readonly request?: ConnectRequest;
}

const view = new MsgProtoView();

export class Model implements StoreObserver {
  readonly #options: ModelOptions;
  readonly #view: ModelView;
  readonly #channels = new Map<string, ModelChannel>();
  readonly #clients = new Map<string, ModelClient>();
  readonly #byConnection = new Map<string, ModelClient>();
  readonly #probes = new Map<string, Probe>();
  readonly #unsentProbes: Probe[] = [];
  readonly #expected = new Map<string, Expectation>();
  readonly #lives = new Map<string, Life>();
  readonly #byAckInbox = new Map<string, Life>();
  /**
   * Guids of stored publishes whose ack is due, in order, per NATS connection and client. A connection that names one client
   * by a connection ID that another one has taken over, and itself by its client ID, speaks for two: they share no order.
   */
  readonly #acksDue = new Map<string, string[]>();
  turn = 1;
  /** Heartbeat inboxes of registrations that ended, and in which turn. */
  readonly #endedInboxes = new Map<string, number>();

  // What the request that is being handled may do to the store.
  #publish: { request: PublishRequest; reply: string | undefined; publisher: string } | undefined;
  #mayCreateChannel: string | undefined;
  #mayCreate: ((record: Readonly<SubscriptionRecord>) => void) | undefined;
  #mayResume: { subscription: ModelSubscription; apply: (record: Readonly<SubscriptionRecord>) => void } | undefined;
  #mayAddClient: string | undefined;
  #mayDeleteClient: string | undefined;
  #mayDeleteChannel: string | undefined;
  /** A durable, or a durable group, that an operator deletes. */
  #mayForget: ModelSubscription | ModelGroup | undefined;
  /** Subscriptions that an operator rewinds, and where to. */
  readonly #mayRewind = new Map<ModelSubscription, number>();
  #ack: { subscription: ModelSubscription; sequence: number } | undefined;
  #ending: ModelSubscription[] = [];
  #endKind: "unsubscribe" | "close" | "client" = "client";
  readonly counters = {
    registered: 0,
    refused: 0,
    probed: 0,
    held: 0,
    pinged: 0,
    pingRefused: 0,
    hurried: 0,
    missed: 0,
    replacedDurable: 0,
    deletedChannels: 0,
    skipped: 0,
    skippedOld: 0,
    dropped: 0,
    published: 0,
    delivered: 0,
    redelivered: 0,
    acked: 0,
    resumed: 0,
    dealt: 0,
    replaced: 0,
    failed: 0,
    finished: 0,
    purged: 0,
    rewound: 0,
    paused: 0,
    unpaused: 0,
    forgotten: 0,
    removedChannels: 0,
    actionsRefused: 0,
  };

  constructor(options: ModelOptions, view: ModelView) {
    this.#options = options;
    this.#view = view;
  }

  get #now(): number {
    return this.#view.nowMs;
  }

  #fail(text: string): never {
    throw new Violation(text);
  }

  #must(condition: boolean, text: () => string): void {
    if (!condition) this.#fail(text());
  }

  #expect(reply: string | undefined, expectation: Omit<Expectation, "turn">): void {
    if (reply !== undefined) this.#expected.set(reply, { ...expectation, turn: this.turn });
  }

  #refuse(kind: RequestKind, reply: string | undefined, error: string): void {
    this.counters.refused++;
    this.#expect(reply, { kind, error });
  }

  /** After the core handled a request: everything it had to do was done. */
  handled(): void {
    if (this.#publish !== undefined) this.#fail("10.7: an accepted publish was not stored");
    if (this.#mayCreate !== undefined) this.#fail("12: an accepted subscription request created no subscription");
    if (this.#mayResume !== undefined) this.#fail("19.3: a durable that is offline was not resumed");
    if (this.#mayAddClient !== undefined) this.#fail("7.2: an accepted connect registered nobody");
    if (this.#mayDeleteClient !== undefined) this.#fail("20.5: a close ended no registration");
    if (this.#ack !== undefined) this.#fail("16.3: an ack of a pending message was not recorded");
    if (this.#ending.length > 0) this.#fail("20.4: a subscription was not ended");
    if (this.#mayDeleteChannel !== undefined) this.#fail("admin: a channel was not deleted");
    if (this.#mayForget !== undefined) this.#fail("admin: a durable was not deleted");
    if (this.#mayRewind.size > 0) this.#fail("admin: a subscription was not rewound");
    this.#mayCreateChannel = undefined;
  }

  // Connect (7) --------------------------------------------------------------------------------------------------------

  garbage(kind: RequestKind, reply: string | undefined): void {
    switch (kind) {
      case "connect":
        return this.#refuse(kind, reply, TEXT.connect);
      case "close":
        return this.#refuse(kind, reply, TEXT.close);
      case "ping":
        return;
      case "publish":
        return this.#refuse(kind, reply, TEXT.publish);
      case "subscribe":
        return this.#refuse(kind, reply, TEXT.subscription);
      default:
        return this.#refuse(kind, reply, TEXT.unsubscribe);
    }
  }

  connect(request: ConnectRequest, reply: string | undefined): void {
    if (request.heartbeatInbox === "") return this.#refuse("connect", reply, TEXT.connect);
    if (!/^[a-zA-Z0-9_-]+$/.test(request.clientId)) return this.#refuse("connect", reply, TEXT.clientId);
    if (this.#probes.has(request.clientId)) return this.#refuse("connect", reply, TEXT.duplicate);
    const existing = this.#clients.get(request.clientId);
    if (existing !== undefined) {
      const probe: Probe = {
        request,
        reply: reply ?? "",
        sinceMs: this.#now,
        inbox: existing.inbox,
        serial: 0,
        unanswerable: false,
        deleted: false,
      };
      this.#probes.set(request.clientId, probe);
      this.counters.probed++;
      this.#unsentProbes.push(probe);
      return;
    }
    this.#mayAddClient = request.clientId;
    this.counters.registered++;
    this.#expect(reply, { kind: "connect", error: "", request });
  }

  addClient(record: ClientRecord): void {
    if (this.#mayAddClient === record.id) {
      this.#mayAddClient = undefined;
    } else {
      const probe = this.#probes.get(record.id);
      if (probe === undefined) this.#fail(`7: ${record.id} was registered without a request`);
      this.#must(
        probe.unanswerable || this.#now - probe.sinceMs >= PROBE_MS,
        () => `7.6: ${record.id} was replaced after ${this.#now - probe.sinceMs} ms of probing`,
      );
      this.#must(!this.#clients.has(record.id), () => `7.7: ${record.id} was registered twice`);
      this.#probes.delete(record.id);
      this.counters.replaced++;
      if (probe.reply !== "") this.#expect(probe.reply, { kind: "connect", error: "", request: probe.request });
    }
    this.#must(!this.#clients.has(record.id), () => `7.6: ${record.id} was registered twice`);
    const client = new ModelClient(
      record.id,
      record.heartbeatInbox,
      record.connectionId,
      this.#now + this.#options.heartbeatIntervalMs,
    );
    this.#clients.set(client.id, client);
    if (client.connectionId !== "") this.#byConnection.set(client.connectionId, client);
  }

  deleteClient(id: string): void {
    const client = this.#clients.get(id);
    if (client === undefined) this.#fail(`20.5: ${id} was ended but is not registered`);
    if (this.#mayDeleteClient === id) {
      this.#mayDeleteClient = undefined;
    } else {
      const probe = this.#probes.get(id);
      if (probe !== undefined && (probe.unanswerable || this.#now - probe.sinceMs >= PROBE_MS)) {
        probe.deleted = true;
      } else {
        this.#settle(client, 0);
        this.#must(
          client.failures > this.#options.heartbeatFailCount,
          () => `8.3: ${id} was closed after ${client.failures} failed heartbeats`,
        );
        this.counters.failed++;
      }
    }
    this.#clients.delete(id);
    this.#endedInboxes.set(client.inbox, this.turn);
    if (this.#byConnection.get(client.connectionId) === client) this.#byConnection.delete(client.connectionId);
    this.#ending.push(...client.subscriptions);
    this.#endKind = "client";
  }

  // Heartbeats (8) and probes ------------------------------------------------------------------------------------------

  /** Counts a heartbeat that was not answered in time as failed, once that is certain (`afterMs` later). */
  #settle(client: ModelClient, afterMs: number): void {
    if (client.outSerial === 0) return;
    const endMs = client.outSinceMs + this.#options.heartbeatTimeoutMs;
    if (this.#now < endMs + afterMs) return;
    this.#heartbeatFailed(client, endMs);
  }

  #heartbeatFailed(client: ModelClient, atMs: number): void {
    client.outSerial = 0;
    client.outBefore = 0;
    client.failures++;
    this.counters.missed++;
    client.dueMs = atMs + this.#options.heartbeatIntervalMs;
    for (const subscription of client.subscriptions) {
      // 8.5: one that began after the failure is not flagged; close to it nobody can tell from outside.
      if (subscription.begunMs < atMs - SLACK_MS) {
        subscription.failedSinceMs = Math.min(subscription.failedSinceMs, atMs);
      } else if (subscription.begunMs < atMs + LATE_MS) {
        subscription.maybeFailed = true;
      }
    }
  }

  /** An empty request left: the probe of a taken client ID, or a heartbeat. */
  requested(inbox: string, serial: number): void {
    const at = this.#unsentProbes.findIndex((probe) => probe.inbox === inbox);
    // 8.6: a heartbeat that a ping repeats keeps its serial, and may leave in front of a probe of the same client.
    const isRepeated = [...this.#clients.values()].some((client) => client.inbox === inbox && client.serial === serial);
    if (at >= 0 && !isRepeated) {
      this.#unsentProbes.splice(at, 1)[0]!.serial = serial;
      return;
    }
    for (const client of this.#clients.values()) {
      if (client.inbox !== inbox) continue;
      this.#settle(client, 0);
      this.#must(
        this.#now <= client.hurriedUntilMs || (client.outSerial === 0 && this.#now >= client.dueMs),
        () => `8.2: a heartbeat for ${client.id} was sent ${client.dueMs - this.#now} ms early`,
      );
      this.#must(
        client.outSerial !== 0 || this.#now <= client.dueMs + LATE_MS,
        () => `8.2: a heartbeat for ${client.id} was sent ${this.#now - client.dueMs} ms late`,
      );
      if (client.outSerial === 0) {
        // Asked again because of a ping, and answered before that left: what comes now is ignored.
        if (client.hurriedTurn === this.turn && client.answeredTurn === this.turn) return;
        client.outSinceMs = this.#now;
      }
      client.outBefore = client.outSerial;
      client.outSerial = serial;
      client.serial = serial;
      return;
    }
    const isJustEnded = this.#endedInboxes.get(inbox) === this.turn;
    this.#must(isJustEnded, () => `8: a request was sent to ${inbox}, which belongs to nobody`);
  }

  /** True when the answer comes at a moment in which the core may have given up already: the world then loses it. */
  isTooCloseToCall(serial: number): boolean {
    for (const probe of this.#probes.values()) {
      if (probe.serial === serial) return Math.abs(this.#now - probe.sinceMs - PROBE_MS) < LATE_MS;
    }
    for (const client of this.#clients.values()) {
      if (client.outSerial !== serial && client.outBefore !== serial) continue;
      return Math.abs(this.#now - client.outSinceMs - this.#options.heartbeatTimeoutMs) < LATE_MS;
    }
    return false;
  }

  answered(serial: number): void {
    for (const [id, probe] of this.#probes) {
      if (probe.serial !== serial) continue;
      this.#probes.delete(id);
      this.counters.held++;
      if (probe.reply !== "") this.#refuse("connect", probe.reply, TEXT.duplicate);
      return;
    }
    for (const client of this.#clients.values()) {
      this.#settle(client, LATE_MS);
      if (client.outSerial !== serial && client.outBefore !== serial) continue;
      client.outSerial = 0;
      client.outBefore = 0;
      client.answeredTurn = this.turn;
      client.failures = 0;
      client.dueMs = this.#now + this.#options.heartbeatIntervalMs;
      for (const subscription of client.subscriptions) {
        if (subscription.failedSinceMs === Infinity && !subscription.maybeFailed) continue;
        subscription.failedSinceMs = Infinity;
        subscription.maybeFailed = false;
        // 17.7: the timer was re-armed with ackWait all the time.
        this.#mayBeLate(subscription, subscription.ackWaitMs);
      }
      return;
    }
  }

  unanswerable(serial: number): void {
    for (const probe of this.#probes.values()) {
      if (probe.serial === serial) probe.unanswerable = true;
    }
    for (const client of this.#clients.values()) {
      if (client.outSerial === serial) this.#heartbeatFailed(client, this.#now);
    }
  }

  #mayBeLate(subscription: ModelSubscription, ms: number): void {
    subscription.lateUntilMs = Math.max(subscription.lateUntilMs, this.#now + ms + LATE_MS);
  }

  // Ping and close -----------------------------------------------------------------------------------------------------

  ping(connectionId: string, reply: string | undefined): void {
    const client = connectionId === "" ? undefined : this.#byConnection.get(connectionId);
    if (client === undefined) {
      this.counters.pingRefused++;
      return this.#refuse("ping", reply, TEXT.replaced);
    }
    this.counters.pinged++;
    this.#expect(reply, { kind: "ping", error: "" });
    // 8.6
    if (client.failures > 0 || this.#mayHaveRunOut(client)) {
      this.counters.hurried++;
      client.hurriedTurn = this.turn;
      client.hurriedUntilMs = this.#now + LATE_MS;
    }
    if (client.failures > 0 && client.outSerial === 0) client.dueMs = Math.min(client.dueMs, this.#now + 1);
  }

  close(request: CloseRequest, reply: string | undefined): void {
    const client = this.#clients.get(request.clientId);
    if (client === undefined) return this.#refuse("close", reply, TEXT.unknownClient);
    this.#mayDeleteClient = client.id;
    const ends = [...client.subscriptions].map((subscription) => subscription.life!);
    this.#expect(reply, { kind: "close", error: "", ends });
  }

  // Publish (10, 11) ---------------------------------------------------------------------------------------------------

  publish(request: PublishRequest, reply: string | undefined, connection: string): void {
    const refuse = (error: string) => this.#expect(reply, { kind: "publish", error, guid: request.guid });
    if (request.guid === "" || !isChannelName(request.channel)) return refuse(TEXT.publish);
    const client = request.connectionId !== ""
      ? this.#byConnection.get(request.connectionId)
      : this.#clients.get(request.clientId);
    if (client === undefined) return refuse(TEXT.publish);
    const error = this.#obtain(request.channel);
    if (error !== "") return refuse(error);
    this.#publish = { request, reply, publisher: `${connection} ${client.id}` };
  }

  /** 10.2 to 10.4; the text of the refusal, or nothing. */
  #obtain(name: string): string {
    if (this.#channels.has(name)) return "";
    for (const other of this.#channels.keys()) {
      if (other.toLowerCase() === name.toLowerCase()) {
        return `rejecting channel "${name}" because channel "${other}" alreay exists (different cases not allowed)`;
      }
    }
    if (this.#options.maxChannels > 0 && this.#channels.size >= this.#options.maxChannels) return TEXT.channels;
    this.#mayCreateChannel = name;
    return "";
  }

  createChannel(name: string, store: ChannelStore): void {
    this.#must(this.#mayCreateChannel === name, () => `10.2: channel ${name} was created without a reason`);
    this.#mayCreateChannel = undefined;
    this.#channels.set(name, new ModelChannel(name, store, this.#now));
  }

  deleteChannel(name: string): void {
    const channel = this.#channels.get(name);
    if (channel === undefined) this.#fail(`22: channel ${name} was deleted but does not exist`);
    if (this.#mayDeleteChannel === name) {
      this.#mayDeleteChannel = undefined;
      this.#must(!channel.hasActive, () => `admin: channel ${name} was deleted under its subscriptions`);
      this.counters.removedChannels++;
      this.#channels.delete(name);
      return;
    }
    const limitMs = this.#options.limits.maxInactivityMs;
    this.#must(limitMs > 0 && !channel.hasActive, () => `22.2: channel ${name} was deleted although it is active`);
    this.#must(
      this.#now - channel.activeMs >= limitMs - SLACK_MS,
      () => `22.4: channel ${name} was deleted after ${this.#now - channel.activeMs} ms`,
    );
    this.counters.deletedChannels++;
    this.#channels.delete(name);
  }

  append(name: string, sequence: number, data: Uint8Array, answer: string, stamp: bigint, accepted: boolean): void {
    const publish = this.#publish;
    if (publish === undefined) this.#fail(`11: a message was stored in ${name} without a publish`);
    const { request, reply, publisher } = publish;
    this.#publish = undefined;
    const channel = this.#channels.get(name);
    if (channel === undefined || name !== request.channel) this.#fail(`11.3: a message went to ${name}`);
    this.#must(
      sequence === channel.last + 1,
      () => `10.7: ${name} got sequence ${sequence} behind ${channel.last}`,
    );
    this.#must(
      byteString(data) === byteString(request.data) && answer === request.reply,
      () => `11.9: another message was stored in ${name}`,
    );
    const expected = stamp === channel.stamp || stamp === this.#view.wallNs;
    this.#must(stamp >= channel.stamp && expected, () => `10.8: message ${sequence} of ${name} has a wrong stamp`);
    channel.stamp = stamp;
    if (!accepted) {
      this.#expect(reply, { kind: "publish", error: REFUSED_TEXT, guid: request.guid });
      return;
    }
    channel.last = sequence;
    channel.activeMs = this.#now;
    channel.log.set(sequence, { text: byteString(data), reply: answer, stamp });
    this.counters.published++;
    if (reply === undefined) return;
    this.#expect(reply, { kind: "publish", error: "", guid: request.guid, channel, sequence, publisher });
    let due = this.#acksDue.get(publisher);
    if (due === undefined) this.#acksDue.set(publisher, due = []);
    due.push(request.guid);
  }

  flushed(name: string, store: MessageStore, last: number): void {
    const channel = this.#channels.get(name);
    if (channel !== undefined && channel.store.messages === store && last > channel.safe) channel.safe = last;
  }

  // Subscribe (12, 13, 18, 19) -----------------------------------------------------------------------------------------

  subscribe(request: SubscriptionRequest, reply: string | undefined): void {
    const refuse = (error: string) => this.#refuse("subscribe", reply, error);
    if (request.clientId === "") return refuse(TEXT.idMissing);
    if (request.ackWaitSecs === 0) return refuse(TEXT.ackWait);
    if (request.maxInFlight <= 0) return refuse(TEXT.maxInFlight);
    if (request.startPosition < 0 || request.startPosition > 4) return refuse(TEXT.start);
    if (!isChannelName(request.channel)) return refuse(TEXT.subject);
    if (request.inbox === "") return refuse(TEXT.subscription);
    const client = this.#clients.get(request.clientId);
    if (client === undefined) return refuse(TEXT.unknownClient);
    const error = this.#obtain(request.channel);
    if (error !== "") return refuse(error);
    const isQueue = request.queueGroup !== "";
    const isDurable = request.durableName !== "";
    if (isQueue && isDurable && request.durableName.includes(":")) return refuse(TEXT.durableName);
    const channel = this.#channels.get(request.channel);
    const { maxSubscriptions } = this.#options.limits;
    const isFull = channel !== undefined && maxSubscriptions > 0 && channel.byId.size >= maxSubscriptions;

    if (isQueue) {
      const name = isDurable ? `${request.durableName}:${request.queueGroup}` : request.queueGroup;
      const group = channel?.groups.get(name);
      if (group?.shadow !== undefined) return this.#expectResume(group.shadow, client, request, reply);
      if (isFull) return refuse(TEXT.subscriptions);
      return this.#expectCreate(request, client, reply, (subscription, lastSent) => {
        const joined = group ?? new ModelGroup(subscription.channel, name, isDurable, lastSent);
        subscription.channel.groups.set(name, joined);
        joined.isDurable ||= isDurable;
        joined.members.add(subscription);
        subscription.group = joined;
      }, group?.lastSent);
    }
    const key = `${request.clientId} ${request.durableName}`;
    const durable = isDurable ? channel?.durables.get(key) : undefined;
    if (durable === undefined) {
      if (isFull) return refuse(TEXT.subscriptions);
      return this.#expectCreate(request, client, reply, (subscription) => {
        if (!isDurable) return;
        subscription.key = key;
        subscription.channel.durables.set(key, subscription);
      });
    }
    if (durable.online) {
      if (!this.#options.replaceDurable) return refuse(TEXT.durable);
      this.counters.replacedDurable++;
      this.#ending.push(durable);
      this.#endKind = "close";
    }
    this.#expectResume(durable, client, request, reply);
  }

  #expectCreate(
    request: SubscriptionRequest,
    client: ModelClient,
    reply: string | undefined,
    place: (subscription: ModelSubscription, lastSent: number) => void,
    groupPosition?: number,
  ): void {
    this.#mayCreate = (record) => {
      const channel = this.#channels.get(request.channel)!;
      const subscription = new ModelSubscription(channel);
      const lastSent = groupPosition ?? this.#startOf(request, channel);
      this.#must(
        channel.isSamePosition(record.lastSent, lastSent),
        () => `13: start position ${request.startPosition} gave ${record.lastSent} instead of ${lastSent}`,
      );
      this.#must(record.id > 0 && !channel.byId.has(record.id), () => "14: a subscription got an id that is taken");
      subscription.id = record.id;
      subscription.lastSent = lastSent;
      subscription.isDurable = request.durableName !== "";
      channel.byId.set(record.id, subscription);
      place(subscription, lastSent);
      this.#begin(subscription, client, request, reply, record);
    };
  }

  #expectResume(
    subscription: ModelSubscription,
    client: ModelClient,
    request: SubscriptionRequest,
    reply: string | undefined,
  ): void {
    this.#mayResume = {
      subscription,
      apply: (record) => {
        const group = subscription.group;
        if (group !== undefined) {
          group.shadow = undefined;
          group.members.add(subscription);
          subscription.lastSent = group.lastSent;
        }
        this.#begin(subscription, client, request, reply, record);
        this.counters.resumed++;
        subscription.resume = [...subscription.pending.keys()].sort((a, b) => a - b);
        if (subscription.pending.size > 0) this.#mayBeLate(subscription, subscription.ackWaitMs);
        // 18.6: what it inherited earlier no longer waits, because 19.4 sends it now.
        for (const pending of subscription.pending.values()) {
          pending.dealtAtMs = -1;
          // 17.1, 19.6: the timer follows the old expiries, also for messages that come with a shorter ack wait later.
          this.#mayBeLate(subscription, pending.expiryMs + subscription.ackWaitMs - this.#now);
        }
      },
    };
  }

  #begin(
    subscription: ModelSubscription,
    client: ModelClient,
    request: SubscriptionRequest,
    reply: string | undefined,
    record: Readonly<SubscriptionRecord>,
  ): void {
    this.#must(/^_INBOX\.[0-9A-Za-z]{22}$/.test(record.ackInbox), () => `30.55: ack inbox ${record.ackInbox}`);
    this.#must(!this.#byAckInbox.has(record.ackInbox), () => "12.1: an ack inbox was used again (trap 20)");
    this.#must(!record.isClosed, () => "19.3: isClosed stays set on resume (trap 41)");
    this.#must(record.inbox === request.inbox, () => "19.3: the inbox of the new request is not used");
    this.#must(
      record.durableName === (request.queueGroup === "" ? request.durableName : ""),
      () => "14.1: durable name in the record of a queue member (trap 39)",
    );
    subscription.client = client;
    subscription.asksDurable = request.durableName !== "";
    subscription.maxInFlight = request.maxInFlight;
    subscription.ackWaitMs = request.ackWaitSecs < 0 ? -request.ackWaitSecs : request.ackWaitSecs * 1000;
    subscription.failedSinceMs = Infinity;
    subscription.maybeFailed = false;
    subscription.begunMs = this.#now;
    const life = new Life(subscription, request.inbox, record.ackInbox);
    subscription.life = life;
    this.#lives.set(request.inbox, life);
    this.#byAckInbox.set(record.ackInbox, life);
    client.subscriptions.add(subscription);
    subscription.channel.online.add(subscription);
    this.#expect(reply, { kind: "subscribe", error: "", life });
    if (reply !== undefined) return;
    // Nothing tells when it starts, so it is exempt from the order of deliveries and acks.
    life.answered = true;
    life.answeredTurn = Infinity;
  }

  /** 13 */
  #startOf(request: SubscriptionRequest, channel: ModelChannel): number {
    const { last } = channel;
    const { first } = channel;
    if (last === 0) return 0;
    switch (request.startPosition) {
      case START_POSITION.NEW_ONLY:
        return last;
      case START_POSITION.LAST_RECEIVED:
        return last - 1;
      case START_POSITION.FIRST:
        return first - 1;
      case START_POSITION.SEQUENCE_START:
        if (request.startSequence < first) return first - 1;
        return request.startSequence > last ? last : request.startSequence - 1;
      default: {
        const from = this.#view.wallNs - request.startTimeDeltaNs;
        for (let sequence = first; sequence <= last; sequence++) {
          if (channel.log.get(sequence)!.stamp >= from) return sequence - 1;
        }
        return last;
      }
    }
  }

  createSubscription(_channel: string, record: Readonly<SubscriptionRecord>): void {
    const create = this.#mayCreate;
    if (create === undefined) this.#fail(`12.5: a subscription was created without a reason (id ${record.id})`);
    this.#mayCreate = undefined;
    create(record);
  }

  updateSubscription(name: string, record: Readonly<SubscriptionRecord>): void {
    const subscription = this.#channels.get(name)?.byId.get(record.id);
    if (subscription === undefined) this.#fail(`a record that does not exist was written: ${name} ${record.id}`);
    const isHeir = record.clientId !== "" && (subscription.group?.members.size ?? 0) > 1;
    if (this.#ending.includes(subscription) && !isHeir) {
      const { group } = subscription;
      if (group === undefined) {
        this.#must(
          subscription.isDurable && this.#endKind !== "unsubscribe" && record.isClosed,
          () => "20.4: a subscription that ends for good was kept",
        );
        this.#must(
          subscription.channel.isSamePosition(record.lastSent, subscription.lastSent),
          () => "20.4: a closed durable lost its position",
        );
      } else {
        this.#must(
          group.members.size === 1 && group.isDurable && record.clientId === "" && record.isDurable,
          () => "18.8: a member became a shadow that may not",
        );
        this.#must(
          subscription.channel.isSamePosition(record.lastSent, group.lastSent),
          () => "18.8: a shadow without the position of its group",
        );
        group.shadow = subscription;
      }
      this.#goOffline(subscription);
      return;
    }
    const resume = this.#mayResume;
    if (resume !== undefined && resume.subscription === subscription) {
      this.#mayResume = undefined;
      resume.apply(record);
    }
  }

  #goOffline(subscription: ModelSubscription): void {
    this.#ending.splice(this.#ending.indexOf(subscription), 1);
    const life = subscription.life!;
    this.#byAckInbox.delete(life.ackInbox);
    subscription.client?.subscriptions.delete(subscription);
    subscription.client = undefined;
    subscription.life = undefined;
    subscription.resume = [];
    subscription.handedOver.clear();
    subscription.channel.online.delete(subscription);
    subscription.group?.members.delete(subscription);
    // Offline nobody waits; the next life begins to.
    if ((subscription.group?.members.size ?? 0) === 0) (subscription.group ?? subscription).waiting.next = 0;
    if (!subscription.channel.hasActive) subscription.channel.activeMs = this.#now;
  }

  deleteSubscription(name: string, id: number): void {
    const channel = this.#channels.get(name);
    const subscription = channel?.byId.get(id);
    if (channel === undefined || subscription === undefined) {
      this.#fail(`20.4: ${name} ${id} was removed, it is unknown`);
    }
    const { group } = subscription;
    if (this.#mayForget === (group ?? subscription) && !subscription.online) {
      this.#mayForget = undefined;
      this.counters.forgotten++;
      if (group !== undefined) channel.groups.delete(group.name);
      else channel.durables.delete(subscription.key);
      channel.byId.delete(id);
      return;
    }
    this.#must(this.#ending.includes(subscription), () => `20.4: subscription ${name} ${id} was removed for no reason`);
    if (group === undefined) {
      this.#must(
        !subscription.isDurable || this.#endKind === "unsubscribe",
        () => "20.4: a durable was removed instead of going offline",
      );
      if (subscription.key !== "") channel.durables.delete(subscription.key);
    } else if (group.members.size > 1) {
      this.#must(
        subscription.pending.size === 0,
        () => `18.6: ${[...subscription.pending.keys()].join()} of a leaving member were not dealt`,
      );
    } else {
      this.#must(
        !group.isDurable || (this.#endKind === "unsubscribe" && subscription.asksDurable),
        () => "18.8: the last member took the durable group with it",
      );
      channel.groups.delete(group.name);
    }
    channel.byId.delete(id);
    this.#goOffline(subscription);
  }

  // Unsubscribe and close (20) -----------------------------------------------------------------------------------------

  leave(kind: "unsubscribe" | "closeSubscription", request: UnsubscribeRequest, reply: string | undefined): void {
    const channel = this.#channels.get(request.channel);
    if (channel === undefined) return this.#refuse(kind, reply, TEXT.unknownChannel);
    let life = this.#byAckInbox.get(request.inbox);
    if (life === undefined) {
      for (const subscription of channel.online) {
        if (subscription.life!.inbox === request.inbox) life = subscription.life;
      }
    }
    const subscription = life?.subscription;
    if (life === undefined || subscription === undefined || subscription.channel !== channel) {
      return this.#refuse(kind, reply, TEXT.invalidSubscription);
    }
    if (subscription.client === undefined || this.#clients.get(request.clientId) !== subscription.client) {
      return this.#refuse(kind, reply, TEXT.unknownClient);
    }
    this.#ending.push(subscription);
    this.#endKind = kind === "unsubscribe" ? "unsubscribe" : "close";
    this.#expect(reply, { kind, error: "", ends: [life] });
  }

  // Operators ----------------------------------------------------------------------------------------------------------

  /** What an operator asks for, before the core sees it; returns what the outcome must be shown to. */
  administer(request: AdminRequest): (outcome: AdminOutcome) => void {
    const channel = this.#channels.get(request.channel);
    if (channel === undefined) return this.#mustRefuse("NOT_FOUND");
    switch (request.kind) {
      case "deleteChannel":
        if (!request.force && channel.byId.size > 0) return this.#mustRefuse("CONFLICT");
        this.#ending.push(...channel.online);
        this.#endKind = "unsubscribe";
        this.#mayDeleteChannel = channel.name;
        return (outcome) => this.#mustBeDone(outcome);
      case "purge":
        return this.#purge(channel, request.upTo);
      case "deleteDurable": {
        const found = this.#durableOf(channel, request.target);
        if (typeof found === "string") return this.#mustRefuse(found);
        const online = found instanceof ModelGroup ? [...found.members] : found.online ? [found] : [];
        if (online.length > 0 && !request.force) return this.#mustRefuse("CONFLICT");
        this.#ending.push(...online);
        this.#endKind = "close";
        this.#mayForget = found;
        return (outcome) => this.#mustBeDone(outcome);
      }
      case "rewind": {
        const found = this.#durableOf(channel, request.target);
        if (typeof found === "string") return this.#mustRefuse(found);
        if (found.isBeingRewound) return this.#mustRefuse("CONFLICT");
        const position = request.to.kind === "sequence" ? request.to.sequence - 1 : Math.max(0, channel.first - 1);
        return this.#rewind(found, position);
      }
      default:
        return this.#pause(channel, request.target, request.kind === "pause");
    }
  }

  #mustRefuse(code: AdminRefusal): (outcome: AdminOutcome) => void {
    this.counters.actionsRefused++;
    return (outcome) =>
      this.#must(
        !outcome.ok && outcome.code === code,
        () => `admin: instead of ${code} the answer was ${JSON.stringify(outcome)}`,
      );
  }

  #mustBeDone(outcome: AdminOutcome): void {
    this.#must(outcome.ok, () => `admin: the answer was ${JSON.stringify(outcome)}`);
  }

  #purge(channel: ModelChannel, wanted: number | undefined): (outcome: AdminOutcome) => void {
    const upTo = wanted ?? channel.last;
    if (upTo > channel.last) return this.#mustRefuse("BAD_REQUEST");
    const { last } = channel;
    channel.purgeAsked = Math.max(channel.purgeAsked, upTo);
    return (outcome) => {
      this.#mustBeDone(outcome);
      this.counters.purged++;
      if (this.#channels.get(channel.name) !== channel) return;
      this.#must(
        channel.first > upTo || last === 0,
        () => `admin: ${channel.first} is still there, not ${upTo} removed`,
      );
      const { maxMessages, maxBytes, maxAgeMs } = this.#options.limits;
      const isLimited = maxMessages > 0 || maxBytes > 0 || maxAgeMs > 0;
      this.#must(
        isLimited || upTo === last || channel.purgeAsked > upTo || channel.exists(upTo + 1),
        () => `admin: a purge up to ${upTo} took ${upTo + 1}, too`,
      );
      this.#must(channel.store.messages.lastSequence >= last, () => "admin: a purge took the last sequence back");
    };
  }

  #rewind(found: ModelSubscription | ModelGroup, position: number): (outcome: AdminOutcome) => void {
    const parts = found instanceof ModelGroup
      ? [...found.members, ...found.shadow === undefined ? [] : [found.shadow]]
      : [found];
    for (const part of parts) this.#mayRewind.set(part, position);
    return (outcome) => {
      this.#mustBeDone(outcome);
      this.counters.rewound++;
      found.isBeingRewound = false;
      found.rewoundTurn = this.turn;
      found.waiting.next = 0;
      // From here on earlier messages come again as first deliveries.
      for (const { life } of parts) if (life !== undefined) life.emittedLast = 0;
    };
  }

  replaceSubscription(name: string, record: Readonly<SubscriptionRecord>, pending: readonly number[]): void {
    const subscription = this.#channels.get(name)?.byId.get(record.id);
    const position = subscription === undefined ? undefined : this.#mayRewind.get(subscription);
    if (subscription === undefined || position === undefined) {
      this.#fail(`admin: the record ${record.id} of ${name} was replaced without a reason`);
    }
    this.#mayRewind.delete(subscription);
    this.#must(
      subscription.channel.isSamePosition(record.lastSent, position),
      () => `admin: rewound to ${record.lastSent} instead of ${position}`,
    );
    this.#must(pending.length === 0, () => "admin: a rewound subscription keeps pending messages");
    const holder = subscription.group ?? subscription;
    holder.isBeingRewound = true;
    holder.lastSent = position;
    subscription.redeliveries.clear();
    subscription.lastSent = position;
    subscription.pending.clear();
    subscription.resume = [];
    subscription.handedOver.clear();
  }

  #pause(channel: ModelChannel, target: AdminTarget, isPause: boolean): (outcome: AdminOutcome) => void {
    const found = this.#targetsOf(channel, target);
    if (typeof found === "string") return this.#mustRefuse(found);
    for (const item of found) {
      if (item.isPaused && !isPause) {
        for (const part of item instanceof ModelGroup ? item.members : [item]) {
          this.#mayBeLate(part, part.ackWaitMs);
        }
        item.waiting.next = 0;
        this.counters.unpaused++;
      }
      if (!item.isPaused && isPause) this.counters.paused++;
      item.isPaused = isPause;
    }
    return (outcome) => this.#mustBeDone(outcome);
  }

  #durableOf(channel: ModelChannel, target: AdminTarget): ModelSubscription | ModelGroup | AdminRefusal {
    const { durableName, clientId, queueGroup } = target;
    if (durableName === "") return "BAD_REQUEST";
    if (queueGroup !== "") {
      const group = channel.groups.get(`${durableName}:${queueGroup}`);
      return group?.isDurable === true ? group : "NOT_FOUND";
    }
    const keys = [...channel.durables.keys()].filter((key) =>
      clientId === "" ? key.endsWith(` ${durableName}`) : key === `${clientId} ${durableName}`
    );
    if (keys.length > 1) return "CONFLICT";
    return keys.length === 0 ? "NOT_FOUND" : channel.durables.get(keys[0]!)!;
  }

  #targetsOf(channel: ModelChannel, target: AdminTarget): (ModelSubscription | ModelGroup)[] | AdminRefusal {
    if (target.durableName !== "") {
      const found = this.#durableOf(channel, target);
      return typeof found === "string" ? found : [found];
    }
    if (target.queueGroup !== "") {
      const group = channel.groups.get(target.queueGroup);
      return group === undefined ? "NOT_FOUND" : [group];
    }
    if (target.clientId === "") return "BAD_REQUEST";
    const own = [...channel.online].filter(({ group, client }) =>
      group === undefined && client?.id === target.clientId
    );
    return own.length === 0 ? "NOT_FOUND" : own;
  }

  // Acks (16) ----------------------------------------------------------------------------------------------------------

  ack(inbox: string, channelName: string, sequence: number): void {
    const subscription = this.#byAckInbox.get(inbox)?.subscription;
    if (subscription === undefined || subscription.channel.name !== channelName) return;
    let owner: ModelSubscription | undefined;
    if (subscription.pending.has(sequence)) {
      owner = subscription;
    } else if (subscription.group !== undefined) {
      for (const member of subscription.group.members) if (member.pending.has(sequence)) owner = member;
    }
    if (owner === undefined) return;
    owner.pending.delete(sequence);
    owner.redeliveries.delete(sequence);
    this.#ack = { subscription: owner, sequence };
    this.counters.acked++;
  }

  ackPending(name: string, id: number, sequence: number): void {
    const subscription = this.#channels.get(name)?.byId.get(id);
    if (subscription === undefined) this.#fail(`16: message ${sequence} acked for ${name} ${id}, which is unknown`);
    const ack = this.#ack;
    if (ack !== undefined) {
      this.#must(
        ack.subscription === subscription && ack.sequence === sequence,
        () => `16.5: an ack of ${ack.sequence} removed ${sequence}`,
      );
      this.#ack = undefined;
      return;
    }
    if (!subscription.pending.has(sequence)) this.#fail(`16.3: message ${sequence} of ${name} is not pending at ${id}`);
    if (subscription.handedOver.delete(sequence)) {
      subscription.pending.delete(sequence);
      return;
    }
    // 17.1 step 6 looks a message up before it looks at its expiry, so one that is gone may be dropped in any pass.
    this.#must(
      !subscription.channel.exists(sequence),
      () => `16.5: message ${sequence} of ${name} was acked for ${id} by nobody`,
    );
    this.counters.dropped++;
    subscription.pending.delete(sequence);
  }

  addPending(name: string, id: number, sequence: number): void {
    const subscription = this.#channels.get(name)?.byId.get(id);
    if (subscription === undefined) this.#fail(`15.1: ${sequence} became pending for ${name} ${id}, which is unknown`);
    if (this.#ending.length > 0) {
      for (const leaver of this.#ending) {
        if (leaver === subscription || leaver.group !== subscription.group || !leaver.pending.has(sequence)) continue;
        leaver.pending.delete(sequence);
        subscription.pending.set(sequence, { expiryMs: Math.max(1, this.#now - 1000), dealtAtMs: this.#now });
        subscription.lastSent = Math.max(subscription.lastSent, sequence);
        this.#mayBeLate(subscription, TRANSFER_MS);
        this.counters.dealt++;
        return;
      }
      this.#fail(`18.6: message ${sequence} of ${name} was dealt, but nobody who leaves had it`);
    }
    this.#must(subscription.pending.has(sequence), () => `15.1: ${sequence} became pending without being sent`);
  }

  // Deliveries (15, 17) ------------------------------------------------------------------------------------------------

  /** The core decided to send. Answers are looked at when they leave. */
  staged(inbox: string, payload: Uint8Array, count: number): void {
    const life = this.#lives.get(inbox);
    if (life === undefined) return;
    const { subscription } = life;
    this.#must(subscription.life === life, () => `20: a message was sent to ${inbox} after its subscription ended`);
    this.#must(decodeMsgProto(payload, 0, payload.length, view), () => "a delivery that does not decode");
    const { sequence } = view;
    const { channel } = subscription;
    this.#must(
      sequence <= channel.safe,
      () => `11.5: message ${sequence} of ${channel.name} was delivered before it was safe (${channel.safe})`,
    );
    this.#must(channel.exists(sequence), () => `15.2: message ${sequence} of ${channel.name} does not exist`);
    const { maxAgeMs } = this.#options.limits;
    const ageMs = Number(this.#view.wallNs - channel.log.get(sequence)!.stamp) / 1e6;
    this.#must(maxAgeMs === 0 || ageMs <= maxAgeMs + LATE_MS, () => `21.1: message ${sequence} is ${ageMs} ms old`);
    life.staged.push({ sequence, count });
    if (count > 0) this.#redelivered(subscription, sequence, count);
    else this.#deliveredFirst(subscription, sequence);
  }

  #deliveredFirst(subscription: ModelSubscription, sequence: number): void {
    const { channel, group } = subscription;
    const where = () => `message ${sequence} of ${channel.name} to subscription ${subscription.id}`;
    this.#must(!subscription.isHeld, () => `admin: ${where()}, which is paused or being rewound`);
    for (const member of group?.members ?? [subscription]) {
      this.#must(this.#openResumes(member).length === 0, () => `19.4: ${where()} before the pending ones`);
    }
    const holder = group ?? subscription;
    const next = Math.max(holder.lastSent + 1, channel.first);
    this.#must(sequence === next, () => `15.2: ${where()}, expected was ${next}`);
    this.#must(
      subscription.pending.size < subscription.maxInFlight,
      () => `15.7: ${where()} exceeds max in flight ${subscription.maxInFlight}`,
    );
    this.#must(!subscription.pending.has(sequence), () => `15.1: ${where()} is pending already`);
    if (group !== undefined) this.#checkPick(subscription, group, sequence);
    else this.#must(!this.#view.congestedWithin(subscription.life!.inbox, 0), () => `${where()}, which is congested`);
    if (next > holder.lastSent + 1) {
      this.counters.skipped++;
      const { maxMessages, maxBytes } = this.#options.limits;
      if (maxMessages === 0 && maxBytes === 0) this.counters.skippedOld++;
    }
    holder.lastSent = sequence;
    subscription.lastSent = Math.max(subscription.lastSent, sequence);
    subscription.pending.set(sequence, { expiryMs: this.#now + subscription.ackWaitMs, dealtAtMs: -1 });
    this.counters.delivered++;
  }

  #openResumes(subscription: ModelSubscription): number[] {
    const { resume, channel, pending } = subscription;
    while (resume.length > 0 && (!pending.has(resume[0]!) || !channel.exists(resume[0]!))) resume.shift();
    return resume;
  }

  /** 18.4, as far as it can be seen from outside: the fewest pending among those who surely can take a message. */
  #checkPick(picked: ModelSubscription, group: ModelGroup, sequence: number): void {
    for (const member of group.members) {
      if (member === picked || member.pending.size >= member.maxInFlight) continue;
      if (member.failedSinceMs !== Infinity || member.maybeFailed || this.#isFailing(member)) continue;
      if (this.#view.congestedWithin(member.life!.inbox, 0)) continue;
      this.#must(
        member.pending.size >= picked.pending.size,
        () => `18.4: message ${sequence} went to member ${picked.id}, but ${member.id} has fewer pending`,
      );
      this.#must(
        picked.failedSinceMs >= this.#now - LATE_MS,
        () => `18.4: message ${sequence} went to member ${picked.id}, which misses heartbeats`,
      );
    }
  }

  /** A heartbeat of its client has just run out, or is about to. */
  #isFailing(subscription: ModelSubscription): boolean {
    return subscription.client !== undefined && this.#mayHaveRunOut(subscription.client);
  }

  #mayHaveRunOut(client: ModelClient): boolean {
    return client.outSerial !== 0 && this.#now >= client.outSinceMs + this.#options.heartbeatTimeoutMs - 1;
  }

  #redelivered(subscription: ModelSubscription, sequence: number, count: number): void {
    const { channel, group } = subscription;
    const where = () => `message ${sequence} of ${channel.name} to subscription ${subscription.id}`;
    this.#must(!subscription.isHeld, () => `admin: redelivery of ${where()}, which is paused or being rewound`);
    let owner: ModelSubscription | undefined = subscription.pending.has(sequence) ? subscription : undefined;
    if (owner === undefined && group !== undefined) {
      for (const member of group.members) if (member.pending.has(sequence)) owner = member;
    }
    if (owner === undefined) this.#fail(`17: redelivery of ${where()}, which is not pending`);
    const pending = owner.pending.get(sequence)!;
    const resume = this.#openResumes(subscription);
    if (resume.length > 0 && owner === subscription) {
      this.#must(resume[0] === sequence, () => `19.4: ${where()} out of order, expected was ${resume[0]}`);
      resume.shift();
    } else {
      const fromMs = pending.dealtAtMs >= 0 ? pending.dealtAtMs + TRANSFER_MS : pending.expiryMs - SLACK_MS;
      this.#must(this.#now >= fromMs, () => `17.3: redelivery of ${where()} ${fromMs - this.#now} ms early`);
      if (group !== undefined) this.#checkPick(subscription, group, sequence);
      else {
        this.#must(
          subscription.failedSinceMs >= this.#now - LATE_MS,
          () => `17.7: redelivery of ${where()}, whose client misses heartbeats`,
        );
      }
    }
    const counts = subscription.redeliveries;
    const expected = (counts.get(sequence) ?? 0) + 1;
    this.#must(count === expected, () => `17.5: redelivery ${count} of ${where()}, expected was ${expected}`);
    counts.set(sequence, count);
    this.counters.redelivered++;
    if (owner === subscription) {
      pending.expiryMs += subscription.ackWaitMs;
      pending.dealtAtMs = -1;
      // 17.1 step 8: what is overdue still goes with the next pass.
      if (pending.expiryMs <= this.#now + SLACK_MS) this.#mayBeLate(subscription, subscription.ackWaitMs);
      return;
    }
    owner.handedOver.add(sequence);
    subscription.pending.set(sequence, { expiryMs: this.#now + subscription.ackWaitMs, dealtAtMs: -1 });
    subscription.lastSent = Math.max(subscription.lastSent, sequence);
  }

  // What leaves --------------------------------------------------------------------------------------------------------

  emitted(subject: string, payload: Uint8Array): void {
    const expectation = this.#expected.get(subject);
    if (expectation !== undefined) {
      this.#expected.delete(subject);
      return this.#answered(subject, expectation, payload);
    }
    const life = this.#lives.get(subject);
    if (life === undefined) this.#fail(`an unexpected message went to ${subject}`);
    const { subscription } = life;
    const { channel } = subscription;
    this.#must(decodeMsgProto(payload, 0, payload.length, view), () => "a delivery that does not decode");
    const { sequence } = view;
    const where = () => `message ${sequence} of ${channel.name} to ${subject}`;
    this.#must(life.answered, () => `12.1: ${where()} before the response`);
    this.#must(!life.over, () => `20: ${where()} after the close response`);
    const staged = life.staged.shift();
    this.#must(
      staged !== undefined && staged.sequence === sequence && staged.count === view.redeliveryCount,
      () => `26.2: ${where()} left out of order`,
    );
    this.#must(view.redelivered === view.redeliveryCount > 0, () => `17.5: ${where()} has a wrong flag`);
    const message = channel.log.get(sequence)!;
    this.#must(
      byteString(payload, view.subjectStart, view.subjectEnd) === channel.name &&
        byteString(payload, view.dataStart, view.dataEnd) === message.text &&
        byteString(payload, view.replyStart, view.replyEnd) === message.reply &&
        ((BigInt(view.stampHigh) << 32n) | BigInt(view.stampLow)) === message.stamp,
      () => `trap 30: ${where()} is not what was published`,
    );
    if (!view.redelivered) {
      this.#must(sequence > life.emittedLast, () => `26.2: ${where()} behind ${life.emittedLast}`);
      life.emittedLast = sequence;
    }
  }

  #answered(subject: string, expected: Expectation, payload: Uint8Array): void {
    const { kind, error, life } = expected;
    const got = kind === "publish"
      ? decodeMessage("PubAck", payload, 0, payload.length) as { guid: string; error: string } | undefined
      : kind === "connect"
      ? decodeConnectResponse(payload, 0, payload.length)
      : kind === "close"
      ? decodeCloseResponse(payload, 0, payload.length)
      : kind === "ping"
      ? decodePingResponse(payload, 0, payload.length)
      : decodeSubscriptionResponse(payload, 0, payload.length);
    if (got === undefined) this.#fail(`the answer to ${subject} does not decode`);
    this.#must(got.error === error, () => `27: ${kind} ${subject} was answered "${got.error}" instead of "${error}"`);
    if (error !== "") return;
    if (kind === "publish") return this.#pubAck(expected, (got as unknown as { guid: string }).guid);
    if (kind === "subscribe") {
      this.#must(
        (got as unknown as { ackInbox: string }).ackInbox === life!.ackInbox,
        () => `12: ${subject} got the ack inbox of another subscription`,
      );
      life!.answered = true;
      life!.answeredTurn = this.turn;
      return;
    }
    if (kind === "connect") {
      const response = got as unknown as Record<string, unknown>;
      const { request } = expected;
      this.#must(
        response["protocol"] === 1 && response["pubPrefix"] !== "",
        () => "7.3: a connect response lacks fields",
      );
      const pings = request!.protocol >= 1;
      this.#must((response["pingRequests"] !== "") === pings, () => "7.3: ping subject for the wrong protocol");
      this.#must(
        response["pingIntervalSecs"] === (pings ? request!.pingIntervalSecs : 0),
        () => "7.4: the ping interval is not echoed",
      );
      return;
    }
    this.#must(payload.length === 0, () => `30.125: the answer to a successful ${kind} is not empty`);
    for (const ended of expected.ends ?? []) ended.over = true;
  }

  #pubAck(expected: Expectation, guid: string): void {
    const channel = expected.channel!;
    const sequence = expected.sequence!;
    this.#must(guid === expected.guid, () => `11: PubAck for ${guid} instead of ${expected.guid}`);
    this.#must(
      this.#channels.get(channel.name) !== channel || sequence <= channel.safe,
      () => `11.5: message ${sequence} of ${channel.name} was acked before it was safe (${channel.safe})`,
    );
    const due = this.#acksDue.get(expected.publisher!)!;
    this.#must(due[0] === guid, () => `11.7: PubAck for ${guid}, but ${due[0]} comes first`);
    due.shift();
    // A publish does not wait until a subscription behind it has read older messages.
    if (this.#channels.get(channel.name) !== channel || this.#view.isReading(channel.name)) return;
    for (const subscription of channel.online) {
      const life = subscription.life!;
      if (!life.answered || life.answeredTurn >= this.turn || subscription.isHeld) continue;
      if (subscription.rewoundTurn >= this.turn) continue;
      if (this.#view.congestedWithin(life.inbox, 10)) continue;
      const group = subscription.group;
      if (group === undefined) {
        const isFull = subscription.pending.size >= subscription.maxInFlight;
        const open = Math.max(subscription.lastSent + 1, channel.first) <= sequence;
        // 11.7, and 15.6: whoever can take the message has it.
        this.#must(isFull || !open, () => `11.7: ${sequence} of ${channel.name} was acked before its delivery`);
        const isOut = life.staged.every((staged) => staged.sequence > sequence || staged.count > 0);
        this.#must(isOut, () => `11.7: ${sequence} of ${channel.name} was acked in front of its delivery`);
      }
    }
  }

  // Turns and the end --------------------------------------------------------------------------------------------------

  /** The driver finished a turn: refusals left at once. */
  turnEnded(): void {
    for (const [reply, expectation] of this.#expected) {
      this.#must(
        expectation.error === "" || expectation.turn > this.turn,
        () => `27: ${expectation.kind} ${reply} was not refused with "${expectation.error}"`,
      );
    }
    this.turn++;
  }

  /** Nothing that is due may stay away. Called every now and then. */
  checkOverdue(): void {
    for (const client of this.#clients.values()) this.#settle(client, LATE_MS);
    for (const channel of this.#channels.values()) {
      for (const group of channel.groups.values()) this.#mustMove(channel, group, [...group.members]);
      for (const subscription of channel.online) {
        if (subscription.group === undefined) this.#mustMove(channel, subscription, [subscription]);
        const life = subscription.life!;
        if (!life.answered || subscription.failedSinceMs !== Infinity || subscription.maybeFailed) continue;
        if (this.#isFailing(subscription) || this.#view.isReading(channel.name) || subscription.isHeld) continue;
        if (this.#view.congestedWithin(life.inbox, 150)) continue;
        let allowedMs = LATE_MS;
        if (subscription.group !== undefined) {
          // It may be offered to members who cannot take it yet.
          for (const member of subscription.group.members) allowedMs = Math.max(allowedMs, 2 * member.ackWaitMs + 600);
        }
        for (const [sequence, pending] of subscription.pending) {
          const latest = Math.max(pending.expiryMs, subscription.lateUntilMs) + allowedMs;
          this.#must(
            this.#now <= latest,
            () =>
              `17.1: message ${sequence} of ${channel.name} is due at subscription ${subscription.id} ` +
              `for ${this.#now - pending.expiryMs} ms`,
          );
        }
      }
    }
  }

  /** 15.6: no message waits for a trigger that may never come while somebody can take it. */
  #mustMove(
    channel: ModelChannel,
    holder: ModelGroup | ModelSubscription,
    members: readonly ModelSubscription[],
  ): void {
    const { waiting, lastSent } = holder;
    const next = Math.max(lastSent + 1, channel.first);
    const canMove = !this.#view.isReading(channel.name) && next <= channel.safe && channel.exists(next) &&
      !holder.isPaused && !holder.isBeingRewound &&
      members.every((member) => member.life!.answered && this.#openResumes(member).length === 0) &&
      members.some((member) =>
        member.pending.size < member.maxInFlight && !this.#view.congestedWithin(member.life!.inbox, WAITING_MAX_MS)
      );
    if (!canMove || waiting.next !== next) {
      waiting.next = canMove ? next : 0;
      waiting.sinceMs = this.#now;
      return;
    }
    this.#must(
      this.#now - waiting.sinceMs <= WAITING_MAX_MS,
      () =>
        `15.6: message ${next} of ${channel.name} waits for ${this.#now - waiting.sinceMs} ms, somebody could take it`,
    );
  }

  /** Grows with every first delivery and every ack, and with nothing else. */
  get progress(): number {
    let sum = 0;
    for (const channel of this.#channels.values()) {
      for (const subscription of channel.online) {
        sum += 2 * (subscription.group?.lastSent ?? subscription.lastSent) - subscription.pending.size;
      }
    }
    return sum;
  }

  /** Everybody who lives is connected and has acked everything: nothing may be left over. */
  checkEnd(isServed: (inbox: string) => boolean): void {
    for (const [reply, expectation] of this.#expected) this.#fail(`${expectation.kind} ${reply} was never answered`);
    for (const due of this.#acksDue.values()) this.#must(due.length === 0, () => `PubAck of ${due[0]} is missing`);
    for (const probe of this.#probes.values()) this.#fail(`7.6: the probe of ${probe.request.clientId} never ended`);
    const { maxInactivityMs } = this.#options.limits;
    for (const channel of this.#channels.values()) {
      this.#must(channel.safe >= channel.last, () => `${channel.name} was never flushed`);
      if (maxInactivityMs > 0 && !channel.hasActive) {
        this.#must(
          this.#now - channel.activeMs < maxInactivityMs + 3000,
          () => `22: channel ${channel.name} is inactive for ${this.#now - channel.activeMs} ms`,
        );
      }
      for (const subscription of channel.online) {
        const members = [...subscription.group?.members ?? [subscription]];
        // One whose response got lost cannot ack; only its own client could end it.
        if (!members.every((member) => isServed(member.life!.inbox))) continue;
        this.counters.finished++;
        const who = () => `subscription ${subscription.id} of ${channel.name}`;
        const position = subscription.group?.lastSent ?? subscription.lastSent;
        this.#must(
          Math.max(position + 1, channel.first) > channel.last,
          () => `${who()} stopped at ${position} of ${channel.last}`,
        );
        this.#must(
          subscription.pending.size === 0,
          () => `${who()} still has ${[...subscription.pending.keys()].join()} pending`,
        );
      }
    }
  }
}

/** 10.1 */
function isChannelName(name: string): boolean {
  if (name === "" || /[/*>]/.test(name)) return false;
  return name.split(".").every((token) => token !== "");
}
