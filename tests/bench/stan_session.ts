/** Clients of the streaming protocol as the load generator plays them: one session per connection. */

import {
  ackFrame,
  bytesField,
  bytesOf,
  deliveryRestBytes,
  DeliveryScanner,
  joinBytes,
  longName,
  NumberedWriter,
  PubAckScanner,
  pubFrame,
  PublishRing,
  textOf,
  varintField,
} from "./frames.ts";
import type { LatencySampler } from "./latency_sampler.ts";
import { NatsLink, responseField } from "./nats_link.ts";
import { connectRaw, PIECE_BYTES, type RawSocket } from "./raw_socket.ts";
import { deferred, type Run } from "./run.ts";

/** Sids of a session; one digit each, the scanners rely on it. */
const SID_REPLY = 1;
const SID_ACK = 2;
const SID_DELIVERY = 3;
const SID_HEARTBEAT = 4;
const HEARTBEAT = new RegExp(`^MSG \\S+ ${SID_HEARTBEAT} (\\S+) 0\r$`, "m");
/** Longest ack wait: a redelivery in a run is a fault of the run and must not be explained away by a slow machine. */
const ACK_WAIT_SECONDS = 120;
/** Bytes all slots of a publisher may take. */
const RING_BYTES_MAX = 256 * 1024 * 1024;

/** Start positions of a subscription request. */
export const START_NEW_ONLY = 0;
export const START_FIRST = 4;

/** A connected client: names, requests, heartbeats. */
export class StanSession {
  readonly ackSubject: string;
  readonly deliveryInbox: string;
  readonly connId: string;
  pubPrefix = "";
  subRequests = "";
  #closeRequests = "";
  readonly #replyInbox: string;
  readonly #waiting: ((payload: Uint8Array) => void)[] = [];

  private constructor(readonly link: NatsLink, readonly run: Run, readonly clientId: string) {
    this.connId = longName(`${clientId}C`);
    this.ackSubject = `_STAN.acks.${longName(`${clientId}A`)}`;
    this.deliveryInbox = `_INBOX.${longName(`${clientId}D`)}`;
    this.#replyInbox = `_INBOX.${longName(`${clientId}R`)}`;
    link.onMessage = (message) => {
      if (message.sid === SID_REPLY) this.#waiting.shift()?.(message.payload.slice());
      else if (message.sid === SID_HEARTBEAT) link.out.send(pubFrame(message.reply, "", new Uint8Array(0)));
      else if (message.sid === SID_ACK) {
        throw new Error(`publish was refused: ${responseField(message.payload, 2) || "ack of another length"}`);
      } else {throw new Error(
          `unexpected delivery on ${message.subject}: redelivered, or of another size than published`,
        );}
    };
  }

  /** Connects to NATS and registers with the streaming server. */
  static async open(run: Run, clientId: string): Promise<StanSession> {
    const { host, port, clusterId } = run.job;
    const session = new StanSession(await NatsLink.open(run, host, port), run, clientId);
    const heartbeatInbox = `_INBOX.${longName(`${clientId}H`)}`;
    session.link.sendText(
      `SUB ${session.#replyInbox} ${SID_REPLY}\r\nSUB ${session.ackSubject} ${SID_ACK}\r\n` +
        `SUB ${session.deliveryInbox} ${SID_DELIVERY}\r\nSUB ${heartbeatInbox} ${SID_HEARTBEAT}\r\n`,
    );
    const request = connectRequest(clientId, heartbeatInbox, session.connId);
    const response = await session.request(`_STAN.discover.${clusterId}`, request);
    const error = responseField(response, 5);
    if (error !== "") throw new Error(`connect was refused: ${error}`);
    session.pubPrefix = responseField(response, 1);
    session.subRequests = responseField(response, 2);
    session.#closeRequests = responseField(response, 4);
    if (session.pubPrefix === "") throw new Error("the connect response names no publish prefix");
    return session;
  }

