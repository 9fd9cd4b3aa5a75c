/** The options of the embedded NATS server, out of those of the whole. */
import type { Options } from "../config/options.ts";
import { COMMIT, NATS_VERSION } from "../config/version.ts";
import type { AuthOptions } from "../nats/auth/types.ts";
import type { NatsServerOptions } from "../nats/nats_server.ts";
import type { NatsTlsOptions } from "../nats/tls_entry.ts";
import type { WebSocketListenerOptions } from "../nats/websocket/websocket_listener.ts";

/** The users of the server; verified certificates may say who somebody is. */
export function natsAuthOf({ auth, tls }: Options): AuthOptions {
  return { ...auth, tlsMap: tls?.verifyAndMap ?? false };
}

/** `socketCountMax` is what the platform can hold. */
export function natsOptionsOf(
  options: Options,
  auth: AuthOptions,
  tls: NatsTlsOptions | undefined,
  socketCountMax: number,
  webSocket?: WebSocketListenerOptions,
): NatsServerOptions {
  const { nats } = options;
  return {
    host: options.host,
    port: options.port === -1 ? 0 : options.port,
    serverName: nats.serverName,
    clientAdvertise: nats.clientAdvertise,
    maxPayload: nats.maxPayload,
    maxControlLine: nats.maxControlLine,
    maxConnections: Math.min(nats.maxConnections, socketCountMax),
    maxPendingBytes: nats.maxPendingBytes,
    maxSubscriptions: nats.maxSubscriptions,
    maxSubscriptionTokens: nats.maxSubscriptionTokens,
    pingIntervalMs: nats.pingIntervalMs,
    pingMax: nats.pingMax,
    writeDeadlineMs: nats.writeDeadlineMs,
    maxTracedMessageBytes: options.log.maxTracedMessageBytes,
    disableShortFirstPing: nats.disableShortFirstPing,
    lameDuckDurationMs: nats.lameDuckDurationMs,
    lameDuckGraceMs: nats.lameDuckGraceMs,
    version: NATS_VERSION,
    gitCommit: COMMIT === "[not set]" ? "" : COMMIT,
    auth,
    tls,
    webSocket,
  };
}
