/**
 * A store that reports what the core does to it, refuses what it is told to refuse, and ends its flushes late and out of
 * order. Behind it stands the MEMORY store.
 */
import {
  APPEND_FAILED,
  type ChannelStore,
  type ClientRecord,
  LOOKUP_FOUND,
  LOOKUP_LATER,
  type LookupResult,
  type MessageStore,
  type MessageView,
  type RecoveredState,
  type ServerRecord,
  type Store,
  type SubscriptionRecord,
  type SubscriptionStore,
} from "../../src/store/types.ts";

export const REFUSED_TEXT = "simulated: no room for this message";

/** Who watches. */
export interface StoreObserver {
  addClient(record: ClientRecord): void;
  deleteClient(id: string): void;
  createChannel(name: string, store: ChannelStore): void;
  deleteChannel(name: string): void;
  /** Before the message is stored, or refused. */
  append(channel: string, sequence: number, data: Uint8Array, reply: string, stamp: bigint, accepted: boolean): void;
  createSubscription(channel: string, record: Readonly<SubscriptionRecord>): void;
  updateSubscription(channel: string, record: Readonly<SubscriptionRecord>): void;
  replaceSubscription(channel: string, record: Readonly<SubscriptionRecord>, pending: readonly number[]): void;
  deleteSubscription(channel: string, id: number): void;
  addPending(channel: string, id: number, sequence: number): void;
  ackPending(channel: string, id: number, sequence: number): void;
  /** Messages up to `last` are as safe as promised. */
  flushed(channel: string, store: MessageStore, last: number): void;
}

/** What the simulation decides. */
export interface StoreFate {
  refusesAppend(): boolean;
  /** A flush that ends later calls `end` when it does; undefined: it is done at once. */
  flush(end: () => void): Promise<void> | undefined;
  /** True: a message that is not in memory is read now, and `read` is called when it was. */
  reads(channel: string, read: () => void): boolean;
  /** Time of the simulation. */
  readonly nowMs: number;
  readonly defects: StoreDefects;
  /** As MEMORY: what is stored is safe at once, and nobody asks for a flush. */
  readonly isInstant: boolean;
}

/** Defects of the store, planted on purpose. */
export interface StoreDefects {
  /** A refused message takes a sequence all the same. */
  readonly consumesRefused?: boolean;
  /** Messages stay when they are too old. */
  readonly keepsOld?: boolean;
  /** A purge takes one message more than it was told. */
  readonly purgesTooMuch?: boolean;
  /** That a message was read is told to nobody. */
  readonly readsSilently?: boolean;
}

/** The newest messages are always in memory, as in a store that has just written them. */
const HOT_COUNT = 3;
/** One read brings this many messages, which then stay in memory for a while. */
const READ_AHEAD_COUNT = 8;
const READ_STAYS_MS = 300;

class ObservedMessages implements MessageStore {
  #skipped = 0;
  /** Asked for, and not handed to a flush yet. */
  #purgeTo = 0;
  /** Until when messages that were read stay in memory. */
  readonly #inMemoryUntilMs = new Map<number, number>();
  readonly #reading = new Set<number>();
  lastError = "";

  constructor(
    readonly channel: string,
    readonly inner: MessageStore,
    readonly observer: StoreObserver,
    readonly fate: StoreFate,
  ) {}

  get firstSequence(): number {
    return this.inner.firstSequence;
  }
  get lastSequence(): number {
    return this.inner.lastSequence + this.#skipped;
  }
  get messageCount(): number {
    return this.inner.messageCount;
  }
  get byteCount(): number {
    return this.inner.byteCount;
  }
  get refusal(): string {
    return this.inner.refusal;
  }
  get onReadable(): (() => void) | undefined {
    return this.inner.onReadable;
  }
  set onReadable(value: (() => void) | undefined) {
    this.inner.onReadable = value;
  }
  get onLimitReached(): (() => void) | undefined {
    return this.inner.onLimitReached;
  }
  set onLimitReached(value: (() => void) | undefined) {
    this.inner.onLimitReached = value;
  }

  append(
    sequence: number,
    stampHigh: number,
    stampLow: number,
    source: Uint8Array,
    replyStart: number,
    replyEnd: number,
    dataStart: number,
    dataEnd: number,
    nameStart?: number,
  ): number {
    const accepted = !this.fate.refusesAppend();
    let reply = "";
    for (let i = replyStart; i < replyEnd; i++) reply += String.fromCharCode(source[i]!);
    const stamp = (BigInt(stampHigh) << 32n) | BigInt(stampLow);
    this.observer.append(this.channel, sequence, source.slice(dataStart, dataEnd), reply, stamp, accepted);
    if (!accepted) {
      this.lastError = REFUSED_TEXT;
      if (this.fate.defects.consumesRefused === true) this.#skipped++;
      return APPEND_FAILED;
    }
    const size = this.inner.append(
      sequence,
      stampHigh,
      stampLow,
      source,
      replyStart,
      replyEnd,
      dataStart,
      dataEnd,
      nameStart,
    );
    if (this.fate.isInstant) this.observer.flushed(this.channel, this.inner, sequence);
    return size;
  }

  lookup(sequence: number, into: MessageView): LookupResult {
    const found = this.inner.lookup(sequence, into);
    return found === LOOKUP_FOUND && this.#isElsewhere(sequence) ? LOOKUP_LATER : found;
  }

