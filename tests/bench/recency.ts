/**
 * Giving up the oldest member and adding a new one, in nanoseconds on the runtime that runs this: a Set beside the chain of
 * src/base/recency_list.ts, which is the evidence for it. Run with both runtimes.
 *
 *     bun tests/bench/recency.ts
 */
import { type RecencyLinks, RecencyList } from "../../src/base/recency_list.ts";
import { figure } from "./report.ts";
import { median } from "./statistics.ts";

const SIZES = [100, 1000, 20_000, 100_000];
const STEPS = 20_000;
const ROUNDS = 5;

class Member implements RecencyLinks<Member> {
  older: Member | undefined = undefined;
  newer: Member | undefined = undefined;
}

/** Each has `size` members when it is made; a call replaces the oldest one. */
const ways: Record<string, (size: number) => () => void> = {
  set: (size) => {
    const set = new Set(Array.from({ length: size }, () => new Member()));
    return () => {
      for (const oldest of set) {
        set.delete(oldest);
        break;
      }
      set.add(new Member());
    };
  },
  chain: (size) => {
    const list = new RecencyList<Member>();
    for (let i = 0; i < size; i++) list.add(new Member());
    return () => {
      list.remove(list.oldest!); // `size` is not 0.
      list.add(new Member());
    };
  },
};

function nanosOf(replace: () => void): number {
  const startedAt = performance.now();
  for (let i = 0; i < STEPS; i++) replace();
  return (performance.now() - startedAt) * 1e6 / STEPS;
}

for (const size of SIZES) {
  const nanos: Record<string, number[]> = { set: [], chain: [] };
  // The first round is compiled while it runs.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, make] of Object.entries(ways)) {
      const taken = nanosOf(make(size));
      if (round > 0) nanos[name]!.push(taken);
    }
  }
  const set = median(nanos.set!);
  const chain = median(nanos.chain!);
  console.log(
    `${String(size).padStart(7)} members: Set ${set.toFixed(0)} ns, chain ${chain.toFixed(0)} ns, ${
      figure(chain / set)
    }x`,
  );
}
