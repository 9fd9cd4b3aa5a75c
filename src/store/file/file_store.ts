/**
 * The FILE store (stores.md 4 to 6): the reference's directory, byte for byte. This file owns the directory: its lock, the
 * server and client files, the channels, and the second-by-second background work.
 */
import { bytesOf, byteStringOfText, displayText } from "../../base/bytes.ts";
import type { LogView } from "../../log/types.ts";
import type { Clock, Disk, DiskLock, Scheduler, TimerHandle } from "../../runtime/types.ts";
import { encodeServerInfo } from "../../wire/stan_server.ts";
import {
  type ChannelStore,
  type ClientRecord,
  type RecoveredState,
  type RecoveredSubscription,
  type ServerRecord,
  type Store,
  STORE_ERROR_TEXT,
  StoreError,
  type StoreLimits,
} from "../types.ts";
import { BlockCache } from "./block.ts";
import { FileClientLog } from "./client_log.ts";
import { Crc32 } from "./crc.ts";
import { SyncedDirectory } from "./directory.ts";
import type { Finding } from "./findings.ts";
import { encodeRecord, versionBytes } from "./format.ts";
import { DescriptorPool, LogFile } from "./log_file.ts";
import { FileMessageLog } from "./message_log.ts";
import type { FileStoreOptions } from "./options.ts";
import { Prefetch } from "./prefetch.ts";
import { type RecoverContext, recoverServer } from "./recover.ts";
import { type RecoveredLog, recoverMessages } from "./recover_messages.ts";
import { recoverClients, recoverSubscriptions } from "./recover_typed.ts";
import { CACHE_BYTES_MAX, type FileStoreShared, LoadQueue, messageOf, type Ticked, toStoreError } from "./shared.ts";
import { FileSubscriptionLog } from "./subscription_log.ts";

const SERVER_FILE = "server.dat";
const CLIENTS_FILE = "clients.dat";
const SUBSCRIPTIONS_FILE = "subs.dat";
/** The reference's lock file, and its witness that files were cut on demand (stores.md 6.7). */
const LOCK_FILE = ".rootdir.lck";
const WITNESS_FILE = ".truncate.lck";
/** What a compaction that was interrupted left (stores.md 4.1): nobody reads it. */
const LEFTOVER = /^(clients\.dat|subs)\d+$/;
const TICK_MS = 1000;
/** Recovery lets other work of the process go on after this long, and tells its progress this often. */
const RECOVERY_STEP_MS = 5;
const PROGRESS_MS = 2000;
/** Space must be this much above the reserve before publishes are taken again. */
const RESERVE_SLACK = 1.1;

/** What runs the archive script (stores.md 5.8): asynchronous, without a shell. */
export type RunProgram = (
  path: string,
  args: readonly string[],
  done: (output: string, error: string | undefined) => void,
) => void;

export interface FileStoreWorld {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly log: LogView;
  readonly runProgram: RunProgram;
}

class FileChannel implements ChannelStore {
  readonly name: string;
  readonly directory: SyncedDirectory;
  readonly messages: FileMessageLog;
  readonly subscriptions: FileSubscriptionLog;

  constructor(name: string, directory: SyncedDirectory, messages: FileMessageLog, subscriptions: FileSubscriptionLog) {
    this.name = name;
    this.directory = directory;
    this.messages = messages;
    this.subscriptions = subscriptions;
  }
}

export class FileStore implements Store {
  readonly name = "FILE";
  readonly #world: FileStoreWorld;
  readonly #options: FileStoreOptions;
  readonly #limits: StoreLimits;
  readonly #shared: FileStoreShared;
  readonly #pool: DescriptorPool;
  readonly #channels = new Map<string, FileChannel>();
  readonly #ticked = new Set<Ticked>();
  #clients: FileClientLog | undefined;
  #lock: DiskLock | undefined;
  #timer: TimerHandle | undefined;
  #root: SyncedDirectory;
  /** Of channels that could not be created. */
  readonly #stillborn = new Set<string>();
  #temporaryCount = 0;
  #spaceIsShort = false;
  #scriptsUnderWay = 0;
  #isClosed = false;

