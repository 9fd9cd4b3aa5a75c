/**
 * Texts of the NATS protocol that a server sends (nats-server.md 3.3, 3.8, 3.9). Clients compare them, and treat any text
 * they do not know as fatal: never invent one.
 */
import { bytesOf } from "../base/bytes.ts";

export const OK_LINE = bytesOf("+OK\r\n");
export const PING_LINE = bytesOf("PING\r\n");
export const PONG_LINE = bytesOf("PONG\r\n");
export const CRLF = bytesOf("\r\n");

/** Status header of the reply to a request that nobody serves, as release 2.9 sends it (16 bytes). */
export const NO_RESPONDERS_HEADER = bytesOf("NATS/1.0 503\r\n\r\n");

export const NATS_ERROR = Object.freeze({
  unknownOperation: "Unknown Protocol Operation",
  controlLine: "maximum control line exceeded",
  maxPayload: "Maximum Payload Violation",
  authorization: "Authorization Violation",
  authenticationTimeout: "Authentication Timeout",
  maxConnections: "maximum connections exceeded",
  clientProtocol: "invalid client protocol",
  noRespondersHeaders: "no responders requires headers support",
  staleConnection: "Stale Connection",
  invalidSubject: "Invalid Subject",
  invalidPublishSubject: "Invalid Publish Subject",
  maxSubscriptions: "maximum subscriptions exceeded",
});

/** Go's `%q` of a byte string, for the parts of errors that quote what the client sent. */
export function quoted(text: string): string {
  let out = '"';
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 34 || unit === 92) out += "\\" + text[i];
    else if (unit < 32 || unit === 127) out += "\\x" + unit.toString(16).padStart(2, "0");
    else out += text[i];
  }
  return out + '"';
}

export function publishReplyViolation(reply: string): string {
  return `Permissions Violation for Publish with Reply of ${quoted(reply)}`;
}

export function publishViolation(subject: string): string {
  return `Permissions Violation for Publish to ${quoted(subject)}`;
}

export function subscriptionQueueViolation(subject: string, queue: string): string {
  return `Permissions Violation for Subscription to ${quoted(subject)} using queue ${quoted(queue)}`;
}

export function tooManyTokensViolation(subject: string): string {
  return `Permissions Violation for Subscription to ${quoted(subject)}, too many tokens`;
}

/** `-ERR '<text>'` with CRLF; the quotes are part of it (the oldest Node client demands them). */
export function errorLine(text: string): Uint8Array {
  return bytesOf(`-ERR '${text}'\r\n`);
}
