/** The contract of `Network` and `Socket` (src/runtime/types.ts), run over the adapter of whatever runtime runs it. */
import assert from "node:assert/strict";
import * as net from "node:net";
import { after, test } from "node:test";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { type Listener, type Network, RuntimeError, type Socket } from "../../../src/runtime/types.ts";
import { dialPeer, makePair, patternBytes, type Peer, Recorder, sameBytes, turns } from "../../helpers/sockets.ts";

const runtime = await pickRuntime();
const network = runtime.network;
const MIB = 1024 * 1024;
const SIZES = [0, 1, 65_535, 65_536, 65_537, MIB, 10 * MIB];

/** Many small pieces and one large one take different ways through the queue. */
function queue(socket: Socket, bytes: Uint8Array, pieceSize: number): void {
  for (let at = 0; at < bytes.length; at += pieceSize) {
    socket.output.append(bytes, at, Math.min(at + pieceSize, bytes.length));
  }
}

async function listenWithCode(host: string, port: number): Promise<string> {
  try {
    const listener = await network.listen({ host, port }, (socket) => new Recorder(socket));
    await listener.close();
    return "";
  } catch (error) {
    assert.ok(error instanceof RuntimeError);
    return error.code;
  }
}

for (const size of SIZES) {
  test(`runtime 1.5: ${size} bytes come back unchanged through an echo`, async () => {
    const pair = await makePair(network, (near) => {
      near.onData = (bytes) => {
        near.socket.output.append(bytes);
        near.socket.flush();
      };
    });
    const sent = patternBytes(size);
    pair.peer.stream.write(sent);
    await pair.peer.until(() => pair.peer.receivedBytes >= size);
    assert.ok(sameBytes(pair.peer.bytes(), sent));
    assert.equal(pair.near.receivedBytes, size);
    await pair.close();
  });

  test(`runtime 1.5: ${size} queued bytes arrive in order, in small pieces and in one`, async () => {
    const sent = patternBytes(size, 7);
    const pair = await makePair(network);
    queue(pair.near.socket, sent, 1009);
    queue(pair.near.socket, sent, Math.max(1, size));
    pair.near.socket.flush();
    await pair.peer.until(() => pair.peer.receivedBytes >= 2 * size);
    assert.ok(sameBytes(pair.peer.bytes(), Buffer.concat([sent, sent])));
    await pair.near.until(() => pair.near.socket.output.pendingBytes === 0);
    await pair.close();
  });
}

test("runtime 1.5: flush from inside drained goes on until all is written", async () => {
  const sent = patternBytes(3 * MIB, 3);
  let queuedBytes = 0;
  const pair = await makePair(network, (near) => {
    const more = () => {
      while (queuedBytes < sent.length && near.socket.output.pendingBytes < 200_000) {
        near.socket.output.append(sent, queuedBytes, Math.min(queuedBytes + 50_000, sent.length));
        queuedBytes = Math.min(queuedBytes + 50_000, sent.length);
        near.socket.flush();
      }
    };
    near.onDrained = more;
    setImmediate(more);
  });
  await pair.peer.until(() => pair.peer.receivedBytes >= sent.length);
  assert.ok(sameBytes(pair.peer.bytes(), sent));
  await pair.close();
});

test("runtime 1.5: a peer that does not read keeps pendingBytes up; reading it drains in steps", async () => {
  const sent = patternBytes(24 * MIB, 5);
  const pair = await makePair(network);
  pair.peer.stream.pause();
  queue(pair.near.socket, sent, 100_000);
  pair.near.socket.flush();
  // The kernel's buffers are full when two turns of the loop bring no progress.
  let before = -1;
  let sameCount = 0;
  while (sameCount < 50) {
    await turns(1);
    const pending = pair.near.socket.output.pendingBytes;
    sameCount = pending === before ? sameCount + 1 : 0;
    before = pending;
  }
  assert.ok(before > 0, "everything was taken by the kernel");
  const drainedBefore = pair.near.drainedCount;
  pair.near.socket.flush(); // Harmless while blocked.
  pair.peer.stream.resume();
  await pair.peer.until(() => pair.peer.receivedBytes >= sent.length);
  await pair.near.until(() => pair.near.socket.output.pendingBytes === 0);
  assert.ok(sameBytes(pair.peer.bytes(), sent));
  assert.ok(pair.near.drainedCount > drainedBefore + 1);
  assert.equal(pair.near.socket.output.buffer.length, 0, "an idle connection holds no output memory");
  await pair.close();
});

