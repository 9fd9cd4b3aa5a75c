/** The commands of the executable: from arguments to exit status. Loaded when one is called, as a server needs none. */
import type { CommandName } from "../../config/commands.ts";
import type { Runtime } from "../../runtime/types.ts";

/** Runs the command; `args` are those behind its name. Resolves with the exit status. */
export async function runTool(command: CommandName, args: readonly string[], runtime: Runtime): Promise<number> {
  if (command === "check" || command === "repair") {
    const { runStoreTool } = await import("./run_store_tool.ts");
    return await runStoreTool(command, args, runtime);
  }
  const { runCommand } = await import("../../cli/run_command.ts");
  return await runCommand(command, args, runtime);
}
