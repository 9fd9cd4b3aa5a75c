/** A line on a terminal that says how far work with messages has come. Writes nothing where nobody looks. */
import type { CliHost } from "./host.ts";
import { ageText } from "./texts.ts";

const STEP_MS = 100;
/** Work that is done before this needs no line. */
const QUIET_MS = 500;
const BAR_WIDTH = 30;

export class Meter {
  readonly #host: Pick<CliHost, "errIsTerminal" | "err" | "clock">;
  readonly #total: number;
  readonly #unit: string;
  readonly #startedMs: number;
  #done = 0;
  #shownMs: number;
  #isShown = false;

  /** `total` undefined: nobody knows how much it will be. */
  constructor(host: Pick<CliHost, "errIsTerminal" | "err" | "clock">, total: number | undefined, unit: string) {
    this.#host = host;
    this.#total = total ?? Infinity;
    this.#unit = unit;
    this.#startedMs = this.#shownMs = host.clock.monotonicMs();
  }

  /** So many more are done. */
  add(count: number): void {
    this.#done += count;
    if (!this.#host.errIsTerminal) return;
    const nowMs = this.#host.clock.monotonicMs();
    if (nowMs - this.#startedMs < QUIET_MS || nowMs - this.#shownMs < STEP_MS) return;
    this.#shownMs = nowMs;
    this.#isShown = true;
    this.#host.err(`\r${meterLine(this.#done, this.#total, this.#unit, nowMs - this.#startedMs)}\x1b[K`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#isShown) this.#host.err("\r\x1b[K");
    this.#isShown = false;
  }
}

/** `[=======>      ]  42 %  4200 of 10000 messages, 2100/s, about 2s left` */
export function meterLine(done: number, total: number, unit: string, elapsedMs: number): string {
  const rate = elapsedMs > 0 ? Math.round(done / elapsedMs * 1000) : 0;
  if (!Number.isFinite(total)) return `${done} ${unit}, ${rate}/s`;
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const filled = Math.floor(share * BAR_WIDTH);
  const bar = `${"=".repeat(filled)}${filled < BAR_WIDTH ? ">" : ""}`.padEnd(BAR_WIDTH);
  const left = share === 0 ? "" : `, about ${ageText(Math.ceil(elapsedMs / share * (1 - share) / 1000))} left`;
  return `[${bar}] ${String(Math.floor(share * 100)).padStart(3)} %  ${Math.min(done, total)} of ${total} ${unit}, ` +
    `${rate}/s${left}`;
}
