/**
 * What a user may publish and subscribe to (nats-server.md 6.2). `PermissionRules` is a user's, made once and shared by all
 * of its connections; `ConnectionPermissions` is one connection's, with what it remembers and the replies it may answer.
 * Pure: time is handed in. Subjects and queue names are byte strings.
 */
import { byteStringOfText } from "../../base/bytes.ts";
import { coversTokens, matchesTokens, type SetAnswer, SubjectSet } from "./subject_set.ts";
import { AuthOptionsError, type Permissions, type SubjectPermissions } from "./types.ts";

/** Publish decisions that a connection remembers (the reference's number). */
export const PUBLISH_CACHE_COUNT_MAX = 128;
/** Replies a connection may answer at the same time. Above it the oldest one is forgotten: its request waits longest. */
export const REPLY_COUNT_MAX = 65_536;
export const RESPONSES_MAX_DEFAULT = 1;
export const RESPONSES_EXPIRE_MS_DEFAULT = 120_000;

/** Limits for answers; Infinity = none. */
interface ResponseRules {
  readonly max: number;
  readonly expiresMs: number;
}

/** The permissions of one user. */
export class PermissionRules {
  readonly #publishAllow: SubjectSet | null;
  readonly #publishDeny: SubjectSet | null;
  readonly #subscribeAllow: SubjectSet | null;
  readonly #subscribeDeny: SubjectSet | null;
  readonly responses: ResponseRules | null;
  /** Filled and read within one call. */
  readonly #answer: SetAnswer = { isPlain: false, queues: [] };

  constructor(permissions: Permissions) {
    const { publish, subscribe, allowResponses } = permissions;
    this.responses = allowResponses === undefined ? null : {
      max: limitOf(allowResponses.max, RESPONSES_MAX_DEFAULT),
      expiresMs: limitOf(allowResponses.expiresMs, RESPONSES_EXPIRE_MS_DEFAULT),
    };
    // Who may answer may by default do nothing else: otherwise the permission would say nothing.
    const publishAllow = publish?.allow ?? (allowResponses === undefined ? undefined : []);
    this.#publishAllow = publishAllow === undefined ? null : publishSet(publishAllow);
    this.#publishDeny = hasEntries(publish, "deny") ? publishSet(publish?.deny ?? []) : null;
    this.#subscribeAllow = subscribe?.allow === undefined ? null : subscribeSet(subscribe.allow);
    this.#subscribeDeny = hasEntries(subscribe, "deny") ? subscribeSet(subscribe?.deny ?? []) : null;
  }

  /** Without the replies that a connection may answer. */
  allowsPublish(subject: string): boolean {
    const answer = this.#answer;
    if (this.#publishAllow !== null && !this.#publishAllow.find(subject, matchesTokens, answer).isPlain) return false;
    return this.#publishDeny === null || !this.#publishDeny.find(subject, matchesTokens, answer).isPlain;
  }

  /** `queue` is "" for a plain subscription; `subject` may have wildcards. */
  allowsSubscribe(subject: string, queue: string): boolean {
    if (this.#subscribeAllow !== null) {
      // Stricter than 2.9.10, which lets `foo.*` allow SUB `foo.>` and so everything below.
      const answer = this.#subscribeAllow.find(subject, coversTokens, this.#answer);
      // Where entries with a queue name apply they alone decide about queue subscriptions.
      const decidedByQueue = queue !== "" && answer.queues.length > 0;
      if (decidedByQueue ? !matchesQueue(queue, answer.queues) : !answer.isPlain) return false;
    }
    return !this.#denies(subject, queue);
  }

  /**
   * True when single messages must be kept from a subscription that was allowed: it is wider than an entry of the deny
   * list. Every overlap counts; 2.9.10 sees only entries that lie wholly inside, and delivers `foo.x` to `*.x` although
   * `foo.*` is denied.
   */
  filtersDeliveries(subject: string): boolean {
    return this.#subscribeDeny !== null && this.#subscribeDeny.overlaps(subject);
  }

  /** May a message published on the literal `subject` reach a subscription with this queue name? */
  allowsDelivery(subject: string, queue: string): boolean {
    return !this.#denies(subject, queue);
  }

  #denies(subject: string, queue: string): boolean {
    if (this.#subscribeDeny === null) return false;
    const answer = this.#subscribeDeny.find(subject, matchesTokens, this.#answer);
    return queue !== "" && answer.queues.length > 0 ? matchesQueue(queue, answer.queues) : answer.isPlain;
  }
}

/** A reply subject that may be published on. */
interface Grant {
  sent: number;
  readonly grantedMs: number;
}

/** The permissions of one connection. */
export class ConnectionPermissions {
  #rules: PermissionRules;
  /** Publish decisions, oldest first. */
  readonly #decisions = new Map<string, boolean>();
  /** Oldest first. */
  #grants: Map<string, Grant> | null;

