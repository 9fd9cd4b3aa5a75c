/**
 * Recovery of the FILE store from damaged directories (stores.md 6): those of the reference with bits flipped, ends cut off,
 * ranges zeroed, doubled or gone, and files of random bytes. A start succeeds or says why not; it reads no more than is there;
 * and what the damage did not touch is served. `FUZZ_COUNT` from `FUZZ_SEED`.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { FileStoreOptions } from "../../src/store/file/options.ts";
import {
  type ChannelStore,
  LOOKUP_FOUND,
  LOOKUP_LATER,
  type RecoveredState,
  StoreError,
} from "../../src/store/types.ts";
import { stanSubjects } from "../../src/wire/stan_subjects.ts";
import { ROOT } from "../../scripts/project.ts";
import { SeededRandom } from "../conformance/store/random.ts";
import { newMessageView, SIMULATED_DIR, SimulatedStore } from "../helpers/simulated_store.ts";
import { type ReadStore, readStore } from "../helpers/store_validator.ts";
import type { SimulatedDisk } from "../simulation/disk.ts";
import { COUNT, SEED } from "./corpus.ts";

const GOLDEN = join(ROOT, "tests/golden/filestore");
/** Those that recover without options of their own. */
const FIXTURES = ["plain", "slices", "crc-on", "compacted", "gap", "expired", "trunc-dat", "trunc-idx", "zero-padded"];
const DIR = SIMULATED_DIR;
/** Buffers that recovery always has, whatever the size of a file. */
const FIXED_BYTES = 8192;

type Files = ReadonlyMap<string, Uint8Array>;

function load(folder: string, prefix = ""): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const entry of readdirSync(join(folder, prefix), { withFileTypes: true })) {
    const path = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory()) { for (const [name, bytes] of load(folder, path)) files.set(name, bytes); }
    else files.set(path, new Uint8Array(readFileSync(join(folder, path))));
  }
  return files;
}

const directories = new Map(FIXTURES.map((name) => [name, load(join(GOLDEN, name))]));

/** A store on these files, whose reads are watched. */
class Patient extends SimulatedStore {
  constructor(files: Files, options: Partial<FileStoreOptions> = {}) {
    super();
    for (const [path, bytes] of files) {
      const at = `${DIR}/${path}`;
      this.disk.makeDirectory(at.slice(0, at.lastIndexOf("/")));
      const file = this.disk.open(at, "replace");
      file.write(bytes, 0, bytes.length, 0);
      file.close();
    }
    this.disk.tap.file = (path, file) => {
      const checked = (into: Uint8Array) => {
        const size = file.sizeBytes();
        assert.ok(into.length <= size + FIXED_BYTES, `${into.length} bytes of memory for ${path} of ${size} bytes`);
      };
      const { read, readLater } = file;
      return Object.assign(Object.create(file), {
        sizeBytes: () => file.sizeBytes(),
        read: (into: Uint8Array, start: number, end: number, position: number) => {
          checked(into);
          return read.call(file, into, start, end, position);
        },
        readLater: (
          into: Uint8Array,
          start: number,
          end: number,
          position: number,
          done: Parameters<typeof readLater>[4],
        ) => {
          checked(into);
          readLater.call(file, into, start, end, position, done);
        },
        write: file.write.bind(file),
        truncate: file.truncate.bind(file),
        sync: file.sync.bind(file),
        syncNow: file.syncNow.bind(file),
        close: file.close.bind(file),
      });
    };
    this.boot(options);
  }

