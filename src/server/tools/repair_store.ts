/**
 * Carries out what an inspection proposes. Every file is written beside the one it replaces, synced, and put in its place,
 * and nothing that was in a file is lost: bytes that are cut out are kept in a file whose name begins with a dot, which no
 * server reads. A crash at any point leaves a directory that can be repaired again.
 */
import { bytesOf, byteStringOfText } from "../../base/bytes.ts";
import type { Disk, DiskFile } from "../../runtime/types.ts";
import { Crc32 } from "../../store/file/crc.ts";
import {
  encodeRecord,
  INDEX_RECORD_BYTES,
  POSITION_RECORD_BYTES_MAX,
  RECORD_HEADER_BYTES,
  SUBSCRIPTION_RECORD,
  VERSION_BYTES,
  versionBytes,
  writeIndexRecord,
  writePositionRecord,
  writeRecordHeader,
} from "../../store/file/format.ts";
import { messageRules } from "../../store/file/message_rules.ts";
import { purgeMarkPath } from "../../store/file/purge_mark.ts";
import { asideName } from "../../store/file/recover.ts";
import { scanRecords } from "../../store/file/scan.ts";
import { encodeMsgProto, MsgProtoView } from "../../wire/stan_hot.ts";
import { encodeSubState, encodeSubStateDelete } from "../../wire/stan_server.ts";
import { sourceOf } from "./inspect_slice.ts";
import { type ChannelInspection, STORE_FILES, type StoreInspection, ToolError } from "./inspect_store.ts";
import type { TypedInspection } from "./inspect_typed.ts";
import type { Piece, SlicePlan } from "./plan.ts";

/** Bytes gathered before they are written. */
const CHUNK_BYTES = 1024 * 1024;
/** What an empty message has besides its channel's name. */
const EMPTY_MESSAGE_BYTES_MAX = RECORD_HEADER_BYTES + 64;

/** Repairs; returns what was done, one line each. Throws {@link ToolError} when the plan must not be carried out. */
export async function repairStore(
  disk: Disk,
  dir: string,
  inspection: StoreInspection,
  crcPolynomial: number,
  readBytes: (count: number) => void,
): Promise<string[]> {
  if (inspection.obstacle !== "") {
    throw new ToolError("TOOL_REFUSED", `Cannot repair: ${inspection.obstacle}. Nothing was changed`);
  }
  const repair = new Repair(disk, dir, new Crc32(crcPolynomial), readBytes);
  for (const channel of inspection.channels) await repair.channel(channel);
  if (inspection.clients !== undefined) await repair.clients(inspection.clients, inspection.channels.length > 0);
  // Not where a single channel was asked for. Last: as long as it is there a repair that was cut short is no start.
  if (inspection.isServerDamaged && inspection.clients !== undefined) await repair.server();
  return repair.actions;
}

class Repair {
  readonly actions: string[] = [];
  readonly #disk: Disk;
  readonly #dir: string;
  readonly #crc: Crc32;
  readonly #readBytes: (count: number) => void;

  constructor(disk: Disk, dir: string, crc: Crc32, readBytes: (count: number) => void) {
    this.#disk = disk;
    this.#dir = dir;
    this.#crc = crc;
    this.#readBytes = readBytes;
  }

  async channel(channel: ChannelInspection): Promise<void> {
    const { directory, log, misnamed, name, hasForeignMark } = channel;
    for (const file of misnamed) this.#moveAside(`${directory}/${file}`);
    if (hasForeignMark) this.#moveAside(purgeMarkPath(directory));
    const bytes = bytesOf(byteStringOfText(name));
    for (const plan of log.slices) await this.#slice(plan, directory, bytes);
    await this.#subscriptions(channel);
    await this.#syncDirectory(directory);
  }

  async clients(clients: TypedInspection, isStore: boolean): Promise<void> {
    if (clients.version === "missing" && !isStore) return;
    await this.#typed(clients, this.#dir);
  }

  async server(): Promise<void> {
    this.#moveAside(`${this.#dir}/${STORE_FILES.server}`);
    await this.#syncDirectory(this.#dir);
  }

  // Messages -----------------------------------------------------------------------------------------------------------

