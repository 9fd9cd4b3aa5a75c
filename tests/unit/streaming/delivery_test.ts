import { test } from "node:test";
import assert from "node:assert/strict";
import { bytesOf } from "../../../src/base/bytes.ts";
import { LOOKUP_FAILED, LOOKUP_LATER, type LookupResult, type MessageView } from "../../../src/store/types.ts";
import { START_POSITION } from "../../../src/wire/stan_control.ts";
import { FlushTicket } from "../../helpers/core_driver.ts";
import { StreamingBench } from "../../helpers/streaming_bench.ts";

function bench(options: ConstructorParameters<typeof StreamingBench>[0] = {}): StreamingBench {
  const made = new StreamingBench(options);
  made.connect("me");
  return made;
}

test("invariant 67 (15.7): exactly max in flight messages arrive without acks, and one more per ack", () => {
  const b = bench();
  const s = b.subscribe("foo", { maxInFlight: 10 });
  b.fill("foo", 101);
  assert.equal(b.heard(s), "1 2 3 4 5 6 7 8 9 10");
  b.ack(s, 1);
  assert.equal(b.heard(s), "11");
  b.ack(s, 7, 3, 11);
  assert.equal(b.heard(s), "12 13 14");
});

test("invariant 68 (26.2): a backlog arrives in order and once, while publishes race with the subscription", () => {
  const b = bench();
  b.fill("foo", 5);
  b.post("publish", b.publishRequest("foo"));
  b.post("subscribe", b.subscribeRequest("foo", { inbox: "_INBOX.d", startPosition: START_POSITION.FIRST }));
  b.post("publish", b.publishRequest("foo"));
  b.turn();
  b.fill("foo", 1);
  assert.equal(b.heard("_INBOX.d"), "1 2 3 4 5 6 7 8");
});

test("invariant 72 (15.6): a stalled subscription does not hold up another one", () => {
  const b = bench();
  const slow = b.subscribe("foo", { maxInFlight: 1 });
  const fast = b.subscribe("foo");
  b.fill("foo", 5);
  assert.equal(b.heard(slow), "1");
  assert.equal(b.heard(fast), "1 2 3 4 5");
});

test("invariant 73 (14.1): two subscriptions with one delivery inbox both work", () => {
  const b = bench();
  const inbox = "_INBOX.both";
  b.subscribe("foo", { inbox });
  b.subscribe("foo", { inbox });
  b.fill("foo", 2);
  assert.equal(b.heard(inbox), "1 1 2 2");
});

test("invariant 72 (15.6): a congested receiver is left alone until it has caught up, others are not", () => {
  const b = bench();
  const frozen = b.subscribe("foo");
  const fast = b.subscribe("foo");
  b.congested.add(frozen.inbox);
  b.fill("foo", 3);
  assert.equal(b.heard(frozen), "");
  assert.equal(b.heard(fast), "1 2 3");
  b.congested.clear();
  b.driver.drained();
  b.turn();
  assert.equal(b.heard(frozen), "1 2 3");
});

test("15.6: a durable that went away while its receiver was congested is served again after its resume", () => {
  const b = bench();
  const s = b.subscribe("foo", { durableName: "d" });
  b.congested.add(s.inbox);
  b.fill("foo", 1);
  b.closeSubscription(s);
  const again = b.subscribe("foo", { durableName: "d" });
  assert.equal(b.heard(again), "1");
});

test("15.3: of many long replays none waits until others are at their end", () => {
  const b = bench();
  const data = "x".repeat(100_000);
  for (let i = 0; i < 20; i++) b.publish("foo", data);
  const subscribers = Array.from({ length: 30 }, (_none, i) => {
    const inbox = `_INBOX.replay.${i}`;
    b.post("subscribe", b.subscribeRequest("foo", { startPosition: START_POSITION.FIRST, maxInFlight: 100, inbox }));
    return inbox;
  });
  // Each turn has room for some of them only.
  const began = () => subscribers.filter((inbox) => b.sent.some(({ subject }) => subject === inbox)).length;
  const ended = () =>
    subscribers.filter((inbox) => b.sent.filter(({ subject }) => subject === inbox).length === 20).length;
  let turns = 0;
  for (; began() < subscribers.length; turns++) b.driver.turn();
  assert.ok(turns > 2, `all began in ${turns} turns: nobody had to wait`);
  assert.equal(ended(), 0);
});

test("trap 16 (11.5): nothing is acked or delivered before its flush, and answers leave in order though flushes do not end so", () => {
  const tickets: FlushTicket[] = [];
  const b = bench();
  const s = b.subscribe("foo");
  const { messages } = b.store.channel("foo")!;
  messages.flush = () => {
    const ticket = new FlushTicket();
    tickets.push(ticket);
    return ticket as unknown as Promise<void>;
  };
  const first = b.post("publish", b.publishRequest("foo"));
  b.turn();
  const second = b.post("publish", b.publishRequest("foo"));
  b.turn();
  assert.equal(b.sent.length, 0);
  tickets[1]!.complete();
  b.turn();
  assert.equal(b.sent.length, 0);
  tickets[0]!.complete();
  b.turn();
  assert.deepEqual(b.sent.map(({ subject }) => subject), [s.inbox, first, s.inbox, second]);
});

