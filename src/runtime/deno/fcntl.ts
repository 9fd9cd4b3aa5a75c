/** `fcntl` through Deno's foreign functions. */
import process from "node:process";
import { cLibraries, errnoFunction, type FcntlCalls, fcntlLock } from "../node/fcntl.ts";
import type { TryLock } from "../node/disk.ts";

/** As much of the global as is used here. */
interface DenoFfi {
  dlopen(
    library: string,
    symbols: Record<string, { readonly parameters: readonly string[]; readonly result: string }>,
  ): { readonly symbols: Record<string, (...args: unknown[]) => unknown> };
  readonly UnsafePointerView: new (pointer: unknown) => { getInt32(): number };
}

/** Undefined where the platform has no such call, or the program was started without permission for it. */
export function denoLock(): TryLock | undefined {
  const { Deno } = globalThis as unknown as { Deno: DenoFfi };
  const errnoName = errnoFunction(process);
  for (const library of cLibraries(process)) {
    try {
      const { symbols } = Deno.dlopen(library, {
        fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
        [errnoName]: { parameters: [], result: "pointer" },
      });
      const calls: FcntlCalls = {
        fcntl: (descriptor, command, flock) => Number(symbols.fcntl!(descriptor, command, flock)),
        errno: () => new Deno.UnsafePointerView(symbols[errnoName]!()).getInt32(),
      };
      return fcntlLock(calls, process);
    } catch {
      // Not this library; perhaps the next. Without permission none will do.
    }
  }
  return undefined;
}
