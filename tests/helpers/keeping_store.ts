/**
 * A store that outlives the core: messages in memory, records and positions as a persistent store keeps them. Recovery is
 * immediate and exact, so that tests of restarts are about the core alone.
 */
import { MemoryStore } from "../../src/store/memory/memory_store.ts";
import type {
  ChannelStore,
  ClientRecord,
  RecoveredState,
  ServerRecord,
  Store,
  StoreLimits,
  SubscriptionRecord,
  SubscriptionStore,
} from "../../src/store/types.ts";

interface Kept {
  readonly record: SubscriptionRecord;
  readonly pending: Set<number>;
}

class KeepingSubscriptions implements SubscriptionStore {
  readonly kept = new Map<number, Kept>();
  readonly #inner: SubscriptionStore;

  constructor(inner: SubscriptionStore) {
    this.#inner = inner;
  }

  get subscriptionCount(): number {
    return this.#inner.subscriptionCount;
  }

  create(record: SubscriptionRecord): number {
    const id = this.#inner.create(record);
    this.kept.set(id, { record: { ...record }, pending: new Set() });
    return id;
  }

  update(record: SubscriptionRecord): void {
    this.#inner.update(record);
    const lastSent = Math.max(record.lastSent, this.kept.get(record.id)?.record.lastSent ?? 0);
    this.kept.set(record.id, {
      record: { ...record, lastSent },
      pending: this.kept.get(record.id)?.pending ?? new Set(),
    });
  }

  replace(record: SubscriptionRecord, pending: readonly number[]): void {
    this.#inner.replace(record, pending);
    this.kept.set(record.id, { record: { ...record }, pending: new Set(pending) });
  }

  delete(id: number): void {
    this.#inner.delete(id);
    this.kept.delete(id);
  }

  addPending(id: number, sequence: number): boolean {
    const kept = this.kept.get(id);
    kept?.pending.add(sequence);
    if (kept !== undefined) kept.record.lastSent = Math.max(kept.record.lastSent, sequence);
    return true;
  }

  ackPending(id: number, sequence: number): boolean {
    this.kept.get(id)?.pending.delete(sequence);
    return true;
  }

  flush(): undefined {
    return undefined;
  }
}

/** The double itself. Give the same one to one core after the other. */
export class KeepingStore implements Store {
  readonly name = "KEEPING";
  readonly #memory: MemoryStore;
  readonly #channels = new Map<string, ChannelStore & { readonly subscriptions: KeepingSubscriptions }>();
  readonly clients = new Map<string, ClientRecord>();
  server: ServerRecord | undefined;

  constructor(limits: StoreLimits) {
    this.#memory = new MemoryStore(limits);
  }

  get channelCount(): number {
    return this.#memory.channelCount;
  }

  /** The records of a channel, for tests that prepare or look at them. */
  subscriptionsOf(channel: string): Map<number, Kept> {
    return this.#channels.get(channel)!.subscriptions.kept;
  }

  recover(): Promise<RecoveredState | undefined> {
    return Promise.resolve(this.state());
  }

  /** What `recover` gives, at once. */
  state(): RecoveredState | undefined {
    if (this.server === undefined) return undefined;
    return {
      server: this.server,
      clients: [...this.clients.values()],
      channels: [...this.#channels.values()].map((store) => ({
        store,
        subscriptions: [...store.subscriptions.kept.values()].map(({ record, pending }) => ({
          record: { ...record },
          pending: [...pending].sort((a, b) => a - b),
        })),
      })),
    };
  }

  init(record: ServerRecord): void {
    this.server = record;
  }

  createChannel(name: string): ChannelStore {
    const { messages, subscriptions } = this.#memory.createChannel(name);
    const channel = { name, messages, subscriptions: new KeepingSubscriptions(subscriptions) };
    this.#channels.set(name, channel);
    return channel;
  }

  channel(name: string): ChannelStore | undefined {
    return this.#channels.get(name);
  }

  deleteChannel(name: string): void {
    this.#memory.deleteChannel(name);
    this.#channels.delete(name);
  }

  addClient(record: ClientRecord): void {
    this.clients.set(record.id, record);
  }

  deleteClient(id: string): void {
    this.clients.delete(id);
  }

  flush(): undefined {
    return undefined;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
