/**
 * An application of the soak. It publishes, subscribes in every way there is, acks soon, late or the second time, is cut
 * off, freezes, is killed without a word, and comes back under the same client ID.
 */
import { bytesOf, byteString } from "../../../src/base/bytes.ts";
import { decodeMessage, encodeMessage } from "../../../src/wire/stan_codec.ts";
import {
  decodeCloseResponse,
  decodeConnectResponse,
  decodeSubscriptionResponse,
  encodeCloseRequest,
  encodeConnectRequest,
  encodeSubscriptionRequest,
  encodeUnsubscribeRequest,
  START_POSITION,
} from "../../../src/wire/stan_control.ts";
import { decodeMsgProto, MsgProtoView } from "../../../src/wire/stan_hot.ts";
import type { Random } from "../../simulation/random.ts";
import { Link, type LinkOwner, NO_RESPONDERS } from "./link.ts";
import { type ChannelTruth, Claim } from "./truth.ts";

const CLUSTER_ID = "test-cluster";
/** A request that takes longer is a failure: nothing here keeps the server busy for so long. */
const REQUEST_MS_MAX = 20_000;
const NOTHING = new Uint8Array(0);
/** What happened to an application before a violation, as far back as it is told. */
const NOTED_MAX = 12;

/** What all applications share. */
export interface Stage {
  readonly port: number;
  readonly random: Random;
  readonly channels: readonly ChannelTruth[];
  readonly counters: Record<string, number>;
  /** Groups by channel and name. */
  readonly groups: Map<string, Claim>;
  violate(text: string): void;
  /** The number of the next publish, of all clients together. */
  nextNumber: number;
  /** Everybody acks everything at once: with one message in flight and late acks, a backlog would take minutes. */
  isCalm: boolean;
}

/** A subscription while its application lives. */
interface Held {
  readonly claim: Claim;
  readonly channel: ChannelTruth;
  readonly inbox: string;
  readonly kind: "plain" | "durable" | "group" | "durable group";
  readonly key: string;
  readonly name: string;
  ackInbox: string;
  /** Deliveries may have been lost on the way, and come again after ack wait. */
  wasInterrupted: boolean;
  /** The answer to its request was lost: the application does not know it, the server may. */
  isUnknown: boolean;
  isEnding: boolean;
}

const view = new MsgProtoView();

/** See the module comment. */
export class Application implements LinkOwner {
  readonly held = new Map<string, Held>();
  /** Claims of durables by channel and name; they outlive connections. */
  readonly durables = new Map<string, Claim>();
  /** Durables whose end was asked for and not confirmed; their names are not used again. */
  readonly doubtful: { readonly channel: ChannelTruth; readonly name: string }[] = [];
  isRegistered = false;
  readonly #stage: Stage;
  readonly #isWitness: boolean;
  #link: Link | undefined;
  #life = 0;
  #names = 0;
  #prefix = "";
  #connectionId = "";
  #pubPrefix = "";
  /** What happened to it last, and when. */
  readonly #last: string[] = [];
  readonly #waiting = new Map<string, (payload: Uint8Array) => void>();
  /** Publishes whose ack is awaited. */
  readonly #unacked = new Map<string, { channel: ChannelTruth; number: number }>();

  constructor(stage: Stage, readonly clientId: string, isWitness = false) {
    this.#stage = stage;
    this.#isWitness = isWitness;
  }

  get isConnected(): boolean {
    return this.#link !== undefined && this.isRegistered;
  }

  get unackedCount(): number {
    return this.#unacked.size;
  }

