import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ConfigError } from "../../../src/config/language/errors.ts";
import {
  type ConfigSources,
  DEPTH_MAX,
  INCLUDE_DEPTH_MAX,
  parseConfigFile,
  parseConfigText,
  TEXT_LENGTH_MAX,
} from "../../../src/config/language/parser.ts";
import { cleanPath, includedPath } from "../../../src/config/language/paths.ts";
import { placeText } from "../../../src/config/language/values.ts";
import { memorySources, parse, plain, syntaxError } from "./config_support.ts";

const GOLDEN = join(import.meta.dirname ?? "", "../../golden/config");

interface Example {
  readonly text: string;
  readonly value?: unknown;
  readonly error?: string;
  readonly warning?: string;
}

const examples = JSON.parse(readFileSync(join(GOLDEN, "examples.json"), "utf8")) as Example[];

for (const example of examples) {
  test(`operations 2.2, 13.25: ${JSON.stringify(example.text)}`, () => {
    if (example.error !== undefined) {
      const line = syntaxError(example.text);
      assert.equal(line.includes(example.error), true, line);
      return;
    }
    const tree = parseConfigText("f.conf", example.text, memorySources());
    assert.deepEqual(plain(tree.root), example.value);
    assert.deepEqual(tree.warnings, example.warning === undefined ? [] : [example.warning]);
  });
}

test("operations 2.2: every spelling of a value in one file", () => {
  const value = parse(readFileSync(join(GOLDEN, "full.conf"), "utf8"));
  assert.deepEqual(JSON.parse(JSON.stringify(value)), JSON.parse(readFileSync(join(GOLDEN, "full.json"), "utf8")));
});

test("operations 2.2 rule 1: comments end at the line, a single slash at top level is an error", () => {
  assert.deepEqual(parse("# x\n// y\na: 1 # z\r\nb: 2 // {"), { a: 1, b: 2 });
  assert.deepEqual(parse("a: x#y"), { a: "x#y" });
  assert.deepEqual(parse("a: 1 /"), { a: 1 });
  assert.equal(syntaxError("/ a: 1"), "f.conf:1:1: Parse error on line 1: 'Unexpected EOF.'");
});

test("operations 2.2 rule 2, 13.36: JSON is a valid file, closing braces too many are tolerated at the end", () => {
  const json = { port: 4222, list: [1.5, "x", true], map: { a: { b: "c" } }, "a b": "d" };
  assert.deepEqual(parse(JSON.stringify(json, null, 2)), json);
  assert.deepEqual(parse('{"a": "1"}'), { a: "1" });
  for (const tail of ["}", "\n}", "\n}\n", "\n} }", "\n}}"]) assert.deepEqual(parse(`a: 1${tail}`), { a: 1 }, tail);
});

test("operations 2.2 rule 3: keys keep their case, and the later of two counts", () => {
  assert.deepEqual(parse("a: 1\nA: 2\na: 3"), { A: 2, a: 3 });
  assert.deepEqual(Object.keys(parse("a: 1\nA: 2\na: 3") as object), ["A", "a"]);
  assert.deepEqual(parse(`"k \\x": 1\n'j"': 2`), { "k \\x": 1, 'j"': 2 });
  assert.match(syntaxError('"a'), /Unexpected EOF\./);
  assert.match(syntaxError("m { 'a"), /Unexpected EOF processing quoted map key\./);
  assert.match(syntaxError("m { a"), /Unexpected EOF processing map\./);
  assert.match(syntaxError("m { ]"), /Unexpected array end ']' processing map\./);
});

test("operations 2.2 rule 4: one separator, of three kinds", () => {
  assert.deepEqual(parse("a=1\nb:2\nc 3\nd\t4\ne\n\n5"), { a: 1, b: 2, c: 3, d: 4, e: 5 });
  assert.deepEqual(parse("a = = \n"), { a: "=" });
  assert.match(syntaxError("= 1"), /Unexpected key separator '='/);
  assert.match(syntaxError("m { : 1 }"), /Unexpected key separator ':'\./);
  assert.deepEqual(parse("m { a:\n 1 }"), { m: { a: 1 } });
  assert.match(syntaxError("m { a: , }"), /Unexpected map value terminator ","\./);
});

