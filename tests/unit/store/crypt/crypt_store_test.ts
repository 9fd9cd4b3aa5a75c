/** Statements 75 to 81 of stores.md 12 as far as a store can prove them, and what the wrapper adds of its own. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { randomFillSync } from "node:crypto";
import { test } from "node:test";
import { bytesOf } from "../../../../src/base/bytes.ts";
import { createAes, createChaCha } from "../../../../src/store/crypt/ciphers.ts";
import { CryptStore } from "../../../../src/store/crypt/crypt_store.ts";
import { CryptMessageStore, CryptShared } from "../../../../src/store/crypt/message_store.ts";
import { PlainCache } from "../../../../src/store/crypt/plain_cache.ts";
import { channelKeyOf, type CipherName, masterKeyOf, SEAL_BYTES } from "../../../../src/store/crypt/sealed.ts";
import { MemoryStore } from "../../../../src/store/memory/memory_store.ts";
import {
  APPEND_FAILED,
  type ChannelStore,
  LOOKUP_FAILED,
  LOOKUP_FOUND,
  LOOKUP_LATER,
  LOOKUP_NONE,
  type LookupResult,
  type MessageStore,
  type MessageView,
  type RecoveredState,
  type Store,
} from "../../../../src/store/types.ts";
import { decodeMsgProto, MsgProtoView } from "../../../../src/wire/stan_hot.ts";
import { RecordingLog } from "../../../helpers/file_store.ts";
import { TEST_SERVER, testLimits } from "../../../conformance/store/suite.ts";

const KEY = "correct horse battery staple";
const random = (bytes: Uint8Array): void => void randomFillSync(bytes);

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function newView(): MessageView {
  return { buffer: new Uint8Array(0), start: 0, end: 0 };
}

function append(messages: MessageStore, sequence: number, data: Uint8Array, reply = ""): number {
  const source = Uint8Array.from([...bytes(reply), ...data]);
  const size = messages.append(sequence, 1, 2, source, 0, reply.length, reply.length, source.length);
  source.fill(0xdd);
  return size;
}

interface Found {
  readonly result: LookupResult;
  readonly data: Uint8Array;
  readonly reply: string;
  readonly view: MessageView;
}

function lookup(messages: MessageStore, sequence: number): Found {
  const view = newView();
  const result = messages.lookup(sequence, view);
  if (result !== LOOKUP_FOUND) return { result, data: new Uint8Array(0), reply: "", view };
  const message = new MsgProtoView();
  assert.ok(decodeMsgProto(view.buffer, view.start, view.end, message));
  assert.equal(message.sequence, sequence);
  return {
    result,
    data: view.buffer.slice(message.dataStart, message.dataEnd),
    reply: Buffer.from(view.buffer.slice(message.replyStart, message.replyEnd)).toString(),
    view,
  };
}

function dataOf(messages: MessageStore, sequence: number): string {
  const { result, data } = lookup(messages, sequence);
  assert.equal(result, LOOKUP_FOUND, `sequence ${sequence}`);
  return Buffer.from(data).toString();
}

/** Changes the last byte of a stored payload, behind the back of everybody. */
function damage(stored: MessageStore, sequence: number): void {
  const view = newView();
  const message = new MsgProtoView();
  assert.equal(stored.lookup(sequence, view), LOOKUP_FOUND);
  assert.ok(decodeMsgProto(view.buffer, view.start, view.end, message));
  view.buffer[message.dataEnd - 1]! ^= 1;
}

/** Every lookup decrypts. */
class ForgetfulCache extends PlainCache {
  override find(): boolean {
    return false;
  }
}

interface Opened {
  readonly store: CryptStore;
  readonly log: RecordingLog;
  readonly state: RecoveredState | undefined;
}

/** A store that was recovered: what `inner` holds is what the one before left. */
async function open(inner: Store, cipher: CipherName = "AES", key = KEY): Promise<Opened> {
  const log = new RecordingLog();
  const store = new CryptStore(inner, { cipher, masterKey: masterKeyOf(key) }, { log, random });
  const state = await store.recover();
  return { store, log, state };
}

/** A channel in memory that a store can recover: the same messages under another key, cipher or cache. */
class Recoverable extends MemoryStore {
  readonly kept: ChannelStore;

  constructor(name = "c") {
    super(testLimits());
    this.kept = this.createChannel(name);
  }

  override recover(): Promise<RecoveredState | undefined> {
    const channels = [{ store: this.kept, subscriptions: [] }];
    return Promise.resolve({ server: TEST_SERVER, clients: [], channels });
  }

