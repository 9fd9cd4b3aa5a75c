/**
 * The disk over `node:fs`. Writes and short reads block, because handing bytes to the page cache costs less than a promise
 * (runtime.md 4.1); syncs and reads that may wait for the medium run on the platform's pool.
 */
import * as fs from "node:fs";
import { setImmediate } from "node:timers";
import { resolve } from "node:path";
import { type Disk, type DiskDone, type DiskEntry, type DiskFile, type DiskLock, RuntimeError } from "../types.ts";
import { toRuntimeError } from "./errors.ts";
import { DESCRIPTOR_RESERVE, readDescriptorLimit } from "./socket_rules.ts";

/** A kernel call takes at most a little less than 2 GB. */
const TRANSFER_BYTES_MAX = 1 << 30;

const FLAGS = {
  read: fs.constants.O_RDONLY,
  update: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT,
  replace: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC,
} as const;

/** What it takes to lock a file on this platform; absent where no way is known. */
export type TryLock = (descriptor: number) => boolean;

function attempt<T>(what: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw toRuntimeError(error, `Cannot ${what} "${path}"`);
  }
}

class NodeDiskFile implements DiskFile {
  readonly #path: string;
  readonly #descriptor: number;

  constructor(path: string, descriptor: number) {
    this.#path = path;
    this.#descriptor = descriptor;
  }

  sizeBytes(): number {
    return attempt("look at", this.#path, () => fs.fstatSync(this.#descriptor).size);
  }

  read(into: Uint8Array, start: number, end: number, position: number): number {
    return attempt("read", this.#path, () => {
      let at = start;
      while (at < end) {
        const count = fs.readSync(
          this.#descriptor,
          into,
          at,
          Math.min(end - at, TRANSFER_BYTES_MAX),
          position + at - start,
        );
        if (count === 0) break;
        at += count;
      }
      return at - start;
    });
  }

  readLater(
    into: Uint8Array,
    start: number,
    end: number,
    position: number,
    done: (error: RuntimeError | undefined, count: number) => void,
  ): void {
    const step = (at: number): void => {
      fs.read(
        this.#descriptor,
        into,
        at,
        Math.min(end - at, TRANSFER_BYTES_MAX),
        position + at - start,
        (error, count) => {
          if (error !== null) return done(toRuntimeError(error, `Cannot read "${this.#path}"`), at - start);
          if (count === 0 || at + count >= end) return done(undefined, at + count - start);
          step(at + count);
        },
      );
    };
    if (start >= end) setImmediate(() => done(undefined, 0));
    else step(start);
  }

  write(bytes: Uint8Array, start: number, end: number, position: number): void {
    attempt("write", this.#path, () => {
      // The kernel may take less than asked, for example at the edge of a full disk.
      for (let at = start; at < end;) {
        at += fs.writeSync(
          this.#descriptor,
          bytes,
          at,
          Math.min(end - at, TRANSFER_BYTES_MAX),
          position + at - start,
        );
      }
    });
  }

  truncate(sizeBytes: number): void {
    attempt("cut", this.#path, () => fs.ftruncateSync(this.#descriptor, sizeBytes));
  }

  sync(done: DiskDone): void {
    fs.fdatasync(this.#descriptor, (error) => done(this.#syncError(error)));
  }

  syncNow(): void {
    attempt("sync", this.#path, () => fs.fdatasyncSync(this.#descriptor));
  }

  close(): void {
    attempt("close", this.#path, () => fs.closeSync(this.#descriptor));
  }

  #syncError(error: Error | null): RuntimeError | undefined {
    return error === null || error === undefined ? undefined : toRuntimeError(error, `Cannot sync "${this.#path}"`);
  }
}

/** Locks of this process by path: the system's lock is one per process, two stores in one process must exclude each other. */
const heldLocks = new Set<string>();

/**
 * The disk of this machine. `loadLock` is called when the first lock is wanted; where it gives nothing locks are refused:
 * pretending would risk two writers on one directory.
 */
export function createDisk(loadLock: () => TryLock | undefined): Disk {
  let tryLock: TryLock | undefined;
  return {
    // What may be open beside the sockets: the listeners leave that reserve, files must not use all of it up.
    openFilesMax: Math.max(16, Math.min(65_536, (readDescriptorLimit() - DESCRIPTOR_RESERVE) >> 2)),
    open: (path, mode) => attempt("open", path, () => new NodeDiskFile(path, fs.openSync(path, FLAGS[mode], 0o666))),
    list: (path) =>
      attempt("list", path, () =>
        fs.readdirSync(path, { withFileTypes: true }).map((entry): DiskEntry => ({
          name: entry.name,
          kind: entry.isSymbolicLink() ? "link" : entry.isDirectory() ? "directory" : entry.isFile() ? "file" : "other",
        }))),
    stat: (path) =>
      attempt("look at", path, () => {
        const found = fs.statSync(path, { throwIfNoEntry: false });
        if (found === undefined) return undefined;
        const kind = found.isDirectory() ? "directory" : found.isFile() ? "file" : "other";
        return { kind, sizeBytes: found.size, mode: found.mode & 0o7777 };
      }),
    makeDirectory: (path) => void attempt("make directory", path, () => fs.mkdirSync(path, { recursive: true })),
    removeDirectory: (path) => attempt("remove directory", path, () => fs.rmdirSync(path)),
    remove: (path) => attempt("remove", path, () => fs.unlinkSync(path)),
    rename: (from, to) => attempt(`rename to "${to}" the file`, from, () => fs.renameSync(from, to)),
    changeMode: (path, mode) => attempt("change the mode of", path, () => fs.chmodSync(path, mode)),
    syncDirectory: (path, done) => syncDirectory(path, done),
    freeBytes: (path) =>
      attempt("look at the space of", path, () => {
        const { bavail, bsize } = fs.statfsSync(path);
        return bavail * bsize;
      }),
    lock: (path) => lock(path, tryLock ??= loadLock()),
  };
}

function syncDirectory(path: string, done: DiskDone): void {
  const failed = (error: unknown) => toRuntimeError(error, `Cannot sync directory "${path}"`);
  let descriptor: number;
  try {
    // Here and now, as every other file: only the sync is worth a thread.
    descriptor = fs.openSync(path, fs.constants.O_RDONLY);
  } catch (error) {
    queueMicrotask(() => done(failed(error)));
    return;
  }
  fs.fsync(descriptor, (error) => {
    try {
      fs.closeSync(descriptor);
    } catch {
      // Nothing was written through it, and nobody here would catch this.
    }
    // Some file systems know no sync of a directory; there is nothing better to do on them.
    const unsupported = error !== null && error !== undefined &&
      ["EINVAL", "ENOTSUP", "EISDIR", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "");
    done(error && !unsupported ? failed(error) : undefined);
  });
}

function lock(path: string, tryLock: TryLock | undefined): DiskLock | undefined {
  if (tryLock === undefined) {
    throw new RuntimeError(
      "OTHER",
      `Cannot lock "${path}": this platform has no lock that the original server respects`,
    );
  }
  const key = resolve(path);
  if (heldLocks.has(key)) return undefined;
  return attempt("lock", path, () => {
    const descriptor = fs.openSync(path, FLAGS.create, 0o666);
    if (!tryLock(descriptor)) {
      fs.closeSync(descriptor);
      return undefined;
    }
    heldLocks.add(key);
    return {
      release: () => {
        if (!heldLocks.delete(key)) return;
        fs.closeSync(descriptor);
      },
    };
  });
}
