/** The manual, the sample and the tables that they are made of say what the readers do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { configDocs, makeSample } from "../../../scripts/make_config_docs.ts";
import { natsNames } from "../../../src/config/file_nats.ts";
import { STREAMING_ALIASES, streamingNames } from "../../../src/config/file_streaming.ts";
import { IDLE_KEYS, KEY_TABLE, NATS_ALIASES, REFUSED_KEYS } from "../../../src/config/key_table.ts";
import { OPTION_TABLE } from "../../../src/config/option_table.ts";
import { defaultOptions, parseCommandLine } from "../../../src/config/options.ts";
import { memorySources } from "./config_support.ts";

function words(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}

test("manual and sample are made from the tables (deno run -A scripts/make_config_docs.ts)", () => {
  for (const { path, present, wanted } of configDocs()) {
    assert.notEqual(present, "", path);
    assert.equal(present, wanted, path);
  }
});

function parse(text: string) {
  const parsed = parseCommandLine(["-c", "f.conf"], "stanchion", memorySources({ "f.conf": text }));
  assert.ok(parsed.kind === "run", JSON.stringify(parsed));
  assert.deepEqual([parsed.warnings, parsed.notes], [[], []]);
  const { configFiles, ...options } = parsed.options;
  assert.equal(configFiles.nats, "f.conf");
  return options;
}

test("the sample changes nothing, neither as it is nor with every line switched on", () => {
  const { configFiles: _none, ...defaults } = defaultOptions("stanchion");
  const sample = makeSample();
  assert.deepEqual(parse(sample), defaults);
  let count = 0;
  const all = sample.replaceAll(/^( *)#(\w+: )/gm, (_all, indent: string, key: string) => {
    count++;
    return `${indent}${key}`;
  });
  assert.ok(count > 50, String(count));
  assert.deepEqual(parse(all), defaults);
});

test("operations 2.5: the tables name what stands at the top level, and nothing else", () => {
  const paths = [...KEY_TABLE.map(({ key, aliases }) => [key, aliases] as const), ...Object.entries(NATS_ALIASES)];
  const listed = [
    ...OPTION_TABLE.map(({ configKey }) => configKey),
    ...paths.flatMap(([key, aliases]) => key.includes(".") ? [key.split(".")[0] ?? ""] : [key, ...words(aliases)]),
    ...IDLE_KEYS.flatMap(([names]) => words(names)),
    ...REFUSED_KEYS.flatMap(([names]) => words(names)),
    // Other spellings of blocks.
    "ws",
  ];
  const tops = listed.filter((key) => key !== "" && !key.startsWith("streaming.")).map((key) =>
    key.split(".")[0] ?? ""
  );
  assert.deepEqual([...new Set(tops)].toSorted(), [...natsNames()].toSorted());
});

test("operations 2.4, 13.28: the tables name what stands in the streaming block, and nothing else", () => {
  const prefix = "streaming.";
  const paths = [
    ...OPTION_TABLE.map(({ configKey }) => [configKey, ""] as const),
    ...KEY_TABLE.map(({ key, aliases }) => [key, aliases] as const),
    ...Object.entries(STREAMING_ALIASES).map(([key, aliases]) => [prefix + key, aliases] as const),
  ].filter(([key]) => key.startsWith(prefix)).map(([key, aliases]) => [key.slice(prefix.length), aliases] as const);
  const tops = paths.flatMap(([key, aliases]) =>
    key.includes(".") ? [key.split(".")[0] ?? ""] : [key, ...words(aliases)]
  );
  // The blocks' other names, and what is refused by its own rule.
  const more = ["limits", "storelimits", "file", "sql", "partitioning"];
  assert.deepEqual([...new Set([...tops, ...more])].toSorted(), [...streamingNames()].toSorted());
});

const SAMPLES: Readonly<Record<string, string>> = {
  string: "x",
  int: "1",
  size: "1",
  bool: "false",
  duration: '"31s"',
  address: '"h:1"',
  list: "[]",
  block: "{}",
};

test("operations 2.5: every key of the table is known under all its names where the table puts it", () => {
  for (const { key, aliases, type } of KEY_TABLE) {
    const blocks = key.split(".").slice(0, -1);
    const name = key.split(".").at(-1) ?? "";
    for (const spelling of [name, ...words(aliases)]) {
      const inner = `${spelling}: ${SAMPLES[type]}`;
      const text = blocks.reduceRight((all, block) => `${block} { ${all} }`, inner);
      const parsed = parseCommandLine(
        ["-c", "f.conf"],
        "stanchion",
        memorySources({ "f.conf": `${text}\nstreaming {}` }),
      );
      const said = parsed.kind === "error"
        ? parsed.messages
        : parsed.kind === "run"
        ? parsed.notes.map((n) => n.text)
        : [];
      assert.doesNotMatch(said.join("\n"), /unknown/, text);
    }
  }
});
