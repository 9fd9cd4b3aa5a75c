/**
 * The input of one connection on its way to the parser: at once where nobody else sends, in shares of a turn where others do
 * (`fair_share.ts`). While input waits, and while a receiver of the connection lags, its socket is not read by the runtime.
 * Nor is it while much comes: that is pulled, as long as there is any, into memory that is used again. A read of the runtime
 * makes a buffer as large as what has come, a third of a megabyte or more to allocate, to fill and to collect.
 */
import type { Socket } from "../runtime/types.ts";
import {
  type FairShare,
  firstShareBytes,
  type InputHandler,
  LITTLE_BYTES_MAX,
  type Sharer,
  WaitingInput,
} from "./fair_share.ts";

/** Where one read brings so much, there is more to come. */
const LARGE_BYTES_MIN = 65_536;

/** The connection, as far as its input goes. */
export interface InputHost extends InputHandler {
  readonly isClosed: boolean;
  /** When something came last, monotonic milliseconds. */
  lastActivityMs: number;
  /** Publishes that it has handled. */
  readonly inMessages: number;
  /** The last publish is answered, or goes to another client. */
  isAwaited(): boolean;
}

/** What connections have in common. */
export interface InputServer {
  readonly share: FairShare;
  /** Monotonic milliseconds: when the turn began, and read anew. */
  readonly nowMs: number;
  clockMs(): number;
}

export class SharedInput implements Sharer {
  readonly #host: InputHost;
  readonly #server: InputServer;
  readonly #socket: Pick<Socket, "pause" | "resume" | "pull">;
  sentMuchMs = -Infinity;
  /** Receivers that lag. The socket is paused while there are any, and while `#waiting` holds it. */
  #holdCount = 0;
  /** Made when its input had to wait for the first time. */
  #waiting: WaitingInput | null = null;

  constructor(host: InputHost, server: InputServer, socket: Pick<Socket, "pause" | "resume" | "pull">) {
    this.#host = host;
    this.#server = server;
    this.#socket = socket;
  }

  /** Input has come, at `nowMs`. */
  arrived(bytes: Uint8Array, nowMs: number): void {
    const { share } = this.#server;
    const isShared = share.arrived(this, bytes.length, nowMs);
    const waiting = this.#waiting;
    if (waiting !== null && !waiting.isEmpty) return waiting.add(bytes, 0);
    if (bytes.length <= LITTLE_BYTES_MAX) return this.#handleLittle(bytes, nowMs);
    const host = this.#host;
    const shareBytes = waiting === null ? firstShareBytes(share.shareMs) : waiting.shareBytes(share.shareMs);
    // Nothing waits for the sake of a rest that is not worth a turn of its own.
    const limit = isShared && bytes.length > shareBytes * 2 ? shareBytes : Infinity;
    const used = host.handleInput(bytes, 0, limit);
    if (host.isClosed) return;
    if (used < bytes.length) this.#wait(bytes, used, nowMs);
    else if (bytes.length >= LARGE_BYTES_MIN && this.#socket.pull !== undefined) {
      this.#listWaiting(this.#obtainWaiting());
    }
  }

  /** Something has come, and it was little, that somebody waits for. */
  asked(nowMs: number): void {
    this.#server.share.asked(this, nowMs);
  }

  goOn(): boolean {
    const waiting = this.#waiting!; // Who is listed has one.
    return waiting.isListed = this.#hasMoreAfterShare(waiting);
  }

  /** The far side has ended: what it sent before comes first. */
  finish(): void {
    const waiting = this.#waiting;
    while (waiting !== null && !waiting.isEmpty && !this.#host.isClosed) waiting.take(Infinity, this.#host);
  }

  /** Nothing more is read, until as many `release` as `hold`. */
  hold(): void {
    this.#holdCount++;
    this.#socket.pause();
  }

  release(): void {
    this.#holdCount--;
    if (this.#host.isClosed || this.#holdCount > 0) return;
    if (this.#waiting?.isHolding === true) this.#listWaiting(this.#waiting);
    else this.#socket.resume();
  }

  /** The connection is closed: what waits counts for nothing. */
  close(): void {
    this.#waiting?.clear();
    this.#server.share.left(this);
  }

  #handleLittle(bytes: Uint8Array, nowMs: number): void {
    const host = this.#host;
    const { inMessages } = host;
    host.handleInput(bytes, 0, Infinity);
    // The last one decides.
    if (host.inMessages !== inMessages && host.isAwaited()) this.asked(nowMs);
  }

  /** Others send, too: what is left of `bytes` waits. */
  #wait(bytes: Uint8Array, start: number, sinceMs: number): void {
    const { share } = this.#server;
    const waiting = this.#obtainWaiting();
    waiting.measured(start, this.#server.clockMs() - sinceMs);
    waiting.add(bytes, start);
    waiting.servedIn = share.turn;
    this.#takeOver(waiting);
    this.#listWaiting(waiting);
  }

  #obtainWaiting(): WaitingInput {
    return this.#waiting ??= new WaitingInput();
  }

  /** From here on the runtime does not read the socket, until there is nothing left. */
  #takeOver(waiting: WaitingInput): void {
    if (waiting.isHolding) return;
    waiting.isHolding = true;
    this.#socket.pause();
  }

  /** There is nothing left. */
  #giveBack(waiting: WaitingInput): false {
    if (waiting.isHolding && this.#holdCount === 0 && !this.#host.isClosed) this.#socket.resume();
    waiting.isHolding = false;
    return false;
  }

  #listWaiting(waiting: WaitingInput): void {
    if (waiting.isListed) return;
    waiting.isListed = true;
    this.#server.share.wait(this);
  }

  #hasMoreAfterShare(waiting: WaitingInput): boolean {
    const server = this.#server;
    const { share } = server;
    if (this.#host.isClosed) return false;
    if (waiting.servedIn === share.turn) return true;
    // Somebody it sends to lags: `release` comes back.
    if (this.#holdCount > 0) return false;
    const limit = share.isShared(server.nowMs) ? waiting.shareBytes(share.shareMs) : Infinity;
    const pulled = waiting.isEmpty ? this.#pull(limit) : null;
    if (pulled === null && waiting.isEmpty) return this.#giveBack(waiting);
    const beforeMs = server.clockMs();
    const handled = pulled === null ? waiting.take(limit, this.#host) : this.#handlePulled(pulled, beforeMs);
    waiting.measured(handled, server.clockMs() - beforeMs);
    if (waiting.isEmpty && this.#socket.pull === undefined) return this.#giveBack(waiting);
    this.#takeOver(waiting);
    return true;
  }

  /** What has come and was not read, `limit` bytes at most; null: too little, or it is brought by the runtime. */
  #pull(limit: number): Uint8Array | null {
    const { share, nowMs } = this.#server;
    const { pulled } = share;
    // Little is worth a turn only while somebody waits: a turn of its own would be a sync of its own.
    const min = share.isAwaited(nowMs) ? 1 : LARGE_BYTES_MIN;
    const count = this.#socket.pull?.(pulled, Math.min(limit, pulled.length), min) ?? 0;
    return count === 0 ? null : pulled.subarray(0, count);
  }

  #handlePulled(bytes: Uint8Array, nowMs: number): number {
    const host = this.#host;
    host.lastActivityMs = nowMs;
    this.#server.share.arrived(this, bytes.length, nowMs);
    return host.handleInput(bytes, 0, Infinity);
  }
}
