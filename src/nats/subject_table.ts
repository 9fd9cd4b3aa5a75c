/**
 * Interned subjects: one entry per subject that is published to, found by a hash of its bytes, holding the resolved receivers
 * and, for each, the ready bytes `MSG <subject> <sid> `. So a delivery is two copies and no lookup (runtime.md 2).
 *
 * The table is bounded: inbox subjects are without number. Every few thousand new ones, and when it is full, a sweep drops
 * every entry that was not used since the last sweep. An entry that was dropped while somebody still holds it stays
 * correct: it is resolved anew at each use.
 */
import { bytesOf, byteString, copyRange, equalRanges, equalViews } from "../base/bytes.ts";
import { KeyedHash } from "../base/keyed_hash.ts";
import type { Destination } from "./bus.ts";
import type { Subscription } from "./subscription.ts";

/** Entries above which a sweep runs. */
export const SUBJECT_COUNT_MAX = 65_536;
/** Bytes of subjects above which a sweep runs: entries can be as long as a control line. */
const SUBJECT_BYTES_MAX = 16_777_216;
/**
 * New entries after which those are dropped that nobody has used meanwhile. Most subjects are reply inboxes that are used
 * once: without this a server that is asked all day holds 65,536 of them, 50 MB.
 */
export const SWEEP_AFTER_NEW = 8192;
const BUCKET_COUNT_FIRST = 4096;
/**
 * Names of so many bytes together share a page: an array of its own costs twice what it holds. Whatever lives keeps its
 * page, so pages are small.
 */
const NAME_PAGE_BYTES = 960;

/** Members of one queue group with their frame heads. */
export interface QueueGroup {
  readonly members: readonly Subscription[];
  readonly heads: readonly Uint8Array[];
}

export const NO_SUBSCRIPTIONS: readonly Subscription[] = [];
export const NO_HEADS: readonly Uint8Array[] = [];
export const NO_GROUPS: readonly QueueGroup[] = [];

/** In this order in memory: who publishes on thousands of subjects in turn pays for each line of the cache that is touched. */
export class SubjectEntry implements Destination {
  /** Of `names`. */
  readonly #view: DataView;
  readonly nameStart: number;
  readonly nameEnd: number;
  readonly hash: number;
  next: SubjectEntry | null;
  /** Equals the router's generation while what follows is true. */
  generation = -1;
  plain: readonly Subscription[] = NO_SUBSCRIPTIONS;
  groups: readonly QueueGroup[] = NO_GROUPS;
  /** What an internal receiver noted with this subject (see `BusMessage.note`). */
  note: unknown = undefined;
  /** What was published to behind this one last time, by the same connection; never a dropped one for long. */
  follower: SubjectEntry | null = null;
  used = true;
  /** Of names that servers keep to themselves: a client may not publish on it. */
  reserved = false;
  dropped = false;
  /** Of `plain`. Those of internal receivers are never looked at. */
  heads: readonly Uint8Array[] = NO_HEADS;
  /** No empty token: something may match it. */
  publishable = true;
  /** Has a token that is a wildcard character, which pedantic publishers are told about. */
  wildcard = false;
  pins = 0;
  /** Where the subject stands, beside others: `names[nameStart, nameEnd)`. */
  readonly names: Uint8Array;
  readonly #subject: string | undefined;

  constructor(
    hash: number,
    names: Uint8Array,
    view: DataView,
    nameStart: number,
    nameEnd: number,
    next: SubjectEntry | null,
    subject: string | undefined,
  ) {
    this.names = names;
    this.#view = view;
    this.nameStart = nameStart;
    this.nameEnd = nameEnd;
    this.hash = hash;
    this.next = next;
    this.#subject = subject;
  }

  /** Bytes of the subject. */
  get length(): number {
    return this.nameEnd - this.nameStart;
  }

  /** As a byte string; made anew where nobody had it when the entry was made. */
  get subject(): string {
    return this.#subject ?? byteString(this.names, this.nameStart, this.nameEnd);
  }

  /** True when the subject is `bytes[start, end)`; `view` is of the same bytes where there is one. */
  is(bytes: Uint8Array, start: number, end: number, view: DataView | null = null): boolean {
    const { nameStart, nameEnd } = this;
    return view === null
      ? equalRanges(this.names, nameStart, nameEnd, bytes, start, end)
      : equalViews(this.#view, nameStart, nameEnd, view, start, end);
  }
}

export class SubjectTable {
  /** Random per process: with a known hash a client could put all its subjects into one bucket. */
  readonly #hash: KeyedHash;
  #buckets: (SubjectEntry | null)[] = new Array(BUCKET_COUNT_FIRST).fill(null);
  #mask = BUCKET_COUNT_FIRST - 1;
  #count = 0;
  #bytes = 0;
  /** Takes the next names. */
  #page: Uint8Array = new Uint8Array(0);
  #pageView: DataView = new DataView(this.#page.buffer);
  #pageUsed = 0;
  /** Entries made since the last sweep. */
  #newCount = 0;
  readonly #countLimit: number;
  readonly #bytesLimit: number;
  /** The limits, or more where pinned entries need it. */
  #countMax: number;
  #bytesMax: number;

