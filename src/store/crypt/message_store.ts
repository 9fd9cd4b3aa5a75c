/**
 * Messages of one channel, encrypted: seals payloads on their way into the store underneath and opens them on their way
 * out (stores.md 8). Everything else passes through; what counts for limits and for the monitor are the bytes that are
 * stored, as in the reference.
 *
 *   append : payload -> scratch, sealed -> store underneath       the plain message -> cache, while somebody reads
 *   lookup : store underneath says whether it is there -> cache, or opened into the cache's next free place
 *
 * So a sealed payload never leaves by `lookup`, and nothing that was handed out is ever written again.
 */
import { bytesOf, copyRange, displayText } from "../../base/bytes.ts";
import { varintSize64 } from "../../base/varint.ts";
import type { LogView } from "../../log/types.ts";
import { decodeMsgProto, encodeMsgProto, msgProtoSize, MsgProtoView } from "../../wire/stan_hot.ts";
import {
  LOOKUP_FAILED,
  LOOKUP_FOUND,
  LOOKUP_LATER,
  type LookupResult,
  type MessageStore,
  type MessageView,
} from "../types.ts";
import type { Aead } from "./ciphers.ts";
import type { PlainCache } from "./plain_cache.ts";
import { NONCE_BYTES, SEAL_BYTES, SEAL_HEAD_BYTES, TAG_BYTES } from "./sealed.ts";

/** Messages that are cached when they are stored although nobody has read since. A channel without readers pays nothing. */
const UNREAD_MAX = 4096;
/** Messages that cannot be opened and are remembered, per channel. Beyond it they are neither remembered nor named. */
const FAILED_MAX = 10_000;
/** A larger scratch buffer is given up after its message. */
const SCRATCH_KEEP_BYTES = 2 * 1024 * 1024;
const SCRATCH_FIRST_BYTES = 4096;
/** Messages at the end of a channel that are looked at for one that tells whether the key is right. */
const PROBE_DEPTH = 16;

const AUTHENTICATION_FAILED = "cipher: message authentication failed";

const NOTHING = new Uint8Array(0);

/** What the channels of an encrypted store share. */
export class CryptShared {
  /** Seals. */
  readonly cipher: Aead;
  /** Open, whatever `cipher` is: a store may have messages of both. */
  readonly ciphers: readonly Aead[];
  readonly cache: PlainCache;
  readonly log: LogView;
  readonly random: (bytes: Uint8Array) => void;
  /** Filled anew for every message. */
  readonly nonce = new Uint8Array(NONCE_BYTES);
  readonly message = new MsgProtoView();
  #scratch: Uint8Array = NOTHING;

  constructor(
    cipher: Aead,
    ciphers: readonly Aead[],
    cache: PlainCache,
    log: LogView,
    random: (bytes: Uint8Array) => void,
  ) {
    this.cipher = cipher;
    this.ciphers = ciphers;
    this.cache = cache;
    this.log = log;
    this.random = random;
  }

  /** A buffer for what the store underneath copies at once: valid until the next call. */
  scratch(sizeBytes: number): Uint8Array {
    if (sizeBytes > SCRATCH_KEEP_BYTES) return new Uint8Array(sizeBytes);
    if (this.#scratch.length < sizeBytes) {
      let length = SCRATCH_FIRST_BYTES;
      while (length < sizeBytes) length *= 2;
      this.#scratch = new Uint8Array(length);
    }
    return this.#scratch;
  }

  /** The cipher whose mark this is; undefined: a payload that begins so was stored in clear. */
  cipherOf(code: number): Aead | undefined {
    for (const cipher of this.ciphers) if (cipher.code === code) return cipher;
    return undefined;
  }
}

/** What trying the key on a channel says. `nothing`: there is no encrypted message to try it on. */
export type ProbeResult = "fits" | "doesNotFit" | "nothing";

export class CryptMessageStore implements MessageStore {
  readonly #inner: MessageStore;
  readonly #shared: CryptShared;
  readonly #name: string;
  readonly #channel: Uint8Array;
  readonly #key: Uint8Array;
  /** Of the cache: another one when what is cached does not hold any more. */
  #id: number;
  /** Messages stored since the last lookup. */
  #unread = 0;
  /** Messages that cannot be opened: tried and reported once. */
  readonly #failed = new Set<number>();
  #failedIsFull = false;
  /** Set while the key is being tried. */
  #endProbe: (() => void) | undefined = undefined;

  /** `name` is a byte string; the key becomes this object's. */
  constructor(inner: MessageStore, shared: CryptShared, name: string, key: Uint8Array) {
    this.#inner = inner;
    this.#shared = shared;
    this.#name = name;
    this.#channel = bytesOf(name);
    this.#key = key;
    this.#id = shared.cache.newId();
  }

  get firstSequence(): number {
    return this.#inner.firstSequence;
  }

  get lastSequence(): number {
    return this.#inner.lastSequence;
  }

  get messageCount(): number {
    return this.#inner.messageCount;
  }

  get byteCount(): number {
    return this.#inner.byteCount;
  }

