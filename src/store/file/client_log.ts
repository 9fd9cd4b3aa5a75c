/** Registrations on disk: clients.dat (stores.md 4.5, 5.3, 5.10). */
import { encodeClientDelete, encodeClientInfo } from "../../wire/stan_server.ts";
import { type ClientRecord, StoreError } from "../types.ts";
import type { SyncedDirectory } from "./directory.ts";
import { CLIENT_RECORD, encodeRecord } from "./format.ts";
import type { LogFile } from "./log_file.ts";
import { RecordLog } from "./record_log.ts";
import type { FileStoreShared, Ticked } from "./shared.ts";

/** What a replay of clients.dat gives. */
export interface ClientReplay {
  readonly clients: Map<string, ClientRecord>;
  deletions: number;
  /** Bytes that are no record lie among them. */
  isDamaged: boolean;
}

export class FileClientLog implements Ticked {
  readonly #shared: FileStoreShared;
  readonly #log: RecordLog;
  readonly #temporaryPath: () => string;
  readonly #clients: Map<string, ClientRecord>;
  #deletions: number;
  #lastSyncMs: number;
  /** Bytes that are no record lie in the file: the reference would refuse it, so it is rewritten. */
  #isDamaged: boolean;

  constructor(
    shared: FileStoreShared,
    file: LogFile,
    directory: SyncedDirectory,
    temporaryPath: () => string,
    replay: ClientReplay | undefined,
  ) {
    this.#shared = shared;
    this.#log = new RecordLog(shared, file, directory);
    this.#temporaryPath = temporaryPath;
    this.#clients = replay?.clients ?? new Map();
    this.#deletions = replay?.deletions ?? 0;
    this.#lastSyncMs = shared.nowMs();
    this.#isDamaged = replay?.isDamaged ?? false;
    if (this.#isDamaged) this.#compact();
  }

  get clients(): ReadonlyMap<string, ClientRecord> {
    return this.#clients;
  }

  add(record: ClientRecord): void {
    this.#append(CLIENT_RECORD.add, encodeClientInfo(record));
    this.#clients.set(record.id, record);
  }

  delete(id: string): void {
    this.#append(CLIENT_RECORD.delete, encodeClientDelete({ id }));
    if (this.#clients.delete(id)) this.#deletions++;
    this.#compactIfWorthIt();
  }

  #append(type: number, payload: Uint8Array): void {
    if (!this.#log.append(encodeRecord(type, payload, this.#shared.crc))) {
      throw new StoreError(
        "STORE_IO",
        "stan: not stored: the disk of the store does not accept writes, try again later",
      );
    }
    this.#shared.wantsTick(this);
  }

  #compactIfWorthIt(): void {
    if (this.#log.wantsCompaction(this.#deletions, this.#deletions + this.#clients.size)) this.#compact();
  }

  #compact(): void {
    const { crc } = this.#shared;
    const records = [...this.#clients.values()].map((client) =>
      encodeRecord(CLIENT_RECORD.add, encodeClientInfo(client), crc)
    );
    const deletionsBefore = this.#deletions;
    if (this.#isDamaged) this.#shared.wantsTick(this);
    this.#log.compact(this.#temporaryPath(), records, (replaced) => {
      if (!replaced) return;
      this.#isDamaged = false;
      this.#deletions -= deletionsBefore;
    });
  }

  flush(): Promise<void> | undefined {
    return this.#log.flush();
  }

  tick(nowMs: number): boolean {
    const { autoSyncMs } = this.#shared.options;
    const isDue = autoSyncMs > 0 && nowMs - this.#lastSyncMs >= autoSyncMs;
    if (isDue) this.#lastSyncMs = nowMs;
    this.#log.background(isDue);
    if (this.#isDamaged && this.#log.compactionEnded === undefined) this.#compact();
    return this.#isDamaged || !this.#log.isSafe;
  }

  /** Undefined: no compaction is under way. */
  get compactionEnded(): Promise<void> | undefined {
    return this.#log.compactionEnded;
  }

  close(): void {
    this.#log.close();
  }
}
