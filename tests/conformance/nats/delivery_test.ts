/**
 * Who gets which messages, over real sockets, by the numbers of nats-server.md 16 and the rules of section 5. Runs against
 * the reference with `NATS_ORACLE`, too.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, msg, pub, type RawClient, type TestServer, withNats } from "../../helpers/nats_server.ts";

function statement(name: string, work: (server: TestServer) => Promise<void>, options = {}): void {
  test(`nats 16: ${name}`, () => withNats(options, work));
}

/** Everything that came before the PONG of a PING sent now. */
async function received(client: RawClient): Promise<string> {
  client.write("PING\r\n");
  return (await client.takeUntil("PONG\r\n")).slice(0, -6);
}

function countOf(text: string, part: string): number {
  return text.split(part).length - 1;
}

statement("68. two plain subscriptions of one connection: two copies", async (server) => {
  const client = await connect(server, {});
  client.write("SUB foo 1\r\nSUB foo 2\r\n" + pub("foo", "x"));
  const text = await received(client);
  assert.equal(text.length, 2 * msg("foo", 1, "x").length);
  assert.ok(text.includes(msg("foo", 1, "x")) && text.includes(msg("foo", 2, "x")));
});

statement("69. 4 queue members, 4000 messages: each about 1000, the sum exact", async (server) => {
  const publisher = await connect(server, {});
  const members: RawClient[] = [];
  for (let i = 0; i < 4; i++) {
    const member = await connect(server, {});
    await member.answers(`SUB work q ${i}\r\n`, "");
    members.push(member);
  }
  await publisher.answers(pub("work", "x").repeat(4000), "");
  let sum = 0;
  for (const [i, member] of members.entries()) {
    const count = countOf(await received(member), `MSG work ${i} 1\r\n`);
    // 150 are more than five standard deviations.
    assert.ok(Math.abs(count - 1000) <= 150, `${count} of 4000`);
    sum += count;
  }
  assert.equal(sum, 4000);
});

statement("69. the members of one connection share, too", async (server) => {
  const client = await connect(server, {});
  client.write("SUB work q 1\r\nSUB work q 2\r\n" + pub("work", "x").repeat(1000));
  const text = await received(client);
  const first = countOf(text, "MSG work 1 1\r\n");
  assert.equal(first + countOf(text, "MSG work 2 1\r\n"), 1000);
  assert.ok(first > 300 && first < 700, String(first));
});

statement("70. v.* and v.a in a group of one name: one copy", async (server) => {
  const client = await connect(server, {});
  client.write("SUB v.* q 1\r\nSUB v.a q 2\r\nSUB v.a other 3\r\n" + pub("v.a", "x").repeat(200));
  const text = await received(client);
  const first = countOf(text, "MSG v.a 1 1\r\n");
  const second = countOf(text, "MSG v.a 2 1\r\n");
  assert.equal(first + second, 200);
  assert.ok(first > 50 && second > 50, `${first} and ${second}`);
  assert.equal(countOf(text, "MSG v.a 3 1\r\n"), 200);
});

statement("71. a plain and a queue subscription of one connection: two copies", async (server) => {
  const client = await connect(server, {});
  client.write("SUB foo 1\r\nSUB foo q 2\r\n" + pub("foo", "x"));
  const text = await received(client);
  assert.equal(countOf(text, "MSG foo 1 1\r\n"), 1);
  assert.equal(countOf(text, "MSG foo 2 1\r\n"), 1);
});

statement("5. a member that is gone is skipped, a limit is kept by each", async (server) => {
  const client = await connect(server, {});
  const leaver = await connect(server, {});
  await leaver.answers("SUB foo q 9\r\nUNSUB 9\r\n", "");
  client.write("SUB foo q 1\r\nSUB foo q 2\r\nUNSUB 1 10\r\n" + pub("foo", "x").repeat(100));
  const text = await received(client);
  assert.equal(countOf(text, "MSG foo 1 1\r\n"), 10);
  assert.equal(countOf(text, "MSG foo 2 1\r\n"), 90);
});

statement("72. order per publisher over 10^5 messages with fan-out 4", async (server) => {
  const COUNT = 100_000;
  const publishers = [await connect(server, {}), await connect(server, {})];
  const subscribers: RawClient[] = [];
  for (let i = 0; i < 4; i++) {
    const subscriber = await connect(server, {});
    await subscriber.answers("SUB order.* 1\r\n", "");
    subscribers.push(subscriber);
  }
  const done = subscribers.map(async (subscriber) => {
    const ends = ["a", "b"].map((name) => `MSG order.${name} 1 3\r\nend\r\n`);
    let text = await subscriber.takeUntil(ends[0]!);
    if (!text.includes(ends[1]!)) text += await subscriber.takeUntil(ends[1]!);
    return text;
  });
  for (const [index, publisher] of publishers.entries()) {
    const subject = `order.${"ab"[index]}`;
    for (let from = 0; from < COUNT / 2; from += 1000) {
      let frames = "";
      for (let i = from; i < from + 1000; i++) frames += pub(subject, i.toString().padStart(6, "0"));
      publisher.write(frames);
    }
    publisher.write(pub(subject, "end"));
  }
  for (const text of await Promise.all(done)) {
    const next = new Map([["a", 0], ["b", 0]]);
    for (const [, name, number] of text.matchAll(/MSG order\.(.) 1 6\r\n(\d{6})\r\n/g)) {
      const expected = next.get(name!)!; // The pattern has two groups, the names are a and b.
      if (Number(number) !== expected) assert.fail(`${number} came where ${expected} was due`);
      next.set(name!, expected + 1);
    }
    assert.deepEqual([...next.values()], [COUNT / 2, COUNT / 2]);
  }
});

