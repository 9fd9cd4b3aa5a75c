/**
 * A purge on a disk that fails, dies or loses its power at every single call: afterwards the channel is as before or purged,
 * never half of each, and no sequence is given twice, by us or by the reference (stores.md 1.4, 5.6, 6.2).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileStoreOptions } from "../../src/store/file/options.ts";
import { type ChannelStore, StoreError } from "../../src/store/types.ts";
import { fill, put, readAll, texts } from "../conformance/store/file_support.ts";
import { RecordingLog } from "../helpers/file_store.ts";
import { readStore } from "../helpers/store_validator.ts";
import { SimulatedStore } from "../helpers/simulated_store.ts";
import { SimulatedDisk } from "./disk.ts";
import { settle } from "./machine.ts";
import { Random } from "./random.ts";

const LAST = 10;

class Bench extends SimulatedStore {
  readonly #options: Partial<FileStoreOptions>;

  constructor(seed: number, options: Partial<FileStoreOptions>) {
    super(seed);
    this.#options = options;
  }

  /** The channel, if it is there. */
  async next(): Promise<ChannelStore | undefined> {
    this.log = new RecordingLog();
    await this.open(this.#options);
    return this.store.channel("foo");
  }

  /** Ten messages, safe. */
  async fill(): Promise<ChannelStore> {
    await this.next();
    const channel = this.store.createChannel("foo");
    fill(channel.messages, 1, LAST);
    await this.done(this.store.flush());
    await this.done(channel.messages.flush());
    return channel;
  }

  /** Everything that can be read, while time goes on. */
  read(channel: ChannelStore): Promise<string[] | undefined> {
    return this.done(readAll(channel.messages));
  }
}

/** What a reader of the format sees who does not know the mark. */
function lastForReference(disk: SimulatedDisk): number {
  const { channels } = readStore(disk, "/data", { isOpen: true, gapsAllowed: () => true });
  const { messages, indexed } = channels.get("foo")!;
  // It believes an index whose last record is right, and reads the data where there is none.
  return Math.max(0, ...messages.keys(), ...indexed);
}

async function purge(bench: Bench, channel: ChannelStore, upTo: number): Promise<"done" | "refused" | "silent"> {
  let outcome: "done" | "refused" | "silent" = "silent";
  try {
    channel.messages.purge(upTo);
    const flush = channel.messages.flush();
    if (flush === undefined) return "done";
    flush.then(() => outcome = "done", (error) => {
      assert.ok(error instanceof StoreError);
      outcome = "refused";
    });
    await bench.machine.advance(50);
    return outcome;
  } catch (error) {
    if (bench.disk.isDead) return "silent";
    if (!(error instanceof StoreError)) throw error;
    return "refused";
  }
}

async function assertWhole(bench: Bench, channel: ChannelStore | undefined, upTo: number, outcome: string) {
  assert.ok(channel !== undefined);
  const { messages } = channel;
  assert.equal(messages.lastSequence, LAST, outcome);
  const isPurged = messages.firstSequence > 1;
  if (outcome === "done") assert.ok(isPurged, "answered, and gone");
  assert.equal(messages.firstSequence, isPurged ? upTo + 1 : 1);
  assert.equal(messages.messageCount, isPurged ? LAST - upTo : LAST);
  assert.deepEqual(await bench.read(channel), isPurged ? upTo < LAST ? texts(upTo + 1, LAST) : [] : texts(1, LAST));
}

