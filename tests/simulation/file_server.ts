/** Driver, streaming core and FILE store on a simulated disk, with clients on a bus of one page. */
import { bytesOf, byteString } from "../../src/base/bytes.ts";
import type { Bus, BusMessage, BusReceiver, BusSubscription, Destination } from "../../src/nats/bus.ts";
import { Driver } from "../../src/server/driver.ts";
import { FileStore } from "../../src/store/file/file_store.ts";
import { FILE_STORE_DEFAULTS } from "../../src/store/file/options.ts";
import { StoreError } from "../../src/store/types.ts";
import { StreamingCore } from "../../src/streaming/core.ts";
import { decodeMessage, encodeMessage } from "../../src/wire/stan_codec.ts";
import type { StanMessageName } from "../../src/wire/stan_schema.ts";
import { pingsSubject, stanSubjects } from "../../src/wire/stan_subjects.ts";
import { RecordingLog } from "../helpers/file_store.ts";
import type { SimulatedDisk } from "./disk.ts";
import type { Machine } from "./machine.ts";

const SUBJECTS = stanSubjects("sim");
export const HEARTBEAT_MS = 700;

class Message implements BusMessage {
  readonly buffer: Uint8Array;
  readonly subjectStart = 0;
  readonly subjectEnd: number;
  readonly replyStart: number;
  readonly replyEnd: number;
  readonly payloadStart: number;
  readonly payloadEnd: number;
  readonly noResponders = false;
  note: unknown = undefined;
  readonly #reply: string;

  constructor(subject: string, reply: string, payload: Uint8Array) {
    const head = bytesOf(subject + reply);
    this.buffer = new Uint8Array(head.length + payload.length);
    this.buffer.set(head);
    this.buffer.set(payload, head.length);
    this.subjectEnd = this.replyStart = subject.length;
    this.replyEnd = this.payloadStart = head.length;
    this.payloadEnd = this.buffer.length;
    this.#reply = reply;
  }

  replyDestination(): Destination | undefined {
    return this.#reply === "" ? undefined : { subject: this.#reply };
  }
}

/** What stands behind a subject. */
interface Interest extends BusSubscription {
  readonly receiver: BusReceiver;
}

/** Subjects to receivers: literal ones, and those that end in `.*` or `.>`. */
class PlainBus implements Bus {
  readonly maxPayload = 1_048_576;
  onDrained: (() => void) | undefined = undefined;
  readonly #interests = new Map<string, Set<Interest>>();

  subscribe(subject: string, receiver: BusReceiver, owner?: unknown): BusSubscription {
    const interests = this.#interests.get(subject) ?? new Set();
    const interest: Interest = { receiver, owner, unsubscribe: () => void interests.delete(interest) };
    this.#interests.set(subject, interests.add(interest));
    return interest;
  }

  publish(subject: string, reply: string, payload: Uint8Array): number {
    let reached = 0;
    for (const [pattern, interests] of this.#interests) {
      const isWild = pattern.endsWith(".>") || pattern.endsWith(".*");
      if (isWild ? !subject.startsWith(pattern.slice(0, -1)) : subject !== pattern) continue;
      for (const interest of [...interests]) {
        reached++;
        interest.receiver.receive(new Message(subject, reply, payload), interest);
      }
    }
    return reached;
  }

  destination(subject: string): Destination {
    return { subject };
  }
  release(): void {}
  isCongested(): boolean {
    return false;
  }
  isHeard({ subject }: Destination): boolean {
    return (this.#interests.get(subject)?.size ?? 0) > 0;
  }

  send(
    { subject }: Destination,
    head: Uint8Array,
    start: number,
    end: number,
    tail: Uint8Array,
    tailLength: number,
  ): number {
    const payload = new Uint8Array(end - start + tailLength);
    payload.set(head.subarray(start, end));
    payload.set(tail.subarray(0, tailLength), end - start);
    return this.publish(subject, "", payload);
  }

  request({ subject }: Destination, reply: string, payload: Uint8Array): number {
    return this.publish(subject, reply, payload);
  }
}

/** What came to a subject. */
export class Inbox {
  readonly subject: string;
  readonly payloads: Uint8Array[] = [];

  constructor(bus: PlainBus, subject: string, answers = false) {
    this.subject = subject;
    bus.subscribe(subject, {
      receive: (message) => {
        this.payloads.push(message.buffer.slice(message.payloadStart, message.payloadEnd));
        const reply = message.replyDestination();
        if (answers && reply !== undefined) bus.publish(reply.subject, "", new Uint8Array(0));
      },
    });
  }

