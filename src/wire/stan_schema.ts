/**
 * The schema of proto/stan.proto and proto/server.proto as the running program uses it: field numbers, types, and the
 * property each field has in our values. Reading .proto text at start would cost a file and several milliseconds; a test
 * compares this table with the .proto files, which stay the source (tests/unit/wire/stan_schema_test.ts).
 */

/**
 * Types of fields. `string` and `token` are byte strings in our values (one UTF-16 unit per byte), because the reference
 * does not check UTF-8: `string` is string in the schema and `token` is bytes there. `bytes` is a Uint8Array, `uint64` a
 * number, `int64` a bigint.
 */
export type FieldKind =
  | "string"
  | "token"
  | "bytes"
  | "int32"
  | "uint32"
  | "uint64"
  | "int64"
  | "bool"
  | "enum"
  | "message";

/** One field: number, name in the .proto file, kind, our property; then for a message its name, and whether it repeats. */
export type FieldRow = readonly [
  number: number,
  name: string,
  kind: FieldKind,
  property: string,
  message?: StanMessageName | "",
  repeated?: "repeated",
];

/** Names of all messages. The two packages of the .proto files do not share a name. */
export type StanMessageName =
  | "PubMsg"
  | "PubAck"
  | "MsgProto"
  | "Ack"
  | "ConnectRequest"
  | "ConnectResponse"
  | "Ping"
  | "PingResponse"
  | "SubscriptionRequest"
  | "SubscriptionResponse"
  | "UnsubscribeRequest"
  | "CloseRequest"
  | "CloseResponse"
  | "SubState"
  | "SubStateDelete"
  | "SubStateUpdate"
  | "ServerInfo"
  | "ClientInfo"
  | "ClientDelete"
  | "CtrlMsg"
  | "RaftJoinRequest"
  | "RaftJoinResponse"
  | "RaftOperation"
  | "Batch"
  | "AddSubscription"
  | "SubSentAndAck"
  | "AddClient"
  | "RaftSnapshot"
  | "ChannelSnapshot"
  | "SubscriptionSnapshot";

