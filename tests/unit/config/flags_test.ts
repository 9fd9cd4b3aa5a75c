import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBool, parseFlags, parseInt64 } from "../../../src/config/flags.ts";
import { OPTION_TABLE } from "../../../src/config/option_table.ts";

function values(...args: string[]): string {
  const parsed = parseFlags(OPTION_TABLE, args);
  if (!parsed.ok) return parsed.error;
  const settings = parsed.settings.map((setting) => `${setting.name}=${setting.value}`).join(" ");
  return parsed.positional.length === 0 ? settings : `${settings} | ${parsed.positional.join(" ")}`;
}

test("operations 1.1 dashes: one and two mean the same, for long and short names", () => {
  for (const args of [["--cid", "x"], ["-cid", "x"], ["-cid=x"], ["--cid=x"]]) assert.equal(values(...args), "cid=x");
  assert.equal(values("-cluster_id=x"), "cluster_id=x");
  assert.equal(values("---x"), "bad flag syntax: ---x");
  assert.equal(values("-=x"), "bad flag syntax: -=x");
  assert.equal(values("--=x"), "bad flag syntax: --=x");
});

test("operations 1.1 values: may start with a dash, be empty, or hold an equals sign", () => {
  assert.equal(values("-mm", "-5"), "mm=-5");
  assert.equal(values("-cid="), "cid=");
  assert.equal(values("-cid", ""), "cid=");
  assert.equal(values("-cid=a=b"), "cid=a=b");
  assert.equal(values("-cid", "--", "-p", "1"), "cid=-- p=1");
  assert.equal(values("-p"), "flag needs an argument: -p");
  assert.equal(values("--cid"), "flag needs an argument: -cid");
});

test("operations 1.1 booleans: alone or behind an equals sign; a word after them ends parsing", () => {
  assert.equal(values("-SD"), "SD=true");
  assert.equal(values("-SD=false"), "SD=false");
  assert.equal(values("-clustered", "true", "-p", "1"), "clustered=true | true -p 1");
  for (const word of ["1", "t", "T", "true", "TRUE", "True"]) assert.equal(parseBool(word), true);
  for (const word of ["0", "f", "F", "false", "FALSE", "False"]) assert.equal(parseBool(word), false);
  for (const word of ["yes", "on", "tRUE", "", "2"]) assert.equal(parseBool(word), undefined);
  assert.equal(values("-SD=maybe"), 'invalid boolean value "maybe" for -SD: parse error');
  assert.equal(values("--SD="), 'invalid boolean value "" for -SD: parse error');
});

test("operations 1.1 integers: all of Go's notations", () => {
  const good: readonly (readonly [string, bigint])[] = [
    ["0", 0n],
    ["-0", 0n],
    ["+7", 7n],
    ["-7", -7n],
    ["0x10", 16n],
    ["0X1f", 31n],
    ["-0x10", -16n],
    ["0o17", 15n],
    ["0b101", 5n],
    ["017", 15n],
    ["00", 0n],
    ["1_000", 1000n],
    ["0x_1F", 31n],
    ["0_7", 7n],
    ["0xEDB88320", 3988292384n],
    ["9223372036854775807", 9223372036854775807n],
    ["-9223372036854775808", -9223372036854775808n],
  ];
  for (const [text, value] of good) assert.deepEqual(parseInt64(text), { ok: true, value }, text);
  const bad = [
    "",
    "-",
    "+",
    "abc",
    "1.5",
    "1e3",
    "08",
    "0x",
    "0b2",
    "0o8",
    "_1",
    "1_",
    "1__0",
    "0x_",
    "0_",
    "1 ",
    "--1",
  ];
  for (const text of bad) assert.deepEqual(parseInt64(text), { ok: false, error: "parse error" }, text);
  const outside = ["9223372036854775808", "-9223372036854775809", "99999999999999999999x", "9".repeat(100_000)];
  for (const text of outside) {
    assert.deepEqual(parseInt64(text), { ok: false, error: "value out of range" }, text.slice(0, 30));
  }
});

test("operations 1.5: bad integers and durations", () => {
  assert.equal(values("-mm", "abc"), 'invalid value "abc" for flag -mm: parse error');
  assert.equal(values("--max_msgs=abc"), 'invalid value "abc" for flag -max_msgs: parse error');
  const huge = "999999999999999999999";
  assert.equal(values("-mm", huge), `invalid value "${huge}" for flag -mm: value out of range`);
  assert.equal(values("-hbi", "10"), 'invalid value "10" for flag -hbi: parse error');
  assert.equal(values("-hbi", "1d"), 'invalid value "1d" for flag -hbi: parse error');
  assert.equal(values("-ma", "0"), "ma=0");
  assert.equal(values("-ma", "1h2m"), "ma=3720000");
});

test("operations 1.1 names: case-sensitive, never abbreviated, never bundled", () => {
  assert.equal(values("-CID=x"), "flag provided but not defined: -CID (did you mean -cid?)");
  assert.equal(values("-max_m=1").startsWith("flag provided but not defined: -max_m"), true);
  assert.equal(values("-DV"), "DV=true");
  assert.equal(values("-VD").startsWith("flag provided but not defined: -VD"), true);
  assert.equal(values("-bogus"), "flag provided but not defined: -bogus");
  assert.equal(
    values("-clusterid", "x"),
    "flag provided but not defined: -clusterid (did you mean -cluster_id?)",
  );
});

test("operations 1.1 repetition: settings keep their order", () => {
  assert.equal(values("-ma", "2h", "--max_age", "3h"), "ma=7200000 max_age=10800000");
});

test("operations 1.1 end of flags: the first other argument, or two dashes", () => {
  assert.equal(values("-p", "1", "version", "-m", "2"), "p=1 | version -m 2");
  assert.equal(values("-p", "1", "--", "-m", "2"), "p=1 | -m 2");
  assert.equal(values("-"), " | -");
  assert.equal(values(""), " | ");
  assert.equal(values("--"), "");
});
