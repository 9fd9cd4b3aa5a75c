/**
 * What the messages of a streaming service mean (streaming-protocol.md 4, 6): subject and payload in, one event out. Learns
 * from requests which inbox belongs to whom, so it knows more the longer it listens. Pure, and bounded: what is not answered
 * is forgotten.
 */
import { byteString, byteStringOfText, displayText } from "../base/bytes.ts";
import { decodeMessage } from "../wire/stan_codec.ts";
import {
  decodeCloseRequest,
  decodeConnectRequest,
  decodeConnectResponse,
  decodePing,
  decodeSubscriptionRequest,
  decodeSubscriptionResponse,
  decodeUnsubscribeRequest,
  START_POSITION,
  type SubscriptionRequest,
} from "../wire/stan_control.ts";
import { AckView, decodeAck, decodeMsgProto, decodePubMsg, MsgProtoView, PubMsgView } from "../wire/stan_hot.ts";
import { isChannelNameValid, pingsSubject, stanSubjects } from "../wire/stan_subjects.ts";

/** Requests, publishes and deliveries that wait for their answer; the oldest are forgotten. */
const WAITING_MAX = 50_000;
/** Inboxes whose owner is known. */
const INBOXES_MAX = 50_000;

/** What was said. */
export type TraceKind =
  | "connect"
  | "connected"
  | "publish"
  | "stored"
  | "subscribe"
  | "subscribed"
  | "deliver"
  | "ack"
  | "unsubscribe"
  | "sub close"
  | "close"
  | "done"
  | "ping"
  | "heartbeat"
  | "refused";

/** One line. */
export interface TraceEvent {
  readonly kind: TraceKind;
  /** Empty: not known. */
  readonly client: string;
  readonly channel: string;
  readonly sequence?: number;
  readonly guid?: string;
  /** Of what was answered. */
  readonly answers?: TraceKind;
  readonly error?: string;
  readonly detail?: string;
  readonly data?: Uint8Array;
  /** Since the request, the publish, or the delivery. */
  readonly roundTripMs?: number;
}

/** A map that forgets its oldest entries. */
class Bounded<Value> {
  readonly #map = new Map<string, Value>();
  constructor(readonly max: number) {}

  get(key: string): Value | undefined {
    return this.#map.get(key);
  }

  set(key: string, value: Value): void {
    this.#map.delete(key);
    this.#map.set(key, value);
    if (this.#map.size <= this.max) return;
    for (const oldest of this.#map.keys()) {
      this.#map.delete(oldest);
      return;
    }
  }

  take(key: string): Value | undefined {
    const value = this.#map.get(key);
    this.#map.delete(key);
    return value;
  }
}

interface Waiting {
  readonly kind: TraceKind;
  readonly client: string;
  readonly channel: string;
  readonly sinceMs: number;
  /** Of a subscription request: where its messages will go. */
  readonly inbox?: string;
}

interface Owner {
  readonly client: string;
  readonly channel: string;
  readonly use: "deliveries" | "acks" | "heartbeats" | "publish acks";
  /** Of deliveries: where their acks go, once known. */
  ackInbox?: string;
}

export class TraceDecoder {
  readonly #discovery: string;
  readonly #pings: string;
  readonly #publish: string;
  readonly #subscribe: string;
  readonly #unsubscribe: string;
  readonly #subClose: string;
  readonly #close: string;
  readonly #waiting = new Bounded<Waiting>(WAITING_MAX);
  readonly #publishes = new Bounded<Waiting>(WAITING_MAX);
  readonly #deliveries = new Bounded<number>(WAITING_MAX);
  readonly #inboxes = new Bounded<Owner>(INBOXES_MAX);
  readonly #clientOfConnection = new Bounded<string>(INBOXES_MAX);
  readonly #pubMsg = new PubMsgView();
  readonly #msg = new MsgProtoView();
  readonly #ack = new AckView();

  constructor(clusterId: string, discoverPrefix: string) {
    const subjects = stanSubjects(byteStringOfText(clusterId), byteStringOfText(discoverPrefix));
    this.#discovery = subjects.discovery;
    this.#pings = pingsSubject(subjects.discovery);
    this.#publish = `${subjects.publish}.`;
    this.#subscribe = subjects.subscribe;
    this.#unsubscribe = subjects.unsubscribe;
    this.#subClose = subjects.subClose;
    this.#close = subjects.close;
  }

  /** The event of a message; undefined: it is none of this service. */
  read(subject: string, reply: string, payload: Uint8Array, nowMs: number): TraceEvent | undefined {
    if (subject.startsWith(this.#publish)) return this.#published(reply, payload, nowMs);
    switch (subject) {
      case this.#discovery:
        return this.#connect(reply, payload, nowMs);
      case this.#pings:
        return this.#ping(reply, payload, nowMs);
      case this.#subscribe:
        return this.#subscribed(reply, payload, nowMs);
      case this.#unsubscribe:
        return this.#ends("unsubscribe", reply, payload, nowMs);
      case this.#subClose:
        return this.#ends("sub close", reply, payload, nowMs);
      case this.#close: {
        const request = decodeCloseRequest(payload, 0, payload.length);
        if (request === undefined) return undefined;
        return this.#asked(reply, {
          kind: "close",
          client: displayText(request.clientId),
          channel: "",
          sinceMs: nowMs,
        });
      }
    }
    const waiting = this.#waiting.take(subject);
    if (waiting !== undefined) return this.#answered(waiting, payload, nowMs);
    const owner = this.#inboxes.get(subject);
    if (owner !== undefined) return this.#owned(owner, subject, reply, payload, nowMs);
    return this.#unknown(subject, reply, payload, nowMs);
  }

