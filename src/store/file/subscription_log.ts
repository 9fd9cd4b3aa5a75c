/** Subscriptions of one channel on disk: subs.dat (stores.md 4.6, 5.3, 5.10). */
import { SequenceSet } from "../../base/sequence_set.ts";
import { encodeSubState, encodeSubStateDelete } from "../../wire/stan_server.ts";
import {
  type RecoveredSubscription,
  STORE_ERROR_TEXT,
  StoreError,
  type SubscriptionRecord,
  type SubscriptionStore,
} from "../types.ts";
import type { SyncedDirectory } from "./directory.ts";
import { encodeRecord, POSITION_RECORD_BYTES_MAX, SUBSCRIPTION_RECORD, writePositionRecord } from "./format.ts";
import type { LogFile } from "./log_file.ts";
import { RecordLog } from "./record_log.ts";
import type { FileStoreShared, Ticked } from "./shared.ts";

/** Positions reach the disk at the latest this long after they were staged. */
const POSITION_DELAY_MS = 1000;

/** What the store knows of one subscription. */
export interface SubscriptionState {
  readonly record: SubscriptionRecord;
  readonly pending: SequenceSet;
}

/** What a replay of subs.dat gives. */
export interface SubscriptionReplay {
  readonly states: Map<number, SubscriptionState>;
  idMax: number;
  /** For compaction: records that count for nothing any more, and those that once counted. */
  superseded: number;
  total: number;
  /** Bytes that are no record lie among them. */
  isDamaged: boolean;
}

export class FileSubscriptionLog implements SubscriptionStore, Ticked {
  readonly #shared: FileStoreShared;
  readonly #log: RecordLog;
  readonly #maxSubscriptions: number;
  readonly #temporaryPath: () => string;
  readonly #states: Map<number, SubscriptionState>;
  #idMax: number;
  #superseded: number;
  #total: number;
  #dirtySinceMs = 0;
  #lastSyncMs: number;
  #retired = false;
  /** Bytes that are no record lie in the file: the reference would refuse it, so it is rewritten. */
  #isDamaged: boolean;

