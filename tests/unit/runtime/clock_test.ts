/** Wall time in nanoseconds, on a clock that the test moves (runtime.md 3). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ClockSource, DRIFT_MS_MAX, SystemClock } from "../../../src/runtime/node/clock.ts";

class HandClock implements ClockSource {
  wall = 1_780_000_000_123;
  monotonic = 5_000.25;

  wallMs(): number {
    return Math.floor(this.wall);
  }

  monotonicMs(): number {
    return this.monotonic;
  }

  move(ms: number): void {
    this.wall += ms;
    this.monotonic += ms;
  }
}

function read(clock: SystemClock): bigint {
  const out = { high: 0, low: 0 };
  clock.wallNs(out);
  assert.ok(Number.isInteger(out.high) && out.high >= 0 && out.high < 2 ** 32);
  assert.ok(Number.isInteger(out.low) && out.low >= 0 && out.low < 2 ** 32);
  return (BigInt(out.high) << 32n) | BigInt(out.low);
}

test("runtime 3: wall time begins at the system's and grows in nanoseconds", () => {
  const source = new HandClock();
  const clock = new SystemClock(source);
  const start = read(clock);
  assert.equal(start, 1_780_000_000_123_000_000n);
  source.move(0.0005);
  const step = read(clock) - start;
  assert.ok(step >= 499n && step <= 500n, `${step}`);
});

test("runtime 3: the halves are exact at every border of seconds and of 32 bits", () => {
  const borders = [
    0,
    1,
    999,
    1000,
    1001,
    4_294_967,
    4_294_968,
    65_535_999,
    65_536_000,
    2 ** 32,
    2 ** 41,
    1.78e12,
    9.2e12,
  ];
  for (const wall of borders) {
    const source = new HandClock();
    source.wall = wall;
    assert.equal(read(new SystemClock(source)), BigInt(wall) * 1_000_000n, `${wall}`);
  }
});

test("runtime 3: a small drift is ignored, a larger one followed in both directions", () => {
  const source = new HandClock();
  const clock = new SystemClock(source);
  source.move(1000);
  source.wall += DRIFT_MS_MAX - 1;
  assert.equal(read(clock), 1_780_000_001_123_000_000n);
  source.move(1000);
  source.wall += 3600_000;
  assert.equal(read(clock), BigInt(Math.floor(source.wall)) * 1_000_000n);
  source.move(1000);
  source.wall -= 7200_000;
  assert.equal(read(clock), BigInt(Math.floor(source.wall)) * 1_000_000n);
});

test("runtime 3: a clock that runs for a year without being set stays exact and never goes back", () => {
  const source = new HandClock();
  const clock = new SystemClock(source);
  let before = read(clock);
  for (let hour = 0; hour < 365 * 24; hour++) {
    source.move(3_600_000);
    const now = read(clock);
    assert.ok(now > before);
    before = now;
  }
  const expected = BigInt(Math.floor(source.wall)) * 1_000_000n;
  const difference = before - expected;
  assert.ok(difference < 20_000_000n && difference > -20_000_000n, `${difference}`);
});
