/** What the FILE store once got wrong, each on a disk that shows it at once (stores.md 1.5, 6.7, 10). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type DiskFile, RuntimeError } from "../../src/runtime/types.ts";
import {
  APPEND_FAILED,
  type ChannelStore,
  LOOKUP_FOUND,
  LOOKUP_LATER,
  LOOKUP_NONE,
  type RecoveredState,
  StoreError,
} from "../../src/store/types.ts";
import { stanSubjects } from "../../src/wire/stan_subjects.ts";
import { subscription } from "../helpers/store_records.ts";
import { readStore } from "../helpers/store_validator.ts";
import { newMessageView, SimulatedStore } from "../helpers/simulated_store.ts";
import { settle } from "./machine.ts";

const CLIENT = { heartbeatInbox: "hb", connectionId: "x", protocol: 1, pingIntervalSecs: 5, pingMaxOut: 3 };

class Bench extends SimulatedStore {
  /** `stampHigh` counts some four seconds; `letter` fills the payload. */
  put({ messages }: ChannelStore, count: number, stampHigh = 1, letter = 0): void {
    const payload = new Uint8Array(10).fill(letter);
    for (let i = 0; i < count; i++) {
      assert.ok(messages.append(messages.lastSequence + 1, stampHigh, 1, payload, 0, 0, 0, 10) > 0);
    }
  }

  /** The letters of all messages; a dot where one is missing, if that may be. */
  letters({ messages }: ChannelStore, gapsAllowed = false): Promise<string> {
    return this.lettersOf(messages, (result) => gapsAllowed && result === LOOKUP_NONE);
  }
}

const closedDurable = (lastSent = 0) =>
  subscription("c", { durableName: "d", lastSent, isDurable: true, isClosed: true });

/** `file`, with `check` in front of each change. */
function refusing(file: DiskFile, check: () => void): DiskFile {
  return {
    sizeBytes: () => file.sizeBytes(),
    read: (...given) => file.read(...given),
    readLater: (...given) => file.readLater(...given),
    write: (...given) => {
      check();
      file.write(...given);
    },
    truncate: (size) => {
      check();
      file.truncate(size);
    },
    sync: (done) => file.sync(done),
    syncNow: () => file.syncNow(),
    close: () => file.close(),
  };
}

test("stores 1.5: a flush without a message of its own waits for the one before it, and fails with it", async () => {
  const bench = new Bench();
  await bench.open();
  const channel = bench.store.createChannel("foo");
  await bench.done(bench.store.flush());
  bench.disk.holdsSyncs = true;
  bench.put(channel, 1);
  const outcomes: string[] = [];
  for (const name of ["first", "second"]) {
    const flush = channel.messages.flush();
    assert.ok(flush !== undefined, `${name} has to wait`);
    flush.then(() => outcomes.push(`${name} done`), () => outcomes.push(`${name} failed`));
  }
  await bench.machine.advance(0);
  assert.deepEqual(outcomes, []);
  bench.disk.weather.syncErrors = 100;
  bench.disk.releaseSyncs();
  await bench.machine.advance(10);
  assert.deepEqual(outcomes, ["first failed", "second failed"]);
  assert.equal(channel.messages.lastSequence, 0);
});

test("stores 10: a flush is not done before the names of an earlier flush are safe", async () => {
  const bench = new Bench();
  await bench.open({ sliceMaxMessages: 2 });
  const channel = bench.store.createChannel("foo");
  bench.put(channel, 1);
  await bench.done(channel.messages.flush());
  // The third begins a slice, whose name is not safe while that sync is held; the fourth has nothing to do with it.
  bench.disk.holdsSyncs = true;
  bench.put(channel, 2);
  const first = channel.messages.flush();
  let isDone = false;
  await bench.machine.advance(0);
  bench.put(channel, 1);
  channel.messages.flush()?.then(() => isDone = true);
  await bench.machine.advance(5);
  assert.equal(isDone, false);
  bench.disk.releaseSyncs();
  await bench.done(first);
  await bench.machine.advance(5);
  assert.equal(isDone, true);
});

