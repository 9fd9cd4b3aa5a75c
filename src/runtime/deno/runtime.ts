/** The platform under Deno. */
import * as inspector from "node:inspector";
import { installByteStrings } from "../node/byte_strings.ts";
import { SystemClock } from "../node/clock.ts";
import { createDisk } from "../node/disk.ts";
import { createFiles } from "../node/files.ts";
import { createHttpHost } from "../node/http.ts";
import { createProcessHost } from "../node/process.ts";
import { createRandom } from "../node/random.ts";
import { createScheduler } from "../node/scheduler.ts";
import { openSyslog } from "../node/syslog.ts";
import type { Runtime } from "../types.ts";
import { denoDatagrams } from "./datagrams.ts";
import { denoLock } from "./fcntl.ts";
import { NodeNetwork } from "./network.ts";

/** As much of the global as is used here. */
interface DenoGlobal {
  readonly version: { readonly deno: string };
  readonly build: { readonly standalone?: boolean };
}

/** Builds the runtime; one per process is enough, because it counts the sockets of the process. */
export function createRuntime(): Runtime {
  const { Deno } = globalThis as unknown as { Deno: DenoGlobal };
  installByteStrings();
  return {
    version: `deno${Deno.version.deno}`,
    clock: new SystemClock(),
    scheduler: createScheduler(),
    network: new NodeNetwork(),
    http: createHttpHost(),
    files: createFiles(),
    disk: createDisk(denoLock),
    process: createProcessHost({
      isCompiled: Deno.build.standalone === true,
      // SIGUSR1 opens the debugger port on 127.0.0.1:9229 even when a handler is installed (runtime.md 11.2).
      beforeSignal: (name) => {
        if (name === "SIGUSR1") inspector.close();
      },
    }),
    openSyslog: (target) => openSyslog(target, denoDatagrams),
    random: createRandom(),
  };
}
