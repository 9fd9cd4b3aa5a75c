/**
 * Makes the log that the options ask for: a file if one is named, else stderr, coloured when that is a terminal.
 */
import type { Clock, Files, ProcessHost, Runtime } from "../runtime/types.ts";
import { formatBackupSuffix, formatLine, formatSecond, formatStamp, type LineStyle, wallTime } from "./line.ts";
import { Logger, type LoggerOptions } from "./logger.ts";
import { FileSink, type LogSink, SilentSink, StderrSink } from "./sinks.ts";
import { SyslogSink, syslogTarget } from "./syslog.ts";

/** The part of the options that the log needs; `Options.log` has this shape. */
export interface LogSettings {
  /** Empty = a syslog or stderr. */
  readonly file: string;
  /** Lines go to the syslog of this machine, unless a file or a remote one is named. */
  readonly syslog: boolean;
  /** URL; empty = none. */
  readonly remoteSyslog: string;
  readonly sizeLimitBytes: number;
  readonly time: boolean;
  readonly utc: boolean;
  readonly debug: boolean;
  readonly trace: boolean;
  readonly streamingDebug: boolean;
  readonly streamingTrace: boolean;
}

/** The part of the runtime that the log needs. */
export interface LogHost {
  readonly clock: Pick<Clock, "wallNs">;
  readonly files: Files;
  readonly process: Pick<
    ProcessHost,
    "pid" | "programName" | "errIsTerminal" | "writeErr" | "zoneOffsetMinutes"
  >;
  readonly openSyslog: Runtime["openSyslog"];
}

function nowOf(host: LogHost) {
  const halves = { high: 0, low: 0 };
  host.clock.wallNs(halves);
  return wallTime(halves);
}

/** Where lines go: to what the settings name, or nowhere. */
export type LogTarget = "settings" | "silent";

/**
 * Opens the log. Throws `LogError` when the file cannot be opened or the target makes no sense; {@link datedLine} is the form
 * to tell it in. A syslog is there when `Logger.opened` resolves.
 */
export function openLog(settings: LogSettings, host: LogHost, target: LogTarget = "settings"): Logger {
  return new Logger({
    ...openTarget(settings, host, target),
    wallNs: (out) => host.clock.wallNs(out),
    core: { debug: settings.debug, trace: settings.trace },
    streaming: { debug: settings.streamingDebug, trace: settings.streamingTrace },
  });
}

/** What `Logger.redirect` takes. Throws `LogError` when the file cannot be opened: the log stays as it is then. */
export function openTarget(
  settings: LogSettings,
  host: LogHost,
  target: LogTarget = "settings",
): Pick<LoggerOptions, "sink" | "style" | "zoneOffsetMinutes"> {
  const style: LineStyle = {
    pid: host.process.pid,
    time: settings.time,
    colours: settings.file === "" && host.process.errIsTerminal,
  };
  const zoneOffsetMinutes = zoneOf(settings, host);
  return {
    sink: target === "silent" ? new SilentSink() : openSink(settings, host, style, zoneOffsetMinutes),
    style,
    zoneOffsetMinutes,
  };
}

function zoneOf({ utc }: LogSettings, host: LogHost): (unixMs: number) => number {
  return (unixMs) => utc ? 0 : host.process.zoneOffsetMinutes(unixMs);
}

function openSink(
  settings: LogSettings,
  host: LogHost,
  style: LineStyle,
  zoneOffsetMinutes: (unixMs: number) => number,
): LogSink {
  const stderr = new StderrSink(host.process);
  const trouble = (text: string) => stderr.write(datedLine(host, text));
  if (settings.file === "") {
    if (settings.remoteSyslog === "" && !settings.syslog) return stderr;
    const wanted = settings.remoteSyslog === "" ? { kind: "local" } as const : syslogTarget(settings.remoteSyslog);
    const link = host.openSyslog(wanted);
    const { pid, programName } = host.process;
    return new SyslogSink({
      link,
      style: { kind: wanted.kind, hostName: link.hostName, programName, pid },
      wallMs: () => nowOf(host).unixMs,
      zoneOffsetMinutes,
      trouble,
    });
  }
  return new FileSink({
    path: settings.file,
    sizeLimitBytes: settings.sizeLimitBytes,
    files: host.files,
    backupSuffix() {
      const now = nowOf(host);
      return formatBackupSuffix(now, zoneOffsetMinutes(now.unixMs));
    },
    formatNote(text) {
      const now = nowOf(host);
      return formatLine(style, formatStamp(now, zoneOffsetMinutes(now.unixMs)), "INF", "", text);
    },
    trouble,
  });
}

/**
 * `YYYY/MM/DD hh:mm:ss text` and a line end: the form of what is told on stderr before or without a log
 * (operations.md 3.5).
 */
export function datedLine(host: Pick<LogHost, "clock" | "process">, text: string): string {
  const halves = { high: 0, low: 0 };
  host.clock.wallNs(halves);
  const { unixMs } = wallTime(halves);
  return `${formatSecond(unixMs, host.process.zoneOffsetMinutes(unixMs))} ${text}\n`;
}
