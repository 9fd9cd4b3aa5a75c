/** Replays tests/unit/streaming/scripts/*.txt. `UPDATE=1` records anew; read the difference before you keep it. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { replay } from "./script_runner.ts";

const folder = fileURLToPath(new URL("./scripts/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".txt")).sort();

for (const name of names) {
  const text = readFileSync(folder + name, "utf8");
  // The first line says what is shown, with the section.
  test(`script ${name}: ${text.split("\n", 1)[0]!.replace(/^# /, "")}`, () => {
    const replayed = replay(text);
    if (process.env.UPDATE === "1") writeFileSync(folder + name, replayed);
    else assert.equal(replayed, text);
  });
}

test("style 7: the scripts are there, each tells what it shows and has recorded something", () => {
  assert.ok(names.length >= 25, `${names.length} scripts`);
  for (const name of names) {
    const text = readFileSync(folder + name, "utf8");
    assert.match(text, /^# \d+/, name);
    assert.match(text, /^ {2}\S/m, name);
  }
});

test("style 7: a script whose recording differs is noticed, and so is a command nobody knows", () => {
  const script = "# 15.3\nsubscribe a foo\n  0.000 subscribe a: ok\npublish foo\n  0.000 a <- 2\n";
  assert.equal(replay(script), script.replace("a <- 2", "a <- 1"));
  assert.throws(
    () => replay("# x\nsubscribe a foo frm=new\n"),
    /line 2, "subscribe a foo frm=new": .*what is "frm=new"/,
  );
  assert.throws(() => replay("# x\npublsh foo\n"), /what is "publsh"/);
  assert.throws(() => replay("# x\n& publish foo\n"), /its turn never ends/);
});
