/** `/metrics` of a running server: the format, the numbers, and what the old exporter made of the other pages. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, test } from "node:test";
import { draftOptions, freezeOptions } from "../../../src/config/option_types.ts";
import { openLog } from "../../../src/log/open_log.ts";
import { METRICS, VARZ_TEXTS } from "../../../src/monitor/metrics/metric_table.ts";
import { pickRuntime } from "../../../src/runtime/pick.ts";
import { StreamingServer } from "../../../src/server/streaming_server.ts";
import { ask, askJson } from "../../helpers/monitor_client.ts";
import { type MetricFamily, parsePrometheusText, valueOf } from "../../helpers/prometheus_text.ts";
import { closeStan, connectStan, publish, type Stan, subscribe } from "../../interop/stan_client.ts";

/** A name that must be escaped. */
const ODD_NAME = 'od"d\\name';

let server: StreamingServer;
let client: Stan;
/** Before any test. */
let initial: Map<string, MetricFamily>;
const folder = mkdtempSync(join(tmpdir(), "stanchion-metrics-"));

before(async () => {
  const draft = draftOptions("stanchion");
  draft.host = "127.0.0.1";
  draft.port = -1;
  draft.httpPort = -1;
  draft.store = "FILE";
  draft.file.dir = folder;
  const runtime = await pickRuntime();
  server = new StreamingServer(freezeOptions(draft), runtime, openLog(draft.log, runtime, "silent"));
  await server.start();
  client = await connectStan(server.clientUrl, "metered");
  for (let i = 0; i < 5; i++) await publish(client, "orders", `number ${i}`);
  await publish(client, ODD_NAME, "odd");
  // Two of the five are delivered and none is acknowledged.
  const held = await subscribe(client, "orders", {
    with: (options) => options.setDeliverAllAvailable().setDurableName("slow").setManualAckMode(true).setMaxInFlight(2),
  });
  await held.count(2);
  const group = await subscribe(client, "orders", {
    group: "workers",
    with: (options) => options.setDeliverAllAvailable().setDurableName("team"),
  });
  await group.count(5);
  await subscribe(client, ODD_NAME, { group: "plain" });
  // Acknowledgements have no answer: this one comes after theirs.
  await publish(client, "fence", "behind the acknowledgements");
  initial = await metrics();
  await publish(client, "refusing", "for the last test");
});

