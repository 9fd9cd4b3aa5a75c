/** Ways to a syslog, to listeners of our own (operations.md 3.6). */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as dgram from "node:dgram";
import { mkdtempSync, rmSync } from "node:fs";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { denoDatagrams } from "../../../src/runtime/deno/datagrams.ts";
import { bunDatagrams } from "../../../src/runtime/bun/datagrams.ts";
import { type DatagramCalls, datagramOpener, writeUnixAddress } from "../../../src/runtime/node/datagrams.ts";
import { openSyslog } from "../../../src/runtime/node/syslog.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { RuntimeError, type SyslogLink } from "../../../src/runtime/types.ts";
import { Waiter } from "../../helpers/sockets.ts";

/** Text that arrived. */
class Received extends Waiter {
  text = "";
  packets: string[] = [];

  add(text: string): void {
    this.text += text;
    this.packets.push(text);
    this.notify();
  }
}

/** A folder for sockets. */
async function inFolder(work: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "stanchion-syslog-"));
  try {
    await work(join(folder, "log"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface StreamListener {
  readonly received: Received;
  readonly sockets: net.Socket[];
  readonly port: number;
  close(): Promise<void>;
}

async function listen(place: { path: string } | { host: string; port: number }): Promise<StreamListener> {
  const received = new Received();
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", (bytes) => received.add(String(bytes)));
    received.notify();
  });
  await new Promise<void>((resolve) => server.listen(place, resolve));
  const address = server.address();
  return {
    received,
    sockets,
    port: typeof address === "object" && address !== null ? address.port : 0,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

const noDatagrams = () => undefined;

test("operations 3.6: UDP: one packet per message, also those from before the name is resolved", async () => {
  const { openSyslog: open } = await pickRuntime();
  const received = new Received();
  const socket = dgram.createSocket("udp4");
  socket.on("message", (bytes) => received.add(bytes.toString("utf8")));
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const link = open({ kind: "udp", host: "127.0.0.1", port: socket.address().port });
  assert.equal(link.send("early\n"), true);
  await link.opened;
  assert.equal(link.send("später\n"), true);
  await link.close();
  await received.until(() => received.packets.length === 2);
  assert.deepEqual(received.packets.toSorted(), ["early\n", "später\n"]);
  assert.equal(link.send("too late"), false);
  assert.notEqual(link.hostName, "");
  await new Promise<void>((resolve) => socket.close(() => resolve()));
});

test("operations 3.6: TCP: what was handed on is there when close resolves its part", async () => {
  const { openSyslog: open } = await pickRuntime();
  const listener = await listen({ host: "127.0.0.1", port: 0 });
  const link = open({ kind: "tcp", host: "127.0.0.1", port: listener.port });
  link.send("one\n");
  await link.opened;
  link.send("two\n");
  await link.close();
  await listener.received.until(() => listener.received.text.includes("two\n"));
  assert.equal(listener.received.text, "one\ntwo\n");
  await listener.close();
});

test("operations 3.6: a stream that breaks is opened again, and what came in between follows", async () => {
  const listener = await listen({ host: "127.0.0.1", port: 0 });
  const link = openSyslog({ kind: "tcp", host: "127.0.0.1", port: listener.port }, noDatagrams);
  await link.opened;
  await listener.received.until(() => listener.sockets.length === 1);
  const broken = listener.sockets[0];
  broken?.destroy();
  // The next ones go to the new connection; those that were on their way in the old one are lost, as with any stream.
  await listener.received.until(() => {
    link.send("again\n");
    return listener.sockets.length === 2;
  });
  await listener.received.until(() => listener.received.text.includes("again\n"));
  await link.close();
  await listener.close();
});

test("operations 3.6: nobody listens: the first attempt is told, and the queue has a bound", async () => {
  const listener = await listen({ host: "127.0.0.1", port: 0 });
  await listener.close();
  const link = openSyslog({ kind: "tcp", host: "127.0.0.1", port: listener.port }, noDatagrams);
  const message = "x".repeat(1000);
  let taken = 0;
  while (link.send(message)) {
    taken++;
    assert.ok(taken < 10_000, "the queue grows without end");
  }
  assert.equal(taken, 1048);
  await assert.rejects(link.opened, (error) => {
    assert.ok(error instanceof RuntimeError);
    assert.equal(error.code, "CONNECTION_REFUSED");
    assert.match(error.message, /^Cannot reach the syslog at 127\.0\.0\.1:\d+: /);
    return true;
  });
  // Bounded, although nobody takes the queue.
  await link.close();
});

test("operations 3.6: a Unix socket of streams that is named", () =>
  inFolder(async (path) => {
    const { openSyslog: open } = await pickRuntime();
    const listener = await listen({ path });
    const link = open({ kind: "unix", path });
    await link.opened;
    link.send("line\n");
    await link.close();
    await listener.received.until(() => listener.received.text === "line\n");
    await listener.close();
    const gone = open({ kind: "unix", path });
    await assert.rejects(gone.opened, RuntimeError);
    await gone.close();
  }));

/** A receiver of datagrams on a Unix socket, which neither runtime has: prints each between quotes. */
const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
for i in range(int(sys.argv[2])):
    print(repr(s.recv(65536).decode()), flush=True)
`;
const hasPython = spawnSync("python3", ["--version"]).status === 0;

function receiver(path: string, count: number) {
  const child = spawn("python3", ["-c", RECEIVER, path, String(count)], { stdio: ["ignore", "pipe", "inherit"] });
  const received = new Received();
  child.stdout.setEncoding("utf8").on("data", (text: string) => received.add(text));
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return { child, received, ended };
}

test(
  "operations 3.6: the local syslog takes datagrams, and is found again after a restart",
  { skip: !hasPython && "needs python3 for the other end" },
  () =>
    inFolder(async (path) => {
      const isDeno = "Deno" in globalThis;
      const datagrams = isDeno ? denoDatagrams : bunDatagrams;
      const first = receiver(path, 2);
      await first.received.until(() => first.received.text.includes("bound"));
      const link = openSyslog({ kind: "local" }, datagrams, ["/nowhere/log", path]);
      await link.opened;
      assert.equal(link.send("<29>one"), true);
      assert.equal(link.send("<29>zwölf"), true);
      await first.ended;
      assert.equal(first.received.text, "bound\n'<29>one'\n'<29>zwölf'\n");
      assert.equal(link.send("lost"), false);
      rmSync(path);
      const second = receiver(path, 1);
      await second.received.until(() => second.received.text.includes("bound"));
      assert.equal(link.send("<29>three"), true);
      await second.ended;
      assert.equal(second.received.text, "bound\n'<29>three'\n");
      await link.close();
      assert.equal(link.send("too late"), false);
    }),
);

test("operations 3.6: without datagrams the local syslog is a stream, and none at all is an error", () =>
  inFolder(async (path) => {
    const listener = await listen({ path });
    const link: SyslogLink = openSyslog({ kind: "local" }, noDatagrams, ["/nowhere/log", path]);
    await link.opened;
    link.send("line\n");
    await link.close();
    await listener.received.until(() => listener.received.text === "line\n");
    await listener.close();
    const none = openSyslog({ kind: "local" }, noDatagrams, ["/nowhere/log"]);
    await assert.rejects(none.opened, RuntimeError);
    await none.close();
  }));

test("operations 3.6: addresses of Unix sockets, byte by byte; one that is too long is none", () => {
  const linux = { platform: "linux", arch: "x64" };
  const darwin = { platform: "darwin", arch: "arm64" };
  assert.deepEqual([...writeUnixAddress("/l", linux)!], [1, 0, 47, 108, 0]);
  assert.deepEqual([...writeUnixAddress("/l", darwin)!], [5, 1, 47, 108, 0]);
  assert.equal(writeUnixAddress("x".repeat(107), linux)?.length, 110);
  assert.equal(writeUnixAddress("x".repeat(108), linux), undefined);
  assert.equal(writeUnixAddress("x".repeat(104), darwin), undefined);
});

test("operations 3.6: a socket that cannot be connected is closed again", () => {
  const calls: string[] = [];
  const library = (connected: number): DatagramCalls => ({
    socket: (...args) => (calls.push(`socket ${args.join()}`), 7),
    connect: (descriptor) => (calls.push(`connect ${descriptor}`), connected),
    send: (descriptor, _bytes, size, flags) => (calls.push(`send ${descriptor} ${size} ${flags}`), -1),
    close: (descriptor) => (calls.push(`close ${descriptor}`), 0),
  });
  assert.equal(datagramOpener(library(-1), { platform: "linux", arch: "x64" })("/l"), undefined);
  assert.deepEqual(calls, [`socket 1,${2 | 0o2000000},0`, "connect 7", "close 7"]);
  calls.length = 0;
  const socket = datagramOpener(library(0), { platform: "darwin", arch: "x64" })("/l");
  assert.equal(socket?.send(new Uint8Array(3)), false);
  socket?.close();
  socket?.close();
  assert.equal(socket?.send(new Uint8Array(3)), false);
  assert.deepEqual(calls, ["socket 1,2,0", "connect 7", "send 7 3 128", "close 7"]);
});
