/**
 * Lives of a FILE store on a simulated disk: a seed makes the options, the weather and the deeds of several processes one after
 * the other, each ended by a crash or in good order. The model says what the next one must find.
 */
import { bytesOf, byteString } from "../../src/base/bytes.ts";
import { FileStore } from "../../src/store/file/file_store.ts";
import { FILE_STORE_DEFAULTS, type FileStoreOptions } from "../../src/store/file/options.ts";
import {
  APPEND_FAILED,
  type ChannelLimits,
  type ChannelStore,
  LOOKUP_FAILED,
  LOOKUP_FOUND,
  LOOKUP_LATER,
  LOOKUP_NONE,
  type MessageStore,
  type MessageView,
  type RecoveredState,
  StoreError,
  type SubscriptionRecord,
} from "../../src/store/types.ts";
import { decodeMsgProto, msgProtoSize, MsgProtoView } from "../../src/wire/stan_hot.ts";
import { stanSubjects } from "../../src/wire/stan_subjects.ts";
import { RecordingLog } from "../helpers/file_store.ts";
import { type ReadChannel, readStore } from "../helpers/store_validator.ts";
import { CALM, SimulatedDisk } from "./disk.ts";
import {
  type Attempt,
  Broken,
  expect,
  type Mark,
  MessageModel,
  NameModel,
  SubscriptionModel,
} from "./file_store_model.ts";
import { Machine, settle } from "./machine.ts";
import { Random } from "./random.ts";

const DIR = "/data";
const CHANNELS = ["orders", "a.b", "x"];
/** Lengths of payloads: around the sizes of blocks, index buffers and slices, and everything small. */
const LENGTHS = [0, 1, 2, 3, 7, 8, 20, 31, 60, 90, 97, 130, 200, 255, 470, 900, 985, 1024, 1030, 2100, 5000];
const STEPS_MAX = 45;
/** After the disk has taken writes again, the store has noticed within this time. */
const RESUME_MS = 2500;

/** Counted over a life, to see that something happened. */
export interface LifeCounts {
  promised: number;
  takenBack: number;
  takenBackUnasked: number;
  powerCuts: number;
  kills: number;
  closes: number;
  recovered: number;
  compactions: number;
  refused: number;
  damaged: number;
}

export interface LifeOutcome {
  readonly seed: number;
  readonly hash: string;
  readonly error: unknown;
  readonly trace: readonly string[];
  readonly counts: LifeCounts;
}

/** Both models of a channel, for as long as it is not deleted. */
interface ChannelModel {
  readonly messages: MessageModel;
  readonly subscriptions: SubscriptionModel;
  store: ChannelStore | undefined;
  /** Found by a new process, in the directory of the one before it: only a sync of that directory tells them apart. */
  readonly isAdopted: boolean;
}

interface Ended {
  readonly apply: () => void;
  readonly isRejection: boolean;
}

/** What a plant may reach. */
export interface LifeHooks {
  readonly prepare?: (disk: SimulatedDisk) => void;
}

class Life {
  readonly random: Random;
  readonly machine = new Machine();
  readonly disk: SimulatedDisk;
  readonly trace: string[] = [];
  readonly counts: LifeCounts = {
    promised: 0,
    takenBack: 0,
    takenBackUnasked: 0,
    powerCuts: 0,
    kills: 0,
    closes: 0,
    recovered: 0,
    compactions: 0,
    refused: 0,
    damaged: 0,
  };
  readonly #traced: boolean;
  readonly #options: FileStoreOptions;
  readonly #limits: ChannelLimits;
  readonly #fairSize: number;
  /** Newest first; older ones only while their deletion is not promised. */
  readonly #channels = new Map<string, ChannelModel[]>();
  readonly #names = new NameModel();
  readonly #clients = new NameModel();
  #store!: FileStore;
  #log = new RecordingLog();
  #process = 0;
  #attempts = 0;
  #ended: Ended[] = [];
  /** Something failed in this process: refusals are in order. */
  #hadTrouble = false;
  #hasServerInfo = false;
  #underWay = 0;
  #isAfterPowerCut = false;
  /** A sync failed before the process was killed: the system may have thrown its copies away, which leaves holes, too. */
  #isAfterTrouble = false;
  /** What was found at the start may be in the system's memory only. */
  #isUnproven = false;

  /** In one life of eight; the others stay as they were recorded. */
  readonly #hasOtherReaders: boolean;

