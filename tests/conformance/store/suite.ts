/**
 * The contract of src/store/types.ts as an executable suite: every store runs it (stores.md 1, 2.4, 12). A store that
 * answers LOOKUP_LATER is served: the suite waits for `onReadable` and asks again.
 */
import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { bytesOf, byteString } from "../../../src/base/bytes.ts";
import { decodeMsgProto, msgProtoSize, MsgProtoView } from "../../../src/wire/stan_hot.ts";
import {
  APPEND_FAILED,
  type ChannelLimits,
  type ClientRecord,
  LOOKUP_FAILED,
  LOOKUP_FOUND,
  LOOKUP_LATER,
  LOOKUP_NONE,
  type MessageStore,
  type MessageView,
  type ServerRecord,
  type Store,
  StoreError,
  type StoreErrorCode,
  type StoreLimits,
} from "../../../src/store/types.ts";
import { bytesField, joinBytes } from "../../bench/frames.ts";
import { subscription } from "../../helpers/store_records.ts";
import { SeededRandom } from "./random.ts";

/** What the suite has to know about a store. */
export interface StoreSupports {
  /** What `byteCount` adds to the encoded size of each message (stores.md 2.4): 0 for MEMORY and SQL, 40 for FILE. */
  readonly bytesPerMessage: number;
  /** `create` of a subscription in a second channel starts at 1 again (not in SQL: ids are per database). */
  readonly subscriptionIdsPerChannel: boolean;
  /** Largest message worth trying. */
  readonly messageBytesMax: number;
  /** What a payload that is not empty is longer when it is stored: 29 with encryption (stores.md 8.3). */
  readonly sealBytes?: number;
}

/** What a store must give to be tested. */
export interface StoreSuite {
  readonly name: string;
  /** A fresh, recovered and initialised store without any state. The suite closes it. */
  make(limits: StoreLimits): Promise<Store>;
  readonly supports: StoreSupports;
}

/** Limits for tests: unlimited unless said. */
export function testLimits(channel: Partial<ChannelLimits> = {}, maxChannels = 0): StoreLimits {
  const limits: ChannelLimits = {
    maxSubscriptions: 0,
    maxMessages: 0,
    maxBytes: 0,
    maxAgeMs: 0,
    maxInactivityMs: 0,
    ...channel,
  };
  return { maxChannels, forChannel: () => limits };
}

const NOTHING = new Uint8Array(0);
const FILLER = new Uint8Array(3).fill(0xee);
const NS_PER_MS = 1_000_000n;
/** 2026-01-01, so that stamps have the size they have in life. */
const EPOCH_NS = 1_767_225_600_000_000_000n;

interface Kept {
  readonly sequence: number;
  readonly stampNs: bigint;
  readonly data: Uint8Array;
  readonly reply: Uint8Array;
  readonly size: number;
}

const high = (ns: bigint): number => Number(ns >> 32n);
const low = (ns: bigint): number => Number(ns & 0xffff_ffffn);

/**
 * Appends like the server does: parts of a larger buffer, which is overwritten afterwards. Every other message is given as it
 * stands in the PubMsg of a client, with the name of the channel in front.
 */
