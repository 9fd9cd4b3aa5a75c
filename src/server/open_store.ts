/** The store that the options ask for. Nothing on disk is touched before it recovers. */
import type { ResolvedChannelLimits } from "../config/limits.ts";
import type { Options } from "../config/options.ts";
import type { LogView } from "../log/types.ts";
import type { Runtime } from "../runtime/types.ts";
import { CryptStore } from "../store/crypt/crypt_store.ts";
import { masterKeyOf } from "../store/crypt/sealed.ts";
import { FileStore } from "../store/file/file_store.ts";
import { MemoryStore } from "../store/memory/memory_store.ts";
import type { Store } from "../store/types.ts";
import { cipherOf } from "./encryption.ts";

/**
 * Builds the store, encrypted if the options say so; then there is a key. MEMORY is encrypted like the others, as in the
 * reference: its limits then count the longer payloads. Throws StoreError for options that cannot be.
 */
export function openStore(
  options: Options,
  limits: ResolvedChannelLimits,
  runtime: Runtime,
  log: LogView,
  encryptionKey: string,
): Store {
  const store = openPlainStore(options, limits, runtime, log);
  if (!options.encryption.enabled || options.coreOnly) return store;
  return new CryptStore(
    store,
    { cipher: cipherOf(options.encryption), masterKey: masterKeyOf(encryptionKey) },
    { log, random: (bytes) => runtime.random(bytes) },
  );
}

function openPlainStore(options: Options, limits: ResolvedChannelLimits, runtime: Runtime, log: LogView): Store {
  if (options.store === "MEMORY" || options.coreOnly) return new MemoryStore(limits);
  const { compactIntervalSecs, autoSyncMs, reserveBytes, ...file } = options.file;
  return new FileStore(limits, {
    ...file,
    compactIntervalMs: compactIntervalSecs * 1000,
    autoSyncMs: Math.max(0, autoSyncMs),
    reserveBytes: Math.max(0, reserveBytes),
  }, {
    disk: runtime.disk,
    clock: runtime.clock,
    scheduler: runtime.scheduler,
    log,
    runProgram: (path, args, done) => runtime.process.run(path, args, done),
  });
}
