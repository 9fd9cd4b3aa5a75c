/** The table of interned subjects: bounded, and right also for those who hold what it has dropped. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../../../src/base/bytes.ts";
import { type SubjectEntry, SubjectTable, SWEEP_AFTER_NEW } from "../../../src/nats/subject_table.ts";
import { SeededRandom } from "../../conformance/store/random.ts";

function intern(table: SubjectTable, subject: string): SubjectEntry {
  const bytes = bytesOf(`<${subject}>`);
  return table.intern(bytes, 1, bytes.length - 1);
}

test("nats 4.3: equal bytes are one entry, other bytes another one", () => {
  const table = new SubjectTable(5);
  const entry = intern(table, "foo.bar");
  assert.equal(intern(table, "foo.bar"), entry);
  assert.equal(entry.subject, "foo.bar");
  assert.notEqual(intern(table, "foo.baz"), entry);
  assert.notEqual(intern(table, "foo.ba"), entry);
  assert.equal(table.peek("nobody"), null);
  assert.equal(table.peek("foo.bar"), entry);
  assert.equal(table.count, 3);
});

test("nats 4.3: names that stand side by side are not taken for each other", () => {
  const table = new SubjectTable(5);
  const random = new SeededRandom(9);
  const names = new Map<SubjectEntry, string>();
  for (let i = 0; i < 3000; i++) {
    // Some are longer than what names share.
    const subject = `${i}.`.padEnd(random.below(40) === 0 ? 900 + random.below(3000) : random.below(60), "x");
    const entry = intern(table, subject);
    assert.equal(names.has(entry), false, subject);
    names.set(entry, subject);
  }
  for (const [entry, subject] of names) {
    assert.equal(entry.subject, subject);
    assert.equal(entry.length, subject.length);
    const frame = bytesOf(`<${subject}x>`);
    assert.ok(entry.is(frame, 1, frame.length - 2));
    assert.ok(!entry.is(frame, 1, frame.length - 1), "longer");
    assert.ok(!entry.is(frame, 1, frame.length - 3), "shorter");
    assert.ok(!entry.is(frame, 0, frame.length - 3), "another one of that length");
  }
});

test("nats 4.3: a view of the bytes, compared eight at a time, gives the same answers as the bytes", () => {
  const table = new SubjectTable(5);
  for (let length = 1; length <= 40; length++) {
    const subject = Array.from({ length }, (_, i) => String.fromCharCode(33 + (i * 7) % 90)).join("");
    const entry = intern(table, subject);
    const frame = bytesOf(`<${subject}x>`);
    // Not where its memory begins.
    const memory = new Uint8Array(frame.length + 5);
    memory.set(frame, 5);
    const bytes = memory.subarray(5);
    const view = new DataView(memory.buffer, 5, frame.length);
    const answers = (start: number, end: number) => {
      const answer = entry.is(bytes, start, end, view);
      assert.equal(answer, entry.is(bytes, start, end), `${start} to ${end}`);
      return answer;
    };
    assert.ok(answers(1, length + 1));
    assert.ok(!answers(1, length + 2), "longer");
    assert.ok(!answers(1, length), "shorter");
    assert.equal(table.intern(bytes, 1, length + 1, view), entry);
    for (let at = 1; at <= length; at++) {
      bytes[at]! ^= 0x80;
      assert.ok(!answers(1, length + 1), `another byte ${at} of ${length}`);
      bytes[at]! ^= 0x80;
    }
  }
});

test("nats 4.3: entries are found after the table has grown", () => {
  const table = new SubjectTable(-77);
  const entries = new Map<string, SubjectEntry>();
  for (let i = 0; i < 20_000; i++) {
    const entry = intern(table, `s.${i}`);
    // Somebody holds it, so no sweep takes it.
    entry.pins++;
    entries.set(entry.subject, entry);
  }
  for (let i = 0; i < 20_000; i++) intern(table, `t.${i}`);
  for (const [subject, entry] of entries) if (intern(table, subject) !== entry) assert.fail(subject);
  assert.ok(table.count >= 20_000);
});

test("nats 4.3: subjects that are used once do not stay until the table is full", () => {
  const table = new SubjectTable(5);
  const steady = intern(table, "steady");
  for (let i = 0; i < 60_000; i++) {
    intern(table, `_INBOX.${i}`);
    if (i % 1000 === 0) intern(table, "steady");
    if (table.count > 2 * SWEEP_AFTER_NEW + 3) assert.fail(`${table.count} entries`);
  }
  assert.equal(table.peek("steady"), steady);
  assert.equal(table.peek("_INBOX.40000"), null);
});

test("nats 4.3: a sweep drops what was not used since the last one, and keeps what is pinned", () => {
  const table = new SubjectTable(1, 100);
  const pinned = intern(table, "pinned");
  pinned.pins++;
  for (let i = 0; i < 99; i++) intern(table, `first.${i}`);
  // All are new, so all count as used: the sweep makes room all the same.
  const old = table.peek("first.0")!; // Just interned.
  intern(table, "over");
  assert.ok(table.count < 100);
  assert.ok(old.dropped);
  assert.equal(old.generation, -1);
  assert.equal(table.peek("first.0"), null);
  assert.equal(table.peek("pinned"), pinned);
  assert.ok(!pinned.dropped);
  // Interned again it is another entry.
  assert.notEqual(intern(table, "first.0"), old);
});

test("nats 4.3: a sweep prefers entries in use", () => {
  const table = new SubjectTable(1, 100);
  for (let i = 0; i < 100; i++) intern(table, `a.${i}`);
  intern(table, "sweep 1"); // Everything above is gone.
  for (let i = 0; i < 60; i++) intern(table, `b.${i}`);
  for (let i = 0; i < 39; i++) intern(table, `c.${i}`);
  intern(table, "sweep 2");
  assert.ok(table.count <= 100);
});

test("nats 4.3: the bound holds for any number of subjects", () => {
  const table = new SubjectTable(9, 500);
  for (let i = 0; i < 50_000; i++) {
    intern(table, `_INBOX.${i}`);
    if (table.count > 500) assert.fail(`${table.count} entries`);
  }
});

test("nats 4.3: the bound holds when half of the subjects are used again and again", () => {
  const table = new SubjectTable(9, 500);
  for (let i = 0; i < 50_000; i++) {
    intern(table, `_INBOX.${i}`);
    intern(table, `busy.${i % 400}`);
    if (table.count > 500) assert.fail(`${table.count} entries`);
  }
});

test("nats 4.3: pinned subjects may pass the bound, and it comes back when they are let go", () => {
  const table = new SubjectTable(9, 100);
  const held: SubjectEntry[] = [];
  for (let i = 0; i < 300; i++) {
    const entry = intern(table, `held.${i}`);
    entry.pins++;
    held.push(entry);
  }
  assert.ok(held.every((entry) => !entry.dropped));
  for (const entry of held) entry.pins--;
  for (let i = 0; i < 2000; i++) intern(table, `later.${i}`);
  assert.ok(table.count <= 100, `${table.count} entries`);
});

test("nats 4.3: long subjects are bounded by their bytes", () => {
  const table = new SubjectTable(9, 65_536, 100_000);
  const tail = "x".repeat(1000);
  for (let i = 0; i < 500; i++) {
    intern(table, `${i}.${tail}`);
    if (table.count > 101) assert.fail(`${table.count} entries`);
  }
});

test("nats 4.3: pinned entries alone raise the bound instead of sweeping at every step", () => {
  const table = new SubjectTable(9, 50);
  for (let i = 0; i < 200; i++) intern(table, `p.${i}`).pins++;
  assert.equal(table.count, 200);
  for (let i = 0; i < 200; i++) assert.ok(table.peek(`p.${i}`) !== null);
});

test("nats 4.3: an entry that is found without the table counts as asked for: no sweep drops it", () => {
  const table = new SubjectTable(5);
  const entry = intern(table, "b.c");
  entry.generation = 7;
  const { lookups } = table;
  for (let i = 0; i < 3 * SWEEP_AFTER_NEW; i++) {
    intern(table, `inbox.${i}`);
    if (i % 100 === 0) table.followed(entry);
  }
  assert.equal(table.lookups, lookups + 3 * SWEEP_AFTER_NEW + Math.ceil(3 * SWEEP_AFTER_NEW / 100));
  assert.ok(!entry.dropped);
  assert.equal(table.peek("b.c"), entry);
  for (let i = 0; i < 3 * SWEEP_AFTER_NEW; i++) intern(table, `outbox.${i}`);
  assert.ok(entry.dropped);
  assert.equal(entry.generation, -1, "it is true in no generation");
});

test("nats 4.3: a dropped entry keeps no other one", () => {
  const table = new SubjectTable(5);
  const entries = Array.from({ length: 100 }, (_, i) => intern(table, `s.${i}`));
  for (const [i, entry] of entries.entries()) entry.follower = entries[i + 1] ?? null;
  for (let i = 0; i < 3 * SWEEP_AFTER_NEW; i++) intern(table, `inbox.${i}`);
  assert.ok(entries.every(({ dropped, follower }) => dropped && follower === null));
});

test("nats 4.3: subjects of every length are told apart, while others are dropped all the time", () => {
  // Few entries, so that sweeps drop some all the time.
  const table = new SubjectTable(3, 400);
  const random = new SeededRandom(7);
  const strange = ["\x00", "\x80", "\xff", "a"];
  const subjects = Array.from({ length: 1500 }, (_, i) => {
    const length = 1 + random.below(i % 5 === 0 ? 200 : 70);
    const text = "some.subject.".repeat(20).slice(0, length);
    const at = random.below(length);
    return text.slice(0, at) + strange[random.below(strange.length)]! + text.slice(at + 1);
  });
  let followedCount = 0;
  let previous = intern(table, "first");
  for (let i = 0; i < 60_000; i++) {
    // Runs in one order, with a few strays.
    const subject = subjects[random.below(20) === 0 ? random.below(subjects.length) : i % 300]!;
    const bytes = bytesOf(`<<<${subject}>`);
    const { follower } = previous;
    const isFollowed = follower !== null && follower.generation === 1 && follower.is(bytes, 3, bytes.length - 1);
    if (isFollowed) {
      table.followed(follower);
      followedCount++;
    }
    const entry = isFollowed ? follower : table.intern(bytes, 3, bytes.length - 1);
    if (entry.subject !== subject) {
      assert.fail(`${JSON.stringify(subject)} is taken for ${JSON.stringify(entry.subject)}`);
    }
    assert.ok(!entry.dropped);
    entry.generation = 1;
    if (!previous.dropped) previous.follower = entry;
    previous = entry;
  }
  assert.ok(followedCount > 20_000, String(followedCount));
});
