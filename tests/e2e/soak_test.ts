/** A short soak in every run of this suite; `deno task soak` is the long one. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { PROCESS_TEST_MS_MAX } from "../helpers/server_process.ts";
import { runSoak } from "./soak/soak.ts";

it(
  "11.5, 15, 18, 19, 30: whatever clients do, what was acked reaches everyone who is entitled to it",
  { timeout: PROCESS_TEST_MS_MAX },
  async () => {
    const report = await runSoak({
      stormMs: 15_000,
      warmUpMs: 5_000,
      clients: 200,
      channels: 50,
      store: "memory",
      seed: 1,
      target: "executable",
      tell: () => {},
    });
    assert.deepEqual(report.violations, []);
    // One in which nothing happened would prove nothing.
    for (
      const what of ["deliveries", "redeliveries", "kills", "closes", "reconnects", "freezes", "rivals", "unsubscribes"]
    ) {
      assert.ok((report.counters[what] ?? 0) >= 10, `${what}: ${report.counters[what]}`);
    }
  },
);
