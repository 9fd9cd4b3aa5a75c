/** What may be published under which name, apart from a user's permissions (nats-server.md 3.5). */
import { byteString } from "../base/bytes.ts";
import type { NatsParser } from "../wire/nats_parser.ts";
import { publishReplyViolation, publishViolation } from "../wire/nats_text.ts";

const UNDERSCORE = 95;
const DOLLAR = 36;
const REPLY_PREFIXES = ["$JS.ACK.", "_GR_."] as const;

/** The error for names that servers reserve among themselves, or "". `subject` is that of the frame in `parser`. */
export function reservedNames(parser: NatsParser, subject: string): string {
  const { buffer, replyStart, replyEnd } = parser;
  if (replyEnd > replyStart && (buffer[replyStart] === UNDERSCORE || buffer[replyStart] === DOLLAR)) {
    const reply = byteString(buffer, replyStart, replyEnd);
    // Reference 2.9.10: the first one is reserved even with nothing behind it.
    if (reply.startsWith("_R_.")) return publishReplyViolation(reply);
    for (const prefix of REPLY_PREFIXES) {
      if (reply.length > prefix.length && reply.startsWith(prefix)) return publishReplyViolation(reply);
    }
  }
  if (subject.length > 5 && subject.startsWith("_GR_.")) return publishViolation(subject);
  return "";
}