function put(
  store: MessageStore,
  sequence: number,
  stampNs: bigint,
  data: Uint8Array,
  reply: Uint8Array,
  channel = "foo",
): number {
  const isPubMsg = sequence % 2 === 0;
  const before = joinBytes([FILLER, isPubMsg ? bytesField(3, bytesOf(channel)) : FILLER]);
  const replyField = reply.length > 0 ? bytesField(4, reply) : NOTHING;
  const dataField = data.length > 0 ? bytesField(5, data) : NOTHING;
  const source = joinBytes([before, replyField, dataField, FILLER]);
  const replyEnd = before.length + replyField.length;
  const dataEnd = replyEnd + dataField.length;
  const size = store.append(
    sequence,
    high(stampNs),
    low(stampNs),
    source,
    replyEnd - reply.length,
    replyEnd,
    dataEnd - data.length,
    dataEnd,
    isPubMsg ? before.length - channel.length : undefined,
  );
  source.fill(0xdd);
  return size;
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function putText(store: MessageStore, sequence: number, stampNs: bigint, value: string, channel?: string): number {
  return put(store, sequence, stampNs, text(value), NOTHING, channel);
}

function newView(): MessageView {
  return { buffer: new Uint8Array(0), start: 0, end: 0 };
}

async function lookup(store: MessageStore, sequence: number, view: MessageView): Promise<number> {
  for (;;) {
    const result = store.lookup(sequence, view);
    if (result !== LOOKUP_LATER) return result;
    await new Promise<void>((resolve) => store.onReadable = resolve);
  }
}

async function assertKept(store: MessageStore, channel: string, kept: Kept): Promise<void> {
  const view = newView();
  assert.equal(await lookup(store, kept.sequence, view), LOOKUP_FOUND, `sequence ${kept.sequence}`);
  const message = new MsgProtoView();
  assert.equal(decodeMsgProto(view.buffer, view.start, view.end, message), true);
  assert.equal(message.sequence, kept.sequence);
  assert.equal(byteString(view.buffer, message.subjectStart, message.subjectEnd), channel);
  assert.deepEqual(view.buffer.slice(message.dataStart, message.dataEnd), kept.data);
  assert.deepEqual(view.buffer.slice(message.replyStart, message.replyEnd), kept.reply);
  assert.equal(message.stampHigh, high(kept.stampNs));
  assert.equal(message.stampLow, low(kept.stampNs));
  // What is delivered is the plain message, which is not always as long as what is stored and counted.
  assert.equal(
    view.end - view.start,
    msgProtoSize(
      kept.sequence,
      channel.length,
      kept.reply.length,
      kept.data.length,
      high(kept.stampNs),
      low(kept.stampNs),
    ),
  );
  assert.equal(message.redelivered, false);
  const stamp = { stampHigh: 0, stampLow: 0 };
  assert.equal(store.stampOf(kept.sequence, stamp), true);
  assert.deepEqual(stamp, { stampHigh: high(kept.stampNs), stampLow: low(kept.stampNs) });
}

async function assertNone(store: MessageStore, sequence: number): Promise<void> {
  assert.equal(await lookup(store, sequence, newView()), LOOKUP_NONE, `sequence ${sequence}`);
  assert.equal(store.stampOf(sequence, { stampHigh: 0, stampLow: 0 }), false);
}

function assertState(store: MessageStore, first: number, last: number, count: number): void {
  assert.deepEqual(
    { first: store.firstSequence, last: store.lastSequence, count: store.messageCount },
    { first, last, count },
  );
}

function assertRefuses(code: StoreErrorCode, message: string | undefined, work: () => unknown): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof StoreError);
    assert.equal(error.code, code);
    if (message !== undefined) assert.equal(error.message, message);
    return true;
  });
}

export const TEST_SERVER: ServerRecord = {
  clusterId: "test-cluster",
  discovery: "_STAN.discover.test-cluster",
  publish: "_STAN.pub.test-cluster",
  subscribe: "_STAN.sub.test-cluster",
  unsubscribe: "_STAN.unsub.test-cluster",
  close: "_STAN.close.test-cluster",
  subClose: "_STAN.subclose.test-cluster",
  acks: "_STAN.ack.test-cluster",
  nodeId: "",
};

const CLIENT: ClientRecord = {
  id: "me",
  heartbeatInbox: "_INBOX.hb",
  connectionId: "c1",
  protocol: 1,
  pingIntervalSecs: 5,
  pingMaxOut: 3,
};

