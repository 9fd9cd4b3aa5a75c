import assert from "node:assert/strict";
import { test } from "node:test";
import {
  closeEcho,
  closePayload,
  FrameDecoder,
  type FrameRules,
  type FrameSink,
  HEADER_BYTES_MAX,
  TAIL_BYTES,
  writeFrameHeader,
} from "../../../../src/nats/websocket/frames.ts";
import { patternBytes, sameBytes } from "../../../helpers/sockets.ts";
import { clientFrame, type FrameParts, readFrames } from "../../../helpers/websocket_client.ts";

const RULES: FrameRules = { masksFrames: true, compression: false, messageBytesMax: 1000 };
const COMPRESSED = { reserved: 0x40 } as const;

/** Keeps what the decoder finds; neighbouring payload becomes one entry, as borders mean nothing. */
class Recorder implements FrameSink {
  readonly calls: string[] = [];
  readonly payloads: Uint8Array[] = [];
  payloadCalls = 0;
  goesOn = true;

  payload(bytes: Uint8Array): void {
    assert.ok(bytes.length > 0, "nothing is not handed out");
    this.payloadCalls++;
    this.payloads.push(bytes.slice());
    this.#add("payload", Buffer.from(bytes).toString("latin1"));
  }
  compressed(bytes: Uint8Array, length: number): boolean {
    assert.ok(bytes.length >= length + TAIL_BYTES);
    this.calls.push(`compressed:${Buffer.from(bytes.subarray(0, length)).toString("latin1")}`);
    return this.goesOn;
  }
  ping(payload: Uint8Array): void {
    this.calls.push(`ping:${Buffer.from(payload).toString("latin1")}`);
  }
  closing(payload: Uint8Array): void {
    this.calls.push(`closing:${Buffer.from(payload).toString("latin1")}`);
  }
  failed(status: number, reason: string): void {
    this.calls.push(`failed:${status} ${reason}`);
  }
  #add(kind: string, text: string): void {
    const last = this.calls.length - 1;
    if (this.calls[last]?.startsWith(kind + ":") === true) this.calls[last] += text;
    else this.calls.push(`${kind}:${text}`);
  }
}

function decode(pieces: readonly Uint8Array[], rules: Partial<FrameRules> = {}): Recorder {
  const recorder = new Recorder();
  const decoder = new FrameDecoder(recorder, { ...RULES, ...rules });
  for (const piece of pieces) assert.equal(decoder.feed(piece), piece.length);
  return recorder;
}

/** What the frames become, in one piece, cut at every byte, and byte by byte: always the same. */
function calls(frames: readonly Uint8Array[], rules: Partial<FrameRules> = {}): string[] {
  const bytes = Buffer.concat(frames);
  const whole = decode([Buffer.from(bytes)], rules).calls;
  for (let cut = 1; cut < bytes.length; cut++) {
    const pieces = [Buffer.from(bytes.subarray(0, cut)), Buffer.from(bytes.subarray(cut))];
    assert.deepEqual(decode(pieces, rules).calls, whole, `cut at ${cut}`);
  }
  assert.deepEqual(decode([...bytes].map((byte) => Uint8Array.of(byte)), rules).calls, whole, "byte by byte");
  return whole;
}

test("nats 16: 94. text, binary and fragmented frames are one stream; pings come between fragments", () => {
  assert.deepEqual(calls([clientFrame(1, "PING\r\n"), clientFrame(2, "PUB a 0\r\n\r\n")]), [
    "payload:PING\r\nPUB a 0\r\n\r\n",
  ]);
  assert.deepEqual(
    calls([
      clientFrame(2, "PI", { final: false }),
      clientFrame(9, "are you there"),
      clientFrame(0, "", { final: false }),
      clientFrame(10, "unasked"),
      clientFrame(0, "NG\r\n"),
      clientFrame(2, ""),
      clientFrame(1, "x"),
    ]),
    ["payload:PI", "ping:are you there", "payload:NG\r\nx"],
  );
});

test("nats 16: 94. a close frame is handed on after what stands before it; nothing after it is read", () => {
  assert.deepEqual(calls([clientFrame(2, "a"), clientFrame(8, "\x03\xe8bye"), clientFrame(2, "b")]), [
    "payload:a",
    "closing:\x03\xe8bye",
  ]);
  assert.deepEqual(calls([clientFrame(8, "")]), ["closing:"]);
});

