/**
 * Protocol lines as the trace log shows them (operations.md 3.4). Nothing here runs unless tracing is on, so it may make
 * strings. No secret of a CONNECT gets into a line.
 */
import { byteString, displayText } from "../base/bytes.ts";
import type { LogView } from "../log/types.ts";
import type { NatsParser } from "../wire/nats_parser.ts";
import type { ConnectOptions } from "./connect_options.ts";

/** Keys of CONNECT that a log must not show. */
const SECRETS = ["pass", "auth_token", "sig", "jwt"] as const;
const utf8 = new TextDecoder();

/** One line of the protocol; `who` is the connection as log lines name it. */
export function traceLine(log: LogView, who: string, direction: "<<-" | "->>", text: string): void {
  log.trace(`${who} - ${direction} [${displayText(text)}]`);
}

/** The PUB or HPUB in `parser` and its payload, of which at most `limitBytes` are shown (0 = all). */
export function tracePublish(log: LogView, who: string, parser: NatsParser, limitBytes: number): void {
  const subject = byteString(parser.buffer, parser.subjectStart, parser.subjectEnd);
  const reply = byteString(parser.buffer, parser.replyStart, parser.replyEnd);
  const headers = parser.headerSize >= 0 ? ` ${parser.headerSize}` : "";
  const size = byteString(parser.buffer, parser.sizeStart, parser.sizeEnd);
  const name = headers === "" ? "PUB" : "HPUB";
  traceLine(log, who, "<<-", `${name} ${subject}${reply === "" ? "" : " " + reply}${headers} ${size}`);
  const end = limitBytes > 0 ? Math.min(parser.payloadEnd, parser.payloadStart + limitBytes) : parser.payloadEnd;
  const cut = end < parser.payloadEnd ? "..." : "";
  const payload = utf8.decode(parser.buffer.subarray(parser.payloadStart, end));
  log.trace(`${who} - <<- MSG_PAYLOAD: [${JSON.stringify(payload)}${cut}]`);
}

/** CONNECT as a log may show it; undefined is one that could not be read. */
export function redacted(options: ConnectOptions | undefined): string {
  if (options === undefined) return "[malformed]";
  const shown: Record<string, unknown> = { ...options };
  for (const secret of SECRETS) if (shown[secret] !== undefined) shown[secret] = "[REDACTED]";
  return JSON.stringify(shown);
}
