/**
 * The port for WebSocket clients (nats-server.md 8): TLS where it is asked for, one HTTP request, and then a connection like
 * any other. What has not finished its handshake costs a socket and a timer, and is bounded in time and size.
 */
import type { LogView } from "../../log/types.ts";
import type { Listener, Network, Socket, SocketHandler, TimerHandle, TlsInfo } from "../../runtime/types.ts";
import type { AuthOptions } from "../auth/types.ts";
import { type NatsTlsOptions, TlsEntry, type TlsEntryHost } from "../tls_entry.ts";
import {
  answerRequest,
  type HandshakeRules,
  parseOrigin,
  parseRequest,
  refusalResponse,
  RequestReader,
  type WebSocketSession,
} from "./handshake.ts";

/** What the listener is told. */
export interface WebSocketListenerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** `host:port` or `host` to announce instead of the address bound; empty for none. */
  readonly advertise: string;
  /** Absent: no TLS. */
  readonly tls?: NatsTlsOptions | undefined;
  readonly sameOrigin: boolean;
  /** `scheme://host[:port]` each; empty = all. */
  readonly allowedOrigins: readonly string[];
  /** From accept to the answer, TLS included; 0 = {@link HANDSHAKE_MS_MAX}. */
  readonly handshakeTimeoutMs: number;
  readonly compression: boolean;
  /** Who may enter here. Absent: as on the client port. */
  readonly auth?: AuthOptions | undefined;
}

/** Where no time is set. The reference then waits for ever for a client that sends nothing. */
export const HANDSHAKE_MS_MAX = 60_000;

/** What the listener asks of the server. */
export interface WebSocketHost {
  readonly log: LogView;
  after(delayMs: number, work: () => void): TimerHandle;
  /** The handshake on `transport` is done; what comes is frames. Gives the handler of its further events. */
  opened(transport: Socket, session: WebSocketSession, tls: TlsInfo | undefined): SocketHandler;
}

/** The listener. Opened once. */
export class WebSocketListener {
  readonly options: WebSocketListenerOptions;
  readonly rules: HandshakeRules;
  /** TLS as the first thing on the connection; one object, because the platform caches by it. */
  #tls: NatsTlsOptions | undefined;
  readonly handshakeMs: number;
  readonly host: WebSocketHost;
  /** Connections that are not through yet. */
  readonly entries = new Set<WebSocketEntry>();
  #listener: Listener | undefined;
  readonly #badOrigins: readonly string[];

  constructor(options: WebSocketListenerOptions, host: WebSocketHost) {
    const { tls, allowedOrigins, sameOrigin, compression, handshakeTimeoutMs } = options;
    this.options = options;
    this.host = host;
    this.handshakeMs = handshakeTimeoutMs > 0 ? handshakeTimeoutMs : HANDSHAKE_MS_MAX;
    this.renewTls(tls);
    const origins = allowedOrigins.map(parseOrigin);
    this.#badOrigins = allowedOrigins.filter((_, index) => origins[index] === undefined);
    this.rules = Object.freeze({
      sameOrigin,
      // One that cannot be read matches nobody; the list is not empty by it.
      allowedOrigins: origins.length === 0 ? undefined : origins.filter((origin) => origin !== undefined),
      compression,
      isSecure: tls !== undefined,
    });
  }

  get tls(): NatsTlsOptions | undefined {
    return this.#tls;
  }

  /** Certificates for connections to come. A port with TLS keeps it, one without gets none. */
  renewTls(tls: NatsTlsOptions | undefined): void {
    this.#tls = tls === undefined
      ? undefined
      : Object.freeze({ ...tls, timeoutMs: this.handshakeMs, handshakeFirst: true, allowNonTls: false });
  }

  /** The address that is bound; that of the options before `listen`. */
  get address(): string {
    return this.#listener?.host ?? this.options.host;
  }

  /** The port that is bound; 0 before `listen`. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** Opens the port and says so. Rejects with RuntimeError when the address cannot be had. */
  async listen(network: Network): Promise<void> {
    const { host, port } = this.options;
    const { log } = this.host;
    this.#listener = await network.listen({ host, port, maxSockets: network.socketCountMax }, (socket) => {
      const entry = new WebSocketEntry(this, socket);
      this.entries.add(entry);
      entry.begin();
      return entry;
    });
    for (const origin of this.#badOrigins) {
      log.error(
        `websocket allowed origin ${JSON.stringify(origin)} is not of the form scheme://host[:port]: it matches nobody`,
      );
    }
    const scheme = this.tls === undefined ? "ws" : "wss";
    const shownHost = this.address.includes(":") ? `[${this.address}]` : this.address;
    log.info(`Listening for websocket clients on ${scheme}://${shownHost}:${this.port}`);
    if (this.tls === undefined) log.warn("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!");
  }

  /** Closes the port, and the connections that are not through. Those that are, are the server's. */
  async close(): Promise<void> {
    await this.#listener?.close();
    for (const entry of this.entries) entry.abort();
  }
}