test("operations 2.2 rule 6: a comma or a line ends an item, in a map a semicolon too", () => {
  assert.deepEqual(parse("m { a: 1; b: 2, c: 3\n d: 4 }"), { m: { a: 1, b: 2, c: 3, d: 4 } });
  assert.deepEqual(parse("l [ 1\n 2, 3,\n\n 4\n]"), { l: [1, 2, 3, 4] });
  assert.match(syntaxError("l [ 1; 2 ]"), /Expected an array value terminator/);
  assert.match(syntaxError("l [ , ]"), /Unexpected array value terminator ','\./);
});

test("operations 2.2: a key without a value in a map is an error; the reference moves the map to another key", () => {
  assert.match(syntaxError("m { a }"), /Unexpected EOF|Expected a value for key "a", but got '}'/);
  assert.match(syntaxError("m { a: }"), /Expected a value for key "a", but got '}'/);
});

test("operations 2.2 rule 7: quotes and escapes", () => {
  assert.deepEqual(parse(`a: '\\n"'`), { a: '\\n"' });
  assert.deepEqual(parse('a: "\\t\\n\\r\\"\\\\\\x41"'), { a: '\t\n\r"\\A' });
  assert.deepEqual(parse('a: "\\xe2\\x82\\xac"'), { a: "€" });
  assert.deepEqual(parse("a: x\\ty\\x41 "), { a: "x\tyA" });
  assert.deepEqual(parse("a: tr\\x75e"), { a: "true" });
  assert.match(
    syntaxError('a: "\\q"'),
    /Invalid escape character 'q'\. Only the following escape characters are allowed/,
  );
  assert.match(syntaxError('a: "\\xg0"'), /Expected two hexadecimal digits after '\\x', but got 'g0'/);
  assert.match(syntaxError('a: "\\x\n"'), /but hit end of line/);
  assert.match(syntaxError('a: "x'), /Unexpected EOF\./);
  assert.match(syntaxError("a: 'x"), /Unexpected EOF\./);
  assert.match(syntaxError('a: "\\'), /Invalid escape character 'EOF'/);
});

test("operations 2.2 rule 7: a block ends at a parenthesis alone on its line", () => {
  assert.deepEqual(parse("a (\n x ) y\n (z)\n)\nb: 1"), { a: "\n x ) y\n (z)\n", b: 1 });
  assert.deepEqual(parse("a (\n)"), { a: "\n" });
  assert.match(syntaxError("a (\n x )\n"), /Unexpected EOF processing block\./);
});

test("operations 2.2 rule 7: units, and numbers that do not fit", () => {
  const units = ["k", "m", "g", "t", "p"];
  for (const [index, unit] of units.entries()) {
    assert.deepEqual(parse(`a: 2${unit}`), { a: 2 * 1000 ** (index + 1) });
    for (const binary of [`${unit}b`, `${unit}i`, `${unit}ib`, `${unit}B`.toUpperCase()]) {
      assert.deepEqual(parse(`a: 2${binary}`), { a: 2 * 1024 ** (index + 1) }, binary);
    }
  }
  assert.deepEqual(parse("a: 1e\nb: 1eb"), { a: 1e18, b: 2 ** 60 });
  // The reference lets this product wrap around.
  assert.match(syntaxError("a: 8eb"), /integer '8eb' is out of the range/);
  assert.match(syntaxError("a: 99999999999999999999999999"), /is out of the range/);
  assert.deepEqual(parse("a: -9223372036854775808"), { a: -9223372036854775808 });
  assert.match(syntaxError("a: 1.x"), /Floats must have a digit after the '\.', but got 'x' instead\./);
  assert.match(syntaxError("a: 2016-02-30T00:00:00Z"), /expected Zulu formatted DateTime/);
});

