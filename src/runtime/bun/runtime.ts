/** The platform under Bun. */
import { SystemClock } from "../node/clock.ts";
import { createFiles } from "../node/files.ts";
import { createProcessHost } from "../node/process.ts";
import { createRandom } from "../node/random.ts";
import { createScheduler } from "../node/scheduler.ts";
import type { Runtime } from "../types.ts";
import { bunGlobal } from "./bun_global.ts";
import { BunNetwork } from "./network.ts";

/** Where the modules of a compiled executable live; the second is the form of Windows. */
const EMBEDDED_ROOTS = ["/$bunfs/", "B:/~BUN/", "B:\\~BUN\\"];

/** Builds the runtime; one per process is enough, because it counts the sockets of the process. */
export function createRuntime(): Runtime {
  const bun = bunGlobal();
  return {
    version: `bun${bun.version}`,
    clock: new SystemClock(),
    scheduler: createScheduler(),
    network: new BunNetwork(),
    files: createFiles(),
    process: createProcessHost({ isCompiled: EMBEDDED_ROOTS.some((root) => bun.main.startsWith(root)) }),
    random: createRandom(),
  };
}
