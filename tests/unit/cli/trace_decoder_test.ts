/** What a trace makes of the messages of a streaming service. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../../../src/base/bytes.ts";
import { eventJson, eventText } from "../../../src/cli/trace.ts";
import { TraceDecoder, type TraceEvent, traceSubjects } from "../../../src/cli/trace_decoder.ts";
import { encodeMessage } from "../../../src/wire/stan_codec.ts";
import {
  encodeCloseRequest,
  encodeConnectRequest,
  encodeConnectResponse,
  encodePing,
  encodePingResponse,
  encodeSubscriptionRequest,
  encodeSubscriptionResponse,
  encodeUnsubscribeRequest,
  START_POSITION,
} from "../../../src/wire/stan_control.ts";

const NOTHING = new Uint8Array(0);

function decoder() {
  const trace = new TraceDecoder("c1", "_STAN.discover");
  let nowMs = 0;
  /** Each message comes 10 ms after the one before. */
  return (subject: string, reply: string, payload: Uint8Array): TraceEvent | undefined =>
    trace.read(subject, reply, payload, nowMs += 10);
}

const connect = encodeConnectRequest({ clientId: "me", heartbeatInbox: "_INBOX.hb", protocol: 1, connectionId: "k" });
const subscribe = encodeSubscriptionRequest({
  clientId: "me",
  channel: "orders",
  inbox: "_INBOX.in",
  maxInFlight: 5,
  ackWaitSecs: 30,
  durableName: "d",
  startPosition: START_POSITION.FIRST,
});
const pubMsg = encodeMessage("PubMsg", { clientId: "me", guid: "g1", channel: "orders", data: bytesOf("hello") });
const delivery = (more: object = {}) =>
  encodeMessage("MsgProto", {
    sequence: 3,
    channel: "orders",
    data: bytesOf("hello"),
    timestampNs: 1n << 60n,
    ...more,
  });
const ack = encodeMessage("Ack", { channel: "orders", sequence: 3 });

test("protocol 7: a connect and its answer, with the time between them", () => {
  const read = decoder();
  assert.deepEqual(read("_STAN.discover.c1", "_INBOX.r", connect), {
    kind: "connect",
    client: "me",
    channel: "",
    detail: "protocol 1",
  });
  assert.deepEqual(read("_INBOX.r", "", encodeConnectResponse({ pubPrefix: "p" })), {
    kind: "connected",
    client: "me",
    channel: "",
    answers: "connect",
    roundTripMs: 10,
  });
  read("_STAN.discover.c1", "_INBOX.r", connect);
  const refused = read("_INBOX.r", "", encodeConnectResponse({ error: "stan: clientID already registered" }));
  assert.deepEqual([refused?.kind, refused?.error], ["refused", "stan: clientID already registered"]);
});

test("protocol 11: a publish and its ack belong together by guid, whoever else publishes", () => {
  const read = decoder();
  const published = read("_STAN.pub.c1.orders", "_STAN.acks.x", pubMsg);
  assert.deepEqual([published?.kind, published?.client, published?.channel, published?.guid, published?.data?.length], [
    "publish",
    "me",
    "orders",
    "g1",
    5,
  ]);
  assert.equal(read("_STAN.acks.x", "", encodeMessage("PubAck", { guid: "other" })), undefined);
  const stored = read("_STAN.acks.x", "", encodeMessage("PubAck", { guid: "g1" }));
  assert.deepEqual([stored?.kind, stored?.client, stored?.channel, stored?.roundTripMs], [
    "stored",
    "me",
    "orders",
    20,
  ]);
  read("_STAN.pub.c1.orders", "_INBOX.acks", pubMsg);
  const refused = read("_INBOX.acks", "", encodeMessage("PubAck", { guid: "g1", error: "stan: no" }));
  assert.deepEqual([refused?.kind, refused?.error], ["refused", "stan: no"]);
});

