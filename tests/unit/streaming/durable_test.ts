import { test } from "node:test";
import assert from "node:assert/strict";
import { LOOKUP_LATER, StoreError, type SubscriptionRecord } from "../../../src/store/types.ts";
import { START_POSITION } from "../../../src/wire/stan_control.ts";
import { STAN_ERROR } from "../../../src/wire/stan_errors.ts";
import { StreamingBench } from "../../helpers/streaming_bench.ts";

const { FIRST, NEW_ONLY } = START_POSITION;
/** The fields of SubState, by their names here (5). */
const FIELDS = [
  "ackInbox",
  "ackWaitSecs",
  "clientId",
  "durableName",
  "id",
  "inbox",
  "isClosed",
  "isDurable",
  "lastSent",
  "maxInFlight",
  "queueGroup",
];
const D = { durableName: "D", startPosition: FIRST, ackWaitSecs: 30 };

function bench(options: ConstructorParameters<typeof StreamingBench>[0] = {}): StreamingBench {
  const made = new StreamingBench(options);
  made.connect("me");
  return made;
}

test("invariant 110 (19.2): a second request for an active durable is refused, other channels and clients have their own", () => {
  const b = bench();
  b.connect("other");
  b.subscribe("foo", D);
  assert.equal(b.subscribeError("foo", D), STAN_ERROR.DUPLICATE_DURABLE);
  b.subscribe("bar", D);
  b.subscribe("foo", { ...D, clientId: "other" });
});

test("invariants 66, 112, 113 (19.3, 19.4): a resume brings the pending messages at once, in sequence order, then new ones", () => {
  const b = bench();
  const s = b.subscribe("foo", D);
  b.fill("foo", 7);
  b.ack(s, 2, 4);
  b.heard(s);
  b.closeSubscription(s);
  b.fill("foo", 1);
  const again = b.subscribe("foo", { ...D, startPosition: NEW_ONLY });
  assert.equal(b.heard(again), "1r1 3r1 5r1 6r1 7r1 8");
  assert.equal(b.heard(s), "");
  assert.notEqual(again.ackInbox, s.ackInbox);
});

for (const queueGroup of ["", "g"]) {
  const kind = queueGroup === "" ? "a durable" : "a durable group";
  test(`19.4: ${kind} whose pending messages must be fetched gets nothing new before them`, () => {
    const b = bench();
    const s = b.subscribe("foo", { ...D, queueGroup });
    b.fill("foo", 3);
    b.heard(s);
    b.closeSubscription(s);
    b.fill("foo", 1);
    const { messages } = b.store.channel("foo")!;
    const lookup = messages.lookup;
    messages.lookup = (sequence, into) => sequence === 2 ? LOOKUP_LATER : lookup.call(messages, sequence, into);
    const again = b.subscribe("foo", { ...D, queueGroup });
    assert.equal(b.heard(again), "1r1");
    assert.equal(b.core.hasWork, false, "it asks again and again instead of waiting for the store");
    b.fill("foo", 1);
    assert.equal(b.heard(again), "");
    messages.lookup = lookup;
    messages.onReadable?.();
    b.turn();
    assert.equal(b.heard(again), "2r1 3r1 4 5");
  });
}

for (const way of ["closeSubscription", "close", "heartbeats"] as const) {
  test(`invariants 32, 111 (19.3): a durable is resumed behind its last message after: ${way}`, () => {
    const b = new StreamingBench({
      core: { heartbeatIntervalMs: 1000, heartbeatTimeoutMs: 100, heartbeatFailCount: 1 },
    });
    b.connect("me");
    b.connect("pub");
    const s = b.subscribe("foo", D);
    b.fill("foo", 3);
    b.ack(s, 1, 2);
    if (way === "closeSubscription") b.closeSubscription(s);
    if (way === "close") b.close("me");
    if (way === "heartbeats") {
      b.manners.set("_INBOX.hb.me", "gone");
      b.pass(2100);
      b.manners.clear();
    }
    if (way !== "closeSubscription") b.connect("me");
    b.fill("foo", 1);
    assert.equal(b.heard(b.subscribe("foo", { ...D, startPosition: NEW_ONLY })), "3r1 4");
  });
}

