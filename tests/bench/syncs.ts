/**
 * Syncs of many files at a time against the threads that Bun has for them, each number of threads in a process of its own, in
 * turn. Prints syncs per second and what they are beside two threads, which is what two cores give; the evidence behind
 * src/runtime/bun/thread_pool.ts. Deno has hundreds of threads and no such setting.
 *
 *     bun tests/bench/syncs.ts
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { pickRuntime } from "../../src/runtime/pick.ts";
import { figure } from "./report.ts";
import { median } from "./statistics.ts";

const THREADS = [2, 4, 8, 16, 32];
const FILES = 64;
const SYNCS = 2000;
const RECORD_BYTES = 128;
const ROUNDS = 5;

/** Appends to every file and syncs it, again and again; gives syncs per second. */
async function measure(directory: string): Promise<number> {
  const { disk } = await pickRuntime();
  const record = new Uint8Array(RECORD_BYTES).fill(65);
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: FILES }, async (_, i) => {
    const file = disk.open(path.join(directory, String(i)), "replace");
    for (let step = 0; step < SYNCS / FILES; step++) {
      file.write(record, 0, RECORD_BYTES, step * RECORD_BYTES);
      await new Promise<void>((resolve, reject) =>
        file.sync((error) => error === undefined ? resolve() : reject(error))
      );
    }
    file.close();
  }));
  return SYNCS / ((performance.now() - startedAt) / 1000);
}

const directory = mkdtempSync(path.join(tmpdir(), "stanchion-syncs-"));
try {
  if (process.argv[2] === "measure") console.log(await measure(directory));
  else {
    const rates = new Map<number, number[]>(THREADS.map((threads) => [threads, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const threads of THREADS) {
        const env = { ...process.env, UV_THREADPOOL_SIZE: String(threads) };
        const said = execFileSync(process.execPath, [import.meta.filename!, "measure"], { env, encoding: "utf8" });
        rates.get(threads)!.push(Number(said));
      }
    }
    const first = median(rates.get(THREADS[0]!)!);
    for (const [threads, samples] of rates) {
      const rate = median(samples);
      console.log(`${String(threads).padStart(3)} threads: ${figure(rate)} syncs/s, ${figure(rate / first)}x`);
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
