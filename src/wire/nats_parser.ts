/**
 * The client side of the NATS text protocol: bytes of a connection in, operations out (nats-server.md 3). No string and no
 * object is made per message. Three paths, fastest first:
 *
 *   1. The control line equals the previous one byte for byte: its parts are known already. Typical publishers send the
 *      same line with every message, so this decides most of the speed (nats-server.md 13.3).
 *   2. A canonical `PUB subject [reply] size` with single spaces and CRLF. Who takes the messages may say which subject it
 *      expects next: that one is compared instead of read.
 *   3. Everything else, by a tokenizer that follows the lexical rules of section 3.1 exactly.
 *
 * A message that is split over reads is completed in a buffer of its own: only the split message is copied, the rest of
 * the chunk is parsed where it lies.
 */
import { copyRange, equalRanges, equalViews } from "../base/bytes.ts";

/** What ends a connection from the parser's side. */
export const PARSE_UNKNOWN_OPERATION = 1;
export const PARSE_CONTROL_LINE = 2;
export const PARSE_MAX_PAYLOAD = 3;
/** Malformed arguments: the reference closes without a text, because clients give up for good on texts they do not know. */
export const PARSE_SILENT = 4;
export type ParseFailure =
  | typeof PARSE_UNKNOWN_OPERATION
  | typeof PARSE_CONTROL_LINE
  | typeof PARSE_MAX_PAYLOAD
  | typeof PARSE_SILENT;

/** So many lines in a row that differ from the one before are remembered all the same; of those behind them one in eight. */
const CHANGES_REMEMBERED = 4;
const CHANGES_SKIPPED = 7;

/** Receives the operations. Ranges are valid only during the call. */
export interface NatsOperations {
  /**
   * A PUB or HPUB. The frame's parts stand in the parser's fields (`subjectStart`, ...): passing a dozen numbers as
   * arguments costs more than reading them.
   */
  publish(parser: NatsParser): void;
  connect(buffer: Uint8Array, start: number, end: number): void;
  /** `queueStart === queueEnd` when there is no queue. */
  subscribe(
    buffer: Uint8Array,
    subjectStart: number,
    subjectEnd: number,
    queueStart: number,
    queueEnd: number,
    sidStart: number,
    sidEnd: number,
  ): void;
  /** `max` is 0 for "now": none was given, or it was 0 or malformed (3.6). */
  unsubscribe(buffer: Uint8Array, sidStart: number, sidEnd: number, max: number): void;
  ping(): void;
  pong(): void;
  /** INFO from a client: valid JSON is ignored, anything else closes silently. */
  info(buffer: Uint8Array, start: number, end: number): void;
  /** The parser takes no further byte after this. */
  failed(failure: ParseFailure): void;
}

/** A subject that is likely to come next, as one came before: without a separator or an end of a line in it. */
export interface ExpectedSubject {
  /** In bytes. */
  readonly length: number;
  /** True when it is `bytes[start, end)`; `view` is of the same bytes where there is one. */
  is(bytes: Uint8Array, start: number, end: number, view: DataView | null): boolean;
}

export interface ParserLimits {
  /** Bytes of the argument part of a control line. */
  maxControlLine: number;
  /** Bytes of headers and payload. */
  maxPayload: number;
}

/** A chunk of at least so many bytes is worth a view of its own. */
const VIEW_BYTES_MIN = 1024;

const EMPTY = new Uint8Array(0);
const CR = 13;
const LF = 10;
const SPACE = 32;
const TAB = 9;
/** A pending buffer above this size is given up once its message is done. */
const PENDING_KEEP_BYTES = 65_536;
const PENDING_FIRST_BYTES = 512;
const TOKEN_COUNT_MAX = 5;
/** Scratch of the tokenizer. Shared: it is filled and read within one call, and a connection should cost little. */
const TOKEN_STARTS = new Int32Array(TOKEN_COUNT_MAX);
const TOKEN_ENDS = new Int32Array(TOKEN_COUNT_MAX);