test("stores 10: what a failed flush took back does not come back in front of the next slice", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const bench = new Bench(seed);
    let refuses = false;
    bench.disk.tap.file = (path, file) =>
      !path.endsWith(".idx") ? file : refusing(file, () => {
        if (refuses) throw new RuntimeError("OTHER", "the disk refuses");
      });
    await bench.open({ sliceMaxAgeMs: 10_000 });
    const channel = bench.store.createChannel("foo");
    bench.put(channel, 2, 1, 65);
    await bench.done(channel.messages.flush());
    await bench.done(bench.store.flush());
    // The messages are written, their index is not.
    bench.put(channel, 3, 1, 66);
    refuses = true;
    await assert.rejects(async () => await bench.done(channel.messages.flush()));
    refuses = false;
    assert.equal(channel.messages.lastSequence, 2);
    // This sync takes along what does not count. It is cut off later, and nothing is written to that file any more.
    await bench.done(channel.messages.flush());
    await bench.machine.advance(3000);
    bench.put(channel, 3, 9, 67);
    await bench.done(channel.messages.flush());
    bench.disk.cutPower();
    const state = await bench.open({ sliceMaxAgeMs: 10_000 });
    assert.equal(await bench.letters(state!.channels[0]!.store), "AACCC", `seed ${seed}`);
  }
});

test("stores 10: after a failed flush nothing is stored before what it took back is gone for good", async () => {
  const bench = new Bench();
  await bench.open();
  const channel = bench.store.createChannel("foo");
  bench.put(channel, 2);
  await bench.done(channel.messages.flush());
  await bench.done(bench.store.flush());
  bench.disk.weather.syncErrors = 100;
  bench.put(channel, 3);
  await assert.rejects(async () => await bench.done(channel.messages.flush()));
  bench.disk.weather.syncErrors = 0;
  bench.disk.holdsSyncs = true;
  await bench.machine.advance(5000);
  const payload = new Uint8Array(10);
  assert.equal(
    channel.messages.append(3, 1, 1, payload, 0, 0, 0, 10),
    APPEND_FAILED,
    "a cut is on its way to the disk",
  );
  bench.disk.releaseSyncs();
  await bench.machine.advance(3000);
  bench.put(channel, 1);
  await bench.done(channel.messages.flush());
});

test("stores 1.5: who came behind a flush that failed is refused, too, though his own flush comes later", async () => {
  const bench = new Bench();
  await bench.open();
  const channel = bench.store.createChannel("foo");
  bench.put(channel, 1);
  await bench.done(channel.messages.flush());
  await bench.done(bench.store.flush());
  bench.disk.weather.syncErrors = 100;
  bench.put(channel, 1);
  const first = channel.messages.flush();
  bench.put(channel, 2);
  assert.equal(channel.messages.lastSequence, 4);
  await assert.rejects(async () => await bench.done(first));
  assert.equal(channel.messages.lastSequence, 1, "what nobody has asked for yet went, too");
  bench.disk.weather.syncErrors = 0;
  await assert.rejects(async () => await bench.done(channel.messages.flush()), StoreError);
  await bench.machine.advance(3000);
  bench.put(channel, 1);
  await bench.done(channel.messages.flush());
  assert.equal(channel.messages.lastSequence, 2);
});

test("stores 10: a power cut behind a failed flush leaves no two messages of one sequence", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const bench = new Bench(seed);
    await bench.open({ sliceMaxMessages: 3 });
    const channel = bench.store.createChannel("foo");
    bench.put(channel, 2, 1, 65);
    await bench.done(channel.messages.flush());
    await bench.done(bench.store.flush());
    bench.disk.weather.syncErrors = 100;
    bench.put(channel, 4, 1, 66);
    await assert.rejects(async () => await bench.done(channel.messages.flush()));
    bench.disk.weather.syncErrors = 0;
    await bench.machine.advance(3000);
    // Other messages under the same sequences, and the next slice under the same name: on their way when the power goes.
    bench.disk.holdsSyncs = true;
    bench.put(channel, 3, 2, 67);
    channel.messages.flush()?.catch(() => undefined);
    await bench.machine.advance(0);
    bench.disk.cutPower();
    const state = await bench.open({ sliceMaxMessages: 3 });
    // Of what nobody was promised some may be there and some not.
    assert.match(await bench.letters(state!.channels[0]!.store, true), /^AA[C.]*$/, `seed ${seed}`);
    await bench.done(bench.store.close());
    assert.deepEqual(readStore(bench.disk, "/data", { gapsAllowed: () => true }).problems, [], `seed ${seed}`);
  }
});

test("stores 1.2: without a server record registrations survive the second recovery", async () => {
  const bench = new Bench();
  await bench.open();
  bench.store.createChannel("foo");
  bench.store.addClient({ id: "me", ...CLIENT });
  await bench.done(bench.store.close());
  bench.disk.remove("/data/server.dat");
  await assert.rejects(bench.open(), (error) => error instanceof StoreError && error.code === "STORE_NO_SERVER_INFO");
  bench.store.init(stanSubjects("sim"));
  const state = await bench.done(bench.store.recover());
  assert.deepEqual(state?.clients.map(({ id }) => id), ["me"]);
});

