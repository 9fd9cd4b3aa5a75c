/**
 * Text as the reference's monitoring prints it (operations.md 5.1): JSON with two blanks and one field per line, Go's escapes,
 * Go's times and durations. Integers above 2^53 come in as `bigint` and are printed exactly.
 */
import { durationToNs, formatDuration } from "../base/duration.ts";

/** What a page consists of. Fields that are `undefined` are left out, so that a page can be written as one literal. */
export type Json =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly Json[]
  /** For names that come from outside: an object would put those that look like numbers first. */
  | ReadonlyMap<string, Json>
  | { readonly [name: string]: Json | undefined };

/** Prints `value` indented by `indent` per level. */
export function goJson(value: Json, indent = "  "): string {
  return print(value, indent, "\n");
}

/** The same on one line. */
export function compactJson(value: Json): string {
  return print(value, "", "");
}

/** `lineStart`: a line feed and the blanks of the level that `value` stands on; empty for one line. */
function print(value: Json, indent: string, lineStart: string): string {
  if (typeof value === "string") return quotedText(value);
  if (typeof value !== "object" || value === null) return String(value);
  const inner = lineStart + indent;
  const parts: string[] = [];
  if (isList(value)) {
    for (const item of value) parts.push(print(item, indent, inner));
    return parts.length === 0 ? "[]" : `[${inner}${parts.join(`,${inner}`)}${lineStart}]`;
  }
  const separator = lineStart === "" ? ":" : ": ";
  const add = (name: string, field: Json) =>
    void parts.push(`${quotedText(name)}${separator}${print(field, indent, inner)}`);
  if (value instanceof Map) { for (const [name, field] of value as ReadonlyMap<string, Json>) add(name, field); }
  else {
    for (const [name, field] of Object.entries(value as Readonly<Record<string, Json | undefined>>)) {
      if (field !== undefined) add(name, field);
    }
  }
  return parts.length === 0 ? "{}" : `{${inner}${parts.join(`,${inner}`)}${lineStart}}`;
}

/** `Array.isArray` does not narrow read-only lists. */
function isList(value: object): value is readonly Json[] {
  return Array.isArray(value);
}

const NEEDS_ESCAPE = /[<>&\u2028\u2029]|\\[bf]/;

function quotedText(text: string): string {
  const json = JSON.stringify(text);
  if (!NEEDS_ESCAPE.test(json)) return json;
  // Escapes are taken whole: a backslash of the text itself stands doubled, and what follows it is no escape.
  return json.replace(/[<>&\u2028\u2029]|\\./g, (found) => {
    // Go knows no short form for these two.
    if (found === "\\b") return "\\u0008";
    if (found === "\\f") return "\\u000c";
    return found.length > 1 ? found : `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** RFC 3339 with nanoseconds, trailing zeros cut, in the zone that is `zoneOffsetMinutes` east of UTC. */
export function rfc3339(stamp: { high: number; low: number }, zoneOffsetMinutes: number): string {
  return rfc3339Ns((BigInt(stamp.high) << 32n) | BigInt(stamp.low), zoneOffsetMinutes);
}

/** The same of nanoseconds since 1970. */
export function rfc3339Ns(ns: bigint, zoneOffsetMinutes: number): string {
  const unixMs = Number(ns / 1_000_000n);
  const local = new Date(unixMs + zoneOffsetMinutes * 60_000).toISOString().slice(0, 19);
  const fraction = String(ns % 1_000_000_000n).padStart(9, "0").replace(/0+$/, "");
  return local + (fraction === "" ? "" : `.${fraction}`) + zoneText(zoneOffsetMinutes);
}

function zoneText(minutes: number): string {
  if (minutes === 0) return "Z";
  const size = Math.abs(minutes);
  const hours = String(Math.floor(size / 60)).padStart(2, "0");
  return `${minutes < 0 ? "-" : "+"}${hours}:${String(size % 60).padStart(2, "0")}`;
}

/** `9s`, `1m9s`, `1h0m9s`, `1d0h0m9s`, `1y0d0h0m9s`. */
export function uptimeText(durationMs: number): string {
  let seconds = Math.max(0, Math.floor(durationMs / 1000));
  const units: [string, number][] = [["y", 365 * 86_400], ["d", 86_400], ["h", 3600], ["m", 60]];
  let text = "";
  for (const [name, size] of units) {
    const count = Math.floor(seconds / size);
    if (count > 0 || text !== "") text += `${count}${name}`;
    seconds -= count * size;
  }
  return `${text}${seconds}s`;
}

/** A Go duration; below a millisecond only whole microseconds, as the reference cuts a round trip time. */
export function roundTripText(ms: number): string {
  return formatDuration(ms < 1 && ms >= 0.001 ? Math.floor(ms * 1000) / 1000 : ms);
}

/** A duration as an option shows it: integer nanoseconds, exact beyond 2^53. */
export function nanoseconds(ms: number): bigint {
  return durationToNs(ms);
}
