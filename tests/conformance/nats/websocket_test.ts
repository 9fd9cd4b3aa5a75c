/**
 * The WebSocket port: statements 93 to 98 and 131 of nats-server.md 16, traps 38 and 39, and what section 8 says besides. The
 * client writes its bytes itself, so every frame is seen. With NATS_ORACLE the reference answers.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as net from "node:net";
import { test } from "node:test";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import type { AuthOptions } from "../../../src/nats/auth/types.ts";
import type { NatsServerOptions } from "../../../src/nats/nats_server.ts";
import type { WebSocketListenerOptions } from "../../../src/nats/websocket/websocket_listener.ts";
import { NO_AUTH } from "../../helpers/auth_config.ts";
import { makeCertificate } from "../../helpers/certificates.ts";
import { connect, msg, ORACLE, pub, type TestServer, withNats } from "../../helpers/nats_server.ts";
import {
  clientFrame,
  closeText,
  dialWebSocket,
  type FrameParts,
  type RequestParts,
  SAMPLE_ACCEPT,
  type ServerFrame,
  upgradeRequest,
  type WebSocketPeer,
} from "../../helpers/websocket_client.ts";

const LISTENER: WebSocketListenerOptions = Object.freeze({
  host: "127.0.0.1",
  port: 0,
  advertise: "",
  sameOrigin: false,
  allowedOrigins: [],
  handshakeTimeoutMs: 0,
  compression: false,
});
const isOracle = ORACLE !== undefined && ORACLE !== "";
const QUIET = 'CONNECT {"verbose":false,"pedantic":false}\r\n';
const COMPRESSION = { headers: { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" } };
const UNMASKED = { headers: { "Nats-No-Masking": "true" } };
const BROWSER = { headers: { "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/132.0" } };

/** Dials and takes the INFO. */
async function open(server: TestServer, request: RequestParts = {}): Promise<WebSocketPeer> {
  const peer = await dialWebSocket(server.webSocketPort, { request });
  await peer.until(() => peer.frames.length > 0);
  assert.match(peer.response, /^HTTP\/1\.1 101 /, peer.rest);
  if (peer.frames[0]?.reserved === 0) await peer.take("\r\n");
  return peer;
}

/** Runs `work` with a server that has a WebSocket port. */
async function withPort(
  listener: Partial<WebSocketListenerOptions>,
  work: (server: TestServer, dial: (request?: RequestParts) => Promise<WebSocketPeer>) => Promise<void>,
  options: Partial<NatsServerOptions> = {},
): Promise<void> {
  const peers: WebSocketPeer[] = [];
  await withNats({ ...options, webSocket: { ...LISTENER, ...listener } }, async (server) => {
    try {
      await work(server, async (request) => {
        const peer = await open(server, request);
        peers.push(peer);
        return peer;
      });
    } finally {
      for (const peer of peers) peer.destroy();
    }
  });
}

function infoOf(peer: WebSocketPeer): Record<string, unknown> {
  const text = Buffer.from(peer.frames[0]?.payload ?? []).toString("utf8");
  assert.match(text, /^INFO \{.*\} \r\n$/);
  return JSON.parse(text.slice(5)) as Record<string, unknown>;
}

/** Sends a request and waits for all of the answer. */
async function refusal(server: TestServer, request: RequestParts): Promise<{ head: string; body: string }> {
  const peer = await dialWebSocket(server.webSocketPort, { request });
  await peer.until(() => /Content-Length: (\d+)/.test(peer.response) ? peer.rest.length > 8 : peer.ended);
  peer.destroy();
  return { head: peer.response, body: peer.rest };
}

function compressed(text: string, parts: FrameParts = {}): Buffer {
  const whole = deflateRawSync(Buffer.from(text, "latin1"), { finishFlush: constants.Z_SYNC_FLUSH });
  assert.deepEqual([...whole.subarray(-4)], [0, 0, 0xff, 0xff]);
  return clientFrame(2, whole.subarray(0, -4), { reserved: 0x40, ...parts });
}

/** The text of compressed messages, fragments put together. */
function inflated(frames: readonly ServerFrame[]): string {
  let text = "";
  let body: Buffer[] = [];
  for (const { opcode, reserved, final, payload } of frames) {
    assert.equal(opcode, body.length === 0 ? 2 : 0);
    assert.equal(reserved, body.length === 0 ? 0x40 : 0);
    body.push(payload);
    if (!final) continue;
    const message = Buffer.concat([...body, Buffer.from([0, 0, 0xff, 0xff])]);
    text += inflateRawSync(message, { finishFlush: constants.Z_SYNC_FLUSH }).toString("latin1");
    body = [];
  }
  return text;
}

