/**
 * One client connection of the load generator. Bulk frames go to a fast path that the case installs; everything else
 * (PING, errors, replies, heartbeats, a frame cut by the end of a chunk) is handled here.
 */

import { bytesOf, lineSize, readTextField, textOf } from "./frames.ts";
import { connectRaw, Outbox, type RawSocket } from "./raw_socket.ts";
import type { Run } from "./run.ts";

const PONG = bytesOf("PONG\r\n");
const LETTER_M = 77;
/** Bytes copied from a chunk to complete the frame that the chunk before cut. */
const STITCH_BYTES = 4096;

/** Takes the frames it knows from `from` on; returns the offset of the first byte it did not take. */
export type FastPath = (buffer: Uint8Array, from: number, to: number) => number;

const NO_FAST_PATH: FastPath = (_buffer, from) => from;

/** A MSG that no fast path took. */
export interface SlowMessage {
  readonly subject: string;
  readonly sid: number;
  readonly reply: string;
  /** Valid during the call only. */
  readonly payload: Uint8Array;
}

/** See the module comment. */
export class NatsLink {
  /** Takes bulk frames. */
  fast: FastPath = NO_FAST_PATH;
  /** Takes the stream as it comes instead of any frame handling; for frames of constant size that are only counted. */
  raw: ((chunk: Uint8Array) => void) | undefined;
  /** Gets every other message. */
  onMessage: (message: SlowMessage) => void;
  /** Runs after each chunk: the moment to send what the chunk's frames asked for. */
  onChunkEnd: () => void = () => {};
  /** The kernel takes bytes again. */
  onDrain: () => void = () => {};
  /** Set once closing is our own wish. */
  closing = false;

  readonly out: Outbox;
  readonly #socket: RawSocket;
  readonly #run: Run;
  #carry: Uint8Array = new Uint8Array(0);
  #carryBytes = 0;
  #pongs: (() => void)[] = [];

  private constructor(run: Run, socket: RawSocket) {
    this.#run = run;
    this.#socket = socket;
    this.out = new Outbox(socket);
    this.onMessage = (message) => run.fail(new Error(`unexpected message on ${message.subject}`));
  }

  /** Connects, says CONNECT and waits for the first PONG. */
  static async open(run: Run, host: string, port: number): Promise<NatsLink> {
    let link: NatsLink | undefined;
    await connectRaw(host, port, (socket) => {
      const made = new NatsLink(run, socket);
      link = made;
      return {
        data: (chunk) => run.guard(() => made.#data(chunk)),
        drain: () =>
          run.guard(() => {
            if (made.out.drain()) made.onDrain();
          }),
        close: () => {
          if (!made.closing) run.fail(new Error("server closed the connection"));
        },
      };
    });
    if (link === undefined) throw new Error("connected without a socket");
    link.sendText(
      'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"protocol":1,' +
        '"name":"bench","lang":"bench","version":"1"}\r\n',
    );
    await link.ping();
    return link;
  }

  /** Sends control lines. */
  sendText(text: string): void {
    this.out.send(bytesOf(text));
  }

  /** Resolves when the server has handled all that was sent before. */
  ping(): Promise<void> {
    return this.#run.race(
      new Promise<void>((resolve) => {
        this.#pongs.push(resolve);
        this.sendText("PING\r\n");
      }),
    );
  }

  /** Closes the connection. */
  close(): void {
    this.closing = true;
    this.#socket.end();
  }

  /** Handles a control line; public for cases that count raw bytes and meet one. */
  controlLine(line: string): void {
    if (line === "PING") this.out.send(PONG);
    else if (line === "PONG") this.#pongs.shift()?.();
    else if (line.startsWith("-ERR")) throw new Error(`server answered ${line}`);
    else if (!line.startsWith("INFO") && line !== "+OK") throw new Error(`unexpected line ${JSON.stringify(line)}`);
  }

  #data(chunk: Uint8Array): void {
    if (this.raw !== undefined) this.raw(chunk);
    else this.#frames(chunk);
    this.onChunkEnd();
  }

  #frames(chunk: Uint8Array): void {
    let from = 0;
    if (this.#carryBytes > 0) {
      let copied = 0;
      for (;;) {
        const piece = Math.min(copied === 0 ? STITCH_BYTES : chunk.length, chunk.length - copied);
        if (piece === 0) return;
        this.#keep(chunk, copied, copied + piece);
        copied += piece;
        const consumed = this.#scan(this.#carry, 0, this.#carryBytes);
        const old = this.#carryBytes - copied;
        if (consumed >= old) {
          from = consumed - old;
          break;
        }
        if (consumed > 0) {
          // Only the head of the carried bytes was whole.
          this.#carry.copyWithin(0, consumed, this.#carryBytes);
          this.#carryBytes -= consumed;
        }
      }
      this.#carryBytes = 0;
    }
    if (from >= chunk.length) return;
    const consumed = this.#scan(chunk, from, chunk.length);
    if (consumed < chunk.length) this.#keep(chunk, consumed, chunk.length);
  }

  #keep(chunk: Uint8Array, from: number, to: number): void {
    const needed = this.#carryBytes + to - from;
    if (needed > this.#carry.length) {
      const grown = new Uint8Array(Math.max(needed, this.#carry.length * 2));
      grown.set(this.#carry.subarray(0, this.#carryBytes));
      this.#carry = grown;
    }
    this.#carry.set(chunk.subarray(from, to), this.#carryBytes);
    this.#carryBytes = needed;
  }

  #scan(buffer: Uint8Array, from: number, to: number): number {
    let at = from;
    while (at < to) {
      at = this.fast(buffer, at, to);
      if (at >= to) break;
      const taken = this.#slow(buffer, at, to);
      if (taken === 0) break;
      at += taken;
    }
    return at;
  }

  #slow(buffer: Uint8Array, from: number, to: number): number {
    const size = lineSize(buffer, from, to);
    if (size === 0) return 0;
    const line = textOf(buffer, from, from + size).trimEnd();
    if (buffer[from] !== LETTER_M && !line.startsWith("HMSG")) {
      this.controlLine(line);
      return size;
    }
    const parts = line.split(" ");
    const payloadAt = from + size;
    const payloadBytes = Number(parts[parts.length - 1]);
    const total = size + payloadBytes + 2;
    if (from + total > to) return 0;
    if (parts[0] === "HMSG") throw new Error(`nobody answers on the subject asked: ${line}`);
    this.onMessage({
      subject: parts[1] ?? "",
      sid: Number(parts[2]),
      reply: parts.length === 5 ? parts[3] ?? "" : "",
      payload: buffer.subarray(payloadAt, payloadAt + payloadBytes),
    });
    return total;
  }
}

/** The named text field of a response. */
export function responseField(payload: Uint8Array, field: number): string {
  return readTextField(payload, 0, payload.length, field);
}
