import { test } from "node:test";
import assert from "node:assert/strict";
import { bytesOf, byteStringOfText } from "../../../src/base/bytes.ts";
import { decodeConnectResponse, encodeCloseRequest } from "../../../src/wire/stan_control.ts";
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

test("invariant 14 (7.1 row 1): a connect that does not decode, or without heartbeat inbox, is invalid, whatever its client ID", () => {
  const b = new StreamingBench();
  assert.equal(b.askError("connect", bytesOf("dummy")), STAN_ERROR.INVALID_CONNECTION_REQUEST);
  assert.equal(b.askError("connect", new Uint8Array(0)), STAN_ERROR.INVALID_CONNECTION_REQUEST);
  for (const id of ["me", "a b"]) {
    const request = b.connectRequest(id, { heartbeatInbox: "" });
    assert.equal(b.askError("connect", request), STAN_ERROR.INVALID_CONNECTION_REQUEST);
  }
});

test("invariant 15 (7.1 row 2): client IDs are letters, digits, - and _", () => {
  const b = new StreamingBench();
  for (const id of ["", "a b", "a:b", "a,b", "a.b", "ab\n", "é"]) {
    const request = b.connectRequest(byteStringOfText(id), { heartbeatInbox: "_INBOX.x" });
    assert.equal(b.askError("connect", request), STAN_ERROR.INVALID_CLIENT_ID, id);
  }
  for (const id of ["id", "id_1", "id-1"]) b.connect(id);
});

test("invariant 16 (7.2): a refusal carries its error and nothing else", () => {
  const b = new StreamingBench();
  const answer = b.ask("connect", b.connectRequest("a b"))!;
  assert.equal(answer[0], 0x2a);
  assert.equal(answer.length, 2 + STAN_ERROR.INVALID_CLIENT_ID.length);
});

