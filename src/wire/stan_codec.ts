/**
 * The generic half of the STAN codec: validated bytes to values and back, driven by stan_schema.ts. Callers use the typed
 * functions of stan_control.ts (clients) and stan_server.ts (stores and other servers).
 *
 * Of protobufjs only the reader and the writer are used, not its reflection: that would load and generate code for 20 to
 * 40 ms before the first client is served (Deno 2.9.6 and Bun 1.4.5, 2026-11), where the whole server starts in 10.
 * The reflection is the oracle instead (tests/unit/wire/stan_control_oracle_test.ts).
 *
 * Two conversions happen here. Texts are byte strings, so string fields are read and written as bytes. And 64-bit numbers
 * go in and out as two halves: given a bigint the library would silently encode 0 (runtime.md 3), so none reaches it.
 */
import protobuf from "protobufjs/minimal.js";
import { assert } from "../base/assert.ts";
import { bytesOf, byteString } from "../base/bytes.ts";
import { WIRE_LENGTH, WIRE_VARINT } from "./stan_fields.ts";
import { type FieldKind, type FieldRow, STAN_SCHEMA, type StanMessageName } from "./stan_schema.ts";
import { INVALID, rewrite, rowOf, UNUSUAL, validate } from "./stan_validate.ts";

/** A message of any kind. */
type Loose = Record<string, unknown>;

/** Decodes `buffer[start, end)`; undefined when it does not decode. Absent fields have their default value. */
export function decodeMessage(
  name: StanMessageName,
  buffer: Uint8Array,
  start: number,
  end: number,
): Loose | undefined {
  const verdict = validate(name, buffer, start, end);
  if (verdict === INVALID) return undefined;
  const usual = verdict === UNUSUAL ? rewrite(name, buffer, start, end) : buffer.subarray(start, end);
  const value = defaults(name);
  read(name, protobuf.Reader.create(usual), usual.length, value);
  return value;
}

/** Encodes: fields ascending, those with default values left out (3.1). Absent properties count as default. */
export function encodeMessage(name: StanMessageName, value: object): Uint8Array {
  const writer = protobuf.Writer.create();
  write(name, writer, value as Loose);
  // A copy: the library gives a Buffer out of a shared pool, whose methods differ from those of a Uint8Array.
  return new Uint8Array(writer.finish());
}

function defaults(name: StanMessageName): Loose {
  const value: Loose = {};
  for (const row of STAN_SCHEMA[name]) value[row[3]] = row[5] === undefined ? defaultOf(row[2]) : [];
  return value;
}

function defaultOf(kind: FieldKind): unknown {
  switch (kind) {
    case "string":
    case "token":
      return "";
    case "bytes":
      return new Uint8Array(0);
    case "bool":
      return false;
    case "int64":
      return 0n;
    case "message":
      return undefined;
    default:
      return 0;
  }
}

/** Reads fields up to `end` into `value`. The bytes were validated: every field is known and whole. */
function read(name: StanMessageName, reader: protobuf.Reader, end: number, value: Loose): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    const row = rowOf(STAN_SCHEMA[name], tag >>> 3);
    assert(row !== undefined, "the validator lets known fields through only");
    const [, , kind, property, , repeated] = row;
    if (repeated === undefined) {
      // An embedded message that comes twice is merged, as in the reference.
      value[property] = readValue(row, reader, value[property]);
      continue;
    }
    const list = value[property] as unknown[];
    if (kind !== "message" && (tag & 7) === WIRE_LENGTH) {
      const packedEnd = reader.uint32() + reader.pos;
      while (reader.pos < packedEnd) list.push(readValue(row, reader, undefined));
    } else {
      list.push(readValue(row, reader, undefined));
    }
  }
}

