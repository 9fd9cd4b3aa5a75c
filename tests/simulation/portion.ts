/**
 * One portion of a long simulation, as a process of its own: `portion.ts WHAT FIRST COUNT`. Prints one line of JSON. Ends at
 * the first violation, with status 1 and the report of that seed in front of the line.
 */
import process from "node:process";
import { live, reportLife } from "./file_store_life.ts";
import { report, simulate } from "./scenario.ts";

/** What can be simulated: the streaming core with its clients, or the FILE store with its disk. */
export const SUBJECTS = ["streaming", "store"] as const;
export type Subject = (typeof SUBJECTS)[number];

/** What a portion found out. */
export interface PortionResult {
  /** Seeds without a violation. */
  readonly done: number;
  /** All traces of them in one number: the same on every runtime. */
  readonly digest: string;
  /** The seed that found something. */
  readonly violatedBy?: number;
}

/** The hash of one life, or the report of what was wrong with it. */
type Life = { readonly hash: string } | { readonly wrong: string };

async function lifeOf(subject: Subject, seed: number): Promise<Life> {
  if (subject === "streaming") {
    const outcome = simulate(seed);
    return outcome.error === undefined ? outcome : { wrong: report(outcome) };
  }
  const outcome = await live(seed);
  return outcome.error === undefined ? outcome : { wrong: await reportLife(outcome) };
}

/** Runs the lives `first` to `first + count - 1`; `complain` gets the report of the one that went wrong. */
export async function runPortion(
  subject: Subject,
  first: number,
  count: number,
  complain: (text: string) => void,
): Promise<PortionResult> {
  let digest = 0x811c9dc5;
  for (let seed = first; seed < first + count; seed++) {
    const life = await lifeOf(subject, seed);
    if ("wrong" in life) {
      complain(life.wrong);
      return { done: seed - first, digest: hexOf(digest), violatedBy: seed };
    }
    for (const letter of life.hash) digest = Math.imul(digest ^ letter.charCodeAt(0), 0x01000193);
  }
  return { done: count, digest: hexOf(digest) };
}

function hexOf(digest: number): string {
  return (digest >>> 0).toString(16).padStart(8, "0");
}

if (import.meta.main) {
  const [what, ...numbers] = process.argv.slice(2);
  const subject = SUBJECTS.find((one) => one === what);
  if (subject === undefined) throw new Error(`"${what}" cannot be simulated: ${SUBJECTS.join(", ")}`);
  const [first = 1, count = 1] = numbers.map(Number);
  const result = await runPortion(subject, first, count, (text) => console.log(text));
  console.log(JSON.stringify(result));
  if (result.violatedBy !== undefined) process.exitCode = 1;
}
