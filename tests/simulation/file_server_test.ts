/**
 * The whole server on a disk that refuses or takes its time (decision 16; streaming-protocol.md 11): what publishers and
 * subscribers see, and what a restart after a power cut finds.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedDisk } from "./disk.ts";
import { HEARTBEAT_MS, type Inbox, SimulatedServer, texts } from "./file_server.ts";
import { Machine } from "./machine.ts";
import { Random } from "./random.ts";

async function begin(): Promise<{ machine: Machine; disk: SimulatedDisk; server: SimulatedServer }> {
  const machine = new Machine();
  const disk = new SimulatedDisk(machine, new Random(4));
  const server = new SimulatedServer(machine, disk);
  await server.start();
  return { machine, disk, server };
}

const errorsOf = (inboxes: readonly Inbox[]) =>
  inboxes.map((inbox) => {
    const [answer] = inbox.decoded("PubAck");
    return answer === undefined ? "no answer" : String(answer["error"]);
  });

/** A power cut, and the next process. */
async function restart(machine: Machine, disk: SimulatedDisk): Promise<SimulatedServer> {
  disk.cutPower();
  disk.capacityBytes = 1 << 30;
  disk.reboot();
  const server = new SimulatedServer(machine, disk);
  await server.start();
  return server;
}

/** What a subscriber that begins at the front gets. */
async function readAll(server: SimulatedServer, clientId: string, channel: string): Promise<string[]> {
  await server.connect(clientId);
  const inbox = server.inbox(`_INBOX.all.${clientId}`);
  server.subscribe(clientId, channel, inbox);
  await server.machine.advance(50);
  return texts(inbox);
}

test("decision 16: on a full disk every publisher of the turn gets an error without a path, and all else goes on", async () => {
  const { machine, disk, server } = await begin();
  const heartbeats = await server.connect("me");
  const inbox = server.inbox("_INBOX.mine");
  const subscribed = server.subscribe("me", "foo", inbox);
  await machine.advance(5);
  const acked = [1, 2, 3].map((i) => server.publish("me", "foo", `kept-${i}`));
  await machine.advance(5);
  assert.deepEqual(errorsOf(acked), ["", "", ""]);
  assert.deepEqual(texts(inbox), ["kept-1", "kept-2", "kept-3"]);

  disk.capacityBytes = disk.usedBytes + 40;
  const refused = [1, 2, 3].map((i) => server.publish("me", "foo", `lost-${i}-${"x".repeat(100)}`));
  await machine.advance(5);
  const later = [4, 5].map((i) => server.publish("me", "foo", `lost-${i}`));
  await machine.advance(5);
  for (const error of errorsOf([...refused, ...later])) {
    assert.match(error, /^stan: not stored: no space left on the disk of the store/);
    assert.ok(!error.includes("/"), `"${error}" has a path`);
  }
  assert.equal(texts(inbox).length, 3, "nothing refused is delivered");

  // Deliveries, acks and heartbeats.
  const late = server.inbox("_INBOX.late");
  const beats = heartbeats.payloads.length;
  const [answer] = subscribed.decoded("SubscriptionResponse");
  server.ack(String(answer!["ackInbox"]), "foo", 1); // It was answered above.
  await machine.advance(HEARTBEAT_MS * 3);
  assert.ok(heartbeats.payloads.length >= beats + 2, "heartbeats stopped");
  assert.equal(server.core.clients.byId.size, 1, "the client was given up");
  const pinged = server.ping("me");
  await machine.advance(5);
  assert.equal(pinged.payloads.length, 1, "pings are not answered");
  assert.equal(server.failure, undefined, "the server is not to stop");
  assert.equal(server.core.counters.acked, 1);

  disk.capacityBytes = 1 << 30;
  await machine.advance(1100);
  server.subscribe("me", "foo", late);
  const again = server.publish("me", "foo", "kept-4");
  await machine.advance(20);
  assert.deepEqual(errorsOf([again]), [""], "it takes messages again by itself");
  assert.deepEqual(texts(inbox), ["kept-1", "kept-2", "kept-3", "kept-4"]);
  assert.deepEqual(texts(late), ["kept-1", "kept-2", "kept-3", "kept-4"]);

  const next = await restart(machine, disk);
  assert.deepEqual(await readAll(next, "other", "foo"), ["kept-1", "kept-2", "kept-3", "kept-4"]);
});