  async open(cipher: CipherName = "AES", key = KEY): Promise<{ messages: MessageStore; log: RecordingLog }> {
    const { store, log } = await open(this, cipher, key);
    return { messages: store.channel(this.kept.name)!.messages, log };
  }
}

test("stores 8.3: what is stored has the form of the reference, everything but the payload in clear", async () => {
  for (const [cipher, aead] of [["AES", createAes()], ["CHACHA", createChaCha()]] as const) {
    const inner = new MemoryStore(testLimits());
    const { store } = await open(inner, cipher);
    const { messages } = store.createChannel("orders");
    append(messages, 1, bytes("a secret"), "reply.to");
    const { data, reply } = lookup(inner.channel("orders")!.messages, 1);
    assert.equal(reply, "reply.to");
    assert.equal(data.length, 8 + SEAL_BYTES);
    assert.equal(data[0], cipher === "AES" ? 1 : 2);
    const key = channelKeyOf(masterKeyOf(KEY), bytesOf("orders"));
    const plain = new Uint8Array(8);
    assert.ok(aead.open(key, data.subarray(1, 13), data, 13, data.length, plain, 0));
    assert.deepEqual(plain, bytes("a secret"));
    assert.equal(Buffer.from(data).includes("secret"), false);
    assert.equal(store.name, "MEMORY");
  }
});

test("stores 8.3: an empty payload is stored as it is, with and without a reply", async () => {
  const inner = new Recoverable();
  const { messages } = await inner.open();
  append(messages, 1, new Uint8Array(0));
  append(messages, 2, new Uint8Array(0), "r");
  for (const where of [messages, inner.kept.messages, (await inner.open("CHACHA", "wrong")).messages]) {
    assert.equal(dataOf(where, 1), "");
    assert.equal(lookup(where, 2).reply, "r");
  }
});

test("stores 12.77: a channel of plain, AES and CHACHA messages reads fully under either cipher", async () => {
  const inner = new Recoverable();
  append(inner.kept.messages, 1, bytes("plain"));
  append((await inner.open("AES")).messages, 2, bytes("aes"), "r2");
  append((await inner.open("CHACHA")).messages, 3, bytes("chacha"), "r3");
  append(inner.kept.messages, 4, Uint8Array.of(0, 1, 2));
  append(inner.kept.messages, 5, Uint8Array.of(3));
  append((await inner.open("AES")).messages, 6, bytes("aes again"));
  assert.deepEqual([2, 3, 6].map((seq) => lookup(inner.kept.messages, seq).data[0]), [1, 2, 1]);
  for (const cipher of ["AES", "CHACHA"] as const) {
    const { messages, log } = await inner.open(cipher);
    assert.deepEqual([1, 2, 3, 6].map((seq) => dataOf(messages, seq)), ["plain", "aes", "chacha", "aes again"]);
    assert.deepEqual(lookup(messages, 4).data, Uint8Array.of(0, 1, 2));
    assert.deepEqual(lookup(messages, 5).data, Uint8Array.of(3));
    assert.deepEqual([2, 3].map((seq) => lookup(messages, seq).reply), ["r2", "r3"]);
    assert.deepEqual(log.lines, [
      `[INF] Messages are encrypted with ${cipher === "AES" ? "AES-256-GCM" : "ChaCha20-Poly1305"}`,
    ]);
  }
});

test("stores 12.78: under a wrong key nothing is delivered, each message is named once, and new ones are taken", async () => {
  const inner = new Recoverable();
  const right = await inner.open();
  for (let seq = 1; seq <= 3; seq++) append(right.messages, seq, bytes(`n${seq}`));
  const { messages, log } = await inner.open("AES", "wrong");
  assert.deepEqual(log.lines.slice(1), [
    '[ERR] The encryption key does not fit the messages of channel "c": no encrypted message that was tried can be ' +
    "decrypted. They are kept, but not delivered. Stop the server and start it with the key that they were stored with",
  ]);
  log.lines.length = 0;
  for (let round = 0; round < 3; round++) {
    for (let seq = 1; seq <= 3; seq++) {
      const { result, view } = lookup(messages, seq);
      assert.equal(result, LOOKUP_FAILED);
      // Whoever ignores the result finds no decrypted bytes, either: there are none.
      assert.equal(Buffer.from(view.buffer.slice(view.start, view.end)).includes(`n${seq}`), false);
    }
  }
  assert.deepEqual(
    log.lines,
    [1, 2, 3].map((seq) => `[ERR] Error looking up message c:${seq} (cipher: message authentication failed)`),
  );
  append(messages, 4, bytes("new"));
  assert.equal(dataOf(messages, 4), "new");
  // A key that fits some of the newest is not called wrong.
  assert.equal((await inner.open("AES", "wrong")).log.lines.length, 1);
  assert.equal((await inner.open()).log.lines.length, 1);
});

