/**
 * Mutated frames and requests against the WebSocket port: in any pieces they must become what a plain decoder makes of the
 * whole, keep no more than the limits allow, and throw nothing. `FUZZ_COUNT` inputs from `FUZZ_SEED`.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import { bytesOf, byteString } from "../../src/base/bytes.ts";
import { FrameDecoder, type FrameRules, type FrameSink } from "../../src/nats/websocket/frames.ts";
import {
  answerRequest,
  parseRequest,
  refusalResponse,
  RequestReader,
  type WebSocketSession,
} from "../../src/nats/websocket/handshake.ts";
import { messageBytesMax, WebSocketSocket } from "../../src/nats/websocket/websocket_socket.ts";
import { SeededRandom } from "../conformance/store/random.ts";
import { FakeRuntime, FakeSocket } from "../helpers/fake_runtime.ts";
import { clientFrame, readFrames, upgradeRequest } from "../helpers/websocket_client.ts";

const COUNT = Number(process.env.FUZZ_COUNT ?? "10000");
const SEED = Number(process.env.FUZZ_SEED ?? "1");
/** Small, so that random inputs meet it. */
const MESSAGE_BYTES_MAX = 60;

function deflated(text: string): Uint8Array {
  return deflateRawSync(Buffer.from(text, "latin1"), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

const CORPUS: readonly Uint8Array[] = [
  clientFrame(2, "PING\r\n"),
  clientFrame(2, "PING\r\n"),
  clientFrame(1, "PUB a 5\r\nhello\r\n", { key: [1, 2, 3, 4] }),
  clientFrame(2, "SUB a 1\r\n", { final: false }),
  clientFrame(0, "SUB b 2\r\n", { final: false }),
  clientFrame(0, "SUB c 3\r\n"),
  clientFrame(2, ""),
  clientFrame(2, "x".repeat(125)),
  clientFrame(2, "y".repeat(126)),
  clientFrame(2, "z".repeat(300)),
  clientFrame(2, "unmasked", { masked: false }),
  clientFrame(9, "are you there"),
  clientFrame(10, ""),
  clientFrame(8, "\x03\xe8bye"),
  clientFrame(2, deflated("PING\r\nPING\r\nPING\r\n"), { reserved: 0x40 }),
  clientFrame(2, deflated("PUB a 5\r\nhello\r\n"), { reserved: 0x40 }),
  clientFrame(1, deflated("PING\r\n").subarray(0, 4), { reserved: 0x40, final: false }),
  clientFrame(0, deflated("PING\r\n").subarray(4)),
  clientFrame(2, deflated("\0".repeat(100_000)), { reserved: 0x40 }),
  clientFrame(2, "w".repeat(MESSAGE_BYTES_MAX + 1), { reserved: 0x40 }),
];
const BYTES = [0x00, 0x01, 0x02, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0x82, 0x88, 0x89, 0xc1, 0xc2, 0xfe, 0xff];

/** One of a list that is not empty. */
function pick<T>(list: readonly T[], random: SeededRandom): T {
  return list[random.below(list.length)]!; // Below the length.
}

function mutate(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  const at = random.below(bytes.length + 1);
  const byte = random.below(3) === 0 ? random.below(256) : pick(BYTES, random);
  switch (random.below(4)) {
    case 0:
      return Buffer.concat([bytes.subarray(0, at), Uint8Array.of(byte), bytes.subarray(at)]);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), Uint8Array.of(byte), bytes.subarray(at + 1)]);
    default:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(random.below(bytes.length + 1))]);
  }
}

function makeInput(random: SeededRandom): Uint8Array {
  const frames: Uint8Array[] = [];
  for (let i = random.below(6); i >= 0; i--) frames.push(pick(CORPUS, random));
  let bytes: Uint8Array = Buffer.concat(frames);
  for (let i = random.below(4); i > 0; i--) bytes = mutate(bytes, random);
  return bytes;
}

