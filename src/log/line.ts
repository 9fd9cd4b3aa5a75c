/**
 * The form of a log line (operations.md 3.1). Pure: time comes in, text goes out. Tools cut these lines at blanks and
 * brackets, so the form is the reference's to the letter.
 */
import { oneLine } from "../base/quote.ts";

/** Levels, as the three letters of the line. */
export type LogLevel = "INF" | "DBG" | "WRN" | "ERR" | "FTL" | "TRC";

const COLOURS: Readonly<Record<LogLevel, string>> = Object.freeze({
  INF: "32",
  DBG: "36",
  WRN: "0;93",
  ERR: "31",
  FTL: "31",
  TRC: "33",
});

/** The brackets with the level, coloured for a terminal. */
function levelLabel(level: LogLevel, colours: boolean): string {
  return colours ? `[\u001b[${COLOURS[level]}m${level}\u001b[0m]` : `[${level}]`;
}

/** Fixed parts of all lines of one log. */
export interface LineStyle {
  readonly pid: number;
  /** Lines carry date and time. */
  readonly time: boolean;
  readonly colours: boolean;
}

/** One line without its end. `stamp` is ignored when the style has no time. */
export function formatLine(style: LineStyle, stamp: string, level: LogLevel, prefix: string, text: string): string {
  const time = style.time ? `${stamp} ` : "";
  return `[${style.pid}] ${time}${levelLabel(level, style.colours)} ${prefix}${oneLine(text)}`;
}

/** A wall-clock instant. */
export interface WallTime {
  readonly unixMs: number;
  /** Nanoseconds within the second. */
  readonly nanosecond: number;
}

/** Reads the two halves that the runtime's clock gives. */
export function wallTime(halves: { readonly high: number; readonly low: number }): WallTime {
  const ns = (BigInt(halves.high) << 32n) | BigInt(halves.low);
  return { unixMs: Number(ns / 1_000_000n), nanosecond: Number(ns % 1_000_000_000n) };
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

/** The six calendar fields of an instant, shifted by the zone's offset. */
function calendar(unixMs: number, zoneMinutes: number): readonly [string, string, string, string, string, string] {
  const date = new Date(unixMs + zoneMinutes * 60_000);
  return [
    String(date.getUTCFullYear()).padStart(4, "0"),
    two(date.getUTCMonth() + 1),
    two(date.getUTCDate()),
    two(date.getUTCHours()),
    two(date.getUTCMinutes()),
    two(date.getUTCSeconds()),
  ];
}

/** `YYYY/MM/DD hh:mm:ss` in the zone of the given offset. */
export function formatSecond(unixMs: number, zoneMinutes: number): string {
  const [year, month, day, hour, minute, second] = calendar(unixMs, zoneMinutes);
  return `${year}/${month}/${day} ${hour}:${minute}:${second}`;
}

/** `YYYY/MM/DD hh:mm:ss.uuuuuu`. */
export function formatStamp(time: WallTime, zoneMinutes: number): string {
  return withMicroseconds(formatSecond(time.unixMs, zoneMinutes), time);
}

function withMicroseconds(second: string, time: WallTime): string {
  return `${second}.${String(Math.floor(time.nanosecond / 1000)).padStart(6, "0")}`;
}

/** `YYYY.MM.DD.hh.mm.ss.nnnnnnnnn`: what a rotated file's name ends in (operations.md 3.5). */
export function formatBackupSuffix(time: WallTime, zoneMinutes: number): string {
  return `${calendar(time.unixMs, zoneMinutes).join(".")}.${String(time.nanosecond).padStart(9, "0")}`;
}

/**
 * Time stamps of one log. Keeps the text of the last second: a busy trace writes thousands of lines within one, and
 * the zone's offset need not be asked for each.
 */
export class StampFormatter {
  readonly #zoneOffsetMinutes: (unixMs: number) => number;
  #secondStartMs = NaN;
  #secondText = "";

  /** `zoneOffsetMinutes` gives minutes east of UTC, as the runtime's process host does. */
  constructor(zoneOffsetMinutes: (unixMs: number) => number) {
    this.#zoneOffsetMinutes = zoneOffsetMinutes;
  }

  format(time: WallTime): string {
    const startMs = Math.floor(time.unixMs / 1000) * 1000;
    if (startMs !== this.#secondStartMs) {
      this.#secondStartMs = startMs;
      this.#secondText = formatSecond(startMs, this.#zoneOffsetMinutes(startMs));
    }
    return withMicroseconds(this.#secondText, time);
  }
}
