/**
 * The core pages against answers of the reference (tests/golden/monitor), with everything that differs from run to run
 * masked. `NATS_ORACLE=/usr/sbin/nats-server` holds the reference itself against the same answers;
 * STANCHION_WRITE_GOLDEN=1 together with it records them anew.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { ROOT } from "../../../scripts/project.ts";
import { withConfig } from "../../helpers/configured_server.ts";
import { ask, monitorPortOf } from "../../helpers/monitor_client.ts";
import { ORACLE, type RawClient } from "../../helpers/nats_server.ts";

const isOracle = ORACLE !== undefined && ORACLE !== "";
const GOLDEN = join(ROOT, "tests/golden/monitor/core_pages.json");

/** One answer, as far as it is the same in every run. */
interface GoldenAnswer {
  readonly status: number;
  readonly type: string;
  readonly hasLength: boolean;
  readonly location: string;
  readonly body: readonly string[];
}

/** Two accounts, so that names of accounts are shown. */
const CONFIG =
  'http: "127.0.0.1:-1"\naccounts { A { users [ {user: a, password: a}, {user: c, password: c} ] }, B { users [ {user: b, password: b} ] } }\n';
/** The same with a base path, a limit, a token and a WebSocket port. */
const OTHER_CONFIG = [
  'http: "127.0.0.1:-1"',
  'http_base_path: "/nats"',
  "max_subscriptions: 5",
  'authorization { token: "hidden" }',
  'websocket { listen: "127.0.0.1:-1", no_tls: true, compression: true, handshake_timeout: "2s", same_origin: true, allowed_origins: ["http://a"] }',
  "",
].join("\n");

/** CID and PORT stand for those of the first client. */
const PATHS: readonly string[] = [
  "/varz",
  "/varz?callback=show",
  "/connz",
  "/connz?auth=1",
  "/connz?subs=1&cid=CID",
  "/connz?subs=TRUE&cid=CID",
  "/connz?subs=detail&auth=true&cid=CID",
  "/connz?subs=DETAIL&cid=CID",
  "/connz?state=closed",
  "/connz?state=closed&subs=1&auth=1&sort=stop",
  "/connz?state=any&limit=1",
  "/connz?state=ALL&offset=2",
  "/connz?sort=subs&limit=1",
  "/connz?sort=msgs_from&limit=1",
  "/connz?sort=bytes_to&limit=1",
  "/connz?user=a",
  "/connz?user=c&auth=1",
  "/connz?acc=A",
  "/connz?acc=A&auth=1&state=closed",
  "/connz?acc=nope",
  "/connz?mqtt_client=x",
  "/connz?cid=4711",
  "/connz?offset=5",
  "/connz?limit=-3&offset=-2",
  "/connz?limit=",
  "/connz?auth=",
  "/connz?filter_subject=foo",
  "/connz?sort=bad",
  "/connz?sort=stop",
  "/connz?sort=reason&state=any",
  "/connz?state=zzz",
  "/connz?auth=zzz",
  "/connz?subs=zz",
  "/connz?limit=x",
  "/connz?limit=+5",
  "/connz?limit=1_0",
  "/connz?limit=99999999999999999999",
  "/connz?offset=x",
  "/connz?cid=x",
  "/connz?cid=-1",
  "/connz?cid=99999999999999999999",
  "/connz?sort=bad&callback=f",
  "/routez",
  "/routez?subs=detail",
  "/routez?subs=zz",
  "/gatewayz",
  "/gatewayz?gw_name=x",
  "/gatewayz?accs=zz",
  "/leafz",
  "/leafz?acc=x&subs=1",
  "/leafz?subs=zz",
  "/subsz",
  "/subscriptionsz",
  "/subsz?subs=1&test=foo.x",
  "/subsz?subs=1&test=foo.bar&acc=A",
  "/subsz?subs=1&test=nobody.here",
  "/subsz?subs=1&offset=100&acc=A",
  "/subsz?subs=1&test=a.*",
  "/subsz?subs=1&acc=nope",
  "/subsz?subs=zz",
  "/subsz?offset=x",
  "/subsz?limit=x",
  "/accountz?acc=nope",
  "/accstatz",
  "/accstatz?unused=zz",
  "/jsz",
  "/jsz?acc=A&streams=1&consumers=1&config=1",
  "/jsz?accounts=zz",
  "/jsz?limit=x",
  "/jsz?leader-only=1",
  "/healthz",
  "/healthz?js-enabled=1&js-server-only=1",
  "/healthz?js-enabled=zz",
  "/healthz?callback=f",
  "/ipqueuesz",
  "/ipqueuesz?all=zz",
  "/",
  "/nope",
  "/varz/",
  "/VARZ",
  "//varz",
  "/./varz?x=1",
  "/varz/.",
  "//leafz//x/?a=b&c=d",
  "/connz/../nope",
  // The last one: reference 2.9.10 shows the details of closed connections to everybody once somebody has asked for them.
  "/connz?state=closed&subs=detail&sort=reason",
];
const OTHER_PATHS: readonly string[] = ["/nats/varz", "/nats/healthz", "/nats", "/nats/", "/varz", "/", "//nats/varz"];

