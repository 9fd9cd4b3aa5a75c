/**
 * Starts on directories that are not as they should be (stores.md 12.43 to 12.48, 12.84; operations.md 1.5): the lines that
 * scripts look for, the exit status, and what stays untouched.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { ROOT } from "../../scripts/project.ts";
import {
  PROCESS_TEST_MS_MAX,
  runTarget,
  startServerProcess,
  type TargetName,
  TARGETS,
  TestFolder,
  type TestProcess,
} from "../helpers/server_process.ts";
import { readStore, realFiles } from "../helpers/store_validator.ts";
import { closeStan, connectStan, publish } from "../interop/stan_client.ts";

const timeout = PROCESS_TEST_MS_MAX;
const PLAIN = join(ROOT, "tests/golden/filestore/plain");
const CLUSTER = "fixture-cluster";

/** Takes the reference's lock, F_SETLK on the whole file, says so, and holds it until its input ends. */
const HOLD_LOCK = `
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("held", flush=True)
sys.stdin.read()
`;
const hasPython = process.platform === "linux" && spawnSync("python3", ["--version"]).status === 0;

function copy(folder: TestFolder): string {
  const dir = folder.file("data");
  cpSync(PLAIN, dir, { recursive: true });
  return dir;
}

/** Every file below a directory with its bytes. */
function contentOf(dir: string): Map<string, string> {
  const content = new Map<string, string>();
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    content.set(path.slice(dir.length), readFileSync(path).toString("latin1"));
  }
  return content;
}

function storeArgs(dir: string, clusterId = CLUSTER): string[] {
  return ["-store", "FILE", "-dir", dir, "-cid", clusterId];
}

function start(target: TargetName, dir: string, clusterId?: string): Promise<TestProcess> {
  return runTarget(target, ["-a", "127.0.0.1", "-p", "-1", ...storeArgs(dir, clusterId)]);
}

/** The lines above INF, without process id and time, with DIR for the directory. */
function troubles(log: string, dir: string): string[] {
  return log.trimEnd().split("\n").map((line) => line.replace(/^\[\d+\] \S+ \S+ /, "").replaceAll(dir, "DIR"))
    .filter((line) => !line.startsWith("[INF]"));
}

const ADVICE = "Nothing was changed. " +
  "If the file cannot be had from a backup, move it away: it is made anew and the channels are kept";

/** What is wrong with a directory, and the one line that says so. */
const REFUSED: readonly {
  section: string;
  what: string;
  spoil: (dir: string) => void;
  clusterId?: string;
  line: string;
}[] = [
  {
    section: "stores 12.48",
    what: "a wrong cluster ID names both",
    spoil: () => {},
    clusterId: "other",
    line: 'cluster ID "other" does not match recovered value of "fixture-cluster"',
  },
  {
    section: "stores 12.47",
    what: "server.dat of 0 bytes",
    spoil: (dir) => writeFileSync(join(dir, "server.dat"), ""),
    line: `unable to recover server file "DIR/server.dat": unable to verify file version: EOF. ${ADVICE}`,
  },
  {
    section: "stores 12.9",
    what: "server.dat with one trailing byte",
    spoil: (dir) => writeFileSync(join(dir, "server.dat"), "x", { flag: "a" }),
    line:
      `unable to recover server file "DIR/server.dat": incorrect file size, expected 232 bytes, got 233 bytes. ${ADVICE}`,
  },
  {
    section: "stores 12.44",
    what: "msgs.x.dat is refused with its name",
    spoil: (dir) => writeFileSync(join(dir, "orders/msgs.x.dat"), new Uint8Array([1, 0, 0, 0])),
    line: "unable to recover message store for [orders]: message log has an invalid name: msgs.x.dat",
  },
  {
    section: "stores 12.2",
    what: "a file of version 2",
    spoil: (dir) => {
      const path = join(dir, "orders/subs.dat");
      const bytes = readFileSync(path);
      bytes[0] = 2;
      writeFileSync(path, bytes);
    },
    line: 'unsupported file version: 2 (supports [1..1]) in "DIR/orders/subs.dat". Nothing was changed',
  },
];

/** Names that a start may leave: of the lock. */
const LOCK = "/.rootdir.lck";

