/**
 * Takes published messages to everybody who is interested: client connections (a frame in their output queue) and internal
 * receivers (a call). It is also the embedded `Bus`: the streaming layer receives and sends here without a socket.
 */
import { bytesOf, copyRange, writeDecimal } from "../base/bytes.ts";
import { hasOnlyFullTokens, hasWildcard } from "../base/subject.ts";
import { isReserved } from "./publish_rules.ts";
import type { NatsParser } from "../wire/nats_parser.ts";
import { NO_RESPONDERS_HEADER } from "../wire/nats_text.ts";
import type { Bus, BusMessage, BusReceiver, BusSubscription, Destination } from "./bus.ts";
import type { Connection } from "./connection.ts";
import { Sublist } from "./sublist.ts";
import { NO_GROUPS, NO_HEADS, NO_SUBSCRIPTIONS, type QueueGroup, SubjectEntry, SubjectTable } from "./subject_table.ts";
import { Subscription } from "./subscription.ts";

/** Bytes that internal receivers may have waiting from internal senders; what comes above is dropped and counted. */
export const INTERNAL_QUEUE_BYTES_MAX = 16_777_216;
/** Output waiting at one connection above which bulk senders stop, and below which they go on. */
export const CONGESTION_HIGH_BYTES = 1_048_576;
export const CONGESTION_LOW_BYTES = 262_144;

/** What a queued message counts beside its bytes: messages without payload are not for free. */
const QUEUED_OVERHEAD_BYTES = 64;

const EMPTY = new Uint8Array(0);
const MSG = bytesOf("MSG ");
const SPACE = 32;
const CR = 13;
const LF = 10;

/** Plain counters of the whole server; read by the monitor, never reset. */
export interface Statistics {
  inMessages: number;
  inBytes: number;
  outMessages: number;
  outBytes: number;
  slowConsumers: number;
  totalConnections: number;
  internalDropped: number;
}

function createStatistics(): Statistics {
  return {
    inMessages: 0,
    inBytes: 0,
    outMessages: 0,
    outBytes: 0,
    slowConsumers: 0,
    totalConnections: 0,
    internalDropped: 0,
  };
}

/** What connections of an account that are gone have carried: with those that are there, all of its traffic. */
export class DepartedTraffic {
  inMessages = 0;
  inBytes = 0;
  outMessages = 0;
  outBytes = 0;
  /** Those that were cut because they did not read. */
  slowConsumers = 0;

  add(connection: Connection): void {
    this.inMessages += connection.inMessages;
    this.inBytes += connection.inBytes;
    this.outMessages += connection.outMessages;
    this.outBytes += connection.outBytes;
  }
}

/** What a router is made of. */
export interface RouterOptions {
  /** Random per process. */
  readonly seed: number;
  readonly maxPayload: number;
  readonly requestTurn: () => void;
  /** Absent: its own. */
  readonly statistics?: Statistics;
}

/** The one message object that internal receivers see. */
class RouterMessage implements BusMessage {
  buffer: Uint8Array = EMPTY;
  subjectStart = 0;
  subjectEnd = 0;
  replyStart = 0;
  replyEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  noResponders = false;
  publisher: Connection | null = null;
  entry: SubjectEntry | null = null;
  readonly #router: Router;

  constructor(router: Router) {
    this.#router = router;
  }

  get note(): unknown {
    return this.entry?.note;
  }

  set note(note: unknown) {
    if (this.entry !== null) this.entry.note = note;
  }

  replyDestination(): Destination | undefined {
    if (this.replyEnd === this.replyStart) return undefined;
    if (this.publisher !== null) return this.publisher.replyEntry();
    return this.#router.entryOf(this.buffer, this.replyStart, this.replyEnd);
  }
}

/** A message from an internal sender to internal receivers, waiting for the end of the batch. */
interface QueuedMessage {
  readonly entry: SubjectEntry;
  /** Reply bytes, then payload. */
  readonly bytes: Uint8Array;
  readonly replyLength: number;
}

/** An interest of the program itself, and what ends it: one object for both, for there is one per ack inbox. */
class OwnSubscription extends Subscription implements BusSubscription {
  readonly owner: unknown;
  readonly #router: Router;

  constructor(router: Router, receiver: BusReceiver, subject: string, owner: unknown) {
    super(null, receiver, subject, "", "");
    this.owner = owner;
    this.#router = router;
  }

  unsubscribe(): void {
    this.#router.remove(this);
  }
}

