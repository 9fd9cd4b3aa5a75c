/**
 * What a command sees of the world: the three standard streams, the terminal, the environment, time. One implementation
 * for the process we are; tests put another one in its place.
 */
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import nodeProcess from "node:process";
import type { Clock, Disk, Runtime } from "../runtime/types.ts";

/** Longest pause between two tries to write to a reader that is not ready. */
const WRITE_PAUSE_MS_MAX = 20;
const IN_DESCRIPTOR = 0;
const OUT_DESCRIPTOR = 1;
const ERR_DESCRIPTOR = 2;

/** The command cannot do what it was asked; the message says what to do. Exit status 1. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  constructor(
    readonly code:
      | "CLI_CONNECT"
      | "CLI_REFUSED"
      | "CLI_TIMEOUT"
      | "CLI_LOST"
      | "CLI_FILE"
      | "CLI_MONITOR"
      | "CLI_STORE",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The command line makes no sense; exit status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Everything a command may touch. */
export interface CliHost {
  readonly programName: string;
  readonly outIsTerminal: boolean;
  readonly errIsTerminal: boolean;
  readonly inIsTerminal: boolean;
  readonly clock: Clock;
  readonly disk: Disk;
  env(name: string): string | undefined;
  /** Waits for a slow reader: what was printed is never lost. Does nothing once the reader is gone. */
  out(text: string): void;
  outBytes(bytes: Uint8Array): void;
  err(text: string): void;
  /** Standard input, piece by piece. */
  input(): AsyncIterable<Uint8Array>;
  /** The user wants an end (Ctrl-C, a signal), or nobody reads what is printed. Called at most once. */
  onEnd(handler: () => void): void;
  random(bytes: Uint8Array): void;
}

/** Colours are for people at a terminal who have not refused them. */
export function wantsColours(host: Pick<CliHost, "env" | "outIsTerminal">): boolean {
  return host.outIsTerminal && (host.env("NO_COLOR") ?? "") === "" && host.env("TERM") !== "dumb";
}

/** Nanoseconds since 1970. */
export function nowNs(clock: Clock): bigint {
  const stamp = { high: 0, low: 0 };
  clock.wallNs(stamp);
  return (BigInt(stamp.high) << 32n) | BigInt(stamp.low);
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** The host of this process. */
export async function createHost(runtime: Runtime): Promise<CliHost> {
  // Loaded here, as in monitor_client.ts: in the executable a static import of a module of the system is done by every start
  // of the server, wherever it stands, and these three cost it 3 ms (Bun 1.4.5, 2026-11).
  const { isatty } = await import("node:tty");
  const { process } = runtime;
  const handlers: (() => void)[] = [];
  let isEnding = false;
  let isOutGone = false;
  const end = () => {
    if (isEnding) return;
    isEnding = true;
    for (const handler of handlers) handler();
  };
  const interrupted = () => {
    // Whoever asks twice does not want to wait for an orderly end.
    if (isEnding || handlers.length === 0) process.exit(130);
    end();
  };
  let listens = false;
  const write = (bytes: Uint8Array) => {
    let waitMs = 1;
    for (let at = 0; at < bytes.length && !isOutGone;) {
      try {
        at += fs.writeSync(OUT_DESCRIPTOR, bytes, at, bytes.length - at);
        waitMs = 1;
      } catch (error) {
        const code = (error as { code?: unknown }).code;
        if (code === "EAGAIN") {
          pause(waitMs);
          waitMs = Math.min(waitMs * 2, WRITE_PAUSE_MS_MAX);
          continue;
        }
        if (code !== "EPIPE" && code !== "EBADF") throw error;
        // `stanchion sub | head -1`: the reader has what it wanted.
        isOutGone = true;
        end();
      }
    }
  };
  return {
    programName: process.programName,
    outIsTerminal: isatty(OUT_DESCRIPTOR),
    errIsTerminal: isatty(ERR_DESCRIPTOR),
    inIsTerminal: isatty(IN_DESCRIPTOR),
    clock: runtime.clock,
    disk: runtime.disk,
    env: (name) => process.env(name),
    out: (text) => write(new TextEncoder().encode(text)),
    outBytes: write,
    err: (text) => process.writeErr(text),
    async *input() {
      for await (const piece of nodeProcess.stdin) {
        yield typeof piece === "string" ? Buffer.from(piece) : piece as Uint8Array;
      }
    },
    onEnd(handler) {
      handlers.push(handler);
      if (isEnding) handler();
      if (listens) return;
      listens = true;
      process.onSignal("SIGINT", interrupted);
      process.onSignal("SIGTERM", interrupted);
    },
    random: (bytes) => runtime.random(bytes),
  };
}
