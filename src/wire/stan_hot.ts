/**
 * The messages that every publish and every delivery passes through, coded by hand: PubMsg, PubAck, MsgProto and Ack
 * (streaming-protocol.md 3 to 5). Decoders give ranges of the input, encoders write into a buffer of the caller; nothing
 * is allocated per message. All other messages go through protobufjs (stan_control.ts), which is also the oracle of this
 * file (tests/unit/wire/stan_oracle_test.ts).
 *
 * Measured gain, ns per operation by hand and (by protobufjs 8.8.1), Deno 2.9.6 | Bun 1.4.5, 128 B of data, two shared
 * cores (tests/bench/codec.ts, 2026-11):
 *   decode PubMsg    58 (620) |  57 (720)
 *   decode Ack       39 (280) |  33 (310)
 *   encode PubAck    52 (400) |  46 (810)
 *   encode MsgProto 220 (880) | 220 (2260)
 *   decode MsgProto 210 (470) | 150 (370); for recovery and tools, not for deliveries
 */
import { copyRange } from "../base/bytes.ts";
import {
  varintEnd,
  varintHigh,
  varintLow,
  varintNumber,
  varintSize,
  varintSize64,
  writeVarint,
  writeVarint64,
} from "../base/varint.ts";
import { lengthEnd, skipField, tagField, WIRE_GROUP_END, WIRE_LENGTH, WIRE_VARINT } from "./stan_fields.ts";

/** Ranges of a decoded PubMsg in the buffer it was decoded from. An absent field is 0, 0; an empty one has start = end. */
export class PubMsgView {
  clientIdStart = 0;
  clientIdEnd = 0;
  guidStart = 0;
  guidEnd = 0;
  subjectStart = 0;
  subjectEnd = 0;
  replyStart = 0;
  replyEnd = 0;
  dataStart = 0;
  dataEnd = 0;
  connectionIdStart = 0;
  connectionIdEnd = 0;
}

/** A decoded Ack. */
export class AckView {
  subjectStart = 0;
  subjectEnd = 0;
  /** -1 for a sequence above 2^53 - 1: it decodes, but no such message can exist. */
  sequence = 0;
}

/** A decoded MsgProto. Field 10 (CRC32) is checked for its wire type and otherwise ignored: nobody ever wrote it. */
export class MsgProtoView {
  /** -1 for a sequence above 2^53 - 1. */
  sequence = 0;
  subjectStart = 0;
  subjectEnd = 0;
  replyStart = 0;
  replyEnd = 0;
  dataStart = 0;
  dataEnd = 0;
  stampHigh = 0;
  stampLow = 0;
  redelivered = false;
  redeliveryCount = 0;
}

/**
 * Decodes `buffer[start, end)` as PubMsg. False: it does not decode; `into` then holds what stood before the broken field,
 * because the refusal still carries the guid if that was there (11.1 row 2).
 */
export function decodePubMsg(buffer: Uint8Array, start: number, end: number, into: PubMsgView): boolean {
  into.clientIdStart = into.clientIdEnd = 0;
  into.guidStart = into.guidEnd = 0;
  into.subjectStart = into.subjectEnd = 0;
  into.replyStart = into.replyEnd = 0;
  into.dataStart = into.dataEnd = 0;
  into.connectionIdStart = into.connectionIdEnd = 0;
  let position = start;
  while (position < end) {
    let field: number;
    const first = buffer[position]!;
    if (first < 0x80) {
      field = first >>> 3;
      position++;
    } else {
      const tagEnd = varintEnd(buffer, position, end);
      if (tagEnd < 0) return false;
      field = tagField(buffer, position, tagEnd);
      position = tagEnd;
    }
    const wireType = first & 7;
    if (wireType === WIRE_GROUP_END || field <= 0) return false;
    if (field > 6 && field !== 10) {
      position = skipField(buffer, position, end, wireType);
      if (position < 0) return false;
      continue;
    }
    if (wireType !== WIRE_LENGTH || position >= end) return false;
    const length = buffer[position]!;
    let valueStart = position + 1;
    let valueEnd = valueStart + length;
    if (length >= 0x80) {
      valueEnd = lengthEnd(buffer, position, end);
      if (valueEnd < 0) return false;
      valueStart = varintEnd(buffer, position, end);
    } else if (valueEnd > end) return false;
    switch (field) {
      case 1:
        into.clientIdStart = valueStart;
        into.clientIdEnd = valueEnd;
        break;
      case 2:
        into.guidStart = valueStart;
        into.guidEnd = valueEnd;
        break;
      case 3:
        into.subjectStart = valueStart;
        into.subjectEnd = valueEnd;
        break;
      case 4:
        into.replyStart = valueStart;
        into.replyEnd = valueEnd;
        break;
      case 5:
        into.dataStart = valueStart;
        into.dataEnd = valueEnd;
        break;
      case 6:
        into.connectionIdStart = valueStart;
        into.connectionIdEnd = valueEnd;
        break;
    }
    position = valueEnd;
  }
  return true;
}

