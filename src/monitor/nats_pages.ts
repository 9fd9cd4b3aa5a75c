/** The core pages besides connections and subscriptions (operations.md 5.8). */
import type { WebSocketOptions } from "../config/options.ts";
import { type Json, nanoseconds, uptimeText } from "./json.ts";
import { accountsOf, GLOBAL_ACCOUNT, type NatsView, SYSTEM_ACCOUNT } from "./nats_view.ts";
import { boolParameter, intParameter, QueryError, subscriptionsParameter } from "./query.ts";
import { sublistFigures } from "./subsz.ts";
import type { Traffic } from "./own_connections.ts";

/** Time for a TLS handshake where there is no TLS: the reference shows its default. */
const TLS_TIMEOUT_MS_DEFAULT = 2000;

/** `/varz`; `requestCounts` are those of the core pages. */
export function varz(view: NatsView, requestCounts: ReadonlyMap<string, number>): Json {
  const { server, time, process, own } = view;
  const options = view.options();
  const { statistics } = server.router;
  const internal = own?.total();
  const { tls } = server.options;
  return {
    server_id: server.id,
    server_name: server.name,
    version: server.options.version,
    proto: 1,
    git_commit: server.options.gitCommit || undefined,
    go: view.runtimeVersion,
    host: options.host,
    port: server.port || Math.max(0, options.port),
    auth_required: server.authenticator === null ? undefined : true,
    tls_required: tls !== undefined && !tls.allowNonTls ? true : undefined,
    tls_verify: tls?.server.verifyClient === true ? true : undefined,
    max_connections: server.options.maxConnections,
    max_subscriptions: server.options.maxSubscriptions || undefined,
    ping_interval: nanoseconds(server.options.pingIntervalMs),
    ping_max: server.options.pingMax,
    http_host: options.httpHost === "" ? options.host : options.httpHost,
    http_port: view.httpPort(),
    http_base_path: options.httpBasePath === "/" ? "" : options.httpBasePath,
    https_port: view.httpsPort(),
    auth_timeout: options.auth.timeoutMs / 1000,
    max_control_line: server.options.maxControlLine,
    max_payload: server.options.maxPayload,
    max_pending: server.options.maxPendingBytes,
    cluster: {},
    gateway: {},
    leaf: {},
    mqtt: {},
    websocket: webSocketObject(view, options.websocket),
    jetstream: {},
    tls_timeout: (tls?.timeoutMs ?? TLS_TIMEOUT_MS_DEFAULT) / 1000,
    write_deadline: nanoseconds(server.options.writeDeadlineMs),
    start: time.utcOf(time.startedMs),
    now: time.nowUtc(),
    uptime: uptimeText(time.nowMs() - time.startedMs),
    mem: process.residentBytes(),
    cores: process.coreCount,
    // One event loop, and a pool for files that is as wide as the processor.
    gomaxprocs: process.coreCount,
    cpu: process.cpuPercent,
    connections: server.connections.size + (own?.count ?? 0),
    total_connections: statistics.totalConnections,
    routes: 0,
    remotes: 0,
    leafnodes: 0,
    in_msgs: statistics.inMessages + (internal?.inMessages ?? 0),
    out_msgs: statistics.outMessages + (internal?.outMessages ?? 0),
    in_bytes: statistics.inBytes + (internal?.inBytes ?? 0),
    out_bytes: statistics.outBytes + (internal?.outBytes ?? 0),
    slow_consumers: statistics.slowConsumers,
    subscriptions: subscriptionCount(view),
    http_req_stats: new Map([...requestCounts].sort(([a], [b]) => a < b ? -1 : 1)),
    config_load_time: time.utcOf(view.optionsReadMs()),
    system_account: SYSTEM_ACCOUNT,
    // Absent in 2.9.10, present in 2.9.24.
    ocsp_peer_cache: {},
  };
}

function subscriptionCount({ server }: NatsView): number {
  let count = 0;
  for (const router of server.accounts.all()) count += router.sublist.count;
  return count;
}

function webSocketObject({ server }: NatsView, options: WebSocketOptions | undefined): Json {
  if (options === undefined) return {};
  return {
    host: options.host === "" ? server.options.host : options.host,
    port: server.webSocketPort || Math.max(0, options.port),
    advertise: options.advertise || undefined,
    no_auth_user: options.noAuthUser || undefined,
    jwt_cookie: options.jwtCookie || undefined,
    handshake_timeout: options.handshakeTimeoutMs > 0 ? nanoseconds(options.handshakeTimeoutMs) : undefined,
    auth_timeout: options.authTimeoutMs > 0 ? options.authTimeoutMs / 1000 : undefined,
    no_tls: options.noTls || undefined,
    tls_map: options.tls?.verifyAndMap === true ? true : undefined,
    same_origin: options.sameOrigin || undefined,
    allowed_origins: options.allowedOrigins.length > 0 ? options.allowedOrigins : undefined,
    compression: options.compression || undefined,
  };
}

