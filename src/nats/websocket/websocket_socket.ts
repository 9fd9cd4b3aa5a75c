/**
 * A WebSocket that looks like any other socket: the connection above it reads and writes the NATS protocol and never sees a
 * frame. Commands may cross the borders of frames in both directions.
 *
 * There are two queues of output. The connection encodes into this socket's `output`; what is flushed goes from there, with
 * a frame header in front, to the queue of the transport. It goes no further ahead of the kernel than
 * {@link TRANSPORT_BYTES_MAX}, so a client that lags gets fewer and larger frames. The bytes in the transport's queue are
 * counted in `output` as well: all limits on pending output hold as on a plain connection.
 */
import { OutputQueue } from "../../runtime/output_queue.ts";
import type { Scheduler, Socket, SocketHandler, TlsInfo } from "../../runtime/types.ts";
import { compress, COMPRESS_BYTES_MIN, decompress } from "./deflate.ts";
import {
  CLOSE_STATUS,
  closeEcho,
  closePayload,
  type CloseStatus,
  COMPRESSED_BIT,
  FIN_BIT,
  FrameDecoder,
  type FrameSink,
  HEADER_BYTES_MAX,
  OPCODE_BINARY,
  OPCODE_CLOSE,
  OPCODE_CONTINUATION,
  OPCODE_PONG,
  writeFrameHeader,
} from "./frames.ts";
import type { WebSocketSession } from "./handshake.ts";

/** Framed output that waits for the kernel; the rest waits in front of it. Two chunks: one is written, one is ready. */
export const TRANSPORT_BYTES_MAX = 131_072;
/** A chunk up to this size is copied behind its header; a larger one is handed on, with a write of its own for the header. */
const COPY_BYTES_MAX = 16_384;
/** One compressed message: a huge payload is compressed in steps, each when the kernel has taken the one before. */
const COMPRESS_BYTES_MAX = 65_536;
/** Above it pings are not answered: who sends them does not read. */
const PONG_PENDING_BYTES_MAX = 65_536;
/**
 * A compressed message may become two of the largest payloads and this: their lines, and smaller commands beside them. Room
 * for one, as in the reference from 2.14 on, is too little: nats.js 3.4.0 sends two publishes of one turn as one message.
 */
const MESSAGE_PAYLOADS_MAX = 2;
const MESSAGE_SLACK_BYTES = 65_536;
/** Bytes that the compressed messages of one read may become before others have their turn. */
const INFLATED_PER_TURN_BYTES = 1_048_576;
/** Input kept while that lasts: the rest of one read and the one that may have been under way. */
const HELD_BYTES_MAX = 4_194_304;

const STATE_OPEN = 0;
/** The close frame is queued: nothing is framed or read any more. */
const STATE_ENDING = 1;
const STATE_CLOSED = 2;

/** Bytes of a compressed message, before and after it is inflated. */
export function messageBytesMax(maxPayload: number): number {
  return MESSAGE_PAYLOADS_MAX * maxPayload + MESSAGE_SLACK_BYTES;
}

/** The peer has broken the rules of WebSockets; `message` says which. */
export class WebSocketError extends Error {
  override readonly name = "WebSocketError";
  readonly code = "WEBSOCKET_PROTOCOL";
}

/** Behind the handshake. Sits between a connection and the socket that was accepted. */
export class WebSocketSocket implements Socket, SocketHandler, FrameSink {
  readonly output = new OutputQueue();
  /** As agreed on in the handshake. */
  readonly session: WebSocketSession;
  /** Called when the peer breaks the rules, before the connection is told that it is over. */
  onViolation: ((reason: string) => void) | undefined = undefined;

  readonly #transport: Socket;
  readonly #scheduler: Pick<Scheduler, "endOfTurn">;
  readonly #decoder: FrameDecoder;
  readonly #inflatedMax: number;
  #handler: SocketHandler | undefined;
  #state: number = STATE_OPEN;
  /** The part of `output.sealedBytes` that is in the transport's queue. */
  #transportBytes = 0;
  #closePayload: Uint8Array = closePayload(CLOSE_STATUS.internalError, "");
  /** The peer's close frame came, or our own says that the peer broke the rules: no other reason counts. */
  #isCloseDecided = false;
  #isPaused = false;
  #hasPeerEnded = false;
  #isToldClosed = false;
  /** Input that waits because the one before it inflated to very much. */
  #held: Uint8Array | null = null;
  #inflatedBytes = 0;

