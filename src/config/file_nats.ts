/**
 * The half of a configuration file that the embedded NATS server reads: keys at the top level and their blocks
 * (operations.md 2.5, 2.6). All errors are collected; options that this version does not have are refused one by one.
 */
import { formatDuration } from "../base/duration.ts";
import { quote } from "../base/quote.ts";
import { draftAuth, finishAuth, readAccounts, readAuthorization, readSimpleAuth } from "./file_auth.ts";
import { readTls } from "./file_tls.ts";
import {
  asBoolean,
  asInteger,
  asListen,
  asMap,
  asString,
  asStrings,
  type BlockReaders,
  durationMs,
  FileReport,
  type KeyReader,
  notAvailable,
  readBlock,
  readersByName,
  refuseValue,
  secondsMs,
} from "./file_values.ts";
import { ConfigError } from "./language/errors.ts";
import type { ConfigSources } from "./language/parser.ts";
import { type ConfigMap, type ConfigValue, goTypeName } from "./language/values.ts";
import { IDLE, LATER, type OptionField } from "./option_table.ts";
import { draftOptions, type OptionsDraft, type TlsOptions, type WebSocketOptions } from "./option_types.ts";
import { setField } from "./set_field.ts";

const INT32_MAX = 2 ** 31 - 1;
const SUBSCRIPTION_TOKENS_MAX = 255;
const LAME_DUCK_MIN_MS = 30_000;

/** Parts of a nats-server that this product will not have (decisions.md 9). */
const NOT_PART = "it is not part of this product; run a nats-server beside it and use -ns";

/** Keys of `cluster {}`: checked although the block is refused, because `node_id` in it is a common mistake. */
const ROUTE_KEYS = "name listen port host net authorization routes tls cluster_advertise advertise no_advertise " +
  "connect_retries permissions";

/** Everything a reader needs. */
interface Reading {
  readonly draft: OptionsDraft;
  readonly report: FileReport;
  readonly sources: ConfigSources;
}

/** Top-level blocks and keys that belong together, and the other half's block. */
const JOINED_KEYS = "accounts authorization no_auth_user tls allow_non_tls websocket ws streaming";

/** All names of the top level, in small letters. */
export function natsNames(): ReadonlySet<string> {
  // The readers are made for their names only.
  const nothing: Reading = {
    draft: draftOptions(""),
    report: new FileReport(),
    sources: { readFile: () => ({ ok: false, reason: "" }), env: () => undefined },
  };
  const readers = readersByName({ ...plainReaders(nothing), ...refusedReaders(nothing) });
  return new Set([...readers.keys(), ...JOINED_KEYS.split(" ")]);
}

/** What the authorization blocks of a file amount to, beyond the options. */
export interface NatsHalf {
  /** Users stand in a list: user and password of the command line are then no user of the server (operations.md 7.1). */
  readonly hasUserList: boolean;
  readonly hasAuthTimeout: boolean;
}

/** Reads the top level of a file. `streamingNames` are the other names that may stand there. */
export function readNatsHalf(root: ConfigMap, reading: Reading, streamingNames: ReadonlySet<string>): NatsHalf {
  const { draft, report, sources } = reading;
  const auth = draftAuth();
  const tls: { options: TlsOptions | undefined; allowNonTls: boolean } = { options: undefined, allowNonTls: false };
  let noAuthUser = "";

  // Whatever the order in the file: the authorization block may not name a user of an account again.
  for (const { key, value } of root.entries.values()) {
    if (key.toLowerCase() === "accounts") report.attempt(() => readAccounts(report, value, auth));
  }
  readBlock(report, root, {
    ...plainReaders(reading),
    ...refusedReaders(reading),
    accounts: () => {},
    authorization: (value) => readAuthorization(report, value, auth),
    no_auth_user: (value) => noAuthUser = asString(value),
    tls: (value) => tls.options = readTls(report, value, sources),
    allow_non_tls: (value) => tls.allowNonTls = asBoolean(value),
    "websocket ws": (value) => draft.websocket = readWebSocket(value, reading),
    streaming: () => {},
  }, (value, key) => {
    if (streamingNames.has(key.toLowerCase())) return;
    report.noteUnknown(value.at, key, "at the top level", [...natsNames(), ...streamingNames]);
  });

  if (tls.options !== undefined) draft.tls = { ...tls.options, allowNonTls: tls.allowNonTls };
  draft.auth = finishAuth(auth, noAuthUser, draft.auth.timeoutMs);
  return {
    hasUserList: auth.users.length + auth.nkeys.length > 0,
    hasAuthTimeout: auth.timeoutMs !== undefined,
  };
}

