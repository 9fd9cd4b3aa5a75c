/**
 * Official suites in Go: fetches a module with the Go toolchain, puts a bridge into the server packages that it starts as
 * a library, so that they start an executable instead, and compiles the tests. Nothing of the modules is kept in this
 * repository; the copies live in the cache folder of scripts/suites.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../project.ts";
import { lastLines, runProcess } from "../run_process.ts";

/** Modules and compiled tests; ignored by git. */
export const CACHE = join(ROOT, "dist", "suites");

const GO_TIME_MS_MAX = 15 * 60_000;

/** Functions of one server package that the bridge takes over. */
interface Bridge {
  readonly module: string;
  readonly version: string;
  /** Name of the copy in the cache, and of the bridge's file under scripts/suites/go. */
  readonly name: string;
  /** Beginnings of declarations; the named function gets "embedded" before its name. */
  readonly renamed: RegExp;
}

const NATS_SERVER: Bridge = {
  module: "github.com/nats-io/nats-server/v2",
  version: "v2.9.24",
  name: "nats_server",
  renamed: new RegExp(
    "^(func \\(s \\*Server\\) )(Start|ReadyForConnections|Running|Shutdown|WaitForShutdown|Addr|MonitorAddr|ClusterAddr|" +
      "Varz|Routez|NumClients|NumRoutes|NumRemotes|NumLeafNodes|NumSubscriptions|NumSlowConsumers|Reload|" +
      "ReloadOptions|handleSignals)(?=\\()",
    "gm",
  ),
};

const STREAMING_SERVER: Bridge = {
  module: "github.com/nats-io/nats-streaming-server",
  version: "v0.25.6",
  name: "streaming_server",
  renamed: /^(func (?:\(s \*StanServer\) )?)(RunServerWithOpts|Shutdown)(?=\()/gm,
};

/** A suite as it is compiled. */
export interface GoSuite {
  readonly module: string;
  readonly version: string;
  readonly name: string;
  /** Folder of the tests inside the module. */
  readonly folder: string;
  /** The module's manifest for its tests, if it is not go.mod. */
  readonly manifest?: string;
  /** Files whose tests do not run: whole features that the product refuses. Others use their helpers. */
  readonly leftOut: readonly string[];
}

/** Compiled tests. */
export interface GoTests {
  readonly executable: string;
  /** They read their files from here. */
  readonly cwd: string;
  readonly names: readonly string[];
}

async function go(args: readonly string[], cwd: string): Promise<string> {
  // A workspace file or flags of the machine must not change what is built.
  const env = { GOFLAGS: "-mod=mod", GOWORK: "off" };
  const result = await runProcess("go", args, { cwd, env, timeMsMax: GO_TIME_MS_MAX });
  if (result.code === 0) return result.output;
  throw new Error(`go ${args.join(" ")}: ${result.trouble}${lastLines(result.output, 20)}`);
}

/** Go's own cache is read-only, also in the copy. */
function makeWritable(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) makeWritable(path);
    else if (entry.isFile()) chmodSync(path, 0o644);
  }
}

async function copyModule(module: string, version: string, name: string): Promise<string> {
  const folder = join(CACHE, name);
  const output = await go(["mod", "download", "-json", `${module}@${version}`], CACHE);
  // Progress may stand before it.
  const answer = JSON.parse(output.slice(output.indexOf("{"))) as { Dir: string };
  rmSync(folder, { recursive: true, force: true });
  cpSync(answer.Dir, folder, { recursive: true });
  makeWritable(folder);
  return folder;
}

async function copyBridged(bridge: Bridge): Promise<string> {
  const folder = await copyModule(bridge.module, bridge.version, bridge.name);
  const packageFolder = join(folder, "server");
  let renamedCount = 0;
  for (const file of readdirSync(packageFolder).filter((file) => file.endsWith(".go"))) {
    const path = join(packageFolder, file);
    const text = readFileSync(path, "utf8");
    const bridged = text.replace(bridge.renamed, (_, before: string, name: string) => {
      renamedCount++;
      return `${before}embedded${name}`;
    });
    if (bridged !== text) writeFileSync(path, bridged);
  }
  if (renamedCount === 0) throw new Error(`${bridge.module} ${bridge.version}: nothing to bridge was found`);
  cpSync(join(import.meta.dirname ?? "", "go", `${bridge.name}.go`), join(packageFolder, "bridge.go"));
  return folder;
}

function testNames(text: string): string[] {
  return [...text.matchAll(/^func (Test\w+)\(/gm)].map((match) => match[1] as string);
}

/** Fetches, bridges and compiles; needs `go` on PATH. */
export async function buildGoSuite(suite: GoSuite): Promise<GoTests> {
  mkdirSync(CACHE, { recursive: true });
  const natsServer = await copyBridged(NATS_SERVER);
  const streamingServer = await copyBridged(STREAMING_SERVER);
  const isServerItself = suite.module === NATS_SERVER.module;
  const module = isServerItself ? natsServer : await copyModule(suite.module, suite.version, suite.name);
  const cwd = join(module, suite.folder);
  if (suite.manifest !== undefined) cpSync(join(module, suite.manifest), join(module, "go.mod"));
  const sums = suite.manifest?.replace(/\.mod$/, ".sum");
  if (sums !== undefined && existsSync(join(module, sums))) cpSync(join(module, sums), join(module, "go.sum"));
  if (!isServerItself) {
    for (const [bridge, folder] of [[NATS_SERVER, natsServer], [STREAMING_SERVER, streamingServer]] as const) {
      await go(["mod", "edit", `-replace=${bridge.module}=${folder}`], module);
    }
    // The bridged copies have requirements of their own.
    await go(["mod", "tidy"], module);
  }
  const executable = join(CACHE, `${suite.name}.test`);
  await go(["test", "-c", "-vet=off", "-o", executable, "."], cwd);
  const list = await runProcess(executable, ["-test.list", "^Test"], { cwd });
  const leftOut = new Set(suite.leftOut.flatMap((file) => testNames(readFileSync(join(cwd, file), "utf8"))));
  const names = list.output.split("\n").filter((name) => /^Test\w+$/.test(name) && !leftOut.has(name));
  if (names.length === 0) throw new Error(`${suite.name}: no test was compiled: ${lastLines(list.output, 5)}`);
  return { executable, cwd, names };
}
