/**
 * Sockets over `Bun.listen`, `Bun.connect` and `upgradeTLS`. A flush that the kernel takes whole costs one call and
 * leaves the chunk in place; nothing is allocated per write.
 */
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import { connectTimedOut, tlsRefused, toClosedError, toConnectError, toListenError } from "../node/errors.ts";
import {
  END_WRITE_MS_MAX,
  LINGER_MS,
  ListenerCount,
  readSocketCountMax,
  SocketCount,
  tooManySockets,
} from "../node/socket_rules.ts";
import { OutputQueue } from "../output_queue.ts";
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
import { lengthenAcceptQueue } from "./accept_queue.ts";
import { bunGlobal, type BunRawSocket, type BunSocketHandlers } from "./bun_global.ts";
import { receiveNow } from "./receive.ts";

const STATE_OPEN = 0;
/** A handshake is awaited or running: nothing is written, input belongs to TLS. */
const STATE_UPGRADING = 1;
/** `end` was called: what is queued is being written, input is thrown away. */
const STATE_ENDING = 2;
/** FIN is sent; waiting for the peer's. */
const STATE_LINGERING = 3;
const STATE_CLOSED = 4;

const TLS_VERSIONS = { "TLSv1.2": 0x0303, "TLSv1.3": 0x0304 } as const;

/** For TLS 1.2; without it the runtime also offers CBC and key exchange without forward secrecy (runtime.md 6.3). */
const CIPHERS = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/** A `startTls` whose promise is open. */
interface Upgrade {
  readonly options: TlsServerOptions;
  readonly resolve: (info: TlsInfo) => void;
  readonly reject: (error: RuntimeError) => void;
  readonly firstBytes: Uint8Array | undefined;
  hasBegun: boolean;
}

type RawSocket = BunRawSocket<BunSocket | undefined>;

class BunSocket implements Socket {
  readonly output = new OutputQueue();
  readonly remoteAddress: string;
  readonly remotePort: number;

  /** What is read and written: the plain socket first, the TLS socket after an upgrade. */
  #raw: RawSocket;
  #handler: SocketHandler | undefined;
  readonly #release: () => void;
  #state = STATE_OPEN;
  #upgrade: Upgrade | undefined;
  #isSecure = false;
  #isPaused = false;
  /** The kernel takes no more; the drain event goes on. */
  #isBlocked = false;
  #hasPeerEnded = false;
  #isFinished = false;
  #error: Error | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The bytes of the `data` call under way: a ClientHello that was looked at belongs to TLS. */
  #current: Uint8Array | undefined;
  /** Input between the end of a handshake and the turn in which whoever awaited it has run. */
  #held: Uint8Array[] | undefined;

  constructor(raw: RawSocket, release: () => void) {
    this.#raw = raw;
    this.#release = release;
    this.remoteAddress = raw.remoteAddress ?? "";
    this.remotePort = raw.remotePort ?? 0;
  }

  // Each of the four is a system call, and these two are hardly ever asked for.
  get localAddress(): string {
    return this.#raw.localAddress ?? "";
  }

  get localPort(): number {
    return this.#raw.localPort ?? 0;
  }

  /** Gives the socket its handler; called once, before any event. */
  attach(handler: SocketHandler): void {
    this.#handler = handler;
  }

