/**
 * Decides who a client is (nats-server.md 6.1): nkey, certificate, user list, token, single user, in this order; the first
 * method that applies decides. Knows no connection: it is handed what the client said and what the server offered.
 */
import type { ConnectOptions } from "../connect_options.ts";
import { isSameName, parseDistinguishedName, readCertificateNames, subjectText } from "./certificate_names.ts";
import { importUserKey, type VerifyKey, verifyNonce } from "./nkey.ts";
import { type BcryptCompare, isBcrypt, Passwords } from "./passwords.ts";
import { PermissionRules } from "./permissions.ts";
import {
  type AuthOptions,
  AuthOptionsError,
  type ConnectionType,
  GLOBAL_ACCOUNT,
  type Permissions,
  SYSTEM_ACCOUNT,
} from "./types.ts";

/** What a client sent in CONNECT to say who it is. */
export type Credentials = Pick<ConnectOptions, "user" | "pass" | "auth_token" | "nkey" | "sig">;

/** What the server knows beside it. */
export interface AuthContext {
  /** As in this connection's INFO; empty when none was offered. */
  readonly nonce: string;
  readonly connectionType: ConnectionType;
  /** DER of the client certificate that the handshake verified. */
  readonly tlsPeer?: Uint8Array | undefined;
  /** False once the client has left: a check that still waits is then not made. */
  readonly isWanted?: () => boolean;
}

/** Somebody who was let in. One object per user, so that identity tells whether two logins are the same. */
export interface AuthUser {
  /** For logs and monitoring; empty for token logins. */
  readonly name: string;
  readonly kind: "user" | "nkey" | "token";
  readonly account: string;
  /** Null: everything is allowed. */
  readonly rules: PermissionRules | null;
  /** Undefined: all. */
  readonly connectionTypes: readonly ConnectionType[] | undefined;
}

/** `ok: false` is never explained to the client. */
export type AuthResult = { readonly ok: true; readonly user: AuthUser } | { readonly ok: false };

interface ListedUser extends AuthUser {
  readonly password: string;
}

interface ListedNkey extends AuthUser {
  readonly key: VerifyKey;
}

const REFUSED: AuthResult = Object.freeze({ ok: false });

/** Who may enter this server. Made only when the options ask for authentication. */
export class Authenticator {
  readonly timeoutMs: number;
  /** True when INFO has to carry a nonce. */
  readonly offersNonce: boolean;
  /** True when clients without credentials are let in. */
  readonly hasAnonymous: boolean;
  /** True when a password or token stands in the options as it is. */
  readonly hasPlainSecrets: boolean;
  readonly #users = new Map<string, ListedUser>();
  readonly #nkeys = new Map<string, ListedNkey>();
  readonly #anonymous: ListedUser | undefined;
  readonly #single: ListedUser | undefined;
  readonly #token: ListedUser | undefined;
  readonly #tlsMap: boolean;
  readonly #passwords: Passwords;

