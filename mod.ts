/**
 * Stanchion as a library: a NATS Streaming server inside another program.
 *
 * ```ts
 * import { startServer } from "./mod.ts";
 *
 * const server = await startServer({ port: -1 });
 * console.log(server.clientUrl); // nats://127.0.0.1:41217
 * await server.close();
 * ```
 */
import { openLog } from "./src/log/open_log.ts";
import { draftOptions, freezeOptions } from "./src/config/option_types.ts";
import type {
  AuthOptions,
  ChannelLimitsEntry,
  EncryptionOptions,
  FileOptions,
  HeartbeatOptions,
  LimitOptions,
  LogOptions,
  NatsOptions,
  Options,
} from "./src/config/options.ts";
import { pickRuntime } from "./src/runtime/pick.ts";
import { StreamingServer } from "./src/server/streaming_server.ts";

export type {
  AuthOptions,
  ChannelLimitsEntry,
  EncryptionOptions,
  FileOptions,
  HeartbeatOptions,
  LimitOptions,
  LogOptions,
  NatsOptions,
};
export { ReloadError } from "./src/server/reload.ts";
export { ServerError } from "./src/server/streaming_server.ts";

/** What an embedding program may set; everything has the default of the command line, but the host is 127.0.0.1. */
export interface ServerOptions {
  /** Cluster ID that clients name; default `test-cluster`. */
  readonly clusterId?: string;
  /** Address to listen on; default `127.0.0.1`. */
  readonly host?: string;
  /** TCP port; -1 (the default) lets the system choose a free one. */
  readonly port?: number;
  readonly limits?: Partial<LimitOptions>;
  readonly heartbeat?: Partial<HeartbeatOptions>;
  /** Limits and times of the NATS server inside. */
  readonly nats?: Partial<NatsOptions>;
  /** Who may connect; default everybody. */
  readonly auth?: Partial<AuthOptions>;
  /** A second subscription of an active durable replaces the first instead of failing. */
  readonly replaceDurable?: boolean;
  /** Keeps everything on disk; default is memory, which ends with the server. `dir` is needed, the rest has defaults. */
  readonly file?: Partial<FileOptions> & Pick<FileOptions, "dir">;
  /** Encrypts what is stored. Only what is derived from `key` is kept; the environment is not asked for one. */
  readonly encryption?: { readonly key: string; readonly cipher?: EncryptionOptions["cipher"] };
  /** The log is silent unless this is given; `{}` writes it to stderr. */
  readonly log?: Partial<LogOptions>;
}

/** A running server. */
export interface Server {
  /** `nats://host:port` */
  readonly clientUrl: string;
  readonly host: string;
  readonly port: number;
  readonly clusterId: string;
  /**
   * Puts changed options in force while clients are served: those of `nats`, `auth` and `log` that the manual of the
   * configuration file calls reloadable. `options` are complete, as for {@link startServer}; others than those keep their
   * values. Throws {@link ReloadError}, and changes nothing, when one of them cannot be changed.
   */
  reload(options: ServerOptions): void;
  /**
   * Ends the server slowly: nobody gets in any more, clients are told and closed one by one, then it stops as with `close`,
   * which cuts it short. Resolves when it has stopped.
   */
  lameDuck(): Promise<void>;
  /** Finishes what was accepted, then closes port and store. Calling it again waits for the same end. */
  close(): Promise<void>;
}

/** Starts a server. Resolves when clients are served; rejects with `ServerError` when the port cannot be had. */
export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const all = completeOptions(options);
  const runtime = await pickRuntime();
  const log = openLog(all.log, runtime, options.log === undefined ? "silent" : "settings");
  const server = new StreamingServer(all, runtime, log, options.encryption?.key);
  await server.start();
  return {
    clientUrl: server.clientUrl,
    host: server.nats.host,
    port: server.nats.port,
    clusterId: server.options.clusterId,
    reload: (changed) => server.reload(completeOptions(changed)),
    lameDuck: () => server.lameDuck(),
    close: () => server.stop(),
  };
}

function completeOptions(options: ServerOptions): Options {
  const draft = draftOptions("stanchion");
  draft.host = options.host ?? "127.0.0.1";
  draft.port = options.port ?? -1;
  draft.clusterId = options.clusterId ?? draft.clusterId;
  draft.replaceDurable = options.replaceDurable ?? false;
  Object.assign(draft.limits, options.limits);
  Object.assign(draft.heartbeat, options.heartbeat);
  Object.assign(draft.log, options.log);
  Object.assign(draft.nats, options.nats);
  Object.assign(draft.auth, options.auth);
  if (options.file !== undefined) {
    draft.store = "FILE";
    Object.assign(draft.file, options.file);
  }
  if (options.encryption !== undefined) {
    draft.encryption.enabled = true;
    draft.encryption.cipher = options.encryption.cipher ?? draft.encryption.cipher;
  }
  // Frozen as a whole, and the lists of the caller are his own.
  return freezeOptions(structuredClone(draft));
}
