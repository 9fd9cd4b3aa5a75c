/**
 * The driver between the bus and the streaming core: it hands the core what arrives, ends its turns, flushes the stores, and
 * sends what may leave. The only clock reading, and the only promises, of the streaming half are here.
 */
import { byteString } from "../base/bytes.ts";
import type { TurnFigures } from "../monitor/turn_figures.ts";
import type { Bus, BusMessage, BusReceiver, BusSubscription, Destination } from "../nats/bus.ts";
import type { Clock, Scheduler, TimerHandle } from "../runtime/types.ts";
import { type RecoveredState, type ServerRecord, type Store, StoreError } from "../store/types.ts";
import type { AdminOutcome, AdminRequest } from "../streaming/admin.ts";
import type { BrowseRequest, BrowseResult } from "../streaming/browse.ts";
import type { Channel } from "../streaming/channel.ts";
import type { StreamingCore } from "../streaming/core.ts";
import type { SendList } from "../streaming/send_list.ts";
import type { StanSubscription } from "../streaming/subscription.ts";
import type { TurnGroup } from "../streaming/turn_groups.ts";
import { encodeRedeliveryTail } from "../wire/stan_hot.ts";
import { pingsSubject, publishWildcard } from "../wire/stan_subjects.ts";

const EMPTY = new Uint8Array(0);

/** One kind of request: what the core does with a message on its subject. */
type RequestHandler = (buffer: Uint8Array, start: number, end: number, reply: Destination | undefined) => void;

class RequestReceiver implements BusReceiver {
  readonly #driver: Driver;
  readonly #handle: RequestHandler;

  constructor(driver: Driver, handle: RequestHandler) {
    this.#driver = driver;
    this.#handle = handle;
  }

  receive(message: BusMessage): void {
    const { traffic } = this.#driver;
    traffic.requests++;
    traffic.requestBytes += message.payloadEnd - message.payloadStart;
    this.#driver.begin();
    this.#handle(message.buffer, message.payloadStart, message.payloadEnd, message.replyDestination());
  }
}

/** Publishes: the hot one, without an indirection. */
class PublishReceiver implements BusReceiver {
  readonly #driver: Driver;
  readonly #core: StreamingCore;
  /** Of the subject, up to the channel. */
  readonly #prefixLength: number;

  constructor(driver: Driver, core: StreamingCore, prefixLength: number) {
    this.#driver = driver;
    this.#core = core;
    this.#prefixLength = prefixLength;
  }

  receive(message: BusMessage): void {
    const { traffic } = this.#driver;
    traffic.publishes++;
    traffic.requestBytes += message.payloadEnd - message.payloadStart;
    this.#driver.begin();
    const hint = message.note as Channel | undefined;
    const channel = this.#core.publish(
      message.buffer,
      message.payloadStart,
      message.payloadEnd,
      message.replyDestination(),
      message.subjectStart + this.#prefixLength,
      message.subjectEnd,
      hint,
    );
    if (channel !== undefined && channel !== hint) message.note = channel;
  }
}

/** Acks: one for the ack inboxes of all subscriptions, each of which owns what the bus keeps for its inbox. */
class AckReceiver implements BusReceiver {
  readonly #driver: Driver;
  readonly #core: StreamingCore;

  constructor(driver: Driver, core: StreamingCore) {
    this.#driver = driver;
    this.#core = core;
  }

  receive(message: BusMessage, inbox: BusSubscription): void {
    const { traffic } = this.#driver;
    traffic.acks++;
    traffic.ackBytes += message.payloadEnd - message.payloadStart;
    this.#driver.begin();
    const subscription = inbox.owner as StanSubscription;
    // An inbox that the turn under way has ended is listened to until its end; its acks do not count any more (trap 20).
    if (subscription.listener !== inbox) return;
    this.#core.acknowledge(
      subscription,
      subscription.incarnation,
      message.buffer,
      message.payloadStart,
      message.payloadEnd,
    );
  }
}

/** What the streaming half received from the bus and sent through it. Plain fields: the hot path adds to them. */
export class BusTraffic {
  /** Publishes. */
  publishes = 0;
  /** All other requests. */
  requests = 0;
  /** Of both. */
  requestBytes = 0;
  acks = 0;
  ackBytes = 0;
  /** Answers and deliveries. */
  sent = 0;
  sentBytes = 0;
  heartbeats = 0;
  heartbeatAnswers = 0;
}

