/** One simulated run: a seed makes a climate, clients and their deeds; the model watches. */
import { SimulatedClient } from "./clients.ts";
import { SimulatedOperator } from "./operator.ts";
import { Random } from "./random.ts";
import { type Climate, type Defects, Violation, World } from "./world.ts";

/** Simulated time of trouble, and of the calm in which everything must come to its end. */
const STORM_MS = 2500;
const CALM_MS = 5500;
/** A client that takes one message at a time may have a long way to go: the calm lasts while anybody gets ahead. */
const CALM_EXTENSIONS_MAX = 60;

/** What came out. */
export interface Outcome {
  readonly seed: number;
  readonly hash: string;
  readonly error: unknown;
  readonly trace: readonly string[];
  readonly world: World;
  /** How often each thing happened that a simulation must have seen. */
  readonly deeds: Readonly<Record<string, number>>;
}

function climateOf(random: Random): Climate {
  return {
    clientCount: random.pick([2, 3, 4, 5, 6, 12]),
    clientIdCount: random.pick([2, 4, 4, 12]),
    heartbeatFailCount: random.between(1, 2),
    replaceDurable: random.chance(30),
    maxChannels: random.pick([0, 0, 3]),
    limits: {
      maxSubscriptions: random.pick([0, 0, 5]),
      maxMessages: random.pick([0, 0, 0, 6, 25]),
      maxBytes: random.pick([0, 0, 0, 600]),
      maxAgeMs: random.pick([0, 0, 0, 500, 2500]),
      maxInactivityMs: random.pick([0, 0, 600]),
    },
    slowFlushPercent: random.pick([0, 0, 30, 80]),
    slowFlushMs: random.pick([5, 60, 250]),
    refusedAppendPercent: random.pick([0, 0, 3]),
    slowReadPercent: random.pick([0, 0, 20, 70]),
    slowReadMs: random.pick([1, 10, 40]),
    delayMs: random.pick([0, 2, 20]),
    batchMs: random.pick([0, 1, 3]),
    troublePercent: random.pick([0, 5, 15]),
  };
}

/** Runs `seed`. A traced run keeps its lines; the hash is the same either way. */
export function simulate(seed: number, options: { traced?: boolean; defects?: Defects } = {}): Outcome {
  const climate = climateOf(new Random(seed ^ 0x5bd1e995));
  const world = new World(seed, climate, options.defects);
  world.traced = options.traced ?? false;
  const clients: SimulatedClient[] = [];
  // Not in every life: what an operator does makes room for defects of others.
  const fate = new Random(seed ^ 0x2545f491);
  const operator = fate.chance(35) ? new SimulatedOperator(world, seed ^ 0x3c6ef372) : undefined;
  let error: unknown;
  try {
    for (let i = 0; i < climate.clientCount; i++) clients.push(new SimulatedClient(world, i));
    world.run(STORM_MS);
    world.healed = true;
    for (const client of clients) client.tame();
    if (operator !== undefined) operator.isTame = true;
    let progress = -1;
    for (let i = 1;; i++) {
      const before = progress;
      progress = world.model.progress;
      // Twice at the same place is stuck.
      if (isAtRest(world, i > 2 && progress === before || i > CALM_EXTENSIONS_MAX)) break;
      world.run(STORM_MS + i * CALM_MS);
    }
  } catch (caught) {
    error = caught;
  }
  const deeds: Record<string, number> = { ...world.counters, ...world.model.counters, died: 0, born: 0, frozen: 0 };
  for (const client of clients) {
    for (const [what, count] of Object.entries(client.deeds)) deeds[what] = (deeds[what] ?? 0) + count;
  }
  return { seed, hash: world.hash, error, trace: world.trace, world, deeds };
}

function isAtRest(world: World, mustBe: boolean): boolean {
  if (!world.healed || world.nowMs <= STORM_MS) return false;
  try {
    world.model.checkEnd((inbox) => world.isServed(inbox));
    return true;
  } catch (error) {
    if (mustBe || !(error instanceof Violation)) throw error;
    return false;
  }
}

/** What a person needs to look into a failure. */
export function report(outcome: Outcome): string {
  const again = outcome.trace.length > 0 ? outcome : simulate(outcome.seed, { traced: true });
  const { climate } = again.world;
  return [
    `seed ${outcome.seed}: ${outcome.error}`,
    `replay it with SIMULATION_SEED=${outcome.seed}`,
    `climate ${JSON.stringify(climate)}`,
    ...again.trace.slice(-80),
  ].join("\n");
}
