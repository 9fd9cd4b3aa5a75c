/**
 * A whole server, with the NATS protocol on both sides, on a platform whose clock and sockets are moved by hand: what a
 * client sees byte for byte, at exact times, without waiting.
 */
import assert from "node:assert/strict";
import { bytesOf } from "../../../src/base/bytes.ts";
import { draftOptions, freezeOptions, type OptionsDraft } from "../../../src/config/option_types.ts";
import { Logger } from "../../../src/log/logger.ts";
import { StreamingServer } from "../../../src/server/streaming_server.ts";
import { decodeMessage, encodeMessage } from "../../../src/wire/stan_codec.ts";
import {
  type ConnectRequest,
  decodeSubscriptionResponse,
  encodeConnectRequest,
  encodeSubscriptionRequest,
  type SubscriptionRequest,
} from "../../../src/wire/stan_control.ts";
import { decodeMsgProto, MsgProtoView } from "../../../src/wire/stan_hot.ts";
import { STAN_SCHEMA, type StanMessageName } from "../../../src/wire/stan_schema.ts";
import { EPOCH_MS } from "../../helpers/core_driver.ts";
import { FakeRuntime, type FakeSocket } from "../../helpers/fake_runtime.ts";

/** What a client was sent. */
export interface WireMessage {
  readonly subject: string;
  readonly reply: string;
  /** With their first line; "" for a plain MSG. */
  readonly headers: string;
  readonly payload: Uint8Array;
  readonly atMs: number;
}

/** A NATS connection that speaks bytes. */
export class WireClient {
  readonly #wire: Wire;
  readonly #socket: FakeSocket;
  #text = "";
  #sids = 0;
  /** In order of arrival; `take` removes. */
  readonly messages: WireMessage[] = [];
  /** Everything that was no message. */
  other = "";
  /** Inboxes whose requests are answered at once, as heartbeats are. */
  readonly answering = new Set<string>();

  constructor(wire: Wire, socket: FakeSocket, connect: string) {
    this.#wire = wire;
    this.#socket = socket;
    this.send(`CONNECT ${connect}\r\n`);
    this.other = "";
  }

  /** Bytes as they are; the turn ends, and those that follow. */
  send(text: string): void {
    this.#socket.send(text);
    this.#wire.settle();
  }

  /** Bytes of a frame without ending the turn. */
  post(subject: string, payload: Uint8Array, reply = ""): void {
    const text = Buffer.from(payload).toString("latin1");
    this.#socket.send(`PUB ${subject} ${reply === "" ? "" : reply + " "}${payload.length}\r\n${text}\r\n`);
  }

  publish(subject: string, payload: Uint8Array, reply = ""): void {
    this.post(subject, payload, reply);
    this.#wire.settle();
  }

  subscribe(subject: string): void {
    this.send(`SUB ${subject} ${++this.#sids}\r\n`);
  }

