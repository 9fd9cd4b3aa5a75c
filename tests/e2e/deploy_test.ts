/**
 * The files under deploy/ (operations.md 12): manifests have fields that exist and references that lead somewhere, every
 * command line and configuration in them is one that the server accepts, and the scripts of the images do what they must.
 */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { before, describe, it, test } from "node:test";
import { UNIT_FILE } from "../../scripts/check_deploy.ts";
import {
  at,
  COMPOSE_FILE,
  composeFindings,
  KUBERNETES_FILE,
  kubernetesFindings,
  listAt,
  mountsOf,
  SWARM_FILE,
  swarmFindings,
  type Yaml,
} from "../../scripts/deploy_manifests.ts";
import { readPackageManifest, ROOT } from "../../scripts/project.ts";
import { type Options, parseCommandLine } from "../../src/config/options.ts";
import {
  PROCESS_TEST_MS_MAX,
  runTarget,
  runtimePath,
  startServerProcess,
  targetCommand,
  TestFolder,
  TestProcess,
} from "../helpers/server_process.ts";
import { memorySources } from "../unit/config/config_support.ts";

const timeout = PROCESS_TEST_MS_MAX;
const ENTRYPOINT = join(ROOT, "deploy/docker/docker-entrypoint.sh");

const read = (file: string) => readFileSync(join(ROOT, file), "utf8");

async function run(command: readonly string[], options?: { readonly env?: Readonly<Record<string, string>> }) {
  const child = new TestProcess(command, options);
  await child.exit;
  return child;
}

/** The documents of a file. Bun has a parser of YAML; it is asked as a process, so that both runtimes can. */
async function readYaml(file: string): Promise<readonly Yaml[]> {
  const script = `import { readFileSync } from "node:fs";
    console.log(JSON.stringify(Bun.YAML.parse(readFileSync(${JSON.stringify(join(ROOT, file))}, "utf8"))));`;
  const child = await run([await runtimePath("bun"), "--eval", script]);
  assert.equal(child.exitStatus, 0, child.stderr);
  const value = JSON.parse(child.stdout) as Yaml;
  return Array.isArray(value) ? value as readonly Yaml[] : [value];
}

/** The options of a command line that starts a server without a single warning or note. */
function accepted(
  args: readonly string[],
  files: Readonly<Record<string, string>> = {},
  env: Readonly<Record<string, string>> = {},
): Options {
  const parsed = parseCommandLine(args, "nats-streaming-server", memorySources(files, env));
  assert.ok(parsed.kind === "run", JSON.stringify(parsed));
  assert.deepEqual([parsed.warnings, parsed.notes], [[], []]);
  return parsed.options;
}

const words = (list: readonly Yaml[]) => list.map((word) => String(word));

/** A copy in which the value behind `path` is another one. */
function changed(documents: readonly Yaml[], path: readonly (string | number)[], value: Yaml): readonly Yaml[] {
  const copy = structuredClone(documents) as Yaml[];
  const parent = at(copy, ...path.slice(0, -1)) as Record<string | number, Yaml>;
  parent[path[path.length - 1]!] = value;
  return copy;
}

