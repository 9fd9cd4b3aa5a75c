/** Which path leads where, with views that hold no more than a page needs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Health, Monitor, type MonitorView } from "../../../src/monitor/monitor.ts";
import type { StreamingState } from "../../../src/monitor/streaming_pages.ts";
import type { HttpAnswer, HttpRequest } from "../../../src/runtime/types.ts";

const READY: Health = { isReady: true, isRecovering: false, reason: "" };

function ask(view: object, target: string, method = "GET"): HttpAnswer {
  const [path = "", query = ""] = target.split("?");
  const request: HttpRequest = {
    method,
    path,
    query: new URLSearchParams(query),
    header: () => "",
    body: "",
    remoteAddress: "",
  };
  const whole = {
    title: "test",
    nats: { options: () => ({ console: { enabled: false } }), server: { options: { version: "1" } } },
    streaming: undefined,
    health: () => READY,
    basePath: "",
    ...view,
  };
  const answer = new Monitor(whole as unknown as MonitorView).answer(request);
  assert.ok(!(answer instanceof Promise));
  return answer;
}

test("operations.md 5.7, statement 64: isFTActive is 200 on the active server only, and empty", () => {
  const states: [StreamingState, number][] = [
    ["FT_ACTIVE", 200],
    ["FT_STANDBY", 204],
    ["STANDALONE", 204],
    ["CLUSTERED", 204],
    ["FAILED", 204],
  ];
  for (const [state, status] of states) {
    assert.deepEqual(ask({ streaming: { state: () => state } }, "/streaming/isFTActive"), {
      status,
      headers: {},
      body: "",
    });
  }
});

test("operations.md 5.8: a core server alone has no streaming pages", () => {
  for (const path of ["/streaming", "/streaming/serverz", "/streaming/isFTActive", "/console"]) {
    assert.equal(ask({}, path).status, 404, path);
  }
  assert.doesNotMatch(String(ask({}, "/").body), /streaming|console/);
});

test("operations.md 5.1: the base path moves the core pages, and their links with them", () => {
  const view = { basePath: "/a/b" };
  assert.equal(ask(view, "/a/b/healthz").status, 200);
  assert.equal(ask(view, "/healthz").status, 404);
  assert.equal(ask(view, "/").status, 404);
  assert.equal(ask(view, "/a/b/").status, 404);
  assert.equal(ask(view, "/a/bhealthz").status, 404);
  assert.equal(ask(view, "/readyz").status, 200);
  // Relative to /a/, where the page stands.
  const links = [...String(ask(view, "/a/b").body).matchAll(/href="([^"]+)"/g)].map(([, href = ""]) =>
    new URL(href, "http://host/a/b").pathname
  );
  assert.ok(links.includes("/a/b/varz") && links.includes("/metrics") && links.includes("/readyz"), String(links));
});

test("operations.md 5.1: a redirect of what is not GET has no body", () => {
  const post = ask({}, "//varz?x=1", "POST");
  assert.deepEqual(post, { status: 301, headers: { Location: "/varz?x=1", "Content-Length": "0" }, body: "" });
  const get = ask({}, '//a"b<c?x=1&y=2');
  assert.equal(get.body, '<a href="/a&#34;b&lt;c?x=1&amp;y=2">Moved Permanently</a>.\n\n');
});

test("decisions 12: who does not serve says why, in the reference's shape", () => {
  const view = { health: () => ({ isReady: false, isRecovering: false, reason: 'it is "so"' }) };
  const health = ask(view, "/healthz?callback=f");
  assert.deepEqual([health.status, health.body], [503, 'f({"status":"error","error":"it is \\"so\\""})']);
  const readiness = ask(view, "/readyz");
  assert.deepEqual([readiness.status, readiness.body], [503, 'not ready: it is "so"\n']);
});

test("the console answers what is below its path, and nothing else", () => {
  const answered: HttpAnswer = { status: 418, headers: {}, body: "" };
  const view = { console: ({ path }: HttpRequest) => path === "/console/none" ? undefined : answered };
  assert.equal(ask(view, "/console").status, 418);
  assert.equal(ask(view, "/console/api/x").status, 418);
  assert.equal(ask(view, "/console/none").status, 404);
  assert.equal(ask(view, "/consoles").status, 404);
});