/** Every message, fields in ascending order. */
export const STAN_SCHEMA: Readonly<Record<StanMessageName, readonly FieldRow[]>> = {
  PubMsg: [
    [1, "clientID", "string", "clientId"],
    [2, "guid", "string", "guid"],
    [3, "subject", "string", "channel"],
    [4, "reply", "string", "reply"],
    [5, "data", "bytes", "data"],
    [6, "connID", "token", "connectionId"],
    [10, "sha256", "bytes", "sha256"],
  ],
  PubAck: [
    [1, "guid", "string", "guid"],
    [2, "error", "string", "error"],
  ],
  MsgProto: [
    [1, "sequence", "uint64", "sequence"],
    [2, "subject", "string", "channel"],
    [3, "reply", "string", "reply"],
    [4, "data", "bytes", "data"],
    [5, "timestamp", "int64", "timestampNs"],
    [6, "redelivered", "bool", "redelivered"],
    [7, "redeliveryCount", "uint32", "redeliveryCount"],
    [10, "CRC32", "uint32", "crc32"],
  ],
  Ack: [
    [1, "subject", "string", "channel"],
    [2, "sequence", "uint64", "sequence"],
  ],
  ConnectRequest: [
    [1, "clientID", "string", "clientId"],
    [2, "heartbeatInbox", "string", "heartbeatInbox"],
    [3, "protocol", "int32", "protocol"],
    [4, "connID", "token", "connectionId"],
    [5, "pingInterval", "int32", "pingIntervalSecs"],
    [6, "pingMaxOut", "int32", "pingMaxOut"],
  ],
  ConnectResponse: [
    [1, "pubPrefix", "string", "pubPrefix"],
    [2, "subRequests", "string", "subRequests"],
    [3, "unsubRequests", "string", "unsubRequests"],
    [4, "closeRequests", "string", "closeRequests"],
    [5, "error", "string", "error"],
    [6, "subCloseRequests", "string", "subCloseRequests"],
    [7, "pingRequests", "string", "pingRequests"],
    [8, "pingInterval", "int32", "pingIntervalSecs"],
    [9, "pingMaxOut", "int32", "pingMaxOut"],
    [10, "protocol", "int32", "protocol"],
    [100, "publicKey", "string", "publicKey"],
  ],
  Ping: [[1, "connID", "token", "connectionId"]],
  PingResponse: [[1, "error", "string", "error"]],
  SubscriptionRequest: [
    [1, "clientID", "string", "clientId"],
    [2, "subject", "string", "channel"],
    [3, "qGroup", "string", "queueGroup"],
    [4, "inbox", "string", "inbox"],
    [5, "maxInFlight", "int32", "maxInFlight"],
    [6, "ackWaitInSecs", "int32", "ackWaitSecs"],
    [7, "durableName", "string", "durableName"],
    [10, "startPosition", "enum", "startPosition"],
    [11, "startSequence", "uint64", "startSequence"],
    [12, "startTimeDelta", "int64", "startTimeDeltaNs"],
  ],
  SubscriptionResponse: [
    [2, "ackInbox", "string", "ackInbox"],
    [3, "error", "string", "error"],
  ],
  UnsubscribeRequest: [
    [1, "clientID", "string", "clientId"],
    [2, "subject", "string", "channel"],
    [3, "inbox", "string", "inbox"],
    [4, "durableName", "string", "durableName"],
  ],
  CloseRequest: [[1, "clientID", "string", "clientId"]],
  CloseResponse: [[1, "error", "string", "error"]],

  SubState: [
    [1, "ID", "uint64", "id"],
    [2, "clientID", "string", "clientId"],
    [3, "qGroup", "string", "queueGroup"],
    [4, "inbox", "string", "inbox"],
    [5, "ackInbox", "string", "ackInbox"],
    [6, "maxInFlight", "int32", "maxInFlight"],
    [7, "ackWaitInSecs", "int32", "ackWaitSecs"],
    [8, "durableName", "string", "durableName"],
    [9, "lastSent", "uint64", "lastSent"],
    [10, "isDurable", "bool", "isDurable"],
    [11, "isClosed", "bool", "isClosed"],
  ],
  SubStateDelete: [[1, "ID", "uint64", "id"]],
  SubStateUpdate: [
    [1, "ID", "uint64", "id"],
    [2, "seqno", "uint64", "sequence"],
  ],
  ServerInfo: [
    [1, "ClusterID", "string", "clusterId"],
    [2, "Discovery", "string", "discovery"],
    [3, "Publish", "string", "publish"],
    [4, "Subscribe", "string", "subscribe"],
    [5, "Unsubscribe", "string", "unsubscribe"],
    [6, "Close", "string", "close"],
    [7, "SubClose", "string", "subClose"],
    [8, "AcksSubs", "string", "acks"],
    [9, "NodeID", "string", "nodeId"],
  ],
  ClientInfo: [
    [1, "ID", "string", "id"],
    [2, "HbInbox", "string", "heartbeatInbox"],
    [3, "ConnID", "token", "connectionId"],
    [4, "Protocol", "int32", "protocol"],
    [5, "PingInterval", "int32", "pingIntervalSecs"],
    [6, "PingMaxOut", "int32", "pingMaxOut"],
  ],
  ClientDelete: [[1, "ID", "string", "id"]],
  CtrlMsg: [
    [1, "MsgType", "enum", "type"],
    [2, "ServerID", "string", "serverId"],
    [3, "Data", "bytes", "data"],
    [4, "RefID", "string", "refId"],
  ],
  RaftJoinRequest: [
    [1, "NodeID", "string", "nodeId"],
    [2, "NodeAddr", "string", "nodeAddress"],
  ],
  RaftJoinResponse: [[1, "Error", "string", "error"]],
  RaftOperation: [
    [1, "OpType", "enum", "type"],
    [2, "PublishBatch", "message", "publishBatch", "Batch"],
    [3, "Sub", "message", "subscribe", "AddSubscription"],
    [4, "Unsub", "message", "unsubscribe", "UnsubscribeRequest"],
    [5, "SubSentAck", "message", "sentAndAck", "SubSentAndAck"],
    [7, "ClientConnect", "message", "connect", "AddClient"],
    [8, "ClientDisconnect", "message", "disconnect", "CloseRequest"],
    [9, "Channel", "string", "channel"],
    [10, "ChannelID", "uint64", "channelId"],
  ],
  Batch: [[1, "Messages", "message", "messages", "MsgProto", "repeated"]],
  AddSubscription: [
    [1, "Request", "message", "request", "SubscriptionRequest"],
    [2, "AckInbox", "string", "ackInbox"],
    [3, "ID", "uint64", "id"],
  ],
  SubSentAndAck: [
    [1, "Channel", "string", "channel"],
    [2, "AckInbox", "string", "ackInbox"],
    [3, "Sent", "uint64", "sent", "", "repeated"],
    [4, "Ack", "uint64", "ack", "", "repeated"],
  ],
  AddClient: [
    [1, "Request", "message", "request", "ConnectRequest"],
    [2, "Refresh", "bool", "refresh"],
  ],
  RaftSnapshot: [
    [1, "Clients", "message", "clients", "ClientInfo", "repeated"],
    [2, "Channels", "message", "channels", "ChannelSnapshot", "repeated"],
    [3, "Padding", "bytes", "padding"],
  ],
  ChannelSnapshot: [
    [1, "Channel", "string", "channel"],
    [2, "First", "uint64", "first"],
    [3, "Last", "uint64", "last"],
    [4, "Subscriptions", "message", "subscriptions", "SubscriptionSnapshot", "repeated"],
    [5, "NextSubID", "uint64", "nextSubscriptionId"],
    [6, "ChannelID", "uint64", "channelId"],
  ],
  SubscriptionSnapshot: [
    [1, "State", "message", "state", "SubState"],
    [2, "AcksPending", "uint64", "acksPending", "", "repeated"],
  ],
};

/** SubscriptionRequest.startPosition. */
export const START_POSITION = Object.freeze({
  NEW_ONLY: 0,
  LAST_RECEIVED: 1,
  TIME_DELTA_START: 2,
  SEQUENCE_START: 3,
  FIRST: 4,
});

/** CtrlMsg.MsgType. The first three are obsolete. */
export const CTRL_TYPE = Object.freeze({
  SUB_UNSUBSCRIBE: 0,
  SUB_CLOSE: 1,
  CONN_CLOSE: 2,
  FT_HEARTBEAT: 3,
  PARTITIONING: 4,
});

/** RaftOperation.OpType; 5 is unused. */
export const RAFT_OPERATION = Object.freeze({
  PUBLISH: 0,
  SUBSCRIBE: 1,
  REMOVE_SUBSCRIPTION: 2,
  CLOSE_SUBSCRIPTION: 3,
  SEND_AND_ACK: 4,
  CONNECT: 6,
  DISCONNECT: 7,
  DELETE_CHANNEL: 8,
});
