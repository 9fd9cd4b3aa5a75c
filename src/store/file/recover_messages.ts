/**
 * The messages of a channel, from its slices and its purge mark (stores.md 6.2): how the slices stand to each other, and how far
 * an operator has emptied them. A slice by itself is in `recover_slice.ts`.
 */
import { displayText } from "../../base/bytes.ts";
import type { Stamp } from "../stamp.ts";
import { StoreError } from "../types.ts";
import { INDEX_RECORD_BYTES, IndexRecord, sliceNames, sliceNumber, VERSION_BYTES } from "./format.ts";
import { type FirstMessage, overlapFrom } from "./overlap.ts";
import {
  FOREIGN_MARK,
  FOREIGN_MARK_AT_START,
  lastBeforeSlice,
  markInForce,
  PURGE_FILE,
  type PurgeMark,
  purgeMarkPath,
  readPurgeMarks,
  writePurgeMarks,
} from "./purge_mark.ts";
import type { RecoverContext } from "./recover.ts";
import { type RecoveredSlice, SliceRecovery } from "./recover_slice.ts";
import { messageOf } from "./shared.ts";
import { Slice } from "./slice.ts";
import { TAIL_BYTES_MAX } from "./tail_check.ts";

/** One channel's messages. */
export interface RecoveredLog {
  readonly slices: Slice[];
  readonly damaged: number[];
  /** Records were cut: positions behind the last message must be put back (stores.md 6.7). */
  readonly wasCut: boolean;
  /** An operator removed everything up to there. */
  readonly mark: PurgeMark | undefined;
}

/** The first slice that may hold what was written last: so much, and no more, is looked at twice. */
function firstLate({ disk }: RecoverContext, directory: string, numbers: readonly number[]): number {
  let bytes = 0;
  let i = numbers.length - 1;
  for (; i > 0 && bytes <= TAIL_BYTES_MAX; i--) {
    bytes += disk.stat(`${directory}/${sliceNames(numbers[i]!).data}`)?.sizeBytes ?? 0;
  }
  return numbers[i] ?? 0;
}

/** Recovers the message log in `directory`. Throws {@link StoreError} where the start must stop. */
export function recoverMessages(context: RecoverContext, channel: string, directory: string): RecoveredLog {
  const numbers: number[] = [];
  let isMarked = false;
  for (const { name, kind } of context.disk.list(directory)) {
    if (kind !== "file") continue;
    isMarked ||= name === PURGE_FILE;
    const number = name === "msgs.dat" ? NaN : sliceNumber(name);
    if (number === undefined) continue;
    if (Number.isNaN(number)) {
      throw new StoreError(
        "STORE_DAMAGED",
        `unable to recover message store for [${displayText(channel)}]: message log has an invalid name: ${name}`,
      );
    }
    numbers.push(number);
  }
  numbers.sort((a, b) => a - b);
  const lateNumber = firstLate(context, directory, numbers);
  const found: RecoveredSlice[] = [];
  const marks = isMarked ? readPurgeMarks(context.disk, directory) : [];
  let wasCut = false;
  let last = 0;
  for (const number of numbers) {
    const place = { channel, directory, number, marks, isLate: number >= lateNumber };
    const recover = (takesOver?: (first: FirstMessage) => boolean) =>
      new SliceRecovery(context, place, lastBeforeSlice(marks, last)).run(takesOver);
    const before = found.at(-1);
    const takesOver = (first: FirstMessage) => {
      const cut = withoutOverlap(context, before!, first, sliceNames(number).data); // Else nobody asks.
      if (cut === undefined) return false;
      found[found.length - 1] = cut;
      last = cut.slice.lastSequence;
      return true;
    };
    const recovered = recover(before === undefined ? undefined : takesOver) ?? recover()!; // Without a question, an answer.
    wasCut ||= recovered.wasCut;
    const { slice } = recovered;
    if (slice.recordCount === 0) {
      slice.data.retire();
      slice.index.retire();
      if (context.apply) removeSlice(context, channel, slice);
      continue;
    }
    if (last > 0 && slice.firstSequence > last + 1) {
      context.report({
        level: "damaged",
        channel,
        path: slice.data.path,
        offset: VERSION_BYTES,
        text: `messages ${last + 1} to ${
          slice.firstSequence - 1
        } are missing between two slices; all others are served`,
      });
    }
    found.push(recovered);
    last = slice.lastSequence;
  }
  const slices = found.map(({ slice }) => slice);
  const damaged = found.flatMap((one) => one.damaged);
  const mark = markInForce(marks, slices, (slice, sequence) => indexedStamp(context, slice, sequence));
  if (mark !== marks[0]) keepMark(context, channel, directory, mark);
  return { slices, damaged, wasCut, mark };
}

/** A slice without the messages that do not count because the slice `next` begins with `first`; undefined: all count. */
function withoutOverlap(
  context: RecoverContext,
  { place, lastBefore, slice }: RecoveredSlice,
  first: FirstMessage,
  next: string,
): RecoveredSlice | undefined {
  const from = overlapFrom(slice, first, (sequence) => indexedStamp(context, slice, sequence));
  return from === undefined ? undefined : new SliceRecovery(context, place, lastBefore, { from, next }).run();
}

/** The stamp of a message, as the index of its slice has it; undefined: it has none. */
function indexedStamp({ disk }: RecoverContext, slice: Slice, sequence: number): Stamp | undefined {
  const run = slice.runAt(sequence);
  if (run === undefined || run.firstSequence > sequence) return undefined;
  if (disk.stat(slice.index.path) === undefined) return undefined;
  const entry = new Uint8Array(INDEX_RECORD_BYTES);
  const index = disk.open(slice.index.path, "read");
  try {
    const position = Slice.indexPosition(slice.recordAt(sequence));
    if (index.read(entry, 0, INDEX_RECORD_BYTES, position) < INDEX_RECORD_BYTES) return undefined;
  } finally {
    index.close();
  }
  const record = new IndexRecord();
  record.read(entry, 0);
  return { high: record.stampHigh, low: record.stampLow };
}

/** What the newest mark speaks of never became safe, or is gone: `mark` is the one that counts. */
function keepMark(
  { disk, apply, report }: RecoverContext,
  channel: string,
  directory: string,
  mark: PurgeMark | undefined,
): void {
  if (mark === undefined) {
    report({
      level: "healed",
      channel,
      path: purgeMarkPath(directory),
      offset: -1,
      text: `${FOREIGN_MARK}; ${FOREIGN_MARK_AT_START}`,
    });
  }
  if (apply) writePurgeMarks(disk, directory, mark === undefined ? [] : [mark]);
}

/** One without messages is forgotten (stores.md 6.2). Its files are no help, and half of them would stop the reference. */
function removeSlice({ disk, report }: RecoverContext, channel: string, { data, index }: Slice): void {
  for (const { path } of [index, data]) {
    try {
      if (disk.stat(path) !== undefined) disk.remove(path);
    } catch (error) {
      report({
        level: "healed",
        channel,
        path,
        offset: -1,
        text: `a file without messages stays: ${messageOf(error)}`,
      });
    }
  }
}
