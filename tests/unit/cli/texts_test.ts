/** What the commands print, piece by piece. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { benchJson, benchText, Latencies } from "../../../src/cli/bench.ts";
import { wantsColours } from "../../../src/cli/host.ts";
import { Meter, meterLine } from "../../../src/cli/meter.ts";
import { linesOf } from "../../../src/cli/pub.ts";
import type { StanMessage } from "../../../src/cli/stan_client.ts";
import { messageJson, messageText } from "../../../src/cli/sub.ts";
import {
  ageText,
  hexView,
  isReadable,
  millisText,
  parseTime,
  payloadJson,
  percentile,
  tableText,
  timeText,
} from "../../../src/cli/texts.ts";
import { FakeHost } from "./cli_support.ts";

const encode = (text: string) => new TextEncoder().encode(text);

function message(data: Uint8Array, more: Partial<StanMessage> = {}): StanMessage {
  return {
    sequence: 7,
    channel: "c",
    reply: "",
    data,
    timeNs: 1_000_000_001n,
    isRedelivered: false,
    redeliveryCount: 0,
    ...more,
  };
}

test("times keep every nanosecond, both ways", () => {
  assert.equal(timeText(1_772_000_000_123_456_789n), "2026-02-25T06:13:20.123456789Z");
  assert.equal(parseTime("2026-02-25T06:13:20.123456789Z"), 1_772_000_000_123_456_789n);
  assert.equal(parseTime("2026-02-25T07:13:20+01:00"), 1_772_000_000_000_000_000n);
  for (const wrong of ["", "2026-02-25", "12:00", "2026-13-25T06:13:20Z", "2026-02-25T06:13:20"]) {
    assert.equal(parseTime(wrong), undefined, wrong);
  }
});

test("a payload is text when it is UTF-8, else base64", () => {
  assert.deepEqual(payloadJson(encode("grüß")), { data: "grüß" });
  assert.deepEqual(payloadJson(Uint8Array.of(0xff, 0)), { data_base64: "/wA=" });
  // Longer than one call of the engine takes.
  const long = new Uint8Array(20_000).fill(0xfe);
  assert.deepEqual(payloadJson(long), { data_base64: Buffer.from(long).toString("base64") });
});

test("the hex view shows offset, bytes and what of them is text", () => {
  const bytes = Uint8Array.from({ length: 18 }, (_, i) => 0x41 + i);
  bytes[1] = 0x1b;
  assert.equal(
    hexView(bytes, "  "),
    "  00000000  41 1b 43 44 45 46 47 48  49 4a 4b 4c 4d 4e 4f 50  |A.CDEFGHIJKLMNOP|\n" +
      "  00000010  51 52                                             |QR|\n",
  );
});

test("a message is one line, several, or hexadecimal; it cannot steer a terminal", () => {
  const head = "7  1970-01-01T00:00:01.000000001Z";
  assert.equal(messageText(message(encode("hello")), false, false), `${head}  hello\n`);
  assert.equal(messageText(message(encode("")), false, false), `${head}  (empty)\n`);
  assert.equal(messageText(message(encode("a\nb\n")), false, false), `${head}\n    a\n    b\n`);
  assert.equal(
    messageText(message(encode("x"), { isRedelivered: true, redeliveryCount: 2 }), false, false),
    `${head} (delivery 3)  x\n`,
  );
  for (const text of ["\x1b[2J", "a\rb", "\u009b2J"]) {
    assert.ok(!isReadable(text));
    assert.ok(!messageText(message(encode(text)), false, false).includes(text));
  }
  assert.match(messageText(message(encode("x")), true, false), / 1 byte\n {4}00000000 {2}78 /);
  assert.equal(messageText(message(encode("x")), false, true), `\x1b[2m${head}\x1b[0m  x\n`);
});

test("a JSON line leaves out what is not there", () => {
  assert.deepEqual(messageJson(message(encode("x"))), {
    sequence: 7,
    time: "1970-01-01T00:00:01.000000001Z",
    channel: "c",
    data: "x",
  });
  const again = messageJson(message(encode("x"), { isRedelivered: true, redeliveryCount: 1, reply: "r" }));
  assert.deepEqual([again["redelivered"], again["redelivery_count"], again["reply"]], [true, 1, "r"]);
});

test("durations and ages in units that fit", () => {
  assert.deepEqual([0.95, 1.25, 350, 1200, 125_000].map(millisText), [
    "950 µs",
    "1.25 ms",
    "350 ms",
    "1.20 s",
    "2m 5s",
  ]);
  assert.deepEqual([0, 59.9, 61, 3660, 90_000].map(ageText), ["0s", "59s", "1m 1s", "1h 1m", "1d 1h"]);
});

test("a table is as wide as its cells, which cannot break out of it", () => {
  const text = tableText([{ title: "NAME" }, { title: "N", right: true }], [["ä\n", "1"], ["abcdef", "234"]]);
  assert.equal(text, "NAME      N\nä\\n       1\nabcdef  234\n");
});

test("percentiles are values that were measured", () => {
  const sorted = Float64Array.from({ length: 100 }, (_, i) => i + 1);
  assert.deepEqual([0, 0.5, 0.99, 1].map((share) => percentile(sorted, share)), [1, 50, 99, 100]);
  assert.equal(percentile(new Float64Array(0), 0.5), 0);
  const latencies = new Latencies(3);
  for (const ms of [3, 1, 2]) latencies.add(ms);
  assert.deepEqual(latencies.summary(), { p50: 2, p99: 3, max: 3 });
});

test("the report of bench says what it measures, for people and for programs", () => {
  const plan = {
    channel: "c",
    publishers: 1,
    subscribers: 2,
    messages: 1000,
    sizeBytes: 1000,
    inFlight: 1,
    storeHint: "FILE",
  };
  const figures = (messages: number) => ({ messages, tookMs: 500, latencies: { p50: 1, p99: 2, max: 3 } });
  const text = benchText(plan, { publish: figures(1000), receive: figures(2000) });
  assert.match(text, /^Channel c, messages of 1000 B, 1 in flight, store: FILE\n/);
  assert.match(text, /Published {5}2000 msgs\/s {6}2\.00 MB\/s {2}1000 messages, 1 client, 500 ms\n/);
  assert.match(text, /Server and clients together/);
  const json = JSON.parse(benchJson(plan, { publish: figures(1000), receive: undefined }));
  assert.deepEqual([json.publish.msgs_per_second, json.publish.mb_per_second, json.receive], [2000, 2, null]);
  assert.equal(json.measures, "server and clients together");
});

test("lines come without their ends, also across pieces and without a last end", async () => {
  async function* pieces(texts: readonly string[]) {
    await Promise.resolve();
    for (const text of texts) yield encode(text);
  }
  const all = async (texts: readonly string[], max = Infinity) => {
    const lines: string[] = [];
    for await (const line of linesOf(pieces(texts), max)) lines.push(new TextDecoder().decode(line));
    return lines;
  };
  assert.deepEqual(await all(["a\nb\r\n\nc"]), ["a", "b", "", "c"]);
  assert.deepEqual(await all(["a", "b\n", "c\n"]), ["ab", "c"]);
  assert.deepEqual(await all(["a\nb\nc\n"], 2), ["a", "b"]);
  assert.deepEqual(await all(["a\nb"], 1), ["a"]);
  assert.deepEqual(await all([""]), []);
});

test("progress shows on a terminal only, after a while, and goes away", () => {
  const host = new FakeHost({ isTerminal: true });
  const meter = new Meter(host, 100, "messages");
  meter.add(10);
  assert.equal(host.stderr, "");
  host.nowMs = 1000;
  meter.add(32);
  assert.equal(host.stderr, `\r${meterLine(42, 100, "messages", 1000)}\x1b[K`);
  meter.end();
  assert.ok(host.stderr.endsWith("\r\x1b[K"));
  const silent = new FakeHost();
  const other = new Meter(silent, 100, "messages");
  silent.nowMs = 1000;
  other.add(42);
  other.end();
  assert.equal(silent.stderr, "");
});

test("the line of progress: share, rate, time left; of unknown work the count", () => {
  assert.equal(
    meterLine(42, 100, "messages", 2000),
    "[============>                 ]  42 %  42 of 100 messages, 21/s, about 3s left",
  );
  assert.equal(meterLine(5, Infinity, "messages", 1000), "5 messages, 5/s");
});

test("colours are for terminals, and not with NO_COLOR", () => {
  assert.equal(wantsColours(new FakeHost({ isTerminal: true })), true);
  assert.equal(wantsColours(new FakeHost()), false);
  assert.equal(wantsColours(new FakeHost({ isTerminal: true, env: { NO_COLOR: "1" } })), false);
  assert.equal(wantsColours(new FakeHost({ isTerminal: true, env: { TERM: "dumb" } })), false);
});
