/**
 * `/metrics`: what the other pages show and what only this one does, for Prometheus. The number of series is bounded: channels
 * and subscriptions above a limit are left out, and a gauge says how many.
 */
import { displayText } from "../../base/bytes.ts";
import type { Channel } from "../../streaming/channel.ts";
import { connectionSums } from "../connz.ts";
import type { LoopDelay } from "../loop_delay.ts";
import { varz } from "../nats_pages.ts";
import type { NatsView } from "../nats_view.ts";
import { intParameter } from "../query.ts";
import { channelTotals, sortedChannels, type StreamingView, subscriptionsOf } from "../streaming_pages.ts";
import { sublistFigures } from "../subsz.ts";
import type { TurnFigures } from "../turn_figures.ts";
import { groupNames, positionsOf } from "./lag.ts";
import { CONNZ_FIELDS, METRICS, SUBSZ_FIELDS, VARZ_FIELDS, VARZ_TEXTS } from "./metric_table.ts";
import { MetricsText } from "./metrics_text.ts";

/** Channels, and subscriptions or positions, on one page unless the query says otherwise. */
export const CHANNELS_DEFAULT = 1000;
export const SUBSCRIPTIONS_DEFAULT = 2000;

/** What this page shows besides the views of the others. */
export interface MetricsView {
  readonly nats: NatsView;
  /** Undefined when only the core NATS server runs, or while it recovers. */
  readonly streaming: StreamingView | undefined;
  readonly isReady: boolean;
  readonly figures: TurnFigures;
  readonly loopDelay: LoopDelay;
  /** Undefined for a store that is not on disk. */
  readonly freeBytes: number | undefined;
}

/** The page. Throws `QueryError`. */
export function metricsPage(view: MetricsView, query: URLSearchParams): string {
  const limitOf = (name: string, other: number) =>
    (query.get(name) ?? "") === "" ? other : Math.max(0, intParameter(query, name));
  const channelLimit = limitOf("channels", CHANNELS_DEFAULT);
  const subscriptionLimit = limitOf("subscriptions", SUBSCRIPTIONS_DEFAULT);
  const text = new MetricsText(METRICS);
  addProcess(text, view);
  if (view.streaming !== undefined) {
    addStreaming(text, view, view.streaming);
    addChannels(text, view, view.streaming, channelLimit, subscriptionLimit);
  }
  addNats(text, view.nats);
  return text.toString();
}

function addProcess(text: MetricsText, { nats, isReady, loopDelay }: MetricsView): void {
  const { process, server, time, own } = nats;
  const { statistics } = server.router;
  text.add("stanchion_ready", isReady ? 1 : 0);
  text.add("stanchion_start_time_seconds", Number(time.nsOf(time.startedMs) / 1_000_000n) / 1000);
  text.addHistogram("stanchion_event_loop_delay_seconds", loopDelay.seconds);
  text.add("stanchion_nats_connections", server.connections.size);
  text.add("stanchion_nats_connections_total", statistics.totalConnections - (own?.count ?? 0));
  text.add("stanchion_nats_slow_consumers_total", statistics.slowConsumers);
  text.add("stanchion_nats_internal_dropped_total", statistics.internalDropped);
  text.add("stanchion_resident_bytes", process.residentBytes());
  text.add("stanchion_heap_bytes", process.heapBytes());
  text.add("stanchion_cpu_seconds_total", process.cpuSeconds());
  const openFiles = process.openFiles();
  const openFilesMax = process.openFilesMax();
  if (openFiles > 0) text.add("stanchion_open_fds", openFiles);
  if (openFilesMax > 0) text.add("stanchion_max_fds", openFilesMax);
}

