/** What the parts of one FILE store share. */
import { displayText } from "../../base/bytes.ts";
import type { LogView } from "../../log/types.ts";
import type { Disk } from "../../runtime/types.ts";
import { StoreError } from "../types.ts";
import type { BlockCache } from "./block.ts";
import type { Crc32 } from "./crc.ts";
import type { DescriptorPool } from "./log_file.ts";
import type { FileStoreOptions } from "./options.ts";

/** Memory for messages that are read and not needed any more, over all channels. The system caches the files, too. */
export const CACHE_BYTES_MAX = 16 * 1024 * 1024;
/** Messages that wait for the disk, over all channels; above it publishes are refused until it has caught up. */
export const STAGED_BYTES_MAX = 256 * 1024 * 1024;
/** Reads of blocks under way at the same time, over all channels. */
export const LOADS_MAX = 8;

/** Runs at most so many loads at a time; the others wait in order. */
export class LoadQueue {
  #active = 0;
  readonly #waiting: (() => void)[] = [];

  /** `start` must lead to exactly one call of `finished`. */
  run(start: () => void): void {
    if (this.#active >= LOADS_MAX) {
      this.#waiting.push(start);
      return;
    }
    this.#active++;
    start();
  }

  finished(): void {
    this.#active--;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#active++;
    next();
  }
}

export interface FileStoreShared {
  readonly options: FileStoreOptions;
  readonly disk: Disk;
  readonly pool: DescriptorPool;
  readonly cache: BlockCache;
  readonly loads: LoadQueue;
  readonly crc: Crc32;
  readonly log: LogView;
  /** Bytes of messages that are not as safe as promised yet. */
  stagedBytes: number;
  /** Monotonic. */
  nowMs(): number;
  /** Something was written or opened that the next tick has to look after. */
  wantsTick(channel: Ticked): void;
}

/** A part that does its background work about once per second while there is some. */
export interface Ticked {
  /** Returns false when there is nothing to come back for. */
  tick(nowMs: number): boolean;
}

/** Stable code of what the system threw, or "". */
export function systemCodeOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  return String(error.code);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What a client is told about a disk that refuses; paths are for the log only (decision 18). */
export function clientTextOf(error: unknown): string {
  return systemCodeOf(error) === "NO_SPACE"
    ? "stan: not stored: no space left on the disk of the store, try again later"
    : "stan: not stored: the disk of the store does not accept writes, try again later";
}

/** The system's refusal as an error of the store. */
export function toStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const code = systemCodeOf(error) === "NO_SPACE" ? "STORE_DISK_FULL" : "STORE_IO";
  return new StoreError(code, clientTextOf(error), { cause: error });
}

/**
 * Removes files of a channel that count for nothing, in this order; returns those that are left. It ends at the first that
 * cannot be removed now: a hole between slices would look like lost messages after a restart.
 */
export function removeFiles(
  { disk, log }: Pick<FileStoreShared, "disk" | "log">,
  channel: string,
  paths: readonly string[],
): string[] {
  for (const [i, path] of paths.entries()) {
    try {
      if (disk.stat(path) !== undefined) disk.remove(path);
    } catch (error) {
      log.debug(`Channel "${displayText(channel)}": ${messageOf(error)}`);
      return paths.slice(i);
    }
  }
  return [];
}
