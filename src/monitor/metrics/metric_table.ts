/**
 * Every metric of `/metrics`: the page, its documentation and the dashboards are held against this table. Names that begin
 * with `nss_` and `gnatsd_` are those of the exporter that installations of the reference have beside it (operations.md 12.3);
 * they keep its types, which are gauges throughout. Ours begin with `stanchion_`.
 */

/** As Prometheus knows them. */
export type MetricType = "counter" | "gauge" | "histogram";

/** One family. */
export interface Metric {
  readonly name: string;
  readonly type: MetricType;
  /** In the order in which values are given. */
  readonly labels: readonly string[];
  readonly help: string;
}

const POSITION = ["channel", "client_id", "durable", "queue"] as const;
const OLD_SUBSCRIPTION = [
  "server_id",
  "channel",
  "client_id",
  "inbox",
  "queue_name",
  "is_durable",
  "is_offline",
  "durable_name",
] as const;

function metric(name: string, type: MetricType, help: string, labels: readonly string[] = []): Metric {
  return Object.freeze({ name, type, labels, help });
}

/** Of this product. */
const OWN_METRICS: readonly Metric[] = [
  metric("stanchion_info", "gauge", "Always 1; the labels tell what runs.", [
    "server_id",
    "cluster_id",
    "version",
    "runtime",
    "store",
    "state",
  ]),
  metric("stanchion_ready", "gauge", "1 while clients are served, else 0."),
  metric("stanchion_start_time_seconds", "gauge", "When the server was started, in seconds since 1970."),
  metric("stanchion_clients", "gauge", "Registered streaming clients."),
  metric("stanchion_channels", "gauge", "Channels."),
  metric(
    "stanchion_subscriptions",
    "gauge",
    "Subscriptions: online ones, offline durables, durable groups without member.",
  ),
  metric("stanchion_stored_messages", "gauge", "Messages stored now, in all channels."),
  metric("stanchion_stored_bytes", "gauge", "Bytes stored now, in all channels, as the store counts them."),
  metric("stanchion_received_messages_total", "counter", "Publish requests received, refused ones included."),
  metric("stanchion_received_bytes_total", "counter", "Encoded size of the publish requests received."),
  metric(
    "stanchion_published_messages_total",
    "counter",
    "Messages taken by the store, those that were taken back later included.",
  ),
  metric("stanchion_delivered_messages_total", "counter", "Messages sent to subscriptions for the first time."),
  metric("stanchion_redelivered_messages_total", "counter", "Messages sent to subscriptions again."),
  metric("stanchion_sent_bytes_total", "counter", "Encoded size of deliveries and redeliveries."),
  metric("stanchion_acknowledged_messages_total", "counter", "Deliveries that clients have acknowledged."),
  metric("stanchion_refused_requests_total", "counter", "Requests of any kind that were answered with an error."),
  metric("stanchion_unheard_sends_total", "counter", "Answers and deliveries to which nobody listened."),
  metric("stanchion_duplicate_clients_total", "counter", "Connects refused because the holder of the client ID lives."),
  metric(
    "stanchion_replaced_clients_total",
    "counter",
    "Registrations that gave way to a newer one of their client ID.",
  ),
  metric("stanchion_other_cluster_connects_total", "counter", "Connect requests for another cluster ID."),
  metric("stanchion_publish_seconds", "histogram", "From the arrival of a publish to its answer; measured per turn."),
  metric("stanchion_store_flush_seconds", "histogram", "Flushes that had to wait for the disk."),
  metric("stanchion_turn_requests", "histogram", "Publishes, acknowledgements and other requests handled in one turn."),
  metric("stanchion_event_loop_delay_seconds", "histogram", "How late a timer fired; sampled ten times per second."),
  metric("stanchion_store_read_only", "gauge", "1 while at least one channel refuses publishes because of its store."),
  metric("stanchion_store_read_only_channels", "gauge", "Channels that refuse publishes because of their store."),
  metric("stanchion_store_refused_messages_total", "counter", "Publishes that the store did not take."),
  metric("stanchion_store_rollbacks_total", "counter", "Turns whose messages were taken back because a flush failed."),
  metric(
    "stanchion_store_rolled_back_messages_total",
    "counter",
    "Messages that were taken back because a flush failed.",
  ),
  metric("stanchion_store_free_bytes", "gauge", "Bytes that the server may still write to the disk of its store."),
  metric("stanchion_store_reserve_bytes", "gauge", "Free bytes below which publishes are refused; 0 = none are kept."),
  metric("stanchion_channel_messages", "gauge", "Messages stored in the channel.", ["channel"]),
  metric("stanchion_channel_bytes", "gauge", "Bytes stored in the channel.", ["channel"]),
  metric("stanchion_channel_last_sequence", "gauge", "Sequence of the last message of the channel.", ["channel"]),
  metric(
    "stanchion_subscription_lag_messages",
    "gauge",
    "Messages of the durable or group not delivered or not acknowledged.",
    POSITION,
  ),
  metric("stanchion_subscription_lag_seconds", "gauge", "Age of the oldest of them; 0 when there is none.", POSITION),
  metric("stanchion_subscription_pending_messages", "gauge", "Messages delivered and not acknowledged.", POSITION),
  metric(
    "stanchion_subscription_redelivered_messages_total",
    "counter",
    "Messages sent to the durable or group again.",
    POSITION,
  ),
  metric(
    "stanchion_subscription_stalled",
    "gauge",
    "1 while no member may be sent anything before it acknowledges.",
    POSITION,
  ),
  metric("stanchion_subscription_members", "gauge", "Clients that are online for the durable or group.", POSITION),
  metric("stanchion_nats_connections", "gauge", "Client connections of the NATS server, internal ones not included."),
  metric("stanchion_nats_connections_total", "counter", "Client connections accepted, internal ones not included."),
  metric("stanchion_nats_slow_consumers_total", "counter", "Connections cut because they did not read."),
  metric(
    "stanchion_nats_internal_dropped_total",
    "counter",
    "Messages between parts of the server that found their queue full.",
  ),
  metric("stanchion_resident_bytes", "gauge", "Resident memory of the process."),
  metric("stanchion_heap_bytes", "gauge", "Heap of the runtime in use."),
  metric("stanchion_cpu_seconds_total", "counter", "Processor time of the process."),
  metric("stanchion_open_fds", "gauge", "Open file descriptors, where the system tells."),
  metric("stanchion_max_fds", "gauge", "Descriptors that the process may have open, where the system tells."),
  metric(
    "stanchion_metrics_truncated",
    "gauge",
    "Channels, or subscriptions, that this page leaves out; see ?channels and ?subscriptions.",
    ["kind"],
  ),
];

