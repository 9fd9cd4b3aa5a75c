/** `stanchion completions`: scripts that complete the command line in a shell, made from the table. */
import { quote } from "../base/quote.ts";
import type { Arguments } from "./arguments.ts";
import { COMMAND_TABLE, type CommandOption, type CommandRow } from "./command_table.ts";
import { hint } from "./arguments.ts";
import { type CliHost, UsageError } from "./host.ts";

const SHELLS = Object.freeze({ bash: bashScript, zsh: zshScript, fish: fishScript });

/** Runs the command; resolves with the exit status. */
export function runCompletions(args: Arguments, host: CliHost): number {
  const [shell = ""] = args.wordsAs(["bash, zsh or fish"]);
  const script = Object.entries(SHELLS).find(([name]) => name === shell)?.[1];
  if (script === undefined) {
    throw new UsageError(
      `There are no completions for ${quote(shell)}${hint(shell, Object.keys(SHELLS))}: known are bash, zsh, fish`,
    );
  }
  host.out(script(host.programName));
  return 0;
}

/** `--count`, `-n` */
function spelled(option: CommandOption): string[] {
  return option.names.map((name) => `${name.length === 1 ? "-" : "--"}${name}`);
}

function valued(row: CommandRow, complete: (option: CommandOption) => boolean): string[] {
  return row.options.filter((option) => option.type !== "bool" && complete(option)).flatMap(spelled);
}

/** In single quotes for a POSIX shell. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A name that can be part of a function's. */
function functionName(programName: string): string {
  return `_${programName.replaceAll(/[^A-Za-z0-9_]/g, "_")}`;
}

/** For bash 4 and later. */
export function bashScript(programName: string): string {
  const name = functionName(programName);
  const cases = COMMAND_TABLE.map((row) => {
    const lines = [
      `      words=${shellQuoted(row.words.join(" "))}`,
      `      options=${shellQuoted(row.options.flatMap(spelled).join(" "))}`,
      `      files=${shellQuoted(` ${valued(row, ({ complete }) => complete === "file").join(" ")} `)}`,
      `      directories=${shellQuoted(` ${valued(row, ({ complete }) => complete === "directory").join(" ")} `)}`,
      `      others=${shellQuoted(` ${valued(row, ({ complete }) => complete === "none").join(" ")} `)}`,
    ];
    const choices = row.options.flatMap((option) => {
      if (!Array.isArray(option.complete)) return [];
      const known = (option.complete as readonly string[]).join(" ");
      return [
        `      case $before in`,
        `        ${spelled(option).join("|")}) COMPREPLY=($(compgen -W ${
          shellQuoted(known)
        } -- "$current")); return ;;`,
        `      esac`,
      ];
    });
    return [`    ${row.name})`, ...lines, ...choices, "      ;;"].join("\n");
  });
  return `# Completions of ${programName} for bash: eval "$(${programName} completions bash)"
${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
  local words= options= files= directories= others=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W ${shellQuoted(COMMAND_TABLE.map(({ name }) => name).join(" "))} -- "$current"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join("\n")}
    *) return ;;
  esac
  case $files in *" $before "*) compopt -o filenames; COMPREPLY=($(compgen -f -- "$current")); return ;; esac
  case $directories in *" $before "*) compopt -o filenames; COMPREPLY=($(compgen -d -- "$current")); return ;; esac
  # The value of another option is for its user to know.
  case $others in *" $before "*) return ;; esac
  case $current in
    -*) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
    *) [ "$COMP_CWORD" -eq 2 ] && COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
  esac
}
complete -F ${name} ${programName}
`;
}

/** For zsh, behind compinit. */
export function zshScript(programName: string): string {
  const name = functionName(programName);
  const escape = (text: string) => text.replaceAll(/[[\]:\\]/g, (character) => `\\${character}`);
  const action = ({ complete, metavar }: CommandOption) => {
    const label = metavar.replaceAll(/[<>:]/g, "");
    if (complete === "file") return `:${label}:_files`;
    if (complete === "directory") return `:${label}:_files -/`;
    return complete === "none" ? `:${label}:` : `:${label}:(${complete.join(" ")})`;
  };
  const cases = COMMAND_TABLE.map((row) => {
    const specs = row.options.flatMap((option) =>
      spelled(option).map((spelling) =>
        shellQuoted(`${spelling}[${escape(option.help)}]${option.type === "bool" ? "" : action(option)}`)
      )
    );
    const words = row.words.length === 0 ? [] : [shellQuoted(`1:word:(${row.words.join(" ")})`)];
    return [`    ${row.name})`, `      _arguments ${[...specs, ...words].join(" \\\n        ")}`, "      ;;"].join(
      "\n",
    );
  });
  const commands = COMMAND_TABLE.map((row) => `      ${shellQuoted(`${row.name}:${escape(row.summary)}`)}`);
  return `#compdef ${programName}
# Completions of ${programName} for zsh: eval "$(${programName} completions zsh)"
${name}() {
  if (( CURRENT == 2 )); then
    local -a commands
    commands=(
${commands.join("\n")}
    )
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join("\n")}
  esac
}
compdef ${name} ${programName}
`;
}

/** For fish. */
export function fishScript(programName: string): string {
  // Inside single quotes fish knows two escapes.
  const quoted = (text: string) => `'${text.replaceAll(/['\\]/g, (character) => `\\${character}`)}'`;
  const lines = [
    `# Completions of ${programName} for fish: ${programName} completions fish | source`,
    `complete -c ${programName} -f`,
  ];
  for (const { name, summary } of COMMAND_TABLE) {
    lines.push(`complete -c ${programName} -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`);
  }
  for (const row of COMMAND_TABLE) {
    const when = `-n ${quoted(`__fish_seen_subcommand_from ${row.name}`)}`;
    if (row.words.length > 0) lines.push(`complete -c ${programName} ${when} -a ${quoted(row.words.join(" "))}`);
    for (const { names, type, complete, help } of row.options) {
      const spellings = names.map((name) => name.length === 1 ? `-s ${name}` : `-l ${name}`).join(" ");
      const value = type === "bool"
        ? ""
        : complete === "file"
        ? " -r -F"
        : complete === "directory"
        ? " -r -a '(__fish_complete_directories)'"
        : complete === "none"
        ? " -x"
        : ` -x -a ${quoted(complete.join(" "))}`;
      lines.push(`complete -c ${programName} ${when} ${spellings}${value} -d ${quoted(help)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
