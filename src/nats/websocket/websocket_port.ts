/**
 * What makes clients of the WebSocket port different from others: who may enter there, what INFO says to them, how log lines
 * name them, and with which status their connection ends. Everything else is the connection's and knows of no port.
 */
import type { LogView } from "../../log/types.ts";
import type { TimerWheel } from "../../base/timer_wheel.ts";
import type { Runtime, Socket, SocketHandler, TimerHandle, TlsInfo } from "../../runtime/types.ts";
import type { AccessServer } from "../access.ts";
import type { Accounts } from "../auth/accounts.ts";
import { Authenticator, needsAuthentication } from "../auth/authenticator.ts";
import type { AuthOptions } from "../auth/types.ts";
import type { CloseReason } from "../close_reason.ts";
import { CLOSE_STATUS, type CloseStatus } from "./frames.ts";
import type { WebSocketSession } from "./handshake.ts";
import { type WebSocketHost, WebSocketListener, type WebSocketListenerOptions } from "./websocket_listener.ts";
import { WebSocketSocket } from "./websocket_socket.ts";

/** A connection's end of a WebSocket. */
export interface WebSocketEnd {
  readonly access: AccessServer;
  readonly tls: TlsInfo | undefined;
  /** Before the address in log lines; empty without a proxy. */
  readonly addressPrefix: string;
  /** Tells the client why, as the last frame. */
  closing(reason: CloseReason): void;
}

/** A handler that log lines can name. */
export interface WebSocketClient extends SocketHandler {
  describe(): string;
}

/** The server behind the port. */
export interface WebSocketServer {
  readonly log: LogView;
  readonly wheel: TimerWheel;
  readonly accounts: Accounts;
  /** Of the client port. */
  readonly authenticator: Authenticator | null;
  readonly nowMs: number;
  readonly options: { readonly maxPayload: number };
  after(delayMs: number, work: () => void): TimerHandle;
  /** A client is there: it is told INFO, or why it cannot stay. */
  acceptWebSocket(socket: Socket, end: WebSocketEnd): WebSocketClient;
}

/** What INFO says about the port that a client came in by. */
export interface PortInfo {
  readonly host: string;
  readonly port: number;
  readonly auth_required?: true | undefined;
  readonly tls_required?: true | undefined;
  readonly tls_available?: true | undefined;
  readonly tls_verify?: true | undefined;
}

/** The WebSocket port of a server. */
export class WebSocketPort implements WebSocketHost, AccessServer {
  readonly #server: WebSocketServer;
  readonly #runtime: Pick<Runtime, "network" | "scheduler" | "random" | "bcryptMatches">;
  readonly #listener: WebSocketListener;
  /** Undefined: as on the client port. */
  #ownAuth: AuthOptions | undefined;
  #ownAuthenticator: Authenticator | null;

  constructor(
    server: WebSocketServer,
    options: WebSocketListenerOptions,
    runtime: Pick<Runtime, "network" | "scheduler" | "random" | "bcryptMatches">,
  ) {
    this.#server = server;
    this.#runtime = runtime;
    this.#listener = new WebSocketListener(options, this);
    this.#ownAuth = options.auth;
    this.#ownAuthenticator = this.#createAuthenticator(options.auth, null);
  }

  get log(): LogView {
    return this.#server.log;
  }

  get wheel(): TimerWheel {
    return this.#server.wheel;
  }

  get accounts(): Accounts {
    return this.#server.accounts;
  }

  get nowMs(): number {
    return this.#server.nowMs;
  }

  /** Who may enter by this port; null: everybody. */
  get authenticator(): Authenticator | null {
    return this.#ownAuth === undefined ? this.#server.authenticator : this.#ownAuthenticator;
  }

  /** The port that is bound; 0 before `listen`. */
  get port(): number {
    return this.#listener.port;
  }

  /** Opens the port. Rejects with RuntimeError when the address cannot be had. */
  listen(): Promise<void> {
    return this.#listener.listen(this.#runtime.network);
  }

