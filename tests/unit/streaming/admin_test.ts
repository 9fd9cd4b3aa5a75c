/** What operators may do: every action, what it leaves behind, and how it is taken back when the store cannot keep it. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { LOOKUP_LATER, StoreError } from "../../../src/store/types.ts";
import type { AdminOutcome, AdminRequest, AdminTarget, RewindPosition } from "../../../src/streaming/admin.ts";
import type { BrowseRequest, BrowseResult } from "../../../src/streaming/browse.ts";
import type { TurnGroup } from "../../../src/streaming/turn_groups.ts";
import { START_POSITION } from "../../../src/wire/stan_control.ts";
import { KeepingStore } from "../../helpers/keeping_store.ts";
import { EPOCH_MS } from "../../helpers/core_driver.ts";
import { StreamingBench, type Subscriber } from "../../helpers/streaming_bench.ts";
import { stanSubjects } from "../../../src/wire/stan_subjects.ts";
import { byteString } from "../../../src/base/bytes.ts";

const { FIRST } = START_POSITION;
const D = { durableName: "D", startPosition: FIRST, ackWaitSecs: 5 };
const UNLIMITED = { maxMessages: 0, maxBytes: 0, maxAgeMs: 0, maxSubscriptions: 0, maxInactivityMs: 0 };

function bench(options: ConstructorParameters<typeof StreamingBench>[0] = {}): StreamingBench {
  const made = new StreamingBench(options);
  made.connect("me");
  return made;
}

/** A store that keeps records over a restart. */
function keeping(): { b: StreamingBench; store: KeepingStore } {
  const store = new KeepingStore({ maxChannels: 0, forChannel: () => UNLIMITED });
  store.init(stanSubjects("cluster"));
  return { b: bench({ store }), store };
}

function act(b: StreamingBench, request: AdminRequest): AdminOutcome {
  let outcome: AdminOutcome | undefined;
  b.driver.begin();
  b.core.administer(request, (result) => {
    assert.equal(outcome, undefined, "answered once");
    outcome = result;
  });
  b.turn();
  assert.ok(outcome !== undefined, "no answer");
  return outcome;
}

function facts(outcome: AdminOutcome): Record<string, unknown> {
  assert.ok(outcome.ok, outcome.ok ? "" : outcome.message);
  return { ...outcome.facts };
}

function refused(outcome: AdminOutcome): string {
  assert.ok(!outcome.ok);
  assert.notEqual(outcome.message, "");
  return outcome.code;
}

/** The flush of `group` has ended, with `error` if it failed. */
function finish(b: StreamingBench, group: TurnGroup, error?: string): void {
  b.core.flushed(group, error);
  b.core.finish(group);
}

/** The action is staged, its flush fails. */
function actOnBrokenDisk(b: StreamingBench, request: AdminRequest): AdminOutcome {
  let outcome: AdminOutcome | undefined;
  b.driver.begin();
  b.core.administer(request, (result) => outcome = result);
  assert.equal(outcome, undefined, "not answered before it is safe");
  const group = b.core.endTurn()[0]!;
  assert.equal(outcome, undefined, "not answered before it is safe");
  finish(b, group, "the disk is full");
  b.core.effectsDone();
  b.turn();
  assert.ok(outcome !== undefined);
  return outcome;
}

const target = (parts: Partial<AdminTarget>): AdminTarget => ({
  durableName: "",
  clientId: "",
  queueGroup: "",
  ...parts,
});
const rewind = (to: RewindPosition, parts: Partial<AdminTarget> = { durableName: "D" }): AdminRequest => ({
  kind: "rewind",
  channel: "foo",
  target: target(parts),
  to,
});
const purge = (upTo?: number): AdminRequest => ({ kind: "purge", channel: "foo", upTo });
const at = (sequence: number): RewindPosition => ({ kind: "sequence", sequence });

function browse(b: StreamingBench, request: Omit<BrowseRequest, "channel">): BrowseResult {
  let result: BrowseResult | undefined;
  b.core.browse({ channel: b.core.find("foo")!, ...request }, (found) => result = found);
  assert.ok(result !== undefined);
  return result;
}

function sequences(result: BrowseResult): string {
  assert.ok(result.kind === "page");
  return result.messages.map(({ sequence }) => sequence).join(" ");
}

// Channels ---------------------------------------------------------------------------------------------------------------