test("17.5: the redelivery count survives close and resume within a run", () => {
  const b = bench();
  const first = b.subscribe("foo", { ...D, ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.pass(2010);
  assert.equal(b.heard(first), "1 1r1 1r2");
  b.closeSubscription(first);
  assert.equal(b.heard(b.subscribe("foo", D)), "1r3");
});

test("invariants 112, 113 (19.5): with pending above the new max in flight, a new message follows only when acks bring it below", () => {
  const b = bench();
  const first = b.subscribe("foo", D);
  b.fill("foo", 5);
  b.closeSubscription(first);
  const s = b.subscribe("foo", { ...D, maxInFlight: 1 });
  b.fill("foo", 1);
  assert.equal(b.heard(s), "1r1 2r1 3r1 4r1 5r1");
  b.ack(s, 1, 2, 3, 4);
  assert.equal(b.heard(s), "");
  b.ack(s, 5);
  assert.equal(b.heard(s), "6");
});

test("invariants 112, 115 (19.6): after a resume the next redelivery comes at the previous expiry plus the new ack wait", () => {
  const b = bench();
  const first = b.subscribe("foo", { ...D, ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.pass(200);
  b.closeSubscription(first);
  const s = b.subscribe("foo", { ...D, ackWaitSecs: 2 });
  b.pass(3000);
  assert.equal(b.heardAt(s), "1r1@200 1r2@3000");
});

test("19.7: offline nothing is sent, no timer runs, and what disappears meanwhile is skipped", () => {
  const b = bench({ limits: { maxMessages: 2 } });
  const first = b.subscribe("foo", { ...D, ackWaitSecs: 1 });
  b.fill("foo", 2);
  b.closeSubscription(first);
  b.pass(5000);
  assert.equal(b.heard(first), "1 2");
  b.fill("foo", 3);
  const s = b.subscribe("foo", { ...D, maxInFlight: 2 });
  assert.equal(b.heard(s), "4 5");
});

test("invariant 78, trap 20 (16.2): an ack to the ack inbox from before the resume does not count", () => {
  const b = bench();
  const first = b.subscribe("foo", { ...D, ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.closeSubscription(first);
  const s = b.subscribe("foo", { ...D, ackWaitSecs: 1 });
  b.ack(first, 1);
  b.pass(2010);
  assert.equal(b.heard(s), "1r1 1r2");
});

test("invariant 79, trap 45 (26.3): acks sent just before a close count", () => {
  // Fifty times, cut into turns at every place.
  for (let round = 0; round < 50; round++) {
    const kind = (["unsubscribe", "closeSubscription", "close"] as const)[round % 3]!;
    const b = bench();
    const s = b.subscribe("foo", D);
    b.fill("foo", 3);
    for (const sequence of [1, 2, 3]) {
      b.postAck(s, sequence);
      if (round % 4 === sequence) b.turn();
    }
    if (kind === "close") b.close("me");
    else b[kind](s);
    if (kind === "close") b.connect("me");
    assert.equal(b.heard(b.subscribe("foo", D)), kind === "unsubscribe" ? "1 2 3" : "");
  }
});

test("invariant 114, trap 43 (19.4): no new message precedes the pending ones, however the publishes race with the resume", () => {
  const b = bench();
  const first = b.subscribe("foo", D);
  b.fill("foo", 2);
  b.closeSubscription(first);
  b.post("publish", b.publishRequest("foo"));
  b.post("subscribe", b.subscribeRequest("foo", { ...D, inbox: "_INBOX.again" }));
  b.post("publish", b.publishRequest("foo"));
  b.turn();
  assert.equal(b.heard("_INBOX.again"), "1r1 2r1 3 4");
});

test("invariant 116 (20.4): unsubscribe frees the name: the next one begins at its own start position", () => {
  const b = bench();
  b.fill("foo", 2);
  const s = b.subscribe("foo", D);
  b.unsubscribe(s);
  assert.equal(b.heard(b.subscribe("foo", { ...D, startPosition: NEW_ONLY })), "");
});

test("invariant 117 (19.8): an offline durable cannot be unsubscribed", () => {
  const b = bench();
  const s = b.subscribe("foo", D);
  b.closeSubscription(s);
  for (const inbox of [s.ackInbox, s.inbox]) {
    assert.equal(b.askError("unsubscribe", b.leaveRequest(s, inbox)), STAN_ERROR.INVALID_SUBSCRIPTION);
  }
});

test("invariant 118 (19.2): with replace_durable the second request takes over, the close of the first is refused", () => {
  const b = bench({ core: { replaceDurable: true } });
  const first = b.subscribe("foo", D);
  b.fill("foo", 1);
  const second = b.subscribe("foo", D);
  b.fill("foo", 1);
  assert.equal(b.heard(first), "1");
  assert.equal(b.heard(second), "1r1 2");
  assert.equal(b.askError("closeSubscription", b.leaveRequest(first)), STAN_ERROR.INVALID_SUBSCRIPTION);
});

test("invariant 119 (12.5): a resume that the store refuses leaves the durable offline and resumable", () => {
  const b = bench();
  const first = b.subscribe("foo", D);
  b.fill("foo", 1);
  b.closeSubscription(first);
  const { subscriptions } = b.store.channel("foo")!;
  const { update } = subscriptions;
  subscriptions.update = () => {
    throw new StoreError("STORE_CLOSED", "cannot write");
  };
  assert.equal(b.subscribeError("foo", { ...D, inbox: "_INBOX.no" }), "cannot write");
  subscriptions.update = update;
  b.fill("foo", 1);
  assert.equal(b.heard("_INBOX.no"), "");
  assert.equal(b.heard(b.subscribe("foo", D)), "1r1 2");
});

test("trap 56 (8.5): a durable resumed while its client missed heartbeats starts without the flag", () => {
  const b = new StreamingBench({ core: { heartbeatIntervalMs: 1000, heartbeatTimeoutMs: 100, heartbeatFailCount: 9 } });
  b.connect("me");
  b.manners.set("_INBOX.hb.me", "gone");
  const first = b.subscribe("foo", { ...D, ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.pass(1050);
  b.closeSubscription(first);
  const s = b.subscribe("foo", { ...D, ackWaitSecs: 1 });
  assert.ok(b.heard(s).startsWith("1r"));
  assert.equal([...b.core.find("foo")!.durables.values()][0]!.failedHeartbeat, false);
});

test("D5: client a with durable x-d and client a-x with durable d do not collide", () => {
  const b = bench();
  for (const id of ["a", "a-x"]) b.connect(id);
  b.subscribe("x", { ...D, clientId: "a", durableName: "x-d" });
  b.subscribe("x", { ...D, clientId: "a-x", durableName: "d" });
  b.subscribe("foo", { ...D, clientId: "a", durableName: "foo-x-d" });
  assert.equal(b.core.find("x")!.durables.size, 2);
});

test("17.1: a resume under way is not cut into by the redelivery timer", () => {
  const b = bench({ core: { testNegativeAckWaitMs: true } });
  const first = b.subscribe("foo", { ...D, ackWaitSecs: -100 });
  b.fill("foo", 3);
  b.closeSubscription(first);
  b.congested.add("_INBOX.again");
  b.subscribe("foo", { ...D, ackWaitSecs: -100, inbox: "_INBOX.again" });
  b.pass(500);
  b.congested.clear();
  b.driver.drained();
  b.turn();
  assert.equal(b.heard("_INBOX.again"), "1r1 2r1 3r1");
});

test("invariant 78 (16.2): an ack after the close is ignored, the message comes on resume", () => {
  const b = bench();
  const s = b.subscribe("foo", D);
  b.fill("foo", 1);
  b.closeSubscription(s);
  assert.equal(b.postAck(s, 1), false, "nobody listens there");
  // Also one that was on its way through the server while the subscription ended.
  const other = b.subscribe("foo", D);
  b.post("closeSubscription", b.leaveRequest(other));
  b.postAck(other, 1);
  b.turn();
  assert.equal(b.heard(b.subscribe("foo", D)), "1r2");
});

test("traps 39, 40, 41, 57 (5, 14.1): what is written of durables and shadows, and that no count is among it", () => {
  const b = bench();
  b.fill("foo", 1);
  const { subscriptions } = b.store.channel("foo")!;
  const written: SubscriptionRecord[] = [];
  const { create, update } = subscriptions;
  subscriptions.create = (record) => {
    written.push({ ...record });
    return create.call(subscriptions, record);
  };
  subscriptions.update = (record) => {
    written.push({ ...record });
    update.call(subscriptions, record);
  };
  const last = () => {
    const record = written.at(-1)!;
    assert.deepEqual(Object.keys(record).sort(), FIELDS);
    const { clientId, durableName, queueGroup, isDurable, isClosed, lastSent } = record;
    return [clientId, durableName, queueGroup, isDurable, isClosed, lastSent];
  };
  let s = b.subscribe("foo", { ...D, ackWaitSecs: 1 });
  assert.deepEqual(last(), ["me", "D", "", true, false, 0]);
  b.pass(2010);
  b.closeSubscription(s);
  // Trap 40: the client ID is cleared in memory only, or nobody could find the durable after a restart.
  assert.deepEqual(last(), ["me", "D", "", true, true, 1]);
  s = b.subscribe("foo", D);
  assert.deepEqual(last(), ["me", "D", "", true, false, 1]);
  const member = b.subscribe("foo", { ...D, queueGroup: "g" });
  assert.deepEqual(last(), ["me", "", "D:g", true, false, 0]);
  b.closeSubscription(member);
  assert.deepEqual(last(), ["", "", "D:g", true, false, 1]);
  b.subscribe("foo", { ...D, queueGroup: "g" });
  assert.deepEqual(last(), ["me", "", "D:g", true, false, 1]);
});
