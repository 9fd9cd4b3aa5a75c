/**
 * The contract of src/nats/bus.ts as an executable suite: every `Bus` runs it (nats-server.md 14). The far end of a bus is a
 * NATS client that speaks bytes; how it is attached is the affair of whoever runs the suite.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bytesOf, byteString } from "../../../src/base/bytes.ts";
import type { Bus, BusMessage, BusReceiver, BusSubscription, Destination } from "../../../src/nats/bus.ts";

/** A NATS client on the other side. CONNECT was sent, not verbose. */
export interface BusPeer {
  write(text: string): void;
  /** Everything written so far was handled, on both sides; what the peer was sent since the last call. */
  sync(): Promise<string>;
  /** Stops reading, and takes everything again. */
  freeze(): void;
  thaw(): void;
  close(): Promise<void>;
}

/** A bus with its server. */
export interface BusWorld {
  readonly bus: Bus;
  /** Everything sent so far has been delivered. */
  settle(): Promise<void>;
  peer(): Promise<BusPeer>;
  close(): Promise<void>;
}

/** What a bus must give to be tested. */
export interface BusSuite {
  readonly name: string;
  make(): Promise<BusWorld>;
  readonly supports: {
    /** `send` and `request` know at once whether anybody listens. */
    readonly knowsInterest: boolean;
    /** The limit of what internal receivers may have waiting is known, in bytes; 0: there is none. */
    readonly internalBytesMax: number;
    /** A peer can be made to freeze so that its output piles up here. */
    readonly congestion: boolean;
  };
}

/** A copy of a message: the object is valid only during the call. */
interface Received {
  readonly subject: string;
  readonly reply: string;
  readonly payload: string;
  readonly noResponders: boolean;
  readonly destination: Destination | undefined;
}

class Keeper implements BusReceiver {
  readonly messages: Received[] = [];
  onMessage: ((message: BusMessage, kept: Received) => void) | undefined;

  receive(message: BusMessage): void {
    const { buffer } = message;
    const kept = {
      subject: byteString(buffer, message.subjectStart, message.subjectEnd),
      reply: byteString(buffer, message.replyStart, message.replyEnd),
      payload: byteString(buffer, message.payloadStart, message.payloadEnd),
      noResponders: message.noResponders,
      destination: message.replyDestination(),
    };
    this.messages.push(kept);
    this.onMessage?.(message, kept);
  }

  get payloads(): string[] {
    return this.messages.map((message) => message.payload);
  }
}

const EMPTY = new Uint8Array(0);

function send(bus: Bus, destination: Destination, payload: string): number {
  const bytes = bytesOf(`<${payload}>`);
  const count = bus.send(destination, bytes, 1, bytes.length - 1, EMPTY, 0);
  // The bytes were copied: what happens to them now does not matter.
  bytes.fill(0x21);
  return count;
}