  constructor(seed: number, traced: boolean, hooks: LifeHooks) {
    this.#hasOtherReaders = seed % 8 === 4;
    this.random = new Random(seed);
    this.disk = new SimulatedDisk(this.machine, this.random);
    this.#traced = traced;
    const { random } = this;
    this.#limits = {
      maxSubscriptions: random.pick([0, 0, 4]),
      maxMessages: random.pick([0, 0, 4, 9, 30]),
      maxBytes: random.pick([0, 0, 0, 900, 6000]),
      maxAgeMs: random.pick([0, 0, 0, 4000]),
      maxInactivityMs: 0,
    };
    this.#options = {
      ...FILE_STORE_DEFAULTS,
      dir: DIR,
      sync: random.chance(88),
      sliceMaxMessages: random.pick([0, 0, 1, 3, 5, 20]),
      sliceMaxBytes: random.pick([64 * 1024 * 1024, 200, 1500, 4000]),
      sliceMaxAgeMs: random.pick([0, 0, 1500]),
      bufferBytes: random.pick([0, 1024, 4096, 2 * 1024 * 1024]),
      readBufferBytes: random.pick([0, 200, 2000, 2 * 1024 * 1024]),
      compactMinBytes: random.pick([0, 100, 400]),
      compactFragmentation: random.pick([10, 30, 50]),
      compactIntervalMs: random.pick([1, 1000]),
      descriptorsMax: random.pick([0, 0, 3]),
      autoSyncMs: random.pick([0, 2000, 60_000]),
    };
    this.#fairSize = random.pick([8, 60, 1000]);
    this.disk.renamed = (path) => {
      if (!path.endsWith("server.dat")) this.counts.compactions++;
    };
    hooks.prepare?.(this.disk);
  }

  say(text: () => string): void {
    if (this.#traced) this.trace.push(`${this.#process}/${this.machine.nowMs} ${text()}`);
  }

  async run(): Promise<void> {
    const { random } = this;
    this.say(() => `options ${JSON.stringify(this.#options)} limits ${JSON.stringify(this.#limits)}`);
    let isDurable = true;
    for (let process = random.between(2, 5); process > 0;) {
      this.#process++;
      if (random.chance(15) && this.#process > 1 && !(await this.#tryBadStart())) {
        isDurable = await this.#crash();
        continue;
      }
      process--;
      await this.#start(isDurable);
      for (let steps = random.between(3, STEPS_MAX); steps > 0 && !this.disk.isDead; steps--) {
        if (random.chance(4)) this.disk.callsLeft = random.between(1, 60);
        await this.#tryStep();
      }
      isDurable = this.disk.isDead || random.chance(70) ? await this.#crash() : await this.#close();
    }
    this.#process++;
    await this.#start(isDurable);
    await this.#calmDown();
    for (const name of [...this.#names.ids]) await this.#proveLife(name);
    await this.#close();
  }

  /** Without sync a flush promises nothing for a power cut. */
  get #keepsPromises(): boolean {
    return this.#options.sync || !this.#isAfterPowerCut;
  }

  // Start --------------------------------------------------------------------------------------------------------------

  #open(): FileStore {
    this.disk.reboot();
    this.disk.capacityBytes = 1 << 30;
    this.#log = new RecordingLog();
    this.#ended = [];
    this.#hadTrouble = false;
    this.#underWay = 0;
    return new FileStore({ maxChannels: 0, forChannel: () => this.#limits }, this.#options, {
      disk: this.disk,
      clock: this.machine.clock,
      scheduler: this.machine.scheduler,
      log: this.#log,
      runProgram: () => {},
    });
  }

  async #recover(store: FileStore): Promise<RecoveredState | undefined> {
    const ended = (async () => {
      try {
        return await store.recover();
      } catch (error) {
        if (!(error instanceof StoreError) || error.code !== "STORE_NO_SERVER_INFO") throw error;
        expect(!this.#hasServerInfo || !this.#keepsPromises, () => "the server record was promised and is gone");
        store.init(stanSubjects("sim"));
        return await store.recover();
      }
    })();
    let isOver = false;
    ended.then(() => isOver = true, () => isOver = true);
    expect(await this.machine.until(() => isOver, 60_000), () => "the start never ends");
    return await ended;
  }

  /** A start on a disk that does not work, or that ends in the middle. True: it went well all the same. */
  async #tryBadStart(): Promise<boolean> {
    const { random, disk } = this;
    const store = this.#open();
    const kind = random.below(3);
    if (kind === 0) disk.callsLeft = random.between(1, 80);
    else if (kind === 1) disk.weather.readErrors = random.pick([2, 20]);
    else disk.capacityBytes = disk.usedBytes + random.below(30);
    this.say(() => `a bad start, kind ${kind}`);
    try {
      await this.#recover(store);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      expect(kind !== 2 || disk.isDead || error.message !== "", () => "a start says why it fails");
      this.say(() => `it fails: ${error.message}`);
    }
    disk.capacityBytes = 1 << 30;
    disk.kill();
    return false;
  }

  async #start(isDurable: boolean): Promise<void> {
    const store = this.#store = this.#open();
    const { disk } = this;
    let state: RecoveredState | undefined;
    try {
      state = await this.#recover(store);
    } catch (error) {
      throw new Error(`the start fails: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
    if (state === undefined) store.init(stanSubjects("sim"));
    else {
      this.counts.recovered++;
      expect(state.server.clusterId === "sim", () => "another server");
    }
    const promises = this.#keepsPromises;
    const mayHaveHoles = this.#isAfterPowerCut || this.#isAfterTrouble;
    this.#isAfterPowerCut = this.#isAfterTrouble = false;
    this.#isUnproven = !isDurable;
    this.say(() => `starts with ${state?.channels.map(({ store: { name } }) => name)} ${this.#log.lines.join(" | ")}`);
    if (state === undefined) {
      expect(!this.#hasServerInfo || !promises, () => "the server record was promised and is gone");
    }
    // Without a server record what clients.dat says is ignored (stores.md 6.1).
    if (state === undefined) this.#clients.ignored();
    else this.#clients.recovered("client", new Set(state.clients.map(({ id }) => id)), promises, isDurable);
    const found = new Set(state?.channels.map((channel) => channel.store.name));
    this.#names.recovered("channel", found, promises, isDurable);
    for (const [name, models] of [...this.#channels]) {
      if (found.has(name)) continue;
      if (isDurable) this.#channels.delete(name);
      // What a kill left out a power cut may bring back; but nothing of it is promised any more.
      else for (const model of models) model.store = undefined;
    }
    for (const channel of state?.channels ?? []) {
      await this.#compare(channel.store, channel.subscriptions, promises, isDurable);
      const { messages } = this.#channels.get(channel.store.name)![0]!;
      messages.hasGaps ||= mayHaveHoles;
    }
    expect(disk.misuses.length === 0, () => disk.misuses.join(", "));
  }

  async #compare(
    store: ChannelStore,
    subscriptions: RecoveredState["channels"][number]["subscriptions"],
    promises: boolean,
    isDurable: boolean,
  ): Promise<void> {
    const models = this.#channels.get(store.name) ?? [];
    const [newest] = models;
    // Of a channel that was being deleted, or was made anew without anything being promised, anything may be there.
    const hasPromises = promises && newest !== undefined && this.#names.ids.has(store.name) && models.length === 1 &&
      newest.store !== undefined;
    const known = models.flatMap((model) => [...model.messages.attempts.values()].flat());
    const found = new Map<number, Attempt>();
    const { messages } = store;
    const about = () => `channel "${store.name}" ${messages.firstSequence}-${messages.lastSequence}`;
    for (let sequence = messages.firstSequence; sequence > 0 && sequence <= messages.lastSequence; sequence++) {
      const read = await this.#read(store, sequence);
      if (read === undefined) {
        this.counts.damaged++;
        continue;
      }
      const attempt = known.find((one) => one.sequence === sequence && isSame(one, read));
      expect(attempt !== undefined, () => `${about()}: nobody ever sent what message ${sequence} says`);
      found.set(sequence, attempt!);
    }
    const model: ChannelModel = hasPromises ? newest : {
      messages: new MessageModel(this.#limits),
      subscriptions: new SubscriptionModel(),
      store,
      isAdopted: true,
    };
    if (!hasPromises) {
      for (const attempt of known) addAttempt(model.messages, attempt);
      model.messages.hasGaps = models.some(({ messages: { hasGaps } }) => hasGaps);
    }
    model.store = store;
    // After a kill the channel that was to go may still come back, with the next power cut.
    this.#channels.set(store.name, isDurable || hasPromises ? [model] : [model, ...models]);
    this.say(() =>
      `${about()} has ${messages.messageCount} messages, ${messages.byteCount} bytes, ${found.size} readable`
    );
    this.disk.note(
      messages.firstSequence,
      messages.lastSequence,
      messages.messageCount,
      messages.byteCount,
      found.size,
    );
    const state = {
      first: messages.firstSequence,
      last: messages.lastSequence,
      count: messages.messageCount,
      bytes: messages.byteCount,
    };
    try {
      model.messages.recovered(found, state, hasPromises, isDurable);
      model.subscriptions.recovered(subscriptions, messages.lastSequence, hasPromises, isDurable);
    } catch (error) {
      throw new Error(`${about()}: ${error instanceof Error ? error.message : error}`, { cause: error });
    }
  }

  // End ----------------------------------------------------------------------------------------------------------------

  /** False: the process is gone, the machine is not. */
  async #crash(): Promise<boolean> {
    const { disk, random } = this;
    await settle();
    // What had ended well when the process died was answered.
    this.#ended = this.#ended.filter(({ isRejection }) => !isRejection);
    this.#apply();
    const isCut = random.chance(65);
    this.say(() => isCut ? "the power is cut" : "the process is killed");
    if (isCut) {
      this.counts.powerCuts++;
      this.#isAfterPowerCut = true;
      disk.cutPower();
      this.#checkIndexes();
      return true;
    }
    this.counts.kills++;
    disk.kill();
    const problems = this.#checkIndexes();
    // What a power cut left is in order when a start has ended.
    this.#isAfterTrouble = this.#hadTrouble;
    const mayBeAnything = this.#hadTrouble || this.#isAfterPowerCut;
    expect(mayBeAnything || problems.length === 0, () => `the directory is not in order: ${problems.join("; ")}`);
    return false;
  }

  /** stores.md 11.3 and 12.85: after any crash the reference, which trusts an index, must find what was promised in it. */
  #checkIndexes(): string[] {
    const { channels, problems } = readStore(this.disk, DIR, { isOpen: true, gapsAllowed: () => true });
    for (const [name, models] of this.#channels) {
      const read = channels.get(name);
      const model = models[0]!.messages;
      if (
        !this.#options.sync || read === undefined || models.length > 1 || model.hasGaps ||
        models[0]!.store === undefined
      ) {
        continue;
      }
      for (const sequence of model.promised.keys()) {
        // What a start found and limits pushed out may go as soon as the rest is safe, without anybody asking.
        const first = this.#isUnproven ? Math.max(model.first, model.promisedFirst) : model.promisedFirst;
        if (sequence < first || sequence > model.promisedLast) continue;
        expect(read.indexed.has(sequence), () => `${name}: message ${sequence} was promised and is in no index`);
      }
    }
    return problems;
  }

  async #close(): Promise<boolean> {
    const { disk } = this;
    await this.#calmDown();
    this.say(() => "closes");
    this.counts.closes++;
    const closing = this.#store.close();
    let isOver = false;
    closing.then(() => isOver = true);
    expect(await this.machine.until(() => isOver, 30_000), () => "closing never ends");
    await this.machine.advance(0);
    this.#apply();
    expect(disk.openCount === 0, () => `${disk.openCount} files stay open`);
    expect(disk.misuses.length === 0, () => disk.misuses.join(", "));
    for (const models of this.#channels.values()) {
      const { messages, subscriptions } = models[0]!;
      // A flush that is owed an error takes along what came behind what it is owed for.
      if (messages.isOwed) messages.takenBack();
      messages.flushed({ ...messages.mark(), batch: [] });
      subscriptions.flushed(subscriptions.mark());
    }
    this.#names.flushed(this.#names.mark());
    this.#clients.flushed(this.#clients.mark());
    this.#hasServerInfo = true;
    const isCut = this.random.chance(50);
    if (isCut && this.#options.sync) disk.cutPower();
    else disk.kill();
    this.#validate();
    return this.#options.sync;
  }

  /** What another implementation reads after a clean stop is what the model knows. */
  #validate(): void {
    const read = readStore(this.disk, DIR, {
      gapsAllowed: (name) => this.#channels.get(name)?.[0]?.messages.hasGaps ?? false,
    });
    expect(read.problems.length === 0, () => `the directory is not in order: ${read.problems.join("; ")}`);
    expect(read.clusterId === "sim", () => "the server record is missing");
    expect(
      sameSet(read.clients, this.#clients.ids),
      () => `clients ${[...read.clients]}, not ${[...this.#clients.ids]}`,
    );
    expect(
      sameSet(new Set(read.channels.keys()), this.#names.ids),
      () => `channels ${[...read.channels.keys()]}, not ${[...this.#names.ids]}`,
    );
    for (const [name, channel] of read.channels) this.#validateChannel(name, channel);
  }

  #validateChannel(name: string, read: ReadChannel): void {
    const { messages, subscriptions } = this.#channels.get(name)![0]!;
    if (messages.isExact && !messages.hasGaps) {
      for (let sequence = messages.first; sequence > 0 && sequence <= messages.last; sequence++) {
        const expected = messages.get(sequence);
        const found = read.messages.get(sequence);
        if (expected === undefined) continue;
        const isRight = found !== undefined && found.stampNs === expected.stampNs &&
          isEqual(found.data, expected.data) &&
          found.size + 40 === expected.cost;
        expect(isRight, () => `${name}: message ${sequence} is not in the files as it was sent`);
      }
      const last = Math.max(0, ...read.messages.keys());
      expect(last === messages.last, () => `${name}: the files end with ${last}, not ${messages.last}`);
    }
    const ids = new Set(subscriptions.states.keys());
    expect(sameSet(ids, new Set(read.subscriptions.keys())), () => `${name}: subscriptions ${[...ids]}`);
    for (const [id, { record, pending }] of subscriptions.states) {
      const found = read.subscriptions.get(id)!;
      const isRight = found.lastSent === record.lastSent && sameSet(found.pending, pending) &&
        found.inbox === record.inbox && found.isClosed === record.isClosed;
      expect(
        isRight,
        () =>
          `${name}: subscription ${id} is ${
            JSON.stringify({ ...found, pending: [...found.pending] })
          } in the file, not ` +
          `${JSON.stringify(record)} ${[...pending]}`,
      );
    }
  }

  // Steps --------------------------------------------------------------------------------------------------------------

  async #tryStep(): Promise<void> {
    try {
      await this.#step();
      await this.#look();
    } catch (error) {
      // What a dying process throws is nobody's concern.
      if (!this.disk.isDead || error instanceof Broken) throw error;
    }
  }

  async #step(): Promise<void> {
    const { random } = this;
    const kind = random.below(100);
    const names = [...this.#names.ids];
    if (names.length === 0 || kind < 3) return this.#createChannel();
    const name = random.pick(names);
    if (kind < 38) this.#publish(name, random.between(1, this.#fairSize > 100 ? 12 : 5));
    else if (kind < 58) this.#flush(name);
    else if (kind < 74) this.#changeSubscriptions(name);
    else if (kind < 78) this.#changeClients();
    else if (kind < 82) await this.#lookAt(name);
    else if (kind < 84) this.#expire(name);
    else if (kind < 85) this.#deleteChannel(name);
    else if (kind < 90) this.#changeWeather();
    else await this.machine.advance(random.pick([0, 1, 5, 60, 1100, 2100]));
    if (random.chance(60)) await this.machine.advance(random.pick([0, 0, 1, 10]));
  }

  /** Calls that a dying process makes may throw anything. */
  #guard<Result>(work: () => Result): Result | undefined {
    try {
      return work();
    } catch (error) {
      if (this.disk.isDead) return undefined;
      if (!(error instanceof StoreError)) throw error;
      expect(this.#hadTrouble || error.code === "STORE_TOO_MANY_SUBSCRIPTIONS", () => `refused: ${error.message}`);
      this.#checkText(error.message);
      this.counts.refused++;
      return undefined;
    }
  }

  #checkText(text: string): void {
    expect(!text.includes(DIR) && !text.includes("msgs."), () => `a client would read a path: ${text}`);
  }

  #createChannel(): void {
    const name = this.random.pick(CHANNELS);
    if (this.#names.ids.has(name)) return;
    const store = this.#guard(() => this.#store.createChannel(name));
    this.say(() => `creates ${name}`);
    this.#names.change(name, true);
    if (store === undefined) {
      // Half of it may be there, and be an empty channel for the next process.
      if (!this.disk.isDead) this.#names.maybe(name);
      return;
    }
    const model = {
      messages: new MessageModel(this.#limits),
      subscriptions: new SubscriptionModel(),
      store,
      isAdopted: false,
    };
    this.#channels.set(name, [model, ...this.#channels.get(name) ?? []]);
  }

  #deleteChannel(name: string): void {
    this.say(() => `deletes ${name}`);
    // On a disk that refuses, its files stay and it comes back: an operator is told (stores.md 5.13).
    this.#calm();
    this.#guard(() => this.#store.deleteChannel(name));
    this.#names.change(name, false);
    this.#channels.get(name)![0]!.store = undefined;
  }

  #stamp(): bigint {
    const wall = { high: 0, low: 0 };
    this.machine.clock.wallNs(wall);
    return (BigInt(wall.high) << 32n) + BigInt(wall.low) + BigInt(++this.#attempts);
  }

  #publish(name: string, count: number): void {
    const { random } = this;
    const { messages: model, store } = this.#channels.get(name)![0]!;
    const { messages } = store!;
    const channelBytes = bytesOf(name);
    for (let i = 0; i < count && !this.disk.isDead; i++) {
      const stampNs = this.#stamp();
      const high = Number(stampNs >> 32n);
      const low = Number(stampNs & 0xffff_ffffn);
      const length = random.chance(20) ? Math.min(random.pick(LENGTHS), 6000) : random.below(this.#fairSize);
      const reply = random.chance(10) ? bytesOf("r.1") : new Uint8Array(0);
      const source = new Uint8Array(reply.length + length);
      source.set(reply);
      for (let at = reply.length; at < source.length; at++) source[at] = this.#attempts * 31 + at * 7;
      const sequence = messages.lastSequence +
        (messages.lastSequence > 0 && random.chance(2) ? random.between(2, 4) : 1);
      const before = messages.lastSequence;
      const make = (at: number, isHole: boolean): Attempt => ({
        id: this.#attempts,
        sequence: at,
        data: isHole ? new Uint8Array(0) : source.slice(reply.length),
        reply: isHole ? new Uint8Array(0) : reply,
        stampNs,
        cost: 40 + msgProtoSize(
          at,
          channelBytes.length,
          isHole ? 0 : reply.length,
          isHole ? 0 : length,
          high,
          low,
        ),
      });
      const size = messages.append(sequence, high, low, source, 0, reply.length, reply.length, source.length);
      if (this.disk.isDead) {
        // Whether it was staged any more does not matter: it cannot have been written, its slice may have been made.
        for (let at = before + 1; at <= sequence; at++) addAttempt(model, make(at, at < sequence));
        return;
      }
      for (let at = before + 1; at < sequence && at <= messages.lastSequence; at++) model.staged(make(at, true));
      this.say(() => `${name} ${sequence} length ${length}: ${size}`);
      this.disk.note(sequence, size);
      if (size === APPEND_FAILED) {
        this.counts.refused++;
        expect(this.#hadTrouble, () => `message ${sequence} of ${name} is refused: ${messages.lastError}`);
        this.#checkText(messages.lastError);
        return;
      }
      const attempt = make(sequence, false);
      expect(size + 40 === attempt.cost, () => `message ${sequence} has ${size} bytes`);
      model.staged(attempt);
    }
  }

  #flush(name: string): void {
    const { random } = this;
    const model = this.#channels.get(name)![0]!;
    const { messages, subscriptions, store } = model;
    const what = random.below(10);
    if (what < 8) {
      const mark = messages.mark();
      this.#await(`messages of ${name} to ${mark.last}`, () => store!.messages.flush(), () => {
        this.counts.promised++;
        // Of a channel that was deleted meanwhile nothing is promised.
        if (model.store === undefined) return;
        messages.flushed(mark);
        this.#channelPromised(name, model);
      }, () => {
        this.counts.takenBack++;
        messages.takenBack();
      });
    }
    if (what > 2 && !this.disk.isDead) {
      const mark = subscriptions.mark();
      this.#await(`subscriptions of ${name}`, () => store!.subscriptions.flush(), () => {
        subscriptions.flushed(mark);
        this.#channelPromised(name, model);
      });
    }
    if (random.chance(40) && !this.disk.isDead) this.#flushStore();
  }

  #flushStore(): void {
    const clients: Mark<Set<string>> = this.#clients.mark();
    const names = this.#names.mark();
    const models = new Map([...this.#channels].map(([name, [newest]]) => [name, newest]));
    this.#await("the store", () => this.#store.flush(), () => {
      this.#hasServerInfo = true;
      this.#clients.flushed(clients);
      this.#names.flushed(names);
      if (!this.#options.sync) return;
      for (const [name, model] of models) {
        const kept = this.#channels.get(name);
        const at = kept?.indexOf(model!) ?? -1;
        // What came before is gone for good.
        if (at >= 0 && !model!.isAdopted) kept!.splice(at + 1);
        if (at === 0 && model!.store === undefined && !names.state.has(name)) this.#channels.delete(name);
      }
    });
  }

  /** Something in it was promised, so its name is. */
  #channelPromised(name: string, model: ChannelModel): void {
    const models = this.#channels.get(name);
    // Deleted meanwhile.
    if (models === undefined || models[0] !== model || model.store === undefined) return;
    if (this.#options.sync && !model.isAdopted) models.splice(1);
    if (this.#names.ids.has(name)) this.#names.promise(name);
  }

  #await(
    what: string,
    flush: () => Promise<void> | undefined,
    done: () => void,
    failed: () => void = () => {},
  ): void {
    const process = this.#process;
    const waits = this.#guard(flush);
    if (this.disk.isDead) return void waits?.catch(() => {});
    if (waits === undefined) {
      this.say(() => `flush of ${what} has nothing to wait for`);
      done();
      return;
    }
    this.say(() => `flush of ${what} begins`);
    this.#underWay++;
    waits.then(() => {
      if (process === this.#process) this.#ended.push({ apply: done, isRejection: false });
      this.say(() => `flush of ${what} ended`);
    }, (error) => {
      this.say(() => `flush of ${what} failed: ${error}`);
      if (process !== this.#process || this.disk.isDead) return;
      this.#ended.push({
        isRejection: true,
        apply: () => {
          expect(error instanceof StoreError, () => `a flush fails with ${error}`);
          expect(this.#hadTrouble, () => `a flush fails without a reason: ${error}`);
          this.#checkText(error.message);
          failed();
        },
      });
    });
  }

  /** Takes note of the flushes that have ended, the good ones first: they were before what failed. */
  #apply(): void {
    const ended = this.#ended;
    this.#ended = [];
    this.#underWay -= ended.length;
    for (const one of ended) if (!one.isRejection) one.apply();
    for (const one of ended) if (one.isRejection) one.apply();
  }

  #changeSubscriptions(name: string): void {
    const { random } = this;
    const { subscriptions: model, messages, store } = this.#channels.get(name)![0]!;
    const { subscriptions } = store!;
    const ids = [...model.states.keys()];
    for (let count = random.between(1, 6); count > 0 && !this.disk.isDead; count--) {
      const kind = random.below(12);
      const id = ids.length === 0 ? 0 : random.pick(ids);
      const known = model.states.get(id);
      if (known === undefined || kind === 0) {
        const record = newSubscription(random, messages.visibleLast);
        const given = this.#guard(() => subscriptions.create(record));
        if (given === undefined) return;
        expect(!model.states.has(given), () => `${name}: subscription id ${given} is given twice`);
        model.change({ kind: "create", id: given, record: { ...record } });
        ids.push(given);
        this.say(() => `${name}: creates subscription ${given}`);
      } else if (kind === 1) {
        const record = { ...known.record, inbox: `i${random.below(1e6)}`, isClosed: random.chance(50) };
        if (random.chance(30)) record.lastSent = 0;
        model.change({ kind: "update", id, record: { ...record } });
        this.#guard(() => subscriptions.update(record));
        this.say(() => `${name}: updates subscription ${id}`);
      } else if (kind === 2) {
        model.change({ kind: "delete", id });
        this.#guard(() => subscriptions.delete(id));
        this.say(() => `${name}: deletes subscription ${id}`);
      } else if (kind < 8) {
        // What a reader may have got: safe, or found at the start.
        const lowest = Math.max(1, messages.first);
        if (messages.visibleLast < lowest) continue;
        const sequence = random.between(lowest, messages.visibleLast);
        if (subscriptions.addPending(id, sequence)) model.change({ kind: "pending", id, sequence });
        this.say(() => `${name}: subscription ${id} gets ${sequence}`);
      } else if (known.pending.size > 0) {
        const sequence = random.pick([...known.pending]);
        if (subscriptions.ackPending(id, sequence)) model.change({ kind: "ack", id, sequence });
        this.say(() => `${name}: subscription ${id} acks ${sequence}`);
      }
    }
  }

  #changeClients(): void {
    const id = `c${this.random.below(5)}`;
    const isAdded = !this.#clients.ids.has(id);
    this.#clients.change(id, isAdded);
    this.#guard(() => {
      if (!isAdded) return this.#store.deleteClient(id);
      this.#store.addClient({
        id,
        heartbeatInbox: "hb",
        connectionId: "x",
        protocol: 1,
        pingIntervalSecs: 5,
        pingMaxOut: 3,
      });
    });
    this.say(() => `client ${id} ${isAdded ? "comes" : "goes"}`);
  }

  #expire(name: string): void {
    const { messages: model, store } = this.#channels.get(name)![0]!;
    const now = this.#stamp();
    if (!model.isExact) return;
    store!.messages.expire(Number(now >> 32n), Number(now & 0xffff_ffffn));
    model.expire(now);
    this.say(() => `${name} expires: first ${store!.messages.firstSequence}`);
  }

  #changeWeather(): void {
    const { random, disk } = this;
    const { weather } = disk;
    Object.assign(weather, CALM);
    disk.capacityBytes = 1 << 30;
    if (random.chance(30)) return;
    this.#hadTrouble = true;
    weather.slowSyncMs = random.pick([0, 5, 300, 3000]);
    switch (random.below(5)) {
      case 0:
        // A failed sync may lose what a killed process left in the system's memory, and nobody was promised that.
        if (!this.#isUnproven && this.#options.sync) weather.syncErrors = random.pick([10, 60]);
        break;
      case 1:
        weather.writeErrors = random.pick([5, 50]);
        break;
      case 2:
        weather.nameErrors = 30;
        break;
      case 3:
        disk.capacityBytes = disk.usedBytes + random.below(3000);
    }
    this.say(() => `weather ${JSON.stringify(weather)} capacity ${disk.capacityBytes - disk.usedBytes}`);
  }

  #calm(): void {
    Object.assign(this.disk.weather, CALM);
    this.disk.capacityBytes = 1 << 30;
  }

  /** Everything ends, the store takes messages again, and what is staged is flushed. */
  async #calmDown(): Promise<void> {
    this.disk.callsLeft = Infinity;
    this.#calm();
    await this.machine.advance(RESUME_MS * 2);
    this.#apply();
    expect(this.#underWay === 0, () => `${this.#underWay} flushes never end`);
    this.#hadTrouble = false;
  }

  /** The store works: what is published now is there after a flush. */
  async #proveLife(name: string): Promise<void> {
    const { store, messages } = this.#channels.get(name)![0]!;
    const before = messages.last;
    this.#publish(name, 3);
    expect(store!.messages.lastSequence >= before + 3, () => `${name} does not take messages`);
    this.#flush(name);
    await this.machine.advance(100);
    await this.#look();
    for (let sequence = Math.max(before + 1, messages.first); sequence <= messages.last; sequence++) {
      const read = await this.#read(store!, sequence);
      expect(read !== undefined && isSame(messages.get(sequence)!, read), () => `${name}: ${sequence} cannot be read`);
    }
  }

  // Looking ------------------------------------------------------------------------------------------------------------

  /** What holds at any moment. */
  async #look(): Promise<void> {
    await settle();
    const { disk } = this;
    expect(disk.misuses.length === 0, () => disk.misuses.join(", "));
    if (disk.isDead) return;
    this.#apply();
    for (const name of this.#names.ids) {
      const { messages: model, store, subscriptions } = this.#channels.get(name)![0]!;
      const { firstSequence, lastSequence, messageCount, byteCount } = store!.messages;
      // The store has flushed for itself what was left to do, and failed, and messages had come meanwhile. They are taken back
      // before anybody has asked for them: whoever asks now must be refused (`MessageModel.flushed`).
      if (lastSequence < model.last && model.isUnasked(lastSequence + 1) && this.#hadTrouble) {
        this.counts.takenBackUnasked++;
        model.takenBack();
      }
      expect(
        lastSequence === model.last,
        () => `${name}: last is ${lastSequence}, should be ${model.last}`,
      );
      expect(
        store!.subscriptions.subscriptionCount === subscriptions.states.size,
        () => `${name}: ${store!.subscriptions.subscriptionCount} subscriptions, not ${subscriptions.states.size}`,
      );
      if (!model.isExact) {
        model.believe({ first: firstSequence, count: messageCount, bytes: byteCount });
        continue;
      }
      const isRight = firstSequence === model.first && messageCount === model.count && byteCount === model.bytes;
      expect(
        isRight,
        () =>
          `${name}: first ${firstSequence}, ${messageCount} messages, ${byteCount} bytes, not ` +
          `${model.first}, ${model.count}, ${model.bytes}`,
      );
    }
  }

  async #lookAt(name: string): Promise<void> {
    const { random, disk } = this;
    const { messages, store } = this.#channels.get(name)![0]!;
    const readErrors = random.pick([0, 0, 30]);
    for (let count = random.between(1, 5); count > 0 && !disk.isDead; count--) {
      const sequence = random.between(Math.max(0, messages.first - 2), messages.last + 2);
      disk.weather.readErrors = readErrors;
      if (this.#hasOtherReaders) this.#askElsewhere(store!.messages);
      const read = await this.#read(store!, sequence);
      disk.weather.readErrors = 0;
      if (disk.isDead) return;
      this.#apply();
      // Waiting for it, flushes may have ended: the model is asked afterwards.
      const expected = sequence >= messages.first ? messages.get(sequence) : undefined;
      if (expected === undefined) {
        if (read !== undefined && messages.isExact) expect(false, () => `${name}: ${sequence} should not be there`);
      } else {
        expect(read !== undefined && isSame(expected, read), () => `${name}: ${sequence} is not what was sent`);
      }
    }
  }

  /** Other readers are at other places at the same time; what comes of it is looked at when somebody reads it. */
  #askElsewhere(messages: MessageStore): void {
    const { random } = this;
    const { firstSequence, lastSequence } = messages;
    if (messages.messageCount === 0) return;
    for (let count = random.pick([0, 2, 4]); count > 0; count--) {
      messages.lookup(random.between(firstSequence, lastSequence), view);
    }
    // One that goes from message to message.
    if (random.chance(50)) return;
    for (let sequence = firstSequence; sequence <= lastSequence; sequence++) messages.lookup(sequence, view);
  }

  async #read(store: ChannelStore, sequence: number): Promise<ReadBack | undefined> {
    const { messages } = store;
    // Each message that another reader waits for makes it ask again.
    for (let tries = 0; tries < 12 + messages.messageCount; tries++) {
      if (tries === 6) this.disk.weather.readErrors = 0;
      const result = messages.lookup(sequence, view);
      if (result === LOOKUP_NONE || this.disk.isDead) return undefined;
      if (result === LOOKUP_FOUND) return readBack();
      if (result === LOOKUP_FAILED) {
        await this.machine.advance(1001);
        continue;
      }
      expect(result === LOOKUP_LATER, () => `lookup says ${result}`);
      let isReadable = false;
      messages.onReadable = () => isReadable = true;
      const came = await this.machine.until(() => isReadable || this.disk.isDead, 5000);
      messages.onReadable = undefined;
      expect(came, () => `${store.name}: ${sequence} is never readable`);
    }
    throw new Error(`${store.name}: ${sequence} cannot be read`);
  }
}