/** `/routez`: there are no routes. */
export function routez({ server, time }: NatsView, query: URLSearchParams): Json {
  subscriptionsParameter(query);
  return { server_id: server.id, now: time.nowUtc(), num_routes: 0, routes: [] };
}

/** `/gatewayz`: there are no gateways. */
export function gatewayz({ server, time }: NatsView, query: URLSearchParams): Json {
  boolParameter(query, "accs");
  return { server_id: server.id, now: time.nowUtc(), outbound_gateways: {}, inbound_gateways: {} };
}

/** `/leafz`: there are no leaf nodes, and the reference's empty list is null. */
export function leafz({ server, time }: NatsView, query: URLSearchParams): Json {
  boolParameter(query, "subs");
  return { server_id: server.id, now: time.nowUtc(), leafnodes: 0, leafs: null };
}

/** `/jsz`: there is no JetStream. */
export function jsz({ server, time }: NatsView, query: URLSearchParams): Json {
  for (const name of ["accounts", "streams", "consumers", "config", "leader-only", "raft"]) boolParameter(query, name);
  for (const name of ["offset", "limit"]) intParameter(query, name);
  if (boolParameter(query, "leader-only")) throw new QueryError("filtered response: not leader");
  return {
    server_id: server.id,
    now: time.nowUtc(),
    disabled: true,
    config: { max_memory: 0, max_storage: 0 },
    memory: 0,
    storage: 0,
    reserved_memory: 0,
    reserved_storage: 0,
    accounts: 0,
    ha_assets: 0,
    api: { total: 0, errors: 0 },
    streams: 0,
    consumers: 0,
    messages: 0,
    bytes: 0,
  };
}

/** `/ipqueuesz`: one event loop has no queues between threads. */
export function ipqueuesz(query: URLSearchParams): Json {
  boolParameter(query, "all");
  return {};
}

/** What connections of an account carry and have carried. */
interface AccountTraffic {
  connections: number;
  inMessages: number;
  inBytes: number;
  outMessages: number;
  outBytes: number;
}

/** Of all accounts, in one pass over the connections. */
function trafficByAccount(view: NatsView): Map<string, AccountTraffic> {
  const byAccount = new Map<string, AccountTraffic>();
  for (const [name, router] of accountsOf(view.server)) {
    const { inMessages = 0, inBytes = 0, outMessages = 0, outBytes = 0 } = router?.departed ?? {};
    byAccount.set(name, { connections: 0, inMessages, inBytes, outMessages, outBytes });
  }
  const add = (account: string, connections: number, traffic: Traffic) => {
    const sum = byAccount.get(account);
    // The clients of an account that a reload has removed are about to be closed.
    if (sum === undefined) return;
    sum.connections += connections;
    sum.inMessages += traffic.inMessages;
    sum.inBytes += traffic.inBytes;
    sum.outMessages += traffic.outMessages;
    sum.outBytes += traffic.outBytes;
  };
  for (const connection of view.server.connections.values()) add(connection.account, 1, connection);
  if (view.own !== undefined) add(GLOBAL_ACCOUNT, view.own.count, view.own.total());
  return byAccount;
}

/** `/accountz`, the list or one account. Throws {@link QueryError}. */
export function accountz(view: NatsView, query: URLSearchParams): Json {
  const { server, time } = view;
  const accounts = accountsOf(server);
  const head = { server_id: server.id, now: time.nowUtc(), system_account: SYSTEM_ACCOUNT };
  const wanted = query.get("acc") ?? "";
  if (wanted === "") return { ...head, accounts: [...accounts.keys()] };
  if (!accounts.has(wanted)) throw new QueryError(`Account ${wanted} does not exist`);
  const router = accounts.get(wanted);
  return {
    ...head,
    account_detail: {
      account_name: wanted,
      update_time: time.utcOf(view.optionsReadMs()),
      is_system: wanted === SYSTEM_ACCOUNT ? true : undefined,
      expired: false,
      complete: true,
      jetstream_enabled: false,
      leafnode_connections: 0,
      client_connections: trafficByAccount(view).get(wanted)?.connections ?? 0,
      subscriptions: router?.sublist.count ?? 0,
      sublist_stats: { ...sublistFigures([router]) },
    },
  };
}

/** `/accstatz`: accounts with connections, with `unused` all of them. Throws {@link QueryError}. */
export function accstatz(view: NatsView, query: URLSearchParams): Json {
  const withUnused = boolParameter(query, "unused");
  const list: Json[] = [];
  const routers = accountsOf(view.server);
  for (const [account, traffic] of trafficByAccount(view)) {
    if (!withUnused && traffic.connections === 0) continue;
    list.push({
      acc: account,
      conns: traffic.connections,
      leafnodes: 0,
      total_conns: traffic.connections,
      sent: { msgs: traffic.outMessages, bytes: traffic.outBytes },
      received: { msgs: traffic.inMessages, bytes: traffic.inBytes },
      slow_consumers: routers.get(account)?.departed.slowConsumers ?? 0,
    });
  }
  return { server_id: view.server.id, now: view.time.nowUtc(), account_statz: list };
}
