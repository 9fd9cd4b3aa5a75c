/** A disk whose calls a {@link Meter} counts. Behind it stands the simulated one; it calls back when it is told to. */
import type { Disk, DiskDone, DiskEntry, DiskFile, DiskLock, OpenMode, RuntimeError } from "../../src/runtime/types.ts";
import { SimulatedDisk } from "../simulation/disk.ts";
import { Machine } from "../simulation/machine.ts";
import { Random } from "../simulation/random.ts";
import type { DiskCosts, Meter } from "./cost_meter.ts";

/** Calls back in the order of asking, one at a time: without a clock, and without promises that would be counted. */
class DiskEvents extends Machine {
  #due: (() => void)[] = [];

  override after(_delayMs: number, work: () => void): { stop(): void } {
    this.#due.push(work);
    return { stop: () => this.#due = this.#due.filter((other) => other !== work) };
  }

  override forget(): void {
    this.#due = [];
  }

  next(): boolean {
    const work = this.#due.shift();
    work?.();
    return work !== undefined;
  }
}

/** Survives the servers that use it, one after the other. */
export class CountedDisk implements Disk {
  readonly #meter: Meter;
  readonly #events = new DiskEvents();
  readonly #disk = new SimulatedDisk(this.#events, new Random(1));
  /** Above what a test opens: else every figure would have the limit of descriptors in it. */
  readonly openFilesMax = 4096;

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  /** Ends what was asked for first of all that is under way. False: nothing is. */
  next(): boolean {
    return this.#meter.uncounted(() => this.#events.next());
  }

  /** The process is gone, and the next one begins. */
  restart(): void {
    this.#disk.kill();
    this.#disk.reboot();
  }

  /** What a store must never do, and did. */
  get misuses(): readonly string[] {
    return this.#disk.misuses;
  }

  #call<Result>(what: keyof DiskCosts, work: () => Result): Result {
    this.#meter.addDisk(what);
    return this.#meter.uncounted(work);
  }

  open(path: string, mode: OpenMode): DiskFile {
    return this.#call("open", () => new CountedFile(this.#meter, this.#disk.open(path, mode)));
  }

  list(path: string): readonly DiskEntry[] {
    return this.#call("list", () => this.#disk.list(path));
  }

  stat(path: string): { kind: DiskEntry["kind"]; sizeBytes: number; mode: number } | undefined {
    return this.#call("stat", () => this.#disk.stat(path));
  }

  makeDirectory(path: string): void {
    this.#call("makeDirectory", () => this.#disk.makeDirectory(path));
  }

  removeDirectory(path: string): void {
    this.#call("removeDirectory", () => this.#disk.removeDirectory(path));
  }

  remove(path: string): void {
    this.#call("remove", () => this.#disk.remove(path));
  }

  rename(from: string, to: string): void {
    this.#call("rename", () => this.#disk.rename(from, to));
  }

  changeMode(path: string, mode: number): void {
    this.#call("changeMode", () => this.#disk.changeMode(path, mode));
  }

  syncDirectory(path: string, done: DiskDone): void {
    this.#call("syncDirectory", () => this.#disk.syncDirectory(path, calledBack(this.#meter, done)));
  }

  freeBytes(path: string): number {
    return this.#call("freeBytes", () => this.#disk.freeBytes(path));
  }

  lock(path: string): DiskLock | undefined {
    return this.#call("lock", () => this.#disk.lock(path));
  }
}

class CountedFile implements DiskFile {
  readonly #meter: Meter;
  readonly #file: DiskFile;

  constructor(meter: Meter, file: DiskFile) {
    this.#meter = meter;
    this.#file = file;
  }

  #call<Result>(what: keyof DiskFile, work: () => Result): Result {
    this.#meter.addDisk(what);
    return this.#meter.uncounted(work);
  }

  sizeBytes(): number {
    return this.#call("sizeBytes", () => this.#file.sizeBytes());
  }

  read(into: Uint8Array, start: number, end: number, position: number): number {
    const count = this.#call("read", () => this.#file.read(into, start, end, position));
    this.#meter.addDisk("readBytes", count);
    return count;
  }

  readLater(
    into: Uint8Array,
    start: number,
    end: number,
    position: number,
    done: (error: RuntimeError | undefined, count: number) => void,
  ): void {
    const ended = (error: RuntimeError | undefined, count: number) =>
      this.#meter.counted(() => {
        this.#meter.addDisk("readBytes", count);
        done(error, count);
      });
    this.#call("readLater", () => this.#file.readLater(into, start, end, position, ended));
  }

  write(bytes: Uint8Array, start: number, end: number, position: number): void {
    this.#meter.addDisk("writtenBytes", end - start);
    this.#call("write", () => this.#file.write(bytes, start, end, position));
  }

  truncate(sizeBytes: number): void {
    this.#call("truncate", () => this.#file.truncate(sizeBytes));
  }

  sync(done: DiskDone): void {
    this.#call("sync", () => this.#file.sync(calledBack(this.#meter, done)));
  }

  syncNow(): void {
    this.#call("syncNow", () => this.#file.syncNow());
  }

  close(): void {
    this.#call("close", () => this.#file.close());
  }
}

/** From here on it is the product again. */
function calledBack(meter: Meter, done: DiskDone): DiskDone {
  return (error) => meter.counted(() => done(error));
}
