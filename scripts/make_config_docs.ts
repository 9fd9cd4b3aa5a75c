/**
 * Writes what the manual says about options, and the sample of a configuration file, from the tables that the program itself
 * is made of. A test compares, so that neither can be forgotten.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { STREAMING_ALIASES } from "../src/config/file_streaming.ts";
import {
  IDLE_KEYS,
  KEY_TABLE,
  type KeyRow,
  type KeyType,
  NATS_ALIASES,
  REFUSED_KEYS,
} from "../src/config/key_table.ts";
import { HELP_GROUPS, IDLE, isIdle, isLater, LATER, OPTION_TABLE, type OptionRow } from "../src/config/option_table.ts";
import { ROOT } from "./project.ts";

/** The manual, whose tables stand between marks, and the sample. */
export const MANUAL_PATH = "docs/configure.md";
export const SAMPLE_PATH = "docs/stanchion.conf";

// Tables of the manual -------------------------------------------------------------------------------------------------

/** A table as the formatter of this repository leaves it: columns padded to the widest cell. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((cellsOfRow) => cellsOfRow.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((_, column) => Math.max(...cells.map((cellsOfRow) => (cellsOfRow[column] ?? "").length)));
  const line = (cellsOfRow: readonly string[]) =>
    `| ${cellsOfRow.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [first = [], ...rest] = cells.map(line);
  return [first, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rest].join("\n");
}

function code(text: string): string {
  return text === "" ? "" : `\`${text}\``;
}

function codes(names: readonly string[]): string {
  return names.map(code).join(" ");
}

function flagTables(): string {
  const parts: string[] = [];
  for (const group of HELP_GROUPS) {
    const rows = OPTION_TABLE.filter((row) => row.group === group && row.status === "available");
    if (rows.length === 0) continue;
    const cells = rows.map((row) => [
      codes(row.names.map((name) => `-${name}`)),
      row.type,
      code(row.default),
      code(row.configKey),
      row.help,
    ]);
    parts.push(`### ${group}\n\n${table(["flags", "type", "default", "key in a file", "effect"], cells)}`);
  }
  return parts.join("\n\n");
}

function unavailableTable(): string {
  const rows: string[][] = [];
  for (const row of OPTION_TABLE) {
    if (row.status === "available") continue;
    const names = codes(row.names.map((name) => `-${name}`));
    if (isIdle(row.status)) rows.push([names, code(row.configKey), `accepted without effect: ${IDLE[row.status]}`]);
    else if (isLater(row.status)) rows.push([names, code(row.configKey), `refused: ${LATER[row.status]}`]);
  }
  for (const [names, why] of IDLE_KEYS) rows.push(["", codes(names.split(" ")), `accepted without effect: ${why}`]);
  for (const [names, advice] of REFUSED_KEYS) rows.push(["", codes(names.split(" ")), `refused: ${advice}`]);
  return table(["flags", "keys", "what happens"], rows);
}

function keyTable(): string {
  const rows = KEY_TABLE.map((row) => [
    code(row.key),
    codes(row.aliases.split(" ").filter((name) => name !== "")),
    row.type,
    code(row.default),
    row.help,
  ]);
  return table(["key", "other names", "type", "default", "effect"], rows);
}

function aliasTable(): string {
  const rows = [
    ...Object.entries(NATS_ALIASES),
    ...Object.entries(STREAMING_ALIASES).map(([key, names]) => [`streaming.${key}`, names] as const),
  ].map(([key, names]) => [code(key), codes(names.split(" "))]);
  return table(["key", "other names"], rows);
}

const TABLES: Readonly<Record<string, () => string>> = {
  flags: flagTables,
  unavailable: unavailableTable,
  keys: keyTable,
  aliases: aliasTable,
};

/** The manual with its tables made anew. */
export function makeManual(present: string): string {
  return present.replaceAll(
    /(<!-- made by scripts\/make_config_docs\.ts: (\w+) -->\n)[\s\S]*?(\n<!-- end -->)/g,
    (_all, begin: string, name: string, end: string) => {
      const make = TABLES[name];
      if (make === undefined) throw new Error(`${MANUAL_PATH}: there is no table ${name}`);
      return `${begin}\n${make()}\n${end}`;
    },
  );
}

