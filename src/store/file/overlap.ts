/**
 * Two slices that both have messages of the same sequences. A slice is begun behind the last message that its server knows, so
 * what the slice before it has from there on does not count: it was taken back after a failed flush and a power cut brought it
 * back, or it is what the reference leaves when it is killed between writing messages and their index (stores.md 6.5). Nobody
 * was told that such a message is safe; those of the later slice may have been acknowledged.
 *
 * A start and `check` both ask here, so that none of them shows what another one hides.
 */
import { decodeMsgProto, MsgProtoView } from "../../wire/stan_hot.ts";
import type { Stamp } from "../stamp.ts";
import type { Crc32 } from "./crc.ts";
import { readU32, RECORD_HEADER_BYTES, VERSION_BYTES } from "./format.ts";
import type { ByteSource } from "./scan.ts";

/** The first message of a slice. */
export interface FirstMessage {
  readonly sequence: number;
  readonly stamp: Stamp;
}

/** Messages from `from` on do not count: the slice `next`, which is later, has others of these sequences. */
export interface Overlap {
  readonly from: number;
  /** The name of its data file. */
  readonly next: string;
}

/** Enough for a record header and the sequence, which is the first field of every message. */
const HEAD_BYTES = RECORD_HEADER_BYTES + 11;

/**
 * The first message of a data file when its sequence is `last` or one before it; undefined: it comes behind, as it should, or is
 * not whole. The checksum is looked at whatever the options say: other messages are cut off on account of this one.
 */
export function firstMessageUpTo(last: number, source: ByteSource, crc: Crc32): FirstMessage | undefined {
  const head = new Uint8Array(HEAD_BYTES);
  const headSize = source.read(head, 0, head.length, VERSION_BYTES);
  if (headSize <= RECORD_HEADER_BYTES || head[RECORD_HEADER_BYTES] !== 0x08) return undefined;
  // Nearly always the sequence is the right one, and then the rest need not be read.
  if (sequenceIn(head, RECORD_HEADER_BYTES + 1) > last) return undefined;
  const size = readU32(head, 0);
  if (size > source.size - VERSION_BYTES - RECORD_HEADER_BYTES) return undefined;
  const payload = new Uint8Array(size);
  if (source.read(payload, 0, size, VERSION_BYTES + RECORD_HEADER_BYTES) < size) return undefined;
  const view = new MsgProtoView();
  if (readU32(head, 4) !== crc.of(payload, 0, size) || !decodeMsgProto(payload, 0, size, view)) return undefined;
  const { sequence, stampHigh, stampLow } = view;
  return sequence > last ? undefined : { sequence, stamp: { high: stampHigh, low: stampLow } };
}

/** A varint; only whether it is above a sequence matters, so it need not be exact beyond 2^53. */
function sequenceIn(bytes: Uint8Array, start: number): number {
  let value = 0;
  for (let at = start, factor = 1; at < bytes.length; at++, factor *= 128) {
    value += (bytes[at]! & 127) * factor;
    if (bytes[at]! < 128) break;
  }
  return value;
}

/**
 * From which sequence on the messages of a slice do not count, because `next`, with which the slice behind it begins, is
 * another one of that sequence; undefined: all do. `stampOf`: of a message of the slice; undefined: it has none of that
 * sequence.
 */
export function overlapFrom(
  { firstSequence, lastSequence }: { readonly firstSequence: number; readonly lastSequence: number },
  next: FirstMessage,
  stampOf: (sequence: number) => Stamp | undefined,
): number | undefined {
  const { sequence, stamp } = next;
  // No server begins a slice in front of the one before it. Whatever this is, it is no reason to cut a whole slice away.
  if (sequence <= firstSequence || sequence > lastSequence) return undefined;
  const own = stampOf(sequence);
  // The same message twice: a marker whose mark is lost (`purge.ts`), or a file that somebody has copied.
  if (own !== undefined && own.high === stamp.high && own.low === stamp.low) return undefined;
  return sequence;
}

/** Said of what does not count then. */
export function overlapText({ from, next }: Overlap): string {
  return `what is here from message ${from} on does not count: ${next}, which is later, begins with another message ${from}`;
}
