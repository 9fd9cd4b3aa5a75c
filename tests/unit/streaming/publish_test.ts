import { test } from "node:test";
import assert from "node:assert/strict";
import { bytesOf, byteString } from "../../../src/base/bytes.ts";
import { decodeMsgProto, MsgProtoView } from "../../../src/wire/stan_hot.ts";
import { decodeMessage } from "../../../src/wire/stan_codec.ts";
import { START_POSITION } from "../../../src/wire/stan_control.ts";
import { STAN_ERROR } from "../../../src/wire/stan_errors.ts";
import { APPEND_FAILED } from "../../../src/store/types.ts";
import type { Channel } from "../../../src/streaming/channel.ts";
import { StreamingBench } from "../../helpers/streaming_bench.ts";

function bench(options: ConstructorParameters<typeof StreamingBench>[0] = {}): StreamingBench {
  const made = new StreamingBench(options);
  made.connect("me");
  return made;
}

function guidOf(answer: Uint8Array): string {
  return (decodeMessage("PubAck", answer, 0, answer.length) as { guid: string }).guid;
}

test("invariant 7 (11.1 row 1): what decodes as a control message gets no answer", () => {
  assert.equal(bench().ask("publish", Uint8Array.of(0x08, 0x01, 0x12, 0x01, 0x61)), undefined);
  // A PubMsg that breaks in field 5: guid "G", then a varint.
  assert.equal(bench().ask("publish", Uint8Array.of(0x12, 0x01, 0x47, 0x28, 0x01)), undefined);
});

test("invariant 7 (11.1 row 2): a broken publish is refused, with its guid if that came before", () => {
  const b = bench();
  assert.equal(b.askError("publish", Uint8Array.of(0x22, 0x01, 0x61)), STAN_ERROR.INVALID_PUBLISH_REQUEST);
  const answer = b.ask("publish", Uint8Array.of(0x12, 0x01, 0x47, 0x1a, 0x05, 0x61))!;
  assert.equal(b.error("publish", answer), STAN_ERROR.INVALID_PUBLISH_REQUEST);
  assert.equal(guidOf(answer), "G");
});

test("invariant 33 (11.1 row 3): without guid, or with a name that no channel can have", () => {
  const b = bench();
  assert.equal(b.publish("foo", "", { guid: "" }), STAN_ERROR.INVALID_PUBLISH_REQUEST);
  assert.equal(b.askError("publish", new Uint8Array(0)), STAN_ERROR.INVALID_PUBLISH_REQUEST);
  for (const name of ["foo.*", "a>b", "foo/bar", "foo.", ".foo", "foo..bar", ""]) {
    assert.equal(b.publish(name), STAN_ERROR.INVALID_PUBLISH_REQUEST, name);
  }
  for (const name of ["foo bar", "foo\\bar", "foo.bar"]) assert.equal(b.publish(name), "", name);
});

test("invariant 39, trap 4 (11.2): a connection ID alone identifies, the client ID is looked at only without one", () => {
  const b = bench();
  for (const clientId of ["stranger", ""]) assert.equal(b.publish("foo", "", { clientId }), "");
  assert.equal(b.publish("foo", "", { connectionId: "wrong" }), STAN_ERROR.INVALID_PUBLISH_REQUEST);
  assert.equal(b.publish("foo", "", { connectionId: "" }), "");
  assert.equal(b.publish("foo", "", { connectionId: "", clientId: "stranger" }), STAN_ERROR.INVALID_PUBLISH_REQUEST);
  b.close("me");
  assert.equal(b.publish("foo"), STAN_ERROR.INVALID_PUBLISH_REQUEST);
});