export class Driver {
  readonly #core: StreamingCore;
  readonly #bus: Bus;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #requestTurn: () => void;
  readonly #failed: (error: unknown) => void;
  readonly #subscriptions: BusSubscription[] = [];
  readonly #acks: AckReceiver;
  readonly #replyPrefix: string;
  readonly #wall = { high: 0, low: 0 };
  readonly #tail = new Uint8Array(16);
  /** The clock was read for the events that arrive now. */
  #begun = false;
  /** What that reading was. */
  #nowMs = 0;
  /** Events of `traffic` when the open turn began. */
  #eventsBefore = 0;
  readonly traffic = new BusTraffic();
  /** Takes the times of turns; absent while nobody looks. */
  figures: TurnFigures | undefined = undefined;
  #timer: TimerHandle | undefined;
  #timerDueMs = Infinity;
  /** The timer came: the turn that ends next fires what is due. */
  #isDue = false;
  #stopped = false;

  /** `failed` is called when a store could not be flushed: nothing of that turn is acknowledged, the server must stop. */
  constructor(options: {
    core: StreamingCore;
    bus: Bus;
    store: Store;
    clock: Clock;
    scheduler: Scheduler;
    replyName: string;
    requestTurn: () => void;
    failed: (error: unknown) => void;
  }) {
    this.#core = options.core;
    this.#bus = options.bus;
    this.#store = options.store;
    this.#clock = options.clock;
    this.#scheduler = options.scheduler;
    this.#replyPrefix = `_INBOX.${options.replyName}`;
    this.#requestTurn = options.requestTurn;
    this.#failed = options.failed;
    this.#acks = new AckReceiver(this, options.core);
  }

