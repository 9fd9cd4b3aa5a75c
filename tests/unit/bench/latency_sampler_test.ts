import { test } from "node:test";
import assert from "node:assert/strict";
import { LatencySampler } from "../../bench/latency_sampler.ts";
import { LatencyRecorder } from "../../bench/statistics.ts";

/** A sampler on a clock that the test moves. */
class Timed {
  now = 0;
  reads = 0;
  latency: LatencyRecorder | undefined;
  readonly sampler: LatencySampler;

  constructor(every: number, inFlightMax: number, capacity = 1000) {
    this.latency = new LatencyRecorder(capacity);
    this.sampler = new LatencySampler(this, every, inFlightMax, () => {
      this.reads++;
      return this.now;
    });
  }

  get summary() {
    assert.ok(this.latency !== undefined);
    return this.latency.summary();
  }
}

test("only sampled messages are timed, each from its own departure to its own arrival", () => {
  const timed = new Timed(4, 16);
  for (let number = 0; number < 10; number++) {
    timed.now = number;
    timed.sampler.depart(number, number + 1);
  }
  assert.equal(timed.reads, 3);
  // 8 left at 8 and takes 1, 4 takes 6, 0 takes 11: backwards, as acks may come.
  for (const [number, at] of [[9, 8.5], [8, 9], [4, 10], [3, 10.5], [0, 11]] as const) {
    timed.now = at;
    timed.sampler.arrive(number);
  }
  assert.equal(timed.reads, 6);
  assert.deepEqual(timed.summary, { p50: 6000, p99: 11_000, p999: 11_000, max: 11_000, count: 3, dropped: 0 });
});

test("messages that leave or arrive together share one look at the clock", () => {
  const timed = new Timed(2, 100);
  timed.sampler.depart(1, 10);
  assert.equal(timed.reads, 1);
  timed.now = 3;
  timed.sampler.arriveAll(0, 1);
  timed.sampler.arriveAll(1, 2);
  timed.sampler.arriveAll(1, 5);
  timed.sampler.arriveAll(5, 10);
  // 0 never left and nothing sampled is in 1 to 2: that costs no look.
  assert.equal(timed.reads, 4);
  const { count, dropped, p50, max } = timed.summary;
  assert.deepEqual({ count, dropped, p50, max }, { count: 4, dropped: 1, p50: 3000, max: 3000 });
});

test("with no more in flight than announced no sample is lost, wherever the window begins", () => {
  for (const every of [1, 2, 64]) {
    for (const inFlight of [1, 2, 63, 64, 65, 127, 128, 129, 1000]) {
      const timed = new Timed(every, inFlight, 10_000);
      for (let number = 0; number < 3000; number++) {
        if (number >= inFlight) timed.sampler.arrive(number - inFlight);
        timed.sampler.depart(number, number + 1);
      }
      const arrived = 3000 - inFlight;
      const { count, dropped } = timed.summary;
      assert.deepEqual([count, dropped], [Math.ceil(arrived / every), 0], `every ${every}, in flight ${inFlight}`);
    }
  }
});

test("a sample whose departure was overwritten is dropped and counted, never given the wrong time", () => {
  const timed = new Timed(1, 4);
  timed.sampler.depart(0, 4);
  timed.now = 100;
  timed.sampler.depart(4, 6);
  timed.now = 101;
  timed.sampler.arriveAll(0, 6);
  const { p50, max, count, dropped } = timed.summary;
  assert.deepEqual({ p50, max, count, dropped }, { p50: 1000, max: 101_000, count: 4, dropped: 2 });
});

test("a message that several receivers get is timed at each", () => {
  const timed = new Timed(1, 4);
  timed.sampler.depart(0, 1);
  for (const at of [1, 2, 5]) {
    timed.now = at;
    timed.sampler.arrive(0);
  }
  const { p50, max, count } = timed.summary;
  assert.deepEqual({ p50, max, count }, { p50: 2000, max: 5000, count: 3 });
});

test("while warming up nothing is timed and the clock is left alone", () => {
  const timed = new Timed(1, 4);
  const recorder = timed.latency;
  timed.latency = undefined;
  timed.sampler.depart(0, 2);
  timed.sampler.arriveAll(0, 2);
  assert.equal(timed.reads, 0);
  timed.latency = recorder;
  timed.sampler.depart(2, 3);
  timed.sampler.arrive(2);
  const { count, dropped } = timed.summary;
  assert.deepEqual([count, dropped], [1, 0]);
});

test("a message departs with its first byte, wherever writes are cut", () => {
  const frameBytes = 7;
  for (let cut = 0; cut <= 5 * frameBytes; cut++) {
    const timed = new Timed(1, 8);
    timed.sampler.departBytes(0, cut, frameBytes);
    timed.now = 10;
    timed.sampler.departBytes(cut, 5 * frameBytes, frameBytes);
    for (let number = 0; number < 5; number++) timed.sampler.arrive(number);
    // Those of the first write took 10 ms, those of the second none.
    const early = Math.ceil(cut / frameBytes);
    const { count, dropped, p50, max } = timed.summary;
    assert.deepEqual([count, dropped], [5, 0], `cut at ${cut}`);
    assert.deepEqual([p50, max], [early >= 3 ? 10_000 : 0, early > 0 ? 10_000 : 0], `cut at ${cut}`);
  }
});

test("a message that the socket did not take departs when it is announced again", () => {
  const timed = new Timed(1, 8);
  timed.sampler.departBytes(0, 30, 10);
  timed.now = 5;
  timed.sampler.departBytes(10, 30, 10);
  timed.now = 6;
  timed.sampler.arriveAll(0, 3);
  const { p50, max } = timed.summary;
  assert.deepEqual([p50, max], [1000, 6000]);
});

test("every how many-th message is a power of two", () => {
  for (const every of [0, -2, 3, 48]) assert.throws(() => new Timed(every, 10), /power of two/);
});

test("samples beyond the recorder's room are counted as dropped", () => {
  const timed = new Timed(1, 8, 2);
  timed.sampler.depart(0, 3);
  timed.sampler.arriveAll(0, 3);
  const { count, dropped } = timed.summary;
  assert.deepEqual([count, dropped], [2, 1]);
});
