/** The C library through Bun's foreign functions. */
import process from "node:process";
import { cLibraries, type CLibrary } from "../node/c_library.ts";

/** How a function is called, in the names of `bun:ffi`. */
export interface CSignature {
  readonly args: readonly ("i32" | "u32" | "u64" | "ptr")[];
  readonly returns: "i32" | "i64" | "ptr";
}

/** As much of `bun:ffi` as is used here. */
interface BunFfi {
  dlopen(
    library: string,
    symbols: Record<string, CSignature>,
  ): { readonly symbols: Record<string, (...args: unknown[]) => unknown> };
  readonly read: { i32(pointer: unknown, offset: number): number };
}

/** Undefined where the platform has no such functions. */
export function openCLibrary<Name extends string>(
  functions: Readonly<Record<Name, CSignature>>,
): CLibrary<Name> | undefined {
  // Asked for at run time: an import would have to be resolved by the other runtime's type checker, too.
  const { getBuiltinModule } = process as unknown as { getBuiltinModule(name: string): BunFfi | undefined };
  const ffi = getBuiltinModule("bun:ffi");
  if (ffi === undefined) return undefined;
  for (const library of cLibraries(process)) {
    try {
      const { symbols } = ffi.dlopen(library, functions);
      return {
        call: symbols as Record<Name, (...args: unknown[]) => unknown>,
        i32At: (pointer) => ffi.read.i32(pointer, 0),
      };
    } catch {
      // Not this library; perhaps the next.
    }
  }
  return undefined;
}
