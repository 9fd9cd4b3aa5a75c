/**
 * What the specification promises about a FILE store, kept beside a simulated one. It knows what was staged, what a flush that
 * ended well has promised, what was taken back, and says what may be there after a crash and what must.
 */
import type { ChannelLimits, RecoveredSubscription, SubscriptionRecord } from "../../src/store/types.ts";

/** One attempt to store a message. */
export interface Attempt {
  readonly id: number;
  readonly sequence: number;
  readonly data: Uint8Array;
  readonly reply: Uint8Array;
  readonly stampNs: bigint;
  /** Encoded size plus 40 (stores.md 2.4). */
  readonly cost: number;
}

/** The store broke a promise. */
export class Broken extends Error {
  override readonly name = "Broken";
}

export function expect(holds: boolean, text: () => string): void {
  if (!holds) throw new Broken(text());
}

/** One flush of messages under way, or ended. */
export interface MessageMark {
  readonly last: number;
  readonly first: number;
  /** Those whose senders wait for this flush. */
  readonly batch: readonly Attempt[];
}

/** Messages of one channel. */
export class MessageModel {
  readonly limits: ChannelLimits;
  /** Every attempt of this channel's life, by sequence: a crash may leave any that was not promised. */
  readonly attempts = new Map<number, Attempt[]>();
  /** What a reader sees now, and what is staged behind it. */
  #present = new Map<number, Attempt>();
  readonly promised = new Map<number, Attempt>();
  first = 0;
  last = 0;
  count = 0;
  bytes = 0;
  promisedLast = 0;
  /** Nothing in front of it has to be there any more. */
  promisedFirst = 0;
  /** What a failed flush goes back to. A new process goes back to what it found, whether or not it is safe. */
  #baseLast = 0;
  #baseFirst = 0;
  /** After a crash that left damage the store counts records that nobody can read. */
  isExact = true;
  /** A power cut may leave holes among what was not promised; the files have them for ever. */
  hasGaps = false;
  /** Staged since the last flush was asked for. */
  #batch: Attempt[] = [];

  constructor(limits: ChannelLimits) {
    this.limits = limits;
  }

  /** The last message that may be delivered. */
  get visibleLast(): number {
    return this.#baseLast;
  }

  get(sequence: number): Attempt | undefined {
    return this.#present.get(sequence);
  }

  staged(attempt: Attempt): void {
    const known = this.attempts.get(attempt.sequence);
    if (known === undefined) this.attempts.set(attempt.sequence, [attempt]);
    else known.push(attempt);
    this.#present.set(attempt.sequence, attempt);
    this.#batch.push(attempt);
    if (this.count === 0) this.first = attempt.sequence;
    this.last = attempt.sequence;
    this.count++;
    this.bytes += attempt.cost;
    this.#limit();
  }

  /** For a channel with damage: what the store counts cannot be known from outside. */
  believe({ first, count, bytes }: { first: number; count: number; bytes: number }): void {
    this.first = first;
    this.count = count;
    this.bytes = bytes;
  }

