/** The processes of this machine, as far as one that sends signals has to know them. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { type ProcessHost, RuntimeError, type SignalName } from "../types.ts";
import { systemCode, toRuntimeError } from "./errors.ts";
import { programNameOf } from "./process.ts";

/** A process and what it was started as. */
export interface ProcessEntry {
  readonly pid: number;
  /** Base name of the first word of its command line: that of a link, where the program was started through one. */
  readonly programName: string;
  /** What follows. */
  readonly args: readonly string[];
}

/** What there is and how to reach it. */
export interface ProcessTable {
  /** All processes that can be seen. Rejects with {@link RuntimeError} where the system does not tell. */
  list(): Promise<readonly ProcessEntry[]>;
  /** Throws {@link RuntimeError}: NOT_FOUND, PERMISSION_DENIED. */
  send(pid: number, signal: SignalName | "SIGKILL"): void;
  /** False: processes cannot be told anything but to end, at once. */
  readonly hasSignals: boolean;
}

/** The table of this machine. */
export function createProcessTable(host: Pick<ProcessHost, "run">): ProcessTable {
  return {
    list: () => process.platform === "linux" ? Promise.resolve(listProc()) : listPs(host),
    hasSignals: process.platform !== "win32",
    send(pid, signal) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        if (systemCode(error) === "ESRCH") throw new RuntimeError("NOT_FOUND", "no such process", { cause: error });
        throw toRuntimeError(error, `Cannot signal process ${pid}`);
      }
    },
  };
}

function entryOf(pid: number, command: readonly string[]): ProcessEntry {
  const [program = "", ...args] = command;
  return { pid, programName: programNameOf(program), args };
}

function listProc(): ProcessEntry[] {
  const entries: ProcessEntry[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    try {
      // Not the short name of `comm`: that is cut to 15 characters, and nothing was ever found by it.
      const command = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0").slice(0, -1);
      if (command[0] === "") command[0] = readlinkSync(`/proc/${name}/exe`);
      if (command.length > 0) entries.push(entryOf(Number(name), command));
    } catch (error) {
      // Gone in the meantime, or hidden from us.
      if (systemCode(error) === undefined) throw error;
    }
  }
  return entries;
}

/** Arguments with blanks in them come in pieces; only the first words matter to us. */
function listPs(host: Pick<ProcessHost, "run">): Promise<readonly ProcessEntry[]> {
  return new Promise((resolve, reject) => {
    host.run("ps", ["-axo", "pid=,args="], (output, error) => {
      if (error !== undefined) reject(new RuntimeError("OTHER", `Cannot list processes: ${error}`));
      else resolve(parsePs(output));
    });
  });
}

/** Reads lines of `ps -o pid=,args=`. */
export function parsePs(output: string): ProcessEntry[] {
  return output.split("\n").flatMap((line) => {
    const match = /^\s*([0-9]+)\s+(\S.*)$/.exec(line);
    return match === null ? [] : [entryOf(Number(match[1]), (match[2] ?? "").trim().split(/\s+/))];
  });
}
