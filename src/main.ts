/** The executable: reads the arguments, starts the server, sets the exit status. */
import { helpText, tlsHelpText } from "./config/help.ts";
import { unsupportedFeatures } from "./config/options.ts";
import { versionText } from "./config/version.ts";
import { createProcessTable } from "./runtime/node/processes.ts";
import { pickRuntime } from "./runtime/pick.ts";
import { reportChecked, reportRefused } from "./server/answers.ts";
import { optionsReader } from "./server/read_options.ts";
import { runServer } from "./server/run.ts";
import { signalProcess } from "./server/signal_process.ts";
import { runTool } from "./server/tools/run_tool.ts";
import { toolOf } from "./server/tools/tool_arguments.ts";

const runtime = await pickRuntime();
const { process } = runtime;
const tool = toolOf(process.args, process.programName);
// The word alone is the flag of the same name, as it always was (operations.md 13.9).
const isServerHelp = tool === "help" && process.args.length === 1;
if (tool !== undefined && !isServerHelp) process.exit(await runTool(tool, process.args.slice(1), runtime));

const read = optionsReader(runtime);
const command = read();
switch (command.kind) {
  case "version":
    process.writeOut(`${versionText(process.programName)}\n`);
    break;
  case "help":
    process.writeOut(helpText(process.programName));
    break;
  case "helpTls":
    process.writeOut(tlsHelpText());
    break;
  case "signal": {
    const error = await signalProcess(command.signal, {
      files: runtime.files,
      processes: createProcessTable(process),
      pid: process.pid,
      programName: process.programName,
      isCommand: ({ args, programName }) => toolOf(args, programName) !== undefined,
    });
    if (error !== undefined) process.writeErr(`${error}\n`);
    process.exit(error === undefined ? 0 : 1);
    break;
  }
  case "error":
    reportRefused(runtime, command);
    break;
  case "run":
  case "checked": {
    for (const warning of command.warnings) process.writeErr(`${warning}\n`);
    const missing = unsupportedFeatures(command.options);
    for (const feature of missing) process.writeErr(`${feature}\n`);
    if (missing.length > 0) process.exit(1);
    if (command.kind === "run") await runServer(runtime, command, read);
    else reportChecked(runtime, command);
  }
}
