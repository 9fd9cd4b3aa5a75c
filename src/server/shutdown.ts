/**
 * The end of a server in good order, and the bound on it (operations.md 4.1). The reference has no bound: a server that could
 * not write its last bytes stayed until somebody killed it.
 */
import type { LogView } from "../log/types.ts";
import type { Scheduler } from "../runtime/types.ts";

/** Time that an orderly end may take; the same as most supervisors wait before they kill. */
export const STOP_MS_MAX = 30_000;
/** Signals this close together are one: `timeout` and some supervisors signal the process and then its group. */
export const MERGED_MS = 250;
/** Exit status when something was not finished: never 0 nor 143, which say that all is well. */
export const EXIT_UNFINISHED = 1;

/** What is ended, and how. */
export interface ShutdownHost {
  readonly log: LogView;
  readonly scheduler: Pick<Scheduler, "after">;
  /** What an orderly end still has to do, for people: "the store is being written". */
  unfinished(): string;
  /** The last call: leaves the process. */
  exit(code: number): void;
}

/** One orderly end, begun by the first signal and cut short by the second or by time. */
export class Shutdown {
  readonly #host: ShutdownHost;
  #isBegun = false;
  #isMerging = true;
  #isOver = false;

  constructor(host: ShutdownHost) {
    this.#host = host;
  }

  /** A signal came. `stop` is called for the first one; when it resolves the process ends with `code`. */
  signalled(code: number, stop: () => Promise<void>): void {
    if (this.#isBegun) {
      if (!this.#isMerging) this.#cutShort("a second signal came");
      return;
    }
    this.#isBegun = true;
    this.#host.scheduler.after(MERGED_MS, () => this.#isMerging = false);
    this.#host.scheduler.after(STOP_MS_MAX, () => this.#cutShort(`it took longer than ${STOP_MS_MAX / 1000} s`));
    this.follow(code, stop());
  }

  /** The process ends with `code` when `end` resolves, for an end that has no bound of ours. */
  follow(code: number, end: Promise<void>): void {
    end.then(() => this.#exit(code), (error: unknown) => {
      this.#host.log.fatal(`Error while stopping: ${error instanceof Error ? error.message : String(error)}`);
      this.#exit(EXIT_UNFINISHED);
    });
  }

  #cutShort(why: string): void {
    if (this.#isOver) return;
    this.#host.log.warn(`Stopped at once, because ${why}. Not finished: ${this.#host.unfinished()}`);
    this.#exit(EXIT_UNFINISHED);
  }

  #exit(code: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#host.exit(code);
  }
}
