/** One STAN subscription: its identity, position and pending messages (streaming-protocol.md 14). */
import { TimerNode } from "../base/timer_wheel.ts";
import type { SubscriptionRecord } from "../store/types.ts";
import type { Channel } from "./channel.ts";
import type { Client } from "./client.ts";
import { PendingTable } from "./pending.ts";
import type { QueueGroup } from "./queue_group.ts";
import type { Address } from "./world.ts";

/** Bits of `holds`: an operator paused it; it is being rewound and what it gets next is not certain yet. */
export const HOLD_PAUSED = 1;
export const HOLD_REWIND = 2;

/** A subscription, and the timer of its redeliveries. */
export class StanSubscription extends TimerNode {
  readonly channel: Channel;
  /** What the store holds; kept current, so that it can be written again at any time. */
  readonly record: SubscriptionRecord;
  /** Undefined while offline (a closed durable, the shadow of a durable group). */
  client: Client | undefined = undefined;
  group: QueueGroup | undefined = undefined;
  /** Of its inbox; undefined until something is sent there, and while offline. */
  address: Address | undefined = undefined;
  readonly pending = new PendingTable();
  /** Times each pending sequence was redelivered; members of a group use the group's. Made when first needed. */
  redeliveryCounts: Map<number, number> | undefined = undefined;
  ackWaitMs: number;
  maxInFlight: number;
  lastSent: number;
  /** Holds max in flight or more; not offered new messages. Differs from the count: forced sends exceed it (trap 25). */
  stalled = false;
  /** New messages wait until the pending ones have been redelivered (a resume, a restart). */
  newOnHold = false;
  /** The response has been handed out: deliveries may begin. */
  initialized = false;
  /** The request of this life named a durable: a member that came by the literal name of a durable group did not (D15). */
  asksDurable: boolean;
  /** Recovered, and not all of what it had pending was looked at yet (23.5). */
  startingUp = false;
  /** Redeliveries of this run, for the monitor; members of a group count into the group's. */
  redelivered = 0;
  /** Until then its client is waited for, monotonic milliseconds. */
  startUpUntilMs = 0;
  /** Its client misses heartbeats. */
  failedHeartbeat = false;
  /** Why nothing is delivered to it, not even again; 0 = it is. Members of a group are held by their group's. */
  holds = 0;
  /** Ended for good, or this object was replaced. Everything that still refers to it must leave it alone. */
  closed = false;
  /** Its client has acknowledged something at this inbox: it listens there, or did. */
  everAcked = false;
  /** In the list of what is pumped in the next turn. */
  inReady = false;
  /**
   * Sequences that a resume still has to redeliver, lowest last. They go out in portions: a durable may come back to more
   * pending messages than its connection may have waiting.
   */
  resumeLeft: number[] | undefined = undefined;
  /** Waits for its receiver to catch up. */
  waitsForDrain = false;
  /** What the world keeps for the ack inbox of this incarnation. */
  listener: unknown = undefined;
  /** Grows whenever the ack inbox dies: an ack to an earlier one must not count (trap 20). */
  incarnation = 0;
  readonly #due: (subscription: StanSubscription) => void;

  constructor(
    channel: Channel,
    record: SubscriptionRecord,
    ackWaitMs: number,
    due: (subscription: StanSubscription) => void,
  ) {
    super();
    this.channel = channel;
    this.record = record;
    this.ackWaitMs = ackWaitMs;
    this.maxInFlight = record.maxInFlight;
    this.lastSent = record.lastSent;
    this.asksDurable = record.isDurable;
    this.#due = due;
  }

  get isQueueMember(): boolean {
    return this.record.queueGroup !== "";
  }

  /** A durable that is not a member of a group. */
  get isPlainDurable(): boolean {
    return this.record.isDurable && this.record.queueGroup === "";
  }

  get online(): boolean {
    return this.client !== undefined && !this.closed;
  }

  /** By an operator; of a member its group tells. */
  get isPaused(): boolean {
    return (this.holds & HOLD_PAUSED) !== 0;
  }

  override fire(): void {
    this.#due(this);
  }

  /** Counts one more redelivery of `sequence`; skips 0 when it wraps, because 0 means "first delivery". */
  countRedelivery(sequence: number): number {
    const counts = this.group !== undefined
      ? this.group.redeliveryCounts ??= new Map()
      : this.redeliveryCounts ??= new Map();
    const next = ((counts.get(sequence) ?? 0) + 1) >>> 0;
    const count = next === 0 ? 1 : next;
    counts.set(sequence, count);
    return count;
  }

  forgetRedeliveries(sequence: number): void {
    if (this.group !== undefined) this.group.redeliveryCounts?.delete(sequence);
    else this.redeliveryCounts?.delete(sequence);
  }
}
