/**
 * Rules of delivery as readable scripts: commands, and below each what the core sent, in order. A change of behaviour shows
 * as a difference in a text (style.md 7).
 *
 *   options KEY=VALUE ...           first line: max-msgs, max-bytes, max-age, max-subs, max-channels, inactivity, interval,
 *                                   timeout, failures, replace-durable, milliseconds (negative `wait`), acks (shows PubAcks)
 *   connect CLIENT [conn=ID]        `me` is connected at the beginning
 *   disconnect CLIENT | ping CLIENT
 *   manner CLIENT answers|silent|gone
 *   publish CHANNEL [xCOUNT] [bytes=SIZE] [client=CLIENT]
 *   subscribe NAME CHANNEL [client=] [group=] [durable=] [from=new|last|first|SEQUENCE|-DURATION] [max=] [wait=]
 *   close NAME [inbox] [as CLIENT] | unsubscribe NAME [inbox] [as CLIENT]   `inbox`: named by the delivery inbox
 *   ack NAME SEQUENCE|FROM-TO ... | ack-old NAME SEQUENCE    the latter at the ack inbox of the life before
 *   pass DURATION | clock DURATION   time goes on; only the wall clock is set
 *   congest NAME | drain NAME
 *   store fails WHAT | store works   WHAT: append, update, pending, lookup; for all channels known by then
 *   show CHANNEL                     position and pending of every subscription
 *   & COMMAND                        handed over without ending the turn: together with the next one
 *
 * Below a command stand lines of two blanks, the time in seconds, and what was sent then. `a <- 1 2r1`: subscription `a` got
 * message 1, and message 2 as its first redelivery. Lines that begin with `#` are for the reader.
 */
import { type BenchOptions, type Manner, StreamingBench, type Subscriber } from "../../helpers/streaming_bench.ts";
import { APPEND_FAILED, LOOKUP_FAILED, StoreError } from "../../../src/store/types.ts";
import {
  decodeSubscriptionResponse,
  encodeCloseRequest,
  encodePing,
  START_POSITION,
  type SubscriptionRequest,
} from "../../../src/wire/stan_control.ts";
import { decodeMsgProto, MsgProtoView } from "../../../src/wire/stan_hot.ts";
import type { RequestKind } from "../../helpers/core_driver.ts";

/** A subscription by its name in the script. */
interface Named extends Subscriber {
  ackInbox: string;
  /** Of the life before. */
  ackInboxBefore: string;
}

/** What an answer belongs to. */
interface Asked {
  readonly kind: RequestKind;
  readonly what: string;
  readonly subscriber?: Named;
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function durationMs(text: string): number {
  const match = /^(-?[\d.]+)(ms|s|m|h)$/.exec(text);
  if (match === null) throw new Error(`"${text}" is no duration`);
  return Number(match[1]) * UNITS[match[2]!]!;
}

function pairs(words: readonly string[], allowed: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const word of words) {
    const [key, value] = word.split("=", 2);
    if (key === undefined || value === undefined || !allowed.includes(key)) throw new Error(`what is "${word}"?`);
    found.set(key, value);
  }
  return found;
}

function isManner(text: string): text is Manner {
  return text === "answers" || text === "silent" || text === "gone";
}

function startOf(text: string): Partial<SubscriptionRequest> {
  const named: Readonly<Record<string, number>> = {
    new: START_POSITION.NEW_ONLY,
    last: START_POSITION.LAST_RECEIVED,
    first: START_POSITION.FIRST,
  };
  const known = named[text];
  if (known !== undefined) return { startPosition: known };
  if (/^\d+$/.test(text)) return { startPosition: START_POSITION.SEQUENCE_START, startSequence: Number(text) };
  const startTimeDeltaNs = BigInt(-durationMs(text)) * 1_000_000n;
  return { startPosition: START_POSITION.TIME_DELTA_START, startTimeDeltaNs };
}

class ScriptRun {
  #bench: StreamingBench | undefined;
  #showsAcks = false;
  readonly #named = new Map<string, Named>();
  readonly #inboxes = new Map<string, string>();
  readonly #asked = new Map<string, Asked>();
  #inboxCount = 0;
  #pending = false;
  readonly #view = new MsgProtoView();
  #repairs: (() => void)[] = [];
  #requestsSeen = 0;

