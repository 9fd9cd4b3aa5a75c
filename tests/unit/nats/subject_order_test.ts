/**
 * Publishers that go round many subjects: what came behind a subject last time is expected, compared first and taken without
 * the table (nats-server.md 4.3), and nothing but the time it takes may show that. All connections share what they have learned.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, byteString } from "../../../src/base/bytes.ts";
import type { Router } from "../../../src/nats/router.ts";
import { type SubjectEntry, SWEEP_AFTER_NEW } from "../../../src/nats/subject_table.ts";
import { SeededRandom } from "../../conformance/store/random.ts";
import { type FakeNats, startFakeNats } from "../../helpers/fake_nats.ts";
import type { FakeSocket } from "../../helpers/fake_runtime.ts";
import { msg, pub } from "../../helpers/nats_server.ts";

const makeWorld = (options: Record<string, boolean> = {}) =>
  startFakeNats({ verbose: false, pedantic: false, headers: true, ...options });

/** Behind what it is about, a read has so much that is ignored where eight bytes are to be compared at a time. */
const FILLING = `+OK${"x".repeat(2000)}\r\n`;

/** Sends `text` in a read of its own, with or without a view, and takes what comes at `receiver`. */
function ask({ runtime }: FakeNats, from: FakeSocket, text: string, receiver = from, isLarge = false): string {
  from.send(isLarge ? text + FILLING : text);
  runtime.turn();
  return receiver.take();
}

/** Counts how often subjects are looked for in the table by their bytes. */
function countWalks({ subjects }: Router): () => number {
  let count = 0;
  const intern = subjects.intern.bind(subjects);
  subjects.intern = (...range) => {
    count++;
    return intern(...range);
  };
  return () => {
    const walks = count;
    count = 0;
    return walks;
  };
}

/** So many other subjects that whatever is not asked for meanwhile is dropped. */
function internOthers({ subjects }: Router, name: string, each: (i: number) => void = () => {}): void {
  for (let i = 0; i < 3 * SWEEP_AFTER_NEW; i++) {
    const bytes = bytesOf(`${name}.${i}`);
    subjects.intern(bytes, 0, bytes.length);
    each(i);
  }
}

function entryOf({ subjects }: Router, subject: string): SubjectEntry {
  const entry = subjects.peek(subject);
  assert.ok(entry !== null, subject);
  return entry;
}

