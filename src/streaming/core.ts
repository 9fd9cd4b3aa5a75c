/**
 * The streaming core: a machine without sockets, files, clock or randomness (style.md 2). The driver hands it events as they
 * are read, ends the turn, carries out the effects, flushes the stores that the turn's groups name, and reports the result.
 *
 *   setTime, event, event, ...        staged: nothing leaves yet, refusals apart
 *   endTurn -> groups                 the driver flushes the stores of each
 *   flushed(group)                    they are safe, or not
 *   finishNext() -> group             new messages become visible and are delivered, then the held answers leave, then new
 *                                     subscriptions start
 *
 * Ten slow publishers cost one sync, not ten; a lone publish waits for nobody.
 */
import { bytesOf, byteString, displayText, equalRanges } from "../base/bytes.ts";
import { varintEnd } from "../base/varint.ts";
import {
  type ChannelStore,
  type ClientRecord,
  type RecoveredState,
  type ServerRecord,
  type Store,
  STORE_ERROR_TEXT,
  StoreError,
  type StoreLimits,
} from "../store/types.ts";
import { decodeConnectRequest, encodeSubscriptionResponse } from "../wire/stan_control.ts";
import { rejectingCaseText, stanErrorBytes } from "../wire/stan_errors.ts";
import {
  AckView,
  decodeAck,
  decodePubMsg,
  decodesAsCtrlMsg,
  encodePubAck,
  encodePubAckError,
  msgProtoSize,
  pubAckSize,
  PubMsgView,
} from "../wire/stan_hot.ts";
import { isChannelNameValid } from "../wire/stan_subjects.ts";
import { type AdminFinish, type AdminHost, Administration, type AdminRequest } from "./admin.ts";
import { browse, type BrowseRequest, type BrowseResult } from "./browse.ts";
import { Channel, type ChannelTable } from "./channel.ts";
import type { Client, ClientRegistry } from "./client.ts";
import { CoreContext, type CoreCounters, type Effects } from "./context.ts";
import { Delivery } from "./delivery.ts";
import { Diagnosis } from "./diagnosis.ts";
import { Flights } from "./flights.ts";
import { Recovery, type RecoveryHost } from "./recovery.ts";
import { Sessions } from "./sessions.ts";
import type { SendList } from "./send_list.ts";
import { type ChannelSource, Subscribing } from "./subscribing.ts";
import type { StanSubscription } from "./subscription.ts";
import type { TurnGroup } from "./turn_groups.ts";
import type { Address, CoreOptions, Journal, World } from "./world.ts";

/** Bytes that a redelivery adds to a message: flag and count. Reserved when a message is accepted (D2). */
const REDELIVERY_TAIL_MAX_BYTES = 8;

export class StreamingCore implements ChannelSource, RecoveryHost, AdminHost {
  readonly #context: CoreContext;
  readonly #delivery: Delivery;
  readonly #sessions: Sessions;
  readonly #subscribing: Subscribing;
  readonly #diagnosis: Diagnosis;
  readonly #recovery: Recovery;
  readonly #administration: Administration;
  readonly #flights = new Flights();
  #discovery: string;
  readonly #publish = new PubMsgView();
  readonly #ack = new AckView();

