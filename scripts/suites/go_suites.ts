/** The official suites that the Go module proxy carries, and how their tests are run: each in a process of its own. */
import { delimiter } from "node:path";
import process from "node:process";
import { runProcess } from "../run_process.ts";
import { buildGoSuite, type GoSuite } from "./go_module.ts";
import type { Exceptions, TestOutcome } from "./report.ts";

/** In the order of their worth for this product. */
export const GO_SUITES: readonly GoSuite[] = [
  {
    name: "stan.go",
    module: "github.com/nats-io/stan.go",
    version: "v0.10.4",
    folder: "",
    manifest: "go_tests.mod",
    leftOut: [],
  },
  {
    name: "nats-server",
    module: "github.com/nats-io/nats-server/v2",
    version: "v2.9.24",
    folder: "test",
    leftOut: [
      // OCSP, gateways, operators and exports between accounts are refused by the configuration.
      "accounts_cycles_test.go",
      "gateway_test.go",
      // Leaf nodes are not there.
      "leafnode_test.go",
      "norace_test.go",
      "ocsp_peer_test.go",
      "ocsp_test.go",
      "operator_test.go",
      "service_latency_test.go",
      "services_test.go",
      "system_services_test.go",
    ],
  },
  {
    name: "nats.go",
    module: "github.com/nats-io/nats.go",
    version: "v1.28.0",
    folder: "test",
    manifest: "go_test.mod",
    leftOut: [
      // JetStream and what is built on it.
      "js_test.go",
      "kv_test.go",
      "norace_test.go",
      "object_test.go",
    ],
  },
];

const TEST_TIME_MS_MAX = 120_000;

/**
 * Runs a suite against the executables of a folder. One process per test: a panic in one takes no other with it, and
 * none inherits a server that the one before has left on a fixed port.
 */
export async function runGoSuite(
  suite: GoSuite,
  serverFolder: string,
  filter: RegExp,
  exceptions: Exceptions,
): Promise<TestOutcome[]> {
  const tests = await buildGoSuite(suite);
  const env = { PATH: `${serverFolder}${delimiter}${process.env["PATH"] ?? ""}` };
  const outcomes: TestOutcome[] = [];
  for (const name of tests.names.filter((name) => filter.test(name))) {
    const args = [`-test.run=^${name}$`, "-test.v", `-test.timeout=${TEST_TIME_MS_MAX}ms`];
    const attempt = async (): Promise<TestOutcome> => {
      const run = await runProcess(tests.executable, args, {
        cwd: tests.cwd,
        env,
        timeMsMax: TEST_TIME_MS_MAX + 10_000,
      });
      const ended = (word: string) => run.code === 0 && run.output.includes(`--- ${word}: ${name} `);
      const result = ended("PASS") ? "passed" : ended("SKIP") ? "skipped" : "failed";
      console.log(`${suite.name}: ${result}: ${name} in ${(run.durationMs / 1000).toFixed(1)} s`);
      return { name, result, output: `${run.trouble}${run.output}` };
    };
    const first = await attempt();
    // Many of these tests measure times of 100 ms and less; an explained failure is not tried again.
    const isWorthAnother = first.result === "failed" && !Object.hasOwn(exceptions, name);
    outcomes.push(isWorthAnother ? await attempt() : first);
  }
  return outcomes;
}
