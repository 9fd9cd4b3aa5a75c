/**
 * Messages of the same sequences within one data file. The reference, killed between writing messages and their index, knows
 * nothing of these messages when it starts again: it leaves them where they are and gives their sequences to others right behind
 * them (stores.md 6.5). Its index says which ones count. Whoever reads the file without it goes by what it shows: right behind
 * a whole message a whole one begins a sequence again, and is later.
 */
import type { MsgProtoView } from "../../wire/stan_hot.ts";
import { isAtOrBefore } from "../stamp.ts";
import type { Crc32 } from "./crc.ts";
import { RECORD_HEADER_BYTES } from "./format.ts";
import { type ByteSource, type RecordRules, scanRecords } from "./scan.ts";

/** At `position` the sequences begin again with `sequence`: what stands before it of this sequence or a later one does not count. */
export interface Restart {
  readonly position: number;
  readonly sequence: number;
}

/** How sequences may go on in what is read. */
export interface OrderOptions {
  /** Nothing at or before it counts. */
  readonly last: number;
  /** Nothing from it on counts. */
  readonly end?: number;
  /** The file has messages up to `last` that are not read. Else the first one that is read stays, whatever comes again. */
  readonly hasOthers?: boolean;
}

/** Decides which messages of a file count, for one pass from its front. */
export class MessageOrder {
  /** Of the messages so far that count. */
  last: number;
  /** A restart was met that was not known. */
  isRepeated = false;
  /** Those that are known; while it searches, those that were met. */
  readonly restarts: Restart[];
  readonly #options: OrderOptions;
  readonly #searches: boolean;
  /** The first one that counts. */
  #first = 0;
  /** Where the record behind the last one would begin, and the stamp of that last one. */
  #next = -1;
  #stampHigh = 0;
  #stampLow = 0;

  /** `restarts`: undefined: they are searched for. */
  constructor(options: OrderOptions, restarts: readonly Restart[] | undefined) {
    this.#options = options;
    this.last = options.last;
    this.#searches = restarts === undefined;
    this.restarts = [...restarts ?? []];
  }

  /** Can this message stand at `position`? */
  accepts(message: MsgProtoView, position: number): boolean {
    const { sequence, stampHigh, stampLow } = message;
    const { last, end = Infinity, hasOthers = false } = this.#options;
    if (sequence >= end) return false;
    if (sequence > this.last) return true;
    if (position !== this.#next || sequence <= (hasOthers ? last : this.#first)) return false;
    if (isAtOrBefore(stampHigh, stampLow, this.#stampHigh, this.#stampLow)) return false;
    this.isRepeated = true;
    return this.#searches;
  }

  /** Takes a message that was accepted; false: it does not count. */
  takes({ sequence, stampHigh, stampLow }: MsgProtoView, position: number, end: number): boolean {
    this.#next = end;
    this.#stampHigh = stampHigh;
    this.#stampLow = stampLow;
    if (sequence <= this.last) this.restarts.push({ position, sequence });
    else if (this.restarts.some((restart) => restart.position > position && restart.sequence <= sequence)) return false;
    this.last = sequence;
    if (this.#first === 0) this.#first = sequence;
    return true;
  }
}

/** Goes through a file where a pass has met a restart. `rulesOf` is what that pass used, with `view`. */
export function findRestarts(
  source: ByteSource,
  from: number,
  crc: Crc32,
  view: MsgProtoView,
  options: OrderOptions,
  rulesOf: (order: MessageOrder) => RecordRules,
): readonly Restart[] {
  const order = new MessageOrder(options, undefined);
  scanRecords(source, from, rulesOf(order), crc, (position, _type, _bytes, start, end) => {
    order.takes(view, position, position + RECORD_HEADER_BYTES + end - start);
  });
  return order.restarts;
}

/** Said of messages that do not count. */
export function repeatText(first: number, last: number): string {
  return first === last
    ? `message ${first} does not count: another one of this sequence stands behind it`
    : `messages ${first} to ${last} do not count: others of these sequences stand behind them`;
}
