/** How far durables and queue groups are behind (`/metrics`): in messages, and in the age of the oldest one. */
import { displayText } from "../../base/bytes.ts";
import type { Channel } from "../../streaming/channel.ts";
import type { QueueGroup } from "../../streaming/queue_group.ts";
import type { StanSubscription } from "../../streaming/subscription.ts";

/** The position of a durable, or of a queue group as a whole. */
export interface Position {
  /** "" for a group: its members share the position. */
  readonly clientId: string;
  readonly durable: string;
  readonly queue: string;
  /** Neither delivered nor acknowledged. */
  readonly lagMessages: number;
  readonly lagSeconds: number;
  readonly pending: number;
  readonly redelivered: number;
  readonly isStalled: boolean;
  /** Clients that are online. */
  readonly members: number;
}

/** Every position of a channel. A store on disk reads one index record for each that lags. */
export function* positionsOf(channel: Channel, nowNs: bigint): IterableIterator<Position> {
  for (const durable of channel.durables.values()) yield durablePosition(channel, durable, nowNs);
  for (const group of channel.groups.values()) yield groupPosition(channel, group, nowNs);
}

function durablePosition(channel: Channel, durable: StanSubscription, nowNs: bigint): Position {
  const { record, pending } = durable;
  return {
    clientId: displayText(record.clientId),
    durable: displayText(record.durableName),
    queue: "",
    ...lagOf(channel, durable.lastSent, pending.count, pending.lowest(), nowNs),
    redelivered: durable.redelivered,
    isStalled: durable.online && durable.stalled,
    members: durable.online ? 1 : 0,
  };
}

function groupPosition(channel: Channel, group: QueueGroup, nowNs: bigint): Position {
  let pending = 0;
  let lowest = 0;
  const add = (member: StanSubscription) => {
    pending += member.pending.count;
    const own = member.pending.lowest();
    if (own !== 0 && (lowest === 0 || own < lowest)) lowest = own;
  };
  for (const member of group.members) add(member);
  if (group.shadow !== undefined) add(group.shadow);
  const { durable, queue } = groupNames(group.name, group.isDurable);
  return {
    clientId: "",
    durable: displayText(durable),
    queue: displayText(queue),
    ...lagOf(channel, group.lastSent, pending, lowest, nowNs),
    redelivered: group.redelivered,
    isStalled: group.members.length > 0 && group.stalledCount >= group.members.length,
    members: group.members.length,
  };
}

/** A durable group is called `durable:queue`, and a durable name holds no colon. */
export function groupNames(name: string, isDurable: boolean): { durable: string; queue: string } {
  const colon = isDurable ? name.indexOf(":") : -1;
  return colon < 0 ? { durable: "", queue: name } : { durable: name.slice(0, colon), queue: name.slice(colon + 1) };
}

function lagOf(channel: Channel, lastSent: number, pending: number, lowestPending: number, nowNs: bigint) {
  const { messages, visibleLast } = channel;
  const first = messages.firstSequence;
  // What the limits have removed nobody waits for.
  const next = Math.max(lastSent + 1, first);
  const undelivered = Math.max(0, visibleLast - next + 1);
  const lagMessages = undelivered + pending;
  let lagSeconds = 0;
  if (lagMessages > 0) {
    const oldest = pending > 0 ? Math.max(lowestPending, first) : next;
    const stamp = { stampHigh: 0, stampLow: 0 };
    if (messages.stampOf(oldest, stamp)) {
      const ageNs = nowNs - ((BigInt(stamp.stampHigh) << 32n) | BigInt(stamp.stampLow));
      lagSeconds = Math.max(0, Number(ageNs / 1_000_000n) / 1000);
    }
  }
  return { lagMessages, lagSeconds, pending };
}
