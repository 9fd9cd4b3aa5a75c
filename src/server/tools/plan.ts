/**
 * From what was found in a channel's message log to what is wrong with it, and to the files as they should be. Pure: `check`
 * tells the findings, `repair` carries the plan out, so the two cannot disagree.
 *
 * A message that is lost becomes an empty message, so that sequences stay without gaps (stores.md 11.4) and every other
 * message keeps its own. Its stamp is the one in the index; where that is lost, too, it is the stamp of the message before.
 *
 * What an operator has purged does not count, and is no loss when it is damaged. It is filled all the same: whoever does not
 * know the mark of a purge wants sequences without gaps, too.
 */
import { asideName, foreignRecordsText, LOST_VERSION, LOST_VERSION_MENDED } from "../../store/file/recover.ts";
import { MESSAGE_OVERHEAD_BYTES, VERSION_BYTES } from "../../store/file/format.ts";
import { PURGE_FILE, type PurgeMark } from "../../store/file/purge_mark.ts";
import type { BadRange } from "../../store/file/scan.ts";
import type { Stamp } from "../../store/stamp.ts";
import type { IndexedOnly, Segment, SliceInspection } from "./inspect_slice.ts";
import { finding, type StoreFinding } from "./store_finding.ts";
import type { SequenceRange } from "./tool_arguments.ts";

/** More messages than this are not made up: such a jump is another kind of damage than a lost slice. */
export const EMPTY_MESSAGES_MAX = 1_000_000;

/** A part of a data file as it should be. */
export type Piece =
  | { readonly kind: "copy"; readonly start: number; readonly end: number; readonly lastBefore: number }
  | { readonly kind: "empty"; readonly sequence: number; readonly stamp: Stamp };

export interface SlicePlan {
  readonly slice: SliceInspection;
  readonly pieces: Piece[];
  /** Ranges of the data file that go; their bytes are kept beside it. Zeros are not worth keeping. */
  readonly cut: { readonly start: number; readonly end: number; readonly keep: boolean }[];
  /** The data file is written anew, or only cut at its end; else it stays. */
  data: "stays" | "cut" | "rewritten";
  index: "stays" | "rewritten";
}

/** A log in figures, as a server shows it after a start; messages that are damaged do not count. */
export interface LogFigures {
  /** One above the last sequence where all was purged; 0 and 0: there is nothing. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly messageCount: number;
  /** As limits count them. */
  readonly byteCount: number;
}

export interface LogPlan {
  readonly findings: readonly StoreFinding[];
  readonly slices: readonly SlicePlan[];
  /** As the log is after a repair. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Why `repair` must not touch this channel; empty: it may. */
  readonly obstacle: string;
}

interface Bad {
  readonly plan: SlicePlan;
  readonly start: number;
  readonly end: number;
  readonly why: string;
  readonly kind: BadRange["kind"];
}

/** Judges one channel. `root` is what paths are told without; `mark` is the one that counts for these slices. */
export function planLog(
  channel: string,
  root: string,
  slices: readonly SliceInspection[],
  drop: SequenceRange | undefined,
  mark: PurgeMark | undefined,
): LogPlan {
  return new LogPlanner(channel, root, drop, mark).run(slices);
}

/** Figures of these slices; everything up to `purged` was purged. */
export function figuresOf(slices: readonly SliceInspection[], purged: number): LogFigures {
  const good = slices.flatMap(({ segments }) => segments);
  // Segments end behind a mark.
  const kept = good.filter(({ firstSequence }) => firstSequence > purged);
  const messageCount = kept.reduce((sum, part) => sum + part.lastSequence - part.firstSequence + 1, 0);
  const lastSequence = Math.max(good.at(-1)?.lastSequence ?? 0, purged);
  return {
    firstSequence: kept[0]?.firstSequence ?? (purged > 0 ? lastSequence + 1 : 0),
    lastSequence,
    messageCount,
    byteCount: kept.reduce((sum, { payloadBytes }) => sum + payloadBytes, messageCount * MESSAGE_OVERHEAD_BYTES),
  };
}

