/**
 * Lame duck mode: nats-server.md 3.12, 3.11 and statement 63. Its times are proved on a clock that is moved by hand; what
 * clients see is also asked of the reference (`NATS_ORACLE=/usr/sbin/nats-server`). Signals and exit status: tests/e2e.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NatsServer, NatsServerOptions } from "../../../src/nats/nats_server.ts";
import { withConfig } from "../../helpers/configured_server.ts";
import { FakeRuntime, type FakeSocket } from "../../helpers/fake_runtime.ts";
import { createNats, msg, ORACLE, pub, RecordedLog } from "../../helpers/nats_server.ts";
import { tryDial } from "../../helpers/sockets.ts";

const isOracle = ORACLE !== undefined && ORACLE !== "";
const QUIET = '{"verbose":false,"pedantic":false,"protocol":1}';

class World {
  readonly runtime = new FakeRuntime();
  readonly log = new RecordedLog();
  readonly nats: NatsServer;
  readonly clients: FakeSocket[] = [];
  isOver = false;

  constructor(options: Partial<NatsServerOptions> = {}) {
    this.nats = createNats(this.runtime.asRuntime(), options, this.log);
  }

  /** `count` clients that can take INFO at any time. */
  async open(count: number): Promise<this> {
    await this.nats.listen();
    for (let i = 0; i < count; i++) this.client(`CONNECT ${QUIET}\r\nPING\r\n`);
    return this;
  }

  client(input: string): FakeSocket {
    const socket = this.runtime.dial();
    if (input !== "") socket.send(input);
    this.runtime.turn();
    socket.take();
    this.clients.push(socket);
    return socket;
  }

  async enter(beforeLast: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    void this.nats.enterLameDuck(beforeLast).then(() => this.isOver = true);
    await settled();
  }

  /** Moves the clock in small steps, because what waits for a timer goes on in a promise. */
  async advance(ms: number, stepMs = 50): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.runtime.advance(Math.min(stepMs, ms - passed));
      await settled();
    }
  }

  get openCount(): number {
    return this.clients.filter((client) => !client.ended).length;
  }
}

