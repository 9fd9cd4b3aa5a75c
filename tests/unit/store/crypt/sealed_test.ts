/** Keys and form of encrypted payloads, against what the reference wrote (stores.md 8.2, 8.3). */
import assert from "node:assert/strict";
import { createDecipheriv, createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { bytesOf } from "../../../../src/base/bytes.ts";
import { channelKeyOf, masterKeyOf, SEAL_BYTES } from "../../../../src/store/crypt/sealed.ts";

/** Payloads of the directory enc-aes as the reference gave them out without encryption: still sealed. */
const { opens } = (JSON.parse(
  readFileSync(new URL("../../../golden/filestore/expected.json", import.meta.url), "utf8"),
) as Record<string, {
  opens: { name: string; channels: Record<string, { read: { seq: number; hex?: string }[] }> }[];
}>)["enc-aes"]!;
const sealedByChannel = opens.find(({ name }) => name === "no encryption")!.channels;

/** An opening of our own, so that the product's keys meet somebody else's way to use them. */
function opens1(key: Uint8Array, sealed: Uint8Array): string | undefined {
  assert.equal(sealed[0], 1);
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.slice(1, 13));
  decipher.setAuthTag(sealed.slice(-16));
  const plain = decipher.update(sealed.slice(13, -16));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return plain.toString("latin1");
}

function sha256(...parts: readonly (Uint8Array | string)[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

test("stores 12.76: the channel key needs the zero prefix; without it no payload of the reference opens", () => {
  const master = masterKeyOf("fixture-key");
  assert.deepEqual(new Uint8Array(master), new Uint8Array(sha256("fixture-key")));
  let count = 0;
  for (const [channel, { read }] of Object.entries(sealedByChannel)) {
    const withZeros = channelKeyOf(master, bytesOf(channel));
    const without = sha256(master, ".", channel);
    const prefix = new Uint8Array(33 + channel.length);
    assert.deepEqual(new Uint8Array(withZeros), new Uint8Array(sha256(prefix, master, ".", channel)));
    for (const { seq, hex } of read) {
      if (hex === undefined) continue;
      const sealed = new Uint8Array(Buffer.from(hex, "hex"));
      const plain = opens1(withZeros, sealed);
      assert.equal(plain?.length, sealed.length - SEAL_BYTES, `${channel}:${seq}`);
      assert.equal(opens1(without, sealed), undefined);
      count++;
    }
  }
  assert.equal(count, 6);
});

test("stores 8.2: the key is the UTF-8 of its text, and every channel has a key of its own", () => {
  assert.deepEqual(new Uint8Array(masterKeyOf("ключ\u{1f511}")), new Uint8Array(sha256("ключ\u{1f511}")));
  const master = masterKeyOf("k");
  const keys = ["", "a", "b", "a.a", "A", "ab"].map((name) =>
    Buffer.from(channelKeyOf(master, bytesOf(name))).toString("hex")
  );
  assert.equal(new Set(keys).size, keys.length);
  assert.throws(() => masterKeyOf(""));
});
