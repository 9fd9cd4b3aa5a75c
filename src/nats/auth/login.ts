/**
 * The login of one connection: from INFO to a CONNECT that is let in, and again at every further CONNECT (nats-server.md 2).
 * A connection of a server without authentication has none. While a check computes, what the client sends is kept in order
 * and the socket is paused.
 */
import { TimerNode, type TimerWheel } from "../../base/timer_wheel.ts";
import type { ConnectOptions } from "../connect_options.ts";
import type { AuthContext, Authenticator, AuthResult, AuthUser, Credentials } from "./authenticator.ts";
import type { ConnectionType } from "./types.ts";

/**
 * Input kept while a check computes: the rest of one read, and the one that may have been under way when the socket was
 * paused. A platform that delivers more than this to a paused socket is not believed any longer.
 */
export const LOGIN_BACKLOG_BYTES_MAX = 4_194_304;

/** What a login asks of its connection. */
export interface LoginHost {
  readonly isClosed: boolean;
  readonly connectionType: ConnectionType;
  /** Who it was let in as; null before that. */
  readonly user: AuthUser | null;
  /** DER of the verified client certificate, when there is one. */
  readonly tlsPeer: Uint8Array | undefined;
  /** The client is `user` from here on. */
  enter(user: AuthUser): void;
  /** The client, who was in already, is `user` from here on. */
  renew(user: AuthUser): void;
  /** The client was in, and may not come in again as who it is. */
  leave(): void;
  /** Goes on with the CONNECT that `options` are. */
  connected(options: ConnectOptions): void;
  /** Authorization violation. */
  refuse(credentials: Credentials): void;
  expire(): void;
  /** More input than can be kept. */
  overrun(): void;
  /** Stops reading, and hands out nothing of the input that is being parsed. */
  suspend(): void;
  /** Stops reading; what was begun is kept. */
  hold(): void;
  resume(): void;
  data(bytes: Uint8Array): void;
  peerEnded(): void;
}

const STATE_AWAITING = 0;
const STATE_CHECKING = 1;
const STATE_DONE = 2;
/** Nobody asks this client any more. */
const STATE_ABANDONED = 3;

const EMPTY = new Uint8Array(0);
const LF = 10;
const UPPER_C = 67;
const LOWER_C = 99;

/** A timer of the server's wheel, too: the time for the first CONNECT. */
export class Login extends TimerNode {
  /** As in this connection's INFO; empty when none is offered. */
  readonly nonce: string;
  /** The input that is being parsed. */
  #chunk: Uint8Array = EMPTY;
  readonly #host: LoginHost;
  #authenticator: Authenticator;
  readonly #wheel: TimerWheel;
  #state: number;
  /** Of all CONNECTs so far: what is absent in a later one keeps its value (3.4). */
  #credentials: Credentials;
  #backlog: Uint8Array = EMPTY;
  /** The CONNECT that is being checked; undefined while a client that is in is asked again. */
  #checked: ConnectOptions | undefined = undefined;
  #ended = false;

  /** `said` is given for a client that was let in unasked: it is to be asked by {@link recheck}. */
  constructor(
    host: LoginHost,
    authenticator: Authenticator,
    wheel: TimerWheel,
    nonce: string,
    said?: Credentials,
  ) {
    super();
    this.#credentials = said ?? {};
    this.#state = said === undefined ? STATE_AWAITING : STATE_DONE;
    this.#host = host;
    this.#authenticator = authenticator;
    this.#wheel = wheel;
    this.nonce = nonce;
  }

  /** What the client said so far, for whoever asks next. */
  get credentials(): Credentials {
    return this.#credentials;
  }

  /** True while a check computes. */
  get isChecking(): boolean {
    return this.#state === STATE_CHECKING;
  }

  /** Starts the time for CONNECT; the caller wakes the wheel. */
  start(nowMs: number): void {
    this.#wheel.arm(this, nowMs + this.#authenticator.timeoutMs);
  }

