/** How many connections may begin per second (`connection_rate_limit` of TLS): handshakes cost more than anything else. */
import type { TimerHandle } from "../runtime/types.ts";

const WINDOW_MS = 1000;

/** What the limit needs of the server. */
export interface RateLimitHost {
  nowMs(): number;
  after(delayMs: number, work: () => void): TimerHandle;
  /** Once per second in which connections were refused. */
  rejected(count: number): void;
}

export class RateLimit {
  readonly #host: RateLimitHost;
  #windowEndMs = -Infinity;
  #count = 0;
  #rejected = 0;
  #timer: TimerHandle | undefined;

  constructor(host: RateLimitHost) {
    this.#host = host;
  }

  /** May one more begin? `limit` is per second; 0 = any number. */
  admits(limit: number): boolean {
    if (limit === 0) return true;
    const nowMs = this.#host.nowMs();
    if (nowMs >= this.#windowEndMs) {
      this.#windowEndMs = nowMs + WINDOW_MS;
      this.#count = 0;
    }
    if (++this.#count <= limit) return true;
    this.#rejected++;
    this.#timer ??= this.#host.after(WINDOW_MS, () => {
      this.#timer = undefined;
      this.#host.rejected(this.#rejected);
      this.#rejected = 0;
    });
    return false;
  }

  stop(): void {
    this.#timer?.stop();
  }
}