export class Router implements Bus {
  readonly sublist = new Sublist();
  readonly subjects: SubjectTable;
  /** Of the whole server: the routers of all accounts count into the same ones. */
  readonly statistics: Statistics;
  /** Changes whenever a wildcard subscription comes or goes: then every entry is resolved anew at its next use. */
  generation = 1;
  /** A receiver whose output has grown beyond the high mark while the current batch was delivered. */
  congested: Connection | null = null;
  onDrained: (() => void) | undefined = undefined;
  readonly departed = new DepartedTraffic();
  /** Times that the receivers of a subject were looked for in the list of subscriptions. */
  resolutions = 0;
  /** Changes with a reload. */
  maxPayload: number;
  readonly #message: RouterMessage;
  #queue: QueuedMessage[] = [];
  #queuedBytes = 0;
  readonly #requestTurn: () => void;

  constructor(options: RouterOptions) {
    this.statistics = options.statistics ?? createStatistics();
    this.subjects = new SubjectTable(options.seed);
    this.maxPayload = options.maxPayload;
    this.#requestTurn = options.requestTurn;
    this.#message = new RouterMessage(this);
  }

  // Subscriptions ------------------------------------------------------------------------------------------------------

  add(subscription: Subscription): void {
    if (this.sublist.insert(subscription)) this.generation++;
    else this.#touch(subscription.subject);
  }

  remove(subscription: Subscription): void {
    if (this.sublist.remove(subscription)) this.generation++;
    else this.#touch(subscription.subject);
    subscription.close();
  }

