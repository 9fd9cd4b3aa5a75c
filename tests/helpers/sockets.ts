/** Both ends of a connection for tests: a handler that records its events, and a peer over `node:net` or `node:tls`. */
import * as net from "node:net";
import * as tls from "node:tls";
import type { AcceptSocket, Listener, Network, Socket, SocketHandler } from "../../src/runtime/types.ts";

/** Resolves conditions when events come, so that nothing needs to sleep. */
export class Waiter {
  #waiting: { condition: () => boolean; resolve: () => void }[] = [];

  /** Resolves as soon as `condition` holds after an event. */
  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ condition, resolve }));
  }

  /** Something happened: look at the conditions again. */
  notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const entry of waiting) {
      if (entry.condition()) entry.resolve();
      else this.#waiting.push(entry);
    }
  }
}

/** Lets the event loop go around. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A handler that keeps what it is told. `onData` and `onPeerEnded` may be set by a test. */
export class Recorder extends Waiter implements SocketHandler {
  /** Kept as they came: nobody may write to them afterwards. */
  readonly received: Uint8Array[] = [];
  receivedBytes = 0;
  drainedCount = 0;
  peerEndedCount = 0;
  closedCount = 0;
  /** Events after `closed`, which must not come. */
  lateCount = 0;
  error: Error | undefined;
  onData: ((bytes: Uint8Array) => void) | undefined;
  onDrained: (() => void) | undefined;
  onPeerEnded: (() => void) | undefined;

  constructor(readonly socket: Socket) {
    super();
  }

  data(bytes: Uint8Array): void {
    if (this.closedCount > 0) this.lateCount++;
    this.receivedBytes += bytes.length;
    if (this.onData === undefined) this.received.push(bytes);
    else this.onData(bytes);
    this.notify();
  }

  drained(): void {
    if (this.closedCount > 0) this.lateCount++;
    this.drainedCount++;
    this.onDrained?.();
    this.notify();
  }

  peerEnded(): void {
    if (this.closedCount > 0) this.lateCount++;
    this.peerEndedCount++;
    this.onPeerEnded?.();
    this.notify();
  }

  closed(error: Error | undefined): void {
    this.closedCount++;
    this.error = error;
    this.notify();
  }

  text(): string {
    return Buffer.concat(this.received).toString("latin1");
  }
}

/** The far end of a connection, not under test. */
export class Peer extends Waiter {
  readonly received: Uint8Array[] = [];
  receivedBytes = 0;
  hasEnded = false;
  hasClosed = false;
  error: Error | undefined;
  stream: net.Socket;

  constructor(stream: net.Socket) {
    super();
    this.stream = stream;
    this.#watch(stream);
  }

  #watch(stream: net.Socket): void {
    stream.on("data", (bytes: Uint8Array) => {
      if (stream !== this.stream) return;
      this.received.push(bytes);
      this.receivedBytes += bytes.length;
      this.notify();
    });
    stream.on("end", () => {
      this.hasEnded = true;
      this.notify();
    });
    stream.on("error", (error: Error) => {
      this.error = error;
      this.notify();
    });
    stream.on("close", () => {
      this.hasClosed = true;
      this.notify();
    });
  }

  /** Starts TLS on the connection; resolves when the handshake is done here, or failed. */
  secure(options: tls.ConnectionOptions): Promise<void> {
    const plain = this.stream;
    plain.removeAllListeners("data");
    const stream = tls.connect({ socket: plain, servername: "localhost", ...options });
    this.stream = stream;
    this.#watch(stream);
    return new Promise((resolve) => {
      stream.once("secureConnect", () => resolve());
      stream.once("error", () => resolve());
      stream.once("close", () => resolve());
    });
  }

  /** PING in, PONG out: the server is still there for this connection. Rejects when it is not. */
  async ping(): Promise<void> {
    const before = this.text().length;
    const isAnswered = () => this.text().includes("PONG\r\n", before);
    this.stream.write("PING\r\n");
    await this.until(() => isAnswered() || this.hasEnded || this.hasClosed);
    if (isAnswered()) return;
    const got = JSON.stringify(this.text().slice(before));
    throw new Error(`The connection ended before the PONG, after ${got}`, { cause: this.error });
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.received);
  }

  text(): string {
    return Buffer.from(this.bytes()).toString("latin1");
  }
}

/** Opens a connection that is not under test. `allowHalfOpen` lets the peer go on writing after our FIN. */
export function dialPeer(port: number, host = "127.0.0.1"): Promise<Peer> {
  return new Promise((resolve, reject) => {
    const stream = net.connect({ port, host, allowHalfOpen: true });
    stream.once("error", reject);
    stream.once("connect", () => {
      stream.off("error", reject);
      resolve(new Peer(stream));
    });
  });
}

/**
 * Opens a connection as NATS clients do with TLS: INFO in clear, then the handshake, then a CONNECT and the PONG of the first
 * PING. Rejects when the server ends it before.
 */
export async function dialSecurePeer(port: number, options: tls.ConnectionOptions): Promise<Peer> {
  const peer = await dialPeer(port);
  await peer.until(() => peer.text().includes("\r\n") || peer.hasEnded || peer.hasClosed);
  await peer.secure(options);
  peer.stream.write('CONNECT {"verbose":false}\r\n');
  await peer.ping();
  return peer;
}

/** How an attempt to connect ends: "connected", or the code of the system's refusal. */
export function tryDial(port: number): Promise<string> {
  return new Promise((resolve) => {
    const stream = net.connect({ port, host: "127.0.0.1" });
    stream.once("connect", () => {
      stream.destroy();
      resolve("connected");
    });
    stream.once("error", (error: Error & { code?: string }) => resolve(error.code ?? String(error)));
  });
}

/** A listener with one accepted connection and its far end. */
export interface Pair {
  readonly listener: Listener;
  readonly near: Recorder;
  readonly peer: Peer;
  close(): Promise<void>;
}

/** Accepts one connection; `prepare` runs inside the accept call. */
export async function makePair(network: Network, prepare?: (near: Recorder) => void): Promise<Pair> {
  const accepted = Promise.withResolvers<Recorder>();
  const accept: AcceptSocket = (socket) => {
    const recorder = new Recorder(socket);
    prepare?.(recorder);
    accepted.resolve(recorder);
    return recorder;
  };
  const listener = await network.listen({ host: "127.0.0.1", port: 0 }, accept);
  const peer = await dialPeer(listener.port);
  const near = await accepted.promise;
  return {
    listener,
    near,
    peer,
    async close() {
      peer.stream.destroy();
      near.socket.destroy();
      await near.until(() => near.closedCount > 0);
      await listener.close();
    },
  };
}

/** Bytes that differ at every place of interest and are the same in every run. */
export function patternBytes(count: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(count);
  let state = seed;
  for (let index = 0; index < count; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** True when both hold the same bytes; unlike a deep comparison it is quick for megabytes. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
