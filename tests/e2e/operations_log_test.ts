/**
 * The lines of operations.md 3.2 to 3.4 that a server of its own can write, letter by letter: scripts look for them. The
 * banner has its own test, and lines about heartbeats need time that is moved: tests/unit/streaming/scripts.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { closeStan, connectStan, publish, type Stan, subscribe } from "../interop/stan_client.ts";
import {
  PROCESS_TEST_MS_MAX,
  type ServerProcess,
  startServerProcess,
  TARGETS,
  TestFolder,
} from "../helpers/server_process.ts";

const timeout = PROCESS_TEST_MS_MAX;

/** The lines of a log, what differs from run to run made plain. */
function linesOf(log: string): string[] {
  return log.trimEnd().split("\n").map((line) =>
    line.replace(/^\[\d+\] \d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d\.\d{6} /, "")
      .replaceAll(/\b_INBOX\.[\w.]+/g, "INBOX").replaceAll(/guid=\w+/g, "guid=GUID")
  );
}

/** The lines are there, in this order; others may stand between them. */
function assertInOrder(lines: readonly string[], wanted: readonly (string | RegExp)[]): void {
  let from = 0;
  for (const line of wanted) {
    const at = lines.findIndex((found, i) =>
      i >= from && (typeof line === "string" ? found === line : line.test(found))
    );
    assert.ok(at >= 0, `missing after line ${from}: ${String(line)}\n${lines.join("\n")}`);
    from = at + 1;
  }
}

/** What one client does with a channel. */
async function useChannels(server: ServerProcess): Promise<void> {
  const credentials = { user: "me", pass: "secret" };
  const stan: Stan = await connectStan(server.url, "p1", credentials);
  await publish(stan, "foo", "one");
  await publish(stan, "foo", "two");
  const durable = await subscribe(stan, "foo", {
    with: (options) => options.setDeliverAllAvailable().setDurableName("d").setManualAckMode(true),
  });
  await durable.count(1);
  durable.ackAll();
  await assert.rejects(
    subscribe(stan, "foo", { with: (options) => options.setDurableName("d") }),
    /duplicate durable/,
  );
  await publish(stan, "idle", "three");
  // As long as somebody listens the channel stays, and no other has room.
  const listener = await subscribe(stan, "idle");
  await assert.rejects(publish(stan, "one-too-many", "four"));
  await listener.end("unsubscribe");
  await server.process.untilSaid('Channel "idle" has been deleted');
  await durable.end("close");
  await closeStan(stan);
}

for (const target of TARGETS) {
  describe(`log of ${target}`, () => {
    it(
      "operations 3.2, 3.4, 13.49: a life with a FILE store, a client and its mistakes; and the next one",
      { timeout },
      async () => {
        using folder = new TestFolder();
        const file = folder.file("log.conf");
        const dir = folder.file("store");
        writeFileSync(
          file,
          "authorization { user: me, password: secret }\n" +
            `streaming { store: file, dir: "${dir}", store_limits { max_msgs: 1, max_channels: 2, max_inactivity: 200ms } }\n`,
        );
        const args = ["-c", file, "-m", "-1", "-SDV"];
        const server = await startServerProcess(target, { args });
        await useChannels(server);
        assert.equal(await server.stop(), 143);
        const lines = linesOf(server.log);
        assertInOrder(lines, [
          /^\[INF\] STREAM: Starting nats-streaming-server\[test-cluster\] version 0\.25\.6/,
          /^\[INF\] STREAM: ServerID: \w{22}$/,
          "[INF] Starting nats-server",
          "[INF]   Version:  2.9.24",
          /^\[INF\] {3}Name: {5}N[A-Z2-7]{55}$/,
          `[INF] Using configuration file: ${file}`,
          /^\[INF\] Starting http monitor on 127\.0\.0\.1:\d+$/,
          "[INF] STREAM: Recovering the state...",
          "[INF] STREAM: No recovered state",
          "[INF] STREAM: Message store is FILE",
          `[INF] STREAM: Store location: ${dir}`,
          "[INF] STREAM: ---------- Store Limits ----------",
          "[DBG] STREAM: Discover subject:           _STAN.discover.test-cluster",
          "[DBG] STREAM: Publish subject:            _STAN.pub.test-cluster.>",
          "[WRN] Plaintext passwords detected, use nkeys or bcrypt",
          /^\[INF\] Listening for client connections on 127\.0\.0\.1:\d+$/,
          "[INF] Server is ready",
          "[INF] STREAM: Streaming Server is ready",
        ]);
        assertInOrder(lines, [
          "[DBG] STREAM: [Client:p1] Connected (Inbox=INBOX)",
          '[INF] STREAM: Channel "foo" has been created',
          "[TRC] STREAM: [Client:p1] Received message from publisher subj=foo guid=GUID",
          "[TRC] STREAM: [Client:p1] Acking Publisher subj=foo guid=GUID",
          /^\[WRN\] STREAM: Reached limits for store "foo" \(msgs=\d+\/1 bytes=\d+\/1024000000\), dropping old messages to make room for new ones$/,
          "[TRC] STREAM: [Client:p1] Acking Publisher subj=foo guid=GUID",
          "[DBG] STREAM: [Client:p1] Started new durable subscription, subject=foo, inbox=INBOX, durable=d, subid=1, " +
          "sending from beginning, seq=2",
          "[TRC] STREAM: [Client:p1] Delivering msg to subid=1, subject=foo, seq=2",
          "[TRC] STREAM: [Client:p1] Processing ack for subid=1, subject=foo, seq=2",
          "[ERR] STREAM: [Client:p1] Duplicate durable subscription registration",
          '[INF] STREAM: Channel "idle" has been created',
          /^\[ERR\] STREAM: Creating channel "one-too-many" failed: /,
          '[INF] STREAM: Channel "idle" has been deleted',
          "[DBG] STREAM: [Client:p1] Closed (Inbox=INBOX)",
          "[INF] STREAM: Shutting down.",
          "[INF] Initiating Shutdown...",
          "[INF] Server Exiting..",
        ]);
        // Once per channel, however often it happens; and no switch of the one half turns on lines of the other.
        assert.equal(lines.filter((line) => line.includes('Reached limits for store "foo"')).length, 1);
        assert.equal(lines.filter((line) => line.includes("Plaintext passwords")).length, 1);
        const fine = lines.filter((line) => /^\[(DBG|TRC)\] /.test(line));
        assert.ok(fine.every((line) => /^\[(DBG|TRC)\] STREAM: /.test(line)), fine.join("\n"));
        assert.doesNotMatch(server.log, /secret/);

        const next = await startServerProcess(target, { args });
        assert.equal(await next.stop("SIGINT"), 0);
        assert.ok(linesOf(next.log).includes("[INF] STREAM: Recovered 1 channel(s)"), next.log);
      },
    );
  });
}
