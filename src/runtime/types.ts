/**
 * What the rest of the program asks of the platform. One implementation per runtime stands behind it; both have the
 * same shape and pass the same suite (tests/conformance/runtime). Nothing above this folder knows which one runs.
 */
import type { OutputQueue } from "./output_queue.ts";

/** Monotonic milliseconds with a fraction; the zero point means nothing. */
export type MonotonicMs = number;

/** Clocks. Read once per input batch, not once per message: a reading costs 40 to 90 ns (runtime.md 3). */
export interface Clock {
  /** Monotonic time for timers and durations. Never goes back. */
  monotonicMs(): MonotonicMs;
  /** Wall clock, nanoseconds since 1970 as two unsigned 32-bit halves written into `out`. */
  wallNs(out: { high: number; low: number }): void;
}

/** A timer that can be stopped; firing after `stop` is impossible. */
export interface TimerHandle {
  stop(): void;
}

/** Work scheduling of the event loop. */
export interface Scheduler {
  /** Runs `work` once, after the events that are ready now (one flush per loop turn: runtime.md 1.4). */
  endOfTurn(work: () => void): void;
  /**
   * Runs `work` once, not before `delayMs` have passed; below 0: it was due so long ago. If it is late, what had arrived by
   * then is handled first: a process that stood still must not take for silent who has answered meanwhile.
   */
  after(delayMs: number, work: () => void): TimerHandle;
}

export interface TlsServerOptions {
  /** PEM text. */
  readonly certificate: string;
  /** PEM text. */
  readonly key: string;
  /** PEM text of the authorities that sign client certificates. */
  readonly authorities?: string;
  /** Demand and verify a client certificate; a foreign or absent one must end the connection before any data. */
  readonly verifyClient?: boolean;
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
}

export interface TlsClientOptions {
  readonly authorities?: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly serverName?: string;
  readonly rejectUnauthorized?: boolean;
}

/** What is known after a handshake. */
export interface TlsInfo {
  readonly protocol: string;
  readonly cipher: string;
  /** DER of the verified client certificate, when one was demanded. */
  readonly peerCertificate?: Uint8Array;
}

/** Events of one socket. Methods are called on the event loop, never from inside a call on the same socket. */
export interface SocketHandler {
  /** Nobody writes to `bytes` afterwards: the handler may keep a part of it, which keeps all of its memory. */
  data(bytes: Uint8Array): void;
  /** The adapter reported bytes as written; `output.pendingBytes` is smaller than before. */
  drained(): void;
  /** The peer closed its sending half. Output may still be written; call `end` to finish. */
  peerEnded(): void;
  /** Called exactly once, last. `error` is undefined for an orderly end. */
  closed(error: Error | undefined): void;
}

/** An accepted or dialled stream. */
export interface Socket {
  readonly output: OutputQueue;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /**
   * Hands as much of `output` to the operating system as it takes; goes on by itself until all is written, calling
   * `drained` after each step that did not finish within this call. Calling it while it is at work is harmless.
   */
  flush(): void;
  /** Stop and go on reading. `pause` may still be followed by one `data` call that was under way. */
  pause(): void;
  resume(): void;
  /**
   * Reads what has come into the front of `into`, `size` bytes at most, without the memory that every `data` call costs. Not
   * from inside `data`. Returns how many; 0 when fewer than `min` bytes are there now, or none that can be read this way (TLS):
   * `data` brings those, and the end and every error are told as ever. Absent where a runtime has no such call.
   */
  pull?(into: Uint8Array, size: number, min: number): number;
  /**
   * Server side of a TLS handshake on this accepted connection, after plain bytes were exchanged (INFO first). `output`
   * that was queued before must be flushed by then (the adapter writes it in clear first). Resolves when the handshake is
   * done and the peer is verified as asked; afterwards `data` and `flush` carry plain text. Rejects, and closes the
   * socket, when the handshake fails or the certificate is refused; no byte of application data is delivered then.
   */
  startTls(options: TlsServerOptions): Promise<TlsInfo>;
  /** Writes what is queued, then FIN; input is discarded for at most 100 ms, then the socket is destroyed. */
  end(): void;
  /** Closes at once, dropping what is queued. */
  destroy(): void;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Sockets accepted at the same time; above it a new one is closed at once. Keep below the descriptor limit. */
  readonly maxSockets?: number;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Stops accepting; open sockets stay. Resolves when the port is free. */
  close(): Promise<void>;
}

