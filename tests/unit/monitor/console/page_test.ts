/** The page that is answered is the one in the sources, asks for nothing, and lets nothing else run. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ASSETS_PATH, makeAssets } from "../../../../scripts/make_console.ts";
import { ROOT } from "../../../../scripts/project.ts";
import { pageAnswer } from "../../../../src/monitor/console/page/page_answer.ts";

const { headers, body } = pageAnswer("/console")!;
const page = String(body);
const policy = new Map(
  headers["Content-Security-Policy"]!.split("; ").map((part) => {
    const [name = "", ...values] = part.split(" ");
    return [name, values.join(" ")];
  }),
);

test("the page is as new as its sources: scripts/make_console.ts", async () => {
  assert.ok(readFileSync(join(ROOT, ASSETS_PATH), "utf8") === await makeAssets(), `run "deno task console"`);
});

test("the policy: nothing by default, this script, this style, this server", () => {
  assert.equal(policy.get("default-src"), "'none'");
  assert.equal(policy.get("connect-src"), "'self'");
  assert.equal(policy.get("frame-ancestors"), "'none'");
  assert.equal(policy.get("base-uri"), "'none'");
  assert.equal(policy.get("form-action"), "'none'");
  assert.equal(policy.get("require-trusted-types-for"), "'script'");
  for (const [element, directive] of [["script", "script-src"], ["style", "style-src"]] as const) {
    const texts = [...page.matchAll(new RegExp(`<${element}>(.*?)</${element}>`, "gs"))].map(([, text]) => text!);
    assert.equal(texts.length, 1, `one ${element}`);
    const hash = createHash("sha256").update(texts[0]!).digest("base64");
    assert.equal(policy.get(directive), `'sha256-${hash}'`);
  }
});

test("the page names no other origin, and has no handler or style in an attribute", () => {
  const addresses = new Set([...page.matchAll(/https?:\/\/[^\s"'<>)]+/g)].map(([address]) => address));
  // The name space of its icon is a name.
  assert.deepEqual([...addresses], ["http://www.w3.org/2000/svg"]);
  const markup = page.replace(/<(script|style)>.*?<\/\1>/gs, "");
  assert.doesNotMatch(markup, /\s(?:on\w+|style)=/);
  assert.doesNotMatch(markup, /\ssrc=/);
});

test("the license of the chart library is in the page", () => {
  assert.match(page, /\/\*! uPlot \d+\.\d+\.\d+\s+The MIT License/);
  assert.match(page, /Permission is hereby granted/);
});

test("only the page has an answer; with a slash it is sent back to where its addresses are right", () => {
  assert.equal(pageAnswer("/console/")!.headers["Location"], "../console");
  for (const path of ["/console/app.js", "/console/page", "/console//", "/Console"]) {
    assert.equal(pageAnswer(path), undefined, path);
  }
});
