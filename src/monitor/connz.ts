/** `/connz`: connections that are there, and the last ones that are gone (operations.md 5.8). */
import { createHash, X509Certificate } from "node:crypto";
import { displayText } from "../base/bytes.ts";
import type { ClosedConnection, SubscriptionRecord } from "../nats/closed_connections.ts";
import type { Connection } from "../nats/connection.ts";
import type { Subscription } from "../nats/subscription.ts";
import type { TlsInfo } from "../runtime/types.ts";
import { type Json, roundTripText, uptimeText } from "./json.ts";
import { accountsOf, GLOBAL_ACCOUNT, type NatsView } from "./nats_view.ts";
import type { OwnConnection } from "./own_connections.ts";
import {
  boolParameter,
  corePaging,
  LIMIT_DEFAULT,
  QueryError,
  subscriptionsParameter,
  uint64Parameter,
} from "./query.ts";

/** What is shown of any of them: the three kinds of connections become these. */
interface Row extends Omit<ClosedConnection, "stoppedMs" | "reason" | "subscriptions"> {
  /** Undefined: it is there. */
  readonly stopped: { readonly atMs: number; readonly reason: string } | undefined;
  /** Made when the page shows it. */
  readonly subscriptions: () => readonly SubscriptionRecord[];
}

type Order = (a: Row, b: Row, nowMs: number) => number;

const byId: Order = (a, b) => a.id - b.id;
/** From the largest to the smallest. */
const descending = (value: (row: Row, nowMs: number) => number): Order => (a, b, nowMs) =>
  value(b, nowMs) - value(a, nowMs);

const uptimeOf = (row: Row, nowMs: number) => (row.stopped?.atMs ?? nowMs) - row.startedMs;

/** Which are descending and which not is the reference's choice. */
const ORDERS: ReadonlyMap<string, Order> = new Map<string, Order>([
  ["cid", byId],
  ["start", byId],
  ["subs", descending((row) => row.subscriptionCount)],
  ["pending", descending((row) => row.pendingBytes)],
  ["msgs_to", descending((row) => row.outMessages)],
  ["msgs_from", descending((row) => row.inMessages)],
  ["bytes_to", descending((row) => row.outBytes)],
  ["bytes_from", descending((row) => row.inBytes)],
  ["last", descending((row) => row.lastActivityMs)],
  ["idle", descending((row, nowMs) => nowMs - row.lastActivityMs)],
  ["uptime", (a, b, nowMs) => uptimeOf(a, nowMs) - uptimeOf(b, nowMs)],
  ["stop", descending((row) => row.stopped?.atMs ?? 0)],
  ["reason", (a, b) => compareText(a.stopped?.reason ?? "", b.stopped?.reason ?? "")],
  ["rtt", descending((row) => row.rttMs)],
]);

type State = "open" | "closed" | "all";

/** The page. Throws {@link QueryError}. */
export function connz(view: NatsView, query: URLSearchParams): Json {
  const sort = query.get("sort") ?? "";
  const withAuth = boolParameter(query, "auth");
  const subscriptions = subscriptionsParameter(query);
  const paging = corePaging(query);
  const id = uint64Parameter(query, "cid");
  const state = stateParameter(query);
  const order = sort === "" ? byId : ORDERS.get(sort);
  if (order === undefined) throw new QueryError(`invalid sorting option: ${sort}`);
  if ((sort === "stop" || sort === "reason") && state !== "closed") {
    throw new QueryError(`sort by ${sort} only valid on closed connections`);
  }
  const { offset } = paging;
  const limit = id > 0 ? 1 : paging.limit;
  const { time, server } = view;
  const nowMs = time.nowMs();
  const now = time.nowUtc();
  const account = query.get("acc") ?? "";
  if (account !== "" && !accountsOf(server).has(account)) {
    // The reference leaves what it has begun: no server, and no list.
    return { server_id: "", now, num_connections: 0, total: 0, offset, limit, connections: null };
  }

  let rows = state === "closed" ? [] : openRows(view);
  if (state !== "open") rows.push(...(server.closedConnections?.all() ?? []).map(closedRow));
  if (account !== "") rows = rows.filter((row) => row.account === account);
  const total = rows.length;
  const user = query.get("user") ?? "";
  if (id > 0) rows = rows.filter((row) => row.id === id);
  else if (user !== "") rows = rows.filter((row) => row.shownUser === user);
  // There is no MQTT here.
  if ((query.get("mqtt_client") ?? "") !== "") rows = [];

  rows.sort((a, b) => order(a, b, nowMs) || a.id - b.id);
  const page = rows.slice(offset, offset + limit);
  return {
    server_id: server.id,
    now,
    num_connections: page.length,
    total,
    offset,
    limit,
    connections: page.map((row) => connectionObject(view, row, nowMs, withAuth, subscriptions)),
  };
}

