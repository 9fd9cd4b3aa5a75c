/**
 * Names in requests. Inside they are byte strings; people and JSON have text. A name that is no UTF-8 is shown with
 * replacement characters, and found by what is shown as long as only one looks like that; in a path any byte can be written.
 */
import { byteString, byteStringOfText, displayText } from "../../base/bytes.ts";
import type { Channel } from "../../streaming/channel.ts";
import type { StreamingCore } from "../../streaming/core.ts";
import { ConsoleError } from "./answers.ts";

const REPLACEMENT = "\ufffd";

/** The byte string behind a percent-encoded part of a path. Throws {@link ConsoleError}. */
export function decodedPart(part: string): string {
  const bytes = new Uint8Array(part.length);
  let length = 0;
  for (let i = 0; i < part.length; i++) {
    const unit = part.charCodeAt(i);
    if (unit !== 0x25) {
      bytes[length++] = unit;
      continue;
    }
    const digits = part.slice(i + 1, i + 3);
    if (!/^[0-9a-fA-F]{2}$/.test(digits)) {
      throw new ConsoleError("BAD_REQUEST", "the path has a % without two hex digits");
    }
    bytes[length++] = parseInt(digits, 16);
    i += 2;
  }
  return byteString(bytes, 0, length);
}

/** The name among `known` that `name` means: itself, or the only one that is shown like it. */
export function resolveName(name: string, known: Iterable<string>): string {
  const shown = displayText(name);
  if (!shown.includes(REPLACEMENT)) return name;
  const alike: string[] = [];
  for (const other of known) {
    if (other === name) return name;
    if (displayText(other) === shown) alike.push(other);
  }
  if (alike.length > 1) {
    throw new ConsoleError("CONFLICT", `${alike.length} names look like this one: write its bytes in the path, as %XX`);
  }
  return alike[0] ?? name;
}

/** Throws {@link ConsoleError}. */
export function channelOf(core: StreamingCore, name: string): Channel {
  const known = [...core.channels.all];
  const channel = core.find(name) ?? core.find(resolveName(name, known.map((one) => one.name)));
  if (channel === undefined) throw new ConsoleError("NOT_FOUND", `there is no channel "${displayText(name)}"`);
  return channel;
}

/** The same for a text out of JSON. */
export function channelOfText(core: StreamingCore, text: string): Channel {
  return channelOf(core, byteStringOfText(text));
}