test("operations 2.2 rule 8, 13.34: variables of the file, innermost block first, then of the environment", () => {
  const env = memorySources({}, {
    PORT: "4333",
    LIST: "[a, b]",
    MAP: "{x: 1, y: $PORT}",
    YES: "on",
    QUOTED: '"$PORT"',
    BAD: "x y",
    SELF: "$SELF",
    EMPTY: "",
  });
  assert.deepEqual(parse("p: $PORT\nl: $LIST\nm: $MAP\ny: $YES\nq: $QUOTED\ne: $EMPTY", env), {
    p: 4333,
    l: ["a", "b"],
    m: { x: 1, y: 4333 },
    y: true,
    q: "$PORT",
    e: "",
  });
  assert.deepEqual(parse("PORT: 1\nm { a: $PORT, PORT: 2, b: $PORT, n { c: $PORT } }\np: $PORT", env), {
    PORT: 1,
    m: { a: 1, PORT: 2, b: 2, n: { c: 2 } },
    p: 1,
  });
  assert.equal(
    syntaxError("a: 1\nb: [x, $NO]", env),
    "f.conf:2:8: variable reference for 'NO' on line 2 can not be found",
  );
  assert.match(syntaxError("a: $BAD", env), /variable reference for 'BAD' on line 1 could not be parsed: Parse error/);
  assert.match(syntaxError("a: $SELF", env), /it refers to itself/);
  // Not in longer words, not before it is set.
  assert.deepEqual(parse("a: x$PORT", env), { a: "x$PORT" });
  assert.match(syntaxError("a: $b\nb: 1"), /can not be found/);
  assert.match(syntaxError("a: $2b$10$abc"), /variable reference for '2b\$10\$abc'/);
  const tree = parseConfigText("f.conf", "x: 1\ny: 2\na: $x", memorySources());
  assert.equal(tree.root.entries.get("x")?.isVariable, true);
  assert.equal(tree.root.entries.get("y")?.isVariable, false);
});

test("operations 2.2 rule 9, 13.35: included files are found below the including file", () => {
  const files = memorySources({
    "etc/sub/b.conf": "b: 1\ninclude ../c.conf;d: 2",
    "etc/c.conf": "c: 3",
    "etc/abs/x.conf": "x: 4",
  });
  const value = (text: string) => plain(parseConfigText("etc/f.conf", text, files).root);
  assert.deepEqual(value('include "sub/b.conf"\na: 0'), { b: 1, c: 3, d: 2, a: 0 });
  assert.deepEqual(value("m { include 'sub/b.conf' }"), { m: { b: 1, c: 3, d: 2 } });
  assert.deepEqual(value("INCLUDE /abs/x.conf"), { x: 4 });
  assert.deepEqual(value("include: 1\n'include' 2"), { include: 2 });
  // The places are those of the included file.
  const tree = parseConfigText("etc/f.conf", "include sub/b.conf", files);
  const at = tree.root.entries.get("c")?.value.at;
  assert.equal(at === undefined ? "" : placeText(at), "etc/c.conf:1:0");
});

test("operations 2.2: an included file sees its own keys only, and errors name it", () => {
  const files = memorySources({ "b.conf": "b: $a", "c.conf": "x: 1\nc: [1; 2]", "loop.conf": "include loop.conf" });
  assert.equal(
    syntaxError("a: 1\ninclude b.conf", files),
    "f.conf:2:1: error parsing include file 'b.conf', variable reference for 'a' on line 1 can not be found",
  );
  assert.match(
    syntaxError("include c.conf", files),
    /include file 'c\.conf', Parse error on line 2: 'Expected an array/,
  );
  assert.match(
    syntaxError("include none.conf", files),
    /error parsing include file 'none\.conf', open none\.conf: no such file or directory/,
  );
  assert.match(syntaxError("include loop.conf", files), /loop\.conf includes itself/);
  assert.match(syntaxError("include\n'x'"), /Expected include value but found new line/);
  assert.match(syntaxError("include [x]"), /Expected include value but found start of an array/);
  assert.match(syntaxError("include 5"), /Expected include value but found start of a number/);
  assert.match(syntaxError("include 'x"), /Unexpected EOF in quoted include/);
});

