/**
 * Reading a socket into memory of one's own. The runtime makes a buffer for every read, as large as what has come: of a flood
 * that is a third of a megabyte or more to allocate, to fill and to collect.
 */
import process from "node:process";
import { openCLibrary } from "./c_library.ts";

/** Of Linux. Elsewhere the second call takes its arguments in another way. */
const MSG_DONTWAIT = 0x40;
const FIONREAD = 0x541b;

type Receive = (descriptor: number, into: Uint8Array, size: number, min: number) => number;

/** Null where the platform has no such calls. */
let receive: Receive | null | undefined;

/** Reads at most `size` bytes; 0: there are fewer than `min`, or it cannot be done so. */
export function receiveNow(descriptor: number | undefined, into: Uint8Array, size: number, min: number): number {
  if (receive === undefined) receive = openReceive();
  if (receive === null || descriptor === undefined || descriptor < 0) return 0;
  return receive(descriptor, into, Math.min(size, into.length), min);
}

function openReceive(): Receive | null {
  if (process.platform !== "linux") return null;
  const library = openCLibrary({
    recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
    ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  });
  if (library === undefined) return null;
  const { recv, ioctl } = library.call;
  const available = new Int32Array(1);
  return (descriptor, into, size, min) => {
    if (min > 1 && (ioctl(descriptor, FIONREAD, available) !== 0 || available[0]! < min)) return 0;
    // An error is left to the runtime, which finds it by itself.
    return Math.max(0, Number(recv(descriptor, into, size, MSG_DONTWAIT)));
  };
}
