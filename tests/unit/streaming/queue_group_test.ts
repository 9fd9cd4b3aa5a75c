import { test } from "node:test";
import assert from "node:assert/strict";
import { START_POSITION } from "../../../src/wire/stan_control.ts";
import { StreamingBench, type Subscriber } from "../../helpers/streaming_bench.ts";

const { FIRST } = START_POSITION;

function bench(options: ConstructorParameters<typeof StreamingBench>[0] = {}): StreamingBench {
  const made = new StreamingBench(options);
  made.connect("me");
  return made;
}

function members(b: StreamingBench, count: number, changes = {}): Subscriber[] {
  return Array.from({ length: count }, () => b.subscribe("foo", { queueGroup: "g", ackWaitSecs: 30, ...changes }));
}

test("invariant 92 (18.4): ten messages, three members, no acks: 1 4 7 10, 2 5 8, 3 6 9", () => {
  const b = bench();
  const group = members(b, 3);
  b.fill("foo", 10);
  assert.deepEqual(group.map((s) => b.heard(s)), ["1 4 7 10", "2 5 8", "3 6 9"]);
});

test("18.4: the same rotation with immediate acks", () => {
  const b = bench();
  const group = members(b, 3);
  const heard = ["", "", ""];
  for (let i = 0; i < 10; i++) {
    b.fill("foo", 1);
    group.forEach((s, at) => {
      for (const { sequence } of b.delivered(s)) {
        heard[at] += `${sequence} `;
        b.ack(s, sequence);
      }
    });
  }
  assert.deepEqual(heard, ["1 4 7 10 ", "2 5 8 ", "3 6 9 "]);
});

test("invariant 94 (18.4): the member with the fewest pending gets the next message", () => {
  const b = bench();
  const [first, second] = members(b, 2);
  b.fill("foo", 6);
  assert.equal(b.heard(first!), "1 3 5");
  b.ack(first!, 1, 3, 5);
  b.fill("foo", 3);
  assert.equal(b.heard(first!), "7 8 9");
  assert.equal(b.heard(second!), "2 4 6");
});

test("invariants 66, 93 (18.1): a joining member takes over the position of the group", () => {
  const b = bench();
  b.fill("foo", 3);
  const [first] = members(b, 1);
  const [second] = members(b, 1, { startPosition: FIRST });
  b.fill("foo", 2);
  assert.equal(b.heard(first!), "4");
  assert.equal(b.heard(second!), "5");
});

test("invariant 95 (18.3): one stalled member does not stop the group, all stalled do, a joining one starts it again", () => {
  const b = bench();
  const [first, second] = members(b, 2, { maxInFlight: 2 });
  b.fill("foo", 2);
  b.ack(second!, 2);
  b.fill("foo", 4);
  assert.equal(b.heard(first!), "1 4");
  assert.equal(b.heard(second!), "2 3 5");
  const [third] = members(b, 1, { maxInFlight: 1 });
  assert.equal(b.heard(third!), "6");
});

