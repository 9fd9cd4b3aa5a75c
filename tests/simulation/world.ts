/**
 * The world of the simulation: clocks, network and flushes around one streaming core, all from one seed. Every client has a
 * connection with an own delay in each direction (order is kept within it), may be cut off, may read slowly. Events reach
 * the core in batches, as they do in production. The model sees everything.
 */
import { byteString } from "../../src/base/bytes.ts";
import type { ChannelLimits, StoreLimits } from "../../src/store/types.ts";
import { MemoryStore } from "../../src/store/memory/memory_store.ts";
import { StreamingCore } from "../../src/streaming/core.ts";
import { SendList } from "../../src/streaming/send_list.ts";
import type { AdminRequest } from "../../src/streaming/admin.ts";
import type { Address, CoreOptions, Journal } from "../../src/streaming/world.ts";
import { decodeMsgProto, MsgProtoView } from "../../src/wire/stan_hot.ts";
import { stanSubjects } from "../../src/wire/stan_subjects.ts";
import { CoreDriver, FlushTicket, type RequestKind } from "../helpers/core_driver.ts";
import { Model, Violation } from "./model.ts";
import { ObservedStore, type StoreDefects } from "./observed_store.ts";
import { Random } from "./random.ts";

/** What differs from seed to seed besides the events. */
export interface Climate {
  readonly clientCount: number;
  /** Fewer than clients: some of them want the same one. */
  readonly clientIdCount: number;
  readonly heartbeatFailCount: number;
  readonly replaceDurable: boolean;
  readonly maxChannels: number;
  readonly limits: ChannelLimits;
  /** Percent of flushes that take time, and how long at most. */
  readonly slowFlushPercent: number;
  readonly slowFlushMs: number;
  readonly refusedAppendPercent: number;
  /** Percent of lookups of older messages that have to wait for the disk, and how long at most. */
  readonly slowReadPercent: number;
  readonly slowReadMs: number;
  readonly delayMs: number;
  readonly batchMs: number;
  /** Percent of client steps that break something. */
  readonly troublePercent: number;
}

/** Defects of the surroundings, planted on purpose. */
export interface Defects extends StoreDefects {
  /** The core is told other options than the model. */
  readonly core?: Partial<CoreOptions>;
  /** The store takes so many subscriptions more than the model was told. */
  readonly extraSubscriptions?: number;
}

export const HEARTBEAT_INTERVAL_MS = 700;
export const HEARTBEAT_TIMEOUT_MS = 300;
/** What was read is used in the turn after. */
const READ_SETTLES_MS = 30;
/** Of so many lives one has a store like MEMORY: what it takes is safe at once. */
const INSTANT_EVERY = 8;
const INSTANT_SEED = 3;

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Events by time, then by order of their making. */
class EventQueue {
  readonly #heap: Event[] = [];
  #made = 0;

  get nextMs(): number {
    return this.#heap.length === 0 ? Infinity : this.#heap[0]!.atMs;
  }

