/**
 * Whose input is handled when. A client that floods the server fills a read of its socket, which takes a millisecond and more to
 * work off; whoever sends a single request meanwhile would wait for all of it. So while several clients send at the same time,
 * each gets its share of every turn: the rest of its input waits, its socket is not read, and between two turns the others are
 * heard and everybody's output is written. A client that is alone is served whole. Shares are short while somebody waits: a client
 * sends little at a time, and what is to be answered or goes to another client. Among those that all send much, or send what
 * nobody waits for, long ones cost less.
 */

/** How long the input of one connection is worked on in one turn while somebody waits for what a client sends. */
const SHARE_MS = 0.03;
/** The same where every turn costs a sync of the disk. */
export const SHARE_OF_SYNCED_MS = 0.2;
/** The same while nobody does. */
const SHARE_OF_CROWD_MS = 1;
/** Bounds of that, in bytes: clocks are coarse. */
const SHARE_BYTES_MIN = 4096;
const SHARE_BYTES_MAX = 524_288;
/** Before anything was measured. */
const BYTES_PER_MS = 327_680;
/** So long after its last input a client still counts as one that sends: a few times what an answer takes. */
const SENDING_MS = 20;
/** One read of more is much. */
export const LITTLE_BYTES_MAX = 4096;
/** Most that is pulled at a time. */
const PULLED_BYTES_MAX = 524_288;

/** Takes what is to be handled now. */
export interface InputHandler {
  /** Handles `limit` bytes from `start` on, or a little more; returns where it stopped. */
  handleInput(bytes: Uint8Array, start: number, limit: number): number;
}

/** A connection, as far as its share goes. */
export interface Sharer {
  /** Handles one more share of the input that waits. True: there is more, and it may be handled. */
  goOn(): boolean;
  /** When it last sent much at a time, monotonic milliseconds. Written here only. */
  sentMuchMs: number;
}

/** Input of one connection that waits for its turn. */
export class WaitingInput {
  /** How quickly its input is worked off. */
  #bytesPerMs = BYTES_PER_MS;
  /** The turn in which it had its share. */
  servedIn = -1;
  /** It stands in the list of those that wait. */
  isListed = false;
  /** The runtime does not read the socket because of it. */
  isHolding = false;
  readonly #chunks: Uint8Array[] = [];
  #at = 0;

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Keeps it: nobody writes to what was read. */
  add(bytes: Uint8Array, start: number): void {
    this.#chunks.push(bytes.subarray(start));
  }

  /** Hands over from the front, `limit` bytes or a little more; returns how many. */
  take(limit: number, handler: InputHandler): number {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return 0;
    const start = this.#at;
    const end = this.#at = handler.handleInput(chunk, start, limit);
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

  /** Working off `bytes` took `tookMs`. */
  measured(bytes: number, tookMs: number): void {
    // Less than the clock can tell: as much as one share may be.
    const measured = tookMs > 0 ? bytes / tookMs : SHARE_BYTES_MAX / SHARE_MS;
    this.#bytesPerMs = (this.#bytesPerMs + measured) / 2;
  }

  /** What takes `shareMs`. */
  shareBytes(shareMs: number): number {
    return shareBytesAt(this.#bytesPerMs, shareMs);
  }
}

/** Of a client that was never measured. */
export function firstShareBytes(shareMs: number): number {
  return shareBytesAt(BYTES_PER_MS, shareMs);
}

function shareBytesAt(bytesPerMs: number, shareMs: number): number {
  return Math.round(Math.min(SHARE_BYTES_MAX, Math.max(SHARE_BYTES_MIN, bytesPerMs * shareMs)));
}

/** The turns of all connections of a server. */
export class FairShare {
  readonly #requestTurn: () => void;
  /** Who sent last, and when. */
  #last: Sharer | undefined;
  #lastMs = -Infinity;
  #sharedUntilMs = -Infinity;
  /** When a client last sent something that somebody waits for. */
  #askedMs = -Infinity;
  #waiting: Sharer[] = [];
  #spare: Sharer[] = [];
  /** Counts turns. */
  turn = 0;
  /** How long a share is while somebody waits. */
  shortShareMs = SHARE_MS;
  /** How long a share is now. */
  shareMs = SHARE_OF_CROWD_MS;
  #pulled: Uint8Array | null = null;

  constructor(requestTurn: () => void) {
    this.#requestTurn = requestTurn;
  }

  /** `sharer` has sent `size` bytes. True: others have sent something, too, a short time ago. */
  arrived(sharer: Sharer, size: number, nowMs: number): boolean {
    if (size > LITTLE_BYTES_MAX) sharer.sentMuchMs = nowMs;
    this.shareMs = this.isAwaited(nowMs) ? this.shortShareMs : SHARE_OF_CROWD_MS;
    if (this.#last !== sharer) {
      if (nowMs - this.#lastMs < SENDING_MS) this.#sharedUntilMs = nowMs + SENDING_MS;
      this.#last = sharer;
    }
    this.#lastMs = nowMs;
    return this.isShared(nowMs);
  }

  /** Several clients have sent something a short time ago. */
  isShared(nowMs: number): boolean {
    return nowMs < this.#sharedUntilMs;
  }

  /** What is pulled goes through it: one piece of memory for all, and always the same. */
  get pulled(): Uint8Array {
    return this.#pulled ??= new Uint8Array(PULLED_BYTES_MAX);
  }

  /** What `sharer` has just sent, and it was little, is something that somebody waits for. */
  asked(sharer: Sharer, nowMs: number): void {
    // Not the last bit of much.
    if (nowMs - sharer.sentMuchMs > SENDING_MS) this.#askedMs = nowMs;
  }

  /** Somebody waits, or did a short time ago and may do so again. */
  isAwaited(nowMs: number): boolean {
    return nowMs - this.#askedMs < SENDING_MS;
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