class LogPlanner {
  readonly #channel: string;
  readonly #root: string;
  readonly #drop: SequenceRange | undefined;
  /** Everything up to it was purged. */
  readonly #purged: number;
  /** Of the message `#purged`, as the mark has it. */
  readonly #purgedStamp: Stamp | undefined;
  readonly #findings: StoreFinding[] = [];
  readonly #plans: SlicePlan[] = [];
  /** Bytes that are no record, behind the last good record. */
  #pending: Bad[] = [];
  /** Messages that an index knows, ascending, over all slices so far. */
  #known: IndexedOnly[] = [];
  #first = 0;
  #last = 0;
  #lastStamp: Stamp | undefined;
  #obstacle = "";

  constructor(channel: string, root: string, drop: SequenceRange | undefined, mark: PurgeMark | undefined) {
    this.#channel = channel;
    this.#root = root;
    this.#drop = drop;
    this.#purged = mark?.sequence ?? 0;
    const isStamped = mark !== undefined && (mark.stampHigh !== 0 || mark.stampLow !== 0);
    this.#purgedStamp = isStamped ? { high: mark.stampHigh, low: mark.stampLow } : undefined;
  }

  run(slices: readonly SliceInspection[]): LogPlan {
    for (const slice of slices) {
      const plan: SlicePlan = { slice, pieces: [], cut: [], data: "stays", index: "stays" };
      this.#plans.push(plan);
      this.#known.push(...slice.indexedOnly);
      this.#slice(plan);
    }
    this.#tail();
    return {
      findings: this.#findings,
      slices: this.#plans,
      firstSequence: this.#first,
      lastSequence: this.#last,
      obstacle: this.#obstacle,
    };
  }

