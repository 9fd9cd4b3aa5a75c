/**
 * How the streaming layer meets NATS: it subscribes, receives, and sends without knowing whether the server is embedded
 * (no socket, no copy that is not needed) or an outside one. Both implementations pass tests/conformance/bus.
 *
 * Contract (nats-server.md 14): receivers run inside the delivery of the publisher's batch, in the order of the bytes; what
 * is sent from inside a receiver to another receiver is delivered after the batch item, never recursively; a message to a
 * client goes through that client's ordinary output queue with its limits.
 */

/** One message to a receiver. The same object every time; everything in it is valid only during the call. */
export interface BusMessage {
  readonly buffer: Uint8Array;
  readonly subjectStart: number;
  readonly subjectEnd: number;
  /** `replyStart === replyEnd`: no reply was asked for. */
  readonly replyStart: number;
  readonly replyEnd: number;
  /** Without headers. */
  readonly payloadStart: number;
  readonly payloadEnd: number;
  /** True for a "no responders" status instead of an answer. */
  readonly noResponders: boolean;
  /**
   * What the receiver sets here comes back with later messages on the same subject: a hint that saves looking the same thing up
   * again. One per subject, so only one receiver of a subject may use it; a bus may forget it at any time.
   */
  note: unknown;
  /** Where an answer goes; undefined without reply subject. May be kept. */
  replyDestination(): Destination | undefined;
}

export interface BusReceiver {
  /** `through` is what `subscribe` returned: a receiver of many subscriptions is told which of them it is. */
  receive(message: BusMessage, through: BusSubscription): void;
}

export interface BusSubscription {
  /** What it was made for, as `subscribe` was told: one receiver may serve thousands, and needs no object for each. */
  readonly owner: unknown;
  unsubscribe(): void;
}

/**
 * A subject that is sent to. Get it once, keep it as long as you like: sending to it needs no lookup. `release` says that it
 * is not kept any longer.
 */
export interface Destination {
  /** Byte string. */
  readonly subject: string;
}

export interface Bus {
  /** Byte strings. Takes effect at once for everything that is received afterwards. */
  subscribe(subject: string, receiver: BusReceiver, owner?: unknown): BusSubscription;
  /**
   * Sees the messages of clients on `subject` without counting as interest: a request that nobody else takes is still answered
   * with "no responders". Absent where the far side cannot keep the two apart; nothing but diagnosis may need it.
   */
  watch?(subject: string, receiver: BusReceiver): BusSubscription;
  destination(subject: string): Destination;
  release(destination: Destination): void;
  /**
   * Sends `head[start, end)` followed by `tail[0, tailLength)`. Returns how many subscriptions it reached, as far as this
   * side knows; 0 = nobody. The bytes are copied before the call returns.
   */
  send(
    destination: Destination,
    head: Uint8Array,
    start: number,
    end: number,
    tail: Uint8Array,
    tailLength: number,
  ): number;
  /** Sends with a reply subject. Returns 0 when nobody listens: the "no responders" case, known at once. */
  request(destination: Destination, reply: string, payload: Uint8Array): number;
  /** True while a receiver of this subject has so much output waiting that bulk senders should stop. */
  isCongested(destination: Destination): boolean;
  /** True when somebody listens there, as far as this side knows. */
  isHeard(destination: Destination): boolean;
  /** Called when a congested receiver has caught up: it is worth trying again. */
  onDrained: (() => void) | undefined;
  /** Largest payload a receiver can be sent. */
  readonly maxPayload: number;
}