test("stores 12.78: a key that fits other channels is said to", async () => {
  const a = new Recoverable("a");
  const b = new Recoverable("b");
  append((await a.open()).messages, 1, bytes("x"));
  append((await b.open("AES", "other")).messages, 1, bytes("x"));
  const both: Store = Object.create(a, {
    recover: {
      value: () =>
        Promise.resolve({
          server: TEST_SERVER,
          clients: [],
          channels: [a, b].map(({ kept }) => ({ store: kept, subscriptions: [] })),
        }),
    },
  });
  const { log } = await open(both);
  assert.match(log.lines[1]!, /of channel "b": those of 1 others can be decrypted with it\. They are kept/);
});

test("stores 12.79: a payload of 13 bytes or less that begins with 1 or 2 and was stored in clear is an error", async () => {
  const inner = new Recoverable();
  const payloads: Uint8Array[] = [];
  for (let length = 1; length <= 40; length++) {
    for (const first of [1, 2]) payloads.push(new Uint8Array(length).fill(0x41).fill(first, 0, 1));
  }
  payloads.forEach((payload, i) => append(inner.kept.messages, i + 1, payload));
  const { messages, log } = await inner.open();
  log.lines.length = 0;
  payloads.forEach((payload, i) => {
    assert.equal(lookup(messages, i + 1).result, LOOKUP_FAILED);
    const why = payload.length <= 13
      ? `trying to decrypt data that is not (len=${payload.length})`
      : "cipher: message authentication failed";
    assert.equal(log.lines[i], `[ERR] Error looking up message c:${i + 1} (${why})`);
  });
});

test("stores 12.80: no nonce is used twice over 1000 restarts and stores", async () => {
  const nonces = new Set<string>();
  const payloads = new Set<string>();
  for (let restart = 0; restart < 1000; restart++) {
    const inner = new Recoverable();
    const { messages } = await inner.open(restart % 2 === 0 ? "AES" : "CHACHA");
    for (let seq = 1; seq <= 3; seq++) {
      append(messages, seq, bytes("always the same"));
      const { data } = lookup(inner.kept.messages, seq);
      nonces.add(Buffer.from(data.subarray(1, 13)).toString("hex"));
      payloads.add(Buffer.from(data.subarray(13)).toString("hex"));
    }
  }
  assert.equal(nonces.size, 3000);
  assert.equal(payloads.size, 3000);
});

test("stores 8.3: every message draws all twelve bytes of its nonce, also one that is not stored at the first attempt", async () => {
  const inner = new MemoryStore(testLimits());
  let drawn = 0;
  const store = new CryptStore(inner, { cipher: "AES", masterKey: masterKeyOf(KEY) }, {
    log: new RecordingLog(),
    random: (into) => into.fill(++drawn),
  });
  await store.recover();
  const { messages } = store.createChannel("c");
  append(messages, 1, bytes("x"));
  const stored = inner.channel("c")!.messages;
  assert.deepEqual(lookup(stored, 1).data.slice(1, 13), new Uint8Array(12).fill(1));
  const refuse = stored.append;
  stored.append = () => APPEND_FAILED;
  assert.equal(append(messages, 2, bytes("y")), APPEND_FAILED);
  stored.append = refuse;
  append(messages, 2, bytes("y"));
  assert.deepEqual(lookup(stored, 2).data.slice(1, 13), new Uint8Array(12).fill(3));
});

test("stores 12.81: neither key nor payload is in the log, whatever goes wrong", async () => {
  const inner = new Recoverable();
  append((await inner.open()).messages, 1, bytes("a payload"));
  damage(inner.kept.messages, 1);
  for (const key of [KEY, "another secret"]) {
    const { messages, log } = await inner.open("AES", key);
    assert.equal(lookup(messages, 1).result, LOOKUP_FAILED);
    assert.ok(log.lines.length >= 3);
    for (const line of log.lines) {
      assert.equal(line.includes(key) || line.includes("payload"), false, line);
      assert.equal(line.includes(Buffer.from(masterKeyOf(key)).toString("hex")), false);
    }
  }
});

