/**
 * The keys of a configuration file that have no flag of their own, and the other names of those that have one. Together with
 * the option table they are the manual's list of keys and the sample file; a test proves that the readers know these names
 * and no others.
 */

/** How the value is written. */
export type KeyType = "string" | "int" | "size" | "bool" | "duration" | "address" | "list" | "block";

/** One key without a flag. */
export interface KeyRow {
  /** Path in the file; keys of the streaming half begin with `streaming.`. */
  readonly key: string;
  /** Other names, separated by blanks. */
  readonly aliases: string;
  readonly type: KeyType;
  /** As one would write it; empty = none. */
  readonly default: string;
  readonly help: string;
}

function row(names: string, type: KeyType, defaultText: string, help: string): KeyRow {
  const [path = "", ...aliases] = names.split(" ");
  return Object.freeze({ key: path, aliases: aliases.join(" "), type, default: defaultText, help });
}

/** Keys without a flag, in the order in which one would write them. */
export const KEY_TABLE: readonly KeyRow[] = Object.freeze([
  row("listen", "address", "", "Address and port for clients in one: `127.0.0.1:4222`"),
  row("http", "address", "", "Address and port for monitoring in one"),
  row("https", "address", "", "The same for monitoring over HTTPS"),
  row("http_base_path", "string", "/", "Stands before the paths of the core monitoring pages"),
  row("max_connections max_conn", "int", "65536", "Clients at a time; fewer where the system allows fewer sockets"),
  row("max_subscriptions max_subs", "int", "0", "Core subscriptions of one connection, 0 = unlimited"),
  row("max_sub_tokens max_subscription_tokens", "int", "", "Greatest number of tokens in a subject of a subscription"),
  row("max_payload", "size", "1MB", "Greatest message; at most max_pending"),
  row("max_pending", "size", "64MB", "Bytes that wait for one client before it is cut off"),
  row("max_control_line", "size", "4KB", "Longest line of the protocol"),
  row("ping_interval", "duration", "2m", "Time between pings to a quiet client"),
  row("ping_max", "int", "2", "Pings without an answer before a client is cut off"),
  row("write_deadline", "duration", "10s", "How long a client may take nothing of what waits for it"),
  row("lame_duck_duration", "duration", "2m", "Time over which clients are sent away; core server alone"),
  row("lame_duck_grace_period", "duration", "10s", "Time before the first one is sent away"),
  row("authorization.timeout", "duration", "2s", "Time for CONNECT; a number means seconds"),
  row("authorization.users", "list", "", "Users with name and password, or with an nkey, each with permissions"),
  row("authorization.default_permissions", "block", "", "Permissions of users that have none of their own"),
  row("accounts", "block", "", "Users by account; accounts hear nothing of each other"),
  row("no_auth_user", "string", "", "Clients without credentials are this user"),
  row("tls.verify_and_map", "bool", "false", "The client's certificate says which user it is"),
  row("tls.timeout", "duration", "2s", "Time for the handshake; a number means seconds"),
  row("tls.handshake_first", "bool", "false", "TLS before anything else; `auto` or a duration serves both kinds"),
  row("tls.min_version", "string", "1.2", "1.2 or 1.3"),
  row("tls.pinned_certs", "list", "", "SHA-256 of the public keys that clients may have"),
  row("tls.connection_rate_limit", "int", "0", "Handshakes per second, 0 = no limit"),
  row("allow_non_tls", "bool", "false", "Clients without TLS are served as well"),
  row("websocket.listen", "address", "", "Address and port for clients over WebSocket"),
  row("websocket.port", "int", "", "Its port alone, -1 = a free one"),
  row("websocket.host net", "string", "", "Its address alone; empty = that of the client port"),
  row("websocket.no_tls", "bool", "false", "Without TLS; else `tls {}` is needed inside of the block"),
  row("websocket.advertise", "string", "", "Address told to clients"),
  row("websocket.same_origin", "bool", "false", "Pages of other sites are refused"),
  row(
    "websocket.allowed_origins allowed_origin allow_origins allow_origin origins origin",
    "list",
    "",
    "Sites whose pages may connect",
  ),
  row("websocket.handshake_timeout", "duration", "", "Time for the upgrade; a number means seconds"),
  row("websocket.compression compress", "bool", "false", "Offer compression"),
  row("websocket.authorization authentication", "block", "", "User and password, or token, of this port alone"),
  row("websocket.no_auth_user", "string", "", "Clients of this port without credentials are this user"),
  row("streaming", "block", "", "The streaming half; without it, its keys stand at the top level"),
  row("streaming.discover_prefix", "string", "_STAN.discover", "Subject on which clients find the server"),
  row("streaming.username user", "string", "", "User that the streaming server logs in to NATS as"),
  row("streaming.password pass", "string", "", "Its password"),
  row("streaming.token", "string", "", "Token that the streaming server logs in with"),
  row("streaming.nkey_seed_file", "string", "", "File with the seed that the streaming server logs in with"),
  row("streaming.credentials", "string", "", "File with JWT and seed that the streaming server logs in with"),
  row(
    "streaming.store_limits.channels channels_limits channelslimits per_channel per_channel_limits",
    "block",
    "",
    "Limits by channel: name or pattern, then the keys above except max_channels",
  ),
  row(
    "streaming.file_options.free_space_reserve",
    "size",
    "0",
    "Publishes are refused while the disk has fewer free bytes",
  ),
  row("streaming.console.enabled", "bool", "true", "The console below /console of the monitoring port"),
  row("streaming.console.token", "string", "", "Needed to read messages and the log, and to change anything"),
  row("streaming.console.browse", "bool", "false", "Messages and the log are shown without the token, too"),
]);

/** Other names of keys of the NATS half that have a flag. */
export const NATS_ALIASES: Readonly<Record<string, string>> = Object.freeze({
  host: "net",
  http_port: "monitor_port",
  log_file: "logfile",
  logfile_size_limit: "log_size_limit",
  pid_file: "pidfile",
  "authorization.user": "username",
  "authorization.password": "pass",
});

/** Keys that are read and change nothing, and why. */
export const IDLE_KEYS: readonly (readonly [names: string, why: string])[] = Object.freeze([
  ["prof_port", "there is no profiling port; accepted with a warning"],
  ["server_tags", "only clusters of servers choose by them"],
  ["connect_error_reports reconnect_error_reports", "they count attempts to reach other servers"],
  ["disable_sublist_cache no_sublist_cache", "there is one table of subjects and no cache beside it"],
  ["no_system_account no_system no_sys_acc", "there is no system account"],
]);

/** Keys of the NATS half that are refused unless they ask for nothing, and what to do instead. */
export const REFUSED_KEYS: readonly (readonly [names: string, advice: string])[] = Object.freeze([
  ["cluster", "run one server; routes between servers are not there yet"],
  ["leafnodes leaf", "let clients connect to this server's own port"],
  ["gateway mqtt", "run a nats-server beside it"],
  ["jetstream store_dir storedir default_js_domain", "run a nats-server beside it"],
  ["operator operators root roots root_operator root_operators", "run a nats-server beside it"],
  ["resolver account_resolver accounts_resolver", "run a nats-server beside it"],
  ["resolver_tls resolver_preload resolver_pinned_accounts trusted trusted_keys", "run a nats-server beside it"],
  ["mappings maps", "publish to the final subject"],
  ["system_account system", "leave it out, or name `$SYS`"],
  ["ocsp ocsp_cache", "certificates are not stapled"],
  ["no_header_support", "clients may always use headers"],
]);
