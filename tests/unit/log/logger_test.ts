import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultOptions } from "../../../src/config/options.ts";
import { datedLine, openLog } from "../../../src/log/open_log.ts";
import { RateLimitedWarner } from "../../../src/log/rate_limit.ts";
import { FileSink, LogError, StderrSink } from "../../../src/log/sinks.ts";
import { makeHost, NOW_NS } from "./helpers.ts";

const SETTINGS = defaultOptions().log;
const ALL = { ...SETTINGS, debug: true, trace: true, streamingDebug: true, streamingTrace: true };

test("operations 3.1: the golden sample of a line, streaming and core", () => {
  const host = makeHost();
  const log = openLog(SETTINGS, host);
  log.streaming.info("Starting nats-streaming-server[test-cluster] version 0.25.6");
  log.core.info("  Version:  2.9.24");
  assert.deepEqual(host.err, [
    "[15865] 2026/11/20 20:56:16.684174 [INF] STREAM: Starting nats-streaming-server[test-cluster] version 0.25.6\n",
    "[15865] 2026/11/20 20:56:16.684174 [INF]   Version:  2.9.24\n",
  ]);
});

test("operations 13.42: every level matches the form; without logtime the date part is missing", () => {
  const levels = ["INF", "WRN", "ERR", "FTL", "DBG", "TRC"];
  for (const time of [true, false]) {
    const host = makeHost();
    const { core } = openLog({ ...ALL, time }, host);
    core.info("x");
    core.warn("x");
    core.error("x");
    core.fatal("x");
    core.debug("x");
    core.trace("x");
    const form = time
      ? /^\[\d+\] \d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d\.\d{6} \[(INF|DBG|WRN|ERR|FTL|TRC)\] x\n$/
      : /^\[\d+\] \[(INF|DBG|WRN|ERR|FTL|TRC)\] x\n$/;
    assert.deepEqual(host.err.map((line) => form.exec(line)?.[1]), levels);
  }
});

test("operations 3.1: local time, and the date changes with the zone", () => {
  const host = makeHost({ zoneMinutes: 540 });
  const log = openLog(SETTINGS, host);
  log.core.info("x");
  host.nowNs = NOW_NS + 1_000_000_000n - 684_173_123n;
  log.core.info("y");
  host.nowNs += 3_000_000n;
  log.core.info("z");
  assert.deepEqual(host.err, [
    "[15865] 2026/11/21 05:56:16.684174 [INF] x\n",
    "[15865] 2026/11/21 05:56:17.000001 [INF] y\n",
    "[15865] 2026/11/21 05:56:17.003001 [INF] z\n",
  ]);
});

test("operations 13.46: colours on a terminal, no escape elsewhere", () => {
  const terminal = makeHost({ errIsTerminal: true });
  const log = openLog({ ...ALL, time: false }, terminal).core;
  log.info("x");
  log.debug("x");
  log.warn("x");
  log.error("x");
  log.fatal("x");
  log.trace("x");
  const labels = [["32", "INF"], ["36", "DBG"], ["0;93", "WRN"], ["31", "ERR"], ["31", "FTL"], ["33", "TRC"]];
  assert.deepEqual(terminal.err, labels.map(([code, level]) => `[15865] [\u001b[${code}m${level}\u001b[0m] x\n`));

  const file = makeHost({ errIsTerminal: true });
  openLog({ ...SETTINGS, file: "f.log" }, file).core.info("x");
  assert.equal(file.files.text("f.log").includes("\u001b"), false);
});

test("operations 13.49: streaming and core switches are independent", () => {
  const host = makeHost();
  const log = openLog({ ...SETTINGS, time: false, streamingDebug: true, streamingTrace: true }, host);
  assert.deepEqual([log.core.debugEnabled, log.core.traceEnabled], [false, false]);
  assert.deepEqual([log.streaming.debugEnabled, log.streaming.traceEnabled], [true, true]);
  log.core.debug("x");
  log.core.trace("x");
  log.streaming.debug("x");
  log.streaming.trace("x");
  assert.deepEqual(host.err, ["[15865] [DBG] STREAM: x\n", "[15865] [TRC] STREAM: x\n"]);
  log.setSwitches({ debug: true, trace: false }, { debug: false, trace: false });
  log.core.debug("y");
  log.streaming.debug("y");
  assert.equal(host.err.at(-1), "[15865] [DBG] y\n");
});

