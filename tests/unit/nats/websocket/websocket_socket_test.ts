import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import type { SocketHandler } from "../../../../src/runtime/types.ts";
import type { WebSocketSession } from "../../../../src/nats/websocket/handshake.ts";
import { closeStatusOf } from "../../../../src/nats/websocket/websocket_port.ts";
import { TRANSPORT_BYTES_MAX, WebSocketSocket } from "../../../../src/nats/websocket/websocket_socket.ts";
import { FakeRuntime, FakeSocket } from "../../../helpers/fake_runtime.ts";
import { createNats, RecordedLog } from "../../../helpers/nats_server.ts";
import { patternBytes, sameBytes } from "../../../helpers/sockets.ts";
import {
  clientFrame,
  closeText,
  readFrames,
  type ServerFrame,
  upgradeRequest,
} from "../../../helpers/websocket_client.ts";

const SESSION: WebSocketSession = {
  compression: false,
  masksFrames: true,
  frameBytesMax: 0,
  keepsCompressedWhole: false,
  forwardedFor: "",
};
const MAX_PAYLOAD = 1_000_000;

/** What the socket tells the connection above it. */
class Above implements SocketHandler {
  readonly events: string[] = [];
  onData: (() => void) | undefined;
  data(bytes: Uint8Array): void {
    this.events.push(bytes.length > 40 ? `data of ${bytes.length}` : `data ${Buffer.from(bytes).toString("latin1")}`);
    this.onData?.();
  }
  drained(): void {
    this.events.push("drained");
  }
  peerEnded(): void {
    this.events.push("peerEnded");
  }
  closed(error: Error | undefined): void {
    this.events.push(`closed ${error?.message ?? "well"}`);
  }
}

function make(session: Partial<WebSocketSession> = {}) {
  const runtime = new FakeRuntime();
  const transport = new FakeSocket(50_000);
  const socket = new WebSocketSocket(transport, { ...SESSION, ...session }, runtime.scheduler, MAX_PAYLOAD);
  const above = new Above();
  socket.attach(above);
  transport.handler = socket;
  let rest = Buffer.alloc(0);
  const frames = (): ServerFrame[] => {
    const read = readFrames(Buffer.concat([rest, Buffer.from(transport.take(), "latin1")]));
    rest = Buffer.from(read.rest);
    return read.frames;
  };
  const send = (...parts: Uint8Array[]) => socket.data(Buffer.concat(parts));
  return { runtime, transport, socket, above, frames, send };
}

function compressed(size: number): Buffer {
  const body = deflateRawSync(new Uint8Array(size), { finishFlush: constants.Z_SYNC_FLUSH });
  return clientFrame(2, body.subarray(0, -4), { reserved: 0x40 });
}

test("nats 8: one frame per flush, and everything is counted until the kernel has it", () => {
  const { socket, transport, frames } = make();
  socket.output.append(Buffer.from("MSG a 1 1\r\nx\r\n"));
  socket.output.append(Buffer.from("MSG a 1 1\r\ny\r\n"));
  assert.equal(frames().length, 0, "nothing goes before a flush");
  transport.room = 0;
  socket.flush();
  // Two bytes of header are the transport's, and pending as well.
  assert.equal(socket.output.pendingBytes, 30);
  socket.output.append(Buffer.from("PONG\r\n"));
  assert.equal(socket.output.pendingBytes, 36);
  transport.drain(7);
  assert.equal(socket.output.pendingBytes, 36 - 7 + 2, "the rest was framed when the kernel took something");
  transport.drain();
  assert.equal(socket.output.pendingBytes, 0);
  assert.deepEqual(frames().map(({ payload }) => payload.toString()), [
    "MSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\n",
    "PONG\r\n",
  ]);
});

