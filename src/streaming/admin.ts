/**
 * What operators may do to channels and subscriptions: delete a channel, remove messages, delete a durable, pause, resume and
 * rewind. Requests come in like events of clients, between two turns, and are staged into the group of the open turn; they are
 * answered when the stores of that group came back good, as an acknowledgement is.
 *
 *   request -> refused                                  nothing was changed
 *           -> done (pause, resume)                     nothing has to be stored
 *           -> staged -> flushed -> done                as safe as the options promise
 *                     -> not flushed -> failed          taken back; the two exceptions below say what is left
 *
 * Between staging and the end of the flush:
 *
 * | action         | what others see                                        | taken back                               |
 * | -------------- | ------------------------------------------------------ | ---------------------------------------- |
 * | purge          | all messages: the store removes them when they are safe | by the store                             |
 * | rewind         | nothing is delivered to it; acks of before are unknown | old position and pending messages        |
 * | delete-durable | it is gone; who asks for the name gets a new one       | offline again, unless the name was taken |
 * | delete-channel | it is gone; a publish makes a new one                  | not: it may come back at the next start  |
 *
 * `force` ends the subscriptions that are in the way first. Nothing in the protocol tells their clients: they get no more
 * messages, and their acks reach nobody. That is not taken back.
 */
import { displayText } from "../base/bytes.ts";
import { StoreError } from "../store/types.ts";
import { type Channel, durableKey } from "./channel.ts";
import type { CoreContext } from "./context.ts";
import type { Delivery } from "./delivery.ts";
import { QueueGroup } from "./queue_group.ts";
import type { Subscribing } from "./subscribing.ts";
import { HOLD_PAUSED, HOLD_REWIND, type StanSubscription } from "./subscription.ts";

/**
 * Names one or more subscriptions of a channel, all texts byte strings: a durable (`clientId` may be empty when only one
 * client has a durable of that name), a durable group (`durableName` and `queueGroup`), a group (`queueGroup`), or what a
 * client has that is in no group (`clientId` alone).
 */
export interface AdminTarget {
  readonly durableName: string;
  readonly clientId: string;
  readonly queueGroup: string;
}

/** Where a rewound subscription goes on. `last`: the last message is the next one delivered. */
export type RewindPosition =
  | { readonly kind: "first" | "last" }
  | { readonly kind: "sequence"; readonly sequence: number }
  | { readonly kind: "time"; readonly stampHigh: number; readonly stampLow: number };

/** One action. `channel` is a byte string. */
export type AdminRequest =
  | { readonly kind: "deleteChannel"; readonly channel: string; readonly force: boolean }
  /** `upTo` undefined: all of them. */
  | { readonly kind: "purge"; readonly channel: string; readonly upTo: number | undefined }
  | { readonly kind: "deleteDurable"; readonly channel: string; readonly target: AdminTarget; readonly force: boolean }
  | { readonly kind: "pause" | "resume"; readonly channel: string; readonly target: AdminTarget }
  | {
    readonly kind: "rewind";
    readonly channel: string;
    readonly target: AdminTarget;
    readonly to: RewindPosition;
  };

/** Why an action was not carried out. */
export type AdminRefusal = "BAD_REQUEST" | "NOT_FOUND" | "CONFLICT" | "STORE_FAILED";

/** What became of an action. Facts and texts are for people and programs, names in them as people read them. */
export type AdminOutcome =
  | { readonly ok: true; readonly facts: Readonly<Record<string, number | string | boolean>> }
  | { readonly ok: false; readonly code: AdminRefusal; readonly message: string };

/** Called once, within the call that asked or a later turn. */
export type AdminFinish = (outcome: AdminOutcome) => void;

/** What the core does for this part. */
export interface AdminHost {
  find(name: string): Channel | undefined;
  /** Takes a channel without subscriptions out of the tables and the store. Throws {@link StoreError}. */
  removeChannel(channel: Channel): void;
  checkInactivity(channel: Channel): void;
}