function addStreaming(text: MetricsText, view: MetricsView, streaming: StreamingView): void {
  const { core, serverId, options, store, version, runtimeVersion, time } = streaming;
  const { counters } = core;
  const { figures, freeBytes } = view;
  const totals = channelTotals(streaming);
  const state = streaming.state();
  text.add("stanchion_info", 1, serverId, options.clusterId, version, runtimeVersion, store.name, state);
  text.add("stanchion_clients", core.clients.count);
  text.add("stanchion_channels", core.channels.all.size);
  text.add("stanchion_subscriptions", totals.subscriptions);
  text.add("stanchion_stored_messages", totals.messages);
  text.add("stanchion_stored_bytes", totals.bytes);
  text.add("stanchion_received_messages_total", counters.received);
  text.add("stanchion_received_bytes_total", counters.receivedBytes);
  // A counter that goes down counts as one that began anew: what was taken back stays in.
  text.add("stanchion_published_messages_total", counters.published + counters.takenBack);
  text.add("stanchion_delivered_messages_total", counters.delivered);
  text.add("stanchion_redelivered_messages_total", counters.redelivered);
  text.add("stanchion_sent_bytes_total", counters.sentBytes);
  text.add("stanchion_acknowledged_messages_total", counters.acked);
  text.add("stanchion_refused_requests_total", counters.refused);
  text.add("stanchion_unheard_sends_total", counters.unheard);
  text.add("stanchion_duplicate_clients_total", counters.duplicateClients);
  text.add("stanchion_replaced_clients_total", counters.replacedClients);
  text.add("stanchion_other_cluster_connects_total", counters.otherClusterConnects);
  text.addHistogram("stanchion_publish_seconds", figures.publishSeconds);
  text.addHistogram("stanchion_store_flush_seconds", figures.flushSeconds);
  text.addHistogram("stanchion_turn_requests", figures.turnRequests);
  let readOnlyCount = 0;
  for (const channel of core.channels.all) if (channel.messages.refusal !== "") readOnlyCount++;
  text.add("stanchion_store_read_only", readOnlyCount > 0 ? 1 : 0);
  text.add("stanchion_store_read_only_channels", readOnlyCount);
  text.add("stanchion_store_refused_messages_total", counters.storeRefused);
  text.add("stanchion_store_rollbacks_total", counters.rolledBack);
  text.add("stanchion_store_rolled_back_messages_total", counters.takenBack);
  if (freeBytes !== undefined) {
    text.add("stanchion_store_free_bytes", freeBytes);
    text.add("stanchion_store_reserve_bytes", Math.max(0, options.file.reserveBytes));
  }
  const startTime = time.localOf(time.startedMs);
  text.add("nss_server_info", 1, serverId, options.clusterId, version, runtimeVersion, state, "", startTime);
  text.add("nss_server_bytes_total", totals.bytes, serverId);
  text.add("nss_server_msgs_total", totals.messages, serverId);
  text.add("nss_server_channels", core.channels.all.size, serverId);
  text.add("nss_server_subscriptions", totals.subscriptions, serverId);
  text.add("nss_server_clients", core.clients.count, serverId);
}

/** Series are told apart by their labels alone, and one that is there twice makes the whole page unreadable. */
class SeriesBudget {
  left: number;
  /** Left out. */
  truncated = 0;
  readonly #seen = new Set<string>();

  constructor(limit: number) {
    this.left = limit;
  }