test("whatever is asked of a channel that is not there is refused", () => {
  const b = bench();
  for (
    const request of [
      { kind: "deleteChannel", channel: "foo", force: true },
      purge(),
      { kind: "deleteDurable", channel: "foo", target: target({ durableName: "D" }), force: true },
      { kind: "pause", channel: "foo", target: target({ clientId: "me" }) },
      rewind({ kind: "first" }),
    ] as AdminRequest[]
  ) assert.equal(refused(act(b, request)), "NOT_FOUND");
  assert.equal(b.core.channels.all.size, 0);
});

test("delete-channel: refused under subscriptions, offline durables count", () => {
  const b = bench();
  const s = b.subscribe("foo", D);
  b.fill("foo", 2);
  assert.equal(refused(act(b, { kind: "deleteChannel", channel: "foo", force: false })), "CONFLICT");
  b.closeSubscription(s);
  assert.equal(refused(act(b, { kind: "deleteChannel", channel: "foo", force: false })), "CONFLICT");
  assert.equal(b.core.find("foo")?.messages.messageCount, 2);
  const again = b.subscribe("foo", D);
  b.unsubscribe(again);
  assert.deepEqual(facts(act(b, { kind: "deleteChannel", channel: "foo", force: false })), {
    removed_messages: 2,
    closed_subscriptions: 0,
    removed_durables: 0,
  });
  assert.equal(b.core.find("foo"), undefined);
  b.fill("foo", 1);
  assert.equal(b.core.find("foo")?.messages.lastSequence, 1);
});

test("delete-channel with force: subscriptions of every kind end, what comes later is a new channel", () => {
  const b = bench();
  const subscribers = [
    b.subscribe("foo", { startPosition: FIRST }),
    b.subscribe("foo", D),
    b.subscribe("foo", { queueGroup: "g" }),
    b.subscribe("foo", { queueGroup: "g" }),
    b.subscribe("foo", { queueGroup: "g", durableName: "D" }),
  ];
  const offline = b.subscribe("foo", { ...D, durableName: "E" });
  b.closeSubscription(offline);
  b.fill("foo", 3);
  for (const s of subscribers) b.heard(s);
  const done = facts(act(b, { kind: "deleteChannel", channel: "foo", force: true }));
  assert.equal(done["closed_subscriptions"], 5);
  assert.equal(done["removed_durables"], 1);
  assert.match(String(done["note"]), /not told/);
  assert.equal(b.driver.listenerCount, 0);
  b.fill("foo", 2);
  b.pass(60_000);
  for (const s of subscribers) {
    assert.equal(b.heard(s), "");
    assert.equal(b.postAck(s, 1), false);
  }
  // The names are free again.
  assert.equal(b.heard(b.subscribe("foo", D)), "1 2");
});

test("delete-channel: one that could not be made safe says that it may come back", () => {
  const b = bench();
  b.fill("foo", 1);
  const outcome = actOnBrokenDisk(b, { kind: "deleteChannel", channel: "foo", force: false });
  assert.equal(refused(outcome), "STORE_FAILED");
  assert.ok(!outcome.ok);
  assert.match(outcome.message, /come back at the next start/);
});

test("delete-channel: whoever waits for one of its messages is told", () => {
  const b = bench();
  b.fill("foo", 3);
  const channel = b.core.find("foo")!;
  channel.messages.lookup = () => LOOKUP_LATER;
  const results: BrowseResult[] = [];
  b.core.browse({ channel, from: 1, limit: 5, isBackward: false }, (found) => results.push(found));
  assert.deepEqual(results, []);
  act(b, { kind: "deleteChannel", channel: "foo", force: false });
  assert.deepEqual(results, [{ kind: "gone" }]);
});

test("purge: what is gone is not delivered, sequences go on", () => {
  const b = bench();
  b.fill("foo", 5);
  assert.deepEqual(facts(act(b, purge(3))), { removed_messages: 3, first_seq: 4, last_seq: 5 });
  assert.equal(b.heard(b.subscribe("foo", { startPosition: FIRST })), "4 5");
  assert.deepEqual(facts(act(b, purge())), { removed_messages: 2, first_seq: 6, last_seq: 5 });
  const s = b.subscribe("foo", { startPosition: FIRST });
  b.fill("foo", 1);
  assert.equal(b.heard(s), "6");
  assert.deepEqual(facts(act(b, purge())), { removed_messages: 1, first_seq: 7, last_seq: 6 });
  assert.deepEqual(facts(act(b, purge())), { removed_messages: 0, first_seq: 7, last_seq: 6 });
});

test("purge: beyond the last sequence is a mistake", () => {
  const b = bench();
  b.fill("foo", 5);
  assert.equal(refused(act(b, purge(6))), "BAD_REQUEST");
  assert.equal(b.core.find("foo")?.messages.messageCount, 5);
});