  /** The state, or the reason why there is none. */
  async recover(): Promise<RecoveredState | undefined | StoreError> {
    try {
      return await this.done(this.store.recover());
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.code !== "STORE_NO_SERVER_INFO") return error;
      this.store.init(stanSubjects("fuzz"));
      return await this.recover();
    }
  }

  async read({ messages }: ChannelStore, sequence: number): Promise<Uint8Array | undefined> {
    const view = newMessageView();
    for (let tries = 0; tries < 5; tries++) {
      const result = messages.lookup(sequence, view);
      if (result === LOOKUP_FOUND) return view.buffer.slice(view.start, view.end);
      if (result !== LOOKUP_LATER) return undefined;
      let isReadable = false;
      messages.onReadable = () => isReadable = true;
      assert.ok(await this.machine.until(() => isReadable, 5000), `${sequence} is never readable`);
    }
    return undefined;
  }

  async close(): Promise<void> {
    await this.done(this.store.close());
    // A read ahead may still be under way.
    await this.machine.advance(10);
    assert.deepEqual(this.disk.misuses, []);
    assert.equal(this.disk.openCount, 0, "files stay open");
  }
}

/** The whole directory, read by nobody's code but the test's. */
function pristine(files: Files): ReadStore {
  const children = (path: string) => {
    const found = new Map<string, "file" | "directory">();
    for (const name of files.keys()) {
      const full = `${DIR}/${name}`;
      if (!full.startsWith(`${path}/`)) continue;
      const rest = full.slice(path.length + 1);
      found.set(rest.split("/")[0]!, rest.includes("/") ? "directory" : "file"); // Split gives one part at least.
    }
    return [...found].map(([name, kind]) => ({ name, kind }));
  };
  return readStore({ namesIn: children, contentOf: (path) => files.get(path.slice(DIR.length + 1)) }, DIR, {
    isOpen: true,
  });
}

interface Damage {
  readonly bytes: Uint8Array;
  /** What it touched of the old content; what is behind it may have moved. */
  readonly start: number;
  readonly end: number;
}

function damage(random: SeededRandom, bytes: Uint8Array): Damage {
  const start = random.below(bytes.length + 1);
  const length = random.below(4) === 0 ? random.below(bytes.length + 1) : random.below(24);
  const end = Math.min(bytes.length, start + length);
  const before = bytes.subarray(0, start);
  const after = bytes.subarray(end);
  const join = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts));
  switch (random.below(7)) {
    case 0: {
      const flipped = bytes.slice();
      if (start < bytes.length) flipped[start]! ^= 1 << random.below(8);
      return { bytes: flipped, start, end: start + 1 };
    }
    case 1:
      return { bytes: before.slice(), start, end: bytes.length };
    case 2:
      return { bytes: join(before, new Uint8Array(end - start), after), start, end };
    case 3:
      return { bytes: join(before, random.bytes(end - start), after), start, end };
    case 4:
      return { bytes: join(before, random.bytes(random.below(40)), bytes.subarray(start)), start, end: start };
    case 5:
      return { bytes: join(before, after), start, end };
    default:
      // A size that announces gigabytes.
      return {
        bytes: join(before, new Uint8Array([255, 255, 255, 127]), bytes.subarray(start + 4)),
        start,
        end: start + 4,
      };
  }
}

