// Shared work: the members of a queue group get each message between them, one member each.
//
//   deno run -A examples/queue_group.mjs [nats://localhost:4222]
//   bun examples/queue_group.mjs [nats://localhost:4222]
//   node examples/queue_group.mjs [nats://localhost:4222]
//
// Start it several times and publish with examples/publish.mjs. What a member has not acked when it ends or dies goes to
// the others. End it with Ctrl-C.
import process from "node:process";
import * as stan from "node-nats-streaming";

const url = process.argv[2] ?? "nats://localhost:4222";
const client = stan.connect("test-cluster", `worker-${process.pid}`, { url });

client.on("connect", () => {
  const options = client.subscriptionOptions()
    // With a durable name the group keeps its position while no member is there.
    .setDurableName("shift")
    .setDeliverAllAvailable()
    .setManualAckMode(true)
    .setAckWait(30_000)
    // A slow worker holds ten messages at most; the rest goes to the quick ones.
    .setMaxInFlight(10);
  const subscription = client.subscribe("orders", "workers", options);
  subscription.on("ready", () => console.log("Waiting for work on orders"));
  subscription.on("message", (message) => {
    console.log(`#${message.getSequence()} ${message.getData()}`);
    message.ack();
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
