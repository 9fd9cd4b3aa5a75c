/**
 * Smoke test of the built executable: its three names, start, a round trip over TCP, and the exit status after SIGTERM
 * and SIGINT. Usage: smoke.ts [DIR], the folder with the executable and its links; dist if none is given.
 */
import { strict as assert } from "node:assert";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { join, resolve } from "node:path";
import process from "node:process";
import { ROOT } from "./project.ts";
import { runProcess } from "./run_process.ts";

/** What `--version` says under each name, up to the version of the product. */
const VERSIONS: readonly (readonly [string, RegExp])[] = [
  ["stanchion", /^stanchion version \d+\.\d+\.\d+ \(NATS Streaming [\d.]+, NATS [\d.]+\)\n$/],
  ["nats-streaming-server", /^nats-streaming-server version [\d.]+-stanchion\.[\w.-]+, nats-server: v[\d.]+\n$/],
  ["nats-server", /^nats-server: v[\d.]+\n$/],
];

/** Far beyond any start or stop: only a hang reaches it. */
const WAIT_MS_MAX = 30_000;

const folder = resolve(process.argv[2] ?? join(ROOT, "dist"));

for (const [name, pattern] of VERSIONS) {
  const result = await runProcess(join(folder, name), ["--version"], { timeMsMax: WAIT_MS_MAX });
  assert.equal(result.trouble, "", `${name} --version`);
  assert.equal(result.code, 0, `${name} --version: ${result.output}`);
  assert.match(result.output, pattern, `${name} --version`);
  console.log(`smoke: ${result.output.trim()}`);
}
await checkRun("SIGTERM", 143);
await checkRun("SIGINT", 0);
console.log("smoke: ok");

/** Starts the server, talks to it, stops it with the signal and compares the exit status. */
async function checkRun(signal: "SIGTERM" | "SIGINT", status: number): Promise<void> {
  const port = await freePort();
  const server = spawn(join(folder, "stanchion"), ["-a", "127.0.0.1", "-p", String(port)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  server.stderr.setEncoding("utf8").on("data", (chunk: string) => log += chunk);
  try {
    await within(untilReady(server), `"Streaming Server is ready"`);
    const answer = await within(ping(port), "PONG");
    assert.match(answer, /^INFO \{/);
    assert.match(answer, /\r\nPONG\r\n$/);
    const closed = once(server, "close");
    // Not server.kill(): on Deno 2.9.6 that reports the child as ended by the signal whatever status it chose.
    assert(server.pid !== undefined);
    process.kill(server.pid, signal);
    const [code, endSignal] = await within(closed, `the end after ${signal}`) as [number | null, string | null];
    assert.equal(code, status, `exit status after ${signal} (ended by signal: ${endSignal})`);
    assert.match(log, /\[INF\] Server Exiting\.\.\n$/, `end of the log after ${signal}`);
    console.log(`smoke: PING answered, ${signal} ended it with status ${status}`);
  } finally {
    if (server.exitCode === null) server.kill("SIGKILL");
  }
}

function untilReady(server: ChildProcess): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let text = "";
  server.stderr?.on("data", (chunk: string) => {
    text += chunk;
    if (text.includes("Streaming Server is ready")) resolve();
  });
  server.once("error", reject);
  server.once(
    "exit",
    (code) => reject(new Error(`the server ended with status ${code} before it was ready:\n${text}`)),
  );
  return promise;
}

/** All the server says to a client that sends CONNECT and PING, up to PONG. */
function ping(port: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.setEncoding("utf8");
  socket.on("connect", () => socket.write('CONNECT {"verbose":false}\r\nPING\r\n'));
  socket.on("data", (chunk: string) => {
    text += chunk;
    if (!text.endsWith("PONG\r\n")) return;
    socket.destroy();
    resolve(text);
  });
  socket.on("error", reject);
  socket.on("close", () => reject(new Error(`the server closed the connection after: ${text}`)));
  return promise;
}

async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  assert(address !== null && typeof address === "object");
  probe.close();
  await once(probe, "close");
  return address.port;
}

/** A promise with an end, so that a hang is told as what it waited for. */
async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`waited ${WAIT_MS_MAX / 1000} s for ${what}`)), WAIT_MS_MAX);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
