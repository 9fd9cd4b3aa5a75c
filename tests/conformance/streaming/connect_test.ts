/** Connecting, heartbeats and pings as clients see them: bytes, subjects, times (streaming-protocol.md 3, 7, 8, 9). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../../../src/base/bytes.ts";
import { encodeCloseRequest, encodePing } from "../../../src/wire/stan_control.ts";
import { STAN_ERROR } from "../../../src/wire/stan_errors.ts";
import { encodeMessage } from "../../../src/wire/stan_codec.ts";
import {
  connectRequest,
  decode,
  fieldNumbers,
  openWire,
  publishRequest,
  subscribeRequest,
  Wire,
  type WireClient,
} from "./wire_support.ts";

const PINGS = "_STAN.discover.test-cluster.pings";
const NOTHING = new Uint8Array(0);
/** Subject and kind of answer of every request, in the order of invariants 4 and 5. */
const REQUESTS = [
  ["_STAN.discover.test-cluster", "ConnectResponse"],
  ["_STAN.pub.test-cluster.foo", "PubAck"],
  ["_STAN.sub.test-cluster", "SubscriptionResponse"],
  ["_STAN.unsub.test-cluster", "SubscriptionResponse"],
  ["_STAN.subclose.test-cluster", "SubscriptionResponse"],
  ["_STAN.close.test-cluster", "CloseResponse"],
] as const;

