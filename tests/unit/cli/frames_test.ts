/** The NATS protocol as the commands read it: whole, and cut at every byte. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, byteString } from "../../../src/base/bytes.ts";
import { FrameError, type FrameHandler, FrameReader } from "../../../src/cli/nats_frames.ts";

/** Writes down what it is told. */
class Recorder implements FrameHandler {
  readonly events: string[] = [];
  info(json: string): void {
    this.events.push(`info ${json}`);
  }
  message(subject: string, sid: number, reply: string, payload: Uint8Array, headerBytes: number): void {
    this.events.push(`message ${subject} ${sid} "${reply}" ${headerBytes} ${byteString(payload)}`);
  }
  ping(): void {
    this.events.push("ping");
  }
  pong(): void {
    this.events.push("pong");
  }
  error(text: string): void {
    this.events.push(`error ${text}`);
  }
}

const STREAM = 'INFO {"a":1}\r\nPING\r\n+OK\r\nPONG\r\nMSG a.b 7 5\r\nhe\r\no\r\nMSG a 12 re.ply 0\r\n\r\n' +
  "HMSG h 3 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\nHMSG h 3 12 14\r\nNATS/1.0\r\n\r\nxy\r\n-ERR 'Authorization Violation'\r\n";
const EVENTS = [
  'info {"a":1}',
  "ping",
  "pong",
  'message a.b 7 "" 0 he\r\no',
  'message a 12 "re.ply" 0 ',
  'message h 3 "r" 16 NATS/1.0 503\r\n\r\n',
  'message h 3 "" 12 NATS/1.0\r\n\r\nxy',
  "error Authorization Violation",
];

test("nats-server 3: every frame that a server sends, in one chunk", () => {
  const recorder = new Recorder();
  new FrameReader(recorder).push(bytesOf(STREAM));
  assert.deepEqual(recorder.events, EVENTS);
});

test("nats-server 3.1: chunks cut at every byte mean the same", () => {
  const bytes = bytesOf(STREAM);
  for (let cut = 1; cut < bytes.length; cut++) {
    const recorder = new Recorder();
    const reader = new FrameReader(recorder);
    reader.push(bytes.subarray(0, cut));
    reader.push(bytes.subarray(cut));
    assert.deepEqual(recorder.events, EVENTS, `cut at ${cut}`);
  }
  const recorder = new Recorder();
  const reader = new FrameReader(recorder);
  for (const byte of bytes) reader.push(Uint8Array.of(byte));
  assert.deepEqual(recorder.events, EVENTS, "byte by byte");
});

test("a payload larger than its chunks arrives whole", () => {
  const recorder = new Recorder();
  const reader = new FrameReader(recorder);
  const payload = "x".repeat(300_000);
  const bytes = bytesOf(`MSG big 1 ${payload.length}\r\n${payload}\r\nPING\r\n`);
  for (let at = 0; at < bytes.length; at += 65_536) reader.push(bytes.subarray(at, at + 65_536));
  assert.deepEqual(recorder.events, [`message big 1 "" 0 ${payload}`, "ping"]);
});

test("what is no NATS is an error, whatever it is", () => {
  const noise = [
    "HTTP/1.1 400 Bad Request\r\n",
    "MSG a\r\n",
    "MSG a 1 -5\r\n",
    "HMSG a 1 9 3\r\n",
    "MSG a 1 x\r\n",
    "SSH-2.0\r\n",
  ];
  for (const text of noise) {
    assert.throws(() => new FrameReader(new Recorder()).push(bytesOf(text)), FrameError, text);
  }
});

test("a line without an end is not kept for ever", () => {
  const reader = new FrameReader(new Recorder());
  assert.throws(() => {
    for (let i = 0; i < 40; i++) reader.push(new Uint8Array(65_536).fill(0x41));
  }, FrameError);
});

test("what follows stop() is for another", () => {
  const recorder = new Recorder();
  const reader: FrameReader = new FrameReader({ ...bound(recorder), info: () => reader.stop() });
  reader.push(bytesOf("INFO {}\r\nPING\r\n"));
  assert.deepEqual(recorder.events, []);
});

function bound(recorder: Recorder): FrameHandler {
  return {
    info: (json) => recorder.info(json),
    message: (...args) => recorder.message(...args),
    ping: () => recorder.ping(),
    pong: () => recorder.pong(),
    error: (text) => recorder.error(text),
  };
}
