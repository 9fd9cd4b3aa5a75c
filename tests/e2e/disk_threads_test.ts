/** Threads that wait for the disk: Bun alone has as many as there are cores, the executable more, Deno hundreds. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import process from "node:process";
import { describe, it } from "node:test";
import {
  PROCESS_TEST_MS_MAX,
  startServerProcess,
  type TargetName,
  TARGETS,
  TestFolder,
} from "../helpers/server_process.ts";
import { closeStan, connectStan, publish, range } from "../interop/stan_client.ts";

const timeout = PROCESS_TEST_MS_MAX;
const skip = process.platform === "linux" ? false : "needs /proc to see the threads of another process";
const THREADS = 16;
/** New channels at a time: three syncs of files and one of a directory each. */
const CHANNELS = 32;
/** The pool grows by what waits; a disk that is quick enough keeps few threads busy. */
const BURSTS_MAX = 30;

/** What the threads of each are called, and how many there have to be. */
const POOLS: Readonly<Record<TargetName, { readonly name: string; readonly least: number }>> = {
  deno: { name: "tokio", least: THREADS },
  // From source the pool is made by the loader of modules, before any of them runs.
  bun: { name: "Bun Pool", least: Math.min(THREADS, availableParallelism()) },
  executable: { name: "Bun Pool", least: THREADS },
};

/** How many threads of a process the runtime made for such work. */
function poolThreads(pid: number, name: string): number {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).filter((id) => readFileSync(`${tasks}/${id}/comm`, "utf8").startsWith(name)).length;
}

/** Makes channels until there are `THREADS`, or long enough; gives how many there are. */
async function threadsUnderLoad(target: TargetName, env: Readonly<Record<string, string>>): Promise<number> {
  using folder = new TestFolder();
  const args = ["-store", "FILE", "-dir", folder.file("data"), "-mc", "0"];
  const server = await startServerProcess(target, { args, env });
  const { name } = POOLS[target];
  const client = await connectStan(server.url, "many");
  for (let i = 0; i < BURSTS_MAX && poolThreads(server.pid, name) < THREADS; i++) {
    await Promise.all(range(1, CHANNELS).map((channel) => publish(client, `burst.${i}.${channel}`, "x")));
  }
  const count = poolThreads(server.pid, name);
  await closeStan(client);
  await server.stop();
  return count;
}

for (const target of TARGETS) {
  describe(`threads for the disk under ${target}`, () => {
    it("runtime 4.2: as many syncs at a time as the disk takes", { timeout, skip }, async () => {
      const count = await threadsUnderLoad(target, {});
      assert.ok(count >= POOLS[target].least, `${count} threads`);
    });
    if (target === "deno") return;

    it("runtime 4.2: who sets UV_THREADPOOL_SIZE decides", { timeout, skip }, async () => {
      assert.equal(await threadsUnderLoad(target, { UV_THREADPOOL_SIZE: "3" }), 3);
    });
  });
}
