/** Timers of the runtime's scheduler. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate, setTimeout } from "node:timers";
import { createScheduler } from "../../../src/runtime/node/scheduler.ts";

function standStill(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs) { /* As a process does that is stopped. */ }
}

test("runtime 1.4: a timer that is late because the process stood still runs when what came meanwhile was read", async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    setTimeout(() => {
      standStill(300);
      // Two that come behind it in any case: in the next round of the loop, and in the next round of timers.
      setImmediate(() => order.push("round"));
      setTimeout(() => order.push("younger timer"), 0);
    }, 1);
    createScheduler().after(20, () => {
      order.push("timer");
      setImmediate(resolve);
    });
  });
  assert.equal(order.at(-1), "timer");
  assert.deepEqual(order.toSorted(), ["round", "timer", "younger timer"]);
});

test("runtime 1.4: so does one that was due before it was asked for, as behind a turn that took long", async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    createScheduler().after(-50, () => {
      order.push("timer");
      setImmediate(resolve);
    });
    setImmediate(() => setTimeout(() => order.push("younger timer"), 0));
  });
  assert.deepEqual(order, ["younger timer", "timer"]);
});

test("runtime 1.4: behind a standstill who is asked only then has time to answer", async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    setTimeout(() => {
      standStill(300);
      // A few ways to another process and back.
      let left = 5;
      const answer = (): void => {
        order.push("answer");
        if (--left > 0) setTimeout(answer, 1);
      };
      setTimeout(answer, 1);
    }, 1);
    createScheduler().after(20, () => {
      order.push("timer");
      resolve();
    });
  });
  assert.equal(order.indexOf("timer"), 5);
});

test("a process that is late all the time has timers all the same", async () => {
  let rounds = 0;
  let isOver = false;
  const busy = (): void => {
    if (isOver) return;
    rounds++;
    standStill(120);
    setImmediate(busy);
  };
  await new Promise<void>((resolve) => {
    createScheduler().after(5, resolve);
    busy();
    // Behind it nothing would end.
    setTimeout(resolve, 20_000);
  });
  isOver = true;
  assert.ok(rounds < 40, `${rounds} rounds`);
});

test("a timer that was stopped while it waits for that does not run", async () => {
  let ran = false;
  const timer = createScheduler().after(10, () => ran = true);
  await new Promise<void>((resolve) => {
    setTimeout(() => {
      standStill(200);
      setTimeout(() => {
        timer.stop();
        setTimeout(resolve, 30);
      }, 0);
    }, 1);
  });
  assert.equal(ran, false);
});
