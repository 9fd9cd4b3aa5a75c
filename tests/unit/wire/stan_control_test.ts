import { test } from "node:test";
import assert from "node:assert/strict";
import {
  decodeCloseRequest,
  decodeConnectRequest,
  decodeConnectResponse,
  decodePing,
  decodeSubscriptionRequest,
  decodeUnsubscribeRequest,
  encodeCloseResponse,
  encodeConnectRequest,
  encodeConnectResponse,
  encodePing,
  encodePingResponse,
  encodeSubscriptionRequest,
  encodeSubscriptionResponse,
  START_POSITION,
} from "../../../src/wire/stan_control.ts";
import {
  decodeCtrlMsg,
  decodeRaftOperation,
  decodeRaftSnapshot,
  decodeServerInfo,
  decodeSubState,
  decodeSubStateUpdate,
  encodeRaftOperation,
  encodeRaftSnapshot,
  encodeServerInfo,
  encodeSubState,
  encodeSubStateUpdate,
  RAFT_OPERATION,
} from "../../../src/wire/stan_server.ts";
import { STAN_ERROR } from "../../../src/wire/stan_errors.ts";
import { pingsSubject, stanSubjects } from "../../../src/wire/stan_subjects.ts";
import { fromHex, toHex } from "./stan_support.ts";

const SUBJECTS_HEX = "0a165f5354414e2e7075622e746573742d636c7573746572" +
  "12165f5354414e2e7375622e746573742d636c7573746572" +
  "1a185f5354414e2e756e7375622e746573742d636c7573746572" +
  "22185f5354414e2e636c6f73652e746573742d636c7573746572" +
  "321b5f5354414e2e737562636c6f73652e746573742d636c7573746572";

function responseFields() {
  const subjects = stanSubjects("test-cluster");
  return {
    subjects,
    fields: {
      pubPrefix: subjects.publish,
      subRequests: subjects.subscribe,
      unsubRequests: subjects.unsubscribe,
      closeRequests: subjects.close,
      subCloseRequests: subjects.subClose,
      protocol: 1,
    },
  };
}

test("invariant 1 (3.4): ConnectResponse golden vectors", () => {
  const { subjects, fields } = responseFields();
  assert.equal(toHex(encodeConnectResponse(fields)), SUBJECTS_HEX + "5001");
  const withPings = encodeConnectResponse({
    ...fields,
    pingRequests: pingsSubject(subjects.discovery),
    pingIntervalSecs: 5,
    pingMaxOut: 88,
  });
  assert.equal(
    toHex(withPings),
    SUBJECTS_HEX +
      "3a215f5354414e2e646973636f7665722e746573742d636c75737465722e70696e677340054858" + "5001",
  );
  assert.equal(
    toHex(encodeConnectResponse({ error: STAN_ERROR.INVALID_CONNECTION_REQUEST })),
    "2a207374616e3a20696e76616c696420636f6e6e656374696f6e2072657175657374",
  );
});

test("invariant 1 (3.4): the other golden vectors", () => {
  assert.equal(
    toHex(encodeCloseResponse({ error: STAN_ERROR.UNKNOWN_CLIENT_ID })),
    "0a167374616e3a20756e6b6e6f776e20636c69656e744944",
  );
  assert.equal(
    toHex(encodePingResponse({ error: STAN_ERROR.CLIENT_REPLACED })),
    "0a33636c69656e7420686173206265656e207265706c61636564206f72206973206e6f206c6f6e6765722072656769737465726564",
  );
  assert.equal(toHex(encodePing({ connectionId: "x1" })), "0a027831");
  const inbox = `_INBOX.${"a".repeat(22)}`;
  assert.equal(toHex(encodeSubscriptionResponse({ ackInbox: inbox })).slice(0, 4), "121d");
  assert.equal(encodeSubscriptionResponse({ ackInbox: inbox }).length, 31);
  assert.equal(toHex(encodeSubscriptionResponse({ error: "x" })), "1a0178");
  assert.equal(encodeSubscriptionResponse({}).length, 0);
  assert.equal(encodePingResponse({}).length, 0);
  assert.equal(encodeCloseResponse({ error: "" }).length, 0);
});

