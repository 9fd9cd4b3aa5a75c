/** What a command line is answered with that starts no server. */
import type { CommandLineError } from "../config/options.ts";
import { openLog } from "../log/open_log.ts";
import { LogError } from "../log/sinks.ts";
import type { Runtime } from "../runtime/types.ts";
import { checkOptions } from "./check_options.ts";
import { takeEncryptionKey } from "./encryption.ts";
import type { RunRequest } from "./run.ts";
import { startReport } from "./start_report.ts";

/** Tells why there is no server, and ends the process. Scripts look for reasons of the server in its log (operations.md 1.5). */
export function reportRefused(runtime: Runtime, { messages, exitCode, startFailure, log }: CommandLineError): never {
  const { process } = runtime;
  if (startFailure === false) {
    for (const message of messages) process.writeErr(`${message}\n`);
    return process.exit(exitCode);
  }
  const reason = messages[0] ?? "";
  const write = (target: ReturnType<typeof openLog>): void => {
    if (startFailure === "core") target.core.fatal(reason);
    else target.streaming.fatal(`Failed to start: ${reason}`);
  };
  // A syslog takes time to reach, and this line has to be seen: only files stand in for stderr.
  const settings = { ...log, syslog: false, remoteSyslog: "" };
  try {
    write(openLog(settings, runtime));
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    write(openLog({ ...settings, file: "" }, runtime));
  }
  return process.exit(exitCode);
}

/** The answer of `-t`; ends the process with status 0 when a server would start, else 1. */
export function reportChecked(runtime: Runtime, { options, notes, encryptionKey }: RunRequest): never {
  const { process } = runtime;
  const lines: string[] = [];
  const collect = (text: string): void => void lines.push(text);
  const log = {
    debugEnabled: false,
    traceEnabled: false,
    info: collect,
    warn: collect,
    error: collect,
    fatal: collect,
    debug: collect,
    trace: collect,
  };
  const key = takeEncryptionKey(process, encryptionKey, options.encryption, log);
  for (const { text } of [...notes, ...startReport(options)]) lines.push(text);
  for (const line of lines) process.writeErr(`${line}\n`);
  const reasons = checkOptions(options, runtime, key);
  for (const reason of reasons) process.writeErr(`${reason}\n`);
  if (reasons.length > 0) return process.exit(1);
  const { nats, streaming } = options.configFiles;
  for (const file of new Set([nats, streaming])) {
    if (file !== "") process.writeErr(`${process.programName}: configuration file ${file} is valid\n`);
  }
  return process.exit(0);
}