/** A subscription or a group before it was rewound. */
interface Position {
  readonly subscription: StanSubscription;
  readonly lastSent: number;
  readonly recordLastSent: number;
  readonly pending: readonly (readonly [sequence: number, expiryMs: number])[];
}

class Refusal extends Error {
  constructor(readonly code: AdminRefusal, message: string) {
    super(message);
  }
}

const UNTOLD =
  "The protocol has no word for it: their clients are not told, they get no more messages until they subscribe again";

export class Administration {
  readonly #context: CoreContext;
  readonly #delivery: Delivery;
  readonly #subscribing: Subscribing;
  readonly #host: AdminHost;

  constructor(context: CoreContext, delivery: Delivery, subscribing: Subscribing, host: AdminHost) {
    this.#context = context;
    this.#delivery = delivery;
    this.#subscribing = subscribing;
    this.#host = host;
  }

  /** Carries `request` out, or says why not. */
  perform(request: AdminRequest, finish: AdminFinish): void {
    try {
      const channel = this.#host.find(request.channel);
      if (channel === undefined) {
        throw new Refusal("NOT_FOUND", `there is no channel "${displayText(request.channel)}"`);
      }
      switch (request.kind) {
        case "deleteChannel":
          return this.#deleteChannel(channel, request.force, finish);
        case "purge":
          return this.#purge(channel, request.upTo, finish);
        case "deleteDurable":
          return this.#deleteDurable(channel, request.target, request.force, finish);
        case "pause":
        case "resume":
          return this.#pause(channel, request.target, request.kind === "pause", finish);
        case "rewind":
          return this.#rewind(channel, request.target, request.to, finish);
      }
    } catch (error) {
      if (error instanceof Refusal) return finish({ ok: false, code: error.code, message: error.message });
      if (error instanceof StoreError) {
        return finish({ ok: false, code: "STORE_FAILED", message: reasonOf(error.message) });
      }
      throw error;
    }
  }

