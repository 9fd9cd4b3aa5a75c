/** Files over `node:fs`, whose calls were found equal on both runtimes (runtime.md 4.1). */
import * as fs from "node:fs";
import type { AppendFile, Files } from "../types.ts";
import { toRuntimeError } from "./errors.ts";

/** Mode of a new log file before the umask. */
const APPEND_MODE = 0o660;

function attempt<T>(what: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw toRuntimeError(error, `Cannot ${what} "${path}"`);
  }
}

class NodeAppendFile implements AppendFile {
  readonly #path: string;
  #descriptor: number;
  #sizeBytes: number;

  constructor(path: string, descriptor: number, sizeBytes: number) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.#sizeBytes = sizeBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  write(bytes: Uint8Array): void {
    attempt("append to", this.#path, () => {
      // The kernel may take less than asked, for example at the edge of a full disk.
      for (let at = 0; at < bytes.length;) {
        const count = fs.writeSync(this.#descriptor, bytes, at, bytes.length - at);
        at += count;
        this.#sizeBytes += count;
      }
    });
  }

  close(): void {
    if (this.#descriptor < 0) return;
    const descriptor = this.#descriptor;
    this.#descriptor = -1;
    attempt("close", this.#path, () => fs.closeSync(descriptor));
  }
}

/** The files of this machine. */
export function createFiles(): Files {
  return {
    readText: (path) => attempt("read", path, () => fs.readFileSync(path, "utf8")),
    openAppend: (path) =>
      attempt("open", path, () => {
        const descriptor = fs.openSync(path, "a", APPEND_MODE);
        return new NodeAppendFile(path, descriptor, fs.fstatSync(descriptor).size);
      }),
    writeText: (path, text, mode) =>
      attempt("write", path, () => fs.writeFileSync(path, text, mode === undefined ? {} : { mode })),
    exists: (path) => fs.existsSync(path),
    remove: (path) => attempt("remove", path, () => fs.unlinkSync(path)),
    rename: (from, to) => attempt(`rename to "${to}" the file`, from, () => fs.renameSync(from, to)),
    makeDirectory: (path) =>
      attempt("make directory", path, () => {
        fs.mkdirSync(path, { recursive: true });
      }),
  };
}
