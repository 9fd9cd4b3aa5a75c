/** Runs every example as a user does, on each runtime, and checks what it prints. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ROOT } from "../../scripts/project.ts";
import {
  PROCESS_TEST_MS_MAX,
  runtimePath,
  type ServerProcess,
  startServerProcess,
  TestFolder,
  TestProcess,
} from "../helpers/server_process.ts";
import { closeStan, connectStan, publish, publishNumbers, range, withStan } from "./stan_client.ts";

const timeout = PROCESS_TEST_MS_MAX;
const RUNNERS = ["deno", "bun"] as const;

/** Every example; a new one without a test fails "each example has a test". */
const TESTED = [
  "durable.mjs",
  "embed.ts",
  "exactly_once.mjs",
  "history.mjs",
  "publish.mjs",
  "queue_group.mjs",
  "subscribe.mjs",
];

it("each example has a test", () => {
  assert.deepEqual(readdirSync(join(ROOT, "examples")).toSorted(), TESTED);
});

for (const runner of RUNNERS) {
  describe(`examples on ${runner}`, () => {
    let server: ServerProcess;
    let command: string[];
    const start = (name: string, ...args: string[]) => new TestProcess([...command, join("examples", name), ...args]);
    /** Ctrl-C, and the example must end orderly. */
    const interrupt = async (example: TestProcess) => {
      assert.equal(await example.stop("SIGINT"), 0, example.stdout + example.stderr);
      assert.equal(example.stderr, "");
    };
    const lines = (example: TestProcess) => example.stdout.trimEnd().split("\n");

    before(async () => {
      const path = await runtimePath(runner);
      command = runner === "deno" ? [path, "run", "-A", "--no-check"] : [path];
      server = await startServerProcess(runner);
    }, { timeout });
    after(async () => {
      await server?.stop();
    }, { timeout });

    it("publish.mjs stores what it says", { timeout }, async () => {
      const example = start("publish.mjs", server.url, "published", "2500");
      assert.equal(await example.exit, 0, example.stderr);
      assert.deepEqual(lines(example), ["Stored 2500 messages on published"]);
    });

    it("subscribe.mjs shows what is published while it runs", { timeout }, async () => {
      await withStan(server.url, "feeder", async (client) => {
        await publish(client, "orders", "before");
        const example = start("subscribe.mjs", server.url);
        await example.untilSaid("Waiting for messages on orders");
        await publish(client, "orders", "while");
        await example.untilSaid("while");
        await interrupt(example);
        assert.deepEqual(lines(example), ["Waiting for messages on orders", "#2 while"]);
      });
    });

    it("history.mjs shows all that was ever published, then what comes", { timeout }, async () => {
      await withStan(server.url, "feeder", async (client) => {
        const example = start("history.mjs", server.url);
        await example.untilSaid("while");
        await publish(client, "orders", "third");
        await example.untilSaid("third");
        await interrupt(example);
        const [first, ...messages] = lines(example);
        assert.equal(first, "Reading orders from the beginning");
        const shape = /^#(\d) \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (.+)$/;
        assert.deepEqual(messages.map((line) => shape.exec(line)?.slice(1)), [["1", "before"], ["2", "while"], [
          "3",
          "third",
        ]]);
      });
    });

    it("durable.mjs continues with the next message after a break", { timeout }, async () => {
      await withStan(server.url, "feeder", async (client) => {
        const first = start("durable.mjs", server.url);
        await first.untilSaid("#3 third");
        await interrupt(first);
        await publish(client, "orders", "fourth");
        const second = start("durable.mjs", server.url);
        await second.untilSaid("#4 fourth");
        await interrupt(second);
        assert.deepEqual(lines(first), ["Waiting for messages on orders", "#1 before", "#2 while", "#3 third"]);
        assert.deepEqual(lines(second), ["Waiting for messages on orders", "#4 fourth"]);
      });
    });

    it("queue_group.mjs shares the work between its processes", { timeout }, async () => {
      const workers = [start("queue_group.mjs", server.url), start("queue_group.mjs", server.url)];
      await Promise.all(workers.map((worker) => worker.untilSaid("Waiting for work on orders")));
      await withStan(server.url, "feeder", async (client) => {
        await Promise.all(range(5, 40).map((number) => publish(client, "orders", `job ${number}`)));
      });
      const done = () => workers.flatMap((worker) => lines(worker).filter((line) => line.startsWith("#")));
      const [one, two] = workers as [TestProcess, TestProcess];
      // Either may be the one that gets the last message.
      await Promise.race([one.until(() => done().length >= 40), two.until(() => done().length >= 40)]);
      await Promise.all(workers.map(interrupt));
      const sequences = done().map((line) => Number(/^#(\d+)/.exec(line)?.[1]));
      assert.deepEqual(sequences.toSorted((a, b) => a - b), range(1, 40));
      for (const worker of workers) assert.match(worker.stdout, /job/);
    });

    it("exactly_once.mjs is right after being killed", { timeout }, async () => {
      using folder = new TestFolder();
      const file = folder.file("payments.json");
      const client = await connectStan(server.url, "feeder");
      await publishNumbers(client, "payments", 50);
      const killed = start("exactly_once.mjs", server.url, file);
      await killed.untilSaid("#10 ");
      await killed.stop("SIGKILL");
      await publishNumbers(client, "payments", 50, 51);
      const second = start("exactly_once.mjs", server.url, file);
      await second.untilSaid(/^#100 sum 5050$/m);
      await interrupt(second);
      assert.deepEqual(JSON.parse(readFileSync(file, "utf8")), { lastSequence: 100, sum: 5050 });
      // A third one finds nothing left to do, and goes on from there.
      const third = start("exactly_once.mjs", server.url, file);
      await third.untilSaid("Continuing after #100 with sum 5050");
      await publish(client, "payments", "1000");
      await third.untilSaid("#101 sum 6050");
      await interrupt(third);
      await closeStan(client);
    });

    it("an example without a server says so and fails", { timeout }, async () => {
      // Port 1 of this machine: nobody listens there.
      for (const name of TESTED.filter((name) => name.endsWith(".mjs"))) {
        const example = start(name, "nats://127.0.0.1:1");
        assert.equal(await example.exit, 1, name);
        assert.match(example.stderr, /^Giving up: Could not connect to server: .*\n$/, name);
      }
    });

    it("embed.ts starts and stops a server", { timeout }, async () => {
      const example = start("embed.ts");
      assert.equal(await example.exit, 0, example.stderr);
      assert.match(example.stdout, /^NATS Streaming, cluster "test-cluster", on nats:\/\/127\.0\.0\.1:\d+\n$/);
    });
  });
}