  flush(): void {
    if (this.#isBlocked) return;
    if (this.#canWrite()) this.#write();
    else if (this.#state === STATE_CLOSED) this.output.clear();
  }

  pause(): void {
    this.#isPaused = true;
    if (this.#state === STATE_OPEN) this.#raw.pause();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#state === STATE_OPEN) this.#raw.resume();
  }

  pull(into: Uint8Array, size: number, min: number): number {
    // Of TLS the kernel has the cipher text only.
    return this.#state === STATE_OPEN && !this.#isSecure ? receiveNow(this.#raw.fd, into, size, min) : 0;
  }

  startTls(options: TlsServerOptions): Promise<TlsInfo> {
    if (this.#state !== STATE_OPEN || this.#isSecure) {
      return Promise.reject(new RuntimeError("CLOSED", "Cannot start TLS: the connection is closed or has it already"));
    }
    this.#state = STATE_UPGRADING;
    return new Promise((resolve, reject) => {
      this.#upgrade = { options, resolve, reject, firstBytes: this.#current, hasBegun: false };
      if (this.output.pendingBytes > 0 && !this.#isBlocked) this.#write();
      if (this.output.pendingBytes === 0) this.#beginHandshake();
      // Bytes that were read before TLS is there could not be given to it: they stay in the kernel.
      else this.#raw.pause();
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
    this.#raw.resume();
    if (!this.#isBlocked && this.output.pendingBytes > 0) this.#write();
    if (this.output.pendingBytes === 0) this.#allWritten();
  }

  destroy(): void {
    this.#close(undefined);
  }

  /** Input of the raw socket, or of TLS once `startTls` took over. */
  received(raw: RawSocket, bytes: Uint8Array): void {
    // The plain socket goes on being called, with cipher text, after an upgrade (runtime.md 1.6).
    if (raw !== this.#raw || this.#state !== STATE_OPEN) return;
    if (this.#held !== undefined) {
      this.#held.push(bytes);
      return;
    }
    this.#current = bytes;
    this.#handler?.data(bytes);
    this.#current = undefined;
  }

  writable(raw: RawSocket): void {
    if (raw !== this.#raw || !this.#isBlocked) return;
    this.#isBlocked = false;
    if (!this.#canWrite()) return;
    const before = this.output.pendingBytes;
    this.#write();
    if (this.output.pendingBytes < before) this.#handler?.drained();
    if (this.output.pendingBytes === 0 && !this.#isBlocked) this.#allWritten();
  }

  peerEnded(raw: RawSocket): void {
    if (raw !== this.#raw || this.#hasPeerEnded) return;
    this.#hasPeerEnded = true;
    if (this.#state === STATE_LINGERING) this.#close(undefined);
    else if (this.#state === STATE_OPEN && this.#held === undefined) this.#handler?.peerEnded();
    else if (this.#upgrade?.hasBegun) this.#close(this.#handshakeCut());
  }

  rawClosed(error: unknown): void {
    if (this.#state === STATE_CLOSED) return;
    const isHandshake = this.#state === STATE_UPGRADING;
    const reason = isHandshake && error === undefined
      ? this.#handshakeCut()
      : toClosedError(error, this.remoteAddress, this.remotePort);
    this.#finish(reason);
  }

  handshakeDone(raw: RawSocket, isDone: boolean, error: unknown): void {
    const upgrade = this.#upgrade;
    if (upgrade === undefined || this.#state !== STATE_UPGRADING) return;
    this.#raw = raw;
    if (!isDone) {
      this.#close(tlsRefused(error ?? new Error("no reason given"), this.remoteAddress, this.remotePort));
      return;
    }
    let peerCertificate: Uint8Array | undefined;
    if (upgrade.options.verifyClient) {
      // A foreign certificate arrives here as a finished handshake with an error (runtime.md 6.2). Without verification
      // there is always one, because nobody showed a certificate.
      const certificate = raw.getPeerCertificate()?.raw;
      if ((error !== undefined && error !== null) || !raw.authorized || certificate === undefined) {
        const reason = error ?? new Error("no verified client certificate");
        this.#close(tlsRefused(reason, this.remoteAddress, this.remotePort));
        return;
      }
      peerCertificate = new Uint8Array(certificate);
    }
    this.#upgrade = undefined;
    this.#isSecure = true;
    this.#state = STATE_OPEN;
    // Whoever awaits the promise must have run before data comes: it may decide by the certificate.
    this.#held = [];
    if (this.#isPaused) raw.pause();
    setImmediate(() => this.#releaseHeld());
    upgrade.resolve({
      protocol: raw.getTLSVersion(),
      cipher: raw.getCipher().name,
      ...(peerCertificate === undefined ? {} : { peerCertificate }),
    });
  }

  #releaseHeld(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const bytes of held) {
      if (this.#state === STATE_OPEN) this.#handler?.data(bytes);
    }
    if (this.#hasPeerEnded && this.#state === STATE_OPEN) this.#handler?.peerEnded();
    this.flush();
  }

  #canWrite(): boolean {
    if (this.#state === STATE_UPGRADING) return this.#upgrade !== undefined && !this.#upgrade.hasBegun;
    return this.#state === STATE_OPEN || this.#state === STATE_ENDING;
  }

  #write(): void {
    const output = this.output;
    const raw = this.#raw;
    while (output.chunks.length > 0) {
      const chunk = output.chunks[0]!; // length > 0.
      const size = chunk.end - chunk.start;
      const count = raw.write(chunk.buffer, chunk.start, size);
      if (count > 0) output.consumed(count);
      if (count < size) {
        this.#isBlocked = true;
        return;
      }
    }
    if (output.length === 0) return;
    const count = raw.write(output.buffer, 0, output.length);
    if (count === output.length) {
      output.consumedInPlace();
      output.release();
      return;
    }
    // Also for -1, a closed socket: its close event follows and drops the rest.
    this.#isBlocked = true;
    output.seal();
    if (count > 0) output.consumed(count);
  }

  /** The step that waited for the queue to be empty: FIN, or the handshake. */
  #allWritten(): void {
    if (this.#state === STATE_ENDING) {
      this.#state = STATE_LINGERING;
      clearTimeout(this.#timer);
      this.#raw.shutdown();
      if (this.#hasPeerEnded) this.#close(undefined);
      else this.#timer = setTimeout(() => this.#close(undefined), LINGER_MS);
    } else if (this.#state === STATE_UPGRADING) this.#beginHandshake();
  }

  #beginHandshake(): void {
    const upgrade = this.#upgrade;
    if (upgrade === undefined || upgrade.hasBegun) return;
    upgrade.hasBegun = true;
    const plain = this.#raw;
    const { options, firstBytes } = upgrade;
    plain.resume();
    try {
      const [, secure] = plain.upgradeTLS<BunSocket | undefined>({
        isServer: true,
        allowHalfOpen: true,
        tls: {
          cert: options.certificate,
          key: options.key,
          ...(options.authorities === undefined ? {} : { ca: options.authorities }),
          requestCert: options.verifyClient === true,
          rejectUnauthorized: options.verifyClient === true,
          minVersion: TLS_VERSIONS[options.minVersion ?? "TLSv1.2"],
          ciphers: CIPHERS,
        },
        data: this,
        socket: HANDLERS,
        ...(firstBytes === undefined ? {} : { initialData: firstBytes }),
      });
      this.#raw = secure;
    } catch (error) {
      this.#close(tlsRefused(error, this.remoteAddress, this.remotePort));
    }
  }

  #handshakeCut(): RuntimeError {
    return tlsRefused(new Error("the peer closed the connection"), this.remoteAddress, this.remotePort);
  }

  #close(error: Error | undefined): void {
    if (this.#state === STATE_CLOSED) return;
    const raw = this.#raw;
    this.#finish(error);
    raw.close();
  }

  #finish(error: Error | undefined): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#state = STATE_CLOSED;
    this.#isBlocked = false;
    this.#error = error;
    clearTimeout(this.#timer);
    this.#release();
    const upgrade = this.#upgrade;
    this.#upgrade = undefined;
    upgrade?.reject(
      error instanceof RuntimeError
        ? error
        : new RuntimeError("CLOSED", "TLS handshake ended: the connection was closed"),
    );
    // In a turn of its own: the runtime calls its close handler from inside our own calls.
    setImmediate(() => {
      this.#handler?.closed(this.#error);
      this.output.clear();
    });
  }
}

/** An exception of a handler is a broken invariant: hand it to whoever watches for uncaught ones. */
function throwOn(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/** Events of all sockets; which connection it is stands in `data`. `open` is the listener's or the dialler's affair. */
const HANDLERS: BunSocketHandlers<BunSocket | undefined> = {
  open() {},
  data: (raw, bytes) => raw.data?.received(raw, bytes),
  drain: (raw) => raw.data?.writable(raw),
  end: (raw) => raw.data?.peerEnded(raw),
  close: (raw, error) => raw.data?.rawClosed(error),
  error: (_raw, error) => throwOn(error),
  handshake: (raw, isDone, error) => raw.data?.handshakeDone(raw, isDone, error),
};

/** The network of this machine over the runtime's own sockets. */
export class BunNetwork implements Network {
  readonly socketCountMax: number;
  readonly #count: SocketCount;

  constructor(socketCountMax: number = readSocketCountMax()) {
    this.socketCountMax = socketCountMax;
    this.#count = new SocketCount(socketCountMax);
  }

  listen(options: ListenOptions, accept: AcceptSocket): Promise<Listener> {
    const { host, port } = options;
    const max = Math.min(options.maxSockets ?? this.socketCountMax, this.socketCountMax);
    const count = new ListenerCount(max, this.#count);
    const release = () => count.release();
    try {
      const listener = bunGlobal().listen<BunSocket | undefined>({
        hostname: host,
        port,
        allowHalfOpen: true,
        socket: {
          ...HANDLERS,
          open(raw) {
            if (!count.take()) {
              raw.close();
              return;
            }
            opened(raw, release, accept);
          },
        },
      });
      lengthenAcceptQueue(listener.fd);
      const close = () => {
        listener.stop(false);
        return Promise.resolve();
      };
      return Promise.resolve({ host, port: listener.port, close });
    } catch (error) {
      return Promise.reject(toListenError(error, host, port));
    }
  }

  connect(
    options: { host: string; port: number; timeoutMs?: number },
    accept: AcceptSocket,
  ): Promise<Socket> {
    const { host, port, timeoutMs } = options;
    const count = new ListenerCount(this.socketCountMax, this.#count);
    if (!count.take()) return Promise.reject(tooManySockets(this.socketCountMax));
    const release = () => count.release();
    return new Promise((resolve, reject) => {
      let isSettled = false;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const failed = (error: RuntimeError) => {
        if (isSettled) return;
        isSettled = true;
        clearTimeout(timer);
        release();
        reject(error);
      };
      if (timeoutMs !== undefined) {
        timer = setTimeout(() => failed(connectTimedOut(host, port, timeoutMs)), timeoutMs);
      }
      bunGlobal().connect<BunSocket | undefined>({
        hostname: host,
        port,
        allowHalfOpen: true,
        socket: {
          ...HANDLERS,
          open(raw) {
            // A dial cannot be called off; one that succeeds after its time is closed again.
            if (isSettled) {
              raw.close();
              return;
            }
            isSettled = true;
            clearTimeout(timer);
            resolve(opened(raw, release, accept));
          },
          connectError() {},
        },
      }).catch((error: unknown) => failed(toConnectError(error, host, port)));
    });
  }
}

function opened(raw: RawSocket, release: () => void, accept: AcceptSocket): BunSocket {
  raw.setNoDelay(true);
  const socket = new BunSocket(raw, release);
  raw.data = socket;
  socket.attach(accept(socket));
  return socket;
}
