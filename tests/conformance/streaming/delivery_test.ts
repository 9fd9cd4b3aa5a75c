/** Publishing, subscribing and ending as clients see them (streaming-protocol.md 11, 12, 20, 26). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeCloseRequest, encodeUnsubscribeRequest, START_POSITION } from "../../../src/wire/stan_control.ts";
import { encodeMessage } from "../../../src/wire/stan_codec.ts";
import { decode, openWire, publishRequest, subscribeRequest } from "./wire_support.ts";

const PUB = "_STAN.pub.test-cluster.foo";
const SUB = "_STAN.sub.test-cluster";

test("invariant 2, trap 2 (3.1): a first delivery on foo has payload + 19 bytes, 17 without payload", async () => {
  const wire = await openWire();
  const client = wire.client();
  client.connectStan("me");
  client.subscribeStan("foo", "in", { ackWaitSecs: 1 });
  for (const length of [0, 1, 2, 64, 127]) {
    assert.equal(client.publishStan("foo", "x".repeat(length)), "");
    const [message] = client.take("in");
    assert.equal(message!.payload.length, length === 0 ? 17 : length + 19);
  }
});

test("invariant 40, trap 12 (11.3): the channel is that of the payload, whatever the subject ends in", async () => {
  const wire = await openWire();
  const client = wire.client();
  client.connectStan("me");
  const answer = client.ask("_STAN.pub.test-cluster.elsewhere", publishRequest("foo"))!;
  assert.equal(decode("PubAck", answer.payload).error, "");
  assert.ok(wire.server.core!.find("foo") !== undefined);
  assert.equal(wire.server.core!.find("elsewhere"), undefined);
});

test("invariants 44, 45 (11.7): acks come in publish order, behind the deliveries of their batch", async () => {
  const client = (await openWire()).client();
  client.connectStan("me");
  client.subscribeStan("foo", "in");
  // Subscription and acks at one inbox, as [O] was observed; three publishes in one read.
  client.subscribe("in2");
  const requests = ["a", "b", "c"].map((guid) => publishRequest("foo", "", { guid }));
  for (const request of requests) client.post(PUB, request, "in2");
  client.send("PING\r\n");
  const seen = client.messages.splice(0).map(({ subject, payload }) =>
    subject === "in" ? payload[1] : decode("PubAck", payload).guid
  );
  assert.deepEqual(seen, [1, 2, 3, "a", "b", "c"]);
});

test("invariant 46, trap 45, D16 (11.10): 2000 publishes and a close in one breath: all are acked and stored", async () => {
  const wire = await openWire();
  const client = wire.client();
  client.connectStan("me");
  client.subscribe("acks");
  client.subscribe("closed");
  for (let i = 0; i < 2000; i++) client.post(PUB, publishRequest("foo", "", { guid: `g${i}` }), "acks");
  client.post("_STAN.close.test-cluster", encodeCloseRequest({ clientId: "me" }), "closed");
  client.post(PUB, publishRequest("foo", "", { guid: "late" }), "acks");
  client.send("PING\r\n");
  assert.deepEqual(client.take("closed").map(({ payload }) => payload.length), [0]);
  const acks = client.take("acks").map(({ payload }) => decode("PubAck", payload));
  const late = acks.filter(({ guid }) => guid === "late");
  assert.equal(late[0]?.error, "stan: invalid publish request");
  const good = acks.filter(({ guid }) => guid !== "late");
  assert.deepEqual(good.map(({ guid, error }) => `${String(guid)}${String(error)}`), good.map((_, i) => `g${i}`));
  assert.equal(good.length, 2000);
  assert.equal(wire.server.core!.find("foo")!.messages.lastSequence, 2000);
});

test("trap 20 (16.2): an ack to the old inbox does not count, though it comes in the batch that ends and resumes the durable", async () => {
  const client = (await openWire()).client();
  client.connectStan("me");
  const durable = { durableName: "D", clientId: "me" };
  const ackInbox = client.subscribeStan("foo", "in", durable);
  client.publishStan("foo");
  assert.equal(client.heard("in"), "1");
  const leave = encodeUnsubscribeRequest({ clientId: "me", channel: "foo", inbox: ackInbox });
  client.subscribe("again");
  client.post("_STAN.subclose.test-cluster", leave);
  client.post(SUB, subscribeRequest("foo", "again", durable));
  client.post(ackInbox, encodeMessage("Ack", { channel: "foo", sequence: 1 }));
  client.send("PING\r\n");
  assert.equal(client.heard("again"), "1r1");
});

test("invariant 49 (11.6): io_batch_size 0 and 1 are accepted and everything works", async () => {
  for (const size of [0, 1]) {
    const wire = await openWire((draft) => draft.ioBatchSize = size);
    const client = wire.client();
    client.connectStan("me");
    client.subscribeStan("foo", "in");
    for (let i = 0; i < 3; i++) client.post(PUB, publishRequest("foo"));
    client.send("PING\r\n");
    assert.equal(client.heard("in"), "1 2 3");
  }
});

test("invariant 56, trap 18 (12.1): the response precedes the first message, for every kind, with racing publishes", async () => {
  const kinds = [{}, { durableName: "D" }, { queueGroup: "g" }, { queueGroup: "g", durableName: "D" }];
  for (const kind of kinds) {
    const client = (await openWire()).client();
    client.connectStan("me");
    client.subscribe("in");
    const request = subscribeRequest("foo", "in", { ...kind, startPosition: START_POSITION.FIRST });
    client.post(PUB, publishRequest("foo"));
    client.post(SUB, request, "in");
    client.post(PUB, publishRequest("foo"));
    client.send("PING\r\n");
    const kindsSeen = client.take("in").map(({ payload }) => payload[0] === 0x12 ? "response" : "message");
    assert.deepEqual(kindsSeen, ["response", "message", "message"]);
  }
});

test("invariant 57, trap 19 (12.1): an ack that follows the first message at once counts", async () => {
  const wire = await openWire();
  const client = wire.client();
  client.connectStan("me");
  assert.equal(client.publishStan("foo"), "");
  client.subscribe("in");
  client.subscribe("answer");
  const request = subscribeRequest("foo", "in", { startPosition: START_POSITION.FIRST, ackWaitSecs: 1 });
  client.publish(SUB, request, "answer");
  // The bytes of response and message are in one read; the ack is in the next.
  const [response] = client.take("answer");
  assert.equal(client.heard("in"), "1");
  const ackInbox = String(decode("SubscriptionResponse", response!.payload).ackInbox);
  client.publish(ackInbox, encodeMessage("Ack", { channel: "foo", sequence: 1 }));
  wire.pass(3000);
  assert.equal(client.heard("in"), "");
});

test("invariant 74 (20.4): no message comes behind the response to a close of its subscription", async () => {
  const client = (await openWire()).client();
  client.connectStan("me");
  const ackInbox = client.subscribeStan("foo", "in");
  client.subscribe("in2");
  const close = encodeUnsubscribeRequest({ clientId: "me", channel: "foo", inbox: ackInbox });
  for (let i = 0; i < 5; i++) client.post(PUB, publishRequest("foo"));
  client.post("_STAN.subclose.test-cluster", close, "in2");
  for (let i = 0; i < 5; i++) client.post(PUB, publishRequest("foo"));
  client.send("PING\r\n");
  assert.equal(client.publishStan("foo"), "");
  const order = client.messages.map(({ subject }) => subject).filter((subject) =>
    subject === "in" || subject === "in2"
  );
  assert.equal(order.at(-1), "in2", order.join());
});

test("invariant 125 (3.4): successful close, sub close, unsubscribe and ping answers have length 0, and no 503", async () => {
  const client = (await openWire()).client();
  client.connectStan("me");
  for (const subject of ["_STAN.unsub.test-cluster", "_STAN.subclose.test-cluster"]) {
    const inbox = client.subscribeStan("foo", "in");
    const answer = client.ask(subject, encodeUnsubscribeRequest({ clientId: "me", channel: "foo", inbox }))!;
    assert.deepEqual([answer.payload.length, answer.headers], [0, ""]);
  }
  const ping = client.ask("_STAN.discover.test-cluster.pings", encodeMessage("Ping", { connectionId: "conn-me" }))!;
  assert.deepEqual([ping.payload.length, ping.headers], [0, ""]);
  const closed = client.ask("_STAN.close.test-cluster", encodeCloseRequest({ clientId: "me" }))!;
  assert.deepEqual([closed.payload.length, closed.headers], [0, ""]);
});

test("invariant 129 (21.1): channel entries override the global limits up, down and to unlimited, along the patterns", async () => {
  const wire = await openWire((draft) => {
    draft.limits = {
      ...draft.limits,
      maxMessages: 2,
      perChannel: [
        { pattern: "more.>", maxMessages: 4 },
        { pattern: "more.less.*", maxMessages: 1 },
        // Negative in memory: unlimited (0 in a file).
        { pattern: "more.less.all", maxMessages: -1 },
        { pattern: "subs", maxSubscriptions: 1 },
      ],
    };
  });
  const client = wire.client();
  client.connectStan("me");
  const kept = (channel: string) => {
    for (let i = 0; i < 6; i++) assert.equal(client.publishStan(channel), "");
    return wire.server.core!.find(channel)!.messages.messageCount;
  };
  assert.deepEqual(["plain", "more.a", "more.less.a", "more.less.all", "subs"].map(kept), [2, 4, 1, 6, 2]);
  client.subscribeStan("subs", "in");
  const answer = client.ask(SUB, subscribeRequest("subs", "in2"))!;
  assert.equal(decode("SubscriptionResponse", answer.payload).error, "too many subscriptions per channel");
});

test("trap 58 (8.3): a large backlog does not keep heartbeats waiting", async () => {
  const wire = await openWire((draft) => draft.heartbeat = { intervalMs: 1000, timeoutMs: 500, failCount: 0 });
  const client = wire.client();
  client.connectStan("me");
  const data = "x".repeat(500_000);
  for (let i = 0; i < 16; i++) assert.equal(client.publishStan("foo", data), "");
  // Eight megabytes for a connection that does not read: only a part of them stands in front of its heartbeats.
  const slow = wire.client();
  slow.connectStan("slow");
  slow.subscribe("in");
  slow.frozen = true;
  slow.post(SUB, subscribeRequest("foo", "in", { clientId: "slow", startPosition: START_POSITION.FIRST }));
  wire.pass(900);
  assert.ok(slow.pendingBytes > 0 && slow.pendingBytes < 3_000_000, `${slow.pendingBytes} bytes`);
  slow.frozen = false;
  wire.pass(3000);
  assert.equal(slow.take("in").length, 16);
  // No heartbeat was missed: with a fail count of 0 it would be gone.
  assert.equal(wire.server.core!.clients.count, 2);
});
