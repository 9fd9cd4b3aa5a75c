/**
 * Statements of nats-server.md 16 that speak of time, and those about consumers that do not read: on a platform whose clock
 * and sockets are moved by hand, so that the bounds are exact and nothing waits. Not for the reference.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NatsServer, NatsServerOptions } from "../../../src/nats/nats_server.ts";
import { FakeRuntime, type FakeSocket } from "../../helpers/fake_runtime.ts";
import { createNats, pub, RecordedLog } from "../../helpers/nats_server.ts";

interface World {
  readonly runtime: FakeRuntime;
  readonly nats: NatsServer;
  readonly log: RecordedLog;
  /** A client that has sent CONNECT; its INFO is taken. */
  client(connect?: string): FakeSocket;
  /** The client sends; the turn ends. */
  send(socket: FakeSocket, text: string): void;
}

async function makeWorld(options: Partial<NatsServerOptions> = {}): Promise<World> {
  const runtime = new FakeRuntime();
  const log = new RecordedLog();
  const nats = createNats(runtime.asRuntime(), { disableShortFirstPing: false, ...options }, log);
  await nats.listen();
  const send = (socket: FakeSocket, text: string) => {
    socket.send(text);
    runtime.turn();
  };
  const client = (connect = '{"verbose":false,"pedantic":false}') => {
    const socket = runtime.dial();
    if (connect !== "") send(socket, `CONNECT ${connect}\r\n`);
    socket.take();
    return socket;
  };
  return { runtime, nats, log, client, send };
}

/** Moves the clock in small steps until the socket gets something or ends; returns the time that took and what came. */
function nextOutput(world: World, socket: FakeSocket, limitMs: number): { afterMs: number; text: string } {
  for (let afterMs = 10; afterMs <= limitMs; afterMs += 10) {
    world.runtime.advance(10);
    const text = socket.take();
    if (text !== "" || socket.ended || socket.destroyed) return { afterMs, text };
  }
  return { afterMs: Infinity, text: "" };
}

function within(value: number, low: number, high: number): void {
  assert.ok(value >= low && value <= high, `${value} is not within ${low} and ${high}`);
}

test("nats 16: 59. the first PING comes 2.0 to 2.5 s after CONNECT, also to a busy client", async () => {
  const world = await makeWorld();
  const client = world.client();
  let afterMs = 0;
  while (client.take() === "") {
    world.send(client, pub("foo", "x"));
    world.runtime.advance(10);
    afterMs += 10;
    assert.ok(afterMs <= 2500);
  }
  within(afterMs, 2000, 2500);
});

test("nats 16: 59. without CONNECT the first PING comes after the whole interval", async () => {
  const world = await makeWorld();
  const { afterMs, text } = nextOutput(world, world.client(""), 200_000);
  assert.equal(text, "PING\r\n");
  within(afterMs, 120_000, 144_100);
});

test("nats 16: 60. a silent client: PING, PING, Stale Connection, close", async () => {
  const world = await makeWorld({ pingIntervalMs: 1000 });
  const client = world.client();
  const first = nextOutput(world, client, 5000);
  assert.equal(first.text, "PING\r\n");
  within(first.afterMs, 1000, 1250);
  const second = nextOutput(world, client, 5000);
  assert.equal(second.text, "PING\r\n");
  within(second.afterMs, 1000, 1250);
  const third = nextOutput(world, client, 5000);
  assert.equal(third.text, "-ERR 'Stale Connection'\r\n");
  within(first.afterMs + second.afterMs + third.afterMs, 3000, 3800);
  assert.ok(client.ended && !client.destroyed);
  assert.equal(world.nats.connections.size, 0);
});

test("nats 3.7: any PONG clears the outstanding PINGs", async () => {
  const world = await makeWorld({ pingIntervalMs: 1000 });
  const client = world.client();
  for (let round = 0; round < 20; round++) {
    const { text, afterMs } = nextOutput(world, client, 5000);
    assert.equal(text, "PING\r\n");
    within(afterMs, 990, 2300);
    world.runtime.advance(3);
    // One of two PINGs is not answered.
    if (round % 2 === 1) world.send(client, "PONG\r\n");
  }
  assert.ok(!client.ended);
});

test("nats 3.7: a busy client is not pinged once its round trip time is known, except once an hour", async () => {
  const world = await makeWorld();
  const client = world.client();
  assert.equal(nextOutput(world, client, 5000).text, "PING\r\n");
  world.runtime.advance(2);
  world.send(client, "PONG\r\n");
  assert.ok([...world.nats.connections.values()][0]!.rttMs >= 2); // There is one.
  let quietMs = 0;
  while (true) {
    world.send(client, "PUB foo 1\r\nx\r\n");
    world.runtime.advance(30_000);
    quietMs += 30_000;
    if (client.take() !== "") break;
    assert.ok(quietMs < 5_000_000);
  }
  within(quietMs, 3_600_000, 3_600_000 + 300_000);
});

