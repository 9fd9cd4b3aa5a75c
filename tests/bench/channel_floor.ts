/**
 * The least that a message can cost a store with many channels, published to in turn: find the channel's record, compare its
 * name, write the message and its index entry where they belong. No server is in it, and no object per channel. Prints ns per
 * message and what they are beside one channel, twice: with memory of each channel's own, and with one log for all, as the
 * MEMORY store has it. What either costs more with many channels is what the caches of the machine do not hold.
 *
 *     bun tests/bench/channel_floor.ts
 */
import { copyRange } from "../../src/base/bytes.ts";
import { pickRuntime } from "../../src/runtime/pick.ts";
import { figure } from "./report.ts";
import { median } from "./statistics.ts";

const CHANNELS = [1, 100, 1000, 10_000];
const MESSAGES = 700_000;
const ROUNDS = 3;
/** A MsgProto with 128 bytes of payload, and its index entry. */
const MESSAGE_BYTES = 172;
const ENTRY_WORDS = 3;
/** Of a channel's own memory. */
const SLAB_BYTES = 16 * 1024;
const PAGE_BYTES = 64 * 1024;
const LOG_BYTES = 128 * 1024 * 1024;
/** One line of the cache for each channel's name and one for its record. */
const NAME_BYTES = 64;
const NAME_LENGTH = 12;
const RECORD_WORDS = 16;

const source = new Uint8Array(64 * 1024);

interface Floor {
  store(channel: number, from: number): void;
}

function compareName(names: Uint8Array, channel: number): void {
  const at = channel * NAME_BYTES;
  for (let i = 0; i < NAME_LENGTH; i++) if (names[at + i] !== 65) throw new Error("another name");
}

/** Each channel has a slab; its record says where the next message and the next entry go. */
function ownMemory(channels: number): Floor {
  const names = new Uint8Array(channels * NAME_BYTES).fill(65);
  const records = new Int32Array(channels * RECORD_WORDS);
  const slabsEach = PAGE_BYTES / SLAB_BYTES | 0;
  const pages = Array.from({ length: Math.ceil(channels / slabsEach) }, () => new ArrayBuffer(PAGE_BYTES));
  const bytes = pages.map((page) => new Uint8Array(page));
  const words = pages.map((page) => new Uint32Array(page));
  const startOf = (channel: number) => (channel % slabsEach) * SLAB_BYTES | 0;
  const firstEntry = (channel: number) => ((startOf(channel) + SLAB_BYTES) >>> 2) - ENTRY_WORDS | 0;
  for (let i = 0; i < channels; i++) {
    records[i * RECORD_WORDS] = startOf(i);
    records[i * RECORD_WORDS + 1] = firstEntry(i);
    records[i * RECORD_WORDS + 2] = i / slabsEach;
  }
  return {
    store(channel, from) {
      compareName(names, channel);
      const record = channel * RECORD_WORDS | 0;
      let at = records[record]!;
      let entry = records[record + 1]!;
      if (at + MESSAGE_BYTES > entry * 4) {
        at = startOf(channel);
        entry = firstEntry(channel);
      }
      const page = records[record + 2]!;
      const index = words[page]!;
      const sequence = records[record + 3]! + 1 | 0;
      index[entry] = at;
      index[entry + 1] = sequence;
      index[entry + 2] = from;
      copyRange(bytes[page]!, at, source, from, from + MESSAGE_BYTES);
      records[record] = at + MESSAGE_BYTES | 0;
      records[record + 1] = entry - ENTRY_WORDS | 0;
      records[record + 3] = sequence;
    },
  };
}

/** Messages of all channels stand one behind the other; each channel has its index. */
function oneLog(channels: number): Floor {
  const names = new Uint8Array(channels * NAME_BYTES).fill(65);
  const records = new Int32Array(channels * RECORD_WORDS);
  const entriesEach = 128;
  const index = new Uint32Array(channels * entriesEach * ENTRY_WORDS);
  const log = new Uint8Array(LOG_BYTES);
  let at = 0;
  return {
    store(channel, from) {
      compareName(names, channel);
      const record = channel * RECORD_WORDS | 0;
      const sequence = records[record]! + 1 | 0;
      if (at + MESSAGE_BYTES > LOG_BYTES) at = 0;
      const entry = (channel * entriesEach + (sequence & (entriesEach - 1))) * ENTRY_WORDS | 0;
      index[entry] = at;
      index[entry + 1] = sequence;
      index[entry + 2] = from;
      copyRange(log, at, source, from, from + MESSAGE_BYTES);
      at = at + MESSAGE_BYTES | 0;
      records[record] = sequence;
    },
  };
}

function nanosOf({ store }: Floor, channels: number): number {
  const startedAt = performance.now();
  for (let i = 0, channel = 0; i < MESSAGES; i++) {
    store(channel, i & 0x7fff);
    if (++channel === channels) channel = 0;
  }
  return (performance.now() - startedAt) * 1e6 / MESSAGES;
}

// Installs the copy that the server uses on this runtime.
await pickRuntime();
console.log("channels   own memory ns          one log ns");
const first = { own: 0, log: 0 };
for (const channels of CHANNELS) {
  const own: number[] = [];
  const log: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const floors = [ownMemory(channels), oneLog(channels)] as const;
    // Once to touch the memory: fresh pages cost the same however many channels there are.
    for (const floor of floors) nanosOf(floor, channels);
    const nanos = floors.map((floor) => nanosOf(floor, channels));
    // The first round is compiled while it runs.
    if (round === 0) continue;
    own.push(nanos[0]!);
    log.push(nanos[1]!);
  }
  if (channels === 1) Object.assign(first, { own: median(own), log: median(log) });
  const shown = (nanos: number, one: number) =>
    `${nanos.toFixed(0).padStart(10)} (${figure(nanos / one)}x, +${(nanos - one).toFixed(0)})`;
  console.log(`${String(channels).padStart(8)} ${shown(median(own), first.own)} ${shown(median(log), first.log)}`);
}