describe("operations 12.2: Kubernetes", { timeout }, () => {
  let documents: readonly Yaml[] = [];
  let set: Yaml | undefined;
  let setIndex = 0;
  before(async () => {
    documents = await readYaml(KUBERNETES_FILE);
    setIndex = documents.findIndex((document) => at(document, "kind") === "StatefulSet");
    set = documents[setIndex];
  }, { timeout });

  it("the manifest has known fields, and its references lead somewhere", () => {
    assert.deepEqual(kubernetesFindings(documents), []);
    assert.deepEqual(documents.map((document) => at(document, "kind")), [
      "ConfigMap",
      "Service",
      "Service",
      "PodDisruptionBudget",
      "StatefulSet",
    ]);
  });

  it("what is wrong in a manifest is found", () => {
    const pod = [setIndex, "spec", "template", "spec"];
    const mistakes: readonly [readonly (string | number)[], Yaml, RegExp][] = [
      [[setIndex, "spec", "replica"], 1, /replica: unknown field/],
      [[setIndex, "spec", "replicas"], "1", /replicas: string instead of number/],
      [[setIndex, "spec", "serviceName"], "stanchion", /no headless service/],
      [[setIndex, "apiVersion"], "apps/v1beta1", /is apps\/v1/],
      [[1, "spec", "selector"], { "app.kubernetes.io/name": "other" }, /selects no pod/],
      [[1, "spec", "ports", 0, "targetPort"], "clients", /no port clients/],
      [[...pod, "containers", 0, "readinessProbe", "httpGet", "port"], "http", /no port http/],
      [[...pod, "containers", 0, "volumeMounts", 0, "name"], "conf", /no volume conf/],
      [[...pod, "volumes", 0, "configMap", "name"], "stan", /no config map stan/],
      [[...pod, "terminationGracePeriodSeconds"], 30, /killed before/],
      [[...pod, "securityContext", "runAsNonRoot"], false, /as root/],
    ];
    for (const [path, value, expected] of mistakes) {
      assert.match(kubernetesFindings(changed(documents, path, value)).join("\n"), expected);
    }
  });

  it("its configuration and command line are accepted, and write where a volume is", () => {
    const container = at(set, "spec", "template", "spec", "containers", 0);
    assert.ok(container !== undefined);
    const [map] = documents;
    const path = "/etc/stan-config/stan.conf";
    const args = words(listAt(container, "args"));
    assert.deepEqual(args, ["-sc", path]);
    const options = accepted(args, { [path]: String(at(map, "data", "stan.conf")) }, { POD_NAME: "stanchion-0" });
    assert.equal(options.nats.serverName, "stanchion-0");
    assert.equal(options.store, "FILE");
    const mounts = mountsOf(container);
    assert.ok(mounts.includes("/etc/stan-config"));
    for (const written of [options.file.dir, options.pidFile]) {
      assert.ok(mounts.some((mount) => written.startsWith(`${mount}/`)), `${written} is on no volume`);
    }
    const containerPorts = listAt(container, "ports").map((port) => at(port, "containerPort"));
    assert.deepEqual(containerPorts, [options.port, options.httpPort]);
    assert.equal(at(container, "env", 0, "name"), "POD_NAME");
  });
});

describe("operations 12.1: Compose and swarm", { timeout }, () => {
  for (const [file, findings] of [[COMPOSE_FILE, composeFindings], [SWARM_FILE, swarmFindings]] as const) {
    it(`${file}: known fields, a command line that is accepted, the store on the volume`, async () => {
      const [document] = await readYaml(file);
      assert.ok(document !== undefined);
      assert.deepEqual(findings(document), []);
      const service = at(document, "services", "stanchion");
      assert.ok(service !== undefined);
      // The configuration as the stack brings it, at the path where the container finds it.
      const files = Object.fromEntries(
        listAt(service, "configs").map((config) => {
          const source = String(at(document, "configs", String(at(config, "source")), "file"));
          return [String(at(config, "target")), read(join("deploy/swarm", source))];
        }),
      );
      const options = accepted(words(listAt(service, "command")), files);
      assert.equal(options.store, "FILE");
      assert.deepEqual(mountsOf(service), [options.file.dir]);
      assert.equal(options.httpPort, 8222);
      assert.match(words(listAt(service, "healthcheck", "test")).join(" "), /^CMD wget .*:8222\/readyz$/);
    });
  }

  it("what is wrong in one is found", async () => {
    const compose = await readYaml(COMPOSE_FILE);
    const stack = await readYaml(SWARM_FILE);
    const service = [0, "services", "stanchion"];
    const found = (list: readonly Yaml[], path: readonly (string | number)[], value: Yaml) => {
      const [document] = changed(list, [...service, ...path], value);
      return [...composeFindings(document!), ...swarmFindings(document!)].join("\n");
    };
    assert.match(found(compose, ["comand"], []), /comand: unknown field/);
    assert.match(found(compose, ["volumes"], ["data:/datastore"]), /no volume data/);
    assert.match(found(compose, ["stop_grace_period"], "10s"), /killed before/);
    assert.match(found(stack, ["configs", 0, "source"], "conf"), /no config conf/);
    assert.match(found(stack, ["deploy", "replicas"], "1"), /string instead of number/);
  });
});