test("nats 16: 93. the 101 is byte-exact, and INFO follows in one binary frame", async () => {
  await withPort({}, async (_server, dial) => {
    const head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${SAMPLE_ACCEPT}\r\n`;
    const peer = await dial();
    assert.equal(peer.response, `${head}\r\n`);
    const [frame] = peer.frames;
    assert.deepEqual([frame?.opcode, frame?.final, frame?.masked, frame?.reserved], [2, true, false, 0]);
    assert.equal(infoOf(peer).client_ip, "127.0.0.1");
    const unmasked = await dial({ ...UNMASKED, target: "/any/path?with=query" });
    assert.equal(unmasked.response, `${head}Nats-No-Masking: true\r\n\r\n`);
  });
});

test("nats 16: 94. text, binary and fragmented frames carry commands across their borders; pings are echoed", async () => {
  await withPort({}, async (_server, dial) => {
    const peer = await dial();
    peer.send(clientFrame(1, QUIET + "SUB a 1\r\nPUB a 1"));
    peer.send(clientFrame(2, "1\r\nhel", { final: false }));
    peer.send(clientFrame(9, "are you there?"));
    peer.send(clientFrame(0, "lo w", { final: false }));
    peer.send(clientFrame(10, "nobody asked"));
    peer.send(clientFrame(0, "orld\r\nPI"));
    peer.send(clientFrame(2, "")).send("NG\r\n");
    assert.equal(await peer.take("PONG\r\n"), msg("a", 1, "hello world") + "PONG\r\n");
    const pongs = peer.frames.filter(({ opcode }) => opcode === 10).map(({ payload }) => payload.toString());
    assert.deepEqual(pongs, ["are you there?"]);
  });
});

test("nats 17: 39. a conversation cut at every byte, over frames and over reads", async () => {
  await withPort({}, async (_server, dial) => {
    const peer = await dial();
    const text = QUIET + "SUB a 1\r\n" + pub("a", "payload") + "PING\r\n";
    const expected = msg("a", 1, "payload") + "PONG\r\n";
    for (let cut = QUIET.length; cut < text.length; cut++) {
      // The second half in two reads, so that a frame is cut as well.
      const second = clientFrame(2, text.slice(cut));
      peer.send(text.slice(0, cut));
      peer.stream.write(second.subarray(0, 5));
      await new Promise((resolve) => setImmediate(resolve));
      peer.stream.write(second.subarray(5));
      assert.equal(await peer.take("PONG\r\n"), expected);
      peer.send("UNSUB 1\r\n");
    }
  });
});

test("nats 16: 94. a close frame is answered with its status, after what was asked before it; then TCP ends", async () => {
  await withPort({}, async (_server, dial) => {
    const farewell = async (payload: string): Promise<string> => {
      const peer = await dial();
      const before = peer.frames.length;
      // The reference leaves what comes later unread, and the reset that follows may take its last frames along (trap 14).
      const late = isOracle ? "" : clientFrame(2, "PING\r\n");
      peer.send(Buffer.concat([clientFrame(2, QUIET + "PING\r\n"), clientFrame(8, payload), Buffer.from(late)]));
      const frames = await peer.remainder(before);
      assert.deepEqual(frames.map(({ opcode }) => opcode), [2, 8]);
      assert.equal(peer.text, "PONG\r\n");
      return closeText(frames[1]!); // Its length is 2.
    };
    assert.equal(await farewell("\x03\xe8bye"), "1000 bye");
    assert.equal(await farewell("\x03\xe9"), "1001");
    assert.equal(await farewell("\x03\xe8\xff\xfe"), "1007 invalid utf8 body in close frame");
    // 2.9.10 answers with the number 1005, which must not be sent.
    if (!isOracle) assert.equal(await farewell(""), "");
  });
});

test("nats 16: 95. an unmasked frame closes", async () => {
  await withPort({}, async (server, dial) => {
    const peer = await dial();
    peer.send(clientFrame(2, "PING\r\n", { masked: false }));
    const frames = await peer.remainder(1);
    // The reference queues the close frame, but it often does not arrive.
    if (!isOracle) assert.deepEqual(frames.map(closeText), ["1002 mask bit missing"]);
    assert.equal(peer.text, "");
    await server.log.until(() =>
      server.log.lines.some((line) => / - wid:\d+ - read error: mask bit missing/.test(line))
    );
  });
});

test("nats 16: 95. Nats-No-Masking: the client's frames are taken unmasked, the server's are so anyway", async () => {
  await withPort({}, async (_server, dial) => {
    const peer = await dial(UNMASKED);
    peer.send(clientFrame(2, QUIET + "SUB a 1\r\n" + pub("a", "x"), { masked: false }));
    await peer.take(msg("a", 1, "x"));
    assert.ok(peer.frames.every(({ masked }) => !masked));
  });
});

test("nats 8: a violation closes with 1002, after the answers to what was right", async () => {
  const cases: readonly (readonly [string, readonly Buffer[]])[] = [
    ["unknown opcode 3", [clientFrame(3, "")]],
    ["control frame length bigger than maximum allowed of 125 bytes", [clientFrame(9, "x".repeat(126))]],
    ["control frame does not have final bit set", [clientFrame(9, "x", { final: false })]],
    ["invalid continuation frame", [clientFrame(0, "x")]],
    [
      "new message started before final frame for previous message was received",
      [clientFrame(2, "P", { final: false }), clientFrame(2, "ING\r\n")],
    ],
  ];
  await withPort({}, async (server, dial) => {
    for (const [reason, frames] of cases) {
      const peer = await dial();
      peer.send(Buffer.concat([clientFrame(2, QUIET + "PING\r\n"), ...frames]));
      const rest = await peer.remainder(1);
      if (!isOracle) {
        assert.equal(peer.text, "PONG\r\n");
        assert.equal(closeText(rest.at(-1)!), `1002 ${reason}`); // Checked to be a close frame.
        const line = (text: string) => text.endsWith(`- read error: ${reason}`);
        await server.log.until(() => server.log.lines.some(line));
      }
    }
    if (isOracle) return;
    for (const reserved of [0x10, 0x20, 0x40]) {
      const peer = await dial();
      peer.send(clientFrame(2, "PING\r\n", { reserved }));
      assert.deepEqual((await peer.remainder(1)).map(closeText), ["1002 reserved bits set"]);
    }
  });
});

test("nats 8: when the protocol ends a connection, a close frame with the status for it comes last", async () => {
  const closing = async (text: string, peer: WebSocketPeer): Promise<string[]> => {
    const before = peer.frames.length;
    peer.send(text);
    const frames = await peer.remainder(before);
    const data = frames.slice(0, -1).map(({ payload }) => payload.toString()).join("");
    return [data, closeText(frames.at(-1)!)]; // Checked to be a close frame.
  };
  await withPort({}, async (_server, dial) => {
    const line = "-ERR 'Unknown Protocol Operation'\r\n";
    assert.deepEqual(await closing(QUIET + "FOO\r\n", await dial()), [line, "1002 Protocol Violation"]);
    assert.deepEqual(await closing(QUIET + "PUB a 99999999\r\n", await dial()), [
      "-ERR 'Maximum Payload Violation'\r\n",
      "1009 Maximum Message Payload Exceeded",
    ]);
    assert.deepEqual(await closing(`PUB ${"a".repeat(5000)} 1\r\n`, await dial()), [
      "-ERR 'maximum control line exceeded'\r\n",
      "1008 Maximum Control Line Exceeded",
    ]);
  });
  await withPort({}, async (_server, dial) => {
    assert.deepEqual(await closing('CONNECT {"verbose":false,"auth_token":"x"}\r\n', await dial()), [
      "-ERR 'Authorization Violation'\r\n",
      "1008 Authentication Failure",
    ]);
  }, { auth: { ...NO_AUTH, token: "secret" } });
});

test("nats 8: at shutdown clients are told 1001", async () => {
  if (isOracle) return; // It is killed.
  await withPort({}, async (server, dial) => {
    const peer = await dial();
    await peer.send(QUIET + "PING\r\n").take("PONG\r\n");
    await server.nats?.close();
    assert.deepEqual((await peer.remainder(2)).map(closeText), ["1001 Server Shutdown"]);
  });
});

test("nats 16: 96. compression is negotiated only if configured and offered", async () => {
  const line =
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
  await withPort({ compression: true }, async (_server, dial) => {
    assert.ok((await dial(COMPRESSION)).response.includes(line));
    assert.ok(!(await dial()).response.includes("Extensions"));
  });
  await withPort({}, async (_server, dial) => {
    const peer = await dial(COMPRESSION);
    assert.ok(!peer.response.includes("Extensions"));
    await peer.send(QUIET + "PING\r\n").take("PONG\r\n");
  });
});

test("nats 16: 96. compressed messages are understood, also in fragments; small replies stay as they are", async () => {
  await withPort({ compression: true }, async (_server, dial) => {
    const peer = await dial(COMPRESSION);
    assert.match(inflated(peer.frames), /^INFO \{.*\} \r\n$/);
    peer.send(compressed(QUIET + "PING\r\n"));
    const whole = compressed("SUB a 1\r\nPI");
    const body = Buffer.from(whole.subarray(6)).map((byte, i) => byte ^ whole[2 + (i & 3)]!); // The key stands there.
    peer.send(clientFrame(1, body.subarray(0, 3), { reserved: 0x40, final: false }));
    peer.send(clientFrame(9, "between"));
    peer.send(clientFrame(0, body.subarray(3)));
    // Both kinds may be mixed.
    peer.send("NG\r\n");
    assert.equal(await peer.take("PONG\r\nPONG\r\n"), "PONG\r\nPONG\r\n");
    const after = peer.frames.length;
    peer.send(compressed(pub("a", "x".repeat(5000)) + "PING\r\n"));
    await peer.until(() => inflated(peer.frames.slice(after).filter(({ reserved }) => reserved > 0)).includes("PONG"));
    const answer = peer.frames.slice(after);
    assert.equal(inflated(answer), msg("a", 1, "x".repeat(5000)) + "PONG\r\n");
    assert.ok(answer.reduce((sum, { payload }) => sum + payload.length, 0) < 200);
  });
});

test("nats 8: a message that does not inflate closes", async () => {
  await withPort({ compression: true }, async (_server, dial) => {
    const peer = await dial(COMPRESSION);
    peer.send(clientFrame(2, "\xff\xff\xff\xff", { reserved: 0x40 }));
    const frames = await peer.remainder(1);
    if (!isOracle) assert.deepEqual(frames.map(closeText), ["1007 corrupt compressed message"]);
  });
});

test("nats 16: 131. a compressed WebSocket bomb is cut at the cap", async () => {
  if (isOracle) return; // 2.9.10 has no cap.
  const maxPayload = 10_000;
  const cap = 2 * maxPayload + 65_536;
  await withPort({ compression: true }, async (server, dial) => {
    const peer = await dial(COMPRESSION);
    // As much as fits: empty lines are no commands, so one PING after another.
    const most = "PING\r\n".repeat(Math.floor(cap / 6));
    peer.send(compressed(QUIET));
    peer.send(compressed(most));
    const pongs = () => inflated(peer.frames.slice(1).filter(({ opcode }) => opcode < 8)).length;
    assert.ok(await peer.until(() => pongs() === most.length));
    const before = peer.frames.length;
    peer.send(compressed("PING\r\n".repeat(Math.floor(cap / 6) + 1)));
    assert.deepEqual((await peer.remainder(before)).map(closeText), ["1009 decompressed message too big"]);
    // 30 MB in 30 KB.
    const bomb = await dial(COMPRESSION);
    bomb.send(compressed("\0".repeat(30_000_000)));
    assert.deepEqual((await bomb.remainder(1)).map(closeText), ["1009 decompressed message too big"]);
    // The compressed bytes themselves have the same bound.
    const long = await dial(COMPRESSION);
    long.send(clientFrame(2, randomBytes(cap + 1), { reserved: 0x40 }));
    assert.deepEqual((await long.remainder(1)).map(closeText), ["1009 message too big"]);
    await (await connect(server, {})).quiet();
  }, { maxPayload });
});

test("nats 16: 131. two of the largest payloads may be one compressed message: clients send them so", async () => {
  await withPort({ compression: true }, async (server, dial) => {
    const watcher = await connect(server, {});
    await watcher.answers("SUB a 1\r\n", "");
    const peer = await dial(COMPRESSION);
    const payload = randomBytes(1_048_576).toString("latin1");
    peer.send(compressed(QUIET + pub("a", payload) + pub("a", payload)));
    await watcher.expect(msg("a", 1, payload) + msg("a", 1, payload));
  });
});

test("nats 8: many messages that inflate to much are all read, in order, and others have their turn", async () => {
  await withPort({ compression: true }, async (server, dial) => {
    const peer = await dial(COMPRESSION);
    const watcher = await connect(server, {});
    await watcher.answers("SUB a 1\r\n", "");
    const count = 8;
    const frames = [compressed(QUIET)];
    for (let i = 0; i < count; i++) frames.push(compressed(pub("a", String(i).repeat(600_000))));
    frames.push(clientFrame(2, "PING\r\n"));
    peer.send(Buffer.concat(frames));
    await peer.take("PONG\r\n");
    for (let i = 0; i < count; i++) await watcher.expect(msg("a", 1, String(i).repeat(600_000)));
  });
});

test("nats 16: 97. 405, 400 and 403 with the version and the status as text", async () => {
  await withPort({ allowedOrigins: ["http://a.com", "https://b.com:99"], sameOrigin: false }, async (server, dial) => {
    const cases: readonly (readonly [number, string, RequestParts])[] = [
      [405, "Method Not Allowed", { method: "POST" }],
      [400, "Bad Request", { headers: { Upgrade: undefined } }],
      [400, "Bad Request", { headers: { Connection: "close" } }],
      [400, "Bad Request", { headers: { "Sec-WebSocket-Key": undefined } }],
      [400, "Bad Request", { headers: { "Sec-WebSocket-Version": "12" } }],
      [403, "Forbidden", { headers: { Origin: "http://c.com" } }],
      [403, "Forbidden", { headers: { Origin: "https://a.com" } }],
    ];
    for (const [status, text, request] of cases) {
      const { head, body } = await refusal(server, request);
      assert.ok(head.startsWith(`HTTP/1.1 ${status} ${text}\r\nContent-Type: text/plain; charset=utf-8\r\n`), head);
      assert.ok(head.includes("\r\nSec-Websocket-Version: 13\r\n"), head);
      assert.equal(body, `${text}\n`);
    }
    const log = () => server.log.lines.filter((line) => line.includes("websocket handshake error"));
    await server.log.until(() => log().length >= cases.length);
    assert.deepEqual(log().map((line) => line.replace(/^127\.0\.0\.1:\d+ - websocket handshake error: /, "")), [
      "request method must be GET",
      "invalid value for header 'Upgrade'",
      "invalid value for header 'Connection'",
      "key missing",
      "invalid version",
      "origin not allowed: not in the allowed list",
      "origin not allowed: not in the allowed list",
    ]);
    for (const Origin of ["http://a.com", "http://a.com:80", "https://b.com:99"]) await dial({ headers: { Origin } });
    await dial();
    const { head } = await refusal(server, { headers: { Host: undefined } });
    assert.match(head, /^HTTP\/1\.1 400 Bad Request/);
  });
});

test("nats 8: an allowed origin that is none is told, and opens nothing", async () => {
  if (isOracle) return; // Its words are others.
  await withPort({ allowedOrigins: ["a.com"] }, async (server, dial) => {
    const line = 'websocket allowed origin "a.com" is not of the form scheme://host[:port]: it matches nobody';
    assert.ok(server.log.lines.includes(line));
    for (const Origin of ["http://a.com", "a.com"]) {
      assert.match((await refusal(server, { headers: { Origin } })).head, /^HTTP\/1\.1 403 Forbidden\r\n/);
    }
    await dial();
  });
});

test("nats 16: 97. same_origin compares with the Host header; who has no Origin passes", async () => {
  await withPort({ sameOrigin: true }, async (server, dial) => {
    const Host = "here.com:8080";
    await dial({ headers: { Host, Origin: "http://here.com:8080" } });
    await dial({ headers: { Host } });
    for (const Origin of ["http://here.com", "http://there.com:8080"]) {
      assert.match((await refusal(server, { headers: { Host, Origin } })).head, /^HTTP\/1\.1 403 Forbidden\r\n/);
    }
  });
});

test("nats 8: /leafnode gets a 101 and is closed, /mqtt is not found", async () => {
  await withPort({}, async (server) => {
    const leaf = await dialWebSocket(server.webSocketPort, { request: { target: "/leafnode" } });
    assert.deepEqual(await leaf.remainder(), []);
    assert.match(leaf.response, /^HTTP\/1\.1 101 /);
    await server.log.until(() => server.log.lines.includes("Not configured to accept leaf node connections"));
    if (isOracle) return; // 2.9.10 speaks MQTT.
    assert.match((await refusal(server, { target: "/mqtt" })).head, /^HTTP\/1\.1 404 Not Found\r\n/);
  });
});

test("nats 8: who sends before the answer is closed without one", async () => {
  await withPort({}, async (server) => {
    const stream = net.connect(server.webSocketPort, "127.0.0.1");
    let received = "";
    const closed = new Promise<void>((resolve) => stream.on("close", () => resolve()));
    stream.on("data", (bytes: Uint8Array) => received += String(bytes)).on("error", () => {});
    stream.write(Buffer.concat([Buffer.from(upgradeRequest()), clientFrame(2, "PING\r\n")]));
    await closed;
    assert.equal(received, "");
    const reason = "websocket handshake error: client sent data before handshake is complete";
    await server.log.until(() => server.log.lines.some((line) => line.endsWith(reason)));
  });
});

test("nats 16: 98. browsers get frames of 4096 bytes at most, others one per flush", async () => {
  await withPort({}, async (_server, dial) => {
    const payload = "0123456789".repeat(2_000);
    const command = QUIET + "SUB a 1\r\n" + pub("a", payload) + "PING\r\n";
    const expected = msg("a", 1, payload) + "PONG\r\n";
    const browser = await dial(BROWSER);
    assert.equal(await browser.send(command).take("PONG\r\n"), expected);
    assert.ok(browser.frames.every(({ payload, final }) => payload.length <= 4096 && final));
    assert.ok(browser.frames.some(({ payload }) => payload.length === 4096));
    const other = await dial();
    const before = other.frames.length;
    assert.equal(await other.send(command).take("PONG\r\n"), expected);
    assert.equal(other.frames.length - before, 1);
  });
});

test("nats 16: 98. compressed messages to browsers come in fragments, except to Safari", async () => {
  await withPort({ compression: true }, async (_server, dial) => {
    const payload = randomBytes(20_000).toString("latin1");
    const run = async (agent: string): Promise<ServerFrame[]> => {
      const peer = await dial({ headers: { ...COMPRESSION.headers, "User-Agent": agent } });
      const before = peer.frames.length;
      peer.send(QUIET + "SUB a 1\r\n" + pub("a", payload));
      const all = () => peer.frames.slice(before);
      const done = () => all().at(-1)?.final === true && inflated(all()).length === msg("a", 1, payload).length;
      assert.ok(await peer.until(done));
      assert.equal(inflated(all()), msg("a", 1, payload));
      return all();
    };
    const fragments = await run("Mozilla/5.0 (X11) Chrome/130.0.0.0 Safari/537.36");
    assert.ok(fragments.length > 1 && fragments.every(({ payload }) => payload.length <= 4096));
    const whole = await run("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15");
    assert.ok(whole.every(({ final }) => final));
    assert.ok(whole.some(({ payload }) => payload.length > 4096));
  });
});

test("nats 8: messages of every size reach plain clients and come from them", async () => {
  await withPort({}, async (server, dial) => {
    const [peer, plain] = [await dial(), await connect(server, {})];
    await plain.answers("SUB up 1\r\n", "");
    await peer.send(QUIET + "SUB down 1\r\nPING\r\n").take("PONG\r\n");
    // Around the lengths of frames, the copy limit, the chunk of output, and the payload limit.
    for (const size of [0, 1, 100, 125, 126, 127, 16_000, 16_384, 65_000, 65_535, 65_536, 70_000, 262_144, 1_048_576]) {
      const payload = randomBytes(size).toString("latin1");
      plain.write(pub("down", payload));
      assert.equal(await peer.take(`${size}\r\n${payload}\r\n`), msg("down", 1, payload));
      peer.send(pub("up", payload));
      await plain.expect(msg("up", 1, payload));
    }
  });
});

test("nats 17: 38. INFO describes the WebSocket port", async () => {
  if (isOracle) return; // 2.9 shows the plain listener.
  await withPort({}, async (server, dial) => {
    const info = infoOf(await dial());
    assert.deepEqual([info.host, info.port], ["127.0.0.1", server.webSocketPort]);
    const plain = await connect(server);
    assert.deepEqual([plain.info.host, plain.info.port], ["127.0.0.1", server.port]);
    assert.ok(Number(plain.info.client_id) > Number(info.client_id));
  });
  const advertised = async (advertise: string) => {
    const seen: unknown[] = [];
    await withPort({ advertise }, async (server, dial) => {
      const { host, port } = infoOf(await dial());
      seen.push(host, port === server.webSocketPort ? "bound" : port);
    });
    return seen;
  };
  assert.deepEqual(await advertised("example.com:443"), ["example.com", 443]);
  assert.deepEqual(await advertised("example.com"), ["example.com", "bound"]);
  assert.deepEqual(await advertised("[::1]:8443"), ["::1", 8443]);
  assert.deepEqual(await advertised("[::1]"), ["::1", "bound"]);
});

test("nats 8: the log names WebSocket clients by wid, and by the address a proxy tells", async () => {
  await withPort({}, async (server, dial) => {
    const said = async (headers: Record<string, string>): Promise<string> => {
      const seen = server.log.lines.length;
      const peer = await dial({ headers });
      peer.send("CONNECT {}\r\nFOO\r\n");
      await peer.remainder();
      const bad = await dial({ headers });
      bad.send(clientFrame(0, "x"));
      await bad.remainder();
      const found = () => server.log.lines.slice(seen).find((line) => line.includes("read error"));
      await server.log.until(() => found() !== undefined);
      return (found() ?? "").replace(/127\.0\.0\.1:\d+/, "ADDRESS").replace(/wid:\d+/, "wid:N");
    };
    const rest = "ADDRESS - wid:N - read error: invalid continuation frame";
    assert.equal(await said({}), rest);
    assert.equal(await said({ "X-Forwarded-For": "1.2.3.4" }), `1.2.3.4/${rest}`);
    assert.equal(await said({ "X-Forwarded-For": "2001:db8::1" }), `[2001:db8::1]/${rest}`);
    assert.equal(await said({ "X-Forwarded-For": "no address" }), rest);
  });
});

test("nats 6.5, 8: users may be limited to WebSockets or kept from them", async () => {
  const auth: AuthOptions = {
    ...NO_AUTH,
    users: [
      { user: "web", password: "p", allowedConnectionTypes: ["WEBSOCKET"] },
      { user: "std", password: "p", allowedConnectionTypes: ["STANDARD"] },
      { user: "all", password: "p" },
    ],
  };
  const login = (user: string) => `CONNECT {"verbose":false,"user":"${user}","pass":"p"}\r\nPING\r\n`;
  await withPort({}, async (server, dial) => {
    const [web, all, std] = [await dial(), await dial(), await dial()];
    assert.equal(infoOf(web).auth_required, true);
    assert.equal(await web.send(login("web")).take("\r\n"), "PONG\r\n");
    assert.equal(await all.send(login("all")).take("\r\n"), "PONG\r\n");
    assert.equal(await std.send(login("std")).take("\r\n"), "-ERR 'Authorization Violation'\r\n");
    const plain = await connect(server);
    plain.write(login("web"));
    await plain.closesWith("-ERR 'Authorization Violation'\r\n");
  }, { auth });
});

test("nats 8: the port may have its own user, token or anonymous user", async () => {
  const say = (json: string) => `CONNECT ${json}\r\nPING\r\n`;
  const violation = "-ERR 'Authorization Violation'\r\n";
  await withPort({ auth: { ...NO_AUTH, user: { user: "w", password: "p" } } }, async (server, dial) => {
    const [right, wrong] = [await dial(), await dial()];
    assert.equal(infoOf(right).auth_required, true);
    assert.equal(await right.send(say('{"verbose":false,"user":"w","pass":"p"}')).take("\r\n"), "PONG\r\n");
    assert.equal(await wrong.send(say('{"verbose":false}')).take("\r\n"), violation);
    // Nobody is asked on the client port.
    assert.equal((await connect(server, {})).info.auth_required, undefined);
  });
  await withPort({ auth: { ...NO_AUTH, token: "t" } }, async (_server, dial) => {
    assert.equal(await (await dial()).send(say('{"verbose":false,"auth_token":"t"}')).take("\r\n"), "PONG\r\n");
    assert.equal(await (await dial()).send(say('{"verbose":false,"auth_token":"x"}')).take("\r\n"), violation);
  });
  const users: AuthOptions = {
    ...NO_AUTH,
    users: [{ user: "guest", password: "p", permissions: { publish: { allow: ["a"] } } }],
  };
  await withPort({ auth: { ...users, noAuthUser: "guest" } }, async (server, dial) => {
    const peer = await dial();
    const refused = `-ERR 'Permissions Violation for Publish to "b"'\r\n`;
    assert.equal(await peer.send(QUIET + "PUB b 0\r\n\r\n").take("\r\n"), refused);
    const plain = await connect(server);
    plain.write(QUIET);
    await plain.closesWith(violation);
  }, { auth: users });
});

test("nats 3.13, 8: a reload changes who may enter by the port, and closes who may not", async () => {
  if (isOracle) return;
  const own = (user: string): AuthOptions => ({ ...NO_AUTH, user: { user, password: "p" } });
  const login = (user: string) => `CONNECT {"verbose":false,"user":"${user}","pass":"p"}\r\nPING\r\n`;
  await withPort({ auth: own("old") }, async (server, dial) => {
    const nats = server.nats!; // Not the reference.
    const plain = await connect(server, {});
    const peer = await dial();
    assert.equal(await peer.send(login("old")).take("\r\n"), "PONG\r\n");
    const { options } = nats;
    nats.adopt(nats.prepare({ ...options, webSocket: { ...LISTENER, auth: own("new") } }));
    nats.recheckClients();
    assert.equal((await peer.remainder()).at(-1)?.opcode, 8);
    assert.equal(await (await dial()).send(login("old")).take("\r\n"), "-ERR 'Authorization Violation'\r\n");
    assert.equal(await (await dial()).send(login("new")).take("\r\n"), "PONG\r\n");
    await plain.quiet();
    // Without users of its own the port has those of the client port: nobody is asked.
    nats.adopt(nats.prepare({ ...options, webSocket: LISTENER }));
    nats.recheckClients();
    assert.equal(await (await dial()).send(login("anybody")).take("\r\n"), "PONG\r\n");
  });
});

test("nats 3.12, 8: in lame duck mode the port is closed, and clients are told", async () => {
  if (isOracle) return;
  await withPort({}, async (server, dial) => {
    const peer = await dial();
    await peer.send('CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n').take("PONG\r\n");
    const silent = net.connect(server.webSocketPort, "127.0.0.1");
    await new Promise((resolve) => silent.once("connect", resolve));
    const ended = new Promise<void>((resolve) => silent.on("close", () => resolve()).on("error", () => {}));
    void server.nats?.enterLameDuck(() => Promise.resolve());
    assert.match(await peer.take("\r\n"), /"ldm":true/);
    // Who is still in its handshake goes with the port.
    await ended;
    await assert.rejects(dialWebSocket(server.webSocketPort));
  });
});

test("nats 8: max_connections holds for WebSockets too; INFO comes before the error", async () => {
  await withPort({}, async (server, dial) => {
    const first = await connect(server, {});
    const peer = await dial();
    const [error, close] = await peer.remainder(1);
    assert.equal(error?.payload.toString(), "-ERR 'maximum connections exceeded'\r\n");
    assert.equal(closeText(close!), "1008 Maximum Connections Exceeded"); // The assertion above has a frame before it.
    await first.quiet();
  }, { maxConnections: 1 });
});

test("nats 8: a handshake has a time", async () => {
  await withPort({ handshakeTimeoutMs: 100 }, async (server) => {
    for (const bytes of ["", "GET / HT"]) {
      const stream = net.connect(server.webSocketPort, "127.0.0.1");
      let received = "";
      const closed = new Promise<void>((resolve) => stream.on("close", () => resolve()));
      stream.on("data", (bytes: Uint8Array) => received += String(bytes)).on("error", () => {});
      stream.write(bytes);
      await closed;
      assert.ok(isOracle || received === "");
    }
  });
});

// TLS ------------------------------------------------------------------------------------------------------------------

const authority = makeCertificate({ commonName: "Stanchion test authority", isAuthority: true });
const own = makeCertificate({ commonName: "localhost", issuer: authority, dnsNames: ["localhost"] });
const alice = makeCertificate({ commonName: "alice", issuer: authority });
const foreign = makeCertificate({ commonName: "alice" });

function secure(verifyClient: boolean): Pick<WebSocketListenerOptions, "tls"> {
  return {
    tls: Object.freeze({
      server: Object.freeze({
        certificate: own.certificate,
        key: own.key,
        ...(verifyClient ? { authorities: authority.certificate, verifyClient } : {}),
      }),
      timeoutMs: 10_000,
      handshakeFirst: false,
      allowNonTls: false,
      pinnedCerts: [],
    }),
  };
}

test("nats 7, 8: over TLS, which comes before the first byte of HTTP", async () => {
  await withPort(secure(false), async (server) => {
    const peer = await dialWebSocket(server.webSocketPort, { tls: { ca: authority.certificate } });
    await peer.until(() => peer.frames.length > 0);
    if (!isOracle) {
      const { tls_required, tls_verify, port } = infoOf(peer);
      assert.deepEqual([tls_required, tls_verify, port], [true, undefined, server.webSocketPort]);
    }
    await peer.take("\r\n");
    await peer.send(QUIET + "SUB a 1\r\n" + pub("a", "x".repeat(100_000))).take(msg("a", 1, "x".repeat(100_000)));
    peer.destroy();
    // The client port stays as it is.
    assert.equal((await connect(server, {})).info.tls_required, undefined);
    // HTTP in clear gets nothing of the protocol.
    const clear = await dialWebSocket(server.webSocketPort);
    await clear.remainder();
    assert.ok(!clear.response.includes("101"));
  });
});

test("nats 7, 8: verify demands a client certificate of the right authority, and a user may be found by it", async () => {
  const users: AuthOptions = { ...NO_AUTH, users: [{ user: "CN=alice", password: "" }], tlsMap: true };
  await withPort({ ...secure(true), ...(isOracle ? {} : { auth: users }) }, async (server) => {
    const ca = authority.certificate;
    for (const certificate of [undefined, foreign]) {
      const refused = dialWebSocket(server.webSocketPort, {
        tls: { ca, ...(certificate === undefined ? {} : { cert: certificate.certificate, key: certificate.key }) },
      });
      // With TLS 1.3 the client may only learn it by the end.
      const peer = await refused.catch(() => undefined);
      if (peer !== undefined) assert.deepEqual(await peer.remainder(), []);
    }
    const peer = await dialWebSocket(server.webSocketPort, { tls: { ca, cert: alice.certificate, key: alice.key } });
    await peer.take("\r\n");
    assert.equal(await peer.send(QUIET + "PING\r\n").take("\r\n"), "PONG\r\n");
    peer.destroy();
  });
});
