/** The `/streaming/...` pages (operations.md 5.3 to 5.7): read-only views of the streaming core as JSON. */
import { byteStringOfText, displayText } from "../base/bytes.ts";
import type { Options, ResolvedChannelLimits, ResolvedLimits } from "../config/options.ts";
import type { Store } from "../store/types.ts";
import type { Channel } from "../streaming/channel.ts";
import type { Client } from "../streaming/client.ts";
import type { StreamingCore } from "../streaming/core.ts";
import type { StanSubscription } from "../streaming/subscription.ts";
import { type Json, nanoseconds, uptimeText } from "./json.ts";
import type { ProcessView } from "./nats_view.ts";
import { streamingPaging } from "./query.ts";
import type { MonitorTime } from "./time.ts";

/** What `/streaming/serverz` calls the state of the server. */
export type StreamingState = "STANDALONE" | "FT_ACTIVE" | "FT_STANDBY" | "FAILED" | "SHUTDOWN" | "CLUSTERED";

/** What the pages show. */
export interface StreamingView {
  readonly core: StreamingCore;
  readonly store: Store;
  readonly limits: ResolvedChannelLimits;
  readonly options: Options;
  readonly serverId: string;
  readonly version: string;
  readonly runtimeVersion: string;
  readonly time: MonitorTime;
  readonly process: Pick<ProcessView, "openFiles" | "openFilesMax">;
  readonly state: () => StreamingState;
}

/** A page, or a text with its status. */
export type Page = { readonly json: Json } | { readonly status: number; readonly text: string };

/** The page at `path`; undefined when there is none. */
export function streamingPage(view: StreamingView, path: string, query: URLSearchParams): Page | undefined {
  switch (path) {
    case "/streaming/serverz":
      return { json: serverz(view) };
    case "/streaming/storez":
      return { json: storez(view) };
    case "/streaming/clientsz":
      return clientsz(view, query);
    case "/streaming/channelsz":
      return channelsz(view, query);
  }
  return undefined;
}

/** Sums over all channels. */
export function channelTotals({ core }: Pick<StreamingView, "core">): {
  messages: number;
  bytes: number;
  subscriptions: number;
} {
  const totals = { messages: 0, bytes: 0, subscriptions: 0 };
  for (const channel of core.channels.all) {
    totals.messages += channel.messages.messageCount;
    totals.bytes += channel.messages.byteCount;
    totals.subscriptions += subscriptionCount(channel);
  }
  return totals;
}

function header(view: StreamingView) {
  // A standby does not know yet what it will serve (trap 21).
  const clusterId = view.state() === "FT_STANDBY" ? "" : view.options.clusterId;
  return { cluster_id: clusterId, server_id: view.serverId };
}

function serverz(view: StreamingView): Json {
  const { core, time, process } = view;
  const { counters } = core;
  const totals = channelTotals(view);
  return {
    ...header(view),
    version: view.version,
    go: view.runtimeVersion,
    state: view.state(),
    now: time.nowLocal(),
    start_time: time.localOf(time.startedMs),
    uptime: uptimeText(time.nowMs() - time.startedMs),
    clients: core.clients.count,
    subscriptions: totals.subscriptions,
    channels: core.channels.all.size,
    total_msgs: totals.messages,
    total_bytes: totals.bytes,
    in_msgs: counters.received,
    in_bytes: counters.receivedBytes,
    out_msgs: counters.delivered + counters.redelivered,
    out_bytes: counters.sentBytes,
    open_fds: process.openFiles() || undefined,
    max_fds: process.openFilesMax() || undefined,
  };
}

function storez(view: StreamingView): Json {
  const { limits } = view;
  const totals = channelTotals(view);
  const entries = [...limits.entries].sort((a, b) => byBytes(byteStringOfText(a.pattern), byteStringOfText(b.pattern)));
  return {
    ...header(view),
    now: view.time.nowLocal(),
    type: view.store.name,
    limits: {
      max_channels: limits.maxChannels,
      ...limitsObject(limits.global),
      channels: entries.length === 0
        ? undefined
        : new Map(entries.map((entry) => [entry.pattern, limitsObject(entry.limits)])),
    },
    total_msgs: totals.messages,
    total_bytes: totals.bytes,
  };
}

function limitsObject(limits: ResolvedLimits) {
  return {
    max_msgs: limits.maxMessages,
    max_bytes: limits.maxBytes,
    max_age: nanoseconds(limits.maxAgeMs),
    max_subscriptions: limits.maxSubscriptions,
    max_inactivity: nanoseconds(limits.maxInactivityMs),
  };
}

/** Exactly this, where the core pages take any word of truth (trap 31). */
function wantsSubscriptions(query: URLSearchParams): boolean {
  return query.get("subs") === "1";
}

