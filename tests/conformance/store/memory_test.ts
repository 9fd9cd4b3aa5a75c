import { MemoryStore } from "../../../src/store/memory/memory_store.ts";
import { storeSuite } from "./suite.ts";

storeSuite({
  name: "MEMORY",
  make: async (limits) => {
    const store = new MemoryStore(limits);
    await store.recover();
    return store;
  },
  supports: { bytesPerMessage: 0, subscriptionIdsPerChannel: true, messageBytesMax: 2 * 1024 * 1024 },
});