  override fire(): void {
    if (!this.#host.isClosed) this.#host.expire();
  }

  /** The connection is gone. */
  close(): void {
    this.#wheel.disarm(this);
    this.#backlog = EMPTY;
    this.#chunk = EMPTY;
    this.#credentials = {};
  }

  /** Decides whether `bytes` may be parsed; `isLineStart` says that nothing of an earlier line is waiting. */
  admit(bytes: Uint8Array, isLineStart: boolean): boolean {
    if (this.#state === STATE_CHECKING) {
      this.#keep(bytes);
      return false;
    }
    if (this.#state === STATE_AWAITING && isLineStart && bytes[0] !== UPPER_C && bytes[0] !== LOWER_C) {
      const result = this.#authenticator.anonymous(this.#context());
      if (!result.ok) {
        this.#host.refuse(this.#credentials);
        return false;
      }
      this.#wheel.disarm(this);
      this.#state = STATE_DONE;
      this.#host.enter(result.user);
    }
    this.#chunk = bytes;
    return true;
  }

  /** The bytes that were admitted are parsed: they are valid no longer. */
  parsed(): void {
    this.#chunk = EMPTY;
  }

  /** True: the end waits until the check is done and the input before it was handled. */
  peerEnded(): boolean {
    if (this.#state === STATE_CHECKING) this.#ended = true;
    return this.#ended;
  }

  /** A CONNECT, whose text ends at `end` of `buffer`. */
  present(options: ConnectOptions, buffer: Uint8Array, end: number): void {
    this.#wheel.disarm(this);
    this.#credentials = mergeCredentials(this.#credentials, options);
    const host = this.#host;
    const result = this.#authenticator.authenticate(this.#credentials, this.#context());
    if (!(result instanceof Promise)) return this.#settle(result, options);
    // A line that began in an earlier read stands in the parser's own buffer, and this read holds its end.
    const chunk = this.#chunk;
    const lineEnd = chunk.indexOf(LF, buffer === chunk ? end : 0);
    this.#state = STATE_CHECKING;
    this.#backlog = chunk.slice(lineEnd + 1);
    host.suspend();
    this.#await(result, options);
  }

  /**
   * The users have changed. A client that has not said who it is will be asked by `authenticator`; one that is in is asked
   * again. While that computes nothing of the client is handled, so nothing happens that it may not do any more.
   */
  recheck(authenticator: Authenticator): void {
    // The same users: a reload of something else must not verify thousands of signatures.
    if (authenticator === this.#authenticator && this.#host.user !== null) return;
    this.#authenticator = authenticator;
    // The answer that is being computed is thrown away then, and asked for anew.
    if (this.#state !== STATE_DONE) return;
    const result = authenticator.authenticate(this.#credentials, this.#context());
    if (!(result instanceof Promise)) return this.#settleAgain(result);
    this.#state = STATE_CHECKING;
    this.#backlog = EMPTY;
    this.#host.hold();
    this.#await(result, undefined);
  }

  /** Nobody is asked any more, and the host has let go of this login. What a check held up goes on. */
  abandon(): void {
    this.#wheel.disarm(this);
    const isChecking = this.#state === STATE_CHECKING;
    this.#state = STATE_ABANDONED;
    if (!isChecking) return;
    if (this.#checked !== undefined) this.#host.connected(this.#checked);
    if (!this.#host.isClosed) this.#goOn();
  }

  /** `options` are those of the CONNECT that is checked; undefined for a client that is in. */
  #await(result: Promise<AuthResult>, options: ConnectOptions | undefined): void {
    const asked = this.#authenticator;
    this.#checked = options;
    void result.then((answer) => {
      if (this.#host.isClosed || this.#state === STATE_ABANDONED) return;
      if (asked === this.#authenticator) return this.#decided(answer, options);
      const again = this.#authenticator.authenticate(this.#credentials, this.#context());
      if (again instanceof Promise) this.#await(again, options);
      else this.#decided(again, options);
    });
  }

  #context(): AuthContext {
    const host = this.#host;
    const { connectionType, tlsPeer } = host;
    return { nonce: this.nonce, connectionType, tlsPeer, isWanted: () => !host.isClosed };
  }

  #keep(bytes: Uint8Array): void {
    const length = this.#backlog.length;
    if (length + bytes.length > LOGIN_BACKLOG_BYTES_MAX) return this.#host.overrun();
    const backlog = new Uint8Array(length + bytes.length);
    backlog.set(this.#backlog);
    backlog.set(bytes, length);
    this.#backlog = backlog;
  }

  #settle(result: AuthResult, options: ConnectOptions): void {
    if (!result.ok) return this.#host.refuse(this.#credentials);
    this.#state = STATE_DONE;
    this.#host.enter(result.user);
    this.#host.connected(options);
  }

  #settleAgain(result: AuthResult): void {
    const credentials = this.#credentials;
    if (result.ok) this.#host.renew(result.user);
    else if (this.#isUnknown()) this.#host.leave();
    else this.#host.refuse(credentials);
  }

  /** True for a client of a user that is not in the lists any more; who named none is the user it was let in as. */
  #isUnknown(): boolean {
    const { nkey = "", user = "" } = this.#credentials;
    const name = nkey === "" && user === "" ? this.#host.user?.name ?? "" : user;
    return (nkey !== "" || name !== "") && !this.#authenticator.knows({ nkey, user: name });
  }

  #decided(result: AuthResult, options: ConnectOptions | undefined): void {
    this.#state = STATE_DONE;
    if (options === undefined) this.#settleAgain(result);
    else this.#settle(result, options);
    if (!this.#host.isClosed) this.#goOn();
  }

  /** Handles what came during the check. */
  #goOn(): void {
    const host = this.#host;
    const backlog = this.#backlog;
    this.#backlog = EMPTY;
    host.resume();
    if (backlog.length > 0) host.data(backlog);
    // The backlog may have held one more CONNECT to be checked.
    if (this.#ended && !this.isChecking && !host.isClosed) {
      this.#ended = false;
      host.peerEnded();
    }
  }
}

/** What a client has said, with what it says in one more CONNECT: what is absent there keeps its value (3.4). */
export function mergeCredentials(said: Credentials, options: ConnectOptions): Credentials {
  if (!namesSomebody(options)) return said;
  const { user, pass, auth_token, nkey, sig } = { ...said, ...options };
  return {
    ...(user === undefined ? {} : { user }),
    ...(pass === undefined ? {} : { pass }),
    ...(auth_token === undefined ? {} : { auth_token }),
    ...(nkey === undefined ? {} : { nkey }),
    ...(sig === undefined ? {} : { sig }),
  };
}

function namesSomebody({ user, pass, auth_token, nkey, sig }: ConnectOptions): boolean {
  return user !== undefined || pass !== undefined || auth_token !== undefined || nkey !== undefined ||
    sig !== undefined;
}
