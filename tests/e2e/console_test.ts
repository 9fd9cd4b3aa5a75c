/**
 * The console of the executable: an action that was answered is done, whatever happens to the process in the next moment
 * (stores.md 10), and the directory it leaves is one that every reader of the format understands.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sendHttp, StanClient, TOKEN } from "../conformance/console/support.ts";
import {
  PROCESS_TEST_MS_MAX,
  type ServerProcess,
  startServerProcess,
  type TargetName,
  TARGETS,
  TestFolder,
} from "../helpers/server_process.ts";
import { readStore, realFiles } from "../helpers/store_validator.ts";

const timeout = PROCESS_TEST_MS_MAX;
const API = "/console/api";

class Bench {
  readonly #target: TargetName;
  readonly #folder: TestFolder;
  #server: ServerProcess | undefined;
  #clients: StanClient[] = [];
  logs = "";

  constructor(target: TargetName, folder: TestFolder) {
    this.#target = target;
    this.#folder = folder;
  }

  get dir(): string {
    return this.#folder.file("data");
  }

  async start(): Promise<void> {
    this.#server = await startServerProcess(this.#target, {
      args: ["-cid", "seen", "-m", "-1", "-store", "FILE", "-dir", this.dir, "-file_slice_max_msgs", "4"],
      env: { STANCHION_CONSOLE_TOKEN: TOKEN },
    });
  }

  /** The process is gone before it can do anything else. */
  async kill(): Promise<void> {
    const server = this.#server!;
    for (const client of this.#clients.splice(0)) client.destroy();
    await server.stop("SIGKILL");
    this.logs += server.log;
    this.#server = undefined;
  }

  async client(id: string): Promise<StanClient> {
    const client = await StanClient.open(this.#server!.port, id);
    this.#clients.push(client);
    return client;
  }

  get #monitorPort(): number {
    return Number(/http monitor on 127\.0\.0\.1:(\d+)/.exec(this.#server!.log)![1]);
  }

  get log(): string {
    return this.logs + (this.#server?.log ?? "");
  }

  async act(name: string, body: unknown): Promise<Record<string, unknown>> {
    const headers = { authorization: `Bearer ${TOKEN}`, "x-requested-with": "stanchion" };
    const { status, json } = await sendHttp(
      this.#monitorPort,
      "POST",
      `${API}/actions/${name}`,
      headers,
      JSON.stringify(body),
    );
    assert.equal(status, 200, JSON.stringify(json));
    return json;
  }

  // deno-lint-ignore no-explicit-any -- a test looks into it as a script does.
  async get(path: string): Promise<any> {
    const headers = { authorization: `Bearer ${TOKEN}` };
    return (await sendHttp(this.#monitorPort, "GET", `${API}/${path}`, headers)).json;
  }

  /** What is on the disk of the killed process. */
  files() {
    const { problems, channels } = readStore(realFiles, this.dir, { isOpen: true });
    assert.deepEqual(problems, []);
    return channels;
  }
}

for (const target of TARGETS) {
  describe(`console actions outlive the process (${target})`, () => {
    it(
      "stores 10: purge, rewind, delete-durable and delete-channel, each answered and then killed",
      { timeout },
      async () => {
        using folder = new TestFolder();
        const bench = new Bench(target, folder);
        await bench.start();
        try {
          const me = await bench.client("me");
          const payloads = Array.from({ length: 10 }, (_, i) => `secret-${i + 1}`);
          await me.publish("foo", ...payloads);
          await me.publish("bar", "kept");
          for (const durableName of ["D", "E"]) {
            const s = await me.subscribe("foo", { durableName });
            await me.heard(s, 10);
            for (const sequence of [1, 2, 3]) me.ack(s, sequence);
            await me.closeSubscription(s);
          }

          assert.equal(
            (await bench.act("rewind", { channel: "foo", durable_name: "D", to: { sequence: 9 } }))["last_sent"],
            8,
          );
          await bench.kill();
          let [d] = bench.files().get("foo")!.subscriptions.values();
          assert.deepEqual([d!.lastSent, d!.pending.size], [8, 0]);

          await bench.start();
          const shown = (await bench.get("durables?search=foo")).durables;
          assert.deepEqual(
            shown.map((one: Record<string, unknown>) => [one["durable_name"], one["last_sent"], one["pending_count"]]),
            [["D", 8, 0], ["E", 10, 7]],
          );
          await bench.act("delete-durable", { channel: "foo", durable_name: "E" });
          await bench.kill();
          assert.equal(bench.files().get("foo")!.subscriptions.size, 1);

          await bench.start();
          assert.equal((await bench.act("purge", { channel: "foo", up_to: 6 }))["removed_messages"], 6);
          await bench.kill();
          await bench.start();
          assert.deepEqual(
            (await bench.get("channels/foo/messages")).messages.map((one: { data_base64: string }) =>
              atob(one.data_base64)
            ),
            payloads.slice(6),
          );
          const purged = await bench.act("purge", { channel: "foo" });
          assert.deepEqual([purged["removed_messages"], purged["first_seq"], purged["last_seq"]], [4, 11, 10]);
          await bench.kill();
          [d] = bench.files().get("foo")!.subscriptions.values();
          assert.equal(d!.lastSent, 8);

          await bench.start();
          const foo = await bench.get("channels/foo");
          assert.deepEqual([foo.msgs, foo.first_seq, foo.last_seq], [0, 11, 10]);
          const again = await bench.client("you");
          await again.publish("foo", "after the purge");
          assert.equal((await bench.get("channels/foo")).last_seq, 11);
          const s = await again.subscribe("foo");
          assert.equal(await again.heard(s, 1), "11");
          await bench.act("delete-channel", { channel: "foo", force: true });
          await bench.kill();
          assert.deepEqual([...bench.files().keys()], ["bar"]);

          await bench.start();
          assert.equal((await bench.get("channels")).total, 1);
          await bench.kill();
          const audit = bench.log.split("\n").filter((line) => line.includes("STREAM: Console: "));
          assert.deepEqual(
            audit.map((line) =>
              /\[WRN\] STREAM: Console: ([\w-]+) channel="foo".* by 127\.0\.0\.1: done$/.exec(line)?.[1]
            ),
            ["rewind", "delete-durable", "purge", "purge", "delete-channel"],
          );
          for (const text of [TOKEN, "secret-", "after the purge"]) assert.ok(!bench.log.includes(text), text);
        } finally {
          await bench.kill().catch(() => undefined);
        }
      },
    );
  });
}
