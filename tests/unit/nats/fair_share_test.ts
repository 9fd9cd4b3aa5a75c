/** Whose input is handled when (docs/architecture.md, one thread): a flood does not keep the others waiting. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FairShare, type Sharer, WaitingInput } from "../../../src/nats/fair_share.ts";
import type { NatsServer } from "../../../src/nats/nats_server.ts";
import { startFakeNats } from "../../helpers/fake_nats.ts";
import type { FakeRuntime, FakeSocket } from "../../helpers/fake_runtime.ts";
import { pub } from "../../helpers/nats_server.ts";

interface World {
  readonly runtime: FakeRuntime;
  readonly nats: NatsServer;
  readonly listener: FakeSocket;
  client(canPull?: boolean): FakeSocket;
  /** Payloads that came to the listener since the last call, in their order. */
  heard(): string[];
}

async function makeWorld(): Promise<World> {
  const { runtime, nats, client } = await startFakeNats({ verbose: false });
  const listener = client();
  listener.send("SUB > 1\r\n");
  runtime.turn();
  // By now those who connected are silent for long.
  runtime.advance(5000);
  const heard = () => {
    runtime.turn();
    return [...listener.take().matchAll(/MSG \S+ 1 \d+\r\n(\w+)/g)].map(([, payload]) => payload!);
  };
  return { runtime, nats, listener, client, heard };
}

const COUNT = 2000;
/** Some 100 KB in one read of the socket. */
const FLOOD = Array.from({ length: COUNT }, (_, i) => pub("flood", `f${String(i).padStart(30, "0")}`)).join("");
const FLOODED = Array.from({ length: COUNT }, (_, i) => `f${String(i).padStart(30, "0")}`);

test("tail: who is alone is served whole", async () => {
  for (const canPull of [true, false]) {
    const { client, listener, heard, runtime } = await makeWorld();
    const flooder = client(canPull);
    const { pauseCount } = flooder;
    flooder.send(FLOOD);
    assert.equal(listener.output.pendingBytes > FLOOD.length, true, "before the turn ends");
    assert.deepEqual(heard(), FLOODED);
    // There might have been more; where there is none, the runtime goes on reading.
    assert.deepEqual(flooder.pulledSizes, canPull ? [0] : []);
    assert.equal(flooder.pauseCount, pauseCount);
    if (!canPull) continue;
    runtime.advance(5000);
    flooder.send(FLOOD);
    flooder.arrived = FLOOD.repeat(6);
    // As much as there is memory for; a little that is left is brought by a resume.
    const rest = FLOOD.length * 6 - 524_288;
    assert.ok(rest < 65_536);
    assert.deepEqual(heard(), Array(7).fill(FLOODED).flat());
    assert.deepEqual(flooder.pulledSizes, [0, 524_288, 0]);
    assert.equal(flooder.pauseCount, pauseCount + 1);
    assert.ok(!flooder.paused);
    // So much more was not left.
    runtime.advance(5000);
    flooder.send(FLOOD);
    flooder.arrived = FLOOD.repeat(7);
    assert.deepEqual(heard(), Array(8).fill(FLOODED).flat());
    assert.deepEqual(flooder.pulledSizes, [0, 524_288, 0, 524_288, rest + FLOOD.length, 0]);
    // And where little has come, nobody asks.
    runtime.advance(5000);
    flooder.send(FLOOD.slice(0, FLOOD.lastIndexOf("PUB", 65_535)));
    heard();
    assert.equal(flooder.pulledSizes.length, 6);
  }
});

test("tail: beside others little is pulled only while somebody waits", async () => {
  const { client, heard, flooder, runtime } = await makeFlooded();
  heard();
  flooder.pulledSizes.length = 0;
  const second = client();
  const little = FLOOD.slice(0, FLOOD.lastIndexOf("PUB", 30_000));
  for (const isAwaited of [true, false]) {
    runtime.advance(5000);
    if (isAwaited) second.send(pub("other", "urgent"));
    else second.send(FLOOD);
    heard();
    flooder.send(FLOOD);
    flooder.arrived = little;
    heard();
    assert.deepEqual(flooder.pulledSizes.splice(0), isAwaited ? [little.length, 0] : [0]);
    flooder.arrived = "";
  }
});