test("runtime 15: bytes may be queued and flushed inside the accept call", async () => {
  const pair = await makePair(network, (near) => {
    near.socket.output.append(Buffer.from("INFO {}\r\n"));
    near.socket.flush();
  });
  await pair.peer.until(() => pair.peer.receivedBytes === 9);
  assert.equal(pair.peer.text(), "INFO {}\r\n");
  await pair.close();
});

test("runtime 15: addresses and ports of both ends are known", async () => {
  const pair = await makePair(network);
  assert.equal(pair.near.socket.localAddress, "127.0.0.1");
  assert.equal(pair.near.socket.localPort, pair.listener.port);
  assert.equal(pair.near.socket.remoteAddress, "127.0.0.1");
  assert.equal(pair.near.socket.remotePort, pair.peer.stream.localPort);
  await pair.close();
});

test("runtime 1.5: a paused socket delivers nothing more until it is resumed", async () => {
  const pair = await makePair(network, (near) => near.socket.pause());
  const sent = patternBytes(MIB, 9);
  pair.peer.stream.write(sent);
  await turns(200);
  assert.ok(pair.near.receivedBytes <= 65_536 * 8, "one data call may be under way");
  pair.near.socket.resume();
  await pair.near.until(() => pair.near.receivedBytes === sent.length);
  assert.ok(sameBytes(Buffer.concat(pair.near.received), sent));
  await pair.close();
});

test("runtime 1.5: pause inside data stops after that call", async () => {
  let calls = 0;
  const pair = await makePair(network, (near) => {
    near.onData = () => {
      calls++;
      near.socket.pause();
      setImmediate(() => near.socket.resume());
    };
  });
  pair.peer.stream.write(patternBytes(4 * MIB));
  await pair.near.until(() => pair.near.receivedBytes === 4 * MIB);
  assert.ok(calls > 1);
  await pair.close();
});

/** Where it is missing, `resume` brings everything: other tests are about that. */
const canPull = runtime.version.startsWith("bun") && process.platform === "linux";

/** Pulls pieces of `size` until there are `total` bytes. */
async function pullAll(socket: Socket, total: number, size: number): Promise<Uint8Array> {
  const into = new Uint8Array(size + 7);
  const pieces: Uint8Array[] = [];
  for (let left = total; left > 0;) {
    const count = socket.pull!(into, Math.min(size, left), 1);
    assert.ok(count <= size);
    pieces.push(into.slice(0, count));
    left -= count;
    if (count === 0) await turns(1);
  }
  return Buffer.concat(pieces);
}

test("tail: a socket says whether it can be pulled", async () => {
  const pair = await makePair(network);
  assert.equal(pair.near.socket.pull !== undefined, runtime.version.startsWith("bun"));
  await pair.close();
});

test(
  "tail: what comes to a paused socket can be pulled, and a resume brings the rest",
  { skip: !canPull },
  async () => {
    const pair = await makePair(network, (near) => {
      near.onData = (bytes) => {
        near.received.push(bytes);
        near.socket.pause();
      };
    });
    const { near, peer } = pair;
    const sent = patternBytes(3 * MIB, 11);
    assert.equal(near.socket.pull!(new Uint8Array(10), 10, 1), 0, "nothing has come");
    peer.stream.write(sent);
    await near.until(() => near.receivedBytes > 0);
    near.received.push(await pullAll(near.socket, 100_000, 1009));
    near.received.push(await pullAll(near.socket, MIB, 70_000));
    const pulledBytes = 100_000 + MIB;
    near.onData = undefined;
    near.socket.resume();
    await near.until(() => near.receivedBytes + pulledBytes === sent.length);
    assert.ok(sameBytes(Buffer.concat(near.received), sent));
    // And once more.
    peer.stream.write(sent);
    await near.until(() => near.receivedBytes + pulledBytes === 2 * sent.length);
    await pair.close();
    assert.equal(near.socket.pull!(new Uint8Array(10), 10, 1), 0, "it is closed");
  },
);