test("invariant 45, trap 16 (11.7): deliveries of a batch leave before its acks, refusals in front of both", () => {
  const b = bench();
  const s = b.subscribe("foo");
  const first = b.post("publish", b.publishRequest("foo", "1"));
  const second = b.post("publish", b.publishRequest("foo", "2"));
  const refused = b.post("publish", b.publishRequest("foo.*"));
  b.turn();
  assert.deepEqual(b.sent.map(({ subject }) => subject), [refused, s.inbox, s.inbox, first, second]);
});

test("invariant 43 (11.8): without reply subject a message is stored and delivered, and not acked", () => {
  const b = bench();
  const s = b.subscribe("foo");
  b.driver.serve("publish", b.publishRequest("foo", "x"), undefined);
  b.turn();
  assert.equal(b.sent.length, 1);
  assert.equal(b.heard(s), "1");
});

test("invariant 41 (11.9): the same guid twice is two messages", () => {
  const b = bench();
  const s = b.subscribe("foo");
  for (let i = 0; i < 2; i++) assert.equal(b.publish("foo", "", { guid: "same" }), "");
  assert.equal(b.heard(s), "1 2");
});

test("invariant 34, trap 15 (10.3): two names that differ in letter case only cannot coexist", () => {
  const b = bench();
  assert.equal(b.publish("foo"), "");
  const text = 'rejecting channel "FOO" because channel "foo" alreay exists (different cases not allowed)';
  assert.equal(b.publish("FOO"), text);
  assert.equal(b.subscribeError("FOO"), text);
});

test("invariant 35, trap 15 (10.4): too many channels, existing ones go on", () => {
  const b = bench({ maxChannels: 2 });
  for (const name of ["a", "b"]) assert.equal(b.publish(name), "");
  assert.equal(b.publish("c"), "too many channels");
  assert.equal(b.subscribeError("c"), "too many channels");
  assert.equal(b.publish("a"), "");
});

test("invariant 50, trap 17 (10.7): a message that cannot be stored takes no sequence and disturbs no other", () => {
  const b = bench();
  const s = b.subscribe("foo");
  b.fill("foo", 1);
  const { messages } = b.store.channel("foo")!;
  const append = messages.append;
  Object.defineProperty(messages, "lastError", { value: "disk is full", configurable: true });
  let calls = 0;
  messages.append = (...args) => ++calls === 2 ? APPEND_FAILED : append.apply(messages, args);
  const replies = ["x", "y", "z"].map((data) => b.post("publish", b.publishRequest("foo", data)));
  b.turn();
  assert.deepEqual(replies.map((reply) => b.error("publish", b.answer(reply))), ["", "disk is full", ""]);
  assert.deepEqual(b.delivered(s).map(({ sequence, data }) => `${sequence}${data}`), ["1m0", "2x", "3z"]);
});

test("invariant 37 (10.8): when the clock goes back the previous stamp is repeated", () => {
  const b = bench();
  b.fill("foo", 1);
  b.driver.wallOffsetMs -= 5000;
  b.fill("foo", 1);
  b.driver.wallOffsetMs += 9000;
  b.fill("foo", 1);
  const { messages } = b.store.channel("foo")!;
  const stamps = [1, 2, 3].map((sequence) => {
    const stamp = { stampHigh: 0, stampLow: 0 };
    assert.ok(messages.stampOf(sequence, stamp));
    return stamp.stampHigh * 2 ** 32 + stamp.stampLow;
  });
  assert.equal(stamps[0], stamps[1]);
  assert.ok(stamps[2]! > stamps[1]!);
});

test("D2: a message too large to be delivered is refused, not stored", () => {
  const b = bench({ core: { maxPayload: 1000 } });
  const s = b.subscribe("foo");
  const sizes = new Map<number, string>();
  for (let size = 900; size <= 1000; size++) sizes.set(size, b.publish("foo", "x".repeat(size)));
  for (const { payload } of b.sent) assert.ok(payload.length + 8 <= 1000);
  const accepted = [...sizes.values()].filter((error) => error === "").length;
  assert.ok(accepted > 40 && accepted < 90, String(accepted));
  assert.ok([...sizes.values()].every((error) => error === "" || error.includes("too large")));
  assert.equal(b.delivered(s).length, accepted);
});