/** Whatever the files say, this must hold. */
async function mustCope(files: Files, options: Partial<FileStoreOptions>): Promise<void> {
  const patient = new Patient(files, options);
  const state = await patient.recover();
  if (state instanceof StoreError) {
    assert.ok(state.message.length > 20, `"${state.message}" does not say why`);
  } else {
    const size = [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
    for (const { store, subscriptions } of state?.channels ?? []) {
      const { messages } = store;
      assert.ok(messages.messageCount <= size / 8 && subscriptions.length <= size / 8);
      const span = messages.lastSequence - messages.firstSequence;
      assert.ok(messages.lastSequence === 0 || span >= messages.messageCount - 1);
      for (let i = 0; i < Math.min(span + 1, 200); i++) await patient.read(store, messages.firstSequence + i);
    }
  }
  await patient.close();
  // What it healed is healed: a second start finds the same.
  if (state instanceof StoreError || state === undefined) return;
  const again = new Patient(new Map([...filesOf(patient.disk)]), options);
  const second = await again.recover();
  assert.ok(second !== undefined && !(second instanceof StoreError), `the second start fails: ${second}`);
  const summary = ({ channels }: RecoveredState) =>
    channels.map(({ store: { name, messages }, subscriptions }) => [
      name,
      messages.lastSequence,
      subscriptions.map(({ record, pending }) => [record.id, record.lastSent, pending.length]),
    ]);
  assert.deepEqual(summary(second), summary(state));
  await again.close();
}

function* filesOf(disk: SimulatedDisk, path = DIR): Generator<[string, Uint8Array]> {
  for (const { name, kind } of disk.namesIn(path)) {
    const at = `${path}/${name}`;
    if (kind === "directory") yield* filesOf(disk, at);
    else yield [at.slice(DIR.length + 1), disk.contentOf(at)!]; // It was just named.
  }
}

const RUNS = Math.ceil(COUNT / 50);

test(`stores 6: ${RUNS} directories with any damage are recovered, or the start says why not`, async () => {
  const random = new SeededRandom(SEED);
  for (let run = 0; run < RUNS; run++) {
    const name = FIXTURES[random.below(FIXTURES.length)]!; // Below its length.
    const files = new Map(directories.get(name)!);
    const paths = [...files.keys()];
    const done: string[] = [];
    for (let count = 1 + random.below(3); count > 0; count--) {
      const path = paths[random.below(paths.length)]!;
      const bytes = files.get(path);
      if (bytes === undefined) continue;
      switch (random.below(8)) {
        case 0:
          files.delete(path);
          break;
        case 1:
          files.set(path, random.bytes(random.below(300)));
          break;
        case 2: {
          const other = files.get(paths[random.below(paths.length)]!);
          if (other !== undefined) files.set(path, other);
          break;
        }
        default:
          files.set(path, damage(random, bytes).bytes);
      }
      done.push(path);
    }
    const options = { crc: random.below(4) > 0, truncateBadEnd: false };
    try {
      await mustCope(files, options);
    } catch (error) {
      throw new Error(`seed ${SEED}, directory ${run} (${name}, damaged ${done.join(", ")}): ${error}`, {
        cause: error,
      });
    }
  }
});

test(`stores 6.5: in ${RUNS} damaged logs every message that the damage did not touch is served`, async () => {
  const random = new SeededRandom(SEED + 1);
  for (let run = 0; run < RUNS; run++) {
    const name = ["plain", "slices", "crc-on"][random.below(3)]!; // Below its length.
    const files = new Map(directories.get(name)!);
    const known = pristine(files);
    const logs = [...files.keys()].filter((path) => /msgs\.\d+\.(dat|idx)$/.test(path));
    const path = logs[random.below(logs.length)]!; // There are some.
    const channelName = path.slice(0, path.indexOf("/"));
    const isData = path.endsWith(".dat");
    const { bytes, start, end } = damage(random, files.get(path)!);
    // Without its version a file is refused, and nothing is changed.
    if (isData && start < 4) continue;
    files.set(path, bytes);
    if (isData && random.below(2) === 0) files.delete(path.replace(/dat$/, "idx"));
    const slice = Number(/\.(\d+)\./.exec(path)![1]); // The filter above.
    const patient = new Patient(files);
    const label = `seed ${SEED + 1}, log ${run} (${name}/${path}, bytes ${start} to ${end})`;
    const state = await patient.recover();
    assert.ok(state !== undefined && !(state instanceof StoreError), `${label}: ${state}`);
    for (const { store } of state.channels) {
      for (const [sequence, message] of known.channels.get(store.name)!.messages) {
        const isSame = store.name !== channelName || message.slice !== slice;
        // An insertion in the middle of a record damages it, at its border it does not.
        const recordEnd = message.offset + 8 + message.size;
        const isTouched = isData && !isSame && message.offset < Math.max(end, start + 1) && recordEnd > start &&
          !(start === end && start === message.offset);
        if (isTouched) continue;
        const read = await patient.read(store, sequence);
        assert.ok(read !== undefined, `${label}: message ${sequence} of ${store.name} is not served`);
        assert.equal(read.length, message.size, `${label}: message ${sequence} has another size`);
        assert.ok(Buffer.from(read).includes(Buffer.from(message.data)), `${label}: message ${sequence} is another`);
      }
    }
    await patient.close();
  }
});