/** Gives the handler of a socket that was just accepted. Bytes may be queued and flushed right away. */
export type AcceptSocket = (socket: Socket) => SocketHandler;

export interface Network {
  /** Rejects with {@link RuntimeError} `ADDRESS_IN_USE`, `ADDRESS_NOT_AVAILABLE`, `PERMISSION_DENIED` or `OTHER`. */
  listen(options: ListenOptions, accept: AcceptSocket): Promise<Listener>;
  /** Dials. Rejects with {@link RuntimeError} `CONNECTION_REFUSED`, `TIMED_OUT`, `HOST_NOT_FOUND` or `OTHER`. */
  connect(options: { host: string; port: number; timeoutMs?: number }, accept: AcceptSocket): Promise<Socket>;
  /** Connections this process may hold, from its descriptor limit less a reserve for files. */
  readonly socketCountMax: number;
}

/** Files, as far as the program needs them now. Paths are plain strings. Errors are {@link RuntimeError}. */
export interface Files {
  readText(path: string): string;
  /** Appends; creates with mode 0660 less umask. The log uses it: synchronous, so that a dying process says why. */
  openAppend(path: string): AppendFile;
  writeText(path: string, text: string, mode?: number): void;
  exists(path: string): boolean;
  remove(path: string): void;
  rename(from: string, to: string): void;
  makeDirectory(path: string): void;
}

export interface AppendFile {
  readonly sizeBytes: number;
  write(bytes: Uint8Array): void;
  close(): void;
}

/** What stands in a directory. Links are told as links, whatever they point to. */
export interface DiskEntry {
  readonly name: string;
  readonly kind: "file" | "directory" | "link" | "other";
}

/** How {@link Disk.open} treats what is there: `update` needs it, `create` makes it when missing, `replace` empties it. */
export type OpenMode = "read" | "update" | "create" | "replace";

/** Called once, on the event loop, never before the call that takes it has returned. */
export type DiskDone = (error: RuntimeError | undefined) => void;

/** An open file with positions chosen by its owner: no shared cursor, so an attempt that failed is repeated in place. */
export interface DiskFile {
  /** Asks the system. */
  sizeBytes(): number;
  /** Reads up to `end - start` bytes; returns how many there were: fewer only at the end of the file. Blocks. */
  read(into: Uint8Array, start: number, end: number, position: number): number;
  /** The same off the event loop. */
  readLater(
    into: Uint8Array,
    start: number,
    end: number,
    position: number,
    done: (error: RuntimeError | undefined, count: number) => void,
  ): void;
  /** Hands all of it to the system, or throws; then any part of it may have been written. */
  write(bytes: Uint8Array, start: number, end: number, position: number): void;
  /** Cuts or extends with zeros. */
  truncate(sizeBytes: number): void;
  /** Makes content and size survive a power cut, off the event loop. */
  sync(done: DiskDone): void;
  /** The same, blocking. */
  syncNow(): void;
  /** Nothing may be under way. */
  close(): void;
}

/** A lock of one file, held by this process until it is released or ends. */
export interface DiskLock {
  release(): void;
}

/** The disk, for stores. A seam: simulations tear, lose and refuse writes here. Everything throws {@link RuntimeError}. */
export interface Disk {
  open(path: string, mode: OpenMode): DiskFile;
  /** In no order. */
  list(path: string): readonly DiskEntry[];
  /** Undefined: nothing there. Links are followed. */
  stat(
    path: string,
  ): { readonly kind: DiskEntry["kind"]; readonly sizeBytes: number; readonly mode: number } | undefined;
  /** With its parents; one that is there is left alone. */
  makeDirectory(path: string): void;
  /** An empty one. */
  removeDirectory(path: string): void;
  remove(path: string): void;
  /** Replaces what has the new name. */
  rename(from: string, to: string): void;
  changeMode(path: string, mode: number): void;
  /** Makes names in a directory survive a power cut, off the event loop. */
  syncDirectory(path: string, done: DiskDone): void;
  /** Bytes that this process may still write to the file system of `path`. */
  freeBytes(path: string): number;
  /** Locks against other processes, with the kind of lock that the reference takes (stores.md 5.11). Undefined: held by another. */
  lock(path: string): DiskLock | undefined;
  /** Files a store may hold open, from the descriptor limit of the process. */
  readonly openFilesMax: number;
}