/** One accepted connection, until the handshake is answered; then it hands all events on. */
class WebSocketEntry implements SocketHandler, TlsEntryHost {
  readonly #listener: WebSocketListener;
  readonly #socket: Socket;
  #reader: RequestReader | null = new RequestReader();
  #tlsEntry: TlsEntry | null = null;
  #tlsInfo: TlsInfo | undefined = undefined;
  /** What the connection has become. */
  #session: SocketHandler | null = null;
  readonly #timer: TimerHandle;

  constructor(listener: WebSocketListener, socket: Socket) {
    this.#listener = listener;
    this.#socket = socket;
    this.#timer = listener.host.after(listener.handshakeMs, () => this.#expire());
  }

  begin(): void {
    const { tls } = this.#listener;
    if (tls === undefined) return;
    this.#tlsEntry = new TlsEntry(this, this.#socket, tls);
    this.#tlsEntry.begin();
  }

  data(bytes: Uint8Array): void {
    if (this.#session !== null) return this.#session.data(bytes);
    if (this.#tlsEntry?.admit(bytes) === false || this.#reader === null) return;
    const end = this.#reader.feed(bytes);
    const { isTooLarge } = this.#reader;
    if (end < 0 && !isTooLarge) return;
    const request = isTooLarge
      ? { status: 431, reason: "request header too large" } as const
      : parseRequest(this.#reader.text);
    const answer = answerRequest(request, this.#listener.rules);
    if (answer.kind === "refused") {
      this.#settle();
      this.#logError(answer.reason);
      this.#finish(refusalResponse(answer.status));
      return;
    }
    // A client has to wait for the answer; what it sent could be meant for somebody else (a proxy that lost count).
    if (end < bytes.length) {
      this.#settle();
      this.#logError("client sent data before handshake is complete");
      this.#socket.destroy();
      return;
    }
    this.#settle();
    if (answer.kind === "leaf") {
      this.#listener.host.log.error("Not configured to accept leaf node connections");
      this.#finish(answer.response);
      return;
    }
    this.#socket.output.append(answer.response);
    this.#session = this.#listener.host.opened(this.#socket, answer.session, this.#tlsInfo);
  }

  drained(): void {
    this.#session?.drained();
  }

  peerEnded(): void {
    if (this.#session !== null) return this.#session.peerEnded();
    this.abort();
  }

  closed(error: Error | undefined): void {
    this.#settle();
    this.#session?.closed(error);
  }

  /** Ends a connection that is not through. */
  abort(): void {
    this.#settle();
    this.#socket.destroy();
  }

  // TLS ----------------------------------------------------------------------------------------------------------------

  /** Nothing is said before the request. */
  announce(): void {}

  entered(info: TlsInfo | undefined): void {
    this.#tlsEntry = null;
    this.#tlsInfo = info;
  }

  tlsFailed(): void {
    const { log } = this.#listener.host;
    if (log.debugEnabled) log.debug(`${this.#address} - websocket: TLS handshake failed`);
    this.abort();
  }

  after(delayMs: number, work: () => void): TimerHandle {
    return this.#listener.host.after(delayMs, work);
  }

  // Details ------------------------------------------------------------------------------------------------------------

  get #address(): string {
    return `${this.#socket.remoteAddress}:${this.#socket.remotePort}`;
  }

  #expire(): void {
    const { log } = this.#listener.host;
    if (log.debugEnabled) log.debug(`${this.#address} - websocket handshake error: timeout`);
    this.abort();
  }

  /** The handshake is over, whatever it came to. */
  #settle(): void {
    this.#timer.stop();
    this.#tlsEntry?.close();
    this.#reader = null;
    this.#listener.entries.delete(this);
  }

  #finish(response: Uint8Array): void {
    this.#socket.output.append(response);
    this.#socket.flush();
    this.#socket.end();
  }

  #logError(reason: string): void {
    this.#listener.host.log.error(`${this.#address} - websocket handshake error: ${reason}`);
  }
}
