/**
 * Random and mutated configuration files, on the language alone and on the whole way to options. Whatever the text,
 * the outcome is a tree or a `ConfigError`, options or lines for the operator: nothing else is thrown, and nothing
 * takes long (a text that hangs the parser hangs this test). The kept texts first, then `FUZZ_COUNT` from `FUZZ_SEED`.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ConfigError } from "../../src/config/language/errors.ts";
import { parseConfigText, VALUE_COUNT_MAX } from "../../src/config/language/parser.ts";
import { type ConfigMap, type ConfigValue, valueSize } from "../../src/config/language/values.ts";
import { parseCommandLine } from "../../src/config/options.ts";
import { SeededRandom } from "../conformance/store/random.ts";
import { memorySources } from "../unit/config/config_support.ts";
import { COUNT, readCorpus, reportFind, SEED } from "./corpus.ts";

const GOLDEN = join(import.meta.dirname ?? "", "../golden/config");
const EXAMPLES = JSON.parse(readFileSync(join(GOLDEN, "examples.json"), "utf8")) as { text: string }[];
const KEPT = readCorpus("config").map(({ name, bytes }) => ({ name, text: new TextDecoder().decode(bytes) }));
const SEEDS = [
  ...KEPT.map((kept) => kept.text),
  readFileSync(join(GOLDEN, "full.conf"), "utf8"),
  readFileSync(join(GOLDEN, "server.conf"), "utf8"),
  ...EXAMPLES.map((example) => example.text),
];

/** Pieces that mean something in the language or to the option readers. */
const PIECES = (
  "{ } [ ] ( ) ' \" \\ \\x4 \\xff $ $A $B $LOOP , ; : = # // / \n \r \t - . .. 0 1 5 10kb 8eb 5m 1h 1.5 2016- -1 true off include " +
  "a b.conf c.conf streaming tls accounts authorization users user password permissions publish subscribe allow deny " +
  "allow_responses max expires port listen cluster limits channels max_msgs foo.> websocket jetstream nkey é € 😀 \ud800"
).split(/(?<=\S) /);

const SOURCES = memorySources(
  { "a": "x: 1\ny: $A", "b.conf": "include c.conf", "c.conf": "include b.conf\nz: [1, 2 ]", "cert.pem": "" },
  { A: "[1, 2 ]", B: "{a: $A}", LOOP: "$LOOP" },
);

function randomText(random: SeededRandom): string {
  let text = "";
  for (let i = random.below(40); i > 0; i--) {
    text += (PIECES[random.below(PIECES.length)] ?? "") + (random.below(3) === 0 ? "" : " ");
  }
  return text;
}

function mutated(random: SeededRandom): string {
  let text = SEEDS[random.below(SEEDS.length)] ?? "";
  for (let i = random.below(5); i >= 0; i--) {
    const at = random.below(text.length + 1);
    const piece = PIECES[random.below(PIECES.length)] ?? "";
    switch (random.below(4)) {
      case 0:
        text = text.slice(0, at) + piece + text.slice(at);
        break;
      case 1:
        text = text.slice(0, at) + text.slice(at + 1 + random.below(4));
        break;
      case 2:
        text = text.slice(0, at);
        break;
      default:
        text = text.slice(0, at) + text.slice(random.below(text.length + 1));
    }
  }
  return text;
}

/** Sizes must agree with what is there, and places with the text. */
function checkTree(value: ConfigValue, lineCount: number): number {
  assert.equal(value.at.line >= 1 && value.at.column >= 0, true);
  if (value.at.file === "f.conf") assert.equal(value.at.line <= lineCount, true);
  let size = 1;
  if (value.kind === "list") { for (const item of value.items) size += checkTree(item, lineCount); }
  if (value.kind === "map") { for (const entry of value.entries.values()) size += checkTree(entry.value, lineCount); }
  assert.equal(valueSize(value), size);
  return size;
}

function parseOrRefuse(text: string): ConfigMap | undefined {
  try {
    return parseConfigText("f.conf", text, SOURCES).root;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    assert.notEqual(error.operatorLine, "");
    return undefined;
  }
}

/** A tree or a refusal; a tree is no larger than allowed, however often its variables repeat each other. */
function checkText(text: string): void {
  const root = parseOrRefuse(text);
  if (root === undefined) return;
  const size = checkTree(root, text.split("\n").length);
  assert.ok(size <= VALUE_COUNT_MAX, `${size} values of ${text.length} characters`);
}

/** Options, or lines for the operator. */
function checkOptions(text: string, flag: string): void {
  const sources = {
    ...SOURCES,
    readFile: (path: string) => path === "f.conf" ? { ok: true, text } as const : SOURCES.readFile(path),
  };
  const parsed = parseCommandLine([flag, "f.conf"], "stanchion", sources);
  assert.equal(parsed.kind === "run" || (parsed.kind === "error" && parsed.messages[0] !== ""), true);
}

function tryText(label: string, text: string, check: (text: string) => void): void {
  try {
    check(text);
  } catch (error) {
    reportFind("config", label, new TextEncoder().encode(text), error);
  }
}

test("operations 2.2, 2.3: every kept text, whole and cut off at each place", () => {
  for (const { name, text } of KEPT) {
    for (let end = 0; end <= text.length; end++) tryText(name, text.slice(0, end), checkText);
    for (const flag of ["-c", "-sc"]) tryText(name, text, (text) => checkOptions(text, flag));
  }
});

test(`operations 2.2: ${COUNT} texts are each a tree or a ConfigError`, () => {
  const random = new SeededRandom(SEED);
  for (let run = 0; run < COUNT; run++) {
    const text = random.below(2) === 0 ? randomText(random) : mutated(random);
    tryText(`seed ${SEED} text ${run}`, text, checkText);
  }
});

test(`operations 2.3: ${Math.floor(COUNT / 4)} files are each options or lines for the operator`, () => {
  const random = new SeededRandom(SEED + 1);
  for (let run = 0; run < Math.floor(COUNT / 4); run++) {
    const text = random.below(2) === 0 ? randomText(random) : mutated(random);
    const flag = random.below(2) === 0 ? "-c" : "-sc";
    tryText(`seed ${SEED} file ${run}`, text, (text) => checkOptions(text, flag));
  }
});

test("the cost of a text is linear in its length, whatever it repeats", () => {
  // Each of these would take minutes with a quadratic step.
  const length = 400_000;
  const pieces = [
    "a: 1, ",
    "{",
    "[",
    "(",
    "a {",
    "\\",
    "$",
    "'",
    "\n)",
    "a: $a\n",
    "a: b c\n",
    "-",
    "1.",
    "#",
    "é: 1,",
    "a: [x, ",
  ];
  for (const piece of [...pieces, "a: (\n) ", '"\\x4', "a: \\x41\\n"]) {
    parseOrRefuse(piece.repeat(length / piece.length));
    parseOrRefuse(`a: "${piece.repeat(length / piece.length)}`);
    parseOrRefuse(`a: [${piece.repeat(length / piece.length)}`);
  }
});
