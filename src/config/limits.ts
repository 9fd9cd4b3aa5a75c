/**
 * Store limits: validation and inheritance between channel patterns (stores.md 2.1 to 2.3). Pure.
 */
import { formatDuration } from "../base/duration.ts";
import { quote } from "../base/quote.ts";
import type { ChannelLimitsEntry, LimitOptions } from "./option_types.ts";

/** Limits in force for one channel. 0 = unlimited. */
export interface ResolvedLimits {
  readonly maxSubscriptions: number;
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly maxInactivityMs: number;
}

/** One entry of the per-channel list after inheritance, in the order of the banner. */
export interface ResolvedEntry {
  readonly pattern: string;
  /** Number of entries it inherits through: 0 = directly from the global limits. */
  readonly depth: number;
  readonly limits: ResolvedLimits;
  /** What it inherited from. */
  readonly parent: ResolvedLimits;
}

/** What a store and the banner need. Compatible with the `StoreLimits` of the store contract. */
export interface ResolvedChannelLimits {
  /** 0 = unlimited. */
  readonly maxChannels: number;
  /** Limits of channels that no entry matches. */
  readonly global: ResolvedLimits;
  /** Limits of the channel of that name: the narrowest matching entry, or the global ones. */
  forChannel(name: string): ResolvedLimits;
  /** Widest first: per level `>`, then `*`, then literal tokens in the order of the configuration. */
  readonly entries: readonly ResolvedEntry[];
}

/**
 * Name rules of stores.md 2.2: non-empty tokens, no `/`; `*` and `>` only where `wildcards` allows them, as whole
 * tokens, `>` last.
 */
export function isChannelName(name: string, wildcards: boolean): boolean {
  if (name.includes("/")) return false;
  const tokens = name.split(".");
  for (const [index, token] of tokens.entries()) {
    if (token === "") return false;
    if (!token.includes("*") && !token.includes(">")) continue;
    if (!wildcards || token.length > 1) return false;
    if (token === ">" && index !== tokens.length - 1) return false;
  }
  return true;
}

function isLiteral(pattern: string): boolean {
  return !pattern.split(".").some((token) => token === "*" || token === ">");
}

/** The reason why the limits cannot be used, or undefined. Checks and texts in the order of stores.md 2.2. */
export function validateLimits(limits: LimitOptions): string | undefined {
  const numbers: readonly (readonly [string, number, (value: number) => string])[] = [
    ["channels", limits.maxChannels, String],
    ["subscriptions", limits.maxSubscriptions, String],
    ["messages", limits.maxMessages, String],
    ["bytes", limits.maxBytes, String],
    ["age", limits.maxAgeMs, formatDuration],
    ["inactivity", limits.maxInactivityMs, formatDuration],
  ];
  for (const [name, value, format] of numbers) {
    if (value < 0) return `max ${name} limit cannot be negative (${format(value)})`;
  }
  const literals = new Set<string>();
  for (const entry of limits.perChannel) {
    if (!isChannelName(entry.pattern, true)) return `invalid channel name ${quote(entry.pattern)}`;
    if (!isLiteral(entry.pattern)) continue;
    literals.add(entry.pattern);
    if (limits.maxChannels > 0 && literals.size > limits.maxChannels) {
      return `too many channels defined (${literals.size}). The max channels limit is set to ${limits.maxChannels}`;
    }
  }
  return undefined;
}

/** A level of the tree of patterns. */
interface PatternNode {
  entry: TreeEntry | undefined;
  rest: TreeEntry | undefined;
  any: PatternNode | undefined;
  readonly literals: Map<string, PatternNode>;
}

interface TreeEntry {
  readonly written: ChannelLimitsEntry;
  resolved: ResolvedEntry | undefined;
}

function makeNode(): PatternNode {
  return { entry: undefined, rest: undefined, any: undefined, literals: new Map() };
}

function insert(root: PatternNode, written: ChannelLimitsEntry): void {
  const entry: TreeEntry = { written, resolved: undefined };
  let node = root;
  for (const token of written.pattern.split(".")) {
    if (token === ">") {
      node.rest = entry;
      return;
    }
    let next = token === "*" ? node.any : node.literals.get(token);
    if (next === undefined) {
      next = makeNode();
      if (token === "*") node.any = next;
      else node.literals.set(token, next);
    }
    node = next;
  }
  node.entry = entry;
}

/** Entries that match `tokens` from `index` on, widest first. */
function collect(node: PatternNode, tokens: readonly string[], index: number, out: TreeEntry[]): void {
  const token = tokens[index];
  if (token === undefined) {
    if (node.entry !== undefined) out.push(node.entry);
    return;
  }
  if (node.rest !== undefined) out.push(node.rest);
  if (node.any !== undefined) collect(node.any, tokens, index + 1, out);
  const literal = node.literals.get(token);
  if (literal !== undefined) collect(literal, tokens, index + 1, out);
}

/** All entries, widest first, a node before what is below it. */
function walk(node: PatternNode, out: TreeEntry[]): void {
  if (node.entry !== undefined) out.push(node.entry);
  if (node.rest !== undefined) out.push(node.rest);
  if (node.any !== undefined) walk(node.any, out);
  for (const literal of node.literals.values()) walk(literal, out);
}

function inherit(own: number | undefined, parent: number): number {
  return own === undefined ? parent : Math.max(own, 0);
}

function inheritAll(written: ChannelLimitsEntry, parent: ResolvedLimits): ResolvedLimits {
  return Object.freeze({
    maxSubscriptions: inherit(written.maxSubscriptions, parent.maxSubscriptions),
    maxMessages: inherit(written.maxMessages, parent.maxMessages),
    maxBytes: inherit(written.maxBytes, parent.maxBytes),
    maxAgeMs: inherit(written.maxAgeMs, parent.maxAgeMs),
    maxInactivityMs: inherit(written.maxInactivityMs, parent.maxInactivityMs),
  });
}

/**
 * Resolves inheritance. The limits must have passed {@link validateLimits}. A pattern's own text, read as a literal
 * name, decides what it inherits from: so `foo.>` inherits from `*.*` too, as in the reference.
 */
export function resolveChannelLimits(limits: LimitOptions): ResolvedChannelLimits {
  const global: ResolvedLimits = inheritAll({ pattern: "" }, limits);
  const root = makeNode();
  for (const written of limits.perChannel) insert(root, written);
  const order: TreeEntry[] = [];
  walk(root, order);

  for (const entry of order) {
    const chain: TreeEntry[] = [];
    collect(root, entry.written.pattern.split("."), 0, chain);
    let parent: ResolvedEntry | undefined;
    for (const link of chain) {
      if (link.resolved === undefined) {
        const from = parent === undefined ? global : parent.limits;
        link.resolved = Object.freeze({
          pattern: link.written.pattern,
          depth: parent === undefined ? 0 : parent.depth + 1,
          limits: inheritAll(link.written, from),
          parent: from,
        });
      }
      parent = link.resolved;
    }
  }

  return Object.freeze({
    maxChannels: limits.maxChannels,
    global,
    forChannel(name: string): ResolvedLimits {
      if (order.length === 0) return global;
      const matches: TreeEntry[] = [];
      collect(root, name.split("."), 0, matches);
      return matches.at(-1)?.resolved?.limits ?? global;
    },
    entries: Object.freeze(order.flatMap((entry) => entry.resolved === undefined ? [] : [entry.resolved])),
  });
}
