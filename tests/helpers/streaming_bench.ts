/**
 * A streaming core on a table: requests in, decoded answers out, time moved by hand. For tests of single rules; whole lives
 * are simulated in tests/simulation.
 */
import assert from "node:assert/strict";
import { bytesOf, byteString } from "../../src/base/bytes.ts";
import type { ChannelLimits, RecoveredState, Store, StoreLimits } from "../../src/store/types.ts";
import { MemoryStore } from "../../src/store/memory/memory_store.ts";
import { StreamingCore } from "../../src/streaming/core.ts";
import type { Address, CoreOptions, Journal } from "../../src/streaming/world.ts";
import { decodeMessage, encodeMessage } from "../../src/wire/stan_codec.ts";
import {
  type ConnectRequest,
  type ConnectResponse,
  decodeConnectResponse,
  decodePingResponse,
  decodeSubscriptionResponse,
  encodeCloseRequest,
  encodeConnectRequest,
  encodePing,
  encodeSubscriptionRequest,
  encodeUnsubscribeRequest,
  START_POSITION,
  type SubscriptionRequest,
} from "../../src/wire/stan_control.ts";
import { decodeMsgProto, MsgProtoView } from "../../src/wire/stan_hot.ts";
import { stanSubjects } from "../../src/wire/stan_subjects.ts";
import { CoreDriver, type RequestKind } from "./core_driver.ts";

/** Something that left. */
export interface Sent {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly atMs: number;
}

/** A message as a subscriber sees it. */
export interface Delivered {
  readonly sequence: number;
  readonly data: string;
  /** 0: a first delivery. */
  readonly count: number;
  readonly atMs: number;
}

/** A subscription as its client knows it. */
export interface Subscriber {
  readonly clientId: string;
  readonly channel: string;
  readonly inbox: string;
  readonly ackInbox: string;
}

/** How a client reacts to a heartbeat or a probe. */
export type Manner = "answers" | "silent" | "gone";

export interface BenchOptions {
  readonly core?: Partial<CoreOptions>;
  readonly limits?: Partial<ChannelLimits>;
  /** Limits by channel name, in place of `limits`. */
  readonly forChannel?: (name: string) => ChannelLimits;
  readonly maxChannels?: number;
  /** As with MEMORY in production; otherwise as with a store that has to flush: what a turn stages is split into groups. */
  readonly isInstant?: boolean;
  /** Puts something between the core and the MEMORY store. */
  readonly wrap?: (store: Store) => Store;
  /** In place of the MEMORY store. */
  readonly store?: Store;
}

const view = new MsgProtoView();

export class StreamingBench {
  readonly driver: CoreDriver;
  readonly core: StreamingCore;
  readonly store: Store;
  readonly sent: Sent[] = [];
  readonly requests: { subject: string; serial: number; atMs: number }[] = [];
  /** By heartbeat inbox; who is not in it answers. */
  readonly manners = new Map<string, Manner>();
  readonly congested = new Set<string>();
  /** What the core holds to send to. */
  readonly addresses = new Set<Address>();
  /** Subjects where nobody listens. What is sent there is recorded all the same. */
  readonly deaf = new Set<string>();
  /** Somebody waits for something small all the time. */
  awaited = false;
  /** Lines for operators, with their level. */
  readonly log: string[] = [];
  /** How often the core asked for a turn by itself. */
  wakes = 0;
  #names = 0;
  #guids = 0;
  readonly #options: BenchOptions;

