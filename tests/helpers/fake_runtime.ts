/**
 * A platform whose clock, timers, turns and sockets a test moves by hand. Nothing happens between two calls of the test, so
 * rules about time can be proved in microseconds.
 */
import { OutputQueue } from "../../src/runtime/output_queue.ts";
import type {
  AcceptSocket,
  Listener,
  Network,
  Runtime,
  Scheduler,
  Socket,
  SocketHandler,
  TimerHandle,
  TlsInfo,
} from "../../src/runtime/types.ts";

interface FakeTimer {
  readonly dueMs: number;
  readonly order: number;
  readonly work: () => void;
}

/** A connection as the server sees it; the test plays the client and the kernel. */
export class FakeSocket implements Socket {
  readonly output = new OutputQueue();
  readonly remoteAddress = "127.0.0.1";
  readonly localAddress = "127.0.0.1";
  readonly localPort = 4222;
  /** Bytes the kernel takes before it refuses more; Infinity: everything at once. */
  room = Infinity;
  paused = false;
  pauseCount = 0;
  ended = false;
  destroyed = false;
  flushCount = 0;
  /** Set by `listen`'s accept. */
  handler: SocketHandler | undefined;
  /** Keeps what was written when true; counting alone is cheaper. */
  keeps = true;
  writtenBytes = 0;
  #written: string[] = [];
  /** What came and was not read: the client sent it while the socket was paused. */
  arrived = "";
  /** Of every `pull`. */
  readonly pulledSizes: number[] = [];
  readonly pull?: (into: Uint8Array, size: number, min: number) => number;

  constructor(readonly remotePort: number, canPull = true) {
    if (canPull) this.pull = this.#pull;
  }

  flush(): void {
    this.flushCount++;
    if (!this.destroyed) this.#write();
  }

  #write(): number {
    const { output } = this;
    output.seal();
    let taken = 0;
    while (output.chunks.length > 0 && this.room > 0) {
      const chunk = output.chunks[0]!; // length > 0.
      const count = Math.min(this.room, chunk.end - chunk.start);
      if (this.keeps) {
        this.#written.push(Buffer.from(chunk.buffer.subarray(chunk.start, chunk.start + count)).toString("latin1"));
      }
      this.room -= count;
      taken += count;
      output.consumed(count);
    }
    this.writtenBytes += taken;
    return taken;
  }

  /** The peer has read: the kernel takes `count` more bytes, and the server is told. */
  drain(count = Infinity): void {
    this.room += count;
    if (this.#write() > 0) this.handler?.drained();
  }

  pause(): void {
    this.paused = true;
    this.pauseCount++;
  }

  resume(): void {
    this.paused = false;
    const { arrived } = this;
    this.arrived = "";
    if (arrived !== "") this.send(arrived);
  }

  /** Of a platform that can: what came and was not read. A resume brings what is left. */
  readonly #pull = (into: Uint8Array, size: number, min: number): number => {
    if (this.arrived.length < min || this.destroyed) {
      this.pulledSizes.push(0);
      return 0;
    }
    const piece = this.arrived.slice(0, size);
    this.arrived = this.arrived.slice(size);
    this.pulledSizes.push(piece.length);
    // Nothing may be left of what it held before.
    into.fill(0xff);
    into.set(Buffer.from(piece, "latin1"));
    return piece.length;
  };

  startTls(): Promise<TlsInfo> {
    return Promise.reject(new Error("not faked"));
  }

  end(): void {
    this.#write();
    this.ended = true;
  }

  destroy(): void {
    this.destroyed = true;
  }

  /** The client sends. */
  send(text: string): void {
    this.handler?.data(Buffer.from(text, "latin1"));
  }

  /** Takes what the client has received so far. */
  take(): string {
    const text = this.#written.join("");
    this.#written = [];
    return text;
  }
}

class FakeNetwork implements Network {
  readonly socketCountMax = 65_536;
  accept: AcceptSocket | undefined;
  /** Of all listeners, in the order they were opened. */
  readonly accepts: AcceptSocket[] = [];

  listen(options: { host: string; port: number }, accept: AcceptSocket): Promise<Listener> {
    this.accept = accept;
    this.accepts.push(accept);
    return Promise.resolve({
      host: options.host,
      port: options.port === 0 ? 4222 : options.port,
      close: () => Promise.resolve(),
    });
  }

  connect(): Promise<Socket> {
    return Promise.reject(new Error("not faked"));
  }
}

/** What of the platform the core server uses. */
type CoreRuntime = Pick<Runtime, "version" | "clock" | "scheduler" | "network" | "random">;

export class FakeRuntime implements CoreRuntime {
  readonly version = "fake1.0.0";
  nowMs = 1_000_000;
  readonly network = new FakeNetwork();
  readonly clock = {
    monotonicMs: () => this.nowMs,
    wallNs: (out: { high: number; low: number }) => {
      const ns = BigInt(Math.round(this.nowMs)) * 1_000_000n;
      out.high = Number(ns >> 32n);
      out.low = Number(ns & 0xffff_ffffn);
    },
  };
  readonly scheduler: Scheduler = {
    endOfTurn: (work) => void this.#turns.push(work),
    after: (delayMs, work) => this.#after(delayMs, work),
  };
  #turns: (() => void)[] = [];
  readonly #timers = new Set<FakeTimer>();
  #order = 0;
  #port = 50_000;

  /** For the constructor of a server; what is not faked is undefined. */
  asRuntime(): Runtime {
    return this as CoreRuntime as Runtime;
  }

  random(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 37 + 11) & 255;
  }

  #after(delayMs: number, work: () => void): TimerHandle {
    const timer: FakeTimer = { dueMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, work };
    this.#timers.add(timer);
    return { stop: () => void this.#timers.delete(timer) };
  }

  get timerCount(): number {
    return this.#timers.size;
  }

  /** Runs the work of the end of turns until there is none. */
  turn(): void {
    while (this.#turns.length > 0) {
      const work = this.#turns.shift()!; // length > 0.
      work();
    }
  }

  /** Moves the clock; timers fire in their order, each at its time, with a turn after each. */
  advance(ms: number): void {
    const target = this.nowMs + ms;
    this.turn();
    while (true) {
      let next: FakeTimer | undefined;
      for (const timer of this.#timers) {
        if (timer.dueMs > target) continue;
        if (
          next === undefined || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order)
        ) next = timer;
      }
      if (next === undefined) break;
      this.#timers.delete(next);
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      next.work();
      this.turn();
    }
    this.nowMs = target;
  }

  /** A client connects. */
  dial(canPull = true): FakeSocket {
    const accept = this.network.accept;
    if (accept === undefined) throw new Error("nobody listens");
    const socket = new FakeSocket(this.#port++, canPull);
    socket.handler = accept(socket);
    this.turn();
    return socket;
  }
}
