/**
 * Sockets over `node:net` and `node:tls`. TLS begins by handing the plain stream to a `tls.Server` that never listens:
 * the shorter way, a bare `TLSSocket` with `isServer`, completes the handshake with a foreign client certificate
 * (runtime.md 6.2).
 */
import * as net from "node:net";
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import * as tls from "node:tls";
import { connectTimedOut, tlsRefused, toClosedError, toConnectError, toListenError } from "../node/errors.ts";
import { END_WRITE_MS_MAX, LINGER_MS, readSocketCountMax, tooManySockets } from "../node/socket_rules.ts";
import { type OutputChunk, OutputQueue } from "../output_queue.ts";
import {
  type AcceptSocket,
  type Listener,
  type ListenOptions,
  type Network,
  RuntimeError,
  type Socket,
  type SocketHandler,
  type TlsInfo,
  type TlsServerOptions,
} from "../types.ts";

/** Chunks handed over at once: 1 MiB, so that a long queue shrinks in steps its owner can see. */
/** Connections that the kernel holds until they are accepted: a storm of thousands must not be reset. */
const ACCEPT_QUEUE_LENGTH = 4096;
const BATCH_COUNT_MAX = 16;

const STATE_OPEN = 0;
/** A handshake is awaited or running: nothing is written, input belongs to TLS. */
const STATE_UPGRADING = 1;
/** `end` was called: what is queued is being written, input is thrown away. */
const STATE_ENDING = 2;
/** FIN is sent; waiting for the peer's. */
const STATE_LINGERING = 3;
const STATE_CLOSED = 4;

/** A `startTls` whose promise is open. */
interface Upgrade {
  readonly options: TlsServerOptions;
  readonly resolve: (info: TlsInfo) => void;
  readonly reject: (error: RuntimeError) => void;
  hasBegun: boolean;
}

class NodeSocket implements Socket {
  readonly output = new OutputQueue();
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;

  /** What is read and written: the plain stream first, the TLS stream on top of it after an upgrade. */
  #stream: net.Socket;
  readonly #raw: net.Socket;
  #handler: SocketHandler | undefined;
  #state = STATE_OPEN;
  #upgrade: Upgrade | undefined;
  #isPaused = false;
  #hasPeerEnded = false;
  #isFinished = false;
  #error: Error | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The bytes of the `data` call under way: a ClientHello that was looked at belongs to TLS. */
  #current: Uint8Array | undefined;
  /** Chunks and bytes the stream holds until its callback; one batch at a time. */
  #inFlightCount = 0;
  #inFlightBytes = 0;

  readonly #onData = (bytes: Uint8Array): void => {
    // Anything else discards: the connection is ending.
    if (this.#state !== STATE_OPEN) return;
    this.#current = bytes;
    this.#handler?.data(bytes);
    this.#current = undefined;
  };