  add(atMs: number, run: () => void): void {
    const heap = this.#heap;
    const event = { atMs, order: this.#made++, run };
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  take(): Event {
    const heap = this.#heap;
    const first = heap[0]!;
    const moved = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, moved)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = moved;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs !== b.atMs ? a.atMs < b.atMs : a.order < b.order;
}

/** What a connection hands its client. */
export interface Receiver {
  receive(subject: string, payload: Uint8Array): void;
  /** An empty request: a heartbeat or a probe. */
  requested(subject: string, answer: () => void): void;
  /** It is alive and can ack what arrives there. */
  serves(subject: string): boolean;
}

/** One client's connection to NATS. */
export class Connection {
  isUp = true;
  congestedEndMs = -1e9;
  isCongested = false;
  /** What is under way when it is cut is lost. */
  epoch = 0;
  lastToServerMs = 0;
  lastToClientMs = 0;
  readonly inboxes = new Set<string>();
  constructor(readonly name: string, readonly receiver: Receiver) {}
}

export class World {
  readonly random: Random;
  readonly climate: Climate;
  readonly model: Model;
  readonly driver: CoreDriver;
  readonly #events = new EventQueue();
  readonly #byInbox = new Map<string, Connection>();
  /** Inboxes of connections that were replaced, and when those were last congested. */
  readonly #endedInboxes = new Map<string, number>();
  readonly trace: string[] = [];
  #turnPlanned = false;
  #timerAtMs = Infinity;
  #names = 0;
  #hash = 0x811c9dc5;
  traced = false;
  eventCount = 0;
  healed = false;
  /** Latest departure of what has arrived at the server. */
  #latestSentMs = 0;
  /** Per channel: until when nobody can expect its older messages, because a read of them was or is under way. */
  readonly #readUntilMs = new Map<string, number>();
  readonly counters = { cut: 0, restored: 0, congested: 0, overtaken: 0, slowFlushes: 0, slowReads: 0, clockSet: 0 };

  constructor(seed: number, climate: Climate, defects: Defects = {}) {
    this.random = new Random(seed);
    const isInstant = seed % INSTANT_EVERY === INSTANT_SEED;
    this.climate = climate;
    const { maxSubscriptions } = climate.limits;
    const extra = maxSubscriptions > 0 ? defects.extraSubscriptions ?? 0 : 0;
    const channelLimits = { ...climate.limits, maxSubscriptions: maxSubscriptions + extra };
    const limits: StoreLimits = { maxChannels: climate.maxChannels, forChannel: () => channelLimits };
    const options = {
      heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
      heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS,
      heartbeatFailCount: climate.heartbeatFailCount,
      replaceDurable: climate.replaceDurable,
      maxPayload: 1_048_576,
    };
    // deno-lint-ignore no-this-alias -- getters of a literal have their own `this`.
    const world = this;
    this.model = new Model({ ...options, maxChannels: climate.maxChannels, limits: climate.limits }, {
      get nowMs() {
        return world.driver.coreNowMs;
      },
      get wallNs() {
        return world.driver.coreWallNs;
      },
      congestedWithin: (inbox, ms) => this.#congestedWithin(inbox, ms),
      isReading: (channel) => this.nowMs <= (this.#readUntilMs.get(channel) ?? -1),
    });
    const store = new ObservedStore(new MemoryStore(limits), this.model, {
      refusesAppend: () => !this.healed && this.random.chance(climate.refusedAppendPercent),
      flush: (end) => isInstant ? undefined : this.#flush(end),
      reads: (channel, read) => this.#read(channel, read),
      get nowMs() {
        return world.nowMs;
      },
      defects,
      isInstant,
    });
    const core = new StreamingCore({
      core: { ...options, testNegativeAckWaitMs: true, seed: seed * 7919, ...defects.core },
      world: {
        address: (subject): Address => ({ subject }),
        release: () => {},
        isCongested: (address) => this.#byInbox.get(address.subject)?.isCongested ?? false,
        isHeard: (address) => this.#byInbox.get(address.subject)?.isUp ?? false,
        isAwaited: () => false,
        uniqueName: () => this.uniqueName(),
        wake: () => this.driver.begin(),
      },
      store,
      limits,
      journal: silentJournal,
      server: stanSubjects("simulated"),
      nowMs: 0,
    });
    this.driver = new CoreDriver(core, store, {
      send: (subject, payload) => this.#send(subject, payload),
      request: (subject, serial) => this.#request(subject, serial),
      unanswerable: (serial) => this.model.unanswerable(serial),
    });
    this.driver.onTurnWanted = () => this.#planTurn();
  }

  get nowMs(): number {
    return this.driver.nowMs;
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }

  uniqueName(): string {
    return (++this.#names).toString(36).padStart(22, "0");
  }

  /** One line of the trace; all of them make the hash, `detail` apart, which only a traced run has. */
  note(text: string, detail = ""): void {
    const line = `${this.nowMs} ${text}`;
    let hash = this.#hash;
    for (let i = 0; i < line.length; i++) hash = Math.imul(hash ^ line.charCodeAt(i), 0x01000193);
    this.#hash = hash;
    if (this.traced) this.trace.push(detail === "" ? line : `${line}  ${detail}`);
  }

  after(delayMs: number, run: () => void): void {
    this.#events.add(this.nowMs + delayMs, run);
  }

  /** Runs until `endMs`. */
  run(endMs: number): void {
    const hook = SendList.prototype.add;
    // The moment of decision: what leaves later, in what order, is checked against it.
    const { model } = this;
    SendList.prototype.add = function (address, buffer, start, end, count) {
      hook.call(this, address, buffer, start, end, count);
      model.staged(address.subject, buffer.subarray(start, end), count);
    };
    try {
      let checkedMs = this.nowMs;
      let eventsNow = 0;
      for (;;) {
        const atMs = this.#events.nextMs;
        if (atMs > endMs) break;
        const event = this.#events.take();
        if (event.atMs > this.nowMs) eventsNow = 0;
        else if (++eventsNow > 20_000) throw new Violation("the core never comes to rest");
        this.driver.nowMs = Math.max(this.driver.nowMs, event.atMs);
        this.eventCount++;
        event.run();
        if (this.nowMs >= checkedMs + 100 && !this.driver.begun) {
          checkedMs = this.nowMs;
          this.model.checkOverdue();
        }
      }
      this.driver.nowMs = endMs;
    } finally {
      SendList.prototype.add = hook;
    }
  }

  // Turns --------------------------------------------------------------------------------------------------------------

  #planTurn(): void {
    if (this.#turnPlanned) return;
    this.#turnPlanned = true;
    this.#events.add(this.nowMs + this.random.between(0, this.climate.batchMs), () => {
      this.#turnPlanned = false;
      this.driver.turn();
      this.model.turnEnded();
      this.#armTimer();
    });
  }

  #armTimer(): void {
    const dueMs = this.driver.core.wakeAtMs;
    if (dueMs >= this.#timerAtMs) return;
    this.#timerAtMs = dueMs;
    this.#events.add(Math.max(this.nowMs, dueMs), () => {
      if (this.#timerAtMs !== dueMs) return;
      this.#timerAtMs = Infinity;
      this.driver.begin();
      this.#planTurn();
    });
  }

  #flush(end: () => void): Promise<void> | undefined {
    if (!this.random.chance(this.climate.slowFlushPercent)) return undefined;
    const ticket = new FlushTicket();
    this.counters.slowFlushes++;
    this.after(this.random.between(0, this.climate.slowFlushMs), () => {
      end();
      ticket.complete();
      this.#planTurn();
    });
    return ticket as unknown as Promise<void>;
  }

