/** Opening, filling and reading FILE stores in temporary directories, for tests of single rules. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileStore, type FileStoreWorld } from "../../../src/store/file/file_store.ts";
import { FILE_STORE_DEFAULTS, type FileStoreOptions } from "../../../src/store/file/options.ts";
import {
  type ChannelLimits,
  type ChannelStore,
  LOOKUP_FAILED,
  LOOKUP_FOUND,
  LOOKUP_LATER,
  type LookupResult,
  type MessageStore,
  type MessageView,
  type RecoveredState,
  type StoreLimits,
} from "../../../src/store/types.ts";
import { decodeMsgProto, MsgProtoView } from "../../../src/wire/stan_hot.ts";
import { fileStoreWorld, RecordingLog } from "../../helpers/file_store.ts";
import { TEST_SERVER, testLimits } from "./suite.ts";

const golden = new URL("../../golden/filestore/", import.meta.url).pathname;

/** 2026-01-01 in nanoseconds. */
export const EPOCH_NS = 1_767_225_600_000_000_000n;

export interface Opened {
  readonly store: FileStore;
  /** Undefined: there was nothing to recover. */
  readonly state: RecoveredState | undefined;
  readonly log: RecordingLog;
}

/** A directory for stores, and everything that tests do with it. Removed by `end`. */
export class StoreDirectory {
  readonly #root = mkdtempSync(join(tmpdir(), "stanchion-file-"));
  readonly dir = join(this.#root, "store");
  readonly #open: FileStore[] = [];

  /** A copy of a directory that the reference wrote. */
  copyGolden(name: string): this {
    cpSync(join(golden, name), this.dir, { recursive: true });
    return this;
  }

  /** The same files elsewhere, as after a crash of the process: what the system has is there. */
  crashed(): StoreDirectory {
    const other = new StoreDirectory();
    cpSync(this.dir, other.dir, { recursive: true });
    return other;
  }

  async open(
    options: Partial<FileStoreOptions> = {},
    limits: StoreLimits | Partial<ChannelLimits> = {},
    parts: Partial<FileStoreWorld> = {},
  ): Promise<Opened> {
    const log = new RecordingLog();
    const store = new FileStore(
      "forChannel" in limits ? limits : testLimits(limits),
      { ...FILE_STORE_DEFAULTS, dir: this.dir, ...options },
      await fileStoreWorld({ log, ...parts }),
    );
    this.#open.push(store);
    try {
      const state = await store.recover();
      if (state === undefined) store.init(TEST_SERVER);
      return { store, state, log };
    } catch (error) {
      // As a server does whose start fails: the directory is free for the next one.
      await store.close();
      throw error;
    }
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  bytes(name: string): Uint8Array {
    return new Uint8Array(readFileSync(this.path(name)));
  }

  names(name = ""): string[] {
    return readdirSync(join(this.dir, name)).sort();
  }

  async end(): Promise<void> {
    for (const store of this.#open) await store.close();
    rmSync(this.#root, { recursive: true, force: true });
  }
}

/** Runs `work` with a fresh directory. */
export async function inDirectory(work: (directory: StoreDirectory) => Promise<void>): Promise<void> {
  const directory = new StoreDirectory();
  try {
    await work(directory);
  } finally {
    await directory.end();
  }
}

/** Appends one message `ms` milliseconds behind the epoch of these tests. */
export function put(
  messages: MessageStore,
  sequence: number,
  text: string | Uint8Array,
  ms = sequence,
  reply = "",
): number {
  const data = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const replyBytes = new TextEncoder().encode(reply);
  const source = new Uint8Array(data.length + replyBytes.length);
  source.set(replyBytes);
  source.set(data, replyBytes.length);
  const stamp = EPOCH_NS + BigInt(ms) * 1_000_000n;
  return messages.append(
    sequence,
    Number(stamp >> 32n),
    Number(stamp & 0xffff_ffffn),
    source,
    0,
    replyBytes.length,
    replyBytes.length,
    source.length,
  );
}

/** Sequences `first` to `last`, each with the payload `m-SEQUENCE`. */
export function fill(messages: MessageStore, first: number, last: number): void {
  for (let sequence = first; sequence <= last; sequence++) assert.ok(put(messages, sequence, `m-${sequence}`) > 0);
}

export interface Found {
  readonly result: LookupResult;
  readonly text: string;
  readonly redelivered: boolean;
  readonly stampNs: bigint;
}

/** Looks one message up, waiting for the disk. */
export async function find(messages: MessageStore, sequence: number): Promise<Found> {
  const view: MessageView = { buffer: new Uint8Array(0), start: 0, end: 0 };
  let result = messages.lookup(sequence, view);
  while (result === LOOKUP_LATER) {
    await new Promise<void>((resolve) => messages.onReadable = resolve);
    result = messages.lookup(sequence, view);
  }
  if (result !== LOOKUP_FOUND) return { result, text: "", redelivered: false, stampNs: 0n };
  const message = new MsgProtoView();
  assert.ok(decodeMsgProto(view.buffer, view.start, view.end, message));
  return {
    result,
    text: new TextDecoder().decode(view.buffer.subarray(message.dataStart, message.dataEnd)),
    redelivered: message.redelivered,
    stampNs: (BigInt(message.stampHigh) << 32n) | BigInt(message.stampLow),
  };
}

/** Everything that can be read, as `SEQUENCE=TEXT`. */
export async function readAll(messages: MessageStore): Promise<string[]> {
  const found: string[] = [];
  for (let sequence = Math.max(1, messages.firstSequence); sequence <= messages.lastSequence; sequence++) {
    const { result, text } = await find(messages, sequence);
    assert.notEqual(result, LOOKUP_FAILED, `message ${sequence}`);
    if (result === LOOKUP_FOUND) found.push(`${sequence}=${text}`);
  }
  return found;
}

export function texts(first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => `${first + i}=m-${first + i}`);
}

/** first, last, count, bytes. */
export function stateOf(messages: MessageStore): number[] {
  return [messages.firstSequence, messages.lastSequence, messages.messageCount, messages.byteCount];
}

/** What a recovery says of subscriptions, for comparing. */
export function subscriptionsOf(
  { state }: Opened,
  channel: string,
): readonly (readonly [number, string, number, readonly number[]])[] {
  const found = state?.channels.find(({ store }) => store.name === channel);
  return (found?.subscriptions ?? []).map(({ record, pending }) =>
    [record.id, record.clientId, record.lastSent, [...pending]] as const
  );
}

export function channelOf({ store }: Opened, name: string): ChannelStore {
  const channel = store.channel(name);
  assert.ok(channel !== undefined, `channel ${name}`);
  return channel;
}