test("17.1: what a purge took from those who had it pending frees its place when it is due, as with limits", () => {
  const b = bench();
  const s = b.subscribe("foo", { startPosition: FIRST, maxInFlight: 2, ackWaitSecs: 5 });
  b.fill("foo", 5);
  assert.equal(b.heard(s), "1 2");
  act(b, purge(3));
  assert.equal(b.heard(s), "");
  b.pass(6000);
  assert.equal(b.heard(s), "4 5");
  // And nothing of it comes again.
  b.ack(s, 4, 5);
  b.pass(60_000);
  assert.equal(b.heard(s), "");
});

// Durables ---------------------------------------------------------------------------------------------------------------

const removeDurable = (parts: Partial<AdminTarget>, force = false): AdminRequest => ({
  kind: "deleteDurable",
  channel: "foo",
  target: target(parts),
  force,
});

test("delete-durable: an offline one is forgotten, its name begins anew", () => {
  const { b, store } = keeping();
  const s = b.subscribe("foo", D);
  b.fill("foo", 3);
  b.ack(s, 1);
  b.closeSubscription(s);
  assert.deepEqual(facts(act(b, removeDurable({ durableName: "D" }))), {
    last_sent: 3,
    pending_forgotten: 2,
    closed_subscriptions: 0,
  });
  assert.equal(store.subscriptionsOf("foo").size, 0);
  assert.equal(refused(act(b, removeDurable({ durableName: "D" }))), "NOT_FOUND");
  b.sent.length = 0;
  assert.equal(b.heard(b.subscribe("foo", D)), "1 2 3");
});

test("delete-durable: an online one needs force, and then hears no more", () => {
  const { b, store } = keeping();
  const s = b.subscribe("foo", D);
  b.fill("foo", 1);
  assert.equal(refused(act(b, removeDurable({ durableName: "D" }))), "CONFLICT");
  b.fill("foo", 1);
  assert.equal(b.heard(s), "1 2");
  assert.equal(facts(act(b, removeDurable({ durableName: "D" }, true)))["closed_subscriptions"], 1);
  assert.equal(store.subscriptionsOf("foo").size, 0);
  b.fill("foo", 1);
  b.pass(60_000);
  assert.equal(b.heard(s), "");
  assert.equal(b.postAck(s, 1), false);
});

test("delete-durable: of two clients' durables of one name the client tells which", () => {
  const b = bench();
  b.connect("you");
  b.closeSubscription(b.subscribe("foo", D));
  b.closeSubscription(b.subscribe("foo", { ...D, clientId: "you" }));
  assert.equal(refused(act(b, removeDurable({ durableName: "D" }))), "CONFLICT");
  assert.equal(refused(act(b, removeDurable({ durableName: "D", clientId: "they" }))), "NOT_FOUND");
  facts(act(b, removeDurable({ durableName: "D", clientId: "you" })));
  assert.deepEqual([...b.core.find("foo")!.durables.values()].map(({ record }) => record.clientId), ["me"]);
});

test("delete-durable: groups, offline and with members", () => {
  for (const isOnline of [false, true]) {
    const { b, store } = keeping();
    const members = [1, 2].map(() => b.subscribe("foo", { ...D, queueGroup: "g" }));
    b.fill("foo", 4);
    if (!isOnline) { for (const member of members) b.closeSubscription(member); }
    else assert.equal(refused(act(b, removeDurable({ durableName: "D", queueGroup: "g" }))), "CONFLICT");
    const done = facts(act(b, removeDurable({ durableName: "D", queueGroup: "g" }, isOnline)));
    assert.equal(done["last_sent"], 4);
    assert.equal(done["pending_forgotten"], 4);
    assert.equal(store.subscriptionsOf("foo").size, 0);
    assert.equal(b.core.find("foo")!.groups.size, 0);
    b.sent.length = 0;
    assert.equal(b.heard(b.subscribe("foo", { ...D, queueGroup: "g" })), "1 2 3 4");
    for (const member of members) assert.equal(b.heard(member), "");
  }
});

test("delete-durable: a plain group is no durable", () => {
  const b = bench();
  b.subscribe("foo", { queueGroup: "D:g" });
  assert.equal(refused(act(b, removeDurable({ durableName: "D", queueGroup: "g" }, true))), "NOT_FOUND");
  assert.equal(refused(act(b, removeDurable({ queueGroup: "D:g" }, true))), "BAD_REQUEST");
});

