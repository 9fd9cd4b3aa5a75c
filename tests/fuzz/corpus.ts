/**
 * What the fuzz tests share: the inputs kept in tests/fuzz/corpus, which every run tries first and mutates further, and
 * where an input that broke something is kept, so that it is tried for ever after.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "../../scripts/project.ts";

/** Folders of the corpus; each has one kind of input. */
export type CorpusName = "nats" | "config" | "stan";

/** One kept input. Its name says which state it reaches or what it broke. */
export interface CorpusEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** How many inputs a test makes: `FUZZ_COUNT`, or what a normal run can afford. */
export const COUNT = numberFrom("FUZZ_COUNT", 20_000);

/** Where the inputs come from: `FUZZ_SEED`. */
export const SEED = numberFrom("FUZZ_SEED", 1);

/** A typing error must not look like a run without finds. */
function numberFrom(name: string, normal: number): number {
  const text = process.env[name] ?? "";
  if (text === "") return normal;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new Error(`${name}="${text}" is not a number of inputs or a seed`);
  }
  return value;
}

/** All inputs of a folder, sorted by name. */
export function readCorpus(corpus: CorpusName): CorpusEntry[] {
  const folder = join(ROOT, "tests/fuzz/corpus", corpus);
  const names = readdirSync(folder).filter((name) => !name.startsWith(".")).sort();
  if (names.length === 0) throw new Error(`${folder} is empty`);
  return names.map((name) => ({ name, bytes: new Uint8Array(readFileSync(join(folder, name))) }));
}

/**
 * Throws what was found. With `FUZZ_SAVE` set, as the long run does, the input is kept in the corpus: it fails every
 * run from then on, until it is mended, and guards against its return afterwards.
 */
export function reportFind(corpus: CorpusName, label: string, input: Uint8Array, cause: unknown): never {
  let kept = "";
  const isKept = readCorpus(corpus).some((entry) => Buffer.compare(entry.bytes, input) === 0);
  if ((process.env["FUZZ_SAVE"] ?? "") !== "" && !isKept) {
    const folder = join(ROOT, "tests/fuzz/corpus", corpus);
    mkdirSync(folder, { recursive: true });
    kept = join(folder, `found-${label.replaceAll(/\W+/g, "-")}`);
    writeFileSync(kept, input);
    kept = `, kept as ${kept}`;
  }
  const hex = Buffer.from(input.subarray(0, 2000)).toString("hex");
  throw new Error(`${label}${kept}: ${String(cause)}: ${hex}`, { cause });
}
