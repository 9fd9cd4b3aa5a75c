/** What recovery, `check` and `repair` have to say about files: one value a finding, so that all three say the same. */

/** How bad it is: something was cut that nobody was promised; something promised cannot be read; the start must stop. */
export type FindingLevel = "healed" | "damaged" | "fatal";

export interface Finding {
  readonly level: FindingLevel;
  /** Empty: not of one channel. */
  readonly channel: string;
  readonly path: string;
  /** Byte in the file; -1: the whole file. */
  readonly offset: number;
  readonly text: string;
}