  async #slice(plan: SlicePlan, directory: string, channel: Uint8Array): Promise<void> {
    const { slice, cut } = plan;
    if (plan.data === "stays" && plan.index === "stays") return;
    const data = this.#disk.open(slice.dataPath, plan.data === "cut" ? "update" : "read");
    let written: Written;
    try {
      for (const { start, end, keep } of cut) if (keep) this.#keep(data, slice.dataPath, start, end);
      if (typeof slice.version === "number" && slice.segments.length === 0 && cut.length === 0) {
        this.#keep(data, slice.dataPath, 0, slice.sizeBytes);
      }
      // What is kept must be safe before its original goes.
      if (cut.some(({ keep }) => keep)) await this.#syncDirectory(directory);
      written = this.#writeSlice(plan, data, channel);
      if (plan.data === "cut") {
        data.truncate(cut[0]!.start);
        data.syncNow();
      }
    } finally {
      data.close();
    }
    // Without an index the data file alone counts, so that a crash between the two renames leaves no pair that disagrees.
    if (this.#disk.stat(slice.indexPath) !== undefined && plan.data === "rewritten") {
      this.#disk.remove(slice.indexPath);
      await this.#syncDirectory(directory);
    }
    if (written.dataPath !== "") this.#replace(written.dataPath, slice.dataPath);
    await this.#syncDirectory(directory);
    this.#replace(written.indexPath, slice.indexPath);
    const file = this.#relative(slice.dataPath);
    if (plan.data === "rewritten") {
      const made = written.emptyCount === 0 ? "" : `, ${emptyText(plan.pieces)}`;
      this.actions.push(`${file} was written anew with ${written.messageCount} messages${made}`);
    } else if (plan.data === "cut") this.actions.push(`${file} was cut off at byte ${cut[0]!.start}`);
    this.actions.push(`${this.#relative(slice.indexPath)} was built anew from the data file`);
  }

  /** Writes the new index, and the new data file where one is wanted, beside the old ones. */
  #writeSlice(plan: SlicePlan, data: DiskFile, channel: Uint8Array): Written {
    const { slice } = plan;
    const crc = this.#crc;
    const indexPath = temporaryName(slice.indexPath);
    const dataPath = plan.data === "rewritten" ? temporaryName(slice.dataPath) : "";
    const index = new Writer(this.#disk, indexPath);
    const copy = dataPath === "" ? undefined : new Writer(this.#disk, dataPath);
    let messageCount = 0;
    let emptyCount = 0;
    let isDone = false;
    try {
      const entry = new Uint8Array(INDEX_RECORD_BYTES);
      const empty = new Uint8Array(EMPTY_MESSAGE_BYTES_MAX + channel.length);
      const view = new MsgProtoView();
      const add = (sequence: number, offset: number, stampHigh: number, stampLow: number, size: number) => {
        writeIndexRecord(entry, 0, sequence, offset, stampHigh, stampLow, size, crc);
        index.write(entry, 0, entry.length);
        messageCount++;
      };
      for (const piece of plan.pieces) {
        if (piece.kind === "empty") {
          const { sequence, stamp: { high, low } } = piece;
          const start = RECORD_HEADER_BYTES;
          const end = encodeMsgProto(empty, start, sequence, channel, 0, channel.length, empty, 0, 0, 0, 0, high, low);
          writeRecordHeader(empty, 0, 0, end - start, crc);
          add(sequence, copy!.position, high, low, end - start);
          copy!.write(empty, 0, end);
          emptyCount++;
          continue;
        }
        let last = piece.lastBefore;
        const source = sourceOf(data, { disk: this.#disk, crc, readBytes: this.#readBytes }, piece.end);
        const rules = messageRules(view, () => view.sequence > last);
        scanRecords(source, piece.start, rules, crc, (position, _type, bytes, start, end) => {
          last = view.sequence;
          add(last, copy?.position ?? position, view.stampHigh, view.stampLow, end - start);
          copy?.write(bytes, start - RECORD_HEADER_BYTES, end);
        });
      }
      copy?.finish();
      index.finish();
      isDone = true;
    } finally {
      copy?.close(isDone);
      index.close(isDone);
    }
    return { indexPath, dataPath, messageCount, emptyCount };
  }

  // Typed files --------------------------------------------------------------------------------------------------------

  async #subscriptions({ directory, log, subscriptions, positionsToPutBack, name }: ChannelInspection): Promise<void> {
    if (positionsToPutBack.length === 0) return await this.#typed(subscriptions, directory);
    // What is damaged is kept before the state is written as a compaction writes it (stores.md 5.10).
    await this.#keepBad(subscriptions, directory);
    const { path } = subscriptions;
    const crc = this.#crc;
    const temporary = temporaryName(path);
    const writer = new Writer(this.#disk, temporary);
    const write = (bytes: Uint8Array) => writer.write(bytes, 0, bytes.length);
    try {
      let idLive = 0;
      for (const { record, pending } of subscriptions.subscriptions.values()) {
        idLive = Math.max(idLive, record.id);
        const lastSent = Math.min(record.lastSent, log.lastSequence);
        write(encodeRecord(SUBSCRIPTION_RECORD.create, encodeSubState({ ...record, lastSent }), crc));
        const bytes = new Uint8Array(POSITION_RECORD_BYTES_MAX);
        for (const sequence of pending.sorted()) {
          if (sequence > log.lastSequence) continue;
          writer.write(bytes, 0, writePositionRecord(bytes, 0, SUBSCRIPTION_RECORD.pending, record.id, sequence, crc));
        }
      }
      // The id of a subscription that is gone is not given again (stores.md 4.6).
      const { idMax } = subscriptions;
      if (idMax > idLive) write(encodeRecord(SUBSCRIPTION_RECORD.delete, encodeSubStateDelete({ id: idMax }), crc));
      writer.finish();
    } finally {
      writer.close();
    }
    this.#replace(temporary, path);
    await this.#syncDirectory(directory);
    const which = positionsToPutBack.length === 1
      ? `subscription ${positionsToPutBack[0]} goes`
      : `subscriptions ${positionsToPutBack.join(", ")} go`;
    this.actions.push(`${name}/${STORE_FILES.subscriptions} was written anew: ${which} on behind ${log.lastSequence}`);
  }

  /** A file without the ranges that are no records. */
  async #typed(file: TypedInspection, directory: string): Promise<void> {
    const { path, version, good, bad } = file;
    if (version === "right" && bad.length === 0) return;
    await this.#keepBad(file, directory);
    const temporary = temporaryName(path);
    const writer = new Writer(this.#disk, temporary);
    try {
      if (good.length > 0) {
        const old = this.#disk.open(path, "read");
        try {
          for (const { start, end } of good) writer.copy(old, start, end);
        } finally {
          old.close();
        }
      }
      writer.finish();
    } finally {
      writer.close();
    }
    this.#replace(temporary, path);
    await this.#syncDirectory(directory);
    const isNew = version === "missing" || version === "none";
    this.actions.push(`${this.#relative(path)} was ${isNew ? "begun anew" : "written anew without what is no record"}`);
  }

  async #keepBad({ path, bad, version, sizeBytes, good }: TypedInspection, directory: string): Promise<void> {
    const isForeign = typeof version === "number" && good.length === 0;
    const ranges = isForeign
      ? [{ start: 0, end: sizeBytes, kind: "damage" }]
      : bad.filter(({ kind }) => kind !== "zeros");
    if (ranges.length === 0) return;
    const file = this.#disk.open(path, "read");
    try {
      for (const { start, end } of ranges) this.#keep(file, path, start, end);
    } finally {
      file.close();
    }
    await this.#syncDirectory(directory);
  }

  // Files --------------------------------------------------------------------------------------------------------------

  /** Copies a range of a file to a dot file beside it. */
  #keep(file: DiskFile, path: string, start: number, end: number): void {
    const aside = this.#freeName(asideName(path, start));
    const writer = new Writer(this.#disk, aside, false);
    try {
      writer.copy(file, start, end);
      writer.finish();
    } finally {
      writer.close();
    }
    this.actions.push(
      `${end - start} bytes of ${this.#relative(path)} from byte ${start} are kept in ${this.#relative(aside)}`,
    );
  }

  #moveAside(path: string): void {
    const at = path.lastIndexOf("/") + 1;
    const name = path.slice(at);
    const aside = this.#freeName(`${path.slice(0, at)}${name.startsWith(".") ? "" : "."}${name}.aside`);
    this.#disk.rename(path, aside);
    this.actions.push(`${this.#relative(path)} was moved to ${this.#relative(aside)}`);
  }

  /** An earlier repair may have kept something under that name. */
  #freeName(path: string): string {
    let name = path;
    for (let number = 2; this.#disk.stat(name) !== undefined; number++) name = `${path}.${number}`;
    return name;
  }

  /** Puts a finished file in the place of another, with its mode. */
  #replace(temporary: string, path: string): void {
    const before = this.#disk.stat(path);
    if (before !== undefined) this.#disk.changeMode(temporary, before.mode);
    this.#disk.rename(temporary, path);
  }

  #syncDirectory(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#disk.syncDirectory(path, (error) => error === undefined ? resolve() : reject(error));
    });
  }

  #relative(path: string): string {
    return path.slice(this.#dir.length + 1);
  }
}

