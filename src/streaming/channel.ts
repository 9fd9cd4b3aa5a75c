/** One channel: its store and everybody who subscribed to it. */
import { bytesOf, equalsRange } from "../base/bytes.ts";
import { BytesMap } from "../base/bytes_map.ts";
import { TimerNode } from "../base/timer_wheel.ts";
import type { ChannelLimits, ChannelStore, MessageStore } from "../store/types.ts";
import type { QueueGroup } from "./queue_group.ts";
import type { StanSubscription } from "./subscription.ts";
import type { TurnGroup } from "./turn_groups.ts";

/** A timer that calls back with its owner. */
export class OwnedTimer<Owner> extends TimerNode {
  readonly #owner: Owner;
  readonly #due: (owner: Owner) => void;

  constructor(owner: Owner, due: (owner: Owner) => void) {
    super();
    this.#owner = owner;
    this.#due = due;
  }

  override fire(): void {
    this.#due(this.#owner);
  }
}

export class Channel {
  // What a publish touches stands together: with thousands of channels each line of the cache counts.
  readonly messages: MessageStore;
  deleted = false;
  /** Stamp of the last message of this run: stamps never decrease (10.8). */
  stampHigh = 0;
  stampLow = 0;
  /** Highest sequence that is as safe as the options promise. What is behind it is not delivered yet. */
  visibleLast: number;
  /** It has a limit by age or inactivity, for which it counts when something was stored. */
  readonly isTimed: boolean;
  /** How many entries `subscriptions` and `groups` have: neither is touched while it is 0. */
  #audience = 0;

  /** The last turn in which a message was stored, of a timed channel. */
  storedIn = 0;
  /** The last turn in which something had to be flushed, and the group of it. */
  touchedIn = 0;
  group: TurnGroup | undefined = undefined;
  /** The youngest group in flight that has it. */
  inFlight: TurnGroup | undefined = undefined;
  /**
   * Monotonic milliseconds of the last stored message of this run, of a timed channel: a clock that is set must not delete a
   * channel (22.4).
   */
  lastActivityMs = -Infinity;
  readonly ageTimer: OwnedTimer<Channel> | undefined;

  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly store: ChannelStore;
  readonly limits: ChannelLimits;
  readonly #subscriptions: StanSubscription[] = [];
  /** Durables that are no group members, online or offline. */
  readonly durables = new Map<string, StanSubscription>();
  readonly #groups = new Map<string, QueueGroup>();
  readonly inactivityTimer: OwnedTimer<Channel> | undefined;
  /** Called once each when messages that were asked for may have been read, or the channel is deleted. */
  readers: (() => void)[] = [];

  constructor(
    store: ChannelStore,
    limits: ChannelLimits,
    due: { inactive: (channel: Channel) => void; aged: (channel: Channel) => void },
  ) {
    this.name = store.name;
    this.nameBytes = store.nameBytes ?? bytesOf(store.name);
    this.store = store;
    this.messages = store.messages;
    this.limits = limits;
    this.visibleLast = store.messages.lastSequence;
    this.inactivityTimer = limits.maxInactivityMs > 0 ? new OwnedTimer<Channel>(this, due.inactive) : undefined;
    this.ageTimer = limits.maxAgeMs > 0 ? new OwnedTimer<Channel>(this, due.aged) : undefined;
    this.isTimed = this.inactivityTimer !== undefined || this.ageTimer !== undefined;
  }

  /** Online plain subscriptions and durables, in the order they are served. */
  get subscriptions(): readonly StanSubscription[] {
    return this.#subscriptions;
  }

  get groups(): ReadonlyMap<string, QueueGroup> {
    return this.#groups;
  }

  /** Somebody may wait for what becomes visible. */
  get hasAudience(): boolean {
    return this.#audience > 0;
  }

  addSubscription(subscription: StanSubscription): void {
    this.#subscriptions.push(subscription);
    this.#audience++;
  }

  /** Does nothing when it is not there. */
  removeSubscription(subscription: StanSubscription): void {
    const at = this.#subscriptions.indexOf(subscription);
    if (at < 0) return;
    this.#subscriptions.splice(at, 1);
    this.#audience--;
  }

  /** There must be none of that name. */
  addGroup(group: QueueGroup): void {
    this.#groups.set(group.name, group);
    this.#audience++;
  }

  removeGroup(group: QueueGroup): void {
    if (this.#groups.delete(group.name)) this.#audience--;
  }

  /** An online plain or durable subscription, or a group with a member (22.2). */
  get hasActiveSubscription(): boolean {
    if (this.subscriptions.length > 0) return true;
    for (const group of this.groups.values()) if (group.members.length > 0) return true;
    return false;
  }

  /** Wakes those who wait for the disk. */
  wakeReaders(): void {
    if (this.readers.length === 0) return;
    const waiting = this.readers;
    this.readers = [];
    for (const read of waiting) read();
  }

  /** Every online subscription, group members included. */
  *online(): IterableIterator<StanSubscription> {
    yield* this.subscriptions;
    for (const group of this.groups.values()) yield* group.members;
  }
}

/** Key of a durable within its channel. A tuple, not a joined text that can collide (D5): client IDs hold no space. */
export function durableKey(clientId: string, durableName: string): string {
  return `${clientId} ${durableName}`;
}

/** All channels, by the bytes of their name, with the rule that letter case alone does not tell two apart (10.3). */
export class ChannelTable {
  readonly #byName: BytesMap<Channel>;
  readonly #spellings = new Map<string, string>();
  readonly all = new Set<Channel>();
  #last: Channel | undefined;

  constructor(seed: number) {
    this.#byName = new BytesMap(seed);
  }

  get(bytes: Uint8Array, start: number, end: number): Channel | undefined {
    const last = this.#last;
    if (last !== undefined && equalsRange(last.nameBytes, bytes, start, end)) return last;
    const found = this.#byName.get(bytes, start, end);
    if (found !== undefined) this.#last = found;
    return found;
  }

  getByName(name: string): Channel | undefined {
    const bytes = bytesOf(name);
    return this.get(bytes, 0, bytes.length);
  }

  /** The channel whose name differs from `name` in letter case only, if there is one. */
  otherSpelling(name: string): string | undefined {
    const known = this.#spellings.get(foldCase(name));
    return known === name ? undefined : known;
  }

  add(channel: Channel): void {
    this.#byName.set(channel.nameBytes, channel);
    this.#spellings.set(foldCase(channel.name), channel.name);
    this.all.add(channel);
  }

  remove(channel: Channel): void {
    this.#byName.delete(channel.nameBytes);
    this.#spellings.delete(foldCase(channel.name));
    this.all.delete(channel);
    if (this.#last === channel) this.#last = undefined;
  }
}

const utf8 = new TextDecoder();

/** Lower case of the text behind a byte string. */
function foldCase(name: string): string {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) > 127) return utf8.decode(bytesOf(name)).toLowerCase();
  return name.toLowerCase();
}