  constructor(
    shared: FileStoreShared,
    file: LogFile,
    directory: SyncedDirectory,
    maxSubscriptions: number,
    temporaryPath: () => string,
    replay: SubscriptionReplay | undefined,
  ) {
    this.#shared = shared;
    this.#log = new RecordLog(shared, file, directory);
    this.#maxSubscriptions = maxSubscriptions;
    this.#temporaryPath = temporaryPath;
    this.#states = replay?.states ?? new Map();
    this.#idMax = replay?.idMax ?? 0;
    this.#superseded = replay?.superseded ?? 0;
    this.#total = replay?.total ?? 0;
    this.#lastSyncMs = shared.nowMs();
    this.#isDamaged = replay?.isDamaged ?? false;
    if (this.#isDamaged) this.#compact();
  }

  get subscriptionCount(): number {
    return this.#states.size;
  }

  /** What is known now, as recovery reports it. */
  recovered(): RecoveredSubscription[] {
    return [...this.#states.values()].map(({ record, pending }) => ({
      record: { ...record },
      pending: pending.sorted(),
    }));
  }

  create(record: SubscriptionRecord): number {
    this.#mustBeOpen();
    if (this.#maxSubscriptions > 0 && this.#states.size >= this.#maxSubscriptions) {
      throw new StoreError("STORE_TOO_MANY_SUBSCRIPTIONS", STORE_ERROR_TEXT.STORE_TOO_MANY_SUBSCRIPTIONS);
    }
    const id = this.#idMax + 1;
    const stored = { ...record, id };
    this.#append(SUBSCRIPTION_RECORD.create, encodeSubState(stored));
    this.#idMax = id;
    record.id = id;
    this.#states.set(id, { record: stored, pending: new SequenceSet() });
    this.#total++;
    return id;
  }

  update(record: SubscriptionRecord): void {
    this.#mustBeOpen();
    const known = this.#states.get(record.id);
    // In the file, too: the reference takes the position of an update as it stands there.
    const lastSent = Math.max(known?.record.lastSent ?? 0, record.lastSent);
    this.#append(SUBSCRIPTION_RECORD.update, encodeSubState({ ...record, lastSent }));
    if (known !== undefined) {
      Object.assign(known.record, record, { lastSent });
      this.#superseded++;
    } else {
      this.#states.set(record.id, { record: { ...record }, pending: new SequenceSet() });
      if (record.id > this.#idMax) this.#idMax = record.id;
    }
    this.#total++;
  }

  /** As a record of a new subscription: the only one that lowers a position, for the reference, too (stores.md 4.6). */
  replace(record: SubscriptionRecord, pending: readonly number[]): void {
    this.#mustBeOpen();
    const known = this.#states.get(record.id);
    const stored = { ...record };
    this.#stage(this.#restated(stored, pending));
    const kept = new SequenceSet();
    for (const sequence of pending) kept.add(sequence);
    this.#states.set(record.id, { record: stored, pending: kept });
    if (record.id > this.#idMax) this.#idMax = record.id;
    if (known !== undefined) this.#superseded += 1 + known.pending.size;
    this.#total += 1 + pending.length;
    this.#compactIfWorthIt();
  }

  /** Everything about a subscription. As one: a crash in between must not leave the position without what is pending. */
  #restated(record: SubscriptionRecord, pending: readonly number[]): Uint8Array {
    const { crc } = this.#shared;
    const head = encodeRecord(SUBSCRIPTION_RECORD.create, encodeSubState(record), crc);
    const bytes = new Uint8Array(head.length + pending.length * POSITION_RECORD_BYTES_MAX);
    bytes.set(head);
    let end = head.length;
    for (const sequence of pending) {
      end = writePositionRecord(bytes, end, SUBSCRIPTION_RECORD.pending, record.id, sequence, crc);
    }
    return bytes.subarray(0, end);
  }

  delete(id: number): void {
    this.#mustBeOpen();
    this.#append(SUBSCRIPTION_RECORD.delete, encodeSubStateDelete({ id }));
    const known = this.#states.get(id);
    if (known === undefined) return;
    this.#states.delete(id);
    this.#superseded += 1 + known.pending.size;
    this.#compactIfWorthIt();
  }

  addPending(id: number, sequence: number): boolean {
    const known = this.#states.get(id);
    if (!this.#position(SUBSCRIPTION_RECORD.pending, id, sequence)) return false;
    if (known === undefined) return true;
    known.pending.add(sequence);
    if (sequence > known.record.lastSent) known.record.lastSent = sequence;
    this.#total++;
    return true;
  }

  ackPending(id: number, sequence: number): boolean {
    const known = this.#states.get(id);
    if (!this.#position(SUBSCRIPTION_RECORD.ack, id, sequence)) return false;
    if (known === undefined) return true;
    known.pending.delete(sequence);
    this.#superseded++;
    // The exact question only now and then: it is asked once per acknowledgement.
    if ((this.#superseded & 0x3ff) === 0) this.#compactIfWorthIt();
    return true;
  }

  /**
   * Nobody can have got what is behind `last` (stores.md 6.7): positions go back to it, pending sequences behind it go. It
   * is written down as a record of a new subscription, the only one that lowers a position; else the next start would find
   * the old one again, when there are other messages of these sequences. Returns those it concerned.
   */
  putBack(last: number): { readonly id: number; readonly lastSent: number }[] {
    const changed: { id: number; lastSent: number }[] = [];
    for (const { record, pending } of this.#states.values()) {
      const sequences = pending.sorted();
      const isBehind = sequences.length > 0 && sequences[sequences.length - 1]! > last;
      if (record.lastSent <= last && !isBehind) continue;
      changed.push({ id: record.id, lastSent: record.lastSent });
      record.lastSent = Math.min(record.lastSent, last);
      for (const sequence of sequences) if (sequence > last) pending.delete(sequence);
      const kept = pending.sorted();
      this.#stage(this.#restated(record, kept));
      this.#superseded++;
      this.#total += 1 + kept.length;
    }
    if (changed.length > 0) this.#log.flushNow();
    return changed;
  }

  /** Two per delivered message: written in place. */
  #position(type: number, id: number, sequence: number): boolean {
    const log = this.#log;
    const buffer = log.reserve(POSITION_RECORD_BYTES_MAX);
    if (buffer === undefined) return false;
    const end = writePositionRecord(buffer, log.at, type, id, sequence, this.#shared.crc);
    log.commit(end);
    this.#changed();
    return true;
  }

  #append(type: number, payload: Uint8Array): void {
    this.#stage(encodeRecord(type, payload, this.#shared.crc));
  }

  #stage(bytes: Uint8Array): void {
    if (!this.#log.append(bytes)) {
      throw new StoreError(
        "STORE_IO",
        "stan: not stored: the disk of the store does not accept writes, try again later",
      );
    }
    this.#changed();
  }

  #changed(): void {
    if (this.#dirtySinceMs !== 0) return;
    this.#dirtySinceMs = this.#shared.nowMs();
    this.#shared.wantsTick(this);
  }

  flush(): Promise<void> | undefined {
    if (this.#retired) return undefined;
    this.#dirtySinceMs = 0;
    return this.#log.flush();
  }

  #compactIfWorthIt(): void {
    if (this.#log.wantsCompaction(this.#superseded, this.#total)) this.#compact();
  }

  #compact(): void {
    const records: Uint8Array[] = [];
    const { crc } = this.#shared;
    let count = 0;
    for (const { record, pending } of this.#states.values()) {
      records.push(encodeRecord(SUBSCRIPTION_RECORD.create, encodeSubState(record), crc));
      const sequences = pending.sorted();
      const bytes = new Uint8Array(sequences.length * POSITION_RECORD_BYTES_MAX);
      let end = 0;
      for (const sequence of sequences) {
        end = writePositionRecord(bytes, end, SUBSCRIPTION_RECORD.pending, record.id, sequence, crc);
      }
      records.push(bytes.subarray(0, end));
      count += 1 + sequences.length;
    }
    const supersededBefore = this.#superseded;
    const totalBefore = this.#total;
    if (this.#isDamaged) this.#shared.wantsTick(this);
    this.#log.compact(this.#temporaryPath(), records, (replaced) => {
      if (!replaced) return;
      this.#isDamaged = false;
      this.#superseded -= supersededBefore;
      this.#total += count - totalBefore;
    });
  }

  tick(nowMs: number): boolean {
    if (this.#retired) return false;
    const { autoSyncMs } = this.#shared.options;
    const isDue = autoSyncMs > 0 && nowMs - this.#lastSyncMs >= autoSyncMs;
    if (isDue || (this.#dirtySinceMs !== 0 && nowMs - this.#dirtySinceMs >= POSITION_DELAY_MS)) {
      if (isDue) this.#lastSyncMs = nowMs;
      this.#dirtySinceMs = 0;
      this.#log.background(isDue);
    }
    if (this.#isDamaged && this.#log.compactionEnded === undefined) this.#compact();
    return this.#isDamaged || !this.#log.isSafe;
  }

  /** Undefined: no compaction is under way. */
  get compactionEnded(): Promise<void> | undefined {
    return this.#log.compactionEnded;
  }

  close(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#log.close();
  }

  retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#log.retire();
  }

  #mustBeOpen(): void {
    if (this.#retired) throw new StoreError("STORE_CLOSED", "the channel's store is closed");
  }
}
