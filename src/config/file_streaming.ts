/**
 * The half of a configuration file that the streaming server reads: `streaming {}`, or the whole file when it has no
 * such block (operations.md 2.1, 2.4). Keys that have a flag come from the option table, so that an option becomes
 * available in both at once. The first error ends the reading, as in the reference.
 */
import { parseDuration } from "../base/duration.ts";
import { quote } from "../base/quote.ts";
import { int64ToNumber, parseSize } from "../base/size.ts";
import { type FileReport, type KeyReader, notAvailable } from "./file_values.ts";
import { ConfigError } from "./language/errors.ts";
import { type ConfigMap, type ConfigValue, describeValue, goKindName } from "./language/values.ts";
import { isChannelName } from "./limits.ts";
import {
  IDLE,
  type IdleKind,
  isIdle,
  LATER,
  type LaterKind,
  OPTION_TABLE,
  type OptionRow,
  type OptionType,
} from "./option_table.ts";
import type { ChannelLimitsEntry, OptionsDraft } from "./option_types.ts";
import { setField } from "./set_field.ts";

/** Other names of keys, by block and key. */
export const STREAMING_ALIASES: Readonly<Record<string, string>> = Object.freeze({
  "cluster_id": "id cid",
  "store": "st store_type storetype",
  "dir": "datastore",
  "sd": "stan_debug",
  "sv": "stan_trace",
  "nats_server_url": "ns nats_server",
  "hb_interval": "hbi server_to_client_hb_interval",
  "hb_timeout": "hbt server_to_client_hb_timeout",
  "hb_fail_count": "hbf server_to_client_hb_fail_count",
  "ft_group": "ft_group_name",
  "replace_durable": "replace_durables replace_duplicate_durable replace_duplicate_durables",
  "tls.client_ca": "client_cacert",
  "store_limits.max_channels": "mc maxchannels",
  "store_limits.max_subs": "msu max_subscriptions maxsubscriptions",
  "store_limits.max_msgs": "mm maxmsgs max_count maxcount",
  "store_limits.max_bytes": "mb maxbytes",
  "store_limits.max_age": "ma maxage",
  "store_limits.max_inactivity": "mi maxinactivity",
  "file_options.compact": "compact_enabled",
  "file_options.compact_fragmentation": "compact_frag",
  "file_options.crc": "do_crc",
  "file_options.sync_on_flush": "sync do_sync",
  "file_options.slice_max_msgs": "slice_max_count slice_msgs slice_count",
  "file_options.slice_max_bytes": "slice_max_size slice_bytes slice_size",
  "file_options.slice_max_age": "slice_age slice_max_time slice_time_limit",
  "file_options.slice_archive_script": "slice_archive slice_script",
  "file_options.file_descriptors_limit": "fds_limit",
  "file_options.read_buffer_size": "file_read_buffer_size",
  "file_options.auto_sync": "file_auto_sync",
  "sql_options.max_open_conns": "max_conns",
});

/** Blocks with all their names and what the reference calls them. */
const BLOCKS = Object.freeze({
  tls: { names: "tls", noun: "TLS" },
  store_limits: { names: "store_limits limits storelimits", noun: "store limits" },
  file_options: { names: "file_options file", noun: "file options" },
  sql_options: { names: "sql_options sql", noun: "SQL options" },
  cluster: { names: "cluster", noun: "cluster" },
  console: { names: "console", noun: "console" },
});
type BlockName = keyof typeof BLOCKS;

/** Keys without a flag that this version does not have, with their types, by block. */
const LATER_KEYS: readonly (readonly [string, OptionType, LaterKind | IdleKind])[] = Object.freeze([
  ["tls.server_name", "string", "ownConnection"],
  ["tls.server_hostname", "string", "ownConnection"],
  ["tls.insecure", "bool", "ownConnection"],
  ["tls.skip_verify", "bool", "ownConnection"],
  ["cluster.bolt_free_list_sync", "bool", "clustering"],
  ["cluster.bolt_free_list_map", "bool", "clustering"],
  ["cluster.nodes_connections", "bool", "clustering"],
  ["cluster.raft_heartbeat_timeout", "duration", "clustering"],
  ["cluster.raft_election_timeout", "duration", "clustering"],
  ["cluster.raft_lease_timeout", "duration", "clustering"],
  ["cluster.raft_commit_timeout", "duration", "clustering"],
]);

