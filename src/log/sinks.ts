/**
 * Where log lines go. A sink never throws: a log that cannot be written must not stop the server. It says so on its
 * trouble channel, once per time of trouble, counts what was lost, and goes on trying.
 */
import type { AppendFile, Files } from "../runtime/types.ts";
import type { LogLevel } from "./line.ts";

/** What became of {@link LogSink.reopen}; after `failed` the old file is still written. */
export type ReopenResult = "reopened" | "failed" | "noFile";

/** Takes complete lines, ends included. */
export interface LogSink {
  /** Of a target that takes time to open: rejects with {@link LogError} when it cannot be opened. Need not be awaited. */
  readonly opened?: Promise<void>;
  /** Must not throw. */
  write(text: string): void;
  /** Instead of `write`, for a target with a form of its own: the text without time and level. Must not throw. */
  writeEntry?(level: LogLevel, text: string): void;
  /** Closes and opens the target again under the same name. Must not throw. */
  reopen(): ReopenResult;
  /** Resolves when the last lines are out; it takes a second at most. */
  close(): void | Promise<void>;
}

/** Stable codes of what a log can refuse. */
export type LogErrorCode = "LOG_FILE_NOT_OPENED" | "LOG_SYSLOG_NOT_OPENED";

/** The log target cannot be used. Only at start: later the sink helps itself. */
export class LogError extends Error {
  override readonly name = "LogError";
  constructor(readonly code: LogErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** The process's stderr. */
export class StderrSink implements LogSink {
  readonly #writeErr: (text: string) => void;

  constructor(process: { writeErr(text: string): void }) {
    this.#writeErr = (text) => process.writeErr(text);
  }

  write(text: string): void {
    try {
      this.#writeErr(text);
    } catch (error) {
      // A closed stderr leaves nowhere to say so. Anything but an error of the write is a defect and must surface.
      if (!(error instanceof Error)) throw error;
    }
  }

  reopen(): ReopenResult {
    return "noFile";
  }

  close(): void {}
}

/** What a file sink needs to know. */
export interface FileSinkOptions {
  readonly path: string;
  /** Rotate after the write that makes the file longer than this; 0 = never. */
  readonly sizeLimitBytes: number;
  readonly files: Files;
  /** Suffix of a backup's name: the local time to the nanosecond. */
  backupSuffix(): string;
  /** A complete INF line without its end, for what the sink itself has to say in the file. */
  formatNote(text: string): string;
  /** Called with a sentence when the file cannot be written or rotated. */
  trouble(text: string): void;
}

/** What the operating system says when a file cannot be opened, without the path that stands in front of it already. */
const OPEN_REASONS: Readonly<Record<string, string>> = {
  NOT_FOUND: "no such file or directory",
  PERMISSION_DENIED: "permission denied",
};

function openReasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return OPEN_REASONS[code] ?? reasonOf(error);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A file, opened to append, with rotation by size (operations.md 3.5). */
export class FileSink implements LogSink {
  readonly #options: FileSinkOptions;
  readonly #encoder = new TextEncoder();
  #file: AppendFile | undefined;
  #sizeBytes = 0;
  /** Size at which the next rotation is tried; grows while the file cannot be renamed. */
  #rotateAboveBytes: number;
  #lostLineCount = 0;
  #isClosed = false;

  /** Throws {@link LogError} `LOG_FILE_NOT_OPENED`. */
  constructor(options: FileSinkOptions) {
    this.#options = options;
    this.#rotateAboveBytes = options.sizeLimitBytes;
    try {
      this.#open();
    } catch (error) {
      const message = `error opening file: open ${options.path}: ${openReasonOf(error)}`;
      throw new LogError("LOG_FILE_NOT_OPENED", message, { cause: error });
    }
    // A line is written to a file that is too long already, because only writing rotates.
    if (options.sizeLimitBytes > 0 && this.#sizeBytes > options.sizeLimitBytes) {
      this.write(options.formatNote("Rotating logfile...") + "\n");
    }
  }

  write(text: string): void {
    if (this.#isClosed) return;
    if (!this.#append(text)) {
      this.#lostLineCount++;
      return;
    }
    if (this.#rotateAboveBytes > 0 && this.#sizeBytes > this.#rotateAboveBytes) this.#rotate();
  }

  /** For `mv` and a signal: the new file is opened before the old one is let go, so that no line is lost. */
  reopen(): ReopenResult {
    if (this.#isClosed) return "failed";
    const old = this.#file;
    try {
      this.#open();
    } catch (error) {
      this.#options.trouble(`log file could not be opened again, going on with the old one: ${reasonOf(error)}`);
      return "failed";
    }
    this.#closeFile(old);
    return "reopened";
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const file = this.#file;
    this.#file = undefined;
    this.#closeFile(file);
  }

  #open(): void {
    const file = this.#options.files.openAppend(this.#options.path);
    this.#file = file;
    this.#sizeBytes = file.sizeBytes;
  }

  /** False: the text is lost and was reported. */
  #append(text: string): boolean {
    try {
      if (this.#file === undefined) this.#open();
      this.#reportLost();
      this.#writeBytes(text);
      return true;
    } catch (error) {
      if (this.#lostLineCount === 0) {
        this.#options.trouble(`log file ${this.#options.path} cannot be written: ${reasonOf(error)}`);
      }
      return false;
    }
  }

  /** The gap is named in the file itself, where its reader is. */
  #reportLost(): void {
    if (this.#lostLineCount === 0) return;
    this.#writeBytes(this.#options.formatNote(`${this.#lostLineCount} log line(s) before this one were lost`) + "\n");
    this.#lostLineCount = 0;
  }

  #writeBytes(text: string): void {
    const bytes = this.#encoder.encode(text);
    this.#file?.write(bytes);
    this.#sizeBytes += bytes.length;
  }

  #rotate(): void {
    const { path, files, sizeLimitBytes } = this.#options;
    const backup = `${path}.${this.#options.backupSuffix()}`;
    try {
      files.rename(path, backup);
    } catch (error) {
      // Trying at every line would cost a failing call per line.
      this.#rotateAboveBytes = this.#sizeBytes * 2;
      this.#options.trouble(
        `log file ${path} cannot be rotated, next attempt at ${this.#rotateAboveBytes} bytes: ${reasonOf(error)}`,
      );
      return;
    }
    this.#rotateAboveBytes = sizeLimitBytes;
    this.#closeFile(this.#file);
    this.#file = undefined;
    // CR LF on this one line only: the reference writes it so, and file comparisons see it.
    if (!this.#append(this.#options.formatNote(`Rotated log, backup saved as "${backup}"`) + "\r\n")) {
      this.#lostLineCount++;
    }
  }

  #closeFile(file: AppendFile | undefined): void {
    try {
      file?.close();
    } catch (error) {
      this.#options.trouble(`log file ${this.#options.path} could not be closed: ${reasonOf(error)}`);
    }
  }
}

/** Takes lines and forgets them: the log of a server inside another program that did not ask for one. */
export class SilentSink implements LogSink {
  write(_text: string): void {}

  reopen(): ReopenResult {
    return "noFile";
  }

  close(): void {}
}
