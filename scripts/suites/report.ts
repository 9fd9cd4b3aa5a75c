/** What a run of an official suite means, with the list of failures that are known and explained. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** How one test of a suite ended. */
export interface TestOutcome {
  readonly name: string;
  readonly result: "passed" | "failed" | "skipped";
  /** The test's own words; shown when the failure is not known. */
  readonly output: string;
}

/** Why a test does not pass here. */
export interface Exception {
  readonly reason: string;
  /** It passes at times: what it measures is near the border. */
  readonly isSometimes: boolean;
}

/** Exceptions of one suite, by the name of the test. */
export type Exceptions = Readonly<Record<string, Exception>>;

/** Outcomes held against the exceptions. */
export interface Verdict {
  readonly passed: number;
  readonly skipped: number;
  /** Failures that the list explains. */
  readonly known: readonly string[];
  /** Failures that it does not. */
  readonly failed: readonly TestOutcome[];
  /** Listed, but they pass, or do not exist any more: the list must not rot. */
  readonly stale: readonly string[];
}

/** As in the file. */
interface ExceptionGroup {
  readonly reason: string;
  readonly sometimes?: boolean;
  readonly tests: readonly string[];
}

/**
 * Reads all exceptions. In the file they are grouped by reason, since most are shared; the names are the keys here, so a
 * name with two reasons is refused.
 */
export function readAllExceptions(): Readonly<Record<string, Exceptions>> {
  const text = readFileSync(join(import.meta.dirname ?? "", "exceptions.json"), "utf8");
  const suites = JSON.parse(text) as Record<string, ExceptionGroup[]>;
  return Object.fromEntries(
    Object.entries(suites).map(([suite, groups]) => {
      const exceptions: Record<string, Exception> = {};
      for (const { reason, sometimes, tests } of groups) {
        for (const name of tests) {
          if (Object.hasOwn(exceptions, name)) throw new Error(`${suite}: ${name} has two reasons`);
          exceptions[name] = { reason, isSometimes: sometimes === true };
        }
      }
      return [suite, exceptions];
    }),
  );
}

/** The exceptions of one suite. */
export function readExceptions(suite: string): Exceptions {
  return readAllExceptions()[suite] ?? {};
}

/** Sorts outcomes; without `isComplete` (a filtered run) a listed test that did not run is no finding. */
export function judgeOutcomes(outcomes: readonly TestOutcome[], exceptions: Exceptions, isComplete: boolean): Verdict {
  const failed = outcomes.filter((outcome) => outcome.result === "failed");
  const stale = Object.entries(exceptions).filter(([name, { isSometimes }]) => {
    const outcome = outcomes.find((outcome) => outcome.name === name);
    return outcome === undefined ? isComplete : outcome.result !== "failed" && !isSometimes;
  }).map(([name]) => name);
  return {
    passed: outcomes.filter((outcome) => outcome.result === "passed").length,
    skipped: outcomes.filter((outcome) => outcome.result === "skipped").length,
    known: failed.filter((outcome) => Object.hasOwn(exceptions, outcome.name)).map((outcome) => outcome.name),
    failed: failed.filter((outcome) => !Object.hasOwn(exceptions, outcome.name)),
    stale,
  };
}

/** Lines for people, the counts last. */
export function describeVerdict(suite: string, verdict: Verdict, exceptions: Exceptions): string[] {
  const reasons = new Map<string, string[]>();
  for (const name of verdict.known) {
    const reason = exceptions[name]?.reason ?? "";
    reasons.set(reason, [...reasons.get(reason) ?? [], name]);
  }
  return [
    ...verdict.failed.map(({ name, output }) => `---- ${suite}: ${name}\n${output.trimEnd()}`),
    ...[...reasons].map(([reason, names]) => `${suite}: known: ${reason}: ${names.join(", ")}`),
    ...verdict.stale.map((name) => `${suite}: ${name} is listed as an exception and does not fail`),
    ...verdict.failed.map(({ name }) => `${suite}: FAILED: ${name}`),
    `${suite}: ${verdict.passed} passed, ${verdict.failed.length} failed, ${verdict.known.length} failed as known` +
    (verdict.skipped === 0 ? "" : `, ${verdict.skipped} skipped by the suite itself`),
  ];
}
