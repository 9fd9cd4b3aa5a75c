// Whole history: every stored message from the first one on, then those that come.
//
//   deno run -A examples/history.mjs [nats://localhost:4222]
//   bun examples/history.mjs [nats://localhost:4222]
//   node examples/history.mjs [nats://localhost:4222]
//
// Other places to begin at: setStartWithLastReceived(), setStartAtSequence(22), setStartTime(new Date(2026, 0, 1)),
// setStartAtTimeDelta(60_000) for the last minute. End it with Ctrl-C.
import process from "node:process";
import * as stan from "node-nats-streaming";

const url = process.argv[2] ?? "nats://localhost:4222";
const client = stan.connect("test-cluster", `history-${process.pid}`, { url });

client.on("connect", () => {
  const subscription = client.subscribe("orders", client.subscriptionOptions().setDeliverAllAvailable());
  subscription.on("ready", () => console.log("Reading orders from the beginning"));
  subscription.on("message", (message) => {
    console.log(`#${message.getSequence()} ${message.getTimestamp().toISOString()} ${message.getData()}`);
  });
  subscription.on("error", fail);
  subscription.on("timeout", fail);
});
client.on("error", fail);
client.on("connection_lost", fail);
client.on("close", () => process.exit());
process.once("SIGINT", () => client.close());

function fail(error) {
  console.error(`Giving up: ${error?.message ?? error}`);
  process.exit(1);
}
