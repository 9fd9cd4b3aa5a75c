/**
 * What a reload changes (operations.md 2.8): the difference between the options in force and those of the files as they
 * are. All or nothing: one option that cannot be changed while the server runs, and nothing is. Pure; the server applies
 * a plan. Names and texts are the reference's, in the order of its options.
 */
import { formatDuration } from "../base/duration.ts";
import { OPTION_TABLE } from "./option_table.ts";
import { type AuthOptions, freezeOptions, type Options, type TlsOptions } from "./option_types.ts";

/** What the options do not say about the server that runs. */
export interface ReloadContext {
  /** The client port that is bound: with `port: -1` the system chose it. */
  readonly boundPort: number;
  /** A certificate, key or authority file has other content than the one in use. */
  readonly isTlsRenewed: boolean;
}

/** One line of the log about a change; `option` says when the server has to do something before it. */
export interface ReloadChange {
  readonly option: "maxConnections" | "other";
  readonly text: string;
}

/** A reload that can be applied as a whole. */
export interface ReloadPlan {
  readonly ok: true;
  /** What is in force afterwards. `auth` and `tls` are the present objects where they say the same. */
  readonly options: Options;
  readonly changes: readonly ReloadChange[];
  /** Changed options that are read at start only, by the names of the configuration file. */
  readonly keptNames: readonly string[];
}

export type ReloadOutcome = ReloadPlan | { readonly ok: false; readonly reason: string };

/** Compares the options in force with those of a new reading. */
export function planReload(current: Options, wanted: Options, context: ReloadContext): ReloadOutcome {
  const reason = refusalOf(current, wanted, context);
  if (reason !== undefined) return { ok: false, reason };
  return {
    ok: true,
    options: merged(current, wanted),
    changes: changesOf(current, wanted, context),
    keptNames: keptNames(current, wanted),
  };
}

// What cannot change ---------------------------------------------------------------------------------------------------

/** Name in the reference, value in force, value wanted. */
type Fixed = readonly [name: string, old: string | number | boolean, wanted: string | number | boolean];

function refusalOf(current: Options, wanted: Options, context: ReloadContext): string | undefined {
  const oldPort = current.port === -1 ? context.boundPort : current.port;
  const fixed: readonly Fixed[] = [
    ["ServerName", current.nats.serverName, wanted.nats.serverName],
    ["Host", current.host, wanted.host],
    // Any free port: the one that is bound is as good as another.
    ["Port", oldPort, wanted.port === -1 ? oldPort : wanted.port],
    ["MaxSubs", current.nats.maxSubscriptions, wanted.nats.maxSubscriptions],
    ["MaxSubTokens", current.nats.maxSubscriptionTokens, wanted.nats.maxSubscriptionTokens],
    ["NoAuthUser", current.auth.noAuthUser, noAuthUserOf(current.auth, wanted.auth)],
    ["HTTPHost", current.httpHost || current.host, wanted.httpHost || wanted.host],
    ["HTTPPort", current.httpPort, wanted.httpPort],
    ["HTTPBasePath", current.httpBasePath, wanted.httpBasePath],
    ["HTTPSPort", current.httpsPort, wanted.httpsPort],
    ["MaxPending", current.nats.maxPendingBytes, wanted.nats.maxPendingBytes],
    ["LogSizeLimit", current.log.sizeLimitBytes, wanted.log.sizeLimitBytes],
    ["TLSMap", current.tls?.verifyAndMap ?? false, wanted.tls?.verifyAndMap ?? false],
    ["TLSRateLimit", current.tls?.connectionRateLimit ?? 0, wanted.tls?.connectionRateLimit ?? 0],
    ["AllowNonTLS", current.tls?.allowNonTls ?? false, wanted.tls?.allowNonTls ?? false],
  ];
  for (const [name, old, value] of fixed) {
    if (old !== value) return `config reload not supported for ${name}: old=${old}, new=${value}`;
  }
  // Without the values, which the reference prints: passwords are among them.
  return isSame(current.websocket, wanted.websocket) ? undefined : "config reload not supported for Websocket";
}

/**
 * The reference lets `no_auth_user` go together with its user, because nobody can be that user afterwards. Everything else
 * would change who clients without credentials are.
 */
