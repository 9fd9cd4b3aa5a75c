/** The executable: reads the arguments, starts the server, sets the exit status. */
import { helpText, tlsHelpText } from "./config/help.ts";
import {
  type ConfigNote,
  defaultOptions,
  type FileText,
  type Options,
  parseCommandLine,
  type ParsedCommandLine,
  unsupportedFeatures,
} from "./config/options.ts";
import { versionText } from "./config/version.ts";
import type { Logger } from "./log/logger.ts";
import { datedLine, openLog } from "./log/open_log.ts";
import { LogError } from "./log/sinks.ts";
import { pickRuntime } from "./runtime/pick.ts";
import { type Runtime, RuntimeError } from "./runtime/types.ts";
import { ENCRYPTION_KEY_VARIABLE, KEY_STAND_IN, takeEncryptionKey } from "./server/encryption.ts";
import { reloadFiles } from "./server/reload.ts";
import { ServerError, StreamingServer } from "./server/streaming_server.ts";
import { runTool } from "./server/tools/run_tool.ts";
import { toolOf } from "./server/tools/tool_arguments.ts";
import { StoreError } from "./store/types.ts";

/** Variables that make the runtime inside the executable load foreign code: treat them like LD_PRELOAD. */
const DANGEROUS_VARIABLES = ["BUN_OPTIONS", "BUN_INSPECT", "BUN_BE_BUN"];
const EXIT_TERMINATED = 143;

const runtime = await pickRuntime();
const { process } = runtime;
const tool = toolOf(process.args, process.programName);
if (tool !== undefined) process.exit(await runTool(tool, process.args.slice(1), runtime));
const hasKeyVariable = (process.env(ENCRYPTION_KEY_VARIABLE) ?? "") !== "";
const command = parse();
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
  case "error":
    if (command.startFailure) {
      // Scripts look for this reason in the log (operations.md 1.5).
      openLog(defaultOptions().log, runtime).streaming.fatal(`Failed to start: ${command.messages[0]}`);
    } else {
      for (const message of command.messages) process.writeErr(`${message}\n`);
    }
    process.exit(command.exitCode);
    break;
  case "run":
  case "checked": {
    for (const warning of command.warnings) process.writeErr(`${warning}\n`);
    const missing = unsupportedFeatures(command.options);
    for (const feature of missing) process.writeErr(`${feature}\n`);
    if (missing.length > 0) process.exit(1);
    if (command.kind === "run") await run(runtime, command.options, command.notes, command.encryptionKey);
    else tellChecked(command.options, command.notes);
  }
}

/** Reads the command line and the files that it names as they are at this moment. */
function parse(): ParsedCommandLine {
  return parseCommandLine(process.args, process.programName, {
    readFile: (path) => readConfig(runtime, path),
    // A file may name the variable of the key, also when it is read again and the variable is gone. What it is given does
    // not matter: the variable itself beats the file.
    env: (name) => name === ENCRYPTION_KEY_VARIABLE && hasKeyVariable ? KEY_STAND_IN : process.env(name),
  });
}

/** The answer of `-t`. */
function tellChecked({ configFiles }: Options, notes: readonly ConfigNote[]): void {
  for (const note of notes) process.writeErr(`${note.text}\n`);
  for (const file of new Set([configFiles.nats, configFiles.streaming])) {
    if (file !== "") process.writeErr(`${process.programName}: configuration file ${file} is valid\n`);
  }
}

/** A file of the configuration; the reason is in the words that the reference takes from the system. */
function readConfig({ files }: Runtime, path: string): FileText {
  try {
    return { ok: true, text: files.readText(path) };
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    if (error.code === "NOT_FOUND") return { ok: false, reason: "no such file or directory" };
    return { ok: false, reason: error.code === "PERMISSION_DENIED" ? "permission denied" : error.message };
  }
}

