import { test } from "node:test";
import assert from "node:assert/strict";
import { bytesOf, byteStringOfText } from "../../../src/base/bytes.ts";
import { decodeConnectResponse } from "../../../src/wire/stan_control.ts";
import { STAN_ERROR } from "../../../src/wire/stan_errors.ts";
import { StreamingBench } from "../../helpers/streaming_bench.ts";

const HEARTBEATS = { heartbeatIntervalMs: 1000, heartbeatTimeoutMs: 500, heartbeatFailCount: 2 };

/** A bench with `me` registered, who behaves in `manner`. */
function bench(manner: "answers" | "silent" | "gone" = "answers"): StreamingBench {
  const made = new StreamingBench({ core: HEARTBEATS });
  made.connect("me");
  made.manners.set("_INBOX.hb.me", manner);
  return made;
}

test("7.1 row 1: a connect that does not decode, or without heartbeat inbox, is invalid, whatever its client ID", () => {
  const b = new StreamingBench();
  assert.equal(b.askError("connect", bytesOf("dummy")), STAN_ERROR.INVALID_CONNECTION_REQUEST);
  assert.equal(b.askError("connect", new Uint8Array(0)), STAN_ERROR.INVALID_CONNECTION_REQUEST);
  for (const id of ["me", "a b"]) {
    const request = b.connectRequest(id, { heartbeatInbox: "" });
    assert.equal(b.askError("connect", request), STAN_ERROR.INVALID_CONNECTION_REQUEST);
  }
});

test("7.1 row 2: client IDs are letters, digits, - and _", () => {
  const b = new StreamingBench();
  for (const id of ["", "a b", "a:b", "a,b", "a.b", "ab\n", "é"]) {
    const request = b.connectRequest(byteStringOfText(id), { heartbeatInbox: "_INBOX.x" });
    assert.equal(b.askError("connect", request), STAN_ERROR.INVALID_CLIENT_ID, id);
  }
  for (const id of ["id", "id_1", "id-1"]) b.connect(id);
});

test("7.2: a refusal carries its error and nothing else", () => {
  const b = new StreamingBench();
  const answer = b.ask("connect", b.connectRequest("a b"))!;
  assert.equal(answer[0], 0x2a);
  assert.equal(answer.length, 2 + STAN_ERROR.INVALID_CLIENT_ID.length);
});

test("7.3: ping fields answer protocol 1 and above only, protocol is always 1", () => {
  const b = new StreamingBench();
  const old = b.connect("old", { protocol: 0, connectionId: "" });
  assert.deepEqual([old.protocol, old.pingRequests, old.pingIntervalSecs, old.pingMaxOut], [1, "", 0, 0]);
  const future = b.connect("future", { protocol: 7 });
  assert.deepEqual([future.protocol, future.pingRequests], [1, "_STAN.discover.cluster.pings"]);
});

test("7.4: ping values are echoed unchanged, negative ones too", () => {
  const response = new StreamingBench().connect("me", { pingIntervalSecs: -50, pingMaxOut: 0 });
  assert.deepEqual([response.pingIntervalSecs, response.pingMaxOut], [-50, 0]);
});

test("7.5: a connect without reply subject registers all the same", () => {
  const b = new StreamingBench();
  b.driver.serve("connect", b.connectRequest("me"), undefined);
  b.turn();
  assert.equal(b.sent.length, 0);
  assert.equal(b.publish("foo"), "");
});

test("7.6: a taken client ID whose holder answers the probe is refused", () => {
  const b = bench();
  assert.equal(b.askError("connect", b.connectRequest("me")), STAN_ERROR.CLIENT_ID_REGISTERED);
  assert.equal(b.requests.length, 1);
});

test("7.6: a silent holder is replaced after 500 ms, meanwhile the ID is refused at once and others connect", () => {
  const b = bench("silent");
  const reply = b.post("connect", b.connectRequest("me", { heartbeatInbox: "_INBOX.new", connectionId: "new" }));
  b.turn();
  assert.equal(b.askError("connect", b.connectRequest("me")), STAN_ERROR.CLIENT_ID_REGISTERED);
  b.connect("other");
  b.pass(499);
  assert.equal(b.answer(reply), undefined);
  b.pass(12);
  assert.equal(b.error("connect", b.answer(reply)), "");
  assert.equal(b.publish("foo"), STAN_ERROR.INVALID_PUBLISH_REQUEST);
  assert.equal(b.publish("foo", "", { connectionId: "new" }), "");
});

test("7.6: a holder that nobody can reach is replaced at once", () => {
  const b = bench("gone");
  const answer = b.ask("connect", b.connectRequest("me", { heartbeatInbox: "_INBOX.new" }))!;
  assert.equal(decodeConnectResponse(answer, 0, answer.length)!.error, "");
});

