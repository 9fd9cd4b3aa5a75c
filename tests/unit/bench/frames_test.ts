import { test } from "node:test";
import assert from "node:assert/strict";
import {
  ackFrame,
  bytesField,
  bytesOf,
  ConstantFrameCounter,
  deliveryRestBytes,
  DeliveryScanner,
  guidNumber,
  joinBytes,
  longName,
  msgFrame,
  NumberedWriter,
  payloadOf,
  PubAckScanner,
  pubFrame,
  PublishRing,
  readTextField,
  repeatFrame,
  stampGuid,
  textOf,
  varintField,
  varintSize,
  writeVarint,
} from "../../bench/frames.ts";

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function delivery(inbox: string, sid: number, sequence: number, sizeBytes: number, more?: Uint8Array): Uint8Array {
  const time = new Uint8Array(9).fill(200);
  time[8] = 24;
  return msgFrame(
    inbox,
    sid,
    "",
    joinBytes([
      varintField(1, sequence),
      bytesField(2, "foo"),
      bytesField(4, payloadOf(sizeBytes)),
      joinBytes([Uint8Array.of(40), time]),
      more ?? new Uint8Array(0),
    ]),
  );
}

test("streaming-protocol 3.4: hand-made fields equal the golden vectors", () => {
  assert.equal(hex(joinBytes([bytesField(1, "foo"), varintField(2, 1)])), "0a03666f6f1001");
  assert.equal(
    hex(
      joinBytes([
        bytesField(1, "A"),
        bytesField(2, "G1"),
        bytesField(3, "foo"),
        bytesField(5, "hi"),
        bytesField(6, "CID"),
      ]),
    ),
    "0a0141" + "12024731" + "1a03666f6f" + "2a026869" + "3203434944",
  );
});

test("streaming-protocol 3.1: a varint has the length varintSize says, across every boundary", () => {
  for (const value of [0, 1, 127, 128, 16383, 16384, 2097151, 2097152, 2 ** 28, 2 ** 35 - 1, 2 ** 42]) {
    const buffer = new Uint8Array(10);
    const end = writeVarint(buffer, 0, value);
    assert.equal(end, varintSize(value));
    let read = 0;
    for (let at = end - 1; at >= 0; at--) read = read * 128 + ((buffer[at] as number) & 127);
    assert.equal(read, value);
  }
});

test("a text field is found behind varints and other fields, and broken bytes are refused", () => {
  const message = joinBytes([varintField(3, 300), bytesField(1, "one"), bytesField(5, "five"), varintField(100, 1)]);
  assert.equal(readTextField(message, 0, message.length, 5), "five");
  assert.equal(readTextField(message, 0, message.length, 2), "");
  assert.throws(() => readTextField(message, 0, message.length - 1, 5));
});

test("a guid carries its number", () => {
  const guid = bytesOf(longName("g"));
  assert.equal(guid.length, 22);
  for (const number of [0, 1, 63, 64, 4095, 4096, 262144, 16777216, 64 ** 5 - 1]) {
    stampGuid(guid, 0, number);
    assert.equal(guidNumber(guid, 0), number);
  }
  guid[21] = 32;
  assert.equal(guidNumber(guid, 0), -1);
});

test("streaming-protocol 11: the publish ring holds complete PUB frames and only the guid differs", () => {
  const names = { pubPrefix: "_STAN.pub.c", channel: "foo", clientId: "me", connId: "CID", ackSubject: "acks" };
  const ring = new PublishRing(names, 200, 3);
  for (let number = 0; number < 7; number++) ring.stamp(number);
  for (let slot = 0; slot < 3; slot++) {
    const frame = ring.bytes.subarray(slot * ring.frameBytes, (slot + 1) * ring.frameBytes);
    const end = frame.indexOf(10) + 1;
    const size = frame.length - 2 - end;
    assert.equal(textOf(frame, 0, end), `PUB _STAN.pub.c.foo acks ${size}\r\n`);
    assert.equal(readTextField(frame, end, end + size, 1), "me");
    assert.equal(readTextField(frame, end, end + size, 3), "foo");
    assert.equal(readTextField(frame, end, end + size, 5), "x".repeat(200));
    assert.equal(readTextField(frame, end, end + size, 6), "CID");
    const guid = bytesOf(readTextField(frame, end, end + size, 2));
    assert.equal(guidNumber(guid, 0), [6, 4, 5][slot]);
    assert.equal(textOf(frame, frame.length - 2), "\r\n");
  }
});

