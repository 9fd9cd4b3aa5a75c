/** What the parts of the streaming core share: time, tables, and the effects of the current turn. */
import { TimerWheel } from "../base/timer_wheel.ts";
import type { MessageView, Store, StoreLimits } from "../store/types.ts";
import { type Channel, ChannelTable } from "./channel.ts";
import { ClientRegistry } from "./client.ts";
import { SendList } from "./send_list.ts";
import type { StanSubscription } from "./subscription.ts";
import type { Address, CoreOptions, Journal, World } from "./world.ts";

/** An empty request to a client whose answer, or silence, matters: a heartbeat, or the probe of a taken client ID. */
export interface OutgoingRequest {
  readonly address: Address;
  /** Names the request in `requestAnswered` and `requestUnanswerable`. */
  readonly serial: number;
}

/** Something that an operator asked for and that is staged: exactly one of the two is called. */
export interface StagedAction {
  /** The stores of its group came back good. */
  done(): void;
  /** They did not, with this text. */
  failed(error: string): void;
}

/**
 * What was staged by the events of one turn and leaves together. `held` goes out only after the stores of `channels` (and
 * of the clients, if `storeTouched`) came back good: no acknowledgement before its bytes are as safe as promised.
 */
export class TurnGroup {
  serial = 0;
  readonly channels: Channel[] = [];
  /** Last staged sequence per entry of `channels`. */
  readonly lastSequences: number[] = [];
  readonly held = new SendList();
  /** New and resumed subscriptions: they start when their responses are out, in this order. */
  readonly starts: StanSubscription[] = [];
  /** Incarnation per entry of `starts`: one that ended meanwhile must not start its successor before its response. */
  readonly startIncarnations: number[] = [];
  /** Place of its response in `held` per entry of `starts`; -1 = nobody waits for one. */
  readonly startAnswers: number[] = [];
  /** Per entry of `starts`: it was resumed, so what it was before is safe already. */
  readonly startResumed: boolean[] = [];
  storeTouched = false;
  /** Actions of operators: answered as the held answers are. */
  readonly actions: StagedAction[] = [];
  /** Trace lines about held answers, for the moment in which they leave. Filled only when somebody reads traces. */
  readonly traces: string[] = [];

  get empty(): boolean {
    return this.channels.length === 0 && this.held.count === 0 && this.starts.length === 0 && !this.storeTouched &&
      this.actions.length === 0;
  }

  clear(): void {
    this.channels.length = 0;
    this.lastSequences.length = 0;
    this.held.clear();
    this.starts.length = 0;
    this.startIncarnations.length = 0;
    this.startAnswers.length = 0;
    this.startResumed.length = 0;
    this.storeTouched = false;
    this.actions.length = 0;
    this.traces.length = 0;
  }
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
  readonly view: MessageView = { buffer: new Uint8Array(0), start: 0, end: 0, stampHigh: 0, stampLow: 0 };
  nowMs: number;
  wallMs = 0;
  stampHigh = 0;
  stampLow = 0;
  /** The group that takes what is staged in this turn. */
  group = new TurnGroup();
  #groupSerial = 1;
  readonly #freeGroups: TurnGroup[] = [];
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
    this.group.serial = this.#groupSerial;
  }

  /** Puts a channel on the list of what must be flushed before this turn's answers. */
  touch(channel: Channel): void {
    const group = this.group;
    if (channel.touchedBy === group.serial) return;
    channel.touchedBy = group.serial;
    group.channels.push(channel);
  }

  /** Closes the open group and opens a new one. */
  takeGroup(): TurnGroup {
    const group = this.group;
    for (let i = 0; i < group.channels.length; i++) {
      group.lastSequences.push(group.channels[i]!.messages.lastSequence);
    }
    this.group = this.#freeGroups.pop() ?? new TurnGroup();
    this.group.serial = ++this.#groupSerial;
    return group;
  }

  giveGroupBack(group: TurnGroup): void {
    group.clear();
    this.#freeGroups.push(group);
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
    for (const group of this.#spentGroups) this.giveGroupBack(group);
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
