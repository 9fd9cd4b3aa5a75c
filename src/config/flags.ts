/**
 * The flag grammar of Go's standard parser (operations.md 1.1): which argument is a flag, which a value, and the texts
 * for what is neither. It knows names and types from the rows it is given and nothing else about them. Pure.
 */
import { parseDuration } from "../base/duration.ts";
import { quote } from "../base/quote.ts";
import { int64ToNumber, isInt64 } from "../base/size.ts";
import { nearestName } from "../base/suggest.ts";
import type { OptionRow } from "./option_table.ts";

/** A value as the flag's type reads it. Sizes stay text: their errors come after all errors of the grammar. */
export type FlagValue = string | number | boolean;

/** One flag of the command line. */
export interface FlagSetting {
  readonly row: OptionRow;
  /** The name as typed, without dashes: messages quote it. */
  readonly name: string;
  readonly value: FlagValue;
}

/** Outcome of {@link parseFlags}. Settings keep their order: the last one of a row counts. */
export type FlagParse =
  | { readonly ok: true; readonly settings: readonly FlagSetting[]; readonly positional: readonly string[] }
  | { readonly ok: false; readonly error: string };

type ValueParse = { readonly ok: true; readonly value: FlagValue } | { readonly ok: false; readonly error: string };

const PARSE_ERROR: ValueParse = Object.freeze({ ok: false, error: "parse error" });
const RANGE_ERROR: ValueParse = Object.freeze({ ok: false, error: "value out of range" });
const UINT64_MAX = (1n << 64n) - 1n;

/** Reads one of the twelve words that Go takes for a boolean. */
export function parseBool(text: string): boolean | undefined {
  switch (text) {
    case "1":
    case "t":
    case "T":
    case "true":
    case "TRUE":
    case "True":
      return true;
    case "0":
    case "f":
    case "F":
    case "false":
    case "FALSE":
    case "False":
      return false;
    default:
      return undefined;
  }
}

/** Underscores may stand between digits and after a base prefix only, as Go demands. */
function underscoresFit(unsigned: string): boolean {
  const digits = /^0[xX]/.test(unsigned) ? /^0[xX](_?[0-9a-fA-F])+$/ : /^(0[bBoO])?(_?[0-9])+$/;
  return digits.test(unsigned) && !unsigned.startsWith("_");
}

/** Reads a 64-bit integer in Go's notations. The order of checks decides between the two errors, so it is Go's. */
export function parseInt64(text: string): { ok: true; value: bigint } | { ok: false; error: string } {
  const negative = text.startsWith("-");
  const unsigned = negative || text.startsWith("+") ? text.slice(1) : text;
  let base = 10n;
  let digits = unsigned;
  if (unsigned.startsWith("0") && unsigned.length > 1) {
    const letter = unsigned.length > 2 ? unsigned.charAt(1).toLowerCase() : "";
    base = letter === "x" ? 16n : letter === "b" ? 2n : 8n;
    digits = unsigned.slice(letter === "x" || letter === "b" || letter === "o" ? 2 : 1);
  }
  if (digits === "") return { ok: false, error: "parse error" };
  let value = 0n;
  for (const char of digits) {
    if (char === "_") continue;
    const digit = "0123456789abcdef".indexOf(char.toLowerCase());
    if (digit < 0 || BigInt(digit) >= base) return { ok: false, error: "parse error" };
    value = value * base + BigInt(digit);
    if (value > UINT64_MAX) return { ok: false, error: "value out of range" };
  }
  if (unsigned.includes("_") && !underscoresFit(unsigned)) return { ok: false, error: "parse error" };
  if (negative) value = -value;
  return isInt64(value) ? { ok: true, value } : { ok: false, error: "value out of range" };
}

function parseValue(row: OptionRow, text: string): ValueParse {
  switch (row.type) {
    case "bool": {
      const value = parseBool(text);
      return value === undefined ? PARSE_ERROR : { ok: true, value };
    }
    case "int": {
      const parsed = parseInt64(text);
      if (parsed.ok) return { ok: true, value: int64ToNumber(parsed.value) };
      return parsed.error === "parse error" ? PARSE_ERROR : RANGE_ERROR;
    }
    case "duration": {
      const parsed = parseDuration(text);
      return parsed.ok ? { ok: true, value: parsed.ms } : PARSE_ERROR;
    }
    case "size":
    case "string":
    case "stringList":
      return { ok: true, value: text };
  }
}

/** The message for a name that no row has, with the nearest name that one has. */
function unknownFlag(name: string, rows: readonly OptionRow[]): string {
  const nearest = nearestName(name, rows.flatMap((row) => row.names));
  const hint = nearest === undefined ? "" : ` (did you mean -${nearest}?)`;
  return `flag provided but not defined: -${name}${hint}`;
}

/** Splits arguments into flags and the rest. Stops at the first error, whose text is Go's plus a hint. */
export function parseFlags(rows: readonly OptionRow[], args: readonly string[]): FlagParse {
  const byName = new Map<string, OptionRow>();
  for (const row of rows) for (const name of row.names) byName.set(name, row);

  const settings: FlagSetting[] = [];
  let index = 0;
  for (; index < args.length; index++) {
    const arg = args[index] ?? "";
    if (arg.length < 2 || !arg.startsWith("-")) break;
    if (arg === "--") {
      index++;
      break;
    }
    const body = arg.slice(arg.startsWith("--") ? 2 : 1);
    if (body.startsWith("-") || body.startsWith("=")) return { ok: false, error: `bad flag syntax: ${arg}` };
    const equals = body.indexOf("=");
    const name = equals < 0 ? body : body.slice(0, equals);
    let text = equals < 0 ? undefined : body.slice(equals + 1);

    const row = byName.get(name);
    if (row === undefined) return { ok: false, error: unknownFlag(name, rows) };
    if (text === undefined) {
      if (row.type === "bool") {
        text = "true";
      } else {
        index++;
        text = args[index];
        if (text === undefined) return { ok: false, error: `flag needs an argument: -${name}` };
      }
    }
    const parsed = parseValue(row, text);
    if (!parsed.ok) {
      const what = row.type === "bool"
        ? `invalid boolean value ${quote(text)} for -${name}`
        : `invalid value ${quote(text)} for flag -${name}`;
      return { ok: false, error: `${what}: ${parsed.error}` };
    }
    settings.push({ row, name, value: parsed.value });
  }
  return { ok: true, settings, positional: args.slice(index) };
}
