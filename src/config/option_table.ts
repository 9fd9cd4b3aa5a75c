/**
 * The one table of options. Command line, help, config-file keys and manual are made from it, so they cannot disagree.
 * It holds every flag of the reference (operations.md 1.3, 1.4): what is not available yet is refused with advice,
 * never ignored.
 */
import type { Options } from "./option_types.ts";

/** How the value of a flag is read (operations.md 1.1). `stringList` is split at commas. */
export type OptionType = "string" | "int" | "bool" | "size" | "duration" | "stringList";

/** Path of an `Options` field: at most one level down. */
export type OptionField = {
  [K in keyof Options]: Options[K] extends object ? `${K}.${keyof Options[K] & string}` : K;
}[keyof Options];

/** Flags that do more than set one field. */
export type OptionEffect =
  | "help"
  | "helpTls"
  | "version"
  | "signal"
  | "coreDebugTrace"
  | "coreTrace"
  | "streamingDebugTrace"
  | "store"
  | "encryptionKey"
  | "config"
  | "streamingConfig"
  | "checkConfig"
  | "user"
  | "password"
  | "token"
  | "tls"
  | "tlsCert"
  | "tlsKey"
  | "tlsCa"
  | "tlsVerify";

/** Headings of `--help`, in its order (operations.md 1.6). */
export const HELP_GROUPS = Object.freeze(
  [
    "Streaming Server Options",
    "Streaming Server Clustering Options",
    "Streaming Server File Store Options",
    "Streaming Server SQL Store Options",
    "Streaming Server TLS Options",
    "Streaming Server Logging Options",
    "Embedded NATS Server Options",
    "Logging Options",
    "Authorization Options",
    "TLS Options",
    "NATS Clustering Options",
    "Common Options",
  ] as const,
);
export type HelpGroup = (typeof HELP_GROUPS)[number];

/** Kinds of options that are known and refused; the text says what to do instead. */
export const LATER = Object.freeze({
  sqlStore: "only the MEMORY and FILE stores exist so far; leave the flag out",
  clustering: "the server runs standalone so far; leave the flag out",
  faultTolerance: "the server runs standalone so far; leave the flag out",
  externalNats: "only the embedded NATS server is used so far; let clients connect to this server's own port",
  routes: "routes between NATS servers are not there yet; run one server and leave the flag out",
  jetstream: "JetStream is not part of this product; run a nats-server beside it",
});
export type LaterKind = keyof typeof LATER;

/** Kinds of options that are accepted and change nothing, because nobody can feel that they do not; and why. */
export const IDLE = Object.freeze({
  profiling: "there is no profiling port; the monitoring port (-m) shows what the server does",
  ownConnection: "the streaming server reaches its embedded NATS server without a connection",
  windowsEvents: "it names the source of Windows events, and lines go to stderr, a file or a syslog",
});
export type IdleKind = keyof typeof IDLE;

/** One option with all its names. */
export interface OptionRow {
  /** Long name first; all names mean the same. */
  readonly names: readonly string[];
  readonly type: OptionType;
  /** The default as one would type it; empty = none. */
  readonly default: string;
  /** Path in a config file; empty = command line only. Keys of the streaming part begin with `streaming.`. */
  readonly configKey: string;
  readonly group: HelpGroup;
  /** Stands for the value in help. */
  readonly metavar: string;
  /** One line for help and manual. */
  readonly help: string;
  /** Names that help does not show; help omits the row when it shows none (operations.md 1.6). */
  readonly unlisted: readonly string[];
  /** Field that the value goes to. */
  readonly field: OptionField | undefined;
  readonly effect: OptionEffect | undefined;
  readonly status: "available" | LaterKind | IdleKind;
}

interface RowExtra {
  readonly metavar?: string;
  readonly unlisted?: "all" | readonly string[];
  readonly field?: OptionField;
  readonly effect?: OptionEffect;
  readonly later?: LaterKind | IdleKind;
}