// Sample ---------------------------------------------------------------------------------------------------------------

/** A key of the sample. */
interface SampleKey {
  readonly key: string;
  readonly type: KeyType | OptionRow["type"];
  readonly default: string;
  readonly help: string;
}

/** Keys of the top level that say nothing but what another one says. */
const LEFT_OUT = new Set(["listen", "http", "https", "streaming"]);

function sampleKeys(): SampleKey[] {
  const fromFlags = OPTION_TABLE
    .filter((row) => row.status === "available" && row.configKey !== "" && row.configKey !== "tls")
    .map((row) => ({ key: row.configKey, type: row.type, default: row.default, help: row.help }));
  const rest = KEY_TABLE.filter((row) => !LEFT_OUT.has(row.key)).map((row: KeyRow) => row as SampleKey);
  return [...fromFlags, ...rest];
}

function valueText({ type, default: text }: SampleKey): string {
  switch (type) {
    case "int":
    case "size":
    case "bool":
      return text;
    default:
      // Durations above all: 2m without quotes is two millions.
      return JSON.stringify(text);
  }
}

function keyLines(keys: readonly SampleKey[], prefix: string, indent: string, isSwitchable: boolean): string[] {
  return keys.flatMap((key) => {
    const name = key.key.slice(prefix.length);
    const help = `${indent}# ${key.help}`;
    // A key that can be switched on as it stands begins right behind the mark.
    if (isSwitchable && key.default !== "") return [help, `${indent}#${name}: ${valueText(key)}`];
    return [help, `${indent}# ${name}: ${key.default === "" ? `<${key.type}>` : valueText(key)}`];
  });
}

/** The keys directly in a block. */
function keysOf(keys: readonly SampleKey[], block: string): SampleKey[] {
  return keys.filter(({ key }) => key.startsWith(block) && !key.slice(block.length).includes("."));
}

/** The sample: every key that works, with its default, switched off. */
export function makeSample(): string {
  const keys = sampleKeys();
  const lines = [
    "# Everything that can be set, with its default. A line that begins with # and a name can be switched on as it",
    "# stands, and changes nothing; <type> means that there is no default.",
    "#",
    "# Durations and everything with a colon need quotes: 2m without them is two millions.",
    "",
    "# The embedded NATS server, and the process --------------------------------------------------------------------",
    "",
    ...keyLines(keysOf(keys, ""), "", "", true),
    "",
  ];
  for (const block of ["authorization", "tls", "websocket"]) {
    lines.push(`# ${block} {`, ...keyLines(keysOf(keys, `${block}.`), `${block}.`, "#   ", false), "# }", "");
  }
  lines.push(
    "# The streaming server -----------------------------------------------------------------------------------------",
    "",
    "streaming {",
    ...keyLines(keysOf(keys, "streaming."), "streaming.", "  ", true),
  );
  for (const block of ["store_limits", "file_options", "console"]) {
    const prefix = `streaming.${block}.`;
    lines.push("", `  ${block} {`, ...keyLines(keysOf(keys, prefix), prefix, "    ", true), "  }");
  }
  lines.push("}", "");
  return lines.join("\n");
}

/** What stands in the files and what should. */
export function configDocs(): readonly { readonly path: string; readonly present: string; readonly wanted: string }[] {
  const read = (path: string): string => {
    try {
      return readFileSync(join(ROOT, path), "utf8");
    } catch (error) {
      if ((error as { code?: unknown }).code === "ENOENT") return "";
      throw error;
    }
  };
  const manual = read(MANUAL_PATH);
  return [
    { path: MANUAL_PATH, present: manual, wanted: makeManual(manual) },
    { path: SAMPLE_PATH, present: read(SAMPLE_PATH), wanted: makeSample() },
  ];
}

if (import.meta.main) {
  for (const { path, present, wanted } of configDocs()) {
    if (present === wanted) continue;
    writeFileSync(join(ROOT, path), wanted);
    console.log(`${path} written`);
  }
}
