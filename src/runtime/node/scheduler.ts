/** Work scheduling over `setImmediate` and `setTimeout`. */
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import type { Scheduler, TimerHandle } from "../types.ts";

/**
 * A timer that comes so late says that the process was busy or stood still. What the others have sent meanwhile is in the
 * sockets: it is read first, or they are taken for silent. (A process that is stopped and goes on looks at its timers before
 * its sockets.)
 */
const LATE_MS = 10;
/** So late it stood still, and what it was about to send left only now: whoever is asked gets so long for an answer. */
const STOOD_STILL_MS = 100;
const ANSWER_MS = 200;
/** A process that is late all the time has timers all the same. */
const ROUNDS_MAX = 3;
/** Larger delays overflow the platform's 32-bit counter and would fire at once. */
const DELAY_MS_MAX = 0x7fff_ffff;

class Timer implements TimerHandle {
  #handle: ReturnType<typeof setTimeout> | undefined;
  #leftMs: number;
  #dueMs: number;
  /** How often it went around the loop because it was late. */
  #rounds = 0;
  #work: (() => void) | undefined;

  constructor(delayMs: number, work: () => void) {
    this.#leftMs = Math.max(0, delayMs);
    this.#dueMs = performance.now() + delayMs;
    this.#work = work;
    this.#arm();
  }

  stop(): void {
    this.#work = undefined;
    if (this.#handle !== undefined) clearTimeout(this.#handle);
    this.#handle = undefined;
  }

  #arm(): void {
    const delayMs = Math.min(this.#leftMs, DELAY_MS_MAX);
    this.#leftMs -= delayMs;
    this.#handle = setTimeout(() => this.#fired(), delayMs);
  }

  #fired(): void {
    this.#handle = undefined;
    const work = this.#work;
    if (work === undefined) return;
    if (this.#leftMs > 0) {
      this.#arm();
      return;
    }
    const nowMs = performance.now();
    const lateMs = nowMs - this.#dueMs;
    if (lateMs > LATE_MS && this.#rounds < ROUNDS_MAX) {
      this.#rounds++;
      const waitMs = lateMs > STOOD_STILL_MS ? ANSWER_MS : 1;
      this.#dueMs = nowMs + waitMs;
      // Once around the loop. Not by a timer alone: that could be due in this very round.
      setImmediate(() => {
        if (this.#work !== undefined) this.#handle = setTimeout(() => this.#fired(), waitMs);
      });
      return;
    }
    this.#work = undefined;
    work();
  }
}

/** `setImmediate` runs after all sockets that were readable in the same poll: one flush serves them all (runtime.md 1.4). */
export function createScheduler(): Scheduler {
  return {
    endOfTurn(work) {
      setImmediate(work);
    },
    after: (delayMs, work) => new Timer(delayMs, work),
  };
}
