/**
 * The reflection of protobufjs, working from the .proto files, as oracle of the schema-driven codec: every message of the
 * schema, both directions.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import { byteString } from "../../../src/base/bytes.ts";
import { decodeMessage, encodeMessage } from "../../../src/wire/stan_codec.ts";
import { STAN_SCHEMA, type StanMessageName } from "../../../src/wire/stan_schema.ts";
import { SeededRandom } from "../../conformance/store/random.ts";
import { ascii, longOf, parsedProto, randomText, randomU64, toHex } from "./stan_support.ts";

/** The same message twice: as our codec takes it, and as the library does. */
interface Pair {
  readonly ours: Record<string, unknown>;
  readonly library: Record<string, unknown>;
}

function randomPair(name: StanMessageName, random: SeededRandom): Pair {
  const ours: Record<string, unknown> = {};
  const library: Record<string, unknown> = {};
  for (const [, protoName, kind, property, inner, repeated] of STAN_SCHEMA[name]) {
    const one = (): readonly [unknown, unknown] => {
      switch (kind) {
        case "string": {
          const text = randomText(random);
          return [text, text];
        }
        case "token": {
          const text = randomText(random);
          return [text, ascii(text)];
        }
        case "bytes": {
          const bytes = random.bytes(random.below(300));
          return [bytes, bytes];
        }
        case "int32":
        case "enum": {
          const value = (random.below(2 ** 32) | 0) >> random.below(32);
          return [value, value];
        }
        case "uint32": {
          const value = random.below(2 ** 32) >>> random.below(32);
          return [value, value];
        }
        case "uint64": {
          const value = randomU64(random) >> 11n;
          return [Number(value), longOf(value)];
        }
        case "int64": {
          const value = randomU64(random);
          return [BigInt.asIntN(64, value), longOf(value)];
        }
        case "bool": {
          const value = random.below(2) === 1;
          return [value, value];
        }
        case "message": {
          const pair = randomPair(inner as StanMessageName, random);
          return [pair.ours, pair.library];
        }
      }
    };
    if (repeated !== undefined) {
      const items = Array.from({ length: random.below(4) }, one);
      ours[property] = items.map(([item]) => item);
      if (items.length > 0) library[protoName] = items.map(([, item]) => item);
    } else if (kind === "message" && random.below(2) === 0) {
      ours[property] = undefined;
    } else {
      const [own, other] = random.below(4) === 0 ? defaultPair(kind) : one();
      ours[property] = own;
      const isDefault = own === "" || own === 0 || own === 0n || own === false ||
        (own instanceof Uint8Array && own.length === 0);
      if (!isDefault && own !== undefined) library[protoName] = other;
    }
  }
  return { ours, library };
}

function defaultPair(kind: string): readonly [unknown, unknown] {
  if (kind === "string" || kind === "token") return ["", ""];
  if (kind === "bytes") return [new Uint8Array(0), new Uint8Array(0)];
  if (kind === "bool") return [false, false];
  if (kind === "int64") return [0n, 0n];
  return kind === "message" ? [undefined, undefined] : [0, 0];
}

test("23: every message is written and read as by the library's reflection", () => {
  const root = parsedProto();
  const random = new SeededRandom(11);
  for (const name of Object.keys(STAN_SCHEMA) as StanMessageName[]) {
    const type = root.lookupType(name);
    for (let i = 0; i < 150; i++) {
      const { ours, library } = randomPair(name, random);
      const expected = new Uint8Array(type.encode(library).finish());
      const encoded = encodeMessage(name, ours);
      assert.equal(toHex(encoded), toHex(expected), name);
      assert.deepEqual(decodeMessage(name, expected, 0, expected.length), ours, name);
    }
  }
});

test("byte strings of every byte survive", () => {
  const all = byteString(new Uint8Array(256).map((_, i) => i));
  const bytes = encodeMessage("ClientInfo", { id: all, connectionId: all });
  const read = decodeMessage("ClientInfo", bytes, 0, bytes.length);
  assert.deepEqual([read?.id, read?.connectionId], [all, all]);
});
