/** The C library through Deno's foreign functions. */
import process from "node:process";
import { cLibraries, type CLibrary } from "../node/c_library.ts";

/** How a function is called, in the names of Deno. */
export interface CSignature {
  readonly parameters: readonly ("i32" | "u32" | "usize" | "buffer")[];
  readonly result: "i32" | "isize" | "pointer";
}

/** As much of the global as is used here. */
interface DenoFfi {
  dlopen(
    library: string,
    symbols: Record<string, CSignature>,
  ): { readonly symbols: Record<string, (...args: unknown[]) => unknown> };
  readonly UnsafePointerView: new (pointer: unknown) => { getInt32(): number };
}

/** Undefined where the platform has no such functions, or the program was started without permission for them. */
export function openCLibrary<Name extends string>(
  functions: Readonly<Record<Name, CSignature>>,
): CLibrary<Name> | undefined {
  const { Deno } = globalThis as unknown as { Deno: DenoFfi };
  for (const library of cLibraries(process)) {
    try {
      const { symbols } = Deno.dlopen(library, functions);
      return {
        call: symbols as Record<Name, (...args: unknown[]) => unknown>,
        i32At: (pointer) => new Deno.UnsafePointerView(pointer).getInt32(),
      };
    } catch {
      // Not this library; perhaps the next. Without permission none will do.
    }
  }
  return undefined;
}
