/**
 * The slices of one channel and their files (stores.md 5.4): which there are, which have something to write or to sync, and
 * whose files are to go. What is in them, what of it counts and when it is safe is the business of the message log.
 */
import type { SyncedDirectory } from "./directory.ts";
import { sliceNames } from "./format.ts";
import { LogFile } from "./log_file.ts";
import { type FileStoreShared, messageOf, removeFiles, STAGED_BYTES_MAX, type Ticked } from "./shared.ts";
import { Slice } from "./slice.ts";

/** What {@link ChannelSlices.empty} removes (stores.md 5.15). */
const SLICE_FILE = /^msgs\..*\..*$/;

/** For the message log of the channel, which tells it what counts; nobody else opens, cuts or removes these files. */
export class ChannelSlices {
  readonly #shared: FileStoreShared;
  readonly #name: string;
  readonly #owner: Ticked;
  readonly directory: SyncedDirectory;
  /** Ascending. */
  #list: Slice[] = [];
  /** The last one, which takes appends; a field, because every message asks for it. */
  newest: Slice | undefined = undefined;
  /** Those with something to write or to sync. */
  #dirty: Slice[] = [];
  /** Files of slices that were taken back and could not be removed. */
  #leftovers: string[] = [];
  /** Files of slices that hold nothing any more. */
  #dead: string[] = [];

  /** `owner` gets a tick when a slice has become dirty. */
  constructor(shared: FileStoreShared, name: string, directory: SyncedDirectory, owner: Ticked) {
    this.#shared = shared;
    this.#name = name;
    this.directory = directory;
    this.#owner = owner;
  }

  get list(): readonly Slice[] {
    return this.#list;
  }

  get isDirty(): boolean {
    return this.#dirty.length > 0;
  }

  /** Everything that was written is as safe as a sync makes it. */
  get isSynced(): boolean {
    return this.#list.every(({ data, index }) => data.isSynced && index.isSynced);
  }

  get hasLeftovers(): boolean {
    return this.#leftovers.length > 0;
  }

