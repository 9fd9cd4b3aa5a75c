// A server inside your own program: it listens on a free port of this machine until it is closed.
//
//   deno run -A examples/embed.ts
//   bun examples/embed.ts
import { startServer } from "../mod.ts";

const server = await startServer({ port: -1 });
console.log(`NATS Streaming, cluster "${server.clusterId}", on ${server.clientUrl}`);
// Clients of this and of other processes connect to server.clientUrl here.
await server.close();