  /** A literal subscription changes one entry only; all others stay resolved. */
  #touch(subject: string): void {
    const entry = this.subjects.peek(subject);
    if (entry !== null) entry.generation = -1;
  }

  /** The entry of a published subject, resolved. */
  entryOf(buffer: Uint8Array, start: number, end: number, view: DataView | null = null): SubjectEntry {
    const entry = this.subjects.intern(buffer, start, end, view);
    return entry.generation === this.generation ? entry : this.refresh(entry);
  }

  /** Makes `entry` true again; returns the entry to use from now on (another one if it had been dropped). */
  refresh(entry: SubjectEntry): SubjectEntry {
    if (entry.dropped) entry = this.subjects.intern(entry.names, entry.nameStart, entry.nameEnd);
    if (entry.generation === this.generation) return entry;
    const first = entry.generation === -1 && entry.plain === NO_SUBSCRIPTIONS;
    if (first) {
      const subject = entry.subject;
      entry.publishable = hasOnlyFullTokens(subject);
      entry.wildcard = hasWildcard(subject);
      entry.reserved = isReserved(subject);
    }
    entry.plain = NO_SUBSCRIPTIONS;
    entry.heads = NO_HEADS;
    entry.groups = NO_GROUPS;
    entry.generation = this.generation;
    if (!entry.publishable) return entry;
    this.resolutions++;
    const result = this.sublist.match(entry.subject);
    const plain = reachable(result.plain, entry.subject);
    if (plain.length === 1 && plain[0]!.connection === null) {
      // Thousands of subjects may lead to this one receiver and nowhere else: they share the list.
      entry.plain = plain[0]!.alone;
    } else if (plain.length > 0) {
      entry.plain = plain;
      entry.heads = plain.map((subscription) => frameHead(entry, subscription));
    }
    if (result.groups.length > 0) {
      entry.groups = result.groups.map((group): QueueGroup => {
        const members = reachable(group, entry.subject);
        return { members, heads: members.map((subscription) => frameHead(entry, subscription)) };
      });
    }
    return entry;
  }

  // Messages of clients ------------------------------------------------------------------------------------------------

  /** Delivers the frame in `parser`, published by `publisher` on `entry`; returns the number of receivers. */
  publish(publisher: Connection, parser: NatsParser, entry: SubjectEntry): number {
    const plain = entry.plain;
    const heads = entry.heads;
    let reached = 0;
    for (let i = 0; i < plain.length; i++) {
      const subscription = plain[i]!;
      const connection = subscription.connection;
      if (connection === null) {
        if (subscription.receiver === null) continue;
        this.#hand(subscription, publisher, parser, entry);
        if (!subscription.passive) reached++;
      } else if (connection !== publisher || publisher.echo) {
        if (connection.deliver(subscription, heads[i]!, parser)) reached++;
      }
    }
    const groups = entry.groups;
    for (let i = 0; i < groups.length; i++) if (this.#publishToGroup(groups[i]!, publisher, parser, entry)) reached++;
    return reached;
  }

  /** One uniformly random member, then the next ones in ring order until one can take it (nats-server.md 5). */
  #publishToGroup(group: QueueGroup, publisher: Connection, parser: NatsParser, entry: SubjectEntry): boolean {
    const members = group.members;
    const count = members.length;
    let index = count === 1 ? 0 : (Math.random() * count) | 0;
    for (let tries = 0; tries < count; tries++) {
      const subscription = members[index]!;
      if (!subscription.closed) {
        const connection = subscription.connection;
        if (connection === null) {
          this.#hand(subscription, publisher, parser, entry);
          return true;
        }
        if (
          (connection !== publisher || publisher.echo) && connection.deliver(subscription, group.heads[index]!, parser)
        ) {
          return true;
        }
      }
      if (++index === count) index = 0;
    }
    return false;
  }

  #hand(subscription: Subscription, publisher: Connection, parser: NatsParser, entry: SubjectEntry): void {
    subscription.delivered++;
    const message = this.#message;
    message.buffer = parser.buffer;
    message.subjectStart = parser.subjectStart;
    message.subjectEnd = parser.subjectEnd;
    message.replyStart = parser.replyStart;
    message.replyEnd = parser.replyEnd;
    message.payloadStart = parser.headerSize > 0 ? parser.payloadStart + parser.headerSize : parser.payloadStart;
    message.payloadEnd = parser.payloadEnd;
    message.publisher = publisher;
    message.entry = entry;
    // Only the program's own have a receiver.
    subscription.receiver!.receive(message, subscription as OwnSubscription);
  }

  /** 503 to the publisher's own plain subscription on the reply; nothing when it has none (nats-server.md 3.8). */
  answerNoResponders(publisher: Connection, reply: SubjectEntry): void {
    for (let i = 0; i < reply.plain.length; i++) {
      const subscription = reply.plain[i]!;
      if (subscription.connection !== publisher) continue;
      publisher.deliverStatus(subscription, reply, NO_RESPONDERS_HEADER);
      return;
    }
  }

  // The bus ------------------------------------------------------------------------------------------------------------

  subscribe(subject: string, receiver: BusReceiver, owner?: unknown): BusSubscription {
    const subscription = new OwnSubscription(this, receiver, subject, owner);
    this.add(subscription);
    return subscription;
  }

  watch(subject: string, receiver: BusReceiver): BusSubscription {
    const subscription = new OwnSubscription(this, receiver, subject, undefined);
    subscription.passive = true;
    this.add(subscription);
    return subscription;
  }

  destination(subject: string): Destination {
    let entry = this.subjects.internText(subject);
    if (entry.generation !== this.generation) entry = this.refresh(entry);
    entry.pins++;
    return entry;
  }

  release(destination: Destination): void {
    const entry = destination as SubjectEntry;
    if (entry.pins > 0) entry.pins--;
  }

  isCongested(destination: Destination): boolean {
    const entry = this.#resolved(destination);
    for (let i = 0; i < entry.plain.length; i++) {
      const connection = entry.plain[i]!.connection;
      if (connection !== null && connection.output.pendingBytes > CONGESTION_HIGH_BYTES) {
        connection.busWaits = true;
        return true;
      }
    }
    return false;
  }

  isHeard(destination: Destination): boolean {
    const entry = this.#resolved(destination);
    return entry.plain.length > 0 || entry.groups.length > 0;
  }

  send(
    destination: Destination,
    head: Uint8Array,
    start: number,
    end: number,
    tail: Uint8Array,
    tailLength: number,
  ): number {
    return this.#send(this.#resolved(destination), EMPTY, head, start, end, tail, tailLength);
  }

  request(destination: Destination, reply: string, payload: Uint8Array): number {
    return this.#send(this.#resolved(destination), bytesOf(reply + " "), payload, 0, payload.length, EMPTY, 0);
  }

  #resolved(destination: Destination): SubjectEntry {
    const entry = destination as SubjectEntry;
    return entry.generation === this.generation ? entry : this.refresh(entry);
  }

  /** `reply` ends with a space, or is empty. */
  #send(
    entry: SubjectEntry,
    reply: Uint8Array,
    head: Uint8Array,
    start: number,
    end: number,
    tail: Uint8Array,
    tailLength: number,
  ): number {
    const plain = entry.plain;
    let reached = 0;
    let receivers = 0;
    for (let i = 0; i < plain.length; i++) {
      const subscription = plain[i]!;
      const connection = subscription.connection;
      if (connection === null) receivers += subscription.receiver === null || subscription.passive ? 0 : 1;
      else if (writeFrame(connection, subscription, entry.heads[i]!, reply, head, start, end, tail, tailLength)) {
        reached++;
      }
    }
    // Queued once for all of them: `runQueue` hands it to every receiver of the subject.
    if (receivers > 0 && this.#enqueue(entry, reply, head, start, end, tail, tailLength)) reached += receivers;
    for (const group of entry.groups) {
      const count = group.members.length;
      let index = (Math.random() * count) | 0;
      for (let tries = 0; tries < count; tries++) {
        const subscription = group.members[index]!;
        const connection = subscription.connection;
        // Internal receivers are never members of a group: `subscribe` takes no queue.
        if (connection !== null) {
          const frame = group.heads[index]!;
          if (writeFrame(connection, subscription, frame, reply, head, start, end, tail, tailLength)) {
            reached++;
            break;
          }
        }
        if (++index === count) index = 0;
      }
    }
    return reached;
  }

  #enqueue(
    entry: SubjectEntry,
    reply: Uint8Array,
    head: Uint8Array,
    start: number,
    end: number,
    tail: Uint8Array,
    tailLength: number,
  ): boolean {
    const replyLength = reply.length > 0 ? reply.length - 1 : 0;
    const size = replyLength + end - start + tailLength;
    if (this.#queuedBytes + size + QUEUED_OVERHEAD_BYTES > INTERNAL_QUEUE_BYTES_MAX) {
      this.statistics.internalDropped++;
      return false;
    }
    const bytes = new Uint8Array(size);
    let at = copyRange(bytes, 0, reply, 0, replyLength);
    at = copyRange(bytes, at, head, start, end);
    copyRange(bytes, at, tail, 0, tailLength);
    this.#queue.push({ entry, bytes, replyLength });
    this.#queuedBytes += size + QUEUED_OVERHEAD_BYTES;
    this.#requestTurn();
    return true;
  }

  /** Hands out what internal senders queued for internal receivers. Called once per turn, outside of any delivery. */
  runQueue(): void {
    if (this.#queue.length === 0) return;
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    const message = this.#message;
    for (const { entry, bytes, replyLength } of queue) {
      const resolved = this.#resolved(entry);
      for (const subscription of resolved.plain) {
        if (subscription.receiver === null) continue;
        message.buffer = bytes;
        message.subjectStart = 0;
        message.subjectEnd = 0;
        message.replyStart = 0;
        message.replyEnd = replyLength;
        message.payloadStart = replyLength;
        message.payloadEnd = bytes.length;
        message.publisher = null;
        message.entry = resolved;
        subscription.delivered++;
        subscription.receiver.receive(message, subscription as OwnSubscription);
      }
    }
  }
}

