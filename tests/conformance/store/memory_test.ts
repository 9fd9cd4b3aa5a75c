import { MemoryStore } from "../../../src/store/memory/memory_store.ts";
import { adminSuite } from "./admin_suite.ts";
import { type StoreSuite, storeSuite } from "./suite.ts";

const memory: StoreSuite = {
  name: "MEMORY",
  make: async (limits) => {
    const store = new MemoryStore(limits);
    await store.recover();
    return store;
  },
  supports: { bytesPerMessage: 0, subscriptionIdsPerChannel: true, messageBytesMax: 2 * 1024 * 1024 },
};
storeSuite(memory);
adminSuite(memory);