/** Lines of which the values say nothing. A field that is there in one of both only stays visible. */
const MASKS: readonly (readonly [RegExp, string])[] = [
  [/"(server_id|server_name|version|go)": "[^"]+"/, '"$1": "TEXT"'],
  [
    /"(now|start|stop|last_activity|config_load_time|update_time)": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"/,
    '"$1": "TIME"',
  ],
  [/"(uptime|idle)": "(\d+[ydhm])*\d+s"/, '"$1": "DURATION"'],
  [/"rtt": "(\d+(\.\d+)?(ns|µs|ms|s))+"/, '"rtt": "DURATION"'],
  [/"(mem|cores|gomaxprocs|max_connections|total_connections|cid)": \d+/, '"$1": 0'],
  // Ports are the system's choice; the subscriptions of the reference's own system account are not ours.
  [/"(port|http_port)": -?[1-9]\d*/, '"$1": 1'],
  [/"(num_subscriptions|num_cache|num_inserts|num_removes|num_matches|max_fanout)": \d+/, '"$1": 0'],
  [/"(cpu|cache_hit_rate|avg_fanout)": \d+(\.\d+)?/, '"$1": 0'],
];

function masked(path: string, text: string): string[] {
  // What a page for people says is ours.
  if (/^\s*(<!DOCTYPE html>|<html)/.test(text)) return ["HTML"];
  const isVarz = path.includes("varz");
  const isSent = path.includes("accstatz");
  return text.split("\n").map((line) => {
    for (const [pattern, replacement] of MASKS) line = line.replace(pattern, replacement);
    if (isVarz) line = line.replace(/"subscriptions": \d+/, '"subscriptions": 0').replace(/"\/\w*": \d+/, '"PAGE": 0');
    // Reference 2.9.10 counts what the clients of an account publish for another one.
    if (isSent) line = line.replace(/"(msgs|bytes)": \d+/, '"$1": 0');
    // Reference 2.9.24 has it, 2.9.10 has not.
    return line.replace('"system_account": "$SYS",', '"system_account": "$SYS"');
  }).filter((line) => line !== '  "ocsp_peer_cache": {}');
}

/** Who has asked for what differs with the order of the tests. */
function withoutPages(body: string[]): string[] {
  return body.filter((line) => !/^\s*"PAGE": 0,?$/.test(line));
}

async function answerOf(port: number, path: string): Promise<GoldenAnswer> {
  const { status, headers, text } = await ask(port, path);
  return {
    status,
    type: String(headers["content-type"] ?? ""),
    hasLength: headers["content-length"] !== undefined && !String(headers["content-type"]).includes("html"),
    location: String(headers["location"] ?? ""),
    body: withoutPages(masked(path, text)),
  };
}

const answers = new Map<string, GoldenAnswer>();

/** The clients that the pages show: one that subscribes and publishes, one that does nothing, and two that are gone. */
async function scene(
  client: (options?: Record<string, unknown>) => Promise<RawClient>,
  monitorPort: number,
): Promise<number> {
  const busy = await client({ user: "a", pass: "a", name: "n<1>", lang: "x", version: "1.2.3" });
  // One subscription each: the reference lists several in no order.
  await busy.answers("SUB foo.* q 2\r\nUNSUB 2 5\r\nPUB foo.bar 3\r\nabc\r\n", "MSG foo.bar 2 3\r\nabc\r\n");
  await (await client({ user: "c", pass: "c", name: "idle" })).quiet();
  const broken = await client({ user: "a", pass: "a", name: "broken" });
  await broken.answers("SUB x 1\r\n", "");
  broken.write("BAD\r\n");
  await broken.remainder();
  const gone = await client({ user: "a", pass: "a", name: "gone" });
  await gone.answers("SUB only.one 7\r\n", "");
  gone.end();
  await gone.remainder();
  // The page itself says when the server has noticed, and when it knows the round trip times.
  for (;;) {
    const { text } = await ask(monitorPort, "/connz?state=any");
    const { connections } = JSON.parse(text) as { connections: { name: string; cid: number; stop?: string }[] };
    if (connections.filter((one) => one.stop !== undefined).length === 2) {
      return connections.find((one) => one.name === "n<1>")?.cid ?? 0;
    }
  }
}

before(async () => {
  const options = { programName: "nats-server" };
  await withConfig(CONFIG, async ({ lines, client }) => {
    const port = monitorPortOf(lines.join("\n"));
    const cid = await scene(client, port);
    for (const path of PATHS) answers.set(path, await answerOf(port, path.replace("CID", String(cid))));
  }, options);
  await withConfig(OTHER_CONFIG, async ({ lines }) => {
    const port = monitorPortOf(lines.join("\n"));
    for (const path of OTHER_PATHS) answers.set(`base path: ${path}`, await answerOf(port, path));
  }, options);
  if (isOracle && process.env["STANCHION_WRITE_GOLDEN"] === "1") {
    writeFileSync(GOLDEN, `${JSON.stringify(Object.fromEntries(answers), undefined, 1)}\n`);
  }
});

after(() => answers.clear());

describe("operations.md 5.8, 5.1: core pages as the reference answers them", () => {
  const golden = JSON.parse(readFileSync(GOLDEN, "utf8")) as Readonly<Record<string, GoldenAnswer>>;
  for (const [path, expected] of Object.entries(golden)) {
    it(path, () => assert.deepEqual(answers.get(path), expected));
  }
  it("every page that is asked for was recorded", () => {
    const asked = [...PATHS, ...OTHER_PATHS.map((path) => `base path: ${path}`)];
    assert.deepEqual(Object.keys(golden).sort(), asked.sort());
  });
});
