/** What `check` has to say about a directory, and how bad it is altogether. Pure. */

/**
 * note: nothing is wrong, but somebody may want to know; healed: a start puts it right and nothing promised is lost;
 * damaged: something is lost; fatal: a server would not start.
 */
export type Severity = "note" | "healed" | "damaged" | "fatal";

export interface StoreFinding {
  readonly severity: Severity;
  /** Empty: not of one channel. */
  readonly channel: string;
  /** From the root of the store. */
  readonly file: string;
  /** Byte in the file; -1: the whole file. */
  readonly offset: number;
  /** Bytes that are concerned; 0: none, or the whole file. */
  readonly sizeBytes: number;
  /** Messages that are concerned; 0: none, or nobody can know. The first alone may be unknown. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** What was found. */
  readonly text: string;
  /** What a start of the server does about it. */
  readonly atStart: string;
  /** What `repair` does about it. */
  readonly byRepair: string;
}

/** One channel as `check` sees it. */
export interface ChannelSummary {
  readonly name: string;
  /** 0 and 0: no message on disk; one above the last: all were purged. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly messageCount: number;
  /** As limits count them: payload records and 40 bytes each. */
  readonly byteCount: number;
  readonly subscriptionCount: number;
}

export interface StoreReport {
  readonly dir: string;
  /** Empty: not known. */
  readonly clusterId: string;
  /** True: a server, or another tool, holds the lock. Undefined: nobody can tell. */
  readonly isInUse: boolean | undefined;
  readonly channels: readonly ChannelSummary[];
  readonly findings: readonly StoreFinding[];
}

const STATUS: Readonly<Record<Severity, 0 | 1 | 2 | 3>> = Object.freeze({ note: 0, healed: 1, damaged: 2, fatal: 3 });

/** Exit status of `check`: that of the worst finding. */
export function statusOf(findings: readonly StoreFinding[]): 0 | 1 | 2 | 3 {
  let worst: 0 | 1 | 2 | 3 = 0;
  for (const { severity } of findings) if (STATUS[severity] > worst) worst = STATUS[severity];
  return worst;
}

/** A finding with the fields that most do not need. */
export function finding(
  fields: Partial<StoreFinding> & Pick<StoreFinding, "severity" | "file" | "text" | "atStart" | "byRepair">,
): StoreFinding {
  return { channel: "", offset: -1, sizeBytes: 0, firstSequence: 0, lastSequence: 0, ...fields };
}
