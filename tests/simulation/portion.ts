/**
 * One portion of a long simulation, as a process of its own: `portion.ts FIRST COUNT`. Prints one line of JSON. Ends at the
 * first violation, with status 1 and the report of that seed in front of the line.
 */
import process from "node:process";
import { report, simulate } from "./scenario.ts";

/** What a portion found out. */
export interface PortionResult {
  /** Seeds without a violation. */
  readonly done: number;
  /** All traces of them in one number: the same on every runtime. */
  readonly digest: string;
  /** The seed that found something. */
  readonly violatedBy?: number;
}

/** Runs the lives `first` to `first + count - 1`; `complain` gets the report of the one that went wrong. */
export function runPortion(first: number, count: number, complain: (text: string) => void): PortionResult {
  let digest = 0x811c9dc5;
  for (let seed = first; seed < first + count; seed++) {
    const outcome = simulate(seed);
    if (outcome.error !== undefined) {
      complain(report(outcome));
      return { done: seed - first, digest: hexOf(digest), violatedBy: seed };
    }
    for (const letter of outcome.hash) digest = Math.imul(digest ^ letter.charCodeAt(0), 0x01000193);
  }
  return { done: count, digest: hexOf(digest) };
}

function hexOf(digest: number): string {
  return (digest >>> 0).toString(16).padStart(8, "0");
}

if (import.meta.main) {
  const [first = 1, count = 1] = process.argv.slice(2).map(Number);
  const result = runPortion(first, count, (text) => console.log(text));
  console.log(JSON.stringify(result));
  if (result.violatedBy !== undefined) process.exitCode = 1;
}
