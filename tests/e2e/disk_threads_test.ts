/** Threads of the executable that wait for the disk: Bun alone would have as many as there are cores. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { describe, it } from "node:test";
import { PROCESS_TEST_MS_MAX, startServerProcess, TARGETS, TestFolder } from "../helpers/server_process.ts";
import { closeStan, connectStan, publish, range } from "../interop/stan_client.ts";

const timeout = PROCESS_TEST_MS_MAX;
const skip = process.platform === "linux" ? false : "needs /proc to see the threads of another process";
const THREADS = 16;
/** New channels at a time: three syncs of files and one of a directory each. */
const CHANNELS = 32;
/** The pool grows by what waits; a disk that is quick enough keeps few threads busy. */
const BURSTS_MAX = 30;

/** How many threads of a process the runtime made for such work. */
function poolThreads(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).filter((id) => readFileSync(`${tasks}/${id}/comm`, "utf8").startsWith("Bun Pool")).length;
}

// From source the pool is made by the loader of modules, before any of them runs; Deno has hundreds.
for (const target of TARGETS.filter((name) => name === "executable")) {
  describe(`threads for the disk under ${target}`, () => {
    const burst = async (server: { url: string; pid: number }, most: number) => {
      const client = await connectStan(server.url, "many");
      for (let i = 0; i < BURSTS_MAX && poolThreads(server.pid) < most; i++) {
        await Promise.all(range(1, CHANNELS).map((channel) => publish(client, `burst.${i}.${channel}`, "x")));
      }
      await closeStan(client);
      return poolThreads(server.pid);
    };
    const args = (folder: TestFolder) => ["-store", "FILE", "-dir", folder.file("data"), "-mc", "0"];

    it(
      "runtime 4.2: as many syncs at a time as the disk takes, however few cores there are",
      { timeout, skip },
      async () => {
        using folder = new TestFolder();
        const server = await startServerProcess(target, { args: args(folder) });
        const count = await burst(server, THREADS);
        assert.ok(count >= THREADS, `${count} threads`);
        await server.stop();
      },
    );

    it("runtime 4.2: who sets UV_THREADPOOL_SIZE decides", { timeout, skip }, async () => {
      using folder = new TestFolder();
      const server = await startServerProcess(target, { args: args(folder), env: { UV_THREADPOOL_SIZE: "3" } });
      assert.equal(await burst(server, THREADS), 3);
      await server.stop();
    });
  });
}
