/**
 * Compares what a client says with what the options hold: plain text in constant time, bcrypt hashes one after the other
 * beside the traffic, with a memory of what was right. A reconnecting crowd then costs one hash per user, not one per
 * connection (nats-server.md trap 42).
 */
import { compare } from "bcryptjs";
import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";

/** Verifies a bcrypt hash with prefix `$2b$` off the event loop; see `Runtime.bcryptMatches` for what it may be asked. */
export type BcryptCompare = (password: string, hash: string) => Promise<boolean>;

/**
 * Checks that run at the same time. Without help of the platform (Deno) a check runs on the loop in steps of 0.1 s, between
 * which the loop turns once: cost 11 takes two steps (Deno 2.9.6 189 ms, Bun 1.4.5 217 ms, 2026-11). Two at once would only
 * double the steps per turn. Off the loop (Bun) one takes a core; two on two cores starved the loop for up to 0.5 s.
 */
export const BCRYPT_CONCURRENT_MAX = 1;
/** Above this many bytes bcrypt itself ignores the rest, but platforms hash it in. */
const BCRYPT_PASSWORD_BYTES_MAX = 72;
/** Different checks that may wait; above it a client is refused and has to come again. */
export const BCRYPT_WAITING_MAX = 1024;
/** Right passwords that are remembered; users are fewer. */
export const BCRYPT_REMEMBERED_MAX = 4096;

/** A hash that waits, with those who asked for it. */
interface Check {
  readonly key: string;
  readonly password: string;
  readonly hash: string;
  readonly wanted: (() => boolean)[];
  readonly done: PromiseWithResolvers<boolean>;
}

/** True when a stored password is a bcrypt hash. */
export function isBcrypt(stored: string): boolean {
  return /^\$2[abxy]\$\d\d\$/.test(stored);
}

/** All password comparisons of a server. */
export class Passwords {
  readonly #offLoop: BcryptCompare | undefined;
  /** Random per process: a digest that leaks from memory cannot be looked up, nor compared between runs. */
  readonly #salt: Uint8Array;
  /** Digests of (hash, password) that were right, the oldest first. */
  readonly #right = new Set<string>();
  /** Waiting and running checks. */
  readonly #checks = new Map<string, Check>();
  readonly #waiting: Check[] = [];
  #running = 0;

  constructor(fillRandom: (bytes: Uint8Array) => void, offLoop?: BcryptCompare) {
    this.#offLoop = offLoop;
    this.#salt = new Uint8Array(32);
    fillRandom(this.#salt);
  }

  /**
   * Does `given` equal `stored`? The answer is at hand unless a bcrypt hash has to be computed. `isWanted` may say, while
   * the check waits for its turn, that nobody needs it any more.
   */
  matches(stored: string, given: string, isWanted: () => boolean = always): boolean | Promise<boolean> {
    if (!isBcrypt(stored)) return timingSafeEqual(this.#digest(stored), this.#digest(given));
    const key = `${stored} ${Buffer.from(this.#digest(given)).toString("base64")}`;
    if (this.#right.has(key)) return true;
    const known = this.#checks.get(key);
    if (known !== undefined) {
      known.wanted.push(isWanted);
      return known.done.promise;
    }
    if (this.#waiting.length >= BCRYPT_WAITING_MAX) return false;
    const done = Promise.withResolvers<boolean>();
    // All prefixes name the same algorithm; the differences are defects of other programs (reference 2.9.10 takes all four).
    const check: Check = { key, password: given, hash: "$2b$" + stored.slice(4), wanted: [isWanted], done };
    this.#checks.set(key, check);
    this.#waiting.push(check);
    this.#startNext();
    return done.promise;
  }

  #digest(text: string): Uint8Array {
    return createHmac("sha256", this.#salt).update(text, "utf8").digest();
  }

  #startNext(): void {
    while (this.#running < BCRYPT_CONCURRENT_MAX) {
      const check = this.#waiting.shift();
      if (check === undefined) return;
      if (check.wanted.some((isWanted) => isWanted())) {
        this.#running++;
        void this.#run(check);
      } else {
        this.#checks.delete(check.key);
        check.done.resolve(false);
      }
    }
  }

  async #run(check: Check): Promise<void> {
    let isRight = false;
    try {
      const compareIt = this.#offLoop !== undefined && isCommon(check.password) ? this.#offLoop : compare;
      isRight = await compareIt(check.password, check.hash);
    } catch {
      // A stored value that only looks like a hash: nobody can know its password.
      isRight = false;
    }
    this.#running--;
    this.#checks.delete(check.key);
    if (isRight) this.#remember(check.key);
    check.done.resolve(isRight);
    this.#startNext();
  }

  #remember(key: string): void {
    if (this.#right.size >= BCRYPT_REMEMBERED_MAX) {
      const oldest = this.#right.values().next();
      if (oldest.done !== true) this.#right.delete(oldest.value);
    }
    this.#right.add(key);
  }
}

/** True when every bcrypt agrees about this password. */
function isCommon(password: string): boolean {
  const length = new TextEncoder().encode(password).length;
  return length > 0 && length <= BCRYPT_PASSWORD_BYTES_MAX && !password.includes("\0");
}

function always(): boolean {
  return true;
}
