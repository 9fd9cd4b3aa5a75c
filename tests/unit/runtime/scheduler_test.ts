/** Timers of the runtime's scheduler. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate, setTimeout } from "node:timers";
import { createScheduler } from "../../../src/runtime/node/scheduler.ts";

function standStill(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs) { /* As a process does that is stopped. */ }
}

/** What came when, around a timer of 20 ms, after the process stood still for `ms`. */
async function orderAfter(ms: number): Promise<string[]> {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    // In the same round of timers, whatever the engine's order of rounds is.
    setTimeout(() => {
      standStill(ms);
      setTimeout(() => {
        order.push("round");
        setImmediate(() => order.push("its turn"));
      }, 0);
    }, 1);
    createScheduler().after(20, () => {
      order.push("timer");
      setImmediate(() => resolve());
    });
  });
  return order;
}

test("runtime 1.4: a timer that is late because the process stood still runs when what came meanwhile was read", async () => {
  assert.deepEqual(await orderAfter(300), ["round", "its turn", "timer"]);
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
