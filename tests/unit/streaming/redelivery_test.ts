import { test } from "node:test";
import assert from "node:assert/strict";
import { LOOKUP_LATER } from "../../../src/store/types.ts";
import { START_POSITION } from "../../../src/wire/stan_control.ts";
import { FlushTicket } from "../../helpers/core_driver.ts";
import { StreamingBench } from "../../helpers/streaming_bench.ts";

function bench(options: ConstructorParameters<typeof StreamingBench>[0] = {}): StreamingBench {
  const made = new StreamingBench(options);
  made.connect("me");
  return made;
}

test("invariants 80, 81, trap 27 (17.2): messages keep their spacing: 400 ms apart, ack wait 1 s", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  for (let i = 0; i < 3; i++) {
    b.fill("foo", 1);
    b.pass(400);
  }
  b.pass(1700);
  assert.equal(
    b.heardAt(s),
    "1@0 2@400 3@800 1r1@1000 2r1@1400 3r1@1800 1r2@2000 2r2@2400 3r2@2800",
  );
});

test("invariant 82, trap 29 (17.3): the first redelivery comes one ack wait after the own delivery, not after that of another message", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.pass(700);
  b.fill("foo", 1);
  b.ack(s, 1);
  b.pass(1100);
  assert.equal(b.heardAt(s), "1@0 2@700 2r1@1700");
});

test("17.3: what is due within 15 ms goes out in the same pass", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.pass(14);
  b.fill("foo", 1);
  b.pass(20);
  b.fill("foo", 1);
  b.pass(1100);
  assert.equal(b.heardAt(s), "1@0 2@14 3@34 1r1@1000 2r1@1000 3r1@1040");
});

test("17.4: redeliveries of a pass go by expiry, then by sequence", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 4);
  b.pass(1010);
  assert.equal(b.heard(s), "1 2 3 4 1r1 2r1 3r1 4r1");
});

test("invariants 80, 86 (17.5): first deliveries carry no count, redeliveries 1, 2, 3, and the ack ends it", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.pass(3010);
  b.ack(s, 1);
  b.pass(3000);
  assert.equal(b.heard(s), "1 1r1 1r2 1r3");
  assert.equal(b.core.wakeAtMs > b.nowMs + 1000, true);
});

test("invariant 89, trap 31 (17.6): max in flight 1 and never an ack: the same message again and again, nothing else", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1, maxInFlight: 1 });
  b.fill("foo", 3);
  b.pass(2010);
  assert.equal(b.heard(s), "1 1r1 1r2");
  b.ack(s, 1);
  assert.equal(b.heard(s), "2");
});

test("invariant 83 (15.7): with max in flight 2 both pending messages are redelivered, the third comes after an ack", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1, maxInFlight: 2 });
  b.fill("foo", 3);
  b.pass(1010);
  b.ack(s, 2);
  assert.equal(b.heard(s), "1 2 1r1 2r1 3");
});

test("invariant 84 (17.1 step 6): a message that is gone is acked on behalf of the client, which frees its place", () => {
  const b = bench({ limits: { maxMessages: 2 } });
  const s = b.subscribe("foo", { ackWaitSecs: 1, maxInFlight: 1 });
  b.fill("foo", 3);
  assert.equal(b.heard(s), "1");
  b.pass(1010);
  assert.equal(b.heard(s), "2");
});

test("17.1 step 8: what is overdue does not keep the others from their time", () => {
  const b = bench();
  const [a, c] = ["g", "g"].map((queueGroup) => b.subscribe("foo", { queueGroup, ackWaitSecs: 1 }));
  b.pass(5000);
  b.fill("foo", 2);
  b.pass(800);
  // Inherited with an expiry one second in the past: after its redelivery it is overdue still, and goes with the next pass.
  b.closeSubscription(a!);
  b.pass(210);
  assert.equal(b.heardAt(c!), "2@5000 1r1@5900 1r2@6000 2r1@6000");
});

test("invariant 87 (17.7): no redelivery to a plain subscription whose client misses heartbeats, then within one ack wait", () => {
  const b = new StreamingBench({ core: { heartbeatIntervalMs: 1500, heartbeatTimeoutMs: 100, heartbeatFailCount: 5 } });
  b.connect("me");
  b.manners.set("_INBOX.hb.me", "gone");
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.pass(4400);
  assert.equal(b.heardAt(s), "1@0 1r1@1000");
  b.manners.set("_INBOX.hb.me", "answers");
  b.pass(1150);
  assert.equal(b.heard(s), "1r2");
});

