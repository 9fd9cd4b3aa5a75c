/**
 * Protobuf field framing with the strictness of the reference (streaming-protocol.md 3.3), shared by the hand-written
 * codec and by the validator that stands in front of protobufjs. "Does not decode" is a documented error path of the
 * protocol, so what is refused here is part of the behaviour.
 */
import { varintEnd, varintHigh, varintLow, varintNumber } from "../base/varint.ts";

/** Wire types that occur. 3 and 4 are the ends of a group; 6 and 7 do not exist. */
export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_LENGTH = 2;
export const WIRE_GROUP_START = 3;
export const WIRE_GROUP_END = 4;
export const WIRE_FIXED32 = 5;

/**
 * Field number of the tag `buffer[start, end)`. The reference shifts the 64-bit tag right by three and keeps 32 bits,
 * signed: a result below 1 is an illegal tag, and an overlong tag counts as its short form.
 */
export function tagField(buffer: Uint8Array, start: number, end: number): number {
  return (varintLow(buffer, start, end) >>> 3) | (varintHigh(buffer, start, end) << 29);
}

/**
 * Position behind the value of an unknown field whose tag ended at `position`; -1 when it does not decode. Groups must be
 * balanced; like the reference, the field numbers inside them are not looked at.
 */
export function skipField(buffer: Uint8Array, position: number, end: number, wireType: number): number {
  let depth = 0;
  for (;;) {
    switch (wireType) {
      case WIRE_VARINT:
        position = varintEnd(buffer, position, end);
        if (position < 0) return -1;
        break;
      case WIRE_FIXED64:
        position += 8;
        break;
      case WIRE_LENGTH: {
        position = lengthEnd(buffer, position, end);
        if (position < 0) return -1;
        break;
      }
      case WIRE_GROUP_START:
        depth++;
        break;
      case WIRE_GROUP_END:
        if (depth === 0) return -1;
        depth--;
        break;
      case WIRE_FIXED32:
        position += 4;
        break;
      default:
        return -1;
    }
    if (position > end) return -1;
    if (depth === 0) return position;
    const tagEnd = varintEnd(buffer, position, end);
    if (tagEnd < 0) return -1;
    wireType = buffer[position]! & 7;
    position = tagEnd;
  }
}

/** Position behind a length-prefixed value that begins with its length at `position`; -1 when it runs past `end`. */
export function lengthEnd(buffer: Uint8Array, position: number, end: number): number {
  const start = varintEnd(buffer, position, end);
  if (start < 0) return -1;
  // Lengths of 2^63 and more are negative in the reference: refused there too, and here because nothing is that long.
  const length = varintNumber(buffer, position, start);
  return length > end - start ? -1 : start + length;
}
