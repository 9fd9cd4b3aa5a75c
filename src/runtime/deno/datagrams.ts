/** Datagrams over Unix sockets through Deno's foreign functions. */
import process from "node:process";
import { type DatagramOpener, datagramOpener } from "../node/datagrams.ts";
import { cLibraries } from "../node/fcntl.ts";

/** As much of the global as is used here. */
interface DenoFfi {
  dlopen(
    library: string,
    symbols: Record<string, { readonly parameters: readonly string[]; readonly result: string }>,
  ): { readonly symbols: Record<string, (...args: unknown[]) => unknown> };
}

/** Undefined where the platform has no such calls, or the program was started without permission for them. */
export function denoDatagrams(): DatagramOpener | undefined {
  const { Deno } = globalThis as unknown as { Deno: DenoFfi };
  for (const library of cLibraries(process)) {
    try {
      const { symbols } = Deno.dlopen(library, {
        socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
        connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
        send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
        close: { parameters: ["i32"], result: "i32" },
      });
      return datagramOpener({
        socket: (family, type, protocol) => Number(symbols.socket!(family, type, protocol)),
        connect: (descriptor, address, size) => Number(symbols.connect!(descriptor, address, size)),
        send: (descriptor, bytes, size, flags) => Number(symbols.send!(descriptor, bytes, BigInt(size), flags)),
        close: (descriptor) => Number(symbols.close!(descriptor)),
      }, process);
    } catch {
      // Not this library; perhaps the next. Without permission none will do.
    }
  }
  return undefined;
}
