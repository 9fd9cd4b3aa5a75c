/**
 * The command lines of the commands: the flag grammar of the server (one dash or two, `-name value`, `-name=value`), except
 * that options and words may be mixed, as people type them. Pure.
 */
import { parseSize } from "../base/size.ts";
import { quote } from "../base/quote.ts";
import { nearestName } from "../base/suggest.ts";
import { type FlagValue, parseFlags } from "../config/flags.ts";
import type { CommandRow } from "./command_table.ts";
import { UsageError } from "./host.ts";

/** What was given on a command line. Numbers are checked when they are asked for, so that every message names the option. */
export class Arguments {
  constructor(readonly words: readonly string[], readonly values: ReadonlyMap<string, FlagValue>) {}

  has(name: string): boolean {
    return this.values.has(name);
  }

  flag(name: string): boolean {
    return this.values.get(name) === true;
  }

  text(name: string): string | undefined {
    const value = this.values.get(name);
    return value === undefined ? undefined : String(value);
  }

  /** A whole number from `min` on. */
  number<Default extends number | undefined>(name: string, byDefault: Default, min = 1): number | Default {
    const value = this.values.get(name);
    if (value === undefined) return byDefault;
    const number = Number(value);
    if (!Number.isSafeInteger(number) || number < min) {
      throw new UsageError(`-${name} should be a whole number from ${min} on, got ${value}`);
    }
    return number;
  }

  /** A duration above zero, in milliseconds. */
  durationMs<Default extends number | undefined>(name: string, byDefault: Default): number | Default {
    const value = this.values.get(name);
    if (value === undefined) return byDefault;
    if (Number(value) <= 0) throw new UsageError(`-${name} should be longer than nothing`);
    return Number(value);
  }

  /** A size in bytes. */
  size(name: string, byDefault: number): number {
    const value = this.text(name);
    if (value === undefined) return byDefault;
    const parsed = parseSize(value);
    if (!parsed.ok || parsed.bytes < 0) {
      throw new UsageError(`-${name} should be a size such as 128 or 4KB, got ${quote(value)}`);
    }
    return parsed.bytes;
  }

  /** At most one of these options may be given. */
  onlyOneOf(...names: readonly string[]): void {
    const given = names.filter((name) => this.has(name) && this.values.get(name) !== false);
    if (given.length > 1) throw new UsageError(`-${given[0]} and -${given[1]} do not go together`);
  }

  /** These options mean nothing for what is asked, and somebody who gives them means something else. */
  without(what: string, ...names: readonly string[]): void {
    const given = names.find((name) => this.has(name));
    if (given !== undefined) throw new UsageError(`-${given} is not for ${what}`);
  }

  /** The words, which must be as many as have names here; the last `optional` of them may be missing. */
  wordsAs(names: readonly string[], optional = 0): string[] {
    const missing = names[this.words.length];
    if (this.words.length < names.length - optional) throw new UsageError(`${missing} is missing`);
    const stray = this.words[names.length];
    if (stray !== undefined) throw new UsageError(`unrecognized argument: ${quote(stray)}`);
    return [...this.words];
  }
}

/** Reads the arguments behind the name of a command. Throws {@link UsageError}. */
export function parseArguments(row: CommandRow, args: readonly string[]): Arguments {
  const end = args.indexOf("--");
  let rest = end < 0 ? args : args.slice(0, end);
  const words: string[] = [];
  const values = new Map<string, FlagValue>();
  while (rest.length > 0) {
    const parsed = parseFlags(row.options, rest);
    if (!parsed.ok) throw new UsageError(parsed.error);
    for (const { row: option, value } of parsed.settings) values.set(option.names[0] ?? "", value);
    const [word, ...others] = parsed.positional;
    if (word !== undefined) words.push(word);
    rest = others;
  }
  if (end >= 0) words.push(...args.slice(end + 1));
  return new Arguments(words, values);
}

/** ` (did you mean "x"?)`, or nothing. */
export function hint(word: string, known: Iterable<string>): string {
  const near = nearestName(word, known);
  return near === undefined ? "" : ` (did you mean ${quote(near)}?)`;
}
