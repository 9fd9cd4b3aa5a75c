/**
 * Which command the arguments ask for, and the command lines of `check` and `repair`, in the flag grammar of the server
 * itself: one dash or two, `-name value` or `-name=value`, and the nearest name for one that is not known. Pure.
 */
import { nearestName } from "../../base/suggest.ts";
import { quote } from "../../base/quote.ts";
import { type CommandName, commandsOf } from "../../config/commands.ts";
import { parseFlags } from "../../config/flags.ts";
import type { OptionRow, OptionType } from "../../config/option_table.ts";
import { CRC_POLYNOMIAL_IEEE } from "../../store/file/crc.ts";

/** The commands that work on the directory of a store under the server's own grammar. */
export type ToolName = "check" | "repair";

/** Sequences, both ends included. */
export interface SequenceRange {
  readonly first: number;
  readonly last: number;
}

export interface ToolOptions {
  readonly tool: ToolName;
  readonly dir: string;
  /** Undefined: all of them. */
  readonly channel: string | undefined;
  readonly json: boolean;
  readonly crcPolynomial: number;
  /** Of `repair`: messages whose content goes. */
  readonly drop: SequenceRange | undefined;
}

/** Outcome of {@link parseToolArguments}. */
export type ToolCommand =
  | { readonly kind: "run"; readonly options: ToolOptions }
  | { readonly kind: "help"; readonly tool: ToolName }
  | { readonly kind: "error"; readonly messages: readonly string[]; readonly exitCode: 2 };

function row(names: string, type: OptionType, metavar: string, help: string): OptionRow {
  return {
    names: names.split(" "),
    type,
    default: "",
    configKey: "",
    group: "Common Options",
    metavar,
    help,
    unlisted: [],
    field: undefined,
    effect: undefined,
    status: "available",
  };
}

/** Options of `check`. */
export const CHECK_ROWS: readonly OptionRow[] = Object.freeze([
  row("dir", "string", "<string>", "Root directory of the FILE store"),
  row("channel", "string", "<string>", "Only this channel"),
  row("json", "bool", "", "One JSON document on standard output"),
  row("file_crc_poly", "int", "<int>", "Polynomial of the checksums, as the server was given it (default: 3988292384)"),
  row("help h", "bool", "", "Show this message"),
]);
/** Options of `repair`. */
export const REPAIR_ROWS: readonly OptionRow[] = Object.freeze([
  ...CHECK_ROWS.slice(0, 2),
  row("drop", "string", "<from>..<to>", "Also replace these messages of the channel by empty ones"),
  ...CHECK_ROWS.slice(2),
]);

/** What `check` does, for its help. */
export const CHECK_ABOUT = `Reads a FILE store and says what is wrong with it and what would be done. Nothing is
written. Every message is read and its checksum verified. While a server uses the
directory, what it is writing at that moment may look incomplete.`;

/** What `repair` does, for its help. */
export const REPAIR_ABOUT = `Does what "check" proposes, so that this server and the original open the directory.
Refuses while a server uses it. What is cut out of a file is kept beside it in a file
whose name begins with a dot. A message that is lost becomes an empty message with its
time, so that all others keep their sequence.`;

/** Exit statuses of `check`. */
export const CHECK_STATUSES = Object.freeze(
  [
    [0, "sound"],
    [1, "a start of the server heals it, nothing that was promised is lost"],
    [2, 'something is lost, or cannot be read; "repair" keeps the rest'],
    [3, "a server would not start on it"],
  ] as const,
);

/** Exit statuses of `repair`. */
export const REPAIR_STATUSES = Object.freeze(
  [
    [0, "the directory is sound"],
    [2, "the command line makes no sense"],
    [3, "refused, or not possible: the reason is on standard error"],
  ] as const,
);

/**
 * The command that the first word asks for; undefined: the arguments are for the server. `help` alone is the server's help,
 * as it is the original's, and lists the commands.
 */
export function toolOf(args: readonly string[], programName: string): CommandName | undefined {
  if (args[0] === "help" && args.length === 1) return undefined;
  return commandsOf(programName).find(({ name }) => name === args[0])?.name;
}

/** Reads the arguments behind the name of the sub-command. */
export function parseToolArguments(tool: ToolName, args: readonly string[], programName: string): ToolCommand {
  const rows = tool === "check" ? CHECK_ROWS : REPAIR_ROWS;
  const fail = (message: string): ToolCommand => ({
    kind: "error",
    messages: [message, `Run "${programName} ${tool} --help" to see the options.`],
    exitCode: 2,
  });
  const flags = parseFlags(rows, args);
  if (!flags.ok) return fail(flags.error);
  const values = new Map(flags.settings.map(({ row, value }) => [row.names[0], value]));
  if (values.get("help") === true || flags.positional[0] === "help") return { kind: "help", tool };
  const [stray] = flags.positional;
  if (stray !== undefined) {
    const near = nearestName(stray, rows.flatMap(({ names }) => names));
    return fail(`unrecognized argument: ${quote(stray)}${near === undefined ? "" : ` (did you mean -${near}?)`}`);
  }
  const dir = String(values.get("dir") ?? "");
  if (dir === "") return fail(`${tool} needs the directory of a store: -dir <string>`);
  const crcPolynomial = Number(values.get("file_crc_poly") ?? CRC_POLYNOMIAL_IEEE);
  if (crcPolynomial < 1 || crcPolynomial > 0xffff_ffff) {
    return fail("crc polynomial should be between 1 and 4294967295");
  }
  const channel = values.has("channel") ? String(values.get("channel")) : undefined;
  let drop: SequenceRange | undefined;
  if (values.has("drop")) {
    const text = String(values.get("drop"));
    drop = parseRange(text);
    if (drop === undefined) {
      return fail(`invalid value ${quote(text)} for flag -drop: expected <from>..<to>, from 1 on`);
    }
    if (channel === undefined) return fail("-drop needs the channel whose messages are meant: -channel <string>");
  }
  return {
    kind: "run",
    options: {
      tool,
      // "data/" and "data" are the same directory, and every path is made by joining.
      dir: dir.length > 1 ? dir.replace(/\/+$/, "") || "/" : dir,
      channel,
      json: values.get("json") === true,
      crcPolynomial,
      drop,
    },
  };
}

function parseRange(text: string): SequenceRange | undefined {
  const match = /^(\d{1,16})(?:\.\.(\d{1,16}))?$/.exec(text);
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return first >= 1 && first <= last && Number.isSafeInteger(last) ? { first, last } : undefined;
}

/** The text of `check --help` and `repair --help`. */
export function toolHelpText(tool: ToolName, programName: string): string {
  const rows = tool === "check" ? CHECK_ROWS : REPAIR_ROWS;
  const lines = rows.map(({ names, metavar, help }) => {
    const left = `    ${names.map((name) => `${name.length === 1 ? "-" : "--"}${name}`).join(", ")} ${metavar}`;
    return `${left.trimEnd().padEnd(32)}${help}`;
  });
  const about = tool === "check" ? CHECK_ABOUT : REPAIR_ABOUT;
  const statuses = (tool === "check" ? CHECK_STATUSES : REPAIR_STATUSES).map(([status, text]) =>
    `    ${status}  ${text}`
  );
  return `\nUsage: ${programName} ${tool} --dir <string> [options]\n\n${about}\n\nExit status:\n${
    statuses.join("\n")
  }\n\nOptions:\n${lines.join("\n")}\n\n`;
}