for (const queueGroup of ["", "g"]) {
  test(`delete-durable of ${queueGroup === "" ? "one" : "a group"}: what could not be made safe did not happen`, () => {
    const { b, store } = keeping();
    const s = b.subscribe("foo", { ...D, queueGroup });
    b.fill("foo", 3);
    b.ack(s, 2);
    b.closeSubscription(s);
    const before = [...store.subscriptionsOf("foo").values()].map((kept) => structuredClone(kept));
    assert.equal(refused(actOnBrokenDisk(b, removeDurable({ durableName: "D", queueGroup }))), "STORE_FAILED");
    assert.deepEqual([...store.subscriptionsOf("foo").values()], before);
    b.sent.length = 0;
    assert.equal(b.heard(b.subscribe("foo", { ...D, queueGroup })), "1r1 3r1");
    const again = b.restarted(store.state()!);
    assert.equal(again.core.find("foo")!.store.subscriptions.subscriptionCount, 1);
  });
}

test("delete-durable that fails: a name that was taken meanwhile stays with its new owner", () => {
  const b = bench();
  b.closeSubscription(b.subscribe("foo", D));
  const outcomes: AdminOutcome[] = [];
  b.driver.begin();
  b.core.administer(removeDurable({ durableName: "D" }), (outcome) => outcomes.push(outcome));
  const group = b.core.endTurn()[0]!;
  b.post("subscribe", b.subscribeRequest("foo", { ...D, inbox: "anew" }));
  finish(b, group, "the disk is full");
  b.core.effectsDone();
  b.turn();
  assert.equal(refused(outcomes[0]!), "STORE_FAILED");
  const { durables, subscriptions } = b.core.find("foo")!;
  assert.equal(durables.size, 1);
  assert.equal([...durables.values()][0], subscriptions[0]);
  b.fill("foo", 1);
  assert.equal(b.heard("anew"), "1");
});

// Rewind -----------------------------------------------------------------------------------------------------------------

test("rewind of an offline durable: it gets everything again, as first deliveries, also after a restart", () => {
  const { b, store } = keeping();
  const s = b.subscribe("foo", D);
  b.fill("foo", 5);
  b.ack(s, 1, 2, 4);
  b.closeSubscription(s);
  b.sent.length = 0;
  assert.deepEqual(facts(act(b, rewind(at(2)))), { last_sent_before: 5, last_sent: 1, pending_forgotten: 2 });
  const [kept] = store.subscriptionsOf("foo").values();
  assert.equal(kept!.record.lastSent, 1);
  assert.equal(kept!.pending.size, 0);
  assert.equal(b.heard(b.subscribe("foo", D)), "2 3 4 5");
});

test("rewind of an offline durable holds over a restart", () => {
  const { b, store } = keeping();
  const s = b.subscribe("foo", D);
  b.fill("foo", 5);
  b.closeSubscription(s);
  act(b, rewind(at(4)));
  const next = b.restarted(store.state()!);
  assert.equal(next.heard(next.subscribe("foo", D)), "4 5");
});

test("rewind of an online durable: what it has in flight is forgotten, and goes out again as new", () => {
  const b = bench();
  const s = b.subscribe("foo", { ...D, maxInFlight: 3 });
  b.fill("foo", 5);
  assert.equal(b.heard(s), "1 2 3");
  act(b, rewind(at(2)));
  assert.equal(b.heard(s), "2 3 4");
  // An ack of before is for a message that is pending again: there is no way to tell. One for another is unknown.
  b.ack(s, 1);
  assert.equal(b.heard(s), "");
  b.ack(s, 2);
  assert.equal(b.heard(s), "5");
  b.pass(5100);
  assert.equal(b.heard(s), "3r1 4r1 5r1");
});

test("rewind: nothing is delivered before the new position is safe", () => {
  const { b, store } = keeping();
  const s = b.subscribe("foo", { ...D, maxInFlight: 3 });
  b.fill("foo", 2);
  b.heard(s);
  const outcomes: AdminOutcome[] = [];
  b.driver.begin();
  b.core.administer(rewind({ kind: "first" }), (outcome) => outcomes.push(outcome));
  const group = b.core.endTurn()[0]!;
  b.fill("foo", 1);
  b.pass(20_000);
  assert.equal(b.heard(s), "");
  assert.deepEqual(outcomes, []);
  assert.equal(refused(act(b, rewind({ kind: "first" }))), "CONFLICT");
  finish(b, group);
  b.core.effectsDone();
  b.turn();
  facts(outcomes[0]!);
  assert.equal(b.heard(s), "1 2 3");
  const [kept] = store.subscriptionsOf("foo").values();
  assert.deepEqual([...kept!.pending], [1, 2, 3]);
});

