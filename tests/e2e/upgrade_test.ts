/**
 * The way from the reference and back (stores.md 11, 12.26 to 12.55, 12.85): each directory that the reference wrote is
 * opened by the real program, read by an unmodified client, closed, and then read by code that shares nothing with the
 * store, which finds the reference's format and every message again.
 */
import { connect as connectNats, type Msg, type NatsConnection } from "@nats-io/transport-node";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ROOT } from "../../scripts/project.ts";
import { decodeMsgProto, MsgProtoView } from "../../src/wire/stan_hot.ts";
import { readStore, realFiles } from "../helpers/store_validator.ts";
import {
  PROCESS_TEST_MS_MAX,
  runTarget,
  type ServerProcess,
  startServerProcess,
  type TargetName,
  TARGETS,
  TestFolder,
} from "../helpers/server_process.ts";
import { Waiter } from "../helpers/sockets.ts";
import { closeStan, connectStan, type Stan, subscribe } from "../interop/stan_client.ts";

const timeout = PROCESS_TEST_MS_MAX;
const GOLDEN = join(ROOT, "tests/golden/filestore");

interface ExpectedMessage {
  readonly seq: number;
  readonly text?: string;
  readonly hex?: string;
  readonly size?: number;
  readonly sha256?: string;
}

interface ExpectedSubscription {
  readonly id: number;
  readonly clientID: string;
  readonly inbox: string;
  readonly lastSent: number;
  readonly pending: readonly number[];
  readonly redeliveredAtStart: readonly number[];
}

interface ExpectedChannel {
  readonly msgs: number;
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
  readonly subs: readonly ExpectedSubscription[];
  readonly read: readonly ExpectedMessage[];
}

interface ExpectedOpen {
  readonly name: string;
  readonly args: string;
  readonly refuses: boolean;
  readonly error?: string;
  readonly channels?: Readonly<Record<string, ExpectedChannel>>;
  readonly clients?: readonly string[];
}

const EXPECTED = JSON.parse(readFileSync(join(GOLDEN, "expected.json"), "utf8")) as Record<
  string,
  { readonly clusterID: string; readonly opens: readonly ExpectedOpen[] }
>;

/** Where ours does better than the reference, by directory and name of the opening; null: not for this suite. */
const BETTER: Readonly<Record<string, ExpectedOpen | null>> = {
  // Invariant 42: an index that is two records short loses nothing.
  "idx-behind default": openLike("idx-behind", "default", "trunc-idx", "default"),
  // Decision 15: a torn tail is cut by itself.
  "trunc-dat default": openLike("trunc-dat", "default", "trunc-dat", "truncate flag"),
  "trunc-subs default": openLike("trunc-subs", "default", "trunc-subs", "truncate flag"),
  "trunc-clients default": openLike("trunc-clients", "default", "trunc-clients", "truncate flag"),
  "raft-node clustered": null,
};

function openOf(directory: string, name: string): ExpectedOpen {
  return EXPECTED[directory]!.opens.find((open) => open.name === name)!;
}

function openLike(directory: string, name: string, otherDirectory: string, otherName: string): ExpectedOpen {
  const { channels, clients } = openOf(otherDirectory, otherName);
  return { ...openOf(directory, name), refuses: false, channels: channels!, clients: clients! };
}

/** Positions behind the last message go back when messages were cut (stores.md 6.7); the reference leaves them. */
const PUT_BACK = new Set(["trunc-dat"]);

function argsOf({ args }: ExpectedOpen): string[] {
  return args === "" ? [] : args.split(" ").map((arg) => arg === "limits.conf" ? join(GOLDEN, arg) : arg);
}

function copyOf(directory: string, folder: TestFolder): string {
  const dir = folder.file("data");
  cpSync(join(GOLDEN, directory), dir, { recursive: true });
  return dir;
}

/** What a subscriber from the first message on is given, in the form of the fixture. */
async function readChannel(client: Stan, channel: string, expected: ExpectedChannel): Promise<ExpectedMessage[]> {
  const collector = await subscribe(client, channel, { with: (options) => options.setDeliverAllAvailable() });
  await collector.count(expected.read.length);
  const found = collector.messages.map((message, i): ExpectedMessage => {
    const seq = message.getSequence();
    const data = Buffer.from(message.getRawData());
    const wanted = expected.read[i];
    if (wanted?.text !== undefined) return { seq, text: data.toString() };
    if (wanted?.hex !== undefined) return { seq, hex: data.toString("hex") };
    return { seq, size: data.length, sha256: createHash("sha256").update(data).digest("hex") };
  });
  await collector.end("unsubscribe");
  return found;
}

/** What the monitoring page says of a channel. */
async function channelPage(server: ServerProcess, channel: string): Promise<Record<string, number>> {
  const port = /Starting http monitor on \S+:(\d+)/.exec(server.log)?.[1];
  const answer = await fetch(`http://127.0.0.1:${port}/streaming/channelsz?channel=${channel}&subs=1`);
  return await answer.json() as Record<string, number>;
}

/** A client that was connected when the reference stopped: it hears what is sent to its inboxes and answers heartbeats. */
class OldClients extends Waiter {
  readonly deliveries = new Map<string, { sequence: number; redelivered: boolean }[]>();
  readonly #connection: NatsConnection;