for (const upTo of [2, 3, 9, LAST]) {
  for (const options of [{}, { sliceMaxMessages: 3 }, { sliceMaxMessages: 3, sync: false }]) {
    const title = `${upTo} of ${LAST}, ${JSON.stringify(options)}`;

    test(`stores 5.6: a purge of ${title}, dead after any call of the disk`, async () => {
      let isOver = false;
      for (let calls = 1; !isOver; calls++) {
        assert.ok(calls < 200);
        for (const isPowerCut of [false, true]) {
          // What was never synced may be gone with the power, and no promise was made about it.
          if (isPowerCut && "sync" in options) continue;
          const bench = new Bench(calls, options);
          const channel = await bench.fill();
          bench.disk.callsLeft = calls;
          const outcome = await purge(bench, channel, upTo);
          isOver = !bench.disk.isDead;
          if (isPowerCut) bench.disk.cutPower();
          else bench.disk.kill();
          await settle();
          assert.equal(lastForReference(bench.disk), LAST, `${calls} calls`);
          const again = await bench.next();
          await assertWhole(bench, again, upTo, outcome);
          if (outcome === "done" && !isPowerCut) {
            // What was left between two steps of a purge is no damage; an old slice may have lost its index already.
            const isNews = (line: string) => !line.includes("the index is missing");
            assert.deepEqual(bench.log.warnings.filter(isNews), []);
          }
          // The next sequence is the next one, also after what was left over was cleared away.
          const { firstSequence } = again!.messages;
          fill(again!.messages, LAST + 1, LAST + 2);
          await bench.done(again!.messages.flush());
          await bench.machine.advance(3000);
          await bench.done(bench.store.close());
          const { problems } = readStore(bench.disk, "/data");
          assert.deepEqual(problems, [], `${calls} calls`);
          const third = await bench.next();
          assert.deepEqual([third!.messages.firstSequence, third!.messages.lastSequence], [firstSequence, LAST + 2]);
          await bench.done(bench.store.close());
        }
      }
    });

    test(`stores 1.4: a purge of ${title} that cannot be made safe did not happen`, async () => {
      for (const weather of [{ syncErrors: 100 }, { writeErrors: 100 }, { nameErrors: 100 }]) {
        const bench = new Bench(7, options);
        const channel = await bench.fill();
        Object.assign(bench.disk.weather, weather);
        assert.equal(await purge(bench, channel, upTo), "refused");
        assert.equal(channel.messages.firstSequence, 1);
        assert.deepEqual(await bench.read(channel), texts(1, LAST));
        Object.assign(bench.disk.weather, { syncErrors: 0, writeErrors: 0, nameErrors: 0 });
        await bench.machine.advance(5000);
        fill(channel.messages, LAST + 1, LAST + 1);
        await bench.done(channel.messages.flush());
        assert.deepEqual(await bench.read(channel), texts(1, LAST + 1));
        await bench.done(bench.store.close());
        assert.deepEqual(readStore(bench.disk, "/data").problems, []);
        const again = await bench.next();
        assert.deepEqual(await bench.read(again!), texts(1, LAST + 1));
        await bench.done(bench.store.close());
      }
    });
  }
}

test("decision 16: a purge makes room where publishes are refused for want of it", async () => {
  for (const isReserve of [true, false]) {
    const bench = new Bench(3, isReserve ? { reserveBytes: 50_000 } : {});
    const channel = await bench.fill();
    for (let i = 1; i <= 9; i++) {
      assert.ok(channel.messages.append(LAST + i, 1, 1, new Uint8Array(9000), 0, 0, 0, 9000) > 0);
    }
    await bench.done(channel.messages.flush());
    const last = channel.messages.lastSequence;
    // With a reserve the store refuses by itself; else a write fails, and a little is left for what does not need much.
    bench.disk.capacityBytes = bench.disk.usedBytes + (isReserve ? 20_000 : 2000);
    bench.store.addClient({
      id: "c",
      heartbeatInbox: "",
      connectionId: "",
      protocol: 1,
      pingIntervalSecs: 0,
      pingMaxOut: 0,
    });
    if (!isReserve) {
      assert.ok(channel.messages.append(last + 1, 1, 1, new Uint8Array(9000), 0, 0, 0, 9000) > 0);
      await assert.rejects(async () => await bench.done(channel.messages.flush()), StoreError);
    }
    await bench.machine.advance(3000);
    if (isReserve) assert.notEqual(channel.messages.refusal, "");
    assert.equal(await purge(bench, channel, last), "done");
    assert.equal(channel.messages.messageCount, 0);
    await bench.machine.advance(3000);
    assert.equal(channel.messages.refusal, "");
    assert.ok(channel.messages.append(last + 1, 1, 1, new Uint8Array(9000), 0, 0, 0, 9000) > 0);
    await bench.done(channel.messages.flush());
    await bench.done(bench.store.close());
    assert.deepEqual(readStore(bench.disk, "/data").problems, []);
  }
});

