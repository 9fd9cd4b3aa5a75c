/** A server that is told to stop before it is ready (operations.md 4.1, 14.16). */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { draftOptions, freezeOptions } from "../../../src/config/option_types.ts";
import { Logger } from "../../../src/log/logger.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { ServerError, StreamingServer } from "../../../src/server/streaming_server.ts";

async function serverOn(dir: string) {
  const runtime = await pickRuntime();
  const lines: string[] = [];
  const log = new Logger({
    sink: {
      write: (text) => void lines.push(text.trimEnd().replace(/^\[\d+\] /, "")),
      reopen: () => "noFile",
      close() {},
    },
    style: { pid: 1, time: false, colours: false },
    wallNs: (out) => runtime.clock.wallNs(out),
    zoneOffsetMinutes: () => 0,
    core: { debug: false, trace: false },
    streaming: { debug: false, trace: false },
  });
  const draft = draftOptions("stanchion");
  draft.host = "127.0.0.1";
  draft.port = -1;
  draft.store = "FILE";
  draft.file.dir = dir;
  return { server: new StreamingServer(freezeOptions(draft), runtime, log), lines };
}

test("operations 14.16: a stop during recovery is obeyed at once, opens no port and lets go of the store", async () => {
  const folder = mkdtempSync(join(tmpdir(), "stanchion-stop-"));
  try {
    const dir = join(folder, "store");
    const first = await serverOn(dir);
    const started = first.server.start();
    const ended = assert.rejects(started, (error) => error instanceof ServerError && error.code === "SERVER_STOPPED");
    assert.equal(first.server.state, "starting");
    await first.server.stop();
    assert.equal(first.server.state, "stopped");
    assert.equal(first.server.unfinished, "");
    await ended;
    assert.equal(first.server.nats.port, 0);
    assert.deepEqual(first.lines.slice(-3), [
      "[INF] STREAM: Shutting down.",
      "[INF] Initiating Shutdown...",
      "[INF] Server Exiting..",
    ]);
    assert.ok(!first.lines.some((line) => line.includes("ready")), first.lines.join("\n"));
    // The lock of the directory is free again.
    assert.ok(existsSync(dir));
    const second = await serverOn(dir);
    await second.server.start();
    assert.equal(second.server.state, "ready");
    const stopped = second.server.stop();
    assert.match(second.server.unfinished, /^requests that were accepted /);
    await stopped;
    assert.equal(second.server.unfinished, "");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
