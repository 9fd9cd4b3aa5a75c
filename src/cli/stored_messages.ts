/** Reads the messages of a channel from the directory of a FILE store, without a server and without changing anything. */
import { bytesOf, byteString, byteStringOfText, displayText } from "../base/bytes.ts";
import { quote } from "../base/quote.ts";
import { nearestName } from "../base/suggest.ts";
import type { Disk } from "../runtime/types.ts";
import {
  inspectedMark,
  inspectSlices,
  lastSequenceOf,
  type SliceInspection,
  sourceOf,
} from "../server/tools/inspect_slice.ts";
import { ENCRYPTION_KEY_VARIABLE } from "../server/encryption.ts";
import { type Aead, createAes, createChaCha } from "../store/crypt/ciphers.ts";
import { channelKeyOf, masterKeyOf, NONCE_BYTES, SEAL_BYTES, SEAL_HEAD_BYTES } from "../store/crypt/sealed.ts";
import { Crc32 } from "../store/file/crc.ts";
import {
  INDEX_RECORD_BYTES,
  IndexRecord,
  isIndexRecordIntact,
  sliceNames,
  sliceNumber,
  VERSION_BYTES,
} from "../store/file/format.ts";
import { messageRules } from "../store/file/message_rules.ts";
import { PURGE_FILE, type PurgeMark, readPurgeMarks } from "../store/file/purge_mark.ts";
import { scanRecords } from "../store/file/scan.ts";
import { MsgProtoView } from "../wire/stan_hot.ts";
import { CommandError } from "./host.ts";
import type { StanMessage } from "./stan_client.ts";

/** Which channel of which directory, and how to read it. */
export interface StoredChannelOptions {
  readonly dir: string;
  readonly channel: string;
  readonly crcPolynomial: number;
  /** Slices that end before it are not read; 0: all are. */
  readonly firstSequence: number;
  /** Undefined: payloads are given as they are stored. */
  readonly encryptionKey: string | undefined;
}

interface SliceFile {
  readonly number: number;
  readonly sizeBytes: number;
}

export class StoredChannel {
  /** Of all files that will be read. */
  readonly totalBytes: number;
  /** Ranges that are no message, as far as they were met. */
  readonly damage: string[] = [];
  /** Payloads that look encrypted, although no key was given. */
  sealedCount = 0;
  readonly #disk: Disk;
  readonly #options: StoredChannelOptions;
  readonly #directory: string;
  readonly #crc: Crc32;
  readonly #slices: readonly SliceFile[];
  readonly #key: Uint8Array | undefined;
  readonly #ciphers: readonly Aead[];
  readonly #marks: readonly PurgeMark[];
  /** Everything up to it was purged by an operator. */
  readonly #purged: number;

  /** Throws {@link CommandError} when there is no such channel. */
  constructor(disk: Disk, options: StoredChannelOptions) {
    this.#disk = disk;
    this.#options = options;
    this.#crc = new Crc32(options.crcPolynomial);
    this.#directory = `${options.dir}/${options.channel}`;
    const slices = this.#listSlices();
    this.#marks = this.#readMarks();
    this.#purged = this.#purgedUpTo(slices);
    this.#slices = this.#wantedSlices(slices);
    this.totalBytes = this.#slices.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const { encryptionKey, channel } = options;
    this.#key = encryptionKey === undefined
      ? undefined
      : channelKeyOf(masterKeyOf(encryptionKey), bytesOf(byteStringOfText(channel)));
    this.#ciphers = [createAes(), createChaCha()];
  }