/** Options whose absence nobody can feel, and why: noted instead of refused. */
const HARMLESS: Partial<Record<LaterKind, string>> = Object.freeze({
  sqlStore: "the store in use has no use for it",
});

const CONSOLE_KEYS = Object.freeze([["token", "string"], ["enabled", "bool"], ["browse", "bool"]] as const);

const PER_CHANNEL_NAMES = "channels channels_limits channelslimits per_channel per_channel_limits".split(" ");

/** Keys of `store_limits` that a channel may have too, with the field of its entry. */
const CHANNEL_FIELDS: Readonly<Record<string, Exclude<keyof ChannelLimitsEntry, "pattern">>> = Object.freeze({
  max_subs: "maxSubscriptions",
  max_msgs: "maxMessages",
  max_bytes: "maxBytes",
  max_age: "maxAgeMs",
  max_inactivity: "maxInactivityMs",
});

type Content = string | number | boolean | readonly string[];

/** What the streaming half says beyond fields of the options. */
export interface StreamingHalf {
  /** The store asked for, in capitals; undefined = not given. */
  readonly store: { readonly type: string; readonly value: ConfigValue } | undefined;
  /** The encryption key; undefined = not given. */
  readonly encryptionKey: ConfigValue & { readonly kind: "string" } | undefined;
}

/** The map that the streaming half is, and whether it is a block of its own. */
export function streamingMap(root: ConfigMap): { readonly map: ConfigMap; readonly isBlock: boolean } {
  let found: ConfigValue | undefined;
  for (const { key, value } of root.entries.values()) if (key.toLowerCase() === "streaming") found = value;
  if (found === undefined) return { map: root, isBlock: false };
  return { map: asBlock(found, "streaming section"), isBlock: true };
}

/** Names at the top of the streaming half, in small letters. */
export function streamingNames(): ReadonlySet<string> {
  const names = Object.values(BLOCKS).flatMap((block) => block.names.split(" "));
  return new Set([...names, ...topReaders(undefined).keys()]);
}

/**
 * Reads the half. Throws the first error. `natsNames` are the names of the other half when it reads the same file;
 * empty for a file of our own.
 */
export function readStreamingHalf(
  root: ConfigMap,
  draft: OptionsDraft,
  report: FileReport,
  natsNames: ReadonlySet<string>,
): StreamingHalf {
  const { map, isBlock } = streamingMap(root);
  const reading: Reading = { draft, report, store: undefined, encryptionKey: undefined };
  const readers = new Map(topReaders(reading));
  for (const name of Object.keys(BLOCKS) as BlockName[]) {
    for (const alias of BLOCKS[name].names.split(" ")) {
      // Without a block of its own the half shares `tls` and `cluster` with the NATS half, whose keys are not unknown.
      const isShared = !isBlock && natsNames.has(alias);
      readers.set(alias, (value) => readBlockOf(name, value, reading, isShared));
    }
  }
  readKeys(map, readers, (value, key) => {
    // In a file of both halves the other one has told it.
    if (!isBlock && natsNames.size > 0) return;
    report.noteUnknown(value.at, key, isBlock ? "in streaming {}" : "at the top level", readers.keys());
  });
  return { store: reading.store, encryptionKey: reading.encryptionKey };
}

interface Reading {
  readonly draft: OptionsDraft;
  readonly report: FileReport;
  store: StreamingHalf["store"];
  encryptionKey: StreamingHalf["encryptionKey"];
}

function readKeys(map: ConfigMap, readers: ReadonlyMap<string, KeyReader>, unknown: KeyReader): void {
  for (const { key, value, isVariable } of map.entries.values()) {
    const reader = readers.get(key.toLowerCase()) ?? (isVariable ? undefined : unknown);
    reader?.(value, key);
  }
}

