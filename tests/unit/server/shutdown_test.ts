/** The bound on an orderly end (operations.md 4.1). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EXIT_UNFINISHED, MERGED_MS, Shutdown, STOP_MS_MAX } from "../../../src/server/shutdown.ts";

function make() {
  const lines: string[] = [];
  const exits: number[] = [];
  const timers: { ms: number; work: () => void }[] = [];
  const add = (text: string) => void lines.push(text);
  const shutdown = new Shutdown({
    log: {
      debugEnabled: false,
      traceEnabled: false,
      info: add,
      warn: add,
      error: add,
      fatal: add,
      debug: add,
      trace: add,
    },
    scheduler: {
      after(ms, work) {
        timers.push({ ms, work });
        return { stop() {} };
      },
    },
    unfinished: () => "the store is being closed",
    exit: (code) => void exits.push(code),
  });
  return { shutdown, lines, exits, timers };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test("operations 4.1: an orderly end keeps its status and says nothing of its own", async () => {
  const { shutdown, lines, exits, timers } = make();
  const stop = Promise.withResolvers<void>();
  shutdown.signalled(143, () => stop.promise);
  assert.deepEqual(timers.map(({ ms }) => ms), [MERGED_MS, STOP_MS_MAX]);
  await settled();
  assert.deepEqual(exits, []);
  stop.resolve();
  await settled();
  assert.deepEqual(exits, [143]);
  // The timers are late.
  for (const { work } of timers) work();
  assert.deepEqual([exits, lines], [[143], []]);
});

test("operations 4.1: a second signal ends it at once and says what was not finished", async () => {
  const { shutdown, lines, exits, timers } = make();
  const stop = Promise.withResolvers<void>();
  let count = 0;
  const begin = () => {
    count++;
    return stop.promise;
  };
  shutdown.signalled(0, begin);
  // The same one again, to the process group.
  shutdown.signalled(0, begin);
  assert.deepEqual(exits, []);
  timers.find(({ ms }) => ms === MERGED_MS)?.work();
  shutdown.signalled(143, begin);
  assert.equal(count, 1);
  assert.deepEqual(exits, [EXIT_UNFINISHED]);
  assert.deepEqual(lines, [
    "Stopped at once, because a second signal came. Not finished: the store is being closed",
  ]);
  stop.resolve();
  await settled();
  shutdown.signalled(143, begin);
  assert.deepEqual([exits, lines.length], [[EXIT_UNFINISHED], 1]);
});

test("operations 4.1: so does time", () => {
  const { shutdown, lines, exits, timers } = make();
  shutdown.signalled(0, () => new Promise(() => {}));
  timers.find(({ ms }) => ms === STOP_MS_MAX)?.work();
  assert.deepEqual(exits, [EXIT_UNFINISHED]);
  assert.match(lines[0] ?? "", /^Stopped at once, because it took longer than 30 s\. Not finished: /);
});

test("operations 4.1: an end that fails is told", async () => {
  const { shutdown, lines, exits } = make();
  shutdown.follow(0, Promise.reject(new Error("disk gone")));
  await settled();
  assert.deepEqual([exits, lines], [[EXIT_UNFINISHED], ["Error while stopping: disk gone"]]);
});
