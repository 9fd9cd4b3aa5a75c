/** The executable: reads the arguments, starts the server, sets the exit status. */
import { helpText, tlsHelpText } from "./config/help.ts";
import { defaultOptions, type Options, parseCommandLine } from "./config/options.ts";
import { versionText } from "./config/version.ts";
import type { Logger } from "./log/logger.ts";
import { datedLine, openLog } from "./log/open_log.ts";
import { LogError } from "./log/sinks.ts";
import { pickRuntime } from "./runtime/pick.ts";
import { type Runtime, RuntimeError } from "./runtime/types.ts";
import { ServerError, StreamingServer } from "./server/streaming_server.ts";

/** Variables that make the runtime inside the executable load foreign code: treat them like LD_PRELOAD. */
const DANGEROUS_VARIABLES = ["BUN_OPTIONS", "BUN_INSPECT", "BUN_BE_BUN"];
const EXIT_TERMINATED = 143;

const runtime = await pickRuntime();
const { process } = runtime;
const command = parseCommandLine(process.args, process.programName);
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
    await run(runtime, command.options);
}

async function run(runtime: Runtime, options: Options): Promise<void> {
  const log = openLogOrExit(runtime, options);
  const server = new StreamingServer(options, runtime, log);

  const fail = (reason: string): never => {
    log.core.fatal(reason);
    log.close();
    return process.exit(1);
  };
  process.onUncaught((error) => {
    // A broken invariant: going on could write a store we no longer understand.
    const text = error instanceof Error ? error.stack ?? error.message : String(error);
    log.core.fatal(`Internal error, the server stops: ${text}`);
    process.exit(2);
  });
  const stopWith = (code: number) => () => {
    server.stop().then(() => {
      log.close();
      process.exit(code);
    }, (error) => fail(`Error while stopping: ${String(error)}`));
  };
  // From the first instruction on: the reference installs them only when start-up has completed.
  process.onSignal("SIGINT", stopWith(0));
  process.onSignal("SIGTERM", stopWith(EXIT_TERMINATED));
  process.onSignal("SIGUSR1", () => log.reopen());
  process.onSignal("SIGHUP", () => log.core.warn("Reload is not available in this version; nothing was changed"));
  process.onSignal("SIGUSR2", () => log.core.warn("Lame duck mode is not available in this version"));

  for (const name of DANGEROUS_VARIABLES) {
    if (process.env(name) === undefined) continue;
    log.core.warn(`${name} is set in the environment: it can make this program run foreign code. Unset it`);
  }
  server.onFailed = (error) => fail(error.message);
  try {
    // Before clients can get in: a pid file that cannot be written must not end a server that is in use.
    if (options.pidFile !== "") runtime.files.writeText(options.pidFile, String(process.pid), 0o660);
    await server.start();
  } catch (error) {
    if (error instanceof ServerError) fail(error.message);
    if (error instanceof RuntimeError) {
      fail(`Could not write pidfile: ${error.message}. Name a file that can be written, or leave -P out`);
    }
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
