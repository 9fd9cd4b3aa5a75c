/**
 * The last lines of the log, for the console: people look there first when something goes wrong, and may not reach the file.
 * Bounded by count and size whatever is logged; what falls out is only in the log itself.
 */
import { oneLine } from "../base/quote.ts";
import type { LogLevel } from "./line.ts";

/** Lines and characters that are kept. */
export const RECENT_LINES_MAX = 2000;
export const RECENT_CHARACTERS_MAX = 512 * 1024;
/** Of a longer line the beginning is kept. */
const LINE_CHARACTERS_MAX = 8 * 1024;

/** From the gravest on. A filter by level shows what is at least as grave. */
const GRAVITY: readonly LogLevel[] = ["FTL", "ERR", "WRN", "INF", "DBG", "TRC"];

/** One line. `id` counts from 1 and never comes again while the process lives. */
export interface RecentLine {
  readonly id: number;
  readonly stampHigh: number;
  readonly stampLow: number;
  readonly level: LogLevel;
  readonly source: "core" | "streaming";
  readonly text: string;
}

/** Which lines somebody wants. */
export interface RecentQuery {
  /** Only lines behind this one; 0 = from the oldest that is kept. */
  readonly after: number;
  /** The newest of them, at most. */
  readonly limit: number;
  /** Undefined: all. */
  readonly level: LogLevel | undefined;
  /** Part of the text, letter case aside; "" = all. */
  readonly search: string;
}

export class RecentLines {
  /** Oldest first, from `#start` on. */
  #lines: RecentLine[] = [];
  #start = 0;
  #characters = 0;
  #lastId = 0;

  /** Of the newest line; 0 = there was none. */
  get lastId(): number {
    return this.#lastId;
  }

  get count(): number {
    return this.#lines.length - this.#start;
  }

  get characters(): number {
    return this.#characters;
  }

  add(level: LogLevel, source: RecentLine["source"], text: string, stampHigh: number, stampLow: number): void {
    const kept = oneLine(text.length > LINE_CHARACTERS_MAX ? text.slice(0, LINE_CHARACTERS_MAX) : text);
    this.#lines.push({ id: ++this.#lastId, stampHigh, stampLow, level, source, text: kept });
    this.#characters += kept.length;
    while (this.count > RECENT_LINES_MAX || this.#characters > RECENT_CHARACTERS_MAX) {
      this.#characters -= this.#lines[this.#start++]!.text.length;
    }
    // Cut now and then only: each cut moves the list.
    if (this.#start > RECENT_LINES_MAX) {
      this.#lines = this.#lines.slice(this.#start);
      this.#start = 0;
    }
  }

  /** Oldest first. */
  find({ after, limit, level, search }: RecentQuery): RecentLine[] {
    const wanted = search.toLowerCase();
    const gravity = level === undefined ? GRAVITY.length : GRAVITY.indexOf(level);
    const found: RecentLine[] = [];
    for (let i = this.#lines.length - 1; i >= this.#start && found.length < limit; i--) {
      const line = this.#lines[i]!;
      if (line.id <= after) break;
      if (GRAVITY.indexOf(line.level) > gravity) continue;
      if (wanted !== "" && !line.text.toLowerCase().includes(wanted)) continue;
      found.push(line);
    }
    return found.reverse();
  }
}

/** The level of that name; undefined: there is none. */
export function levelOf(name: string): LogLevel | undefined {
  return GRAVITY.find((level) => level === name.toUpperCase());
}