test("nats 3.7: after days without a connection the first timer costs nothing and is in time", async () => {
  const world = await makeWorld();
  world.runtime.advance(30 * 86_400_000);
  const client = world.client();
  const { afterMs, text } = nextOutput(world, client, 3000);
  assert.equal(text, "PING\r\n");
  within(afterMs, 2000, 2500);
});

test("nats 16: 130. 1000 connections with half a control line are closed by the ping rules", async () => {
  const world = await makeWorld({ pingMax: 1 });
  const clients: FakeSocket[] = [];
  for (let i = 0; i < 1000; i++) {
    const client = world.client("");
    world.send(client, `PUB ${"a".repeat(i * 4)}`);
    clients.push(client);
  }
  assert.equal(world.nats.connections.size, 1000);
  world.runtime.advance(300_000);
  assert.equal(world.nats.connections.size, 0);
  for (const client of clients) {
    assert.equal(client.take(), "PING\r\n-ERR 'Stale Connection'\r\n");
    assert.ok(client.ended);
  }
});

test("nats 16: 62. a flush that makes no progress for write_deadline ends the consumer, not the publisher", async () => {
  const world = await makeWorld({ writeDeadlineMs: 1500 });
  const consumer = world.client();
  const publisher = world.client();
  world.send(consumer, "SUB foo 1\r\n");
  consumer.room = 100;
  const frame = pub("foo", "x".repeat(1000));
  world.send(publisher, frame);
  world.runtime.advance(1400);
  assert.ok(!consumer.destroyed);
  world.runtime.advance(600);
  assert.ok(consumer.destroyed);
  assert.equal(consumer.take().includes("-ERR"), false);
  const bytes = frame.length - "PUB ".length + "MSG 1 ".length - 100;
  assert.deepEqual(world.log.lines, [
    `127.0.0.1:${consumer.remotePort} - cid:1 - Slow Consumer Detected: WriteDeadline of 1.5s exceeded with 1 chunks of ${bytes} total bytes.`,
  ]);
  assert.equal(world.nats.router.statistics.slowConsumers, 1);
  world.send(publisher, frame + "PING\r\n");
  assert.equal(publisher.take(), "PONG\r\n");
});

test("nats 16: 62. a consumer that reads a little stays", async () => {
  const world = await makeWorld({ writeDeadlineMs: 1000 });
  const consumer = world.client();
  const publisher = world.client();
  world.send(consumer, "SUB foo 1\r\n");
  consumer.room = 0;
  world.send(publisher, pub("foo", "x".repeat(10_000)));
  for (let i = 0; i < 20; i++) {
    world.runtime.advance(900);
    consumer.drain(10);
    world.runtime.turn();
    consumer.room = 0;
  }
  assert.ok(!consumer.destroyed);
  // It has caught up: however long it is idle, nothing is late.
  consumer.drain();
  world.runtime.turn();
  world.runtime.advance(1900);
  assert.ok(!consumer.destroyed);
  assert.deepEqual(world.log.lines, []);
  // And the watch begins anew.
  consumer.room = 0;
  world.send(publisher, pub("foo", "y"));
  world.runtime.advance(2000);
  assert.ok(consumer.destroyed);
});

test("nats 16: 62. a consumer that stops after a drain in the middle of a turn is watched, too", async () => {
  const world = await makeWorld({ writeDeadlineMs: 1000 });
  const consumer = world.client();
  const publisher = world.client();
  world.send(consumer, "SUB foo 1\r\n");
  consumer.room = 300_000;
  // More than an early flush: part of it is written before the turn ends, and the kernel says so before that end.
  publisher.send(pub("foo", "x".repeat(100_000)).repeat(5));
  consumer.drain(1000);
  consumer.room = 0;
  world.runtime.turn();
  world.runtime.advance(2000);
  assert.ok(consumer.destroyed);
});

test("nats 16: 61. max_pending: exact log line, counter, no text, nobody else affected", async () => {
  const world = await makeWorld({ maxPendingBytes: 1_000_000 });
  const consumer = world.client();
  const other = world.client();
  const publisher = world.client();
  world.send(consumer, "SUB foo 1\r\n");
  world.send(other, "SUB foo 2\r\n");
  consumer.room = 0;
  const payload = "x".repeat(9_980);
  let sent = 0;
  while (!consumer.destroyed) {
    world.send(publisher, pub("foo", payload));
    sent++;
    assert.ok(sent < 200);
  }
  // The limit is looked at once per chunk of output.
  within(sent * 10_000, 1_000_000, 1_000_000 + 2 * 65_536);
  assert.deepEqual(world.log.lines, [
    `127.0.0.1:${consumer.remotePort} - cid:1 - Slow Consumer Detected: MaxPending of 1000000 Exceeded`,
  ]);
  assert.equal(world.nats.router.statistics.slowConsumers, 1);
  assert.equal(consumer.take(), "");
  assert.equal(other.take(), `MSG foo 2 9980\r\n${payload}\r\n`.repeat(sent));
  world.send(publisher, "PING\r\n");
  assert.equal(publisher.take(), "PONG\r\n");
  assert.equal(world.nats.connections.size, 2);
});

