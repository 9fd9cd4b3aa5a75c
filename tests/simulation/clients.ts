/** The clients of the simulation: they do what applications do, and what only broken ones do. */
import { bytesOf, byteStringOfText } from "../../src/base/bytes.ts";
import { encodeMessage } from "../../src/wire/stan_codec.ts";
import {
  type ConnectRequest,
  decodeConnectResponse,
  decodeSubscriptionResponse,
  encodeCloseRequest,
  encodeConnectRequest,
  encodePing,
  encodeSubscriptionRequest,
  encodeUnsubscribeRequest,
  type SubscriptionRequest,
} from "../../src/wire/stan_control.ts";
import { decodeMsgProto, MsgProtoView } from "../../src/wire/stan_hot.ts";
import type { RequestKind } from "../helpers/core_driver.ts";
import { Connection, type Receiver, type World } from "./world.ts";

const CHANNELS = ["orders", "prices", "a.b", "foo bar"];
const ODD_CHANNELS = ["ORDERS", "x.*", "", "a..b", ".x", "a>b", "extra"];
const GROUPS = ["g", "h", "D:g"];
const DURABLES = ["D", "E"];
/** Seconds; negative ones are milliseconds. */
const ACK_WAITS = [-150, -150, -400, -1000, 1, 2];
const GARBAGE = bytesOf("dummy");

type AckHabit = "at once" | "late" | "sometimes" | "never";

interface Held {
  channel: string;
  inbox: string;
  ackInbox: string;
  habit: AckHabit;
  over: boolean;
  early: { sequence: number; atMs: number }[];
}

const view = new MsgProtoView();

/** One application. Its client ID may be wanted by another one too. */
export class SimulatedClient implements Receiver {
  readonly #world: World;
  readonly #index: number;
  readonly connection: Connection;
  readonly #held: Held[] = [];
  readonly #byInbox = new Map<string, Held>();
  readonly #waiting = new Map<string, (payload: Uint8Array) => void>();
  readonly #wasHeard: { channel: string; sequence: number; ackInbox: string }[] = [];
  #clientId: string;
  #connectionId = "";
  #heartbeatInbox = "";
  #isRegistered = false;
  #connecting = false;
  #isSilent = false;
  #isDead = false;
  #count = 0;
  readonly deeds = { frozen: 0, died: 0, born: 0 };
  /** At the end everybody acks everything and makes no more trouble. */
  isTame = false;

