/** nats-server.md 6.2, row by row, on the pure part: rules and what a connection remembers of them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { byteStringOfText } from "../../../src/base/bytes.ts";
import {
  ConnectionPermissions,
  PermissionRules,
  PUBLISH_CACHE_COUNT_MAX,
  REPLY_COUNT_MAX,
} from "../../../src/nats/auth/permissions.ts";
import { coversTokens, matchesTokens, overlapTokens } from "../../../src/nats/auth/subject_set.ts";
import { AuthOptionsError, type Permissions } from "../../../src/nats/auth/types.ts";

function publishRules(publish: NonNullable<Permissions["publish"]>): PermissionRules {
  return new PermissionRules({ publish });
}

function subscribeRules(subscribe: NonNullable<Permissions["subscribe"]>): PermissionRules {
  return new PermissionRules({ subscribe });
}

/** Which of `subjects` pass. */
function allowed(rules: PermissionRules, subjects: readonly string[]): string[] {
  return subjects.filter((subject) => rules.allowsPublish(subject));
}

/** `"subject"` or `"subject queue"` that may be subscribed to. */
function subscribable(rules: PermissionRules, subscriptions: readonly string[]): string[] {
  return subscriptions.filter((text) => {
    const [subject = "", queue = ""] = text.split(" ");
    return rules.allowsSubscribe(subject, queue);
  });
}

test("nats 6.2: publish: no lists allow everything", () => {
  assert.deepEqual(allowed(new PermissionRules({}), ["a", "a.b", "a..b", "$SYS.x"]), ["a", "a.b", "a..b", "$SYS.x"]);
});

test("nats 6.2: publish: allowed when one entry matches", () => {
  const rules = publishRules({ allow: ["foo.*", "bar.>", "lit"] });
  const subjects = ["foo.a", "foo", "foo.a.b", "bar", "bar.x", "bar.x.y", "lit", "lit.x", "other"];
  assert.deepEqual(allowed(rules, subjects), ["foo.a", "bar.x", "bar.x.y", "lit"]);
});

test("nats 6.2: publish: wildcard characters in a published subject are ordinary tokens", () => {
  const rules = publishRules({ allow: ["foo.*"] });
  assert.deepEqual(allowed(rules, ["foo.*", "foo.>", "*.a", ">"]), ["foo.*", "foo.>"]);
});

test("nats 6.2: publish: a subject with an empty token is in no list", () => {
  assert.deepEqual(allowed(publishRules({ allow: [">"] }), ["a..b", ".a", "a.", "a"]), ["a"]);
  assert.deepEqual(allowed(publishRules({ deny: [">"] }), ["a..b", "a"]), ["a..b"]);
});

test("nats 6.2: publish: deny overrides allow", () => {
  const rules = publishRules({ allow: ["foo.>"], deny: ["foo.secret.*", "foo.no"] });
  assert.deepEqual(allowed(rules, ["foo.a", "foo.no", "foo.secret", "foo.secret.x", "foo.secret.x.y"]), [
    "foo.a",
    "foo.secret",
    "foo.secret.x.y",
  ]);
});

test("nats 6.2: publish: deny alone leaves the rest", () => {
  assert.deepEqual(allowed(publishRules({ deny: ["a"] }), ["a", "b"]), ["b"]);
});

test("nats 6.2: an empty allow list is nothing, an empty deny list forbids nothing", () => {
  assert.deepEqual(allowed(publishRules({ allow: [], deny: [] }), ["a", "b.c"]), []);
  assert.deepEqual(allowed(publishRules({ deny: [] }), ["a"]), ["a"]);
  assert.deepEqual(subscribable(subscribeRules({ allow: [] }), ["a", "a q", ">"]), []);
});

test("nats 6.2: subjects are bytes: an entry beyond ASCII matches its UTF-8", () => {
  const rules = publishRules({ allow: ["grüße.*"] });
  assert.ok(rules.allowsPublish(byteStringOfText("grüße.köln")));
  assert.ok(!rules.allowsPublish("grüße.x"));
});

test("nats 6.2: subscribe: the subject must be covered by an entry", () => {
  const rules = subscribeRules({ allow: ["foo.>"] });
  const wanted = ["foo.a", "foo.*", "foo.>", "foo.*.b", "foo", ">", "*.a", "*", "fo.*"];
  assert.deepEqual(subscribable(rules, wanted), ["foo.a", "foo.*", "foo.>", "foo.*.b"]);
});

test("nats 6.2: subscribe: one token does not cover the rest", () => {
  // The reference takes `>` as a token and lets the second one pass.
  assert.deepEqual(subscribable(subscribeRules({ allow: ["foo.*"] }), ["foo.*", "foo.>", "foo.a.>"]), ["foo.*"]);
  assert.deepEqual(subscribable(subscribeRules({ allow: ["*.*"] }), ["foo.*", "*.x", "foo.>"]), ["foo.*", "*.x"]);
});

test("nats 6.2: subscribe: a token that only contains a wildcard character is literal", () => {
  assert.deepEqual(subscribable(subscribeRules({ allow: ["foo*"] }), ["foo*", "foox", "foo"]), ["foo*"]);
});

