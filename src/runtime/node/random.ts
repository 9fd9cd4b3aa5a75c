/** Secure random bytes in small portions. */
import { randomFillSync } from "node:crypto";

/** One system draw; a draw of 4 KB costs hardly more than one of 12 bytes (runtime.md 7). */
const BLOCK_SIZE_BYTES = 4096;

/** Returns a function that fills `bytes` from the system's secure source, drawing a block at a time. */
export function createRandom(): (bytes: Uint8Array) => void {
  const block = new Uint8Array(BLOCK_SIZE_BYTES);
  let used = BLOCK_SIZE_BYTES;
  return (bytes) => {
    if (bytes.length > BLOCK_SIZE_BYTES / 4) {
      randomFillSync(bytes);
      return;
    }
    if (used + bytes.length > BLOCK_SIZE_BYTES) {
      randomFillSync(block);
      used = 0;
    }
    const end = used + bytes.length;
    bytes.set(block.subarray(used, end));
    // What was handed out may be a nonce or a secret: no second copy stays behind.
    block.fill(0, used, end);
    used = end;
  };
}
