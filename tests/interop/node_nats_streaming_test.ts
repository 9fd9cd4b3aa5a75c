/**
 * The npm client node-nats-streaming, unmodified, against the server as a process: from source on both runtimes and the
 * executable. The client runs inside the test, so both runtimes are tried on its side as well.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { patternBytes, sameBytes, Waiter } from "../helpers/sockets.ts";
import { PROCESS_TEST_MS_MAX, type ServerProcess, startServerProcess, TARGETS } from "../helpers/server_process.ts";
import {
  assertConsecutive,
  closeStan,
  connectStan,
  fence,
  type Message,
  publish,
  publishNumbers,
  range,
  type Stan,
  subscribe,
  withStan,
} from "./stan_client.ts";

const timeout = PROCESS_TEST_MS_MAX;

/** Parts of the client's inside that the tests of lost connections need. */
interface StanInside {
  readonly nc: { readonly stream: { destroy(): void }; unsubscribe(id: number): void };
  readonly hbSubscription: number;
}

function inside(client: Stan): StanInside {
  return client as unknown as StanInside;
}

for (const target of TARGETS) {
  describe(`node-nats-streaming against ${target}`, () => {
    let server: ServerProcess;
    before(async () => {
      server = await startServerProcess(target);
    }, { timeout });
    after(async () => {
      // Undefined when it could not start, which has been reported.
      if (server === undefined) return;
      const status = await server.stop();
      // Whatever the clients did, the process was there until it was asked to go.
      assert.equal(status, 143, server.log);
      assert.match(server.log, /Server Exiting\.\.\n$/);
    }, { timeout });

    it(
      "11: publishes one after another, each answered",
      { timeout },
      () =>
        withStan(server.url, "publisher", async (client) => {
          const guids = new Set<string>();
          for (let number = 1; number <= 100; number++) guids.add(await publish(client, "sync", String(number)));
          assert.equal(guids.size, 100);
          const all = await subscribe(client, "sync", { with: (options) => options.setDeliverAllAvailable() });
          await all.count(100);
          assertConsecutive(all.sequences, 100);
          assert.deepEqual(all.received.map((message) => message.data), range(1, 100).map(String));
          assert.ok(all.received.every((message) => !message.redelivered));
          const [first] = all.messages as [Message];
          assert.equal(first.getSubject(), "sync");
          assert.ok(first.getTimestamp().getTime() > Date.UTC(2020, 0));
        }),
    );

    it(
      "11.6: 10,000 publishes with thousands in flight are all stored, in order",
      { timeout },
      () =>
        withStan(server.url, "flood-publisher", async (client) => {
          const live = await subscribe(client, "flood");
          let inFlight = 0;
          let inFlightMax = 0;
          const acks = range(1, 10_000).map((number) => {
            inFlightMax = Math.max(inFlightMax, ++inFlight);
            return publish(client, "flood", String(number)).then(() => inFlight--);
          });
          await Promise.all(acks);
          assert.ok(inFlightMax >= 5000, `only ${inFlightMax} were in flight`);
          await live.count(10_000);
          assertConsecutive(live.sequences, 10_000);
          assert.ok(live.received.every((message, index) => message.data === String(index + 1)));

          const replay = await subscribe(client, "flood", {
            with: (options) => options.setDeliverAllAvailable().setMaxInFlight(100),
          });
          await replay.count(10_000);
          assertConsecutive(replay.sequences, 10_000);
        }),
    );

    it("13: every start position", { timeout }, () =>
      withStan(server.url, "positions", async (client) => {
        await publishNumbers(client, "positions", 5);
        const fromNew = await subscribe(client, "positions");
        const fromLast = await subscribe(client, "positions", { with: (o) => o.setStartWithLastReceived() });
        const fromThird = await subscribe(client, "positions", { with: (o) => o.setStartAtSequence(3) });
        const fromBeyond = await subscribe(client, "positions", { with: (o) => o.setStartAtSequence(100) });
        const fromFirst = await subscribe(client, "positions", { with: (o) => o.setDeliverAllAvailable() });
        const fromHourAgo = await subscribe(client, "positions", { with: (o) => o.setStartAtTimeDelta(3_600_000) });
        const fromDate = await subscribe(client, "positions", {
          with: (o) => o.setStartTime(new Date(Date.now() - 3_600_000)),
        });
        const fromThisMoment = await subscribe(client, "positions", { with: (o) => o.setStartAtTimeDelta(0) });
        await fence(client, "positions");
        await fromDate.count(6);
        assert.deepEqual(fromNew.sequences, [6]);
        assert.deepEqual(fromLast.sequences, [5, 6]);
        assert.deepEqual(fromThird.sequences, [3, 4, 5, 6]);
        assert.deepEqual(fromBeyond.sequences, [6]);
        assert.deepEqual(fromFirst.sequences, range(1, 6));
        assert.deepEqual(fromHourAgo.sequences, range(1, 6));
        assert.deepEqual(fromDate.sequences, range(1, 6));
        assert.deepEqual(fromThisMoment.sequences, [6]);
      }));

    it(
      "15.7: max in flight holds back what is not acked by hand",
      { timeout },
      () =>
        withStan(server.url, "manual", async (client) => {
          await publishNumbers(client, "manual", 101);
          const slow = await subscribe(client, "manual", {
            with: (options) => options.setDeliverAllAvailable().setManualAckMode(true).setMaxInFlight(10),
          });
          await slow.count(10);
          await fence(client, "manual");
          assertConsecutive(slow.sequences, 10);
          // Each ack makes room for exactly one more.
          slow.messages[3]?.ack();
          await slow.count(11);
          await fence(client, "manual");
          assertConsecutive(slow.sequences, 11);

          slow.subscription.on("message", (message: Message) => message.ack());
          slow.ackAll();
          await slow.count(103);
          assertConsecutive(slow.sequences, 103);
          assert.ok(slow.received.every((message) => !message.redelivered));
        }),
    );

    it(
      "17.5: what is not acked comes again after ack wait, flagged and counted",
      { timeout },
      () =>
        withStan(server.url, "redelivery", async (client) => {
          await publishNumbers(client, "redelivery", 4);
          const subscription = await subscribe(client, "redelivery", {
            with: (options) => options.setDeliverAllAvailable().setManualAckMode(true).setAckWait(1000),
            // The even ones are never acked.
            onMessage: (message) => {
              if (message.getSequence() % 2 === 1) message.ack();
            },
          });
          await subscription.count(8);
          assert.deepEqual(
            subscription.received.map(({ sequence, redelivered, count }) => [sequence, redelivered, count]),
            [
              [1, false, 0],
              [2, false, 0],
              [3, false, 0],
              [4, false, 0],
              [2, true, 1],
              [4, true, 1],
              [2, true, 2],
              [4, true, 2],
            ],
          );
        }),
    );

    it(
      "17.6: a redelivery does not wait for room in max in flight",
      { timeout },
      () =>
        withStan(server.url, "redelivery-full", async (client) => {
          await publishNumbers(client, "redelivery-full", 3);
          const stalled = await subscribe(client, "redelivery-full", {
            with: (o) => o.setDeliverAllAvailable().setManualAckMode(true).setAckWait(1000).setMaxInFlight(2),
          });
          await stalled.count(4);
          assert.deepEqual(stalled.sequences, [1, 2, 1, 2]);
          stalled.ackAll();
          await stalled.until(() => stalled.sequences.includes(3));
        }),
    );

    it("19: a durable resumes where it stopped after its client was closed", { timeout }, async () => {
      const durable = {
        with: (options: ReturnType<Stan["subscriptionOptions"]>) =>
          options.setDeliverAllAvailable().setManualAckMode(true).setDurableName("clerk"),
      };
      await withStan(server.url, "durable", async (client) => {
        await publishNumbers(client, "durable", 5);
        const first = await subscribe(client, "durable", durable);
        await first.count(5);
        for (const message of first.messages.slice(0, 3)) message.ack();
        // 19.2: the position belongs to one at a time.
        await assert.rejects(subscribe(client, "durable", durable), /^Error: stan: duplicate durable registration$/);
      });
      await withStan(server.url, "durable-feeder", (client) => publishNumbers(client, "durable", 2, 6));
      await withStan(server.url, "durable", async (client) => {
        const resumed = await subscribe(client, "durable", durable);
        await resumed.count(4);
        assert.deepEqual(
          resumed.received.map(({ sequence, redelivered, count }) => [sequence, redelivered, count]),
          [[4, true, 1], [5, true, 1], [6, false, 0], [7, false, 0]],
        );
        resumed.ackAll();
        // 20.4: closing the subscription alone keeps the position too.
        await resumed.end("close");
        await publishNumbers(client, "durable", 1, 8);
        const again = await subscribe(client, "durable", durable);
        await again.count(1);
        assert.deepEqual(again.received, [{ sequence: 8, data: "8", redelivered: false, count: 0 }]);
        again.ackAll();
        // And unsubscribing forgets it: the next one begins at its own start position.
        await again.end("unsubscribe");
        const fresh = await subscribe(client, "durable", durable);
        await fresh.count(8);
        assertConsecutive(fresh.sequences, 8);
        await fresh.end("unsubscribe");
      });
    });

    it("18.4: three members of a queue group share the messages", { timeout }, async () => {
      const names = ["queue-a", "queue-b", "queue-c"];
      const clients = await Promise.all(names.map((name) => connectStan(server.url, name)));
      const together = new Waiter();
      const member = { group: "workers", onMessage: () => together.notify() };
      const members = await Promise.all(clients.map((client) => subscribe(client, "queue", member)));
      const [publisher] = clients as [Stan];
      const outsider = await subscribe(publisher, "queue");
      const other = await subscribe(publisher, "queue", { group: "others" });
      await Promise.all(range(1, 300).map((number) => publish(publisher, "queue", String(number))));
      await outsider.count(300);
      await other.count(300);
      const shared = () => members.flatMap((member) => member.sequences);
      await together.until(() => shared().length >= 300);
      // Every message to exactly one member, and each member has its share.
      assertConsecutive(shared().toSorted((a, b) => a - b), 300);
      for (const member of members) assert.ok(member.received.length >= 50, `a share of ${member.received.length}`);
      await Promise.all(clients.map(closeStan));
    });

    it("18.6: a member that leaves hands on what it has not acked", { timeout }, async () => {
      const [first, second] = await Promise.all([
        connectStan(server.url, "leave-a"),
        connectStan(server.url, "leave-b"),
      ]);
      const manual = {
        group: "workers",
        with: (options: ReturnType<Stan["subscriptionOptions"]>) => options.setManualAckMode(true),
      };
      const leaving = await subscribe(first, "leave", manual);
      const staying = await subscribe(second, "leave", manual);
      await publishNumbers(first, "leave", 4);
      await leaving.count(2);
      await staying.count(2);
      const owned = leaving.sequences;
      await closeStan(first);
      await staying.count(4);
      assert.deepEqual(staying.received.slice(2).map((message) => message.sequence), owned);
      assert.ok(staying.received.slice(2).every((message) => message.redelivered && message.count === 1));
      staying.ackAll();
      await closeStan(second);
    });

    it("18.8: a durable queue group keeps its position while nobody is there", { timeout }, async () => {
      const durable = {
        group: "night-shift",
        with: (options: ReturnType<Stan["subscriptionOptions"]>) =>
          options.setDeliverAllAvailable().setDurableName("shift").setManualAckMode(true),
      };
      await withStan(server.url, "shift-a", async (client) => {
        await publishNumbers(client, "shift", 3);
        const member = await subscribe(client, "shift", durable);
        await member.count(3);
        member.messages[0]?.ack();
      });
      await withStan(server.url, "shift-b", async (client) => {
        await publishNumbers(client, "shift", 1, 4);
        const member = await subscribe(client, "shift", durable);
        await member.count(3);
        assert.deepEqual(member.received.map(({ sequence, redelivered }) => [sequence, redelivered]), [
          [2, true],
          [3, true],
          [4, false],
        ]);
        member.ackAll();
        await member.end("unsubscribe");
      });
    });

    it(
      "20.4: nothing comes after unsubscribe and after close",
      { timeout },
      () =>
        withStan(server.url, "leaver", async (client) => {
          const witness = await subscribe(client, "leaver");
          const unsubscribed = await subscribe(client, "leaver");
          const closed = await subscribe(client, "leaver");
          await publishNumbers(client, "leaver", 1);
          await Promise.all([witness.count(1), unsubscribed.count(1), closed.count(1)]);
          await unsubscribed.end("unsubscribe");
          await closed.end("close");
          await publishNumbers(client, "leaver", 10, 2);
          await witness.count(11);
          assert.deepEqual([unsubscribed.sequences, closed.sequences], [[1], [1]]);
          await assert.rejects(closed.end("close"), /stan: invalid subscription/);
        }),
    );

    it("7.6: a client ID in use is refused with the reference's text", { timeout }, async () => {
      const owner = await connectStan(server.url, "unique");
      await assert.rejects(connectStan(server.url, "unique"), /^Error: stan: clientID already registered$/);
      await publish(owner, "unique", "the owner is not disturbed");
      await closeStan(owner);
      await withStan(server.url, "unique", (client) => publish(client, "unique", "free again"));
    });

    it("7.6: a client ID whose connection is gone can be taken over", { timeout }, async () => {
      const lost = await connectStan(server.url, "taken");
      const gone = new Promise((resolve) => lost.once("close", resolve));
      inside(lost).nc.stream.destroy();
      await gone;
      await withStan(server.url, "taken", (client) => publish(client, "taken", "by the next"));
    });

    it("9.2: a replaced client is told at its next ping", { timeout }, async () => {
      const replaced = await connectStan(server.url, "replaced", { stanPingInterval: 1000 });
      const told = new Promise((resolve) => replaced.once("connection_lost", resolve));
      // Without its heartbeat inbox the server takes it for dead when somebody else wants the name.
      inside(replaced).nc.unsubscribe(inside(replaced).hbSubscription);
      await withStan(server.url, "replaced", async () => {
        assert.equal(String(await told), "client has been replaced or is no longer registered");
      });
    });

    it("7.1: an invalid client ID is refused with the reference's text", { timeout }, () =>
      assert.rejects(
        connectStan(server.url, "no dots. or blanks"),
        /^Error: stan: invalid clientID: only alphanumeric and `-` or `_` characters allowed$/,
      ));

    it(
      "10.1: an invalid channel is refused with the reference's texts",
      { timeout },
      () =>
        withStan(server.url, "invalid-channel", async (client) => {
          await assert.rejects(subscribe(client, "wild.*"), /^Error: stan: invalid subject$/);
          await assert.rejects(publish(client, "wild.*", "x"), /^Error: stan: invalid publish request$/);
        }),
    );

    it(
      "10.3: a channel name that differs in case only is refused",
      { timeout },
      () =>
        withStan(server.url, "cases", async (client) => {
          await publish(client, "Mixed.Case", "x");
          const text =
            'rejecting channel "mixed.case" because channel "Mixed.Case" alreay exists (different cases not allowed)';
          await assert.rejects(publish(client, "mixed.case", "x"), { message: text });
          await assert.rejects(subscribe(client, "mixed.case"), { message: text });
        }),
    );

    it(
      "12.2: an ack wait below a second is refused",
      { timeout },
      () =>
        withStan(server.url, "ack-wait", (client) =>
          assert.rejects(
            subscribe(client, "ack-wait", { with: (options) => options.setAckWait(0) }),
            /^Error: stan: invalid ack wait time, should be >= 1s$/,
          )),
    );

    it(
      "4: payloads of every size up to 900 KB arrive byte for byte",
      { timeout },
      () =>
        withStan(server.url, "payloads", async (client) => {
          const all = await subscribe(client, "payloads");
          const payloads = [0, 1, 127, 128, 16_383, 16_384, 65_535, 65_536, 900_000].map((size) =>
            patternBytes(size, size + 1)
          );
          payloads.push(
            Uint8Array.from({ length: 256 }, (_, index) => index),
            new TextEncoder().encode("żółw 🐢 \0 end"),
          );
          for (const payload of payloads) await publish(client, "payloads", payload);
          await all.count(payloads.length);
          payloads.forEach((payload, index) => {
            const received = all.messages[index]?.getRawData() ?? new Uint8Array(0);
            assert.ok(
              sameBytes(received, payload),
              `payload ${index} of ${payload.length} bytes came as ${received.length}`,
            );
          });
        }, { stanEncoding: "binary" }),
    );

    it("26: after its connection was cut a client goes on by itself", { timeout }, async () => {
      const client = await connectStan(server.url, "cut", { reconnect: true, reconnectTimeWait: 20 });
      const subscription = await subscribe(client, "cut", { with: (options) => options.setDeliverAllAvailable() });
      await publishNumbers(client, "cut", 1);
      await subscription.count(1);
      const back = new Promise((resolve) => client.once("reconnect", resolve));
      inside(client).nc.stream.destroy();
      await back;
      await publishNumbers(client, "cut", 2, 2);
      await subscription.until(() => subscription.sequences.includes(3));
      await closeStan(client);
    });

    it("29.6: 100 clients connect, subscribe, publish and close in a row", { timeout }, async () => {
      for (let number = 1; number <= 100; number++) {
        await withStan(server.url, "again", async (client) => {
          const last = await subscribe(client, "again", { with: (options) => options.setStartWithLastReceived() });
          await publish(client, "again", String(number));
          await last.until(() => last.sequences.includes(number));
        });
      }
    });
  });
}