  /** Runs one command line; returns what was sent since the last one. */
  run(line: string): string[] {
    const joined = line.startsWith("& ");
    const words = (joined ? line.slice(2) : line).trim().split(/\s+/);
    const command = words.shift()!; // split gives one at least.
    if (command === "options") {
      if (this.#bench !== undefined) throw new Error("options come first");
      this.#open(words);
      return [];
    }
    const b = this.#bench ?? this.#open([]);
    const shown = this.#do(b, command, words);
    if (joined) {
      this.#pending = true;
      return [];
    }
    b.turn();
    this.#pending = false;
    return [...this.#collect(b), ...shown];
  }

  /** The script is over. */
  end(): void {
    if (this.#pending) throw new Error("the last command is handed over, but its turn never ends");
  }

  #open(words: readonly string[]): StreamingBench {
    const limits: Record<string, number> = {};
    const core: Record<string, number | boolean> = {};
    let options: BenchOptions = {};
    for (const word of words) {
      const [key = "", value = ""] = word.split("=", 2);
      if (key === "max-msgs") limits.maxMessages = Number(value);
      else if (key === "max-bytes") limits.maxBytes = Number(value);
      else if (key === "max-subs") limits.maxSubscriptions = Number(value);
      else if (key === "max-age") limits.maxAgeMs = durationMs(value);
      else if (key === "inactivity") limits.maxInactivityMs = durationMs(value);
      else if (key === "max-channels") options = { ...options, maxChannels: Number(value) };
      else if (key === "interval") core.heartbeatIntervalMs = durationMs(value);
      else if (key === "timeout") core.heartbeatTimeoutMs = durationMs(value);
      else if (key === "failures") core.heartbeatFailCount = Number(value);
      else if (key === "replace-durable") core.replaceDurable = true;
      else if (key === "milliseconds") core.testNegativeAckWaitMs = true;
      else if (key === "acks") this.#showsAcks = true;
      else throw new Error(`what is "${word}"?`);
    }
    const bench = new StreamingBench({ ...options, limits, core });
    bench.connect("me");
    this.#bench = bench;
    return bench;
  }

  #subscriber(name: string | undefined): Named {
    const found = this.#named.get(name ?? "");
    if (found === undefined) throw new Error(`no subscription is called "${name ?? ""}"`);
    return found;
  }

  #post(b: StreamingBench, kind: RequestKind, payload: Uint8Array, asked: Omit<Asked, "kind">): void {
    this.#asked.set(b.post(kind, payload), { kind, ...asked });
  }

