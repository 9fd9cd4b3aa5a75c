/**
 * `-t`: everything that can be known about the options without opening a port or touching a store. What passes here starts,
 * unless the machine has something against it.
 */
import { dirname } from "node:path";
import type { Options } from "../config/options.ts";
import { openLog } from "../log/open_log.ts";
import { LogError } from "../log/sinks.ts";
import { syslogTarget } from "../log/syslog.ts";
import type { Runtime } from "../runtime/types.ts";
import { ServerError, StreamingServer } from "./streaming_server.ts";

/** Reasons why a server with these options would not start; none: it would. `encryptionKey` may be empty. */
export function checkOptions(options: Options, runtime: Runtime, encryptionKey: string): readonly string[] {
  const reasons: string[] = [];
  const { log, file, store, pidFile, portsFileDir } = options;
  try {
    // Certificates and keys are read, users are checked, the store takes its options; all without effect outside.
    new StreamingServer(options, runtime, openLog(log, runtime, "silent"), encryptionKey);
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    reasons.push(error.message);
  }
  if (log.file === "" && log.remoteSyslog !== "") {
    try {
      syslogTarget(log.remoteSyslog);
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      reasons.push(error.message);
    }
  }
  const directories: readonly (readonly [string, string])[] = [
    ["log_file", log.file === "" ? "" : dirname(log.file)],
    ["pid_file", pidFile === "" ? "" : dirname(pidFile)],
    ["ports_file_dir", portsFileDir],
  ];
  for (const [name, path] of directories) {
    if (path !== "" && runtime.disk.stat(path)?.kind !== "directory") {
      reasons.push(`${name}: there is no directory ${path}`);
    }
  }
  // It is made when it is not there; anything else in its place cannot be used.
  const root = store === "FILE" ? runtime.disk.stat(file.dir) : undefined;
  if (root !== undefined && root.kind !== "directory") reasons.push(`dir: ${file.dir} is not a directory`);
  return reasons;
}
