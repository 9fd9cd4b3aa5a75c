/**
 * Many timers behind one. Three levels of 256 slots with intrusive lists: adding and removing costs a few field writes,
 * whatever the number of timers (runtime.md 12). The resolution is 10 ms (decisions.md 28): a timer never fires early, and
 * at most one tick late plus the lateness of the caller. The wheel has no clock; `advance` moves it, so a simulation can.
 */
import { assert } from "./assert.ts";

export const TICK_MS = 10;
const SLOT_BITS = 8;
const SLOT_COUNT = 1 << SLOT_BITS;
const SLOT_MASK = SLOT_COUNT - 1;
const LEVEL_COUNT = 4;

/** What a wheel holds. Extend it, or own one, per thing that needs a timer; `fire` runs when it is due. */
export abstract class TimerNode {
  /** Absolute tick; -1 when not armed. */
  dueTick = -1;
  previous: TimerNode | null = null;
  next: TimerNode | null = null;

  get armed(): boolean {
    return this.dueTick >= 0;
  }

  abstract fire(nowMs: number): void;
}

class Slot extends TimerNode {
  /** Its number on the first level; -1: it is on another one. */
  readonly place: number;

  constructor(place: number) {
    super();
    this.place = place;
    this.previous = this;
    this.next = this;
  }
  override fire(): void {}
}

export class TimerWheel {
  /** The last tick whose timers were fired. */
  #tick: number;
  #count = 0;
  readonly #levels: Slot[][];
  /** A bit for each slot of the first level that has timers: whoever asks for the next one need not look into all. */
  readonly #occupied = new Int32Array(SLOT_COUNT / 32);

  constructor(nowMs: number) {
    this.#tick = Math.floor(nowMs / TICK_MS);
    this.#levels = [];
    for (let level = 0; level < LEVEL_COUNT; level++) {
      const slots: Slot[] = [];
      for (let i = 0; i < SLOT_COUNT; i++) slots.push(new Slot(level === 0 ? i : -1));
      this.#levels.push(slots);
    }
  }

  get count(): number {
    return this.#count;
  }

  /** Arms `node` for `dueMs` (same clock as `advance`), moving it if it was armed. Past times fire on the next tick. */
  arm(node: TimerNode, dueMs: number): void {
    if (node.dueTick >= 0) this.disarm(node);
    let due = Math.ceil(dueMs / TICK_MS);
    if (due <= this.#tick) due = this.#tick + 1;
    node.dueTick = due;
    this.#place(node);
    this.#count++;
  }

  disarm(node: TimerNode): void {
    if (node.dueTick < 0) return;
    const previous = node.previous!;
    const next = node.next!;
    previous.next = next;
    next.previous = previous;
    // Only a slot can stand on both sides of a timer.
    if (previous === next) this.#emptied(next as Slot);
    node.previous = null;
    node.next = null;
    node.dueTick = -1;
    this.#count--;
  }

  /** Fires everything that is due at `nowMs`. A node may arm itself or others from `fire`. */
  advance(nowMs: number): void {
    const target = Math.floor(nowMs / TICK_MS);
    while (this.#tick < target) {
      if (this.#count === 0) {
        this.#tick = target;
        return;
      }
      const tick = ++this.#tick;
      for (let level = 1; level < LEVEL_COUNT; level++) {
        if ((tick & ((1 << (SLOT_BITS * level)) - 1)) !== 0) break;
        this.#cascade(level, (tick >>> (SLOT_BITS * level)) & SLOT_MASK);
      }
      const slot = this.#levels[0]![tick & SLOT_MASK]!;
      // What is armed while firing lands on a later tick, so this list only shrinks.
      while (slot.next !== slot) {
        const node = slot.next!;
        assert(node.dueTick <= tick, "a timer stands in a slot of another tick");
        this.disarm(node);
        node.fire(nowMs);
      }
    }
  }

  /** Milliseconds (same clock) at which `advance` has something to do, never later than needed; Infinity if empty. */
  nextDueMs(): number {
    if (this.#count === 0) return Infinity;
    // Up to the next cascade the first level is complete; behind it the caller must come back to cascade anyway.
    const cascadeTick = (Math.floor(this.#tick / SLOT_COUNT) + 1) * SLOT_COUNT;
    const first = this.#tick + 1;
    if (first === cascadeTick) return cascadeTick * TICK_MS;
    const from = first & SLOT_MASK;
    const occupied = this.#occupied;
    let bits = occupied[from >>> 5]! & (-1 << (from & 31));
    for (let word = from >>> 5;; bits = occupied[word]!) {
      if (bits !== 0) return (cascadeTick - SLOT_COUNT + word * 32 + 31 - Math.clz32(bits & -bits)) * TICK_MS;
      if (++word === occupied.length) return cascadeTick * TICK_MS;
    }
  }

  #emptied({ place }: Slot): void {
    if (place >= 0) this.#occupied[place >>> 5]! &= ~(1 << (place & 31));
  }

  #place(node: TimerNode): void {
    const distance = node.dueTick - this.#tick;
    let level = 0;
    while (level < LEVEL_COUNT - 1 && distance >= 2 ** (SLOT_BITS * (level + 1))) level++;
    // Farther than the wheel reaches: the outermost slot, placed anew whenever that one is cascaded.
    const reach = 2 ** (SLOT_BITS * LEVEL_COUNT) - 1;
    const tick = distance > reach ? this.#tick + reach : node.dueTick;
    const slot = this.#levels[level]![Math.floor(tick / 2 ** (SLOT_BITS * level)) & SLOT_MASK]!;
    node.previous = slot.previous;
    node.next = slot;
    slot.previous!.next = node;
    slot.previous = node;
    const { place } = slot;
    if (place >= 0) this.#occupied[place >>> 5]! |= 1 << (place & 31);
  }

  #cascade(level: number, index: number): void {
    const slot = this.#levels[level]![index]!;
    let node = slot.next!;
    slot.next = slot;
    slot.previous = slot;
    while (node !== slot) {
      const following = node.next!;
      // `distance` 0 belongs to the slot that is fired next in this very advance.
      this.#place(node);
      node = following;
    }
  }
}