  /** Answers when what was staged is safe. `undo` undefined: there is nothing to take back, `left` says what remains. */
  #whenSafe(
    finish: AdminFinish,
    facts: () => Record<string, number | string | boolean>,
    end: { readonly done?: () => void; readonly undo?: () => void; readonly left: string },
  ): void {
    this.#context.groups.whole().actions.push({
      done: () => {
        end.done?.();
        finish({ ok: true, facts: facts() });
      },
      failed: (error) => {
        end.undo?.();
        finish({ ok: false, code: "STORE_FAILED", message: `${reasonOf(error)}. ${end.left}` });
      },
    });
  }

  // Channels -----------------------------------------------------------------------------------------------------------

  #deleteChannel(channel: Channel, force: boolean, finish: AdminFinish): void {
    const online = [...channel.online()];
    const offline = offlineOf(channel);
    if (!force && online.length + offline.length > 0) {
      throw new Refusal(
        "CONFLICT",
        `the channel has ${online.length} subscriptions and ${offline.length} offline durables. They end with the channel ` +
          `when "force" is true`,
      );
    }
    const messages = channel.messages.messageCount;
    for (const subscription of online) this.#subscribing.end(subscription, "unsubscribe");
    for (const subscription of offlineOf(channel)) subscription.closed = true;
    this.#host.removeChannel(channel);
    this.#context.groups.whole().storeTouched = true;
    const facts: Record<string, number | string> = {
      removed_messages: messages,
      closed_subscriptions: online.length,
      removed_durables: offline.length,
    };
    if (online.length > 0) facts["note"] = UNTOLD;
    this.#whenSafe(finish, () => facts, {
      left: "The channel is gone from this server, but it may come back at the next start: delete it again then",
    });
  }

  #purge(channel: Channel, upTo: number | undefined, finish: AdminFinish): void {
    const { messages } = channel;
    const last = messages.lastSequence;
    if (upTo !== undefined && upTo > last) {
      throw new Refusal("BAD_REQUEST", `"up_to" is ${upTo}, but the last sequence of the channel is ${last}`);
    }
    const countBefore = messages.messageCount;
    messages.purge(upTo ?? last);
    this.#context.touch(channel);
    this.#whenSafe(finish, () => {
      const storedSince = messages.lastSequence - last;
      return {
        removed_messages: Math.max(0, countBefore + storedSince - messages.messageCount),
        first_seq: messages.firstSequence,
        last_seq: messages.lastSequence,
      };
    }, {
      // Whoever has such a message pending is told nothing and waits for no ack any more: as with limits, when it is due.
      left: "All messages are still there",
    });
  }

  // Durables -----------------------------------------------------------------------------------------------------------

  #deleteDurable(channel: Channel, target: AdminTarget, force: boolean, finish: AdminFinish): void {
    const found = this.#durableOf(channel, target);
    const online = found instanceof QueueGroup ? [...found.members] : found.online ? [found] : [];
    if (online.length > 0 && !force) {
      throw new Refusal(
        "CONFLICT",
        `it is online (client ${
          online.map(({ record }) => displayText(record.clientId)).join(", ")
        }). Close it in the ` +
          `application, or ask with "force": true, which closes it here`,
      );
    }
    // The last of a group stays as its shadow, as when its client closes it.
    for (const subscription of online) this.#subscribing.end(subscription, "close");
    const kept = found instanceof QueueGroup ? found.shadow : found;
    const { subscriptions } = channel.store;
    if (kept !== undefined) subscriptions.delete(kept.record.id);
    const pending = kept?.pending.sorted() ?? [];
    const put = () => this.#putDurable(channel, found, kept);
    if (kept !== undefined) kept.closed = true;
    if (found instanceof QueueGroup) channel.removeGroup(found);
    else channel.durables.delete(durableKey(found.record.clientId, found.record.durableName));
    this.#context.touch(channel);
    const facts: Record<string, number | string> = {
      last_sent: found.lastSent,
      pending_forgotten: pending.length,
      closed_subscriptions: online.length,
    };
    if (online.length > 0) facts["note"] = UNTOLD;
    this.#whenSafe(finish, () => facts, {
      undo: () => {
        if (kept === undefined || !put()) return;
        this.#guarded(() => subscriptions.replace(kept.record, pending));
      },
      left: online.length > 0 ? "It was closed and is kept, offline" : "It is kept as it was",
    });
  }

  /** Back into the tables; false: the channel is gone, or somebody has the name by now. */
  #putDurable(channel: Channel, found: StanSubscription | QueueGroup, kept: StanSubscription | undefined): boolean {
    if (channel.deleted || kept === undefined) return false;
    if (found instanceof QueueGroup) {
      if (channel.groups.has(found.name)) return false;
      channel.addGroup(found);
    } else {
      const key = durableKey(found.record.clientId, found.record.durableName);
      if (channel.durables.has(key)) return false;
      channel.durables.set(key, found);
    }
    kept.closed = false;
    return true;
  }

  #rewind(channel: Channel, target: AdminTarget, to: RewindPosition, finish: AdminFinish): void {
    const found = this.#durableOf(channel, target);
    if ((found.holds & HOLD_REWIND) !== 0) throw new Refusal("CONFLICT", "it is being rewound already");
    const position = positionOf(channel, to);
    const parts = found instanceof QueueGroup ? partsOf(found) : [found];
    const before = parts.map((subscription) => positionBefore(subscription));
    const lastSentBefore = found.lastSent;
    const countsBefore = found.redeliveryCounts;
    const { subscriptions } = channel.store;
    let staged = 0;
    try {
      for (const { record } of parts) {
        subscriptions.replace({ ...record, lastSent: position }, []);
        staged++;
      }
    } catch (error) {
      for (const part of before.slice(0, staged)) this.#restate(channel, part);
      throw error;
    }
    for (const subscription of parts) this.#setBack(subscription, position);
    found.lastSent = position;
    found.redeliveryCounts = undefined;
    if (found instanceof QueueGroup) {
      found.stalledCount = 0;
      found.newOnHold = found.members.some(({ newOnHold }) => newOnHold);
    }
    // What is added to the store before the record of the new position is safe would raise the position again.
    found.holds |= HOLD_REWIND;
    this.#context.touch(channel);
    const release = () => {
      found.holds &= ~HOLD_REWIND;
      this.#delivery.released(found);
    };
    const facts = {
      last_sent_before: lastSentBefore,
      last_sent: position,
      pending_forgotten: before.reduce((sum, { pending }) => sum + pending.length, 0),
    };
    this.#whenSafe(finish, () => facts, {
      done: release,
      undo: () => {
        found.lastSent = lastSentBefore;
        found.redeliveryCounts = countsBefore;
        for (const part of before) this.#putBack(channel, part);
        if (found instanceof QueueGroup) found.stalledCount = found.members.filter(({ stalled }) => stalled).length;
        release();
      },
      left: "Its position and what it has pending are as they were",
    });
  }

  /** As if it had never got more than `position`, and nothing of that were pending. */
  #setBack(subscription: StanSubscription, position: number): void {
    subscription.lastSent = position;
    subscription.record.lastSent = position;
    subscription.pending.clear();
    subscription.resumeLeft = undefined;
    subscription.stalled = false;
    // One whose client is not back yet after a restart goes on waiting for it.
    if (!subscription.startingUp) subscription.newOnHold = false;
  }

  #putBack(channel: Channel, part: Position): void {
    const { subscription } = part;
    // Ended, or the group dealt what it had meanwhile: its messages are gone with it.
    if (subscription.closed || channel.deleted) return;
    subscription.lastSent = part.lastSent;
    subscription.record.lastSent = part.recordLastSent;
    for (const [sequence, expiryMs] of part.pending) subscription.pending.set(sequence, expiryMs);
    subscription.stalled = subscription.online && subscription.pending.count >= subscription.maxInFlight;
    this.#restate(channel, part);
  }

  #restate(channel: Channel, { subscription, recordLastSent, pending }: Position): void {
    const record = { ...subscription.record, lastSent: recordLastSent };
    this.#guarded(() => channel.store.subscriptions.replace(record, pending.map(([sequence]) => sequence)));
  }

  /** The disk refused once already; that it refuses again is for the log. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#context.journal.error(`Taking a console action back: ${error.message}`);
    }
  }

  // Pause --------------------------------------------------------------------------------------------------------------

  /**
   * A paused subscription gets neither new messages nor redeliveries. Its acks count, its client is asked for heartbeats, and
   * ack waits run: what is overdue goes out when it is resumed. A group is paused as a whole, also for members that come and
   * for what members leave behind. A durable stays paused while it is offline; nothing of it outlives the server.
   */
  #pause(channel: Channel, target: AdminTarget, isPause: boolean, finish: AdminFinish): void {
    const found = this.#subscriptionsOf(channel, target);
    let changed = 0;
    for (const item of found) {
      if ((item.holds & HOLD_PAUSED) !== 0 === isPause) continue;
      changed++;
      if (isPause) item.holds |= HOLD_PAUSED;
      else {
        item.holds &= ~HOLD_PAUSED;
        this.#delivery.released(item);
      }
    }
    this.#context.again = true;
    finish({
      ok: true,
      facts: {
        subscriptions: found.length,
        changed,
        is_paused: isPause,
        ...(isPause ? { note: "Not kept over a restart of the server" } : {}),
      },
    });
  }

  // Finding ------------------------------------------------------------------------------------------------------------

  /** The one durable, or durable group, that `target` names. */
  #durableOf(channel: Channel, target: AdminTarget): StanSubscription | QueueGroup {
    const { durableName, clientId, queueGroup } = target;
    if (durableName === "") throw new Refusal("BAD_REQUEST", `"durable_name" is missing`);
    if (queueGroup !== "") {
      const group = channel.groups.get(`${durableName}:${queueGroup}`);
      if (group === undefined || !group.isDurable) {
        throw new Refusal(
          "NOT_FOUND",
          `the channel has no durable group "${displayText(durableName)}" of queue "${displayText(queueGroup)}"`,
        );
      }
      return group;
    }
    const found = clientId !== ""
      ? [channel.durables.get(durableKey(clientId, durableName))].filter((one) => one !== undefined)
      : [...channel.durables.values()].filter(({ record }) => record.durableName === durableName);
    if (found.length === 0) {
      const of = clientId === "" ? "" : ` of client "${displayText(clientId)}"`;
      throw new Refusal("NOT_FOUND", `the channel has no durable "${displayText(durableName)}"${of}`);
    }
    if (found.length > 1) {
      throw new Refusal(
        "CONFLICT",
        `${found.length} clients have a durable "${displayText(durableName)}": name one with "client_id"`,
      );
    }
    return found[0]!;
  }

  #subscriptionsOf(channel: Channel, target: AdminTarget): (StanSubscription | QueueGroup)[] {
    const { durableName, clientId, queueGroup } = target;
    if (durableName !== "") return [this.#durableOf(channel, target)];
    if (queueGroup !== "") {
      const group = channel.groups.get(queueGroup);
      if (group !== undefined) return [group];
      throw new Refusal("NOT_FOUND", `the channel has no queue group "${displayText(queueGroup)}"`);
    }
    if (clientId === "") {
      throw new Refusal("BAD_REQUEST", `one of "durable_name", "queue_name" and "client_id" is needed`);
    }
    const found = channel.subscriptions.filter(({ record }) => record.clientId === clientId);
    if (found.length > 0) return found;
    const isMember = [...channel.groups.values()].some((group) =>
      group.members.some(({ record }) => record.clientId === clientId)
    );
    throw new Refusal(
      "NOT_FOUND",
      `client "${displayText(clientId)}" has no subscription of its own in this channel` +
        (isMember ? `; it is member of a queue group, which is named with "queue_name" and stops as a whole` : ""),
    );
  }
}