test("rewind that could not be made safe: position, pending and redelivery counts are as before", () => {
  const { b, store } = keeping();
  const s = b.subscribe("foo", { ...D, maxInFlight: 2 });
  b.fill("foo", 4);
  b.pass(5100);
  assert.equal(b.heard(s), "1 2 1r1 2r1");
  assert.equal(refused(actOnBrokenDisk(b, rewind(at(4)))), "STORE_FAILED");
  const [kept] = store.subscriptionsOf("foo").values();
  assert.equal(kept!.record.lastSent, 2);
  assert.deepEqual([...kept!.pending], [1, 2]);
  assert.equal(b.heard(s), "");
  b.pass(5100);
  assert.equal(b.heard(s), "1r2 2r2");
  b.ack(s, 1, 2);
  assert.equal(b.heard(s), "3 4");
});

test("rewind: forward skips, to the end leaves only what comes", () => {
  const b = bench();
  const s = b.subscribe("foo", { ...D, maxInFlight: 1 });
  b.fill("foo", 5);
  assert.equal(b.heard(s), "1");
  assert.equal(facts(act(b, rewind(at(6))))["last_sent"], 5);
  b.pass(20_000);
  assert.equal(b.heard(s), "");
  b.fill("foo", 1);
  assert.equal(b.heard(s), "6");
});

test("rewind: every kind of position", () => {
  const positions: [RewindPosition, string][] = [
    [{ kind: "first" }, "3 4 5"],
    [{ kind: "last" }, "5"],
    [at(1), "3 4 5"],
    [at(4), "4 5"],
    [at(6), ""],
  ];
  for (const ms of [-1000, 0, 3000, 4000, 4001, 5000, 99_000]) {
    const ns = BigInt(EPOCH_MS + ms) * 1_000_000n;
    const expected = ms <= 3000 ? "3 4 5" : ms <= 4000 ? "4 5" : ms <= 5000 ? "5" : "";
    positions.push([{ kind: "time", stampHigh: Number(ns >> 32n), stampLow: Number(ns & 0xffff_ffffn) }, expected]);
  }
  for (const [to, expected] of positions) {
    const b = bench();
    for (let i = 1; i <= 5; i++) {
      b.driver.nowMs = i * 1000;
      b.fill("foo", 1);
    }
    act(b, purge(2));
    const s = b.subscribe("foo", { ...D, ackWaitSecs: 30 });
    assert.equal(b.heard(s), "3 4 5");
    facts(act(b, rewind(to)));
    assert.equal(b.heard(s), expected, JSON.stringify(to));
  }
});

test("rewind: positions that cannot be are refused, an empty channel has only its beginning", () => {
  const b = bench();
  b.subscribe("foo", D);
  for (const to of [{ kind: "first" }, { kind: "last" }, at(1)] as RewindPosition[]) {
    assert.equal(facts(act(b, rewind(to)))["last_sent"], 0);
  }
  b.fill("foo", 3);
  for (const sequence of [0, 5, 99]) assert.equal(refused(act(b, rewind(at(sequence)))), "BAD_REQUEST");
});

test("rewind of a durable group: what its members have is forgotten, the group goes on together", () => {
  const { b, store } = keeping();
  const members = [1, 2].map(() => b.subscribe("foo", { ...D, queueGroup: "g", maxInFlight: 2 }));
  b.fill("foo", 6);
  b.pass(5010);
  for (const member of members) assert.match(b.heard(member), /r1/);
  const done = facts(act(b, rewind(at(2), { durableName: "D", queueGroup: "g" })));
  assert.equal(done["last_sent"], 1);
  assert.ok(Number(done["pending_forgotten"]) >= 4);
  const got = members.map((member) => b.delivered(member)).flat();
  assert.deepEqual(got.map(({ sequence }) => sequence).sort(), [2, 3, 4, 5]);
  assert.ok(got.every(({ count }) => count === 0));
  b.pass(5010);
  const again = members.map((member) => b.delivered(member)).flat();
  for (const sequence of [2, 3, 4, 5]) {
    const counts = again.filter((one) => one.sequence === sequence).map(({ count }) => count);
    assert.equal(Math.min(...counts), 1, `${sequence} was counted from the beginning`);
  }
  for (const member of members) b.closeSubscription(member);
  act(b, rewind(at(5), { durableName: "D", queueGroup: "g" }));
  const next = b.restarted(store.state()!);
  assert.equal(next.heard(next.subscribe("foo", { ...D, queueGroup: "g" })), "5 6");
});

