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

test("the same random source gives the same names, so a seed replays a run", () => {
  const one = new Nuid(counting());
  const two = new Nuid(counting());
  for (let i = 0; i < 100; i++) assert.equal(one.next(), two.next());
});
