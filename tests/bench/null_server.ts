/**
 * The server that does next to nothing: it answers the generator's own frames with prebuilt ones, counts where a server
 * would parse, and stores a number where a server would store messages. What the generator reaches against it is the
 * generator's own ceiling. It understands this generator only and checks nothing.
 *
 *     bun tests/bench/null_server.ts PORT
 */

import {
  bytesField,
  bytesOf,
  findField,
  GUID_SIZE,
  joinBytes,
  longName,
  msgFrame,
  type NumberedFrame,
  NumberedWriter,
  payloadOf,
  readTextField,
  repeatFrame,
  textOf,
  varintField,
} from "./frames.ts";
import { listenRaw, Outbox, type RawListener, type RawSocket } from "./raw_socket.ts";

const INFO = bytesOf('INFO {"server_id":"NULL","version":"2.9.24","headers":true,"max_payload":1048576,"proto":1}\r\n');
const PONG = bytesOf("PONG\r\n");
const LF = 10;
const LETTER_P = 80;
const LETTER_U = 85;
const BLOCK_BYTES = 64 * 1024;
/** Any nine-byte time. */
const TIME_FIELD = joinBytes([Uint8Array.of(40), new Uint8Array(8).fill(200), Uint8Array.of(24)]);

/** A plain subscription: on an exact subject, or on all that differ in their last token. */
interface Interest {
  readonly connection: Connection;
  readonly sid: number;
  /** Deliveries of the last subject and size. */
  block: Uint8Array | undefined;
  frameBytes: number;
}

/** A streaming subscription. */
class Subscription {
  next: number;
  inFlight = 0;
  readonly writer: NumberedWriter;

  constructor(
    readonly channel: Channel,
    readonly queue: boolean,
    readonly maxInFlight: number,
    first: boolean,
    interest: Interest,
    inbox: string,
  ) {
    this.next = first ? 1 : channel.stored + 1;
    this.writer = new NumberedWriter(
      (varintBytes) => deliveryFrame(inbox, interest.sid, channel, varintBytes),
      (buffer, at, sizeBytes) => interest.connection.out.send(buffer, at, sizeBytes),
    );
  }

  deliver(): void {
    const channel = this.channel;
    while (this.inFlight < this.maxInFlight) {
      const sequence = this.queue ? channel.groupNext : this.next;
      if (sequence > channel.stored) break;
      if (this.queue) channel.groupNext++;
      else this.next++;
      this.inFlight++;
      this.writer.add(sequence);
    }
    this.writer.flush();
  }
}

/** The count of messages that a channel would hold. */
interface Channel {
  readonly name: string;
  readonly subscriptions: Subscription[];
  sizeBytes: number;
  stored: number;
  groupNext: number;
}

function deliveryFrame(inbox: string, sid: number, channel: Channel, varintBytes: number): NumberedFrame {
  const rest = joinBytes([bytesField(2, channel.name), bytesField(4, payloadOf(channel.sizeBytes)), TIME_FIELD]);
  const message = joinBytes([Uint8Array.of(8), new Uint8Array(varintBytes), rest]);
  const frame = msgFrame(inbox, sid, "", message);
  return { frame, varintAt: frame.length - 2 - rest.length - varintBytes };
}

/** What is remembered of the last kind of frame of a connection: the next ones are told by their header alone. */
interface Memo {
  readonly header: Uint8Array;
  /** Bytes of the header that may be others: nothing, or the token that a wildcard stands for. */
  readonly freeAt: number;
  readonly freeEnd: number;
  readonly frameBytes: number;
  handle(buffer: Uint8Array, at: number, count: number): void;
}

class State {
  readonly interests = new Map<string, Interest[]>();
  readonly channels = new Map<string, Channel>();
  ackInboxes = 0;

  /**
   * Who gets what is published to `subject`. A run subscribes to its subjects one by one, or to all of them with a wildcard:
   * what is subscribed to by its name needs no second look.
   */
  interestsOf(subject: string): { readonly list: readonly Interest[]; readonly isWildcard: boolean } {
    const exact = this.interests.get(subject);
    if (exact !== undefined) return { list: exact, isWildcard: false };
    const wildcard = this.interests.get(`${subject.slice(0, subject.lastIndexOf(".") + 1)}*`);
    return { list: wildcard ?? [], isWildcard: wildcard !== undefined };
  }