statement("73. 100,000 subscriptions go with their connection", async (server) => {
  const client = await connect(server, {});
  const other = await connect(server, {});
  for (let from = 0; from < 100_000; from += 5000) {
    let frames = "";
    for (let i = from; i < from + 5000; i++) {
      frames += i % 3 === 0 ? `SUB one ${i}\r\n` : i % 3 === 1 ? `SUB many.${i} ${i}\r\n` : `SUB wild.${i}.* ${i}\r\n`;
    }
    await client.answers(frames, "");
  }
  await other.answers("SUB one 1\r\nSUB many.1 2\r\nSUB wild.2.a 3\r\n", "");
  client.end();
  await client.closesWith("");
  const frames = pub("one", "x") + pub("many.1", "y") + pub("wild.2.a", "z");
  await other.answers(frames, msg("one", 1, "x") + msg("many.1", 2, "y") + msg("wild.2.a", 3, "z"));
  if (server.nats !== undefined) {
    const { sublist } = server.nats.router;
    assert.equal(sublist.count, 3);
    assert.equal(sublist.wildcardCount, 0);
  }
});

statement("50. (trap) a subscription removed in the same segment gets nothing behind it", async (server) => {
  const client = await connect(server, {});
  await client.answers("SUB foo 1\r\n" + pub("foo", "a") + "UNSUB 1\r\n" + pub("foo", "b"), msg("foo", 1, "a"));
  await client.answers("SUB foo 1\r\n" + pub("foo", "c"), msg("foo", 1, "c"));
});

statement("5. a hot subject follows every change of interest", async (server) => {
  const client = await connect(server, {});
  const hot = pub("a.b", "x");
  await client.answers(
    hot + "SUB a.b 1\r\n" + hot + hot + "SUB a.* 2\r\nUNSUB 1\r\n" + hot + hot + "UNSUB 2\r\n" + hot + "SUB > 3\r\n" +
      hot,
    msg("a.b", 1, "x").repeat(2) + msg("a.b", 2, "x").repeat(2) + msg("a.b", 3, "x"),
  );
});

statement(
  "61. a consumer beyond max_pending is closed without a text, its publisher is not affected",
  async (server) => {
    const consumer = await connect(server, {});
    await consumer.answers("SUB foo 1\r\n", "");
    consumer.stream.pause();
    const publisher = await connect(server, {});
    const payload = "x".repeat(250_000);
    const line = /127\.0\.0\.1:\d+ - cid:\d+ - Slow Consumer Detected: MaxPending of 2000000 Exceeded$/;
    const cut = server.log.until(() => server.log.lines.some((text) => line.test(text)));
    let isCut = false;
    void cut.then(() => isCut = true);
    // The kernel's buffers take some megabytes first.
    for (let sent = 0; !isCut && sent < 200; sent++) await publisher.answers(pub("foo", payload), "");
    await cut;
    await publisher.quiet();
    consumer.stream.resume();
    const text = await consumer.remainder();
    assert.ok(!text.includes("-ERR"));
    if (server.nats !== undefined) assert.equal(server.nats.router.statistics.slowConsumers, 1);
  },
  { maxPendingBytes: 2_000_000 },
);

/** Bytes as a mean client may send them. */
function garbage(random: () => number): string {
  const pieces = [
    "PUB ",
    "foo ",
    "HPUB foo 2 4\r\n",
    "2\r\nhi\r\n",
    "\r\n",
    "SUB foo 1\r\n",
    "UNSUB 1 99\r\n",
    'CONNECT {"verbose":false,"headers":true}\r\n',
    "PING\r\n",
    "\0\xff",
    "999999999\r\n",
    "a".repeat(100),
    "INFO {}\r\n",
    "MSG ",
    " ",
    "\t",
  ];
  let text = "";
  const count = 1 + Math.floor(random() * 12);
  for (let i = 0; i < count; i++) text += pieces[Math.floor(random() * pieces.length)];
  return text;
}

statement("129. garbage harms nobody but its sender", async (server) => {
  let state = 1;
  const random = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  const witness = await connect(server, {});
  await witness.answers("SUB witness 1\r\n", "");
  for (let round = 0; round < 100; round++) {
    const client = await connect(server);
    for (let i = 0; i < 5; i++) client.write(garbage(random));
    client.end();
    await client.remainder();
    await witness.answers(pub("witness", "x"), msg("witness", 1, "x"));
  }
  if (server.nats !== undefined) assert.equal(server.nats.connections.size, 1);
});