  #read(channel: string, read: () => void): boolean {
    const { slowReadPercent, slowReadMs } = this.climate;
    if (!this.random.chance(slowReadPercent)) return false;
    const readMs = this.random.between(1, slowReadMs);
    this.counters.slowReads++;
    const untilMs = this.nowMs + readMs + READ_SETTLES_MS;
    this.#readUntilMs.set(channel, Math.max(this.#readUntilMs.get(channel) ?? 0, untilMs));
    this.after(readMs, read);
    return true;
  }

  /** The wall clock goes back. */
  setWallBack(ms: number): void {
    this.driver.wallOffsetMs -= ms;
    this.counters.clockSet++;
    this.note(`wall clock back by ${ms}`);
  }

  // Network ------------------------------------------------------------------------------------------------------------

  listen(connection: Connection, inbox: string): void {
    connection.inboxes.add(inbox);
    this.#byInbox.set(inbox, connection);
  }

  isServed(inbox: string): boolean {
    const connection = this.#byInbox.get(inbox);
    return connection !== undefined && connection.isUp && connection.receiver.serves(inbox);
  }

  #congestedWithin(inbox: string, ms: number): boolean {
    const connection = this.#byInbox.get(inbox);
    if (connection === undefined) return (this.#endedInboxes.get(inbox) ?? -Infinity) + ms > this.nowMs;
    return connection.isCongested || connection.congestedEndMs + ms > this.nowMs;
  }

  cut(connection: Connection): void {
    if (!connection.isUp) return;
    connection.isUp = false;
    connection.epoch++;
    this.counters.cut++;
    this.note(`${connection.name} cut off`);
    this.#endCongestion(connection);
  }

  restore(connection: Connection): void {
    if (connection.isUp) return;
    connection.isUp = true;
    this.counters.restored++;
    this.note(`${connection.name} connected again`);
  }

  /** The old one is gone with all that it listened to. */
  replaceConnection(connection: Connection): void {
    this.cut(connection);
    for (const inbox of connection.inboxes) {
      this.#byInbox.delete(inbox);
      this.#endedInboxes.set(inbox, connection.congestedEndMs);
    }
    connection.inboxes.clear();
    this.restore(connection);
  }

  congest(connection: Connection, ms: number): void {
    if (!connection.isUp || connection.isCongested) return;
    connection.isCongested = true;
    this.counters.congested++;
    this.note(`${connection.name} reads slowly for ${ms}`);
    this.after(ms, () => this.#endCongestion(connection));
  }

  #endCongestion(connection: Connection): void {
    if (!connection.isCongested) return;
    connection.isCongested = false;
    connection.congestedEndMs = this.nowMs;
    this.driver.drained();
  }

  #delay(): number {
    const { delayMs } = this.climate;
    return this.random.chance(5) ? this.random.between(0, delayMs * 10) : this.random.between(0, delayMs);
  }

  #toServer(connection: Connection, arrive: () => void): void {
    if (!connection.isUp) return;
    const { epoch } = connection;
    const sentMs = this.nowMs;
    connection.lastToServerMs = Math.max(connection.lastToServerMs, sentMs + this.#delay());
    this.#events.add(connection.lastToServerMs, () => {
      if (connection.epoch !== epoch) return;
      // Order is kept within a connection, so this one was overtaken on another.
      if (sentMs < this.#latestSentMs) this.counters.overtaken++;
      else this.#latestSentMs = sentMs;
      arrive();
    });
  }

  #toClient(connection: Connection, arrive: () => void): void {
    const { epoch } = connection;
    connection.lastToClientMs = Math.max(connection.lastToClientMs, this.nowMs + this.#delay());
    this.#events.add(connection.lastToClientMs, () => {
      if (connection.epoch === epoch) arrive();
    });
  }

  /** A request of a client: `tell` informs the model when it arrives, `payload` goes to the core. */
  request(
    connection: Connection,
    kind: RequestKind,
    payload: Uint8Array,
    reply: string | undefined,
    text: string,
    tell: () => void,
  ): void {
    this.#toServer(connection, () => {
      this.driver.begin();
      this.note(`${connection.name} -> ${kind} ${text}`);
      tell();
      this.driver.serve(kind, payload, reply);
      this.model.handled();
    });
  }

  /** An operator asks for something: between two events of clients, without a network. */
  administer(request: AdminRequest): void {
    this.driver.begin();
    this.note(`operator -> ${JSON.stringify(request)}`);
    const expected = this.model.administer(request);
    this.driver.core.administer(request, (outcome) => {
      this.note(`operator <- ${outcome.ok ? "done" : outcome.code}`);
      expected(outcome);
    });
    this.model.handled();
  }

  ack(connection: Connection, ackInbox: string, channel: string, sequence: number, payload: Uint8Array): void {
    this.#toServer(connection, () => {
      this.driver.begin();
      this.note(`${connection.name} -> ack ${channel} ${sequence} on ${ackInbox.slice(-4)}`);
      this.model.ack(ackInbox, channel, sequence);
      this.driver.ack(ackInbox, payload);
      this.model.handled();
    });
  }

  #send(subject: string, payload: Uint8Array): void {
    const connection = this.#byInbox.get(subject);
    this.note(`<- ${subject} ${payload.length}`, this.traced ? describe(payload) : "");
    this.model.emitted(subject, payload);
    if (connection === undefined || !connection.isUp) return;
    this.#toClient(connection, () => connection.receiver.receive(subject, payload));
  }

  #request(subject: string, serial: number): number {
    const connection = this.#byInbox.get(subject);
    const reached = connection !== undefined && connection.isUp;
    this.note(`<- request ${serial} to ${subject} ${reached}`);
    this.model.requested(subject, serial);
    if (!reached) return 0;
    this.#toClient(connection, () =>
      connection.receiver.requested(subject, () => {
        this.#toServer(connection, () => {
          this.driver.begin();
          if (this.model.isTooCloseToCall(serial)) return;
          this.note(`${connection.name} -> answers ${serial}`);
          this.model.answered(serial);
          this.driver.answered(serial);
        });
      }));
    return 1;
  }
}

const messageView = new MsgProtoView();

/** For the trace of a replay only, and so not part of the hash. */
function describe(payload: Uint8Array): string {
  if (
    decodeMsgProto(payload, 0, payload.length, messageView) && messageView.subjectEnd > 0 && messageView.stampHigh > 0
  ) {
    const again = messageView.redelivered ? ` again ${messageView.redeliveryCount}` : "";
    return `${byteString(payload, messageView.subjectStart, messageView.subjectEnd)} ${messageView.sequence}${again}`;
  }
  return byteString(payload).replace(/[^ -~]+/g, " ");
}

const silentJournal: Journal = {
  debugEnabled: false,
  traceEnabled: false,
  info() {},
  warn() {},
  error() {},
  debug() {},
  trace() {},
};

export { Violation };