test("protocol 12, 15, 16: subscription, deliveries and acks are known by their inboxes", () => {
  const read = decoder();
  const asked = read("_STAN.sub.c1", "_INBOX.r", subscribe);
  assert.equal(asked?.detail, 'durable "d", from the first message, 5 in flight, ack wait 30 s');
  const answer = read("_INBOX.r", "", encodeSubscriptionResponse({ ackInbox: "_INBOX.ack" }));
  assert.deepEqual([answer?.kind, answer?.channel, answer?.roundTripMs], ["subscribed", "orders", 10]);
  const delivered = read("_INBOX.in", "", delivery({ redelivered: true, redeliveryCount: 2 }));
  assert.deepEqual([delivered?.kind, delivered?.client, delivered?.sequence, delivered?.detail], [
    "deliver",
    "me",
    3,
    "redelivery 2",
  ]);
  const acked = read("_INBOX.ack", "", ack);
  assert.deepEqual(acked, { kind: "ack", client: "me", channel: "orders", sequence: 3, roundTripMs: 10 });
});

test("protocol 8, 9, 20: the ends, heartbeats and pings", () => {
  const read = decoder();
  read("_STAN.discover.c1", "_INBOX.r", connect);
  const end = encodeUnsubscribeRequest({ clientId: "me", channel: "orders", inbox: "x" });
  assert.equal(read("_STAN.unsub.c1", "_INBOX.1", end)?.kind, "unsubscribe");
  assert.deepEqual(read("_INBOX.1", "", encodeSubscriptionResponse({})), {
    kind: "done",
    client: "me",
    channel: "orders",
    answers: "unsubscribe",
    roundTripMs: 10,
  });
  assert.equal(read("_STAN.subclose.c1", "_INBOX.2", end)?.kind, "sub close");
  const refused = read("_INBOX.2", "", encodeSubscriptionResponse({ error: "stan: no" }));
  assert.deepEqual([refused?.kind, refused?.error], ["refused", "stan: no"]);
  assert.equal(read("_STAN.discover.c1.pings", "_INBOX.3", encodePing({ connectionId: "k" }))?.client, "me");
  assert.equal(read("_INBOX.3", "", encodePingResponse({ error: "client has been replaced" }))?.kind, "refused");
  assert.equal(read("_INBOX.hb", "_INBOX.4", NOTHING)?.kind, "heartbeat");
  assert.deepEqual(read("_INBOX.4", "", NOTHING)?.answers, "heartbeat");
  assert.equal(read("_STAN.close.c1", "_INBOX.5", encodeCloseRequest({ clientId: "me" }))?.kind, "close");
  assert.equal(read("_INBOX.5", "", NOTHING)?.answers, "close");
});

test("what began before the trace is told by its form, what is of others is left out", () => {
  const read = decoder();
  assert.deepEqual([read("_INBOX.z", "", delivery())?.kind, read("_INBOX.y", "", ack)?.kind], ["deliver", "ack"]);
  assert.equal(read("_INBOX.z", "", bytesOf("hello")), undefined);
  assert.equal(read("_INBOX.z", "", NOTHING), undefined);
  assert.equal(read("_STAN.sub.c2", "_INBOX.r", subscribe), undefined, "another cluster");
  assert.equal(read("_STAN.sub.c1", "_INBOX.r", Uint8Array.of(0xff)), undefined, "no request");
  assert.equal(read("_INBOX.z", "", delivery({ timestampNs: 0n })), undefined);
});

test("a trace listens to one cluster, and to no message twice", () => {
  assert.deepEqual(traceSubjects("c1", "_STAN.discover", "_INBOX"), [
    "_STAN.*.c1",
    "_STAN.*.c1.>",
    "_STAN.acks.>",
    "_INBOX.>",
  ]);
  assert.deepEqual(traceSubjects("c1", "my.disc", "in").slice(0, 2), ["my.disc.c1", "my.disc.c1.pings"]);
});

test("an event is one line, and shows its payload only when asked", () => {
  const event: TraceEvent = {
    kind: "deliver",
    client: "me",
    channel: "orders",
    sequence: 3,
    data: bytesOf("a\nb"),
    roundTripMs: 1.5,
  };
  const time = "2026-02-25T06:13:20.123456789Z";
  assert.equal(
    eventText(event, time, true, false),
    "06:13:20.123456  deliver      client me  channel orders  #3  3 B  after 1.50 ms  a\\nb\n",
  );
  assert.ok(!eventText(event, time, false, false).includes("a\\nb"));
  assert.deepEqual(eventJson(event, time, false), {
    time,
    kind: "deliver",
    client: "me",
    channel: "orders",
    sequence: 3,
    round_trip_ms: 1.5,
    bytes: 3,
  });
  assert.equal(eventJson(event, time, true)["data"], "a\nb");
});
