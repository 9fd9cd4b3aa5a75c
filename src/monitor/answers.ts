/** HTTP answers with the headers of the reference (operations.md 5.1). */
import type { HttpAnswer, HttpRequest } from "../runtime/types.ts";

/** Larger bodies are sent in chunks, smaller ones with their length: the reference's buffer holds as much. */
const CHUNKED_ABOVE_BYTES = 2048;
/** A name that can be called in a page and nothing else: the reference does not check it. */
const CALLBACK_PATTERN = /^[A-Za-z_$][\w$.]{0,127}$/;
const PLAIN = "text/plain; charset=utf-8";
const HTML = "text/html; charset=utf-8";

const encoder = new TextEncoder();

/** Any page of JSON; with `?callback=` as a script. */
export function jsonAnswer(request: HttpRequest, status: number, body: string): HttpAnswer {
  const callback = request.query.get("callback") ?? "";
  if (callback !== "" && CALLBACK_PATTERN.test(callback)) {
    return answer(status, { "Content-Type": "application/javascript" }, `${callback}(${body})`);
  }
  return answer(status, { "Content-Type": "application/json", "Access-Control-Allow-Origin": "*" }, body);
}

export function htmlAnswer(body: string): HttpAnswer {
  return answer(200, { "Content-Type": HTML }, body);
}

export function textAnswer(status: number, body: string, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  return answer(status, { "Content-Type": PLAIN, ...headers }, body);
}

/** Nothing but a status. */
export function emptyAnswer(status: number): HttpAnswer {
  return { status, headers: {}, body: "" };
}

/** An error of Go's HTTP library: its text ends with a line feed, and no browser may take it for a page. */
export function errorAnswer(status: number, text: string): HttpAnswer {
  return answer(status, { "Content-Type": PLAIN, "X-Content-Type-Options": "nosniff" }, `${text}\n`);
}

export function notFoundAnswer(): HttpAnswer {
  return errorAnswer(404, "404 page not found");
}

/** Exporters with a trailing slash in their address ask for `//varz` and depend on being sent on. */
export function redirectAnswer(request: HttpRequest, path: string): HttpAnswer {
  const query = request.query.toString();
  const target = query === "" ? path : `${path}?${query}`;
  if (request.method !== "GET" && request.method !== "HEAD") return answer(301, { Location: target }, "");
  const shown = target.replaceAll("&", "&amp;").replaceAll('"', "&#34;").replaceAll("<", "&lt;").replaceAll(
    ">",
    "&gt;",
  );
  return answer(
    301,
    { "Content-Type": HTML, Location: target },
    `<a href="${shown}">Moved Permanently</a>.\n\n`,
  );
}

/** With its length, where it is short. */
function answer(status: number, headers: Readonly<Record<string, string>>, body: string): HttpAnswer {
  // Up to here every character could need three bytes: only then the text must be encoded to know.
  const size = body.length > CHUNKED_ABOVE_BYTES ? body.length : encoder.encode(body).length;
  if (size > CHUNKED_ABOVE_BYTES) return { status, headers, body };
  return { status, headers: { ...headers, "Content-Length": String(size) }, body };
}

/** A path without empty, `.` and `..` parts, as Go's router wants it. */
export function cleanPath(path: string): string {
  if (!/\/(?:\/|\.)/.test(path)) return path;
  const kept: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") kept.pop();
    else kept.push(part);
  }
  return `/${kept.join("/")}${path.endsWith("/") && kept.length > 0 ? "/" : ""}`;
}