test("invariant 71 (15.2): a message that cannot be read stops that subscription until its next trigger, and is not lost", () => {
  const b = bench();
  const s = b.subscribe("foo");
  const { messages } = b.store.channel("foo")!;
  const lookup = messages.lookup;
  messages.lookup = () => LOOKUP_FAILED;
  b.fill("foo", 1);
  assert.equal(b.heard(s), "");
  messages.lookup = lookup;
  b.fill("foo", 1);
  assert.equal(b.heard(s), "1 2");
});

test("15.2: a message that is being fetched goes out when the store says so", () => {
  const b = bench();
  const s = b.subscribe("foo");
  const { messages } = b.store.channel("foo")!;
  const lookup = messages.lookup;
  messages.lookup = () => LOOKUP_LATER;
  b.fill("foo", 2);
  assert.equal(b.heard(s), "");
  messages.lookup = lookup;
  messages.onReadable?.();
  assert.ok(b.core.hasWork);
  assert.equal(b.wakes, 1, "no event would come to end the turn");
  b.turn();
  assert.equal(b.heard(s), "1 2");
});

test("invariant 70 (15.2, 21.3): a subscription whose next message is gone goes on with the first that is there", () => {
  const b = bench({ limits: { maxMessages: 3 } });
  const s = b.subscribe("foo", { maxInFlight: 1 });
  b.fill("foo", 6);
  b.ack(s, 1);
  assert.equal(b.heard(s), "1 4");
});

test("invariants 76, 77 (16.5): acks are not cumulative, and one of an unknown sequence changes nothing", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 3);
  b.ack(s, 3, 0, 99, Number.MAX_SAFE_INTEGER);
  b.pass(1010);
  assert.equal(b.heard(s), "1 2 3 1r1 2r1");
});

test("invariant 76 (16.2): garbage and acks of another channel are ignored", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.subscribe("bar");
  b.fill("foo", 1);
  b.fill("bar", 1);
  b.driver.ack(s.ackInbox, bytesOf("dummy"));
  b.postAck(s, 1, "bar");
  b.postAck(s, 1, "unknown");
  b.turn();
  b.pass(1010);
  assert.equal(b.heard(s), "1 1r1");
});

test("16.5: an ack of sequence 0 counts nothing", () => {
  const b = bench();
  const members = ["a", "b"].map(() => b.subscribe("foo", { queueGroup: "g" }));
  b.fill("foo", 2);
  b.ack(members[0]!, 0);
  assert.equal(b.core.counters.acked, 0);
});

test("invariant 75 (16.1): an ack to the ack inbox of another plain subscription does not count", () => {
  const b = bench();
  const [first, second] = [1, 2].map(() => b.subscribe("foo", { ackWaitSecs: 1 }));
  b.fill("foo", 1);
  b.ack(second!, 1);
  b.pass(1010);
  assert.equal(b.heard(first!), "1 1r1");
  assert.equal(b.heard(second!), "1");
});

test("D8: a message whose sending could not be recorded is sent again as a first delivery", () => {
  const b = bench();
  const s = b.subscribe("foo");
  const { subscriptions } = b.store.channel("foo")!;
  const { addPending } = subscriptions;
  subscriptions.addPending = () => false;
  b.fill("foo", 1);
  subscriptions.addPending = addPending;
  b.fill("foo", 1);
  assert.equal(b.heard(s), "1 1 2");
});

test("15.3: what does not fit into a turn follows in the next ones, nothing is left over", () => {
  const b = bench();
  const data = "x".repeat(100_000);
  for (let i = 0; i < 40; i++) b.publish("foo", data);
  const many = [1, 2, 3].map(() => b.subscribe("foo", { startPosition: START_POSITION.FIRST }));
  for (const s of many) assert.equal(b.delivered(s).length, 40);
});

test("tail: a turn delivers less while somebody waits for something small, and nothing is left over in the end", () => {
  const b = bench();
  const data = "x".repeat(100_000);
  for (let i = 0; i < 40; i++) b.publish("foo", data);
  /** The most that eight replays at once get in one turn. */
  const most = (awaited: boolean): number => {
    b.awaited = awaited;
    const inboxes = Array.from({ length: 8 }, (_none, i) => `_INBOX.replay.${awaited}.${i}`);
    for (const inbox of inboxes) {
      b.post("subscribe", b.subscribeRequest("foo", { startPosition: START_POSITION.FIRST, maxInFlight: 100, inbox }));
    }
    let inOneTurn = 0;
    do {
      const before = b.sent.length;
      b.driver.turn();
      const messages = b.sent.slice(before).filter(({ subject }) => inboxes.includes(subject));
      inOneTurn = Math.max(inOneTurn, messages.length);
    } while (b.core.hasWork);
    for (const inbox of inboxes) assert.equal(b.delivered(inbox).length, 40);
    return inOneTurn;
  };
  const usual = most(false);
  const awaited = most(true);
  assert.ok(usual > 20 && awaited >= 5 && awaited < 10, `${usual} and ${awaited} messages`);
});