after(async () => {
  await closeStan(client);
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function metrics(query = ""): Promise<Map<string, MetricFamily>> {
  const { status, headers, text } = await ask(server.monitorPort, `/metrics${query}`);
  assert.equal(status, 200);
  assert.equal(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  return parsePrometheusText(text);
}

test("every metric of the table is there, in its order, with its type, its labels and nothing else", async () => {
  const families = [...(await metrics()).values()];
  // Where the system does not tell about descriptors these two are not there.
  const table = METRICS.filter(({ name }) => process.platform === "linux" || !name.endsWith("_fds"));
  assert.deepEqual(families.map(({ name }) => name), table.map(({ name }) => name));
  for (const [index, { samples, type }] of families.entries()) {
    const metric = table[index]!; // As many as families.
    assert.equal(type, metric.type);
    for (const { labels } of samples) {
      assert.deepEqual([...labels.keys()].filter((label) => label !== "le"), metric.labels);
    }
  }
});

test("lag of durables and groups: in messages, in seconds, pending, stalled, members", async () => {
  const families = await metrics();
  const of = (name: string, durable: string, queue: string, clientId: string) =>
    valueOf(families, `stanchion_subscription_${name}`, { channel: "orders", client_id: clientId, durable, queue });
  assert.equal(of("lag_messages", "slow", "", "metered"), 5);
  assert.equal(of("pending_messages", "slow", "", "metered"), 2);
  assert.equal(of("stalled", "slow", "", "metered"), 1);
  assert.equal(of("members", "slow", "", "metered"), 1);
  const ageSeconds = of("lag_seconds", "slow", "", "metered");
  assert.ok(ageSeconds > 0 && ageSeconds < 3600, `${ageSeconds}`);
  assert.equal(of("lag_messages", "team", "workers", ""), 0);
  assert.equal(of("lag_seconds", "team", "workers", ""), 0);
  assert.equal(of("members", "team", "workers", ""), 1);
});

test("histograms: each publish is in the latency, each waited flush in the flushes, each turn counted", () => {
  const count = (name: string) =>
    initial.get(name)?.samples.find((sample) => sample.name === `${name}_count`)?.value ?? -1;
  assert.equal(count("stanchion_publish_seconds"), 7);
  assert.ok(count("stanchion_store_flush_seconds") >= 7, "one by one, each with a flush of its own");
  const turns = initial.get("stanchion_turn_requests")?.samples ?? [];
  const sum = turns.find((sample) => sample.name.endsWith("_sum"))?.value ?? 0;
  // One connect, seven publishes, three subscriptions, five acknowledgements.
  assert.ok(sum >= 16, `${sum}`);
});

test("12.3: the exporter's streaming metrics say what the pages say", async () => {
  const families = await metrics();
  const serverz = await askJson(server.monitorPort, "/streaming/serverz");
  const labels = { server_id: String(serverz["server_id"]) };
  for (
    const [name, field] of [["bytes_total", "total_bytes"], ["msgs_total", "total_msgs"], ["channels", "channels"], [
      "subscriptions",
      "subscriptions",
    ], ["clients", "clients"]] as const
  ) {
    assert.equal(valueOf(families, `nss_server_${name}`, labels), serverz[field], name);
  }
  const { channels } = await askJson(server.monitorPort, "/streaming/channelsz?subs=1") as {
    channels: Readonly<Record<string, unknown>>[];
  };
  assert.deepEqual(channels.map(({ name }) => name), ["fence", ODD_NAME, "orders", "refusing"]);
  for (const { name, msgs, bytes, last_seq: lastSequence } of channels) {
    const channel = { ...labels, channel: String(name) };
    assert.equal(valueOf(families, "nss_chan_msgs_total", channel), msgs);
    assert.equal(valueOf(families, "nss_chan_bytes_total", channel), bytes);
    assert.equal(valueOf(families, "nss_chan_last_seq", channel), lastSequence);
  }
  const members = families.get("nss_chan_subs_last_sent")?.samples ?? [];
  const member = members.find((sample) => sample.labels.get("queue_name") === "workers");
  assert.equal(member?.labels.get("durable_name"), "team");
  assert.equal(member?.labels.get("is_durable"), "true");
  assert.equal(member?.labels.get("is_offline"), "false");
  assert.equal(member?.value, 5);
});

test("12.3: gnatsd_varz_ has every numeric field of varz, and its texts as labels", async () => {
  const families = await metrics();
  const varz = await askJson(server.monitorPort, "/varz");
  const labels = { server_id: String(varz["server_id"]) };
  const numbers = Object.entries(varz).filter(([, value]) => typeof value === "number").map(([field]) => field);
  assert.ok(numbers.length > 25);
  for (const field of numbers) assert.ok(families.has(`gnatsd_varz_${field}`), field);
  for (const field of VARZ_TEXTS) {
    assert.equal(valueOf(families, `gnatsd_varz_${field}`, { ...labels, value: String(varz[field]) }), 1);
  }
  assert.equal(valueOf(families, "gnatsd_varz_connections", labels), 5, "one client and four of the server's own");
  const connz = await askJson(server.monitorPort, "/connz");
  assert.equal(valueOf(families, "gnatsd_connz_num_connections", labels), connz["num_connections"]);
  assert.equal(valueOf(families, "gnatsd_connz_total", labels), connz["total"]);
});

test("what the page leaves out is counted", async () => {
  const all = await metrics();
  assert.equal(valueOf(all, "stanchion_metrics_truncated", { kind: "channels" }), 0);
  assert.equal(valueOf(all, "stanchion_metrics_truncated", { kind: "subscriptions" }), 0);
  const one = await metrics("?channels=1");
  assert.deepEqual(one.get("stanchion_channel_messages")?.samples.map(({ labels }) => labels.get("channel")), [
    "fence",
  ]);
  assert.equal(valueOf(one, "stanchion_metrics_truncated", { kind: "channels" }), 3);
  const none = await metrics("?channels=0");
  assert.equal(none.has("stanchion_channel_messages"), false);
  assert.equal(none.has("nss_chan_subs_last_sent"), false);
  assert.equal(valueOf(none, "stanchion_metrics_truncated", { kind: "channels" }), 0, "nobody asked for them");
  assert.equal(valueOf(none, "stanchion_channels"), 4);
  const few = await metrics("?subscriptions=1");
  assert.equal(few.get("nss_chan_subs_last_sent")?.samples.length, 1);
  assert.equal(few.get("stanchion_subscription_lag_messages")?.samples.length, 1);
  assert.ok(valueOf(few, "stanchion_metrics_truncated", { kind: "subscriptions" }) >= 3);
  const wrong = await ask(server.monitorPort, "/metrics?channels=x");
  assert.deepEqual([wrong.status, wrong.text.slice(0, 41)], [400, "Error decoding int for 'channels': strcon"]);
});

test("decisions 16: a store that refuses shows as read-only, with the disk's free bytes", async () => {
  assert.equal(valueOf(await metrics(), "stanchion_store_read_only"), 0);
  assert.ok(valueOf(await metrics(), "stanchion_store_free_bytes") > 0);
  const messages = server.core?.find("refusing")?.messages;
  assert.ok(messages);
  // What a store says whose disk takes nothing; a real one would try again by itself at any moment.
  const reason = "stan: not stored: the test does not want it";
  for (
    const [name, get] of [["refusal", () => reason], ["lastError", () => reason], ["append", () => () => -1]] as const
  ) {
    Object.defineProperty(messages, name, { get });
  }
  await assert.rejects(publish(client, "refusing", "refused"), /the test does not want it/);
  const families = await metrics();
  assert.equal(valueOf(families, "stanchion_store_read_only"), 1);
  assert.equal(valueOf(families, "stanchion_store_read_only_channels"), 1);
  assert.equal(valueOf(families, "stanchion_store_refused_messages_total"), 1);
});
