/**
 * Bytes of the load generator: prebuilt frames, templates patched in place, and scanners that look at as few bytes as
 * they can. Nothing here performs I/O. The codec of the product is left out on purpose: a measuring tool that shares it
 * would share its faults, and its speed would move with the thing measured.
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const CR = 13;
const LF = 10;
const SPACE = 32;
const LETTER_M = 77;
/** Fill byte of payloads. No frame begins with it, so a scanner that lost its place never takes payload for a frame. */
const FILL = 120;

/** The bytes of `text`. */
export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The text of a piece of a buffer. */
export function textOf(buffer: Uint8Array, from = 0, to = buffer.length): string {
  return decoder.decode(buffer.subarray(from, to));
}

/** All parts behind one another in one fresh buffer. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  let sizeBytes = 0;
  for (const part of parts) sizeBytes += part.length;
  const joined = new Uint8Array(sizeBytes);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** A payload of `sizeBytes` that cannot be mistaken for a frame. */
export function payloadOf(sizeBytes: number): Uint8Array {
  return new Uint8Array(sizeBytes).fill(FILL);
}

// Protobuf: just the few shapes the streaming protocol needs.

/** Bytes the varint of `value` takes, for values up to 2^49. */
export function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Writes the varint of `value` at `at` and returns the offset behind it. */
export function writeVarint(buffer: Uint8Array, at: number, value: number): number {
  let rest = value;
  while (rest >= 128) {
    buffer[at++] = (rest % 128) | 128;
    rest = Math.floor(rest / 128);
  }
  buffer[at++] = rest;
  return at;
}

/** One varint field: key and value. */
export function varintField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(varintSize(field * 8) + varintSize(value));
  writeVarint(bytes, writeVarint(bytes, 0, field * 8), value);
  return bytes;
}

/** One length-delimited field: key, length, content. */
export function bytesField(field: number, content: Uint8Array | string): Uint8Array {
  const value = typeof content === "string" ? bytesOf(content) : content;
  const key = field * 8 + 2;
  const bytes = new Uint8Array(varintSize(key) + varintSize(value.length) + value.length);
  bytes.set(value, writeVarint(bytes, writeVarint(bytes, 0, key), value.length));
  return bytes;
}

/** Length-delimited field `wanted` as text, "" when absent. Throws on bytes that are not protobuf. */
export function readTextField(buffer: Uint8Array, from: number, to: number, wanted: number): string {
  const field = findField(buffer, from, to, wanted);
  return field === undefined ? "" : textOf(buffer, field.at, field.at + field.sizeBytes);
}

/** Where the content of the last length-delimited field `wanted` is. Throws on bytes that are not protobuf. */
export function findField(
  buffer: Uint8Array,
  from: number,
  to: number,
  wanted: number,
): { readonly at: number; readonly sizeBytes: number } | undefined {
  let at = from;
  let found: { at: number; sizeBytes: number } | undefined;
  const varint = (): number => {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = buffer[at++];
      if (byte === undefined || at > to) throw new Error("response ends inside a varint");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
  };
  while (at < to) {
    const key = varint();
    const wire = key & 7;
    if (wire === 0) varint();
    else if (wire === 2) {
      const size = varint();
      if (at + size > to) throw new Error("response announces more bytes than it has");
      if (Math.floor(key / 8) === wanted) found = { at, sizeBytes: size };
      at += size;
    } else throw new Error(`response has wire type ${wire}`);
  }
  return found;
}

/** `PUB subject [reply] size` with its payload. */
export function pubFrame(subject: string, reply: string, payload: Uint8Array): Uint8Array {
  const header = reply === ""
    ? `PUB ${subject} ${payload.length}\r\n`
    : `PUB ${subject} ${reply} ${payload.length}\r\n`;
  return joinBytes([bytesOf(header), payload, bytesOf("\r\n")]);
}

/** `MSG subject sid size` with its payload, as a server sends it. */
export function msgFrame(subject: string, sid: number, reply: string, payload: Uint8Array): Uint8Array {
  const middle = reply === "" ? `${sid}` : `${sid} ${reply}`;
  return joinBytes([bytesOf(`MSG ${subject} ${middle} ${payload.length}\r\n`), payload, bytesOf("\r\n")]);
}

/** As many whole copies of `frame` as fit in `targetBytes`, at least one: the unit one write hands to the kernel. */
export function repeatFrame(frame: Uint8Array, targetBytes: number): Uint8Array {
  const count = Math.max(1, Math.floor(targetBytes / frame.length));
  const block = new Uint8Array(count * frame.length);
  for (let index = 0; index < count; index++) block.set(frame, index * frame.length);
  return block;
}