  constructor(rules: PermissionRules) {
    this.#rules = rules;
    this.#grants = rules.responses === null ? null : new Map();
  }

  get rules(): PermissionRules {
    return this.#rules;
  }

  /** Other rules hold from here on. Requests that wait for an answer of this connection can still get it, if it may answer. */
  replaceRules(rules: PermissionRules): void {
    this.#rules = rules;
    this.#decisions.clear();
    if (rules.responses === null) this.#grants = null;
    else this.#grants ??= new Map();
  }

  /** True when a decision about publishing holds for one message only. */
  get grantsReplies(): boolean {
    return this.#grants !== null;
  }

  get decisionCount(): number {
    return this.#decisions.size;
  }

  get grantCount(): number {
    return this.#grants?.size ?? 0;
  }

  /** Decides about one message that is about to be published; a granted reply is used up by it. */
  takePublish(subject: string, nowMs: number): boolean {
    let allowed = this.#decisions.get(subject);
    if (allowed === undefined) {
      allowed = this.rules.allowsPublish(subject);
      // What a grant may overrule is not remembered: answers have subjects without number, and would push out the rest.
      if (allowed || this.#grants === null) this.#remember(subject, allowed);
    }
    return allowed || (this.#grants !== null && this.#takeGrant(this.#grants, subject, nowMs));
  }

  #remember(subject: string, allowed: boolean): void {
    if (this.#decisions.size >= PUBLISH_CACHE_COUNT_MAX) {
      const oldest = this.#decisions.keys().next();
      if (oldest.done !== true) this.#decisions.delete(oldest.value);
    }
    this.#decisions.set(subject, allowed);
  }

  #takeGrant(grants: Map<string, Grant>, subject: string, nowMs: number): boolean {
    const grant = grants.get(subject);
    const limits = this.rules.responses;
    if (grant === undefined || limits === null) return false;
    if (nowMs - grant.grantedMs > limits.expiresMs) {
      grants.delete(subject);
      return false;
    }
    if (++grant.sent >= limits.max) grants.delete(subject);
    return true;
  }

  /** A message with this reply is delivered to the connection. The same reply again begins anew. */
  grantReply(reply: string, nowMs: number): void {
    const grants = this.#grants;
    if (grants === null) return;
    grants.delete(reply);
    const expiresMs = this.rules.responses?.expiresMs ?? 0;
    // Grants expire in the order they stand in: what is over goes as new ones come.
    for (const [oldest, grant] of grants) {
      if (grants.size < REPLY_COUNT_MAX && nowMs - grant.grantedMs <= expiresMs) break;
      grants.delete(oldest);
    }
    grants.set(reply, { sent: 0, grantedMs: nowMs });
  }
}

function limitOf(value: number, otherwise: number): number {
  if (value === 0) return otherwise;
  return value < 0 ? Infinity : value;
}

function hasEntries(permissions: SubjectPermissions | undefined, list: "allow" | "deny"): boolean {
  return (permissions?.[list]?.length ?? 0) > 0;
}

function publishSet(entries: readonly string[]): SubjectSet {
  const set = new SubjectSet();
  for (const entry of entries) set.add(byteStringOfText(entry), "");
  return set;
}

function subscribeSet(entries: readonly string[]): SubjectSet {
  const set = new SubjectSet();
  for (const entry of entries) {
    const [subject, queue, ...rest] = entry.trim().split(/[ \t]+/);
    if (subject === undefined || subject === "" || rest.length > 0) {
      throw new AuthOptionsError(
        `Cannot read the subscribe permission ${JSON.stringify(entry)}: expected a subject, or a subject and a queue ` +
          `name with a blank between them`,
      );
    }
    set.add(byteStringOfText(subject), byteStringOfText(queue ?? ""));
  }
  return set;
}

/** A queue name equals a pattern, `*` and `>` included, or is matched by it. */
function matchesQueue(queue: string, patterns: readonly string[]): boolean {
  const tokens = queue.split(".");
  for (const pattern of patterns) if (queue === pattern || matchesTokens(pattern.split("."), tokens)) return true;
  return false;
}
