/**
 * The messages of one channel on a disk that refuses for a moment, or is slow: what a failed flush leaves to do, what a read
 * may bring while one fails, and what it all costs in memory (stores.md 5.2, 5.9, 10).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../../../../src/base/bytes.ts";
import { type DiskFile, RuntimeError } from "../../../../src/runtime/types.ts";
import { BlockCache } from "../../../../src/store/file/block.ts";
import { Crc32 } from "../../../../src/store/file/crc.ts";
import { SyncedDirectory } from "../../../../src/store/file/directory.ts";
import { INDEX_RECORD_BYTES } from "../../../../src/store/file/format.ts";
import { DescriptorPool } from "../../../../src/store/file/log_file.ts";
import { FileMessageLog } from "../../../../src/store/file/message_log.ts";
import { FILE_STORE_DEFAULTS, type FileStoreOptions } from "../../../../src/store/file/options.ts";
import { LoadQueue } from "../../../../src/store/file/shared.ts";
import { LOOKUP_FAILED, LOOKUP_FOUND, LOOKUP_LATER, type MessageStore } from "../../../../src/store/types.ts";
import { RecordingLog } from "../../../helpers/file_store.ts";
import { newMessageView, SimulatedStore } from "../../../helpers/simulated_store.ts";
import { SimulatedDisk } from "../../../simulation/disk.ts";
import { Machine } from "../../../simulation/machine.ts";
import { Random } from "../../../simulation/random.ts";

const LIMITS = { maxSubscriptions: 0, maxMessages: 0, maxBytes: 0, maxAgeMs: 0, maxInactivityMs: 0 };
/** What a block costs in the cache besides its bytes and its index. */
const BLOCK_COST_BYTES = 128;
/** Longer than the store needs to notice that the disk takes writes again. */
const RESUME_MS = 5000;

/** Calls of a file that a test takes over. */
interface Tapped {
  write?(path: string): void;
  /** Takes a sync of which nothing is done; `fail` tells the store. */
  sync?(fail: () => void): void;
  /** Takes a read that has its bytes; `end` tells the store. */
  readLater?(path: string, sizeBytes: number, end: () => void): void;
}

/** A store with the channel "foo", on a disk that does what it is told. */
class Bench extends SimulatedStore {
  tapped: Tapped = {};
  messages!: MessageStore;

  constructor(seed = 1) {
    super(seed);
    this.disk.tap.file = (path, file) => this.#tap(path, file);
  }

  #tap(path: string, file: DiskFile): DiskFile {
    return {
      sizeBytes: () => file.sizeBytes(),
      read: (into, start, end, position) => file.read(into, start, end, position),
      readLater: (into, start, end, position, done) => {
        file.readLater(into, start, end, position, (error, count) => {
          if (this.tapped.readLater === undefined) done(error, count);
          else this.tapped.readLater(path, end - start, () => done(error, count));
        });
      },
      write: (bytes, start, end, position) => {
        this.tapped.write?.(path);
        file.write(bytes, start, end, position);
      },
      truncate: (sizeBytes) => file.truncate(sizeBytes),
      sync: (done) => {
        if (this.tapped.sync === undefined) file.sync(done);
        else this.tapped.sync(() => done(new RuntimeError("OTHER", "the disk refuses")));
      },
      syncNow: () => file.syncNow(),
      close: () => file.close(),
    };
  }

  /** The next process. */
  async start(options: Partial<FileStoreOptions> = {}): Promise<this> {
    await this.open(options);
    this.messages = (this.store.channel("foo") ?? this.store.createChannel("foo")).messages;
    await this.done(this.store.flush());
    return this;
  }

  /** One message for each letter, whose payload is full of it. */
  put(letters: string): void {
    for (const letter of letters) {
      const payload = bytesOf(letter.repeat(10));
      assert.ok(this.messages.append(this.messages.lastSequence + 1, 1, 1, payload, 0, 0, 0, 10) > 0, letter);
    }
  }

  async flush(): Promise<void> {
    await this.done(this.messages.flush());
  }

  letters(): Promise<string> {
    return this.lettersOf(this.messages, () => true);
  }
}

// What a failed flush leaves to do ---------------------------------------------------------------------------------------

