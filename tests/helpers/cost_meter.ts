/**
 * Counts what the product does to the machine: copies, arrays, views, promises, clock readings, calls of the disk. The figures
 * are the same on both runtimes, on every machine and however busy it is, so a test may record them.
 *
 * What the language hands out is counted where it is made: on globals and prototypes, which all code of a process shares. So
 * there is one meter at a time, it counts between two moments only, and what the test itself does is left out.
 */
import assert from "node:assert/strict";
import { installBulkCopy, installRangeText, rangeTextByUnits } from "../../src/base/bytes.ts";
import { pickRuntime } from "../../src/runtime/pick.ts";
import type { Disk, DiskFile } from "../../src/runtime/types.ts";

/** What can be counted besides calls of the disk. */
export interface Costs {
  /** By `copyRange`, and how many bytes that were. */
  copies: number;
  copiedBytes: number;
  /** `subarray` of any typed array, and every DataView. */
  views: number;
  /** Typed arrays, `slice` included. */
  arrays: number;
  strings: number;
  /** `new Promise`, its static functions, and one for each `then` or `catch`; not those of async functions. */
  promises: number;
  /** Both clocks. */
  clockReads: number;
  /** Turns that were asked for. */
  turns: number;
  timers: number;
  /** Of sockets. */
  flushes: number;
}

/** Calls of the disk and of its files by name, and the bytes they carried. What never happened is absent. */
export type DiskCosts = Partial<
  Record<Exclude<keyof Disk, "openFilesMax"> | keyof DiskFile | "writtenBytes" | "readBytes", number>
>;

/** The functions that all typed arrays share. */
const TYPED_ARRAY: object = Object.getPrototypeOf(Uint8Array.prototype);

/** The one that code meets by name may be a meter's. */
const PlainPromise = Promise;

/** Everything that was called back, and every promise behind it, is over. Nothing of this is counted. */
export function allCalledBack(): Promise<void> {
  return new PlainPromise((resume) => setImmediate(resume));
}

/** Counts from when a count begins to when it ends, from `install` to `restore` at most. */
export class Meter {
  #costs: Costs = zero();
  #disk: DiskCosts = {};
  #isOn = false;
  #isPaused = false;
  readonly #undo: (() => void)[] = [];

  /** Puts itself where things are made. `restore` must follow. */
  install(): void {
    installBulkCopy((target, position, source, start, end) => {
      this.add("copies");
      this.add("copiedBytes", end - start);
      for (let i = start; i < end; i++) target[position + i - start] = source[i]!;
    }, -1);
    // Other test files of this process may have installed what no wrapper sees.
    installRangeText(rangeTextByUnits);
    this.#wrap(TYPED_ARRAY, "subarray", "views");
    this.#wrap(TYPED_ARRAY, "slice", "arrays");
    this.#wrap(String, "fromCharCode", "strings");
    // `catch` and `finally` come this way, too.
    this.#wrap(Promise.prototype, "then", "promises");
    for (const name of ["Uint8Array", "Int32Array", "Uint32Array", "Float64Array"] as const) {
      this.#wrapGlobal(name, "arrays");
    }
    this.#wrapGlobal("DataView", "views");
    this.#wrapGlobal("Promise", "promises");
  }

  /** Everything is as it was: other test files may follow in this process. */
  async restore(): Promise<void> {
    for (const undo of this.#undo.splice(0)) undo();
    // The default first, then what a platform that knows better installs.
    installBulkCopy((target, position, source, start, end) => target.set(source.subarray(start, end), position), 96);
    await pickRuntime();
  }

  get #counts(): boolean {
    return this.#isOn && !this.#isPaused;
  }

  add(what: keyof Costs, count = 1): void {
    if (this.#counts) this.#costs[what] += count;
  }

  addDisk(what: keyof DiskCosts, count = 1): void {
    if (this.#counts) this.#disk[what] = (this.#disk[what] ?? 0) + count;
  }

  /** What `work` costs before it returns. */
  count(work: () => void): Costs {
    this.#begin();
    try {
      work();
    } finally {
      this.#isOn = false;
    }
    return this.#costs;
  }

  /** What `work` costs until it has ended. */
  async countUntil(work: () => Promise<void>): Promise<Costs & { disk: DiskCosts }> {
    this.#begin();
    try {
      await work();
    } finally {
      this.#isOn = false;
    }
    return { ...this.#costs, disk: this.#disk };
  }

  #begin(): void {
    assert.ok(!this.#isOn, "one count at a time");
    this.#costs = zero();
    this.#disk = {};
    this.#isOn = true;
  }

  /** `work` is not the product's: a stand-in for the kernel, say. */
  uncounted<Result>(work: () => Result): Result {
    return this.#during(true, work);
  }

  /** `work` is the product's, called from what is not. */
  counted<Result>(work: () => Result): Result {
    return this.#during(false, work);
  }

  #during<Result>(isPaused: boolean, work: () => Result): Result {
    const before = this.#isPaused;
    this.#isPaused = isPaused;
    try {
      return work();
    } finally {
      this.#isPaused = before;
    }
  }

  /** Wraps a function of an object that all share. */
  #wrap(target: object, name: string, what: keyof Costs): void {
    const original: unknown = Reflect.get(target, name);
    assert.ok(typeof original === "function", name);
    // deno-lint-ignore no-this-alias
    const meter = this;
    const property = { configurable: true, writable: true };
    Object.defineProperty(target, name, {
      ...property,
      value: function (this: unknown, ...given: unknown[]): unknown {
        meter.add(what);
        return Reflect.apply(original, this, given);
      },
    });
    this.#undo.push(() => Object.defineProperty(target, name, { ...property, value: original }));
  }

  /** Counts how often a global is constructed, or asked to make one. */
  #wrapGlobal(
    name: "Uint8Array" | "Int32Array" | "Uint32Array" | "Float64Array" | "DataView" | "Promise",
    what: keyof Costs,
  ): void {
    const original = globalThis[name];
    const proxy = new Proxy<object>(original, {
      construct: (_target, given, newTarget) => {
        this.add(what);
        return Reflect.construct(original, given, newTarget);
      },
      // Called on the original: on the proxy `Promise.all` would wrap each of its promises once more.
      get: (_target, key) => {
        const value: unknown = Reflect.get(original, key);
        // Symbols are questions of the language, such as `instanceof`.
        if (typeof value !== "function" || typeof key === "symbol") return value;
        return (...given: unknown[]): unknown => {
          this.add(what);
          return Reflect.apply(value, original, given);
        };
      },
    });
    Reflect.set(globalThis, name, proxy);
    this.#undo.push(() => void Reflect.set(globalThis, name, original));
  }
}

function zero(): Costs {
  return {
    copies: 0,
    copiedBytes: 0,
    views: 0,
    arrays: 0,
    strings: 0,
    promises: 0,
    clockReads: 0,
    turns: 0,
    timers: 0,
    flushes: 0,
  };
}
