/** Clock, scheduler, files, random bytes and process of the picked runtime. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { byteString, rangeTextByUnits } from "../../../src/base/bytes.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { RuntimeError, type RuntimeErrorCode } from "../../../src/runtime/types.ts";

const runtime = await pickRuntime();
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "stanchion-runtime-"));
after(() => fs.rmSync(folder, { recursive: true, force: true }));

function hasCode(code: RuntimeErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof RuntimeError && error.code === code && error.cause !== undefined;
}

test("runtime 3: monotonic time never goes back", () => {
  let before = runtime.clock.monotonicMs();
  for (let count = 0; count < 10_000; count++) {
    const now = runtime.clock.monotonicMs();
    assert.ok(now >= before);
    before = now;
  }
});

test("runtime 3: wall time is within the drift of the system's", () => {
  const out = { high: 0, low: 0 };
  const before = Date.now();
  runtime.clock.wallNs(out);
  const afterwards = Date.now();
  assert.ok(Number.isInteger(out.high) && out.high >= 0 && out.high < 2 ** 32);
  assert.ok(Number.isInteger(out.low) && out.low >= 0 && out.low < 2 ** 32);
  const ms = Number(((BigInt(out.high) << 32n) | BigInt(out.low)) / 1_000_000n);
  assert.ok(ms >= before - 20 && ms <= afterwards + 20, `${before} ${ms} ${afterwards}`);
});

test("runtime 1.4: endOfTurn runs after this turn, in order; a stopped timer never fires", async () => {
  const seen: string[] = [];
  const stopped = runtime.scheduler.after(0, () => seen.push("stopped"));
  const late = runtime.scheduler.after(2 ** 40, () => seen.push("late"));
  runtime.scheduler.endOfTurn(() => seen.push("first"));
  runtime.scheduler.endOfTurn(() => seen.push("second"));
  stopped.stop();
  stopped.stop();
  assert.deepEqual(seen, []);
  await new Promise<void>((resolve) => runtime.scheduler.after(5, resolve));
  late.stop();
  assert.deepEqual(seen, ["first", "second"]);
});

test("runtime 4.1: files are written, appended, renamed and removed", () => {
  const { files } = runtime;
  const deep = path.join(folder, "a", "b");
  files.makeDirectory(deep);
  files.makeDirectory(deep);
  const name = path.join(deep, "log");
  assert.equal(files.exists(name), false);
  files.writeText(name, "grün\n", 0o600);
  assert.equal(fs.statSync(name).mode & 0o777, 0o600);
  assert.equal(files.readText(name), "grün\n");
  const file = files.openAppend(name);
  assert.equal(file.sizeBytes, 6);
  file.write(new TextEncoder().encode("more\n"));
  assert.equal(file.sizeBytes, 11);
  file.close();
  file.close();
  assert.equal(files.readText(name), "grün\nmore\n");
  files.rename(name, `${name}.1`);
  assert.equal(files.exists(name), false);
  files.remove(`${name}.1`);
  assert.equal(files.exists(`${name}.1`), false);
});

test("runtime 4.1: a new log is readable by owner and group only", () => {
  const name = path.join(folder, "fresh.log");
  const before = process.umask(0o022);
  try {
    runtime.files.openAppend(name).close();
  } finally {
    process.umask(before);
  }
  assert.equal(fs.statSync(name).mode & 0o777, 0o640);
});

test("runtime 4.1: refusals carry stable codes and name the path", () => {
  const { files } = runtime;
  const missing = path.join(folder, "missing", "file");
  assert.throws(() => files.readText(missing), hasCode("NOT_FOUND"));
  assert.throws(() => files.openAppend(missing), hasCode("NOT_FOUND"));
  assert.throws(() => files.remove(missing), hasCode("NOT_FOUND"));
  assert.throws(() => files.rename(missing, folder), hasCode("NOT_FOUND"));
  assert.throws(() => files.readText(missing), /Cannot read ".*missing/);
  const file = path.join(folder, "file");
  files.writeText(file, "");
  assert.throws(() => files.makeDirectory(file), hasCode("ALREADY_EXISTS"));
});

test("runtime 7: random bytes differ, whatever their number", () => {
  const seen = new Set<string>();
  for (let count = 0; count < 2000; count++) {
    const bytes = new Uint8Array(12);
    runtime.random(bytes);
    seen.add(Buffer.from(bytes).toString("hex"));
  }
  assert.equal(seen.size, 2000);
  for (const size of [0, 1, 1023, 1024, 1025, 4095, 4096, 4097, 100_000]) {
    const bytes = new Uint8Array(size);
    runtime.random(bytes);
    if (size >= 1023) assert.ok(new Set(bytes).size > 200, `${size}`);
  }
});

test("runtime 10: the process is described", () => {
  const host = runtime.process;
  assert.equal(host.pid, process.pid);
  assert.equal(host.programName, "stanchion");
  assert.equal(host.env("STANCHION_SURELY_NOT_SET"), undefined);
  assert.ok(host.residentBytes() > 1_000_000);
  assert.ok(host.cpuTimeMs() > 0);
  assert.ok(Number.isInteger(host.zoneOffsetMinutes(Date.now())));
  assert.ok(!Object.is(host.zoneOffsetMinutes(0), -0));
  assert.match(runtime.version, /^(bun|deno)\d+\.\d+\.\d+/);
});

test("stores 8.5: a variable that was removed from our environment is in none that a program gets", async () => {
  const { process: host } = runtime;
  process.env["STANCHION_TEST_SECRET"] = "hidden";
  process.env["STANCHION_TEST_OTHER"] = "shown";
  const environment = () => new Promise<string>((resolve) => host.run("/usr/bin/env", [], (output) => resolve(output)));
  assert.match(await environment(), /^STANCHION_TEST_SECRET=hidden$/m);
  host.unsetEnv("STANCHION_TEST_SECRET");
  host.unsetEnv("STANCHION_TEST_NEVER_SET");
  assert.equal(host.env("STANCHION_TEST_SECRET"), undefined);
  const output = await environment();
  assert.doesNotMatch(output, /STANCHION_TEST_SECRET|hidden/);
  assert.match(output, /^STANCHION_TEST_OTHER=shown$/m);
  host.unsetEnv("STANCHION_TEST_OTHER");
});

test("runtime 11.2: a signal reaches its handler", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  runtime.process.onSignal("SIGUSR2", resolve);
  const alive = setInterval(() => {}, 1000);
  process.kill(process.pid, "SIGUSR2");
  await promise;
  clearInterval(alive);
});

test("style 6: byte strings of the platform are those of the language, whatever the length and the view", () => {
  const block = new Uint8Array(70_000).map((_, i) => i * 7 + (i >> 8));
  // A view in the middle of a block, and a Buffer: both are what sockets hand out.
  for (const bytes of [block, block.subarray(5, 69_000), Buffer.from(block.buffer, 3, 68_000)]) {
    for (const length of [0, 1, 2, 22, 47, 48, 8191, 8192, 8193, 65_536]) {
      for (const start of [0, 1, 1000, bytes.length - length]) {
        const text = byteString(bytes, start, start + length);
        // Not assert.equal, which would print both.
        assert.ok(text === rangeTextByUnits(bytes, start, start + length), `${length} bytes from ${start}`);
        assert.equal(text.length, length);
      }
    }
  }
});
