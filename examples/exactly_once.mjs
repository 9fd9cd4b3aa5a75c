// Exactly-once processing: adds up the numbers published to "payments", each of them once, whatever happens in between.
//
//   deno run -A examples/exactly_once.mjs [nats://localhost:4222] [payments.json]
//   bun examples/exactly_once.mjs [nats://localhost:4222] [payments.json]
//   node examples/exactly_once.mjs [nats://localhost:4222] [payments.json]
//
// A server can promise "at least once" only: it cannot know whether the work was done when an ack was lost. So the client
// keeps the last sequence itself, in the same place and the same step as its result. Here that is a file that is replaced
// as a whole; with a database, one transaction. Publish numbers with examples/publish.mjs, kill this at any moment, start
// it again: the sum is right. A server that keeps its messages in memory counts from 1 again after a restart; remove the
// file then.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import process from "node:process";
import * as stan from "node-nats-streaming";

const url = process.argv[2] ?? "nats://localhost:4222";
const file = process.argv[3] ?? "payments.json";
let state = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { lastSequence: 0, sum: 0 };

const client = stan.connect("test-cluster", `accountant-${process.pid}`, { url });

client.on("connect", () => {
  // No durable: the position that counts is ours, not the server's. One message in flight keeps them in order, even when
  // one is lost on the way: with more, a later one would move lastSequence past it.
  const options = client.subscriptionOptions().setStartAtSequence(state.lastSequence + 1).setMaxInFlight(1);
  const subscription = client.subscribe("payments", options);
  subscription.on("ready", () => console.log(`Continuing after #${state.lastSequence} with sum ${state.sum}`));
  subscription.on("message", (message) => {
    const sequence = message.getSequence();
    // Handled before, but the ack got lost.
    if (sequence <= state.lastSequence) return;
    state = { lastSequence: sequence, sum: state.sum + Number(message.getData()) };
    save(state);
    console.log(`#${sequence} sum ${state.sum}`);
  });
  subscription.on("error", fail);
  subscription.on("timeout", fail);
});
client.on("error", fail);
client.on("connection_lost", fail);
client.on("close", () => process.exit());
process.once("SIGINT", () => client.close());

/** Replaces the file in one step: after a crash it holds the old state or the new one, never a part of it. */
function save(next) {
  const descriptor = openSync(`${file}.tmp`, "w");
  writeSync(descriptor, JSON.stringify(next));
  fsyncSync(descriptor);
  closeSync(descriptor);
  renameSync(`${file}.tmp`, file);
}

function fail(error) {
  console.error(`Giving up: ${error?.message ?? error}`);
  process.exit(1);
}
