/**
 * A disk that is really full (decision 16, stores.md 1.5): a small file system in memory, mounted for the test. It needs
 * the right to mount; where that is missing the test says so and is left out.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { PROCESS_TEST_MS_MAX, runTarget, startServerProcess, TARGETS, TestFolder } from "../helpers/server_process.ts";
import { readStore, realFiles } from "../helpers/store_validator.ts";
import { closeStan, connectStan, publish, range, subscribe } from "../interop/stan_client.ts";

const timeout = PROCESS_TEST_MS_MAX;
const DISK_BYTES = 4 * 1024 * 1024;
const BIG = "b".repeat(60_000);
const BACKLOG = 30;

/** A small disk at `path`; unmounted at the end, whatever happens. */
class SmallDisk implements Disposable {
  constructor(readonly path: string) {
    mkdirSync(path);
    const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "tmpfs", path]);
    assert.equal(status, 0, String(stderr));
  }

  /** Writes until nothing fits any more. */
  fill(): void {
    const file = openSync(join(this.path, "ballast"), "w");
    try {
      for (const chunk of [new Uint8Array(65_536), new Uint8Array(512)]) {
        for (;;) {
          try {
            if (writeSync(file, chunk) < chunk.length) break;
          } catch (error) {
            assert.equal((error as { code?: string }).code, "ENOSPC");
            break;
          }
        }
      }
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(join(this.path, "ballast"));
  }

  [Symbol.dispose](): void {
    // Lazily: a server that the test could not stop must not keep it.
    spawnSync("umount", ["-l", this.path]);
  }
}

/** Whether this process may mount; asked by doing it. */
function mayMount(): boolean {
  using folder = new TestFolder();
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=65536", "tmpfs", folder.path]);
  if (status !== 0) return false;
  return spawnSync("umount", [folder.path]).status === 0;
}

const skip = mayMount() ? false : "needs the right to mount a file system (root on Linux)";

for (const target of TARGETS) {
  describe(`full disk under ${target}`, () => {
    it(
      "decision 16, stores 1.5: publishes are refused, deliveries go on, and it resumes by itself",
      { timeout, skip },
      async () => {
        using folder = new TestFolder();
        using disk = new SmallDisk(folder.file("disk"));
        const dir = join(disk.path, "data");
        const args = ["-store", "FILE", "-dir", dir, "-m", "-1"];
        const server = await startServerProcess(target, { args });
        const client = await connectStan(server.url, "full");
        const acked: string[] = [];
        const put = async (data: string) => {
          await publish(client, "disk", data);
          acked.push(data);
        };
        for (const number of range(1, BACKLOG)) await put(`before ${number}`);
        const reader = await subscribe(client, "disk", {
          with: (options) =>
            options.setDeliverAllAvailable().setManualAckMode(true).setMaxInFlight(5).setDurableName("d").setAckWait(
              60_000,
            ),
        });
        await reader.count(5);
        assert.equal(reader.received.length, 5);

        disk.fill();
        let refusal = "";
        // The last pages of the files take a little more; a disk of this size does not take all of these.
        for (let number = 1; refusal === ""; number++) {
          assert.ok(number < DISK_BYTES / BIG.length, "a full disk takes no more");
          await put(`${number}:${BIG}`).catch((error: Error) => refusal = error.message);
        }
        assert.equal(refusal, "stan: not stored: no space left on the disk of the store, try again later");
        await server.process.untilSaid('[ERR] STREAM: Channel "disk" does not take messages:');
        // Small ones, other channels and new subscriptions get an answer, too, and none of them names a path.
        const refused = async (attempt: Promise<unknown>) => {
          const error = await attempt.then(() => undefined, (error: Error) => error);
          assert.ok(error === undefined || !String(error).includes(folder.path), String(error));
          return error;
        };
        assert.ok(await refused(put("small")));
        await refused(publish(client, "disk.other", BIG));
        await refused(subscribe(client, "disk"));

        // Deliveries go on, although not one acknowledgement can be written.
        for (let taken = 0; taken < BACKLOG; taken++) {
          await reader.count(taken + 1);
          reader.messages[taken]!.ack();
        }
        assert.deepEqual(reader.sequences.slice(0, BACKLOG), range(1, BACKLOG));
        const port = /Starting http monitor on \S+:(\d+)/.exec(server.log)?.[1];
        const page = await (await fetch(`http://127.0.0.1:${port}/streaming/serverz`)).json() as { state: string };
        assert.equal(page.state, "STANDALONE");

        disk.free();
        await server.process.untilSaid('[INF] STREAM: Channel "disk" takes messages again');
        await put("after");
        for (let taken = BACKLOG; taken < acked.length; taken++) {
          await reader.count(taken + 1);
          reader.messages[taken]!.ack();
        }
        assert.deepEqual(reader.received.map(({ data }) => data), acked);
        await closeStan(client);
        assert.equal(await server.stop(), 143, server.log);

        const { problems, channels } = readStore(realFiles, dir);
        assert.deepEqual(problems, []);
        const stored = [...channels.get("disk")!.messages.values()].map(({ data }) => new TextDecoder().decode(data));
        assert.deepEqual(stored, acked, "what was acknowledged, all of it and nothing else");
        const { stdout, exitStatus } = await runTarget(target, ["check", "-dir", dir]);
        assert.equal(exitStatus, 0, stdout);
      },
    );
  });
}
