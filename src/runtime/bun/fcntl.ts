/** `fcntl` through Bun's foreign functions. */
import process from "node:process";
import type { TryLock } from "../node/disk.ts";
import { errnoFunction, fcntlLock } from "../node/fcntl.ts";
import { openCLibrary } from "./c_library.ts";

/** Undefined where the platform has no such call. */
export function bunLock(): TryLock | undefined {
  const errnoName = errnoFunction(process);
  const library = openCLibrary({
    fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" },
    [errnoName]: { args: [], returns: "ptr" },
  });
  if (library === undefined) return undefined;
  const { call } = library;
  return fcntlLock({
    fcntl: (descriptor, command, flock) => Number(call.fcntl!(descriptor, command, flock)),
    errno: () => library.i32At(call[errnoName]!()),
  }, process);
}
