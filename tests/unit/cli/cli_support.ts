/** A host for commands that touches nothing: what they print is kept, what they read is given. */
import type { CliHost } from "../../../src/cli/host.ts";
import type { Disk } from "../../../src/runtime/types.ts";

/** What a test may set. */
export interface FakeHostOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Somebody sits in front of it. */
  readonly isTerminal?: boolean;
  /** Called each time something is printed to standard output. */
  readonly printed?: (host: FakeHost) => void;
}

export class FakeHost implements CliHost {
  readonly programName = "stanchion";
  readonly outIsTerminal: boolean;
  readonly errIsTerminal: boolean;
  readonly inIsTerminal: boolean;
  readonly disk = undefined as unknown as Disk;
  stdout = "";
  stderr = "";
  nowMs = 0;
  readonly clock = {
    monotonicMs: () => this.nowMs,
    wallNs: (out: { high: number; low: number }) => {
      const ns = BigInt(Math.round(this.nowMs * 1e6));
      out.high = Number(ns >> 32n);
      out.low = Number(ns & 0xffff_ffffn);
    },
  };
  readonly #options: FakeHostOptions;
  readonly #ends: (() => void)[] = [];

  constructor(options: FakeHostOptions = {}) {
    this.#options = options;
    this.outIsTerminal = this.errIsTerminal = this.inIsTerminal = options.isTerminal === true;
  }

  env(name: string): string | undefined {
    return this.#options.env?.[name];
  }

  out(text: string): void {
    this.stdout += text;
    this.#options.printed?.(this);
  }

  outBytes(bytes: Uint8Array): void {
    this.out(new TextDecoder().decode(bytes));
  }

  err(text: string): void {
    this.stderr += text;
  }

  async *input(): AsyncGenerator<Uint8Array> {
    await Promise.resolve();
    yield new TextEncoder().encode(this.#options.input ?? "");
  }

  onEnd(handler: () => void): void {
    this.#ends.push(handler);
  }

  /** As Ctrl-C does. */
  interrupt(): void {
    for (const handler of this.#ends) handler();
  }

  random(bytes: Uint8Array): void {
    crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);
  }
}
