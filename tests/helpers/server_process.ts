/**
 * The server as a real process, for the tests that must not share its memory: from source on either runtime, or the
 * executable. Ports are chosen by the system and read from the log, so any number of servers can run side by side.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { ensureExecutable } from "../../scripts/executable.ts";
import { ROOT } from "../../scripts/project.ts";
import { findTool } from "../../scripts/toolchain.ts";
import { Waiter } from "./sockets.ts";

/** What can be started: the source on one of the runtimes, or what users download. */
export type TargetName = "deno" | "bun" | "executable";

/**
 * The targets of this process: all of them, unless STANCHION_TARGETS (names with commas between them) narrows them. The test
 * command gives each of its two processes its own, so that every target is run once. Nothing is left out because it is
 * missing: an executable is built.
 */
export const TARGETS: readonly TargetName[] = targetsOf(process.env["STANCHION_TARGETS"]);

/** The longest a test or hook here may take; Bun's own default of 5 s is too short for one that starts processes. */
export const PROCESS_TEST_MS_MAX = 120_000;

/** Building the executable is part of the wait of whoever comes first. */
const START_MS_MAX = 60_000;
/** How often a file is looked at that somebody else writes. */
const FILE_LOOK_MS = 10;
const LISTENING = /Listening for client connections on (.+):(\d+)$/m;
/** The line of a server that serves clients. */
export const STREAMING_READY = "Streaming Server is ready";
const CORE_READY = "[INF] Server is ready";

function targetsOf(wanted: string | undefined): readonly TargetName[] {
  const all: readonly TargetName[] = ["deno", "bun", "executable"];
  if (wanted === undefined || wanted === "") return all;
  const names = wanted.split(",");
  const chosen = all.filter((name) => names.includes(name));
  if (chosen.length !== names.length) throw new Error(`STANCHION_TARGETS="${wanted}": known are ${all.join(", ")}`);
  return chosen;
}

/** Path of a runtime: the one named by the test command, the one that runs this test, or one that can be found. */
export async function runtimePath(name: "deno" | "bun"): Promise<string> {
  const given = process.env[`STANCHION_${name.toUpperCase()}`];
  return given !== undefined && given !== "" ? given : (await findTool(name)).path;
}

/** The command of a target, without arguments for the server. */
export async function targetCommand(target: TargetName): Promise<string[]> {
  const main = join(ROOT, "src/main.ts");
  switch (target) {
    case "deno":
      return [await runtimePath("deno"), "run", "-A", "--no-check", main];
    case "bun":
      return [await runtimePath("bun"), main];
    case "executable":
      return [await ensureExecutable()];
  }
}

/** How a process ended, as a shell says it: its status, or 128 and the number of the signal that ended it. */
export type ExitStatus = number;

/** Said of a program that could not be started, as by a shell. */
const NOT_STARTED: ExitStatus = 127;

/** A process with what it said. */
export class TestProcess extends Waiter {
  readonly child: ChildProcess;
  /** Standard output so far. */
  stdout = "";
  /** Standard error so far: the server's log. */
  stderr = "";
  exitStatus: ExitStatus | undefined;
  readonly exit: Promise<ExitStatus>;

  constructor(command: readonly string[], options: { cwd?: string; env?: Readonly<Record<string, string>> } = {}) {
    super();
    const [program = "", ...args] = command;
    const child = spawn(program, args, {
      cwd: options.cwd ?? ROOT,
      // A colour switch of the test run must not reach a program whose output is compared.
      env: { ...process.env, NO_COLOR: "1", ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.notify();
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.notify();
    });
    // An aborted test run must not leave servers behind.
    const killWithUs = () => this.signal("SIGKILL");
    process.once("exit", killWithUs);
    this.exit = new Promise((resolve) => {
      const ended = (code: number | null, signal: NodeJS.Signals | null) => {
        process.off("exit", killWithUs);
        this.exitStatus = code ?? (signal === null ? NOT_STARTED : 128 + constants.signals[signal]);
        this.notify();
        resolve(this.exitStatus);
      };
      child.once("error", (error) => {
        this.stderr += String(error);
        ended(NOT_STARTED, null);
      });
      // "close" comes after the last output, "exit" may not.
      child.once("close", ended);
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.exitStatus === undefined;
  }

  /** Waits until the output holds `text`; rejects with all that was said when the process ends or `limitMs` pass. */
  async untilSaid(text: string | RegExp, limitMs = START_MS_MAX): Promise<void> {
    const said = () => {
      const all = `${this.stdout}\n${this.stderr}`;
      return typeof text === "string" ? all.includes(text) : text.test(all);
    };
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.notify();
    }, limitMs);
    try {
      await this.until(() => late || said() || !this.isRunning);
    } finally {
      clearTimeout(timer);
    }
    if (said()) return;
    const why = late ? `within ${limitMs} ms` : `before it ended with status ${this.exitStatus}`;
    throw new Error(`The process did not say ${String(text)} ${why}. It said:\n${this.stdout}${this.stderr}`);
  }

  /**
   * Waits until the file is there and holds `text`; resolves with all of it. Rejects as {@link untilSaid} does. The file system
   * tells nobody in the same way everywhere, so this one looks again.
   */
  async untilFileSays(path: string, text: string, limitMs = START_MS_MAX): Promise<string> {
    const endMs = performance.now() + limitMs;
    for (;;) {
      // What it wrote before its end is there when the end is known.
      const { isRunning } = this;
      const content = existsSync(path) ? readFileSync(path, "utf8") : undefined;
      if (content?.includes(text) === true) return content;
      if (!isRunning || performance.now() > endMs) {
        const why = isRunning ? `within ${limitMs} ms` : `before the process ended with status ${this.exitStatus}`;
        const found = content ?? "there is no such file";
        throw new Error(`${path} did not say ${text} ${why}, but: ${found}\n${this.stdout}${this.stderr}`);
      }
      await delay(FILE_LOOK_MS);
    }
  }

  /** By pid: Deno's `ChildProcess.kill` makes every end that follows look like one by that signal. */
  signal(name: NodeJS.Signals): void {
    if (!this.isRunning || this.pid === 0) return;
    try {
      process.kill(this.pid, name);
    } catch (error) {
      // It is gone, and its last output is on the way to us.
      if ((error as { code?: string }).code !== "ESRCH") throw error;
    }
  }

  /** Resident memory; undefined where the system has no /proc. */
  residentBytes(): number | undefined {
    try {
      const status = readFileSync(`/proc/${this.pid}/status`, "latin1");
      const match = /^VmRSS:\s+(\d+) kB/m.exec(status);
      return match === null ? undefined : Number(match[1]) * 1024;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "ENOENT" || code === "ESRCH") return undefined;
      throw error;
    }
  }

