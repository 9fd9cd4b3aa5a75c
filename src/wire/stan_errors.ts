/**
 * Every text a client can get in an error field (streaming-protocol.md 27). Clients compare them, so each is exact to the
 * letter, the missing prefixes and the misspelled "alreay" included. Texts of stores and of clustering come from there.
 */
import { bytesOf } from "../base/bytes.ts";

/** The texts. */
export const STAN_ERROR = Object.freeze({
  INVALID_CONNECTION_REQUEST: "stan: invalid connection request",
  INVALID_CLIENT_ID: "stan: invalid clientID: only alphanumeric and `-` or `_` characters allowed",
  CLIENT_ID_REGISTERED: "stan: clientID already registered",
  CLIENT_REPLACED: "client has been replaced or is no longer registered",
  INVALID_PUBLISH_REQUEST: "stan: invalid publish request",
  TOO_MANY_CHANNELS: "too many channels",
  CHANNEL_BEING_DELETED: "stan: channel is being deleted",
  INVALID_SUBSCRIPTION_REQUEST: "stan: invalid subscription request",
  CLIENT_ID_MISSING: "stan: clientID missing",
  INVALID_ACK_WAIT: "stan: invalid ack wait time, should be >= 1s",
  INVALID_MAX_IN_FLIGHT: "stan: invalid MaxInflight, should be >= 1",
  INVALID_START_POSITION: "stan: invalid start position",
  INVALID_SUBJECT: "stan: invalid subject",
  INVALID_DURABLE_NAME: "stan: durable name of a durable queue subscriber can't contain the character ':'",
  DUPLICATE_DURABLE: "stan: duplicate durable registration",
  TOO_MANY_SUBSCRIPTIONS: "too many subscriptions per channel",
  UNKNOWN_CLIENT_ID: "stan: unknown clientID",
  INVALID_UNSUBSCRIBE_REQUEST: "stan: invalid unsubscribe request",
  UNKNOWN_CHANNEL: "stan: unknown channel",
  INVALID_SUBSCRIPTION: "stan: invalid subscription",
  INVALID_CLOSE_REQUEST: "stan: invalid close request",
});

/** Names of the texts. */
export type StanErrorName = keyof typeof STAN_ERROR;

/** The cache of this module: a refused publish is answered in the hot path, so each text is turned into bytes once. */
const bytesOfError = new Map<StanErrorName, Uint8Array>();

/** The bytes of a text. Shared: nobody may change them. */
export function stanErrorBytes(name: StanErrorName): Uint8Array {
  let bytes = bytesOfError.get(name);
  if (bytes === undefined) {
    bytes = bytesOf(STAN_ERROR[name]);
    bytesOfError.set(name, bytes);
  }
  return bytes;
}

/** Why channel `added` is refused beside `existing`, which differs in letter case only (10.3). Byte strings in and out. */
export function rejectingCaseText(added: string, existing: string): string {
  return `rejecting channel ${quoteGo(added)} because channel ${quoteGo(existing)} ` +
    "alreay exists (different cases not allowed)";
}

/**
 * A byte string in the form of Go's `%q`: double quotes, backslash escapes, text of printable runes as it is. What is
 * printable follows the Unicode tables of the runtime, which are newer than those of the reference.
 */
export function quoteGo(text: string): string {
  let quoted = '"';
  for (let i = 0; i < text.length;) {
    const size = runeSize(text, i);
    if (size === 0) {
      quoted += `\\x${hex(text.charCodeAt(i), 2)}`;
      i++;
      continue;
    }
    const rune = decodeRune(text, i, size);
    quoted += quoteRune(rune, text.slice(i, i + size));
    i += size;
  }
  return quoted + '"';
}

function quoteRune(rune: number, bytes: string): string {
  switch (rune) {
    case 0x07:
      return "\\a";
    case 0x08:
      return "\\b";
    case 0x09:
      return "\\t";
    case 0x0a:
      return "\\n";
    case 0x0b:
      return "\\v";
    case 0x0c:
      return "\\f";
    case 0x0d:
      return "\\r";
    case 0x22:
      return '\\"';
    case 0x5c:
      return "\\\\";
  }
  if (rune < 0x20 || rune === 0x7f) return `\\x${hex(rune, 2)}`;
  if (rune < 0x7f || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(String.fromCodePoint(rune))) return bytes;
  return rune < 0x1_0000 ? `\\u${hex(rune, 4)}` : `\\U${hex(rune, 8)}`;
}

/** Length of the valid UTF-8 sequence at `index` of a byte string; 0 when there is none. */
function runeSize(text: string, index: number): number {
  const first = text.charCodeAt(index);
  if (first < 0x80) return 1;
  const size = first >= 0xc2 && first < 0xe0
    ? 2
    : first >= 0xe0 && first < 0xf0
    ? 3
    : first >= 0xf0 && first < 0xf5
    ? 4
    : 0;
  if (size === 0 || index + size > text.length) return 0;
  for (let i = 1; i < size; i++) if ((text.charCodeAt(index + i) & 0xc0) !== 0x80) return 0;
  const rune = decodeRune(text, index, size);
  const isOverlong = (size === 3 && rune < 0x800) || (size === 4 && rune < 0x1_0000);
  const isSurrogate = rune >= 0xd800 && rune < 0xe000;
  return isOverlong || isSurrogate || rune > 0x10_ffff ? 0 : size;
}

function decodeRune(text: string, index: number, size: number): number {
  if (size === 1) return text.charCodeAt(index);
  let rune = text.charCodeAt(index) & (0xff >> (size + 1));
  for (let i = 1; i < size; i++) rune = (rune << 6) | (text.charCodeAt(index + i) & 0x3f);
  return rune;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
