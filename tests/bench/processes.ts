/**
 * What the operating system says about a process, and starting and ending the processes of a bench run. CPU and
 * resident memory are read from /proc and so known on Linux only; elsewhere they are undefined and shown as such.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { connectRaw, listenRaw } from "./raw_socket.ts";
import { bytesOf, textOf } from "./frames.ts";

/** Microseconds of one tick of /proc/PID/stat: USER_HZ is 100 on every Linux a server runs on. */
const TICK_MICROS = 10_000;

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    // ENOENT: no /proc here, or the process has ended. Anything else is a fault of the tool.
    if ((error as { code?: string }).code === "ENOENT" || (error as { code?: string }).code === "ESRCH") {
      return undefined;
    }
    throw error;
  }
}

/** User and system time of a process so far, all its threads, in microseconds. */
export function cpuMicrosOf(pid: number): number | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The command name in parentheses may hold spaces; the fields after it count from 3.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MICROS;
}

/** Resident memory of a process in bytes. */
export function residentBytesOf(pid: number): number | undefined {
  return statusBytesOf(pid, "VmRSS");
}

/** The same without pages of files: what it has for itself, whatever of the program was read in so far. */
export function anonymousBytesOf(pid: number): number | undefined {
  return statusBytesOf(pid, "RssAnon");
}

function statusBytesOf(pid: number, name: string): number | undefined {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(readProc(`/proc/${pid}/status`) ?? "");
  return match === null ? undefined : Number(match[1]) * 1024;
}

/** A port that nobody uses at this moment. */
export async function freePort(): Promise<number> {
  const listener = await listenRaw("127.0.0.1", 0, () => ({ data() {}, drain() {}, close() {} }));
  listener.stop();
  return listener.port;
}

/** A process started by the bench, with the last of what it said. */
export interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  /** The last lines of both output streams, for an error message. */
  tail(): string;
  /** Ends it and waits until it is gone: asks first, forces after `graceMs`. */
  stop(graceMs?: number): Promise<void>;
}

/** Most bytes of a server's output that are kept. */
const TAIL_BYTES = 4096;

/** Splits a command line at spaces; a part in single or double quotes stays together. */
export function splitCommand(line: string): string[] {
  const parts: string[] = [];
  for (const match of line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)) parts.push(match[1] ?? match[2] ?? match[3] ?? "");
  return parts;
}

/** Processes that run now: whoever ends the bench from outside must not leave servers behind. */
const live = new Set<ChildProcess>();

/** Ends every process this program has started and that still runs; for signal handlers. */
export function killStarted(): void {
  for (const child of live) child.kill("SIGKILL");
}

/** Starts a command. */
export function startProcess(command: readonly string[], options?: { readonly cwd?: string }): Running {
  const [program, ...args] = command;
  if (program === undefined) throw new Error("empty command line");
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  live.add(child);
  let output = "";
  const keep = (chunk: Uint8Array): void => {
    output = (output + textOf(chunk)).slice(-TAIL_BYTES);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  let ended = false;
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => {
      ended = true;
      live.delete(child);
      resolve();
    });
    child.once("error", (error) => {
      ended = true;
      live.delete(child);
      output += String(error);
      resolve();
    });
  });
  return {
    pid: child.pid ?? 0,
    child,
    tail: () => output,
    async stop(graceMs = 5000) {
      if (ended) return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await gone;
      clearTimeout(timer);
    },
  };
}

/** Connects once and waits for the answer to a PING; false when nobody listens yet. */
function pingOnce(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    let seen = "";
    connectRaw(host, port, (socket) => ({
      data(chunk) {
        if (seen === "") {
          const hello = bytesOf('CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n');
          socket.write(hello, 0, hello.length);
        }
        seen += textOf(chunk);
        if (!seen.includes("PONG\r\n")) return;
        resolve(true);
        socket.end();
      },
      drain() {},
      close: () => resolve(false),
    })).catch(() => resolve(false));
  });
}

/**
 * Waits until the server answers a PING and returns the milliseconds that took. Throws with the server's own words when
 * it ends before, or says nothing within `limitMs`.
 */
export async function awaitPong(server: Running, host: string, port: number, limitMs = 30_000): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    if (await pingOnce(host, port)) return performance.now() - startedAt;
    const waitedMs = performance.now() - startedAt;
    if (server.child.exitCode !== null || server.pid === 0 || waitedMs > limitMs) {
      const what = server.child.exitCode === null
        ? `did not answer a PING on ${host}:${port} within ${Math.round(waitedMs)} ms`
        : `ended with status ${server.child.exitCode} before it answered a PING`;
      throw new Error(`Server ${what}. It said: ${server.tail().trim() || "nothing"}`);
    }
    await pause(1);
  }
}

/** Waits; only for servers to come up and to come to rest, never for a result. */
export function pause(waitMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, waitMs));
}