test("rewind of a durable group that could not be made safe: each member keeps what it had", () => {
  const { b, store } = keeping();
  const members = [1, 2].map(() => b.subscribe("foo", { ...D, queueGroup: "g", maxInFlight: 2 }));
  b.fill("foo", 6);
  for (const member of members) b.heard(member);
  const before = [...store.subscriptionsOf("foo").values()].map(({ pending }) => [...pending].sort());
  assert.equal(
    refused(actOnBrokenDisk(b, rewind({ kind: "first" }, { durableName: "D", queueGroup: "g" }))),
    "STORE_FAILED",
  );
  assert.deepEqual([...store.subscriptionsOf("foo").values()].map(({ pending }) => [...pending].sort()), before);
  for (const member of members) assert.equal(b.heard(member), "");
  for (const member of members) b.ack(member, 1, 2, 3, 4);
  const got = members.map((member) => b.delivered(member)).flat().map(({ sequence }) => sequence);
  assert.deepEqual(got.sort(), [5, 6]);
});

test("rewind and a client that closes before it is safe: the new position holds, and the old one when it fails", () => {
  for (const fails of [false, true]) {
    const { b, store } = keeping();
    const s = b.subscribe("foo", D);
    b.fill("foo", 4);
    const outcomes: AdminOutcome[] = [];
    b.driver.begin();
    b.core.administer(rewind(at(2)), (outcome) => outcomes.push(outcome));
    const group = b.core.endTurn()[0]!;
    b.closeSubscription(s);
    if (fails) finish(b, group, "the disk is full");
    else finish(b, group);
    b.core.effectsDone();
    b.turn();
    assert.equal(outcomes[0]!.ok, !fails);
    b.sent.length = 0;
    const expected = fails ? "1r1 2r1 3r1 4r1" : "2 3 4";
    assert.equal(b.heard(b.subscribe("foo", D)), expected);
    assert.equal(store.subscriptionsOf("foo").size, 1);
  }
});

// Pause ------------------------------------------------------------------------------------------------------------------

const hold = (kind: "pause" | "resume", parts: Partial<AdminTarget>): AdminRequest => ({
  kind,
  channel: "foo",
  target: target(parts),
});

test("pause: nothing new and nothing again, acks count, resume brings both in order", () => {
  const b = bench();
  const s = b.subscribe("foo", { startPosition: FIRST, ackWaitSecs: 5 });
  b.fill("foo", 3);
  assert.equal(b.heard(s), "1 2 3");
  assert.deepEqual(facts(act(b, hold("pause", { clientId: "me" }))), {
    subscriptions: 1,
    changed: 1,
    is_paused: true,
    note: "Not kept over a restart of the server",
  });
  assert.equal(facts(act(b, hold("pause", { clientId: "me" })))["changed"], 0);
  b.fill("foo", 2);
  b.ack(s, 2);
  b.pass(60_000);
  assert.equal(b.heard(s), "");
  assert.equal(b.core.find("foo")!.subscriptions[0]!.pending.count, 2);
  facts(act(b, hold("resume", { clientId: "me" })));
  b.pass(20);
  const got = b.delivered(s);
  assert.deepEqual(got.filter(({ count }) => count > 0).map(({ sequence }) => sequence), [1, 3]);
  assert.deepEqual(got.filter(({ count }) => count === 0).map(({ sequence }) => sequence), [4, 5]);
  // The rhythm goes on.
  b.ack(s, 1, 3, 4);
  b.pass(5100);
  assert.equal(b.heard(s), "5r1");
});

test("8.2: clients of paused subscriptions are asked for heartbeats, and given up without answers", () => {
  const b = bench({ core: { heartbeatIntervalMs: 1000, heartbeatTimeoutMs: 500, heartbeatFailCount: 2 } });
  b.subscribe("foo");
  act(b, hold("pause", { clientId: "me" }));
  b.pass(3500);
  assert.equal(b.requests.length, 3);
  b.manners.set("_INBOX.hb.me", "silent");
  b.pass(20_000);
  assert.equal(b.core.clients.count, 0);
  assert.equal(b.core.find("foo")!.subscriptions.length, 0);
});

test("pause of a durable outlasts its client; its next life waits, too", () => {
  const b = bench();
  const s = b.subscribe("foo", D);
  b.fill("foo", 2);
  b.ack(s, 1);
  b.heard(s);
  act(b, hold("pause", { durableName: "D" }));
  b.closeSubscription(s);
  const again = b.subscribe("foo", D);
  b.fill("foo", 1);
  b.pass(20_000);
  assert.equal(b.heard(again), "");
  act(b, hold("resume", { durableName: "D" }));
  b.pass(20);
  assert.equal(b.heard(again), "2r1 3");
});