for (const isLarge of [false, true]) {
  const where = isLarge ? ", in large reads" : "";

  test(`nats 4.3: what came behind a subject last time is taken without the table, and nothing else is${where}`, async () => {
    const world = await makeWorld();
    const { nats, client } = world;
    const subscriber = client();
    const publisher = client();
    subscriber.send("SUB > 1\r\n");
    const walks = countWalks(nats.router);
    const { lookups } = nats.router.subjects;
    const send = (subject: string) => {
      const got = ask(world, publisher, pub(subject, "x", "re"), subscriber, isLarge);
      assert.equal(got, msg(subject, 1, "x", "re"), subject);
      return walks();
    };
    assert.deepEqual(["a", "b.c", "a", "b.c", "a", "b.c", "a"].map(send), [1, 1, 1, 0, 0, 0, 0]);
    assert.equal(nats.router.subjects.lookups, lookups + 7, "all of them are counted");
    for (const other of ["b", "b.d", "b.cc", "b.c.d", "b.c\x00", "c.c"]) {
      // Back to where the one behind it is known.
      for (let i = 0; i < 3; i++) ["a", "b.c"].forEach(send);
      assert.equal(send("a"), 0);
      assert.equal(send(other), 1, JSON.stringify(other));
    }
  });

  test(`nats 13.3: one subject with sizes that differ needs no table, and soon not even that with one size${where}`, async () => {
    const world = await makeWorld();
    const { nats, client } = world;
    const publisher = client();
    const walks = countWalks(nats.router);
    const { subjects } = nats.router;
    const send = (size: number) => ask(world, publisher, pub("a", "x".repeat(size)), publisher, isLarge);
    // Of lines that always differ only the first ones are remembered; then sizes like theirs come again.
    for (const size of [1, 2, 3, 5, 7, 8]) send(size);
    walks();
    for (const size of [5, 3, 5, 8, 5, 1]) send(size);
    assert.equal(walks(), 0);
    for (let run = 0; run < 3; run++) {
      const { lookups } = subjects;
      for (let i = 0; i < 100; i++) send(5);
      const more = subjects.lookups - lookups;
      assert.ok(run === 0 ? more <= 8 : more === 0, `${more}: the line is compared as a whole again`);
    }
    assert.equal(walks(), 0);
  });

  test(`nats 4.3: what is expected is taken only while its receivers are true${where}`, async () => {
    const world = await makeWorld();
    const { nats, client } = world;
    const subscriber = client();
    const publisher = client();
    const b = pub("b", "x");
    const expectB = () => {
      publisher.send((pub("a", "x") + b).repeat(3) + pub("a", "x"));
      world.runtime.turn();
    };
    const sendB = () => ask(world, publisher, b, subscriber, isLarge);
    expectB();
    subscriber.send("SUB b 1\r\n");
    assert.equal(sendB(), msg("b", 1, "x"), "a literal subscription came");
    expectB();
    subscriber.take();
    subscriber.send("SUB * 2\r\nUNSUB 1\r\n");
    assert.equal(sendB(), msg("b", 2, "x"), "one came and one went");
    expectB();
    subscriber.take();
    subscriber.send("UNSUB 2\r\n");
    assert.equal(sendB(), "", "the last one went");
    expectB();
    const dropped = entryOf(nats.router, "b");
    const previous = entryOf(nats.router, "a");
    internOthers(nats.router, "inbox");
    assert.ok(dropped.dropped);
    subscriber.send("SUB b 3\r\n");
    for (let i = 0; i < 3; i++) {
      assert.equal(sendB(), msg("b", 3, "x"), "it was dropped");
      assert.ok(previous.dropped && previous.follower === null, "what is dropped keeps no other one");
      expectB();
      assert.equal(subscriber.take(), msg("b", 3, "x").repeat(3));
    }
    assert.notEqual(entryOf(nats.router, "b"), dropped);
    assert.equal(dropped.follower, null);
  });

  test(`nats 4.3: another connection may change what is expected between two messages${where}`, async () => {
    const world = await makeWorld();
    const { nats, client } = world;
    const subscriber = client();
    const [first, second] = [client(), client()];
    subscriber.send("SUB > 1\r\n");
    const round = ["a", "b", "c"].map((subject) => pub(subject, "1")).join("");
    const send = (from: FakeSocket, subject: string, payload: string) => {
      assert.equal(ask(world, from, pub(subject, payload), subscriber, isLarge), msg(subject, 1, payload));
    };
    ask(world, first, round.repeat(4), subscriber);
    for (let i = 0; i < 6; i++) {
      send(first, "a", `${i}`);
      // `b` is expected; the other one learns that `c` follows, or that one follows that nobody has seen.
      const other = i % 2 === 0 ? "c" : `new.${i}`;
      ask(world, second, pub("a", "2") + pub(other, "2"), subscriber);
      assert.equal(entryOf(nats.router, "a").follower, entryOf(nats.router, other));
      send(first, ["b", "c", other][i % 3]!, `${i}!`); // Three of them.
      send(first, "c", `${i}?`);
    }
  });
}