test(
  "tail: no more is pulled than there is memory for, and nothing where too little has come",
  { skip: !canPull },
  async () => {
    const pair = await makePair(network, (near) => near.socket.pause());
    const { socket } = pair.near;
    const sent = patternBytes(1000, 13);
    pair.peer.stream.write(sent);
    const memory = new Uint8Array(30).fill(7);
    const into = memory.subarray(10, 20);
    while (socket.pull!(into, 1000, 1000) === 0) await turns(1);
    assert.equal(socket.pull!(into, 1000, 991), 0, "990 are left");
    assert.deepEqual([...memory], [...Array(10).fill(7), ...sent.subarray(0, 10), ...Array(10).fill(7)]);
    await pair.close();
  },
);

test("nats 2: the end of what was pulled is told once, behind a resume", { skip: !canPull }, async () => {
  const pair = await makePair(network, (near) => near.socket.pause());
  const sent = patternBytes(200_000, 17);
  pair.peer.stream.end(sent);
  assert.ok(sameBytes(await pullAll(pair.near.socket, sent.length, 4096), sent));
  await turns(20);
  assert.equal(pair.near.socket.pull!(new Uint8Array(10), 10, 1), 0);
  assert.equal(pair.near.peerEndedCount, 0);
  pair.near.socket.resume();
  await pair.near.until(() => pair.near.peerEndedCount > 0);
  assert.equal(pair.near.receivedBytes, 0);
  await pair.close();
  assert.equal(pair.near.peerEndedCount, 1);
});

test("runtime 15: a reset that a pull meets closes the connection once", { skip: !canPull }, async () => {
  const pair = await makePair(network, (near) => near.socket.pause());
  const { near, peer } = pair;
  peer.stream.write(patternBytes(1000));
  assert.equal((await pullAll(near.socket, 1000, 100)).length, 1000);
  peer.stream.resetAndDestroy();
  // Some runtimes tell of it at once, others when the socket is read again.
  for (let turn = 0; turn < 20; turn++) {
    assert.equal(near.socket.pull!(new Uint8Array(10), 10, 1), 0);
    await turns(1);
  }
  near.socket.resume();
  await near.until(() => near.closedCount + near.peerEndedCount > 0);
  await pair.close();
  assert.equal(near.closedCount, 1);
  assert.equal(near.lateCount, 0);
});

test("nats 2: after the peer's half close everything queued is still written, then the socket ends", async () => {
  const sent = patternBytes(5 * MIB, 11);
  const pair = await makePair(network, (near) => {
    near.onPeerEnded = () => {
      queue(near.socket, sent, 65_536);
      near.socket.end();
    };
  });
  pair.peer.stream.end("last words");
  await pair.peer.until(() => pair.peer.hasEnded);
  assert.ok(sameBytes(pair.peer.bytes(), sent));
  await pair.near.until(() => pair.near.closedCount > 0);
  assert.equal(pair.near.text(), "last words");
  assert.equal(pair.near.peerEndedCount, 1);
  assert.equal(pair.near.error, undefined);
  await pair.close();
});

test("nats trap 14: end lets the last bytes arrive although input was not read", async () => {
  const pair = await makePair(network, (near) => near.socket.pause());
  pair.peer.stream.write(patternBytes(MIB));
  pair.near.socket.output.append(Buffer.from("-ERR 'Authorization Violation'\r\n"));
  pair.near.socket.end();
  await pair.peer.until(() => pair.peer.hasEnded || pair.peer.hasClosed);
  assert.equal(pair.peer.text(), "-ERR 'Authorization Violation'\r\n");
  assert.equal(pair.peer.error, undefined);
  pair.peer.stream.end();
  await pair.near.until(() => pair.near.closedCount > 0);
  assert.equal(pair.near.receivedBytes, 0, "input after end is discarded");
  assert.equal(pair.near.error, undefined);
  await pair.close();
});

test("nats 2: end destroys the socket although the peer never closes its half", async () => {
  const pair = await makePair(network);
  pair.near.socket.end();
  pair.near.socket.end();
  await pair.near.until(() => pair.near.closedCount > 0);
  assert.equal(pair.near.closedCount, 1);
  await pair.close();
});

