import { test } from "node:test";
import assert from "node:assert/strict";
import { START_POSITION } from "../../../src/wire/stan_control.ts";
import { STAN_ERROR } from "../../../src/wire/stan_errors.ts";
import { StreamingBench } from "../../helpers/streaming_bench.ts";

const { FIRST } = START_POSITION;

function bench(limits: ConstructorParameters<typeof StreamingBench>[0] = {}): StreamingBench {
  const made = new StreamingBench(limits);
  made.connect("me");
  return made;
}

test("invariant 58, trap 42 (21.1): max_subs counts offline durables and shadows, resuming them is free, unsubscribing makes room", () => {
  const b = bench({ limits: { maxSubscriptions: 2 } });
  const durable = b.subscribe("foo", { durableName: "D" });
  b.closeSubscription(durable);
  const member = b.subscribe("foo", { queueGroup: "g", durableName: "D" });
  b.closeSubscription(member);
  for (const kind of [{}, { durableName: "E" }, { queueGroup: "h" }, { queueGroup: "h", durableName: "D" }]) {
    assert.equal(b.subscribeError("foo", kind), STAN_ERROR.TOO_MANY_SUBSCRIPTIONS);
  }
  const again = b.subscribe("foo", { durableName: "D" });
  b.subscribe("foo", { queueGroup: "g", durableName: "D" });
  assert.equal(b.subscribeError("foo", { queueGroup: "g", durableName: "D" }), STAN_ERROR.TOO_MANY_SUBSCRIPTIONS);
  b.unsubscribe(again);
  b.subscribe("foo");
});

test("invariant 127 (21.1): max_msgs and max_bytes remove the oldest, never refuse, and keep the newest", () => {
  const b = bench({ limits: { maxBytes: 100 } });
  b.fill("foo", 3);
  assert.equal(b.publish("foo", "x".repeat(500)), "");
  assert.equal(b.heard(b.subscribe("foo", { startPosition: FIRST })), "4");
  const few = bench({ limits: { maxMessages: 1 } });
  few.fill("foo", 3);
  assert.equal(few.heard(few.subscribe("foo", { startPosition: FIRST })), "3");
});

test("invariant 128 (21.1): messages disappear when max_age is over", () => {
  const b = bench({ limits: { maxAgeMs: 1000 } });
  b.fill("foo", 1);
  b.pass(500);
  b.fill("foo", 1);
  b.pass(520);
  assert.equal(b.heard(b.subscribe("foo", { startPosition: FIRST })), "2");
  b.pass(500);
  assert.equal(b.heard(b.subscribe("foo", { startPosition: FIRST })), "");
});

test("21.1: a message ages also when it was published in one batch with a subscription request", () => {
  const b = bench({ limits: { maxAgeMs: 1000 } });
  b.post("subscribe", b.subscribeRequest("foo"));
  b.post("publish", b.publishRequest("foo"));
  b.turn();
  b.pass(1020);
  assert.equal(b.core.find("foo")!.messages.messageCount, 0);
});

test("invariants 130, 131 (22.3): an inactive channel is deleted, and begins anew at sequence 1", () => {
  const b = bench({ limits: { maxInactivityMs: 1000 } });
  b.fill("foo", 3);
  b.pass(1010);
  assert.equal(b.core.find("foo"), undefined);
  assert.equal(b.store.channelCount, 0);
  b.fill("foo", 1);
  assert.equal(b.heard(b.subscribe("foo", { startPosition: FIRST })), "1");
});

test("invariant 130 (22.4): a publish sets the clock back", () => {
  const b = bench({ limits: { maxInactivityMs: 1000 } });
  b.fill("foo", 1);
  b.pass(900);
  b.fill("foo", 1);
  b.pass(900);
  assert.ok(b.core.find("foo") !== undefined);
  b.pass(120);
  assert.equal(b.core.find("foo"), undefined);
});

