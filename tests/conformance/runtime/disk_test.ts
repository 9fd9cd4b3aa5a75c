/** The disk as stores see it; both runtimes pass the same suite (stores.md 5.11, runtime.md 4.1 and 11.1). */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { RuntimeError, type RuntimeErrorCode } from "../../../src/runtime/types.ts";

const { disk } = await pickRuntime();
const root = mkdtempSync(join(tmpdir(), "stanchion-disk-"));
test.after(() => rmSync(root, { recursive: true, force: true }));
const path = (name: string) => join(root, name);
const text = (value: string) => new TextEncoder().encode(value);

function refused(code: RuntimeErrorCode, work: () => unknown): void {
  assert.throws(work, (error: unknown) => error instanceof RuntimeError && error.code === code);
}

function done(work: (done: (error: RuntimeError | undefined) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let isBack = false;
    work((error) => {
      assert.ok(isBack, "never called before the call has returned");
      if (error === undefined) resolve();
      else reject(error);
    });
    isBack = true;
  });
}

test("positions are the owner's: writes replace, extend and leave holes of zeros", async () => {
  const file = disk.open(path("a"), "create");
  const bytes = text("..hello..");
  file.write(bytes, 2, 7, 0);
  file.write(bytes, 2, 4, 3);
  file.write(bytes, 2, 3, 8);
  assert.equal(file.sizeBytes(), 9);
  const into = new Uint8Array(20).fill(7);
  assert.equal(file.read(into, 1, 20, 0), 9, "fewer at the end");
  assert.deepEqual([...into.subarray(0, 11)], [7, ...text("helhe"), 0, 0, 0, 104, 7]);
  assert.equal(file.read(into, 0, 5, 100), 0, "nothing behind the end");
  await done((end) => file.sync(end));
  file.syncNow();
  file.truncate(3);
  assert.equal(file.sizeBytes(), 3);
  file.truncate(5);
  assert.equal(file.read(into, 0, 20, 0), 5);
  assert.deepEqual([...into.subarray(0, 5)], [...text("hel"), 0, 0]);
  file.close();
});

test("reads off the loop give the same, in pieces and at the end", async () => {
  const file = disk.open(path("later"), "create");
  const content = new Uint8Array(300_000).map((_, i) => i * 7);
  file.write(content, 0, content.length, 0);
  const read = (start: number, end: number, position: number) =>
    new Promise<[number, Uint8Array]>((resolve, reject) => {
      const into = new Uint8Array(end);
      file.readLater(into, start, end, position, (error, count) => error ? reject(error) : resolve([count, into]));
    });
  const [whole, bytes] = await read(5, 300_005, 0);
  assert.equal(whole, 300_000);
  assert.deepEqual(bytes.subarray(5), content);
  assert.equal((await read(0, 1000, 299_500))[0], 500);
  assert.equal((await read(0, 0, 0))[0], 0);
  assert.equal((await read(0, 10, 400_000))[0], 0);
  file.close();
});

test("modes: read and update need the file, create keeps it, replace empties it", () => {
  refused("NOT_FOUND", () => disk.open(path("none"), "read"));
  refused("NOT_FOUND", () => disk.open(path("none"), "update"));
  const made = disk.open(path("modes"), "create");
  made.write(text("abc"), 0, 3, 0);
  made.close();
  for (const [mode, size] of [["read", 3], ["update", 3], ["create", 3], ["replace", 0]] as const) {
    const file = disk.open(path("modes"), mode);
    assert.equal(file.sizeBytes(), size, mode);
    if (mode === "read") assert.throws(() => file.write(text("x"), 0, 1, 0), RuntimeError);
    file.close();
  }
});

test("directories: listing tells kinds and links apart, names can be synced, only empty ones go", async () => {
  disk.makeDirectory(path("d/inner"));
  disk.makeDirectory(path("d/inner"));
  writeFileSync(path("d/file"), "x");
  symlinkSync(path("d/inner"), path("d/link"));
  const kinds = Object.fromEntries(disk.list(path("d")).map(({ name, kind }) => [name, kind]));
  assert.deepEqual(kinds, { file: "file", inner: "directory", link: "link" });
  assert.equal(disk.stat(path("d/link"))?.kind, "directory", "links are followed");
  assert.equal(disk.stat(path("d/nothing")), undefined);
  assert.throws(() => disk.removeDirectory(path("d")), RuntimeError);
  disk.rename(path("d/file"), path("d/renamed"));
  await done((end) => disk.syncDirectory(path("d"), end));
  await assert.rejects(done((end) => disk.syncDirectory(path("nowhere"), end)), RuntimeError);
  disk.remove(path("d/renamed"));
  refused("NOT_FOUND", () => disk.remove(path("d/renamed")));
  disk.removeDirectory(path("d/inner"));
  refused("NOT_FOUND", () => disk.list(path("nowhere")));
  assert.ok(disk.freeBytes(root) > 0);
  assert.ok(disk.openFilesMax >= 16);
});

test("modes of files are told and set, renaming replaces", () => {
  writeFileSync(path("one"), "1");
  writeFileSync(path("two"), "22");
  disk.changeMode(path("two"), 0o640);
  disk.rename(path("two"), path("one"));
  assert.deepEqual(disk.stat(path("one")), { kind: "file", sizeBytes: 2, mode: 0o640 });
});

/** Tries the reference's call on a file: F_SETLK, a write lock on the whole file. Says `held` or `busy`, then waits. */
const FCNTL = `
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
try:
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("held", flush=True)
    sys.stdin.read()
except OSError:
    print("busy", flush=True)
`;
const hasPython = spawnSync("python3", ["--version"]).status === 0;

test("stores 5.11: the lock excludes the reference's fcntl lock, and is excluded by it", {
  skip: process.platform === "linux" && hasPython
    ? false
    : "needs Linux and python3 for a program that locks as the reference does",
}, async () => {
  const file = path("lock");
  const ours = disk.lock(file);
  assert.ok(ours !== undefined);
  assert.equal(disk.lock(file), undefined, "a second one in this process");
  assert.equal(spawnSync("python3", ["-c", FCNTL, file], { encoding: "utf8" }).stdout, "busy\n");
  // Another descriptor of the file must not give the lock up.
  disk.open(file, "update").close();
  assert.equal(spawnSync("python3", ["-c", FCNTL, file], { encoding: "utf8" }).stdout, "busy\n");
  ours.release();
  ours.release();
  const theirs = spawn("python3", ["-c", FCNTL, file], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => theirs.once("exit", resolve));
  try {
    // Only the first bytes: the line end may come in a write of its own.
    const said = await new Promise((resolve) => theirs.stdout.once("data", (data) => resolve(String(data).trim())));
    assert.equal(said, "held");
    assert.equal(disk.lock(file), undefined, "held by another process");
  } finally {
    theirs.stdin.end();
    await ended;
  }
  const again = disk.lock(file);
  assert.ok(again !== undefined);
  again.release();
});

test("a lock in a directory that is not there is an error, not a refusal", () => {
  mkdirSync(path("there"));
  refused("NOT_FOUND", () => disk.lock(path("there/missing/lock")));
});