interface Written {
  readonly indexPath: string;
  /** Empty: the data file stays. */
  readonly dataPath: string;
  readonly messageCount: number;
  readonly emptyCount: number;
}

/** A new file, written in large pieces. One that is closed before it is finished goes again. */
class Writer {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #file: DiskFile;
  readonly #chunk = new Uint8Array(CHUNK_BYTES);
  #used = 0;
  #flushed = 0;
  #isFinished = false;

  constructor(disk: Disk, path: string, hasVersion = true) {
    this.#disk = disk;
    this.#path = path;
    this.#file = disk.open(path, "replace");
    if (hasVersion) this.write(versionBytes(), 0, VERSION_BYTES);
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#flushed + this.#used;
  }

  write(bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end;) {
      if (this.#used === CHUNK_BYTES) this.#flush();
      const count = Math.min(end - at, CHUNK_BYTES - this.#used);
      this.#chunk.set(bytes.subarray(at, at + count), this.#used);
      this.#used += count;
      at += count;
    }
  }

  copy(from: DiskFile, start: number, end: number): void {
    const piece = new Uint8Array(Math.min(CHUNK_BYTES, end - start));
    for (let at = start; at < end;) {
      const count = from.read(piece, 0, Math.min(piece.length, end - at), at);
      if (count === 0) break;
      this.write(piece, 0, count);
      at += count;
    }
  }

  #flush(): void {
    this.#file.write(this.#chunk, 0, this.#used, this.#flushed);
    this.#flushed += this.#used;
    this.#used = 0;
  }

