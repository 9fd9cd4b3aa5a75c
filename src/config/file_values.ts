/**
 * Reading typed values out of a parsed configuration file: one place for type errors, unknown keys and the list of
 * what was found wrong (operations.md 2.3). The option readers beside this file say which keys exist.
 */
import { parseDuration } from "../base/duration.ts";
import { quote } from "../base/quote.ts";
import { int64ToNumber } from "../base/size.ts";
import { nearestName } from "../base/suggest.ts";
import { ConfigError } from "./language/errors.ts";
import { type ConfigMap, type ConfigValue, goTypeName, type Place, placeText } from "./language/values.ts";

/** Something an operator should read in the log, although the server can start. */
export interface ConfigNote {
  readonly level: "info" | "warning";
  readonly text: string;
}

/** What was found while reading a file. */
export class FileReport {
  readonly errors: ConfigError[] = [];
  /** Those the reference has: on stderr, and fatal when the file came by `-sc`. */
  readonly warnings: string[] = [];
  readonly notes: ConfigNote[] = [];
  /** Where the file sets an option: path of the field to place. Tells when the command line overrides one. */
  readonly setAt = new Map<string, Place>();

  /** Runs `read`; an error of the configuration is kept, and reading goes on with the next key. */
  attempt(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.errors.push(error);
    }
  }

  warn(at: Place, text: string): void {
    this.warnings.push(`${placeText(at)}: ${text}`);
  }

  note(level: ConfigNote["level"], at: Place, text: string): void {
    this.notes.push({ level, text: `${placeText(at)}: ${text}` });
  }

  /** One warning for a key that nobody knows and that does no harm (decisions.md 8). */
  noteUnknown(at: Place, key: string, block: string, known: Iterable<string>): void {
    const nearest = nearestName(key, known);
    const hint = nearest === undefined ? "" : ` (did you mean ${nearest}?)`;
    this.note("warning", at, `unknown key ${quote(key)} ${block} is ignored${hint}`);
  }
}

/** Reads one value; `key` is as typed. */
export type KeyReader = (value: ConfigValue, key: string) => void;

/** Readers of a block: all names of a key in one text, separated by blanks, in small letters. */
export type BlockReaders = Readonly<Record<string, KeyReader>>;

/** Every name with its reader. */
export function readersByName(readers: BlockReaders): ReadonlyMap<string, KeyReader> {
  const byName = new Map<string, KeyReader>();
  for (const [names, reader] of Object.entries(readers)) {
    for (const name of names.split(" ")) byName.set(name, reader);
  }
  return byName;
}

/** Reads all keys of a block, without regard to case. Of two spellings of one key the later one counts. */
export function readBlock(
  report: FileReport,
  map: ConfigMap,
  readers: BlockReaders,
  unknown: KeyReader = unknownField,
): void {
  const byName = readersByName(readers);
  for (const { key, value, isVariable } of map.entries.values()) {
    const reader = byName.get(key.toLowerCase()) ?? (isVariable ? undefined : unknown);
    if (reader !== undefined) report.attempt(() => reader(value, key));
  }
}

/** Refuses a key, as the reference does inside all blocks of the NATS half. */
export function unknownField(value: ConfigValue, key: string): never {
  throw new ConfigError("CONFIG_UNKNOWN_KEY", `unknown field ${quote(key)}`, value.at);
}

/** Refuses a value. */
export function refuseValue(value: ConfigValue, reason: string): never {
  throw new ConfigError("CONFIG_VALUE", reason, value.at);
}

/** Refuses an option that this version does not have. Never ignored: it could be one that keeps somebody out. */
export function notAvailable(value: ConfigValue, key: string, advice: string): never {
  const reason = `${quote(key)} is not available in this version of stanchion: ${advice}`;
  throw new ConfigError("CONFIG_NOT_AVAILABLE", reason, value.at);
}

function wrongType(value: ConfigValue, wanted: string): never {
  const reason = `interface conversion: interface {} is ${goTypeName(value)}, not ${wanted}`;
  throw new ConfigError("CONFIG_TYPE", reason, value.at);
}

export function asString(value: ConfigValue): string {
  return value.kind === "string" ? value.value : wrongType(value, "string");
}

export function asBoolean(value: ConfigValue): boolean {
  return value.kind === "boolean" ? value.value : wrongType(value, "bool");
}

/** An integer as a number; above 2^53 the nearest one. */
export function asInteger(value: ConfigValue): number {
  return value.kind === "integer" ? int64ToNumber(value.value) : wrongType(value, "int64");
}

export function asMap(value: ConfigValue): ConfigMap {
  return value.kind === "map" ? value : wrongType(value, "map[string]interface {}");
}

export function asList(value: ConfigValue): readonly ConfigValue[] {
  return value.kind === "list" ? value.items : wrongType(value, "[]interface {}");
}

/** One text, or a list of texts; `what` is the reference's name of the field. */
export function asStrings(value: ConfigValue, what: string): readonly string[] {
  if (value.kind === "string") return [value.value];
  if (value.kind !== "list") {
    throw new ConfigError("CONFIG_TYPE", `error parsing ${what}: unsupported type ${goTypeName(value)}`, value.at);
  }
  return value.items.map((item) => {
    if (item.kind === "string") return item.value;
    const reason = `error parsing ${what}: unsupported type in array ${goTypeName(item)}`;
    throw new ConfigError("CONFIG_TYPE", reason, item.at);
  });
}

/** A duration text in milliseconds. `prefix` begins the message before Go's own words. */
export function durationMs(value: ConfigValue, text: string, prefix: string): number {
  const parsed = parseDuration(text);
  return parsed.ok ? parsed.ms : refuseValue(value, `${prefix}${parsed.error}`);
}

/** Seconds as integer or float, or a duration text, in milliseconds. */
export function secondsMs(value: ConfigValue, prefix: string): number {
  switch (value.kind) {
    case "integer":
      return int64ToNumber(value.value) * 1000;
    case "float":
      return value.value * 1000;
    case "string":
      return durationMs(value, value.value, prefix);
    default:
      return refuseValue(value, `${prefix}wrong type`);
  }
}

/** `host:port`, or a port alone. Host empty = not given. */
export function asListen(value: ConfigValue): { readonly host: string; readonly port: number } {
  if (value.kind === "integer") return { host: "", port: int64ToNumber(value.value) };
  if (value.kind !== "string") return refuseValue(value, `expected port or host:port, got ${goTypeName(value)}`);
  const split = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:[\]]*)$/.exec(value.value);
  if (split === null) return refuseValue(value, `could not parse address string ${quote(value.value)}`);
  const port = split[3] ?? "";
  if (!/^[+-]?[0-9]{1,15}$/.test(port)) return refuseValue(value, `could not parse port ${quote(port)}`);
  return { host: split[1] ?? split[2] ?? "", port: Number(port) };
}
