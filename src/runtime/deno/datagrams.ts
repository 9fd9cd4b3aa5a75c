/** Datagrams over Unix sockets through Deno's foreign functions. */
import process from "node:process";
import { type DatagramOpener, datagramOpener } from "../node/datagrams.ts";
import { openCLibrary } from "./c_library.ts";

/** Undefined where the platform has no such calls, or the program was started without permission for them. */
export function denoDatagrams(): DatagramOpener | undefined {
  const library = openCLibrary({
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
    send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
    close: { parameters: ["i32"], result: "i32" },
  });
  if (library === undefined) return undefined;
  const { call } = library;
  return datagramOpener({
    socket: (family, type, protocol) => Number(call.socket(family, type, protocol)),
    connect: (descriptor, address, size) => Number(call.connect(descriptor, address, size)),
    send: (descriptor, bytes, size, flags) => Number(call.send(descriptor, bytes, BigInt(size), flags)),
    close: (descriptor) => Number(call.close(descriptor)),
  }, process);
}
