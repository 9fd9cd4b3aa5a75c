/**
 * Reads a directory of the FILE store the way the specification says (stores.md 4 and 11), with nothing of the store's own
 * code: what both get wrong in the same way is what such a check cannot find, so it shares no function with `src/store`.
 */
import { readdirSync, readFileSync } from "node:fs";

/** Where the files are. */
export interface StoreFiles {
  /** Names in a directory. */
  namesIn(path: string): readonly { readonly name: string; readonly kind: "file" | "directory" }[];
  contentOf(path: string): Uint8Array | undefined;
}

/** A directory on the disk of this machine. */
export const realFiles: StoreFiles = {
  namesIn: (path) =>
    readdirSync(path, { withFileTypes: true }).map((entry) => ({
      name: entry.name,
      kind: entry.isDirectory() ? "directory" : "file",
    })),
  contentOf: (path) => new Uint8Array(readFileSync(path)),
};

export interface ReadMessage {
  readonly sequence: number;
  readonly reply: string;
  readonly data: Uint8Array;
  readonly stampNs: bigint;
  /** Of the encoded MsgProto. */
  readonly size: number;
  readonly slice: number;
  readonly offset: number;
}

export interface ReadSubscription {
  readonly clientId: string;
  readonly inbox: string;
  lastSent: number;
  readonly isClosed: boolean;
  readonly pending: Set<number>;
}

export interface ReadChannel {
  /** By sequence. */
  readonly messages: Map<number, ReadMessage>;
  /** Sequences that the indexes know. */
  readonly indexed: Set<number>;
  readonly subscriptions: Map<number, ReadSubscription>;
}

export interface ReadStore {
  /** What the rules of stores.md 11 forbid. Empty for a store that was closed in good order. */
  readonly problems: string[];
  readonly channels: Map<string, ReadChannel>;
  readonly clients: Set<string>;
  clusterId: string | undefined;
}

type Field = { readonly number: number; readonly value: bigint; readonly bytes: Uint8Array };

/** Checksum as IEEE 802.3 has it, bit by bit through one table. */
const CRC_TABLE = Array.from({ length: 256 }, (_, i) => {
  let value = i;
  for (let bit = 0; bit < 8; bit++) {
    value = value % 2 === 1 ? (0xedb88320 ^ Math.floor(value / 2)) >>> 0 : Math.floor(value / 2);
  }
  return value >>> 0;
});

function checksum(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = (CRC_TABLE[(sum ^ byte) & 255]! ^ (sum >>> 8)) >>> 0;
  return (sum ^ 0xffffffff) >>> 0;
}

function littleEndian(bytes: Uint8Array, at: number, count: number): bigint {
  let value = 0n;
  for (let i = count - 1; i >= 0; i--) value = value * 256n + BigInt(bytes[at + i]!);
  return value;
}

const number32 = (bytes: Uint8Array, at: number) => Number(littleEndian(bytes, at, 4));

/** Fields of a protobuf message; undefined when it is none. Only the kinds that the store's messages have. */
function fieldsOf(bytes: Uint8Array): Field[] | undefined {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint | undefined => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) return undefined;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
    return undefined;
  };
  while (at < bytes.length) {
    const key = varint();
    if (key === undefined) return undefined;
    const value = varint();
    if (value === undefined) return undefined;
    if ((key & 7n) === 0n) fields.push({ number: Number(key >> 3n), value, bytes: bytes.subarray(0, 0) });
    else if ((key & 7n) === 2n) {
      const end = at + Number(value);
      if (end > bytes.length) return undefined;
      fields.push({ number: Number(key >> 3n), value: 0n, bytes: bytes.subarray(at, end) });
      at = end;
    } else return undefined;
  }
  return fields;
}

const varintIn = (fields: readonly Field[], number: number) => fields.find((f) => f.number === number)?.value ?? 0n;
const bytesIn = (fields: readonly Field[], number: number) =>
  fields.find((f) => f.number === number)?.bytes ?? new Uint8Array(0);
const textIn = (fields: readonly Field[], number: number) => new TextDecoder().decode(bytesIn(fields, number));

interface Options {
  /** Sequences missing between two messages are no problem: recovery found damage there and said so. */
  readonly gapsAllowed?: (channel: string) => boolean;
  /** The store was not closed: ends may be torn, indexes may be behind. Only what holds at any moment is checked. */
  readonly isOpen?: boolean;
}