function noAuthUserOf(current: AuthOptions, wanted: AuthOptions): string {
  const { noAuthUser } = current;
  const isGone = noAuthUser !== "" && wanted.noAuthUser === "" && !wanted.users.some(({ user }) => user === noAuthUser);
  return isGone ? noAuthUser : wanted.noAuthUser;
}

// What changes ---------------------------------------------------------------------------------------------------------

function changesOf(current: Options, wanted: Options, { isTlsRenewed }: ReloadContext): ReloadChange[] {
  const changes: ReloadChange[] = [];
  const tell = (text: string, option: ReloadChange["option"] = "other") => changes.push({ option, text });
  const { nats, log, auth, tls } = wanted;
  const oldNats = current.nats;
  const oldLog = current.log;
  const oldAuth = current.auth;
  const oldTls = current.tls;

  // Not a slip: the reference writes this one without the d.
  if (oldNats.clientAdvertise !== nats.clientAdvertise) tell(`Reload: client_advertise = ${nats.clientAdvertise}`);
  if (oldLog.trace !== log.trace) tell(`Reloaded: trace = ${log.trace}`);
  if (oldLog.debug !== log.debug) tell(`Reloaded: debug = ${log.debug}`);
  if (oldLog.time !== log.time) tell(`Reloaded: logtime = ${log.time}`);
  if (oldLog.utc !== log.utc) tell(`Reloaded: logtime_utc = ${log.utc}`);
  if (oldNats.maxConnections !== nats.maxConnections) {
    tell(`Reloaded: max_connections = ${nats.maxConnections}`, "maxConnections");
  }
  if (!isSame(oldAuth.nkeys, auth.nkeys)) tell("Reloaded: authorization nkey users");
  // These two are told whether they changed or not.
  tell("Reloaded: authorization users");
  tell("Reloaded: accounts");
  const oldSingle = singleUser(oldAuth);
  const single = singleUser(auth);
  if (oldSingle?.user !== single?.user) tell("Reloaded: authorization username");
  if (oldSingle?.password !== single?.password) tell("Reloaded: authorization password");
  if (oldAuth.token !== auth.token) tell("Reloaded: authorization token");
  if (oldNats.pingIntervalMs !== nats.pingIntervalMs) {
    tell(`Reloaded: ping_interval = ${formatDuration(nats.pingIntervalMs)}`);
  }
  if (oldNats.pingMax !== nats.pingMax) tell(`Reloaded: ping_max = ${nats.pingMax}`);
  if (oldAuth.timeoutMs !== auth.timeoutMs) tell(`Reloaded: authorization timeout = ${auth.timeoutMs / 1000}`);
  if (oldNats.maxControlLine !== nats.maxControlLine) tell(`Reloaded: max_control_line = ${nats.maxControlLine}`);
  if (oldNats.maxPayload !== nats.maxPayload) tell(`Reloaded: max_payload = ${nats.maxPayload}`);
  if (current.pidFile !== wanted.pidFile) tell(`Reloaded: pid_file = ${wanted.pidFile}`);
  if (current.portsFileDir !== wanted.portsFileDir) tell(`Reloaded: ports_file_dir = ${wanted.portsFileDir}`);
  if (oldLog.file !== log.file) tell(`Reloaded: log_file = ${log.file}`);
  if (oldLog.syslog !== log.syslog) tell(`Reloaded: syslog = ${log.syslog}`);
  if (oldLog.remoteSyslog !== log.remoteSyslog) tell(`Reloaded: remote_syslog = ${log.remoteSyslog}`);
  if (oldTls !== undefined && tls !== undefined && oldTls.timeoutMs !== tls.timeoutMs) {
    tell(`Reloaded: tls timeout = ${tls.timeoutMs / 1000}`);
  }
  if (isTlsRenewed || !isSame(contextOf(oldTls), contextOf(tls))) {
    tell(`Reloaded: tls = ${tls === undefined ? "disabled" : "enabled"}`);
  }
  if (oldTls !== undefined && tls !== undefined && !isSame(oldTls.handshakeFirst, tls.handshakeFirst)) {
    tell(`Reloaded: Client TLS handshake first: ${tls.handshakeFirst !== false}`);
  }
  const oldPins = oldTls?.pinnedCerts ?? [];
  const pins = tls?.pinnedCerts ?? [];
  if (!isSame(oldPins, pins)) tell(`Reloaded: ${pins.length} pinned_certs`);
  if (oldNats.writeDeadlineMs !== nats.writeDeadlineMs) {
    tell(`Reloaded: write_deadline = ${formatDuration(nats.writeDeadlineMs)}`);
  }
  // The reference refuses these two, although nothing depends on them before lame duck mode begins.
  if (oldNats.lameDuckDurationMs !== nats.lameDuckDurationMs) {
    tell(`Reloaded: lame_duck_duration = ${formatDuration(nats.lameDuckDurationMs)}`);
  }
  if (oldNats.lameDuckGraceMs !== nats.lameDuckGraceMs) {
    tell(`Reloaded: lame_duck_grace_period = ${formatDuration(nats.lameDuckGraceMs)}`);
  }
  if (oldLog.maxTracedMessageBytes !== log.maxTracedMessageBytes) {
    tell(`Reloaded: max_traced_msg_len = ${log.maxTracedMessageBytes}`);
  }
  return changes;
}

