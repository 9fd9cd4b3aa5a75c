/**
 * Records of the stores and messages between servers (streaming-protocol.md 5). The per-message records of the FILE store
 * are coded by hand elsewhere. Texts and connection IDs are byte strings: one UTF-16 unit per byte.
 */
import { decodeMessage, encodeMessage } from "./stan_codec.ts";
import type { CloseRequest, ConnectRequest, SubscriptionRequest, UnsubscribeRequest } from "./stan_control.ts";

export { CTRL_TYPE, RAFT_OPERATION } from "./stan_schema.ts";

/** A subscription as stores keep it. */
export interface SubState {
  id: number;
  clientId: string;
  queueGroup: string;
  inbox: string;
  ackInbox: string;
  maxInFlight: number;
  ackWaitSecs: number;
  durableName: string;
  lastSent: number;
  isDurable: boolean;
  isClosed: boolean;
}

/** The subscription is gone. */
export interface SubStateDelete {
  id: number;
}

/** A sequence was sent to, or acknowledged by, a subscription; the record type says which. */
export interface SubStateUpdate {
  id: number;
  sequence: number;
}

/** Subjects of this service. */
export interface ServerInfo {
  clusterId: string;
  discovery: string;
  publish: string;
  subscribe: string;
  unsubscribe: string;
  close: string;
  subClose: string;
  acks: string;
  nodeId: string;
}

/** A registration as stores keep it. */
export interface ClientInfo {
  id: string;
  heartbeatInbox: string;
  connectionId: string;
  protocol: number;
  pingIntervalSecs: number;
  pingMaxOut: number;
}

/** The registration is gone. */
export interface ClientDelete {
  id: string;
}

/** Fault-tolerance heartbeats and partition lists. */
export interface CtrlMsg {
  /** A value of `CTRL_TYPE`. */
  type: number;
  serverId: string;
  data: Uint8Array;
  refId: string;
}

/** A node asks the leader to be a member. */
export interface RaftJoinRequest {
  nodeId: string;
  nodeAddress: string;
}

/** Empty when it is. */
export interface RaftJoinResponse {
  error: string;
}

/** One entry of the replicated log. */
export interface RaftOperation {
  /** A value of `RAFT_OPERATION`. */
  type: number;
  publishBatch: Batch | undefined;
  subscribe: AddSubscription | undefined;
  unsubscribe: UnsubscribeRequest | undefined;
  sentAndAck: SubSentAndAck | undefined;
  connect: AddClient | undefined;
  disconnect: CloseRequest | undefined;
  channel: string;
  channelId: number;
}

/** The state that replaces a log prefix. */
export interface RaftSnapshot {
  clients: readonly ClientInfo[];
  channels: readonly ChannelSnapshot[];
  padding: Uint8Array;
}

/** A message as control paths see it; deliveries use the hand-written codec. */
export interface MsgProto {
  sequence: number;
  channel: string;
  reply: string;
  data: Uint8Array;
  timestampNs: bigint;
  redelivered: boolean;
  redeliveryCount: number;
  /** Never written. */
  crc32: number;
}

/** Messages of one publish turn. */
export interface Batch {
  messages: readonly Partial<MsgProto>[];
}

/** A subscription and what the leader chose for it. */
export interface AddSubscription {
  request: SubscriptionRequest | undefined;
  ackInbox: string;
  id: number;
}

/** What was sent and acknowledged since the last entry of this kind. */
export interface SubSentAndAck {
  channel: string;
  ackInbox: string;
  sent: readonly number[];
  ack: readonly number[];
}

/** A registration. */
export interface AddClient {
  request: ConnectRequest | undefined;
  refresh: boolean;
}

/** One channel of a snapshot. */
export interface ChannelSnapshot {
  channel: string;
  first: number;
  last: number;
  subscriptions: readonly SubscriptionSnapshot[];
  nextSubscriptionId: number;
  channelId: number;
}

/** One subscription of a snapshot. */
export interface SubscriptionSnapshot {
  state: SubState | undefined;
  acksPending: readonly number[];
}

/** Decodes `buffer[start, end)` as SubState; undefined: it does not decode. */
export function decodeSubState(buffer: Uint8Array, start: number, end: number): SubState | undefined {
  return decodeMessage("SubState", buffer, start, end) as unknown as SubState | undefined;
}

/** Encodes a SubState; absent properties count as default. */
export function encodeSubState(value: Readonly<Partial<SubState>>): Uint8Array {
  return encodeMessage("SubState", value);
}

/** Decodes `buffer[start, end)` as SubStateDelete; undefined: it does not decode. */
export function decodeSubStateDelete(buffer: Uint8Array, start: number, end: number): SubStateDelete | undefined {
  return decodeMessage("SubStateDelete", buffer, start, end) as unknown as SubStateDelete | undefined;
}

/** Encodes a SubStateDelete; absent properties count as default. */
export function encodeSubStateDelete(value: Readonly<Partial<SubStateDelete>>): Uint8Array {
  return encodeMessage("SubStateDelete", value);
}

