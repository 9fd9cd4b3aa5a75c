/** Does what a page of the manual says, in a directory of its own, with the executable and ports that are free. */
import assert from "node:assert/strict";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "../../../scripts/project.ts";
import { runtimePath, STREAMING_READY, targetCommand, TestFolder, TestProcess } from "../../helpers/server_process.ts";
import { type DocsStep, outputDifference } from "./docs_page.ts";

/** The ports that the manual names, and those that stand for them in a run. */
type Ports = ReadonlyMap<string, string>;

/** Far beyond any command of the manual: only a hang reaches it. */
const STEP_MS_MAX = 60_000;

const CLIENT_PORT = "4222";
const MONITOR_PORT = "8222";

/** What the repository has at its root: pages name these from there. */
const LINKED: readonly string[] = ["deploy", "docs", "examples"];

/** One reader of one page. */
export class DocsSession implements AsyncDisposable {
  readonly #folder = new TestFolder();
  readonly #ports: Ports;
  #server: TestProcess | undefined;
  #background: TestProcess | undefined;

  private constructor(readonly path: string, ports: Ports) {
    this.#ports = ports;
  }

  static async open(path: string): Promise<DocsSession> {
    const ports = new Map([[CLIENT_PORT, await freePort()], [MONITOR_PORT, await freePort()]]);
    const session = new DocsSession(path, ports);
    await session.#prepare();
    return session;
  }

