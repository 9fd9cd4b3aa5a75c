/**
 * The log of the program. Two views write to one sink: `core` for the NATS server, `streaming`, whose lines carry the
 * prefix `STREAM: `. Their debug and trace switches are independent (operations.md 3.4).
 */
import { formatLine, type LineStyle, type LogLevel, StampFormatter, wallTime } from "./line.ts";
import { RecentLines } from "./recent.ts";
import { type LogSink, SilentSink } from "./sinks.ts";
import type { LogView } from "./types.ts";

/** Which optional levels are written. */
export interface LogSwitches {
  readonly debug: boolean;
  readonly trace: boolean;
}

/** What a logger needs; the composition takes it from the runtime and the options. */
export interface LoggerOptions {
  readonly sink: LogSink;
  readonly style: LineStyle;
  /** Wall clock as the runtime's `Clock.wallNs`. */
  wallNs(out: { high: number; low: number }): void;
  /** Minutes east of UTC of an instant. */
  zoneOffsetMinutes(unixMs: number): number;
  readonly core: LogSwitches;
  readonly streaming: LogSwitches;
}

type Emit = (level: LogLevel, prefix: string, text: string) => void;

/** One half of the log. */
class LoggerView implements LogView {
  /** Changed by `Logger.setSwitches` only. */
  debugEnabled: boolean;
  traceEnabled: boolean;
  readonly #prefix: string;
  readonly #emit: Emit;

  constructor(prefix: string, switches: LogSwitches, emit: Emit) {
    this.debugEnabled = switches.debug;
    this.traceEnabled = switches.trace;
    this.#prefix = prefix;
    this.#emit = emit;
  }

  info(text: string): void {
    this.#emit("INF", this.#prefix, text);
  }

  warn(text: string): void {
    this.#emit("WRN", this.#prefix, text);
  }

  error(text: string): void {
    this.#emit("ERR", this.#prefix, text);
  }

  /** Writes the line only. The caller then ends the process with status 1, which is what the level announces. */
  fatal(text: string): void {
    this.#emit("FTL", this.#prefix, text);
  }

  debug(text: string): void {
    if (this.debugEnabled) this.#emit("DBG", this.#prefix, text);
  }

  trace(text: string): void {
    if (this.traceEnabled) this.#emit("TRC", this.#prefix, text);
  }
}

/** The log. One per process. */
export class Logger {
  readonly #core: LoggerView;
  readonly #streaming: LoggerView;
  #options: LoggerOptions;
  #stamps: StampFormatter;
  readonly #now = { high: 0, low: 0 };
  /** The last lines, also of a log that is thrown away. */
  readonly recent = new RecentLines();

  constructor(options: LoggerOptions) {
    this.#options = options;
    this.#stamps = stampsOf(options);
    const emit: Emit = (level, prefix, text) => this.#write(level, prefix, text);
    this.#core = new LoggerView("", options.core, emit);
    this.#streaming = new LoggerView("STREAM: ", options.streaming, emit);
  }

  /** Lines of the NATS server. */
  get core(): LogView {
    return this.#core;
  }

  /** Lines of the streaming server, with their prefix. */
  get streaming(): LogView {
    return this.#streaming;
  }

  /** Rejects with `LogError` when the target cannot be reached; most are open from the beginning. */
  get opened(): Promise<void> {
    return this.#options.sink.opened ?? Promise.resolve();
  }

  /** True when lines go to a syslog: nobody who started the program sees them. */
  get isSyslog(): boolean {
    return this.#options.sink.writeEntry !== undefined;
  }

  /** True when all lines are thrown away. */
  get isSilent(): boolean {
    return this.#options.sink instanceof SilentSink;
  }

  /** For a reload of the configuration. */
  setSwitches(core: LogSwitches, streaming: LogSwitches): void {
    this.#core.debugEnabled = core.debug;
    this.#core.traceEnabled = core.trace;
    this.#streaming.debugEnabled = streaming.debug;
    this.#streaming.traceEnabled = streaming.trace;
  }

  /** Lines go to another sink or look otherwise from here on; the old sink is closed. For a reload of the configuration. */
  redirect(options: Pick<LoggerOptions, "sink" | "style"> & Partial<Pick<LoggerOptions, "zoneOffsetMinutes">>): void {
    const { sink } = this.#options;
    this.#options = { ...this.#options, ...options };
    this.#stamps = stampsOf(this.#options);
    if (sink !== options.sink) void sink.close();
  }

  /** SIGUSR1: a file is closed and opened again, anything else is left alone; a line of `view` says what happened. */
  reopen(view: LogView = this.#streaming): void {
    const result = this.#options.sink.reopen();
    switch (result) {
      case "reopened":
        view.info("File log re-opened");
        break;
      case "failed":
        view.error("File log could not be re-opened, lines go on to the old file");
        break;
      case "noFile":
        view.info("File log re-open ignored, not a file logger");
        break;
    }
  }

  /** The last call. Lines after it go nowhere; those before it are out when it resolves. */
  async close(): Promise<void> {
    await this.#options.sink.close();
  }

  #write(level: LogLevel, prefix: string, text: string): void {
    const { sink, style } = this.#options;
    const { high, low } = this.#readClock();
    this.recent.add(level, prefix === "" ? "core" : "streaming", text, high, low);
    if (sink.writeEntry !== undefined) {
      sink.writeEntry(level, prefix + text);
      return;
    }
    let stamp = "";
    if (style.time) stamp = this.#stamps.format(wallTime(this.#now));
    sink.write(formatLine(style, stamp, level, prefix, text) + "\n");
  }

  #readClock(): { high: number; low: number } {
    this.#options.wallNs(this.#now);
    return this.#now;
  }
}

function stampsOf(options: LoggerOptions): StampFormatter {
  return new StampFormatter((unixMs) => options.zoneOffsetMinutes(unixMs));
}