/** Reads the whole directory. */
export function readStore(files: StoreFiles, dir: string, options: Options = {}): ReadStore {
  const store: ReadStore = { problems: [], channels: new Map(), clients: new Set(), clusterId: undefined };
  const problem = (text: string) => void store.problems.push(text);
  for (const { name, kind } of files.namesIn(dir)) {
    const path = `${dir}/${name}`;
    if (kind === "directory") store.channels.set(name, readChannel(files, path, name, options, problem));
    else if (name === "server.dat") {
      const content = files.contentOf(path)!;
      const records = recordsOf(content, false, path, options, problem);
      if (records.length !== 1) problem(`${path}: ${records.length} records instead of one`);
      else store.clusterId = textIn(fieldsOf(records[0]!.payload) ?? [], 1);
    } else if (name === "clients.dat") {
      for (const { type, payload, offset } of recordsOf(files.contentOf(path)!, true, path, options, problem)) {
        const id = textIn(fieldsOf(payload) ?? [], 1);
        if (type === 1) store.clients.add(id);
        else if (type === 2) store.clients.delete(id);
        else problem(`${path} at ${offset}: type ${type}`);
      }
    } else if (!name.startsWith(".") && !/^(clients\.dat|subs)\d+$/.test(name)) {
      problem(`${path}: not a file of a store`);
    }
  }
  return store;
}

interface Raw {
  readonly offset: number;
  readonly type: number;
  readonly payload: Uint8Array;
}

/** The records of a file up to its end, or up to what is none. */
function recordsOf(
  content: Uint8Array,
  typed: boolean,
  path: string,
  options: Options,
  problem: (text: string) => void,
): Raw[] {
  const records: Raw[] = [];
  const complain = (text: string) => {
    if (!options.isOpen) problem(text);
  };
  if (content.length < 4 || number32(content, 0) !== 1) {
    complain(`${path}: no version 1 in front`);
    return records;
  }
  for (let at = 4; at < content.length;) {
    const bad = (why: string) => complain(`${path} at ${at} of ${content.length}: ${why}`);
    if (at + 8 > content.length) {
      bad("half a record header");
      break;
    }
    const word = number32(content, at);
    const size = typed ? word % 0x1000000 : word;
    if (word === 0) {
      bad("zeros");
      break;
    }
    if (at + 8 + size > content.length) {
      bad(`a record of ${size} bytes does not fit`);
      break;
    }
    const payload = content.subarray(at + 8, at + 8 + size);
    if (checksum(payload) !== number32(content, at + 4)) {
      bad("wrong checksum");
      break;
    }
    if (fieldsOf(payload) === undefined) bad("no protobuf message");
    records.push({ offset: at, type: typed ? Math.floor(word / 0x1000000) : 0, payload });
    at += 8 + size;
  }
  return records;
}

function readChannel(
  files: StoreFiles,
  path: string,
  name: string,
  options: Options,
  problem: (text: string) => void,
): ReadChannel {
  const channel: ReadChannel = { messages: new Map(), indexed: new Set(), subscriptions: new Map() };
  const numbers: number[] = [];
  const names = new Set(files.namesIn(path).map((entry) => entry.name));
  for (const file of names) {
    const match = /^msgs\.([1-9]\d*)\.(dat|idx)$/.exec(file);
    if (match !== null) {
      if (match[2] === "dat") numbers.push(Number(match[1]));
    } else if (file === "subs.dat") {
      readSubscriptions(files.contentOf(`${path}/${file}`)!, path, channel, options, problem);
    } else if (!file.startsWith(".")) problem(`${path}/${file}: not a file of a channel`);
  }
  if (!names.has("subs.dat") && !options.isOpen) problem(`${path}: no subs.dat`);
  numbers.sort((a, b) => a - b);
  const purged = names.has(".purged") ? new TextDecoder().decode(files.contentOf(`${path}/.purged`)!) : "";
  let last = 0;
  let stamp = 0n;
  for (const number of numbers) {
    const data = files.contentOf(`${path}/msgs.${number}.dat`)!;
    const index = names.has(`msgs.${number}.idx`) ? files.contentOf(`${path}/msgs.${number}.idx`)! : undefined;
    const gaps = options.isOpen === true || options.gapsAllowed?.(name) === true;
    const where = `${path}/msgs.${number}`;
    const found = new Map<number, ReadMessage>();
    // Where damage was found the records behind it are known by the index alone.
    const scanned = recordsOf(data, false, `${where}.dat`, { ...options, isOpen: gaps }, problem);
    for (const { offset, payload } of scanned) {
      const fields = fieldsOf(payload);
      if (fields === undefined) continue;
      const message: ReadMessage = {
        sequence: Number(varintIn(fields, 1)),
        reply: textIn(fields, 3),
        data: bytesIn(fields, 4),
        stampNs: varintIn(fields, 5),
        size: payload.length,
        slice: number,
        offset,
      };
      if (textIn(fields, 2) !== name) problem(`${where}.dat at ${offset}: subject "${textIn(fields, 2)}"`);
      if (fields.some((field, i) => i > 0 && field.number <= fields[i - 1]!.number)) {
        problem(`${where}.dat at ${offset}: fields out of order`);
      }
      // A server that dies while it finishes a purge leaves the marker of the last sequence beside the message itself.
      const isMarker = options.isOpen === true && message.sequence === last && message.data.length === 0 &&
        new RegExp(`^purged ${last} `, "m").test(purged);
      if (
        (message.sequence <= last && !isMarker) || (!gaps && last > 0 && !isMarker && message.sequence !== last + 1)
      ) {
        problem(`${where}.dat at ${offset}: sequence ${message.sequence} behind ${last}`);
      }
      if (message.stampNs < stamp && !gaps) problem(`${where}.dat at ${offset}: the stamp goes back`);
      last = message.sequence;
      stamp = message.stampNs;
      found.set(message.sequence, message);
      channel.messages.set(message.sequence, message);
    }
    if (index === undefined) {
      if (!options.isOpen) problem(`${where}.idx is missing`);
      continue;
    }
    readIndex(index, data, where, found, channel, { ...options, isOpen: options.isOpen === true }, gaps, problem);
  }
  return channel;
}