test("7.1 row 3: a connect during a probe is refused even if the old registration closes meanwhile", () => {
  const b = bench("silent");
  const reply = b.post("connect", b.connectRequest("me", { heartbeatInbox: "_INBOX.second" }));
  b.turn();
  b.close("me");
  const third = b.connectRequest("me", { heartbeatInbox: "_INBOX.third" });
  assert.equal(b.askError("connect", third), STAN_ERROR.CLIENT_ID_REGISTERED);
  b.pass(600);
  assert.equal(b.error("connect", b.answer(reply)), "");
  assert.equal(b.core.clients.byId.get("me")?.record.heartbeatInbox, "_INBOX.second");
});

test("7.6: what was published with the replaced connection is refused, its ping is told", () => {
  const b = bench("gone");
  b.connect("me", { heartbeatInbox: "_INBOX.new", connectionId: "new" });
  assert.equal(b.error("ping", b.ping("conn-me")), STAN_ERROR.CLIENT_REPLACED);
  assert.equal(b.ping("new")?.length, 0);
});

test("8.2: the first heartbeat comes one interval after the connect, then one per interval", () => {
  const b = bench();
  b.pass(3500);
  assert.deepEqual(b.requests.map(({ atMs }) => atMs), [1000, 2000, 3000]);
});

test("8.4: a silent client is closed after (failCount + 1) x (interval + timeout)", () => {
  const b = bench("silent");
  b.pass(4499);
  assert.equal(b.core.clients.count, 1);
  b.pass(2);
  assert.equal(b.core.clients.count, 0);
  assert.deepEqual(b.requests.map(({ atMs }) => atMs), [1000, 2500, 4000]);
});

test("8.4: a vanished client is closed after (failCount + 1) x interval", () => {
  const b = bench("gone");
  b.pass(2999);
  assert.equal(b.core.clients.count, 1);
  b.pass(2);
  assert.equal(b.core.clients.count, 0);
});

test("8.3: one answer sets the failure count back", () => {
  const b = bench("gone");
  b.pass(2500);
  b.manners.set("_INBOX.hb.me", "answers");
  b.pass(1000);
  b.manners.set("_INBOX.hb.me", "gone");
  b.pass(2499);
  assert.equal(b.core.clients.count, 1);
  b.pass(2);
  assert.equal(b.core.clients.count, 0);
});

test("8.6: a ping of a client that missed heartbeats brings the next one forward", () => {
  const b = bench("gone");
  b.pass(1000);
  b.manners.set("_INBOX.hb.me", "answers");
  b.pass(100);
  b.ping("conn-me");
  b.pass(20);
  assert.equal(b.requests.at(-1)!.atMs, 1110);
  assert.equal(b.core.clients.byId.get("me")!.failedHeartbeats, 0);
});

test("8.6: also while a heartbeat is out, which may have been lost with the old connection", () => {
  const b = bench("silent");
  b.pass(1500);
  b.pass(1100);
  assert.equal(b.requests.length, 2);
  b.manners.set("_INBOX.hb.me", "answers");
  b.ping("conn-me");
  assert.equal(b.requests.length, 3);
  assert.equal(b.core.clients.byId.get("me")!.failedHeartbeats, 0);
});

test("9.4: pings alone keep nobody alive", () => {
  const b = bench("silent");
  for (let i = 0; i < 24; i++) {
    b.pass(200);
    if (b.core.clients.count > 0) b.ping("conn-me");
  }
  assert.equal(b.core.clients.count, 0);
});

test("9.2: pings are looked up by connection ID, and an empty or broken one gets no answer", () => {
  const b = bench();
  assert.equal(b.ping("conn-me")?.length, 0);
  assert.equal(b.error("ping", b.ping("nobody")), STAN_ERROR.CLIENT_REPLACED);
  assert.equal(b.ask("ping", new Uint8Array(0)), undefined);
  assert.equal(b.ask("ping", bytesOf("dummy")), undefined);
});

test("7.1: a connection ID belongs to the registration that used it last", () => {
  const b = bench();
  assert.equal(b.publish("foo"), "");
  b.connect("other", { connectionId: "conn-me" });
  b.close("other");
  assert.equal(b.publish("foo"), STAN_ERROR.INVALID_PUBLISH_REQUEST);
});

test("20.5: closing an unknown client ID, twice, or with garbage", () => {
  const b = bench();
  assert.equal(b.closeError("nobody"), STAN_ERROR.UNKNOWN_CLIENT_ID);
  b.close("me");
  assert.equal(b.closeError("me"), STAN_ERROR.UNKNOWN_CLIENT_ID);
  assert.equal(b.askError("close", bytesOf("dummy")), STAN_ERROR.INVALID_CLOSE_REQUEST);
  assert.equal(b.askError("close", new Uint8Array(0)), STAN_ERROR.UNKNOWN_CLIENT_ID);
});