/**
 * Without those whose users may not receive `subject`. Decided where receivers are resolved, once per subject and change of
 * subscriptions, so that a delivery asks nothing.
 */
function reachable(subscriptions: readonly Subscription[], subject: string): readonly Subscription[] {
  for (let i = 0; i < subscriptions.length; i++) {
    if (subscriptions[i]!.filtered) {
      return subscriptions.filter((one) => !one.filtered || one.connection?.mayReceive(subject, one.queue) === true);
    }
  }
  return subscriptions;
}

/** `MSG <subject> <sid> ` */
function frameHead(entry: SubjectEntry, subscription: Subscription): Uint8Array {
  if (subscription.connection === null) return EMPTY;
  const { sid } = subscription;
  const head = new Uint8Array(6 + entry.length + sid.length);
  head.set(MSG);
  let at = copyRange(head, MSG.length, entry.names, entry.nameStart, entry.nameEnd);
  head[at++] = SPACE;
  for (let i = 0; i < sid.length; i++) head[at++] = sid.charCodeAt(i);
  head[at] = SPACE;
  return head;
}

/** Writes one MSG of the server's own into a connection's output. False: the connection is closing. */
function writeFrame(
  connection: Connection,
  subscription: Subscription,
  frame: Uint8Array,
  reply: Uint8Array,
  head: Uint8Array,
  start: number,
  end: number,
  tail: Uint8Array,
  tailLength: number,
): boolean {
  const size = end - start + tailLength;
  const output = connection.output;
  const room = frame.length + reply.length + size + 18;
  if (output.length + room > output.buffer.length && !connection.makeRoom(room)) return false;
  const buffer = output.buffer;
  let at = copyRange(buffer, output.length, frame, 0, frame.length);
  if (reply.length > 0) at = copyRange(buffer, at, reply, 0, reply.length);
  at = writeDecimal(buffer, at, size);
  buffer[at++] = CR;
  buffer[at++] = LF;
  at = copyRange(buffer, at, head, start, end);
  if (tailLength > 0) at = copyRange(buffer, at, tail, 0, tailLength);
  buffer[at++] = CR;
  buffer[at++] = LF;
  output.length = at;
  if (reply.length > 0 && connection.answers !== null) connection.grantReply(reply, 0, reply.length - 1);
  connection.delivered(subscription, size);
  return true;
}
