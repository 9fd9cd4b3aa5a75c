// Resume where I stopped: a durable subscription, whose position the server keeps while this program is away.
//
//   deno run -A examples/durable.mjs [nats://localhost:4222]
//   bun examples/durable.mjs [nats://localhost:4222]
//   node examples/durable.mjs [nats://localhost:4222]
//
// End it with Ctrl-C, publish something with examples/publish.mjs, start it again: it continues with the next message.
import process from "node:process";
import * as stan from "node-nats-streaming";

const url = process.argv[2] ?? "nats://localhost:4222";
// The position belongs to this client ID and the durable name together: keep both from run to run.
const client = stan.connect("test-cluster", "clerk", { url });

client.on("connect", () => {
  const options = client.subscriptionOptions()
    .setDurableName("orders-clerk")
    .setDeliverAllAvailable() // Counts at the very first start only.
    .setManualAckMode(true)
    .setAckWait(30_000)
    .setMaxInFlight(100);
  const subscription = client.subscribe("orders", options);
  subscription.on("ready", () => console.log("Waiting for messages on orders"));
  subscription.on("message", (message) => {
    const again = message.isRedelivered() ? " (again)" : "";
    console.log(`#${message.getSequence()} ${message.getData()}${again}`);
    // Ack when the work is done. A message without ack comes again, after ack wait or at the next start.
    message.ack();
  });
  subscription.on("error", fail);
  subscription.on("timeout", fail);
});
client.on("error", fail);
client.on("connection_lost", fail);
client.on("close", () => process.exit());
// Closing keeps the position; subscription.unsubscribe() would make the server forget it.
process.once("SIGINT", () => client.close());

function fail(error) {
  console.error(`Giving up: ${error?.message ?? error}`);
  process.exit(1);
}