function cut(bytes: Uint8Array, random: SeededRandom): Uint8Array[] {
  const mean = pick([1, 3, 10, 50, 1000], random);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random.below(mean * 2);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

/** What was found; neighbouring payload is one entry. */
class Found {
  readonly calls: string[] = [];
  payload(text: string): void {
    const last = this.calls.length - 1;
    if (text === "") return;
    if (this.calls[last]?.startsWith("payload:") === true) this.calls[last] += text;
    else this.calls.push(`payload:${text}`);
  }
}

/** A decoder with nothing clever in it: all bytes are there, every frame is looked at once. */
function decodePlainly(bytes: Uint8Array, rules: FrameRules): string[] {
  const found = new Found();
  let at = 0;
  let message: { isCompressed: boolean; text: string } | undefined;
  const failed = (status: number) => [...found.calls, `failed ${status}`];
  while (bytes.length - at >= 2) {
    const first = bytes[at]!; // Two bytes are there.
    const second = bytes[at + 1]!;
    const opcode = first & 15;
    const isFinal = first >= 128;
    const isControl = opcode >= 8;
    const isCompressed = (first & 0x40) !== 0;
    const isMasked = second >= 128;
    if (rules.masksFrames && !isMasked) return failed(1002);
    if ((first & 0x30) !== 0 || (isCompressed && (!rules.compression || isControl || opcode === 0))) {
      return failed(1002);
    }
    if (![0, 1, 2, 8, 9, 10].includes(opcode)) return failed(1002);
    if (isControl && (!isFinal || (second & 127) > 125)) return failed(1002);
    if (!isControl && (opcode === 0) !== (message !== undefined)) return failed(1002);
    const extended = (second & 127) === 126 ? 2 : (second & 127) === 127 ? 8 : 0;
    const start = at + 2 + extended + (isMasked ? 4 : 0);
    if (bytes.length < start) break;
    const size = extended === 0
      ? BigInt(second & 127)
      : BigInt(`0x${Buffer.from(bytes.subarray(at + 2, at + 2 + extended)).toString("hex")}`);
    if (size > BigInt(Number.MAX_SAFE_INTEGER)) return failed(1002);
    const key = bytes.subarray(start - 4, start);
    const rest = bytes.subarray(start, Math.min(bytes.length, start + Number(size)));
    const text = byteString(isMasked ? rest.map((byte, i) => byte ^ key[i & 3]!) : rest); // i & 3 < 4.
    const isComplete = rest.length === Number(size);
    if (isControl) {
      if (!isComplete) break;
      if (opcode === 9) found.calls.push(`ping:${text}`);
      if (opcode === 8) return [...found.calls, `closing:${text}`];
    } else {
      message ??= { isCompressed, text: "" };
      if (message.isCompressed) {
        message.text += text;
        if (message.text.length > rules.messageBytesMax) return failed(1009);
      } else found.payload(text);
      if (!isComplete) break;
      if (isFinal) {
        if (message.isCompressed && message.text !== "") found.calls.push(`compressed:${message.text}`);
        message = undefined;
      }
    }
    at = start + Number(size);
  }
  return found.calls;
}

test(`nats 16: 94, 131. ${COUNT} mutated streams of frames decode as the plain decoder says`, () => {
  const random = new SeededRandom(SEED);
  let failures = 0;
  for (let run = 0; run < COUNT; run++) {
    const input = makeInput(random);
    const rules: FrameRules = {
      masksFrames: random.below(4) > 0,
      compression: random.below(4) > 0,
      messageBytesMax: MESSAGE_BYTES_MAX,
    };
    const expected = decodePlainly(input, rules);
    const found = new Found();
    const sink: FrameSink = {
      payload: (bytes) => found.payload(byteString(bytes)),
      compressed: (bytes, length) => {
        found.calls.push(`compressed:${byteString(bytes, 0, length)}`);
        return true;
      },
      ping: (payload) => void found.calls.push(`ping:${byteString(payload)}`),
      closing: (payload) => void found.calls.push(`closing:${byteString(payload)}`),
      failed: (status) => void found.calls.push(`failed ${status}`),
    };
    const decoder = new FrameDecoder(sink, rules);
    const context = () => `run ${run} of seed ${SEED}: ${Buffer.from(input).toString("hex")}`;
    try {
      for (const piece of cut(input, random)) {
        // In the middle of poison: reading or writing outside of the range shows.
        const around = new Uint8Array(piece.length + 16).fill(0x82);
        const shift = 4 + random.below(8);
        around.set(piece, shift);
        const end = shift + piece.length;
        const read = decoder.feed(around.subarray(shift, end));
        if (read !== piece.length) assert.fail(`${read} of ${piece.length} bytes read`);
        for (let i = 1; i <= 4; i++) {
          if (around[shift - i] !== 0x82 || around[end + i - 1] !== 0x82) assert.fail("changed outside of the range");
        }
        assert.ok(decoder.pendingBytes <= 1024 + 2 * MESSAGE_BYTES_MAX);
      }
    } catch (error) {
      throw new Error(context(), { cause: error });
    }
    if (JSON.stringify(found.calls) !== JSON.stringify(expected)) assert.deepEqual(found.calls, expected, context());
    if (expected.at(-1)?.startsWith("failed") === true) failures++;
  }
  // The corpus must be worth something: neither all broken nor all well.
  assert.ok(COUNT < 1000 || (failures > COUNT / 10 && failures < COUNT * 0.9), `${failures} of ${COUNT} failed`);
});

test(`nats 16: 131. ${COUNT / 10} mutated streams through a whole socket: it stays within its bounds and ends well`, () => {
  const random = new SeededRandom(SEED);
  const runtime = new FakeRuntime();
  let violations = 0;
  for (let run = 0; run < COUNT / 10; run++) {
    const input = makeInput(random);
    const session: WebSocketSession = {
      compression: random.below(4) > 0,
      masksFrames: random.below(4) > 0,
      frameBytesMax: pick([0, 20, 4096], random),
      keepsCompressedWhole: random.below(2) === 0,
      forwardedFor: "",
    };
    const transport = new FakeSocket(1);
    transport.room = pick([Infinity, 0, 10], random);
    const socket = new WebSocketSocket(transport, session, runtime.scheduler, MESSAGE_BYTES_MAX);
    let closedCount = 0;
    transport.handler = socket;
    socket.attach({
      data: (bytes) => {
        assert.ok(bytes.length > 0 && bytes.length <= messageBytesMax(MESSAGE_BYTES_MAX));
        socket.output.append(bytes.subarray(0, 1000));
        socket.flush();
      },
      drained: () => {},
      peerEnded: () => socket.end(),
      closed: () => void closedCount++,
    });
    const context = () => `run ${run} of seed ${SEED}: ${Buffer.from(input).toString("hex")}`;
    try {
      for (const piece of cut(input, random)) {
        socket.data(piece.slice());
        runtime.turn();
      }
      violations += closedCount;
      socket.end();
      transport.drain();
      socket.closed(undefined);
      assert.equal(closedCount, 1);
      assert.equal(socket.output.pendingBytes, 0);
      const { frames, rest } = readFrames(Buffer.from(transport.take(), "latin1"));
      assert.equal(rest.length, 0, "only whole frames go out");
      assert.deepEqual(frames.filter(({ opcode }) => opcode === 8).length, 1);
      assert.equal(frames.at(-1)?.opcode, 8, "the close frame is the last");
      assert.ok(frames.every(({ masked }) => !masked));
    } catch (error) {
      throw new Error(context(), { cause: error });
    }
  }
  assert.ok(COUNT < 1000 || (violations > COUNT / 100 && violations < COUNT * 0.09), `${violations} violations`);
});

const LINES = [
  "Origin: http://a.com",
  "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
  "Nats-No-Masking: true",
  "User-Agent: Mozilla/5.0 Version/18 Safari/605",
  "X-Forwarded-For: 1.2.3.4",
  "X-Forwarded-For: ::ffff:1.2.3.4",
  "Content-Length: 5",
];
const PIECES = ["\r", "\n", "\r\n", " ", "\t", "\0", "\xff", ":", ";", ",", "/", "[", "HTTP/1.1", "=", "Host: x\r\n"];

test(`nats 16: 93, 97. ${COUNT} mutated requests get one answer, which holds nothing of theirs`, () => {
  const random = new SeededRandom(SEED);
  const rules = {
    sameOrigin: false,
    allowedOrigins: [{ scheme: "http", host: "a.com", port: "80" }],
    compression: true,
    isSecure: false,
  };
  let refusals = 0;
  for (let run = 0; run < COUNT; run++) {
    let text = upgradeRequest({ lines: [pick(LINES, random), pick(LINES, random)] });
    for (let i = random.below(4); i > 0; i--) {
      const at = random.below(text.length + 1);
      const piece = random.below(3) === 0 ? String.fromCharCode(random.below(256)) : pick(PIECES, random);
      text = text.slice(0, at) + piece + text.slice(at + random.below(3));
    }
    const reader = new RequestReader();
    const bytes = bytesOf(text);
    let end = -1;
    for (let at = 0; at < bytes.length && end < 0;) {
      const size = 1 + random.below(100);
      const index = reader.feed(bytes.subarray(at, at + size));
      if (index >= 0) end = at + index;
      at += size;
    }
    // A head ends where the first empty line does, and not before.
    const blank = /(?:^|\n)\r*\n/.exec(text);
    assert.equal(end, blank === null ? -1 : blank.index + blank[0].length, JSON.stringify(text));
    if (end < 0) continue;
    const answer = answerRequest(parseRequest(reader.text), rules);
    if (answer.kind === "refused") {
      refusals++;
      assert.ok(refusalResponse(answer.status).length > 0);
      continue;
    }
    const response = byteString(answer.response);
    assert.match(
      response,
      /^HTTP\/1\.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: [A-Za-z0-9+/]{27}=\r\n(Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n)?(Nats-No-Masking: true\r\n)?\r\n$/,
    );
    if (answer.kind === "client") assert.match(answer.session.forwardedFor, /^[0-9a-fA-F:.]*$/);
  }
  assert.ok(COUNT < 1000 || (refusals > COUNT / 10 && refusals < COUNT * 0.9), `${refusals} of ${COUNT} refused`);
});
