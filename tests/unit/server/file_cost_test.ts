/**
 * What a message costs with the FILE store: calls of the disk besides what cost_test.ts counts. A second write where one did, a
 * sync per message instead of per flush, a block that is read twice show here, on a busy machine and on a fast disk, too. Where
 * a figure got better the record is renewed; where it got worse it needs a reason.
 *
 * The disk under it is simulated and calls back at once, so nothing can hide in a wait. No window has a request in it that
 * protobufjs decodes or encodes: its pool of memory belongs to the process, and would tell what ran before.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { bytesOf } from "../../../src/base/bytes.ts";
import { type Costs, type DiskCosts, Meter } from "../../helpers/cost_meter.ts";
import { ACK, BATCH, CostServer, DELIVERY } from "../../helpers/cost_server.ts";
import { CountedDisk } from "../../helpers/counted_disk.ts";

/** Of the start positions: the first message. */
const FIRST = 4;

/**
 * Renew these when a figure got better; see the comment at the top. A call of the disk that is not named here is never made.
 *
 * A flush of one channel makes 11 promises, however many messages it carries: 2 for each file that is synced (the wait, and a
 * `catch` that nobody needs to hear), 4 in the store and 3 in the driver to wait for all of them. Each file or channel more
 * adds its own. It reads the clocks 7 times: 4 in the turn that brings the messages, 3 in the one that answers them.
 */
const RECORDED: Readonly<
  Record<"publish" | "single" | "channels" | "live" | "acks" | "second" | "replay", Costs & { disk: DiskCosts }>
> = {
  publish: {
    // As many as with the MEMORY store: a message is encoded once, into the block that it is written from.
    copies: 4000,
    copiedBytes: 201000,
    views: 1,
    // The next block of 256 KB begins: its bytes, and its index for as many records as the block before it had.
    arrays: 2,
    strings: 0,
    promises: 11,
    clockReads: 7,
    turns: 2,
    timers: 0,
    flushes: 1,
    // 154 bytes and 32 of the index for each. The third write is of the block that ended: a write carries one at most.
    disk: { write: 3, writtenBytes: 186000, sync: 2 },
  },
  single: {
    copies: 4000,
    copiedBytes: 201000,
    views: 0,
    arrays: 2,
    strings: 0,
    promises: 11000,
    clockReads: 7000,
    // One in which it came, and one in which the disk has it and the answer leaves.
    turns: 2000,
    timers: 0,
    flushes: 1000,
    // Per message: the data and its index, each written and synced. The next block needs no write of its own.
    disk: { write: 2000, writtenBytes: 186000, sync: 2000 },
  },
  channels: {
    copies: 4020,
    copiedBytes: 201890,
    views: 1,
    // Every block had room for its 10 messages.
    arrays: 0,
    strings: 0,
    promises: 902,
    clockReads: 7,
    turns: 2,
    timers: 0,
    flushes: 1,
    disk: { write: 200, writtenBytes: 184900, sync: 200 },
  },
  live: {
    copies: 6001,
    copiedBytes: 371050,
    views: 1,
    // The store's set of what is pending grows to 1000. It gives its memory back when everything is acked.
    arrays: 9,
    strings: 0,
    promises: 15,
    clockReads: 8,
    turns: 2,
    timers: 0,
    flushes: 1,
    // The subscription log goes along: 13 bytes for each delivery and each ack of the batch before.
    disk: { write: 3, writtenBytes: 212000, sync: 3 },
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
    // They wait for the next publish, or for the end of the second.
    disk: {},
  },
  second: {
    copies: 0,
    copiedBytes: 0,
    views: 0,
    arrays: 0,
    strings: 0,
    promises: 4,
    clockReads: 7,
    turns: 1,
    timers: 3,
    flushes: 0,
    // 1000 deliveries and 1000 acks at once. Files that were used within the second stay open.
    disk: { write: 1, writtenBytes: 26000, sync: 1 },
  },
  replay: {
    // A delivery is its head and the message as it stands in the block that was read.
    copies: 2004,
    copiedBytes: 169957,
    // Memory of a subscription that begins: 9 arrays each for what is pending, in the core and in the store, and 6 for its
    // log, with a view each. The replay itself takes 3: index records, block, index of the block; and a view each where the
    // checksums of records and messages are taken at once. 8 are the tables for that, made once. 2 are the subject of the
    // inbox and the head of its frames, made with the first delivery and not with the subscription.
    views: 8,
    arrays: 38,
    strings: 0,
    promises: 0,
    clockReads: 8,
    turns: 3,
    timers: 0,
    flushes: 2,
    // The index records, and then what they point to, each in one read: 2 where message by message would be 2000.
    disk: { readLater: 2, readBytes: 185873 },
  },
};