function errors(client: WireClient, payload: Uint8Array): unknown[] {
  return REQUESTS.map(([subject, name]) => {
    const answer = client.ask(subject, payload);
    assert.ok(answer !== undefined, `no answer on ${subject}`);
    assert.deepEqual(fieldNumbers(answer.payload).length, 1, "an error and nothing else");
    return decode(name, answer.payload).error;
  });
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

const SUBJECT_FIELDS = [
  "0a165f5354414e2e7075622e746573742d636c7573746572",
  "12165f5354414e2e7375622e746573742d636c7573746572",
  "1a185f5354414e2e756e7375622e746573742d636c7573746572",
  "22185f5354414e2e636c6f73652e746573742d636c7573746572",
  "321b5f5354414e2e737562636c6f73652e746573742d636c7573746572",
].join("");
const PINGS_FIELD = "3a215f5354414e2e646973636f7665722e746573742d636c75737465722e70696e6773";

test("invariant 1 (3.4): the server's own answers are the golden vectors, byte for byte", async () => {
  const wire = await openWire();
  const client = wire.client();
  const old = client.ask(wire.discover, connectRequest("old", { protocol: 0, connectionId: "" }))!;
  assert.equal(hex(old.payload), `${SUBJECT_FIELDS}5001`);
  const now = client.ask(wire.discover, connectRequest("now", { pingIntervalSecs: 5, pingMaxOut: 88 }))!;
  assert.equal(hex(now.payload), `${SUBJECT_FIELDS}${PINGS_FIELD}400548585001`);
  const refused = client.ask(wire.discover, bytesOf("dummy"))!;
  assert.equal(hex(refused.payload), "2a207374616e3a20696e76616c696420636f6e6e656374696f6e2072657175657374");
  const ack = client.ask("_STAN.pub.test-cluster.foo", publishRequest("foo", "hi", { connectionId: "conn-now" }))!;
  assert.equal(hex(ack.payload), `0a04${hex(bytesOf("guid"))}`);
  const noAck = client.ask("_STAN.pub.test-cluster.foo", publishRequest("foo", "", { guid: "G", connectionId: "x" }))!;
  assert.equal(hex(noAck.payload), "0a0147121d7374616e3a20696e76616c6964207075626c6973682072657175657374");
  const closed = client.ask("_STAN.close.test-cluster", encodeCloseRequest({ clientId: "nobody" }))!;
  assert.equal(hex(closed.payload), "0a167374616e3a20756e6b6e6f776e20636c69656e744944");
  const ping = client.ask(PINGS, encodePing({ connectionId: "nobody" }))!;
  const text = "636c69656e7420686173206265656e207265706c61636564206f72206973206e6f206c6f6e6765722072656769737465726564";
  assert.equal(hex(ping.payload), `0a33${text}`);
  const subscribed = client.ask("_STAN.sub.test-cluster", subscribeRequest("foo", "in", { clientId: "now" }))!;
  assert.deepEqual([...subscribed.payload.subarray(0, 2)], [0x12, 0x1d]);
  assert.match(Buffer.from(subscribed.payload.subarray(2)).toString("latin1"), /^_INBOX\.[0-9A-Za-z]{22}$/);
});

test("invariant 4, trap 1 (3.3): `dummy` is refused on every subject with its own text", async () => {
  const client = (await openWire()).client();
  assert.deepEqual(errors(client, bytesOf("dummy")), [
    STAN_ERROR.INVALID_CONNECTION_REQUEST,
    STAN_ERROR.INVALID_PUBLISH_REQUEST,
    STAN_ERROR.INVALID_SUBSCRIPTION_REQUEST,
    STAN_ERROR.INVALID_UNSUBSCRIBE_REQUEST,
    STAN_ERROR.INVALID_UNSUBSCRIBE_REQUEST,
    STAN_ERROR.INVALID_CLOSE_REQUEST,
  ]);
});

test("invariant 5 (11.1, 12.2, 20.1): an empty payload is a request without fields", async () => {
  const client = (await openWire()).client();
  assert.deepEqual(errors(client, NOTHING), [
    STAN_ERROR.INVALID_CONNECTION_REQUEST,
    STAN_ERROR.INVALID_PUBLISH_REQUEST,
    STAN_ERROR.CLIENT_ID_MISSING,
    STAN_ERROR.UNKNOWN_CHANNEL,
    STAN_ERROR.UNKNOWN_CHANNEL,
    STAN_ERROR.UNKNOWN_CLIENT_ID,
  ]);
});

test("invariant 6, trap 6 (9.2): an empty or broken ping is not answered, not even with 503", async () => {
  const client = (await openWire()).client();
  assert.equal(client.ask(PINGS, bytesOf("dummy")), undefined);
  assert.equal(client.ask(PINGS, NOTHING), undefined);
});

test("invariant 7 (11.1): a control message on a publish subject is not answered, what is neither is refused", async () => {
  const client = (await openWire()).client();
  assert.equal(client.ask("_STAN.pub.test-cluster.a", Uint8Array.of(0x08, 0x01, 0x12, 0x01, 0x61)), undefined);
  const answer = client.ask("_STAN.pub.test-cluster.a", Uint8Array.of(0x22, 0x01, 0x61))!;
  assert.equal(decode("PubAck", answer.payload).error, STAN_ERROR.INVALID_PUBLISH_REQUEST);
});

test("invariant 8 (3.3): an unknown field 99 is ignored in every request", async () => {
  const wire = await openWire();
  const client = wire.client();
  client.connectStan("me");
  // Field 99 with each wire type that can be skipped: varint, 8 bytes, length, 4 bytes.
  const extras = ["9806 01", "9906 0102030405060708", "9a06 03616263", "9d06 01020304"]
    .map((text) => Buffer.from(text.replace(" ", ""), "hex"));
  for (const [at, extra] of extras.entries()) {
    const add = (payload: Uint8Array) => Uint8Array.from([...extra, ...payload, ...extra]);
    const id = `c${at}`;
    const connect = client.ask(wire.discover, add(connectRequest(id)))!;
    assert.equal(decode("ConnectResponse", connect.payload).error, "");
    const published = client.ask("_STAN.pub.test-cluster.foo", add(publishRequest("foo", "x")))!;
    assert.equal(decode("PubAck", published.payload).error, "");
    const subscribed = client.ask("_STAN.sub.test-cluster", add(subscribeRequest("foo", `in${at}`)))!;
    const { ackInbox } = decode("SubscriptionResponse", subscribed.payload);
    assert.match(String(ackInbox), /^_INBOX\./);
    const leave = encodeMessage("UnsubscribeRequest", { clientId: "me", channel: "foo", inbox: ackInbox });
    assert.equal(client.ask("_STAN.subclose.test-cluster", add(leave))?.payload.length, 0);
    assert.equal(client.ask(PINGS, add(encodePing({ connectionId: "conn-me" })))?.payload.length, 0);
    assert.equal(client.ask("_STAN.close.test-cluster", add(encodeCloseRequest({ clientId: id })))?.payload.length, 0);
  }
});

test("invariant 9, trap 1 (3.3): a known field with another wire type does not decode", async () => {
  const client = (await openWire()).client();
  client.connectStan("me");
  // maxInFlight (field 5) as a length-delimited field.
  const payload = Uint8Array.from([...subscribeRequest("foo", "in", { maxInFlight: 0 }), 0x2a, 0x01, 0x10]);
  const answer = client.ask("_STAN.sub.test-cluster", payload)!;
  assert.equal(decode("SubscriptionResponse", answer.payload).error, STAN_ERROR.INVALID_SUBSCRIPTION_REQUEST);
});

test("invariant 10 (3.2, 7.4): a ping interval of -50 is echoed as the ten-byte varint", async () => {
  const wire = await openWire();
  const answer = wire.client().ask(wire.discover, connectRequest("me", { pingIntervalSecs: -50 }))!;
  assert.ok(hex(answer.payload).includes("40ceffffffffffffffff01"), hex(answer.payload));
});

test("invariants 11, 12, 13 (7.3): the fields of a connect response, by protocol", async () => {
  const wire = await openWire();
  const client = wire.client();
  const fields = (id: string, changes: Parameters<typeof connectRequest>[1]) => {
    const answer = client.ask(wire.discover, connectRequest(id, changes))!;
    assert.equal(decode("ConnectResponse", answer.payload).protocol, 1);
    return fieldNumbers(answer.payload);
  };
  assert.deepEqual(fields("zero", { protocol: 0 }), [1, 2, 3, 4, 6, 10]);
  assert.deepEqual(fields("one", { protocol: 1 }), [1, 2, 3, 4, 6, 7, 8, 9, 10]);
  assert.deepEqual(fields("quiet", { protocol: 1, pingIntervalSecs: 0, pingMaxOut: 0 }), [1, 2, 3, 4, 6, 7, 10]);
  assert.deepEqual(fields("seven", { protocol: 7 }), [1, 2, 3, 4, 6, 7, 8, 9, 10]);
});

test("invariant 17 (7.6): a client ID whose holder answers is refused within 100 ms", async () => {
  const wire = await openWire();
  wire.client().connectStan("me");
  const second = wire.client();
  const startMs = wire.nowMs;
  const answer = second.ask(wire.discover, connectRequest("me", { heartbeatInbox: "_INBOX.other" }))!;
  assert.equal(decode("ConnectResponse", answer.payload).error, STAN_ERROR.CLIENT_ID_REGISTERED);
  assert.ok(wire.nowMs - startMs <= 100);
});

test("invariants 18, 20, traps 7, 8 (7.6): a silent holder is replaced after half a second, nobody else waits", async () => {
  const wire = await openWire();
  const first = wire.client();
  first.connectStan("me");
  first.answering.clear();
  const second = wire.client();
  second.subscribe("answer");
  const startMs = wire.nowMs;
  second.publish(wire.discover, connectRequest("me", { connectionId: "new" }), "answer");
  wire.pass(20);
  const third = wire.client();
  const refused = third.ask(wire.discover, connectRequest("me", { connectionId: "third" }))!;
  assert.equal(decode("ConnectResponse", refused.payload).error, STAN_ERROR.CLIENT_ID_REGISTERED);
  third.connectStan("other");
  assert.ok(wire.nowMs - startMs <= 50);
  wire.pass(1000);
  const [answer] = second.take("answer");
  assert.equal(decode("ConnectResponse", answer!.payload).error, "");
  const tookMs = answer!.atMs - startMs;
  // The bound of the client's own connect timeout is 2 s.
  assert.ok(tookMs >= 450 && tookMs <= 600, `${tookMs} ms`);
});

test("invariant 19, trap 9 (7.6): with nobody at the old inbox the replacement is immediate", async () => {
  const wire = await openWire();
  const first = wire.client();
  first.connectStan("me");
  first.break();
  const startMs = wire.nowMs;
  wire.client().connectStan("me", { connectionId: "new", heartbeatInbox: "_INBOX.hb.new" });
  assert.ok(wire.nowMs - startMs <= 100);
});

test("invariant 23 (7.5): a connect without reply subject registers", async () => {
  const wire = await openWire();
  const client = wire.client();
  client.publish(wire.discover, connectRequest("me"));
  assert.equal(client.publishStan("foo"), "");
});

test("invariant 25 (8.2): heartbeats are empty, one interval after the connect and then one per interval", async () => {
  const wire = await openWire((draft) => draft.heartbeat.intervalMs = 1000);
  const client = wire.client();
  client.connectStan("me");
  const startMs = wire.nowMs;
  wire.pass(3500);
  const beats = client.take("_INBOX.hb.me");
  assert.deepEqual(beats.map(({ payload }) => payload.length), [0, 0, 0]);
  assert.ok(beats.every(({ reply }) => reply !== ""));
  for (const [at, { atMs }] of beats.entries()) {
    const lateMs = atMs - startMs - (at + 1) * 1000;
    assert.ok(lateMs >= 0 && lateMs <= 20 * (at + 1), `${lateMs} ms late`);
  }
  // Any answer counts, whatever it holds.
  client.answering.clear();
  wire.pass(1000);
  const [beat] = client.take("_INBOX.hb.me");
  client.publish(beat!.reply, bytesOf("something"));
  assert.equal(wire.server.core!.clients.byId.get("me")!.failedHeartbeats, 0);
});

test("invariants 26, 32, trap 10 (8.4): a silent client, and one whose connection is gone, are closed in their time", async () => {
  const wire = await openWire((draft) => draft.heartbeat = { intervalMs: 1000, timeoutMs: 500, failCount: 2 });
  const silent = wire.client();
  const gone = wire.client();
  silent.connectStan("silent");
  gone.connectStan("gone");
  gone.subscribeStan("foo", "in", { clientId: "gone", durableName: "D" });
  silent.answering.clear();
  gone.break();
  const startMs = wire.nowMs;
  const closedMs = new Map<string, number>();
  while (closedMs.size < 2) {
    wire.pass(10);
    for (const id of ["silent", "gone"]) {
      if (!closedMs.has(id) && !wire.server.core!.clients.byId.has(id)) closedMs.set(id, wire.nowMs - startMs);
    }
    assert.ok(wire.nowMs - startMs < 10_000, "not closed");
  }
  assert.ok(Math.abs(closedMs.get("silent")! - 4500) <= 300, `silent: ${closedMs.get("silent")} ms`);
  assert.ok(Math.abs(closedMs.get("gone")! - 3000) <= 300, `gone: ${closedMs.get("gone")} ms`);
  // Its durable can be resumed.
  const back = wire.client();
  back.connectStan("gone");
  back.subscribeStan("foo", "again", { clientId: "gone", durableName: "D" });
});

test("invariant 28 (8.6): a ping of a client with failed heartbeats brings a heartbeat within 50 ms", async () => {
  const wire = await openWire((draft) => draft.heartbeat = { intervalMs: 1000, timeoutMs: 500, failCount: 5 });
  const client = wire.client();
  client.connectStan("me");
  client.answering.clear();
  wire.pass(1600);
  client.take("_INBOX.hb.me");
  const startMs = wire.nowMs;
  assert.equal(client.ask(PINGS, encodePing({ connectionId: "conn-me" }))?.payload.length, 0);
  wire.pass(50);
  const [beat] = client.take("_INBOX.hb.me");
  assert.ok(beat !== undefined && beat.atMs - startMs <= 50);
});

test("invariant 31 (8.7): requests are served while a heartbeat is outstanding", async () => {
  const wire = await openWire((draft) => draft.heartbeat.intervalMs = 1000);
  const client = wire.client();
  client.connectStan("me");
  client.answering.clear();
  wire.pass(1100);
  assert.equal(client.take("_INBOX.hb.me").length, 1);
  client.subscribeStan("foo", "in");
  assert.equal(client.publishStan("foo"), "");
  assert.equal(client.heard("in"), "1");
});

test("invariant 138 (23.1): a new server with an empty memory knows nobody: refusal, replaced, unknown", async () => {
  const before = await openWire();
  before.client().connectStan("me");
  await before.server.stop();
  const client = (await openWire()).client();
  assert.equal(client.publishStan("foo"), STAN_ERROR.INVALID_PUBLISH_REQUEST);
  const ping = client.ask(PINGS, encodePing({ connectionId: "conn-me" }))!;
  assert.equal(decode("PingResponse", ping.payload).error, STAN_ERROR.CLIENT_REPLACED);
  const close = client.ask("_STAN.close.test-cluster", encodeCloseRequest({ clientId: "me" }))!;
  assert.equal(decode("CloseResponse", close.payload).error, STAN_ERROR.UNKNOWN_CLIENT_ID);
});

test("trap 52 (29.3): the port is opened when the service has subscribed, so who gets in is served", async () => {
  const wire = new Wire(() => {});
  const { network } = wire.runtime;
  const listen = network.listen.bind(network);
  let receivers = -1;
  network.listen = (options, accept) => {
    const { router } = wire.server.nats;
    receivers = router.send(router.destination(wire.discover), NOTHING, 0, 0, NOTHING, 0);
    return listen(options, accept);
  };
  await wire.server.start();
  assert.equal(receivers, 1);
  wire.client().connectStan("me");
});

test("7.6, runtime 1.4: who answers while the server stands still keeps its client ID, whatever else arrives first", async () => {
  const wire = await openWire();
  const [held, rival, other] = [wire.client(), wire.client(), wire.client()];
  held.connectStan("wanted");
  other.connectStan("me");
  held.answering.clear();
  const reply = wire.inbox();
  rival.subscribe(reply);
  rival.publish(wire.discover, connectRequest("wanted"), reply);
  const [probe] = held.take("_INBOX.hb.wanted");
  assert.ok(probe !== undefined, "the old registration is asked");
  // Nothing is read and no timer comes for longer than a probe takes; then others are read before the one that was asked.
  wire.runtime.nowMs += 5000;
  assert.equal(other.publishStan("foo"), "");
  other.send("PING\r\n");
  assert.deepEqual(rival.take(reply), []);
  held.publish(probe.reply, new Uint8Array(0));
  const [answer] = rival.take(reply);
  assert.equal(decode("ConnectResponse", answer!.payload).error, "stan: clientID already registered");
  // One who says nothing is replaced, by the timer.
  rival.publish(wire.discover, connectRequest("wanted"), reply);
  assert.equal(held.take("_INBOX.hb.wanted").length, 1);
  wire.pass(1000);
  assert.equal(decode("ConnectResponse", rival.take(reply)[0]!.payload).error, "");
});
