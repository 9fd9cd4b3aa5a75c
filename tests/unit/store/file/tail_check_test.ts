/** The end of an index beside the messages it speaks of (stores.md 5.2, 6.2). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf } from "../../../../src/base/bytes.ts";
import { Crc32 } from "../../../../src/store/file/crc.ts";
import {
  INDEX_RECORD_BYTES,
  RECORD_HEADER_BYTES,
  VERSION_BYTES,
  writeIndexRecord,
  writeRecordHeader,
} from "../../../../src/store/file/format.ts";
import { LogFile } from "../../../../src/store/file/log_file.ts";
import { Slice } from "../../../../src/store/file/slice.ts";
import { TAIL_BYTES_MAX, TailCheck } from "../../../../src/store/file/tail_check.ts";
import { encodeMsgProto } from "../../../../src/wire/stan_hot.ts";

const crc = new Crc32();
const channel = bytesOf("foo");

interface Message {
  readonly sequence: number;
  readonly size?: number;
  readonly stamp?: number;
}

interface Files {
  readonly data: Uint8Array;
  readonly index: Uint8Array;
  readonly slice: Slice;
  /** Where each record begins in `data`. */
  readonly offsets: readonly number[];
}

/** Both files of a slice with these messages, and what is believed of the index: all of it. */
function filesOf(messages: readonly Message[]): Files {
  const room = messages.reduce((sum, { size = 10 }) => sum + size + 100, VERSION_BYTES);
  const data = new Uint8Array(room);
  const index = new Uint8Array(VERSION_BYTES + messages.length * INDEX_RECORD_BYTES);
  // Only carried along: nobody reads from them.
  const file: LogFile = Object.create(LogFile.prototype);
  const slice = new Slice(1, file, file);
  const offsets: number[] = [];
  let at = VERSION_BYTES;
  for (const [i, { sequence, size = 10, stamp = sequence }] of messages.entries()) {
    const start = at + RECORD_HEADER_BYTES;
    const payload = new Uint8Array(size).fill(0x41);
    const end = encodeMsgProto(data, start, sequence, channel, 0, channel.length, payload, 0, 0, 0, size, 1, stamp);
    writeRecordHeader(data, at, 0, end - start, crc);
    writeIndexRecord(index, Slice.indexPosition(i), sequence, at, 1, stamp, end - start, crc);
    slice.add(sequence, end - start, 1, stamp);
    offsets.push(at);
    at = end;
  }
  return { data: data.subarray(0, at), index, slice, offsets };
}

function readerOf(content: Uint8Array) {
  return {
    size: content.length,
    read: (into: Uint8Array, start: number, end: number, position: number) => {
      const part = content.subarray(position, position + end - start);
      into.set(part, start);
      return part.length;
    },
  };
}

/** The index of `one` beside the data of `other`. */
function check({ slice, index }: Files, { data }: Files, lastBefore = 0): TailCheck {
  return new TailCheck(crc, slice, readerOf(index), readerOf(data), lastBefore);
}

const three: readonly Message[] = [{ sequence: 1 }, { sequence: 2 }, { sequence: 3 }];

test("stores 6.2: an index of the messages that are there is of no others, and its last message is right", () => {
  const files = filesOf(three);
  const tail = check(files, files);
  assert.equal(tail.firstOfAnother(), -1);
  assert.equal(tail.lookAtLast(), "right");
  assert.equal(tail.record.sequence, 3);
  assert.equal(tail.record.dataEnd, files.data.length);
});

test("stores 6.2: a slice without records has nothing of others", () => {
  const none = filesOf([]);
  assert.equal(check(none, none).firstOfAnother(), -1);
});

