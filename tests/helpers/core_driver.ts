/**
 * Runs the streaming core the way src/server/driver.ts does, without bus, clock and promises: time is set by hand, what
 * leaves goes to an outlet, and a flush ends when its ticket is completed. Unit tests and the simulation share it, so that
 * both exercise the order in which a real driver carries out effects.
 */
import { bytesOf, byteString } from "../../src/base/bytes.ts";
import type { Store } from "../../src/store/types.ts";
import type { Channel } from "../../src/streaming/channel.ts";
import type { StreamingCore } from "../../src/streaming/core.ts";
import type { StanSubscription } from "../../src/streaming/subscription.ts";
import type { TurnGroup } from "../../src/streaming/turn_groups.ts";
import type { Address } from "../../src/streaming/world.ts";
import { decodePubMsg, encodeRedeliveryTail, PubMsgView } from "../../src/wire/stan_hot.ts";

/** The requests of clients, by the subject they travel on. */
export type RequestKind = "connect" | "close" | "ping" | "publish" | "subscribe" | "unsubscribe" | "closeSubscription";

/** Where things leave to. */
export interface Outlet {
  /** Sends; 0 says that nobody listens there. */
  send(subject: string, payload: Uint8Array): number | void;
  /** Sends an empty request; returns how many receivers it reached. */
  request(subject: string, serial: number): number;
  /** Called before the core learns that nobody listened. */
  unanswerable?(serial: number): void;
}

/** A flush under way. Stands where a promise stands in production, because tests decide when it ends. */
export class FlushTicket {
  done = false;
  #then: (() => void) | undefined;

  whenDone(then: () => void): void {
    if (this.done) then();
    else this.#then = then;
  }

  complete(): void {
    if (this.done) return;
    this.done = true;
    this.#then?.();
  }
}

interface Listener {
  readonly subscription: StanSubscription;
  readonly incarnation: number;
  readonly inbox: string;
}

/** Wall clock at monotonic 0 in tests: 2026-01-01, so that stamps have the size they have in life. */
export const EPOCH_MS = 1_767_225_600_000;

export class CoreDriver {
  readonly core: StreamingCore;
  readonly #store: Store;
  readonly #outlet: Outlet;
  readonly #listeners = new Map<string, Listener>();
  /** What `publish` returned, by the channel in the subject. */
  readonly #hints = new Map<string, Channel>();
  /** Where the publish before this one went. */
  #publishedTo = "";
  #publishCount = 0;
  /** Called when the core wants another turn. */
  onTurnWanted: () => void = () => {};
  /** Moved by the test. */
  nowMs = 0;
  /** Wall clock minus monotonic clock. */
  wallOffsetMs = EPOCH_MS;
  begun = false;
  /** Time of the core: that of the first event of its batch. */
  coreNowMs = 0;
  coreWallNs = 0n;

  constructor(core: StreamingCore, store: Store, outlet: Outlet) {
    this.core = core;
    this.#store = store;
    this.#outlet = outlet;
  }

  /** Wall clock in nanoseconds. */
  get wallNs(): bigint {
    return BigInt(Math.round((this.nowMs + this.wallOffsetMs) * 1000)) * 1000n;
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  get flushesInFlight(): number {
    return this.core.flightCount;
  }

  begin(): void {
    if (this.begun) return;
    this.#readClock();
    this.onTurnWanted();
  }

  #readClock(): void {
    this.begun = true;
    const wall = this.wallNs;
    this.coreNowMs = this.nowMs;
    this.coreWallNs = wall;
    this.core.setTime(this.nowMs, Number(wall >> 32n), Number(wall & 0xffff_ffffn));
  }

  serve(kind: RequestKind, payload: Uint8Array, reply: string | undefined): void {
    this.begin();
    const address = reply === undefined ? undefined : { subject: reply };
    const { core } = this;
    // Offset on purpose: the core must not take a payload for a buffer of its own.
    const buffer = new Uint8Array(payload.length + 6);
    buffer.fill(0xee);
    buffer.set(payload, 3);
    const end = 3 + payload.length;
    switch (kind) {
      case "connect":
        return core.connect(buffer, 3, end, address);
      case "close":
        return core.closeClient(buffer, 3, end, address);
      case "ping":
        return core.ping(buffer, 3, end, address);
      case "publish":
        return this.#publish(payload, address);
      case "subscribe":
        return core.subscribe(buffer, 3, end, address);
      case "unsubscribe":
        return core.unsubscribe(buffer, 3, end, address);
      case "closeSubscription":
        return core.closeSubscription(buffer, 3, end, address);
    }
  }