// Guids: 22 characters as the client libraries make them, the last five carry the message number.

/** Characters of a guid. */
export const GUID_SIZE = 22;
const GUID_DIGITS = 5;
const GUID_NUMBERS = 64 ** GUID_DIGITS;
const DIGITS = bytesOf("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_");
const DIGIT_VALUES = new Int8Array(256).fill(-1);
for (let value = 0; value < 64; value++) DIGIT_VALUES[DIGITS[value] as number] = value;

/** Writes the number into the last digits of the guid that begins at `at`. */
export function stampGuid(buffer: Uint8Array, at: number, number: number): void {
  const last = at + GUID_SIZE - 1;
  buffer[last] = DIGITS[number & 63] as number;
  buffer[last - 1] = DIGITS[(number >>> 6) & 63] as number;
  buffer[last - 2] = DIGITS[(number >>> 12) & 63] as number;
  buffer[last - 3] = DIGITS[(number >>> 18) & 63] as number;
  buffer[last - 4] = DIGITS[(number >>> 24) & 63] as number;
}

/** The number in the guid that begins at `at`; negative when a digit is none of ours. */
export function guidNumber(buffer: Uint8Array, at: number): number {
  const last = at + GUID_SIZE - 1;
  const a = DIGIT_VALUES[buffer[last - 4] as number] as number;
  const b = DIGIT_VALUES[buffer[last - 3] as number] as number;
  const c = DIGIT_VALUES[buffer[last - 2] as number] as number;
  const d = DIGIT_VALUES[buffer[last - 1] as number] as number;
  const e = DIGIT_VALUES[buffer[last] as number] as number;
  if ((a | b | c | d | e) < 0) return -1;
  return (a << 24) | (b << 18) | (c << 12) | (d << 6) | e;
}

/** A name of exactly 22 characters, the length of the ids that client libraries draw. */
export function longName(seed: string): string {
  return seed.padEnd(GUID_SIZE, "0").slice(0, GUID_SIZE);
}

/** Names that one publisher writes into each of its frames. */
export interface PublishNames {
  readonly pubPrefix: string;
  readonly channel: string;
  readonly clientId: string;
  readonly connId: string;
  readonly ackSubject: string;
}

/**
 * The PUB frames of one publisher: one slot per message in flight, built once. With several channels, whose names have the
 * same length, the slots go round them. A slot is used again only after the ack
 * of the message before it in the same slot, so its bytes have left by then and five digits are all that changes.
 */
export class PublishRing {
  readonly bytes: Uint8Array;
  readonly frameBytes: number;
  readonly slots: number;
  readonly #guidAt: number;

  constructor(names: PublishNames, sizeBytes: number, slots: number, channels: readonly string[] = [names.channel]) {
    const head = joinBytes([bytesField(1, names.clientId)]);
    const payload = payloadOf(sizeBytes);
    const messageOf = (channel: string) =>
      joinBytes([
        head,
        bytesField(2, longName("")),
        bytesField(3, channel),
        bytesField(5, payload),
        bytesField(6, names.connId),
      ]);
    const frames = channels.map((channel) =>
      pubFrame(`${names.pubPrefix}.${channel}`, names.ackSubject, messageOf(channel))
    );
    const [first] = frames;
    if (first === undefined || frames.some((frame) => frame.length !== first.length)) {
      throw new RangeError("the names of the channels differ in length");
    }
    this.#guidAt = first.length - 2 - messageOf(channels[0] as string).length + head.length + 2;
    this.frameBytes = first.length;
    // Whole rounds: the slot of a message is the slot of its channel, too.
    this.slots = Math.ceil(slots / frames.length) * frames.length;
    this.bytes = new Uint8Array(first.length * this.slots);
    for (let slot = 0; slot < this.slots; slot++) {
      this.bytes.set(frames[slot % frames.length] as Uint8Array, slot * first.length);
    }
  }

  /** Prepares the slot of message `number`. */
  stamp(number: number): void {
    if (number >= GUID_NUMBERS) throw new RangeError("more messages than a guid can number");
    stampGuid(this.bytes, (number % this.slots) * this.frameBytes + this.#guidAt, number);
  }
}

/**
 * Counts frames of one constant size in a byte stream without looking at each: only the byte where the last frame of a
 * chunk begins is compared. When that is not `M`, or the frame counted from does not begin with it, the chunk holds a
 * control line (PING, PONG, -ERR) and is walked frame by frame.
 */
export class ConstantFrameCounter {
  count = 0;
  readonly #frameBytes: number;
  readonly #onLine: (line: string) => void;
  /** Bytes that the frame begun in an earlier chunk still lacks. */
  #lackingBytes = 0;
  #line = "";

