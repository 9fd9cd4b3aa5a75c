/**
 * What both socket adapters do the same way: how long a closing connection may take, and how many connections the
 * process may hold.
 */
import { readFileSync } from "node:fs";
import { RuntimeError } from "../types.ts";

/**
 * After our FIN, input is read and thrown away for this long before the socket is destroyed. Unread input at that moment
 * would make the kernel send RST, and the peer could lose the last bytes we wrote (nats-server.md 2, trap 14).
 */
export const LINGER_MS = 100;

/** A closing socket whose peer does not take the queued bytes within this time is destroyed with them. */
export const END_WRITE_MS_MAX = 10_000;

/**
 * Descriptors kept for the store, the log, what the runtime opens by itself (24 were seen), and the connections of a
 * burst that are accepted before listeners can be told to stop (40 were seen on one runtime, 2026-11).
 */
export const DESCRIPTOR_RESERVE = 128;

/** Taken where the limit cannot be read; the usual soft limit. */
const DESCRIPTOR_COUNT_FALLBACK = 1024;

/** "unlimited" and absurd values become this, so that sums stay exact small integers. */
const DESCRIPTOR_COUNT_MAX = 1 << 30;

/** The soft limit of open files in the text of `/proc/self/limits`. */
export function parseDescriptorLimit(limits: string): number {
  const found = /^Max open files\s+(\d+|unlimited)/m.exec(limits);
  if (found === null) return DESCRIPTOR_COUNT_FALLBACK;
  return found[1] === "unlimited" ? DESCRIPTOR_COUNT_MAX : Math.min(Number(found[1]), DESCRIPTOR_COUNT_MAX);
}

/** Sockets within a limit of descriptors; of a very small limit they get half. */
export function socketCountWithin(limit: number): number {
  return Math.max(1, limit - Math.min(DESCRIPTOR_RESERVE, limit >> 1));
}

/** The soft limit of open files of this process. Both runtimes raise it before any of our code runs. */
export function readDescriptorLimit(): number {
  try {
    return parseDescriptorLimit(readFileSync("/proc/self/limits", "latin1"));
  } catch {
    // Only Linux has the file; elsewhere the fallback is the careful answer.
    return DESCRIPTOR_COUNT_FALLBACK;
  }
}

/** Sockets the process may hold at the same time. */
export function readSocketCountMax(): number {
  return socketCountWithin(readDescriptorLimit());
}

/**
 * Counts open sockets against the descriptor limit of the process. Running out of descriptors must not happen: one
 * runtime then stops accepting for ever without an error event (runtime.md 1.6).
 */
export class SocketCount {
  /** Sockets open in the whole process, dialled ones included. */
  value = 0;
  constructor(readonly max: number) {}
}

/** Accepted sockets of one listener, within the count of the process. */
export class ListenerCount {
  value = 0;
  constructor(readonly max: number, readonly process: SocketCount) {}

  /** True when one more may be held; it is counted then and must be given back with `release`. */
  take(): boolean {
    if (this.value >= this.max || this.process.value >= this.process.max) return false;
    this.value++;
    this.process.value++;
    return true;
  }

  release(): void {
    this.value--;
    this.process.value--;
  }
}

/** Why a dial is refused before it begins. */
export function tooManySockets(max: number): RuntimeError {
  return new RuntimeError(
    "OTHER",
    `Cannot connect: all ${max} sockets this process may hold are in use. Raise the limit of open files (ulimit -n)`,
  );
}
