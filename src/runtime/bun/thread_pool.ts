/**
 * The threads on which Bun waits for the disk. It has as many as there are cores: on two cores two syncs run at a time, though
 * neither needs a core, and whoever reads a file waits behind them. How many it makes is asked of the environment once, when
 * the first one is needed.
 */
import { availableParallelism } from "node:os";
import process from "node:process";
import { openCLibrary } from "./c_library.ts";

/** Twice the syncs per second of two; twice as many give a seventh more (tests/bench/syncs.ts). */
const THREADS = 16;
/** Whoever sets one of them has chosen. */
const THREADS_VARIABLE = "UV_THREADPOOL_SIZE";
const OTHER_VARIABLE = "GOMAXPROCS";

/**
 * Call it before anything waits for the disk off the event loop. From source it comes too late, because the loader of modules
 * has used the pool by then, and where the platform cannot do it nothing changes: syncs take turns. Programs that are run from
 * here see nothing of it: they get the environment that we were given.
 */
export function widenThreadPool(): void {
  const { env } = process;
  if (availableParallelism() >= THREADS || env[THREADS_VARIABLE] !== undefined || env[OTHER_VARIABLE] !== undefined) {
    return;
  }
  const library = openCLibrary({ setenv: { args: ["ptr", "ptr", "i32"], returns: "i32" } });
  library?.call.setenv(cString(THREADS_VARIABLE), cString(String(THREADS)), 1);
}

function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}
