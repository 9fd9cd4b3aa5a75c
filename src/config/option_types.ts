/**
 * The shape of a complete configuration and its defaults. Everything that starts the server reads one frozen
 * `Options`; nothing reads arguments or files again later.
 */
import { programRole } from "./version.ts";

/** Limits of one entry of the per-channel list. An absent value is inherited; 0 or less means unlimited. */
export interface ChannelLimitsEntry {
  /** Channel name; `*` for one token, `>` for the rest. */
  readonly pattern: string;
  readonly maxSubscriptions?: number;
  readonly maxMessages?: number;
  readonly maxBytes?: number;
  readonly maxAgeMs?: number;
  readonly maxInactivityMs?: number;
}

/** Store limits (stores.md 2.1). 0 = unlimited; a negative value does not pass validation. */
export interface LimitOptions {
  readonly maxChannels: number;
  readonly maxSubscriptions: number;
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly maxInactivityMs: number;
  /** Of two entries with the same pattern the later one counts. */
  readonly perChannel: readonly ChannelLimitsEntry[];
}

/** Heartbeats from the streaming server to its clients. */
export interface HeartbeatOptions {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** A client is closed when its consecutive failures exceed this. */
  readonly failCount: number;
}

/** The embedded core server. */
export interface NatsOptions {
  readonly maxPayload: number;
  readonly maxControlLine: number;
  readonly maxConnections: number;
  readonly maxPendingBytes: number;
  /** 0 = unlimited. */
  readonly maxSubscriptions: number;
  /** 0 = unlimited. */
  readonly maxSubscriptionTokens: number;
  readonly pingIntervalMs: number;
  readonly pingMax: number;
  readonly writeDeadlineMs: number;
  readonly authTimeoutMs: number;
  /** Empty = the server's own id. */
  readonly serverName: string;
  readonly clientAdvertise: string;
  /** Lame duck mode as a whole, and the time before its first client is closed. */
  readonly lameDuckDurationMs: number;
  readonly lameDuckGraceMs: number;
  /** Test seam: the first PING of a connection comes after the full interval instead of soon after CONNECT. */
  readonly disableShortFirstPing: boolean;
  /** Test seam of the streaming part: a negative ack wait in a subscription request means milliseconds. */
  readonly testNegativeAckWaitMs: boolean;
}

/** Where log lines go and which are written. */
export interface LogOptions {
  /** Empty = a syslog or stderr. */
  readonly file: string;
  /** Lines go to the syslog of this machine, unless a file or a remote one is named. */
  readonly syslog: boolean;
  /** `udp://host:port`, `tcp://host:port` or `unix:///path`; empty = none. */
  readonly remoteSyslog: string;
  /** 0 = no rotation; ignored without a file. */
  readonly sizeLimitBytes: number;
  readonly time: boolean;
  readonly utc: boolean;
  readonly debug: boolean;
  readonly trace: boolean;
  readonly streamingDebug: boolean;
  readonly streamingTrace: boolean;
  /** 0 = whole messages. */
  readonly maxTracedMessageBytes: number;
}

