import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDuration } from "../../../src/base/duration.ts";
import { parseSize } from "../../../src/base/size.ts";
import { helpText, isInHelp, tlsHelpText } from "../../../src/config/help.ts";
import {
  findOption,
  HELP_GROUPS,
  IDLE,
  isCoreOption,
  isIdle,
  isLater,
  LATER,
  OPTION_TABLE,
  type OptionRow,
  optionsFor,
} from "../../../src/config/option_table.ts";
import { defaultOptions } from "../../../src/config/option_types.ts";
import { parseCommandLine } from "../../../src/config/options.ts";

const names = OPTION_TABLE.flatMap((row) => row.names);

function at(path: string): unknown {
  let value: unknown = defaultOptions();
  for (const step of path.split(".")) value = (value as Record<string, unknown>)[step];
  return value;
}

function valueOfDefault(row: OptionRow): unknown {
  switch (row.type) {
    case "int":
      return Number(row.default);
    case "bool":
      return row.default === "true";
    case "size": {
      const size = parseSize(row.default);
      return size.ok ? size.bytes : undefined;
    }
    case "duration": {
      const duration = parseDuration(row.default);
      return duration.ok ? duration.ms : undefined;
    }
    default:
      return row.default;
  }
}

test("operations 1.1: 142 flag names, 78 streaming and 64 core, each once", () => {
  assert.equal(names.length, 142);
  assert.equal(new Set(names).size, 142);
  assert.equal(OPTION_TABLE.filter(isCoreOption).flatMap((row) => row.names).length, 64);
});

test("operations 1.6: 25 accepted names are absent from help", () => {
  const expected =
    "io_batch_size io_sleep_time cluster_proceed_on_restore_failure n name server_name net client_advertise VV DVV " +
    "logtime_utc t ports_file_dir log_size_limit profile cluster_listen cluster_advertise no_advertise " +
    "connect_retries cluster_name max_traced_msg_len js jetstream sd store_dir";
  const unlisted = OPTION_TABLE.flatMap((row) => row.unlisted);
  assert.deepEqual(unlisted.toSorted(), expected.split(" ").toSorted());
});

test("operations 1.3, 1.4: defaults of the table are the defaults of the options, type by type", () => {
  for (const row of OPTION_TABLE) {
    if (row.field !== undefined) assert.deepEqual(valueOfDefault(row), at(row.field), row.names.join());
  }
  assert.equal(findOption(OPTION_TABLE, "store")?.default, defaultOptions().store);
});

test("every option either does something or says why it is refused", () => {
  for (const row of OPTION_TABLE) {
    const acts = row.field !== undefined || row.effect !== undefined;
    assert.equal(acts, row.status === "available", row.names.join());
    assert.notEqual(row.help, "");
    if (isLater(row.status)) assert.notEqual(LATER[row.status], "");
    if (isIdle(row.status)) assert.notEqual(IDLE[row.status], "");
  }
});

/** What a flag needs beside itself. */
const COMPANIONS: Record<string, readonly string[]> = {
  pass: ["-user=u"],
  tlscert: ["-tlskey=x"],
  tlskey: ["-tlscert=x"],
  tlscacert: ["-tlscert=x", "-tlskey=x"],
  tlsverify: ["-tlscert=x", "-tlskey=x"],
};

test("operations 13.22: every name parses; an unavailable one is refused with status 2, never ignored", () => {
  const sources = { readFile: () => ({ ok: true, text: "port: 5" }) as const, env: () => undefined };
  for (const row of OPTION_TABLE) {
    for (const name of row.names) {
      const value = row.default !== "" && !isIdle(row.status) ? row.default : row.type === "string" ? "x" : "1";
      const parsed = parseCommandLine([`-${name}=${value}`, ...(COMPANIONS[name] ?? [])], "stanchion", sources);
      if (row.status === "available") {
        assert.equal(parsed.kind, row.effect === "signal" ? "signal" : "run", name);
        continue;
      }
      if (isIdle(row.status)) {
        const notes = parsed.kind === "run" ? parsed.notes : [];
        assert.deepEqual(notes, [{ level: "warning", text: `-${name} has no effect: ${IDLE[row.status]}` }]);
        continue;
      }
      assert.equal(parsed.kind, "error", name);
      if (parsed.kind !== "error") continue;
      assert.equal(parsed.exitCode, 2);
      const expected = `flag -${name} is not available in this version of stanchion: ${LATER[row.status]}`;
      assert.equal(parsed.messages[0], expected);
    }
  }
});

test("operations 1.6: help shows every available listed name, and no other", () => {
  const text = helpText("stanchion");
  const shown = text.matchAll(/(?<=^ {4}|, )--?([A-Za-z_]+)/gm).map((match) => match[1] ?? "").toArray();
  const listed = OPTION_TABLE.filter(isInHelp).flatMap((row) => {
    return row.names.filter((name) => !row.unlisted.includes(name));
  });
  assert.deepEqual(shown.toSorted(), listed.toSorted());
});

test("operations 1.6: help begins and ends with an empty line and keeps the order of the groups", () => {
  const text = helpText("nats-streaming-server");
  assert.equal(text.startsWith("\nUsage: nats-streaming-server [options]\n"), true);
  assert.equal(text.endsWith("\n\n"), true);
  const headings = text.split("\n").filter((line) => /^[A-Z][A-Za-z ]+:$/.test(line)).map((line) => line.slice(0, -1));
  assert.deepEqual(headings, [
    "Streaming Server Options",
    "Streaming Server File Store Options",
    "Streaming Server Logging Options",
    "Embedded NATS Server Options",
    "Logging Options",
    "Authorization Options",
    "TLS Options",
    "Common Options",
  ]);
  assert.deepEqual(HELP_GROUPS.filter((group) => headings.includes(group)), headings);
  assert.match(text, /not available in this version\.\n\n$/);
  assert.match(text, /^ {4}-cid, --cluster_id <string> +.*\(default: test-cluster\)$/m);
  for (const line of text.split("\n")) assert.equal(line.length <= 120, true, line);
  assert.match(tlsHelpText(), /cert_file/);
});

test("decisions 1: started as nats-server there are no streaming options", () => {
  assert.equal(optionsFor(true).flatMap((row) => row.names).length, 64);
  assert.equal(helpText("nats-server").includes("Streaming"), false);
  const parsed = parseCommandLine(["-cid", "x"], "nats-server");
  assert.equal(parsed.kind, "error");
  if (parsed.kind === "error") assert.match(parsed.messages[0] ?? "", /^flag provided but not defined: -cid/);
});
