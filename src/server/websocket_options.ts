/** The WebSocket port of the embedded NATS server, out of the options of the whole. */
import type { Options } from "../config/options.ts";
import type { AuthOptions } from "../nats/auth/types.ts";
import type { NatsTlsOptions } from "../nats/tls_entry.ts";
import type { WebSocketListenerOptions } from "../nats/websocket/websocket_listener.ts";
import type { Files } from "../runtime/types.ts";
import { readTlsFiles } from "./tls_files.ts";

/** Undefined: there is no such port. Reads the certificates; throws `TlsFileError`. */
export function webSocketOptionsOf(options: Options, files: Files): WebSocketListenerOptions | undefined {
  const { websocket } = options;
  if (websocket === undefined || websocket.port === 0) return undefined;
  const tls: NatsTlsOptions | undefined = websocket.tls === undefined ? undefined : readTlsFiles(websocket.tls, files);
  return {
    host: websocket.host === "" ? options.host : websocket.host,
    port: websocket.port === -1 ? 0 : websocket.port,
    advertise: websocket.advertise,
    tls,
    sameOrigin: websocket.sameOrigin,
    allowedOrigins: websocket.allowedOrigins,
    handshakeTimeoutMs: websocket.handshakeTimeoutMs,
    compression: websocket.compression,
    auth: webSocketAuthOf(options),
  };
}

/** Who may enter by the WebSocket port, where that differs from the client port; undefined: the same. */
export function webSocketAuthOf({ auth, tls, websocket }: Options): AuthOptions | undefined {
  if (websocket === undefined || websocket.port === 0) return undefined;
  const { user, password, token, noAuthUser, authTimeoutMs } = websocket;
  const timeoutMs = authTimeoutMs > 0 ? authTimeoutMs : auth.timeoutMs;
  // Who is known by certificate is decided by each port's own TLS.
  const tlsMap = websocket.tls?.verifyAndMap ?? false;
  if (user !== "" || token !== "") {
    const login = user === "" ? {} : { user: { user, password } };
    // Never together with a list of users: the configuration has refused that.
    return { users: [], nkeys: [], ...login, token, timeoutMs, accounts: auth.accounts };
  }
  if (noAuthUser !== "") return { ...auth, noAuthUser, timeoutMs, tlsMap };
  const isSame = tlsMap === (tls?.verifyAndMap ?? false) && timeoutMs === auth.timeoutMs;
  return isSame ? undefined : { ...auth, timeoutMs, tlsMap };
}
