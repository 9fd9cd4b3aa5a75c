/** The process around the program, over `node:process`. */
import { execFile } from "node:child_process";
import * as fs from "node:fs";
import { basename } from "node:path";
import process from "node:process";
import type { ProcessHost, SignalName } from "../types.ts";
import { systemCode } from "./errors.ts";

/** The name when started from source: the runtime's own file name says nothing about us. */
const SOURCE_NAME = "stanchion";
const OUT_DESCRIPTOR = 1;
const ERR_DESCRIPTOR = 2;
/** A reader of our output that does not read for this long loses what is being written; the server goes on. */
const WRITE_WAIT_MS_MAX = 200;
const WRITE_WAIT_STEP_MS = 2;

/** What the adapters know and `node:process` does not tell. */
export interface ProcessHostOptions {
  /** The program is the compiled executable, not source run by the runtime. */
  readonly isCompiled: boolean;
  /** Called before the handler of a signal. */
  readonly beforeSignal?: (name: SignalName) => void;
}

/**
 * The first argument as the starter gave it: that of the symbolic link, where `execPath` is the file behind it. Containers
 * and test suites start us through a link with another program's name.
 */
function startedAs(): string {
  try {
    const first = fs.readFileSync("/proc/self/cmdline", "utf8").split("\0", 1)[0];
    if (first !== undefined && first !== "") return first;
  } catch {
    // Only Linux has the file; argv0 says the same where the runtime sets it.
  }
  return process.argv0 || process.execPath;
}

/** The name the program goes by, from the path it was started with. */
export function programNameOf(path: string): string {
  return basename(path.replaceAll("\\", "/")).replace(/\.exe$/i, "");
}

/** Synchronous, so that the last words of a dying process arrive; a closed or stuck reader is not our failure. */
function writeText(descriptor: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  let waitedMs = 0;
  for (let at = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(descriptor, bytes, at, bytes.length - at);
    } catch (error) {
      // Whoever started us may have made the pipe non-blocking; give the reader a moment.
      if (systemCode(error) !== "EAGAIN" || waitedMs >= WRITE_WAIT_MS_MAX) return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WRITE_WAIT_STEP_MS);
      waitedMs += WRITE_WAIT_STEP_MS;
    }
  }
}

function isCharacterDevice(descriptor: number): boolean {
  try {
    return fs.fstatSync(descriptor).isCharacterDevice();
  } catch {
    // A closed descriptor is no terminal.
    return false;
  }
}

/** Output of a program that is kept. */
const PROGRAM_OUTPUT_MAX = 1024 * 1024;

function runProgram(
  path: string,
  args: readonly string[],
  done: (output: string, error: string | undefined) => void,
): void {
  execFile(path, [...args], { maxBuffer: PROGRAM_OUTPUT_MAX, encoding: "utf8" }, (error, out, err) => {
    done(`${out}${err}`, error === null ? undefined : error.message);
  });
}

/** The process we are. */
export function createProcessHost(options: ProcessHostOptions): ProcessHost {
  return {
    pid: process.pid,
    args: process.argv.slice(2),
    programName: options.isCompiled ? programNameOf(startedAs()) : SOURCE_NAME,
    env: (name) => process.env[name],
    unsetEnv: (name) => void delete process.env[name],
    exit: (code) => process.exit(code),
    onSignal(name, handler) {
      process.on(name, () => {
        options.beforeSignal?.(name);
        handler();
      });
    },
    onUncaught(handler) {
      process.on("uncaughtException", handler);
      process.on("unhandledRejection", handler);
    },
    writeOut: (text) => writeText(OUT_DESCRIPTOR, text),
    writeErr: (text) => writeText(ERR_DESCRIPTOR, text),
    errIsTerminal: isCharacterDevice(ERR_DESCRIPTOR),
    run: runProgram,
    residentBytes: () => process.memoryUsage.rss(),
    cpuTimeMs() {
      const usage = process.cpuUsage();
      return (usage.user + usage.system) / 1000;
    },
    // Subtracted, because a negated zero would print as -0.
    zoneOffsetMinutes: (unixMs) => 0 - new Date(unixMs).getTimezoneOffset(),
  };
}