test("invariant 98, trap 33 (18.5): redelivery alternates between two idle members, and the count goes on", () => {
  const b = bench();
  const [first, second] = members(b, 2, { ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.pass(3010);
  assert.equal(b.heardAt(first!), "1@0 1r2@2000");
  assert.equal(b.heardAt(second!), "1r1@1000 1r3@3000");
});

test("invariant 99, trap 34 (16.3 step 2): a late ack of the first holder ends the redeliveries to its colleagues", () => {
  const b = bench();
  const [first, second] = members(b, 2, { ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.pass(1010);
  assert.equal(b.heard(second!), "1r1");
  b.ack(first!, 1);
  b.pass(3000);
  assert.equal(b.heard(first!), "1");
  assert.equal(b.heard(second!), "");
});

test("D1: a member whose message is acked through a colleague gets its place back", () => {
  const b = bench();
  const [first] = members(b, 1, { ackWaitSecs: 1, maxInFlight: 1 });
  b.fill("foo", 1);
  const [second] = members(b, 1, { ackWaitSecs: 1, maxInFlight: 1 });
  b.fill("foo", 1);
  assert.deepEqual([b.heard(first!), b.heard(second!)], ["1", "2"]);
  // Both are stalled; the second acks the message of the first.
  b.ack(second!, 1);
  b.fill("foo", 1);
  assert.deepEqual([b.heard(first!), b.heard(second!)], ["3", ""]);
});

test("invariants 96, 97 (18.6): what a leaving member had is redelivered to the others after 100 ms", () => {
  const b = bench();
  const [a, c, d] = members(b, 3, { maxInFlight: 3 });
  b.fill("foo", 10);
  for (const s of [a!, c!, d!]) b.heard(s);
  b.closeSubscription(a!);
  assert.deepEqual([b.heard(c!), b.heard(d!)], ["", ""]);
  b.pass(110);
  const moved = [...b.delivered(c!), ...b.delivered(d!)];
  assert.deepEqual(moved.map(({ sequence }) => sequence).sort(), [1, 4, 7]);
  assert.ok(moved.every(({ count, atMs }) => count === 1 && atMs === 100));
  // 10 waits until somebody is below three pending again.
  b.ack(c!, 2);
  assert.equal(b.heard(c!) + b.heard(d!), "");
  b.ack(c!, 1, 4, 5, 7, 8);
  b.ack(d!, 1, 4, 7);
  assert.equal(`${b.heard(c!)}${b.heard(d!)}`, "10");
});

test("18.6: a member that leaves by the close of its client hands over in the same way", () => {
  const b = bench();
  b.connect("other");
  const a = b.subscribe("foo", { queueGroup: "g", clientId: "other" });
  const c = b.subscribe("foo", { queueGroup: "g" });
  b.fill("foo", 4);
  b.close("other");
  b.pass(110);
  assert.equal(b.heard(a), "1 3");
  assert.equal(b.heard(c), "2 4 1r1 3r1");
});

test("D7: a message that could not be recorded for its heir stays pending in memory", () => {
  const b = bench();
  const [a, c] = members(b, 2);
  b.fill("foo", 2);
  const { subscriptions } = b.store.channel("foo")!;
  const { addPending } = subscriptions;
  subscriptions.addPending = () => false;
  b.closeSubscription(a!);
  subscriptions.addPending = addPending;
  b.pass(110);
  assert.equal(b.heard(c!), "2 1r1");
  // And it can be acknowledged, although the store never heard of it.
  b.ack(c!, 1, 2);
  b.pass(60_000);
  assert.equal(b.heard(c!), "");
});

test("invariant 102 (18.7): when the last member of a non-durable group leaves, the group is gone", () => {
  for (const way of ["unsubscribe", "closeSubscription", "close"] as const) {
    const b = bench();
    b.connect("other");
    const [a] = members(b, 1, { clientId: "other" });
    b.fill("foo", 2);
    if (way === "close") b.close("other");
    else b[way](a!);
    const [c] = members(b, 1, { startPosition: FIRST });
    assert.equal(b.heard(c!), "1 2");
  }
});

test("invariant 103 (18.8, 18.9): a durable group goes on with the next member, of whatever client: pending first, then the rest", () => {
  const b = bench();
  b.connect("other");
  const durable = { queueGroup: "g", durableName: "D", startPosition: FIRST };
  const a = b.subscribe("foo", { ...durable, maxInFlight: 2 });
  b.fill("foo", 4);
  assert.equal(b.heard(a), "1 2");
  b.closeSubscription(a);
  const c = b.subscribe("foo", { ...durable, clientId: "other", maxInFlight: 3 });
  assert.equal(b.heard(c), "1r1 2r1 3");
  b.ack(c, 1);
  assert.equal(b.heard(c), "4");
});

test("invariant 104 (18.8): by unsubscribe of the last member a durable group is gone", () => {
  const b = bench();
  const durable = { queueGroup: "g", durableName: "D", startPosition: FIRST };
  const a = b.subscribe("foo", durable);
  b.fill("foo", 2);
  b.unsubscribe(a);
  assert.equal(b.heard(b.subscribe("foo", durable)), "1 2");
});

test("invariant 105 (18.10): unsubscribing one of two keeps the durable group", () => {
  const b = bench();
  const durable = { queueGroup: "g", durableName: "D" };
  const [a, c] = [b.subscribe("foo", durable), b.subscribe("foo", durable)];
  b.unsubscribe(a);
  b.fill("foo", 1);
  b.closeSubscription(c);
  assert.equal(b.heard(b.subscribe("foo", durable)), "1r1");
});

test("invariant 108 (18.11): three members of one client: the shadow keeps all pending, each is redelivered once", () => {
  const b = bench();
  b.connect("other");
  const durable = { queueGroup: "g", durableName: "D" };
  for (let i = 0; i < 3; i++) b.subscribe("foo", { ...durable, clientId: "other" });
  b.fill("foo", 7);
  b.close("other");
  const heard = b.heard(b.subscribe("foo", durable));
  assert.equal(heard, "1r1 2r1 3r1 4r1 5r1 6r1 7r1");
});

test("invariants 106, 107 (14.1): queue and dur:queue are different groups, and the literal name joins the durable one", () => {
  const b = bench();
  const plain = b.subscribe("foo", { queueGroup: "g" });
  const durable = b.subscribe("foo", { queueGroup: "g", durableName: "D" });
  const literal = b.subscribe("foo", { queueGroup: "D:g" });
  b.fill("foo", 2);
  assert.equal(b.heard(plain), "1 2");
  assert.deepEqual([b.heard(durable), b.heard(literal)], ["1", "2"]);
});

test("D15: a member that came by the literal name does not take the durable group with it", () => {
  const b = bench();
  const durable = b.subscribe("foo", { queueGroup: "g", durableName: "D" });
  const literal = b.subscribe("foo", { queueGroup: "D:g" });
  b.closeSubscription(durable);
  b.unsubscribe(literal);
  b.fill("foo", 1);
  const back = b.subscribe("foo", { queueGroup: "D:g" });
  assert.equal(b.heard(back), "1");
  b.unsubscribe(back);
  assert.equal(b.heard(b.subscribe("foo", { queueGroup: "g", durableName: "D" })), "1r1");
});

test("trap 43: a group is not held back by a member that left before it was started", () => {
  const b = bench();
  const durable = { queueGroup: "g", durableName: "D", startPosition: FIRST };
  b.fill("foo", 1);
  const a = b.subscribe("foo", durable);
  b.closeSubscription(a);
  // The shadow is resumed with a message pending, another one joins, and the first leaves, all in one turn.
  b.post("subscribe", b.subscribeRequest("foo", { ...durable, inbox: "_INBOX.1" }));
  b.post("subscribe", b.subscribeRequest("foo", { ...durable, inbox: "_INBOX.2" }));
  b.post("closeSubscription", b.leaveRequest({ ...a, inbox: "_INBOX.1" }, "_INBOX.1"));
  b.turn();
  b.fill("foo", 1);
  assert.equal(b.heard("_INBOX.2"), "2");
  b.pass(110);
  assert.equal(b.heard("_INBOX.2"), "1r1");
});

test("invariant 101 (18.4): members that miss heartbeats are avoided for new messages and redeliveries", () => {
  const b = new StreamingBench({ core: { heartbeatIntervalMs: 1000, heartbeatTimeoutMs: 100, heartbeatFailCount: 9 } });
  for (const id of ["me", "ill"]) b.connect(id);
  b.manners.set("_INBOX.hb.ill", "gone");
  const ill = b.subscribe("foo", { queueGroup: "g", clientId: "ill", ackWaitSecs: 2 });
  const well = b.subscribe("foo", { queueGroup: "g", ackWaitSecs: 2 });
  b.fill("foo", 2);
  assert.deepEqual([b.heard(ill), b.heard(well)], ["1", "2"]);
  b.pass(1010);
  b.fill("foo", 2);
  assert.deepEqual([b.heard(ill), b.heard(well)], ["", "3 4"]);
  b.pass(1000);
  assert.deepEqual([b.heard(ill), b.heard(well)], ["", "1r1 2r1"]);
});

test("invariant 72 (15.6): a member whose receiver is congested is passed over, for new messages and redeliveries", () => {
  const b = bench();
  const [frozen, well] = members(b, 2, { ackWaitSecs: 1 });
  b.fill("foo", 2);
  assert.deepEqual([b.heard(frozen!), b.heard(well!)], ["1", "2"]);
  b.congested.add(frozen!.inbox);
  b.fill("foo", 3);
  b.pass(1010);
  assert.equal(b.heard(frozen!), "");
  assert.equal(b.heard(well!), "3 4 5 1r1 2r1 3r1 4r1 5r1");
});

test("15.6: a group whose congested member leaves goes on", () => {
  const b = bench();
  const [frozen] = members(b, 1);
  b.congested.add(frozen!.inbox);
  b.fill("foo", 1);
  b.post("subscribe", b.subscribeRequest("foo", { queueGroup: "g", inbox: "_INBOX.n" }));
  b.post("closeSubscription", b.leaveRequest(frozen!));
  b.turn();
  assert.equal(b.heard("_INBOX.n"), "1");
});

test("invariant 100 (17.1): each message follows the ack wait of the member that holds it", () => {
  const b = bench();
  const [quick] = members(b, 1, { ackWaitSecs: 1 });
  const [slow] = members(b, 1, { ackWaitSecs: 3 });
  b.fill("foo", 2);
  b.pass(3010);
  // Message 1 is due at 1.0 and again at 2.0 as long as the quick one holds it; message 2 at 3.0.
  assert.equal(b.heardAt(quick!), "1@0 1r1@1000 2r1@3000");
  assert.equal(b.heardAt(slow!), "2@0 1r2@2000");
  b.pass(2010);
  // They have changed places: 2 is due after one second, 1 after three.
  assert.equal(b.heardAt(quick!), "1r3@5000");
  assert.equal(b.heardAt(slow!), "2r2@4000");
});

test("invariant 103 (18.9): the member that comes back sets its own ack wait", () => {
  const b = bench();
  const durable = { queueGroup: "g", durableName: "D", startPosition: FIRST };
  const a = b.subscribe("foo", { ...durable, ackWaitSecs: 1 });
  b.fill("foo", 1);
  b.closeSubscription(a);
  const c = b.subscribe("foo", { ...durable, ackWaitSecs: 4 });
  b.pass(6000);
  // Due at 1.0 by the first, plus 4.
  assert.equal(b.heardAt(c), "1r1@0 1r2@5000");
});

test("trap 32 (17.1 step 6): a redelivered message is pending at one member only", () => {
  const b = bench();
  members(b, 3, { ackWaitSecs: 1 });
  b.fill("foo", 4);
  const group = b.core.find("foo")!.groups.get("g")!;
  for (let round = 0; round < 5; round++) {
    b.pass(1000);
    assert.deepEqual(group.members.flatMap((m) => m.pending.sorted()).sort(), [1, 2, 3, 4]);
  }
});

test("trap 36 (18.6): the close of a member looks nothing up and sends nothing", () => {
  const b = bench();
  const [a] = members(b, 2);
  b.fill("foo", 1000);
  b.sent.length = 0;
  const { messages } = b.store.channel("foo")!;
  const lookup = messages.lookup;
  messages.lookup = () => assert.fail("a message was looked up");
  b.closeSubscription(a!);
  assert.equal(b.sent.length, 0);
  messages.lookup = lookup;
  b.pass(110);
  assert.equal(b.sent.length, 500);
});

test("trap 37 (18.6 step 4): the position of a leaving member that was ahead is written to another one", () => {
  const b = bench();
  const records = new Map<number, number>();
  const [a] = members(b, 1);
  const [c] = members(b, 1);
  const { subscriptions } = b.store.channel("foo")!;
  const { update, addPending, delete: remove } = subscriptions;
  subscriptions.update = (record) => {
    records.set(record.id, record.lastSent);
    update.call(subscriptions, record);
  };
  subscriptions.addPending = (id, sequence) => {
    records.set(id, Math.max(records.get(id) ?? 0, sequence));
    return addPending.call(subscriptions, id, sequence);
  };
  subscriptions.delete = (id) => {
    records.delete(id);
    remove.call(subscriptions, id);
  };
  b.fill("foo", 3);
  b.ack(a!, 1, 3);
  b.closeSubscription(a!);
  // Of the group nothing above 2 is pending, but 3 was delivered: a restart must not deliver it again.
  assert.equal(b.heard(c!), "2");
  assert.equal(Math.max(...records.values()), 3);
});

test("trap 38 (18.6, 18.8): of a durable group one record stays when all have left, and the right one", () => {
  const b = bench();
  const durable = { queueGroup: "g", durableName: "D" };
  const all = [1, 2, 3].map(() => b.subscribe("foo", durable));
  const { subscriptions } = b.store.channel("foo")!;
  assert.equal(subscriptions.subscriptionCount, 3);
  for (const s of all) b.closeSubscription(s);
  assert.equal(subscriptions.subscriptionCount, 1);
  b.unsubscribe(b.subscribe("foo", durable));
  assert.equal(subscriptions.subscriptionCount, 0);
});

test("15.4: a member that is full without being flagged does not hold a message back that another one can take", () => {
  const b = bench();
  const [a, c] = members(b, 2);
  b.fill("foo", 6);
  const [full] = members(b, 1, { maxInFlight: 1 });
  // It inherits two messages, one more than it may hold, and has fewest.
  b.closeSubscription(a!);
  for (const s of [a!, c!, full!]) b.heard(s);
  b.fill("foo", 1);
  assert.deepEqual([b.heard(c!), b.heard(full!)], ["7", ""]);
});

test("15.4: a member without heartbeats takes what no other one has room for, though a stalled one stands first", () => {
  const b = new StreamingBench({ core: { heartbeatIntervalMs: 1000, heartbeatTimeoutMs: 100, heartbeatFailCount: 9 } });
  for (const id of ["me", "ill"]) b.connect(id);
  const well = b.subscribe("foo", { queueGroup: "g", maxInFlight: 1 });
  const ill = b.subscribe("foo", { queueGroup: "g", clientId: "ill" });
  b.manners.set("_INBOX.hb.ill", "gone");
  b.pass(1010);
  b.fill("foo", 3);
  assert.deepEqual([b.heard(well), b.heard(ill)], ["1", "2 3"]);
});
