/**
 * Who a client is and what it may do: its login, its user, and what follows when the users of the server change
 * (nats-server.md 2, 3.13, 6). The connection asks it once per read and once per control line; what a delivery has to ask
 * stands in the connection itself (`permissions`, `answers`).
 */
import { assert } from "../base/assert.ts";
import { displayText } from "../base/bytes.ts";
import type { TimerWheel } from "../base/timer_wheel.ts";
import type { LogView } from "../log/types.ts";
import {
  errorLine,
  NATS_ERROR,
  publishViolation,
  quoted,
  subscriptionQueueViolation,
  subscriptionRemoval,
  subscriptionViolation,
} from "../wire/nats_text.ts";
import type { Accounts } from "./auth/accounts.ts";
import type { Authenticator, AuthUser, Credentials } from "./auth/authenticator.ts";
import { Login, type LoginHost, mergeCredentials } from "./auth/login.ts";
import { ConnectionPermissions } from "./auth/permissions.ts";
import { type ConnectionType, GLOBAL_ACCOUNT } from "./auth/types.ts";
import { credentialsText, userText, ViolationLog, violationText } from "./auth/violations.ts";
import type { CloseReason } from "./close_reason.ts";
import type { ConnectOptions } from "./connect_options.ts";
import type { Router } from "./router.ts";
import type { SubjectEntry } from "./subject_table.ts";
import type { Subscription } from "./subscription.ts";

/** The connection, as far as its access goes. */
export interface AccessHost {
  readonly isClosed: boolean;
  readonly connectionType: ConnectionType;
  readonly tlsPeer: Uint8Array | undefined;
  readonly subscriptions: ReadonlyMap<string, Subscription>;
  router: Router;
  permissions: ConnectionPermissions | null;
  answers: ConnectionPermissions | null;
  describe(): string;
  connected(options: ConnectOptions): void;
  data(bytes: Uint8Array): void;
  peerEnded(): void;
  write(bytes: Uint8Array): void;
  close(reason: CloseReason, text?: string): void;
  abort(reason: CloseReason): void;
  /** Hands out nothing of the input that is being parsed. */
  restartParser(): void;
  /** Stops reading until {@link release}. */
  hold(): void;
  release(): void;
  /** What was derived from the last control line holds no longer. */
  forgetLine(): void;
  drop(subscription: Subscription): void;
  dropAll(): void;
}

/** The server, as far as its users go. */
export interface AccessServer {
  readonly log: LogView;
  readonly wheel: TimerWheel;
  readonly accounts: Accounts;
  readonly authenticator: Authenticator | null;
  readonly nowMs: number;
}

export class Access implements LoginHost {
  /** Who it is; null where nobody is asked, and before the login. */
  user: AuthUser | null = null;
  /** Null where nobody is asked. */
  login: Login | null;
  /** As in the INFO, for clients that sign; empty otherwise. */
  readonly nonce: string;
  readonly #host: AccessHost;
  readonly #server: AccessServer;
  /** From a CONNECT that nobody asked for: a reload may ask. */
  #said: Credentials = NOTHING;
  #violations: ViolationLog | null = null;

  constructor(host: AccessHost, server: AccessServer, nonce: string) {
    this.#host = host;
    this.#server = server;
    this.nonce = nonce;
    const { authenticator } = server;
    this.login = authenticator === null ? null : new Login(this, authenticator, server.wheel, nonce);
  }

  /** Who it is, or says it is, as the monitor shows it. A token is never shown: whoever reads it could come in with it. */
  get shownUser(): string {
    if (this.user !== null && this.user.name !== "") return this.user.name;
    const { nkey = "", auth_token: token = "", user = "" } = this.login?.credentials ?? this.#said;
    if (nkey !== "") return nkey;
    return token === "" ? user : "[REDACTED]";
  }

  get isClosed(): boolean {
    return this.#host.isClosed;
  }

  get connectionType(): ConnectionType {
    return this.#host.connectionType;
  }

  get tlsPeer(): Uint8Array | undefined {
    return this.#host.tlsPeer;
  }

  /** A CONNECT, whose text ends at `end` of `buffer`. */
  present(options: ConnectOptions, buffer: Uint8Array, end: number): void {
    if (this.login !== null) return this.login.present(options, buffer, end);
    this.#said = mergeCredentials(this.#said, options);
    this.connected(options);
  }

  // What the login says --------------------------------------------------------------------------------------------------

  connected(options: ConnectOptions): void {
    this.#host.connected(options);
  }

  enter(user: AuthUser): void {
    if (user === this.user) return;
    const host = this.#host;
    // Somebody else's subscriptions say nothing about what this one may see (from 2.14 on the reference drops them, too).
    host.dropAll();
    this.user = user;
    const router = this.#server.accounts.router(user.account);
    assert(router !== undefined, "every user's account has a router");
    host.router = router;
    router.congested = null;
    this.#permit(user.rules === null ? null : new ConnectionPermissions(user.rules));
  }

