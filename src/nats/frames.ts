/**
 * Frames for a client that are not the published bytes with another head: odd separators, headers that come or go, and
 * the status of a request that nobody took. Plain deliveries have their own, shorter way in `connection.ts`.
 */
import { copyRange, writeDecimal } from "../base/bytes.ts";
import type { NatsParser } from "../wire/nats_parser.ts";

/** Separators, line ends and two sizes of at most nine digits, beside head, reply and payload. */
const REST_BYTES_MAX = 32;

/** At least what {@link writeRebuilt} writes. */
export function rebuiltSizeMax(head: Uint8Array, parser: NatsParser): number {
  return head.length + (parser.replyEnd - parser.replyStart) + (parser.payloadEnd - parser.payloadStart) +
    REST_BYTES_MAX;
}

/** Size of the message as this receiver gets it. */
export function rebuiltPayloadSize(parser: NatsParser, withHeaders: boolean): number {
  const size = parser.payloadEnd - parser.payloadStart;
  return withHeaders ? size : size - Math.max(0, parser.headerSize);
}

/** Writes the frame in `parser` as MSG, or as HMSG for a receiver of headers; returns the position behind it. */
export function writeRebuilt(
  buffer: Uint8Array,
  at: number,
  head: Uint8Array,
  parser: NatsParser,
  withHeaders: boolean,
): number {
  const source = parser.buffer;
  const cutBytes = withHeaders ? 0 : Math.max(0, parser.headerSize);
  if (withHeaders) buffer[at++] = 72;
  at = copyRange(buffer, at, head, 0, head.length);
  if (parser.replyEnd > parser.replyStart) {
    at = copyRange(buffer, at, source, parser.replyStart, parser.replyEnd);
    buffer[at++] = 32;
  }
  if (withHeaders) {
    at = copyRange(buffer, at, source, parser.headerSizeStart, parser.headerSizeEnd);
    buffer[at++] = 32;
  }
  // Sizes are echoed as written, unless headers are cut off.
  if (cutBytes === 0) at = copyRange(buffer, at, source, parser.sizeStart, parser.sizeEnd);
  else at = writeDecimal(buffer, at, parser.payloadEnd - parser.payloadStart - cutBytes);
  buffer[at++] = 13;
  buffer[at++] = 10;
  return copyRange(buffer, at, source, parser.payloadStart + cutBytes, parser.payloadEnd + 2);
}

/** An HMSG that is nothing but the header block `header`. `subject` and `sid` are byte strings. */
export function statusFrame(subject: string, sid: string, header: Uint8Array): Uint8Array {
  const text = `HMSG ${subject} ${sid} ${header.length} ${header.length}\r\n`;
  const frame = new Uint8Array(text.length + header.length + 2);
  for (let i = 0; i < text.length; i++) frame[i] = text.charCodeAt(i);
  frame.set(header, text.length);
  frame[frame.length - 2] = 13;
  frame[frame.length - 1] = 10;
  return frame;
}