  #asked(reply: string, waiting: Waiting, more: Partial<TraceEvent> = {}): TraceEvent {
    if (reply !== "") this.#waiting.set(reply, waiting);
    return { kind: waiting.kind, client: waiting.client, channel: waiting.channel, ...more };
  }

  #connect(reply: string, payload: Uint8Array, nowMs: number): TraceEvent | undefined {
    const request = decodeConnectRequest(payload, 0, payload.length);
    if (request === undefined) return undefined;
    const client = displayText(request.clientId);
    this.#clientOfConnection.set(request.connectionId, client);
    this.#inboxes.set(request.heartbeatInbox, { client, channel: "", use: "heartbeats" });
    return this.#asked(reply, { kind: "connect", client, channel: "", sinceMs: nowMs }, {
      detail: `protocol ${request.protocol}`,
    });
  }

  #ping(reply: string, payload: Uint8Array, nowMs: number): TraceEvent | undefined {
    const ping = decodePing(payload, 0, payload.length);
    if (ping === undefined) return undefined;
    const client = this.#clientOfConnection.get(ping.connectionId) ?? "";
    return this.#asked(reply, { kind: "ping", client, channel: "", sinceMs: nowMs });
  }

  #published(reply: string, payload: Uint8Array, nowMs: number): TraceEvent | undefined {
    const view = this.#pubMsg;
    if (!decodePubMsg(payload, 0, payload.length, view)) return undefined;
    const text = (start: number, end: number) => displayText(byteString(payload, start, end));
    const client = text(view.clientIdStart, view.clientIdEnd);
    const channel = text(view.subjectStart, view.subjectEnd);
    const guid = text(view.guidStart, view.guidEnd);
    this.#publishes.set(guid, { kind: "publish", client, channel, sinceMs: nowMs });
    if (reply !== "" && this.#inboxes.get(reply) === undefined) {
      this.#inboxes.set(reply, { client, channel: "", use: "publish acks" });
    }
    return { kind: "publish", client, channel, guid, data: payload.slice(view.dataStart, view.dataEnd) };
  }

  #subscribed(reply: string, payload: Uint8Array, nowMs: number): TraceEvent | undefined {
    const request = decodeSubscriptionRequest(payload, 0, payload.length);
    if (request === undefined) return undefined;
    const client = displayText(request.clientId);
    const channel = displayText(request.channel);
    this.#inboxes.set(request.inbox, { client, channel, use: "deliveries" });
    return this.#asked(reply, { kind: "subscribe", client, channel, sinceMs: nowMs, inbox: request.inbox }, {
      detail: subscriptionText(request),
    });
  }

  #ends(kind: TraceKind, reply: string, payload: Uint8Array, nowMs: number): TraceEvent | undefined {
    const request = decodeUnsubscribeRequest(payload, 0, payload.length);
    if (request === undefined) return undefined;
    const waiting = {
      kind,
      client: displayText(request.clientId),
      channel: displayText(request.channel),
      sinceMs: nowMs,
    };
    return this.#asked(reply, waiting);
  }

  #answered(waiting: Waiting, payload: Uint8Array, nowMs: number): TraceEvent {
    const { kind, client, channel } = waiting;
    const roundTripMs = nowMs - waiting.sinceMs;
    const event = (answer: TraceKind, error: string): TraceEvent => ({
      kind: error === "" ? answer : "refused",
      client,
      channel,
      answers: kind,
      roundTripMs,
      ...(error === "" ? {} : { error: displayText(error) }),
    });
    if (kind === "connect") {
      return event("connected", decodeConnectResponse(payload, 0, payload.length)?.error ?? "");
    }
    if (kind === "subscribe") {
      const answer = decodeSubscriptionResponse(payload, 0, payload.length);
      const ackInbox = answer?.ackInbox ?? "";
      const owner = this.#inboxes.get(waiting.inbox ?? "");
      if (ackInbox !== "") {
        if (owner !== undefined) owner.ackInbox = ackInbox;
        this.#inboxes.set(ackInbox, { client, channel, use: "acks" });
      }
      return event("subscribed", answer?.error ?? "");
    }
    if (kind === "heartbeat") return event("done", "");
    // Field 1 of a close or ping answer, and field 3 of the others, is the error.
    const error = kind === "close" || kind === "ping"
      ? decodeMessage("CloseResponse", payload, 0, payload.length)?.["error"]
      : decodeMessage("SubscriptionResponse", payload, 0, payload.length)?.["error"];
    return event("done", typeof error === "string" ? error : "");
  }

  #owned(owner: Owner, subject: string, reply: string, payload: Uint8Array, nowMs: number): TraceEvent | undefined {
    const { client, channel } = owner;
    switch (owner.use) {
      case "heartbeats":
        return this.#asked(reply, { kind: "heartbeat", client, channel: "", sinceMs: nowMs });
      case "publish acks":
        return this.#stored(payload, nowMs);
      case "deliveries":
        return this.#delivered(owner, payload, nowMs);
      case "acks": {
        if (!decodeAck(payload, 0, payload.length, this.#ack)) return undefined;
        const { sequence } = this.#ack;
        const sinceMs = this.#deliveries.take(`${subject} ${sequence}`);
        return {
          kind: "ack",
          client,
          channel,
          sequence,
          ...(sinceMs === undefined ? {} : { roundTripMs: nowMs - sinceMs }),
        };
      }
    }
  }

  #delivered(owner: Owner | undefined, payload: Uint8Array, nowMs: number): TraceEvent | undefined {
    const view = this.#msg;
    if (!decodeMsgProto(payload, 0, payload.length, view)) return undefined;
    const { sequence } = view;
    if (owner?.ackInbox !== undefined) this.#deliveries.set(`${owner.ackInbox} ${sequence}`, nowMs);
    return {
      kind: "deliver",
      client: owner?.client ?? "",
      channel: displayText(byteString(payload, view.subjectStart, view.subjectEnd)),
      sequence,
      data: payload.slice(view.dataStart, view.dataEnd),
      ...(view.redelivered ? { detail: `redelivery ${view.redeliveryCount}` } : {}),
    };
  }

  #stored(payload: Uint8Array, nowMs: number): TraceEvent | undefined {
    const ack = decodeMessage("PubAck", payload, 0, payload.length) as { guid: string; error: string } | undefined;
    if (ack === undefined) return undefined;
    const publish = this.#publishes.take(displayText(ack.guid));
    if (publish === undefined) return undefined;
    return {
      kind: ack.error === "" ? "stored" : "refused",
      client: publish.client,
      channel: publish.channel,
      answers: "publish",
      guid: displayText(ack.guid),
      roundTripMs: nowMs - publish.sinceMs,
      ...(ack.error === "" ? {} : { error: displayText(ack.error) }),
    };
  }

  /** An inbox of somebody who was there before: deliveries and acks are told from others by their form. */
  #unknown(subject: string, _reply: string, payload: Uint8Array, nowMs: number): TraceEvent | undefined {
    if (subject.startsWith("_STAN.acks.")) return this.#stored(payload, nowMs);
    if (payload.length === 0) return undefined;
    const view = this.#msg;
    if (decodeMsgProto(payload, 0, payload.length, view)) {
      const isMessage = view.sequence > 0 && (view.stampHigh !== 0 || view.stampLow !== 0) &&
        isChannelNameValid(payload, view.subjectStart, view.subjectEnd);
      if (isMessage) return this.#delivered(undefined, payload, nowMs);
    }
    const ack = this.#ack;
    const isAck = decodeAck(payload, 0, payload.length, ack) && ack.sequence > 0 &&
      isChannelNameValid(payload, ack.subjectStart, ack.subjectEnd);
    if (!isAck) return undefined;
    const channel = displayText(byteString(payload, ack.subjectStart, ack.subjectEnd));
    return { kind: "ack", client: "", channel, sequence: ack.sequence };
  }
}

