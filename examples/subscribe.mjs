// Plain subscription: shows every message that is published from now on.
//
//   deno run -A examples/subscribe.mjs [nats://localhost:4222]
//   bun examples/subscribe.mjs [nats://localhost:4222]
//   node examples/subscribe.mjs [nats://localhost:4222]
//
// Feed it with examples/publish.mjs, end it with Ctrl-C. What is published while it does not run, it never sees:
// durable.mjs and history.mjs do.
import process from "node:process";
import * as stan from "node-nats-streaming";

const url = process.argv[2] ?? "nats://localhost:4222";
// A client ID may be in use once only, so several of these need different ones.
const client = stan.connect("test-cluster", `subscribe-${process.pid}`, { url });

client.on("connect", () => {
  const subscription = client.subscribe("orders");
  subscription.on("ready", () => console.log("Waiting for messages on orders"));
  subscription.on("message", (message) => console.log(`#${message.getSequence()} ${message.getData()}`));
  subscription.on("error", fail);
  subscription.on("timeout", fail);
});
client.on("error", fail);
// The server does not know this client any more, after a restart for example: a supervisor starts us afresh.
client.on("connection_lost", fail);
client.on("close", () => process.exit());
process.once("SIGINT", () => client.close());

function fail(error) {
  console.error(`Giving up: ${error?.message ?? error}`);
  process.exit(1);
}
