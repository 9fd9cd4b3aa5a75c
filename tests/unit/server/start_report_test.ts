/** What the log says about the options before anything happens. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCommandLine } from "../../../src/config/options.ts";
import { startReport } from "../../../src/server/start_report.ts";

function report(config: string, ...args: string[]): string[] {
  const sources = {
    readFile: () => ({ ok: true, text: config || "x: 1" }) as const,
    env: () => undefined,
  };
  const parsed = parseCommandLine(["-c", "f.conf", ...args], "stanchion", sources);
  assert.ok(parsed.kind === "run", JSON.stringify(parsed));
  return startReport(parsed.options).map(({ level, text }) => `${level}: ${text}`);
}

const FILE = ["-store", "FILE", "-dir", "d"];

test("operations 13.43: who says nothing is told nothing; so is who asks for the safe way", () => {
  assert.deepEqual(report(""), []);
  assert.deepEqual(report("", ...FILE), []);
  assert.deepEqual(report("", ...FILE, "-file_sync", "-file_crc", "-file_auto_sync", "30s", "-mm", "1000000"), []);
  assert.deepEqual(report("http: 127.0.0.1:8222"), []);
  assert.deepEqual(report("", "-a", "::1", "-m", "8222"), []);
});

for (
  const [args, ...lines] of [
    ["-file_sync=false", /^warning: file_sync is off: a power cut loses .*, those of the last 1m0s$/],
    ["-file_sync=false -file_auto_sync 0", /^warning: file_sync is off: .* any number of them, because file_auto_sync/],
    ["-file_auto_sync 0", /^warning: file_auto_sync is off: .*delivered again/],
    ["-file_auto_sync 5m", /^info: file_auto_sync is 5m0s: /],
    ["-file_crc=false", /^warning: file_crc is off: /],
    ["-file_truncate_bad_eof", /^warning: file_truncate_bad_eof changes nothing: /],
    ["-mm 10", /^info: Limits remove messages .*: beyond 10 messages$/],
    ["-mb 10KB -ma 1h", /^info: Limits remove messages .*: beyond 10\.00 KB, older than 1h0m0s$/],
    ["-ma 1h -file_slice_archive_script s.sh", /: older than 1h0m0s, the archive script gets their slices$/],
    ["-mm 0 -mb 0"],
    ["-mi 24h", /^info: max_inactivity removes a channel .* 24h0m0s$/],
    ["-io_batch_size 5", /^warning: io_batch_size and io_sleep_time have no effect/],
    ["-io_sleep_time 5", /^warning: io_batch_size and io_sleep_time have no effect/],
    // Warnings first.
    ["-mm 10 -file_crc=false", /^warning: file_crc/, /^info: Limits/],
  ] as const
) {
  test(`operations 3.4, stores 5.1: ${args}: ${lines.length} line(s)`, () => {
    const found = report("", ...FILE, ...args.split(" "));
    assert.equal(found.length, lines.length, found.join("\n"));
    for (const [i, line] of lines.entries()) assert.match(found[i] ?? "", line);
  });
}

test("operations 3.2: a directory beside the MEMORY store is a mistake that costs all messages", () => {
  assert.match(
    report("", "-dir", "d")[0] ?? "",
    /^warning: The store is MEMORY: nothing is written to d, .*-store FILE$/,
  );
  // What belongs to files is not told then.
  assert.equal(report("", "-dir", "d", "-file_crc=false").length, 1);
  assert.match(report("", "-encryption_key", "k")[0] ?? "", /^info: The store is MEMORY: encryption protects nothing/);
});

test("operations 5.1: a monitoring port that others reach", () => {
  assert.match(
    report("", "-m", "8222")[0] ?? "",
    /^info: The monitoring port is open to everybody who reaches 0\.0\.0\.0: /,
  );
  assert.equal(report("http: 10.0.0.5:8222").length, 1);
  assert.equal(report("http: localhost:8222").length, 0);
});

test("the console: a token in clear, a short one, one without a port, and messages for everybody", () => {
  const long = "a".repeat(16);
  const consoleOf = (text: string, more = "") => report(`${more}\nstreaming { console { ${text} } }`);
  assert.deepEqual(consoleOf(`token: ${long}`, "http: 127.0.0.1:8222"), []);
  assert.match(consoleOf(`token: ${long}`)[0] ?? "", /^info: A console token is set, but there is no console/);
  assert.match(
    consoleOf(`token: ${long}`, "http: 8222")[0] ?? "",
    /^warning: The console token crosses the network in clear/,
  );
  assert.match(consoleOf("token: short", "http: 127.0.0.1:8222")[0] ?? "", /^warning: The console token is shorter/);
  assert.match(
    consoleOf("browse: true", "http: 8222")[0] ?? "",
    /^warning: console \{ browse: true \} shows all messages/,
  );
  assert.equal(consoleOf(`browse: true, enabled: false, token: ${long}`, "http: 8222").length, 1);
  for (const line of consoleOf(`token: ${long}`, "http: 8222")) assert.ok(!line.includes(long));
});

test("decisions 1: the core server alone has no store and no console", () => {
  const parsed = parseCommandLine(["-m", "8222"], "nats-server");
  assert.ok(parsed.kind === "run");
  assert.equal(startReport(parsed.options).length, 1);
});
