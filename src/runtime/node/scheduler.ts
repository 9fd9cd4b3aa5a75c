/** Work scheduling over `setImmediate` and `setTimeout`. */
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import type { Scheduler, TimerHandle } from "../types.ts";

/** Larger delays overflow the platform's 32-bit counter and would fire at once. */
const DELAY_MS_MAX = 0x7fff_ffff;

class Timer implements TimerHandle {
  #handle: ReturnType<typeof setTimeout> | undefined;
  #leftMs: number;
  #work: (() => void) | undefined;

  constructor(delayMs: number, work: () => void) {
    this.#leftMs = Math.max(0, delayMs);
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
