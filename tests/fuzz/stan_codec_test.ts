/**
 * Mutated messages against the STAN codec. Each stands inside a larger buffer that is filled twice with different poison:
 * a decoder that looks outside its range answers differently. The validator and the hand-written decoders must agree about
 * every input, and protobufjs must read what the validator lets through as the hand-written decoders do.
 * `FUZZ_COUNT` inputs from `FUZZ_SEED`.
 */
import process from "node:process";
import { test } from "node:test";
import assert from "node:assert/strict";
import { byteString } from "../../src/base/bytes.ts";
import { decodeMessage, encodeMessage } from "../../src/wire/stan_codec.ts";
import {
  AckView,
  decodeAck,
  decodeMsgProto,
  decodePubMsg,
  decodesAsCtrlMsg,
  MsgProtoView,
  PubMsgView,
} from "../../src/wire/stan_hot.ts";
import { STAN_SCHEMA, type StanMessageName } from "../../src/wire/stan_schema.ts";
import { INVALID, validate } from "../../src/wire/stan_validate.ts";
import { SeededRandom } from "../conformance/store/random.ts";
import { randomText, toHex } from "../unit/wire/stan_support.ts";

const COUNT = Number(process.env.FUZZ_COUNT ?? "20000");
const SEED = Number(process.env.FUZZ_SEED ?? "1");
const NAMES = Object.keys(STAN_SCHEMA) as StanMessageName[];

/** A random value of a message, as our encoder takes it. */
function randomMessage(name: StanMessageName, random: SeededRandom, depth = 0): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  for (const [, , kind, property, inner, repeated] of STAN_SCHEMA[name]) {
    if (random.below(3) === 0) continue;
    const one = (): unknown => {
      switch (kind) {
        case "string":
        case "token":
          return randomText(random).slice(0, 20);
        case "bytes":
          return random.bytes(random.below(20));
        case "bool":
          return random.below(2) === 1;
        case "int32":
        case "enum":
          return random.below(3) === 0 ? -random.below(1000) : random.below(1000);
        case "uint32":
          return random.below(2 ** 32);
        case "uint64":
          return random.below(2 ** random.below(54));
        case "int64":
          return BigInt(random.below(2 ** 32)) * BigInt(random.below(2 ** 31));
        case "message":
          return randomMessage(inner as StanMessageName, random, depth + 1);
      }
    };
    value[property] = repeated === undefined ? one() : Array.from({ length: random.below(4) }, one);
  }
  return value;
}

/** Bytes that mean something in this format, so that mutations go deep. */
const TOKENS = [0x00, 0x01, 0x08, 0x0a, 0x0b, 0x0c, 0x10, 0x12, 0x1a, 0x22, 0x28, 0x7b, 0x7c, 0x7f, 0x80, 0xff];

function mutate(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const list = [...bytes];
  for (let i = random.below(4); i > 0; i--) {
    const at = random.below(list.length + 1);
    const token = random.below(2) === 0 ? TOKENS[random.below(TOKENS.length)]! : random.below(256);
    switch (random.below(6)) {
      case 0:
        list.splice(at, 1);
        break;
      case 1:
        list.splice(at, 0, token);
        break;
      case 2:
        if (at < list.length) list[at] = token;
        break;
      case 3:
        list.length = at;
        break;
      case 4:
        list.splice(at, 0, ...list.slice(at, at + random.below(12)));
        break;
      case 5: {
        // An overlong form of a tag or a length, or a group around nothing.
        const byte = list[at];
        if (byte !== undefined && byte < 0x80) {
          list.splice(at, 1, byte | 0x80, ...Array(random.below(10)).fill(0x80), 0);
        } else list.splice(at, 0, 0x7b, 0x7c);
        break;
      }
    }
  }
  return Uint8Array.from(list);
}

function placed(input: Uint8Array, poison: number): Uint8Array {
  const buffer = new Uint8Array(input.length + 48).fill(poison);
  buffer.set(input, 24);
  return buffer;
}

function relative(view: object): string {
  return JSON.stringify(view);
}