/** stores.md 4.8, 11.3 */
function readIndex(
  index: Uint8Array,
  data: Uint8Array,
  where: string,
  found: ReadonlyMap<number, ReadMessage>,
  channel: ReadChannel,
  options: Options,
  gaps: boolean,
  problem: (text: string) => void,
): void {
  const strict = !options.isOpen;
  if (index.length < 4 || number32(index, 0) !== 1) {
    if (strict) problem(`${where}.idx: no version 1 in front`);
    return;
  }
  if (strict && (index.length - 4) % 32 !== 0) problem(`${where}.idx ends in the middle of a record`);
  let count = 0;
  for (let at = 4; at + 32 <= index.length; at += 32) {
    if (checksum(index.subarray(at, at + 28)) !== number32(index, at + 28)) {
      if (strict) problem(`${where}.idx at ${at}: wrong checksum`);
      return;
    }
    const sequence = Number(littleEndian(index, at, 8));
    const offset = Number(littleEndian(index, at + 8, 8));
    const size = number32(index, at + 24);
    const message = found.get(sequence);
    count++;
    if (offset + 8 + size > data.length) {
      problem(`${where}.idx at ${at}: message ${sequence} lies behind the end of the data`);
      return;
    }
    channel.indexed.add(sequence);
    if (message === undefined) {
      if (!gaps) problem(`${where}.idx at ${at}: message ${sequence} is not in the data`);
      continue;
    }
    const isRight = message.offset === offset && message.size === size &&
      message.stampNs === littleEndian(index, at + 16, 8);
    if (!isRight) problem(`${where}.idx at ${at}: message ${sequence} is described wrongly`);
  }
  if (strict && !gaps && count !== found.size) problem(`${where}.idx has ${count} records for ${found.size} messages`);
}

/** stores.md 4.6 */
function readSubscriptions(
  content: Uint8Array,
  path: string,
  channel: ReadChannel,
  options: Options,
  problem: (text: string) => void,
): void {
  const { subscriptions } = channel;
  for (const { type, payload, offset } of recordsOf(content, true, `${path}/subs.dat`, options, problem)) {
    const fields = fieldsOf(payload) ?? [];
    const id = Number(varintIn(fields, 1));
    const sequence = Number(varintIn(fields, 2));
    const known = subscriptions.get(id);
    switch (type) {
      case 1:
      case 2:
        subscriptions.set(id, {
          clientId: textIn(fields, 2),
          inbox: textIn(fields, 4),
          lastSent: Number(varintIn(fields, 9)),
          isClosed: varintIn(fields, 11) !== 0n,
          pending: type === 1 ? new Set() : known?.pending ?? new Set(),
        });
        break;
      case 3:
        subscriptions.delete(id);
        break;
      case 4:
        known?.pending.delete(sequence);
        break;
      case 5:
        known?.pending.add(sequence);
        if (known !== undefined && sequence > known.lastSent) known.lastSent = sequence;
        break;
      default:
        problem(`${path}/subs.dat at ${offset}: type ${type}`);
    }
  }
}