describe("operations 12.1: the images", { timeout }, () => {
  const dockerfile = read("deploy/docker/Dockerfile");
  /** The instructions of one stage, lines that go on joined. */
  const stage = (name: string): string[] => {
    const lines = dockerfile.replaceAll(/\\\n\s*/g, "").split("\n").filter((line) => /^[A-Z]+ /.test(line));
    const begin = lines.findIndex((line) => new RegExp(`^FROM \\S+ AS ${name}$`).test(line));
    assert.notEqual(begin, -1, name);
    const length = lines.slice(begin + 1).findIndex((line) => line.startsWith("FROM "));
    return lines.slice(begin, length === -1 ? undefined : begin + 1 + length);
  };
  const jsonOf = (lines: readonly string[], instruction: string): string[] => {
    const line = lines.find((line) => line.startsWith(`${instruction} `)) ?? "";
    return JSON.parse(line.slice(instruction.length + 1)) as string[];
  };

  it("entrypoint, command and ports are those of the original's images", () => {
    const alpine = stage("alpine");
    assert.deepEqual(jsonOf(alpine, "ENTRYPOINT"), ["docker-entrypoint.sh"]);
    assert.deepEqual(jsonOf(alpine, "CMD"), ["nats-streaming-server", "-m", "8222"]);
    assert.ok(alpine.includes("ENV NATS_STREAMING_SERVER=0.25.6"));
    const scratch = stage("scratch");
    assert.equal(scratch[0], "FROM scratch AS scratch");
    assert.deepEqual(jsonOf(scratch, "ENTRYPOINT"), ["/nats-streaming-server"]);
    assert.deepEqual(jsonOf(scratch, "CMD"), ["-m", "8222"]);
    for (const lines of [alpine, scratch]) {
      assert.ok(lines.includes("EXPOSE 4222 8222"));
      assert.deepEqual(lines.filter((line) => /^(?:USER|VOLUME|WORKDIR) /.test(line)), []);
    }
    assert.equal(accepted(["-m", "8222"]).httpPort, 8222);
  });

  it("the compiler is the pinned one, and the context has what the build reads", () => {
    const { toolchain } = readPackageManifest();
    const versions = [...dockerfile.matchAll(/^FROM oven\/bun:([\d.]+)/gm)].map(([, version]) => version);
    assert.deepEqual(versions, [toolchain["bun"], toolchain["bun"]]);
    const context = read("deploy/docker/Dockerfile.dockerignore").split("\n").filter((line) => line.startsWith("!"))
      .map((line) => line.slice(1));
    for (const path of context) assert.ok(existsSync(join(ROOT, path)), path);
    for (const path of ["compile.sh", "package.json", "bun.lock", "src", "proto"]) assert.ok(context.includes(path));
    for (const [, path] of dockerfile.matchAll(/(deploy\/[\w./-]+\.sh)/g)) assert.ok(existsSync(join(ROOT, path!)));
  });

  for (const shell of ["sh", "dash", "busybox sh"]) {
    test(`docker-entrypoint.sh under ${shell}`, { timeout }, async (context) => {
      const probe = await run([...shell.split(" "), "-c", "exit 0"]);
      if (probe.exitStatus !== 0) return context.skip(`${shell} is not installed`);
      using folder = new TestFolder();
      // Shows how it was called, one argument per line.
      writeFileSync(folder.file("nats-streaming-server"), '#!/bin/sh\nprintf "<%s>\\n" server "$@"\n');
      chmodSync(folder.file("nats-streaming-server"), 0o755);
      const env = { PATH: `${folder.path}:${process.env["PATH"]}` };
      const call = async (...args: string[]) => {
        const child = await run([...shell.split(" "), ENTRYPOINT, ...args], { env });
        return [child.exitStatus, child.stdout.trimEnd().split("\n")];
      };
      assert.deepEqual(await call(), [0, ["<server>"]]);
      assert.deepEqual(await call("-m", "8222"), [0, ["<server>", "<-m>", "<8222>"]]);
      assert.deepEqual(await call("--dir", "a b", ""), [0, ["<server>", "<--dir>", "<a b>", "<>"]]);
      assert.deepEqual(await call("nats-streaming-server", "-m", "1"), [0, ["<server>", "<-m>", "<1>"]]);
      assert.deepEqual(await call("sh", "-c", "echo a shell; exit 7"), [7, ["a shell"]]);
      // A word, though an empty one: not for the server. Shells disagree about the status.
      const [status, said] = await call("");
      assert.ok(status === 126 || status === 127, String(status));
      assert.deepEqual(said, [""]);
    });
  }

  test("the image without a distribution has all that the executable needs", { timeout }, async (context) => {
    if (process.platform !== "linux") return context.skip("images are for Linux");
    using folder = new TestFolder();
    const [executable = ""] = await targetCommand("executable");
    const root = folder.file("root");
    const made = await run(["sh", join(ROOT, "deploy/docker/make_rootfs.sh"), executable, root]);
    assert.equal(made.exitStatus, 0, made.stderr);
    mkdirSync(join(root, "proc"));
    // As a container runtime does it; /proc is what every one of them gives. Not every path has where chroot is.
    const inside = (command: string) => [
      ...["-mpf", "sh", "-c"],
      `PATH=$PATH:/usr/sbin:/sbin && mount -t proc proc "$0/proc" && ${command}`,
      root,
    ];
    const allowed = await run(["unshare", ...inside("true")]);
    if (allowed.exitStatus !== 0) return context.skip("no right to change the root directory");
    for (
      const [command, expected] of [
        ['chroot "$0" /nats-streaming-server --version', /^nats-streaming-server version /],
        ['chroot --userspec=65534:65534 "$0" /stanchion --version', /^stanchion version /],
      ] as const
    ) {
      const child = await run(["unshare", ...inside(command)]);
      assert.equal(child.exitStatus, 0, child.stderr);
      assert.match(child.stdout, expected);
    }
    // The lock of the store is a call of the C library that is loaded at run time.
    const store = await run(["unshare", ...inside('chroot "$0" /stanchion check --dir /no/such/directory')]);
    assert.equal(store.exitStatus, 3, store.stderr);
  });
});