/** Readers of the keys of one block, from the option table; an empty block name is the top of the half. */
function tableReaders(block: string, reading: Reading | undefined): Map<string, KeyReader> {
  const prefix = block === "" ? "streaming." : `streaming.${block}.`;
  const readers = new Map<string, KeyReader>();
  for (const row of OPTION_TABLE) {
    const key = row.configKey.startsWith(prefix) ? row.configKey.slice(prefix.length) : "";
    // "streaming.cluster" is the presence of a block, not a key.
    if (key === "" || key.includes(".") || row.configKey === "streaming.cluster") continue;
    const path = block === "" ? key : `${block}.${key}`;
    const names = [key, ...(STREAMING_ALIASES[path] ?? "").split(" ").filter((name) => name !== "")];
    for (const name of names) {
      readers.set(name, (value, typed) => {
        if (reading !== undefined) readRow(row, value, block === "sql_options" ? typed.toLowerCase() : typed, reading);
      });
    }
  }
  for (const [path, type, later] of LATER_KEYS) {
    if (block === "" || !path.startsWith(`${block}.`)) continue;
    readers.set(path.slice(block.length + 1), (value, typed) => {
      const content = asContent(type, value, typed);
      if (reading !== undefined && content !== false && content !== "") notThere(later, value, typed, reading.report);
    });
  }
  return readers;
}

/** Readers of the keys beside the blocks. Without a reading only their names are of use. */
function topReaders(reading: Reading | undefined): Map<string, KeyReader> {
  const readers = tableReaders("", reading);
  const text = (names: string, take: (draft: OptionsDraft, content: string) => void): void => {
    for (const name of names.split(" ")) {
      readers.set(name, (value, key) => {
        if (reading !== undefined) take(reading.draft, String(asContent("string", value, key)));
      });
    }
  };
  text("discover_prefix", (draft, content) => draft.discoverPrefix = content);
  text("username user", (draft, content) => draft.login.user = content);
  text("password pass", (draft, content) => draft.login.password = content);
  text("token", (draft, content) => draft.login.token = content);
  text("nkey_seed_file", (draft, content) => draft.login.nkeySeedFile = content);
  text("credentials", (draft, content) => draft.login.credentialsFile = content);
  readers.set("partitioning", (value, key) => {
    if (asContent("bool", value, key) === true) {
      notAvailable(value, key, "the server serves all channels so far; leave it out");
    }
  });
  return readers;
}

function asBlock(value: ConfigValue, noun: string): ConfigMap {
  if (value.kind === "map") return value;
  const reason = `expected ${noun} to be a map/struct, got ${describeValue(value)}`;
  throw new ConfigError("CONFIG_TYPE", reason, value.at);
}

function readBlockOf(name: BlockName, value: ConfigValue, reading: Reading, isShared: boolean): void {
  const { noun } = BLOCKS[name];
  const map = asBlock(value, noun);
  const readers = tableReaders(name, reading);
  if (name === "store_limits") {
    for (const alias of PER_CHANNEL_NAMES) readers.set(alias, (entry) => readChannels(entry, reading));
  }
  if (name === "file_options") {
    // An old key that occurs in files and never did anything visible.
    readers.set("cache", () => {});
    // Ours alone, so there is no flag of the reference for it (decisions.md 16).
    readers.set("free_space_reserve", (value, key) => {
      reading.draft.file.reserveBytes = Number(asContent("size", value, key));
    });
  }
  if (name === "console") {
    // Ours alone. No flag for the token: everybody who may list processes could read it there.
    for (const [key, type] of CONSOLE_KEYS) {
      readers.set(key, (value, typed) => {
        const content = asContent(type, value, typed);
        if (typeof content === "object") return;
        setField(reading.draft, `console.${key}`, content);
        reading.report.setAt.set(`console.${key}`, value.at);
      });
    }
  }
  // Charts put it there.
  if (name === "tls") readers.set("timeout", () => {});
  // The mere presence of the block switches clustering on.
  if (name === "cluster" && !isShared) {
    readKeys(map, new Map([...readers].map(([key, read]) => [key, typeCheckOnly(read)])), () => {});
    notAvailable(value, "cluster", LATER.clustering);
  }
  readKeys(map, readers, (entry, key) => {
    if (!isShared) reading.report.noteUnknown(entry.at, key, `in ${name} {}`, readers.keys());
  });
}

/** A reader whose refusal is left to the block: a wrong type is told first, as the reference does. */
function typeCheckOnly(read: KeyReader): KeyReader {
  return (value, key) => {
    try {
      read(value, key);
    } catch (error) {
      if (!(error instanceof ConfigError) || error.code !== "CONFIG_NOT_AVAILABLE") throw error;
    }
  };
}