  /**
   * Takes over what the store recovered and subscribes to the subjects of the service: the ack inboxes first (23.5). From
   * here on clients are served.
   */
  start(server: ServerRecord, recovered?: RecoveredState): void {
    const core = this.#core;
    this.begin();
    if (recovered !== undefined) {
      core.restore(recovered);
      this.#carryOut();
    }
    this.#serve(server.discovery, (b, s, e, reply) => core.connect(b, s, e, reply));
    // In the order in which the reference's monitor lists them.
    this.#subscriptions.push(
      this.#bus.subscribe(publishWildcard(server.publish), new PublishReceiver(this, core, server.publish.length + 1)),
    );
    this.#serve(server.subscribe, (b, s, e, reply) => core.subscribe(b, s, e, reply));
    this.#serve(server.unsubscribe, (b, s, e, reply) => core.unsubscribe(b, s, e, reply));
    this.#serve(server.subClose, (b, s, e, reply) => core.closeSubscription(b, s, e, reply));
    this.#serve(server.close, (b, s, e, reply) => core.closeClient(b, s, e, reply));
    this.#serve(pingsSubject(server.discovery), (b, s, e, reply) => core.ping(b, s, e, reply));
    this.#watchOtherClusters(server);
    this.#subscriptions.push(
      this.#bus.subscribe(`${this.#replyPrefix}.*`, { receive: (message) => this.#answered(message) }),
    );
    if (recovered !== undefined) core.begin();
    this.#bus.onDrained = () => {
      this.begin();
      core.drained();
    };
  }

  /** Serves nobody any more. Resolves when every flush under way has ended and its answers were handed to the bus. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.turn();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    while (this.#core.flightCount > 0) await new Promise<void>((resume) => this.#scheduler.endOfTurn(resume));
    this.#stopped = true;
    this.#timer?.stop();
  }

  /** What it listens to, in the order of the reference's list, for the monitor. */
  get subscriptions(): readonly BusSubscription[] {
    return this.#subscriptions;
  }

  /** When something last happened, monotonic. */
  get lastTurnMs(): number {
    return this.#nowMs;
  }

  #serve(subject: string, handle: RequestHandler): void {
    this.#subscriptions.push(this.#bus.subscribe(subject, new RequestReceiver(this, handle)));
  }

  /** Decision 20: a client that asks for another cluster ID is not answered, and nothing but our log would tell why. */
  #watchOtherClusters(server: ServerRecord): void {
    const tail = `.${server.clusterId}`;
    if (this.#bus.watch === undefined || !server.discovery.endsWith(tail)) return;
    const subject = `${server.discovery.slice(0, -tail.length)}.*`;
    const receive = (message: BusMessage) => {
      const { buffer, payloadStart, payloadEnd } = message;
      const asked = byteString(buffer, message.subjectStart, message.subjectEnd);
      if (asked === server.discovery) return;
      this.begin();
      this.#core.strayConnect(asked, buffer, payloadStart, payloadEnd);
    };
    this.#subscriptions.push(this.#bus.watch(subject, { receive }));
  }

  // Turns --------------------------------------------------------------------------------------------------------------

  /** Called before an event is handed to the core: reads the clock once per batch and asks for the end of the turn. */
  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#clock.wallNs(this.#wall);
    this.#nowMs = this.#clock.monotonicMs();
    this.#core.setTime(this.#nowMs, this.#wall.high, this.#wall.low);
    this.#requestTurn();
  }

  /** The end of a turn: timers, deliveries, flush, answers. */
  turn(): void {
    if (this.#stopped) return;
    const core = this.#core;
    if (!this.#begun) {
      if (!core.hasWork) return;
      this.begin();
    }
    const begunMs = this.#nowMs;
    // Not whenever the clock says so: behind a standstill the answers that a timer waits for are still in the sockets. The
    // scheduler knows when they were read.
    if (this.#isDue) {
      this.#isDue = false;
      core.advance();
    }
    const groups = core.endTurn();
    this.#countEvents();
    let answeredCount = 0;
    for (let i = 0; i < groups.length; i++) {
      const group = groups[i]!;
      group.begunMs = begunMs;
      const { publishCount } = group;
      if (this.#flush(group)) answeredCount += publishCount;
    }
    this.#carryOut();
    if (answeredCount > 0) this.figures?.answered(answeredCount, this.#clock.monotonicMs() - begunMs);
    if (core.flightCount > 0) this.#finishGroups();
    this.#begun = false;
    if (core.hasWork) this.#requestTurn();
    this.#armTimer();
  }

  /** What arrived since the previous turn. */
  #countEvents(): void {
    const { traffic, figures } = this;
    const events = traffic.publishes + traffic.requests + traffic.acks;
    if (figures !== undefined && events > this.#eventsBefore) figures.turn(events - this.#eventsBefore);
    this.#eventsBefore = events;
  }

  #armTimer(): void {
    const dueMs = this.#core.wakeAtMs;
    if (dueMs >= this.#timerDueMs) return;
    this.#timer?.stop();
    this.#timerDueMs = dueMs;
    this.#timer = this.#scheduler.after(dueMs - this.#clock.monotonicMs(), this.#timerFired);
  }

  readonly #timerFired = (): void => {
    this.#timerDueMs = Infinity;
    this.#isDue = true;
    this.begin();
  };

  // Operators ----------------------------------------------------------------------------------------------------------

  /** Carries an operator's action out, between the events of clients; resolves when it is as safe as an acknowledgement. */
  administer(request: AdminRequest): Promise<AdminOutcome> {
    if (this.#stopped) {
      return Promise.resolve({ ok: false, code: "CONFLICT", message: "the server is stopping: nothing was done" });
    }
    this.begin();
    return new Promise((resolve) => this.#core.administer(request, resolve));
  }

  /** Reads stored messages. Nothing is changed, so this is no event. */
  browse(request: BrowseRequest): Promise<BrowseResult> {
    return new Promise((resolve) => this.#core.browse(request, resolve));
  }

  // Flushing -----------------------------------------------------------------------------------------------------------

  /** True when the answers of the group leave at once. */
  #flush(group: TurnGroup): boolean {
    let waits: Promise<void>[] | undefined;
    const channelCount = this.#store.isInstant === true ? 0 : group.channels.length;
    for (let i = 0; i < channelCount; i++) {
      const { store } = group.channels[i]!;
      const messages = store.messages.flush();
      if (messages !== undefined) (waits ??= []).push(messages);
      const subscriptions = store.subscriptions.flush();
      if (subscriptions !== undefined) (waits ??= []).push(subscriptions);
    }
    if (group.storeTouched) {
      const records = this.#store.flush();
      if (records !== undefined) (waits ??= []).push(records);
    }
    const core = this.#core;
    if (waits === undefined && core.flightCount === 0) {
      core.finish(group);
      return true;
    }
    core.flushing(group);
    if (waits === undefined) core.flushed(group);
    else this.#await(group, waits);
    return false;
  }

  #await(group: TurnGroup, waits: readonly Promise<void>[]): void {
    const startedMs = this.figures === undefined ? 0 : this.#clock.monotonicMs();
    Promise.all(waits).then(
      () => {
        this.figures?.flushed(this.#clock.monotonicMs() - startedMs);
        this.#flushed(group, undefined);
      },
      // The others are waited for: only then it is known what of this turn is safe.
      (error) => void Promise.allSettled(waits).then(() => this.#flushFailed(group, error)),
    );
  }

  #flushed(group: TurnGroup, error: string | undefined): void {
    this.#core.flushed(group, error);
    this.#finishGroups();
  }

  /** A disk that refuses is a mode, not an end (decision 16). Everything else is a defect: nothing is acknowledged any more. */
  #flushFailed(group: TurnGroup, error: unknown): void {
    if (!(error instanceof StoreError)) return this.#failed(error);
    this.#flushed(group, error.message);
  }

  #finishGroups(): void {
    this.begin();
    for (let group = this.#core.finishNext(); group !== undefined; group = this.#core.finishNext()) {
      const { begunMs, publishCount } = group;
      this.#carryOut();
      // The reading of `begin` is a little older than these answers; another one per group would cost more than it tells.
      if (publishCount > 0) this.figures?.answered(publishCount, this.#nowMs - begunMs);
    }
  }

  // Effects ------------------------------------------------------------------------------------------------------------

  #carryOut(): void {
    const core = this.#core;
    const { effects } = core;
    for (const subscription of effects.listen) {
      if (!subscription.online || subscription.listener !== undefined) continue;
      subscription.listener = this.#bus.subscribe(subscription.record.ackInbox, this.#acks, subscription);
    }
    for (let i = 0; i < effects.segments.length; i++) this.#send(effects.segments[i]!);
    for (const listener of effects.unlisten) (listener as BusSubscription).unsubscribe();
    let unanswerable: number[] | undefined;
    this.traffic.heartbeats += effects.requests.length;
    for (const { address, serial } of effects.requests) {
      if (this.#bus.request(address, `${this.#replyPrefix}.${serial}`, EMPTY) === 0) {
        (unanswerable ??= []).push(serial);
      }
    }
    core.effectsDone();
    if (unanswerable !== undefined) {
      // What that changes (a replaced client, a closed one) leaves with the next turn.
      for (const serial of unanswerable) core.requestUnanswerable(serial);
      this.#requestTurn();
    }
  }

  #send(list: SendList): void {
    const bus = this.#bus;
    const tail = this.#tail;
    let sentBytes = 0;
    const { addresses, buffers, starts, ends, redeliveries, count } = list;
    for (let i = 0; i < count; i++) {
      const redeliveryCount = redeliveries[i]!;
      const tailLength = redeliveryCount === 0 ? 0 : encodeRedeliveryTail(tail, 0, redeliveryCount);
      const start = starts[i]!;
      const end = ends[i]!;
      sentBytes += end - start + tailLength;
      const reached = bus.send(addresses[i]!, buffers[i]!, start, end, tail, tailLength);
      if (reached === 0) this.#core.unheard(addresses[i]!);
    }
    this.traffic.sent += count;
    this.traffic.sentBytes += sentBytes;
  }

  /** An answer to a heartbeat or a probe: the serial is the last token of the subject. */
  #answered(message: BusMessage): void {
    if (message.noResponders) return;
    const subject = byteString(message.buffer, message.subjectStart, message.subjectEnd);
    const serial = Number(subject.slice(this.#replyPrefix.length + 1));
    if (!Number.isSafeInteger(serial)) return;
    this.traffic.heartbeatAnswers++;
    this.begin();
    this.#core.requestAnswered(serial);
  }
}