  get lastError(): string {
    return this.#inner.lastError;
  }

  get refusal(): string {
    return this.#inner.refusal;
  }

  get onReadable(): (() => void) | undefined {
    return this.#inner.onReadable;
  }

  set onReadable(readable: (() => void) | undefined) {
    this.#inner.onReadable = readable;
  }

  get onLimitReached(): (() => void) | undefined {
    return this.#inner.onLimitReached;
  }

  set onLimitReached(reached: (() => void) | undefined) {
    this.#inner.onLimitReached = reached;
  }

  // Writing ------------------------------------------------------------------------------------------------------------

  append(
    sequence: number,
    stampHigh: number,
    stampLow: number,
    source: Uint8Array,
    replyStart: number,
    replyEnd: number,
    dataStart: number,
    dataEnd: number,
    nameStart?: number,
  ): number {
    const inner = this.#inner;
    const lastBefore = inner.lastSequence;
    let size: number;
    if (dataStart === dataEnd) {
      size = inner.append(sequence, stampHigh, stampLow, source, replyStart, replyEnd, dataStart, dataEnd, nameStart);
    } else {
      const replyLength = replyEnd - replyStart;
      const sealed = this.#shared.scratch(replyLength + (dataEnd - dataStart) + SEAL_BYTES);
      copyRange(sealed, 0, source, replyStart, replyEnd);
      const sealedEnd = this.#seal(source, dataStart, dataEnd, sealed, replyLength);
      size = inner.append(sequence, stampHigh, stampLow, sealed, 0, replyLength, replyLength, sealedEnd);
    }
    if (size <= 0) return size;
    // A gap that was closed, a channel that begins again: sequences that are cached may mean other messages.
    if (sequence !== lastBefore + 1) this.#forgetAll();
    // After a failed flush the same sequence comes again with another message.
    if (this.#failed.size > 0) this.#failed.delete(sequence);
    const { cache } = this.#shared;
    if (dataStart === dataEnd || this.#unread > UNREAD_MAX || !cache.takes(size)) {
      cache.forget(this.#id, sequence);
    } else {
      this.#unread++;
      // The sealed message is longer than the plain one, so its size is room enough.
      cache.reserve(size);
      const end = encodeMsgProto(
        cache.buffer,
        cache.at,
        sequence,
        this.#channel,
        0,
        this.#channel.length,
        source,
        replyStart,
        replyEnd,
        dataStart,
        dataEnd,
        stampHigh,
        stampLow,
      );
      cache.keep(this.#id, sequence, end);
    }
    return size;
  }

  /**
   * Writes the sealed form of a payload and returns the position behind it. The nonce is random as a whole: counting up
   * from a random start, as the reference does, leaves only four bytes between two runs that start at the same sequence.
   */
  #seal(source: Uint8Array, start: number, end: number, out: Uint8Array, position: number): number {
    const { cipher, nonce, random } = this.#shared;
    random(nonce);
    out[position] = cipher.code;
    position = copyRange(out, position + 1, nonce, 0, NONCE_BYTES);
    return cipher.seal(this.#key, nonce, source, start, end, out, position);
  }

  flush(): Promise<void> | undefined {
    return this.#inner.flush();
  }

  // Reading ------------------------------------------------------------------------------------------------------------

  lookup(sequence: number, into: MessageView): LookupResult {
    // The store underneath is asked first, every time: what was removed, taken back or deleted there is gone here.
    const result = this.#inner.lookup(sequence, into);
    if (result !== LOOKUP_FOUND) return result;
    this.#unread = 0;
    return this.#shared.cache.find(this.#id, sequence, into) ? LOOKUP_FOUND : this.#open(sequence, into);
  }

  /** Puts the plain form of the stored message `into` in its place. */
  #open(sequence: number, into: MessageView): LookupResult {
    const { cache, message } = this.#shared;
    const { buffer } = into;
    if (!decodeMsgProto(buffer, into.start, into.end, message)) return this.#cannot(sequence, "it cannot be decoded");
    const { replyStart, replyEnd, dataStart, dataEnd, stampHigh, stampLow } = message;
    const sealedLength = dataEnd - dataStart;
    if (sealedLength === 0) return LOOKUP_FOUND;
    const cipher = this.#shared.cipherOf(buffer[dataStart]!);
    if (cipher === undefined) return LOOKUP_FOUND;
    if (this.#failed.has(sequence)) return LOOKUP_FAILED;
    if (sealedLength <= SEAL_HEAD_BYTES) {
      return this.#cannot(sequence, `trying to decrypt data that is not (len=${sealedLength})`);
    }
    const length = sealedLength - SEAL_BYTES;
    if (length < 0) return this.#cannot(sequence, AUTHENTICATION_FAILED);

    cache.reserve(
      msgProtoSize(sequence, this.#channel.length, replyEnd - replyStart, length, stampHigh, stampLow),
    );
    // Encoded with the ciphertext, which is as long as the plain payload; that is then written over it.
    const cipherStart = dataStart + SEAL_HEAD_BYTES;
    const end = encodeMsgProto(
      cache.buffer,
      cache.at,
      sequence,
      this.#channel,
      0,
      this.#channel.length,
      buffer,
      replyStart,
      replyEnd,
      cipherStart,
      cipherStart + length,
      stampHigh,
      stampLow,
    );
    const stampBytes = stampHigh === 0 && stampLow === 0 ? 0 : 1 + varintSize64(stampHigh, stampLow);
    const isOpen = cipher.open(
      this.#key,
      buffer.subarray(dataStart + 1, cipherStart),
      buffer,
      cipherStart,
      dataEnd,
      cache.buffer,
      end - stampBytes - length,
    );
    if (!isOpen) return this.#cannot(sequence, AUTHENTICATION_FAILED);
    into.buffer = cache.buffer;
    into.start = cache.at;
    into.end = end;
    cache.keep(this.#id, sequence, end);
    return LOOKUP_FOUND;
  }

  /** Once per message, however often it is asked for. */
  #cannot(sequence: number, why: string): LookupResult {
    const failed = this.#failed;
    if (failed.has(sequence) || this.#failedIsFull) return LOOKUP_FAILED;
    const { log } = this.#shared;
    const name = displayText(this.#name);
    if (failed.size === FAILED_MAX) {
      const first = this.#inner.firstSequence;
      for (const other of failed) if (other < first) failed.delete(other);
    }
    if (failed.size === FAILED_MAX) {
      this.#failedIsFull = true;
      log.error(`More messages of channel "${name}" cannot be decrypted; they are not named one by one`);
      return LOOKUP_FAILED;
    }
    failed.add(sequence);
    log.error(`Error looking up message ${name}:${sequence} (${why})`);
    return LOOKUP_FAILED;
  }

  sequenceAtOrAfter(stampHigh: number, stampLow: number): number {
    return this.#inner.sequenceAtOrAfter(stampHigh, stampLow);
  }

  stampOf(sequence: number, into: { stampHigh: number; stampLow: number }): boolean {
    return this.#inner.stampOf(sequence, into);
  }

  // Removing and end ---------------------------------------------------------------------------------------------------

  expire(stampHigh: number, stampLow: number): number {
    return this.#inner.expire(stampHigh, stampLow);
  }

  empty(): void {
    this.#inner.empty();
    this.#forgetAll();
  }

  /** What the cache has of them is not found any more: the store underneath is asked first. */
  purge(upTo: number): void {
    this.#inner.purge(upTo);
  }

  #forgetAll(): void {
    this.#id = this.#shared.cache.newId();
    this.#failed.clear();
    this.#failedIsFull = false;
  }

  /** The channel is deleted or its store closed: what is left here opens nothing any more. */
  retire(): void {
    this.#forgetAll();
    this.#key.fill(0);
    this.#endProbe?.();
  }

  // Trying the key -----------------------------------------------------------------------------------------------------

  /**
   * Tries the key on the newest encrypted messages. It fits when it opens one of them: a store that was also written under
   * another key is not for this to judge. For the time before anybody reads; reports nothing.
   */
  async probe(): Promise<ProbeResult> {
    const view: MessageView = { buffer: NOTHING, start: 0, end: 0 };
    const { firstSequence, lastSequence } = this.#inner;
    let result: ProbeResult = "nothing";
    for (let i = 0; i < PROBE_DEPTH && lastSequence - i >= Math.max(1, firstSequence); i++) {
      if (await this.#read(lastSequence - i, view) !== LOOKUP_FOUND) continue;
      const isFitting = this.#tryKey(view);
      if (isFitting === true) return "fits";
      if (isFitting === false) result = "doesNotFit";
    }
    return result;
  }

  /** From the store underneath, also when it has to be read first. */
  async #read(sequence: number, view: MessageView): Promise<LookupResult> {
    const inner = this.#inner;
    for (;;) {
      const result = inner.lookup(sequence, view);
      if (result !== LOOKUP_LATER) return result;
      await new Promise<void>((resolve) => {
        inner.onReadable = resolve;
        // Whoever closes the store does not call it any more.
        this.#endProbe = resolve;
      });
      inner.onReadable = undefined;
      this.#endProbe = undefined;
    }
  }

  /** Undefined: no encrypted message. */
  #tryKey(view: MessageView): boolean | undefined {
    const { message } = this.#shared;
    const { buffer } = view;
    if (!decodeMsgProto(buffer, view.start, view.end, message)) return undefined;
    const { dataStart, dataEnd } = message;
    const length = dataEnd - dataStart - SEAL_BYTES;
    const cipher = length < 0 ? undefined : this.#shared.cipherOf(buffer[dataStart]!);
    if (cipher === undefined) return undefined;
    const cipherStart = dataStart + SEAL_HEAD_BYTES;
    const nonce = buffer.subarray(dataStart + 1, cipherStart);
    return cipher.open(
      this.#key,
      nonce,
      buffer,
      cipherStart,
      cipherStart + length + TAG_BYTES,
      new Uint8Array(length),
      0,
    );
  }
}
