/**
 * Why a client waits for nothing (decisions.md 20). Some mistakes show at the client as a time-out and nowhere else: the ID of
 * another cluster, an inbox that its user may not subscribe to, a second program with the same client ID. Each is counted
 * and named in one WRN line; a client can cause them as often as it likes, so the line comes once per interval and kind.
 */
import { displayText } from "../base/bytes.ts";
import type { Channel } from "./channel.ts";
import type { Client } from "./client.ts";
import type { CoreContext } from "./context.ts";
import type { StanSubscription } from "./subscription.ts";
import type { Address } from "./world.ts";

/** Time between two lines of one kind. */
export const DIAGNOSIS_INTERVAL_MS = 30_000;
/** A registration that is replaced within this time of its own connect was not merely left behind by a crash long ago. */
export const CONTESTED_MS = 60_000;
/** Whose inbox it was is looked up at most this often: a client that crashed may be sent thousands of messages a second. */
const LOOK_UP_INTERVAL_MS = 100;
/** Where both client libraries take their PubAcks; they stop listening there before they close, which is no mistake. */
const PUBLISH_ACKS_PREFIX = "_STAN.acks.";

/** One kind of mistake. Plain numbers: it may happen per message. */
class RareLine {
  #writtenAtMs = -Infinity;
  #leftOut = 0;

  /** True when a line may be written now. */
  isDue(nowMs: number): boolean {
    if (nowMs - this.#writtenAtMs >= DIAGNOSIS_INTERVAL_MS) return true;
    this.#leftOut++;
    return false;
  }

  /** What to append to the line that is written now. */
  written(nowMs: number): string {
    const rest = this.#leftOut === 0 ? "" : ` (${this.#leftOut} more since the last line)`;
    this.#writtenAtMs = nowMs;
    this.#leftOut = 0;
    return rest;
  }
}

export class Diagnosis {
  readonly #context: CoreContext;
  readonly #otherCluster = new RareLine();
  readonly #unheard = new RareLine();
  readonly #contested = new RareLine();
  #lookedUpAtMs = -Infinity;

  constructor(context: CoreContext) {
    this.#context = context;
  }

  /** A client asked a cluster ID that is not ours: it sees a connect time-out, unless another server answers. */
  otherCluster(subject: string, discovery: string, clientId: string): void {
    const { counters, journal, nowMs } = this.#context;
    counters.otherClusterConnects++;
    if (!this.#otherCluster.isDue(nowMs)) return;
    journal.warn(
      `Client "${displayText(clientId)}" tries to connect on "${displayText(subject)}", which is another cluster ID: ` +
        `this server answers on "${displayText(discovery)}"${this.#otherCluster.written(nowMs)}`,
    );
  }

  /**
   * What was sent to `address` reached nobody. Common when a client leaves, so only what a living client would have heard
   * makes a line: the answer to a request, or a delivery to an inbox from which nothing was ever acknowledged.
   */
  unheard(address: Address): void {
    const { counters, journal, nowMs } = this.#context;
    counters.unheard++;
    if (address.subject.startsWith(PUBLISH_ACKS_PREFIX)) return;
    if (!this.#unheard.isDue(nowMs) || nowMs - this.#lookedUpAtMs < LOOK_UP_INTERVAL_MS) return;
    this.#lookedUpAtMs = nowMs;
    // Seldom, so no table of inboxes is kept for it.
    const subscription = this.#subscriptionAt(address);
    if (subscription?.everAcked === true) return;
    const inbox = displayText(address.subject);
    let what = "An answer";
    if (subscription !== undefined) {
      const { channel, record } = subscription;
      what = `A message of channel "${displayText(channel.name)}" for client "${displayText(record.clientId)}"`;
    }
    journal.warn(
      `${what} was sent to "${inbox}", where nobody listens: the client has left, or its user may not subscribe to its ` +
        `own inboxes${this.#unheard.written(nowMs)}`,
    );
  }

  #subscriptionAt(address: Address): StanSubscription | undefined {
    for (const channel of this.#context.channels.all) {
      const found = atAddress(channel, address);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** A client was refused because the holder of its ID lives. */
  contested(clientId: string, heartbeatInbox: string): void {
    const { counters, journal, nowMs } = this.#context;
    counters.duplicateClients++;
    if (!this.#contested.isDue(nowMs)) return;
    const inbox = displayText(heartbeatInbox);
    journal.warn(
      `Client ID "${displayText(clientId)}" is in use: a second client (heartbeat inbox "${inbox}") was refused. ` +
        `Every client needs an ID of its own${this.#contested.written(nowMs)}`,
    );
  }

  /** A registration was replaced because it did not answer. After a crash that is as it should be; again and again it is not. */
  replaced(old: Client): void {
    const { counters, journal, nowMs } = this.#context;
    counters.replacedClients++;
    if (nowMs - old.sinceMs > CONTESTED_MS || !old.isReplacement || !this.#contested.isDue(nowMs)) return;
    const id = displayText(old.id);
    const seconds = CONTESTED_MS / 1000;
    journal.warn(
      `Client ID "${id}" is taken over again within ${seconds} seconds: two programs that do not answer heartbeats ` +
        `share it, or one restarts all the time${this.#contested.written(nowMs)}`,
    );
  }
}

function atAddress(channel: Channel, address: Address): StanSubscription | undefined {
  for (const subscription of channel.online()) if (subscription.address === address) return subscription;
  return undefined;
}
