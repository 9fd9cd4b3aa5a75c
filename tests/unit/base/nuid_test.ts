import assert from "node:assert/strict";
import { test } from "node:test";
import { Nuid } from "../../../src/base/nuid.ts";

function counting(): (bytes: Uint8Array) => void {
  let next = 0;
  return (bytes) => {
    for (let i = 0; i < bytes.length; i++) bytes[i] = next = (next * 31 + 17) & 255;
  };
}

test("streaming-protocol.md 6.1: a name has 22 characters of 0-9A-Za-z and is never given twice", () => {
  const nuid = new Nuid(counting());
  const seen = new Set<string>();
  for (let i = 0; i < 50_000; i++) {
    const name = nuid.next();
    assert.match(name, /^[0-9A-Za-z]{22}$/);
    seen.add(name);
  }
  assert.equal(seen.size, 50_000);
});

test("a name is a random prefix, and a counter of ten digits to the base of 62", () => {
  const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  // 12 bytes of prefix, 5 of the counter, 2 of its step. The last counter is near its limit: the next name is a new series.
  const limit = 62 ** 8;
  for (const counter of [0, 1, 61, 62, 62 ** 5 - 34, 62 ** 5 - 33, 0xff_ffff_ffff]) {
    const bytes = new Uint8Array(20);
    for (let i = 0; i < 12; i++) bytes[i] = i * 20;
    for (let i = 0, rest = counter; i < 5; i++, rest = Math.floor(rest / 256)) bytes[16 - i] = rest % 256;
    const nuid = new Nuid((out) => out.set(bytes));
    let expected = "";
    for (let i = 0; i < 12; i++) expected += digits[(i * 20) % 62];
    for (let i = 1, next = counter; i <= 3; i++) {
      next = (next + 33) % limit;
      let tail = "";
      for (let rest = next; tail.length < 10; rest = Math.floor(rest / 62)) tail = digits[rest % 62] + tail;
      assert.equal(nuid.next(), expected + tail, `${i} behind ${counter}`);
    }
  }
});

test("the same random source gives the same names, so a seed replays a run", () => {
  const one = new Nuid(counting());
  const two = new Nuid(counting());
  for (let i = 0; i < 100; i++) assert.equal(one.next(), two.next());
});