test("decision 16: a write that failed in front of the next slice is over when the disk takes writes again", async () => {
  const bench = await new Bench().start({ sliceMaxMessages: 2 });
  bench.put("A");
  await bench.flush();
  // The index of the second slice is staged when the data of the first one cannot be written.
  bench.put("BBB");
  bench.tapped.write = (path) => {
    if (path.endsWith("msgs.1.dat")) throw new RuntimeError("OTHER", "the disk refuses");
  };
  await assert.rejects(bench.flush());
  assert.equal(bench.messages.lastSequence, 1);
  bench.tapped = {};
  await bench.machine.advance(RESUME_MS);
  bench.put("CCC");
  await bench.flush();
  bench.disk.cutPower();
  await bench.start({ sliceMaxMessages: 2 });
  assert.equal(await bench.letters(), "ACCC");
});

test("stores 10: the flush behind a failed one makes all slices safe that a killed process left, not the newest alone", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const options = { sliceMaxMessages: 2 };
    const bench = await new Bench(seed).start(options);
    bench.put("A");
    await bench.flush();
    // Written, and in the system's memory only, when the process dies.
    bench.disk.holdsSyncs = true;
    bench.put("BBCCD");
    bench.messages.flush()?.catch(() => undefined);
    bench.disk.kill();
    await bench.start(options);
    assert.equal(await bench.letters(), "ABBCCD");
    bench.tapped.sync = (fail) => void bench.machine.after(0, fail);
    await assert.rejects(bench.flush());
    bench.tapped = {};
    await bench.machine.advance(RESUME_MS);
    await bench.flush();
    bench.disk.cutPower();
    await bench.start(options);
    assert.equal(await bench.letters(), "ABBCCD", `seed ${seed}`);
  }
});

// Reading ----------------------------------------------------------------------------------------------------------------

test("stores 5.9, decision 16: a read that ends after a failed flush brings nothing of what was taken back", async () => {
  const bench = await new Bench().start();
  bench.put("AAA");
  await bench.flush();
  await bench.done(bench.store.close());
  await bench.start();
  await bench.flush();
  // It is written, and its sync is under way, while the first three are read from the same files.
  const fails: (() => void)[] = [];
  bench.tapped.sync = (fail) => void fails.push(fail);
  bench.put("B");
  const flush = bench.messages.flush();
  let end: (() => void) | undefined;
  bench.tapped.readLater = (path, _sizeBytes, ended) => {
    if (path.endsWith(".dat")) end = ended;
    else ended();
  };
  let isReadable = false;
  bench.messages.onReadable = () => isReadable = true;
  assert.equal(bench.messages.lookup(1, newMessageView()), LOOKUP_LATER);
  assert.ok(await bench.machine.until(() => end !== undefined, 1000), "the messages are read");
  assert.equal(fails.length, 2);
  for (const fail of fails) fail();
  await assert.rejects(bench.done(flush));
  bench.tapped = {};
  await bench.machine.advance(RESUME_MS);
  bench.put("C");
  await bench.flush();
  assert.equal(isReadable, false);
  end!();
  assert.equal(isReadable, true);
  assert.equal(await bench.letters(), "AAAC");
  assert.deepEqual(bench.log.lines.filter((line) => line.includes("looking up")), []);
});

test("stores 5.9: one read takes no more index records than one block may have, however many there are", async () => {
  const bench = await new Bench().start();
  bench.put("A".repeat(20_000));
  await bench.flush();
  await bench.done(bench.store.close());
  await bench.start();
  let most = 0;
  bench.tapped.readLater = (path, sizeBytes, end) => {
    if (path.endsWith(".idx")) most = Math.max(most, sizeBytes / INDEX_RECORD_BYTES);
    end();
  };
  assert.equal(bench.messages.lookup(1, newMessageView()), LOOKUP_LATER);
  assert.ok(await bench.machine.until(() => bench.messages.lookup(1, newMessageView()) === LOOKUP_FOUND, 1000));
  assert.equal(most, 8192);
});

