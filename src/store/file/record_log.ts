/**
 * A log of typed records (clients.dat, subs.dat). What was not synced yet stays in memory, so that a refused write or a
 * failed sync is repeated in place and nothing that was staged is lost while the process lives.
 */
import type { DiskFile } from "../../runtime/types.ts";
import type { SyncedDirectory } from "./directory.ts";
import { VERSION_BYTES, versionBytes } from "./format.ts";
import { type LogFile, newWait, type SyncWait } from "./log_file.ts";
import { type FileStoreShared, messageOf, toStoreError } from "./shared.ts";

const BUFFER_BYTES_FIRST = 256;
/** Handed to the system without waiting for a flush. */
const WRITE_BYTES = 64 * 1024;
/** While the disk refuses, more than this is not kept. */
const BUFFER_BYTES_MAX = 8 * 1024 * 1024;

/** A rewrite under way: the new file, and how far the old one was when its content was taken. */
interface Compaction {
  readonly path: string;
  readonly file: DiskFile;
  readonly size: number;
  readonly oldSize: number;
}

export class RecordLog {
  readonly #shared: FileStoreShared;
  readonly #file: LogFile;
  /** Holds the name of the file. */
  readonly #directory: SyncedDirectory;
  /** Bytes of the file from `syncedSize` on (with sync), or from its end on (without). */
  #buffer: Uint8Array = new Uint8Array(0);
  #used = 0;
  /** How much of it the system has. */
  #written = 0;
  #compaction: Compaction | undefined;
  #compactionEnded: SyncWait | undefined;
  #lastCompactionMs = -Infinity;
  #failing = false;
  #closed = false;

  /** `directory` was told of the file if it is new. */
  constructor(shared: FileStoreShared, file: LogFile, directory: SyncedDirectory) {
    this.#shared = shared;
    this.#file = file;
    this.#directory = directory;
  }

  /** Bytes without the version, staged ones included. */
  get recordBytes(): number {
    return this.#file.size - VERSION_BYTES + this.#used - this.#written;
  }

  get path(): string {
    return this.#file.path;
  }

  /** Undefined: no compaction is under way. Resolves when it has ended, well or not. */
  get compactionEnded(): Promise<void> | undefined {
    return this.#compactionEnded?.promise;
  }

  get hasUnwritten(): boolean {
    return this.#used > this.#written;
  }

  get isSafe(): boolean {
    return this.#used === this.#written && this.#file.isSynced && this.#directory.isSafe;
  }

