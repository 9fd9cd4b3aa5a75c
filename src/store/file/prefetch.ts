/**
 * Reading ahead while a store is recovered (`file_parallel_recovery`). What a channel is recovered from, its indexes and its
 * subscriptions, is read off the event loop for the next channels while the present one is looked at: then it lies in the
 * system's memory. Nothing is kept here, and nothing that goes wrong counts: recovery reads it again and says so.
 */
import type { Disk, DiskFile } from "../../runtime/types.ts";

const CHUNK_BYTES = 1024 * 1024;
/** Beyond it a disk gets slower, not faster. */
const AHEAD_MAX = 64;
/** Read by recovery as a whole. Of the data files only the end is. */
const WHOLE_FILE = /^(msgs\.\d+\.idx|subs\.dat)$/;

export class Prefetch {
  readonly #disk: Disk;
  readonly #directories: readonly string[];
  readonly #ahead: number;
  readonly #reads: Promise<void>[] = [];

  /** `channelsAtOnce` as the option has it: 1 reads nothing ahead. */
  constructor(disk: Disk, directories: readonly string[], channelsAtOnce: number) {
    this.#disk = disk;
    this.#directories = directories;
    this.#ahead = Math.min(channelsAtOnce, AHEAD_MAX);
  }

  /** Resolves when what channel `i` needs was read; those behind it are under way. Undefined: nothing is read ahead. */
  ready(i: number): Promise<void> | undefined {
    if (this.#ahead <= 1) return undefined;
    const end = Math.min(i + this.#ahead, this.#directories.length);
    for (let next = i; next < end; next++) this.#reads[next] ??= this.#readChannel(this.#directories[next]!);
    return this.#reads[i];
  }

  async #readChannel(directory: string): Promise<void> {
    try {
      for (const { name, kind } of this.#disk.list(directory)) {
        if (kind === "file" && WHOLE_FILE.test(name)) await this.#readFile(`${directory}/${name}`);
      }
    } catch {
      // Recovery meets the same error, where it can be told with its consequences.
    }
  }

  async #readFile(path: string): Promise<void> {
    const file = this.#disk.open(path, "read");
    try {
      const size = file.sizeBytes();
      const chunk = new Uint8Array(Math.min(CHUNK_BYTES, size));
      for (let at = 0; at < size; at += chunk.length) await readPart(file, chunk, at);
    } finally {
      file.close();
    }
  }
}

function readPart(file: DiskFile, chunk: Uint8Array, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    file.readLater(chunk, 0, chunk.length, position, (error) => error === undefined ? resolve() : reject(error));
  });
}