  admits(labels: string): boolean {
    if (this.#seen.has(labels)) return false;
    if (this.left <= 0) {
      this.truncated++;
      return false;
    }
    this.left--;
    this.#seen.add(labels);
    return true;
  }
}

function addChannels(
  text: MetricsText,
  view: MetricsView,
  streaming: StreamingView,
  channelLimit: number,
  subscriptionLimit: number,
): void {
  const { core, serverId } = streaming;
  // Nobody needs to be told that what he did not want is not there.
  const isWanted = channelLimit > 0;
  const channels = isWanted ? sortedChannels(core) : [];
  const budget = {
    channels: new SeriesBudget(channelLimit),
    subscriptions: new SeriesBudget(subscriptionLimit),
    positions: new SeriesBudget(subscriptionLimit),
  };
  const nowNs = view.nats.time.nowNs();
  for (const channel of channels) {
    const name = displayText(channel.name);
    if (!budget.channels.admits(name)) continue;
    const { messages } = channel;
    text.add("stanchion_channel_messages", messages.messageCount, name);
    text.add("stanchion_channel_bytes", messages.byteCount, name);
    text.add("stanchion_channel_last_sequence", messages.lastSequence, name);
    text.add("nss_chan_bytes_total", messages.byteCount, serverId, name);
    text.add("nss_chan_msgs_total", messages.messageCount, serverId, name);
    text.add("nss_chan_last_seq", messages.lastSequence, serverId, name);
    if (subscriptionLimit === 0) continue;
    addSubscriptions(text, channel, name, serverId, budget.subscriptions);
    addPositions(text, channel, name, nowNs, budget.positions);
  }
  text.add("stanchion_metrics_truncated", budget.channels.truncated, "channels");
  text.add("stanchion_metrics_truncated", budget.subscriptions.truncated + budget.positions.truncated, "subscriptions");
}

function addSubscriptions(
  text: MetricsText,
  channel: Channel,
  name: string,
  serverId: string,
  budget: SeriesBudget,
): void {
  for (const subscription of subscriptionsOf(channel)) {
    const { record } = subscription;
    const group = groupNames(record.queueGroup, record.isDurable);
    const labels = text.labelsOf(
      "nss_chan_subs_last_sent",
      serverId,
      name,
      displayText(record.clientId),
      displayText(record.inbox),
      displayText(group.queue),
      String(record.isDurable),
      String(!subscription.online),
      displayText(record.durableName || group.durable),
    );
    if (!budget.admits(labels)) continue;
    text.addLabelled("nss_chan_subs_last_sent", subscription.lastSent, labels);
    text.addLabelled("nss_chan_subs_pending_count", subscription.pending.count, labels);
    text.addLabelled("nss_chan_subs_max_inflight", subscription.maxInFlight, labels);
  }
}

function addPositions(text: MetricsText, channel: Channel, name: string, nowNs: bigint, budget: SeriesBudget): void {
  // Nothing is computed for what the page has no room for.
  if (budget.left <= 0) {
    budget.truncated += channel.durables.size + channel.groups.size;
    return;
  }
  for (const position of positionsOf(channel, nowNs)) {
    const { clientId, durable, queue } = position;
    const labels = text.labelsOf("stanchion_subscription_lag_messages", name, clientId, durable, queue);
    if (!budget.admits(labels)) continue;
    text.addLabelled("stanchion_subscription_lag_messages", position.lagMessages, labels);
    text.addLabelled("stanchion_subscription_lag_seconds", position.lagSeconds, labels);
    text.addLabelled("stanchion_subscription_pending_messages", position.pending, labels);
    text.addLabelled("stanchion_subscription_redelivered_messages_total", position.redelivered, labels);
    text.addLabelled("stanchion_subscription_stalled", position.isStalled ? 1 : 0, labels);
    text.addLabelled("stanchion_subscription_members", position.members, labels);
  }
}

function addNats(text: MetricsText, nats: NatsView): void {
  const { server } = nats;
  const fields = new Map(Object.entries(varz(nats, new Map()) as Readonly<Record<string, unknown>>));
  for (const field of VARZ_TEXTS) text.add(`gnatsd_varz_${field}`, 1, server.id, String(fields.get(field) ?? ""));
  for (const field of VARZ_FIELDS) {
    const value = fields.get(field);
    // Fields that are left out when they are 0.
    text.add(`gnatsd_varz_${field}`, Number(value ?? 0), server.id);
  }
  const sums = connectionSums(nats);
  for (const field of CONNZ_FIELDS) text.add(`gnatsd_connz_${field}`, sums[field] ?? 0, server.id);
  text.add("gnatsd_routez_num_routes", 0, server.id);
  const figures = sublistFigures(server.accounts.all());
  for (const field of SUBSZ_FIELDS) text.add(`gnatsd_subsz_${field}`, figures[field], server.id);
}