test("nats 4.3: who is asked for all the time by those who go round stays in the table", async () => {
  const { nats, client, runtime } = await makeWorld();
  const publisher = client();
  publisher.send((pub("a", "x") + pub("b.c", "x")).repeat(4));
  const entries = [entryOf(nats.router, "a"), entryOf(nats.router, "b.c")];
  const { router } = nats;
  let walked = 0;
  const walks = countWalks(router);
  internOthers(router, "inbox", (i) => {
    if (i % 100 !== 0) return;
    walks();
    publisher.send(pub("a", "x") + pub("b.c", "x"));
    walked += walks();
  });
  runtime.turn();
  assert.equal(walked, 0);
  assert.ok(entries.every(({ dropped }) => !dropped));
  internOthers(router, "outbox");
  assert.ok(entries.every(({ dropped, follower }) => dropped && follower === null));
});

test("nats 4.3: subjects of every length and of any bytes reach theirs, while others are dropped all the time", async () => {
  const { runtime, nats, client } = await makeWorld();
  const { router } = nats;
  const random = new SeededRandom(7);
  const strange = ["\x00", "\x01", "\x80", "\xff", "a"];
  const subjects = Array.from({ length: 1500 }, (_, i) => {
    const length = 1 + random.below(i % 5 === 0 ? 200 : 70);
    const text = "some-subject-".repeat(20).slice(0, length);
    const at = random.below(length);
    // One strange byte, or eight and more of them.
    const end = Math.min(length, at + (i % 3 === 0 ? 16 : 1));
    const zeros = i % 2 === 0
      ? "\x00".repeat(end - at - 1)
      : strange[random.below(strange.length)]!.repeat(end - at - 1);
    return text.slice(0, at) + zeros + strange[random.below(strange.length)]! + text.slice(end);
  });
  // A program of the server sees the frame's subject and the entry's note: they must belong together.
  let heard = "";
  router.subscribe("*", {
    receive(message) {
      heard = byteString(message.buffer, message.subjectStart, message.subjectEnd);
      message.note ??= heard;
      if (message.note !== heard) {
        assert.fail(`${JSON.stringify(heard)} is taken for ${JSON.stringify(message.note)}`);
      }
    },
  });
  const subscriber = client();
  subscriber.send("SUB * 1\r\n");
  const publishers = [client(), client()];
  const walks = countWalks(router);
  let walkCount = 0;
  let inbox = 0;
  let at = 0;
  for (let read = 0; read < 1500; read++) {
    let sent = "";
    let expected = "";
    for (let i = 0; i < 40; i++) {
      // In one order, with a few strays; two connections that are at different places of it.
      const subject = subjects[random.below(20) === 0 ? random.below(subjects.length) : at++ % 300]!;
      const payload = "x".repeat(random.below(30) === 0 ? random.below(20) : 7);
      sent += pub(subject, payload, "re");
      expected += msg(subject, 1, payload, "re");
    }
    const publisher = publishers[read % 10 === 0 ? 1 : 0]!;
    walks();
    // Large reads, small ones, and frames that are split over two.
    for (let from = 0, size = [100_000, 900, 333][read % 3]!; from < sent.length; from += size) {
      publisher.send(sent.slice(from, from + size));
    }
    walkCount += walks();
    runtime.turn();
    const got = subscriber.take();
    if (got !== expected) assert.equal(JSON.stringify(got), JSON.stringify(expected));
    for (let i = 0; i < 60; i++) {
      const bytes = bytesOf(`inbox.${inbox++}`);
      router.subjects.intern(bytes, 0, bytes.length);
    }
  }
  assert.ok(inbox > 10 * SWEEP_AFTER_NEW);
  assert.ok(walkCount < 40_000, `${walkCount} of 60000 were looked for`);
});