  constructor(connection: NatsConnection, inboxes: readonly string[], heartbeats: readonly string[]) {
    super();
    this.#connection = connection;
    for (const inbox of heartbeats) {
      connection.subscribe(inbox, { callback: (_error, message: Msg) => void message.respond() });
    }
    for (const inbox of inboxes) {
      this.deliveries.set(inbox, []);
      connection.subscribe(inbox, {
        callback: (_error, message: Msg) => {
          const view = new MsgProtoView();
          assert.ok(decodeMsgProto(message.data, 0, message.data.length, view));
          this.deliveries.get(inbox)!.push({ sequence: view.sequence, redelivered: view.redelivered });
          this.notify();
        },
      });
    }
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}

/** Heartbeat inboxes in clients.dat, in the reference's own bytes. */
function heartbeatInboxes(dir: string): string[] {
  return readFileSync(join(dir, "clients.dat"), "latin1").match(/_INBOX\.\w+/g) ?? [];
}

async function openAndRead(target: TargetName, directory: string, open: ExpectedOpen): Promise<void> {
  using folder = new TestFolder();
  const dir = copyOf(directory, folder);
  const before = readStore(realFiles, dir, { isOpen: true });
  const { clusterID } = EXPECTED[directory]!;
  const args = ["-store", "FILE", "-dir", dir, "-cid", clusterID, "-m", "-1", ...argsOf(open)];
  const server = await startServerProcess(target, { args });
  const channels = Object.entries(open.channels!);
  try {
    const awaited = channels.flatMap(([, { subs }]) => subs).filter(({ redeliveredAtStart }) =>
      redeliveredAtStart.length > 0
    );
    // 23.5: what was pending when the reference stopped is sent again as soon as its clients are there.
    const old = new OldClients(
      await connectNats({ servers: `127.0.0.1:${server.port}`, reconnect: false }),
      awaited.map(({ inbox }) => inbox),
      heartbeatInboxes(dir),
    );
    for (const { inbox, redeliveredAtStart } of awaited) {
      const deliveries = old.deliveries.get(inbox)!;
      await old.until(() => deliveries.length >= redeliveredAtStart.length);
      const again = deliveries.slice(0, redeliveredAtStart.length);
      assert.deepEqual(again, redeliveredAtStart.map((sequence) => ({ sequence, redelivered: true })), inbox);
    }
    const client = await connectStan(server.url, "reader", {}, clusterID);
    for (const [name, expected] of channels) {
      const page = await channelPage(server, name);
      const { msgs, bytes, first, last } = expected;
      assert.deepEqual(
        { msgs: page["msgs"], bytes: page["bytes"], first: page["first_seq"], last: page["last_seq"] },
        { msgs, bytes, first, last },
        name,
      );
      assert.deepEqual(await readChannel(client, name, expected), expected.read, name);
    }
    await closeStan(client);
    await old.close();
  } finally {
    assert.equal(await server.stop(), 143, server.log);
  }
  assert.match(server.log, /Server Exiting\.\.\n$/);

  // The reader knows one polynomial.
  if (open.args.includes("poly") || directory === "crc-castagnoli") return;
  const store = readStore(realFiles, dir, { gapsAllowed: () => directory === "gap" });
  assert.deepEqual(store.problems, []);
  assert.deepEqual([...store.clients].sort(), [...open.clients!].sort());
  assert.equal(store.clusterId, clusterID);
  for (const [name, { read, subs, last }] of channels) {
    const { messages, subscriptions } = store.channels.get(name)!;
    for (const { seq } of read) {
      assert.deepEqual(messages.get(seq), before.channels.get(name)!.messages.get(seq), `${name}: message ${seq}`);
    }
    assert.deepEqual([...subscriptions.keys()].sort(), subs.map(({ id }) => id).sort(), name);
    for (const { id, lastSent, pending, clientID } of subs) {
      const found = subscriptions.get(id)!;
      assert.equal(found.clientId, clientID);
      const isPutBack = PUT_BACK.has(directory);
      // New messages may have followed the pending ones; nothing is forgotten.
      assert.ok(found.lastSent >= (isPutBack ? last : lastSent), `${name}: subscription ${id} at ${found.lastSent}`);
      for (const sequence of pending) {
        if (isPutBack && sequence > last) continue;
        assert.ok(found.pending.has(sequence), `${name}: subscription ${id} has ${sequence} pending`);
      }
    }
  }
  const { stdout, exitStatus } = await runTarget(target, ["check", "-dir", dir]);
  assert.equal(exitStatus, directory === "gap" ? 2 : 0, stdout);
}

for (const target of TARGETS) {
  describe(`directories of the reference in ${target}`, () => {
    for (const [directory, { opens }] of Object.entries(EXPECTED)) {
      // Recovery from source is held to the same fixtures by the conformance suite.
      if (target !== "executable" && directory !== "plain" && directory !== "compacted") continue;
      for (const given of opens) {
        const better = BETTER[`${directory} ${given.name}`];
        // Encrypted stores have a suite of their own.
        if (better === null || given.args.includes("-encrypt")) continue;
        const open = better ?? given;
        if (open.refuses) {
          it(`stores 12.7: ${directory}, ${open.name}: refused with the reference's words`, { timeout }, async () => {
            using folder = new TestFolder();
            const dir = copyOf(directory, folder);
            const args = ["-p", "-1", "-store", "FILE", "-dir", dir, "-cid", EXPECTED[directory]!.clusterID];
            const { exitStatus, stderr } = await runTarget(target, [...args, ...argsOf(open)]);
            assert.equal(exitStatus, 1);
            assert.ok(stderr.includes(open.error!.replace("DIR", dir)), stderr);
            // A refused start leaves the directory as it was (stores.md 6.5).
            for (const name of ["server.dat", "clients.dat", "crc/msgs.1.dat", "crc/msgs.1.idx", "crc/subs.dat"]) {
              assert.deepEqual(readFileSync(join(dir, name)), readFileSync(join(GOLDEN, directory, name)), name);
            }
          });
          continue;
        }
        it(
          `stores 12.26-12.55, 12.85: ${directory}, ${open.name}: read, closed, and the reference's format again`,
          { timeout },
          () => openAndRead(target, directory, open),
        );
      }
    }
  });
}