  /** Lets nobody in any more. */
  close(): Promise<void> {
    return this.#listener.close();
  }

  /** Who may enter under other options: checked, and nothing changed. Throws `AuthOptionsError`. */
  prepare(auth: AuthOptions | undefined): Authenticator | null {
    return auth === this.#ownAuth ? this.#ownAuthenticator : this.#createAuthenticator(auth, this.#ownAuthenticator);
  }

  /** Puts what was prepared in force, and new certificates. Address and rules of the handshake stay. */
  adopt({ auth, tls }: WebSocketListenerOptions, authenticator: Authenticator | null): void {
    this.#ownAuth = auth;
    this.#ownAuthenticator = authenticator;
    this.#listener.renewTls(tls);
  }

  /** The WebSocket port, not the client port: clients compare it with what they have dialled (trap 38). */
  info(): PortInfo {
    const { authenticator } = this;
    const { advertise, tls } = this.#listener.options;
    const at = advertise.lastIndexOf(":");
    const hasPort = at > 0 && !advertise.endsWith("]");
    const host = hasPort ? advertise.slice(0, at) : advertise;
    return {
      host: host === "" ? this.#listener.address : host.replace(/^\[(.*)\]$/, "$1"),
      port: hasPort ? Number(advertise.slice(at + 1)) : this.port,
      auth_required: authenticator === null || authenticator.hasAnonymous ? undefined : true,
      tls_required: tls === undefined ? undefined : true,
      tls_verify: tls?.server.verifyClient === true ? true : undefined,
    };
  }

  after(delayMs: number, work: () => void): TimerHandle {
    return this.#server.after(delayMs, work);
  }

  opened(transport: Socket, session: WebSocketSession, tls: TlsInfo | undefined): SocketHandler {
    const socket = new WebSocketSocket(transport, session, this.#runtime.scheduler, this.#server.options.maxPayload);
    const { forwardedFor } = session;
    const shown = forwardedFor.includes(":") ? `[${forwardedFor}]` : forwardedFor;
    const client = this.#server.acceptWebSocket(socket, {
      access: this,
      tls,
      addressPrefix: shown === "" ? "" : `${shown}/`,
      closing: (reason) => socket.closeWith(closeStatusOf(reason), closeTextOf(reason)),
    });
    socket.onViolation = (reason) => this.log.error(`${client.describe()} - read error: ${reason}`);
    socket.attach(client);
    return socket;
  }

  #createAuthenticator(auth: AuthOptions | undefined, predecessor: Authenticator | null): Authenticator | null {
    if (auth === undefined || !needsAuthentication(auth)) return null;
    const runtime = this.#runtime;
    return new Authenticator(auth, (bytes) => runtime.random(bytes), runtime.bcryptMatches, predecessor);
  }
}

/** The status with which a connection ends (nats-server.md 8). */
export function closeStatusOf(reason: CloseReason): CloseStatus {
  switch (reason) {
    case "Client Closed":
      return CLOSE_STATUS.normal;
    case "Authentication Failure":
    case "Authentication Timeout":
    case "Slow Consumer (Pending Bytes)":
    case "Slow Consumer (Write Deadline)":
    case "Maximum Connections Exceeded":
    case "Maximum Control Line Exceeded":
      return CLOSE_STATUS.policyViolation;
    case "TLS Handshake Failure":
      return CLOSE_STATUS.tlsHandshake;
    case "Parse Error":
    case "Protocol Violation":
    case "Bad Client Protocol Version":
      return CLOSE_STATUS.protocolError;
    case "Maximum Message Payload Exceeded":
      return CLOSE_STATUS.tooBig;
    case "Write Error":
    case "Read Error":
    case "Stale Connection":
    case "Server Shutdown":
      return CLOSE_STATUS.goingAway;
    case "No Responders Requires Headers":
      return CLOSE_STATUS.internalError;
  }
}

/** The text beside it. Reference 2.9.10 ends an unknown operation as a protocol violation. */
function closeTextOf(reason: CloseReason): string {
  return reason === "Parse Error" ? "Protocol Violation" : reason;
}