  #limit(): void {
    if (!this.isExact) return;
    const { maxMessages, maxBytes } = this.limits;
    while (
      this.count > 1 && ((maxMessages > 0 && this.count > maxMessages) || (maxBytes > 0 && this.bytes > maxBytes))
    ) this.#removeFirst();
  }

  #removeFirst(): void {
    this.count--;
    this.bytes -= this.#present.get(this.first)!.cost;
    this.first++;
    while (this.first <= this.last && !this.#present.has(this.first)) this.first++;
  }

  /** 2.4: at the given time. */
  expire(nowNs: bigint): void {
    const maxAgeNs = BigInt(this.limits.maxAgeMs) * 1_000_000n;
    if (maxAgeNs === 0n) return;
    while (this.count > 0 && this.#present.get(this.first)!.stampNs + maxAgeNs <= nowNs) this.#removeFirst();
    this.promisedFirst = Math.max(this.promisedFirst, Math.min(this.first, this.promisedLast + 1));
    this.#baseFirst = Math.max(this.#baseFirst, Math.min(this.first, this.#baseLast + 1));
  }

  /** Messages were taken back whose senders did not ask yet. */
  get isOwed(): boolean {
    return this.#batch.some((attempt) => this.#present.get(attempt.sequence) !== attempt);
  }

  mark(): MessageMark {
    const batch = this.#batch;
    this.#batch = [];
    return { last: this.last, first: this.first, batch };
  }

  /** A flush ended well that began at `mark`. */
  flushed({ last, first, batch }: MessageMark): void {
    for (const attempt of batch) {
      const isThere = this.#present.get(attempt.sequence) === attempt;
      expect(isThere, () => `the sender of message ${attempt.sequence} is told that it is safe, and it was taken back`);
    }
    for (let sequence = this.promisedLast + 1; sequence <= last; sequence++) {
      const attempt = this.#present.get(sequence);
      if (attempt !== undefined) this.promised.set(sequence, attempt);
    }
    this.promisedLast = Math.max(this.promisedLast, last);
    // What was found at the start and expired while the flush was under way is not promised by it.
    const remaining = Math.max(first, this.#baseFirst);
    this.promisedFirst = Math.max(this.promisedFirst, Math.min(remaining, this.promisedLast + 1));
    this.#baseLast = Math.max(this.#baseLast, last);
    this.#baseFirst = Math.max(this.#baseFirst, Math.min(first, this.#baseLast + 1));
  }

  /** A flush failed: what is behind the promised is gone, and what it had pushed out is back. */
  takenBack(): void {
    for (let sequence = this.last; sequence > this.#baseLast; sequence--) this.#present.delete(sequence);
    this.last = this.#baseLast;
    this.first = this.last === 0 ? 0 : Math.min(this.#baseFirst, this.last + 1);
    while (this.first > 0 && this.first <= this.last && !this.#present.has(this.first)) this.first++;
    this.count = 0;
    this.bytes = 0;
    for (let sequence = this.first; sequence <= this.last; sequence++) {
      const attempt = this.#present.get(sequence);
      if (attempt === undefined) continue;
      this.count++;
      this.bytes += attempt.cost;
    }
  }

  /** Nobody has asked yet that `sequence`, or what is behind it, be made safe. */
  isUnasked(sequence: number): boolean {
    const first = this.#batch[0];
    return first !== undefined && first.sequence <= sequence;
  }

  #isOver(count: number, bytes: number): boolean {
    const { maxMessages, maxBytes } = this.limits;
    return (maxMessages > 0 && count > maxMessages) || (maxBytes > 0 && bytes > maxBytes);
  }

  /** With what came behind it, up to `last`, there is more than may be kept. */
  #isPushedOut({ sequence, cost }: Attempt, last: number, found: ReadonlyMap<number, Attempt>): boolean {
    let count = 1;
    let bytes = cost;
    for (const [other, attempts] of this.attempts) {
      if (other <= sequence || other > last) continue;
      count++;
      bytes += found.get(other)?.cost ?? Math.max(...attempts.map((attempt) => attempt.cost));
    }
    return this.#isOver(count, bytes);
  }

  /**
   * What a new process found: `found` are those that can be read. After a power cut all of it is on the medium; after a kill
   * it is no safer than before.
   */
  recovered(
    found: ReadonlyMap<number, Attempt>,
    store: { first: number; last: number; count: number; bytes: number },
    keepsPromises: boolean,
    isDurable: boolean,
  ): void {
    if (keepsPromises) {
      expect(store.last >= this.promisedLast, () => `last is ${store.last}, promised were ${this.promisedLast}`);
      let highestMissing: Attempt | undefined;
      for (const [sequence, attempt] of this.promised) {
        const there = found.get(sequence);
        if (there !== undefined) {
          expect(there === attempt, () => `message ${sequence} is attempt ${there.id}, promised was ${attempt.id}`);
        } else if (sequence >= this.promisedFirst) {
          // The names of files that limits removed may come back, and not in the order in which they went.
          const isGone = sequence < store.first || this.#isPushedOut(attempt, store.last, found);
          expect(isGone, () => `message ${sequence} was promised and cannot be read`);
          if (sequence < store.first && (highestMissing === undefined || sequence > highestMissing.sequence)) {
            highestMissing = attempt;
          }
        }
      }
      if (highestMissing !== undefined) {
        // What came behind it and was never promised may have been there, and pushed it out.
        const { sequence, cost } = highestMissing;
        let count = store.count + 1;
        let bytes = store.bytes + cost;
        for (const [between, attempts] of this.attempts) {
          if (between <= sequence || between >= store.first) continue;
          count++;
          bytes += Math.max(...attempts.map((attempt) => attempt.cost));
        }
        // And what pushed it out may be gone itself, in the holes between what came back.
        const isGone = this.#isOver(count, bytes) || this.#isPushedOut(highestMissing, store.last, found);
        expect(isGone, () => `message ${sequence} was promised and is gone, limits would keep it`);
      }
    }
    this.#present = new Map(found);
    let bytes = 0;
    for (const { cost } of found.values()) bytes += cost;
    this.isExact = found.size === store.count && bytes === store.bytes;
    this.hasGaps ||= isDurable || !this.isExact;
    this.#batch = [];
    if (!this.isExact) {
      expect(store.count >= found.size, () => `${found.size} messages can be read, ${store.count} are counted`);
    } else if (found.size > 0) {
      expect(store.first === Math.min(...found.keys()), () => `first is ${store.first}, there is one before`);
    }
    if (store.count === 0 && store.last > 0) {
      expect(store.first === store.last + 1, () => `empty, but first is ${store.first} and last ${store.last}`);
    }
    this.first = store.first;
    this.last = store.last;
    this.count = store.count;
    this.bytes = store.bytes;
    this.#baseFirst = store.first;
    this.#baseLast = store.last;
    if (!isDurable) return;
    this.promised.clear();
    for (const [sequence, attempt] of found) this.promised.set(sequence, attempt);
    this.promisedLast = store.last;
    this.promisedFirst = store.first;
  }
}

/** A change of the subscriptions of one channel. */
export type SubscriptionChange =
  | { readonly kind: "create" | "update"; readonly id: number; readonly record: SubscriptionRecord }
  | { readonly kind: "delete"; readonly id: number }
  | { readonly kind: "pending" | "ack"; readonly id: number; readonly sequence: number };

export interface SubscriptionState {
  readonly record: SubscriptionRecord;
  readonly pending: Set<number>;
}

function applyChange(states: Map<number, SubscriptionState>, change: SubscriptionChange): void {
  const known = states.get(change.id);
  switch (change.kind) {
    case "create":
      states.set(change.id, { record: { ...change.record }, pending: new Set() });
      break;
    case "update": {
      const lastSent = Math.max(change.record.lastSent, known?.record.lastSent ?? 0);
      states.set(change.id, { record: { ...change.record, lastSent }, pending: known?.pending ?? new Set() });
      break;
    }
    case "delete":
      states.delete(change.id);
      break;
    case "pending":
      if (known === undefined) break;
      known.pending.add(change.sequence);
      known.record.lastSent = Math.max(known.record.lastSent, change.sequence);
      break;
    case "ack":
      known?.pending.delete(change.sequence);
  }
}

/** A state and what came behind it. */
export interface Mark<State> {
  readonly state: State;
  readonly changes: number;
}

/** Subscriptions of one channel. */
export class SubscriptionModel {
  /** What was promised, and what came behind it. */
  #promised = new Map<number, SubscriptionState>();
  #open: SubscriptionChange[] = [];
  #taken = 0;
  /** Now. */
  readonly states = new Map<number, SubscriptionState>();

  change(change: SubscriptionChange): void {
    this.#open.push(change);
    applyChange(this.states, change);
  }

  mark(): Mark<Map<number, SubscriptionState>> {
    const state = new Map<number, SubscriptionState>();
    for (const [id, { record, pending }] of this.states) {
      state.set(id, { record: { ...record }, pending: new Set(pending) });
    }
    return { state, changes: this.#taken + this.#open.length };
  }

  flushed({ state, changes }: Mark<Map<number, SubscriptionState>>): void {
    if (changes < this.#taken) return;
    this.#promised = state;
    this.#open.splice(0, changes - this.#taken);
    this.#taken = changes;
  }

  /** What a new process found. `lastSequence` of the messages: nobody can have got more. */
  recovered(
    found: readonly RecoveredSubscription[],
    lastSequence: number,
    keepsPromises: boolean,
    isDurable: boolean,
  ): void {
    const byId = new Map(found.map((one) => [one.record.id, one]));
    expect(byId.size === found.length, () => "a subscription is recovered twice");
    if (keepsPromises) {
      const ids = new Set([...byId.keys(), ...this.#promised.keys()]);
      for (const id of ids) this.#check(id, byId.get(id), lastSequence);
    }
    // What was behind the last message is put back for good: the next messages of these sequences are others.
    for (const { record, pending } of this.#promised.values()) {
      record.lastSent = Math.min(record.lastSent, lastSequence);
      for (const sequence of pending) if (sequence > lastSequence) pending.delete(sequence);
    }
    this.states.clear();
    for (const { record, pending } of found) {
      expect(
        record.lastSent <= lastSequence,
        () => `subscription ${record.id} got ${record.lastSent}, last is ${lastSequence}`,
      );
      for (const sequence of pending) {
        expect(
          sequence <= lastSequence,
          () => `subscription ${record.id} waits for ${sequence}, last is ${lastSequence}`,
        );
      }
      this.states.set(record.id, { record: { ...record }, pending: new Set(pending) });
      if (keepsPromises || isDurable) continue;
      // Of one that nothing is known of: it may stay and it may go.
      this.#open.push({ kind: "create", id: record.id, record: { ...record } });
      for (const sequence of pending) this.#open.push({ kind: "pending", id: record.id, sequence });
    }
    if (isDurable) this.flushed(this.mark());
  }

  #check(id: number, found: RecoveredSubscription | undefined, lastSequence: number): void {
    const promised = this.#promised.get(id);
    const open = this.#open.filter((change) => change.id === id);
    if (found === undefined) {
      const mayBeGone = promised === undefined || open.some(({ kind }) => kind === "delete");
      expect(mayBeGone, () => `subscription ${id} was promised and is gone`);
      return;
    }
    const records = open.flatMap((change) => "record" in change ? [change.record] : []);
    if (promised !== undefined) records.push(promised.record);
    expect(records.length > 0, () => `subscription ${id} was deleted and is back`);
    const { record } = found;
    const isKnown = records.some((one) =>
      one.inbox === record.inbox && one.clientId === record.clientId && one.isClosed === record.isClosed &&
      one.durableName === record.durableName && one.maxInFlight === record.maxInFlight
    );
    expect(isKnown, () => `subscription ${id} has a state that it never had: ${JSON.stringify(record)}`);
    if (promised === undefined) return;
    // Deleted, though that was never safe, and its number given again: what is there may be of either.
    const deletedAt = open.findIndex(({ kind }) => kind === "delete");
    if (deletedAt >= 0 && open.slice(deletedAt).some(({ kind }) => kind === "create")) return;
    const least = Math.min(promised.record.lastSent, lastSequence);
    expect(record.lastSent >= least, () => `subscription ${id} was at ${least}, now at ${record.lastSent}`);
    const sent = new Set(open.flatMap((change) => change.kind === "pending" ? [change.sequence] : []));
    const most = Math.max(0, ...sent, ...records.map(({ lastSent }) => lastSent));
    expect(
      record.lastSent <= most,
      () => `subscription ${id} is at ${record.lastSent}, it never got more than ${most}`,
    );
    const acked = new Set(open.flatMap((change) => change.kind === "ack" ? [change.sequence] : []));
    for (const sequence of promised.pending) {
      if (acked.has(sequence) || sequence > lastSequence) continue;
      expect(found.pending.includes(sequence), () => `subscription ${id}: ${sequence} was pending and is not`);
    }
    for (const sequence of found.pending) {
      const isRight = promised.pending.has(sequence) || sent.has(sequence);
      expect(isRight, () => `subscription ${id}: ${sequence} was acknowledged and is pending again`);
    }
  }
}

/** Registrations: which ids are there. Channels, too: they come and go in the same way. */
export class NameModel {
  #promised = new Set<string>();
  #open: { readonly id: string; readonly isAdded: boolean; readonly serial: number }[] = [];
  readonly #mayBe = new Set<string>();
  readonly #promisedAt = new Map<string, number>();
  #serial = 0;
  #taken = 0;
  readonly ids = new Set<string>();

  change(id: string, isAdded: boolean): void {
    this.#open.push({ id, isAdded, serial: this.#serial++ });
    if (isAdded) this.ids.add(id);
    else this.ids.delete(id);
  }

  mark(): Mark<Set<string>> {
    return { state: new Set(this.ids), changes: this.#serial };
  }

  flushed({ state, changes }: Mark<Set<string>>): void {
    if (changes < this.#taken) return;
    // A flush that began before a name was promised in another way says nothing about it.
    for (const [id, serial] of this.#promisedAt) if (serial > changes && this.#promised.has(id)) state.add(id);
    this.#promised = state;
    this.#open = this.#open.filter(({ serial }) => serial >= changes);
    this.#taken = changes;
  }

  /** It is gone for its owner; whether the next process finds it is open. */
  maybe(id: string): void {
    this.change(id, false);
    this.#mayBe.add(id);
  }

  /** Forgets what is known; any of it may come back, because nobody has made its removal safe. */
  ignored(): void {
    for (const id of [...this.#promised, ...this.#open.map((change) => change.id)]) this.#mayBe.add(id);
    this.ids.clear();
    this.#promised = new Set();
    this.#open = [];
  }

  /** Something in it was promised, so it is there. */
  promise(id: string): void {
    this.#promised.add(id);
    this.#promisedAt.set(id, this.#serial);
    this.#open = this.#open.filter((change) => change.id !== id);
  }

  /** `what` is for the text. */
  recovered(what: string, found: ReadonlySet<string>, keepsPromises: boolean, isDurable: boolean): void {
    if (keepsPromises) {
      for (const id of this.#promised) {
        const mayBeGone = this.#open.some((change) => change.id === id && !change.isAdded);
        expect(found.has(id) || mayBeGone, () => `${what} ${id} was promised and is gone`);
      }
      for (const id of found) {
        const isKnown = this.#promised.has(id) || this.#mayBe.has(id) ||
          this.#open.some((change) => change.id === id && change.isAdded);
        expect(isKnown, () => `${what} ${id} was removed and is back`);
      }
    }
    this.ids.clear();
    for (const id of found) this.ids.add(id);
    if (isDurable) this.#mayBe.clear();
    if (isDurable || !keepsPromises) this.flushed(this.mark());
  }
}
