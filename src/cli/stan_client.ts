/**
 * A client of the streaming protocol (streaming-protocol.md 4, 7 to 15) for the commands: one registration over one
 * connection, publishes with many acks under way, subscriptions with acks by hand. It does not connect again.
 */
import { byteStringOfText, displayText } from "../base/bytes.ts";
import { decodeMessage, encodeMessage } from "../wire/stan_codec.ts";
import {
  type ConnectResponse,
  decodeCloseResponse,
  decodeConnectResponse,
  decodePingResponse,
  decodeSubscriptionResponse,
  encodeCloseRequest,
  encodeConnectRequest,
  encodePing,
  encodeSubscriptionRequest,
  encodeUnsubscribeRequest,
  START_POSITION,
} from "../wire/stan_control.ts";
import { decodeMsgProto, MsgProtoView } from "../wire/stan_hot.ts";
import { CommandError } from "./host.ts";
import { addressText, type NatsClient } from "./nats_client.ts";

const PROTOCOL = 1;
/** How often this client asks whether it is still registered, and how many answers may be missing. */
const PING_INTERVAL_SECS = 5;
const PING_MAX_OUT = 3;
/** How often publishes without an ack are looked for. */
const SWEEP_MS = 250;
const NO_BYTES = new Uint8Array(0);

/** How to register. */
export interface StanOptions {
  readonly clusterId: string;
  readonly clientId: string;
  readonly discoverPrefix: string;
  /** Of a request. */
  readonly timeoutMs: number;
  /** Until a publish without an ack counts as failed. */
  readonly ackTimeoutMs: number;
  readonly nowMs: () => number;
  readonly unique: () => string;
}

/** Where a subscription begins. */
export type StartPosition =
  | { readonly kind: "new" | "last" | "first" }
  | { readonly kind: "sequence"; readonly sequence: number }
  | { readonly kind: "ago"; readonly deltaNs: bigint };

/** What a subscription is told. */
export interface SubscribeOptions {
  readonly start: StartPosition;
  readonly durableName?: string | undefined;
  readonly queueGroup?: string | undefined;
  readonly maxInFlight: number;
  readonly ackWaitSecs: number;
}

/** A delivered message; `data` and `reply` are the receiver's. */
export interface StanMessage {
  readonly sequence: number;
  readonly channel: string;
  readonly reply: string;
  readonly data: Uint8Array;
  readonly timeNs: bigint;
  readonly isRedelivered: boolean;
  readonly redeliveryCount: number;
}

/** How a publish ended: `error` is undefined when the server has stored the message. */
export type Published = (error: string | undefined, guid: string, durationMs: number) => void;

interface Unacked {
  readonly sentMs: number;
  readonly done: Published;
}

/** A subscription of this client. */
export class StanSubscription {
  ackInbox = "";
  constructor(readonly channel: string, readonly inbox: string, readonly sid: number) {}
}

/** A registered client. Names are texts as people write them. */
export class StanClient {
  /** The registration or the connection is gone. Called once. */
  onLost: (error: CommandError) => void = () => {};
  readonly nats: NatsClient;
  readonly clientId: string;
  readonly #options: StanOptions;
  readonly #unacked = new Map<string, Unacked>();
  readonly #ackSubject: string;
  readonly #connectionId: string;
  readonly #view = new MsgProtoView();
  readonly #room: (() => void)[] = [];
  #subjects: ConnectResponse | undefined;
  #sweep: ReturnType<typeof setInterval> | undefined;
  #pings: ReturnType<typeof setInterval> | undefined;
  #pingsOut = 0;
  #isOver = false;
  #lost: CommandError | undefined;
  /** The request that is under way, to be told when the connection is lost. */
  #waiting: { reject: (error: CommandError) => void } | undefined;

  private constructor(nats: NatsClient, options: StanOptions) {
    this.nats = nats;
    this.clientId = options.clientId;
    this.#options = options;
    this.#connectionId = options.unique();
    this.#ackSubject = `_STAN.acks.${options.unique()}`;
  }

