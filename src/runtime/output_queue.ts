/**
 * What waits to be written to one socket. The owner of a connection encodes straight into `buffer`; a socket adapter
 * takes whole chunks from the front and reports the bytes that are gone. So the pool of chunks and the count of pending
 * bytes, which back-pressure and the slow consumer rule need, exist once and not once per adapter.
 */

/** Size of a pooled chunk. 16 KB and 256 KB were tried against 64 KB without a stable difference (runtime.md 1.5). */
export const CHUNK_SIZE_BYTES = 65_536;
/** Chunks kept for re-use; 32 MB at most. */
const POOL_COUNT_MAX = 512;

const pool: Uint8Array[] = [];

function takeChunk(sizeBytes: number): Uint8Array {
  if (sizeBytes > CHUNK_SIZE_BYTES) return new Uint8Array(sizeBytes);
  return pool.pop() ?? new Uint8Array(CHUNK_SIZE_BYTES);
}

function giveChunkBack(buffer: Uint8Array): void {
  if (buffer.length === CHUNK_SIZE_BYTES && pool.length < POOL_COUNT_MAX) pool.push(buffer);
}

const EMPTY = new Uint8Array(0);

/** A sealed piece of output: bytes `start` up to `end` of `buffer` are still to be written. */
export interface OutputChunk {
  buffer: Uint8Array;
  start: number;
  end: number;
}

/** Output of one connection. Not re-entrant; lives on the event loop only. */
export class OutputQueue {
  /** The chunk being filled; write at `length` after `reserve`. */
  buffer: Uint8Array = EMPTY;
  /** Bytes of `buffer` in use. */
  length = 0;
  /** Sealed chunks, oldest first. An adapter may hold the first ones while the kernel works on them. */
  readonly chunks: OutputChunk[] = [];
  /** Bytes in sealed chunks that were not reported as written. */
  sealedBytes = 0;

  /** Bytes queued and not yet handed to the operating system. */
  get pendingBytes(): number {
    return this.sealedBytes + this.length;
  }

  /** Makes room for `count` contiguous bytes at `buffer[length]`; the caller writes them and adds to `length`. */
  reserve(count: number): void {
    if (this.length + count > this.buffer.length) this.#roll(count);
  }

  /** Appends a copy of `bytes[start, end)`. */
  append(bytes: Uint8Array, start = 0, end = bytes.length): void {
    const count = end - start;
    if (this.length + count > this.buffer.length) this.#roll(count);
    this.buffer.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), this.length);
    this.length += count;
  }

  /** Closes the chunk being filled, so that it can be taken from `chunks`. */
  seal(): void {
    if (this.length === 0) return;
    this.chunks.push({ buffer: this.buffer, start: 0, end: this.length });
    this.sealedBytes += this.length;
    this.buffer = EMPTY;
    this.length = 0;
  }

  /**
   * Reports that `count` bytes from the front of the sealed chunks are written; chunks that are done go back to the
   * pool, so the adapter must not touch them afterwards.
   */
  consumed(count: number): void {
    this.sealedBytes -= count;
    let done = 0;
    while (count > 0) {
      const chunk = this.chunks[done]!;
      const size = chunk.end - chunk.start;
      if (count < size) {
        chunk.start += count;
        break;
      }
      count -= size;
      giveChunkBack(chunk.buffer);
      done++;
    }
    if (done === 1) this.chunks.shift();
    else if (done > 1) this.chunks.splice(0, done);
  }

  /** For an adapter that wrote all of `buffer[0, length)` in place without sealing it: the chunk is used again. */
  consumedInPlace(): void {
    this.length = 0;
  }

  /** Gives an idle, empty chunk back, so that an idle connection holds no output memory. */
  release(): void {
    if (this.length === 0 && this.buffer.length > 0) {
      giveChunkBack(this.buffer);
      this.buffer = EMPTY;
    }
  }

  /** Drops everything. Call only when no adapter holds a chunk any more. */
  clear(): void {
    for (const chunk of this.chunks) giveChunkBack(chunk.buffer);
    this.chunks.length = 0;
    this.sealedBytes = 0;
    this.length = 0;
    this.release();
  }

  #roll(count: number): void {
    if (this.length > 0) this.seal();
    else this.release();
    this.buffer = takeChunk(count);
  }
}