  /** Carries a command out; what it has to say itself. */
  #do(b: StreamingBench, command: string, words: string[]): string[] {
    const [first = "", second = ""] = words;
    switch (command) {
      case "connect": {
        const conn = pairs(words.slice(1), ["conn"]).get("conn");
        const changes = conn === undefined ? {} : { connectionId: conn, heartbeatInbox: `_INBOX.hb.${conn}` };
        this.#post(b, "connect", b.connectRequest(first, changes), { what: `connect ${first}` });
        return [];
      }
      case "disconnect":
        this.#post(b, "close", encodeCloseRequest({ clientId: first }), { what: `disconnect ${first}` });
        return [];
      case "ping":
        this.#post(b, "ping", encodePing({ connectionId: `conn-${first}` }), { what: `ping ${first}` });
        return [];
      case "manner":
        if (!isManner(second)) throw new Error(`what is "${second}"?`);
        b.manners.set(`_INBOX.hb.${first}`, second);
        return [];
      case "publish":
        this.#publish(b, first, words.slice(1));
        return [];
      case "subscribe":
        this.#subscribe(b, first, second, words.slice(2));
        return [];
      case "close":
      case "unsubscribe": {
        const named = this.#subscriber(first);
        const at = words.indexOf("as");
        const subscriber = at < 0 ? named : { ...named, clientId: words[at + 1] ?? "" };
        const by = second === "inbox" ? subscriber.inbox : subscriber.ackInbox;
        const kind = command === "close" ? "closeSubscription" : "unsubscribe";
        this.#post(b, kind, b.leaveRequest(subscriber, by), { what: `${command} ${first}` });
        return [];
      }
      case "ack":
        for (const range of words.slice(1)) {
          const [from = 0, to = from] = range.split("-").map(Number);
          for (let sequence = from; sequence <= to; sequence++) b.postAck(this.#subscriber(first), sequence);
        }
        return [];
      case "ack-old": {
        const subscriber = this.#subscriber(first);
        const listened = b.postAck({ ...subscriber, ackInbox: subscriber.ackInboxBefore }, Number(second));
        return listened ? [] : ["nobody listens at the ack inbox"];
      }
      case "pass":
        b.pass(durationMs(first));
        return [];
      case "clock":
        b.driver.wallOffsetMs += durationMs(first);
        return [];
      case "congest":
        b.congested.add(this.#subscriber(first).inbox);
        return [];
      case "drain":
        b.congested.delete(this.#subscriber(first).inbox);
        b.driver.drained();
        return [];
      case "store":
        this.#store(b, first, second);
        return [];
      case "show":
        b.turn();
        return this.#show(b, first);
    }
    throw new Error(`what is "${command}"?`);
  }

  #publish(b: StreamingBench, channel: string, words: readonly string[]): void {
    const times = words[0]?.startsWith("x") === true ? Number(words[0].slice(1)) : 1;
    const options = pairs(words.filter((word) => !word.startsWith("x")), ["bytes", "client"]);
    const clientId = options.get("client") ?? "me";
    for (let i = 0; i < times; i++) {
      const data = "x".repeat(Number(options.get("bytes") ?? 1));
      const request = b.publishRequest(channel, data, { clientId, connectionId: `conn-${clientId}` });
      this.#post(b, "publish", request, { what: `publish ${channel}` });
      // Each in a turn of its own, but for the last: it may go together with the next command.
      if (i + 1 < times) b.turn();
    }
  }

  #subscribe(b: StreamingBench, name: string, channel: string, words: readonly string[]): void {
    const options = pairs(words, ["client", "group", "durable", "from", "max", "wait"]);
    const clientId = options.get("client") ?? "me";
    const inbox = `_INBOX.${name}.${++this.#inboxCount}`;
    const waitMs = durationMs(options.get("wait") ?? "30s");
    const request = b.subscribeRequest(channel, {
      clientId,
      inbox,
      queueGroup: options.get("group") ?? "",
      durableName: options.get("durable") ?? "",
      maxInFlight: Number(options.get("max") ?? 1024),
      ackWaitSecs: waitMs % 1000 === 0 ? waitMs / 1000 : -waitMs,
      ...startOf(options.get("from") ?? "new"),
    });
    const before = this.#named.get(name)?.ackInbox ?? "";
    const subscriber: Named = { clientId, channel, inbox, ackInbox: "", ackInboxBefore: before };
    this.#named.set(name, subscriber);
    this.#inboxes.set(inbox, name);
    this.#post(b, "subscribe", request, { what: `subscribe ${name}`, subscriber });
  }

  #store(b: StreamingBench, how: string, what: string): void {
    if (how === "works") {
      for (const repair of this.#repairs.splice(0)) repair();
      return;
    }
    for (const { store } of b.core.channels.all) {
      const { messages, subscriptions } = store;
      if (what === "append") {
        const { append } = messages;
        Object.defineProperty(messages, "lastError", { value: "the disk is full", configurable: true });
        messages.append = () => APPEND_FAILED;
        this.#repairs.push(() => messages.append = append);
      } else if (what === "update") {
        const { update } = subscriptions;
        subscriptions.update = () => {
          throw new StoreError("STORE_CLOSED", "the disk is full");
        };
        this.#repairs.push(() => subscriptions.update = update);
      } else if (what === "pending") {
        const { addPending } = subscriptions;
        subscriptions.addPending = () => false;
        this.#repairs.push(() => subscriptions.addPending = addPending);
      } else if (what === "lookup") {
        const { lookup } = messages;
        messages.lookup = () => LOOKUP_FAILED;
        this.#repairs.push(() => messages.lookup = lookup);
      } else {
        throw new Error(`what is "store ${how} ${what}"?`);
      }
    }
  }

