/** Calls of the C library through Bun's foreign functions: `fcntl`, and `listen` for a longer queue. */
import process from "node:process";
import { errnoFunction, type FcntlCalls, fcntlLibraries, fcntlLock } from "../node/fcntl.ts";
import type { TryLock } from "../node/disk.ts";

/** As much of `bun:ffi` as is used here. */
interface BunFfi {
  dlopen(
    library: string,
    symbols: Record<string, { readonly args: readonly string[]; readonly returns: string }>,
  ): { readonly symbols: Record<string, (...args: unknown[]) => unknown> };
  readonly read: { i32(pointer: unknown, offset: number): number };
}

/** Undefined where the platform has no such call. */
export function bunLock(): TryLock | undefined {
  // Asked for at run time: an import would have to be resolved by the other runtime's type checker, too.
  const { getBuiltinModule } = process as unknown as { getBuiltinModule(name: string): BunFfi | undefined };
  const ffi = getBuiltinModule("bun:ffi");
  if (ffi === undefined) return undefined;
  const errnoName = errnoFunction(process);
  for (const library of fcntlLibraries(process)) {
    try {
      const { symbols } = ffi.dlopen(library, {
        fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" },
        [errnoName]: { args: [], returns: "ptr" },
      });
      const calls: FcntlCalls = {
        fcntl: (descriptor, command, flock) => Number(symbols.fcntl!(descriptor, command, flock)),
        errno: () => ffi.read.i32(symbols[errnoName]!(), 0),
      };
      return fcntlLock(calls, process);
    } catch {
      // Not this library; perhaps the next.
    }
  }
  return undefined;
}

/**
 * Connections that the kernel holds until they are accepted. The runtime asks for 512 and has no option for it: of a storm of
 * thousands the rest would be reset, or come again a second later. The system's own limit still holds.
 */
const ACCEPT_QUEUE_LENGTH = 4096;

/** Listens again on a listening socket, which changes nothing but the length of its queue. */
export function lengthenAcceptQueue(descriptor: number | undefined): void {
  const { getBuiltinModule } = process as unknown as { getBuiltinModule(name: string): BunFfi | undefined };
  const ffi = getBuiltinModule("bun:ffi");
  if (ffi === undefined || descriptor === undefined || descriptor < 0) return;
  for (const library of fcntlLibraries(process)) {
    try {
      const { symbols } = ffi.dlopen(library, { listen: { args: ["i32", "i32"], returns: "i32" } });
      symbols.listen!(descriptor, ACCEPT_QUEUE_LENGTH);
      return;
    } catch {
      // Not this library; without any the queue stays as it is.
    }
  }
}