/** Of the exporter, from `/streaming/serverz` and `/streaming/channelsz`. */
const STREAMING_METRICS: readonly Metric[] = [
  metric("nss_server_info", "gauge", "Always 1; the labels tell what runs.", [
    "server_id",
    "cluster_id",
    "version",
    "go_version",
    "state",
    "role",
    "start_time",
  ]),
  metric("nss_server_bytes_total", "gauge", "total_bytes of serverz.", ["server_id"]),
  metric("nss_server_msgs_total", "gauge", "total_msgs of serverz.", ["server_id"]),
  metric("nss_server_channels", "gauge", "channels of serverz.", ["server_id"]),
  metric("nss_server_subscriptions", "gauge", "subscriptions of serverz.", ["server_id"]),
  metric("nss_server_clients", "gauge", "clients of serverz.", ["server_id"]),
  metric("nss_chan_bytes_total", "gauge", "bytes of the channel.", ["server_id", "channel"]),
  metric("nss_chan_msgs_total", "gauge", "msgs of the channel.", ["server_id", "channel"]),
  metric("nss_chan_last_seq", "gauge", "last_seq of the channel.", ["server_id", "channel"]),
  metric("nss_chan_subs_last_sent", "gauge", "last_sent of the subscription.", OLD_SUBSCRIPTION),
  metric("nss_chan_subs_pending_count", "gauge", "pending_count of the subscription.", OLD_SUBSCRIPTION),
  metric("nss_chan_subs_max_inflight", "gauge", "max_inflight of the subscription.", OLD_SUBSCRIPTION),
];

/** Numeric fields of `/varz`, in its order. */
export const VARZ_FIELDS = Object.freeze(
  [
    "proto",
    "port",
    "max_connections",
    "max_subscriptions",
    "ping_interval",
    "ping_max",
    "http_port",
    "https_port",
    "auth_timeout",
    "max_control_line",
    "max_payload",
    "max_pending",
    "tls_timeout",
    "write_deadline",
    "mem",
    "cores",
    "gomaxprocs",
    "cpu",
    "connections",
    "total_connections",
    "routes",
    "remotes",
    "leafnodes",
    "in_msgs",
    "out_msgs",
    "in_bytes",
    "out_bytes",
    "slow_consumers",
    "subscriptions",
  ] as const,
);
/** Texts of `/varz` that are labels of a 1. */
export const VARZ_TEXTS = Object.freeze(["server_id", "server_name", "version"] as const);
/** Of `/connz`: its head, and sums over all connections. */
export const CONNZ_FIELDS = Object.freeze(
  [
    "num_connections",
    "total",
    "offset",
    "limit",
    "pending_bytes",
    "subscriptions",
    "in_msgs",
    "out_msgs",
    "in_bytes",
    "out_bytes",
  ] as const,
);
/** Of `/subsz`. */
export const SUBSZ_FIELDS = Object.freeze(
  [
    "num_subscriptions",
    "num_cache",
    "num_inserts",
    "num_removes",
    "num_matches",
    "cache_hit_rate",
    "max_fanout",
    "avg_fanout",
  ] as const,
);

/** Of the exporter, from the core pages. */
const NATS_METRICS: readonly Metric[] = [
  ...VARZ_TEXTS.map((field) =>
    metric(`gnatsd_varz_${field}`, "gauge", `Always 1; the label is ${field} of varz.`, ["server_id", "value"])
  ),
  ...VARZ_FIELDS.map((field) => metric(`gnatsd_varz_${field}`, "gauge", `${field} of varz.`, ["server_id"])),
  ...CONNZ_FIELDS.map((field) => metric(`gnatsd_connz_${field}`, "gauge", `${field} of connz.`, ["server_id"])),
  metric("gnatsd_routez_num_routes", "gauge", "num_routes of routez.", ["server_id"]),
  ...SUBSZ_FIELDS.map((field) => metric(`gnatsd_subsz_${field}`, "gauge", `${field} of subsz.`, ["server_id"])),
];

/** All of them, in the order of the page. */
export const METRICS: readonly Metric[] = Object.freeze([...OWN_METRICS, ...STREAMING_METRICS, ...NATS_METRICS]);