test("one call is one line: control characters of a client cannot forge another", () => {
  const host = makeHost();
  openLog({ ...SETTINGS, time: false }, host).streaming.warn('Channel "a\n[1] [INF] x\u001b[2J 100%"');
  assert.deepEqual(host.err, ['[15865] [WRN] STREAM: Channel "a\\n[1] [INF] x\\x1b[2J 100%"\n']);
});

test("operations 3.5: a file that cannot be opened is a typed error, told in the dated form", () => {
  const host = makeHost();
  host.files.failing.add("openAppend");
  assert.throws(() => openLog({ ...SETTINGS, file: "f.log" }, host), (error) => {
    assert.equal(error instanceof LogError, true);
    if (!(error instanceof LogError)) return false;
    assert.equal(error.code, "LOG_FILE_NOT_OPENED");
    assert.equal(error.message, "error opening file: open f.log: openAppend refused");
    assert.equal(
      datedLine(host, error.message),
      "2026/11/20 20:56:16 error opening file: open f.log: openAppend refused\n",
    );
    return true;
  });
});

test("operations 3.5, 13.47: rotation after the write that exceeds the limit", () => {
  const host = makeHost();
  const log = openLog({ ...SETTINGS, file: "f.log", sizeLimitBytes: 84 }, host);
  const line = "[15865] 2026/11/20 20:56:16.684174 [INF] x\n";
  assert.equal(line.length, 43);
  log.core.info("x");
  assert.equal(host.files.contents.size, 1);
  log.core.info("x");
  const backup = "f.log.2026.11.20.20.56.16.684174123";
  assert.equal(host.files.text(backup), line + line);
  const note = `[15865] 2026/11/20 20:56:16.684174 [INF] Rotated log, backup saved as "${backup}"\r\n`;
  assert.equal(host.files.text("f.log"), note);
  assert.equal(host.files.openCount, 1);
});

test("operations 3.5: exactly the limit does not rotate, one byte more does; bytes count, not letters", () => {
  const host = makeHost();
  const log = openLog({ ...SETTINGS, time: false, file: "f.log", sizeLimitBytes: 18 }, host);
  log.core.info("\u00e9x");
  assert.equal(host.files.contents.size, 1);
  host.files.contents.clear();
  const other = openLog({ ...SETTINGS, time: false, file: "g.log", sizeLimitBytes: 17 }, host);
  other.core.info("\u00e9x");
  assert.equal(host.files.contents.size, 2);
});

test("operations 3.5: a file that is too long at start is rotated at once; existing size counts", () => {
  const host = makeHost();
  host.files.writeText("f.log", "old\n".repeat(10));
  openLog({ ...SETTINGS, time: false, file: "f.log", sizeLimitBytes: 39 }, host);
  const backup = host.files.text("f.log.2026.11.20.20.56.16.684174123");
  assert.equal(backup, "old\n".repeat(10) + "[15865] [INF] Rotating logfile...\n");

  const within = makeHost();
  within.files.writeText("f.log", "old\n".repeat(10));
  const log = openLog({ ...SETTINGS, time: false, file: "f.log", sizeLimitBytes: 40 }, within);
  assert.equal(within.files.contents.size, 1);
  log.core.info("x");
  assert.equal(within.files.contents.size, 2);
});

test("a rotation that fails goes on in the same file and is tried again at twice the size", () => {
  const host = makeHost();
  host.files.failing.add("rename");
  const log = openLog({ ...SETTINGS, time: false, file: "f.log", sizeLimitBytes: 10 }, host);
  log.core.info("x");
  log.core.info("y");
  assert.equal(host.err.length, 1);
  assert.match(host.err[0] ?? "", /cannot be rotated, next attempt at 32 bytes: rename refused\n$/);
  host.files.failing.clear();
  log.core.info("z");
  assert.equal(host.files.contents.size, 2);
  assert.match(host.files.text("f.log"), /Rotated log/);
});

