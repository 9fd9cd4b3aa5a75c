/**
 * What a configuration file becomes: a tree of typed values, each with the place it came from, so that an error found
 * much later still names file, line and position. Pure data; the parser makes it, the option readers walk it.
 */

/** Where something stands. `column` counts bytes, from 0 on line 1 and from 1 below, as the reference's messages do. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One value. Inside a map `at` is the place of the key, in a list that of the item. */
export type ConfigValue =
  | { readonly kind: "string"; readonly value: string; readonly at: Place }
  | { readonly kind: "integer"; readonly value: bigint; readonly at: Place }
  | { readonly kind: "float"; readonly value: number; readonly at: Place }
  | { readonly kind: "boolean"; readonly value: boolean; readonly at: Place }
  | { readonly kind: "date"; readonly unixMs: number; readonly at: Place }
  | ConfigList
  | ConfigMap;

/** `[ … ]` */
export interface ConfigList {
  readonly kind: "list";
  readonly items: readonly ConfigValue[];
  readonly at: Place;
  /** Values in it, at every depth; a value reached by two ways counts twice. */
  readonly size: number;
}

/** `{ … }`, or a whole file. Keys are exact here; the option readers ignore their case. */
export interface ConfigMap {
  readonly kind: "map";
  /** In the order of the text; of a key that occurs twice only the later one. */
  readonly entries: ReadonlyMap<string, ConfigEntry>;
  readonly at: Place;
  /** As in a list. */
  readonly size: number;
}

/** A key and its value. */
export interface ConfigEntry {
  readonly key: string;
  readonly value: ConfigValue;
  /** A `$key` somewhere refers to it: such a key is never unknown, whatever its name. */
  readonly isVariable: boolean;
}

/** `FILE:LINE:POS` */
export function placeText(at: Place): string {
  return `${at.file}:${at.line}:${at.column}`;
}

/** The same value at another place: what a variable stands for reports errors where it is used. */
export function valueAt(value: ConfigValue, at: Place): ConfigValue {
  return { ...value, at };
}

/** Values inside, the value itself included. */
export function valueSize(value: ConfigValue): number {
  return value.kind === "list" || value.kind === "map" ? value.size : 1;
}

/** The type's name in messages of the NATS half, which are Go's. */
export function goTypeName(value: ConfigValue): string {
  switch (value.kind) {
    case "string":
      return "string";
    case "integer":
      return "int64";
    case "float":
      return "float64";
    case "boolean":
      return "bool";
    case "date":
      return "time.Time";
    case "list":
      return "[]interface {}";
    case "map":
      return "map[string]interface {}";
  }
}

/** The type's name in messages of the streaming half, which name Go's kinds. */
export function goKindName(value: ConfigValue): string {
  switch (value.kind) {
    case "date":
      return "struct";
    case "list":
      return "slice";
    case "map":
      return "map";
    default:
      return goTypeName(value);
  }
}

/**
 * A value in a message. Lists and maps are named by type only: their content could be long, or secret.
 */
export function describeValue(value: ConfigValue): string {
  switch (value.kind) {
    case "string":
    case "integer":
    case "float":
    case "boolean":
      return String(value.value);
    default:
      return goTypeName(value);
  }
}
