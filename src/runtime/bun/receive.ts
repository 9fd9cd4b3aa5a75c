/**
 * Reading a socket into memory of one's own. The runtime makes a buffer for every read, as large as what has come: of a flood
 * that is a third of a megabyte at a time to allocate, to fill and to collect.
 */
import process from "node:process";
import { openCLibrary } from "./c_library.ts";

/** `MSG_DONTWAIT`, by platform. */
const DONT_WAIT: Readonly<Record<string, number>> = { linux: 0x40, darwin: 0x80 };

type Receive = (descriptor: number, into: Uint8Array, size: number, flags: number) => number;

/** Null where the platform has no such call. */
let receive: Receive | null | undefined;

/** Reads at most `size` bytes that are there; 0: there are none, or it cannot be told so. */
export function receiveNow(descriptor: number | undefined, into: Uint8Array, size: number): number {
  receive ??= openReceive();
  if (receive === null || descriptor === undefined || descriptor < 0) return 0;
  const count = receive(descriptor, into, Math.min(size, into.length), DONT_WAIT[process.platform] ?? 0);
  // An error is left to the runtime, which finds it by itself.
  return Math.max(0, count);
}

function openReceive(): Receive | null {
  if (DONT_WAIT[process.platform] === undefined) return null;
  const library = openCLibrary({ recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" } });
  if (library === undefined) return null;
  const { recv } = library.call;
  return (descriptor, into, size, flags) => Number(recv(descriptor, into, size, flags));
}
