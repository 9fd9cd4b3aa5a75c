/** Helpers of the codec tests: hex, ranges, random messages, and the schema as the library reads it from proto/. */
import { readFileSync } from "node:fs";
import protobuf from "protobufjs";
import { SeededRandom } from "../../conformance/store/random.ts";

/** Bytes of a hex text; spaces are ignored. */
export function fromHex(hex: string): Uint8Array {
  const digits = hex.replaceAll(" ", "");
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Hex text of `bytes[start, end)`. */
export function toHex(bytes: Uint8Array, start = 0, end = bytes.length): string {
  let hex = "";
  for (let i = start; i < end; i++) hex += bytes[i]!.toString(16).padStart(2, "0");
  return hex;
}

/** Bytes of an ASCII text. */
export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Both .proto files, parsed by the library. */
export function parsedProto(): protobuf.Root {
  const root = new protobuf.Root();
  for (const file of ["stan.proto", "server.proto"]) {
    const url = new URL(`../../../proto/${file}`, import.meta.url);
    protobuf.parse(readFileSync(url, "utf8"), root, { keepCase: true });
  }
  root.resolveAll();
  return root;
}

/** A random ASCII name, sometimes empty, sometimes longer than a one-byte length can say. */
export function randomText(random: SeededRandom): string {
  const length = random.below(8) === 0 ? random.below(400) : random.below(40);
  let text = "";
  for (let i = 0; i < length; i++) text += String.fromCharCode(33 + random.below(94));
  return text;
}

/** A random 64-bit value whose number of bits is random too. */
export function randomU64(random: SeededRandom): bigint {
  const value = (BigInt(random.below(0x1_0000_0000)) << 32n) | BigInt(random.below(0x1_0000_0000));
  return value >> BigInt(random.below(64));
}

/** The library's form of a 64-bit value. */
export function longOf(value: bigint): protobuf.Long {
  return protobuf.util.LongBits.from({
    low: Number(value & 0xffff_ffffn) | 0,
    high: Number((value >> 32n) & 0xffff_ffffn) | 0,
    unsigned: true,
  } as protobuf.Long).toLong(true) as protobuf.Long;
}
