/** Log lines in the form of a syslog (operations.md 3.6). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultOptions } from "../../../src/config/options.ts";
import { openLog } from "../../../src/log/open_log.ts";
import { LogError } from "../../../src/log/sinks.ts";
import { formatSyslog, syslogTarget } from "../../../src/log/syslog.ts";
import { RuntimeError, type SyslogLink, type SyslogTarget } from "../../../src/runtime/types.ts";
import { makeHost } from "./helpers.ts";

const SETTINGS = defaultOptions().log;
const STYLE = { kind: "udp", hostName: "HOST", programName: "nats-streaming-server", pid: 77 } as const;

/** A syslog that can be full or away. */
class FakeLink implements SyslogLink {
  readonly hostName = "HOST";
  readonly messages: string[] = [];
  isFull = false;
  closeCount = 0;

  constructor(readonly opened: Promise<void> = Promise.resolve()) {}

  send(message: string): boolean {
    if (!this.isFull) this.messages.push(message);
    return !this.isFull;
  }

  close(): Promise<void> {
    this.closeCount++;
    return Promise.resolve();
  }
}

function open(settings: Partial<typeof SETTINGS>, link: FakeLink, zoneMinutes = 0) {
  const targets: SyslogTarget[] = [];
  const host = makeHost({
    errIsTerminal: true,
    zoneMinutes,
    openSyslog(target) {
      targets.push(target);
      return link;
    },
  });
  return { host, targets, log: openLog({ ...SETTINGS, ...settings }, host) };
}

test("operations 13.50: a packet is what the reference sends: priority, time, host, program, and no level or time of ours", () => {
  const at = Date.UTC(2026, 10, 20, 21, 16, 59, 999);
  assert.equal(
    formatSyslog(STYLE, "INF", "STREAM: Shutting down.", at, 0),
    "<5>2026-11-20T21:16:59Z HOST nats-streaming-server[77]: STREAM: Shutting down.\n",
  );
  assert.match(formatSyslog(STYLE, "INF", "x", at, 540), /^<5>2026-11-21T06:16:59\+09:00 HOST /);
  assert.match(formatSyslog(STYLE, "INF", "x", at, -210), /^<5>2026-11-20T17:46:59-03:30 HOST /);
});

test("operations 3.6: severities, with the facility of a daemon for the local syslog and of the kernel for others", () => {
  const priorities = (kind: "local" | "udp") =>
    (["FTL", "ERR", "WRN", "INF", "TRC", "DBG"] as const).map((level) =>
      Number(/^<(\d+)>/.exec(formatSyslog({ ...STYLE, kind }, level, "x", 0, 0))?.[1])
    );
  assert.deepEqual(priorities("local"), [26, 27, 28, 29, 29, 31]);
  assert.deepEqual(priorities("udp"), [2, 3, 4, 5, 5, 7]);
});

test("operations 3.6: through a socket of this machine: a short time and no host", () => {
  const at = Date.UTC(2026, 10, 3, 4, 5, 6);
  assert.equal(
    formatSyslog({ ...STYLE, kind: "unix" }, "WRN", "a\nb", at, 60),
    "<4>Nov  3 05:05:06 nats-streaming-server[77]: a\\nb\n",
  );
  assert.match(formatSyslog({ ...STYLE, kind: "local" }, "WRN", "x", at, 0), /^<28>Nov {2}3 04:05:06 nats-/);
});

test("operations 3.6: targets of remote_syslog, and the reference's words for others", () => {
  assert.deepEqual(syslogTarget("udp://h:1514"), { kind: "udp", host: "h", port: 1514 });
  assert.deepEqual(syslogTarget("tcp://[::1]:6514"), { kind: "tcp", host: "::1", port: 6514 });
  assert.deepEqual(syslogTarget("udp://h"), { kind: "udp", host: "h", port: 514 });
  assert.deepEqual(syslogTarget("unix:///dev/log"), { kind: "unix", path: "/dev/log" });
  for (
    const [url, message] of [
      ["foo://h:1", /^error invalid network type: "foo"\. /],
      ["h:1", /^error invalid network type: ""\. /],
      ["udp://", /^error connecting to syslog: "udp:\/\/ has no address"\. Write udp:\/\/host:port$/],
      ["tcp://h:0", /^error connecting to syslog: /],
      ["tcp://h:70000", /^error connecting to syslog: /],
    ] as const
  ) {
    assert.throws(() => syslogTarget(url), (error) => {
      assert.ok(error instanceof LogError && error.code === "LOG_SYSLOG_NOT_OPENED");
      assert.match(error.message, message);
      return true;
    });
  }
});

test("operations 1.8: a log file beats a remote syslog, that beats the local one, and that beats stderr", () => {
  const all = { file: "f.log", remoteSyslog: "udp://h:1", syslog: true };
  const first = open(all, new FakeLink());
  assert.deepEqual([first.targets, first.log.isSyslog], [[], false]);
  assert.deepEqual(open({ ...all, file: "" }, new FakeLink()).targets, [{ kind: "udp", host: "h", port: 1 }]);
  const local = open({ syslog: true }, new FakeLink());
  assert.deepEqual([local.targets, local.log.isSyslog], [[{ kind: "local" }], true]);
  assert.equal(open({}, new FakeLink()).log.isSyslog, false);
});

test("operations 3.6: lines of both halves reach the syslog, and nothing else does", () => {
  const link = new FakeLink();
  const { log, host } = open({ remoteSyslog: "udp://h:1", utc: true, debug: true }, link, 60);
  log.core.debug("a");
  log.streaming.trace("not switched on");
  log.streaming.info("b");
  log.reopen();
  assert.deepEqual(link.messages, [
    "<7>2026-11-20T20:56:16Z HOST stanchion[15865]: a\n",
    "<5>2026-11-20T20:56:16Z HOST stanchion[15865]: STREAM: b\n",
    "<5>2026-11-20T20:56:16Z HOST stanchion[15865]: STREAM: File log re-open ignored, not a file logger\n",
  ]);
  assert.deepEqual(host.err, []);
});

test("operations 3.6: lines that nobody takes are counted, told once on stderr, and named when somebody does", async () => {
  const link = new FakeLink();
  const { log, host } = open({ syslog: true }, link);
  link.isFull = true;
  log.core.info("one");
  log.core.info("two");
  link.isFull = false;
  log.core.info("three");
  const texts = link.messages.map((message) => message.replace(/^.*\]: /, ""));
  assert.deepEqual(texts, ["2 log line(s) before this one were lost\n", "three\n"]);
  assert.deepEqual(host.err, ["2026/11/20 20:56:16 the syslog does not take lines, they are lost\n"]);
  await log.close();
  assert.equal(link.closeCount, 1);
});

test("operations 3.6: a syslog that is not there, in the reference's words", async () => {
  const away = () => Promise.reject(new RuntimeError("CONNECTION_REFUSED", "Cannot reach the syslog at h:1: refused"));
  for (
    const [settings, message] of [
      [{ syslog: true }, 'error connecting to syslog: "Unix syslog delivery error"'],
      [{ remoteSyslog: "tcp://h:1" }, 'error connecting to syslog: "Cannot reach the syslog at h:1: refused"'],
    ] as const
  ) {
    const { log, host } = open(settings, new FakeLink(away()));
    await assert.rejects(log.opened, (error) => {
      assert.ok(error instanceof LogError);
      assert.equal(error.message, message);
      return true;
    });
    // Also told where nobody waits for it, as at a reload.
    assert.deepEqual(host.err, [`2026/11/20 20:56:16 ${message}\n`]);
  }
});
