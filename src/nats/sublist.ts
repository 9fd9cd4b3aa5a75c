/**
 * All subscriptions of the server, by subject. Literal ones (nearly all: inboxes, ack inboxes) stand in a map; only
 * wildcard ones need the tree (nats-server.md 4.3). Subjects are byte strings.
 */
import { hasWildcard } from "../base/subject.ts";
import type { Subscription } from "./subscription.ts";

/** What a match has found so far. Most subjects lead to no group, and inboxes are matched all the time. */
interface Collection {
  readonly plain: Subscription[];
  groups: Map<string, Subscription[]> | undefined;
}

/**
 * Subscriptions that stand at one place. Sets keep the order of arrival, and a connection that leaves with 100,000
 * subscriptions on one subject stays linear.
 */
class Leaf {
  #only: Subscription | undefined = undefined;
  #plain: Set<Subscription> | undefined = undefined;
  #queues: Map<string, Set<Subscription>> | undefined = undefined;

  get empty(): boolean {
    return this.#only === undefined && this.#plain === undefined && this.#queues === undefined;
  }

  add(subscription: Subscription): void {
    if (subscription.queue !== "") {
      const queues = this.#queues ??= new Map();
      const members = queues.get(subscription.queue);
      if (members === undefined) queues.set(subscription.queue, new Set([subscription]));
      else members.add(subscription);
    } else if (this.#plain !== undefined) {
      this.#plain.add(subscription);
    } else if (this.#only === undefined) {
      this.#only = subscription;
    } else {
      this.#plain = new Set([this.#only, subscription]);
      this.#only = undefined;
    }
  }