test("nats 8: output of every size arrives as it was written, however little the kernel takes", () => {
  for (const room of [Infinity, 1_000, 60_000]) {
    const { socket, transport, frames, above } = make();
    const sizes = [1, 125, 126, 127, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 300_000, 5];
    const all: Uint8Array[] = [];
    transport.room = room;
    for (const size of sizes) {
      const bytes = patternBytes(size, size);
      all.push(bytes);
      socket.output.append(bytes);
      socket.flush();
    }
    const got: ServerFrame[] = frames();
    while (socket.output.pendingBytes > 0) {
      const { pendingBytes } = socket.output;
      transport.drain(room);
      assert.ok(socket.output.pendingBytes < pendingBytes, "no standstill");
      got.push(...frames());
    }
    assert.ok(sameBytes(Buffer.concat(got.map(({ payload }) => payload)), Buffer.concat(all)));
    assert.ok(got.every(({ opcode, final, masked }) => opcode === 2 && final && !masked));
    assert.equal(above.events.includes("drained"), room !== Infinity);
  }
});

test("nats 8: a client that lags gets frames no sooner than the kernel asks for them", () => {
  const { socket, transport } = make();
  transport.room = 0;
  const chunk = patternBytes(60_000);
  for (let i = 0; i < 100; i++) {
    socket.output.append(chunk);
    socket.flush();
  }
  assert.ok(transport.output.pendingBytes < TRANSPORT_BYTES_MAX + 70_000, `${transport.output.pendingBytes} framed`);
  assert.ok(socket.output.pendingBytes >= 6_000_000);
  socket.end();
  transport.drain();
  assert.equal(socket.output.pendingBytes, 0);
  assert.ok(transport.ended);
});

test("nats 8: a huge payload is compressed in steps", () => {
  const { socket, transport, frames } = make({ compression: true });
  transport.room = 0;
  socket.output.append(patternBytes(1_000_000));
  socket.flush();
  assert.ok(transport.output.pendingBytes < TRANSPORT_BYTES_MAX + 70_000);
  transport.drain();
  assert.ok(frames().length > 10);
  assert.equal(socket.output.pendingBytes, 0);
});

test("nats 16: 96. messages of 64 bytes go out as they are, from 65 on compressed", () => {
  const { socket, frames } = make({ compression: true });
  for (const size of [64, 65]) {
    socket.output.append(new Uint8Array(size));
    socket.flush();
  }
  assert.deepEqual(frames().map(({ reserved }) => reserved), [0, 0x40]);
});

test("nats 8: who pings and does not read gets no pongs for ever", () => {
  const { transport, send } = make();
  transport.room = 0;
  for (let i = 0; i < 10_000; i++) send(clientFrame(9, "x".repeat(125)));
  assert.ok(transport.output.pendingBytes < 70_000, `${transport.output.pendingBytes} bytes of pongs`);
});

test("nats 8: the peer's close frame ends it like an end of input; the answer is the last frame", () => {
  const { socket, above, frames, transport, send } = make();
  send(clientFrame(2, "PING\r\n"), clientFrame(8, "\x03\xe9bye"), clientFrame(2, "late"));
  assert.deepEqual(above.events, ["data PING\r\n", "peerEnded"]);
  // What the connection does then.
  socket.output.append(Buffer.from("PONG\r\n"));
  socket.closeWith(1000, "Client Closed");
  socket.flush();
  socket.end();
  socket.end();
  const sent = frames();
  assert.equal(sent.length, 2);
  assert.equal(sent[0]?.payload.toString(), "PONG\r\n");
  assert.equal(closeText(sent[1]!), "1001 bye"); // Its length is 2.
  assert.ok(transport.ended);
  socket.data(clientFrame(2, "later"));
  socket.closed(undefined);
  assert.deepEqual(above.events, ["data PING\r\n", "peerEnded", "closed well"]);
});

test("nats 8: a violation tells the connection at once, once, and the peer with a close frame", () => {
  const { socket, above, frames, transport, send } = make();
  const reasons: string[] = [];
  socket.onViolation = (reason) => reasons.push(reason);
  send(clientFrame(2, "PING\r\n"), clientFrame(3, ""));
  assert.deepEqual(above.events, ["data PING\r\n", "closed unknown opcode 3"]);
  assert.deepEqual(reasons, ["unknown opcode 3"]);
  assert.deepEqual(frames().map(closeText), ["1002 unknown opcode 3"]);
  assert.ok(transport.ended);
  socket.peerEnded();
  socket.closed(undefined);
  assert.equal(above.events.length, 2);
  assert.equal(socket.output.pendingBytes, 0);
});

