/** Seeds of NKey users; the oracle is the package of the NATS maintainers, and the server's own check. */
import { nkeys } from "@nats-io/nats-core";
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseNkeySeed, signNonce } from "../../../src/cli/nkey_seed.ts";
import { importUserKey, verifyNonce } from "../../../src/nats/auth/nkey.ts";

test("nats-server 6.3: a seed gives the public key and signatures that a server accepts", () => {
  for (let i = 0; i < 5; i++) {
    const pair = nkeys.createUser();
    const text = new TextDecoder().decode(pair.getSeed());
    const seed = parseNkeySeed(`-----BEGIN USER NKEY SEED-----\n${text}\n------END USER NKEY SEED------\n`);
    assert.ok(seed);
    assert.equal(seed.publicKey, pair.getPublicKey());
    const key = importUserKey(seed.publicKey);
    assert.ok(key);
    assert.ok(verifyNonce(key, "a nonce", signNonce(seed, "a nonce")));
    assert.ok(!verifyNonce(key, "another", signNonce(seed, "a nonce")));
  }
});

test("nats-server 6.3: seeds of others, and seeds with a slip, are none", () => {
  const account = new TextDecoder().decode(nkeys.createAccount().getSeed());
  const user = new TextDecoder().decode(nkeys.createUser().getSeed());
  const slip = user.slice(0, 20) + (user[20] === "A" ? "B" : "A") + user.slice(21);
  for (const text of ["", account, slip, user.slice(1), `${user}A`, user.toLowerCase()]) {
    assert.equal(parseNkeySeed(text), undefined, text.slice(0, 4));
  }
});