/** Decodes `buffer[start, end)` as Ack. False: it does not decode, and `into` is worth nothing. */
export function decodeAck(buffer: Uint8Array, start: number, end: number, into: AckView): boolean {
  into.subjectStart = into.subjectEnd = 0;
  into.sequence = 0;
  let position = start;
  while (position < end) {
    let field: number;
    const first = buffer[position]!;
    if (first < 0x80) {
      field = first >>> 3;
      position++;
    } else {
      const tagEnd = varintEnd(buffer, position, end);
      if (tagEnd < 0) return false;
      field = tagField(buffer, position, tagEnd);
      position = tagEnd;
    }
    const wireType = first & 7;
    if (wireType === WIRE_GROUP_END || field <= 0) return false;
    if (field === 1) {
      if (wireType !== WIRE_LENGTH || position >= end) return false;
      const length = buffer[position]!;
      let valueStart = position + 1;
      let valueEnd = valueStart + length;
      if (length >= 0x80) {
        valueEnd = lengthEnd(buffer, position, end);
        if (valueEnd < 0) return false;
        valueStart = varintEnd(buffer, position, end);
      } else if (valueEnd > end) return false;
      into.subjectStart = valueStart;
      into.subjectEnd = valueEnd;
      position = valueEnd;
    } else if (field === 2) {
      if (wireType !== WIRE_VARINT) return false;
      // Up to four bytes (2^28 messages) in one pass; longer ones the slow way.
      const valueStart = position;
      const fastEnd = end - position > 4 ? position + 4 : end;
      let value = 0;
      let shift = 0;
      let isWhole = false;
      while (position < fastEnd && !isWhole) {
        const byte = buffer[position++]!;
        value |= (byte & 0x7f) << shift;
        shift += 7;
        isWhole = byte < 0x80;
      }
      if (!isWhole) {
        position = varintEnd(buffer, valueStart, end);
        if (position < 0) return false;
        value = safeSequence(buffer, valueStart, position);
      }
      into.sequence = value;
    } else {
      position = skipField(buffer, position, end, wireType);
      if (position < 0) return false;
    }
  }
  return true;
}