test("stores 5.9: a message that the disk refused once is asked for again, and then the store is at rest", async () => {
  const bench = await new Bench().start();
  bench.put("A");
  await bench.flush();
  await bench.done(bench.store.close());
  await bench.start();
  await bench.flush();
  const view = newMessageView();
  let calls = 0;
  bench.messages.onReadable = () => calls++;
  bench.disk.weather.readErrors = 100;
  assert.equal(bench.messages.lookup(1, view), LOOKUP_LATER);
  assert.ok(await bench.machine.until(() => calls === 1, 1000));
  assert.equal(bench.messages.lookup(1, view), LOOKUP_FAILED);
  bench.disk.weather.readErrors = 0;
  // Whoever waits for it is told without asking, by the tick that is due after a second.
  assert.ok(await bench.machine.until(() => calls === 2, 2500));
  assert.equal(bench.messages.lookup(1, view), LOOKUP_LATER);
  assert.ok(await bench.machine.until(() => calls === 3, 1000));
  assert.equal(bench.messages.lookup(1, view), LOOKUP_FOUND);
  await bench.machine.advance(10_000);
  assert.equal(calls, 3, "nobody waits for anything any more");
});

// Memory -----------------------------------------------------------------------------------------------------------------

interface LogWithCache {
  /** Puts messages until `count` more blocks have begun; returns how many are in the last one that is full. */
  begin(count: number, sizeOf: () => number): number;
  put(count: number, sizeOf: () => number): void;
  /** Messages that the indexes of all blocks have room for. */
  readonly room: number;
}

/** A message log alone, with a cache that keeps everything. */
function logWithCache(): LogWithCache {
  const machine = new Machine();
  const disk = new SimulatedDisk(machine, new Random(1));
  disk.makeDirectory("/data/foo");
  let blocks = 0;
  let bufferBytes = 0;
  const cache = new class extends BlockCache {
    override buffer(size: number): Uint8Array {
      const bytes = super.buffer(size);
      blocks++;
      bufferBytes += bytes.length;
      return bytes;
    }
  }(1 << 30, () => {});
  const options = { ...FILE_STORE_DEFAULTS, dir: "/data" };
  const shared = {
    options,
    disk,
    pool: new DescriptorPool(disk, 0),
    cache,
    loads: new LoadQueue(),
    crc: new Crc32(),
    log: new RecordingLog(),
    stagedBytes: 0,
    nowMs: () => machine.nowMs,
    wantsTick: () => {},
  };
  const directory = new SyncedDirectory(disk, "/data/foo", undefined);
  const log = new FileMessageLog(shared, "foo", bytesOf("foo"), directory, LIMITS, undefined);
  const put = (sizeBytes: number): void => {
    const payload = new Uint8Array(sizeBytes);
    assert.ok(log.append(log.lastSequence + 1, 0x1880_0000, 1, payload, 0, 0, 0, sizeBytes) > 0);
  };
  return {
    begin(count, sizeOf) {
      const end = blocks + count;
      let inBlock = 0;
      for (;;) {
        const before = blocks;
        put(sizeOf());
        if (blocks === end) return inBlock;
        inBlock = blocks === before ? inBlock + 1 : 1;
      }
    },
    put(count, sizeOf) {
      for (let i = 0; i < count; i++) put(sizeOf());
    },
    get room() {
      return (cache.bytes - bufferBytes - blocks * BLOCK_COST_BYTES) / 4;
    },
  };
}

test("stores 5.2: the index of a full block was made once, for the records that it has", () => {
  const random = new Random(1);
  for (const sizes of [[0], [16], [128], [1000], [5000], [0, 64, 128, 700]]) {
    const log = logWithCache();
    const sizeOf = () => random.pick(sizes);
    // Blocks grow until they have their full size; from then on one is like the other.
    log.begin(11, sizeOf);
    for (let block = 0; block < 4; block++) {
      const before = log.room;
      const messages = log.begin(1, sizeOf);
      // The last one has begun, and the one before it has its final size.
      const room = log.room - before;
      assert.ok(room >= messages && room <= messages * 1.3 + 2, `${sizes}: room for ${room}, has ${messages}`);
    }
  }
});

test("stores 5.2: a block of large messages behind small ones has no index for small ones", () => {
  const log = logWithCache();
  const small = log.begin(11, () => 0);
  // The block is full but for a few.
  log.put(small - 10, () => 0);
  const before = log.room;
  log.begin(1, () => 16 * 1024);
  const room = log.room - before;
  const messages = log.begin(1, () => 16 * 1024);
  assert.ok(room <= messages * 6, `room for ${room}, has ${messages}`);
});
