/**
 * How far an operator has emptied a channel. The format has no word for it: what limits remove comes back when they are
 * raised (stores.md 5.6), and a slice without messages is forgotten with its last sequence (6.2). So it stands in a plain file
 * of our own in the channel's directory, whose name begins with a dot; the reference does not look at it.
 *
 *   .purged : | purged SEQUENCE STAMP CRC \n | ...   in characters; the stamp is that of the message SEQUENCE, 0 = unknown
 *
 * The newest comes first. While it is not certain that what it speaks of is safe, the one before stands behind it: a crash may
 * take messages that were purged as soon as they were stored, and then only the older mark is about something.
 *
 * When nothing is left, the newest slice begins with an empty message of the last sequence: its only reason is that the
 * reference goes on counting behind it. Whoever knows the mark does not count that message.
 */
import { bytesOf } from "../../base/bytes.ts";
import type { Disk } from "../../runtime/types.ts";
import type { Stamp } from "../stamp.ts";
import { Crc32 } from "./crc.ts";

/** Everything up to `sequence` is removed for good. */
export interface PurgeMark {
  readonly sequence: number;
  /** Of the message `sequence`; 0, 0 when it was not known. Another message of this sequence is none that was purged. */
  readonly stampHigh: number;
  readonly stampLow: number;
}

/** Its name in a channel's directory. */
export const PURGE_FILE = ".purged";
const TEMPORARY_FILE = ".purged.new";
/** Said where none of the marks that are there speaks of the messages that are there, and what a start does then. */
export const FOREIGN_MARK = "it says that messages were purged that are not those of this channel";
export const FOREIGN_MARK_AT_START = "it is dropped, all messages are served";
const FILE_BYTES_MAX = 256;
/** Not that of the store's options: those may change between two starts. */
const POLYNOMIAL = 0xedb88320;
const PATTERN = /^(purged ([1-9]\d{0,15}) (\d{1,20})) ([0-9a-f]{8})$/;

function checksum(text: string): string {
  const bytes = bytesOf(text);
  return new Crc32(POLYNOMIAL).of(bytes, 0, bytes.length).toString(16).padStart(8, "0");
}

/** Path of the mark in a channel's directory. */
export function purgeMarkPath(directory: string): string {
  return `${directory}/${PURGE_FILE}`;
}

/** The marks that are there, the newest first; only those that can be believed. */
export function readPurgeMarks(disk: Disk, directory: string): PurgeMark[] {
  const bytes = new Uint8Array(FILE_BYTES_MAX);
  const file = disk.open(purgeMarkPath(directory), "read");
  let length: number;
  try {
    length = file.read(bytes, 0, FILE_BYTES_MAX, 0);
  } finally {
    file.close();
  }
  const lines = String.fromCharCode(...bytes.subarray(0, length)).split("\n");
  return lines.map(markOf).filter((mark) => mark !== undefined);
}

function markOf(line: string): PurgeMark | undefined {
  const match = PATTERN.exec(line);
  if (match === null || checksum(match[1]!) !== match[4]) return undefined;
  const sequence = Number(match[2]);
  const stamp = BigInt(match[3]!);
  if (!Number.isSafeInteger(sequence) || stamp >> 64n !== 0n) return undefined;
  return { sequence, stampHigh: Number(stamp >> 32n), stampLow: Number(stamp & 0xffff_ffffn) };
}

/**
 * The mark that counts for a log of these slices: the newest that speaks of messages that are there. The reference, which knows
 * no marks, may have emptied the log and begun anew (stores.md 5.15): then nothing of what is there was purged. Whoever reads
 * a channel asks here, so that none of them shows what another one hides.
 *
 * `slices` are ascending; of those from the first on that reaches a mark's sequence only that first one matters. `stampOf` says
 * what stamp the message `sequence` of a slice has; undefined: it is not there, or cannot be known.
 */
export function markInForce<Marked extends { readonly lastSequence: number }>(
  marks: readonly PurgeMark[],
  slices: readonly Marked[],
  stampOf: (slice: Marked, sequence: number) => Stamp | undefined,
): PurgeMark | undefined {
  return marks.find(({ sequence, stampHigh, stampLow }) => {
    const slice = slices.find(({ lastSequence }) => lastSequence >= sequence);
    if (slice === undefined) return false;
    if (stampHigh === 0 && stampLow === 0) return true;
    const stamp = stampOf(slice, sequence);
    return stamp === undefined || (stamp.high === stampHigh && stamp.low === stampLow);
  });
}

/**
 * Behind which sequence the messages of the next slice begin, when the slices before it end with `last`. After a purge that was
 * interrupted the next one begins with the marker, and that of which it is a copy is still there.
 */
export function lastBeforeSlice(marks: readonly PurgeMark[], last: number): number {
  return last > 0 && marks.some(({ sequence }) => sequence === last) ? last - 1 : last;
}

/**
 * True when a purge has spoken of this very message, so it was there. If it were taken for one that never came, the mark would
 * be about nothing, what was purged would be served again, and a sequence given again.
 */
export function isMarked(marks: readonly PurgeMark[], { sequence, stampHigh, stampLow }: PurgeMark): boolean {
  return marks.some((mark) => mark.sequence === sequence && mark.stampHigh === stampHigh && mark.stampLow === stampLow);
}

function lineOf({ sequence, stampHigh, stampLow }: PurgeMark): string {
  const text = `purged ${sequence} ${(BigInt(stampHigh) << 32n) | BigInt(stampLow)}`;
  return `${text} ${checksum(text)}\n`;
}

/**
 * Puts `marks`, the newest first, in the place of those that are there, content first, so that a crash leaves the ones or the
 * others; none: there is no file any more. Blocks, because an operator asks for it rarely. The directory must be synced
 * afterwards. Throws what the system refuses.
 */
export function writePurgeMarks(disk: Disk, directory: string, marks: readonly PurgeMark[]): void {
  const path = purgeMarkPath(directory);
  if (marks.length === 0) {
    if (disk.stat(path) !== undefined) disk.remove(path);
    return;
  }
  const bytes = bytesOf(marks.map(lineOf).join(""));
  const temporary = `${directory}/${TEMPORARY_FILE}`;
  const file = disk.open(temporary, "replace");
  try {
    file.write(bytes, 0, bytes.length, 0);
    file.syncNow();
  } finally {
    file.close();
  }
  disk.rename(temporary, path);
}