test("18.6: pause of a group: what a member leaves waits with the others, and with who joins", () => {
  const b = bench();
  const members: Subscriber[] = [1, 2].map(() =>
    b.subscribe("foo", { queueGroup: "g", ackWaitSecs: 5, maxInFlight: 2 })
  );
  b.fill("foo", 4);
  for (const member of members) b.heard(member);
  act(b, hold("pause", { queueGroup: "g" }));
  b.unsubscribe(members[0]!);
  const third = b.subscribe("foo", { queueGroup: "g", ackWaitSecs: 5 });
  b.fill("foo", 2);
  b.pass(60_000);
  assert.equal(b.heard(members[1]!), "");
  assert.equal(b.heard(third), "");
  act(b, hold("resume", { queueGroup: "g" }));
  b.pass(200);
  const got = [members[1]!, third].map((member) => b.delivered(member)).flat();
  assert.deepEqual([...new Set(got.map(({ sequence }) => sequence))].sort(), [1, 2, 3, 4, 5, 6]);
  for (const { sequence, count } of got) assert.equal(count > 0, sequence < 5, `${sequence}`);
});

test("18.6 step 5: what a member leaves to a paused group comes 100 ms after its leave, however soon the group is resumed", () => {
  const b = bench();
  const members: Subscriber[] = [1, 2].map(() => b.subscribe("foo", { queueGroup: "g", ackWaitSecs: 5 }));
  b.fill("foo", 4);
  for (const member of members) b.heard(member);
  act(b, hold("pause", { queueGroup: "g" }));
  b.unsubscribe(members[0]!);
  b.pass(30);
  act(b, hold("resume", { queueGroup: "g" }));
  b.pass(60);
  assert.equal(b.heard(members[1]!), "");
  b.pass(20);
  assert.equal(b.delivered(members[1]!).length, 2);
});

test("pause: targets that name nothing, and the hint for members of a group", () => {
  const b = bench();
  b.subscribe("foo", { queueGroup: "g" });
  assert.equal(refused(act(b, hold("pause", {}))), "BAD_REQUEST");
  assert.equal(refused(act(b, hold("pause", { queueGroup: "h" }))), "NOT_FOUND");
  assert.equal(refused(act(b, hold("pause", { durableName: "D" }))), "NOT_FOUND");
  const outcome = act(b, hold("pause", { clientId: "me" }));
  assert.ok(!outcome.ok);
  assert.equal(outcome.code, "NOT_FOUND");
  assert.match(outcome.message, /queue_name/);
});

test("pause and rewind: what is rewound while it is paused waits for the resume", () => {
  const b = bench();
  const s = b.subscribe("foo", D);
  b.fill("foo", 2);
  b.heard(s);
  act(b, hold("pause", { durableName: "D" }));
  act(b, rewind({ kind: "first" }));
  b.pass(20_000);
  assert.equal(b.heard(s), "");
  act(b, hold("resume", { durableName: "D" }));
  assert.equal(b.heard(s), "1 2");
});

test("23.5: pause of a subscription that waits for its client after a restart, with nothing pending", () => {
  const { b, store } = keeping();
  const s = b.subscribe("foo", D);
  b.deaf.add(s.inbox);
  const next = b.restarted(store.state()!);
  act(next, hold("pause", { durableName: "D" }));
  next.deaf.clear();
  next.pass(30_000);
  act(next, hold("resume", { durableName: "D" }));
  next.pass(100);
  next.fill("foo", 1);
  assert.equal(next.heard(s), "1");
});

test("23.5: pause of a subscription that waits for its client after a restart", () => {
  const { b, store } = keeping();
  const s = b.subscribe("foo", D);
  b.fill("foo", 2);
  b.heard(s);
  b.deaf.add(s.inbox);
  const next = b.restarted(store.state()!);
  act(next, hold("pause", { durableName: "D" }));
  next.deaf.clear();
  next.pass(30_000);
  assert.equal(next.heard(s), "");
  act(next, hold("resume", { durableName: "D" }));
  next.pass(100);
  next.publish("foo", "x", { clientId: "me", connectionId: "conn-me" });
  next.pass(100);
  assert.equal(next.heard(s), "1r1 2r1 3");
});

// Browsing ---------------------------------------------------------------------------------------------------------------

