/** As much of the `Bun` global as the adapter uses, typed here so that the source checks without Bun's own types. */

/** A socket of the runtime. `write` answers the bytes taken, -1 when the socket is closed. */
export interface BunRawSocket<Data> {
  data: Data;
  readonly remoteAddress?: string;
  readonly remotePort?: number;
  readonly localAddress?: string;
  readonly localPort?: number;
  readonly authorized: boolean;
  /** -1 behind the end; absent where the runtime does not tell. */
  readonly fd?: number;
  write(bytes: Uint8Array, offset: number, length: number): number;
  /** Sends FIN (after a TLS close notice) and goes on reading. */
  shutdown(): void;
  /** Closes the descriptor at once; what the kernel holds is still sent. Calls the close handler before it returns. */
  close(): void;
  pause(): void;
  resume(): void;
  setNoDelay(on: boolean): void;
  getTLSVersion(): string;
  getCipher(): { readonly name: string };
  getPeerCertificate(): { readonly raw?: Uint8Array } | undefined;
  upgradeTLS<Upgraded>(options: BunUpgradeOptions<Upgraded>): [BunRawSocket<unknown>, BunRawSocket<Upgraded>];
}

/** Handlers are shared by all sockets; what belongs to one is in its `data`. */
export interface BunSocketHandlers<Data> {
  open(socket: BunRawSocket<Data>): void;
  data(socket: BunRawSocket<Data>, bytes: Uint8Array): void;
  drain(socket: BunRawSocket<Data>): void;
  end(socket: BunRawSocket<Data>): void;
  close(socket: BunRawSocket<Data>, error?: unknown): void;
  /** Exceptions thrown by the other handlers arrive here. */
  error(socket: BunRawSocket<Data>, error: unknown): void;
  handshake?(socket: BunRawSocket<Data>, isDone: boolean, error?: unknown): void;
  connectError?(socket: BunRawSocket<Data>, error: unknown): void;
}

export interface BunUpgradeOptions<Data> {
  readonly isServer: boolean;
  readonly allowHalfOpen: boolean;
  readonly tls: {
    readonly cert: string;
    readonly key: string;
    readonly ca?: string;
    readonly requestCert: boolean;
    readonly rejectUnauthorized: boolean;
    readonly minVersion: number;
    readonly ciphers: string;
  };
  readonly data: Data;
  readonly socket: BunSocketHandlers<Data>;
  /** Bytes of the handshake that were read already. */
  readonly initialData?: Uint8Array;
}

export interface BunTcpListener {
  readonly port: number;
  /** Of the listening socket; absent where the runtime does not tell. */
  readonly fd?: number;
  stop(closesConnections: boolean): void;
}

export interface BunGlobal {
  readonly version: string;
  readonly main: string;
  /** Computes on the thread pool. */
  readonly password: { verify(password: string, hash: string, algorithm: "bcrypt"): Promise<boolean> };
  listen<Data>(options: {
    readonly hostname: string;
    readonly port: number;
    readonly allowHalfOpen: boolean;
    readonly socket: BunSocketHandlers<Data>;
  }): BunTcpListener;
  connect<Data>(options: {
    readonly hostname: string;
    readonly port: number;
    readonly allowHalfOpen: boolean;
    readonly socket: BunSocketHandlers<Data>;
  }): Promise<BunRawSocket<Data>>;
}

/** The global; call it only where `pick.ts` found it. */
export function bunGlobal(): BunGlobal {
  return (globalThis as unknown as { Bun: BunGlobal }).Bun;
}
