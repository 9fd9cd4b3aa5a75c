import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../../../src/base/bytes.ts";
import { KeyedHash } from "../../../src/base/keyed_hash.ts";

function hashOf(hash: KeyedHash, text: string): number {
  const bytes = bytesOf(text);
  const value = hash.ofRange(bytes, 0, bytes.length);
  assert.equal(value, value | 0, "32 bits, signed");
  return value;
}

test("a byte string has the hash of its bytes, wherever they stand", () => {
  const hash = new KeyedHash(99);
  const text = "_INBOX.\u00ff\u0080.x*>".repeat(500);
  for (const length of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 4093, 4096, 4097, 6000]) {
    const part = text.slice(0, length);
    assert.equal(hash.ofText(part), hashOf(hash, part), `${length} bytes`);
    const bytes = bytesOf("x" + part + "\u00ff\u00ff\u00ff\u00ff");
    assert.equal(hash.ofRange(bytes, 1, 1 + length), hash.ofText(part), `${length} bytes in the middle`);
  }
});

test("every byte counts, every bit of it, and so do length and seed", () => {
  const hash = new KeyedHash(1);
  for (const length of [1, 2, 3, 4, 5, 6, 7, 8, 13, 4100]) {
    const bytes = new Uint8Array(length).fill(7);
    const before = hash.ofRange(bytes, 0, length);
    for (let i = 0; i < length; i++) {
      for (let bit = 1; bit < 256; bit *= 2) {
        bytes[i]! ^= bit;
        assert.notEqual(hash.ofRange(bytes, 0, length), before, `bit ${bit} of byte ${i} of ${length}`);
        bytes[i]! ^= bit;
      }
    }
    assert.notEqual(new KeyedHash(2).ofRange(bytes, 0, length), before);
    assert.equal(new KeyedHash(1).ofRange(bytes, 0, length), before);
  }
  const zeros = new Uint8Array(20);
  assert.equal(new Set(Array.from({ length: 21 }, (_, length) => hash.ofRange(zeros, 0, length))).size, 21);
});

/** All strings of `count` parts, each one of the two. */
function combinations(one: string, other: string, count: number): string[] {
  let all = [""];
  for (let i = 0; i < count; i++) all = all.flatMap((text) => [text + one, text + other]);
  return all;
}

/** Strings that collide under every polynomial with an odd factor: parity of bits as letters (Thue and Morse). */
function thueMorse(bits: number, letters: string): string {
  let text = letters[0]!;
  let other = letters[1]!;
  for (let i = 0; i < bits; i++) [text, other] = [text + other, other + text];
  return text;
}

test("names that were chosen to fall into one bucket do not", () => {
  const sets: Readonly<Record<string, readonly string[]>> = {
    "equal under a polynomial of 31": combinations("Aa", "BB", 12),
    "equal under any polynomial": combinations(thueMorse(8, "ab"), thueMorse(8, "ba"), 12),
    "the upper bit of words": combinations("aaaaaaaa", "aaa\u00e1a\u00e0a\u00e1", 12),
    "one digit of a counter": Array.from({ length: 4096 }, (_, i) => `orders.${String(i).padStart(8, "0")}`),
    "one byte in the middle": combinations("....", "..,.", 12),
  };
  for (const [what, names] of Object.entries(sets)) {
    for (const seed of [0, 1, -1, 0x1234_5678]) {
      const hash = new KeyedHash(seed);
      const buckets = new Map<number, number>();
      const hashes = new Set<number>();
      for (const name of names) {
        const value = hashOf(hash, name);
        hashes.add(value);
        const bucket = (value ^ (value >>> 15)) & 4095;
        buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
      }
      // By chance some 8 of 4,096 stand in the fullest one of as many.
      assert.ok(Math.max(...buckets.values()) <= 16, `${what}: ${Math.max(...buckets.values())} in one bucket`);
      assert.ok(hashes.size > names.length - 40, `${what}: ${hashes.size} hashes`);
    }
  }
});
