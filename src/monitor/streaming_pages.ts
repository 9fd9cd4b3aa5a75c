/** The `/streaming/...` pages (operations.md 5.3 to 5.7): read-only views of the streaming core as JSON. */
import { displayText } from "../base/bytes.ts";
import type { Options } from "../config/options.ts";
import type { Store, StoreLimits } from "../store/types.ts";
import type { Channel } from "../streaming/channel.ts";
import type { Client } from "../streaming/client.ts";
import type { StreamingCore } from "../streaming/core.ts";
import type { StanSubscription } from "../streaming/subscription.ts";
import { uptimeText } from "./json.ts";

const LIMIT_DEFAULT = 1024;

/** What the pages show. */
export interface StreamingView {
  readonly core: StreamingCore;
  readonly store: Store;
  readonly limits: StoreLimits;
  readonly options: Options;
  readonly serverId: string;
  readonly version: string;
  readonly runtimeVersion: string;
  readonly startTime: string;
  readonly state: () => string;
  readonly nowText: () => string;
  readonly uptimeMs: () => number;
}

/** A JSON value, or a plain text with its status. */
export type Page = { readonly json: unknown } | { readonly status: number; readonly text: string };

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
    case "/streaming/isFTActive":
      return { status: 204, text: "" };
  }
  return undefined;
}

function header(view: StreamingView) {
  return { cluster_id: view.options.clusterId, server_id: view.serverId };
}

function totals(view: StreamingView): { total_msgs: number; total_bytes: number } {
  let messages = 0;
  let bytes = 0;
  for (const channel of view.core.channels.all) {
    messages += channel.messages.messageCount;
    bytes += channel.messages.byteCount;
  }
  return { total_msgs: messages, total_bytes: bytes };
}

function serverz(view: StreamingView): unknown {
  const { core } = view;
  const { counters } = core;
  let subscriptions = 0;
  for (const channel of core.channels.all) subscriptions += subscriptionCount(channel);
  return {
    ...header(view),
    version: view.version,
    go: view.runtimeVersion,
    state: view.state(),
    now: view.nowText(),
    start_time: view.startTime,
    uptime: uptimeText(view.uptimeMs()),
    clients: core.clients.count,
    subscriptions,
    channels: core.channels.all.size,
    ...totals(view),
    in_msgs: counters.received,
    in_bytes: counters.receivedBytes,
    out_msgs: counters.delivered + counters.redelivered,
    out_bytes: counters.sentBytes,
  };
}

function storez(view: StreamingView): unknown {
  const { limits } = view.options;
  const shown = (
    values: {
      maxMessages: number;
      maxBytes: number;
      maxAgeMs: number;
      maxSubscriptions: number;
      maxInactivityMs: number;
    },
  ) => ({
    max_msgs: values.maxMessages,
    max_bytes: values.maxBytes,
    max_age: values.maxAgeMs * 1e6,
    max_subscriptions: values.maxSubscriptions,
    max_inactivity: values.maxInactivityMs * 1e6,
  });
  const channels: Record<string, unknown> = {};
  for (const { pattern } of [...limits.perChannel].sort((a, b) => byBytes(a.pattern, b.pattern))) {
    channels[pattern] = shown(view.limits.forChannel(pattern));
  }
  return {
    ...header(view),
    now: view.nowText(),
    type: view.store.name,
    limits: {
      max_channels: limits.maxChannels,
      ...shown(limits),
      ...(limits.perChannel.length > 0 ? { channels } : {}),
    },
    ...totals(view),
  };
}

function clientsz(view: StreamingView, query: URLSearchParams): Page {
  const withSubscriptions = query.get("subs") === "1";
  const wanted = query.get("client");
  if (wanted !== null && wanted !== "") {
    const client = view.core.clients.byId.get(wanted);
    if (client === undefined) return { status: 404, text: `Client ${wanted} not found\n` };
    return { json: clientObject(client, withSubscriptions) };
  }
  const all = [...view.core.clients.byId.values()].sort((a, b) => byBytes(a.id, b.id));
  const { offset, limit } = paging(query);
  const page = all.slice(offset, offset + limit);
  return {
    json: {
      ...header(view),
      now: view.nowText(),
      offset,
      limit,
      count: page.length,
      total: all.length,
      clients: page.map((client) => clientObject(client, withSubscriptions)),
    },
  };
}

