/** The list of subscriptions (nats-server.md 4). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { subjectMatches } from "../../../src/base/subject.ts";
import { Sublist } from "../../../src/nats/sublist.ts";
import { Subscription } from "../../../src/nats/subscription.ts";
import { SeededRandom } from "../../conformance/store/random.ts";

const NOBODY = { receive() {} };

function subscription(subject: string, queue = ""): Subscription {
  return new Subscription(null, NOBODY, subject, queue, "");
}

function listOf(...subjects: string[]): Sublist {
  const list = new Sublist();
  for (const subject of subjects) list.insert(subscription(subject));
  return list;
}

function matches(list: Sublist, subject: string): string[] {
  return list.match(subject).plain.map((found) => found.subject).sort();
}

test("nats 4.1: * is one token, > is one or more, both only as whole tokens", () => {
  const list = listOf("foo", "foo.*", "foo.>", "*", ">", "*.bar", "foo*", "foo.b>", "*.*.*", "foo.*.>");
  assert.deepEqual(matches(list, "foo"), ["*", ">", "foo"]);
  assert.deepEqual(matches(list, "foo.bar"), ["*.bar", ">", "foo.*", "foo.>"]);
  assert.deepEqual(matches(list, "foo.bar.baz"), ["*.*.*", ">", "foo.*.>", "foo.>"]);
  assert.deepEqual(matches(list, "foo*"), ["*", ">", "foo*"]);
  assert.deepEqual(matches(list, "foo.b>"), [">", "foo.*", "foo.>", "foo.b>"]);
  assert.deepEqual(matches(list, "fo"), ["*", ">"]);
});

test("nats 16: 45. wildcard characters of a published subject are ordinary tokens", () => {
  const list = listOf("foo.*", "foo.>", "foo.a", "foo.*.c");
  assert.deepEqual(matches(list, "foo.*"), ["foo.*", "foo.>"]);
  assert.deepEqual(matches(list, "foo.>"), ["foo.*", "foo.>"]);
  assert.deepEqual(matches(list, "foo.>.c"), ["foo.*.c", "foo.>"]);
});

test("nats 17: 20. groups of one name on several patterns are one", () => {
  const list = new Sublist();
  for (const subject of ["v.*", "v.a", "v.>", ">"]) list.insert(subscription(subject, "q"));
  list.insert(subscription("v.a", "r"));
  const { plain, groups } = list.match("v.a");
  assert.equal(plain.length, 0);
  assert.deepEqual(groups.map((group) => group.length).sort(), [1, 4]);
});

test("nats 4.3: insert and remove say whether other subjects may be touched, and leave nothing behind", () => {
  const list = new Sublist();
  const literal = subscription("a.b");
  const wild = subscription("a.*");
  const member = subscription("a.*", "q");
  assert.equal(list.insert(literal), false);
  assert.equal(list.insert(wild), true);
  assert.equal(list.insert(member), true);
  assert.equal(list.count, 3);
  assert.equal(list.wildcardCount, 2);
  assert.equal(list.remove(wild), true);
  assert.equal(list.remove(member), true);
  assert.equal(list.remove(literal), false);
  assert.equal(list.count, 0);
  assert.equal(list.wildcardCount, 0);
  assert.deepEqual(list.match("a.b"), { plain: [], groups: [] });
  // Not there: no error, and the counts stay.
  list.remove(wild);
  list.remove(literal);
  assert.equal(list.count, 0);
  assert.equal(list.wildcardCount, 0);
});

test("nats 4.3: removing one of several equal ones leaves the others", () => {
  const list = new Sublist();
  for (const subject of ["x", "x.*", "x.>"]) {
    const twins = [
      subscription(subject),
      subscription(subject),
      subscription(subject, "q"),
      subscription(subject, "q"),
    ];
    for (const twin of twins) list.insert(twin);
    list.remove(twins[0]!); // Four were made.
    list.remove(twins[2]!);
    const result = list.match(subject === "x" ? "x" : "x.y");
    assert.ok(result.plain.includes(twins[1]!) && !result.plain.includes(twins[0]!));
    list.remove(twins[1]!);
    list.remove(twins[3]!);
  }
  assert.equal(list.count, 0);
});

test("nats 16: 74. random subjects match as the plain definition says", () => {
  const random = new SeededRandom(7);
  const list = new Sublist();
  const all = new Set<Subscription>();
  const tokens = ["a", "b", "*", "c", ">", "a*"];
  for (let step = 0; step < 20_000; step++) {
    const parts: string[] = [];
    for (let i = random.below(5); i >= 0; i--) parts.push(tokens[random.below(tokens.length)]!);
    const kind = random.below(10);
    if (kind < 2 && all.size < 200) {
      const end = parts.indexOf(">");
      const made = subscription((end < 0 ? parts : parts.slice(0, end + 1)).join("."));
      all.add(made);
      list.insert(made);
    } else if (kind < 4 && all.size > 0) {
      const victim = [...all][random.below(all.size)]!;
      all.delete(victim);
      list.remove(victim);
    } else {
      const subject = parts.join(".");
      const expected = [...all].filter((one) => subjectMatches(one.subject, subject));
      const got = new Set(list.match(subject).plain);
      assert.equal(got.size, expected.length, subject);
      for (const one of expected) assert.ok(got.has(one), `${one.subject} and ${subject}`);
    }
  }
  for (const one of all) list.remove(one);
  assert.equal(list.count, 0);
});

test("nats 4.1: a subject of 2048 tokens is inserted, matched and removed", () => {
  const list = new Sublist();
  const wild = subscription(new Array(2048).fill("*").join("."));
  list.insert(wild);
  assert.equal(list.match(new Array(2048).fill("a").join(".")).plain[0], wild);
  assert.equal(list.match(new Array(2047).fill("a").join(".")).plain.length, 0);
  list.remove(wild);
  assert.equal(list.wildcardCount, 0);
});

test("a closed subscription lets go of what it led to", () => {
  const one = new Subscription(null, NOBODY, "foo", "", "");
  one.close();
  assert.deepEqual([one.closed, one.receiver, one.connection], [true, null, null]);
});