test("stores 5.13: a flush that ends after its channel was deleted leaves the files of its successor alone", async () => {
  const bench = new Bench();
  await bench.open();
  const old = bench.store.createChannel("foo");
  bench.put(old, 3);
  bench.disk.holdsSyncs = true;
  bench.disk.weather.syncErrors = 100;
  const late = old.messages.flush();
  late?.catch(() => undefined);
  bench.store.deleteChannel("foo");
  const successor = bench.store.createChannel("foo");
  bench.put(successor, 2);
  await bench.machine.advance(0);
  bench.disk.releaseSyncs();
  await bench.machine.advance(5);
  bench.disk.weather.syncErrors = 0;
  await bench.done(successor.messages.flush());
  await bench.done(bench.store.flush());
  assert.equal(bench.disk.misuses.length, 0);
  bench.disk.cutPower();
  const state = await bench.open();
  assert.deepEqual(state?.channels.map(({ store: { messages } }) => messages.lastSequence), [2]);
});

test("stores 6.7: a position behind the last message is put back for good, not for one run", async () => {
  const bench = new Bench();
  await bench.open();
  const channel = bench.store.createChannel("foo");
  bench.put(channel, 3);
  const id = channel.subscriptions.create(closedDurable());
  for (const sequence of [2, 9]) channel.subscriptions.addPending(id, sequence);
  await bench.done(bench.store.close());
  const found = (state: RecoveredState | undefined) =>
    state?.channels[0]?.subscriptions.map(({ record, pending }) => [record.lastSent, pending]);
  const first = await bench.open();
  assert.deepEqual(found(first), [[3, [2]]]);
  bench.put(first!.channels[0]!.store, 20);
  await bench.done(bench.store.close());
  // Messages 4 to 9 are others than those the subscription once got.
  assert.deepEqual(found(await bench.open()), [[3, [2]]]);
});

test("stores 4.6: an update that tells less does not lower the position in the file", async () => {
  const bench = new Bench();
  await bench.open();
  const channel = bench.store.createChannel("foo");
  bench.put(channel, 9);
  const id = channel.subscriptions.create(closedDurable());
  channel.subscriptions.addPending(id, 7);
  channel.subscriptions.update({ ...closedDurable(2), id });
  await bench.done(bench.store.close());
  const [one] = (await bench.open())!.channels[0]!.subscriptions;
  assert.equal(one?.record.lastSent, 7);
});

test("stores 5.10: what is flushed after a compaction is not safe before the new file has its name", async () => {
  const bench = new Bench();
  await bench.open({ compactMinBytes: 0, compactFragmentation: 1, compactIntervalMs: 1 });
  const channel = bench.store.createChannel("foo");
  const { subscriptions } = channel;
  const ids = [1, 2, 3].map(() => subscriptions.create(closedDurable()));
  await bench.done(subscriptions.flush());
  await bench.done(bench.store.flush());
  let isReplaced = false;
  bench.disk.renamed = () => isReplaced = true;
  subscriptions.delete(ids[0]!);
  assert.ok(await bench.machine.until(() => isReplaced, 1000), "it was worth a compaction");
  bench.disk.holdsSyncs = true;
  const late = subscriptions.create(closedDurable());
  let isDone = false;
  const flush = subscriptions.flush();
  assert.ok(flush !== undefined);
  flush.then(() => isDone = true);
  await settle();
  assert.equal(isDone, false);
  bench.disk.releaseSyncs();
  await bench.done(flush);
  bench.disk.cutPower();
  const state = await bench.open();
  assert.deepEqual(state?.channels[0]?.subscriptions.map(({ record }) => record.id), [ids[1], ids[2], late]);
});

test("stores 4.2: a failed sync that lost the first bytes of a file does not cost the file", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const bench = new Bench();
    await bench.open();
    const channel = bench.store.createChannel("foo");
    const id = channel.subscriptions.create(closedDurable());
    bench.disk.weather.syncErrors = 60;
    for (let tries = 0; tries < seed; tries++) {
      await bench.done(channel.subscriptions.flush()).catch(() => undefined);
    }
    bench.disk.weather.syncErrors = 0;
    await bench.machine.advance(3000);
    await bench.done(channel.subscriptions.flush());
    await bench.done(bench.store.flush());
    bench.disk.cutPower();
    const state = await bench.open();
    assert.deepEqual(state?.channels[0]?.subscriptions.map(({ record }) => record.id), [id]);
  }
});