test("browse: pages up and down, and nothing is delivered because of it", () => {
  const b = bench();
  b.fill("foo", 10);
  const before = b.sent.length;
  assert.equal(sequences(browse(b, { from: 1, limit: 3, isBackward: false })), "1 2 3");
  assert.equal(sequences(browse(b, { from: 9, limit: 5, isBackward: false })), "9 10");
  assert.equal(sequences(browse(b, { from: 99, limit: 3, isBackward: true })), "10 9 8");
  assert.equal(sequences(browse(b, { from: 2, limit: 3, isBackward: true })), "2 1");
  assert.equal(sequences(browse(b, { from: 11, limit: 3, isBackward: false })), "");
  act(b, purge(4));
  assert.equal(sequences(browse(b, { from: 1, limit: 3, isBackward: false })), "5 6 7");
  assert.equal(sequences(browse(b, { from: 4, limit: 3, isBackward: true })), "");
  assert.equal(b.sent.length, before);
});

test("browse: what is not safe yet is not shown", () => {
  const b = bench();
  b.fill("foo", 2);
  b.post("publish", b.publishRequest("foo", "x"));
  assert.equal(sequences(browse(b, { from: 1, limit: 9, isBackward: false })), "1 2");
  b.turn();
  assert.equal(sequences(browse(b, { from: 1, limit: 9, isBackward: false })), "1 2 3");
});

test("browse: long payloads are cut, long pages end early", () => {
  const b = bench();
  b.publish("foo", "a".repeat(65_536));
  b.publish("foo", "b".repeat(65_537), { reply: "answer.here" });
  for (let i = 0; i < 60; i++) b.publish("foo", "c".repeat(65_536));
  const result = browse(b, { from: 1, limit: 100, isBackward: false });
  assert.ok(result.kind === "page");
  const [first, second] = result.messages;
  assert.deepEqual([first!.data.length, first!.sizeBytes], [65_536, 65_536]);
  assert.deepEqual([second!.data.length, second!.sizeBytes, second!.reply], [65_536, 65_537, "answer.here"]);
  assert.equal(byteString(second!.data, 0, 3), "bbb");
  assert.equal(result.messages.length, 32);
});

test("15.2: browse: messages that have to be fetched come when they were, deliveries of others go on", () => {
  const fetched = new Set<number>();
  const b = bench();
  b.fill("foo", 5);
  const s = b.subscribe("foo");
  const channel = b.core.find("foo")!;
  const lookup = channel.messages.lookup.bind(channel.messages);
  channel.messages.lookup = (sequence, into) =>
    sequence > 5 || fetched.has(sequence) ? lookup(sequence, into) : LOOKUP_LATER;
  const results: BrowseResult[] = [];
  b.core.browse({ channel, from: 2, limit: 3, isBackward: false }, (found) => results.push(found));
  b.fill("foo", 1);
  assert.equal(b.heard(s), "6");
  for (const sequence of [2, 3, 4]) {
    assert.deepEqual(results, []);
    fetched.add(sequence);
    channel.messages.onReadable?.();
  }
  assert.equal(sequences(results[0]!), "2 3 4");
  // A bounded number may wait.
  fetched.clear();
  const kinds: string[] = [];
  for (let i = 0; i < 33; i++) {
    b.core.browse({ channel, from: 2, limit: 1, isBackward: false }, (found) => kinds.push(found.kind));
  }
  assert.deepEqual(kinds, ["busy"]);
});

test("an action is answered in the order of what was staged before it", () => {
  const b = bench();
  const order: string[] = [];
  const s = b.subscribe("foo", { startPosition: FIRST });
  b.post("publish", b.publishRequest("foo", "x"), "the publisher");
  b.core.administer(purge(), (outcome) => order.push(outcome.ok ? "purged" : outcome.message));
  b.turn();
  assert.deepEqual(order, ["purged"]);
  assert.equal(b.error("publish", b.answer("the publisher")), "");
  // It was removed before anybody could have it, as a limit does it.
  assert.equal(b.heard(s), "");
  b.fill("foo", 1);
  assert.equal(b.heard(s), "2");
});

test("a store that refuses to stage: nothing was changed, and the reason is told", () => {
  const b = bench();
  const s = b.subscribe("foo", D);
  b.fill("foo", 2);
  b.heard(s);
  const channel = b.core.find("foo")!;
  channel.store.subscriptions.replace = () => {
    throw new StoreError("STORE_IO", "no room");
  };
  const outcome = act(b, rewind({ kind: "first" }));
  assert.equal(refused(outcome), "STORE_FAILED");
  b.pass(100);
  assert.equal(b.heard(s), "");
  b.pass(5100);
  assert.equal(b.heard(s), "1r1 2r1");
});