/** Sums over all open connections, for `/metrics`. */
export function connectionSums(view: NatsView): Readonly<Record<string, number>> {
  const rows = openRows(view);
  const sums = {
    num_connections: Math.min(rows.length, LIMIT_DEFAULT),
    total: rows.length,
    offset: 0,
    limit: LIMIT_DEFAULT,
    pending_bytes: 0,
    subscriptions: 0,
    in_msgs: 0,
    out_msgs: 0,
    in_bytes: 0,
    out_bytes: 0,
  };
  for (const row of rows) {
    sums.pending_bytes += row.pendingBytes;
    sums.subscriptions += row.subscriptionCount;
    sums.in_msgs += row.inMessages;
    sums.out_msgs += row.outMessages;
    sums.in_bytes += row.inBytes;
    sums.out_bytes += row.outBytes;
  }
  return sums;
}

function stateParameter(query: URLSearchParams): State {
  const text = query.get("state") ?? "";
  switch (text.toLowerCase()) {
    case "":
    case "open":
      return "open";
    case "closed":
      return "closed";
    case "any":
    case "all":
      return "all";
  }
  throw new QueryError(`Error decoding state for ${text}`);
}

function openRows(view: NatsView): Row[] {
  const rows: Row[] = (view.own?.list() ?? []).map((own) => ownRow(view, own));
  for (const connection of view.server.connections.values()) rows.push(openRow(connection));
  return rows;
}

function openRow(connection: Connection): Row {
  return {
    id: connection.id,
    isWebSocket: connection.connectionType === "WEBSOCKET",
    remoteAddress: connection.remoteAddress,
    remotePort: connection.remotePort,
    startedMs: connection.startedMs,
    lastActivityMs: connection.lastActivityMs,
    stopped: undefined,
    rttMs: connection.rttMs,
    pendingBytes: connection.output.pendingBytes,
    inMessages: connection.inMessages,
    inBytes: connection.inBytes,
    outMessages: connection.outMessages,
    outBytes: connection.outBytes,
    name: connection.name,
    lang: connection.lang,
    version: connection.version,
    tls: connection.tls,
    shownUser: connection.shownUser,
    account: connection.account,
    subscriptionCount: connection.subscriptions.size,
    subscriptions: () => [...connection.subscriptions.values()].map(recordOf),
  };
}

function closedRow(closed: ClosedConnection): Row {
  return {
    ...closed,
    // Reference 2.9.10: what cannot be parsed ends with this one.
    stopped: { atMs: closed.stoppedMs, reason: closed.reason === "Parse Error" ? "Protocol Violation" : closed.reason },
    subscriptions: () => closed.subscriptions,
  };
}

/** It has no socket: so the port is 0 and there is no round trip. */
function ownRow({ time, runtimeVersion }: NatsView, own: OwnConnection): Row {
  return {
    id: own.id,
    isWebSocket: false,
    remoteAddress: "127.0.0.1",
    remotePort: 0,
    startedMs: time.startedMs,
    lastActivityMs: Math.max(time.startedMs, own.lastActivityMs),
    stopped: undefined,
    rttMs: 0,
    pendingBytes: 0,
    inMessages: own.inMessages,
    inBytes: own.inBytes,
    outMessages: own.outMessages,
    outBytes: own.outBytes,
    name: own.name,
    lang: "internal",
    version: runtimeVersion,
    tls: undefined,
    shownUser: "",
    account: GLOBAL_ACCOUNT,
    subscriptionCount: own.subscriptions.length,
    subscriptions: () =>
      own.subscriptions.map((subscription, index) => ({ ...recordOf(subscription), sid: `${index + 1}` })),
  };
}

