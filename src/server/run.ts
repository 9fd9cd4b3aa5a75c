/** The life of a server process: from its options to its exit status. */
import type { ConfigNote, Options } from "../config/options.ts";
import type { Logger } from "../log/logger.ts";
import { datedLine, openLog } from "../log/open_log.ts";
import { LogError } from "../log/sinks.ts";
import type { LogView } from "../log/types.ts";
import { type Runtime, RuntimeError } from "../runtime/types.ts";
import { StoreError } from "../store/types.ts";
import { takeEncryptionKey } from "./encryption.ts";
import { type OpenPort, PortsFile } from "./ports_file.ts";
import type { OptionsReader } from "./read_options.ts";
import { reloadFiles } from "./reload.ts";
import { Shutdown } from "./shutdown.ts";
import { startReport } from "./start_report.ts";
import { ServerError, StreamingServer } from "./streaming_server.ts";

/** Variables that make the runtime inside the executable load foreign code: treat them like LD_PRELOAD. */
const DANGEROUS_VARIABLES = ["BUN_OPTIONS", "BUN_INSPECT", "BUN_BE_BUN"];
const EXIT_FAILED = 1;
const EXIT_BROKEN = 2;
const EXIT_TERMINATED = 143;

/** What a command line that asks for a server comes to. */
export interface RunRequest {
  readonly options: Options;
  readonly notes: readonly ConfigNote[];
  /** Of the command line or the file; the environment beats it. */
  readonly encryptionKey: string;
}

/** Ways out of the process. Lines reach their target before it ends. */
class Exit {
  readonly #runtime: Runtime;
  readonly #log: Logger;
  readonly ports: PortsFile;

  constructor(runtime: Runtime, log: Logger) {
    this.#runtime = runtime;
    this.#log = log;
    this.ports = new PortsFile(runtime.files, log.core, runtime.process);
  }

  async with(code: number): Promise<never> {
    this.ports.remove();
    await this.#log.close();
    return this.#runtime.process.exit(code);
  }