test("8.5: new messages still go to a plain subscription whose client misses heartbeats", () => {
  const b = new StreamingBench({ core: { heartbeatIntervalMs: 1000, heartbeatTimeoutMs: 100, heartbeatFailCount: 5 } });
  b.connect("me");
  b.manners.set("_INBOX.hb.me", "gone");
  const s = b.subscribe("foo");
  b.pass(1010);
  b.fill("foo", 1);
  assert.equal(b.heard(s), "1");
});

test("invariant 90 (17.9): closing a subscription stops its redeliveries", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.closeSubscription(s);
  b.pass(3000);
  assert.equal(b.heard(s), "1");
});

test("15.1 step 3: a redelivery that was not sent is not counted", () => {
  const tickets: FlushTicket[] = [];
  const b = bench({ core: { testNegativeAckWaitMs: true } });
  const a = b.subscribe("foo", { queueGroup: "g", ackWaitSecs: -100, startPosition: START_POSITION.FIRST });
  b.fill("foo", 1);
  assert.equal(b.heard(a), "1");
  const { subscriptions } = b.store.channel("foo")!;
  subscriptions.flush = () => {
    const ticket = new FlushTicket();
    tickets.push(ticket);
    return ticket as unknown as Promise<void>;
  };
  // A second member, which is chosen for the redelivery but may not be sent anything before its response.
  b.post("subscribe", b.subscribeRequest("foo", { inbox: "_INBOX.b", queueGroup: "g", ackWaitSecs: -100 }));
  b.turn();
  b.pass(150);
  for (const ticket of tickets) ticket.complete();
  b.turn();
  b.pass(300);
  const counts = [...b.delivered(a), ...b.delivered("_INBOX.b")].map(({ count }) => count).sort((x, y) => x - y);
  assert.deepEqual(counts, counts.map((_, i) => i + 1));
});

test("17.1: redelivery to a congested receiver waits, and comes at once when it has caught up", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.congested.add(s.inbox);
  b.pass(1500);
  assert.equal(b.heard(s), "1");
  b.congested.clear();
  b.pass(60);
  assert.equal(b.heard(s), "1r1");
});

test("invariant 85 (17.5): after an ack the count of that sequence starts anew for a new subscription", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.pass(1010);
  b.ack(s, 1);
  const other = b.subscribe("foo", { ackWaitSecs: 1, startPosition: START_POSITION.FIRST });
  b.pass(1010);
  assert.equal(b.heard(other), "1 1r1");
});

test("invariant 88 (17.1 step 6): a message that is acked while it is looked up is not redelivered", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 1);
  assert.equal(b.heard(s), "1");
  const { messages } = b.store.channel("foo")!;
  const lookup = messages.lookup;
  // The store has to fetch it; meanwhile the ack comes.
  messages.lookup = () => LOOKUP_LATER;
  b.pass(1010);
  b.ack(s, 1);
  messages.lookup = lookup;
  messages.onReadable?.();
  b.turn();
  b.pass(3000);
  assert.equal(b.heard(s), "");
});

test("trap 29 (17.1): one timer per subscription, which acks do not touch and which ends when nothing is pending", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 100);
  const [subscription] = b.core.find("foo")!.subscriptions;
  const due = subscription!.dueTick;
  assert.ok(due > 0);
  for (let sequence = 1; sequence <= 100; sequence++) b.ack(s, sequence);
  assert.equal(subscription!.dueTick, due);
  b.pass(1010);
  assert.equal(subscription!.armed, false);
  // Everything was just redelivered: the next look is one ack wait later.
  b.fill("foo", 1);
  b.pass(1010);
  assert.equal(subscription!.dueTick, 301);
});

test("17.1 step 6: a pass looks a message up before it looks at its time: one that is gone frees its place early", () => {
  const b = bench({ limits: { maxMessages: 1 } });
  const s = b.subscribe("foo", { ackWaitSecs: 1, maxInFlight: 1 });
  b.fill("foo", 1);
  b.pass(500);
  b.ack(s, 1);
  b.fill("foo", 2);
  b.pass(510);
  assert.equal(b.heardAt(s), "1@0 2@500 3@1000");
});
