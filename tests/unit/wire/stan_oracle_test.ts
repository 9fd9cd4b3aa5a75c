/**
 * The library as oracle of the hand-written codec: 20,000 seeded messages in both directions. The library works from the
 * .proto files, not from our descriptor.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { byteString } from "../../../src/base/bytes.ts";
import {
  AckView,
  decodeAck,
  decodeMsgProto,
  decodePubMsg,
  encodeMsgProto,
  encodePubAck,
  encodePubAckError,
  encodeRedeliveryTail,
  msgProtoSize,
  MsgProtoView,
  pubAckSize,
  PubMsgView,
  redeliveryTailSize,
} from "../../../src/wire/stan_hot.ts";
import { SeededRandom } from "../../conformance/store/random.ts";
import { ascii, longOf, parsedProto, randomText, randomU64, toHex } from "./stan_support.ts";

const COUNT = 5000;
const root = parsedProto();

function isDefault(value: unknown): boolean {
  return value === "" || value === 0 || value === false || (value instanceof Uint8Array && value.length === 0) ||
    (typeof value === "object" && value !== null && "low" in value && "high" in value &&
      value.low === 0 && value.high === 0);
}

/** Encodes by the library, with the default values left out as proto3 demands. */
function encodeByLibrary(name: string, fields: Record<string, unknown>): Uint8Array {
  const message = Object.fromEntries(Object.entries(fields).filter(([, value]) => !isDefault(value)));
  return new Uint8Array(root.lookupType(name).encode(message).finish());
}

test("23: PubMsg of the library is read by hand", () => {
  const random = new SeededRandom(1);
  const view = new PubMsgView();
  for (let i = 0; i < COUNT; i++) {
    const fields = {
      clientID: randomText(random),
      guid: randomText(random),
      subject: randomText(random),
      reply: randomText(random),
      data: random.bytes(random.below(300)),
      connID: random.bytes(random.below(30)),
      sha256: random.bytes(random.below(2) * 32),
    };
    const encoded = encodeByLibrary("pb.PubMsg", fields);
    const offset = random.below(20);
    const buffer = new Uint8Array(encoded.length + 40).fill(0xff);
    buffer.set(encoded, offset);
    assert.equal(decodePubMsg(buffer, offset, offset + encoded.length, view), true);
    assert.equal(byteString(buffer, view.clientIdStart, view.clientIdEnd), fields.clientID);
    assert.equal(byteString(buffer, view.guidStart, view.guidEnd), fields.guid);
    assert.equal(byteString(buffer, view.subjectStart, view.subjectEnd), fields.subject);
    assert.equal(byteString(buffer, view.replyStart, view.replyEnd), fields.reply);
    assert.deepEqual(buffer.slice(view.dataStart, view.dataEnd), fields.data);
    assert.deepEqual(buffer.slice(view.connectionIdStart, view.connectionIdEnd), fields.connID);
  }
});

test("23: Ack of the library is read by hand", () => {
  const random = new SeededRandom(2);
  const view = new AckView();
  for (let i = 0; i < COUNT; i++) {
    const subject = randomText(random);
    const sequence = randomU64(random);
    const encoded = encodeByLibrary("pb.Ack", { subject, sequence: longOf(sequence) });
    assert.equal(decodeAck(encoded, 0, encoded.length, view), true);
    assert.equal(byteString(encoded, view.subjectStart, view.subjectEnd), subject);
    assert.equal(view.sequence, sequence > BigInt(Number.MAX_SAFE_INTEGER) ? -1 : Number(sequence));
  }
});

test("23: MsgProto is written by hand as by the library, and read back by hand", () => {
  const random = new SeededRandom(3);
  const out = new Uint8Array(4096);
  const view = new MsgProtoView();
  for (let i = 0; i < COUNT; i++) {
    const subject = randomText(random);
    const reply = randomText(random);
    const data = random.bytes(random.below(300));
    const sequence = Number(randomU64(random) >> 11n);
    const stampNs = randomU64(random);
    const redelivered = random.below(2) === 1;
    const redeliveryCount = redelivered ? random.below(1 << random.below(31)) : 0;
    const stampHigh = Number(stampNs >> 32n);
    const stampLow = Number(stampNs & 0xffff_ffffn);
    const source = new Uint8Array([...ascii(reply), ...data]);
    const dataStart = reply.length;
    const stored = encodeMsgProto(
      out,
      7,
      sequence,
      ascii(subject),
      0,
      subject.length,
      source,
      0,
      reply.length,
      dataStart,
      source.length,
      stampHigh,
      stampLow,
    );
    assert.equal(
      stored - 7,
      msgProtoSize(sequence, subject.length, reply.length, data.length, stampHigh, stampLow),
    );
    const end = redelivered ? encodeRedeliveryTail(out, stored, redeliveryCount) : stored;
    if (redelivered) assert.equal(end - stored, redeliveryTailSize(redeliveryCount));
    const expected = encodeByLibrary("pb.MsgProto", {
      sequence: longOf(BigInt(sequence)),
      subject,
      reply,
      data,
      timestamp: longOf(stampNs),
      redelivered,
      redeliveryCount,
    });
    assert.equal(toHex(out, 7, end), toHex(expected));
    assert.equal(decodeMsgProto(out, 7, end, view), true);
    assert.deepEqual(
      [
        view.sequence,
        byteString(out, view.subjectStart, view.subjectEnd),
        byteString(out, view.replyStart, view.replyEnd),
        view.stampHigh,
        view.stampLow,
        view.redelivered,
        view.redeliveryCount,
      ],
      [sequence, subject, reply, stampHigh, stampLow, redelivered, redeliveryCount],
    );
    assert.equal(toHex(out, view.dataStart, view.dataEnd), toHex(data));
  }
});

test("23: PubAck is written by hand as by the library", () => {
  const random = new SeededRandom(4);
  const out = new Uint8Array(2048);
  for (let i = 0; i < COUNT; i++) {
    const guid = randomText(random);
    const error = random.below(2) === 0 ? "" : randomText(random);
    const source = ascii(`__${guid}__`);
    const end = error === ""
      ? encodePubAck(out, 3, source, 2, 2 + guid.length)
      : encodePubAckError(out, 3, source, 2, 2 + guid.length, ascii(error));
    assert.equal(toHex(out, 3, end), toHex(encodeByLibrary("pb.PubAck", { guid, error })));
    assert.equal(end - 3, pubAckSize(guid.length, error.length));
  }
});