/** No client may send a line that begins so. */
const OPERATION_NONE = 0;
/** The line ends inside of a name. */
const OPERATION_PARTIAL = -1;
// These ignore everything up to the LF, also without a space: `PINGxyz` is a PING.
const OPERATION_PING = 1;
const OPERATION_PONG = 2;
const OPERATION_OK = 3;
// These may be followed by their argument at once: `CONNECT{...}`.
const OPERATION_CONNECT = 4;
const OPERATION_INFO = 5;
// These must be followed by a separator.
const OPERATION_PUB = 6;
const OPERATION_HPUB = 7;
const OPERATION_SUB = 8;
const OPERATION_UNSUB = 9;
const OPERATION_ERR = 10;
/** The names, by operation. None is the beginning of another one. */
const OPERATION_NAMES = ["", "PING", "PONG", "+OK", "CONNECT", "INFO", "PUB", "HPUB", "SUB", "UNSUB", "-ERR"];

export class NatsParser {
  /** Replaced by {@link adoptLimits} only. */
  limits: ParserLimits;
  /** Set by CONNECT: without it a HPUB is refused at its control line (3.5). */
  headersAllowed = false;
  readonly #operations: NatsOperations;

  // The frame handed to `publish`.
  buffer: Uint8Array = EMPTY;
  subjectStart = 0;
  subjectEnd = 0;
  /** `replyStart === replyEnd` when there is no reply. */
  replyStart = 0;
  replyEnd = 0;
  /** The size argument as written: sizes are echoed, leading zeros included. */
  sizeStart = 0;
  sizeEnd = 0;
  /** Size of the header block, -1 for PUB. */
  headerSize = -1;
  /** That size as written, for HPUB only. */
  headerSizeStart = 0;
  headerSizeEnd = 0;
  payloadStart = 0;
  /** Without the final CRLF. */
  payloadEnd = 0;
  /** True when `[reply ]size CRLF payload CRLF` stands in `buffer` as a MSG needs it, from `tailStart` on. */
  canonical = false;
  tailStart = 0;
  /** True when this control line equals the previous one, so that what was derived from it still holds. */
  sameLine = false;
  /** True when the reply is that of the previous control line. */
  sameReply = false;
  /** What the receiver expects as the next subject, unless the line is the same again: then its end need not be looked for. */
  expected: ExpectedSubject | null = null;
  /** It is that of the line before, whose sizes differ: the line is the same again as soon as a size repeats itself. */
  expectsRepeat = false;
  /** True when the line is not the same again and its subject is that one. */
  isExpected = false;

  // A canonical control line, from `P` to LF: the previous one, or one a little before it.
  #line: Uint8Array = new Uint8Array(128);
  /** Of the whole; 0 = there is none. */
  #rememberedLength = 0;
  /** The same if it is the previous one, else 0. */
  #lineLength = 0;
  /** The reply in it is that of the previous line. */
  #isReplyLast = false;
  #lineSize = 0;
  #lineSubjectEnd = 0;
  #lineReplyEnd = 0;
  #lineSizeStart = 0;

  /** Of `buffer`, to compare several bytes at a time; null where it is not worth one. */
  view: DataView | null = null;
  /** The same of `#line`. */
  #lineView: DataView | null = null;

  /** Control lines in a row that differed from the one before them. */
  #changes = 0;

  #pending: Uint8Array = EMPTY;
  #pendingLength = 0;
  /** Total bytes of the unfinished item, 0 while its control line is not complete. */
  #needed = 0;
  #closed = false;
  /** Limits that hold from the next item on; null when they do already. */
  #nextLimits: ParserLimits | null = null;

  constructor(operations: NatsOperations, limits: ParserLimits) {
    this.#operations = operations;
    this.limits = limits;
  }

  /** Bytes kept of an unfinished item. */
  get pendingBytes(): number {
    return this.#pendingLength;
  }

  /** No operation is handed out from here on, also not from the rest of a chunk that is being parsed. */
  close(): void {
    this.#closed = true;
    this.#pending = EMPTY;
    this.#pendingLength = 0;
    this.#line = EMPTY;
    this.view = null;
    this.#lineView = null;
    this.#forgetLine();
  }

