/** `stanchion check` and `stanchion repair`: from arguments to exit status. */
import { type DiskLock, type Runtime, RuntimeError } from "../../runtime/types.ts";
import { bytesToRead, inspectStore, isDirectoryInUse, STORE_FILES, ToolError } from "./inspect_store.ts";
import { Progress } from "./progress.ts";
import { repairStore } from "./repair_store.ts";
import { repairJson, repairText, reportJson, reportText } from "./report.ts";
import { statusOf } from "./store_finding.ts";
import { parseToolArguments, toolHelpText, type ToolName, type ToolOptions } from "./tool_arguments.ts";

/** The tool could not do its work: as a server that cannot start on the directory. */
const EXIT_REFUSED = 3;

/** Runs one of the two; `args` are those behind its name. Resolves with the exit status. */
export async function runStoreTool(tool: ToolName, args: readonly string[], runtime: Runtime): Promise<number> {
  const { process } = runtime;
  const command = parseToolArguments(tool, args, process.programName);
  switch (command.kind) {
    case "help":
      process.writeOut(toolHelpText(tool, process.programName));
      return 0;
    case "error":
      for (const message of command.messages) process.writeErr(`${message}\n`);
      return command.exitCode;
    case "run":
      try {
        return command.options.tool === "check"
          ? check(runtime, command.options)
          : await repair(runtime, command.options);
      } catch (error) {
        if (!(error instanceof ToolError || error instanceof RuntimeError)) throw error;
        process.writeErr(`${error.message}\n`);
        return EXIT_REFUSED;
      }
  }
}

function inspect(runtime: Runtime, options: ToolOptions, isInUse: boolean | undefined) {
  const progress = new Progress(runtime.process, runtime.clock, bytesToRead(runtime.disk, options));
  try {
    return inspectStore(runtime.disk, options, isInUse, (count) => progress.add(count));
  } finally {
    progress.end();
  }
}

function check(runtime: Runtime, options: ToolOptions): number {
  const { report } = inspect(runtime, options, isDirectoryInUse(runtime.disk, options.dir));
  const { process } = runtime;
  process.writeOut(options.json ? reportJson(report) : reportText(report, process.programName));
  return statusOf(report.findings);
}

async function repair(runtime: Runtime, options: ToolOptions): Promise<number> {
  const { disk, process, clock } = runtime;
  // Before the lock: where there is no store no lock file must be left.
  const total = bytesToRead(disk, options);
  const lock = lockDirectory(runtime, options.dir);
  try {
    const inspection = inspect(runtime, options, false);
    const progress = new Progress(process, clock, total);
    let actions: string[];
    try {
      actions = await repairStore(disk, options.dir, inspection, options.crcPolynomial, (count) => progress.add(count));
    } finally {
      progress.end();
    }
    const { report } = inspect(runtime, { ...options, drop: undefined }, false);
    process.writeOut(options.json ? repairJson(actions, report) : repairText(actions, report));
    return statusOf(report.findings) >= 2 ? EXIT_REFUSED : 0;
  } finally {
    lock.release();
  }
}

function lockDirectory({ disk }: Runtime, dir: string): DiskLock {
  const lock = disk.lock(`${dir}/${STORE_FILES.lock}`);
  if (lock !== undefined) return lock;
  throw new ToolError("TOOL_IN_USE", `A server uses the store in "${dir}". Stop it first; nothing was changed`);
}
