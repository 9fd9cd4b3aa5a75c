/** A short soak of each kind of store in every run of this suite; `deno task soak` is the long one. */
import assert from "node:assert/strict";
import process from "node:process";
import { it } from "node:test";
import { PROCESS_TEST_MS_MAX } from "../helpers/server_process.ts";
import { runSoak } from "./soak/soak.ts";

/** One in which nothing happened would prove nothing. */
const DEEDS = ["deliveries", "redeliveries", "kills", "closes", "reconnects", "freezes", "rivals", "unsubscribes"];

for (const store of ["memory", "file"] as const) {
  it(
    `11.5, 15, 18, 19, 30: whatever clients do, what was acked reaches everyone who is entitled to it (${store})`,
    { timeout: PROCESS_TEST_MS_MAX },
    async () => {
      const report = await runSoak({
        stormMs: 15_000,
        warmUpMs: 5_000,
        clients: 200,
        channels: 50,
        store,
        seed: 1,
        target: "executable",
        tell: () => {},
      });
      assert.deepEqual(report.violations, []);
      for (const what of DEEDS) {
        assert.ok((report.counters[what] ?? 0) >= 10, `${what}: ${report.counters[what]}`);
      }
      if (process.platform !== "win32") assert.ok((report.counters["stalls"] ?? 0) >= 1, "it never stood still");
    },
  );
}
