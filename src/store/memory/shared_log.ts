/**
 * Memory of the MEMORY store: the messages of all channels that keep little lie one behind the other, in the order in which
 * they came. So a publish writes where the one before it has just written, whatever its channel is: with memory of each
 * channel's own a publish to one of 10,000 channels waits for memory that no cache holds (tests/bench/channel_floor.ts). What
 * keeps much has memory of its own: its messages lie one behind the other where a replay goes through them. Where the messages
 * of a channel are, its index says ({@link IndexChunk}).
 *
 * The log is cut into slabs. One is given up when its last message is removed. What leaves a slab in another order than it
 * came, because channels keep their messages for different times, leaves holes; when they are more than what is kept, what is
 * left of the emptiest slab moves behind the newest message, before another slab is taken. Only then: whoever found a message
 * may look at it until the next one is stored.
 *
 * record : owner (4) | size (4) | MsgProto | 0 to 7 unused
 */
import { assert } from "../../base/assert.ts";
import { copyRange } from "../../base/bytes.ts";
import { varintEnd, varintNumber } from "../../base/varint.ts";

/** Of a slab for more than one message. */
export const SLAB_BYTES = 1024 * 1024;
/** What a channel keeps that has slabs of its own; below half of it, it has none any more. */
export const OWN_KEPT_BYTES = 2 * SLAB_BYTES;
/** A larger record that has no room in a slab does not end it: it gets memory for itself, of its size. */
export const SHARED_BYTES_MAX = SLAB_BYTES / 4;
/** Given-up slabs that are kept for re-use. */
export const POOL_COUNT_MAX = 8;
/** Holes that are left alone, however little is kept. */
export const HOLES_KEPT_BYTES = 4 * SLAB_BYTES;

/** A place is the number of the slab and, in units of 8 bytes, where in it: one integer. */
const UNIT_BITS = 3;
const SLAB_UNIT_BITS = 17;
const SLAB_UNIT_MASK = (1 << SLAB_UNIT_BITS) - 1;
/** So a store holds 32 GB. */
const SLAB_COUNT_MAX = 1 << (32 - SLAB_UNIT_BITS);

/** In front of a MsgProto. */
export const RECORD_HEADER_BYTES = 8;
/** Besides the MsgProto, at most. */
export const RECORD_OVERHEAD_MAX = RECORD_HEADER_BYTES + 7;

/** Gives memory or throws a RangeError. A seam: tests let it fail. */
export type Allocator = (size: number) => ArrayBuffer;

/** Memory from the runtime. */
export const allocateBuffer: Allocator = (size) => new ArrayBuffer(size);

/** Where in its slab the MsgProto of the record at `place` begins. */
export function startOf(place: number): number {
  return ((place & SLAB_UNIT_MASK) << UNIT_BITS) + RECORD_HEADER_BYTES;
}

/** What a record with a MsgProto of `size` bytes takes. */
function recordBytes(size: number): number {
  return (size + RECORD_OVERHEAD_MAX) & ~7;
}

/** Who has messages in the log. */
export interface LogOwner {
  /** Its message `sequence` moves. False: it has none of that sequence at `from`, so what is there was removed. */
  relocate(sequence: number, from: number, to: number): boolean;
}

/** One piece of the log. */
export class Slab {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly end: number;
  /** Takes further records. */
  isOpen = false;
  /** Place of its beginning. */
  base = 0;
  /** Where the next record goes. */
  used = 0;
  /** Of records that were removed. */
  dead = 0;

  constructor(buffer: ArrayBuffer) {
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    this.end = buffer.byteLength;
  }

  /** Makes a record of the MsgProto of `size` bytes that was written behind the room for its header. Returns its place. */
  commit(owner: number, size: number): number {
    const at = this.used;
    const word = at >>> 2;
    this.words[word] = owner;
    this.words[word + 1] = size;
    this.used = at + recordBytes(size);
    return this.base | (at >>> UNIT_BITS);
  }
}

const NO_SLAB = new Slab(new ArrayBuffer(0));

/** One per store. */
export class SharedLog {
  /** Takes the next record that fits into it, of whoever has no slab of its own. */
  tail: Slab = NO_SLAB;
  readonly #allocate: Allocator;
  readonly #slabs: (Slab | undefined)[] = [];
  readonly #freeSlabs: number[] = [];
  readonly #owners: (LogOwner | undefined)[] = [];
  readonly #freeOwners: number[] = [];
  #pool: Slab[] = [];
  /** Of slabs for more than one message that are not open: what they hold, and what of it was removed. */
  #sealedBytes = 0;
  #deadBytes = 0;

  constructor(allocate: Allocator) {
    this.#allocate = allocate;
  }

  /** Its number, which its records carry. */
  addOwner(owner: LogOwner): number {
    const number = this.#freeOwners.pop() ?? this.#owners.length;
    this.#owners[number] = owner;
    return number;
  }

  /** It has no message any more. The number may become another's: places tell whose a record is. */
  removeOwner(number: number): void {
    this.#owners[number] = undefined;
    this.#freeOwners.push(number);
  }