/** What waits for promises has run. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("nats 16: 63. INFO with ldm for protocol 1, none for protocol 0; then all are closed without a text", () =>
  withConfig('lame_duck_duration: "30s", lame_duck_grace_period: "1ms"\n', async (server) => {
    const told = await server.client({ protocol: 1 });
    const old = await server.client({});
    const gone = server.lameDuck();
    const line = await told.takeUntil("\r\n");
    assert.ok(line.startsWith("INFO {"), line);
    const info = JSON.parse(line.slice(5)) as Record<string, unknown>;
    assert.deepEqual(info, { ...told.info, ldm: true });
    await told.closesWith("");
    await old.closesWith("");
    await gone;
    await server.untilLogged("Server Exiting..");
    assert.deepEqual(server.lines.slice(-4), [
      "[INF] Entering lame duck mode, stop accepting new clients",
      "[INF] Closing existing clients",
      "[INF] Initiating Shutdown...",
      "[INF] Server Exiting..",
    ]);
  }));

test("nats 16: 63. new connects are refused while clients are still served", () =>
  withConfig('lame_duck_duration: "40s", lame_duck_grace_period: "30s"\n', async (server) => {
    const client = await server.client({ protocol: 1 });
    const gone = server.lameDuck();
    await client.takeUntil("\r\n");
    assert.equal(await tryDial(server.port), "ECONNREFUSED");
    await client.answers("SUB foo 1\r\n" + pub("foo", "x"), msg("foo", 1, "x"));
    // Ends the wait; the reference is killed by the helper.
    if (isOracle) return;
    await server.server?.stop();
    await gone;
  }));

test("nats 3.12: without clients it is over at once", () =>
  withConfig("", async (server) => {
    await server.lameDuck();
    await server.untilLogged("Server Exiting..");
    assert.deepEqual(server.lines.slice(-3), [
      "[INF] Entering lame duck mode, stop accepting new clients",
      "[INF] Initiating Shutdown...",
      "[INF] Server Exiting..",
    ]);
  }));

test("nats 3.11: only clients that sent CONNECT and a PING are told", async () => {
  const world = await new World().open(0);
  const [silent, connected, pinged, reversed, old] = [
    world.client(""),
    world.client(`CONNECT ${QUIET}\r\n`),
    world.client(`CONNECT ${QUIET}\r\nPING\r\n`),
    world.client(`PING\r\nCONNECT ${QUIET}\r\n`),
    world.client('CONNECT {"verbose":false}\r\nPING\r\n'),
  ];
  await world.enter();
  for (const client of [silent, connected, reversed, old]) assert.equal(client.take(), "");
  assert.match(pinged.take(), /^INFO \{.*"ldm":true\} \r\n$/);
  // Whoever asks from here on has to ask again elsewhere: it gets no second INFO either.
  connected.send("PING\r\n");
  world.runtime.turn();
  assert.equal(connected.take(), "PONG\r\n");
});

test("nats 3.12: nobody is closed in the grace period, then one by one, at most a second apart", async () => {
  const world = await new World({ lameDuckDurationMs: 120_000, lameDuckGraceMs: 10_000 }).open(5);
  await world.enter();
  await world.advance(9_950);
  assert.equal(world.openCount, 5);
  assert.deepEqual(world.log.lines, ["Entering lame duck mode, stop accepting new clients"]);
  await world.advance(100);
  assert.equal(world.openCount, 4);
  assert.equal(world.log.lines.at(-1), "Closing existing clients");
  for (let left = 4; left > 0; left--) {
    // Never before half of the second is over, always when all of it is.
    await world.advance(400);
    assert.equal(world.openCount, left);
    let waitedMs = 400;
    for (; world.openCount === left; waitedMs += 10) {
      assert.ok(waitedMs < 1_100, `${waitedMs} ms`);
      await world.advance(10, 10);
    }
  }
  assert.equal(world.isOver, true);
  for (const client of world.clients) {
    assert.ok(client.ended && !client.destroyed);
    assert.match(client.take(), /^INFO \{.*\} \r\n$/);
  }
});

test("nats 3.12: many clients are spread over the rest of the duration", async () => {
  const world = await new World({ lameDuckDurationMs: 40_000, lameDuckGraceMs: 10_000 }).open(300);
  await world.enter();
  await world.advance(10_000);
  // 30 s for 300: each waits 50 to 100 ms, so the middle is reached after 7.5 to 15 s.
  await world.advance(7_000, 25);
  assert.ok(world.openCount > 150, `${world.openCount}`);
  await world.advance(23_200, 25);
  assert.equal(world.openCount, 0);
  assert.ok(world.isOver);
});

test("nats 3.12: more clients than milliseconds go in batches", async () => {
  const world = await new World({ lameDuckDurationMs: 100, lameDuckGraceMs: 0 }).open(1000);
  await world.enter();
  await world.advance(200, 1);
  assert.equal(world.openCount, 0);
  assert.ok(world.isOver);
});

test("nats 3.12: a grace period that leaves no time takes a second for the rest", async () => {
  const world = await new World({ lameDuckDurationMs: 1_000, lameDuckGraceMs: 5_000 }).open(10);
  await world.enter();
  await world.advance(4_900);
  assert.equal(world.openCount, 10);
  await world.advance(1_300, 10);
  assert.equal(world.openCount, 0);
});

test("nats 3.12: clients that leave by themselves are not waited for", async () => {
  const world = await new World().open(3);
  await world.enter();
  await world.advance(1_000);
  for (const client of world.clients) client.handler?.peerEnded();
  await settled();
  assert.ok(world.isOver);
  assert.deepEqual(world.log.lines, ["Entering lame duck mode, stop accepting new clients"]);
});

test("nats 3.12: what has to be done before the last client goes is waited for, once", async () => {
  const world = await new World({ lameDuckDurationMs: 30_000, lameDuckGraceMs: 0 }).open(3);
  const done = Promise.withResolvers<void>();
  let count = 0;
  await world.enter(() => {
    count++;
    return done.promise;
  });
  await world.advance(20_000);
  assert.equal(world.openCount, 1);
  assert.equal(world.isOver, false);
  done.resolve();
  await settled();
  assert.equal(world.openCount, 0);
  assert.ok(world.isOver);
  assert.equal(count, 1);
});

test("nats 3.12: close in the grace period ends it at once, for all", async () => {
  const world = await new World().open(3);
  let count = 0;
  await world.enter(() => {
    count++;
    return Promise.resolve();
  });
  await world.advance(100);
  const closed = world.nats.close();
  await settled();
  world.runtime.advance(1_000);
  await closed;
  assert.ok(world.isOver);
  assert.equal(world.openCount, 0);
  // Whoever closes has done it himself.
  assert.equal(count, 0);
  assert.ok(!world.log.lines.includes("Closing existing clients"));
});

test("nats 2: a connection that was accepted while the port closed gets INFO and is closed", async () => {
  const world = await new World().open(1);
  await world.enter();
  const late = world.runtime.dial();
  assert.match(late.take(), /^INFO \{.*"ldm":true\} \r\n$/);
  assert.ok(late.ended);
  assert.equal(world.openCount, 1);
});

test(
  "nats 3.12: streaming is served until the last client; probes are told at once",
  { skip: isOracle },
  () =>
    withConfig('http: "127.0.0.1:-1", lame_duck_duration: "40s", lame_duck_grace_period: "30s"\n', async (server) => {
      const probe = async () => (await fetch(`http://127.0.0.1:${server.server?.monitorPort}/readyz`)).status;
      assert.equal(await probe(), 200);
      const client = await server.client({ protocol: 1, headers: true, no_responders: true });
      client.write("SUB inbox 1\r\n");
      const gone = server.lameDuck();
      await client.takeUntil("\r\n");
      // Nothing valid, but somebody answers.
      client.write(pub("_STAN.discover.test-cluster", "", "inbox"));
      assert.match(await client.takeUntil("\r\n"), /^MSG inbox 1 \d+\r\n$/);
      assert.equal(await probe(), 503);
      await server.server?.stop();
      await gone;
      assert.deepEqual(server.lines.slice(-4), [
        "[INF] Entering lame duck mode, stop accepting new clients",
        "[INF] STREAM: Shutting down.",
        "[INF] Initiating Shutdown...",
        "[INF] Server Exiting..",
      ]);
    }, { programName: "stanchion" }),
);

test(
  "nats 3.12: streaming ends before the last client goes",
  { skip: isOracle },
  () =>
    withConfig('lame_duck_duration: "30s", lame_duck_grace_period: "1ms"\n', async (server) => {
      const client = await server.client({ protocol: 1 });
      await server.lameDuck();
      assert.match(await client.remainder(), /^INFO \{.*"ldm":true\} \r\n$/);
      assert.equal(server.server?.state, "stopped");
      assert.deepEqual(server.lines.slice(-5), [
        "[INF] Entering lame duck mode, stop accepting new clients",
        "[INF] Closing existing clients",
        "[INF] STREAM: Shutting down.",
        "[INF] Initiating Shutdown...",
        "[INF] Server Exiting..",
      ]);
    }, { programName: "stanchion" }),
);