/** What one process after the other does to a channel, and what must be there then. */
class History {
  readonly bench: Bench;
  readonly random: Random;
  channel!: ChannelStore;
  first = 0;
  last = 0;
  /** For messages: a sequence that was taken back is given again, to another one. */
  #generation = 0;
  #wasCut = false;
  #hasHoles = false;
  /** Since the last flush that ended well. A crash may leave any of it, also where it was taken back. */
  readonly #tried = new Map<number, Set<string>>();
  readonly #triedFirst = new Set<number>();
  readonly texts = new Map<number, string>();
  counts = { purged: 0, refused: 0, died: 0, reopened: 0 };

  constructor(seed: number) {
    this.random = new Random(seed);
    const { random } = this;
    this.bench = new Bench(seed, {
      sliceMaxMessages: random.pick([0, 1, 3, 7]),
      bufferBytes: random.pick([0, 1024]),
      readBufferBytes: random.pick([0, 200, 2_000_000]),
    });
  }

  async run(): Promise<void> {
    const { bench, random } = this;
    await bench.next();
    this.channel = bench.store.createChannel("foo");
    await bench.done(bench.store.flush());
    await bench.done(this.channel.messages.flush());
    for (let steps = 25; steps > 0; steps--) {
      const { weather } = bench.disk;
      const isBad = random.chance(20);
      if (isBad) Object.assign(weather, random.pick([{ syncErrors: 60 }, { writeErrors: 60 }, { nameErrors: 60 }]));
      if (random.chance(15)) bench.disk.callsLeft = random.between(1, 25);
      await this.#step();
      Object.assign(weather, { syncErrors: 0, writeErrors: 0, nameErrors: 0 });
      await this.#wait(isBad ? 5000 : random.pick([0, 1000, 2500]));
      bench.disk.callsLeft = Infinity;
      if (bench.disk.isDead || random.chance(20)) await this.#reopen();
      await this.#compare();
    }
    await bench.done(bench.store.close());
    const { problems } = readStore(bench.disk, "/data", { gapsAllowed: () => this.#wasCut });
    assert.deepEqual(problems, []);
  }

  /** The store does what it does by itself; the process may die in it. */
  async #wait(ms: number): Promise<void> {
    if (this.bench.disk.isDead) return;
    try {
      await this.bench.machine.advance(ms);
    } catch (error) {
      if (!this.bench.disk.isDead) throw error;
    }
  }

  /** Messages, a purge, or both in one flush. What is staged together becomes safe together, or not at all. */
  async #step(): Promise<void> {
    const { bench, random } = this;
    const { messages } = this.channel;
    const staged = new Map<number, string>();
    let { first } = this;
    let wanted = first;
    let refused = false;
    const publish = (count: number) => {
      for (let i = 0; i < count && !refused; i++) {
        const sequence = messages.lastSequence + 1;
        const text = `${sequence}.${++this.#generation}`;
        // An attempt counts as made even where the answer is no: a process that dies in it may have written it.
        staged.set(sequence, text);
        refused = put(messages, sequence, text) <= 0;
      }
    };
    const kind = random.below(4);
    try {
      if (kind !== 1) publish(random.between(1, 6));
      if (kind >= 1 && messages.lastSequence > 0 && !refused) {
        const upTo = random.chance(50) ? messages.lastSequence : random.between(1, messages.lastSequence);
        wanted = Math.max(first, upTo + 1);
        messages.purge(upTo);
        first = wanted;
        if (kind === 3) publish(random.between(1, 4));
      }
    } catch (error) {
      if (!bench.disk.isDead && !(error instanceof StoreError)) throw error;
      refused = true;
    }
    let isDone = false;
    try {
      const flush = bench.disk.isDead ? undefined : messages.flush();
      if (flush === undefined) isDone = !bench.disk.isDead;
      else flush.then(() => isDone = true, () => {});
      await bench.machine.advance(60);
    } catch (error) {
      if (!bench.disk.isDead) throw error;
    }
    if (!isDone) {
      if (bench.disk.isDead) this.counts.died++;
      else this.counts.refused++;
      for (const [sequence, text] of staged) {
        const texts = this.#tried.get(sequence);
        if (texts === undefined) this.#tried.set(sequence, new Set([text]));
        else texts.add(text);
      }
      this.#triedFirst.add(wanted);
      return;
    }
    // What the store took before it refused something is its own, and safe now.
    if (refused) {
      for (const sequence of staged.keys()) if (sequence > messages.lastSequence) staged.delete(sequence);
      first = Math.max(this.first, Math.min(first, messages.firstSequence));
    }
    // In a hole there is none to begin with.
    if (this.#hasHoles) first = Math.max(first, messages.firstSequence);
    // While the store refuses, or had nothing to do, what it took back may still stand on the disk.
    if (messages.refusal === "" && (staged.size > 0 || first > this.first)) {
      this.#tried.clear();
      this.#triedFirst.clear();
    }
    if (first > this.first) this.counts.purged++;
    for (const [sequence, text] of staged) this.texts.set(sequence, text);
    this.last = Math.max(this.last, ...staged.keys());
    this.first = first === 0 && this.last > 0 ? 1 : first;
  }

  /** A new process. Of what was tried and not promised anything may be there; what is found is what counts from here on. */
  async #reopen(): Promise<void> {
    const { bench, random } = this;
    this.counts.reopened++;
    await settle();
    if (random.chance(50)) {
      this.#wasCut = true;
      bench.disk.cutPower();
    } else bench.disk.kill();
    assert.ok(lastForReference(bench.disk) >= this.last, "the reference would give a sequence again");
    const channel = await bench.next();
    assert.ok(channel !== undefined);
    this.channel = channel;
    // What a killed process left in the system's memory is nobody's until this is over.
    await bench.done(channel.messages.flush());
    const { firstSequence, lastSequence } = channel.messages;
    assert.ok(lastSequence >= this.last, `last is ${lastSequence}, ${this.last} were safe`);
    assert.ok(lastSequence <= Math.max(this.last, ...this.#tried.keys()), `last is ${lastSequence}`);
    const isAllowed = firstSequence === this.first || this.#triedFirst.has(firstSequence) ||
      (this.first === 0 && firstSequence === 1) ||
      // Nothing was safe behind the purged ones, and a power cut took the first of the others.
      (this.#wasCut && [this.first, ...this.#triedFirst].some((one) => one > this.last && firstSequence > one)) ||
      (this.#wasCut && this.last === 0);
    assert.ok(isAllowed, `first is ${firstSequence}, was ${this.first}, tried were ${[...this.#triedFirst]}`);
    const found = new Map(
      (await bench.read(channel))!.map((text) => [Number(text.split("=")[0]), text.split("=")[1]!]),
    );
    for (let at = Math.max(this.last + 1, firstSequence); at <= lastSequence; at++) {
      const text = found.get(at);
      if (text !== undefined) {
        assert.ok(this.#tried.get(at)?.has(text), `nobody stored ${text}`);
        this.texts.set(at, text);
        continue;
      }
      // A power cut may leave holes among what nobody was promised.
      assert.ok(this.#wasCut, `${at} is gone`);
      this.#hasHoles = true;
    }
    this.last = lastSequence;
    this.first = firstSequence;
  }

  async #compare(): Promise<void> {
    const { messages } = this.channel;
    assert.deepEqual([messages.firstSequence, messages.lastSequence], [this.first, this.last]);
    const expected: string[] = [];
    for (let at = Math.max(1, this.first); at <= this.last; at++) {
      if (this.texts.has(at)) expected.push(`${at}=${this.texts.get(at)}`);
    }
    assert.deepEqual(await this.bench.read(this.channel), expected);
    if (!this.#hasHoles) assert.equal(messages.messageCount, expected.length);
  }
}

const SEEDS = 120;
const PORTION = 20;
const total = { purged: 0, refused: 0, died: 0, reopened: 0 };

// In portions: a runtime may put an end to a test that takes more than a few seconds.
for (let from = 1; from <= SEEDS; from += PORTION) {
  test(`stores 1.4, 5.6, 6.2: purges among publishes, refusals, deaths and power cuts, from seed ${from}`, async () => {
    for (let seed = from; seed < from + PORTION; seed++) {
      const history = new History(seed);
      try {
        await history.run();
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : error}`, { cause: error });
      }
      for (const what of Object.keys(total) as (keyof typeof total)[]) total[what] += history.counts[what];
    }
  });
}

test("stores 1.4: histories in which nothing happens prove nothing", () => {
  for (const [what, count] of Object.entries(total)) assert.ok(count > 100, `${what}: ${count}`);
});
