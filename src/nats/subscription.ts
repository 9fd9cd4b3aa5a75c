/**
 * One interest in a subject: of a client connection (`target` writes a MSG frame) or of the program itself (`receiver` is
 * called). Exactly one of both is set.
 */
import type { BusReceiver } from "./bus.ts";
import type { Connection } from "./connection.ts";

export class Subscription {
  /** Null for an internal one, and once it is closed. */
  connection: Connection | null;
  receiver: BusReceiver | null;
  /** Byte string. */
  readonly subject: string;
  /** Byte string, "" for none. */
  readonly queue: string;
  /** As the client wrote it, as a byte string; "" for internal ones. */
  readonly sid: string;
  /** Deliveries since SUB (3.6: UNSUB counts from there). */
  delivered = 0;
  /** Removed after this many deliveries; 0 = no limit. */
  max = 0;
  /** Wider than something its user may not receive: single subjects are kept from it (nats-server.md 6.2). */
  filtered = false;
  /** Internal, and only looks on: who publishes must not take it for somebody who answers. */
  passive = false;
  #alone: readonly Subscription[] | undefined;

  constructor(
    connection: Connection | null,
    receiver: BusReceiver | null,
    subject: string,
    queue: string,
    sid: string,
  ) {
    this.connection = connection;
    this.receiver = receiver;
    this.subject = subject;
    this.queue = queue;
    this.sid = sid;
  }

  /** It was removed: a copy under way in the same batch must not be delivered (trap 50). */
  get closed(): boolean {
    return this.connection === null && this.receiver === null;
  }

  /** A list of this one. */
  get alone(): readonly Subscription[] {
    return this.#alone ??= [this];
  }

  /**
   * Ends it. A resolved subject may hold it until its next use, which may be never: so it lets go of what it led to, or every
   * connection that is gone would stay in memory.
   */
  close(): void {
    this.connection = null;
    this.receiver = null;
  }
}
