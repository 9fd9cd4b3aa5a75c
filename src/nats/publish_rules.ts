/** What may be published under which name, apart from a user's permissions (nats-server.md 3.5). */
import { bytesOf, byteString } from "../base/bytes.ts";
import type { NatsParser } from "../wire/nats_parser.ts";
import { publishReplyViolation } from "../wire/nats_text.ts";

/** Reserved replies. The reference (2.9.10) reserves the first even with nothing behind it. */
const REPLY_PREFIXES = [
  { bytes: bytesOf("_R_."), lengthMin: 4 },
  { bytes: bytesOf("_GR_."), lengthMin: 6 },
  { bytes: bytesOf("$JS.ACK."), lengthMin: 9 },
] as const;
const SUBJECT_PREFIX = "_GR_.";

/** True for a subject that servers reserve among themselves. */
export function isReserved(subject: string): boolean {
  return subject.length > SUBJECT_PREFIX.length && subject.startsWith(SUBJECT_PREFIX);
}

/** The error for a reply in `parser` that servers reserve among themselves, or "". */
export function reservedReply({ buffer, replyStart, replyEnd }: NatsParser): string {
  // Of bytes: a publisher whose reply changes with every message must not cost a string each.
  for (let i = 0; i < REPLY_PREFIXES.length; i++) {
    const { bytes, lengthMin } = REPLY_PREFIXES[i]!;
    if (replyEnd - replyStart < lengthMin || !startsWith(buffer, replyStart, bytes)) continue;
    return publishReplyViolation(byteString(buffer, replyStart, replyEnd));
  }
  return "";
}

function startsWith(buffer: Uint8Array, at: number, prefix: Uint8Array): boolean {
  for (let i = 0; i < prefix.length; i++) if (buffer[at + i] !== prefix[i]) return false;
  return true;
}
