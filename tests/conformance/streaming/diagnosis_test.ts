/** Decision 20: what shows at a client as a time-out and nowhere else is counted, and named in one line of the log. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectRequest, openWire, publishRequest, subscribeRequest, type Wire } from "./wire_support.ts";

function warnings(wire: Wire): string[] {
  return wire.log.filter((line) => line.includes("[WRN]")).map((line) => line.replace(/^.*STREAM: /, ""));
}

test("decision 20: a connect to another cluster ID is named once per interval, and fails as fast as before", async () => {
  const wire = await openWire();
  const client = wire.client();
  for (let i = 0; i < 3; i++) {
    const answer = client.ask("_STAN.discover.other", connectRequest("lost"));
    // Looking on is no interest: the client learns at once that nobody is there (2.4).
    assert.match(answer?.headers ?? "", /^NATS\/1\.0 503/);
  }
  assert.deepEqual(warnings(wire), [
    'Client "lost" tries to connect on "_STAN.discover.other", which is another cluster ID: this server answers on ' +
    '"_STAN.discover.test-cluster"',
  ]);
  assert.equal(wire.server.core!.counters.otherClusterConnects, 3);
  wire.pass(30_000);
  client.ask("_STAN.discover.else", connectRequest("lost"));
  assert.match(warnings(wire)[1]!, /_STAN\.discover\.else.* \(2 more since the last line\)$/);
});

test("decision 20: own connects, pings and garbage are no strays", async () => {
  const wire = await openWire();
  const client = wire.client();
  client.connectStan("me");
  client.ask("_STAN.discover.other", Uint8Array.of(1, 2, 3));
  client.ask("_STAN.discover.other.pings", connectRequest("x"));
  assert.equal(wire.server.core!.counters.otherClusterConnects, 0);
  assert.deepEqual(warnings(wire), []);
});

test("decision 20: another server that takes the request answers it, as if nobody looked on", async () => {
  const wire = await openWire();
  const other = wire.client();
  other.subscribe("_STAN.discover.other");
  other.answering.add("_STAN.discover.other");
  const answer = wire.client().ask("_STAN.discover.other", connectRequest("theirs"));
  assert.deepEqual([answer?.headers, answer?.payload.length], ["", 0]);
  assert.equal(wire.server.core!.counters.otherClusterConnects, 1);
});

test("decision 20: an answer and a delivery that reach nobody are counted and named", async () => {
  const wire = await openWire();
  const client = wire.client();
  client.connectStan("me");
  // As with a user who may not subscribe to inboxes: the requests arrive, the answers do not.
  client.publish("_STAN.sub.test-cluster", subscribeRequest("foo", "_INBOX.forbidden"), "_INBOX.also");
  assert.match(warnings(wire)[0]!, /^An answer was sent to "_INBOX\.also", where nobody listens: /);
  wire.pass(30_000);
  client.publish("_STAN.pub.test-cluster.foo", publishRequest("foo"));
  assert.match(
    warnings(wire)[1]!,
    /^A message of channel "foo" for client "me" was sent to "_INBOX\.forbidden", where nobody listens: /,
  );
  assert.equal(wire.server.core!.counters.unheard, 2);
});

test("decision 20: a publisher that left, and a subscriber that was heard from, are no mistakes", async () => {
  const wire = await openWire();
  const client = wire.client();
  client.connectStan("me");
  client.publish("_STAN.pub.test-cluster.foo", publishRequest("foo"), "_STAN.acks.nobody");
  const ackInbox = client.subscribeStan("foo", "in");
  client.publishStan("foo");
  client.publish(ackInbox, Uint8Array.of(0x0a, 3, 0x66, 0x6f, 0x6f, 0x10, 2));
  client.send("UNSUB 3\r\n");
  const sids = client.take("in").length;
  assert.equal(sids, 1);
  for (let sid = 1; sid < 9; sid++) client.send(`UNSUB ${sid}\r\n`);
  client.publish("_STAN.pub.test-cluster.foo", publishRequest("foo"));
  assert.deepEqual(warnings(wire), []);
  assert.equal(wire.server.core!.counters.unheard, 2);
});

test("decision 20: two living clients with one ID are named", async () => {
  const wire = await openWire();
  wire.client().connectStan("me");
  const second = wire.client();
  for (let i = 0; i < 2; i++) second.ask(wire.discover, connectRequest("me", { heartbeatInbox: "_INBOX.second" }));
  assert.deepEqual(warnings(wire), [
    'Client ID "me" is in use: a second client (heartbeat inbox "_INBOX.second") was refused. Every client needs an ID of ' +
    "its own",
  ]);
  assert.equal(wire.server.core!.counters.duplicateClients, 2);
});

test("decision 20: an ID that is taken over again within a minute is named, one that is taken over once is not", async () => {
  const wire = await openWire();
  for (let i = 0; i < 3; i++) {
    const client = wire.client();
    client.connectStan("me", { connectionId: `life-${i}`, heartbeatInbox: `_INBOX.hb.${i}` });
    client.break();
    if (i === 1) assert.deepEqual(warnings(wire), []);
    wire.pass(1000);
  }
  assert.match(warnings(wire)[0]!, /^Client ID "me" is taken over again within 60 seconds: /);
  assert.equal(wire.server.core!.counters.replacedClients, 2);
});
