/**
 * The delivery engine: who gets which message when (streaming-protocol.md 15 to 18). The rules stand here as procedures
 * because their order is observable.
 */
import { LOOKUP_FAILED, LOOKUP_FOUND, LOOKUP_LATER, LOOKUP_NONE } from "../store/types.ts";
import type { Channel } from "./channel.ts";
import type { CoreContext } from "./context.ts";
import { QueueGroup } from "./queue_group.ts";
import type { StanSubscription } from "./subscription.ts";
import { type Address, REDELIVERY_SLACK_MS, START_UP_LOOK_MS, TRANSFER_REDELIVERY_MS } from "./world.ts";

const SENT = 1;
const MORE = 2;

/**
 * Bytes handed to one subscription, and to all of them, in one turn. What is left goes on in the next turn, so that a long
 * replay delays neither heartbeats nor other subscriptions, and a slow receiver is noticed before much is queued for it.
 */
const SUBSCRIPTION_TURN_BYTES = 262_144;
const TURN_BYTES = 2_097_152;
/**
 * The same while somebody waits for something else. Not for all: with little more than comes in times those who get it, ten
 * subscribers of a publisher at full speed fall behind.
 */
const AWAITED_TURN_BYTES = 524_288;
/** Redeliveries of one subscription in one pass; the rest follows a tick later. */
const REDELIVERY_PASS_COUNT = 2048;
/** When a receiver is congested its redeliveries are tried again after this time. */
const CONGESTED_RETRY_MS = 50;

export class Delivery {
  readonly #context: CoreContext;
  /** Subscriptions and groups that may have something to send, in order of the trigger. */
  #ready: (StanSubscription | QueueGroup)[] = [];
  /** The same, waiting for a receiver to catch up. */
  #waiting: (StanSubscription | QueueGroup)[] = [];
  #bytesLeft = TURN_BYTES;
  /** Highest sequence that the last `#next` found to be gone. */
  #skippedTo = 0;

  constructor(context: CoreContext) {
    this.#context = context;
  }

