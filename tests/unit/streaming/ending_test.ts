import { test } from "node:test";
import assert from "node:assert/strict";
import { bytesOf } from "../../../src/base/bytes.ts";
import { START_POSITION, type SubscriptionRequest } from "../../../src/wire/stan_control.ts";
import { STAN_ERROR } from "../../../src/wire/stan_errors.ts";
import { StreamingBench } from "../../helpers/streaming_bench.ts";

const { FIRST, NEW_ONLY } = START_POSITION;
const KINDS = ["unsubscribe", "closeSubscription"] as const;

function bench(): StreamingBench {
  const made = new StreamingBench();
  for (const id of ["me", "other"]) made.connect(id);
  return made;
}

for (const kind of KINDS) {
  test(`invariant 120, trap 47 (20.1): errors of ${kind} in their order`, () => {
    const b = bench();
    const s = b.subscribe("foo", { clientId: "other" });
    const request = (changes: Partial<typeof s>) => b.askError(kind, b.leaveRequest({ ...s, ...changes }));
    assert.equal(b.askError(kind, bytesOf("dummy")), STAN_ERROR.INVALID_UNSUBSCRIBE_REQUEST);
    assert.equal(b.askError(kind, new Uint8Array(0)), STAN_ERROR.UNKNOWN_CHANNEL);
    const wrong = { clientId: "stranger", ackInbox: "_INBOX.x" };
    assert.equal(request({ ...wrong, channel: "bar" }), STAN_ERROR.UNKNOWN_CHANNEL);
    assert.equal(request(wrong), STAN_ERROR.INVALID_SUBSCRIPTION);
    b.subscribe("baz");
    assert.equal(request({ channel: "baz" }), STAN_ERROR.INVALID_SUBSCRIPTION);
    assert.equal(request({ clientId: "stranger", channel: "baz" }), STAN_ERROR.INVALID_SUBSCRIPTION);
    assert.equal(request({ clientId: "stranger" }), STAN_ERROR.UNKNOWN_CLIENT_ID);
    assert.equal(request({ clientId: "me" }), STAN_ERROR.UNKNOWN_CLIENT_ID);
    b.fill("foo", 1);
    assert.equal(b.heard(s), "1");
  });

  test(`invariants 121, 122, trap 46 (20.2): ${kind} works by delivery inbox too, and twice is once too often`, () => {
    const b = bench();
    const s = b.subscribe("foo");
    assert.equal(b.ask(kind, b.leaveRequest(s, s.inbox))?.length, 0);
    assert.equal(b.askError(kind, b.leaveRequest(s)), STAN_ERROR.INVALID_SUBSCRIPTION);
    b.fill("foo", 1);
    assert.equal(b.heard(s), "");
    assert.equal(b.postAck(s, 1), false);
  });

  test(`20.2: ${kind} means an ack inbox before a delivery inbox that came earlier`, () => {
    const b = bench();
    // The names of the bench are counted: this one's inbox is what the next one's ack inbox will be.
    const first = b.subscribe("foo", { inbox: `_INBOX.${"2".padStart(22, "0")}` });
    const second = b.subscribe("foo");
    assert.equal(second.ackInbox, first.inbox);
    assert.equal(b.askError(kind, b.leaveRequest(second)), "");
    b.fill("foo", 1);
    assert.equal(b.heard(second), "");
    assert.equal(b.heard(first), "1");
  });

  test(`20.1: ${kind} without reply subject is done all the same`, () => {
    const b = bench();
    const s = b.subscribe("foo");
    b.driver.serve(kind, b.leaveRequest(s), undefined);
    b.turn();
    assert.equal(b.core.find("foo")!.subscriptions.length, 0);
  });
}

