/**
 * Names that survive a power cut (stores.md 10): the bytes of a file are worth nothing while its directory does not know it.
 * Whoever promises something about a file waits for the directory, too, and for the directory that holds that one.
 */
import type { Disk } from "../../runtime/types.ts";
import { newWait, type SyncWait } from "./log_file.ts";
import { systemCodeOf } from "./shared.ts";

export class SyncedDirectory {
  readonly path: string;
  readonly #disk: Disk;
  readonly #parent: SyncedDirectory | undefined;
  /** How many changes the parent had when it got this name. */
  readonly #birth: number;
  /** Changes of names so far, and how many of them are safe. */
  #changes = 0;
  #safe = 0;
  #running: SyncWait | undefined;
  #runningTo = 0;
  #queued: SyncWait | undefined;

  /** `parent` was told of the change that made this directory. */
  constructor(disk: Disk, path: string, parent: SyncedDirectory | undefined) {
    this.#disk = disk;
    this.path = path;
    this.#parent = parent;
    this.#birth = parent?.mark() ?? 0;
  }

  /** A name was made or replaced here. Removals need not be told: what comes back unwanted is harmless. */
  changed(): void {
    this.#changes++;
  }

  mark(): number {
    return this.#changes;
  }

  get isSafe(): boolean {
    return this.#safe === this.#changes && (this.#parent === undefined || this.#parent.isSafeTo(this.#birth));
  }

  isSafeTo(change: number): boolean {
    return this.#safe >= change && (this.#parent === undefined || this.#parent.isSafeTo(this.#birth));
  }

  /** Undefined: all names are safe. Rejects with the system's error; the next call tries again. */
  sync(): Promise<void> | undefined {
    return this.#syncTo(this.#changes);
  }

  #syncTo(change: number): Promise<void> | undefined {
    const own = this.#safe >= change ? undefined : this.#request(change);
    const above = this.#parent === undefined ? undefined : this.#parent.#syncTo(this.#birth);
    return own !== undefined && above !== undefined ? Promise.all([own, above]).then(() => undefined) : own ?? above;
  }

  #request(change: number): Promise<void> {
    const running = this.#running;
    if (running === undefined) return this.#start(newWait());
    return this.#runningTo >= change ? running.promise : (this.#queued ??= newWait()).promise;
  }

  #start(wait: SyncWait): Promise<void> {
    this.#running = wait;
    const target = this.#runningTo = this.#changes;
    const done = (failure: unknown) => {
      // One that we may not open is not ours: whoever owns it answers for its names.
      const error = systemCodeOf(failure) === "PERMISSION_DENIED" ? undefined : failure;
      const queued = this.#queued;
      this.#running = undefined;
      this.#queued = undefined;
      if (error !== undefined) {
        wait.reject(error);
        queued?.reject(error);
        return;
      }
      this.#safe = target;
      wait.resolve();
      if (queued !== undefined) void this.#start(queued);
    };
    try {
      this.#disk.syncDirectory(this.path, done);
    } catch (error) {
      done(error);
    }
    return wait.promise;
  }
}