  /** Everything that left since the last time, in order; neighbours to one subscription on one line. */
  #collect(b: StreamingBench): string[] {
    interface Line {
      readonly atMs: number;
      readonly who: string;
      text: string;
    }
    const lines: Line[] = [];
    const events: { atMs: number; order: number; line: Line }[] = [];
    for (const { subject, serial, atMs } of b.requests.slice(this.#requestsSeen)) {
      const text = `asks ${subject.replace("_INBOX.hb.", "")} whether it lives`;
      events.push({ atMs, order: serial, line: { atMs, who: "", text } });
    }
    this.#requestsSeen = b.requests.length;
    for (const { subject, payload, atMs } of b.sent.splice(0)) {
      const name = this.#inboxes.get(subject);
      const asked = this.#asked.get(subject);
      let line: Line | undefined;
      if (name !== undefined) {
        if (!decodeMsgProto(payload, 0, payload.length, this.#view)) throw new Error("a delivery that does not decode");
        const { sequence, redeliveryCount } = this.#view;
        const text = redeliveryCount > 0 ? `${sequence}r${redeliveryCount}` : String(sequence);
        line = { atMs, who: `${name} <-`, text };
      } else if (asked !== undefined) {
        const text = this.#answer(b, asked, payload);
        if (text !== "") line = { atMs, who: "", text };
      } else {
        line = { atMs, who: "", text: `${payload.length} bytes to ${subject}` };
      }
      if (line === undefined) continue;
      const last = lines.at(-1);
      if (last !== undefined && line.who !== "" && last.who === line.who && last.atMs === atMs) {
        last.text += ` ${line.text}`;
      } else lines.push(line);
    }
    // A question leaves at the end of the turn that raised it.
    for (const { atMs, line } of events) {
      let at = lines.length;
      while (at > 0 && lines[at - 1]!.atMs > atMs) at--;
      lines.splice(at, 0, line);
    }
    for (const text of b.log.splice(0)) lines.push({ atMs: b.nowMs, who: "", text: `log: ${text}` });
    return lines.map(({ atMs, who, text }) => `${(atMs / 1000).toFixed(3)} ${who === "" ? "" : who + " "}${text}`);
  }

  #answer(b: StreamingBench, { kind, what, subscriber }: Asked, payload: Uint8Array): string {
    const error = b.error(kind, payload);
    if (error !== "") return `${what}: ${error}`;
    if (subscriber !== undefined) {
      subscriber.ackInbox = decodeSubscriptionResponse(payload, 0, payload.length)!.ackInbox;
    }
    if (kind === "publish" && !this.#showsAcks) return "";
    return `${what}: ok`;
  }

  #show(b: StreamingBench, name: string): string[] {
    const channel = b.core.find(name);
    if (channel === undefined) return [`${name} does not exist`];
    const { firstSequence, lastSequence } = channel.messages;
    const lines = [`${name} holds ${firstSequence} to ${lastSequence}`];
    const one = (subscription: (typeof channel.subscriptions)[number]) => {
      const label = this.#inboxes.get(subscription.record.inbox) ?? "?";
      const pending = subscription.pending.sorted().sort((x, y) => x - y);
      const state = [
        `last sent ${subscription.lastSent}`,
        pending.length > 0 ? `pending ${pending.join(" ")}` : "nothing pending",
        ...(subscription.stalled ? ["stalled"] : []),
        ...(subscription.online ? [] : ["offline"]),
      ];
      lines.push(`${label}: ${state.join(", ")}`);
    };
    for (const subscription of channel.subscriptions) one(subscription);
    for (const subscription of channel.durables.values()) if (!subscription.online) one(subscription);
    for (const group of channel.groups.values()) {
      lines.push(`group ${group.name}${group.isDurable ? ", durable" : ""}: last sent ${group.lastSent}`);
      for (const member of group.members) one(member);
      if (group.shadow !== undefined) one(group.shadow);
    }
    return lines;
  }
}

/** Runs a script; returns it with what was recorded now in place of what stood there. */
export function replay(text: string): string {
  const run = new ScriptRun();
  const out: string[] = [];
  text.split("\n").forEach((line, index) => {
    if (line.startsWith("  ")) return;
    out.push(line);
    if (line.trim() === "" || line.startsWith("#")) return;
    try {
      for (const sent of run.run(line)) out.push(`  ${sent}`);
    } catch (error) {
      throw new Error(`line ${index + 1}, "${line}": ${String(error)}`, { cause: error });
    }
  });
  run.end();
  return out.join("\n");
}