  /** `onLine` gets every control line without its CRLF. */
  constructor(frameBytes: number, onLine: (line: string) => void) {
    this.#frameBytes = frameBytes;
    this.#onLine = onLine;
  }

  /** Takes the next chunk of the stream. */
  feed(chunk: Uint8Array): void {
    let at = 0;
    const end = chunk.length;
    if (this.#lackingBytes > 0) {
      if (end < this.#lackingBytes) {
        this.#lackingBytes -= end;
        return;
      }
      at = this.#lackingBytes;
      this.#lackingBytes = 0;
      this.count++;
    }
    while (at < end) {
      if (this.#line !== "" || chunk[at] !== LETTER_M) {
        const feedAt = chunk.indexOf(LF, at);
        if (feedAt < 0) {
          this.#line += textOf(chunk, at, end);
          return;
        }
        const line = this.#line + textOf(chunk, at, feedAt);
        this.#line = "";
        at = feedAt + 1;
        this.#onLine(line.endsWith("\r") ? line.slice(0, -1) : line);
        continue;
      }
      const whole = Math.floor((end - at) / this.#frameBytes);
      const lastAt = at + whole * this.#frameBytes;
      if (lastAt < end ? chunk[lastAt] === LETTER_M : this.#startsFrame(chunk, lastAt - this.#frameBytes)) {
        this.count += whole;
        if (lastAt < end) this.#lackingBytes = this.#frameBytes - (end - lastAt);
        return;
      }
      if (end - at < this.#frameBytes) {
        this.#lackingBytes = this.#frameBytes - (end - at);
        return;
      }
      this.count++;
      at += this.#frameBytes;
    }
  }

  #startsFrame(chunk: Uint8Array, at: number): boolean {
    return at >= 0 && chunk[at] === LETTER_M;
  }
}

/**
 * Finds PubAcks: frames of one constant length whose guid carries a number. Anything else (an ack with an error text is
 * longer) is left to the caller.
 */
export class PubAckScanner {
  readonly #header: Uint8Array;
  readonly #frameBytes: number;
  readonly #onAck: (number: number) => void;

  /** `ackSubject` and `sid` are those of the publisher's subscription. */
  constructor(ackSubject: string, sid: number, onAck: (number: number) => void) {
    const frame = msgFrame(ackSubject, sid, "", bytesField(1, longName("")));
    this.#frameBytes = frame.length;
    this.#header = frame.subarray(0, frame.length - GUID_SIZE - 2);
    this.#onAck = onAck;
  }

  /** Consumes acks from `from` on; returns the offset of the first byte it did not take. */
  scan(buffer: Uint8Array, from: number, to: number): number {
    const header = this.#header;
    const size = header.length;
    // The last bytes of the header tell sid, payload size and protobuf key apart; the subject before is ours alone.
    const tailAt = size - 9;
    let at = from;
    while (at + this.#frameBytes <= to) {
      if (buffer[at] !== LETTER_M) return at;
      for (let index = tailAt; index < size; index++) {
        if (buffer[at + index] !== header[index]) return at;
      }
      const number = guidNumber(buffer, at + size);
      if (number < 0) return at;
      at += this.#frameBytes;
      this.#onAck(number);
    }
    return at;
  }
}

/**
 * Finds deliveries: `MSG inbox sid size` with a MsgProto that begins with its sequence. The size announces whether
 * anything but sequence, channel, payload and time is in it; such a frame (a redelivery has two more fields) is left to
 * the caller, as is every other kind of frame.
 */
export class DeliveryScanner {
  readonly #sidAt: number;
  readonly #sid: number;
  readonly #restBytes: number;
  readonly #onDelivery: (sequence: number) => void;

  /** `restBytes` is the size of a MsgProto without its sequence field, see {@link deliveryRestBytes}. */
  constructor(inbox: string, sid: number, restBytes: number, onDelivery: (sequence: number) => void) {
    if (sid > 9) throw new RangeError("the scanner knows sids of one digit");
    this.#sidAt = 4 + inbox.length + 1;
    this.#sid = 48 + sid;
    this.#restBytes = restBytes;
    this.#onDelivery = onDelivery;
  }