/** Subjects that may and may not be used. An empty `allow` allows nothing, an absent one everything. */
export interface SubjectPermission {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

/** What a user may do (nats-server.md 6.2). An absent part is not restricted. */
export interface PermissionOptions {
  readonly publish?: SubjectPermission;
  /** Entries may carry a queue name behind a blank. */
  readonly subscribe?: SubjectPermission;
  /** Replies to received messages may be published: at most `max` (negative = any number) until `expiresMs` later. */
  readonly allowResponses?: { readonly max: number; readonly expiresMs: number };
}

/** Ways to connect, as `allowed_connection_types` names them. */
export const CONNECTION_TYPES = Object.freeze(
  ["STANDARD", "WEBSOCKET", "LEAFNODE", "LEAFNODE_WS", "MQTT", "MQTT_WS"] as const,
);
export type ConnectionType = (typeof CONNECTION_TYPES)[number];

/** Somebody with name and password. */
export interface UserOptions {
  readonly user: string;
  /** Clear text or a bcrypt hash. */
  readonly password: string;
  /** Own permissions or, where there are none, the defaults of the block: already applied. Absent = may do all. */
  readonly permissions?: PermissionOptions;
  /** Absent = the global account. */
  readonly account?: string;
  /** Absent = all. */
  readonly allowedConnectionTypes?: readonly ConnectionType[];
}

/** Somebody who proves to have a key. */
export interface NkeyOptions {
  /** Public key, `U…`. */
  readonly nkey: string;
  readonly permissions?: PermissionOptions;
  readonly account?: string;
  readonly allowedConnectionTypes?: readonly ConnectionType[];
}

/** Who may connect to the embedded server. Nothing set = everybody. */
export interface AuthOptions {
  /** A single user of the configuration is the only element, without permissions. */
  readonly users: readonly UserOptions[];
  readonly nkeys: readonly NkeyOptions[];
  /** Empty = none. Never together with users or nkeys of the authorization block. */
  readonly token: string;
  /** Time for CONNECT; longer by default when TLS is on. */
  readonly timeoutMs: number;
  /** Clients without credentials are this user; empty = they are refused. */
  readonly noAuthUser: string;
  /** Those of the authorization block; they are in `users` and `nkeys` already. */
  readonly defaultPermissions: PermissionOptions | undefined;
  /** Accounts besides the global one, in the order of the file. */
  readonly accounts: readonly string[];
}

/** TLS of a listener. */
export interface TlsOptions {
  readonly certFile: string;
  readonly keyFile: string;
  /** Authorities that sign client certificates; empty = those of the system. */
  readonly caFile: string;
  /** Clients must show a certificate. */
  readonly verify: boolean;
  /** The certificate says who the client is; implies `verify`. */
  readonly verifyAndMap: boolean;
  readonly timeoutMs: number;
  /** TLS before INFO; a number = wait that many milliseconds for it, then fall back to INFO in clear. */
  readonly handshakeFirst: boolean | number;
  /** Clients without TLS are served too. */
  readonly allowNonTls: boolean;
  /** SHA-256 of public keys as 64 small hexadecimal digits; empty = any key. */
  readonly pinnedCerts: readonly string[];
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  /** Go's names of cipher suites; empty = the default ones. */
  readonly cipherSuites: readonly string[];
  /** Go's names; empty = the default ones. */
  readonly curvePreferences: readonly string[];
  /** Handshakes per second, 0 = no limit. */
  readonly connectionRateLimit: number;
}

/** The WebSocket listener. */
export interface WebSocketOptions {
  /** Empty = the client listener's. */
  readonly host: string;
  /** -1 = let the system choose a free one. */
  readonly port: number;
  readonly advertise: string;
  readonly noTls: boolean;
  readonly tls: TlsOptions | undefined;
  readonly sameOrigin: boolean;
  readonly allowedOrigins: readonly string[];
  /** 0 = no limit. */
  readonly handshakeTimeoutMs: number;
  readonly compression: boolean;
  readonly user: string;
  readonly password: string;
  readonly token: string;
  /** 0 = that of the client listener. */
  readonly authTimeoutMs: number;
  readonly jwtCookie: string;
  readonly noAuthUser: string;
}

/** What the streaming server logs in to NATS with (operations.md 7.2). Empty = not given. */
export interface LoginOptions {
  readonly user: string;
  readonly password: string;
  readonly token: string;
  readonly nkeySeedFile: string;
  readonly credentialsFile: string;
}

/** The FILE store (stores.md 5.1). */
export interface FileOptions {
  /** Root directory; empty = none. */
  readonly dir: string;
  readonly compactEnabled: boolean;
  /** Per cent. */
  readonly compactFragmentation: number;
  readonly compactIntervalSecs: number;
  readonly compactMinBytes: number;
  readonly bufferBytes: number;
  /** 0 = no read-ahead. */
  readonly readBufferBytes: number;
  readonly crc: boolean;
  /** Reversed form, 1 to 2^32 - 1. */
  readonly crcPolynomial: number;
  readonly sync: boolean;
  /** 0 = not limited by this. */
  readonly sliceMaxMessages: number;
  readonly sliceMaxBytes: number;
  readonly sliceMaxAgeMs: number;
  /** Empty = none. */
  readonly sliceArchiveScript: string;
  /** 0 = no limit of its own. */
  readonly descriptorsMax: number;
  readonly parallelRecovery: number;
  readonly truncateBadEnd: boolean;
  /** 0 or less = off. */
  readonly autoSyncMs: number;
  /** Publishes are refused while the file system has fewer free bytes; 0 = while it has none. */
  readonly reserveBytes: number;
}

/** Encryption of what is stored (stores.md 8). Its key is no option: whoever reads these could show it. */
export interface EncryptionOptions {
  readonly enabled: boolean;
  /** `AES` or `CHACHA` when enabled; empty = by processor, as the reference chooses. */
  readonly cipher: string;
}

/** The console below `/console` of the monitoring port. */
export interface ConsoleOptions {
  readonly enabled: boolean;
  /**
   * What those must show who read payloads or the log, or change something. Empty = nobody can. Never to be logged, nor
   * shown on a page.
   */
  readonly token: string;
  /** Payloads and the log are shown without the token, too. */
  readonly browse: boolean;
}

/** Files the configuration came from. Empty = none. */
export interface ConfigFileOptions {
  readonly nats: string;
  readonly streaming: string;
}

/** A complete, checked configuration. Deeply frozen. */
export interface Options {
  readonly programName: string;
  /** Only the core server runs: started as `nats-server`. */
  readonly coreOnly: boolean;
  readonly clusterId: string;
  readonly host: string;
  /** -1 = let the system choose a free one. */
  readonly port: number;
  /** 0 = no monitoring, -1 = let the system choose a free one. */
  readonly httpPort: number;
  /** As `httpPort`, over TLS with the certificate of the client port. Never together with it. */
  readonly httpsPort: number;
  /** Address of the monitoring port; empty = `host`. */
  readonly httpHost: string;
  /** Stands before the paths of the core pages; begins with a slash and ends in none, unless it is all there is. */
  readonly httpBasePath: string;
  readonly console: ConsoleOptions;
  readonly store: "MEMORY" | "FILE";
  readonly file: FileOptions;
  readonly encryption: EncryptionOptions;
  readonly limits: LimitOptions;
  readonly heartbeat: HeartbeatOptions;
  readonly replaceDurable: boolean;
  /** At least 1. */
  readonly ioBatchSize: number;
  /** 0 = do not wait for more. */
  readonly ioSleepTimeUs: number;
  readonly discoverPrefix: string;
  readonly nats: NatsOptions;
  readonly log: LogOptions;
  /** Empty = none. */
  readonly pidFile: string;
  /** Directory of the file that lists the ports; empty = none. */
  readonly portsFileDir: string;
  readonly auth: AuthOptions;
  /** Undefined = connections are not encrypted. */
  readonly tls: TlsOptions | undefined;
  readonly websocket: WebSocketOptions | undefined;
  readonly login: LoginOptions;
  readonly configFiles: ConfigFileOptions;
}

/** The same shape while it is being filled. Lists stay read-only: they are replaced whole. */
export type OptionsDraft = Mutable<Options>;

type Mutable<T> = T extends readonly unknown[] ? T
  : T extends object ? { -readonly [K in keyof T]: Mutable<T[K]> }
  : T;

/** Defaults of the limits; the banner marks equal values with a star. */
export const DEFAULT_LIMITS: LimitOptions = Object.freeze({
  maxChannels: 100,
  maxSubscriptions: 1000,
  maxMessages: 1_000_000,
  maxBytes: 1_000_000 * 1024,
  maxAgeMs: 0,
  maxInactivityMs: 0,
  perChannel: Object.freeze([]),
});

/** A fresh draft with every default set. */
export function draftOptions(programName: string): OptionsDraft {
  return {
    programName,
    coreOnly: programRole(programName) === "nats-server",
    clusterId: "test-cluster",
    host: "0.0.0.0",
    port: 4222,
    httpPort: 0,
    httpsPort: 0,
    httpHost: "",
    httpBasePath: "/",
    console: { enabled: true, token: "", browse: false },
    store: "MEMORY",
    file: {
      dir: "",
      compactEnabled: true,
      compactFragmentation: 50,
      compactIntervalSecs: 300,
      compactMinBytes: 1_048_576,
      bufferBytes: 2_097_152,
      readBufferBytes: 2_097_152,
      crc: true,
      crcPolynomial: 3_988_292_384,
      sync: true,
      sliceMaxMessages: 0,
      sliceMaxBytes: 67_108_864,
      sliceMaxAgeMs: 0,
      sliceArchiveScript: "",
      descriptorsMax: 0,
      parallelRecovery: 1,
      truncateBadEnd: false,
      autoSyncMs: 60_000,
      reserveBytes: 0,
    },
    encryption: { enabled: false, cipher: "" },
    limits: { ...DEFAULT_LIMITS },
    heartbeat: { intervalMs: 30_000, timeoutMs: 10_000, failCount: 10 },
    replaceDurable: false,
    ioBatchSize: 1024,
    ioSleepTimeUs: 0,
    discoverPrefix: "_STAN.discover",
    nats: {
      maxPayload: 1_048_576,
      maxControlLine: 4096,
      maxConnections: 65_536,
      maxPendingBytes: 67_108_864,
      maxSubscriptions: 0,
      maxSubscriptionTokens: 0,
      pingIntervalMs: 120_000,
      pingMax: 2,
      writeDeadlineMs: 10_000,
      authTimeoutMs: 2_000,
      serverName: "",
      clientAdvertise: "",
      lameDuckDurationMs: 120_000,
      lameDuckGraceMs: 10_000,
      disableShortFirstPing: false,
      testNegativeAckWaitMs: false,
    },
    log: {
      file: "",
      syslog: false,
      remoteSyslog: "",
      sizeLimitBytes: 0,
      time: true,
      utc: false,
      debug: false,
      trace: false,
      streamingDebug: false,
      streamingTrace: false,
      maxTracedMessageBytes: 0,
    },
    pidFile: "",
    portsFileDir: "",
    auth: {
      users: [],
      nkeys: [],
      token: "",
      timeoutMs: 2_000,
      noAuthUser: "",
      defaultPermissions: undefined,
      accounts: [],
    },
    tls: undefined,
    websocket: undefined,
    login: { user: "", password: "", token: "", nkeySeedFile: "", credentialsFile: "" },
    configFiles: { nats: "", streaming: "" },
  };
}

/** Freezes a draft, nested parts included, and gives it out as `Options`. */
export function freezeOptions(draft: OptionsDraft): Options {
  deepFreeze(draft);
  return draft;
}

function deepFreeze(value: object): void {
  for (const part of Object.values(value)) {
    if (typeof part === "object" && part !== null) deepFreeze(part);
  }
  Object.freeze(value);
}

/** The configuration of a server that was told nothing. */
export function defaultOptions(programName = "stanchion"): Options {
  return freezeOptions(draftOptions(programName));
}
