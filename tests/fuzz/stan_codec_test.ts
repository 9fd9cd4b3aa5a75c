/**
 * Mutated messages against the STAN codec. Each stands inside a larger buffer that is filled twice with different poison:
 * a decoder that looks outside its range answers differently. The validator and the hand-written decoders must agree about
 * every input, and protobufjs must read what the validator lets through as the hand-written decoders do.
 * The kept inputs first, then `FUZZ_COUNT` from `FUZZ_SEED`.
 */
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
import { randomText } from "../unit/wire/stan_support.ts";
import { COUNT, readCorpus, reportFind, SEED } from "./corpus.ts";

const KEPT = readCorpus("stan");
const NAMES = Object.keys(STAN_SCHEMA) as StanMessageName[];
const HOT_NAMES = ["PubMsg", "Ack", "MsgProto", "CtrlMsg"] as const;

function kept(random: SeededRandom): Uint8Array {
  return KEPT[random.below(KEPT.length)]!.bytes; // Below the length.
}

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

const pub = new PubMsgView();
const ack = new AckView();
const message = new MsgProtoView();

/** Holds all decoders of the hot messages against each other; true if the library could read it as a publish. */
function checkHot(input: Uint8Array): boolean {
  const end = 24 + input.length;
  let before = "";
  for (const poison of [0x00, 0x01, 0x80, 0xff]) {
    const buffer = placed(input, poison);
    const pubOk = decodePubMsg(buffer, 24, end, pub);
    const ackOk = decodeAck(buffer, 24, end, ack);
    const messageOk = decodeMsgProto(buffer, 24, end, message);
    const ctrlOk = decodesAsCtrlMsg(buffer, 24, end);
    const result = [pubOk, ackOk, messageOk, ctrlOk, relative(pub), relative(ack), relative(message)].join();
    if (before === "") before = result;
    assert.equal(result, before);
    assert.equal(validate("PubMsg", buffer, 24, end) !== INVALID, pubOk);
    assert.equal(validate("Ack", buffer, 24, end) !== INVALID, ackOk);
    assert.equal(validate("MsgProto", buffer, 24, end) !== INVALID, messageOk);
    assert.equal(validate("CtrlMsg", buffer, 24, end) !== INVALID, ctrlOk);
  }
  const buffer = placed(input, 0xff);
  decodePubMsg(buffer, 24, end, pub);
  // Nothing that a decoder names lies outside of the input, whatever its lengths say.
  for (const view of [pub, ack, message]) {
    for (const [field, value] of Object.entries(view)) {
      if (/(?:Start|End)$/.test(field)) assert.ok(value === 0 || (value >= 24 && value <= end), `${field} ${value}`);
    }
  }
  const pubByLibrary = decodeMessage("PubMsg", buffer, 24, end);
  if (pubByLibrary !== undefined) {
    assert.equal(byteString(buffer, pub.clientIdStart, pub.clientIdEnd), pubByLibrary.clientId);
    assert.equal(byteString(buffer, pub.guidStart, pub.guidEnd), pubByLibrary.guid);
    assert.equal(byteString(buffer, pub.subjectStart, pub.subjectEnd), pubByLibrary.channel);
    assert.equal(byteString(buffer, pub.replyStart, pub.replyEnd), pubByLibrary.reply);
    assert.equal(byteString(buffer, pub.connectionIdStart, pub.connectionIdEnd), pubByLibrary.connectionId);
    assert.deepEqual(buffer.slice(pub.dataStart, pub.dataEnd), pubByLibrary.data);
  }
  const ackByLibrary = decodeMessage("Ack", buffer, 24, end);
  if (ackByLibrary !== undefined) {
    assert.equal(byteString(buffer, ack.subjectStart, ack.subjectEnd), ackByLibrary.channel);
    const isExact = ack.sequence !== -1;
    assert.equal(isExact ? ack.sequence : Number.MAX_SAFE_INTEGER, ackByLibrary.sequence);
  }
  const messageByLibrary = decodeMessage("MsgProto", buffer, 24, end);
  if (messageByLibrary !== undefined) {
    const stamp = BigInt.asIntN(64, (BigInt(message.stampHigh) << 32n) | BigInt(message.stampLow));
    assert.equal(stamp, messageByLibrary.timestampNs);
    assert.equal(message.redelivered, messageByLibrary.redelivered);
    assert.equal(message.redeliveryCount, messageByLibrary.redeliveryCount);
    assert.deepEqual(buffer.slice(message.dataStart, message.dataEnd), messageByLibrary.data);
  }
  return pubByLibrary !== undefined;
}

/** Bytes and characters of a decoded message, at any depth. */
function contentSize(value: unknown): number {
  if (typeof value === "string" || value instanceof Uint8Array) return value.length;
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce((sum: number, inner) => sum + contentSize(inner), 0);
}

/** Any message decodes the same wherever it stands, takes no more than its bytes, and what decodes encodes again. */
function checkAny(name: StanMessageName, input: Uint8Array): boolean {
  const end = 24 + input.length;
  const first = decodeMessage(name, placed(input, 0x00), 24, end);
  assert.deepEqual(decodeMessage(name, placed(input, 0xff), 24, end), first);
  if (first === undefined) return false;
  assert.ok(contentSize(first) <= input.length, `${contentSize(first)} bytes of content from ${input.length}`);
  const again = encodeMessage(name, first);
  assert.deepEqual(decodeMessage(name, again, 0, again.length), first);
  return true;
}

function tryInput<T>(label: string, input: Uint8Array, check: (input: Uint8Array) => T): T {
  try {
    return check(input);
  } catch (error) {
    reportFind("stan", label, input, error);
  }
}

test("3.3: every kept input, whole and cut off at each place, as every message", () => {
  const read = new Set<StanMessageName>();
  for (const { name: label, bytes } of KEPT) {
    for (let end = 0; end <= bytes.length; end++) {
      const input = bytes.subarray(0, end);
      tryInput(label, input, checkHot);
      for (const name of NAMES) {
        if (tryInput(`${label} as ${name}`, input, (input) => checkAny(name, input)) && end > 0) read.add(name);
      }
    }
  }
  assert.equal(read.size, NAMES.length, "each message is read from some input");
});

test(`3.3: ${COUNT} mutated inputs: hand-written decoders, validator and library agree, and stay inside`, () => {
  const random = new SeededRandom(SEED);
  let accepted = 0;
  for (let run = 0; run < COUNT; run++) {
    const name = HOT_NAMES[random.below(HOT_NAMES.length)]!; // Below the length.
    const input = random.below(20) === 0
      ? random.bytes(random.below(30))
      : mutate(random.below(8) === 0 ? kept(random) : encodeMessage(name, randomMessage(name, random)), random);
    if (tryInput(`seed ${SEED} input ${run}`, input, checkHot)) accepted++;
  }
  if (COUNT >= 1000) assert.ok(accepted > COUNT / 20 && accepted < COUNT, "the mutations leave some messages whole");
});

test(`3.3: ${Math.floor(COUNT / 4)} mutated messages of any kind: none throws, and what decodes encodes again`, () => {
  const random = new SeededRandom(SEED + 1);
  for (let run = 0; run < Math.floor(COUNT / 4); run++) {
    const name = NAMES[random.below(NAMES.length)]!; // Below the length.
    const whole = encodeMessage(name, randomMessage(name, random));
    assert.ok(checkAny(name, whole));
    const input = mutate(random.below(8) === 0 ? kept(random) : whole, random);
    tryInput(`seed ${SEED} ${name} ${run}`, input, (input) => checkAny(name, input));
  }
});