  /** Sends a request and resolves with a copy of the answer. Answers are taken in the order of the requests. */
  request(subject: string, payload: Uint8Array): Promise<Uint8Array> {
    return this.run.race(
      new Promise<Uint8Array>((resolve) => {
        this.#waiting.push(resolve);
        this.link.out.send(pubFrame(subject, this.#replyInbox, payload));
      }),
    );
  }

  /** Subscribes to `channel` and resolves with the ack inbox. */
  async subscribe(channel: string, start: number, options?: SubscribeOptions): Promise<string> {
    const response = await this.request(this.subRequests, this.subscriptionRequest(channel, start, options));
    const error = responseField(response, 3);
    if (error !== "") throw new Error(`subscription was refused: ${error}`);
    return responseField(response, 2);
  }

  /** The bytes of a SubscriptionRequest of this client. */
  subscriptionRequest(channel: string, start: number, options?: SubscribeOptions): Uint8Array {
    const parts = [bytesField(1, this.clientId), bytesField(2, channel)];
    if (options?.queueName !== undefined) parts.push(bytesField(3, options.queueName));
    parts.push(
      bytesField(4, options?.inbox ?? this.deliveryInbox),
      varintField(5, this.run.job.maxInFlight),
      varintField(6, ACK_WAIT_SECONDS),
    );
    if (options?.durableName !== undefined) parts.push(bytesField(7, options.durableName));
    if (start !== 0) parts.push(varintField(10, start));
    return joinBytes(parts);
  }

  /** Sends ready-made subscription requests, `window` unanswered at a time; resolves when all were accepted. */
  subscribeMany(requests: readonly Uint8Array[], window: number): Promise<void> {
    const frames = requests.map((request) => pubFrame(this.subRequests, this.#replyInbox, request));
    const done = deferred();
    const sampler = this.run.sampler(window);
    let sent = 0;
    let answered = 0;
    const answer = (payload: Uint8Array): void => {
      sampler?.arrive(answered);
      const error = responseField(payload, 3);
      if (error !== "") throw new Error(`subscription was refused: ${error}`);
      this.run.progress++;
      if (++answered === frames.length) done.resolve();
    };
    const pump = (): void => {
      while (sent < frames.length && sent - answered < window) {
        this.#waiting.push(answer);
        sampler?.depart(sent, sent + 1);
        this.link.out.send(frames[sent++] as Uint8Array);
      }
    };
    this.link.onChunkEnd = pump;
    if (frames.length === 0) done.resolve();
    pump();
    return this.run.race(done.promise);
  }

  /** Says goodbye without waiting for the answer, and closes. */
  close(): void {
    if (this.#closeRequests !== "") {
      this.link.out.send(pubFrame(this.#closeRequests, "", bytesField(1, this.clientId)));
    }
    this.link.close();
  }
}

function connectRequest(clientId: string, heartbeatInbox: string, connId: string): Uint8Array {
  return joinBytes([
    bytesField(1, clientId),
    bytesField(2, heartbeatInbox),
    varintField(3, 1),
    bytesField(4, connId),
  ]);
}

/**
 * A client that connects, registers and then only stays, made as cheaply as can be: a run opens thousands, and a full
 * session each would measure the generator.
 */
export class IdleClient {
  readonly #hello = bytesOf('CONNECT {"verbose":false,"pedantic":false,"protocol":1,"name":"bench"}\r\nPING\r\n');
  readonly #register: Uint8Array;
  #socket: RawSocket | undefined;
  #state: "connecting" | "greeted" | "registering" | "registered" | "closing" = "connecting";

  /** `sampler` times the registration of this client as that of message `number`. */
  constructor(
    readonly run: Run,
    clientId: string,
    readonly number = 0,
    readonly sampler?: LatencySampler,
  ) {
    const reply = `_INBOX.${longName(`${clientId}R`)}`;
    const heartbeatInbox = `_INBOX.${longName(`${clientId}H`)}`;
    const request = connectRequest(clientId, heartbeatInbox, longName(`${clientId}C`));
    this.#register = joinBytes([
      bytesOf(`SUB ${reply} ${SID_REPLY}\r\nSUB ${heartbeatInbox} ${SID_HEARTBEAT}\r\n`),
      pubFrame(`_STAN.discover.${run.job.clusterId}`, reply, request),
    ]);
  }

  /** Connects and registers; `done` is called once the server accepted. */
  open(done: () => void): void {
    connectRaw(this.run.job.host, this.run.job.port, (socket) => {
      this.#socket = socket;
      return {
        data: (chunk) => this.run.guard(() => this.#data(chunk, done)),
        drain() {},
        close: () => {
          if (this.#state !== "closing") this.run.fail(new Error("server closed an idle client"));
        },
      };
    }).catch((error) => this.run.fail(error instanceof Error ? error : new Error(String(error))));
  }

  /** Closes the connection; the registration stays, as that of a client that died. */
  close(): void {
    this.#state = "closing";
    this.#socket?.end();
  }

  #send(bytes: Uint8Array): void {
    if (this.#socket?.write(bytes, 0, bytes.length) !== bytes.length) throw new Error("a handshake was cut short");
  }

  #data(chunk: Uint8Array, done: () => void): void {
    // The answers of a handshake are small and come one by one, each in one chunk: looking at their text is enough.
    const text = textOf(chunk);
    if (text.includes("-ERR") || text.includes("HMSG") || text.includes("stan: ")) {
      throw new Error(`connect was refused: ${JSON.stringify(text)}`);
    }
    if (text.includes("PING\r\n")) this.#send(bytesOf("PONG\r\n"));
    // A heartbeat: an empty request at the one inbox that is asked.
    const heartbeat = HEARTBEAT.exec(text);
    if (heartbeat !== null) this.#send(pubFrame(heartbeat[1] as string, "", new Uint8Array(0)));
    if (this.#state === "connecting" && text.startsWith("INFO")) {
      this.#state = "greeted";
      this.#send(this.#hello);
    } else if (this.#state === "greeted" && text.includes("PONG\r\n")) {
      this.#state = "registering";
      this.sampler?.depart(this.number, this.number + 1);
      this.#send(this.#register);
    } else if (this.#state === "registering" && text.includes("_STAN.pub")) {
      this.sampler?.arrive(this.number);
      this.#state = "registered";
      this.run.progress++;
      done();
    }
  }
}

/** What a subscription request may carry besides its channel and start. */
export interface SubscribeOptions {
  readonly queueName?: string;
  readonly durableName?: string;
  readonly inbox?: string;
}

/** Publishes with a window and checks that every message is acked exactly once. */
export class StanPublisher {
  /** Acks so far. */
  acked = 0;
  /** Called with each ack, after it was counted. */
  onAck: () => void = () => {};
  /** Told of every message that is handed to the socket, and of every ack: the same one to time the way from one to the other. */
  departures: LatencySampler | undefined = undefined;
  ackArrivals: LatencySampler | undefined = undefined;
  readonly #session: StanSession;
  readonly #ring: PublishRing;
  readonly #window: number;
  /** Acks that overtook an older one, by slot. */
  readonly #early: Uint8Array;
  /** Oldest message without ack, next message to build, messages wanted, bytes written. */
  #base = 0;
  #built = 0;
  #target = 0;
  #sentBytes = 0;
  #done: () => void = () => {};

  /** `channel`: one name, or several of the same length that are published to in turn. */
  constructor(session: StanSession, channel: string | readonly string[], sizeBytes: number, window: number) {
    this.#session = session;
    this.#window = window;
    this.#early = new Uint8Array(window);
    const channels = typeof channel === "string" ? [channel] : channel;
    this.#ring = new PublishRing({ ...session, channel: channels[0] ?? "" }, sizeBytes, window, channels);
    if (this.#ring.bytes.length > RING_BYTES_MAX) throw new Error("window times message size is too large");
    const scanner = new PubAckScanner(session.ackSubject, SID_ACK, (number) => this.#take(number));
    session.link.fast = (buffer, from, to) => scanner.scan(buffer, from, to);
    session.link.onChunkEnd = () => this.pump();
    session.link.onDrain = () => this.pump();
  }

  /** Publishes `count` more; resolves when all are acked. */
  publish(count: number): Promise<void> {
    const done = deferred();
    this.#done = done.resolve;
    this.more(count);
    return this.#session.run.race(done.promise);
  }

  /** Publishes `count` more without a promise: for cases that act on each ack. */
  more(count: number): void {
    this.#target += count;
    this.pump();
  }

  /** Builds and writes what the window allows. */
  pump(): void {
    const out = this.#session.link.out;
    const ring = this.#ring;
    const limit = Math.min(this.#target, this.#base + this.#window);
    while (this.#built < limit) ring.stamp(this.#built++);
    const builtBytes = this.#built * ring.frameBytes;
    while (this.#sentBytes < builtBytes && !out.blocked) {
      const at = this.#sentBytes % ring.bytes.length;
      // A piece is one call to the kernel, so its messages do leave together.
      const piece = Math.min(ring.bytes.length - at, builtBytes - this.#sentBytes, PIECE_BYTES);
      this.departures?.departBytes(this.#sentBytes, this.#sentBytes + piece, ring.frameBytes);
      this.#sentBytes += out.offer(ring.bytes, at, piece);
    }
    // A PONG may be next: a frame that was begun goes first.
    const begun = this.#sentBytes % ring.frameBytes;
    if (begun === 0) return;
    out.send(ring.bytes, this.#sentBytes % ring.bytes.length, ring.frameBytes - begun);
    this.#sentBytes += ring.frameBytes - begun;
  }

  #take(number: number): void {
    this.ackArrivals?.arrive(number);
    const slot = number % this.#window;
    if (number < this.#base || number >= this.#built || this.#early[slot] === 1) {
      throw new Error(`ack of message ${number} came twice or for a message never sent`);
    }
    if (number === this.#base) {
      this.#base++;
      let next = this.#base % this.#window;
      while (this.#early[next] === 1) {
        this.#early[next] = 0;
        this.#base++;
        next = this.#base % this.#window;
      }
    } else this.#early[slot] = 1;
    this.acked++;
    this.#session.run.progress++;
    this.onAck();
    if (this.acked === this.#target) this.#done();
  }
}

/** Counts which sequences the members of one group, or one plain subscription, have got. */
export class SequenceTally {
  count = 0;
  readonly #seen: Uint8Array | undefined;
  readonly #messages: number;

  /** `shared`: several members, so any order; otherwise strictly 1, 2, 3 … as the protocol promises. */
  constructor(messages: number, shared: boolean) {
    this.#messages = messages;
    this.#seen = shared ? new Uint8Array(messages + 1) : undefined;
    // There is no sequence 0.
    this.#seen?.fill(1, 0, 1);
  }

  /** Takes a delivered sequence; throws when it is missing, doubled or unknown. */
  take(sequence: number): void {
    if (this.#seen === undefined) {
      if (sequence !== this.count + 1) throw new Error(`got sequence ${sequence}, expected ${this.count + 1}`);
    } else {
      if (this.#seen[sequence] !== 0) throw new Error(`sequence ${sequence} came twice or was never published`);
      this.#seen[sequence] = 1;
    }
    this.count++;
    if (this.count > this.#messages) throw new Error(`more than ${this.#messages} messages were delivered`);
  }
}

/** One subscription that acks every delivery, the acks of one read in one write. */
export class StanSubscriber {
  /** Called with each delivery, after it was checked and its ack queued. */
  onDelivery: () => void = () => {};
  /** Told of every delivery, by the number of the message: the sequence less one, where one publisher alone fills the channel. */
  arrivals: LatencySampler | undefined = undefined;
  readonly #session: StanSession;
  readonly #channel: string;
  readonly #scanner: DeliveryScanner;
  #acks: NumberedWriter | undefined;

  constructor(session: StanSession, channel: string, sizeBytes: number, tally: SequenceTally) {
    this.#session = session;
    this.#channel = channel;
    const run = session.run;
    const rest = deliveryRestBytes(channel, sizeBytes);
    this.#scanner = new DeliveryScanner(session.deliveryInbox, SID_DELIVERY, rest, (sequence) => {
      tally.take(sequence);
      this.arrivals?.arrive(sequence - 1);
      this.#acks?.add(sequence);
      run.progress++;
      this.onDelivery();
    });
  }

  /** Subscribes; deliveries that arrive right behind the response are taken too. */
  async subscribe(start: number, queueName?: string): Promise<void> {
    const link = this.#session.link;
    const handle = link.onMessage;
    // The ack inbox must be known before the next frame of the same chunk is looked at, so not after an await.
    link.onMessage = (message) => {
      if (message.sid === SID_REPLY && this.#acks === undefined) {
        const ackInbox = responseField(message.payload, 2);
        if (ackInbox !== "") this.#listen(ackInbox);
      }
      handle(message);
    };
    await this.#session.subscribe(this.#channel, start, queueName === undefined ? {} : { queueName });
  }

  #listen(ackInbox: string): void {
    const link = this.#session.link;
    const acks = new NumberedWriter(
      (varintBytes) => ackFrame(ackInbox, this.#channel, varintBytes),
      (buffer, at, sizeBytes) => link.out.send(buffer, at, sizeBytes),
    );
    this.#acks = acks;
    link.fast = (buffer, from, to) => this.#scanner.scan(buffer, from, to);
    link.onChunkEnd = () => acks.flush();
  }
}

/** The frame of a lone publish, for the cases that publish to many channels. */
export function singlePublish(session: StanSession, channel: string, sizeBytes: number, number: number): Uint8Array {
  const ring = new PublishRing({ ...session, channel }, sizeBytes, 1);
  ring.stamp(number);
  return ring.bytes;
}