test("nats 6.2: subscribe: a subject with an empty token is refused by an allow list", () => {
  assert.deepEqual(subscribable(subscribeRules({ allow: [">"] }), ["a..b", "a"]), ["a"]);
});

test("nats 6.2: subscribe deny: a denied subject fails, a wider one passes and is filtered", () => {
  const rules = subscribeRules({ deny: ["foo.x", "bar.*"] });
  assert.deepEqual(subscribable(rules, ["foo.x", "foo.>", "foo.*", ">", "bar.a", "bar.*", "foo.y"]), [
    "foo.>",
    "foo.*",
    ">",
    "foo.y",
  ]);
  assert.ok(rules.filtersDeliveries("foo.>"));
  assert.ok(rules.filtersDeliveries(">"));
  assert.ok(rules.filtersDeliveries("*.a"));
  assert.ok(!rules.filtersDeliveries("foo.y"));
  assert.ok(!rules.filtersDeliveries("baz.*"));
  assert.ok(!rules.allowsDelivery("foo.x", ""));
  assert.ok(!rules.allowsDelivery("bar.z", "q"));
  assert.ok(rules.allowsDelivery("foo.y", ""));
});

test("nats 6.2: subscribe deny: SUB foo.> fails under deny foo.*, as in 2.9.10", () => {
  assert.deepEqual(subscribable(subscribeRules({ deny: ["foo.*"] }), ["foo.>", "foo.a.>"]), ["foo.a.>"]);
});

test("nats 6.2: subscribe deny overrides allow", () => {
  const rules = subscribeRules({ allow: ["foo.>"], deny: ["foo.x"] });
  assert.deepEqual(subscribable(rules, ["foo.x", "foo.y", "bar"]), ["foo.y"]);
});

test("nats 6.2: queue: an entry with a queue name allows that queue only", () => {
  const rules = subscribeRules({ allow: ["foo v1"] });
  assert.deepEqual(subscribable(rules, ["foo", "foo v1", "foo v2"]), ["foo v1"]);
});

test("nats 6.2: queue: the name may be a pattern", () => {
  const rules = subscribeRules({ allow: ["bar v1.*", "baz v2.>"] });
  assert.deepEqual(
    subscribable(rules, ["bar v1", "bar v1.a", "bar v1.a.b", "bar v1.*", "baz v2.a.b", "baz v2", "bar"]),
    [
      "bar v1.a",
      "bar v1.*",
      "baz v2.a.b",
    ],
  );
});

test("nats 6.2: queue: with `foo` and `foo v1` plain is allowed, and of the queues only v1", () => {
  const rules = subscribeRules({ allow: ["foo", "foo v1"] });
  assert.deepEqual(subscribable(rules, ["foo", "foo v1", "foo v2"]), ["foo", "foo v1"]);
});

test("nats 6.2: queue: an entry without queue allows any queue", () => {
  assert.deepEqual(subscribable(subscribeRules({ allow: ["foo"] }), ["foo", "foo a", "foo b.c"]), [
    "foo",
    "foo a",
    "foo b.c",
  ]);
});

test("nats 6.2: queue: entries of deny lists work the same way", () => {
  const rules = subscribeRules({ deny: ["foo v1.*", "bar", "baz", "baz v1"] });
  const wanted = ["foo", "foo v1.a", "foo v2", "bar", "bar v1", "baz", "baz v1", "baz v2"];
  // The last one passes in 2.9.10, too: entries with a queue name decide about queue subscriptions.
  assert.deepEqual(subscribable(rules, wanted), ["foo", "foo v2", "baz v2"]);
  assert.ok(!rules.allowsDelivery("foo", "v1.a"));
  assert.ok(rules.allowsDelivery("foo", "v2"));
  assert.ok(rules.allowsDelivery("foo", ""));
});

test("nats 6.2: a subscribe entry with more than a queue name is refused", () => {
  assert.throws(() => subscribeRules({ allow: ["foo v1 v2"] }), AuthOptionsError);
  assert.throws(() => subscribeRules({ deny: [" "] }), AuthOptionsError);
});

test("nats 6.2: publish decisions are remembered, 128 of them", () => {
  const connection = new ConnectionPermissions(publishRules({ allow: ["a.*"] }));
  for (let i = 0; i < 1000; i++) {
    assert.ok(connection.takePublish(`a.${i}`, 0));
    assert.ok(!connection.takePublish(`b.${i}`, 0));
    assert.ok(connection.decisionCount <= PUBLISH_CACHE_COUNT_MAX);
  }
  assert.equal(connection.decisionCount, PUBLISH_CACHE_COUNT_MAX);
  assert.ok(connection.takePublish("a.0", 0));
  assert.ok(!connection.takePublish("b.0", 0));
});

test("nats 6.2: allow_responses: publishing is forbidden unless a list is given", () => {
  const allowResponses = { max: 1, expiresMs: 1000 };
  assert.deepEqual(allowed(new PermissionRules({ allowResponses }), ["a"]), []);
  assert.deepEqual(allowed(new PermissionRules({ allowResponses, publish: { deny: ["b"] } }), ["a", "b"]), []);
  assert.deepEqual(allowed(new PermissionRules({ allowResponses, publish: { allow: ["a"] } }), ["a", "b"]), ["a"]);
});

