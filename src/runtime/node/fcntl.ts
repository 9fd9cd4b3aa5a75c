/**
 * The lock that the reference takes: `fcntl` with a write lock on the whole file (stores.md 5.11). The runtime's own file
 * locks are flock locks, which neither exclude the reference nor are excluded by it.
 */
import type { CLibrary } from "./c_library.ts";

/** As `process.platform` and `process.arch` say. */
export interface FcntlPlatform {
  readonly platform: string;
  readonly arch: string;
}

/** Name of the function that gives the address of `errno`. */
export function errnoFunction({ platform }: FcntlPlatform): "__errno_location" | "__error" {
  return platform === "darwin" ? "__error" : "__errno_location";
}

/**
 * F_OFD_SETLK on Linux: a plain POSIX lock is lost as soon as the process closes any descriptor of the file. Other systems
 * have only the plain one.
 */
const LINUX_SETLK_OPEN_FILE = 37;
const DARWIN_SETLK = 8;

/** EPERM is not here: it says that locking is impossible, not that somebody holds the lock. */
const LINUX_BUSY: readonly number[] = [4, /* EINTR */ 11, /* EAGAIN */ 13, /* EACCES */ 37 /* ENOLCK */];
const DARWIN_BUSY: readonly number[] = [4, 35, 13, 77];

/**
 * linux  : | type i16 = 1 write | whence i16 | padding 4 | start i64 | length i64 | pid i32 | padding 4 |
 * darwin : | start i64 | length i64 | pid i32 | type i16 = 3 write | whence i16 |
 */
export function writeLockStruct({ platform }: FcntlPlatform): Uint8Array {
  if (platform === "darwin") {
    const struct = new Uint8Array(24);
    new DataView(struct.buffer).setInt16(20, 3, true);
    return struct;
  }
  const struct = new Uint8Array(32);
  new DataView(struct.buffer).setInt16(0, 1, true);
  return struct;
}

/**
 * The attempt to lock an open file, by `fcntl` and the {@link errnoFunction} of `library`; throws when the system says neither yes
 * nor "held by another".
 */
export function fcntlLock(
  { call, i32At }: CLibrary<string>,
  platform: FcntlPlatform,
): (descriptor: number) => boolean {
  const isDarwin = platform.platform === "darwin";
  const command = isDarwin ? DARWIN_SETLK : LINUX_SETLK_OPEN_FILE;
  const busy = isDarwin ? DARWIN_BUSY : LINUX_BUSY;
  const fcntl = call["fcntl"]!;
  const errnoAddress = call[errnoFunction(platform)]!;
  return (descriptor) => {
    if (Number(fcntl(descriptor, command, writeLockStruct(platform))) === 0) return true;
    const errno = i32At(errnoAddress());
    if (busy.includes(errno)) return false;
    throw new Error(`the system refused the lock (error ${errno})`);
  };
}