test("runtime 15: destroy closes without error, drops what is queued, and calls closed later and once", async () => {
  const pair = await makePair(network);
  pair.peer.stream.pause();
  queue(pair.near.socket, patternBytes(20 * MIB), 100_000);
  pair.near.socket.flush();
  pair.near.socket.destroy();
  assert.equal(pair.near.closedCount, 0, "never from inside a call on the same socket");
  pair.near.socket.destroy();
  pair.near.socket.end();
  pair.near.socket.flush();
  await pair.near.until(() => pair.near.closedCount > 0);
  pair.peer.stream.resume();
  await pair.peer.until(() => pair.peer.hasEnded || pair.peer.hasClosed);
  pair.peer.stream.destroy();
  await pair.peer.until(() => pair.peer.hasClosed);
  assert.equal(pair.near.closedCount, 1);
  assert.equal(pair.near.lateCount, 0);
  assert.equal(pair.near.error, undefined);
  assert.equal(pair.near.socket.output.pendingBytes, 0);
  pair.near.socket.output.append(Buffer.from("x"));
  pair.near.socket.flush();
  assert.equal(pair.near.socket.output.pendingBytes, 0, "output of a closed socket is dropped");
  await pair.close();
});

test("runtime 15: destroy inside data and inside accept", async () => {
  const first = await makePair(network, (near) => {
    near.onData = () => near.socket.destroy();
  });
  first.peer.stream.write("x");
  await first.near.until(() => first.near.closedCount > 0);
  await first.close();
  const second = await makePair(network, (near) => near.socket.destroy());
  await second.near.until(() => second.near.closedCount > 0);
  await second.close();
  assert.equal(first.near.closedCount + second.near.closedCount, 2);
});

test("runtime 15: a connection reset by the peer is closed once, with the reason", async () => {
  const pair = await makePair(network);
  pair.near.socket.output.append(Buffer.from("x"));
  pair.near.socket.flush();
  await pair.peer.until(() => pair.peer.receivedBytes === 1);
  pair.peer.stream.resetAndDestroy();
  await pair.near.until(() => pair.near.closedCount > 0);
  assert.ok(pair.near.error instanceof RuntimeError);
  assert.equal(pair.near.error.code, "CLOSED");
  await pair.close();
  assert.equal(pair.near.closedCount, 1);
});

test("runtime 1.6: a busy port is ADDRESS_IN_USE and says what to do", async () => {
  const listener = await network.listen({ host: "127.0.0.1", port: 0 }, (socket) => new Recorder(socket));
  await assert.rejects(
    network.listen({ host: "127.0.0.1", port: listener.port }, (socket) => new Recorder(socket)),
    (error) => error instanceof RuntimeError && error.code === "ADDRESS_IN_USE" && /choose another/.test(error.message),
  );
  await listener.close();
  assert.equal(await listenWithCode("127.0.0.1", listener.port), "", "close frees the port");
});

test("runtime 1.6: close frees the port while accepted sockets stay open", async () => {
  const pair = await makePair(network);
  await pair.listener.close();
  assert.equal(await listenWithCode("127.0.0.1", pair.listener.port), "");
  pair.peer.stream.write("still here");
  await pair.near.until(() => pair.near.receivedBytes === 10);
  await pair.close();
});

test("runtime 1: the usual hosts work, foreign ones are ADDRESS_NOT_AVAILABLE", async () => {
  for (const host of ["0.0.0.0", "127.0.0.1", "localhost", "::"]) {
    assert.equal(await listenWithCode(host, 0), "", host);
  }
  assert.equal(await listenWithCode("192.0.2.1", 0), "ADDRESS_NOT_AVAILABLE");
});

test("runtime 1.6: above maxSockets a connection is closed at once; a place that is free again is given away", async () => {
  const accepted: Recorder[] = [];
  const listener: Listener = await network.listen({ host: "127.0.0.1", port: 0, maxSockets: 2 }, (socket) => {
    const recorder = new Recorder(socket);
    socket.output.append(Buffer.from("hi"));
    socket.flush();
    accepted.push(recorder);
    return recorder;
  });
  const first = await dialPeer(listener.port);
  const second = await dialPeer(listener.port);
  await first.until(() => first.receivedBytes === 2);
  await second.until(() => second.receivedBytes === 2);
  const third = await dialPeer(listener.port);
  await third.until(() => third.hasEnded || third.hasClosed);
  assert.equal(third.receivedBytes, 0);
  assert.equal(accepted.length, 2);
  accepted[0]?.socket.destroy();
  await accepted[0]?.until(() => accepted[0]?.closedCount === 1);
  const fourth = await dialPeer(listener.port);
  await fourth.until(() => fourth.receivedBytes === 2);
  for (const peer of [first, second, third, fourth]) peer.stream.destroy();
  for (const recorder of accepted) {
    recorder.socket.destroy();
    await recorder.until(() => recorder.closedCount === 1);
  }
  await listener.close();
});