function recordOf({ subject, queue, sid, delivered, max }: Subscription): SubscriptionRecord {
  return { subject, queue, sid, delivered, max };
}

function connectionObject(
  view: NatsView,
  row: Row,
  nowMs: number,
  withAuth: boolean,
  subscriptions: "none" | "list" | "detail",
): Json {
  const { time } = view;
  // Times of one that is gone stand still.
  const untilMs = row.stopped?.atMs ?? nowMs;
  const shown = subscriptions === "none" || row.subscriptionCount === 0 ? [] : row.subscriptions();
  return {
    cid: row.id,
    kind: "Client",
    type: row.isWebSocket ? "websocket" : "nats",
    ip: row.remoteAddress,
    port: row.remotePort,
    // The specification has it local; reference 2.9.10 shows UTC in every zone.
    start: time.utcOf(row.startedMs),
    last_activity: time.utcOf(row.lastActivityMs),
    stop: row.stopped === undefined ? undefined : time.utcOf(row.stopped.atMs),
    reason: row.stopped?.reason,
    rtt: roundTripText(row.rttMs),
    uptime: uptimeText(untilMs - row.startedMs),
    idle: uptimeText(untilMs - row.lastActivityMs),
    pending_bytes: row.pendingBytes,
    in_msgs: row.inMessages,
    out_msgs: row.outMessages,
    in_bytes: row.inBytes,
    out_bytes: row.outBytes,
    subscriptions: row.subscriptionCount,
    name: row.name || undefined,
    lang: row.lang || undefined,
    version: row.version || undefined,
    tls_version: row.tls?.protocol.replace(/^TLSv/, ""),
    tls_cipher_suite: row.tls === undefined ? undefined : suiteName(row.tls.cipher),
    tls_peer_certs: withAuth ? peerCertificates(view, row.tls) : undefined,
    authorized_user: withAuth ? row.shownUser || undefined : undefined,
    account: withAuth && row.account !== GLOBAL_ACCOUNT ? row.account : undefined,
    subscriptions_list: subscriptions === "list" && shown.length > 0
      ? shown.map(({ subject }) => displayText(subject))
      : undefined,
    subscriptions_list_detail: subscriptions === "detail" && shown.length > 0
      // Those of a connection that is gone name their account, as the reference keeps them.
      ? shown.map((record) => subscriptionDetail(record, row.id, row.stopped === undefined ? undefined : row.account))
      : undefined,
  };
}

/** One subscription in full; the list of an account has the account's name before it. */
export function subscriptionDetail(record: SubscriptionRecord, connectionId: number, account?: string): Json {
  return {
    account,
    subject: displayText(record.subject),
    qgroup: record.queue === "" ? undefined : displayText(record.queue),
    sid: displayText(record.sid),
    msgs: record.delivered,
    max: record.max > 0 ? record.max : undefined,
    cid: connectionId,
  };
}

/** Platforms name the suites of TLS 1.2 as OpenSSL does, the pages as the standard does. */
export function suiteName(cipher: string): string {
  const match = /^(ECDHE-(?:RSA|ECDSA)|DHE-RSA)?-?(AES\d+-GCM-SHA\d+|AES\d+-SHA\d*|CHACHA20-POLY1305)$/
    .exec(cipher);
  if (match === null) return cipher;
  const [, exchange = "", bulk = ""] = match;
  const key = exchange === "" ? "RSA" : exchange.replace("-", "_");
  const suite = bulk === "CHACHA20-POLY1305"
    ? "CHACHA20_POLY1305_SHA256"
    : bulk.replace(/^AES(\d+)-GCM-SHA(\d+)$/, "AES_$1_GCM_SHA$2").replace(/^AES(\d+)-SHA(\d*)$/, "AES_$1_CBC_SHA$2");
  return `TLS_${key}_WITH_${suite}`;
}

function peerCertificates(view: NatsView, tls: TlsInfo | undefined): Json | undefined {
  if (tls?.peerCertificate === undefined) return undefined;
  const certificate = new X509Certificate(tls.peerCertificate);
  const key = certificate.publicKey.export({ type: "spki", format: "der" });
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  return [{
    subject: view.certificateSubject(tls.peerCertificate),
    spki_sha256: sha256(key),
    cert_sha256: sha256(tls.peerCertificate),
  }];
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