  constructor(
    transport: Socket,
    session: WebSocketSession,
    scheduler: Pick<Scheduler, "endOfTurn">,
    maxPayload: number,
  ) {
    this.#transport = transport;
    this.session = session;
    this.#scheduler = scheduler;
    this.#inflatedMax = messageBytesMax(maxPayload);
    this.#decoder = new FrameDecoder(this, {
      masksFrames: session.masksFrames,
      compression: session.compression,
      messageBytesMax: this.#inflatedMax,
    });
  }

  get remoteAddress(): string {
    return this.#transport.remoteAddress;
  }

  get remotePort(): number {
    return this.#transport.remotePort;
  }

  get localAddress(): string {
    return this.#transport.localAddress;
  }

  get localPort(): number {
    return this.#transport.localPort;
  }

  /** Gives the socket its handler; called once, before any input. */
  attach(handler: SocketHandler): void {
    this.#handler = handler;
  }

  // Socket -------------------------------------------------------------------------------------------------------------

  flush(): void {
    if (this.#state === STATE_OPEN) this.#pump(TRANSPORT_BYTES_MAX);
    else if (this.#state === STATE_CLOSED) this.#drop();
  }

  pause(): void {
    this.#isPaused = true;
    this.#transport.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#held === null) this.#transport.resume();
    else this.#scheduler.endOfTurn(this.#readHeld);
  }

  /** TLS, where there is any, is below. */
  startTls(): Promise<TlsInfo> {
    return Promise.reject(new Error("a WebSocket has its TLS before the handshake"));
  }

  /** Says why the connection is about to end; the first reason counts. */
  closeWith(status: CloseStatus, text: string): void {
    if (!this.#isCloseDecided) this.#closePayload = closePayload(status, text);
  }

  end(): void {
    if (this.#state !== STATE_OPEN) return;
    // Everything, whatever the kernel takes: a frame behind the close frame would be a violation.
    this.#pump(Infinity);
    this.#stopReading();
    this.#frame(FIN_BIT | OPCODE_CLOSE, this.#closePayload, 0, this.#closePayload.length);
    this.#state = STATE_ENDING;
    this.#transport.flush();
    this.#recount();
    this.#transport.end();
  }

  destroy(): void {
    this.#stopReading();
    if (this.#state === STATE_OPEN) this.#state = STATE_ENDING;
    this.#transport.destroy();
  }

  // Events of the transport --------------------------------------------------------------------------------------------

  data(bytes: Uint8Array): void {
    if (this.#state !== STATE_OPEN) return;
    if (this.#held !== null) this.#hold(bytes, 0);
    else this.#read(bytes);
  }

  drained(): void {
    if (this.#state === STATE_OPEN) this.#pump(TRANSPORT_BYTES_MAX);
    else this.#recount();
    this.#handler?.drained();
  }

  peerEnded(): void {
    if (this.#held !== null) this.#hasPeerEnded = true;
    else this.#tellPeerEnded();
  }

  closed(error: Error | undefined): void {
    this.#stopReading();
    this.#state = STATE_CLOSED;
    this.#tellClosed(error);
    this.#drop();
  }

  // Input --------------------------------------------------------------------------------------------------------------

  payload(bytes: Uint8Array): void {
    this.#handler?.data(bytes);
  }

  compressed(bytes: Uint8Array, length: number): boolean {
    const message = decompress(bytes, length, this.#inflatedMax);
    if (message === "tooBig") this.failed(CLOSE_STATUS.tooBig, "decompressed message too big");
    else if (message === "corrupt") this.failed(CLOSE_STATUS.invalidPayload, "corrupt compressed message");
    if (typeof message === "string") return false;
    this.#inflatedBytes += message.length;
    if (message.length > 0) this.#handler?.data(message);
    return this.#inflatedBytes < INFLATED_PER_TURN_BYTES;
  }

  ping(payload: Uint8Array): void {
    if (this.#state !== STATE_OPEN || this.#transport.output.pendingBytes > PONG_PENDING_BYTES_MAX) return;
    this.#frame(FIN_BIT | OPCODE_PONG, payload, 0, payload.length);
    this.#transport.flush();
    this.#recount();
  }

  closing(payload: Uint8Array): void {
    if (!this.#isCloseDecided) {
      this.#closePayload = closeEcho(payload);
      this.#isCloseDecided = true;
    }
    this.#tellPeerEnded();
  }

  failed(status: CloseStatus, reason: string): void {
    if (this.#state !== STATE_OPEN) return;
    this.closeWith(status, reason);
    this.#isCloseDecided = true;
    this.onViolation?.(reason);
    this.end();
    this.#tellClosed(new WebSocketError(reason));
  }

  #read(bytes: Uint8Array): void {
    this.#inflatedBytes = 0;
    const at = this.#decoder.feed(bytes);
    if (at < bytes.length && this.#state === STATE_OPEN) this.#hold(bytes, at);
  }

  /** Keeps input for later; the first piece stops the transport and asks for that later. */
  #hold(bytes: Uint8Array, start: number): void {
    const before = this.#held;
    const length = (before?.length ?? 0) + bytes.length - start;
    if (length > HELD_BYTES_MAX) return this.failed(CLOSE_STATUS.policyViolation, "too much input");
    const held = new Uint8Array(length);
    if (before !== null) held.set(before);
    held.set(bytes.subarray(start), before?.length ?? 0);
    this.#held = held;
    if (before !== null) return;
    this.#transport.pause();
    if (!this.#isPaused) this.#scheduler.endOfTurn(this.#readHeld);
  }

  readonly #readHeld = (): void => {
    const held = this.#held;
    // Whoever paused meanwhile asks again with `resume`.
    if (held === null || this.#isPaused || this.#state !== STATE_OPEN) return;
    this.#held = null;
    this.#read(held);
    if (this.#held !== null || this.#state !== STATE_OPEN) return;
    if (!this.#isPaused) this.#transport.resume();
    if (this.#hasPeerEnded) this.#tellPeerEnded();
  };

  #stopReading(): void {
    this.#decoder.close();
    this.#held = null;
  }

  #tellPeerEnded(): void {
    if (this.#isToldClosed) return;
    this.#hasPeerEnded = false;
    this.#handler?.peerEnded();
  }

  #tellClosed(error: Error | undefined): void {
    if (this.#isToldClosed) return;
    this.#isToldClosed = true;
    this.#handler?.closed(error);
  }

  // Output -------------------------------------------------------------------------------------------------------------

  /** Frames output until the transport's queue holds `limit`, again and again while the kernel takes all of it. */
  #pump(limit: number): void {
    const { output } = this;
    const transport = this.#transport;
    const queue = transport.output;
    do {
      while (output.pendingBytes > this.#transportBytes && queue.pendingBytes < limit) this.#frameNext();
      transport.flush();
    } while (output.pendingBytes > this.#transportBytes && queue.pendingBytes < limit);
    this.#recount();
  }

  /** Takes what the transport's queue holds into the count of `output`. */
  #recount(): void {
    const { pendingBytes } = this.#transport.output;
    this.output.sealedBytes += pendingBytes - this.#transportBytes;
    this.#transportBytes = pendingBytes;
  }

  #drop(): void {
    this.output.clear();
    this.#transportBytes = 0;
  }

  /** Moves the oldest piece of output to the transport. */
  #frameNext(): void {
    const { output } = this;
    if (output.chunks.length === 0) {
      if (output.length <= COPY_BYTES_MAX) {
        this.#frameMessage(output.buffer, 0, output.length);
        output.consumedInPlace();
        output.release();
        return;
      }
      output.seal();
    }
    const chunk = output.chunks[0]!; // There is output, and it is sealed.
    const size = chunk.end - chunk.start;
    const { compression, frameBytesMax } = this.session;
    if (compression || frameBytesMax > 0 || size <= COPY_BYTES_MAX) {
      const count = Math.min(size, COMPRESS_BYTES_MAX);
      this.#frameMessage(chunk.buffer, chunk.start, chunk.start + count);
      output.consumed(count);
      return;
    }
    output.chunks.shift();
    output.sealedBytes -= size;
    const header = new Uint8Array(HEADER_BYTES_MAX);
    const end = writeFrameHeader(header, 0, FIN_BIT | OPCODE_BINARY, size);
    const queue = this.#transport.output;
    queue.seal();
    queue.chunks.push({ buffer: header, start: 0, end }, chunk);
    queue.sealedBytes += end + size;
  }

  #frameMessage(bytes: Uint8Array, start: number, end: number): void {
    const { compression, frameBytesMax, keepsCompressedWhole } = this.session;
    const largest = frameBytesMax > 0 ? frameBytesMax : Infinity;
    if (compression && end - start >= COMPRESS_BYTES_MIN) {
      const body = compress(bytes, start, end);
      const piece = keepsCompressedWhole ? Infinity : largest;
      let at = 0;
      do {
        const next = Math.min(body.length, at + piece);
        const first = at === 0 ? OPCODE_BINARY | COMPRESSED_BIT : OPCODE_CONTINUATION;
        this.#frame(next === body.length ? first | FIN_BIT : first, body, at, next);
        at = next;
      } while (at < body.length);
      return;
    }
    // Messages of their own: nobody has to put them together.
    for (let at = start; at < end; at += largest) {
      this.#frame(FIN_BIT | OPCODE_BINARY, bytes, at, Math.min(end, at + largest));
    }
  }

  /** Appends one frame to the transport's queue. */
  #frame(first: number, bytes: Uint8Array, start: number, end: number): void {
    const queue = this.#transport.output;
    queue.reserve(HEADER_BYTES_MAX);
    queue.length = writeFrameHeader(queue.buffer, queue.length, first, end - start);
    queue.append(bytes, start, end);
  }
}