function clientObject(client: Client, withSubscriptions: boolean): unknown {
  const byChannel: Record<string, unknown[]> = {};
  if (withSubscriptions) {
    for (const subscription of client.subscriptions) {
      (byChannel[displayText(subscription.channel.name)] ??= []).push(subscriptionObject(subscription));
    }
  }
  return {
    id: client.id,
    hb_inbox: displayText(client.record.heartbeatInbox),
    subs_count: client.subscriptions.size,
    ...(Object.keys(byChannel).length > 0 ? { subscriptions: byChannel } : {}),
  };
}

function channelsz(view: StreamingView, query: URLSearchParams): Page {
  const withSubscriptions = query.get("subs") === "1";
  const wanted = query.get("channel");
  if (wanted !== null && wanted !== "") {
    const channel = [...view.core.channels.all].find((one) => displayText(one.name) === wanted);
    if (channel === undefined) return { status: 404, text: `Channel ${wanted} not found\n` };
    return { json: channelObject(channel, withSubscriptions) };
  }
  const all = [...view.core.channels.all].sort((a, b) => byBytes(a.name, b.name));
  const { offset, limit } = paging(query);
  const page = all.slice(offset, offset + limit);
  const list = withSubscriptions
    ? { channels: page.map((channel) => channelObject(channel, true)) }
    : { names: page.map((channel) => displayText(channel.name)) };
  return {
    json: {
      ...header(view),
      now: view.nowText(),
      offset,
      limit,
      count: page.length,
      total: all.length,
      ...(page.length > 0 ? list : {}),
    },
  };
}

function channelObject(channel: Channel, withSubscriptions: boolean): unknown {
  const { messages } = channel;
  const subscriptions = withSubscriptions ? allSubscriptions(channel).map(subscriptionObject) : [];
  return {
    name: displayText(channel.name),
    msgs: messages.messageCount,
    bytes: messages.byteCount,
    first_seq: messages.firstSequence,
    last_seq: messages.lastSequence,
    subs_count: subscriptionCount(channel),
    ...(subscriptions.length > 0 ? { subscriptions } : {}),
  };
}

/** Online plain ones in the order of creation, then offline durables, then queue members. */
function allSubscriptions(channel: Channel): StanSubscription[] {
  const all = [...channel.subscriptions];
  for (const durable of channel.durables.values()) if (!durable.online) all.push(durable);
  for (const group of channel.groups.values()) {
    all.push(...group.members);
    if (group.shadow !== undefined) all.push(group.shadow);
  }
  return all;
}

function subscriptionCount(channel: Channel): number {
  return allSubscriptions(channel).length;
}

function subscriptionObject(subscription: StanSubscription): unknown {
  const { record } = subscription;
  return {
    client_id: displayText(record.clientId),
    inbox: displayText(record.inbox),
    ack_inbox: record.ackInbox,
    ...(record.durableName === "" ? {} : { durable_name: displayText(record.durableName) }),
    ...(record.queueGroup === "" ? {} : { queue_name: displayText(record.queueGroup) }),
    is_durable: record.isDurable,
    is_offline: !subscription.online,
    max_inflight: subscription.maxInFlight,
    ack_wait: record.ackWaitSecs,
    last_sent: subscription.lastSent,
    pending_count: subscription.pending.count,
    is_stalled: subscription.stalled,
  };
}

/** Bad numbers are not errors here: they count as not given. */
function paging(query: URLSearchParams): { offset: number; limit: number } {
  const number = (name: string): number => {
    const text = query.get(name) ?? "";
    return /^[+-]?\d{1,15}$/.test(text) ? Number(text) : 0;
  };
  const limit = number("limit");
  return { offset: Math.max(0, number("offset")), limit: limit <= 0 ? LIMIT_DEFAULT : limit };
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
