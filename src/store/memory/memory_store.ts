/**
 * The MEMORY store (stores.md 3): channels with their messages and subscriptions, nothing that outlives the process.
 * Clients and server records are not kept, because nobody could ask for them. What bounds the memory are the limits.
 */
import { bytesOf } from "../../base/bytes.ts";
import {
  type ChannelStore,
  type ClientRecord,
  type RecoveredState,
  type ServerRecord,
  type Store,
  STORE_ERROR_TEXT,
  StoreError,
  type StoreLimits,
} from "../types.ts";
import { IndexPool } from "./index_pool.ts";
import { MemoryMessageStore } from "./message_store.ts";
import { allocateBuffer, type Allocator, SharedLog } from "./shared_log.ts";
import { MemorySubscriptionStore } from "./subscription_store.ts";

/** One channel in memory. */
class MemoryChannel implements ChannelStore {
  readonly name: string;
  readonly nameBytes: Uint8Array;
  readonly messages: MemoryMessageStore;
  readonly subscriptions: MemorySubscriptionStore;

  constructor(name: string, limits: StoreLimits, log: SharedLog, pool: IndexPool) {
    const channelLimits = limits.forChannel(name);
    this.name = name;
    this.nameBytes = bytesOf(name);
    this.messages = new MemoryMessageStore(this.nameBytes, channelLimits, log, pool);
    this.subscriptions = new MemorySubscriptionStore(channelLimits.maxSubscriptions);
  }

  retire(reason: string): void {
    this.messages.retire(reason);
    this.subscriptions.retire();
  }
}

/** The MEMORY implementation of {@link Store}. */
export class MemoryStore implements Store {
  readonly name = "MEMORY";
  readonly isInstant = true;
  readonly #limits: StoreLimits;
  readonly #log: SharedLog;
  readonly #pool: IndexPool;
  readonly #channels = new Map<string, MemoryChannel>();
  #isClosed = false;

  constructor(limits: StoreLimits, allocate: Allocator = allocateBuffer) {
    this.#limits = limits;
    this.#log = new SharedLog(allocate);
    this.#pool = new IndexPool(allocate);
  }

  get channelCount(): number {
    return this.#channels.size;
  }

  /** There never is a state to recover. */
  recover(): Promise<RecoveredState | undefined> {
    if (this.#isClosed) return Promise.reject(closedError());
    return Promise.resolve(undefined);
  }

  init(_record: ServerRecord): void {
    this.#mustBeOpen();
  }

  createChannel(name: string): ChannelStore {
    this.#mustBeOpen();
    if (this.#channels.has(name)) {
      throw new StoreError("STORE_ALREADY_EXISTS", STORE_ERROR_TEXT.STORE_ALREADY_EXISTS);
    }
    if (this.#limits.maxChannels > 0 && this.#channels.size >= this.#limits.maxChannels) {
      throw new StoreError("STORE_TOO_MANY_CHANNELS", STORE_ERROR_TEXT.STORE_TOO_MANY_CHANNELS);
    }
    const channel = new MemoryChannel(name, this.#limits, this.#log, this.#pool);
    this.#channels.set(name, channel);
    return channel;
  }

  channel(name: string): ChannelStore | undefined {
    return this.#channels.get(name);
  }

  deleteChannel(name: string): void {
    this.#mustBeOpen();
    const channel = this.#channels.get(name);
    if (channel === undefined) throw new StoreError("STORE_NOT_FOUND", STORE_ERROR_TEXT.STORE_NOT_FOUND);
    this.#channels.delete(name);
    channel.retire("the channel was deleted");
  }

  addClient(_record: ClientRecord): void {
    this.#mustBeOpen();
  }

  deleteClient(_id: string): void {
    this.#mustBeOpen();
  }

  flush(): undefined {
    return undefined;
  }

  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      for (const channel of this.#channels.values()) channel.retire(closedError().message);
      this.#channels.clear();
      this.#log.clear();
      this.#pool.clear();
    }
    return Promise.resolve();
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw closedError();
  }
}

function closedError(): StoreError {
  return new StoreError("STORE_CLOSED", "the store is closed");
}
