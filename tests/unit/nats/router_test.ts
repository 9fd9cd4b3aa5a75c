/** What of the router the suites over connections cannot see: entries, generations, and receivers beside clients. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, byteString } from "../../../src/base/bytes.ts";
import type { BusMessage } from "../../../src/nats/bus.ts";
import { SUBJECT_COUNT_MAX, type SubjectEntry } from "../../../src/nats/subject_table.ts";
import { startFakeNats } from "../../helpers/fake_nats.ts";
import { msg, pub } from "../../helpers/nats_server.ts";
import { SeededRandom } from "../../conformance/store/random.ts";

const EMPTY = new Uint8Array(0);

const makeWorld = () => startFakeNats({ verbose: false, pedantic: false, headers: true, no_responders: true });

test("nats 4.3: a literal subscription resolves one subject anew, a wildcard one all of them", async () => {
  const { nats } = await makeWorld();
  const { router } = nats;
  const first = router.destination("a.b") as SubjectEntry;
  const second = router.destination("c") as SubjectEntry;
  const { generation } = router;
  const literal = router.subscribe("a.b", { receive() {} });
  assert.equal(router.generation, generation);
  assert.equal(first.generation, -1);
  assert.equal(second.generation, generation);
  const wild = router.subscribe("*.b", { receive() {} });
  assert.ok(router.generation > generation);
  wild.unsubscribe();
  literal.unsubscribe();
  assert.equal(router.send(first, EMPTY, 0, 0, EMPTY, 0), 0);
});

test("nats 14: a note comes back with the same subject, and with no other", async () => {
  const { runtime, nats, client } = await makeWorld();
  const found: string[] = [];
  nats.router.subscribe("noted.*", {
    receive(message) {
      const subject = byteString(message.buffer, message.subjectStart, message.subjectEnd);
      found.push(`${subject}: ${String(message.note)}`);
      message.note = `${subject}!`;
    },
  });
  const socket = client();
  for (const subject of ["noted.a", "noted.b", "noted.a", "noted.a", "noted.b", "noted.c"]) {
    socket.send(pub(subject, "x"));
  }
  runtime.turn();
  assert.deepEqual(found, [
    ...["noted.a: undefined", "noted.b: undefined", "noted.a: noted.a!"],
    ...["noted.a: noted.a!", "noted.b: noted.b!", "noted.c: undefined"],
  ]);
});

test("nats 4.3: subjects that lead to one receiver of the program share its list", async () => {
  const { runtime, nats, client } = await makeWorld();
  const heard: string[] = [];
  const receive = (message: BusMessage) =>
    void heard.push(byteString(message.buffer, message.payloadStart, message.payloadEnd));
  const wide = nats.router.subscribe("many.*", { receive });
  const socket = client();
  for (let i = 0; i < 3; i++) socket.send(pub(`many.${i}`, String(i)));
  runtime.turn();
  const lists = [0, 1, 2].map((i) => (nats.router.destination(`many.${i}`) as SubjectEntry).plain);
  assert.ok(lists[0]!.length === 1 && lists[1] === lists[0] && lists[2] === lists[0]);
  // Another interest in one of them is no interest in the others.
  const narrow = nats.router.subscribe("many.1", { receive });
  for (let i = 0; i < 3; i++) socket.send(pub(`many.${i}`, String(i)));
  runtime.turn();
  narrow.unsubscribe();
  wide.unsubscribe();
  socket.send(pub("many.1", "late"));
  runtime.turn();
  assert.equal(heard.join(""), "0120112");
});

test("nats 4.3: a destination that the table dropped still reaches those who listen", async () => {
  const { runtime, nats, client } = await makeWorld();
  const { router } = nats;
  const socket = client();
  const kept = router.destination("kept") as SubjectEntry;
  const loose = router.destination("loose") as SubjectEntry;
  router.release(loose);
  for (let i = 0; i <= 2 * SUBJECT_COUNT_MAX; i++) {
    const bytes = bytesOf(`_INBOX.${i}`);
    router.subjects.intern(bytes, 0, bytes.length);
  }
  assert.ok(!kept.dropped);
  assert.ok(loose.dropped);
  socket.send("SUB kept 1\r\nSUB loose 2\r\n");
  for (let i = 0; i < 3; i++) {
    assert.equal(router.send(kept, bytesOf("x"), 0, 1, EMPTY, 0), 1);
    assert.equal(router.send(loose, bytesOf("y"), 0, 1, EMPTY, 0), 1);
  }
  runtime.turn();
  assert.equal(socket.take(), (msg("kept", 1, "x") + msg("loose", 2, "y")).repeat(3));
  socket.send("UNSUB 2\r\n");
  assert.equal(router.send(loose, bytesOf("y"), 0, 1, EMPTY, 0), 0);
});

test("nats 4.3: a publisher's remembered line survives the drop of its subject", async () => {
  const { runtime, nats, client } = await makeWorld();
  const subscriber = client();
  const publisher = client();
  subscriber.send("SUB hot 1\r\n");
  publisher.send(pub("hot", "x", "back"));
  for (let i = 0; i <= 2 * SUBJECT_COUNT_MAX; i++) {
    const bytes = bytesOf(`_INBOX.${i}`);
    nats.router.subjects.intern(bytes, 0, bytes.length);
  }
  publisher.send(pub("hot", "x", "back"));
  subscriber.send("UNSUB 1\r\nSUB hot 2\r\n");
  publisher.send(pub("hot", "x", "back"));
  runtime.turn();
  assert.equal(subscriber.take(), msg("hot", 1, "x", "back").repeat(2) + msg("hot", 2, "x", "back"));
});

test("nats 3.8: an internal receiver is somebody: no 503", async () => {
  const { runtime, nats, client } = await makeWorld();
  const socket = client();
  const handle = nats.router.subscribe("service", { receive() {} });
  socket.send("SUB in 1\r\n" + pub("service", "x", "in"));
  runtime.turn();
  assert.equal(socket.take(), "");
  handle.unsubscribe();
  socket.send(pub("service", "x", "in"));
  runtime.turn();
  assert.equal(socket.take(), "HMSG in 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
});

test("nats 14: internal receivers and clients on one subject both get the message", async () => {
  const { runtime, nats, client } = await makeWorld();
  const socket = client();
  let count = 0;
  nats.router.subscribe("both", { receive: () => void count++ });
  socket.send("SUB both 1\r\nSUB both q 2\r\n" + pub("both", "x"));
  runtime.turn();
  assert.equal(count, 1);
  assert.equal(socket.take(), msg("both", 1, "x") + msg("both", 2, "x"));
  assert.equal(nats.router.send(nats.router.destination("both"), bytesOf("y"), 0, 1, EMPTY, 0), 3);
  assert.equal(count, 1);
  runtime.turn();
  assert.equal(count, 2);
});

test("nats 14: a slow consumer that is cut by an internal send costs the others nothing", async () => {
  const { runtime, nats, client } = await makeWorld();
  const frozen = client();
  const other = client();
  frozen.send("SUB news 1\r\n");
  other.send("SUB news 2\r\n");
  other.keeps = false;
  frozen.room = 0;
  const bytes = new Uint8Array(1_000_000);
  const news = nats.router.destination("news");
  const head = "MSG news 2 1000000\r\n".length;
  for (let i = 1; i <= 100; i++) {
    nats.router.send(news, bytes, 0, bytes.length, EMPTY, 0);
    runtime.turn();
    assert.equal(other.writtenBytes - other.writtenBytes % (head + 1_000_002), i * (head + 1_000_002));
  }
  assert.ok(frozen.destroyed);
  assert.equal(nats.router.statistics.slowConsumers, 1);
  assert.equal(nats.router.send(news, bytes, 0, 1, EMPTY, 0), 1);
});

test("nats 5: counters are taken at the parse and per delivery, headers and payload without CRLF", async () => {
  const { nats, client } = await makeWorld();
  const socket = client();
  socket.send("SUB a 1\r\nSUB a 2\r\n" + pub("a", "12345") + "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n" + pub("b", "x"));
  const { statistics } = nats.router;
  assert.equal(statistics.inMessages, 3);
  assert.equal(statistics.inBytes, 5 + 14 + 1);
  assert.equal(statistics.outMessages, 4);
  assert.equal(statistics.outBytes, 2 * (5 + 14));
});

test("nats 4.3: who goes round many subjects reaches the right ones, in whatever order and whoever comes and goes", async () => {
  const { runtime, nats, client } = await makeWorld();
  const subscriber = client();
  const publisher = client();
  const SUBJECTS = 40;
  const random = new SeededRandom(3);
  subscriber.send("SUB s.* 1\r\n");
  let followed = 0;
  for (let round = 0; round < 60; round++) {
    let sent = "";
    let expected = "";
    // Half of the rounds go in one order, some of them with a step of their own, the others in none.
    const step = round % 20 < 10 ? 1 : round % 20 < 14 ? 7 : 0;
    // With a literal subscription beside: one entry is resolved anew.
    const beside = random.below(3) === 0 ? random.below(SUBJECTS) : -1;
    if (beside >= 0) subscriber.send(`SUB s.${beside} 2\r\n`);
    for (let i = 0; i < SUBJECTS; i++) {
      const number = step > 0 ? (i * step) % SUBJECTS : random.below(SUBJECTS);
      const subject = `s.${number}`;
      sent += pub(subject, `${round}.${i}`);
      const receivers = [msg(subject, 1, `${round}.${i}`)];
      if (number === beside) receivers.push(msg(subject, 2, `${round}.${i}`));
      expected += receivers.join("");
    }
    publisher.send(sent);
    runtime.turn();
    assert.equal(sorted(subscriber.take()), sorted(expected), `round ${round}`);
    if (beside >= 0) subscriber.send("UNSUB 2\r\n");
    for (let i = 0; i + 1 < SUBJECTS; i++) {
      const entry = nats.router.destination(`s.${i}`) as SubjectEntry;
      if (entry.follower?.subject === `s.${i + 1}`) followed++;
      nats.router.release(entry);
    }
  }
  assert.ok(followed > 20 * SUBJECTS, `${followed} learned`);
  // A wildcard changes all of them.
  publisher.send(pub("s.0", "x"));
  subscriber.send("UNSUB 1\r\n");
  publisher.send(pub("s.1", "y"));
  runtime.turn();
  assert.equal(subscriber.take(), msg("s.0", 1, "x"));
});

/** Frames of one subject with two receivers may come in either order. */
function sorted(frames: string): string {
  return frames.split("MSG ").sort().join();
}
