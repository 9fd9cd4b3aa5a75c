/**
 * Whose input is handled when. A client that floods the server fills a read of its socket, which takes a millisecond and more to
 * work off; whoever sends a single request meanwhile would wait for all of it. So while several clients send at the same time,
 * each gets its share of every turn: the rest of its input waits, its socket is not read, and between two turns the others are
 * heard and everybody's output is written. A client that is alone is served whole.
 */

/** How long the input of one connection is worked on in one turn while there are others. */
export const SHARE_MS = 0.05;
/** The same where every turn costs a sync of the disk: what waits for that does not notice a millisecond. */
export const SHARE_OF_SYNCED_MS = 1;
/** Bounds of that, in bytes: clocks are coarse. */
const SHARE_BYTES_MIN = 4096;
const SHARE_BYTES_MAX = 524_288;
/** Before anything was measured, for each millisecond of a share. */
const SHARE_BYTES_PER_MS = 327_680;
/** So long after its last input a client still counts as one that sends: a few times what an answer takes. */
const SENDING_MS = 20;

/** A connection, as far as its share goes. */
export interface Sharer {
  /** Handles `limit` bytes from `start` on, or a little more; returns where it stopped. */
  handleInput(bytes: Uint8Array, start: number, limit: number): number;
  /** Handles one more share of the input that waits. True: there is more, and it may be handled. */
  goOn(): boolean;
}

/** Input of one connection that waits for its turn. */
export class WaitingInput {
  /** Bytes of one share. */
  shareBytes: number;
  /** The turn in which it had its share. */
  servedIn = -1;
  /** It stands in the list of those that wait. */
  isListed = false;
  readonly #chunks: Uint8Array[] = [];
  #at = 0;

  constructor(shareMs: number) {
    this.shareBytes = firstShareBytes(shareMs);
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Keeps a copy. */
  add(bytes: Uint8Array, start: number): void {
    this.#chunks.push(bytes.slice(start));
  }

  /** Hands over from the front, `limit` bytes or a little more; returns how many. */
  take(limit: number, sharer: Sharer): number {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return 0;
    const start = this.#at;
    const end = this.#at = sharer.handleInput(chunk, start, limit);
    if (end === chunk.length) {
      this.#chunks.shift();
      this.#at = 0;
    }
    return end - start;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#at = 0;
  }

  /** `bytes` took `tookMs`; a share is as much as takes `shareMs`. */
  measured(bytes: number, tookMs: number, shareMs: number): void {
    const wanted = tookMs > 0 ? bytes * shareMs / tookMs : SHARE_BYTES_MAX;
    const smoothed = (this.shareBytes + wanted) / 2;
    this.shareBytes = Math.round(Math.min(SHARE_BYTES_MAX, Math.max(SHARE_BYTES_MIN, smoothed)));
  }
}

/** Of one that was never measured. */
export function firstShareBytes(shareMs: number): number {
  return Math.min(SHARE_BYTES_MAX, shareMs * SHARE_BYTES_PER_MS);
}

/** The turns of all connections of a server. */
export class FairShare {
  readonly #requestTurn: () => void;
  /** Who sent last, and when. */
  #last: Sharer | undefined;
  #lastMs = -Infinity;
  #sharedUntilMs = -Infinity;
  #waiting: Sharer[] = [];
  #spare: Sharer[] = [];
  /** Counts turns. */
  turn = 0;
  /** How long a share is. */
  shareMs = SHARE_MS;

  constructor(requestTurn: () => void) {
    this.#requestTurn = requestTurn;
  }

  /** `sharer` has sent something. True: so have others, a short time ago. */
  arrived(sharer: Sharer, nowMs: number): boolean {
    if (this.#last !== sharer) {
      if (nowMs - this.#lastMs < SENDING_MS) this.#sharedUntilMs = nowMs + SENDING_MS;
      this.#last = sharer;
    }
    this.#lastMs = nowMs;
    return nowMs < this.#sharedUntilMs;
  }

  /** `sharer` has input that waits. */
  wait(sharer: Sharer): void {
    this.#waiting.push(sharer);
    this.#requestTurn();
  }

  /** At the end of a turn: each of those that wait has a share. */
  goOn(): void {
    if (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = this.#spare;
      this.#spare = batch;
      for (let i = 0; i < batch.length; i++) if (batch[i]!.goOn()) this.#waiting.push(batch[i]!);
      batch.length = 0;
      if (this.#waiting.length > 0) this.#requestTurn();
    }
    this.turn++;
  }

  /** `sharer` is gone. */
  left(sharer: Sharer): void {
    if (this.#last === sharer) this.#last = undefined;
  }
}