  constructor(options: {
    core: CoreOptions;
    world: World;
    store: Store;
    limits: StoreLimits;
    journal: Journal;
    server: ServerRecord;
    nowMs: number;
  }) {
    this.#context = new CoreContext(options);
    this.#delivery = new Delivery(this.#context);
    this.#subscribing = new Subscribing(this.#context, this.#delivery, this);
    this.#diagnosis = new Diagnosis(this.#context);
    this.#discovery = options.server.discovery;
    this.#sessions = new Sessions(
      this.#context,
      options.server,
      this.#diagnosis,
      (client) => this.#subscribing.endAll(client),
    );
    this.#recovery = new Recovery(this.#context, this.#delivery, this.#subscribing, this);
    this.#administration = new Administration(this.#context, this.#delivery, this.#subscribing, this);
  }

  // Views for the monitor and for tests --------------------------------------------------------------------------------

  get clients(): ClientRegistry {
    return this.#context.clients;
  }

  get channels(): ChannelTable {
    return this.#context.channels;
  }

  get counters(): Readonly<CoreCounters> {
    return this.#context.counters;
  }

  /** What must be done now; valid until `effectsDone`. */
  get effects(): Effects {
    return this.#context.effects;
  }

  // Time and turns -----------------------------------------------------------------------------------------------------

  /** Time of the events that follow: monotonic, and the wall clock in nanoseconds as two halves. Read once per batch. */
  setTime(nowMs: number, stampHigh: number, stampLow: number): void {
    const context = this.#context;
    context.nowMs = nowMs;
    context.stampHigh = stampHigh;
    context.stampLow = stampLow;
    context.wallMs = (stampHigh * 4_294_967_296 + stampLow) / 1e6;
  }

  /** Fires the timers that are due. Part of a turn, like an event. */
  advance(): void {
    this.#context.wheel.advance(this.#context.nowMs);
  }

  /** When the core wants `advance`, in monotonic milliseconds; Infinity when nothing is timed. */
  get wakeAtMs(): number {
    return this.#context.wheel.nextDueMs();
  }

  /** Something was staged, or was left over, that another turn must take up. */
  get hasWork(): boolean {
    const { again, groups, now, effects } = this.#context;
    return again || !groups.isEmpty || now.count > 0 || effects.requests.length > 0 || effects.unlisten.length > 0;
  }

  /** Ends the turn: delivers what acks have made room for, and returns the groups to flush, valid until the next turn. */
  endTurn(): readonly TurnGroup[] {
    this.#context.again = false;
    this.#delivery.beginTurn();
    this.#delivery.run();
    this.#context.sealNow();
    return this.#context.groups.take();
  }

  /** The flush of `group` is under way, or others are that it may have to wait for. Call in the order of the groups. */
  flushing(group: TurnGroup): void {
    this.#flights.begin(group);
  }

  /** How many groups are in flight. */
  get flightCount(): number {
    return this.#flights.count;
  }

  /** The flush of `group` has ended; `error`: not all of it is safe. */
  flushed(group: TurnGroup, error?: string): void {
    group.isFlushed = true;
    group.error = error;
  }

  /** Finishes one group that is flushed and waits for no other; carry its effects out before the next call. */
  finishNext(): TurnGroup | undefined {
    const group = this.#flights.next();
    if (group !== undefined) this.finish(group);
    return group;
  }

  /** Does what follows from the flush of `group`. Call it for one that was safe at once and so was never in flight. */
  finish(group: TurnGroup): void {
    if (group.error === undefined) this.#done(group);
    else this.#failed(group, group.error);
  }

  #done(group: TurnGroup): void {
    const context = this.#context;
    for (let i = 0; i < group.channels.length; i++) {
      const channel = group.channels[i]!;
      // Whatever happened meanwhile, nothing becomes visible that its store does not have.
      const last = Math.min(group.lastSequences[i]!, channel.messages.lastSequence);
      if (last > channel.visibleLast) {
        channel.visibleLast = last;
        this.#delivery.markChannelReady(channel);
      }
    }
    // Deliveries of a batch come before its acknowledgements, responses before the first message of their subscription.
    this.#delivery.run();
    context.sealNow();
    for (const line of group.traces) context.journal.trace(line);
    context.releaseGroup(group);
    if (group.starts.length > 0) {
      for (let i = 0; i < group.starts.length; i++) {
        this.#subscribing.start(group.starts[i]!, group.startIncarnations[i]!);
      }
      this.#delivery.run();
      context.sealNow();
    }
    for (let i = 0; i < group.actions.length; i++) group.actions[i]!.done();
  }

  /**
   * Not all stores of `group` could be flushed. Publishers and new subscribers of the turn get `error`; messages that are
   * safe all the same become visible: an error promises nothing, and a publisher that repeats is served twice, not never.
   */
  #failed(group: TurnGroup, error: string): void {
    group.traces.length = 0;
    const { held } = group;
    this.#context.counters.rolledBack++;
    const text = bytesOf(error);
    for (let i = 0; i < held.count; i++) if (held.isInArena(i)) this.#failAck(held, i, text);
    for (let i = 0; i < group.starts.length; i++) {
      const answer = group.startAnswers[i]!;
      if (answer >= 0) {
        const bytes = encodeSubscriptionResponse({ error });
        held.buffers[answer] = bytes;
        held.starts[answer] = 0;
        held.ends[answer] = bytes.length;
      }
      this.#subscribing.abandon(group.starts[i]!, group.startIncarnations[i]!, group.startResumed[i]!);
    }
    group.starts.length = 0;
    for (let i = 0; i < group.channels.length; i++) {
      // What was taken back is behind the store's last sequence.
      group.lastSequences[i] = Math.min(group.lastSequences[i]!, group.channels[i]!.messages.lastSequence);
    }
    for (const action of group.actions) action.failed(error);
    group.actions.length = 0;
    this.#done(group);
  }

  /** Turns an acknowledgement that was held into a refusal. */
  #failAck(held: SendList, i: number, error: Uint8Array): void {
    const source = held.buffers[i]!;
    const end = held.ends[i]!;
    // | 0x0a | length | guid |
    const guidStart = varintEnd(source, held.starts[i]! + 1, end);
    const bytes = new Uint8Array(pubAckSize(end - guidStart, error.length));
    held.ends[i] = encodePubAckError(bytes, 0, source, guidStart, end, error);
    held.buffers[i] = bytes;
    held.starts[i] = 0;
    this.#context.counters.refused++;
    this.#context.counters.published--;
    this.#context.counters.takenBack++;
  }

  /** The effects were carried out; their buffers are used again. */
  effectsDone(): void {
    this.#context.effectsDone();
  }

  // Recovery -----------------------------------------------------------------------------------------------------------

  /** Takes over what the store recovered (23). Before anything else; `begin` follows when clients can be served. */
  restore(state: RecoveredState): void {
    this.#sessions.serve(state.server);
    this.#discovery = state.server.discovery;
    this.#recovery.restore(state);
  }

  /** Clients are served: what was recovered goes on. */
  begin(): void {
    // What grew too old while no server ran is gone before anybody can ask for it.
    for (const channel of this.#context.channels.all) if (channel.ageTimer !== undefined) this.#aged(channel);
    this.#recovery.begin();
    this.#context.again = true;
  }

  restoreClient(record: ClientRecord): Client {
    return this.#sessions.restore(record);
  }

  adoptChannel(store: ChannelStore): Channel {
    const context = this.#context;
    const channel = new Channel(store, context.limits.forChannel(store.name), {
      inactive: (idle) => this.#inactive(idle),
      aged: (old) => this.#aged(old),
    });
    // Stamps go on from the last one, also if the clock was set back meanwhile (stores.md trap 14).
    channel.messages.stampOf(channel.messages.lastSequence, channel);
    this.#watchStore(channel);
    context.channels.add(channel);
    this.checkInactivity(channel);
    return channel;
  }

  #watchStore(channel: Channel): void {
    const context = this.#context;
    channel.messages.onReadable = () => {
      channel.wakeReaders();
      this.#delivery.markChannelReady(channel);
      context.again = true;
      context.world.wake();
    };
    channel.messages.onLimitReached = () => this.#limitReached(channel);
  }

  // Events -------------------------------------------------------------------------------------------------------------

  /**
   * A message on the publish subject (11). The ranges are copied before the call returns. `buffer[nameStart, nameEnd)` is the
   * channel in that subject, and `hint` may be what the call before returned for the same name, to save the search. Returns
   * the channel that took the message; undefined, too, where the message itself names another one than the subject.
   */
  publish(
    buffer: Uint8Array,
    start: number,
    end: number,
    reply: Address | undefined,
    nameStart: number,
    nameEnd: number,
    hint?: Channel,
  ): Channel | undefined {
    const context = this.#context;
    const message = this.#publish;
    if (!decodePubMsg(buffer, start, end, message)) {
      if (decodesAsCtrlMsg(buffer, start, end)) return undefined;
      return this.#refusePublish(buffer, message, reply, stanErrorBytes("INVALID_PUBLISH_REQUEST"));
    }
    context.counters.received++;
    context.counters.receivedBytes += end - start;
    if (message.guidEnd === message.guidStart) {
      return this.#refusePublish(buffer, message, reply, stanErrorBytes("INVALID_PUBLISH_REQUEST"));
    }
    // The message decides. Both stand in the buffer that is being read: of thousands of channels no name has to be looked at.
    const isNamed = equalRanges(buffer, nameStart, nameEnd, buffer, message.subjectStart, message.subjectEnd);
    let channel = isNamed && hint !== undefined && !hint.deleted
      ? hint
      : context.channels.get(buffer, message.subjectStart, message.subjectEnd);
    if (channel === undefined && !isChannelNameValid(buffer, message.subjectStart, message.subjectEnd)) {
      return this.#refusePublish(buffer, message, reply, stanErrorBytes("INVALID_PUBLISH_REQUEST"));
    }
    // 11.2: a connection ID alone identifies; the client ID is looked at only without one.
    const client = message.connectionIdEnd > message.connectionIdStart
      ? context.clients.byConnection(buffer, message.connectionIdStart, message.connectionIdEnd)
      : context.clients.byIdBytes(buffer, message.clientIdStart, message.clientIdEnd);
    if (client === undefined) {
      return this.#refusePublish(buffer, message, reply, stanErrorBytes("INVALID_PUBLISH_REQUEST"));
    }
    if (channel === undefined) {
      const obtained = this.obtain(buffer, message.subjectStart, message.subjectEnd);
      if (typeof obtained === "string") return this.#refusePublish(buffer, message, reply, bytesOf(obtained));
      channel = obtained;
    }
    // 10.8: if the clock went back, the previous stamp is repeated.
    if (
      context.stampHigh > channel.stampHigh ||
      (context.stampHigh === channel.stampHigh && context.stampLow > channel.stampLow)
    ) {
      channel.stampHigh = context.stampHigh;
      channel.stampLow = context.stampLow;
    }
    const messages = channel.messages;
    const sequence = messages.lastSequence + 1;
    const dataLength = message.dataEnd - message.dataStart;
    const replyLength = message.replyEnd - message.replyStart;
    if (
      dataLength + replyLength + (message.subjectEnd - message.subjectStart) + 64 > context.options.maxPayload &&
      !this.#fits(channel, sequence, replyLength, dataLength)
    ) {
      return this.#refusePublish(buffer, message, reply, bytesOf(this.#tooLarge()));
    }
    const size = messages.append(
      sequence,
      channel.stampHigh,
      channel.stampLow,
      buffer,
      message.replyStart,
      message.replyEnd,
      message.dataStart,
      message.dataEnd,
      message.subjectStart,
    );
    if (size <= 0) {
      context.counters.storeRefused++;
      return this.#refusePublish(buffer, message, reply, bytesOf(messages.lastError));
    }
    const { groups } = context;
    const group = groups.forPublish(channel, client);
    group.publishCount++;
    if (channel.isTimed && channel.storedIn !== groups.turn) this.#firstOfTurn(channel);
    if (groups.splits || channel.hasAudience) groups.touch(group, channel);
    // Safe at once, and nobody waits for it: with thousands of channels it is not worth coming back.
    else channel.visibleLast = sequence;
    context.counters.published++;
    if (context.journal.traceEnabled) this.#tracePublish(buffer, group, channel, client.id);
    const noted = isNamed ? channel : undefined;
    if (reply === undefined) return noted;
    const { held } = group;
    const guidLength = message.guidEnd - message.guidStart;
    held.reserve(guidLength + 12);
    const at = held.arenaLength;
    held.arenaLength = encodePubAck(held.arena, at, buffer, message.guidStart, message.guidEnd);
    held.add(reply, held.arena, at, held.arenaLength, 0);
    return noted;
  }

  /** Once per timed channel and turn, whatever else touched the channel before. */
  #firstOfTurn(channel: Channel): void {
    const context = this.#context;
    channel.storedIn = context.groups.turn;
    channel.lastActivityMs = context.nowMs;
    if (channel.ageTimer !== undefined && !channel.ageTimer.armed) {
      context.wheel.arm(channel.ageTimer, context.nowMs + channel.limits.maxAgeMs);
    }
  }

  /** D2, mended: a message that could never be delivered is refused instead of blocking every subscription behind it. */
  #fits(channel: Channel, sequence: number, replyLength: number, dataLength: number): boolean {
    const size = msgProtoSize(
      sequence,
      channel.nameBytes.length,
      replyLength,
      dataLength,
      channel.stampHigh,
      channel.stampLow,
    );
    return size + REDELIVERY_TAIL_MAX_BYTES <= this.#context.options.maxPayload;
  }

  #tooLarge(): string {
    return `stan: message too large to be delivered: with its envelope it exceeds ${this.#context.options.maxPayload} bytes`;
  }

  #refusePublish(buffer: Uint8Array, message: PubMsgView, reply: Address | undefined, error: Uint8Array): undefined {
    const context = this.#context;
    context.counters.refused++;
    if (reply === undefined) return undefined;
    const list = context.now;
    list.reserve(pubAckSize(message.guidEnd - message.guidStart, error.length));
    const at = list.arenaLength;
    list.arenaLength = encodePubAckError(list.arena, at, buffer, message.guidStart, message.guidEnd, error);
    list.add(reply, list.arena, at, list.arenaLength, 0);
    return undefined;
  }

  /** A message on the ack inbox of `subscription` in its `incarnation` (16). */
  acknowledge(
    subscription: StanSubscription,
    incarnation: number,
    buffer: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (subscription.incarnation !== incarnation || !subscription.online) return;
    const ack = this.#ack;
    if (!decodeAck(buffer, start, end, ack)) return;
    const name = subscription.channel.nameBytes;
    if (ack.subjectEnd - ack.subjectStart !== name.length) return;
    for (let i = 0; i < name.length; i++) if (buffer[ack.subjectStart + i] !== name[i]) return;
    if (this.#context.journal.traceEnabled) {
      this.#context.journal.trace(
        `[Client:${subscription.record.clientId}] Processing ack for subid=${subscription.record.id}, ` +
          `subject=${displayText(subscription.channel.name)}, seq=${ack.sequence}`,
      );
    }
    subscription.everAcked = true;
    this.#delivery.ack(subscription, ack.sequence, true);
  }

  connect(buffer: Uint8Array, start: number, end: number, reply: Address | undefined): void {
    this.#sessions.connect(buffer, start, end, reply);
  }

  closeClient(buffer: Uint8Array, start: number, end: number, reply: Address | undefined): void {
    this.#sessions.close(buffer, start, end, reply);
  }

  ping(buffer: Uint8Array, start: number, end: number, reply: Address | undefined): void {
    this.#sessions.ping(buffer, start, end, reply);
  }

  subscribe(buffer: Uint8Array, start: number, end: number, reply: Address | undefined): void {
    this.#subscribing.subscribe(buffer, start, end, reply);
  }

  unsubscribe(buffer: Uint8Array, start: number, end: number, reply: Address | undefined): void {
    this.#subscribing.leave("unsubscribe", buffer, start, end, reply);
  }

  closeSubscription(buffer: Uint8Array, start: number, end: number, reply: Address | undefined): void {
    this.#subscribing.leave("close", buffer, start, end, reply);
  }

  /** An outgoing request (a heartbeat, a probe) was answered. */
  requestAnswered(serial: number): void {
    this.#sessions.requestAnswered(serial);
  }

  /** Nobody listens where an outgoing request went. */
  requestUnanswerable(serial: number): void {
    this.#sessions.requestUnanswerable(serial);
  }

  /** A connect request went to `subject`, the discover subject of another cluster ID. It is for others to answer. */
  strayConnect(subject: string, buffer: Uint8Array, start: number, end: number): void {
    const request = decodeConnectRequest(buffer, start, end);
    if (request === undefined || request.heartbeatInbox === "") return;
    this.#diagnosis.otherCluster(subject, this.#discovery, request.clientId);
  }

  /** What was sent to `address` reached nobody. */
  unheard(address: Address): void {
    this.#diagnosis.unheard(address);
  }

  /** A receiver that was congested has caught up. */
  drained(): void {
    this.#delivery.drained();
    if (this.#delivery.hasWork) this.#context.again = true;
  }

  // Operators ----------------------------------------------------------------------------------------------------------

  /** Carries out what an operator asks for. An event like a request of a client: the answer comes when it is safe. */
  administer(request: AdminRequest, finish: AdminFinish): void {
    this.#administration.perform(request, finish);
  }

  /** Reads stored messages for an operator. No event: nothing is changed by it. */
  browse(request: BrowseRequest, finish: (result: BrowseResult) => void): void {
    browse(request, finish);
  }

  // Channels -----------------------------------------------------------------------------------------------------------

  find(name: string): Channel | undefined {
    return this.#context.channels.getByName(name);
  }

  /** 10.2 to 10.6 */
  obtain(name: Uint8Array, start: number, end: number): Channel | string {
    const context = this.#context;
    const known = context.channels.get(name, start, end);
    if (known !== undefined) return known;
    const text = byteString(name, start, end);
    const other = context.channels.otherSpelling(text);
    if (other !== undefined) return rejectingCaseText(text, other);
    try {
      const store = context.store.createChannel(text);
      const channel = new Channel(store, context.limits.forChannel(text), {
        inactive: (idle) => this.#inactive(idle),
        aged: (old) => this.#aged(old),
      });
      this.#watchStore(channel);
      context.channels.add(channel);
      context.groups.whole().storeTouched = true;
      context.journal.info(`Channel "${displayText(text)}" has been created`);
      this.checkInactivity(channel);
      return channel;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      context.journal.error(`Creating channel "${displayText(text)}" failed: ${error.message}`);
      return error.code === "STORE_TOO_MANY_CHANNELS" ? STORE_ERROR_TEXT.STORE_TOO_MANY_CHANNELS : error.message;
    }
  }

  #limitReached(channel: Channel): void {
    const { limits, messages } = channel;
    this.#context.journal.warn(
      `Reached limits for store "${displayText(channel.name)}" ` +
        `(msgs=${messages.messageCount}/${limits.maxMessages} bytes=${messages.byteCount}/${limits.maxBytes}), ` +
        `dropping old messages to make room for new ones`,
    );
  }

  #aged(channel: Channel): void {
    const context = this.#context;
    if (channel.deleted) return;
    const nextWallMs = channel.messages.expire(context.stampHigh, context.stampLow);
    if (nextWallMs > 0) context.wheel.arm(channel.ageTimer!, context.nowMs + Math.max(1, nextWallMs - context.wallMs));
  }

  // Inactivity (22) ----------------------------------------------------------------------------------------------------

  holdInactivity(channel: Channel): void {
    if (channel.inactivityTimer !== undefined) this.#context.wheel.disarm(channel.inactivityTimer);
  }

  checkInactivity(channel: Channel): void {
    const timer = channel.inactivityTimer;
    // Armed anew even if it runs: a replaced durable starts it for a moment in which nothing was inactive.
    if (timer === undefined || channel.hasActiveSubscription) return;
    this.#context.wheel.arm(timer, this.#context.nowMs + channel.limits.maxInactivityMs);
  }

  #inactive(channel: Channel): void {
    const context = this.#context;
    if (channel.deleted || channel.hasActiveSubscription) return;
    const restMs = channel.lastActivityMs + channel.limits.maxInactivityMs - context.nowMs;
    if (restMs > 0) {
      context.wheel.arm(channel.inactivityTimer!, context.nowMs + restMs);
      return;
    }
    try {
      this.removeChannel(channel);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      // 22.6: the channel stays and the time starts again.
      context.journal.error(`Deleting channel "${displayText(channel.name)}" failed: ${error.message}`);
      context.wheel.arm(channel.inactivityTimer!, context.nowMs + channel.limits.maxInactivityMs);
    }
  }

  /** Nobody is subscribed any more: the channel ends, in the store and here. Throws {@link StoreError}: it stays. */
  removeChannel(channel: Channel): void {
    const context = this.#context;
    context.store.deleteChannel(channel.name);
    channel.deleted = true;
    if (channel.ageTimer !== undefined) context.wheel.disarm(channel.ageTimer);
    this.holdInactivity(channel);
    context.channels.remove(channel);
    context.groups.whole().storeTouched = true;
    context.journal.info(`Channel "${displayText(channel.name)}" has been deleted`);
    channel.wakeReaders();
  }

  #tracePublish(buffer: Uint8Array, group: TurnGroup, channel: Channel, clientId: string): void {
    const guid = byteString(buffer, this.#publish.guidStart, this.#publish.guidEnd);
    const what = `subj=${displayText(channel.name)} guid=${displayText(guid)}`;
    this.#context.journal.trace(`[Client:${displayText(clientId)}] Received message from publisher ${what}`);
    group.traces.push(`[Client:${displayText(clientId)}] Acking Publisher ${what}`);
  }
}
