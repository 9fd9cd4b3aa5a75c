/**
 * The control messages between clients and the server (streaming-protocol.md 4): everything but the hot PubMsg, PubAck,
 * MsgProto and Ack of stan_hot.ts. Texts and connection IDs are byte strings: one UTF-16 unit per byte.
 */
import { decodeMessage, encodeMessage } from "./stan_codec.ts";

export { START_POSITION } from "./stan_schema.ts";

/** A client asks to be registered. */
export interface ConnectRequest {
  clientId: string;
  heartbeatInbox: string;
  protocol: number;
  connectionId: string;
  /** Negative values mean milliseconds to clients; the server only echoes them. */
  pingIntervalSecs: number;
  pingMaxOut: number;
}

/** The subjects a client uses from here on, or an error alone. */
export interface ConnectResponse {
  pubPrefix: string;
  subRequests: string;
  unsubRequests: string;
  closeRequests: string;
  error: string;
  subCloseRequests: string;
  pingRequests: string;
  pingIntervalSecs: number;
  pingMaxOut: number;
  protocol: number;
  publicKey: string;
}

/** A client asks whether its registration still stands. */
export interface Ping {
  connectionId: string;
}

/** Empty when it does. */
export interface PingResponse {
  error: string;
}

/** A client subscribes to a channel. */
export interface SubscriptionRequest {
  clientId: string;
  channel: string;
  queueGroup: string;
  inbox: string;
  maxInFlight: number;
  ackWaitSecs: number;
  durableName: string;
  /** A value of `START_POSITION`, or any other that a client sent. */
  startPosition: number;
  /** 2^53 - 1 stands for everything above it: beyond the end of any channel. */
  startSequence: number;
  /** Nanoseconds before the server's now. */
  startTimeDeltaNs: bigint;
}

/** Answers subscribe, unsubscribe and subscription close. */
export interface SubscriptionResponse {
  ackInbox: string;
  error: string;
}

/** Unsubscribe and subscription close. */
export interface UnsubscribeRequest {
  clientId: string;
  channel: string;
  /** The ack inbox, or the delivery inbox as a fallback. */
  inbox: string;
  /** Ignored by the server. */
  durableName: string;
}

/** A client ends its registration. */
export interface CloseRequest {
  clientId: string;
}

/** Empty when it worked. */
export interface CloseResponse {
  error: string;
}

/** Decodes `buffer[start, end)` as ConnectRequest; undefined: it does not decode. */
export function decodeConnectRequest(buffer: Uint8Array, start: number, end: number): ConnectRequest | undefined {
  return decodeMessage("ConnectRequest", buffer, start, end) as unknown as ConnectRequest | undefined;
}

/** Encodes a ConnectRequest; absent properties count as default. */
export function encodeConnectRequest(value: Readonly<Partial<ConnectRequest>>): Uint8Array {
  return encodeMessage("ConnectRequest", value);
}

/** Decodes `buffer[start, end)` as ConnectResponse; undefined: it does not decode. */
export function decodeConnectResponse(buffer: Uint8Array, start: number, end: number): ConnectResponse | undefined {
  return decodeMessage("ConnectResponse", buffer, start, end) as unknown as ConnectResponse | undefined;
}

/** Encodes a ConnectResponse; absent properties count as default. */
export function encodeConnectResponse(value: Readonly<Partial<ConnectResponse>>): Uint8Array {
  return encodeMessage("ConnectResponse", value);
}

/** Decodes `buffer[start, end)` as Ping; undefined: it does not decode. */
export function decodePing(buffer: Uint8Array, start: number, end: number): Ping | undefined {
  return decodeMessage("Ping", buffer, start, end) as unknown as Ping | undefined;
}

/** Encodes a Ping; absent properties count as default. */
export function encodePing(value: Readonly<Partial<Ping>>): Uint8Array {
  return encodeMessage("Ping", value);
}

/** Decodes `buffer[start, end)` as PingResponse; undefined: it does not decode. */
export function decodePingResponse(buffer: Uint8Array, start: number, end: number): PingResponse | undefined {
  return decodeMessage("PingResponse", buffer, start, end) as unknown as PingResponse | undefined;
}

/** Encodes a PingResponse; absent properties count as default. */
export function encodePingResponse(value: Readonly<Partial<PingResponse>>): Uint8Array {
  return encodeMessage("PingResponse", value);
}

/** Decodes `buffer[start, end)` as SubscriptionRequest; undefined: it does not decode. */
export function decodeSubscriptionRequest(
  buffer: Uint8Array,
  start: number,
  end: number,
): SubscriptionRequest | undefined {
  return decodeMessage("SubscriptionRequest", buffer, start, end) as unknown as SubscriptionRequest | undefined;
}

/** Encodes a SubscriptionRequest; absent properties count as default. */
export function encodeSubscriptionRequest(value: Readonly<Partial<SubscriptionRequest>>): Uint8Array {
  return encodeMessage("SubscriptionRequest", value);
}

/** Decodes `buffer[start, end)` as SubscriptionResponse; undefined: it does not decode. */
export function decodeSubscriptionResponse(
  buffer: Uint8Array,
  start: number,
  end: number,
): SubscriptionResponse | undefined {
  return decodeMessage("SubscriptionResponse", buffer, start, end) as unknown as SubscriptionResponse | undefined;
}

/** Encodes a SubscriptionResponse; absent properties count as default. */
export function encodeSubscriptionResponse(value: Readonly<Partial<SubscriptionResponse>>): Uint8Array {
  return encodeMessage("SubscriptionResponse", value);
}

/** Decodes `buffer[start, end)` as UnsubscribeRequest; undefined: it does not decode. */
export function decodeUnsubscribeRequest(
  buffer: Uint8Array,
  start: number,
  end: number,
): UnsubscribeRequest | undefined {
  return decodeMessage("UnsubscribeRequest", buffer, start, end) as unknown as UnsubscribeRequest | undefined;
}

/** Encodes a UnsubscribeRequest; absent properties count as default. */
export function encodeUnsubscribeRequest(value: Readonly<Partial<UnsubscribeRequest>>): Uint8Array {
  return encodeMessage("UnsubscribeRequest", value);
}

/** Decodes `buffer[start, end)` as CloseRequest; undefined: it does not decode. */
export function decodeCloseRequest(buffer: Uint8Array, start: number, end: number): CloseRequest | undefined {
  return decodeMessage("CloseRequest", buffer, start, end) as unknown as CloseRequest | undefined;
}

/** Encodes a CloseRequest; absent properties count as default. */
export function encodeCloseRequest(value: Readonly<Partial<CloseRequest>>): Uint8Array {
  return encodeMessage("CloseRequest", value);
}

/** Decodes `buffer[start, end)` as CloseResponse; undefined: it does not decode. */
export function decodeCloseResponse(buffer: Uint8Array, start: number, end: number): CloseResponse | undefined {
  return decodeMessage("CloseResponse", buffer, start, end) as unknown as CloseResponse | undefined;
}

/** Encodes a CloseResponse; absent properties count as default. */
export function encodeCloseResponse(value: Readonly<Partial<CloseResponse>>): Uint8Array {
  return encodeMessage("CloseResponse", value);
}
