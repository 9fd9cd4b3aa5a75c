/**
 * Log lines as a syslog takes them (operations.md 3.6). The local one gets the facility of a daemon, a remote one that of
 * the kernel, because the reference's packets have it and filters are written for it. Neither carries our own time or level:
 * the syslog has both.
 */
import { oneLine } from "../base/quote.ts";
import type { SyslogLink, SyslogTarget } from "../runtime/types.ts";
import type { LogLevel } from "./line.ts";
import { LogError, type LogSink, type ReopenResult } from "./sinks.ts";

const FACILITY_KERNEL = 0;
const FACILITY_DAEMON = 3;

/** Severities of the syslog protocol. Traces are notices in the reference, too. */
const SEVERITIES: Readonly<Record<LogLevel, number>> = Object.freeze({
  FTL: 2,
  ERR: 3,
  WRN: 4,
  INF: 5,
  TRC: 5,
  DBG: 7,
});

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const DEFAULT_PORT = 514;

/** Who sends, and in which form. */
export interface SyslogStyle {
  readonly kind: SyslogTarget["kind"];
  readonly hostName: string;
  readonly programName: string;
  readonly pid: number;
}

/** One message, its end included. */
export function formatSyslog(
  style: SyslogStyle,
  level: LogLevel,
  text: string,
  unixMs: number,
  zoneMinutes: number,
): string {
  const priority = (style.kind === "local" ? FACILITY_DAEMON : FACILITY_KERNEL) * 8 + SEVERITIES[level];
  const sender = `${style.programName}[${style.pid}]`;
  const line = oneLine(text);
  // What goes through a socket of this machine needs neither its name nor the year.
  if (style.kind === "local" || style.kind === "unix") {
    return `<${priority}>${shortTime(unixMs, zoneMinutes)} ${sender}: ${line}\n`;
  }
  return `<${priority}>${longTime(unixMs, zoneMinutes)} ${style.hostName} ${sender}: ${line}\n`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** `Nov  3 04:05:06`. */
function shortTime(unixMs: number, zoneMinutes: number): string {
  const date = new Date(unixMs + zoneMinutes * 60_000);
  const clock = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(":");
  return `${MONTHS[date.getUTCMonth()]} ${String(date.getUTCDate()).padStart(2, " ")} ${clock}`;
}

/** `2026-11-03T04:05:06Z`, or with the zone's offset. */
function longTime(unixMs: number, zoneMinutes: number): string {
  const text = new Date(unixMs + zoneMinutes * 60_000).toISOString().slice(0, 19);
  if (zoneMinutes === 0) return `${text}Z`;
  const offset = Math.abs(zoneMinutes);
  return `${text}${zoneMinutes < 0 ? "-" : "+"}${two(Math.floor(offset / 60))}:${two(offset % 60)}`;
}

/** The target that `remote_syslog` names. Throws {@link LogError} with the reference's words where it has some. */
export function syslogTarget(url: string): SyslogTarget {
  const parts = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\/(.*)$/.exec(url);
  const scheme = (parts?.[1] ?? "").toLowerCase();
  const rest = parts?.[2] ?? "";
  if (scheme !== "udp" && scheme !== "tcp" && scheme !== "unix") {
    throw new LogError(
      "LOG_SYSLOG_NOT_OPENED",
      `error invalid network type: "${scheme}". Remote syslogs are udp://host:port, tcp://host:port or unix:///path`,
    );
  }
  if (scheme === "unix") return { kind: "unix", path: rest };
  const address = /^(?:\[([^\]]+)\]|([^:/[\]]+))(?::([0-9]{1,5}))?\/?$/.exec(rest);
  const port = Number(address?.[3] ?? DEFAULT_PORT);
  if (address === null || port < 1 || port > 65_535) {
    throw new LogError(
      "LOG_SYSLOG_NOT_OPENED",
      `error connecting to syslog: "${url} has no address". Write ${scheme}://host:port`,
    );
  }
  return { kind: scheme, host: address[1] ?? address[2] ?? "", port };
}

/** What a syslog sink needs. */
export interface SyslogSinkOptions {
  readonly link: SyslogLink;
  readonly style: SyslogStyle;
  wallMs(): number;
  zoneOffsetMinutes(unixMs: number): number;
  /** Called with a sentence when lines are lost. */
  trouble(text: string): void;
}

/** Lines go to a syslog. What it does not take is lost, counted, and told when it takes lines again. */
export class SyslogSink implements LogSink {
  readonly opened: Promise<void>;
  readonly #options: SyslogSinkOptions;
  #lostLineCount = 0;

  constructor(options: SyslogSinkOptions) {
    this.#options = options;
    this.opened = options.link.opened.catch((error: unknown) => {
      // The reference has no more to say about the local one, and scripts may look for it.
      const reason = options.style.kind === "local" ? "Unix syslog delivery error" : String((error as Error).message);
      throw new LogError("LOG_SYSLOG_NOT_OPENED", `error connecting to syslog: "${reason}"`, { cause: error });
    });
    // A reload goes on without waiting: lines are lost, counted and told as long as nobody takes them.
    this.opened.catch((error: LogError) => options.trouble(error.message));
  }

  writeEntry(level: LogLevel, text: string): void {
    if (this.#lostLineCount > 0 && this.#send("WRN", `${this.#lostLineCount} log line(s) before this one were lost`)) {
      this.#lostLineCount = 0;
    }
    if (this.#send(level, text)) return;
    if (this.#lostLineCount === 0) this.#options.trouble("the syslog does not take lines, they are lost");
    this.#lostLineCount++;
  }

  /** For lines that were made for a file; there are none. */
  write(text: string): void {
    this.writeEntry("INF", text.trimEnd());
  }

  reopen(): ReopenResult {
    return "noFile";
  }

  close(): Promise<void> {
    return this.#options.link.close();
  }

  #send(level: LogLevel, text: string): boolean {
    const { link, style } = this.#options;
    const unixMs = this.#options.wallMs();
    return link.send(formatSyslog(style, level, text, unixMs, this.#options.zoneOffsetMinutes(unixMs)));
  }
}
