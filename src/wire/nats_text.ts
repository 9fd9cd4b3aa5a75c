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
  throttled: "Connection throttling is active. Please try again later.",
  invalidSubject: "Invalid Subject",
  invalidPublishSubject: "Invalid Publish Subject",
  maxSubscriptions: "maximum subscriptions exceeded",
});

const NAMED_ESCAPES: ReadonlyMap<number, string> = new Map([
  [7, "\\a"],
  [8, "\\b"],
  [9, "\\t"],
  [10, "\\n"],
  [11, "\\v"],
  [12, "\\f"],
  [13, "\\r"],
  [34, '\\"'],
  [92, "\\\\"],
]);
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Go's `%q` of a byte string, for the parts of errors that quote what the client sent: printable UTF-8 passes, other
 * characters and bytes that are no UTF-8 are escaped.
 */
export function quoted(text: string): string {
  let out = '"';
  for (let i = 0; i < text.length;) {
    const unit = text.charCodeAt(i);
    const length = unit < 0x80 ? 1 : sequenceLength(text, i);
    const bytes = text.slice(i, i + Math.max(1, length));
    if (length === 0 || unit < 32 || unit === 34 || unit === 92 || unit === 127) {
      out += NAMED_ESCAPES.get(unit) ?? "\\x" + hex(unit, 2);
    } else if (length === 1) {
      out += bytes;
    } else {
      const character = utf8.decode(bytesOf(bytes));
      const point = character.codePointAt(0)!; // One character was decoded.
      if (PRINTABLE.test(character)) out += bytes;
      else out += point > 0xffff ? "\\U" + hex(point, 8) : "\\u" + hex(point, 4);
    }
    i += bytes.length;
  }
  return out + '"';
}

/** Bytes of the UTF-8 character at `at`; 0 when there is none. */
function sequenceLength(text: string, at: number): number {
  const lead = text.charCodeAt(at);
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
  if (length === 0 || at + length > text.length) return 0;
  try {
    utf8.decode(bytesOf(text.slice(at, at + length)));
  } catch {
    // The decoder has no other way to say that the bytes are no UTF-8.
    return 0;
  }
  return length;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

export function publishReplyViolation(reply: string): string {
  return `Permissions Violation for Publish with Reply of ${quoted(reply)}`;
}

export function publishViolation(subject: string): string {
  return `Permissions Violation for Publish to ${quoted(subject)}`;
}

export function subscriptionViolation(subject: string): string {
  return `Permissions Violation for Subscription to ${quoted(subject)}`;
}

export function subscriptionQueueViolation(subject: string, queue: string): string {
  return `Permissions Violation for Subscription to ${quoted(subject)} using queue ${quoted(queue)}`;
}

/** The server takes a subscription back. */
export function subscriptionRemoval(subject: string, sid: string): string {
  return `Permissions Violation for Subscription to ${quoted(subject)} (sid ${quoted(sid)})`;
}

export function tooManyTokensViolation(subject: string): string {
  return `Permissions Violation for Subscription to ${quoted(subject)}, too many tokens`;
}

/** `-ERR '<text>'` with CRLF; the quotes are part of it (the oldest Node client demands them). */
export function errorLine(text: string): Uint8Array {
  return bytesOf(`-ERR '${text}'\r\n`);
}