test("a full disk loses lines, not the process; the gap is named when writing works again", () => {
  const host = makeHost();
  const log = openLog({ ...SETTINGS, time: false, file: "f.log" }, host);
  log.core.info("a");
  host.files.failing.add("write");
  log.core.info("b");
  log.core.info("c");
  assert.equal(host.err.length, 1);
  assert.equal(host.err[0], "2026/11/20 20:56:16 log file f.log cannot be written: write refused\n");
  host.files.failing.clear();
  log.core.info("d");
  assert.equal(
    host.files.text("f.log"),
    "[15865] [INF] a\n[15865] [INF] 2 log line(s) before this one were lost\n[15865] [INF] d\n",
  );
});

test("operations 3.5, 13.48: re-opening follows a moved file; other targets say that they ignore it", () => {
  const host = makeHost();
  const log = openLog({ ...SETTINGS, time: false, file: "f.log" }, host);
  log.core.info("a");
  host.files.rename("f.log", "moved.log");
  log.reopen();
  log.reopen(log.core);
  assert.equal(host.files.text("moved.log"), "[15865] [INF] a\n");
  assert.equal(
    host.files.text("f.log"),
    "[15865] [INF] STREAM: File log re-opened\n[15865] [INF] File log re-opened\n",
  );
  assert.equal(host.files.openCount, 1);
  host.files.failing.add("openAppend");
  log.reopen();
  assert.match(host.files.text("f.log"), /\[ERR\] STREAM: File log could not be re-opened/);
  log.close();
  log.core.info("after the end");
  assert.equal(host.files.openCount, 0);

  const stderr = makeHost();
  openLog({ ...SETTINGS, time: false }, stderr).reopen();
  assert.deepEqual(stderr.err, ["[15865] [INF] STREAM: File log re-open ignored, not a file logger\n"]);
});

test("a closed stderr does not stop the process", () => {
  const sink = new StderrSink({
    writeErr() {
      throw new Error("broken pipe");
    },
  });
  sink.write("x\n");
});

test("a file sink that lost its file opens it again by itself", () => {
  const host = makeHost();
  const trouble: string[] = [];
  const sink = new FileSink({
    path: "f.log",
    sizeLimitBytes: 3,
    files: host.files,
    backupSuffix: () => "bak",
    formatNote: (text) => text,
    trouble: (text) => {
      trouble.push(text);
    },
  });
  host.files.failing.add("openAppend");
  sink.write("long line\n");
  sink.write("lost\n");
  assert.equal(trouble.length, 1);
  host.files.failing.clear();
  sink.write("ok\n");
  assert.equal(host.files.text("f.log.bak").startsWith("2 log line(s) before this one were lost\nok\n"), true);
});

test("decisions 20: a repeated warning is written once per interval and key, with the number left out", () => {
  const host = makeHost();
  const { streaming } = openLog({ ...SETTINGS, time: false }, host);
  let nowMs = 0;
  const warner = new RateLimitedWarner(streaming, { monotonicMs: () => nowMs, intervalMs: 100, keyCountMax: 2 });
  assert.equal(warner.warn("a", "first"), true);
  nowMs = 99;
  assert.equal(warner.warn("a", () => assert.fail("must not be built")), false);
  assert.equal(warner.warn("b", "other"), true);
  nowMs = 100;
  assert.equal(warner.warn("a", () => "again"), true);
  assert.deepEqual(host.err.map((line) => line.slice("[15865] [WRN] STREAM: ".length, -1)), [
    "first",
    "other",
    "again (1 more since the last line)",
  ]);
  // "b" was written longest ago and is forgotten for "c"; "a" is still known.
  assert.equal(warner.warn("c", "third"), true);
  assert.equal(warner.warn("a", "x"), false);
  assert.equal(warner.warn("b", "x"), true);
});