for (const isLarge of [false, true]) {
  const where = isLarge ? ", in large reads" : "";

  test(`nats 3.5: a reserved reply is refused for each message of who goes round, and for no other one${where}`, async () => {
    const world = await makeWorld();
    const subscriber = world.client();
    const publisher = world.client();
    subscriber.send("SUB s.* 1\r\n");
    const replies = ["_R_.x", "$JS.ACK.x", "re", "_R_x", "_R_.x", "_GR_.y", ""];
    for (let round = 0; round < 30; round++) {
      // Some rounds with one size, others with many.
      const payload = (i: number) => "x".repeat(round % 2 === 0 ? 3 : i);
      for (const reply of replies) {
        const isRefused = /^(_R_\.|\$JS\.ACK\.|_GR_\.)./.test(reply);
        let sent = "";
        let expected = "";
        for (let i = 0; i < 12; i++) {
          // Now and then one line twice: it is refused twice.
          const subject = `s.${round % 3 === 0 ? i >> 1 : i}`;
          sent += pub(subject, payload(i), reply);
          if (!isRefused) expected += msg(subject, 1, payload(i), reply);
        }
        assert.equal(ask(world, publisher, sent, subscriber, isLarge), expected, `${round} ${reply}`);
        const refusal = `-ERR 'Permissions Violation for Publish with Reply of "${reply}"'\r\n`;
        assert.equal(publisher.take(), isRefused ? refusal.repeat(12) : "", `${round} ${reply}`);
      }
    }
  });

  test(`nats 3.5: replies and subjects of both kinds in turn are judged each by itself${where}`, async () => {
    const world = await makeWorld();
    const subscriber = world.client();
    const publisher = world.client();
    subscriber.send("SUB > 1\r\n");
    // A program of the server that answers: the reply is looked for once while it stays the same.
    const answered: string[] = [];
    world.nats.router.subscribe("s.*", {
      receive(message) {
        const to = message.replyDestination() as SubjectEntry | undefined;
        answered.push(to?.subject ?? "");
      },
    });
    const random = new SeededRandom(5);
    const subjects = ["s.a", "s.b", "_GR_.c", "s.d", "_GR_."];
    const replies = ["re", "re", "_R_.x", "re", "$JS.ACK.x", "", "rx", "re.x"];
    for (let round = 0; round < 200; round++) {
      let sent = "";
      let expected = "";
      let refused = "";
      const accepted: string[] = [];
      const steady = random.below(2) === 0 ? replies[random.below(replies.length)]! : null; // Below the length.
      for (let i = 0; i < 10; i++) {
        const subject = subjects[i % subjects.length]!;
        const reply = steady ?? replies[random.below(replies.length)]!; // Below the length.
        const payload = "x".repeat(random.below(4) === 0 ? random.below(12) : 5);
        const frame = pub(subject, payload, reply);
        sent += random.below(12) === 0 ? frame.replace(" ", "  ") : frame;
        if (/^(_R_\.|\$JS\.ACK\.)/.test(reply)) {
          refused += `-ERR 'Permissions Violation for Publish with Reply of "${reply}"'\r\n`;
        } else if (subject === "_GR_.c") refused += `-ERR 'Permissions Violation for Publish to "${subject}"'\r\n`;
        // An empty token is nobody's.
        else if (subject !== "_GR_.") {
          expected += msg(subject, 1, payload, reply);
          accepted.push(reply);
        }
      }
      assert.equal(ask(world, publisher, sent, subscriber, isLarge), expected, `round ${round}`);
      assert.equal(publisher.take(), refused, `round ${round}`);
      assert.deepEqual(answered.splice(0), accepted, `round ${round}`);
    }
  });

  test(`nats 3.9: verbose and pedantic publishers are told about each message of a round${where}`, async () => {
    const world = await makeWorld({ verbose: true, pedantic: true });
    const publisher = world.client();
    const subjects = ["a", "b.*", "c", "d..e", "gr\xfcn"];
    const text = subjects.map((subject) => pub(subject, "x", "re")).join("");
    const wrong = "-ERR 'Invalid Publish Subject'\r\n+OK\r\n";
    const answers = `+OK\r\n${wrong}+OK\r\n${wrong}+OK\r\n`;
    for (let round = 0; round < 20; round++) {
      assert.equal(ask(world, publisher, text, publisher, isLarge), answers);
    }
  });
}
