/**
 * From bytes to state: what is in the files of a store, what is wrong with them, and what would put it right (stores.md 6).
 * With `apply` false nothing is changed: that is what `check` runs. Here is what holds for every file, and server.dat;
 * messages are in `recover_messages.ts` and `recover_slice.ts`, clients and subscriptions in `recover_typed.ts`.
 */
import type { Disk, DiskFile } from "../../runtime/types.ts";
import { decodeServerInfo } from "../../wire/stan_server.ts";
import { type ServerRecord, StoreError } from "../types.ts";
import type { Crc32 } from "./crc.ts";
import type { Finding } from "./findings.ts";
import { checksumText, FILE_VERSION, isZero, readU32, RECORD_HEADER_BYTES, VERSION_BYTES } from "./format.ts";
import type { DescriptorPool } from "./log_file.ts";
import { type ByteSource, countUnchecked, type RecordRules, type ScanResult, Window } from "./scan.ts";
import { messageOf } from "./shared.ts";

/** A file with more bytes to keep aside than this is cut all the same; a copy of so much would hinder the start. */
const ASIDE_BYTES_MAX = 64 * 1024 * 1024;

/** What recovery works with. */
export interface RecoverContext {
  readonly disk: Disk;
  readonly pool: DescriptorPool;
  readonly crc: Crc32;
  readonly checkCrc: boolean;
  /** False: look only. */
  readonly apply: boolean;
  report(finding: Finding): void;
}

/** An open file, as scanning reads it. */
export function sourceOf(file: DiskFile): ByteSource {
  const size = file.sizeBytes();
  return { size, read: (into, start, end, position) => file.read(into, start, end, position) };
}

/**
 * The version of an open file: right; none yet (empty, or zeros only); lost, with something behind it, as a power cut leaves
 * a file whose first bytes never arrived; or an error with the reference's text.
 */
export function readVersion(file: DiskFile, size: number, path: string): "right" | "none" | "lost" {
  if (size === 0) return "none";
  const head = new Uint8Array(Math.min(size, 64));
  file.read(head, 0, head.length, 0);
  if (size < VERSION_BYTES) {
    // What a crash between creating a file and writing to it leaves: nothing was in it.
    return "none";
  }
  const version = readU32(head, 0);
  if (version === FILE_VERSION) return "right";
  if (version === 0) return isAllZero(sourceOf(file)) ? "none" : "lost";
  throw new StoreError(
    "STORE_DAMAGED",
    `unsupported file version: ${version} (supports [${FILE_VERSION}..${FILE_VERSION}]) in "${path}". Nothing was changed`,
  );
}

function isAllZero(source: ByteSource): boolean {
  const window = new Window(source);
  for (let at = 0; at < source.size;) {
    const count = Math.min(64 * 1024, source.size - at);
    const start = window.at(at, count);
    if (start < 0 || !isZero(window.bytes, start, start + count)) return false;
    at += count;
  }
  return true;
}

/** What is said where {@link readVersion} answers "lost", and what is done then. */
export const LOST_VERSION = "the version is missing in front of records";
export const LOST_VERSION_MENDED = "it is put back";

/** Name of the file that keeps what was cut off `path` at `offset`: plain, with a dot, so that no server reads it. */
export function asideName(path: string, offset: number): string {
  const at = path.lastIndexOf("/") + 1;
  return `${path.slice(0, at)}.${path.slice(at)}.cut-${offset}`;
}

/** A copy for people. Without it the start goes on: a full disk must not keep the server from serving. */
export function keepAside(
  { disk, report }: RecoverContext,
  channel: string,
  file: DiskFile,
  path: string,
  start: number,
  end: number,
): void {
  try {
    const bytes = new Uint8Array(Math.min(end - start, ASIDE_BYTES_MAX));
    file.read(bytes, 0, bytes.length, start);
    const aside = disk.open(asideName(path, start), "replace");
    try {
      aside.write(bytes, 0, bytes.length, 0);
      aside.syncNow();
    } finally {
      aside.close();
    }
  } catch (error) {
    const text = `the bytes that are cut off cannot be kept (${messageOf(error)})`;
    report({ level: "damaged", channel, path, offset: start, text });
  }
}

/**
 * How many whole records a file has none of whose checksums is right. They were written with another polynomial, or what would
 * be cut off as a torn tail is the whole file: a start refuses that. 0: so it is not; a single one may be torn.
 */
export function foreignRecordCount(source: ByteSource, rules: RecordRules, { bad }: ScanResult, crc: Crc32): number {
  if (bad[0]?.kind !== "torn" || bad[0].start !== VERSION_BYTES) return 0;
  const count = countUnchecked(source, VERSION_BYTES, rules, crc);
  return count < 2 ? 0 : count;
}

/** Said of such a file. */
export function foreignRecordsText(count: number): string {
  return `no checksum is right, although ${count} records are whole`;
}

/** Called for a file without one right record. */
export function refuseOtherPolynomial(
  { crc, checkCrc }: RecoverContext,
  source: ByteSource,
  rules: RecordRules,
  result: ScanResult,
  path: string,
): void {
  const count = checkCrc ? foreignRecordCount(source, rules, result, crc) : 0;
  if (count === 0) return;
  throw new StoreError(
    "STORE_DAMAGED",
    `"${path}": ${foreignRecordsText(count)}. If the store was written with another file_crc_poly than ` +
      `${crc.polynomial}, start with that one; if not, the file is damaged as a whole, and the command repair takes it ` +
      `out and keeps its bytes. Nothing was changed`,
  );
}

/** server.dat: undefined = there is no information yet. Everything else that is wrong stops the start (stores.md 6.1). */
export function recoverServer(context: RecoverContext, path: string): ServerRecord | undefined {
  const { disk, crc, checkCrc } = context;
  if (disk.stat(path) === undefined) return undefined;
  const file = disk.open(path, "read");
  try {
    const size = file.sizeBytes();
    const bytes = new Uint8Array(size);
    file.read(bytes, 0, size, 0);
    const fail = (why: string): never => {
      throw new StoreError(
        "STORE_DAMAGED",
        `unable to recover server file "${path}": ${why}. Nothing was changed. ` +
          `If the file cannot be had from a backup, move it away: it is made anew and the channels are kept`,
      );
    };
    if (size < VERSION_BYTES) fail("unable to verify file version: EOF");
    const version = readU32(bytes, 0);
    if (version !== FILE_VERSION) fail(`unsupported file version: ${version} (supports [1..1])`);
    if (size === VERSION_BYTES) return undefined;
    const start = VERSION_BYTES + RECORD_HEADER_BYTES;
    if (size < start) fail("unexpected EOF");
    const payload = readU32(bytes, VERSION_BYTES);
    if (payload === 0) fail("end of file padded with zeros");
    if (start + payload > size) fail("unexpected EOF");
    const stored = readU32(bytes, VERSION_BYTES + 4);
    const actual = crc.of(bytes, start, start + payload);
    if (checkCrc && stored !== actual) {
      fail(`corrupted data, expected crc to be ${checksumText(stored)}, got ${checksumText(actual)}`);
    }
    if (start + payload !== size) fail(`incorrect file size, expected ${start + payload} bytes, got ${size} bytes`);
    const record = decodeServerInfo(bytes, start, size);
    return record ?? fail("the record cannot be decoded");
  } finally {
    file.close();
  }
}
