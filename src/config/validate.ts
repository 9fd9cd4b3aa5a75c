/**
 * Whether a server can start with a complete draft. Pure; texts are the reference's where it has some, because scripts look for
 * them in the log.
 */
import { formatDuration } from "../base/duration.ts";
import { quote } from "../base/quote.ts";
import { checkNoAuthUser } from "./file_auth.ts";
import { validateLimits } from "./limits.ts";
import type { OptionsDraft } from "./option_types.ts";

/** The reason why the server cannot start with these options, or undefined. */
export function validate(draft: OptionsDraft, hasUserList: boolean): string | undefined {
  const limits = validateLimits(draft.limits);
  if (limits !== undefined) return limits;
  if (!isSubjectPart(draft.clusterId)) {
    return "could not subscribe to discover subject: nats: invalid subject " +
      `(cluster ID ${quote(draft.clusterId)} is empty, or has blanks or empty parts)`;
  }
  const ports = [["port", draft.port], ["http_port", draft.httpPort], ["https_port", draft.httpsPort]] as const;
  for (const [name, port] of ports) {
    if (port < -1 || port > 65_535) return `${name} ${port} is outside of 1 to 65535 (-1 picks a free one)`;
  }
  const { intervalMs, timeoutMs, failCount } = draft.heartbeat;
  for (const [name, ms] of [["hb_interval", intervalMs], ["hb_timeout", timeoutMs]] as const) {
    if (ms <= 0) return `${name} must be positive (${formatDuration(ms)})`;
  }
  if (failCount < 0) return `hb_fail_count cannot be negative (${failCount})`;
  const { enabled, cipher } = draft.encryption;
  // Not told what stands there: a key that was put into the wrong place.
  if (enabled && !["", "AES", "CHACHA"].includes(cipher)) return "encryption cipher not supported";
  return validateFileStore(draft) ?? validateConsole(draft) ?? validateNats(draft) ??
    validateWebSocket(draft, hasUserList);
}

/** Texts are the reference's (operations.md 5.1); the core server tells them. */
export function validateMonitor({ httpPort, httpsPort, tls }: OptionsDraft): string | undefined {
  if (httpsPort === 0) return undefined;
  if (httpPort !== 0) {
    return `Can't start monitoring: can't specify both HTTP (${httpPort}) and HTTPs (${httpsPort}) ports`;
  }
  return tls === undefined ? "Can't start monitoring: TLS cert and key required for HTTPS" : undefined;
}

/** The token travels in a header. */
function validateConsole({ console: { token } }: OptionsDraft): string | undefined {
  if (/^[\x21-\x7e]*$/.test(token)) return undefined;
  return "console token may hold visible ASCII characters only, and no blanks";
}

/** Texts are the reference's (stores.md 5.1). */
function validateFileStore({ store, file }: OptionsDraft): string | undefined {
  if (store !== "FILE") return undefined;
  if (file.dir === "") return "for FILE stores, root directory must be specified";
  if (file.bufferBytes < 0) return "buffer size value must be a positive number";
  if (file.compactEnabled) {
    if (file.compactIntervalSecs <= 0) return "compact interval value must at least be 1 seconds";
    if (file.compactFragmentation <= 0) return "compact fragmentation value must at least be 1";
    if (file.compactMinBytes < 0) return "compact minimum file size value must be a positive number";
  }
  if (file.crcPolynomial < 1 || file.crcPolynomial > 0xffff_ffff) {
    return "crc polynomial should be between 1 and 4294967295";
  }
  if (file.sliceMaxMessages < 0 || file.sliceMaxBytes < 0 || file.sliceMaxAgeMs < 0) {
    return "slice max values must be positive numbers";
  }
  if (file.descriptorsMax < 0) return "file descriptor limit must be a positive number";
  if (file.parallelRecovery <= 0) return "parallel recovery value must be at least 1";
  if (file.readBufferBytes < 0) return "read buffer size value must be a positive number";
  return undefined;
}

function validateNats({ nats, auth, discoverPrefix }: OptionsDraft): string | undefined {
  const counts: readonly (readonly [string, number])[] = [
    ["max_payload", nats.maxPayload],
    ["max_pending", nats.maxPendingBytes],
    ["max_control_line", nats.maxControlLine],
    ["ping_interval", nats.pingIntervalMs],
    ["ping_max", nats.pingMax],
    ["write_deadline", nats.writeDeadlineMs],
  ];
  for (const [name, value] of counts) if (value < 0) return `${name} cannot be negative (${value})`;
  if (nats.maxPayload > nats.maxPendingBytes) {
    return `max_payload (${nats.maxPayload}) cannot be higher than max_pending (${nats.maxPendingBytes})`;
  }
  if (nats.lameDuckGraceMs >= nats.lameDuckDurationMs) {
    return `lame duck grace period (${formatDuration(nats.lameDuckGraceMs)}) should be strictly lower than lame duck ` +
      `duration (${formatDuration(nats.lameDuckDurationMs)})`;
  }
  if (!isSubjectPart(discoverPrefix)) {
    return "could not subscribe to discover subject: nats: invalid subject " +
      `(discover_prefix ${quote(discoverPrefix)} is empty, or has blanks or empty parts)`;
  }
  return checkNoAuthUser(auth);
}

/** A single user or token of the configuration is no list: the WebSocket port may have its own in place of it. */
function validateWebSocket({ auth, websocket }: OptionsDraft, hasUserList: boolean): string | undefined {
  if (websocket === undefined || websocket.port === 0) return undefined;
  const { port, tls, noTls, noAuthUser, user, token } = websocket;
  if (port < -1 || port > 65_535) return `websocket port ${port} is outside of 1 to 65535 (-1 picks a free one)`;
  if (tls === undefined && !noTls) return "websocket requires TLS configuration";
  const reason = checkNoAuthUser({ ...auth, users: hasUserList ? auth.users : [], noAuthUser });
  if (reason !== undefined) return reason;
  if (hasUserList && user !== "") {
    return "websocket authentication username not compatible with presence of users/nkeys";
  }
  if (hasUserList && token !== "") return "websocket authentication token not compatible with presence of users/nkeys";
  return undefined;
}

/** The cluster ID becomes tokens of protocol subjects. */
function isSubjectPart(text: string): boolean {
  return !/\s/.test(text) && text.split(".").every((token) => token !== "");
}
