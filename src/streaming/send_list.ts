/**
 * Messages to send, as columns that are used again every turn: not one object per message. Payloads are ranges of buffers
 * that others own (a store's slab) or of the list's own arena (encoded answers), valid until the list is cleared.
 */
import type { Address } from "./world.ts";

const ARENA_FIRST_BYTES = 16_384;
/** Columns longer than this are given up when the list is cleared, so that one burst does not hold memory for ever. */
const COLUMN_KEEP = 65_536;

export class SendList {
  count = 0;
  addresses: Address[] = [];
  buffers: Uint8Array[] = [];
  starts: number[] = [];
  ends: number[] = [];
  /** Redelivery count to append to a stored message; 0 for a first delivery and for everything else. */
  redeliveries: number[] = [];
  /** Write at `arenaLength` after `reserve`, then add. */
  arena: Uint8Array = new Uint8Array(0);
  arenaLength = 0;
  /** Every arena of the entries that are in the list. */
  readonly #arenas: Uint8Array[] = [];

  /** Adds `buffer[start, end)`. */
  add(address: Address, buffer: Uint8Array, start: number, end: number, redeliveryCount: number): void {
    const at = this.count++;
    this.addresses[at] = address;
    this.buffers[at] = buffer;
    this.starts[at] = start;
    this.ends[at] = end;
    this.redeliveries[at] = redeliveryCount;
  }

  /** Adds a whole buffer. */
  addBytes(address: Address, bytes: Uint8Array): void {
    this.add(address, bytes, 0, bytes.length, 0);
  }

  /** Room for `size` bytes at `arena[arenaLength]`. Entries keep the arena they were written to. */
  reserve(size: number): void {
    if (this.arenaLength + size <= this.arena.length) return;
    this.arena = new Uint8Array(Math.max(ARENA_FIRST_BYTES, this.arena.length * 2, size));
    this.#arenas.push(this.arena);
    this.arenaLength = 0;
  }

  /** True when entry `i` was encoded into an arena of this list. */
  isInArena(i: number): boolean {
    return this.#arenas.includes(this.buffers[i]!);
  }

  /** Everything of `other` behind what is here; the other one is empty then. */
  takeOver(other: SendList): void {
    for (let i = 0; i < other.count; i++) {
      this.add(other.addresses[i]!, other.buffers[i]!, other.starts[i]!, other.ends[i]!, other.redeliveries[i]!);
    }
    // In front: the last one is the one that is written to.
    this.#arenas.unshift(...other.#arenas);
    other.#arenas.length = 0;
    other.arena = new Uint8Array(0);
    other.clear();
  }

  clear(): void {
    if (this.addresses.length > COLUMN_KEEP) {
      this.addresses = [];
      this.buffers = [];
      this.starts = [];
      this.ends = [];
      this.redeliveries = [];
      this.arena = new Uint8Array(0);
      this.#arenas.length = 0;
    }
    if (this.#arenas.length > 1) this.#arenas.splice(0, this.#arenas.length - 1);
    this.count = 0;
    this.arenaLength = 0;
  }
}
