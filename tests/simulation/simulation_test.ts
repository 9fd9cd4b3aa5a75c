/**
 * The streaming core through whole simulated lives (style.md 7). One seed is one run of several clients, some of them
 * rude, over a network with delays, cuts and slow readers and a store with late flushes; the model checks every step.
 *
 *   SIMULATION_SEEDS=20000   how many seeds
 *   SIMULATION_FROM=1        the first one
 *   SIMULATION_SEED=4711     that one only, with its trace
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import process from "node:process";
import { PLANTS } from "./plants.ts";
import { report, simulate } from "./scenario.ts";

const SEEDS_DEFAULT = 300;
const PORTION = 20;
/** Seeds within which every planted defect must be found. */
const PLANT_SEEDS = 40;

/** Every line of the trace of these seeds is the same on every runtime. Renew them when behaviour changes on purpose. */
const HASHES: Readonly<Record<number, string>> = {
  1: "dc7c1d73",
  2: "acd20c44",
  7: "1ab832f6",
  23: "17db4e2b",
  105: "560a6538",
};

function numberOf(name: string, otherwise: number): number {
  const value = Number(process.env[name]);
  return Number.isSafeInteger(value) && value > 0 ? value : otherwise;
}

const only = numberOf("SIMULATION_SEED", 0);

if (only > 0) {
  test(`simulation: replay of seed ${only}`, () => {
    const outcome = simulate(only, { traced: true });
    for (const line of outcome.trace) console.log(line);
    if (outcome.error !== undefined) throw new Error(report(outcome), { cause: outcome.error });
  });
} else {
  const from = numberOf("SIMULATION_FROM", 1);
  const end = from + numberOf("SIMULATION_SEEDS", SEEDS_DEFAULT);
  const sums = { delivered: 0, redelivered: 0, resumed: 0, dealt: 0, replaced: 0, failed: 0, finished: 0 };

  // In portions: a runtime may put an end to a test that takes more than a few seconds.
  for (let first = from; first < end; first += PORTION) {
    const last = Math.min(first + PORTION, end) - 1;
    test(`30: what the specification promises holds in the simulated lives ${first} to ${last}`, () => {
      for (let seed = first; seed <= last; seed++) {
        const outcome = simulate(seed);
        if (outcome.error !== undefined) throw new Error(report(outcome), { cause: outcome.error });
        const { counters } = outcome.world.model;
        for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += counters[key];
      }
    });
  }

  test("30: a simulation in which nothing happens proves nothing", () => {
    const least = Math.floor((end - from) / 5);
    if (least >= 20) { for (const [key, sum] of Object.entries(sums)) assert.ok(sum > least, `${key}: ${sum}`); }
  });

  for (const [seed, hash] of Object.entries(HASHES)) {
    test(`style 2: seed ${seed} replays the same life on every runtime, traced or not`, () => {
      assert.equal(simulate(Number(seed)).hash, hash);
      assert.equal(simulate(Number(seed), { traced: true }).hash, hash);
    });
  }

  for (const { name, defects, plant } of PLANTS) {
    test(`planted defect is found: ${name}`, () => {
      const pull = plant?.();
      try {
        for (let seed = 1; seed <= PLANT_SEEDS; seed++) {
          if (simulate(seed, defects === undefined ? {} : { defects }).error !== undefined) return;
        }
      } finally {
        pull?.();
      }
      assert.fail(`not found within ${PLANT_SEEDS} seeds`);
    });
  }
}
