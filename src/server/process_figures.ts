/** Figures of this process for the monitor, from the platform and, on Linux, from /proc. */
import process from "node:process";
import type { Runtime } from "../runtime/types.ts";
import { RuntimeError } from "../runtime/types.ts";
import type { LoopDelay } from "../monitor/loop_delay.ts";
import type { ProcessView } from "../monitor/nats_view.ts";

const DESCRIPTORS = "/proc/self/fd";
const LIMITS = "/proc/self/limits";

/** `loopDelay` knows how busy the processor is. */
export function createProcessView(runtime: Runtime, loopDelay: LoopDelay): ProcessView {
  const { disk, files, process: host } = runtime;
  let openFilesMax: number | undefined;
  return {
    get cpuPercent() {
      return loopDelay.cpuPercent;
    },
    cpuSeconds: () => host.cpuTimeMs() / 1000,
    residentBytes: () => host.residentBytes(),
    heapBytes: () => process.memoryUsage().heapUsed,
    coreCount: Math.max(1, navigator.hardwareConcurrency),
    // One is that of the directory itself, which is closed again.
    openFiles: () => orZero(() => disk.list(DESCRIPTORS).length - 1),
    // The limit of a process hardly ever changes, and the file is made anew at every reading.
    openFilesMax: () =>
      openFilesMax ??= orZero(() => {
        const match = /^Max open files\s+(\d+)/m.exec(files.readText(LIMITS));
        return match === null ? 0 : Number(match[1]);
      }),
  };
}

/** 0 where the system does not tell: the page leaves the field out then, as the reference does. */
function orZero(read: () => number): number {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    return 0;
  }
}
