/**
 * The monitoring port. Now the `/streaming/...` pages, the root, and the health probes; any other page of the reference is
 * answered with a 404 that says so.
 */
import type { HttpAnswer, HttpRequest } from "../runtime/types.ts";
import { goJson } from "./json.ts";
import { streamingPage, type StreamingView } from "./streaming_pages.ts";

export interface MonitorView {
  /** Undefined when only the core NATS server runs. */
  readonly streaming: StreamingView | undefined;
  /** Clients are served. */
  readonly isReady: () => boolean;
  readonly title: string;
}

const PLAIN = { "Content-Type": "text/plain; charset=utf-8" };
/** A name that can be called in a page and nothing else: the reference does not check it. */
const CALLBACK_PATTERN = /^[A-Za-z_$][\w$.]{0,127}$/;

export function answerMonitor(view: MonitorView, request: HttpRequest): HttpAnswer {
  const { path, query } = request;
  const cleaned = cleanPath(path);
  if (cleaned !== path) return { status: 301, headers: { ...PLAIN, Location: cleaned }, body: "" };
  if (path === "/" || path === "/streaming") {
    return { status: 200, headers: { "Content-Type": "text/html; charset=utf-8" }, body: rootPage(view) };
  }
  if (path === "/healthz") {
    return view.isReady()
      ? json({ status: "ok" }, query, 200, JSON.stringify)
      : json({ status: "unavailable", error: "clients are not served" }, query, 503, JSON.stringify);
  }
  if (path === "/readyz") {
    return { status: view.isReady() ? 200 : 503, headers: PLAIN, body: view.isReady() ? "ready\n" : "not ready\n" };
  }
  if (view.streaming !== undefined) {
    if (path.startsWith("/streaming/") && !view.isReady()) return { status: 503, headers: PLAIN, body: "not ready\n" };
    const page = streamingPage(view.streaming, path, query);
    if (page !== undefined) {
      return "json" in page
        ? json(page.json, query, 200, goJson)
        : { status: page.status, headers: PLAIN, body: page.text };
    }
  }
  return { status: 404, headers: PLAIN, body: "404 page not found\n" };
}

function json(value: unknown, query: URLSearchParams, status: number, print: (value: unknown) => string): HttpAnswer {
  const body = print(value);
  const callback = query.get("callback") ?? "";
  if (callback !== "" && CALLBACK_PATTERN.test(callback)) {
    return { status, headers: { "Content-Type": "application/javascript" }, body: `${callback}(${body})` };
  }
  return { status, headers: { "Content-Type": "application/json", "Access-Control-Allow-Origin": "*" }, body };
}

/** `//streaming/serverz` and `/./varz` are answered with where the page is. */
function cleanPath(path: string): string {
  if (!path.includes("//") && !path.includes("/./") && !path.includes("/../")) return path;
  const kept: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") kept.pop();
    else kept.push(part);
  }
  return `/${kept.join("/")}${path.endsWith("/") && kept.length > 0 ? "/" : ""}`;
}

function rootPage(view: MonitorView): string {
  const links = view.streaming === undefined ? "" : ["server", "store", "clients", "channels"]
    .map((name) => `<a href="/streaming/${name}z">${name}</a><br/>`).join("\n");
  return `<html lang="en"><head><title>${view.title}</title></head><body><h1>${view.title}</h1>\n${links}\n</body></html>\n`;
}