/** `durable "a", queue "b", from the first message, 1024 in flight, ack wait 30 s` */
function subscriptionText(request: SubscriptionRequest): string {
  const parts: string[] = [];
  if (request.durableName !== "") parts.push(`durable "${displayText(request.durableName)}"`);
  if (request.queueGroup !== "") parts.push(`queue "${displayText(request.queueGroup)}"`);
  parts.push(startText(request), `${request.maxInFlight} in flight`, `ack wait ${request.ackWaitSecs} s`);
  return parts.join(", ");
}

function startText({ startPosition, startSequence, startTimeDeltaNs }: SubscriptionRequest): string {
  switch (startPosition) {
    case START_POSITION.NEW_ONLY:
      return "new messages";
    case START_POSITION.LAST_RECEIVED:
      return "from the last message";
    case START_POSITION.TIME_DELTA_START:
      return `from ${Number(startTimeDeltaNs) / 1e9} s ago`;
    case START_POSITION.SEQUENCE_START:
      return `from ${startSequence}`;
    case START_POSITION.FIRST:
      return "from the first message";
  }
  return `start position ${startPosition}`;
}

/** Subjects that a trace of this service listens to. */
export function traceSubjects(clusterId: string, discoverPrefix: string, inboxPrefix: string): string[] {
  const cluster = byteStringOfText(clusterId);
  const discovery = `${byteStringOfText(discoverPrefix)}.${cluster}`;
  // The usual prefix is covered by the second and third; a message must not come twice.
  const own = /^_STAN\.[^.]+$/.test(discoverPrefix) ? [] : [discovery, `${discovery}.pings`];
  return [...own, `_STAN.*.${cluster}`, `_STAN.*.${cluster}.>`, "_STAN.acks.>", `${byteStringOfText(inboxPrefix)}.>`];
}