  #listSlices(): SliceFile[] {
    const { dir, channel } = this.#options;
    const fail = (why: string): never => {
      throw new CommandError("CLI_STORE", `Cannot export channel ${quote(channel)} of ${quote(dir)}: ${why}`);
    };
    if (this.#disk.stat(dir)?.kind !== "directory") fail("there is no such directory");
    const channels = this.#disk.list(dir).filter(({ kind }) => kind === "directory").map(({ name }) => name);
    if (!channels.includes(channel)) {
      const near = nearestName(channel, channels);
      fail(`there is no such channel${near === undefined ? "" : ` (did you mean ${quote(near)}?)`}`);
    }
    const slices: SliceFile[] = [];
    for (const { name } of this.#disk.list(this.#directory)) {
      const number = sliceNumber(name);
      if (number === undefined || Number.isNaN(number)) continue;
      slices.push({ number, sizeBytes: this.#disk.stat(`${this.#directory}/${name}`)?.sizeBytes ?? 0 });
    }
    return slices.sort((a, b) => a.number - b.number);
  }

  /** Without those whose successor begins at or before the first message that is wanted. */
  #wantedSlices(slices: readonly SliceFile[]): readonly SliceFile[] {
    let first = 0;
    slices.forEach(({ number }, i) => {
      const begin = i === 0 ? undefined : this.#firstSequenceOf(number);
      if (begin !== undefined && begin <= this.#options.firstSequence) first = i;
    });
    return slices.slice(first);
  }

  /** As its index says; undefined: it does not. */
  #firstSequenceOf(number: number): number | undefined {
    const path = `${this.#directory}/${sliceNames(number).index}`;
    if (this.#disk.stat(path) === undefined) return undefined;
    const file = this.#disk.open(path, "read");
    try {
      const bytes = new Uint8Array(INDEX_RECORD_BYTES);
      const count = file.read(bytes, 0, bytes.length, VERSION_BYTES);
      if (count < bytes.length || !isIndexRecordIntact(bytes, 0, this.#crc)) return undefined;
      const record = new IndexRecord();
      record.read(bytes, 0);
      return record.sequence > 0 ? record.sequence : undefined;
    } finally {
      file.close();
    }
  }

  /**
   * How far an operator has purged the channel, by the rules of `check`. Slices are read for that up to the one that a mark is
   * about, which is among the first: those before it went with their messages.
   */
  #purgedUpTo(slices: readonly SliceFile[]): number {
    const marks = this.#marks;
    if (marks.length === 0) return 0;
    const upTo = Math.max(...marks.map(({ sequence }) => sequence));
    const inspected: SliceInspection[] = [];
    for (const slice of this.#inspect(slices)) {
      inspected.push(slice);
      if (lastSequenceOf(slice) >= upTo) break;
    }
    return inspectedMark(marks, inspected)?.sequence ?? 0;
  }

  #readMarks(): PurgeMark[] {
    const isMarked = this.#disk.list(this.#directory).some(({ name, kind }) => name === PURGE_FILE && kind === "file");
    return isMarked ? readPurgeMarks(this.#disk, this.#directory) : [];
  }

  /** By the rules of `check`. */
  #inspect(slices: readonly SliceFile[]): Iterable<SliceInspection> {
    const context = { disk: this.#disk, crc: this.#crc, readBytes: () => {} };
    const numbers = slices.map(({ number }) => number);
    return inspectSlices(context, this.#directory, numbers, { drop: undefined, marks: this.#marks });
  }

  /**
   * Gives every message to `found`, slice after slice, until it returns false; between slices the event loop gets its turn.
   * Throws {@link CommandError} when a message cannot be decrypted.
   */
  async read(found: (message: StanMessage) => boolean, readBytes: (count: number) => void): Promise<void> {
    let goesOn = true;
    const view = new MsgProtoView();
    const context = { disk: this.#disk, crc: this.#crc, readBytes };
    // Which messages count, and where they are, is known before the first one is given; what is read for that is read again.
    for (const { dataPath, segments, bad } of this.#inspect(this.#slices)) {
      const file = this.#disk.open(dataPath, "read");
      // What is no message in front of this byte was a purged one, or the marker of a purge that was interrupted.
      let purgedBefore = 0;
      try {
        for (const segment of segments) {
          const source = sourceOf(file, context, segment.end);
          scanRecords(source, segment.start, messageRules(view, () => true), this.#crc, (position, _type, bytes) => {
            const { sequence } = view;
            if (this.#purged > 0 && sequence <= this.#purged + 1) purgedBefore = position;
            if (goesOn && sequence > this.#purged) goesOn = found(this.#message(bytes, view));
          });
        }
        for (const { start, end, why, kind } of bad) {
          if (kind === "damage" && start >= purgedBefore) {
            this.damage.push(`${dataPath}: ${end - start} bytes from byte ${start} are no message: ${why}`);
          }
        }
      } finally {
        file.close();
      }
      if (!goesOn) return;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  #message(bytes: Uint8Array, view: MsgProtoView): StanMessage {
    return {
      sequence: view.sequence,
      channel: this.#options.channel,
      reply: displayText(byteString(bytes, view.replyStart, view.replyEnd)),
      data: this.#payload(bytes, view),
      timeNs: (BigInt(view.stampHigh) << 32n) | BigInt(view.stampLow),
      isRedelivered: false,
      redeliveryCount: 0,
    };
  }

  #payload(bytes: Uint8Array, { sequence, dataStart, dataEnd }: MsgProtoView): Uint8Array {
    const length = dataEnd - dataStart - SEAL_BYTES;
    const cipher = length < 0 ? undefined : this.#ciphers.find(({ code }) => code === bytes[dataStart]);
    // What has none of the two marks was stored in clear.
    if (cipher === undefined) return bytes.slice(dataStart, dataEnd);
    if (this.#key === undefined) {
      this.sealedCount++;
      return bytes.slice(dataStart, dataEnd);
    }
    const plain = new Uint8Array(length);
    const nonce = bytes.slice(dataStart + 1, dataStart + 1 + NONCE_BYTES);
    if (cipher.open(this.#key, nonce, bytes, dataStart + SEAL_HEAD_BYTES, dataEnd, plain, 0)) return plain;
    throw new CommandError(
      "CLI_STORE",
      `Message ${sequence} cannot be decrypted with the key in ${ENCRYPTION_KEY_VARIABLE}: is it the key of this store?`,
    );
  }
}
