/** Stores behind encryption pass the suite of all stores: nobody above them can tell, but by what is counted (stores.md 8). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CryptStore } from "../../../src/store/crypt/crypt_store.ts";
import { type CipherName, masterKeyOf, SEAL_BYTES } from "../../../src/store/crypt/sealed.ts";
import { FileStore } from "../../../src/store/file/file_store.ts";
import { FILE_STORE_DEFAULTS, type FileStoreOptions } from "../../../src/store/file/options.ts";
import { MemoryStore } from "../../../src/store/memory/memory_store.ts";
import type { Store, StoreLimits } from "../../../src/store/types.ts";
import { PlainCache } from "../../../src/store/crypt/plain_cache.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { fileStoreWorld, RecordingLog } from "../../helpers/file_store.ts";
import { adminSuite } from "./admin_suite.ts";
import { type StoreSuite, storeSuite, TEST_SERVER } from "./suite.ts";

const root = mkdtempSync(join(tmpdir(), "stanchion-crypt-"));
test.after(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

/** Every lookup decrypts. */
class ForgetfulCache extends PlainCache {
  override find(): boolean {
    return false;
  }
}

async function encrypted(inner: Store, cipher: CipherName, cache?: PlainCache): Promise<Store> {
  const { random } = await pickRuntime();
  const store = new CryptStore(
    inner,
    { cipher, masterKey: masterKeyOf("suite"), ...(cache === undefined ? {} : { cache }) },
    { log: new RecordingLog(), random },
  );
  await store.recover();
  store.init(TEST_SERVER);
  return store;
}

for (const cipher of ["AES", "CHACHA"] as const) {
  const suite: StoreSuite = {
    name: `MEMORY encrypted with ${cipher}`,
    make: (limits) => encrypted(new MemoryStore(limits), cipher),
    supports: {
      bytesPerMessage: 0,
      subscriptionIdsPerChannel: true,
      messageBytesMax: 300_000,
      sealBytes: SEAL_BYTES,
    },
  };
  storeSuite(suite);
  adminSuite(suite);
}

function fileSuite(
  name: string,
  cipher: CipherName,
  messageBytesMax: number,
  options: Partial<FileStoreOptions>,
): void {
  const suite: StoreSuite = {
    name,
    make: async (limits: StoreLimits): Promise<Store> => {
      const dir = join(root, String(++count));
      const store = new FileStore(limits, { ...FILE_STORE_DEFAULTS, dir, ...options }, await fileStoreWorld());
      return await encrypted(store, cipher, new ForgetfulCache());
    },
    supports: { bytesPerMessage: 40, subscriptionIdsPerChannel: true, messageBytesMax, sealBytes: SEAL_BYTES },
  };
  storeSuite(suite);
  adminSuite(suite);
}

fileSuite("FILE encrypted with AES", "AES", 3_000_000, {});
fileSuite("FILE in small slices encrypted with CHACHA", "CHACHA", 70_000, {
  sync: false,
  sliceMaxMessages: 7,
  readBufferBytes: 256,
  bufferBytes: 1024,
});