test("nats 16: 61. a max_pending below the early flush holds, too", async () => {
  const world = await makeWorld({ maxPendingBytes: 100_000 });
  const consumer = world.client();
  const publisher = world.client();
  world.send(consumer, "SUB foo 1\r\n");
  consumer.room = 0;
  for (let i = 0; i < 30; i++) world.send(publisher, pub("foo", "x".repeat(10_000)));
  assert.ok(consumer.destroyed);
});

test("nats 3.10: a lagging consumer pauses its publisher for at most 5 ms, then it counts as frozen", async () => {
  const world = await makeWorld();
  const consumer = world.client();
  const publisher = world.client();
  const bystander = world.client();
  world.send(consumer, "SUB foo 1\r\n");
  consumer.room = 0;
  consumer.keeps = false;
  const frame = pub("foo", "x".repeat(100_000));
  for (let i = 0; i < 15 && !publisher.paused; i++) world.send(publisher, frame);
  assert.ok(publisher.paused);
  assert.ok(!bystander.paused && !consumer.paused);
  world.send(bystander, "PING\r\n");
  assert.equal(bystander.take(), "PONG\r\n");
  world.runtime.advance(5);
  assert.ok(!publisher.paused);
  // Frozen: from here on it delays nobody, until its own limit cuts it.
  for (let i = 0; i < 20; i++) world.send(publisher, frame);
  assert.equal(publisher.pauseCount, 1);
  // It reads again: it may slow its publishers again.
  consumer.drain();
  world.runtime.turn();
  consumer.room = 0;
  for (let i = 0; i < 15 && !publisher.paused; i++) world.send(publisher, frame);
  assert.equal(publisher.pauseCount, 2);
  assert.ok(publisher.paused);
  // Drained before the time is over: the publisher goes on at once.
  consumer.drain();
  assert.ok(!publisher.paused);
  world.runtime.advance(10);
  assert.ok(!publisher.paused);
});

test("nats 3.10: a publisher does not stay paused when its consumer goes away", async () => {
  const world = await makeWorld();
  const consumer = world.client();
  const publisher = world.client();
  world.send(consumer, "SUB foo 1\r\n");
  consumer.room = 0;
  for (let i = 0; i < 15 && !publisher.paused; i++) world.send(publisher, pub("foo", "x".repeat(100_000)));
  assert.ok(publisher.paused);
  consumer.handler!.closed(undefined); // Set by the accept.
  assert.ok(!publisher.paused);
});

test("nats 2: what is queued for a half-closed client goes out before the FIN", async () => {
  const world = await makeWorld();
  const client = world.client();
  client.send("SUB foo 1\r\n" + pub("foo", "x") + "PING\r\nPU");
  client.handler!.peerEnded(); // Set by the accept.
  assert.equal(client.take(), "MSG foo 1 1\r\nx\r\nPONG\r\n");
  assert.ok(client.ended);
  assert.equal(world.nats.connections.size, 0);
  assert.equal(world.nats.router.sublist.count, 0);
  world.runtime.turn();
  client.handler!.closed(undefined);
  assert.equal(world.nats.connections.size, 0);
});

test("nats 3.9: shutdown closes without a text, after what was queued", async () => {
  const world = await makeWorld();
  const client = world.client();
  client.send("PING\r\n");
  await world.nats.close();
  assert.equal(client.take(), "PONG\r\n");
  assert.ok(client.ended);
});

/** Resolves `closing` by moving the clock; returns how long it took. */
async function closeTime(world: World, closing: Promise<void>, each: (elapsedMs: number) => void): Promise<number> {
  let done = false;
  void closing.then(() => done = true);
  let elapsedMs = 0;
  for (let i = 0; i < 20; i++) await Promise.resolve();
  while (!done) {
    world.runtime.advance(5);
    elapsedMs += 5;
    each(elapsedMs);
    for (let i = 0; i < 20; i++) await Promise.resolve();
    assert.ok(elapsedMs < 5000);
  }
  return elapsedMs;
}

test("nats 2: shutdown waits until the last words are written, but not for a client that does not read", async () => {
  for (const reads of [true, false]) {
    const world = await makeWorld();
    const client = world.client();
    client.room = 3;
    client.send("PING\r\n");
    const tookMs = await closeTime(world, world.nats.close(), (elapsedMs) => {
      if (reads && elapsedMs === 100) client.drain();
    });
    within(tookMs, reads ? 100 : 500, reads ? 110 : 510);
    assert.equal(client.take(), reads ? "PONG\r\n" : "PON");
  }
});

test("nats 13.4: one flush per connection and turn", async () => {
  const world = await makeWorld();
  const client = world.client();
  world.send(client, "SUB foo 1\r\n");
  const before = client.flushCount;
  for (let i = 0; i < 10; i++) client.send(pub("foo", "x").repeat(10) + "PING\r\n");
  assert.equal(client.take(), "");
  world.runtime.turn();
  assert.equal(client.flushCount, before + 1);
  assert.equal(client.take(), ("MSG foo 1 1\r\nx\r\n".repeat(10) + "PONG\r\n").repeat(10));
});