/** Options that are one value. */
function plainReaders({ draft, report }: Reading): BlockReaders {
  const set = (field: OptionField, value: ConfigValue, content: string | number | boolean): void => {
    setField(draft, field, content);
    report.setAt.set(field, value.at);
  };
  const text = (field: OptionField): KeyReader => (value) => set(field, value, asString(value));
  const flag = (field: OptionField): KeyReader => (value) => set(field, value, asBoolean(value));
  const integer = (field: OptionField): KeyReader => (value) => set(field, value, asInteger(value));
  const int32 = (field: OptionField): KeyReader => (value, key) => {
    if (asInteger(value) > INT32_MAX) refuseValue(value, `${key} value is too big`);
    set(field, value, asInteger(value));
  };
  const duration = (field: OptionField): KeyReader => (value, key) => {
    const name = key.toLowerCase();
    if (value.kind === "string") return set(field, value, durationMs(value, value.value, `error parsing ${name}: `));
    set(field, value, asInteger(value) * 1000);
    report.warn(value.at, `invalid use of field "${name}": ${name} should be converted to a duration`);
  };
  const address = (host: OptionField, port: OptionField): KeyReader => (value) => {
    const listen = asListen(value);
    set(host, value, listen.host);
    set(port, value, listen.port);
  };
  return {
    listen: address("host", "port"),
    "host net": text("host"),
    port: integer("port"),
    server_name: text("nats.serverName"),
    client_advertise: text("nats.clientAdvertise"),
    http: address("httpHost", "httpPort"),
    "http_port monitor_port": integer("httpPort"),
    https: address("httpHost", "httpsPort"),
    https_port: integer("httpsPort"),
    http_base_path: text("httpBasePath"),
    debug: flag("log.debug"),
    trace: flag("log.trace"),
    trace_verbose: flag("log.trace"),
    logtime: flag("log.time"),
    logtime_utc: flag("log.utc"),
    syslog: flag("log.syslog"),
    remote_syslog: text("log.remoteSyslog"),
    "log_file logfile": text("log.file"),
    "logfile_size_limit log_size_limit": integer("log.sizeLimitBytes"),
    max_traced_msg_len: integer("log.maxTracedMessageBytes"),
    "pid_file pidfile": text("pidFile"),
    ports_file_dir: text("portsFileDir"),
    "max_connections max_conn": integer("nats.maxConnections"),
    "max_subscriptions max_subs": integer("nats.maxSubscriptions"),
    max_payload: int32("nats.maxPayload"),
    max_pending: integer("nats.maxPendingBytes"),
    max_control_line: int32("nats.maxControlLine"),
    "max_sub_tokens max_subscription_tokens": (value, key) => {
      const count = asInteger(value);
      if (count > SUBSCRIPTION_TOKENS_MAX) refuseValue(value, `${key} value is too big`);
      if (count <= 0) refuseValue(value, `${key} value can not be negative`);
      set("nats.maxSubscriptionTokens", value, count);
    },
    ping_interval: duration("nats.pingIntervalMs"),
    ping_max: integer("nats.pingMax"),
    write_deadline: duration("nats.writeDeadlineMs"),
    lame_duck_duration: (value) => {
      const ms = durationMs(value, asString(value), "error parsing lame_duck_duration: ");
      if (ms < LAME_DUCK_MIN_MS) {
        refuseValue(value, `invalid lame_duck_duration of ${formatDuration(ms)}, minimum is 30 seconds`);
      }
      set("nats.lameDuckDurationMs", value, ms);
    },
    lame_duck_grace_period: (value) => {
      const ms = durationMs(value, asString(value), "error parsing lame_duck_grace_period: ");
      if (ms < 0) refuseValue(value, "invalid lame_duck_grace_period, needs to be positive");
      set("nats.lameDuckGraceMs", value, ms);
    },
  };
}

/**
 * Options that this version does not have. A value that asks for what is the case anyway is accepted; what cannot
 * matter to clients is noted in the log; everything else is refused.
 */
