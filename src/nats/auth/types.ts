/**
 * The shapes of authentication and authorization (nats-server.md 6). The configuration produces exactly these; everything
 * in them is text as a person wrote it, and is turned into byte strings once, when the server is built.
 */

/** The account of users that name none, and the one the streaming layer lives in. */
export const GLOBAL_ACCOUNT = "$G";
/** Exists always; nothing of the server's own is published in it. */
export const SYSTEM_ACCOUNT = "$SYS";

/** What one direction may and may not touch. An absent `allow` is everything, an empty one is nothing. */
export interface SubjectPermissions {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

/** Publishing on reply subjects that were delivered. 0 = the default, negative = without limit. */
export interface ResponsePermissions {
  readonly max: number;
  readonly expiresMs: number;
}

/** What a user may do. Subscribe entries may carry a queue name behind a blank: `"foo v1"`. */
export interface Permissions {
  readonly publish?: SubjectPermissions;
  readonly subscribe?: SubjectPermissions;
  readonly allowResponses?: ResponsePermissions;
}

/** How a client is connected, as `allowed_connection_types` names it. */
export type ConnectionType = "STANDARD" | "WEBSOCKET" | "LEAFNODE" | "LEAFNODE_WS" | "MQTT" | "MQTT_WS";

/** One entry of `users`. */
export interface UserOptions {
  readonly user: string;
  /** Plain, or a bcrypt hash. */
  readonly password: string;
  readonly permissions?: Permissions;
  /** Absent: `$G`. */
  readonly account?: string;
  /** Absent: all. */
  readonly allowedConnectionTypes?: readonly ConnectionType[];
}

/** One entry of `users` that signs instead of giving a password. */
export interface NkeyOptions {
  /** Public user key, `U...`. */
  readonly nkey: string;
  readonly permissions?: Permissions;
  readonly account?: string;
  readonly allowedConnectionTypes?: readonly ConnectionType[];
}

/** Everything about who may enter. Nothing set means: everybody, without limits. */
export interface AuthOptions {
  readonly users: readonly UserOptions[];
  readonly nkeys: readonly NkeyOptions[];
  /** The single user; not together with `users` or a token. */
  readonly user?: { readonly user: string; readonly password: string };
  /** Absent or empty: none. */
  readonly token?: string;
  /** Time for a CONNECT that is let in. */
  readonly timeoutMs: number;
  /** Name of the entry of `users` that clients without credentials are; absent or empty: they are refused. */
  readonly noAuthUser?: string;
  /** For users without permissions of their own. */
  readonly defaultPermissions?: Permissions | undefined;
  /** Names besides `$G` and `$SYS`. */
  readonly accounts: readonly string[];
  /** Users are found by the names in the verified client certificate, without password (6.4). */
  readonly tlsMap?: boolean;
}

/** The options contradict each other in a way the configuration should not have let through. */
export class AuthOptionsError extends Error {
  override readonly name = "AuthOptionsError";
  readonly code = "AUTH_OPTIONS_INVALID";
}
