import { test } from "node:test";
import assert from "node:assert/strict";
import { bytesOf } from "../../../src/base/bytes.ts";
import { START_POSITION, type SubscriptionRequest } from "../../../src/wire/stan_control.ts";
import { STAN_ERROR } from "../../../src/wire/stan_errors.ts";
import { FlushTicket } from "../../helpers/core_driver.ts";
import { StreamingBench } from "../../helpers/streaming_bench.ts";

function bench(options: ConstructorParameters<typeof StreamingBench>[0] = {}): StreamingBench {
  const made = new StreamingBench(options);
  made.connect("me");
  return made;
}

test("invariant 51 (12.2): rows 2 to 8 are checked in their order", () => {
  const b = bench();
  const rows: [Partial<SubscriptionRequest>, string][] = [
    [{ clientId: "" }, STAN_ERROR.CLIENT_ID_MISSING],
    [{ ackWaitSecs: 0 }, STAN_ERROR.INVALID_ACK_WAIT],
    [{ maxInFlight: 0 }, STAN_ERROR.INVALID_MAX_IN_FLIGHT],
    [{ startPosition: 5 }, STAN_ERROR.INVALID_START_POSITION],
    [{ channel: "foo.*" }, STAN_ERROR.INVALID_SUBJECT],
    [{ clientId: "stranger" }, STAN_ERROR.UNKNOWN_CLIENT_ID],
    [{ queueGroup: "g", durableName: "a:b" }, STAN_ERROR.INVALID_DURABLE_NAME],
  ];
  for (let i = 0; i < rows.length; i++) {
    assert.equal(b.subscribeError("foo", rows[i]![0]), rows[i]![1]);
    for (let j = i + 1; j < rows.length; j++) {
      assert.equal(b.subscribeError("foo", { ...rows[j]![0], ...rows[i]![0] }), rows[i]![1], `${i} before ${j}`);
    }
  }
});

test("invariant 52 (12.2): other values that are refused", () => {
  const b = bench();
  assert.equal(b.subscribeError("foo", { ackWaitSecs: -1 }), STAN_ERROR.INVALID_ACK_WAIT);
  assert.equal(b.subscribeError("foo", { maxInFlight: -1 }), STAN_ERROR.INVALID_MAX_IN_FLIGHT);
  assert.equal(b.subscribeError("foo", { startPosition: -1 }), STAN_ERROR.INVALID_START_POSITION);
  assert.equal(b.askError("subscribe", bytesOf("dummy")), STAN_ERROR.INVALID_SUBSCRIPTION_REQUEST);
  assert.equal(b.askError("subscribe", new Uint8Array(0)), STAN_ERROR.CLIENT_ID_MISSING);
});

test("invariants 53, 54 (12.2 row 10): a colon is refused in the durable name of a queue member only, and the channel exists then", () => {
  const b = bench();
  assert.equal(b.subscribeError("foo", { queueGroup: "g", durableName: "a:b" }), STAN_ERROR.INVALID_DURABLE_NAME);
  assert.ok(b.core.find("foo") !== undefined);
  b.subscribe("foo", { durableName: "a:b" });
  b.subscribe("foo", { queueGroup: "q:r" });
});

test("12.4: in test mode a negative ack wait counts milliseconds", () => {
  const b = bench({ core: { testNegativeAckWaitMs: true } });
  const s = b.subscribe("foo", { ackWaitSecs: -200 });
  b.fill("foo", 1);
  b.pass(450);
  assert.equal(b.heardAt(s), "1@0 1r1@200 1r2@400");
});

test("D14: an empty delivery inbox is refused", () => {
  assert.equal(bench().subscribeError("foo", { inbox: "" }), STAN_ERROR.INVALID_SUBSCRIPTION_REQUEST);
});

test("invariant 55 (6.1): every response has an ack inbox of its own", () => {
  const b = bench();
  const inboxes = new Set<string>();
  for (let i = 0; i < 20; i++) inboxes.add(b.subscribe("foo").ackInbox);
  assert.equal(inboxes.size, 20);
  for (const inbox of inboxes) assert.match(inbox, /^_INBOX\.[0-9A-Za-z]{22}$/);
});

