/**
 * TCP for the bench tools: the runtime's own sockets where it has them (they take bytes without copying and cost the
 * least), `node:net` elsewhere. This is the only file of the bench that knows which runtime it is on.
 */

import net from "node:net";

/** What the owner of a socket is told. */
export interface RawHandlers {
  /** Bytes arrived; the chunk is valid during the call only. */
  data(chunk: Uint8Array): void;
  /** The kernel takes bytes again after a short write. */
  drain(): void;
  /** The connection is gone, by either side. */
  close(): void;
}

/** One connected socket. */
export interface RawSocket {
  /** Returns how many bytes were taken; fewer than asked for means: wait for `drain`. Taken bytes may be overwritten. */
  write(buffer: Uint8Array, at: number, sizeBytes: number): number;
  /** Closes after the taken bytes. */
  end(): void;
}

/** A listening socket. */
export interface RawListener {
  readonly port: number;
  stop(): void;
}

interface NativeSocket {
  data: RawHandlers | undefined;
  write(buffer: Uint8Array, at: number, sizeBytes: number): number;
  end(): void;
  setNoDelay(on: boolean): void;
}

interface NativeHandlers {
  open(socket: NativeSocket): void;
  data(socket: NativeSocket, chunk: Uint8Array): void;
  drain(socket: NativeSocket): void;
  close(socket: NativeSocket): void;
  error(socket: NativeSocket, error: Error): void;
  connectError?(socket: NativeSocket, error: Error): void;
}

interface NativeApi {
  connect(options: { hostname: string; port: number; socket: NativeHandlers }): Promise<NativeSocket>;
  listen(
    options: { hostname: string; port: number; socket: NativeHandlers },
  ): { port: number; stop(hard: boolean): void };
}

function nativeApi(): NativeApi | undefined {
  return (globalThis as { Bun?: NativeApi }).Bun;
}

class NativeRawSocket implements RawSocket {
  constructor(readonly socket: NativeSocket) {}

  write(buffer: Uint8Array, at: number, sizeBytes: number): number {
    const taken = this.socket.write(buffer, at, sizeBytes);
    // A closed socket answers -1; its close handler tells the owner.
    return taken < 0 ? 0 : taken;
  }

  end(): void {
    this.socket.end();
  }
}

class NodeRawSocket implements RawSocket {
  constructor(readonly socket: net.Socket) {}

  write(buffer: Uint8Array, at: number, sizeBytes: number): number {
    if (this.socket.writableNeedDrain || this.socket.destroyed) return 0;
    // node:net keeps the buffer until it is sent, our callers reuse theirs at once.
    this.socket.write(buffer.slice(at, at + sizeBytes));
    return sizeBytes;
  }

  end(): void {
    this.socket.end();
  }
}

function nativeHandlers(open: (socket: NativeSocket) => RawHandlers | undefined): NativeHandlers {
  return {
    open(socket) {
      socket.setNoDelay(true);
      socket.data = open(socket);
    },
    data: (socket, chunk) => socket.data?.data(chunk),
    drain: (socket) => socket.data?.drain(),
    close: (socket) => socket.data?.close(),
    error: (socket) => socket.data?.close(),
  };
}

function bindNode(socket: net.Socket, handlers: RawHandlers): void {
  socket.setNoDelay(true);
  socket.on("data", (chunk) => handlers.data(chunk as Uint8Array));
  socket.on("drain", () => handlers.drain());
  socket.on("close", () => handlers.close());
}

/** Connects; `bind` gets the socket before the first byte is read. Rejects when nobody listens. */
export function connectRaw(
  host: string,
  port: number,
  bind: (socket: RawSocket) => RawHandlers,
): Promise<RawSocket> {
  const api = nativeApi();
  return new Promise((resolve, reject) => {
    if (api !== undefined) {
      const handlers = nativeHandlers((socket) => {
        const raw = new NativeRawSocket(socket);
        resolve(raw);
        return bind(raw);
      });
      handlers.connectError = (_socket, error) => reject(error);
      api.connect({ hostname: host, port, socket: handlers }).catch(reject);
      return;
    }
    const socket = net.connect({ host, port });
    socket.on("error", reject);
    socket.on("connect", () => {
      const raw = new NodeRawSocket(socket);
      bindNode(socket, bind(raw));
      resolve(raw);
    });
  });
}

/** Listens on `port` (0: chosen by the system); `bind` is called for each connection. */
export function listenRaw(host: string, port: number, bind: (socket: RawSocket) => RawHandlers): Promise<RawListener> {
  const api = nativeApi();
  if (api !== undefined) {
    const listener = api.listen({
      hostname: host,
      port,
      socket: nativeHandlers((socket) => bind(new NativeRawSocket(socket))),
    });
    return Promise.resolve({ port: listener.port, stop: () => listener.stop(true) });
  }
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => {
      socket.on("error", () => socket.destroy());
      bindNode(socket, bind(new NodeRawSocket(socket)));
    });
    server.on("error", reject);
    server.listen(port, host, () => {
      const address = server.address();
      const chosen = address !== null && typeof address === "object" ? address.port : port;
      resolve({ port: chosen, stop: () => server.close() });
    });
  });
}

/** Bytes handed to the kernel in one call; what it does not take of them is copied, so the piece bounds that copy. */
export const PIECE_BYTES = 256 * 1024;

/** Ordered output of one socket: takes every byte, keeps what the kernel refuses, tells when it is empty again. */
export class Outbox {
  readonly #socket: RawSocket;
  readonly #backlog: Uint8Array[] = [];
  #backlogAt = 0;

  constructor(socket: RawSocket) {
    this.#socket = socket;
  }

  /** True while refused bytes wait: a producer should stop until {@link drain} returns true. */
  get blocked(): boolean {
    return this.#backlog.length > 0;
  }

  /** Sends or keeps a copy; returns the bytes dealt with, which is less than asked for only once blocked. */
  offer(buffer: Uint8Array, at: number, sizeBytes: number): number {
    let done = 0;
    while (done < sizeBytes && this.#backlog.length === 0) {
      const piece = Math.min(PIECE_BYTES, sizeBytes - done);
      const taken = this.#socket.write(buffer, at + done, piece);
      if (taken < piece) this.#backlog.push(buffer.slice(at + done + taken, at + done + piece));
      done += piece;
    }
    return done;
  }

  /** Sends all of it, keeping a copy of whatever is refused. For small control frames and acks. */
  send(buffer: Uint8Array, at = 0, sizeBytes = buffer.length): void {
    const done = this.offer(buffer, at, sizeBytes);
    if (done < sizeBytes) this.#backlog.push(buffer.slice(at + done, at + sizeBytes));
  }

  /** Call on the socket's drain. True when nothing waits any more. */
  drain(): boolean {
    for (;;) {
      const first = this.#backlog[0];
      if (first === undefined) return true;
      this.#backlogAt += this.#socket.write(first, this.#backlogAt, first.length - this.#backlogAt);
      if (this.#backlogAt < first.length) return false;
      this.#backlogAt = 0;
      this.#backlog.shift();
    }
  }
}
