/**
 * Datagrams over a Unix socket, which neither runtime offers: the way of the local syslog. A few calls of the C library; the
 * adapters say how to make them.
 */
import type { FcntlPlatform } from "./fcntl.ts";

/** How to call C. Every call gives -1 when it fails. */
export interface DatagramCalls {
  socket(family: number, type: number, protocol: number): number;
  connect(descriptor: number, address: Uint8Array, sizeBytes: number): number;
  send(descriptor: number, bytes: Uint8Array, sizeBytes: number, flags: number): number;
  close(descriptor: number): number;
}

/** An open socket. */
export interface DatagramSocket {
  /** False: the system did not take it; it never waits. */
  send(bytes: Uint8Array): boolean;
  close(): void;
}

/** Connects to the socket of a path; undefined: nobody takes datagrams there. */
export type DatagramOpener = (path: string) => DatagramSocket | undefined;

const FAMILY_UNIX = 1;
const TYPE_DATAGRAM = 2;
/** On Linux alone, together with the type: programs that are run from here do not inherit the socket. */
const LINUX_CLOSE_ON_EXEC = 0o2000000;
/** MSG_DONTWAIT, on Linux with MSG_NOSIGNAL: a stuck syslog must not stop the server, nor a closed one kill it. */
const LINUX_SEND_FLAGS = 0x4040;
const DARWIN_SEND_FLAGS = 0x80;
const LINUX_PATH_MAX = 107;
const DARWIN_PATH_MAX = 103;

/**
 * The address of a Unix socket; undefined: the path is too long for one.
 *
 * linux  : | family u16 = 1 | path, ended by 0 |
 * darwin : | size u8 | family u8 = 1 | path, ended by 0 |
 */
export function writeUnixAddress(path: string, { platform }: FcntlPlatform): Uint8Array | undefined {
  const isDarwin = platform === "darwin";
  const bytes = new TextEncoder().encode(path);
  if (bytes.length > (isDarwin ? DARWIN_PATH_MAX : LINUX_PATH_MAX)) return undefined;
  const address = new Uint8Array(2 + bytes.length + 1);
  if (isDarwin) {
    address[0] = address.length;
    address[1] = FAMILY_UNIX;
  } else {
    // In the byte order of the machine; all that we run on have the small end first.
    address[0] = FAMILY_UNIX;
  }
  address.set(bytes, 2);
  return address;
}

/** The opener made of the calls. */
export function datagramOpener(calls: DatagramCalls, platform: FcntlPlatform): DatagramOpener {
  const isDarwin = platform.platform === "darwin";
  const flags = isDarwin ? DARWIN_SEND_FLAGS : LINUX_SEND_FLAGS;
  return (path) => {
    const address = writeUnixAddress(path, platform);
    if (address === undefined) return undefined;
    const descriptor = calls.socket(FAMILY_UNIX, isDarwin ? TYPE_DATAGRAM : TYPE_DATAGRAM | LINUX_CLOSE_ON_EXEC, 0);
    if (descriptor < 0) return undefined;
    if (calls.connect(descriptor, address, address.length) !== 0) {
      calls.close(descriptor);
      return undefined;
    }
    let isOpen = true;
    return {
      send: (bytes) => isOpen && calls.send(descriptor, bytes, bytes.length, flags) >= 0,
      close() {
        if (isOpen) calls.close(descriptor);
        isOpen = false;
      },
    };
  };
}
