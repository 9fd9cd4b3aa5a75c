/** `fcntl` through Deno's foreign functions. */
import process from "node:process";
import type { TryLock } from "../node/disk.ts";
import { errnoFunction, fcntlLock } from "../node/fcntl.ts";
import { openCLibrary } from "./c_library.ts";

/** Undefined where the platform has no such call, or the program was started without permission for it. */
export function denoLock(): TryLock | undefined {
  const library = openCLibrary({
    fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
    [errnoFunction(process)]: { parameters: [], result: "pointer" },
  });
  return library === undefined ? undefined : fcntlLock(library, process);
}
