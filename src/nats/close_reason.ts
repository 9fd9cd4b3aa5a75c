/** How connections end: the reasons that the monitor shows (nats-server.md 12), and the texts that go with them. */
import {
  PARSE_CONTROL_LINE,
  PARSE_MAX_PAYLOAD,
  PARSE_SILENT,
  PARSE_UNKNOWN_OPERATION,
  type ParseFailure,
} from "../wire/nats_parser.ts";
import { NATS_ERROR } from "../wire/nats_text.ts";

/** Why a connection ended. */
export type CloseReason =
  | "Client Closed"
  | "Authentication Failure"
  | "Authentication Timeout"
  | "TLS Handshake Failure"
  | "Slow Consumer (Pending Bytes)"
  | "Slow Consumer (Write Deadline)"
  | "Write Error"
  | "Read Error"
  | "Parse Error"
  | "Stale Connection"
  | "Protocol Violation"
  | "Bad Client Protocol Version"
  | "Maximum Connections Exceeded"
  | "Maximum Message Payload Exceeded"
  | "Maximum Control Line Exceeded"
  | "Server Shutdown"
  | "No Responders Requires Headers";

/** A reason, and the `-ERR` before the end where the reference sends one. */
export interface Closing {
  readonly reason: CloseReason;
  readonly text?: string;
}

/** How input ends a connection that cannot be parsed. */
export function closingOf(failure: ParseFailure): Closing {
  switch (failure) {
    case PARSE_UNKNOWN_OPERATION:
      return { reason: "Parse Error", text: NATS_ERROR.unknownOperation };
    case PARSE_CONTROL_LINE:
      return { reason: "Maximum Control Line Exceeded", text: NATS_ERROR.controlLine };
    case PARSE_MAX_PAYLOAD:
      return { reason: "Maximum Message Payload Exceeded", text: NATS_ERROR.maxPayload };
    case PARSE_SILENT:
      return { reason: "Protocol Violation" };
  }
}
