/**
 * Groups whose stores are being flushed. Flushes end in any order; a group is done when its own has ended and every earlier
 * group is done that shares a channel or a client with it.
 */
import type { TurnGroup } from "./turn_groups.ts";

export class Flights {
  /** Oldest first. */
  readonly #groups: TurnGroup[] = [];

  get count(): number {
    return this.#groups.length;
  }

  /** Call in the order of the turns. */
  begin(group: TurnGroup): void {
    if (group.isWhole) { for (const earlier of this.#groups) follow(group, earlier); }
    else for (const earlier of this.#groups) if (earlier.isWhole) follow(group, earlier);
    for (const channel of group.channels) {
      if (channel.inFlight !== undefined) follow(group, channel.inFlight);
      channel.inFlight = group;
    }
    for (const client of group.clients) {
      if (client.inFlight !== undefined) follow(group, client.inFlight);
      client.inFlight = group;
    }
    this.#groups.push(group);
  }

  /** The oldest group that may be done; it is in flight no more. */
  next(): TurnGroup | undefined {
    const groups = this.#groups;
    for (let i = 0; i < groups.length; i++) {
      const group = groups[i]!;
      if (!group.isFlushed || group.waitCount > 0) continue;
      groups.splice(i, 1);
      for (const follower of group.followers) follower.waitCount--;
      for (const channel of group.channels) if (channel.inFlight === group) channel.inFlight = undefined;
      for (const client of group.clients) if (client.inFlight === group) client.inFlight = undefined;
      return group;
    }
    return undefined;
  }
}

function follow(group: TurnGroup, earlier: TurnGroup): void {
  const { followers } = earlier;
  // All calls for one group come one after the other: once is enough.
  if (followers[followers.length - 1] === group) return;
  followers.push(group);
  group.waitCount++;
}
