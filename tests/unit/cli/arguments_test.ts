/** Command lines of the commands, and what is said about wrong ones. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseArguments } from "../../../src/cli/arguments.ts";
import { commandRow } from "../../../src/cli/command_table.ts";
import { channelOf, parseServerUrls } from "../../../src/cli/connection.ts";
import { positionOf } from "../../../src/cli/durables.ts";
import { UsageError } from "../../../src/cli/host.ts";
import { runCommandOn } from "../../../src/cli/run_command.ts";
import { subscribeOptionsOf } from "../../../src/cli/sub.ts";
import { FakeHost } from "./cli_support.ts";

const parse = (command: "pub" | "sub" | "channels" | "bench", ...args: string[]) =>
  parseArguments(commandRow(command), args);

test("operations 1.1: options with one dash or two, before and behind the words", () => {
  const args = parse("pub", "-count", "3", "orders", "--rate=50", "hello", "--lines");
  assert.deepEqual(args.words, ["orders", "hello"]);
  assert.deepEqual([args.number("count", 1), args.number("rate", 0), args.flag("lines"), args.flag("json")], [
    3,
    50,
    true,
    false,
  ]);
});

test('what stands behind "--" is a word, and a lone dash is one', () => {
  assert.deepEqual(parse("pub", "orders", "--", "--count").words, ["orders", "--count"]);
  assert.deepEqual(parse("pub", "orders", "-", "--lines").words, ["orders", "-"]);
});

test("a later option wins, short names are long ones", () => {
  assert.equal(parse("pub", "-n", "2", "--count", "7").number("count", 1), 7);
});

test("decision 6: a mistyped option names the nearest one", () => {
  assert.throws(() => parse("sub", "orders", "--durabel", "x"), {
    name: "UsageError",
    message: "flag provided but not defined: -durabel (did you mean -durable?)",
  });
});

test("numbers, durations and sizes are checked and named", () => {
  assert.throws(
    () => parse("pub", "-count", "0").number("count", 1),
    /-count should be a whole number from 1 on, got 0/,
  );
  assert.throws(() => parse("sub", "-idle", "0s").durationMs("idle", 1), /-idle should be longer than nothing/);
  assert.throws(
    () => parse("bench", "-size", "big").size("size", 1),
    /-size should be a size such as 128 or 4KB, got "big"/,
  );
  assert.equal(parse("bench", "-size", "4KB").size("size", 1), 4096);
});

test("words that are missing or too many are told", () => {
  assert.throws(() => parse("sub").wordsAs(["CHANNEL"]), /^UsageError: CHANNEL is missing$/);
  assert.throws(() => parse("sub", "a", "b").wordsAs(["CHANNEL"]), /^UsageError: unrecognized argument: "b"$/);
  assert.deepEqual(parse("sub", "a").wordsAs(["A", "B"], 1), ["a"]);
});

test("a server is an address, several, or a whole URL with a login", () => {
  assert.deepEqual(parseServerUrls("localhost"), {
    addresses: [{ host: "localhost", port: 4222, isTls: false }],
  });
  assert.deepEqual(parseServerUrls("nats://me:a%40b@h:1, tls://[::1]:2"), {
    addresses: [{ host: "h", port: 1, isTls: false }, { host: "::1", port: 2, isTls: true }],
    user: "me",
    password: "a@b",
  });
  assert.deepEqual(parseServerUrls("nats://t0ken@h"), {
    addresses: [{ host: "h", port: 4222, isTls: false }],
    token: "t0ken",
  });
  for (const wrong of ["", "http://h", "h:0", "h:70000", "nats://h/x", "a b"]) {
    assert.throws(() => parseServerUrls(wrong), UsageError, wrong);
  }
});

test("a password in a wrong URL is not repeated", () => {
  assert.throws(() => parseServerUrls("nats://me:secret@h:0"), (error: Error) => !error.message.includes("secret"));
});

test("protocol 10.1: names that cannot be channels are refused before anything is sent", () => {
  assert.equal(channelOf("a.b"), "a.b");
  for (const wrong of [undefined, "", ".a", "a.", "a..b", "a*", ">", "a/b", "a b", "a\tb"]) {
    assert.throws(() => channelOf(wrong), UsageError, wrong);
  }
});

test("protocol 13: each start position of sub", () => {
  const host = new FakeHost();
  host.nowMs = 10_000;
  const start = (...args: string[]) => subscribeOptionsOf(parse("sub", "c", ...args), host).start;
  assert.deepEqual(start(), { kind: "new" });
  assert.deepEqual(start("--new"), { kind: "new" });
  assert.deepEqual(start("--all"), { kind: "first" });
  assert.deepEqual(start("--last"), { kind: "last" });
  assert.deepEqual(start("--from", "7"), { kind: "sequence", sequence: 7 });
  assert.deepEqual(start("--since", "1h"), { kind: "ago", deltaNs: 3_600_000_000_000n });
  assert.deepEqual(start("--since", "1970-01-01T00:00:04Z"), { kind: "ago", deltaNs: 6_000_000_000n });
  assert.deepEqual(start("--since", "1970-01-01T00:00:40Z"), { kind: "new" }, "a time to come");
  assert.throws(() => start("--all", "--last"), /-all and -last do not go together/);
  assert.throws(() => start("--since", "yesterday"), UsageError);
  assert.throws(() => start("--from", "0"), UsageError);
});

test("a durable needs a client ID, a durable queue group does not", () => {
  const host = new FakeHost();
  const options = (...args: string[]) => subscribeOptionsOf(parse("sub", "c", ...args), host);
  assert.throws(() => options("--durable", "d"), /-durable needs -client-id/);
  assert.equal(options("--durable", "d", "--client-id", "me").durableName, "d");
  assert.deepEqual(
    [options("--durable", "d", "-q", "g").queueGroup, options("--durable", "d", "-q", "g").durableName],
    ["g", "d"],
  );
  assert.throws(() => options("--ack-wait", "500ms"), /-ack-wait should be at least 1s/);
});

test("no more messages are asked for than are wanted", () => {
  const inFlight = (...args: string[]) => subscribeOptionsOf(parse("sub", "c", ...args), new FakeHost()).maxInFlight;
  assert.deepEqual([
    inFlight(),
    inFlight("-n", "3"),
    inFlight("-n", "5000"),
    inFlight("-n", "3", "--max-inflight", "9"),
  ], [
    1024,
    3,
    1024,
    9,
  ]);
});

test("positions of rewind, as the console takes them", () => {
  assert.deepEqual(["first", "last", "12", "2026-01-31T12:00:00Z"].map(positionOf), [
    "first",
    "last",
    { sequence: 12 },
    { time: "2026-01-31T12:00:00Z" },
  ]);
  for (const wrong of [undefined, "0", "-1", "next", "1.5", "2026-01-31"]) {
    assert.throws(() => positionOf(wrong), UsageError, wrong);
  }
});

test("wrong use is status 2 with one line and a hint; help is status 0 on standard output", async () => {
  const cases: readonly (readonly [args: readonly string[], text: RegExp])[] = [
    [["x", "y", "--file", "f"], /^-file stands for the payload/],
    [["x"], /^PAYLOAD is missing/],
    [["x", "hello", "--lines"], /^-lines reads a file/],
    [["a b", "hello"], /^"a b" cannot be a channel/],
    [["x", "y", "--client-id", "a.b"], /^-client-id should consist of/],
    [["x", "y", "--cert", "f"], /^Cannot read f: there is no such file or directory/],
  ];
  for (const [args, text] of cases) {
    const host = new FakeHost();
    const status = await runCommandOn("pub", args, host);
    assert.equal(status, /^Cannot/.test(host.stderr) ? 1 : 2, host.stderr);
    assert.match(host.stderr, text);
    assert.equal(host.stdout, "");
  }
  const host = new FakeHost();
  assert.equal(await runCommandOn("pub", ["--help"], host), 0);
  assert.match(host.stdout, /^\nUsage: stanchion pub CHANNEL PAYLOAD/);
  const other = new FakeHost();
  assert.equal(await runCommandOn("help", ["export"], other), 0);
  assert.match(other.stdout, /^\nUsage: stanchion export --dir/);
  const unknown = new FakeHost();
  assert.equal(await runCommandOn("help", ["tracce"], unknown), 2);
  assert.match(unknown.stderr, /^There is no command "tracce" \(did you mean "trace"\?\)\n/);
});

test("options that mean nothing for an action are refused, not ignored", async () => {
  const cases: readonly (readonly ["channels" | "durables", readonly string[], RegExp])[] = [
    ["channels", ["delete", "x", "--up-to", "5", "--yes"], /^-up-to is not for channels delete/],
    ["channels", ["purge", "x", "--force", "--yes"], /^-force is not for channels purge/],
    ["channels", ["--force"], /^-force is not for a list/],
    ["channels", ["--dir", "x", "--watch", "1s"], /^-watch is not for a directory/],
    ["durables", ["delete", "x", "d", "--to", "first", "--yes"], /^-to is not for durables delete/],
    ["durables", ["rewind", "x", "d", "--yes"], /^rewind needs a position/],
    ["durables", ["pause", "x", "--yes"], /^Which subscription is meant\?/],
    ["durables", ["rewnd", "x", "d"], /^unrecognized argument: "rewnd"/],
    ["channels", ["delete"], /^NAME is missing/],
  ];
  for (const [command, args, text] of cases) {
    const host = new FakeHost();
    assert.equal(await runCommandOn(command, args, host), 2, args.join(" "));
    assert.match(host.stderr, text);
  }
});