test("nats-server 3.1: frames of constant size are counted whatever the split, PING among them", () => {
  const frame = msgFrame("foo", 1, "", payloadOf(16));
  const ping = bytesOf("PING\r\n");
  const stream = joinBytes([bytesOf("INFO {}\r\n"), frame, frame, ping, frame, frame, frame, ping, ping, frame]);
  for (let first = 0; first <= stream.length; first++) {
    for (const step of [1, 7, stream.length]) {
      const lines: string[] = [];
      const counter = new ConstantFrameCounter(frame.length, (line) => lines.push(line));
      counter.feed(stream.subarray(0, first));
      for (let at = first; at < stream.length; at += step) counter.feed(stream.subarray(at, at + step));
      assert.equal(counter.count, 6, `split at ${first}, then every ${step}`);
      assert.deepEqual(lines, ["INFO {}", "PING", "PING", "PING"]);
    }
  }
});

test("nats-server 3.1: a PING in the middle of a large chunk moves no count", () => {
  const frame = msgFrame("foo", 1, "", payloadOf(128));
  const block = repeatFrame(frame, 20 * frame.length);
  const counter = new ConstantFrameCounter(frame.length, () => {});
  counter.feed(joinBytes([block, bytesOf("PING\r\n"), block]));
  assert.equal(counter.count, 40);
});

test("streaming-protocol 11.5: PubAcks are taken, an ack with an error is left", () => {
  const subject = `_STAN.acks.${longName("a")}`;
  const ack = (number: number, error?: string): Uint8Array => {
    const guid = bytesOf(longName(""));
    stampGuid(guid, 0, number);
    const message = error === undefined ? bytesField(1, guid) : joinBytes([bytesField(1, guid), bytesField(2, error)]);
    return msgFrame(subject, 2, "", message);
  };
  const seen: number[] = [];
  const scanner = new PubAckScanner(subject, 2, (number) => seen.push(number));
  const good = joinBytes([ack(0), ack(1), ack(70_000)]);
  const stream = joinBytes([good, ack(2, "stan: invalid publish request"), ack(3)]);
  assert.equal(scanner.scan(stream, 0, stream.length), good.length);
  assert.deepEqual(seen, [0, 1, 70_000]);
  assert.equal(scanner.scan(good, 0, good.length - 1), 2 * (good.length / 3));
});

test("streaming-protocol 4: deliveries give their sequences; cut, redelivered and foreign frames are left", () => {
  const inbox = `_INBOX.${longName("d")}`;
  const seen: number[] = [];
  const scanner = new DeliveryScanner(inbox, 3, deliveryRestBytes("foo", 128), (sequence) => seen.push(sequence));
  const sequences = [1, 127, 128, 16383, 16384, 2097152];
  const good = joinBytes(sequences.map((sequence) => delivery(inbox, 3, sequence, 128)));
  assert.equal(scanner.scan(good, 0, good.length), good.length);
  assert.deepEqual(seen, sequences);

  const one = delivery(inbox, 3, 5, 128);
  for (let end = 0; end < one.length; end++) assert.equal(scanner.scan(one.slice(0, end), 0, end), 0, `cut at ${end}`);
  const redelivered = delivery(inbox, 3, 5, 128, Uint8Array.of(0x30, 1, 0x38, 1));
  assert.equal(scanner.scan(redelivered, 0, redelivered.length), 0);
  const other = delivery(inbox, 2, 5, 128);
  assert.equal(scanner.scan(other, 0, other.length), 0);
  assert.deepEqual(seen, sequences);
});

test("streaming-protocol 16.1: queued acks are complete PUB frames with ascending sequences", () => {
  let written = new Uint8Array(0);
  const writer = new NumberedWriter(
    (varintBytes) => ackFrame("_INBOX.q", "foo", varintBytes),
    (buffer, at, sizeBytes) => written = joinBytes([written, buffer.subarray(at, at + sizeBytes)]) as typeof written,
  );
  const expected: Uint8Array[] = [];
  for (const sequence of [1, 2, 127, 128, 300, 127, 16384]) {
    writer.add(sequence);
    expected.push(pubFrame("_INBOX.q", "", joinBytes([bytesField(1, "foo"), varintField(2, sequence)])));
  }
  writer.flush();
  assert.equal(hex(written), hex(joinBytes(expected)));
});

test("more acks than a block holds leave in several writes, none lost", () => {
  let bytes = 0;
  const writer = new NumberedWriter((size) => ackFrame("_INBOX.q", "foo", size), (_buffer, _at, sizeBytes) => {
    bytes += sizeBytes;
  });
  for (let sequence = 200; sequence < 10_200; sequence++) writer.add(sequence);
  writer.flush();
  assert.equal(bytes, 10_000 * ackFrame("_INBOX.q", "foo", 2).frame.length);
});