test("invariant 56, trap 18 (12.1): the response leaves before the first message, also when a publish of the same batch came first", () => {
  const b = bench();
  b.post("publish", b.publishRequest("foo"), "_INBOX.d");
  b.post(
    "subscribe",
    b.subscribeRequest("foo", { inbox: "_INBOX.d", startPosition: START_POSITION.FIRST }),
    "_INBOX.d",
  );
  b.post("publish", b.publishRequest("foo"), "_INBOX.d");
  b.turn();
  // Acks and the response in the order of the requests, then the messages.
  const kinds = b.sent.map(({ payload }) => payload[0] === 0x08 ? "message" : payload[0] === 0x12 ? "response" : "ack");
  assert.deepEqual(kinds, ["ack", "response", "ack", "message", "message"]);
});

test("12.1: a resume that overtakes the flush of the request before it waits for its own response", () => {
  const tickets: FlushTicket[] = [];
  const b = bench();
  b.fill("foo", 1);
  const { subscriptions } = b.store.channel("foo")!;
  subscriptions.flush = () => {
    const ticket = new FlushTicket();
    tickets.push(ticket);
    return ticket as unknown as Promise<void>;
  };
  const request = { durableName: "d", startPosition: START_POSITION.FIRST };
  const first = b.post("subscribe", b.subscribeRequest("foo", { ...request, inbox: "_INBOX.1" }));
  b.turn();
  const left = { clientId: "me", channel: "foo", inbox: "_INBOX.1", ackInbox: "" };
  b.post("closeSubscription", b.leaveRequest(left, "_INBOX.1"));
  const second = b.post("subscribe", b.subscribeRequest("foo", { ...request, inbox: "_INBOX.2" }));
  b.turn();
  tickets[0]!.complete();
  b.turn();
  assert.equal(b.error("subscribe", b.answer(first)), "");
  assert.equal(b.heard("_INBOX.2"), "");
  for (const ticket of tickets) ticket.complete();
  b.turn();
  assert.equal(b.error("subscribe", b.answer(second)), "");
  assert.equal(b.heard("_INBOX.1"), "");
  assert.equal(b.heard("_INBOX.2"), "1");
});

test("invariant 59 (12.5): a refused request leaves nothing behind", () => {
  const b = bench({ limits: { maxSubscriptions: 1 } });
  b.subscribe("foo");
  for (const changes of [{}, { durableName: "d" }, { queueGroup: "g" }]) {
    assert.equal(b.subscribeError("foo", { inbox: "_INBOX.no", ...changes }), STAN_ERROR.TOO_MANY_SUBSCRIPTIONS);
  }
  const channel = b.core.find("foo")!;
  assert.deepEqual([channel.subscriptions.length, channel.durables.size, channel.groups.size], [1, 0, 0]);
  b.fill("foo", 1);
  assert.equal(b.heard("_INBOX.no"), "");
});

const FIVE: [string, Partial<SubscriptionRequest>, string][] = [
  ["new only", { startPosition: START_POSITION.NEW_ONLY }, ""],
  ["last received", { startPosition: START_POSITION.LAST_RECEIVED }, "5"],
  ["delta 0", { startPosition: START_POSITION.TIME_DELTA_START }, ""],
  ["delta 1 h", { startPosition: START_POSITION.TIME_DELTA_START, startTimeDeltaNs: 3_600_000_000_000n }, "1 2 3 4 5"],
  ["delta -1 h", { startPosition: START_POSITION.TIME_DELTA_START, startTimeDeltaNs: -3_600_000_000_000n }, ""],
  ["sequence 0", { startPosition: START_POSITION.SEQUENCE_START }, "1 2 3 4 5"],
  ["sequence 3", { startPosition: START_POSITION.SEQUENCE_START, startSequence: 3 }, "3 4 5"],
  ["sequence 5", { startPosition: START_POSITION.SEQUENCE_START, startSequence: 5 }, "5"],
  ["sequence 6", { startPosition: START_POSITION.SEQUENCE_START, startSequence: 6 }, ""],
  ["sequence 100", { startPosition: START_POSITION.SEQUENCE_START, startSequence: 100 }, ""],
  ["first", { startPosition: START_POSITION.FIRST }, "1 2 3 4 5"],
];