test("operations 2.3: positions count from 0 on line 1 and from 1 below, in bytes", () => {
  const tree = parseConfigText("f.conf", "a: 1, bb: 2\n c: é, d: 3\n[x]: { y: 1 }", memorySources());
  const places = [...tree.root.entries.values()].map((entry) => placeText(entry.value.at));
  assert.deepEqual(places, ["f.conf:1:0", "f.conf:1:6", "f.conf:2:2", "f.conf:2:9", "f.conf:3:1"]);
  assert.equal(
    syntaxError("port: 1\na: x y"),
    "f.conf:2:7: Parse error on line 2: 'Expected a top-level value to end " +
      "with a new line, comment or EOF, but got 'y' instead.'",
  );
});

test("a byte order mark is skipped, a zero character refused", () => {
  assert.deepEqual(parse("\ufeffa: 1"), { a: 1 });
  assert.match(syntaxError("a: 1\nb: \0"), /^f\.conf:2:4: Parse error on line 2/);
});

test("a missing file is told in the system's words", () => {
  assert.throws(() => parseConfigFile("no.conf", memorySources()), (error) => {
    return error instanceof ConfigError && error.operatorLine === "open no.conf: no such file or directory";
  });
});

test("nesting, included files, variables and size are bounded", () => {
  const deep = (depth: number) => `a: ${"[".repeat(depth)}${" ]".repeat(depth)}`;
  assert.doesNotThrow(() => parse(deep(DEPTH_MAX)));
  assert.match(syntaxError(deep(DEPTH_MAX + 1)), /nested deeper than 100/);
  assert.match(syntaxError(`a: ${"{ a ".repeat(100_000)}`), /nested deeper than 100/);

  const endless: ConfigSources = {
    readFile: (path) => ({
      ok: true,
      text: `include ${Number(/[0-9]+/.exec(path)?.[0] ?? "0") + 1}.x`.replace(/ (?=\d)/, " n"),
    }),
    env: (name) => `$${name}x`,
  };
  assert.match(syntaxError("include n1.x", endless), new RegExp(`nested deeper than ${INCLUDE_DEPTH_MAX}`));
  assert.match(syntaxError("a: $X", endless), /variables are nested deeper/);

  const wide: ConfigSources = { readFile: () => ({ ok: true, text: "a: 1" }), env: () => "1" };
  const includes = Array.from({ length: 1001 }, (_, index) => `include i${index}\n`).join("");
  assert.match(syntaxError(includes, wide), /more than 1000 included files/);
  assert.match(syntaxError(`a: [${"$X,".repeat(1001)}]`, wide), /more than 1000 included files and variables/);
  assert.match(syntaxError(" ".repeat(TEXT_LENGTH_MAX + 1)), /is longer than/);

  // Twenty lines that would be 10^20 values.
  let laughs = "v0: [x,x,x,x,x,x,x,x,x,x]\n";
  for (let i = 1; i < 20; i++) laughs += `v${i}: [${`$v${i - 1},`.repeat(10)}]\n`;
  assert.match(syntaxError(laughs), /has more than 1000000 values/);
});

test("operations 2.2 rule 9: paths are cleaned as the reference does", () => {
  const cases = [["a//b/./c", "a/b/c"], ["../a/..", ".."], ["/../a", "/a"], ["", "."], ["a/../..", ".."], ["/", "/"]];
  for (const [path, clean] of cases) assert.equal(cleanPath(path ?? ""), clean);
  assert.equal(includedPath("f.conf", "/x/y"), "x/y");
  assert.equal(includedPath("/etc/f.conf", "../y"), "/y");
  assert.equal(includedPath("/f.conf", "y"), "/y");
});

test("operations 2.1: the golden server file is there with what it includes", () => {
  const sources: ConfigSources = {
    readFile: (path) =>
      existsSync(path)
        ? { ok: true, text: readFileSync(path, "utf8") }
        : { ok: false, reason: "no such file or directory" },
    env: (name) => name === "DEBUG_CORE" ? "yes" : undefined,
  };
  const { root } = parseConfigFile(join(GOLDEN, "server.conf"), sources);
  const { STREAMING: streaming, ...nats } = plain(root) as Record<string, unknown>;
  assert.deepEqual(nats, {
    listen: "127.0.0.1:4333",
    http: 8333,
    max_payload: 2_097_152,
    max_pending: 8_388_608,
    ping_interval: "20s",
    debug: true,
  });
  assert.equal((streaming as Record<string, unknown>)["CLUSTER_ID"], "up");
});
