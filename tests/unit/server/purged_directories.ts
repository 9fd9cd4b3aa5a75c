/**
 * Directories in which a channel "foo" was purged, in every state that a purge, a crash, the reference or a bad disk leaves, for
 * tests of all that reads a directory without a server. Ten messages in slices of four, unless something else is said.
 */
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { PURGE_FILE, type PurgeMark, readPurgeMarks, writePurgeMarks } from "../../../src/store/file/purge_mark.ts";
import type { MessageStore } from "../../../src/store/types.ts";
import { channelOf, fill, put, readAll, stateOf, StoreDirectory } from "../../conformance/store/file_support.ts";

const { disk } = await pickRuntime();
const SLICES = { sliceMaxMessages: 4 };

/** A state of a directory. */
export interface PurgedDirectory {
  readonly name: string;
  /** How far the channel is purged; 0: nothing counts as purged. */
  readonly purged: number;
  /** Leaves the state in a directory that nothing was in. */
  make(directory: StoreDirectory): Promise<void>;
}

/** A directory that holds what the name says; the caller ends it. */
export async function purgedDirectory({ make }: PurgedDirectory): Promise<StoreDirectory> {
  const made = new StoreDirectory();
  try {
    await make(made);
    // What a killed server leaves: nothing was closed.
    return made.crashed();
  } finally {
    await made.end();
  }
}

/**
 * What a server has of "foo" after a start: first, last, count, bytes; its messages; the mark that counts, 0: none does; and all
 * that the start had to say.
 */
export async function startedOn(directory: StoreDirectory) {
  const copy = directory.crashed();
  try {
    const opened = await copy.open();
    const { messages } = channelOf(opened, "foo");
    const state = stateOf(messages);
    const lines = opened.log.warnings;
    // A start leaves the mark that counts in front of all others, or no file.
    const marked = copy.names("foo").includes(PURGE_FILE) ? marksOf(copy)[0]?.sequence ?? 0 : 0;
    return { state, messages: await readAll(messages), marked, lines };
  } finally {
    await copy.end();
  }
}

/** The marks in the directory of "foo", the newest first. */
export function marksOf(directory: StoreDirectory): PurgeMark[] {
  return readPurgeMarks(disk, directory.path("foo"));
}

/** Puts marks into the directory of "foo". */
export function mark(directory: StoreDirectory, ...marks: PurgeMark[]): void {
  writePurgeMarks(disk, directory.path("foo"), marks);
}

async function filled(directory: StoreDirectory, last = 10): Promise<MessageStore> {
  const { store } = await directory.open(SLICES);
  const { messages } = store.createChannel("foo");
  fill(messages, 1, last);
  await store.flush();
  await messages.flush();
  return messages;
}

async function purged(directory: StoreDirectory, upTo: number): Promise<MessageStore> {
  const messages = await filled(directory);
  messages.purge(upTo);
  await messages.flush();
  // What the store asks for by itself: it makes the marker safe, and the slices before it go.
  await messages.flush();
  return messages;
}

/** The marker is safe, but slices that should have gone are there. */
async function interrupted(directory: StoreDirectory, last: number): Promise<void> {
  const messages = await filled(directory);
  const before = directory.crashed();
  messages.purge(10);
  await messages.flush();
  await messages.flush();
  if (last > 10) fill(messages, 11, last);
  await messages.flush();
  const names = directory.names("foo");
  for (const name of before.names("foo")) {
    if (!names.includes(name)) copyFileSync(before.path(`foo/${name}`), directory.path(`foo/${name}`));
  }
  await before.end();
  assert.deepEqual(directory.names("foo").filter((name) => name.endsWith(".dat")), [
    ...["msgs.1.dat", "msgs.2.dat", "msgs.3.dat", "msgs.4.dat", "subs.dat"],
  ]);
}

/** What the reference's Empty removes, and what it stores then; the mark stays, because it does not know it. */
async function begunAnew(directory: StoreDirectory, count: number): Promise<void> {
  await purged(directory, 10);
  const marked = readFileSync(directory.path("foo/.purged"));
  const anew = new StoreDirectory();
  const { store } = await anew.open(SLICES);
  const { messages } = store.createChannel("foo");
  for (let sequence = 1; sequence <= count; sequence++) put(messages, sequence, `anew-${sequence}`, 5000 + sequence);
  await store.flush();
  await messages.flush();
  for (const name of directory.names("foo")) rmSync(directory.path(`foo/${name}`));
  for (const name of anew.names("foo")) copyFileSync(anew.path(`foo/${name}`), directory.path(`foo/${name}`));
  writeFileSync(directory.path("foo/.purged"), marked);
  await anew.end();
}

export const PURGED_DIRECTORIES: readonly PurgedDirectory[] = [
  { name: "never purged", purged: 0, make: async (directory) => void await filled(directory) },
  { name: "purged of everything", purged: 10, make: async (directory) => void await purged(directory, 10) },
  {
    name: "killed when the mark of a purge of everything was written",
    purged: 10,
    make: async (directory) => (await filled(directory)).purge(10),
  },
  {
    name: "killed before the slices of a purge of everything went",
    purged: 10,
    make: (directory) => interrupted(directory, 10),
  },
  {
    name: "killed before the slices of a purge of everything went, but after new messages came",
    purged: 10,
    make: (directory) => interrupted(directory, 12),
  },
  {
    name: "purged of everything, then new messages",
    purged: 10,
    make: async (directory) => {
      const messages = await purged(directory, 10);
      fill(messages, 11, 16);
      await messages.flush();
    },
  },
  { name: "purged in the middle of a slice", purged: 6, make: async (directory) => void await purged(directory, 6) },
  { name: "purged up to the end of a slice", purged: 8, make: async (directory) => void await purged(directory, 8) },
  {
    name: "purged in the middle of a slice, then new messages",
    purged: 6,
    make: async (directory) => {
      const messages = await purged(directory, 6);
      fill(messages, 11, 13);
      await messages.flush();
    },
  },
  {
    name: "purged twice, killed when the second mark was written",
    purged: 9,
    make: async (directory) => (await purged(directory, 6)).purge(9),
  },
  {
    name: "purged of messages that a power cut took",
    purged: 6,
    make: async (directory) => {
      await purged(directory, 6);
      const [safe] = marksOf(directory);
      mark(directory, { sequence: 12, stampHigh: 1, stampLow: 1 }, safe!);
    },
  },
  {
    name: "purged, of which only the sequence is known",
    purged: 6,
    make: async (directory) => {
      await purged(directory, 6);
      mark(directory, { sequence: 6, stampHigh: 0, stampLow: 0 });
    },
  },
  {
    name: "purged, without an index",
    purged: 6,
    make: async (directory) => {
      await purged(directory, 6);
      for (const name of directory.names("foo")) if (name.endsWith(".idx")) rmSync(directory.path(`foo/${name}`));
    },
  },
  ...[3, 10, 12].map((count) => ({
    name: `purged, then begun anew by the reference with ${count} messages`,
    purged: 0,
    make: (directory: StoreDirectory) => begunAnew(directory, count),
  })),
];
