/**
 * Death without warning (stores.md 10, 12.55, 12.58): the server is killed again and again while clients publish and a
 * durable follows. What was acknowledged must be in the files at that moment, and clients, durables and sequences must go
 * on as if nothing had happened. KILL_ROUNDS=200 makes a long run of it; KILL_SEED repeats one.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { type ReadStore, readStore, realFiles } from "../helpers/store_validator.ts";
import {
  PROCESS_TEST_MS_MAX,
  runTarget,
  type ServerProcess,
  startServerProcess,
  targetCommand,
  type TargetName,
  TARGETS,
  TestFolder,
  TestProcess,
} from "../helpers/server_process.ts";
import { Waiter } from "../helpers/sockets.ts";
import { closeStan, connectStan, type Message, type Stan, subscribe } from "../interop/stan_client.ts";

const ROUNDS = Number(process.env["KILL_ROUNDS"] ?? 20);
const SEED = Number(process.env["KILL_SEED"] ?? Date.now() % 1_000_000);
/** From source a start takes longer and nothing else differs: fewer rounds say the same. */
const ROUNDS_OF: Readonly<Record<TargetName, number>> = {
  executable: ROUNDS,
  deno: Math.ceil(ROUNDS / 7),
  bun: Math.ceil(ROUNDS / 7),
};
/** A round of the longest takes about a second. */
const timeout = PROCESS_TEST_MS_MAX + ROUNDS * 5_000;

const CHANNELS = ["kill.plain", "kill.sliced"] as const;
/** Slices and compactions come and go all the time. */
const ARGS = [
  ...["-store", "FILE", "-file_slice_max_msgs", "400", "-file_compact_interval", "1", "-file_compact_min_size", "2KB"],
  // Slow heartbeats: a client that misses some while the server is away must stay.
  ...["-hbi", "10s", "-hbt", "10s", "-hbf", "10", "-mm", "0", "-mb", "0"],
];
const WINDOW = 40;
const LIBRARY_OPTIONS = {
  reconnect: true,
  maxReconnectAttempts: -1,
  reconnectTimeWait: 20,
  stanMaxPingOut: 1000,
  stanPingInterval: 5000,
};

/** A small generator: the moments of death must be repeatable. */
function generator(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Publishes to both channels, always with as many on the way as the window allows, and knows what was acknowledged. */
class Publisher extends Waiter {
  readonly acked = new Set<string>();
  /** Payload by its name, for all that ever left. */
  readonly sent = new Map<string, string>();
  isRunning = false;
  #client: Stan;
  #next = 0;
  #onWay = 0;

  constructor(client: Stan) {
    super();
    this.#client = client;
  }

  /** Fills the window. What the last life of the server left unanswered stays so. */
  start(): void {
    this.isRunning = true;
    this.#onWay = 0;
    while (this.#onWay < WINDOW) this.#publish();
  }

  #publish(): void {
    const number = this.#next++;
    const name = `m${number}`;
    const payload = `${name}:${"x".repeat((number * 7919) % 1500)}`;
    this.sent.set(name, payload);
    this.#onWay++;
    this.#client.publish(CHANNELS[number % 2]!, payload, (error) => {
      // Unanswered when the server died: it may be stored or not.
      if (error) return;
      this.acked.add(name);
      if (this.isRunning) this.#publish();
      this.notify();
    });
  }
}

/** A durable that acknowledges everything and remembers what it was given. */
class Follower extends Waiter {
  readonly payloads = new Map<number, string>();
  readonly wrong: string[] = [];
  #last = 0;