/** Decodes `buffer[start, end)` as MsgProto: any order of fields, all fields. False: it does not decode. */
export function decodeMsgProto(buffer: Uint8Array, start: number, end: number, into: MsgProtoView): boolean {
  into.sequence = 0;
  into.subjectStart = into.subjectEnd = 0;
  into.replyStart = into.replyEnd = 0;
  into.dataStart = into.dataEnd = 0;
  into.stampHigh = into.stampLow = 0;
  into.redelivered = false;
  into.redeliveryCount = 0;
  let position = start;
  while (position < end) {
    const tagEnd = varintEnd(buffer, position, end);
    if (tagEnd < 0) return false;
    const wireType = buffer[position]! & 7;
    const field = tagField(buffer, position, tagEnd);
    position = tagEnd;
    if (wireType === WIRE_GROUP_END || field <= 0) return false;
    if (field >= 2 && field <= 4) {
      if (wireType !== WIRE_LENGTH) return false;
      const valueEnd = lengthEnd(buffer, position, end);
      if (valueEnd < 0) return false;
      const valueStart = varintEnd(buffer, position, end);
      if (field === 2) {
        into.subjectStart = valueStart;
        into.subjectEnd = valueEnd;
      } else if (field === 3) {
        into.replyStart = valueStart;
        into.replyEnd = valueEnd;
      } else {
        into.dataStart = valueStart;
        into.dataEnd = valueEnd;
      }
      position = valueEnd;
    } else if (field <= 7 || field === 10) {
      if (wireType !== WIRE_VARINT) return false;
      const valueEnd = varintEnd(buffer, position, end);
      if (valueEnd < 0) return false;
      if (field === 1) {
        into.sequence = safeSequence(buffer, position, valueEnd);
      } else if (field === 5) {
        into.stampHigh = varintHigh(buffer, position, valueEnd);
        into.stampLow = varintLow(buffer, position, valueEnd);
      } else if (field === 6) {
        into.redelivered = varintLow(buffer, position, valueEnd) !== 0 || varintHigh(buffer, position, valueEnd) !== 0;
      } else if (field === 7) {
        into.redeliveryCount = varintLow(buffer, position, valueEnd);
      }
      position = valueEnd;
    } else {
      position = skipField(buffer, position, end, wireType);
      if (position < 0) return false;
    }
  }
  return true;
}

/**
 * True when `buffer[start, end)` decodes as CtrlMsg (field 1 a varint, 2 to 4 length-prefixed). A payload on a publish
 * subject that is no PubMsg but is a CtrlMsg gets no answer (11.1 row 1).
 */
export function decodesAsCtrlMsg(buffer: Uint8Array, start: number, end: number): boolean {
  let position = start;
  while (position < end) {
    const tagEnd = varintEnd(buffer, position, end);
    if (tagEnd < 0) return false;
    const wireType = buffer[position]! & 7;
    const field = tagField(buffer, position, tagEnd);
    if (wireType === WIRE_GROUP_END || field <= 0) return false;
    if (field === 1 && wireType !== WIRE_VARINT) return false;
    if (field >= 2 && field <= 4 && wireType !== WIRE_LENGTH) return false;
    position = skipField(buffer, tagEnd, end, wireType);
    if (position < 0) return false;
  }
  return true;
}

/** Size of an encoded PubAck; `errorLength` 0 means success. */
export function pubAckSize(guidLength: number, errorLength: number): number {
  return fieldSize(guidLength) + fieldSize(errorLength);
}

/** Writes a successful PubAck whose guid is `source[guidStart, guidEnd)`; returns the position behind it. */
export function encodePubAck(
  out: Uint8Array,
  position: number,
  source: Uint8Array,
  guidStart: number,
  guidEnd: number,
): number {
  return writeField(out, position, 0x0a, source, guidStart, guidEnd);
}

/** Writes a refusing PubAck; the guid may be absent (`guidStart = guidEnd`). Returns the position behind it. */
export function encodePubAckError(
  out: Uint8Array,
  position: number,
  source: Uint8Array,
  guidStart: number,
  guidEnd: number,
  error: Uint8Array,
): number {
  position = writeField(out, position, 0x0a, source, guidStart, guidEnd);
  return writeField(out, position, 0x12, error, 0, error.length);
}

/** Size of the MsgProto that `encodeMsgProto` writes. */
export function msgProtoSize(
  sequence: number,
  channelLength: number,
  replyLength: number,
  dataLength: number,
  stampHigh: number,
  stampLow: number,
): number {
  let size = fieldSize(channelLength) + fieldSize(replyLength) + fieldSize(dataLength);
  if (sequence !== 0) size += 1 + varintSize(sequence);
  if (stampHigh !== 0 || stampLow !== 0) size += 1 + varintSize64(stampHigh, stampLow);
  return size;
}