  constructor(seed: number, countMax: number = SUBJECT_COUNT_MAX, bytesMax: number = SUBJECT_BYTES_MAX) {
    this.#hash = new KeyedHash(seed);
    this.#countLimit = this.#countMax = countMax;
    this.#bytesLimit = this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  /** Looks at every entry. For the monitor. */
  forEach(look: (entry: SubjectEntry) => void): void {
    for (let entry of this.#buckets) {
      for (; entry !== null; entry = entry.next) look(entry);
    }
  }

  /** Times that an entry was asked for, for the monitor. */
  lookups = 0;

  /** `entry` was found without the table. */
  followed(entry: SubjectEntry): void {
    this.lookups++;
    if (!entry.used) entry.used = true;
  }

  /** The entry of `bytes[start, end)`, made if there is none; `view` is of the same bytes where there is one. */
  intern(bytes: Uint8Array, start: number, end: number, view: DataView | null = null): SubjectEntry {
    this.lookups++;
    const hash = this.#hash.ofRange(bytes, start, end);
    const found = this.#find(hash, bytes, start, end, view);
    if (found === null) return this.#add(hash, bytes, start, end);
    found.used = true;
    return found;
  }

  /** The same for a byte string. */
  internText(subject: string): SubjectEntry {
    this.lookups++;
    const hash = this.#hash.ofText(subject);
    const found = this.#findText(hash, subject);
    if (found === null) {
      const bytes = bytesOf(subject);
      return this.#add(hash, bytes, 0, bytes.length, subject);
    }
    found.used = true;
    return found;
  }

  /** The entry of a byte string, if there is one. */
  peek(subject: string): SubjectEntry | null {
    return this.#findText(this.#hash.ofText(subject), subject);
  }

  #add(hash: number, bytes: Uint8Array, start: number, end: number, subject?: string): SubjectEntry {
    if (this.#count >= this.#countMax || this.#bytes >= this.#bytesMax) {
      this.#sweep();
      this.#newCount = 0;
    } else if (++this.#newCount > SWEEP_AFTER_NEW) {
      this.#dropUnused();
      this.#newCount = 0;
    }
    if (this.#count > this.#mask && this.#mask < SUBJECT_COUNT_MAX) this.#grow();
    const bucket = slotOf(hash, this.#mask);
    const length = end - start;
    if (this.#pageUsed + length > this.#page.length) {
      this.#page = new Uint8Array(Math.max(NAME_PAGE_BYTES, length));
      this.#pageView = new DataView(this.#page.buffer);
      this.#pageUsed = 0;
    }
    const nameStart = this.#pageUsed;
    this.#pageUsed = copyRange(this.#page, nameStart, bytes, start, end);
    const entry = new SubjectEntry(
      hash,
      this.#page,
      this.#pageView,
      nameStart,
      this.#pageUsed,
      this.#buckets[bucket]!,
      subject,
    );
    this.#buckets[bucket] = entry;
    this.#count++;
    this.#bytes += length;
    return entry;
  }

  #find(hash: number, bytes: Uint8Array, start: number, end: number, view: DataView | null): SubjectEntry | null {
    let entry = this.#buckets[slotOf(hash, this.#mask)]!;
    while (entry !== null) {
      if (entry.hash === hash && entry.is(bytes, start, end, view)) return entry;
      entry = entry.next!;
    }
    return null;
  }

  #findText(hash: number, subject: string): SubjectEntry | null {
    let entry = this.#buckets[slotOf(hash, this.#mask)]!;
    while (entry !== null && (entry.hash !== hash || entry.subject !== subject)) entry = entry.next!;
    return entry;
  }

  #grow(): void {
    const old = this.#buckets;
    const size = old.length * 4;
    this.#mask = size - 1;
    this.#buckets = new Array(size).fill(null);
    for (let entry of old) {
      while (entry !== null) {
        const following: SubjectEntry | null = entry.next;
        const bucket = slotOf(entry.hash, this.#mask);
        entry.next = this.#buckets[bucket]!;
        this.#buckets[bucket] = entry;
        entry = following;
      }
    }
  }

  /** Drops what was not used since the last sweep; if that makes too little room, everything that is not pinned. */
  #sweep(): void {
    let pinned = this.#dropUnused();
    if (this.#count * 4 > this.#countMax * 3 || this.#bytes * 4 > this.#bytesMax * 3) pinned = this.#dropUnused();
    // Pinned entries alone may come near the bound: those are bounded by the subscriptions that hold them.
    this.#countMax = Math.max(this.#countLimit, pinned.count * 2);
    this.#bytesMax = Math.max(this.#bytesLimit, pinned.bytes * 2);
  }

  #dropUnused(): { count: number; bytes: number } {
    const pinned = { count: 0, bytes: 0 };
    for (let bucket = 0; bucket < this.#buckets.length; bucket++) {
      let kept: SubjectEntry | null = null;
      let entry = this.#buckets[bucket]!;
      while (entry !== null) {
        const following: SubjectEntry | null = entry.next;
        if (entry.pins > 0) {
          pinned.count++;
          pinned.bytes += entry.length;
        }
        if (entry.used || entry.pins > 0) {
          entry.used = false;
          entry.next = kept;
          kept = entry;
        } else {
          entry.dropped = true;
          entry.generation = -1;
          entry.next = null;
          // Or dropped ones would keep each other in a chain without end.
          entry.follower = null;
          this.#count--;
          this.#bytes -= entry.length;
        }
        entry = following!;
      }
      this.#buckets[bucket] = kept;
    }
    return pinned;
  }
}

function slotOf(hash: number, mask: number): number {
  return (hash ^ (hash >>> 15)) & mask;
}