  decoded(name: StanMessageName): Record<string, unknown>[] {
    return this.payloads.map((payload) => decodeMessage(name, payload, 0, payload.length) as Record<string, unknown>);
  }
}

/** One process of the server. */
export class SimulatedServer {
  readonly bus = new PlainBus();
  readonly log = new RecordingLog();
  readonly machine: Machine;
  readonly store: FileStore;
  readonly core: StreamingCore;
  readonly driver: Driver;
  failure: unknown;
  #turnPlanned = false;
  #names = 0;

  constructor(machine: Machine, disk: SimulatedDisk) {
    this.machine = machine;
    const { clock, scheduler } = machine;
    const limits = {
      maxChannels: 0,
      forChannel: () => ({ maxSubscriptions: 0, maxMessages: 0, maxBytes: 0, maxAgeMs: 0, maxInactivityMs: 0 }),
    };
    this.store = new FileStore(limits, { ...FILE_STORE_DEFAULTS, dir: "/srv/data" }, {
      disk,
      clock,
      scheduler,
      log: this.log,
      runProgram: () => {},
    });
    this.core = new StreamingCore({
      core: {
        heartbeatIntervalMs: HEARTBEAT_MS,
        heartbeatTimeoutMs: 300,
        heartbeatFailCount: 2,
        replaceDurable: false,
        maxPayload: 1_048_576,
        testNegativeAckWaitMs: true,
        seed: 1,
      },
      world: {
        address: (subject) => ({ subject }),
        release: () => {},
        isCongested: () => false,
        isHeard: (address) => this.bus.isHeard(address),
        isAwaited: () => false,
        uniqueName: () => (++this.#names).toString(36).padStart(22, "0"),
        wake: () => this.#planTurn(),
      },
      store: this.store,
      limits,
      journal: this.log,
      server: SUBJECTS,
      nowMs: machine.nowMs,
    });
    this.driver = new Driver({
      core: this.core,
      bus: this.bus,
      store: this.store,
      clock,
      scheduler,
      replyName: "replies",
      requestTurn: () => this.#planTurn(),
      failed: (error) => this.failure = error,
    });
  }

  #planTurn(): void {
    if (this.#turnPlanned) return;
    this.#turnPlanned = true;
    this.machine.after(0, () => {
      this.#turnPlanned = false;
      this.driver.turn();
    });
  }

  async start(): Promise<void> {
    const recovering = this.store.recover().catch((error) => {
      if (!(error instanceof StoreError) || error.code !== "STORE_NO_SERVER_INFO") throw error;
      this.store.init(SUBJECTS);
      return this.store.recover();
    });
    let isOver = false;
    recovering.finally(() => isOver = true);
    await this.machine.until(() => isOver, 1000);
    const state = await recovering;
    if (state === undefined) this.store.init(SUBJECTS);
    const flushed = this.store.flush();
    await this.machine.advance(0);
    await flushed;
    this.driver.start(state?.server ?? SUBJECTS, state);
    await this.machine.advance(1);
  }

  inbox(subject: string, answers = false): Inbox {
    return new Inbox(this.bus, subject, answers);
  }

  ask(subject: string, name: StanMessageName, value: object): Inbox {
    const inbox = this.inbox(`_INBOX.ask${++this.#names}`);
    this.bus.publish(subject, inbox.subject, encodeMessage(name, value));
    return inbox;
  }

  /** Registers a client that answers its heartbeats; returns them. */
  async connect(clientId: string): Promise<Inbox> {
    const heartbeats = this.inbox(`_INBOX.hb.${clientId}`, true);
    this.ask(SUBJECTS.discovery, "ConnectRequest", {
      clientId,
      heartbeatInbox: heartbeats.subject,
      protocol: 1,
      connectionId: clientId,
      pingIntervalSecs: 5,
      pingMaxOut: 3,
    });
    await this.machine.advance(5);
    return heartbeats;
  }

  publish(clientId: string, channel: string, data: string): Inbox {
    return this.ask(`${SUBJECTS.publish}.${channel}`, "PubMsg", {
      clientId,
      guid: `g${++this.#names}`,
      channel,
      data: bytesOf(data),
      connectionId: clientId,
    });
  }

  subscribe(clientId: string, channel: string, inbox: Inbox, durableName = ""): Inbox {
    return this.ask(SUBJECTS.subscribe, "SubscriptionRequest", {
      clientId,
      channel,
      inbox: inbox.subject,
      maxInFlight: 100,
      ackWaitSecs: 30,
      startPosition: 4,
      durableName,
    });
  }

  ack(ackInbox: string, channel: string, sequence: number): void {
    this.bus.publish(ackInbox, "", encodeMessage("Ack", { channel, sequence }));
  }

  ping(clientId: string): Inbox {
    return this.ask(pingsSubject(SUBJECTS.discovery), "Ping", { connectionId: clientId });
  }
}

/** Payloads of the messages that came. */
export function texts(inbox: Inbox): string[] {
  return inbox.decoded("MsgProto").map((message) => byteString(message["data"] as Uint8Array));
}