// 20.4, each cell by what the next subscribe at "new only" hears of two messages, the first of which was acked.
type Way = "unsubscribe" | "closeSubscription" | "close";
const MATRIX: [string, Partial<SubscriptionRequest>, boolean, Record<Way, string>][] = [
  ["plain", {}, false, { unsubscribe: "", closeSubscription: "", close: "" }],
  ["durable", { durableName: "D" }, false, { unsubscribe: "", closeSubscription: "2r1 3", close: "2r1 3" }],
  ["last queue member", { queueGroup: "g" }, false, { unsubscribe: "", closeSubscription: "", close: "" }],
  [
    "last durable queue member",
    { queueGroup: "g", durableName: "D" },
    false,
    { unsubscribe: "", closeSubscription: "2r1 3", close: "2r1 3" },
  ],
  ["queue member, others remain", { queueGroup: "g" }, true, {
    unsubscribe: "3 2r1",
    closeSubscription: "3 2r1",
    close: "3 2r1",
  }],
  ["durable queue member, others remain", { queueGroup: "g", durableName: "D" }, true, {
    unsubscribe: "3 2r1",
    closeSubscription: "3 2r1",
    close: "3 2r1",
  }],
];

for (const [name, changes, othersRemain, expected] of MATRIX) {
  for (const way of ["unsubscribe", "closeSubscription", "close"] as const) {
    test(`invariant 123 (20.4): ${name}, ${way}`, () => {
      const b = bench();
      const request = { ...changes, clientId: "other", startPosition: FIRST };
      const s = b.subscribe("foo", request);
      b.fill("foo", 2);
      b.ack(s, 1);
      assert.equal(b.heard(s), "1 2");
      const remaining = othersRemain ? b.subscribe("foo", { ...request, clientId: "me" }) : undefined;
      if (way === "close") b.close("other");
      else b[way](s);
      b.fill("foo", 1);
      if (way === "close") b.connect("other");
      const next = remaining ?? b.subscribe("foo", { ...request, startPosition: NEW_ONLY });
      b.pass(110);
      assert.equal(b.heard(next), expected[way]);
      assert.equal(b.heard(s), "");
      assert.equal(b.postAck(s, 2), false);
    });
  }
}

test("invariant 126, trap 44 (20.5): a client close ends the registration first: its ID is free in the same batch", () => {
  const b = bench();
  const s = b.subscribe("foo", { durableName: "D", startPosition: FIRST });
  b.fill("foo", 1);
  b.post("close", bytesOf("\x0a\x02me"));
  const connect = b.post("connect", b.connectRequest("me", { connectionId: "new" }));
  b.post("subscribe", b.subscribeRequest("foo", { durableName: "D", inbox: "_INBOX.again" }));
  b.turn();
  assert.equal(b.error("connect", b.answer(connect)), "");
  assert.equal(b.heard(s), "1");
  assert.equal(b.heard("_INBOX.again"), "1r1");
  assert.equal(b.requests.length, 0);
});

test("invariants 46, 47 (20.6): publishes received before the close are stored and acked", () => {
  const b = bench();
  const replies = Array.from({ length: 200 }, () => b.post("publish", b.publishRequest("foo")));
  const close = b.post("close", bytesOf("\x0a\x02me"));
  const late = b.post("publish", b.publishRequest("foo"));
  b.turn();
  for (const reply of replies) assert.equal(b.error("publish", b.answer(reply)), "");
  assert.equal(b.answer(close)?.length, 0);
  assert.equal(b.error("publish", b.answer(late)), STAN_ERROR.INVALID_PUBLISH_REQUEST);
  assert.equal(b.core.find("foo")!.messages.lastSequence, 200);
});

test("16.2: an ack inbox is listened to as long as its subscription lives, and no longer", () => {
  const b = bench();
  const subscribers = [1, 2, 3].map(() => b.subscribe("foo"));
  assert.equal(b.driver.listenerCount, 3);
  b.unsubscribe(subscribers[0]!);
  b.close("me");
  assert.equal(b.driver.listenerCount, 0);
});
