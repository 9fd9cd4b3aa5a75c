/** What is there: the overview, channels, clients and durables. All of it is also on the monitor's pages, so it is open. */
import { displayText } from "../../base/bytes.ts";
import type { ChannelDetails, ChannelItem, ClientItem, DurableItem, SubscriptionItem } from "./rows.ts";
import type { Channel } from "../../streaming/channel.ts";
import type { QueueGroup } from "../../streaming/queue_group.ts";
import type { StanSubscription } from "../../streaming/subscription.ts";
import { ConsoleError } from "./answers.ts";
import type { ConsoleView } from "./view.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;

/** A whole number of the query. Throws {@link ConsoleError}. */
export function numberOf(query: URLSearchParams, name: string, standard: number, min: number, max: number): number {
  const text = query.get(name) ?? "";
  if (text === "") return standard;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) {
    throw new ConsoleError("BAD_REQUEST", `"${name}" must be a whole number from ${min} to ${max}`);
  }
  return value;
}

interface Paging<Item> {
  readonly total: number;
  readonly offset: number;
  readonly limit: number;
  readonly items: Item[];
}

/** By the value of `sort`: what items are sorted by. */
type Figures<Item> = Readonly<Record<string, (item: Item) => number>>;

/** One page of what has `search` in its text, in the order of the texts or of a figure; those alike by their texts. */
function pageOf<Item>(
  items: Iterable<Item>,
  query: URLSearchParams,
  textOf: (item: Item) => string,
  figures: Figures<Item> = {},
): Paging<Item> {
  const search = (query.get("search") ?? "").toLowerCase();
  const offset = numberOf(query, "offset", 0, 0, Number.MAX_SAFE_INTEGER);
  const limit = numberOf(query, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX);
  const figureOf = figureIn(query, figures);
  const order = query.get("order") ?? (figureOf === undefined ? "asc" : "desc");
  if (order !== "asc" && order !== "desc") throw new ConsoleError("BAD_REQUEST", `"order" is "asc" or "desc"`);
  const sign = order === "asc" ? 1 : -1;
  const found: { readonly text: string; readonly figure: number; readonly item: Item }[] = [];
  for (const item of items) {
    const text = textOf(item);
    if (search === "" || text.toLowerCase().includes(search)) found.push({ text, figure: figureOf?.(item) ?? 0, item });
  }
  const textSign = figureOf === undefined ? sign : 1;
  found.sort((a, b) => sign * (a.figure - b.figure) || textSign * (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
  return { total: found.length, offset, limit, items: found.slice(offset, offset + limit).map(({ item }) => item) };
}

/** Undefined: by name. */
function figureIn<Item>(query: URLSearchParams, figures: Figures<Item>): ((item: Item) => number) | undefined {
  const sort = query.get("sort") ?? "name";
  if (sort === "name") return undefined;
  if (Object.hasOwn(figures, sort)) return figures[sort];
  throw new ConsoleError("BAD_REQUEST", `"sort" is one of ${["name", ...Object.keys(figures)].join(", ")}`);
}

const CHANNEL_FIGURES: Figures<Channel> = {
  msgs: ({ messages }) => messages.messageCount,
  bytes: ({ messages }) => messages.byteCount,
  last_seq: ({ messages }) => messages.lastSequence,
  subscriptions: (channel) => countOf(channel),
  pending: (channel) => channelObject(channel).pending,
  max_lag: (channel) => channelObject(channel).max_lag,
  // What is stalled before what is paused.
  stalled: (channel) => {
    const { stalled, paused } = channelObject(channel);
    return stalled * 65_536 + paused;
  },
};

const DURABLE_FIGURES: Figures<{ readonly channel: Channel; readonly entry: Entry }> = {
  lag: ({ channel, entry }) => lagOf(channel, entry),
  pending_count: ({ entry }) => pendingOf(entry),
  redelivered: ({ entry }) => redeliveredOf(entry),
  last_sent: ({ entry }) => lastSentOf(entry),
};

/** `GET overview` */
export function overview(view: ConsoleView, isAuthorized: boolean): unknown {
  const { core } = view;
  const { counters } = core;
  const access = view.access();
  const figures = view.process();
  let messages = 0;
  let bytes = 0;
  let subscriptions = 0;
  let pending = 0;
  let stalled = 0;
  let paused = 0;
  for (const channel of core.channels.all) {
    messages += channel.messages.messageCount;
    bytes += channel.messages.byteCount;
    for (const entry of entriesOf(channel)) {
      subscriptions += entry.parts.length;
      pending += pendingOf(entry);
      if (isStalled(entry)) stalled++;
      if (isPaused(entry)) paused++;
    }
  }
  return {
    server: {
      cluster_id: view.clusterId,
      server_id: view.serverId,
      version: view.version,
      state: view.state(),
      store: view.storeName,
      start_time: view.startTime,
      now: view.nowText(),
      uptime_ms: Math.round(view.uptimeMs()),
      read_only: view.readOnly(),
    },
    access: { token_configured: access.token !== "", browse: access.browse, authorized: isAuthorized },
    totals: {
      clients: core.clients.count,
      subscriptions,
      channels: core.channels.all.size,
      msgs: messages,
      bytes,
      pending,
      stalled,
      paused,
      in_msgs: counters.received,
      in_bytes: counters.receivedBytes,
      out_msgs: counters.delivered + counters.redelivered,
      out_bytes: counters.sentBytes,
      redelivered_msgs: counters.redelivered,
      acked_msgs: counters.acked,
      connections: view.connectionCount(),
      slow_consumers: view.slowConsumerCount(),
    },
    process: {
      cpu_percent: figures.cpuPercent,
      resident_bytes: figures.residentBytes,
      event_loop_delay_ms: figures.loopDelayMs,
      disk_free_bytes: figures.diskFreeBytes,
    },
  };
}

/** `GET channels` */
export function channelList(view: ConsoleView, query: URLSearchParams): unknown {
  const { items, ...paging } = pageOf(
    view.core.channels.all,
    query,
    ({ name }) => displayText(name),
    CHANNEL_FIGURES,
  );
  return { ...paging, channels: items.map(channelObject) };
}

/** `GET channels/NAME` */
export function channelDetails(view: ConsoleView, channel: Channel): ChannelDetails {
  const { limits } = channel;
  return {
    ...channelObject(channel),
    limits: {
      max_msgs: limits.maxMessages,
      max_bytes: limits.maxBytes,
      max_age_ms: limits.maxAgeMs,
      max_subscriptions: limits.maxSubscriptions,
      max_inactivity_ms: limits.maxInactivityMs,
    },
    subscriptions: [...entriesOf(channel)].map((entry) => subscriptionObject(view, channel, entry)),
  };
}

/** `GET clients` */
export function clientList(view: ConsoleView, query: URLSearchParams): unknown {
  const { items, ...paging } = pageOf(view.core.clients.byId.values(), query, ({ id }) => id);
  const nowMs = view.nowMs();
  return {
    ...paging,
    clients: items.map((client): ClientItem => ({
      id: client.id,
      subscriptions: client.subscriptions.size,
      heartbeat_failures: client.failedHeartbeats,
      // One that was recovered has been there longer than this process.
      connected_ms: Math.round(Math.min(nowMs - client.sinceMs, view.uptimeMs())),
    })),
  };
}

/** `GET durables` */
export function durableList(view: ConsoleView, query: URLSearchParams): unknown {
  const all: { readonly channel: Channel; readonly entry: Entry }[] = [];
  for (const channel of view.core.channels.all) {
    for (const entry of entriesOf(channel)) if (kindOf(entry).startsWith("durable")) all.push({ channel, entry });
  }
  const { items, ...paging } = pageOf(all, query, ({ channel, entry }) => {
    const { durable_name, queue_name } = namesOf(entry);
    return `${displayText(channel.name)} ${durable_name} ${queue_name} ${entry.clientId}`;
  }, DURABLE_FIGURES);
  return {
    ...paging,
    durables: items.map(({ channel, entry }): DurableItem => ({
      ...subscriptionObject(view, channel, entry),
      channel: displayText(channel.name),
    })),
  };
}

// Subscriptions ----------------------------------------------------------------------------------------------------------

/** A subscription, or a group as one. */
interface Entry {
  readonly clientId: string;
  readonly group: QueueGroup | undefined;
  /** Of a group: its members, and the shadow that keeps it while it has none. */
  readonly parts: readonly StanSubscription[];
}

function* entriesOf(channel: Channel): IterableIterator<Entry> {
  for (const subscription of channel.subscriptions) yield entryOf(subscription);
  for (const durable of channel.durables.values()) if (!durable.online) yield entryOf(durable);
  for (const group of channel.groups.values()) {
    const parts = group.shadow === undefined ? [...group.members] : [...group.members, group.shadow];
    yield { clientId: "", group, parts };
  }
}

function entryOf(subscription: StanSubscription): Entry {
  return { clientId: displayText(subscription.record.clientId), group: undefined, parts: [subscription] };
}

/** As the reference counts: each member is one. */
function countOf(channel: Channel): number {
  let count = 0;
  for (const { parts } of entriesOf(channel)) count += parts.length;
  return count;
}

function kindOf({ group, parts }: Entry): SubscriptionItem["kind"] {
  if (group !== undefined) return group.isDurable ? "durable_group" : "group";
  return parts[0]!.record.isDurable ? "durable" : "plain";
}

function namesOf({ group, parts }: Entry): Pick<SubscriptionItem, "durable_name" | "queue_name"> {
  if (group === undefined) return { durable_name: displayText(parts[0]!.record.durableName), queue_name: "" };
  // A durable group is known by `durable:queue`, and only the latter may have a colon.
  const at = group.isDurable ? group.name.indexOf(":") : -1;
  return {
    durable_name: at < 0 ? "" : displayText(group.name.slice(0, at)),
    queue_name: displayText(group.name.slice(at + 1)),
  };
}

function lastSentOf({ group, parts }: Entry): number {
  return group?.lastSent ?? parts[0]!.lastSent;
}

/** Messages behind its position that are there and may be delivered. */
function lagOf(channel: Channel, entry: Entry): number {
  const { firstSequence } = channel.messages;
  return Math.max(0, channel.visibleLast - Math.max(lastSentOf(entry), firstSequence - 1));
}

function pendingOf({ parts }: Entry): number {
  return parts.reduce((sum, { pending }) => sum + pending.count, 0);
}

function redeliveredOf({ group, parts }: Entry): number {
  return (group ?? parts[0]!).redelivered;
}

/** What can hold no more: of a group, when all its members can hold no more. */
function isStalled({ parts }: Entry): boolean {
  const online = parts.filter((part) => part.online);
  return online.length > 0 && online.every(({ stalled }) => stalled);
}

function isPaused({ group, parts }: Entry): boolean {
  return (group ?? parts[0]!).isPaused;
}

function channelObject(channel: Channel): ChannelItem {
  const { messages } = channel;
  const entries = [...entriesOf(channel)];
  return {
    name: displayText(channel.name),
    msgs: messages.messageCount,
    bytes: messages.byteCount,
    first_seq: messages.firstSequence,
    last_seq: messages.lastSequence,
    subscriptions: entries.reduce((sum, { parts }) => sum + parts.length, 0),
    pending: entries.reduce((sum, entry) => sum + pendingOf(entry), 0),
    max_lag: entries.reduce((max, entry) => Math.max(max, lagOf(channel, entry)), 0),
    stalled: entries.filter(isStalled).length,
    paused: entries.filter(isPaused).length,
  };
}

function subscriptionObject(view: ConsoleView, channel: Channel, entry: Entry): SubscriptionItem {
  const { group, parts } = entry;
  const online = parts.filter((part) => part.online);
  return {
    kind: kindOf(entry),
    client_id: entry.clientId,
    ...namesOf(entry),
    members: group === undefined ? [] : online.map(({ record }) => displayText(record.clientId)),
    is_offline: online.length === 0,
    is_stalled: isStalled(entry),
    is_paused: isPaused(entry),
    last_sent: lastSentOf(entry),
    lag: lagOf(channel, entry),
    lag_seconds: lagSeconds(view, channel, entry),
    pending_count: pendingOf(entry),
    // Of a group: what all its members may hold together.
    max_inflight: parts.reduce((sum, { maxInFlight }) => sum + maxInFlight, 0),
    ack_wait_secs: parts.reduce((max, { ackWaitMs }) => Math.max(max, ackWaitMs / 1000), 0),
    redelivered: redeliveredOf(entry),
  };
}

/** Age of the oldest message that it has not acked: pending, or not delivered yet. */
function lagSeconds(view: ConsoleView, channel: Channel, entry: Entry): number | null {
  const { messages } = channel;
  let oldest = Math.max(lastSentOf(entry) + 1, messages.firstSequence);
  for (const { pending } of entry.parts) {
    const lowest = pending.lowest();
    if (lowest >= Math.max(1, messages.firstSequence) && lowest < oldest) oldest = lowest;
  }
  const stamp = { stampHigh: 0, stampLow: 0 };
  if (oldest > channel.visibleLast || !messages.stampOf(oldest, stamp)) return null;
  const now = { high: 0, low: 0 };
  view.wallNs(now);
  const ageNs = (now.high - stamp.stampHigh) * 4_294_967_296 + (now.low - stamp.stampLow);
  return Math.max(0, Math.round(ageNs / 1e6) / 1000);
}
