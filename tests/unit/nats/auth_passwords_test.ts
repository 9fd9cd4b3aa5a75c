/** Passwords (nats-server.md 6.1): plain ones, bcrypt hashes, how many are computed at once, and what is remembered. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hashSync } from "bcryptjs";
import { BCRYPT_CONCURRENT_MAX, BCRYPT_WAITING_MAX, isBcrypt, Passwords } from "../../../src/nats/auth/passwords.ts";

const fill = (bytes: Uint8Array) => void crypto.getRandomValues(bytes);
/** The lowest cost there is. */
const HASH = hashSync("secret", 4);

/** A comparison whose answers the test gives. */
class Desk {
  readonly asked: { password: string; hash: string; answer(isRight: boolean): void; fail(): void }[] = [];
  readonly compare = (password: string, hash: string): Promise<boolean> => {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    this.asked.push({ password, hash, answer: resolve, fail: () => reject(new Error("refused")) });
    return promise;
  };
}

/** Lets everything that is settled take effect. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

test("nats 6.1: plain passwords are compared as a whole, also empty ones and those beyond ASCII", () => {
  const passwords = new Passwords(fill);
  for (const text of ["", "s", "secret", "pässword", "$2a$", "a".repeat(5000)]) {
    assert.equal(passwords.matches(text, text), true);
    assert.equal(passwords.matches(text, text + "x"), false);
    assert.equal(passwords.matches(text + "x", text), false);
  }
});

test("nats 6.1: a stored value is a hash when it begins like one", () => {
  for (const prefix of ["2a", "2b", "2x", "2y"]) assert.ok(isBcrypt(`$${prefix}$11$rest`));
  for (const text of ["", "$2c$11$x", "$2a$1$x", "2a$11$x", "$2$11$x", "x$2a$11$x", "$2a$11"]) {
    assert.ok(!isBcrypt(text));
  }
});

test("nats 6.1: bcrypt: all four prefixes are verified, the hash itself is no password", async () => {
  for (const prefix of ["$2a$", "$2b$", "$2x$", "$2y$"]) {
    const passwords = new Passwords(fill);
    const stored = prefix + HASH.slice(4);
    assert.equal(await passwords.matches(stored, "secret"), true);
    assert.equal(await passwords.matches(stored, "Secret"), false);
    assert.equal(await passwords.matches(stored, ""), false);
    assert.equal(await passwords.matches(stored, stored), false);
  }
});

test("nats 6.1: bcrypt: a published test vector", async () => {
  const stored = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
  assert.equal(await new Passwords(fill).matches(stored, "U*U"), true);
  assert.equal(await new Passwords(fill).matches(stored, "U*V"), false);
});

test("nats 6.1: bcrypt: what only looks like a hash is nobody's password", async () => {
  for (const stored of ["$2a$11$short", "$2b$99$" + "x".repeat(53), "$2a$04$" + "!".repeat(53)]) {
    assert.equal(await new Passwords(fill).matches(stored, "secret"), false);
  }
});

test("nats 6.1: bcrypt: what was right is remembered, what was wrong is not", async () => {
  const desk = new Desk();
  const passwords = new Passwords(fill, desk.compare);
  const first = passwords.matches(HASH, "secret");
  assert.ok(first instanceof Promise);
  desk.asked[0]!.answer(true);
  assert.equal(await first, true);
  assert.equal(passwords.matches(HASH, "secret"), true);
  const other = "$2a$04$" + "a".repeat(53);
  assert.ok(passwords.matches(other, "secret") instanceof Promise);
  desk.asked[1]!.answer(false);
  await settle();
  assert.ok(passwords.matches(other, "secret") instanceof Promise);
  assert.equal(desk.asked.length, 3);
});

test("nats 6.1: bcrypt: the same question is computed once for all who ask", async () => {
  const desk = new Desk();
  const passwords = new Passwords(fill, desk.compare);
  const answers = Array.from({ length: 50 }, () => passwords.matches(HASH, "secret"));
  assert.equal(desk.asked.length, 1);
  assert.equal(desk.asked[0]!.hash, "$2b$" + HASH.slice(4));
  desk.asked[0]!.answer(true);
  assert.deepEqual(await Promise.all(answers), Array(50).fill(true));
});

test("nats 6.1: bcrypt: few at a time, in the order of arrival", async () => {
  const desk = new Desk();
  const passwords = new Passwords(fill, desk.compare);
  const answers = Array.from({ length: 10 }, (_, i) => passwords.matches(HASH, `p${i}`));
  for (let i = 0; i < 10; i++) {
    assert.equal(desk.asked.length, Math.min(10, i + BCRYPT_CONCURRENT_MAX));
    assert.equal(desk.asked[i]!.password, `p${i}`);
    desk.asked[i]!.answer(i === 3);
    await settle();
  }
  assert.deepEqual(await Promise.all(answers), Array.from({ length: 10 }, (_, i) => i === 3));
});

test("nats 6.1: bcrypt: a check nobody waits for any more is not computed", async () => {
  const desk = new Desk();
  const passwords = new Passwords(fill, desk.compare);
  for (let i = 0; i < BCRYPT_CONCURRENT_MAX; i++) void passwords.matches(HASH, `running${i}`);
  let isHere = true;
  const gone = passwords.matches(HASH, "gone", () => isHere);
  const stays = passwords.matches(HASH, "stays");
  isHere = false;
  desk.asked[0]!.answer(false);
  assert.equal(await gone, false);
  assert.equal(desk.asked.at(-1)!.password, "stays");
  desk.asked.at(-1)!.answer(true);
  assert.equal(await stays, true);
});

test("nats 6.1: bcrypt: the number of waiting checks is bounded", () => {
  const passwords = new Passwords(fill, new Desk().compare);
  for (let i = 0; i < BCRYPT_WAITING_MAX + BCRYPT_CONCURRENT_MAX; i++) {
    assert.ok(passwords.matches(HASH, `p${i}`) instanceof Promise);
  }
  assert.equal(passwords.matches(HASH, "one too many"), false);
  assert.ok(passwords.matches(HASH, "p7") instanceof Promise);
});

test("nats 6.1: bcrypt: a comparison that fails refuses, and the next one is served", async () => {
  const desk = new Desk();
  const passwords = new Passwords(fill, desk.compare);
  const first = passwords.matches(HASH, "a");
  desk.asked[0]!.fail();
  assert.equal(await first, false);
  const second = passwords.matches(HASH, "b");
  desk.asked[1]!.answer(true);
  assert.equal(await second, true);
});

test("nats 6.1: bcrypt: passwords that platforms disagree about are left to the library", async () => {
  const desk = new Desk();
  const passwords = new Passwords(fill, desk.compare);
  const long = "x".repeat(73);
  assert.equal(await passwords.matches(hashSync("x".repeat(72), 4), long), true);
  assert.equal(await passwords.matches(hashSync("a\0b", 4), "a\0b"), true);
  assert.equal(await passwords.matches(hashSync("", 4), ""), true);
  assert.equal(desk.asked.length, 0);
});