/** The user of an authorization block without a list; a list of one that says no more is not told from it. */
function singleUser({ users, nkeys, accounts }: AuthOptions): { user: string; password: string } | undefined {
  const [user] = users;
  if (user === undefined || users.length + nkeys.length > 1 || accounts.length > 0) return undefined;
  return user.permissions === undefined && user.allowedConnectionTypes === undefined ? user : undefined;
}

/** The part of the TLS options that handshakes are made of. */
function contextOf(tls: TlsOptions | undefined): object | undefined {
  if (tls === undefined) return undefined;
  const { certFile, keyFile, caFile, verify, minVersion, cipherSuites, curvePreferences } = tls;
  return { certFile, keyFile, caFile, verify, minVersion, cipherSuites, curvePreferences };
}

// What stays -----------------------------------------------------------------------------------------------------------

/** The NATS half of `wanted` and the streaming half of `current` (operations.md 13.54). */
function merged(current: Options, wanted: Options): Options {
  const { streamingDebug, streamingTrace } = current.log;
  const { disableShortFirstPing, testNegativeAckWaitMs } = current.nats;
  return freezeOptions({
    ...current,
    nats: { ...wanted.nats, disableShortFirstPing, testNegativeAckWaitMs },
    log: { ...wanted.log, streamingDebug, streamingTrace },
    pidFile: wanted.pidFile,
    portsFileDir: wanted.portsFileDir,
    auth: isSame(current.auth, wanted.auth) ? current.auth : wanted.auth,
    tls: isSame(current.tls, wanted.tls) ? current.tls : wanted.tls,
  });
}

/** Parts of the options that a reload applies or refuses; the streaming half is in all others, and in two fields of these. */
const NATS_PARTS: ReadonlySet<string> = new Set(
  [
    "host",
    "port",
    "httpHost",
    "httpPort",
    "httpsPort",
    "httpBasePath",
    "nats",
    "log",
    "auth",
    "tls",
    "websocket",
    "pidFile",
    "portsFileDir",
    "configFiles",
  ] satisfies (keyof Options)[],
);

function keptNames(current: Options, wanted: Options): string[] {
  const names: string[] = [];
  const compare = (path: string, old: unknown, value: unknown): void => {
    if (isSame(old, value)) return;
    if (isRecord(old) && isRecord(value)) {
      for (const key of new Set([...Object.keys(old), ...Object.keys(value)])) {
        compare(`${path}.${key}`, old[key], value[key]);
      }
      return;
    }
    names.push(fileNameOf(path));
  };
  for (const [part, old] of Object.entries(current)) {
    if (!NATS_PARTS.has(part)) compare(part, old, Reflect.get(wanted, part));
  }
  compare("log.streamingDebug", current.log.streamingDebug, wanted.log.streamingDebug);
  compare("log.streamingTrace", current.log.streamingTrace, wanted.log.streamingTrace);
  return names;
}

/** The key of the configuration file that sets a field, or the field itself. */
function fileNameOf(path: string): string {
  const key = OPTION_TABLE.find((row) => row.field === path)?.configKey ?? "";
  return key === "" ? path : key.replace(/^streaming\./, "");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Both sides come from the same readers, so equal values have their keys in the same order. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