test("invariant 69 (18.2): every plain subscription gets every message, each group each message once", () => {
  const b = bench();
  const plain = [1, 2].map(() => b.subscribe("foo"));
  const groups = ["g", "h"].map((queueGroup) => [1, 2, 3].map(() => b.subscribe("foo", { queueGroup })));
  b.fill("foo", 9);
  for (const s of plain) assert.equal(b.heard(s), "1 2 3 4 5 6 7 8 9");
  for (const members of groups) {
    const all = members.flatMap((s) => b.delivered(s).map(({ sequence }) => sequence));
    assert.deepEqual(all.sort((x, y) => x - y), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  }
});

test("invariant 91, trap 48, D18 (2.3): while the bus is cut off nothing is sent, and nothing acked comes afterwards", () => {
  // A bus without its server says of every receiver that it takes nothing now, and reports when it is back.
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 2);
  assert.equal(b.heard(s), "1 2");
  b.congested.add(s.inbox);
  b.ack(s, 1);
  b.fill("foo", 1);
  b.pass(5000);
  assert.equal(b.heard(s), "");
  b.congested.clear();
  b.driver.drained();
  b.turn();
  // D18, mended: what could not be sent goes out at once, without waiting for the next publish or ack.
  assert.equal(b.heard(s), "3");
  b.pass(100);
  assert.equal(b.heard(s), "2r1");
});

test("trap 25 (15.1): the flag and the count differ: redeliveries above the limit set no flag, a refused message does", () => {
  const b = bench();
  const group = { queueGroup: "g", ackWaitSecs: 30 };
  const a = b.subscribe("foo", group);
  b.fill("foo", 3);
  const c = b.subscribe("foo", { ...group, maxInFlight: 2 });
  b.closeSubscription(a);
  const [member] = b.core.find("foo")!.groups.get("g")!.members;
  assert.deepEqual([member!.pending.count, member!.stalled], [3, false]);
  b.pass(110);
  assert.equal(b.heard(c), "1r1 2r1 3r1");
  assert.equal(member!.stalled, false);
  b.fill("foo", 1);
  assert.deepEqual([b.heard(c), member!.stalled], ["", true]);
  // At the limit is not below it.
  b.ack(c, 1);
  assert.deepEqual([b.heard(c), member!.stalled], ["", true]);
  b.ack(c, 2);
  assert.equal(b.heard(c), "4");
});

test("trap 26 (15.6): an ack of a subscription that was not stalled looks nothing up", () => {
  const b = bench();
  const roomy = b.subscribe("foo");
  const tight = b.subscribe("foo", { maxInFlight: 2 });
  b.fill("foo", 3);
  const { messages } = b.store.channel("foo")!;
  const lookup = messages.lookup;
  let lookups = 0;
  messages.lookup = (sequence: number, into: MessageView): LookupResult => {
    lookups++;
    return lookup.call(messages, sequence, into);
  };
  b.ack(roomy, 1, 2);
  assert.equal(lookups, 0);
  b.ack(tight, 1);
  assert.equal(lookups, 1);
});

test("trap 30 (15): the flag of a redelivery stays with its subscription, the stored message has none", () => {
  const b = bench();
  const s = b.subscribe("foo", { ackWaitSecs: 1 });
  b.fill("foo", 1);
  const [first] = b.take(s.inbox);
  b.pass(1010);
  const [again] = b.take(s.inbox);
  const late = b.subscribe("foo", { startPosition: START_POSITION.FIRST });
  assert.deepEqual(b.take(late.inbox), [first]);
  assert.deepEqual([...again!], [...first!, 0x30, 1, 0x38, 1]);
});

test("15: the address of an inbox is held from the first delivery to the end of the subscription", () => {
  const b = bench();
  const { size } = b.addresses;
  const idle = b.subscribe("bar");
  const s = b.subscribe("foo", { durableName: "d" });
  const member = b.subscribe("foo", { queueGroup: "g" });
  assert.equal(b.addresses.size, size);
  b.fill("foo", 2);
  b.ack(s, 1, 2);
  assert.deepEqual([...b.addresses].slice(size).map(({ subject }) => subject), [s.inbox, member.inbox]);
  b.askError("closeSubscription", b.leaveRequest(s));
  assert.equal(b.addresses.size, size + 1);
  // The next life of a durable has another inbox.
  const next = b.subscribe("foo", { durableName: "d" });
  b.fill("foo", 1);
  assert.equal(b.heard(next), "3");
  assert.deepEqual([...b.addresses].slice(size).map(({ subject }) => subject), [member.inbox, next.inbox]);
  for (const subscriber of [idle, next, member]) b.unsubscribe(subscriber);
  assert.equal(b.addresses.size, size);
});