test("runtime 1.6: at the limit of the process nobody more is served; freed places are given away again", async () => {
  const small: Network = "Bun" in globalThis
    ? new (await import("../../../src/runtime/bun/network.ts")).BunNetwork(4)
    : new (await import("../../../src/runtime/deno/network.ts")).NodeNetwork(4);
  assert.equal(small.socketCountMax, 4);
  const accepted: Recorder[] = [];
  const listener = await small.listen({ host: "127.0.0.1", port: 0 }, (socket) => {
    const recorder = new Recorder(socket);
    socket.output.append(Buffer.from("hi"));
    socket.flush();
    accepted.push(recorder);
    return recorder;
  });
  /** True when the peer is served, false when it is refused or closed. */
  const dial = async (): Promise<Peer | undefined> => {
    const peer = await dialPeer(listener.port).catch(() => undefined);
    await peer?.until(() => peer.receivedBytes === 2 || peer.hasEnded || peer.hasClosed);
    if (peer?.receivedBytes === 2) return peer;
    peer?.stream.destroy();
    return undefined;
  };
  const open: Peer[] = [];
  for (let round = 0; round < 3; round++) {
    while (open.length < 4) {
      // A listener that was given up needs a moment to come back.
      const peer = await dial();
      if (peer !== undefined) open.push(peer);
    }
    const more = await Promise.all(Array.from({ length: 50 }, dial));
    assert.ok(more.every((peer) => peer === undefined), "served above the limit");
    await assert.rejects(
      small.connect({ host: "127.0.0.1", port: listener.port }, (socket) => new Recorder(socket)),
      RuntimeError,
    );
    for (const peer of open.splice(0, 2)) {
      const near = accepted.find((recorder) => recorder.socket.remotePort === peer.stream.localPort);
      peer.stream.destroy();
      near?.socket.destroy();
      await near?.until(() => near.closedCount === 1);
    }
  }
  for (const peer of open) peer.stream.destroy();
  for (const recorder of accepted) {
    recorder.socket.destroy();
    await recorder.until(() => recorder.closedCount === 1);
  }
  await listener.close();
});

test("runtime 1.6: the count of sockets leaves descriptors for the store", () => {
  assert.ok(network.socketCountMax > 0);
  assert.ok(Number.isSafeInteger(network.socketCountMax));
});

test("runtime 15: connect echoes like an accepted socket", async () => {
  const server = net.createServer((stream) => stream.pipe(stream));
  after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  let recorder: Recorder | undefined;
  const socket = await network.connect({ host: "127.0.0.1", port, timeoutMs: 5000 }, (dialled) => {
    recorder = new Recorder(dialled);
    return recorder;
  });
  assert.ok(recorder !== undefined);
  const near = recorder;
  assert.equal(near.socket, socket);
  assert.equal(socket.remotePort, port);
  const sent = patternBytes(3 * MIB, 13);
  queue(socket, sent, 65_537);
  socket.flush();
  await near.until(() => near.receivedBytes === sent.length);
  assert.ok(sameBytes(Buffer.concat(near.received), sent));
  socket.end();
  await near.until(() => near.closedCount === 1);
  assert.equal(near.error, undefined);
});

test("runtime 15: connect refused, host not found", async () => {
  const listener = await network.listen({ host: "127.0.0.1", port: 0 }, (socket) => new Recorder(socket));
  await listener.close();
  await assert.rejects(
    network.connect({ host: "127.0.0.1", port: listener.port }, (socket) => new Recorder(socket)),
    (error) => error instanceof RuntimeError && error.code === "CONNECTION_REFUSED",
  );
  await assert.rejects(
    network.connect({ host: "no-such-host.invalid", port: 4222 }, (socket) => new Recorder(socket)),
    (error) => error instanceof RuntimeError && error.code === "HOST_NOT_FOUND",
  );
});
