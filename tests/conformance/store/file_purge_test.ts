/** What operators' actions leave in a directory of the FILE store, and what another start, or the reference, makes of it. */
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { subscription } from "../../helpers/store_records.ts";
import { readStore, realFiles } from "../../helpers/store_validator.ts";
import { channelOf, fill, inDirectory, readAll, stateOf, subscriptionsOf, texts } from "./file_support.ts";

test("stores 5.6, 6.2: a purged channel keeps nothing but its last sequence, for the reference, too", async () => {
  await inDirectory(async (directory) => {
    const { store } = await directory.open({ sliceMaxMessages: 4 });
    const { messages } = store.createChannel("foo");
    fill(messages, 1, 10);
    await store.flush();
    await messages.flush();
    messages.purge(10);
    await messages.flush();
    assert.deepEqual(stateOf(messages), [11, 10, 0, 0]);
    // What the store does by itself a moment later: the old slices go when a marker is safe.
    await messages.flush();
    // No close: what was answered is there after a kill.
    const crashed = directory.crashed();
    try {
      assert.deepEqual(crashed.names("foo"), [".purged", "msgs.4.dat", "msgs.4.idx", "subs.dat"]);
      assert.match(readFileSync(crashed.path("foo/.purged"), "latin1"), /^purged 10 \d{19} [0-9a-f]{8}\n$/);
      assert.equal(new TextDecoder("latin1").decode(crashed.bytes("foo/msgs.4.dat")).includes("m-"), false);
      const { problems, channels } = readStore(realFiles, crashed.dir);
      assert.deepEqual(problems, []);
      // The reference finds one empty message of the last sequence, and goes on behind it.
      const left = [...channels.get("foo")!.messages.values()];
      assert.deepEqual(left.map(({ sequence, data }) => [sequence, data.length]), [[10, 0]]);
      const again = await crashed.open();
      const reopened = channelOf(again, "foo").messages;
      assert.deepEqual(stateOf(reopened), [11, 10, 0, 0]);
      assert.deepEqual(again.log.warnings, []);
      fill(reopened, 11, 12);
      await reopened.flush();
      assert.deepEqual(await readAll(reopened), texts(11, 12));
    } finally {
      await crashed.end();
    }
  });
});

test("stores 5.6: a channel that is purged in part stays so, whatever the limits are at the next start", async () => {
  await inDirectory(async (directory) => {
    const { store } = await directory.open({ sliceMaxMessages: 4 });
    const { messages } = store.createChannel("foo");
    fill(messages, 1, 10);
    await store.flush();
    messages.purge(6);
    await messages.flush();
    const crashed = directory.crashed();
    try {
      // Slices that hold nothing any more are gone.
      assert.equal(crashed.names("foo").includes("msgs.1.dat"), false);
      assert.equal(crashed.names("foo").includes("msgs.2.dat"), true);
      const reopened = channelOf(await crashed.open(), "foo").messages;
      assert.deepEqual([reopened.firstSequence, reopened.messageCount], [7, 4]);
      assert.deepEqual(await readAll(reopened), texts(7, 10));
    } finally {
      await crashed.end();
    }
  });
});

test("stores 5.15: a log that the reference began anew is not hidden by the purge of the one before", async () => {
  for (const count of [3, 10, 12]) {
    await inDirectory(async (directory) => {
      const first = await directory.open();
      const { messages } = first.store.createChannel("foo");
      fill(messages, 1, 10);
      await first.store.flush();
      messages.purge(10);
      await messages.flush();
      await first.store.close();
      // What its Empty removes, and what it stores then; our file stays because it does not know it.
      const mark = readFileSync(directory.path("foo/.purged"));
      for (const name of directory.names("foo")) {
        if (name.startsWith("msgs.")) rmSync(directory.path(`foo/${name}`));
      }
      rmSync(directory.path("foo/.purged"));
      const second = await directory.open();
      const anew = channelOf(second, "foo").messages;
      for (let i = 1; i <= count; i++) {
        // At other times than the messages that were purged.
        assert.ok(anew.append(i, 500_000_000, i, new Uint8Array([i]), 0, 0, 0, 1) > 0);
      }
      await anew.flush();
      await second.store.close();
      writeFileSync(directory.path("foo/.purged"), mark);
      const third = await directory.open();
      assert.deepEqual(stateOf(channelOf(third, "foo").messages).slice(0, 3), [1, count, count]);
      assert.ok(third.log.lines.some((line) => line.includes("all messages are served")));
      assert.equal(directory.names("foo").includes(".purged"), false);
    });
  }
});

test("stores 5.6: a mark that cannot be read hides nothing", async () => {
  for (const content of ["", "purged", "purged 9 0 00000000\n", "purged 99999999999999999999 0 00000000\n"]) {
    await inDirectory(async (directory) => {
      const { store } = await directory.open();
      const { messages } = store.createChannel("foo");
      fill(messages, 1, 10);
      await store.flush();
      await messages.flush();
      await store.close();
      writeFileSync(directory.path("foo/.purged"), content);
      const reopened = channelOf(await directory.open(), "foo").messages;
      assert.deepEqual(await readAll(reopened), texts(1, 10));
    });
  }
});

test("stores 5.13: a channel that was purged, deleted and made anew begins at 1", async () => {
  await inDirectory(async (directory) => {
    const { store } = await directory.open();
    const { messages } = store.createChannel("foo");
    fill(messages, 1, 10);
    messages.purge(10);
    await messages.flush();
    store.deleteChannel("foo");
    const anew = store.createChannel("foo").messages;
    fill(anew, 1, 2);
    await store.flush();
    await anew.flush();
    await store.close();
    assert.deepEqual(await readAll(channelOf(await directory.open(), "foo").messages), texts(1, 2));
  });
});

test("stores 4.6: a subscription that was put back is found there, by every reader of the format", async () => {
  for (const options of [{}, { compactMinBytes: 1, compactFragmentation: 1, compactIntervalMs: 1 }]) {
    await inDirectory(async (directory) => {
      const { store } = await directory.open(options);
      const { messages, subscriptions } = store.createChannel("foo");
      fill(messages, 1, 10);
      const durable = subscription("me", { durableName: "d", isDurable: true });
      const id = subscriptions.create(durable);
      for (const sequence of [4, 5, 9]) subscriptions.addPending(id, sequence);
      subscriptions.replace({ ...durable, lastSent: 2 }, []);
      const other = subscriptions.create(subscription("you"));
      subscriptions.replace({ ...subscription("you"), id: other, lastSent: 7 }, [3, 7]);
      await store.flush();
      await messages.flush();
      await subscriptions.flush();
      const crashed = directory.crashed();
      try {
        const { problems, channels } = readStore(realFiles, crashed.dir);
        assert.deepEqual(problems, []);
        const read = channels.get("foo")!.subscriptions;
        assert.deepEqual([...read].map(([at, { lastSent, pending }]) => [at, lastSent, [...pending]]), [
          [id, 2, []],
          [other, 7, [3, 7]],
        ]);
        const again = await crashed.open();
        assert.deepEqual(subscriptionsOf(again, "foo"), [[id, "me", 2, []], [other, "you", 7, [3, 7]]]);
        // From here on it counts as before.
        const { subscriptions: reopened } = channelOf(again, "foo");
        reopened.addPending(id, 3);
        reopened.update({ ...durable, id, lastSent: 1 });
        await reopened.flush();
        await again.store.close();
        assert.deepEqual(subscriptionsOf(await crashed.open(), "foo")[0], [id, "me", 3, [3]]);
      } finally {
        await crashed.end();
      }
    });
  }
});