  finish(): void {
    this.#flush();
    this.#file.syncNow();
    this.#isFinished = true;
  }

  /** `isWanted`: false when what belongs to it could not be finished. */
  close(isWanted = true): void {
    this.#file.close();
    // On a disk that is full it would be in the way of the next attempt.
    if (!this.#isFinished || !isWanted) this.#disk.remove(this.#path);
  }
}

/** Begins with a dot: what a crash leaves of it is read by nobody. */
function temporaryName(path: string): string {
  const at = path.lastIndexOf("/") + 1;
  return `${path.slice(0, at)}.${path.slice(at)}.repair`;
}

/** `of which messages 5, 7 to 9 are empty` */
function emptyText(pieces: readonly Piece[]): string {
  const ranges: { first: number; last: number }[] = [];
  for (const piece of pieces) {
    if (piece.kind !== "empty") continue;
    const range = ranges.at(-1);
    if (range !== undefined && range.last + 1 === piece.sequence) range.last = piece.sequence;
    else ranges.push({ first: piece.sequence, last: piece.sequence });
  }
  const texts = ranges.map(({ first, last }) => first === last ? `${first}` : `${first} to ${last}`);
  const isOne = ranges.length === 1 && ranges[0]!.first === ranges[0]!.last;
  return `of which ${isOne ? "message" : "messages"} ${texts.join(", ")} ${isOne ? "is" : "are"} empty`;
}
