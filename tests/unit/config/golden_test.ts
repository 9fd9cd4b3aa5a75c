/** Files as they stand in the field (operations.md 12.2). */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { defaultOptions, type Options, parseCommandLine, resolveChannelLimits } from "../../../src/config/options.ts";
import { memorySources } from "./config_support.ts";

const ENV = { POD_NAME: "stan-0", CLUSTER_ADVERTISE: "stan-0.stan.default.svc" };

function parse(name: string) {
  const text = readFileSync(new URL(`../../golden/config/${name}`, import.meta.url), "utf8");
  return parseCommandLine(["-sc", name], "nats-streaming-server", memorySources({ [name]: text }, ENV));
}

test("operations 12.2: the config map of a single server, read with -sc as charts do", () => {
  const parsed = parse("kubernetes.conf");
  assert.ok(parsed.kind === "run", JSON.stringify(parsed));
  assert.deepEqual([parsed.warnings, parsed.notes], [[], []]);
  const base = defaultOptions("nats-streaming-server");
  const expected: Options = {
    ...base,
    clusterId: "stan",
    httpPort: 8222,
    store: "FILE",
    pidFile: "/var/run/nats/stan.pid",
    file: { ...base.file, dir: "/data/stan/store", bufferBytes: 32 * 1024 * 1024 },
    limits: {
      maxChannels: 100,
      maxMessages: 0,
      maxBytes: 256 * 1024 ** 3,
      maxAgeMs: 3_600_000,
      maxSubscriptions: 128,
      maxInactivityMs: 0,
      perChannel: [
        { pattern: "orders.>", maxAgeMs: 86_400_000, maxBytes: 32 * 1024 * 1024 },
        { pattern: "orders.eu", maxMessages: 0 },
      ],
    },
    heartbeat: { intervalMs: 10_000, timeoutMs: 10_000, failCount: 5 },
    nats: { ...base.nats, serverName: "stan-0" },
    configFiles: { nats: "", streaming: "kubernetes.conf" },
  };
  assert.deepEqual(parsed.options, expected);
  const eu = resolveChannelLimits(parsed.options.limits).entries.find(({ pattern }) => pattern === "orders.eu");
  assert.equal(eu?.limits.maxAgeMs, 86_400_000);
});

test("operations 12.2, decisions 9: the config map of a group is refused for what is not there, and for nothing else", () => {
  const parsed = parse("kubernetes_ft.conf");
  assert.ok(parsed.kind === "error");
  assert.deepEqual(parsed.messages.filter((line) => line !== "").map((line) => line.replace(/:\d+:\d+: .*/, "")), [
    "kubernetes_ft.conf",
  ]);
  assert.match(parsed.messages[0] ?? "", /"cluster" is not available in this version/);
});

test("operations 12.1: command lines of images and courses", () => {
  const line = (text: string) => {
    const files = { "/run/secrets/nats-config": "streaming { id: swarm }" };
    const parsed = parseCommandLine(text.split(" "), "nats-streaming-server", memorySources(files));
    assert.ok(parsed.kind === "run", JSON.stringify(parsed));
    assert.deepEqual([parsed.warnings, parsed.notes], [[], []]);
    return parsed.options;
  };
  assert.equal(line("-m 8222").httpPort, 8222);
  const course = line("-p 4222 -m 8222 -hbi 5s -hbt 5s -hbf 2 -SD -cid ticketing");
  assert.deepEqual(course.heartbeat, { intervalMs: 5000, timeoutMs: 5000, failCount: 2 });
  assert.deepEqual([course.clusterId, course.log.streamingDebug], ["ticketing", true]);
  const volume = line("-store file -dir /datastore -m 8222");
  assert.deepEqual([volume.store, volume.file.dir], ["FILE", "/datastore"]);
  const secret = line("-m 8222 -D -V -sc /run/secrets/nats-config");
  assert.deepEqual([secret.clusterId, secret.log.debug, secret.log.trace], ["swarm", true, true]);
});
