/**
 * Reload of the configuration while clients are served (operations.md 2.8). Everything that can fail happens before
 * anything changes: files are read, users and certificates checked, the new log is opened. What cannot be reloaded, or read,
 * leaves the server as it was.
 */
import type { Options, ParsedCommandLine, TlsOptions } from "../config/options.ts";
import { unsupportedFeatures } from "../config/options.ts";
import { planReload, type ReloadPlan } from "../config/reload.ts";
import type { Logger } from "../log/logger.ts";
import { openTarget } from "../log/open_log.ts";
import { LogError } from "../log/sinks.ts";
import { AuthOptionsError } from "../nats/auth/types.ts";
import type { NatsServer } from "../nats/nats_server.ts";
import type { NatsTlsOptions } from "../nats/tls_entry.ts";
import type { WebSocketListenerOptions } from "../nats/websocket/websocket_listener.ts";
import { type Runtime, RuntimeError } from "../runtime/types.ts";
import { natsAuthOf, natsOptionsOf } from "./nats_options.ts";
import { readTlsFiles, TlsFileError } from "./tls_files.ts";
import { webSocketAuthOf } from "./websocket_options.ts";

/** A reload that was refused; nothing has changed. `message` is the reason, in the reference's words where it has some. */
export class ReloadError extends Error {
  override readonly name = "ReloadError";
  readonly code = "RELOAD_REFUSED";
}

/** The server, as far as a reload goes. */
export interface ReloadTarget {
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly nats: NatsServer;
  readonly options: Options;
}

/** Puts the options that can be reloaded in force, and tells each change in the log. Throws {@link ReloadError}. */
export function applyReload(target: ReloadTarget, wanted: Options): Options {
  const { nats, log, runtime, options: current } = target;
  const tls = readTls(target, wanted.tls, nats.options.tls);
  const outcome = planReload(current, wanted, {
    boundPort: nats.port,
    isTlsRenewed: tls?.server !== nats.options.tls?.server,
  });
  if (!outcome.ok) throw new ReloadError(outcome.reason);
  const { options } = outcome;
  const isSameAuth = options.auth === current.auth && nats.options.auth !== undefined;
  const auth = isSameAuth ? nats.options.auth : natsAuthOf(options);
  const steps = refusing(() => ({
    nats: nats.prepare(natsOptionsOf(options, auth, tls, runtime.network.socketCountMax, webSocketOf(target, options))),
    // The last one: what it opens has an owner only when nothing fails any more.
    logTarget: prepareFiles(target, options),
  }));

  nats.adopt(steps.nats);
  const { debug, trace, streamingDebug, streamingTrace } = options.log;
  log.setSwitches({ debug, trace }, { debug: streamingDebug, trace: streamingTrace });
  tell(target, outcome);
  nats.recheckClients();
  // The lines about the changes are the last ones in the old place, and the last line is the first one in the new.
  if (steps.logTarget !== undefined) log.redirect(steps.logTarget);
  log.core.info("Reloaded server configuration");
  return options;
}

function tell({ nats, log }: ReloadTarget, { changes, keptNames }: ReloadPlan): void {
  for (const { option, text } of changes) {
    if (option === "maxConnections") nats.closeSurplus();
    log.core.info(text);
  }
  if (keptNames.length === 0) return;
  log.streaming.warn(`Reload: these options are read at start only and keep their values: ${keptNames.join(", ")}`);
}

/** The port itself stays as it is; who may enter by it can change, and its certificates are read again. */
function webSocketOf(target: ReloadTarget, next: Options): WebSocketListenerOptions | undefined {
  const { nats, options: current } = target;
  const present = nats.options.webSocket;
  if (present === undefined) return undefined;
  const auth = next.auth === current.auth ? present.auth : webSocketAuthOf(next);
  return { ...present, auth, tls: readTls(target, next.websocket?.tls, present.tls) };
}

/** With the present context if the files say the same: platforms keep what they derived from it. */
function readTls(
  { runtime }: ReloadTarget,
  tls: TlsOptions | undefined,
  present: NatsTlsOptions | undefined,
): NatsTlsOptions | undefined {
  if (tls === undefined) return undefined;
  const read = refusing(() => readTlsFiles(tls, runtime.files));
  if (present === undefined || !isSameServer(present.server, read.server)) return read;
  return Object.freeze({ ...read, server: present.server });
}

function isSameServer(a: NatsTlsOptions["server"], b: NatsTlsOptions["server"]): boolean {
  return a.certificate === b.certificate && a.key === b.key && a.authorities === b.authorities &&
    a.verifyClient === b.verifyClient && a.minVersion === b.minVersion;
}

/** What the log is opened with; a size limit cannot be reloaded. */
const LOG_TARGET = ["file", "syslog", "remoteSyslog", "time", "utc"] as const;

/** Writes the pid to its new file and opens the new log, where those changed. */
function prepareFiles(
  { runtime, log, options }: ReloadTarget,
  next: Options,
): ReturnType<typeof openTarget> | undefined {
  const { pidFile } = next;
  if (pidFile !== "" && pidFile !== options.pidFile) {
    runtime.files.writeText(pidFile, String(runtime.process.pid), 0o660);
  }
  const isSameLog = LOG_TARGET.every((name) => next.log[name] === options.log[name]);
  return isSameLog || log.isSilent ? undefined : openTarget(next.log, runtime);
}

/** Errors that an operator can mend become the reason of a refusal. */
function refusing<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const isExpected = error instanceof AuthOptionsError || error instanceof TlsFileError ||
      error instanceof LogError || error instanceof RuntimeError;
    if (isExpected) throw new ReloadError(error.message, { cause: error });
    throw error;
  }
}

/** What {@link reloadFiles} needs of a server. */
export interface Reloadable {
  readonly options: Options;
  reload(options: Options): void;
}

/**
 * Reads the files again, under the same command line, and applies them. `parse` does the reading. A failure is told in the
 * log and changes nothing.
 */
export function reloadFiles(server: Reloadable, log: Logger, parse: () => ParsedCommandLine): void {
  const { configFiles, coreOnly } = server.options;
  const refuse = (reasons: readonly string[]): void => {
    for (const reason of reasons) {
      if (reason === "") continue;
      if (coreOnly) log.core.error(`Failed to reload server configuration: ${reason}`);
      else log.streaming.error(`Reload: ${reason}`);
    }
  };
  if (configFiles.nats === "" && configFiles.streaming === "") {
    return refuse(["can only reload config when a file is provided using -c or --config"]);
  }
  const command = parse();
  if (command.kind === "error") return refuse(command.messages);
  if (command.kind !== "run") return;
  for (const warning of command.warnings) log.core.warn(warning);
  const missing = unsupportedFeatures(command.options);
  if (missing.length > 0) return refuse(missing);
  try {
    server.reload(command.options);
  } catch (error) {
    if (!(error instanceof ReloadError)) throw error;
    refuse([error.message]);
  }
}
