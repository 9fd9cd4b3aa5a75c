/** Subscriptions that share the messages of a channel, with one position (streaming-protocol.md 18). */
import type { Channel } from "./channel.ts";
import { HOLD_PAUSED, type StanSubscription } from "./subscription.ts";

export class QueueGroup {
  readonly channel: Channel;
  /** `queue`, or `durable:queue`. */
  readonly name: string;
  /** In the order that decides who is next. */
  readonly members: StanSubscription[] = [];
  lastSent = 0;
  stalledCount = 0;
  newOnHold = false;
  /** As of a subscription, for all members. */
  holds = 0;
  /** Was created by, or is kept for, a durable member: it outlives its members (D15: once durable, always durable). */
  isDurable: boolean;
  /** The record that keeps a durable group alive while it has no member. */
  shadow: StanSubscription | undefined = undefined;
  redeliveryCounts: Map<number, number> | undefined = undefined;
  /** Redeliveries of this run, for the monitor. */
  redelivered = 0;
  inReady = false;
  waitsForDrain = false;

  constructor(channel: Channel, name: string, isDurable: boolean) {
    this.channel = channel;
    this.name = name;
    this.isDurable = isDurable;
  }

  /** By an operator. */
  get isPaused(): boolean {
    return (this.holds & HOLD_PAUSED) !== 0;
  }

  /**
   * Who gets the next message (18.4): among those neither stalled nor missing heartbeats the one with fewest pending, the
   * earliest in the list winning ties; if there is none, the first. A chosen first one moves to the end.
   */
  pick(): StanSubscription | undefined {
    const members = this.members;
    const count = members.length;
    if (count === 0) return undefined;
    let chosen = -1;
    let fewest = Infinity;
    for (let i = 0; i < count; i++) {
      const member = members[i]!;
      if (member.stalled || member.failedHeartbeat) continue;
      const pending = member.pending.count;
      if (pending < fewest) {
        fewest = pending;
        chosen = i;
        if (pending === 0) break;
      }
    }
    if (chosen < 0) chosen = 0;
    const member = members[chosen]!;
    if (chosen === 0 && count > 1) {
      for (let i = 1; i < count; i++) members[i - 1] = members[i]!;
      members[count - 1] = member;
    }
    return member;
  }

  /**
   * The same among those who are `usable`, when the one chosen is not. A redelivery may go to a stalled one if there is no
   * other (17.6). The order stays as `pick` left it.
   */
  pickAmong(usable: (member: StanSubscription) => boolean, redelivery: boolean): StanSubscription | undefined {
    let chosen: StanSubscription | undefined;
    let last: StanSubscription | undefined;
    for (const member of this.members) {
      if (!usable(member)) continue;
      last ??= member;
      if (member.stalled || member.failedHeartbeat) continue;
      if (chosen === undefined || member.pending.count < chosen.pending.count) chosen = member;
    }
    return chosen ?? (redelivery ? last : undefined);
  }

  /** Takes a member out; its place is filled with the last of the list. */
  removeMember(member: StanSubscription): boolean {
    const at = this.members.indexOf(member);
    if (at < 0) return false;
    const last = this.members.pop()!;
    if (at < this.members.length) this.members[at] = last;
    return true;
  }
}