interface ReadBack {
  readonly data: Uint8Array;
  readonly reply: string;
  readonly stampNs: bigint;
}

const view: MessageView = { buffer: new Uint8Array(0), start: 0, end: 0 };
const decoded = new MsgProtoView();

function readBack(): ReadBack {
  const { buffer, start, end } = view;
  expect(decodeMsgProto(buffer, start, end, decoded), () => "a message cannot be decoded");
  return {
    data: buffer.slice(decoded.dataStart, decoded.dataEnd),
    reply: byteString(buffer, decoded.replyStart, decoded.replyEnd),
    stampNs: (BigInt(decoded.stampHigh) << 32n) + BigInt(decoded.stampLow),
  };
}

function isSame(attempt: Attempt, read: ReadBack): boolean {
  return attempt.stampNs === read.stampNs && byteString(attempt.reply) === read.reply &&
    isEqual(attempt.data, read.data);
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function sameSet(a: ReadonlySet<unknown>, b: ReadonlySet<unknown>): boolean {
  return a.size === b.size && [...a].every((value) => b.has(value));
}

function addAttempt(model: MessageModel, attempt: Attempt): void {
  const known = model.attempts.get(attempt.sequence);
  if (known === undefined) model.attempts.set(attempt.sequence, [attempt]);
  else known.push(attempt);
}

function newSubscription(random: Random, lastSent: number): SubscriptionRecord {
  return {
    id: 0,
    clientId: `c${random.below(5)}`,
    queueGroup: random.pick(["", "", "g", "d:g"]),
    inbox: `i${random.below(1e6)}`,
    ackInbox: "a",
    maxInFlight: random.between(1, 99),
    ackWaitSecs: 30,
    durableName: random.pick(["", "d"]),
    lastSent,
    isDurable: random.chance(50),
    isClosed: false,
  };
}

/** Runs `seed`. The hash is the same whether or not it is traced. */
export async function live(
  seed: number,
  { traced = false, hooks = {} }: { traced?: boolean; hooks?: LifeHooks } = {},
): Promise<LifeOutcome> {
  const life = new Life(seed, traced, hooks);
  let error: unknown;
  try {
    await life.run();
  } catch (caught) {
    error = caught;
  }
  return { seed, hash: life.disk.hash, error, trace: life.trace, counts: life.counts };
}

/** What a person needs to look into a failure. */
export async function reportLife(outcome: LifeOutcome): Promise<string> {
  const again = outcome.trace.length > 0 ? outcome : await live(outcome.seed, { traced: true });
  return [
    `seed ${outcome.seed}: ${outcome.error}`,
    `replay it with SIMULATION_SEED=${outcome.seed}`,
    ...again.trace.slice(0, 1),
    ...again.trace.slice(1).slice(-80),
  ].join("\n");
}