  /** Consumes deliveries from `from` on; returns the offset of the first byte it did not take. */
  scan(buffer: Uint8Array, from: number, to: number): number {
    let at = from;
    for (;;) {
      if (buffer[at] !== LETTER_M || buffer[at + this.#sidAt] !== this.#sid) return at;
      let cursor = at + this.#sidAt + 1;
      if (buffer[cursor] !== SPACE) return at;
      let size = 0;
      for (;;) {
        const digit = buffer[++cursor];
        if (digit === undefined) return at;
        if (digit === CR) break;
        // A reply subject stands here on heartbeats only; those carry another sid.
        if (digit < 48 || digit > 57) return at;
        size = size * 10 + digit - 48;
      }
      const payloadAt = cursor + 2;
      const next = payloadAt + size + 2;
      if (next > to || buffer[payloadAt] !== 8) return at;
      let sequence = 0;
      let scale = 1;
      let byte: number;
      cursor = payloadAt;
      do {
        byte = buffer[++cursor] as number;
        sequence += (byte & 127) * scale;
        scale *= 128;
      } while (byte >= 128);
      if (size !== cursor - payloadAt + 1 + this.#restBytes) return at;
      at = next;
      this.#onDelivery(sequence);
      if (at >= to) return at;
    }
  }
}

/** Size of a MsgProto on `channel` with `sizeBytes` of payload, less its sequence field; the time takes nine bytes. */
export function deliveryRestBytes(channel: string, sizeBytes: number): number {
  const payloadField = sizeBytes === 0 ? 0 : 1 + varintSize(sizeBytes) + sizeBytes;
  return 2 + channel.length + payloadField + 10;
}

/** Bytes a block of numbered frames holds: enough for one read's worth, small enough for the cache. */
const NUMBERED_BLOCK_BYTES = 64 * 1024;

/** A frame with room for a sequence of the asked length, and where that room is. */
export interface NumberedFrame {
  readonly frame: Uint8Array;
  readonly varintAt: number;
}

/** The ack of one subscription, without its sequence. */
export function ackFrame(ackInbox: string, channel: string, varintBytes: number): NumberedFrame {
  const message = joinBytes([bytesField(1, channel), Uint8Array.of(16), new Uint8Array(varintBytes)]);
  const frame = pubFrame(ackInbox, "", message);
  return { frame, varintAt: frame.length - 2 - varintBytes };
}

/**
 * Writes frames that differ in a sequence only: acks, or the deliveries of a null server. A block of them is laid out
 * once per length of the sequence's varint; each frame then costs the digits of its sequence, and many leave in one write.
 */
export class NumberedWriter {
  readonly #build: (varintBytes: number) => NumberedFrame;
  readonly #write: (buffer: Uint8Array, at: number, sizeBytes: number) => void;
  /** Prefilled blocks and their frames, by varint length. */
  readonly #blocks: (Uint8Array | undefined)[] = [];
  readonly #frames: NumberedFrame[] = [];
  #block: Uint8Array = new Uint8Array(0);
  #frameBytes = 0;
  #varintAt = 0;
  #varintBytes = 0;
  #used = 0;

  /** `write` must take or copy the bytes: the block is used again at once. */
  constructor(
    build: (varintBytes: number) => NumberedFrame,
    write: (buffer: Uint8Array, at: number, sizeBytes: number) => void,
  ) {
    this.#build = build;
    this.#write = write;
  }

  /** Queues the frame of `sequence`; it leaves with {@link flush}, or when the block is full. */
  add(sequence: number): void {
    const size = sequence < 128 ? 1 : sequence < 16384 ? 2 : sequence < 2097152 ? 3 : varintSize(sequence);
    if (size !== this.#varintBytes) this.#select(size);
    else if (this.#used + this.#frameBytes > this.#block.length) this.flush();
    writeVarint(this.#block, this.#used + this.#varintAt, sequence);
    this.#used += this.#frameBytes;
  }

  /** Hands all queued frames to the socket. */
  flush(): void {
    if (this.#used === 0) return;
    const used = this.#used;
    this.#used = 0;
    this.#write(this.#block, 0, used);
  }

  #select(varintBytes: number): void {
    this.flush();
    let block = this.#blocks[varintBytes];
    if (block === undefined) {
      const numbered = this.#build(varintBytes);
      block = repeatFrame(numbered.frame, NUMBERED_BLOCK_BYTES);
      this.#blocks[varintBytes] = block;
      this.#frames[varintBytes] = numbered;
    }
    const { frame, varintAt } = this.#frames[varintBytes] as NumberedFrame;
    this.#block = block;
    this.#frameBytes = frame.length;
    this.#varintAt = varintAt;
    this.#varintBytes = varintBytes;
  }
}

/** Length of the control line that begins at `from`, LF included; 0 when its end is not there yet. */
export function lineSize(buffer: Uint8Array, from: number, to: number): number {
  const feedAt = buffer.indexOf(LF, from);
  return feedAt < 0 || feedAt >= to ? 0 : feedAt + 1 - from;
}
