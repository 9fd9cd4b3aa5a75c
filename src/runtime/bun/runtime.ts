/** The platform under Bun. */
import { Buffer } from "node:buffer";
import { installBulkCopy } from "../../base/bytes.ts";
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
import { bunGlobal } from "./bun_global.ts";
import { bunDatagrams } from "./datagrams.ts";
import { bunLock } from "./fcntl.ts";
import { BunNetwork } from "./network.ts";
import { widenThreadPool } from "./thread_pool.ts";

/** Where the modules of a compiled executable live; the second is the form of Windows. */
const EMBEDDED_ROOTS = ["/$bunfs/", "B:/~BUN/", "B:\\~BUN\\"];

/** Above this a native copy is faster than a loop (tests/bench/copy.ts). */
const COPY_LOOP_MAX_BYTES = 48;

/** Builds the runtime; one per process is enough, because it counts the sockets of the process. */
export function createRuntime(): Runtime {
  const bun = bunGlobal();
  widenThreadPool();
  const { copy } = Buffer.prototype;
  installBulkCopy((target, position, source, start, end) => {
    copy.call(source as Buffer, target, position, start, end);
  }, COPY_LOOP_MAX_BYTES);
  installByteStrings();
  return {
    version: `bun${bun.version}`,
    clock: new SystemClock(),
    scheduler: createScheduler(),
    network: new BunNetwork(),
    http: createHttpHost(),
    files: createFiles(),
    disk: createDisk(bunLock),
    process: createProcessHost({ isCompiled: EMBEDDED_ROOTS.some((root) => bun.main.startsWith(root)) }),
    openSyslog: (target) => openSyslog(target, bunDatagrams),
    random: createRandom(),
    bcryptMatches: (password, hash) => bun.password.verify(password, hash, "bcrypt"),
  };
}
