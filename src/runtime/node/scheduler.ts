/** Work scheduling over `setImmediate` and `setTimeout`. */
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import type { Scheduler, TimerHandle } from "../types.ts";

/**
 * A timer that comes so late says that the process stood still. What the others have sent meanwhile is in the sockets: it is
 * read first, or they are taken for silent. (A process that is stopped and goes on looks at its timers before its sockets.)
 */
const LATE_MS = 100;
/** Larger delays overflow the platform's 32-bit counter and would fire at once. */
const DELAY_MS_MAX = 0x7fff_ffff;

class Timer implements TimerHandle {
  #handle: ReturnType<typeof setTimeout> | undefined;
  #leftMs: number;
  #dueMs: number;
  #work: (() => void) | undefined;

  constructor(delayMs: number, work: () => void) {
    this.#leftMs = Math.max(0, delayMs);
    this.#dueMs = performance.now() + this.#leftMs;
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
    if (nowMs - this.#dueMs > LATE_MS) {
      // Once around the loop; if it stands still again, once more. Not by a timer alone: that could be due in this very round.
      this.#dueMs = nowMs;
      setImmediate(() => {
        if (this.#work !== undefined) this.#handle = setTimeout(() => this.#fired(), 1);
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
