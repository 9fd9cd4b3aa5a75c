/** `fcntl` through Bun's foreign functions. */
import process from "node:process";
import type { TryLock } from "../node/disk.ts";
import { errnoFunction, fcntlLock } from "../node/fcntl.ts";
import { openCLibrary } from "./c_library.ts";

/** Undefined where the platform has no such call. */
export function bunLock(): TryLock | undefined {
  const library = openCLibrary({
    fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" },
    [errnoFunction(process)]: { args: [], returns: "ptr" },
  });
  return library === undefined ? undefined : fcntlLock(library, process);
}