for (const [name, changes, expected] of FIVE) {
  test(`invariant 61, trap 22 (13): with 1 to 5 stored, ${name} gives "${expected}", then 6`, () => {
    const b = bench();
    b.fill("foo", 5);
    b.pass(1000);
    const s = b.subscribe("foo", changes);
    assert.equal(b.heard(s), expected);
    b.fill("foo", 1);
    assert.equal(b.heard(s), "6");
  });

  test(`invariant 62, trap 23 (13): in an empty channel, ${name} receives message 1`, () => {
    const b = bench();
    const s = b.subscribe("foo", changes);
    b.fill("foo", 1);
    assert.equal(b.heard(s), "1");
  });

  test(`invariant 64, traps 23, 24 (13): with everything expired, ${name} receives the next message only`, () => {
    const b = bench({ limits: { maxAgeMs: 500 } });
    b.fill("foo", 5);
    b.pass(1000);
    const s = b.subscribe("foo", changes);
    assert.equal(b.heard(s), "");
    b.fill("foo", 1);
    assert.equal(b.heard(s), "6");
  });
}

test("invariant 63 (13): with 11 to 20 left of 20", () => {
  const b = bench({ limits: { maxMessages: 10 } });
  b.fill("foo", 20);
  const startPosition = START_POSITION.SEQUENCE_START;
  assert.equal(b.heard(b.subscribe("foo", { startPosition, startSequence: 1 })).split(" ")[0], "11");
  assert.equal(b.heard(b.subscribe("foo", { startPosition, startSequence: 14 })).split(" ")[0], "14");
  const late = b.subscribe("foo", { startPosition, startSequence: 21 });
  assert.equal(b.heard(b.subscribe("foo", { startPosition: START_POSITION.FIRST })).split(" ")[0], "11");
  assert.equal(b.heard(late), "");
  b.fill("foo", 1);
  assert.equal(b.heard(late), "21");
});

test("invariant 65 (13): a time between two messages starts at the second", () => {
  const b = bench();
  b.fill("foo", 1);
  b.pass(1500);
  b.fill("foo", 1);
  const startPosition = START_POSITION.TIME_DELTA_START;
  assert.equal(b.heard(b.subscribe("foo", { startPosition, startTimeDeltaNs: 700_000_000n })), "2");
  assert.equal(b.heard(b.subscribe("foo", { startPosition, startTimeDeltaNs: 1_500_000_000n })), "1 2");
});

test("10.5: a sequence beyond 2^53 starts behind the end", () => {
  const b = bench();
  b.fill("foo", 2);
  const startPosition = START_POSITION.SEQUENCE_START;
  const s = b.subscribe("foo", { startPosition, startSequence: Number.MAX_SAFE_INTEGER });
  b.fill("foo", 1);
  assert.equal(b.heard(s), "3");
});

test("invariant 60 (12.6): a burst of 1000 requests is answered in order", () => {
  const b = bench();
  const replies = Array.from({ length: 1000 }, (_, at) => b.post("subscribe", b.subscribeRequest(`c${at % 7}`)));
  b.turn();
  assert.deepEqual(b.sent.map(({ subject }) => subject), replies);
  for (const reply of replies) assert.equal(b.error("subscribe", b.answer(reply)), "");
});

test("trap 21 (12.6): a long backlog is not delivered inside the request: others are answered first, and served meanwhile", () => {
  const b = bench();
  const data = "x".repeat(100_000);
  for (let i = 0; i < 60; i++) b.publish("foo", data);
  b.post("subscribe", b.subscribeRequest("foo", { inbox: "_INBOX.d", startPosition: START_POSITION.FIRST }));
  const reply = b.post("subscribe", b.subscribeRequest("bar", { inbox: "_INBOX.bar" }));
  b.driver.turn();
  assert.equal(b.error("subscribe", b.answer(reply)), "");
  const first = b.delivered("_INBOX.d").length;
  assert.ok(first > 0 && first < 10, `${first} messages in the first turn`);
  b.post("publish", b.publishRequest("bar"));
  b.driver.turn();
  assert.equal(b.heard("_INBOX.bar"), "1");
  b.turn();
  assert.ok(b.delivered("_INBOX.d").length >= 40);
});

test("trap 28 (15.1 step 9): an old message sent for the first time is due one ack wait from now, not from its stamp", () => {
  const b = bench();
  b.fill("foo", 2);
  b.pass(3_600_000);
  const s = b.subscribe("foo", { ackWaitSecs: 1, maxInFlight: 1, startPosition: START_POSITION.FIRST });
  b.pass(500);
  // The timer of message 1 runs on and fires at 1.0, when 2 is half a second old at this subscription.
  b.ack(s, 1);
  b.pass(1010);
  assert.equal(b.heardAt(s), "1@3600000 2@3600500 2r1@3601500");
});