  /** Registers. Throws {@link CommandError}; the connection stays the caller's. */
  static async connect(nats: NatsClient, options: StanOptions): Promise<StanClient> {
    const client = new StanClient(nats, options);
    await client.#register();
    return client;
  }

  async #register(): Promise<void> {
    const { nats } = this;
    const { clusterId, discoverPrefix, clientId } = this.#options;
    nats.onLost = (error) => this.#lose(error);
    // What the server refuses is a permission that this client cannot work without.
    nats.onRefused = (text) => this.#lose(new CommandError("CLI_REFUSED", `The server refused: ${text}`));
    const heartbeats = nats.newInbox();
    nats.subscribe(heartbeats, (_payload, _subject, reply) => {
      if (reply !== "") nats.publish(reply, NO_BYTES);
    });
    nats.subscribe(this.#ackSubject, (payload) => this.#acked(payload));
    const request = encodeConnectRequest({
      clientId: byteStringOfText(clientId),
      heartbeatInbox: heartbeats,
      protocol: PROTOCOL,
      connectionId: this.#connectionId,
      pingIntervalSecs: PING_INTERVAL_SECS,
      pingMaxOut: PING_MAX_OUT,
    });
    const subject = `${byteStringOfText(discoverPrefix)}.${byteStringOfText(clusterId)}`;
    const answer = await this.#request(
      subject,
      request,
      decodeConnectResponse,
      `No streaming server with cluster ID "${clusterId}" at ${addressText(nats.address)}. --cluster names another one`,
    );
    if (answer.error !== "") {
      throw new CommandError("CLI_REFUSED", `The server refused client "${clientId}": ${displayText(answer.error)}`);
    }
    this.#subjects = answer;
    this.#sweep = setInterval(() => this.#sweepUnacked(), SWEEP_MS);
    if (answer.protocol < PROTOCOL || answer.pingRequests === "") return;
    const intervalMs = answer.pingIntervalSecs < 0 ? -answer.pingIntervalSecs : answer.pingIntervalSecs * 1000;
    if (intervalMs > 0) this.#pings = setInterval(() => this.#ping(answer), intervalMs);
  }

  #ping({ pingRequests, pingMaxOut }: ConnectResponse): void {
    if (this.#pingsOut >= Math.max(1, pingMaxOut)) {
      const text = `The streaming server has not answered ${this.#pingsOut} pings. Is it still running?`;
      return this.#lose(new CommandError("CLI_LOST", text));
    }
    this.#pingsOut++;
    this.nats.ask(pingRequests, encodePing({ connectionId: this.#connectionId }), (payload, isNoResponders) => {
      // The server is away for a moment, or for good: the count of pings decides.
      if (isNoResponders) return;
      this.#pingsOut = 0;
      const error = decodePingResponse(payload, 0, payload.length)?.error ?? "";
      if (error === "") return;
      const text = `Client "${this.clientId}" is not registered any more: ${displayText(error)}`;
      this.#lose(new CommandError("CLI_LOST", text));
    });
  }

  /** Everything that waits ends with this. */
  #lose(error: CommandError): void {
    if (this.#isOver) return;
    this.#lost = error;
    this.#over();
    for (const [guid, { sentMs, done }] of [...this.#unacked]) {
      done(error.message, guid, this.#options.nowMs() - sentMs);
    }
    this.#unacked.clear();
    this.#makeRoom();
    this.#waiting?.reject(error);
    this.onLost(error);
  }

  #over(): void {
    this.#isOver = true;
    clearInterval(this.#sweep);
    clearInterval(this.#pings);
  }

  /** One request; its answer, decoded within the read that brings it, or a {@link CommandError}. */
  #request<Answer>(
    subject: string,
    payload: Uint8Array,
    decode: (bytes: Uint8Array, start: number, end: number) => Answer | undefined,
    nobody: string,
    answered: (answer: Answer) => void = () => {},
  ): Promise<Answer> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const fail = (code: CommandError["code"], text: string) => reject(new CommandError(code, text));
    const waiting = { reject };
    this.#waiting = waiting;
    const { timeoutMs } = this.#options;
    const forget = this.nats.ask(subject, payload, (bytes, isNoResponders) => {
      if (isNoResponders) return fail("CLI_REFUSED", nobody);
      const answer = decode(bytes, 0, bytes.length);
      if (answer === undefined) return fail("CLI_REFUSED", "The server's answer cannot be decoded");
      answered(answer);
      resolve(answer);
    });
    const timer = setTimeout(() => {
      forget();
      fail("CLI_TIMEOUT", `The server did not answer within ${timeoutMs} ms (${displayText(subject)})`);
    }, timeoutMs);
    return promise.finally(() => {
      clearTimeout(timer);
      if (this.#waiting === waiting) this.#waiting = undefined;
    });
  }

  get #connected(): ConnectResponse {
    const subjects = this.#subjects;
    if (subjects === undefined) throw new CommandError("CLI_LOST", "The client is not connected");
    return subjects;
  }

  /** Publishes without an ack yet. */
  get unackedCount(): number {
    return this.#unacked.size;
  }

  /** Sends a message; `done` is called with its ack, or with what went wrong. `channel` was checked. */
  publish(channel: string, data: Uint8Array, done: Published): string {
    const guid = this.#options.unique();
    if (this.#isOver) {
      done(this.#lost?.message ?? "the client is closed", guid, 0);
      return guid;
    }
    const name = byteStringOfText(channel);
    const payload = encodeMessage("PubMsg", {
      clientId: byteStringOfText(this.clientId),
      guid,
      channel: name,
      data,
      connectionId: this.#connectionId,
    });
    if (payload.length > this.nats.maxPayload) {
      done(`${data.length} bytes are too large: the server takes messages of ${this.nats.maxPayload} bytes`, guid, 0);
      return guid;
    }
    this.#unacked.set(guid, { sentMs: this.#options.nowMs(), done });
    this.nats.publish(`${this.#connected.pubPrefix}.${name}`, payload, this.#ackSubject);
    return guid;
  }

  /** Resolves when fewer than `max` publishes wait for their ack and the connection takes more. */
  async room(max: number): Promise<void> {
    while (!this.#isOver && (this.#unacked.size >= max || this.nats.isCongested)) {
      await new Promise<void>((resolve) => this.#room.push(resolve));
    }
  }

  /** Resolves when every publish has ended, well or not. */
  allAcked(): Promise<void> {
    return this.room(1);
  }

  #acked(payload: Uint8Array): void {
    const ack = decodeMessage("PubAck", payload, 0, payload.length) as { guid: string; error: string } | undefined;
    if (ack === undefined) return;
    const unacked = this.#unacked.get(ack.guid);
    if (unacked === undefined) return;
    this.#unacked.delete(ack.guid);
    const error = ack.error === "" ? undefined : displayText(ack.error);
    unacked.done(error, ack.guid, this.#options.nowMs() - unacked.sentMs);
    this.#makeRoom();
  }

  #makeRoom(): void {
    for (const resolve of this.#room.splice(0)) resolve();
  }

  #sweepUnacked(): void {
    const { ackTimeoutMs, nowMs } = this.#options;
    const late = nowMs() - ackTimeoutMs;
    // In the order of sending: the first one that is not late ends the search.
    for (const [guid, { sentMs, done }] of this.#unacked) {
      if (sentMs > late) break;
      this.#unacked.delete(guid);
      done(`no ack within ${ackTimeoutMs} ms: whether the message is stored is not known`, guid, ackTimeoutMs);
    }
    // Also for those who wait for the connection to take more.
    this.#makeRoom();
  }

  /** Subscribes; `deliver` is called for every message, the first ones before this resolves. */
  async subscribe(
    channel: string,
    options: SubscribeOptions,
    deliver: (message: StanMessage, subscription: StanSubscription) => void,
  ): Promise<StanSubscription> {
    const { nats } = this;
    const inbox = nats.newInbox();
    const view = this.#view;
    const sid = nats.subscribe(inbox, (payload) => {
      if (!decodeMsgProto(payload, 0, payload.length, view)) return;
      deliver({
        sequence: view.sequence,
        channel: new TextDecoder().decode(payload.subarray(view.subjectStart, view.subjectEnd)),
        reply: new TextDecoder().decode(payload.subarray(view.replyStart, view.replyEnd)),
        data: payload.slice(view.dataStart, view.dataEnd),
        timeNs: BigInt.asIntN(64, (BigInt(view.stampHigh) << 32n) | BigInt(view.stampLow)),
        isRedelivered: view.redelivered,
        redeliveryCount: view.redeliveryCount,
      }, subscription);
    });
    const subscription = new StanSubscription(channel, inbox, sid);
    const { start } = options;
    const request = encodeSubscriptionRequest({
      clientId: byteStringOfText(this.clientId),
      channel: byteStringOfText(channel),
      inbox,
      maxInFlight: options.maxInFlight,
      ackWaitSecs: options.ackWaitSecs,
      durableName: byteStringOfText(options.durableName ?? ""),
      queueGroup: byteStringOfText(options.queueGroup ?? ""),
      startPosition: startPositionOf(start),
      ...(start.kind === "sequence" ? { startSequence: start.sequence } : {}),
      ...(start.kind === "ago" ? { startTimeDeltaNs: start.deltaNs } : {}),
    });
    const subject = this.#connected.subRequests;
    // Within the read of the answer, because the first delivery may stand right behind it and wants to be acked.
    const answer = await this.#request(subject, request, decodeSubscriptionResponse, NOBODY, ({ ackInbox }) => {
      subscription.ackInbox = ackInbox;
    });
    if (answer.error !== "") {
      nats.unsubscribe(sid);
      throw new CommandError(
        "CLI_REFUSED",
        `The server refused the subscription to "${channel}": ${displayText(answer.error)}`,
      );
    }
    return subscription;
  }

  ack(subscription: StanSubscription, sequence: number): void {
    const payload = encodeMessage("Ack", { channel: byteStringOfText(subscription.channel), sequence });
    this.nats.publish(subscription.ackInbox, payload);
  }

  /** Ends a subscription. `unsubscribe` also forgets a durable's position; `close` keeps it. */
  async end(subscription: StanSubscription, how: "close" | "unsubscribe"): Promise<void> {
    const { unsubRequests, subCloseRequests } = this.#connected;
    this.nats.unsubscribe(subscription.sid);
    const request = encodeUnsubscribeRequest({
      clientId: byteStringOfText(this.clientId),
      channel: byteStringOfText(subscription.channel),
      inbox: subscription.ackInbox,
    });
    const subject = how === "close" && subCloseRequests !== "" ? subCloseRequests : unsubRequests;
    const { error } = await this.#request(subject, request, decodeSubscriptionResponse, NOBODY);
    if (error !== "") {
      throw new CommandError("CLI_REFUSED", `The server refused to end the subscription: ${displayText(error)}`);
    }
  }

  /** Ends the registration, and with it all subscriptions; durables keep their positions. Then the connection. */
  async close(): Promise<void> {
    if (!this.#isOver) {
      const { closeRequests } = this.#connected;
      this.#over();
      const request = encodeCloseRequest({ clientId: byteStringOfText(this.clientId) });
      try {
        await this.#request(closeRequests, request, decodeCloseResponse, NOBODY);
      } catch (error) {
        // Who does not hear the goodbye finds out by heartbeats; the work is done either way.
        if (!(error instanceof CommandError)) throw error;
      }
    }
    await this.nats.close();
  }
}

const NOBODY = "The streaming server is gone: nobody answers its subjects";

function startPositionOf({ kind }: StartPosition): number {
  switch (kind) {
    case "new":
      return START_POSITION.NEW_ONLY;
    case "last":
      return START_POSITION.LAST_RECEIVED;
    case "first":
      return START_POSITION.FIRST;
    case "sequence":
      return START_POSITION.SEQUENCE_START;
    case "ago":
      return START_POSITION.TIME_DELTA_START;
  }
}
