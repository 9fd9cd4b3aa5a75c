/**
 * The FILE store on a disk that does what disks do (stores.md 5, 6, 10, 11): random histories of several processes one after
 * the other, cut off at any call. What a flush has promised is there afterwards, and a start always succeeds.
 *
 *   SIMULATION_SEEDS=20000   how many seeds
 *   SIMULATION_FROM=1        the first one
 *   SIMULATION_SEED=4711     that one only, with its trace
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import process from "node:process";
import { live, reportLife } from "./file_store_life.ts";
import { FILE_PLANTS } from "./file_store_plants.ts";

const SEEDS_DEFAULT = 200;
const PORTION = 20;
/** Seeds within which every planted defect must be found. */
const PLANT_SEEDS = 150;

/**
 * Every call of the disk in the lives of these seeds is the same on every runtime. Renew them when behaviour changes on purpose.
 * In 6610183 a flush of the store's own fails, and takes messages along that came meanwhile. In 6635926 the sync of a cut fails,
 * and the system does not try again by itself: what was cut off came back under the sequences of promised messages.
 * In 6902771 a power cut brings back what was cut off, in front of the slice that was begun after it: two slices had messages of
 * the same sequences, and those that were taken back hid those that came later.
 */
const HASHES: Readonly<Record<number, string>> = {
  1: "e39ca7d1",
  3: "6b269c5f",
  8: "4f977168",
  21: "abc6eb4b",
  77: "3499c8ac",
  6610183: "bec823a1",
  6635926: "7542d6b5",
  6902771: "df7eb95b",
};

function numberOf(name: string, otherwise: number): number {
  const value = Number(process.env[name]);
  return Number.isSafeInteger(value) && value > 0 ? value : otherwise;
}

const only = numberOf("SIMULATION_SEED", 0);

if (only > 0) {
  test(`stores 10: replay of seed ${only}`, async () => {
    const outcome = await live(only, { traced: true });
    for (const line of outcome.trace) console.log(line);
    if (outcome.error !== undefined) throw new Error(await reportLife(outcome), { cause: outcome.error });
  });
} else {
  const from = numberOf("SIMULATION_FROM", 1);
  const end = from + numberOf("SIMULATION_SEEDS", SEEDS_DEFAULT);
  const sums = {
    promised: 0,
    takenBack: 0,
    powerCuts: 0,
    kills: 0,
    closes: 0,
    recovered: 0,
    refused: 0,
    compactions: 0,
  };

  // In portions: a runtime may put an end to a test that takes more than a few seconds.
  for (let first = from; first < end; first += PORTION) {
    const last = Math.min(first + PORTION, end) - 1;
    test(`stores 10, 11, 12.55, 12.58: what a flush promised survives the lives ${first} to ${last}`, async () => {
      for (let seed = first; seed <= last; seed++) {
        const outcome = await live(seed);
        if (outcome.error !== undefined) throw new Error(await reportLife(outcome), { cause: outcome.error });
        for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += outcome.counts[key];
      }
    });
  }

  test("stores 10: a simulation in which nothing happens proves nothing", () => {
    const least = Math.floor((end - from) / 5);
    if (least >= 20) { for (const [key, sum] of Object.entries(sums)) assert.ok(sum > least, `${key}: ${sum}`); }
  });

  for (const [seed, hash] of Object.entries(HASHES)) {
    test(`style 2: seed ${seed} lives the same life on every runtime, traced or not`, async () => {
      assert.equal((await live(Number(seed))).hash, hash);
      assert.equal((await live(Number(seed), { traced: true })).hash, hash);
    });
  }

  for (const { name, hooks, plant } of FILE_PLANTS) {
    test(`planted defect is found: ${name}`, async () => {
      const pull = plant?.();
      try {
        for (let seed = 1; seed <= PLANT_SEEDS; seed++) {
          if ((await live(seed, hooks === undefined ? {} : { hooks })).error !== undefined) return;
        }
      } finally {
        pull?.();
      }
      assert.fail(`not found within ${PLANT_SEEDS} seeds`);
    });
  }
}
