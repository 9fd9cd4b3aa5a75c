/** Settings of the FILE store; the flags and keys of stores.md 5.1 stand behind them. */
import { CRC_POLYNOMIAL_IEEE } from "./crc.ts";

export interface FileStoreOptions {
  /** Root directory. */
  readonly dir: string;
  readonly compactEnabled: boolean;
  /** Per cent of a file's records that are superseded before it is rewritten. */
  readonly compactFragmentation: number;
  readonly compactIntervalMs: number;
  readonly compactMinBytes: number;
  /** Most bytes of one memory block of messages that wait for their write. */
  readonly bufferBytes: number;
  /** Most bytes read ahead; 0 = one message at a time. */
  readonly readBufferBytes: number;
  /** Verify checksums when reading. They are always written. */
  readonly crc: boolean;
  readonly crcPolynomial: number;
  /** A flush ends when the bytes are on the medium; else when the operating system has them. */
  readonly sync: boolean;
  /** The three slice limits; 0 = none. All 0: derived from the channel's limits. */
  readonly sliceMaxMessages: number;
  readonly sliceMaxBytes: number;
  readonly sliceMaxAgeMs: number;
  /** Empty = none. */
  readonly sliceArchiveScript: string;
  /** Open files; 0 = what the process may have. */
  readonly descriptorsMax: number;
  /** Channels that are read from the disk at a time while the store is recovered; 1 = one after the other. */
  readonly parallelRecovery: number;
  /** Cut damaged records off the end of files, once. Our recovery does so anyway where nothing acknowledged is lost. */
  readonly truncateBadEnd: boolean;
  /** Sync everything this often, whatever `sync` says; 0 = never. */
  readonly autoSyncMs: number;
  /** Publishes are refused while the file system has fewer free bytes. */
  readonly reserveBytes: number;
}

export const FILE_STORE_DEFAULTS: Readonly<Omit<FileStoreOptions, "dir">> = Object.freeze({
  compactEnabled: true,
  compactFragmentation: 50,
  compactIntervalMs: 300_000,
  compactMinBytes: 1024 * 1024,
  bufferBytes: 2 * 1024 * 1024,
  readBufferBytes: 2 * 1024 * 1024,
  crc: true,
  crcPolynomial: CRC_POLYNOMIAL_IEEE,
  sync: true,
  sliceMaxMessages: 0,
  sliceMaxBytes: 64 * 1024 * 1024,
  sliceMaxAgeMs: 0,
  sliceArchiveScript: "",
  descriptorsMax: 0,
  parallelRecovery: 1,
  truncateBadEnd: false,
  autoSyncMs: 60_000,
  reserveBytes: 0,
});

/** What limits a slice; 0 = that limit does not. */
export interface SliceLimits {
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
}

/** stores.md 5.4: without slice options a quarter of each channel limit. */
export function sliceLimits(
  options: Pick<FileStoreOptions, "sliceMaxMessages" | "sliceMaxBytes" | "sliceMaxAgeMs">,
  channel: { readonly maxMessages: number; readonly maxBytes: number; readonly maxAgeMs: number },
): SliceLimits {
  const { sliceMaxMessages, sliceMaxBytes, sliceMaxAgeMs } = options;
  if (sliceMaxMessages !== 0 || sliceMaxBytes !== 0 || sliceMaxAgeMs !== 0) {
    return { maxMessages: sliceMaxMessages, maxBytes: sliceMaxBytes, maxAgeMs: sliceMaxAgeMs };
  }
  const quarter = (limit: number, least: number) => limit > 0 ? Math.max(least, Math.floor(limit / 4)) : 0;
  return {
    maxMessages: quarter(channel.maxMessages, 1),
    maxBytes: quarter(channel.maxBytes, 1),
    maxAgeMs: quarter(channel.maxAgeMs, 1000),
  };
}