test("stores 13.30: what was just stored is delivered in clear without being decrypted", async () => {
  const inner = new Recoverable();
  const { messages } = await inner.open();
  for (let seq = 1; seq <= 2000; seq++) {
    append(messages, seq, bytes(`message ${seq}`), seq % 2 ? "" : "re");
    damage(inner.kept.messages, seq);
  }
  for (let seq = 1; seq <= 2000; seq++) assert.equal(dataOf(messages, seq), `message ${seq}`);
  assert.equal(lookup((await inner.open()).messages, 2000).result, LOOKUP_FAILED);
});

test("a message is decrypted once for several readers", async () => {
  const inner = new Recoverable();
  const writer = await inner.open();
  for (let seq = 1; seq <= 100; seq++) append(writer.messages, seq, bytes(`message ${seq}`));
  const { messages } = await inner.open();
  for (let seq = 1; seq <= 100; seq++) assert.equal(dataOf(messages, seq), `message ${seq}`);
  for (let seq = 1; seq <= 100; seq++) damage(inner.kept.messages, seq);
  for (let seq = 1; seq <= 100; seq++) assert.equal(dataOf(messages, seq), `message ${seq}`);
});

test("a channel without readers costs no cache; with the first lookup it is there again", async () => {
  const inner = new Recoverable();
  const { messages } = await inner.open();
  for (let seq = 1; seq <= 5000; seq++) append(messages, seq, bytes(`${seq}`));
  for (const seq of [4900, 5000]) damage(inner.kept.messages, seq);
  // Not cached when it was stored.
  assert.equal(lookup(messages, 5000).result, LOOKUP_FAILED);
  append(messages, 5001, bytes("5001"));
  damage(inner.kept.messages, 5001);
  assert.equal(dataOf(messages, 5001), "5001");
});

test("a delivery keeps its bytes, whatever is stored, read, removed and deleted afterwards", async () => {
  const inner = new MemoryStore(testLimits({ maxMessages: 50 }));
  const { store } = await open(inner);
  const { messages } = store.createChannel("c");
  const held: [MessageView, Uint8Array][] = [];
  for (let seq = 1; seq <= 3000; seq++) {
    append(messages, seq, new Uint8Array(seq % 4000).fill(seq & 255));
    if (seq % 4000 === 0) continue;
    const { view } = lookup(messages, seq);
    held.push([view, view.buffer.slice(view.start, view.end)]);
  }
  store.deleteChannel("c");
  append(store.createChannel("c").messages, 1, bytes("x"));
  for (const [{ buffer, start, end }, before] of held) {
    assert.ok(Buffer.from(before).equals(buffer.subarray(start, end)));
  }
});

/** From here on `stored` behaves like another store with other messages: what a failed flush makes of one. */
function become(stored: MessageStore, other: MessageStore, lastSequence = () => other.lastSequence): void {
  Object.defineProperty(stored, "lastSequence", { get: lastSequence });
  stored.append = (...args) => other.append(...args);
  stored.lookup = (sequence, into) => other.lookup(sequence, into);
}

/** A store whose newest messages are taken back, as after a failed flush. */
class TakingBack {
  readonly taken = new Set<number>();
  constructor(readonly stored: MessageStore) {
    const { lookup } = stored;
    stored.lookup = (sequence, into) => this.taken.has(sequence) ? LOOKUP_NONE : lookup.call(stored, sequence, into);
  }
}

test("1.4: what the store underneath does not have is not found in the cache, either", async () => {
  const inner = new MemoryStore(testLimits({ maxMessages: 5 }));
  const { store } = await open(inner);
  const { messages } = store.createChannel("c");
  for (let seq = 1; seq <= 10; seq++) append(messages, seq, bytes(`${seq}`));
  assert.deepEqual([1, 5, 11].map((seq) => lookup(messages, seq).result), [LOOKUP_NONE, LOOKUP_NONE, LOOKUP_NONE]);
  const underneath = new TakingBack(inner.channel("c")!.messages);
  underneath.taken.add(10);
  assert.equal(lookup(messages, 10).result, LOOKUP_NONE);
  messages.empty();
  underneath.taken.clear();
  // The same sequences with other messages.
  append(messages, 6, bytes("six"));
  assert.equal(dataOf(messages, 6), "six");
  assert.equal(lookup(messages, 10).result, LOOKUP_NONE);
  append(messages, 7, new Uint8Array(0));
  assert.equal(dataOf(messages, 7), "");
});