const METAVARS: Readonly<Record<OptionType, string>> = Object.freeze({
  string: "<string>",
  int: "<int>",
  bool: "<bool>",
  size: "<size>",
  duration: "<duration>",
  stringList: "<string>",
});

/** Builder of one group's rows: names are given in one text, separated by blanks, as the tables of the manual do. */
function rowsOf(group: HelpGroup, later?: LaterKind | IdleKind) {
  return (
    names: string,
    type: OptionType,
    defaultText: string,
    configKey: string,
    help: string,
    extra: RowExtra = {},
  ): OptionRow => {
    const nameList = Object.freeze(names.split(" "));
    return Object.freeze({
      names: nameList,
      type,
      default: defaultText,
      configKey,
      group,
      metavar: extra.metavar ?? METAVARS[type],
      help,
      unlisted: extra.unlisted === "all" ? nameList : Object.freeze([...(extra.unlisted ?? [])]),
      field: extra.field,
      effect: extra.effect,
      status: extra.later ?? later ?? "available",
    });
  };
}

const streaming = rowsOf("Streaming Server Options");
const clustering = rowsOf("Streaming Server Clustering Options", "clustering");
const fileStore = rowsOf("Streaming Server File Store Options");
const sqlStore = rowsOf("Streaming Server SQL Store Options", "sqlStore");
const streamingTls = rowsOf("Streaming Server TLS Options", "ownConnection");
const streamingLog = rowsOf("Streaming Server Logging Options");
const embedded = rowsOf("Embedded NATS Server Options");
const logging = rowsOf("Logging Options");
const authorization = rowsOf("Authorization Options");
const tls = rowsOf("TLS Options");
const routes = rowsOf("NATS Clustering Options", "routes");
const common = rowsOf("Common Options");