  /**
   * Where it is delivered to. Asked for when something is to be sent: what is kept of a subject costs as much as half of a
   * subscription, and many have nothing to receive.
   */
  #addressOf(subscription: StanSubscription): Address {
    return subscription.address ??= this.#context.world.address(subscription.record.inbox);
  }

  // Triggers -----------------------------------------------------------------------------------------------------------

  /** The subscription, or its group, may have something to send: it is pumped at the end of this turn. */
  markReady(subscription: StanSubscription): void {
    if (subscription.group !== undefined) {
      this.markGroupReady(subscription.group);
    } else if (!subscription.inReady && !subscription.waitsForDrain) {
      subscription.inReady = true;
      this.#ready.push(subscription);
    }
  }

  /** Also while it waits for a congested member: another one may have got room. */
  markGroupReady(group: QueueGroup): void {
    if (group.inReady) return;
    group.inReady = true;
    this.#ready.push(group);
  }

  #groupWaits(group: QueueGroup): void {
    if (group.waitsForDrain) return;
    group.waitsForDrain = true;
    this.#waiting.push(group);
  }

  /** New messages of the channel became visible. */
  markChannelReady(channel: Channel): void {
    if (!channel.hasAudience) return;
    const subscriptions = channel.subscriptions;
    for (let i = 0; i < subscriptions.length; i++) this.markReady(subscriptions[i]!);
    if (channel.groups.size > 0) { for (const group of channel.groups.values()) this.markGroupReady(group); }
  }

  /** Some receiver caught up; everything that waits is tried again. */
  drained(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    for (const item of waiting) {
      item.waitsForDrain = false;
      if (item.inReady) continue;
      item.inReady = true;
      this.#ready.push(item);
    }
  }

  /** Something that was held is not any more: new messages flow, and what became due meanwhile goes out. */
  released(item: StanSubscription | QueueGroup): void {
    if (item.holds !== 0) return;
    const context = this.#context;
    for (const subscription of item instanceof QueueGroup ? item.members : [item]) {
      // Whose timer still runs loses nothing; for what a leaver has just left it is the delay of 18.6 step 5.
      if (!subscription.online || subscription.armed) continue;
      if (subscription.pending.count > 0 || subscription.startingUp) context.wheel.arm(subscription, context.nowMs);
    }
    if (item instanceof QueueGroup) this.markGroupReady(item);
    else this.markReady(item);
    context.again = true;
  }

  beginTurn(): void {
    this.#bytesLeft = this.#context.world.isAwaited() ? AWAITED_TURN_BYTES : TURN_BYTES;
  }

  /** Sends what can be sent to everybody who is ready. */
  run(): void {
    if (this.#ready.length === 0) return;
    const ready = this.#ready;
    this.#ready = [];
    let i = 0;
    for (; i < ready.length && this.#bytesLeft > 0; i++) {
      const item = ready[i]!;
      item.inReady = false;
      if (item instanceof QueueGroup) this.#pumpGroup(item);
      else this.#pump(item);
    }
    // Who was not served comes before those who were and want more: a few long replays must not keep all others waiting.
    if (i < ready.length) this.#ready = [...ready.slice(i), ...this.#ready];
    if (this.#ready.length > 0) this.#context.again = true;
  }

  get hasWork(): boolean {
    return this.#ready.length > 0;
  }

  // New messages -------------------------------------------------------------------------------------------------------

  /** 15.3 */
  #pump(subscription: StanSubscription): void {
    if (!subscription.online || !subscription.initialized || subscription.holds !== 0) return;
    const channel = subscription.channel;
    const resumes = subscription.resumeLeft !== undefined;
    if (!resumes && (subscription.stalled || subscription.newOnHold || subscription.lastSent >= channel.visibleLast)) {
      return;
    }
    if (this.#context.world.isCongested(this.#addressOf(subscription))) {
      subscription.waitsForDrain = true;
      this.#waiting.push(subscription);
      return;
    }
    if (resumes && !this.#resumeSome(subscription)) {
      if (!this.#isBeingRead) this.markReady(subscription);
      return;
    }
    let budget = Math.min(SUBSCRIPTION_TURN_BYTES, this.#bytesLeft);
    const granted = budget;
    while (!subscription.stalled) {
      const sequence = this.#next(channel, subscription.lastSent + 1);
      if (this.#skippedTo > subscription.lastSent) subscription.lastSent = this.#skippedTo;
      if (sequence === 0) break;
      if (budget <= 0) {
        this.#bytesLeft -= granted - budget;
        this.markReady(subscription);
        return;
      }
      budget -= this.#context.view.end - this.#context.view.start + 64;
      if (this.#send(subscription, sequence, false, false) !== (SENT | MORE)) break;
    }
    this.#bytesLeft -= granted - budget;
  }

  /** 15.4 */
  #pumpGroup(group: QueueGroup): void {
    if (group.members.length === 0 || group.holds !== 0) return;
    const channel = group.channel;
    for (const member of group.members) {
      if (member.resumeLeft === undefined) continue;
      if (this.#context.world.isCongested(this.#addressOf(member))) return this.#groupWaits(group);
      if (!this.#resumeSome(member)) {
        if (!this.#isBeingRead) this.markGroupReady(group);
        return;
      }
    }
    if (group.newOnHold) return;
    let budget = Math.min(SUBSCRIPTION_TURN_BYTES, this.#bytesLeft);
    const granted = budget;
    let refusals = 0;
    while (group.stalledCount < group.members.length) {
      const sequence = this.#next(channel, group.lastSent + 1);
      if (this.#skippedTo > group.lastSent) group.lastSent = this.#skippedTo;
      if (sequence === 0) break;
      if (budget <= 0) {
        this.#bytesLeft -= granted - budget;
        this.markGroupReady(group);
        return;
      }
      budget -= this.#context.view.end - this.#context.view.start + 64;
      if (this.#sendToGroup(group, sequence, false, false)) {
        refusals = 0;
        continue;
      }
      // A member that was dealt more than it may hold is full without being flagged, and one without heartbeats may have
      // room while the flagged one stands first. Reference 0.25.6 stops here until the next publish or ack; the message
      // would wait although somebody can take it. One refusal each is enough: the refused one moved to the end.
      if (!this.#pickedIsFull || ++refusals >= group.members.length) break;
    }
    this.#bytesLeft -= granted - budget;
  }

  /** 15.2: the first message at or above `sequence` that exists and may be seen; 0 when there is none now. */
  #next(channel: Channel, sequence: number): number {
    const { messages, visibleLast } = channel;
    const { view } = this.#context;
    this.#skippedTo = 0;
    let at = sequence;
    while (at <= visibleLast) {
      const result = messages.lookup(at, view);
      if (result === LOOKUP_FOUND) {
        if (at > sequence) this.#skippedTo = at - 1;
        return at;
      }
      if (result !== LOOKUP_NONE) break;
      const first = messages.firstSequence;
      at = at < first ? first : at + 1;
    }
    if (at > sequence) this.#skippedTo = Math.min(at - 1, visibleLast);
    return 0;
  }

  /** 15.1. The message is in the context's view. A redelivery is counted only if it is sent (step 3). */
  #send(subscription: StanSubscription, sequence: number, redelivery: boolean, force: boolean): number {
    if (!subscription.initialized || !subscription.online || (subscription.newOnHold && !redelivery)) return 0;
    const context = this.#context;
    const pending = subscription.pending;
    const count = pending.count;
    if (!force && count >= subscription.maxInFlight) {
      subscription.stalled = true;
      return 0;
    }
    const redeliveryCount = redelivery ? subscription.countRedelivery(sequence) : 0;
    const view = context.view;
    context.now.add(this.#addressOf(subscription), view.buffer, view.start, view.end, redeliveryCount);
    if (context.journal.traceEnabled) this.#traceDelivery(subscription, sequence, redeliveryCount);
    context.counters.sentBytes += view.end - view.start;
    if (redelivery) {
      context.counters.redelivered++;
      (subscription.group ?? subscription).redelivered++;
    } else {
      context.counters.delivered++;
    }
    if (subscription.dueTick < 0) context.wheel.arm(subscription, context.nowMs + subscription.ackWaitMs);
    if (redelivery) {
      const expiry = pending.get(sequence);
      if (expiry !== -1) {
        // The old expiry plus ack wait, not now plus ack wait: the rhythm does not drift (17.2).
        pending.set(sequence, (expiry === 0 ? context.nowMs : expiry) + subscription.ackWaitMs);
        return SENT | MORE;
      }
    }
    if (!subscription.channel.store.subscriptions.addPending(subscription.record.id, sequence)) {
      // Already on its way, but not recorded: it will be sent again as new (D8, kept).
      return 0;
    }
    if (sequence > subscription.lastSent) {
      subscription.lastSent = sequence;
      subscription.record.lastSent = sequence;
    }
    pending.set(sequence, context.nowMs + subscription.ackWaitMs);
    if (!force && count + 1 === subscription.maxInFlight) {
      subscription.stalled = true;
      return SENT;
    }
    return SENT | MORE;
  }

  /** 15.5; returns true when it was sent. A redelivery counts for the group. */
  #sendToGroup(group: QueueGroup, sequence: number, redelivery: boolean, force: boolean): boolean {
    let picked = group.pick();
    if (picked === undefined) return false;
    this.#pickedIsFull = false;
    const { world } = this.#context;
    if (world.isCongested(this.#addressOf(picked))) {
      // A frozen member must not hold up the others.
      picked = group.pickAmong((member) => !world.isCongested(this.#addressOf(member)), force);
      if (picked === undefined) {
        if (!force) this.#groupWaits(group);
        return false;
      }
    }
    const wasStalled = picked.stalled;
    const result = this.#send(picked, sequence, redelivery, force);
    if (!force && !wasStalled && picked.stalled) group.stalledCount++;
    if ((result & SENT) === 0) {
      this.#pickedIsFull = picked.stalled && picked.initialized;
      return false;
    }
    if (!redelivery && picked.lastSent > group.lastSent) group.lastSent = picked.lastSent;
    this.#lastPicked = picked;
    return true;
  }

  #lastPicked: StanSubscription | undefined;
  /** A resume stopped at a message that the store has to read first; the channel is marked ready when it has. */
  #isBeingRead = false;
  /** The last pick was refused because it holds as many messages as it may. */
  #pickedIsFull = false;

  // Acknowledgements ---------------------------------------------------------------------------------------------------

  /** 16.3 */
  ack(subscription: StanSubscription, sequence: number, fromClient: boolean): void {
    const store = subscription.channel.store.subscriptions;
    const expiryMs = subscription.pending.take(sequence);
    if (expiryMs !== -1) {
      if (!store.ackPending(subscription.record.id, sequence)) {
        // Not recorded: it stays pending.
        subscription.pending.set(sequence, expiryMs);
        return;
      }
      if (fromClient) {
        subscription.forgetRedeliveries(sequence);
        this.#context.counters.acked++;
      }
    } else if (fromClient && subscription.group !== undefined) {
      // A late answer of the previous holder ends the redeliveries to its colleagues (16.3 step 2).
      const group = subscription.group;
      for (const member of group.members) {
        if (member === subscription || !member.pending.has(sequence)) continue;
        if (!store.ackPending(member.record.id, sequence)) return;
        member.pending.delete(sequence);
        group.redeliveryCounts?.delete(sequence);
        this.#context.counters.acked++;
        // D1, mended: the owner gets its place back as well.
        this.#unstall(member);
        break;
      }
    }
    this.#unstall(subscription);
  }

  #unstall(subscription: StanSubscription): void {
    if (!subscription.stalled || subscription.pending.count >= subscription.maxInFlight) return;
    subscription.stalled = false;
    if (subscription.group !== undefined && subscription.group.stalledCount > 0) subscription.group.stalledCount--;
    this.markReady(subscription);
  }

  // Redelivery ---------------------------------------------------------------------------------------------------------

  /** 17.1: the redelivery timer of `subscription` fired. */
  expire(subscription: StanSubscription): void {
    const context = this.#context;
    const { wheel, nowMs } = context;
    if (!subscription.online || subscription.channel.deleted) return;
    // `released` arms it again.
    if ((subscription.group ?? subscription).holds !== 0) return;
    const { pending, startingUp } = subscription;
    if (startingUp && nowMs < subscription.startUpUntilMs && !context.world.isHeard(this.#addressOf(subscription))) {
      // D12, mended: its client is on its way back. What were sent now would reach nobody and come again an ack wait later.
      wheel.arm(subscription, nowMs + START_UP_LOOK_MS);
      return;
    }
    if (pending.count === 0) {
      pending.shrink();
      if (startingUp) this.#startUpDone(subscription);
      return;
    }
    if (!subscription.initialized || subscription.resumeLeft !== undefined) {
      // Its response is not out yet, or the resume is sending all of it in order (19.4): a pass in between would repeat some.
      wheel.arm(subscription, nowMs + CONGESTED_RETRY_MS);
      return;
    }
    if (subscription.failedHeartbeat && subscription.group === undefined) {
      wheel.arm(subscription, nowMs + subscription.ackWaitMs);
      return;
    }
    if (this.#isBlocked(subscription)) {
      wheel.arm(subscription, nowMs + CONGESTED_RETRY_MS);
      return;
    }
    const limit = nowMs + REDELIVERY_SLACK_MS;
    const earliestMs = pending.earliestExpiryMs();
    // Nothing is due and nothing has disappeared: no need to sort. What limits removed is dropped in any pass (step 6).
    if (earliestMs > limit && !pending.hasBelow(subscription.channel.messages.firstSequence)) {
      if (startingUp) this.#startUpDone(subscription);
      wheel.arm(subscription, earliestMs);
      return;
    }
    let fixedExpiries = false;
    let passLeft = REDELIVERY_PASS_COUNT;
    let retryMs = 0;
    for (const sequence of pending.sorted()) {
      const expiry = pending.get(sequence);
      if (expiry === -1) continue;
      if (expiry === 0) {
        if (this.#setExpiryFromStamp(subscription, sequence)) fixedExpiries = true;
        else this.#dropGone(subscription, sequence);
        continue;
      }
      if (fixedExpiries) continue;
      if (expiry > limit) {
        // 17.1 step 6: one that is gone frees its place although it is not due. It is not read for that.
        if (sequence >= subscription.channel.messages.firstSequence) break;
        this.#dropGone(subscription, sequence);
        continue;
      }
      const found = subscription.channel.messages.lookup(sequence, context.view);
      if (found === LOOKUP_NONE) {
        this.#dropGone(subscription, sequence);
        continue;
      }
      if (found === LOOKUP_LATER) {
        // It is being read. The ones behind it wait, too: redeliveries keep their order.
        retryMs = nowMs + 1;
        break;
      }
      if (found === LOOKUP_FAILED) {
        retryMs = nowMs + CONGESTED_RETRY_MS;
        continue;
      }
      if (passLeft-- === 0) {
        retryMs = nowMs + 1;
        break;
      }
      if (!this.#redeliver(subscription, sequence, startingUp)) break;
    }
    if (fixedExpiries) return this.expire(subscription);
    if (startingUp && retryMs === 0) this.#startUpDone(subscription);
    if (pending.count === 0) {
      wheel.disarm(subscription);
      pending.shrink();
      return;
    }
    // 17.1 step 8. What is overdue still (inherited, or refused by its receiver) must not keep the others from their time.
    const next = Math.min(pending.earliestExpiryMs(limit), nowMs + subscription.ackWaitMs);
    wheel.arm(subscription, retryMs > 0 ? retryMs : next);
  }

  /**
   * 23.5: pending messages of a recovered subscription that are due go to it again, then new ones may flow; as soon as
   * somebody listens to its inbox, or after its ack wait.
   */
  beginStartUp(subscription: StanSubscription): void {
    subscription.startingUp = true;
    subscription.startUpUntilMs = this.#context.nowMs + subscription.ackWaitMs;
    this.expire(subscription);
  }

  #startUpDone(subscription: StanSubscription): void {
    subscription.startingUp = false;
    subscription.newOnHold = false;
    const { group } = subscription;
    if (group !== undefined) {
      if (group.members.some((member) => member.startingUp)) return;
      group.newOnHold = false;
      // 23.6: the next redelivery counts from 1 again.
      group.redeliveryCounts = undefined;
    }
    this.markReady(subscription);
  }

  /** Nobody who could take its redeliveries reads fast enough: its own receiver, or all of its group. */
  #isBlocked(subscription: StanSubscription): boolean {
    const { world } = this.#context;
    if (!world.isCongested(this.#addressOf(subscription))) return false;
    if (subscription.group === undefined) return true;
    for (const member of subscription.group.members) if (!world.isCongested(this.#addressOf(member))) return false;
    return true;
  }

  /** One pending message, in the context's view, again. False: stop this pass. */
  #redeliver(subscription: StanSubscription, sequence: number, startUp: boolean): boolean {
    const group = subscription.group;
    if (group === undefined || startUp) {
      this.#send(subscription, sequence, true, true);
      return true;
    }
    if (group.members.length === 0) return false;
    this.#lastPicked = undefined;
    if (!this.#sendToGroup(group, sequence, true, true)) return true;
    const picked: StanSubscription | undefined = this.#lastPicked;
    if (picked !== undefined && picked !== subscription) this.ack(subscription, sequence, false);
    return true;
  }

  /** Expiry of a recovered message: its stamp plus ack wait, on the monotonic clock. False: the message is gone. */
  #setExpiryFromStamp(subscription: StanSubscription, sequence: number): boolean {
    const { stamp, wallMs, nowMs } = this.#context;
    if (!subscription.channel.messages.stampOf(sequence, stamp)) return false;
    const storedMs = (stamp.stampHigh * 4_294_967_296 + stamp.stampLow) / 1e6;
    subscription.pending.set(sequence, Math.max(1, nowMs + (storedMs - wallMs) + subscription.ackWaitMs));
    return true;
  }

  /**
   * 19.4: everything pending goes out again, in sequence order, whatever max in flight is, before any new message. What does
   * not fit into this turn follows in the next ones.
   */
  beginResume(subscription: StanSubscription): void {
    subscription.resumeLeft = subscription.pending.sorted().sort((a, b) => b - a);
    this.markReady(subscription);
  }

  /** Returns true when all of it went out and new messages may flow. Else `#isBeingRead` tells what it waits for. */
  #resumeSome(subscription: StanSubscription): boolean {
    this.#isBeingRead = false;
    const left = subscription.resumeLeft!;
    const context = this.#context;
    let budget = Math.min(SUBSCRIPTION_TURN_BYTES, this.#bytesLeft);
    const granted = budget;
    while (left.length > 0 && budget > 0) {
      const sequence = left.pop()!;
      // Acknowledged meanwhile.
      if (!subscription.pending.has(sequence)) continue;
      const found = subscription.channel.messages.lookup(sequence, context.view);
      if (found === LOOKUP_LATER) {
        // Skipped, it would come by its timer, behind new messages.
        left.push(sequence);
        this.#isBeingRead = true;
        break;
      }
      if (found === LOOKUP_NONE) this.#dropGone(subscription, sequence);
      if (found !== LOOKUP_FOUND) continue;
      budget -= context.view.end - context.view.start + 64;
      this.#send(subscription, sequence, true, true);
    }
    this.#bytesLeft -= granted - budget;
    if (left.length > 0) return false;
    subscription.resumeLeft = undefined;
    subscription.newOnHold = false;
    const group = subscription.group;
    if (group !== undefined) group.newOnHold = false;
    if (subscription.pending.count >= subscription.maxInFlight && !subscription.stalled) {
      // 19.5: no new message until acks bring it below the new limit.
      subscription.stalled = true;
      if (group !== undefined) group.stalledCount++;
    }
    return true;
  }

  /** A pending message that limits have removed: acknowledged on behalf of the client, and never counted again. */
  #dropGone(subscription: StanSubscription, sequence: number): void {
    this.ack(subscription, sequence, false);
    subscription.forgetRedeliveries(sequence);
  }

  /** 18.6: deals what a leaving member had to the others, who redeliver it shortly. */
  deal(leaver: StanSubscription, group: QueueGroup): void {
    const { wheel, nowMs } = this.#context;
    const members = group.members;
    const store = group.channel.store.subscriptions;
    let index = 0;
    let highest = 0;
    const receivers = new Set<StanSubscription>();
    for (const sequence of leaver.pending.sorted()) {
      const member = members[index]!;
      index = (index + 1) % members.length;
      // D7, mended: kept pending in memory even when it could not be recorded.
      store.addPending(member.record.id, sequence);
      member.pending.set(sequence, Math.max(1, nowMs - 1000));
      if (sequence > member.lastSent) {
        member.lastSent = sequence;
        member.record.lastSent = sequence;
      }
      if (sequence > highest) highest = sequence;
      receivers.add(member);
    }
    for (const member of receivers) wheel.arm(member, nowMs + TRANSFER_REDELIVERY_MS);
    if (leaver.lastSent >= group.lastSent && highest < group.lastSent) {
      // Else a restart would take the group back (18.6 step 4).
      const heir = members[0]!;
      heir.record.lastSent = Math.max(heir.record.lastSent, group.lastSent);
      store.update(heir.record);
    }
    this.#context.touch(group.channel);
  }

  #traceDelivery(subscription: StanSubscription, sequence: number, redeliveryCount: number): void {
    const again = redeliveryCount > 0 ? "Redelivering" : "Delivering";
    this.#context.journal.trace(
      `[Client:${subscription.record.clientId}] ${again} msg to subid=${subscription.record.id}, ` +
        `subject=${subscription.channel.name}, seq=${sequence}`,
    );
  }
}
