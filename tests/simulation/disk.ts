/**
 * A disk that does to a store what disks do: it keeps unsynced writes or loses them, tears them at any byte, orders them as it
 * likes, forgets names that were not synced, fills up, fails a sync and lies about the next one. Everything from one seed.
 *
 *   file       durable image + unsynced writes and cuts; what the process reads is all of them
 *   directory  durable names + unsynced creations, removals and renames
 *   power cut  any of what is unsynced stays, torn or as zeros; the rest is as if it had never been
 *   kill       everything stays as the process left it, and is no safer than before
 */
import {
  type Disk,
  type DiskDone,
  type DiskEntry,
  type DiskFile,
  type DiskLock,
  type OpenMode,
  RuntimeError,
} from "../../src/runtime/types.ts";
import type { Machine } from "./machine.ts";
import type { Random } from "./random.ts";

/** What happens how often, in percent of the calls. May be changed at any time. */
export interface DiskWeather {
  /** Milliseconds a sync takes at most; one in four takes that long at most, the others none. */
  slowSyncMs: number;
  syncErrors: number;
  writeErrors: number;
  readErrors: number;
  /** Creating, removing, renaming. */
  nameErrors: number;
}

export const CALM: Readonly<DiskWeather> = Object.freeze({
  slowSyncMs: 0,
  syncErrors: 0,
  writeErrors: 0,
  readErrors: 0,
  nameErrors: 0,
});

type Change = { readonly kind: "write"; readonly at: number; readonly bytes: Uint8Array } | {
  readonly kind: "cut";
  readonly size: number;
};

/** Bytes that grow. */
class Image {
  #bytes: Uint8Array;
  size: number;

  constructor(bytes: Uint8Array = new Uint8Array(64), size = 0) {
    this.#bytes = bytes;
    this.size = size;
  }

