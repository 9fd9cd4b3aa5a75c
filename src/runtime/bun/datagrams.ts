/** Datagrams over Unix sockets through Bun's foreign functions. */
import process from "node:process";
import { type DatagramOpener, datagramOpener } from "../node/datagrams.ts";
import { fcntlLibraries } from "../node/fcntl.ts";

/** As much of `bun:ffi` as is used here. */
interface BunFfi {
  dlopen(
    library: string,
    symbols: Record<string, { readonly args: readonly string[]; readonly returns: string }>,
  ): { readonly symbols: Record<string, (...args: unknown[]) => unknown> };
}

/** Undefined where the platform has no such calls. */
export function bunDatagrams(): DatagramOpener | undefined {
  // Asked for at run time: an import would have to be resolved by the other runtime's type checker, too.
  const { getBuiltinModule } = process as unknown as { getBuiltinModule(name: string): BunFfi | undefined };
  const ffi = getBuiltinModule("bun:ffi");
  if (ffi === undefined) return undefined;
  for (const library of fcntlLibraries(process)) {
    try {
      const { symbols } = ffi.dlopen(library, {
        socket: { args: ["i32", "i32", "i32"], returns: "i32" },
        connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
        send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
        close: { args: ["i32"], returns: "i32" },
      });
      return datagramOpener({
        socket: (family, type, protocol) => Number(symbols.socket!(family, type, protocol)),
        connect: (descriptor, address, size) => Number(symbols.connect!(descriptor, address, size)),
        send: (descriptor, bytes, size, flags) => Number(symbols.send!(descriptor, bytes, size, flags)),
        close: (descriptor) => Number(symbols.close!(descriptor)),
      }, process);
    } catch {
      // Not this library; perhaps the next.
    }
  }
  return undefined;
}
