import assert from "node:assert/strict";
import { test } from "node:test";
import { AccessControl, WRONG_TOKENS_MAX } from "../../../../src/monitor/console/access.ts";
import { ConsoleError } from "../../../../src/monitor/console/answers.ts";
import type { ConsoleView } from "../../../../src/monitor/console/view.ts";
import type { HttpRequest } from "../../../../src/runtime/types.ts";

const TOKEN = "the-right-token";

class Bench {
  nowMs = 0;
  token = TOKEN;
  readonly lines: string[] = [];
  readonly control = new AccessControl(
    {
      access: () => ({ enabled: true, token: this.token, browse: false }),
      nowMs: () => this.nowMs,
      audit: (text: string) => void this.lines.push(text),
    } as unknown as ConsoleView,
  );

  /** The code of the refusal, "" for none. */
  ask(authorization: string, remoteAddress = "10.0.0.1"): string {
    const request: HttpRequest = {
      method: "GET",
      path: "/",
      query: new URLSearchParams(),
      header: (name) => name === "authorization" ? authorization : "",
      body: "",
      remoteAddress,
    };
    try {
      this.control.mustBeAuthorized(request);
      return "";
    } catch (error) {
      assert.ok(error instanceof ConsoleError);
      return error.code;
    }
  }
}

test("ten wrong tokens a minute from one address, then nothing from there until the minute is over", () => {
  const bench = new Bench();
  for (let i = 0; i < WRONG_TOKENS_MAX; i++) {
    bench.nowMs += 1000;
    assert.equal(bench.ask("Bearer wrong"), "TOKEN_WRONG");
  }
  assert.equal(bench.ask("Bearer wrong"), "TOO_MANY_ATTEMPTS");
  assert.equal(bench.ask(`Bearer ${TOKEN}`), "TOO_MANY_ATTEMPTS");
  // Nobody else suffers.
  assert.equal(bench.ask(`Bearer ${TOKEN}`, "10.0.0.2"), "");
  assert.equal(bench.ask(""), "TOKEN_REQUIRED");
  bench.nowMs = 60_999;
  assert.equal(bench.ask(`Bearer ${TOKEN}`), "TOO_MANY_ATTEMPTS");
  bench.nowMs = 61_000;
  assert.equal(bench.ask(`Bearer ${TOKEN}`), "");
  assert.deepEqual(bench.lines.map((line) => line.includes("10.0.0.1")), [true, true]);
  for (const line of bench.lines) assert.ok(!line.includes("wrong-") && !line.includes(TOKEN));
});

test("the table of addresses is bounded", () => {
  const bench = new Bench();
  const addressOf = (i: number) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
  for (let i = 0; i < WRONG_TOKENS_MAX; i++) bench.ask("Bearer wrong", addressOf(0));
  assert.equal(bench.ask("Bearer wrong", addressOf(0)), "TOO_MANY_ATTEMPTS");
  for (let i = 1; i <= 4096; i++) bench.ask("Bearer wrong", addressOf(i));
  assert.equal(bench.ask("Bearer wrong", addressOf(0)), "TOKEN_WRONG");
});

test("a token that is changed counts at once, and without one there is nothing to guess", () => {
  const bench = new Bench();
  bench.token = "another";
  assert.equal(bench.ask(`Bearer ${TOKEN}`), "TOKEN_WRONG");
  assert.equal(bench.ask("Bearer another"), "");
  bench.token = "";
  for (let i = 0; i < 20; i++) assert.equal(bench.ask("Bearer "), "NOT_CONFIGURED");
  assert.equal(bench.ask(""), "NOT_CONFIGURED");
});

test("what looks like the token is not the token", () => {
  for (
    const header of [
      "Bearer",
      "Bearer ",
      `Bearer ${TOKEN.toUpperCase()}`,
      `Bearer ${TOKEN} ${TOKEN}`,
      `Bearer ${TOKEN},`,
      `Bearer "${TOKEN}"`,
      TOKEN,
      `Basic ${btoa(`:${TOKEN}`)}`,
    ]
  ) assert.equal(new Bench().ask(header), "TOKEN_WRONG", header);
});
