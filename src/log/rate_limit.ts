/**
 * Warnings that a client can cause as often as it likes are written once per interval and key, with the number of
 * those left out (decisions.md 20). A flood then costs neither disk nor attention.
 */
import type { LogView } from "./types.ts";

/** Time between two lines of one key, unless told otherwise. */
export const WARN_INTERVAL_MS = 30_000;
/** Keys remembered. Clients choose some of them, so there is a bound; the one written longest ago is forgotten. */
export const WARN_KEY_COUNT_MAX = 1000;

interface WarnState {
  writtenAtMs: number;
  suppressedCount: number;
}

/** Options of {@link RateLimitedWarner}. */
export interface RateLimitOptions {
  /** As the runtime's `Clock.monotonicMs`. */
  monotonicMs(): number;
  readonly intervalMs?: number;
  readonly keyCountMax?: number;
}

/** Writes WRN lines to a view, at most one per key and interval. */
export class RateLimitedWarner {
  readonly #view: LogView;
  readonly #options: RateLimitOptions;
  readonly #intervalMs: number;
  readonly #keyCountMax: number;
  /** In the order in which lines were written. */
  readonly #states = new Map<string, WarnState>();

  constructor(view: LogView, options: RateLimitOptions) {
    this.#view = view;
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? WARN_INTERVAL_MS;
    this.#keyCountMax = options.keyCountMax ?? WARN_KEY_COUNT_MAX;
  }

  /** True when a line was written. `text` is asked for its line only then. */
  warn(key: string, text: string | (() => string)): boolean {
    const nowMs = this.#options.monotonicMs();
    const state = this.#states.get(key);
    if (state !== undefined && nowMs - state.writtenAtMs < this.#intervalMs) {
      state.suppressedCount++;
      return false;
    }
    const count = state?.suppressedCount ?? 0;
    const line = typeof text === "string" ? text : text();
    this.#view.warn(count === 0 ? line : `${line} (${count} more since the last line)`);
    this.#remember(key, nowMs);
    return true;
  }

  #remember(key: string, nowMs: number): void {
    this.#states.delete(key);
    if (this.#states.size >= this.#keyCountMax) {
      const oldest = this.#states.keys().next();
      if (oldest.done !== true) this.#states.delete(oldest.value);
    }
    this.#states.set(key, { writtenAtMs: nowMs, suppressedCount: 0 });
  }
}