  remove(subscription: Subscription): boolean {
    if (subscription.queue !== "") {
      const members = this.#queues?.get(subscription.queue);
      if (members === undefined || !members.delete(subscription)) return false;
      if (members.size === 0) this.#queues!.delete(subscription.queue); // it holds members.
      if (this.#queues!.size === 0) this.#queues = undefined;
      return true;
    }
    if (this.#only === subscription) {
      this.#only = undefined;
      return true;
    }
    if (this.#plain === undefined || !this.#plain.delete(subscription)) return false;
    if (this.#plain.size === 0) this.#plain = undefined;
    return true;
  }

  *all(): IterableIterator<Subscription> {
    if (this.#only !== undefined) yield this.#only;
    if (this.#plain !== undefined) yield* this.#plain;
    if (this.#queues !== undefined) { for (const members of this.#queues.values()) yield* members; }
  }

  /** Adds what stands here to a result. */
  collect(into: Collection): void {
    const { plain } = into;
    if (this.#only !== undefined) plain.push(this.#only);
    if (this.#plain !== undefined) { for (const subscription of this.#plain) plain.push(subscription); }
    if (this.#queues === undefined) return;
    const groups = into.groups ??= new Map();
    for (const [name, members] of this.#queues) {
      const known = groups.get(name);
      if (known === undefined) groups.set(name, [...members]);
      else for (const member of members) known.push(member);
    }
  }
}

/** A level of the tree of wildcard subjects. */
class Level {
  readonly literals = new Map<string, Level>();
  star: Level | null = null;
  /** Subscriptions whose subject ends with `>` here. */
  rest: Leaf | null = null;
  /** Subscriptions whose subject ends here. */
  leaf: Leaf | null = null;

  get empty(): boolean {
    return this.literals.size === 0 && this.star === null && this.rest === null && this.leaf === null;
  }
}

/** What a literal subject leads to. Queue groups of one name on several patterns are one group (trap 20). */
export interface MatchResult {
  readonly plain: readonly Subscription[];
  readonly groups: readonly (readonly Subscription[])[];
}

const NO_GROUPS: readonly (readonly Subscription[])[] = [];

export class Sublist {
  /** Nearly all hold one subscription that is in no group (an inbox): it stands here itself. */
  readonly #literals = new Map<string, Subscription | Leaf>();
  readonly #root = new Level();
  #count = 0;
  #wildcardCount = 0;
  /** All that ever came and went, for the monitor. */
  #insertCount = 0;
  #removeCount = 0;

  get insertCount(): number {
    return this.#insertCount;
  }

  get removeCount(): number {
    return this.#removeCount;
  }

  get count(): number {
    return this.#count;
  }

  get wildcardCount(): number {
    return this.#wildcardCount;
  }

  /** Adds; returns true when the subject has wildcards, so that any literal subject may be touched. */
  insert(subscription: Subscription): boolean {
    this.#count++;
    this.#insertCount++;
    const subject = subscription.subject;
    if (!hasWildcard(subject)) {
      this.#insertLiteral(subscription);
      return false;
    }
    this.#wildcardCount++;
    let level = this.#root;
    for (const token of subject.split(".")) {
      if (token === ">") {
        (level.rest ??= new Leaf()).add(subscription);
        return true;
      }
      if (token === "*") {
        level = level.star ??= new Level();
        continue;
      }
      let below = level.literals.get(token);
      if (below === undefined) level.literals.set(token, below = new Level());
      level = below;
    }
    (level.leaf ??= new Leaf()).add(subscription);
    return true;
  }

  #insertLiteral(subscription: Subscription): void {
    const { subject, queue } = subscription;
    const here = this.#literals.get(subject);
    if (here instanceof Leaf) return here.add(subscription);
    if (here === undefined && queue === "") {
      this.#literals.set(subject, subscription);
      return;
    }
    const leaf = new Leaf();
    if (here !== undefined) leaf.add(here);
    leaf.add(subscription);
    this.#literals.set(subject, leaf);
  }

  #removeLiteral(subscription: Subscription): boolean {
    const { subject } = subscription;
    const here = this.#literals.get(subject);
    if (here === subscription) return this.#literals.delete(subject);
    if (!(here instanceof Leaf) || !here.remove(subscription)) return false;
    if (here.empty) this.#literals.delete(subject);
    return true;
  }

  /** Removes; returns true when the subject has wildcards. A subscription that is not there is not an error. */
  remove(subscription: Subscription): boolean {
    const subject = subscription.subject;
    if (this.#removeLiteral(subscription)) {
      this.#count--;
      this.#removeCount++;
      return false;
    }
    if (!hasWildcard(subject)) return false;
    if (this.#removeBelow(this.#root, subject.split("."), 0, subscription)) {
      this.#count--;
      this.#removeCount++;
      this.#wildcardCount--;
    }
    return true;
  }

  #removeBelow(level: Level, tokens: readonly string[], index: number, subscription: Subscription): boolean {
    if (index === tokens.length) {
      if (level.leaf === null || !level.leaf.remove(subscription)) return false;
      if (level.leaf.empty) level.leaf = null;
      return true;
    }
    const token = tokens[index]!;
    if (token === ">") {
      if (level.rest === null || !level.rest.remove(subscription)) return false;
      if (level.rest.empty) level.rest = null;
      return true;
    }
    const below = token === "*" ? level.star : level.literals.get(token) ?? null;
    if (below === null || !this.#removeBelow(below, tokens, index + 1, subscription)) return false;
    if (below.empty) {
      if (token === "*") level.star = null;
      else level.literals.delete(token);
    }
    return true;
  }

  /** Every subscription: the literal ones in the order in which their subjects came, then those with wildcards. */
  *all(): IterableIterator<Subscription> {
    for (const here of this.#literals.values()) {
      if (here instanceof Leaf) yield* here.all();
      else yield here;
    }
    yield* allBelow(this.#root);
  }

  /** Everything interested in the published `subject`, whose tokens are all literal here (3.5). */
  match(subject: string): MatchResult {
    const into: Collection = { plain: [], groups: undefined };
    const here = this.#literals.get(subject);
    if (here instanceof Leaf) here.collect(into);
    else if (here !== undefined) into.plain.push(here);
    if (this.#wildcardCount > 0) matchBelow(this.#root, subject, 0, into);
    return { plain: into.plain, groups: into.groups === undefined ? NO_GROUPS : [...into.groups.values()] };
  }
}

/** The depth of the tree is that of a subject, which is no longer than a control line. */
function* allBelow(level: Level): IterableIterator<Subscription> {
  if (level.leaf !== null) yield* level.leaf.all();
  if (level.rest !== null) yield* level.rest.all();
  if (level.star !== null) yield* allBelow(level.star);
  for (const below of level.literals.values()) yield* allBelow(below);
}

/**
 * `from` is where the token of this level begins; behind the end of the subject there is none. Tokens are cut out one by one:
 * most subjects leave the tree at their first or second.
 */
function matchBelow(level: Level, subject: string, from: number, into: Collection): void {
  if (from > subject.length) {
    if (level.leaf !== null) level.leaf.collect(into);
    return;
  }
  const dot = subject.indexOf(".", from);
  const end = dot < 0 ? subject.length : dot;
  if (level.rest !== null) level.rest.collect(into);
  if (level.star !== null) matchBelow(level.star, subject, end + 1, into);
  if (level.literals.size === 0) return;
  const below = level.literals.get(subject.slice(from, end));
  if (below !== undefined) matchBelow(below, subject, end + 1, into);
}