test("decision 16: a failed sync is an error for every publisher of its turn, also on other channels", async () => {
  const { machine, disk, server } = await begin();
  await server.connect("me");
  const before = server.publish("me", "foo", "kept");
  await machine.advance(5);
  disk.weather.syncErrors = 100;
  const refused = [server.publish("me", "foo", "a"), server.publish("me", "foo", "b")];
  await machine.advance(5);
  disk.weather.syncErrors = 0;
  assert.deepEqual(errorsOf([before]), [""]);
  for (const error of errorsOf(refused)) assert.match(error, /does not accept writes, try again later$/);
  await machine.advance(1100);
  const after = server.publish("me", "foo", "kept too");
  await machine.advance(5);
  assert.deepEqual(errorsOf([after]), [""]);
  assert.deepEqual(await readAll(await restart(machine, disk), "other", "foo"), ["kept", "kept too"]);
});

test("decision 16: a message that is taken back before its turn ends is not acknowledged by the flush that follows", async () => {
  const { machine, disk, server } = await begin();
  await server.connect("me");
  server.publish("me", "foo", "kept");
  await machine.advance(5);
  disk.holdsSyncs = true;
  disk.weather.syncErrors = 100;
  const first = server.publish("me", "foo", "a");
  await machine.advance(5);
  // Staged, and its turn not over, when the sync of the turn before fails. Its own would go well.
  disk.releaseSyncs();
  machine.after(0, () => disk.weather.syncErrors = 0);
  const second = server.publish("me", "foo", "b");
  await machine.advance(5);
  await machine.advance(1100);
  for (const error of errorsOf([first, second])) assert.match(error, /^stan: not stored/);
  assert.deepEqual(await readAll(await restart(machine, disk), "other", "foo"), ["kept"]);
});

test("decision 16: a subscription that cannot be stored gets an error and leaves nothing behind", async () => {
  const { machine, disk, server } = await begin();
  await server.connect("me");
  server.publish("me", "foo", "kept");
  await machine.advance(5);
  disk.weather.syncErrors = 100;
  const inbox = server.inbox("_INBOX.never");
  const answers = ["", "durable"].map((name) => server.subscribe("me", "foo", inbox, name));
  await machine.advance(5);
  for (const answer of answers) {
    const [response] = answer.decoded("SubscriptionResponse");
    assert.match(String(response?.["error"]), /^stan: /);
    assert.equal(response?.["ackInbox"], "");
  }
  disk.weather.syncErrors = 0;
  await machine.advance(2500);
  assert.deepEqual(texts(inbox), []);
  assert.equal(server.store.channel("foo")?.subscriptions.subscriptionCount, 0);
  const next = await restart(machine, disk);
  assert.equal(next.store.channel("foo")?.subscriptions.subscriptionCount, 0);
});

test("style 2: a slow sync holds up the answers of its turn, not heartbeats, pings and deliveries", async () => {
  const { machine, disk, server } = await begin();
  const heartbeats = await server.connect("me");
  const inbox = server.inbox("_INBOX.mine");
  server.subscribe("me", "foo", inbox);
  for (const channel of ["foo", "bar"]) server.publish("me", channel, `${channel}-1`);
  await machine.advance(5);
  const other = server.inbox("_INBOX.bar");
  server.subscribe("me", "bar", other);
  await machine.advance(5);

  disk.holdsSyncs = true;
  const slow = server.publish("me", "foo", "foo-2");
  await machine.advance(5);
  assert.ok(disk.heldSyncCount > 0, "a sync is held");
  const beats = heartbeats.payloads.length;
  await machine.advance(HEARTBEAT_MS * 4);
  assert.ok(heartbeats.payloads.length >= beats + 3, "heartbeats wait for the disk");
  const pinged = server.ping("me");
  await machine.advance(5);
  assert.equal(pinged.payloads.length, 1, "pings wait for the disk");
  assert.deepEqual(texts(other), ["bar-1"], "what was visible is delivered");
  assert.deepEqual(errorsOf([slow]), ["no answer"], "not acknowledged before it is safe");
  assert.deepEqual(texts(inbox), ["foo-1"], "not delivered before it is safe");

  disk.releaseSyncs();
  await machine.advance(5);
  assert.deepEqual(errorsOf([slow]), [""]);
  assert.deepEqual(texts(inbox), ["foo-1", "foo-2"]);
});