test("invariant 10 (3.2): a ping interval of -50 is a ten-byte varint, both ways", () => {
  const bytes = encodeConnectResponse({ pingIntervalSecs: -50 });
  assert.equal(toHex(bytes), "40ceffffffffffffffff01");
  assert.equal(decodeConnectResponse(bytes, 0, bytes.length)?.pingIntervalSecs, -50);
  const request = fromHex("28ceffffffffffffffff01");
  assert.equal(decodeConnectRequest(request, 0, request.length)?.pingIntervalSecs, -50);
  const short = fromHex("28ceffffff0f");
  assert.equal(decodeConnectRequest(short, 0, short.length)?.pingIntervalSecs, -50);
});

test("4: an empty request has all fields with their defaults", () => {
  assert.deepEqual(decodeConnectRequest(new Uint8Array(0), 0, 0), {
    clientId: "",
    heartbeatInbox: "",
    protocol: 0,
    connectionId: "",
    pingIntervalSecs: 0,
    pingMaxOut: 0,
  });
  assert.deepEqual(decodeSubscriptionRequest(new Uint8Array(0), 0, 0), {
    clientId: "",
    channel: "",
    queueGroup: "",
    inbox: "",
    maxInFlight: 0,
    ackWaitSecs: 0,
    durableName: "",
    startPosition: START_POSITION.NEW_ONLY,
    startSequence: 0,
    startTimeDeltaNs: 0n,
  });
});

test("4: requests are read from the middle of a buffer", () => {
  const value = {
    clientId: "me",
    heartbeatInbox: "_INBOX.hb",
    protocol: 1,
    connectionId: "\u00ff\u0000\u0080",
    pingIntervalSecs: 5,
    pingMaxOut: 3,
  };
  const bytes = encodeConnectRequest(value);
  const buffer = new Uint8Array(bytes.length + 10).fill(0xff);
  buffer.set(bytes, 4);
  assert.deepEqual(decodeConnectRequest(buffer, 4, 4 + bytes.length), value);
});

test("3.3: texts that are no UTF-8 pass through unchanged", () => {
  const bytes = fromHex("0a03ff80fe");
  assert.equal(decodeCloseRequest(bytes, 0, bytes.length)?.clientId, "\u00ff\u0080\u00fe");
});

test("trap 3 (4): 64-bit fields are exact; sequences beyond the safe integers mean beyond the end", () => {
  const value = {
    clientId: "me",
    channel: "foo",
    queueGroup: "q",
    inbox: "i",
    maxInFlight: 2147483647,
    ackWaitSecs: -1,
    durableName: "d",
    startPosition: START_POSITION.TIME_DELTA_START,
    startSequence: Number.MAX_SAFE_INTEGER,
    startTimeDeltaNs: -9_223_372_036_854_775_808n,
  };
  const bytes = encodeSubscriptionRequest(value);
  assert.deepEqual(decodeSubscriptionRequest(bytes, 0, bytes.length), value);
  const late = encodeSubscriptionRequest({ startTimeDeltaNs: 1_767_225_600_123_456_789n });
  assert.equal(
    decodeSubscriptionRequest(late, 0, late.length)?.startTimeDeltaNs,
    1_767_225_600_123_456_789n,
  );
  const huge = fromHex("58ffffffffffffffffff01");
  assert.equal(decodeSubscriptionRequest(huge, 0, huge.length)?.startSequence, Number.MAX_SAFE_INTEGER);
});

test("runtime.md 3: a bigint in place of a sequence is a defect, not a 0", () => {
  assert.throws(() => encodeSubscriptionRequest({ startSequence: 5n as unknown as number }), /safe integer/);
  assert.throws(() => encodeSubscriptionRequest({ startTimeDeltaNs: 5 as unknown as bigint }), /bigint/);
  assert.throws(() => encodeConnectResponse({ pingMaxOut: 2 ** 31 }), /32-bit/);
});

test("4: an unknown start position is handed on", () => {
  const bytes = fromHex("5063");
  assert.equal(decodeSubscriptionRequest(bytes, 0, bytes.length)?.startPosition, 99);
});

test("invariant 9, trap 1 (3.3): requests with a wrong wire type, or cut, do not decode", () => {
  for (
    const hex of ["08 01", "0a", "0a05 61", "180a 1d", "1a00", "0c", "0e", "0000", "7b", "28ffffffffffffffffffff01"]
  ) {
    const bytes = fromHex(hex);
    assert.equal(decodeConnectRequest(bytes, 0, bytes.length), undefined, hex);
  }
  const dummy = new TextEncoder().encode("dummy");
  assert.equal(decodePing(dummy, 0, 5), undefined);
  assert.equal(decodeUnsubscribeRequest(dummy, 0, 5), undefined);
});

