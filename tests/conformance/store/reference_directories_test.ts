/**
 * Directories that the reference wrote (tests/golden/filestore) open to what the reference made of them, or to better where
 * stores.md says so; every difference is named here.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { decodeMsgProto, MsgProtoView } from "../../../src/wire/stan_hot.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { CryptStore } from "../../../src/store/crypt/crypt_store.ts";
import { type CipherName, masterKeyOf } from "../../../src/store/crypt/sealed.ts";
import { FileStore } from "../../../src/store/file/file_store.ts";
import { FILE_STORE_DEFAULTS, type FileStoreOptions } from "../../../src/store/file/options.ts";
import {
  LOOKUP_FOUND,
  LOOKUP_LATER,
  type MessageStore,
  type MessageView,
  type RecoveredState,
  type Store,
  StoreError,
} from "../../../src/store/types.ts";
import { fileStoreWorld, RecordingLog } from "../../helpers/file_store.ts";
import { testLimits } from "./suite.ts";

const golden = new URL("../../golden/filestore/", import.meta.url).pathname;

interface ExpectedRead {
  readonly seq: number;
  readonly text?: string;
  readonly hex?: string;
  readonly size?: number;
  readonly sha256?: string;
}

interface ExpectedSubscription {
  readonly id: number;
  readonly clientID: string;
  readonly inbox: string;
  readonly queue: string;
  readonly durable: string;
  readonly isDurable: boolean;
  readonly maxInFlight: number;
  readonly ackWait: number;
  readonly lastSent: number;
  readonly pending: readonly number[];
}

interface ExpectedChannel {
  readonly msgs: number;
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
  readonly subs: readonly ExpectedSubscription[];
  readonly read: readonly ExpectedRead[];
}

interface ExpectedOpen {
  readonly name: string;
  readonly args: string;
  readonly refuses: boolean;
  readonly channels: Readonly<Record<string, ExpectedChannel>>;
  readonly clients: readonly string[];
}

const expected = JSON.parse(readFileSync(join(golden, "expected.json"), "utf8")) as Readonly<
  Record<string, { readonly opens: readonly ExpectedOpen[] }>
>;

/** How the reference was started, as options of ours. Undefined: not a matter of this store. */
const OPTIONS: Readonly<Record<string, Partial<FileStoreOptions> | undefined>> = {
  "": {},
  "-file_crc=false": { crc: false },
  "-file_crc_poly 2197175160": { crcPolynomial: 2197175160 },
  "-file_truncate_bad_eof": { truncateBadEnd: true },
  "-max_msgs 7": {},
  "-max_msgs 10": {},
  "-max_age 1s": {},
  "-sc limits.conf -file_slice_max_msgs 4": { sliceMaxMessages: 4 },
  "-clustered -cluster_node_id n1 -cluster_log_path raft (dir: store)": {},
};

/** `-encrypt -encryption_cipher NAME -encryption_key KEY`. */
const ENCRYPTED = /^-encrypt -encryption_cipher (AES|CHACHA) -encryption_key (\S+)$/;

function optionsFor(args: string): Partial<FileStoreOptions> | undefined {
  return ENCRYPTED.test(args) ? {} : OPTIONS[args];
}

/** The store as the server would open it. */
async function storeFor(args: string, inner: FileStore, log: RecordingLog): Promise<Store> {
  const [, cipher, key] = ENCRYPTED.exec(args) ?? [];
  if (cipher === undefined || key === undefined) return inner;
  const { random } = await pickRuntime();
  return new CryptStore(inner, { cipher: cipher as CipherName, masterKey: masterKeyOf(key) }, { log, random });
}

function limitsFor(args: string) {
  if (args === "-max_msgs 7") return testLimits({ maxMessages: 7 });
  if (args === "-max_msgs 10") return testLimits({ maxMessages: 10 });
  if (args === "-max_age 1s") return testLimits({ maxAgeMs: 1000 });
  if (args.startsWith("-sc limits.conf")) {
    const global = testLimits({ maxMessages: 10 });
    const small = testLimits({ maxMessages: 3, maxBytes: 200 });
    return { maxChannels: 0, forChannel: (name: string) => (name === "small" ? small : global).forChannel(name) };
  }
  return testLimits();
}

async function read(messages: MessageStore, sequence: number, view: MessageView): Promise<number> {
  for (;;) {
    const result = messages.lookup(sequence, view);
    if (result !== LOOKUP_LATER) return result;
    await new Promise<void>((resolve) => messages.onReadable = resolve);
  }
}

