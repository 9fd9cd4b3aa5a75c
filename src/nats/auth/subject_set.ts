/**
 * Sets of subject patterns, as permission lists need them. Lists are short and hits are remembered by the caller, so
 * wildcard entries are tried one after the other; literal ones stand in a map and may be many.
 */
import { hasOnlyFullTokens, hasWildcard } from "../../base/subject.ts";

/** One pattern, cut into its tokens once. */
export type PatternTokens = readonly string[];

/**
 * Does `pattern` match `subject` when every token of the subject is taken as it is written? So `foo.*` matches the token
 * `>` of `foo.>`: right for what is published, where `>` is an ordinary token, and for deny lists (reference 2.9.10).
 */
export function matchesTokens(pattern: PatternTokens, subject: PatternTokens): boolean {
  for (let i = 0; i < pattern.length; i++) {
    const token = pattern[i];
    if (token === ">" && i === pattern.length - 1) return subject.length > i;
    if (i >= subject.length) return false;
    if (token !== "*" && token !== subject[i]) return false;
  }
  return pattern.length === subject.length;
}

/** Is every subject that the subscription `subject` matches also matched by `pattern`? */
export function coversTokens(pattern: PatternTokens, subject: PatternTokens): boolean {
  if (!matchesTokens(pattern, subject)) return false;
  // A subscription's last `>` stands for more than the one token that a `*` allows.
  return subject[subject.length - 1] !== ">" || pattern[pattern.length - 1] === ">";
}

/** Is there a subject that both match? */
export function overlapTokens(a: PatternTokens, b: PatternTokens): boolean {
  for (let i = 0; i < a.length; i++) {
    if (i >= b.length) return false;
    if ((a[i] === ">" && i === a.length - 1) || (b[i] === ">" && i === b.length - 1)) return true;
    if (a[i] !== b[i] && a[i] !== "*" && b[i] !== "*") return false;
  }
  return a.length === b.length;
}

/** How an entry has to relate to the subject that is asked for. */
export type TokenRule = (pattern: PatternTokens, subject: PatternTokens) => boolean;

/** A list of patterns, each with the queue patterns it is limited to. */
export class SubjectSet {
  readonly #literals = new Map<string, Entry>();
  readonly #wildcards = new Map<string, Entry>();

  /** `queue` is "" for an entry without queue name. Byte strings. */
  add(subject: string, queue: string): void {
    const entries = hasWildcard(subject) ? this.#wildcards : this.#literals;
    let entry = entries.get(subject);
    if (entry === undefined) entries.set(subject, entry = { tokens: subject.split("."), isPlain: false, queues: [] });
    if (queue === "") entry.isPlain = true;
    else entry.queues.push(queue);
  }

  /** What the entries say about `subject`; a subject with an empty token is in no list. */
  find(subject: string, rule: TokenRule, out: SetAnswer): SetAnswer {
    out.isPlain = false;
    out.queues.length = 0;
    if (!hasOnlyFullTokens(subject)) return out;
    const literal = this.#literals.get(subject);
    if (literal !== undefined) gather(literal, out);
    if (this.#wildcards.size > 0) {
      const tokens = subject.split(".");
      for (const entry of this.#wildcards.values()) if (rule(entry.tokens, tokens)) gather(entry, out);
    }
    return out;
  }

  /** True when some entry and the pattern `subject` have a subject in common. */
  overlaps(subject: string): boolean {
    const tokens = subject.split(".");
    for (const entry of this.#literals.values()) if (overlapTokens(entry.tokens, tokens)) return true;
    for (const entry of this.#wildcards.values()) if (overlapTokens(entry.tokens, tokens)) return true;
    return false;
  }
}

interface Entry {
  readonly tokens: PatternTokens;
  /** Listed without a queue name. */
  isPlain: boolean;
  readonly queues: string[];
}

/** What a set says about one subject. Reused by the caller. */
export interface SetAnswer {
  /** Some entry without queue name applies. */
  isPlain: boolean;
  /** Queue patterns of the entries that apply. */
  readonly queues: string[];
}

function gather(entry: Entry, out: SetAnswer): void {
  if (entry.isPlain) out.isPlain = true;
  for (const queue of entry.queues) out.queues.push(queue);
}