test("10.2: acks, unsubscribes and closes create no channel", () => {
  const b = bench();
  const request = { clientId: "me", channel: "foo", inbox: "x", ackInbox: "x" };
  for (const kind of ["unsubscribe", "closeSubscription"] as const) {
    assert.equal(b.askError(kind, b.leaveRequest(request)), STAN_ERROR.UNKNOWN_CHANNEL);
  }
  assert.equal(b.core.channels.all.size, 0);
});

test("11.3: the buffer of a publish is not read after the call", () => {
  const b = bench();
  const s = b.subscribe("foo", { startPosition: START_POSITION.FIRST });
  const payload = b.publishRequest("foo", "hello", { reply: "a.b" });
  b.post("publish", payload);
  payload.fill(0);
  b.turn();
  assert.equal(b.delivered(s)[0]!.data, "hello");
});

/** The fields of a delivery, each with its payload as hexadecimal text. */
function delivery(b: StreamingBench, inbox: string): Uint8Array {
  const [payload] = b.take(inbox);
  assert.ok(payload !== undefined, "nothing was delivered");
  return payload;
}

test("invariant 3 (3.1): a delivery without payload has no field 4, one without reply no field 3", () => {
  const b = bench();
  const s = b.subscribe("foo");
  // Field 1 is two bytes, field 2 five; then comes the first optional one, or the stamp (0x28).
  const third = (data: string, reply: string) => {
    assert.equal(b.publish("foo", data, { reply }), "");
    return delivery(b, s.inbox)[7];
  };
  assert.deepEqual([third("", ""), third("x", ""), third("", "r"), third("x", "r")], [0x28, 0x22, 0x1a, 0x1a]);
  assert.equal(b.publish("foo", "", { reply: "r" }), "");
  assert.equal(delivery(b, s.inbox)[10], 0x28);
});

test("invariant 33, trap 13 (10.1): the same names are refused and accepted for subscriptions, spaces included", () => {
  const b = bench();
  for (const name of ["foo.*", "a>b", "foo/bar", "foo.", ".foo", "foo..bar", ""]) {
    assert.equal(b.subscribeError(name), STAN_ERROR.INVALID_SUBJECT, name);
  }
  for (const name of ["foo bar", " foo", "foo\\bar", "foo.bar"]) {
    const s = b.subscribe(name);
    assert.equal(b.publish(name), "", name);
    assert.equal(b.heard(s), "1");
  }
});

test("invariant 36 (10.7): every channel counts 1, 2, 3 for itself", () => {
  const b = bench();
  const [foo, bar] = ["foo", "bar"].map((name) => b.subscribe(name));
  for (const name of ["foo", "foo", "bar", "foo", "bar"]) b.post("publish", b.publishRequest(name));
  b.post("publish", b.publishRequest("foo.*"));
  b.post("publish", b.publishRequest("foo"));
  b.turn();
  assert.deepEqual([b.heard(foo!), b.heard(bar!)], ["1 2 3 4", "1 2"]);
});

test("invariant 38 (11.1 row 3): the refusal of a publish without guid carries none", () => {
  const b = bench();
  const answer = b.ask("publish", b.publishRequest("foo", "", { guid: "" }))!;
  assert.equal(b.error("publish", answer), STAN_ERROR.INVALID_PUBLISH_REQUEST);
  // It begins with field 2, the error.
  assert.equal(answer[0], 0x12);
});

test("invariant 42 (11.9): reply and payload arrive as they were sent, whatever bytes they hold", () => {
  const b = bench();
  const s = b.subscribe("foo");
  const view = new MsgProtoView();
  for (const text of ["answer.here", "\x00\xff\x80", "x".repeat(300)]) {
    assert.equal(b.publish("foo", text, { reply: text }), "");
    const payload = delivery(b, s.inbox);
    assert.ok(decodeMsgProto(payload, 0, payload.length, view));
    assert.equal(byteString(payload, view.replyStart, view.replyEnd), text);
    assert.equal(byteString(payload, view.dataStart, view.dataEnd), text);
  }
});