function answering(max: number, expiresMs: number, publish?: Permissions["publish"]): ConnectionPermissions {
  const permissions = { allowResponses: { max, expiresMs }, ...(publish === undefined ? {} : { publish }) };
  return new ConnectionPermissions(new PermissionRules(permissions));
}

test("nats 6.2: allow_responses: a delivered reply may be published on `max` times", () => {
  const connection = answering(2, 1000);
  assert.ok(!connection.takePublish("inbox", 0));
  connection.grantReply("inbox", 0);
  assert.ok(connection.takePublish("inbox", 10));
  assert.ok(!connection.takePublish("other", 10));
  assert.ok(connection.takePublish("inbox", 20));
  assert.ok(!connection.takePublish("inbox", 30));
  assert.equal(connection.grantCount, 0);
});

test("nats 6.2: allow_responses: not after it expired", () => {
  const connection = answering(5, 1000);
  connection.grantReply("inbox", 0);
  assert.ok(connection.takePublish("inbox", 1000));
  assert.ok(!connection.takePublish("inbox", 1001));
  assert.equal(connection.grantCount, 0);
});

test("nats 6.2: allow_responses: the same reply delivered again begins anew", () => {
  const connection = answering(1, 1000);
  connection.grantReply("inbox", 0);
  assert.ok(connection.takePublish("inbox", 0));
  connection.grantReply("inbox", 900);
  assert.ok(connection.takePublish("inbox", 1800));
  assert.ok(!connection.takePublish("inbox", 1800));
});

test("nats 6.2: allow_responses: 0 is the default, negative is without limit", () => {
  const defaults = answering(0, 0);
  defaults.grantReply("inbox", 0);
  assert.ok(defaults.takePublish("inbox", 120_000));
  assert.ok(!defaults.takePublish("inbox", 0));
  defaults.grantReply("late", 0);
  assert.ok(!defaults.takePublish("late", 120_001));
  const endless = answering(-1, -1);
  endless.grantReply("inbox", 0);
  for (let i = 0; i < 100; i++) assert.ok(endless.takePublish("inbox", i * 1e9));
});

test("nats 6.2: allow_responses: a granted reply overrules the lists, as in 2.9.10", () => {
  const connection = answering(1, 1000, { deny: ["no.>"] });
  connection.grantReply("no.r", 0);
  assert.ok(connection.takePublish("no.r", 0));
  assert.ok(!connection.takePublish("no.r", 0));
});

test("nats 6.2: allow_responses: an allowed subject uses up no grant", () => {
  const connection = answering(1, 1000, { allow: ["free"] });
  connection.grantReply("free", 0);
  for (let i = 0; i < 5; i++) assert.ok(connection.takePublish("free", 0));
  assert.equal(connection.grantCount, 1);
});

test("nats 6.2: allow_responses: grants are bounded, and go when they are over", () => {
  const endless = answering(-1, -1);
  for (let i = 0; i < REPLY_COUNT_MAX + 10; i++) endless.grantReply(`r.${i}`, 0);
  assert.equal(endless.grantCount, REPLY_COUNT_MAX);
  assert.ok(!endless.takePublish("r.9", 0));
  assert.ok(endless.takePublish("r.10", 0));
  const short = answering(1, 100);
  for (let i = 0; i < 1000; i++) short.grantReply(`r.${i}`, i * 10);
  assert.ok(short.grantCount <= 12, `${short.grantCount} grants of which most are over`);
});

test("nats 6.2: without allow_responses nothing is granted", () => {
  const connection = new ConnectionPermissions(publishRules({ allow: [] }));
  assert.ok(!connection.grantsReplies);
  connection.grantReply("inbox", 0);
  assert.ok(!connection.takePublish("inbox", 0));
});

test("nats 6.2: match, cover and overlap agree with their definitions on all small patterns", () => {
  const words = ["a", "b", "*", ">"];
  const patterns: string[][] = [];
  for (const first of words) {
    patterns.push([first]);
    if (first === ">") continue;
    for (const second of words) {
      patterns.push([first, second]);
      if (second === ">") continue;
      for (const third of words) patterns.push([first, second, third]);
    }
  }
  const literals: string[][] = [];
  const letters = ["a", "b", "c"];
  for (const one of letters) {
    literals.push([one]);
    for (const two of letters) {
      literals.push([one, two]);
      for (const three of letters) {
        literals.push([one, two, three]);
        for (const four of letters) literals.push([one, two, three, four]);
      }
    }
  }
  for (const a of patterns) {
    const matched = literals.filter((literal) => matchesTokens(a, literal));
    for (const b of patterns) {
      const others = literals.filter((literal) => matchesTokens(b, literal));
      const names = `${a.join(".")} and ${b.join(".")}`;
      assert.equal(coversTokens(a, b), others.every((literal) => matched.includes(literal)), `cover: ${names}`);
      assert.equal(overlapTokens(a, b), others.some((literal) => matched.includes(literal)), `overlap: ${names}`);
    }
  }
});
