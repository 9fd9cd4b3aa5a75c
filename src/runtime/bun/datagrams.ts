/** Datagrams over Unix sockets through Bun's foreign functions. */
import process from "node:process";
import { type DatagramOpener, datagramOpener } from "../node/datagrams.ts";
import { openCLibrary } from "./c_library.ts";

/** Undefined where the platform has no such calls. */
export function bunDatagrams(): DatagramOpener | undefined {
  const library = openCLibrary({
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
    send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
    close: { args: ["i32"], returns: "i32" },
  });
  if (library === undefined) return undefined;
  const { call } = library;
  return datagramOpener({
    socket: (family, type, protocol) => Number(call.socket(family, type, protocol)),
    connect: (descriptor, address, size) => Number(call.connect(descriptor, address, size)),
    send: (descriptor, bytes, size, flags) => Number(call.send(descriptor, bytes, size, flags)),
    close: (descriptor) => Number(call.close(descriptor)),
  }, process);
}
