/**
 * A file that grows at its end, and the descriptors of all such files. The end is kept here and every write names its place,
 * so a write that failed half way is repeated, or cut off, without leaving garbage between two records.
 */
import { assert } from "../../base/assert.ts";
import { type RecencyLinks, RecencyList } from "../../base/recency_list.ts";
import type { Disk, DiskFile } from "../../runtime/types.ts";
import { VERSION_BYTES, versionBytes } from "./format.ts";

/** Bounds the open files of a store: those not in use are closed, the longest unused first. */
export class DescriptorPool {
  readonly disk: Disk;
  readonly #max: number;
  /** By opening or renewed use. */
  readonly #open = new RecencyList<LogFile>();

  /** `max` may be exceeded while more files than that are in use at the same moment. */
  constructor(disk: Disk, max: number) {
    this.disk = disk;
    this.#max = max > 0 ? Math.min(max, disk.openFilesMax) : disk.openFilesMax;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** For {@link LogFile}: it is about to open. */
  makeRoom(): void {
    let file = this.#open.oldest;
    while (this.#open.size >= this.#max && file !== undefined) {
      const { newer } = file;
      if (!file.isBusy) file.closeDescriptor();
      file = newer;
    }
  }

  opened(file: LogFile): void {
    this.#open.add(file);
  }

  closed(file: LogFile): void {
    this.#open.remove(file);
  }

  /** Moves a file behind all others in the order of closing. */
  used(file: LogFile): void {
    this.#open.renew(file);
  }

  /** Closes what was not used since the last call. */
  closeIdle(): void {
    // Not beyond the one that is the newest now: a file that was used moves behind it, where it would be met again, unused.
    const last = this.#open.newest;
    for (let file = this.#open.oldest; file !== undefined;) {
      const next = file === last ? undefined : file.newer;
      if (!file.takeUsed() && !file.isBusy) file.closeDescriptor();
      file = next;
    }
  }

  closeAll(): void {
    for (let file = this.#open.oldest; file !== undefined; file = this.#open.oldest) file.closeDescriptor();
  }
}

/** Somebody waits for a sync. */
export interface SyncWait {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** A wait that nobody has to listen to. */
export function newWait(): SyncWait {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  // Whoever asked twice may hold the promise only once; an unheard rejection must not end the process.
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}

export class LogFile implements RecencyLinks<LogFile> {
  path: string;
  /** Where the next write goes; everything before it was handed to the system. */
  size: number;
  /** Everything before it survives a power cut. */
  syncedSize: number;
  // Of the pool, while it is open.
  older: LogFile | undefined = undefined;
  newer: LogFile | undefined = undefined;
  readonly #pool: DescriptorPool;
  #file: DiskFile | undefined;
  #used = true;
  /** Reads and syncs under way. */
  #busyCount = 0;
  #retired = false;
  #idleWork: (() => void)[] = [];
  #running: SyncWait | undefined;
  #queued: SyncWait | undefined;
  /** There is something to sync even if the size says otherwise: a cut, or what a process left that was killed. */
  #cut = false;
  /** The sync under way has to see to that. */
  #cutUnderWay = false;
  /** A cut whose sync failed is done again before the next one: the system need not try again by itself, and says nothing. */
  #cutFailed = false;
  #lostVersion = false;

  constructor(pool: DescriptorPool, path: string, size: number) {
    this.#pool = pool;
    this.path = path;
    this.size = size;
    this.syncedSize = size;
  }

  /** A new file with the version in front; what had that name is emptied. */
  static create(pool: DescriptorPool, path: string): LogFile {
    const file = new LogFile(pool, path, 0);
    pool.makeRoom();
    file.#adopt(pool.disk.open(path, "replace"));
    try {
      file.write(versionBytes(), 0, VERSION_BYTES);
    } catch (error) {
      // Nobody else will ever close it.
      file.retire();
      throw error;
    }
    return file;
  }

  get isBusy(): boolean {
    return this.#busyCount > 0;
  }

  get isSynced(): boolean {
    return this.syncedSize === this.size && !this.#cut && !this.#cutUnderWay;
  }

  /** The open file; opened when needed. */
  get file(): DiskFile {
    this.#used = true;
    if (this.#file === undefined) {
      // By now another file may have this name.
      assert(!this.#retired, "a file that was given up is not opened again");
      this.#pool.makeRoom();
      this.#adopt(this.#pool.disk.open(this.path, "update"));
    }
    return this.#file!;
  }

  #adopt(file: DiskFile): void {
    this.#file = file;
    this.#pool.opened(this);
  }

  /** True if it was used since the last call. */
  takeUsed(): boolean {
    const used = this.#used;
    this.#used = false;
    if (used) this.#pool.used(this);
    return used;
  }

  /** Appends; throws when not all of it was taken, and then the end is where it was. */
  write(bytes: Uint8Array, start: number, end: number): void {
    this.#putVersionBack();
    this.file.write(bytes, start, end, this.size);
    this.size += end - start;
  }

  #putVersionBack(): void {
    if (!this.#lostVersion) return;
    this.file.write(versionBytes(), 0, VERSION_BYTES, 0);
    this.#lostVersion = false;
  }

  #cutAgain(): void {
    if (!this.#cutFailed) return;
    this.file.truncate(this.size);
    this.#cutFailed = false;
  }

  /** Reads off the event loop. */
  readLater(
    into: Uint8Array,
    start: number,
    end: number,
    position: number,
    done: (error: Error | undefined, count: number) => void,
  ): void {
    const { file } = this;
    this.#busyCount++;
    file.readLater(into, start, end, position, (error, count) => {
      this.#busyCount--;
      this.#closeIfRetired();
      done(error, count);
      this.#becameIdle();
    });
  }

  /** Cuts the file; throws when the system refuses. */
  truncate(size: number): void {
    this.file.truncate(size);
    this.size = size;
    if (this.syncedSize > size) this.syncedSize = size;
    this.#cut = true;
  }

  /**
   * Makes what was written survive a power cut. Undefined: it does already. One sync runs at a time and one waits behind
   * it: whatever is written meanwhile shares the latter. Rejects with the system's error; then nothing that was not synced
   * before may be trusted.
   */
  sync(): Promise<void> | undefined {
    if (this.#running !== undefined) return (this.#queued ??= newWait()).promise;
    if (this.isSynced) return undefined;
    const wait = newWait();
    this.#startSync(wait);
    return wait.promise;
  }

  #startSync(wait: SyncWait): void {
    this.#running = wait;
    const target = this.size;
    let file: DiskFile;
    try {
      this.#putVersionBack();
      this.#cutAgain();
      ({ file } = this);
    } catch (error) {
      this.#syncDone(wait, error);
      return;
    }
    this.#cutUnderWay = this.#cut;
    this.#cut = false;
    this.#busyCount++;
    file.sync((error) => {
      this.#busyCount--;
      this.#closeIfRetired();
      if (error === undefined) this.syncedSize = Math.max(this.syncedSize, Math.min(target, this.size));
      else if (this.#cutUnderWay) this.#cut = this.#cutFailed = true;
      this.#cutUnderWay = false;
      this.#syncDone(wait, error);
      this.#becameIdle();
    });
  }

  #syncDone(wait: SyncWait, error: unknown): void {
    const queued = this.#queued;
    this.#running = undefined;
    this.#queued = undefined;
    if (error !== undefined) {
      wait.reject(error);
      // What is behind it is no better: its owner has to look at the file first.
      queued?.reject(error);
      return;
    }
    wait.resolve();
    if (queued === undefined) return;
    if (this.isSynced || this.#retired) queued.resolve();
    else this.#startSync(queued);
  }

  /** Blocking; for the end of recovery and of the server. */
  syncNow(): void {
    if (this.isSynced) return;
    this.#putVersionBack();
    this.#cutAgain();
    try {
      this.file.syncNow();
    } catch (error) {
      this.#cutFailed ||= this.#cut;
      throw error;
    }
    this.syncedSize = this.size;
    this.#cut = false;
  }

  /** Closes for good, after what is under way. */
  retire(): void {
    this.#retired = true;
    this.#closeIfRetired();
  }

  /**
   * Calls back when no read and no sync is under way any more; not from within this call, and after those who waited for
   * that sync: they know by then whether the file may be trusted.
   */
  whenIdle(work: () => void): void {
    this.#idleWork.push(work);
  }

  #becameIdle(): void {
    if (this.#busyCount > 0 || this.#idleWork.length === 0) return;
    const waiting = this.#idleWork;
    this.#idleWork = [];
    for (const work of waiting) queueMicrotask(work);
  }

  /** Its content was found, not written: whether it survives a power cut is known after the next sync. */
  distrust(): void {
    this.#cut = true;
  }

  #closeIfRetired(): void {
    if (this.#retired && this.#busyCount === 0) this.closeDescriptor();
  }

  /** What is behind `size` cannot be trusted, or does not count: the next write lies over it. */
  forgetFrom(size: number): void {
    this.size = Math.max(size, VERSION_BYTES);
    if (this.syncedSize > size) this.syncedSize = size;
    // A failed sync may have lost the first bytes, too; without them nothing in the file counts.
    this.#lostVersion ||= size < VERSION_BYTES;
    this.#cut = true;
  }

  /** For the pool and at the end. */
  closeDescriptor(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    this.#pool.closed(this);
    file.close();
  }

  /** The file was renamed over by another one, which is open already. */
  replaceWith(file: DiskFile, size: number): void {
    this.closeDescriptor();
    this.#pool.makeRoom();
    this.#adopt(file);
    this.size = size;
    this.syncedSize = size;
    this.#cut = false;
    this.#lostVersion = false;
  }
}