test("the programs that read these files accept them, where they are installed", { timeout }, async () => {
  const checked = await run([
    await runtimePath("deno"),
    "run",
    "-A",
    "--no-check",
    join(ROOT, "scripts/check_deploy.ts"),
  ]);
  assert.equal(checked.exitStatus, 0, checked.stdout + checked.stderr);
  assert.match(checked.stdout, /^shell scripts: (?:ok|skipped)/m);
});

describe("systemd", { timeout }, () => {
  const unit = read(UNIT_FILE);
  const valuesOf = (key: string) => [...unit.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map(([, value]) => value);

  it("the unit starts, checks and reloads a server with the sample configuration", async () => {
    const path = "/etc/stanchion/stanchion.conf";
    assert.deepEqual(valuesOf("ExecStart"), [`/usr/local/bin/stanchion -c ${path}`]);
    assert.deepEqual(valuesOf("ExecStartPre"), [`/usr/local/bin/stanchion -c ${path} -t`]);
    assert.deepEqual(valuesOf("ExecReload"), ["/bin/kill -HUP $MAINPID"]);
    const options = accepted(["-c", path], { [path]: read("deploy/systemd/stanchion.conf") });
    const [state] = valuesOf("StateDirectory");
    assert.ok(options.file.dir.startsWith(`/var/lib/${state}/`));
    const [seconds] = valuesOf("TimeoutStopSec");
    assert.ok(Number(seconds) > 30, "killed before a stop may end");

    const checked = await runTarget("executable", ["-c", join(ROOT, "deploy/systemd/stanchion.conf"), "-t"]);
    assert.equal(checked.exitStatus, 0, checked.stderr);
  });

  it("its user is made by the file for systemd-sysusers", () => {
    const [user = ""] = valuesOf("User");
    assert.match(read("deploy/systemd/stanchion.sysusers"), new RegExp(`^u ${user} - .* /var/lib/stanchion$`, "m"));
  });

  it("what SIGTERM ends with is a success", async () => {
    const server = await startServerProcess("executable");
    const status = await server.stop("SIGTERM");
    assert.deepEqual(valuesOf("SuccessExitStatus"), [String(status)]);
  });
});