test("tail: a request beside a flood is served between two shares of it, and nothing is lost or out of order", async () => {
  const { client, heard } = await makeWorld();
  const [flooder, other] = [client(), client()];
  flooder.send(pub("flood", "begin"));
  other.send(pub("other", "begin"));
  heard();
  flooder.send(FLOOD);
  assert.ok(flooder.paused, "what came is to be worked off before more is read");
  other.send(pub("other", "urgent"));
  const all = heard();
  const place = all.indexOf("urgent");
  assert.ok(place > 0 && place < COUNT / 2, `it came behind ${place} of ${COUNT}`);
  assert.deepEqual(all.filter((payload) => payload !== "urgent"), FLOODED);
  assert.ok(!flooder.paused);
  // And again: nothing of the first time is left.
  flooder.send(FLOOD);
  assert.deepEqual(heard(), FLOODED);
});

test("tail: what comes while input waits stands behind it", async () => {
  const { client, heard } = await makeWorld();
  const [flooder, other] = [client(), client()];
  other.send(pub("other", "begin"));
  heard();
  flooder.send(FLOOD);
  // A pause may be followed by one more read that was under way.
  flooder.send(pub("flood", "last"));
  assert.deepEqual(heard(), [...FLOODED, "last"]);
});

/** A flood of which the first part was read, and the rest came while the socket was not. */
async function makeFlooded(
  canPull = true,
): Promise<World & { readonly flooder: FakeSocket; readonly other: FakeSocket }> {
  const world = await makeWorld();
  const [flooder, other] = [world.client(canPull), world.client()];
  other.send(pub("other", "begin"));
  world.heard();
  flooder.send(FLOOD);
  assert.ok(flooder.paused);
  return { ...world, flooder, other };
}

test("tail: what comes while the socket is not read is pulled share by share, and others are served between", async () => {
  const { heard, flooder, other } = await makeFlooded();
  const more = FLOOD.repeat(8);
  flooder.arrived = more;
  other.send(pub("other", "urgent"));
  const all = heard();
  assert.deepEqual(all.filter((payload) => payload !== "urgent"), Array(9).fill(FLOODED).flat());
  assert.equal(flooder.arrived, "");
  assert.equal(flooder.pulledSizes.at(-1), 0, "it is asked until there is nothing");
  const pulled = flooder.pulledSizes.slice(0, -1);
  assert.equal(pulled.reduce((sum, size) => sum + size, 0), more.length);
  assert.ok(pulled.length > 1 && pulled.every((size) => size > 0 && size <= 524_288));
  assert.ok(!flooder.paused);
});

test("tail: a request that comes while a flood is pulled waits for one share of it", async () => {
  const { heard, flooder, other } = await makeFlooded();
  flooder.arrived = FLOOD;
  const { pull } = flooder;
  let left = 3;
  Object.assign(flooder, {
    pull: (into: Uint8Array, size: number, min: number) => {
      if (--left === 0) other.send(pub("other", "between"));
      return pull!(into, Math.min(size, 5000), min);
    },
  });
  const place = heard().indexOf("between");
  assert.ok(place > COUNT && place < COUNT + 600, `it came behind ${place}`);
});

test("tail: a frame may be cut anywhere by what is pulled", async () => {
  const { heard, flooder } = await makeFlooded();
  flooder.arrived = FLOOD;
  const { pull } = flooder;
  let size = 0;
  Object.assign(flooder, { pull: (into: Uint8Array) => pull!(into, size = size % 97 + 1, 1) });
  assert.deepEqual(heard(), [...FLOODED, ...FLOODED]);
});