test("3.3: what the reference reads and protobufjs would refuse is read", () => {
  // Overlong tag and length, a group with a foreign end number, unknown fields, a repeated field.
  const bytes = fromHex("8a80808000 8280808000 6161 7b 0801 8401 7801 0a0162");
  assert.equal(decodeCloseRequest(bytes, 0, bytes.length)?.clientId, "b");
  const first = bytes.subarray(0, bytes.length - 3);
  assert.equal(decodeCloseRequest(first, 0, first.length)?.clientId, "aa");
});

test("5: store records survive a round trip", () => {
  const state = {
    id: 7,
    clientId: "me",
    queueGroup: "d:q",
    inbox: "_INBOX.a",
    ackInbox: "_INBOX.b",
    maxInFlight: 1024,
    ackWaitSecs: 30,
    durableName: "",
    lastSent: 2 ** 40,
    isDurable: true,
    isClosed: false,
  };
  const bytes = encodeSubState(state);
  assert.deepEqual(decodeSubState(bytes, 0, bytes.length), state);
  const update = encodeSubStateUpdate({ id: 1, sequence: 300 });
  assert.equal(toHex(update), "080110ac02");
  assert.deepEqual(decodeSubStateUpdate(update, 0, update.length), { id: 1, sequence: 300 });
  const server = encodeServerInfo(stanSubjects("c", "disc", "n1"));
  assert.deepEqual(decodeServerInfo(server, 0, server.length), stanSubjects("c", "disc", "n1"));
  assert.equal(decodeServerInfo(server, 0, server.length)?.discovery, "disc.c");
});

test("5: entries of the replicated log survive a round trip", () => {
  const publish = encodeRaftOperation({
    type: RAFT_OPERATION.PUBLISH,
    publishBatch: {
      messages: [
        { sequence: 1, channel: "foo", data: fromHex("00ff"), timestampNs: 1_767_225_600_123_456_789n },
        { sequence: 2, channel: "foo" },
      ],
    },
    channelId: 3,
  });
  const read = decodeRaftOperation(publish, 0, publish.length);
  assert.equal(read?.publishBatch?.messages.length, 2);
  assert.deepEqual(read?.publishBatch?.messages[0]?.data, fromHex("00ff"));
  assert.equal(read?.publishBatch?.messages[0]?.timestampNs, 1_767_225_600_123_456_789n);
  assert.equal(read?.subscribe, undefined);
  assert.equal(read?.channelId, 3);
  const sent = encodeRaftOperation({
    type: RAFT_OPERATION.SEND_AND_ACK,
    sentAndAck: { channel: "foo", ackInbox: "a", sent: [1, 300, 2 ** 40], ack: [] },
  });
  assert.equal(
    toHex(sent),
    "08042a13" + "0a03666f6f" + "120161" + "1a09" + "01" + "ac02" + "808080808020",
  );
  assert.deepEqual(decodeRaftOperation(sent, 0, sent.length)?.sentAndAck?.sent, [1, 300, 2 ** 40]);
});

test("3.2: repeated uint64 are read packed and unpacked", () => {
  const packed = fromHex("0a00 1203 01ac02");
  const unpacked = fromHex("0a00 1001 10ac02");
  for (const inner of [packed, unpacked]) {
    const snapshot = new Uint8Array([0x12, inner.length + 2, 0x22, inner.length, ...inner]);
    const read = decodeRaftSnapshot(snapshot, 0, snapshot.length);
    assert.deepEqual(read?.channels[0]?.subscriptions[0]?.acksPending, [1, 300]);
  }
});

test("5: a snapshot survives a round trip", () => {
  const client = {
    id: "me",
    heartbeatInbox: "hb",
    connectionId: "c",
    protocol: 1,
    pingIntervalSecs: -50,
    pingMaxOut: 2,
  };
  const bytes = encodeRaftSnapshot({
    clients: [client],
    channels: [{ channel: "foo", first: 1, last: 9, subscriptions: [], nextSubscriptionId: 4, channelId: 2 }],
  });
  const read = decodeRaftSnapshot(bytes, 0, bytes.length);
  assert.deepEqual(read?.clients, [client]);
  assert.equal(read?.channels[0]?.last, 9);
  assert.deepEqual(read?.padding, new Uint8Array(0));
});

test("5: bytes are copies, not views of the input", () => {
  const bytes = fromHex("0803 1a026869");
  const read = decodeCtrlMsg(bytes, 0, bytes.length);
  bytes.fill(0);
  assert.equal(toHex(read!.data), "6869");
});
