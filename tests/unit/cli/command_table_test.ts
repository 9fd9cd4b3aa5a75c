/** The table of commands, and what is made from it: help, docs/command_line.md, completions. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { COMMAND_DOCS } from "../../../scripts/write_command_docs.ts";
import { ROOT } from "../../../scripts/project.ts";
import { parseArguments } from "../../../src/cli/arguments.ts";
import { COMMAND_TABLE } from "../../../src/cli/command_table.ts";
import { bashScript, fishScript, zshScript } from "../../../src/cli/completions.ts";
import { commandHelp, commandsMarkdown } from "../../../src/cli/help.ts";
import { commandHint, COMMANDS, commandsOf } from "../../../src/config/commands.ts";
import { helpText } from "../../../src/config/help.ts";
import { toolOf } from "../../../src/server/tools/tool_arguments.ts";

test("decision 1: all commands under the own name, two under the compatible one, none in the core server", () => {
  assert.deepEqual(commandsOf("stanchion"), COMMANDS);
  assert.deepEqual(commandsOf("nats-streaming-server").map(({ name }) => name), ["check", "repair"]);
  assert.deepEqual(commandsOf("nats-server"), []);
  for (const { name } of COMMANDS) {
    assert.equal(toolOf([name, "x"], "stanchion"), name);
    assert.equal(toolOf([name, "x"], "nats-server"), undefined);
  }
  assert.equal(toolOf(["pub", "x"], "nats-streaming-server"), undefined);
});

test("operations 1.5: help alone is the server's help, which lists the commands", () => {
  assert.equal(toolOf(["help"], "stanchion"), undefined);
  for (const { name, summary } of COMMANDS) {
    assert.match(helpText("stanchion"), new RegExp(`^ {4}${name} +${summary}$`, "m"));
  }
  assert.doesNotMatch(helpText("nats-streaming-server"), /^ {4}pub /m);
});

test("a mistyped command names the nearest one that exists under the name", () => {
  assert.equal(commandHint("bensh", "stanchion"), ' (did you mean "bench"?)');
  assert.equal(commandHint("bensh", "nats-streaming-server"), "");
  assert.equal(commandHint("chek", "nats-streaming-server"), ' (did you mean "check"?)');
});

test("style 4: docs/command_line.md is what the table says (scripts/write_command_docs.ts writes it)", () => {
  assert.equal(readFileSync(join(ROOT, COMMAND_DOCS), "utf8"), commandsMarkdown());
});

test("every command explains its options, statuses and examples within the width of a page", () => {
  for (const row of COMMAND_TABLE) {
    const help = commandHelp(row, "stanchion");
    for (const { names } of row.options) assert.ok(help.includes(`--${names[0]}`), `${row.name} ${names[0]}`);
    assert.ok(row.options.some(({ names }) => names[0] === "help"), row.name);
    assert.ok(row.statuses.some(([status]) => status === 0), row.name);
    for (const line of help.split("\n")) assert.ok(line.length <= 110, `${row.name}: ${line}`);
    const names = row.options.flatMap((option) => option.names);
    assert.equal(new Set(names).size, names.length, `${row.name} has an option twice`);
  }
});

test("secrets are no options: everybody on the machine could read them", () => {
  const secrets = ["password", "pass", "token", "seed", "encryption-key"];
  for (const row of COMMAND_TABLE) {
    for (const { names } of row.options) {
      assert.ok(names.every((name) => !secrets.includes(name)), `${row.name} ${names}`);
    }
  }
});

test("the examples are command lines that the commands take", () => {
  for (const row of COMMAND_TABLE) {
    for (const { command } of row.examples) {
      const match = new RegExp(`(?:^|\\| )stanchion ${row.name}(?: (.*))?$`).exec(command);
      assert.ok(match, command);
      const words = [...(match[1] ?? "").matchAll(/'([^']*)'|(\S+)/g)].map((word) => word[1] ?? word[2] ?? "");
      assert.doesNotThrow(() => parseArguments(row, words), command);
    }
  }
});

test("completions name every command and every option, for each shell", () => {
  const scripts = { bash: bashScript("stanchion"), zsh: zshScript("stanchion"), fish: fishScript("stanchion") };
  for (const [shell, script] of Object.entries(scripts)) {
    for (const row of COMMAND_TABLE) {
      assert.ok(script.includes(row.name), `${shell}: ${row.name}`);
      for (const { names } of row.options) {
        const text = shell === "fish"
          ? (names[0]?.length === 1 ? `-s ${names[0]} ` : `-l ${names[0]} `)
          : `--${names[0]}`;
        assert.ok(script.includes(text), `${shell}: ${row.name} ${text}`);
      }
    }
  }
});

test("completions work for an executable of another name", () => {
  assert.match(bashScript("my-stan.1"), /^_my_stan_1\(\) \{$/m);
  assert.match(bashScript("my-stan.1"), /complete -F _my_stan_1 my-stan\.1\n$/);
});
