/**
 * A machine for simulations of what runs on promises: its clock and scheduler move only when told, and nothing happens between
 * two steps. What a killed process had planned is forgotten.
 */
import type { Clock, Scheduler, TimerHandle } from "../../src/runtime/types.ts";

/** Wall clock at monotonic 0: 2026-01-01, so that stamps have the size they have in life. */
const EPOCH_MS = 1_767_225_600_000;

interface Planned {
  readonly atMs: number;
  readonly work: () => void;
}

/** All that was called back before is over, promises included. */
export function settle(): Promise<void> {
  return new Promise((resume) => setImmediate(resume));
}

export class Machine {
  nowMs = 1000;
  #planned: Planned[] = [];
  readonly clock: Clock = {
    monotonicMs: () => this.nowMs,
    wallNs: (out) => {
      const ns = BigInt(Math.round((EPOCH_MS + this.nowMs) * 1000)) * 1000n;
      out.high = Number(ns >> 32n);
      out.low = Number(ns & 0xffff_ffffn);
    },
  };
  readonly scheduler: Scheduler = {
    endOfTurn: (work) => void this.after(0, work),
    after: (delayMs, work) => this.after(delayMs, work),
  };

  after(delayMs: number, work: () => void): TimerHandle {
    const planned: Planned = { atMs: this.nowMs + Math.max(0, delayMs), work };
    // Behind everything that is due at the same time: the order of planning is the order of happening.
    let at = this.#planned.length;
    while (at > 0 && this.#planned[at - 1]!.atMs > planned.atMs) at--;
    this.#planned.splice(at, 0, planned);
    return {
      stop: () => {
        const found = this.#planned.indexOf(planned);
        if (found >= 0) this.#planned.splice(found, 1);
      },
    };
  }

  /** Moves the clock; what is due happens at its time, with all promises settled after each. */
  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (;;) {
      await settle();
      const next = this.#planned[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#planned.shift();
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.work();
    }
    this.nowMs = endMs;
  }

  /** Runs until `done` says so; false when `ms` were not enough. */
  async until(done: () => boolean, ms: number): Promise<boolean> {
    const endMs = this.nowMs + ms;
    for (;;) {
      await settle();
      if (done()) return true;
      const next = this.#planned[0];
      if (next === undefined || next.atMs > endMs) return false;
      this.#planned.shift();
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.work();
    }
  }

  /** The process is gone, and with it what it had planned. */
  forget(): void {
    this.#planned = [];
  }
}