/**
 * Writes a MsgProto with fields 1 to 5, the stored form of a message; `reply` and `data` are ranges of `source`, the name of
 * the channel is `names[nameStart, nameEnd)`. Fields of default value are left out: the byte count of a delivery is part of
 * the protocol (3.1). Returns the position behind it.
 *
 * Where `names` is `source`, the PubMsg of a client, name and data mostly stand side by side with nothing between them, which
 * takes one copy, and no look at the channel's own name.
 */
export function encodeMsgProto(
  out: Uint8Array,
  position: number,
  sequence: number,
  names: Uint8Array,
  nameStart: number,
  nameEnd: number,
  source: Uint8Array,
  replyStart: number,
  replyEnd: number,
  dataStart: number,
  dataEnd: number,
  stampHigh: number,
  stampLow: number,
): number {
  position = writeSequence(out, position, sequence);
  const nameLength = nameEnd - nameStart;
  const dataLength = dataEnd - dataStart;
  // The lengths in front of both are as short as they can be; a tag and a length are all that fits between the two.
  if (
    names === source && replyEnd === replyStart && dataLength > 0 &&
    dataStart === nameEnd + 1 + varintSize(dataLength) && nameLength < 0x80 && source[nameStart - 1] === nameLength
  ) {
    out[position] = 0x12;
    const tagAt = position + 2 + nameLength;
    position = copyRange(out, position + 1, source, nameStart - 1, dataEnd);
    out[tagAt] = 0x22;
  } else {
    position = writeField(out, position, 0x12, names, nameStart, nameEnd);
    position = writeField(out, position, 0x1a, source, replyStart, replyEnd);
    position = writeField(out, position, 0x22, source, dataStart, dataEnd);
  }
  return writeStamp(out, position, stampHigh, stampLow);
}

function writeSequence(out: Uint8Array, position: number, sequence: number): number {
  if (sequence === 0) return position;
  out[position] = 0x08;
  return writeVarint(out, position + 1, sequence);
}

function writeStamp(out: Uint8Array, position: number, stampHigh: number, stampLow: number): number {
  if (stampHigh === 0 && stampLow === 0) return position;
  out[position] = 0x28;
  return writeVarint64(out, position + 1, stampHigh, stampLow);
}

/** Size of what `encodeRedeliveryTail` writes. */
export function redeliveryTailSize(redeliveryCount: number): number {
  return redeliveryCount === 0 ? 2 : 3 + varintSize(redeliveryCount);
}

/**
 * Writes fields 6 (true) and 7 behind a copied stored message, which makes it a redelivery: fields ascend, and a stored
 * message ends with field 5. A count of 0 (not known) leaves field 7 out. Returns the position behind it.
 */
export function encodeRedeliveryTail(out: Uint8Array, position: number, redeliveryCount: number): number {
  out[position] = 0x30;
  out[position + 1] = 1;
  if (redeliveryCount === 0) return position + 2;
  out[position + 2] = 0x38;
  return writeVarint(out, position + 3, redeliveryCount);
}

/** Size of a length-prefixed field with a tag of one byte; nothing when it is empty. */
function fieldSize(length: number): number {
  return length === 0 ? 0 : length < 0x80 ? 2 + length : 1 + varintSize(length) + length;
}

function writeField(
  out: Uint8Array,
  position: number,
  tag: number,
  source: Uint8Array,
  start: number,
  end: number,
): number {
  const length = end - start;
  if (length === 0) return position;
  out[position] = tag;
  if (length < 0x80) {
    out[position + 1] = length;
    position += 2;
  } else {
    position = writeVarint(out, position + 1, length);
  }
  return copyRange(out, position, source, start, end);
}

function safeSequence(buffer: Uint8Array, start: number, end: number): number {
  const value = varintNumber(buffer, start, end);
  return value > Number.MAX_SAFE_INTEGER ? -1 : value;
}