  write(at: number, bytes: Uint8Array): void {
    const end = at + bytes.length;
    if (end > this.#bytes.length) {
      const longer = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      longer.set(this.#bytes.subarray(0, this.size));
      this.#bytes = longer;
    }
    this.#bytes.set(bytes, at);
    if (end > this.size) this.size = end;
  }

  cut(size: number): void {
    if (size > this.size) this.write(this.size, new Uint8Array(size - this.size));
    else this.#bytes.fill(0, size, this.size);
    this.size = size;
  }

  apply(change: Change): void {
    if (change.kind === "write") this.write(change.at, change.bytes);
    else this.cut(change.size);
  }

  slice(start: number, end: number): Uint8Array {
    return this.#bytes.slice(start, Math.min(end, this.size));
  }

  copy(): Image {
    return new Image(this.#bytes.slice(), this.size);
  }
}

class FileNode {
  readonly kind = "file";
  /** What a process reads. */
  current = new Image();
  durable = new Image();
  /** In the order they were made; the first ones may be on their way to the medium. */
  unsynced: Change[] = [];
  /** Names it has; without one its bytes are free again. */
  links = 0;
  mode = 0o644;
  /** A sync failed and took changes with it that a process still reads. */
  hasLost = false;
  constructor(readonly number: number) {}
}

type Node = FileNode | DirectoryNode;

/** Several names at once: a rename within one directory is whole or not at all. */
type NameChange = readonly { readonly name: string; readonly node: Node | undefined }[];

class DirectoryNode {
  readonly kind = "directory";
  current = new Map<string, Node>();
  durable = new Map<string, Node>();
  unsynced: NameChange[] = [];
  mode = 0o755;
  constructor(readonly number: number) {}
}

function apply(names: Map<string, Node>, change: NameChange): void {
  for (const { name, node } of change) {
    if (node === undefined) names.delete(name);
    else names.set(name, node);
  }
}

export class SimulatedDisk implements Disk {
  openFilesMax = 64;
  /** All files together may have this many bytes. */
  capacityBytes = 1 << 30;
  readonly weather: DiskWeather = { ...CALM };
  /** The process dies in front of the call that brings it to 0. */
  callsLeft = Infinity;
  /** Every call fails and nothing is called back: the process is gone. Cleared by `reboot`. */
  isDead = false;
  /** While true no sync ends: they wait for `releaseSyncs`. */
  holdsSyncs = false;
  /** Told of the new path. */
  renamed: (path: string) => void = () => {};
  /** What a store must never do. */
  readonly misuses: string[] = [];
  /** Changes what calls do: for planted defects. */
  tap: { file?: (path: string, file: DiskFile) => DiskFile; isDirectorySyncSkipped?: boolean } = {};
  readonly #machine: Machine;
  readonly #random: Random;
  readonly #root = new DirectoryNode(0);
  #nodes = 0;
  #usedBytes = 0;
  #openCount = 0;
  #life = 0;
  #locked = new Set<string>();
  #held: (() => void)[] = [];
  #hash = 0x811c9dc5;

  constructor(machine: Machine, random: Random) {
    this.#machine = machine;
    this.#random = random;
  }

  /** Of every call and its outcome. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }

  get openCount(): number {
    return this.#openCount;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Adds to the hash. */
  note(...numbers: number[]): void {
    for (const number of numbers) this.#hash = Math.imul(this.#hash ^ (number | 0), 0x01000193);
  }

  // Calls --------------------------------------------------------------------------------------------------------------

  /** Every call begins here: it may be the one that is never made. */
  call(kind: number, node: number, at = 0, length = 0): void {
    if (!this.isDead && --this.callsLeft <= 0) this.isDead = true;
    if (this.isDead) throw new RuntimeError("OTHER", "the process is gone");
    this.note(kind, node, at, length);
  }

  fail(what: string, path: string, percent: number): void {
    if (percent === 0 || !this.#random.chance(percent)) return;
    this.note(77);
    throw new RuntimeError("OTHER", `Cannot ${what} "${path}": EIO`);
  }

  open(path: string, mode: OpenMode): DiskFile {
    this.call(1, mode.length);
    // An existing file is opened in order to read or write it; what fails then is told by those percentages.
    this.fail("open", path, mode === "read" || mode === "update" ? this.weather.readErrors : this.weather.nameErrors);
    const [directory, name] = this.#parent(path);
    let node = directory.current.get(name);
    if (node === undefined) {
      if (mode === "read" || mode === "update") throw new RuntimeError("NOT_FOUND", `Cannot open "${path}": ENOENT`);
      if (this.#usedBytes >= this.capacityBytes) throw noSpace("open", path);
      node = new FileNode(++this.#nodes);
      this.#link(directory, [{ name, node }]);
    } else if (node.kind !== "file") throw new RuntimeError("OTHER", `Cannot open "${path}": EISDIR`);
    else if (mode === "replace" && node.current.size > 0) this.changed(node, { kind: "cut", size: 0 });
    this.#openCount++;
    const file = new SimulatedFile(this, path, node, this.#life);
    return this.tap.file?.(path, file) ?? file;
  }

  closed(life: number): void {
    if (life === this.#life) this.#openCount--;
  }

  isAlive(life: number): boolean {
    return life === this.#life && !this.isDead;
  }

  changed(node: FileNode, change: Change): void {
    const before = node.current.size;
    node.current.apply(change);
    if (node.links > 0) this.#usedBytes += node.current.size - before;
    node.unsynced.push(change);
  }

  /** Bytes of `wanted` more that fit; the disk is full behind them. */
  room(node: FileNode, end: number): number {
    return Math.min(end, Math.max(node.current.size, node.current.size + this.capacityBytes - this.#usedBytes));
  }

  list(path: string): readonly DiskEntry[] {
    this.call(2, 0);
    this.fail("list", path, this.weather.readErrors);
    return [...this.#directory(path).current].map(([name, { kind }]) => ({ name, kind }));
  }

  stat(path: string): { kind: DiskEntry["kind"]; sizeBytes: number; mode: number } | undefined {
    this.call(3, 0);
    const node = this.#find(path);
    if (node === undefined) return undefined;
    return { kind: node.kind, sizeBytes: node.kind === "file" ? node.current.size : 0, mode: node.mode };
  }

  makeDirectory(path: string): void {
    this.call(4, 0);
    let at = this.#root;
    for (const name of path.split("/").filter((part) => part !== "")) {
      let next = at.current.get(name);
      if (next === undefined) {
        if (this.#usedBytes >= this.capacityBytes) throw noSpace("make directory", path);
        next = new DirectoryNode(++this.#nodes);
        this.#link(at, [{ name, node: next }]);
      }
      if (next.kind !== "directory") throw new RuntimeError("ALREADY_EXISTS", `Cannot make directory "${path}"`);
      at = next;
    }
  }

  removeDirectory(path: string): void {
    this.call(5, 0);
    this.fail("remove directory", path, this.weather.nameErrors);
    if (this.#directory(path).current.size > 0) throw new RuntimeError("OTHER", `Cannot remove "${path}": ENOTEMPTY`);
    const [directory, name] = this.#parent(path);
    this.#link(directory, [{ name, node: undefined }]);
  }

  remove(path: string): void {
    this.call(6, 0);
    this.fail("remove", path, this.weather.nameErrors);
    const [directory, name] = this.#parent(path);
    if (directory.current.get(name)?.kind !== "file") throw new RuntimeError("NOT_FOUND", `Cannot remove "${path}"`);
    this.#link(directory, [{ name, node: undefined }]);
  }

  rename(from: string, to: string): void {
    this.call(7, 0);
    this.fail("rename", from, this.weather.nameErrors);
    const [source, oldName] = this.#parent(from);
    const [target, newName] = this.#parent(to);
    const node = source.current.get(oldName);
    if (node === undefined) throw new RuntimeError("NOT_FOUND", `Cannot rename "${from}"`);
    const gone = { name: oldName, node: undefined };
    this.renamed(to);
    if (source === target) return this.#link(source, [gone, { name: newName, node }]);
    this.#link(target, [{ name: newName, node }]);
    this.#link(source, [gone]);
  }

  changeMode(path: string, mode: number): void {
    this.call(8, mode);
    const node = this.#find(path);
    if (node !== undefined) node.mode = mode;
  }

  syncDirectory(path: string, done: DiskDone): void {
    this.call(9, 0);
    const directory = this.#directory(path);
    const count = directory.unsynced.length;
    const changes = directory.unsynced.slice(0, count);
    this.later(done, () => {
      if (this.weather.syncErrors > 0 && this.#random.chance(this.weather.syncErrors)) {
        return new RuntimeError("OTHER", `Cannot sync directory "${path}": EIO`);
      }
      if (this.tap.isDirectorySyncSkipped === true) return undefined;
      // Another sync may have taken some of them along.
      const open = changes.filter((change) => directory.unsynced.includes(change));
      for (const change of open) apply(directory.durable, change);
      directory.unsynced = directory.unsynced.filter((change) => !open.includes(change));
      return undefined;
    });
  }

  freeBytes(_path: string): number {
    this.call(10, 0);
    return Math.max(0, this.capacityBytes - this.#usedBytes);
  }

  lock(path: string): DiskLock | undefined {
    this.call(11, 0);
    if (this.#locked.has(path)) return undefined;
    this.open(path, "create").close();
    this.#locked.add(path);
    return { release: () => void this.#locked.delete(path) };
  }

  /** Calls back after the time that a sync takes, unless the process is gone by then. */
  later(done: DiskDone, outcome: () => RuntimeError | undefined): void {
    const { slowSyncMs } = this.weather;
    const life = this.#life;
    const end = () => {
      if (!this.isAlive(life)) return;
      if (this.holdsSyncs) return void this.#held.push(end);
      const error = outcome();
      this.note(20, error === undefined ? 0 : 1);
      done(error);
    };
    this.#machine.after(slowSyncMs > 0 && this.#random.chance(25) ? this.#random.between(1, slowSyncMs) : 0, end);
  }

  /** A read off the event loop. */
  readLater(done: () => void): void {
    const life = this.#life;
    this.#machine.after(this.#random.below(3), () => {
      if (this.isAlive(life)) done();
    });
  }

  releaseSyncs(): void {
    this.holdsSyncs = false;
    const held = this.#held;
    this.#held = [];
    for (const end of held) this.#machine.after(0, end);
  }

  get heldSyncCount(): number {
    return this.#held.length;
  }

  /** A sync of a file: what was changed before it began becomes durable, or not. */
  sync(node: FileNode, path: string, changes: readonly Change[]): RuntimeError | undefined {
    const random = this.#random;
    const open = changes.filter((change) => node.unsynced.includes(change));
    if (this.weather.syncErrors > 0 && random.chance(this.weather.syncErrors)) {
      // The system may have written some of it, and it may never try again to write the rest.
      const isGone = random.chance(50);
      for (const change of open) {
        if (random.chance(30)) node.durable.apply(change);
        else if (!isGone) continue;
        node.unsynced.splice(node.unsynced.indexOf(change), 1);
      }
      node.hasLost ||= isGone;
      if (isGone && random.chance(50)) {
        // And it may have thrown its copies away: reads see the medium.
        const before = node.current.size;
        node.current = node.durable.copy();
        for (const change of node.unsynced) node.current.apply(change);
        if (node.links > 0) this.#usedBytes += node.current.size - before;
      }
      return new RuntimeError("OTHER", `Cannot sync "${path}": EIO`);
    }
    for (const change of open) node.durable.apply(change);
    if (open.length === node.unsynced.length) node.unsynced = [];
    else node.unsynced = node.unsynced.filter((change) => !open.includes(change));
    return undefined;
  }

  // Names --------------------------------------------------------------------------------------------------------------

  #find(path: string): Node | undefined {
    let at: Node = this.#root;
    for (const name of path.split("/")) {
      if (name === "") continue;
      if (at.kind !== "directory") return undefined;
      const next: Node | undefined = at.current.get(name);
      if (next === undefined) return undefined;
      at = next;
    }
    return at;
  }

  #directory(path: string): DirectoryNode {
    const node = this.#find(path);
    if (node?.kind !== "directory") throw new RuntimeError("NOT_FOUND", `Cannot look into "${path}": ENOENT`);
    return node;
  }

  #parent(path: string): [DirectoryNode, string] {
    const at = path.lastIndexOf("/");
    return [this.#directory(path.slice(0, Math.max(0, at))), path.slice(at + 1)];
  }

  #link(directory: DirectoryNode, change: NameChange): void {
    for (const { name, node } of change) {
      this.#count(directory.current.get(name), -1);
      this.#count(node, 1);
      if (node === undefined) directory.current.delete(name);
      else directory.current.set(name, node);
    }
    directory.unsynced.push(change);
  }

  #count(node: Node | undefined, by: number): void {
    if (node?.kind !== "file") return;
    const before = node.links;
    node.links += by;
    if (before === 0 && node.links === 1) this.#usedBytes += node.current.size;
    else if (node.links === 0) this.#usedBytes -= node.current.size;
  }

  // Ends ---------------------------------------------------------------------------------------------------------------

  /**
   * The process ends, whatever it is at. What it wrote stays, as safe or unsafe as it is. What a failed sync has lost is lost
   * for everybody: a system that went on showing it from its memory, and never wrote it, could not be helped.
   */
  kill(): void {
    this.isDead = true;
    this.#machine.forget();
    const files = new Set<FileNode>();
    this.#collect(this.#root, files, new Set());
    for (const file of files) {
      if (!file.hasLost) continue;
      file.hasLost = false;
      const before = file.current.size;
      file.current = file.durable.copy();
      for (const change of file.unsynced) file.current.apply(change);
      if (file.links > 0) this.#usedBytes += file.current.size - before;
    }
  }

  /** The power fails: of what was not synced, anything may be there afterwards. */
  cutPower(): void {
    this.kill();
    const random = this.#random;
    // How much this cut leaves: nothing, everything up to a point, or anything.
    const habit = random.pick(["none", "most", "any", "any"] as const);
    const keep = { none: 0, most: 85, any: random.between(10, 90) }[habit];
    const files = new Set<FileNode>();
    this.#collect(this.#root, files, new Set());
    this.#cutNames(this.#root, keep, new Set());
    for (const file of [...files].sort((a, b) => a.number - b.number)) this.#cutFile(file, keep);
    this.#recount();
  }

  #collect(directory: DirectoryNode, files: Set<FileNode>, seen: Set<DirectoryNode>): void {
    if (seen.has(directory)) return;
    seen.add(directory);
    const names = [directory.current, directory.durable];
    for (const change of directory.unsynced) {
      for (const { node } of change) {
        if (node?.kind === "file") files.add(node);
        else if (node !== undefined) this.#collect(node, files, seen);
      }
    }
    for (const map of names) {
      for (const node of map.values()) {
        if (node.kind === "file") files.add(node);
        else this.#collect(node, files, seen);
      }
    }
  }

  #cutNames(directory: DirectoryNode, keep: number, seen: Set<DirectoryNode>): void {
    if (seen.has(directory)) return;
    seen.add(directory);
    for (const change of directory.unsynced) if (this.#random.chance(keep)) apply(directory.durable, change);
    directory.unsynced = [];
    directory.current = new Map(directory.durable);
    for (const node of directory.current.values()) if (node.kind === "directory") this.#cutNames(node, keep, seen);
  }

  #cutFile(file: FileNode, keep: number): void {
    const random = this.#random;
    for (const change of file.unsynced) {
      if (change.kind === "cut") {
        if (random.chance(keep)) file.durable.apply(change);
        continue;
      }
      const { at, bytes } = change;
      const fate = random.below(100);
      if (fate < keep) file.durable.write(at, bytes);
      else if (fate < keep + (100 - keep) / 3) {
        const length = random.between(0, bytes.length);
        file.durable.write(at, bytes.subarray(0, length));
        // The length of the file may have arrived, and its bytes not.
        if (random.chance(40)) file.durable.write(at + length, new Uint8Array(bytes.length - length));
      }
    }
    file.unsynced = [];
    file.current = file.durable.copy();
  }

  #recount(): void {
    const files = new Set<FileNode>();
    this.#collect(this.#root, files, new Set());
    this.#usedBytes = 0;
    for (const file of files) {
      file.links = 1;
      this.#usedBytes += file.current.size;
    }
  }

  /** A new process: nothing is open, locked or planned. */
  reboot(): void {
    this.isDead = false;
    this.callsLeft = Infinity;
    this.#life++;
    this.#openCount = 0;
    this.#locked = new Set();
    this.#held = [];
    this.holdsSyncs = false;
    Object.assign(this.weather, CALM);
  }

  // For tests and validators -------------------------------------------------------------------------------------------

  /** Names in a directory, as a process sees them; nothing when there is none. */
  namesIn(path: string): { readonly name: string; readonly kind: "file" | "directory" }[] {
    const node = this.#find(path);
    if (node?.kind !== "directory") return [];
    return [...node.current].map(([name, { kind }]) => ({ name, kind }) as const).sort((a, b) =>
      a.name < b.name ? -1 : 1
    );
  }

  /** The content of a file, as a process sees it. */
  contentOf(path: string): Uint8Array | undefined {
    const node = this.#find(path);
    return node?.kind === "file" ? node.current.slice(0, node.current.size) : undefined;
  }
}

function noSpace(what: string, path: string): RuntimeError {
  return new RuntimeError("NO_SPACE", `Cannot ${what} "${path}": ENOSPC`);
}

class SimulatedFile implements DiskFile {
  readonly #disk: SimulatedDisk;
  readonly #path: string;
  readonly #node: FileNode;
  readonly #life: number;
  #isOpen = true;
  #underWay = 0;

  constructor(disk: SimulatedDisk, path: string, node: FileNode, life: number) {
    this.#disk = disk;
    this.#path = path;
    this.#node = node;
    this.#life = life;
  }

  #call(kind: number, at = 0, length = 0): void {
    if (!this.#isOpen) this.#disk.misuses.push(`${this.#path} is used after it was closed`);
    if (!this.#disk.isAlive(this.#life)) throw new RuntimeError("OTHER", "the process is gone");
    this.#disk.call(kind, this.#node.number, at, length);
  }

  sizeBytes(): number {
    this.#call(30);
    return this.#node.current.size;
  }

  read(into: Uint8Array, start: number, end: number, position: number): number {
    this.#call(31, position, end - start);
    this.#disk.fail("read", this.#path, this.#disk.weather.readErrors);
    return this.#copy(into, start, end, position);
  }

  #copy(into: Uint8Array, start: number, end: number, position: number): number {
    const bytes = this.#node.current.slice(position, position + end - start);
    into.set(bytes, start);
    return bytes.length;
  }

  readLater(
    into: Uint8Array,
    start: number,
    end: number,
    position: number,
    done: (error: RuntimeError | undefined, count: number) => void,
  ): void {
    this.#call(32, position, end - start);
    this.#underWay++;
    this.#disk.readLater(() => {
      this.#underWay--;
      let error: RuntimeError | undefined;
      try {
        this.#disk.fail("read", this.#path, this.#disk.weather.readErrors);
      } catch (caught) {
        error = caught as RuntimeError;
      }
      done(error, error === undefined ? this.#copy(into, start, end, position) : 0);
    });
  }

  write(bytes: Uint8Array, start: number, end: number, position: number): void {
    this.#call(33, position, end - start);
    const disk = this.#disk;
    const room = disk.room(this.#node, position + end - start) - position;
    const isFull = room < end - start;
    let error: RuntimeError | undefined = isFull ? noSpace("write", this.#path) : undefined;
    let taken = Math.max(0, Math.min(room, end - start));
    try {
      disk.fail("write", this.#path, disk.weather.writeErrors);
    } catch (caught) {
      error = caught as RuntimeError;
      taken >>= 1;
    }
    if (taken > 0) {
      disk.changed(this.#node, { kind: "write", at: position, bytes: bytes.slice(start, start + taken) });
    }
    if (error !== undefined) throw error;
  }

  truncate(sizeBytes: number): void {
    this.#call(34, sizeBytes);
    this.#disk.fail("cut", this.#path, this.#disk.weather.writeErrors);
    this.#disk.changed(this.#node, { kind: "cut", size: sizeBytes });
  }

  sync(done: DiskDone): void {
    this.#call(35);
    this.#underWay++;
    const changes = [...this.#node.unsynced];
    this.#disk.later((error) => {
      this.#underWay--;
      done(error);
    }, () => this.#disk.sync(this.#node, this.#path, changes));
  }

  syncNow(): void {
    this.#call(36);
    const error = this.#disk.sync(this.#node, this.#path, [...this.#node.unsynced]);
    if (error !== undefined) throw error;
  }

  close(): void {
    if (!this.#disk.isAlive(this.#life)) return;
    if (!this.#isOpen) this.#disk.misuses.push(`${this.#path} is closed twice`);
    if (this.#underWay > 0) this.#disk.misuses.push(`${this.#path} is closed while a call is under way`);
    this.#isOpen = false;
    this.#disk.closed(this.#life);
  }
}