test("tail: who is alone again is served whole, and has the socket read where nothing can be pulled", async () => {
  for (const canPull of [true, false]) {
    const { heard, flooder, runtime } = await makeFlooded(canPull);
    flooder.arrived = FLOOD;
    if (canPull) runtime.nowMs += 21;
    assert.deepEqual(heard(), [...FLOODED, ...FLOODED]);
    assert.deepEqual(flooder.pulledSizes, canPull ? [FLOOD.length, 0] : []);
    assert.ok(!flooder.paused);
  }
});

test("nats 3.10: nothing is pulled while a receiver lags, and it goes on behind that", async () => {
  const { heard, flooder, listener, runtime } = await makeFlooded();
  const large = Array.from({ length: 40 }, (_, i) => pub("large", `${i}x` + "y".repeat(100_000)));
  flooder.arrived = large.join("");
  listener.room = 0;
  runtime.turn();
  assert.ok(flooder.paused);
  const pulledCount = flooder.pulledSizes.length;
  assert.ok(flooder.arrived !== "", "the listener takes no more than some megabytes");
  runtime.advance(1);
  assert.equal(flooder.pulledSizes.length, pulledCount);
  listener.drain();
  for (let i = 0; i < 20; i++) runtime.advance(10);
  const all = heard().map((payload) => payload.split("x")[0]);
  assert.deepEqual(all, [...FLOODED, ...Array.from({ length: 40 }, (_, i) => String(i))]);
  assert.ok(flooder.pulledSizes.length > pulledCount);
  assert.ok(!flooder.paused);
});

test("tail: an error in what was pulled ends the connection, and nothing more is pulled", async () => {
  const { heard, flooder } = await makeFlooded();
  flooder.arrived = FLOOD + "NONSENSE\r\n";
  // In a read of its own.
  const { pull } = flooder;
  Object.assign(flooder, {
    pull: (into: Uint8Array, size: number, min: number) => pull!(into, Math.min(size, 4096), min),
  });
  flooder.arrived += FLOOD;
  assert.deepEqual(heard(), [...FLOODED, ...FLOODED]);
  assert.match(flooder.take(), /Unknown Protocol Operation/);
  assert.ok(flooder.ended);
  assert.ok(flooder.arrived.length > FLOOD.length / 2);
});

test("nats 3.4: what is pulled is a sign of life", async () => {
  const { heard, flooder, nats, runtime } = await makeFlooded();
  const [connection] = [...nats.connections.values()].filter(({ remotePort }) => remotePort === flooder.remotePort);
  assert.ok(connection !== undefined);
  flooder.arrived = pub("flood", "later");
  runtime.nowMs += 7;
  heard();
  assert.equal(flooder.pulledSizes[0], pub("flood", "later").length);
  assert.equal(connection.lastActivityMs, runtime.nowMs);
});

test("nats 2: what a client sent before it ended is handled, also what waits", async () => {
  for (const end of ["end", "reset"] as const) {
    const { client, heard, runtime } = await makeWorld();
    const [flooder, other] = [client(), client()];
    other.send(pub("other", "begin"));
    heard();
    flooder.send(FLOOD);
    if (end === "end") flooder.handler!.peerEnded();
    else flooder.handler!.closed(new Error("reset"));
    runtime.turn();
    assert.deepEqual(heard(), FLOODED, end);
  }
});

test("tail: an error in the middle ends the connection; the rest of its input counts for nothing", async () => {
  const { client, heard } = await makeWorld();
  const [flooder, other] = [client(), client()];
  other.send(pub("other", "begin"));
  heard();
  flooder.send(FLOOD + "NONSENSE\r\n" + pub("flood", "never"));
  assert.deepEqual(heard(), FLOODED);
  assert.match(flooder.take(), /Unknown Protocol Operation/);
  assert.ok(flooder.ended);
});

