/** What the page makes of the server's figures, payloads and addresses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Overview } from "../../../../src/monitor/console/page/app/api.ts";
import {
  bytes,
  count,
  duration,
  fromBase64,
  hexDump,
  prettyJson,
  rate,
  short,
  showPayload,
} from "../../../../src/monitor/console/page/app/format.ts";
import { GAP_S, History, WINDOW_S } from "../../../../src/monitor/console/page/app/history.ts";
import { hashOf, parseHash } from "../../../../src/monitor/console/page/app/route.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

test("figures: exact where there is room, short where there is none", () => {
  assert.deepEqual([0, 999, 1_234_567, Number.MAX_SAFE_INTEGER].map(count), [
    "0",
    "999",
    "1,234,567",
    "9,007,199,254,740,991",
  ]);
  assert.deepEqual([0, 9999, 10_000, 12_345_678].map(short), ["0", "9,999", "10K", "12.3M"]);
  assert.deepEqual([0, 0.04, 0.5, 9.96, 10.4, 2500].map(rate), ["0", "0", "0.5", "10", "10", "2,500"]);
  assert.deepEqual([0, 1023, 1024, 1536, 102_400, 1024 ** 3].map(bytes), [
    "0 B",
    "1,023 B",
    "1.0 KB",
    "1.5 KB",
    "100 KB",
    "1.0 GB",
  ]);
});

test("durations: the two largest units, and no empty ones", () => {
  assert.deepEqual(
    [0, 999, 1000, 59_999, 60_000, 3_600_000, 3_661_000, 90_000_000, 86_400_000 + 5000].map(duration),
    ["0 ms", "999 ms", "1 s", "59 s", "1 min", "1 h", "1 h 1 min", "1 d 1 h", "1 d"],
  );
});

test("a payload is shown as what it is, and as what was asked for where it can be", () => {
  const shown = (data: Uint8Array, form: "auto" | "text" | "json" | "hex") => {
    const { form: as, note } = showPayload(data, form);
    return note === "" ? as : `${as}, ${note}`;
  };
  assert.equal(shown(utf8('{"a":1}'), "auto"), "json");
  assert.equal(shown(utf8('{"a":1}'), "text"), "text");
  // A number is JSON, but nobody wants to see a word in quotes called that.
  assert.equal(shown(utf8("42"), "auto"), "text");
  assert.equal(shown(utf8("42"), "json"), "json");
  assert.equal(shown(utf8("{ no json"), "auto"), "text");
  assert.equal(shown(utf8("{ no json"), "json"), "text, This is no JSON.");
  assert.equal(shown(utf8("two\nlines\tand a tab\r\n"), "auto"), "text");
  assert.equal(shown(utf8("a\u0000b"), "auto"), "hex");
  assert.equal(shown(Uint8Array.of(0xff, 0xfe), "auto"), "hex");
  assert.equal(shown(Uint8Array.of(0xff, 0xfe), "json"), "hex, This is no JSON.");
  assert.match(shown(Uint8Array.of(0x61, 0xff), "text"), /^text, This is no UTF-8/);
  assert.equal(showPayload(Uint8Array.of(0x61, 0xff), "text").text, "a\ufffd");
  assert.equal(shown(new Uint8Array(0), "auto"), "text");
  assert.deepEqual([...fromBase64("AP+A")], [0, 255, 128]);
});

test("JSON is laid out, and no token of it becomes another one", () => {
  assert.equal(
    prettyJson('{"id":9223372036854775807,"a":[1,{"b":"x, {y}: \\"z\\" [1]"}],"e":{},"f":[ ],"id":1e400}'),
    `{
  "id": 9223372036854775807,
  "a": [
    1,
    {
      "b": "x, {y}: \\"z\\" [1]"
    }
  ],
  "e": {},
  "f": [],
  "id": 1e400
}`,
  );
  assert.equal(prettyJson(' "\\\\" '), '"\\\\"');
  for (const none of ["", "{", "{'a':1}", "[1,]", "undefined"]) assert.equal(prettyJson(none), undefined, none);
  for (const text of ['{"a":[true,false,null,-1.5e-7]}', '[[],[[]],{"":""}]']) {
    assert.deepEqual(JSON.parse(prettyJson(text)!), JSON.parse(text));
  }
});

test("hex: offset, bytes in two eights, what can be printed, at every length around a line", () => {
  assert.equal(hexDump(new Uint8Array(0)), "");
  assert.equal(
    hexDump(Uint8Array.from({ length: 17 }, (_, i) => i + 0x30)),
    "00000000  30 31 32 33 34 35 36 37  38 39 3a 3b 3c 3d 3e 3f  0123456789:;<=>?\n" +
      "00000010  40                                                @",
  );
  assert.match(hexDump(Uint8Array.of(0, 0x1f, 0x7f, 0xff, 0x3c)), / {2}\.\.\.\.<$/);
});

test("addresses: every name comes back, and what is none leads nowhere", () => {
  for (const name of ["orders", "a/b", "a?b#c", "50 % & more", "<img src=x>", "\u00fc\ud83d\ude00", "a+b"]) {
    const route = parseHash(hashOf("channel", name, { from: 7, as: "hex", empty: "" }))!;
    assert.equal(route.name, name);
    assert.deepEqual([...route.query], [["from", "7"], ["as", "hex"]]);
  }
  for (const hash of ["", "#", "#/"]) assert.equal(parseHash(hash)?.view, "overview");
  assert.equal(parseHash("#/channels?search=a%26b")?.query.get("search"), "a&b");
  for (
    const none of ["#main", "#/nothing", "#/channel", "#/channel/", "#/channels/x", "#/channel/%zz", "#/channel/a/b"]
  ) {
    assert.equal(parseHash(none), undefined, none);
  }
});

function overview(inMsgs: number, startTime = "start"): Overview {
  const totals = new Proxy({ in_msgs: inMsgs, pending: 3 } as Record<string, number>, {
    get: (known, name) => known[String(name)] ?? 0,
  });
  return { server: { start_time: startTime }, totals } as unknown as Overview;
}

test("rates: differences of counters; nothing before the second answer, over a gap, or over a restart", () => {
  const history = new History();
  history.add(100, overview(1000));
  assert.deepEqual([history.latest.in, history.latest.pending], [null, 3]);
  history.add(102, overview(1050));
  assert.equal(history.latest.in, 25);
  history.add(104, overview(10, "restarted"));
  assert.equal(history.latest.in, null);
  history.add(106, overview(30, "restarted"));
  assert.equal(history.latest.in, 10);
  history.add(106 + GAP_S + 1, overview(9000, "restarted"));
  assert.equal(history.latest.in, null);
  // The line is broken: there is a point that is not known in between.
  assert.deepEqual(history.times, [100, 102, 104, 106, 107, 106 + GAP_S + 1]);
  assert.deepEqual(history.valuesOf("in"), [null, 25, null, 10, null, null]);
  assert.equal(history.valuesOf("pending")[4], null);
  assert.deepEqual(history.summaryOf("in"), { min: 10, mean: 17.5, max: 25 });
  assert.equal(new History().summaryOf("in"), undefined);
});

test("rates: a clock that stands still or is set back folds no line over itself", () => {
  const history = new History();
  history.add(1000, overview(0));
  history.add(1002, overview(20));
  history.add(1002, overview(40));
  history.add(1001, overview(40));
  assert.deepEqual(history.times, [1000, 1002]);
  history.add(500, overview(60));
  assert.deepEqual(history.times, [500]);
  history.add(502, overview(80));
  assert.equal(history.latest.in, 10);
});

test("the window: what is older than a quarter of an hour goes; the table has its minutes, the newest first", () => {
  const history = new History();
  for (let s = 0; s <= WINDOW_S + 100; s += 10) history.add(s, overview(s * 5));
  assert.equal(history.times[0], 100);
  assert.equal(history.times.length, history.samples.length);
  const minutes = history.minutes(["in", "pending"]);
  assert.equal(minutes[0]!.atS, WINDOW_S + 60);
  assert.equal(minutes.at(-1)!.atS, 60);
  assert.deepEqual(minutes[3]!.means, [5, 3]);
});
