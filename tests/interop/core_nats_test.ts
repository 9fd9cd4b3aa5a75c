/** The maintained NATS client, unmodified, on the core part of the server: what works without any streaming. */
import { connect, headers, type Msg, type NatsConnection, RequestError } from "@nats-io/transport-node";
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { patternBytes, sameBytes } from "../helpers/sockets.ts";
import { PROCESS_TEST_MS_MAX, type ServerProcess, startServerProcess, TARGETS } from "../helpers/server_process.ts";

const timeout = PROCESS_TEST_MS_MAX;
const PAYLOAD_MAX = 1_048_576;

/** Takes messages until `count` are there, then ends the subscription by itself. */
async function take(nc: NatsConnection, subject: string, count: number, queue?: string): Promise<Msg[]> {
  const messages: Msg[] = [];
  const subscription = nc.subscribe(subject, { max: count, ...queue === undefined ? {} : { queue } });
  for await (const message of subscription) messages.push(message);
  return messages;
}

for (const target of TARGETS) {
  describe(`nats-core against ${target}`, () => {
    let server: ServerProcess;
    const open: NatsConnection[] = [];
    const connection = async (): Promise<NatsConnection> => {
      const nc = await connect({ servers: `127.0.0.1:${server.port}`, reconnect: false, timeout: 10_000 });
      open.push(nc);
      return nc;
    };
    before(async () => {
      server = await startServerProcess(target);
    }, { timeout });
    after(async () => {
      // Undefined when it could not start, which has been reported.
      if (server === undefined) return;
      await Promise.all(open.map((nc) => nc.close()));
      assert.equal(await server.stop(), 143, server.log);
    }, { timeout });

    it("INFO: the server introduces itself", { timeout }, async () => {
      const nc = await connection();
      assert.equal(nc.info?.version, "2.9.24");
      assert.equal(nc.info?.max_payload, PAYLOAD_MAX);
      assert.equal(nc.info?.headers, true);
      assert.equal(nc.info?.proto, 1);
    });

    it("PUB/SUB: wildcards match by token, order holds", { timeout }, async () => {
      const [publisher, subscriber] = [await connection(), await connection()];
      const exact = take(subscriber, "orders.eu.new", 100);
      const token = take(subscriber, "orders.*.new", 101);
      const rest = take(subscriber, "orders.>", 102);
      await subscriber.flush();
      for (let number = 0; number < 100; number++) publisher.publish("orders.eu.new", String(number));
      publisher.publish("orders.us.new", "us");
      publisher.publish("orders.eu.new.deep", "deep");
      assert.deepEqual(
        (await exact).map((message) => message.string()),
        Array.from({ length: 100 }, (_, i) => String(i)),
      );
      assert.equal((await token).at(-1)?.subject, "orders.us.new");
      assert.equal((await rest).at(-1)?.subject, "orders.eu.new.deep");
    });

    it("PUB/SUB: one that does not want its own messages gets only those of others", { timeout }, async () => {
      const nc = await connect({ servers: `127.0.0.1:${server.port}`, reconnect: false, noEcho: true });
      open.push(nc);
      const other = await connection();
      const taken = take(nc, "echo", 1);
      await nc.flush();
      nc.publish("echo", "mine");
      await nc.flush();
      other.publish("echo", "theirs");
      assert.equal((await taken)[0]?.string(), "theirs");
    });

    it("UNSUB: nothing comes after it", { timeout }, async () => {
      const nc = await connection();
      const got: string[] = [];
      const subscription = nc.subscribe("gone", { callback: (_error, message) => void got.push(message.string()) });
      nc.publish("gone", "1");
      await nc.flush();
      subscription.unsubscribe();
      nc.publish("gone", "2");
      await nc.flush();
      assert.deepEqual(got, ["1"]);
    });

    it("queue: each message goes to one member, and every member gets some", { timeout }, async () => {
      const publisher = await connection();
      const counts = [0, 0, 0];
      const seen = new Set<string>();
      for (const index of counts.keys()) {
        const member = await connection();
        member.subscribe("jobs", {
          queue: "workers",
          callback: (_error, message) => {
            counts[index] = (counts[index] ?? 0) + 1;
            seen.add(message.string());
            message.respond();
          },
        });
        await member.flush();
      }
      const answers = Array.from({ length: 300 }, (_, number) => publisher.request("jobs", String(number)));
      await Promise.all(answers);
      assert.equal(seen.size, 300);
      assert.equal(counts.reduce((sum, count) => sum + count), 300);
      assert.ok(counts.every((count) => count > 0), `shares ${counts}`);
    });

    it("request/reply: answers find their requests", { timeout }, async () => {
      const [asker, answerer] = [await connection(), await connection()];
      answerer.subscribe("double", {
        callback: (_error, message) => void message.respond(String(Number(message.string()) * 2)),
      });
      await answerer.flush();
      const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => asker.request("double", String(n))));
      assert.deepEqual(answers.map((answer) => Number(answer.string())), Array.from({ length: 200 }, (_, n) => n * 2));
    });

    it("no responders: a request nobody listens to fails at once", { timeout }, async () => {
      const nc = await connection();
      await assert.rejects(nc.request("nobody.home", "", { timeout: 60_000 }), (error) => {
        assert.ok(error instanceof RequestError, String(error));
        assert.ok(error.isNoResponders(), String(error));
        return true;
      });
    });

    it("HPUB: headers arrive as they were sent", { timeout }, async () => {
      const nc = await connection();
      const taken = take(nc, "with.headers", 2);
      const sent = headers();
      sent.append("Trace", "a");
      sent.append("Trace", "b");
      sent.set("Content-Type", "text/plain");
      nc.publish("with.headers", "body", { headers: sent });
      nc.publish("with.headers", "", { headers: sent });
      const [first, second] = await taken;
      assert.deepEqual(first?.headers?.values("Trace"), ["a", "b"]);
      assert.equal(first?.headers?.get("Content-Type"), "text/plain");
      assert.equal(first?.string(), "body");
      assert.equal(second?.headers?.get("Content-Type"), "text/plain");
      assert.equal(second?.data.length, 0);
    });

    it("drain: what was on its way is handled before the connection ends", { timeout }, async () => {
      const [publisher, subscriber] = [await connection(), await connection()];
      let count = 0;
      subscriber.subscribe("drained", { callback: () => void count++ });
      await subscriber.flush();
      for (let number = 0; number < 1000; number++) publisher.publish("drained");
      await publisher.flush();
      await subscriber.drain();
      assert.equal(count, 1000);
      assert.ok(subscriber.isClosed());
    });

    it("max_payload: 1 MB passes, one byte more does not leave the client", { timeout }, async () => {
      const [publisher, subscriber] = [await connection(), await connection()];
      const sizes = [0, 1, 65_535, 65_536, PAYLOAD_MAX - 1, PAYLOAD_MAX];
      const taken = take(subscriber, "big", sizes.length);
      await subscriber.flush();
      const payloads = sizes.map((size) => patternBytes(size, size + 1));
      for (const payload of payloads) publisher.publish("big", payload);
      (await taken).forEach((message, index) => {
        assert.ok(sameBytes(message.data, payloads[index] ?? new Uint8Array(0)), `payload of ${sizes[index]} bytes`);
      });
      // This client reads max_payload from INFO and refuses by itself; tests/e2e/hostile_test.ts sends it all the same.
      assert.throws(() => publisher.publish("big", new Uint8Array(PAYLOAD_MAX + 1)), /payload/i);
    });
  });
}
