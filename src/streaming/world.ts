/**
 * What the streaming core asks of its surroundings. All of it is synchronous and has no effect of its own, so a simulation
 * can stand in for it and one seed replays a whole run (style.md 2).
 */

/** A subject that is sent to; made and understood by the bus only. */
export interface Address {
  /** Byte string. */
  readonly subject: string;
}

export interface World {
  address(subject: string): Address;
  release(address: Address): void;
  /** True while the receiver has so much output waiting that deliveries should stop; `core.drained()` follows. */
  isCongested(address: Address): boolean;
  /** True when somebody listens there, as far as this side knows. */
  isHeard(address: Address): boolean;
  /** True while somebody waits for something small, so that a turn should not take long. */
  isAwaited(): boolean;
  /** A name of 22 characters that nobody else uses. */
  uniqueName(): string;
  /** Asks for a turn although no event came: a store has something to read now. */
  wake(): void;
}

/** Where the core writes down what happened, for people. */
export interface Journal {
  readonly debugEnabled: boolean;
  readonly traceEnabled: boolean;
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
  debug(text: string): void;
  trace(text: string): void;
}

/** Settings of the core; the names of operations.md 1.3 stand behind them. */
export interface CoreOptions {
  readonly heartbeatIntervalMs: number;
  readonly heartbeatTimeoutMs: number;
  readonly heartbeatFailCount: number;
  readonly replaceDurable: boolean;
  /** Largest message a subscriber can be sent. */
  readonly maxPayload: number;
  /** For ported tests only: a negative ack wait means that many milliseconds (streaming-protocol.md 12.4). */
  readonly testNegativeAckWaitMs: boolean;
  /** Seed of the hash tables. */
  readonly seed: number;
}

/** Wait for the answer of the old client when a client ID is taken (streaming-protocol.md 7.6). */
export const DUPLICATE_PROBE_MS = 500;
/** How often a recovered subscription looks whether its client listens again. */
export const START_UP_LOOK_MS = 50;
/** Redeliveries due within this time go out in one pass (17.1). */
export const REDELIVERY_SLACK_MS = 15;
/** Members that inherit messages of one that left redeliver them after this time (18.6). */
export const TRANSFER_REDELIVERY_MS = 100;