async function payloads(messages: MessageStore): Promise<ExpectedRead[]> {
  const found: ExpectedRead[] = [];
  const view: MessageView = { buffer: new Uint8Array(0), start: 0, end: 0 };
  const message = new MsgProtoView();
  for (let seq = messages.firstSequence; seq > 0 && seq <= messages.lastSequence; seq++) {
    if (await read(messages, seq, view) !== LOOKUP_FOUND) continue;
    assert.ok(decodeMsgProto(view.buffer, view.start, view.end, message));
    const data = view.buffer.slice(message.dataStart, message.dataEnd);
    found.push({ seq, hex: Buffer.from(data).toString("hex") });
  }
  return found;
}

function sameAs(expectedRead: ExpectedRead, foundHex: string): boolean {
  const bytes = Buffer.from(foundHex, "hex");
  if (expectedRead.hex !== undefined) return expectedRead.hex === foundHex;
  if (expectedRead.text !== undefined) return bytes.equals(Buffer.from(expectedRead.text));
  return bytes.length === expectedRead.size && createHash("sha256").update(bytes).digest("hex") === expectedRead.sha256;
}

interface Opened {
  readonly store: Store;
  readonly state: RecoveredState;
  readonly log: RecordingLog;
  readonly dir: string;
}

async function withCopy(
  name: string,
  args: string,
  options: Partial<FileStoreOptions>,
  work: (opened: Opened) => Promise<void> | void,
): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "stanchion-golden-"));
  try {
    const dir = join(root, "store");
    cpSync(join(golden, name === "raft-node" ? "raft-node/store" : name), dir, { recursive: true });
    const log = new RecordingLog();
    const inner = new FileStore(
      limitsFor(args),
      { ...FILE_STORE_DEFAULTS, dir, ...options },
      await fileStoreWorld({ log }),
    );
    const store = await storeFor(args, inner, log);
    try {
      const state = await store.recover();
      assert.ok(state !== undefined);
      await work({ store, state, log, dir });
    } finally {
      await store.close();
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** What ours opens where the reference refuses, or opens to more. */
const BETTER: Readonly<Record<string, (open: ExpectedOpen) => ExpectedOpen>> = {
  // stores.md 6.5, invariant 42: records behind the index are indexed, not overwritten.
  "idx-behind": (open) => {
    const whole = expected["zero-padded"]!.opens[0]!.channels.cut!;
    const channel = { ...open.channels.cut!, msgs: whole.msgs, bytes: whole.bytes, last: 6, read: whole.read };
    return { ...open, channels: { cut: channel } };
  },
  // The reference's list is what a subscription got, which stops at the first message that cannot be decrypted. Empty
  // payloads are not encrypted, so the store underneath has one that can be read under any key.
  "enc-aes": (open) => {
    if (open.name !== "wrong key") return open;
    const read = [{ seq: 2, text: "" }];
    const channels = Object.entries(open.channels).map(([name, channel]) => [name, { ...channel, read }] as const);
    return { ...open, channels: Object.fromEntries(channels) };
  },
  // stores.md 6.7: a position behind the last message is put back, pending ones behind it are dropped.
  "trunc-dat": (open) => {
    const { cut } = open.channels;
    const subs = cut!.subs.map((sub) => ({ ...sub, lastSent: 5, pending: [4, 5] }));
    return { ...open, channels: { cut: { ...cut!, subs } } };
  },
};

for (const [name, { opens }] of Object.entries(expected)) {
  for (const open of opens) {
    const options = optionsFor(open.args);
    if (options === undefined || open.name === "default polynomial") continue;
    // Decision 15: what the reference refuses without its truncate option heals by itself, to the same state.
    const wanted = open.refuses ? opens.find((other) => other.args === "-file_truncate_bad_eof")! : open;
    const better = BETTER[name]?.(wanted) ?? wanted;
    test(`stores 12.50: ${name} (${open.name}) opens ${open.refuses ? "by healing" : "as the reference opened it"}`, () =>
      withCopy(name, open.args, options, async ({ state, store }) => {
        assert.deepEqual(state.clients.map(({ id }) => id).sort(), [...better.clients].sort());
        assert.deepEqual(
          state.channels.map(({ store: { name } }) => name).sort(),
          Object.keys(better.channels).sort(),
        );
        for (const { store: channel, subscriptions } of state.channels) {
          const { messages } = channel;
          const want = better.channels[channel.name]!;
          if (open.args === "-max_age 1s") messages.expire(0x7fff_ffff, 0);
          assert.deepEqual(
            {
              first: messages.firstSequence,
              last: messages.lastSequence,
              msgs: messages.messageCount,
              bytes: messages.byteCount,
            },
            { first: want.first, last: want.last, msgs: want.msgs, bytes: want.bytes },
            channel.name,
          );
          const found = await payloads(messages);
          assert.deepEqual(found.map(({ seq }) => seq), want.read.map(({ seq }) => seq));
          for (const [i, { hex }] of found.entries()) assert.ok(sameAs(want.read[i]!, hex!), `message ${i}: ${hex}`);
          assert.deepEqual(
            subscriptions.map(({ record, pending }) => ({
              id: record.id,
              clientID: record.clientId,
              inbox: record.inbox,
              queue: record.queueGroup,
              durable: record.durableName,
              isDurable: record.isDurable,
              maxInFlight: record.maxInFlight,
              ackWait: record.ackWaitSecs,
              lastSent: record.lastSent,
              pending: [...pending],
            })),
            // A clustered store keeps no subscriptions: the replicated log has them (stores.md 9.1).
            (name === "raft-node" ? [] : want.subs).map((sub) => ({
              id: sub.id,
              clientID: sub.clientID,
              inbox: sub.inbox,
              queue: sub.queue,
              durable: sub.durable,
              isDurable: sub.isDurable,
              maxInFlight: sub.maxInFlight,
              ackWait: sub.ackWait,
              lastSent: sub.lastSent,
              pending: [...sub.pending],
            })).sort((a, b) => a.id - b.id),
          );
        }
        assert.equal(store.channelCount, Object.keys(better.channels).length);
      }));
  }
}

test("stores 12.7: with the wrong polynomial the start is refused, naming server.dat", async () => {
  await assert.rejects(
    withCopy("crc-castagnoli", "", {}, () => undefined),
    (error: unknown) =>
      error instanceof StoreError && error.code === "STORE_DAMAGED" &&
      /server file ".*server\.dat": corrupted data, expected crc to be 0x207555ed, got 0x93585c0e/.test(error.message),
  );
});

test("stores 12.8: with another polynomial and checking off all messages are served, and the index is rewritten", () =>
  withCopy("crc-castagnoli", "", { crc: false }, async ({ state, dir, log }) => {
    const before = readFileSync(join(golden, "crc-castagnoli/crc/msgs.1.idx"));
    const after = readFileSync(join(dir, "crc/msgs.1.idx"));
    assert.equal(after.length, before.length);
    assert.notDeepEqual(after, before);
    const found = await payloads(state.channels[0]!.store.messages);
    assert.deepEqual(found.map(({ hex }) => Buffer.from(hex!, "hex").toString()), ["crc-1", "crc-2", "crc-3", "crc-4"]);
    assert.ok(log.lines.some((line) => line.includes("msgs.1.idx") && line.includes("built anew")));
  }));

test("stores 12.82: the store of a replicated node has its name, no clients, and no subscriptions", () =>
  withCopy("raft-node", "", {}, async ({ state, dir }) => {
    assert.equal(state.server.nodeId, "n1");
    assert.deepEqual(state.clients, []);
    assert.equal(readFileSync(join(dir, "rep/subs.dat")).length, 4);
    const found = await payloads(state.channels[0]!.store.messages);
    assert.deepEqual(
      found.map(({ hex }) => Buffer.from(hex!, "hex").toString()),
      [1, 2, 3, 4, 5, 6, 7, 8].map((i) => `r-${i}`),
    );
  }));

test("stores 12.75: every open with encryption was tried, each cipher on the other's directory too", () => {
  const opens = ["enc-aes", "enc-chacha"].flatMap((name) =>
    expected[name]!.opens.filter(({ args }) => ENCRYPTED.test(args)).map((open) => `${name}: ${open.name}`)
  );
  assert.deepEqual(opens, [
    "enc-aes: AES",
    "enc-aes: CHACHA selected",
    "enc-aes: wrong key",
    "enc-chacha: CHACHA",
    "enc-chacha: AES selected",
  ]);
});

test("stores 12.78: with a wrong key the start says so in one line, and each message is named once", async () => {
  for (const name of ["enc-aes", "enc-chacha"]) {
    await withCopy(name, "-encrypt -encryption_cipher AES -encryption_key wrong", {}, async ({ state, log }) => {
      const errors = () => log.warnings;
      assert.deepEqual(errors(), [
        '[ERR] The encryption key does not fit the messages of channel "secret" and of 1 more: no encrypted message that ' +
        "was tried can be decrypted. They are kept, but not delivered. Stop the server and start it with the key that " +
        "they were stored with",
      ]);
      for (const { store } of state.channels) {
        // Twice: the second time nothing new is said.
        await payloads(store.messages);
        await payloads(store.messages);
      }
      const named = (channel: string) =>
        [1, 3, 4, 5].map((seq) =>
          `[ERR] Error looking up message ${channel}:${seq} (cipher: message authentication failed)`
        );
      assert.deepEqual(errors().slice(1), [...named("secret"), ...named("secret.two")]);
    });
  }
});