/** Declares the tests for one bus. */
export function busSuite(suite: BusSuite): void {
  const { supports } = suite;

  function contract(name: string, work: (world: BusWorld) => Promise<void>): void {
    test(`nats 14: ${name}`, async () => {
      const world = await suite.make();
      try {
        await work(world);
      } finally {
        await world.close();
      }
    });
  }

  describe(`bus: ${suite.name}`, () => {
    contract("receivers get messages in the order of the connection, across subscriptions", async (world) => {
      const { bus } = world;
      const order: string[] = [];
      const requests = new Keeper();
      const acks = new Keeper();
      for (const keeper of [requests, acks]) keeper.onMessage = (_message, kept) => order.push(kept.payload);
      bus.subscribe("requests.*", requests);
      bus.subscribe("acks", acks);
      await world.settle();
      const peer = await world.peer();
      const expected: string[] = [];
      for (let i = 0; i < 50; i++) {
        const subject = i % 3 === 0 ? "acks" : `requests.${i % 2}`;
        peer.write(`PUB ${subject} ${String(i).length}\r\n${i}\r\n`);
        expected.push(String(i));
      }
      await peer.sync();
      await world.settle();
      assert.deepEqual(order, expected);
      assert.equal(acks.messages.length, 17);
      assert.equal(requests.messages[0]?.subject, "requests.1");
    });

    contract(
      "a receiver of several subscriptions is told which one a message came through, and whose it is",
      async (world) => {
        const { bus } = world;
        const came: [through: BusSubscription, payload: string][] = [];
        const receiver: BusReceiver = {
          receive: ({ buffer, payloadStart, payloadEnd }, through) => {
            came.push([through, byteString(buffer, payloadStart, payloadEnd)]);
          },
        };
        const owners = [{ name: "one" }, { name: "two" }, undefined];
        const subscriptions = owners.map((owner, i) => bus.subscribe(`acks.${i}`, receiver, owner));
        assert.deepEqual(subscriptions.map(({ owner }) => owner), owners);
        await world.settle();
        const peer = await world.peer();
        peer.write("PUB acks.1 1\r\na\r\nPUB acks.0 1\r\nb\r\nPUB acks.2 1\r\nc\r\n");
        await peer.sync();
        await world.settle();
        // What the program itself sends takes another way.
        send(bus, bus.destination("acks.0"), "d");
        await world.settle();
        assert.deepEqual(came.map(([, payload]) => payload), ["a", "b", "c", "d"]);
        [1, 0, 2, 0].forEach((i, at) => {
          assert.equal(came[at]?.[0], subscriptions[i]);
          assert.equal(came[at]?.[0].owner, owners[i]);
        });
      },
    );

    contract("a message has its subject, reply and payload, without headers", async (world) => {
      const keeper = new Keeper();
      world.bus.subscribe("in.>", keeper);
      await world.settle();
      const peer = await world.peer();
      peer.write('CONNECT {"headers":true,"verbose":false}\r\n');
      peer.write("PUB in.a 0\r\n\r\nPUB in.b back 2\r\nhi\r\nHPUB in.c back 12 14\r\nNATS/1.0\r\n\r\nho\r\n");
      peer.write("HPUB in.d 12 12\r\nNATS/1.0\r\n\r\n\r\n");
      await peer.sync();
      await world.settle();
      assert.deepEqual(
        keeper.messages.map(({ subject, reply, payload, noResponders }) => [subject, reply, payload, noResponders]),
        [["in.a", "", "", false], ["in.b", "back", "hi", false], ["in.c", "back", "ho", false], [
          "in.d",
          "",
          "",
          false,
        ]],
      );
      assert.deepEqual(keeper.messages.map((message) => message.destination?.subject), [
        undefined,
        "back",
        "back",
        undefined,
      ]);
    });

    contract("an answer reaches the reply, at once and later", async (world) => {
      const { bus } = world;
      const keeper = new Keeper();
      keeper.onMessage = (_message, kept) => {
        assert.ok(kept.destination !== undefined);
        send(bus, kept.destination, `now ${kept.payload}`);
      };
      bus.subscribe("service", keeper);
      await world.settle();
      const peer = await world.peer();
      peer.write("SUB _INBOX.p.* 1\r\n");
      await peer.sync();
      peer.write("PUB service _INBOX.p.1 1\r\na\r\nPUB service _INBOX.p.2 1\r\nb\r\nPUB service _INBOX.p.2 1\r\nc\r\n");
      await peer.sync();
      await world.settle();
      for (const message of keeper.messages) send(bus, message.destination!, `late ${message.payload}`); // All have one.
      await world.settle();
      // The second sync: an answer may have come after the PONG of the first.
      const text = await peer.sync();
      for (const [reply, payload] of [["1", "a"], ["2", "b"], ["2", "c"]]) {
        assert.ok(text.includes(`MSG _INBOX.p.${reply} 1 6\r\nlate ${payload}\r\n`), text);
      }
    });

    contract("head and tail are sent as one payload, from a range, and copied", async (world) => {
      const { bus } = world;
      const peer = await world.peer();
      peer.write("SUB out 7\r\n");
      await peer.sync();
      const head = bytesOf("..head..");
      const tail = bytesOf("tail....");
      const destination = bus.destination("out");
      bus.send(destination, head, 2, 6, tail, 4);
      head.fill(0);
      tail.fill(0);
      bus.send(destination, EMPTY, 0, 0, EMPTY, 0);
      await world.settle();
      assert.equal(await peer.sync(), "MSG out 7 8\r\nheadtail\r\nMSG out 7 0\r\n\r\n");
    });

    contract("every receiver gets one copy of what is sent here", async (world) => {
      const { bus } = world;
      const keepers = [new Keeper(), new Keeper(), new Keeper()];
      bus.subscribe("x.y", keepers[0]!); // Three were made.
      bus.subscribe("x.y", keepers[1]!);
      bus.subscribe("x.*", keepers[2]!);
      await world.settle();
      const destination = bus.destination("x.y");
      const reached = send(bus, destination, "one");
      if (supports.knowsInterest) assert.equal(reached, 3);
      send(bus, destination, "two");
      await world.settle();
      for (const keeper of keepers) assert.deepEqual(keeper.payloads, ["one", "two"]);
    });

    contract("what is sent from inside a receiver comes after it, never inside of it", async (world) => {
      const { bus } = world;
      let depth = 0;
      const keeper = new Keeper();
      const again = bus.destination("loop");
      keeper.onMessage = (_message, kept) => {
        assert.equal(depth++, 0);
        if (Number(kept.payload) < 20) send(bus, again, String(Number(kept.payload) + 1));
        depth--;
      };
      bus.subscribe("loop", keeper);
      await world.settle();
      const peer = await world.peer();
      peer.write("PUB loop 1\r\n0\r\n");
      await peer.sync();
      for (let i = 0; i < 25; i++) await world.settle();
      assert.deepEqual(keeper.payloads, Array.from({ length: 21 }, (_value, index) => String(index)));
    });

    contract("a receiver that left gets nothing more, also when it leaves inside a delivery", async (world) => {
      const { bus } = world;
      const first = new Keeper();
      const second = new Keeper();
      const handle = bus.subscribe("x", first);
      const other = bus.subscribe("x", second);
      first.onMessage = () => {
        handle.unsubscribe();
        other.unsubscribe();
      };
      await world.settle();
      const peer = await world.peer();
      peer.write("PUB x 1\r\na\r\nPUB x 1\r\nb\r\n");
      await peer.sync();
      await world.settle();
      assert.deepEqual(first.payloads, ["a"]);
      assert.ok(second.messages.length <= 1);
      handle.unsubscribe();
      if (supports.knowsInterest) assert.equal(send(bus, bus.destination("x"), "c"), 0);
      await world.settle();
      assert.equal(first.messages.length, 1);
    });

    contract("a receiver that comes inside a delivery gets what is published behind it", async (world) => {
      const { bus } = world;
      const late = new Keeper();
      const first = new Keeper();
      first.onMessage = (_message, kept) => {
        if (kept.payload === "a") bus.subscribe("late", late);
      };
      bus.subscribe("x", first);
      await world.settle();
      const peer = await world.peer();
      peer.write("PUB x 1\r\na\r\n");
      await peer.sync();
      await world.settle();
      peer.write("PUB late 1\r\nb\r\n");
      await peer.sync();
      await world.settle();
      assert.deepEqual(late.payloads, ["b"]);
    });

    contract("a kept destination stays right while interest comes and goes", async (world) => {
      const { bus } = world;
      const destination = bus.destination("kept.one");
      assert.equal(destination.subject, "kept.one");
      const peer = await world.peer();
      peer.write("SUB kept.one 1\r\n");
      await peer.sync();
      send(bus, destination, "a");
      peer.write("UNSUB 1\r\nSUB kept.* 2\r\n");
      await world.settle();
      assert.equal(await peer.sync(), "MSG kept.one 1 1\r\na\r\n");
      send(bus, destination, "b");
      await world.settle();
      assert.equal(await peer.sync(), "MSG kept.one 2 1\r\nb\r\n");
      bus.release(destination);
      // Released twice by mistake, and used all the same: right, only slower.
      bus.release(destination);
      send(bus, destination, "c");
      await world.settle();
      assert.equal(await peer.sync(), "MSG kept.one 2 1\r\nc\r\n");
    });

    contract("a request carries its reply, and 0 says that nobody listens", async (world) => {
      const { bus } = world;
      const answers = new Keeper();
      bus.subscribe("_INBOX.me.*", answers);
      await world.settle();
      const nobody = bus.request(bus.destination("nobody"), "_INBOX.me.0", bytesOf("?"));
      if (supports.knowsInterest) assert.equal(nobody, 0);
      const peer = await world.peer();
      peer.write("SUB somebody 3\r\n");
      await peer.sync();
      assert.ok(bus.request(bus.destination("somebody"), "_INBOX.me.1", bytesOf("ping?")) > 0);
      await world.settle();
      assert.equal(await peer.sync(), "MSG somebody 3 _INBOX.me.1 5\r\nping?\r\n");
      peer.write("PUB _INBOX.me.1 5\r\npong!\r\n");
      await peer.sync();
      await world.settle();
      const answered = answers.messages.filter((message) => !message.noResponders);
      assert.deepEqual(answered.map((message) => [message.subject, message.payload]), [["_INBOX.me.1", "pong!"]]);
    });

    contract("a request between internal receivers carries its reply, too", async (world) => {
      const { bus } = world;
      const service = new Keeper();
      const answers = new Keeper();
      service.onMessage = (_message, kept) => {
        assert.ok(kept.destination !== undefined);
        send(bus, kept.destination, `re: ${kept.payload}`);
      };
      bus.subscribe("service", service);
      bus.subscribe("_INBOX.me", answers);
      await world.settle();
      assert.ok(bus.request(bus.destination("service"), "_INBOX.me", bytesOf("q")) > 0);
      for (let i = 0; i < 5; i++) await world.settle();
      assert.deepEqual(service.messages.map((message) => [message.reply, message.payload]), [["_INBOX.me", "q"]]);
      assert.deepEqual(answers.payloads, ["re: q"]);
    });

    contract("a member of a queue group gets one copy of what is sent", async (world) => {
      const { bus } = world;
      const peers = [await world.peer(), await world.peer()];
      for (const peer of peers) {
        peer.write("SUB work q 1\r\n");
        await peer.sync();
      }
      const destination = bus.destination("work");
      for (let i = 0; i < 100; i++) {
        const reached = send(bus, destination, "x");
        if (supports.knowsInterest) assert.equal(reached, 1);
      }
      await world.settle();
      let count = 0;
      for (const peer of peers) count += (await peer.sync()).split("MSG work 1 1\r\n").length - 1;
      assert.equal(count, 100);
    });

    contract("the largest payload arrives whole", async (world) => {
      const { bus } = world;
      const peer = await world.peer();
      peer.write("SUB big 1\r\n");
      await peer.sync();
      const payload = "0123456789".repeat(Math.floor(Math.min(bus.maxPayload, 1_048_576) / 10));
      send(bus, bus.destination("big"), payload);
      await world.settle();
      assert.ok(await peer.sync() === `MSG big 1 ${payload.length}\r\n${payload}\r\n`);
    });

    if (supports.internalBytesMax > 0) {
      contract("what waits for internal receivers is bounded, also when it is empty", async (world) => {
        const { bus } = world;
        let received = 0;
        bus.subscribe("flood", { receive: () => void received++ });
        const destination = bus.destination("flood");
        const bytes = new Uint8Array(1_000_000);
        let accepted = 0;
        while (bus.send(destination, bytes, 0, bytes.length, EMPTY, 0) > 0) {
          accepted++;
          assert.ok(accepted * bytes.length <= supports.internalBytesMax);
        }
        assert.ok((accepted + 2) * bytes.length > supports.internalBytesMax);
        await world.settle();
        assert.equal(received, accepted);
        // Room again.
        assert.equal(bus.send(destination, bytes, 0, bytes.length, EMPTY, 0), 1);
        let empty = 0;
        while (bus.send(destination, bytes, 0, 0, EMPTY, 0) > 0) assert.ok(++empty < 1_000_000);
      });
    }

    if (supports.congestion) {
      contract("a frozen receiver is congested, and says when it has caught up", async (world) => {
        const { bus } = world;
        const peer = await world.peer();
        const other = await world.peer();
        peer.write("SUB slow 1\r\n");
        other.write("SUB quick 1\r\n");
        await peer.sync();
        await other.sync();
        const slow = bus.destination("slow");
        const quick = bus.destination("quick");
        let drainedCount = 0;
        bus.onDrained = () => drainedCount++;
        assert.equal(bus.isCongested(slow), false);
        peer.freeze();
        const bytes = new Uint8Array(100_000);
        let sent = 0;
        while (!bus.isCongested(slow)) {
          bus.send(slow, bytes, 0, bytes.length, EMPTY, 0);
          await world.settle();
          assert.ok(++sent < 1000);
        }
        assert.equal(bus.isCongested(quick), false);
        send(bus, quick, "x");
        await world.settle();
        assert.equal(await other.sync(), "MSG quick 1 1\r\nx\r\n");
        const before = drainedCount;
        peer.thaw();
        await peer.sync();
        await world.settle();
        assert.ok(drainedCount > before);
        assert.equal(bus.isCongested(slow), false);
      });

      contract("congestion inside of a turn ends with the turn's flush", async (world) => {
        const { bus } = world;
        const peer = await world.peer();
        peer.write("SUB slow 1\r\n");
        await peer.sync();
        let drainedCount = 0;
        bus.onDrained = () => drainedCount++;
        const slow = bus.destination("slow");
        const bytes = new Uint8Array(200_000);
        for (let i = 0; i < 20 && !bus.isCongested(slow); i++) bus.send(slow, bytes, 0, bytes.length, EMPTY, 0);
        const wasCongested = bus.isCongested(slow);
        await world.settle();
        await peer.sync();
        await world.settle();
        // Whether it was depends on what the system took; but nobody may wait for ever.
        if (wasCongested) assert.ok(drainedCount > 0);
        assert.equal(bus.isCongested(slow), false);
      });

      contract("a congested receiver that goes away counts as caught up", async (world) => {
        const { bus } = world;
        const peer = await world.peer();
        peer.write("SUB slow 1\r\n");
        await peer.sync();
        peer.freeze();
        const slow = bus.destination("slow");
        const bytes = new Uint8Array(100_000);
        for (let i = 0; i < 1000 && !bus.isCongested(slow); i++) {
          bus.send(slow, bytes, 0, bytes.length, EMPTY, 0);
          await world.settle();
        }
        assert.ok(bus.isCongested(slow));
        const drained = Promise.withResolvers<void>();
        bus.onDrained = drained.resolve;
        await peer.close();
        await world.settle();
        await drained.promise;
        assert.equal(bus.isCongested(slow), false);
      });
    }
  });
}
