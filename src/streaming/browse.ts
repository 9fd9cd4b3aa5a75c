/**
 * Looking at stored messages without being a subscriber, for the console. It reads as replays do, so messages that are not
 * in memory are fetched first; nothing of a subscription is touched, and what is not safe yet is not shown.
 */
import { byteString } from "../base/bytes.ts";
import { LOOKUP_FOUND, LOOKUP_LATER, LOOKUP_NONE, type MessageView } from "../store/types.ts";
import { decodeMsgProto, MsgProtoView } from "../wire/stan_hot.ts";
import type { Channel } from "./channel.ts";

/** Messages of one page, and bytes of their payloads: a longer page ends early. */
export const BROWSE_MESSAGES_MAX = 100;
const BROWSE_BYTES_MAX = 2 * 1024 * 1024;
/** Of a longer payload only the beginning is shown. */
export const BROWSE_PAYLOAD_MAX = 64 * 1024;
/** Pages of one channel that wait for the disk. More are refused. */
const READERS_MAX = 32;
/** Sequences without a message that are walked over in one call; a gap is no longer than what limits leave. */
const GAP_MAX = 100_000;

/** Which messages: from sequence `from` on, up or down. */
export interface BrowseRequest {
  readonly channel: Channel;
  readonly from: number;
  readonly limit: number;
  readonly isBackward: boolean;
}

/** One stored message, copied. */
export interface BrowsedMessage {
  readonly sequence: number;
  readonly stampHigh: number;
  readonly stampLow: number;
  /** Byte string. */
  readonly reply: string;
  /** Of the whole payload. */
  readonly sizeBytes: number;
  /** At most {@link BROWSE_PAYLOAD_MAX} bytes of it. */
  readonly data: Uint8Array;
  /** It is stored, but cannot be read or decrypted; the log says why. */
  readonly isUnreadable: boolean;
}

export type BrowseResult =
  | { readonly kind: "page"; readonly first: number; readonly last: number; readonly messages: BrowsedMessage[] }
  /** The channel was deleted meanwhile. */
  | { readonly kind: "gone" }
  /** Too many others wait for the disk. */
  | { readonly kind: "busy" };

/** Reads a page; `finish` is called once, in this call or when the store has read what it needs. */
export function browse(request: BrowseRequest, finish: (result: BrowseResult) => void): void {
  new Page(request, finish).go();
}

class Page {
  readonly #request: BrowseRequest;
  readonly #finish: (result: BrowseResult) => void;
  readonly #messages: BrowsedMessage[] = [];
  readonly #view: MessageView = { buffer: new Uint8Array(0), start: 0, end: 0 };
  readonly #message = new MsgProtoView();
  #at: number;
  #bytes = 0;

  constructor(request: BrowseRequest, finish: (result: BrowseResult) => void) {
    this.#request = request;
    this.#finish = finish;
    this.#at = request.from;
  }

  go(): void {
    const { channel, limit, isBackward } = this.#request;
    const { messages } = channel;
    if (channel.deleted) return this.#finish({ kind: "gone" });
    const last = Math.min(channel.visibleLast, messages.lastSequence);
    const step = isBackward ? -1 : 1;
    let missing = 0;
    this.#at = isBackward ? Math.min(this.#at, last) : Math.max(this.#at, messages.firstSequence);
    while (
      this.#messages.length < limit && this.#bytes < BROWSE_BYTES_MAX && missing < GAP_MAX &&
      this.#at >= Math.max(1, messages.firstSequence) && this.#at <= last
    ) {
      const result = messages.lookup(this.#at, this.#view);
      if (result === LOOKUP_LATER) {
        if (channel.readers.length >= READERS_MAX) return this.#finish({ kind: "busy" });
        channel.readers.push(() => this.go());
        return;
      }
      if (result === LOOKUP_NONE) missing++;
      else this.#take(result === LOOKUP_FOUND);
      this.#at += step;
    }
    this.#finish({ kind: "page", first: messages.firstSequence, last, messages: this.#messages });
  }

  /** Copies the message in the view: the store may use its bytes again. */
  #take(isFound: boolean): void {
    const { buffer, start, end } = this.#view;
    const message = this.#message;
    if (!isFound || !decodeMsgProto(buffer, start, end, message)) {
      this.#messages.push({
        sequence: this.#at,
        stampHigh: 0,
        stampLow: 0,
        reply: "",
        sizeBytes: 0,
        data: new Uint8Array(0),
        isUnreadable: true,
      });
      return;
    }
    const sizeBytes = message.dataEnd - message.dataStart;
    const data = buffer.slice(message.dataStart, message.dataStart + Math.min(sizeBytes, BROWSE_PAYLOAD_MAX));
    this.#bytes += data.length;
    this.#messages.push({
      sequence: this.#at,
      stampHigh: message.stampHigh,
      stampLow: message.stampLow,
      reply: byteString(buffer, message.replyStart, message.replyEnd),
      sizeBytes,
      data,
      isUnreadable: false,
    });
  }
}