  /** Asks it to end and waits until it is gone; forces it after `graceMs`. */
  async stop(signal: NodeJS.Signals = "SIGTERM", graceMs = 10_000): Promise<ExitStatus> {
    this.signal(signal);
    const timer = setTimeout(() => this.signal("SIGKILL"), graceMs);
    const status = await this.exit;
    clearTimeout(timer);
    return status;
  }
}

/**
 * Tells JavaScriptCore that the machine has 256 MB. It lets garbage lie as long as there is memory; with little of it, what
 * is resident says something about what is held.
 */
export const SMALL_MACHINE: Readonly<Record<string, string>> = { BUN_JSC_forceRAMSize: String(256 * 1024 * 1024) };

/** What the start of a server may be told. */
export interface ServerProcessOptions {
  /** On top of `-a 127.0.0.1 -p -1`; a later flag wins. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Other than that of the target: a link with another name, for example. */
  readonly command?: readonly string[];
  /** A core server says nothing about streaming. */
  readonly coreOnly?: boolean;
}

/** A server that is ready. */
export class ServerProcess {
  readonly host: string;
  readonly port: number;

  constructor(readonly process: TestProcess, address: RegExpExecArray) {
    this.host = address[1] ?? "";
    this.port = Number(address[2]);
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.process.pid;
  }

  /** What it logged to stderr. */
  get log(): string {
    return this.process.stderr;
  }

  stop(signal: NodeJS.Signals = "SIGTERM"): Promise<ExitStatus> {
    return this.process.stop(signal);
  }
}

/** Starts a server and waits until it serves clients; rejects with its log when it ends before. */
export async function startServerProcess(
  target: TargetName,
  options: ServerProcessOptions = {},
): Promise<ServerProcess> {
  const command = options.command ?? await targetCommand(target);
  const child = new TestProcess([...command, "-a", "127.0.0.1", "-p", "-1", ...options.args ?? []], options);
  await child.untilSaid(options.coreOnly === true ? CORE_READY : STREAMING_READY).catch(async (error) => {
    await child.stop("SIGKILL");
    throw error;
  });
  const address = LISTENING.exec(child.stderr);
  if (address === null) {
    await child.stop("SIGKILL");
    throw new Error(`The server is ready but named no port:\n${child.stderr}`);
  }
  return new ServerProcess(child, address);
}

/** Runs a target to its end. For calls that must end by themselves; killed when they do not. */
export async function runTarget(
  target: TargetName,
  args: readonly string[],
  options: Pick<ServerProcessOptions, "command" | "cwd" | "env"> = {},
): Promise<TestProcess> {
  const child = new TestProcess([...options.command ?? await targetCommand(target), ...args], options);
  const timer = setTimeout(() => child.signal("SIGKILL"), START_MS_MAX);
  await child.exit;
  clearTimeout(timer);
  return child;
}

/** A folder that is removed at the end. */
export class TestFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "stanchion-test-"));

  /** Path of a file in it. */
  file(name: string): string {
    return join(this.path, name);
  }

  /** A link to `target` under another name: the server looks at the name it was started under. */
  link(name: string, target: string): string {
    const path = this.file(name);
    symlinkSync(target, path);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
