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
