/** One connection's input, turn by turn, with a clock that goes on only while input is handled. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FairShare } from "../../../src/nats/fair_share.ts";
import { type InputHost, SharedInput } from "../../../src/nats/shared_input.ts";

const KB = 1024;

class World {
  nowMs = 1000;
  turnsRequested = 0;
  readonly share = new FairShare(() => this.turnsRequested++);

  clockMs(): number {
    return this.nowMs;
  }

  client(canPull = true): Client {
    return new Client(this, canPull);
  }
}

/** Connection and socket in one. Its bytes are numbered, so that none is lost or handled twice unnoticed. */
class Client implements InputHost {
  readonly input: SharedInput;
  readonly world: World;
  isClosed = false;
  lastActivityMs = 0;
  inMessages = 0;
  /** What is waited for. */
  isAsking = false;
  nsPerByte = 10;
  /** Sizes of what was handled, and of what was pulled. */
  readonly handled: number[] = [];
  readonly pulled: number[] = [];
  isPaused = false;
  pauseCount = 0;
  resumeCount = 0;
  onHandled: (() => void) | undefined;
  /** Bytes that came and were not read. */
  arrivedBytes = 0;
  #sentBytes = 0;
  #readBytes = 0;
  #handledBytes = 0;

  constructor(world: World, canPull: boolean) {
    this.world = world;
    const socket = {
      pause: () => {
        this.isPaused = true;
        this.pauseCount++;
      },
      resume: () => {
        this.isPaused = false;
        this.resumeCount++;
      },
    };
    const pull = (into: Uint8Array, size: number, min: number) => {
      const count = this.arrivedBytes < min ? 0 : Math.min(this.arrivedBytes, size);
      assert.ok(size <= into.length);
      into.fill(0xff);
      into.set(this.#next(count));
      this.arrivedBytes -= count;
      this.pulled.push(count);
      return count;
    };
    this.input = new SharedInput(this, world, canPull ? { ...socket, pull } : socket);
  }

  #next(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.#readBytes++ % 251);
  }

  isAwaited(): boolean {
    return this.isAsking;
  }