  readonly #onEnd = (): void => {
    this.#hasPeerEnded = true;
    if (this.#state === STATE_LINGERING) this.#close(undefined);
    else if (this.#state === STATE_OPEN) this.#handler?.peerEnded();
    else if (this.#upgrade !== undefined) this.#close(this.#handshakeCut());
  };

  readonly #onError = (error: Error): void => this.#close(this.#describe(error));

  readonly #onClose = (): void => this.#finish();

  /** One function for all batches: no closure per write. */
  readonly #onWritten = (error?: Error | null): void => {
    // A broken stream tells the rest by its close event; its chunks are dropped there, not re-used.
    if (error || this.#isFinished || this.#state === STATE_CLOSED) return;
    const count = this.#inFlightBytes;
    this.#inFlightCount = 0;
    this.#inFlightBytes = 0;
    this.output.consumed(count);
    this.#handler?.drained();
    if (this.#inFlightCount > 0) return;
    if (this.output.pendingBytes > 0) {
      if (this.#canWrite()) this.#write();
      return;
    }
    this.output.release();
    this.#allWritten();
  };

  constructor(stream: net.Socket) {
    this.#stream = stream;
    this.#raw = stream;
    this.remoteAddress = stream.remoteAddress ?? "";
    this.remotePort = stream.remotePort ?? 0;
    this.localAddress = stream.localAddress ?? "";
    this.localPort = stream.localPort ?? 0;
    stream.on("error", this.#onError);
    stream.on("close", this.#onClose);
  }

  /** Gives the socket its handler and lets input flow; called once, right after the handler is known. */
  attach(handler: SocketHandler): void {
    this.#handler = handler;
    if (this.#state === STATE_OPEN) this.#listen();
  }

  flush(): void {
    if (this.#inFlightCount > 0) return;
    if (this.#canWrite()) this.#write();
    else if (this.#state === STATE_CLOSED) this.output.clear();
  }

  pause(): void {
    this.#isPaused = true;
    if (this.#state === STATE_OPEN) this.#stream.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#state === STATE_OPEN && this.#handler !== undefined) this.#stream.resume();
  }

  startTls(options: TlsServerOptions): Promise<TlsInfo> {
    if (this.#state !== STATE_OPEN || this.#raw !== this.#stream) {
      return Promise.reject(new RuntimeError("CLOSED", "Cannot start TLS: the connection is closed or has it already"));
    }
    const first = this.#current;
    this.#state = STATE_UPGRADING;
    this.#stream.off("data", this.#onData);
    this.#stream.off("end", this.#onEnd);
    this.#stream.pause();
    if (first !== undefined) this.#stream.unshift(first);
    return new Promise((resolve, reject) => {
      this.#upgrade = { options, resolve, reject, hasBegun: false };
      if (this.#inFlightCount > 0) return;
      if (this.output.pendingBytes > 0) this.#write();
      else this.#allWritten();
    });
  }

  end(): void {
    if (this.#state === STATE_UPGRADING) {
      this.destroy();
      return;
    }
    if (this.#state !== STATE_OPEN) return;
    this.#state = STATE_ENDING;
    this.#timer = setTimeout(() => this.#close(undefined), END_WRITE_MS_MAX);
    this.#stream.resume();
    if (this.#inFlightCount > 0) return;
    if (this.output.pendingBytes > 0) this.#write();
    else this.#allWritten();
  }

  destroy(): void {
    this.#close(undefined);
  }

  #listen(): void {
    this.#stream.on("data", this.#onData);
    this.#stream.on("end", this.#onEnd);
    if (this.#isPaused) this.#stream.pause();
    else this.#stream.resume();
  }

  #canWrite(): boolean {
    if (this.#state === STATE_UPGRADING) return this.#upgrade !== undefined && !this.#upgrade.hasBegun;
    return this.#state === STATE_OPEN || this.#state === STATE_ENDING;
  }

  #write(): void {
    const output = this.output;
    output.seal();
    const chunks = output.chunks;
    const count = Math.min(chunks.length, BATCH_COUNT_MAX);
    if (count === 0) return;
    const stream = this.#stream;
    this.#inFlightCount = count;
    if (count === 1) {
      const only = chunks[0]!; // count is 1.
      this.#inFlightBytes = only.end - only.start;
      stream.write(viewOf(only), this.#onWritten);
      return;
    }
    stream.cork();
    let total = 0;
    for (let index = 0; index < count; index++) {
      const chunk = chunks[index]!; // index < count <= length.
      total += chunk.end - chunk.start;
      if (index === count - 1) {
        this.#inFlightBytes = total;
        stream.write(viewOf(chunk), this.#onWritten);
      } else stream.write(viewOf(chunk));
    }
    stream.uncork();
  }

  /** The step that waited for the queue to be empty: FIN, or the handshake. */
  #allWritten(): void {
    if (this.#state === STATE_ENDING) {
      this.#state = STATE_LINGERING;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#close(undefined), LINGER_MS);
      this.#stream.end(() => {
        if (this.#hasPeerEnded) this.#close(undefined);
      });
    } else if (this.#state === STATE_UPGRADING) this.#beginHandshake();
  }

  #beginHandshake(): void {
    const upgrade = this.#upgrade;
    if (upgrade === undefined || upgrade.hasBegun) return;
    upgrade.hasBegun = true;
    let server: tls.Server;
    try {
      server = secureServerOf(upgrade.options);
    } catch (error) {
      this.#close(tlsRefused(error, this.remoteAddress, this.remotePort));
      return;
    }
    handshakes.set(this.#raw, this);
    // A half-open stream below would keep silent about a peer that goes away before the handshake is done (2.9.6).
    this.#raw.allowHalfOpen = false;
    server.emit("connection", this.#raw);
  }

  /** The handshake failed; the stream is of no use any more. */
  handshakeFailed(error: Error): void {
    this.#close(this.#describe(error));
  }

  /** `stream` is the connection from now on, if the peer is who it must be. */
  handshakeDone(stream: tls.TLSSocket): void {
    stream.on("error", this.#onError);
    stream.on("close", this.#onClose);
    this.#raw.allowHalfOpen = true;
    this.#stream = stream;
    const upgrade = this.#upgrade;
    if (upgrade === undefined || this.#state !== STATE_UPGRADING) {
      stream.destroy();
      return;
    }
    let peerCertificate: Uint8Array | undefined;
    if (upgrade.options.verifyClient) {
      peerCertificate = stream.getPeerCertificate()?.raw;
      // The server has refused the others already; this line is what holds should that ever change.
      if (!stream.authorized || peerCertificate === undefined) {
        this.#close(this.#describe(stream.authorizationError ?? new Error("no verified client certificate")));
        return;
      }
    }
    this.#upgrade = undefined;
    this.#state = STATE_OPEN;
    upgrade.resolve({
      protocol: stream.getProtocol() ?? "",
      cipher: stream.getCipher()?.name ?? "",
      ...(peerCertificate === undefined ? {} : { peerCertificate }),
    });
    // Whoever awaits the promise must have run before data comes: it may decide by the certificate.
    setImmediate(() => {
      if (this.#state === STATE_OPEN) this.#listen();
    });
    this.flush();
  }

  #handshakeCut(): RuntimeError {
    return tlsRefused(new Error("the peer closed the connection"), this.remoteAddress, this.remotePort);
  }

  #describe(error: unknown): RuntimeError | undefined {
    return this.#state === STATE_UPGRADING && this.#upgrade?.hasBegun
      ? tlsRefused(error, this.remoteAddress, this.remotePort)
      : toClosedError(error, this.remoteAddress, this.remotePort);
  }

  /** Destroys the stream; its close event ends the story. */
  #close(error: Error | undefined): void {
    if (this.#state === STATE_CLOSED) return;
    if (this.#upgrade !== undefined) this.#rejectUpgrade(error);
    this.#state = STATE_CLOSED;
    this.#error = error;
    clearTimeout(this.#timer);
    if (this.#stream !== this.#raw) this.#stream.destroy();
    this.#raw.destroy();
  }

  #rejectUpgrade(error: Error | undefined): void {
    const upgrade = this.#upgrade;
    this.#upgrade = undefined;
    upgrade?.reject(
      error instanceof RuntimeError
        ? error
        : new RuntimeError("CLOSED", "TLS handshake ended: the connection was closed"),
    );
  }

  #finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    if (this.#upgrade !== undefined) this.#close(this.#handshakeCut());
    this.#state = STATE_CLOSED;
    clearTimeout(this.#timer);
    if (this.#stream !== this.#raw) this.#stream.destroy();
    this.#raw.destroy();
    // In a turn of its own: the other handlers of the stream's event must not find the owner gone.
    setImmediate(() => {
      this.#handler?.closed(this.#error);
      this.#dropOutput();
    });
  }

  /** Chunks that were in flight may still be read by the stream: they are left to the collector, not to the pool. */
  #dropOutput(): void {
    const output = this.output;
    for (const chunk of output.chunks.splice(0, this.#inFlightCount)) output.sealedBytes -= chunk.end - chunk.start;
    this.#inFlightCount = 0;
    output.clear();
  }
}

function ignore(): void {}

function viewOf(chunk: OutputChunk): Uint8Array {
  return chunk.buffer.subarray(chunk.start, chunk.end);
}

/**
 * Servers that never listen, one for each set of options: making one reads the certificates and costs 0.9 ms
 * (Deno 2.9.6, 2026-11). A cache; new certificates come as a new options object.
 */
const secureServers = new WeakMap<TlsServerOptions, tls.Server>();

/** The connections whose handshake runs, by the stream below: a shared server's events name only that. */
const handshakes = new WeakMap<net.Socket, NodeSocket>();

function takeHandshake(stream: tls.TLSSocket | undefined): NodeSocket | undefined {
  // `_parent` is not documented, but the only way from the TLS stream to the one below; the conformance suite fails
  // without it. Addresses are gone by the time some of the errors arrive.
  const raw = (stream as unknown as { _parent?: net.Socket } | undefined)?._parent;
  if (raw === undefined) return undefined;
  const socket = handshakes.get(raw);
  handshakes.delete(raw);
  return socket;
}

function secureServerOf(options: TlsServerOptions): tls.Server {
  const known = secureServers.get(options);
  if (known !== undefined) return known;
  const server = tls.createServer(serverOptions(options));
  server.on("secureConnection", (stream: tls.TLSSocket) => {
    const socket = takeHandshake(stream);
    if (socket === undefined) stream.destroy();
    else socket.handshakeDone(stream);
  });
  server.on("tlsClientError", (error: Error, stream: tls.TLSSocket | undefined) => {
    stream?.on("error", ignore);
    takeHandshake(stream)?.handshakeFailed(error);
  });
  secureServers.set(options, server);
  return server;
}

function serverOptions(options: TlsServerOptions): tls.TlsOptions {
  return {
    cert: options.certificate,
    key: options.key,
    minVersion: options.minVersion ?? "TLSv1.2",
    allowHalfOpen: true,
    ...(options.authorities === undefined ? {} : { ca: options.authorities }),
    ...(options.verifyClient ? { requestCert: true, rejectUnauthorized: true } : {}),
  };
}

/** How long to wait before a port that was given up is taken again, when somebody else has it meanwhile. */
const REOPEN_RETRY_MS = 100;

/** The part of the limit that must be free again before listeners open: not one close and one open per connection. */
const REOPEN_MARGIN_SHIFT = 6;

/**
 * One port. Its `net.Server` comes and goes: when the process holds as many sockets as it may, the server is closed and
 * peers are refused by the kernel. Accepting and closing them at once is not enough, because a burst is accepted faster
 * than descriptors are given back, and running out of them ends accepting for ever, without an error (2.9.6).
 */
class NodeListener implements Listener {
  readonly host: string;
  port: number;
  readonly #accepted: (stream: net.Socket, listener: NodeListener) => void;
  readonly #forget: (listener: NodeListener) => void;
  #server: net.Server | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  /** Accepted sockets whose descriptor is not given back yet. */
  openCount = 0;

  constructor(
    options: ListenOptions,
    readonly max: number,
    accepted: (stream: net.Socket, listener: NodeListener) => void,
    forget: (listener: NodeListener) => void,
  ) {
    this.host = options.host;
    this.port = options.port;
    this.#accepted = accepted;
    this.#forget = forget;
  }

  open(): Promise<void> {
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
    this.#server = server;
    server.on("connection", (stream) => this.#accepted(stream, this));
    return new Promise((resolve, reject) => {
      const refused = (error: Error) => {
        if (this.#server === server) this.#server = undefined;
        reject(toListenError(error, this.host, this.port));
      };
      server.once("error", refused);
      server.listen({ host: this.host, port: this.port, backlog: ACCEPT_QUEUE_LENGTH }, () => {
        server.off("error", refused);
        server.on("error", ignore);
        // A port the system chose stays the same when it is opened again.
        this.port = (server.address() as net.AddressInfo).port;
        resolve();
      });
    });
  }

  suspend(): void {
    this.#server?.close();
    this.#server = undefined;
  }

  reopen(): void {
    if (this.#isClosed || this.#server !== undefined) return;
    this.open().catch(() => {
      if (!this.#isClosed) this.#retry = setTimeout(() => this.reopen(), REOPEN_RETRY_MS);
    });
  }

  /** The port is free as soon as the handle is closed; the server's own callback would wait for the last connection. */
  close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#forget(this);
    this.suspend();
    return new Promise((resolve) => setImmediate(resolve));
  }
}

/** The network of this machine over `node:net`. */
export class NodeNetwork implements Network {
  readonly socketCountMax: number;
  readonly #reopenAt: number;
  readonly #listeners = new Set<NodeListener>();
  /** Descriptors of sockets, dialled and refused ones included, until they are given back. */
  #heldCount = 0;
  #isSuspended = false;

  constructor(socketCountMax: number = readSocketCountMax()) {
    this.socketCountMax = socketCountMax;
    this.#reopenAt = socketCountMax - Math.max(1, socketCountMax >> REOPEN_MARGIN_SHIFT);
  }

  async listen(options: ListenOptions, accept: AcceptSocket): Promise<Listener> {
    const listener = new NodeListener(
      options,
      Math.min(options.maxSockets ?? this.socketCountMax, this.socketCountMax),
      (stream, from) => this.#accepted(stream, from, accept),
      (closed) => this.#listeners.delete(closed),
    );
    await listener.open();
    this.#listeners.add(listener);
    if (this.#isSuspended) listener.suspend();
    return listener;
  }

  connect(
    options: { host: string; port: number; timeoutMs?: number },
    accept: AcceptSocket,
  ): Promise<Socket> {
    const { host, port, timeoutMs } = options;
    if (this.#heldCount >= this.socketCountMax) return Promise.reject(tooManySockets(this.socketCountMax));
    return new Promise((resolve, reject) => {
      const stream = net.connect({ host, port, allowHalfOpen: true, noDelay: true });
      this.#hold(stream);
      let timer: ReturnType<typeof setTimeout> | undefined;
      const failed = (error: RuntimeError) => {
        clearTimeout(timer);
        stream.off("connect", connected);
        stream.on("error", ignore);
        stream.destroy();
        reject(error);
      };
      const refused = (error: Error) => failed(toConnectError(error, host, port));
      const connected = () => {
        clearTimeout(timer);
        stream.off("error", refused);
        resolve(opened(stream, accept));
      };
      stream.once("error", refused);
      stream.once("connect", connected);
      if (timeoutMs !== undefined) {
        timer = setTimeout(() => {
          stream.off("error", refused);
          failed(connectTimedOut(host, port, timeoutMs));
        }, timeoutMs);
      }
    });
  }

  #accepted(stream: net.Socket, listener: NodeListener, accept: AcceptSocket): void {
    const isFull = listener.openCount >= listener.max || this.#heldCount >= this.socketCountMax;
    listener.openCount++;
    stream.once("close", () => listener.openCount--);
    this.#hold(stream);
    if (isFull) {
      stream.on("error", ignore);
      stream.destroy();
    } else opened(stream, accept);
  }

  #hold(stream: net.Socket): void {
    this.#heldCount++;
    stream.once("close", () => {
      this.#heldCount--;
      if (this.#isSuspended && this.#heldCount <= this.#reopenAt) {
        this.#isSuspended = false;
        for (const listener of this.#listeners) listener.reopen();
      }
    });
    if (this.#heldCount >= this.socketCountMax && !this.#isSuspended) {
      this.#isSuspended = true;
      for (const listener of this.#listeners) listener.suspend();
    }
  }
}

function opened(stream: net.Socket, accept: AcceptSocket): NodeSocket {
  stream.setNoDelay(true);
  const socket = new NodeSocket(stream);
  socket.attach(accept(socket));
  return socket;
}