test("nats 16: 95. masking is demanded unless it was agreed on otherwise; then the frame says it", () => {
  assert.deepEqual(calls([clientFrame(2, "a"), clientFrame(2, "b", { masked: false })]), [
    "payload:a",
    "failed:1002 mask bit missing",
  ]);
  const both = [clientFrame(2, "plain ", { masked: false }), clientFrame(2, "masked")];
  assert.deepEqual(calls(both, { masksFrames: false }), ["payload:plain masked"]);
});

test("nats 8: violations end the connection with 1002, after what was right", () => {
  const violation = (opcode: number, payload: string, parts: FrameParts = {}, rules: Partial<FrameRules> = {}) => {
    const [before, failure, ...more] = calls([
      clientFrame(2, "ok"),
      clientFrame(opcode, payload, parts),
      clientFrame(2, "x"),
    ], rules);
    assert.equal(before, "payload:ok");
    assert.deepEqual(more, []);
    return failure?.replace("failed:1002 ", "");
  };
  for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
    assert.equal(violation(opcode, ""), `unknown opcode ${opcode}`);
  }
  const compression = { compression: true };
  for (const reserved of [0x10, 0x20, 0x40, 0x70]) {
    assert.equal(violation(2, "a", { reserved }), "reserved bits set");
    assert.equal(violation(9, "a", { reserved }, compression), "reserved bits set");
  }
  for (const opcode of [8, 9, 10]) {
    assert.equal(violation(opcode, "", { final: false }), "control frame does not have final bit set");
    assert.equal(violation(opcode, "a".repeat(126)), "control frame length bigger than maximum allowed of 125 bytes");
  }
  assert.equal(violation(0, "a"), "invalid continuation frame");
  assert.equal(violation(0, "a", { final: false }), "invalid continuation frame");
  const begun = (frame: Uint8Array, rules: Partial<FrameRules> = {}) =>
    calls([clientFrame(2, "a", { final: false }), frame], rules).at(-1);
  const twice = "failed:1002 new message started before final frame for previous message was received";
  assert.equal(begun(clientFrame(2, "b")), twice);
  assert.equal(begun(clientFrame(1, "b")), twice);
  assert.equal(begun(clientFrame(0, "b", COMPRESSED), compression), "failed:1002 invalid continuation frame");
  const endless = Buffer.from([0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
  assert.deepEqual(calls([endless]), ["failed:1002 frame length out of range"]);
});

test("nats 8: a control frame may hold 125 bytes", () => {
  const longest = "p".repeat(125);
  assert.deepEqual(calls([clientFrame(9, longest)]), [`ping:${longest}`]);
});

test("nats 8: payloads slide over every border of the length, with every alignment of the key", () => {
  const sizes = [
    0,
    1,
    2,
    3,
    4,
    5,
    63,
    64,
    65,
    66,
    67,
    124,
    125,
    126,
    127,
    128,
    129,
    130,
    131,
    132,
    65_534,
    65_535,
    65_536,
    65_537,
    200_000,
  ];
  for (const size of sizes) {
    const payload = patternBytes(size, size + 1);
    for (let shift = 0; shift < 4; shift++) {
      const frame = clientFrame(2, payload);
      const bytes = new Uint8Array(frame.length + shift).subarray(shift);
      bytes.set(frame);
      const whole = decode([bytes]);
      assert.ok(sameBytes(Buffer.concat(whole.payloads), payload), `${size} bytes at ${shift}`);
      assert.ok(whole.payloadCalls <= 1);
      // In two pieces: the key goes on where it was.
      const cut = Math.min(frame.length, 14 + shift + (size >> 1));
      const again = Buffer.from(frame);
      const halves = decode([again.subarray(0, cut), again.subarray(cut)]);
      assert.ok(sameBytes(Buffer.concat(halves.payloads), payload), `${size} bytes cut at ${cut}`);
    }
  }
});

test("nats 13.4: however many frames a read holds, the parser gets one piece", () => {
  const frames = Array.from(
    { length: 300 },
    (_, i) => clientFrame(2, patternBytes(i, i), { key: [i & 255, 1, 2, i >> 1] }),
  );
  const recorder = decode([Buffer.concat(frames)]);
  assert.equal(recorder.payloadCalls, 1);
  const expected = Buffer.concat(Array.from({ length: 300 }, (_, i) => patternBytes(i, i)));
  assert.ok(sameBytes(recorder.payloads[0]!, expected)); // payloadCalls is 1.
});

test("nats 16: 96. compressed messages are handed out whole, in order with the others", () => {
  const rules = { compression: true };
  assert.deepEqual(
    calls([
      clientFrame(2, "a"),
      clientFrame(2, "one", COMPRESSED),
      clientFrame(1, "tw", { ...COMPRESSED, final: false }),
      clientFrame(9, "?"),
      clientFrame(0, "o"),
      clientFrame(2, "", COMPRESSED),
      clientFrame(2, "b"),
    ], rules),
    ["payload:a", "compressed:one", "ping:?", "compressed:two", "payload:b"],
  );
});

test("nats 16: 131. a compressed message has a size, and room is made by what came", () => {
  const rules = { compression: true, messageBytesMax: 3000 };
  for (const extra of [-1, 0, 1]) {
    const payload = patternBytes(3000 + extra);
    const parts = [payload.subarray(0, 1), payload.subarray(1, 2000), payload.subarray(2000)];
    const frames = parts.map((part, i) =>
      clientFrame(i === 0 ? 2 : 0, part, { final: i === 2, reserved: i === 0 ? 0x40 : 0 })
    );
    for (const pieces of [[clientFrame(2, payload, COMPRESSED)], frames]) {
      const [call, ...more] = decode(pieces, rules).calls;
      assert.deepEqual(more, []);
      const expected = `compressed:${Buffer.from(payload).toString("latin1")}`;
      assert.equal(call, extra > 0 ? "failed:1009 message too big" : expected);
    }
  }
  // A terabyte is announced.
  const decoder = new FrameDecoder(new Recorder(), { ...RULES, compression: true, messageBytesMax: 1e9 });
  decoder.feed(Buffer.from([0xc2, 0xff, 0, 0, 0, 0, 0x39, 0, 0, 0, 1, 2, 3, 4, ...new Array(100).fill(0)]));
  assert.ok(decoder.pendingBytes < 2000, `${decoder.pendingBytes} bytes kept`);
});

test("nats 13.4: whoever takes the messages may stop after one; the rest is read later", () => {
  const recorder = new Recorder();
  recorder.goesOn = false;
  const decoder = new FrameDecoder(recorder, { ...RULES, compression: true });
  const first = clientFrame(2, "one", COMPRESSED);
  const bytes = Buffer.concat([first, clientFrame(2, "two"), clientFrame(2, "three", COMPRESSED)]);
  assert.equal(decoder.feed(bytes), first.length);
  assert.deepEqual(recorder.calls, ["compressed:one"]);
  assert.equal(decoder.feed(bytes, first.length), bytes.length);
  assert.deepEqual(recorder.calls, ["compressed:one", "payload:two", "compressed:three"]);
});

test("nats 8: a decoder that was closed from inside hands out nothing more", () => {
  const recorder = new Recorder();
  const decoder = new FrameDecoder(recorder, RULES);
  recorder.payload = () => {
    recorder.calls.push("payload");
    decoder.close();
  };
  const bytes = Buffer.concat([clientFrame(2, "a"), clientFrame(9, "b"), clientFrame(3, "c")]);
  assert.equal(decoder.feed(bytes), bytes.length);
  assert.deepEqual(recorder.calls, ["payload"]);
});

test("nats 8: headers of frames to clients, over every border of the length", () => {
  for (const size of [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1_000_000]) {
    const bytes = new Uint8Array(HEADER_BYTES_MAX + size);
    const end = writeFrameHeader(bytes, 0, 0x82, size);
    const { frames, rest } = readFrames(Buffer.from(bytes.subarray(0, end + size)));
    assert.equal(rest.length, 0);
    assert.equal(frames.length, 1);
    assert.deepEqual({ ...frames[0], payload: frames[0]!.payload.length }, { // Its length is 1.
      opcode: 2,
      final: true,
      masked: false,
      reserved: 0,
      payload: size,
    });
  }
  const header = new Uint8Array(HEADER_BYTES_MAX);
  assert.equal(writeFrameHeader(header, 0, 0x82, 0x1_2345_6789), 10);
  assert.equal(Buffer.from(header).readBigUInt64BE(2), 0x1_2345_6789n);
});

test("nats 8: the answer to a close frame repeats it, if it is sound", () => {
  const echo = (text: string) => Buffer.from(closeEcho(Buffer.from(text, "latin1"))).toString("latin1");
  assert.equal(echo("\x03\xe8bye"), "\x03\xe8bye");
  assert.equal(echo("\x03\xe9"), "\x03\xe9");
  assert.equal(echo("\x03\xe8\xc3\xa9"), "\x03\xe8\xc3\xa9");
  assert.equal(echo(""), "");
  assert.equal(echo("x"), "\x03\xeainvalid close frame");
  assert.equal(echo("\x03\xe8\xff"), "\x03\xefinvalid utf8 body in close frame");
  assert.equal(closePayload(1000, "x".repeat(500)).length, 125);
});