  #publish(payload: Uint8Array, address: Address | undefined): void {
    const { core } = this;
    const message = new PubMsgView();
    decodePubMsg(payload, 0, payload.length, message);
    const named = byteString(payload, message.subjectStart, message.subjectEnd);
    // Every fifth goes to the subject of the one before it, with that one's hint: what counts is what the message says.
    const subject = ++this.#publishCount % 5 === 0 ? this.#publishedTo : named;
    this.#publishedTo = named;
    const nameStart = payload.length + 6;
    const buffer = new Uint8Array(nameStart + subject.length);
    buffer.fill(0xee);
    buffer.set(payload, 3);
    buffer.set(bytesOf(subject), nameStart);
    const hint = this.#hints.get(subject);
    const taken = core.publish(buffer, 3, 3 + payload.length, address, nameStart, buffer.length, hint);
    if (taken !== undefined) this.#hints.set(subject, taken);
    // Ranges must be copied before the call returns.
    buffer.fill(0xdd);
  }

  /** A message on an ack inbox. False: nobody listens there. */
  ack(inbox: string, payload: Uint8Array): boolean {
    const listener = this.#listeners.get(inbox);
    if (listener === undefined) return false;
    this.begin();
    this.core.acknowledge(listener.subscription, listener.incarnation, payload, 0, payload.length);
    return true;
  }

  answered(serial: number): void {
    this.begin();
    this.core.requestAnswered(serial);
  }

  drained(): void {
    this.begin();
    this.core.drained();
  }

  /** The end of a turn. */
  turn(): void {
    const { core } = this;
    if (!this.begun) this.#readClock();
    core.advance();
    for (const group of core.endTurn()) this.#flush(group);
    this.#carryOut();
    if (core.flightCount > 0) this.#finishGroups();
    this.begun = false;
    if (core.hasWork) this.onTurnWanted();
  }

  #flush(group: TurnGroup): void {
    const waits: FlushTicket[] = [];
    const wait = (flushed: unknown) => {
      if (flushed instanceof FlushTicket && !flushed.done) waits.push(flushed);
    };
    for (const { store } of this.#store.isInstant === true ? [] : group.channels) {
      wait(store.messages.flush());
      wait(store.subscriptions.flush());
    }
    if (group.storeTouched) wait(this.#store.flush());
    const { core } = this;
    if (waits.length === 0 && core.flightCount === 0) return core.finish(group);
    core.flushing(group);
    let left = waits.length;
    if (left === 0) core.flushed(group);
    for (const ticket of waits) {
      ticket.whenDone(() => {
        if (--left > 0) return;
        core.flushed(group);
        this.#finishGroups();
      });
    }
  }

  #finishGroups(): void {
    this.begin();
    while (this.core.finishNext() !== undefined) this.#carryOut();
  }

  #carryOut(): void {
    const { core } = this;
    const { effects } = core;
    for (const subscription of effects.listen) {
      if (!subscription.online || subscription.listener !== undefined) continue;
      const { incarnation, record } = subscription;
      const listener: Listener = { subscription, incarnation, inbox: record.ackInbox };
      subscription.listener = listener;
      this.#listeners.set(listener.inbox, listener);
    }
    const tail = new Uint8Array(16);
    for (const list of effects.segments) {
      for (let i = 0; i < list.count; i++) {
        const count = list.redeliveries[i]!;
        const tailLength = count === 0 ? 0 : encodeRedeliveryTail(tail, 0, count);
        const start = list.starts[i]!;
        const length = list.ends[i]! - start;
        const payload = new Uint8Array(length + tailLength);
        payload.set(list.buffers[i]!.subarray(start, start + length));
        payload.set(tail.subarray(0, tailLength), length);
        const address = list.addresses[i]!;
        if (this.#outlet.send(address.subject, payload) === 0) core.unheard(address);
      }
    }
    for (const listener of effects.unlisten) this.#listeners.delete((listener as Listener).inbox);
    const unanswerable: number[] = [];
    for (const { address, serial } of effects.requests) {
      if (this.#outlet.request(address.subject, serial) === 0) unanswerable.push(serial);
    }
    core.effectsDone();
    for (const serial of unanswerable) {
      this.#outlet.unanswerable?.(serial);
      core.requestUnanswerable(serial);
    }
    if (unanswerable.length > 0) this.onTurnWanted();
  }
}