/** Every option, in the order of help. */
export const OPTION_TABLE: readonly OptionRow[] = Object.freeze([
  streaming(
    "cluster_id cid",
    "string",
    "test-cluster",
    "streaming.cluster_id",
    "Cluster ID that clients name when connecting",
    {
      field: "clusterId",
    },
  ),
  streaming("store st", "string", "MEMORY", "streaming.store", "Store type: MEMORY or FILE", { effect: "store" }),
  streaming("dir", "string", "", "streaming.dir", "Root directory of the FILE store", { field: "file.dir" }),
  streaming(
    "max_channels mc",
    "int",
    "100",
    "streaming.store_limits.max_channels",
    "Greatest number of channels, 0 = unlimited",
    {
      field: "limits.maxChannels",
    },
  ),
  streaming(
    "max_subs msu",
    "int",
    "1000",
    "streaming.store_limits.max_subs",
    "Greatest number of subscriptions per channel, 0 = unlimited",
    {
      field: "limits.maxSubscriptions",
    },
  ),
  streaming(
    "max_msgs mm",
    "int",
    "1000000",
    "streaming.store_limits.max_msgs",
    "Messages kept per channel, 0 = unlimited",
    {
      field: "limits.maxMessages",
    },
  ),
  streaming(
    "max_bytes mb",
    "size",
    "1024000000",
    "streaming.store_limits.max_bytes",
    "Bytes of messages kept per channel, 0 = unlimited",
    {
      field: "limits.maxBytes",
    },
  ),
  streaming(
    "max_age ma",
    "duration",
    "0s",
    "streaming.store_limits.max_age",
    "How long a message is kept, 0s = for ever",
    {
      field: "limits.maxAgeMs",
    },
  ),
  streaming(
    "max_inactivity mi",
    "duration",
    "0s",
    "streaming.store_limits.max_inactivity",
    "Delete a channel idle for this long, 0s = never",
    {
      field: "limits.maxInactivityMs",
    },
  ),
  streaming(
    "nats_server ns",
    "string",
    "",
    "streaming.nats_server_url",
    "URL of an external NATS server; empty = embedded",
    {
      later: "externalNats",
    },
  ),
  streaming("stan_config sc", "string", "", "", "Streaming configuration file", { effect: "streamingConfig" }),
  streaming("hb_interval hbi", "duration", "30s", "streaming.hb_interval", "Time between heartbeats to a client", {
    field: "heartbeat.intervalMs",
  }),
  streaming(
    "hb_timeout hbt",
    "duration",
    "10s",
    "streaming.hb_timeout",
    "How long to wait for the answer to a heartbeat",
    {
      field: "heartbeat.timeoutMs",
    },
  ),
  streaming(
    "hb_fail_count hbf",
    "int",
    "10",
    "streaming.hb_fail_count",
    "Close a client after more failed heartbeats in a row than this",
    {
      field: "heartbeat.failCount",
    },
  ),
  streaming(
    "ft_group",
    "string",
    "",
    "streaming.ft_group",
    "Fault-tolerance group of this server; empty = standalone",
    {
      later: "faultTolerance",
    },
  ),
  streaming("encrypt", "bool", "false", "streaming.encrypt", "Encrypt messages in the store", {
    field: "encryption.enabled",
  }),
  streaming(
    "encryption_cipher",
    "string",
    "",
    "streaming.encryption_cipher",
    "Cipher for encryption: AES or CHACHA; empty = AES on x86, else CHACHA",
    {
      field: "encryption.cipher",
    },
  ),
  streaming(
    "encryption_key",
    "string",
    "",
    "streaming.encryption_key",
    "Encryption key, implies --encrypt; better in NATS_STREAMING_ENCRYPTION_KEY",
    {
      effect: "encryptionKey",
    },
  ),
  streaming(
    "replace_durable",
    "bool",
    "false",
    "streaming.replace_durable",
    "A second durable of the same name replaces the first",
    {
      field: "replaceDurable",
    },
  ),
  streaming("io_batch_size", "int", "1024", "", "Messages gathered before the store is flushed", {
    field: "ioBatchSize",
    unlisted: "all",
  }),
  streaming("io_sleep_time", "int", "0", "", "Microseconds to wait for more messages before the store is flushed", {
    field: "ioSleepTimeUs",
    unlisted: "all",
  }),

  clustering("clustered", "bool", "false", "streaming.cluster", "Run as a node of a cluster"),
  clustering("cluster_node_id", "string", "", "streaming.cluster.node_id", "ID of this node; empty = random"),
  clustering("cluster_bootstrap", "bool", "false", "streaming.cluster.bootstrap", "This node starts a new cluster"),
  clustering(
    "cluster_peers",
    "stringList",
    "",
    "streaming.cluster.peers",
    "IDs of the other nodes, separated by commas",
  ),
  clustering("cluster_log_path", "string", "", "streaming.cluster.log_path", "Directory of the replicated log"),
  clustering("cluster_log_cache_size", "int", "512", "streaming.cluster.log_cache_size", "Log entries kept in memory"),
  clustering("cluster_log_snapshots", "int", "2", "streaming.cluster.log_snapshots", "Snapshots kept"),
  clustering(
    "cluster_trailing_logs",
    "int",
    "10240",
    "streaming.cluster.trailing_logs",
    "Log entries kept after a snapshot",
  ),
  clustering("cluster_sync", "bool", "false", "streaming.cluster.sync", "Sync log and store to disk before answering"),
  clustering(
    "cluster_raft_logging",
    "bool",
    "false",
    "streaming.cluster.raft_logging",
    "Log what the replication does",
  ),
  clustering(
    "cluster_allow_add_remove_node",
    "bool",
    "false",
    "streaming.cluster.allow_add_remove_node",
    "Nodes may be added and removed while running",
  ),
  clustering(
    "cluster_proceed_on_restore_failure",
    "bool",
    "false",
    "streaming.cluster.proceed_on_restore_failure",
    "Start although a snapshot could not be restored",
    { unlisted: "all" },
  ),

  fileStore(
    "file_compact_enabled",
    "bool",
    "true",
    "streaming.file_options.compact",
    "Compact the files of clients and subscriptions",
    { field: "file.compactEnabled" },
  ),
  fileStore(
    "file_compact_frag",
    "int",
    "50",
    "streaming.file_options.compact_fragmentation",
    "Percent of dead records that start a compaction",
    { field: "file.compactFragmentation" },
  ),
  fileStore(
    "file_compact_interval",
    "int",
    "300",
    "streaming.file_options.compact_interval",
    "Least number of seconds between compactions",
    { field: "file.compactIntervalSecs" },
  ),
  fileStore(
    "file_compact_min_size",
    "size",
    "1048576",
    "streaming.file_options.compact_min_size",
    "Smaller files are not compacted",
    { field: "file.compactMinBytes" },
  ),
  fileStore("file_buffer_size", "size", "2097152", "streaming.file_options.buffer_size", "Write buffer of a file", {
    field: "file.bufferBytes",
  }),
  fileStore(
    "file_read_buffer_size",
    "size",
    "2097152",
    "streaming.file_options.read_buffer_size",
    "Read-ahead buffer of a file, 0 = none",
    { field: "file.readBufferBytes" },
  ),
  fileStore("file_crc", "bool", "true", "streaming.file_options.crc", "Check records when reading", {
    field: "file.crc",
  }),
  fileStore(
    "file_crc_poly",
    "int",
    "3988292384",
    "streaming.file_options.crc_poly",
    "Polynomial of the record checksum",
    { field: "file.crcPolynomial" },
  ),
  fileStore(
    "file_sync",
    "bool",
    "true",
    "streaming.file_options.sync_on_flush",
    "Sync to disk before a message is acknowledged",
    { field: "file.sync" },
  ),
  fileStore(
    "file_slice_max_msgs",
    "int",
    "0",
    "streaming.file_options.slice_max_msgs",
    "Messages per file slice, 0 = by other limits",
    { field: "file.sliceMaxMessages" },
  ),
  fileStore(
    "file_slice_max_bytes",
    "size",
    "67108864",
    "streaming.file_options.slice_max_bytes",
    "Bytes per file slice, 0 = by other limits",
    { field: "file.sliceMaxBytes" },
  ),
  fileStore(
    "file_slice_max_age",
    "duration",
    "0s",
    "streaming.file_options.slice_max_age",
    "Time covered by a file slice, 0s = by other limits",
    { field: "file.sliceMaxAgeMs" },
  ),
  fileStore(
    "file_slice_archive_script",
    "string",
    "",
    "streaming.file_options.slice_archive_script",
    "Program run for every slice that is removed",
    { field: "file.sliceArchiveScript" },
  ),
  fileStore(
    "file_fds_limit",
    "int",
    "0",
    "streaming.file_options.file_descriptors_limit",
    "Files held open at a time (a wish), 0 = no limit",
    { field: "file.descriptorsMax" },
  ),
  fileStore(
    "file_parallel_recovery",
    "int",
    "1",
    "streaming.file_options.parallel_recovery",
    "Channels read from the disk at a time at a start",
    { field: "file.parallelRecovery" },
  ),
  fileStore("file_truncate_bad_eof", "bool", "false", "", "Cut damaged records off the end of files, once", {
    field: "file.truncateBadEnd",
  }),
  fileStore(
    "file_auto_sync",
    "duration",
    "1m",
    "streaming.file_options.auto_sync",
    "Time between syncs of everything, 0s = off",
    { field: "file.autoSyncMs" },
  ),

  sqlStore("sql_driver", "string", "", "streaming.sql_options.driver", "Database: mysql or postgres"),
  sqlStore("sql_source", "string", "", "streaming.sql_options.source", "Where and how to connect to the database"),
  sqlStore(
    "sql_no_caching",
    "bool",
    "false",
    "streaming.sql_options.no_caching",
    "Write every acknowledgement at once",
  ),
  sqlStore(
    "sql_max_open_conns",
    "int",
    "0",
    "streaming.sql_options.max_open_conns",
    "Connections to the database, 0 = no limit",
  ),
  sqlStore(
    "sql_bulk_insert_limit",
    "int",
    "0",
    "streaming.sql_options.bulk_insert_limit",
    "Messages per insert statement, 0 = one",
  ),

  streamingTls(
    "secure",
    "bool",
    "false",
    "streaming.secure",
    "Connect to NATS with TLS, verified by the system's authorities",
  ),
  streamingTls(
    "tls_client_cert",
    "string",
    "",
    "streaming.tls.client_cert",
    "Client certificate towards NATS, a PEM file",
  ),
  streamingTls("tls_client_key", "string", "", "streaming.tls.client_key", "Key of the client certificate, a PEM file"),
  streamingTls(
    "tls_client_cacert",
    "string",
    "",
    "streaming.tls.client_ca",
    "Authorities that sign the NATS server's certificate, a PEM file",
  ),

  streamingLog("stan_debug SD", "bool", "false", "streaming.sd", "Debug lines of the streaming server", {
    field: "log.streamingDebug",
  }),
  streamingLog("stan_trace SV", "bool", "false", "streaming.sv", "Trace lines of the streaming server", {
    field: "log.streamingTrace",
  }),
  streamingLog("SDV", "bool", "false", "", "Debug and trace lines of the streaming server", {
    effect: "streamingDebugTrace",
  }),
  streamingLog("syslog_name", "string", "", "streaming.syslog_name", "Event source name on Windows", {
    later: "windowsEvents",
  }),

  embedded("addr a net", "string", "0.0.0.0", "host", "Address to listen on for clients and monitoring", {
    field: "host",
    unlisted: ["net"],
  }),
  embedded("port p", "int", "4222", "port", "Port for clients, -1 = a free one", { field: "port" }),
  embedded("http_port m", "int", "0", "http_port", "Port for monitoring over HTTP, -1 = a free one, 0 = off", {
    field: "httpPort",
  }),
  embedded("https_port ms", "int", "0", "https_port", "Port for monitoring over HTTPS, -1 = a free one, 0 = off", {
    field: "httpsPort",
  }),
  embedded("config c", "string", "", "", "NATS configuration file", { effect: "config" }),
  embedded("pid P", "string", "", "pid_file", "File to write the process ID to", { field: "pidFile" }),
  embedded("signal sl", "string", "", "", "Send a signal to a running server: stop, quit, reopen, reload", {
    metavar: "<signal>[=<pid>]",
    effect: "signal",
  }),
  embedded("name n server_name", "string", "", "server_name", "Name of the NATS server; empty = its ID", {
    field: "nats.serverName",
    unlisted: "all",
  }),
  embedded("client_advertise", "string", "", "client_advertise", "Address told to clients instead of the own one", {
    field: "nats.clientAdvertise",
    unlisted: "all",
  }),
  embedded("ports_file_dir", "string", "", "ports_file_dir", "Directory for a file that lists the ports in use", {
    field: "portsFileDir",
    unlisted: "all",
  }),
  embedded("profile", "int", "0", "prof_port", "Port for profiling", { later: "profiling", unlisted: "all" }),
  embedded("jetstream js", "bool", "false", "jetstream", "JetStream of the NATS server", {
    later: "jetstream",
    unlisted: "all",
  }),
  embedded("store_dir sd", "string", "", "store_dir", "Directory of JetStream", {
    later: "jetstream",
    unlisted: "all",
  }),
  embedded("t", "bool", "false", "", "Check the configuration file and exit", {
    effect: "checkConfig",
    unlisted: "all",
  }),

  logging("log l", "string", "", "log_file", "File for log lines; empty = stderr", { field: "log.file" }),
  logging("logtime T", "bool", "true", "logtime", "Log lines carry date and time", { field: "log.time" }),
  logging("logtime_utc", "bool", "false", "logtime_utc", "Log times are UTC", { field: "log.utc", unlisted: "all" }),
  logging("log_size_limit", "int", "0", "logfile_size_limit", "Bytes after which the log file is rotated, 0 = never", {
    field: "log.sizeLimitBytes",
    unlisted: "all",
  }),
  logging("syslog s", "bool", "false", "syslog", "Log to the syslog of this machine", { field: "log.syslog" }),
  logging("remote_syslog r", "string", "", "remote_syslog", "Log to udp://h:p, tcp://h:p or unix:///path", {
    field: "log.remoteSyslog",
  }),
  logging("debug D", "bool", "false", "debug", "Debug lines of the NATS server", { field: "log.debug" }),
  logging("trace V", "bool", "false", "trace", "Trace lines of the NATS server", { field: "log.trace" }),
  logging("DV", "bool", "false", "", "Debug and trace lines of the NATS server", { effect: "coreDebugTrace" }),
  logging("VV", "bool", "false", "trace_verbose", "Trace lines, as -V: there is no system account to show", {
    effect: "coreTrace",
    unlisted: "all",
  }),
  logging("DVV", "bool", "false", "", "Debug and trace lines, as -DV", { effect: "coreDebugTrace", unlisted: "all" }),
  logging("max_traced_msg_len", "int", "0", "max_traced_msg_len", "Bytes of a message shown in trace lines, 0 = all", {
    field: "log.maxTracedMessageBytes",
    unlisted: "all",
  }),

  authorization("user", "string", "", "authorization.user", "User that clients must give", { effect: "user" }),
  authorization("pass", "string", "", "authorization.password", "Password that clients must give", {
    effect: "password",
  }),
  authorization("auth", "string", "", "authorization.token", "Token that clients must give", { effect: "token" }),

  tls("tls", "bool", "false", "tls", "Clients must use TLS", { effect: "tls" }),
  tls("tlscert", "string", "", "tls.cert_file", "Server certificate, a PEM file", { effect: "tlsCert" }),
  tls("tlskey", "string", "", "tls.key_file", "Key of the server certificate, a PEM file", { effect: "tlsKey" }),
  tls("tlscacert", "string", "", "tls.ca_file", "Authorities that sign client certificates, a PEM file", {
    effect: "tlsCa",
  }),
  tls("tlsverify", "bool", "false", "tls.verify", "Clients must show a certificate", { effect: "tlsVerify" }),

  routes("routes", "stringList", "", "cluster.routes", "NATS servers to connect to, separated by commas"),
  routes("cluster cluster_listen", "string", "", "cluster.listen", "URL to listen on for other NATS servers", {
    unlisted: ["cluster_listen"],
  }),
  routes("cluster_advertise", "string", "", "cluster.cluster_advertise", "Address told to other NATS servers", {
    unlisted: "all",
  }),
  routes("no_advertise", "bool", "false", "cluster.no_advertise", "Clients are not told about other NATS servers", {
    unlisted: "all",
  }),
  routes(
    "connect_retries",
    "int",
    "0",
    "cluster.connect_retries",
    "Attempts to connect a route that is not configured by both",
    {
      unlisted: "all",
    },
  ),
  routes("cluster_name", "string", "", "cluster.name", "Name of the NATS cluster", { unlisted: "all" }),

  common("help h", "bool", "false", "", "Show this text", { effect: "help" }),
  common("version v", "bool", "false", "", "Show the version", { effect: "version" }),
  common("help_tls", "bool", "false", "", "Show help on TLS", { effect: "helpTls" }),
]);

/** True for what is accepted and changes nothing. */
export function isIdle(status: OptionRow["status"]): status is IdleKind {
  return status in IDLE;
}

/** True for what is known and refused. */
export function isLater(status: OptionRow["status"]): status is LaterKind {
  return status in LATER;
}

/** True for rows that the core server alone (started as `nats-server`) knows. */
export function isCoreOption(row: OptionRow): boolean {
  return !row.group.startsWith("Streaming Server");
}

/** The rows of this program; see `Options.coreOnly`. */
export function optionsFor(coreOnly: boolean): readonly OptionRow[] {
  return coreOnly ? OPTION_TABLE.filter(isCoreOption) : OPTION_TABLE;
}

/** The row of a flag name, which is case-sensitive. */
export function findOption(rows: readonly OptionRow[], name: string): OptionRow | undefined {
  return rows.find((row) => row.names.includes(name));
}
