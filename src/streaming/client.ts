/** Registrations: who is connected to the streaming service. There is no socket behind one; everything goes through NATS. */
import { bytesOf, equalsRange } from "../base/bytes.ts";
import { BytesMap } from "../base/bytes_map.ts";
import { TimerNode } from "../base/timer_wheel.ts";
import type { ClientRecord } from "../store/types.ts";
import type { StanSubscription } from "./subscription.ts";
import type { TurnGroup } from "./turn_groups.ts";
import type { Address } from "./world.ts";

/** A registration, and the timer of its heartbeats. */
export class Client extends TimerNode {
  readonly record: ClientRecord;
  readonly connectionId: Uint8Array;
  /** Where it is asked; undefined until it is asked for the first time. */
  heartbeatAddress: Address | undefined = undefined;
  /** By ack inbox. */
  readonly subscriptions = new Map<string, StanSubscription>();
  /** Consecutive heartbeats without an answer. */
  failedHeartbeats = 0;
  /** Serial of the heartbeat that is out; 0 = none. */
  heartbeatOut = 0;
  closed = false;
  /** Monotonic milliseconds of the connect. */
  sinceMs = -Infinity;
  /** It took its client ID over from a registration that did not answer. */
  isReplacement = false;
  /** The last turn in which it published, and the group of that. */
  stagedIn = 0;
  group: TurnGroup | undefined = undefined;
  /** The youngest group in flight that has a publish of it. */
  inFlight: TurnGroup | undefined = undefined;
  readonly #due: (client: Client) => void;

  constructor(record: ClientRecord, due: (client: Client) => void) {
    super();
    this.record = record;
    this.connectionId = bytesOf(record.connectionId);
    this.#due = due;
  }

  get id(): string {
    return this.record.id;
  }

  override fire(): void {
    this.#due(this);
  }
}

/** All registrations, by client ID and by connection ID. A connection ID belongs to the registration that used it last. */
export class ClientRegistry {
  readonly byId = new Map<string, Client>();
  readonly #byIdBytes: BytesMap<Client>;
  readonly #byConnection: BytesMap<Client>;
  /** The client of the previous publish: most publishes come in runs. */
  #last: Client | undefined;

  constructor(seed: number) {
    this.#byIdBytes = new BytesMap(seed);
    this.#byConnection = new BytesMap(seed);
  }

  get count(): number {
    return this.byId.size;
  }

  add(client: Client): void {
    // A connection ID that was taken over must not be answered from the cache.
    this.#last = undefined;
    this.byId.set(client.id, client);
    this.#byIdBytes.set(bytesOf(client.id), client);
    if (client.connectionId.length > 0) this.#byConnection.set(client.connectionId, client);
  }

  remove(client: Client): void {
    this.byId.delete(client.id);
    this.#byIdBytes.delete(bytesOf(client.id));
    if (this.#byConnection.get(client.connectionId) === client) this.#byConnection.delete(client.connectionId);
    if (this.#last === client) this.#last = undefined;
  }

  byConnection(bytes: Uint8Array, start: number, end: number): Client | undefined {
    const last = this.#last;
    if (last !== undefined && equalsRange(last.connectionId, bytes, start, end)) return last;
    const found = this.#byConnection.get(bytes, start, end);
    if (found !== undefined) this.#last = found;
    return found;
  }

  byIdBytes(bytes: Uint8Array, start: number, end: number): Client | undefined {
    return this.#byIdBytes.get(bytes, start, end);
  }
}