  /** The last line, of the half to which the reason belongs; scripts look for its beginning (operations.md 1.5). */
  failed(reason: string, half: "core" | "streaming" = "core"): Promise<never> {
    if (half === "core") this.#log.core.fatal(reason);
    else this.#log.streaming.fatal(`Failed to start: ${reason}`);
    // Whoever started the program does not see what goes to a syslog.
    if (this.#log.isSyslog) this.#runtime.process.writeOut(`${reason}\n`);
    return this.with(EXIT_FAILED);
  }
}

/** Starts the server and leaves it running; its signals, or what it cannot go on with, end the process. */
export async function runServer(runtime: Runtime, request: RunRequest, read: OptionsReader): Promise<void> {
  const { process } = runtime;
  const { options } = request;
  const log = await openLogOrExit(runtime, options);
  const exit = new Exit(runtime, log);
  for (const note of request.notes) tell(log.core, note);
  for (const note of startReport(options)) tell(log.core, note);
  for (const name of DANGEROUS_VARIABLES) {
    if (process.env(name) === undefined) continue;
    log.core.warn(`${name} is set in the environment: it can make this program run foreign code. Unset it`);
  }
  process.onUncaught((error) => {
    // A broken invariant: going on could write a store we no longer understand.
    const text = error instanceof Error ? error.stack ?? error.message : String(error);
    const line = `Internal error, the server stops: ${text}`;
    log.core.fatal(line);
    // There is no time to wait for a syslog.
    if (log.isSyslog) process.writeErr(datedLine(runtime, line));
    process.exit(EXIT_BROKEN);
  });

  const encryptionKey = takeEncryptionKey(process, request.encryptionKey, options.encryption, log.streaming);
  // Scripts look for this line (operations.md 13.18).
  if (options.encryption.enabled && encryptionKey === "") return exit.failed("encryption key required", "streaming");
  let server: StreamingServer;
  try {
    server = new StreamingServer(options, runtime, log, encryptionKey);
  } catch (error) {
    if (error instanceof ServerError) return exit.failed(error.message);
    throw error;
  }
  server.onFailed = (error) => void exit.failed(error.message);

  const started = Promise.withResolvers<void>();
  obeySignals(runtime, { server, log, exit, read, started: started.promise });
  try {
    // Before clients can get in: a pid file that cannot be written must not end a server that is in use.
    if (options.pidFile !== "") runtime.files.writeText(options.pidFile, String(process.pid), 0o660);
    await server.start();
  } catch (error) {
    // A signal is ending the process already.
    if (server.state === "stopping" || server.state === "stopped") return;
    if (error instanceof ServerError) {
      return exit.failed(error.message, error.cause instanceof StoreError ? "streaming" : "core");
    }
    if (error instanceof RuntimeError) {
      return exit.failed(`Could not write pidfile: ${error.message}. Name a file that can be written, or leave -P out`);
    }
    throw error;
  }
  exit.ports.write(options.portsFileDir, openPorts(server));
  started.resolve();
}

function tell(log: LogView, { level, text }: ConfigNote): void {
  if (level === "warning") log.warn(text);
  else log.info(text);
}

/** Everything a signal may need. */
interface Running {
  readonly server: StreamingServer;
  readonly log: Logger;
  readonly exit: Exit;
  readonly read: OptionsReader;
  readonly started: Promise<void>;
}

/** From the first instruction on: the reference obeys only when the start-up has completed. */
function obeySignals(runtime: Runtime, { server, log, exit, read, started }: Running): void {
  const { process, scheduler } = runtime;
  const shutdown = new Shutdown({
    log: log.core,
    scheduler,
    unfinished: () => server.unfinished,
    exit: (code) => void exit.with(code),
  });
  process.onSignal("SIGINT", () => shutdown.signalled(0, () => server.stop()));
  process.onSignal("SIGTERM", () => shutdown.signalled(EXIT_TERMINATED, () => server.stop()));
  process.onSignal("SIGUSR1", () => log.reopen());
  process.onSignal("SIGHUP", () => {
    // Told while the server starts, it is done when the server has started: the files may have changed after they were read.
    void started.then(() => {
      reloadFiles(server, log, read);
      exit.ports.write(server.options.portsFileDir, openPorts(server));
    });
  });
  process.onSignal("SIGUSR2", () => {
    if (server.core === undefined) {
      // A second one does not wait for the clients.
      return shutdown.follow(0, server.nats.isLameDuck ? server.stop() : server.lameDuck());
    }
    // Reference: the signal changes nothing in a streaming server (operations.md 4.1). Its clients have no other to go to.
    log.streaming.info("Lame duck mode ignored: a streaming server is stopped by SIGINT");
  });
}

function openPorts({ options, nats, monitorPort }: StreamingServer): readonly OpenPort[] {
  const ports: OpenPort[] = [
    { kind: "nats", scheme: options.tls === undefined ? "nats" : "tls", host: nats.host, port: nats.port },
  ];
  if (monitorPort !== 0) {
    const host = options.httpHost === "" ? options.host : options.httpHost;
    ports.push({ kind: "monitoring", scheme: options.httpsPort === 0 ? "http" : "https", host, port: monitorPort });
  }
  const { websocket } = options;
  if (websocket !== undefined && nats.webSocketPort !== 0) {
    const host = websocket.host === "" ? options.host : websocket.host;
    ports.push({ kind: "websocket", scheme: websocket.noTls ? "ws" : "wss", host, port: nats.webSocketPort });
  }
  return ports;
}

async function openLogOrExit(runtime: Runtime, options: Options): Promise<Logger> {
  const { process } = runtime;
  let log: Logger;
  try {
    log = openLog(options.log, runtime);
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    const advice = error.code === "LOG_FILE_NOT_OPENED" ? ". Name a file that can be written, or leave -l out" : "";
    process.writeErr(datedLine(runtime, `${error.message}${advice}`));
    return process.exit(EXIT_FAILED);
  }
  try {
    await log.opened;
    return log;
  } catch (error) {
    // A syslog that is away has said so on stderr.
    if (!(error instanceof LogError)) throw error;
    return process.exit(EXIT_FAILED);
  }
}
