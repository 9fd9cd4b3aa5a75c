/** The texts of `stanchion help <command>`, `stanchion <command> --help` and docs/command_line.md, made from the table. Pure. */
import { COMMAND_TABLE, type CommandOption, type CommandRow } from "./command_table.ts";

const WIDTH = 100;
const TEXT_COLUMN = 32;

/** `--count, -n <number>` */
function optionNames({ names, metavar }: CommandOption): string {
  return `${names.map((name) => `${name.length === 1 ? "-" : "--"}${name}`).join(", ")} ${metavar}`.trimEnd();
}

function optionLines(option: CommandOption): string[] {
  const left = `    ${optionNames(option)}`;
  const lines: string[] = [];
  let line = "";
  for (const word of option.help.split(" ")) {
    if (line !== "" && TEXT_COLUMN + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  const indented = lines.map((text) => " ".repeat(TEXT_COLUMN) + text);
  const [first = "", ...others] = indented;
  return left.length < TEXT_COLUMN - 1
    ? [left.padEnd(TEXT_COLUMN) + first.trimStart(), ...others]
    : [left, first, ...others];
}

/** The help of one command, without empty lines around it. */
function bodyOf(row: CommandRow, programName: string): string[] {
  const usage = row.usage.map((text, i) => `${i === 0 ? "Usage:" : "      "} ${programName} ${row.name} ${text}`);
  const examples = row.examples.flatMap(({ text, command }) => [
    `    # ${text}`,
    `    ${command.replaceAll("stanchion", programName)}`,
  ]);
  return [
    ...usage,
    "",
    row.about,
    "",
    "Options:",
    ...row.options.flatMap(optionLines),
    "",
    "Exit status:",
    ...row.statuses.map(([status, meaning]) => `    ${status}  ${meaning}`),
    ...(examples.length === 0 ? [] : ["", "Examples:", ...examples]),
  ];
}

/** What `stanchion <command> --help` prints. */
export function commandHelp(row: CommandRow, programName: string): string {
  return `\n${bodyOf(row, programName).join("\n")}\n\n`;
}

/** The text of docs/command_line.md. */
export function commandsMarkdown(): string {
  const parts = [
    "# Commands",
    "",
    "<!-- Made from the table of commands by scripts/write_command_docs.ts. Change the table, not this file. -->",
    "",
    "The executable is the server, and with a command as its first word it is a tool for it. The commands exist under the",
    "name `stanchion` only; started as `nats-streaming-server` the program has `check` and `repair`, and as `nats-server`",
    "none, so that command lines of the originals keep their meaning.",
    "",
    "Environment: `STANCHION_URL`, `STANCHION_CLUSTER` and `STANCHION_MONITOR` stand for `--server`, `--cluster` and",
    "`--monitor`. Secrets are taken from files or from `STANCHION_PASSWORD`, `STANCHION_AUTH_TOKEN`,",
    "`STANCHION_CONSOLE_TOKEN` and `NATS_STREAMING_ENCRYPTION_KEY`, never from an option: everybody on a machine can read the",
    "options of its processes. Colours are for terminals, and not with `NO_COLOR`.",
    "",
    "Options have one dash or two, and may stand before or behind the words. What stands behind `--` is a word even if it",
    "begins with a dash. Durations are written `500ms`, `30s`, `1h30m`; sizes `128`, `4KB`, `1MB`.",
    "",
    ...COMMAND_TABLE.map(({ name, summary }) => `- [${name}](#${name}): ${summary}`),
  ];
  for (const row of COMMAND_TABLE) {
    parts.push("", `## ${row.name}`, "", `${row.summary}.`, "", "```text", ...bodyOf(row, "stanchion"), "```");
  }
  return `${parts.join("\n")}\n`;
}