test("trap 3 (10.8): the time stamp of a delivery is the server's clock to the last digit", () => {
  const b = bench();
  const s = b.subscribe("foo");
  b.pass(1234);
  const expected = b.driver.wallNs;
  assert.ok(expected > BigInt(Number.MAX_SAFE_INTEGER));
  b.fill("foo", 1);
  const payload = delivery(b, s.inbox);
  let stamp = 0n;
  // Field 5 comes last in a first delivery: a varint of nine bytes.
  assert.equal(payload[payload.length - 10], 0x28);
  for (let i = 0; i < 9; i++) stamp |= BigInt(payload[payload.length - 9 + i]! & 0x7f) << BigInt(7 * i);
  assert.equal(stamp, expected);
});

test("trap 14 (10.3): whoever puts a channel into the table, recovery included, takes its spelling", () => {
  const b = bench();
  b.subscribe("Foo.Bar");
  assert.equal(b.core.channels.otherSpelling("foo.bar"), "Foo.Bar");
  assert.equal(b.core.channels.otherSpelling("Foo.Bar"), undefined);
  // Beyond ASCII as well: the name is a byte string of UTF-8.
  b.subscribe(byteString(new TextEncoder().encode("ÄPFEL")));
  assert.equal(
    b.core.channels.otherSpelling(byteString(new TextEncoder().encode("äpfel"))),
    byteString(new TextEncoder().encode("ÄPFEL")),
  );
  assert.equal(b.core.channels.otherSpelling("apfel"), undefined);
});

test("11.2: the message decides where it is stored, whatever subject it came on and whatever was known of that", () => {
  const b = bench();
  b.publish("other");
  b.publish("foo");
  const { core } = b;
  const send = (payload: Uint8Array, subject: string, hint: Channel | undefined) => {
    b.driver.begin();
    const buffer = new Uint8Array(payload.length + subject.length);
    buffer.set(payload);
    buffer.set(bytesOf(subject), payload.length);
    return core.publish(buffer, 0, payload.length, undefined, payload.length, buffer.length, hint);
  };
  const foo = core.find("foo")!;
  const other = core.find("other")!;
  const request = b.publishRequest("foo", "x");
  assert.equal(send(request, "foo", undefined), foo);
  assert.equal(send(request, "foo", foo), foo);
  // On another subject: stored where the message says, and nothing is noted with that subject.
  assert.equal(send(request, "other", other), undefined);
  assert.equal(send(request, "fo", undefined), undefined);
  assert.equal(send(request, "", undefined), undefined);
  b.turn();
  assert.deepEqual([foo.messages.lastSequence, other.messages.lastSequence], [6, 1]);
  // A channel that was deleted meanwhile is made anew.
  core.removeChannel(foo);
  const again = send(request, "foo", foo);
  assert.notEqual(again, foo);
  assert.equal(again?.messages.lastSequence, 1);
});

test("11.7: what MEMORY stores is there at once for those who come later, and delivered to those who wait", () => {
  const b = bench({ isInstant: true });
  b.publish("foo", "1");
  assert.equal(b.core.find("foo")!.visibleLast, 1);
  // All in one turn: a message, a subscription that wants all, and another message.
  b.post("publish", b.publishRequest("foo", "2"));
  const all = { inbox: "all", startPosition: START_POSITION.FIRST };
  b.post("subscribe", b.subscribeRequest("foo", all));
  b.post("publish", b.publishRequest("foo", "3"));
  b.turn();
  assert.deepEqual(b.delivered("all").map(({ data }) => data), ["1", "2", "3"]);
});