  /** Checks nothing on disk: a standby constructs its store while another server uses the directory (trap 10). */
  constructor(limits: StoreLimits, options: FileStoreOptions, world: FileStoreWorld) {
    if (options.dir === "") {
      throw new StoreError("STORE_INVALID_LIMITS", "for FILE stores, root directory must be specified");
    }
    this.#world = world;
    this.#options = options;
    this.#limits = limits;
    this.#pool = new DescriptorPool(world.disk, options.descriptorsMax);
    this.#shared = {
      options,
      disk: world.disk,
      pool: this.#pool,
      cache: new BlockCache(CACHE_BYTES_MAX, (work) => world.scheduler.endOfTurn(work)),
      loads: new LoadQueue(),
      crc: new Crc32(options.crcPolynomial),
      log: world.log,
      stagedBytes: 0,
      nowMs: () => world.clock.monotonicMs(),
      wantsTick: (item) => this.#wantsTick(item),
    };
    this.#root = this.#rootIn(undefined);
  }

  /** Of a directory that is there already nobody knows whether its names are safe: the process before may have been killed. */
  #rootIn(parent: SyncedDirectory | undefined): SyncedDirectory {
    const { dir } = this.#options;
    let above = parent;
    if (above === undefined) {
      above = new SyncedDirectory(this.#world.disk, parentOf(dir), undefined);
      above.changed();
    }
    const root = new SyncedDirectory(this.#world.disk, dir, above);
    root.changed();
    return root;
  }

  /** The store's directory and those above it that are missing. */
  #makeDirectory(): void {
    const { disk } = this.#world;
    const { dir } = this.#options;
    const missing: string[] = [];
    let path = parentOf(dir);
    for (; path !== parentOf(path) && disk.stat(path) === undefined; path = parentOf(path)) missing.unshift(path);
    disk.makeDirectory(dir);
    if (missing.length === 0) return;
    let above = new SyncedDirectory(disk, path, undefined);
    above.changed();
    for (const name of missing) {
      above = new SyncedDirectory(disk, name, above);
      above.changed();
    }
    this.#root = this.#rootIn(above);
  }

  get channelCount(): number {
    return this.#channels.size;
  }

  get directory(): string {
    return this.#options.dir;
  }

  #path(name: string): string {
    return `${this.#options.dir}/${name}`;
  }

  // Opening ------------------------------------------------------------------------------------------------------------

  /**
   * Takes the lock of the directory. False: another process holds it. Held until `close`; `recover` takes it by itself.
   */
  acquireLock(): boolean {
    if (this.#lock !== undefined) return true;
    const { disk } = this.#world;
    this.#makeDirectory();
    this.#lock = disk.lock(this.#path(LOCK_FILE));
    return this.#lock !== undefined;
  }

  async recover(): Promise<RecoveredState | undefined> {
    this.#mustBeOpen();
    try {
      if (!this.acquireLock()) {
        throw new StoreError(
          "STORE_LOCKED",
          `store directory "${this.#options.dir}" is in use by another server. Stop that one first, or choose another directory`,
        );
      }
      this.#witness();
      const context = this.#recoverContext();
      const server = recoverServer(context, this.#path(SERVER_FILE));
      const directories = this.#channelDirectories();
      if (server === undefined) {
        if (directories.length > 0) {
          throw new StoreError("STORE_NO_SERVER_INFO", STORE_ERROR_TEXT.STORE_NO_SERVER_INFO);
        }
        this.#createClients();
        return undefined;
      }
      const clients = recoverClients(context, this.#path(CLIENTS_FILE));
      this.#clients = new FileClientLog(
        this.#shared,
        clients.file,
        this.#root,
        () => this.#temporaryPath(CLIENTS_FILE),
        clients.replay,
      );
      const channels = await this.#recoverChannels(context, directories);
      this.#pool.closeAll();
      return { server, clients: [...clients.replay.clients.values()], channels };
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw new StoreError("STORE_IO", `unable to recover the store in "${this.#options.dir}": ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  #createClients(): void {
    this.#clients = new FileClientLog(
      this.#shared,
      LogFile.create(this.#pool, this.#path(CLIENTS_FILE)),
      this.#root,
      () => this.#temporaryPath(CLIENTS_FILE),
      undefined,
    );
    this.#root.changed();
  }

  #recoverContext(): RecoverContext {
    return {
      disk: this.#world.disk,
      pool: this.#pool,
      crc: this.#shared.crc,
      checkCrc: this.#options.crc,
      apply: true,
      report: (finding) => this.#report(finding),
    };
  }

  #report({ level, channel, path, offset, text }: Finding): void {
    const where = offset < 0 ? path : `${path} at byte ${offset}`;
    const of = channel === "" ? "" : `Channel "${displayText(channel)}": `;
    if (level === "healed") this.#world.log.warn(`${of}${where}: ${text}`);
    else this.#world.log.error(`${of}${where}: ${text}`);
  }

  /** stores.md 6.7: the truncate option is for one start, not for every one. */
  #witness(): void {
    const { disk } = this.#world;
    const path = this.#path(WITNESS_FILE);
    const isThere = disk.stat(path) !== undefined;
    if (!this.#options.truncateBadEnd) {
      if (isThere) disk.remove(path);
      return;
    }
    if (isThere) {
      throw new StoreError(
        "STORE_DAMAGED",
        "file store should not be opened consecutively with the TruncateUnexpectedEOF option set to true",
      );
    }
    disk.open(path, "replace").close();
  }

  /** Every directory in the root is a channel, whatever its name (stores.md 4.1). */
  #channelDirectories(): string[] {
    const names: string[] = [];
    for (const { name, kind } of this.#world.disk.list(this.#options.dir)) {
      if (kind === "directory") names.push(name);
      else if (kind === "file" && LEFTOVER.test(name)) this.#removeLeftover(this.#path(name));
      else if (kind === "link" && this.#world.disk.stat(this.#path(name))?.kind === "directory") {
        this.#world.log.warn(
          `${this.#path(name)} is a symbolic link and is not recovered as a channel: move the directory itself here`,
        );
      }
    }
    return names.sort();
  }

  #removeLeftover(path: string): void {
    try {
      this.#world.disk.remove(path);
    } catch (error) {
      this.#world.log.debug(`${path} stays: ${messageOf(error)}`);
    }
  }

  async #recoverChannels(
    context: RecoverContext,
    names: readonly string[],
  ): Promise<{ store: ChannelStore; subscriptions: readonly RecoveredSubscription[] }[]> {
    const { clock, scheduler, log } = this.#world;
    const startedMs = clock.monotonicMs();
    let yieldedMs = startedMs;
    let toldMs = startedMs;
    const channels: { store: ChannelStore; subscriptions: readonly RecoveredSubscription[] }[] = [];
    const directories = names.map((name) => this.#path(name));
    const prefetch = new Prefetch(this.#world.disk, directories, this.#options.parallelRecovery);
    for (const [i, text] of names.entries()) {
      const ready = prefetch.ready(i);
      if (ready !== undefined) await ready;
      const channel = this.#recoverChannel(context, byteStringOfText(text));
      channels.push({ store: channel, subscriptions: channel.subscriptions.recovered() });
      const nowMs = clock.monotonicMs();
      if (nowMs - yieldedMs < RECOVERY_STEP_MS) continue;
      await new Promise<void>((resume) => scheduler.endOfTurn(resume));
      yieldedMs = clock.monotonicMs();
      if (nowMs - toldMs < PROGRESS_MS) continue;
      toldMs = nowMs;
      const done = i + 1;
      const leftS = Math.ceil((nowMs - startedMs) / done * (names.length - done) / 1000);
      log.info(
        `Recovering: ${done} of ${names.length} channels (${Math.floor(done * 100 / names.length)} %), ` +
          `about ${leftS} s left`,
      );
    }
    return channels;
  }

  #recoverChannel(context: RecoverContext, name: string): FileChannel {
    const directory = this.#path(displayText(name));
    const messages = recoverMessages(context, name, directory);
    const { file, replay } = recoverSubscriptions(context, name, `${directory}/${SUBSCRIPTIONS_FILE}`);
    const names = new SyncedDirectory(this.#world.disk, directory, this.#root);
    names.changed();
    const channel = this.#addChannel(name, names, file, replay, messages);
    // stores.md 6.7: a position behind the last message would hide the next one from its subscription. Also where nothing was
    // cut: a power cut may end a file between two records.
    const last = messages.slices.at(-1)?.lastSequence ?? 0;
    for (const { id, lastSent } of channel.subscriptions.putBack(last)) {
      this.#world.log.warn(
        `Channel "${displayText(name)}": subscription ${id} had got messages up to ${lastSent}, ` +
          `the last one is ${last}: it goes on behind that`,
      );
    }
    return channel;
  }

  #addChannel(
    name: string,
    directory: SyncedDirectory,
    subscriptionFile: LogFile,
    replay: ReturnType<typeof recoverSubscriptions>["replay"] | undefined,
    recovered: RecoveredLog | undefined,
  ): FileChannel {
    const limits = this.#limits.forChannel(name);
    const archive = this.#options.sliceArchiveScript === ""
      ? undefined
      : (data: string, index: string) => this.#archive(name, data, index);
    const messages = new FileMessageLog(this.#shared, name, bytesOf(name), directory, limits, archive);
    if (recovered !== undefined) messages.adopt(recovered.slices, recovered.damaged, recovered.mark);
    const subscriptions = new FileSubscriptionLog(
      this.#shared,
      subscriptionFile,
      directory,
      limits.maxSubscriptions,
      () => this.#temporaryPath("subs"),
      replay,
    );
    const channel = new FileChannel(name, directory, messages, subscriptions);
    this.#channels.set(name, channel);
    return channel;
  }

  #temporaryPath(prefix: string): string {
    return this.#path(`${prefix}${this.#world.clock.monotonicMs().toFixed(0)}${++this.#temporaryCount}`);
  }

  // Server, clients and channels ---------------------------------------------------------------------------------------

  /** Written beside the old one, synced, and put in its place: a crash leaves one of the two. */
  init(record: ServerRecord): void {
    this.#mustBeOpen();
    const { disk } = this.#world;
    const path = this.#path(SERVER_FILE);
    const temporary = this.#path(`.${SERVER_FILE}.new`);
    try {
      if (!this.acquireLock()) throw new StoreError("STORE_LOCKED", "the store directory is in use by another server");
      const file = disk.open(temporary, "replace");
      try {
        const version = versionBytes();
        const bytes = encodeRecord(0, encodeServerInfo(record), this.#shared.crc);
        file.write(version, 0, version.length, 0);
        file.write(bytes, 0, bytes.length, version.length);
        file.syncNow();
      } finally {
        file.close();
      }
      disk.rename(temporary, path);
      this.#root.changed();
      // Registrations that are there stay: without a server record a second recovery follows (stores.md 1.2).
      if (this.#clients === undefined && disk.stat(this.#path(CLIENTS_FILE)) === undefined) this.#createClients();
    } catch (error) {
      throw toStoreError(error);
    }
  }

  createChannel(name: string): ChannelStore {
    this.#mustBeOpen();
    if (this.#channels.has(name)) {
      throw new StoreError("STORE_ALREADY_EXISTS", STORE_ERROR_TEXT.STORE_ALREADY_EXISTS);
    }
    if (this.#limits.maxChannels > 0 && this.#channels.size >= this.#limits.maxChannels) {
      throw new StoreError("STORE_TOO_MANY_CHANNELS", STORE_ERROR_TEXT.STORE_TOO_MANY_CHANNELS);
    }
    const { disk, log } = this.#world;
    const directory = this.#path(displayText(name));
    try {
      if (disk.stat(directory) !== undefined) this.#removeLeftovers(directory);
      disk.makeDirectory(directory);
      this.#root.changed();
      const file = LogFile.create(this.#pool, `${directory}/${SUBSCRIPTIONS_FILE}`);
      const names = new SyncedDirectory(disk, directory, this.#root);
      names.changed();
      this.#stillborn.delete(directory);
      return this.#addChannel(name, names, file, undefined, undefined);
    } catch (error) {
      log.error(`Cannot create channel "${displayText(name)}": ${messageOf(error)}`);
      this.#removeStillborn(directory);
      const reason = toStoreError(error);
      throw new StoreError(
        reason.code,
        reason.code === "STORE_DISK_FULL"
          ? reason.message
          : "stan: the channel cannot be created: its name is not possible on the disk of the store, or the disk refuses",
        { cause: error },
      );
    }
  }

  /** A directory without its channel would be an empty one after the next start. */
  #removeStillborn(directory: string): void {
    const { disk, log } = this.#world;
    this.#stillborn.delete(directory);
    try {
      if (disk.stat(directory)?.kind !== "directory") return;
      const file = `${directory}/${SUBSCRIPTIONS_FILE}`;
      if (disk.stat(file) !== undefined) disk.remove(file);
      disk.removeDirectory(directory);
    } catch (error) {
      log.debug(`${directory} stays: ${messageOf(error)}`);
      this.#stillborn.add(directory);
      this.#armTick();
    }
  }

  /** What a removal that failed left behind: the channel was deleted, so it begins anew. */
  #removeLeftovers(directory: string): void {
    const { disk } = this.#world;
    if (disk.stat(directory)?.kind !== "directory") throw new StoreError("STORE_IO", "a file has the channel's name");
    for (const { name, kind } of disk.list(directory)) if (kind === "file") disk.remove(`${directory}/${name}`);
  }

  channel(name: string): ChannelStore | undefined {
    return this.#channels.get(name);
  }

  deleteChannel(name: string): void {
    this.#mustBeOpen();
    const channel = this.#channels.get(name);
    if (channel === undefined) throw new StoreError("STORE_NOT_FOUND", STORE_ERROR_TEXT.STORE_NOT_FOUND);
    this.#channels.delete(name);
    const { messages, subscriptions } = channel;
    const directory = channel.directory.path;
    const slices = messages.slices.map(({ data, index }) => [index.path, data.path]);
    // They hold what is older still: left behind alone they would look like a log with a hole.
    const dead = messages.deadFiles;
    messages.retire("the channel was deleted");
    subscriptions.retire();
    this.#ticked.delete(messages);
    this.#ticked.delete(subscriptions);
    const { disk, log } = this.#world;
    try {
      // The newest slice, which carries the last sequence, goes behind everything else that matters: an interruption leaves
      // a channel that goes on counting, and that inactivity deletes again (stores.md 5.13).
      const newest = slices.pop() ?? [];
      for (const path of [...dead, ...slices.flat(), `${directory}/${SUBSCRIPTIONS_FILE}`, ...newest]) {
        if (disk.stat(path) !== undefined) disk.remove(path);
      }
      for (const entry of disk.list(directory)) disk.remove(`${directory}/${entry.name}`);
      disk.removeDirectory(directory);
    } catch (error) {
      log.error(
        `Channel "${displayText(name)}" is deleted, but not all of its files could be removed: ${messageOf(error)}. ` +
          `Remove ${directory} before the next start, or the channel comes back`,
      );
    }
    this.#root.changed();
  }

  addClient(record: ClientRecord): void {
    this.#mustBeOpen();
    this.#clients?.add(record);
  }

  deleteClient(id: string): void {
    this.#mustBeOpen();
    this.#clients?.delete(id);
  }

  flush(): Promise<void> | undefined {
    if (this.#isClosed) return undefined;
    const clients = this.#clients?.flush();
    const root = this.#options.sync ? this.#syncNames(this.#root) : undefined;
    if (clients !== undefined && root !== undefined) return Promise.all([clients, root]).then(() => undefined);
    return clients ?? root;
  }

  #syncNames(directory: SyncedDirectory): Promise<void> | undefined {
    return directory.sync()?.catch((error) => {
      throw toStoreError(error);
    });
  }

  // Background ---------------------------------------------------------------------------------------------------------

  #wantsTick(item: Ticked): void {
    this.#ticked.add(item);
    this.#armTick();
  }

  #armTick(): void {
    if (this.#isClosed) return;
    this.#timer ??= this.#world.scheduler.after(TICK_MS, this.#tick);
  }

  readonly #tick = (): void => {
    this.#timer = undefined;
    if (this.#isClosed) return;
    const nowMs = this.#world.clock.monotonicMs();
    const hasSpace = this.#checkSpace();
    for (const item of this.#ticked) {
      if (hasSpace && item instanceof FileMessageLog) item.tryResume();
      if (!item.tick(nowMs)) this.#ticked.delete(item);
    }
    this.#pool.closeIdle();
    for (const directory of [...this.#stillborn]) this.#removeStillborn(directory);
    if (this.#ticked.size > 0 || this.#stillborn.size > 0 || this.#pool.openCount > 0) this.#armTick();
  };

  /** False: publishes stay refused, because less than the reserve is left (decision 16). */
  #checkSpace(): boolean {
    const { reserveBytes, dir } = this.#options;
    if (reserveBytes === 0) return true;
    const { disk, log } = this.#world;
    let free: number;
    try {
      free = disk.freeBytes(dir);
    } catch (error) {
      log.debug(messageOf(error));
      return true;
    }
    if (free < reserveBytes && !this.#spaceIsShort) {
      this.#spaceIsShort = true;
      log.error(
        `Only ${free} bytes are free in "${dir}", fewer than the reserve of ${reserveBytes}: publishes are refused`,
      );
    } else if (this.#spaceIsShort && free >= reserveBytes * RESERVE_SLACK) {
      this.#spaceIsShort = false;
      log.info(`${free} bytes are free in "${dir}": publishes are taken again`);
    }
    if (this.#spaceIsShort) {
      const reason = "stan: not stored: too little space is left on the disk of the store, try again later";
      for (const { messages } of this.#channels.values()) messages.pause(reason);
    }
    return !this.#spaceIsShort;
  }

  /** stores.md 5.8 */
  #archive(channel: string, data: string, index: string): void {
    const { disk, log, runProgram } = this.#world;
    const script = this.#options.sliceArchiveScript;
    const backups = [`${data}.bak`, `${index}.bak`] as const;
    try {
      disk.rename(data, backups[0]);
      disk.rename(index, backups[1]);
    } catch (error) {
      log.error(`Cannot hand a slice to the archive script: ${messageOf(error)}. The slice is removed`);
      for (const path of [data, backups[0], index]) {
        try {
          if (disk.stat(path) !== undefined) disk.remove(path);
        } catch (failure) {
          log.error(messageOf(failure));
        }
      }
      return;
    }
    const name = displayText(channel);
    this.#scriptsUnderWay++;
    runProgram(script, [name, ...backups], (output, error) => {
      this.#scriptsUnderWay--;
      if (error === undefined) {
        log.info(`Output of archive script for ${name} (${backups[0]} and ${backups[1]}): ${output}`);
      } else {
        log.error(`Error invoking archive script "${script}": ${error} (output=${output})`);
      }
    });
  }

  // End ----------------------------------------------------------------------------------------------------------------

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.stop();
    for (const directory of [...this.#stillborn]) this.#removeStillborn(directory);
    await this.#settle();
    for (const { messages, subscriptions } of this.#channels.values()) {
      messages.close();
      subscriptions.close();
    }
    this.#clients?.close();
    // Whatever `sync` says: a clean stop leaves everything safe (stores.md 11.11).
    if (this.#lock !== undefined) {
      const all = [this.#root, ...[...this.#channels.values()].map(({ directory }) => directory)];
      // Also what was removed and need not be told otherwise: nothing comes back after a clean stop.
      for (const directory of all) directory.changed();
      for (const outcome of await Promise.allSettled(all.map((directory) => directory.sync()))) {
        if (outcome.status === "rejected") this.#world.log.error(`Closing: ${messageOf(outcome.reason)}`);
      }
    }
    while (this.#scriptsUnderWay > 0) {
      await new Promise<void>((resume) => void this.#world.scheduler.after(10, resume));
    }
    this.#channels.clear();
    this.#ticked.clear();
    this.#lock?.release();
    this.#lock = undefined;
  }

  /** What is staged becomes safe and what is under way ends; errors are told where they happen. */
  async #settle(): Promise<void> {
    const waits: (Promise<void> | undefined)[] = [];
    for (const { messages, subscriptions } of this.#channels.values()) {
      waits.push(messages.flush(), subscriptions.flush(), subscriptions.compactionEnded);
    }
    waits.push(this.#clients?.flush(), this.#clients?.compactionEnded);
    await Promise.allSettled(waits);
    const messages = [...this.#channels.values()].map((channel) => channel.messages);
    await Promise.allSettled(messages.filter(({ wantsFlush }) => wantsFlush).map((log) => log.flush()));
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new StoreError("STORE_CLOSED", "the store is closed");
  }
}

/** The directory that holds `path`. */
function parentOf(path: string): string {
  const at = path.replace(/\/+$/, "").lastIndexOf("/");
  return at < 0 ? "." : at === 0 ? "/" : path.slice(0, at);
}