function notThere(later: LaterKind | IdleKind, value: ConfigValue, key: string, report: FileReport): void {
  const why = isIdle(later) ? IDLE[later] : HARMLESS[later];
  if (why === undefined) notAvailable(value, key, LATER[later as LaterKind]);
  report.note("info", value.at, `${quote(key)} has no effect: ${why}`);
}

/** A value of the type that an option has. Texts of type errors are the reference's. */
function asContent(type: OptionType, value: ConfigValue, key: string): Content {
  const wanted =
    ({ string: "string", duration: "string", int: "int64", size: "int64", bool: "bool", stringList: "slice" })[
      type
    ];
  const found = goKindName(value);
  if (found !== wanted) {
    const reason = `parameter ${quote(key)} value is expected to be ${wanted}, got ${found}`;
    throw new ConfigError("CONFIG_TYPE", reason, value.at);
  }
  switch (value.kind) {
    case "string": {
      if (type !== "duration") return value.value;
      const parsed = parseDuration(value.value);
      if (parsed.ok) return parsed.ms;
      throw new ConfigError("CONFIG_VALUE", parsed.error, value.at);
    }
    case "integer":
      return int64ToNumber(value.value);
    case "boolean":
      return value.value;
    case "list":
      return value.items.map((item) => String(asContent("string", item, key)));
    default:
      throw new ConfigError("CONFIG_TYPE", `parameter ${quote(key)} has an unusable type`, value.at);
  }
}

function readRow(row: OptionRow, value: ConfigValue, key: string, reading: Reading): void {
  const { draft, report } = reading;
  const content = asContent(row.type, value, key);
  if (row.effect === "store") {
    const type = String(content).toUpperCase();
    if (type !== "MEMORY" && type !== "FILE" && type !== "SQL") {
      throw new ConfigError("CONFIG_VALUE", `unknown store type: ${String(content)}`, value.at);
    }
    reading.store = { type, value };
  } else if (row.effect === "encryptionKey") {
    if (value.kind === "string") reading.encryptionKey = value;
  } else if (row.status !== "available") {
    if (!isDefault(row, content)) notThere(row.status, value, key, report);
  } else if (row.field !== undefined && typeof content !== "object") {
    setField(draft, row.field, content);
    report.setAt.set(row.field, value.at);
  }
}

/** What is the case anyway may be asked for. */
function isDefault(row: OptionRow, content: Content): boolean {
  switch (row.type) {
    case "bool":
      return content === (row.default === "true");
    case "int":
      return content === Number(row.default);
    case "size": {
      const size = parseSize(row.default);
      return size.ok && size.bytes === content;
    }
    case "duration": {
      const duration = parseDuration(row.default);
      return duration.ok && duration.ms === content;
    }
    case "string":
      return content === row.default;
    case "stringList":
      return typeof content === "object" && content.length === 0;
  }
}

/** Reads the limits of channels. They add to what an earlier block of another name has said. */
function readChannels(value: ConfigValue, reading: Reading): void {
  const { draft, report } = reading;
  const entries: ChannelLimitsEntry[] = [];
  for (const { key: pattern, value: channel } of asBlock(value, "per channel limits").entries.values()) {
    const map = asBlock(channel, "channel limits");
    if (!isChannelName(pattern, true)) {
      throw new ConfigError("CONFIG_VALUE", `invalid channel name ${quote(pattern)}`, channel.at);
    }
    const entry: { -readonly [K in keyof ChannelLimitsEntry]: ChannelLimitsEntry[K] } = { pattern };
    const readers = new Map<string, KeyReader>();
    for (const [name, field] of Object.entries(CHANNEL_FIELDS)) {
      const type = field === "maxBytes" ? "size" : field.endsWith("Ms") ? "duration" : "int";
      for (const alias of [name, ...(STREAMING_ALIASES[`store_limits.${name}`] ?? "").split(" ")]) {
        readers.set(alias, (limit, key) => entry[field] = Number(asContent(type, limit, key)));
      }
    }
    readKeys(map, readers, (limit, key) => {
      report.noteUnknown(limit.at, key, `in the limits of channel ${quote(pattern)}`, readers.keys());
    });
    entries.push(entry);
  }
  draft.limits.perChannel = [...draft.limits.perChannel, ...entries];
}
