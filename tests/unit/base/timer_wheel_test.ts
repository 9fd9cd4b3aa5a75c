import assert from "node:assert/strict";
import { test } from "node:test";
import { TICK_MS, TimerNode, TimerWheel } from "../../../src/base/timer_wheel.ts";
import { SeededRandom } from "../../conformance/store/random.ts";

class Recorder extends TimerNode {
  firedAtMs: number[] = [];
  constructor(readonly then: (nowMs: number) => void = () => {}) {
    super();
  }
  override fire(nowMs: number): void {
    this.firedAtMs.push(nowMs);
    this.then(nowMs);
  }
}

/** Moves the wheel as its owner does: to each time it asks for, up to `untilMs`. */
function run(wheel: TimerWheel, untilMs: number): void {
  for (;;) {
    const due = wheel.nextDueMs();
    if (due > untilMs) return wheel.advance(untilMs);
    wheel.advance(due);
  }
}

test("decisions.md 28: a timer never fires early and at most one tick late", () => {
  for (const startMs of [0, 3, 2559, 2560, 655_359, 1e9, 5e12]) {
    for (
      const delayMs of [0, 1, 9, 10, 11, 2549, 2550, 2560, 2561, 655_350, 655_360, 655_370]
    ) {
      const wheel = new TimerWheel(startMs);
      const timer = new Recorder();
      wheel.arm(timer, startMs + delayMs);
      run(wheel, startMs + delayMs + TICK_MS);
      assert.equal(timer.firedAtMs.length, 1, `start ${startMs} delay ${delayMs}`);
      const at = timer.firedAtMs[0]!;
      assert.ok(at >= startMs + delayMs, `early: start ${startMs} delay ${delayMs} fired ${at}`);
      assert.ok(!timer.armed);
    }
  }
});

test("a timer beyond the first levels comes at its time", () => {
  for (const delayMs of [167_772_150, 167_772_160, 200_000_000]) {
    const wheel = new TimerWheel(7);
    const timer = new Recorder();
    wheel.arm(timer, 7 + delayMs);
    run(wheel, 7 + delayMs - TICK_MS);
    assert.deepEqual(timer.firedAtMs, []);
    run(wheel, 7 + delayMs + TICK_MS);
    assert.equal(timer.firedAtMs.length, 1);
  }
});

test("a wheel that is moved in one big jump fires everything that became due, in order of its tick", () => {
  const wheel = new TimerWheel(0);
  const order: number[] = [];
  for (const dueMs of [50_000, 20, 700_000, 2570, 30]) wheel.arm(new Recorder(() => order.push(dueMs)), dueMs);
  wheel.advance(1_000_000);
  assert.deepEqual(order, [20, 30, 2570, 50_000, 700_000]);
  assert.equal(wheel.count, 0);
  assert.equal(wheel.nextDueMs(), Infinity);
});

test("arming again moves a timer, disarming ends it", () => {
  const wheel = new TimerWheel(0);
  const moved = new Recorder();
  const ended = new Recorder();
  wheel.arm(moved, 100);
  wheel.arm(moved, 300);
  wheel.arm(ended, 100);
  wheel.disarm(ended);
  wheel.disarm(ended);
  assert.equal(wheel.count, 1);
  wheel.advance(290);
  assert.deepEqual(moved.firedAtMs, []);
  wheel.advance(300);
  assert.deepEqual(moved.firedAtMs, [300]);
  assert.deepEqual(ended.firedAtMs, []);
});

test("a timer may arm itself, others, and disarm its neighbours while it fires", () => {
  const wheel = new TimerWheel(0);
  const neighbour = new Recorder();
  const other = new Recorder();
  let rounds = 0;
  const self = new Recorder((nowMs) => {
    wheel.disarm(neighbour);
    wheel.arm(other, nowMs + 20);
    if (++rounds < 3) wheel.arm(self, nowMs);
  });
  wheel.arm(self, 100);
  wheel.arm(neighbour, 100);
  run(wheel, 200);
  assert.equal(self.firedAtMs.length, 3);
  assert.deepEqual(neighbour.firedAtMs, []);
  assert.equal(other.firedAtMs.length, 1);
});

test("random arming, moving and disarming equals a naive list of timers", () => {
  let seed = 12_345;
  const random = (limit: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return Math.floor((seed / 0x8000_0000) * limit);
  };
  const wheel = new TimerWheel(0);
  const timers = Array.from({ length: 200 }, () => new Recorder());
  const dueMsOf = new Map<Recorder, number>();
  let nowMs = 0;
  let firings = 0;
  for (let step = 0; step < 20_000; step++) {
    const chosen = timers[random(timers.length)]!;
    const kind = random(10);
    if (kind < 6) {
      const dueMs = nowMs + random([50, 3000, 800_000, 300_000_000][random(4)]!);
      wheel.arm(chosen, dueMs);
      dueMsOf.set(chosen, dueMs);
    } else if (kind < 8) {
      wheel.disarm(chosen);
      dueMsOf.delete(chosen);
    } else {
      nowMs += random([10, 100, 4000, 1_000_000][random(4)]!);
      wheel.advance(nowMs);
      for (const timer of timers) {
        const fired = timer.firedAtMs.length;
        timer.firedAtMs = [];
        const dueMs = dueMsOf.get(timer);
        if (dueMs === undefined || dueMs > nowMs) assert.equal(fired, 0, `step ${step}: due ${dueMs}, now ${nowMs}`);
        else if (dueMs <= nowMs - 2 * TICK_MS) assert.equal(fired, 1, `step ${step}: due ${dueMs}, now ${nowMs}`);
        if (fired > 0) dueMsOf.delete(timer);
        firings += fired;
      }
    }
    assert.equal(wheel.count, dueMsOf.size);
  }
  assert.ok(firings > 1000, "the history fired next to nothing");
});

test("the next time is that of the next timer, or of the next cascade, whatever was armed and disarmed before", () => {
  const random = new SeededRandom(28);
  const turnMs = 256 * TICK_MS;
  for (const startMs of [0, 5e12]) {
    const wheel = new TimerWheel(startMs);
    const timers = Array.from({ length: 40 }, () => new Recorder());
    const dueMs = new Map<TimerNode, number>();
    let nowMs = startMs;
    for (let i = 0; i < 5000; i++) {
      const timer = timers[random.below(timers.length)]!;
      const deed = random.below(10);
      if (deed < 5) {
        const due = Math.ceil((nowMs + random.below(deed === 0 ? 1_000_000 : 3000)) / TICK_MS) * TICK_MS;
        wheel.arm(timer, due);
        dueMs.set(timer, Math.max(due, Math.floor(nowMs / TICK_MS) * TICK_MS + TICK_MS));
      } else if (deed < 8) {
        wheel.disarm(timer);
        dueMs.delete(timer);
      } else {
        nowMs += random.below(deed === 8 ? 40 : 2000);
        wheel.advance(nowMs);
        for (const [one, due] of dueMs) if (due <= nowMs) dueMs.delete(one);
      }
      const cascadeMs = (Math.floor(nowMs / turnMs) + 1) * turnMs;
      const expected = dueMs.size === 0 ? Infinity : Math.min(cascadeMs, ...dueMs.values());
      assert.equal(wheel.nextDueMs(), expected, `step ${i}`);
    }
  }
});
