/** What a record of a data file must be to be a message; which messages count is the matter of whoever reads the file. */
import { decodeMsgProto, type MsgProtoView } from "../../wire/stan_hot.ts";
import type { RecordRules } from "./scan.ts";

/**
 * Rules of a message record of which `counts` is true; it is asked when `view` holds the message. The subject is no criterion: a
 * renamed channel keeps its messages.
 */
export function messageRules(view: MsgProtoView, counts: (position: number) => boolean): RecordRules {
  return {
    typed: false,
    checkCrc: true,
    accept: (_type, bytes, start, end, position) => decodeMsgProto(bytes, start, end, view) && counts(position),
    // Field 1, the sequence, comes first in every message.
    mayBegin: (_type, firstByte) => firstByte === 0x08,
  };
}