function clientsz(view: StreamingView, query: URLSearchParams): Page {
  const withSubscriptions = wantsSubscriptions(query);
  const { clients } = view.core;
  const wanted = query.get("client") ?? "";
  if (wanted !== "") {
    const client = clients.byId.get(wanted);
    if (client === undefined) return { status: 404, text: `Client ${wanted} not found` };
    return { json: clientObject(client, withSubscriptions) };
  }
  const all = [...clients.byId.values()].sort((a, b) => byBytes(a.id, b.id));
  const { offset, limit } = streamingPaging(query);
  const page = all.slice(offset, offset + limit);
  return {
    json: {
      ...header(view),
      now: view.time.nowLocal(),
      offset,
      limit,
      count: page.length,
      total: all.length,
      clients: page.map((client) => clientObject(client, withSubscriptions)),
    },
  };
}

function clientObject(client: Client, withSubscriptions: boolean): Json {
  const byChannel = new Map<string, Json[]>();
  if (withSubscriptions) {
    for (const subscription of client.subscriptions.values()) {
      const { name } = subscription.channel;
      const list = byChannel.get(name);
      if (list === undefined) byChannel.set(name, [subscriptionObject(subscription)]);
      else list.push(subscriptionObject(subscription));
    }
  }
  const sorted = [...byChannel].sort(([a], [b]) => byBytes(a, b));
  return {
    id: client.id,
    hb_inbox: displayText(client.record.heartbeatInbox),
    subs_count: client.subscriptions.size,
    subscriptions: sorted.length === 0 ? undefined : new Map(sorted.map(([name, list]) => [displayText(name), list])),
  };
}

function channelsz(view: StreamingView, query: URLSearchParams): Page {
  const withSubscriptions = wantsSubscriptions(query);
  const { channels } = view.core;
  const wanted = query.get("channel") ?? "";
  if (wanted !== "") {
    const channel = channels.getByName(byteStringOfText(wanted));
    if (channel === undefined) return { status: 404, text: `Channel ${wanted} not found` };
    return { json: channelObject(channel, withSubscriptions) };
  }
  const all = sortedChannels(view.core);
  const { offset, limit } = streamingPaging(query);
  const page = all.slice(offset, offset + limit);
  const list = withSubscriptions
    ? { channels: page.map((channel) => channelObject(channel, true)) }
    : { names: page.map((channel) => displayText(channel.name)) };
  return {
    json: {
      ...header(view),
      now: view.time.nowLocal(),
      offset,
      limit,
      count: page.length,
      total: all.length,
      // Where the list of clients is an empty one, this one is not there (trap 30).
      ...(page.length > 0 ? list : {}),
    },
  };
}

/** By name, bytewise. */
export function sortedChannels(core: StreamingCore): Channel[] {
  return [...core.channels.all].sort((a, b) => byBytes(a.name, b.name));
}

function channelObject(channel: Channel, withSubscriptions: boolean): Json {
  const { messages } = channel;
  const subscriptions = withSubscriptions ? subscriptionsOf(channel) : [];
  return {
    name: displayText(channel.name),
    msgs: messages.messageCount,
    bytes: messages.byteCount,
    first_seq: messages.firstSequence,
    last_seq: messages.lastSequence,
    subs_count: subscriptionCount(channel),
    subscriptions: subscriptions.length === 0 ? undefined : subscriptions.map(subscriptionObject),
  };
}

/** Online plain ones in the order of creation, then offline durables, then queue members. */
export function subscriptionsOf(channel: Channel): StanSubscription[] {
  const all = [...channel.subscriptions];
  for (const durable of channel.durables.values()) if (!durable.online) all.push(durable);
  for (const group of channel.groups.values()) {
    all.push(...group.members);
    if (group.shadow !== undefined) all.push(group.shadow);
  }
  return all;
}

function subscriptionCount(channel: Channel): number {
  let count = channel.subscriptions.length;
  for (const durable of channel.durables.values()) if (!durable.online) count++;
  for (const group of channel.groups.values()) count += group.members.length + (group.shadow === undefined ? 0 : 1);
  return count;
}

function subscriptionObject(subscription: StanSubscription): Json {
  const { record } = subscription;
  return {
    client_id: displayText(record.clientId),
    inbox: displayText(record.inbox),
    ack_inbox: displayText(record.ackInbox),
    durable_name: record.durableName === "" ? undefined : displayText(record.durableName),
    queue_name: record.queueGroup === "" ? undefined : displayText(record.queueGroup),
    is_durable: record.isDurable,
    is_offline: !subscription.online,
    max_inflight: subscription.maxInFlight,
    ack_wait: record.ackWaitSecs,
    last_sent: subscription.lastSent,
    pending_count: subscription.pending.count,
    is_stalled: subscription.stalled,
  };
}

/** Byte strings: their units are the bytes. */
function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
