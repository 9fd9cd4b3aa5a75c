/** Small pieces of text that several commands print. Pure. */
import { oneLine } from "../base/quote.ts";

const NS_PER_SECOND = 1_000_000_000n;
const HEX_ROW_BYTES = 16;

/** RFC 3339 in UTC, nine digits of a second. */
export function timeText(ns: bigint): string {
  const seconds = ns / NS_PER_SECOND;
  const fraction = String(ns % NS_PER_SECOND).padStart(9, "0");
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

/** The text of a payload; undefined when it is no UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** A payload in a JSON line: `data` when it is text, else `data_base64`. */
export function payloadJson(bytes: Uint8Array): { data: string } | { data_base64: string } {
  const text = textOf(bytes);
  return text === undefined ? { data_base64: base64(bytes) } : { data: text };
}

/** Standard base64. */
export function base64(bytes: Uint8Array): string {
  let binary = "";
  // In pieces: a call takes a limited number of arguments.
  for (let at = 0; at < bytes.length; at += 8192) {
    binary += String.fromCharCode.apply(null, bytes.subarray(at, at + 8192) as unknown as number[]);
  }
  return btoa(binary);
}

/** Rows of `00000000  68 65 6c 6c 6f                                    |hello|`. */
export function hexView(bytes: Uint8Array, indent = ""): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += HEX_ROW_BYTES) {
    const row = bytes.subarray(at, at + HEX_ROW_BYTES);
    const digits = [...row].map((byte) => byte.toString(16).padStart(2, "0"));
    const left = digits.slice(0, 8).join(" ");
    const right = digits.slice(8).join(" ");
    const text = [...row].map((byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join("");
    rows.push(`${indent}${at.toString(16).padStart(8, "0")}  ${left.padEnd(23)}  ${right.padEnd(23)}  |${text}|`);
  }
  return rows.map((row) => `${row}\n`).join("");
}

/** True when people can read it on a terminal: UTF-8, and no control characters but tab and line ends. */
export function isReadable(text: string): boolean {
  return oneLine(text.replaceAll(/\r?\n/g, "")) === text.replaceAll(/\r?\n/g, "");
}

/** `1 message`, `2 messages`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** `950 µs`, `1.25 ms`, `350 ms`, `1.20 s`, `2m 5s`. */
export function millisText(ms: number): string {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 10) return `${ms.toFixed(2)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(2)} s`;
  return ageText(ms / 1000);
}

/** `5s`, `2m 5s`, `3h 0m`, `4d 2h`: two units are enough to judge an age. */
export function ageText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${whole % 60}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h ${Math.floor((whole % 3600) / 60)}m`;
  return `${Math.floor(whole / 86_400)}d ${Math.floor((whole % 86_400) / 3600)}h`;
}

/** One column of a table. */
export interface Column {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly right?: boolean;
}

/** Columns as wide as their widest cell, two blanks between them. Cells cannot break the line or steer a terminal. */
export function tableText(columns: readonly Column[], rows: readonly (readonly string[])[], bold = false): string {
  const clean = rows.map((row) => row.map(oneLine));
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...clean.map((row) => [...(row[i] ?? "")].length))
  );
  const line = (cells: readonly string[]) =>
    columns.map(({ right }, i) => {
      const cell = cells[i] ?? "";
      const fill = " ".repeat(Math.max(0, (widths[i] ?? 0) - [...cell].length));
      return right === true ? fill + cell : cell + fill;
    }).join("  ").trimEnd();
  const head = line(columns.map(({ title }) => title));
  return [bold ? `\x1b[1m${head}\x1b[0m` : head, ...clean.map(line)].map((text) => `${text}\n`).join("");
}

/** The value at share `share` (0 to 1) of sorted numbers; 0 of none. */
export function percentile(sorted: Float64Array, share: number): number {
  if (sorted.length === 0) return 0;
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? 0;
}

/** Reads RFC 3339 to nanoseconds since 1970, exact; undefined when it is none. */
export function parseTime(text: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return undefined;
  const ms = Date.parse(`${(match[1] ?? "").replace(" ", "T")}${(match[3] ?? "").toUpperCase()}`);
  if (Number.isNaN(ms)) return undefined;
  return BigInt(ms) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}
