/** A line on a terminal that says how far long work has come. Writes nothing where nobody looks. */
import { formatSize } from "../../base/size.ts";
import type { Clock, ProcessHost } from "../../runtime/types.ts";

const STEP_MS = 100;
/** Work that is done before this needs no bar. */
const QUIET_MS = 500;
const BAR_WIDTH = 30;

export class Progress {
  readonly #process: Pick<ProcessHost, "errIsTerminal" | "writeErr">;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #totalBytes: number;
  readonly #startedMs: number;
  #doneBytes = 0;
  #shownMs: number;
  #isShown = false;

  constructor(
    process: Pick<ProcessHost, "errIsTerminal" | "writeErr">,
    clock: Pick<Clock, "monotonicMs">,
    totalBytes: number,
  ) {
    this.#process = process;
    this.#clock = clock;
    this.#totalBytes = totalBytes;
    this.#startedMs = this.#shownMs = clock.monotonicMs();
  }

  /** So many more bytes were read. */
  add(bytes: number): void {
    this.#doneBytes += bytes;
    if (!this.#process.errIsTerminal) return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#startedMs < QUIET_MS || nowMs - this.#shownMs < STEP_MS) return;
    this.#shownMs = nowMs;
    this.#isShown = true;
    this.#process.writeErr(`\r${progressLine(this.#doneBytes, this.#totalBytes, nowMs - this.#startedMs)}\x1b[K`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#isShown) this.#process.writeErr("\r\x1b[K");
    this.#isShown = false;
  }
}

/** `[=======>      ]  42 %  1.20 GB of 2.86 GB, about 7 s left` */
export function progressLine(doneBytes: number, totalBytes: number, elapsedMs: number): string {
  const share = totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
  const filled = Math.floor(share * BAR_WIDTH);
  const bar = `${"=".repeat(filled)}${filled < BAR_WIDTH ? ">" : ""}`.padEnd(BAR_WIDTH);
  const leftS = share === 0 ? 0 : Math.ceil(elapsedMs / share * (1 - share) / 1000);
  const sizes = `${formatSize(Math.min(doneBytes, totalBytes))} of ${formatSize(totalBytes)}`;
  return `[${bar}] ${String(Math.floor(share * 100)).padStart(3)} %  ${sizes}, about ${leftS} s left`;
}
