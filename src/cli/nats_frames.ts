/** The NATS protocol as a client reads it: bytes -> INFO, MSG, HMSG, PING, PONG, +OK, -ERR. No I/O. */
import { byteString } from "../base/bytes.ts";

const LF = 10;
const CR = 13;
/** A line without an end that is longer than this is no protocol. INFO of a large cluster is the longest. */
const LINE_BYTES_MAX = 1024 * 1024;

/** What a server says. Views of bytes are valid during the call only. Texts are byte strings. */
export interface FrameHandler {
  info(json: string): void;
  /** `headerBytes`: what of `payload` is header; 0 for a message without. */
  message(subject: string, sid: number, reply: string, payload: Uint8Array, headerBytes: number): void;
  ping(): void;
  pong(): void;
  /** The text between the quotes. */
  error(text: string): void;
}

/** The server says something that is not this protocol. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** Takes chunks as they come, cut anywhere. */
export class FrameReader {
  readonly #handler: FrameHandler;
  #rest: Uint8Array = new Uint8Array(0);
  #restLength = 0;
  /** Bytes that must be there before looking again makes sense. */
  #needed = 0;
  /** Set when the connection changes hands in the middle of a chunk: INFO comes in clear, the rest under TLS. */
  #isStopped = false;

  constructor(handler: FrameHandler) {
    this.#handler = handler;
  }

  /** What comes from here on is for another. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Throws {@link FrameError}. */
  push(chunk: Uint8Array): void {
    if (this.#restLength === 0) {
      const used = this.#read(chunk, chunk.length);
      this.#keep(chunk, used, chunk.length);
      return;
    }
    const length = this.#restLength + chunk.length;
    if (length > this.#rest.length) {
      const longer = new Uint8Array(Math.max(length, this.#rest.length * 2, this.#needed));
      longer.set(this.#rest.subarray(0, this.#restLength));
      this.#rest = longer;
    }
    this.#rest.set(chunk, this.#restLength);
    this.#restLength = length;
    if (length < this.#needed) return;
    const used = this.#read(this.#rest, length);
    this.#rest.copyWithin(0, used, length);
    this.#restLength = length - used;
  }

  #keep(chunk: Uint8Array, from: number, to: number): void {
    const count = to - from;
    if (count === 0) return;
    if (this.#rest.length < count) this.#rest = new Uint8Array(Math.max(count, this.#needed));
    this.#rest.set(chunk.subarray(from, to));
    this.#restLength = count;
  }

  /** Returns the position behind the last whole frame. */
  #read(bytes: Uint8Array, end: number): number {
    let at = 0;
    this.#needed = 0;
    while (at < end && !this.#isStopped) {
      const lineFeed = bytes.indexOf(LF, at);
      if (lineFeed < 0 || lineFeed >= end) {
        if (end - at > LINE_BYTES_MAX) throw new FrameError("a line of the server has no end");
        return at;
      }
      const lineEnd = lineFeed > at && bytes[lineFeed - 1] === CR ? lineFeed - 1 : lineFeed;
      const line = byteString(bytes, at, lineEnd);
      const first = bytes[at];
      // M or H: MSG and HMSG are nearly all there is.
      if (first === 0x4d || first === 0x48) {
        const next = this.#message(line, bytes, lineFeed + 1, end);
        if (next < 0) {
          this.#needed = lineFeed + 1 - at - next;
          return at;
        }
        at = next;
        continue;
      }
      at = lineFeed + 1;
      this.#line(line);
    }
    return this.#isStopped ? end : at;
  }

  /** Position behind the payload; when that is not there yet, minus the bytes of it. */
  #message(line: string, bytes: Uint8Array, start: number, end: number): number {
    const parts = line.split(" ");
    const isHeaded = parts[0] === "HMSG";
    const sizes = isHeaded ? 2 : 1;
    const count = parts.length - sizes;
    const size = Number(parts.at(-1));
    const headerBytes = isHeaded ? Number(parts.at(-2)) : 0;
    const isRight = (isHeaded || parts[0] === "MSG") && (count === 3 || count === 4) && Number.isSafeInteger(size) &&
      size >= 0 && headerBytes >= 0 && headerBytes <= size;
    if (!isRight) throw new FrameError(`not a frame of NATS: ${JSON.stringify(line.slice(0, 60))}`);
    if (start + size + 2 > end) return -(size + 2);
    const payload = bytes.subarray(start, start + size);
    this.#handler.message(parts[1] ?? "", Number(parts[2]), count === 4 ? parts[3] ?? "" : "", payload, headerBytes);
    return start + size + 2;
  }

  #line(line: string): void {
    const word = line.slice(0, 5).toUpperCase();
    if (word.startsWith("PING")) this.#handler.ping();
    else if (word.startsWith("PONG")) this.#handler.pong();
    else if (word.startsWith("+OK")) return;
    else if (word.startsWith("INFO ")) this.#handler.info(line.slice(5));
    else if (word.startsWith("-ERR")) this.#handler.error(line.slice(4).trim().replace(/^'(.*)'$/, "$1"));
    else throw new FrameError(`not a frame of NATS: ${JSON.stringify(line.slice(0, 60))}`);
  }
}
