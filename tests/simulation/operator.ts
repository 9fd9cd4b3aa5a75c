/** The operator of the simulation: does to channels and subscriptions what the console allows, also what makes no sense. */
import type { AdminRequest, AdminTarget } from "../../src/streaming/admin.ts";
import { Random } from "./random.ts";
import type { World } from "./world.ts";

const NOTHING: AdminTarget = { durableName: "", clientId: "", queueGroup: "" };

export class SimulatedOperator {
  readonly #world: World;
  /** Of its own: lives without an operator are as they were before there were any. */
  readonly #random: Random;
  isTame = false;

  constructor(world: World, seed: number) {
    this.#world = world;
    this.#random = new Random(seed);
    world.after(this.#random.between(50, 400), () => this.#step());
  }

  #step(): void {
    this.#world.after(this.#random.between(20, 250), () => this.#step());
    if (this.isTame) return this.#resumeAll();
    const request = this.#request();
    if (request !== undefined) this.#world.administer(request);
  }

  #request(): AdminRequest | undefined {
    const random = this.#random;
    const { core } = this.#world.driver;
    const channels = [...core.channels.all];
    const channel = channels.length === 0 || random.chance(3) ? "unheard-of" : random.pick(channels).name;
    const visibleLast = core.find(channel)?.visibleLast ?? 0;
    const force = random.chance(50);
    switch (random.below(12)) {
      case 0:
        return { kind: "deleteChannel", channel, force };
      case 1:
      case 2: {
        const last = core.find(channel)?.messages.lastSequence ?? 0;
        return {
          kind: "purge",
          channel,
          upTo: random.chance(50) ? undefined : random.between(1, Math.max(1, last + 1)),
        };
      }
      case 3:
        return { kind: "deleteDurable", channel, target: this.#durable(channel), force };
      case 4:
      case 5:
      case 6:
        return {
          kind: "rewind",
          channel,
          target: this.#durable(channel),
          to: random.chance(40)
            ? { kind: "first" }
            : { kind: "sequence", sequence: random.between(1, visibleLast + 1) },
        };
      case 7:
      case 8:
      case 9:
        return { kind: "pause", channel, target: this.#target(channel) };
      default:
        return { kind: "resume", channel, target: this.#target(channel) };
    }
  }

  /** A durable or durable group that is there, mostly. */
  #durable(name: string): AdminTarget {
    const random = this.#random;
    const channel = this.#world.driver.core.find(name);
    const targets: AdminTarget[] = [{ ...NOTHING, durableName: random.pick(["D", "E"]) }];
    for (const { record } of channel?.durables.values() ?? []) {
      targets.push({ ...NOTHING, durableName: record.durableName, clientId: record.clientId });
    }
    for (const group of channel?.groups.values() ?? []) {
      const at = group.name.indexOf(":");
      if (at > 0) {
        targets.push({ ...NOTHING, durableName: group.name.slice(0, at), queueGroup: group.name.slice(at + 1) });
      }
    }
    return random.pick(targets);
  }

  #target(name: string): AdminTarget {
    const random = this.#random;
    const channel = this.#world.driver.core.find(name);
    const targets = [
      this.#durable(name),
      { ...NOTHING, queueGroup: "g" },
      { ...NOTHING, clientId: "client-0" },
      NOTHING,
    ];
    for (const { record } of channel?.subscriptions ?? []) targets.push({ ...NOTHING, clientId: record.clientId });
    for (const group of channel?.groups.keys() ?? []) targets.push({ ...NOTHING, queueGroup: group });
    return random.pick(targets);
  }

  /** After the storm nothing stays paused. */
  #resumeAll(): void {
    const world = this.#world;
    for (const { name, subscriptions, durables, groups } of world.driver.core.channels.all) {
      const resume = (target: Partial<AdminTarget>) =>
        world.administer({ kind: "resume", channel: name, target: { ...NOTHING, ...target } });
      for (const { record, isPaused } of durables.values()) {
        if (isPaused) resume({ durableName: record.durableName, clientId: record.clientId });
      }
      for (const group of groups.values()) if (group.isPaused) resume({ queueGroup: group.name });
      for (const { record, isPaused } of subscriptions) if (isPaused) resume({ clientId: record.clientId });
    }
  }
}
