import { test } from "node:test";
import assert from "node:assert/strict";
import {
  varintEnd,
  varintHigh,
  varintLow,
  varintNumber,
  varintSize,
  varintSize64,
  writeVarint,
  writeVarint64,
} from "../../../src/base/varint.ts";
import { fromHex, toHex } from "./stan_support.ts";

/** The slow and obvious way. */
function reference(value: bigint): string {
  let hex = "";
  for (;;) {
    const byte = Number(value & 0x7fn);
    value >>= 7n;
    hex += (value === 0n ? byte : byte | 0x80).toString(16).padStart(2, "0");
    if (value === 0n) return hex;
  }
}

test("3.2: 64-bit varints of every length are written and read exactly", () => {
  const out = new Uint8Array(16);
  for (let bits = 0n; bits <= 64n; bits++) {
    for (let delta = -3n; delta <= 3n; delta++) {
      const value = BigInt.asUintN(64, (1n << bits) + delta);
      const high = Number(value >> 32n);
      const low = Number(value & 0xffff_ffffn);
      const end = writeVarint64(out, 2, high, low);
      assert.equal(toHex(out, 2, end), reference(value));
      assert.equal(varintSize64(high, low), end - 2);
      assert.equal(varintEnd(out, 2, end), end);
      assert.equal(varintHigh(out, 2, end), high);
      assert.equal(varintLow(out, 2, end), low);
      assert.equal(varintNumber(out, 2, end), Number(value));
      if (value <= BigInt(Number.MAX_SAFE_INTEGER)) {
        assert.equal(writeVarint(out, 2, Number(value)), end);
        assert.equal(toHex(out, 2, end), reference(value));
        assert.equal(varintSize(Number(value)), end - 2);
      } else {
        assert.ok(varintNumber(out, 2, end) > Number.MAX_SAFE_INTEGER);
      }
    }
  }
});

test("3.3: a varint longer than ten bytes, or past the end, has no end", () => {
  const ten = fromHex("80808080808080808001");
  assert.equal(varintEnd(ten, 0, 10), 10);
  assert.equal(varintEnd(ten, 0, 9), -1);
  assert.equal(varintEnd(fromHex("8080808080808080808001"), 0, 11), -1);
  assert.equal(varintEnd(ten, 10, 10), -1);
});

test("bits above the 64th are dropped, padding with zeros is allowed", () => {
  const bytes = fromHex("ffffffffffffffffff7f 8180808000");
  assert.equal(varintHigh(bytes, 0, 10), 0xffff_ffff);
  assert.equal(varintLow(bytes, 0, 10), 0xffff_ffff);
  assert.equal(varintNumber(bytes, 10, 15), 1);
});