async function run(
  runtime: Runtime,
  options: Options,
  notes: readonly ConfigNote[],
  givenKey: string,
): Promise<void> {
  const log = openLogOrExit(runtime, options);
  for (const { level, text } of notes) {
    if (level === "warning") log.core.warn(text);
    else log.core.info(text);
  }
  const fail = (reason: string): never => {
    log.core.fatal(reason);
    log.close();
    return process.exit(1);
  };
  const encryptionKey = takeEncryptionKey(process, givenKey, options.encryption, log.streaming);
  if (options.encryption.enabled && encryptionKey === "") {
    // Scripts look for this line (operations.md 13.18).
    log.streaming.fatal("Failed to start: encryption key required");
    log.close();
    process.exit(1);
  }
  const server = buildServer(options, runtime, log, encryptionKey, fail);
  process.onUncaught((error) => {
    // A broken invariant: going on could write a store we no longer understand.
    const text = error instanceof Error ? error.stack ?? error.message : String(error);
    log.core.fatal(`Internal error, the server stops: ${text}`);
    process.exit(2);
  });
  const exitAfter = (end: Promise<void>, code: number) => {
    end.then(() => {
      log.close();
      process.exit(code);
    }, (error) => fail(`Error while stopping: ${String(error)}`));
  };
  const stopWith = (code: number) => () => exitAfter(server.stop(), code);
  // From the first instruction on: the reference installs them only when start-up has completed.
  process.onSignal("SIGINT", stopWith(0));
  process.onSignal("SIGTERM", stopWith(EXIT_TERMINATED));
  process.onSignal("SIGUSR1", () => log.reopen());
  const started = Promise.withResolvers<void>();
  // Told while the server starts, it is done when the server has started: the files may have changed after they were read.
  process.onSignal("SIGHUP", () => void started.promise.then(() => reloadFiles(server, log, parse)));
  process.onSignal("SIGUSR2", () => {
    if (server.core === undefined) {
      // A second one does not wait for the clients.
      return exitAfter(server.nats.isLameDuck ? server.stop() : server.lameDuck(), 0);
    }
    // Reference: the signal changes nothing in a streaming server (operations.md 4.1). Its clients have no other to go to.
    log.streaming.info("Lame duck mode ignored: a streaming server is stopped by SIGINT");
  });

  for (const name of DANGEROUS_VARIABLES) {
    if (process.env(name) === undefined) continue;
    log.core.warn(`${name} is set in the environment: it can make this program run foreign code. Unset it`);
  }
  server.onFailed = (error) => fail(error.message);
  try {
    // Before clients can get in: a pid file that cannot be written must not end a server that is in use.
    if (options.pidFile !== "") runtime.files.writeText(options.pidFile, String(process.pid), 0o660);
    await server.start();
    started.resolve();
  } catch (error) {
    if (error instanceof ServerError) startFailed(log, error);
    if (error instanceof RuntimeError) {
      fail(`Could not write pidfile: ${error.message}. Name a file that can be written, or leave -P out`);
    }
    throw error;
  }
}

/** The last line of a start that failed, from the half to which the reason belongs (operations.md 1.5). */
function startFailed(log: Logger, error: ServerError): never {
  if (error.cause instanceof StoreError) log.streaming.fatal(`Failed to start: ${error.message}`);
  else log.core.fatal(error.message);
  log.close();
  return process.exit(1);
}

function buildServer(
  options: Options,
  runtime: Runtime,
  log: Logger,
  encryptionKey: string,
  fail: (reason: string) => never,
): StreamingServer {
  try {
    return new StreamingServer(options, runtime, log, encryptionKey);
  } catch (error) {
    if (error instanceof ServerError) return fail(error.message);
    throw error;
  }
}

function openLogOrExit(runtime: Runtime, options: Options): Logger {
  try {
    return openLog(options.log, runtime);
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    process.writeErr(datedLine(runtime, `${error.message}. Name a file that can be written, or leave -l out`));
    return process.exit(1);
  }
}