  /** On its way from the disk, or to be fetched from there. */
  #isElsewhere(sequence: number): boolean {
    const { fate } = this;
    if (fate.isInstant) return false;
    if (this.#reading.has(sequence)) return true;
    if (sequence > this.inner.lastSequence - HOT_COUNT) return false;
    if ((this.#inMemoryUntilMs.get(sequence) ?? -1) >= fate.nowMs) return false;
    const isRead = fate.reads(this.channel, () => {
      this.#reading.delete(sequence);
      for (let i = 0; i < READ_AHEAD_COUNT; i++) this.#inMemoryUntilMs.set(sequence + i, fate.nowMs + READ_STAYS_MS);
      if (fate.defects.readsSilently !== true) this.inner.onReadable?.();
    });
    if (isRead) this.#reading.add(sequence);
    return isRead;
  }

  sequenceAtOrAfter(stampHigh: number, stampLow: number): number {
    return this.inner.sequenceAtOrAfter(stampHigh, stampLow);
  }
  stampOf(sequence: number, into: { stampHigh: number; stampLow: number }): boolean {
    return this.inner.stampOf(sequence, into);
  }
  expire(stampHigh: number, stampLow: number): number {
    return this.fate.defects.keepsOld === true ? 0 : this.inner.expire(stampHigh, stampLow);
  }
  empty(): void {
    this.inner.empty();
  }
  /** As a store on disk does it: what is purged is gone when the flush that follows is over. */
  purge(upTo: number): void {
    if (this.fate.isInstant) this.#purge(upTo, this.inner.lastSequence);
    else this.#purgeTo = Math.max(this.#purgeTo, upTo);
  }
  #purge(upTo: number, last: number): void {
    const extra = upTo > 0 && upTo < last && this.fate.defects.purgesTooMuch === true ? 1 : 0;
    this.inner.purge(upTo + extra);
  }
  flush(): Promise<void> | undefined {
    const last = this.inner.lastSequence;
    const purgeTo = this.#purgeTo;
    this.#purgeTo = 0;
    const end = () => {
      this.#purge(purgeTo, last);
      this.observer.flushed(this.channel, this.inner, last);
    };
    const ticket = this.fate.flush(end);
    if (ticket === undefined) end();
    return ticket;
  }
}

class ObservedSubscriptions implements SubscriptionStore {
  constructor(
    readonly channel: string,
    readonly inner: SubscriptionStore,
    readonly observer: StoreObserver,
    readonly fate: StoreFate,
  ) {}

  get subscriptionCount(): number {
    return this.inner.subscriptionCount;
  }
  create(record: SubscriptionRecord): number {
    const id = this.inner.create(record);
    this.observer.createSubscription(this.channel, { ...record, id });
    return id;
  }
  update(record: SubscriptionRecord): void {
    this.inner.update(record);
    this.observer.updateSubscription(this.channel, { ...record });
  }
  replace(record: SubscriptionRecord, pending: readonly number[]): void {
    this.inner.replace(record, pending);
    this.observer.replaceSubscription(this.channel, { ...record }, pending);
  }
  delete(id: number): void {
    this.inner.delete(id);
    this.observer.deleteSubscription(this.channel, id);
  }
  addPending(id: number, sequence: number): boolean {
    this.observer.addPending(this.channel, id, sequence);
    return this.inner.addPending(id, sequence);
  }
  ackPending(id: number, sequence: number): boolean {
    this.observer.ackPending(this.channel, id, sequence);
    return this.inner.ackPending(id, sequence);
  }
  flush(): Promise<void> | undefined {
    return this.fate.flush(() => {});
  }
}

export class ObservedStore implements Store {
  readonly #inner: Store;
  readonly #observer: StoreObserver;
  readonly #fate: StoreFate;
  readonly #channels = new Map<string, ChannelStore>();

  readonly isInstant: boolean;

  constructor(inner: Store, observer: StoreObserver, fate: StoreFate) {
    this.isInstant = fate.isInstant;
    this.#inner = inner;
    this.#observer = observer;
    this.#fate = fate;
  }

  get name(): string {
    return this.#inner.name;
  }
  get channelCount(): number {
    return this.#inner.channelCount;
  }
  recover(): Promise<RecoveredState | undefined> {
    return this.#inner.recover();
  }
  init(record: ServerRecord): void {
    this.#inner.init(record);
  }
  createChannel(name: string): ChannelStore {
    const inner = this.#inner.createChannel(name);
    const channel: ChannelStore = {
      name,
      messages: new ObservedMessages(name, inner.messages, this.#observer, this.#fate),
      subscriptions: new ObservedSubscriptions(name, inner.subscriptions, this.#observer, this.#fate),
    };
    this.#channels.set(name, channel);
    this.#observer.createChannel(name, inner);
    return channel;
  }
  channel(name: string): ChannelStore | undefined {
    return this.#channels.get(name);
  }
  deleteChannel(name: string): void {
    this.#inner.deleteChannel(name);
    this.#channels.delete(name);
    this.#observer.deleteChannel(name);
  }
  addClient(record: ClientRecord): void {
    this.#inner.addClient(record);
    this.#observer.addClient(record);
  }
  deleteClient(id: string): void {
    this.#inner.deleteClient(id);
    this.#observer.deleteClient(id);
  }
  flush(): Promise<void> | undefined {
    return this.#fate.flush(() => {});
  }
  close(): Promise<void> {
    return this.#inner.close();
  }
}
