/**
 * `--signal`: one word to a server that runs (operations.md 4.2). Texts are the reference's; that a server is found without
 * its pid is ours, because the reference looks for a name that Linux cuts.
 */
import { parseInt64 } from "../config/flags.ts";
import { programRole } from "../config/version.ts";
import type { ProcessEntry, ProcessTable } from "../runtime/node/processes.ts";
import { type Files, RuntimeError, type SignalName } from "../runtime/types.ts";

/** What each word means to a process. */
const SIGNALS: Readonly<Record<string, SignalName | "SIGKILL">> = Object.freeze({
  stop: "SIGKILL",
  quit: "SIGINT",
  reopen: "SIGUSR1",
  reload: "SIGHUP",
  term: "SIGTERM",
  ldm: "SIGUSR2",
});

/** Names under which this program runs as a streaming server. */
const STREAMING_NAMES = ["stanchion", "nats-streaming-server"];
/** Greatest pid that any system gives. */
const PID_MAX = 2 ** 31 - 1;

/** Who asks, and what it can do. */
export interface SignalHost {
  readonly files: Pick<Files, "readText">;
  readonly processes: ProcessTable;
  /** Of this process, which is not meant. */
  readonly pid: number;
  readonly programName: string;
  /** The process is a command of this program and no server: `check` on a store, for example. */
  isCommand(entry: ProcessEntry): boolean;
}

/** The word could not be sent; `message` is the line for stderr. */
class SignalError extends Error {
  override readonly name = "SignalError";
}

/** Sends what `-sl` names: `WORD`, `WORD=PID` or `WORD=FILE`. Resolves with the line for stderr, or undefined. */
export async function signalProcess(text: string, host: SignalHost): Promise<string | undefined> {
  try {
    const [word = "", target, ...rest] = text.split("=");
    if (rest.length > 0) throw new SignalError(`invalid signal parameters: [${rest.join(" ")}]`);
    const signal = Object.hasOwn(SIGNALS, word) ? SIGNALS[word] : undefined;
    if (signal === undefined) {
      throw new SignalError(`unknown signal "${word}"\nKnown are ${Object.keys(SIGNALS).join(", ")}.`);
    }
    if (!host.processes.hasSignals) {
      throw new SignalError(
        "signals are not available on this system: stop the service, or press Ctrl-C in its window",
      );
    }
    const pid = target === undefined || target === "" ? await findServer(host) : pidOf(target, host.files);
    host.processes.send(pid, signal);
    return undefined;
  } catch (error) {
    if (error instanceof SignalError || error instanceof RuntimeError) return error.message;
    throw error;
  }
}

/** A text is taken for the name of a file first, as the reference does: a file may be called 15865. */
function pidOf(text: string, files: SignalHost["files"]): number {
  let content = text;
  try {
    content = files.readText(text).trim();
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
  }
  const parsed = parseInt64(content);
  const pid = parsed.ok && /^[0-9]+$/.test(content) ? Number(content) : 0;
  // 0 and negative numbers would reach groups of processes.
  if (pid < 1 || pid > PID_MAX) throw new SignalError(`invalid pid: ${content}`);
  return pid;
}

async function findServer(host: SignalHost): Promise<number> {
  const isCore = programRole(host.programName) === "nats-server";
  const names = isCore ? ["nats-server"] : [...STREAMING_NAMES, host.programName];
  const name = isCore ? "nats-server" : "nats-streaming-server";
  let entries: readonly ProcessEntry[];
  try {
    entries = await host.processes.list();
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    throw new SignalError("unable to resolve pid, try providing one", { cause: error });
  }
  const pids = entries
    .filter((entry) => entry.pid !== host.pid && names.includes(entry.programName) && !host.isCommand(entry))
    .map((entry) => entry.pid)
    .toSorted((a, b) => a - b);
  const [pid] = pids;
  if (pid === undefined) throw new SignalError(`no ${name} processes running`);
  if (pids.length > 1) throw new SignalError(`multiple ${name} processes running:\n${pids.join("\n")}`);
  return pid;
}
