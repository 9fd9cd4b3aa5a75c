/** streaming-protocol.md 23: what becomes of clients, subscriptions and positions at a restart. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { stanSubjects } from "../../../src/wire/stan_subjects.ts";
import { START_POSITION } from "../../../src/wire/stan_control.ts";
import { KeepingStore } from "../../helpers/keeping_store.ts";
import { type BenchOptions, StreamingBench } from "../../helpers/streaming_bench.ts";

const unlimited = { maxSubscriptions: 0, maxMessages: 0, maxBytes: 0, maxAgeMs: 0, maxInactivityMs: 0 };

class Life {
  readonly store: KeepingStore;
  bench: StreamingBench;

  constructor(options: BenchOptions = {}) {
    this.store = new KeepingStore({ maxChannels: 0, forChannel: () => ({ ...unlimited, ...options.limits }) });
    this.store.init(stanSubjects("cluster"));
    this.bench = new StreamingBench({ ...options, store: this.store });
    this.bench.connect("me");
  }

  restart(downMs = 0): StreamingBench {
    return this.bench = this.bench.restarted(this.store.state()!, downMs);
  }
}

const ALL = { startPosition: START_POSITION.FIRST };

test("invariant 133 (23.2): a connected client publishes, acks, pings and receives after a restart without doing anything", () => {
  const life = new Life();
  const subscriber = life.bench.subscribe("foo", ALL);
  life.bench.fill("foo", 2);
  assert.equal(life.bench.heard(subscriber), "1 2");
  life.bench.ack(subscriber, 1, 2);
  const bench = life.restart(1000);
  assert.equal(bench.publish("foo", "after"), "");
  assert.equal(bench.heard(subscriber), "3");
  assert.ok(bench.postAck(subscriber, 3), "the ack inbox is the same");
  assert.equal(bench.ping("conn-me")?.length, 0);
});

test("23.2, trap 51: the subjects that the store has beat computed ones", () => {
  const life = new Life();
  const old = { ...stanSubjects("cluster"), publish: "_STAN.pub.RANDOM", subscribe: "_STAN.sub.RANDOM" };
  life.store.init(old);
  const response = life.restart().connect("you");
  assert.equal(response.pubPrefix, "_STAN.pub.RANDOM");
  assert.equal(response.subRequests, "_STAN.sub.RANDOM");
});

test("invariant 134 (23.5): a pending message comes again at its stamp plus ack wait, not at the restart plus ack wait", () => {
  const life = new Life();
  const subscriber = life.bench.subscribe("foo", { ...ALL, ackWaitSecs: 5 });
  life.bench.fill("foo", 1);
  assert.equal(life.bench.heard(subscriber), "1");
  life.bench.pass(2000);
  const bench = life.restart(700);
  assert.equal(bench.heard(subscriber), "");
  bench.pass(2290);
  assert.equal(bench.heard(subscriber), "");
  bench.pass(50);
  assert.equal(bench.heard(subscriber), "1r1");
});

test("invariant 134 (23.5): what is past its time comes at once, with count 1, before new messages", () => {
  const life = new Life();
  const subscriber = life.bench.subscribe("foo", { ...ALL, ackWaitSecs: 2 });
  life.bench.fill("foo", 2);
  assert.equal(life.bench.heard(subscriber), "1 2");
  const bench = life.restart(3000);
  assert.equal(bench.heard(subscriber), "1r1 2r1");
  bench.fill("foo", 1);
  assert.equal(bench.heard(subscriber), "3");
});

test("23.8: until the pending ones are looked at no new message goes to that subscription; others get theirs at once", () => {
  const life = new Life();
  const slow = life.bench.subscribe("foo", { ...ALL, ackWaitSecs: 5 });
  life.bench.fill("foo", 1);
  const fast = life.bench.subscribe("foo");
  life.bench.deaf.add(slow.inbox);
  const bench = life.restart(0);
  bench.fill("foo", 1);
  assert.equal(bench.heard(fast), "2");
  assert.equal(bench.heard(slow), "");
});

test("invariant 135 (23): what was acked before a stop is not delivered again", () => {
  const life = new Life();
  const subscriber = life.bench.subscribe("foo", { ...ALL, ackWaitSecs: 1 });
  life.bench.fill("foo", 5);
  life.bench.ack(subscriber, 1, 2, 3, 4, 5);
  life.bench.heard(subscriber);
  const bench = life.restart(10_000);
  bench.pass(10_000);
  assert.equal(bench.heard(subscriber), "");
});

test("invariants 111, 136 (23.4): durables that were closed, or whose client is gone, are offline and resume behind what they had", () => {
  const life = new Life();
  life.bench.connect("gone");
  const durable = { ...ALL, durableName: "d", ackWaitSecs: 1 };
  const closed = life.bench.subscribe("foo", durable);
  const orphan = life.bench.subscribe("foo", { ...durable, clientId: "gone" });
  life.bench.fill("foo", 2);
  life.bench.ack(closed, 1);
  life.bench.ack(orphan, 1);
  life.bench.closeSubscription(closed);
  life.store.deleteClient("gone");
  for (const { inbox } of [closed, orphan]) life.bench.take(inbox);
  let bench = life.restart(10_000);
  bench.fill("foo", 1);
  bench.pass(10_000);
  // 23.9: nothing goes to their old inboxes.
  assert.deepEqual([bench.heard(closed), bench.heard(orphan)], ["", ""]);
  const again = bench.subscribe("foo", durable);
  assert.equal(bench.heard(again), "2r1 3");
  bench.connect("gone");
  const orphanAgain = bench.subscribe("foo", { ...durable, clientId: "gone" });
  assert.equal(bench.heard(orphanAgain), "2r1 3");
  bench = life.restart();
  assert.equal(bench.subscribeError("foo", durable), "stan: duplicate durable registration");
});

test("23.4: plain subscriptions and members of a client that is gone are forgotten, a ghost is told", () => {
  const life = new Life();
  life.bench.connect("gone");
  life.bench.subscribe("foo", { clientId: "gone" });
  life.bench.subscribe("foo", { clientId: "gone", queueGroup: "q" });
  life.bench.subscribe("foo", { clientId: "gone", queueGroup: "q", durableName: "d" });
  life.store.deleteClient("gone");
  const bench = life.restart();
  assert.equal(life.store.subscriptionsOf("foo").size, 0);
  assert.ok(
    bench.log.some((line) =>
      /^WRN Not recovering ghost durable queue subscriber: \[gone\]:\[d:q\] subject=foo inbox=/.test(line)
    ),
  );
});

test("invariants 109, 136 (23.4): the shadow of a durable group keeps its position, and the group does not go back", () => {
  const life = new Life();
  const options = { ...ALL, queueGroup: "q", durableName: "d" };
  const one = life.bench.subscribe("foo", { ...options, maxInFlight: 1 });
  const two = life.bench.subscribe("foo", { ...options, maxInFlight: 1 });
  life.bench.fill("foo", 2);
  assert.equal([life.bench.heard(one), life.bench.heard(two)].sort().join(), "1,2");
  life.bench.ack(one, 1, 2);
  life.bench.ack(two, 1, 2);
  life.bench.closeSubscription(two);
  let bench = life.restart();
  bench.fill("foo", 1);
  assert.equal(bench.heard(one), "3");
  bench.ack(one, 3);
  bench.closeSubscription(one);
  bench = life.restart();
  bench.fill("foo", 1);
  assert.equal(bench.heard(bench.subscribe("foo", options)), "4");
});

test("23.4: of several shadows the one that got furthest counts", () => {
  const life = new Life();
  const options = { ...ALL, queueGroup: "q", durableName: "d" };
  const one = life.bench.subscribe("foo", options);
  life.bench.fill("foo", 3);
  life.bench.ack(one, 1, 2, 3);
  life.bench.closeSubscription(one);
  const kept = life.store.subscriptionsOf("foo");
  const [shadow] = kept.values();
  kept.set(9, { record: { ...shadow!.record, id: 9, lastSent: 1 }, pending: new Set() });
  const bench = life.restart();
  assert.equal(life.store.subscriptionsOf("foo").size, 1);
  bench.fill("foo", 1);
  assert.equal(bench.heard(bench.subscribe("foo", options)), "4");
});

test("23.5, trap 35: at the start pending messages of a group go to the member that had them", () => {
  const life = new Life();
  const options = { ...ALL, queueGroup: "q", ackWaitSecs: 1, maxInFlight: 2 };
  const one = life.bench.subscribe("foo", options);
  const two = life.bench.subscribe("foo", options);
  life.bench.fill("foo", 4);
  const had = [life.bench.heard(one), life.bench.heard(two)];
  const bench = life.restart(5000);
  const again = (text: string) => text.split(" ").map((sequence) => `${sequence}r1`).join(" ");
  assert.deepEqual([bench.heard(one), bench.heard(two)], had.map(again));
});

test("23.6, D10 (kept): of a group the count begins at 1 again after the start-up redelivery", () => {
  const life = new Life();
  const group = life.bench.subscribe("foo", { ...ALL, queueGroup: "q", ackWaitSecs: 1 });
  const plain = life.bench.subscribe("foo", { ...ALL, ackWaitSecs: 1 });
  life.bench.fill("foo", 1);
  life.bench.heard(group);
  life.bench.heard(plain);
  const bench = life.restart(5000);
  assert.deepEqual([bench.heard(group), bench.heard(plain)], ["1r1", "1r1"]);
  bench.pass(1100);
  assert.deepEqual([bench.heard(group), bench.heard(plain)], ["1r1", "1r2"]);
});

test("23.7, D12: a client that is not back yet is waited for, up to its ack wait", () => {
  const life = new Life();
  const subscriber = life.bench.subscribe("foo", { ...ALL, ackWaitSecs: 2 });
  const quiet = life.bench.subscribe("bar", { ackWaitSecs: 2 });
  life.bench.fill("foo", 1);
  life.bench.heard(subscriber);
  for (const { inbox } of [subscriber, quiet]) life.bench.deaf.add(inbox);
  let bench = life.restart(5000);
  bench.fill("bar", 1);
  bench.pass(500);
  assert.deepEqual([bench.heard(subscriber), bench.heard(quiet)], ["", ""], "nothing is sent to nobody");
  for (const { inbox } of [subscriber, quiet]) bench.deaf.delete(inbox);
  bench.pass(100);
  assert.deepEqual([bench.heard(subscriber), bench.heard(quiet)], ["1r1", "1"], "as soon as it listens");
  bench.deaf.add(subscriber.inbox);
  bench = life.restart(5000);
  bench.pass(2100);
  assert.equal(bench.heard(subscriber), "1r1", "not longer than an ack wait");
});

test("invariant 137 (23.8): a subscription that was stalled goes on after acks, without doing anything else", () => {
  const life = new Life();
  const subscriber = life.bench.subscribe("foo", { ...ALL, maxInFlight: 2 });
  life.bench.fill("foo", 5);
  assert.equal(life.bench.heard(subscriber), "1 2");
  const bench = life.restart(1000);
  assert.equal(bench.heard(subscriber), "");
  bench.ack(subscriber, 1);
  assert.equal(bench.heard(subscriber), "3");
  bench.ack(subscriber, 2, 3);
  assert.equal(bench.heard(subscriber), "4 5");
});

test("invariant 140 (23.10): a registration whose client is gone ends by missed heartbeats, the first one interval after the start", () => {
  const life = new Life({ core: { heartbeatFailCount: 2 } });
  life.bench.manners.set("_INBOX.hb.me", "gone");
  const bench = life.restart();
  bench.pass(29_000);
  assert.equal(bench.requests.length, 0);
  bench.pass(2_000);
  assert.equal(bench.requests.length, 1);
  bench.pass(90_000);
  assert.equal(bench.core.clients.count, 0);
  assert.equal(life.store.clients.size, 0);
});

test("23.4, trap 16: what is pending and was removed by limits meanwhile is forgotten", () => {
  const life = new Life({ limits: { maxMessages: 2 } });
  const subscriber = life.bench.subscribe("foo", { ...ALL, ackWaitSecs: 1 });
  life.bench.fill("foo", 4);
  life.bench.heard(subscriber);
  const bench = life.restart(5000);
  assert.equal(bench.heard(subscriber), "3r1 4r1");
});

test("stores 13, trap 14: stamps do not go back when the clock was set back while the server was down", () => {
  const life = new Life();
  life.bench.fill("foo", 1);
  const { messages } = life.store.channel("foo")!;
  const before = { stampHigh: 0, stampLow: 0 };
  assert.ok(messages.stampOf(1, before));
  life.bench.driver.nowMs -= 1;
  const bench = life.restart(0);
  bench.driver.wallOffsetMs -= 3_600_000;
  bench.fill("foo", 1);
  const after = { stampHigh: 0, stampLow: 0 };
  assert.ok(messages.stampOf(2, after));
  assert.deepEqual(after, before);
});

test("23.5, 21.1: what grew too old while no server ran is gone when the first client can ask", () => {
  const life = new Life({ limits: { maxAgeMs: 1000 } });
  life.bench.fill("foo", 2);
  life.bench.pass(400);
  life.bench.fill("foo", 1);
  const bench = life.bench.recovered(life.store.state()!, 700);
  assert.equal(bench.core.find("foo")!.messages.messageCount, 1);
  bench.pass(400);
  assert.equal(bench.core.find("foo")!.messages.messageCount, 0, "the others go on ageing");
});