  channel(name: string): Channel {
    let channel = this.channels.get(name);
    if (channel === undefined) {
      channel = { name, subscriptions: [], sizeBytes: 0, stored: 0, groupNext: 1 };
      this.channels.set(name, channel);
    }
    return channel;
  }
}

class Connection {
  readonly out: Outbox;
  readonly #state: State;
  #carry: Uint8Array = new Uint8Array(0);
  #memo: Memo | undefined;
  #subscription: Subscription | undefined;
  #acksSeen = false;

  constructor(state: State, socket: RawSocket) {
    this.#state = state;
    this.out = new Outbox(socket);
    this.out.send(INFO);
  }

  data(chunk: Uint8Array): void {
    const buffer = this.#carry.length === 0 ? chunk : joinBytes([this.#carry, chunk]);
    let at = 0;
    while (at < buffer.length) {
      const taken = this.#one(buffer, at);
      if (taken === 0) break;
      at += taken;
    }
    this.#carry = at < buffer.length ? buffer.slice(at) : new Uint8Array(0);
    if (this.#acksSeen) {
      this.#acksSeen = false;
      this.#subscription?.deliver();
    }
  }

  #one(buffer: Uint8Array, from: number): number {
    const memo = this.#memo;
    if (memo !== undefined && beginsAs(memo, buffer, from)) {
      let count = Math.floor((buffer.length - from) / memo.frameBytes);
      // Frames of one kind come in runs; where the run ends is told by the second letter of PUB and PING.
      while (count > 1 && buffer[from + (count - 1) * memo.frameBytes + 1] !== LETTER_U) count--;
      if (count === 0) return 0;
      memo.handle(buffer, from, count);
      return count * memo.frameBytes;
    }
    const feedAt = buffer.indexOf(LF, from);
    if (feedAt < 0) return 0;
    const isPub = buffer[from] === LETTER_P && buffer[from + 1] === LETTER_U;
    if (isPub && this.#subscription !== undefined && buffer[from + 5] === 73) {
      let size = 0;
      let scale = 1;
      for (let at = feedAt - 2; buffer[at] !== 32; at--, scale *= 10) size += ((buffer[at] as number) - 48) * scale;
      const total = feedAt + 1 - from + size + 2;
      if (from + total > buffer.length) return 0;
      this.#subscription.inFlight--;
      this.#acksSeen = true;
      return total;
    }
    const words = textOf(buffer, from, feedAt - 1).split(" ");
    const lineBytes = feedAt + 1 - from;
    if (words[0] === "PING") this.out.send(PONG);
    else if (words[0] === "SUB") this.#subscribe(words[1] as string, Number(words[2]));
    else if (words[0] === "PUB") {
      const size = Number(words[words.length - 1]);
      const total = lineBytes + size + 2;
      if (from + total > buffer.length) return 0;
      this.#publish(words[1] as string, words.length === 4 ? words[2] as string : "", buffer, from, lineBytes, size);
      return total;
    }
    return lineBytes;
  }

  #subscribe(subject: string, sid: number): void {
    const list = this.#state.interests.get(subject) ?? [];
    list.push({ connection: this, sid, block: undefined, frameBytes: 0 });
    this.#state.interests.set(subject, list);
  }

  #publish(subject: string, reply: string, buffer: Uint8Array, from: number, lineBytes: number, size: number): void {
    const payloadAt = from + lineBytes;
    if (subject.startsWith("_STAN.discover.")) {
      this.#send(
        reply,
        joinBytes([
          bytesField(1, "_STAN.pub.null"),
          bytesField(2, "_STAN.sub.null"),
          bytesField(4, "_STAN.close.null"),
        ]),
      );
    } else if (subject === "_STAN.sub.null") this.#streamingSubscribe(reply, buffer, payloadAt, payloadAt + size);
    else if (subject === "_STAN.close.null") return;
    else {
      const memo = subject.startsWith("_STAN.pub.null.")
        ? this.#stored(reply, buffer, from, lineBytes, size)
        : this.#forwarded(subject, reply, buffer, from, lineBytes, size);
      this.#memo = memo;
      memo.handle(buffer, from, 1);
    }
  }

  #send(subject: string, payload: Uint8Array): void {
    for (const interest of this.#state.interests.get(subject) ?? []) {
      interest.connection.out.send(msgFrame(subject, interest.sid, "", payload));
    }
  }

  #forwarded(
    subject: string,
    reply: string,
    buffer: Uint8Array,
    from: number,
    lineBytes: number,
    size: number,
  ): Memo {
    // Behind a wildcard the frames of all subjects are one kind, and are answered with the subject of the first: the generator
    // counts frames of one size and never looks into them, and a block for each subject would be paid for by its ceiling.
    const { list: interests, isWildcard } = this.#state.interestsOf(subject);
    const subjectEnd = "PUB ".length + subject.length;
    for (const interest of interests) {
      const frame = msgFrame(subject, interest.sid, reply, payloadOf(size));
      interest.block = repeatFrame(frame, BLOCK_BYTES);
      interest.frameBytes = frame.length;
    }
    return {
      header: buffer.slice(from, from + lineBytes),
      freeAt: isWildcard ? "PUB ".length + subject.lastIndexOf(".") + 1 : subjectEnd,
      freeEnd: subjectEnd,
      frameBytes: lineBytes + size + 2,
      handle(_buffer, _at, count) {
        for (const interest of interests) {
          const block = interest.block as Uint8Array;
          for (let left = count * interest.frameBytes; left > 0; left -= block.length) {
            interest.connection.out.send(block, 0, Math.min(left, block.length));
          }
        }
      },
    };
  }

  #stored(reply: string, buffer: Uint8Array, from: number, lineBytes: number, size: number): Memo {
    const payloadAt = from + lineBytes;
    const end = payloadAt + size;
    const guidAt = (findField(buffer, payloadAt, end, 2)?.at ?? 0) - from;
    const channel = this.#state.channel(readTextField(buffer, payloadAt, end, 3));
    channel.sizeBytes = findField(buffer, payloadAt, end, 5)?.sizeBytes ?? 0;
    const [interest] = this.#state.interests.get(reply) ?? [];
    const ack = msgFrame(reply, interest?.sid ?? 0, "", bytesField(1, longName("")));
    const acks = repeatFrame(ack, BLOCK_BYTES);
    const acksMax = acks.length / ack.length;
    const ackGuidAt = ack.length - 2 - GUID_SIZE;
    const frameBytes = lineBytes + size + 2;
    const out = this.out;
    return {
      header: buffer.slice(from, from + lineBytes),
      freeAt: lineBytes,
      freeEnd: lineBytes,
      frameBytes,
      handle(source, at, count) {
        channel.stored += count;
        for (const subscription of channel.subscriptions) subscription.deliver();
        for (let done = 0; done < count;) {
          const batch = Math.min(acksMax, count - done);
          for (let index = 0; index < batch; index++) {
            const guid = at + (done + index) * frameBytes + guidAt;
            const target = index * ack.length + ackGuidAt;
            // Only the last digits of our guids differ.
            for (let digit = GUID_SIZE - 5; digit < GUID_SIZE; digit++) {
              acks[target + digit] = source[guid + digit] as number;
            }
          }
          out.send(acks, 0, batch * ack.length);
          done += batch;
        }
      },
    };
  }

  #streamingSubscribe(reply: string, buffer: Uint8Array, from: number, to: number): void {
    const channel = this.#state.channel(readTextField(buffer, from, to, 2));
    const inbox = readTextField(buffer, from, to, 4);
    const [interest] = this.#state.interests.get(inbox) ?? [];
    const ackInbox = `_INBOX.${longName(`null${this.#state.ackInboxes++}`)}`;
    this.#send(reply, bytesField(2, ackInbox));
    if (interest === undefined) return;
    const queue = findField(buffer, from, to, 3) !== undefined;
    // START_FIRST is the only start a case asks for besides the default, and it is the last field.
    const first = textOf(buffer, to - 2, to) === textOf(varintField(10, 4));
    this.#subscription = new Subscription(channel, queue, 1024, first, interest, inbox);
    channel.subscriptions.push(this.#subscription);
    this.#subscription.deliver();
  }
}

function beginsAs({ header, freeAt, freeEnd }: Memo, buffer: Uint8Array, at: number): boolean {
  if (at + header.length > buffer.length) return false;
  for (let index = header.length - 1; index >= freeEnd; index--) if (buffer[at + index] !== header[index]) return false;
  for (let index = freeAt - 1; index >= 0; index--) if (buffer[at + index] !== header[index]) return false;
  return true;
}

/** Starts a null server. */
export function startNullServer(port: number): Promise<RawListener> {
  const state = new State();
  return listenRaw("127.0.0.1", port, (socket) => {
    const connection = new Connection(state, socket);
    return {
      data: (chunk) => connection.data(chunk),
      drain: () => void connection.out.drain(),
      close() {},
    };
  });
}

if (import.meta.main) await startNullServer(Number(process.argv[2]));