  /**
   * A slab with room for a MsgProto of `size`, at its `used`: `open`, which is `tail` or what `open` gave, if it has; else what
   * takes its place, or memory for this one record. Throws a RangeError when there is no memory.
   */
  room(open: Slab, size: number): Slab {
    const bytes = recordBytes(size);
    if (open.used + bytes <= open.end) return open;
    // What is as long as a slab must not be taken for one.
    if (bytes > SHARED_BYTES_MAX) return this.#add(new Slab(this.#allocate(bytes === SLAB_BYTES ? bytes + 8 : bytes)));
    if (open.used > 0 && open.dead === open.used) {
      open.used = open.dead = 0;
      return open;
    }
    const slab = this.open();
    if (open === this.tail) this.tail = slab;
    this.seal(open);
    this.#tidy();
    return slab;
  }

  /** An empty slab, for one owner. Throws a RangeError when there is no memory. */
  open(): Slab {
    const slab = this.#add(this.#pool.pop() ?? new Slab(this.#allocate(SLAB_BYTES)));
    slab.isOpen = true;
    return slab;
  }

  /** Nothing more comes into what `open` gave. */
  seal(slab: Slab): void {
    slab.isOpen = false;
    this.#sealedBytes += slab.used;
    this.#deadBytes += slab.dead;
    if (slab.dead === slab.used && slab !== NO_SLAB) this.#giveUp(slab);
  }

  /** Takes back what `room` gave for one record when it was not written. */
  takeBack(slab: Slab): void {
    if (!slab.isOpen && slab.used === 0) this.#remove(slab);
  }

  /** The slab that has the record at `place`, which must be that of a message that is kept. */
  slabOf(place: number): Slab {
    return this.#slabs[place >>> SLAB_UNIT_BITS]!; // Of a kept message.
  }

  /** The message of `size` at `place` was removed. */
  release(place: number, size: number): void {
    const slab = this.slabOf(place);
    const bytes = recordBytes(size);
    slab.dead += bytes;
    if (slab.isOpen) return;
    if (slab.end === SLAB_BYTES) this.#deadBytes += bytes;
    if (slab.dead === slab.used) this.#giveUp(slab);
  }

  /** Lets go of everything. */
  clear(): void {
    this.tail = NO_SLAB;
    this.#slabs.length =
      this.#freeSlabs.length =
      this.#owners.length =
      this.#freeOwners.length =
        0;
    this.#pool = [];
    this.#sealedBytes = this.#deadBytes = 0;
  }

  #add(slab: Slab): Slab {
    const number = this.#freeSlabs.pop() ?? this.#slabs.length;
    if (number >= SLAB_COUNT_MAX) throw new RangeError("the log has no number for another slab");
    this.#slabs[number] = slab;
    slab.base = number << SLAB_UNIT_BITS;
    slab.used = slab.dead = 0;
    return slab;
  }

  #remove(slab: Slab): void {
    const number = slab.base >>> SLAB_UNIT_BITS;
    this.#slabs[number] = undefined;
    this.#freeSlabs.push(number);
  }

  /** Nothing in it is kept any more, and nothing comes into it. */
  #giveUp(slab: Slab): void {
    this.#remove(slab);
    if (slab.end !== SLAB_BYTES) return;
    this.#sealedBytes -= slab.used;
    this.#deadBytes -= slab.dead;
    if (this.#pool.length < POOL_COUNT_MAX) this.#pool.push(slab);
  }

  /** At most half of a slab moves at a time, so whoever stores a message never waits for long, and finds room behind it. */
  #tidy(): void {
    let left = SLAB_BYTES / 2;
    while (this.#deadBytes * 2 > this.#sealedBytes + HOLES_KEPT_BYTES) {
      const slab = this.#emptiest();
      if (slab === undefined) return;
      left -= slab.used - slab.dead;
      if (left < 0 || !this.#hasRoomToMove(slab.used - slab.dead)) return;
      this.#evacuate(slab);
    }
  }

  /** Where there is no memory for another slab the holes stay: nobody has asked for it. */
  #hasRoomToMove(bytes: number): boolean {
    const { tail } = this;
    if (tail.used + bytes <= tail.end) return true;
    try {
      this.tail = this.open();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return false;
    }
    this.seal(tail);
    return true;
  }

  #emptiest(): Slab | undefined {
    let emptiest: Slab | undefined;
    let share = 0;
    for (const slab of this.#slabs) {
      if (slab === undefined || slab.isOpen || slab.end !== SLAB_BYTES || slab.dead < share * slab.used) continue;
      emptiest = slab;
      share = slab.dead / slab.used;
    }
    return emptiest;
  }

  #evacuate(slab: Slab): void {
    const { tail } = this;
    const { bytes, words } = slab;
    for (let at = 0; at < slab.used;) {
      const word = at >>> 2;
      const size = words[word + 1]!;
      const start = at + RECORD_HEADER_BYTES;
      const from = slab.base | (at >>> UNIT_BITS);
      const to = tail.base | (tail.used >>> UNIT_BITS);
      if (this.#owners[words[word]!]?.relocate(sequenceAt(bytes, start), from, to) === true) {
        copyRange(tail.bytes, tail.used + RECORD_HEADER_BYTES, bytes, start, start + size);
        tail.commit(words[word]!, size);
        slab.dead += recordBytes(size);
        this.#deadBytes += recordBytes(size);
      }
      at += recordBytes(size);
    }
    assert(slab.dead === slab.used, "what was not removed from a slab has moved");
    this.#giveUp(slab);
  }
}

/** Of the MsgProto at `start`: its first field, behind the tag. */
function sequenceAt(bytes: Uint8Array, start: number): number {
  const end = varintEnd(bytes, start + 1, bytes.length);
  return varintNumber(bytes, start + 1, end);
}
