// Publishes numbered messages and waits until the server has stored them all: something to feed the other examples with.
//
//   deno run -A examples/publish.mjs [nats://localhost:4222] [orders] [10]
//   bun examples/publish.mjs [nats://localhost:4222] [orders] [10]
//   node examples/publish.mjs [nats://localhost:4222] [orders] [10]
//
// The arguments are the server, the channel and the number of messages.
import process from "node:process";
import * as stan from "node-nats-streaming";

const url = process.argv[2] ?? "nats://localhost:4222";
const channel = process.argv[3] ?? "orders";
const count = Number(process.argv[4] ?? 10);
const client = stan.connect("test-cluster", `publisher-${process.pid}`, { url });

client.on("connect", async () => {
  try {
    // Many in flight at once; the library's own bound is 16,384, so a large number goes in portions.
    for (let next = 1; next <= count; next += 1000) {
      const portion = Array.from(
        { length: Math.min(1000, count - next + 1) },
        (_, index) => publish(String(next + index)),
      );
      await Promise.all(portion);
    }
    console.log(`Stored ${count} messages on ${channel}`);
    client.close();
  } catch (error) {
    fail(error);
  }
});
client.on("error", fail);
client.on("connection_lost", fail);
client.on("close", () => process.exit());

/** Resolves when the server has stored the message. On an error it may be stored or not: publishing again is safe only if twice is. */
function publish(data) {
  return new Promise((resolve, reject) => {
    client.publish(channel, data, (error, guid) => error ? reject(error) : resolve(guid));
  });
}

function fail(error) {
  console.error(`Giving up: ${error?.message ?? error}`);
  process.exit(1);
}