  /** Reads what the socket has; answers what is to be answered. True when there was something to answer. */
  receive(): boolean {
    this.#text += this.#socket.take();
    let hasAnswered = false;
    for (;;) {
      const lineEnd = this.#text.indexOf("\r\n");
      if (lineEnd < 0) return hasAnswered;
      const line = this.#text.slice(0, lineEnd);
      const words = line.split(" ");
      if (words[0] !== "MSG" && words[0] !== "HMSG") {
        this.other += `${line}\n`;
        this.#text = this.#text.slice(lineEnd + 2);
        continue;
      }
      const size = Number(words.at(-1));
      if (this.#text.length < lineEnd + 2 + size + 2) return hasAnswered;
      const body = this.#text.slice(lineEnd + 2, lineEnd + 2 + size);
      this.#text = this.#text.slice(lineEnd + 2 + size + 2);
      const headerSize = words[0] === "HMSG" ? Number(words.at(-2)) : 0;
      const fixed = words[0] === "HMSG" ? 5 : 4;
      const message: WireMessage = {
        subject: words[1] ?? "",
        reply: words.length > fixed ? words[3] ?? "" : "",
        headers: body.slice(0, headerSize),
        payload: bytesOf(body.slice(headerSize)),
        atMs: this.#wire.nowMs,
      };
      this.messages.push(message);
      if (this.answering.has(message.subject) && message.reply !== "") {
        this.#socket.send(`PUB ${message.reply} 0\r\n\r\n`);
        hasAnswered = true;
      }
    }
  }

  /** What came to `subject`, and forgets it. */
  take(subject: string): WireMessage[] {
    const taken = this.messages.filter((message) => message.subject === subject);
    for (const message of taken) this.messages.splice(this.messages.indexOf(message), 1);
    return taken;
  }

  /** Sends a request; what was answered within the same turn. */
  ask(subject: string, payload: Uint8Array): WireMessage | undefined {
    const reply = this.#wire.inbox();
    this.subscribe(reply);
    this.publish(subject, payload, reply);
    const answers = this.take(reply);
    assert.ok(answers.length <= 1, "a request is answered once");
    return answers[0];
  }

  /** The connection breaks. */
  break(): void {
    this.#socket.handler?.closed(undefined);
    this.#wire.settle();
  }

  /** The client stops reading, or takes everything again. */
  set frozen(frozen: boolean) {
    if (frozen) this.#socket.room = 0;
    else this.#socket.drain();
    this.#wire.settle();
  }

  /** What the server holds for it. */
  get pendingBytes(): number {
    return this.#socket.output.pendingBytes;
  }

  // STAN -----------------------------------------------------------------------------------------------------------------

  /** A request that must succeed; its decoded answer. */
  connectStan(clientId: string, changes: Partial<ConnectRequest> = {}): Record<string, unknown> {
    const heartbeatInbox = changes.heartbeatInbox ?? `_INBOX.hb.${clientId}`;
    this.subscribe(heartbeatInbox);
    this.answering.add(heartbeatInbox);
    const answer = this.ask(this.#wire.discover, connectRequest(clientId, { heartbeatInbox, ...changes }));
    assert.ok(answer !== undefined, "no answer to the connect");
    const response = decode("ConnectResponse", answer.payload);
    assert.equal(response.error, "");
    return response;
  }

  /** Publishes; the error of the PubAck. */
  publishStan(channel: string, data = "", changes: Record<string, unknown> = {}): string {
    const answer = this.ask(`_STAN.pub.test-cluster.${channel}`, publishRequest(channel, data, changes));
    assert.ok(answer !== undefined, "no PubAck");
    return String(decode("PubAck", answer.payload).error);
  }

  /** Subscribes at `inbox`; the ack inbox. */
  subscribeStan(channel: string, inbox: string, changes: Partial<SubscriptionRequest> = {}): string {
    this.subscribe(inbox);
    const answer = this.ask("_STAN.sub.test-cluster", subscribeRequest(channel, inbox, changes));
    assert.ok(answer !== undefined, "no answer to the subscribe");
    const response = decodeSubscriptionResponse(answer.payload, 0, answer.payload.length)!;
    assert.equal(response.error, "");
    return response.ackInbox;
  }

  /** Sequences delivered at `inbox`: `3` is a first delivery, `3r1` a first redelivery. */
  heard(inbox: string): string {
    const view = new MsgProtoView();
    return this.take(inbox).map(({ payload }) => {
      assert.ok(decodeMsgProto(payload, 0, payload.length, view));
      return view.redeliveryCount > 0 ? `${view.sequence}r${view.redeliveryCount}` : `${view.sequence}`;
    }).join(" ");
  }
}

/** With a wall clock of our days, so that time stamps have the size they have in life. */
class DatedRuntime extends FakeRuntime {
  override readonly clock = {
    monotonicMs: () => this.nowMs,
    wallNs: (out: { high: number; low: number }) => {
      const ns = BigInt(EPOCH_MS + Math.round(this.nowMs)) * 1_000_000n;
      out.high = Number(ns >> 32n);
      out.low = Number(ns & 0xffff_ffffn);
    },
  };
}

export class Wire {
  readonly runtime = new DatedRuntime();
  readonly log: string[] = [];
  readonly server: StreamingServer;
  readonly clients: WireClient[] = [];
  readonly discover = "_STAN.discover.test-cluster";
  #inboxes = 0;

  constructor(change: (draft: OptionsDraft) => void) {
    const draft = draftOptions("stanchion");
    draft.host = "127.0.0.1";
    draft.port = -1;
    draft.nats.disableShortFirstPing = true;
    change(draft);
    const log = new Logger({
      sink: { write: (text) => void this.log.push(text.trimEnd()), reopen: () => "noFile", close: () => {} },
      style: { pid: 1, time: false, colours: false },
      wallNs: this.runtime.clock.wallNs,
      zoneOffsetMinutes: () => 0,
      core: { debug: false, trace: false },
      streaming: { debug: false, trace: false },
    });
    this.server = new StreamingServer(freezeOptions(draft), this.runtime.asRuntime(), log);
  }

  get nowMs(): number {
    return this.runtime.nowMs;
  }

  inbox(): string {
    return `_INBOX.n${++this.#inboxes}`;
  }

  /** A connection; without `no_responders` if told so, as the old Node library. */
  client(noResponders = true): WireClient {
    const connect = { verbose: false, pedantic: false, headers: noResponders, no_responders: noResponders };
    const client = new WireClient(this, this.runtime.dial(), JSON.stringify(connect));
    this.clients.push(client);
    return client;
  }

  /** Ends turns until nobody has anything to say. */
  settle(): void {
    let again = true;
    while (again) {
      this.runtime.turn();
      again = false;
      for (const client of this.clients) again = client.receive() || again;
    }
  }

  /** Time goes on, in steps small enough for answers to come at their time. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 10) {
      this.runtime.advance(Math.min(10, left));
      this.settle();
    }
  }
}

/** A started server. */
export async function openWire(change: (draft: OptionsDraft) => void = () => {}): Promise<Wire> {
  const wire = new Wire(change);
  await wire.server.start();
  return wire;
}

export function connectRequest(clientId: string, changes: Partial<ConnectRequest> = {}): Uint8Array {
  return encodeConnectRequest({
    clientId,
    heartbeatInbox: `_INBOX.hb.${clientId}`,
    protocol: 1,
    connectionId: `conn-${clientId}`,
    pingIntervalSecs: 5,
    pingMaxOut: 88,
    ...changes,
  });
}

export function publishRequest(channel: string, data = "", changes: Record<string, unknown> = {}): Uint8Array {
  const message = { clientId: "me", guid: "guid", channel, reply: "", data: bytesOf(data), connectionId: "conn-me" };
  return encodeMessage("PubMsg", { ...message, ...changes });
}

export function subscribeRequest(
  channel: string,
  inbox: string,
  changes: Partial<SubscriptionRequest> = {},
): Uint8Array {
  return encodeSubscriptionRequest({ clientId: "me", channel, inbox, maxInFlight: 1024, ackWaitSecs: 30, ...changes });
}

/** Decodes what must decode. */
export function decode(name: StanMessageName, payload: Uint8Array): Record<string, unknown> {
  const message = decodeMessage(name, payload, 0, payload.length);
  assert.ok(message !== undefined, `a ${name} that does not decode`);
  return message;
}

/** Numbers of the fields that are there, in the order in which they were written. Single-byte lengths and tags suffice. */
export function fieldNumbers(payload: Uint8Array): number[] {
  const numbers: number[] = [];
  for (let at = 0; at < payload.length;) {
    const tag = payload[at++]!;
    assert.ok(tag < 128, "a field number above 15");
    numbers.push(tag >> 3);
    if ((tag & 7) === 2) at += 1 + payload[at]!;
    else while (payload[at++]! >= 128);
  }
  return numbers;
}

/** The fields a message may have. */
export function knownFields(name: StanMessageName): number[] {
  return STAN_SCHEMA[name].map((row) => row[0]);
}
