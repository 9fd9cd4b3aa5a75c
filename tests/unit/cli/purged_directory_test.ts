/** `channels --dir` and `export --dir` where an operator has purged a channel: what a server has after a start, and no more. */
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { runCommandOn } from "../../../src/cli/run_command.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import type { StoreDirectory } from "../../conformance/store/file_support.ts";
import { subscription } from "../../helpers/store_records.ts";
import { readStore, realFiles } from "../../helpers/store_validator.ts";
import { PURGED_DIRECTORIES, purgedDirectory, startedOn } from "../server/purged_directories.ts";
import { FakeHost } from "./cli_support.ts";

const { disk } = await pickRuntime();

class DiskHost extends FakeHost {
  override readonly disk = disk;
}

async function exported({ dir }: StoreDirectory): Promise<{ messages: string[]; stderr: string; status: number }> {
  const host = new DiskHost();
  const status = await runCommandOn("export", ["--dir", dir, "--channel", "foo"], host);
  const lines = host.stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  return { messages: lines.map(({ sequence, data }) => `${sequence}=${data}`), stderr: host.stderr, status };
}

async function listed({ dir }: StoreDirectory, ...more: string[]) {
  const host = new DiskHost();
  assert.equal(await runCommandOn("channels", [...more, "--dir", dir, "--json"], host), 0, host.stderr);
  return JSON.parse(host.stdout);
}

for (const made of PURGED_DIRECTORIES) {
  test(`stores 5.6: ${made.name}: channels and export show what a start serves`, async () => {
    const directory = await purgedDirectory(made);
    try {
      const started = await startedOn(directory);
      const [{ first_seq, last_seq, msgs, bytes }] = (await listed(directory)).channels;
      assert.deepEqual([first_seq, last_seq, msgs, bytes], started.state);
      const { messages, stderr, status } = await exported(directory);
      assert.deepEqual([messages, stderr, status], [started.messages, "", 0]);
    } finally {
      await directory.end();
    }
  });
}

test("console: purged messages are behind nobody: a durable of a directory lags as on a server", async () => {
  const directory = await purgedDirectory(
    PURGED_DIRECTORIES.find(({ name }) => name === "purged in the middle of a slice")!,
  );
  try {
    const { store } = await directory.open();
    const { subscriptions } = store.channel("foo")!;
    for (const lastSent of [0, 4, 8]) {
      subscriptions.create(subscription("me", { durableName: `d${lastSent}`, isDurable: true, lastSent }));
    }
    await store.close();
    const { channels, subscriptions: rows } = await listed(directory, "foo");
    assert.deepEqual(rows.map(({ lag }: { lag: number }) => lag), [4, 4, 2]);
    assert.equal(channels[0].max_lag, 4);
  } finally {
    await directory.end();
  }
});

test("export tells of damage among the messages that count, not among those that were purged", async () => {
  for (const [spoiled, isTold] of [[5, false], [6, false], [7, true]] as const) {
    const directory = await purgedDirectory(
      PURGED_DIRECTORIES.find(({ name }) => name === "purged in the middle of a slice")!,
    );
    try {
      const path = directory.path("foo/msgs.2.dat");
      const bytes = readFileSync(path);
      const { offset } = readStore(realFiles, directory.dir, { gapsAllowed: () => true }).channels.get("foo")!.messages
        .get(spoiled)!;
      bytes[offset + 12]! ^= 1;
      writeFileSync(path, bytes);
      rmSync(directory.path("foo/msgs.2.idx"));
      const { messages, stderr, status } = await exported(directory);
      assert.equal(status, isTold ? 1 : 0, `${spoiled}: ${stderr}`);
      assert.deepEqual(messages, isTold ? ["8=m-8", "9=m-9", "10=m-10"] : ["7=m-7", "8=m-8", "9=m-9", "10=m-10"]);
    } finally {
      await directory.end();
    }
  }
});