test("5.5: after a hole that the store fills by itself, nothing of before is found in its place", async () => {
  const inner = new Recoverable();
  const { messages } = await inner.open();
  for (let seq = 1; seq <= 3; seq++) append(messages, seq, bytes(`${seq}`));
  // What a store does that took 2 and 3 back, and is then given 5: it fills the hole with empty messages.
  const filled = new Recoverable().kept.messages;
  append(filled, 1, bytes("x"));
  for (let seq = 2; seq <= 4; seq++) append(filled, seq, new Uint8Array(0));
  become(inner.kept.messages, filled, () => 1);
  append(messages, 5, bytes("5"));
  assert.deepEqual([2, 3, 4, 5].map((seq) => dataOf(messages, seq)), ["", "", "", "5"]);
});

test("1.4: a sequence that was taken back and comes again is the new message, cached or not", async () => {
  for (const again of ["", "another"]) {
    const inner = new Recoverable();
    const { messages } = await inner.open();
    append(messages, 1, bytes("one"));
    append(messages, 2, bytes("two"));
    become(inner.kept.messages, new Recoverable().kept.messages);
    assert.equal(lookup(messages, 2).result, LOOKUP_NONE);
    append(messages, 1, bytes("one"));
    append(messages, 2, bytes(again));
    assert.equal(dataOf(messages, 2), again);
  }
});

test("a message that could not be decrypted, was taken back and comes again can be decrypted", async () => {
  const inner = new Recoverable();
  append(inner.kept.messages, 1, bytes("\x01 looks sealed"));
  const store = new CryptStore(
    inner,
    { cipher: "AES", masterKey: masterKeyOf(KEY), cache: new ForgetfulCache() },
    { log: new RecordingLog(), random },
  );
  await store.recover();
  const { messages } = store.channel("c")!;
  assert.equal(lookup(messages, 1).result, LOOKUP_FAILED);
  become(inner.kept.messages, new Recoverable().kept.messages);
  append(messages, 1, bytes("really sealed"));
  assert.equal(dataOf(messages, 1), "really sealed");
});

test("a message that has to be read first is LATER, and the key is tried on it at start", async () => {
  const inner = new Recoverable();
  append((await inner.open()).messages, 1, bytes("x"));
  const { kept } = inner;
  const { lookup: read } = kept.messages;
  let isInMemory = false;
  kept.messages.lookup = (sequence, into) => {
    if (isInMemory) return read.call(kept.messages, sequence, into);
    queueMicrotask(() => {
      isInMemory = true;
      kept.messages.onReadable?.();
    });
    return LOOKUP_LATER;
  };
  const { messages, log } = await inner.open("AES", "wrong");
  assert.match(log.lines[1]!, /does not fit/);
  assert.equal(kept.messages.onReadable, undefined);
  isInMemory = false;
  const right = await inner.open();
  isInMemory = false;
  let readable = 0;
  right.messages.onReadable = () => readable++;
  assert.equal(right.messages.lookup(1, newView()), LOOKUP_LATER);
  await Promise.resolve();
  assert.equal(readable, 1);
  assert.equal(dataOf(right.messages, 1), "x");
  assert.equal(messages.messageCount, 1);
});

test("a store that is closed while the key is tried ends the start", async () => {
  const inner = new Recoverable();
  append((await inner.open()).messages, 1, bytes("x"));
  const { kept } = inner;
  const { lookup: read } = kept.messages;
  let reads = 0;
  kept.messages.lookup = (sequence, into) => ++reads === 1 ? LOOKUP_LATER : read.call(kept.messages, sequence, into);
  const store = new CryptStore(inner, { cipher: "AES", masterKey: masterKeyOf(KEY) }, {
    log: new RecordingLog(),
    random,
  });
  const recovered = store.recover();
  while (reads === 0) await Promise.resolve();
  await store.close();
  await recovered;
});

test("stores 8.5: the key of a channel is overwritten when the channel is gone", () => {
  const key = new Uint8Array(32).fill(7);
  const shared = new CryptShared(createAes(), [createAes()], new PlainCache(), new RecordingLog(), random);
  const messages = new CryptMessageStore(new Recoverable().kept.messages, shared, "c", key);
  messages.retire();
  assert.deepEqual(key, new Uint8Array(32));
});

test("stores 8.5: the master key is overwritten when the store is closed", async () => {
  const masterKey = masterKeyOf(KEY);
  const store = new CryptStore(new MemoryStore(testLimits()), { cipher: "AES", masterKey }, {
    log: new RecordingLog(),
    random,
  });
  await store.recover();
  await store.close();
  assert.deepEqual(new Uint8Array(masterKey), new Uint8Array(32));
});
