/** Times of the pages, out of the two clocks: the instants that the program keeps are monotonic, pages show the wall clock. */
import type { Clock, MonotonicMs } from "../runtime/types.ts";
import { rfc3339Ns } from "./json.ts";

/** What the pages need of the platform. */
export interface TimeSource {
  readonly clock: Clock;
  /** Minutes east of UTC. */
  zoneOffsetMinutes(unixMs: number): number;
}

/** Turns instants into text. One anchor for all of them: the same instant reads the same on every page. */
export class MonitorTime {
  readonly startedMs: MonotonicMs;
  readonly #source: TimeSource;
  readonly #anchorNs: bigint;

  constructor(source: TimeSource) {
    this.#source = source;
    this.startedMs = source.clock.monotonicMs();
    this.#anchorNs = this.#wallNs();
  }

  nowMs(): MonotonicMs {
    return this.#source.clock.monotonicMs();
  }

  /** Nanoseconds since 1970 by the wall clock as it is set now. */
  nowNs(): bigint {
    return this.#wallNs();
  }

  /** Now, as the core pages show it. */
  nowUtc(): string {
    return rfc3339Ns(this.#wallNs(), 0);
  }

  /** Now, as the streaming pages show it. */
  nowLocal(): string {
    return this.#local(this.#wallNs());
  }

  /** An instant of the past, by the wall clock of when this object was made. */
  utcOf(instantMs: MonotonicMs): string {
    return rfc3339Ns(this.nsOf(instantMs), 0);
  }

  localOf(instantMs: MonotonicMs): string {
    return this.#local(this.nsOf(instantMs));
  }

  nsOf(instantMs: MonotonicMs): bigint {
    return this.#anchorNs + BigInt(Math.round((instantMs - this.startedMs) * 1e6));
  }

  #local(ns: bigint): string {
    return rfc3339Ns(ns, this.#source.zoneOffsetMinutes(Number(ns / 1_000_000n)));
  }

  #wallNs(): bigint {
    const stamp = { high: 0, low: 0 };
    this.#source.clock.wallNs(stamp);
    return (BigInt(stamp.high) << 32n) | BigInt(stamp.low);
  }
}