test("invariants 12, 13 (7.3): ping fields answer protocol 1 and above only, protocol is always 1", () => {
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

test("7.3, 7.4: each client is answered by what it asked for, whoever asked before it", () => {
  const b = new StreamingBench();
  const asked = [[0, 5, 3], [1, 5, 3], [1, 5, 4], [1, 6, 4], [2, 6, 4], [0, 6, 4], [1, 0, 0], [0, 0, 0], [1, 5, 3]];
  asked.forEach(([protocol = 0, pingIntervalSecs = 0, pingMaxOut = 0], i) => {
    const response = b.connect(`c${i}`, { protocol, pingIntervalSecs, pingMaxOut });
    const expected = protocol > 0 ? ["_STAN.discover.cluster.pings", pingIntervalSecs, pingMaxOut] : ["", 0, 0];
    assert.deepEqual([response.pingRequests, response.pingIntervalSecs, response.pingMaxOut], expected);
  });
});

test("8: the address of a heartbeat inbox is held from the first heartbeat to the end of the registration", () => {
  const b = new StreamingBench();
  b.connect("me");
  b.connect("other");
  assert.equal(b.addresses.size, 0);
  // A second connect with its ID asks the first one.
  assert.equal(b.askError("connect", b.connectRequest("me")), STAN_ERROR.CLIENT_ID_REGISTERED);
  assert.equal(b.addresses.size, 1);
  b.pass(65_000);
  assert.equal(b.requests.length, 5);
  assert.equal(b.addresses.size, 2);
  b.close("me");
  b.close("other");
  assert.equal(b.addresses.size, 0);
});

test("invariant 23 (7.5): a connect without reply subject registers all the same", () => {
  const b = new StreamingBench();
  b.driver.serve("connect", b.connectRequest("me"), undefined);
  b.turn();
  assert.equal(b.sent.length, 0);
  assert.equal(b.publish("foo"), "");
});

test("invariant 17 (7.6): a taken client ID whose holder answers the probe is refused", () => {
  const b = bench();
  assert.equal(b.askError("connect", b.connectRequest("me")), STAN_ERROR.CLIENT_ID_REGISTERED);
  assert.equal(b.requests.length, 1);
});

test("invariants 18, 20, trap 7 (7.6): a silent holder is replaced after 500 ms, meanwhile the ID is refused at once and others connect", () => {
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

test("invariant 19, trap 9 (7.6): a holder that nobody can reach is replaced at once", () => {
  const b = bench("gone");
  const answer = b.ask("connect", b.connectRequest("me", { heartbeatInbox: "_INBOX.new" }))!;
  assert.equal(decodeConnectResponse(answer, 0, answer.length)!.error, "");
});

test("trap 7 (7.1 row 3): a connect during a probe is refused even if the old registration closes meanwhile", () => {
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

test("invariant 21, trap 5 (7.6): what was published with the replaced connection is refused, its ping is told", () => {
  const b = bench("gone");
  b.connect("me", { heartbeatInbox: "_INBOX.new", connectionId: "new" });
  assert.equal(b.publish("foo"), STAN_ERROR.INVALID_PUBLISH_REQUEST);
  assert.equal(b.error("ping", b.ping("conn-me")), STAN_ERROR.CLIENT_REPLACED);
  assert.equal(b.publish("foo", "", { connectionId: "new" }), "");
  assert.equal(b.ping("new")?.length, 0);
});

test("invariant 25 (8.2): the first heartbeat comes one interval after the connect, then one per interval", () => {
  const b = bench();
  b.pass(3500);
  assert.deepEqual(b.requests.map(({ atMs }) => atMs), [1000, 2000, 3000]);
});

test("invariant 26, trap 10 (8.4): a silent client is closed after (failCount + 1) x (interval + timeout)", () => {
  const b = bench("silent");
  b.pass(4499);
  assert.equal(b.core.clients.count, 1);
  b.pass(2);
  assert.equal(b.core.clients.count, 0);
  assert.deepEqual(b.requests.map(({ atMs }) => atMs), [1000, 2500, 4000]);
});

test("invariant 26, trap 9 (8.4): a vanished client is closed after (failCount + 1) x interval", () => {
  const b = bench("gone");
  b.pass(2999);
  assert.equal(b.core.clients.count, 1);
  b.pass(2);
  assert.equal(b.core.clients.count, 0);
});

test("invariant 27 (8.3): one answer sets the failure count back", () => {
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

test("invariant 28 (8.6): a ping of a client that missed heartbeats brings the next one forward", () => {
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

test("8.6: however often pings repeat a heartbeat, the answer to the first one counts (simulation seed 41149)", () => {
  const b = bench("silent");
  b.pass(2600);
  const { serial, atMs } = b.requests.at(-1)!;
  assert.equal(atMs, 2500);
  for (let i = 0; i < 3; i++) b.ping("conn-me");
  assert.equal(b.requests.length, 5);
  b.driver.answered(serial);
  b.turn();
  assert.equal(b.core.clients.byId.get("me")!.failedHeartbeats, 0);
});

test("8.6: a ping at the moment in which a heartbeat runs out brings one whose answer counts (simulation seed 38602)", () => {
  const b = bench("silent");
  b.pass(2990);
  assert.equal(b.requests.at(-1)!.atMs, 2500);
  b.manners.set("_INBOX.hb.me", "answers");
  b.driver.nowMs = 3000;
  b.ping("conn-me");
  b.pass(20);
  assert.equal(b.requests.at(-1)!.atMs, 3010);
  assert.equal(b.core.clients.byId.get("me")!.failedHeartbeats, 0);
});

test("invariant 30 (9.4): pings alone keep nobody alive", () => {
  const b = bench("silent");
  for (let i = 0; i < 24; i++) {
    b.pass(200);
    if (b.core.clients.count > 0) b.ping("conn-me");
  }
  assert.equal(b.core.clients.count, 0);
});

test("invariants 6, 29, traps 5, 6 (9.2): pings are looked up by connection ID, and an empty or broken one gets no answer", () => {
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

test("invariant 124 (20.5): closing an unknown client ID, twice, or with garbage", () => {
  const b = bench();
  assert.equal(b.closeError("nobody"), STAN_ERROR.UNKNOWN_CLIENT_ID);
  b.close("me");
  assert.equal(b.closeError("me"), STAN_ERROR.UNKNOWN_CLIENT_ID);
  assert.equal(b.askError("close", bytesOf("dummy")), STAN_ERROR.INVALID_CLOSE_REQUEST);
  assert.equal(b.askError("close", new Uint8Array(0)), STAN_ERROR.UNKNOWN_CLIENT_ID);
});

test("invariant 22 (7.6): after a replacement the old plain subscription is gone, the new one resumes the durable", () => {
  const b = bench("gone");
  const plain = b.subscribe("foo");
  const durable = b.subscribe("foo", { durableName: "D" });
  b.connect("me", { heartbeatInbox: "_INBOX.new", connectionId: "new" });
  assert.equal(b.publish("foo", "", { connectionId: "new" }), "");
  assert.deepEqual([b.heard(plain), b.heard(durable)], ["", ""]);
  assert.equal(b.heard(b.subscribe("foo", { durableName: "D" })), "1");
});

test("invariant 24 (7.7): whatever connects, closes and dies, one registration per client ID counts", () => {
  let state = 1;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
  const b = new StreamingBench({ core: HEARTBEATS });
  const connections: { id: string; connectionId: string }[] = [];
  const living = { most: 0, least: 9 };
  for (let step = 0; step < 400; step++) {
    const id = `c${random(3)}`;
    const connectionId = `${id}-${step}`;
    const heartbeatInbox = `_INBOX.hb.${connectionId}`;
    const kind = random(4);
    if (kind <= 1) {
      b.manners.set(heartbeatInbox, (["answers", "silent", "gone"] as const)[random(3)]!);
      b.post("connect", b.connectRequest(id, { connectionId, heartbeatInbox }));
      connections.push({ id, connectionId });
    } else if (kind === 2) {
      b.post("close", encodeCloseRequest({ clientId: id }));
    }
    if (random(2) === 0) b.turn();
    b.pass(random(5) === 0 ? 700 : 3);
    for (const one of ["c0", "c1", "c2"]) {
      const answered = connections.filter((c) => c.id === one && b.ping(c.connectionId)?.length === 0);
      assert.ok(answered.length <= 1, `${answered.map((c) => c.connectionId).join()} are all registered`);
      assert.equal(answered.length === 1, b.core.clients.byId.has(one));
      living.most = Math.max(living.most, b.core.clients.count);
      living.least = Math.min(living.least, b.core.clients.count);
    }
  }
  assert.deepEqual([living.most, living.least > 1], [3, false], "a run in which nothing happened proves nothing");
});

test("trap 11 (8.3, 26.3): what a client sent before it died counts: its publish is stored, its ack done", () => {
  const b = bench("gone");
  const s = b.subscribe("foo", { durableName: "D" });
  b.fill("foo", 1);
  b.pass(2999);
  b.driver.nowMs = 3005;
  // In the very turn in which the last heartbeat fails.
  b.postAck(s, 1);
  const reply = b.post("publish", b.publishRequest("foo"));
  b.turn();
  assert.equal(b.error("publish", b.answer(reply)), "");
  assert.equal(b.core.clients.count, 0);
  b.manners.clear();
  b.connect("me");
  // Message 1 was acked; message 2 went to the dying client before its last heartbeat turned out to be lost.
  assert.equal(b.heard(b.subscribe("foo", { durableName: "D" })), "2r1");
});

test("D4, kept (20.5): a request is believed its client ID: anybody may close a registration", () => {
  const b = bench();
  b.connect("other");
  // Nothing in a CloseRequest says who sends it.
  b.close("other");
  assert.equal(b.core.clients.byId.has("other"), false);
});