function readValue([, , kind, , inner]: FieldRow, reader: protobuf.Reader, before: unknown): unknown {
  switch (kind) {
    case "string":
    case "token":
      return readText(reader);
    case "bytes":
      // A copy: the library gives a view of the input, which lives only as long as the call.
      return new Uint8Array(reader.bytes());
    case "int32":
    case "enum":
      return reader.int32();
    case "uint32":
      return reader.uint32();
    case "uint64":
      return safeNumber(halvesOf(reader.uint64()));
    case "int64":
      return bigintOf(halvesOf(reader.int64()));
    case "bool":
      return reader.bool();
    case "message": {
      const name = inner as StanMessageName;
      const value = before === undefined ? defaults(name) : before as Loose;
      const length = reader.uint32();
      read(name, reader, reader.pos + length, value);
      return value;
    }
  }
}

/** Without the view that the library would give first. */
function readText(reader: protobuf.Reader): string {
  const length = reader.uint32();
  const start = reader.pos;
  reader.skip(length);
  return byteString(reader.buf, start, reader.pos);
}

function write(name: StanMessageName, writer: protobuf.Writer, value: Loose): void {
  for (const row of STAN_SCHEMA[name]) {
    const [id, , kind, property, , repeated] = row;
    const field = value[property];
    if (field === undefined) continue;
    if (repeated === undefined) {
      if (isDefault(field)) continue;
      writer.uint32(tagOf(id, kind));
      writeValue(row, writer, field);
    } else if (kind === "message") {
      for (const item of field as readonly unknown[]) {
        writer.uint32(tagOf(id, kind));
        writeValue(row, writer, item);
      }
    } else if ((field as readonly unknown[]).length > 0) {
      writer.uint32(id * 8 + WIRE_LENGTH).fork();
      for (const item of field as readonly unknown[]) writeValue(row, writer, item);
      writer.ldelim();
    }
  }
}

function tagOf(id: number, kind: FieldKind): number {
  const isLength = kind === "string" || kind === "token" || kind === "bytes" || kind === "message";
  return id * 8 + (isLength ? WIRE_LENGTH : WIRE_VARINT);
}

function isDefault(field: unknown): boolean {
  return field === 0 || field === "" || field === false || field === 0n ||
    (field instanceof Uint8Array && field.length === 0);
}

function writeValue([, , kind, , inner]: FieldRow, writer: protobuf.Writer, field: unknown): void {
  switch (kind) {
    case "string":
    case "token":
      writer.bytes(bytesOf(field as string));
      return;
    case "bytes":
      writer.bytes(field as Uint8Array);
      return;
    case "int32":
    case "enum":
      assert(((field as number) | 0) === field, "an int32 field holds a 32-bit integer");
      writer.int32(field);
      return;
    case "uint32":
      assert((field as number) >>> 0 === field, "a uint32 field holds an unsigned 32-bit integer");
      writer.uint32(field);
      return;
    case "uint64": {
      const number = field as number;
      assert(Number.isSafeInteger(number) && number >= 0, "a uint64 field holds an unsigned safe integer");
      writer.uint64(halves(Math.floor(number / 0x1_0000_0000), number % 0x1_0000_0000));
      return;
    }
    case "int64":
      assert(typeof field === "bigint", "an int64 field holds a bigint");
      writer.int64(halves(Number(BigInt.asUintN(32, field >> 32n)), Number(BigInt.asUintN(32, field))));
      return;
    case "bool":
      writer.bool(field as boolean);
      return;
    case "message":
      writer.fork();
      write(inner as StanMessageName, writer, field as Loose);
      writer.ldelim();
      return;
  }
}

/** What the writer looks at in a Long. */
function halves(high: number, low: number): protobuf.Long {
  return { high: high | 0, low: low | 0, unsigned: true } as protobuf.Long;
}

/** The library gives numbers instead when its 64-bit support is missing, and they would lose nanoseconds. */
function halvesOf(value: number | protobuf.Long): protobuf.Long {
  assert(typeof value === "object", "protobufjs has its 64-bit support");
  return value;
}

/** Sequences above the safe integers clamp: they mean "beyond the end", and no message is there. */
function safeNumber(long: protobuf.Long): number {
  const value = (long.high >>> 0) * 0x1_0000_0000 + (long.low >>> 0);
  return value > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : value;
}

function bigintOf(long: protobuf.Long): bigint {
  return (BigInt(long.high | 0) << 32n) | BigInt(long.low >>> 0);
}