  /** Memory for a record of `count` bytes; write there, then call `commit`. Undefined: the disk refuses for too long. */
  reserve(count: number): Uint8Array | undefined {
    if (this.#closed) return undefined;
    const needed = this.#used + count;
    if (needed > this.#buffer.length) {
      if (this.#failing && needed > BUFFER_BYTES_MAX) return undefined;
      const longer = new Uint8Array(Math.max(BUFFER_BYTES_FIRST, needed, this.#buffer.length * 2));
      longer.set(this.#buffer.subarray(0, this.#used));
      this.#buffer = longer;
    }
    return this.#buffer;
  }

  /** Where the next record begins in what `reserve` gave. */
  get at(): number {
    return this.#used;
  }

  commit(end: number): void {
    this.#used = end;
    if (end - this.#written < WRITE_BYTES || this.#failing) return;
    try {
      this.#write();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Stages a whole record; false: it could not be staged. */
  append(record: Uint8Array): boolean {
    const buffer = this.reserve(record.length);
    if (buffer === undefined) return false;
    const at = this.#used;
    buffer.set(record, at);
    this.commit(at + record.length);
    return true;
  }

  #write(): void {
    if (this.#used === this.#written) return;
    this.#file.write(this.#buffer, this.#written, this.#used);
    this.#written = this.#used;
    if (!this.#shared.options.sync) this.#drop(this.#used);
  }

  /** The first `count` bytes of the buffer are safe. */
  #drop(count: number): void {
    if (count === 0) return;
    if (count === this.#used) {
      if (this.#buffer.length > WRITE_BYTES * 2) this.#buffer = new Uint8Array(0);
    } else {
      this.#buffer.copyWithin(0, count, this.#used);
    }
    this.#used -= count;
    this.#written -= count;
  }

  /** As {@link import("../types.ts").MessageStore.flush}, except that nothing is taken back: it is tried again later. */
  flush(): Promise<void> | undefined {
    if (this.#closed || this.isSafe) return undefined;
    try {
      this.#write();
    } catch (error) {
      return Promise.reject(this.#fail(error));
    }
    if (!this.#shared.options.sync) {
      this.#failing = false;
      return undefined;
    }
    const bytes = this.#sync();
    const name = this.#syncName();
    return bytes !== undefined && name !== undefined ? Promise.all([bytes, name]).then(() => undefined) : bytes ?? name;
  }

  /** The same, blocking; for the start, when nobody is served yet. What fails is tried again later. */
  flushNow(): void {
    try {
      this.#write();
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (!this.#shared.options.sync) return;
    try {
      this.#file.syncNow();
      this.#bytesSynced();
    } catch (error) {
      this.#syncFailed();
      this.#fail(error);
    }
  }

  /** Only what was synced before may be trusted: the rest is written again, from memory. */
  #syncFailed(): void {
    if (!this.#shared.options.sync) return;
    this.#bytesSynced();
    this.#file.forgetFrom(this.#file.syncedSize);
    this.#written = 0;
  }

  #sync(): Promise<void> | undefined {
    const wait = this.#file.sync();
    return wait?.then(
      () => {
        this.#failing = false;
        this.#bytesSynced();
      },
      (error) => {
        // Deleted meanwhile: there is nothing to keep.
        if (this.#closed) return;
        this.#syncFailed();
        throw this.#fail(error);
      },
    );
  }

  /** The buffer begins where the synced part ends. */
  #bytesSynced(): void {
    const unsynced = this.#file.size - this.#file.syncedSize;
    this.#drop(this.#written - Math.min(this.#written, unsynced));
  }

  #syncName(): Promise<void> | undefined {
    return this.#directory.sync()?.catch((error) => {
      if (!this.#closed) throw this.#fail(error);
    });
  }

  #fail(error: unknown): Error {
    if (!this.#failing) {
      this.#shared.log.error(`Cannot write ${this.#file.path}: ${messageOf(error)}. It is tried again every second`);
    }
    this.#failing = true;
    return toStoreError(error);
  }

  /** Writes what waits, and syncs it whatever the options say when `sync` is true. Errors are told in the log only. */
  background(sync: boolean): void {
    if (this.#closed) return;
    try {
      this.#write();
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (sync || this.#shared.options.sync) this.#sync()?.catch(() => undefined);
    else this.#failing = false;
  }

  // Compaction ---------------------------------------------------------------------------------------------------------

  /** stores.md 5.10: true when the file is worth rewriting and was not rewritten a moment ago. */
  wantsCompaction(superseded: number, total: number): boolean {
    const { options } = this.#shared;
    if (!options.compactEnabled || this.#compaction !== undefined || this.#failing || this.#closed) return false;
    if (options.compactMinBytes > 0 && this.recordBytes < options.compactMinBytes) return false;
    const fragmentation = total === 0 ? 100 : Math.floor(superseded * 100 / total);
    if (fragmentation < options.compactFragmentation) return false;
    return this.#shared.nowMs() - this.#lastCompactionMs >= options.compactIntervalMs;
  }

  /**
   * Replaces the content by `records`, which must say the same. The new file is synced before it gets the name; what is
   * appended meanwhile is copied behind it. On any error the old file goes on.
   */
  compact(temporaryPath: string, records: readonly Uint8Array[], done: (replaced: boolean) => void): void {
    this.#lastCompactionMs = this.#shared.nowMs();
    const { disk } = this.#shared;
    let file: DiskFile | undefined;
    try {
      this.#write();
      file = disk.open(temporaryPath, "replace");
      const mode = disk.stat(this.#file.path)?.mode;
      // A group that may read the store can still do so afterwards (trap 31).
      if (mode !== undefined) disk.changeMode(temporaryPath, mode);
      let size = 0;
      for (const part of [versionBytes(), ...records]) {
        file.write(part, 0, part.length, size);
        size += part.length;
      }
      const compaction: Compaction = { path: temporaryPath, file, size, oldSize: this.#file.size };
      this.#compaction = compaction;
      this.#compactionEnded = newWait();
      file.sync((error) => this.#compacted(compaction, error, done));
    } catch (error) {
      this.#compactionFailed(temporaryPath, file, error, done);
    }
  }

  #compacted(compaction: Compaction, error: unknown, done: (replaced: boolean) => void): void {
    const { path, file, size, oldSize } = compaction;
    if (error !== undefined || this.#closed) return this.#compactionFailed(path, file, error, done);
    // A sync of the old file is under way: its end would be taken for one of the new file.
    if (this.#file.isBusy) {
      this.#file.whenIdle(() => this.#compacted(compaction, undefined, done));
      return;
    }
    // A sync of the old file failed meanwhile: what stands in it is not what was written to it.
    if (this.#failing) return this.#compactionFailed(path, file, new Error("the old file cannot be trusted"), done);
    try {
      this.#write();
      const tail = new Uint8Array(this.#file.size - oldSize);
      this.#file.file.read(tail, 0, tail.length, oldSize);
      file.write(tail, 0, tail.length, size);
      file.syncNow();
      this.#shared.disk.rename(path, this.#file.path);
      this.#file.replaceWith(file, size + tail.length);
      this.#drop(this.#written);
      this.#directory.changed();
      if (this.#shared.options.sync) this.#syncName()?.catch(() => undefined);
      this.#compactionOver();
      done(true);
    } catch (failure) {
      this.#compactionFailed(path, file, failure, done);
    }
  }

  #compactionFailed(
    path: string,
    file: DiskFile | undefined,
    error: unknown,
    done: (replaced: boolean) => void,
  ): void {
    if (error !== undefined) {
      this.#shared.log.error(`Cannot compact ${this.#file.path}: ${messageOf(error)}. It goes on as it is`);
    }
    try {
      file?.close();
      this.#shared.disk.remove(path);
    } catch {
      // A leftover of that name is ignored by every server (stores.md 4.1).
    }
    this.#compactionOver();
    done(false);
  }

  #compactionOver(): void {
    this.#compaction = undefined;
    this.#compactionEnded?.resolve();
    this.#compactionEnded = undefined;
  }

  // End ----------------------------------------------------------------------------------------------------------------

  /** Writes and syncs, blocking, and closes. */
  close(): void {
    if (this.#closed) return;
    try {
      this.#write();
      this.#file.syncNow();
    } catch (error) {
      this.#shared.log.error(`Closing ${this.#file.path}: ${messageOf(error)}`);
    }
    this.retire();
  }

  /** Closes without another write. */
  retire(): void {
    this.#closed = true;
    this.#file.retire();
    this.#buffer = new Uint8Array(0);
    this.#used = 0;
    this.#written = 0;
  }
}
