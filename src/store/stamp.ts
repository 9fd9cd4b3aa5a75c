/**
 * Arithmetic on stamps: nanoseconds since 1970 as two unsigned 32-bit halves, exact and without bigint where it is called
 * often.
 */

/** Two unsigned halves of a 64-bit count of nanoseconds. */
export interface Stamp {
  high: number;
  low: number;
}

/** True when the first stamp is at or before the second. */
export function isAtOrBefore(high: number, low: number, otherHigh: number, otherLow: number): boolean {
  return high < otherHigh || (high === otherHigh && low <= otherLow);
}

/** A duration in milliseconds, fractions allowed, in nanoseconds. For configuration, not for hot code. */
export function stampOfMs(durationMs: number): Stamp {
  const whole = Math.floor(durationMs);
  const ns = BigInt(whole) * 1_000_000n + BigInt(Math.round((durationMs - whole) * 1e6));
  return { high: Number(ns >> 32n), low: Number(ns & 0xffff_ffffn) };
}

/** The first whole millisecond at or after a stamp. */
export function stampToMsCeil(high: number, low: number): number {
  // Long division by 10^6 in three digits of base 2^32, 2^16, 2^16: every intermediate value stays a safe integer.
  const quotient1 = Math.floor(high / 1_000_000);
  const rest1 = (high - quotient1 * 1_000_000) * 0x1_0000 + (low >>> 16);
  const quotient2 = Math.floor(rest1 / 1_000_000);
  const rest2 = (rest1 - quotient2 * 1_000_000) * 0x1_0000 + (low & 0xffff);
  const quotient3 = Math.floor(rest2 / 1_000_000);
  const ms = quotient1 * 0x1_0000_0000 + quotient2 * 0x1_0000 + quotient3;
  return rest2 - quotient3 * 1_000_000 === 0 ? ms : ms + 1;
}

/** A limit by age. */
export class MaxAge {
  readonly #age: Stamp;

  private constructor(age: Stamp) {
    this.#age = age;
  }

  /** Undefined: there is no limit. */
  static ofMs(maxAgeMs: number): MaxAge | undefined {
    const age = stampOfMs(maxAgeMs);
    return age.high === 0 && age.low === 0 ? undefined : new MaxAge(age);
  }

  /** The last stamp that is too old at this time; undefined: none is. */
  lastTooOld(high: number, low: number): Stamp | undefined {
    const age = this.#age;
    if (!isAtOrBefore(age.high, age.low, high, low)) return undefined;
    const borrow = low < age.low ? 1 : 0;
    return { high: high - age.high - borrow, low: (low - age.low) >>> 0 };
  }

  /** When a stamp is too old, in ms. */
  endOfMs(high: number, low: number): number {
    const endLow = low + this.#age.low;
    const carry = endLow > 0xffff_ffff ? 1 : 0;
    return stampToMsCeil(high + this.#age.high + carry, endLow >>> 0);
  }
}
