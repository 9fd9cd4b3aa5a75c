/**
 * Defects of a FILE store, planted on purpose: a simulation that does not find each of them is worth nothing. A plant replaces
 * a method for the time of a run, or stands between the store and the disk.
 */
import type { DiskFile } from "../../src/runtime/types.ts";
import { FileMessageLog } from "../../src/store/file/message_log.ts";
import { LogFile } from "../../src/store/file/log_file.ts";
import { SyncedDirectory } from "../../src/store/file/directory.ts";
import { FileStore } from "../../src/store/file/file_store.ts";
import { FileClientLog } from "../../src/store/file/client_log.ts";
import { FileSubscriptionLog } from "../../src/store/file/subscription_log.ts";
import { Slice } from "../../src/store/file/slice.ts";
import type { LifeHooks } from "./file_store_life.ts";

/** A defect and how it gets in. */
export interface FilePlant {
  readonly name: string;
  readonly hooks?: LifeHooks;
  /** Plants it; returns how to pull it out. */
  readonly plant?: () => () => void;
}

// deno-lint-ignore ban-types -- any method of any class.
type Method = Function;

function replace<Holder extends object>(
  holder: Holder,
  name: keyof Holder & string,
  make: (original: Method) => Method,
): () => void {
  const original = Object.getOwnPropertyDescriptor(holder, name)!; // A method of that class.
  Object.defineProperty(holder, name, { ...original, value: make(original.value as Method) });
  return () => Object.defineProperty(holder, name, original);
}

/** A flush that starts its work and says that it is done. */
function doneAtOnce(holder: { flush(): Promise<void> | undefined }): () => void {
  return replace(holder, "flush", (original) =>
    function (this: object) {
      (original.call(this) as Promise<void> | undefined)?.catch(() => undefined);
      return undefined;
    });
}

/** A disk some of whose files are handled by `change`. */
function onFiles(pattern: RegExp, change: (file: DiskFile, path: string) => DiskFile): LifeHooks {
  return {
    prepare: (disk) => {
      disk.tap.file = (path, file) => pattern.test(path) ? change(file, path) : file;
    },
  };
}

/** A file with some calls replaced. */
function altered(file: DiskFile, parts: Partial<DiskFile>): DiskFile {
  return {
    sizeBytes: () => file.sizeBytes(),
    read: (into, start, end, position) => file.read(into, start, end, position),
    readLater: (into, start, end, position, done) => file.readLater(into, start, end, position, done),
    write: (bytes, start, end, position) => file.write(bytes, start, end, position),
    truncate: (sizeBytes) => file.truncate(sizeBytes),
    sync: (done) => file.sync(done),
    syncNow: () => file.syncNow(),
    close: () => file.close(),
    ...parts,
  };
}

export const FILE_PLANTS: readonly FilePlant[] = [
  { name: "10: messages are acknowledged before their sync", plant: () => doneAtOnce(FileMessageLog.prototype) },
  { name: "10: subscriptions are answered before their sync", plant: () => doneAtOnce(FileSubscriptionLog.prototype) },
  {
    name: "10: registrations and channels are answered before their sync",
    plant: () => doneAtOnce(FileStore.prototype),
  },
  {
    name: "10: data files are not synced",
    plant: () =>
      replace(LogFile.prototype, "sync", (original) =>
        function (this: LogFile) {
          return this.path.endsWith(".dat") ? undefined : original.call(this);
        }),
  },
  {
    name: "5.2: index files are not synced",
    plant: () =>
      replace(LogFile.prototype, "sync", (original) =>
        function (this: LogFile) {
          return this.path.endsWith(".idx") ? undefined : original.call(this);
        }),
  },
  {
    name: "10: names are not synced",
    plant: () => replace(SyncedDirectory.prototype, "sync", () => () => undefined),
  },
  {
    name: "1.5: a failed sync is taken for a good one",
    plant: () =>
      replace(LogFile.prototype, "sync", (original) =>
        function (this: LogFile) {
          return (original.call(this) as Promise<void> | undefined)?.catch(() => undefined);
        }),
  },
  {
    name: "5.2: the index is written before the data",
    plant: () =>
      replace(FileMessageLog.prototype, "append", (original) =>
        function (this: FileMessageLog, ...args: unknown[]) {
          const result = original.apply(this, args);
          try {
            this.slices.at(-1)?.writeIndex();
          } catch {
            // It is tried again when the index is due.
          }
          return result;
        }),
  },
  {
    name: "decision 16: what is taken back leaves one record too many",
    plant: () =>
      replace(
        Slice.prototype,
        "cutTo",
        (original) =>
          function (this: Slice, count: number, bytes: number, high: number, low: number) {
            original.call(this, count < this.recordCount ? count + 1 : count, bytes, high, low);
          },
      ),
  },
  {
    name: "decision 16: what is taken back stays in the file, and the next message comes behind it",
    plant: () =>
      replace(LogFile.prototype, "forgetFrom", () =>
        function (this: LogFile) {
          this.syncedSize = Math.min(this.syncedSize, this.size - 1);
        }),
  },
  {
    name: "5.6: a slice is removed before what pushed it out is safe",
    plant: () =>
      replace(FileMessageLog.prototype, "append", (original) =>
        function (this: FileMessageLog, ...args: unknown[]) {
          const result = original.apply(this, args);
          const [oldest] = this.slices;
          if (oldest !== undefined && this.slices.length > 1 && oldest.lastSequence < this.firstSequence) {
            oldest.data.file.truncate(4);
            oldest.index.file.truncate(4);
          }
          return result;
        }),
  },
  {
    name: "6.7: a torn end is not cut off",
    hooks: onFiles(/msgs\.\d+\.dat$|subs\.dat$/, (file) => altered(file, { truncate: () => undefined })),
  },
  {
    name: "5.10: a compaction is put in place before it is safe",
    hooks: onFiles(
      /\/(subs|clients\.dat)\d+$/,
      (file) => altered(file, { sync: (done) => queueMicrotask(() => done(undefined)), syncNow: () => undefined }),
    ),
  },
  {
    name: "1.3: a position is kept in memory only",
    plant: () =>
      replace(FileSubscriptionLog.prototype, "addPending", (original) => {
        let calls = 0;
        return function (this: FileSubscriptionLog, id: number, sequence: number) {
          return ++calls % 5 === 0 ? true : original.call(this, id, sequence);
        };
      }),
  },
  {
    name: "1.2: a registration that ended is back",
    plant: () => replace(FileClientLog.prototype, "delete", () => () => undefined),
  },
  {
    name: "4.8: an index record has the wrong size",
    plant: () =>
      replace(Slice.prototype, "writeIndex", (original) =>
        function (this: Slice) {
          if (this.stagedIndexBytes > 0) this.stagedIndex[this.stagedIndexBytes - 8]! ^= 1;
          original.call(this);
        }),
  },
  {
    name: "11.11: a stop does not write what is staged",
    plant: () => {
      const pulls = [FileMessageLog.prototype, FileSubscriptionLog.prototype].map((holder) =>
        replace(holder, "close", () =>
          function (this: FileMessageLog | FileSubscriptionLog) {
            this.retire("closed");
          })
      );
      const settled = replace(FileStore.prototype, "close", (original) =>
        function (this: FileStore) {
          const flushes = [FileMessageLog.prototype, FileSubscriptionLog.prototype].map((holder) =>
            replace(holder, "flush", () => () => undefined)
          );
          return (original.call(this) as Promise<void>).finally(() => flushes.forEach((pull) => pull()));
        });
      return () => [...pulls, settled].forEach((pull) => pull());
    },
  },
];