test("3.3: hand-written decoders, validator and library agree about mutated input, and stay inside it", () => {
  const random = new SeededRandom(SEED);
  const pub = new PubMsgView();
  const ack = new AckView();
  const message = new MsgProtoView();
  let accepted = 0;
  for (let i = 0; i < COUNT; i++) {
    const name = (["PubMsg", "Ack", "MsgProto", "CtrlMsg"] as const)[random.below(4)]!;
    const input = random.below(20) === 0
      ? random.bytes(random.below(30))
      : mutate(encodeMessage(name, randomMessage(name, random)), random);
    const end = 24 + input.length;
    const label = `input ${i} of seed ${SEED}: ${toHex(input)}`;
    let before = "";
    for (const poison of [0x00, 0x01, 0x80, 0xff]) {
      const buffer = placed(input, poison);
      const pubOk = decodePubMsg(buffer, 24, end, pub);
      const ackOk = decodeAck(buffer, 24, end, ack);
      const messageOk = decodeMsgProto(buffer, 24, end, message);
      const ctrlOk = decodesAsCtrlMsg(buffer, 24, end);
      const result = [pubOk, ackOk, messageOk, ctrlOk, relative(pub), relative(ack), relative(message)].join();
      if (before === "") before = result;
      assert.equal(result, before, label);
      assert.equal(validate("PubMsg", buffer, 24, end) !== INVALID, pubOk, label);
      assert.equal(validate("Ack", buffer, 24, end) !== INVALID, ackOk, label);
      assert.equal(validate("MsgProto", buffer, 24, end) !== INVALID, messageOk, label);
      assert.equal(validate("CtrlMsg", buffer, 24, end) !== INVALID, ctrlOk, label);
    }
    const buffer = placed(input, 0xff);
    decodePubMsg(buffer, 24, end, pub);
    const pubByLibrary = decodeMessage("PubMsg", buffer, 24, end);
    if (pubByLibrary !== undefined) {
      accepted++;
      assert.equal(byteString(buffer, pub.clientIdStart, pub.clientIdEnd), pubByLibrary.clientId, label);
      assert.equal(byteString(buffer, pub.guidStart, pub.guidEnd), pubByLibrary.guid, label);
      assert.equal(byteString(buffer, pub.subjectStart, pub.subjectEnd), pubByLibrary.channel, label);
      assert.equal(byteString(buffer, pub.replyStart, pub.replyEnd), pubByLibrary.reply, label);
      assert.equal(byteString(buffer, pub.connectionIdStart, pub.connectionIdEnd), pubByLibrary.connectionId, label);
      assert.deepEqual(buffer.slice(pub.dataStart, pub.dataEnd), pubByLibrary.data, label);
    }
    const ackByLibrary = decodeMessage("Ack", buffer, 24, end);
    if (ackByLibrary !== undefined) {
      assert.equal(byteString(buffer, ack.subjectStart, ack.subjectEnd), ackByLibrary.channel, label);
      const isExact = ack.sequence !== -1;
      assert.equal(isExact ? ack.sequence : Number.MAX_SAFE_INTEGER, ackByLibrary.sequence, label);
    }
    const messageByLibrary = decodeMessage("MsgProto", buffer, 24, end);
    if (messageByLibrary !== undefined) {
      const stamp = BigInt.asIntN(64, (BigInt(message.stampHigh) << 32n) | BigInt(message.stampLow));
      assert.equal(stamp, messageByLibrary.timestampNs, label);
      assert.equal(message.redelivered, messageByLibrary.redelivered, label);
      assert.equal(message.redeliveryCount, messageByLibrary.redeliveryCount, label);
      assert.deepEqual(buffer.slice(message.dataStart, message.dataEnd), messageByLibrary.data, label);
    }
  }
  if (COUNT >= 1000) assert.ok(accepted > COUNT / 20 && accepted < COUNT, "the mutations leave some messages whole");
});

test("3.3: no control or server message throws on mutated input, and what decodes encodes again", () => {
  const random = new SeededRandom(SEED + 1);
  for (let i = 0; i < COUNT / 4; i++) {
    const name = NAMES[random.below(NAMES.length)]!;
    const whole = encodeMessage(name, randomMessage(name, random));
    assert.notEqual(decodeMessage(name, whole, 0, whole.length), undefined);
    const input = mutate(whole, random);
    const end = 24 + input.length;
    const label = `input ${i} of seed ${SEED + 1}, ${name}: ${toHex(input)}`;
    const first = decodeMessage(name, placed(input, 0x00), 24, end);
    assert.deepEqual(decodeMessage(name, placed(input, 0xff), 24, end), first, label);
    if (first === undefined) continue;
    const again = encodeMessage(name, first);
    assert.deepEqual(decodeMessage(name, again, 0, again.length), first, label);
  }
});
