/** Tables of channels, clients and durables, repetition, and the question before an action. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseArguments } from "../../../src/cli/arguments.ts";
import { commandRow } from "../../../src/cli/command_table.ts";
import type { SubscriptionRow } from "../../../src/cli/monitor_client.ts";
import { channelsTable, clientsTable, confirm, showOrWatch, subscriptionsTable } from "../../../src/cli/views.ts";
import { FakeHost } from "./cli_support.ts";

const parse = (...args: string[]) => parseArguments(commandRow("channels"), args);

const subscription: SubscriptionRow = {
  channel: "orders",
  kind: "durable_group",
  client_id: "",
  durable_name: "d",
  queue_name: "g",
  members: ["a", "b"],
  is_offline: false,
  is_stalled: true,
  is_paused: true,
  last_sent: 5,
  lag: 7,
  lag_seconds: 61.5,
  pending_count: 4,
  max_inflight: 8,
  ack_wait_secs: 30,
};

test("a durable group is one row with its members, its lag and its states", () => {
  assert.equal(
    subscriptionsTable([subscription], true, false),
    "CHANNEL  KIND           DURABLE  QUEUE  CLIENTS  LAST SENT  LAG  BEHIND  PENDING  STATE\n" +
      "orders   durable group  d        g      a,b              5    7   1m 1s      4/8  stalled, paused\n",
  );
});

test("what a server does not say is a dash", () => {
  const plain = {
    ...subscription,
    kind: "plain" as const,
    durable_name: "",
    queue_name: "",
    members: [],
    client_id: "me",
    lag_seconds: null,
    is_stalled: false,
    is_paused: false,
  };
  assert.match(subscriptionsTable([plain], false, false), /^plain +- +- +me +5 +7 +- +4\/8 +-$/m);
  assert.match(
    clientsTable([{ id: "me", subscriptions: 2, connected_ms: null, heartbeat_failures: null }], false),
    /^me +2 +- +-$/m,
  );
  assert.match(
    clientsTable([{ id: "me", subscriptions: 2, connected_ms: 61_000, heartbeat_failures: 1 }], false),
    /^me +2 +1m 1s +1$/m,
  );
});

test("a channel is one row; the heading is bold where that is wanted", () => {
  const row = {
    name: "orders",
    msgs: 3,
    bytes: 2048,
    first_seq: 1,
    last_seq: 3,
    subscriptions: 1,
    pending: 0,
    max_lag: 2,
    stalled: false,
    paused: false,
  };
  assert.match(channelsTable([row], false), /^orders +3 +2\.00 KB +1 +3 +1 +0 +2 +-$/m);
  assert.ok(channelsTable([row], true).startsWith("\x1b[1mCHANNEL"));
});

test("an action asks at a terminal, and only yes is yes", async () => {
  const answers = { "y\n": true, "Yes\n": true, "n\n": false, "\n": false, "": false, "yup\n": false };
  for (const [input, expected] of Object.entries(answers)) {
    const host = new FakeHost({ isTerminal: true, input });
    assert.equal(await confirm(parse(), host, "Delete it?"), expected, JSON.stringify(input));
    assert.equal(host.stderr, "Delete it? [y/N] ");
  }
});

test("an action where nobody can be asked is refused without --yes, and does not ask with it", async () => {
  const host = new FakeHost();
  await assert.rejects(confirm(parse(), host, "Delete it?"), /^UsageError: Delete it\? There is no terminal/);
  assert.equal(await confirm(parse("--yes"), host, "Delete it?"), true);
  assert.equal(host.stderr, "");
});

test("--watch shows again until the user ends it", async () => {
  let shown = 0;
  const host: FakeHost = new FakeHost({ printed: () => shown === 3 && host.interrupt() });
  const status = await showOrWatch(parse("--watch", "1ms"), host, () => Promise.resolve(`${++shown}\n`));
  assert.deepEqual([status, host.stdout], [0, "1\n2\n3\n"]);
});

test("--watch on a terminal begins at its top each time", async () => {
  const host: FakeHost = new FakeHost({ isTerminal: true, printed: () => host.interrupt() });
  await showOrWatch(parse("--watch", "1h"), host, () => Promise.resolve("x\n"));
  assert.equal(host.stdout, "\x1b[H\x1b[2Jx\n");
});
