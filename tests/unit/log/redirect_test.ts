/** A log that goes to another place while it is written (operations.md 2.8, 3.5). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultOptions } from "../../../src/config/options.ts";
import { openLog, openTarget } from "../../../src/log/open_log.ts";
import { LogError } from "../../../src/log/sinks.ts";
import { makeHost } from "./helpers.ts";

const SETTINGS = { ...defaultOptions().log, time: false };

test("operations 2.8: from one file to another: the old one is closed, nothing is lost or doubled", () => {
  const host = makeHost();
  const log = openLog({ ...SETTINGS, file: "one.log" }, host);
  log.core.info("first");
  log.redirect(openTarget({ ...SETTINGS, file: "two.log" }, host));
  log.core.info("second");
  assert.equal(host.files.text("one.log"), "[15865] [INF] first\n");
  assert.equal(host.files.text("two.log"), "[15865] [INF] second\n");
  assert.equal(host.files.openCount, 1);
  // SIGUSR1 opens the file of the last reload.
  host.files.contents.delete("two.log");
  log.reopen();
  assert.equal(host.files.text("two.log"), "[15865] [INF] STREAM: File log re-opened\n");
  log.close();
  assert.equal(host.files.openCount, 0);
});

test("operations 2.8: from stderr to a file and back; colours only on a terminal", () => {
  const host = makeHost({ errIsTerminal: true });
  const log = openLog(SETTINGS, host);
  log.redirect(openTarget({ ...SETTINGS, file: "a.log" }, host));
  log.core.warn("in the file");
  log.redirect(openTarget(SETTINGS, host));
  log.core.warn("on the terminal");
  assert.equal(host.files.text("a.log"), "[15865] [WRN] in the file\n");
  assert.equal(host.files.openCount, 0);
  assert.equal(host.err.join(""), "[15865] [\x1b[0;93mWRN\x1b[0m] on the terminal\n");
});

test("operations 2.8: logtime comes and goes in the same file", () => {
  const host = makeHost();
  const log = openLog({ ...SETTINGS, file: "a.log" }, host);
  log.core.info("without");
  log.redirect(openTarget({ ...SETTINGS, file: "a.log", time: true }, host));
  log.core.info("with");
  assert.equal(host.files.text("a.log"), "[15865] [INF] without\n[15865] 2026/11/20 20:56:16.684174 [INF] with\n");
  assert.equal(host.files.openCount, 1);
});

test("operations 2.8: a file that cannot be opened leaves the log where it is", () => {
  const host = makeHost();
  const log = openLog(SETTINGS, host);
  host.files.failing.add("openAppend");
  assert.throws(() => openTarget({ ...SETTINGS, file: "a.log" }, host), LogError);
  log.core.info("still here");
  assert.equal(host.err.join(""), "[15865] [INF] still here\n");
});

test("operations 2.8: a silent log is known as one", () => {
  const host = makeHost();
  assert.equal(openLog(SETTINGS, host, "silent").isSilent, true);
  assert.equal(openLog(SETTINGS, host).isSilent, false);
});
