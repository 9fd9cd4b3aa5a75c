/**
 * Subjects of the streaming service (streaming-protocol.md 6) and the rules for the names that become part of them. All
 * texts are byte strings.
 */
import type { ServerInfo } from "./stan_server.ts";

/** Default of the option that sets where clients connect: `<prefix>.<cluster ID>`. */
export const DISCOVER_PREFIX_DEFAULT = "_STAN.discover";

/** Subjects of a fresh service. A store that holds other names (old versions) is used with those. */
export function stanSubjects(clusterId: string, discoverPrefix = DISCOVER_PREFIX_DEFAULT, nodeId = ""): ServerInfo {
  return {
    clusterId,
    discovery: `${discoverPrefix}.${clusterId}`,
    publish: `_STAN.pub.${clusterId}`,
    subscribe: `_STAN.sub.${clusterId}`,
    unsubscribe: `_STAN.unsub.${clusterId}`,
    close: `_STAN.close.${clusterId}`,
    subClose: `_STAN.subclose.${clusterId}`,
    acks: `_STAN.ack.${clusterId}`,
    nodeId,
  };
}

/** Where clients ping: derived from the discover subject in force, recovered or computed. */
export function pingsSubject(discovery: string): string {
  return `${discovery}.pings`;
}

/** What the server subscribes to for publishes. */
export function publishWildcard(publish: string): string {
  return `${publish}.>`;
}

/** Heartbeats of a fault-tolerance group. */
export function ftSubject(clusterId: string, group: string): string {
  return `_STAN.ft.${clusterId}.${group}`;
}

/** Channel lists of partitioned servers. */
export function partitionSubject(clusterId: string): string {
  return `_STAN.part.${clusterId}`;
}

/** Where a follower asks the leader for messages of a channel that it misses. */
export function snapshotSubject(clusterId: string, channel: string): string {
  return `_STAN.snap.${clusterId}.${channel}`;
}

/** Subjects of cluster membership, each `_STAN.raft.<cluster ID>.<name>`. */
export function raftSubject(clusterId: string, name: "join" | "bootstrap" | "node.add" | "node.remove"): string {
  return `_STAN.raft.${clusterId}.${name}`;
}

/**
 * True when `bytes[start, end)` can name a channel (10.1): not empty, no `.` at either end or doubled, and no `/`, `*`, `>`
 * anywhere. Everything else is accepted, spaces and bytes that are no UTF-8 included.
 */
export function isChannelNameValid(bytes: Uint8Array, start: number, end: number): boolean {
  // A virtual dot in front refuses both an empty first token and an empty name.
  let previous = 0x2e;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === 0x2f || byte === 0x2a || byte === 0x3e) return false;
    if (byte === 0x2e && previous === 0x2e) return false;
    previous = byte;
  }
  return previous !== 0x2e;
}

/** True when `clientId` consists of one or more of `a-z A-Z 0-9 _ -` (7.1). */
export function isClientIdValid(clientId: string): boolean {
  for (let i = 0; i < clientId.length; i++) {
    const unit = clientId.charCodeAt(i);
    const isLetter = (unit >= 0x61 && unit <= 0x7a) || (unit >= 0x41 && unit <= 0x5a);
    if (!isLetter && !(unit >= 0x30 && unit <= 0x39) && unit !== 0x5f && unit !== 0x2d) return false;
  }
  return clientId !== "";
}
