/** One half of the log, as the rest of the program sees it: the core's lines, or the streaming layer's with their prefix. */
export interface LogView {
  /** Check before building a debug or trace line: most of the time nobody reads it. */
  readonly debugEnabled: boolean;
  readonly traceEnabled: boolean;
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
  /** The caller ends the process right after it. */
  fatal(text: string): void;
  debug(text: string): void;
  trace(text: string): void;
}
