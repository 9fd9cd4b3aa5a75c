import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isChannelName,
  resolveChannelLimits,
  type ResolvedLimits,
  validateLimits,
} from "../../../src/config/limits.ts";
import { type ChannelLimitsEntry, DEFAULT_LIMITS, type LimitOptions } from "../../../src/config/option_types.ts";
import type { StoreLimits } from "../../../src/store/types.ts";

const GLOBALS: LimitOptions = {
  maxChannels: 100,
  maxMessages: 11,
  maxBytes: 12,
  maxAgeMs: 13,
  maxSubscriptions: 14,
  maxInactivityMs: 15,
  perChannel: [],
};

function show(limits: ResolvedLimits): string {
  const { maxMessages, maxBytes, maxAgeMs, maxSubscriptions, maxInactivityMs } = limits;
  return [maxMessages, maxBytes, maxAgeMs, maxSubscriptions, maxInactivityMs].join("/");
}

test("stores 12.60, 2.3: the worked example of inheritance", () => {
  const perChannel: ChannelLimitsEntry[] = [
    { pattern: "*.*", maxBytes: 2 },
    { pattern: "*.>", maxSubscriptions: 5 },
    { pattern: "foo.>", maxMessages: 10 },
    { pattern: "foo.*.>", maxBytes: 20 },
    { pattern: "foo.*.*.>", maxAgeMs: 30 },
    { pattern: "foo.a.b.c", maxSubscriptions: 40 },
    { pattern: "foo.d.e.f", maxMessages: 50, maxAgeMs: 60 },
    { pattern: "foo.baz", maxBytes: 70, maxSubscriptions: 80 },
    { pattern: "bar.*.>", maxMessages: 90 },
    { pattern: "bar.baz.>", maxBytes: 100, maxInactivityMs: 110 },
    { pattern: "bar.baz.boz", maxInactivityMs: 120 },
  ];
  const expected: Readonly<Record<string, string>> = {
    "*.>": "11/12/13/5/15",
    "*.*": "11/2/13/5/15",
    "foo.>": "10/2/13/5/15",
    "foo.*.>": "10/20/13/5/15",
    "foo.*.*.>": "10/20/30/5/15",
    "foo.a.b.c": "10/20/30/40/15",
    "foo.d.e.f": "50/20/60/5/15",
    "foo.baz": "10/70/13/80/15",
    "bar.*.>": "90/12/13/5/15",
    "bar.baz.>": "90/100/13/5/110",
    "bar.baz.boz": "90/100/13/5/120",
  };
  // The order in which entries are written must not matter.
  for (const list of [perChannel, perChannel.toReversed()]) {
    const resolved = resolveChannelLimits({ ...GLOBALS, perChannel: list });
    const got = Object.fromEntries(resolved.entries.map((entry) => [entry.pattern, show(entry.limits)]));
    assert.deepEqual(got, expected);
  }
});

test("stores 2.3: a channel uses the last matching entry, or the globals", () => {
  const resolved: StoreLimits = resolveChannelLimits({
    ...GLOBALS,
    perChannel: [
      { pattern: "foo.>", maxMessages: 400 },
      { pattern: "foo.*", maxBytes: 5 },
      { pattern: "foo.bar", maxAgeMs: 6 },
    ],
  });
  assert.equal(resolved.maxChannels, 100);
  const of = (name: string) => {
    const limits = resolved.forChannel(name);
    return `${limits.maxMessages}/${limits.maxBytes}/${limits.maxAgeMs}`;
  };
  assert.equal(of("foo"), "11/12/13");
  assert.equal(of("foo.bar"), "400/5/6");
  assert.equal(of("foo.baz"), "400/5/13");
  assert.equal(of("foo.bar.baz"), "400/12/13");
  assert.equal(of("other"), "11/12/13");
});

test("stores 2.1: in an entry absent inherits, 0 and negative are unlimited", () => {
  const resolved = resolveChannelLimits({
    ...GLOBALS,
    perChannel: [{ pattern: "a", maxMessages: 0, maxBytes: -1 }],
  });
  assert.equal(show(resolved.forChannel("a")), "0/0/13/14/15");
});

test("stores 2.2: of two entries with the same pattern the later one counts", () => {
  const resolved = resolveChannelLimits({
    ...GLOBALS,
    perChannel: [{ pattern: "a", maxMessages: 1, maxBytes: 1 }, { pattern: "a", maxMessages: 2 }],
  });
  assert.equal(show(resolved.forChannel("a")), "2/12/13/14/15");
  assert.equal(resolved.entries.length, 1);
});

test("stores 2.2: negative limits, in the order of the checks", () => {
  const cases: readonly (readonly [Partial<LimitOptions>, string])[] = [
    [{ maxChannels: -1, maxMessages: -1 }, "max channels limit cannot be negative (-1)"],
    [{ maxSubscriptions: -2, maxMessages: -1 }, "max subscriptions limit cannot be negative (-2)"],
    [{ maxMessages: -5 }, "max messages limit cannot be negative (-5)"],
    [{ maxBytes: -1 }, "max bytes limit cannot be negative (-1)"],
    [{ maxAgeMs: -1000 }, "max age limit cannot be negative (-1s)"],
    [{ maxInactivityMs: -60_000 }, "max inactivity limit cannot be negative (-1m0s)"],
  ];
  for (const [part, text] of cases) assert.equal(validateLimits({ ...DEFAULT_LIMITS, ...part }), text);
  assert.equal(validateLimits(DEFAULT_LIMITS), undefined);
});

test("stores 12.62, 2.2: names and the number of literal channels", () => {
  const perChannel = [{ pattern: "a" }, { pattern: "b" }, { pattern: "c" }, { pattern: "d.>" }, { pattern: "*" }];
  assert.equal(
    validateLimits({ ...DEFAULT_LIMITS, maxChannels: 1, perChannel }),
    "too many channels defined (2). The max channels limit is set to 1",
  );
  assert.equal(validateLimits({ ...DEFAULT_LIMITS, maxChannels: 3, perChannel }), undefined);
  assert.equal(validateLimits({ ...DEFAULT_LIMITS, maxChannels: 0, perChannel }), undefined);
  assert.equal(
    validateLimits({ ...DEFAULT_LIMITS, perChannel: [{ pattern: "a b>" }] }),
    'invalid channel name "a b>"',
  );
  for (const name of ["", ".", "a.", ".a", "a..b", "a/b", "a*", "a.>.b", "a.b>"]) {
    assert.equal(isChannelName(name, true), false, name);
  }
  for (const name of ["a", "a.b", "a.*", "a.>", "*", ">", "*.b"]) assert.equal(isChannelName(name, true), true, name);
  for (const name of ["a.*", "a.>", "*", ">"]) assert.equal(isChannelName(name, false), false, name);
  assert.equal(isChannelName("a.b-c_d", false), true);
});