/** Registers the suite for one store. */
export function storeSuite({ name, make, supports }: StoreSuite): void {
  async function withStore(limits: StoreLimits, work: (store: Store) => Promise<void> | void): Promise<void> {
    const store = await make(limits);
    try {
      await work(store);
    } finally {
      await store.close();
    }
  }

  async function withChannel(
    limits: Partial<ChannelLimits>,
    work: (store: MessageStore) => Promise<void> | void,
  ): Promise<void> {
    await withStore(testLimits(limits), (store) => work(store.createChannel("foo").messages));
  }

  describe(`${name} store`, () => {
    test("1.4: a new channel has 0, 0 and nothing to find", async () => {
      await withChannel({ maxAgeMs: 1000 }, async (messages) => {
        assertState(messages, 0, 0, 0);
        assert.equal(messages.byteCount, 0);
        for (const sequence of [0, 1, 2, Number.MAX_SAFE_INTEGER, -1]) await assertNone(messages, sequence);
        assert.equal(messages.sequenceAtOrAfter(high(EPOCH_NS), low(EPOCH_NS)), 0);
        assert.equal(messages.expire(high(EPOCH_NS), low(EPOCH_NS)), 0);
      });
    });

    test("1.4: sequences count from 1, every message is found at once and after the flush", async () => {
      await withChannel({}, async (messages) => {
        const kept: Kept[] = [];
        let bytes = 0;
        for (let sequence = 1; sequence <= 300; sequence++) {
          const data = text(`message ${sequence}`);
          const reply = sequence % 3 === 0 ? text(`reply.${sequence}`) : new Uint8Array(0);
          const stampNs = EPOCH_NS + BigInt(sequence) * 1_000_003n;
          const size = put(messages, sequence, stampNs, data, reply);
          assert.ok(size > data.length);
          bytes += size + supports.bytesPerMessage;
          kept.push({ sequence, stampNs, data, reply, size });
          await assertKept(messages, "foo", kept[sequence - 1]!);
        }
        assertState(messages, 1, 300, 300);
        assert.equal(messages.byteCount, bytes);
        await messages.flush();
        for (const message of kept) await assertKept(messages, "foo", message);
        await assertNone(messages, 0);
        await assertNone(messages, 301);
      });
    });

    test("12.12: an empty payload has no field 4", async () => {
      await withChannel({}, async (messages) => {
        put(messages, 1, EPOCH_NS, new Uint8Array(0), text("rr"));
        const view = newView();
        assert.equal(await lookup(messages, 1, view), LOOKUP_FOUND);
        const hex = Array.from(view.buffer.subarray(view.start, view.end), (byte) => byte.toString(16).padStart(2, "0"))
          .join("");
        assert.match(hex, /^08011203666f6f1a02727228[0-9a-f]{18}$/);
      });
    });

    test("2.4: max messages removes the oldest, and says so once per life", async () => {
      await withChannel({ maxMessages: 3 }, async (messages) => {
        let reached = 0;
        messages.onLimitReached = () => reached++;
        for (let sequence = 1; sequence <= 3; sequence++) putText(messages, sequence, EPOCH_NS, "x");
        assert.equal(reached, 0);
        for (let sequence = 4; sequence <= 10; sequence++) putText(messages, sequence, EPOCH_NS, "x");
        assert.equal(reached, 1);
        assertState(messages, 8, 10, 3);
        await assertNone(messages, 7);
        messages.empty();
        for (let sequence = 1; sequence <= 4; sequence++) putText(messages, sequence, EPOCH_NS, "x");
        assert.equal(reached, 2);
        await messages.flush();
      });
    });

    test("2.4: with max messages 1 and with max bytes 1 exactly one message is kept", async () => {
      for (const limits of [{ maxMessages: 1 }, { maxBytes: 1 }]) {
        await withChannel(limits, async (messages) => {
          for (let sequence = 1; sequence <= 200; sequence++) {
            const size = putText(messages, sequence, EPOCH_NS, `data ${sequence}`);
            assertState(messages, sequence, sequence, 1);
            assert.equal(messages.byteCount, size + supports.bytesPerMessage);
          }
          await messages.flush();
        });
      }
    });

    test("2.4, 12.17: a message larger than max bytes is kept until the next one", async () => {
      await withChannel({ maxBytes: 500 }, async (messages) => {
        put(messages, 1, EPOCH_NS, new Uint8Array(1000), new Uint8Array(0));
        assertState(messages, 1, 1, 1);
        putText(messages, 2, EPOCH_NS, "small");
        assertState(messages, 2, 2, 1);
        await messages.flush();
      });
    });

    test("2.4: max bytes counts what byteCount counts", async () => {
      await withChannel({ maxBytes: 10 * (100 + supports.bytesPerMessage) }, async (messages) => {
        let sequence = 0;
        let last = 0;
        // Messages of exactly 100 encoded bytes: ten fit, the eleventh removes one.
        const data = new Uint8Array(100 - 2 - 5 - 2 - 10 - (supports.sealBytes ?? 0));
        while (sequence < 10) last = put(messages, ++sequence, EPOCH_NS, data, new Uint8Array(0));
        assert.equal(last, 100);
        assertState(messages, 1, 10, 10);
        put(messages, ++sequence, EPOCH_NS, data, new Uint8Array(0));
        assertState(messages, 2, 11, 10);
        assert.equal(messages.byteCount, 10 * (100 + supports.bytesPerMessage));
        await messages.flush();
      });
    });

    test("1.4, 12.18: sequence from a timestamp", async () => {
      await withChannel({ maxMessages: 50 }, async (messages) => {
        const at = (ns: bigint) => messages.sequenceAtOrAfter(high(ns), low(ns));
        // Stamps rise over a border of the low half, with equal ones among them.
        const start = (EPOCH_NS | 0xffff_ffffn) - 40n * NS_PER_MS;
        const stamps = new Map<number, bigint>();
        for (let sequence = 1; sequence <= 100; sequence++) {
          const stampNs = start + BigInt(Math.floor(sequence / 2)) * NS_PER_MS * 2n;
          stamps.set(sequence, stampNs);
          putText(messages, sequence, stampNs, "x");
        }
        assertState(messages, 51, 100, 50);
        assert.equal(at(0n), 51);
        assert.equal(at(stamps.get(1)!), 51);
        for (let sequence = 52; sequence <= 100; sequence++) {
          const firstWithStamp = sequence - sequence % 2;
          assert.equal(at(stamps.get(sequence)!), firstWithStamp);
          assert.equal(at(stamps.get(sequence)! - 1n), firstWithStamp);
          assert.equal(at(stamps.get(sequence)! + 1n), firstWithStamp + 2 > 100 ? 101 : firstWithStamp + 2);
        }
        assert.equal(at(stamps.get(100)! + 1n), 101);
        assert.equal(at(0xffff_ffff_ffff_ffffn), 101);
        await messages.flush();
      });
    });

    test("2.4: max age removes from the front when now - stamp has reached it, and says when to come again", async () => {
      await withChannel({ maxAgeMs: 1000 }, async (messages) => {
        const expire = (ns: bigint) => messages.expire(high(ns), low(ns));
        const second = 1000n * NS_PER_MS;
        for (let sequence = 1; sequence <= 10; sequence++) {
          putText(messages, sequence, EPOCH_NS + BigInt(sequence) * NS_PER_MS, "x");
        }
        const due = Number(EPOCH_NS / NS_PER_MS) + 1000;
        assert.equal(expire(EPOCH_NS), due + 1);
        assert.equal(expire(EPOCH_NS - 10n * second), due + 1);
        assert.equal(expire(EPOCH_NS + NS_PER_MS + second - 1n), due + 1);
        assertState(messages, 1, 10, 10);
        assert.equal(expire(EPOCH_NS + NS_PER_MS + second), due + 2);
        assertState(messages, 2, 10, 9);
        await assertNone(messages, 1);
        assert.equal(expire(EPOCH_NS + 5n * NS_PER_MS + second), due + 6);
        assertState(messages, 6, 10, 5);
        assert.equal(expire(EPOCH_NS + 60n * second), 0);
        assertState(messages, 11, 10, 0);
        assert.equal(messages.byteCount, 0);
        assert.equal(messages.sequenceAtOrAfter(0, 0), 11);
        for (const sequence of [0, 10, 11]) await assertNone(messages, sequence);
        assert.equal(expire(EPOCH_NS + 60n * second), 0);
        // The sequence goes on behind what is gone.
        putText(messages, 11, EPOCH_NS + 61n * second, "y");
        assertState(messages, 11, 11, 1);
        await messages.flush();
      });
    });

    test("2.4: the time to come again is a whole millisecond that is not too early", async () => {
      await withChannel({ maxAgeMs: 1500 }, async (messages) => {
        putText(messages, 1, EPOCH_NS + 1n, "x");
        const again = messages.expire(high(EPOCH_NS + 1n), low(EPOCH_NS + 1n));
        assert.equal(again, Number(EPOCH_NS / NS_PER_MS) + 1501);
        const then = BigInt(again) * NS_PER_MS;
        assert.equal(messages.expire(high(then), low(then)), 0);
        assertState(messages, 2, 1, 0);
        await messages.flush();
      });
    });

    test("2.4: without max age nothing expires and there is nothing to wait for", async () => {
      await withChannel({}, async (messages) => {
        putText(messages, 1, EPOCH_NS, "x");
        assert.equal(messages.expire(0xffff_ffff, 0xffff_ffff), 0);
        assertState(messages, 1, 1, 1);
        await messages.flush();
      });
    });

    test("1.4: empty resets to 0, 0, and any first sequence is accepted afterwards", async () => {
      await withChannel({}, async (messages) => {
        for (let sequence = 1; sequence <= 20; sequence++) putText(messages, sequence, EPOCH_NS, "x");
        messages.empty();
        assertState(messages, 0, 0, 0);
        assert.equal(messages.byteCount, 0);
        assert.equal(messages.sequenceAtOrAfter(high(EPOCH_NS), low(EPOCH_NS)), 0);
        await assertNone(messages, 1);
        await messages.flush();
        const size = putText(messages, 1000, EPOCH_NS, "y");
        putText(messages, 1001, EPOCH_NS, "z");
        assertState(messages, 1000, 1001, 2);
        await assertNone(messages, 999);
        await assertKept(messages, "foo", {
          sequence: 1000,
          stampNs: EPOCH_NS,
          data: text("y"),
          reply: new Uint8Array(0),
          size,
        });
        await messages.flush();
      });
    });

    test("sequences above 2^32 are exact", async () => {
      await withChannel({ maxMessages: 5 }, async (messages) => {
        const start = Number.MAX_SAFE_INTEGER - 20;
        for (let i = 0; i < 10; i++) {
          const size = putText(messages, start + i, EPOCH_NS + BigInt(i), `n${i}`);
          await assertKept(messages, "foo", {
            sequence: start + i,
            stampNs: EPOCH_NS + BigInt(i),
            data: text(`n${i}`),
            reply: new Uint8Array(0),
            size,
          });
        }
        assertState(messages, start + 5, start + 9, 5);
        await messages.flush();
      });
    });

    test("message sizes slide over every power of two", async () => {
      await withChannel({}, async (messages) => {
        const kept: Kept[] = [];
        const random = new SeededRandom(7);
        let sequence = 0;
        const add = (length: number) => {
          const data = random.bytes(length);
          const reply = random.bytes(random.below(3) * 40);
          const stampNs = EPOCH_NS + BigInt(++sequence);
          kept.push({ sequence, stampNs, data, reply, size: put(messages, sequence, stampNs, data, reply) });
        };
        for (let size = 1; size <= supports.messageBytesMax; size *= 2) {
          for (let delta = -24; delta <= 1; delta += size < 4096 ? 5 : 12) if (size + delta >= 0) add(size + delta);
        }
        for (const message of kept) await assertKept(messages, "foo", message);
        await messages.flush();
        for (const message of kept.reverse()) await assertKept(messages, "foo", message);
      });
    });

    test("channels do not see each other", async () => {
      await withStore(testLimits({ maxMessages: 100 }), async (store) => {
        const names = ["foo", "foo.bar", "FOO.x y", "\u00ff\u0080", "a".repeat(100)];
        const sizes = new Map<string, number>();
        const channels = names.map((channel) => store.createChannel(channel));
        for (let sequence = 1; sequence <= 150; sequence++) {
          for (const channel of channels) {
            sizes.set(
              `${channel.name} ${sequence}`,
              putText(channel.messages, sequence, EPOCH_NS, `${sequence} in ${channel.name}`, channel.name),
            );
          }
        }
        for (const channel of channels) {
          assertState(channel.messages, 51, 150, 100);
          for (let sequence = 51; sequence <= 150; sequence++) {
            await assertKept(channel.messages, channel.name, {
              sequence,
              stampNs: EPOCH_NS,
              data: text(`${sequence} in ${channel.name}`),
              reply: new Uint8Array(0),
              size: sizes.get(`${channel.name} ${sequence}`)!,
            });
          }
          await channel.messages.flush();
        }
      });
    });

    for (const seed of [1, 2, 3, 4]) {
      test(`a random history agrees with a naive model, seed ${seed}`, async () => {
        const random = new SeededRandom(seed);
        const limits = {
          maxMessages: seed % 2 === 0 ? 60 : 0,
          maxBytes: seed > 1 ? 40_000 : 0,
          maxAgeMs: seed === 3 ? 0 : 5000,
        };
        await withChannel(limits, async (messages) => {
          let model: Kept[] = [];
          let first = 0;
          let last = 0;
          let nowNs = EPOCH_NS;
          const bytes = () => model.reduce((sum, { size }) => sum + size + supports.bytesPerMessage, 0);
          const trim = () => {
            if (model.length > 0) first = model[0]!.sequence;
            else if (last > 0) first = last + 1;
          };
          for (let step = 0; step < 3000; step++) {
            const choice = random.below(1000);
            nowNs += BigInt(random.below(20_000_000)) * BigInt(random.below(2));
            if (choice < 700) {
              const length = random.below(10) === 0 ? random.below(9000) : random.below(200);
              const data = random.bytes(length);
              const reply = random.bytes(random.below(4) === 0 ? random.below(60) : 0);
              const sequence = ++last;
              const size = put(messages, sequence, nowNs, data, reply);
              assert.notEqual(size, APPEND_FAILED);
              model.push({ sequence, stampNs: nowNs, data, reply, size });
              while (
                model.length > 1 &&
                ((limits.maxMessages > 0 && model.length > limits.maxMessages) ||
                  (limits.maxBytes > 0 && bytes() > limits.maxBytes))
              ) model.shift();
            } else if (choice < 900) {
              const sequence = random.below(last + 3);
              const kept = model.find((message) => message.sequence === sequence);
              if (kept === undefined) await assertNone(messages, sequence);
              else await assertKept(messages, "foo", kept);
            } else if (choice < 950) {
              const stampNs = nowNs - BigInt(random.below(4_000_000_000));
              const expected = model.find((message) => message.stampNs >= stampNs)?.sequence ??
                (last === 0 ? 0 : last + 1);
              assert.equal(messages.sequenceAtOrAfter(high(stampNs), low(stampNs)), expected);
            } else if (choice < 990) {
              const jump = random.below(20) === 0 ? 6_000_000_000n : 0n;
              nowNs += jump;
              const again = messages.expire(high(nowNs), low(nowNs));
              const ageNs = BigInt(limits.maxAgeMs) * NS_PER_MS;
              if (ageNs > 0n) model = model.filter((message) => nowNs - message.stampNs < ageNs);
              const head = model[0];
              const due = head === undefined || ageNs === 0n ? 0n : head.stampNs + ageNs;
              assert.equal(again, Number((due + NS_PER_MS - 1n) / NS_PER_MS));
            } else if (choice === 990) {
              messages.empty();
              model = [];
              first = last = 0;
            } else {
              await messages.flush();
            }
            trim();
            assertState(messages, first, last, model.length);
            assert.equal(messages.byteCount, bytes());
          }
          for (const kept of model) await assertKept(messages, "foo", kept);
        });
      });
    }

    test("1.2: create channel refuses a known name before it counts", async () => {
      await withStore(testLimits({}, 2), async (store) => {
        const foo = store.createChannel("foo");
        assert.equal(foo.name, "foo");
        assert.equal(store.channel("foo"), foo);
        assert.equal(store.channel("bar"), undefined);
        store.createChannel("bar");
        assertRefuses("STORE_ALREADY_EXISTS", "already exists", () => store.createChannel("foo"));
        assertRefuses("STORE_TOO_MANY_CHANNELS", "too many channels", () => store.createChannel("baz"));
        assert.equal(store.channelCount, 2);
        await store.flush();
      });
    });

    test("1.2, 12.31: a deleted channel is gone, and a new one of its name starts at 1", async () => {
      await withStore(testLimits({}, 1), async (store) => {
        assertRefuses("STORE_NOT_FOUND", "not found", () => store.deleteChannel("foo"));
        const old = store.createChannel("foo");
        putText(old.messages, 1, EPOCH_NS, "x");
        await old.messages.flush();
        store.deleteChannel("foo");
        assert.equal(store.channelCount, 0);
        assert.equal(store.channel("foo"), undefined);
        assertRefuses("STORE_NOT_FOUND", "not found", () => store.deleteChannel("foo"));
        const again = store.createChannel("foo");
        assertState(again.messages, 0, 0, 0);
        putText(again.messages, 1, EPOCH_NS, "y");
        assertState(again.messages, 1, 1, 1);
        await again.messages.flush();
      });
    });

    test("1.3: subscription ids count from 1 and are not used twice", async () => {
      await withStore(testLimits(), async (store) => {
        const { subscriptions } = store.createChannel("foo");
        const record = subscription("me");
        assert.equal(subscriptions.create(record), 1);
        assert.equal(record.id, 1);
        assert.equal(subscriptions.create(subscription("you")), 2);
        subscriptions.delete(2);
        assert.equal(subscriptions.subscriptionCount, 1);
        assert.equal(subscriptions.create(subscription("you")), 3);
        subscriptions.delete(99);
        subscriptions.update({ ...record, lastSent: 7 });
        assert.equal(subscriptions.subscriptionCount, 2);
        await subscriptions.flush();
        const other = store.createChannel("bar").subscriptions;
        assert.equal(other.create(subscription("me")), supports.subscriptionIdsPerChannel ? 1 : 4);
        await other.flush();
      });
    });

    test("1.3: an update of an unknown id creates it", async () => {
      await withStore(testLimits(), async (store) => {
        const { subscriptions } = store.createChannel("foo");
        subscriptions.update({ ...subscription("me"), id: 5 });
        assert.equal(subscriptions.subscriptionCount, 1);
        assert.equal(subscriptions.create(subscription("you")), 6);
        await subscriptions.flush();
      });
    });

    test("1.3: the limit on subscriptions counts those that are there", async () => {
      await withStore(testLimits({ maxSubscriptions: 2 }), async (store) => {
        const { subscriptions } = store.createChannel("foo");
        const first = subscriptions.create(subscription("a"));
        subscriptions.create(subscription("b"));
        assertRefuses(
          "STORE_TOO_MANY_SUBSCRIPTIONS",
          "too many subscriptions per channel",
          () => subscriptions.create(subscription("c")),
        );
        assert.equal(subscriptions.subscriptionCount, 2);
        subscriptions.delete(first);
        assert.equal(subscriptions.create(subscription("c")), 3);
        await subscriptions.flush();
      });
    });

    test("1.3: pending and acknowledged sequences, known, repeated and unknown, are harmless", async () => {
      await withStore(testLimits(), async (store) => {
        const { subscriptions } = store.createChannel("foo");
        const id = subscriptions.create(subscription("me"));
        assert.equal(subscriptions.addPending(id, 1), true);
        assert.equal(subscriptions.addPending(id, 1), true);
        assert.equal(subscriptions.ackPending(id, 1), true);
        assert.equal(subscriptions.ackPending(id, 1), true);
        assert.equal(subscriptions.ackPending(id, 99), true);
        assert.equal(subscriptions.addPending(77, 1), true);
        assert.equal(subscriptions.ackPending(77, 1), true);
        await subscriptions.flush();
      });
    });

    test("1.2: server and client records are replaced and removed without complaint", async () => {
      await withStore(testLimits(), async (store) => {
        store.init(TEST_SERVER);
        store.init({ ...TEST_SERVER, nodeId: "a" });
        store.addClient(CLIENT);
        store.addClient({ ...CLIENT, connectionId: "c2" });
        store.deleteClient("me");
        store.deleteClient("me");
        await store.flush();
      });
    });

    test("1.2, 1.4: a closed store refuses, and a second close does nothing", async () => {
      const store = await make(testLimits());
      const channel = store.createChannel("foo");
      putText(channel.messages, 1, EPOCH_NS, "x");
      channel.subscriptions.create(subscription("me"));
      await store.close();
      await store.close();
      assertRefuses("STORE_CLOSED", undefined, () => store.createChannel("bar"));
      assertRefuses("STORE_CLOSED", undefined, () => store.deleteChannel("foo"));
      assertRefuses("STORE_CLOSED", undefined, () => store.addClient(CLIENT));
      assertRefuses("STORE_CLOSED", undefined, () => store.deleteClient("me"));
      assertRefuses("STORE_CLOSED", undefined, () => store.init(TEST_SERVER));
      await assert.rejects(store.recover(), (error: unknown) => {
        return error instanceof StoreError && error.code === "STORE_CLOSED";
      });
      assert.equal(putText(channel.messages, channel.messages.lastSequence + 1, EPOCH_NS, "y"), APPEND_FAILED);
      assert.notEqual(channel.messages.lastError, "");
      const found = channel.messages.lookup(1, newView());
      assert.ok(found === LOOKUP_NONE || found === LOOKUP_FAILED);
      assert.equal(channel.subscriptions.addPending(1, 1), false);
      assert.equal(channel.subscriptions.ackPending(1, 1), false);
      assertRefuses("STORE_CLOSED", undefined, () => channel.subscriptions.create(subscription("me")));
    });

    test("1.4: a deleted channel's old handle stores nothing", async () => {
      await withStore(testLimits(), (store) => {
        const { messages } = store.createChannel("foo");
        putText(messages, 1, EPOCH_NS, "x");
        store.deleteChannel("foo");
        assert.equal(putText(messages, messages.lastSequence + 1, EPOCH_NS, "y"), APPEND_FAILED);
        assert.notEqual(messages.lastError, "");
        assert.notEqual(messages.lookup(1, newView()), LOOKUP_FOUND);
      });
    });
  });
}
