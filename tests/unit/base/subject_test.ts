import assert from "node:assert/strict";
import { test } from "node:test";
import {
  hasOnlyFullTokens,
  hasWildcard,
  isSubscriptionSubject,
  subjectMatches,
  tokenCount,
} from "../../../src/base/subject.ts";

test("nats-server.md 3.6: subjects with an empty token, or `>` before the end, cannot be subscribed to", () => {
  for (const valid of ["foo", "foo.bar", "*", ">", "foo.*", "foo.>", "*.*.>", "foo*", "foo.>x", "f*o.b>r", "a b"]) {
    assert.ok(isSubscriptionSubject(valid), valid);
  }
  for (const invalid of ["", ".", "foo.", ".foo", "foo..bar", ">.foo", "foo.>.bar"]) {
    assert.ok(!isSubscriptionSubject(invalid), invalid);
  }
});

test("nats-server.md 4.1: wildcards count only as whole tokens", () => {
  for (const literal of ["foo", "foo*", "f>o", "foo.bar*", ">foo"]) assert.ok(!hasWildcard(literal), literal);
  for (const wild of ["*", ">", "foo.*", "*.foo", "foo.>"]) assert.ok(hasWildcard(wild), wild);
});

test("nats-server.md 4.1: `*` is one token, `>` one or more", () => {
  const cases: [string, string, boolean][] = [
    ["foo", "foo", true],
    ["foo", "foo.bar", false],
    ["*", "foo", true],
    ["*", "foo.bar", false],
    ["foo.>", "foo", false],
    ["foo.>", "foo.bar", true],
    ["foo.>", "foo.bar.baz", true],
    [">", "foo", true],
    ["*.bar", "foo.bar", true],
    ["foo.*.baz", "foo.bar.baz", true],
    ["foo.*.baz", "foo.bar.bar", false],
    ["foo*", "foo*", true],
    ["foo*", "foob", false],
  ];
  for (const [pattern, subject, expected] of cases) {
    assert.equal(subjectMatches(pattern, subject), expected, `${pattern} on ${subject}`);
  }
});

test("tokens are what stands between dots", () => {
  assert.equal(tokenCount("a"), 1);
  assert.equal(tokenCount("a.b.c"), 3);
  assert.ok(hasOnlyFullTokens("a.b"));
  assert.ok(!hasOnlyFullTokens("a..b"));
});