test("nats 3.10: input that waits waits on while its receiver lags, and goes on behind that", async () => {
  const { client, heard, listener, runtime } = await makeWorld();
  const [flooder, other] = [client(), client()];
  const large = Array.from({ length: 40 }, (_, i) => pub("large", `${i}x` + "y".repeat(100_000)));
  other.send(pub("other", "begin"));
  heard();
  listener.room = 0;
  flooder.send(large.join(""));
  other.send(pub("other", "urgent"));
  runtime.turn();
  assert.ok(flooder.paused);
  listener.drain();
  for (let i = 0; i < 20; i++) runtime.advance(10);
  const all = heard().map((payload) => payload.split("x")[0]);
  assert.deepEqual(all.filter((payload) => payload !== "urgent"), Array.from({ length: 40 }, (_, i) => String(i)));
  assert.ok(!flooder.paused);
});

test("tail: a share is what takes its time, within bounds", () => {
  const waiting = new WaitingInput();
  assert.equal(waiting.shareBytes(0.05), 16_384);
  const measure = (tookMs: (bytes: number) => number) => {
    for (let i = 0; i < 50; i++) waiting.measured(waiting.shareBytes(0.05), tookMs(waiting.shareBytes(0.05)));
    return waiting.shareBytes(0.05);
  };
  assert.equal(measure(() => 10), 4096);
  assert.equal(measure(() => 0), 524_288);
  // 1 ns per byte.
  const bytes = measure((share) => share / 1e6);
  assert.ok(Math.abs(bytes - 50_000) < 100, String(bytes));
  assert.ok(Math.abs(waiting.shareBytes(0.2) - 200_000) < 400);
});

test("tail: shares are short while somebody waits for an answer, and long among those who all send much", () => {
  const share = new FairShare(() => {});
  const [flooder, other, asker] = [sharer(), sharer(), sharer()];
  const ask = (who: Sharer, nowMs: number) => {
    share.arrived(who, 100, nowMs);
    share.asked(who, nowMs);
  };
  assert.equal(share.arrived(flooder, 100_000, 1000), false, "it is alone");
  assert.equal(share.arrived(other, 100_000, 1001), true);
  const long = share.shareMs;
  ask(other, 1002);
  share.arrived(flooder, 100_000, 1003);
  assert.equal(share.shareMs, long, "the last bit of much");
  share.arrived(asker, 100, 1003);
  share.arrived(flooder, 100_000, 1004);
  assert.equal(share.shareMs, long, "little, but nothing that is answered");
  assert.ok(!share.isAwaited(1004));
  ask(asker, 1005);
  share.arrived(flooder, 100_000, 1006);
  assert.ok(share.shareMs < long / 4);
  assert.ok(share.isAwaited(1006));
  share.arrived(flooder, 100_000, 1030);
  assert.equal(share.shareMs, long, "he has gone");
  // Who sent much before, and now sends little, waits for answers from now on.
  share.arrived(flooder, 100_000, 1100);
  ask(other, 1101);
  share.arrived(flooder, 100_000, 1102);
  assert.ok(share.shareMs < long / 4);
});

test("tail: a PING, a request and a message to a client are waited for, an acknowledgement is not", async () => {
  const { runtime, client, nats } = await startFakeNats({ verbose: false });
  const isAwaited = () => nats.share.isAwaited(nats.clockMs());
  const peer = client();
  peer.send("SUB x 1\r\n" + pub("x", "ping", "back"));
  runtime.turn();
  runtime.advance(5000);
  assert.equal(isAwaited(), false);
  const after = (input: string): boolean => {
    runtime.advance(5000);
    peer.send(input);
    return isAwaited();
  };
  assert.equal(after(pub("x", "1")), true, "a client listens");
  assert.equal(after(pub("nobody", "1")), false);
  assert.equal(after("PONG\r\n"), false);
  assert.equal(after(pub("nobody", "1", "back")), true);
  nats.router.subscribe("inside", { receive() {} });
  assert.equal(after(pub("inside", "an ack")), false);
  assert.equal(after(pub("inside", "a request", "back")), true);
  assert.equal(after("PING\r\n"), true);
  assert.equal(after(pub("x", "y".repeat(10_000), "back")), false, "that is much");
});

function sharer(): Sharer {
  return { goOn: () => false, sentMuchMs: -Infinity };
}
