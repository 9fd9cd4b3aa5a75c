/**
 * The contract between the streaming core and a store (stores.md 1). Every store passes tests/conformance/store.
 *
 * Staging and persisting are two steps. Everything named here except `recover` and `close` is synchronous: it changes
 * what the store will answer and stages the bytes. `flush` makes what was staged as safe as the options promise. So the
 * core can stay a machine without I/O, one flush serves a whole turn, and no acknowledgement leaves before it.
 */

/** Values for `LookupResult`. A plain number: a lookup happens per delivered message. */
export const LOOKUP_NONE = 0;
export const LOOKUP_FOUND = 1;
/** The message is there but not in memory. The store is fetching it and will call `MessageStore.onReadable`. */
export const LOOKUP_LATER = 2;
/** The message cannot be read now (an I/O error, reported by the store). Delivery of the subscription stops until its next trigger. */
export const LOOKUP_FAILED = 3;
export type LookupResult = typeof LOOKUP_NONE | typeof LOOKUP_FOUND | typeof LOOKUP_LATER | typeof LOOKUP_FAILED;

/** Where a message was found. One object is re-used for all lookups; the bytes are valid until the store is changed. */
export interface MessageView {
  /** Encoded MsgProto with fields 1 to 5: `buffer[start, end)`. */
  buffer: Uint8Array;
  start: number;
  end: number;
}

/** Values for the result of `MessageStore.append`: an encoded size above 0, or one of these. */
export const APPEND_FAILED = -1;
/** The sequence is not above the last one: nothing was changed (stores.md 1.4). */
export const APPEND_KNOWN = 0;

/** Messages of one channel. Sequences are safe integers from 1. Stamps are nanoseconds since 1970 in two u32 halves. */
export interface MessageStore {
  /** Lowest and highest sequence; 0, 0 when nothing was ever stored; `first = last + 1` when all of it is gone. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** What is kept now; what `bytes` counts differs per store (stores.md 2.4). */
  readonly messageCount: number;
  readonly byteCount: number;
  /**
   * Encodes and stages one message with the given `sequence` (the core always gives `lastSequence + 1`), enforces the
   * limits on count and bytes, and returns the size of the encoded MsgProto, or `APPEND_FAILED`, with the reason in `lastError`, when
   * nothing was stored. `reply` and `data` are ranges of `source`, copied before the call returns. `nameStart` is where the
   * name of the channel stands in `source`, too, as it does in the message of a client: then it is taken from there.
   */
  append(
    sequence: number,
    stampHigh: number,
    stampLow: number,
    source: Uint8Array,
    replyStart: number,
    replyEnd: number,
    dataStart: number,
    dataEnd: number,
    nameStart?: number,
  ): number;
  /** Text for the publisher after `APPEND_FAILED`. */
  readonly lastError: string;
  /** Why no message is taken now, as the publisher is told; empty while messages are. */
  readonly refusal: string;
  lookup(sequence: number, into: MessageView): LookupResult;
  /** Lowest kept sequence with stamp at or after the given one; 0 if nothing was ever stored; `last + 1` if none is. */
  sequenceAtOrAfter(stampHigh: number, stampLow: number): number;
  /** Stamp of the message `sequence`; false when it is not there. For limits by age and start-up redelivery. */
  stampOf(sequence: number, into: { stampHigh: number; stampLow: number }): boolean;
  /**
   * Removes from the front what `max_age` ends at the given time; returns the wall clock milliseconds at which to call
   * again, or 0 when there is nothing to wait for (no age limit, or no message).
   */
  expire(stampHigh: number, stampLow: number): number;
  /** Removes every message; `first` and `last` become 0. */
  empty(): void;
  /**
   * Stages the removal of all messages up to and including `upTo`, which is not above `lastSequence`, at the wish of an
   * operator: for good, whatever the limits are at a later start, and without freeing a sequence. They are found until the
   * `flush` that follows came back good, and for ever if it rejects: nobody acts on a removal that did not happen. Throws
   * {@link StoreError} when it cannot be staged; nothing was changed then.
   */
  purge(upTo: number): void;
  /**
   * Persists what was staged. `undefined`: done already, nothing to wait for. Rejects with {@link StoreError}: then every
   * message that was staged and not persisted is gone, `lastSequence` is that of the last one that is safe, and `append`
   * refuses until the store can write again.
   */
  flush(): Promise<void> | undefined;
  /** Set by the owner: called when a lookup that answered `LOOKUP_LATER` is worth repeating. */
  onReadable: (() => void) | undefined;
  /** Set by the owner: called once per store life when the limits first remove a message (stores.md 2.4). */
  onLimitReached: (() => void) | undefined;
}

/** Persisted state of a subscription (SubState, stores.md 1.6). Texts are byte strings: one UTF-16 unit per byte. */
export interface SubscriptionRecord {
  id: number;
  clientId: string;
  queueGroup: string;
  inbox: string;
  ackInbox: string;
  maxInFlight: number;
  ackWaitSecs: number;
  durableName: string;
  lastSent: number;
  isDurable: boolean;
  isClosed: boolean;
}

