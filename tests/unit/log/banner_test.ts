import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_LIMITS, resolveChannelLimits } from "../../../src/config/options.ts";
import type { LimitOptions } from "../../../src/config/options.ts";
import { limitsBanner } from "../../../src/log/banner.ts";

function banner(limits: LimitOptions): string[] {
  const { maxChannels, global, entries } = resolveChannelLimits(limits);
  return limitsBanner({ maxChannels, global, defaults: DEFAULT_LIMITS, channels: entries });
}

test("operations 3.2, 13.43: the banner of the defaults", () => {
  assert.deepEqual(banner(DEFAULT_LIMITS), [
    "---------- Store Limits ----------",
    "Channels:                  100 *",
    "--------- Channels Limits --------",
    "  Subscriptions:          1000 *",
    "  Messages     :       1000000 *",
    "  Bytes        :     976.56 MB *",
    "  Age          :     unlimited *",
    "  Inactivity   :     unlimited *",
    "----------------------------------",
  ]);
});

test("operations 3.3: a star only beside values equal to the default; 0 is unlimited", () => {
  const lines = banner({
    ...DEFAULT_LIMITS,
    maxChannels: 0,
    maxSubscriptions: 0,
    maxMessages: 7,
    maxBytes: 256 * 1024 ** 3,
    maxAgeMs: 3_600_000,
  });
  assert.deepEqual(lines.slice(1, -1), [
    "Channels:            unlimited",
    "--------- Channels Limits --------",
    "  Subscriptions:     unlimited",
    "  Messages     :             7",
    "  Bytes        :     256.00 GB",
    "  Age          :        1h0m0s",
    "  Inactivity   :     unlimited *",
  ]);
});

test("operations 3.3, 13.44: the tree of channels", () => {
  const lines = banner({
    ...DEFAULT_LIMITS,
    perChannel: [
      { pattern: "z" },
      { pattern: "foo.>", maxMessages: 400, maxAgeMs: 172_800_000 },
      { pattern: "foo.bar", maxBytes: 1_048_576 },
      { pattern: "foo.bar.*", maxMessages: 0, maxSubscriptions: 5 },
      { pattern: "foo.bar.baz", maxInactivityMs: 5_400_000 },
    ],
  });
  assert.deepEqual(lines.slice(8), [
    "-------- List of Channels ---------",
    "z",
    "foo.>",
    " |-> Messages                   400",
    " |-> Age                    48h0m0s",
    " foo.bar",
    "  |-> Bytes                 1.00 MB",
    " foo.bar.*",
    "  |-> Subscriptions               5",
    "  |-> Messages            unlimited",
    "  foo.bar.baz",
    "   |-> Inactivity           1h30m0s",
    "-----------------------------------",
  ]);
});

test("operations 3.3: the dashes are as wide as the widest line, at least 34", () => {
  const narrow = banner({ ...DEFAULT_LIMITS, perChannel: [{ pattern: "a" }] });
  assert.deepEqual(narrow.slice(8), [
    "-------- List of Channels --------",
    "a",
    "----------------------------------",
  ]);
  const name = "x".repeat(50);
  const wide = banner({ ...DEFAULT_LIMITS, perChannel: [{ pattern: name }] });
  assert.equal(wide.at(-1), "-".repeat(50));
  assert.equal(wide.at(-3)?.length, 50);
});

test("operations 14.28: a percent sign in a channel name is printed as it is", () => {
  const lines = banner({ ...DEFAULT_LIMITS, perChannel: [{ pattern: "100%d" }] });
  assert.equal(lines.includes("100%d"), true);
});
