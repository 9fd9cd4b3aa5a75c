/** The monitoring port: `node:http` is the same on both platforms (runtime.md 9), so it stands here once. */
import { Buffer } from "node:buffer";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { HttpAnswer, HttpHandler, HttpHost, HttpListenOptions, HttpTls, Listener } from "../types.ts";
import { toListenError } from "./errors.ts";

/** A probe that stalls must not hold a socket for long. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Sockets of the monitoring port; above it new ones are refused, so that probes cannot use up the descriptors. */
const CONNECTION_COUNT_MAX = 256;
/** Of a request; whoever sends more is answered with 413. */
const BODY_SIZE_MAX = 65_536;
const PLAIN = { "Content-Type": "text/plain; charset=utf-8" };

export function createHttpHost(): HttpHost {
  return { listen };
}

async function listen(options: HttpListenOptions, handle: HttpHandler): Promise<Listener> {
  const server = await createServer(options.tls, (request, response) => {
    readBody(request, (body) => {
      if (body === undefined) {
        // The rest is not read: the answer ends the connection.
        return send(response, request, {
          status: 413,
          headers: { ...PLAIN, Connection: "close" },
          body: `The body is longer than ${BODY_SIZE_MAX} bytes\n`,
        });
      }
      const { path, query } = splitTarget(request.url ?? "/");
      const answer = handle({
        method: request.method ?? "GET",
        path,
        query: new URLSearchParams(query),
        header: (name) => headerText(request.headers[name]),
        body,
        remoteAddress: request.socket.remoteAddress ?? "",
      });
      if (answer instanceof Promise) void answer.then((value) => send(response, request, value));
      else send(response, request, answer);
    });
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

/** Loaded when first needed: most servers run without a monitoring port, and the modules are not small. */
async function createServer(
  tls: HttpTls | undefined,
  listener: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Server> {
  const options = { requestTimeout: REQUEST_TIMEOUT_MS };
  if (tls === undefined) return (await import("node:http")).createServer(options, listener);
  return (await import("node:https")).createServer({ ...options, ...tls, minVersion: "TLSv1.2" }, listener);
}

/** Calls `done` with the whole body, or with undefined when it is too long; never when the sender goes away before. */
function readBody(request: IncomingMessage, done: (body: string | undefined) => void): void {
  if (request.method !== "POST" && request.method !== "PUT") return done("");
  const chunks: Uint8Array[] = [];
  let size = 0;
  let isDone = false;
  request.on("data", (chunk: Uint8Array) => {
    if (isDone) return;
    size += chunk.length;
    chunks.push(chunk);
    if (size <= BODY_SIZE_MAX) return;
    isDone = true;
    done(undefined);
  });
  request.on("end", () => {
    if (isDone) return;
    isDone = true;
    done(Buffer.concat(chunks).toString());
  });
  // Whoever goes away in the middle wants no answer.
  request.on("error", () => {});
}

function send(response: ServerResponse, request: IncomingMessage, answer: HttpAnswer): void {
  response.writeHead(answer.status, answer.headers);
  response.end(request.method === "HEAD" ? undefined : answer.body);
}

function headerText(value: string | string[] | undefined): string {
  return typeof value === "string" ? value : value?.[0] ?? "";
}

function splitTarget(target: string): { path: string; query: string } {
  const at = target.indexOf("?");
  return at < 0 ? { path: target, query: "" } : { path: target.slice(0, at), query: target.slice(at + 1) };
}
