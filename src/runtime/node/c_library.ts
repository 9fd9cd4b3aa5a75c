/** The C library, as far as both runtimes agree about it: what it is called, and what the adapters make of it. */
import type { FcntlPlatform } from "./fcntl.ts";

/** Some functions of it. */
export interface CLibrary<Name extends string> {
  readonly call: Readonly<Record<Name, (...args: unknown[]) => unknown>>;
  /** The number where `pointer` points to. */
  i32At(pointer: unknown): number;
}

/** Libraries that may hold the calls, tried in this order. */
export function cLibraries({ platform, arch }: FcntlPlatform): readonly string[] {
  if (platform === "darwin") return ["libSystem.B.dylib"];
  if (platform !== "linux") return [];
  const muslArch = arch === "x64" ? "x86_64" : arch === "arm64" ? "aarch64" : arch;
  return ["libc.so.6", `libc.musl-${muslArch}.so.1`];
}
