/** From the arguments behind the name of a command to its exit status. Modules are loaded when their command is called. */
import type { CommandName } from "../config/commands.ts";
import { commandsOf } from "../config/commands.ts";
import { RuntimeError } from "../runtime/types.ts";
import type { Runtime } from "../runtime/types.ts";
import { quote } from "../base/quote.ts";
import { ToolError } from "../server/tools/inspect_store.ts";
import { toolHelpText } from "../server/tools/tool_arguments.ts";
import { type Arguments, hint, parseArguments } from "./arguments.ts";
import { type CommandRow, commandRow } from "./command_table.ts";
import { commandHelp } from "./help.ts";
import { type CliHost, CommandError, createHost, UsageError } from "./host.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** Commands that this module runs; `check` and `repair` have a way of their own. */
export type CliCommandName = Exclude<CommandName, "check" | "repair">;

type Run = (args: Arguments, host: CliHost) => Promise<number> | number;

async function load(name: Exclude<CliCommandName, "help">): Promise<Run> {
  switch (name) {
    case "pub":
      return (await import("./pub.ts")).runPub;
    case "sub":
      return (await import("./sub.ts")).runSub;
    case "bench":
      return (await import("./bench.ts")).runBench;
    case "channels":
      return (await import("./channels.ts")).runChannels;
    case "clients":
      return (await import("./clients.ts")).runClients;
    case "durables":
      return (await import("./durables.ts")).runDurables;
    case "trace":
      return (await import("./trace.ts")).runTrace;
    case "export":
      return (await import("./export.ts")).runExport;
    case "completions":
      return (await import("./completions.ts")).runCompletions;
  }
}

/** Runs a command of this process. */
export async function runCommand(name: CliCommandName, args: readonly string[], runtime: Runtime): Promise<number> {
  return await runCommandOn(name, args, await createHost(runtime));
}

/** Runs a command; never throws for what an operator can do something about. */
export async function runCommandOn(name: CliCommandName, args: readonly string[], host: CliHost): Promise<number> {
  const row = commandRow(name);
  try {
    const parsed = parseArguments(row, args);
    if (parsed.flag("help")) {
      host.out(commandHelp(row, host.programName));
      return 0;
    }
    if (name === "help") return help(parsed, host);
    const run = await load(name);
    return await run(parsed, host);
  } catch (error) {
    return failed(error, row, host);
  }
}

function failed(error: unknown, row: CommandRow, host: CliHost): number {
  if (error instanceof UsageError) {
    host.err(`${error.message}\nRun "${host.programName} ${row.name} --help" to see the options.\n`);
    return EXIT_USAGE;
  }
  if (error instanceof CommandError || error instanceof ToolError || error instanceof RuntimeError) {
    host.err(`${error.message}\n`);
    return EXIT_FAILED;
  }
  throw error;
}

function help(args: Arguments, host: CliHost): number {
  const [word = "help"] = args.wordsAs(["COMMAND"], 1);
  const commands = commandsOf(host.programName);
  const command = commands.find(({ name }) => name === word);
  if (command === undefined) {
    throw new UsageError(`There is no command ${quote(word)}${hint(word, commands.map(({ name }) => name))}`);
  }
  const { name } = command;
  host.out(
    name === "check" || name === "repair"
      ? toolHelpText(name, host.programName)
      : commandHelp(commandRow(name), host.programName),
  );
  return 0;
}
