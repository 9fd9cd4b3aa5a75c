/** Files that grow at their end, on a disk whose syncs fail (stores.md 10, decision 16). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../../../../src/base/bytes.ts";
import { DescriptorPool, LogFile } from "../../../../src/store/file/log_file.ts";
import { subscription } from "../../../helpers/store_records.ts";
import { SimulatedStore } from "../../../helpers/simulated_store.ts";
import { SimulatedDisk } from "../../../simulation/disk.ts";
import { Machine } from "../../../simulation/machine.ts";
import { Random } from "../../../simulation/random.ts";

/** The disk does another thing with what it has lost for each of them. */
const SEEDS = 40;

for (const isBlocking of [false, true]) {
  const name = isBlocking ? "blocking" : "off the event loop";
  test(`stores 10: a cut whose sync failed, ${name}, is done again before the next sync`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const machine = new Machine();
      const disk = new SimulatedDisk(machine, new Random(seed));
      const pool = new DescriptorPool(disk, 0);
      const file = LogFile.create(pool, "/log");
      const bytes = bytesOf("what goes");
      file.write(bytes, 0, bytes.length);
      file.syncNow();
      disk.syncDirectory("", () => {});
      await machine.advance(10);
      file.truncate(4);
      const sync = async () => {
        if (isBlocking) return file.syncNow();
        const synced = file.sync();
        await machine.advance(10);
        await synced;
      };
      disk.weather.syncErrors = 100;
      await assert.rejects(sync);
      disk.weather.syncErrors = 0;
      await sync();
      assert.ok(file.isSynced);
      disk.cutPower();
      assert.equal(disk.contentOf("/log")?.length, 4, `seed ${seed}`);
    }
  });
}

test("stores 10, 6.7: a position that a start has put back, and could not make safe, is safe after the next flush", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const bench = new SimulatedStore(seed);
    await bench.open();
    const { disk } = bench;
    const channel = bench.store.createChannel("foo");
    const payload = new Uint8Array(10);
    const { messages, subscriptions } = channel;
    for (let sequence = 1; sequence <= 3; sequence++) messages.append(sequence, 1, 1, payload, 0, 0, 0, 10);
    subscriptions.create(subscription("c", { durableName: "d", lastSent: 5, isDurable: true, isClosed: true }));
    await bench.done(bench.store.close());
    // The end of an incomplete message: what was behind the third is gone.
    const data = disk.open("/data/foo/msgs.1.dat", "update");
    data.write(payload, 0, 10, data.sizeBytes());
    data.syncNow();
    data.close();
    let fails = true;
    disk.tap.file = (path, file) => {
      if (!path.endsWith("subs.dat")) return file;
      const { syncNow } = file;
      return Object.assign(Object.create(file), {
        sizeBytes: () => file.sizeBytes(),
        read: file.read.bind(file),
        write: file.write.bind(file),
        truncate: file.truncate.bind(file),
        sync: file.sync.bind(file),
        close: file.close.bind(file),
        syncNow: () => {
          disk.weather.syncErrors = fails ? 100 : 0;
          fails = false;
          try {
            syncNow.call(file);
          } finally {
            disk.weather.syncErrors = 0;
          }
        },
      });
    };
    const state = await bench.open();
    assert.ok(!fails, "the start syncs what it has put back");
    assert.deepEqual(state!.channels[0]!.subscriptions.map(({ record }) => record.lastSent), [3]);
    const { store } = state!.channels[0]!;
    await bench.done(store.subscriptions.flush());
    // With these the old position would not be behind the last message any more, and they would be passed over.
    for (let sequence = 4; sequence <= 6; sequence++) store.messages.append(sequence, 1, 1, payload, 0, 0, 0, 10);
    await bench.done(store.messages.flush());
    disk.cutPower();
    const again = await bench.open();
    assert.deepEqual(again!.channels[0]!.subscriptions.map(({ record }) => record.lastSent), [3], `seed ${seed}`);
  }
});

/** A pool of `max` descriptors, `count` files made in it, and the paths of what is opened from then on. */
function pooled(max: number, count: number) {
  const machine = new Machine();
  const disk = new SimulatedDisk(machine, new Random(1));
  const pool = new DescriptorPool(disk, max);
  const files = Array.from({ length: count }, (_, i) => LogFile.create(pool, `/${i}`));
  const opened: string[] = [];
  disk.tap = {
    file: (path, file) => {
      opened.push(path);
      return file;
    },
  };
  return { machine, disk, pool, files, opened };
}

test("stores 5.12: the file that was opened first is closed first, and opened again when needed", () => {
  const { disk, pool, files, opened } = pooled(3, 5);
  assert.deepEqual([pool.openCount, disk.openCount], [3, 3]);
  for (const i of [2, 3, 4]) void files[i]!.file;
  assert.deepEqual(opened, []);
  void files[0]!.file;
  void files[2]!.file;
  assert.deepEqual(opened, ["/0", "/2"], "3 is the next to go");
  assert.equal(disk.openCount, 3);
  pool.closeAll();
  assert.deepEqual([pool.openCount, disk.openCount], [0, 0]);
});

test("stores 5.12: a file with a sync under way stays open, the next one goes instead", async () => {
  const { machine, disk, pool, files, opened } = pooled(3, 3);
  const synced = files[0]!.sync();
  const another = LogFile.create(pool, "/another");
  assert.deepEqual(opened, ["/another"]);
  assert.equal(disk.openCount, 3);
  void files[0]!.file;
  void files[2]!.file;
  assert.deepEqual(opened, ["/another"]);
  void files[1]!.file;
  assert.deepEqual(opened, ["/another", "/1"]);
  await machine.advance(10);
  await synced;
  another.retire();
});

test("stores 5.12: what was not used between two calls is closed, and what was used goes behind the others", () => {
  const { pool, files, opened } = pooled(0, 4);
  pool.closeIdle();
  assert.equal(pool.openCount, 4, "they were just made");
  void files[1]!.file;
  pool.closeIdle();
  assert.equal(pool.openCount, 1);
  void files[1]!.file;
  assert.deepEqual(opened, []);
  pool.closeIdle();
  pool.closeIdle();
  assert.equal(pool.openCount, 0);
});