  /** `predecessor` is the one that is replaced: what it knows about right passwords need not be computed again. */
  constructor(
    options: AuthOptions,
    fillRandom: (bytes: Uint8Array) => void,
    bcryptCompare?: BcryptCompare,
    predecessor?: Authenticator | null,
  ) {
    this.timeoutMs = options.timeoutMs;
    this.#passwords = predecessor instanceof Authenticator
      ? predecessor.#passwords
      : new Passwords(fillRandom, bcryptCompare);
    this.#tlsMap = options.tlsMap === true;
    const accountOf = (name: string | undefined): string => {
      const account = name ?? GLOBAL_ACCOUNT;
      if (account === GLOBAL_ACCOUNT || account === SYSTEM_ACCOUNT || options.accounts.includes(account)) {
        return account;
      }
      throw new AuthOptionsError(`A user names the account ${JSON.stringify(account)}, which is not defined`);
    };
    const rulesOf = (permissions: Permissions | undefined): PermissionRules | null => {
      const given = permissions ?? options.defaultPermissions;
      return given === undefined ? null : new PermissionRules(given);
    };
    for (const { user, password, permissions, account, allowedConnectionTypes: connectionTypes } of options.users) {
      if (this.#users.has(user)) throw new AuthOptionsError(`Duplicate user ${JSON.stringify(user)} detected`);
      const rules = rulesOf(permissions);
      this.#users.set(user, {
        name: user,
        kind: "user",
        account: accountOf(account),
        rules,
        connectionTypes,
        password,
      });
    }
    for (const { nkey, permissions, account, allowedConnectionTypes: connectionTypes } of options.nkeys) {
      const key = importUserKey(nkey);
      if (key === undefined) throw new AuthOptionsError(`Not a valid public nkey for a user: ${JSON.stringify(nkey)}`);
      if (this.#nkeys.has(nkey)) throw new AuthOptionsError(`Duplicate nkey ${JSON.stringify(nkey)} detected`);
      const rules = rulesOf(permissions);
      this.#nkeys.set(nkey, { name: nkey, kind: "nkey", account: accountOf(account), rules, connectionTypes, key });
    }
    const open = { account: GLOBAL_ACCOUNT, rules: null, connectionTypes: undefined };
    const { user: single, token = "", noAuthUser = "" } = options;
    if (single !== undefined) this.#single = { name: single.user, kind: "user", password: single.password, ...open };
    if (token !== "") this.#token = { name: "", kind: "token", password: token, ...open };
    if (noAuthUser !== "") {
      this.#anonymous = this.#users.get(noAuthUser);
      if (this.#anonymous === undefined) {
        throw new AuthOptionsError(`no_auth_user: ${JSON.stringify(noAuthUser)} is not in the list of users`);
      }
    }
    this.hasAnonymous = this.#anonymous !== undefined;
    this.offersNonce = this.#nkeys.size > 0;
    const stored = [...this.#users.values()].map((user) => user.password);
    // Users that are found by certificate have no password.
    if (this.#single !== undefined) stored.push(this.#single.password);
    stored.push(token);
    this.hasPlainSecrets = stored.some((secret) => secret !== "" && !isBcrypt(secret));
  }

  /** Decides, at once unless a bcrypt hash has to be computed. The promise never rejects. */
  authenticate(credentials: Credentials, context: AuthContext): AuthResult | Promise<AuthResult> {
    const { nkey = "", sig = "" } = credentials;
    if (nkey !== "" && this.#nkeys.size > 0) {
      const listed = this.#nkeys.get(nkey);
      if (listed === undefined || !isAllowed(listed, context)) return REFUSED;
      return verifyNonce(listed.key, context.nonce, sig) ? { ok: true, user: listed } : REFUSED;
    }
    const { user = "", pass = "", auth_token: token = "" } = credentials;
    if (this.#users.size > 0 || this.#nkeys.size > 0) {
      if (this.#tlsMap) return this.#mapCertificate(context);
      if (user === "" && pass === "" && token === "" && this.hasAnonymous) return this.anonymous(context);
      const listed = user === "" ? undefined : this.#users.get(user);
      return listed === undefined || !isAllowed(listed, context) ? REFUSED : this.#check(listed, pass, context);
    }
    if (this.#token !== undefined) return this.#check(this.#token, token, context);
    if (this.#single !== undefined && user === this.#single.name) return this.#check(this.#single, pass, context);
    return REFUSED;
  }

  /** Who a client is that has said nothing. Certificates decide alone where they are asked for. */
  anonymous(context: AuthContext): AuthResult {
    const user = this.#anonymous;
    return user === undefined || this.#tlsMap || !isAllowed(user, context) ? REFUSED : { ok: true, user };
  }

  /** Is the user that the client names in one of the lists? */
  knows({ nkey = "", user = "" }: Credentials): boolean {
    return nkey !== "" ? this.#nkeys.has(nkey) : this.#users.has(user);
  }

  #check(listed: ListedUser, given: string, context: AuthContext): AuthResult | Promise<AuthResult> {
    const answer = this.#passwords.matches(listed.password, given, context.isWanted);
    const result = (isRight: boolean): AuthResult => (isRight ? { ok: true, user: listed } : REFUSED);
    return typeof answer === "boolean" ? result(answer) : answer.then(result);
  }

  /** 6.4: the first name in the certificate that is a user's. */
  #mapCertificate(context: AuthContext): AuthResult {
    const der = context.tlsPeer;
    const names = der === undefined ? undefined : readCertificateNames(der);
    if (names === undefined) return REFUSED;
    for (const name of [...names.emails, ...names.dnsNames, ...names.uris]) {
      const user = this.#users.get(name);
      if (user !== undefined && isAllowed(user, context)) return { ok: true, user };
    }
    if (names.subject.length === 0) return REFUSED;
    for (const user of this.#users.values()) {
      const name = parseDistinguishedName(user.name);
      if (name !== undefined && isSameName(name, names.subject) && isAllowed(user, context)) return { ok: true, user };
    }
    const user = this.#users.get(subjectText(names.subject));
    return user === undefined || !isAllowed(user, context) ? REFUSED : { ok: true, user };
  }
}

/** May this user be connected the way the client is (6.5)? */
function isAllowed(user: AuthUser, context: AuthContext): boolean {
  return user.connectionTypes?.includes(context.connectionType) !== false;
}

/** True when `options` keep anybody out; otherwise no {@link Authenticator} is needed. */
export function needsAuthentication(options: AuthOptions): boolean {
  return options.users.length > 0 || options.nkeys.length > 0 || options.user !== undefined ||
    (options.token ?? "") !== "";
}
