/**
 * What a message costs, in things that can be counted: the same figures on every machine, busy or not. A change that copies
 * more bytes, makes more views or reads the clock per message shows here before it shows in a benchmark. Where a figure got
 * better the record is renewed; where it got worse it needs a reason. The FILE store is in file_cost_test.ts.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Costs, Meter } from "../../helpers/cost_meter.ts";
import { ACK, BATCH, CostServer, DELIVERY } from "../../helpers/cost_server.ts";

/** Renew these when a figure got better; see the comment at the top. */
const RECORDED: Readonly<Record<"publish" | "channels" | "live" | "acks", Costs>> = {
  publish: {
    copies: 4000,
    copiedBytes: 201000,
    views: 1,
    arrays: 0,
    strings: 0,
    promises: 0,
    clockReads: 5,
    turns: 2,
    timers: 0,
    flushes: 1,
  },
  channels: {
    copies: 4020,
    copiedBytes: 201890,
    views: 1,
    arrays: 0,
    strings: 0,
    promises: 0,
    clockReads: 5,
    turns: 2,
    timers: 0,
    flushes: 1,
  },
  live: {
    copies: 6001,
    copiedBytes: 371050,
    views: 1,
    arrays: 0,
    strings: 0,
    promises: 0,
    clockReads: 5,
    turns: 2,
    timers: 0,
    flushes: 1,
  },
  acks: {
    copies: 1,
    copiedBytes: 37,
    views: 1,
    arrays: 0,
    strings: 0,
    promises: 0,
    clockReads: 4,
    turns: 1,
    timers: 0,
    flushes: 0,
  },
};

const meter = new Meter();
meter.install();
after(() => meter.restore());

/** One read, and the turn behind it. */
function costOf(table: CostServer, bytes: Uint8Array): Costs {
  return meter.count(() => {
    table.socket.handler?.data(bytes);
    table.runtime.turn();
  });
}

test("style 6, runtime 2: what a thousand publishes of one read cost", async () => {
  const table = await CostServer.begin(meter);
  const bytes = table.publishes(() => "foo");
  for (let warm = 0; warm < 3; warm++) costOf(table, bytes);
  table.socket.take();
  const costs = costOf(table, bytes);
  assert.equal(table.received(ACK), BATCH);
  assert.deepEqual(costs, RECORDED.publish);
});

test("style 6, runtime 2: what a thousand publishes to a hundred channels in turn cost", async () => {
  const table = await CostServer.begin(meter);
  const bytes = table.publishes((i) => `c${i % 100}`);
  for (let warm = 0; warm < 3; warm++) costOf(table, bytes);
  table.socket.take();
  const costs = costOf(table, bytes);
  assert.equal(table.received(ACK), BATCH);
  assert.deepEqual(costs, RECORDED.channels);
});

test("style 6, runtime 2: what a thousand deliveries and their acks cost", async () => {
  const table = await CostServer.begin(meter);
  const ackInbox = await table.subscribe("foo");
  const bytes = table.publishes(() => "foo");
  let first = 1;
  for (let warm = 0; warm < 3; warm++, first += BATCH) {
    costOf(table, bytes);
    costOf(table, table.acks(ackInbox, "foo", first));
  }
  table.socket.take();
  const live = costOf(table, bytes);
  assert.equal(table.received(DELIVERY), BATCH);
  assert.deepEqual(live, RECORDED.live);
  assert.deepEqual(costOf(table, table.acks(ackInbox, "foo", first)), RECORDED.acks);
});