  #count(what: string, by = 1): void {
    const { counters } = this.#stage;
    counters[what] = (counters[what] ?? 0) + by;
  }

  /** Counts something that is told with a violation. */
  #note(what: string): void {
    this.#count(what);
    this.#last.push(`${new Date().toISOString().slice(14, 23)} ${what}`);
    if (this.#last.length > NOTED_MAX) this.#last.shift();
  }

  #violate(text: string): void {
    this.#violate(`${text} (before it: ${this.#last.join(", ")})`);
  }

  // Life ---------------------------------------------------------------------------------------------------------------

  /** Starts the process: a new connection, and a registration. */
  async start(): Promise<void> {
    const life = ++this.#life;
    this.#prefix = `_INBOX.${this.clientId}x${life}`;
    this.#connectionId = `${this.clientId}-${life}`;
    this.#link = await Link.open(this.#stage.port, this.#prefix, this);
    const response = await this.#request(
      `_STAN.discover.${CLUSTER_ID}`,
      encodeConnectRequest({
        clientId: this.clientId,
        heartbeatInbox: `${this.#prefix}.h`,
        protocol: 1,
        connectionId: this.#connectionId,
        pingIntervalSecs: 5,
        pingMaxOut: 88,
      }),
    );
    if (response === undefined) return;
    const decoded = decodeConnectResponse(response, 0, response.length);
    if (decoded === undefined || decoded.error !== "") {
      this.#violate(`connect was refused: ${decoded?.error ?? "no response"}`);
      return;
    }
    this.#pubPrefix = decoded.pubPrefix;
    this.isRegistered = true;
    this.#note("connects");
  }

  /** Dies without a word. The server keeps what it knew of it for a while. */
  kill(): void {
    this.#link?.kill();
    this.#forget();
    this.#note("kills");
  }

  /** Says goodbye. */
  async close(): Promise<void> {
    if (!this.isConnected) return;
    this.isRegistered = false;
    for (const held of this.held.values()) this.#checkEnd(held);
    const response = await this.#request(`_STAN.close.${CLUSTER_ID}`, encodeCloseRequest({ clientId: this.clientId }));
    if (response === undefined) return;
    const decoded = decodeCloseResponse(response, 0, response.length);
    if (decoded?.error !== "") {
      this.#violate(`close was refused: ${decoded?.error ?? "no response"}`);
    }
    // Acks of its publishes may be behind the answer (26.3); it does not wait for them.
    this.#link?.kill();
    this.#forget();
    this.#note("closes");
  }

  /** Loses its connection and gets another one, as a client library does. The registration goes on. */
  async reconnect(pauseMs: number): Promise<void> {
    const link = this.#link;
    if (link === undefined) return;
    link.kill();
    this.#link = undefined;
    this.#note("cuts");
    // Whatever was under way to us is lost, acks of publishes too.
    this.#unacked.clear();
    for (const held of this.held.values()) held.wasInterrupted = true;
    for (const answered of [...this.#waiting.values()]) answered(NO_RESPONDERS);
    const life = this.#life;
    await pause(pauseMs);
    const back = await Link.open(this.#stage.port, this.#prefix, this);
    // Killed meanwhile, or started again.
    if (life !== this.#life || !this.isRegistered) return back.kill();
    this.#link = back;
    this.#note("reconnects");
    // 20.2: what it asked for and got no answer to is ended by the only name it knows.
    for (const held of [...this.held.values()]) if (held.isUnknown) await this.#endUnknown(held);
  }

  async #endUnknown(held: Held): Promise<void> {
    const request = { clientId: this.clientId, channel: held.channel.name, inbox: held.inbox, durableName: "" };
    await this.#request(`_STAN.subclose.${CLUSTER_ID}`, encodeUnsubscribeRequest(request));
    this.held.delete(held.inbox);
  }

  /** Reads nothing for a while. */
  async freeze(ms: number): Promise<void> {
    const link = this.#link;
    if (link === undefined) return;
    link.isFrozen = true;
    this.#note("freezes");
    await pause(ms);
    link.isFrozen = false;
  }

  #forget(): void {
    this.#link = undefined;
    this.isRegistered = false;
    this.held.clear();
    this.#unacked.clear();
    for (const answered of [...this.#waiting.values()]) answered(NO_RESPONDERS);
    this.#waiting.clear();
  }

  lost(why: string): void {
    this.#violate(`its connection was lost: ${why}`);
    this.#forget();
  }

  // Requests -----------------------------------------------------------------------------------------------------------

  #inbox(kind: string): string {
    return `${this.#prefix}.${kind}${++this.#names}`;
  }

  /** Undefined: the process or its connection ended before the answer came. */
  #request(
    subject: string,
    payload: Uint8Array,
    /** Called before the next frame is looked at. */
    first: (answer: Uint8Array) => void = () => {},
  ): Promise<Uint8Array | undefined> {
    const link = this.#link;
    if (link === undefined) return Promise.resolve(undefined);
    const reply = this.#inbox("r");
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(reply);
        this.#violate(`no answer to ${subject} within ${REQUEST_MS_MAX} ms`);
        resolve(undefined);
      }, REQUEST_MS_MAX);
      this.#waiting.set(reply, (answer) => {
        clearTimeout(timer);
        this.#waiting.delete(reply);
        if (answer === NO_RESPONDERS && this.#link === link) {
          this.#violate(`nobody answers on ${subject}`);
        }
        if (answer === NO_RESPONDERS) return resolve(undefined);
        first(answer);
        resolve(answer.slice());
      });
      link.publish(subject, payload, reply);
    });
  }

  publish(channel: ChannelTruth): void {
    if (this.#link === undefined) return;
    const number = this.#stage.nextNumber++;
    const guid = String(number);
    const reply = `${this.#prefix}.a`;
    this.#unacked.set(guid, { channel, number });
    this.#link.publish(
      `${this.#pubPrefix}.${channel.name}`,
      encodeMessage("PubMsg", {
        clientId: this.clientId,
        guid,
        channel: channel.name,
        reply: "",
        data: bytesOf(`${number}:${"x".repeat(this.#stage.random.below(120))}`),
        connectionId: this.#connectionId,
      }),
      reply,
    );
    this.#count("publishes");
  }

  /** Another program wants this ID; resolves with what it was told. It must be refused as long as this one answers in time. */
  async beContested(): Promise<string> {
    const rival = new Application(this.#stage, "");
    const prefix = `_INBOX.rival${this.#stage.nextNumber}x${this.#life}`;
    rival.#prefix = prefix;
    rival.#link = await Link.open(this.#stage.port, prefix, rival);
    const request = encodeConnectRequest({ clientId: this.clientId, heartbeatInbox: `${prefix}.h`, protocol: 1 });
    const response = await rival.#request(`_STAN.discover.${CLUSTER_ID}`, request);
    rival.#link?.kill();
    this.#count("rivals");
    if (response === undefined) return "nothing";
    return decodeConnectResponse(response, 0, response.length)?.error ?? "nonsense";
  }

  /** The rival was let in: takes the ID back. */
  async restart(): Promise<void> {
    this.#link?.kill();
    this.#forget();
    await this.start();
  }

  // Subscriptions ------------------------------------------------------------------------------------------------------

  /** Subscribes, or resumes; true when the server accepted it. */
  async subscribe(channel: ChannelTruth, kind: Held["kind"], name: string): Promise<boolean> {
    const key = `${channel.name} ${name}`;
    const claim = this.#claimOf(channel, kind, key);
    if (kind === "durable" && [...this.held.values()].some((held) => held.key === key && held.kind === kind)) {
      return false;
    }
    const inbox = this.#inbox("d");
    const held: Held = {
      claim,
      channel,
      inbox,
      kind,
      key,
      name,
      ackInbox: "",
      wasInterrupted: false,
      isUnknown: false,
      isEnding: false,
    };
    this.held.set(inbox, held);
    const { random } = this.#stage;
    const response = await this.#request(
      `_STAN.sub.${CLUSTER_ID}`,
      encodeSubscriptionRequest({
        clientId: this.clientId,
        channel: channel.name,
        inbox,
        queueGroup: kind === "group" || kind === "durable group" ? name : "",
        durableName: kind === "durable" ? name : kind === "durable group" ? "D" : "",
        maxInFlight: this.#isWitness ? 100_000 : random.pick([1, 5, 20, 1000]),
        ackWaitSecs: random.between(1, 3),
        startPosition: this.#isWitness ? START_POSITION.FIRST : START_POSITION.NEW_ONLY,
      }),
      (answer) => held.ackInbox = decodeSubscriptionResponse(answer, 0, answer.length)?.ackInbox ?? "",
    );
    if (response === undefined) {
      held.isUnknown = true;
      return false;
    }
    const decoded = decodeSubscriptionResponse(response, 0, response.length);
    if (decoded === undefined || decoded.error !== "") {
      this.#violate(`subscribe to ${key} was refused: ${decoded?.error ?? "no response"}`);
      this.held.delete(inbox);
      return false;
    }
    claim.accepted(this.#stage.nextNumber);
    this.#count(kind);
    return true;
  }

  #claimOf(channel: ChannelTruth, kind: Held["kind"], key: string): Claim {
    const name = `${this.clientId} ${kind} ${key}`;
    if (kind === "plain") return new Claim(name, channel);
    const shelf = kind === "durable" ? this.durables : this.#stage.groups;
    let claim = shelf.get(key);
    if (claim === undefined) shelf.set(key, claim = new Claim(kind === "durable" ? name : `${kind} ${key}`, channel));
    return claim;
  }

  /** Ends one of its subscriptions. Durable groups are only closed, so that what they are due stays known. */
  async end(held: Held, wantsUnsubscribe: boolean): Promise<void> {
    if (held.isEnding || held.ackInbox === "") return;
    held.isEnding = true;
    const isUnsubscribe = wantsUnsubscribe && held.kind !== "durable group";
    const subject = isUnsubscribe ? `_STAN.unsub.${CLUSTER_ID}` : `_STAN.subclose.${CLUSTER_ID}`;
    const request = { clientId: this.clientId, channel: held.channel.name, inbox: held.ackInbox, durableName: "" };
    const response = await this.#request(subject, encodeUnsubscribeRequest(request));
    if (held.kind === "durable" && isUnsubscribe) {
      this.durables.delete(held.key);
      // Lost on the way: it may still be there, with a position that nobody here knows.
      if (response === undefined) this.doubtful.push({ channel: held.channel, name: held.name });
    }
    if (response === undefined) return;
    const error = decodeSubscriptionResponse(response, 0, response.length)?.error;
    if (error !== "") this.#violate(`the end of ${held.key} was refused: ${error}`);
    this.#checkEnd(held);
    this.held.delete(held.inbox);
    this.#count(isUnsubscribe ? "unsubscribes" : "subscription closes");
  }

  /** What a subscription got has no gaps, unless its connection had. */
  #checkEnd(held: Held): void {
    if (held.kind !== "plain" || held.wasInterrupted) return;
    const { hole } = held.claim;
    if (hole > 0) this.#stage.violate(`${held.claim.name}: ended without message ${hole}, which others behind it had`);
  }

  // What comes ---------------------------------------------------------------------------------------------------------

  message(subject: string, reply: string, payload: Uint8Array): void {
    const held = this.held.get(subject);
    if (held !== undefined) return this.#delivered(held, payload);
    if (subject === `${this.#prefix}.a`) return this.#pubAck(payload);
    if (subject === `${this.#prefix}.h`) {
      this.#note("heartbeats");
      return this.#link?.publish(reply, NOTHING);
    }
    const answered = this.#waiting.get(subject);
    if (answered === undefined) return;
    answered(payload);
  }

  #pubAck(payload: Uint8Array): void {
    const ack = decodeMessage("PubAck", payload, 0, payload.length) as { guid: string; error: string } | undefined;
    if (ack === undefined) return this.#violate(`a PubAck that does not decode`);
    const publish = this.#unacked.get(ack.guid);
    if (publish === undefined) return;
    this.#unacked.delete(ack.guid);
    if (ack.error !== "") return this.#violate(`publish was refused: ${ack.error}`);
    publish.channel.acked.add(publish.number);
    this.#count("acks");
  }

  #delivered(held: Held, payload: Uint8Array): void {
    if (!decodeMsgProto(payload, 0, payload.length, view)) {
      return this.#stage.violate(`${held.claim.name}: a message that does not decode`);
    }
    const { sequence, redelivered } = view;
    const number = parseInt(byteString(payload, view.dataStart, view.dataEnd), 10);
    const { channel, claim } = held;
    if (byteString(payload, view.subjectStart, view.subjectEnd) !== channel.name) {
      this.#stage.violate(`${claim.name}: got a message of another channel`);
    }
    if (this.#isWitness && held.kind === "plain") {
      if (!redelivered) channel.witness(sequence, number);
    } else if (sequence <= channel.last && channel.numbers[sequence] !== number) {
      this.#stage.violate(`${claim.name}: message ${sequence} is publish ${number}, not ${channel.numbers[sequence]}`);
    }
    if (held.isUnknown) return;
    if (held.ackInbox === "") return this.#stage.violate(`${claim.name}: message ${sequence} came before the response`);
    claim.deliver(sequence, redelivered);
    this.#count(redelivered ? "redeliveries" : "deliveries");
    const { random, isCalm } = this.#stage;
    const ack = () => this.#ack(held, sequence);
    if (this.#isWitness || isCalm) ack();
    // Every now and then an application drops one, and takes it when it comes again.
    else if (!redelivered && random.chance(2)) this.#count("ignored");
    else if (random.chance(15)) setTimeout(ack, random.between(1, 900));
    else ack();
  }

  #ack(held: Held, sequence: number): void {
    if (this.held.get(held.inbox) !== held) return;
    const channel = held.channel.name;
    this.#link?.publish(held.ackInbox, encodeMessage("Ack", { channel, sequence }));
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