/** The start in front of that replay, from opening the lock to serving clients. */
const RECORDED_START: DiskCosts = {
  stat: 6,
  makeDirectory: 1,
  lock: 1,
  list: 2,
  open: 7,
  close: 5,
  sizeBytes: 8,
  // The index twice: all of it, and then its end together with the messages that it points to.
  read: 12,
  readBytes: 218437,
  sync: 1,
  syncDirectory: 2,
};

const meter = new Meter();
meter.install();
after(() => meter.restore());

/** What it costs to send all this, until the disk is idle; not before it was done `warm` times. */
async function costOf(
  table: CostServer,
  warm: number,
  send: () => Promise<void>,
): Promise<Costs & { disk: DiskCosts }> {
  for (let i = 0; i < warm; i++) await send();
  table.socket.take();
  const costs = await meter.countUntil(send);
  assert.equal(table.received(ACK), BATCH);
  return costs;
}

test("style 6, stores 5.2: what a thousand publishes of one read cost the disk", async () => {
  const disk = new CountedDisk(meter);
  const table = await CostServer.begin(meter, disk);
  const bytes = table.publishes(() => "foo");
  assert.deepEqual(await costOf(table, 5, () => table.send(bytes)), RECORDED.publish);
  assert.deepEqual(disk.misuses, []);
});

test("style 6, stores 5.2: what a publisher that waits for each of a thousand acks costs the disk", async () => {
  const disk = new CountedDisk(meter);
  const table = await CostServer.begin(meter, disk);
  const each = Array.from({ length: BATCH }, (_none, i) => bytesOf(table.publish(i, "foo")));
  const costs = await costOf(table, 2, async () => {
    for (const bytes of each) await table.send(bytes);
  });
  assert.deepEqual(costs, RECORDED.single);
  assert.deepEqual(disk.misuses, []);
});

test("style 6, stores 10: what a thousand publishes to a hundred channels in turn cost the disk", async () => {
  const disk = new CountedDisk(meter);
  const table = await CostServer.begin(meter, disk);
  const bytes = table.publishes((i) => `c${i % 100}`);
  assert.deepEqual(await costOf(table, 3, () => table.send(bytes)), RECORDED.channels);
  assert.deepEqual(disk.misuses, []);
});

test("style 6, stores 5.3 and 10: what a thousand deliveries and their acks cost the disk", async () => {
  const disk = new CountedDisk(meter);
  const table = await CostServer.begin(meter, disk);
  const ackInbox = await table.subscribe("foo");
  const bytes = table.publishes(() => "foo");
  let first = 1;
  for (let warm = 0; warm < 3; warm++, first += BATCH) {
    await table.send(bytes);
    await table.send(table.acks(ackInbox, "foo", first));
  }
  table.socket.take();
  const live = await meter.countUntil(() => table.send(bytes));
  assert.equal(table.received(DELIVERY), BATCH);
  assert.deepEqual(live, RECORDED.live);
  const acks = table.acks(ackInbox, "foo", first);
  assert.deepEqual(await meter.countUntil(() => table.send(acks)), RECORDED.acks);
  const second = await meter.countUntil(() => {
    table.runtime.advance(1000);
    return table.settle();
  });
  assert.deepEqual(second, RECORDED.second);
  assert.deepEqual(disk.misuses, []);
});

test("style 6, stores 5.9 and 6.1: what a start and a replay of a thousand stored messages cost the disk", async () => {
  const disk = new CountedDisk(meter);
  const before = await CostServer.begin(meter, disk);
  await before.send(before.publishes(() => "foo"));
  assert.equal(before.received(ACK), BATCH);
  disk.restart();
  const table = new CostServer(meter, disk);
  const start = await meter.countUntil(() => table.start());
  assert.deepEqual(start.disk, RECORDED_START);
  await table.connect("you");
  // Counted from where the request is on its way to the disk: deliveries begin when the subscription is safe.
  table.socket.handler?.data(table.subscription("foo", FIRST));
  table.runtime.turn();
  const replay = await meter.countUntil(() => table.settle());
  assert.equal(table.received(DELIVERY), BATCH);
  assert.deepEqual(replay, RECORDED.replay);
  assert.deepEqual(disk.misuses, []);
});