test("invariant 130, trap 50 (22.2): an active subscription prevents it, an offline durable and a shadow do not", () => {
  const b = bench({ limits: { maxInactivityMs: 1000 } });
  const durable = b.subscribe("foo", { durableName: "D" });
  const member = b.subscribe("foo", { queueGroup: "g", durableName: "D" });
  b.pass(3000);
  b.closeSubscription(durable);
  b.pass(3000);
  assert.ok(b.core.find("foo") !== undefined);
  b.closeSubscription(member);
  b.pass(1010);
  assert.equal(b.core.find("foo"), undefined);
});

test("invariant 131 (22.5): after the deletion a durable name is new", () => {
  const b = bench({ limits: { maxInactivityMs: 1000 } });
  const s = b.subscribe("foo", { durableName: "D", startPosition: FIRST });
  b.fill("foo", 1);
  b.closeSubscription(s);
  b.pass(1010);
  b.fill("foo", 1);
  assert.equal(b.heard(b.subscribe("foo", { durableName: "D", startPosition: FIRST })), "1");
});

test("22.3: the time runs from the end of the last active subscription, also if a durable was replaced before", () => {
  const b = bench({ core: { replaceDurable: true }, limits: { maxInactivityMs: 1000 } });
  b.subscribe("foo", { durableName: "D" });
  const replacing = b.subscribe("foo", { durableName: "D" });
  b.pass(500);
  b.closeSubscription(replacing);
  b.pass(990);
  assert.ok(b.core.find("foo") !== undefined);
  b.pass(20);
  assert.equal(b.core.find("foo"), undefined);
});

test("trap 49 (22.3): after a refused subscribe the time runs again", () => {
  const b = bench({ limits: { maxInactivityMs: 1000 } });
  assert.equal(b.subscribeError("foo", { queueGroup: "g", durableName: "a:b" }), STAN_ERROR.INVALID_DURABLE_NAME);
  b.pass(1010);
  assert.equal(b.core.find("foo"), undefined);
});

test("invariant 132, trap 49 (22.3): a subscribe at the very moment of the deletion keeps the channel", () => {
  const b = bench({ limits: { maxInactivityMs: 1000 } });
  b.fill("foo", 1);
  b.pass(999);
  b.driver.nowMs = 1005;
  const reply = b.post("subscribe", b.subscribeRequest("foo", { inbox: "_INBOX.d" }));
  b.turn();
  assert.equal(b.error("subscribe", b.answer(reply)), "");
  b.pass(3000);
  b.fill("foo", 1);
  assert.equal(b.heard("_INBOX.d"), "2");
});

test("invariant 128 (21.1): of a subscription that was stalled meanwhile nothing too old is delivered", () => {
  const b = bench({ limits: { maxAgeMs: 1000 } });
  const s = b.subscribe("foo", { maxInFlight: 1 });
  b.fill("foo", 2);
  b.pass(700);
  b.fill("foo", 1);
  b.pass(500);
  b.ack(s, 1);
  assert.equal(b.heard(s), "1 3");
  b.pass(5000);
  b.ack(s, 3);
  assert.equal(b.heard(s), "");
});

test("22.4: a wall clock that is set forward deletes no channel that was used a moment ago", () => {
  const b = bench({ limits: { maxInactivityMs: 1000 } });
  b.fill("foo", 1);
  b.pass(990);
  b.fill("foo", 1);
  b.driver.wallOffsetMs += 3_600_000;
  b.pass(20);
  assert.ok(b.core.find("foo") !== undefined);
  b.pass(1000);
  assert.equal(b.core.find("foo"), undefined);
});

test("22.5: a limit of one channel is not that of another", () => {
  const unlimited = { maxSubscriptions: 0, maxMessages: 0, maxBytes: 0, maxAgeMs: 0, maxInactivityMs: 0 };
  const b = bench({ forChannel: (name) => name === "tight" ? { ...unlimited, maxInactivityMs: 1000 } : unlimited });
  for (const name of ["tight", "free"]) b.fill(name, 1);
  b.pass(5000);
  assert.deepEqual(["tight", "free"].map((name) => b.core.find(name) !== undefined), [false, true]);
});
