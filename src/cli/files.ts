/** Files of the user: what can go wrong with them is told in one line. */
import * as fs from "node:fs";
import { dirname } from "node:path";
import { CommandError } from "./host.ts";

/** Longest line that is looked for at the end of a part of an export. */
const TAIL_BYTES_MAX = 64 * 1024 * 1024;
const TAIL_BYTES_FIRST = 64 * 1024;
const LF = 10;

function attempt<T>(what: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    const why = code === "ENOENT"
      ? "there is no such file or directory"
      : code === "EACCES"
      ? "permission denied"
      : code === "EISDIR"
      ? "that is a directory"
      : code === "ENOSPC"
      ? "the disk is full"
      : message ?? String(error);
    throw new CommandError("CLI_FILE", `Cannot ${what} ${path}: ${why}`, { cause: error });
  }
}

export function readFileText(path: string): string {
  return attempt("read", path, () => fs.readFileSync(path, "utf8"));
}

export function readFileBytes(path: string): Uint8Array {
  return attempt("read", path, () => fs.readFileSync(path));
}

/** The content of a file in pieces, so that a large one is not held as a whole. */
export async function* readFilePieces(path: string): AsyncGenerator<Uint8Array> {
  const stream = fs.createReadStream(path);
  try {
    for await (const piece of stream) yield piece as Uint8Array;
  } catch (error) {
    attempt("read", path, () => {
      throw error;
    });
  }
}

/** Makes a directory with its parents. */
export function makeDirectory(path: string): void {
  attempt("make", path, () => fs.mkdirSync(path, { recursive: true }));
}

/** Writes a file so that its name never stands for a part of it. */
export function writeWhole(path: string, bytes: Uint8Array): void {
  attempt("write", path, () => {
    fs.writeFileSync(`${path}.part`, bytes);
    fs.renameSync(`${path}.part`, path);
  });
}

/** A file that appears under its name when it is complete; until then it grows as NAME.part. */
export class PartFile {
  readonly partPath: string;
  readonly #path: string;
  readonly #descriptor: number;
  #position: number;

  /** Goes on behind byte `keepBytes` of a part that is there; 0 begins anew. */
  constructor(path: string, keepBytes: number) {
    this.#path = path;
    this.partPath = `${path}.part`;
    this.#descriptor = attempt("write", this.partPath, () => {
      const descriptor = fs.openSync(this.partPath, keepBytes > 0 ? "r+" : "w");
      if (keepBytes > 0) fs.ftruncateSync(descriptor, keepBytes);
      return descriptor;
    });
    this.#position = keepBytes;
  }

  write(bytes: Uint8Array): void {
    attempt("write", this.partPath, () => {
      for (let at = 0; at < bytes.length;) {
        const count = fs.writeSync(this.#descriptor, bytes, at, bytes.length - at, this.#position);
        at += count;
        this.#position += count;
      }
    });
  }

  /** The part stays as it is, if it is one. */
  leave(): void {
    fs.closeSync(this.#descriptor);
    if (this.#position === 0) fs.unlinkSync(this.partPath);
  }

  /** It is complete, and survives a power cut from here on. */
  complete(): void {
    attempt("write", this.#path, () => {
      fs.fsyncSync(this.#descriptor);
      fs.closeSync(this.#descriptor);
      fs.renameSync(this.partPath, this.#path);
      const directory = fs.openSync(dirname(this.#path), "r");
      try {
        fs.fsyncSync(directory);
      } finally {
        fs.closeSync(directory);
      }
    });
  }
}

/** The last whole line of a file and where it ends; undefined: there is no such file, or no whole line in reach. */
export function lastLine(path: string): { readonly text: string; readonly end: number } | undefined {
  if (!fs.existsSync(path)) return undefined;
  return attempt("read", path, () => {
    const descriptor = fs.openSync(path, "r");
    try {
      const size = fs.fstatSync(descriptor).size;
      for (let length = TAIL_BYTES_FIRST;; length *= 4) {
        const start = Math.max(0, size - length);
        const bytes = new Uint8Array(size - start);
        fs.readSync(descriptor, bytes, 0, bytes.length, start);
        const end = bytes.lastIndexOf(LF);
        const before = end <= 0 ? -1 : bytes.lastIndexOf(LF, end - 1);
        if (end >= 0 && (before >= 0 || start === 0)) {
          return { text: new TextDecoder().decode(bytes.subarray(before + 1, end)), end: start + end + 1 };
        }
        if (start === 0 || length > TAIL_BYTES_MAX) return undefined;
      }
    } finally {
      fs.closeSync(descriptor);
    }
  });
}