test("stores 6.3: a record with a wrong checksum counts for nothing, in memory as in the file", async () => {
  const bench = new Bench();
  await bench.open();
  const channel = bench.store.createChannel("foo");
  channel.subscriptions.create(closedDurable());
  bench.store.addClient({ id: "me", ...CLIENT });
  await bench.done(bench.store.close());
  for (const path of ["/data/foo/subs.dat", "/data/clients.dat"]) {
    const file = bench.disk.open(path, "update");
    file.write(new Uint8Array([1, 2, 3, 4]), 0, 4, 8);
    file.close();
  }
  for (const start of ["first", "second"]) {
    const state = await bench.open();
    assert.deepEqual([state?.clients.length, state?.channels[0]?.subscriptions.length], [0, 0], start);
    await bench.done(bench.store.close());
  }
});

test("stores 10: what a killed process left is not safe before the sync that makes it so has ended", async () => {
  const bench = new Bench();
  await bench.open();
  const channel = bench.store.createChannel("foo");
  channel.subscriptions.create(closedDurable());
  void channel.subscriptions.flush()?.catch(() => undefined);
  bench.disk.kill();
  const state = await bench.open();
  const { messages, subscriptions } = state!.channels[0]!.store;
  // The names are safe; only the content of the file is not.
  await bench.done(messages.flush());
  bench.disk.holdsSyncs = true;
  const flushes = ["first", "second"].map((name) => {
    const flush = subscriptions.flush();
    assert.ok(flush !== undefined, `${name}: there is something to wait for`);
    return flush;
  });
  bench.disk.releaseSyncs();
  await bench.done(Promise.all(flushes));
  assert.equal(subscriptions.flush(), undefined);
});

test("stores 4.2: a file whose first bytes cannot be written does not stay open", async () => {
  const bench = new Bench();
  await bench.open();
  const before = bench.disk.openCount;
  bench.disk.weather.writeErrors = 100;
  assert.throws(() => bench.store.createChannel("foo"), StoreError);
  assert.equal(bench.disk.openCount, before);
});

test("stores 5.9: readers at several places of a channel do not read the same messages, and go on to what is not written yet", async () => {
  const bench = new Bench();
  await bench.open();
  const before = bench.store.createChannel("foo");
  bench.put(before, 200);
  await bench.done(before.messages.flush());
  const recovered = await bench.open();
  const channel = recovered!.channels[0]!.store;
  const { messages } = channel;
  const view = newMessageView();
  // The one further on asks first, the third one when both have got what they wanted.
  for (const sequences of [[101, 91], [1]]) {
    for (const sequence of sequences) assert.equal(messages.lookup(sequence, view), LOOKUP_LATER, `${sequence}`);
    const areThere = () => sequences.every((sequence) => messages.lookup(sequence, view) === LOOKUP_FOUND);
    assert.ok(await bench.machine.until(areThere, 1000));
  }
  // Nothing of it is in the files yet: it must not be asked of them.
  bench.put(channel, 1);
  for (let sequence = 1; sequence <= 201; sequence++) assert.equal(messages.lookup(sequence, view), LOOKUP_FOUND);
  assert.deepEqual(bench.disk.misuses, []);
});

test("stores 5.14: channels that are read ahead are recovered the same", async () => {
  const found: unknown[] = [];
  for (const parallelRecovery of [1, 4, 1000]) {
    const bench = new Bench();
    await bench.open();
    for (let i = 0; i < 12; i++) {
      const channel = bench.store.createChannel(`c${i}`);
      bench.put(channel, i);
      channel.subscriptions.create(closedDurable());
    }
    await bench.done(bench.store.close());
    let underWay = 0;
    let most = 0;
    bench.disk.tap.file = (_path, file) => ({
      ...refusing(file, () => {}),
      readLater: (into, start, end, position, done) => {
        most = Math.max(most, ++underWay);
        file.readLater(into, start, end, position, (error, count) => {
          underWay--;
          done(error, count);
        });
      },
    });
    const state = await bench.open({ parallelRecovery });
    found.push(state!.channels.map(({ store: { name, messages }, subscriptions }) => [
      name,
      messages.lastSequence,
      subscriptions.length,
    ]));
    assert.ok(parallelRecovery === 1 ? most === 0 : most > 1, `${most} reads at a time`);
  }
  assert.deepEqual(found[1], found[0]);
  assert.deepEqual(found[2], found[0]);
});
