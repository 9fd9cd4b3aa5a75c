/** The monitoring port: `node:http` is the same on both platforms (runtime.md 9), so it stands here once. */
import type { HttpAnswer, HttpHost, HttpRequest, Listener } from "../types.ts";
import { toListenError } from "./errors.ts";

/** A probe that stalls must not hold a socket for long. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Sockets of the monitoring port; above it new ones are refused, so that probes cannot use up the descriptors. */
const CONNECTION_COUNT_MAX = 256;

export function createHttpHost(): HttpHost {
  return { listen };
}

async function listen(
  options: { host: string; port: number },
  handle: (request: HttpRequest) => HttpAnswer,
): Promise<Listener> {
  // Loaded when first needed: most servers run without a monitoring port, and it is not small.
  const { createServer } = await import("node:http");
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    const { path, query } = splitTarget(request.url ?? "/");
    const answer = handle({ path, query: new URLSearchParams(query) });
    response.writeHead(answer.status, answer.headers);
    response.end(request.method === "HEAD" ? undefined : answer.body);
  });
  server.maxConnections = CONNECTION_COUNT_MAX;
  return await new Promise((resolve, reject) => {
    server.once("error", (error: unknown) => reject(toListenError(error, options.host, options.port)));
    server.listen(options.port, options.host, () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : options.port;
      resolve({
        host: options.host,
        port,
        close: () =>
          new Promise<void>((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}

function splitTarget(target: string): { path: string; query: string } {
  const at = target.indexOf("?");
  return at < 0 ? { path: target, query: "" } : { path: target.slice(0, at), query: target.slice(at + 1) };
}