  /** Does one step; throws with place and reason when the page says something else than what happens. */
  async follow(step: DocsStep): Promise<void> {
    const place = `${this.path}:${step.line}`;
    switch (step.kind) {
      case "run": {
        const child = this.#start(`exec 2>&1\nset -eu\n${step.script}`);
        const timer = setTimeout(() => child.signal("SIGKILL"), STEP_MS_MAX);
        await child.exit;
        clearTimeout(timer);
        const printed = this.#asShown(child.stdout);
        assert.equal(child.exitStatus, step.status, `${place}: ${step.script}${printed}${child.stderr}${this.#log}`);
        const difference = step.output === undefined ? undefined : outputDifference(step.output, printed);
        assert.equal(difference, undefined, place);
        return;
      }
      case "server":
        assert.ok(this.#server?.isRunning !== true, `${place}: a server runs already`);
        await this.#startServer(place, step.script);
        return;
      case "stopped":
        assert.ok(this.#server !== undefined, `${place}: there is no server`);
        // In good order: by SIGTERM, as pages do it.
        assert.equal(await this.#server.exit, 143, `${place}${this.#log}`);
        return;
      case "background":
        await this.#background?.stop("SIGINT");
        this.#background = this.#start(`exec 2>&1\nexec ${step.script}`);
        return;
      case "shown": {
        const background = this.#background;
        assert.ok(background !== undefined, `${place}: nothing is in the background`);
        const difference = () => outputDifference(step.output, this.#asShown(background.stdout));
        let isLate = false;
        const timer = setTimeout(() => {
          isLate = true;
          background.notify();
        }, STEP_MS_MAX);
        await background.until(() => isLate || difference() === undefined || !background.isRunning);
        clearTimeout(timer);
        assert.equal(difference(), undefined, `${place}: ${background.stderr}`);
        return;
      }
      case "file":
        writeFileSync(this.#folder.file(step.name), this.#asRun(step.text));
        if (step.name.endsWith(".conf")) await this.#checkConfig(place, step.name);
        return;
      case "config":
        writeFileSync(this.#folder.file("sample.conf"), this.#asRun(step.text));
        await this.#checkConfig(place, "sample.conf");
        return;
      case "golden":
        rmSync(this.#folder.file("data"), { recursive: true, force: true });
        cpSync(join(ROOT, "tests/golden/filestore", step.name), this.#folder.file("data"), { recursive: true });
        return;
      case "notRun":
        return;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#background?.stop("SIGINT");
    await this.#server?.stop();
    this.#folder[Symbol.dispose]();
  }

  get #log(): string {
    return this.#server === undefined ? "" : `\nThe server said:\n${this.#server.stderr}`;
  }

  /** The programs of the manual under their names, and what the root of the repository has. */
  async #prepare(): Promise<void> {
    const [executable = ""] = await targetCommand("executable");
    const deno = await runtimePath("deno");
    mkdirSync(this.#folder.file("dist"));
    for (const name of LINKED) symlinkSync(join(ROOT, name), this.#folder.file(name));
    // Under the own name a port is added to whatever starts a server; a port of the page comes later and wins.
    for (const name of ["stanchion", "nats-streaming-server"]) {
      this.#program(
        name,
        `case "\${1:--}" in
          -sl* | --signal* | -v | --version | -h | --help) ;;
          -*) set -- -a 127.0.0.1 -p ${this.#ports.get(CLIENT_PORT)} "$@" ;;
        esac
        exec -a ${name} ${quoted(executable)} "$@"`,
      );
    }
    // "npx -y deno" is the runtime of this test run, and the reader is in the clone: nothing is fetched.
    this.#program("npx", `[ "$1 $2" = "-y deno" ] || exit 64\nshift 2\ncd ${quoted(ROOT)}\nexec ${quoted(deno)} "$@"`);
    // A block with it must not run here, and would change the machine if it did.
    this.#program("sudo", "echo 'sudo in a test' >&2\nexit 64");
  }

  #program(name: string, script: string): void {
    const path = join(this.#folder.path, "dist", name);
    writeFileSync(path, `#!/bin/bash\n${script}\n`);
    chmodSync(path, 0o755);
  }

  #start(script: string): TestProcess {
    return new TestProcess(["bash", "-c", this.#asRun(script)], {
      cwd: this.#folder.path,
      env: {
        PATH: `${this.#folder.file("dist")}:${process.env["PATH"]}`,
        STANCHION_URL: `nats://127.0.0.1:${this.#ports.get(CLIENT_PORT)}`,
        STANCHION_MONITOR: `http://127.0.0.1:${this.#ports.get(MONITOR_PORT)}`,
      },
    });
  }

  /** Starts it and waits until it says that it serves: on standard error, or where its configuration has the log. */
  async #startServer(place: string, script: string): Promise<void> {
    const logFile = this.#logFileOf(script);
    // Its lines would be taken for those of this start.
    assert.ok(logFile === undefined || !existsSync(logFile), `${place}: there is a log of an earlier server`);
    this.#server = this.#start(`exec ${script}`);
    const served = logFile === undefined
      ? this.#server.untilSaid(STREAMING_READY, STEP_MS_MAX)
      : this.#server.untilFileSays(logFile, STREAMING_READY, STEP_MS_MAX);
    await served.catch((error: unknown) => assert.fail(`${place}: ${error}`));
  }

  /** The log file that the configuration of a server names. */
  #logFileOf(script: string): string | undefined {
    const [, config] = / -c (\S+)/.exec(script) ?? [];
    if (config === undefined) return undefined;
    const [, name] = /^log_file: "(.+)"$/m.exec(readFileSync(this.#folder.file(config), "utf8")) ?? [];
    return name === undefined ? undefined : this.#folder.file(name);
  }

  async #checkConfig(place: string, name: string): Promise<void> {
    const child = this.#start(`stanchion -c ${name} -t`);
    await child.exit;
    assert.equal(child.exitStatus, 0, `${place}: ${child.stderr}`);
  }

  /** With the ports of this run. */
  #asRun(text: string): string {
    let result = text;
    for (const [shown, used] of this.#ports) result = result.replaceAll(new RegExp(`\\b${shown}\\b`, "g"), used);
    return result;
  }

  /** With the ports of the manual. */
  #asShown(text: string): string {
    let result = text;
    for (const [shown, used] of this.#ports) result = result.replaceAll(new RegExp(`\\b${used}\\b`, "g"), shown);
    return result;
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * A port that nobody listens on. From below the range that systems take for connections of clients: no other process gets it
 * by chance between now and the start of the server.
 */
async function freePort(): Promise<string> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
    const isFree = await promise;
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return String(port);
  }
}