  constructor(world: World, index: number) {
    this.#world = world;
    this.#index = index;
    this.#clientId = `client-${index % world.climate.clientIdCount}`;
    this.connection = new Connection(`c${index}`, this);
    world.after(world.random.between(0, 60), () => this.#step());
  }

  // Network ------------------------------------------------------------------------------------------------------------

  receive(subject: string, payload: Uint8Array): void {
    const answered = this.#waiting.get(subject);
    if (answered !== undefined) {
      this.#waiting.delete(subject);
      if (!this.#isDead) answered(payload);
      return;
    }
    const held = this.#byInbox.get(subject);
    if (held === undefined || this.#isDead || this.#isSilent) return;
    if (!decodeMsgProto(payload, 0, payload.length, view)) return;
    this.#heard(held, view.sequence, view.redelivered);
  }

  requested(subject: string, answer: () => void): void {
    if (subject !== this.#heartbeatInbox || this.#isDead || this.#isSilent) return;
    // Every now and then an application is busy.
    if (!this.isTame && this.#world.random.chance(3)) return;
    answer();
  }

  serves(subject: string): boolean {
    const held = this.#byInbox.get(subject);
    return !this.#isDead && held !== undefined && held.ackInbox !== "";
  }

  #name(kind: string): string {
    const inbox = `_INBOX.${kind}${this.#index}.${++this.#count}`;
    this.#world.listen(this.connection, inbox);
    return inbox;
  }

  #request(
    kind: RequestKind,
    payload: Uint8Array,
    text: string,
    tell: (reply: string | undefined) => void,
    answered: (payload: Uint8Array) => void = () => {},
    silent = false,
  ): void {
    const reply = silent ? undefined : this.#name("r");
    if (reply !== undefined) this.#waiting.set(reply, answered);
    this.#world.request(this.connection, kind, payload, reply, `${reply ?? "-"} ${text}`, () => tell(reply));
  }

  // Life ---------------------------------------------------------------------------------------------------------------

  #step(): void {
    const { random, climate } = this.#world;
    this.#world.after(random.between(1, 60), () => this.#step());
    if (this.#isDead) {
      if (!this.isTame && random.chance(2)) this.#beBorn();
      return;
    }
    if (this.isTame || this.#isSilent) return;
    if (!this.connection.isUp) {
      if (random.chance(15)) this.#world.restore(this.connection);
      return;
    }
    if (random.chance(climate.troublePercent)) return this.#trouble();
    if (!this.#isRegistered) {
      if (!this.#connecting || random.chance(3)) this.#connect();
      return;
    }
    const dice = random.below(100);
    if (dice < 45) this.#publishBurst();
    else if (dice < 67) this.#subscribe();
    else if (dice < 75) this.#leave(false);
    else if (dice < 79) this.#ping(false);
    else if (dice < 81) this.#close(this.#clientId);
    else if (dice < 84) this.#world.congest(this.connection, random.between(5, 250));
  }

  /** Somebody has started the application again. It knows nothing of its former life. */
  #beBorn(): void {
    this.#isDead = false;
    this.#isRegistered = false;
    this.#connecting = false;
    this.#isSilent = false;
    this.#heartbeatInbox = "";
    // What was to be acked later is not.
    for (const held of this.#byInbox.values()) held.ackInbox = "";
    this.#held.length = 0;
    this.#byInbox.clear();
    this.#waiting.clear();
    this.#wasHeard.length = 0;
    this.#world.note(`${this.connection.name} is started again`);
    this.#world.replaceConnection(this.connection);
    this.deeds.born++;
  }

  #trouble(): void {
    const { random } = this.#world;
    switch (random.below(12)) {
      case 0:
        this.#world.cut(this.connection);
        return;
      case 1:
        // A frozen process: it reads nothing and answers nothing until the server gives it up.
        this.#isSilent = true;
        this.deeds.frozen++;
        this.#world.note(`${this.connection.name} freezes`);
        this.#world.after(random.between(200, 4000), () => this.#isSilent = false);
        return;
      case 2:
        if (!random.chance(25)) return;
        this.#isDead = true;
        this.deeds.died++;
        this.#world.note(`${this.connection.name} dies`);
        if (random.chance(50)) this.#world.cut(this.connection);
        return;
      case 3:
        return this.#garbage();
      case 4:
        return this.#leave(true);
      case 5:
        return this.#ping(true);
      case 6:
        return this.#close(random.chance(50) ? "nobody" : `client-${random.below(4)}`);
      case 7:
        return this.#invalidSubscribe();
      case 8:
        return this.#invalidPublish();
      case 9:
        return this.#staleAck();
      case 10:
        this.#isRegistered = false;
        this.#connecting = false;
        return;
      default:
        if (random.chance(20)) this.#world.setWallBack(random.between(1, 200));
    }
  }

  #connect(): void {
    const { random, model } = this.#world;
    this.#connecting = true;
    const isOld = random.chance(15);
    const heartbeatInbox = this.#name("h");
    const connectionId = isOld ? "" : random.chance(3) ? "shared" : `conn-${this.#index}-${this.#count}`;
    const request: ConnectRequest = {
      clientId: random.chance(3) ? random.pick(["", "a b", "a.b", "é", "x\n"].map(byteStringOfText)) : this.#clientId,
      heartbeatInbox: random.chance(2) ? "" : heartbeatInbox,
      protocol: isOld ? 0 : random.chance(10) ? 7 : 1,
      connectionId,
      pingIntervalSecs: random.pick([5, -50, 0]),
      pingMaxOut: 88,
    };
    this.#request(
      "connect",
      encodeConnectRequest(request),
      request.clientId,
      (reply) => model.connect(request, reply),
      (payload) => {
        this.#connecting = false;
        if (decodeConnectResponse(payload, 0, payload.length)?.error !== "") return;
        this.#isRegistered = true;
        this.#heartbeatInbox = heartbeatInbox;
        this.#connectionId = connectionId;
        for (const held of this.#held) held.over = true;
        this.#held.length = 0;
      },
    );
    // It answers heartbeats from now on, because the response may be the one thing that gets lost.
    if (!this.#isRegistered) this.#heartbeatInbox = heartbeatInbox;
  }

  #publishBurst(): void {
    const count = this.#world.random.between(1, 6);
    const channel = this.#world.random.pick(CHANNELS);
    for (let i = 0; i < count; i++) this.#publish(channel, this.#world.random.chance(4));
  }

  #publish(
    channel: string,
    silent: boolean,
    changes: { guid?: string; connectionId?: string; clientId?: string } = {},
  ) {
    const { random, model } = this.#world;
    const request = {
      clientId: random.chance(5) && this.#connectionId !== "" ? "someone-else" : this.#clientId,
      guid: `g${this.#index}-${++this.#count}`,
      channel,
      reply: random.chance(10) ? "answer.here" : "",
      data: bytesOf(random.chance(5) ? "" : `m${this.#index}-${this.#count}`),
      connectionId: this.#connectionId,
      ...changes,
    };
    this.#request(
      "publish",
      encodeMessage("PubMsg", request),
      `${channel} ${request.guid}`,
      (reply) => model.publish(request, reply, this.connection.name),
      undefined,
      silent,
    );
  }

