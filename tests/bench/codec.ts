/**
 * Nanoseconds per operation of the hand-written codec beside protobufjs, and of the MEMORY store, on the running runtime:
 * the measured gain that a hand-written twin of a library has to show. `deno run -A` or `bun` this file.
 */
import process from "node:process";
import { readFileSync } from "node:fs";
import protobuf from "protobufjs";
import { pickRuntime } from "../../src/runtime/pick.ts";
import { MemoryStore } from "../../src/store/memory/memory_store.ts";
import { decodeConnectRequest, encodeConnectRequest } from "../../src/wire/stan_control.ts";
import {
  AckView,
  decodeAck,
  decodeMsgProto,
  decodePubMsg,
  encodeMsgProto,
  encodePubAck,
  msgProtoSize,
  MsgProtoView,
  PubMsgView,
} from "../../src/wire/stan_hot.ts";
import type { MessageView } from "../../src/store/types.ts";

const ROUNDS = 5;
const OPERATIONS = 200_000;
let sink = 0;

/** Best of some rounds, in ns per operation. */
function measure(work: (count: number) => void): number {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    work(OPERATIONS);
    best = Math.min(best, (performance.now() - start) * 1e6 / OPERATIONS);
  }
  return best;
}

function row(name: string, byHand: number, byLibrary?: number): void {
  const library = byLibrary === undefined
    ? ""
    : `${byLibrary.toFixed(0).padStart(6)}  ${(byLibrary / byHand).toFixed(1)}x`;
  console.log(`${name.padEnd(34)} ${byHand.toFixed(0).padStart(6)} ${library}`);
}

function main(): void {
  const setupStart = performance.now();
  const request = encodeConnectRequest({ clientId: "me", heartbeatInbox: "_INBOX.abcdefghijklmnopqrstuv" });
  decodeConnectRequest(request, 0, request.length);
  const setupMs = performance.now() - setupStart;

  const root = new protobuf.Root();
  protobuf.parse(readFileSync(new URL("../../proto/stan.proto", import.meta.url), "utf8"), root, { keepCase: true });
  const pubType = root.lookupType("pb.PubMsg");
  const ackType = root.lookupType("pb.Ack");
  const pubAckType = root.lookupType("pb.PubAck");
  const messageType = root.lookupType("pb.MsgProto");
  const encoder = new TextEncoder();
  const data = new Uint8Array(128).map((_, i) => i);
  const connID = encoder.encode("abcdefghijklmnopqrstuv");
  const pub = new Uint8Array(
    pubType.encode({ clientID: "client-1", guid: "abcdefghijklmnopqrstuv", subject: "orders.new", data, connID })
      .finish(),
  );
  const ack = new Uint8Array(ackType.encode({ subject: "orders.new", sequence: 1_234_567 }).finish());
  const out = new Uint8Array(1024);
  const channel = encoder.encode("orders.new");
  const high = 411_462_000;
  const low = 2_345_678_901;
  const stamp = { low: low | 0, high, unsigned: false };
  const end = encodeMsgProto(out, 0, 1_234_567, channel, 0, channel.length, data, 0, 0, 0, data.length, high, low);
  const stored = out.slice(0, end);

  const version = "Bun" in globalThis ? `Bun ${process.versions.bun}` : `Deno ${process.versions.deno}`;
  console.log(`${version}; ns per operation, 128 B of data\n${"".padEnd(34)} by hand  protobufjs`);
  const pubView = new PubMsgView();
  row(
    "decode PubMsg",
    measure((count) => {
      for (let i = 0; i < count; i++) if (decodePubMsg(pub, 0, pub.length, pubView)) sink += pubView.dataEnd;
    }),
    measure((count) => {
      for (let i = 0; i < count; i++) sink += pubType.decode(pub) === undefined ? 1 : 0;
    }),
  );
  const ackView = new AckView();
  row(
    "decode Ack",
    measure((count) => {
      for (let i = 0; i < count; i++) if (decodeAck(ack, 0, ack.length, ackView)) sink += ackView.sequence;
    }),
    measure((count) => {
      for (let i = 0; i < count; i++) sink += ackType.decode(ack) === undefined ? 1 : 0;
    }),
  );
  row(
    "encode PubAck",
    measure((count) => {
      for (let i = 0; i < count; i++) sink += encodePubAck(out, i & 255, pub, pubView.guidStart, pubView.guidEnd);
    }),
    measure((count) => {
      for (let i = 0; i < count; i++) sink += pubAckType.encode({ guid: "abcdefghijklmnopqrstuv" }).finish().length;
    }),
  );
  row(
    "encode MsgProto",
    measure((count) => {
      for (let i = 0; i < count; i++) {
        sink += msgProtoSize(i, channel.length, 0, data.length, high, low);
        sink += encodeMsgProto(out, i & 255, i, channel, 0, channel.length, data, 0, 0, 0, data.length, high, low);
      }
    }),
    measure((count) => {
      for (let i = 0; i < count; i++) {
        sink += messageType.encode({ sequence: i, subject: "orders.new", data, timestamp: stamp }).finish().length;
      }
    }),
  );
  const messageView = new MsgProtoView();
  row(
    "decode MsgProto",
    measure((count) => {
      for (let i = 0; i < count; i++) if (decodeMsgProto(stored, 0, end, messageView)) sink += messageView.sequence;
    }),
    measure((count) => {
      for (let i = 0; i < count; i++) sink += messageType.decode(stored) === undefined ? 1 : 0;
    }),
  );
  row(
    "control: decode ConnectRequest",
    measure((count) => {
      for (let i = 0; i < count / 20; i++) {
        sink += decodeConnectRequest(request, 0, request.length) === undefined ? 1 : 0;
      }
    }) * 20,
  );

  for (const [name, maxMessages] of [["MEMORY append, growing", 0], ["MEMORY append, 10,000 kept", 10_000]] as const) {
    const limits = { maxSubscriptions: 0, maxMessages, maxBytes: 0, maxAgeMs: 0, maxInactivityMs: 0 };
    const store = new MemoryStore({ maxChannels: 0, forChannel: () => limits });
    const messages = store.createChannel("orders.new").messages;
    row(
      name,
      measure((count) => {
        for (let i = 0; i < count; i++) {
          sink += messages.append(
            messages.lastSequence + 1,
            high,
            low,
            pub,
            pubView.replyStart,
            pubView.replyEnd,
            pubView.dataStart,
            pubView.dataEnd,
            pubView.subjectStart,
          );
        }
      }),
    );
    const view: MessageView = { buffer: out, start: 0, end: 0 };
    row(
      "MEMORY lookup in order",
      measure((count) => {
        let sequence = messages.firstSequence;
        for (let i = 0; i < count; i++) {
          sink += messages.lookup(sequence, view) + view.end;
          if (++sequence > messages.lastSequence) sequence = messages.firstSequence;
        }
      }),
    );
  }
  console.log(`first request of the control codec: ${setupMs.toFixed(1)} ms (${sink % 10})`);
}

// Installs the copy that the server uses on this runtime.
await pickRuntime();
main();
