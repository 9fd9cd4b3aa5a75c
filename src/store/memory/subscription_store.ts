/**
 * Subscriptions of one channel in memory: the ids and the limit only. Nothing is recovered from memory, so records and
 * pending sequences live in the streaming core alone (stores.md 3).
 */
import { STORE_ERROR_TEXT, StoreError, type SubscriptionRecord, type SubscriptionStore } from "../types.ts";

/** The MEMORY implementation of {@link SubscriptionStore}. */
export class MemorySubscriptionStore implements SubscriptionStore {
  readonly #maxSubscriptions: number;
  readonly #ids = new Set<number>();
  #idMax = 0;
  #isRetired = false;

  constructor(maxSubscriptions: number) {
    this.#maxSubscriptions = maxSubscriptions;
  }

  get subscriptionCount(): number {
    return this.#ids.size;
  }

  create(record: SubscriptionRecord): number {
    this.#mustBeOpen();
    if (this.#maxSubscriptions > 0 && this.#ids.size >= this.#maxSubscriptions) {
      throw new StoreError("STORE_TOO_MANY_SUBSCRIPTIONS", STORE_ERROR_TEXT.STORE_TOO_MANY_SUBSCRIPTIONS);
    }
    record.id = ++this.#idMax;
    this.#ids.add(record.id);
    return record.id;
  }

  update(record: SubscriptionRecord): void {
    this.#mustBeOpen();
    this.#ids.add(record.id);
    if (record.id > this.#idMax) this.#idMax = record.id;
  }

  replace(record: SubscriptionRecord, _pending: readonly number[]): void {
    this.update(record);
  }

  delete(id: number): void {
    this.#mustBeOpen();
    this.#ids.delete(id);
  }

  addPending(_id: number, _sequence: number): boolean {
    return !this.#isRetired;
  }

  ackPending(_id: number, _sequence: number): boolean {
    return !this.#isRetired;
  }

  flush(): undefined {
    return undefined;
  }

  /** The channel is gone or the store closed. For the owner. */
  retire(): void {
    this.#isRetired = true;
    this.#ids.clear();
  }

  #mustBeOpen(): void {
    if (this.#isRetired) throw new StoreError("STORE_CLOSED", "the channel's store is closed");
  }
}
