/**
 * What the events of one turn have staged, in as many groups as can become safe without each other: who publishes to a channel
 * of his own does not wait until the disk has what somebody else sent.
 *
 *   a publish           goes where its channel or its client is in this turn; where both are, and apart, two groups become one
 *   everything else     makes one group of the turn, which waits for all before it, and all behind it wait for it
 *
 * So the messages of a channel become visible in their order, and a client is answered in the order of what it sent (26).
 */
import type { Channel } from "./channel.ts";
import type { Client } from "./client.ts";
import { SendList } from "./send_list.ts";
import type { StanSubscription } from "./subscription.ts";

/** Of one turn. Whoever comes when there are so many shares the last one. */
const OPEN_GROUPS_MAX = 16;

/** As many are kept to be used again, with the memory of their lists: those of two turns. */
const FREE_GROUPS_MAX = 2 * OPEN_GROUPS_MAX;

/** Something that an operator asked for and that is staged: exactly one of the two is called. */
export interface StagedAction {
  /** The stores of its group came back good. */
  done(): void;
  /** They did not, with this text. */
  failed(error: string): void;
}

/**
 * What leaves together. `held` goes out only after the stores of `channels` (and of the clients, if `storeTouched`) came back
 * good: no acknowledgement before its bytes are as safe as promised.
 */
export class TurnGroup {
  readonly channels: Channel[] = [];
  /** Last staged sequence per entry of `channels`. */
  readonly lastSequences: number[] = [];
  /** Who published; not kept where the store splits nothing. */
  readonly clients: Client[] = [];
  readonly held = new SendList();
  /** New and resumed subscriptions: they start when their responses are out, in this order. */
  readonly starts: StanSubscription[] = [];
  /** Incarnation per entry of `starts`: one that ended meanwhile must not start its successor before its response. */
  readonly startIncarnations: number[] = [];
  /** Place of its response in `held` per entry of `starts`; -1 = nobody waits for one. */
  readonly startAnswers: number[] = [];
  /** Per entry of `starts`: it was resumed, so what it was before is safe already. */
  readonly startResumed: boolean[] = [];
  storeTouched = false;
  /** Actions of operators: answered as the held answers are. */
  readonly actions: StagedAction[] = [];
  /** Trace lines about held answers, for the moment in which they leave. Filled only when somebody reads traces. */
  readonly traces: string[] = [];
  /** It concerns more than publishers and their channels: nothing overtakes it. */
  isWhole = false;
  /** Messages in it. */
  publishCount = 0;
  /** For the driver: monotonic milliseconds at which its turn began. */
  begunMs = 0;

  // In flight ----------------------------------------------------------------------------------------------------------

  /** Groups in flight that must be done before this one. */
  waitCount = 0;
  /** Groups that count this one in their `waitCount`. */
  readonly followers: TurnGroup[] = [];
  isFlushed = false;
  /** What its publishers are told; undefined: all of it is safe. */
  error: string | undefined = undefined;

  get isEmpty(): boolean {
    return this.channels.length === 0 && this.held.count === 0 && this.starts.length === 0 && !this.storeTouched &&
      this.actions.length === 0;
  }

  clear(): void {
    this.channels.length = 0;
    this.lastSequences.length = 0;
    this.clients.length = 0;
    this.held.clear();
    this.starts.length = 0;
    this.startIncarnations.length = 0;
    this.startAnswers.length = 0;
    this.startResumed.length = 0;
    this.storeTouched = false;
    this.actions.length = 0;
    this.traces.length = 0;
    this.isWhole = false;
    this.publishCount = 0;
    this.waitCount = 0;
    this.followers.length = 0;
    this.isFlushed = false;
    this.error = undefined;
  }
}

/** The groups of the open turn. */
export class TurnGroups {
  /** Names the open turn in the marks of channels and clients. */
  turn = 1;
  /** What is staged becomes safe later, and group by group. */
  readonly splits: boolean;
  #first = new TurnGroup();
  /** Beside `#first`, in the order in which they were opened. */
  readonly #others: TurnGroup[] = [];
  readonly #taken: TurnGroup[] = [];
  readonly #free: TurnGroup[] = [];

  /** `splits` false: what is staged is safe at once, so nobody would gain from more than one group. */
  constructor(splits: boolean) {
    this.splits = splits;
  }

  get isEmpty(): boolean {
    return this.#first.isEmpty;
  }

  /** For all that is no publish. */
  whole(): TurnGroup {
    const first = this.#first;
    if (first.isWhole) return first;
    first.isWhole = true;
    while (this.#others.length > 0) this.#join(first, this.#others[0]!);
    return first;
  }

  /** Puts a channel on the list of what must be flushed before the answers of `group`. */
  touch(group: TurnGroup, channel: Channel): void {
    if (channel.touchedIn === this.turn) return;
    channel.touchedIn = this.turn;
    channel.group = group;
    group.channels.push(channel);
  }

  /** For a message of `client` that `channel` has just taken. */
  forPublish(channel: Channel, client: Client): TurnGroup {
    if (!this.splits) return this.#first;
    const { turn } = this;
    const ofChannel = channel.touchedIn === turn ? channel.group : undefined;
    const ofClient = client.stagedIn === turn ? client.group : undefined;
    if (ofChannel !== undefined && ofChannel === ofClient) return ofChannel;
    let group = ofChannel ?? ofClient ?? this.#open();
    if (ofChannel !== undefined && ofClient !== undefined) {
      group = ofClient === this.#first ? this.#join(ofClient, ofChannel) : this.#join(ofChannel, ofClient);
    }
    if (ofClient === undefined) {
      client.stagedIn = turn;
      group.clients.push(client);
    }
    client.group = group;
    return group;
  }

  #open(): TurnGroup {
    const first = this.#first;
    if (first.isWhole || first.isEmpty) return first;
    const others = this.#others;
    if (others.length >= OPEN_GROUPS_MAX - 1) return others[others.length - 1]!;
    const group = this.#new();
    others.push(group);
    return group;
  }

  /** No client and no channel is in both, so one behind the other keeps every order that matters. */
  #join(group: TurnGroup, other: TurnGroup): TurnGroup {
    for (const channel of other.channels) {
      channel.group = group;
      group.channels.push(channel);
    }
    for (const client of other.clients) {
      client.group = group;
      group.clients.push(client);
    }
    group.held.takeOver(other.held);
    for (const line of other.traces) group.traces.push(line);
    group.publishCount += other.publishCount;
    this.#others.splice(this.#others.indexOf(other), 1);
    this.giveBack(other);
    return group;
  }

  /** Ends the turn: its groups, valid until the next call. There is at least one when it is not empty. */
  take(): readonly TurnGroup[] {
    const taken = this.#taken;
    taken.length = 0;
    if (this.#first.isEmpty) return taken;
    taken.push(this.#first, ...this.#others);
    this.#others.length = 0;
    for (const { channels, lastSequences } of taken) {
      for (let i = 0; i < channels.length; i++) lastSequences.push(channels[i]!.messages.lastSequence);
    }
    this.#first = this.#new();
    this.turn++;
    return taken;
  }

  /** `group` is used again. */
  giveBack(group: TurnGroup): void {
    group.clear();
    if (this.#free.length < FREE_GROUPS_MAX) this.#free.push(group);
  }

  #new(): TurnGroup {
    return this.#free.pop() ?? new TurnGroup();
  }
}