for (const target of TARGETS) {
  describe(`starts of ${target} on a directory`, () => {
    for (const { section, what, spoil, clusterId, line } of REFUSED) {
      it(`${section}, operations 1.5: ${what}: one FTL line, status 1, nothing changed`, { timeout }, async () => {
        using folder = new TestFolder();
        const dir = copy(folder);
        spoil(dir);
        const before = contentOf(dir);
        const { exitStatus, stderr } = await start(target, dir, clusterId);
        assert.equal(exitStatus, 1);
        assert.deepEqual(troubles(stderr, dir), [`[FTL] STREAM: Failed to start: ${line}`]);
        const after = contentOf(dir);
        after.delete(LOCK);
        assert.deepEqual(after, before);
      });
    }

    it(
      "stores 12.46: without server information there is a warning, a new one, and every channel",
      { timeout },
      async () => {
        for (const spoil of [rmSync, (path: string) => writeFileSync(path, new Uint8Array([1, 0, 0, 0]))]) {
          using folder = new TestFolder();
          const dir = copy(folder);
          spoil(join(dir, "server.dat"));
          const server = await startServerProcess(target, { args: storeArgs(dir, "renamed") });
          assert.equal(await server.stop(), 143);
          assert.deepEqual(troubles(server.log, dir), [
            "[WRN] STREAM: Server information was not recovered, however channels are present. " +
            "Will initialize server and restart recovery!",
          ]);
          assert.match(server.log, /Recovered 3 channel\(s\)/);
          const { problems, clusterId, channels } = readStore(realFiles, dir);
          assert.deepEqual(problems, []);
          assert.equal(clusterId, "renamed");
          assert.deepEqual([...channels.values()].map(({ messages }) => messages.size).sort(), [12, 3, 6].sort());
        }
      },
    );

    it("stores 12.45, 13.36: lost+found becomes a channel, a link is not followed and named", { timeout }, async () => {
      using folder = new TestFolder();
      const dir = copy(folder);
      mkdirSync(join(dir, "lost+found"));
      const elsewhere = folder.file("elsewhere");
      renameSync(join(dir, "audit"), elsewhere);
      symlinkSync(elsewhere, join(dir, "audit"));
      writeFileSync(join(dir, "notes.txt"), "not ours");
      const before = contentOf(elsewhere);
      const server = await startServerProcess(target, { args: storeArgs(dir) });
      assert.equal(await server.stop(), 143);
      assert.deepEqual(troubles(server.log, dir), [
        "[WRN] STREAM: DIR/audit is a symbolic link and is not recovered as a channel: move the directory itself here",
        '[WRN] STREAM: Channel "lost+found": DIR/lost+found/subs.dat: the file is missing; it is created',
      ]);
      assert.match(server.log, /Recovered 3 channel\(s\)/);
      assert.deepEqual(contentOf(elsewhere), before);
      assert.equal(readFileSync(join(dir, "notes.txt"), "utf8"), "not ours");
    });

    const inUse = '[FTL] STREAM: Failed to start: store directory "DIR" is in use by another server. ' +
      "Stop that one first, or choose another directory";

    it("decision 10: a second server is told so and leaves the first alone", { timeout }, async () => {
      using folder = new TestFolder();
      const dir = copy(folder);
      const server = await startServerProcess(target, { args: storeArgs(dir) });
      const before = contentOf(dir);
      const second = await start(target, dir);
      assert.equal(second.exitStatus, 1);
      assert.deepEqual(troubles(second.stderr, dir), [inUse]);
      assert.deepEqual(contentOf(dir), before);
      // Neither does `repair` touch what is in use; `check` may look, and says so.
      const repair = await runTarget(target, ["repair", "-dir", dir]);
      assert.equal(repair.exitStatus, 3);
      assert.equal(repair.stderr, `A server uses the store in "${dir}". Stop it first; nothing was changed\n`);
      const check = await runTarget(target, ["check", "-dir", dir]);
      assert.equal(check.exitStatus, 0);
      assert.match(check.stdout, /^A server uses this directory/m);
      assert.deepEqual(contentOf(dir), before);
      const client = await connectStan(server.url, "still-here", {}, CLUSTER);
      await publish(client, "orders", "served");
      await closeStan(client);
      assert.equal(await server.stop(), 143);
      // The lock went with the process.
      const third = await startServerProcess(target, { args: storeArgs(dir) });
      assert.equal(await third.stop(), 143);
    });

    it("stores 12.84: the lock that the reference takes keeps this server out, and the other way round", {
      timeout,
      skip: hasPython ? false : "needs Linux and python3 for a program that locks as the reference does",
    }, async () => {
      using folder = new TestFolder();
      const dir = copy(folder);
      const lockPath = join(dir, LOCK);
      const holder = spawn("python3", ["-c", HOLD_LOCK, lockPath], { stdio: ["pipe", "pipe", "inherit"] });
      const ended = new Promise((resolve) => holder.once("exit", resolve));
      try {
        assert.equal(
          await new Promise((resolve) => holder.stdout.once("data", (data) => resolve(String(data).trim()))),
          "held",
        );
        const before = contentOf(dir);
        const { exitStatus, stderr } = await start(target, dir);
        assert.equal(exitStatus, 1);
        assert.deepEqual(troubles(stderr, dir), [inUse]);
        assert.deepEqual(contentOf(dir), before);
      } finally {
        holder.stdin.end();
        await ended;
      }
      const server = await startServerProcess(target, { args: storeArgs(dir) });
      assert.ok(existsSync(lockPath));
      const reference = spawnSync("python3", ["-c", HOLD_LOCK, lockPath], { encoding: "utf8", input: "" });
      assert.notEqual(reference.status, 0);
      assert.equal(reference.stdout, "");
      assert.equal(await server.stop(), 143);
      assert.equal(spawnSync("python3", ["-c", HOLD_LOCK, lockPath], { encoding: "utf8", input: "" }).stdout, "held\n");
    });
  });
}
