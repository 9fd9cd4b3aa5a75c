/** The FILE store passes the suite of all stores, with and without sync, and with blocks read back from disk. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FileStore } from "../../../src/store/file/file_store.ts";
import { FILE_STORE_DEFAULTS, type FileStoreOptions } from "../../../src/store/file/options.ts";
import type { Store, StoreLimits } from "../../../src/store/types.ts";
import { fileStoreWorld } from "../../helpers/file_store.ts";
import { adminSuite } from "./admin_suite.ts";
import { type StoreSuite, storeSuite, TEST_SERVER } from "./suite.ts";

const root = mkdtempSync(join(tmpdir(), "stanchion-store-"));
test.after(() => rmSync(root, { recursive: true, force: true }));
let count = 0;

function suite(name: string, options: Partial<FileStoreOptions>): void {
  const suite: StoreSuite = {
    name,
    make: async (limits: StoreLimits): Promise<Store> => {
      const dir = join(root, String(++count));
      const world = await fileStoreWorld();
      const store = new FileStore(limits, { ...FILE_STORE_DEFAULTS, dir, ...options }, world);
      await store.recover();
      store.init(TEST_SERVER);
      return store;
    },
    supports: { bytesPerMessage: 40, subscriptionIdsPerChannel: true, messageBytesMax: 3_000_000 },
  };
  storeSuite(suite);
  adminSuite(suite);
}

suite("FILE", {});
suite("FILE without sync", { sync: false });
suite("FILE in small slices", { sliceMaxMessages: 7, readBufferBytes: 256, bufferBytes: 1024 });