export type SignalName = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGUSR1" | "SIGUSR2" | "SIGQUIT";

export interface ProcessHost {
  readonly pid: number;
  /** Arguments after the program's name. */
  readonly args: readonly string[];
  /** Base name of the file that runs: `stanchion`, `nats-server`, ...; `stanchion` when started from source. */
  readonly programName: string;
  env(name: string): string | undefined;
  /** Removes a variable from the environment of this process: programs that it runs do not get it. */
  unsetEnv(name: string): void;
  exit(code: number): never;
  onSignal(name: SignalName, handler: () => void): void;
  /** Last resort for errors nobody caught: report, then the caller decides. */
  onUncaught(handler: (error: unknown) => void): void;
  writeOut(text: string): void;
  writeErr(text: string): void;
  /** True when stderr is a character device: the log may use colours. */
  readonly errIsTerminal: boolean;
  /**
   * Runs a program without a shell; `done` gets its output and errors together, at most 1 MB, and what went wrong, if
   * anything did.
   */
  run(path: string, args: readonly string[], done: (output: string, error: string | undefined) => void): void;
  residentBytes(): number;
  cpuTimeMs(): number;
  /** Local time zone offset of an instant in minutes east of UTC. */
  zoneOffsetMinutes(unixMs: number): number;
}

/** One request to the monitoring port. */
export interface HttpRequest {
  /** In capitals, as sent. */
  readonly method: string;
  /** As sent, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Value of a header, its name in lower case; "" when it was not sent. */
  header(name: string): string;
  /** What a POST or PUT brought; longer ones never get here. */
  readonly body: string;
  /** Where it comes from, for an audit line. */
  readonly remoteAddress: string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** Certificate and key of an HTTPS port. */
export interface HttpTls {
  /** PEM. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

export interface HttpListenOptions {
  readonly host: string;
  readonly port: number;
  /** Undefined: plain HTTP. */
  readonly tls?: HttpTls | undefined;
}

export type HttpHandler = (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>;

/** A small HTTP server, for monitoring only: never on a message path. */
export interface HttpHost {
  /** Rejects like `Network.listen`. The handler must not throw, nor reject. */
  listen(options: HttpListenOptions, handle: HttpHandler): Promise<Listener>;
}

/** A syslog: that of this machine, or one behind an address or a socket of streams. */
export type SyslogTarget =
  | { readonly kind: "local" }
  | { readonly kind: "udp" | "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** The way to a syslog. It connects again by itself, and never makes its user wait. */
export interface SyslogLink {
  /** Name of this machine, for lines that leave it. */
  readonly hostName: string;
  /** Rejects with {@link RuntimeError} when the syslog cannot be reached at first. Must be awaited or caught. */
  readonly opened: Promise<void>;
  /** Hands one message on. False: it is lost, because nobody takes it and the queue is full. */
  send(message: string): boolean;
  /** Resolves when all that was handed on is on its way, or cannot be brought there any more. */
  close(): Promise<void>;
}

/** Everything the platform gives. */
export interface Runtime {
  /** For logs and INFO.go: for example `bun1.4.5`. */
  readonly version: string;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly http: HttpHost;
  readonly files: Files;
  readonly disk: Disk;
  readonly process: ProcessHost;
  openSyslog(target: SyslogTarget): SyslogLink;
  /** Fills `bytes` from the system's secure source. */
  random(bytes: Uint8Array): void;
  /**
   * Verifies a bcrypt hash (`$2b$`) off the event loop, where the platform can. Passwords of 1 to 72 bytes without NUL; for
   * others platforms differ.
   */
  readonly bcryptMatches?: (password: string, hash: string) => Promise<boolean>;
}

/** Stable codes of what the platform can refuse. */
export type RuntimeErrorCode =
  | "ADDRESS_IN_USE"
  | "ADDRESS_NOT_AVAILABLE"
  | "PERMISSION_DENIED"
  | "CONNECTION_REFUSED"
  | "TIMED_OUT"
  | "HOST_NOT_FOUND"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "NO_SPACE"
  | "TLS_REFUSED"
  | "CLOSED"
  | "OTHER";

/** The platform refused something that can be expected to be refused. */
export class RuntimeError extends Error {
  override readonly name = "RuntimeError";
  constructor(readonly code: RuntimeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