  /**
   * Other limits hold from the next item on. A message whose control line was accepted is completed under the old ones, as
   * in the reference: its sender had no way to know.
   */
  adoptLimits(limits: ParserLimits): void {
    if (this.#needed > 0) {
      this.#nextLimits = limits;
      return;
    }
    this.#nextLimits = null;
    this.limits = limits;
    // The remembered line was accepted under the old limits.
    this.#forgetLine();
  }

  #forgetLine(): void {
    this.#rememberedLength = 0;
    this.#lineLength = 0;
  }

  /**
   * Takes the next bytes of the connection, `chunk` from `start` on. Stops between two items once `limit` bytes or more are
   * handled; returns where, or the length of the chunk when there is nothing left to come back to.
   */
  feed(chunk: Uint8Array, start = 0, limit = Infinity): number {
    const { length } = chunk;
    if (this.#closed) return length;
    let at = start;
    if (this.#pendingLength > 0) {
      at = this.#complete(chunk, start);
      if (at < 0) return length;
    }
    const stop = limit < length - start ? start + limit : length;
    if (at < stop) {
      if (length - at >= VIEW_BYTES_MIN) {
        this.view = new DataView(chunk.buffer, chunk.byteOffset, length);
        this.#lineView ??= viewOf(this.#line);
      }
      at = this.#parse(chunk, at, length, stop);
      this.view = null;
    }
    if (this.#closed || at >= length) return length;
    if (at >= stop) return at;
    this.#keep(chunk, at, length);
    return length;
  }

  /** Finishes the unfinished item with bytes of `chunk` from `at` on; returns where it ends, or -1 when all were taken. */
  #complete(chunk: Uint8Array, at: number): number {
    while (this.#pendingLength > 0) {
      if (this.#needed === 0) {
        const lineEnd = chunk.indexOf(LF, at);
        if (lineEnd < 0) {
          this.#keep(chunk, at, chunk.length);
          return -1;
        }
        this.#append(chunk, at, lineEnd + 1);
        at = lineEnd + 1;
      } else {
        const take = Math.min(this.#needed - this.#pendingLength, chunk.length - at);
        this.#append(chunk, at, at + take);
        at += take;
        if (this.#pendingLength < this.#needed) {
          // The first byte behind the payload is here and wrong: whoever sent it may be waiting for the answer.
          if (this.#pendingLength === this.#needed - 1 && this.#pending[this.#needed - 2] !== CR) {
            this.#fail(PARSE_UNKNOWN_OPERATION);
          }
          return -1;
        }
      }
      const length = this.#pendingLength;
      this.#needed = 0;
      const used = this.#parse(this.#pending, 0, length, length);
      if (this.#closed) return -1;
      if (used === length) {
        this.#pendingLength = 0;
        if (this.#nextLimits !== null) this.adoptLimits(this.#nextLimits);
        if (this.#pending.length > PENDING_KEEP_BYTES) this.#pending = EMPTY;
      }
    }
    return at;
  }

  #append(chunk: Uint8Array, start: number, end: number): void {
    const length = this.#pendingLength + (end - start);
    if (this.#pending.length < length) {
      // A payload that was announced gets its final size once half of it is here; before that the buffer doubles, so that
      // an announcement alone costs nothing.
      let size = Math.max(PENDING_FIRST_BYTES, this.#pending.length * 2, length);
      if (this.#needed > 0 && size * 2 >= this.#needed) size = Math.max(this.#needed, length);
      const grown = new Uint8Array(size);
      grown.set(this.#pending.subarray(0, this.#pendingLength));
      this.#pending = grown;
    }
    this.#pending.set(chunk.subarray(start, end), this.#pendingLength);
    this.#pendingLength = length;
  }

  /** Keeps the unfinished item `chunk[start, end)`, unless it can be refused already. */
  #keep(chunk: Uint8Array, start: number, end: number): void {
    this.#append(chunk, start, end);
    if (this.#needed > 0) return;
    const pending = this.#pending;
    const length = this.#pendingLength;
    const operation = operationAt(pending, 0, length);
    if (operation === OPERATION_PARTIAL) return;
    if (operation === OPERATION_NONE) return this.#fail(PARSE_UNKNOWN_OPERATION);
    const nameEnd = OPERATION_NAMES[operation]!.length;
    if (operation <= OPERATION_OK) {
      // What is ignored need not be kept.
      this.#pendingLength = nameEnd;
      return;
    }
    // One separator says as much as many, and only the arguments are limited.
    const argument = skipSeparators(pending, nameEnd, length);
    const surplus = argument - nameEnd - 1;
    if (surplus > 0) {
      pending.copyWithin(nameEnd + 1, argument, length);
      this.#pendingLength = length - surplus;
    }
    const trailing = argument < length && pending[this.#pendingLength - 1] === CR ? 1 : 0;
    if (length - trailing - argument > this.limits.maxControlLine) this.#fail(PARSE_CONTROL_LINE);
  }

  /**
   * True when all of the message at `at` is here and its end is right. Else it is said how much it takes, or that it is refused,
   * which a wrong end is before all of it is here.
   */
  #isWhole(buffer: Uint8Array, at: number, payloadEnd: number, end: number): boolean {
    if (payloadEnd + 2 <= end) {
      if (buffer[payloadEnd] === CR && buffer[payloadEnd + 1] === LF) return true;
      this.#fail(PARSE_UNKNOWN_OPERATION);
    } else if (payloadEnd < end && buffer[payloadEnd] !== CR) this.#fail(PARSE_UNKNOWN_OPERATION);
    else this.#needed = payloadEnd + 2 - at;
    return false;
  }

  #fail(failure: ParseFailure): void {
    if (this.#closed) return;
    this.close();
    this.#operations.failed(failure);
  }

  /** Parses those items of `buffer[at, end)` that begin before `stop`; returns where the next or an unfinished one begins. */
  #parse(buffer: Uint8Array, at: number, end: number, stop: number): number {
    const operations = this.#operations;
    while (at < stop) {
      if (buffer[at] === 80 && buffer[at + 1] === 85 && at + 4 < end) {
        const next = this.#publishLine(buffer, at, end);
        if (this.#closed) return end;
        if (next === -1) return at;
        if (next > 0) {
          // One call for both paths: each would have all that follows compiled into it, or not.
          operations.publish(this);
          if (this.#closed) return end;
          at = next;
          continue;
        }
      }
      const next = this.#slow(buffer, at, end);
      if (this.#closed) return end;
      if (next === -1) return at;
      at = next;
    }
    return at;
  }

  /** True when the remembered line has in `[from, to)` what stands in `buffer` from `at` on, which must be there. */
  #isRemembered(buffer: Uint8Array, at: number, from: number, to: number): boolean {
    const { view } = this;
    const lineView = this.#lineView;
    return view === null || lineView === null
      ? equalRanges(this.#line, from, to, buffer, at, at + to - from)
      : equalViews(lineView, from, to, view, at, at + to - from);
  }

  /**
   * Where in the line at `at` to look for the end of the subject: behind what the remembered line begins with, too. A client's
   * publishes have a long prefix in common, and there is no separator in it.
   * Eight bytes as a number: equal ones that look different are two zeros, and there is no separator in those either.
   */
  #behindKnown(at: number, end: number): number {
    const { view } = this;
    const lineView = this.#lineView;
    if (view === null || lineView === null || this.#rememberedLength === 0) return at + 4;
    const lastStart = Math.min(this.#lineSubjectEnd, end - at) - 8;
    let i = 0;
    while (i <= lastStart && view.getFloat64(at + i, true) === lineView.getFloat64(i, true)) i += 8;
    return at + Math.max(4, i);
  }

  /** Paths 1 and 2. Returns the position behind the message, -1 when more bytes are needed, 0 to let path 3 decide. */
  #publishLine(buffer: Uint8Array, at: number, end: number): number {
    const lineLength = this.#lineLength;
    if (lineLength === 0 || at + lineLength > end || !this.#isRemembered(buffer, at, 0, lineLength)) {
      return buffer[at + 2] === 66 && buffer[at + 3] === SPACE ? this.#otherLine(buffer, at, end) : 0;
    }
    const payloadStart = at + lineLength;
    const payloadEnd = payloadStart + this.#lineSize;
    if (!this.#isWhole(buffer, at, payloadEnd, end)) return -1;
    const tailStart = at + this.#lineSubjectEnd + 1;
    this.buffer = buffer;
    this.subjectStart = at + 4;
    this.subjectEnd = at + this.#lineSubjectEnd;
    this.replyStart = tailStart;
    this.replyEnd = at + this.#lineReplyEnd;
    this.sizeStart = at + this.#lineSizeStart;
    this.sizeEnd = payloadStart - 2;
    this.headerSize = -1;
    this.payloadStart = payloadStart;
    this.payloadEnd = payloadEnd;
    this.canonical = true;
    this.tailStart = tailStart;
    this.sameLine = true;
    this.sameReply = true;
    this.isExpected = false;
    this.#changes = 0;
    return payloadEnd + 2;
  }

  /** Path 2, with the same result. */
  #otherLine(buffer: Uint8Array, at: number, end: number): number {
    const subjectStart = at + 4;
    const { expected } = this;
    let p = expected === null ? end : subjectStart + expected.length;
    this.isExpected = p < end && buffer[p] === SPACE && expected!.is(buffer, subjectStart, p, this.view);
    if (!this.isExpected) {
      p = this.#behindKnown(at, end);
      while (p < end && buffer[p]! > SPACE) p++;
      if (p >= end) return -1;
    }
    const subjectEnd = p;
    if (subjectEnd === subjectStart || buffer[p] !== SPACE) return 0;
    const tailStart = ++p;
    // Reply and size, or the reply, are those of the line before when one client publishes to one subject after the other.
    const lineTail = this.#lineSubjectEnd + 1;
    const lineReplyEnd = this.#lineReplyEnd;
    const tailLength = this.#rememberedLength - lineTail;
    const isKnownTail = tailLength > 0 && tailStart + tailLength <= end &&
      this.#isRemembered(buffer, tailStart, lineTail, lineTail + tailLength);
    let isKnownReply = isKnownTail;
    let replyEnd = tailStart;
    let sizeStart = tailStart;
    let sizeEnd: number;
    let size: number;
    if (isKnownTail) {
      const shift = tailStart - lineTail;
      replyEnd = lineReplyEnd + shift;
      sizeStart = this.#lineSizeStart + shift;
      sizeEnd = tailStart + tailLength - 2;
      size = this.#lineSize;
      if (sizeEnd - subjectStart > this.limits.maxControlLine) return 0;
    } else {
      const knownEnd = tailStart + lineReplyEnd - lineTail;
      isKnownReply = tailLength > 0 && knownEnd > tailStart && knownEnd < end && buffer[knownEnd] === SPACE &&
        this.#isRemembered(buffer, tailStart, lineTail, lineReplyEnd);
      if (isKnownReply) p = knownEnd;
      else while (p < end && buffer[p]! > SPACE) p++;
      if (p >= end) return -1;
      if (buffer[p] === SPACE) {
        if (p === tailStart) return 0;
        replyEnd = p;
        sizeStart = ++p;
        while (p < end && buffer[p]! > SPACE) p++;
        if (p >= end) return -1;
      }
      sizeEnd = p;
      if (buffer[p] !== CR) return 0;
      if (p + 1 >= end) return -1;
      if (buffer[p + 1] !== LF) return 0;
      if (sizeEnd - subjectStart > this.limits.maxControlLine) return 0;
      size = parseSize(buffer, sizeStart, sizeEnd);
      if (size < 0 || size > this.limits.maxPayload) return 0;
    }
    const payloadStart = sizeEnd + 2;
    const payloadEnd = payloadStart + size;
    if (!this.#isWhole(buffer, at, payloadEnd, end)) return -1;
    this.sameReply = isKnownReply && this.#isReplyLast;
    // Remember the line for path 1; of a publisher whose lines differ only one in a few, and none that was foreseen.
    const isForeseen = this.isExpected && isKnownTail && !this.expectsRepeat;
    this.#changes = isForeseen ? 0 : (this.#changes + 1) | 0;
    if (!isForeseen && (this.#changes <= CHANGES_REMEMBERED || (this.#changes & CHANGES_SKIPPED) === 0)) {
      const lineLength = payloadStart - at;
      if (lineLength > this.#line.length) {
        this.#line = new Uint8Array(lineLength * 2);
        if (this.#lineView !== null) this.#lineView = viewOf(this.#line);
      }
      copyRange(this.#line, 0, buffer, at, payloadStart);
      this.#rememberedLength = this.#lineLength = lineLength;
      this.#isReplyLast = true;
      this.#lineSize = size;
      this.#lineSubjectEnd = subjectEnd - at;
      this.#lineReplyEnd = replyEnd - at;
      this.#lineSizeStart = sizeStart - at;
    } else {
      // What the receiver derived from the line before is about to be replaced.
      this.#lineLength = 0;
      this.#isReplyLast = isKnownReply;
    }

    this.buffer = buffer;
    this.subjectStart = subjectStart;
    this.subjectEnd = subjectEnd;
    this.replyStart = tailStart;
    this.replyEnd = replyEnd;
    this.sizeStart = sizeStart;
    this.sizeEnd = sizeEnd;
    this.headerSize = -1;
    this.payloadStart = payloadStart;
    this.payloadEnd = payloadEnd;
    this.canonical = true;
    this.tailStart = tailStart;
    this.sameLine = false;
    return payloadEnd + 2;
  }

  /** Path 3. Returns the position behind the item, or -1 when more bytes are needed. */
  #slow(buffer: Uint8Array, at: number, end: number): number {
    const lineFeed = buffer.indexOf(LF, at);
    if (lineFeed < 0 || lineFeed >= end) return -1;
    let lineEnd = lineFeed;
    if (lineEnd > at && buffer[lineEnd - 1] === CR) lineEnd--;
    const operation = operationAt(buffer, at, lineEnd);
    switch (operation) {
      case OPERATION_PING:
        this.#operations.ping();
        return lineFeed + 1;
      case OPERATION_PONG:
        this.#operations.pong();
        return lineFeed + 1;
      case OPERATION_OK:
        return lineFeed + 1;
      case OPERATION_NONE:
      case OPERATION_PARTIAL:
        return this.#refuse(PARSE_UNKNOWN_OPERATION);
    }
    const nameEnd = at + OPERATION_NAMES[operation]!.length;
    const argument = skipSeparators(buffer, nameEnd, lineEnd);
    if (argument === nameEnd && operation >= OPERATION_PUB) return this.#refuse(PARSE_UNKNOWN_OPERATION);
    if (lineEnd - argument > this.limits.maxControlLine) return this.#refuse(PARSE_CONTROL_LINE);
    // A CR inside a line is refused: the reference handles it inconsistently (3.1).
    for (let i = argument; i < lineEnd; i++) if (buffer[i] === CR) return this.#refuse(PARSE_UNKNOWN_OPERATION);
    let argumentEnd = lineEnd;
    while (argumentEnd > argument && isSeparator(buffer[argumentEnd - 1]!)) argumentEnd--;
    switch (operation) {
      case OPERATION_CONNECT:
        this.#operations.connect(buffer, argument, argumentEnd);
        return lineFeed + 1;
      case OPERATION_INFO:
        this.#operations.info(buffer, argument, argumentEnd);
        return lineFeed + 1;
      case OPERATION_ERR:
        return this.#refuse(PARSE_SILENT);
    }
    const count = this.#tokenize(buffer, argument, argumentEnd);
    const starts = TOKEN_STARTS;
    const ends = TOKEN_ENDS;
    switch (operation) {
      case OPERATION_SUB: {
        if (count !== 2 && count !== 3) return this.#refuse(PARSE_SILENT);
        const sid = count - 1;
        const queueStart = count === 3 ? starts[1]! : 0;
        const queueEnd = count === 3 ? ends[1]! : 0;
        this.#operations.subscribe(buffer, starts[0]!, ends[0]!, queueStart, queueEnd, starts[sid]!, ends[sid]!);
        return lineFeed + 1;
      }
      case OPERATION_UNSUB: {
        if (count !== 1 && count !== 2) return this.#refuse(PARSE_SILENT);
        const max = count === 2 ? Math.max(0, parseSize(buffer, starts[1]!, ends[1]!)) : 0;
        this.#operations.unsubscribe(buffer, starts[0]!, ends[0]!, max);
        return lineFeed + 1;
      }
      case OPERATION_PUB:
        if (count !== 2 && count !== 3) return this.#refuse(PARSE_SILENT);
        return this.#publishSlow(buffer, at, lineFeed + 1, end, count, -1);
      case OPERATION_HPUB:
        if (!this.headersAllowed || (count !== 3 && count !== 4)) return this.#refuse(PARSE_SILENT);
        return this.#publishSlow(buffer, at, lineFeed + 1, end, count, count - 2);
    }
    return this.#refuse(PARSE_UNKNOWN_OPERATION);
  }

  #publishSlow(
    buffer: Uint8Array,
    at: number,
    payloadStart: number,
    end: number,
    count: number,
    headerToken: number,
  ): number {
    const starts = TOKEN_STARTS;
    const ends = TOKEN_ENDS;
    const size = parseSize(buffer, starts[count - 1]!, ends[count - 1]!);
    const headerSize = headerToken < 0 ? -1 : parseSize(buffer, starts[headerToken]!, ends[headerToken]!);
    if (size < 0 || (headerToken >= 0 && (headerSize < 0 || headerSize > size))) return this.#refuse(PARSE_SILENT);
    if (size > this.limits.maxPayload) return this.#refuse(PARSE_MAX_PAYLOAD);
    const payloadEnd = payloadStart + size;
    if (!this.#isWhole(buffer, at, payloadEnd, end)) return -1;
    const hasReply = headerToken < 0 ? count === 3 : count === 4;
    this.buffer = buffer;
    this.subjectStart = starts[0]!;
    this.subjectEnd = ends[0]!;
    this.replyStart = hasReply ? starts[1]! : starts[count - 1]!;
    this.replyEnd = hasReply ? ends[1]! : starts[count - 1]!;
    this.sizeStart = starts[count - 1]!;
    this.sizeEnd = ends[count - 1]!;
    this.headerSize = headerSize;
    if (headerToken >= 0) {
      this.headerSizeStart = starts[headerToken]!;
      this.headerSizeEnd = ends[headerToken]!;
    }
    this.payloadStart = payloadStart;
    this.payloadEnd = payloadEnd;
    this.canonical = false;
    this.sameLine = false;
    this.sameReply = false;
    this.isExpected = false;
    // What the receiver derived from the remembered line is about to be replaced.
    this.#lineLength = 0;
    this.#isReplyLast = false;
    this.#operations.publish(this);
    return payloadEnd + 2;
  }

  #refuse(failure: ParseFailure): number {
    this.#fail(failure);
    return 0;
  }

  /** Splits at runs of separators; more than the maximum counts as one more. */
  #tokenize(buffer: Uint8Array, start: number, end: number): number {
    let count = 0;
    let p = start;
    while (p < end) {
      const tokenStart = p;
      while (p < end && !isSeparator(buffer[p]!)) p++;
      if (count === TOKEN_COUNT_MAX) return count + 1;
      TOKEN_STARTS[count] = tokenStart;
      TOKEN_ENDS[count] = p;
      count++;
      while (p < end && isSeparator(buffer[p]!)) p++;
    }
    return count;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function isSeparator(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** Decimal digits only, one to nine of them; -1 otherwise. */
function parseSize(buffer: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length < 1 || length > 9) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = buffer[i]! - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function skipSeparators(buffer: Uint8Array, at: number, end: number): number {
  while (at < end && isSeparator(buffer[at]!)) at++;
  return at;
}

/** The operation that the line `buffer[start, end)` is, or is the beginning of. */
function operationAt(buffer: Uint8Array, start: number, end: number): number {
  for (let operation = 1; operation < OPERATION_NAMES.length; operation++) {
    const name = OPERATION_NAMES[operation]!;
    const length = Math.min(name.length, end - start);
    let i = 0;
    while (i < length && upperOf(buffer[start + i]!) === name.charCodeAt(i)) i++;
    if (i < length) continue;
    if (length < name.length) return OPERATION_PARTIAL;
    const behind = start + length;
    return operation >= OPERATION_PUB && behind < end && !isSeparator(buffer[behind]!) ? OPERATION_NONE : operation;
  }
  return OPERATION_NONE;
}

function upperOf(byte: number): number {
  return byte >= 97 && byte <= 122 ? byte - 32 : byte;
}