test("nats 13.4: what inflates to much waits for others, in order; nothing is read meanwhile", () => {
  const { runtime, above, transport, socket, send } = make({ compression: true });
  send(compressed(600_000), compressed(600_000), compressed(600_000), clientFrame(2, "PING\r\n"));
  assert.deepEqual(above.events, ["data of 600000", "data of 600000"]);
  assert.ok(transport.paused);
  // One read may have been under way, and the end may come with it.
  send(clientFrame(2, "SUB\r\n"));
  socket.peerEnded();
  assert.equal(above.events.length, 2);
  runtime.turn();
  assert.deepEqual(above.events.slice(2), ["data of 600000", "data PING\r\nSUB\r\n", "peerEnded"]);
  assert.ok(!transport.paused);
});

test("nats 13.4: held input waits for whoever paused the connection", () => {
  const { runtime, above, transport, socket, send } = make({ compression: true });
  above.onData = () => {
    if (above.events.length === 1) socket.pause();
  };
  send(compressed(1_000_000), compressed(600_000), clientFrame(2, "a"));
  assert.deepEqual(above.events, ["data of 1000000", "data of 600000"]);
  runtime.turn();
  assert.equal(above.events.length, 2);
  assert.ok(transport.paused);
  socket.resume();
  assert.equal(above.events.length, 2, "never from inside a call");
  runtime.turn();
  assert.deepEqual(above.events.slice(2), ["data a"]);
  assert.ok(!transport.paused);
});

test("nats 3.10, 8: a WebSocket client that does not read is cut at max_pending", async () => {
  const runtime = new FakeRuntime();
  const log = new RecordedLog();
  const maxPendingBytes = 1_000_000;
  const webSocket = {
    host: "127.0.0.1",
    port: 0,
    advertise: "",
    sameOrigin: false,
    allowedOrigins: [],
    handshakeTimeoutMs: 0,
    compression: false,
  };
  const server = createNats(runtime.asRuntime(), { maxPendingBytes, webSocket }, log);
  await server.listen();
  // The last port opened is the client port; the WebSocket port was opened before it.
  assert.equal(runtime.network.accepts.length, 2);
  const slow = new FakeSocket(1);
  slow.handler = runtime.network.accepts[0]!(slow); // Its length is 2.
  slow.send(upgradeRequest());
  runtime.turn();
  slow.handler.data(clientFrame(2, 'CONNECT {"verbose":false}\r\nSUB a 1\r\n'));
  const before = slow.writtenBytes;
  slow.room = 0;
  const publisher = new FakeSocket(2);
  publisher.handler = runtime.network.accepts[1]!(publisher); // Its length is 2.
  publisher.send('CONNECT {"verbose":false}\r\n');
  let sent = 0;
  while (!slow.destroyed && sent < 5_000_000) {
    publisher.send(`PUB a 10000\r\n${"x".repeat(10_000)}\r\n`);
    runtime.turn();
    sent += 10_000;
  }
  assert.ok(slow.destroyed, "it is cut");
  assert.equal(slow.writtenBytes, before, "without a word");
  assert.ok(sent >= maxPendingBytes && sent < maxPendingBytes + 400_000, `after ${sent} bytes`);
  assert.match(log.lines.join("\n"), /127\.0\.0\.1:1 - wid:1 - Slow Consumer Detected: MaxPending of 1000000 Exceeded/);
});

test("nats 8: the status for every reason a connection can end with", () => {
  const of = closeStatusOf;
  assert.equal(of("Client Closed"), 1000);
  assert.equal(of("Server Shutdown"), 1001);
  assert.equal(of("Stale Connection"), 1001);
  assert.equal(of("Parse Error"), 1002);
  assert.equal(of("Protocol Violation"), 1002);
  assert.equal(of("Authentication Failure"), 1008);
  assert.equal(of("Authentication Timeout"), 1008);
  assert.equal(of("Maximum Connections Exceeded"), 1008);
  assert.equal(of("Maximum Message Payload Exceeded"), 1009);
});