  handleInput(bytes: Uint8Array, start: number, limit: number): number {
    const end = Math.min(bytes.length, start + limit);
    for (let at = start; at < end; at++) assert.equal(bytes[at], this.#handledBytes++ % 251);
    this.world.nowMs += (end - start) * this.nsPerByte / 1e6;
    this.inMessages++;
    this.handled.push(end - start);
    this.onHandled?.();
    return end;
  }

  /** The runtime reads so much. */
  read(size: number): void {
    this.#sentBytes += size;
    this.input.arrived(this.#next(size), this.lastActivityMs = this.world.nowMs);
  }

  /** The runtime reads what nobody has pulled. */
  readRest(): void {
    const size = this.arrivedBytes;
    this.arrivedBytes = 0;
    this.#sentBytes -= size;
    this.read(size);
  }

  /** So much comes while nobody reads. */
  arrive(size: number): void {
    this.#sentBytes += size;
    this.arrivedBytes += size;
  }

  /** A request of somebody else, who is waiting. */
  ask(): void {
    this.isAsking = true;
    this.read(100);
  }

  assertAllHandled(): void {
    assert.equal(this.#handledBytes, this.#sentBytes);
    assert.ok(!this.isPaused);
  }
}

/** The turns of a flood beside somebody who asks all the time, until the flood has nothing left. */
function runShared(world: World, flooder: Client, asker: Client): number {
  let turns = 0;
  do {
    asker.ask();
    world.share.goOn();
    assert.ok(++turns < 10_000);
  } while (flooder.isPaused);
  return turns;
}

test("tail: a share is not followed by another one in the same turn", () => {
  const world = new World();
  const [flooder, asker] = [world.client(), world.client()];
  asker.ask();
  flooder.read(200 * KB);
  assert.equal(flooder.handled.length, 1);
  world.share.goOn();
  assert.equal(flooder.handled.length, 1);
  world.share.goOn();
  assert.equal(flooder.handled.length, 2);
});

test("tail: shares take their time, of what was read and of what is pulled, however long a byte takes", () => {
  const world = new World();
  const [flooder, asker] = [world.client(), world.client()];
  for (const nsPerByte of [1, 5]) {
    flooder.nsPerByte = nsPerByte;
    asker.ask();
    flooder.read(500 * KB);
    flooder.arrive(2000 * KB);
    flooder.handled.length = 0;
    const turns = runShared(world, flooder, asker);
    // 30 µs each; but it takes a few to know how long a byte takes, and the end of what was read is a share, too.
    const isRight = (size: number) => Math.abs(size * nsPerByte - 30_000) < 3000;
    const wrongCount = flooder.handled.slice(5, -1).filter((size) => !isRight(size)).length;
    assert.ok(wrongCount <= 1, `${wrongCount} of ${flooder.handled.length} at ${nsPerByte} ns`);
    assert.ok(flooder.handled.length > 30 && turns >= flooder.handled.length);
    flooder.assertAllHandled();
  }
});

test("tail: who is pulled sends, though nothing of him is read", () => {
  const world = new World();
  const [flooder, other] = [world.client(), world.client()];
  flooder.nsPerByte = 15;
  flooder.read(500 * KB);
  flooder.arrive(2000 * KB);
  for (let i = 0; i < 3; i++) world.share.goOn();
  // The last read is more than 20 ms ago, the last pull is not.
  assert.ok(world.nowMs > 1020);
  other.read(100 * KB);
  assert.ok(world.share.isShared(world.nowMs));
  for (let i = 0; i < 1000; i++) world.share.goOn();
  assert.ok(!flooder.isPaused);
  flooder.readRest();
  flooder.assertAllHandled();
  other.assertAllHandled();
});

test("tail: every flood is taken over anew, and given back", () => {
  const world = new World();
  const flooder = world.client();
  for (let round = 1; round <= 3; round++) {
    world.nowMs += 1000;
    flooder.read(100 * KB);
    assert.ok(!flooder.isPaused, "there may be nothing more");
    world.share.goOn();
    assert.deepEqual(flooder.pulled.splice(0), [0]);
    assert.equal(flooder.resumeCount, round - 1, "nothing was paused");
    flooder.read(100 * KB);
    flooder.arrive(600 * KB);
    world.share.goOn();
    assert.ok(flooder.isPaused);
    world.share.goOn();
    world.share.goOn();
    flooder.assertAllHandled();
    assert.equal(flooder.pauseCount, round);
    assert.equal(flooder.resumeCount, round);
    assert.deepEqual(flooder.pulled.splice(0), [512 * KB, 88 * KB, 0]);
  }
  const { turnsRequested } = world;
  world.share.goOn();
  assert.equal(world.turnsRequested, turnsRequested, "nobody waits");
});

test("tail: where nothing can be pulled the socket is read in the turn in which nothing waits any more", () => {
  const world = new World();
  const [flooder, asker] = [world.client(false), world.client()];
  asker.ask();
  flooder.read(200 * KB);
  let left = 200 * KB - flooder.handled[0]!;
  world.share.goOn();
  while (left > 0) {
    assert.ok(flooder.isPaused);
    asker.ask();
    world.share.goOn();
    left -= flooder.handled.at(-1)!;
  }
  flooder.assertAllHandled();
});

test("nats 3.10: who is held by a receiver that lags is not pulled, listed before or not", () => {
  const world = new World();
  const flooder = world.client();
  // While what was read is handled: nothing is taken over yet.
  flooder.onHandled = () => flooder.input.hold();
  flooder.read(100 * KB);
  flooder.onHandled = undefined;
  flooder.arrive(600 * KB);
  world.share.goOn();
  assert.deepEqual(flooder.pulled, []);
  flooder.input.release();
  assert.ok(!flooder.isPaused);
  // While what was pulled is handled.
  const second = world.client();
  world.nowMs += 1000;
  second.read(100 * KB);
  second.arrive(2000 * KB);
  second.onHandled = () => second.input.hold();
  world.share.goOn();
  second.onHandled = undefined;
  for (let i = 0; i < 5; i++) world.share.goOn();
  assert.deepEqual(second.pulled, [512 * KB]);
  second.input.release();
  assert.ok(second.isPaused, "it is still taken over");
  for (let i = 0; i < 5; i++) world.share.goOn();
  second.assertAllHandled();
});

test("nats 3.10: a socket is read again when the last of the receivers that lag has caught up", () => {
  for (const canPull of [true, false]) {
    const world = new World();
    const [flooder, asker] = [world.client(canPull), world.client()];
    asker.ask();
    flooder.read(500 * KB);
    world.share.goOn();
    // Alone again: all that is left is handled at once. Two receivers lag behind it.
    world.nowMs += 30;
    flooder.onHandled = () => {
      flooder.onHandled = undefined;
      flooder.input.hold();
      flooder.input.hold();
    };
    world.share.goOn();
    assert.ok(flooder.isPaused, String(canPull));
    flooder.input.release();
    assert.ok(flooder.isPaused);
    for (let i = 0; i < 3; i++) world.share.goOn();
    assert.deepEqual(flooder.pulled, []);
    assert.ok(flooder.isPaused);
    flooder.input.release();
    world.share.goOn();
    flooder.assertAllHandled();
  }
});

test("tail: who is closed while its input is handled is left alone", () => {
  for (const when of ["read", "shared", "pulled"] as const) {
    const world = new World();
    const [flooder, asker] = [world.client(), world.client()];
    if (when === "shared") asker.ask();
    const close = () => {
      flooder.isClosed = true;
      flooder.input.close();
    };
    if (when !== "pulled") flooder.onHandled = close;
    flooder.read(200 * KB);
    flooder.arrive(600 * KB);
    flooder.onHandled = close;
    const { turnsRequested } = world;
    if (when !== "pulled") assert.equal(turnsRequested, 0, when);
    world.share.goOn();
    const pulledCount = when === "pulled" ? 1 : 0;
    assert.equal(flooder.pulled.length, pulledCount, when);
    world.share.goOn();
    world.share.goOn();
    assert.equal(flooder.pulled.length, pulledCount, when);
    assert.equal(flooder.handled.length, pulledCount + 1, when);
  }
});