/** Stores have texts for publishers. */
function reasonOf(error: string): string {
  return error.replace(/^stan: (?:not stored: )?/, "");
}

/** Durables and shadows of groups without a client. */
function offlineOf(channel: Channel): StanSubscription[] {
  const offline = [...channel.durables.values()].filter(({ online }) => !online);
  for (const { shadow } of channel.groups.values()) if (shadow !== undefined) offline.push(shadow);
  return offline;
}

function partsOf(group: QueueGroup): StanSubscription[] {
  return group.shadow === undefined ? [...group.members] : [...group.members, group.shadow];
}

function positionBefore(subscription: StanSubscription): Position {
  const { pending } = subscription;
  return {
    subscription,
    lastSent: subscription.lastSent,
    recordLastSent: subscription.record.lastSent,
    pending: pending.sorted().map((sequence) => [sequence, pending.get(sequence)] as const),
  };
}

/** "Last sent" for `to`. What is not safe yet is not there yet. */
function positionOf(channel: Channel, to: RewindPosition): number {
  const { messages, visibleLast } = channel;
  const before = Math.max(0, messages.firstSequence - 1);
  switch (to.kind) {
    case "first":
      return Math.min(before, visibleLast);
    case "last":
      return Math.max(0, visibleLast - 1);
    case "sequence":
      if (to.sequence < 1 || to.sequence > visibleLast + 1) {
        throw new Refusal(
          "BAD_REQUEST",
          `sequence ${to.sequence} is not between 1 and ${visibleLast + 1}, the one that is stored next`,
        );
      }
      return to.sequence - 1;
    case "time": {
      const sequence = messages.sequenceAtOrAfter(to.stampHigh, to.stampLow);
      return Math.min(Math.max(0, sequence - 1), visibleLast);
    }
  }
}