  constructor(options: BenchOptions = {}) {
    const channel: ChannelLimits = {
      maxSubscriptions: 0,
      maxMessages: 0,
      maxBytes: 0,
      maxAgeMs: 0,
      maxInactivityMs: 0,
      ...options.limits,
    };
    const limits: StoreLimits = {
      maxChannels: options.maxChannels ?? 0,
      forChannel: options.forChannel ?? (() => channel),
    };
    const memory = new MemoryStore(limits);
    Object.defineProperty(memory, "isInstant", { value: options.isInstant === true });
    this.store = options.store ?? options.wrap?.(memory) ?? memory;
    this.#options = options;
    this.core = new StreamingCore({
      core: {
        heartbeatIntervalMs: 30_000,
        heartbeatTimeoutMs: 10_000,
        heartbeatFailCount: 10,
        replaceDurable: false,
        maxPayload: 1_048_576,
        testNegativeAckWaitMs: false,
        seed: 7,
        ...options.core,
      },
      world: {
        address: (subject): Address => {
          const address = { subject };
          this.addresses.add(address);
          return address;
        },
        release: (address) => {
          if (!this.addresses.delete(address)) throw new Error(`${address.subject} was released before`);
        },
        isCongested: (address) => this.congested.has(address.subject),
        isHeard: (address) => !this.deaf.has(address.subject),
        isAwaited: () => this.awaited,
        uniqueName: () => (++this.#names).toString().padStart(22, "0"),
        wake: () => void this.wakes++,
      },
      store: this.store,
      limits,
      journal: this.#journal,
      server: stanSubjects("cluster"),
      nowMs: 0,
    });
    this.driver = new CoreDriver(this.core, this.store, {
      send: (subject, payload) => {
        this.sent.push({ subject, payload, atMs: this.nowMs });
        return this.deaf.has(subject) ? 0 : 1;
      },
      request: (subject, serial) => {
        this.requests.push({ subject, serial, atMs: this.nowMs });
        const manner = this.manners.get(subject) ?? "answers";
        if (manner === "answers") this.#answers.push(serial);
        return manner === "gone" ? 0 : 1;
      },
    });
  }

  readonly #answers: number[] = [];

  /** As `restarted`, before its first turn. */
  recovered(state: RecoveredState, downMs = 0): StreamingBench {
    const next = new StreamingBench({ ...this.#options, store: this.store });
    next.driver.nowMs = this.nowMs + downMs;
    next.#names = this.#names;
    next.#guids = this.#guids;
    for (const subject of this.deaf) next.deaf.add(subject);
    for (const [inbox, manner] of this.manners) next.manners.set(inbox, manner);
    next.driver.begin();
    next.core.restore(state);
    next.core.begin();
    return next;
  }

  /**
   * The server again, `downMs` later, with what its store gives. Clients and their inboxes are as they were, also those that
   * nobody listens to.
   */
  restarted(state: RecoveredState, downMs = 0): StreamingBench {
    const next = this.recovered(state, downMs);
    next.turn();
    return next;
  }

  get #journal(): Journal {
    return {
      debugEnabled: false,
      traceEnabled: false,
      info: () => {},
      warn: (text) => void this.log.push(`WRN ${text}`),
      error: (text) => void this.log.push(`ERR ${text}`),
      debug: () => {},
      trace: () => {},
    };
  }

  get nowMs(): number {
    return this.driver.nowMs;
  }

  /** Ends the turn, and those that follow from it. */
  turn(): void {
    do {
      this.driver.turn();
      for (const serial of this.#answers.splice(0)) this.driver.answered(serial);
    } while (this.driver.begun || this.core.hasWork);
  }

  /** Moves time on by `ms`, with a turn whenever the core wants one. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const dueMs = this.core.wakeAtMs;
      if (dueMs > endMs) break;
      this.driver.nowMs = Math.max(this.nowMs, dueMs);
      this.turn();
    }
    this.driver.nowMs = endMs;
  }

  /** Hands a request over without ending the turn; returns the subject of its answer. */
  post(kind: RequestKind, payload: Uint8Array, reply = `_INBOX.reply.${++this.#guids}`): string {
    this.driver.serve(kind, payload, reply);
    return reply;
  }

  /** What was sent to `subject`, and forgets it. */
  take(subject: string): Uint8Array[] {
    const taken: Uint8Array[] = [];
    for (let i = 0; i < this.sent.length;) {
      if (this.sent[i]!.subject === subject) taken.push(this.sent.splice(i, 1)[0]!.payload);
      else i++;
    }
    return taken;
  }

  /** The one answer to a request; undefined: none. */
  answer(reply: string): Uint8Array | undefined {
    const all = this.take(reply);
    assert.ok(all.length <= 1, "a request is answered once");
    return all[0];
  }

  /** Sends a request and returns its answer. */
  ask(kind: RequestKind, payload: Uint8Array): Uint8Array | undefined {
    const reply = this.post(kind, payload);
    this.turn();
    return this.answer(reply);
  }

  /** The error field of an answer that must be there. */
  error(kind: RequestKind, payload: Uint8Array | undefined): string {
    assert.ok(payload !== undefined, "no answer");
    const message = kind === "publish"
      ? decodeMessage("PubAck", payload, 0, payload.length)
      : kind === "connect"
      ? decodeConnectResponse(payload, 0, payload.length)
      : kind === "ping"
      ? decodePingResponse(payload, 0, payload.length)
      : kind === "close"
      ? decodeMessage("CloseResponse", payload, 0, payload.length)
      : decodeSubscriptionResponse(payload, 0, payload.length);
    assert.ok(message !== undefined, "an answer that does not decode");
    return (message as { error: string }).error;
  }

  askError(kind: RequestKind, payload: Uint8Array): string {
    return this.error(kind, this.ask(kind, payload));
  }

  // Requests -----------------------------------------------------------------------------------------------------------

  connectRequest(clientId: string, changes: Partial<ConnectRequest> = {}): Uint8Array {
    return encodeConnectRequest({
      clientId,
      heartbeatInbox: `_INBOX.hb.${clientId}`,
      protocol: 1,
      connectionId: `conn-${clientId}`,
      pingIntervalSecs: 5,
      pingMaxOut: 3,
      ...changes,
    });
  }

  connect(clientId: string, changes: Partial<ConnectRequest> = {}): ConnectResponse {
    const answer = this.ask("connect", this.connectRequest(clientId, changes));
    assert.ok(answer !== undefined);
    const response = decodeConnectResponse(answer, 0, answer.length)!;
    assert.equal(response.error, "");
    return response;
  }

  publishRequest(channel: string, data = "", changes: Record<string, unknown> = {}): Uint8Array {
    return encodeMessage("PubMsg", {
      clientId: "me",
      guid: `guid-${++this.#guids}`,
      channel,
      reply: "",
      data: bytesOf(data),
      connectionId: "conn-me",
      ...changes,
    });
  }

  /** Publishes as client `me`; returns the error. */
  publish(channel: string, data = "", changes: Record<string, unknown> = {}): string {
    return this.askError("publish", this.publishRequest(channel, data, changes));
  }

  /** Publishes `count` messages, each in a turn of its own. */
  fill(channel: string, count: number): void {
    for (let i = 0; i < count; i++) assert.equal(this.publish(channel, `m${i}`), "");
  }

  subscribeRequest(channel: string, changes: Partial<SubscriptionRequest> = {}): Uint8Array {
    return encodeSubscriptionRequest({
      clientId: "me",
      channel,
      inbox: `_INBOX.sub.${++this.#guids}`,
      maxInFlight: 1024,
      ackWaitSecs: 30,
      startPosition: START_POSITION.NEW_ONLY,
      ...changes,
    });
  }

  subscribe(channel: string, changes: Partial<SubscriptionRequest> = {}): Subscriber {
    const inbox = changes.inbox ?? `_INBOX.sub.${++this.#guids}`;
    const answer = this.ask("subscribe", this.subscribeRequest(channel, { ...changes, inbox }));
    assert.ok(answer !== undefined);
    const response = decodeSubscriptionResponse(answer, 0, answer.length)!;
    assert.equal(response.error, "");
    return { clientId: changes.clientId ?? "me", channel, inbox, ackInbox: response.ackInbox };
  }

  subscribeError(channel: string, changes: Partial<SubscriptionRequest> = {}): string {
    return this.askError("subscribe", this.subscribeRequest(channel, changes));
  }

  leaveRequest(subscriber: Subscriber, inbox = subscriber.ackInbox): Uint8Array {
    const { clientId, channel } = subscriber;
    return encodeUnsubscribeRequest({ clientId, channel, inbox });
  }

  unsubscribe(subscriber: Subscriber): void {
    assert.equal(this.ask("unsubscribe", this.leaveRequest(subscriber))?.length, 0);
  }

  closeSubscription(subscriber: Subscriber): void {
    assert.equal(this.ask("closeSubscription", this.leaveRequest(subscriber))?.length, 0);
  }

  close(clientId: string): void {
    assert.equal(this.ask("close", encodeCloseRequest({ clientId }))?.length, 0);
  }

  closeError(clientId: string): string {
    return this.askError("close", encodeCloseRequest({ clientId }));
  }

  ping(connectionId: string): Uint8Array | undefined {
    return this.ask("ping", encodePing({ connectionId }));
  }

  /** Acks without ending the turn. False: nobody listens there any more. */
  postAck(subscriber: Subscriber, sequence: number, channel = subscriber.channel): boolean {
    return this.driver.ack(subscriber.ackInbox, encodeMessage("Ack", { channel, sequence }));
  }

  ack(subscriber: Subscriber, ...sequences: number[]): void {
    for (const sequence of sequences) this.postAck(subscriber, sequence);
    this.turn();
  }

  // Deliveries ---------------------------------------------------------------------------------------------------------

  /** What arrived at an inbox, and forgets it. */
  delivered(at: Subscriber | string): Delivered[] {
    const inbox = typeof at === "string" ? at : at.inbox;
    const taken: Delivered[] = [];
    for (let i = 0; i < this.sent.length;) {
      const { subject, payload, atMs } = this.sent[i]!;
      if (subject !== inbox) {
        i++;
        continue;
      }
      this.sent.splice(i, 1);
      assert.ok(decodeMsgProto(payload, 0, payload.length, view));
      assert.equal(view.redelivered, view.redeliveryCount > 0);
      const data = byteString(payload, view.dataStart, view.dataEnd);
      taken.push({ sequence: view.sequence, data, count: view.redeliveryCount, atMs });
    }
    return taken;
  }

  /** The same in short: `3` is a first delivery, `3r1` a first redelivery. */
  heard(at: Subscriber | string): string {
    return this.delivered(at).map(({ sequence, count }) => count > 0 ? `${sequence}r${count}` : `${sequence}`).join(
      " ",
    );
  }

  /** With times: `3r1@1000`. */
  heardAt(at: Subscriber | string): string {
    return this.delivered(at)
      .map(({ sequence, count, atMs }) => `${sequence}${count > 0 ? `r${count}` : ""}@${atMs}`).join(" ");
  }
}