  take(message: Message): void {
    const sequence = message.getSequence();
    const data = String(message.getData());
    const known = this.payloads.get(sequence);
    if (known === undefined) {
      if (sequence !== this.#last + 1) this.wrong.push(`${sequence} came first behind ${this.#last}`);
      this.#last = Math.max(this.#last, sequence);
      this.payloads.set(sequence, data);
    } else if (known !== data) this.wrong.push(`${sequence} was ${known.slice(0, 20)} and is ${data.slice(0, 20)}`);
    message.ack();
    this.notify();
  }
}

/** The library's connection is there again. */
function reconnected(client: Stan): Promise<void> {
  return new Promise((resolve) => client.once("reconnect", () => resolve()));
}

/** Ends the library's attempts to connect, without a word to the server: the client stays registered. */
function dropConnection(client: Stan): void {
  const inside = client as unknown as {
    readonly nc: { close(): void };
    readonly pingTimer: ReturnType<typeof setTimeout>;
  };
  // Its ping timer outlives the connection and would throw into whatever test runs then.
  clearTimeout(inside.pingTimer);
  inside.nc.close();
}

/** What must hold of the files of a server that died a moment ago. */
function judgeFiles(
  dir: string,
  publisher: Publisher,
  followers: ReadonlyMap<string, Follower>,
  isOpen: boolean,
): ReadStore {
  const store = readStore(realFiles, dir, { isOpen });
  assert.deepEqual(store.problems, []);
  const found = new Set<string>();
  for (const name of CHANNELS) {
    const messages = store.channels.get(name)?.messages ?? new Map();
    let last = 0;
    for (const [sequence, { data }] of messages) {
      assert.equal(sequence, last + 1, `${name}: ${sequence} follows ${last}`);
      last = sequence;
      const text = new TextDecoder().decode(data);
      const id = text.slice(0, text.indexOf(":"));
      assert.equal(text, publisher.sent.get(id), `${name}: message ${sequence}`);
      assert.ok(!found.has(id), `${id} is stored twice`);
      found.add(id);
    }
    // Nothing is delivered before it is safe.
    for (const [sequence, payload] of followers.get(name)!.payloads) {
      const stored = messages.get(sequence)?.data ?? new Uint8Array();
      assert.equal(new TextDecoder().decode(stored), payload, `${name}: ${sequence} was delivered`);
    }
  }
  const missing = [...publisher.acked].filter((id) => !found.has(id));
  assert.deepEqual(missing, [], "acknowledged and not in the files");
  return store;
}

for (const target of TARGETS) {
  describe(`kill -9 of ${target}, seed ${SEED}`, () => {
    it(
      `stores 12.55, 12.58: ${ROUNDS_OF[target]} times under load, nothing acknowledged is lost and all go on`,
      { timeout },
      async () => {
        using folder = new TestFolder();
        const dir = folder.file("data");
        const random = generator(SEED);
        const args = [...ARGS, "-dir", dir];
        let server: ServerProcess = await startServerProcess(target, { args });
        const { port, url } = server;
        const restart = () => startServerProcess(target, { args: [...args, "-p", String(port)] });
        const publisherClient = await connectStan(url, "kill-publisher", LIBRARY_OPTIONS);
        const followerClient = await connectStan(url, "kill-follower", LIBRARY_OPTIONS);
        const publisher = new Publisher(publisherClient);
        const followers = new Map<string, Follower>();
        for (const channel of CHANNELS) {
          const follower = new Follower();
          followers.set(channel, follower);
          await subscribe(followerClient, channel, {
            with: (options) =>
              options.setDurableName("follower").setDeliverAllAvailable().setManualAckMode(true).setMaxInFlight(200)
                .setAckWait(1000),
            onMessage: (message) => follower.take(message),
          });
        }

        for (let round = 0; round < ROUNDS_OF[target]; round++) {
          const ackedBefore = publisher.acked.size;
          const wanted = ackedBefore + 1 + random(400);
          publisher.start();
          await publisher.until(() => publisher.acked.size >= wanted || !server.process.isRunning);
          publisher.isRunning = false;
          server.process.signal("SIGKILL");
          assert.equal(await server.process.exit, 137, server.log);
          // Reading all there is takes longer each time, and what is lost stays lost: in a long run not after every death.
          const isJudged = round < 40 || round % 10 === 0;
          if (isJudged) judgeFiles(dir, publisher, followers, true);
          if (round % 5 === 1) {
            // A checker must never be frightened by a death.
            const { exitStatus, stdout } = await runTarget(target, ["check", "-dir", dir]);
            assert.ok(exitStatus === 0 || exitStatus === 1, stdout);
          }
          if (round % 4 === 2) {
            // Another death, in the middle of the recovery from the last.
            const dying = new TestProcess([
              ...await targetCommand(target),
              "-a",
              "127.0.0.1",
              "-p",
              String(port),
              ...args,
            ]);
            await dying.untilSaid("Recovering the state...");
            dying.signal("SIGKILL");
            await dying.exit;
            if (isJudged) judgeFiles(dir, publisher, followers, true);
          }
          const back = Promise.all([reconnected(publisherClient), reconnected(followerClient)]);
          server = await restart();
          await back;
          assert.doesNotMatch(server.log, /\[(ERR|FTL)\]/, server.log);
          // Registered as before: the name is still taken, by a client that answers.
          await assert.rejects(connectStan(url, "kill-follower"), /clientID already registered/);
        }

        // The last life ends in good order: both durables have everything, and the files are as the format wants them.
        publisher.start();
        const enough = publisher.acked.size + 50;
        await publisher.until(() => publisher.acked.size >= enough);
        publisher.isRunning = false;
        const lasts = judgeFiles(dir, publisher, followers, true);
        for (const [channel, follower] of followers) {
          const last = Math.max(...lasts.channels.get(channel)!.messages.keys());
          await follower.until(() => follower.payloads.has(last) || follower.wrong.length > 0);
          assert.deepEqual(follower.wrong, [], channel);
        }
        await closeStan(publisherClient);
        assert.equal(await server.stop(), 143, server.log);
        dropConnection(followerClient);
        const store = judgeFiles(dir, publisher, followers, false);
        assert.deepEqual([...store.clients], ["kill-follower"]);
        for (const channel of CHANNELS) {
          const subscriptions = [...store.channels.get(channel)!.subscriptions.values()];
          assert.deepEqual(subscriptions.map(({ clientId }) => clientId), ["kill-follower"]);
        }
        const { exitStatus, stdout } = await runTarget(target, ["check", "-dir", dir]);
        assert.match(stdout, /\nSound\n$/);
        assert.equal(exitStatus, 0);
      },
    );
  });
}