function refusedReaders({ report }: Reading): BlockReaders {
  const refuse = (advice: string): KeyReader => (value, key) => notAvailable(value, key, advice);
  const unlessFalse = (advice: string): KeyReader => (value, key) => {
    if (asBoolean(value)) notAvailable(value, key, advice);
  };
  const noted = (check: (value: ConfigValue) => void): KeyReader => (value, key) => {
    check(value);
    report.note("info", value.at, `${quote(key)} has no effect in this version of stanchion`);
  };
  return {
    prof_port: (value, key) => {
      if (asInteger(value) !== 0) report.note("warning", value.at, `${quote(key)} has no effect: ${IDLE.profiling}`);
    },
    "connect_error_reports reconnect_error_reports": (value) => void asInteger(value),
    "disable_sublist_cache no_sublist_cache": (value) => void asBoolean(value),
    no_header_support: unlessFalse("clients may always use headers"),
    "system_account system": (value, key) => {
      if (value.kind !== "string") refuseValue(value, "system account name must be a string");
      if (asString(value) !== "$SYS") notAvailable(value, key, "there is no system account; leave it out");
    },
    "no_system_account no_system no_sys_acc": (value) => void asBoolean(value),
    server_tags: noted((value) => asStrings(value, "tags")),
    "ocsp ocsp_cache": (value, key) => {
      const isOff = value.kind === "boolean" ? !value.value : value.kind === "map" && value.entries.size === 0;
      if (!isOff) notAvailable(value, key, "certificates are not stapled; leave it out");
    },
    "mappings maps": refuse("subjects are not mapped; publish to the final subject"),
    cluster: (value, key) => {
      if (value.kind !== "map") {
        const reason = `Expected map to define cluster, got ${goTypeName(value)}`;
        throw new ConfigError("CONFIG_TYPE", reason, value.at);
      }
      const errorCount = report.errors.length;
      readBlock(report, value, { [ROUTE_KEYS]: () => {} });
      // An empty block asks for nothing.
      if (report.errors.length === errorCount && value.entries.size > 0) notAvailable(value, key, LATER.routes);
    },
    "leafnodes leaf": refuse("leaf nodes are not there yet; let clients connect to this server's own port"),
    "gateway mqtt": refuse(NOT_PART),
    "store_dir storedir default_js_domain": refuse(LATER.jetstream),
    jetstream: (value, key) => {
      const word = value.kind === "string" ? value.value.toLowerCase() : "";
      const isOff = value.kind === "boolean" ? !value.value : word === "disabled" || word === "disable";
      if (!isOff) notAvailable(value, key, LATER.jetstream);
    },
    "operator operators root roots root_operator root_operators": refuse(NOT_PART),
    "resolver account_resolver accounts_resolver": refuse(NOT_PART),
    "resolver_tls resolver_preload resolver_pinned_accounts trusted trusted_keys": refuse(NOT_PART),
  };
}

function readWebSocket(value: ConfigValue, { report, sources }: Reading): WebSocketOptions {
  if (value.kind !== "map") {
    throw new ConfigError("CONFIG_TYPE", `Expected websocket to be a map, got ${goTypeName(value)}`, value.at);
  }
  const options: { -readonly [K in keyof WebSocketOptions]: WebSocketOptions[K] } = {
    host: "",
    port: 0,
    advertise: "",
    noTls: false,
    tls: undefined,
    sameOrigin: false,
    allowedOrigins: [],
    handshakeTimeoutMs: 0,
    compression: false,
    user: "",
    password: "",
    token: "",
    authTimeoutMs: 0,
    jwtCookie: "",
    noAuthUser: "",
  };
  readBlock(report, asMap(value), {
    listen: (entry) => {
      const listen = asListen(entry);
      options.host = listen.host;
      options.port = listen.port;
    },
    port: (entry) => options.port = asInteger(entry),
    "host net": (entry) => options.host = asString(entry),
    advertise: (entry) => options.advertise = asString(entry),
    no_tls: (entry) => options.noTls = asBoolean(entry),
    tls: (entry) => options.tls = readTls(report, entry, sources),
    same_origin: (entry) => options.sameOrigin = asBoolean(entry),
    "allowed_origins allowed_origin allow_origins allow_origin origins origin": (entry) => {
      options.allowedOrigins = asStrings(entry, "allowed origins");
    },
    handshake_timeout: (entry) => {
      if (entry.kind !== "integer" && entry.kind !== "string") {
        refuseValue(entry, `error parsing handshake timeout: unsupported type ${goTypeName(entry)}`);
      }
      options.handshakeTimeoutMs = secondsMs(entry, "");
    },
    "compress compression": (entry) => options.compression = asBoolean(entry),
    "authorization authentication": (entry) => {
      const auth = readSimpleAuth(report, entry);
      options.user = auth.user;
      options.password = auth.password;
      options.token = auth.token;
      options.authTimeoutMs = auth.timeoutMs;
    },
    jwt_cookie: (entry) => options.jwtCookie = asString(entry),
    no_auth_user: (entry) => options.noAuthUser = asString(entry),
  });
  return options;
}