/** Decodes `buffer[start, end)` as SubStateUpdate; undefined: it does not decode. */
export function decodeSubStateUpdate(buffer: Uint8Array, start: number, end: number): SubStateUpdate | undefined {
  return decodeMessage("SubStateUpdate", buffer, start, end) as unknown as SubStateUpdate | undefined;
}

/** Encodes a SubStateUpdate; absent properties count as default. */
export function encodeSubStateUpdate(value: Readonly<Partial<SubStateUpdate>>): Uint8Array {
  return encodeMessage("SubStateUpdate", value);
}

/** Decodes `buffer[start, end)` as ServerInfo; undefined: it does not decode. */
export function decodeServerInfo(buffer: Uint8Array, start: number, end: number): ServerInfo | undefined {
  return decodeMessage("ServerInfo", buffer, start, end) as unknown as ServerInfo | undefined;
}

/** Encodes a ServerInfo; absent properties count as default. */
export function encodeServerInfo(value: Readonly<Partial<ServerInfo>>): Uint8Array {
  return encodeMessage("ServerInfo", value);
}

/** Decodes `buffer[start, end)` as ClientInfo; undefined: it does not decode. */
export function decodeClientInfo(buffer: Uint8Array, start: number, end: number): ClientInfo | undefined {
  return decodeMessage("ClientInfo", buffer, start, end) as unknown as ClientInfo | undefined;
}

/** Encodes a ClientInfo; absent properties count as default. */
export function encodeClientInfo(value: Readonly<Partial<ClientInfo>>): Uint8Array {
  return encodeMessage("ClientInfo", value);
}

/** Decodes `buffer[start, end)` as ClientDelete; undefined: it does not decode. */
export function decodeClientDelete(buffer: Uint8Array, start: number, end: number): ClientDelete | undefined {
  return decodeMessage("ClientDelete", buffer, start, end) as unknown as ClientDelete | undefined;
}

/** Encodes a ClientDelete; absent properties count as default. */
export function encodeClientDelete(value: Readonly<Partial<ClientDelete>>): Uint8Array {
  return encodeMessage("ClientDelete", value);
}

/** Decodes `buffer[start, end)` as CtrlMsg; undefined: it does not decode. */
export function decodeCtrlMsg(buffer: Uint8Array, start: number, end: number): CtrlMsg | undefined {
  return decodeMessage("CtrlMsg", buffer, start, end) as unknown as CtrlMsg | undefined;
}

/** Encodes a CtrlMsg; absent properties count as default. */
export function encodeCtrlMsg(value: Readonly<Partial<CtrlMsg>>): Uint8Array {
  return encodeMessage("CtrlMsg", value);
}

/** Decodes `buffer[start, end)` as RaftJoinRequest; undefined: it does not decode. */
export function decodeRaftJoinRequest(buffer: Uint8Array, start: number, end: number): RaftJoinRequest | undefined {
  return decodeMessage("RaftJoinRequest", buffer, start, end) as unknown as RaftJoinRequest | undefined;
}

/** Encodes a RaftJoinRequest; absent properties count as default. */
export function encodeRaftJoinRequest(value: Readonly<Partial<RaftJoinRequest>>): Uint8Array {
  return encodeMessage("RaftJoinRequest", value);
}

/** Decodes `buffer[start, end)` as RaftJoinResponse; undefined: it does not decode. */
export function decodeRaftJoinResponse(buffer: Uint8Array, start: number, end: number): RaftJoinResponse | undefined {
  return decodeMessage("RaftJoinResponse", buffer, start, end) as unknown as RaftJoinResponse | undefined;
}

/** Encodes a RaftJoinResponse; absent properties count as default. */
export function encodeRaftJoinResponse(value: Readonly<Partial<RaftJoinResponse>>): Uint8Array {
  return encodeMessage("RaftJoinResponse", value);
}

/** Decodes `buffer[start, end)` as RaftOperation; undefined: it does not decode. */
export function decodeRaftOperation(buffer: Uint8Array, start: number, end: number): RaftOperation | undefined {
  return decodeMessage("RaftOperation", buffer, start, end) as unknown as RaftOperation | undefined;
}

/** Encodes a RaftOperation; absent properties count as default. */
export function encodeRaftOperation(value: Readonly<Partial<RaftOperation>>): Uint8Array {
  return encodeMessage("RaftOperation", value);
}

/** Decodes `buffer[start, end)` as RaftSnapshot; undefined: it does not decode. */
export function decodeRaftSnapshot(buffer: Uint8Array, start: number, end: number): RaftSnapshot | undefined {
  return decodeMessage("RaftSnapshot", buffer, start, end) as unknown as RaftSnapshot | undefined;
}

/** Encodes a RaftSnapshot; absent properties count as default. */
export function encodeRaftSnapshot(value: Readonly<Partial<RaftSnapshot>>): Uint8Array {
  return encodeMessage("RaftSnapshot", value);
}
