import { test } from "node:test";
import assert from "node:assert/strict";
import {
  AckView,
  decodeAck,
  decodeMsgProto,
  decodePubMsg,
  decodesAsCtrlMsg,
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
import { equalsRange } from "../../../src/base/bytes.ts";
import { stanErrorBytes } from "../../../src/wire/stan_errors.ts";
import { INVALID, validate } from "../../../src/wire/stan_validate.ts";
import { ascii, fromHex, toHex } from "./stan_support.ts";

const PUB_MSG = "0a0141 12024731 1a03666f6f 2a026869 3203434944";
/** 2026-01-01: 0x1886_9e50_9550_8000 or so; nine bytes as a varint. */
const STAMP_NS = 1_767_225_600_123_456_789n;
const STAMP_HIGH = Number(STAMP_NS >> 32n);
const STAMP_LOW = Number(STAMP_NS & 0xffff_ffffn);

function stampHex(): string {
  let value = STAMP_NS;
  let hex = "";
  while (value > 0x7fn) {
    hex += Number((value & 0x7fn) | 0x80n).toString(16).padStart(2, "0");
    value >>= 7n;
  }
  return hex + value.toString(16).padStart(2, "0");
}

function decodesPub(hex: string): { ok: boolean; view: PubMsgView; bytes: Uint8Array } {
  const bytes = fromHex(hex);
  const view = new PubMsgView();
  const ok = decodePubMsg(bytes, 0, bytes.length, view);
  assert.equal(validate("PubMsg", bytes, 0, bytes.length) !== INVALID, ok, `the validator agrees about ${hex}`);
  return { ok, view, bytes };
}

test("invariant 1 (3.4): PubMsg golden vector", () => {
  const { ok, view, bytes } = decodesPub(PUB_MSG);
  assert.equal(ok, true);
  const text = (start: number, end: number) => new TextDecoder().decode(bytes.subarray(start, end));
  assert.equal(text(view.clientIdStart, view.clientIdEnd), "A");
  assert.equal(text(view.guidStart, view.guidEnd), "G1");
  assert.equal(text(view.subjectStart, view.subjectEnd), "foo");
  assert.equal(text(view.dataStart, view.dataEnd), "hi");
  assert.equal(text(view.connectionIdStart, view.connectionIdEnd), "CID");
  assert.deepEqual([view.replyStart, view.replyEnd], [0, 0]);
});

test("a view forgets the message before", () => {
  const { view } = decodesPub(PUB_MSG);
  assert.equal(decodePubMsg(new Uint8Array(0), 0, 0, view), true);
  assert.deepEqual({ ...view }, { ...new PubMsgView() });
});

test("invariant 1 (3.4): PubAck golden vectors", () => {
  const out = new Uint8Array(64);
  const guid = ascii("xG1x");
  assert.equal(toHex(out, 0, encodePubAck(out, 0, guid, 1, 3)), "0a024731");
  assert.equal(pubAckSize(2, 0), 4);
  const error = stanErrorBytes("INVALID_PUBLISH_REQUEST");
  const end = encodePubAckError(out, 5, guid, 1, 2, error);
  assert.equal(toHex(out, 5, end), "0a0147121d7374616e3a20696e76616c6964207075626c6973682072657175657374");
  assert.equal(pubAckSize(1, error.length), end - 5);
});

test("11.1: a refusal without a guid has the error alone", () => {
  const out = new Uint8Array(64);
  const error = ascii("e");
  assert.equal(toHex(out, 0, encodePubAckError(out, 0, error, 0, 0, error)), "120165");
  assert.equal(pubAckSize(0, 1), 3);
});

test("invariant 1 (3.4): MsgProto golden vectors", () => {
  const out = new Uint8Array(128);
  const source = ascii("..rr.hi..");
  let end = encodeMsgProto(out, 3, 1, ascii("foo"), 0, 3, source, 0, 0, 5, 7, STAMP_HIGH, STAMP_LOW);
  assert.equal(toHex(out, 3, end), `08011203666f6f2202686928${stampHex()}`);
  assert.equal(stampHex().length, 18);
  assert.equal(msgProtoSize(1, 3, 0, 2, STAMP_HIGH, STAMP_LOW), end - 3);
  const redelivered = encodeRedeliveryTail(out, end, 1);
  assert.equal(toHex(out, end, redelivered), "30013801");
  assert.equal(redeliveryTailSize(1), 4);
  end = encodeMsgProto(out, 0, 2, ascii("wire"), 0, 4, source, 2, 4, 0, 0, STAMP_HIGH, STAMP_LOW);
  assert.equal(toHex(out, 0, end), `08021204776972651a02727228${stampHex()}`);
});

test("invariant 2, trap 2 (3.1): a delivery on channel foo with a sequence below 128 is payload + 19 bytes", () => {
  // 19 = sequence 2, subject 5, tag and length of the data 2, timestamp 10.
  for (const length of [1, 2, 40, 41, 127]) {
    assert.equal(msgProtoSize(127, 3, 0, length, STAMP_HIGH, STAMP_LOW), length + 19);
  }
});

test("invariant 3, trap 2 (3.1): fields of default value are left out", () => {
  const out = new Uint8Array(16);
  assert.equal(encodeMsgProto(out, 0, 0, new Uint8Array(0), 0, 0, out, 0, 0, 0, 0, 0, 0), 0);
  assert.equal(msgProtoSize(0, 0, 0, 0, 0, 0), 0);
  assert.equal(toHex(out, 0, encodeRedeliveryTail(out, 0, 0)), "3001");
  assert.equal(redeliveryTailSize(0), 2);
});

test("3.1, 3.4: however a client arranges its PubMsg, what is stored of it is the same", () => {
  const out = new Uint8Array(80_000).fill(0xaa);
  const expected = new Uint8Array(80_000).fill(0xaa);
  const view = new PubMsgView();
  // Tags and lengths as short as they can be, and longer ones.
  const field = (number: number, value: Uint8Array, tagSize: number, lengthSize: number): Uint8Array => {
    const bytes = new Uint8Array(tagSize + lengthSize + value.length);
    paddedVarint(bytes, 0, number * 8 + 2, tagSize);
    paddedVarint(bytes, tagSize, value.length, lengthSize);
    bytes.set(value, tagSize + lengthSize);
    return bytes;
  };
  const part = (length: number, from: number) => new Uint8Array(length).map((_, i) => from + i * 7);
  const other = field(1, part(5, 50), 1, 1);
  for (const nameLength of [1, 3, 126, 127, 128, 300]) {
    for (const dataLength of [0, 1, 2, 47, 127, 128, 16_383, 16_384, 65_536]) {
      const name = part(nameLength, 97);
      const data = part(dataLength, 200);
      const size = (length: number) => length < 128 ? 1 : length < 16_384 ? 2 : 3;
      for (const extra of [0, 1]) {
        const names = field(3, name, 1, size(nameLength));
        const datas = field(5, data, 1, size(dataLength));
        const reply = field(4, part(extra * 9, 10), 1, 1);
        const messages = [
          [names, datas],
          [names, reply, datas],
          [datas, names],
          [reply, names, other, datas],
          [names, field(5, part(4, 0), 1, 1), datas],
          [field(3, part(7, 0), 1, 1), names, datas, other],
          [names, field(5, data, 1 + extra, size(dataLength) + 1)],
          [field(3, name, 1 + extra, size(nameLength) + 1), datas],
          [names, field(9, part(2, 0), 1, 1), datas],
        ];
        for (const [i, parts] of messages.entries()) {
          const bytes = new Uint8Array(parts.flatMap((bytes) => [...bytes]));
          assert.equal(decodePubMsg(bytes, 0, bytes.length, view), true);
          const { replyStart, replyEnd, dataStart, dataEnd, subjectStart, subjectEnd } = view;
          assert.deepEqual(bytes.slice(subjectStart, subjectEnd), name);
          const [at, sequence] = [i + 1, i * 50];
          const ranges = [replyStart, replyEnd, dataStart, dataEnd, STAMP_HIGH, STAMP_LOW] as const;
          const end = encodeMsgProto(out, at, sequence, bytes, subjectStart, subjectEnd, bytes, ...ranges);
          assert.equal(end, encodeMsgProto(expected, at, sequence, name, 0, nameLength, bytes, ...ranges));
          assert.ok(equalsRange(expected.subarray(0, end + 9), out, 0, end + 9), `${nameLength} ${dataLength} ${i}`);
          out.fill(0xaa, 0, end);
          expected.fill(0xaa, 0, end);
        }
      }
    }
  }
});

/** Writes `value` in exactly `size` bytes: with more than it takes, zeros follow that no encoder would write. */
function paddedVarint(out: Uint8Array, at: number, value: number, size: number): void {
  for (let i = 0; i < size; i++, value >>>= 7) out[at + i] = (value & 0x7f) | (i < size - 1 ? 0x80 : 0);
}

test("sizes slide over every boundary of lengths and of the copy loop", () => {
  const source = new Uint8Array(70_000).map((_, i) => i * 7);
  const out = new Uint8Array(200_000);
  const view = new MsgProtoView();
  for (const length of [0, 1, 39, 40, 41, 127, 128, 129, 16_383, 16_384, 16_385, 65_536]) {
    for (const sequence of [1, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      out.fill(0xaa);
      const end = encodeMsgProto(
        out,
        1,
        sequence,
        source.subarray(0, length % 300),
        0,
        length % 300,
        source,
        3,
        3 + length,
        9,
        9 + length,
        5,
        0xffff_fff0,
      );
      assert.equal(end - 1, msgProtoSize(sequence, length % 300, length, length, 5, 0xffff_fff0));
      assert.equal(out[end], 0xaa);
      assert.equal(decodeMsgProto(out, 1, end, view), true);
      assert.equal(view.sequence, sequence);
      assert.deepEqual(out.slice(view.replyStart, view.replyEnd), source.slice(3, 3 + length));
      assert.deepEqual(out.slice(view.dataStart, view.dataEnd), source.slice(9, 9 + length));
      assert.deepEqual([view.stampHigh, view.stampLow], [5, 0xffff_fff0]);
    }
  }
});

test("invariant 1 (3.4): Ack golden vector", () => {
  const bytes = fromHex("0a03666f6f 1001");
  const view = new AckView();
  assert.equal(decodeAck(bytes, 0, bytes.length, view), true);
  assert.deepEqual({ ...view }, { subjectStart: 2, subjectEnd: 5, sequence: 1 });
});

test("an acked sequence above 2^53 - 1 decodes and cannot exist", () => {
  const view = new AckView();
  for (
    const [hex, sequence] of [
      ["10ffffffffffffff0f", Number.MAX_SAFE_INTEGER],
      ["1080808080808080 10", -1],
      ["1081808080808080 10", -1],
      ["10ffffffffffffffffff01", -1],
    ] as const
  ) {
    const bytes = fromHex(hex);
    assert.equal(decodeAck(bytes, 0, bytes.length, view), true);
    assert.equal(view.sequence, sequence);
  }
});

test("a decoded MsgProto has its redelivery fields; the unused CRC32 is ignored", () => {
  const bytes = fromHex("0805 3001 388001 500c");
  const view = new MsgProtoView();
  assert.equal(decodeMsgProto(bytes, 0, bytes.length, view), true);
  assert.equal(view.sequence, 5);
  assert.equal(view.redelivered, true);
  assert.equal(view.redeliveryCount, 128);
});

/** Suffixes behind a good message: does it still decode? */
const STRICTNESS: readonly (readonly [rule: string, hex: string, decodes: boolean])[] = [
  ["a known field with wire type 0", "0800", false],
  ["a known field with wire type 1", "090000000000000000", false],
  ["a known field with wire type 3", "0b0c", false],
  ["a known field with wire type 5", "0d00000000", false],
  ["wire type 4 at top level", "0c", false],
  ["wire type 4 of an unknown field", "7c", false],
  ["wire type 6 of an unknown field", "7e00", false],
  ["wire type 7 of an unknown field", "7f00", false],
  ["wire type 6 of a known field", "0e00", false],
  ["field number 0", "0000", false],
  ["field number 0, length-prefixed", "020100", false],
  ["field number 0 in an overlong tag", "808000 00", false],
  ["a field number of 2^31, negative as int32", "8080808040 00", false],
  ["a field number of 2^32 + 2, which is 2", "928080808001 0161", true],
  ["a field number of 2^31 - 1", "f8ffffff3f 00", true],
  ["a length past the end", "120261", false],
  ["a length of 2^31", "128080808008", false],
  ["a length of 2^64 - 1", "12ffffffffffffffffff01", false],
  ["a length without its value", "12", false],
  ["a cut length", "1280", false],
  ["an overlong length of five bytes", "128180808000 61", true],
  ["an overlong length of ten bytes", "1281808080808080808000 61", true],
  ["a length of eleven bytes", "128180808080808080808000 61", false],
  ["an overlong tag of two bytes", "9200 0161", true],
  ["an overlong tag of ten bytes", "92808080808080808000 0161", true],
  ["a tag of eleven bytes", "9280808080808080808000 0161", false],
  ["a cut tag", "92", false],
  ["an unknown varint", "7801", true],
  ["an unknown varint of ten bytes", "78ffffffffffffffffff01", true],
  ["an unknown varint of ten bytes with dropped bits", "78ffffffffffffffffff7f", true],
  ["an unknown varint of eleven bytes", "78ffffffffffffffffffff01", false],
  ["a cut unknown varint", "78ff", false],
  ["an unknown fixed64", "790000000000000000", true],
  ["a cut unknown fixed64", "7900000000000000", false],
  ["an unknown fixed32", "7d00000000", true],
  ["a cut unknown fixed32", "7d000000", false],
  ["an unknown length-prefixed field", "7a0161", true],
  ["a cut unknown length-prefixed field", "7a0261", false],
  ["an empty group", "7b7c", true],
  ["a group that ends with a foreign number", "7b84 01", true],
  ["a group with every kind inside", "7b 0801 090000000000000000 120161 1d00000000 1b1c 7c", true],
  ["a group with field number 0 inside", "7b 0001 7c", true],
  ["a group with wire type 6 inside", "7b 0e 7c", false],
  ["a group without end", "7b", false],
  ["nested groups with one end", "7b7b7c", false],
  ["a group cut in a value", "7b0d0000", false],
  ["two ends for one group", "7b7c7c", false],
];

for (const [rule, hex, decodes] of STRICTNESS) {
  test(`3.3: ${rule} ${decodes ? "decodes" : "does not decode"}`, () => {
    const { ok, view, bytes } = decodesPub(`12024731 ${hex}`);
    assert.equal(ok, decodes);
    if (!decodes) assert.equal(toHex(bytes, view.guidStart, view.guidEnd), "4731", "the guid before it is kept (11.1)");
    // The same rules hold in every decoder: fields 1 and 2 of Ack, MsgProto and CtrlMsg have other types, so only what
    // concerns unknown fields and framing is shared.
    const suffix = fromHex(hex);
    if (suffix[0]! >= 0x78 || suffix[0]! < 8) {
      if (hex.startsWith("8") || hex.startsWith("9")) return;
      assert.equal(decodeAck(suffix, 0, suffix.length, new AckView()), decodes);
      assert.equal(decodeMsgProto(suffix, 0, suffix.length, new MsgProtoView()), decodes);
      assert.equal(decodesAsCtrlMsg(suffix, 0, suffix.length), decodes);
    }
  });
}

test("3.3: known fields of Ack and MsgProto have one wire type each", () => {
  const values: readonly (readonly [wireType: number, value: string])[] = [
    [0, "00"],
    [1, "0000000000000000"],
    [2, "00"],
    [3, ""],
    [4, ""],
    [5, "00000000"],
    [6, ""],
    [7, ""],
  ];
  const check = (field: number, good: number, decode: (bytes: Uint8Array) => boolean) => {
    for (const [wireType, value] of values) {
      const bytes = fromHex((field * 8 + wireType).toString(16).padStart(2, "0") + value);
      assert.equal(decode(bytes), wireType === good, `field ${field}, wire type ${wireType}`);
    }
  };
  for (const [field, good] of [[1, 2], [2, 0]] as const) {
    check(field, good, (bytes) => decodeAck(bytes, 0, bytes.length, new AckView()));
    check(field, good, (bytes) => validate("Ack", bytes, 0, bytes.length) !== INVALID);
  }
  for (const [field, good] of [[1, 0], [2, 2], [3, 2], [4, 2], [5, 0], [6, 0], [7, 0], [10, 0]] as const) {
    check(field, good, (bytes) => decodeMsgProto(bytes, 0, bytes.length, new MsgProtoView()));
    check(field, good, (bytes) => validate("MsgProto", bytes, 0, bytes.length) !== INVALID);
  }
  for (const [field, good] of [[1, 0], [2, 2], [3, 2], [4, 2]] as const) {
    check(field, good, (bytes) => decodesAsCtrlMsg(bytes, 0, bytes.length));
    check(field, good, (bytes) => validate("CtrlMsg", bytes, 0, bytes.length) !== INVALID);
  }
});

test("3.3: the last value of a repeated scalar field wins, an empty one too", () => {
  const { ok, view, bytes } = decodesPub("12024731 1201 78 0a0141 0a00");
  assert.equal(ok, true);
  assert.equal(toHex(bytes, view.guidStart, view.guidEnd), "78");
  assert.equal(view.clientIdStart, view.clientIdEnd);
  const ack = new AckView();
  const twice = fromHex("1005 1007");
  assert.equal(decodeAck(twice, 0, twice.length, ack), true);
  assert.equal(ack.sequence, 7);
});

test("3.3: strings are not checked for UTF-8", () => {
  const { ok, view, bytes } = decodesPub("1a02ff80");
  assert.equal(ok, true);
  assert.equal(toHex(bytes, view.subjectStart, view.subjectEnd), "ff80");
});

test("trap 1 (3.3): the five bytes `dummy` decode as nothing", () => {
  const dummy = ascii("dummy");
  assert.equal(decodePubMsg(dummy, 0, 5, new PubMsgView()), false);
  assert.equal(decodesAsCtrlMsg(dummy, 0, 5), false);
  assert.equal(decodeAck(dummy, 0, 5, new AckView()), false);
});

test("11.1 row 1: guid `G` followed by a varint field 5 is a CtrlMsg and no PubMsg", () => {
  const bytes = fromHex("120147 2801");
  assert.equal(decodePubMsg(bytes, 0, bytes.length, new PubMsgView()), false);
  assert.equal(decodesAsCtrlMsg(bytes, 0, bytes.length), true);
});

test("11.1 row 2: guid `G` followed by a varint field 4 is neither", () => {
  const bytes = fromHex("120147 2001");
  const view = new PubMsgView();
  assert.equal(decodePubMsg(bytes, 0, bytes.length, view), false);
  assert.deepEqual([view.guidStart, view.guidEnd], [2, 3]);
  assert.equal(decodesAsCtrlMsg(bytes, 0, bytes.length), false);
});

test("decoding stays inside its range", () => {
  const bytes = fromHex(`ffff ${PUB_MSG} ffff`);
  const view = new PubMsgView();
  assert.equal(decodePubMsg(bytes, 2, bytes.length - 2, view), true);
  for (let end = 2; end < bytes.length - 2; end++) {
    const cut = bytes.slice(0, end);
    assert.equal(decodePubMsg(bytes, 2, end, view), decodePubMsg(cut, 2, end, new PubMsgView()));
  }
});
