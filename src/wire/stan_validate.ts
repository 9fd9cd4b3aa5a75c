/**
 * Strictness in front of protobufjs (streaming-protocol.md 3.3). The library ignores wire types of known fields and
 * refuses some encodings that the reference accepts (overlong tags and lengths, groups with foreign end numbers). So a
 * message is first checked by the rules of the reference, and one in an unusual form is rewritten into the usual one: only
 * known fields, tags and lengths of minimal size. After that both sides agree about every byte.
 */
import { varintEnd, writeVarint } from "../base/varint.ts";
import { lengthEnd, skipField, tagField, WIRE_GROUP_END, WIRE_LENGTH, WIRE_VARINT } from "./stan_fields.ts";
import { type FieldRow, STAN_SCHEMA, type StanMessageName } from "./stan_schema.ts";

/** Values for `Verdict`. */
export const INVALID = 0;
/** Decodes, and protobufjs reads it as the reference does. */
export const USUAL = 1;
/** Decodes, but has to be rewritten for protobufjs. */
export const UNUSUAL = 2;
export type Verdict = typeof INVALID | typeof USUAL | typeof UNUSUAL;

/** Checks `buffer[start, end)` as message `name`. */
export function validate(name: StanMessageName, buffer: Uint8Array, start: number, end: number): Verdict {
  const rows = STAN_SCHEMA[name];
  let verdict: Verdict = USUAL;
  let position = start;
  while (position < end) {
    const tagEnd = varintEnd(buffer, position, end);
    if (tagEnd < 0) return INVALID;
    const wireType = buffer[position]! & 7;
    const field = tagField(buffer, position, tagEnd);
    if (wireType === WIRE_GROUP_END || field <= 0) return INVALID;
    const row = rowOf(rows, field);
    if (row === undefined) {
      position = skipField(buffer, tagEnd, end, wireType);
      if (position < 0) return INVALID;
      verdict = UNUSUAL;
      continue;
    }
    if (!isMinimal(buffer, position, tagEnd)) verdict = UNUSUAL;
    position = tagEnd;
    const packable = row[5] === "repeated" && row[2] === "uint64";
    if (wireType === WIRE_VARINT && isVarintKind(row)) {
      position = varintEnd(buffer, position, end);
      if (position < 0) return INVALID;
    } else if (wireType === WIRE_LENGTH && (packable || !isVarintKind(row))) {
      const valueEnd = lengthEnd(buffer, position, end);
      if (valueEnd < 0) return INVALID;
      const valueStart = varintEnd(buffer, position, end);
      if (!isMinimal(buffer, position, valueStart)) verdict = UNUSUAL;
      if (packable) {
        // The reference lets the last number run past the packed range; only servers write these, so this is refused.
        for (let i = valueStart; i < valueEnd;) {
          i = varintEnd(buffer, i, valueEnd);
          if (i < 0) return INVALID;
        }
      } else if (row[2] === "message") {
        const inner = validate(row[4] as StanMessageName, buffer, valueStart, valueEnd);
        if (inner === INVALID) return INVALID;
        if (inner === UNUSUAL) verdict = UNUSUAL;
      }
      position = valueEnd;
    } else {
      return INVALID;
    }
  }
  return verdict;
}

/** The usual form of a message that `validate` called UNUSUAL. Never longer than the original. */
export function rewrite(name: StanMessageName, buffer: Uint8Array, start: number, end: number): Uint8Array {
  const rows = STAN_SCHEMA[name];
  const out = new Uint8Array(end - start);
  let size = 0;
  let position = start;
  while (position < end) {
    const tagEnd = varintEnd(buffer, position, end);
    const wireType = buffer[position]! & 7;
    const field = tagField(buffer, position, tagEnd);
    const next = skipField(buffer, tagEnd, end, wireType);
    const row = rowOf(rows, field);
    if (row !== undefined) {
      size = writeVarint(out, size, field * 8 + wireType);
      let value = buffer.subarray(tagEnd, next);
      if (wireType === WIRE_LENGTH) {
        const valueStart = varintEnd(buffer, tagEnd, end);
        value = row[2] === "message"
          ? rewrite(row[4] as StanMessageName, buffer, valueStart, next)
          : buffer.subarray(valueStart, next);
        size = writeVarint(out, size, value.length);
      }
      out.set(value, size);
      size += value.length;
    }
    position = next;
  }
  return out.subarray(0, size);
}

/** The row of a field, if the message has it. */
export function rowOf(rows: readonly FieldRow[], field: number): FieldRow | undefined {
  for (const row of rows) if (row[0] === field) return row;
  return undefined;
}

function isVarintKind(row: FieldRow): boolean {
  switch (row[2]) {
    case "string":
    case "token":
    case "bytes":
    case "message":
      return false;
    default:
      return true;
  }
}

/** A varint of several bytes that ends in zero carries bits it does not need. */
function isMinimal(buffer: Uint8Array, start: number, end: number): boolean {
  return end - start === 1 || (end - start <= 5 && buffer[end - 1] !== 0);
}