test("stores 5.2: an intact message in the place of another is found by size, sequence and stamp, the first one first", () => {
  const index = filesOf(three);
  for (
    const [name, others, expected] of [
      ["stamp of the first", [{ sequence: 1, stamp: 9 }, { sequence: 2 }, { sequence: 3 }], 0],
      ["stamp of two", [{ sequence: 1 }, { sequence: 2, stamp: 9 }, { sequence: 3, stamp: 9 }], 1],
      ["sequence", [{ sequence: 1 }, { sequence: 2 }, { sequence: 4, stamp: 3 }], 2],
      ["size, shorter", [{ sequence: 1 }, { sequence: 2 }, { sequence: 3, size: 9 }], 2],
    ] as const
  ) {
    const tail = check(index, filesOf(others));
    assert.equal(tail.firstOfAnother(), expected, name);
    assert.equal(tail.record.sequence, expected + 1, name);
  }
});

test("stores 5.2: a damaged message is no evidence of another", () => {
  const index = filesOf(three);
  const others = filesOf([{ sequence: 1 }, { sequence: 2, stamp: 9 }, { sequence: 3 }]);
  others.data[others.offsets[2]! - 1]! ^= 1;
  assert.equal(check(index, others).firstOfAnother(), -1);
});

test("stores 6.2: a message of the slice before is no evidence of another", () => {
  const index = filesOf([{ sequence: 5 }, { sequence: 6 }]);
  const others = filesOf([{ sequence: 5 }, { sequence: 4, stamp: 6 }]);
  assert.equal(check(index, others, 3).firstOfAnother(), 1);
  assert.equal(check(index, others, 4).firstOfAnother(), -1);
});

test("stores 5.2: no more than the bound is looked at, from the end", () => {
  const size = TAIL_BYTES_MAX / 4;
  const index = filesOf([1, 2, 3, 4, 5, 6].map((sequence) => ({ sequence, size })));
  const other = (changed: number) =>
    filesOf([1, 2, 3, 4, 5, 6].map((sequence) => ({ sequence, size, stamp: sequence === changed ? 9 : sequence })));
  assert.equal(check(index, other(4)).firstOfAnother(), 3, "the third from the end is within it");
  assert.equal(check(index, other(3)).firstOfAnother(), -1, "the fourth is not, with its header");
});

test("stores 6.2: a last message whose bytes never arrived is absent: zeros, too short a file, another size", () => {
  const files = filesOf(three);
  const start = files.offsets[2]!;
  const zeros = files.data.slice();
  zeros.fill(0, start);
  const headerOnly = files.data.slice();
  headerOnly.fill(0, start + RECORD_HEADER_BYTES);
  for (
    const data of [
      zeros,
      headerOnly,
      files.data.slice(0, start),
      filesOf([...three.slice(0, 2), { sequence: 3, size: 9 }]).data,
    ]
  ) {
    assert.equal(check(files, { ...files, data }).lookAtLast(), "absent");
  }
});

test("stores 6.4: a last message with a wrong checksum is unproven while it can be decoded, else damaged", () => {
  const files = filesOf(three);
  const stamped = files.data.slice();
  stamped[stamped.length - 1]! ^= 1;
  const tail = check(files, { ...files, data: stamped });
  assert.equal(tail.lookAtLast(), "unproven");
  assert.equal(tail.actualCrc, crc.of(stamped, files.offsets[2]! + RECORD_HEADER_BYTES, stamped.length));
  assert.notEqual(tail.storedCrc, tail.actualCrc);
  const broken = files.data.slice();
  broken[files.offsets[2]! + RECORD_HEADER_BYTES] = 0xff;
  assert.equal(check(files, { ...files, data: broken }).lookAtLast(), "damaged");
});

test("stores 6.4: a whole message of another sequence at the last one's place is damage", () => {
  const others = filesOf([...three.slice(0, 2), { sequence: 4 }]);
  assert.equal(check(filesOf(three), others).lookAtLast(), "damaged");
});

test("stores 6.2: when the last record does not count any more, the one before it is the last", () => {
  const files = filesOf(three);
  const { slice } = files;
  const tail = check(files, { ...files, data: files.data.slice(0, files.offsets[2]!) });
  assert.equal(tail.lookAtLast(), "absent");
  slice.cutTo(2, 0, 1, 2);
  assert.equal(tail.lookAtLast(), "right");
  assert.equal(tail.record.sequence, 2);
});