  /** Files that hold nothing any more and are still there, the oldest first. */
  get deadFiles(): readonly string[] {
    return [...this.#dead];
  }

  /** Takes over what was found on disk, ascending. */
  adopt(slices: Slice[]): void {
    this.#list = slices;
    this.newest = slices[slices.length - 1];
  }

  /** What was not synced when the process before this one ended is at the end, and no more than may be staged. */
  distrust(): void {
    let bytes = 0;
    for (let i = this.#list.length - 1; i >= 0 && bytes <= STAGED_BYTES_MAX; i--) {
      const slice = this.#list[i]!;
      slice.data.distrust();
      slice.index.distrust();
      this.#dirty.push(slice);
      bytes += slice.bytes;
    }
  }

  // Finding ------------------------------------------------------------------------------------------------------------

  /** Place in `list` of the first slice whose last sequence is at or above `sequence`. */
  placeOf(sequence: number): number {
    const slices = this.#list;
    let low = 0;
    let high = slices.length;
    // One that has nothing yet is behind all others.
    if (high > 0 && slices[high - 1]!.recordCount === 0) high--;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (slices[middle]!.lastSequence < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** That slice itself; one without records, or undefined, where all end before. */
  at(sequence: number): Slice | undefined {
    return this.#list[this.placeOf(sequence)];
  }

  /** The slice that has a record of `sequence`; undefined: it is in a gap. */
  holding(sequence: number): Slice | undefined {
    const slice = this.at(sequence);
    const run = slice?.runAt(sequence);
    return run !== undefined && run.firstSequence <= sequence ? slice : undefined;
  }

  // Writing ------------------------------------------------------------------------------------------------------------

  /** Opens the next slice. Throws what the disk refuses; then there is nothing of it. */
  roll(): Slice {
    const { pool } = this.#shared;
    const number = (this.newest?.number ?? 0) + 1;
    const names = sliceNames(number);
    const dataPath = `${this.directory.path}/${names.data}`;
    const indexPath = `${this.directory.path}/${names.index}`;
    let index: LogFile | undefined;
    try {
      // What lies there under these names has no messages that count (traps 6 and 35). An index without its data is emptied
      // first: it must never say more than the data.
      index = LogFile.create(pool, indexPath);
      const data = LogFile.create(pool, dataPath);
      const slice = new Slice(number, data, index);
      this.#list.push(slice);
      this.newest = slice;
      this.#leftovers = this.#leftovers.filter((path) => path !== dataPath && path !== indexPath);
      this.directory.changed();
      this.markDirty(slice);
      return slice;
    } catch (error) {
      index?.retire();
      // A file without a version would stop a start of the reference.
      this.#leftovers.push(indexPath, dataPath);
      this.#leftovers = this.#remove(this.#leftovers);
      throw error;
    }
  }

  /**
   * The newest slice, which has no message yet, as if it had never been made. While that leaves leftovers nothing may be
   * stored: the next slice takes their name.
   */
  unroll(): void {
    const slice = this.#pop();
    this.#dirty = this.#dirty.filter((other) => other !== slice);
    this.#leftovers = this.#remove(this.#leftovers);
  }

  #pop(): Slice {
    const slice = this.#list.pop()!; // The caller has seen it.
    this.newest = this.#list[this.#list.length - 1];
    slice.data.retire();
    slice.index.retire();
    this.#leftovers.push(slice.index.path, slice.data.path);
    return slice;
  }

  markDirty(slice: Slice): void {
    if (!this.#dirty.includes(slice)) this.#dirty.push(slice);
    this.#shared.wantsTick(this.#owner);
  }

  writeIndexes(): void {
    for (const slice of this.#dirty) slice.writeIndex();
  }

  /** Adds the syncs of all that is dirty to `waits`; from here on it is theirs. */
  sync(waits: Promise<unknown>[]): void {
    for (const slice of this.#dirty) {
      const data = slice.data.sync();
      const index = slice.index.sync();
      if (data !== undefined) waits.push(data);
      if (index !== undefined) waits.push(index);
    }
    this.#dirty.length = 0;
    const names = this.directory.sync();
    if (names !== undefined) waits.push(names);
  }

  /** What is written is safe enough, as the options say. */
  skipSync(): void {
    this.#dirty.length = 0;
  }

  /** From time to time, where nobody waits for a sync. */
  autoSync(): void {
    for (const slice of this.#list) {
      for (const file of [slice.data, slice.index]) {
        file.sync()?.catch((error) => this.#shared.log.error(`Automatic sync failed: ${messageOf(error)}`));
      }
    }
  }

  /** Blocking. */
  syncNow(): void {
    for (const slice of this.#list) {
      slice.data.syncNow();
      slice.index.syncNow();
    }
  }

  // Taking back --------------------------------------------------------------------------------------------------------

  /** Slices behind number `sliceNumber` as if they had never been. */
  takeBack(sliceNumber: number): void {
    while (this.newest !== undefined && this.newest.number > sliceNumber) this.#pop();
    this.removeLeftovers();
  }

  /** What was safe before and what a failed sync was to keep: the next flush has to see to all of it. */
  markUnsynced(): void {
    this.#dirty = this.#list.filter(({ data, index }) => !data.isSynced || !index.isSynced);
  }

  /** Cuts off what was written behind the newest slice's end. Throws what the disk refuses. */
  cut(): void {
    const slice = this.newest;
    slice?.index.truncate(slice.index.size);
    slice?.data.truncate(slice.data.size);
    // Also if nothing is ever written to this slice again: what was cut off must not come back in front of the next one.
    if (slice !== undefined) this.markDirty(slice);
  }

  /** Files of slices that were taken back. Their names must not come back beside those that follow. */
  removeLeftovers(): void {
    if (this.#leftovers.length === 0) return;
    this.#leftovers = this.#remove(this.#leftovers);
    this.directory.changed();
  }

  // Removing -----------------------------------------------------------------------------------------------------------

  /** Lets go of the oldest slice. Its files stay. */
  retireOldest(): Slice {
    const slice = this.#list.shift()!; // The caller has seen that there is another one.
    slice.data.retire();
    slice.index.retire();
    this.#dirty = this.#dirty.filter((other) => other !== slice);
    return slice;
  }

  /** The files of a slice that was let go are to go. */
  bury({ data, index }: Slice): void {
    // The index first: a data file without one is rebuilt, an index without data would be a riddle.
    this.#dead.push(index.path, data.path);
  }

  /** Removes dead files; false: some are left. */
  removeDead(): boolean {
    this.#dead = this.#remove(this.#dead);
    return this.#dead.length === 0;
  }

  /** One try at the end, for those that could not be removed before. */
  removeLast(): void {
    this.#remove(this.#leftovers);
    this.#remove(this.#dead);
  }

  #remove(paths: readonly string[]): string[] {
    return removeFiles(this.#shared, this.#name, paths);
  }

  /** Removes every slice, and every file that looks like one. Throws when the directory cannot be read. */
  empty(): void {
    const { disk, log } = this.#shared;
    this.#retireFiles();
    const names = disk.list(this.directory.path).filter(({ name, kind }) => kind === "file" && SLICE_FILE.test(name));
    for (const path of this.#remove(names.map(({ name }) => `${this.directory.path}/${name}`))) {
      log.error(`${path} holds messages that were removed and cannot be removed itself`);
    }
    this.#leftovers = [];
    this.#dead = [];
    this.#list = [];
    this.newest = undefined;
  }

  /** Gives all of them up without another write. Dead files stay known: whoever deletes the channel takes them along. */
  retire(): void {
    this.#retireFiles();
    this.#list = [];
    this.newest = undefined;
  }

  #retireFiles(): void {
    this.#dirty = [];
    for (const slice of this.#list) {
      slice.data.retire();
      slice.index.retire();
    }
  }
}
