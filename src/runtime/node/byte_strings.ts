/** Byte strings by the platform: no view, and no list of arguments, for each of them. */
import { Buffer } from "node:buffer";
import { installRangeText } from "../../base/bytes.ts";

/** What stands behind `toString("latin1")`. It takes any Uint8Array, as long as the range lies within it. */
interface Latin1 {
  readonly latin1Slice?: (this: Uint8Array, start: number, end: number) => string;
}

/**
 * For 22 bytes 0.1 us instead of 0.5 on Bun 1.4.5, instead of 0.2 on Deno 2.9.6; a connect makes some ten of them (2026-11).
 * Where it is missing nothing changes.
 */
export function installByteStrings(): void {
  const { latin1Slice } = Buffer.prototype as Latin1;
  if (latin1Slice === undefined) return;
  installRangeText((bytes, start, end) => latin1Slice.call(bytes, start, end));
}