/** Subscriptions of one channel. The store keeps its own copies. */
export interface SubscriptionStore {
  readonly subscriptionCount: number;
  /** Assigns the next id (from 1) and stages the record. Throws {@link StoreError} `STORE_TOO_MANY_SUBSCRIPTIONS` at the limit. */
  create(record: SubscriptionRecord): number;
  /** Replaces the record of `record.id`; an unknown id is created. */
  update(record: SubscriptionRecord): void;
  /**
   * Puts record and pending of `record.id` in the place of what is known of it, also with a lower position, which `update`
   * never gives it; an unknown id is created. Kept or lost as one. Throws {@link StoreError} when it cannot be staged.
   */
  replace(record: SubscriptionRecord, pending: readonly number[]): void;
  /** Forgets record and pending; an unknown id is not an error. */
  delete(id: number): void;
  /** `sequence` becomes pending; the stored position rises to it. False: could not be staged (the message will be sent again). */
  addPending(id: number, sequence: number): boolean;
  /** `sequence` is no longer pending. False: could not be staged (it stays pending). */
  ackPending(id: number, sequence: number): boolean;
  flush(): Promise<void> | undefined;
}

export interface ChannelStore {
  /** Byte string. */
  readonly name: string;
  /** The same as bytes, where the store has them: one copy serves all. Not to be changed. */
  readonly nameBytes?: Uint8Array;
  readonly messages: MessageStore;
  readonly subscriptions: SubscriptionStore;
}

/** Persisted state of a registration (ClientInfo). Byte strings. */
export interface ClientRecord {
  readonly id: string;
  readonly heartbeatInbox: string;
  readonly connectionId: string;
  readonly protocol: number;
  readonly pingIntervalSecs: number;
  readonly pingMaxOut: number;
}

/** Subjects of this service (ServerInfo); recovered names beat computed ones. Byte strings. */
export interface ServerRecord {
  readonly clusterId: string;
  readonly discovery: string;
  readonly publish: string;
  readonly subscribe: string;
  readonly unsubscribe: string;
  readonly close: string;
  readonly subClose: string;
  readonly acks: string;
  readonly nodeId: string;
}

export interface RecoveredSubscription {
  readonly record: SubscriptionRecord;
  readonly pending: readonly number[];
}

export interface RecoveredState {
  readonly server: ServerRecord;
  readonly clients: readonly ClientRecord[];
  readonly channels: readonly {
    readonly store: ChannelStore;
    readonly subscriptions: readonly RecoveredSubscription[];
  }[];
}

/** Limits in force for one channel. 0 = unlimited. */
export interface ChannelLimits {
  readonly maxSubscriptions: number;
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly maxInactivityMs: number;
}

export interface StoreLimits {
  /** 0 = unlimited. */
  readonly maxChannels: number;
  /** Limits of the channel of that name (inheritance resolved by the configuration). */
  forChannel(name: string): ChannelLimits;
}

/** One store per server. */
export interface Store {
  /** `MEMORY`, `FILE`, `SQL`: what the log and the monitor show. */
  readonly name: string;
  readonly channelCount: number;
  /** Nothing ever has to be flushed, so nobody need ask. */
  readonly isInstant?: boolean;
  /** Nothing: there was no state. Rejects with {@link StoreError}: there was state that cannot be read. */
  recover(): Promise<RecoveredState | undefined>;
  init(record: ServerRecord): void;
  /** Throws {@link StoreError} `STORE_ALREADY_EXISTS` or `STORE_TOO_MANY_CHANNELS`, in this order. */
  createChannel(name: string): ChannelStore;
  channel(name: string): ChannelStore | undefined;
  /** Throws {@link StoreError} `STORE_NOT_FOUND`. */
  deleteChannel(name: string): void;
  /** Stores; an existing client of the same id is replaced. */
  addClient(record: ClientRecord): void;
  deleteClient(id: string): void;
  /** Persists server, client and channel records (not messages and subscriptions: those flush per channel). */
  flush(): Promise<void> | undefined;
  /** Flushes, closes, releases the lock. A second call does nothing. */
  close(): Promise<void>;
}

export type StoreErrorCode =
  | "STORE_TOO_MANY_CHANNELS"
  | "STORE_TOO_MANY_SUBSCRIPTIONS"
  | "STORE_ALREADY_EXISTS"
  | "STORE_NOT_FOUND"
  | "STORE_NOT_SUPPORTED"
  | "STORE_INVALID_LIMITS"
  | "STORE_CLOSED"
  | "STORE_DISK_FULL"
  | "STORE_IO"
  | "STORE_DAMAGED"
  | "STORE_WRONG_CLUSTER"
  | "STORE_LOCKED"
  /** Channels, but no server record: `init` and a second `recover` put it right (stores.md 1.2). */
  | "STORE_NO_SERVER_INFO"
  | "STORE_MEMORY_EXHAUSTED";

/** Texts that clients compare (stores.md 1.1). Everything else may be worded better at any time. */
export const STORE_ERROR_TEXT = Object.freeze({
  STORE_TOO_MANY_CHANNELS: "too many channels",
  STORE_TOO_MANY_SUBSCRIPTIONS: "too many subscriptions per channel",
  STORE_ALREADY_EXISTS: "already exists",
  STORE_NOT_FOUND: "not found",
  STORE_NOT_SUPPORTED: "not supported",
  STORE_NO_SERVER_INFO: "no server state recovered but channels present",
});

/** A store refused. `message` may go to a client, so it never holds a path. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  constructor(readonly code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
