/**
 * Encryption at rest (stores.md 8): a store around another one, whatever that is, which therefore never sees a payload in
 * clear. Names, sequences, stamps, reply subjects, subscriptions and clients are not encrypted, as in the reference.
 */
import { bytesOf, displayText } from "../../base/bytes.ts";
import type { LogView } from "../../log/types.ts";
import type { ChannelStore, ClientRecord, RecoveredState, ServerRecord, Store, SubscriptionStore } from "../types.ts";
import { createAes, createChaCha } from "./ciphers.ts";
import { CryptMessageStore, CryptShared } from "./message_store.ts";
import { PlainCache } from "./plain_cache.ts";
import { channelKeyOf, type CipherName } from "./sealed.ts";

/** Channels whose last messages the key is tried on at start: each may cost a read of the disk. */
const PROBED_CHANNELS_MAX = 256;

class CryptChannel implements ChannelStore {
  readonly name: string;
  readonly messages: CryptMessageStore;
  readonly subscriptions: SubscriptionStore;

  constructor(name: string, messages: CryptMessageStore, subscriptions: SubscriptionStore) {
    this.name = name;
    this.messages = messages;
    this.subscriptions = subscriptions;
  }
}

/** What an encrypted store is given besides the store underneath. */
export interface CryptStoreOptions {
  /** Seals new messages. Those of the other cipher are opened all the same. */
  readonly cipher: CipherName;
  /** From `masterKeyOf`. Becomes the store's, which overwrites it at its end. */
  readonly masterKey: Uint8Array;
  /** Test seam: what keeps plain messages. */
  readonly cache?: PlainCache;
}

export interface CryptStoreWorld {
  readonly log: LogView;
  /** Fills from the system's secure source. */
  random(bytes: Uint8Array): void;
}

export class CryptStore implements Store {
  readonly #inner: Store;
  readonly #masterKey: Uint8Array;
  readonly #shared: CryptShared;
  readonly #log: LogView;
  readonly #channels = new Map<string, CryptChannel>();

  constructor(inner: Store, options: CryptStoreOptions, world: CryptStoreWorld) {
    const aes = createAes();
    const chaCha = createChaCha();
    this.#inner = inner;
    this.#masterKey = options.masterKey;
    this.#log = world.log;
    this.#shared = new CryptShared(
      options.cipher === "AES" ? aes : chaCha,
      [aes, chaCha],
      options.cache ?? new PlainCache(),
      world.log,
      (bytes) => world.random(bytes),
    );
  }

  /** That of the store underneath: encryption does not change what is shown (operations.md 3.2). */
  get name(): string {
    return this.#inner.name;
  }

  get channelCount(): number {
    return this.#inner.channelCount;
  }

  /** Also tries the key on what was recovered and says clearly if it is wrong, before a client notices (8.4). */
  async recover(): Promise<RecoveredState | undefined> {
    const state = await this.#inner.recover();
    this.#log.info(`Messages are encrypted with ${this.#shared.cipher.name}`);
    if (state === undefined) return undefined;
    const channels = state.channels.map(({ store, subscriptions }) => ({ store: this.#wrap(store), subscriptions }));
    await this.#tryKey(channels.map(({ store }) => store));
    return { server: state.server, clients: state.clients, channels };
  }

  #wrap(inner: ChannelStore): CryptChannel {
    const key = channelKeyOf(this.#masterKey, bytesOf(inner.name));
    const messages = new CryptMessageStore(inner.messages, this.#shared, inner.name, key);
    const channel = new CryptChannel(inner.name, messages, inner.subscriptions);
    this.#channels.set(inner.name, channel);
    return channel;
  }

  /**
   * A wrong key does not end the start, as in the reference: what is stored under the right one stays where it is, and new
   * messages can be taken.
   */
  async #tryKey(channels: readonly CryptChannel[]): Promise<void> {
    const wrong: string[] = [];
    let fittingCount = 0;
    for (const { name, messages } of channels.slice(0, PROBED_CHANNELS_MAX)) {
      const result = await messages.probe();
      if (result === "fits") fittingCount++;
      else if (result === "doesNotFit") wrong.push(displayText(name));
    }
    if (wrong.length === 0) return;
    const others = wrong.length > 1 ? ` and of ${wrong.length - 1} more` : "";
    const where = fittingCount === 0
      ? "no encrypted message that was tried can be decrypted"
      : `those of ${fittingCount} others can be decrypted with it`;
    this.#log.error(
      `The encryption key does not fit the messages of channel "${
        wrong[0]
      }"${others}: ${where}. They are kept, but not ` +
        "delivered. Stop the server and start it with the key that they were stored with",
    );
  }

  init(record: ServerRecord): void {
    this.#inner.init(record);
  }

  createChannel(name: string): ChannelStore {
    return this.#wrap(this.#inner.createChannel(name));
  }

  channel(name: string): ChannelStore | undefined {
    return this.#channels.get(name);
  }

  deleteChannel(name: string): void {
    this.#inner.deleteChannel(name);
    this.#channels.get(name)?.messages.retire();
    this.#channels.delete(name);
  }

  addClient(record: ClientRecord): void {
    this.#inner.addClient(record);
  }

  deleteClient(id: string): void {
    this.#inner.deleteClient(id);
  }

  flush(): Promise<void> | undefined {
    return this.#inner.flush();
  }

  async close(): Promise<void> {
    try {
      await this.#inner.close();
    } finally {
      for (const { messages } of this.#channels.values()) messages.retire();
      this.#channels.clear();
      this.#shared.cache.clear();
      this.#masterKey.fill(0);
    }
  }
}
