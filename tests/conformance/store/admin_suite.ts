/**
 * The part of the store contract that operators use: removing messages for good, and putting a subscription back. Every store
 * runs it; what it leaves on disk is another test (`file_purge_test.ts`).
 */
import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { LOOKUP_NONE, type MessageStore, type MessageView, type StoreLimits } from "../../../src/store/types.ts";
import { subscription } from "../../helpers/store_records.ts";
import { fill, put, readAll, texts } from "./file_support.ts";
import { type StoreSuite, testLimits } from "./suite.ts";

function state({ firstSequence, lastSequence, messageCount }: MessageStore): number[] {
  return [firstSequence, lastSequence, messageCount];
}

/** Runs the suite. */
export function adminSuite({ name, make, supports }: StoreSuite): void {
  const withMessages = async (work: (messages: MessageStore) => Promise<void>, limits: StoreLimits = testLimits()) => {
    const store = await make(limits);
    try {
      await work(store.createChannel("foo").messages);
    } finally {
      await store.close();
    }
  };

  describe(`${name} store, for operators`, () => {
    for (const upTo of [1, 2, 6, 7, 8, 13, 14, 19, 20]) {
      test(`purge: 20 messages up to ${upTo} are gone, the others are as they were`, async () => {
        await withMessages(async (messages) => {
          const sizes: number[] = [];
          for (let sequence = 1; sequence <= 20; sequence++) sizes.push(put(messages, sequence, `m-${sequence}`));
          await messages.flush();
          messages.purge(upTo);
          await messages.flush();
          assert.deepEqual(state(messages), [upTo + 1, 20, 20 - upTo]);
          assert.deepEqual(await readAll(messages), upTo < 20 ? texts(upTo + 1, 20) : []);
          const kept = sizes.slice(upTo).reduce((sum, size) => sum + size + supports.bytesPerMessage, 0);
          assert.equal(messages.byteCount, kept);
        });
      });
    }

    test("purge: a sequence that is gone is not found, and none is given again", async () => {
      await withMessages(async (messages) => {
        fill(messages, 1, 9);
        await messages.flush();
        messages.purge(9);
        await messages.flush();
        const view: MessageView = { buffer: new Uint8Array(0), start: 0, end: 0 };
        for (const sequence of [1, 5, 9, 10]) assert.equal(messages.lookup(sequence, view), LOOKUP_NONE);
        assert.equal(messages.stampOf(9, { stampHigh: 0, stampLow: 0 }), false);
        assert.equal(messages.sequenceAtOrAfter(0, 0), 10);
        fill(messages, 10, 12);
        await messages.flush();
        assert.deepEqual(state(messages), [10, 12, 3]);
        assert.deepEqual(await readAll(messages), texts(10, 12));
      });
    });

    test("purge: what is stored between it and its flush stays", async () => {
      await withMessages(async (messages) => {
        fill(messages, 1, 9);
        messages.purge(9);
        fill(messages, 10, 11);
        await messages.flush();
        assert.deepEqual(state(messages), [10, 11, 2]);
        assert.deepEqual(await readAll(messages), texts(10, 11));
      });
    });

    test("purge: twice in one turn, again, of nothing, and of an empty channel", async () => {
      await withMessages(async (messages) => {
        messages.purge(0);
        await messages.flush();
        assert.deepEqual(state(messages), [0, 0, 0]);
        fill(messages, 1, 9);
        messages.purge(3);
        messages.purge(9);
        messages.purge(9);
        messages.purge(2);
        await messages.flush();
        assert.deepEqual(state(messages), [10, 9, 0]);
        assert.equal(messages.byteCount, 0);
        messages.purge(9);
        await messages.flush();
        fill(messages, 10, 10);
        messages.purge(10);
        await messages.flush();
        assert.deepEqual(state(messages), [11, 10, 0]);
      });
    });

    test("purge and limits: each removes what the other left", async () => {
      await withMessages(async (messages) => {
        fill(messages, 1, 30);
        await messages.flush();
        assert.deepEqual(state(messages), [21, 30, 10]);
        messages.purge(25);
        fill(messages, 31, 33);
        await messages.flush();
        assert.deepEqual(state(messages), [26, 33, 8]);
        fill(messages, 34, 40);
        await messages.flush();
        assert.deepEqual(state(messages), [31, 40, 10]);
        assert.deepEqual(await readAll(messages), texts(31, 40));
      }, testLimits({ maxMessages: 10 }));
    });

    test("replace: an id that is there stays one, an unknown one is created", async () => {
      const store = await make(testLimits());
      try {
        const { subscriptions } = store.createChannel("foo");
        const id = subscriptions.create(subscription("me", { lastSent: 9 }));
        subscriptions.replace({ ...subscription("me"), id, lastSent: 2 }, [1, 2]);
        assert.equal(subscriptions.subscriptionCount, 1);
        subscriptions.replace({ ...subscription("you"), id: 7 }, []);
        assert.equal(subscriptions.subscriptionCount, 2);
        assert.equal(subscriptions.create(subscription("they")), 8);
        await subscriptions.flush();
      } finally {
        await store.close();
      }
    });
  });
}