  #invalidPublish(): void {
    const { random } = this.#world;
    switch (random.below(4)) {
      case 0:
        return this.#publish(random.pick(ODD_CHANNELS), false);
      case 1:
        return this.#publish("orders", false, { guid: "" });
      case 2:
        return this.#publish("orders", false, { connectionId: "nobody" });
      default:
        return this.#publish("orders", false, { connectionId: "", clientId: random.pick(["nobody", this.#clientId]) });
    }
  }

  #subscriptionRequest(): SubscriptionRequest {
    const { random } = this.#world;
    const kind = random.below(10);
    const isQueue = kind >= 5;
    return {
      clientId: this.#clientId,
      channel: random.pick(CHANNELS),
      queueGroup: isQueue ? random.pick(GROUPS) : "",
      inbox: this.#name("d"),
      maxInFlight: random.pick([1, 2, 3, 5, 10, 1000]),
      ackWaitSecs: random.pick(ACK_WAITS),
      durableName: kind === 3 || kind === 4 || kind >= 8 ? random.pick(DURABLES) : "",
      startPosition: random.below(5),
      startSequence: random.pick([0, 1, 2, 5, 20, 1000]),
      startTimeDeltaNs: random.pick([0n, 50_000_000n, 700_000_000n, 3_600_000_000_000n, -1_000_000_000n]),
    };
  }

  #subscribe(request = this.#subscriptionRequest()): void {
    const { random, model } = this.#world;
    const habit = random.pick<AckHabit>(["at once", "at once", "late", "sometimes", "never"]);
    const held: Held = { channel: request.channel, inbox: request.inbox, ackInbox: "", habit, over: false, early: [] };
    this.#byInbox.set(request.inbox, held);
    const { queueGroup, durableName, startPosition, maxInFlight, ackWaitSecs } = request;
    this.#request(
      "subscribe",
      encodeSubscriptionRequest(request),
      `${request.channel} q=${queueGroup} d=${durableName} start=${startPosition} max=${maxInFlight} wait=${ackWaitSecs} ` +
        `inbox=${request.inbox}`,
      (reply) => model.subscribe(request, reply),
      (payload) => {
        const response = decodeSubscriptionResponse(payload, 0, payload.length);
        if (response === undefined || response.error !== "") return;
        held.ackInbox = response.ackInbox;
        this.#held.push(held);
      },
      random.chance(1),
    );
    // A client that does not wait for the response may end the subscription by its delivery inbox.
    if (random.chance(6)) this.#leaveOne(held, request.inbox, random.chance(50));
    // Or it thinks better of it, and comes back to its durable before anybody answered.
    if (request.durableName !== "" && random.chance(10)) {
      this.#leaveOne(held, request.inbox, false);
      this.#subscribe({ ...request, inbox: this.#name("d"), maxInFlight: random.pick([1, 5, 1000]) });
    }
    if (random.chance(2)) this.#close(this.#clientId);
  }

  #invalidSubscribe(): void {
    const { random } = this.#world;
    const request = this.#subscriptionRequest();
    const changes: Partial<SubscriptionRequest>[] = [
      { clientId: "" },
      { ackWaitSecs: 0 },
      { maxInFlight: 0 },
      { startPosition: 5 },
      { channel: random.pick(ODD_CHANNELS) },
      { clientId: "nobody" },
      { queueGroup: "g", durableName: "a:b" },
      { inbox: "" },
    ];
    this.#subscribe({ ...request, ...random.pick(changes), ...(random.chance(40) ? random.pick(changes) : {}) });
  }

  #leave(isWrong: boolean): void {
    const { random } = this.#world;
    if (this.#held.length === 0) return;
    const held = random.pick(this.#held);
    if (isWrong) {
      const inbox = random.pick([held.ackInbox, "_INBOX.nowhere"]);
      return this.#sendLeave(held, inbox, random.chance(50), random.pick(["nobody", "client-0", this.#clientId]));
    }
    this.#leaveOne(held, random.chance(15) ? held.inbox : held.ackInbox, random.chance(50));
    const at = this.#held.indexOf(held);
    if (random.chance(90)) this.#held.splice(at, 1);
  }

  #leaveOne(held: Held, inbox: string, isUnsubscribe: boolean): void {
    this.#sendLeave(held, inbox, isUnsubscribe, this.#clientId);
  }

  #sendLeave(held: Held, inbox: string, isUnsubscribe: boolean, clientId: string): void {
    const { random, model } = this.#world;
    const kind = isUnsubscribe ? "unsubscribe" : "closeSubscription";
    const channel = random.chance(4) ? "unheard-of" : held.channel;
    const request = { clientId, channel, inbox, durableName: "" };
    this.#request(
      kind,
      encodeUnsubscribeRequest(request),
      `${channel} ${inbox}`,
      (reply) => model.leave(kind, request, reply),
      () => held.over = true,
      random.chance(3),
    );
  }

  #close(clientId: string): void {
    const { model } = this.#world;
    this.#request("close", encodeCloseRequest({ clientId }), clientId, (reply) => model.close({ clientId }, reply));
    if (clientId === this.#clientId) this.#isRegistered = false;
    if (this.#world.random.chance(30)) this.#publishBurst();
  }

  #ping(isWrong: boolean): void {
    const { model } = this.#world;
    const connectionId = isWrong ? this.#world.random.pick(["", "nobody"]) : this.#connectionId;
    const payload = encodePing({ connectionId });
    // 9.2: an empty payload gets no answer.
    if (payload.length === 0) return;
    this.#request("ping", payload, connectionId, (reply) => model.ping(connectionId, reply));
  }

  #garbage(): void {
    const { random, model } = this.#world;
    const kind = random.pick<RequestKind>([
      "connect",
      "close",
      "ping",
      "publish",
      "subscribe",
      "unsubscribe",
      "closeSubscription",
    ]);
    this.#request(kind, GARBAGE, "dummy", (reply) => model.garbage(kind, reply));
  }

  // Acks ---------------------------------------------------------------------------------------------------------------

  #heard(held: Held, sequence: number, isRedelivered: boolean): void {
    const { random } = this.#world;
    const ack = () => this.#ack(held, sequence);
    if (this.isTame) return ack();
    if (held.over && random.chance(50)) return;
    switch (held.habit) {
      case "at once":
        return ack();
      case "late":
        return this.#world.after(random.between(20, 900), ack);
      case "sometimes":
        if (random.chance(isRedelivered ? 70 : 40)) this.#world.after(random.between(0, 100), ack);
        return;
      case "never":
        return;
    }
  }

  #ack(held: Held, sequence: number): void {
    if (this.#isDead || this.#isSilent || held.ackInbox === "") return;
    const { ackInbox, channel } = held;
    if (this.#world.random.chance(10)) this.#wasHeard.push({ channel, sequence, ackInbox });
    this.#sendAck(ackInbox, channel, sequence);
  }

  #sendAck(ackInbox: string, channel: string, sequence: number): void {
    this.#world.ack(this.connection, ackInbox, channel, sequence, encodeMessage("Ack", { channel, sequence }));
  }

  /** Acks that must change nothing, or little: old ones, unknown ones, of another channel. */
  #staleAck(): void {
    const { random } = this.#world;
    if (this.#wasHeard.length === 0) return;
    const old = random.pick(this.#wasHeard);
    switch (random.below(4)) {
      case 0:
        return this.#sendAck(old.ackInbox, "prices", old.sequence);
      case 1:
        return this.#sendAck(old.ackInbox, old.channel, random.pick([0, 1, 9999]));
      case 2:
        return this.#sendAck(old.ackInbox, old.channel, old.sequence + random.between(1, 4));
      default:
        return this.#sendAck(old.ackInbox, old.channel, old.sequence);
    }
  }

  /** The storm is over. */
  tame(): void {
    this.isTame = true;
    if (this.#isDead) return;
    this.#isSilent = false;
    this.#world.restore(this.connection);
  }
}
