/** What the parts of the streaming core share: time, tables, and the effects of the current turn. */
import { TimerWheel } from "../base/timer_wheel.ts";
import type { MessageView, Store, StoreLimits } from "../store/types.ts";
import { type Channel, ChannelTable } from "./channel.ts";
import { ClientRegistry } from "./client.ts";
import { SendList } from "./send_list.ts";
import type { StanSubscription } from "./subscription.ts";
import { type TurnGroup, TurnGroups } from "./turn_groups.ts";
import type { Address, CoreOptions, Journal, World } from "./world.ts";

/** An empty request to a client whose answer, or silence, matters: a heartbeat, or the probe of a taken client ID. */
export interface OutgoingRequest {
  readonly address: Address;
  /** Names the request in `requestAnswered` and `requestUnanswerable`. */
  readonly serial: number;
}

/** What the world must do now, in this order: `listen`, `segments`, `requests`, `unlisten`. */
export class Effects {
  /** Ack inboxes to subscribe to before any response goes out (trap 19). */
  readonly listen: StanSubscription[] = [];
  /** What the world kept for ack inboxes that are dead. */
  readonly unlisten: unknown[] = [];
  /** Lists to send, in order. */
  readonly segments: SendList[] = [];
  readonly requests: OutgoingRequest[] = [];

  clear(): void {
    this.listen.length = 0;
    this.unlisten.length = 0;
    for (const segment of this.segments) segment.clear();
    this.segments.length = 0;
    this.requests.length = 0;
  }
}

/** Plain counters for the monitor. */
export interface CoreCounters {
  /** Publish requests that could be decoded, and their encoded size. */
  received: number;
  receivedBytes: number;
  /** Messages stored. */
  published: number;
  /** Requests of any kind that were answered with an error. */
  refused: number;
  /** Publishes that the store did not take. */
  storeRefused: number;
  /** Turns of which something could not be flushed: what they had stored was taken back. */
  rolledBack: number;
  /** Messages among `published` once, whose publishers were told that they are not stored after all. */
  takenBack: number;
  /** Encoded size of deliveries and redeliveries. */
  sentBytes: number;
  delivered: number;
  redelivered: number;
  acked: number;
  /** Connect requests on the discover subject of another cluster ID. */
  otherClusterConnects: number;
  /** Answers and deliveries that reached nobody. */
  unheard: number;
  /** Connects refused because the holder of their client ID lives. */
  duplicateClients: number;
  /** Registrations that made room for a newer one of their client ID because they did not answer. */
  replacedClients: number;
}

export class CoreContext {
  readonly options: CoreOptions;
  readonly world: World;
  readonly store: Store;
  readonly limits: StoreLimits;
  readonly journal: Journal;
  readonly wheel: TimerWheel;
  readonly effects = new Effects();
  readonly clients: ClientRegistry;
  readonly channels: ChannelTable;
  readonly counters: CoreCounters = {
    received: 0,
    receivedBytes: 0,
    published: 0,
    refused: 0,
    storeRefused: 0,
    rolledBack: 0,
    takenBack: 0,
    sentBytes: 0,
    delivered: 0,
    redelivered: 0,
    acked: 0,
    otherClusterConnects: 0,
    unheard: 0,
    duplicateClients: 0,
    replacedClients: 0,
  };
  /** Where lookups put what they find. */
  readonly view: MessageView = { buffer: new Uint8Array(0), start: 0, end: 0 };
  readonly stamp = { stampHigh: 0, stampLow: 0 };
  nowMs: number;
  wallMs = 0;
  stampHigh = 0;
  stampLow = 0;
  /** What is staged in this turn. */
  readonly groups: TurnGroups;
  /** Sends that wait for nothing: refusals, ping answers, deliveries. */
  now = new SendList();
  readonly #freeLists: SendList[] = [];
  /** Work is left over for another turn. */
  again = false;
  #requestSerial = 0;

  constructor(options: {
    core: CoreOptions;
    world: World;
    store: Store;
    limits: StoreLimits;
    journal: Journal;
    nowMs: number;
  }) {
    this.options = options.core;
    this.world = options.world;
    this.store = options.store;
    this.limits = options.limits;
    this.journal = options.journal;
    this.nowMs = options.nowMs;
    this.wheel = new TimerWheel(options.nowMs);
    this.clients = new ClientRegistry(options.core.seed);
    this.channels = new ChannelTable(options.core.seed);
    this.groups = new TurnGroups(options.store.isInstant !== true);
  }

  /** `channel` must be flushed before the answers of this turn. */
  touch(channel: Channel): void {
    this.groups.touch(this.groups.whole(), channel);
  }

  /** Ends the list of immediate sends, so that what is added next comes behind `after`. */
  sealNow(): void {
    if (this.now.count === 0) return;
    this.effects.segments.push(this.now);
    this.now = this.#freeLists.pop() ?? new SendList();
  }

  /** Called when the effects were carried out. */
  effectsDone(): void {
    for (const segment of this.effects.segments) {
      if (this.#freeLists.length < 4 && !this.#isHeldList(segment)) this.#freeLists.push(segment);
    }
    this.effects.clear();
    for (const group of this.#spentGroups) this.groups.giveBack(group);
    this.#spentGroups.length = 0;
  }

  /** Hands a group's held answers out; the group is free again once the effects were carried out. */
  releaseGroup(group: TurnGroup): void {
    if (group.held.count > 0) this.effects.segments.push(group.held);
    this.#spentGroups.push(group);
  }

  readonly #spentGroups: TurnGroup[] = [];

  #isHeldList(list: SendList): boolean {
    for (const group of this.#spentGroups) if (group.held === list) return true;
    return false;
  }

  nextRequestSerial(): number {
    return ++this.#requestSerial;
  }

  /** Ends a subscription's interest in its ack inbox. */
  stopListening(subscription: StanSubscription): void {
    subscription.incarnation++;
    if (subscription.listener === undefined) return;
    this.effects.unlisten.push(subscription.listener);
    subscription.listener = undefined;
  }
}