  #slice(plan: SlicePlan): void {
    const { slice } = plan;
    this.#version(plan);
    if (slice.foreignCount > 0) {
      this.#report({
        severity: "fatal",
        file: this.#relative(slice.dataPath),
        offset: VERSION_BYTES,
        text: foreignRecordsText(slice.foreignCount),
        atStart: "the server does not start",
        byRepair: "its bytes are taken out and kept beside it",
      });
    }
    const parts: (Segment | Bad)[] = [
      ...slice.segments,
      ...slice.bad.map(({ start, end, why, kind }) => ({ plan, start, end, why, kind })),
    ].sort((a, b) => a.start - b.start);
    for (const part of parts) {
      if ("why" in part) this.#pending.push(part);
      else this.#segment(plan, part);
    }
    if (slice.indexFault === undefined) return;
    plan.index = "rewritten";
    // What is wrong with the data file is told there; the index only follows.
    if (slice.indexedOnly.length > 0 && slice.bad.length > 0) return;
    this.#report({
      severity: "healed",
      file: this.#relative(slice.indexPath),
      offset: slice.indexFault.offset,
      text: slice.indexFault.text,
      atStart: "it is built from the data file",
      byRepair: "it is built from the data file",
    });
  }

  #version(plan: SlicePlan): void {
    const { slice } = plan;
    if (slice.version === "right") return;
    plan.data = "rewritten";
    plan.index = "rewritten";
    const file = this.#relative(slice.dataPath);
    if (slice.version === "none") {
      const lost = slice.indexedOnly;
      if (lost.length === 0 && slice.sizeBytes === 0) return;
      const first = lost[0]?.sequence ?? 0;
      const last = lost.at(-1)?.sequence ?? 0;
      this.#report({
        severity: last > this.#purged ? "damaged" : "healed",
        file,
        offset: 0,
        ...this.#concerned(first, last),
        text: lost.length > 0
          ? `the file is empty, its index knows of messages${this.#purgedText(last)}`
          : "the file has no version and no messages",
        atStart: "it is removed",
        byRepair: "it is begun anew",
      });
      return;
    }
    if (slice.version === "lost") {
      const done = LOST_VERSION_MENDED;
      this.#report({ severity: "healed", file, offset: 0, text: LOST_VERSION, atStart: done, byRepair: done });
      return;
    }
    this.#report({
      severity: "fatal",
      file,
      offset: 0,
      text: `unsupported file version: ${slice.version} (supports [1..1])`,
      atStart: "the server does not start",
      byRepair: slice.segments.length > 0
        ? "the version is put right, because the records behind it are good"
        : "it is begun anew, its bytes are kept beside it",
    });
  }

  #segment(plan: SlicePlan, segment: Segment): void {
    this.#gap(plan, segment);
    if (this.#first === 0) this.#first = segment.firstSequence;
    const { slice } = plan;
    const drop = this.#drop;
    const isDropped = drop !== undefined && segment.firstSequence >= drop.first && segment.lastSequence <= drop.last;
    if (!isDropped) {
      plan.pieces.push({ kind: "copy", start: segment.start, end: segment.end, lastBefore: segment.firstSequence - 1 });
    } else {
      plan.data = plan.index = "rewritten";
      plan.cut.push({ start: segment.start, end: segment.end, keep: true });
      this.#mayAdd(segment.lastSequence - segment.firstSequence + 1);
      if (this.#obstacle === "") {
        for (let sequence = segment.firstSequence; sequence <= segment.lastSequence; sequence++) {
          plan.pieces.push({ kind: "empty", sequence, stamp: slice.stamps.get(sequence) ?? segment.firstStamp });
        }
      }
    }
    this.#last = segment.lastSequence;
    this.#lastStamp = segment.lastStamp;
  }

  /** What lies between the last good record and the one that follows it. */
  #gap(plan: SlicePlan, next: Segment): void {
    const known = this.#known.find(({ sequence }) => sequence < next.firstSequence);
    // Before the first message nobody can know of others, unless an index does.
    const first = this.#last > 0 ? this.#last + 1 : known?.sequence ?? next.firstSequence;
    const last = next.firstSequence - 1;
    const pending = this.#pending;
    this.#pending = [];
    const target = pending[0]?.plan ?? this.#plans.findLast((before) => before !== plan && before.pieces.length > 0) ??
      plan;
    const isLoss = last >= first;
    const severity = isLoss && last > this.#purged ? "damaged" : "healed";
    const made = this.#madeText(first, last);
    pending.forEach((bad, i) => {
      const tellsLoss = isLoss && i === 0;
      this.#cut(bad, true);
      bad.plan.data = bad.plan.index = "rewritten";
      this.#report({
        severity,
        ...this.#placeOf(bad),
        ...tellsLoss ? this.#concerned(first, last) : {},
        text: `${bad.why}${isLoss ? this.#purgedText(last) : "; no message is lost by it"}`,
        atStart: "the messages behind it are served, the bytes are left out",
        byRepair: `${tellsLoss ? `${made} in its place` : "taken out"}, the bytes go to ${this.#asideOf(bad)}`,
      });
    });
    if (isLoss && pending.length === 0) {
      target.data = target.index = "rewritten";
      this.#report({
        severity,
        file: this.#relative(plan.slice.dataPath),
        offset: next.start,
        ...this.#concerned(first, last),
        text: `${
          first === last ? "the message is" : "the messages are"
        } missing in front of message ${next.firstSequence}${this.#purgedText(last)}`,
        atStart: "the messages behind are served",
        byRepair: `${made} at the end of ${this.#relative(target.slice.dataPath)}`,
      });
    }
    if (isLoss) this.#fill(target, first, last, next.firstStamp);
  }

  /** What lies behind the last good record of all. */
  #tail(): void {
    const pending = this.#pending;
    const known = this.#known.filter(({ sequence }) => sequence > this.#last);
    const lastArrived = known.findLast(({ hasArrived }) => hasArrived);
    const firstLost = this.#last > 0 ? this.#last + 1 : known[0]?.sequence ?? 0;
    const lastLost = lastArrived?.sequence ?? 0;
    const isLoss = pending.length > 0 && lastLost >= firstLost && firstLost > 0;
    const unarrived = known.filter(({ sequence }) => sequence > Math.max(lastLost, this.#last));
    const never = unarrived.length === 0
      ? ""
      : `; the index knows ${
        rangeText(unarrived[0]!.sequence, unarrived.at(-1)!.sequence)
      }, which is not there as a whole`;
    pending.forEach((bad, i) => {
      const isZeros = bad.kind === "zeros";
      this.#cut(bad, !isZeros);
      bad.plan.index = "rewritten";
      if (isLoss) {
        bad.plan.data = "rewritten";
        const tellsLoss = i === 0;
        this.#report({
          severity: lastLost > this.#purged ? "damaged" : "healed",
          ...this.#placeOf(bad),
          ...tellsLoss ? this.#concerned(firstLost, lastLost) : {},
          text: bad.why + never + this.#purgedText(lastLost),
          atStart: "it is left out, its sequence is not given again",
          byRepair: `${this.#madeText(firstLost, lastLost)} in its place, the bytes go to ${this.#asideOf(bad)}`,
        });
        return;
      }
      if (bad.plan.data === "stays") bad.plan.data = "cut";
      const isKept = isZeros ? "cut off" : `cut off and kept in ${this.#asideOf(bad)}`;
      this.#report({
        severity: "healed",
        ...this.#placeOf(bad),
        text: isZeros
          ? "zeros at the end"
          : `the file ends in an incomplete message behind ${this.#last} (${bad.why})${never}`,
        atStart: isKept,
        byRepair: isKept,
      });
    });
    if (isLoss) this.#fill(pending[0]!.plan, firstLost, lastLost, undefined);
  }

  #cut({ plan, start, end }: Bad, keep: boolean): void {
    plan.cut.push({ start, end, keep });
  }

  /** Empty messages, with the stamps that an index still knows. */
  #fill(plan: SlicePlan, first: number, last: number, nextStamp: Stamp | undefined): void {
    this.#mayAdd(last - first + 1);
    if (this.#obstacle !== "") return;
    const stamps = new Map(this.#known.map(({ sequence, stamp }) => [sequence, stamp]));
    // With another stamp the mark would speak of another message, and what was purged would come back.
    if (this.#purgedStamp !== undefined) stamps.set(this.#purged, this.#purgedStamp);
    if (this.#first === 0) this.#first = first;
    for (let sequence = first; sequence <= last; sequence++) {
      const stamp: Stamp = stamps.get(sequence) ?? this.#lastStamp ?? nextStamp ?? { high: 0, low: 0 };
      plan.pieces.push({ kind: "empty", sequence, stamp });
      this.#lastStamp = stamp;
    }
    this.#last = last;
  }

  #madeText(first: number, last: number): string {
    const stamped = this.#known.filter(({ sequence }) => sequence >= first && sequence <= last).length;
    const time = stamped === last - first + 1
      ? `its time from the index`
      : first === last && last === this.#purged && this.#purgedStamp !== undefined
      ? `its time from ${PURGE_FILE}`
      : first > 1
      ? `the time of the message before`
      : `the time of the message behind`;
    return first === last
      ? `an empty message ${first} with ${time}`
      : `empty messages ${first} to ${last}, each with ${time}`;
  }

  /** Which messages a finding names: those that are lost, or all where none is. */
  #concerned(first: number, last: number): Pick<StoreFinding, "firstSequence" | "lastSequence"> {
    return { firstSequence: last > this.#purged ? Math.max(first, this.#purged + 1) : first, lastSequence: last };
  }

  #purgedText(last: number): string {
    return last > this.#purged ? "" : "; all that is concerned was purged";
  }

  #mayAdd(count: number): void {
    if (count <= EMPTY_MESSAGES_MAX) return;
    this.#obstacle = `${count} empty messages would be needed in one place, at most ${EMPTY_MESSAGES_MAX} are made`;
  }

  #placeOf({ plan, start, end }: Bad): Pick<StoreFinding, "file" | "offset" | "sizeBytes"> {
    return { file: this.#relative(plan.slice.dataPath), offset: start, sizeBytes: end - start };
  }

  #asideOf({ plan, start }: Bad): string {
    return asideName(this.#relative(plan.slice.dataPath), start);
  }

  #relative(path: string): string {
    return path.slice(this.#root.length + 1);
  }

  #report(fields: Parameters<typeof finding>[0]): void {
    this.#findings.push(finding({ channel: this.#channel, ...fields }));
  }
}

function rangeText(first: number, last: number): string {
  return first === last ? `message ${first}` : `messages ${first} to ${last}`;
}