  refuse(credentials: Credentials): void {
    const host = this.#host;
    this.#server.log.error(`${host.describe()} - authentication error - ${credentialsText(credentials)}`);
    host.close("Authentication Failure", NATS_ERROR.authorization);
  }

  expire(): void {
    this.#host.close("Authentication Timeout", NATS_ERROR.authenticationTimeout);
  }

  overrun(): void {
    this.#host.abort("Authentication Failure");
  }

  suspend(): void {
    this.#host.restartParser();
    this.#host.hold();
  }

  hold(): void {
    this.#host.hold();
  }

  resume(): void {
    this.#host.release();
  }

  data(bytes: Uint8Array): void {
    this.#host.data(bytes);
  }

  peerEnded(): void {
    this.#host.peerEnded();
  }

  // What the user may do -------------------------------------------------------------------------------------------------

  #permit(permissions: ConnectionPermissions | null): void {
    const host = this.#host;
    host.permissions = permissions;
    host.answers = permissions?.grantsReplies === true ? permissions : null;
    host.forgetLine();
  }

  /** What `permissions`, the client's, forbid of a publish on `entry`, or "". A line that has to be asked about again is forgotten. */
  publishRefusal(permissions: ConnectionPermissions, entry: SubjectEntry): string {
    // Answers are counted, so the next message is asked about again although its line may be the same.
    if (permissions.grantsReplies) this.#host.forgetLine();
    return permissions.takePublish(entry.subject, this.#server.nowMs) ? "" : publishViolation(entry.subject);
  }

  /** A publish was refused: one line for the operator. */
  publishRefused(subject: string): void {
    if (this.#host.permissions !== null) this.#logViolation("Publish", `Subject ${quoted(subject)}`);
  }

  /** The error for a subscription that this client may not have, or "". */
  subscribeRefusal(subject: string, queue: string, sid: string): string {
    if (queue !== "_sys_" && this.#host.permissions?.rules.allowsSubscribe(subject, queue) !== false) return "";
    const queueText = queue === "" ? "" : `, Queue: ${quoted(queue)}`;
    this.#logViolation("Subscription", `Subject ${quoted(subject)}${queueText}, SID ${sid}`);
    return queue === "" ? subscriptionViolation(subject) : subscriptionQueueViolation(subject, queue);
  }

  #logViolation(kind: "Publish" | "Subscription", what: string): void {
    const { log, nowMs } = this.#server;
    this.#violations ??= new ViolationLog();
    if (!this.#violations.admits(nowMs)) return;
    log.error(`${this.#host.describe()} - ${violationText(kind, this.user, what)}`);
  }

  // Reload ---------------------------------------------------------------------------------------------------------------

  /**
   * Other users may enter from here on. Who is in stays if it would be let in as it came, with what it may do now. The
   * server has all receivers resolved anew afterwards.
   */
  usersChanged(): void {
    const { authenticator, wheel } = this.#server;
    if (this.isClosed) return;
    if (authenticator !== null) {
      this.login ??= new Login(this, authenticator, wheel, this.nonce, this.#said);
      return this.login.recheck(authenticator);
    }
    const { login } = this;
    if (login === null && this.user === null) return;
    this.#said = login?.credentials ?? this.#said;
    this.login = null;
    this.renew(null);
    login?.abandon();
  }

  renew(user: AuthUser | null): void {
    const host = this.#host;
    const account = user?.account ?? GLOBAL_ACCOUNT;
    // Its subscriptions belong to the other account, so it has to come again.
    if (account !== (this.user?.account ?? GLOBAL_ACCOUNT)) return this.leave();
    this.user = user;
    const rules = user?.rules ?? null;
    const { permissions } = host;
    if (rules === null || permissions === null) {
      this.#permit(rules === null ? null : new ConnectionPermissions(rules));
    } else {
      permissions.replaceRules(rules);
      this.#permit(permissions);
    }
    for (const subscription of host.subscriptions.values()) {
      const { subject, queue, sid } = subscription;
      subscription.filtered = rules?.filtersDeliveries(subject) === true;
      if (rules === null || rules.allowsSubscribe(subject, queue)) continue;
      host.drop(subscription);
      host.write(errorLine(subscriptionRemoval(subject, sid)));
      const what = displayText(`Removed sub ${quoted(subject)} (sid ${quoted(sid)})`);
      this.#server.log.info(`${what} for ${userText(user)} - not authorized`);
    }
  }

  /** Reference 2.9.10: who is not in the list any more, or in another account, is closed without a text. */
  leave(): void {
    this.#host.close("Client Closed");
  }
}

const NOTHING: Credentials = Object.freeze({});
